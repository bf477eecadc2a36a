//! How does somebody get from a WhatsApp Business account to a delivered code? One step after the other, each told; what is
//! done already is left as it is, so that the command can be run again.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use tapcode::config::{Config, Purpose, Service};
use tapcode_core::account::TemplateStatus;
use tapcode_core::audit::By;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_engine::access::KeyWish;
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::store::{ApiKey, Right};
use tapcode_engine::engine::Engine;

use super::client::{Client, Said, text};
use super::inspect::{Account, Finding, Report, Verdict, accounts, one};
use super::keys::engine_on_store;
use super::screen::masked;
use super::{Configured, Screen, calling};
use crate::wire;

/// Between two looks at something that takes its time. Milliseconds.
const LOOK_MS: u64 = 1_000;
/// How long the receipt of the test message is waited for. Milliseconds.
const RECEIPT_MS: u64 = 60_000;
/// What the test message is for.
const PURPOSE: &str = "tapcode-setup";

/// `tapcode whatsapp …`
#[derive(Debug, Subcommand)]
pub enum Whatsapp {
    /// Set up an account at Meta: webhook, template, and a first code to a phone
    Setup(Setup),
}

/// `tapcode whatsapp setup`
#[derive(Debug, Args)]
pub struct Setup {
    #[command(flatten)]
    configured: Configured,
    /// The account's id in the configuration; needed where there are several at Meta
    #[arg(long, value_name = "ID")]
    account: Option<u32>,
    /// A number to send a first code to, in E.164; without one no message is sent
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// The template's languages, as Meta writes them [default: the configured ones]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    languages: Vec<String>,
    /// How the code gets from the message into the app
    #[arg(long, value_name = "KIND", default_value = "copy_code")]
    button: Button,
    /// Accept Meta's terms for zero_tap
    #[arg(long)]
    accept_zero_tap_terms: bool,
    /// How long to wait for Meta's review of the template, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    wait: u32,
    /// Where the running server is reached from here [default: the address it listens on]
    #[arg(long, value_name = "URL", env = "TAPCODE_URL")]
    url: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// The kinds of buttons, as Meta and the API call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Button {
    CopyCode,
    OneTap,
    ZeroTap,
}

impl Button {
    const fn as_str(self) -> &'static str {
        match self {
            Self::CopyCode => "copy_code",
            Self::OneTap => "one_tap",
            Self::ZeroTap => "zero_tap",
        }
    }
}

impl Whatsapp {
    pub fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        match self {
            Self::Setup(setup) => calling(setup.run(screen)),
        }
    }
}

/// How long a key of this command is good where it was ended before it could revoke it. Milliseconds: a day.
const SETUP_KEY_MS: u64 = 86_400_000;

/// Keys that this command makes for itself in the store, and revokes at its end.
struct Keys {
    engine: Engine,
    made: Vec<ApiKey>,
}

impl Keys {
    fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            engine: engine_on_store(config)?,
            made: Vec::new(),
        })
    }

    async fn make(&mut self, service: Option<ServiceName>, rights: &[Right]) -> anyhow::Result<String> {
        let wish = KeyWish {
            service,
            mode: Mode::Live,
            rights: rights.to_vec(),
            label: "tapcode whatsapp setup".into(),
            expires_at: Some(self.engine.now().plus_millis(SETUP_KEY_MS)),
            rate: None,
        };
        let key = self.engine.create_key(&wish, &By::COMMAND_LINE).await?;
        self.made.push(key.kept);
        Ok(key.text)
    }

    async fn revoke(mut self) -> anyhow::Result<()> {
        for key in self.made.drain(..) {
            self.engine.revoke_key(key.id, &By::COMMAND_LINE).await?;
        }
        Ok(())
    }
}

impl Setup {
    async fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(Purpose::Check) else {
            return Ok(ExitCode::FAILURE);
        };
        let engine = wire::asking_engine(&config)?;
        let directory = engine.directory();
        let account = one(accounts(&config, &directory), self.account)?;
        let mut keys = Keys::open(&config)?;
        let mut report = Report::new(screen, self.json);
        report.headline(&format!("WhatsApp account {}", account.configured.id))?;
        // Whoever has seen enough leaves no key behind.
        let done = tokio::select! {
            done = self.steps(&config, &engine, &account, &mut keys, &mut report) => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped; what was done at Meta stays, and can be done again")),
        };
        keys.revoke().await?;
        let went_on = done?;
        let good = report.end()?;
        if !self.json && good && went_on {
            let next = match &self.to {
                Some(_) => {
                    "Done. Begin verifications with POST /api/v1/verifications; `tapcode doctor` looks at all of this again."
                }
                None => "Done. With --to NUMBER a first code is sent, too; `tapcode doctor` looks at all of this again.",
            };
            screen.line(next)?;
        }
        Ok(if good && went_on {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Every step, until one that the next ones need went wrong; whether all were taken.
    async fn steps(
        &self,
        config: &Config,
        engine: &Engine,
        account: &Account<'_>,
        keys: &mut Keys,
        report: &mut Report<'_>,
    ) -> anyhow::Result<bool> {
        let public_url = &config.server.public_url;
        for finding in account.health(engine).await {
            if !report.tell(finding)? {
                return Ok(false);
            }
        }
        if !report.tell(account.rights(engine, engine.now().as_millis() / 1_000).await)? {
            return Ok(false);
        }
        let url = self.server_url(config);
        let admin = Client::new(&url, keys.make(None, &[Right::Admin]).await?)?;
        // The server has to run from here on: Meta calls it before it promises to.
        if !report.tell(running(&admin, &url).await)? || !report.tell(account.address(public_url).await)? {
            return Ok(false);
        }
        if !self.subscribe(engine, account, public_url, report).await? {
            return Ok(false);
        }
        if !app_webhook(engine, account, public_url, report).await? || !self.template(engine, account, &admin, report).await? {
            return Ok(false);
        }
        if account.identity_check {
            let on = engine.ask(account.api, account.api.check_identities(true), |api, answer| {
                api.done_of(answer)
            });
            report.tell(match on.await {
                Ok(()) => Finding::good(
                    "identity check",
                    "on: a new holder of a number gets no code that was not meant for him",
                ),
                Err(error) => Finding::warning("identity check", format!("it could not be switched on: {error}")),
            })?;
        }
        match &self.to {
            Some(to) => {
                let service = service(config, account);
                let key = keys.make(Some(service), &[Right::Verify, Right::Read]).await?;
                report.tell(first_code(&Client::new(&url, key)?, account.configured.id, to).await?)
            }
            None => Ok(true),
        }
    }

    /// Where the server is reached from this machine.
    fn server_url(&self, config: &Config) -> String {
        self.url.clone().unwrap_or_else(|| wire::local_url(config.server.listen))
    }

    async fn subscribe(
        &self,
        engine: &Engine,
        account: &Account<'_>,
        public_url: &str,
        report: &mut Report<'_>,
    ) -> anyhow::Result<bool> {
        let directory = engine.directory();
        let before = account.subscription(engine, public_url, &directory).await;
        if before.verdict == Verdict::Good {
            return report.tell(before);
        }
        let hook = account.hook(public_url);
        let subscribed = engine.ask(account.api, account.api.subscribe(Some(&hook)), |api, answer| {
            api.done_of(answer)
        });
        match subscribed.await {
            Ok(()) => report.tell(account.subscription(engine, public_url, &directory).await),
            Err(error) => {
                let mut why = format!("Meta does not call {hook}: {error}");
                if !public_url.starts_with("https://") {
                    why.push_str("; Meta calls https addresses with a certificate that browsers trust");
                }
                report.tell(Finding::bad("webhook", why))
            }
        }
    }

    /// Creates what is missing of the template and waits for its review.
    async fn template(
        &self,
        engine: &Engine,
        account: &Account<'_>,
        admin: &Client,
        report: &mut Report<'_>,
    ) -> anyhow::Result<bool> {
        let (id, name) = (account.configured.id, &account.configured.template);
        let mut templates = match account.listed(engine).await {
            Ok(templates) => templates,
            Err(finding) => return report.tell(finding),
        };
        let wanted = if self.languages.is_empty() {
            &account.configured.template_languages
        } else {
            &self.languages
        };
        let is_there = |language: &&String| templates.iter().any(|t| *t.language == ***language);
        let missing: Vec<&String> = wanted.iter().filter(|language| !is_there(language)).collect();
        if !missing.is_empty() {
            let mut button = json!({"type": self.button.as_str()});
            if self.accept_zero_tap_terms {
                button["zero_tap_terms_accepted"] = true.into();
            }
            let draft = json!({"account_id": id, "name": name, "languages": missing, "button": button});
            let created = admin.ask(Method::POST, "api/v1/whatsapp/templates", Some(&draft)).await?;
            if let Said::No(problem) = created {
                return report.tell(Finding::bad("template", problem.lines().join("; ")));
            }
            let languages: Vec<&str> = missing.iter().map(|language| language.as_str()).collect();
            report.tell(Finding::good(
                "template",
                format!("{name} was submitted in {}", languages.join(", ")),
            ))?;
        }
        let is_pending = |t: &tapcode_core::account::Template| t.status == TemplateStatus::Pending;
        let mut waited_ms = 0;
        loop {
            templates = match account.listed(engine).await {
                Ok(templates) => templates,
                Err(finding) => return report.tell(finding),
            };
            let is_decided = wanted.iter().all(|language| {
                templates.iter().any(|t| *t.language == **language)
                    && !templates.iter().any(|t| *t.language == **language && is_pending(t))
            });
            if is_decided || waited_ms >= u64::from(self.wait) * 1_000 {
                break;
            }
            SystemClock.sleep(LOOK_MS).await;
            waited_ms += LOOK_MS;
        }
        // The server hears of reviews by webhook; this way it knows them also if one got lost.
        if let Said::No(problem) = admin
            .ask(Method::POST, &format!("api/v1/whatsapp/accounts/{id}/refresh"), None)
            .await?
        {
            return report.tell(Finding::bad("template", problem.lines().join("; ")));
        }
        let mut goes_on = true;
        for finding in account.judge_template(engine, &templates) {
            goes_on &= report.tell(finding)?;
        }
        if templates.iter().any(is_pending) {
            let why =
                "Meta still reviews it; this command may be run again at any time, and `tapcode doctor` tells when it is through";
            report.tell(Finding::warning("review", why))?;
        }
        Ok(goes_on)
    }
}

/// Has the app tell us what no account can send elsewhere. An address that leads to another system stays as it is.
async fn app_webhook(engine: &Engine, account: &Account<'_>, public_url: &str, report: &mut Report<'_>) -> anyhow::Result<bool> {
    let directory = engine.directory();
    let (before, settable) = account.app_webhook(engine, public_url, &directory).await;
    let Some(app_id) = settable else {
        return report.tell(before);
    };
    let request = account.api.set_app_webhook(&app_id, &account.hook(public_url));
    match engine.ask(account.api, request, |api, answer| api.done_of(answer)).await {
        Ok(()) => report.tell(account.app_webhook(engine, public_url, &directory).await.0),
        Err(error) => report.tell(Finding::bad("app's webhook", format!("it could not be set: {error}"))),
    }
}

/// Is there a server, and is it ours?
async fn running(admin: &Client, url: &str) -> Finding {
    const WHAT: &str = "server";
    match admin.ask(Method::GET, "api/v1/services", None).await {
        Ok(Said::Yes(_)) => Finding::good(WHAT, format!("runs at {url}")),
        Ok(Said::No(problem)) => Finding::bad(
            WHAT,
            format!(
                "{url} is not the server of this configuration: {}",
                problem.lines().join("; ")
            ),
        ),
        Err(error) => Finding::bad(WHAT, format!("{error:#}; start `tapcode serve` with the same configuration")),
    }
}

/// A service whose codes go over the account, else the first one.
fn service(config: &Config, account: &Account<'_>) -> ServiceName {
    let id = account.configured.id;
    let uses = |service: &&Service| {
        service
            .routes
            .iter()
            .any(|route| route.channel == Channel::Whatsapp && route.sender == id)
    };
    let service = config.services.iter().find(uses).unwrap_or(&config.services[0]);
    service.name.clone()
}

/// Sends a code to a phone over the account alone, and waits until Meta says that it is there.
async fn first_code(client: &Client, account: u32, to: &str) -> anyhow::Result<Finding> {
    const WHAT: &str = "first code";
    let begin = json!({"to": to, "purpose": PURPOSE, "workflow": [{"channel": "whatsapp", "sender": account}]});
    let begun = match client.ask(Method::POST, "api/v1/verifications", Some(&begin)).await? {
        Said::Yes(begun) => begun,
        Said::No(problem) => return Ok(Finding::bad(WHAT, problem.lines().join("; "))),
    };
    let (id, to) = (text(&begun, "id"), masked(to));
    let path = format!("api/v1/verifications/{id}");
    let mut waited_ms = 0;
    let finding = loop {
        let now = match client.ask(Method::GET, &path, None).await? {
            Said::Yes(now) => now,
            Said::No(problem) => break Finding::bad(WHAT, problem.lines().join("; ")),
        };
        let attempt = &now["attempts"][0];
        match attempt["status"].as_str().unwrap_or_default() {
            "delivered" | "read" => break Finding::good(WHAT, format!("is on the phone of {to} ({id})")),
            "failed" => {
                let failure = |field: &str| attempt["failure"][field].as_str().unwrap_or_default();
                break Finding::bad(
                    WHAT,
                    format!("did not reach {to}: {} {} ({id})", failure("code"), failure("detail")),
                );
            }
            _ if now["status"] != "pending" => {
                break Finding::bad(
                    WHAT,
                    format!("did not reach {to}: the verification is {} ({id})", text(&now, "status")),
                );
            }
            status if waited_ms >= RECEIPT_MS => {
                let why = format!(
                    "to {to} is {status}, and no receipt came within {} s: is the phone on? `tapcode explain {id}` tells more",
                    RECEIPT_MS / 1_000
                );
                break Finding::bad(WHAT, why);
            }
            _ => {}
        }
        SystemClock.sleep(LOOK_MS).await;
        waited_ms += LOOK_MS;
    };
    // Nobody is going to type it in.
    let _left: Value = match client.ask(Method::POST, &format!("{path}/cancel"), None).await? {
        Said::Yes(canceled) => canceled,
        Said::No(_) => Value::Null,
    };
    Ok(finding)
}
