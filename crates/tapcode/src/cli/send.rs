//! How is a verification begun from the command line?

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value};

use super::Screen;
use super::client::{Said, Server, tell_problem, text};
use super::screen::{plain, table};

/// `tapcode send`
#[derive(Debug, Args)]
pub struct Send {
    /// The number, in E.164, such as +31611398058
    #[arg(value_name = "NUMBER", allow_hyphen_values = false)]
    to: String,
    /// What the code is for
    #[arg(long, value_name = "WORD")]
    purpose: Option<String>,
    /// The language of the message, such as nl
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Send {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let mut body = Map::new();
        let fields = [("to", Some(self.to)), ("purpose", self.purpose), ("locale", self.locale)];
        body.extend(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))),
        );
        match self
            .server
            .client()?
            .ask(Method::POST, "api/v1/verifications", Some(&Value::Object(body)))
            .await?
        {
            Said::No(problem) => Ok(tell_problem(&problem, self.server.json)),
            Said::Yes(begun) if self.server.json => {
                screen.line(&begun.to_string())?;
                Ok(ExitCode::SUCCESS)
            }
            Said::Yes(begun) => {
                let row = |name: &str, field: &str| vec![name.to_owned(), plain(text(&begun, field))];
                screen.write(&table(&[
                    row("verification", "id"),
                    row("to", "to"),
                    row("channel", "channel"),
                    row("status", "status"),
                    row("expires", "expires_at"),
                ]))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
