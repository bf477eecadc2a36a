//! Does Twilio's provider say what Twilio documents, and believe nothing that Twilio did not sign?

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{self, Answer, Hook, SECRET, Subject, answer, call, code_message, meaning, message, reference};

const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";

fn config() -> TwilioConfig {
    TwilioConfig {
        base_url: "https://api.example.com".into(),
        account_sid: ACCOUNT.into(),
        auth_token: Secret::new(format!("{SECRET}-token")),
        api_key: None,
        from: From::Sender("+3197010253000".into()),
        callback_url: Some("https://otp.example.com/hooks/sms/42".into()),
    }
}

fn provider() -> Twilio {
    Twilio::new(config()).unwrap()
}

fn hook_url() -> String {
    format!("https://otp.example.com/hooks/sms/42?ref={}", reference())
}

/// As Twilio's documentation describes it, without a line of the provider: the address, then each parameter sorted by name.
fn sign(url: &str, body: &[u8]) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    pairs.sort();
    pairs.dedup();
    let text = pairs
        .into_iter()
        .fold(url.to_owned(), |text, (name, value)| text + &name + &value);
    let mac = <Hmac<Sha1>>::new_from_slice(format!("{SECRET}-token").as_bytes())
        .unwrap()
        .chain_update(text);
    BASE64.encode(mac.finalize().into_bytes())
}

fn subject() -> Subject {
    Subject {
        provider: Box::new(provider()),
        answers: Answer::recorded(include_str!("../../fixtures/twilio/answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = body.get("sid")?.as_str()?;
            let rest = id.get(2..)?;
            let fits = ["SM", "MM"].contains(&&id[..2]) && rest.len() == 32 && rest.chars().all(|c| c.is_ascii_hexdigit());
            fits.then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/twilio/hooks.json"), &hook_url()),
        foreign: Hook::recorded(include_str!("../../fixtures/twilio/foreign.json"), &hook_url()),
        signature: "x-twilio-signature",
        sign,
        over_raw_bytes: false,
    }
}

crate::provider_suite!(subject());

fn form(provider: &Twilio, message: &Message) -> Vec<(String, String)> {
    form_urlencoded::parse(&provider.request(message).body).into_owned().collect()
}

fn told(url: &str, signed_url: &str, body: &str) -> Result<Vec<Receipt>, HookError> {
    let signature = sign(signed_url, body.as_bytes());
    let hook = call(url, &[("x-twilio-signature", signature.as_bytes())], body.to_owned());
    provider().heard(&hook, crate::suite::SENDER).map(|heard| heard.receipts)
}

#[test]
fn a_code_goes_out_as_twilio_documents_it() {
    let request = provider().request(&code_message("en"));
    assert_eq!(request.method, Method::POST);
    assert_eq!(
        request.url,
        format!("https://api.example.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    );
    assert_eq!(
        request.headers[AUTHORIZATION],
        format!("Basic {}", BASE64.encode(format!("{ACCOUNT}:{SECRET}-token")))
    );
    assert_eq!(request.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    let callback = hook_url();
    let expected = [
        ("To", "+31611398058"),
        ("From", "+3197010253000"),
        ("Body", "739154 is your Acme code."),
        ("StatusCallback", callback.as_str()),
        ("ValidityPeriod", "300"),
    ];
    assert_eq!(
        form(&provider(), &code_message("en")),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn an_api_key_signs_in_and_callbacks_stay_signed_with_the_token() {
    let key = ApiKey {
        sid: "SK0123".into(),
        secret: Secret::new(format!("{SECRET}-key")),
    };
    let provider = Twilio::new(TwilioConfig {
        api_key: Some(key),
        ..config()
    })
    .unwrap();
    let request = provider.request(&code_message("en"));
    assert_eq!(
        request.headers[AUTHORIZATION],
        format!("Basic {}", BASE64.encode(format!("SK0123:{SECRET}-key")))
    );
    assert!(request.headers[AUTHORIZATION].is_sensitive());
    // The account is still the one whose messages these are.
    assert!(request.url.contains(ACCOUNT), "{}", request.url);
    let url = hook_url();
    let body = format!("AccountSid={ACCOUNT}&MessageSid=SM1&MessageStatus=delivered");
    let signature = sign(&url, body.as_bytes());
    let receipts = provider.heard(&call(&url, &[("x-twilio-signature", signature.as_bytes())], body), 1);
    assert_eq!(receipts.map(|heard| heard.receipts.len()), Ok(1));
}

#[test]
fn what_is_not_configured_is_not_asked_for() {
    let service = "MG00112233445566778899aabbccddeeff".to_owned();
    let config = TwilioConfig {
        from: From::MessagingService(service.clone()),
        callback_url: None,
        ..config()
    };
    let form = form(
        &Twilio::new(config).unwrap(),
        &message(Content::Text("Hallo & tot zo, €5 é".into())),
    );
    let keys: Vec<_> = form.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["To", "MessagingServiceSid", "Body", "ValidityPeriod"]);
    assert_eq!((&form[1].1, form[2].1.as_str()), (&service, "Hallo & tot zo, €5 é"));
}

#[test]
fn validity_stays_within_twilios_bounds() {
    for (useful_ms, seconds) in [
        (0, "1"),
        (999, "1"),
        (1_999, "1"),
        (299_500, "299"),
        (36_000_000, "36000"),
        (u64::MAX, "36000"),
    ] {
        let message = Message {
            useful_ms,
            ..code_message("en")
        };
        assert_eq!(
            form(&provider(), &message).pop(),
            Some(("ValidityPeriod".to_owned(), seconds.to_owned()))
        );
    }
}

#[test]
fn a_template_makes_no_sms() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    assert!(form(&provider(), &message(template)).iter().all(|(key, _)| key != "Body"));
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut TwilioConfig);
    let rows: [(&str, Break); 8] = [
        ("base_url", |c| c.base_url = "https://".into()),
        ("account_sid", |c| c.account_sid = "SK0123".into()),
        ("auth_token", |c| c.auth_token = Secret::from("")),
        ("api_key_sid", |c| {
            c.api_key = Some(ApiKey {
                sid: "SK01:23".into(),
                secret: Secret::from("x"),
            })
        }),
        ("api_key_secret", |c| {
            c.api_key = Some(ApiKey {
                sid: "SK0123".into(),
                secret: Secret::from(""),
            })
        }),
        ("callback_url", |c| {
            c.callback_url = Some("https://otp.example.com/hooks/sms/42?x=1".into())
        }),
        ("number", |c| c.from = From::Sender(String::new())),
        ("messaging_service_sid", |c| c.from = From::MessagingService("+31".into())),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        assert_eq!(Twilio::new(config).unwrap_err().key, key);
    }
    assert!(!format!("{:?}", config()).contains(SECRET));
}

#[test]
fn only_a_sid_of_twilios_shape_is_an_acceptance() {
    let means =
        |status, sid: &str| meaning(&provider().outcome(&answer(status, format!(r#"{{"sid":{sid},"status":"queued"}}"#))));
    assert_eq!(means(201, r#""SM0123456789abcdef0123456789abcdef""#), "accepted");
    for sid in [
        r#""""#,
        "null",
        "7",
        r#""SM0123""#,
        r#""AC0123456789abcdef0123456789abcdef""#,
        r#""SM0123456789abcdef0123456789abcdeg""#,
    ] {
        assert_eq!(means(201, sid), "unclear", "{sid}");
    }
    assert_eq!(means(400, r#""SM0123456789abcdef0123456789abcdef""#), "our_mistake http_400");
    assert_eq!(means(503, r#""SM0123456789abcdef0123456789abcdef""#), "unclear");
}

#[test]
fn a_status_without_a_code_is_certain_only_where_nothing_was_processed() {
    let means = |status| meaning(&provider().outcome(&answer(status, "")));
    assert_eq!(
        (means(401).as_str(), means(413).as_str()),
        ("trip_sender http_401", "our_mistake http_413")
    );
    assert_eq!(means(429), "retry_here 20429");
    for status in [100, 204, 302, 408, 409, 499, 500, 502, 504, 999] {
        assert_eq!(means(status), "unclear", "{status}");
    }
}

#[test]
fn a_receipt_names_our_message_by_the_address_it_was_sent_to() {
    let body = format!("MessageSid=SM1&MessageStatus=delivered&AccountSid={ACCOUNT}");
    let receipts = told(&hook_url(), &hook_url(), &body).unwrap();
    assert_eq!(receipts[0].reference, Some(reference()));
    assert_eq!(&*receipts[0].provider_message_id, "SM1");
    let bare = "https://otp.example.com/hooks/sms/42";
    assert_eq!(told(bare, bare, &body).unwrap()[0].reference, None);
    // The reference is signed with the address.
    let other = hook_url().replace("a5a5", "a5a6");
    assert_ne!(other, hook_url());
    assert_eq!(told(&other, &hook_url(), &body), Err(HookError::Signature));
}

#[test]
fn the_schemes_own_port_may_be_written_or_not() {
    let body = format!("MessageSid=SM1&MessageStatus=sent&AccountSid={ACCOUNT}");
    let right = [
        ("https://a.example/h?r=1", "https://a.example:443/h?r=1"),
        ("https://a.example:443/h", "https://a.example/h"),
        ("http://a.example/h", "http://a.example:80/h"),
        ("https://[2001:db8::1]/h", "https://[2001:db8::1]:443/h"),
        ("https://a.example?r=1", "https://a.example:443?r=1"),
        ("https://a.example:8443/h", "https://a.example:8443/h"),
    ];
    for (ours, theirs) in right {
        assert_eq!(told(ours, theirs, &body).map(|r| r.len()), Ok(1), "{theirs}");
    }
    for (ours, theirs) in [
        ("https://a.example:8443/h", "https://a.example/h"),
        ("https://a.example/h", "https://a.example:80/h"),
    ] {
        assert_eq!(told(ours, theirs, &body), Err(HookError::Signature), "{theirs}");
    }
}

#[test]
fn parameters_are_signed_sorted_and_each_value_once() {
    let url = hook_url();
    let shuffled = format!("MessageStatus=read&B=2&A=1&B=2&B=1&AccountSid={ACCOUNT}&MessageSid=SM1");
    let spelled_out = format!("{url}A1AccountSid{ACCOUNT}B1B2MessageSidSM1MessageStatusread");
    assert_eq!(sign(&url, shuffled.as_bytes()), sign(&spelled_out, b""));
    assert_eq!(told(&url, &url, &shuffled).unwrap()[0].kind, ReceiptKind::Read);
    // Two statuses in one callback say nothing that could be believed.
    let two = format!("{shuffled}&MessageStatus=failed");
    assert_eq!(told(&url, &url, &two), Err(HookError::Malformed));
}

#[test]
fn a_callback_without_end_is_refused_before_it_is_hashed() {
    let url = hook_url();
    let base = format!("AccountSid={ACCOUNT}&MessageSid=SM1&MessageStatus=sent");
    let with = |n: usize| (0..n).fold(base.clone(), |body, n| format!("{body}&p{n}=1"));
    assert_eq!(told(&url, &url, &with(PARAMETERS_MAX - 3)).map(|r| r.len()), Ok(1));
    assert_eq!(told(&url, &url, &with(PARAMETERS_MAX - 2)), Err(HookError::Signature));
}

// The example of Twilio's libraries and of https://www.twilio.com/docs/usage/webhooks/webhooks-security: it is about a call,
// so that a signature that is found right leads to "another account" and not to a receipt.
#[test]
fn twilios_own_example_is_rightly_signed() {
    let provider = Twilio::new(TwilioConfig {
        auth_token: Secret::from("12345"),
        ..config()
    })
    .unwrap();
    let receipts = |signature: &[u8]| {
        let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        provider.heard(&call(url, &[("x-twilio-signature", signature)], body), 1)
    };
    assert_eq!(receipts(b"RSOYDt4T1cUTdK1PDd93/VVr8B8="), Err(HookError::Foreign));
    assert_eq!(receipts(b"RSOYDt4T1cUTdK1PDd93/VVr8B9="), Err(HookError::Signature));
}

#[test]
fn a_failure_says_why_in_our_words() {
    let url = hook_url();
    let body = format!("AccountSid={ACCOUNT}&MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30006");
    let ReceiptKind::Failed(failure) = &told(&url, &url, &body).unwrap()[0].kind else {
        panic!()
    };
    assert_eq!(
        (&*failure.code, &*failure.detail),
        ("30006", "a landline, or an unreachable carrier")
    );
    assert_eq!(suite::told(&ReceiptKind::Failed(failure.clone())), "unreachable 30006");
}
