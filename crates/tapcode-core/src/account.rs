//! What is known of an account at a provider, and may messages go over it now? Breakers, templates, limits and health.
//!
//! [`step`] takes what is known, an input and a moment, and gives what is known next and the decisions that belong to the
//! same commit. A breaker is opened by a failure that says that nobody can be reached this way, and closes by itself:
//! from [`Breaker::probe_at`] on one message at a time is let through, or the account is asked for its health, and the
//! first good answer closes it. Nothing here reads a clock.
#![warn(clippy::arithmetic_side_effects)]

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::delivery::{FAILURE_CODE_MAX, FAILURE_DETAIL_MAX, Failure, TripScope, cut};
use crate::id::EventId;
use crate::number::Country;
use crate::plan::Channel;
use crate::time::Timestamp;

/// Most breakers of one account that are open at once. Countries are what they are many of, so that the country's leaves
/// that opened first, and where there is none the first of all; the log tells it as closed, because messages go there again.
pub const BREAKERS_MAX: usize = 300;
/// Most senders of one account that facts are kept of; the one that was heard of first leaves. Far more than a configuration
/// names for one account; how many numbers Meta lets an account have is *unconfirmed*.
pub const SENDERS_MAX: usize = 200;
/// Most templates of one account that are remembered, every language counted: Meta allows 250 to accounts that are not
/// verified, and a code needs one. What is behind them is not looked at.
pub const TEMPLATES_MAX: usize = 1_000;
/// After how many milliseconds an open breaker is first probed; doubled each time the probe fails.
pub const PROBE_FIRST_MS: u64 = 30_000;
/// The longest such wait. Milliseconds.
pub const PROBE_LAST_MS: u64 = 900_000;
/// Codes of failures of ours: an account, a number or a template that its provider has switched off or cannot use.
pub const CODE_BLOCKED: &str = "blocked";
/// See [`CODE_BLOCKED`]: the provider restricts what the account may send.
pub const CODE_RESTRICTED: &str = "restricted";
/// See [`CODE_BLOCKED`]: one provider failure after another, none of which says that the account is at fault.
pub const CODE_BURST: &str = "burst";

/// Names an account at a provider, such as `whatsapp_cloud:102290129340398`: what its senders share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Box<str>);

impl AccountName {
    /// 1 to 80 visible ASCII characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ((1..=80).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a breaker keeps messages away from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerScope {
    /// Every sender of the account.
    Account,
    /// One sender, by its id in the configuration.
    Sender(u32),
    /// One template; in one language only where there is one.
    Template {
        /// Its name.
        name: Box<str>,
        /// Its language, as the provider writes it.
        language: Option<Box<str>>,
    },
    /// Every number of one country.
    Country(Country),
}

impl BreakerScope {
    /// The word for it in JSON, metrics and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Sender(_) => "number",
            Self::Template { .. } => "template",
            Self::Country(_) => "country",
        }
    }

    /// What a failure's scope means for one message.
    #[must_use]
    pub fn of(scope: TripScope, way: &Way<'_>) -> Self {
        match scope {
            TripScope::Account => Self::Account,
            TripScope::Country => Self::Country(way.country),
            TripScope::Template => way
                .template
                .map_or(Self::Sender(way.sender), |(name, language)| Self::Template {
                    name: name.into(),
                    language: language.map(Into::into),
                }),
            TripScope::Sender => Self::Sender(way.sender),
        }
    }

    /// Whether a message that goes this way meets it.
    #[must_use]
    pub fn covers(&self, way: &Way<'_>) -> bool {
        match self {
            Self::Account => true,
            Self::Sender(sender) => *sender == way.sender,
            Self::Country(country) => *country == way.country,
            Self::Template { name, language } => way.template.is_some_and(|(of_message, in_language)| {
                **name == *of_message && language.as_deref().is_none_or(|l| in_language == Some(l))
            }),
        }
    }
}

/// Which way a message goes, as far as breakers know ways apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// The sender's id in the configuration.
    pub sender: u32,
    /// The recipient's country.
    pub country: Country,
    /// The template that carries the code, and its language where one was chosen.
    pub template: Option<(&'a str, Option<&'a str>)>,
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// What it keeps messages away from.
    pub scope: BreakerScope,
    /// The provider's code of the failure that opened it, or a word of ours.
    pub code: Box<str>,
    /// What the provider said, for people.
    pub detail: Box<str>,
    /// When it opened.
    pub opened_at: Timestamp,
    /// From when on it is probed.
    pub probe_at: Timestamp,
    /// How many probes failed.
    pub failed_probes: u8,
    /// Whether the failure that opened it, or of the last probe, was told after the provider had taken the message: then
    /// only a message that arrives shows that they get through again.
    pub late: bool,
}

/// What a provider thinks of a template in one language, in the order of the story.
/// Meta: <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management> (read 2026-11-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateStatus {
    /// Under review.
    Pending,
    /// May be sent.
    Approved,
    /// Refused.
    Rejected,
    /// Refused, and argued about.
    InAppeal,
    /// Not sent for a while, for low quality.
    Paused,
    /// Switched off for good.
    Disabled,
    /// Being deleted.
    PendingDeletion,
    /// Deleted.
    Deleted,
    /// Put away by the provider because nobody used it.
    Archived,
    /// Locked, or over a limit, or a word that is not in the documentation.
    Unusable,
}

impl TemplateStatus {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::InAppeal,
        Self::Paused,
        Self::Disabled,
        Self::PendingDeletion,
        Self::Deleted,
        Self::Archived,
        Self::Unusable,
    ];

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::InAppeal => "in_appeal",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::PendingDeletion => "pending_deletion",
            Self::Deleted => "deleted",
            Self::Archived => "archived",
            Self::Unusable => "unusable",
        }
    }
}

/// How a provider rates a template or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Not rated, or a word that is not in the documentation.
    Unknown,
    /// High.
    Green,
    /// Medium.
    Yellow,
    /// Low.
    Red,
}

impl Quality {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// How the code of a template gets into the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ButtonKind {
    /// A button copies it.
    CopyCode,
    /// A button hands it to the app.
    OneTap,
    /// The app gets it without a tap.
    ZeroTap,
}

impl ButtonKind {
    /// The word for it in JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CopyCode => "copy_code",
            Self::OneTap => "one_tap",
            Self::ZeroTap => "zero_tap",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::CopyCode, Self::OneTap, Self::ZeroTap]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A template in one language, as its provider last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: Box<str>,
    /// Its language, as the provider writes it (`en`, `pt_BR`).
    pub language: Box<str>,
    /// The provider's id of it.
    pub id: Box<str>,
    /// Whether it may be sent.
    pub status: TemplateStatus,
    /// Why not, in the provider's words, where it said so.
    pub reason: Option<Box<str>>,
    /// How the provider rates it.
    pub quality: Quality,
    /// Whether it is an authentication template, as every template that carries codes must be.
    pub is_authentication: bool,
    /// How long the provider tries to deliver a message of it. Seconds; `None`: the provider's default.
    pub send_ttl_s: Option<u32>,
    /// The minutes that its footer names.
    pub code_expiration_minutes: Option<u8>,
    /// Whether its body says not to share the code.
    pub security_disclaimer: bool,
    /// How its code gets into the app; `None`: it has no such button.
    pub button: Option<ButtonKind>,
}

/// How many people a provider lets an account write to within a moving 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessagingLimit {
    /// At most so many.
    People(u32),
    /// As many as there are.
    Unlimited,
}

/// What is known of one sender of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderFacts {
    /// Its id in the configuration.
    pub sender: u32,
    /// How the provider rates it.
    pub quality: Quality,
    /// Messages a second that the provider takes from it.
    pub messages_per_second: Option<u32>,
    /// The name that people see, where it is approved.
    pub verified_name: Option<Box<str>>,
    /// Its status in the provider's word, such as `CONNECTED`.
    pub status: Option<Box<str>>,
}

/// One account at a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Open breakers, in the order in which they opened.
    pub breakers: Vec<Breaker>,
    /// Its templates; `None`: never asked for.
    pub templates: Option<Vec<Template>>,
    /// Its senders, as far as anything is known.
    pub senders: Vec<SenderFacts>,
    /// How many people it may write to; `None`: never told.
    pub messaging_limit: Option<MessagingLimit>,
    /// The provider's id of the business that owns it: accounts of one business share the limit.
    pub business: Option<Box<str>>,
    /// When its health was last read.
    pub read_at: Option<Timestamp>,
    /// Why the last reading of its health failed, if it did.
    pub unreadable: Option<Box<str>>,
    /// When the provider last told by itself what it thinks of a template: a list that was asked for before is older.
    pub template_news_at: Option<Timestamp>,
}

/// What a reading of an account's health told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// About the sender that was asked for.
    pub facts: SenderFacts,
    /// How many people the account may write to.
    pub messaging_limit: Option<MessagingLimit>,
    /// The business that owns it.
    pub business: Option<Box<str>>,
    /// What cannot send, and why: the account or the sender. Empty when both can.
    pub blocked: Vec<(BreakerScope, Box<str>)>,
}

/// Something that a provider told of an account by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A template has another status.
    TemplateStatus {
        /// Its name.
        name: Box<str>,
        /// Its language, as the provider writes it in requests (`en_US`).
        language: Box<str>,
        /// The provider's id of it.
        id: Box<str>,
        /// The status.
        status: TemplateStatus,
        /// Why, in the provider's words.
        reason: Option<Box<str>>,
    },
    /// A template is rated otherwise.
    TemplateQuality {
        /// Its name.
        name: Box<str>,
        /// Its language.
        language: Box<str>,
        /// How.
        quality: Quality,
    },
    /// A template is in another category; one that carries codes must be an authentication template.
    TemplateCategory {
        /// Its name.
        name: Box<str>,
        /// Its language.
        language: Box<str>,
        /// Whether it is an authentication template now.
        is_authentication: bool,
    },
    /// A sender is rated otherwise.
    SenderQuality {
        /// Its id in the configuration.
        sender: u32,
        /// How.
        quality: Quality,
    },
    /// A sender may send faster.
    Throughput {
        /// Its id in the configuration.
        sender: u32,
        /// Messages a second.
        messages_per_second: u32,
    },
    /// The account may write to another number of people.
    Limit(MessagingLimit),
    /// The account, or a sender, may not send.
    Blocked {
        /// Which.
        scope: BreakerScope,
        /// [`CODE_BLOCKED`] or [`CODE_RESTRICTED`].
        code: &'static str,
        /// Why, in the provider's words.
        detail: Box<str>,
        /// When that ends, where the provider said so.
        until: Option<Timestamp>,
    },
    /// What was blocked may send again.
    Unblocked(BreakerScope),
    /// Something that changes no decision and that somebody should read.
    Remark {
        /// What it is, in a word such as `account_violation`.
        about: &'static str,
        /// The provider's words.
        detail: Box<str>,
    },
}

/// Everything that can reach an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountInput {
    /// A message's failure says that nobody can be reached this way.
    Tripped {
        /// Which way.
        scope: BreakerScope,
        /// The failure.
        failure: Failure,
        /// Whether it was told after the provider had taken the message.
        late: bool,
    },
    /// A message that met these scopes was taken by the provider.
    Passed(Vec<BreakerScope>),
    /// A message that met these scopes arrived.
    Arrived {
        /// What it met.
        scopes: Vec<BreakerScope>,
        /// When its call started: one that was on its way when a breaker opened tells nothing about it.
        called_at: Timestamp,
    },
    /// The provider told something by itself.
    News(Vec<News>),
    /// The account's health was read.
    Read(Box<Reading>),
    /// The account's health was read because an operator asked for it, who has mended something: no breaker that it can
    /// close waits for its probe.
    ReadOnDemand(Box<Reading>),
    /// The account's health could not be read, for a reason that closes it: a token that is not valid.
    Unreadable {
        /// What is closed.
        scope: BreakerScope,
        /// Why.
        failure: Failure,
    },
    /// All templates were listed.
    Listed {
        /// As the provider has them.
        templates: Vec<Template>,
        /// When the list was asked for. Where news of a template came since, it changes nothing: it has to be asked for again.
        asked_at: Timestamp,
    },
}

/// One thing that was decided or learned about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountDecision {
    /// A breaker opened: messages go over the next route.
    BreakerOpened {
        /// What it keeps messages away from.
        scope: BreakerScope,
        /// The provider's code.
        code: Box<str>,
        /// What the provider said.
        detail: Box<str>,
        /// When it is probed.
        probe_at: Timestamp,
    },
    /// A breaker closed.
    BreakerClosed {
        /// What it kept messages away from.
        scope: BreakerScope,
        /// The code of the failure that had opened it.
        code: Box<str>,
        /// Milliseconds since it opened.
        after_ms: u64,
    },
    /// A template has another status.
    TemplateStatus {
        /// Its name.
        name: Box<str>,
        /// Its language.
        language: Box<str>,
        /// What it was; `None`: it was not known.
        before: Option<TemplateStatus>,
        /// What it is.
        now: TemplateStatus,
        /// Why, in the provider's words.
        reason: Option<Box<str>>,
    },
    /// Something else changed, or was told, that somebody should read.
    Told {
        /// What it is, in a word such as `quality`.
        about: Box<str>,
        /// For people.
        detail: Box<str>,
    },
}

/// A line of the log about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEntry {
    /// Its own id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Which account.
    pub account: AccountName,
    /// Its medium.
    pub channel: Channel,
    /// Whose API carries it.
    pub provider: Box<str>,
    /// Its senders, by their ids in the configuration.
    pub senders: Vec<u32>,
    /// What was decided.
    pub decisions: Vec<AccountDecision>,
}

/// Decides. See the module's documentation.
#[must_use]
pub fn step(mut account: Account, input: &AccountInput, now: Timestamp) -> (Account, Vec<AccountDecision>) {
    let mut decisions = Vec::new();
    match input {
        AccountInput::Tripped { scope, failure, late } => account.trip(scope, failure, *late, now, &mut decisions),
        AccountInput::Passed(scopes) => {
            // What is not being probed was met by a message that was already on its way.
            account.close(now, &mut decisions, |b| {
                b.probe_at <= now && !b.late && scopes.contains(&b.scope)
            });
        }
        AccountInput::Arrived { scopes, called_at } => {
            account.close(now, &mut decisions, |b| {
                b.probe_at <= now && b.opened_at <= *called_at && scopes.contains(&b.scope)
            });
        }
        AccountInput::News(news) => {
            for one in news {
                account.learn(one, now, &mut decisions);
            }
        }
        AccountInput::Read(reading) => account.read(reading, false, now, &mut decisions),
        AccountInput::ReadOnDemand(reading) => account.read(reading, true, now, &mut decisions),
        AccountInput::Unreadable { scope, failure } => {
            account.unreadable = Some(failure.detail.clone());
            account.trip(scope, failure, false, now, &mut decisions);
        }
        AccountInput::Listed { templates, asked_at } => {
            if account.template_news_at.is_none_or(|told| told < *asked_at) {
                account.list(templates, now, &mut decisions);
            }
        }
    }
    (account, decisions)
}

impl Account {
    /// The open breakers that a message meets on its way.
    pub fn breakers_on<'a>(&'a self, way: &Way<'a>) -> impl Iterator<Item = &'a Breaker> {
        let way = *way;
        self.breakers.iter().filter(move |b| b.scope.covers(&way))
    }

    /// The languages in which a template may be sent, in the order the provider listed them; `None`: never asked for.
    #[must_use]
    pub fn approved(&self, name: &str) -> Option<Vec<&str>> {
        let templates = self.templates.as_ref()?;
        let of_name = templates.iter().filter(|t| *t.name == *name);
        Some(
            of_name
                .filter(|t| t.status == TemplateStatus::Approved && t.is_authentication)
                .map(|t| &*t.language)
                .collect(),
        )
    }

    /// A sender's facts.
    #[must_use]
    pub fn sender(&self, id: u32) -> Option<&SenderFacts> {
        self.senders.iter().find(|s| s.sender == id)
    }

    /// Opens a breaker, or counts a failed probe of an open one. A failure of a message that was on its way when the breaker
    /// opened is no failed probe, and no better reason than the one that is there.
    fn trip(
        &mut self,
        scope: &BreakerScope,
        failure: &Failure,
        late: bool,
        now: Timestamp,
        decisions: &mut Vec<AccountDecision>,
    ) {
        if self.breakers.iter().any(|b| b.scope == *scope && now < b.probe_at) {
            return;
        }
        self.open(scope.clone(), &failure.code, &failure.detail, None, now, decisions);
        if let Some(open) = self.breakers.iter_mut().find(|b| b.scope == *scope) {
            open.late = late;
        }
    }

    fn open(
        &mut self,
        scope: BreakerScope,
        code: &str,
        detail: &str,
        until: Option<Timestamp>,
        now: Timestamp,
        decisions: &mut Vec<AccountDecision>,
    ) {
        let (code, detail) = (cut(code, FAILURE_CODE_MAX), cut(detail, FAILURE_DETAIL_MAX));
        if let Some(open) = self.breakers.iter_mut().find(|b| b.scope == scope) {
            if now >= open.probe_at {
                open.failed_probes = open.failed_probes.saturating_add(1);
                open.probe_at = until.unwrap_or_else(|| now.plus_millis(probe_after_ms(open.failed_probes)));
            } else if let Some(until) = until {
                open.probe_at = until;
            }
            if *open.code != *code {
                (open.code, open.detail) = (code.into(), detail.into());
            }
            return;
        }
        if self.breakers.len() >= BREAKERS_MAX {
            let is_of_country = |b: &Breaker| matches!(b.scope, BreakerScope::Country(_));
            let first = self.breakers.iter().position(is_of_country).unwrap_or(0);
            decisions.push(closed(&self.breakers.remove(first), now));
        }
        let probe_at = until.unwrap_or_else(|| now.plus_millis(PROBE_FIRST_MS));
        decisions.push(AccountDecision::BreakerOpened {
            scope: scope.clone(),
            code: code.into(),
            detail: detail.into(),
            probe_at,
        });
        self.breakers.push(Breaker {
            scope,
            code: code.into(),
            detail: detail.into(),
            opened_at: now,
            probe_at,
            failed_probes: 0,
            late: false,
        });
    }

    fn close(&mut self, now: Timestamp, decisions: &mut Vec<AccountDecision>, which: impl Fn(&Breaker) -> bool) {
        self.breakers.retain(|breaker| {
            let closes = which(breaker);
            if closes {
                decisions.push(closed(breaker, now));
            }
            !closes
        });
    }

    fn read(&mut self, reading: &Reading, on_demand: bool, now: Timestamp, decisions: &mut Vec<AccountDecision>) {
        (self.read_at, self.unreadable) = (Some(now), None);
        let sender = reading.facts.sender;
        for (scope, why) in &reading.blocked {
            self.open(scope.clone(), CODE_BLOCKED, why, None, now, decisions);
        }
        let blocks = |scope: &BreakerScope| reading.blocked.iter().any(|(blocked, _)| blocked == scope);
        // A good reading is a probe that cost nobody a message, of what a reading can tell. What the provider itself had
        // blocked is believed at once.
        self.close(now, decisions, |b| {
            let is_asked = b.scope == BreakerScope::Account || b.scope == BreakerScope::Sender(sender);
            let is_probed = b.is_probed_by_reading() && b.probe_at <= now;
            is_asked && !blocks(&b.scope) && (on_demand || is_probed || *b.code == *CODE_BLOCKED)
        });
        if let Some(limit) = reading.messaging_limit {
            self.limit(limit, decisions);
        }
        if reading.business.is_some() {
            self.business.clone_from(&reading.business);
        }
        self.rate(sender, reading.facts.quality, decisions);
        *self.sender_mut(sender) = reading.facts.clone();
    }

    fn limit(&mut self, limit: MessagingLimit, decisions: &mut Vec<AccountDecision>) {
        if let Some(before) = self.messaging_limit.replace(limit).filter(|before| *before != limit) {
            told(
                "messaging_limit",
                format!("{} became {}", people(before), people(limit)),
                decisions,
            );
        }
    }

    fn rate(&mut self, sender: u32, quality: Quality, decisions: &mut Vec<AccountDecision>) {
        let facts = self.sender_mut(sender);
        let before = std::mem::replace(&mut facts.quality, quality);
        if before != quality && before != Quality::Unknown {
            let detail = format!("of sender {sender}: {} became {}", before.as_str(), quality.as_str());
            told("quality", detail, decisions);
        }
    }

    fn list(&mut self, templates: &[Template], now: Timestamp, decisions: &mut Vec<AccountDecision>) {
        let mut listed = HashSet::new();
        let once = templates.iter().filter(|t| listed.insert((&t.name, &t.language)));
        let next: Vec<Template> = once.take(TEMPLATES_MAX).cloned().collect();
        let before = self.templates.replace(next.clone()).unwrap_or_default();
        let before: HashMap<_, _> = before.iter().map(|t| ((&t.name, &t.language), t.status)).collect();
        for template in &next {
            let known = before.get(&(&template.name, &template.language)).copied();
            if known.is_some_and(|known| known != template.status) {
                self.is_now(template, known, now, decisions);
            }
        }
    }

    /// Tells another status of a template, and lets messages go over it again where it may be sent.
    fn is_now(
        &mut self,
        template: &Template,
        before: Option<TemplateStatus>,
        now: Timestamp,
        decisions: &mut Vec<AccountDecision>,
    ) {
        decisions.push(AccountDecision::TemplateStatus {
            name: template.name.clone(),
            language: template.language.clone(),
            before,
            now: template.status,
            reason: template.reason.clone(),
        });
        if template.status == TemplateStatus::Approved {
            self.close(now, decisions, |b| {
                is_of_template(&b.scope, &template.name, &template.language)
            });
        }
    }

    fn learn(&mut self, news: &News, now: Timestamp, decisions: &mut Vec<AccountDecision>) {
        match news {
            News::TemplateStatus {
                name,
                language,
                id,
                status,
                reason,
            } => {
                self.template_news_at = Some(now);
                let template = unlisted(name, language, id, *status, reason.as_deref());
                let before = self.template_mut(name, language).map(|known| {
                    (known.id, known.reason) = (id.clone(), reason.clone());
                    std::mem::replace(&mut known.status, *status)
                });
                // One template by itself would look like a list of all of them, in which the others are missing.
                let has_room = |templates: &&mut Vec<Template>| before.is_none() && templates.len() < TEMPLATES_MAX;
                if let Some(templates) = self.templates.as_mut().filter(has_room) {
                    templates.push(template.clone());
                }
                if before != Some(*status) {
                    self.is_now(&template, before, now, decisions);
                }
            }
            News::TemplateQuality { name, language, quality } => {
                let known = self.template_mut(name, language);
                let before = known.map(|t| std::mem::replace(&mut t.quality, *quality));
                if before != Some(*quality) {
                    let detail = format!("of template {name} in {language}: {}", quality.as_str());
                    told("template_quality", detail, decisions);
                }
            }
            News::TemplateCategory {
                name,
                language,
                is_authentication,
            } => {
                self.template_news_at = Some(now);
                let known = self.template_mut(name, language);
                let before = known.map(|t| std::mem::replace(&mut t.is_authentication, *is_authentication));
                if before == Some(*is_authentication) {
                    return;
                }
                let what = if *is_authentication { "is" } else { "is no longer" };
                let detail = format!("template {name} in {language} {what} an authentication template");
                told("template_category", detail, decisions);
            }
            News::SenderQuality { sender, quality } => self.rate(*sender, *quality, decisions),
            News::Throughput {
                sender,
                messages_per_second,
            } => {
                let now = Some(*messages_per_second);
                if std::mem::replace(&mut self.sender_mut(*sender).messages_per_second, now) == now {
                    return;
                }
                let detail = format!("of sender {sender}: {messages_per_second} messages a second");
                told("throughput", detail, decisions);
            }
            News::Limit(limit) => self.limit(*limit, decisions),
            News::Blocked {
                scope,
                code,
                detail,
                until,
            } => self.open(scope.clone(), code, detail, *until, now, decisions),
            News::Unblocked(scope) => {
                self.close(now, decisions, |b| {
                    b.scope == *scope && matches!(&*b.code, CODE_BLOCKED | CODE_RESTRICTED)
                });
            }
            News::Remark { about, detail } => told(about, detail.to_string(), decisions),
        }
    }

    fn template_mut(&mut self, name: &str, language: &str) -> Option<&mut Template> {
        let mut all = self.templates.iter_mut().flatten();
        all.find(|t| *t.name == *name && *t.language == *language)
    }

    fn sender_mut(&mut self, sender: u32) -> &mut SenderFacts {
        let at = self.senders.iter().position(|s| s.sender == sender).unwrap_or_else(|| {
            if self.senders.len() >= SENDERS_MAX {
                self.senders.remove(0);
            }
            self.senders.push(SenderFacts {
                sender,
                quality: Quality::Unknown,
                messages_per_second: None,
                verified_name: None,
                status: None,
            });
            self.senders.len().saturating_sub(1)
        });
        &mut self.senders[at]
    }
}

impl Breaker {
    /// Whether a reading of the health can close it: that calls come to nothing, or that messages fail after they were taken,
    /// is nothing that a provider tells there.
    #[must_use]
    pub fn is_probed_by_reading(&self) -> bool {
        !self.late && *self.code != *CODE_BURST
    }
}

/// How long to wait for the next probe when so many have failed. Milliseconds.
#[must_use]
pub fn probe_after_ms(failed_probes: u8) -> u64 {
    PROBE_FIRST_MS
        .saturating_mul(1_u64.checked_shl(failed_probes.into()).unwrap_or(u64::MAX))
        .min(PROBE_LAST_MS)
}

fn closed(breaker: &Breaker, now: Timestamp) -> AccountDecision {
    AccountDecision::BreakerClosed {
        scope: breaker.scope.clone(),
        code: breaker.code.clone(),
        after_ms: now.millis_since(breaker.opened_at),
    }
}

fn is_of_template(scope: &BreakerScope, of: &str, in_language: &str) -> bool {
    match scope {
        BreakerScope::Template { name, language } => **name == *of && language.as_deref().is_none_or(|l| l == in_language),
        BreakerScope::Account | BreakerScope::Sender(_) | BreakerScope::Country(_) => false,
    }
}

/// A template of which only its status was told: whatever else matters is learned when the templates are listed.
fn unlisted(name: &str, language: &str, id: &str, status: TemplateStatus, reason: Option<&str>) -> Template {
    Template {
        name: name.into(),
        language: language.into(),
        id: id.into(),
        status,
        reason: reason.map(Into::into),
        quality: Quality::Unknown,
        is_authentication: true,
        send_ttl_s: None,
        code_expiration_minutes: None,
        security_disclaimer: false,
        button: None,
    }
}

fn told(about: &str, detail: String, decisions: &mut Vec<AccountDecision>) {
    decisions.push(AccountDecision::Told {
        about: about.into(),
        detail: detail.into(),
    });
}

fn people(limit: MessagingLimit) -> String {
    match limit {
        MessagingLimit::People(most) => format!("{most} people in 24 hours"),
        MessagingLimit::Unlimited => "as many people as there are".into(),
    }
}
