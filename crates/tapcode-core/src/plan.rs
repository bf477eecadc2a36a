//! Over which routes does a verification travel, in which order, and how long does it wait on each?

use std::fmt;

/// Most steps of a plan: enough for every channel twice over, and a bound on what one verification can cost.
pub const PLAN_STEPS_MAX: usize = 8;
/// Longest wait on one step, in milliseconds: the longest life of a verification.
pub const WAIT_MS_MAX: u32 = 600_000;

/// The medium of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A text message.
    Sms,
    /// A WhatsApp authentication template.
    Whatsapp,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sms, Self::Whatsapp];

    /// The word for it in JSON, configuration and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sms" => Some(Self::Sms),
            "whatsapp" => Some(Self::Whatsapp),
            _ => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A channel and the sender that speaks on it, by the number that the configuration gave the sender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The medium.
    pub channel: Channel,
    /// The id of a WhatsApp account or of an SMS number in the configuration.
    pub sender: u32,
    /// Whose API carries it, for example `whatsapp_cloud`; kept for people and statistics.
    pub provider: Box<str>,
}

/// Why a route is passed over although a plan names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// The number is known not to be on the channel.
    NotOnChannel,
    /// A breaker keeps messages away from it.
    Breaker,
    /// Its template may not be sent in any language.
    Template,
    /// Its account has written to as many people today as its provider allows.
    MessagingLimit,
    /// The number had a message over it a moment ago, and its provider would refuse another.
    TooSoon,
    /// Its provider does not serve the number's country.
    Country,
    /// The number's carriers take no messages from such a sender, or none that is not registered there.
    Sender,
    /// The configuration keeps its sender for other countries.
    SenderCountries,
    /// The number is a landline, which text messages do not reach.
    Landline,
}

impl SkipReason {
    /// The word for it in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOnChannel => "not_on_channel",
            Self::Breaker => "breaker",
            Self::Template => "template",
            Self::MessagingLimit => "messaging_limit",
            Self::TooSoon => "too_soon",
            Self::Country => "country",
            Self::Sender => "sender",
            Self::SenderCountries => "sender_countries",
            Self::Landline => "landline",
        }
    }
}

/// That a route is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Why.
    pub reason: SkipReason,
    /// More of it, for people: the code of the failure that opened the breaker, the limit. Empty where there is no more.
    pub detail: Box<str>,
}

impl Skip {
    /// For a reason that says it all.
    #[must_use]
    pub fn because(reason: SkipReason) -> Self {
        Self {
            reason,
            detail: Box::default(),
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How the message goes.
    pub route: Route,
    /// How long after queueing the next step is taken unless the message was delivered or read. Milliseconds.
    pub wait_ms: u32,
}

/// Whether an automatic fallback may follow when the recipient's identity on a channel has changed: somebody else may hold
/// the number then, and an SMS would reach them too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityChange {
    /// Nothing goes out unless the caller asks for it.
    #[default]
    Hold,
    /// The next step is taken.
    FallBack,
}

/// A workflow resolved to routes, frozen when the verification begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    steps: Box<[Step]>,
    identity_change: IdentityChange,
}

impl Plan {
    /// A plan of 1 to [`PLAN_STEPS_MAX`] steps; `None` for any other number of steps or a wait over [`WAIT_MS_MAX`].
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Option<Self> {
        let fits = (1..=PLAN_STEPS_MAX).contains(&steps.len()) && steps.iter().all(|s| s.wait_ms <= WAIT_MS_MAX);
        fits.then(|| Self {
            steps: steps.into(),
            identity_change: IdentityChange::default(),
        })
    }

    /// The same steps with another answer to a changed identity.
    #[must_use]
    pub fn on_identity_change(self, identity_change: IdentityChange) -> Self {
        Self { identity_change, ..self }
    }

    /// What follows when the recipient's identity has changed.
    #[must_use]
    pub const fn identity_change(&self) -> IdentityChange {
        self.identity_change
    }

    /// The steps, in order; never empty.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step at a position, if there is one.
    #[must_use]
    pub fn step(&self, at: u8) -> Option<&Step> {
        self.steps.get(usize::from(at))
    }
}
