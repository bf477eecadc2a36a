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

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How the message goes.
    pub route: Route,
    /// How long after queueing the next step is taken unless the message was delivered or read. Milliseconds.
    pub wait_ms: u32,
}

/// A workflow resolved to routes, frozen when the verification begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Box<[Step]>);

impl Plan {
    /// A plan of 1 to [`PLAN_STEPS_MAX`] steps; `None` for any other number of steps or a wait over [`WAIT_MS_MAX`].
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Option<Self> {
        let fits = (1..=PLAN_STEPS_MAX).contains(&steps.len()) && steps.iter().all(|s| s.wait_ms <= WAIT_MS_MAX);
        fits.then(|| Self(steps.into()))
    }

    /// The steps, in order; never empty.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The step at a position, if there is one.
    #[must_use]
    pub fn step(&self, at: u8) -> Option<&Step> {
        self.0.get(usize::from(at))
    }
}
