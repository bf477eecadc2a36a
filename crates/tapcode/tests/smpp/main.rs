//! Does an SMSC that nobody here wrote understand our SMPP, and do we understand its receipts, with the real binary?
//!
//! The SMSC is made of npm's package `smpp`; the bytes are judged by Wireshark's dissector as well.

#[path = "../harness/mod.rs"]
mod harness;

use std::process::{Command, Stdio};

use harness::outside::{AUTH_TOKEN, Outside};
use harness::{Home, Process, Server};
use serde_json::{Value, json};

const PASSWORD: &str = "secret12";

/// A program from where `cargo xtask test` says that it is.
fn place(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `cargo xtask test`, or `eval \"$(cargo xtask env)\"` first");
    })
}

struct Smsc {
    process: Process,
    port: u16,
}

impl Smsc {
    fn start(wanted: &Value) -> Self {
        Self::on(wanted, 0)
    }

    fn on(wanted: &Value, port: u16) -> Self {
        let mut node = Command::new(place("TAPCODE_TEST_NODE"));
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smpp/smsc.js"))
            .args([wanted.to_string(), port.to_string()])
            .env("NODE_PATH", place("TAPCODE_TEST_NODE_MODULES"))
            .stdin(Stdio::null());
        let mut process = Process::start(node);
        let lines = process.lines_until(|line| line.contains("listening"));
        let said: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        let port = said["listening"].as_u64().unwrap().try_into().unwrap();
        Self { process, port }
    }

    /// What it has said of a kind so far.
    fn said(&self, kind: &str) -> Vec<Value> {
        let log = self.process.log();
        let said = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        said.filter(|said| !said[kind].is_null()).collect()
    }
}

/// A number at an SMSC, id 51, with these settings beside.
fn number(port: u16, settings: &str) -> String {
    format!(
        "\n[[numbers]]\nid = 51\nprovider = \"smpp\"\nnumber = \"Demo\"\naddress = \"localhost:{port}\"\nsystem_id = \"tapcode\"\n\
         password = \"{PASSWORD}\"\nsystem_type = \"OTP\"\n{settings}\n"
    )
}

const SERVICE: &str = "[[services]]\nname = \"demo\"\nbrand = \"Demo\"\nworkflow = [ {channel = \"sms\", sender = 51} ]\n";

fn home(port: u16, settings: &str) -> Home {
    Home::with(&format!("{SERVICE}{}", number(port, settings)))
}

/// Starts the server, and waits until it is bound.
fn serve(home: &Home, smsc: &Smsc) -> Server {
    let server = home.serve();
    smsc.process.wait_for_log("\"bound\":true");
    server.wait_for_log("bound to the SMSC");
    server
}

async fn begin(server: &Server, key: &str, to: &str, locale: &str) -> String {
    let begun = server
        .post("/api/v1/verifications", key, json!({"to": to, "locale": locale}))
        .await
        .expect(201);
    format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap())
}

/// The attempts, once the last one has a status.
async fn attempts_once(server: &Server, key: &str, path: &str, status: &str) -> Vec<Value> {
    harness::eventually("its last attempt has the status", async || {
        let attempts = server.get(path, key).await.expect(200)["attempts"].clone();
        let attempts = attempts.as_array().cloned().unwrap_or_default();
        attempts
            .last()
            .is_some_and(|last| last["status"] == status)
            .then_some(attempts)
    })
    .await
}

/// Sends a code and sees it delivered; what the SMSC was given.
async fn delivered(wanted: Value, settings: &str) -> Value {
    let smsc = Smsc::start(&wanted);
    let home = home(smsc.port, &format!("tls = false\n{settings}"));
    let server = serve(&home, &smsc);
    let key = home.key("demo");
    let path = begin(&server, &key, "+31611398058", "nl").await;
    attempts_once(&server, &key, &path, "delivered").await;
    smsc.process.wait_for_log("\"confirmed\":0");
    smsc.said("submitted").remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_smsc_delivers_our_code_tells_us_so_and_is_taken_leave_of() {
    let mut smsc = Smsc::start(&json!({}));
    let home = home(smsc.port, "tls = false");
    let mut server = serve(&home, &smsc);
    let key = home.key("demo");
    let path = begin(&server, &key, "+31611398058", "nl").await;
    attempts_once(&server, &key, &path, "delivered").await;
    let submitted = smsc.said("submitted").remove(0);
    assert_eq!(
        (&submitted["to"], &submitted["from"], &submitted["data_coding"]),
        (&json!("31611398058"), &json!("Demo"), &json!(0))
    );
    let code = &submitted["submitted"].as_str().unwrap()[..6];
    let checked = server
        .post(&format!("{path}/check"), &key, json!({"code": code}))
        .await
        .expect(200);
    assert_eq!(checked["valid"], true);
    assert_eq!(smsc.said("bound")[0]["system_type"], "OTP");

    // "Код", as UCS-2.
    let path = begin(&server, &key, "+31611398059", "ru").await;
    attempts_once(&server, &key, &path, "delivered").await;
    let submitted = smsc.said("submitted").remove(1);
    assert_eq!(submitted["data_coding"], 8);
    assert!(submitted["submitted"].as_str().unwrap().contains("Код"), "{submitted}");

    assert_eq!(server.terminate(), Some(0));
    let said: Vec<Value> = smsc.said("command");
    assert_eq!(said.last().unwrap()["command"], "unbind", "{said:?}");
    let log = server.log();
    assert!(!log.contains(PASSWORD) && !log.contains(code) && !log.contains("611398058"));
    smsc.process.kill_9();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_understood_however_they_are_written() {
    for receipt in ["text", "lower", "commas", "bare", "ucs2"] {
        delivered(json!({ "receipt": receipt }), "").await;
    }
    delivered(json!({ "receipt": "hex" }), "message_ids = \"decimal_then_hex\"").await;
    delivered(
        json!({ "receipt": "text", "ids": "hex" }),
        "message_ids = \"hex_then_decimal\"",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_understood_before_the_answer_and_on_another_session() {
    delivered(json!({ "when": "before" }), "").await;
    delivered(json!({ "when": "elsewhere", "receipt": "text" }), "binds = 2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_smsc_is_left_alone_for_a_while_and_then_takes_the_message_once() {
    let submitted = delivered(json!({ "throttle": 2 }), "").await;
    assert!(submitted["submitted"].as_str().unwrap().contains("Demo"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_only_an_smsc_that_the_authority_has_signed_gets_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = harness::run(Command::new(place("TAPCODE_TEST_OPENSSL")).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &path("key.pem"),
        "-out",
        &path("cert.pem"),
    ]));
    assert!(made.status.success(), "{made:?}");
    let wanted = json!({ "tls": { "key": path("key.pem"), "cert": path("cert.pem") } });
    let smsc = Smsc::start(&wanted);
    let trusting = home(smsc.port, &format!("tls_ca_file = \"{}\"", path("cert.pem")));
    let server = serve(&trusting, &smsc);
    let key = trusting.key("demo");
    let begun = begin(&server, &key, "+31611398058", "nl").await;
    attempts_once(&server, &key, &begun, "delivered").await;
    drop((server, smsc));

    let smsc = Smsc::start(&wanted);
    let doubting = home(smsc.port, "");
    let server = doubting.serve();
    server.wait_for_log("there is no session with the SMSC");
    assert!(smsc.said("bound").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_opens_the_breaker_and_the_next_code_goes_another_way() {
    let smsc = Smsc::start(&json!({ "password": "another" }));
    let outside = Outside::start().await;
    let home = Home::with(&with_fallback(smsc.port, &outside));
    let server = home.serve();
    smsc.process.wait_for_log("\"bound\":false");
    server.wait_for_log("there is no session with the SMSC");
    let key = home.key("demo");
    let path = begin(&server, &key, "+31611398058", "nl").await;
    let attempts = attempts_once(&server, &key, &path, "accepted").await;
    assert_eq!((attempts[0]["status"].as_str(), attempts.len()), (Some("failed"), 2));
    assert_eq!(attempts[0]["failure"]["code"], "smpp_0x0E");
    // The way is closed now: the next one does not even try.
    let path = begin(&server, &key, "+31611398059", "nl").await;
    let attempts = attempts_once(&server, &key, &path, "accepted").await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wireshark_reads_our_bytes_as_we_mean_them() {
    let smsc = Smsc::start(&json!({}));
    let dlt = "dlt_principal_entity_id = \"1201159012345678901\"\ndlt_content_template_id = \"1107161012345678901\"";
    // What the carriers of India take at all is a matter of the number, whoever's API it is.
    let registered =
        "[[numbers.registrations]]\ncountry = \"IN\"\nid = \"1201159012345678901\"\ntemplate_id = \"1107161012345678901\"";
    let home = home(smsc.port, &format!("tls = false\n{dlt}\n{registered}"));
    let mut server = serve(&home, &smsc);
    let key = home.key("demo");
    for to in ["+31611398058", "+919876543210"] {
        let path = begin(&server, &key, to, "nl").await;
        attempts_once(&server, &key, &path, "delivered").await;
    }
    assert_eq!(server.terminate(), Some(0));
    let read = dissected(&smsc);
    let of = |command: &str| -> Vec<&Value> { read.iter().filter(|pdu| first(pdu, "command_id") == command).collect() };
    let [bind] = of("0x00000009")[..] else {
        panic!("one bind: {read:?}")
    };
    assert_eq!(
        (
            first(bind, "system_id"),
            first(bind, "password"),
            first(bind, "system_type"),
            first(bind, "interface_version")
        ),
        ("tapcode", PASSWORD, "OTP", "52")
    );
    let [plain, indian] = of("0x00000004")[..] else {
        panic!("two submissions: {read:?}")
    };
    for (name, value) in [
        ("source_addr_ton", "0x05"),
        ("source_addr_npi", "0x00"),
        ("source_addr", "Demo"),
        ("dest_addr_ton", "0x01"),
        ("dest_addr_npi", "0x01"),
        ("destination_addr", "31611398058"),
        ("data_coding", "0x00"),
        ("regdel.receipt", "0x01"),
    ] {
        assert_eq!(first(plain, name), value, "{name}");
    }
    let tags: Vec<&str> = indian["smpp_smpp_opt_param_tag"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(tags, ["0x1400", "0x1401"], "{indian}");
    assert!(plain["smpp_smpp_opt_param_tag"].is_null());
    assert_eq!((of("0x80000005").len(), of("0x00000006").len()), (2, 1), "{read:?}");
}

/// What Wireshark's dissector reads in each PDU that was sent; it complains of none.
fn dissected(smsc: &Smsc) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let pdus = smsc.said("pdu");
    let hex: String = pdus
        .iter()
        .map(|said| {
            let bytes = said["pdu"].as_str().unwrap().as_bytes();
            let pairs: Vec<&str> = bytes.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
            format!("000000 {}\n", pairs.join(" "))
        })
        .collect();
    let (dump, capture) = (folder.path().join("dump"), folder.path().join("capture"));
    std::fs::write(&dump, hex).unwrap();
    let tshark = place("TAPCODE_TEST_TSHARK");
    let text2pcap = std::path::Path::new(&tshark).with_file_name("text2pcap");
    let made = harness::run(
        Command::new(text2pcap)
            .args(["-q", "-T", "40000,2775"])
            .args([&dump, &capture]),
    );
    assert!(made.status.success(), "{made:?}");
    let mut read = Command::new(tshark);
    read.args(["-d", "tcp.port==2775,smpp", "-T", "ek", "-r"]).arg(&capture);
    let read = harness::run(&mut read);
    let text = harness::stdout(&read);
    assert!(
        !text.contains("malformed") && !text.contains("_ws_expert_severity\":\"8388608"),
        "{text}"
    );
    let packets = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let read: Vec<Value> = packets
        .map(|packet| packet["layers"]["smpp"].clone())
        .filter(|smpp| !smpp.is_null())
        .collect();
    assert_eq!(read.len(), pdus.len());
    read
}

fn first<'a>(pdu: &'a Value, name: &str) -> &'a str {
    let value = &pdu[format!("smpp_smpp_{}", name.replace('.', "_"))];
    value.as_str().or_else(|| value[0].as_str()).unwrap_or_default()
}

/// Number 51 first, and number 42 at the stand-in for Twilio as the way out.
fn with_fallback(port: u16, outside: &Outside) -> String {
    let twilio = outside.twilio.config();
    format!(
        "[[services]]\nname = \"demo\"\nbrand = \"Demo\"\n\
         workflow = [ {{channel = \"sms\", sender = 51, wait_ms = 600_000}}, {{channel = \"sms\", sender = 42}} ]\n{}\n\
         [[numbers]]\nid = 42\nprovider = \"twilio\"\nnumber = \"+3197010253000\"\nbase_url = \"{}\"\naccount_sid = \"{}\"\n\
         auth_token = \"{AUTH_TOKEN}\"\n",
        number(port, "tls = false"),
        outside.twilio.base_url(),
        twilio.account_sid
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_goes_through_the_smsc_and_by_http_once_it_is_killed_and_through_it_again_when_it_is_back() {
    let mut smsc = Smsc::start(&json!({}));
    let outside = Outside::start().await;
    let home = Home::with(&with_fallback(smsc.port, &outside));
    let server = serve(&home, &smsc);
    let key = home.key("demo");
    let path = begin(&server, &key, "+31611398058", "nl").await;
    let attempts = attempts_once(&server, &key, &path, "delivered").await;
    assert_eq!(attempts.len(), 1);

    smsc.process.kill_9();
    server.wait_for_log("there is no session with the SMSC");
    let path = begin(&server, &key, "+31611398059", "nl").await;
    let attempts = attempts_once(&server, &key, &path, "accepted").await;
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(attempts[0]["failure"]["code"], "not_sent");

    let again = Smsc::on(&json!({ "receipt": "text" }), smsc.port);
    again.process.wait_for_log("\"bound\":true");
    harness::eventually("a code goes through it again", async || {
        let to = format!("+3161139{:04}", 8_100 + again.said("submitted").len());
        let path = begin(&server, &key, &to, "nl").await;
        let attempts = server.get(&path, &key).await.expect(200)["attempts"].clone();
        (attempts.as_array()?.len() == 1 && !again.said("submitted").is_empty()).then_some(())
    })
    .await;
}
