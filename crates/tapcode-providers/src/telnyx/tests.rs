//! Does Telnyx's provider say what Telnyx documents, and believe nothing that the account's key did not sign?

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use http::header::AUTHORIZATION;
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{self, Answer, Carried, Hook, SECRET, Subject, answer, code_message, meaning, message, reference};

const HOOK: &str = "https://otp.example.com/hooks/sms/42";
const SIGNED_AT: &str = "1566405230";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn config() -> TelnyxConfig {
    TelnyxConfig {
        base_url: "https://api.telnyx.example.com/".into(),
        api_key: Secret::new(format!("{SECRET}-key")),
        public_key: BASE64.encode(pair(7).public_key()),
        from: Some("+18445550001".into()),
        messaging_profile_id: None,
        callback_url: HOOK.into(),
    }
}

fn provider() -> Telnyx {
    Telnyx::new(config()).unwrap()
}

/// As Telnyx's documentation describes it, without a line of the provider.
fn sign(_url: &str, body: &[u8]) -> String {
    sign_with(&pair(7), SIGNED_AT, body)
}

fn sign_with(pair: &Ed25519KeyPair, signed_at: &str, body: &[u8]) -> String {
    BASE64.encode(pair.sign(&[signed_at.as_bytes(), b"|", body].concat()))
}

/// What comes beside a signature.
fn beside(mut hook: InboundHook) -> InboundHook {
    hook.headers.insert(TIMESTAMP, HeaderValue::from_static(SIGNED_AT));
    hook
}

crate::provider_suite!(Subject {
    provider: Box::new(Carried {
        provider: provider(),
        carry: beside
    }),
    answers: Answer::recorded(include_str!("../../fixtures/telnyx/answers.json")),
    documented_id: |body| {
        let body: Value = serde_json::from_slice(body).ok()?;
        let message = body.get("data")?;
        let id = message.get("id")?.as_str()?;
        let status = message.pointer("/to/0/status").and_then(Value::as_str);
        let has_failed = matches!(status, Some("sending_failed" | "delivery_failed"));
        let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
        (fits && !has_failed).then(|| id.to_owned())
    },
    hooks: Hook::recorded(include_str!("../../fixtures/telnyx/hooks.json"), HOOK),
    foreign: Hook::recorded(include_str!("../../fixtures/telnyx/foreign.json"), HOOK),
    signature: SIGNATURE,
    sign,
    over_raw_bytes: true,
});

fn body(provider: &Telnyx, message: &Message) -> Value {
    serde_json::from_slice(&provider.request(message).body).unwrap()
}

#[test]
fn a_message_is_asked_for_as_telnyx_documents_it() {
    let request = provider().request(&code_message("en"));
    assert_eq!(request.url, "https://api.telnyx.example.com/v2/messages");
    assert_eq!(request.headers[AUTHORIZATION], format!("Bearer {SECRET}-key"));
    assert!(request.headers[AUTHORIZATION].is_sensitive());
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "from": "+18445550001",
        "to": suite::NUMBER,
        "text": format!("{} is your Acme code.", suite::CODE),
        "type": "SMS",
        "encoding": "auto",
        "webhook_url": HOOK,
        "use_profile_webhooks": false,
        "tags": [reference().to_string()],
    });
    assert_eq!(body, expected);
}

#[test]
fn a_messaging_profile_chooses_the_sender_or_lends_its_name() {
    let profile = Some("4000eba1-a0c0-4563-9925-b25e842a7cb6".to_owned());
    let pool = Telnyx::new(TelnyxConfig {
        from: None,
        messaging_profile_id: profile.clone(),
        ..config()
    });
    let chosen = body(&pool.unwrap(), &message(Content::Text("hello".into())));
    assert_eq!(
        (chosen.get("from"), chosen["messaging_profile_id"].as_str()),
        (None, profile.as_deref())
    );
    let named = Telnyx::new(TelnyxConfig {
        from: Some("Acme".into()),
        messaging_profile_id: profile,
        ..config()
    });
    assert_eq!(body(&named.unwrap(), &code_message("en"))["from"], "Acme");
}

#[test]
fn what_cannot_work_is_refused_before_the_start() {
    let refused = |change: fn(&mut TelnyxConfig)| {
        let mut config = config();
        change(&mut config);
        Telnyx::new(config).unwrap_err().key
    };
    assert_eq!(refused(|c| c.base_url = "telnyx".into()), "base_url");
    assert_eq!(refused(|c| c.api_key = Secret::from("")), "api_key");
    assert_eq!(refused(|c| c.public_key = "e5j4=".into()), "public_key");
    assert_eq!(refused(|c| c.public_key = BASE64.encode([1; 33])), "public_key");
    assert_eq!(refused(|c| c.from = None), "messaging_profile_id");
}

fn heard(body: &Value, signed_at: &str, signature: &str) -> Result<Heard, HookError> {
    let headers = [(SIGNATURE, signature.as_bytes()), (TIMESTAMP, signed_at.as_bytes())];
    provider().heard(&suite::call(HOOK, &headers, body.to_string()), 1)
}

#[test]
fn a_report_is_believed_for_its_key_its_time_and_its_bytes() {
    let payload = json!({ "id": "m", "direction": "outbound", "tags": [reference().to_string()],
        "to": [{ "status": "delivered" }], "cost": { "amount": "0.0051", "currency": "USD" } });
    let report = json!({ "data": { "event_type": "message.finalized", "payload": payload } });
    let bytes = report.to_string();
    let right = sign_with(&pair(7), SIGNED_AT, bytes.as_bytes());
    let told = heard(&report, SIGNED_AT, &right).unwrap().receipts.remove(0);
    assert_eq!((told.reference, told.kind), (Some(reference()), ReceiptKind::Delivered));
    let price = Money {
        amount_micros: 5_100,
        currency: Currency::USD,
    };
    assert_eq!(told.billing, Some(Billing::Amount(price)));
    assert_eq!(heard(&report, "1566405231", &right), Err(HookError::Signature));
    let another = sign_with(&pair(8), SIGNED_AT, bytes.as_bytes());
    assert_eq!(heard(&report, SIGNED_AT, &another), Err(HookError::Signature));
    let undated = suite::call(HOOK, &[(SIGNATURE, right.as_bytes())], bytes);
    assert_eq!(provider().heard(&undated, 1), Err(HookError::Signature));
}

#[test]
fn a_message_that_failed_at_once_is_named_so_that_its_report_finds_it() {
    let refused = json!({ "data": { "id": "m", "to": [{ "status": "sending_failed" }], "errors": [{ "code": "40001" }] } });
    let outcome = provider().outcome(&answer(200, refused.to_string()));
    assert_eq!(meaning(&outcome), "unreachable 40001");
    assert!(matches!(outcome, SendOutcome::Failed { provider_message_id: Some(id), .. } if &*id == "m"));
}
