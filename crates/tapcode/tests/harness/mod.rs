//! How do tests run the real binary? A [`Home`] is a folder with a configuration and a master key; it runs commands and
//! starts servers on a port of the system's choice. A [`Server`] is known to listen once it is there, keeps everything
//! it writes, and is killed when it goes; its log is shown when a test fails.
//!
//! ```ignore
//! let home = Home::new();
//! let mut server = home.serve();
//! let begun = server.post("/api/v1/verifications", &home.key("demo"), json!({"to": "+31611398058"})).await;
//! server.kill_9();                        // or: server.terminate() — graceful, returns the exit code
//! let server = home.serve();              // the same folder again: same database, same keys
//! ```
//! Nothing here sleeps and hopes: every wait is for something that was said, and has a bound.

#![allow(clippy::allow_attributes, dead_code, reason = "each test binary uses its own part of this")]

pub mod collector;
pub mod outside;

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a process may take to say that it listens, and to end once it was told to.
/// Generous: several builds and tests may share two cores.
pub const PROCESS_MAX: Duration = Duration::from_secs(60);
/// How long anything else may take that a test waits for.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks at something that does not tell of itself.
const LOOK: Duration = Duration::from_millis(20);

/// The simulated senders of `tapcode dev`, under `serve`: the sandbox is switched on.
pub const SANDBOX: &str = r#"
[sandbox]
enabled = true
numbers = ["+31611398058", "+14155550142", "+14155550199"]

[[services]]
name = "demo"
brand = "Demo"
workflow = [ {channel = "whatsapp", sender = 1, wait_ms = 10_000}, {channel = "sms", sender = 42} ]

[[services]]
name = "other"
brand = "Other"
workflow = [ {channel = "sms", sender = 42} ]

[[whatsapp_accounts]]
id = 1
provider = "sandbox"
template = "login_otp"

[[numbers]]
id = 42
provider = "sandbox"
number = "+3197010253000"
"#;

/// A folder with a configuration and a master key.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// With the simulated senders.
    pub fn new() -> Self {
        Self::with(SANDBOX)
    }

    /// With these services and senders; `[server]`, `[store]` and `[secrets]` are the harness's.
    pub fn with(services_and_senders: &str) -> Self {
        let home = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let made = home.tapcode(["keys", "generate-master", "--out", "master.key"]);
        assert!(made.status.success(), "{made:?}");
        home.configure(services_and_senders);
        home
    }

    /// Replaces services and senders for the next start.
    pub fn configure(&self, services_and_senders: &str) {
        // In its public address too, 0 is the port that the server got: stand-ins for providers call it there.
        let ours = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n\n[store]\nurl = \"sqlite:tapcode.db\"\n\n\
                    [secrets]\nmaster_key_file = \"master.key\"\n";
        fs::write(self.path("tapcode.toml"), format!("{ours}{services_and_senders}")).expect("the configuration");
    }

    /// A file or folder in here.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, in this folder, with this configuration and nothing else in its environment that it looks at.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tapcode"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TAPCODE") || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("TAPCODE_CONFIG", self.path("tapcode.toml"))
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn tapcode<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        run(&mut self.command(arguments))
    }

    /// Makes an API key with all of a service's rights.
    pub fn key(&self, service: &str) -> String {
        self.key_with(&["--service", service])
    }

    /// Makes an API key.
    pub fn key_with(&self, arguments: &[&str]) -> String {
        let made = self.tapcode(["keys", "create"].iter().chain(arguments).copied());
        assert!(made.status.success(), "{made:?}");
        stdout(&made).trim().to_owned()
    }

    /// Starts `tapcode serve` and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with(|_| {})
    }

    /// Starts `tapcode serve`, changed by `change`, and waits until it listens.
    pub fn serve_with(&self, change: impl FnOnce(&mut Command)) -> Server {
        let mut command = self.command(["serve", "--json"]);
        command.env("TAPCODE__LOG__LEVEL", "debug");
        change(&mut command);
        Server::start(command)
    }

    /// Starts `tapcode dev --json` with its data in this folder, and waits until it listens.
    pub fn dev(&self) -> Server {
        let mut command = self.command(["dev", "--json", "--listen", "127.0.0.1:0", "--data", "data"]);
        command.env_remove("TAPCODE_CONFIG");
        Server::start(command)
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().expect("the command runs")
}

/// What a command printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What a command said besides.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A running process, and everything that it has written.
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
    out: Receiver<String>,
    written: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let written = Arc::new(Mutex::new(String::new()));
        let (line, out) = channel();
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (of_out, of_err) = (Arc::clone(&written), Arc::clone(&written));
        let readers = vec![
            std::thread::spawn(move || {
                for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                    keep(&of_out, &text);
                    // Nobody reads lines any more once the test knows what it wanted.
                    let _unread = line.send(text);
                }
            }),
            std::thread::spawn(move || {
                for text in BufReader::new(stderr).lines().map_while(Result::ok) {
                    keep(&of_err, &text);
                }
            }),
        ];
        Self {
            child,
            status: None,
            out,
            written,
            readers,
        }
    }

    /// Everything it has written so far, both streams.
    pub fn log(&self) -> String {
        self.written.lock().expect("no reader panics").clone()
    }

    /// The lines of standard output up to and with the first that `is_last`.
    pub fn lines_until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let until = Instant::now() + PROCESS_MAX;
        let mut lines = Vec::new();
        loop {
            match self.out.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let last = is_last(&line);
                    lines.push(line);
                    if last {
                        return lines;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("it did not say so within {PROCESS_MAX:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before it said so: {:?}", self.wait()),
            }
        }
    }

    /// Waits until the log has a text.
    pub fn wait_for_log(&self, text: &str) {
        let until = Instant::now() + WAIT_MAX;
        while !self.log().contains(text) {
            assert!(Instant::now() < until, "the log does not say {text:?}");
            std::thread::sleep(LOOK);
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`, `INT`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        assert!(self.status.is_none(), "it has ended");
        let sent = run(Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())));
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Waits for its end, and for the last word it wrote.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PROCESS_MAX;
        let status = loop {
            if let Some(status) = self.status.or_else(|| self.child.try_wait().expect("it can be waited for")) {
                break status;
            }
            assert!(Instant::now() < until, "it did not end within {PROCESS_MAX:?}");
            std::thread::sleep(LOOK);
        };
        self.status = Some(status);
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        status
    }

    /// Ends it as a power cut would: no word, no clean-up.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Asks it to end and waits; returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }
}

fn keep(written: &Mutex<String>, line: &str) {
    let mut written = written.lock().expect("no reader panics");
    written.push_str(line);
    written.push('\n');
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            // It may have ended by itself; there is nothing left to do then.
            let _ended = self.child.kill();
            let _ended = self.child.wait();
        }
        for reader in self.readers.drain(..) {
            let _ended = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- process {} wrote ---\n{}--- end ---", self.child.id(), self.log());
        }
    }
}

/// A server that listens.
pub struct Server {
    process: Process,
    /// What it said when it was ready.
    pub ready: Value,
    /// Where it is: `http://127.0.0.1:…`.
    pub url: String,
    http: reqwest::Client,
}

impl std::ops::Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// An answer, read whole.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The body as JSON, of an answer with this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

impl Server {
    /// Starts a command that prints one line of JSON once it listens.
    pub fn start(command: Command) -> Self {
        let mut process = Process::start(command);
        let line = process.lines_until(|_| true).pop().expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no ready line ({error}): {line}"));
        assert_eq!(ready["ready"], true);
        let url = ready["url"].as_str().expect("an address").to_owned();
        Self {
            process,
            ready,
            url,
            http: client(),
        }
    }

    /// The host and port it listens on.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("http")
    }

    /// `GET`s a path.
    pub async fn get(&self, path: &str, key: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url)).bearer_auth(key)).await
    }

    /// `POST`s JSON to a path.
    pub async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(self.http.post(format!("{}{path}", self.url)).bearer_auth(key).json(&body))
            .await
    }

    /// Sends any request to the end of its answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// Like [`Self::send`]; `Err` when there was no whole answer, as when the process is killed.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.text().await?,
        })
    }

    /// The code that a simulated phone shows, once a message with one has arrived.
    pub async fn code_on_phone(&self, number: &str) -> String {
        code_on_phone(&self.url, number).await
    }
}

/// The code that a simulated phone of the server at `url` shows, once a message with one has arrived.
pub async fn code_on_phone(url: &str, number: &str) -> String {
    let request = client().get(format!("{url}/phone/stream")).send();
    let seen = async {
        let mut stream = request.await.expect("the page's stream");
        assert_eq!(stream.status().as_u16(), 200, "the page's stream");
        let mut unread = Vec::new();
        while let Some(chunk) = stream.chunk().await.expect("the stream goes on") {
            unread.extend_from_slice(&chunk);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                let line = String::from_utf8(line).expect("UTF-8");
                let Some(data) = line.strip_prefix("data:") else { continue };
                let data: Value = serde_json::from_str(data.trim()).expect("JSON");
                if let Some(code) = code_in(&data, number) {
                    return code;
                }
            }
        }
        panic!("the stream ended before a code arrived on {number}");
    };
    tokio::time::timeout(WAIT_MAX, seen)
        .await
        .unwrap_or_else(|_| panic!("no code on {number} within {WAIT_MAX:?}"))
}

/// A snapshot of all phones, or one phone: the newest code that has arrived on one.
fn code_in(data: &Value, number: &str) -> Option<String> {
    let phones = data["phones"].as_array().cloned().unwrap_or_else(|| vec![data.clone()]);
    let phone = phones.into_iter().find(|phone| phone["number"] == number)?;
    let arrived = |message: &&Value| message["status"] == "arrived" && message["code"].is_string();
    let message = phone["messages"].as_array()?.iter().rev().find(arrived)?.clone();
    message["code"].as_str().map(str::to_owned)
}

/// A client that asks this machine only.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PROCESS_MAX)
        .build()
        .expect("a client")
}

/// Looks again and again until `look` gives something; fails with `what` after [`WAIT_MAX`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let until = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "not within {WAIT_MAX:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
