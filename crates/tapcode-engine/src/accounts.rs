//! What is known of accounts at providers, and how does it stay true? Their state is a row in the store, replaced by
//! compare-and-swap; every process keeps a copy, which routing asks, and reads health and templates from time to time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tapcode_core::account::{
    Account, AccountDecision, AccountEntry, AccountInput, AccountName, Breaker, BreakerScope, CODE_BURST, MessagingLimit, News,
    TEMPLATES_MAX, Template, Way, step,
};
use tapcode_core::delivery::{Failure, FailureClass, SendOutcome, TripScope};
use tapcode_core::id::{EventId, Fresh};
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, Route, Skip, SkipReason};
use tapcode_core::recipient::{Recipient, RecipientKey};
use tapcode_core::step::Routes;
use tapcode_core::time::Timestamp;
use tokio::task::JoinHandle;

use crate::call::chain;
use crate::contract::account::{AccountApi, AccountError, NUMBER_NEWS, TEMPLATE_PAGES_MAX};
use crate::contract::provider::HttpRequest;
use crate::contract::store::{AccountCommit, StoreError, Version, Written, written_name};
use crate::engine::{Engine, EngineError};
use crate::entropy::sixteen;
use crate::service::{Directory, Provider, Sender};

/// How often a decision about an account is made again because another process was first.
const CONFLICTS_MAX: usize = 16;
/// How often the copies of accounts are compared with the store, and what is due is done. Milliseconds.
const LOOK_MS: u64 = 1_000;
/// Every how many such looks whom other processes wrote to is looked at: what they write to in between is what a limit may be
/// overstepped by.
const LOOKS_TO_PEOPLE: u64 = 5;
/// How often a list of templates is asked for again because news came meanwhile.
const LISTS_MAX: usize = 3;
/// How often health and templates are read. Milliseconds: Meta allows an app 200 management calls an hour for an account
/// that has no number yet (<https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform>, read
/// 2026-11-22), and this makes some twelve.
const READ_EVERY_MS: u64 = 600_000;
/// How long to wait after an account could not be read. Milliseconds.
const READ_AGAIN_MS: u64 = 30_000;
/// How long an answer to a request about an account may take. Milliseconds.
pub const ACCOUNT_DEADLINE_MS: u64 = 10_000;
/// How long one probe of a breaker keeps others from being made. Milliseconds: longer than a call may take.
const PROBE_MS: u64 = 15_000;
/// So many calls in a row that came to nothing, whatever the reason, open the sender's breaker.
const BURST: u32 = 8;
/// Within so many milliseconds.
const BURST_MS: u64 = 10_000;
/// Hours of written-to recipients that count: 24, and the one that has just begun.
const HOURS: u32 = 25;
/// Most recipients of one portfolio that are remembered: twice the highest limit that is a number.
const WRITTEN_MAX: usize = 200_000;

/// The first hour whose written-to recipients still count.
pub(crate) fn oldest_hour(now: Timestamp) -> u32 {
    now.hour().saturating_sub(HOURS - 1)
}

/// This process's copies, and what it counts between two looks at the store.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    known: RwLock<HashMap<AccountName, Arc<Known>>>,
    /// Probes under way: until when no other is made.
    probes: Mutex<HashMap<(AccountName, BreakerScope), Timestamp>>,
    /// Calls in a row that came to nothing, by sender: how many, and since when.
    bursts: Mutex<HashMap<(Channel, u32), (u32, Timestamp)>>,
    written: Mutex<HashMap<Box<str>, People>>,
    /// Whether everything was loaded once.
    loaded: AtomicBool,
    /// When each account is read next, by name and sender.
    due: Mutex<HashMap<(AccountName, u32), Timestamp>>,
    /// One decision about accounts at a time in this process: they are rare, and would only meet in conflicts.
    turn: tokio::sync::Mutex<()>,
    /// One list of an account's templates is asked for and written down at a time in this process: a list that was asked for
    /// before a template was made or deleted must not be written down after the one that was asked for since.
    listing: Mutex<HashMap<AccountName, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct Known {
    version: Option<Version>,
    account: Account,
}

/// Whom a portfolio wrote to: the last hour in which it did.
#[derive(Debug, Default)]
struct People {
    hours: HashMap<u64, u32>,
    /// Whose message is being handed to the provider: how many such calls are under way. They take a place like the others.
    called: HashMap<u64, u32>,
    /// Not in the store yet.
    unwritten: Vec<(u32, u64)>,
}

impl People {
    fn add(&mut self, recipient: u64, hour: u32) -> bool {
        if self.hours.len() >= WRITTEN_MAX && !self.hours.contains_key(&recipient) {
            return false;
        }
        let last = self.hours.entry(recipient).or_default();
        let is_new = *last < hour;
        *last = hour.max(*last);
        is_new
    }
}

impl Accounts {
    fn known(&self, name: &AccountName) -> Arc<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned().unwrap_or_default()
    }

    /// A turn at asking for the list of an account's templates and at writing it down.
    pub(crate) async fn listing(&self, sender: &Sender) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(sender.account()).or_default())
        };
        turn.lock_owned().await
    }

    fn keep(&self, name: &AccountName, known: Known) {
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.clone(), Arc::new(known));
    }

    /// Whether a probe may be made now; if so, it is counted as made.
    fn may_probe(&self, name: &AccountName, scope: &BreakerScope, now: Timestamp) -> bool {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.retain(|_, until| now < *until);
        let key = (name.clone(), scope.clone());
        if probes.contains_key(&key) {
            return false;
        }
        probes.insert(key, now.plus_millis(PROBE_MS));
        true
    }

    /// Whether writing to a recipient would go over a limit of so many people.
    fn is_over(&self, portfolio: &str, most: u32, recipient: u64, now: Timestamp) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(people) = written.get_mut(portfolio) else {
            return false;
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let taken = |people: &People| people.hours.len() + people.called.len();
        if taken(people) < most || people.hours.contains_key(&recipient) || people.called.contains_key(&recipient) {
            return false;
        }
        let oldest = oldest_hour(now);
        people.hours.retain(|_, hour| *hour >= oldest);
        taken(people) >= most
    }

    /// How many people a portfolio wrote to within 24 hours.
    pub(crate) fn people(&self, portfolio: &str, now: Timestamp) -> usize {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = oldest_hour(now);
        let of = written.get(portfolio);
        of.map_or(0, |people| people.hours.values().filter(|hour| **hour >= oldest).count())
    }
}

/// The business where it is known, else the account: what shares a limit of people.
pub(crate) fn portfolio(name: &AccountName, account: &Account) -> Box<str> {
    account.business.clone().unwrap_or_else(|| name.as_str().into())
}

/// What routing knows at the moment of one decision.
pub(crate) struct RoutesNow<'a> {
    pub(crate) accounts: &'a Accounts,
    pub(crate) directory: &'a Directory,
    pub(crate) key: RecipientKey,
    pub(crate) now: Timestamp,
}

impl RoutesNow<'_> {
    fn sender(&self, route: &Route) -> Option<&Arc<Sender>> {
        self.directory.sender(route.channel, route.sender)
    }
}

impl Routes for RoutesNow<'_> {
    fn skip(&self, route: &Route, country: Country, locale: &str) -> Option<Skip> {
        let sender = self.sender(route)?;
        if !sender.provider.serves(country) {
            return Some(Skip::because(SkipReason::Country));
        }
        let name = sender.account();
        let known = self.accounts.known(&name);
        let account = &known.account;
        let api = sender.provider.account_api();
        let language = self.language(route, locale);
        let way = way(sender, country, Some(language.as_deref()));
        if let Some(limit) = over_limit(self.accounts, &name, account, written_name(self.key), self.now) {
            return Some(Skip {
                reason: SkipReason::MessagingLimit,
                detail: limit.to_string().into(),
            });
        }
        if let Some(api) = api
            && account.approved(api.template()).is_some_and(|approved| approved.is_empty())
        {
            return Some(Skip {
                reason: SkipReason::Template,
                detail: api.template().into(),
            });
        }
        // Last, because a probe that is allowed here is made: none is, while another breaker keeps the message away anyway.
        let waits = |b: &&Breaker| b.probe_at > self.now;
        let is_probed = |b: &&Breaker| !self.accounts.may_probe(&name, &b.scope, self.now);
        let open = account
            .breakers_on(&way)
            .find(waits)
            .or_else(|| account.breakers_on(&way).find(is_probed))?;
        Some(Skip {
            reason: SkipReason::Breaker,
            detail: format!("{} {}", open.scope.as_str(), open.code).into(),
        })
    }

    fn language(&self, route: &Route, locale: &str) -> Option<Box<str>> {
        let sender = self.sender(route)?;
        let api = sender.provider.account_api()?;
        let known = self.accounts.known(&sender.account());
        Some(language(api, &known.account, locale))
    }

    fn default_language(&self, route: &Route) -> Option<Box<str>> {
        Some(self.sender(route)?.provider.account_api()?.default_language().into())
    }

    fn spacing_ms(&self, route: &Route) -> u64 {
        self.sender(route).map_or(0, |sender| sender.provider.spacing_ms())
    }
}

/// Which way a message goes. `template`: the language of the account's template, for a message that carries a code.
fn way<'a>(sender: &'a Sender, country: Country, template: Option<Option<&'a str>>) -> Way<'a> {
    let name = sender.provider.account_api().map(AccountApi::template);
    Way {
        sender: sender.id,
        country,
        template: name.zip(template),
    }
}

/// The limit that one more recipient would go over.
fn over_limit(accounts: &Accounts, name: &AccountName, account: &Account, recipient: u64, now: Timestamp) -> Option<u32> {
    match account.messaging_limit {
        Some(MessagingLimit::People(most)) => accounts
            .is_over(&portfolio(name, account), most, recipient, now)
            .then_some(most),
        Some(MessagingLimit::Unlimited) | None => None,
    }
}

/// The language of an account's template for a locale: the best one that may be sent, else the template's default, else
/// the first that may be sent.
fn language(api: &dyn AccountApi, account: &Account, locale: &str) -> Box<str> {
    let configured = || api.configured_languages().iter().map(String::as_str).collect();
    let approved: Vec<&str> = account
        .approved(api.template())
        .filter(|a| !a.is_empty())
        .unwrap_or_else(configured);
    let default = api.default_language();
    let or_default = || {
        let first = approved.first().copied().unwrap_or(default);
        if approved.is_empty() || approved.contains(&default) {
            default
        } else {
            first
        }
    };
    api.best_language(locale, &approved).unwrap_or_else(or_default).into()
}

/// An account as it can be shown.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// What is known of it.
    pub account: Account,
    /// How many people it, or the business it belongs to, wrote to within 24 hours by our own count.
    pub people_written_to: usize,
}

impl Engine {
    /// What is known of a sender's account.
    #[must_use]
    pub fn account(&self, sender: &Sender) -> AccountView {
        let name = sender.account();
        let account = self.inner.accounts.known(&name).account.clone();
        let people_written_to = self.inner.accounts.people(&portfolio(&name, &account), self.now());
        AccountView {
            account,
            people_written_to,
        }
    }

    /// The languages in which a template may be sent from a sender; `None`: its provider was never asked. Cheap: it is asked
    /// for every plain message.
    #[must_use]
    pub fn approved_languages(&self, sender: &Sender, template: &str) -> Option<Vec<Box<str>>> {
        let known = self.inner.accounts.known(&sender.account());
        let approved = known.account.approved(template)?;
        Some(approved.into_iter().map(Into::into).collect())
    }

    /// The language in which a sender's template would be sent for a locale.
    #[must_use]
    pub fn template_language(&self, sender: &Sender, locale: &str) -> Option<Box<str>> {
        let api = sender.provider.account_api()?;
        Some(language(api, &self.inner.accounts.known(&sender.account()).account, locale))
    }

    /// Applies an input to a sender's account and makes it durable.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing changed.
    pub async fn apply_account(&self, sender: &Sender, input: &AccountInput) -> Result<(), EngineError> {
        let (name, accounts) = (sender.account(), &self.inner.accounts);
        let _turn = accounts.turn.lock().await;
        for _ in 0..CONFLICTS_MAX {
            let loaded = self.inner.store.account(&name).await?;
            let (before, version) = loaded.map_or((Account::default(), None), |l| (l.value, Some(l.version)));
            let now = self.now();
            let (next, decisions) = step(before.clone(), input, now);
            if next == before && decisions.is_empty() {
                accounts.keep(&name, Known { version, account: next });
                return Ok(());
            }
            let entry = (!decisions.is_empty()).then(|| AccountEntry {
                id: EventId::new(now, Fresh(sixteen(&*self.inner.entropy)).nth(0)),
                at: now,
                account: name.clone(),
                channel: sender.channel,
                provider: sender.provider.id().into(),
                senders: self.directory().senders_of(&name),
                decisions,
            });
            let commit = AccountCommit {
                name: name.clone(),
                expected: version,
                next,
                entry,
            };
            match self.inner.store.commit_account(&commit).await {
                Ok(()) => {
                    let version = Some(Version(version.map_or(1, |v| v.0.saturating_add(1))));
                    accounts.keep(
                        &name,
                        Known {
                            version,
                            account: commit.next,
                        },
                    );
                    if let Some(entry) = &commit.entry {
                        crate::telemetry::count_account(entry);
                        self.inner.log_grew.send_modify(|n| *n = n.wrapping_add(1));
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            }
        }
        Err(EngineError::Unavailable(StoreError::Conflict))
    }

    /// What a provider told of an account by itself.
    pub(crate) async fn hear_news(&self, sender: &Sender, news: Vec<News>) -> Result<(), EngineError> {
        let of_a_number = |news: &News| matches!(news, News::Remark { about, .. } if *about == NUMBER_NEWS);
        if news.iter().any(of_a_number) {
            let name = sender.account();
            let mut due = self.inner.accounts.due.lock().unwrap_or_else(PoisonError::into_inner);
            for id in self.directory().senders_of(&name) {
                due.insert((name.clone(), id), self.now());
            }
        }
        self.apply_account(sender, &AccountInput::News(news)).await
    }

    /// Opens the breaker of a failure that says that nobody can be reached this way. Nothing is lost when the process dies
    /// before it is written down: the next message that fails opens it.
    /// `late`: it was told after the provider had taken the message.
    pub(crate) fn trip(
        &self,
        route: &Route,
        country: Country,
        language: Option<&str>,
        of_plain: bool,
        failure: &Failure,
        late: bool,
    ) {
        let FailureClass::TripBreaker(trip) = failure.class else {
            return;
        };
        // The template of a plain message is its caller's, and no verification goes over it.
        if of_plain && trip == TripScope::Template {
            return;
        }
        let directory = self.directory();
        let Some(sender) = directory.sender(route.channel, route.sender) else {
            return;
        };
        let way = way(sender, country, Some(language));
        self.open_breaker(sender, BreakerScope::of(trip, &way), failure.clone(), late);
    }

    fn open_breaker(&self, sender: &Arc<Sender>, scope: BreakerScope, failure: Failure, late: bool) {
        let known = self.inner.accounts.known(&sender.account());
        // Whatever was on its way when the breaker opened says the same.
        let is_open = known
            .account
            .breakers
            .iter()
            .any(|b| b.scope == scope && self.now() < b.probe_at);
        if is_open {
            return;
        }
        let (engine, sender) = (self.clone(), Arc::clone(sender));
        self.inner.tasks.spawn(async move {
            let tripped = AccountInput::Tripped { scope, failure, late };
            if let Err(error) = engine.apply_account(&sender, &tripped).await {
                tracing::warn!(sender.id = sender.id, error = %chain(&error), "a breaker could not be opened yet");
            }
        });
    }

    /// A message arrived: whatever breakers it met are closed.
    pub(crate) fn arrived(&self, route: &Route, country: Country, template: Option<Option<&str>>, called_at: Timestamp) {
        let directory = self.directory();
        let Some(sender) = directory.sender(route.channel, route.sender) else {
            return;
        };
        let now = self.now();
        let is_shown = |b: &Breaker| b.probe_at <= now && b.opened_at <= called_at;
        let scopes = self.met(sender, &way(sender, country, template), is_shown);
        if !scopes.is_empty() {
            self.close_breakers(sender, AccountInput::Arrived { scopes, called_at });
        }
    }

    /// The breakers of one kind that a message met on its way.
    fn met(&self, sender: &Sender, way: &Way<'_>, which: impl Fn(&Breaker) -> bool) -> Vec<BreakerScope> {
        let known = self.inner.accounts.known(&sender.account());
        let met = known.account.breakers_on(way).filter(|b| which(b));
        met.map(|b| b.scope.clone()).collect()
    }

    fn close_breakers(&self, sender: &Arc<Sender>, passed: AccountInput) {
        let (engine, sender) = (self.clone(), Arc::clone(sender));
        self.inner.tasks.spawn(async move {
            if let Err(error) = engine.apply_account(&sender, &passed).await {
                tracing::warn!(sender.id = sender.id, error = %chain(&error), "a breaker could not be closed yet");
            }
        });
    }

    /// What an answer to a call tells of its way, besides what it tells of its message.
    /// `template` is the language of the account's template, for a message that carries a code.
    pub(crate) fn judge_way(
        &self,
        sender: &Arc<Sender>,
        key: RecipientKey,
        country: Country,
        template: Option<Option<&str>>,
        outcome: &SendOutcome,
    ) {
        let accounts = &self.inner.accounts;
        self.count_written(sender, key, !matches!(outcome, SendOutcome::Failed { .. }));
        let is_no_answer = match outcome {
            SendOutcome::Accepted { .. } => false,
            SendOutcome::Unclear { .. } => true,
            SendOutcome::Failed { failure, .. } => match failure.class {
                FailureClass::RetryHere { .. } => true,
                FailureClass::SlowDown { .. } => {
                    sender.pace.slow_down(self.now());
                    false
                }
                FailureClass::TripBreaker(_) | FailureClass::OurMistake | FailureClass::OtherLanguage => return,
                FailureClass::NextRoute | FailureClass::Unreachable | FailureClass::NoFallback => false,
            },
        };
        let now = self.now();
        let way = way(sender, country, template);
        let mut bursts = accounts.bursts.lock().unwrap_or_else(PoisonError::into_inner);
        if is_no_answer {
            let burst = bursts.entry((sender.channel, sender.id)).or_insert((0, now));
            if now.millis_since(burst.1) > BURST_MS {
                *burst = (0, now);
            }
            burst.0 = burst.0.saturating_add(1);
            if burst.0 >= BURST && sender.provider.has_breaker() {
                *burst = (0, now);
                drop(bursts);
                let detail = "call after call came to nothing";
                let failure = Failure::new(FailureClass::TripBreaker(TripScope::Sender), CODE_BURST, detail);
                self.open_breaker(sender, BreakerScope::Sender(sender.id), failure, false);
            } else {
                drop(bursts);
            }
            // A probe that got no answer is a probe that failed, for the reason that is there already.
            let known = accounts.known(&sender.account());
            for probed in known.account.breakers_on(&way).filter(|b| b.probe_at <= now) {
                let failure = Failure::new(FailureClass::TripBreaker(TripScope::Sender), &probed.code, &probed.detail);
                self.open_breaker(sender, probed.scope.clone(), failure, probed.late);
            }
            return;
        }
        bursts.remove(&(sender.channel, sender.id));
        drop(bursts);
        let passed = self.met(sender, &way, |b| b.probe_at <= now && !b.late);
        if !passed.is_empty() {
            self.close_breakers(sender, AccountInput::Passed(passed));
        }
    }

    /// Takes a place for a recipient whose message is about to be handed to the provider.
    pub(crate) fn take_place(&self, sender: &Sender, key: RecipientKey) {
        let recipient = written_name(key);
        self.with_people(sender, |people| {
            if !people.hours.contains_key(&recipient) {
                *people.called.entry(recipient).or_default() += 1;
            }
        });
    }

    /// Counts a recipient whom the provider took a message for, or may have; gives the place back of one for whom it did not.
    fn count_written(&self, sender: &Sender, key: RecipientKey, is_written: bool) {
        let (hour, recipient) = (self.now().hour(), written_name(key));
        self.with_people(sender, |people| {
            if let Some(calls) = people.called.get_mut(&recipient) {
                *calls -= 1;
                if *calls == 0 {
                    people.called.remove(&recipient);
                }
            }
            if is_written && people.add(recipient, hour) {
                people.unwritten.push((hour, recipient));
            }
        });
    }

    /// Whom a sender's portfolio wrote to, where its provider counts them.
    fn with_people(&self, sender: &Sender, change: impl FnOnce(&mut People)) {
        if sender.provider.account_api().is_none() {
            return;
        }
        let name = sender.account();
        let known = self.inner.accounts.known(&name);
        if known.account.messaging_limit == Some(MessagingLimit::Unlimited) {
            return;
        }
        let mut written = self.inner.accounts.written.lock().unwrap_or_else(PoisonError::into_inner);
        change(written.entry(portfolio(&name, &known.account)).or_default());
    }

    /// Takes a place in a sender's pace.
    ///
    /// # Errors
    /// There is none, because its provider would say that it is too fast; after how many milliseconds there may be.
    pub(crate) fn take_pace(&self, sender: &Sender) -> Result<(), u64> {
        let facts = || {
            let known = self.inner.accounts.known(&sender.account());
            known.account.sender(sender.id).and_then(|facts| facts.messages_per_second)
        };
        let of_provider = || sender.provider.messages_per_second().map(|least| facts().unwrap_or(least));
        let per_second = sender.messages_per_second.or_else(of_provider);
        per_second.map_or(Ok(()), |per_second| sender.pace.take(per_second, self.now()))
    }

    /// Keeps the copies of accounts true, and writes down whom was written to.
    pub(crate) async fn keep_accounts(&self) {
        let mut looks: u64 = 0;
        loop {
            self.load_accounts().await;
            for name in self.directory().accounts() {
                self.look_at_account(&name, looks.is_multiple_of(LOOKS_TO_PEOPLE)).await;
            }
            self.write_written().await;
            looks = looks.wrapping_add(1);
            self.inner.clock.sleep(LOOK_MS).await;
        }
    }

    /// Takes over what other processes wrote down about an account.
    async fn look_at_account(&self, name: &AccountName, at_people: bool) {
        let accounts = &self.inner.accounts;
        match self.inner.store.account(name).await {
            Ok(Some(loaded)) => {
                // This process may have written a newer one since it asked.
                if accounts.known(name).version < Some(loaded.version) {
                    let (version, account) = (Some(loaded.version), loaded.value);
                    accounts.keep(name, Known { version, account });
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(account.name = name.as_str(), error = %chain(&error), "an account could not be loaded");
                return;
            }
        }
        let known = accounts.known(name);
        if at_people && matches!(known.account.messaging_limit, Some(MessagingLimit::People(_))) {
            let since = self.now().hour().saturating_sub(1);
            // It is read again soon.
            let _logged = self.load_people(name, &known.account, since).await;
        }
    }

    /// Reads the health and the templates of accounts when it is time. Apart from everything else that keeps accounts: a
    /// provider that hangs holds up its own account's reading and nothing more.
    pub(crate) async fn keep_reading(&self) {
        let mut reading: HashMap<AccountName, JoinHandle<()>> = HashMap::new();
        loop {
            // Sender by sender, because those of one account share its templates.
            let mut senders_of: HashMap<AccountName, Vec<Arc<Sender>>> = HashMap::new();
            for sender in self.directory().senders() {
                senders_of.entry(sender.account()).or_default().push(Arc::clone(sender));
            }
            reading.retain(|_, task| !task.is_finished());
            for (name, senders) in senders_of {
                let engine = self.clone();
                let read = async move {
                    for sender in senders {
                        engine.read_if_due(&sender).await;
                    }
                };
                let start = || {
                    let engine = self.clone();
                    self.inner.tasks.spawn(async move { engine.until_stopped(read).await })
                };
                reading.entry(name).or_insert_with(start);
            }
            self.inner.clock.sleep(LOOK_MS).await;
        }
    }

    async fn read_if_due(&self, sender: &Arc<Sender>) {
        let (name, accounts) = (sender.account(), &self.inner.accounts);
        if sender.provider.account_api().is_none() {
            return;
        }
        let now = self.now();
        let known = accounts.known(&name);
        let is_probed = |b: &Breaker| {
            let is_asked = matches!(b.scope, BreakerScope::Account) || b.scope == BreakerScope::Sender(sender.id);
            is_asked && b.is_probed_by_reading() && b.probe_at <= now
        };
        let probes = known.account.breakers.iter().any(is_probed) && accounts.may_probe(&name, &reading_of(sender), now);
        let key = (name.clone(), sender.id);
        let is_due = {
            let mut due = accounts.due.lock().unwrap_or_else(PoisonError::into_inner);
            let at = due.entry(key.clone()).or_insert(now);
            let is_due = *at <= now || probes;
            if is_due {
                *at = now.plus_millis(READ_EVERY_MS);
            }
            is_due
        };
        if is_due && let Err(error) = self.read(sender, false).await {
            let mut due = accounts.due.lock().unwrap_or_else(PoisonError::into_inner);
            due.insert(key, now.plus_millis(READ_AGAIN_MS));
            drop(due);
            tracing::warn!(account.name = name.as_str(), sender.id = sender.id, error = %chain(&error), "an account could not be read");
        }
    }

    /// Reads the health and the templates of a sender's account now, because an operator wants it: what is well again is used
    /// at once.
    ///
    /// # Errors
    /// [`AccountReadError`]; an account that its provider refuses to show has its breaker opened.
    pub async fn read_account(&self, sender: &Sender) -> Result<(), AccountReadError> {
        self.read(sender, true).await
    }

    async fn read(&self, sender: &Sender, on_demand: bool) -> Result<(), AccountReadError> {
        let api = sender.provider.account_api().ok_or(AccountReadError::NoAccount)?;
        let reading = match self
            .ask(api, api.reading(), |api, answer| api.reading_of(answer, sender.id))
            .await
        {
            Ok(reading) => reading,
            Err(AccountError::Refused(failure)) => {
                if let FailureClass::TripBreaker(trip) = failure.class {
                    let scope = match trip {
                        TripScope::Account => BreakerScope::Account,
                        TripScope::Sender | TripScope::Template | TripScope::Country => BreakerScope::Sender(sender.id),
                    };
                    let failure = failure.clone();
                    self.apply_account(sender, &AccountInput::Unreadable { scope, failure })
                        .await?;
                }
                return Err(AccountError::Refused(failure).into());
            }
            Err(error) => return Err(error.into()),
        };
        let reading = Box::new(reading);
        let input = if on_demand {
            AccountInput::ReadOnDemand(reading)
        } else {
            AccountInput::Read(reading)
        };
        self.apply_account(sender, &input).await?;
        let _listing = self.inner.accounts.listing(sender).await;
        self.keep_list(sender, |_| {}).await?;
        Ok(())
    }

    /// Lists every template of a sender's account, lets `correct` add what the list does not know yet, and remembers it.
    /// Where news of a template came meanwhile, the list may be older than the news, and is asked for again.
    pub(crate) async fn keep_list(
        &self,
        sender: &Sender,
        correct: impl Fn(&mut Vec<Template>),
    ) -> Result<Vec<Template>, AccountReadError> {
        let name = sender.account();
        let mut lists = 0;
        loop {
            let asked_at = self.now();
            let mut templates = self.list_templates(sender).await?;
            correct(&mut templates);
            let listed = AccountInput::Listed {
                templates: templates.clone(),
                asked_at,
            };
            self.apply_account(sender, &listed).await?;
            lists += 1;
            let told = self.inner.accounts.known(&name).account.template_news_at;
            if told.is_none_or(|told| told < asked_at) || lists >= LISTS_MAX {
                return Ok(templates);
            }
        }
    }

    /// Every template of a sender's account, as its provider lists them.
    ///
    /// # Errors
    /// [`AccountReadError`].
    pub async fn list_templates(&self, sender: &Sender) -> Result<Vec<Template>, AccountReadError> {
        let api = sender.provider.account_api().ok_or(AccountReadError::NoAccount)?;
        let (mut templates, is_whole) = self.template_pages(api, None).await?;
        if !is_whole || templates.len() > TEMPLATES_MAX {
            // Of more than can be remembered, the one that carries codes comes first.
            let (mut of_codes, _) = self.template_pages(api, Some(api.template())).await?;
            of_codes.append(&mut templates);
            templates = of_codes;
        }
        Ok(templates)
    }

    /// Templates, of one name or of all, and whether that is every one of them.
    async fn template_pages(&self, api: &dyn AccountApi, name: Option<&str>) -> Result<(Vec<Template>, bool), AccountReadError> {
        let (mut templates, mut next) = (Vec::new(), None);
        for _ in 0..TEMPLATE_PAGES_MAX {
            let request = api.templates(name, next.as_deref());
            let page = self.ask(api, request, |api, answer| api.templates_of(answer)).await?;
            templates.extend(page.templates);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        Ok((templates, next.is_none()))
    }

    /// Makes a request about an account and reads its answer.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn ask<T>(
        &self,
        api: &dyn AccountApi,
        request: HttpRequest,
        read: impl FnOnce(&dyn AccountApi, &crate::contract::provider::HttpResponse) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        match self.inner.egress.send(request, ACCOUNT_DEADLINE_MS).await {
            Ok(answer) => read(api, &answer),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "a request about an account went unanswered");
                Err(AccountError::Unanswered)
            }
        }
    }

    /// Loads what the store knows of accounts and of whom they wrote to. A server does so before its first answer: an open
    /// breaker must not be forgotten for a moment because somebody restarted it. What cannot be loaded is loaded later.
    pub async fn load_accounts(&self) {
        if self.inner.accounts.loaded.load(Ordering::Acquire) {
            return;
        }
        let (now, mut complete) = (self.now(), true);
        for name in self.directory().accounts() {
            let account = match self.inner.store.account(&name).await {
                Ok(None) => Account::default(),
                Ok(Some(loaded)) => {
                    let (version, account) = (Some(loaded.version), loaded.value);
                    let known = Known {
                        version,
                        account: account.clone(),
                    };
                    self.inner.accounts.keep(&name, known);
                    account
                }
                Err(error) => {
                    tracing::warn!(account.name = name.as_str(), error = %chain(&error), "an account could not be loaded");
                    complete = false;
                    continue;
                }
            };
            complete &= self.load_people(&name, &account, oldest_hour(now)).await;
        }
        self.inner.accounts.loaded.store(complete, Ordering::Release);
    }

    /// Takes over whom an account wrote to since an hour, as every process wrote it down; `false`: it could not be read.
    async fn load_people(&self, name: &AccountName, account: &Account, since: u32) -> bool {
        let portfolio = portfolio(name, account);
        match self.inner.store.written(&portfolio, since, WRITTEN_MAX).await {
            Ok(hours) => {
                let mut written = self.inner.accounts.written.lock().unwrap_or_else(PoisonError::into_inner);
                let people = written.entry(portfolio).or_default();
                for Written { hour, recipients, .. } in hours {
                    for recipient in recipients {
                        people.add(recipient, hour);
                    }
                }
                true
            }
            Err(error) => {
                tracing::warn!(account.name = name.as_str(), error = %chain(&error), "whom an account wrote to could not be read");
                false
            }
        }
    }

    /// Writes down whom accounts wrote to since the last time. What was not written yet is kept until it is: the store takes
    /// the same twice.
    pub(crate) async fn write_written(&self) {
        let locked = || self.inner.accounts.written.lock().unwrap_or_else(PoisonError::into_inner);
        let pending: Vec<_> = {
            let written = locked();
            let some = written.iter().filter(|(_, people)| !people.unwritten.is_empty());
            some.map(|(portfolio, people)| (portfolio.clone(), people.unwritten.clone()))
                .collect()
        };
        for (portfolio, pairs) in pending {
            let mut by_hour: HashMap<u32, Vec<u64>> = HashMap::new();
            for (hour, recipient) in &pairs {
                by_hour.entry(*hour).or_default().push(*recipient);
            }
            let mut is_written = true;
            for (hour, recipients) in by_hour {
                let written = Written {
                    portfolio: portfolio.clone(),
                    hour,
                    recipients,
                };
                if let Err(error) = self.inner.store.add_written(&written).await {
                    tracing::warn!(error = %chain(&error), "whom an account wrote to could not be written down yet");
                    is_written = false;
                }
            }
            if is_written && let Some(people) = locked().get_mut(&portfolio) {
                // Others were added behind them meanwhile.
                people.unwritten.drain(..pairs.len());
            }
        }
    }

    /// The language of a message's template, where a document still knows the message.
    pub(crate) fn language_of(document: &Recipient, message: tapcode_core::id::MessageId) -> Option<&str> {
        document.attempt(message).and_then(|(_, attempt)| attempt.language.as_deref())
    }
}

/// Under which name a reading is counted among the probes.
fn reading_of(sender: &Sender) -> BreakerScope {
    BreakerScope::Template {
        name: format!("the reading of sender {}", sender.id).into(),
        language: None,
    }
}

/// Why an account was not read.
#[derive(Debug, thiserror::Error)]
pub enum AccountReadError {
    /// The sender's provider has no accounts that can be asked about.
    #[error("the sender's provider has no account that can be asked about")]
    NoAccount,
    /// The provider did not say.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// What it said could not be written down.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The word for what was decided about an account, for metrics and logs.
pub(crate) const fn word(decision: &AccountDecision) -> &'static str {
    match decision {
        AccountDecision::BreakerOpened { .. } => "breaker_opened",
        AccountDecision::BreakerClosed { .. } => "breaker_closed",
        AccountDecision::TemplateStatus { .. } => "template_status",
        AccountDecision::Told { .. } => "told",
    }
}

impl Provider {
    /// Management of the account, where the provider has it.
    #[must_use]
    pub fn account_api(&self) -> Option<&dyn AccountApi> {
        match self {
            Self::Http(provider) => provider.account_api(),
            Self::Session(_) => None,
        }
    }

    fn serves(&self, country: Country) -> bool {
        match self {
            Self::Http(provider) => provider.serves(country),
            Self::Session(_) => true,
        }
    }

    fn spacing_ms(&self) -> u64 {
        match self {
            Self::Http(provider) => provider.spacing_ms(),
            Self::Session(_) => 0,
        }
    }

    fn messages_per_second(&self) -> Option<u32> {
        match self {
            Self::Http(provider) => provider.messages_per_second(),
            Self::Session(_) => None,
        }
    }

    /// The simulated phones' troubles are theirs alone.
    fn has_breaker(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Session(provider) => provider.has_breaker(),
        }
    }
}
