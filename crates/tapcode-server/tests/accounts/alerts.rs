//! Is what goes wrong with an account or a number told once, to whom it concerns, and is what follows explained?

use serde_json::{Value, json};
use tapcode_simulator::cloud_api::TemplateState;

use crate::meta::messages;
use crate::stage::Stage;

const OTHERS: [&str; 3] = ["+31611398051", "+31611398052", "+31611398053"];

async fn ready() -> Stage {
    Stage::with(|meta| meta.has("login_otp", "en", TemplateState::Approved)).await
}

fn now_s() -> String {
    use tapcode_engine::clock::{Clock, SystemClock};
    (SystemClock.now().as_millis() / 1_000).to_string()
}

#[tokio::test]
async fn an_expired_token_is_one_alert_however_many_messages_meet_it_and_the_next_starts_on_sms() {
    let stage = ready().await;
    stage.meta.expire_token();
    tokio::join!(stage.begun(OTHERS[0]), stage.begun(OTHERS[1]), stage.begun(OTHERS[2]));
    let alerts = stage.until(&stage.live, "account.alert", 1).await;
    stage.until(&stage.live, "verification.fallback", 3).await;
    let data = &alerts[0]["data"];
    assert_eq!(
        (
            &data["reason"],
            &data["breaker"],
            &data["failure"]["code"],
            &data["senders"],
            &data["channel"],
            &data["provider"]
        ),
        (
            &json!("breaker_opened"),
            &json!({ "scope": "account" }),
            &json!("190"),
            &json!([1]),
            &json!("whatsapp"),
            &json!("whatsapp_cloud")
        )
    );
    assert!(data["until"].is_string(), "it says when it is probed");
    assert_eq!(
        (data.get("to"), data.get("metadata"), alerts[0].get("service")),
        (None, None, None)
    );
    for key in [&stage.live, &stage.admin] {
        assert_eq!(stage.events(key, "account.alert").await.len(), 1);
    }
    assert_eq!(stage.events(&stage.other, "account.alert").await, Vec::<Value>::new());
    let account = stage.account(&stage.live).await;
    let breaker = &account["breakers"][0];
    assert_eq!((&breaker["scope"], &breaker["code"]), (&json!("account"), &json!("190")));
    assert!(breaker["probe_at"].as_str() > breaker["opened_at"].as_str());

    let id = stage.begun("+31611398054").await;
    let begun = stage
        .get(&stage.live, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
    assert_eq!(
        (&begun["channel"], begun["attempts"].as_array().unwrap().len()),
        (&json!("sms"), 1)
    );
    let created = stage.events(&stage.live, "verification.created").await;
    assert_eq!(
        created[3]["data"]["skipped"],
        json!([{ "channel": "whatsapp", "sender": 1, "reason": "breaker", "detail": "account 190" }])
    );
    assert_eq!(created[0]["data"].get("skipped"), None);
    let timeline = stage
        .get(&stage.live, &format!("/api/v1/verifications/{id}/timeline"))
        .await
        .expect(200);
    let words = timeline["data"][0]["decisions"].to_string();
    assert!(
        words.contains("Passed over WhatsApp sender 1") && words.contains("its breaker keeps them away: account 190"),
        "{words}"
    );
}

#[tokio::test]
async fn a_message_that_arrives_tells_its_language_and_its_price() {
    let stage = ready().await;
    let id = stage.begun(OTHERS[0]).await;
    stage.until(&stage.live, "message.accepted", 1).await;
    let (reference, wamid) = stage.meta.sent().remove(0);
    let status = json!({ "statuses": [{ "id": wamid, "status": "delivered", "timestamp": now_s(),
        "biz_opaque_callback_data": reference,
        "pricing": { "billable": true, "pricing_model": "PMP", "type": "regular", "category": "authentication" } }] });
    assert_eq!(stage.hook(messages(&status)).await, 200);
    let delivered = stage.events(&stage.live, "message.delivered").await;
    let price = delivered[0]["data"]["price"].clone();
    assert_eq!(price["currency"], "USD");
    assert!(price["amount_micros"].as_i64().unwrap() > 0, "{price}");
    let seen = stage
        .get(&stage.live, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
    let attempt = &seen["attempts"][0];
    assert_eq!((&attempt["price"], &attempt["language"]), (&price, &json!("en")));
    let knows = format!("/api/v1/recipients/{}?service=acme", OTHERS[0]);
    let known = stage.get(&stage.admin, &knows).await.expect(200);
    assert_eq!(
        (&known["channels"][0]["channel"], &known["channels"][0]["on"]),
        (&json!("whatsapp"), &json!(true))
    );
}

#[tokio::test]
async fn whoever_asked_for_no_code_trips_the_guard_and_ends_the_verification() {
    let stage = ready().await;
    stage.begun(OTHERS[0]).await;
    stage.until(&stage.live, "message.accepted", 1).await;
    let (_, wamid) = stage.meta.sent().remove(0);
    let pressed = json!({ "messages": [{ "id": "wamid.in", "timestamp": now_s(), "type": "button",
        "button": { "payload": "DID_NOT_REQUEST_CODE", "text": "I didn't request a code" }, "context": { "id": wamid } }] });
    for _ in 0..2 {
        assert_eq!(stage.hook(messages(&pressed)).await, 200);
    }
    let tripped = stage.events(&stage.live, "guard.tripped").await;
    assert_eq!(tripped.len(), 1, "a hook twice is one fact");
    assert_eq!(
        (&tripped[0]["data"]["reason"], &tripped[0]["service"]),
        (&json!("not_requested"), &json!("acme"))
    );
    assert_eq!(stage.events(&stage.live, "verification.canceled").await.len(), 1);
    let known = format!("/api/v1/recipients/{}?service=acme", OTHERS[0]);
    assert_eq!(stage.get(&stage.admin, &known).await.expect(200)["disowned"], 1);
}

#[tokio::test]
async fn a_changed_identity_is_about_the_number_and_not_about_the_account() {
    let stage = ready().await;
    stage.begun(OTHERS[0]).await;
    stage.until(&stage.live, "message.accepted", 1).await;
    let (reference, wamid) = stage.meta.sent().remove(0);
    let failed = json!({ "statuses": [{ "id": wamid, "status": "failed", "timestamp": now_s(),
        "biz_opaque_callback_data": reference,
        "errors": [{ "code": 137_000, "title": "Identity", "error_data": { "details": "the identity has changed" } }] }] });
    assert_eq!(stage.hook(messages(&failed)).await, 200);
    let tripped = stage.events(&stage.live, "guard.tripped").await;
    assert_eq!(
        (&tripped[0]["data"]["reason"], &tripped[0]["data"]["failure"]["code"]),
        (&json!("identity_changed"), &json!("137000"))
    );
    assert_eq!(stage.events(&stage.live, "account.alert").await, Vec::<Value>::new());
    assert_eq!(stage.events(&stage.live, "verification.fallback").await, Vec::<Value>::new());
}

#[tokio::test]
async fn news_of_an_account_is_an_alert_in_its_own_word() {
    let stage = ready().await;
    let update = json!({ "object": "whatsapp_business_account", "entry": [{ "id": crate::meta::WABA, "time": 1,
        "changes": [{ "field": "account_alerts", "value": { "alert_type": "OBA_APPROVED" } },
            { "field": "a_field_of_tomorrow", "value": { "x": 1 } }] }] });
    assert_eq!(stage.hook(update.to_string().into_bytes()).await, 200);
    let alerts = stage.events(&stage.live, "account.alert").await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        (&alerts[0]["data"]["reason"], &alerts[0]["data"]["detail"]),
        (&json!("account_alert"), &json!("OBA_APPROVED"))
    );
}

#[tokio::test]
async fn a_stream_tells_of_accounts_to_whoever_uses_them() {
    let stage = Stage::with(|meta| meta.has("login_otp", "en", TemplateState::Pending)).await;
    let open = async |key: &str| {
        let request =
            http::Request::get("/api/v1/events/stream?after=AAAAAAAAAAAAAA").header("authorization", format!("Bearer {key}"));
        stage.send(request.body(axum::body::Body::empty()).unwrap()).await.into_body()
    };
    let (mut own, mut others) = (open(&stage.live).await, open(&stage.other).await);
    assert_eq!(
        stage
            .hook(stage.meta.decide("login_otp", "en", TemplateState::Approved).await)
            .await,
        200
    );
    // What the other service does is the first thing that its stream tells.
    let body = json!({ "to": OTHERS[0] });
    stage.post(&stage.other, "/api/v1/verifications", &body).await.expect(201);
    assert_eq!(first_event(&mut own).await, "template.status_changed");
    assert_eq!(first_event(&mut others).await, "verification.created");
}

async fn first_event(stream: &mut axum::body::Body) -> String {
    use http_body_util::BodyExt;
    let mut text = String::new();
    loop {
        if let Some(name) = text.lines().find_map(|line| line.strip_prefix("event: ")) {
            return name.to_owned();
        }
        let frame = tokio::time::timeout(crate::stage::PATIENCE, stream.frame())
            .await
            .expect("the stream tells something");
        text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
}
