//! How are phones, messages and decisions written for the page? The shapes that `phone.js` draws.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tapcode_core::id::{MessageId, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::time::Timestamp;
use tapcode_core::words::Told;
use tapcode_engine::contract::phones::{Arrival, Deliver, Network, Phone, PhoneMessage};

use super::Page;
use crate::api::time::Moment;

#[derive(Serialize)]
pub(super) struct ShownSnapshot {
    brand: String,
    phones: Vec<ShownPhone>,
}

#[derive(Serialize)]
pub(super) struct ShownPhone {
    number: String,
    network: ShownNetwork,
    messages: Vec<ShownMessage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownNetwork {
    whatsapp: bool,
    delay_ms: u32,
    deliver: ShownDeliver,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShownDeliver {
    Normal,
    Never,
    Late,
    Duplicate,
    ProviderDown,
}

#[derive(Serialize)]
struct ShownMessage {
    id: String,
    verification_id: Option<String>,
    channel: &'static str,
    sender: String,
    status: &'static str,
    at: Moment,
    code: Option<String>,
    body: String,
    footer: Option<String>,
    button: Option<ShownButton>,
    read: bool,
}

#[derive(Serialize)]
struct ShownButton {
    kind: &'static str,
    text: String,
}

#[derive(Serialize)]
pub(super) struct ShownDecision {
    at: Moment,
    number: String,
    verification_id: Option<String>,
    kind: &'static str,
    title: String,
    why: String,
}

impl Page {
    /// Every phone as it is now.
    pub(super) async fn snapshot(&self) -> ShownSnapshot {
        let brand = self
            .engine
            .directory()
            .service(&self.console.service)
            .map(|s| s.brand.to_string());
        let mut phones = Vec::new();
        for phone in self.console.phones.all() {
            phones.push(self.phone(phone).await);
        }
        ShownSnapshot {
            brand: brand.unwrap_or_default(),
            phones,
        }
    }

    /// A phone, each message with the verification it belongs to, where that is one of the page's own service.
    pub(super) async fn phone(&self, phone: Phone) -> ShownPhone {
        let of = self.verifications_of(&phone.number).await;
        let messages = phone
            .messages
            .into_iter()
            .map(|message| shown_message(message, &of))
            .collect();
        ShownPhone {
            number: phone.number.expose().to_owned(),
            network: phone.network.into(),
            messages,
        }
    }

    async fn verifications_of(&self, number: &Number) -> HashMap<MessageId, VerificationId> {
        let key = self.engine.keyring().recipient_key(&self.console.scope(), number);
        // A store that cannot be asked leaves the page without these names; the timeline brings them later.
        let document = self.engine.store().load(&key).await.ok().flatten().map(|loaded| loaded.value);
        let verifications = document.into_iter().flat_map(|d| d.verifications);
        verifications
            .flat_map(|v| v.attempts.iter().map(|a| (a.id, v.id)).collect::<Vec<_>>())
            .collect()
    }
}

fn shown_message(message: PhoneMessage, verifications: &HashMap<MessageId, VerificationId>) -> ShownMessage {
    let verification = MessageId::parse(&message.id).ok().and_then(|id| verifications.get(&id));
    ShownMessage {
        verification_id: verification.map(ToString::to_string),
        channel: message.channel.as_str(),
        sender: message.sender,
        status: match message.arrival {
            Arrival::Pending => "pending",
            Arrival::Arrived => "arrived",
            Arrival::Lost => "lost",
        },
        at: Moment(message.at),
        code: message.code,
        body: message.body,
        footer: message.footer,
        button: message.button.map(|text| ShownButton { kind: "copy_code", text }),
        read: message.read,
        id: message.id,
    }
}

impl ShownDecision {
    pub(super) fn new(at: Timestamp, number: &str, verification: Option<VerificationId>, told: Told) -> Self {
        Self {
            at: Moment(at),
            number: number.to_owned(),
            verification_id: verification.map(|id| id.to_string()),
            kind: told.kind.as_str(),
            title: told.title,
            why: told.why,
        }
    }
}

impl From<Network> for ShownNetwork {
    fn from(network: Network) -> Self {
        let deliver = match network.deliver {
            Deliver::Normal => ShownDeliver::Normal,
            Deliver::Never => ShownDeliver::Never,
            Deliver::Late => ShownDeliver::Late,
            Deliver::Duplicate => ShownDeliver::Duplicate,
            Deliver::ProviderDown => ShownDeliver::ProviderDown,
        };
        Self {
            whatsapp: network.whatsapp,
            delay_ms: network.delay_ms,
            deliver,
        }
    }
}

impl From<ShownNetwork> for Network {
    fn from(network: ShownNetwork) -> Self {
        let deliver = match network.deliver {
            ShownDeliver::Normal => Deliver::Normal,
            ShownDeliver::Never => Deliver::Never,
            ShownDeliver::Late => Deliver::Late,
            ShownDeliver::Duplicate => Deliver::Duplicate,
            ShownDeliver::ProviderDown => Deliver::ProviderDown,
        };
        Self {
            whatsapp: network.whatsapp,
            delay_ms: network.delay_ms,
            deliver,
        }
    }
}
