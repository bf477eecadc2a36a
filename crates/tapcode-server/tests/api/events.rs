//! Can a caller follow everything that happens, once, in order and without a secret?

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tapcode_core::number::Number;
use tapcode_engine::contract::phones::{Network, Phones};
use tower::ServiceExt;

use crate::world::{NUMBER, World, named, wrong};

const PATH: &str = "/api/v1/events";

async fn a_life(world: &World) -> (String, String) {
    let body = json!({ "to": NUMBER, "purpose": "login", "metadata": { "user_id": "u_17" }, "client": { "ip": "203.0.113.7" } }).to_string();
    let begun = world.post(&world.live, "/api/v1/verifications", &body).await.expect(201);
    let id = begun["id"].as_str().unwrap().to_owned();
    let code = world.code(&id).await;
    world.pass(3_000).await;
    let check = format!("/api/v1/verifications/{id}/check");
    world.post(&world.live, &check, &json!({ "code": wrong(&code) }).to_string()).await.expect(200);
    world.post(&world.live, &check, &json!({ "code": code }).to_string()).await.expect(200);
    (id, code)
}

/// Lives with steps in which more than one thing happens: a failure with its fallback, a last guess with its end.
async fn several_lives(world: &World) {
    a_life(world).await;
    let number = Number::parse("+31611398051").unwrap();
    world.sandbox.set_network(&number, Network { whatsapp: false, ..Network::default() });
    let begun = world.post(&world.live, "/api/v1/verifications", &json!({ "to": number.expose() }).to_string()).await.expect(201);
    world.pass(3_000).await;
    let id = begun["id"].as_str().unwrap();
    let wrong = json!({ "code": wrong(&world.code(id).await) }).to_string();
    for _ in 0..5 {
        world.post(&world.live, &format!("/api/v1/verifications/{id}/check"), &wrong).await.expect(200);
    }
}

fn types(json: &Value) -> Vec<String> {
    json["data"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_from_created_to_approved_without_code_or_number() {
    let world = World::begin().await;
    let (_, code) = a_life(&world).await;
    let all = world.get(&world.live, PATH).await.expect(200);
    let told = types(&all);
    assert_eq!(told.first().map(String::as_str), Some("verification.created"));
    assert_eq!(told[told.len() - 2..], ["verification.check_failed", "verification.approved"]);
    assert!(told.contains(&"message.delivered".to_owned()), "{told:?}");
    let text = all.to_string();
    assert!(!text.contains(NUMBER) && !text.contains(&format!("\"{code}\"")), "{text}");
    let ids: std::collections::HashSet<_> = all["data"].as_array().unwrap().iter().map(|e| e["id"].to_string()).collect();
    assert_eq!(ids.len(), told.len());
    insta::assert_snapshot!("events", named(&all["data"]));
}

#[tokio::test(start_paused = true)]
async fn pages_of_any_size_give_every_event_once_and_in_order() {
    let world = World::begin().await;
    several_lives(&world).await;
    let whole = world.get(&world.live, &format!("{PATH}?limit=100")).await.expect(200);
    let told = types(&whole);
    for (one, next) in [("message.failed", "verification.fallback"), ("verification.check_failed", "verification.max_checks_reached")] {
        assert!(told.windows(2).any(|two| two == [one, next]), "{told:?}");
    }
    for limit in 1..4 {
        let mut told = Vec::new();
        let mut after = String::new();
        for _ in 0..100 {
            let page = world.get(&world.live, &format!("{PATH}?limit={limit}{after}")).await.expect(200);
            let data = page["data"].as_array().unwrap().clone();
            assert!(data.len() <= limit);
            told.extend(data);
            after = format!("&after={}", page["next_cursor"].as_str().unwrap());
        }
        assert_eq!(told, *whole["data"].as_array().unwrap(), "limit {limit}");
    }
    let some = world.get(&world.live, &format!("{PATH}?types=verification.created,verification.approved&limit=1")).await.expect(200);
    assert_eq!(types(&some), ["verification.created"]);
    let after = some["next_cursor"].as_str().unwrap();
    let next = world.get(&world.live, &format!("{PATH}?types=verification.created,verification.approved&limit=1&after={after}")).await.expect(200);
    assert_eq!(types(&next), ["verification.approved"]);
}

/// Reads a stream until it has so many events; returns each one's cursor and JSON.
async fn follow(world: &World, key: &str, query: &str, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut request = Request::builder().method(Method::GET).uri(format!("{PATH}/stream{query}")).header("authorization", format!("Bearer {key}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = world.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut text = String::new();
    loop {
        let told: Vec<(String, Value)> = text
            .split("\n\n")
            .filter_map(|block| {
                let line = |name: &str| block.lines().find_map(|l| l.strip_prefix(name).map(str::to_owned));
                Some((line("id: ")?, serde_json::from_str(&line("data: ")?).ok()?))
            })
            .collect();
        if told.len() >= count {
            return told;
        }
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_resumes_behind_the_last_event_that_was_seen() {
    let world = World::begin().await;
    several_lives(&world).await;
    let whole = world.get(&world.live, &format!("{PATH}?limit=100")).await.expect(200);
    let whole: Vec<Value> = whole["data"].as_array().unwrap().clone();
    let start = "?after=AAAAAAAAAAAAAA";
    let told = follow(&world, &world.live, start, None, whole.len()).await;
    assert_eq!(told.iter().map(|(_, e)| e.clone()).collect::<Vec<_>>(), whole);
    for seen in 0..whole.len() - 1 {
        let rest = follow(&world, &world.live, "", Some(&told[seen].0), whole.len() - seen - 1).await;
        assert_eq!(rest.into_iter().map(|(_, e)| e).collect::<Vec<_>>(), whole[seen + 1..], "after {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_what_happens_from_now_on_and_only_ones_own() {
    let world = World::begin().await;
    a_life(&world).await;
    let later = async {
        world.pass(1_000).await;
        world.post(&world.test, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string()).await.expect(201);
        world.post(&world.live, "/api/v1/verifications", &json!({ "to": "+31611398051" }).to_string()).await.expect(201);
        world.post(&world.other, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string()).await.expect(201)
    };
    let (told, begun) = tokio::join!(follow(&world, &world.other, "?types=verification.created", None, 1), later);
    assert_eq!(told[0].1["data"]["verification_id"], begun["id"]);
    assert_eq!(told[0].1["service"], "own");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_alive() {
    let world = World::begin().await;
    let request = Request::get(format!("{PATH}/stream")).header("authorization", format!("Bearer {}", world.live));
    let response = world.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let before = world.engine.now();
    let mut frames = Vec::new();
    for _ in 0..2 {
        frames.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(&frames[1][..], b": still here\n\n");
    assert!(world.engine.now().millis_since(before) >= 15_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_reader_takes_nothing() {
    let world = World::begin().await;
    let request = Request::get(format!("{PATH}/stream?after=AAAAAAAAAAAAAA")).header("authorization", format!("Bearer {}", world.live));
    let response = world.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    // More pieces than may wait, each a page of its own because time passes between them.
    for n in 0..12 {
        world.post(&world.live, "/api/v1/verifications", &json!({ "to": format!("+316113980{n:02}") }).to_string()).await.expect(201);
        world.pass(5_000).await;
    }
    let mut body = response.into_body();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        pieces += 1;
        assert!(pieces <= tapcode_server::limits::STREAM_PIECES_MAX, "more was kept for it");
    }
    assert!(pieces > 0);
}
