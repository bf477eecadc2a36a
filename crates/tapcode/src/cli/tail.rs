//! What is happening right now? One line per event, from now on, without a gap when the connection breaks.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use reqwest::Response;
use serde_json::Value;
use tapcode_engine::clock::{Clock, SystemClock};

use super::Screen;
use super::client::{Client, Problem, Server, tell_problem};
use super::screen::plain;

/// Longest event that is taken, in bytes; a stream with a longer one is not this API's.
const EVENT_MAX: usize = 256 * 1024;
/// How long to wait before the next connection after one broke: at first, and at most. Milliseconds.
const AGAIN_FIRST_MS: u64 = 500;
const AGAIN_MAX_MS: u64 = 10_000;
/// How long a stream may be silent before it counts as broken. Milliseconds: several of the server's signs of life.
const SILENCE_MS: u64 = 60_000;

/// `tapcode tail`
#[derive(Debug, Args)]
pub struct Tail {
    /// Only events of these types, such as verification.approved,message.failed
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = event_type)]
    types: Vec<String>,
    #[command(flatten)]
    server: Server,
}

fn event_type(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'_' | b'.' | b'*'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a type looks like verification.approved".into())
    }
}

impl Tail {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let mut path = "api/v1/events/stream".to_owned();
        if !self.types.is_empty() {
            path.push_str("?types=");
            path.push_str(&self.types.join(","));
        }
        let mut following = Following {
            client,
            path,
            last: None,
            json: self.server.json,
            screen: *screen,
        };
        let mut wait_ms = AGAIN_FIRST_MS;
        let mut heard = false;
        loop {
            match following.until_it_breaks(&mut heard).await? {
                Broke::Refused(problem) => return Ok(tell_problem(&problem, self.server.json)),
                // The first connection must succeed: a wrong address is told at once, not tried for ever.
                Broke::Unreached(error) if !heard => return Err(error),
                Broke::Unreached(_) => wait_ms = (wait_ms * 2).min(AGAIN_MAX_MS),
                Broke::Ended => wait_ms = AGAIN_FIRST_MS,
            }
            eprintln!("tapcode: the connection broke; following again from where it was");
            SystemClock.sleep(wait_ms).await;
        }
    }
}

/// How a connection came to its end.
enum Broke {
    /// The server said no.
    Refused(Problem),
    /// There was no connection.
    Unreached(anyhow::Error),
    /// It ended, or broke off.
    Ended,
}

struct Following {
    client: Client,
    path: String,
    /// Where the stream was, in the server's words.
    last: Option<String>,
    json: bool,
    screen: Screen,
}

impl Following {
    async fn until_it_breaks(&mut self, heard: &mut bool) -> anyhow::Result<Broke> {
        let mut headers = vec![("accept", "text/event-stream")];
        if let Some(last) = &self.last {
            headers.push(("last-event-id", last));
        }
        let mut stream: Response = match self.client.open(&self.path, &headers).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(problem)) => return Ok(Broke::Refused(problem)),
            Err(error) => return Ok(Broke::Unreached(error)),
        };
        *heard = true;
        let mut events = Events::default();
        while let Ok(Ok(Some(chunk))) = tokio::time::timeout(std::time::Duration::from_millis(SILENCE_MS), stream.chunk()).await {
            for event in events.take(&chunk).context("the server's stream")? {
                if let Some(id) = event.id {
                    self.last = Some(id);
                }
                if !event.data.is_empty() {
                    self.show(&event.name, &event.data)?;
                }
            }
        }
        Ok(Broke::Ended)
    }

    fn show(&self, name: &str, data: &str) -> anyhow::Result<()> {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Ok(());
        };
        if self.json {
            self.screen.line(&event.to_string())?;
        } else {
            self.screen.line(&line(name, &event))?;
        }
        Ok(())
    }
}

/// An event on one line: when, what, about which, and the words within it.
fn line(name: &str, event: &Value) -> String {
    let first = |fields: &[&str]| {
        fields
            .iter()
            .find_map(|f| event.get(*f).and_then(Value::as_str))
            .unwrap_or("-")
            .to_owned()
    };
    let (at, kind) = (
        first(&["timestamp", "created_at", "at"]),
        if name.is_empty() { first(&["type"]) } else { name.to_owned() },
    );
    let data = event.get("data").unwrap_or(event);
    let about = ["verification_id", "message_id", "id"]
        .iter()
        .find_map(|f| data.get(*f).and_then(Value::as_str))
        .unwrap_or("-");
    let words: Vec<String> = ["to", "channel", "provider", "status", "reason", "country", "purpose"]
        .iter()
        .filter_map(|field| data.get(*field).and_then(Value::as_str).map(|word| format!("{field}={word}")))
        .collect();
    // What an account tells is about its template, or about a way that is closed.
    let within = |whole: &str, parts: &[&str]| {
        let parts = parts.iter().filter_map(|part| data.get(whole)?.get(*part)?.as_str());
        let parts: Vec<&str> = parts.collect();
        (!parts.is_empty()).then(|| format!("{whole}={}", parts.join("/")))
    };
    let of_account = [
        within("template", &["name", "language", "status"]),
        within("breaker", &["scope", "country", "template", "language"]),
        within("failure", &["code"]),
    ];
    let words: Vec<String> = words.into_iter().chain(of_account.into_iter().flatten()).collect();
    plain(&format!("{at}  {kind:<32}  {about}  {}", words.join(" ")))
        .trim_end()
        .to_owned()
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

/// Reads server-sent events from chunks that may end anywhere
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>; from memory).
#[derive(Default)]
struct Events {
    unread: Vec<u8>,
    event: Event,
}

impl Events {
    fn take(&mut self, chunk: &[u8]) -> anyhow::Result<Vec<Event>> {
        self.unread.extend_from_slice(chunk);
        let mut whole = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                whole.push(std::mem::take(&mut self.event));
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.event.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.event.name),
                "data" => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                // A comment is a sign of life.
                _ => {}
            }
        }
        anyhow::ensure!(
            self.unread.len() + self.event.data.len() <= EVENT_MAX,
            "an event is larger than {EVENT_MAX} bytes"
        );
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chunks_may_end_anywhere() {
        let stream = ": hello\n\nid: 7\nevent: message.delivered\r\ndata: {\"a\":\ndata: 1}\n\nid: 8\ndata: é\n\n";
        let whole = Events::default().take(stream.as_bytes()).unwrap();
        assert_eq!(
            whole[1],
            Event {
                id: Some("7".into()),
                name: "message.delivered".into(),
                data: "{\"a\":\n1}".into()
            }
        );
        assert_eq!(
            whole[2],
            Event {
                id: Some("8".into()),
                name: String::new(),
                data: "é".into()
            }
        );
        let mut events = Events::default();
        let one_by_one: Vec<Event> = stream.bytes().flat_map(|byte| events.take(&[byte]).unwrap()).collect();
        assert_eq!(one_by_one, whole);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        assert!(events.take(&vec![b'x'; EVENT_MAX]).is_ok());
        assert!(events.take(b"x").is_err());
    }

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"type": "verification.approved", "timestamp": "2026-11-23T09:00:00.000Z",
            "data": {"verification_id": "vrf_1", "to": "+31*****8058", "channel": "sms", "country": "N\nL"}});
        assert_eq!(
            line("", &event),
            "2026-11-23T09:00:00.000Z  verification.approved             vrf_1  to=+31*****8058 channel=sms country=N\u{fffd}L"
        );
    }
}
