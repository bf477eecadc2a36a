//! What is configured: services with their policy, senders with their providers, and how a workflow becomes a plan.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tapcode_core::account::AccountName;
use tapcode_core::code::Code;
use tapcode_core::money::Currency;
use tapcode_core::number::{Country, Number};
use tapcode_core::plan::{Channel, IdentityChange, Plan, Route, Skip, SkipReason, Step};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::sender::{SenderKind, not_allowed};
use tapcode_core::text::OwnText;
use tapcode_core::verification::Limits;
use tapcode_core::words::skipped;
use tokio::sync::Semaphore;

use crate::contract::account::App;
use crate::contract::provider::{HttpProvider, SessionProvider};
use crate::pace::Pace;
use crate::sms_prices::PriceList;

/// Calls to one sender's provider that are under way at once, unless the configuration says otherwise.
pub const CALLS_PER_SENDER: usize = 256;
/// How many messages a second look again whether a sender with no call to spare has one: each place four times.
pub const LOOKS_PER_SENDER_S: u32 = 1_024;
/// How long a call to a provider may take, unless the configuration says otherwise. Milliseconds; below the core's
/// `CALL_ANSWER_MS`, so that an answer that comes is always the first to be written down.
pub const CALL_DEADLINE_MS: u64 = 10_000;
/// The sender of test mode: never a configured one, those start at 1.
pub const SANDBOX_SENDER: u32 = 0;
/// The wait of a step that names none, in milliseconds: the ten seconds of the document that this project started from.
pub const WAIT_MS_DEFAULT: u32 = 10_000;

/// One step of a workflow, as configured or asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowStep {
    /// The medium.
    pub channel: Channel,
    /// The sender; `None`: the service's own for that channel.
    pub sender: Option<u32>,
    /// The wait; `None`: [`WAIT_MS_DEFAULT`].
    pub wait_ms: Option<u32>,
}

/// An application or brand with its own policy.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What its messages call it.
    pub brand: Box<str>,
    /// The language of its messages where neither request nor country tells, BCP 47.
    pub default_locale: Box<str>,
    /// Digits of its codes.
    pub code_length: u8,
    /// How long its codes live. Milliseconds.
    pub code_ttl_ms: u64,
    /// Its limits.
    pub limits: Limits,
    /// Whether callers may bring their own codes.
    pub own_codes: bool,
    /// Its workflow.
    pub workflow: Vec<WorkflowStep>,
    /// Its workflow in some countries.
    pub workflows: Vec<(Vec<Country>, Vec<WorkflowStep>)>,
    /// Numbers whose code is fixed under a test key.
    pub test_numbers: Vec<(Number, Code)>,
    /// What follows when the holder of a number has changed on a channel.
    pub identity_change: IdentityChange,
    /// Its Android apps: codes are handed to them by WhatsApp's buttons and by SMS Retriever.
    pub apps: Vec<App>,
    /// Its own texts for codes by SMS, one for each locale; in other languages the built-in ones are sent.
    pub texts: Vec<OwnText>,
}

impl Service {
    /// Its workflow for numbers of a country.
    #[must_use]
    pub fn steps(&self, country: Country) -> &[WorkflowStep] {
        let by_country = self.workflows.iter().find(|(countries, _)| countries.contains(&country));
        by_country.map_or(&self.workflow, |(_, steps)| steps)
    }
}

/// Whoever carries a sender's messages.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Spoken to by HTTP requests.
    Http(Arc<dyn HttpProvider>),
    /// Spoken to over a session.
    Session(Arc<dyn SessionProvider>),
}

impl Provider {
    /// Its name in the configuration.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Http(provider) => provider.manifest().id,
            Self::Session(provider) => provider.manifest().id,
        }
    }
}

/// A WhatsApp account or an SMS number of ours.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Its medium.
    pub channel: Channel,
    /// Its id in the configuration.
    pub id: u32,
    /// Who carries its messages.
    pub provider: Provider,
    /// How many calls may be under way at once.
    pub calls: Arc<Semaphore>,
    /// How long a call may take. Milliseconds.
    pub deadline_ms: u64,
    /// Whether it carries codes only.
    pub codes_only: bool,
    /// Its number or name, as people know it.
    pub number: Option<Box<str>>,
    /// Names of templates that may be sent from it as plain messages and the languages they have; empty: any.
    pub template: Option<Box<str>>,
    /// Messages a second, where the configuration says so; otherwise what its provider takes.
    pub messages_per_second: Option<u32>,
    /// How fast it went.
    pub pace: Arc<Pace>,
    /// What its messages are billed in.
    pub currency: Currency,
    /// What its text messages cost where its provider does not say so.
    pub prices: Option<Arc<PriceList>>,
    /// The countries that it is kept for; `None`: all.
    pub countries: Option<Vec<Country>>,
    /// Where it is registered.
    pub registered_in: Vec<Country>,
}

impl Sender {
    /// A sender with the default bounds.
    #[must_use]
    pub fn new(channel: Channel, id: u32, provider: Provider) -> Self {
        Self {
            channel,
            id,
            provider,
            calls: Arc::new(Semaphore::new(CALLS_PER_SENDER)),
            deadline_ms: CALL_DEADLINE_MS,
            codes_only: false,
            number: None,
            template: None,
            messages_per_second: None,
            pace: Arc::default(),
            currency: Currency::USD,
            prices: None,
            countries: None,
            registered_in: Vec::new(),
        }
    }

    /// The account at its provider: senders that share it share its breakers, templates and limits.
    #[must_use]
    pub fn account(&self) -> AccountName {
        let of_provider = self.provider.account_api().map(crate::contract::account::AccountApi::account);
        of_provider.unwrap_or_else(|| {
            AccountName::parse(&sender_name(self.channel, self.id)).expect("a sender's name is a short visible text")
        })
    }

    /// Why it may never carry a message to a number: known before anything is asked of its provider, or paid for.
    #[must_use]
    pub fn never_to(&self, to: &Number) -> Option<Skip> {
        if self.channel != Channel::Sms {
            return None;
        }
        let country = to.country();
        if self.countries.as_ref().is_some_and(|countries| !countries.contains(&country)) {
            return Some(Skip::because(SkipReason::SenderCountries));
        }
        let kind = SenderKind::of(self.number.as_deref());
        if let Some(why) = not_allowed(kind, country, self.registered_in.contains(&country)) {
            return Some(Skip {
                reason: SkipReason::Sender,
                detail: why.to_string().into(),
            });
        }
        to.is_landline().then(|| Skip::because(SkipReason::Landline))
    }

    /// Its route.
    #[must_use]
    pub fn route(&self) -> Route {
        Route {
            channel: self.channel,
            sender: self.id,
            provider: self.provider.id().into(),
        }
    }
}

/// How a route's sender is named in a store's handles.
#[must_use]
pub fn sender_name(channel: Channel, id: u32) -> String {
    format!("{channel}:{id}")
}

/// Why a workflow is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The service has nobody on this channel.
    #[error("no sender is configured for the channel {0}; leave the step out or configure one")]
    NoSender(Channel),
    /// That sender is not configured.
    #[error("no sender {1} is configured for the channel {0}")]
    UnknownSender(Channel, u32),
    /// No step of it may carry a message to the number, each for its reason.
    #[error("no step of the workflow may carry a message to this number: {}", each(.0))]
    NoneMay(Vec<(Route, Skip)>),
    /// No step, too many, or too long a wait.
    #[error("a workflow has 1 to 8 steps, each with a wait_ms of at most 600000")]
    Size,
}

/// Routes and why they may not be taken, for people.
fn each(passed_over: &[(Route, Skip)]) -> String {
    let each = passed_over
        .iter()
        .map(|(route, skip)| format!("{} sender {}, {}", route.channel, route.sender, skipped(skip)));
    each.collect::<Vec<_>>().join("; ")
}

/// The plan of a new verification, and what of its workflow is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The routes that may be taken.
    pub plan: Plan,
    /// The others, with why.
    pub passed_over: Vec<(Route, Skip)>,
}

/// Everything that is configured and that a decision looks at. Replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    services: HashMap<ServiceName, Arc<Service>>,
    senders: HashMap<(Channel, u32), Arc<Sender>>,
}

impl Directory {
    /// From services and senders. A sender with id [`SANDBOX_SENDER`] per channel serves test mode.
    #[must_use]
    pub fn new(services: Vec<Service>, senders: Vec<Sender>) -> Self {
        Self {
            services: services.into_iter().map(|s| (s.name.clone(), Arc::new(s))).collect(),
            senders: senders.into_iter().map(|s| ((s.channel, s.id), Arc::new(s))).collect(),
        }
    }

    /// A service by name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// All services, by name.
    #[must_use]
    pub fn services(&self) -> Vec<&Arc<Service>> {
        let mut all: Vec<_> = self.services.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// A sender.
    #[must_use]
    pub fn sender(&self, channel: Channel, id: u32) -> Option<&Arc<Sender>> {
        self.senders.get(&(channel, id))
    }

    /// All senders, by channel and id.
    #[must_use]
    pub fn senders(&self) -> Vec<&Arc<Sender>> {
        let mut all: Vec<_> = self.senders.values().collect();
        all.sort_by_key(|s| (s.channel, s.id));
        all
    }

    /// All accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountName> {
        let mut all: Vec<_> = self.senders.values().map(|s| s.account()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Every sender that a service's own workflows use.
    #[must_use]
    pub fn senders_for(&self, service: &ServiceName) -> BTreeSet<(Channel, u32)> {
        let Some(service) = self.service(service) else {
            return BTreeSet::new();
        };
        let of_countries = service.workflows.iter().map(|(_, steps)| steps);
        let steps = std::iter::once(&service.workflow).chain(of_countries).flatten();
        let sender = |step: &WorkflowStep| {
            let id = step.sender.or_else(|| self.own_sender(service, step.channel).map(|s| s.id))?;
            Some((step.channel, id))
        };
        steps.filter_map(sender).collect()
    }

    /// The services whose workflows use any sender of an account.
    #[must_use]
    pub fn services_of(&self, account: &AccountName) -> Vec<&Arc<Service>> {
        let senders: BTreeSet<_> = self
            .senders
            .values()
            .filter(|s| s.account() == *account)
            .map(|s| (s.channel, s.id))
            .collect();
        let mut all = self.services();
        all.retain(|service| !self.senders_for(&service.name).is_disjoint(&senders));
        all
    }

    /// The ids of the senders that share an account, in order.
    #[must_use]
    pub fn senders_of(&self, account: &AccountName) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .senders
            .values()
            .filter(|s| s.account() == *account)
            .map(|s| s.id)
            .collect();
        all.sort_unstable();
        all
    }

    /// The other senders of a sender's account, by id.
    #[must_use]
    pub fn siblings(&self, sender: &Sender) -> Vec<Arc<Sender>> {
        if sender.provider.account_api().is_none() {
            return Vec::new();
        }
        let is_one = |s: &&Arc<Sender>| {
            s.channel == sender.channel
                && s.id != sender.id
                && s.provider.account_api().is_some()
                && s.provider.id() == sender.provider.id()
        };
        let mut all: Vec<_> = self.senders.values().filter(is_one).cloned().collect();
        all.sort_by_key(|s| s.id);
        all
    }

    /// The plan of a new verification: the workflow asked for, else the country's, else the service's; in test mode
    /// every step goes to the sandbox. A phone known to have no WhatsApp skips WhatsApp where something else is left. Steps
    /// whose sender may never send to the number are left out.
    ///
    /// # Errors
    /// [`PlanError`] names the step that cannot be taken.
    pub fn plan(
        &self,
        service: &Service,
        mode: Mode,
        to: &Number,
        asked: Option<&[WorkflowStep]>,
        whatsapp_installed: Option<bool>,
    ) -> Result<Planned, PlanError> {
        let workflow = asked.unwrap_or_else(|| service.steps(to.country()));
        let mut passed_over = Vec::new();
        let mut steps = Vec::with_capacity(workflow.len());
        for step in workflow {
            let sender = match (mode, step.sender) {
                (Mode::Test, _) => self
                    .sender(step.channel, SANDBOX_SENDER)
                    .ok_or(PlanError::NoSender(step.channel))?,
                (Mode::Live, Some(id)) => self
                    .sender(step.channel, id)
                    .filter(|s| s.id != SANDBOX_SENDER)
                    .ok_or(PlanError::UnknownSender(step.channel, id))?,
                (Mode::Live, None) => self
                    .own_sender(service, step.channel)
                    .ok_or(PlanError::NoSender(step.channel))?,
            };
            if let Some(skip) = sender.never_to(to).filter(|_| mode == Mode::Live) {
                passed_over.push((sender.route(), skip));
                continue;
            }
            steps.push(Step {
                route: sender.route(),
                wait_ms: step.wait_ms.unwrap_or(WAIT_MS_DEFAULT),
            });
        }
        if steps.is_empty() && !passed_over.is_empty() {
            return Err(PlanError::NoneMay(passed_over));
        }
        if whatsapp_installed == Some(false) && steps.iter().any(|s| s.route.channel != Channel::Whatsapp) {
            steps.retain(|s| s.route.channel != Channel::Whatsapp);
        }
        let plan = Plan::new(steps).ok_or(PlanError::Size)?;
        Ok(Planned {
            plan: plan.on_identity_change(service.identity_change),
            passed_over,
        })
    }

    /// The sender that a text message to a number would have: that of the workflow's first SMS step that may carry it.
    #[must_use]
    pub fn text_sender(&self, service: &Service, to: &Number) -> Option<&Arc<Sender>> {
        let steps = service.steps(to.country()).iter().filter(|s| s.channel == Channel::Sms);
        let mut senders = steps.filter_map(|step| match step.sender {
            Some(id) => self.sender(Channel::Sms, id),
            None => self.own_sender(service, Channel::Sms),
        });
        senders.find(|sender| sender.never_to(to).is_none())
    }

    /// The sender that a service's own workflows use on a channel, else the only configured one.
    fn own_sender(&self, service: &Service, channel: Channel) -> Option<&Arc<Sender>> {
        let of_workflows = std::iter::once(&service.workflow).chain(service.workflows.iter().map(|(_, steps)| steps));
        let named = of_workflows.flatten().find(|s| s.channel == channel).and_then(|s| s.sender);
        if let Some(id) = named {
            return self.sender(channel, id);
        }
        let mut all = self
            .senders
            .values()
            .filter(|s| s.channel == channel && s.id != SANDBOX_SENDER);
        all.next().filter(|_| all.next().is_none())
    }
}
