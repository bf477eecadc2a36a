//! Is every event told to an endpoint that answers, however often the server is killed, and signed right?

mod harness;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use harness::{Home, Server, eventually};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How often the server is killed.
const KILLS: u32 = 6;
/// Verifications between two kills.
const EACH: u32 = 12;
/// The harness's senders, and webhooks to this machine.
const SETTINGS: &str = r#"
[webhooks]
allow_private = true

[[services]]
name = "demo"
brand = "Demo"
workflow = [{channel = "sms", sender = 42}]

[[numbers]]
id = 42
provider = "sandbox"
number = "+3197010253000"

[sandbox]
enabled = true
"#;

/// One webhook, in the form that `verify.py` reads.
type Heard = Arc<Mutex<Vec<Value>>>;

/// A machine that takes every webhook.
async fn reader() -> (String, Heard, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let heard = Heard::default();
    let app = Router::new().fallback(take).with_state(Arc::clone(&heard));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, heard, tasks)
}

async fn take(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| (name.to_owned(), headers[name].to_str().unwrap().into()))
        .into_iter()
        .collect();
    heard
        .lock()
        .unwrap()
        .push(json!({ "headers": headers, "body": BASE64.encode(&body) }));
    StatusCode::NO_CONTENT
}

fn ids(heard: &Heard) -> BTreeSet<String> {
    let heard = heard.lock().unwrap();
    let id = |one: &Value| one["headers"]["webhook-id"].as_str().unwrap().to_owned();
    heard.iter().map(id).collect()
}

/// Every event there is.
async fn feed(server: &Server, key: &str) -> BTreeSet<String> {
    let (mut all, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/events?limit=100{after}"), key).await.expect(200);
        let events = page["data"].as_array().unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        after = format!("&after={}", page["next_cursor"].as_str().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_committed_is_told_under_one_id_and_signed_right_however_often_the_server_is_killed() {
    let (url, heard, _tasks) = reader().await;
    let home = Home::with(SETTINGS);
    let (key, admin) = (home.key("demo"), home.key_with(&["--rights", "admin"]));
    let mut server = home.serve();
    let made = server
        .post("/api/v1/webhook-endpoints", &admin, json!({ "url": url }))
        .await
        .expect(201);
    let secret = made["secret"].as_str().unwrap();
    for kill in 0..KILLS {
        for n in 0..EACH {
            let to = format!("+316113{:05}", kill * EACH + n);
            server
                .post("/api/v1/verifications", &key, json!({ "to": to }))
                .await
                .expect(201);
        }
        // In the middle of telling it.
        server.kill_9();
        server = home.serve();
    }
    // Neither more nor less: what has happened has been told, and nothing else.
    let told = eventually("everything was told", async || {
        let feed = feed(&server, &key).await;
        (ids(&heard) == feed).then_some(feed)
    })
    .await;
    assert!(told.len() >= (KILLS * EACH) as usize, "a beginning each at least");

    let lines: String = {
        let heard = heard.lock().unwrap();
        heard
            .iter()
            .map(|one| {
                let mut line = one.clone();
                line["secret"] = secret.into();
                format!("{line}\n")
            })
            .collect()
    };
    let posted = lines.lines().count();
    println!("{posted} webhooks about {} events", told.len());
    assert_eq!(verified(&lines), posted);
}

/// How many of the webhooks somebody else's library takes.
fn verified(lines: &str) -> usize {
    use std::io::Write;
    let python = std::env::var_os("TAPCODE_TEST_PYTHON").expect("`cargo xtask test` sets TAPCODE_TEST_PYTHON");
    let mut reader = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tapcode-server/tests/announcing/verify.py"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    let lines = lines.to_owned();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = reader.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().count()
}
