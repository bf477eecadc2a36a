//! Do the examples that this project started from run against it, verbatim but for host and key?
//!
//! Node, Python, their libraries and Redis are real; `cargo xtask env` says where they are. What is missing fails.

mod harness;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use harness::outside::Outside;
use harness::{Home, Process, Server, WAIT_MAX, run, stdout};
use serde_json::{Value, json};
use tapcode_simulator::cloud_api::{ReceiptStep, Script};

/// The number in the examples.
const PHONE_NUMBER: &str = "+31611398058";
const SEND_JS: &str = include_str!("seed/send-whatsapp.js");
const SEND_PY: &str = include_str!("seed/send-whatsapp.py");
const VERIFY_JS: &str = include_str!("seed/verify.js");
const FALLBACK_JS: &str = include_str!("seed/fallback.js");
const PRELUDE_JS: &str = include_str!("seed/prelude.js");
const PRELUDE_PY: &str = include_str!("seed/prelude.py");
const VERIFY_DRIVER_JS: &str = include_str!("seed/verify-driver.js");
const FALLBACK_DRIVER_JS: &str = include_str!("seed/fallback-driver.js");

/// What the machine has for the examples.
fn place(variable: &str) -> PathBuf {
    let place = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, or set what `cargo xtask env` prints")
    });
    let place = PathBuf::from(place);
    assert!(place.exists(), "{variable} names {}, which is not there", place.display());
    place
}

/// A Redis of this test's own, with nothing on the disk but a temporary folder.
struct Redis {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut command = Command::new(place("TAPCODE_TEST_REDIS_SERVER"));
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        let process = Process::start({
            command.arg(folder.path());
            command
        });
        let until = Instant::now() + WAIT_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < until, "Redis does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }
}

/// Everything that an example needs.
struct Stage {
    outside: Outside,
    home: Home,
    server: Server,
    key: String,
    redis: Redis,
}

impl Stage {
    async fn new() -> Self {
        let outside = Outside::start().await;
        let home = outside.home("");
        let server = outside.serve(&home);
        let key = home.key("demo");
        Self {
            outside,
            home,
            server,
            key,
            redis: Redis::start(),
        }
    }

    /// The example with the two replacements that its reader is told to make, and no other.
    fn with_host_and_key(&self, example: &str) -> String {
        let hosts = example.matches("https://cliqtel.com").count();
        assert!(
            hosts <= 1 && hosts == example.matches("YOUR_API_KEY").count(),
            "not the example that was expected"
        );
        example
            .replace("https://cliqtel.com", &self.server.url)
            .replace("YOUR_API_KEY", &self.key)
    }

    fn run(&self, mut command: Command, name: &str, script: &str, variables: &[(&str, &str)]) -> Output {
        let file = self.home.path(name);
        std::fs::write(&file, script).expect("the script");
        command
            .arg(file)
            .current_dir(self.home.path(""))
            .env("SEED_REDIS_PORT", self.redis.port.to_string());
        command
            .env("SEED_URL", &self.server.url)
            .env("SEED_KEY", &self.key)
            .env("SEED_PHONE_NUMBER", PHONE_NUMBER);
        for proxy in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(proxy);
        }
        let output = run(command.envs(variables.iter().copied()));
        assert!(output.status.success(), "{name}: {output:?}");
        output
    }

    /// Runs examples and drivers, one behind the other, with Node.
    fn node(&self, parts: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        assert_eq!(PRELUDE_JS.matches("//// the examples").count(), 1);
        let examples: String = parts.iter().map(|part| self.with_host_and_key(part) + "\n").collect();
        let script = PRELUDE_JS.replace("//// the examples", &examples);
        let mut command = Command::new(place("TAPCODE_TEST_NODE"));
        command.env("SEED_NODE_MODULES", place("TAPCODE_TEST_NODE_MODULES"));
        lines(&self.run(command, "example.js", &script, variables))
    }

    /// Runs an example with Python.
    fn python(&self, example: &str) -> Vec<String> {
        let script = format!("{PRELUDE_PY}\n{}", self.with_host_and_key(example));
        let mut command = Command::new(place("TAPCODE_TEST_PYTHON"));
        command.env("NO_PROXY", "127.0.0.1");
        lines(&self.run(command, "example.py", &script, &[]))
    }

    /// What Redis keeps for the number.
    fn kept(&self) -> String {
        let show = "console.log(await redis.get(`otp:${phoneNumber}`), await redis.ttl(`otp:${phoneNumber}`));";
        self.node(&[show], &[]).remove(0)
    }

    /// The example printed the message's id and that it is accepted, and the code that it keeps is the one that Meta got.
    async fn assert_sent(&self, printed: &[String]) {
        let [line] = printed else {
            panic!("one line was expected: {printed:?}")
        };
        let (id, status) = line.split_once(' ').expect("an id and a status");
        assert!(id.starts_with("msg_"), "{line}");
        assert_eq!(status, "accepted");
        let sent = self.outside.meta.wait_for_messages(1, WAIT_MAX).await;
        assert_eq!((sent.len(), sent[0].to.as_deref()), (1, Some(PHONE_NUMBER)));
        let kept = self.kept();
        let (code, ttl_s) = kept.split_once(' ').expect("a code and its time");
        assert!(code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()), "{kept}");
        assert!((1..=300).contains(&ttl_s.parse::<i32>().unwrap()), "{kept}");
        let template = &sent[0].json["template"];
        assert_eq!(
            (&template["name"], &template["language"]["code"]),
            (&"login_otp".into(), &"en".into())
        );
        let parameter = |kind: &str| {
            let components = template["components"].as_array().expect("components");
            let of_kind: Vec<&Value> = components.iter().filter(|c| c["type"] == kind).collect();
            assert_eq!(of_kind.len(), 1, "{template}");
            of_kind[0]["parameters"].clone()
        };
        let expected = json!([{"type": "text", "text": code}]);
        assert_eq!((parameter("body"), parameter("button")), (expected.clone(), expected));
        // The id leads to the message.
        let path = format!("/api/v1/whatsapp/messages/{id}?wait=accepted");
        assert_eq!(self.server.get(&path, &self.key).await.expect(200)["status"], "accepted");
    }
}

fn lines(output: &Output) -> Vec<String> {
    stdout(output).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_node_example_sends_a_code_and_verify_otp_takes_it_once() {
    let stage = Stage::new().await;
    let printed = stage.node(&[SEND_JS], &[]);
    stage.assert_sent(&printed).await;

    let printed = stage.node(&[VERIFY_JS, VERIFY_DRIVER_JS], &[]);
    let expired = json!({"valid": false, "error": "Code expired"});
    assert_eq!(
        serde_json::from_str::<Value>(&printed[0]).unwrap(),
        json!({"wrong": {"valid": false, "error": "Invalid code"}, "right": {"valid": true}, "again": expired, "unknown": expired})
    );
    let invalid = "Invalid code";
    assert_eq!(
        serde_json::from_str::<Value>(&printed[1]).unwrap(),
        json!({"guesses": [invalid, invalid, invalid, invalid, "Too many attempts"], "afterwards": expired})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_python_example_sends_a_code() {
    let stage = Stage::new().await;
    let printed = stage.python(SEND_PY);
    stage.assert_sent(&printed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_fallback_example_ends_on_sms_when_whatsapp_is_silent() {
    let stage = Stage::new().await;
    // The example's ten seconds, shortened where the test waits them out.
    let variables = [("SEED_CODE", "482913"), ("SEED_TIMEOUT_MS", "1000")];
    let printed = stage.node(&[FALLBACK_JS, FALLBACK_DRIVER_JS], &variables);
    let ended: Value = serde_json::from_str(&printed[0]).unwrap();
    assert_eq!(ended["channel"], "sms", "{ended}");
    let texts = stage.outside.twilio.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!((texts.len(), texts[0].to.as_deref()), (1, Some(PHONE_NUMBER)));
    assert_eq!(texts[0].body.as_deref(), Some("Your code is 482913. Expires in 5 minutes."));
    assert_eq!(
        stage.outside.meta.messages_to(PHONE_NUMBER)[0].code.as_deref(),
        Some("482913")
    );
    let id = ended["messageId"].as_str().unwrap();
    let path = format!("/api/v1/sms/messages/{id}?wait=accepted");
    assert_eq!(stage.server.get(&path, &stage.key).await.expect(200)["status"], "accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_fallback_example_ends_on_whatsapp_when_it_is_delivered() {
    let stage = Stage::new().await;
    let delivered = Script::silent()
        .then(ReceiptStep::sent())
        .then(ReceiptStep::delivered().after(Duration::from_millis(300)));
    stage.outside.meta.script(PHONE_NUMBER, delivered);
    let began = Instant::now();
    let printed = stage.node(&[FALLBACK_JS, FALLBACK_DRIVER_JS], &[("SEED_CODE", "482913")]);
    let ended: Value = serde_json::from_str(&printed[0]).unwrap();
    assert_eq!(ended["channel"], "whatsapp", "{ended}");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the answer came with the time-out instead of the receipt"
    );
    let id = ended["messageId"].as_str().unwrap();
    let path = format!("/api/v1/whatsapp/messages/{id}");
    assert_eq!(stage.server.get(&path, &stage.key).await.expect(200)["status"], "delivered");
    let mut stage = stage;
    assert_eq!(stage.server.terminate(), Some(0));
    assert_eq!(stage.outside.twilio.requests().len(), 0);
}
