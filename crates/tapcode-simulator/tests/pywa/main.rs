//! Does a client that somebody else wrote get along with the stand-in for Meta's Cloud API? PyWa (PyPI) drives it and reads
//! its webhooks: what our own provider and our own stand-in have misread together would show here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tapcode_simulator::cloud_api::{CloudApi, CloudApiConfig, ReceiptStep, Script, TemplateState, WebhookDelivery};
use tapcode_simulator::{CallbackAnswer, Signing};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A bound that fails a test, not a wait.
const LIMIT: Duration = Duration::from_secs(60);
const TO: &str = "+31612345678";

async fn pywa(meta: &CloudApi, mode: &str, input: &str) -> Value {
    let python = std::env::var_os("TAPCODE_TEST_PYTHON")
        .expect("TAPCODE_TEST_PYTHON is a Python with PyWa; `cargo xtask test` installs one, and `cargo xtask env` prints it");
    let config = meta.config();
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pywa/client.py"))
        .args([mode, &meta.base_url(), &config.phone_number_id, &config.waba_id])
        .args([&config.access_token, &config.app_secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn lines(webhooks: &[WebhookDelivery]) -> String {
    let line = |webhook: &WebhookDelivery| json!({"body": STANDARD.encode(&webhook.body), "signature": webhook.signature});
    webhooks.iter().map(|webhook| format!("{}\n", line(webhook))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pywa_is_served() {
    let meta = CloudApi::start(CloudApiConfig {
        templates: Vec::new(),
        redelivery: Vec::new(),
        ..CloudApiConfig::default()
    })
    .await
    .unwrap();
    let seen = pywa(&meta, "drive", "").await;
    insta::assert_json_snapshot!("driven", seen);
    let sent = meta.messages().pop().unwrap();
    assert_eq!(sent.code.as_deref(), Some("J$FpnYnP"));
    assert_eq!(sent.biz_opaque_callback_data.as_deref(), Some("att_1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pywa_understands_every_webhook() {
    let meta = CloudApi::start(CloudApiConfig {
        redelivery: Vec::new(),
        ..CloudApiConfig::default()
    })
    .await
    .unwrap();
    // No `failed` is among them: Meta documents it without contacts, and PyWa 4.5 cannot read a status without.
    let script = Script::silent()
        .then(ReceiptStep::sent())
        .then(ReceiptStep::delivered())
        .then(ReceiptStep::read());
    meta.script(TO, script);
    let body = json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": TO, "type": "template",
        "biz_opaque_callback_data": "att_7",
        "template": { "name": "login_otp", "language": { "code": "nl" }, "components": [
            { "type": "body", "parameters": [{ "type": "text", "text": "123456" }] },
            { "type": "button", "sub_type": "url", "index": "0", "parameters": [{ "type": "text", "text": "123456" }] },
        ] },
    });
    let config = meta.config();
    let sent = reqwest::Client::new()
        .post(format!("{}/v25.0/{}/messages", meta.base_url(), config.phone_number_id))
        .bearer_auth(&config.access_token)
        .json(&body)
        .send();
    assert!(sent.await.unwrap().status().is_success());
    meta.wait_for_webhooks(3, LIMIT).await;
    let message = meta.messages().remove(0);
    meta.press_did_not_request(&message).await;
    // Nor is a language with a region: Meta's examples write it with a hyphen here, which PyWa does not know.
    meta.decide("login_otp", "nl", TemplateState::Paused).await;
    // A thousand at once, and one that is not Meta's.
    let update = message.update(tapcode_simulator::cloud_api::Status::Delivered).unwrap();
    meta.send_statuses(&vec![update.clone(); 1_000]).await;
    let forged = meta.statuses_body(&[update]);
    assert_eq!(meta.send_body(forged, &Signing::Forged).await, CallbackAnswer::NoAddress);

    let heard = pywa(&meta, "hear", &lines(&meta.webhooks())).await;
    let wamid = message.wamid().unwrap();
    let price = json!(["authentication", "regular"]);
    let heard = heard.as_array().unwrap();
    assert_eq!(
        heard[..5],
        [
            json!(["status", "sent", wamid, "att_7", "31612345678", price]),
            json!(["status", "delivered", wamid, "att_7", "31612345678", price]),
            json!(["status", "read", wamid, "att_7", "31612345678", null]),
            json!(["button", "DID_NOT_REQUEST_CODE", "I didn't request a code", wamid]),
            json!(["template", "login_otp", "nl", "PAUSED", heard[4][4]]),
        ]
    );
    let batch = &heard[5..heard.len() - 1];
    assert_eq!(batch.len(), 1_000);
    assert!(batch.iter().all(|told| told[1] == "delivered"), "{:?}", batch[0]);
    assert_eq!(heard.last(), Some(&json!(["rejected", 403])));
}
