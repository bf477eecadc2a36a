//! What do the lines of the log add up to? Counts by what people compare, and delivery times that can be added up too.
//!
//! Everything here is a sum: adding up twice what two halves of the log add up to is adding up the whole of it, in any
//! order. That is what lets hours become days, and lets anybody count again.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hdrhistogram::Histogram;

use crate::delivery::MessageStatus;
use crate::entry::{Decision, Entry, SendCause};
use crate::money::{Currency, Money};
use crate::number::Country;
use crate::plan::{Channel, Route};
use crate::recipient::Scope;
use crate::time::HOUR_MS;
use crate::verification::{Purpose, Status};

/// Hours of a day.
pub const DAY_HOURS: u32 = 24;
/// Most reasons of failures that are told apart within one tally; those that come on top are counted as [`OTHER`].
pub const REASONS_MAX: usize = 64;
/// Most purposes that are told apart within one hour or day; what comes on top is counted under [`OTHER`]: callers name
/// purposes, and could name ever new ones.
pub const PURPOSES_MAX: usize = 200;
/// What everything is counted under that is not told apart.
pub const OTHER: &str = "other";
/// Longest delivery time that is told apart from longer ones, in milliseconds: receipts older than that are not taken.
pub const DELIVERY_MS_MAX: u64 = 7 * 24 * HOUR_MS;
/// Digits of a delivery time that count: a time is known to one part in a hundred.
const DIGITS: u8 = 2;

/// How much time is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// An hour, counted since 1970.
    Hour,
    /// A day in UTC, counted since 1970.
    Day,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Whose.
    pub scope: Scope,
    /// What the verification was for; `None`: plain messages.
    pub purpose: Option<Purpose>,
    /// The number's country.
    pub country: Country,
    /// The message's channel. `None`: a verification that ended without one, or lines of older releases.
    pub channel: Option<Channel>,
    /// Whose API carried the message.
    pub provider: Option<Box<str>>,
}

/// How long messages took, in steps of one part in a hundred. Sparse, and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryTimes(Vec<(u32, u64)>);

/// Whatever was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Verifications that began, by the route of their first message.
    pub begun: u64,
    /// Verifications that ended as approved, by the route of the message that most likely brought the code.
    pub converted: u64,
    /// Messages that a provider has taken, retries not counted.
    pub sent: u64,
    /// Messages that arrived.
    pub delivered: u64,
    /// Messages that were read.
    pub read: u64,
    /// Messages that were told to have failed, by the provider's code.
    pub failed: BTreeMap<Box<str>, u64>,
    /// Messages that were queued because the one before failed or did not arrive in time.
    pub fallbacks: u64,
    /// From being queued to the first fact that said it had arrived.
    pub delivery_times: DeliveryTimes,
    /// What messages cost, where that is known.
    pub cost: BTreeMap<Currency, i64>,
    /// Messages whose cost is known.
    pub priced: u64,
}

/// A channel, and whose API carries it, where that is known.
type Way<'a> = (Channel, Option<&'a str>);

fn way(route: &Route) -> Option<Way<'_>> {
    Some((route.channel, Some(&route.provider)))
}

/// Adds up what an entry tells.
pub fn count(entry: &Entry, tallies: &mut BTreeMap<Group, Tally>) {
    let group = |way: Option<Way<'_>>| Group {
        scope: entry.scope.clone(),
        purpose: entry.purpose.clone(),
        country: entry.country,
        channel: way.map(|(channel, _)| channel),
        provider: way.and_then(|(_, provider)| provider).map(Into::into),
    };
    let mut add = |way: Option<Way<'_>>, what: &dyn Fn(&mut Tally)| {
        what(tallies.entry(group(way)).or_default());
    };
    for decision in &entry.decisions {
        match decision {
            Decision::Began { .. } => {
                let first = entry.decisions.iter().find_map(|d| match d {
                    Decision::Queued { message, .. } => way(&message.route),
                    _ => None,
                });
                add(first, &|tally| tally.begun = tally.begun.saturating_add(1));
            }
            Decision::Ended {
                status: Status::Approved,
                channel,
                provider,
                ..
            } => add(channel.map(|channel| (channel, provider.as_deref())), &|tally| {
                tally.converted = tally.converted.saturating_add(1);
            }),
            Decision::Queued {
                message,
                cause: SendCause::FellBackOnFailure | SendCause::FellBackOnSilence { .. },
            } => add(way(&message.route), &|tally| {
                tally.fallbacks = tally.fallbacks.saturating_add(1);
            }),
            Decision::Message {
                message,
                status,
                after_ms,
                failure,
                firsts,
            } => add(way(&message.route), &|tally| {
                tally.sent = tally.sent.saturating_add(firsts.is_taken.into());
                if firsts.has_arrived {
                    tally.delivered = tally.delivered.saturating_add(1);
                    tally.delivery_times.add(*after_ms, 1);
                }
                match status {
                    MessageStatus::Read => tally.read = tally.read.saturating_add(1),
                    MessageStatus::Failed => tally.fail(failure.as_ref().map_or(OTHER, |failure| &failure.code), 1),
                    MessageStatus::Queued
                    | MessageStatus::Unclear
                    | MessageStatus::Accepted
                    | MessageStatus::Sent
                    | MessageStatus::Delivered => {}
                }
            }),
            Decision::Priced { message, price } => {
                add(way(&message.route), &|tally| {
                    tally.cost(*price);
                    tally.priced = tally.priced.saturating_add(1);
                });
            }
            Decision::Queued { .. }
            | Decision::Claimed { .. }
            | Decision::RetryAt { .. }
            | Decision::ReceiptRepeated { .. }
            | Decision::Withdrawn { .. }
            | Decision::NoFallback(_)
            | Decision::Alert { .. }
            | Decision::CheckFailed { .. }
            | Decision::CheckNotEvaluated { .. }
            | Decision::Ended { .. }
            | Decision::Locked { .. }
            | Decision::Unlocked
            | Decision::Refused(_)
            | Decision::Skipped { .. }
            | Decision::NoneOpen { .. }
            | Decision::ReachLearned { .. }
            | Decision::LanguageChosen { .. }
            | Decision::Disowned { .. } => {}
        }
    }
}

impl Tally {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.begun = self.begun.saturating_add(other.begun);
        self.converted = self.converted.saturating_add(other.converted);
        self.sent = self.sent.saturating_add(other.sent);
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.read = self.read.saturating_add(other.read);
        for (reason, times) in &other.failed {
            self.fail(reason, *times);
        }
        self.fallbacks = self.fallbacks.saturating_add(other.fallbacks);
        self.delivery_times.add_all(&other.delivery_times);
        for (currency, amount_micros) in &other.cost {
            self.cost(Money {
                amount_micros: *amount_micros,
                currency: *currency,
            });
        }
        self.priced = self.priced.saturating_add(other.priced);
    }

    fn fail(&mut self, reason: &str, times: u64) {
        let has_room = self.failed.len() < REASONS_MAX || self.failed.contains_key(reason);
        let known = self
            .failed
            .entry(if has_room { reason.into() } else { OTHER.into() })
            .or_default();
        *known = known.saturating_add(times);
    }

    fn cost(&mut self, price: Money) {
        let known = self.cost.entry(price.currency).or_default();
        *known = known.saturating_add(price.amount_micros);
    }
}

/// The steps in which delivery times are told apart.
static STEPS: LazyLock<Histogram<u64>> =
    LazyLock::new(|| Histogram::new_with_bounds(1, DELIVERY_MS_MAX, DIGITS).expect("the bounds are constants that make sense"));

impl DeliveryTimes {
    /// From steps and how often each was counted, in the order of the steps. `None` where they are in no order, or are no
    /// steps.
    #[must_use]
    pub fn from_steps(steps: Vec<(u32, u64)>) -> Option<Self> {
        let is_step = |(ms, times): &(u32, u64)| *times > 0 && STEPS.lowest_equivalent((*ms).into()) == u64::from(*ms);
        let fits = steps.iter().all(is_step) && steps.is_sorted_by(|one, next| one.0 < next.0);
        fits.then_some(Self(steps))
    }

    /// The lowest time of each step, in milliseconds, and how often it was counted.
    #[must_use]
    pub fn steps(&self) -> &[(u32, u64)] {
        &self.0
    }

    /// Counts a time so often.
    pub fn add(&mut self, ms: u64, times: u64) {
        let step = STEPS.lowest_equivalent(ms.min(DELIVERY_MS_MAX));
        let step = u32::try_from(step).expect("a week has fewer milliseconds");
        match self.0.binary_search_by_key(&step, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(times),
            Err(at) => self.0.insert(at, (step, times)),
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
        // Two sorted runs: the sort sees them, and merges.
        self.0.sort_by_key(|(step, _)| *step);
        self.0.dedup_by(|next, kept| {
            let is_one = next.0 == kept.0;
            if is_one {
                kept.1 = kept.1.saturating_add(next.1);
            }
            is_one
        });
    }

    /// The times that so many of a hundred messages arrived within, in milliseconds, each known to one part in a hundred.
    /// `None` where nothing was counted.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, percents: [f64; N]) -> Option<[u64; N]> {
        if self.0.is_empty() {
            return None;
        }
        let mut all = Histogram::<u64>::new_from(&STEPS);
        for (ms, times) in &self.0 {
            all.saturating_record_n(u64::from(*ms).max(1), *times);
        }
        Some(percents.map(|percent| all.value_at_percentile(percent)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(all: &[u64]) -> DeliveryTimes {
        let mut times = DeliveryTimes::default();
        all.iter().for_each(|ms| times.add(*ms, 1));
        times
    }

    proptest! {
        #[test]
        fn times_of_two_halves_are_the_times_of_the_whole(
            all in prop::collection::vec(0..=DELIVERY_MS_MAX, 0..200),
            at in 0usize..200,
        ) {
            let (one, other) = all.split_at(at.min(all.len()));
            let mut sum = times(one);
            sum.add_all(&times(other));
            let mut turned = times(other);
            turned.add_all(&times(one));
            prop_assert_eq!(&sum, &times(&all));
            prop_assert_eq!(&turned, &sum);
            prop_assert_eq!(DeliveryTimes::from_steps(sum.steps().to_vec()), Some(sum));
        }

        #[test]
        fn a_percentile_is_right_to_one_part_in_a_hundred(mut all in prop::collection::vec(1..=DELIVERY_MS_MAX, 1..300)) {
            let [half, most, worst] = times(&all).percentiles([50.0, 95.0, 100.0]).unwrap();
            all.sort_unstable();
            for (percent, told) in [(50, half), (95, most), (100, worst)] {
                let exact = all[(all.len() * percent).div_ceil(100) - 1];
                prop_assert!(told.abs_diff(exact) * 100 <= exact.max(100), "{told} is not {exact}");
            }
        }
    }

    #[test]
    fn nothing_counted_has_no_percentile() {
        assert_eq!(DeliveryTimes::default().percentiles([50.0]), None);
        assert_eq!(times(&[0]).percentiles([50.0]), Some([1]));
        assert_eq!(times(&[u64::MAX]).steps().len(), 1);
    }

    #[test]
    fn what_is_no_count_of_times_is_refused() {
        for steps in [vec![(2, 1), (1, 1)], vec![(1, 1), (1, 1)], vec![(1, 0)], vec![(1_000_001, 1)]] {
            assert_eq!(DeliveryTimes::from_steps(steps.clone()), None, "{steps:?}");
        }
    }

    #[test]
    fn reasons_that_never_end_are_counted_together() {
        let mut tally = Tally::default();
        for reason in 0..1_000 {
            tally.fail(&reason.to_string(), 1);
        }
        assert_eq!(tally.failed.len(), REASONS_MAX + 1);
        assert_eq!(tally.failed.values().sum::<u64>(), 1_000);
    }
}
