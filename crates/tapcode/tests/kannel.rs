//! Does the real Kannel, which nobody here wrote, understand what we ask of it, and do we understand what it tells?
//!
//! Debian's package, on free ports in a temporary folder; `fakesmsc`, Kannel's own test program, is the operator behind it.

mod harness;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::{Home, Process, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every kind of character that an address could spoil.
const PASSWORD: &str = "p+s%25 & wörd=1";

/// A program of Kannel's, from where `cargo xtask test` says that it is.
fn place(variable: &str) -> PathBuf {
    let place = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask test`, or `eval \"$(cargo xtask env)\"` first");
    });
    place.into()
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that they are different ones.
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    held.map(|port| port.local_addr().expect("an address").port())
}

struct Kannel {
    send_url: String,
    operator: Process,
    _smsbox: Process,
    _bearerbox: Process,
    _folder: TempDir,
}

impl Kannel {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [admin, boxes, fake, send] = free_ports();
        let file = folder.path().join("kannel.conf");
        // A blank line ends a group.
        let groups = format!(
            "group = core\nadmin-port = {admin}\nadmin-password = admin\nsmsbox-port = {boxes}\nbox-allow-ip = \"127.0.0.1\"\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = FAKE\nport = {fake}\nconnect-allow-ip = 127.0.0.1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {send}\n\n\
             group = sendsms-user\nusername = tapcode\npassword = \"{PASSWORD}\"\nmax-messages = 3\nconcatenation = true\n"
        );
        std::fs::write(&file, groups).expect("the configuration");
        let start = |variable: &str, until: &str| {
            let mut command = Command::new(place(variable));
            command
                .args(["-v", "1"])
                .arg(&file)
                .current_dir(folder.path())
                .stdin(Stdio::null());
            let process = Process::start(command);
            process.wait_for_log(until);
            process
        };
        let bearerbox = start("TAPCODE_TEST_BEARERBOX", "entering mainloop");
        let smsbox = start("TAPCODE_TEST_SMSBOX", "Set up send sms service");
        let mut operator = Command::new(place("TAPCODE_TEST_FAKESMSC"));
        let port = fake.to_string();
        // It reads messages from its input for as long as there is one, and ends with it.
        operator
            .args(["-H", "127.0.0.1", "-m", "0", "-r", &port])
            .stdin(Stdio::piped());
        Self {
            send_url: format!("http://127.0.0.1:{send}/cgi-bin/sendsms"),
            operator: Process::start(operator),
            _smsbox: smsbox,
            _bearerbox: bearerbox,
            _folder: folder,
        }
    }

    fn home(&self, password: &str) -> Home {
        Home::with(&format!(
            r#"
[[services]]
name = "demo"
brand = "Demo"
workflow = [ {{channel = "sms", sender = 46}} ]

[[numbers]]
id = 46
provider = "kannel"
number = "Demo"
send_url = "{}"
username = "tapcode"
password = "{password}"
callback_secret = "secret-in-the-address"
"#,
            self.send_url
        ))
    }
}

async fn begin(server: &Server, key: &str, to: &str, locale: &str) -> String {
    let begun = server
        .post("/api/v1/verifications", key, json!({"to": to, "locale": locale}))
        .await
        .expect(201);
    format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap())
}

/// The only attempt, once it has a status.
async fn attempt_once(server: &Server, key: &str, path: &str, status: &str) -> Value {
    harness::eventually("its attempt has the status", async || {
        let attempt = server.get(path, key).await.expect(200)["attempts"][0].clone();
        (attempt["status"] == status).then_some(attempt)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kannel_delivers_our_code_in_both_alphabets_and_tells_us_so() {
    let kannel = Kannel::start();
    let home = kannel.home(PASSWORD);
    let server = home.serve();
    let key = home.key("demo");

    let path = begin(&server, &key, "+31611398058", "nl").await;
    let attempt = attempt_once(&server, &key, &path, "delivered").await;
    assert!(
        attempt["sent_at"].is_string(),
        "the operator took it, and Kannel said so: {attempt}"
    );
    kannel.operator.wait_for_log("<Demo +31611398058 text ");
    let log = kannel.operator.log();
    let (_, text) = log.split_once("<Demo +31611398058 text ").expect("it is there now");
    let (code, rest) = text.split_at(6);
    assert!(rest.starts_with(" is de code voor Demo."), "{rest}");
    let checked = server
        .post(&format!("{path}/check"), &key, json!({"code": code}))
        .await
        .expect(200);
    assert_eq!(checked["valid"], true);

    // "Код", as UCS-2 in big-endian order.
    let path = begin(&server, &key, "+31611398059", "ru").await;
    attempt_once(&server, &key, &path, "delivered").await;
    kannel.operator.wait_for_log("<Demo +31611398059 ucs-2 %04%1A%04%3E%044");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_kannel_refuses_fails_at_once_and_sends_nothing() {
    let kannel = Kannel::start();
    let home = kannel.home("another");
    let server = home.serve();
    let key = home.key("demo");
    let path = begin(&server, &key, "+31611398058", "nl").await;
    let attempt = attempt_once(&server, &key, &path, "failed").await;
    assert_eq!(attempt["failure"]["code"], "http_403");
    assert!(!kannel.operator.log().contains("Got message"));
}
