//! What happened to a verification, when, and why?

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::Value;
use tapcode_core::id::VerificationId;

use super::Screen;
use super::check::verification;
use super::client::{Client, Said, Server, tell_problem, text};
use super::screen::{plain, table};

/// `tapcode explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The verification, vrf_…
    #[arg(value_name = "VERIFICATION", value_parser = verification)]
    id: VerificationId,
    #[command(flatten)]
    server: Server,
}

impl Explain {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let path = format!("api/v1/verifications/{}", self.id);
        let timeline = match client.ask(Method::GET, &format!("{path}/timeline"), None).await? {
            Said::No(problem) => return Ok(tell_problem(&problem, self.server.json)),
            Said::Yes(timeline) => timeline,
        };
        if self.server.json {
            screen.line(&timeline.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(line) = headline(&client, &path).await? {
            screen.line(&screen.bold(&line))?;
        }
        screen.write(&told(&timeline))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn headline(client: &Client, path: &str) -> anyhow::Result<Option<String>> {
    Ok(match client.ask(Method::GET, path, None).await? {
        Said::No(_) => None,
        Said::Yes(v) => Some(plain(&format!(
            "{} for {}, purpose {}: {}",
            text(&v, "id"),
            text(&v, "to"),
            text(&v, "purpose"),
            text(&v, "status").replace('_', " ")
        ))),
    })
}

/// One line per decision: when, what, and why; the time only where it changes.
fn told(timeline: &Value) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut shown = String::new();
    for entry in timeline.get("data").and_then(Value::as_array).into_iter().flatten() {
        let at = plain(text(entry, "at")).replace('T', " ");
        let lines = entry
            .get("decisions")
            .and_then(Value::as_array)
            .map_or_else(|| vec![entry], |lines| lines.iter().collect());
        for line in lines {
            let time = if at == shown { String::new() } else { at.clone() };
            shown.clone_from(&at);
            rows.push(vec![time, plain(text(line, "title")), plain(text(line, "why"))]);
        }
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_of_one_moment_stand_under_one_time() {
        let timeline = json!({"data": [
            {"at": "2026-11-23T09:00:00.000Z", "decisions": [{"title": "Began", "why": "a"}, {"title": "Queued a message", "why": "b"}]},
            {"at": "2026-11-23T09:00:01.000Z", "decisions": [{"title": "Done", "why": "c\u{1b}[2J"}]},
        ]});
        let expected = "2026-11-23 09:00:00.000Z  Began             a\n\
                        \x20                         Queued a message  b\n\
                        2026-11-23 09:00:01.000Z  Done              c\u{fffd}[2J\n";
        assert_eq!(told(&timeline), expected);
    }
}
