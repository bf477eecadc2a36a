//! How is a database file written anew?

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tapcode::config::{Purpose, Store};
use tapcode_store::sqlite::compact;

use super::{Configured, Screen};
use crate::wire;

/// `tapcode recipients compact`
#[derive(Debug, Args)]
#[command(
    after_help = "A running server reads on and cannot write meanwhile, which it answers with 503 after five seconds: \
                  stop it first where the file is large."
)]
pub struct Compact {
    #[command(flatten)]
    configured: Configured,
    /// Print the sizes as JSON
    #[arg(long)]
    json: bool,
}

impl Compact {
    pub fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Check) else {
            return Ok(ExitCode::FAILURE);
        };
        let name = wire::store_name(&config.store);
        let (before, after) = match &config.store {
            Store::Memory => (0, 0),
            Store::Sqlite(file) => compact(file).with_context(|| wire::cannot_open(file))?,
        };
        screen.line(&if self.json {
            json!({"store": name, "bytes_before": before, "bytes": after}).to_string()
        } else {
            format!("{name} was written anew: {before} bytes before, {after} bytes now")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
