//! What is known of a number beyond its verifications, in books of the tests' own?

use std::collections::BTreeMap;

use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Knowledge, Recipient};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Limits, Sealed};

const DAY_MS: u64 = 86_400_000;
/// How long it is known that a number is on a channel, or whose it is there.
const KEPT_MS: u64 = 90 * DAY_MS;
/// How long it is known that a number is not on a channel.
const ABSENT_MS: u64 = 30 * DAY_MS;
/// Moments of codes that nobody asked for that are kept at most.
const DISOWNED_MAX: usize = 8;

/// Whether the number is on a channel, by channel, and since when it is known.
type Reach = BTreeMap<Channel, (bool, Timestamp)>;
/// Whose the number is, by channel, and since when it is known.
pub type Identities = BTreeMap<Channel, (Sealed, Timestamp)>;

#[derive(Default)]
pub struct Books {
    reach: Reach,
    disowned: Vec<Timestamp>,
}

impl Books {
    /// Forgets what is past keeping; how much that was.
    pub fn forget(&mut self, now: Timestamp) -> usize {
        let before = self.reach.len();
        let kept = |is_on: bool| if is_on { KEPT_MS } else { ABSENT_MS };
        self.reach.retain(|_, (is_on, at)| now < at.plus_millis(kept(*is_on)));
        self.disowned.retain(|at| now < at.plus_millis(DAY_MS));
        before - self.reach.len()
    }

    pub fn is_absent(&self, channel: Channel) -> bool {
        matches!(self.reach.get(&channel), Some((false, _)))
    }

    /// Whether that was news. SMS is where everybody is, so that it is nothing to remember.
    pub fn learn(&mut self, channel: Channel, is_on: bool, now: Timestamp) -> bool {
        let before = self.reach.get(&channel).map(|(is_on, _)| *is_on);
        if channel == Channel::Sms && is_on {
            self.reach.remove(&channel);
            return before == Some(false);
        }
        self.reach.insert(channel, (is_on, now));
        before != Some(is_on)
    }

    /// Notes a code that nobody asked for; until when the number is locked for it, of whatever lock there is.
    pub fn disown(&mut self, limits: &Limits, now: Timestamp) -> Option<Timestamp> {
        self.disowned.push(now);
        if self.disowned.len() > DISOWNED_MAX {
            self.disowned.remove(0);
        }
        (self.disowned.len() >= 2).then(|| now.plus_millis(limits.lock_ms.into()))
    }

    /// Forgets whatever tells of the number's holder: what they pressed limits them still.
    pub fn forget_holder(&mut self) {
        self.reach.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.reach.is_empty() && self.disowned.is_empty()
    }

    /// What the document says otherwise.
    pub fn differs(&self, document: &Recipient) -> Option<String> {
        let Knowledge { reach, disowned, .. } = &document.knowledge;
        let told: Reach = reach.iter().map(|r| (r.channel, (r.is_on, r.at))).collect();
        let same = told == self.reach && told.len() == reach.len() && *disowned == self.disowned;
        (!same).then(|| format!("{:?} {:?} in the books, {:?}", self.reach, self.disowned, document.knowledge))
    }
}

/// Whose the number is at a moment, of what approved verifications told: when each was approved, and of which channel it told
/// whom, or that it is somebody else. The latest has the word.
pub fn identities(told: impl Iterator<Item = (Timestamp, Channel, Option<Sealed>)>, now: Timestamp) -> Identities {
    let mut latest: BTreeMap<Channel, (Option<Sealed>, Timestamp)> = BTreeMap::new();
    for (at, channel, identity) in told {
        if latest.get(&channel).is_none_or(|(_, known_at)| *known_at <= at) {
            latest.insert(channel, (identity, at));
        }
    }
    let known = latest
        .into_iter()
        .filter_map(|(channel, (identity, at))| Some((channel, (identity?, at))));
    known.filter(|(_, (_, at))| now < at.plus_millis(KEPT_MS)).collect()
}

pub fn identities_of(document: &Recipient) -> Identities {
    let known = document.knowledge.identities.iter();
    known.map(|i| (i.channel, (i.sealed.clone(), i.at))).collect()
}
