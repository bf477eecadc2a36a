//! Does the stand-in for the WhatsApp Cloud API do what Meta's documentation says, and what its scripts say?

mod sink;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use sink::Sink;
use std::time::{Duration, Instant};
use tapcode_simulator::cloud_api::{
    Answer, CloudApi, CloudApiConfig, Fate, ReceiptStep, Script, Status, SubscribeError, TemplateState,
};
use tapcode_simulator::{CallbackAnswer, Fault, Signing};
use tokio::io::AsyncReadExt;

/// A bound that fails a test, not a wait.
pub const LIMIT: Duration = Duration::from_secs(10);
const TO: &str = "+31612345678";

async fn start() -> CloudApi {
    CloudApi::start(CloudApiConfig::default()).await.unwrap()
}

/// The send of Meta's own documentation.
fn otp(to: &str, code: &str) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "template",
        "biz_opaque_callback_data": "att_01JD",
        "template": {
            "name": "login_otp",
            "language": { "code": "en_US" },
            "components": [
                { "type": "body", "parameters": [{ "type": "text", "text": code }] },
                { "type": "button", "sub_type": "url", "index": "0", "parameters": [{ "type": "text", "text": code }] },
            ],
        },
    })
}

fn request(meta: &CloudApi, body: &Value) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .post(format!(
            "{}/v25.0/{}/messages",
            meta.base_url(),
            meta.config().phone_number_id
        ))
        .bearer_auth(&meta.config().access_token)
        .json(body)
}

async fn send(meta: &CloudApi, body: &Value) -> (StatusCode, Value) {
    let response = request(meta, body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The documented formula, written once more.
fn documented_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test]
async fn a_send_in_order_is_accepted_and_remembered() {
    let meta = start().await;
    let (status, answer) = send(&meta, &otp(TO, "J$FpnYnP")).await;

    assert_eq!(status, 200);
    assert_eq!(answer["messaging_product"], "whatsapp");
    assert_eq!(answer["contacts"], json!([{ "input": TO, "wa_id": "31612345678" }]));
    assert_eq!(answer["messages"][0]["message_status"], "accepted");
    let wamid = answer["messages"][0]["id"].as_str().unwrap();
    let inside = STANDARD.decode(wamid.strip_prefix("wamid.").unwrap()).unwrap();
    assert!(
        inside.starts_with(b"\x1c\x18\x0b31612345678\x15\x02\x00\x11\x18\x12"),
        "{wamid}"
    );
    assert_eq!(inside.len(), 39);

    let seen = meta.messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].wamid(), Some(wamid));
    assert_eq!(seen[0].to.as_deref(), Some(TO));
    assert_eq!(seen[0].code.as_deref(), Some("J$FpnYnP"));
    assert_eq!(seen[0].template.as_deref(), Some("login_otp"));
    assert_eq!(seen[0].language.as_deref(), Some("en_US"));
    assert_eq!(seen[0].biz_opaque_callback_data.as_deref(), Some("att_01JD"));
    assert_eq!(seen[0].api_version, "v25.0");
    assert_eq!(seen[0].json, otp(TO, "J$FpnYnP"));

    let (_, second) = send(&meta, &otp(TO, "J$FpnYnP")).await;
    assert_ne!(second["messages"][0]["id"], wamid);
    assert_eq!((meta.counts().requests, meta.counts().messages), (2, 2));
}

#[tokio::test]
async fn a_brazilian_number_comes_back_with_other_digits() {
    let meta = start().await;
    let (_, answer) = send(&meta, &otp("+5511987654321", "123456")).await;
    assert_eq!(
        answer["contacts"],
        json!([{ "input": "+5511987654321", "wa_id": "551187654321" }])
    );
}

#[tokio::test]
async fn a_send_out_of_order_gets_the_error_it_deserves() {
    let meta = start().await;
    meta.template("paused_otp", "nl", TemplateState::Paused);
    meta.template("dead_otp", "nl", TemplateState::Disabled);
    meta.template("new_otp", "nl", TemplateState::Pending);
    let sixteen = "1234567890123456";
    type Spoil = fn(&mut Value);
    let components = "/template/components";
    let cases: &[(&str, Spoil, u16, u32)] = &[
        (
            "no product",
            |send| drop(send.as_object_mut().unwrap().remove("messaging_product")),
            400,
            100,
        ),
        (
            "no recipient",
            |send| drop(send.as_object_mut().unwrap().remove("to")),
            400,
            100,
        ),
        ("no plus", |send| send["to"] = json!("31612345678"), 400, 131_009),
        ("letters", |send| send["to"] = json!("+3161234567a"), 400, 131_009),
        ("our own number", |send| send["to"] = json!("+15550783881"), 400, 131_021),
        ("a user id", |send| send["recipient"] = json!("US.123"), 400, 131_062),
        ("an unknown key", |send| send["ttl"] = json!(60), 400, 100),
        (
            "long callback data",
            |send| send["biz_opaque_callback_data"] = json!("x".repeat(513)),
            400,
            100,
        ),
        ("a text", |send| send["type"] = json!("text"), 400, 131_051),
        (
            "no template",
            |send| drop(send.as_object_mut().unwrap().remove("template")),
            400,
            131_008,
        ),
        (
            "an unknown template",
            |send| send["template"]["name"] = json!("other"),
            404,
            132_001,
        ),
        (
            "an unknown language",
            |send| send["template"]["language"]["code"] = json!("de"),
            404,
            132_001,
        ),
        (
            "a pending template",
            |send| send["template"] = in_dutch(send, "new_otp"),
            404,
            132_001,
        ),
        (
            "a paused template",
            |send| send["template"] = in_dutch(send, "paused_otp"),
            400,
            132_015,
        ),
        (
            "a disabled template",
            |send| send["template"] = in_dutch(send, "dead_otp"),
            400,
            132_016,
        ),
        (
            "no components",
            |send| send["template"]["components"] = json!([]),
            400,
            132_000,
        ),
        (
            "no button",
            |send| {
                drop(
                    send.pointer_mut("/template/components")
                        .unwrap()
                        .as_array_mut()
                        .unwrap()
                        .pop(),
                )
            },
            400,
            131_008,
        ),
        (
            "no body",
            |send| {
                drop(
                    send.pointer_mut("/template/components")
                        .unwrap()
                        .as_array_mut()
                        .unwrap()
                        .remove(0),
                )
            },
            400,
            132_000,
        ),
        (
            "two body parameters",
            |send| {
                let parameters = send
                    .pointer_mut("/template/components/0/parameters")
                    .unwrap()
                    .as_array_mut()
                    .unwrap();
                parameters.push(parameters[0].clone());
            },
            400,
            132_000,
        ),
        (
            "no button parameter",
            |send| send["template"]["components"][1]["parameters"] = json!([]),
            400,
            131_008,
        ),
        (
            "a coupon button",
            |send| send["template"]["components"][1]["sub_type"] = json!("copy_code"),
            400,
            131_009,
        ),
        (
            "another button",
            |send| send["template"]["components"][1]["index"] = json!("1"),
            400,
            131_008,
        ),
        (
            "two codes",
            |send| send["template"]["components"][1]["parameters"][0]["text"] = json!("654321"),
            400,
            131_009,
        ),
        (
            "a parameter of currency",
            |send| send["template"]["components"][0]["parameters"][0]["type"] = json!("currency"),
            400,
            132_012,
        ),
        (
            "a header",
            |send| send["template"]["components"][0]["type"] = json!("header"),
            400,
            132_018,
        ),
    ];
    for (what, spoil, http, code) in cases {
        let mut body = otp(TO, "123456");
        spoil(&mut body);
        let (status, answer) = send(&meta, &body).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]["code"]),
            (*http, &json!(code)),
            "{what}: {answer}"
        );
        assert_eq!(answer["error"]["type"], "OAuthException", "{what}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with(&format!("(#{code})")),
            "{what}: {answer}"
        );
        assert!(answer["error"]["fbtrace_id"].is_string(), "{what}");
    }
    let (_, answer) = send(&meta, &otp(TO, sixteen)).await;
    assert_eq!(answer["error"]["code"], 131_009);
    let (status, _) = send(&meta, &otp(TO, &sixteen[..15])).await;
    assert_eq!(status, 200);

    let mut body = otp(TO, "123456");
    body.pointer_mut(components).unwrap().as_array_mut().unwrap().pop();
    let (_, answer) = send(&meta, &body).await;
    assert_eq!(
        answer["error"]["error_data"],
        json!({ "messaging_product": "whatsapp", "details": "buttons: Button at index 0 of type Url requires a parameter" })
    );
    let mut body = otp(TO, "123456");
    body["template"]["components"][1]["index"] = json!(0);
    assert_eq!(send(&meta, &body).await.0, 200, "the index may be a number");

    let requests = meta.requests();
    assert_eq!(requests.len(), cases.len() + 4);
    assert!(matches!(requests[0].fate, Fate::Invalid { code: 100, .. }));
    assert_eq!(meta.messages().len(), 2);
}

fn in_dutch(send: &Value, name: &str) -> Value {
    let mut template = send["template"].clone();
    template["name"] = json!(name);
    template["language"]["code"] = json!("nl");
    template
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let meta = start().await;
    let body = otp(TO, "123456");
    let url = format!("{}/v25.0/{}/messages", meta.base_url(), meta.config().phone_number_id);
    let client = reqwest::Client::new();

    for stranger in [
        client.post(&url).json(&body),
        client.post(&url).bearer_auth("wrong").json(&body),
    ] {
        let answer = stranger.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], 190);
    }
    let lost = client
        .post(format!("{}/v25.0/12345/messages", meta.base_url()))
        .bearer_auth(&meta.config().access_token)
        .json(&body);
    let answer = lost.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["error_subcode"]),
        (&json!(100), &json!(33))
    );

    let as_text = client
        .post(&url)
        .bearer_auth(&meta.config().access_token)
        .body(body.to_string());
    for bad in [request(&meta, &body).body("{"), as_text] {
        assert_eq!(bad.send().await.unwrap().json::<Value>().await.unwrap()["error"]["code"], 100);
    }
    let nowhere = client.get(format!("{}/25/x", meta.base_url())).send().await.unwrap();
    assert_eq!(nowhere.status(), 400);

    meta.set_access_token("rotated");
    assert_eq!(send(&meta, &body).await.0, 401, "the old token has expired");
    assert!(meta.messages().is_empty());
}

#[tokio::test]
async fn a_number_tells_its_health() {
    let meta = start().await;
    let get = |query: &str| {
        reqwest::Client::new()
            .get(format!("{}/v25.0/{}{query}", meta.base_url(), meta.config().phone_number_id))
            .bearer_auth(&meta.config().access_token)
            .send()
    };
    let healthy: Value = get("?fields=health_status,quality_rating")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(healthy["health_status"]["can_send_message"], "AVAILABLE");
    assert_eq!(healthy["quality_rating"], "GREEN");
    assert_eq!(healthy["id"], meta.config().phone_number_id);
    assert_eq!(get("?fields=shoe_size").await.unwrap().status(), 400);
}

#[tokio::test]
async fn receipts_are_signed_over_the_bytes_that_are_sent() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(format!("{}/hooks/whatsapp/1", sink.base_url));
    meta.script(TO, Script::delivered().then(ReceiptStep::failed(131_026)));
    let mut body = otp(TO, "123456");
    body["biz_opaque_callback_data"] = json!("Zoë/🚲");
    let (_, answer) = send(&meta, &body).await;

    for word in ["sent", "delivered", "failed"] {
        let webhook = sink.next().await;
        assert_eq!(webhook.uri.path(), "/hooks/whatsapp/1");
        assert_eq!(webhook.method, "POST");
        let signature = documented_signature(&meta.config().app_secret, &webhook.body);
        assert_eq!(webhook.header("x-hub-signature-256"), Some(signature.as_str()));

        assert!(webhook.body.is_ascii());
        let text = std::str::from_utf8(&webhook.body).unwrap();
        assert!(
            text.contains(r#""biz_opaque_callback_data":"Zo\u00eb\/\ud83d\udeb2""#),
            "{text}"
        );
        let parsed: Value = serde_json::from_slice(&webhook.body).unwrap();
        assert_ne!(
            parsed.to_string().as_bytes(),
            &webhook.body[..],
            "printing it again must change the bytes"
        );

        assert_eq!(parsed["object"], "whatsapp_business_account");
        assert_eq!(parsed["entry"][0]["id"], meta.config().waba_id);
        let change = &parsed["entry"][0]["changes"][0];
        assert_eq!(change["field"], "messages");
        assert_eq!(change["value"]["metadata"]["phone_number_id"], meta.config().phone_number_id);
        let status = &change["value"]["statuses"][0];
        assert_eq!(status["status"], word);
        assert_eq!(status["id"], answer["messages"][0]["id"]);
        assert_eq!(status["recipient_id"], "31612345678");
        assert!(status["timestamp"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
        assert_eq!(status["biz_opaque_callback_data"], "Zoë/🚲");
        let failed = word == "failed";
        assert_eq!(status["errors"][0]["code"] == 131_026, failed);
        assert_eq!(change["value"]["contacts"].is_null(), failed);
        assert_eq!(status["pricing"].is_null(), failed);
    }
    let log = meta.wait_for_webhooks(3, LIMIT).await;
    assert!(log.iter().all(|webhook| webhook.answer == CallbackAnswer::Status(200)));
    assert_eq!(meta.counts().webhooks_taken, 3);
}

#[tokio::test]
async fn a_receipt_can_be_spoiled_in_every_way() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    let steps = [
        ReceiptStep::sent().forged(),
        ReceiptStep::sent().unsigned(),
        ReceiptStep::sent().foreign(),
        ReceiptStep::sent().without_callback_data(),
        ReceiptStep::delivered().times(2),
        ReceiptStep::read(),
        ReceiptStep::delivered().with_previous(),
    ];
    meta.script(TO, steps.into_iter().fold(Script::silent(), Script::then));
    send(&meta, &otp(TO, "123456")).await;

    let genuine = |webhook: &sink::Received| {
        webhook.header("x-hub-signature-256") == Some(&documented_signature(&meta.config().app_secret, &webhook.body))
    };
    let statuses = |webhook: &sink::Received| {
        let parsed: Value = serde_json::from_slice(&webhook.body).unwrap();
        parsed["entry"][0]["changes"][0]["value"]["statuses"]
            .as_array()
            .unwrap()
            .clone()
    };
    let forged = sink.next().await;
    assert!(!genuine(&forged));
    assert_eq!(forged.header("x-hub-signature-256").unwrap().len(), 71);
    assert_eq!(sink.next().await.header("x-hub-signature-256"), None);

    let foreign = sink.next().await;
    assert!(genuine(&foreign));
    let parsed: Value = serde_json::from_slice(&foreign.body).unwrap();
    let id = &parsed["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"];
    assert_ne!(id, &json!(meta.config().phone_number_id));

    let mute = sink.next().await;
    assert!(genuine(&mute));
    assert!(statuses(&mute)[0]["biz_opaque_callback_data"].is_null());

    let (first, second) = (sink.next().await, sink.next().await);
    assert!(genuine(&first));
    assert_eq!(first.body, second.body);

    let batch = sink.next().await;
    assert!(genuine(&batch));
    let words: Vec<_> = statuses(&batch).iter().map(|status| status["status"].clone()).collect();
    assert_eq!(words, ["read", "delivered"]);
}

#[tokio::test]
async fn any_other_receipt_waits_for_the_answer() {
    let sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    let delay = Duration::from_millis(100);
    meta.script(TO, Script::delivered().answered_after(delay));
    assert_eq!(request(&meta, &otp(TO, "123456")).send().await.unwrap().status(), 200);
    let webhooks = meta.wait_for_webhooks(1, LIMIT).await;
    let read_at = meta.requests()[0].at;
    assert!(webhooks[0].at.duration_since(read_at).unwrap() >= delay);
}

#[tokio::test]
async fn an_early_receipt_arrives_before_the_answer() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    meta.script(
        TO,
        Script::silent()
            .then(ReceiptStep::sent())
            .then(ReceiptStep::delivered().early()),
    );
    let (status, _) = send(&meta, &otp(TO, "123456")).await;
    assert_eq!(status, 200);
    let early = meta.webhooks();
    assert!(!early.is_empty(), "the webhook was answered before the send was");
    assert!(
        std::str::from_utf8(&early[0].body)
            .unwrap()
            .contains(r#""status":"delivered""#)
    );
    meta.wait_for_webhooks(2, LIMIT).await;
    assert_eq!(sink.drain(), 2);
}

#[tokio::test]
async fn receipts_come_in_the_order_of_their_times() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    let late = Duration::from_millis(80);
    meta.script(
        TO,
        Script::silent()
            .then(ReceiptStep::sent().after(late))
            .then(ReceiptStep::read()),
    );
    let began = Instant::now();
    send(&meta, &otp(TO, "123456")).await;
    assert!(
        std::str::from_utf8(&sink.next().await.body)
            .unwrap()
            .contains(r#""status":"read""#)
    );
    assert!(
        std::str::from_utf8(&sink.next().await.body)
            .unwrap()
            .contains(r#""status":"sent""#)
    );
    assert!(began.elapsed() >= late);
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_comes_again_and_a_forgery_does_not() {
    let mut sink = Sink::answering(&[401, 500, 503]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    meta.script(
        TO,
        Script::silent()
            .then(ReceiptStep::sent().forged())
            .then(ReceiptStep::delivered()),
    );
    send(&meta, &otp(TO, "123456")).await;
    let log = meta.wait_for_webhooks(4, LIMIT).await;
    let seen: Vec<_> = log
        .iter()
        .map(|webhook| (webhook.redelivery, webhook.answer.status()))
        .collect();
    assert_eq!(seen, [(0, Some(401)), (0, Some(500)), (1, Some(503)), (2, Some(200))]);
    assert_eq!(log[1].body, log[3].body);
    assert_ne!(log[0].body, log[1].body);
    assert_eq!(sink.drain(), 4);
    assert_eq!((meta.counts().webhooks_taken, meta.counts().webhooks_failed), (1, 3));
}

#[tokio::test]
async fn the_answer_follows_the_script() {
    let meta = start().await;
    let body = otp(TO, "123456");
    meta.default_script(Script::error(500, 131_000));
    meta.script(TO, Script::held());
    meta.script_once(TO, Script::error(400, 131_056));
    meta.script_once(
        TO,
        Script {
            answer: Answer::Error {
                http: 401,
                code: 190,
                subcode: Some(463),
            },
            ..Script::default()
        },
    );

    let (status, answer) = send(&meta, &body).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (400, &json!(131_056)));
    assert!(answer["error"]["error_data"]["details"].is_string());
    let (status, answer) = send(&meta, &body).await;
    assert_eq!((status.as_u16(), &answer["error"]["error_subcode"]), (401, &json!(463)));
    let (status, answer) = send(&meta, &body).await;
    assert_eq!(
        (status.as_u16(), &answer["messages"][0]["message_status"]),
        (200, &json!("held_for_quality_assessment"))
    );
    let (status, _) = send(&meta, &otp("+31687654321", "123456")).await;
    assert_eq!(status, 500);
    meta.script(
        TO,
        Script {
            answer: Answer::AcceptPaused,
            ..Script::default()
        },
    );
    let (_, answer) = send(&meta, &body).await;
    assert_eq!(answer["messages"][0]["message_status"], "paused");

    let fates: Vec<_> = meta.requests().into_iter().map(|request| request.fate).collect();
    assert_eq!(fates[0], Fate::Refused { code: 131_056 });
    assert_eq!(meta.messages_to(TO).len(), 2);
}

#[tokio::test]
async fn a_delayed_answer_is_late_but_its_request_is_known_at_once() {
    let meta = start().await;
    let delay = Duration::from_millis(120);
    meta.script(TO, Script::silent().answered_after(delay));
    let began = Instant::now();
    let sending = tokio::spawn(request(&meta, &otp(TO, "123456")).send());
    meta.wait_for_messages(1, LIMIT).await;
    assert!(!sending.is_finished());
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
    assert!(began.elapsed() >= delay);
}

#[tokio::test]
async fn a_fault_after_the_reading_leaves_a_message_and_its_receipts() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    let body = otp(TO, "123456");
    let faults = [
        Fault::ReadThenClose,
        Fault::ReadThenReset,
        Fault::ReadThenHang(Duration::from_millis(50)),
        Fault::CutShort,
    ];
    for (before, fault) in faults.into_iter().enumerate() {
        meta.script(TO, Script::fault(fault).then(ReceiptStep::delivered()));
        let outcome = match (request(&meta, &body).send().await, fault) {
            (Ok(response), Fault::CutShort) => {
                assert_eq!(response.status(), 200, "the first half arrives");
                response.bytes().await
            }
            (Err(error), Fault::CutShort) => panic!("the first half is lost: {error:?}"),
            (Ok(response), _) => panic!("{fault:?} was answered {}", response.status()),
            (Err(error), _) => Err(error),
        };
        let error = format!("{:?}", outcome.expect_err("no whole answer"));
        assert_eq!(
            error.contains("ConnectionReset"),
            fault == Fault::ReadThenReset,
            "{fault:?}: {error}"
        );
        let messages = meta.messages();
        assert_eq!(messages.len(), before + 1, "{fault:?}");
        assert!(matches!(messages[before].fate, Fate::Faulted { fault: seen, .. } if seen == fault));
        let webhook = sink.next().await;
        let parsed: Value = serde_json::from_slice(&webhook.body).unwrap();
        let id = &parsed["entry"][0]["changes"][0]["value"]["statuses"][0]["id"];
        assert_eq!(id.as_str(), messages[before].wamid(), "{fault:?}");
    }

    meta.script(TO, Script::fault(Fault::Html(502)));
    let response = request(&meta, &body).send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.text().await.unwrap().contains("<html>"));

    meta.script(TO, Script::fault(Fault::Garbage));
    let response = request(&meta, &body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.json::<Value>().await.is_err());
    assert_eq!(meta.messages().len(), faults.len() + 2);
}

#[tokio::test]
async fn a_caller_who_gives_up_does_not_stop_the_receipts() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    meta.set_callback_url(&sink.base_url);
    meta.script(TO, Script::delivered().answered_after(LIMIT * 10));
    let impatient = request(&meta, &otp(TO, "123456"))
        .timeout(Duration::from_millis(50))
        .send()
        .await;
    assert!(impatient.unwrap_err().is_timeout());
    sink.next().await;
    sink.next().await;
    meta.script(TO, Script::fault(Fault::ReadThenHang(LIMIT * 10)).then(ReceiptStep::sent()));
    let hanging = tokio::spawn(request(&meta, &otp(TO, "123456")).send());
    sink.next().await;
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test]
async fn a_fault_before_the_reading_leaves_nothing() {
    let meta = start().await;
    let body = otp(TO, "123456");
    meta.script(TO, Script::fault(Fault::CloseBeforeRead).then(ReceiptStep::delivered()));
    request(&meta, &body).send().await.unwrap_err();
    assert_eq!(meta.counts().unread, 1);

    meta.script(TO, Script::silent());
    meta.slam(true);
    request(&meta, &body).send().await.unwrap_err();
    let address = meta.base_url().replace("http://", "");
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let read = tokio::time::timeout(LIMIT, silent.read(&mut [0])).await;
    let bytes = read.expect("closed without a word from the caller").unwrap();
    assert_eq!(bytes, 0);
    meta.slam(false);
    assert_eq!(send(&meta, &body).await.0, 200);

    let kept_alive = reqwest::Client::new();
    let again = || kept_alive.execute(request(&meta, &body).build().unwrap());
    assert_eq!(again().await.unwrap().status(), 200);
    meta.slam(true);
    again().await.expect_err("an open connection is cut too");
    meta.slam(false);
    assert_eq!(again().await.unwrap().status(), 200);
    meta.go_down().await;
    assert!(again().await.unwrap_err().is_connect());
    assert!(request(&meta, &body).send().await.unwrap_err().is_connect());
    meta.come_back().await.unwrap();
    assert_eq!(again().await.unwrap().status(), 200);
    assert_eq!(meta.requests().len(), 4);
}

#[tokio::test]
async fn a_test_can_send_receipts_by_hand() {
    let mut sink = Sink::answering(&[]).await;
    let meta = start().await;
    send(&meta, &otp(TO, "123456")).await;
    let message = &meta.wait_for_messages(1, LIMIT).await[0];
    assert_eq!(
        meta.send_receipt(message, &ReceiptStep::sent()).await,
        CallbackAnswer::NoAddress
    );

    meta.set_callback_url(&sink.base_url);
    assert!(meta.send_receipt(message, &ReceiptStep::delivered().times(2)).await.is_ok());
    assert_eq!(sink.next().await.body, sink.next().await.body);

    let thousand = vec![message.update(Status::Read).unwrap(); 1_000];
    assert!(meta.send_statuses(&thousand).await.is_ok());
    let batch = sink.next().await;
    assert_eq!(
        batch.header("x-hub-signature-256"),
        Some(documented_signature(&meta.config().app_secret, &batch.body).as_str())
    );
    let parsed: Value = serde_json::from_slice(&batch.body).unwrap();
    let entries = parsed["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let statuses: usize = entries
        .iter()
        .flat_map(|entry| entry["changes"].as_array().unwrap())
        .map(|change| change["value"]["statuses"].as_array().unwrap().len())
        .sum();
    assert_eq!(statuses, 1_000);

    let header = Signing::Header("sha1=0".to_owned());
    assert!(meta.send_body("not json", &header).await.is_ok());
    let raw = sink.next().await;
    assert_eq!(
        (&raw.body[..], raw.header("x-hub-signature-256")),
        (&b"not json"[..], Some("sha1=0"))
    );
    assert_eq!(
        meta.sign(b"not json"),
        documented_signature(&meta.config().app_secret, b"not json")
    );
}

#[tokio::test]
async fn a_callback_address_must_pass_the_handshake() {
    let mut sink = Sink::answering(&[403]).await;
    let meta = start().await;
    let url = format!("{}/hooks/whatsapp/1", sink.base_url);
    let refused = meta.subscribe(&url, "wrong").await;
    assert!(matches!(refused, Err(SubscribeError::Answer(CallbackAnswer::Status(403)))));
    let deaf = format!("{}/deaf", sink.base_url);
    let echoless = meta.subscribe(&deaf, "s e/cret").await;
    assert!(matches!(echoless, Err(SubscribeError::Challenge)));
    meta.subscribe(&url, "s e/cret").await.unwrap();
    sink.next().await;
    sink.next().await;
    let shake = sink.next().await;
    assert_eq!(shake.method, "GET");
    let query = shake.uri.query().unwrap();
    assert!(query.starts_with("hub.mode=subscribe&hub.challenge="), "{query}");
    assert!(query.ends_with("&hub.verify_token=s+e%2Fcret"), "{query}");
    assert!(meta.send_body("{}", &Signing::Missing).await.is_ok(), "the address is in use");
}

#[tokio::test]
#[should_panic(expected = "in vain for 1 messages; 1 entries")]
async fn a_wait_in_vain_fails_the_test() {
    let meta = start().await;
    send(&meta, &otp("+1", "123456")).await;
    meta.wait_for_messages(1, Duration::from_millis(20)).await;
}

#[tokio::test]
async fn what_a_person_reads_shows_neither_code_nor_number() {
    let meta = start().await;
    send(&meta, &otp(TO, "987654")).await;
    let shown = format!("{:?}", meta.requests());
    assert!(
        shown.contains("5678") && !shown.contains("612345678") && !shown.contains("987654"),
        "{shown}"
    );
    assert!(!shown.contains("wamid"), "a message id contains the number: {shown}");
}
