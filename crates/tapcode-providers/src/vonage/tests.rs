//! Does Vonage's provider say what Vonage documents over both APIs, and believe nothing that the account's secret did not sign?

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

use super::*;
use crate::suite::{CODE, NUMBER, SECRET, call, code_message, header_to_query, message, reference};
use tapcode_engine::contract::provider::Content;

const HOOK: &str = "https://otp.example.com/hooks/sms/42";
const KEY: &str = "a1b2c3d";
const SIGNING: &str = "canary-secret-of-signatures";

fn config(api: Api) -> VonageConfig {
    VonageConfig {
        api,
        base_url: "https://api.vonage.example.com/".into(),
        api_key: KEY.into(),
        api_secret: Secret::new(format!("{SECRET}-api")),
        from: "+447700900001".into(),
        callback_url: HOOK.into(),
        signature_secret: Some(Secret::from(SIGNING)),
        callback_secret: None,
    }
}

fn provider(api: Api) -> Vonage {
    Vonage::new(config(api)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac<M: Mac + KeyInit>(key: &str, text: &str) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

/// A token as Vonage's documentation describes it, without a line of the provider.
fn token(key: &str, claims: &Value) -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
    let mac = hmac::<Hmac<Sha256>>(key, &signed);
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac);
    format!("Bearer {signed}.{signature}")
}

fn claims(body: &[u8]) -> Value {
    json!({ "iat": 1_587_494_962, "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage",
        "payload_hash": hex(&Sha256::digest(body)), "api_key": KEY })
}

/// What the SMS API signs, by its guide.
fn signed_text(pairs: &[u8]) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(pairs).into_owned().collect();
    pairs.sort();
    let one = |(name, value): &(String, String)| format!("&{name}={}", value.replace(['&', '='], "_"));
    pairs.iter().map(one).collect()
}

mod messages {
    use super::*;
    use crate::suite::{Answer, Hook, Subject};

    crate::provider_suite!(Subject {
        provider: Box::new(provider(Api::Messages)),
        answers: Answer::recorded(include_str!("../../fixtures/vonage/messages-answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = body.get("message_uuid")?.as_str()?;
            let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
            fits.then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/vonage/messages-hooks.json"), HOOK),
        foreign: Hook::recorded(include_str!("../../fixtures/vonage/messages-foreign.json"), HOOK),
        signature: "authorization",
        sign: |_, body| token(SIGNING, &claims(body)),
        over_raw_bytes: true,
    });
}

mod sms {
    use super::*;
    use crate::suite::{Answer, Carried, Hook, Subject};

    crate::provider_suite!(Subject {
        provider: Box::new(Carried {
            provider: provider(Api::Sms),
            carry: |hook| header_to_query(hook, "x-sig", "sig"),
        }),
        answers: Answer::recorded(include_str!("../../fixtures/vonage/sms-answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let parts = body.get("messages")?.as_array()?;
            let is_taken = |part: &Value| part["status"] == "0" || part["status"].as_u64() == Some(0);
            let id = parts.first()?.get("message-id")?.as_str()?;
            let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
            (fits && parts.iter().all(is_taken)).then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/vonage/sms-hooks.json"), HOOK),
        foreign: Hook::recorded(include_str!("../../fixtures/vonage/sms-foreign.json"), HOOK),
        signature: "x-sig",
        // Vonage sends no body with a `GET`; one that was signed along has another signature.
        sign: |url, body| {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let text = signed_text(query.as_bytes()) + &String::from_utf8_lossy(body);
            hex(&hmac::<Hmac<Sha256>>(SIGNING, &text))
        },
        // What is signed is what the parameters mean: `+` and `%20` are one.
        over_raw_bytes: false,
    });
}

fn body(provider: &Vonage, message: &Message) -> Value {
    serde_json::from_slice(&provider.request(message).body).unwrap()
}

#[test]
fn a_message_is_asked_for_as_vonage_documents_it() {
    let request = provider(Api::Messages).request(&code_message("en"));
    assert_eq!(request.url, "https://api.vonage.example.com/v1/messages");
    let basic = BASE64.encode(format!("{KEY}:{SECRET}-api"));
    assert_eq!(request.headers[AUTHORIZATION], format!("Basic {basic}"));
    let expected = json!({
        "channel": "sms", "message_type": "text", "from": "447700900001", "to": &NUMBER[1..],
        "text": format!("{CODE} is your Acme code."), "ttl": 300, "client_ref": reference().to_string(),
        "webhook_url": HOOK, "webhook_version": "v1", "sms": { "encoding_type": "auto" },
    });
    assert_eq!(body(&provider(Api::Messages), &code_message("en")), expected);
}

#[test]
fn the_sms_api_is_asked_with_its_credentials_in_the_body() {
    let request = provider(Api::Sms).request(&code_message("en"));
    assert_eq!(request.url, "https://api.vonage.example.com/sms/json");
    assert!(!request.headers.contains_key(AUTHORIZATION));
    let expected = json!({
        "api_key": KEY, "api_secret": format!("{SECRET}-api"), "from": "447700900001", "to": &NUMBER[1..], "type": "text",
        "text": format!("{CODE} is your Acme code."), "ttl": 300_000, "client-ref": reference().to_string(), "callback": HOOK,
    });
    assert_eq!(body(&provider(Api::Sms), &code_message("en")), expected);
    let cyrillic = message(Content::Text("ваш код".into()));
    assert_eq!(body(&provider(Api::Sms), &cyrillic)["type"], "unicode");
    assert!(reference().to_string().len() <= 100);
}

#[test]
fn vonage_tries_no_shorter_and_no_longer_than_it_takes() {
    let ttl = |api, useful_ms| {
        let message = Message {
            useful_ms,
            ..code_message("en")
        };
        body(&provider(api), &message)["ttl"].as_u64().unwrap()
    };
    assert_eq!((ttl(Api::Messages, 1), ttl(Api::Messages, u64::MAX)), (20, 259_200));
    assert_eq!((ttl(Api::Sms, 1), ttl(Api::Sms, u64::MAX)), (20_000, 604_800_000));
}

#[test]
fn a_webhook_is_believed_for_its_issuer_its_account_and_its_bytes() {
    let told = json!({ "message_uuid": "m", "status": "delivered", "client_ref": reference().to_string(),
        "usage": { "currency": "EUR", "price": "0.0333" } });
    let bytes = told.to_string();
    let heard = |claims: &Value, key| {
        let header = token(key, claims);
        provider(Api::Messages).heard(&call(HOOK, &[("authorization", header.as_bytes())], bytes.clone()), 1)
    };
    let right = claims(bytes.as_bytes());
    let receipt = heard(&right, SIGNING).unwrap().receipts.remove(0);
    assert_eq!((receipt.reference, receipt.kind), (Some(reference()), ReceiptKind::Delivered));
    let price = Money {
        amount_micros: 33_300,
        currency: Currency::parse("EUR").unwrap(),
    };
    assert_eq!(receipt.billing, Some(Billing::Amount(price)));
    let with = |name: &str, value: &str| {
        let mut claims = right.clone();
        claims[name] = json!(value);
        heard(&claims, SIGNING)
    };
    assert_eq!(with("iss", "Somebody"), Err(HookError::Signature));
    assert_eq!(with("payload_hash", &hex(&Sha256::digest(b"{}"))), Err(HookError::Signature));
    assert_eq!(with("api_key", "zzzzzzz"), Err(HookError::Foreign));
    assert_eq!(heard(&right, "another secret"), Err(HookError::Signature));
}

#[test]
fn a_report_of_the_sms_api_comes_by_form_and_by_json_too_and_under_three_hashes() {
    let told = format!(
        "messageId=m&status=delivered&price=0.03330000&client-ref={}&to=a%26b%3Dc&timestamp=1540469429",
        reference()
    );
    let text = signed_text(told.as_bytes());
    let heard = |body: String| provider(Api::Sms).heard(&call(HOOK, &[], body), 1);
    let signatures = [
        hex(&hmac::<Hmac<sha1::Sha1>>(SIGNING, &text)),
        hex(&hmac::<Hmac<Sha256>>(SIGNING, &text)),
        hex(&hmac::<Hmac<Sha512>>(SIGNING, &text)),
        hex(&hmac::<Hmac<Sha512>>(SIGNING, &text)).to_uppercase(),
    ];
    for signature in &signatures {
        let mut json: serde_json::Map<String, Value> = form_urlencoded::parse(told.as_bytes())
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect();
        json.insert("sig".into(), json!(signature));
        let by_json = Value::Object(json).to_string();
        for body in [format!("{told}&sig={signature}"), by_json] {
            let receipt = heard(body).unwrap().receipts.remove(0);
            assert_eq!((receipt.reference, receipt.kind), (Some(reference()), ReceiptKind::Delivered));
            assert!(matches!(receipt.billing, Some(Billing::Amount(price)) if price.amount_micros == 33_300));
        }
    }
    let right = &signatures[1];
    let twice = format!(r#"{{"messageId":"m","status":"failed","status":"delivered","sig":"{right}"}}"#);
    // Two names in one would have the same signature, and be another report.
    let merged = told.replace("messageId=m&status=delivered", "messageId%3Dm%26status=delivered");
    let another = hex(&hmac::<Hmac<Sha256>>("another secret", &text));
    for body in [
        twice,
        format!("{merged}&sig={right}"),
        format!("{told}&sig={another}"),
        format!("{told}&sig={right}&sig={right}"),
        told.replace("delivered", "failed") + "&sig=" + right,
        told.clone(),
    ] {
        assert_eq!(heard(body.clone()), Err(HookError::Signature), "{body}");
    }
}

#[test]
fn without_a_signature_the_secret_of_the_address_is_asked_for() {
    for api in [Api::Messages, Api::Sms] {
        let provider = Vonage::new(VonageConfig {
            signature_secret: None,
            callback_secret: Some(Secret::from("0123456789abcdef")),
            ..config(api)
        })
        .unwrap();
        let named = body(&provider, &code_message("en"));
        let url = named["webhook_url"]
            .as_str()
            .or(named["callback"].as_str())
            .unwrap()
            .to_owned();
        assert_eq!(url, format!("{HOOK}?key=0123456789abcdef"));
        let told = json!({ "message_uuid": "m", "messageId": "m", "status": "delivered" }).to_string();
        assert_eq!(provider.heard(&call(&url, &[], told.clone()), 1).unwrap().receipts.len(), 1);
        assert_eq!(provider.heard(&call(HOOK, &[], told), 1), Err(HookError::Signature));
    }
    // By `GET` the secret stands among what is told.
    let both = Vonage::new(VonageConfig {
        callback_secret: Some(Secret::from("0123456789abcdef")),
        ..config(Api::Sms)
    });
    let told = "messageId=m&status=delivered";
    let signature = hex(&hmac::<Hmac<Sha256>>(SIGNING, &signed_text(told.as_bytes())));
    let url = format!("{HOOK}?key=0123456789abcdef&{told}&sig={signature}");
    let mut hook = call(&url, &[], "");
    hook.method = http::Method::GET;
    assert_eq!(both.unwrap().heard(&hook, 1).unwrap().receipts.len(), 1);
}

#[test]
fn what_cannot_work_is_refused_before_the_start() {
    let refused = |change: fn(&mut VonageConfig)| {
        let mut config = config(Api::Messages);
        change(&mut config);
        Vonage::new(config).unwrap_err().key
    };
    assert_eq!(refused(|c| c.base_url = "vonage".into()), "base_url");
    assert_eq!(refused(|c| c.api_key = "a:b".into()), "api_key");
    assert_eq!(refused(|c| c.api_secret = Secret::from("")), "api_secret");
    assert_eq!(refused(|c| c.from = String::new()), "from");
    assert_eq!(refused(|c| c.signature_secret = None), "signature_secret");
    assert_eq!(refused(|c| c.signature_secret = Some(Secret::from(""))), "signature_secret");
    assert_eq!(
        refused(|c| c.callback_secret = Some(Secret::from("short"))),
        "callback_secret"
    );
}
