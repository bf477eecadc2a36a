//! With the store gone: is nothing approved and nothing sent, and does all go on when it is back?

use std::sync::Arc;

use serde_json::json;
use tapcode_engine::contract::phones::Phones;

use crate::unplugged::Unplugged;
use crate::world::{NUMBER, World};

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_approves_and_sends_nothing_and_comes_back() {
    let store = Arc::new(Unplugged::default());
    let world = World::begin_on(Arc::clone(&store) as _).await;
    let (id, code) = world.begun().await;
    world.pass(3_000).await;
    let on_phone = || world.sandbox.all().iter().map(|phone| phone.messages.len()).sum::<usize>();
    let before = on_phone();
    let check = format!("/api/v1/verifications/{id}/check");
    let right = json!({ "code": code }).to_string();
    store.pull(true);
    let begin = json!({ "to": "+31611398051" }).to_string();
    let sms = json!({ "from_number_id": 42, "to": NUMBER, "body": "Your code is 123456." }).to_string();
    for (path, body) in [
        ("/api/v1/verifications", &*begin),
        (&*check, &*right),
        ("/api/v1/sms/messages", &*sms),
    ] {
        let refused = world.post(&world.live, path, body).await;
        assert!(!refused.header("retry-after").is_empty(), "{path}");
        let told = refused.refuses(503, "unavailable").to_string();
        assert!(!told.contains("tapcode.db"), "causes stay in the log: {told}");
    }
    for path in ["/api/v1/verifications", "/api/v1/events", "/api/v1/events/stream"] {
        world.get(&world.live, path).await.refuses(503, "unavailable");
    }
    world.get("", "/readyz").await.refuses(503, "unavailable");
    world.get("", "/healthz").await.expect(200);
    world.pass(5_000).await;
    assert_eq!(on_phone(), before);
    store.pull(false);
    // An answer of /readyz is believed for a second.
    world.pass(1_000).await;
    world.get("", "/readyz").await.expect(200);
    let checked = world.post(&world.live, &check, &right).await.expect(200);
    assert_eq!((&checked["valid"], &checked["status"]), (&json!(true), &json!("approved")));
}
