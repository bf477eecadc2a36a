//! Is there one line per request that names the route, the key and the request, and no line with a number or a code?
//!
//! Alone in its process: a line that another thread reaches first, while nobody listens there, can stay switched off for all.

#[path = "../api/world.rs"]
#[expect(dead_code, reason = "the stories of the API use the rest of it")]
mod world;

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;

use world::{NUMBER, World};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_one_line_without_number_code_or_key() {
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || written.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::begin().await;
    let body = json!({ "to": NUMBER, "binding": { "payee": "Canary Ltd" } }).to_string();
    let begun = world.post(&world.live, "/api/v1/verifications", &body).await.expect(201);
    let code = world.code(begun["id"].as_str().unwrap()).await;
    let by_number = json!({ "to": NUMBER, "code": code, "binding": { "payee": "Canary Ltd" } }).to_string();
    world
        .post(&world.live, "/api/v1/verifications/check", &by_number)
        .await
        .expect(200);
    world
        .post(&world.live, "/api/v1/verifications/check", &format!("{{\"code\":{code}"))
        .await
        .refuses(400, "invalid_json");
    world
        .get(&world.live, &format!("/api/v1/verifications?to={NUMBER}"))
        .await
        .expect(200);
    world
        .post(
            &world.admin,
            &format!("/api/v1/recipients/{NUMBER}/unlock?service=acme"),
            "{}",
        )
        .await
        .expect(200);
    world
        .get(&world.admin, &format!("/api/v1/recipients/{NUMBER}?service=acme"))
        .await
        .expect(200);
    world
        .get(&world.live, &format!("/nowhere/{NUMBER}"))
        .await
        .refuses(404, "not_found");
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let answered: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["fields"]["message"] == "answered")
        .collect();
    let routes: Vec<&str> = answered
        .iter()
        .map(|line| line["span"]["http.route"].as_str().unwrap())
        .collect();
    assert_eq!(
        routes,
        [
            "/api/v1/verifications",
            "/api/v1/verifications/check",
            "/api/v1/verifications/check",
            "/api/v1/verifications",
            "/api/v1/recipients/{number}/unlock",
            "/api/v1/recipients/{number}",
            "none",
        ]
    );
    let first = &answered[0];
    assert_eq!(
        (&first["fields"]["http.status"], &first["span"]["http.method"]),
        (&json!(201), &json!("POST"))
    );
    assert!(first["fields"]["key.id"].as_str().unwrap().starts_with("key_"));
    assert!(first["span"]["request.id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(answered[2]["fields"]["problem.code"], "invalid_json");
    for secret in [NUMBER, &NUMBER[1..], &code, &world.live, "Canary Ltd"] {
        // Six digits may also be part of an id or a moment; as a word of its own it is the code.
        let is_word = |at: usize| {
            let around = |c: Option<u8>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != b'.' && c != b'_');
            around(at.checked_sub(1).map(|i| text.as_bytes()[i])) && around(text.as_bytes().get(at + secret.len()).copied())
        };
        assert!(
            !text.match_indices(secret).any(|(at, _)| is_word(at)),
            "a secret is in the log"
        );
    }
}
