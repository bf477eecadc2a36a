//! How is the server run?

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tapcode::config::{Config, Problems, Purpose, Warning};

use super::{Configured, Screen};
use crate::otlp::Otlp;
use crate::telemetry;
use crate::wire::{self, VERSION, store_name};

/// `tapcode serve`
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    configured: Configured,
    /// Print one line of JSON once the server listens
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Serve) else {
            return Ok(ExitCode::FAILURE);
        };
        let otlp = config.telemetry.as_ref().map(Otlp::start).transpose()?;
        telemetry::start_logging(config.log, otlp.as_ref())?;
        let (store, services) = (store_name(&config.store), service_names(&config));
        wire::serve(config, false, otlp, async |ready| {
            if self.json {
                let line = json!({"ready": true, "version": VERSION, "url": ready.url, "listen": ready.address, "store": store, "services": services});
                screen.line(&line.to_string())?;
            }
            Ok(())
        })
        .await
    }
}

/// The configuration, once its warnings have been told; `None` once what keeps a command from starting has been told.
pub fn start(loaded: Result<(Config, Vec<Warning>), Problems>) -> Option<Config> {
    match loaded {
        Ok((config, warnings)) => {
            for warning in warnings {
                eprintln!("tapcode: warning: {warning}");
            }
            Some(config)
        }
        Err(problems) => {
            eprintln!("tapcode: the configuration has to be changed first (`tapcode config check` tells more):");
            for problem in &problems.problems {
                eprintln!("  {problem}");
            }
            None
        }
    }
}

fn service_names(config: &Config) -> Vec<String> {
    config
        .services
        .iter()
        .map(|service| service.name.as_str().to_owned())
        .collect()
}
