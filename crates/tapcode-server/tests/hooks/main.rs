//! Does what providers tell, or do not tell, decide the fallback? Stories over real HTTP, between stand-ins for Meta and Twilio.

mod stage;
#[path = "../shared/unplugged.rs"]
mod unplugged;

use std::time::Duration;

use stage::{LONG_MS, PATIENCE, SHORT_MS, Stage};
use tapcode_core::delivery::MessageStatus::{Accepted, Delivered, Failed, Read, Sent, Unclear};
use tapcode_core::plan::Channel::{Sms, Whatsapp};
use tapcode_core::verification::Status;
use tapcode_simulator::cloud_api::{Answer, ReceiptStep, Script, Status as Told};
use tapcode_simulator::{CallbackAnswer, Fault, Signing, twilio};

/// Long enough for any answer that comes.
const DEADLINE_MS: u64 = 10_000;

#[tokio::test]
async fn delivered_on_whatsapp_is_the_end_of_the_fallback() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    stage.cloud.default_script(Script::delivered().then(ReceiptStep::read()));
    let id = stage.begin().await;
    let attempt = stage.until(id, Whatsapp, Read).await;
    let told = [
        attempt.delivery.accepted_at,
        attempt.delivery.sent_at,
        attempt.delivery.delivered_at,
        attempt.delivery.read_at,
    ];
    assert!(told.iter().all(Option::is_some), "{told:?}");
    stage.only_the_end_is_due(id).await;
    let words = stage.words(id).await.join("\n");
    for title in [
        "Began",
        "Queued on WhatsApp",
        "Calling whatsapp_cloud",
        "Accepted by",
        "Sent on",
        "Delivered on",
        "Read on",
    ] {
        assert!(words.contains(title), "{title} is not in\n{words}");
    }
    assert!(stage.twilio.requests().is_empty());
    assert!(
        stage
            .cloud
            .webhooks()
            .iter()
            .all(|webhook| webhook.answer == CallbackAnswer::Status(200))
    );
}

#[tokio::test]
async fn a_definite_failure_falls_back_at_once_with_the_same_code() {
    for (name, script) in [
        ("not on WhatsApp, told later", Script::not_on_whatsapp()),
        ("held for quality", Script::held()),
        (
            "paused",
            Script {
                answer: Answer::AcceptPaused,
                ..Script::default()
            },
        ),
        ("template not approved", Script::error(400, 132_001)),
        ("a parameter is wrong", Script::error(400, 131_009)),
        ("token expired", Script::error(401, 190)),
        ("too many messages to this user", Script::error(429, 131_056)),
    ] {
        let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
        stage.cloud.default_script(script);
        stage.twilio.default_script(twilio::Script::delivered());
        let id = stage.begin().await;
        stage.until(id, Sms, Delivered).await;
        assert_eq!(stage.cloud.requests().len(), 1, "{name}: called once");
        assert_eq!(stage.twilio.requests().len(), 1, "{name}: one SMS");
        assert!(stage.attempt(id, Whatsapp).await.unwrap().delivery.has_failed(), "{name}");
    }
}

#[tokio::test]
async fn a_number_that_is_not_on_whatsapp_gets_the_same_code_by_sms() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    stage.cloud.default_script(Script::not_on_whatsapp());
    stage.twilio.default_script(twilio::Script::delivered());
    let id = stage.begin().await;
    stage.until(id, Sms, Delivered).await;
    stage.one_code_on_both(id).await;
    assert_eq!(stage.verification(id).await.status, Status::Approved);
    assert!(
        stage
            .words(id)
            .await
            .iter()
            .any(|w| w.starts_with("Fell back to SMS") && w.contains("131026"))
    );
}

#[tokio::test]
async fn silence_falls_back_after_the_wait_and_not_before() {
    for script in [Script::silent(), Script::silent().then(ReceiptStep::sent())] {
        let stage = Stage::set(SHORT_MS, DEADLINE_MS).await;
        stage.cloud.default_script(script);
        stage.twilio.default_script(twilio::Script::delivered());
        let id = stage.begin().await;
        stage.until(id, Sms, Delivered).await;
        assert!(stage.fell_back_after_ms(id).await >= u64::from(SHORT_MS));
        stage.one_code_on_both(id).await;
    }
}

#[tokio::test]
async fn what_may_have_been_sent_is_never_sent_again_on_whatsapp() {
    for (fault, receipts) in [
        (Fault::ReadThenClose, vec![]),
        (Fault::ReadThenReset, vec![]),
        (Fault::ReadThenHang(Duration::from_secs(20)), vec![]),
        (Fault::CutShort, vec![]),
        (Fault::Garbage, vec![]),
        (Fault::Html(502), vec![]),
        (Fault::Html(500), vec![ReceiptStep::sent()]),
        (Fault::CloseBeforeRead, vec![]),
    ] {
        let stage = Stage::set(SHORT_MS, 150).await;
        stage.cloud.default_script(Script {
            receipts,
            ..Script::fault(fault)
        });
        stage.twilio.default_script(twilio::Script::delivered());
        let id = stage.begin().await;
        stage.until(id, Sms, Delivered).await;
        assert!(
            stage.fell_back_after_ms(id).await >= u64::from(SHORT_MS),
            "{fault:?}: unclear waits for its deadline"
        );
        let counts = stage.cloud.counts();
        assert_eq!(counts.requests + counts.unread, 1, "{fault:?}: called once");
        assert_eq!(stage.twilio.messages().len(), 1, "{fault:?}");
        let attempt = stage.attempt(id, Whatsapp).await.unwrap();
        assert!(
            matches!(attempt.delivery.status(), Unclear | Sent),
            "{fault:?}: {:?}",
            attempt.delivery.status()
        );
    }
}

#[tokio::test]
async fn a_late_receipt_after_an_unclear_call_is_recorded_and_stops_the_fallback() {
    let stage = Stage::set(LONG_MS, 150).await;
    let hang = Fault::ReadThenHang(Duration::from_secs(20));
    stage.cloud.default_script(Script::fault(hang));
    let id = stage.begin().await;
    stage.until(id, Whatsapp, Unclear).await;
    let message = stage.cloud.messages().remove(0);
    assert!(stage.cloud.send_receipt(&message, &ReceiptStep::delivered()).await.is_ok());
    // Durable before it was answered: no waiting here.
    let attempt = stage.attempt(id, Whatsapp).await.unwrap();
    assert_eq!(attempt.delivery.status(), Delivered);
    stage.only_the_end_is_due(id).await;
}

#[tokio::test]
async fn a_receipt_after_the_fallback_is_a_fact_and_sends_nothing() {
    let stage = Stage::set(SHORT_MS, DEADLINE_MS).await;
    stage.twilio.default_script(twilio::Script::delivered());
    let id = stage.begin().await;
    stage.until(id, Sms, Delivered).await;
    let message = stage.cloud.messages().remove(0);
    assert!(stage.cloud.send_receipt(&message, &ReceiptStep::delivered()).await.is_ok());
    assert_eq!(stage.attempt(id, Whatsapp).await.unwrap().delivery.status(), Delivered);
    assert!(
        stage
            .cloud
            .send_receipt(&message, &ReceiptStep::failed(131_026))
            .await
            .is_ok()
    );
    assert_eq!(
        stage.attempt(id, Whatsapp).await.unwrap().delivery.status(),
        Delivered,
        "arrived outranks failed"
    );
    assert_eq!((stage.cloud.messages().len(), stage.twilio.messages().len()), (1, 1));
}

#[tokio::test]
async fn a_refused_connection_is_certain_and_tried_once_more_before_the_fallback() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    stage.cloud.go_down().await;
    stage.twilio.default_script(twilio::Script::delivered());
    let id = stage.begin().await;
    stage.until(id, Sms, Delivered).await;
    let words = stage.words(id).await;
    assert_eq!(
        words.iter().filter(|w| w.starts_with("Calling whatsapp_cloud –")).count(),
        2,
        "{words:#?}"
    );
    assert_eq!(stage.cloud.counts().requests, 0);
}

#[tokio::test]
async fn duplicates_and_disorder_come_to_the_same_end() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    stage.cloud.default_script(
        Script::silent()
            .then(ReceiptStep::read().times(3))
            .then(ReceiptStep::delivered().times(2))
            .then(ReceiptStep::sent().with_previous()),
    );
    let id = stage.begin().await;
    stage.cloud.wait_for_webhooks(5, PATIENCE).await;
    let attempt = stage.attempt(id, Whatsapp).await.unwrap();
    assert_eq!(attempt.delivery.status(), Read);
    assert!(attempt.delivery.sent_at.is_some() && attempt.delivery.delivered_at.is_some());
    assert_eq!(
        stage
            .words(id)
            .await
            .iter()
            .filter(|w| w.starts_with("Read on WhatsApp"))
            .count(),
        1,
        "one fact"
    );
    assert!(stage.cloud.webhooks().iter().all(|webhook| webhook.answer.is_ok()));
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_answer_is_not_lost() {
    for (name, step) in [
        ("with our reference", ReceiptStep::delivered().early()),
        (
            "parked until its message is known",
            ReceiptStep::delivered().early().without_callback_data(),
        ),
    ] {
        let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
        stage.cloud.default_script(Script::silent().then(step));
        let id = stage.begin().await;
        stage.until(id, Whatsapp, Delivered).await;
        stage.only_the_end_is_due(id).await;
        stage.cloud.wait_for_webhooks(1, PATIENCE).await;
        assert!(stage.twilio.requests().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_receipt_without_our_reference_finds_its_message_by_the_providers_id() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    let id = stage.begin().await;
    stage.until(id, Whatsapp, Accepted).await;
    let message = stage.cloud.messages().remove(0);
    assert!(
        stage
            .cloud
            .send_receipt(&message, &ReceiptStep::delivered().without_callback_data())
            .await
            .is_ok()
    );
    assert_eq!(stage.attempt(id, Whatsapp).await.unwrap().delivery.status(), Delivered);
}

#[tokio::test]
async fn nobody_but_the_provider_can_stop_a_fallback() {
    for (step, answer) in [
        (ReceiptStep::delivered().forged(), 401),
        (ReceiptStep::delivered().unsigned(), 401),
        (
            ReceiptStep {
                signing: Signing::Header("sha256=".to_owned()),
                ..ReceiptStep::delivered()
            },
            401,
        ),
        (ReceiptStep::delivered().foreign(), 403),
    ] {
        let stage = Stage::set(SHORT_MS, DEADLINE_MS).await;
        stage.cloud.default_script(Script::silent().then(step.clone()));
        stage.twilio.default_script(twilio::Script::delivered());
        let id = stage.begin().await;
        stage.until(id, Sms, Delivered).await;
        let first = stage.cloud.wait_for_webhooks(1, PATIENCE).await.remove(0);
        assert_eq!(first.answer, CallbackAnswer::Status(answer), "{step:?}");
        assert_eq!(
            stage.attempt(id, Whatsapp).await.unwrap().delivery.delivered_at,
            None,
            "{step:?}"
        );
    }
}

#[tokio::test]
async fn nobody_but_the_provider_can_start_a_fallback() {
    for step in [
        ReceiptStep::failed(131_026).forged(),
        ReceiptStep::failed(131_026).unsigned(),
        ReceiptStep::failed(131_026).foreign(),
    ] {
        let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
        let id = stage.begin().await;
        stage.until(id, Whatsapp, Accepted).await;
        let before = stage.entries(id).await.len();
        let message = stage.cloud.messages().remove(0);
        assert!(!stage.cloud.send_receipt(&message, &step).await.is_ok(), "{step:?}");
        assert_eq!(stage.entries(id).await.len(), before, "{step:?}: nothing is written");
        assert!(stage.twilio.requests().is_empty());
    }
}

#[tokio::test]
async fn a_receipt_of_one_sender_says_nothing_about_anothers_message() {
    let stage = Stage::set(SHORT_MS, DEADLINE_MS).await;
    let id = stage.begin().await;
    stage.until(id, Sms, Accepted).await;
    // Properly signed by Meta, with the reference of the SMS.
    let message = stage.cloud.messages().remove(0);
    let mut update = message.update(Told::Delivered).unwrap();
    let whatsapp = update.biz_opaque_callback_data.clone().unwrap();
    let sms = stage.attempt(id, Sms).await.unwrap().id;
    let of_sms = format!("{sms}.{}", whatsapp.split_once('.').unwrap().1);
    assert_ne!(of_sms, whatsapp);
    update.biz_opaque_callback_data = Some(of_sms);
    assert!(
        stage.cloud.send_statuses(&[update]).await.is_ok(),
        "it is taken, so that it is not sent again"
    );
    assert_eq!(stage.attempt(id, Sms).await.unwrap().delivery.delivered_at, None);
}

#[tokio::test]
async fn a_thousand_statuses_in_one_webhook_are_durable_when_it_is_answered() {
    const MANY: usize = 1_000;
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    let mut ids = Vec::new();
    for n in 0..MANY {
        ids.push(stage.begin_for(&format!("+1415555{n:04}")).await);
    }
    let messages = stage.cloud.wait_for_messages(MANY, PATIENCE).await;
    let updates: Vec<_> = messages.iter().map(|m| m.update(Told::Delivered).unwrap()).collect();
    assert_eq!(stage.cloud.send_statuses(&updates).await, CallbackAnswer::Status(200));
    for id in ids {
        assert!(stage.attempt(id, Whatsapp).await.unwrap().delivery.has_arrived());
    }
    assert!(stage.twilio.requests().is_empty());
}

#[tokio::test]
async fn a_store_that_is_gone_makes_the_provider_come_again() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    let id = stage.begin().await;
    stage.until(id, Whatsapp, Accepted).await;
    let message = stage.cloud.messages().remove(0);
    stage.store.pull(true);
    assert_eq!(
        stage.cloud.send_receipt(&message, &ReceiptStep::delivered()).await,
        CallbackAnswer::Status(503)
    );
    stage.store.pull(false);
    assert_eq!(stage.attempt(id, Whatsapp).await.unwrap().delivery.status(), Accepted);
    assert_eq!(
        stage.cloud.send_receipt(&message, &ReceiptStep::delivered()).await,
        CallbackAnswer::Status(200)
    );
    assert_eq!(stage.attempt(id, Whatsapp).await.unwrap().delivery.status(), Delivered);
}

#[tokio::test]
async fn the_handshake_knows_the_word() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    let hook = format!("{}/hooks/whatsapp/1", stage.origin);
    stage.cloud.subscribe(&hook, stage::VERIFY_TOKEN).await.unwrap();
    assert!(stage.cloud.subscribe(&hook, "another word").await.is_err());
    let (status, body) = stage
        .call(
            "GET",
            "/hooks/whatsapp/1?hub.mode=subscribe&hub.challenge=7&hub.verify_token=no",
            vec![],
        )
        .await;
    assert_eq!((status, code(&body).as_str()), (403, "handshake_refused"));
    let (status, body) = stage
        .call(
            "GET",
            "/hooks/sms/42?hub.mode=subscribe&hub.challenge=7&hub.verify_token=no",
            vec![],
        )
        .await;
    assert_eq!(
        (status, code(&body).as_str()),
        (403, "handshake_refused"),
        "Twilio has no handshake"
    );
}

#[tokio::test]
async fn everything_else_is_refused_with_a_problem() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    for (path, body, status, word) in [
        ("/hooks/whatsapp/2", vec![], 404, "not_found"),
        ("/hooks/whatsapp/0", vec![], 404, "not_found"),
        ("/hooks/whatsapp/one", vec![], 404, "not_found"),
        ("/hooks/whatsapp/42", vec![], 404, "not_found"),
        ("/hooks/sms/1", vec![], 404, "not_found"),
        ("/hooks/whatsapp/1", vec![], 401, "invalid_signature"),
        (
            "/hooks/sms/42",
            b"MessageSid=SM1&MessageStatus=delivered".to_vec(),
            401,
            "invalid_signature",
        ),
        ("/hooks/whatsapp/1", vec![b' '; 4 * 1024 * 1024 + 1], 413, "body_too_large"),
    ] {
        let (answered, problem) = stage.call("POST", path, body).await;
        assert_eq!((answered, code(&problem).as_str()), (status, word), "{path}");
    }
    let signed = |body: &'static [u8]| stage.cloud.send_body(body, &Signing::Proper);
    assert_eq!(signed(b"{").await, CallbackAnswer::Status(400));
    assert_eq!(signed(b"[]").await, CallbackAnswer::Status(400));
    assert_eq!(stage.call("DELETE", "/hooks/whatsapp/1", vec![]).await.0, 405);
}

#[tokio::test]
async fn twilios_callbacks_decide_how_an_sms_went() {
    let stage = Stage::set(LONG_MS, DEADLINE_MS).await;
    stage.cloud.default_script(Script::not_on_whatsapp());
    stage.twilio.default_script(
        twilio::Script::silent()
            .then(twilio::ReceiptStep::sent())
            .then(twilio::ReceiptStep::undelivered(30_003)),
    );
    let id = stage.begin().await;
    stage.until(id, Sms, Failed).await;
    let callbacks = stage.twilio.wait_for_callbacks(2, PATIENCE).await;
    assert!(
        callbacks
            .iter()
            .all(|callback| callback.answer == CallbackAnswer::Status(204))
    );
    assert_eq!(
        stage.verification(id).await.status,
        Status::Failed,
        "every route definitely failed"
    );
    let message = stage.twilio.messages().remove(0);
    for (step, status) in [
        (twilio::ReceiptStep::delivered().forged(), 401),
        (twilio::ReceiptStep::delivered().unsigned(), 401),
        (twilio::ReceiptStep::delivered().foreign(), 403),
    ] {
        assert_eq!(
            stage.twilio.send_receipt(&message, &step).await,
            CallbackAnswer::Status(status),
            "{step:?}"
        );
        assert_eq!(stage.attempt(id, Sms).await.unwrap().delivery.status(), Failed, "{step:?}");
    }
    assert!(
        stage
            .twilio
            .send_receipt(&message, &twilio::ReceiptStep::delivered())
            .await
            .is_ok()
    );
    assert_eq!(
        stage.attempt(id, Sms).await.unwrap().delivery.status(),
        Delivered,
        "a late fact is a fact"
    );
}

fn code(problem: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(problem).expect("a problem is JSON");
    problem["code"].as_str().expect("a problem has a code").to_owned()
}
