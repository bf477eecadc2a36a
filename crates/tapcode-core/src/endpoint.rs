//! Where are announcements told, what has been told there, and when is the next try? Webhook endpoints of our callers.
//!
//! [`step`] takes an endpoint, an input and a moment, and gives the next endpoint and what was decided. The log is the queue:
//! an endpoint remembers how far it was told, and beside that only the announcements that it refused. One that refuses one
//! after another is paused and probed by one announcement at a time, so that nothing piles up here however long that lasts.
//! Nothing here reads a clock. The schedule is that of Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, read 2026-11-22).
#![warn(clippy::arithmetic_side_effects)]

use std::collections::VecDeque;

use crate::id::{EndpointId, EventId};
use crate::recipient::{Mode, ServiceName};
use crate::time::Timestamp;
use crate::verification::Sealed;

/// When an announcement is tried again, in milliseconds since its first try; the last one over, it is given up.
pub const TRY_AGAIN_MS: [u64; 9] = [
    5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
];
/// For how long one announcement is tried. Milliseconds.
pub const TRIED_FOR_MS: u64 = 86_400_000;
/// After how many failures in a row an endpoint is paused.
pub const PAUSE_AFTER: u32 = 5;
/// The first pause; doubled with each probe that fails. Milliseconds.
pub const PAUSE_FIRST_MS: u64 = 5_000;
/// The longest pause. Milliseconds.
pub const PAUSE_LAST_MS: u64 = 600_000;
/// The longest time to come again that an endpoint is believed. Milliseconds.
pub const RETRY_AFTER_MAX_MS: u64 = 3_600_000;
/// After so many milliseconds without one announcement taken an endpoint is disabled: five days.
pub const DISABLED_AFTER_MS: u64 = 432_000_000;
/// Most refused announcements that wait for another try; with so many, no new one is told until there is room.
pub const RETRIES_MAX: usize = 1_000;
/// Most announcements that are told at once.
pub const AT_ONCE_MAX: usize = 64;
/// Tries that are remembered for people.
pub const TRIES_KEPT: usize = 100;
/// Most secrets that sign at once: the newest one, and older ones while they are being replaced.
pub const SECRETS_MAX: usize = 3;
/// For how long a process that tells an endpoint keeps others from it. Milliseconds: longer than the slowest try, and as long as
/// nobody is told anything after a process was killed.
pub const LEASE_MS: u64 = 25_000;

/// What signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSecret {
    /// The secret, sealed.
    pub sealed: Sealed,
    /// Until when it signs beside a newer one; `None`: it is the newest.
    pub until: Option<Timestamp>,
}

/// An announcement that was refused, and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Which.
    pub event: EventId,
    /// The place of its line in the log.
    pub place: u64,
    /// How often it was tried.
    pub tries: u8,
    /// When it was first tried.
    pub first_at: Timestamp,
    /// When it is tried next.
    pub next_at: Timestamp,
}

/// What came of telling an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It answered 2xx.
    Taken {
        /// The status.
        status: u16,
    },
    /// It answered otherwise.
    Refused {
        /// The status.
        status: u16,
        /// When it wants to be asked again. Milliseconds from now on.
        retry_after_ms: Option<u64>,
    },
    /// It did not answer, or could not be asked; a word such as `timed_out`.
    Unanswered(Unanswered),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// No connection could be made.
    NoConnection,
    /// The connection broke, or took too long.
    Broken,
    /// The address leads to a machine that may not be called.
    Forbidden,
}

impl Unanswered {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::NoConnection, Self::Broken, Self::Forbidden];

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoConnection => "no_connection",
            Self::Broken => "no_answer",
            Self::Forbidden => "forbidden_address",
        }
    }
}

/// One try, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// Of which announcement.
    pub event: EventId,
    /// When it ended.
    pub at: Timestamp,
    /// Which try of it this was, from 1.
    pub number: u8,
    /// What came of it.
    pub told: Told,
    /// How long it took. Milliseconds.
    pub took_ms: u32,
}

/// Why an endpoint is told nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyDisabled {
    /// It answered 410.
    Gone,
    /// It took nothing for five days.
    Failing,
}

impl WhyDisabled {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Gone, Self::Failing];

    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// How an endpoint that refuses stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Since when nothing was taken.
    pub since: Timestamp,
    /// Failures in a row.
    pub in_a_row: u32,
    /// Failed probes since it is paused.
    pub probes: u32,
    /// Nothing is told before.
    pub paused_until: Timestamp,
}

/// A webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose announcements it is told.
    pub service: ServiceName,
    /// Of live or of test keys.
    pub mode: Mode,
    /// Its address.
    pub url: Box<str>,
    /// Which types; empty: all.
    pub types: Vec<Box<str>>,
    /// What people call it.
    pub description: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What signs, the newest first.
    pub secrets: Vec<EndpointSecret>,
    /// The place of the last line of the log that was told, or passed over.
    pub after: u64,
    /// What was refused and waits, in no order.
    pub retries: Vec<Retry>,
    /// The last tries, oldest first.
    pub tries: VecDeque<Try>,
    /// Since when it fails; `None`: the last announcement was taken.
    pub failing: Option<Failing>,
    /// When and why it was disabled.
    pub disabled: Option<(Timestamp, WhyDisabled)>,
    /// Which process tells it, and until when no other does.
    pub lease: Option<(u64, Timestamp)>,
}

/// One announcement that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub event: EventId,
    /// The place of its line in the log.
    pub place: u64,
    /// What came of it.
    pub told: Told,
    /// How long it took. Milliseconds.
    pub took_ms: u32,
    /// Chance, from 0 to 1,000, that spreads the next tries of many.
    pub jitter: u16,
}

/// Everything that can reach an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointInput {
    /// A process wants to tell it.
    Lease {
        /// Which.
        holder: u64,
    },
    /// A process tells it no more.
    Release {
        /// Which.
        holder: u64,
    },
    /// Announcements were tried.
    Tried {
        /// Each of them once.
        tried: Vec<Tried>,
        /// From which place on, and up to which, every line is among them or concerns somebody else. Where the endpoint stands
        /// at another place by now, somebody has asked for a replay, and it stays there.
        lines: Option<(u64, u64)>,
        /// Announcements that waited and whose lines of the log are gone.
        vanished: Vec<EventId>,
    },
    /// Whatever is behind this place in the log is told again.
    Replay {
        /// The place.
        after: u64,
    },
    /// A new secret signs; those that there are sign beside it until a moment.
    Rotate {
        /// The new one, sealed.
        sealed: Sealed,
        /// Until when the old ones sign.
        until: Timestamp,
    },
    /// An operator wants it to be told again.
    Enable,
}

/// What was decided about an endpoint that somebody should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointDecision {
    /// It is told nothing any more.
    Disabled(WhyDisabled),
    /// An announcement is not tried again.
    GivenUp(EventId),
}

/// A line of the log about an endpoint: it was disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointEntry {
    /// Its own id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// Whose announcements it was told.
    pub service: ServiceName,
    /// Of live or of test keys.
    pub mode: Mode,
    /// Why.
    pub why: WhyDisabled,
}

/// What is to be told now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Announcements that were refused before, with the places of their lines, the longest due first.
    pub retries: Vec<(EventId, u64)>,
    /// So many announcements of new lines may be told beside them.
    pub new: usize,
}

impl Endpoint {
    /// What is to be told at a moment.
    #[must_use]
    pub fn work(&self, now: Timestamp) -> Work {
        let waits = self.failing.as_ref().is_some_and(|f| now < f.paused_until);
        if self.disabled.is_some() || waits {
            return Work::default();
        }
        let mut due: Vec<&Retry> = self.retries.iter().collect();
        due.sort_by_key(|retry| (retry.next_at, retry.place));
        if self.is_paused() {
            // A probe: of what was refused before, so that the failing endpoint leaves no more of it behind.
            let retries: Vec<_> = due.first().map(|retry| (retry.event, retry.place)).into_iter().collect();
            let new = usize::from(retries.is_empty());
            return Work { retries, new };
        }
        let due = due.into_iter().filter(|retry| retry.next_at <= now).take(AT_ONCE_MAX);
        let retries: Vec<_> = due.map(|retry| (retry.event, retry.place)).collect();
        let room = RETRIES_MAX.saturating_sub(self.retries.len());
        let new = AT_ONCE_MAX.saturating_sub(retries.len()).min(room);
        Work { retries, new }
    }

    /// When there is something to tell, `has_new` lines of the log among it; `None`: not before there is something new.
    #[must_use]
    pub fn due_at(&self, has_new: bool) -> Option<Timestamp> {
        if self.disabled.is_some() {
            return None;
        }
        let paused_until = self.failing.as_ref().map_or(self.created_at, |f| f.paused_until);
        let at_once = has_new || self.is_paused() && !self.retries.is_empty();
        let next = self.retries.iter().map(|retry| retry.next_at.max(paused_until)).min();
        if at_once { Some(paused_until) } else { next }
    }

    /// Whether one announcement at a time probes it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.failing.as_ref().is_some_and(|f| f.in_a_row >= PAUSE_AFTER)
    }

    /// The secrets that sign at a moment, the newest first.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &EndpointSecret> {
        self.secrets
            .iter()
            .filter(move |secret| secret.until.is_none_or(|until| now < until))
    }

    /// Whether another process tells it.
    #[must_use]
    pub fn is_held_by_another(&self, holder: u64, now: Timestamp) -> bool {
        self.lease.is_some_and(|(other, until)| other != holder && now < until)
    }
}

/// Decides. See the module's documentation.
#[must_use]
pub fn step(mut endpoint: Endpoint, input: &EndpointInput, now: Timestamp) -> (Endpoint, Vec<EndpointDecision>) {
    let mut decisions = Vec::new();
    match input {
        EndpointInput::Lease { holder } => {
            if !endpoint.is_held_by_another(*holder, now) {
                endpoint.lease = Some((*holder, now.plus_millis(LEASE_MS)));
            }
        }
        EndpointInput::Release { holder } => {
            endpoint.lease = endpoint.lease.filter(|(other, _)| other != holder);
        }
        EndpointInput::Tried { tried, lines, vanished } => {
            endpoint.retries.retain(|retry| !vanished.contains(&retry.event));
            if let Some((from, to)) = lines
                && endpoint.after == *from
            {
                endpoint.after = *to;
            }
            let was_paused = endpoint.is_paused();
            // Those that were told together are told in no order: an endpoint that took one of them is not failing.
            let (taken, refused): (Vec<_>, Vec<_>) = tried.iter().partition(|one| matches!(one.told, Told::Taken { .. }));
            for one in refused {
                endpoint.refuse(one, was_paused, now, &mut decisions);
            }
            let some_taken = !taken.is_empty();
            for one in taken {
                endpoint.write_down(one, now);
            }
            if some_taken {
                endpoint.failing = None;
                if was_paused {
                    // Whoever takes one will take the others too.
                    endpoint.hurry(now);
                }
            }
        }
        EndpointInput::Replay { after } => endpoint.after = endpoint.after.min(*after),
        EndpointInput::Rotate { sealed, until } => {
            for old in &mut endpoint.secrets {
                old.until = Some(old.until.map_or(*until, |before| before.min(*until)));
            }
            endpoint.secrets.retain(|old| old.until.is_none_or(|until| now < until));
            let newest = EndpointSecret {
                sealed: sealed.clone(),
                until: None,
            };
            endpoint.secrets.insert(0, newest);
            endpoint.secrets.truncate(SECRETS_MAX);
        }
        EndpointInput::Enable => {
            (endpoint.disabled, endpoint.failing) = (None, None);
            endpoint.hurry(now);
        }
    }
    (endpoint, decisions)
}

impl Endpoint {
    /// Writes a try down and takes the announcement from those that wait; returns how it had waited.
    fn write_down(&mut self, tried: &Tried, now: Timestamp) -> Option<Retry> {
        let known = self.retries.iter().position(|retry| retry.event == tried.event);
        let known = known.map(|at| self.retries.swap_remove(at));
        if self.tries.len() >= TRIES_KEPT {
            self.tries.pop_front();
        }
        self.tries.push_back(Try {
            event: tried.event,
            at: now,
            number: known.as_ref().map_or(0, |retry| retry.tries).saturating_add(1),
            told: tried.told,
            took_ms: tried.took_ms,
        });
        known
    }

    fn refuse(&mut self, tried: &Tried, was_paused: bool, now: Timestamp, decisions: &mut Vec<EndpointDecision>) {
        let known = self.write_down(tried, now);
        let (tries, first_at) = known.map_or((0, now), |retry| (retry.tries, retry.first_at));
        let mut retry_after_ms = 0;
        if let Told::Refused {
            status,
            retry_after_ms: wish,
        } = tried.told
        {
            retry_after_ms = wish.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
            if status == 410 {
                self.disable(WhyDisabled::Gone, now, decisions);
            }
        }
        let failing = self.failing.get_or_insert(Failing {
            since: now,
            in_a_row: 0,
            probes: 0,
            paused_until: now,
        });
        failing.in_a_row = failing.in_a_row.saturating_add(1);
        failing.probes = failing.probes.saturating_add(u32::from(was_paused));
        let pause_ms = if failing.in_a_row < PAUSE_AFTER {
            retry_after_ms
        } else {
            retry_after_ms.max(spread(pause_after_ms(failing.probes), tried.jitter))
        };
        failing.paused_until = failing.paused_until.max(now.plus_millis(pause_ms));
        if now >= failing.since.plus_millis(DISABLED_AFTER_MS) {
            self.disable(WhyDisabled::Failing, now, decisions);
        }
        if now >= first_at.plus_millis(TRIED_FOR_MS) {
            decisions.push(EndpointDecision::GivenUp(tried.event));
            return;
        }
        let offset_ms = TRY_AGAIN_MS.get(usize::from(tries)).copied().unwrap_or(TRIED_FOR_MS);
        let planned = first_at.plus_millis(spread(offset_ms, tried.jitter));
        let soonest = now.plus_millis(retry_after_ms.max(PAUSE_FIRST_MS));
        self.retries.push(Retry {
            event: tried.event,
            place: tried.place,
            tries: tries.saturating_add(1),
            first_at,
            next_at: planned.max(soonest),
        });
    }

    fn disable(&mut self, why: WhyDisabled, now: Timestamp, decisions: &mut Vec<EndpointDecision>) {
        if self.disabled.is_none() {
            self.disabled = Some((now, why));
            decisions.push(EndpointDecision::Disabled(why));
        }
    }

    /// Everything that waits is due.
    fn hurry(&mut self, now: Timestamp) {
        for retry in &mut self.retries {
            retry.next_at = retry.next_at.min(now);
        }
    }
}

/// How long an endpoint is paused when so many probes have failed. Milliseconds.
#[must_use]
pub fn pause_after_ms(failed_probes: u32) -> u64 {
    PAUSE_FIRST_MS
        .saturating_mul(1_u64.checked_shl(failed_probes).unwrap_or(u64::MAX))
        .min(PAUSE_LAST_MS)
}

/// A wait, up to a tenth of it longer.
fn spread(wait_ms: u64, jitter: u16) -> u64 {
    let more = wait_ms
        .saturating_mul(u64::from(jitter.min(1_000)))
        .checked_div(10_000)
        .unwrap_or(0);
    wait_ms.saturating_add(more)
}
