//! Does a code reach a phone over a gateway that only its configuration knows, and is its receipt believed?

mod harness;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use harness::{Home, WAIT_MAX};
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Sent = (HeaderMap, Value);

/// A gateway of nobody's: it keeps what it is sent and takes everything.
async fn gateway() -> (String, mpsc::Receiver<Sent>) {
    let (sent, received) = mpsc::channel::<Sent>(100);
    let take = async |State(sent): State<mpsc::Sender<Sent>>, headers: HeaderMap, body: Bytes| {
        sent.send((headers, serde_json::from_slice(&body).unwrap())).await.unwrap();
        axum::Json(json!({ "result": { "state": "QUEUED", "number": 17 } }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/send", listener.local_addr().unwrap());
    let router = Router::new().route("/send", post(take)).with_state(sent);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_goes_over_a_gateway_and_its_receipt_is_believed_with_the_secret_alone() {
    let (url, mut received) = gateway().await;
    let home = Home::with(&format!(
        r#"
[[services]]
name = "demo"
brand = "Demo"
workflow = [ {{channel = "sms", sender = 44}} ]

[[numbers]]
id = 44
provider = "webhook"
number = "Demo"
url = "{url}"
authorization = "Bearer a-token-of-the-gateway"
json = '{{"recipient":"{{to_digits}}","sender":"{{from}}","message":"{{text}}","notify":"{{callback_url}}"}}'
answer_id = "/result/number"
answer_status = "/result/state"
answer_taken = ["queued"]
receipt_format = "form"
receipt_status = "state"
receipt_delivered = ["arrived"]
receipt_failed = ["lost"]
receipt_secret = "a secret & more"
"#
    ));
    let server = home.serve();
    let key = home.key("demo");
    let begun = server
        .post("/api/v1/verifications", &key, json!({"to": "+31611398058", "locale": "nl"}))
        .await
        .expect(201);
    let (headers, sent) = tokio::time::timeout(WAIT_MAX, received.recv()).await.unwrap().unwrap();
    assert_eq!(headers["authorization"], "Bearer a-token-of-the-gateway");
    assert_eq!((&sent["recipient"], &sent["sender"]), (&json!("31611398058"), &json!("Demo")));
    let text = sent["message"].as_str().unwrap();
    let (code, rest) = text.split_at(6);
    assert_eq!(rest, " is de code voor Demo. Hij is 5 minuten geldig. Deel hem met niemand.");

    let notify = sent["notify"].as_str().unwrap();
    let client = harness::client();
    let told = async |url: &str, state: &str| {
        let answer = client.post(url).form(&[("state", state)]).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(told(&notify.replace("secret", "secrets"), "arrived").await, 401);
    assert_eq!(told(notify, "a word of next year").await, 204);
    assert_eq!(told(notify, "arrived").await, 204);
    let path = format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap());
    harness::eventually("it is delivered", async || {
        let now = server.get(&path, &key).await.expect(200);
        (now["attempts"][0]["status"] == "delivered").then_some(())
    })
    .await;
    let checked = server
        .post(&format!("{path}/check"), &key, json!({"code": code}))
        .await
        .expect(200);
    assert_eq!(checked["valid"], true);
    for hidden in ["a-token-of-the-gateway", "a secret & more", "a+secret", code, "31611398058"] {
        assert!(!server.log().contains(hidden), "{hidden} is in the log");
    }
}
