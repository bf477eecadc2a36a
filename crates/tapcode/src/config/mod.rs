//! What is the server told to do? One TOML file, changed by the environment, read whole: every mistake at once.
//!
//! [`load`] gives the [`Config`] with everything resolved — workflows are plans, seconds are milliseconds, secrets are
//! read from their files — or all [`Problems`]. Nothing here reads a clock, a socket or the environment; the files read
//! are the configuration and the ones it names. Each setting is described in `default.toml`, which
//! `tapcode config default` prints as it stands.

mod countries;
mod environment;
mod finding;
mod nearest;
mod node;
mod prices;
mod reader;
mod report;
mod secret;
mod sections;
mod senders;
mod services;
mod smpp;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tapcode_core::code::Code;
use tapcode_core::money::Currency;
use tapcode_core::number::{Country, Number};
use tapcode_core::plan::{Channel, IdentityChange, Plan, Route};
use tapcode_core::recipient::ServiceName;
use tapcode_core::sender::{SenderKind, not_allowed};
use tapcode_core::text::OwnText;
use tapcode_core::verification::Limits;
use tapcode_engine::contract::account::App;
use tapcode_engine::egress::Outside;
use tapcode_engine::rates::RateCards;
use tapcode_engine::sms_prices::SmsPrices;
use tapcode_providers::infobip::IndiaDlt;
use tapcode_providers::smpp::SmppConfig;
use tapcode_providers::webhook::WebhookConfig;

pub use countries::{NoCountry, country};
pub use environment::{PREFIX, environment};
pub use finding::{Finding, Place, Problems, Warning};
pub use report::Report;
pub use secret::{MASTER_KEY_BYTES, MasterKey, MasterKeyError, Secret};

/// The commented configuration file: a development server as it stands, and the manual of every setting.
pub const DEFAULT: &str = include_str!("default.toml");

/// Largest configuration file, in bytes: a thousand services of a thousand bytes.
pub const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// What the configuration is wanted for. [`Purpose::Check`] judges as [`Purpose::Serve`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `tapcode serve`: a master key must be there, and the sandbox only where it was switched on.
    Serve,
    /// `tapcode dev`: the sandbox is on, and keys may be made up.
    Dev,
    /// `tapcode config check`.
    Check,
}

impl Purpose {
    const fn is_dev(self) -> bool {
        matches!(self, Self::Dev)
    }
}

/// The whole configuration, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server listens and what it takes.
    pub server: Server,
    /// Where it keeps things.
    pub store: Store,
    /// What its own keys are derived from; `None` under [`Purpose::Dev`] only.
    pub master_key: Option<MasterKey>,
    /// The simulated phones.
    pub sandbox: Sandbox,
    /// What it writes down.
    pub log: Log,
    /// Which collector it tells; `None`: none.
    pub telemetry: Option<Telemetry>,
    /// Whose verifications it makes; never empty.
    pub services: Vec<Service>,
    /// The WhatsApp senders.
    pub whatsapp_accounts: Vec<WhatsappAccount>,
    /// The SMS senders.
    pub numbers: Vec<SmsNumber>,
    /// What Meta charges for a delivered message: the built-in cards, and those of `[[prices.whatsapp]]`.
    pub whatsapp_rates: RateCards,
    /// What text messages cost where their provider does not say so: the tables of `[[prices.sms]]`.
    pub sms_prices: SmsPrices,
    /// How long finished verifications, messages and log entries stay. Days.
    pub history_days: u32,
    /// How long the acts of administrators are kept. Days.
    pub audit_days: u32,
    /// Which machines events may be told to.
    pub outside: Outside,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// How the outside world reaches the server: `http` or `https`, without a `/` at the end.
    pub public_url: String,
    /// How long a request may take before it is answered 503, waiting for `?wait=` excluded. Milliseconds.
    pub request_timeout_ms: u32,
    /// Connections at once; the next one waits to be accepted.
    pub connections_max: u32,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A database file.
    Sqlite(PathBuf),
    /// Nothing outlives the process.
    Memory,
}

/// `[sandbox]`.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Whether the sandbox may be a route and its page is served. Always under [`Purpose::Dev`].
    pub enabled: bool,
    /// The phones that are there from the start.
    pub numbers: Vec<Number>,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines there are.
    pub level: LogLevel,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// The least that a line of the log must matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warn,
    /// What happened.
    Info,
    /// How it happened.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Where the collector takes OTLP over HTTP: `http` or `https`, without a `/` at the end and without `/v1/…`.
    pub endpoint: String,
    /// The `Authorization` header that the collector asks for.
    pub authorization: Option<Secret>,
    /// What this server is called there.
    pub service_name: String,
    /// Of how many verifications of a hundred the trace is told, 1 to 100; `None`: of none.
    pub traces_percent: Option<u32>,
    /// Whether the lines of the log are told too.
    pub logs: bool,
}

/// An entry of `[[services]]`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Who its messages are from.
    pub brand: String,
    /// The language of messages where neither the caller nor the number's country says, BCP 47.
    pub default_locale: String,
    /// Digits of a generated code.
    pub code_length: u8,
    /// How long a code lives. Milliseconds.
    pub code_ttl_ms: u64,
    /// The limits that each verification is begun with.
    pub limits: Limits,
    /// Whether callers may bring their own code.
    pub own_codes: bool,
    /// How long a step waits that says nothing of it. Milliseconds.
    pub wait_ms: u32,
    /// The routes of numbers in all other countries.
    pub workflow: Plan,
    /// The routes of numbers in some countries; no country is in two of them.
    pub workflows: Vec<CountryWorkflow>,
    /// The sender for each channel when a caller names channels only: the first one that [`Service::workflow`] names, else
    /// the only one there is. One route per channel at most.
    pub routes: Vec<Route>,
    /// Numbers whose code is fixed under test keys.
    pub test_numbers: Vec<TestNumber>,
    /// What follows when WhatsApp says that somebody else may hold a number.
    pub identity_change: IdentityChange,
    /// How long its finished verifications, messages and log entries stay, where that is not [`Config::history_days`]. Days.
    pub history_days: Option<u32>,
    /// The service's Android apps.
    pub apps: Vec<App>,
    /// The service's own texts for codes by SMS, one for each locale.
    pub texts: Vec<OwnText>,
}

impl Service {
    /// The plan for a number's country.
    #[must_use]
    pub fn plan(&self, country: Country) -> &Plan {
        self.workflows
            .iter()
            .find(|w| w.countries.contains(&country))
            .map_or(&self.workflow, |w| &w.steps)
    }

    /// The route on a channel for callers who name the channel only.
    #[must_use]
    pub fn route(&self, channel: Channel) -> Option<&Route> {
        self.routes.iter().find(|route| route.channel == channel)
    }

    /// The fixed code of a test number.
    #[must_use]
    pub fn test_code(&self, number: &Number) -> Option<&Code> {
        self.test_numbers
            .iter()
            .find(|test| test.number == *number)
            .map(|test| &test.code)
    }
}

/// An entry of `[[services.workflows]]`.
#[derive(Clone, Debug)]
pub struct CountryWorkflow {
    /// For numbers of these countries; never empty.
    pub countries: Vec<Country>,
    /// The routes.
    pub steps: Plan,
}

/// An entry of `[[services.test_numbers]]`.
#[derive(Clone, Debug)]
pub struct TestNumber {
    /// The number.
    pub number: Number,
    /// Its code: [`Service::code_length`] digits.
    pub code: Code,
}

/// An entry of `[[whatsapp_accounts]]`.
#[derive(Clone, Debug)]
pub struct WhatsappAccount {
    /// How workflows and callers name it; unique among the accounts.
    pub id: u32,
    /// Whose API carries it.
    pub provider: WhatsappProvider,
    /// The authentication template that carries codes.
    pub template: String,
    /// The template's language where the wanted one is not approved, as Meta writes it (`en`, `pt_BR`).
    pub template_language: String,
    /// The languages in which the template is approved, [`Self::template_language`] among them; never empty.
    pub template_languages: Vec<String>,
    /// How its provider may be called.
    pub pace: CallBounds,
    /// In which currency Meta bills the account.
    pub billing_currency: Currency,
}

/// Whose API carries a WhatsApp account.
#[derive(Clone, Debug)]
pub enum WhatsappProvider {
    /// Meta's own.
    Cloud(WhatsappCloud),
    /// The simulated phones.
    Sandbox,
}

impl WhatsappAccount {
    /// The provider's name, as the configuration and routes write it.
    #[must_use]
    pub const fn provider_id(&self) -> &'static str {
        match self.provider {
            WhatsappProvider::Cloud(_) => senders::WHATSAPP_CLOUD,
            WhatsappProvider::Sandbox => senders::SANDBOX,
        }
    }
}

/// An account at Meta's WhatsApp Cloud API.
#[derive(Clone, Debug)]
pub struct WhatsappCloud {
    /// Where the Graph API is, without a `/` at the end.
    pub base_url: String,
    /// Its version, `v25.0`.
    pub api_version: String,
    /// The WhatsApp Business Account.
    pub waba_id: String,
    /// The number that messages come from.
    pub phone_number_id: String,
    /// The system user's token.
    pub access_token: Secret,
    /// What inbound hooks are signed with.
    pub app_secret: Secret,
    /// What the subscription handshake must repeat.
    pub verify_token: Secret,
    /// Whether a message says whose the number was when it was last verified, so that it reaches nobody else.
    pub identity_check: bool,
}

/// An entry of `[[numbers]]`.
#[derive(Clone, Debug)]
pub struct SmsNumber {
    /// How workflows and callers name it; unique among the numbers.
    pub id: u32,
    /// What the phone shows: E.164, a short code, or letters. `None` where a messaging service or a gateway chooses.
    pub number: Option<String>,
    /// Whose API carries it.
    pub provider: SmsProvider,
    /// Whether it never sends anything but codes.
    pub dedicated_to_otp: bool,
    /// How its provider may be called.
    pub pace: CallBounds,
    /// The countries that it is kept for; `None`: all.
    pub countries: Option<Vec<Country>>,
    /// Where it is registered.
    pub registrations: Vec<Registration>,
}

/// That a sender is registered in a country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The country.
    pub country: Country,
    /// What it is registered as: a 10DLC campaign, a DLT entity, the registration of a sender id.
    pub id: String,
    /// The template that the text is registered as, in India.
    pub template_id: Option<String>,
}

/// How a sender's provider may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBounds {
    /// How long a call may take before it counts as unclear. Milliseconds.
    pub deadline_ms: u32,
    /// Calls under way at once.
    pub calls_at_once: u32,
    /// Messages a second; `None`: as many as the provider says that it takes.
    pub messages_per_second: Option<u32>,
}

/// Whose API carries an SMS number.
#[derive(Clone, Debug)]
pub enum SmsProvider {
    /// The simulated phones.
    Sandbox,
    /// Twilio's Messages API.
    Twilio(Twilio),
    /// Infobip's SMS API.
    Infobip(Infobip),
    /// A Kannel, or a gateway that speaks as it does.
    Kannel(Kannel),
    /// MessageBird's SMS API.
    Messagebird(Messagebird),
    /// Telnyx's Messaging API.
    Telnyx(Telnyx),
    /// Vonage's Messages API or SMS API.
    Vonage(Vonage),
    /// Sinch's SMS REST API.
    Sinch(Sinch),
    /// An SMSC, by SMPP.
    Smpp(Box<SmppConfig>),
    /// Any HTTP gateway, by templates. The address of the receipts is the server's to fill in.
    Webhook(Box<WebhookConfig>),
}

impl SmsNumber {
    /// Where it is registered: as written down, and in India where its provider is told the DLT ids.
    #[must_use]
    pub fn registered_in(&self) -> Vec<Country> {
        let mut all: Vec<Country> = self.registrations.iter().map(|r| r.country).collect();
        if matches!(&self.provider, SmsProvider::Infobip(infobip) if infobip.india_dlt.is_some()) {
            all.extend(Country::parse("IN"));
        }
        all
    }

    /// Why it may never send to a country, for people.
    #[must_use]
    pub fn never_in(&self, country: Country) -> Option<String> {
        if self.countries.as_ref().is_some_and(|countries| !countries.contains(&country)) {
            return Some("its `countries` are others".into());
        }
        let kind = SenderKind::of(self.number.as_deref());
        not_allowed(kind, country, self.registered_in().contains(&country)).map(|why| why.to_string())
    }

    /// The provider's name, as the configuration and routes write it.
    #[must_use]
    pub const fn provider_id(&self) -> &'static str {
        match self.provider {
            SmsProvider::Sandbox => senders::SANDBOX,
            SmsProvider::Twilio(_) => senders::TWILIO,
            SmsProvider::Infobip(_) => senders::INFOBIP,
            SmsProvider::Kannel(_) => senders::KANNEL,
            SmsProvider::Messagebird(_) => senders::MESSAGEBIRD,
            SmsProvider::Telnyx(_) => senders::TELNYX,
            SmsProvider::Vonage(_) => senders::VONAGE,
            SmsProvider::Sinch(_) => senders::SINCH,
            SmsProvider::Smpp(_) => senders::SMPP,
            SmsProvider::Webhook(_) => senders::WEBHOOK,
        }
    }
}

/// A sender of an account at Infobip.
#[derive(Clone, Debug)]
pub struct Infobip {
    /// Where the account's API is, without a `/` at the end.
    pub base_url: String,
    /// The key.
    pub api_key: Secret,
    /// What stands in the address that Infobip is told to call.
    pub callback_secret: Option<Secret>,
    /// What the subscription has with which Infobip calls.
    pub callback_credentials: Option<BasicCredentials>,
    /// For numbers in India.
    pub india_dlt: Option<IndiaDlt>,
}

/// A name and its password.
#[derive(Clone, Debug)]
pub struct BasicCredentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A user of a Kannel.
#[derive(Clone, Debug)]
pub struct Kannel {
    /// Where it takes messages.
    pub send_url: String,
    /// The user.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// What stands in the address that it is told to call.
    pub callback_secret: Secret,
}

/// A sender of an account at MessageBird.
#[derive(Clone, Debug)]
pub struct Messagebird {
    /// Where the API is, without a `/` at the end.
    pub base_url: String,
    /// The account's key.
    pub access_key: Secret,
    /// What inbound hooks are signed with, where MessageBird signs them.
    pub signing_key: Option<Secret>,
    /// What stands in the address that MessageBird is told to call.
    pub callback_secret: Option<Secret>,
}

/// A sender of an account at Telnyx.
#[derive(Clone, Debug)]
pub struct Telnyx {
    /// Where the API is, without a `/` at the end.
    pub base_url: String,
    /// The key.
    pub api_key: Secret,
    /// What proves inbound hooks: base 64.
    pub public_key: String,
    /// The messaging profile.
    pub messaging_profile_id: Option<String>,
}

/// A sender of an account at Vonage.
#[derive(Clone, Debug)]
pub struct Vonage {
    /// Which of its APIs.
    pub api: tapcode_providers::vonage::Api,
    /// Where the API is, without a `/` at the end.
    pub base_url: String,
    /// The key. No secret.
    pub api_key: String,
    /// The secret to it.
    pub api_secret: Secret,
    /// What inbound hooks are signed with, where Vonage signs them.
    pub signature_secret: Option<Secret>,
    /// What stands in the address that Vonage is told to call.
    pub callback_secret: Option<Secret>,
}

/// A sender of a service plan at Sinch.
#[derive(Clone, Debug)]
pub struct Sinch {
    /// Where the API is, without a `/` at the end.
    pub base_url: String,
    /// The service plan.
    pub service_plan_id: String,
    /// Its token.
    pub api_token: Secret,
    /// What inbound hooks are signed with, where Sinch signs them.
    pub signing_secret: Option<Secret>,
    /// What stands in the address that Sinch is told to call.
    pub callback_secret: Option<Secret>,
}

/// A number, or messaging service, at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// Where the API is, without a `/` at the end.
    pub base_url: String,
    /// The account, `AC…`.
    pub account_sid: String,
    /// What inbound hooks are signed with; also the password of requests where there is no API key.
    pub auth_token: Secret,
    /// User name and password of requests, instead of the account's own.
    pub api_key: Option<TwilioApiKey>,
    /// The messaging service that chooses the sender, `MG…`.
    pub messaging_service_sid: Option<String>,
}

/// An API key of a Twilio account.
#[derive(Clone, Debug)]
pub struct TwilioApiKey {
    /// Its name, `SK…`.
    pub sid: String,
    /// Its secret.
    pub secret: Secret,
}

/// Reads the configuration: the file at `path`, or the built-in [`DEFAULT`] where there is none, changed by those of the
/// variables that start with [`PREFIX`] (see [`environment`]).
///
/// # Errors
/// Everything that keeps the server from starting, all of it, with what to write instead.
pub fn load(
    path: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    purpose: Purpose,
) -> Result<(Config, Vec<Warning>), Problems> {
    let Some(path) = path else {
        return read(
            &Source {
                text: DEFAULT,
                in_file: false,
                folder: None,
                is_open: false,
            },
            variables,
            purpose,
        );
    };
    let text = read_file(path).map_err(|why| Problems {
        problems: vec![Finding {
            path: String::new(),
            place: Place::Absent,
            wrong: format!("cannot be read from {}: {why}", path.display()),
            instead: "name another file, or write one with `tapcode config default`".into(),
        }],
        warnings: Vec::new(),
    })?;
    let folder = path.parent().map(Path::to_owned);
    read(
        &Source {
            text: &text,
            in_file: true,
            folder,
            is_open: reader::is_open(path),
        },
        variables,
        purpose,
    )
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(format!("it has more than {FILE_MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("line {line} is not UTF-8")
    })
}

/// A configuration's text, and what is known of the file it came from.
struct Source<'t> {
    text: &'t str,
    in_file: bool,
    folder: Option<PathBuf>,
    is_open: bool,
}

fn read(
    source: &Source<'_>,
    variables: impl Iterator<Item = (String, String)>,
    purpose: Purpose,
) -> Result<(Config, Vec<Warning>), Problems> {
    let reading = reader::Reading::new(purpose, source.folder.clone(), source.is_open);
    read_with(&reading, source, variables)
}

fn read_with(
    reading: &reader::Reading,
    source: &Source<'_>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<Warning>), Problems> {
    // What cannot be parsed cannot be judged: guesses about the rest would be noise.
    let mut document = node::document(source.text, source.in_file).map_err(|problems| Problems {
        problems,
        warnings: Vec::new(),
    })?;
    let from_environment = environment::apply(&mut document, variables);
    let config = sections::config(reading, reading.root(document));
    let (mut problems, warnings) = reading.findings();
    problems.extend(from_environment);
    match config {
        Some(config) if problems.is_empty() => Ok((config, warnings)),
        _ => {
            assert!(!problems.is_empty(), "a configuration is refused only with a reason");
            Err(Problems { problems, warnings })
        }
    }
}
