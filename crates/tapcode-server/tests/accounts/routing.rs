//! Does what is known of an account decide where messages go, across restarts, and before Meta refuses?

use serde_json::json;
use tapcode_simulator::cloud_api::{Script, TemplateState};

use crate::stage::Stage;

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
