//! Does what is known of an account decide where messages go, across restarts, and before Meta refuses?

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tapcode_core::account::{AccountInput, BreakerScope};
use tapcode_core::delivery::{Failure, FailureClass, TripScope};
use tapcode_core::number::Country;
use tapcode_simulator::Fault;
use tapcode_simulator::cloud_api::{Script, TemplateState};

use crate::stage::{self, Stage};

async fn ready(tier: &str) -> Stage {
    Stage::with(|meta| {
        meta.limit(tier);
        meta.has("login_otp", "en", TemplateState::Approved);
    })
    .await
}

/// The channel of a new verification's first message.
async fn first_channel(stage: &Stage, number: &str) -> String {
    let id = stage.begun(number).await;
    let begun = stage
        .get(&stage.live, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
    begun["attempts"][0]["channel"].as_str().unwrap().to_owned()
}

fn number(n: u32) -> String {
    format!("+316113980{n:02}")
}

#[tokio::test]
async fn an_open_breaker_outlives_the_server_and_closes_by_itself_once_a_probe_passes() {
    let mut stage = ready("TIER_2K").await;
    stage.meta.script(Script::error(401, 190));
    stage.begun(&number(1)).await;
    stage.until(&stage.live, "account.alert", 1).await;
    stage.restart().await;
    assert_eq!(first_channel(&stage, &number(2)).await, "sms");
    let breaker = stage.account(&stage.live).await["breakers"][0].clone();
    assert_eq!((&breaker["scope"], &breaker["code"]), (&json!("account"), &json!("190")));

    // What Meta says of the account now is as good as a message that passes: it is asked when the probe is due.
    stage.meta.script(Script::delivered());
    stage.clock.leap(31_000);
    let alerts = stage.until(&stage.live, "account.alert", 2).await;
    assert_eq!(alerts[1]["data"]["reason"], "breaker_closed");
    assert_eq!(first_channel(&stage, &number(3)).await, "whatsapp");
    assert_eq!(stage.account(&stage.live).await["breakers"], json!([]));
}

#[tokio::test]
async fn one_message_probes_a_breaker_that_no_reading_can_close_and_the_others_go_the_other_way() {
    let stage = ready("TIER_2K").await;
    // Payment: the number may be as healthy as it likes, messages to the Netherlands are refused.
    stage.meta.script(Script::error(400, 130_497));
    stage.begun(&number(1)).await;
    stage.until(&stage.live, "account.alert", 1).await;
    let breaker = stage.account(&stage.live).await["breakers"][0].clone();
    assert_eq!((&breaker["scope"], &breaker["country"]), (&json!("country"), &json!("NL")));
    assert_eq!(first_channel(&stage, &number(2)).await, "sms");
    assert_eq!(
        first_channel(&stage, "+14155550142").await,
        "whatsapp",
        "another country is not closed"
    );

    stage.meta.script(Script::silent());
    stage.clock.leap(31_000);
    let (one, other) = (number(3), number(4));
    let (one, other) = tokio::join!(first_channel(&stage, &one), first_channel(&stage, &other));
    let mut channels = [one, other];
    channels.sort();
    assert!(channels.contains(&"whatsapp".to_owned()), "{channels:?}");
    let alerts = stage.until(&stage.live, "account.alert", 2).await;
    assert_eq!(alerts[1]["data"]["reason"], "breaker_closed");
    assert_eq!(first_channel(&stage, &number(5)).await, "whatsapp");
}

#[tokio::test]
async fn whoever_is_one_too_many_for_metas_daily_limit_gets_an_sms_before_meta_refuses() {
    let mut stage = ready("TIER_50").await;
    for n in 0..50 {
        assert_eq!(first_channel(&stage, &number(n)).await, "whatsapp", "{n}");
    }
    assert_eq!(first_channel(&stage, &number(50)).await, "sms");
    let created = stage.events(&stage.live, "verification.created").await;
    assert_eq!(
        created[50]["data"]["skipped"],
        json!([{ "channel": "whatsapp", "sender": 1, "reason": "messaging_limit", "detail": "50" }])
    );
    // The count is written down, and a server that starts knows it.
    stage.restart().await;
    assert_eq!(first_channel(&stage, &number(51)).await, "sms");
    stage.clock.leap(300_000);
    assert_eq!(
        first_channel(&stage, &number(7)).await,
        "whatsapp",
        "somebody who was written to already is not one more"
    );
    stage.clock.leap(25 * 3_600_000);
    assert_eq!(
        first_channel(&stage, &number(51)).await,
        "whatsapp",
        "a day later there is room again"
    );
    stage.meta.until_sent(52).await;
    assert_eq!(stage.meta.sent().len(), 52, "Meta was asked for nothing that went by SMS");
}

fn failed(code: u32) -> Value {
    json!({ "status": "failed", "errors": [{ "code": code, "title": "no" }] })
}

#[tokio::test]
async fn what_fails_only_after_it_was_taken_is_probed_ever_less_often_until_a_message_arrives() {
    let stage = ready("TIER_2K").await;
    stage.meta.script(Script::silent());
    stage.begun(&number(1)).await;
    stage.told(0, failed(131_042)).await;
    stage.until(&stage.live, "account.alert", 1).await;
    assert_eq!(first_channel(&stage, &number(2)).await, "sms");

    stage.clock.leap(31_000);
    assert_eq!(first_channel(&stage, &number(3)).await, "whatsapp", "the probe");
    stage.until(&stage.live, "message.accepted", 2).await;
    let open = stage.known(|known| !known.account.breakers.is_empty()).await;
    assert_eq!(
        open.account.breakers[0].failed_probes, 0,
        "that Meta took it says nothing yet"
    );
    stage.told(1, failed(131_042)).await;
    stage.known(|known| known.account.breakers[0].failed_probes == 1).await;
    stage.clock.leap(31_000);
    assert_eq!(
        first_channel(&stage, &number(4)).await,
        "sms",
        "the next probe waits twice as long"
    );
    stage.clock.leap(31_000);
    assert_eq!(first_channel(&stage, &number(5)).await, "whatsapp");
    stage.told(2, json!({ "status": "delivered" })).await;
    stage.known(|known| known.account.breakers.is_empty()).await;
    assert_eq!(first_channel(&stage, &number(6)).await, "whatsapp");
    assert_eq!(
        stage.events(&stage.live, "account.alert").await.len(),
        2,
        "opened once, closed once"
    );
}

#[tokio::test]
async fn a_provider_that_never_answers_is_probed_ever_less_often_however_healthy_it_says_it_is() {
    let stage = ready("TIER_2K").await;
    stage.meta.script(Script::fault(Fault::ReadThenClose));
    for n in 0..8 {
        stage.begun(&number(n)).await;
    }
    let alerts = stage.until(&stage.live, "account.alert", 1).await;
    assert_eq!(alerts[0]["data"]["failure"]["code"], "burst", "{alerts:#?}");
    assert_eq!(first_channel(&stage, &number(10)).await, "sms");
    stage.clock.leap(31_000);
    assert_eq!(first_channel(&stage, &number(11)).await, "whatsapp", "the probe");
    let open = stage.known(|known| known.account.breakers[0].failed_probes == 1).await;
    assert_eq!(&*open.account.breakers[0].code, "burst");
    // The health is read meanwhile, and is good: it tells nothing of whether calls are answered.
    stage.meta.until_asked(&Method::GET, "/message_templates", 1).await;
    stage.clock.leap(31_000);
    assert_eq!(
        first_channel(&stage, &number(12)).await,
        "sms",
        "the next probe waits twice as long"
    );
    stage.clock.leap(31_000);
    stage.meta.script(Script::silent());
    assert_eq!(first_channel(&stage, &number(13)).await, "whatsapp");
    stage.known(|known| known.account.breakers.is_empty()).await;
}

#[tokio::test]
async fn no_probe_is_spent_on_a_way_that_another_breaker_closes() {
    let stage = ready("TIER_2K").await;
    let trip = async |scope| {
        let failure = Failure::new(FailureClass::TripBreaker(TripScope::Sender), "1", "closed");
        let tripped = AccountInput::Tripped {
            scope,
            failure,
            late: true,
        };
        stage.engine.apply_account(&stage.sender(), &tripped).await.unwrap();
    };
    trip(BreakerScope::Country(Country::parse("NL").unwrap())).await;
    stage.clock.leap(20_000);
    trip(BreakerScope::Sender(1)).await;
    // The country's probe is due, the number's is not.
    stage.clock.leap(25_000);
    assert_eq!(first_channel(&stage, &number(1)).await, "sms");
    stage.clock.leap(6_000);
    assert_eq!(
        first_channel(&stage, &number(2)).await,
        "whatsapp",
        "now both are, and one message probes both"
    );
    assert_eq!(first_channel(&stage, &number(3)).await, "sms");
}

#[tokio::test]
async fn people_that_another_node_wrote_to_count_for_the_daily_limit() {
    let stage = ready("TIER_50").await;
    let other = stage::engine(&(Arc::clone(&stage.store) as Arc<_>), &stage.meta, &stage.clock).await;
    for n in 0..50 {
        assert_eq!(first_channel(&stage, &number(n)).await, "whatsapp", "{n}");
    }
    stage.meta.until_sent(50).await;
    stage::known(&other, |known| known.people_written_to == 50).await;
    other.stop().await;
}

#[tokio::test]
async fn a_list_of_templates_that_is_older_than_the_news_is_asked_for_again() {
    let stage = ready("TIER_2K").await;
    let before = stage.meta.asked(&Method::GET, "/message_templates").len();
    let held = stage.meta.hold("/message_templates");
    let refresh = stage.refreshed();
    let news = async {
        stage.meta.until_asked(&Method::GET, "/message_templates", before + 1).await;
        let paused = stage.meta.decide("login_otp", "en", TemplateState::Paused).await;
        assert_eq!(stage.hook(paused).await, 200);
        drop(held);
    };
    tokio::join!(refresh, news);
    assert_eq!(
        stage.engine.approved_languages(&stage.sender(), "login_otp"),
        Some(Vec::new())
    );
    // More than once, where the news came in the very millisecond of the second question.
    assert!(stage.meta.asked(&Method::GET, "/message_templates").len() >= before + 2);
    assert_eq!(first_channel(&stage, &number(1)).await, "sms");
}

#[tokio::test]
async fn an_account_whose_reading_hangs_still_hears_of_itself_and_writes_down_whom_it_wrote_to() {
    let stage = ready("TIER_50").await;
    let before = stage.meta.asked(&Method::GET, "/message_templates").len();
    let _held = stage.meta.hold("/message_templates");
    stage.clock.leap(601_000);
    stage.meta.until_asked(&Method::GET, "/message_templates", before + 1).await;
    let other = stage::engine(&(Arc::clone(&stage.store) as Arc<_>), &stage.meta, &stage.clock).await;
    stage.begun(&number(1)).await;
    stage::known(&other, |known| known.people_written_to == 1).await;
    other.stop().await;
}

#[tokio::test]
async fn the_template_of_codes_is_found_behind_a_thousand_others() {
    let stage = Stage::with(|meta| {
        for n in 0..1_000 {
            meta.has(&format!("a_template_{n}"), "en", TemplateState::Approved);
        }
        meta.has("login_otp", "en", TemplateState::Approved);
    })
    .await;
    let approved = stage.engine.approved_languages(&stage.sender(), "login_otp");
    assert_eq!(approved, Some(vec!["en".into()]));
}

#[tokio::test]
async fn a_message_of_another_category_is_never_booked_as_a_code() {
    let stage = ready("TIER_2K").await;
    let created = stage.plain("en").await.expect(201);
    let pricing = json!({ "billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility" });
    stage.told(0, json!({ "status": "delivered", "pricing": pricing })).await;
    stage.told(0, json!({ "status": "read" })).await;
    let path = format!("/api/v1/whatsapp/messages/{}", created["id"].as_str().unwrap());
    let message = stage.get(&stage.live, &path).await.expect(200);
    assert_eq!((&message["status"], &message["price"]), (&json!("read"), &Value::Null));
}
