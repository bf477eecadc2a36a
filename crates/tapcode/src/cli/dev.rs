//! How does a developer get to a working server with one command? Everything that `serve` needs is made up and kept in
//! a folder, the phones are simulated, and what is printed can be copied and run.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use tapcode::config::{LogLevel, MASTER_KEY_BYTES, MasterKey, Purpose, Store, environment, load};
use tapcode_core::audit::By;
use tapcode_core::number::Number;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_engine::access::{KeyWish, NotLetIn};
use tapcode_engine::contract::phones::{Deliver, Network, Phones};
use tapcode_engine::contract::store::Right;
use tapcode_engine::engine::Engine;
use tapcode_engine::entropy::{Entropy, OsEntropy};
use zeroize::Zeroizing;

use super::{Screen, serve};
use crate::otlp::Otlp;
use crate::telemetry;
use crate::wire::{self, Ready, VERSION};

/// What the simulated phones are there for: a number, what happens to it, and the network around it. Two of the numbers
/// are in the range that is kept for fiction (555-01XX, <https://en.wikipedia.org/wiki/555_(telephone_number)>; from memory).
const PHONES: [(&str, &str, Network); 3] = [
    (
        "+31611398058",
        "receives everything",
        Network {
            whatsapp: true,
            delay_ms: 0,
            deliver: Deliver::Normal,
        },
    ),
    (
        "+14155550142",
        "never receives WhatsApp messages",
        Network {
            whatsapp: true,
            delay_ms: 0,
            deliver: Deliver::Never,
        },
    ),
    (
        "+14155550199",
        "is not on WhatsApp",
        Network {
            whatsapp: false,
            delay_ms: 0,
            deliver: Deliver::Normal,
        },
    ),
];

/// `tapcode dev`
#[derive(Debug, Args)]
pub struct Dev {
    /// The address and port to listen on; port 0 takes any that is free [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The folder of the database and the keys
    #[arg(long, value_name = "DIR", default_value = "tapcode-dev")]
    data: PathBuf,
    /// Print one line of JSON once the server listens, with addresses and key
    #[arg(long)]
    json: bool,
}

impl Dev {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let listen = self
            .listen
            .map(|listen| ("TAPCODE__SERVER__LISTEN".to_owned(), listen.to_string()));
        let Some(mut config) = serve::start(load(None, environment().chain(listen), Purpose::Dev)) else {
            return Ok(ExitCode::FAILURE);
        };
        make_folder(&self.data)?;
        if !is_set("TAPCODE__STORE__URL") {
            config.store = Store::Sqlite(self.data.join("tapcode.db"));
        }
        if !is_set("TAPCODE__SANDBOX__NUMBERS") {
            config.sandbox.numbers = phones();
        }
        if !is_set("TAPCODE__LOG__LEVEL") {
            // What happens is on the page of phones; the terminal is for what the developer needs and what goes wrong.
            config.log.level = LogLevel::Warn;
        }
        if config.master_key.is_none() {
            config.master_key = Some(master_key(&self.data.join("master.key"))?);
        }
        let otlp = config.telemetry.as_ref().map(Otlp::start).transpose()?;
        telemetry::start_logging(config.log, otlp.as_ref())?;
        let service = config.services[0].name.clone();
        wire::serve(config, true, otlp, async |ready: Ready<'_>| {
            for (number, (_, _, network)) in phones().iter().zip(PHONES) {
                if ready.phones.all().iter().any(|phone| phone.number == *number) {
                    ready.phones.set_network(number, network);
                }
            }
            let key = api_key(ready.engine, service, &self.data.join("api.key")).await?;
            if self.json {
                screen.line(&ready_line(&ready, &key, &self.data).to_string())?;
            } else {
                screen.write(&welcome(screen, &ready, &key, &self.data))?;
            }
            if !ready.address.ip().is_loopback() {
                eprintln!(
                    "tapcode: warning: other machines can reach {}, and whoever opens the page of phones reads every code",
                    ready.address
                );
            }
            Ok(())
        })
        .await
    }
}

/// Whether the environment says something of a setting, or of an entry of it.
fn is_set(variable: &str) -> bool {
    environment().any(|(name, _)| {
        name.strip_prefix(variable)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
    })
}

fn phones() -> Vec<Number> {
    PHONES
        .iter()
        .map(|(number, ..)| Number::parse(number).expect("the phones have numbers that exist, which a test holds"))
        .collect()
}

/// A folder for this user alone, which git leaves alone wherever it is.
pub fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .with_context(|| format!("the folder {} cannot be made; name another one with --data", folder.display()))?;
    let ignore = folder.join(".gitignore");
    match write_new(&ignore, "*\n") {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("{} cannot be written; name another folder with --data", ignore.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file that only this user may read, and that was not there before.
pub fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

/// A new master key.
pub fn new_master_key() -> MasterKey {
    let mut bytes = Zeroizing::new([0; MASTER_KEY_BYTES]);
    OsEntropy::new().fill(&mut *bytes);
    MasterKey::from_bytes(*bytes)
}

/// The master key in a file, which is made if it is not there.
fn master_key(file: &Path) -> anyhow::Result<MasterKey> {
    match fs::read_to_string(file).map(Zeroizing::new) {
        Ok(text) => MasterKey::parse(text.trim()).map_err(|error| {
            anyhow!(
                "the master key in {} {error}; put the right one back, or remove the whole folder to begin anew",
                file.display()
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = new_master_key();
            let text = Zeroizing::new(format!("{}\n", key.to_text().expose()));
            write_new(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// The API key that is kept in a file: the same at every start, unless it was revoked or the store is another one.
async fn api_key(engine: &Engine, service: ServiceName, file: &Path) -> anyhow::Result<String> {
    if let Ok(text) = fs::read_to_string(file) {
        let text = text.trim();
        match engine.authenticate(text).await {
            Ok(caller) if caller.service.as_ref() == Some(&service) => return Ok(text.to_owned()),
            // A key that was given a limit is good all the same.
            Err(NotLetIn::TooFast { .. }) => return Ok(text.to_owned()),
            Ok(_) | Err(NotLetIn::NoKey) => {}
            Err(NotLetIn::Unavailable(error)) => return Err(error).context("the store"),
        }
        fs::remove_file(file).with_context(|| format!("{} cannot be replaced", file.display()))?;
    }
    let wish = KeyWish {
        service: Some(service),
        mode: Mode::Live,
        rights: vec![Right::Verify, Right::Messages, Right::Read],
        label: "tapcode dev".into(),
        expires_at: None,
        rate: None,
    };
    let key = engine.create_key(&wish, &By::COMMAND_LINE).await?;
    write_new(file, &format!("{}\n", key.text)).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(key.text)
}

fn ready_line(ready: &Ready<'_>, key: &str, data: &Path) -> serde_json::Value {
    let numbers: Vec<_> = PHONES
        .iter()
        .map(|(number, what, _)| json!({"number": number, "what": what}))
        .collect();
    json!({
        "ready": true,
        "version": VERSION,
        "url": ready.url,
        "phones": format!("{}/phone", ready.url),
        "key": key,
        "data": data,
        "numbers": numbers,
    })
}

fn welcome(screen: &Screen, ready: &Ready<'_>, key: &str, data: &Path) -> String {
    let url = ready.url;
    let number = PHONES[0].0;
    let numbers: Vec<String> = PHONES
        .iter()
        .map(|(number, what, _)| format!("           {number}  {}", screen.dim(what)))
        .collect();
    let posts = |path: &str, body: &str| {
        format!("curl -sS {url}{path} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'")
    };
    [
        format!(
            "{} is ready. Nothing leaves this machine: the phones are simulated.",
            screen.bold(&format!("Tapcode {VERSION}"))
        ),
        String::new(),
        format!("  Phones   {}", screen.bold(&format!("{url}/phone"))),
        numbers.join("\n"),
        format!("  API      {url}/api/v1  {}", screen.dim(&format!("described at {url}/docs"))),
        format!("  Key      {key}"),
        format!(
            "  Data     {}  {}",
            data.display(),
            screen.dim("remove the folder to begin anew")
        ),
        String::new(),
        screen.bold("1. Begin a verification, and look at the phone:"),
        String::new(),
        posts("/api/v1/verifications", &format!(r#"{{"to":"{number}"}}"#)),
        String::new(),
        screen.bold("2. Check the code, with the one on the phone in place of 000000:"),
        String::new(),
        posts(
            "/api/v1/verifications/check",
            &format!(r#"{{"to":"{number}","code":"000000"}}"#),
        ),
        String::new(),
        screen.bold("3. See what became of it:"),
        String::new(),
        format!("curl -sS '{url}/api/v1/verifications?limit=1' -H 'Authorization: Bearer {key}'"),
        String::new(),
        screen.dim("Ctrl-C stops it."),
        String::new(),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phones_have_numbers_that_exist() {
        assert_eq!(phones().len(), PHONES.len());
    }

    #[test]
    fn a_master_key_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let made = master_key(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(master_key(&file).unwrap() == made);
        fs::write(&file, "short").unwrap();
        let error = master_key(&file).unwrap_err().to_string();
        assert!(
            error.contains("has 5 characters") && error.contains("remove the whole folder"),
            "{error}"
        );
    }
}
