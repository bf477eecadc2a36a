//! What does a provider's hook or session tell, and where does it belong?

use tapcode_core::delivery::{PROVIDER_MESSAGE_ID_MAX, ReceiptFacts, ReceiptKind, cut};
use tapcode_core::entry::Refusal;
use tapcode_core::id::MessageId;
use tapcode_core::recipient::{Recipient, RecipientKey};
use tapcode_core::step::Input;
use tapcode_core::time::Timestamp;
use tokio::task::JoinSet;

use crate::call::chain;
use crate::contract::provider::{Billing, Heard, HookError, IDENTITY_MAX, InboundHook, Receipt};
use crate::contract::store::{Parked, ToldReceipt};
use crate::engine::{Engine, EngineError, route_of};
use crate::keyring::Use;
use crate::rates::Category;
use crate::service::{Provider, Sender, sender_name};
use tapcode_core::money::Money;
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, Route};

/// How long a receipt waits for its message to be known. Milliseconds.
pub const PARKED_MS: u64 = 600_000;
/// How old a receipt may be by the provider's own clock; an older one is a replay, or about what nobody remembers.
/// Milliseconds: the 7 days over which Meta repeats a hook that was not taken
/// (<https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview>, read 2026-11-22).
pub const RECEIPT_AGE_MS_MAX: u64 = 7 * 86_400_000;
/// Receipts of one hook or session applied at once: enough to fill a batch, few enough to leave room for callers.
pub(crate) const RECEIPTS_AT_ONCE: usize = 128;

/// Why a hook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not what it should be: it is refused, and changes nothing.
    #[error("the hook is refused")]
    Refused(#[from] HookError),
    /// The provider has no hooks.
    #[error("this sender's provider calls no hooks")]
    NoHooks,
    /// What it tells could not be made durable: the provider is asked to come again.
    #[error("the store is unavailable")]
    Unavailable(#[source] EngineError),
}

impl Engine {
    /// Takes a hook: once this returns `Ok`, every receipt in it is durable. Returns how many there were.
    ///
    /// # Errors
    /// [`ReceiveError`]. A hook that was taken in part and is sent again does no harm: a receipt twice is one fact.
    pub async fn hook(&self, sender: &Sender, hook: &InboundHook) -> Result<usize, ReceiveError> {
        let Provider::Http(provider) = &sender.provider else {
            return Err(ReceiveError::NoHooks);
        };
        // Meta tells one address of everything about an app, so that what is said there may be about its other senders and
        // accounts. Each looks for its own, under its own secret.
        let own = match provider.heard(hook, sender.id) {
            Err(HookError::Foreign) => None,
            heard => Some(heard?),
        };
        let mut taken = None;
        // News is of an account: whoever of its senders hears it first takes it.
        let mut told = Vec::new();
        if let Some(heard) = own {
            told.push(sender.account());
            taken = Some(self.take(sender, heard).await?);
        }
        for sibling in self.directory().siblings(sender) {
            let Provider::Http(provider) = &sibling.provider else {
                continue;
            };
            if let Ok(heard) = provider.heard(hook, sibling.id) {
                let account = sibling.account();
                let news = if told.contains(&account) { Vec::new() } else { heard.news };
                told.push(account);
                let receipts = heard.receipts;
                taken = Some(taken.unwrap_or(0) + self.take(&sibling, Heard { receipts, news }).await?);
            }
        }
        taken.ok_or(ReceiveError::Refused(HookError::Foreign))
    }

    /// Makes what was heard about a sender durable; returns how much it was.
    async fn take(&self, sender: &Sender, heard: Heard) -> Result<usize, ReceiveError> {
        let Heard { mut receipts, news } = heard;
        arrivals_first(&mut receipts, |receipt| &receipt.kind);
        let taken = receipts.len() + news.len();
        if !news.is_empty() {
            self.hear_news(sender, news).await.map_err(ReceiveError::Unavailable)?;
        }
        let name = sender_name(sender.channel, sender.id);
        if receipts.len() <= 1 {
            for receipt in receipts {
                self.receive(&name, receipt).await.map_err(ReceiveError::Unavailable)?;
            }
            return Ok(taken);
        }
        let mut applying = JoinSet::new();
        for receipt in receipts {
            if applying.len() >= RECEIPTS_AT_ONCE {
                applied(applying.join_next().await)?;
            }
            let (engine, name) = (self.clone(), name.clone());
            applying.spawn(async move { engine.receive(&name, receipt).await });
        }
        while !applying.is_empty() {
            applied(applying.join_next().await)?;
        }
        Ok(taken)
    }

    /// Applies one receipt, or keeps it until its message is known: once this returns `Ok`, it is durable.
    /// One that is older than [`RECEIPT_AGE_MS_MAX`] is dropped and counted; one that does not say its time is not judged by it.
    ///
    /// # Errors
    /// [`EngineError`]; then whoever told should tell again.
    pub async fn receive(&self, sender: &str, receipt: Receipt) -> Result<(), EngineError> {
        if receipt.at.is_some_and(|at| self.now().millis_since(at) > RECEIPT_AGE_MS_MAX) {
            metrics::counter!("tapcode_receipts_too_old_total").increment(1);
            tracing::debug!(
                sender.id = sender,
                receipt.status = kind_word(&receipt.kind),
                "a receipt is older than 7 days"
            );
            return Ok(());
        }
        let store = &self.inner.store;
        let id = &self
            .inner
            .keyring
            .provider_handle(sender, cut(&receipt.provider_message_id, PROVIDER_MESSAGE_ID_MAX));
        let found = match receipt.reference {
            Some(reference) => Some((reference.key, reference.message)),
            None => store.find(sender, id).await?,
        };
        let identity = receipt.identity.map(|text| {
            self.inner
                .keyring
                .seal(Use::Identity, cut(&text, IDENTITY_MAX).as_bytes(), &*self.inner.entropy)
        });
        let told = ToldReceipt {
            kind: receipt.kind,
            billing: receipt.billing,
            identity,
        };
        if let Some((key, message)) = found {
            return self.apply_receipt(sender, key, message, told).await;
        }
        let until = self.now().plus_millis(PARKED_MS);
        let parked = Parked {
            sender: sender.into(),
            provider_message_id: id.as_str().into(),
            told,
        };
        store.park(&parked, until).await?;
        let told = parked.told;
        metrics::counter!("tapcode_receipts_parked_total").increment(1);
        // The id may have become known between the look-up and the parking: whoever writes second sees the other.
        if let Some((key, message)) = store.find(sender, id).await? {
            self.apply_receipt(sender, key, message, told).await?;
        } else {
            tracing::debug!(
                sender.id = sender,
                receipt.status = kind_word(&told.kind),
                "a receipt came before its message"
            );
        }
        Ok(())
    }
}

impl Engine {
    /// What a text message costs: what the provider says, whatever else it tells; else, for one that arrived, what the
    /// operator's table has for each of its segments.
    fn price_of_text(&self, route: &Route, document: &Recipient, id: MessageId, told: &ToldReceipt) -> Option<Money> {
        let directory = self.directory();
        let sender = directory.sender(route.channel, route.sender)?;
        match told.billing {
            Some(Billing::Amount(price)) => return Some(price),
            Some(Billing::Free) => return Some(Money::zero(sender.currency)),
            Some(Billing::Category(_) | Billing::Unknown) | None => {}
        }
        // What is priced stays so: nothing is made for a price that is not booked.
        let is_priced = document.delivery(id).is_some_and(|delivery| delivery.price.is_some());
        if is_priced || !matches!(told.kind, ReceiptKind::Delivered | ReceiptKind::Read) {
            return None;
        }
        let prices = sender.prices.as_ref()?;
        prices.price(document.country, self.segments_of(document, id)?)
    }

    /// What an arrived message costs; `None` where nobody can say.
    /// `is_code`: it is a message with a code that was not told to have arrived before.
    fn price_of(&self, route: &Route, country: Country, told: &ToldReceipt, is_code: bool, at: Timestamp) -> Option<Money> {
        if !matches!(told.kind, ReceiptKind::Delivered | ReceiptKind::Read) {
            return None;
        }
        let directory = self.directory();
        let sender = directory.sender(route.channel, route.sender)?;
        let currency = sender.currency;
        let category = match told.billing {
            Some(Billing::Free) => return Some(Money::zero(currency)),
            Some(Billing::Amount(price)) => return Some(price),
            Some(Billing::Category(category)) => category,
            Some(Billing::Unknown) => return None,
            // WhatsApp charges for every authentication template that arrives, whether or not it says so. A caller's own
            // template may be of any category, and what was told, or not, with the first arrival is not guessed at again.
            None if is_code => Category::Authentication,
            None => return None,
        };
        // The cards are of providers that can be asked about an account with them: simulated phones cost nobody anything.
        sender.provider.account_api()?;
        self.inner.rates.price(country, category, currency, at)
    }

    /// Applies a receipt that `sender` told of: about a message that went another way it changes nothing.
    pub(crate) async fn apply_receipt(
        &self,
        sender: &str,
        key: RecipientKey,
        id: MessageId,
        told: ToldReceipt,
    ) -> Result<(), EngineError> {
        let input = |document: Option<&Recipient>, at: Timestamp| {
            let found = document.and_then(|d| route_of(d, id).map(|route| (d, route)));
            let attempt = document.and_then(|d| d.attempt(id));
            let is_code = attempt.is_some_and(|(_, attempt)| !attempt.delivery.has_arrived());
            if let Some((document, route)) = found.filter(|(_, r)| sender_name(r.channel, r.sender) == sender) {
                Ok(Input::Receipt {
                    message: id,
                    kind: told.kind.clone(),
                    facts: ReceiptFacts {
                        price: match route.channel {
                            Channel::Sms => self.price_of_text(route, document, id, &told),
                            Channel::Whatsapp => self.price_of(route, document.country, &told, is_code, at),
                        },
                        identity: told.identity.clone(),
                    },
                })
            } else {
                metrics::counter!("tapcode_receipts_foreign_total").increment(1);
                Err(Refusal::UnknownVerification)
            }
        };
        self.apply(key, None, input).await.map(|_| ())
    }
}

/// Puts what says that a message arrived in front: of facts that are told together none may be taken for silence or
/// failure when another one tells of the arrival.
pub(crate) fn arrivals_first<T>(told: &mut [T], kind: impl Fn(&T) -> &ReceiptKind) {
    told.sort_by_key(|one| match kind(one) {
        ReceiptKind::Delivered | ReceiptKind::Read => 0,
        ReceiptKind::Sent | ReceiptKind::Failed(_) | ReceiptKind::Disowned => 1,
    });
}

fn applied(result: Option<Result<Result<(), EngineError>, tokio::task::JoinError>>) -> Result<(), ReceiveError> {
    match result {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(ReceiveError::Unavailable(error)),
        Some(Err(panic)) => {
            metrics::counter!("tapcode_panics_total").increment(1);
            tracing::error!(error = %chain(&panic), "applying a receipt panicked");
            let error = crate::contract::store::StoreError::unavailable("applying a receipt panicked");
            Err(ReceiveError::Unavailable(error.into()))
        }
    }
}

const fn kind_word(kind: &ReceiptKind) -> &'static str {
    match kind {
        ReceiptKind::Sent => "sent",
        ReceiptKind::Delivered => "delivered",
        ReceiptKind::Read => "read",
        ReceiptKind::Failed(_) => "failed",
        ReceiptKind::Disowned => "disowned",
    }
}
