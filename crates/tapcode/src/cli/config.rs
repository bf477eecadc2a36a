//! What would the server be told, and what is wrong with it?

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tapcode::config::{DEFAULT, Purpose, Report, environment, load};

use super::{Configured, Screen};

/// `tapcode config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the built-in configuration, which explains every setting
    Default(Default),
    /// Name every problem of a configuration, with what to write instead
    Check(Check),
}

/// `tapcode config default`
#[derive(Debug, Args)]
pub struct Default {
    /// Print `{"toml": …}`
    #[arg(long)]
    json: bool,
}

/// `tapcode config check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    configured: Configured,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        match self {
            Self::Default(default) => {
                if default.json {
                    screen.line(&serde_json::json!({ "toml": DEFAULT }).to_string())?;
                } else {
                    screen.write(DEFAULT)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Check(check) => {
                let file = check.configured.config.as_deref();
                let report = Report::new(file, &load(file, environment(), Purpose::Check));
                if check.json {
                    screen.line(&report.json().to_string())?;
                } else {
                    screen.write(&report.text())?;
                }
                Ok(if report.is_valid() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
        }
    }
}
