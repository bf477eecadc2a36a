//! Does MessageBird's provider say what its libraries say, and believe nothing that MessageBird did not sign or was not told
//! where to send?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use hmac::{Hmac, KeyInit, Mac};

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{
    self, Answer, Carried, Hook, NUMBER, SECRET, Subject, answer, call, code_message, header_to_query, meaning, message,
    reference,
};

const HOOK: &str = "https://otp.example.com/hooks/sms/42";

fn config() -> MessagebirdConfig {
    MessagebirdConfig {
        base_url: "https://rest.example.com/".into(),
        access_key: Secret::new(format!("{SECRET}-access")),
        from: "Acme".into(),
        callback_url: HOOK.into(),
        signing_key: Some(Secret::new(format!("{SECRET}-signing"))),
        callback_secret: None,
    }
}

fn secret_config() -> MessagebirdConfig {
    MessagebirdConfig {
        signing_key: None,
        callback_secret: Some(Secret::new(format!("{SECRET}-address"))),
        ..config()
    }
}

fn provider() -> Messagebird {
    Messagebird::new(config()).unwrap()
}

fn hook_url() -> String {
    format!("{HOOK}?ref={}", reference())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As MessageBird's libraries check it, without a line of the provider.
fn sign(url: &str, body: &[u8]) -> String {
    let mut claims = json!({
        "iss": "MessageBird", "nbf": 1_625_479_200, "exp": 1_625_479_260, "jti": "c946af77-e182-4eaa-b2ff-1a545b5e991a",
        "url_hash": hex(url.as_bytes()),
    });
    if !body.is_empty() {
        claims["payload_hash"] = json!(hex(body));
    }
    token(&claims)
}

fn token(claims: &Value) -> String {
    let header = BASE64_URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", BASE64_URL.encode(claims.to_string()));
    let mac = <Hmac<Sha256>>::new_from_slice(format!("{SECRET}-signing").as_bytes()).unwrap();
    let signature = mac.chain_update(&signed).finalize().into_bytes();
    format!("{signed}.{}", BASE64_URL.encode(signature))
}

fn subject(provider: Box<dyn HttpProvider>, signature: &'static str, sign: fn(&str, &[u8]) -> String) -> Subject {
    Subject {
        provider,
        answers: Answer::recorded(include_str!("../../fixtures/messagebird/answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = body.get("id")?.as_str()?;
            let failed = ["delivery_failed", "expired"];
            let items = body.pointer("/recipients/items").and_then(Value::as_array);
            let has_failed = items.is_some_and(|items| {
                let status = |item: &Value| item.get("status").and_then(Value::as_str).map(str::to_owned);
                items.iter().filter_map(status).any(|status| failed.contains(&&*status))
            });
            let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
            (fits && !has_failed).then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/messagebird/hooks.json"), &hook_url()),
        foreign: Hook::recorded(include_str!("../../fixtures/messagebird/foreign.json"), HOOK),
        signature,
        sign,
        over_raw_bytes: true,
    }
}

mod signed {
    use super::*;

    crate::provider_suite!(subject(Box::new(provider()), SIGNATURE, sign));
}

mod by_secret {
    use super::*;

    crate::provider_suite!(secret: subject(
        Box::new(Carried {
            provider: Messagebird::new(secret_config()).unwrap(),
            carry: |hook| header_to_query(hook, "x-key", "key"),
        }),
        "x-key",
        |_, _| format!("{SECRET}-address")
    ));
}

fn sent(provider: &Messagebird, message: &Message) -> Value {
    serde_json::from_slice(&provider.request(message).body).unwrap()
}

fn heard(provider: &Messagebird, url: &str) -> Result<Vec<Receipt>, HookError> {
    let hook = call(url, &[(SIGNATURE, sign(url, b"").as_bytes())], "");
    provider.heard(&hook, suite::SENDER).map(|heard| heard.receipts)
}

#[test]
fn a_code_goes_out_as_messagebirds_libraries_send_it() {
    let request = provider().request(&code_message("en"));
    assert_eq!(
        (&request.method, &*request.url),
        (&Method::POST, "https://rest.example.com/messages")
    );
    assert_eq!(request.headers[AUTHORIZATION], format!("AccessKey {SECRET}-access"));
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    let expected = json!({
        "originator": "Acme",
        "recipients": [&NUMBER[1..]],
        "type": "sms",
        "datacoding": "auto",
        "validity": 300,
        "reference": reference().to_string(),
        "reportUrl": hook_url(),
        "body": "739154 is your Acme code.",
    });
    assert_eq!(sent(&provider(), &code_message("en")), expected);
    let with_secret = sent(&Messagebird::new(secret_config()).unwrap(), &code_message("en"));
    assert_eq!(with_secret["reportUrl"], format!("{}&key={SECRET}-address", hook_url()));
}

#[test]
fn a_template_makes_no_sms() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    assert_eq!(sent(&provider(), &message(template)).get("body"), None);
}

#[test]
fn messagebirds_own_tokens_are_judged_as_its_libraries_judge_them() {
    let tokens: Vec<Value> = serde_json::from_str(include_str!("../../fixtures/messagebird/tokens.json")).unwrap();
    assert_eq!(tokens.len(), 11);
    let key = Secret::from("36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb");
    for token in tokens {
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        let hook = call(&text("url"), &[(SIGNATURE, text("token").as_bytes())], text("body"));
        assert_eq!(json!(is_signed(&hook, &key)), token["is_right"], "{token}");
    }
}

#[test]
fn a_token_about_something_else_proves_nothing() {
    let url = format!("{}&id=m1&status=delivered", hook_url());
    let right = json!({"iss": "MessageBird", "jti": "1", "url_hash": hex(url.as_bytes())});
    let is_believed = |claims: &Value| {
        let hook = call(&url, &[(SIGNATURE, token(claims).as_bytes())], "");
        provider().heard(&hook, 1).is_ok()
    };
    assert!(is_believed(&right));
    for (name, value) in [
        ("iss", json!("messagebird")),
        ("iss", Value::Null),
        ("url_hash", json!(hex(HOOK.as_bytes()))),
        ("url_hash", json!(hex(url.as_bytes()).to_uppercase())),
        ("url_hash", Value::Null),
        ("payload_hash", json!(hex(b""))),
        ("payload_hash", json!("")),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(!is_believed(&wrong), "{wrong}");
    }
}

#[test]
fn where_both_are_configured_both_are_asked_for() {
    let both = Messagebird::new(MessagebirdConfig {
        callback_secret: secret_config().callback_secret,
        ..config()
    })
    .unwrap();
    let url = format!("{}&key={SECRET}-address&id=m1&status=sent", hook_url());
    assert_eq!(heard(&both, &url).map(|receipts| receipts.len()), Ok(1));
    assert_eq!(both.heard(&call(&url, &[], ""), 1), Err(HookError::Signature));
    let without = format!("{}&id=m1&status=sent", hook_url());
    assert_eq!(heard(&both, &without), Err(HookError::Signature));
}

#[test]
fn a_report_is_led_by_the_address_or_by_the_reference_that_came_back() {
    for url in [
        format!("{}&id=m1&status=sent", hook_url()),
        format!("{}&id=m1&status=sent&reference=cut", hook_url()),
        format!("{HOOK}?id=m1&status=sent&reference={}", reference()),
    ] {
        let receipts = heard(&provider(), &url).unwrap();
        assert_eq!(
            (receipts[0].reference, &*receipts[0].provider_message_id),
            (Some(reference()), "m1"),
            "{url}"
        );
    }
}

#[test]
fn what_is_proven_and_no_report_is_malformed() {
    for query in [
        "",
        "id=m1",
        "status=sent",
        "id=&status=sent",
        "id=m1&status=",
        "id=m1&id=m2&status=sent",
        "id=m%201&status=sent",
    ] {
        let heard = heard(&provider(), &format!("{}&{query}", hook_url()));
        assert_eq!(heard, Err(HookError::Malformed), "{query}");
    }
}

#[test]
fn every_code_is_decided() {
    let class = |code: u32| reported("delivery_failed", Some(code), "").class;
    for code in [1, 5, 10, 11] {
        assert_eq!(class(code), FailureClass::Unreachable, "{code}");
    }
    for code in [2, 3, 9, 12, 34, 4711] {
        assert_eq!(class(code), NEXT, "{code}");
    }
    for code in [None, Some(0)] {
        assert_eq!(&*reported("expired", code, "unavailable subscriber").code, "expired");
    }
    assert_eq!(
        &*reported("expired", None, "unavailable subscriber").detail,
        "unavailable subscriber"
    );
}

#[test]
fn only_an_id_is_an_acceptance() {
    let means = |status, body: &str| meaning(&provider().outcome(&answer(status, body.to_owned())));
    assert_eq!(means(200, r#"{"id":"m1"}"#), "accepted");
    for id in ["null", "7", r#""""#, r#""a b""#, "[]"] {
        assert_eq!(means(201, &format!(r#"{{"id":{id}}}"#)), "unclear", "{id}");
    }
    for status in [302, 408, 409, 499, 500, 502, 504] {
        assert_eq!(means(status, r#"{"errors":[{"code":25}]}"#), "unclear", "{status}");
    }
    assert_eq!(means(401, "<html>"), "trip_account http_401");
    assert_eq!(means(404, "<html>"), "trip_sender http_404");
    assert_eq!(means(422, r#"{"errors":[]}"#), "our_mistake http_422");
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut MessagebirdConfig);
    let rows: [(&str, Break); 8] = [
        ("base_url", |c| c.base_url = "rest".into()),
        ("access_key", |c| c.access_key = Secret::from("")),
        ("access_key", |c| c.access_key = Secret::from("a\nb")),
        ("from", |c| c.from = String::new()),
        ("callback_url", |c| c.callback_url += "?x=1"),
        ("signing_key", |c| c.signing_key = Some(Secret::from(""))),
        ("callback_secret", |c| c.callback_secret = Some(Secret::from("short"))),
        ("callback_secret", |c| c.signing_key = None),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        assert_eq!(Messagebird::new(config).unwrap_err().key, key);
    }
    assert!(!format!("{:?} {:?}", config(), secret_config()).contains(SECRET));
}
