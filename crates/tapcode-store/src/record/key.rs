//! How is an API key written down? By its digest; the key itself is never here. When it was last used stands beside it.

use serde::{Deserialize, Serialize};
use tapcode_core::id::KeyId;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{ApiKey, Rate};

use crate::record::recipient::{IdV1, TimeV1, service};
use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(ApiKey, 2 = ApiKeyV2, 1 = ApiKeyV1);

#[derive(Serialize, Deserialize)]
struct ApiKeyV1 {
    id: IdV1,
    digest: [u8; 32],
    service: Option<Box<str>>,
    mode: u8,
    rights: Vec<u8>,
    label: Box<str>,
    created_at: TimeV1,
    revoked_at: Option<TimeV1>,
}

#[derive(Serialize, Deserialize)]
struct ApiKeyV2 {
    key: ApiKeyV1,
    expires_at: Option<TimeV1>,
    /// Requests per second, and at once.
    rate: Option<(u32, u32)>,
}

impl From<&ApiKey> for ApiKeyV2 {
    fn from(key: &ApiKey) -> Self {
        Self {
            key: ApiKeyV1 {
                id: *key.id.as_bytes(),
                digest: key.digest,
                service: key.service.as_ref().map(|name| name.as_str().into()),
                mode: key.mode.number(),
                rights: key.rights.iter().map(|right| right.number()).collect(),
                label: key.label.clone(),
                created_at: key.created_at.as_millis(),
                revoked_at: key.revoked_at.map(Timestamp::as_millis),
            },
            expires_at: key.expires_at.map(Timestamp::as_millis),
            rate: key.rate.map(|rate| (rate.per_second, rate.burst)),
        }
    }
}

impl TryFrom<ApiKeyV1> for ApiKey {
    type Error = Unreadable;

    fn try_from(record: ApiKeyV1) -> Result<Self, Unreadable> {
        Ok(Self {
            id: KeyId::from_bytes(record.id),
            digest: record.digest,
            service: record.service.as_deref().map(service).transpose()?,
            mode: Word::from_number(record.mode)?,
            rights: record.rights.into_iter().map(Word::from_number).collect::<Result<_, _>>()?,
            label: record.label,
            created_at: Timestamp::from_millis(record.created_at),
            expires_at: None,
            revoked_at: record.revoked_at.map(Timestamp::from_millis),
            rate: None,
            used_at: None,
        })
    }
}

impl TryFrom<ApiKeyV2> for ApiKey {
    type Error = Unreadable;

    fn try_from(record: ApiKeyV2) -> Result<Self, Unreadable> {
        let rate = record.rate.map(|(per_second, burst)| Rate { per_second, burst });
        if rate.is_some_and(|rate| rate.per_second == 0 || rate.burst == 0) {
            return Err(Unreadable::Content("rate of a key"));
        }
        Ok(Self {
            expires_at: record.expires_at.map(Timestamp::from_millis),
            rate,
            ..Self::try_from(record.key)?
        })
    }
}
