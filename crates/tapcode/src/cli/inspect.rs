//! What is right and what is wrong with a WhatsApp account, as far as can be seen from here without changing anything?

use anyhow::bail;
use serde_json::{Value, json};
use tapcode::config::{Config, WhatsappAccount, WhatsappProvider};
use tapcode_core::account::{MessagingLimit, Quality, Template, TemplateStatus};
use tapcode_core::plan::Channel;
use tapcode_engine::accounts::AccountReadError;
use tapcode_engine::contract::account::{AccountApi, AccountError};
use tapcode_engine::engine::Engine;
use tapcode_engine::service::{Directory, Sender};
use tapcode_engine::templates::default_draft;

use super::Screen;
use super::client::Client;
use super::screen::plain;

/// How soon a token has to be replaced for it to be worth a warning. Seconds: two weeks.
const TOKEN_ENDS_SOON_S: i64 = 14 * 86_400;
/// What the handshake with our own address sends and expects back.
const CHALLENGE: &str = "1158201444";

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Messages arrive, and somebody should look.
    Warning,
    /// Messages do not arrive, or nobody would hear whether they did.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, and what to do where it is not good.
    pub detail: String,
}

impl Finding {
    fn new(what: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            verdict,
            detail: plain(&detail.into()),
        }
    }

    pub fn good(what: &str, detail: impl Into<String>) -> Self {
        Self::new(what, Verdict::Good, detail)
    }

    pub fn warning(what: &str, detail: impl Into<String>) -> Self {
        Self::new(what, Verdict::Warning, detail)
    }

    pub fn bad(what: &str, detail: impl Into<String>) -> Self {
        Self::new(what, Verdict::Bad, detail)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "warning",
            Verdict::Bad => "bad",
        };
        json!({"what": self.what, "verdict": verdict, "detail": self.detail})
    }

    /// As a line for people.
    pub fn line(&self, screen: &Screen) -> String {
        let mark = match self.verdict {
            Verdict::Good => screen.good("ok  "),
            Verdict::Warning => screen.bold("look"),
            Verdict::Bad => screen.bad("bad "),
        };
        format!("{mark}  {:<22} {}", self.what, self.detail)
    }
}

/// Findings as they are told: at once for people, at the end for programs.
pub struct Report<'a> {
    screen: &'a Screen,
    json: bool,
    all: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub fn new(screen: &'a Screen, json: bool) -> Self {
        Self {
            screen,
            json,
            all: Vec::new(),
        }
    }

    /// Tells one; whether one may go on.
    pub fn tell(&mut self, finding: Finding) -> anyhow::Result<bool> {
        if !self.json {
            self.screen.line(&finding.line(self.screen))?;
        }
        let good = finding.verdict != Verdict::Bad;
        self.all.push(finding);
        Ok(good)
    }

    /// A headline for people.
    pub fn headline(&self, text: &str) -> anyhow::Result<()> {
        if !self.json {
            self.screen.line(&self.screen.bold(text))?;
        }
        Ok(())
    }

    /// Ends it: whether everything is good enough.
    pub fn end(self) -> anyhow::Result<bool> {
        let good = self.all.iter().all(|f| f.verdict != Verdict::Bad);
        if self.json {
            let findings: Vec<Value> = self.all.iter().map(Finding::json).collect();
            self.screen.line(&json!({"ok": good, "findings": findings}).to_string())?;
        }
        Ok(good)
    }
}

/// An account of the configuration, and how it is asked about.
pub struct Account<'a> {
    pub configured: &'a WhatsappAccount,
    pub sender: &'a Sender,
    pub api: &'a dyn AccountApi,
    /// What Meta repeats in its handshake.
    pub verify_token: &'a str,
    /// Whether messages are to say whose the number was.
    pub identity_check: bool,
}

/// The accounts at Meta; those on simulated phones have nothing to look at.
pub fn accounts<'a>(config: &'a Config, engine: &'a Directory) -> Vec<Account<'a>> {
    config
        .whatsapp_accounts
        .iter()
        .filter_map(|configured| {
            let WhatsappProvider::Cloud(cloud) = &configured.provider else {
                return None;
            };
            let sender = engine.sender(Channel::Whatsapp, configured.id)?;
            Some(Account {
                configured,
                sender,
                api: sender.provider.account_api()?,
                verify_token: cloud.verify_token.expose(),
                identity_check: cloud.identity_check,
            })
        })
        .collect()
}

/// The account that is meant.
pub fn one<'a>(all: Vec<Account<'a>>, id: Option<u32>) -> anyhow::Result<Account<'a>> {
    let ids: Vec<String> = all.iter().map(|account| account.configured.id.to_string()).collect();
    if all.is_empty() {
        bail!("no account of the configuration is at Meta; add one with provider = \"whatsapp_cloud\"");
    }
    let mut meant = all
        .into_iter()
        .filter(|account| id.is_none_or(|id| account.configured.id == id));
    match (meant.next(), meant.next()) {
        (Some(account), None) => Ok(account),
        (Some(_), Some(_)) => bail!("there are several accounts; name one with --account ({})", ids.join(", ")),
        (None, _) => bail!("there is no such account at Meta; --account is one of {}", ids.join(", ")),
    }
}

/// What to do about what Meta said.
fn remedy(error: &AccountError) -> &'static str {
    match error {
        AccountError::Unanswered => "see that this machine reaches base_url, and that no proxy is needed",
        AccountError::Undocumented => "see that base_url is Meta's Graph API",
        AccountError::Refused(failure) => match &*failure.code {
            "190" => "the access token is not good; make a new one for the system user, in the business's settings at Meta",
            "10" | "200" | "131005" => {
                "give the system user the app and the account, and its token whatsapp_business_messaging and \
                 whatsapp_business_management"
            }
            "100" | "33" => "compare waba_id and phone_number_id with those in the app's WhatsApp settings at Meta",
            "4" | "80007" | "80008" => "Meta has been asked too often; try again in an hour",
            _ => "look the code up in Meta's list of error codes",
        },
    }
}

fn told(error: &AccountError) -> String {
    format!("{error}; {}", remedy(error))
}

/// The hook of a WhatsApp sender, below the public address.
fn hook_path(sender: u32) -> String {
    format!("hooks/whatsapp/{sender}")
}

impl Account<'_> {
    /// Where Meta reaches the server for this account.
    pub fn hook(&self, public_url: &str) -> String {
        format!("{public_url}/{}", hook_path(self.configured.id))
    }

    /// Is there such an account, and can it send?
    pub async fn health(&self, engine: &Engine) -> Vec<Finding> {
        const WHAT: &str = "account";
        let id = self.configured.id;
        let reading = engine.ask(self.api, self.api.reading(), |api, answer| api.reading_of(answer, id));
        let reading = match reading.await {
            Ok(reading) => reading,
            Err(error) => return vec![Finding::bad(WHAT, told(&error))],
        };
        let facts = &reading.facts;
        let name = facts.verified_name.as_deref().unwrap_or("without a name");
        let status = facts.status.as_deref().unwrap_or("of unknown status");
        let limit = match reading.messaging_limit {
            Some(MessagingLimit::People(most)) => format!("{most} people a day"),
            Some(MessagingLimit::Unlimited) => "any number of people a day".to_owned(),
            None => "an unknown number of people a day".to_owned(),
        };
        let pace = facts
            .messages_per_second
            .map_or_else(String::new, |pace| format!(", {pace} messages a second"));
        let mut findings = vec![Finding::good(
            WHAT,
            format!("{name}, {status}, quality {}, {limit}{pace}", facts.quality.as_str()),
        )];
        if facts.status.as_deref().is_some_and(|status| status != "CONNECTED") {
            let why = format!("the number is {status} at Meta and not CONNECTED; look at it in WhatsApp Manager");
            findings.push(Finding::bad("number", why));
        }
        if facts.quality == Quality::Red {
            let why = "the number's quality is red: people block its messages or report them, and Meta may restrict it";
            findings.push(Finding::warning("quality", why));
        }
        findings.extend(
            reading
                .blocked
                .iter()
                .map(|(scope, why)| Finding::bad("can send", format!("Meta lets the {} send nothing: {why}", scope.as_str()))),
        );
        if let Some(MessagingLimit::People(most)) = reading.messaging_limit
            && most < 2_000
        {
            let why = format!("only {most} people a day; messages to more go over the next route. Verify the business at Meta");
            findings.push(Finding::warning("messaging limit", why));
        }
        findings
    }

    /// May the token do what sending and management need?
    pub async fn rights(&self, engine: &Engine, now_s: i64) -> Finding {
        const WHAT: &str = "token's rights";
        let rights = engine.ask(self.api, self.api.rights(), |api, answer| api.rights_of(answer));
        match rights.await {
            Err(error) => Finding::bad(WHAT, told(&error)),
            Ok(rights) if !rights.missing.is_empty() => Finding::bad(
                WHAT,
                format!("the token lacks {}; make a new one with it", rights.missing.join(" and ")),
            ),
            Ok(rights) => match rights.ends_at_s {
                Some(ends) if ends - now_s < TOKEN_ENDS_SOON_S => Finding::warning(
                    WHAT,
                    format!(
                        "complete, but the token ends in {} days; make one that never ends",
                        (ends - now_s).max(0) / 86_400
                    ),
                ),
                Some(ends) => Finding::good(WHAT, format!("complete, for {} days", (ends - now_s) / 86_400)),
                None => Finding::good(WHAT, "complete, without an end"),
            },
        }
    }

    /// Does our own address lead to a server that knows the word of the handshake?
    pub async fn address(&self, public_url: &str) -> Finding {
        const WHAT: &str = "public address";
        let hook = self.hook(public_url);
        let asked = async {
            let token: String = form_urlencoded(self.verify_token);
            let query = format!("hub.mode=subscribe&hub.challenge={CHALLENGE}&hub.verify_token={token}");
            Client::new(public_url, String::new())?
                .fetch(&format!("{}?{query}", hook_path(self.configured.id)))
                .await
        };
        match asked.await {
            Ok((status, body)) if status.is_success() && body == CHALLENGE.as_bytes() => {
                Finding::good(WHAT, format!("{hook} answers Meta's handshake"))
            }
            Ok((status, _)) => Finding::bad(
                WHAT,
                format!(
                    "{hook} answered {status} to Meta's handshake; see that server.public_url leads to this server, started with this configuration"
                ),
            ),
            Err(error) => Finding::bad(WHAT, format!("{error:#} (server.public_url)")),
        }
    }

    /// Whether an address of Meta's is one of ours: a server takes at the address of any of its senders what is for another.
    fn is_ours(&self, url: &str, public_url: &str, directory: &Directory) -> bool {
        let siblings = directory.siblings(self.sender);
        let mut ids = siblings.iter().map(|sibling| sibling.id).chain([self.sender.id]);
        ids.any(|id| url == format!("{public_url}/{}", hook_path(id)))
    }

    /// Does Meta tell us what it tells an app alone: of templates, numbers and accounts? With the app's id, where an address
    /// can be set without taking another away.
    pub async fn app_webhook(&self, engine: &Engine, public_url: &str, directory: &Directory) -> (Finding, Option<Box<str>>) {
        const WHAT: &str = "app's webhook";
        let hook = self.hook(public_url);
        let rights = engine.ask(self.api, self.api.rights(), |api, answer| api.rights_of(answer));
        let Some(app_id) = rights.await.ok().and_then(|rights| rights.app_id) else {
            let why = format!("Meta does not say which app the token is for; see that the app's webhook is {hook}");
            return (Finding::warning(WHAT, why), None);
        };
        let setup = "`tapcode whatsapp setup` sets it";
        let asked = engine.ask(self.api, self.api.app_webhook(&app_id), |api, answer| {
            api.app_webhook_of(answer)
        });
        match asked.await {
            Err(error) => (
                Finding::warning(
                    WHAT,
                    format!("it cannot be read ({error}); see that app_secret is the app's, and that its webhook is {hook}"),
                ),
                None,
            ),
            Ok(None) => {
                let why = format!("the app {app_id} has none, so that no news of templates and accounts comes; {setup}");
                (Finding::bad(WHAT, why), Some(app_id))
            }
            Ok(Some(webhook)) if !self.is_ours(&webhook.url, public_url, directory) => {
                let why = format!(
                    "news of templates and accounts goes to {} and not to {hook}: what changes is read every ten minutes only",
                    webhook.url
                );
                (Finding::warning(WHAT, why), None)
            }
            Ok(Some(webhook)) if !webhook.missing.is_empty() => {
                let why = format!("the app is not subscribed to {}; {setup}", webhook.missing.join(", "));
                (Finding::bad(WHAT, why), Some(app_id))
            }
            Ok(Some(webhook)) => (
                Finding::good(WHAT, format!("the app tells {} of everything", webhook.url)),
                None,
            ),
        }
    }

    /// Do the receipts come to us?
    pub async fn subscription(&self, engine: &Engine, public_url: &str, directory: &Directory) -> Finding {
        const WHAT: &str = "webhook";
        let hook = self.hook(public_url);
        let subscriptions = engine.ask(self.api, self.api.subscriptions(), |api, answer| api.subscriptions_of(answer));
        let subscriptions = match subscriptions.await {
            Ok(subscriptions) => subscriptions,
            Err(error) => return Finding::bad(WHAT, told(&error)),
        };
        let mut overrides = subscriptions.iter().filter_map(|s| s.override_url.as_deref());
        if let Some(ours) = overrides.find(|url| self.is_ours(url, public_url, directory)) {
            return Finding::good(WHAT, format!("Meta calls {ours}"));
        }
        let setup = "`tapcode whatsapp setup` has Meta call this server";
        match subscriptions.first() {
            None => Finding::bad(
                WHAT,
                format!("no app is subscribed to the account, so that no receipt comes; {setup}"),
            ),
            Some(app) => match &app.override_url {
                Some(other) => Finding::bad(WHAT, format!("Meta calls {other} and not {hook}; {setup}")),
                None => Finding::warning(
                    WHAT,
                    format!(
                        "Meta calls the address of the app {}, which cannot be read from here; see that it is {hook}, or {setup}",
                        app.app_name
                    ),
                ),
            },
        }
    }

    /// The template that carries codes, in the languages that it has.
    pub async fn listed(&self, engine: &Engine) -> Result<Vec<Template>, Finding> {
        let listed = engine.list_templates(self.sender).await.map_err(|error| {
            let why = match &error {
                AccountReadError::Account(error) => told(error),
                other => other.to_string(),
            };
            Finding::bad("template", why)
        })?;
        let name = self.configured.template.as_str();
        Ok(listed.into_iter().filter(|t| *t.name == *name).collect())
    }

    /// May the template be sent in every language that it should have, and does Meta stop trying before the fallback's code
    /// is old?
    pub async fn template(&self, engine: &Engine) -> Vec<Finding> {
        match self.listed(engine).await {
            Ok(templates) => self.judge_template(engine, &templates),
            Err(finding) => vec![finding],
        }
    }

    pub fn judge_template(&self, engine: &Engine, templates: &[Template]) -> Vec<Finding> {
        const WHAT: &str = "template";
        let name = &self.configured.template;
        let setup = "`tapcode whatsapp setup` creates it";
        if templates.is_empty() {
            return vec![Finding::bad(WHAT, format!("the account has no template {name}; {setup}"))];
        }
        let mut findings = Vec::new();
        for template in templates {
            let (language, status) = (&template.language, template.status.as_str().replace('_', " "));
            let reason = template.reason.as_deref().map_or_else(String::new, |r| format!(" ({r})"));
            let says = format!("{name} in {language} is {status}{reason}");
            findings.push(match template.status {
                TemplateStatus::Approved if !template.is_authentication => Finding::bad(
                    WHAT,
                    format!(
                        "{says}, and no authentication template; name another one, or delete it and run `tapcode whatsapp setup`"
                    ),
                ),
                TemplateStatus::Approved => Finding::good(WHAT, says),
                _ => Finding::warning(WHAT, says),
            });
        }
        let is_approved = |t: &&Template| t.status == TemplateStatus::Approved;
        let approved: Vec<&Template> = templates.iter().filter(is_approved).collect();
        if approved.is_empty() {
            findings.push(Finding::bad(
                WHAT,
                format!("{name} may be sent in no language yet, so that every code goes over the next route"),
            ));
        }
        let missing: Vec<&str> = self
            .configured
            .template_languages
            .iter()
            .map(String::as_str)
            .filter(|language| !templates.iter().any(|t| *t.language == **language))
            .collect();
        if !missing.is_empty() {
            findings.push(Finding::bad(WHAT, format!("{name} has no {}; {setup}", missing.join(", "))));
        }
        let draft = default_draft(
            &engine.directory(),
            self.sender,
            name,
            tapcode_core::account::ButtonKind::CopyCode,
        );
        let wanted = draft.send_ttl_seconds.unwrap_or(0);
        let is_later = |t: &&&Template| t.send_ttl_s.is_none_or(|ttl| i64::from(ttl) > wanted);
        if let Some(late) = approved.iter().find(is_later) {
            let has = late
                .send_ttl_s
                .map_or_else(|| "Meta's own 600 s".to_owned(), |ttl| format!("{ttl} s"));
            findings.push(Finding::warning(
                "template's time",
                format!("in {} Meta tries for {has}, and the fallbacks need {wanted} s: a code may arrive after the SMS that replaced it", late.language),
            ));
        }
        findings
    }
}

/// A text as a query's value.
fn form_urlencoded(text: &str) -> String {
    reqwest::Url::parse_with_params("http://x/", [("q", text)])
        .ok()
        .and_then(|url| url.query().map(|query| query.trim_start_matches("q=").to_owned()))
        .unwrap_or_default()
}
