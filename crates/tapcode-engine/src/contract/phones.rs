//! What does the page of simulated phones need to know and change? Implemented by the sandbox provider.

use std::fmt;

use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::time::Timestamp;
use tokio::sync::broadcast;

/// Most phones that the sandbox keeps; the one that was silent the longest leaves first.
pub const PHONES_MAX: usize = 48;
/// Most messages kept per phone; the oldest leaves first.
pub const PHONE_MESSAGES_MAX: usize = 40;

/// What the network does with messages to a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// They arrive, and a receipt says so.
    Normal,
    /// They never arrive, and nobody says anything.
    Never,
    /// They arrive after [`LATE_MS`].
    Late,
    /// They arrive, and every receipt comes twice.
    Duplicate,
    /// The call to the provider fails with a 503 that sent nothing.
    ProviderDown,
}

/// How late a late message is, in milliseconds: past the default wait for the fallback.
pub const LATE_MS: u64 = 15_000;

/// The network around one phone. What `deliver` says holds for WhatsApp; SMS always arrives, so that a fallback has somewhere to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Whether the number is on WhatsApp at all; when not, a send is accepted and fails a moment later with 131026, as Meta does.
    pub whatsapp: bool,
    /// Added to every delivery, on both channels. Milliseconds, at most 60,000.
    pub delay_ms: u32,
    /// What happens to WhatsApp messages.
    pub deliver: Deliver,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            whatsapp: true,
            delay_ms: 0,
            deliver: Deliver::Normal,
        }
    }
}

/// Whether a message has reached the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// On its way.
    Pending,
    /// On the phone.
    Arrived,
    /// It never will be.
    Lost,
}

/// A message on a simulated phone. It shows the code: this is the user's own screen.
#[derive(Clone)]
pub struct PhoneMessage {
    /// Our id of the message, as text.
    pub id: String,
    /// How it came.
    pub channel: Channel,
    /// Who the phone says it is from.
    pub sender: String,
    /// Where it is.
    pub arrival: Arrival,
    /// When it arrived, or was sent.
    pub at: Timestamp,
    /// The code to copy, where the message has one.
    pub code: Option<String>,
    /// The text; `*bold*` as WhatsApp writes it.
    pub body: String,
    /// The grey line below, on WhatsApp.
    pub footer: Option<String>,
    /// The copy-code button's text, on WhatsApp.
    pub button: Option<String>,
    /// Whether the user opened it.
    pub read: bool,
}

impl fmt::Debug for PhoneMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneMessage")
            .field("id", &self.id)
            .field("arrival", &self.arrival)
            .finish_non_exhaustive()
    }
}

/// A simulated phone.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its number.
    pub number: Number,
    /// The network around it.
    pub network: Network,
    /// Its messages, oldest first.
    pub messages: Vec<PhoneMessage>,
}

/// The simulated phones.
pub trait Phones: Send + Sync + fmt::Debug + 'static {
    /// All of them, in the order they were added.
    fn all(&self) -> Vec<Phone>;

    /// Adds a phone unless it is there; returns it.
    fn add(&self, number: &Number) -> Phone;

    /// Changes the network around a phone, adding the phone if need be.
    fn set_network(&self, number: &Number, network: Network);

    /// The user opened a message: a WhatsApp message that had arrived is reported as read. `false`: no such message.
    fn open(&self, message: &str) -> bool;

    /// Phones as they change from now on. A slow reader misses some and should ask for [`Phones::all`] again.
    fn changes(&self) -> broadcast::Receiver<Phone>;
}
