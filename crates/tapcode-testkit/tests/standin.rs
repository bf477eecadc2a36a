//! Does the program start both stand-ins and say where?

use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A bound that fails the test, not a wait.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_prints_its_addresses_and_counts_what_it_sees() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tapcode-standin"))
        .args(["--template", "otp:nl", "--phone-number-id", "7"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let addresses: Value = serde_json::from_str(&line).unwrap();
    let (meta, sms) = (
        addresses["cloud_api"].as_str().unwrap(),
        addresses["twilio"].as_str().unwrap(),
    );

    let client = reqwest::Client::new();
    let code = serde_json::json!([{ "type": "text", "text": "123456" }]);
    let otp = serde_json::json!({
        "messaging_product": "whatsapp", "to": "+31612345678", "type": "template",
        "template": { "name": "otp", "language": { "code": "nl" }, "components": [
            { "type": "body", "parameters": code },
            { "type": "button", "sub_type": "url", "index": "0", "parameters": code },
        ] },
    });
    let sent = client
        .post(format!("{meta}/v25.0/7/messages"))
        .bearer_auth("EAAJB-stand-in-token")
        .json(&otp)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
    let counts = |url: String| {
        let client = client.clone();
        async move {
            client
                .get(format!("{url}/stand-in/counts"))
                .send()
                .await
                .unwrap()
                .json::<Value>()
                .await
                .unwrap()
        }
    };
    assert_eq!(counts(meta.to_owned()).await["messages"], 1);
    assert_eq!(counts(sms.to_owned()).await["messages"], 0);
}
