//! How are keys made, listed and revoked? Directly in the store, whether a server runs on it or not.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tapcode::config::{Config, Purpose, Store};
use tapcode_core::audit::By;
use tapcode_core::id::KeyId;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_engine::access::{KeyError, KeyWish};
use tapcode_engine::contract::store::{ApiKey, Rate, Right};
use tapcode_engine::engine::Engine;
use tapcode_engine::service::Directory;
use tapcode_server::limits::KEY_REQUESTS_MAX;
use zeroize::Zeroizing;

use super::dev::{new_master_key, write_new};
use super::screen::{plain, table, time};
use super::{Configured, Screen, calling};
use crate::wire;

/// Longest label, in characters.
const LABEL_MAX: usize = 100;

/// `tapcode keys …`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make an API key; it is shown this once
    Create(Create),
    /// List the API keys
    List(List),
    /// Revoke an API key: every server on this store refuses it at its next request
    Revoke(Revoke),
    /// Make a master key, from which the server derives all its own keys
    GenerateMaster(GenerateMaster),
}

/// `tapcode keys create`
#[derive(Debug, Args)]
pub struct Create {
    /// The service that the key belongs to; every key but an admin key belongs to one
    #[arg(long, value_name = "NAME", required_unless_present = "rights")]
    service: Option<String>,
    /// Make a test key: its verifications go to the simulated phones
    #[arg(long)]
    test: bool,
    /// What the key may do
    #[arg(long, value_name = "RIGHTS", value_delimiter = ',', default_value = "verify,messages,read")]
    rights: Vec<Word>,
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// From when on it is good for nothing, in days from now; without it, never
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    expires_in_days: Option<u32>,
    /// How many requests it may make in every second, counted by each server; without it, any number
    #[arg(long, value_name = "NUMBER", value_parser = requests())]
    requests_per_second: Option<u32>,
    /// How many of them at once, after a while without any; without it, what it may make in a second
    #[arg(long, value_name = "NUMBER", requires = "requests_per_second", value_parser = requests())]
    burst: Option<u32>,
    #[command(flatten)]
    configured: Configured,
    /// Print the key as JSON
    #[arg(long)]
    json: bool,
}

/// `tapcode keys list`
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    configured: Configured,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// `tapcode keys revoke`
#[derive(Debug, Args)]
pub struct Revoke {
    /// The key's id, key_… (not the key itself)
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,
    #[command(flatten)]
    configured: Configured,
    /// Print the key as JSON
    #[arg(long)]
    json: bool,
}

/// `tapcode keys generate-master`
#[derive(Debug, Args)]
pub struct GenerateMaster {
    /// Write it to a new file that only you can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A right, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    /// Begin, resend, check and cancel verifications
    Verify,
    /// Send plain messages
    Messages,
    /// Read verifications, messages and events, full numbers included
    Read,
    /// Administer
    Admin,
}

impl From<Word> for Right {
    fn from(word: Word) -> Self {
        match word {
            Word::Verify => Self::Verify,
            Word::Messages => Self::Messages,
            Word::Read => Self::Read,
            Word::Admin => Self::Admin,
        }
    }
}

fn requests() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(KEY_REQUESTS_MAX))
}

fn key_id(text: &str) -> Result<KeyId, String> {
    if text.starts_with("tc_") {
        return Err("that is a key itself; write its id, which `tapcode keys list` shows".into());
    }
    KeyId::parse(text).map_err(|error| error.to_string())
}

impl Keys {
    pub fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => calling(create.run(screen)),
            Self::List(list) => calling(list.run(screen)),
            Self::Revoke(revoke) => calling(revoke.run(screen)),
            Self::GenerateMaster(generate) => generate.run(screen),
        }
    }
}

impl Create {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let mut rights: Vec<Right> = self.rights.iter().map(|word| Right::from(*word)).collect();
        rights.sort_unstable();
        rights.dedup();
        let label = self.label.unwrap_or_default();
        if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
            bail!("--label is one line of at most {LABEL_MAX} characters");
        }
        let Some((config, engine)) = open(&self.configured)? else {
            return Ok(ExitCode::FAILURE);
        };
        let service = match &self.service {
            None if rights.contains(&Right::Admin) => None,
            None => bail!("only an admin key belongs to no service; write --service NAME"),
            Some(name) => Some(known_service(&config, name)?),
        };
        let mode = if self.test { Mode::Test } else { Mode::Live };
        let expires_at = self
            .expires_in_days
            .map(|days| engine.now().plus_millis(u64::from(days) * wire::DAY_MS));
        let rate = self.requests_per_second.map(|per_second| Rate {
            per_second,
            burst: self.burst.unwrap_or(per_second),
        });
        let wish = KeyWish {
            service,
            mode,
            rights,
            label,
            expires_at,
            rate,
        };
        let key = engine.create_key(&wish, &By::COMMAND_LINE).await?;
        if self.json {
            let mut shown = key_json(&key.kept);
            shown["key"] = Value::String(key.text);
            screen.line(&shown.to_string())?;
        } else {
            screen.line(&key.text)?;
            eprintln!(
                "{} was made. This is the only time the key is shown: only its hash is kept.",
                key.kept.id
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some((_, engine)) = open(&self.configured)? else {
            return Ok(ExitCode::FAILURE);
        };
        let keys = engine.store().keys().await.context("the store")?;
        if self.json {
            let shown: Vec<Value> = keys.iter().map(key_json).collect();
            screen.line(&json!({ "data": shown }).to_string())?;
        } else if keys.is_empty() {
            eprintln!("There are no keys; `tapcode keys create --service NAME` makes one.");
        } else {
            let mut rows = vec![
                [
                    "ID", "SERVICE", "MODE", "RIGHTS", "CREATED", "USED", "EXPIRES", "REVOKED", "LABEL",
                ]
                .map(str::to_owned)
                .to_vec(),
            ];
            rows.extend(keys.iter().map(row));
            screen.write(&table(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some((_, engine)) = open(&self.configured)? else {
            return Ok(ExitCode::FAILURE);
        };
        let before = engine.store().keys().await.context("the store")?;
        let before = before.iter().find(|key| key.id == self.id).and_then(|key| key.revoked_at);
        let key = match engine.revoke_key(self.id, &By::COMMAND_LINE).await {
            Err(KeyError::Unknown) => bail!("there is no key {}; `tapcode keys list` shows them all", self.id),
            revoked => revoked?,
        };
        if self.json {
            screen.line(&key_json(&key).to_string())?;
        } else if let Some(at) = before {
            screen.line(&format!("{} was revoked already, at {}", key.id, time(at)))?;
        } else {
            screen.line(&format!(
                "{} is revoked; running servers refuse it at their next request",
                key.id
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl GenerateMaster {
    fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let key = new_master_key().to_text();
        match self.out {
            Some(file) => {
                let line = Zeroizing::new(format!("{}\n", key.expose()));
                write_new(&file, &line).with_context(|| {
                    format!(
                        "{} cannot be written; name a new file in a folder that exists",
                        file.display()
                    )
                })?;
                if self.json {
                    screen.line(&json!({ "file": file }).to_string())?;
                } else {
                    eprintln!(
                        "{} has the master key. Keep a copy apart from the database: without it nothing in there can be read.",
                        file.display()
                    );
                }
            }
            None if self.json => screen.line(&json!({ "master_key": key.expose() }).to_string())?,
            None => screen.line(key.expose())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The configuration and an engine on its store, which starts nothing by itself; `None` once problems have been told.
fn open(configured: &Configured) -> anyhow::Result<Option<(Config, Engine)>> {
    let Some(config) = configured.load(Purpose::Check) else {
        return Ok(None);
    };
    let engine = engine_on_store(&config)?;
    Ok(Some((config, engine)))
}

/// An engine on the configured store, which starts nothing by itself.
pub fn engine_on_store(config: &Config) -> anyhow::Result<Engine> {
    if config.store == Store::Memory {
        bail!("the configured store is the memory of the server's own process; name a file in store.url");
    }
    wire::engine(config, wire::open_store(&config.store)?, Directory::default(), None)
}

fn known_service(config: &Config, name: &str) -> anyhow::Result<ServiceName> {
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    match config.services.iter().find(|service| service.name.as_str() == name) {
        Some(service) => Ok(service.name.clone()),
        None => bail!("there is no service {:?}; the configuration has {}", name, names.join(", ")),
    }
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id.to_string(),
        "service": key.service.as_ref().map(ServiceName::as_str),
        "mode": key.mode.as_str(),
        "rights": key.rights.iter().map(|right| right.as_str()).collect::<Vec<_>>(),
        "label": key.label,
        "created_at": time(key.created_at),
        "expires_at": key.expires_at.map(time),
        "revoked_at": key.revoked_at.map(time),
        "last_used_at": key.used_at.map(time),
        "rate_limit": key.rate.map(|rate| json!({ "requests_per_second": rate.per_second, "burst": rate.burst })),
    })
}

fn row(key: &ApiKey) -> Vec<String> {
    let mut rights = String::new();
    for (at, right) in key.rights.iter().enumerate() {
        write!(rights, "{}{}", if at > 0 { "," } else { "" }, right.as_str()).expect("a string takes everything");
    }
    vec![
        key.id.to_string(),
        key.service.as_ref().map_or("-", ServiceName::as_str).to_owned(),
        key.mode.as_str().to_owned(),
        rights,
        time(key.created_at),
        key.used_at.map_or_else(|| "-".to_owned(), time),
        key.expires_at.map_or_else(|| "-".to_owned(), time),
        key.revoked_at.map_or_else(|| "-".to_owned(), time),
        plain(&key.label),
    ]
}
