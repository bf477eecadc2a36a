//! What did administrators do? Read directly from the store, whether a server runs on it or not.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tapcode::config::Purpose;
use tapcode_core::audit::{Act, Actor};
use tapcode_core::recipient::ServiceName;
use tapcode_engine::contract::store::Place;

use super::keys::engine_on_store;
use super::screen::{plain, table, time};
use super::{Configured, Screen};

/// `tapcode audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// How many acts to tell, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Only what was done before this: the `next_cursor` of `--json`
    #[arg(long, value_name = "CURSOR")]
    before: Option<u64>,
    #[command(flatten)]
    configured: Configured,
    /// Print the acts as JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Check) else {
            return Ok(ExitCode::FAILURE);
        };
        let engine = engine_on_store(&config)?;
        let limit = usize::from(self.limit);
        let mut acts = engine
            .acts(self.before.map(Place), limit.saturating_add(1))
            .await
            .context("the store")?;
        let is_last = acts.len() <= limit;
        acts.truncate(limit);
        if self.json {
            let next_cursor = acts.last().filter(|_| !is_last).map(|(place, _)| place.0);
            let data: Vec<Value> = acts.iter().map(|(_, act)| act_json(act)).collect();
            screen.line(&json!({ "data": data, "next_cursor": next_cursor }).to_string())?;
        } else if acts.is_empty() {
            eprintln!("Nothing was done yet that is kept.");
        } else {
            let mut rows = vec![
                ["AT", "BY", "FROM", "ACTION", "OBJECT", "SERVICE", "DETAIL"]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            rows.extend(acts.iter().map(|(_, act)| row(act)));
            screen.write(&table(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn act_json(act: &Act) -> Value {
    json!({
        "id": act.id.to_string(),
        "at": time(act.at),
        "key_id": match act.by.actor {
            Actor::Key(id) => Some(id.to_string()),
            Actor::CommandLine => None,
        },
        "address": act.by.address,
        "action": act.deed.as_str(),
        "object": act.object,
        "service": act.service.as_ref().map(ServiceName::as_str),
        "detail": act.detail,
    })
}

fn row(act: &Act) -> Vec<String> {
    vec![
        time(act.at),
        match act.by.actor {
            Actor::Key(id) => id.to_string(),
            Actor::CommandLine => "command line".to_owned(),
        },
        act.by.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
        act.deed.as_str().to_owned(),
        plain(&act.object),
        act.service.as_ref().map_or("-", ServiceName::as_str).to_owned(),
        plain(&act.detail),
    ]
}
