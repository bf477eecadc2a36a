//! Is everything as it should be, seen from outside the server? Nothing is changed and no message is sent.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tapcode::config::{Config, Purpose, Store};

use tapcode_store::sqlite::{SCHEMA, schema_of};

use super::client::Client;
use super::inspect::{Finding, Report, accounts};
use super::{Configured, Screen};
use crate::wire;

/// `tapcode doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    configured: Configured,
    /// Where the running server is reached from here [default: the address it listens on]
    #[arg(long, value_name = "URL", env = "TAPCODE_URL")]
    url: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Serve) else {
            return Ok(ExitCode::FAILURE);
        };
        let engine = wire::asking_engine(&config)?;
        let mut report = Report::new(screen, self.json);
        report.headline("Tapcode")?;
        report.tell(store(&config))?;
        let url = self.url.clone().unwrap_or_else(|| wire::local_url(config.server.listen));
        report.tell(ready(&url).await?)?;
        let directory = engine.directory();
        let public_url = &config.server.public_url;
        let now_s = engine.now().as_millis() / 1_000;
        for account in accounts(&config, &directory) {
            report.headline(&format!("WhatsApp account {}", account.configured.id))?;
            let mut findings = account.health(&engine).await;
            findings.push(account.rights(&engine, now_s).await);
            findings.push(account.address(public_url).await);
            findings.push(account.subscription(&engine, public_url, &directory).await);
            findings.push(account.app_webhook(&engine, public_url, &directory).await.0);
            findings.extend(account.template(&engine).await);
            for finding in findings {
                report.tell(finding)?;
            }
        }
        Ok(if report.end()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn store(config: &Config) -> Finding {
    const WHAT: &str = "store";
    let name = wire::store_name(&config.store);
    match &config.store {
        Store::Memory => Finding::bad(WHAT, "everything is forgotten when the server ends; name a file in store.url"),
        Store::Sqlite(file) if !file.exists() => Finding::bad(
            WHAT,
            format!("{name} is not there; `tapcode migrate` or the first start makes it"),
        ),
        // Opening it would bring its schema up to date, under a server that may be older.
        Store::Sqlite(file) => match schema_of(file) {
            Ok(Some(schema)) if schema == SCHEMA => Finding::good(WHAT, format!("{name} has schema {schema}")),
            Ok(Some(schema)) if schema < SCHEMA => Finding::warning(
                WHAT,
                format!("{name} has schema {schema}, and this release {SCHEMA}: the next start of this release upgrades it"),
            ),
            Ok(Some(schema)) => Finding::bad(WHAT, format!("{name} has schema {schema}, of a newer release than this one")),
            Ok(None) => Finding::bad(WHAT, format!("{name} is empty; the first start fills it")),
            Err(error) => Finding::bad(WHAT, format!("{name}: {error}")),
        },
    }
}

/// Does the server run, and can it write?
async fn ready(url: &str) -> anyhow::Result<Finding> {
    const WHAT: &str = "server";
    let client = Client::new(url, String::new()).context("--url")?;
    Ok(match client.fetch("readyz").await {
        Ok((status, _)) if status.is_success() => Finding::good(WHAT, format!("{url} is ready")),
        Ok((status, _)) => Finding::bad(WHAT, format!("{url}/readyz answered {status}; its log says why")),
        Err(error) => Finding::bad(WHAT, format!("{error:#}")),
    })
}
