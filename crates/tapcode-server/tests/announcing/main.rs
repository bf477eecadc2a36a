//! Is everything that happens told to those who asked for it, signed, at least once, and to nobody else?

#[path = "../shared/leaping.rs"]
mod leaping;
mod stage;

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use serde_json::{Value, json};
use stage::{ENDPOINTS, Heard, PATIENCE, Reader, Stage};
use tapcode_engine::egress::Outside;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

fn path(endpoint: &Value, action: &str) -> String {
    format!("{ENDPOINTS}/{}{action}", endpoint["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_endpoint_is_told_what_the_feed_has_word_for_word() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    stage.something_happens(0).await;
    stage.endpoint(&reader).await;
    let before = stage.feed().await.len();
    for n in 1..=5 {
        stage.something_happens(n).await;
    }
    let heard = stage.told(&reader, before, 5).await;
    let feed = stage.feed().await;
    let told: Vec<Value> = heard.iter().map(Heard::json).collect();
    for one in &told {
        assert!(feed[before..].contains(one), "{one} is not in the feed");
    }
    assert_eq!(Reader::ids(&heard).len(), heard.len(), "nothing was told twice");
    for (one, json) in heard.iter().zip(&told) {
        assert_eq!(one.header("webhook-id"), json["id"].as_str().unwrap());
        assert_eq!(one.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn an_endpoint_hears_of_its_service_and_its_types_only() {
    let stage = Stage::set().await;
    let (created, other, all) = (Reader::start().await, Reader::start().await, Reader::start().await);
    let body =
        |reader: &Reader, service: &str, types: &[&str]| json!({ "url": reader.url(), "service": service, "types": types });
    stage
        .post(ENDPOINTS, &body(&created, "acme", &["verification.created"]))
        .await;
    stage.post(ENDPOINTS, &body(&other, "other", &[])).await;
    stage.post(ENDPOINTS, &body(&all, "acme", &[])).await;
    for n in 0..3 {
        stage.something_happens(n).await;
    }
    stage.told(&all, 0, 3).await;
    let heard = created.until(|heard| heard.len() >= 3).await;
    assert!(heard.iter().all(|one| one.json()["type"] == "verification.created"));
    assert_eq!((heard.len(), other.heard().len()), (3, 0));
}

/// The lines that the readers of others take.
fn lines(heard: &[Heard], secret: &str) -> String {
    let headers = |one: &Heard| {
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| (name.to_owned(), Value::from(one.header(name))))
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
    };
    let line = |one: &Heard| json!({ "secret": secret, "headers": headers(one), "body": BASE64.encode(&one.body) });
    heard.iter().map(|one| format!("{}\n", line(one))).collect()
}

/// What a program makes of webhooks: how many it took, or what it said.
async fn read_by(mut program: Command, input: &str) -> Result<usize, String> {
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = program.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(said(&output.stdout).lines().count())
    } else {
        Err(said(&output.stderr))
    }
}

fn place(variable: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set; `cargo xtask test` sets it"))
}

fn python() -> Command {
    let mut python = Command::new(place("TAPCODE_TEST_PYTHON"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/announcing/verify.py"));
    python
}

fn node() -> Command {
    let mut node = Command::new(place("TAPCODE_TEST_NODE"));
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/announcing/verify.js"));
    node.env("NODE_PATH", place("TAPCODE_TEST_NODE_MODULES"));
    node
}

#[tokio::test]
async fn libraries_of_others_verify_our_signatures_with_the_old_secret_and_the_new_one() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    let made = stage.endpoint(&reader).await;
    let old = made["secret"].as_str().unwrap().to_owned();
    stage.something_happens(1).await;
    let before = stage.told(&reader, 0, 1).await.len();
    let rotated = stage.post(&path(&made, "/rotate-secret"), &json!({})).await;
    let new = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    stage.something_happens(2).await;
    let heard = stage.told(&reader, 0, 2).await;
    let (first, second) = heard.split_at(before);
    for (told, secret) in [(first, &old), (second, &old), (second, &new)] {
        assert_eq!(read_by(python(), &lines(told, secret)).await, Ok(told.len()));
        assert_eq!(read_by(node(), &lines(told, secret)).await, Ok(told.len()));
    }
    // They can say no.
    for program in [python(), node()] {
        let refused = read_by(program, &lines(first, &new)).await.unwrap_err();
        assert!(refused.contains("WebhookVerificationError"), "{refused}");
    }
    stage.clock.leap(86_400_001);
    stage.something_happens(3).await;
    let heard = stage.told(&reader, 0, 3).await;
    // A day later the old one signs no more; the libraries would refuse the time as well.
    assert!(!heard.last().unwrap().header("webhook-signature").contains(' '));
    assert!(second[0].header("webhook-signature").contains(' '));
}

#[tokio::test]
async fn what_is_refused_is_told_again_under_the_same_id_and_holds_up_nothing_else() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    let made = stage.endpoint(&reader).await;
    reader.answers(500, &[]);
    stage.something_happens(1).await;
    let heard = stage.told(&reader, 0, 1).await;
    let refused = heard[0].clone();
    let id = made["id"].as_str().unwrap();
    // It took the others.
    stage
        .known(id, |endpoint| endpoint["waiting"] == 1 && endpoint["status"] == "active")
        .await;
    stage.clock.leap(6_000);
    let all = reader.until(|all| all.len() > heard.len()).await;
    let again = all.last().unwrap();
    assert_eq!(again.header("webhook-id"), refused.header("webhook-id"));
    assert_eq!(again.body, refused.body, "the same words");
    let tried_at = |one: &Heard| one.header("webhook-timestamp").to_owned();
    assert_ne!(tried_at(again), tried_at(&refused), "a try of its own");
    stage.known(id, |endpoint| endpoint["waiting"] == 0).await;
    let tries = stage.get(&stage.admin, &path(&made, "/deliveries")).await;
    let newest = &tries["data"][0];
    assert_eq!(
        (&newest["number"], &newest["result"], &newest["event_id"]),
        (&json!(2), &json!("taken"), &json!(refused.header("webhook-id")))
    );
    assert!(tries["data"].as_array().unwrap().iter().any(|one| one["status"] == 500));
}

#[tokio::test]
async fn a_dead_endpoint_and_one_that_hangs_delay_no_other() {
    let stage = Stage::set().await;
    let (dead, hanging, well) = (Reader::start().await, Reader::start().await, Reader::start().await);
    hanging.hangs();
    for reader in [&dead, &hanging, &well] {
        stage.endpoint(reader).await;
    }
    drop(dead);
    for n in 0..40 {
        stage.something_happens(n).await;
    }
    stage.told(&well, 0, 40).await;
    assert!(
        hanging.heard().len() <= tapcode_core::endpoint::AT_ONCE_MAX,
        "its queue is bounded"
    );
}

#[tokio::test]
async fn who_is_gone_is_told_nothing_more_and_that_is_an_alert() {
    let (stage, reader, watcher) = (Stage::set().await, Reader::start().await, Reader::start().await);
    let made = stage.endpoint(&reader).await;
    let alerts = json!({ "url": watcher.url(), "service": "acme", "types": ["account.alert"] });
    stage.post(ENDPOINTS, &alerts).await;
    reader.always(Some(410));
    stage.something_happens(1).await;
    let id = made["id"].as_str().unwrap();
    let disabled = stage.known(id, |endpoint| endpoint["status"] == "disabled").await;
    assert_eq!(disabled["disabled_because"], "gone");
    let told = watcher.until(|heard| !heard.is_empty()).await[0].json();
    assert_eq!(
        (&told["type"], &told["data"]["reason"], &told["data"]["webhook_endpoint_id"]),
        (&json!("account.alert"), &json!("webhook_endpoint_disabled"), &json!(id))
    );
    let heard = reader.heard().len();
    stage.something_happens(2).await;
    stage.known(id, |endpoint| endpoint["status"] == "disabled").await;
    reader.always(None);
    stage.post(&path(&made, "/enable"), &json!({})).await;
    stage.told(&reader, 0, 2).await;
    assert!(reader.heard().len() > heard, "it goes on where it stopped");
}

#[tokio::test]
async fn a_replay_tells_again_what_happened_since_under_the_same_ids() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    stage.something_happens(1).await;
    let before = stage.settled(0, 1).await.len();
    let first = stage.feed().await.remove(0);
    let made = stage.endpoint(&reader).await;
    stage.something_happens(2).await;
    let once = stage.told(&reader, before, 1).await.len();
    stage
        .post(&path(&made, "/replay"), &json!({ "since": first["timestamp"] }))
        .await;
    let all = stage.told(&reader, 0, 2).await;
    let words = |one: &Heard| one.json() == first;
    assert!(all.iter().any(words), "under the same id, in the same words");
    reader.until(|all| all.len() >= before + 2 * once).await;
    let (status, _) = stage
        .ask(
            &stage.admin,
            Method::POST,
            &path(&made, "/replay"),
            Some(&json!({ "since": "yesterday" })),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn of_two_processes_one_tells_and_when_it_is_gone_the_other_does() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    let other = stage.another();
    stage.endpoint(&reader).await;
    // Each looks at the log when it has written there itself.
    for n in 0..20 {
        stage.something_happens(2 * n).await;
        other.something_happens(2 * n + 1).await;
    }
    let heard = stage.told(&reader, 0, 40).await;
    assert_eq!(heard.len(), Reader::ids(&heard).len(), "each once");
    // Whoever stops leaves it to the other one at once.
    stage.engine.stop().await;
    other.something_happens(40).await;
    reader.until(|all| Reader::ids(all).len() > heard.len()).await;
    other.engine.stop().await;
}

#[tokio::test]
async fn nobody_has_us_call_the_house_however_it_is_spelled() {
    let stage = Stage::with(Outside::Internet).await;
    for url in [
        "http://93.184.215.14/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.0.0.1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.8/",
        "https://192.168.1.1/",
        "https://[fd00:ec2::254]/",
        "https://0/",
        "https://user:secret@shop.example/",
        "ftp://shop.example/",
        "shop.example",
        "https://",
    ] {
        let body = json!({ "url": url, "service": "acme" });
        let (status, problem) = stage.ask(&stage.admin, Method::POST, ENDPOINTS, Some(&body)).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_endpoint_url")), "{url}");
        assert!(!problem.to_string().contains("secret"));
    }
    // A name may lead anywhere, and is looked at when it is called.
    let made = stage
        .post(ENDPOINTS, &json!({ "url": "https://localhost:9/hooks", "service": "acme" }))
        .await;
    let tested = stage.post(&path(&made, "/test"), &json!({})).await;
    assert_eq!(
        (&tested["result"], &tested["status"]),
        (&json!("forbidden_address"), &Value::Null)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (stage, reader, house) = (Stage::set().await, Reader::start().await, Reader::start().await);
    let made = stage.endpoint(&reader).await;
    reader.answers(302, &[("location", &house.url())]);
    let tested = stage.post(&path(&made, "/test"), &json!({})).await;
    assert_eq!((&tested["result"], &tested["status"]), (&json!("refused"), &json!(302)));
    assert_eq!(house.heard().len(), 0);
    let heard = reader.heard();
    assert_eq!(heard[0].json()["type"], "test");
}

#[tokio::test]
async fn only_an_admin_makes_endpoints_and_secrets_are_shown_once() {
    let (stage, reader) = (Stage::set().await, Reader::start().await);
    let body = json!({ "url": reader.url(), "service": "acme" });
    let (status, _) = stage.ask(&stage.live, Method::POST, ENDPOINTS, Some(&body)).await;
    assert_eq!(status, 403);
    let made = stage.endpoint(&reader).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let listed = stage.get(&stage.admin, ENDPOINTS).await;
    assert!(!listed.to_string().contains("whsec_"));
    for (body, code) in [
        (json!({ "url": reader.url() }), "service_needed"),
        (json!({ "url": reader.url(), "service": "nobody" }), "service_not_configured"),
        (
            json!({ "url": reader.url(), "service": "acme", "types": ["verification.done"] }),
            "unknown_event_type",
        ),
        (json!({ "service": "acme" }), "missing_field"),
    ] {
        let (_, problem) = stage.ask(&stage.admin, Method::POST, ENDPOINTS, Some(&body)).await;
        assert_eq!(problem["code"], code, "{problem}");
    }
    let (status, _) = stage.ask(&stage.admin, Method::DELETE, &path(&made, ""), None).await;
    assert_eq!(status, 204);
    let (status, problem) = stage
        .ask(&stage.admin, Method::POST, &path(&made, "/test"), Some(&json!({})))
        .await;
    assert_eq!((status, &problem["code"]), (404, &json!("webhook_endpoint_not_found")));
    let witness = Reader::start().await;
    stage.endpoint(&witness).await;
    stage.something_happens(1).await;
    witness.until(|heard| !heard.is_empty()).await;
    assert_eq!(reader.heard().len(), 0, "who was deleted is told nothing");
}
