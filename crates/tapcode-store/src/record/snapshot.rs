//! How is a verification or plain message written down in history?

use serde::{Deserialize, Serialize};
use tapcode_core::number::Masked;
use tapcode_core::recipient::{PlainMessage, RecipientKey};
use tapcode_core::verification::Verification;
use tapcode_engine::contract::store::{Snapshot, Subject};

use crate::record::recipient::{PlainMessageV1, PlainMessageV2, ScopeV1, VerificationV1, VerificationV2, country};
use crate::record::{Unreadable, stored};

stored!(Snapshot, 2 = SnapshotV2, 1 = SnapshotV1);

/// A snapshot whose subject is of some version.
#[derive(Serialize, Deserialize)]
struct SnapshotOf<V, M> {
    key: [u8; 16],
    scope: ScopeV1,
    masked: Box<str>,
    country: Box<str>,
    subject: SubjectOf<V, M>,
}

type SnapshotV1 = SnapshotOf<VerificationV1, PlainMessageV1>;
type SnapshotV2 = SnapshotOf<VerificationV2, PlainMessageV2>;

#[derive(Serialize, Deserialize)]
enum SubjectOf<V, M> {
    Verification(Box<V>),
    Message(Box<M>),
}

impl From<&Snapshot> for SnapshotV2 {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            key: snapshot.key.0,
            scope: (&snapshot.scope).into(),
            masked: snapshot.masked.as_str().into(),
            country: snapshot.country.as_str().into(),
            subject: match &snapshot.subject {
                Subject::Verification(verification) => SubjectOf::Verification(Box::new(verification.into())),
                Subject::Message(message) => SubjectOf::Message(Box::new(message.into())),
            },
        }
    }
}

impl<V, M> TryFrom<SnapshotOf<V, M>> for Snapshot
where
    Verification: TryFrom<V, Error = Unreadable>,
    PlainMessage: TryFrom<M, Error = Unreadable>,
{
    type Error = Unreadable;

    fn try_from(record: SnapshotOf<V, M>) -> Result<Self, Unreadable> {
        Ok(Self {
            key: RecipientKey(record.key),
            scope: record.scope.try_into()?,
            masked: Masked::from_stored(&record.masked),
            country: country(&record.country)?,
            subject: match record.subject {
                SubjectOf::Verification(verification) => Subject::Verification((*verification).try_into()?),
                SubjectOf::Message(message) => Subject::Message((*message).try_into()?),
            },
        })
    }
}
