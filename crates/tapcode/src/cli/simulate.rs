//! How do users try out everything without an account anywhere? Meta and Twilio are played here, on real sockets, with a
//! configuration that leads to them; what happens to a message follows from the last digits of its number.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::entropy::{Entropy, OsEntropy};
use tapcode_simulator::cloud_api::{self, CloudApiConfig, Review};
use tapcode_simulator::twilio::{self, TwilioConfig};
use tapcode_simulator::{CloudApi, Twilio};
use zeroize::Zeroizing;

use super::Screen;
use super::dev::{make_folder, new_master_key, write_new};
use super::screen::{masked, plain};

/// The configuration's file in the folder.
const CONFIGURATION: &str = "tapcode.toml";
/// How long a reviewer of templates takes. Milliseconds.
const REVIEW_MS: u64 = 1_500;
/// When `sent` follows the answer, and `delivered`, and `read`. Milliseconds.
const SENT_MS: u64 = 150;
const DELIVERED_MS: u64 = 400;
const READ_MS: u64 = 1_500;
/// When a message arrives that is late: after the fallback of the configuration that is written. Milliseconds.
const LATE_MS: u64 = 15_000;
/// When somebody presses the button under a code that was not asked for. Milliseconds.
const PRESSED_MS: u64 = 1_000;

/// What the last two digits of a number stand for.
const DIGITS: [(&str, &str); 10] = [
    ("01", "is not on WhatsApp (131026), so that the SMS goes out at once"),
    ("02", "is silent on WhatsApp, so that the SMS goes out after the wait"),
    ("03", "receives and reads"),
    ("04", "receives on WhatsApp after 15 s, later than the SMS"),
    ("05", "is refused on WhatsApp (131056, too many to one number)"),
    ("06", "is held back by Meta and dropped (132015)"),
    (
        "07",
        "has another holder at every message, where identities are checked (137000)",
    ),
    ("08", "presses the button that says: I didn't request a code"),
    ("09", "receives nothing: silent on WhatsApp, and its SMS fails (30003)"),
    ("10", "breaks the connection to Meta after the request was read"),
];

/// `tapcode simulate`
#[derive(Debug, Args)]
pub struct Simulate {
    /// Where Meta's Cloud API listens; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4700")]
    listen: SocketAddr,
    /// Where Twilio's API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4701")]
    sms_listen: SocketAddr,
    /// Where `tapcode serve` will listen, for the configuration that is written
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    server: SocketAddr,
    /// The folder of the configuration and the secrets that are made up for it
    #[arg(long, value_name = "DIR", default_value = "tapcode-simulated")]
    data: PathBuf,
    /// Print lines of JSON: one when it listens, then one per message
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        make_folder(&self.data)?;
        let secret = |name: &str| kept_secret(&self.data.join(name));
        let (access_token, app_secret) = (secret("access-token")?, secret("app-secret")?);
        // Only the configuration needs it: Meta is told it with the address of the webhook.
        secret("verify-token")?;
        let auth_token = secret("twilio-auth-token")?;
        let meta = CloudApi::start(CloudApiConfig {
            listen: self.listen,
            access_token: access_token.to_string(),
            app_secret: app_secret.to_string(),
            templates: Vec::new(),
            review: Review::Approves(Duration::from_millis(REVIEW_MS)),
            subscribed: false,
            ..CloudApiConfig::default()
        });
        let meta = meta.await.with_context(|| cannot_listen(self.listen, "--listen"))?;
        let sms = Twilio::start(TwilioConfig {
            listen: self.sms_listen,
            auth_token: auth_token.to_string(),
            ..TwilioConfig::default()
        });
        let sms = sms.await.with_context(|| cannot_listen(self.sms_listen, "--sms-listen"))?;
        meta.script_by(whatsapp_script);
        sms.script_by(sms_script);
        let file = self.data.join(CONFIGURATION);
        let written = self.write_configuration(&file, &meta, &sms)?;
        if self.json {
            let line = json!({"ready": true, "cloud_api": meta.base_url(), "twilio": sms.base_url(), "config": file});
            screen.line(&line.to_string())?;
        } else {
            screen.write(&welcome(screen, &meta, &sms, &file, written))?;
        }
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped.context("Ctrl-C cannot be listened to")?,
            told = self.tell(screen, &meta, &sms) => told?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the configuration unless there is one; whether it did.
    fn write_configuration(&self, file: &Path, meta: &CloudApi, sms: &Twilio) -> anyhow::Result<bool> {
        if file.exists() {
            return Ok(false);
        }
        let master = self.data.join("master.key");
        if !master.exists() {
            let key = new_master_key().to_text();
            let line = Zeroizing::new(format!("{}\n", key.expose()));
            write_new(&master, &line).with_context(|| format!("{} cannot be written", master.display()))?;
        }
        let folder = fs::canonicalize(&self.data).with_context(|| format!("{} cannot be found", self.data.display()))?;
        let database = folder.join("tapcode.db");
        let text = configuration(self.server, &database, meta, sms);
        write_new(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(true)
    }

    /// Tells what happens, as it happens; never ends by itself.
    async fn tell(&self, screen: &Screen, meta: &CloudApi, sms: &Twilio) -> anyhow::Result<()> {
        let (mut whatsapp_seen, mut sms_seen, mut webhooks_seen) = (0, 0, 0);
        loop {
            tokio::select! {
                (sends, seen) = meta.requests_after(whatsapp_seen) => {
                    whatsapp_seen = seen;
                    for send in sends {
                        let to = send.to.as_deref().unwrap_or_default();
                        let language = send.language.as_deref().unwrap_or_default();
                        let what = match &send.fate {
                            cloud_api::Fate::Accepted { .. } => "accepted".to_owned(),
                            cloud_api::Fate::Faulted { .. } => "accepted, and the connection broken".to_owned(),
                            cloud_api::Fate::Refused { code } => format!("refused: {code}"),
                            cloud_api::Fate::Invalid { code, reason } => format!("refused: {code}, {reason}"),
                        };
                        let code = send.wamid().and(send.code.as_deref());
                        self.say(screen, "whatsapp", to, code, &format!("template in {language}, {what}"))?;
                        match ending(to) {
                            Some("07") => meta.change_identity(to),
                            Some("08") if send.wamid().is_some() => {
                                SystemClock.sleep(PRESSED_MS).await;
                                meta.press_did_not_request(&send).await;
                            }
                            _ => {}
                        }
                    }
                }
                (sends, seen) = sms.requests_after(sms_seen) => {
                    sms_seen = seen;
                    for send in sends {
                        let what = match &send.fate {
                            twilio::Fate::Accepted { .. } | twilio::Fate::Faulted { .. } => "accepted".to_owned(),
                            twilio::Fate::Refused { code } => format!("refused: {code}"),
                            twilio::Fate::Invalid { code, reason } => format!("refused: {code}, {reason}"),
                        };
                        let body = send.sid().and(send.body.as_deref());
                        self.say(screen, "sms", send.to.as_deref().unwrap_or_default(), body, &what)?;
                    }
                }
                (webhooks, seen) = meta.webhooks_after(webhooks_seen) => {
                    webhooks_seen = seen;
                    for webhook in webhooks.iter().filter(|webhook| !webhook.answer.is_ok()) {
                        let what = format!("a webhook was not taken: {:?}", webhook.answer);
                        self.say(screen, "webhook", "", None, &what)?;
                    }
                }
            }
        }
    }

    /// What a phone shows is for whoever runs the simulator: the number is masked, and the code is a made-up one.
    fn say(&self, screen: &Screen, channel: &str, to: &str, shows: Option<&str>, what: &str) -> anyhow::Result<()> {
        let to = masked(to);
        if self.json {
            screen.line(&json!({"channel": channel, "to": to, "shows": shows, "what": what}).to_string())?;
        } else {
            let shows = shows.map_or_else(String::new, |text| screen.bold(&plain(text)));
            screen.line(&format!("{channel:<9} {to:<14} {shows}  {}", screen.dim(&plain(what))))?;
        }
        Ok(())
    }
}

fn cannot_listen(address: SocketAddr, option: &str) -> String {
    format!("{address} cannot be listened on; choose another address with {option}")
}

/// A secret in a file of its own, made up once.
fn kept_secret(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    if let Ok(text) = fs::read_to_string(file) {
        return Ok(Zeroizing::new(text.trim().to_owned()));
    }
    let mut bytes = Zeroizing::new([0; 16]);
    OsEntropy::new().fill(&mut *bytes);
    let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    write_new(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(text)
}

fn after(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The last two digits, which choose what happens.
fn ending(number: &str) -> Option<&str> {
    number.get(number.len().saturating_sub(2)..)
}

fn whatsapp_script(number: &str) -> cloud_api::Script {
    use cloud_api::{ReceiptStep, Script};
    let sent = || Script::silent().then(ReceiptStep::sent().after(after(SENT_MS)));
    let delivered = || sent().then(ReceiptStep::delivered().after(after(DELIVERED_MS)));
    match ending(number) {
        Some("01") => Script::silent().then(ReceiptStep::failed(131_026).after(after(SENT_MS))),
        Some("02" | "09") => sent(),
        Some("03") => delivered().then(ReceiptStep::read().after(after(READ_MS))),
        Some("04") => sent().then(ReceiptStep::delivered().after(after(LATE_MS))),
        Some("05") => Script::error(400, 131_056),
        Some("06") => Script::held().then(ReceiptStep::failed(132_015).after(after(READ_MS))),
        Some("10") => Script {
            receipts: sent().receipts,
            ..Script::fault(tapcode_simulator::Fault::ReadThenClose)
        },
        _ => delivered(),
    }
}

fn sms_script(number: &str) -> twilio::Script {
    use twilio::{ReceiptStep, Script, Status};
    let sent = || Script::silent().then(ReceiptStep::sent().after(after(SENT_MS)));
    match ending(number) {
        Some("09") => sent().then(ReceiptStep::new(Status::Undelivered { code: 30_003 }).after(after(READ_MS))),
        _ => sent().then(ReceiptStep::delivered().after(after(DELIVERED_MS))),
    }
}

fn configuration(server: SocketAddr, database: &Path, meta: &CloudApi, sms: &Twilio) -> String {
    let (account, sid) = (meta.config(), &sms.config().account_sid);
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    format!(
        r#"# Written by `tapcode simulate`: a server whose Meta and Twilio are simulated. `tapcode config default` explains every setting.

[server]
listen = "{server}"
public_url = "http://{server}"

[store]
url = {store}

[secrets]
master_key_file = "master.key"

[[services]]
name = "demo"
brand = "Demo"
workflow = [
    {{channel = "whatsapp", sender = 1, wait_ms = 10_000}},
    {{channel = "sms", sender = 42}},
]

[[whatsapp_accounts]]
id = 1
provider = "whatsapp_cloud"
template = "login_otp"
base_url = "{meta_url}"
waba_id = "{waba}"
phone_number_id = "{phone}"
access_token_file = "access-token"
app_secret_file = "app-secret"
verify_token_file = "verify-token"
identity_check = true

[[numbers]]
id = 42
provider = "twilio"
number = "+3197010253000"
base_url = "{sms_url}"
account_sid = "{sid}"
auth_token_file = "twilio-auth-token"
"#,
        store = quoted(&format!("sqlite:{}", database.display())),
        meta_url = meta.base_url(),
        sms_url = sms.base_url(),
        waba = account.waba_id,
        phone = account.phone_number_id,
    )
}

fn welcome(screen: &Screen, meta: &CloudApi, sms: &Twilio, file: &Path, written: bool) -> String {
    let (config, kept) = (file.display(), if written { "" } else { ", kept from before" });
    let numbers = DIGITS.map(|(digits, what)| format!("  …{digits}  {}", screen.dim(what)));
    [
        screen.bold("Meta and Twilio are simulated; nothing leaves this machine."),
        String::new(),
        format!("  Meta's Cloud API  {}", meta.base_url()),
        format!("  Twilio's API      {}", sms.base_url()),
        format!("  Configuration     {config}{kept}"),
        String::new(),
        screen.bold("1. In a second terminal, run the server:"),
        String::new(),
        format!("tapcode serve --config {config}"),
        String::new(),
        screen.bold("2. In a third one, set up WhatsApp, with a first code to a phone:"),
        String::new(),
        format!("tapcode whatsapp setup --config {config} --to +31611398058"),
        String::new(),
        screen.bold("A number receives its messages within half a second, unless it ends in"),
        String::new(),
        numbers.join("\n"),
        String::new(),
        screen.bold("Messages, as the phones show them; Ctrl-C stops it:"),
        String::new(),
        String::new(),
    ]
    .join("\n")
}
