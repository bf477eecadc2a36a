//! Can an operator see how an account stands, as its provider tells it and as messages found it?

use serde_json::{Value, json};
use tapcode_core::account::{AccountInput, BreakerScope};
use tapcode_core::delivery::{Failure, FailureClass, TripScope};
use tapcode_core::plan::Channel;
use tapcode_simulator::cloud_api::TemplateState;

use crate::stage::{ACCOUNTS, Stage};

#[tokio::test]
async fn an_account_shows_what_meta_says_of_it() {
    let stage = Stage::with(|meta| {
        meta.has("login_otp", "en", TemplateState::Approved);
        meta.has("login_otp", "nl", TemplateState::Paused);
    })
    .await;
    let account = stage.account(&stage.live).await;
    let read_at = account["health"]["read_at"].clone();
    assert!(read_at.is_string());
    assert_eq!(
        account,
        json!({ "id": 1, "provider": "whatsapp_cloud", "number": null, "template": "login_otp", "language": "en",
            "health": { "read_at": read_at, "unreadable": null, "verified_name": "Stand-in", "status": "CONNECTED",
                "quality": "green", "messages_per_second": 80, "messaging_limit": 2000, "people_written_to": 0,
                "templates": 2, "template_languages": ["en"] },
            "breakers": [] })
    );
    stage.plain("en").await.expect(201);
    // The call is made after the answer: its count is there once Meta's answer is.
    stage.until(&stage.live, "message.accepted", 1).await;
    assert_eq!(stage.account(&stage.live).await["health"]["people_written_to"], 1);
    stage.meta.limit("TIER_UNLIMITED");
    assert_eq!(stage.refreshed().await["health"]["messaging_limit"], "unlimited");
    let alerts = stage.events(&stage.live, "account.alert").await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["data"]["reason"], "messaging_limit");
}

#[tokio::test]
async fn how_an_account_stands_is_shown_to_whoever_uses_it() {
    let stage = Stage::set().await;
    assert!(stage.account(&stage.admin).await["health"].is_object());
    let seen = stage.account(&stage.other).await;
    assert_eq!(
        (&seen["id"], &seen["health"], &seen["breakers"]),
        (&json!(1), &Value::Null, &json!([]))
    );
    let refresh = |id| format!("{ACCOUNTS}/{id}/refresh");
    stage
        .post(&stage.live, &refresh("1"), &json!({}))
        .await
        .refuses(403, "insufficient_rights");
    stage
        .post(&stage.admin, &refresh("2"), &json!({}))
        .await
        .refuses(400, "no_templates");
    for id in ["9", "0", "one"] {
        stage
            .post(&stage.admin, &refresh(id), &json!({}))
            .await
            .refuses(400, "unknown_sender");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_read_says_why_and_closes() {
    let stage = Stage::set().await;
    stage.meta.expire_token();
    let path = format!("{ACCOUNTS}/1/refresh");
    let problem = stage
        .post(&stage.admin, &path, &json!({}))
        .await
        .refuses(502, "provider_refused");
    assert!(problem["detail"].as_str().unwrap().starts_with("190: "), "{problem}");
    let account = stage.account(&stage.live).await;
    assert!(
        account["health"]["unreadable"].as_str().unwrap().contains("expired"),
        "{account}"
    );
    assert_eq!(
        (&account["breakers"][0]["scope"], &account["breakers"][0]["code"]),
        (&json!("account"), &json!("190"))
    );
}

#[tokio::test]
async fn a_number_that_carries_nothing_says_why() {
    let stage = Stage::set().await;
    let sender = stage.engine.directory().sender(Channel::Sms, 42).unwrap().clone();
    let failure = Failure::new(FailureClass::TripBreaker(TripScope::Sender), "20003", "Authenticate");
    let scope = BreakerScope::Sender(42);
    stage
        .engine
        .apply_account(
            &sender,
            &AccountInput::Tripped {
                scope,
                failure,
                late: false,
            },
        )
        .await
        .unwrap();
    for key in [&stage.other, &stage.live, &stage.admin] {
        let list = stage.get(key, "/api/v1/numbers").await.expect(200);
        let breaker = &list["data"][0]["breakers"][0];
        assert_eq!(
            (&breaker["scope"], &breaker["sender"], &breaker["code"], &breaker["detail"]),
            (&json!("number"), &json!(42), &json!("20003"), &json!("Authenticate"))
        );
        assert_eq!(stage.events(key, "account.alert").await[0]["data"]["channel"], "sms");
    }
    assert_eq!(
        stage.account(&stage.admin).await["breakers"],
        json!([]),
        "another channel's senders have ids of their own"
    );
}
