//! Does Infobip's provider say what Infobip's libraries say, and believe nobody who was not told where to call, or as whom?

use http::Method;
use http::header::CONTENT_TYPE;
use tapcode_core::number::Number;
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{
    self, Answer, Carried, Hook, NUMBER, SECRET, Subject, answer, call, code_message, header_to_query, meaning, message,
    reference,
};

const HOOK: &str = "https://otp.example.com/hooks/sms/42";

fn config() -> InfobipConfig {
    InfobipConfig {
        base_url: "https://xyz.api.example.com/".into(),
        api_key: Secret::new(format!("{SECRET}-key")),
        from: "Acme".into(),
        callback_url: HOOK.into(),
        callback_secret: Some(Secret::new(format!("{SECRET}-address"))),
        callback_credentials: None,
        india_dlt: None,
    }
}

fn basic_config() -> InfobipConfig {
    InfobipConfig {
        callback_secret: None,
        callback_credentials: Some(BasicCredentials {
            username: "infobip".into(),
            password: Secret::new(format!("{SECRET}: pass")),
        }),
        ..config()
    }
}

fn dlt_config() -> InfobipConfig {
    InfobipConfig {
        india_dlt: Some(IndiaDlt {
            principal_entity_id: "1201159".into(),
            content_template_id: Some("1107161".into()),
            telemarketer_id: None,
        }),
        ..config()
    }
}

fn provider(config: InfobipConfig) -> Infobip {
    Infobip::new(config).unwrap()
}

fn subject(provider: Box<dyn HttpProvider>, signature: &'static str, sign: fn(&str, &[u8]) -> String) -> Subject {
    Subject {
        provider,
        answers: Answer::recorded(include_str!("../../fixtures/infobip/answers.json")),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let messages = body.get("messages")?.as_array()?;
            let message = messages.first().filter(|_| messages.len() == 1)?;
            let group = message.pointer("/status/groupName")?.as_str()?;
            let id = message.get("messageId")?.as_str()?;
            let is_on_its_way = ["ACCEPTED", "PENDING", "DELIVERED"].contains(&group);
            let fits = (1..=256).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
            (is_on_its_way && fits).then(|| id.to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/infobip/hooks.json"), HOOK),
        foreign: Hook::recorded(include_str!("../../fixtures/infobip/foreign.json"), HOOK),
        signature,
        sign,
        over_raw_bytes: true,
    }
}

mod by_secret {
    use super::*;

    crate::provider_suite!(secret: subject(
        Box::new(Carried {
            provider: provider(config()),
            carry: |hook| header_to_query(hook, "x-key", "key"),
        }),
        "x-key",
        |_, _| format!("{SECRET}-address")
    ));
}

mod by_basic_credentials {
    use super::*;

    crate::provider_suite!(secret: subject(Box::new(provider(basic_config())), "authorization", |_, _| {
        // RFC 7617, by hand.
        format!("Basic {}", BASE64.encode(format!("infobip:{SECRET}: pass")))
    }));
}

fn sent(provider: &Infobip, message: &Message) -> Value {
    let body: Value = serde_json::from_slice(&provider.request(message).body).unwrap();
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    body["messages"][0].clone()
}

fn heard(results: &Value) -> Result<Vec<Receipt>, HookError> {
    let url = format!("{HOOK}?key={SECRET}-address");
    let hook = call(&url, &[], json!({ "results": results }).to_string());
    provider(config()).heard(&hook, suite::SENDER).map(|heard| heard.receipts)
}

fn report(price: &Value, parts: &Value) -> Value {
    json!([{
        "messageId": "m1", "callbackData": reference().to_string(), "price": price, "messageCount": parts,
        "status": { "groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET" },
    }])
}

#[test]
fn a_code_goes_out_as_infobips_libraries_send_it() {
    let request = provider(config()).request(&code_message("en"));
    assert_eq!(
        (&request.method, &*request.url),
        (&Method::POST, "https://xyz.api.example.com/sms/3/messages")
    );
    assert_eq!(request.headers[AUTHORIZATION], format!("App {SECRET}-key"));
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    let expected = json!({
        "sender": "Acme",
        "destinations": [{ "to": &NUMBER[1..] }],
        "content": { "text": "739154 is your Acme code." },
        "options": { "validityPeriod": { "amount": 300, "timeUnit": "SECONDS" } },
        "webhooks": {
            "delivery": { "url": format!("{HOOK}?key={SECRET}-address") },
            "contentType": "application/json",
            "callbackData": reference().to_string(),
        },
    });
    assert_eq!(sent(&provider(config()), &code_message("en")), expected);
}

#[test]
fn with_basic_credentials_the_subscription_says_where_reports_go() {
    let sent = sent(&provider(basic_config()), &code_message("en"));
    assert_eq!(sent["webhooks"].get("delivery"), None);
    assert_eq!(sent["webhooks"]["callbackData"], reference().to_string());
}

#[test]
fn where_both_are_configured_both_are_asked_for() {
    let both = provider(InfobipConfig {
        callback_secret: config().callback_secret,
        ..basic_config()
    });
    let url = format!("{HOOK}?key={SECRET}-address");
    let credentials = format!("Basic {}", BASE64.encode(format!("infobip:{SECRET}: pass")));
    let body = json!({ "results": report(&Value::Null, &Value::Null) }).to_string();
    let heard = |url: &str, headers: &[(&'static str, &[u8])]| both.heard(&call(url, headers, body.clone()), suite::SENDER);
    let headers = [("authorization", credentials.as_bytes())];
    assert_eq!(heard(&url, &headers).map(|heard| heard.receipts.len()), Ok(1));
    assert_eq!(heard(&url, &[]), Err(HookError::Signature));
    assert_eq!(heard(HOOK, &headers), Err(HookError::Signature));
    assert_eq!(sent(&both, &code_message("en"))["webhooks"].get("delivery"), None);
}

#[test]
fn india_is_told_what_dlt_asks_for_and_nobody_else_is() {
    let mut to_india = code_message("en");
    to_india.to = Number::parse("+919876543210").unwrap();
    let told = |config, message: &Message| sent(&provider(config), message)["options"].get("regional").cloned();
    let asked = json!({ "indiaDlt": { "principalEntityId": "1201159", "contentTemplateId": "1107161" } });
    assert_eq!(told(dlt_config(), &to_india), Some(asked));
    assert_eq!(told(dlt_config(), &code_message("en")), None);
    assert_eq!(told(config(), &to_india), None);
}

#[test]
fn a_template_makes_no_sms() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    assert_eq!(sent(&provider(config()), &message(template))["content"], json!({}));
}

#[test]
fn a_report_tells_the_price_of_all_parts_to_the_last_digit() {
    let billed = |price: &Value, parts: &Value| heard(&report(price, parts)).unwrap()[0].billing;
    let eur = |amount_micros| {
        let currency = Currency::parse("EUR").unwrap();
        Some(Billing::Amount(Money { amount_micros, currency }))
    };
    let price = |of_one: Value| json!({ "pricePerMessage": of_one, "currency": "EUR" });
    assert_eq!(billed(&price(json!(0.01)), &json!(1)), eur(10_000));
    assert_eq!(billed(&price(json!(0.0075)), &json!(3)), eur(22_500));
    assert_eq!(billed(&price(json!(2)), &json!(1)), eur(2_000_000));
    assert_eq!(billed(&price(json!(0.0)), &json!(1)), eur(0));
    for (price, parts) in [
        (Value::Null, json!(1)),
        (price(json!("0.01")), json!(1)),
        (price(json!(-0.01)), json!(1)),
        (price(json!(0.000_000_1)), json!(1)),
        (price(json!(0.123_456_7)), json!(1)),
        (price(json!(1e300)), json!(1)),
        (price(json!(0.01)), Value::Null),
        (price(json!(0.01)), json!(u64::MAX)),
        (json!({ "pricePerMessage": 0.01, "currency": "euro" }), json!(1)),
        (json!({ "pricePerMessage": 0.01 }), json!(1)),
    ] {
        assert_eq!(billed(&price, &parts), None, "{price} {parts}");
    }
}

#[test]
fn a_failures_name_is_infobips_own_or_none() {
    let failed = |status: &str, error: &str| {
        let failure = failure(&json!({ "name": status }), &json!({ "name": error }));
        failure.code.into_string()
    };
    assert_eq!(failed("REJECTED_NETWORK", "NO_ERROR"), "REJECTED_NETWORK");
    assert_eq!(failed("REJECTED_NETWORK", "EC_OPERATOR_NOT_FOUND"), "EC_OPERATOR_NOT_FOUND");
    assert_eq!(failed("REJECTED_NETWORK", "EC_UNKNOWN_SUBSCRIBER"), "EC_UNKNOWN_SUBSCRIBER");
    for odd in ["", "+31611398058", "ec_lower", "A B"] {
        assert_eq!(failed("REJECTED_NETWORK", odd), "REJECTED_NETWORK", "{odd}");
        assert_eq!(failed(odd, odd), "failed", "{odd}");
    }
}

#[test]
fn only_a_message_on_its_way_is_an_acceptance() {
    let means = |status, body: &Value| meaning(&provider(config()).outcome(&answer(status, body.to_string())));
    let one = |group: &str, id: Value| json!({ "messages": [{ "messageId": id, "status": { "groupName": group } }] });
    for group in ["ACCEPTED", "PENDING", "DELIVERED"] {
        assert_eq!(means(200, &one(group, json!("m1"))), "accepted", "{group}");
        for id in [json!(""), json!("a b"), json!(7), Value::Null] {
            assert_eq!(means(200, &one(group, id)), "unclear", "{group}");
        }
    }
    for group in ["EXPIRED", "pending", ""] {
        assert_eq!(means(200, &one(group, json!("m1"))), "unclear", "{group}");
    }
    let two = json!({ "messages": [one("PENDING", json!("m1"))["messages"][0], one("PENDING", json!("m2"))["messages"][0]] });
    assert_eq!(means(200, &two), "unclear");
    for status in [302, 408, 409, 499, 500, 502, 504] {
        assert_eq!(means(status, &one("PENDING", json!("m1"))), "unclear", "{status}");
    }
    assert_eq!(means(404, &Value::Null), "trip_sender http_404");
    let violation = json!({ "violations": [{ "property": "messages[0].sender", "violation": "too long" }] });
    assert_eq!(means(400, &violation), "trip_sender http_400");
}

#[test]
fn one_unreadable_report_takes_none_of_the_others_with_it() {
    let good = report(&Value::Null, &Value::Null)[0].clone();
    let alone = heard(&json!([good])).unwrap();
    for other in [json!(7), json!({}), json!({ "messageId": "m2" })] {
        assert_eq!(heard(&json!([other, good])), Ok(alone.clone()), "{other}");
        assert_eq!(heard(&json!([good, other])), Ok(alone.clone()), "{other}");
    }
}

#[test]
fn what_is_proven_and_no_report_is_malformed() {
    let status = json!({ "groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET" });
    for results in [
        Value::Null,
        json!({}),
        json!([7]),
        json!([{ "status": status }]),
        json!([{ "messageId": "", "status": status }]),
        json!([{ "messageId": "m1" }]),
        Value::Array(vec![json!({ "messageId": "m1", "status": status }); REPORTS_MAX + 1]),
    ] {
        assert_eq!(heard(&results), Err(HookError::Malformed));
    }
    let many = Value::Array(vec![json!({ "messageId": "m1", "status": status }); REPORTS_MAX]);
    assert_eq!(heard(&many).map(|receipts| receipts.len()), Ok(REPORTS_MAX));
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut InfobipConfig);
    let rows: [(&str, Break); 8] = [
        ("base_url", |c| c.base_url = "xyz".into()),
        ("api_key", |c| c.api_key = Secret::from("")),
        ("api_key", |c| c.api_key = Secret::from("a\nb")),
        ("from", |c| c.from = String::new()),
        ("callback_url", |c| c.callback_url += "?x=1"),
        ("callback_secret", |c| c.callback_secret = Some(Secret::from("short"))),
        ("callback_secret", |c| c.callback_secret = None),
        ("dlt_principal_entity_id", |c| {
            c.india_dlt = dlt_config().india_dlt.map(|dlt| IndiaDlt {
                principal_entity_id: String::new(),
                ..dlt
            });
        }),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        assert_eq!(Infobip::new(config).unwrap_err().key, key);
    }
    for (key, username, password) in [
        ("callback_username", "", "pass"),
        ("callback_username", "a:b", "pass"),
        ("callback_password", "a", ""),
    ] {
        let credentials = BasicCredentials {
            username: username.into(),
            password: Secret::from(password),
        };
        let config = InfobipConfig {
            callback_credentials: Some(credentials),
            ..config()
        };
        assert_eq!(Infobip::new(config).unwrap_err().key, key);
    }
    assert!(!format!("{:?} {:?}", config(), basic_config()).contains(SECRET));
}
