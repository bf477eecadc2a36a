//! Who did what as an administrator? An act, as it is kept for whoever asks later; it holds no secret, code or full number.

use std::fmt;
use std::net::IpAddr;

use crate::delivery::cut;
use crate::id::{ActId, EndpointId, KeyId};
use crate::number::Masked;
use crate::recipient::ServiceName;
use crate::time::Timestamp;

/// Longest name of what an act was done to, in bytes.
pub const OBJECT_MAX: usize = 200;
/// Longest detail of an act, in bytes.
pub const DETAIL_MAX: usize = 500;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has this API key.
    Key(KeyId),
    /// Whoever may run the program beside the database.
    CommandLine,
}

/// Who acts, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The address at the other end of the connection: a proxy's, where there is one. `None` for the command line.
    pub address: Option<IpAddr>,
}

impl By {
    /// The command line.
    pub const COMMAND_LINE: Self = Self {
        actor: Actor::CommandLine,
        address: None,
    };
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// An API key was made.
    KeyCreated,
    /// An API key was revoked.
    KeyRevoked,
    /// A webhook endpoint was made.
    EndpointCreated,
    /// A webhook endpoint was given a new secret.
    EndpointSecretRotated,
    /// A webhook endpoint is told again what it was told.
    EndpointReplayed,
    /// A webhook endpoint was enabled.
    EndpointEnabled,
    /// A webhook endpoint was deleted.
    EndpointDeleted,
    /// A template was sent to its provider; written down before the provider is asked.
    TemplateSubmitted,
    /// A template's deletion was asked of its provider; written down before the provider is asked.
    TemplateDeleted,
    /// The lock of a number was lifted.
    RecipientUnlocked,
    /// What is kept about a number was erased.
    RecipientErased,
    /// What is kept about a number was handed out.
    RecipientExported,
}

impl Deed {
    /// All of them, in this order.
    pub const ALL: &'static [Self] = &[
        Self::KeyCreated,
        Self::KeyRevoked,
        Self::EndpointCreated,
        Self::EndpointSecretRotated,
        Self::EndpointReplayed,
        Self::EndpointEnabled,
        Self::EndpointDeleted,
        Self::TemplateSubmitted,
        Self::TemplateDeleted,
        Self::RecipientUnlocked,
        Self::RecipientErased,
        Self::RecipientExported,
    ];

    /// Its word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "key.created",
            Self::KeyRevoked => "key.revoked",
            Self::EndpointCreated => "webhook_endpoint.created",
            Self::EndpointSecretRotated => "webhook_endpoint.secret_rotated",
            Self::EndpointReplayed => "webhook_endpoint.replayed",
            Self::EndpointEnabled => "webhook_endpoint.enabled",
            Self::EndpointDeleted => "webhook_endpoint.deleted",
            Self::TemplateSubmitted => "template.submitted",
            Self::TemplateDeleted => "template.deleted",
            Self::RecipientUnlocked => "recipient.unlocked",
            Self::RecipientErased => "recipient.erased",
            Self::RecipientExported => "recipient.exported",
        }
    }
}

/// What it was done to. There is no way to name a number but masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// An API key.
    Key(KeyId),
    /// A webhook endpoint.
    Endpoint(EndpointId),
    /// A template of an account.
    Template {
        /// The account's number in the configuration.
        account: u32,
        /// The template's name.
        name: Box<str>,
    },
    /// A number.
    Recipient(Masked),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Endpoint(id) => id.fmt(f),
            Self::Template { account, name } => write!(f, "whatsapp:{account}/{name}"),
            Self::Recipient(masked) => f.write_str(masked.as_str()),
        }
    }
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Its name.
    pub id: ActId,
    /// When.
    pub at: Timestamp,
    /// By whom, and from where.
    pub by: By,
    /// What.
    pub deed: Deed,
    /// To what: an id, an account and a template's name, a masked number. At most [`OBJECT_MAX`] bytes.
    pub object: Box<str>,
    /// The service that it concerns, if it concerns one.
    pub service: Option<ServiceName>,
    /// What else there is to know, for people. At most [`DETAIL_MAX`] bytes.
    pub detail: Box<str>,
}

impl Act {
    /// An act at a moment, named by sixteen random bytes.
    #[must_use]
    pub fn new(at: Timestamp, random: [u8; 16], by: By, deed: Deed, object: &Object) -> Self {
        Self {
            id: ActId::new(at, random),
            at,
            by,
            deed,
            object: cut(&object.to_string(), OBJECT_MAX).into(),
            service: None,
            detail: "".into(),
        }
    }

    /// With the service that it concerns.
    #[must_use]
    pub fn of(mut self, service: Option<ServiceName>) -> Self {
        self.service = service;
        self
    }

    /// With what else there is to know: never a secret, a code or a full number.
    #[must_use]
    pub fn with(mut self, detail: &str) -> Self {
        self.detail = cut(detail, DETAIL_MAX).into();
        self
    }
}
