//! How is a verification or plain message written down in history?

use serde::{Deserialize, Serialize};
use tapcode_core::number::Masked;
use tapcode_core::recipient::RecipientKey;
use tapcode_engine::contract::store::{Snapshot, Subject};

use crate::record::recipient::{PlainMessageV1, ScopeV1, VerificationV1, country};
use crate::record::{Unreadable, stored};

stored!(Snapshot, SnapshotV1);

#[derive(Serialize, Deserialize)]
struct SnapshotV1 {
    key: [u8; 16],
    scope: ScopeV1,
    masked: Box<str>,
    country: Box<str>,
    subject: SubjectV1,
}

#[derive(Serialize, Deserialize)]
enum SubjectV1 {
    Verification(Box<VerificationV1>),
    Message(Box<PlainMessageV1>),
}

impl From<&Snapshot> for SnapshotV1 {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            key: snapshot.key.0,
            scope: (&snapshot.scope).into(),
            masked: snapshot.masked.as_str().into(),
            country: snapshot.country.as_str().into(),
            subject: match &snapshot.subject {
                Subject::Verification(verification) => SubjectV1::Verification(Box::new(verification.into())),
                Subject::Message(message) => SubjectV1::Message(Box::new(message.into())),
            },
        }
    }
}

impl TryFrom<SnapshotV1> for Snapshot {
    type Error = Unreadable;

    fn try_from(record: SnapshotV1) -> Result<Self, Unreadable> {
        Ok(Self {
            key: RecipientKey(record.key),
            scope: record.scope.try_into()?,
            masked: Masked::from_stored(&record.masked),
            country: country(&record.country)?,
            subject: match record.subject {
                SubjectV1::Verification(verification) => Subject::Verification((*verification).try_into()?),
                SubjectV1::Message(message) => Subject::Message((*message).try_into()?),
            },
        })
    }
}
