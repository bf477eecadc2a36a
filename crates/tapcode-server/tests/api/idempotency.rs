//! Is the same request with the same key one request?

use std::sync::Arc;

use http::Method;
use serde_json::json;

use crate::world::{Answer, NUMBER, World};

const PATH: &str = "/api/v1/verifications";

async fn keyed(world: &World, api_key: &str, path: &str, body: &str, key: &str) -> Answer {
    world
        .ask(api_key, Method::POST, path, Some(body), &[("idempotency-key", key)])
        .await
}

#[tokio::test(start_paused = true)]
async fn the_same_key_and_body_replay_the_answer_byte_for_byte() {
    let world = World::begin().await;
    let body = json!({ "to": NUMBER, "metadata": { "z": "1", "a": "2" } }).to_string();
    let first = keyed(&world, &world.live, PATH, &body, "k-1").await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, ""));
    world.pass(30_000).await;
    let entries = world.log_length().await;
    let second = keyed(&world, &world.live, PATH, &body, "k-1").await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(second.header("content-type"), "application/json");
    assert_eq!(world.log_length().await, entries);
    // White space makes another body: what was promised is the same bytes for the same bytes.
    keyed(&world, &world.live, PATH, &format!("{body} "), "k-1")
        .await
        .refuses(422, "idempotency_key_reused");
    keyed(&world, &world.live, PATH, &json!({ "to": "+31611398051" }).to_string(), "k-1")
        .await
        .refuses(422, "idempotency_key_reused");
    keyed(&world, &world.live, PATH, &body, "k-2")
        .await
        .refuses(429, "resend_too_soon");
    // Another service's key of the same name is another key.
    keyed(&world, &world.other, PATH, &body, "k-1").await.expect(201);
    world.pass(86_400_000).await;
    keyed(&world, &world.live, PATH, &body, "k-1").await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn resending_canceling_and_messages_take_a_key_too() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    world.pass(60_000).await;
    let sms = r#"{"from_number_id":42,"to":"+31611398058","body":"Your code is 123456."}"#;
    let (resend, cancel) = (format!("{PATH}/{id}/resend"), format!("{PATH}/{id}/cancel"));
    // The same key for each: operations do not share their keys.
    for (path, body, status) in [
        (&*resend, "{}", 200),
        ("/api/v1/sms/messages", sms, 201),
        (&*cancel, "{}", 200),
    ] {
        let first = keyed(&world, &world.live, path, body, "k").await;
        assert_eq!(first.status, status, "{path}");
        // Until the provider has told all it has to tell.
        world.pass(5_000).await;
        let entries = world.log_length().await;
        let second = keyed(&world, &world.live, path, body, "k").await;
        assert_eq!(
            (second.status, second.header("idempotency-replayed"), &second.body),
            (first.status, "true", &first.body),
            "{path}"
        );
        assert_eq!(world.log_length().await, entries, "{path}");
    }
    let other = world.post(&world.live, PATH, r#"{"to":"+31611398051"}"#).await.expect(201);
    let cancel_other = format!("{PATH}/{}/cancel", other["id"].as_str().unwrap());
    keyed(&world, &world.live, &cancel_other, "{}", "k")
        .await
        .refuses(422, "idempotency_key_reused");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_never_replayed_to_a_key_that_may_see_less() {
    let world = World::begin().await;
    let body = json!({ "to": NUMBER }).to_string();
    let full = keyed(&world, &world.live, PATH, &body, "k").await.expect(201);
    assert_eq!(full["to"], NUMBER);
    let less = keyed(&world, &world.verifier, PATH, &body, "k").await;
    assert!(!String::from_utf8_lossy(&less.body).contains(NUMBER));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let world = World::begin().await;
    let body = json!({ "to": NUMBER }).to_string();
    for key in ["", "a b", "k\u{e9}y", &"k".repeat(256)] {
        keyed(&world, &world.live, PATH, &body, key)
            .await
            .refuses(400, "invalid_idempotency_key");
    }
    let two = [("idempotency-key", "a"), ("idempotency-key", "b")];
    world
        .ask(&world.live, Method::POST, PATH, Some(&body), &two)
        .await
        .refuses(400, "invalid_idempotency_key");
    assert_eq!(world.log_length().await, 0);
    keyed(&world, &world.live, PATH, &body, &"k".repeat(255)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_at_once_with_one_key_are_one_verification() {
    let world = Arc::new(World::begin().await);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = Arc::clone(&world);
        asking.spawn(async move { keyed(&world, &world.live, PATH, &json!({ "to": NUMBER }).to_string(), "one").await });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body));
    assert_eq!(
        answers.iter().filter(|a| a.header("idempotency-replayed").is_empty()).count(),
        1
    );
    let list = world.get(&world.live, PATH).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["attempts"].as_array().unwrap().len(), 1);
}
