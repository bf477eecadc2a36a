//! Does the stand-in for Twilio do what Twilio's documentation says, and what its scripts say?

mod sink;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha1::Sha1;
use sink::Sink;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tapcode_simulator::twilio::{Fate, Reach, ReceiptStep, Script, Twilio, TwilioConfig};
use tapcode_simulator::{CallbackAnswer, Fault, Signing};

/// A bound that fails a test, not a wait.
pub const LIMIT: Duration = Duration::from_secs(10);
const TO: &str = "+31612345678";
type Form = Vec<(&'static str, String)>;

async fn start() -> Twilio {
    Twilio::start(TwilioConfig::default()).await.unwrap()
}

fn otp() -> Form {
    vec![
        ("To", TO.to_owned()),
        ("From", "+15005550006".to_owned()),
        ("Body", "123456 is your Acme code.".to_owned()),
        ("ValidityPeriod", "300".to_owned()),
    ]
}

fn with_callback(url: &str) -> Form {
    let mut form = otp();
    form.push(("StatusCallback", url.to_owned()));
    form
}

fn request(sms: &Twilio, form: &Form) -> reqwest::RequestBuilder {
    let config = sms.config();
    reqwest::Client::new()
        .post(format!(
            "{}/2010-04-01/Accounts/{}/Messages.json",
            sms.base_url(),
            config.account_sid
        ))
        .basic_auth(&config.account_sid, Some(&config.auth_token))
        .form(form)
}

async fn send(sms: &Twilio, form: &Form) -> (StatusCode, Value) {
    let response = request(sms, form).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The documented formula, written once more: the address, then every parameter, sorted.
fn documented_signature(token: &str, url: &str, body: &[u8]) -> String {
    let sorted: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let signed = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn field(received: &sink::Received, name: &str) -> Option<String> {
    form_urlencoded::parse(&received.body)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_send_in_order_is_created_and_remembered() {
    let sms = start().await;
    let (status, answer) = send(&sms, &with_callback("https://otp.example.com/hooks/sms/42?a=b")).await;
    assert_eq!(status, 201);
    let sid = answer["sid"].as_str().unwrap();
    assert!(sid.len() == 34 && sid.starts_with("SM"), "{sid}");
    assert_eq!(answer["status"], "queued");
    assert_eq!(answer["to"], TO);
    assert_eq!(answer["from"], "+15005550006");
    assert_eq!(answer["num_segments"], "1");
    assert_eq!(answer["error_code"], Value::Null);
    assert_eq!(
        answer["uri"],
        format!("/2010-04-01/Accounts/{}/Messages/{sid}.json", sms.config().account_sid)
    );
    let created = answer["date_created"].as_str().unwrap();
    assert!(created.ends_with(" +0000") && created.as_bytes()[3] == b',', "{created}");

    let seen = &sms.messages_to(TO)[0];
    assert_eq!(seen.sid(), Some(sid));
    assert_eq!(seen.body.as_deref(), Some("123456 is your Acme code."));
    assert_eq!(seen.validity_period.as_deref(), Some("300"));
    assert_eq!(
        seen.status_callback.as_deref(),
        Some("https://otp.example.com/hooks/sms/42?a=b")
    );
    assert_eq!(seen.parameters.len(), 5);

    let mut by_service = otp();
    by_service[1] = ("MessagingServiceSid", "MG0123456789abcdef0123456789abcdef".to_owned());
    let (_, answer) = send(&sms, &by_service).await;
    assert_eq!((&answer["status"], &answer["from"]), (&json!("accepted"), &Value::Null));
}

#[tokio::test]
async fn a_send_out_of_order_gets_the_error_it_deserves() {
    let sms = start().await;
    let cases: &[(&str, Option<String>, u32)] = &[
        ("To", None, 21_604),
        ("To", Some("0612345678".to_owned()), 21_211),
        ("From", None, 21_603),
        ("From", Some("much too long a name".to_owned()), 21_212),
        ("Body", None, 21_602),
        ("Body", Some("x".repeat(1_601)), 21_617),
        ("ValidityPeriod", Some("0".to_owned()), 21_620),
        ("ValidityPeriod", Some("36001".to_owned()), 21_620),
        ("StatusCallback", Some("/hooks".to_owned()), 21_609),
    ];
    for (name, value, code) in cases {
        let mut form = with_callback("https://otp.example.com/");
        form.retain(|(key, _)| key != name);
        form.extend(value.clone().map(|value| (*name, value)));
        let (status, answer) = send(&sms, &form).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &json!(code)), "{name}: {answer}");
        assert_eq!(answer["status"], 400);
        assert!(answer["message"].is_string());
        assert_eq!(answer["more_info"], format!("https://www.twilio.com/docs/errors/{code}"));
    }
    // A form in all but name.
    let config = sms.config();
    let mislabelled = reqwest::Client::new()
        .post(format!(
            "{}/2010-04-01/Accounts/{}/Messages.json",
            sms.base_url(),
            config.account_sid
        ))
        .basic_auth(&config.account_sid, Some(&config.auth_token))
        .header("content-type", "application/json")
        .body("To=%2B31612345678&From=Acme&Body=123456");
    let mislabelled = mislabelled.send().await.unwrap();
    assert_eq!(
        mislabelled.json::<Value>().await.unwrap()["code"],
        21_604,
        "only forms are read"
    );
    assert_eq!(sms.requests().len(), cases.len() + 1);
    assert!(sms.messages().is_empty());
}

#[tokio::test]
async fn a_stranger_is_turned_away_and_an_api_key_is_not() {
    let sms = Twilio::start(TwilioConfig {
        api_key: Some(("SK1".to_owned(), "secret".to_owned())),
        senders: vec!["Acme".to_owned()],
        ..TwilioConfig::default()
    })
    .await
    .unwrap();
    let answer = |user: &'static str, password: &'static str, sender: &'static str, account: String| {
        let mut form = otp();
        form[1].1 = sender.to_owned();
        let url = format!("{}/2010-04-01/Accounts/{account}/Messages.json", sms.base_url());
        async move {
            let response = reqwest::Client::new()
                .post(url)
                .basic_auth(user, Some(password))
                .form(&form)
                .send();
            let response = response.await.unwrap();
            (
                response.status().as_u16(),
                response.json::<Value>().await.unwrap()["code"].clone(),
            )
        }
    };
    let account = sms.config().account_sid.clone();
    assert_eq!(answer("SK1", "wrong", "Acme", account.clone()).await, (401, json!(20_003)));
    assert_eq!(
        answer("SK1", "secret", "Acme", "ACother".to_owned()).await,
        (404, json!(20_404))
    );
    assert_eq!(answer("SK1", "secret", "Other", account.clone()).await, (400, json!(21_606)));
    assert_eq!(answer("SK1", "secret", "Acme", account).await, (201, Value::Null));
}

#[tokio::test]
async fn callbacks_are_signed_over_address_and_parameters() {
    let mut sink = Sink::answering(&[]).await;
    let sms = start().await;
    sms.script(TO, Script::delivered().then(ReceiptStep::undelivered(30_003)));
    let url = format!("{}/hooks/sms/42?tenant=a%20b", sink.base_url);
    let (_, answer) = send(&sms, &with_callback(&url)).await;
    for (word, code) in [("sent", None), ("delivered", None), ("undelivered", Some("30003"))] {
        let callback = sink.next().await;
        assert_eq!(callback.method, "POST");
        assert_eq!(callback.uri, "/hooks/sms/42?tenant=a%20b");
        assert!(
            callback
                .header("content-type")
                .unwrap()
                .starts_with("application/x-www-form-urlencoded")
        );
        let signature = documented_signature(&sms.config().auth_token, &url, &callback.body);
        assert_eq!(callback.header("x-twilio-signature"), Some(signature.as_str()));
        assert_eq!(field(&callback, "MessageStatus").as_deref(), Some(word));
        assert_eq!(field(&callback, "SmsStatus").as_deref(), Some(word));
        assert_eq!(field(&callback, "MessageSid").as_deref(), answer["sid"].as_str());
        assert_eq!(field(&callback, "To").as_deref(), Some(TO));
        assert_eq!(field(&callback, "AccountSid"), Some(sms.config().account_sid.clone()));
        assert_eq!(field(&callback, "ErrorCode").as_deref(), code);
        assert_eq!(
            field(&callback, "RawDlrDoneDate").map(|date| date.len()),
            (word == "delivered").then_some(10)
        );
    }
}

#[tokio::test]
async fn the_signature_agrees_with_twilios_own_numbers() {
    // https://github.com/twilio/twilio-python/blob/main/tests/unit/test_request_validator.py (read 2026-11-23)
    let sms = Twilio::start(TwilioConfig {
        auth_token: "12345".to_owned(),
        ..TwilioConfig::default()
    })
    .await
    .unwrap();
    let sign = |url: &str, pairs: &[(&str, &str)]| {
        let parameters: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        sms.sign(url, &parameters)
    };
    let call = [
        ("Digits", "1234"),
        ("To", "+18005551212"),
        ("From", "+14158675309"),
        ("Caller", "+14158675309"),
        ("CallSid", "CA1234567890ABCDE"),
    ];
    let twice = [
        ("Digits", "5678"),
        ("Sid", "CA123"),
        ("SidAccount", "AC123"),
        ("Digits", "1234"),
        ("Digits", "1234"),
    ];
    assert_eq!(
        sign("https://mycompany.com/myapp.php?foo=1&bar=2", &call),
        "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    );
    assert_eq!(
        sign("http://mycompany.com:1234/myapp.php?foo=1&bar=2", &call),
        "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="
    );
    assert_eq!(
        sign("https://mycompany.com/myapp.php?foo=1&bar=2", &twice),
        "IK+Dwps556ElfBT0I3Rgjkr1wJU="
    );
}

#[tokio::test]
async fn a_callback_can_be_spoiled_in_every_way() {
    let mut sink = Sink::answering(&[]).await;
    let sms = start().await;
    let steps = [
        ReceiptStep::sent().forged(),
        ReceiptStep::sent().unsigned(),
        ReceiptStep::sent().foreign(),
        ReceiptStep::delivered().times(2),
    ];
    sms.script(TO, steps.into_iter().fold(Script::silent(), Script::then));
    let url = format!("{}/cb", sink.base_url);
    let (_, answer) = send(&sms, &with_callback(&url)).await;
    let genuine = |callback: &sink::Received| {
        callback.header("x-twilio-signature") == Some(&documented_signature(&sms.config().auth_token, &url, &callback.body))
    };
    let forged = sink.next().await;
    assert!(!genuine(&forged) && forged.header("x-twilio-signature").is_some());
    assert_eq!(sink.next().await.header("x-twilio-signature"), None);
    let foreign = sink.next().await;
    assert!(genuine(&foreign));
    assert_ne!(field(&foreign, "MessageSid").as_deref(), answer["sid"].as_str());
    let (first, second) = (sink.next().await, sink.next().await);
    assert!(genuine(&first));
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn a_public_address_is_signed_and_the_actual_one_is_called() {
    let mut sink = Sink::answering(&[500]).await;
    let sms = Twilio::start(TwilioConfig {
        reach: Some(Reach {
            public: "https://otp.example.com:8443".to_owned(),
            actual: sink.base_url.clone(),
        }),
        sign_without_port: true,
        ..TwilioConfig::default()
    })
    .await
    .unwrap();
    sms.script(TO, Script::delivered());
    send(&sms, &with_callback("https://otp.example.com:8443/hooks/sms/42?x=1")).await;
    let callback = sink.next().await;
    assert_eq!(callback.uri, "/hooks/sms/42?x=1");
    let signature = documented_signature(
        &sms.config().auth_token,
        "https://otp.example.com/hooks/sms/42?x=1",
        &callback.body,
    );
    assert_eq!(callback.header("x-twilio-signature"), Some(signature.as_str()));
    let log = sms.wait_for_callbacks(2, LIMIT).await;
    assert_eq!(log[0].answer, CallbackAnswer::Status(500));
    assert_eq!(
        (sms.counts().callbacks_taken, sms.counts().callbacks_failed),
        (1, 1),
        "nothing is sent again"
    );
}

#[tokio::test]
async fn an_early_callback_arrives_before_the_answer() {
    let mut sink = Sink::answering(&[]).await;
    let sms = start().await;
    sms.script(TO, Script::silent().then(ReceiptStep::delivered().early()));
    let (status, answer) = send(&sms, &with_callback(&sink.base_url)).await;
    assert_eq!(status, 201);
    assert_eq!(sms.callbacks().len(), 1);
    assert_eq!(field(&sink.next().await, "MessageSid").as_deref(), answer["sid"].as_str());
}

#[tokio::test]
async fn the_answer_follows_the_script() {
    let sms = start().await;
    sms.default_script(Script::error(400, 21_610));
    sms.script_once(TO, Script::error(429, 20_429));
    let (status, answer) = send(&sms, &otp()).await;
    assert_eq!(
        (status.as_u16(), &answer["code"], &answer["status"]),
        (429, &json!(20_429), &json!(429))
    );
    assert_eq!(send(&sms, &otp()).await.1["code"], 21_610);
    let delay = Duration::from_millis(60);
    sms.script(TO, Script::silent().answered_after(delay));
    let began = Instant::now();
    assert_eq!(send(&sms, &otp()).await.0, 201);
    assert!(began.elapsed() >= delay);
    assert_eq!(sms.requests()[0].fate, Fate::Refused { code: 20_429 });
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let mut sink = Sink::answering(&[]).await;
    let sms = start().await;
    let form = with_callback(&sink.base_url);
    let faults = [
        Fault::ReadThenClose,
        Fault::ReadThenReset,
        Fault::ReadThenHang(Duration::from_millis(50)),
        Fault::CutShort,
    ];
    for (before, fault) in faults.into_iter().enumerate() {
        sms.script(TO, Script::fault(fault).then(ReceiptStep::delivered()));
        let outcome = match (request(&sms, &form).send().await, fault) {
            (Ok(response), Fault::CutShort) => {
                assert_eq!(response.status(), 201, "the first half arrives");
                response.bytes().await
            }
            (Err(error), Fault::CutShort) => panic!("the first half is lost: {error:?}"),
            (Ok(response), _) => panic!("{fault:?} was answered {}", response.status()),
            (Err(error), _) => Err(error),
        };
        outcome.expect_err("no whole answer");
        assert_eq!(sms.messages().len(), before + 1, "{fault:?}");
        assert_eq!(
            field(&sink.next().await, "MessageSid").as_deref(),
            sms.messages()[before].sid()
        );
    }
    sms.script(TO, Script::fault(Fault::Html(503)));
    let response = request(&sms, &form).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.json::<Value>().await.is_err());
    sms.script(TO, Script::fault(Fault::Garbage));
    let response = request(&sms, &form).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert!(response.json::<Value>().await.is_err());

    let read = sms.requests().len();
    sms.script(TO, Script::fault(Fault::CloseBeforeRead));
    request(&sms, &form).send().await.unwrap_err();
    sms.script(TO, Script::silent());
    sms.slam(true);
    request(&sms, &form).send().await.unwrap_err();
    sms.slam(false);
    sms.go_down().await;
    assert!(request(&sms, &form).send().await.unwrap_err().is_connect());
    assert_eq!((sms.requests().len(), sms.counts().unread), (read, 1));
    sms.come_back().await.unwrap();
    assert_eq!(send(&sms, &form).await.0, 201);
    assert_eq!(sink.drain(), 0, "no message, no receipt");
}

#[tokio::test]
async fn a_test_can_send_callbacks_by_hand() {
    let mut sink = Sink::answering(&[]).await;
    let sms = start().await;
    send(&sms, &otp()).await;
    send(&sms, &with_callback(&sink.base_url)).await;
    let messages = sms.wait_for_messages(2, LIMIT).await;
    assert_eq!(
        sms.send_receipt(&messages[0], &ReceiptStep::sent()).await,
        CallbackAnswer::NoAddress
    );
    assert!(sms.send_receipt(&messages[1], &ReceiptStep::failed(30_034)).await.is_ok());
    assert_eq!(field(&sink.next().await, "ErrorCode").as_deref(), Some("30034"));
    let form = [("MessageStatus".to_owned(), "delivered".to_owned())];
    let signing = Signing::Header("AAAA".to_owned());
    assert!(sms.send_form(&sink.base_url, &form, &signing).await.is_ok());
    assert_eq!(sink.next().await.header("x-twilio-signature"), Some("AAAA"));
}
