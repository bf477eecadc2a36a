//! Who adds up the log? A reader of it, apart from every commit: no count is a row that commits wait for.
//!
//! How much is counted stands beside the counts and changes with them, by compare-and-swap: whoever dies on the way leaves
//! nothing half counted, and of two nodes that count the same lines one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tapcode_core::recipient::ServiceName;
use tapcode_core::statistics::{DAY_HOURS, Group, OTHER, PURPOSES_MAX, Span, Tally, count};
use tapcode_core::verification::Purpose;

use crate::call::chain;
use crate::contract::store::{Line, StoreError, TallyCommit, TallyRow};
use crate::engine::Engine;

/// Days for which hours are kept, and the days that `GET /api/v1/stats` reaches back by the hour.
pub const HOURS_KEPT_DAYS: u32 = 100;
/// Days for which days are kept: two years and a season, so that a month can be held against the one of the year before.
pub const DAYS_KEPT: u32 = 800;
/// Lines of the log that are counted in one commit.
const LINES: usize = 2_000;
/// How often the log is looked at. Milliseconds: how far the counts are behind at most on an idle machine.
const LOOK_MS: u64 = 1_000;
/// How long a node leaves it to another one that it found counting. Milliseconds.
const LEFT_TO_OTHERS_MS: u64 = 10_000;
/// How long to wait after the store could not be asked. Milliseconds.
const STORE_GONE_MS: u64 = 5_000;

impl Engine {
    /// Counts what the log tells, as it comes.
    pub(crate) async fn keep_counting(&self) {
        loop {
            let wait_ms = match self.count_lines().await {
                Ok(true) => continue,
                Ok(false) => LOOK_MS,
                Err(StoreError::Conflict) => LEFT_TO_OTHERS_MS,
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::warn!(error = %chain(&error), "the log could not be counted");
                    STORE_GONE_MS
                }
            };
            self.inner.clock.sleep(wait_ms).await;
        }
    }

    /// Counts the next lines; whether there may be more. The outer world never needs to call it: it goes on by itself.
    ///
    /// # Errors
    /// A conflict where another node counted them.
    pub async fn count_lines(&self) -> Result<bool, StoreError> {
        let store = &self.inner.store;
        let expected = store.counted_through().await?;
        let lines = store.lines(expected, LINES).await?;
        let Some((through, _)) = lines.last() else { return Ok(false) };
        let mut hours: BTreeMap<u32, BTreeMap<Group, Tally>> = BTreeMap::new();
        for (_, line) in &lines {
            if let Line::Recipient(entry) = line {
                count(entry, hours.entry(entry.at.hour()).or_default());
            }
        }
        let mut days: BTreeMap<u32, BTreeMap<Group, Tally>> = BTreeMap::new();
        for (hour, groups) in &hours {
            let day = days.entry(hour / DAY_HOURS).or_default();
            for (group, tally) in groups {
                day.entry(group.clone()).or_default().add(tally);
            }
        }
        let mut rows = Vec::new();
        for (span, counted) in [(Span::Hour, hours), (Span::Day, days)] {
            for (start, groups) in counted {
                let known = store.tallies(span, start..start.saturating_add(1), None).await?;
                let merged = added(known, groups);
                rows.extend(merged.into_iter().map(|(group, tally)| TallyRow {
                    span,
                    start,
                    group,
                    tally,
                }));
            }
        }
        let today = self.now().hour() / DAY_HOURS;
        let commit = TallyCommit {
            expected,
            through: *through,
            rows,
            hours_before: today.saturating_sub(HOURS_KEPT_DAYS) * DAY_HOURS,
            days_before: today.saturating_sub(DAYS_KEPT),
        };
        store.commit_tallies(commit).await?;
        Ok(lines.len() == LINES)
    }

    /// What was counted within some hours since 1970 (the end excluded), of one service or of all. With `by_hour`, rows
    /// are of hours only; without, whole days are rows of days.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn statistics(
        &self,
        hours: Range<u32>,
        service: Option<&ServiceName>,
        by_hour: bool,
    ) -> Result<Vec<TallyRow>, StoreError> {
        let mut rows = Vec::new();
        for (span, starts) in pieces(hours, by_hour) {
            rows.extend(self.inner.store.tallies(span, starts, service).await?);
        }
        Ok(rows)
    }
}

/// The rows that change: what was known of the new counts' groups, with the new counts.
fn added(known: Vec<TallyRow>, new: BTreeMap<Group, Tally>) -> BTreeMap<Group, Tally> {
    let mut purposes: BTreeSet<Option<Purpose>> = known.iter().map(|row| row.group.purpose.clone()).collect();
    let mut known: BTreeMap<Group, Tally> = known.into_iter().map(|row| (row.group, row.tally)).collect();
    let mut changed: BTreeMap<Group, Tally> = BTreeMap::new();
    for (mut group, tally) in new {
        if !purposes.contains(&group.purpose) && purposes.len() >= PURPOSES_MAX {
            group.purpose = Purpose::parse(OTHER);
        }
        purposes.insert(group.purpose.clone());
        let before = known.remove(&group).unwrap_or_default();
        changed.entry(group).or_insert(before).add(&tally);
    }
    changed
}

/// Which rows make up a range of hours.
fn pieces(hours: Range<u32>, by_hour: bool) -> Vec<(Span, Range<u32>)> {
    let days = hours.start.div_ceil(DAY_HOURS)..hours.end / DAY_HOURS;
    if by_hour || days.is_empty() {
        return vec![(Span::Hour, hours)];
    }
    let before = hours.start..days.start * DAY_HOURS;
    let after = days.end * DAY_HOURS..hours.end;
    let all = [(Span::Hour, before), (Span::Day, days), (Span::Hour, after)];
    all.into_iter().filter(|(_, starts)| !starts.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tapcode_core::number::Country;
    use tapcode_core::recipient::{Mode, Scope};

    use super::*;

    proptest! {
        #[test]
        fn every_hour_is_read_once(start in 0u32..200, length in 0u32..200, by_hour: bool) {
            let hours = start..start + length;
            let read: Vec<u32> = pieces(hours.clone(), by_hour)
                .into_iter()
                .flat_map(|(span, starts)| match span {
                    Span::Hour => starts,
                    Span::Day => starts.start * DAY_HOURS..starts.end * DAY_HOURS,
                })
                .collect();
            prop_assert_eq!(read, hours.collect::<Vec<_>>());
        }
    }

    #[test]
    fn purposes_that_never_end_are_counted_together() {
        let group = |n: usize| Group {
            scope: Scope {
                service: ServiceName::parse("acme").unwrap(),
                mode: Mode::Live,
            },
            purpose: Purpose::parse(&format!("p{n}")),
            country: Country::parse("NL").unwrap(),
            channel: None,
            provider: None,
        };
        let one = Tally {
            begun: 1,
            ..Tally::default()
        };
        let row = |(group, tally)| TallyRow {
            span: Span::Hour,
            start: 1,
            group,
            tally,
        };
        let first = added(Vec::new(), (0..PURPOSES_MAX).map(|n| (group(n), one.clone())).collect());
        assert_eq!(first.len(), PURPOSES_MAX);
        let known: Vec<TallyRow> = first.into_iter().map(row).collect();
        let more = (PURPOSES_MAX - 1..PURPOSES_MAX + 50)
            .map(|n| (group(n), one.clone()))
            .collect();
        let begun: Vec<u64> = added(known, more).values().map(|tally| tally.begun).collect();
        assert_eq!(begun, [50, 2], "`other`, and the purpose that was known");
    }
}
