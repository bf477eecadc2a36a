//! How is an administrator's act written down?

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tapcode_core::audit::{Act, Actor, By};
use tapcode_core::id::{ActId, KeyId};
use tapcode_core::time::Timestamp;

use crate::record::recipient::{IdV1, TimeV1, service};
use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(Act, 1 = ActV1);

#[derive(Serialize, Deserialize)]
struct ActV1 {
    id: IdV1,
    at: TimeV1,
    /// `None`: the command line.
    key: Option<IdV1>,
    /// Four bytes or sixteen.
    address: Option<Box<[u8]>>,
    deed: u8,
    object: Box<str>,
    service: Option<Box<str>>,
    detail: Box<str>,
}

impl From<&Act> for ActV1 {
    fn from(act: &Act) -> Self {
        Self {
            id: *act.id.as_bytes(),
            at: act.at.as_millis(),
            key: match act.by.actor {
                Actor::Key(id) => Some(*id.as_bytes()),
                Actor::CommandLine => None,
            },
            address: act.by.address.map(|address| match address {
                IpAddr::V4(v4) => v4.octets().as_slice().into(),
                IpAddr::V6(v6) => v6.octets().as_slice().into(),
            }),
            deed: act.deed.number(),
            object: act.object.clone(),
            service: act.service.as_ref().map(|name| name.as_str().into()),
            detail: act.detail.clone(),
        }
    }
}

impl TryFrom<ActV1> for Act {
    type Error = Unreadable;

    fn try_from(record: ActV1) -> Result<Self, Unreadable> {
        let address = |bytes: Box<[u8]>| {
            let v4 = <[u8; 4]>::try_from(&*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(&*bytes).map(IpAddr::from))
                .map_err(|_| Unreadable::Content("address"))
        };
        Ok(Self {
            id: ActId::from_bytes(record.id),
            at: Timestamp::from_millis(record.at),
            by: By {
                actor: record.key.map_or(Actor::CommandLine, |id| Actor::Key(KeyId::from_bytes(id))),
                address: record.address.map(address).transpose()?,
            },
            deed: Word::from_number(record.deed)?,
            object: record.object,
            service: record.service.as_deref().map(service).transpose()?,
            detail: record.detail,
        })
    }
}
