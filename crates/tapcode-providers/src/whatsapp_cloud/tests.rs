//! Does the Cloud API's provider say what Meta documents, and believe nothing that Meta did not sign?

use bytes::Bytes;

use tapcode_core::delivery::ReceiptKind;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::Receipt;

use super::*;
use crate::suite::{self, Answer, CODE, Hook, NUMBER, SECRET, Subject, answer, call, code_message, meaning, message, reference};
use crate::whatsapp_webhook::UPDATES_MAX;

const HOOK_URL: &str = "https://otp.example.com/hooks/whatsapp/1";

fn config() -> WhatsappCloudConfig {
    WhatsappCloudConfig {
        base_url: "https://graph.example.com/".into(),
        api_version: "v25.0".into(),
        waba_id: "104857600".into(),
        phone_number_id: "206158430".into(),
        access_token: Secret::new(format!("{SECRET}-token")),
        app_secret: Secret::new(format!("{SECRET}-app")),
        verify_token: Secret::new(format!("{SECRET}-verify")),
        template: "login_otp".into(),
        template_languages: Vec::new(),
        default_language: None,
        appsecret_proof: false,
        identity_check: false,
    }
}

fn provider() -> WhatsappCloud {
    WhatsappCloud::new(config()).unwrap()
}

fn sign(_url: &str, body: &[u8]) -> String {
    format!("sha256={}", signature::hmac_sha256_hex(&config().app_secret, body))
}

fn subject() -> Subject {
    Subject {
        provider: Box::new(provider()),
        answers: Answer::recorded(include_str!("../../fixtures/whatsapp_cloud/answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = body.pointer("/messages/0/id")?.as_str()?;
            (!id.trim().is_empty()).then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/whatsapp_cloud/hooks.json"), HOOK_URL),
        foreign: Hook::recorded(include_str!("../../fixtures/whatsapp_cloud/foreign.json"), HOOK_URL),
        signature: "x-hub-signature-256",
        sign,
        over_raw_bytes: true,
    }
}

crate::provider_suite!(subject());

fn body_of(provider: &WhatsappCloud, message: &Message) -> Value {
    serde_json::from_slice(&provider.request(message).body).unwrap()
}

fn told(body: impl Into<Bytes>) -> Result<Vec<Receipt>, HookError> {
    let body = body.into();
    let signature = sign(HOOK_URL, &body);
    let hook = call(HOOK_URL, &[("x-hub-signature-256", signature.as_bytes())], body);
    provider().heard(&hook, suite::SENDER).map(|heard| heard.receipts)
}

fn statuses(statuses: &str) -> String {
    format!(
        r#"{{"entry":[{{"id":"104857600","changes":[{{"field":"messages","value":{{
            "metadata":{{"phone_number_id":"206158430"}},"statuses":[{statuses}]}}}}]}}]}}"#
    )
}

#[test]
fn a_code_goes_out_as_meta_documents_it() {
    let request = provider().request(&code_message("nl"));
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.url, "https://graph.example.com/v25.0/206158430/messages");
    assert_eq!(request.headers[AUTHORIZATION], format!("Bearer {SECRET}-token"));
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    let expected = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": NUMBER,
        "type": "template",
        "biz_opaque_callback_data": reference().to_string(),
        "template": {
            "name": "login_otp",
            "language": { "code": "nl" },
            "components": [
                { "type": "body", "parameters": [{ "type": "text", "text": CODE }] },
                { "type": "button", "sub_type": "url", "index": "0", "parameters": [{ "type": "text", "text": CODE }] },
            ],
        },
    });
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), expected);
}

#[test]
fn a_callers_template_goes_out_with_its_own_components() {
    let components = r#"[{"type":"body","parameters":[{"type":"text","text":"Ada"}]}]"#;
    let template = Content::Template {
        name: "welcome".into(),
        language: "pt_BR".into(),
        components: components.into(),
    };
    let body = body_of(&provider(), &message(template));
    assert_eq!(body["template"]["name"], "welcome");
    assert_eq!(body["template"]["language"]["code"], "pt_BR");
    assert_eq!(
        body["template"]["components"],
        serde_json::from_str::<Value>(components).unwrap()
    );
    let odd = Content::Template {
        name: "welcome".into(),
        language: "nl".into(),
        components: "no JSON".into(),
    };
    assert_eq!(body_of(&provider(), &message(odd))["template"]["components"], json!([]));
}

#[test]
fn the_template_is_asked_for_in_an_approved_language() {
    let config = WhatsappCloudConfig {
        template_languages: vec!["en_GB".into(), "nl".into()],
        default_language: Some("nl".into()),
        ..config()
    };
    let provider = WhatsappCloud::new(config).unwrap();
    for (locale, code) in [("en-US", "en_GB"), ("nl-BE", "nl"), ("de", "nl")] {
        assert_eq!(
            body_of(&provider, &code_message(locale))["template"]["language"]["code"],
            code,
            "{locale}"
        );
    }
    assert_eq!(
        body_of(&self::provider(), &code_message("tlh"))["template"]["language"]["code"],
        "en"
    );
}

#[test]
fn the_proof_is_the_tokens_hash_under_the_apps_secret() {
    let provider = WhatsappCloud::new(WhatsappCloudConfig {
        appsecret_proof: true,
        ..config()
    })
    .unwrap();
    let url = provider.request(&code_message("en")).url;
    let proof = url
        .strip_prefix("https://graph.example.com/v25.0/206158430/messages?appsecret_proof=")
        .unwrap();
    let hash = signature::sha256_from_hex(proof.as_bytes()).unwrap();
    assert!(signature::is_hmac_sha256(
        &config().app_secret,
        format!("{SECRET}-token").as_bytes(),
        &hash
    ));
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut WhatsappCloudConfig);
    let rows: [(&str, Break); 10] = [
        ("base_url", |c| c.base_url = "graph.facebook.com".into()),
        ("api_version", |c| c.api_version = "25.0".into()),
        ("waba_id", |c| c.waba_id = String::new()),
        ("phone_number_id", |c| c.phone_number_id = "1/../2".into()),
        ("access_token", |c| c.access_token = Secret::from("canary-secret\n")),
        ("access_token", |c| c.access_token = Secret::from("")),
        ("app_secret", |c| c.app_secret = Secret::from("")),
        ("verify_token", |c| c.verify_token = Secret::from("")),
        ("template", |c| c.template = "Login OTP".into()),
        ("default_language", |c| {
            c.template_languages = vec!["nl".into()];
            c.default_language = Some("de".into());
        }),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        let error = WhatsappCloud::new(config).unwrap_err();
        assert_eq!(error.key, key);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert!(!format!("{:?}", config()).contains(SECRET));
}

#[test]
fn a_status_without_metas_envelope_is_certain_only_where_nothing_was_processed() {
    let means = |status| meaning(&provider().outcome(&answer(status, "<html></html>")));
    assert_eq!(means(401), "trip_sender http_401");
    assert_eq!(means(404), "trip_sender http_404");
    assert_eq!(means(413), "our_mistake http_413");
    assert_eq!(means(429), "retry_here http_429");
    for status in [100, 204, 301, 302, 304, 402, 408, 409, 425, 499, 500, 502, 503, 504, 520, 999] {
        assert_eq!(means(status), "unclear", "{status}");
    }
}

#[test]
fn an_acceptance_has_an_id_of_whatever_shape() {
    let body = |id: &str| format!(r#"{{"messages":[{{"id":{id},"message_status":"accepted"}}]}}"#);
    let means = |id: &str| meaning(&provider().outcome(&answer(200, body(id))));
    let longest = "x".repeat(PROVIDER_MESSAGE_ID_MAX);
    for id in ["wamid.x", "wamid.", "gBEGkYiEB1VX", "7", "a b", &longest] {
        assert_eq!(means(&format!("\"{id}\"")), "accepted", "{id}");
    }
    for id in [
        "\"\"",
        "\" \"",
        "7",
        "null",
        "[]",
        r#""wamid.\n""#,
        r#""wamid.\u0000""#,
        "\"wamid.é\"",
        &format!("\"{longest}x\""),
    ] {
        assert_eq!(means(id), "unclear", "{id}");
    }
    let twice = r#"{"messages":[{"id":"wamid.x","message_status":"teleported"}]}"#;
    assert_eq!(meaning(&provider().outcome(&answer(200, twice))), "unclear");
    assert_eq!(
        meaning(&provider().outcome(&answer(400, body(r#""wamid.x""#)))),
        "our_mistake http_400"
    );
}

#[test]
fn a_held_message_keeps_its_id_so_that_a_late_receipt_finds_it() {
    let body = r#"{"messages":[{"id":"wamid.held","message_status":"held_for_quality_assessment"}]}"#;
    let SendOutcome::Failed {
        failure,
        provider_message_id,
    } = provider().outcome(&answer(200, body))
    else {
        panic!()
    };
    assert_eq!(failure.class, FailureClass::NextRoute);
    assert_eq!(provider_message_id.as_deref(), Some("wamid.held"));
}

#[test]
fn a_receipt_names_our_message_and_metas_time() {
    let body = statuses(&format!(
        r#"{{"id":"wamid.a","status":"delivered","timestamp":"1790000001","biz_opaque_callback_data":"{}"}}"#,
        reference()
    ));
    let expected = Receipt {
        reference: Some(reference()),
        provider_message_id: "wamid.a".into(),
        kind: ReceiptKind::Delivered,
        at: Some(Timestamp::from_millis(1_790_000_001_000)),
        billing: None,
        identity: None,
    };
    assert_eq!(told(body), Ok(vec![expected]));
}

#[test]
fn what_meta_adds_leaves_out_or_writes_otherwise_is_read_all_the_same() {
    // Ids and times as numbers, escapes, unknown fields, a foreign reference, and statuses that are none.
    let body = r#"{"object":"whatsapp_business_account","new":[1,{"a":null}],"entry":[
        {"id":104857600,"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":206158430},
          "statuses":[{"id":"wamid.\u0061","status":"read","timestamp":1790000001,"biz_opaque_callback_data":"caf\u00e9"},
                      {"id":"wamid.b","status":"failed","errors":[{"code":"131026","title":"Niet bezorgd \u2013"}]},
                      {"id":"wamid.c","status":"failed"},
                      {"id":"wamid.d","status":"delivered","timestamp":"soon"},
                      {"id":"","status":"read"},{"id":7,"status":"read"},{"status":"read"},{"id":"wamid.e"},7,null,"x",[]]}}]},
        {"id":"104857600","changes":[{"value":{"metadata":{"phone_number_id":"206158430"},"statuses":"none"}},7,null]},
        {"id":"104857600"}]}"#;
    let receipts = told(body).unwrap();
    let shown: Vec<_> = receipts
        .iter()
        .map(|r| (&*r.provider_message_id, suite::told(&r.kind), r.at.is_some()))
        .collect();
    let expected = [
        ("wamid.a", "read".to_owned(), true),
        ("wamid.b", "unreachable 131026".to_owned(), false),
        ("wamid.c", "next_route failed".to_owned(), false),
        ("wamid.d", "delivered".to_owned(), false),
    ];
    assert_eq!(shown, expected);
    assert!(receipts.iter().all(|r| r.reference.is_none()));
}

#[test]
fn a_batch_of_a_thousand_is_read_and_one_without_end_is_not() {
    let batch = |n: usize| {
        let all: Vec<_> = (0..n)
            .map(|n| format!(r#"{{"id":"wamid.{n}","status":"delivered","timestamp":"1790000001"}}"#))
            .collect();
        told(statuses(&all.join(",")))
    };
    let receipts = batch(1_000).unwrap();
    assert_eq!(receipts.len(), 1_000);
    assert_eq!(&*receipts[999].provider_message_id, "wamid.999");
    assert_eq!(batch(UPDATES_MAX).unwrap().len(), UPDATES_MAX);
    assert_eq!(batch(UPDATES_MAX + 1), Err(HookError::Malformed));
}

#[test]
fn what_is_signed_and_no_hook_of_metas_is_malformed() {
    for body in ["", "{", "null", "[]", "7", "{}", r#"{"entry":{}}"#, &"[".repeat(100_000)] {
        assert_eq!(told(body.to_owned()), Err(HookError::Malformed), "{:.20}", body);
    }
    assert_eq!(told(r#"{"entry":[]}"#), Ok(vec![]));
}

#[test]
fn a_signature_has_one_spelling() {
    let body = statuses("");
    let right = sign(HOOK_URL, body.as_bytes());
    let hex = right.strip_prefix("sha256=").unwrap();
    let refused = |header: &str| {
        let hook = call(HOOK_URL, &[("x-hub-signature-256", header.as_bytes())], body.clone());
        assert_eq!(provider().heard(&hook, suite::SENDER), Err(HookError::Signature), "{header}");
    };
    let other = signature::hmac_sha256_hex(&Secret::from("another"), body.as_bytes());
    let empty = signature::hmac_sha256_hex(&Secret::from(""), body.as_bytes());
    let (upper, doubled) = (format!("sha256={}", hex.to_uppercase()), format!("{right}{hex}"));
    for header in [
        hex,
        &format!("SHA256={hex}"),
        &format!("sha1={hex}"),
        &upper,
        &doubled,
        "sha256=",
        &other,
        &empty,
    ] {
        refused(header);
    }
    for key in [other, empty] {
        refused(&format!("sha256={key}"));
    }
}

#[test]
fn the_handshake_is_answered_to_whoever_knows_the_word() {
    let get = |query: &str| {
        let mut hook = call(&format!("{HOOK_URL}{query}"), &[], "");
        hook.method = Method::GET;
        provider().handshake(&hook)
    };
    let right = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=canary-secret-verify";
    assert_eq!(get(right), Ok("1158201444".to_owned()));
    let long = right.replace("1158201444", &"1".repeat(CHALLENGE_MAX + 1));
    for wrong in [
        "",
        "?",
        "?hub.mode=subscribe&hub.challenge=1",
        &right.replace("-verify", "-verifi"),
        &right.replace("canary-secret-verify", ""),
        &right.replace("subscribe", "unsubscribe"),
        &right.replace("1158201444", ""),
        &right.replace("1158201444", "%3Cscript%3E"),
        &format!("{right}&hub.verify_token=canary-secret-verify"),
        &format!("{right}&hub.challenge=2"),
        &long,
    ] {
        assert_ne!(wrong, right);
        assert_eq!(get(wrong), Err(HookError::Handshake), "{wrong}");
    }
    assert_eq!(
        provider().handshake(&call(&format!("{HOOK_URL}{right}"), &[], "")),
        Err(HookError::Handshake),
        "not a GET"
    );
}
