//! Does the stand-in for the Cloud API keep an account as Meta does: templates, subscriptions, identities, times to live?

mod sink;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sink::Sink;
use std::time::Duration;
use tapcode_simulator::cloud_api::{CloudApi, CloudApiConfig, ReceiptStep, Review, Script, TemplateState};
use tapcode_simulator::{CallbackAnswer, Signing};

/// A bound that fails a test, not a wait.
pub const LIMIT: Duration = Duration::from_secs(10);
const TO: &str = "+31612345678";

async fn start(change: impl FnOnce(&mut CloudApiConfig)) -> CloudApi {
    let mut config = CloudApiConfig {
        redelivery: Vec::new(),
        ..CloudApiConfig::default()
    };
    change(&mut config);
    CloudApi::start(config).await.unwrap()
}

async fn ask(meta: &CloudApi, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let path = path
        .replace("WABA", &meta.config().waba_id)
        .replace("PHONE", &meta.config().phone_number_id);
    let mut request = reqwest::Client::new()
        .request(method, format!("{}/v25.0/{path}", meta.base_url()))
        .bearer_auth(&meta.config().access_token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn send(meta: &CloudApi, hash: Option<&str>) {
    let code = [json!({ "type": "text", "text": "123456" })];
    let mut body = json!({ "messaging_product": "whatsapp", "to": TO, "type": "template",
        "template": { "name": "login_otp", "language": { "code": "nl" }, "components": [
            { "type": "body", "parameters": code },
            { "type": "button", "sub_type": "url", "index": "0", "parameters": code } ] } });
    if let Some(hash) = hash {
        body["recipient_identity_key_hash"] = json!(hash);
    }
    let (status, answer) = ask(meta, Method::POST, "PHONE/messages", Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

fn draft() -> Value {
    json!({ "name": "tap_otp", "language": "en_US", "category": "AUTHENTICATION", "message_send_ttl_seconds": 60,
        "components": [
            { "type": "BODY", "add_security_recommendation": true },
            { "type": "FOOTER", "code_expiration_minutes": 5 },
            { "type": "BUTTONS", "buttons": [{ "type": "OTP", "otp_type": "ONE_TAP", "text": "Copy",
                "supported_apps": [{ "package_name": "com.example.app", "signature_hash": "K8a/AINcGX7" }] }] } ] })
}

/// The statuses in what was sent, with the errors' codes.
fn told(meta: &CloudApi) -> Vec<(String, Option<u64>)> {
    let webhooks = meta.webhooks();
    let bodies = webhooks.iter().map(|w| serde_json::from_slice::<Value>(&w.body).unwrap());
    let statuses = bodies.flat_map(|body| {
        let entries = body["entry"].as_array().unwrap().clone();
        let changes = entries.into_iter().flat_map(|e| e["changes"].as_array().unwrap().clone());
        changes
            .flat_map(|c| c["value"]["statuses"].as_array().cloned().unwrap_or_default())
            .collect::<Vec<_>>()
    });
    statuses
        .map(|s| (s["status"].as_str().unwrap().to_owned(), s["errors"][0]["code"].as_u64()))
        .collect()
}

#[tokio::test]
async fn what_meta_would_reject_is_rejected_and_what_it_takes_reads_back() {
    let meta = start(|config| config.review = Review::Waits).await;
    let wrong: [(&str, Value); 13] = [
        ("/name", json!("Login-OTP")),
        ("/category", json!("MARKETING")),
        ("/language", json!("en-US")),
        ("/message_send_ttl_seconds", json!(29)),
        ("/message_send_ttl_seconds", json!(901)),
        ("/components/0/text", json!("Your code is {{1}}")),
        ("/components/0/type", json!("HEADER")),
        ("/components/1/code_expiration_minutes", json!(91)),
        ("/components/2/buttons/0/text", json!("a text of twenty-six letters")),
        ("/components/2/buttons/0/otp_type", json!("ZERO_TAP")),
        ("/components/2/buttons/0/supported_apps", json!([])),
        ("/components/2/buttons/0/supported_apps/0/signature_hash", json!("short")),
        ("/components/2/buttons/0/supported_apps/0/package_name", json!("app")),
    ];
    for (place, value) in wrong {
        let mut body = draft();
        let (parent, key) = place.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value.clone();
        let (status, answer) = ask(&meta, Method::POST, "WABA/message_templates", Some(body)).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!(100)),
            "{place} {value}"
        );
    }
    let (status, made) = ask(&meta, Method::POST, "WABA/message_templates", Some(draft())).await;
    assert_eq!((status, &made["status"]), (StatusCode::OK, &json!("PENDING")));
    let path = "WABA/message_templates?name=tap_otp&limit=1";
    let (_, listed) = ask(&meta, Method::GET, path, None).await;
    let template = &listed["data"][0];
    assert_eq!(
        (&template["id"], &template["message_send_ttl_seconds"]),
        (&made["id"], &json!(60))
    );
    let url = template.pointer("/components/2/buttons/0/url").unwrap().as_str().unwrap();
    assert!(url.contains("otp_type=ONE_TAP"), "{url}");
    let (_, one) = ask(&meta, Method::GET, made["id"].as_str().unwrap(), None).await;
    assert_eq!(one["name"], "tap_otp");

    // Pages: three templates, two to a page.
    let (_, first) = ask(&meta, Method::GET, "WABA/message_templates?limit=2", None).await;
    assert!(first["paging"]["next"].is_string());
    let after = first["paging"]["cursors"]["after"].as_str().unwrap();
    let (_, second) = ask(
        &meta,
        Method::GET,
        &format!("WABA/message_templates?limit=2&after={after}"),
        None,
    )
    .await;
    assert_eq!(
        (second["data"].as_array().unwrap().len(), second["paging"].get("next")),
        (1, None)
    );

    let (status, _) = ask(&meta, Method::DELETE, "WABA/message_templates?name=nobody", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn webhooks_go_where_the_handshake_was_answered_and_nowhere_before() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start(|config| config.subscribed = false).await;
    let (hook, deaf) = (format!("{}/hook", sink.base_url), format!("{}/deaf", sink.base_url));
    meta.set_callback_url(&*hook);
    let subscribe = async |body: Option<Value>| ask(&meta, Method::POST, "WABA/subscribed_apps", body).await;
    let decide = async || meta.decide("login_otp", "nl", TemplateState::Paused).await;
    assert_eq!(decide().await, CallbackAnswer::NoAddress, "no app is subscribed");

    let (status, _) = subscribe(Some(json!({ "override_callback_uri": hook }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a handshake needs a word");
    let (status, refused) = subscribe(Some(json!({ "override_callback_uri": deaf, "verify_token": "word" }))).await;
    assert_eq!(
        (status, &refused["error"]["error_subcode"]),
        (StatusCode::BAD_REQUEST, &json!(2_200_036))
    );
    let (_, none) = ask(&meta, Method::GET, "WABA/subscribed_apps", None).await;
    assert_eq!(none, json!({ "data": [] }));

    let (status, _) = subscribe(None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(decide().await.is_ok());
    let over = format!("{}/over", sink.base_url);
    let (status, _) = subscribe(Some(json!({ "override_callback_uri": over, "verify_token": "word" }))).await;
    assert_eq!(status, StatusCode::OK);
    // Only what is about messages goes elsewhere.
    assert!(decide().await.is_ok());
    assert!(meta.send_change("messages", json!({})).await.is_ok());
    let mut paths = Vec::new();
    for _ in 0..5 {
        let received = sink.next().await;
        paths.push(format!("{} {}", received.method, received.uri.path()));
    }
    assert_eq!(paths, ["GET /deaf", "POST /hook", "GET /over", "POST /hook", "POST /over"]);
    let (_, listed) = ask(&meta, Method::GET, "WABA/subscribed_apps", None).await;
    assert_eq!(listed["data"][0]["override_callback_uri"], *over);
    ask(&meta, Method::DELETE, "WABA/subscribed_apps", None).await;
    assert_eq!(decide().await, CallbackAnswer::NoAddress);
}

#[tokio::test]
async fn an_app_is_told_of_what_it_is_subscribed_to() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start(|_| {}).await;
    let (_, token) = ask(&meta, Method::GET, "debug_token?input_token=EAAJB-stand-in-token", None).await;
    let app = token["data"]["app_id"].as_str().unwrap();
    let path = format!("{}/v25.0/{app}/subscriptions", meta.base_url());
    let asked = async |token: String, body: Option<Value>| {
        let client = reqwest::Client::new();
        let request = body.map_or_else(|| client.get(&path), |body| client.post(&path).json(&body));
        let answer = request.bearer_auth(token).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let own = || format!("{app}|{}", meta.config().app_secret);
    let (status, _) = asked(meta.config().access_token.clone(), None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the app has a token of its own");
    assert_eq!(asked(own(), None).await.1, json!({ "data": [] }));
    let body = json!({ "object": "whatsapp_business_account", "callback_url": format!("{}/app", sink.base_url),
        "verify_token": "word", "fields": "messages, account_update" });
    assert_eq!(asked(own(), Some(body)).await.0, StatusCode::OK);
    assert_eq!(sink.next().await.uri.path(), "/app");
    let listed = asked(own(), None).await.1;
    assert_eq!(listed["data"][0]["fields"][1]["name"], "account_update");
    assert!(meta.send_change("account_update", json!({})).await.is_ok());
    assert_eq!(
        meta.decide("login_otp", "nl", TemplateState::Paused).await,
        CallbackAnswer::NoAddress,
        "the app did not ask for that"
    );
    assert_eq!(sink.drain(), 1);
}

#[tokio::test]
async fn what_is_not_delivered_within_the_templates_time_is_never_told() {
    let meta = start(|_| {}).await;
    let mut short = draft();
    (short["name"], short["language"], short["message_send_ttl_seconds"]) = (json!("login_otp"), json!("nl"), json!(30));
    ask(&meta, Method::DELETE, "WABA/message_templates?name=login_otp", None).await;
    ask(&meta, Method::POST, "WABA/message_templates", Some(short)).await;
    // Were it not for the time to live, all three would be told in the order of their delays.
    let script = Script::silent()
        .then(ReceiptStep::delivered().after(Duration::from_secs(31)))
        .then(ReceiptStep::sent())
        .then(ReceiptStep::delivered().with_previous().after(Duration::from_secs(31)));
    meta.script(TO, script);
    send(&meta, None).await;
    // One tells that the template is approved.
    meta.wait_for_webhooks(2, LIMIT).await;
    assert_eq!(told(&meta), [("sent".to_owned(), None)]);
}

#[tokio::test]
async fn a_message_for_a_former_holder_reaches_nobody() {
    let meta = start(|_| {}).await;
    meta.script(TO, Script::delivered());
    let settings = json!({ "user_identity_change": { "enable_identity_key_check": true } });
    ask(&meta, Method::POST, "PHONE/settings", Some(settings)).await;
    send(&meta, None).await;
    let first = meta.wait_for_webhooks(2, LIMIT).await.remove(1);
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    let status = &body["entry"][0]["changes"][0]["value"]["statuses"][0];
    let hash = status["recipient_identity_key_hash"].as_str().unwrap().to_owned();
    send(&meta, Some(&hash)).await;
    meta.wait_for_webhooks(4, LIMIT).await;
    meta.change_identity(TO);
    send(&meta, Some(&hash)).await;
    meta.wait_for_webhooks(5, LIMIT).await;
    let words: Vec<_> = told(&meta);
    let words: Vec<(&str, Option<u64>)> = words.iter().map(|(word, code)| (&**word, *code)).collect();
    assert_eq!(
        words,
        [
            ("sent", None),
            ("delivered", None),
            ("sent", None),
            ("delivered", None),
            ("failed", Some(137_000))
        ]
    );
}

#[tokio::test]
async fn receipts_that_are_due_together_travel_together() {
    let meta = start(|config| config.batching = Some(Duration::from_millis(300))).await;
    meta.script(TO, Script::delivered());
    for _ in 0..20 {
        send(&meta, None).await;
    }
    let mut webhooks = 1;
    while told(&meta).len() < 40 {
        meta.wait_for_webhooks(webhooks, LIMIT).await;
        webhooks += 1;
    }
    let sent = meta.webhooks();
    assert!(sent.len() < 20, "{} webhooks for 40 receipts", sent.len());
    assert!(sent.iter().all(|w| w.signature == Some(meta.sign(&w.body))));
    assert_eq!(meta.send_body("{}", &Signing::Missing).await, CallbackAnswer::NoAddress);
}
