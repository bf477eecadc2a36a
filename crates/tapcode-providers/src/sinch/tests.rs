//! Does Sinch's provider say what Sinch documents, and believe nothing that Sinch did not sign or was not told where to send?

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{
    self, Answer, Carried, Hook, SECRET, Subject, answer, call, code_message, header_to_query, meaning, message, reference,
};

const HOOK: &str = "https://otp.example.com/hooks/sms/42";
const NONCE: &str = "01FJA8B4A7BM43YGWSG9GBV067";
const TIMESTAMP: &str = "1634579353";
const SIGNATURE: &str = "x-sinch-webhook-signature";

fn config() -> SinchConfig {
    SinchConfig {
        base_url: "https://eu.sms.api.example.com/".into(),
        service_plan_id: "1b2c3d".into(),
        api_token: Secret::new(format!("{SECRET}-token")),
        from: "+3197010253000".into(),
        callback_url: Some(HOOK.into()),
        signing_secret: Some(Secret::new(format!("{SECRET}-signing"))),
        address_secret: None,
    }
}

fn secret_config() -> SinchConfig {
    SinchConfig {
        signing_secret: None,
        address_secret: Some(Secret::new(format!("{SECRET}-address"))),
        ..config()
    }
}

fn provider() -> Sinch {
    Sinch::new(config()).unwrap()
}

fn hook_url() -> String {
    format!("{HOOK}?ref={}", reference())
}

/// As Sinch's documentation describes it, without a line of the provider.
fn sign(_url: &str, body: &[u8]) -> String {
    sign_with(&format!("{SECRET}-signing"), body)
}

fn sign_with(key: &str, body: &[u8]) -> String {
    let mac = <Hmac<Sha256>>::new_from_slice(key.as_bytes())
        .unwrap()
        .chain_update(body)
        .chain_update(format!(".{NONCE}.{TIMESTAMP}"));
    BASE64.encode(mac.finalize().into_bytes())
}

/// What comes beside a signature.
fn beside(mut hook: InboundHook) -> InboundHook {
    for (name, value) in [
        ("x-sinch-webhook-signature-nonce", NONCE),
        ("x-sinch-webhook-signature-timestamp", TIMESTAMP),
        ("x-sinch-webhook-signature-algorithm", "HmacSHA256"),
    ] {
        hook.headers.insert(name, HeaderValue::from_static(value));
    }
    hook
}

fn subject(provider: Box<dyn HttpProvider>, signature: &'static str, sign: fn(&str, &[u8]) -> String) -> Subject {
    Subject {
        provider,
        answers: Answer::recorded(include_str!("../../fixtures/sinch/answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = body.get("id")?.as_str()?;
            let is_canceled = body.get("canceled").is_some_and(|canceled| canceled == &Value::Bool(true));
            let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
            (fits && !is_canceled).then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/sinch/hooks.json"), &hook_url()),
        foreign: Hook::recorded(include_str!("../../fixtures/sinch/foreign.json"), &hook_url()),
        signature,
        sign,
        over_raw_bytes: true,
    }
}

mod signed {
    use super::*;

    crate::provider_suite!(subject(
        Box::new(Carried {
            provider: provider(),
            carry: beside
        }),
        SIGNATURE,
        sign
    ));
}

mod by_secret {
    use super::*;

    crate::provider_suite!(secret: subject(
        Box::new(Carried {
            provider: Sinch::new(secret_config()).unwrap(),
            carry: |hook| header_to_query(hook, "x-key", "key"),
        }),
        "x-key",
        |_, _| format!("{SECRET}-address")
    ));
}

fn batch(provider: &Sinch, message: &Message) -> Value {
    serde_json::from_slice(&provider.request(message).body).unwrap()
}

fn report(status: &str, code: u32, client_reference: &str) -> String {
    format!(
        r#"{{"type":"recipient_delivery_report_sms","batch_id":"01W4","recipient":"12017777777","code":{code},"status":"{status}","client_reference":"{client_reference}"}}"#
    )
}

fn heard(provider: &Sinch, url: &str, body: &str) -> Result<Vec<Receipt>, HookError> {
    let hook = beside(call(
        url,
        &[(SIGNATURE, sign(url, body.as_bytes()).as_bytes())],
        body.to_owned(),
    ));
    provider.heard(&hook, suite::SENDER).map(|heard| heard.receipts)
}

#[test]
fn a_code_goes_out_as_sinch_documents_it() {
    let request = provider().request(&code_message("en"));
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.url, "https://eu.sms.api.example.com/xms/v1/1b2c3d/batches");
    assert_eq!(request.headers[AUTHORIZATION], format!("Bearer {SECRET}-token"));
    assert!(request.headers[AUTHORIZATION].is_sensitive());
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    let expected = json!({
        "from": "+3197010253000",
        "to": ["+31611398058"],
        "type": "mt_text",
        "client_reference": reference().to_string(),
        "body": "739154 is your Acme code.",
        "delivery_report": "per_recipient_final",
        "callback_url": hook_url(),
    });
    assert_eq!(batch(&provider(), &code_message("en")), expected);
}

#[test]
fn the_secret_goes_with_the_address_and_nowhere_else() {
    let provider = Sinch::new(secret_config()).unwrap();
    let batch = batch(&provider, &code_message("en"));
    assert_eq!(batch["callback_url"], format!("{}&key={SECRET}-address", hook_url()));
    let no_hook = SinchConfig {
        callback_url: None,
        ..secret_config()
    };
    let text = message(Content::Text("Hallo & tot zo, €5 é".into()));
    let batch = super::tests::batch(&Sinch::new(no_hook).unwrap(), &text);
    assert_eq!(batch["body"], "Hallo & tot zo, €5 é");
    assert_eq!(
        (&batch["delivery_report"], &batch["callback_url"]),
        (&json!("none"), &Value::Null)
    );
    assert!(!batch.to_string().contains(SECRET));
}

#[test]
fn a_template_makes_no_sms() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    assert_eq!(batch(&provider(), &message(template)).get("body"), None);
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut SinchConfig);
    let rows: [(&str, Break); 9] = [
        ("base_url", |c| c.base_url = "eu".into()),
        ("service_plan_id", |c| c.service_plan_id = "a/b".into()),
        ("service_plan_id", |c| c.service_plan_id = String::new()),
        ("api_token", |c| c.api_token = Secret::from("")),
        ("api_token", |c| c.api_token = Secret::from("a\nb")),
        ("from", |c| c.from = String::new()),
        ("callback_url", |c| c.callback_url = Some(format!("{HOOK}?x=1"))),
        ("signing_secret", |c| c.signing_secret = Some(Secret::from(""))),
        ("address_secret", |c| c.address_secret = Some(Secret::from("short"))),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        assert_eq!(Sinch::new(config).unwrap_err().key, key);
    }
    let neither = SinchConfig {
        signing_secret: None,
        ..config()
    };
    assert_eq!(Sinch::new(neither).unwrap_err().key, "address_secret");
    assert!(!format!("{:?} {:?}", config(), secret_config()).contains(SECRET));
}

#[test]
fn only_an_id_is_an_acceptance() {
    let means = |status, body: &str| meaning(&provider().outcome(&answer(status, body.to_owned())));
    assert_eq!(means(201, r#"{"id":"01FC"}"#), "accepted");
    for id in ["null", "7", r#""""#, r#"" ""#, r#""a b""#, "[]"] {
        assert_eq!(means(201, &format!(r#"{{"id":{id}}}"#)), "unclear", "{id}");
    }
    let long = "x".repeat(257);
    assert_eq!(means(201, &format!(r#"{{"id":"{long}"}}"#)), "unclear");
    for status in [100, 302, 402, 408, 409, 499, 500, 502, 504, 999] {
        assert_eq!(means(status, r#"{"id":"01FC"}"#), "unclear", "{status}");
    }
}

#[test]
fn every_code_of_an_answer_is_decided() {
    let class = |code: &str| match provider().outcome(&answer(400, format!(r#"{{"code":"{code}","text":"To +31611398058"}}"#))) {
        SendOutcome::Failed { failure, .. } => {
            assert!(!failure.detail.contains("3161"), "{failure:?}");
            failure.class
        }
        other => panic!("{other:?}"),
    };
    let rows = [
        ("missing_callback_url", OURS),
        ("syntax_constraint_violation", OURS),
        ("syntax_invalid_json", OURS),
        ("syntax_invalid_parameter_format", OURS),
        ("unknown_campaign", SENDER),
        ("unknown_group", OURS),
    ];
    assert_eq!(rows.len(), ANSWERED.len());
    for (code, decided) in rows {
        assert_eq!(class(code), decided, "{code}");
    }
    assert_eq!(class("new"), NEXT);
}

#[test]
fn every_code_of_a_report_is_decided() {
    let next = [
        61, 62, 64, 151, 153, 158, 159, 201, 202, 205, 210, 300, 360, 402, 403, 404, 406, 407, 408, 415, 416, 417, 418,
    ];
    let others = [
        (60, SENDER),
        (100, UNREACHABLE),
        (150, UNREACHABLE),
        (152, UNREACHABLE),
        (310, SENDER),
        (311, SENDER),
        (312, SENDER),
        (343, OURS),
        (405, OURS),
        (410, OURS),
        (411, OURS),
        (412, FailureClass::TripBreaker(TripScope::Country)),
        (413, ACCOUNT),
        (414, OURS),
    ];
    assert!(REPORTED.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(REPORTED.len(), next.len() + others.len());
    for (code, decided) in next.map(|code| (code, NEXT)).into_iter().chain(others) {
        let failure = reported("failed", Some(code));
        assert_eq!(
            (failure.class, &*failure.code),
            (decided, code.to_string().as_str()),
            "{code}"
        );
        assert_ne!(&*failure.detail, "an error that is not in our table");
    }
    assert_eq!(reported("failed", Some(399)).class, NEXT);
    for code in [None, Some(0), Some(400), Some(401)] {
        assert_eq!(&*reported("failed", code).code, "failed", "{code:?}");
    }
}

#[test]
fn the_bodys_reference_decides_and_the_address_may_not_differ() {
    let ours = reference().to_string();
    let body = report("Delivered", 0, &ours);
    let bare = heard(&provider(), HOOK, &body).unwrap();
    assert_eq!(
        (bare[0].reference, &*bare[0].provider_message_id),
        (Some(reference()), "01W4")
    );
    assert_eq!(heard(&provider(), &hook_url(), &body), Ok(bare));
    // The signature is not over the address: a report must not be led to another message by it.
    let other = hook_url().replace("a5a5", "a5a6");
    assert_ne!(other, hook_url());
    assert_eq!(heard(&provider(), &other, &body), Err(HookError::Foreign));
    assert_eq!(
        heard(&provider(), HOOK, &report("Delivered", 0, "order-7")),
        Err(HookError::Foreign)
    );
}

#[test]
fn an_address_is_believed_where_the_secret_is_in_it() {
    let body = r#"{"type":"recipient_delivery_report_sms","batch_id":"01W4","code":0,"status":"Delivered"}"#;
    assert_eq!(heard(&provider(), &hook_url(), body).unwrap()[0].reference, None);
    let secret = Sinch::new(secret_config()).unwrap();
    let url = format!("{}&key={SECRET}-address", hook_url());
    assert_eq!(heard(&secret, &url, body).unwrap()[0].reference, Some(reference()));
}

#[test]
fn where_both_are_configured_both_are_asked_for() {
    let both = Sinch::new(SinchConfig {
        address_secret: secret_config().address_secret,
        ..config()
    })
    .unwrap();
    let body = report("Delivered", 0, &reference().to_string());
    let url = format!("{}&key={SECRET}-address", hook_url());
    assert_eq!(heard(&both, &url, &body).map(|r| r.len()), Ok(1));
    assert_eq!(heard(&both, &hook_url(), &body), Err(HookError::Signature));
    assert_eq!(both.heard(&call(&url, &[], body), 1), Err(HookError::Signature));
}

#[test]
fn another_algorithm_or_a_missing_part_proves_nothing() {
    let body = report("Delivered", 0, &reference().to_string());
    let signature = sign(HOOK, body.as_bytes());
    let hook = || beside(call(HOOK, &[(SIGNATURE, signature.as_bytes())], body.clone()));
    assert!(provider().heard(&hook(), 1).is_ok());
    for name in ["-nonce", "-timestamp", "-algorithm"] {
        let name = format!("{SIGNATURE}{name}");
        for value in [None, Some("x"), Some(""), Some("HmacSHA1"), Some("HmacSHA512"), Some("none")] {
            let mut hook = hook();
            hook.headers.remove(&name);
            if let Some(value) = value {
                let name: http::HeaderName = name.parse().unwrap();
                hook.headers.insert(name, HeaderValue::from_static(value));
            }
            assert_eq!(provider().heard(&hook, 1), Err(HookError::Signature), "{name} {value:?}");
        }
    }
}

#[test]
fn what_is_proven_and_no_report_is_malformed() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"recipient_delivery_report_sms"}"#,
        r#"{"type":"recipient_delivery_report_sms","batch_id":"","status":"Delivered"}"#,
        r#"{"type":"recipient_delivery_report_sms","batch_id":"01W4"}"#,
    ] {
        assert_eq!(heard(&provider(), HOOK, body), Err(HookError::Malformed), "{body}");
    }
}
