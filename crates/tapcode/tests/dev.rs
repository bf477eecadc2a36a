//! Does the first run keep its promise? What `tapcode dev` prints is copied into a shell, line by line, and works.

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::{Home, Process, run, stderr, stdout};
use serde_json::Value;

/// Runs a line as somebody who copied it would.
fn in_a_shell(line: &str) -> Value {
    let output = run(Command::new("sh").arg("-c").arg(line));
    assert!(output.status.success(), "{line}: {output:?}");
    assert_eq!(stderr(&output), "", "{line}");
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{line}: {error}: {}", stdout(&output)))
}

#[tokio::test]
async fn the_printed_lines_work_when_they_are_copied() {
    let home = Home::new();
    let mut command = home.command(["dev", "--listen", "127.0.0.1:0", "--data", "data"]);
    command.env_remove("TAPCODE_CONFIG");
    let mut dev = Process::start(command);
    let printed = dev.lines_until(|line| line.contains("Ctrl-C"));
    let text = printed.join("\n");
    assert!(!text.contains('\x1b'), "there are no colours in a pipe: {text}");
    let lines: Vec<&String> = printed.iter().filter(|line| line.starts_with("curl ")).collect();
    let [begin, check, see] = lines[..] else {
        panic!("three lines to copy: {text}")
    };
    let page = printed
        .iter()
        .find_map(|line| line.trim().strip_prefix("Phones").map(str::trim))
        .expect("the page's address");

    let begun = in_a_shell(begin);
    assert_eq!((&begun["status"], &begun["channel"]), (&"pending".into(), &"whatsapp".into()));

    // A copied line that was not edited is a wrong guess and no more.
    let wrong = in_a_shell(check);
    assert_eq!((&wrong["valid"], &wrong["checks_left"]), (&false.into(), &4.into()));

    let opened = harness::client().get(page).send().await.unwrap();
    assert_eq!(opened.status().as_u16(), 200, "the page opens");
    let url = page.strip_suffix("/phone").expect("the page is below the server's address");
    let code = harness::code_on_phone(url, "+31611398058").await;
    let right = in_a_shell(&check.replace("000000", &code));
    assert_eq!((&right["valid"], &right["status"]), (&true.into(), &"approved".into()));

    let seen = in_a_shell(see);
    assert_eq!(
        (&seen["data"][0]["id"], &seen["data"][0]["status"]),
        (&begun["id"], &"approved".into())
    );

    assert_eq!(dev.terminate(), Some(0));
    assert!(!dev.log().contains(&code), "a code was written down");
}

#[tokio::test]
async fn the_next_start_has_the_same_key_and_everything_else() {
    let home = Home::new();
    let mut first = home.dev();
    let key = first.ready["key"].as_str().unwrap().to_owned();
    let begun = first
        .post("/api/v1/verifications", &key, serde_json::json!({"to": "+31611398058"}))
        .await
        .expect(201);
    assert_eq!(first.terminate(), Some(0));
    for file in ["api.key", "master.key", "tapcode.db"] {
        let mode = fs::metadata(home.path("data").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::read_to_string(home.path("data/.gitignore")).unwrap(), "*\n");

    let mut second = home.dev();
    assert_eq!(second.ready["key"], key.as_str());
    let path = format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap());
    second.get(&path, &key).await.expect(200);
    assert_eq!(second.terminate(), Some(0));

    // Another store does not know the key: a new one is made and kept.
    fs::remove_file(home.path("data/tapcode.db")).unwrap();
    let third = home.dev();
    let other = third.ready["key"].as_str().unwrap().to_owned();
    assert_ne!(other, key);
    third.get("/api/v1/verifications", &other).await.expect(200);
    assert_eq!(third.get("/api/v1/verifications", &key).await.status, 401);
    assert_eq!(fs::read_to_string(home.path("data/api.key")).unwrap().trim(), other);
}

#[tokio::test]
async fn the_three_phones_do_what_is_printed() {
    let home = Home::new();
    let dev = home.dev();
    let key = dev.ready["key"].as_str().unwrap().to_owned();
    let numbers: Vec<String> = dev.ready["numbers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["number"].as_str().unwrap().to_owned())
        .collect();
    let [delivers, never, not_on_whatsapp] = &numbers[..] else {
        panic!("three phones: {numbers:?}")
    };
    let begin = async |number: &String| {
        let body = serde_json::json!({"to": number, "workflow": [{"channel": "whatsapp", "wait_ms": 1_000}, {"channel": "sms"}]});
        dev.post("/api/v1/verifications", &key, body).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let ids = [begin(delivers).await, begin(never).await, begin(not_on_whatsapp).await];
    for number in [never, not_on_whatsapp] {
        dev.code_on_phone(number).await;
    }
    let arrived = async |id: &str| {
        harness::eventually("a delivered attempt", async || {
            let attempts = dev.get(&format!("/api/v1/verifications/{id}"), &key).await.expect(200)["attempts"].clone();
            let attempts = attempts.as_array().unwrap().clone();
            // Meta's prices are for Meta's messages.
            assert!(attempts.iter().all(|a| a["price"].is_null()), "{attempts:?}");
            attempts.iter().any(|a| a["status"] == "delivered").then_some(attempts)
        })
        .await
    };
    let ways: Vec<Vec<(Value, Value)>> = {
        let mut ways = Vec::new();
        for id in &ids {
            ways.push(
                arrived(id)
                    .await
                    .iter()
                    .map(|a| (a["channel"].clone(), a["status"].clone()))
                    .collect(),
            );
        }
        ways
    };
    let way = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(c, s)| (Value::from(*c), Value::from(*s)))
            .collect::<Vec<_>>()
    };
    assert_eq!(ways[0], way(&[("whatsapp", "delivered")]));
    assert_eq!(ways[1], way(&[("whatsapp", "accepted"), ("sms", "delivered")]));
    assert_eq!(ways[2], way(&[("whatsapp", "failed"), ("sms", "delivered")]));
}
