//! Which schema does the store have, and does it need a newer one?

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tapcode::config::{Purpose, Store};
use tapcode_store::sqlite::{SCHEMA, schema_of};

use super::{Configured, Screen};
use crate::wire;

/// `tapcode migrate`; every other command that opens the store does the same on its way.
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    configured: Configured,
    /// Print the versions as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Check) else {
            return Ok(ExitCode::FAILURE);
        };
        let name = wire::store_name(&config.store);
        let before = match &config.store {
            Store::Memory => Some(SCHEMA),
            Store::Sqlite(file) => schema_of(file).with_context(|| wire::cannot_open(file))?,
        };
        wire::open_store(&config.store)?.ping().await.context("the store")?;
        if self.json {
            screen.line(&json!({"store": name, "schema_before": before, "schema": SCHEMA}).to_string())?;
        } else {
            screen.line(&match before {
                None => format!("{name} was made, with schema {SCHEMA}"),
                Some(before) if before == SCHEMA => format!("{name} has schema {SCHEMA}, the newest that this release knows"),
                Some(before) => format!("{name} was migrated from schema {before} to schema {SCHEMA}"),
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
