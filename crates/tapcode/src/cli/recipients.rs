//! How is a number erased, and what is kept about it shown, from the command line?

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::{Method, Url};
use serde_json::Value;
use tapcode_core::number::Number;

use super::client::{Said, Server, tell_problem};
use super::{Screen, compact};

/// `tapcode recipients`
#[derive(Debug, Subcommand)]
pub enum Recipients {
    /// Erase whatever is kept about a number within a service
    Erase(Erase),
    /// Print whatever is kept about a number within a service: JSON, one page per line
    Export(Export),
    /// Write the database file anew, so that SQLite holds no copy of what was erased
    Compact(compact::Compact),
}

/// `tapcode recipients erase`
#[derive(Debug, Args)]
pub struct Erase {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    server: Server,
}

/// `tapcode recipients export`
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    server: Server,
}

/// Whose number, within which service.
#[derive(Args)]
struct Whose {
    /// The number in E.164, such as +31611398058
    #[arg(value_name = "NUMBER", value_parser = number)]
    number: Number,
    /// The service; needed with an admin key that belongs to none
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// What test keys did, rather than live ones
    #[arg(long)]
    test: bool,
}

impl std::fmt::Debug for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whose")
            .field("number", &self.number.masked())
            .finish_non_exhaustive()
    }
}

fn number(text: &str) -> Result<Number, String> {
    Number::parse(text).map_err(|error| error.to_string())
}

impl Whose {
    fn path(&self, tail: &str, more: &[(&str, &str)]) -> String {
        let service = self.service.iter().map(|service| ("service", &**service));
        let mode = self.test.then_some(("mode", "test"));
        let pairs = service.chain(mode).chain(more.iter().copied());
        let query = Url::parse_with_params("http://query", pairs).expect("pairs are escaped");
        let query = query.query().unwrap_or_default();
        format!("api/v1/recipients/{}{tail}?{query}", self.number.expose())
    }
}

impl Recipients {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        match self {
            Self::Erase(erase) => erase.run(screen).await,
            Self::Export(export) => export.run(screen).await,
            Self::Compact(compact) => compact.run(screen),
        }
    }
}

impl Erase {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let path = self.whose.path("", &[]);
        if let Said::No(problem) = self.server.client()?.ask(Method::DELETE, &path, None).await? {
            return Ok(tell_problem(&problem, self.server.json));
        }
        screen.line(&if self.server.json {
            r#"{"erased":true}"#.to_owned()
        } else {
            let masked = self.whose.number.masked();
            screen.good(&format!(
                "{masked} is erased; what limits its holder stays for 30 days at most"
            ))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Export {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let mut cursor: Option<String> = None;
        loop {
            let more: Vec<(&str, &str)> = cursor.iter().map(|cursor| ("cursor", &**cursor)).collect();
            let path = self.whose.path("/export", &more);
            let page = match client.ask(Method::GET, &path, None).await? {
                Said::No(problem) => return Ok(tell_problem(&problem, self.server.json)),
                Said::Yes(page) => page,
            };
            screen.line(&page.to_string())?;
            cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}
