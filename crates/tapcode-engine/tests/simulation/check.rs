//! Did every law hold? Judged from outside: the providers' logs, what callers were told, and what the store holds at the end.

use std::collections::{BTreeMap, BTreeSet};

use tapcode_core::delivery::{FailureClass, MessageStatus};
use tapcode_core::entry::{CheckReason, Decision, Entry, InputRecord, SendCause};
use tapcode_core::id::{MessageId, VerificationId};
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{FINISHED_KEPT_MS, HOUR_MS, Lock, Mode, Recipient, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Status, Verification};
use tapcode_engine::contract::store::{Line, Snapshot, Store, Subject, SubjectId};
use tapcode_engine::service::sender_name;

use crate::carrier::{Call, Fate, Told};
use crate::users::{Asked, Got, Op};
use crate::world::{NUMBERS, Policy, SERVICES, TTL_MS, World, number};

/// How old a line of the log may be that is not counted yet. Milliseconds.
const COUNTED_WITHIN_MS: u64 = 30_000;

/// What is left of a world when it is over.
struct Dump<'a> {
    world: &'a World,
    log: Vec<Entry>,
    verifications: BTreeMap<VerificationId, (Snapshot, Verification)>,
    documents: BTreeMap<RecipientKey, Option<Recipient>>,
    places: BTreeMap<RecipientKey, (&'static Policy, usize)>,
    calls: Vec<Call>,
    told: Vec<Told>,
    history: Vec<Op>,
    leaps: Vec<(Timestamp, Timestamp)>,
    healed_at: Timestamp,
    wrong: Vec<String>,
}

/// Everything that was not as the laws say.
pub async fn check(world: &World) -> Vec<String> {
    let log: Vec<Entry> = world
        .kept
        .lines(None, usize::MAX)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|(_, line)| match line {
            Line::Recipient(entry) => Some(entry),
            Line::Account(_) | Line::Endpoint(_) => None,
        })
        .collect();
    let mut verifications = BTreeMap::new();
    for id in log.iter().filter_map(|e| e.verification).collect::<BTreeSet<_>>() {
        let snapshot = world.kept.snapshot(SubjectId::Verification(id)).await.unwrap();
        if let Some((snapshot, v)) = snapshot.and_then(|s| match s.subject.clone() {
            Subject::Verification(v) => Some((s, v)),
            Subject::Message(_) => None,
        }) {
            verifications.insert(id, (snapshot, v));
        }
    }
    let mut places = BTreeMap::new();
    let mut documents = BTreeMap::new();
    for policy in &SERVICES {
        let scope = Scope {
            service: ServiceName::parse(policy.name).unwrap(),
            mode: Mode::Live,
        };
        for n in 0..NUMBERS.len() {
            let key = world.keyring.recipient_key(&scope, &number(n, 0));
            places.insert(key, (policy, n));
            documents.insert(key, world.kept.load(&key).await.unwrap().map(|loaded| loaded.value));
        }
    }
    let mut dump = Dump {
        world,
        log,
        verifications,
        documents,
        places,
        calls: world.calls.lock().unwrap().clone(),
        told: world.told.lock().unwrap().clone(),
        history: world.history.lock().unwrap().clone(),
        leaps: world.leaps.lock().unwrap().clone(),
        healed_at: world.healed_at.lock().unwrap().expect("a world that is over was healed"),
        wrong: Vec::new(),
    };
    dump.checks();
    dump.failures_in_a_row();
    dump.ends();
    dump.calls();
    dump.fallbacks();
    dump.receipts().await;
    dump.limits();
    dump.answers();
    dump.strangers();
    dump.branches();
    dump.statistics().await;
    dump.wrong
}

/// Begun, converted, sent, delivered, read, failed, fallbacks.
type Counts = [u64; 7];

impl Dump<'_> {
    /// What was counted is what the log tells, however often nodes died over it; and it is not far behind.
    async fn statistics(&mut self) {
        let kept = &self.world.kept;
        let lines = kept.lines(None, usize::MAX).await.unwrap();
        let through = kept.counted_through().await.unwrap();
        let behind = lines.iter().find(|(place, _)| Some(*place) > through);
        if let (Some((_, line)), Some((_, last))) = (behind, lines.last())
            && last.at().millis_since(line.at()) > COUNTED_WITHIN_MS
        {
            let at = line.at();
            self.wrong
                .push(format!("statistics: what happened at {at:?} is not counted yet"));
        }
        // A message counts once, whatever is told of it: counted here by its id.
        let mut seen: BTreeSet<(&str, MessageId)> = BTreeSet::new();
        let mut hours: BTreeMap<u32, Counts> = BTreeMap::new();
        for (_, line) in lines.iter().filter(|(place, _)| Some(*place) <= through) {
            let Line::Recipient(entry) = line else { continue };
            let hour = u32::try_from(entry.at.as_millis() / 3_600_000).unwrap();
            for decision in &entry.decisions {
                let mut counted = [false; 7];
                match decision {
                    Decision::Began { .. } => counted[0] = true,
                    Decision::Ended { status, .. } => counted[1] = *status == Status::Approved,
                    Decision::Message { message, status, .. } => {
                        let arrived = matches!(status, MessageStatus::Delivered | MessageStatus::Read);
                        let taken = arrived || matches!(status, MessageStatus::Accepted | MessageStatus::Sent);
                        counted[2] = taken && seen.insert(("taken", message.id));
                        counted[3] = arrived && seen.insert(("arrived", message.id));
                        counted[4] = *status == MessageStatus::Read;
                        counted[5] = *status == MessageStatus::Failed;
                    }
                    Decision::Queued { cause, .. } => {
                        counted[6] = matches!(cause, SendCause::FellBackOnFailure | SendCause::FellBackOnSilence { .. });
                    }
                    _ => continue,
                }
                if counted.contains(&true) {
                    let counts = hours.entry(hour).or_default();
                    counts.iter_mut().zip(counted).for_each(|(sum, one)| *sum += u64::from(one));
                }
            }
        }
        let mut days: BTreeMap<u32, Counts> = BTreeMap::new();
        for (hour, counts) in &hours {
            let day = days.entry(hour / 24).or_default();
            day.iter_mut().zip(counts).for_each(|(sum, one)| *sum += one);
        }
        for (span, expected) in [(Span::Hour, hours), (Span::Day, days)] {
            let mut told: BTreeMap<u32, Counts> = BTreeMap::new();
            for row in kept.tallies(span, 0..u32::MAX, None).await.unwrap() {
                let t = &row.tally;
                let failed = t.failed.values().sum();
                let all = [t.begun, t.converted, t.sent, t.delivered, t.read, failed, t.fallbacks];
                let sum = told.entry(row.start).or_default();
                sum.iter_mut().zip(all).for_each(|(sum, one)| *sum += one);
                let timed: u64 = t.delivery_times.steps().iter().map(|(_, times)| times).sum();
                if timed != t.delivered {
                    self.wrong
                        .push(format!("statistics: {timed} times of {} deliveries", t.delivered));
                }
            }
            told.retain(|_, counts| *counts != Counts::default());
            if told != expected {
                self.wrong.push(format!(
                    "statistics: by {span:?} {told:?} is counted, and {expected:?} is true"
                ));
            }
        }
        if self.log.iter().any(|e| !e.decisions.is_empty()) {
            self.world.saw("what was counted is counted again");
        }
    }

    fn policy(&self, v: &Snapshot) -> &'static Policy {
        Policy::of(v.scope.service.as_str())
    }

    /// Everything that was decided about a verification, in the order of commits.
    fn decisions(&self, id: VerificationId) -> impl Iterator<Item = (&Entry, &Decision)> {
        self.log
            .iter()
            .filter(move |e| e.verification == Some(id))
            .flat_map(|e| e.decisions.iter().map(move |d| (e, d)))
    }

    fn code_of(&self, v: &Verification) -> Option<String> {
        let messages: BTreeSet<_> = v.attempts.iter().map(|a| a.id).collect();
        self.calls
            .iter()
            .find(|c| messages.contains(&c.message))
            .and_then(|c| c.code.clone())
    }

    /// The latest moment that something due at `due` may have been left undone: faults and leaps move it.
    fn by(&self, due: Timestamp, grace_ms: u64) -> Timestamp {
        let mut by = if self.world.weather.is_calm() {
            due
        } else {
            due.max(self.healed_at)
        };
        for (from, to) in &self.leaps {
            if *from <= by.plus_millis(grace_ms) && by < *to {
                by = *to;
            }
        }
        by.plus_millis(grace_ms)
    }

    /// Laws 1 and 3, and that a failed check is durable before its answer leaves.
    fn checks(&mut self) {
        let mut wrong = Vec::new();
        let mut evaluated: BTreeMap<VerificationId, Vec<(u16, &Op)>> = BTreeMap::new();
        let mut valid: BTreeMap<VerificationId, Vec<&Op>> = BTreeMap::new();
        for op in &self.history {
            let (
                Asked::Check { typed, bound, .. },
                Got::Checked {
                    id,
                    reason,
                    status,
                    checks_used,
                    ..
                },
            ) = (&op.asked, &op.got)
            else {
                continue;
            };
            let Some((snapshot, v)) = self.verifications.get(id) else {
                wrong.push(format!("law 4: {id} was answered and is not in the store"));
                continue;
            };
            let right = self.code_of(v).is_some_and(|code| code == typed.replace('-', "")) && *bound == v.binding.is_some();
            match reason {
                None => {
                    valid.entry(*id).or_default().push(op);
                    evaluated.entry(*id).or_default().push((*checks_used, op));
                    if !right {
                        wrong.push(format!("law 3: {id} took {op:?}, which is not its code and binding"));
                    }
                    if op.from >= id.made_at().plus_millis(TTL_MS) {
                        wrong.push(format!("law 3: {id} took its code at {:?}, after its end", op.from));
                    }
                    if *status != Status::Approved || v.status != Status::Approved {
                        wrong.push(format!("law 4: {id} was answered valid and is {:?}", v.status));
                    }
                    if v.finished_at.is_none_or(|at| at < op.from || at > op.to) {
                        wrong.push(format!("law 3: {id} was approved at {:?}, outside of {op:?}", v.finished_at));
                    }
                    let place = self.places.get(&snapshot.key).map(|(policy, n)| (policy.name, *n));
                    if place != Some((op.service, op.number))
                        || (matches!(op.asked, Asked::Check { id: None, .. }) && v.purpose.as_str() != op.purpose)
                    {
                        wrong.push(format!(
                            "law 3: {id} was approved for another service, number or purpose: {op:?}"
                        ));
                    }
                }
                Some(CheckReason::IncorrectCode | CheckReason::BindingMismatch) => {
                    evaluated.entry(*id).or_default().push((*checks_used, op));
                    if right {
                        wrong.push(format!("law 3: {id} refused its own code: {op:?}"));
                    }
                }
                Some(_) => {}
            }
        }
        for (id, ops) in &valid {
            if ops.len() > 1 {
                wrong.push(format!("law 3: {id} was consumed {} times", ops.len()));
            }
        }
        for (id, ops) in &evaluated {
            let Some((snapshot, v)) = self.verifications.get(id) else {
                continue;
            };
            let max = self.policy(snapshot).max_checks;
            if ops.len() > usize::from(max) {
                wrong.push(format!(
                    "law 1: {} guesses of {id} were evaluated, {max} are allowed",
                    ops.len()
                ));
            }
            let distinct: BTreeSet<u16> = ops.iter().map(|(used, _)| *used).collect();
            if distinct.len() != ops.len() {
                wrong.push(format!(
                    "law 1: two answers of {id} tell of the same guess: {:?}",
                    ops.iter().map(|(used, _)| used).collect::<Vec<_>>()
                ));
            }
            if usize::from(v.checks_used) < ops.len() || distinct.last().is_some_and(|last| *last > v.checks_used) {
                wrong.push(format!(
                    "law 1: {} guesses of {id} were answered, {} are kept",
                    ops.len(),
                    v.checks_used
                ));
            }
            for (used, op) in ops
                .iter()
                .filter(|(_, op)| matches!(op.got, Got::Checked { reason: Some(_), .. }))
            {
                let kept = self.decisions(*id).any(
                    |(_, d)| matches!(d, Decision::CheckFailed { checks_left, .. } if *checks_left == max.saturating_sub(*used)),
                );
                if !kept {
                    wrong.push(format!("law 1: a failed check was answered and is not kept: {op:?}"));
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// Law 2, by the log and by what callers saw; and the locks that follow from it.
    fn failures_in_a_row(&mut self) {
        let mut wrong = Vec::new();
        let mut rows: BTreeMap<(RecipientKey, &str), u16> = BTreeMap::new();
        let mut locks: BTreeMap<RecipientKey, Lock> = BTreeMap::new();
        for entry in &self.log {
            let Some((snapshot, v)) = entry.verification.and_then(|id| self.verifications.get(&id)) else {
                // An unlocking is written without a verification: whose, only the masked number tells.
                if entry.decisions.contains(&Decision::Unlocked) {
                    let whose = self
                        .places
                        .iter()
                        .find(|(_, (p, n))| p.name == entry.scope.service.as_str() && number(*n, 0).masked() == entry.masked);
                    locks.extend(whose.map(|(key, _)| (*key, Lock::Open)));
                }
                continue;
            };
            let (key, policy) = (snapshot.key, self.policy(snapshot));
            for decision in &entry.decisions {
                let row = rows.entry((key, v.purpose.as_str())).or_default();
                let locked = locks.get(&key).is_some_and(|lock| lock.holds(entry.at));
                match decision {
                    Decision::CheckFailed { .. } => {
                        *row += 1;
                        if locked {
                            wrong.push(format!(
                                "law 2: a guess at {} was evaluated while its number was locked",
                                v.id
                            ));
                        }
                        let expected = row.is_multiple_of(policy.lock_after) || *row >= policy.lock_for_good_after;
                        let came = entry.decisions.iter().any(|d| matches!(d, Decision::Locked { .. }));
                        if expected && !came {
                            wrong.push(format!("law 2: {row} failures in a row at {} and no lock", v.id));
                        }
                    }
                    Decision::Ended {
                        status: Status::Approved,
                        ..
                    } => *row = 0,
                    Decision::Locked { until: Some(until) } => drop(locks.insert(key, Lock::Until(*until))),
                    Decision::Locked { until: None } => drop(locks.insert(key, Lock::UntilOperator)),
                    Decision::Queued {
                        cause: SendCause::Begun | SendCause::Requested,
                        ..
                    } if locked => {
                        wrong.push(format!("law 8: {} was sent while its number was locked", v.id));
                    }
                    _ => {}
                }
            }
        }
        for ((key, purpose), row) in &rows {
            let kept = self.documents[key]
                .as_ref()
                .and_then(|d| d.failures.iter().find(|f| f.purpose.as_str() == *purpose));
            let kept = kept.map_or(0, |f| f.in_a_row);
            if kept != *row {
                wrong.push(format!(
                    "law 2: {row} failures in a row were logged for {key:?} {purpose}, {kept} are kept"
                ));
            }
            let (policy, n) = self.places[key];
            let of_row = |op: &&Op| {
                let about = match &op.got {
                    Got::Checked { id, .. } => self.verifications.get(id).map(|(_, v)| v.purpose.as_str()),
                    _ => Some(op.purpose),
                };
                op.service == policy.name && op.number == n && about == Some(purpose) && matches!(op.asked, Asked::Check { .. })
            };
            let maybe_success = |op: &&Op| !op.got.is_known() || matches!(op.got, Got::Checked { reason: None, .. });
            let since = self.history.iter().filter(of_row).filter(maybe_success).map(|op| op.to).max();
            let seen = self.history.iter().filter(of_row).filter(|op| {
                let failed = matches!(
                    &op.got,
                    Got::Checked {
                        reason: Some(CheckReason::IncorrectCode | CheckReason::BindingMismatch),
                        ..
                    }
                );
                failed && since.is_none_or(|since| op.from > since)
            });
            let seen = seen.count();
            if usize::from(kept) < seen {
                wrong.push(format!(
                    "law 2: {seen} failures in a row were answered for {key:?} {purpose}, {kept} are kept"
                ));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Laws 4 and 10.
    fn ends(&mut self) {
        let mut wrong = Vec::new();
        for (id, (snapshot, v)) in &self.verifications {
            let began = self
                .decisions(*id)
                .filter(|(_, d)| matches!(d, Decision::Began { .. }))
                .count();
            let ended: Vec<_> = self
                .decisions(*id)
                .filter_map(|(_, d)| {
                    if let Decision::Ended { status, .. } = d {
                        Some(*status)
                    } else {
                        None
                    }
                })
                .collect();
            if began != 1 {
                wrong.push(format!("law 10: {id} began {began} times in the log"));
            }
            if !v.status.is_final() {
                wrong.push(format!("law 4: {id} has no end"));
            } else if ended != [v.status] {
                wrong.push(format!(
                    "law 10: {id} is {:?} and the log tells of the ends {ended:?}",
                    v.status
                ));
            }
            let by = self.by(
                id.made_at().plus_millis(TTL_MS),
                if self.world.weather.is_calm() { 1_000 } else { 60_000 },
            );
            if v.finished_at.is_none_or(|at| at > by) {
                wrong.push(format!("law 4: {id} ended at {:?}, later than {by:?}", v.finished_at));
            }
            if v.status == Status::Expired && v.finished_at < Some(id.made_at().plus_millis(TTL_MS)) {
                wrong.push(format!("law 4: {id} expired too early"));
            }
            let max = self.policy(snapshot).max_checks;
            if v.checks_used > max || (v.checks_used == max && !matches!(v.status, Status::Approved | Status::MaxChecksReached)) {
                wrong.push(format!("law 1: {id} is {:?} after {} checks", v.status, v.checks_used));
            }
            if let Some(kept) = self.documents[&snapshot.key].as_ref().and_then(|d| d.verification(*id))
                && (kept.status != v.status || kept.checks_used != v.checks_used || kept.attempts.len() != v.attempts.len())
            {
                wrong.push(format!("law 10: the history of {id} is not what its document says"));
            }
            // What callers saw: once final, always the same.
            let seen = |got: &Got| match got {
                Got::Stands { id: of, status } | Got::Checked { id: of, status, .. } if of == id => Some(*status),
                _ => None,
            };
            for op in &self.history {
                if seen(&op.got).is_some_and(|status| status.is_final() && status != v.status) {
                    wrong.push(format!("law 4: {id} ended as {:?} and was seen otherwise: {op:?}", v.status));
                }
                if seen(&op.got) == Some(Status::Pending) && v.finished_at.is_some_and(|at| at < op.from) {
                    wrong.push(format!("law 4: {id} had ended and was seen pending: {op:?}"));
                }
            }
        }
        for op in &self.history {
            if let Got::Begun { id, .. } = &op.got
                && !self.verifications.contains_key(id)
            {
                wrong.push(format!("law 4: {id} was answered 2xx and is not in the store"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Law 5 and 11: what reached the providers.
    fn calls(&mut self) {
        let mut wrong = Vec::new();
        let mut by_message: BTreeMap<MessageId, Vec<&Call>> = BTreeMap::new();
        for call in &self.calls {
            by_message.entry(call.message).or_default().push(call);
            let place = self.places.get(&call.key);
            if place.is_none_or(|(_, n)| NUMBERS[*n][0] != call.number) {
                wrong.push(format!("law 8: a message of {:?} went to another number", call.key));
            }
        }
        let claims = |message: MessageId| {
            self.log
                .iter()
                .flat_map(|e| &e.decisions)
                .filter(|d| matches!(d, Decision::Claimed { message: m } if m.id == message))
                .count()
        };
        for (message, calls) in &by_message {
            for pair in calls.windows(2) {
                let certain = pair[0].fate == Fate::TryAgain && pair[0].answered_at.is_some_and(|at| at <= pair[1].at);
                if !certain {
                    wrong.push(format!("law 5: {message} was called again after {:?}", pair[0].fate));
                }
            }
            if calls.len() > 2 {
                wrong.push(format!("law 5: {message} was called {} times", calls.len()));
            }
            if claims(*message) < calls.len() {
                wrong.push(format!("law 11: {message} was called without a claim in the log"));
            }
        }
        let weather = &self.world.weather;
        for entry in &self.log {
            for decision in &entry.decisions {
                let Decision::Claimed { message } = decision else { continue };
                let calls = by_message.get(&message.id).map_or(0, Vec::len);
                if weather.crash == 0 && weather.unknown == 0 && calls != claims(message.id) {
                    wrong.push(format!(
                        "law 6: {} was claimed {} times and called {calls} times, though nothing died",
                        message.id,
                        claims(message.id)
                    ));
                }
            }
        }
        for (id, (_, v)) in &self.verifications {
            let codes: BTreeSet<_> = v
                .attempts
                .iter()
                .filter_map(|a| by_message.get(&a.id))
                .flatten()
                .filter_map(|c| c.code.as_deref())
                .collect();
            if codes.len() > 1 {
                wrong.push(format!("law 3: {id} was sent {} codes", codes.len()));
            }
            let mut over = false;
            let mut automatic = BTreeSet::new();
            for (_, decision) in self.decisions(*id) {
                match decision {
                    Decision::Ended { .. } => over = true,
                    Decision::Claimed { message } if over => {
                        wrong.push(format!("law 6: {} of {id} was claimed after its end", message.id))
                    }
                    Decision::Queued { message, cause } => {
                        if over {
                            wrong.push(format!("law 6: {} of {id} was queued after its end", message.id));
                        }
                        let step = v.attempts.iter().find(|a| a.id == message.id).map(|a| a.step);
                        if matches!(cause, SendCause::FellBackOnFailure | SendCause::FellBackOnSilence { .. })
                            && !automatic.insert(step)
                        {
                            wrong.push(format!("law 5: {id} fell back to step {step:?} twice"));
                        }
                    }
                    _ => {}
                }
            }
        }
        let known: BTreeSet<MessageId> = self
            .verifications
            .values()
            .flat_map(|(_, v)| v.attempts.iter().map(|a| a.id))
            .collect();
        for call in self.calls.iter().filter(|c| c.code.is_some() && !known.contains(&c.message)) {
            wrong.push(format!("law 11: {} was sent and no verification knows it", call.message));
        }
        self.wrong.extend(wrong);
    }

    /// Law 6.
    fn fallbacks(&mut self) {
        let mut wrong = Vec::new();
        let grace_ms = if self.world.weather.is_calm() { 400 } else { 5_000 };
        for (id, (_, v)) in &self.verifications {
            let finished = v.finished_at.unwrap_or(Timestamp::from_millis(i64::MAX));
            let given_up = self.decisions(*id).any(|(_, d)| matches!(d, Decision::NoFallback(_)));
            let arrived_by = |at: Timestamp| {
                v.attempts
                    .iter()
                    .filter_map(|a| [a.delivery.delivered_at, a.delivery.read_at].into_iter().flatten().min())
                    .any(|arrived| arrived < at)
            };
            for (n, attempt) in v.attempts.iter().enumerate() {
                let (cause, input) = self
                    .decisions(*id)
                    .find_map(|(entry, d)| match d {
                        Decision::Queued { message, cause } if message.id == attempt.id => {
                            Some((cause.clone(), entry.input.clone()))
                        }
                        _ => None,
                    })
                    .unzip();
                let queued = attempt.delivery.queued_at;
                let automatic = matches!(
                    cause,
                    Some(SendCause::FellBackOnFailure | SendCause::FellBackOnSilence { .. })
                );
                if automatic {
                    let before = &v.attempts[n - 1];
                    let silent = matches!(cause, Some(SendCause::FellBackOnSilence { .. }));
                    let told = self.told.iter().any(|t| {
                        let arrived = matches!(t.status, MessageStatus::Delivered | MessageStatus::Read) && !t.forged;
                        let about = v.attempts[..n].iter().find(|a| a.id == t.message);
                        // Without a reference it leads here once the provider's id is known, and a timer looks for it.
                        let looked = silent && input == Some(InputRecord::Tick);
                        let leads = about.is_some_and(|a| {
                            t.with_reference || (looked && a.delivery.accepted_at.is_some_and(|at| at < queued))
                        });
                        let swept = !t.with_reference && self.leaps.iter().any(|(_, to)| *to >= t.at);
                        arrived && leads && !swept && t.taken_at.is_some_and(|at| at < queued)
                    });
                    if arrived_by(queued) || told {
                        wrong.push(format!("law 6: {id} fell back to {} after it had arrived", attempt.id));
                    }
                    let wait = v.plan.step(before.step).map_or(0, |s| u64::from(s.wait_ms));
                    let early = queued < before.delivery.queued_at.plus_millis(wait);
                    if silent && early {
                        wrong.push(format!("law 6: {id} fell back to {} before its wait was over", attempt.id));
                    }
                    if cause == Some(SendCause::FellBackOnFailure) && before.delivery.failed_at.is_none_or(|at| at > queued) {
                        wrong.push(format!(
                            "law 6: {id} fell back to {} on a failure that is not known",
                            attempt.id
                        ));
                    }
                    if finished < queued {
                        wrong.push(format!("law 6: {id} fell back to {} after its end", attempt.id));
                    }
                }
                let furthest = v.attempts[..=n].iter().map(|a| a.step).max().unwrap_or(0);
                let has_next = v.plan.step(furthest + 1).is_some();
                let left_at = v
                    .attempts
                    .get(n + 1)
                    .map_or(finished, |next| next.delivery.queued_at.min(finished));
                let due = queued.plus_millis(v.plan.step(attempt.step).map_or(0, |s| u64::from(s.wait_ms)));
                let by = self.by(due, grace_ms);
                if has_next && !given_up && left_at > by && !arrived_by(by) {
                    wrong.push(format!(
                        "law 6: {id} did not fall back from {} by {by:?}; it went on at {left_at:?}",
                        attempt.id
                    ));
                }
                if let Some(failed) = attempt.delivery.failed_at {
                    let forbids = attempt
                        .delivery
                        .failure
                        .as_ref()
                        .is_some_and(|f| f.class == FailureClass::NoFallback);
                    let arrived = arrived_by(failed.plus_millis(1));
                    let in_time = failed < id.made_at().plus_millis(TTL_MS);
                    if has_next && !given_up && !forbids && !arrived && in_time && left_at > failed {
                        wrong.push(format!(
                            "law 6: {id} did not fall back at once when {} failed at {failed:?}, but went on at {left_at:?}",
                            attempt.id
                        ));
                    }
                }
            }
            if v.status == Status::Failed && !v.attempts.iter().all(|a| a.delivery.failed_at.is_some()) {
                wrong.push(format!("law 4: {id} failed, and not every message of it did"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Law 7.
    async fn receipts(&mut self) {
        let mut wrong = Vec::new();
        for (id, (_, v)) in &self.verifications {
            for attempt in &v.attempts {
                let channel = v.plan.step(attempt.step).map(|s| s.route.channel);
                let d = &attempt.delivery;
                let facts = [
                    (MessageStatus::Sent, d.sent_at),
                    (MessageStatus::Delivered, d.delivered_at),
                    (MessageStatus::Read, d.read_at),
                ];
                let about = |status| {
                    self.told
                        .iter()
                        .filter(move |t| t.message == attempt.id && t.status == status)
                };
                for (status, at) in facts {
                    let told = about(status).any(|t| !t.forged && Some(t.channel) == channel && at.is_some_and(|at| t.at <= at));
                    if at.is_some() && !told {
                        wrong.push(format!("law 7: {} of {id} is {status:?} and nobody told so", attempt.id));
                    }
                }
                for told in self
                    .told
                    .iter()
                    .filter(|t| t.message == attempt.id && !t.forged && Some(t.channel) == channel)
                {
                    let known = match told.status {
                        MessageStatus::Sent => d.sent_at,
                        MessageStatus::Delivered => d.delivered_at,
                        MessageStatus::Read => d.read_at,
                        _ => d.failed_at,
                    };
                    // What a session handed to a node that died then is gone; a hook is sent again until it is taken.
                    let heard = match told.channel {
                        Channel::Whatsapp => told.taken_at,
                        Channel::Sms => (self.world.weather.crash == 0).then_some(told.at),
                    };
                    let Some(heard) = heard else { continue };
                    let forgotten = v
                        .finished_at
                        .is_some_and(|end| self.by(heard, 5_000) >= end.plus_millis(FINISHED_KEPT_MS));
                    // A node that dies between writing a provider's id down and taking what waited for it leaves a
                    // receipt behind; `fallbacks` checks that no silence is concluded from that.
                    let leads = told.with_reference || (self.world.weather.crash == 0 && self.leads(told, attempt.id).await);
                    let swept = !told.with_reference && self.leaps.iter().any(|(_, to)| *to >= told.at);
                    // A node that stops while the store is mostly away has only so long for what it still holds.
                    let hardly = self.world.weather.refused >= 300 || self.world.weather.outages;
                    let in_hand = !told.with_reference || told.channel == Channel::Sms;
                    let given_up = hardly && in_hand && self.world.stops.lock().unwrap().iter().any(|at| *at >= told.at);
                    if known.is_none() && leads && !forgotten && !swept && !given_up {
                        wrong.push(format!(
                            "law 7: {:?} of {} ({id}, {}) was taken at {heard:?} and is not known, with reference: {}",
                            told.status, attempt.id, told.channel, told.with_reference
                        ));
                    }
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// Whether the provider's id of what was told leads to the message by now.
    async fn leads(&self, told: &Told, message: MessageId) -> bool {
        let sender = sender_name(told.channel, if told.channel == Channel::Whatsapp { 1 } else { 42 });
        let handle = self.world.keyring.provider_handle(&sender, &told.provider_message_id);
        self.world
            .kept
            .find(&sender, &handle)
            .await
            .unwrap()
            .is_some_and(|(_, found)| found == message)
    }

    /// Law 8, by what reached the phones and what callers were told.
    fn limits(&mut self) {
        let mut wrong = Vec::new();
        for (key, (policy, n)) in &self.places {
            let sent: BTreeSet<MessageId> = self
                .calls
                .iter()
                .filter(|c| c.key == *key && c.code.is_some())
                .map(|c| c.message)
                .collect();
            let times: Vec<Timestamp> = sent.iter().map(MessageId::made_at).collect();
            for at in &times {
                let within = times.iter().filter(|t| **t <= *at && at.millis_since(**t) < HOUR_MS).count();
                if within > usize::from(policy.sends) {
                    wrong.push(format!(
                        "law 8: {within} messages within an hour to {key:?} of {}",
                        policy.name
                    ));
                }
            }
            let begun: Vec<&Op> = self
                .history
                .iter()
                .filter(|op| op.service == policy.name && op.number == *n && matches!(op.got, Got::Begun { again: false, .. }))
                .collect();
            for (i, one) in begun.iter().enumerate() {
                for two in &begun[i + 1..] {
                    let apart = two.to.millis_since(one.from).max(one.to.millis_since(two.from));
                    if apart < u64::from(policy.cooldown_ms) {
                        wrong.push(format!("law 8: sent twice within the cool-down: {one:?} and {two:?}"));
                    }
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// One idempotency key, one effect and one answer.
    fn answers(&mut self) {
        let mut wrong = Vec::new();
        let mut by_key: BTreeMap<u64, Vec<&Op>> = BTreeMap::new();
        for op in &self.history {
            if let Asked::Begin { key: Some(key), .. } | Asked::Resend { key: Some(key), .. } = op.asked {
                by_key.entry(key).or_default().push(op);
            }
        }
        for (key, ops) in by_key {
            let answered: Vec<_> = ops
                .iter()
                .filter_map(|op| {
                    if let Got::Begun { id, new, .. } = op.got {
                        Some((id, new, *op))
                    } else {
                        None
                    }
                })
                .collect();
            for pair in answered.windows(2) {
                if (pair[0].0, pair[0].1) != (pair[1].0, pair[1].1) {
                    wrong.push(format!(
                        "idempotency: key {key} got two answers: {:?} and {:?}",
                        pair[0].2, pair[1].2
                    ));
                }
            }
            let first = answered.iter().map(|(_, _, op)| op.to).min();
            for op in ops
                .iter()
                .filter(|op| matches!(op.got, Got::Refused(_) | Got::NotFound) && first.is_some_and(|first| op.from >= first))
            {
                wrong.push(format!("idempotency: key {key} was answered and then not: {op:?}"));
            }
            if answered
                .iter()
                .filter(|(_, _, op)| matches!(op.got, Got::Begun { again: false, .. }))
                .count()
                > 1
            {
                wrong.push(format!("idempotency: key {key} had its effect twice"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Law 12.
    fn strangers(&mut self) {
        let mut wrong = Vec::new();
        for op in &self.history {
            if let Got::Other(text) = &op.got
                && text != "connection refused"
            {
                wrong.push(format!("an answer that belongs nowhere: {op:?}"));
            }
            let (Asked::Get { id } | Asked::Cancel { id } | Asked::Resend { id, .. } | Asked::Check { id: Some(id), .. }) =
                &op.asked
            else {
                continue;
            };
            let Some((snapshot, _)) = self.verifications.get(id) else {
                continue;
            };
            let own = snapshot.scope.service.as_str() == op.service;
            let known = op.got.is_known() && !matches!(op.got, Got::NotFound | Got::Other(_));
            if !own && known {
                wrong.push(format!("law 12: another service's verification was answered: {op:?}"));
            }
            if own && op.got == Got::NotFound {
                wrong.push(format!("law 12: a service's own verification was not found: {op:?}"));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Which rare branches this world reached.
    fn branches(&self) {
        use tapcode_core::delivery::MessageStatus as M;
        use tapcode_core::entry::{NoFallback, Refusal};
        let world = self.world;
        for entry in &self.log {
            let claimed = entry.decisions.iter().any(|d| matches!(d, Decision::Claimed { .. }));
            for decision in &entry.decisions {
                let what = match decision {
                    Decision::Queued {
                        cause: SendCause::FellBackOnFailure,
                        ..
                    } => "fallback on failure",
                    Decision::Queued {
                        cause: SendCause::FellBackOnSilence { .. },
                        ..
                    } => "fallback on silence",
                    Decision::Queued {
                        cause: SendCause::Requested,
                        ..
                    } => "resend",
                    Decision::Queued { .. } if !claimed => "put off while its sender was busy",
                    Decision::RetryAt { .. } => "retry where nothing was sent",
                    Decision::Withdrawn { .. } => "withdrawn before its call",
                    Decision::Message { status: M::Unclear, .. } if entry.input == InputRecord::Tick => {
                        "unclear, because no answer was written down"
                    }
                    Decision::Message { status: M::Unclear, .. } => "unclear by the call's own answer",
                    Decision::ReceiptRepeated { .. } => "a receipt twice",
                    Decision::Alert { .. } => "an alert",
                    Decision::NoFallback(NoFallback::HourlyLimit) => "no fallback: hourly limit",
                    Decision::NoFallback(NoFallback::FailureForbids) => "no fallback: the failure forbids it",
                    Decision::Ended {
                        status: Status::Approved,
                        ..
                    } => "ended: approved",
                    Decision::Ended {
                        status: Status::Expired, ..
                    } => "ended: expired",
                    Decision::Ended {
                        status: Status::Canceled,
                        ..
                    } => "ended: canceled",
                    Decision::Ended {
                        status: Status::Failed, ..
                    } => "ended: failed",
                    Decision::Ended {
                        status: Status::MaxChecksReached,
                        ..
                    } => "ended: no check left",
                    Decision::Locked { until: Some(_) } => "locked for a while",
                    Decision::Locked { until: None } => "locked until an operator",
                    Decision::Unlocked => "unlocked",
                    Decision::CheckNotEvaluated {
                        reason: CheckReason::AlreadyUsed,
                    } => "checked after use",
                    Decision::CheckNotEvaluated {
                        reason: CheckReason::Expired,
                    } => "checked after expiry",
                    Decision::CheckFailed {
                        reason: CheckReason::BindingMismatch,
                        ..
                    } => "the right code for another transaction",
                    Decision::Refused(Refusal::NotPending { .. }) => "refused: not pending",
                    _ => continue,
                };
                world.saw(what);
            }
            if matches!(entry.input, InputRecord::Receipt { .. }) {
                let v = entry.verification.and_then(|id| self.verifications.get(&id));
                if v.is_some_and(|(_, v)| v.finished_at.is_some_and(|at| at < entry.at)) {
                    world.saw("a receipt after the end");
                }
            }
        }
        for call in &self.calls {
            let early = self.told.iter().any(|t| {
                t.message == call.message && call.answered_at.is_some_and(|at| t.taken_at.is_some_and(|taken| taken < at))
            });
            if early {
                world.saw("a receipt before the answer");
            }
        }
    }
}
