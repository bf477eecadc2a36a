//! Can an operator see what is on record about a number, and nobody else?

use serde_json::json;

use crate::world::{NUMBER, World, wrong};

fn path(number: &str, query: &str) -> String {
    format!("/api/v1/recipients/{number}{query}")
}

#[tokio::test(start_paused = true)]
async fn what_is_on_record_about_a_number_is_shown_masked_with_its_lock_and_how_it_ends() {
    let world = World::begin().await;
    for _ in 0..4 {
        let (id, code) = world.begun().await;
        let guess = json!({ "code": wrong(&code) }).to_string();
        for _ in 0..5 {
            world
                .post(&world.live, &format!("/api/v1/verifications/{id}/check"), &guess)
                .await
                .expect(200);
        }
        world.pass(61_000).await;
    }
    let answer = world.get(&world.admin, &path(NUMBER, "?service=acme")).await;
    assert!(
        !String::from_utf8_lossy(&answer.body).contains(&NUMBER[1..]),
        "the number is masked"
    );
    let known = answer.expect(200);
    let since = known["channels"][0]["since"].clone();
    let until = known["channels"][0]["until"].clone();
    let locked_until = known["locked_until"].clone();
    assert_eq!(
        known,
        json!({ "to": "+31*****8058", "country": "NL", "locked": true, "locked_until": locked_until,
            "sends_within_hour": 4, "failed_checks": { "default": 20 },
            "channels": [{ "channel": "whatsapp", "on": true, "since": since, "until": until }],
            "identities": [], "disowned": 0 })
    );
    // An hour after the twentieth guess, and 90 days after the last message arrived.
    assert!(locked_until.as_str() > Some("2026-11-23T10:03:00.000Z"), "{locked_until}");
    assert_eq!(
        (&since.as_str().unwrap()[..10], &until.as_str().unwrap()[..10]),
        ("2026-11-23", "2027-02-21")
    );
    world
        .post(&world.admin, &path(NUMBER, "/unlock?service=acme"), "{}")
        .await
        .expect(200);
    let known = world.get(&world.admin, &path(NUMBER, "?service=acme")).await.expect(200);
    assert_eq!(
        (&known["locked"], &known["locked_until"], &known["failed_checks"]["default"]),
        (&json!(false), &json!(null), &json!(20))
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_is_known_within_one_service_and_mode_and_to_admins() {
    let world = World::begin().await;
    world.begun().await;
    let ask = async |key: &str, number: &str, query: &str| world.get(key, &path(number, query)).await;
    ask(&world.admin, NUMBER, "?service=acme&mode=live").await.expect(200);
    for elsewhere in ["?service=acme&mode=test", "?service=own", "?service=nobody"] {
        ask(&world.admin, NUMBER, elsewhere).await.refuses(404, "recipient_not_found");
    }
    ask(&world.admin, "+31611398051", "?service=acme")
        .await
        .refuses(404, "recipient_not_found");
    ask(&world.admin, NUMBER, "").await.refuses(400, "service_needed");
    ask(&world.admin, "0611398058", "?service=acme")
        .await
        .refuses(400, "invalid_number");
    ask(&world.admin, NUMBER, "?service=acme&x=1")
        .await
        .refuses(400, "unknown_field");
    for key in [&world.live, &world.reader, &world.verifier] {
        ask(key, NUMBER, "").await.refuses(403, "insufficient_rights");
    }
}
