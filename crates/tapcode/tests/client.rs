//! Do the commands that call a running server tell a person, and a script, what it said?

mod harness;

use std::process::Output;

use harness::{Home, Process, Server, stderr, stdout};
use serde_json::Value;

struct Terminal {
    home: Home,
    server: Server,
    key: String,
}

impl Terminal {
    fn new() -> Self {
        let home = Home::new();
        let server = home.serve();
        let key = home.key("demo");
        Self { home, server, key }
    }

    fn command(&self, words: &str) -> std::process::Command {
        let mut command = self.home.command(words.split_whitespace());
        command.env("TAPCODE_URL", &self.server.url).env("TAPCODE_KEY", &self.key);
        command
    }

    fn type_in(&self, words: &str) -> Output {
        harness::run(&mut self.command(words))
    }
}

#[tokio::test]
async fn a_verification_is_begun_checked_and_explained() {
    let terminal = Terminal::new();
    let sent = terminal.type_in("send +31611398058 --purpose login");
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let shown = stdout(&sent);
    let value = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {shown}"));
        line[name.len()..].trim().to_owned()
    };
    let id = value("verification");
    assert!(id.starts_with("vrf_"), "{shown}");
    assert_eq!((value("channel").as_str(), value("status").as_str()), ("whatsapp", "pending"));
    assert!(value("expires").ends_with('Z'), "{shown}");

    let code = terminal.server.code_on_phone("+31611398058").await;
    let guess = if code == "000000" { "000001" } else { "000000" };
    let wrong = terminal.type_in(&format!("check {id} {guess}"));
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(stdout(&wrong), "not valid: incorrect code; the verification is pending, checks left: 4\n");
    let right = terminal.type_in(&format!("check {id} {code} --json"));
    assert_eq!(right.status.code(), Some(0), "{right:?}");
    assert_eq!(serde_json::from_str::<Value>(&stdout(&right)).unwrap()["valid"], true);
    let again = terminal.type_in(&format!("check {id} {code}"));
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(stdout(&again), "not valid: already used; the verification is approved\n");

    let explained = terminal.type_in(&format!("explain {id}"));
    assert_eq!(explained.status.code(), Some(0), "{explained:?}");
    let story = stdout(&explained);
    let lines: Vec<&str> = story.lines().collect();
    assert!(lines[0].starts_with(&id) && lines[0].ends_with("purpose login: approved"), "{story}");
    for (word, within) in [("Began", "the purpose login"), ("Calling sandbox", "written down"), ("Approved", "")] {
        assert!(lines.iter().any(|line| line.contains(word) && line.contains(within)), "{word}: {story}");
    }
    assert!(!story.contains(&code), "{story}");
    let data = terminal.type_in(&format!("explain {id} --json"));
    assert!(serde_json::from_str::<Value>(&stdout(&data)).unwrap()["data"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn a_problem_is_told_as_its_detail() {
    let terminal = Terminal::new();
    let refused = terminal.type_in("send 0611398058");
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(told.starts_with("tapcode: ") && told.contains("+31611398058") && told.lines().count() == 1, "{told}");
    assert_eq!(stdout(&refused), "");
    let two_mistakes = stderr(&terminal.type_in("send 0611398058 --purpose A,B"));
    assert!(two_mistakes.contains("\n  /to ") && two_mistakes.contains("\n  /purpose "), "{two_mistakes}");
    assert!(terminal.type_in("send +31611398058").status.success());
    let too_soon = stderr(&terminal.type_in("send +31611398058"));
    let seconds = too_soon.lines().nth(1).and_then(|line| line.trim().strip_prefix("try again in ")?.strip_suffix(" s")?.parse().ok());
    assert!(seconds.is_some_and(|seconds: u64| (50..=60).contains(&seconds)), "{too_soon}");
    let refused = terminal.type_in("send 0611398058 --json");
    assert_eq!(refused.status.code(), Some(1));
    let problem: Value = serde_json::from_str(&stderr(&refused)).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"invalid_number".into()));
    let unknown = terminal.type_in("explain vrf_000000000000000000000000000000000000");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).starts_with("tapcode: "), "{}", stderr(&unknown));
}

#[tokio::test]
async fn events_are_followed_and_a_restart_leaves_no_gap() {
    let mut terminal = Terminal::new();
    // The same port after a restart: whoever follows comes back to it.
    terminal.server.terminate();
    let address = terminal.server.address().to_owned();
    let again = |home: &Home| home.serve_with(|command| { command.env("TAPCODE__SERVER__LISTEN", &address); });
    terminal.server = again(&terminal.home);

    let mut tail = Process::start(terminal.command("tail --json --types verification.created,verification.canceled"));
    let begin = async |server: &Server, number: &str| {
        let body = serde_json::json!({"to": number});
        server.post("/api/v1/verifications", &terminal.key, body).await.expect(201)["id"].as_str().unwrap().to_owned()
    };
    let created = |tail: &mut Process, id: &str| {
        let line = tail.lines_until(|line| line.contains("verification.created") && line.contains(id)).pop().unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    // It follows from the moment that it is connected, of which the server's log tells.
    terminal.server.wait_for_log("/api/v1/events/stream");
    let first = begin(&terminal.server, "+31611398058").await;
    created(&mut tail, &first);
    assert!(!tail.log().contains("message.accepted"), "only the types that were asked for: {}", tail.log());

    assert_eq!(terminal.server.terminate(), Some(0));
    let server = again(&terminal.home);
    let second = begin(&server, "+14155550142").await;
    created(&mut tail, &second);
    assert_eq!(tail.log().matches(&format!("{first}")).count(), 1, "an event was told twice: {}", tail.log());
}
