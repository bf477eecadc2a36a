//! How is a webhook endpoint written down, and a line of the log about one? Its secrets are sealed before they come here.

use serde::{Deserialize, Serialize};
use tapcode_core::endpoint::{
    Endpoint, EndpointEntry, EndpointSecret, Failing, RETRIES_MAX, Retry, SECRETS_MAX, TRIES_KEPT, Told, Try,
};
use tapcode_core::id::{EndpointId, EventId};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Sealed;

use crate::record::recipient::{IdV1, TimeV1, service};
use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(Endpoint, 1 = EndpointV1);
stored!(EndpointEntry, 192 = EndpointEntryV1);

#[derive(Serialize, Deserialize)]
struct EndpointV1 {
    service: Box<str>,
    mode: u8,
    url: Box<str>,
    types: Vec<Box<str>>,
    description: Box<str>,
    created_at: TimeV1,
    secrets: Vec<(Box<[u8]>, Option<TimeV1>)>,
    after: u64,
    retries: Vec<RetryV1>,
    tries: Vec<TryV1>,
    failing: Option<FailingV1>,
    disabled: Option<(TimeV1, u8)>,
    lease: Option<(u64, TimeV1)>,
}

#[derive(Serialize, Deserialize)]
struct RetryV1 {
    event: IdV1,
    place: u64,
    tries: u8,
    first_at: TimeV1,
    next_at: TimeV1,
}

#[derive(Serialize, Deserialize)]
struct TryV1 {
    event: IdV1,
    at: TimeV1,
    number: u8,
    told: ToldV1,
    took_ms: u32,
}

#[derive(Serialize, Deserialize)]
enum ToldV1 {
    Taken { status: u16 },
    Refused { status: u16, retry_after_ms: Option<u64> },
    Unanswered(u8),
}

#[derive(Serialize, Deserialize)]
struct FailingV1 {
    since: TimeV1,
    in_a_row: u32,
    probes: u32,
    paused_until: TimeV1,
}

#[derive(Serialize, Deserialize)]
struct EndpointEntryV1 {
    id: IdV1,
    at: TimeV1,
    endpoint: IdV1,
    service: Box<str>,
    mode: u8,
    why: u8,
}

impl From<&Endpoint> for EndpointV1 {
    fn from(endpoint: &Endpoint) -> Self {
        let retry = |retry: &Retry| RetryV1 {
            event: *retry.event.as_bytes(),
            place: retry.place,
            tries: retry.tries,
            first_at: retry.first_at.as_millis(),
            next_at: retry.next_at.as_millis(),
        };
        let one_try = |one: &Try| TryV1 {
            event: *one.event.as_bytes(),
            at: one.at.as_millis(),
            number: one.number,
            told: match one.told {
                Told::Taken { status } => ToldV1::Taken { status },
                Told::Refused { status, retry_after_ms } => ToldV1::Refused { status, retry_after_ms },
                Told::Unanswered(why) => ToldV1::Unanswered(why.number()),
            },
            took_ms: one.took_ms,
        };
        let secret = |secret: &EndpointSecret| (secret.sealed.0.clone(), secret.until.map(Timestamp::as_millis));
        Self {
            service: endpoint.service.as_str().into(),
            mode: endpoint.mode.number(),
            url: endpoint.url.clone(),
            types: endpoint.types.clone(),
            description: endpoint.description.clone(),
            created_at: endpoint.created_at.as_millis(),
            secrets: endpoint.secrets.iter().map(secret).collect(),
            after: endpoint.after,
            retries: endpoint.retries.iter().map(retry).collect(),
            tries: endpoint.tries.iter().map(one_try).collect(),
            failing: endpoint.failing.as_ref().map(|failing| FailingV1 {
                since: failing.since.as_millis(),
                in_a_row: failing.in_a_row,
                probes: failing.probes,
                paused_until: failing.paused_until.as_millis(),
            }),
            disabled: endpoint.disabled.map(|(at, why)| (at.as_millis(), why.number())),
            lease: endpoint.lease.map(|(holder, until)| (holder, until.as_millis())),
        }
    }
}

impl TryFrom<EndpointV1> for Endpoint {
    type Error = Unreadable;

    fn try_from(record: EndpointV1) -> Result<Self, Unreadable> {
        let retry = |retry: RetryV1| Retry {
            event: EventId::from_bytes(retry.event),
            place: retry.place,
            tries: retry.tries,
            first_at: Timestamp::from_millis(retry.first_at),
            next_at: Timestamp::from_millis(retry.next_at),
        };
        let one_try = |one: TryV1| {
            Ok(Try {
                event: EventId::from_bytes(one.event),
                at: Timestamp::from_millis(one.at),
                number: one.number,
                told: match one.told {
                    ToldV1::Taken { status } => Told::Taken { status },
                    ToldV1::Refused { status, retry_after_ms } => Told::Refused { status, retry_after_ms },
                    ToldV1::Unanswered(why) => Told::Unanswered(Word::from_number(why)?),
                },
                took_ms: one.took_ms,
            })
        };
        if record.secrets.len() > SECRETS_MAX || record.retries.len() > RETRIES_MAX || record.tries.len() > TRIES_KEPT {
            return Err(Unreadable::Content("endpoint"));
        }
        let secret = |(sealed, until): (Box<[u8]>, Option<TimeV1>)| EndpointSecret {
            sealed: Sealed(sealed),
            until: until.map(Timestamp::from_millis),
        };
        let disabled = record
            .disabled
            .map(|(at, why)| Ok::<_, Unreadable>((Timestamp::from_millis(at), Word::from_number(why)?)));
        Ok(Self {
            service: service(&record.service)?,
            mode: Word::from_number(record.mode)?,
            url: record.url,
            types: record.types,
            description: record.description,
            created_at: Timestamp::from_millis(record.created_at),
            secrets: record.secrets.into_iter().map(secret).collect(),
            after: record.after,
            retries: record.retries.into_iter().map(retry).collect(),
            tries: record.tries.into_iter().map(one_try).collect::<Result<_, Unreadable>>()?,
            failing: record.failing.map(|failing| Failing {
                since: Timestamp::from_millis(failing.since),
                in_a_row: failing.in_a_row,
                probes: failing.probes,
                paused_until: Timestamp::from_millis(failing.paused_until),
            }),
            disabled: disabled.transpose()?,
            lease: record.lease.map(|(holder, until)| (holder, Timestamp::from_millis(until))),
        })
    }
}

impl From<&EndpointEntry> for EndpointEntryV1 {
    fn from(entry: &EndpointEntry) -> Self {
        Self {
            id: *entry.id.as_bytes(),
            at: entry.at.as_millis(),
            endpoint: *entry.endpoint.as_bytes(),
            service: entry.service.as_str().into(),
            mode: entry.mode.number(),
            why: entry.why.number(),
        }
    }
}

impl TryFrom<EndpointEntryV1> for EndpointEntry {
    type Error = Unreadable;

    fn try_from(record: EndpointEntryV1) -> Result<Self, Unreadable> {
        Ok(Self {
            id: EventId::from_bytes(record.id),
            at: Timestamp::from_millis(record.at),
            endpoint: EndpointId::from_bytes(record.endpoint),
            service: service(&record.service)?,
            mode: Word::from_number(record.mode)?,
            why: Word::from_number(record.why)?,
        })
    }
}
