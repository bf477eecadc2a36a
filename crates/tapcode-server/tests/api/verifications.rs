//! Do verifications go as `docs/reference` tells, from begin to every end?

use serde_json::json;

use crate::world::{NUMBER, World, named, wrong};

const PATH: &str = "/api/v1/verifications";

#[tokio::test(start_paused = true)]
async fn a_verification_is_begun_seen_and_approved_once() {
    let world = World::begin().await;
    let body = r#"{"to":"+31 6 1139-8058","purpose":"login","locale":"nl","client":{"ip":"203.0.113.7","platform":"web","web_origin":"https://example.com"},"metadata":{"user_id":"u_17"}}"#;
    let begun = world.post(&world.live, PATH, body).await.expect(201);
    insta::assert_snapshot!("begun", named(&begun));
    let id = begun["id"].as_str().unwrap();
    let code = world.code(id).await;
    assert!(!begun.to_string().contains(&code));

    let check = format!("{PATH}/{id}/check");
    let failed = world
        .post(&world.live, &check, &json!({ "code": wrong(&code) }).to_string())
        .await
        .expect(200);
    insta::assert_snapshot!("check_failed", named(&failed));
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let approved = world
        .post(&world.live, &check, &json!({ "code": spaced }).to_string())
        .await
        .expect(200);
    insta::assert_snapshot!("approved", named(&approved));
    let again = world
        .post(&world.live, &check, &json!({ "code": code }).to_string())
        .await
        .expect(200);
    assert_eq!((&again["valid"], &again["reason"]), (&json!(false), &json!("already_used")));
    let seen = world.get(&world.live, &format!("{PATH}/{id}")).await.expect(200);
    assert_eq!(
        (&seen["status"], &seen["resend_at"], &seen["sends_left"]),
        (&json!("approved"), &json!(null), &json!(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_without_the_right_to_read_sees_the_number_masked() {
    let world = World::begin().await;
    let begun = world
        .post(&world.verifier, PATH, &json!({ "to": NUMBER }).to_string())
        .await
        .expect(201);
    assert_eq!(begun["to"], "+31*****8058");
    let path = format!("{PATH}/{}", begun["id"].as_str().unwrap());
    assert_eq!(world.get(&world.verifier, &path).await.expect(200)["to"], "+31*****8058");
    assert_eq!(world.get(&world.reader, &path).await.expect(200)["to"], NUMBER);
}

#[tokio::test(start_paused = true)]
async fn asking_again_is_a_resend_of_the_same_code_under_the_limits() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    let body = json!({ "to": NUMBER }).to_string();
    let soon = world.post(&world.live, PATH, &body).await;
    assert_eq!(soon.header("retry-after"), "60");
    soon.refuses(429, "resend_too_soon");
    world.pass(59_500).await;
    let soon = world.post(&world.live, PATH, &body).await;
    assert_eq!(soon.header("retry-after"), "1");
    world.pass(500).await;
    let resent = world.post(&world.live, PATH, &body).await.expect(200);
    assert_eq!(resent["id"], id);
    assert_eq!(world.code(&id).await, code);
    // WhatsApp first, then the next step of the plan: SMS.
    assert_eq!(resent["channel"], "sms");
    let sent = resent["attempts"].as_array().unwrap().len();
    assert_eq!(resent["sends_left"], 5 - sent);
}

#[tokio::test(start_paused = true)]
async fn a_resend_takes_the_channel_that_is_asked_for_and_only_one_of_the_plan() {
    let world = World::begin().await;
    let only_sms = json!({ "to": NUMBER, "workflow": [{ "channel": "sms" }] }).to_string();
    // Two numbers speak SMS, and the service's own is the one of its workflow.
    let begun = world.post(&world.live, PATH, &only_sms).await.expect(201);
    assert_eq!(begun["attempts"][0]["sender"], 42);
    let resend = format!("{PATH}/{}/resend", begun["id"].as_str().unwrap());
    world.pass(60_000).await;
    world
        .post(&world.live, &resend, r#"{"channel":"whatsapp"}"#)
        .await
        .refuses(400, "channel_not_in_plan");
    world
        .post(&world.live, &resend, r#"{"channel":"pigeon"}"#)
        .await
        .refuses(400, "unknown_channel");
    let resent = world
        .ask(&world.live, http::Method::POST, &resend, None, &[])
        .await
        .expect(200);
    assert_eq!(resent["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn five_wrong_codes_end_it_and_the_right_one_is_too_late() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    let check = format!("{PATH}/{id}/check");
    for left in (0..5).rev() {
        let failed = world
            .post(&world.live, &check, &json!({ "code": wrong(&code) }).to_string())
            .await
            .expect(200);
        assert_eq!(failed["checks_left"], left);
    }
    let late = world
        .post(&world.live, &check, &json!({ "code": code }).to_string())
        .await
        .expect(200);
    assert_eq!(
        (&late["valid"], &late["status"], &late["reason"]),
        (&json!(false), &json!("max_checks_reached"), &json!("too_many_checks"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_code_is_good_until_it_expires_and_not_at_that_moment() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    world.pass(300_000).await;
    let check = format!("{PATH}/{id}/check");
    let late = world
        .post(&world.live, &check, &json!({ "code": code }).to_string())
        .await
        .expect(200);
    assert_eq!(
        (&late["valid"], &late["status"], &late["reason"]),
        (&json!(false), &json!("expired"), &json!("expired"))
    );
    world
        .post(&world.live, &format!("{PATH}/{id}/cancel"), "{}")
        .await
        .refuses(409, "verification_not_pending");
    world
        .post(&world.live, &format!("{PATH}/{id}/resend"), "{}")
        .await
        .refuses(409, "verification_not_pending");
}

#[tokio::test(start_paused = true)]
async fn a_canceled_code_is_good_for_nothing_and_canceling_twice_is_harmless() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    for _ in 0..2 {
        let canceled = world
            .post(&world.live, &format!("{PATH}/{id}/cancel"), "{}")
            .await
            .expect(200);
        assert_eq!(canceled["status"], "canceled");
    }
    let late = world
        .post(
            &world.live,
            &format!("{PATH}/{id}/check"),
            &json!({ "code": code }).to_string(),
        )
        .await
        .expect(200);
    assert_eq!(late["reason"], "canceled");
}

#[tokio::test(start_paused = true)]
async fn a_check_by_number_finds_the_purpose_and_only_that() {
    let world = World::begin().await;
    world
        .post(&world.live, PATH, &json!({ "to": NUMBER, "purpose": "login" }).to_string())
        .await
        .expect(201);
    let check = |purpose: &str, code: &str| json!({ "to": "+31-611-398-058", "purpose": purpose, "code": code }).to_string();
    let path = format!("{PATH}/check");
    world
        .post(&world.live, &path, &check("payment", "123456"))
        .await
        .refuses(404, "verification_not_found");
    world
        .post(&world.live, &path, &json!({ "to": NUMBER, "code": "123456" }).to_string())
        .await
        .refuses(404, "verification_not_found");
    let list = world.get(&world.live, PATH).await.expect(200);
    let code = world.code(list["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(
        world.post(&world.live, &path, &check("login", &code)).await.expect(200)["valid"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn a_bound_code_is_good_for_its_transaction_however_it_is_spelled() {
    let world = World::begin().await;
    let body =
        json!({ "to": NUMBER, "binding": { "amount": "39.90 EUR", "payee": "Acme", "count": 2, "gift": true } }).to_string();
    let begun = world.post(&world.live, PATH, &body).await.expect(201);
    let id = begun["id"].as_str().unwrap();
    let (code, check) = (world.code(id).await, format!("{PATH}/{id}/check"));
    let with = |binding: &str| format!(r#"{{"code":"{code}","binding":{binding}}}"#);
    for other in [
        r#"{"amount":"99.90 EUR","payee":"Acme","count":2,"gift":true}"#,
        r#"{"payee":"Acme"}"#,
    ] {
        assert_eq!(
            world.post(&world.live, &check, &with(other)).await.expect(200)["reason"],
            "binding_mismatch"
        );
    }
    assert_eq!(
        world
            .post(&world.live, &check, &json!({ "code": code }).to_string())
            .await
            .expect(200)["reason"],
        "binding_mismatch"
    );
    world
        .post(&world.live, PATH, &json!({ "to": NUMBER }).to_string())
        .await
        .refuses(409, "pending_with_other_binding");
    let shuffled = r#" { "gift" : true, "count":2,"payee":"\u0041cme", "amount":"39.90 EUR"}"#;
    assert_eq!(
        world.post(&world.live, &check, &with(shuffled)).await.expect(200)["valid"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn own_codes_are_taken_where_the_service_allows_them() {
    let world = World::begin().await;
    let body = json!({ "to": NUMBER, "code": "aB3dE" }).to_string();
    world.post(&world.live, PATH, &body).await.refuses(400, "own_codes_off");
    let begun = world.post(&world.other, PATH, &body).await.expect(201);
    let other = json!({ "to": NUMBER, "code": "aB3dF" }).to_string();
    world
        .post(&world.other, PATH, &other)
        .await
        .refuses(409, "pending_with_other_code");
    let check = format!("{PATH}/{}/check", begun["id"].as_str().unwrap());
    assert_eq!(
        world.post(&world.other, &check, r#"{"code":"ab3de"}"#).await.expect(200)["valid"],
        false
    );
    assert_eq!(
        world.post(&world.other, &check, r#"{"code":"aB3dE"}"#).await.expect(200)["valid"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn a_test_number_has_its_fixed_code_under_a_test_key() {
    let world = World::begin().await;
    let begun = world.post(&world.test, PATH, r#"{"to":"+31611398059"}"#).await.expect(201);
    assert_eq!(begun["attempts"][0]["provider"], "sandbox");
    let check = format!("{PATH}/{}/check", begun["id"].as_str().unwrap());
    assert_eq!(
        world.post(&world.test, &check, r#"{"code":"000000"}"#).await.expect(200)["valid"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn lists_are_newest_first_page_by_page_and_filtered() {
    let world = World::begin().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let body =
            json!({ "to": format!("+3161139805{n}"), "purpose": if n % 2 == 0 { "login" } else { "payment" } }).to_string();
        ids.push(
            world.post(&world.live, PATH, &body).await.expect(201)["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
        world.pass(10).await;
    }
    ids.reverse();
    let all = |json: &serde_json::Value| -> Vec<String> {
        json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = world.get(&world.live, &format!("{PATH}?limit=3")).await.expect(200);
    assert_eq!(all(&first), ids[..3]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .get(&world.live, &format!("{PATH}?limit=3&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(all(&second), ids[3..]);
    assert_eq!(second["next_cursor"], json!(null));
    assert_eq!(
        all(&world.get(&world.live, &format!("{PATH}?purpose=payment")).await.expect(200)).len(),
        2
    );
    assert_eq!(
        all(&world.get(&world.live, &format!("{PATH}?status=approved")).await.expect(200)).len(),
        0
    );
    // A plus sign that a caller forgot to escape arrives as a space.
    for to in ["+31611398053", "%2B31611398053"] {
        assert_eq!(
            all(&world.get(&world.live, &format!("{PATH}?to={to}")).await.expect(200)),
            ids[1..2]
        );
    }
    assert_eq!(
        all(&world
            .get(&world.live, &format!("{PATH}?before=2026-11-23T09:00:00.010Z"))
            .await
            .expect(200)),
        ids[4..]
    );
    assert_eq!(
        all(&world
            .get(&world.live, &format!("{PATH}?after=2026-11-23T09:00:00.010Z"))
            .await
            .expect(200)),
        ids[..4]
    );
}

#[tokio::test(start_paused = true)]
async fn the_timeline_tells_the_fallback_in_words() {
    let world = World::begin().await;
    let network = tapcode_engine::contract::phones::Network {
        deliver: tapcode_engine::contract::phones::Deliver::Never,
        ..Default::default()
    };
    tapcode_engine::contract::phones::Phones::set_network(
        &*world.sandbox,
        &tapcode_core::number::Number::parse(NUMBER).unwrap(),
        network,
    );
    let (id, _) = world.begun().await;
    world.pass(12_000).await;
    let timeline = world.get(&world.live, &format!("{PATH}/{id}/timeline")).await.expect(200);
    let titles = timeline["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|e| e["decisions"].as_array().unwrap().iter());
    assert!(
        titles
            .clone()
            .any(|d| d["title"] == "Fell back to SMS" && d["kind"] == "fallback"),
        "{timeline}"
    );
    assert!(
        timeline["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|e| e["at"].is_string() && e["input"]["type"].is_string())
    );
    insta::assert_snapshot!("timeline", named(&timeline));
}

#[tokio::test(start_paused = true)]
async fn a_locked_number_says_so_until_an_operator_lifts_it() {
    let world = World::begin().await;
    // 20 failed checks in a row lock for an hour: four verifications of five checks, 60 s apart.
    for _ in 0..4 {
        let (id, code) = world.begun().await;
        for _ in 0..5 {
            world
                .post(
                    &world.live,
                    &format!("{PATH}/{id}/check"),
                    &json!({ "code": wrong(&code) }).to_string(),
                )
                .await
                .expect(200);
        }
        world.pass(60_000).await;
    }
    let body = json!({ "to": NUMBER }).to_string();
    let locked = world.post(&world.live, PATH, &body).await;
    assert_eq!(locked.header("retry-after"), "3540");
    locked.refuses(429, "recipient_locked");
    let unlock = format!("/api/v1/recipients/{NUMBER}/unlock");
    world
        .post(&world.live, &unlock, "{}")
        .await
        .refuses(403, "insufficient_rights");
    world.post(&world.admin, &unlock, "{}").await.refuses(400, "service_needed");
    let lifted = world
        .post(&world.admin, &format!("{unlock}?service=acme"), "{}")
        .await
        .expect(200);
    assert_eq!(lifted, json!({ "to": "+31*****8058", "unlocked": true }));
    world
        .post(&world.admin, &format!("{unlock}?service=own"), "{}")
        .await
        .refuses(404, "recipient_not_found");
    world.post(&world.live, PATH, &body).await.expect(201);
}
