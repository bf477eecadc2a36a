//! Does a server that is asked to stop finish what it has begun, and does the next one find everything?

mod harness;

use std::time::{Duration, Instant};

use harness::{Home, Process, WAIT_MAX};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERIFICATIONS: &str = "/api/v1/verifications";

/// Sends the head of a request and waits until the server asks for its body: from then on it is under way.
async fn under_way(address: &str, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {VERIFICATIONS} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    tokio::time::timeout(WAIT_MAX, stream.read_exact(&mut asked))
        .await
        .unwrap()
        .unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
    stream
}

#[tokio::test]
async fn requests_under_way_are_answered_and_the_next_start_finds_everything() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    let before = server
        .post(VERIFICATIONS, &key, json!({"to": "+14155550142"}))
        .await
        .expect(201);
    let body = r#"{"to":"+31611398058"}"#;
    let mut request = under_way(server.address(), &key, body).await;

    server.signal("TERM");
    server.wait_for_log("stopping");
    request.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    let during: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();

    let server = home.serve();
    for begun in [before, during] {
        let path = format!("{VERIFICATIONS}/{}", begun["id"].as_str().unwrap());
        let found = server.get(&path, &key).await.expect(200);
        assert_eq!((&found["id"], &found["expires_at"]), (&begun["id"], &begun["expires_at"]));
    }
}

#[tokio::test]
async fn nothing_new_is_taken_while_stopping() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    let body = r#"{"to":"+31611398058"}"#;
    let mut request = under_way(server.address(), &key, body).await;
    server.signal("INT");
    let until = Instant::now() + WAIT_MAX;
    let connect = || tokio::time::timeout(WAIT_MAX, TcpStream::connect(server.address()));
    while connect()
        .await
        .expect("a connection is refused, and not left in the queue")
        .is_ok()
    {
        assert!(Instant::now() < until, "new connections are still taken");
        tokio::task::yield_now().await;
    }
    request.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    let _never_finished = under_way(server.address(), &key, r#"{"to":"+31611398058"}"#).await;
    server.signal("TERM");
    server.wait_for_log("stopping");
    let asked_again = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
    // The drain alone would take ten seconds.
    assert!(asked_again.elapsed() < Duration::from_secs(8), "{:?}", asked_again.elapsed());
}

#[tokio::test]
async fn a_server_with_nothing_to_do_stops_at_once_although_connections_are_idle() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    // The harness's client keeps this connection.
    server.get(VERIFICATIONS, &key).await.expect(200);
    let asked = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[tokio::test]
async fn what_is_killed_is_found_again() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    let begun = server
        .post(VERIFICATIONS, &key, json!({"to": "+31611398058"}))
        .await
        .expect(201);
    server.kill_9();
    let server = home.serve();
    let path = format!("{VERIFICATIONS}/{}", begun["id"].as_str().unwrap());
    assert_eq!(server.get(&path, &key).await.expect(200)["status"], "pending");
}

#[test]
fn logs_are_json_where_they_are_configured_so() {
    let home = Home::new();
    let mut server = home.serve_with(|command| {
        command.env("TAPCODE__LOG__FORMAT", "json").env("TAPCODE__LOG__LEVEL", "info");
    });
    let process: &Process = &server;
    process.wait_for_log("listening");
    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| !line.starts_with("tapcode: warning"))
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let said = |message: &str| {
        lines
            .iter()
            .find(|line| line["message"] == message)
            .unwrap_or_else(|| panic!("{message}: {log}"))
    };
    assert_eq!(said("listening")["store.url"], "sqlite:tapcode.db");
    assert_eq!(said("listening")["services"], "demo,other");
    said("stopped");
}
