//! How are keys made, listed and revoked? Directly in the store, whether a server runs on it or not.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tapcode::config::{Config, Purpose, Store};
use tapcode_core::id::KeyId;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_engine::contract::store::{ApiKey, Right};
use tapcode_engine::engine::Engine;
use tapcode_engine::service::Directory;
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
    /// Revoke an API key: every server on this store refuses it within a second
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

const fn right_word(right: Right) -> &'static str {
    match right {
        Right::Verify => "verify",
        Right::Messages => "messages",
        Right::Read => "read",
        Right::Admin => "admin",
    }
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
        let key = engine.new_key(service, mode, rights, &label);
        engine.store().put_key(&key.kept).await.context("the store")?;
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
                ["ID", "SERVICE", "MODE", "RIGHTS", "CREATED", "REVOKED", "LABEL"]
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
        let keys = engine.store().keys().await.context("the store")?;
        let Some(mut key) = keys.into_iter().find(|key| key.id == self.id) else {
            bail!("there is no key {}; `tapcode keys list` shows them all", self.id);
        };
        let before = key.revoked_at;
        if before.is_none() {
            key.revoked_at = Some(engine.now());
            engine.store().put_key(&key).await.context("the store")?;
        }
        if self.json {
            screen.line(&key_json(&key).to_string())?;
        } else if let Some(at) = before {
            screen.line(&format!("{} was revoked already, at {}", key.id, time(at)))?;
        } else {
            screen.line(&format!("{} is revoked; running servers refuse it within a second", key.id))?;
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
        "rights": key.rights.iter().map(|right| right_word(*right)).collect::<Vec<_>>(),
        "label": key.label,
        "created_at": time(key.created_at),
        "revoked_at": key.revoked_at.map(time),
    })
}

fn row(key: &ApiKey) -> Vec<String> {
    let mut rights = String::new();
    for (at, right) in key.rights.iter().enumerate() {
        write!(rights, "{}{}", if at > 0 { "," } else { "" }, right_word(*right)).expect("a string takes everything");
    }
    vec![
        key.id.to_string(),
        key.service.as_ref().map_or("-", ServiceName::as_str).to_owned(),
        key.mode.as_str().to_owned(),
        rights,
        time(key.created_at),
        key.revoked_at.map_or_else(|| "-".to_owned(), time),
        plain(&key.label),
    ]
}
