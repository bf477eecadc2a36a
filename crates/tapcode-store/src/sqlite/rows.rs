//! What does a commit look like as rows? Records are written down by whoever asks, not on the one writer's thread.

use tapcode_core::audit::Act;
use tapcode_core::entry::Entry;
use tapcode_core::id::ID_BYTES;
use tapcode_core::recipient::{Scope, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    AccountCommit, Commit, EndpointCommit, KeyCommit, Place, ProviderHandle, Remembered, Snapshot, Subject, SubjectId,
    TallyCommit, TallyRow,
};

use crate::record::Stored;
use crate::record::words::Word;

/// A kind byte and the 22 bytes of an id.
pub(super) type SubjectKey = [u8; 1 + ID_BYTES];

const VERIFICATION: u8 = 1;
const MESSAGE: u8 = 2;
/// The last moment that the 48 bits of an id can tell.
const LAST_MILLIS: i64 = (1 << 48) - 1;

/// The kinds of history rows.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Verification,
    Message,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Verification => VERIFICATION,
            Self::Message => MESSAGE,
        }
    }

    /// Sorts before every id of this kind made at or after `at`, and behind all that were made earlier.
    pub(super) fn from(self, at: Timestamp) -> SubjectKey {
        let mut key = [0; 1 + ID_BYTES];
        key[0] = self.byte();
        let millis = at.as_millis().max(0);
        if millis > LAST_MILLIS {
            key[0] += 1;
        } else {
            key[1..7].copy_from_slice(&millis.to_be_bytes()[2..]);
        }
        key
    }
}

pub(super) fn subject_key(id: SubjectId) -> SubjectKey {
    let (kind, bytes) = match id {
        SubjectId::Verification(id) => (VERIFICATION, *id.as_bytes()),
        SubjectId::Message(id) => (MESSAGE, *id.as_bytes()),
    };
    let mut key = [kind; 1 + ID_BYTES];
    key[1..].copy_from_slice(&bytes);
    key
}

/// A scope as a column: no service name has a colon.
pub(super) fn scope_text(scope: &Scope) -> String {
    format!("{}:{}", scope.service.as_str(), scope.mode.as_str())
}

/// The counter of how far sweeps took lines: everybody's, or a service's own.
pub(super) fn swept_counter(of: Option<&ServiceName>) -> String {
    of.map_or_else(|| "swept".to_owned(), |service| format!("swept:{}", service.as_str()))
}

/// One commit of an account, ready to be written.
pub(super) struct AccountWrite {
    pub(super) name: Box<str>,
    pub(super) expected: Option<i64>,
    pub(super) record: Vec<u8>,
    pub(super) log: Option<LogRow>,
}

impl From<&AccountCommit> for AccountWrite {
    fn from(commit: &AccountCommit) -> Self {
        Self {
            name: commit.name.as_str().into(),
            expected: commit.expected.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX)),
            record: commit.next.to_bytes(),
            log: commit.entry.as_ref().map(|entry| LogRow {
                at: entry.at.as_millis(),
                subject: None,
                recipient: None,
                scope: None,
                entry: entry.to_bytes(),
            }),
        }
    }
}

/// One commit of a webhook endpoint, ready to be written.
pub(super) struct EndpointWrite {
    pub(super) id: [u8; ID_BYTES],
    pub(super) expected: Option<i64>,
    /// `None`: it is deleted.
    pub(super) record: Option<Vec<u8>>,
    pub(super) log: Option<LogRow>,
    pub(super) act: Option<ActRow>,
}

/// One commit of a key, ready to be written.
pub(super) struct KeyWrite {
    pub(super) id: [u8; ID_BYTES],
    /// The version of all keys.
    pub(super) expected: Option<i64>,
    pub(super) digest: [u8; 32],
    pub(super) created_at: i64,
    pub(super) ends_at: Option<i64>,
    pub(super) record: Vec<u8>,
    pub(super) act: Option<ActRow>,
}

impl From<&KeyCommit> for KeyWrite {
    fn from(commit: &KeyCommit) -> Self {
        let key = &commit.next;
        Self {
            id: *key.id.as_bytes(),
            expected: commit.expected.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX)),
            digest: key.digest,
            created_at: key.created_at.as_millis(),
            ends_at: key.ends_at().map(Timestamp::as_millis),
            record: key.to_bytes(),
            act: commit.act.as_ref().map(Into::into),
        }
    }
}

/// An act, ready to be written.
pub(super) struct ActRow {
    pub(super) at: i64,
    pub(super) record: Vec<u8>,
}

impl From<&Act> for ActRow {
    fn from(act: &Act) -> Self {
        Self {
            at: act.at.as_millis(),
            record: act.to_bytes(),
        }
    }
}

impl From<&EndpointCommit> for EndpointWrite {
    fn from(commit: &EndpointCommit) -> Self {
        Self {
            id: *commit.id.as_bytes(),
            expected: commit.expected.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX)),
            record: commit.next.as_ref().map(Stored::to_bytes),
            log: commit.entry.as_ref().map(|entry| LogRow {
                at: entry.at.as_millis(),
                subject: None,
                recipient: None,
                scope: None,
                entry: entry.to_bytes(),
            }),
            act: commit.act.as_ref().map(Into::into),
        }
    }
}

/// One commit of counts, ready to be written.
pub(super) struct TallyWrite {
    pub(super) expected: Option<i64>,
    pub(super) through: i64,
    pub(super) rows: Vec<CountedRow>,
    pub(super) hours_before: u32,
    pub(super) days_before: u32,
}

pub(super) struct CountedRow {
    pub(super) span: u8,
    pub(super) start: u32,
    pub(super) group: Vec<u8>,
    pub(super) tally: Vec<u8>,
}

impl From<&TallyCommit> for TallyWrite {
    fn from(commit: &TallyCommit) -> Self {
        let place = |place: Place| i64::try_from(place.0).unwrap_or(i64::MAX);
        let row = |row: &TallyRow| CountedRow {
            span: span_number(row.span),
            start: row.start,
            group: row.group.to_bytes(),
            tally: row.tally.to_bytes(),
        };
        Self {
            expected: commit.expected.map(place),
            through: place(commit.through),
            rows: commit.rows.iter().map(row).collect(),
            hours_before: commit.hours_before,
            days_before: commit.days_before,
        }
    }
}

/// A span as a column.
pub(super) const fn span_number(span: Span) -> u8 {
    match span {
        Span::Hour => 0,
        Span::Day => 1,
    }
}

/// One commit, ready to be written.
pub(super) struct Write {
    pub(super) key: [u8; 16],
    pub(super) expected: Option<i64>,
    pub(super) document: Option<Vec<u8>>,
    pub(super) due_at: Option<i64>,
    pub(super) handles: Vec<ProviderHandle>,
    pub(super) history: Vec<HistoryRow>,
    pub(super) log: Vec<LogRow>,
    pub(super) remembered: Option<Remembered>,
    pub(super) act: Option<ActRow>,
}

pub(super) struct HistoryRow {
    pub(super) id: SubjectKey,
    pub(super) recipient: [u8; 16],
    pub(super) scope: String,
    pub(super) status: Option<u8>,
    pub(super) purpose: Option<Box<str>>,
    pub(super) finished_at: Option<i64>,
    pub(super) snapshot: Vec<u8>,
}

pub(super) struct LogRow {
    pub(super) at: i64,
    pub(super) subject: Option<SubjectKey>,
    /// Whom it is about and whose it is, where no subject leads to that.
    pub(super) recipient: Option<[u8; 16]>,
    pub(super) scope: Option<String>,
    pub(super) entry: Vec<u8>,
}

impl From<Commit> for Write {
    fn from(commit: Commit) -> Self {
        Self {
            key: commit.key.0,
            // A version beyond the column's range was never given, so it matches no row.
            expected: commit.expected.map(|version| i64::try_from(version.0).unwrap_or(i64::MAX)),
            document: commit.next.as_ref().map(Stored::to_bytes),
            due_at: commit.due_at.map(Timestamp::as_millis),
            handles: commit.handles,
            history: commit.snapshots.iter().map(HistoryRow::from).collect(),
            log: commit.entries.iter().map(|entry| LogRow::of(commit.key.0, entry)).collect(),
            remembered: commit.remembered,
            act: commit.act.as_ref().map(Into::into),
        }
    }
}

impl From<&Snapshot> for HistoryRow {
    fn from(snapshot: &Snapshot) -> Self {
        let verification = match &snapshot.subject {
            Subject::Verification(verification) => Some(verification),
            Subject::Message(_) => None,
        };
        Self {
            id: subject_key(snapshot.subject.id()),
            recipient: snapshot.key.0,
            scope: scope_text(&snapshot.scope),
            status: verification.map(|v| v.status.number()),
            purpose: verification.map(|v| v.purpose.as_str().into()),
            finished_at: verification
                .filter(|v| v.status.is_final())
                .and_then(|v| v.finished_at)
                .map(Timestamp::as_millis),
            snapshot: snapshot.to_bytes(),
        }
    }
}

impl LogRow {
    fn of(recipient: [u8; 16], entry: &Entry) -> Self {
        // An entry is about a verification or about a plain message, never about both.
        let subject = entry
            .verification
            .map(SubjectId::Verification)
            .or(entry.message.map(SubjectId::Message));
        let is_apart = subject.is_none();
        Self {
            at: entry.at.as_millis(),
            subject: subject.map(subject_key),
            recipient: is_apart.then_some(recipient),
            scope: is_apart.then(|| scope_text(&entry.scope)),
            entry: entry.to_bytes(),
        }
    }
}
