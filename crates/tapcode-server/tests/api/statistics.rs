//! Does what is answered add up to what happened, and only for whom it is?

use serde_json::{Value, json};

use crate::world::{NUMBER, World, wrong};

async fn stats(world: &World, key: &str, query: &str) -> Value {
    // The counter looks once a second.
    world.pass(1_500).await;
    world.get(key, &format!("/api/v1/stats{query}")).await.expect(200)
}

/// One that was approved, one that was guessed at, and one that fell back and nobody entered.
async fn a_day(world: &World) {
    let (id, code) = world.begun().await;
    world.pass(5_000).await;
    let path = format!("/api/v1/verifications/{id}/check");
    world
        .post(&world.live, &path, &json!({ "code": wrong(&code) }).to_string())
        .await
        .expect(200);
    let checked = world
        .post(&world.live, &path, &json!({ "code": code }).to_string())
        .await
        .expect(200);
    assert_eq!(checked["status"], "approved");
    world.pass(61_000).await;
    let begin = r#"{"to":"+31611398050","purpose":"payment"}"#;
    world.post(&world.live, "/api/v1/verifications", begin).await.expect(201);
    world.pass(400_000).await;
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_added_up() {
    let world = World::begin().await;
    a_day(&world).await;
    let all = stats(&world, &world.live, "").await;
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
    let sum = &all["data"][0];
    let events = world.get(&world.live, "/api/v1/events?limit=100").await.expect(200);
    let told = |types: &[&str]| {
        let data = events["data"].as_array().unwrap();
        data.iter().filter(|e| types.contains(&e["type"].as_str().unwrap())).count()
    };
    assert_eq!(sum["begun"], told(&["verification.created"]), "{sum}");
    assert_eq!(sum["converted"], told(&["verification.approved"]), "{sum}");
    assert_eq!(sum["fallbacks"], told(&["verification.fallback"]), "{sum}");
    assert_eq!(sum["failed"], told(&["message.failed"]), "{sum}");
    assert_eq!(sum["delivered"], told(&["message.delivered"]), "{sum}");
    assert_eq!(sum["read"], told(&["message.read"]), "{sum}");
    assert_eq!((&sum["begun"], &sum["converted"]), (&json!(2), &json!(1)));
    assert!(
        sum["delivered"].as_u64() > Some(0) && sum["delivery_ms"]["p50"].as_u64() > Some(0),
        "{sum}"
    );
    assert!(sum.get("country").is_none(), "nothing is told apart: {sum}");

    let by = stats(&world, &world.live, "?group_by=purpose,channel,provider,country,day").await;
    let by = by["data"].as_array().unwrap();
    let of = |purpose: &str, member: &str| -> u64 {
        let mine = by.iter().filter(|row| row["purpose"] == purpose);
        mine.map(|row| row[member].as_u64().unwrap()).sum()
    };
    assert_eq!((of("default", "begun"), of("default", "converted")), (1, 1));
    assert_eq!((of("payment", "begun"), of("payment", "converted")), (1, 0));
    for member in ["begun", "sent", "delivered", "read", "converted", "failed", "fallbacks"] {
        let parts: u64 = by.iter().map(|row| row[member].as_u64().unwrap()).sum();
        assert_eq!(sum[member], parts, "{member} of the groups is that of all");
    }
    for row in by {
        assert_eq!(
            (&row["country"], &row["start"]),
            (&json!("NL"), &json!("2026-11-23T00:00:00.000Z")),
            "{row}"
        );
        assert_eq!(row["provider"], "sandbox", "{row}");
    }
    let text = Value::from(by.clone()).to_string();
    assert!(!text.contains(&NUMBER[NUMBER.len() - 4..]), "no sum knows a number: {text}");
}

#[tokio::test(start_paused = true)]
async fn sums_are_of_whole_hours_and_of_nothing_else() {
    let world = World::begin().await;
    a_day(&world).await;
    let begun = async |query: &str| {
        let answer = stats(&world, &world.live, query).await;
        let data = answer["data"].as_array().unwrap();
        (data.iter().map(|row| row["begun"].as_u64().unwrap()).sum::<u64>(), answer)
    };
    let (all, answer) = begun("?from=2026-11-23T09:59:00Z&to=2026-11-23T10:00:00.001Z&group_by=hour").await;
    assert_eq!(
        (&answer["from"], &answer["to"]),
        (&json!("2026-11-23T09:00:00.000Z"), &json!("2026-11-23T11:00:00.000Z"))
    );
    assert_eq!(all, 2);
    assert_eq!(begun("?from=2026-11-23T11:00:00Z&to=2026-11-23T12:00:00Z").await.0, 0);
    assert_eq!(begun("?from=2026-11-23T08:00:00Z&to=2026-11-23T09:00:00Z").await.0, 0);
    assert_eq!(
        begun("?from=2026-11-20T08:00:00Z&to=2026-11-25T09:00:00Z&group_by=day")
            .await
            .0,
        2
    );
    // Hours that are no longer kept are counted by the day.
    let (all, answer) = begun("?from=2025-11-23T08:00:00Z&to=2026-11-24T09:00:00Z").await;
    assert_eq!((all, &answer["from"]), (2, &json!("2025-11-23T00:00:00.000Z")));
}

#[tokio::test(start_paused = true)]
async fn a_key_sees_the_sums_of_its_own_service_and_mode() {
    let world = World::begin().await;
    a_day(&world).await;
    let begun = async |key: &str, query: &str| {
        let answer = stats(&world, key, query).await;
        let data = answer["data"].as_array().unwrap();
        data.iter().map(|row| row["begun"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(begun(&world.reader, "").await, 2);
    assert_eq!(begun(&world.test, "").await, 0);
    assert_eq!(begun(&world.other, "").await, 0);
    assert_eq!(
        begun(&world.other, "?service=acme").await,
        0,
        "another service's name opens nothing"
    );
    assert_eq!(begun(&world.admin, "").await, 2);
    assert_eq!(begun(&world.admin, "?service=own").await, 0);
    assert_eq!(begun(&world.admin, "?mode=test").await, 0);
    world
        .get(&world.verifier, "/api/v1/stats")
        .await
        .refuses(403, "insufficient_rights");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_with_what_to_send() {
    let world = World::begin().await;
    for (query, says) in [
        ("?group_by=colour", "service, purpose"),
        ("?group_by=country,country", "each once"),
        ("?group_by=day,hour", "day or hour"),
        ("?group_by=", "service, purpose"),
        ("?from=yesterday", "RFC 3339"),
        ("?from=2026-11-23T10:00:00Z&to=2026-11-23T10:00:00Z", "before `to`"),
        ("?from=2020-01-01T00:00:00Z", "800 days"),
        ("?from=2026-01-01T00:00:00Z&group_by=hour", "100 days"),
    ] {
        let refused = world.get(&world.live, &format!("/api/v1/stats{query}")).await;
        let problem = refused.refuses(400, "invalid_request").to_string();
        assert!(problem.contains(says), "{query}: {problem}");
    }
    world
        .get(&world.live, "/api/v1/stats?bY=day")
        .await
        .refuses(400, "unknown_field");
}
