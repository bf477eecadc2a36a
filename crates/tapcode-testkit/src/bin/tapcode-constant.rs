//! What can the HTTP stack do on this machine when it has nothing to do? The same server library, answering a constant.

use std::error::Error;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;

/// As long as the answer to a begin.
const ANSWER: &str = r#"{"id":"vrf_06C2F0000000000000000000000000000000","status":"pending","to":"+31*****8058","purpose":"login","channel":"whatsapp","attempts":[{"id":"msg_06C2F0000000000000000000000000000000","channel":"whatsapp","provider":"whatsapp_cloud","sender":1,"status":"queued","queued_at":"2026-11-23T09:00:00.000Z","accepted_at":null,"sent_at":null,"delivered_at":null,"read_at":null,"failed_at":null,"failure":null,"price":null}],"checks_left":5,"sends_left":4,"resend_at":"2026-11-23T09:01:00.000Z","expires_at":"2026-11-23T09:05:00.000Z","created_at":"2026-11-23T09:00:00.000Z","metadata":{}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            println!(
                "{}",
                serde_json::json!({ "listen": format!("http://{}", listener.local_addr()?) })
            );
            let router = Router::new().route(
                "/",
                post(|body: axum::body::Bytes| async move {
                    drop(body);
                    ([(CONTENT_TYPE, "application/json")], ANSWER)
                }),
            );
            axum::serve(listener, router).await?;
            Ok(())
        })
}
