//! How is what was counted written down?

use serde::{Deserialize, Serialize};
use tapcode_core::money::Currency;
use tapcode_core::plan::Channel;
use tapcode_core::statistics::{DeliveryTimes, Group, REASONS_MAX, Tally};

use crate::record::recipient::{ScopeV1, country, purpose};
use crate::record::words::Word;
use crate::record::{Unreadable, stored};

stored!(Group, 1 = GroupV1);
stored!(Tally, 1 = TallyV1);

#[derive(Serialize, Deserialize)]
struct GroupV1 {
    scope: ScopeV1,
    purpose: Option<Box<str>>,
    country: Box<str>,
    channel: Option<u8>,
    provider: Option<Box<str>>,
}

#[derive(Serialize, Deserialize)]
struct TallyV1 {
    begun: u64,
    converted: u64,
    sent: u64,
    delivered: u64,
    read: u64,
    failed: Vec<(Box<str>, u64)>,
    fallbacks: u64,
    delivery_times: Vec<(u32, u64)>,
    cost: Vec<(Box<str>, i64)>,
    priced: u64,
}

impl From<&Group> for GroupV1 {
    fn from(group: &Group) -> Self {
        Self {
            scope: (&group.scope).into(),
            purpose: group.purpose.as_ref().map(|purpose| purpose.as_str().into()),
            country: group.country.as_str().into(),
            channel: group.channel.map(Word::number),
            provider: group.provider.clone(),
        }
    }
}

impl TryFrom<GroupV1> for Group {
    type Error = Unreadable;

    fn try_from(record: GroupV1) -> Result<Self, Unreadable> {
        Ok(Self {
            scope: record.scope.try_into()?,
            purpose: record.purpose.as_deref().map(purpose).transpose()?,
            country: country(&record.country)?,
            channel: record.channel.map(<Channel as Word>::from_number).transpose()?,
            provider: record.provider,
        })
    }
}

impl From<&Tally> for TallyV1 {
    fn from(tally: &Tally) -> Self {
        Self {
            begun: tally.begun,
            converted: tally.converted,
            sent: tally.sent,
            delivered: tally.delivered,
            read: tally.read,
            failed: tally.failed.iter().map(|(reason, times)| (reason.clone(), *times)).collect(),
            fallbacks: tally.fallbacks,
            delivery_times: tally.delivery_times.steps().to_vec(),
            cost: tally
                .cost
                .iter()
                .map(|(currency, micros)| (currency.as_str().into(), *micros))
                .collect(),
            priced: tally.priced,
        }
    }
}

impl TryFrom<TallyV1> for Tally {
    type Error = Unreadable;

    fn try_from(record: TallyV1) -> Result<Self, Unreadable> {
        // One more than the reasons that are told apart: `other`.
        if record.failed.len() > REASONS_MAX + 1 {
            return Err(Unreadable::Content("tally"));
        }
        let money = |(currency, micros): (Box<str>, i64)| {
            let currency = Currency::parse(&currency).ok_or(Unreadable::Content("currency"))?;
            Ok((currency, micros))
        };
        Ok(Self {
            begun: record.begun,
            converted: record.converted,
            sent: record.sent,
            delivered: record.delivered,
            read: record.read,
            failed: record.failed.into_iter().collect(),
            fallbacks: record.fallbacks,
            delivery_times: DeliveryTimes::from_steps(record.delivery_times).ok_or(Unreadable::Content("delivery time"))?,
            cost: record.cost.into_iter().map(money).collect::<Result<_, Unreadable>>()?,
            priced: record.priced,
        })
    }
}
