//! What does a trace tell? One trace per verification: a span for every input that changed it, and one per call.
//!
//! The requests, calls and hooks of one verification are hours, processes and machines apart, and nothing is stored that would
//! hold them together. Nothing needs to be: the trace's id is made of the verification's own, so that whoever works on it
//! next tells into the same trace, and so does whoever looks for it: `printf %s vrf_… | sha256sum | cut -c-32`.
//!
//! A span says what the log's entry says. What nobody may read is in no entry, and so in no span.

use std::fmt;
use std::future::Future;

use sha2::{Digest as _, Sha256};
use tapcode_core::delivery::SendOutcome;
use tapcode_core::entry::{Decision, Entry, InputRecord, MessageRef};
use tapcode_core::id::MessageId;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Status;
use tapcode_core::words;

use crate::contract::store::SubjectId;
use crate::engine::subject_of;
use crate::service::Sender;

/// Names a trace. Never all zeros but with a chance of 2^-128.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Names a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// A span that caused another one, in the same trace or in a caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

/// Something that was done, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The verification's trace, or the plain message's.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// What it is part of; `None`: it is the trace's root.
    pub parent: Option<SpanId>,
    /// What was done, in one word of a closed list.
    pub name: &'static str,
    /// Whether somebody else did it for us.
    pub is_call: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was done, and durable.
    pub ended_at: Timestamp,
    /// What caused it.
    pub cause: Option<Cause>,
    /// What it was about, by dotted names.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What was decided, as the timeline tells it: a headline and why.
    pub decisions: Vec<(String, String)>,
    /// Why it failed, in one word; `None`: it did not.
    pub failure: Option<Box<str>>,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A word or an id.
    Text(Box<str>),
    /// A count.
    Number(i64),
}

/// Where spans go.
pub trait Traces: Send + Sync {
    /// Whether anything of a trace is wanted: the same answer for all its spans, on every node.
    fn wants(&self, trace: TraceId) -> bool;

    /// Takes a span. It must not wait.
    fn record(&self, span: Span);
}

impl TraceId {
    /// The trace of a verification or a plain message: the first 16 bytes of the SHA-256 digest of its id as it is written.
    #[must_use]
    pub fn of(subject: SubjectId) -> Self {
        Self(digest(subject)[..16].try_into().expect("a digest has 32 bytes"))
    }
}

impl SpanId {
    /// The root of a subject's trace: the next 8 bytes of the digest.
    #[must_use]
    pub fn root_of(subject: SubjectId) -> Self {
        Self(digest(subject)[16..24].try_into().expect("a digest has 32 bytes"))
    }

    /// The span of a call: a message that is called for again has another one.
    fn of_call(message: MessageId, began_at: Timestamp) -> Self {
        Self::hashed(message.as_bytes(), &began_at.as_millis().to_be_bytes())
    }

    fn hashed(of: &[u8], and: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(of).chain_update(and).finalize();
        Self(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

fn digest(subject: SubjectId) -> [u8; 32] {
    Sha256::digest(subject.to_string()).into()
}

tokio::task_local! {
    /// What the work of this task was caused by. It follows no task that is spawned.
    static CAUSE: Cause;
}

/// Does `work` with its spans linked to `cause`.
pub async fn caused_by<F: Future>(cause: Option<Cause>, work: F) -> F::Output {
    match cause {
        Some(cause) => CAUSE.scope(cause, work).await,
        None => work.await,
    }
}

/// What the work of this task was caused by.
pub(crate) fn cause() -> Option<Cause> {
    CAUSE.try_with(|cause| *cause).ok()
}

impl Cause {
    /// Reads a `traceparent` header. A version that is not known yet is read as far as it agrees with version 00
    /// (<https://www.w3.org/TR/trace-context/#traceparent-header>, from memory;
    /// that it is so is said in <https://github.com/DataDog/dd-trace-rb/issues/2473>, read 2026-11-27).
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.splitn(5, '-');
        let version = hex::<1>(parts.next()?)?;
        let (trace, span) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let _flags = hex::<1>(parts.next()?)?;
        let is_whole = match version {
            [0] => parts.next().is_none(),
            [255] => false,
            [_] => true,
        };
        (is_whole && trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
        })
    }
}

/// Exactly so many bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// When an input was asked for, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Timestamp,
    pub(crate) cause: Option<Cause>,
}

/// Records the spans of an entry that is durable now: of its input, and of the whole verification when it tells of its end.
pub(crate) fn record(traces: &dyn Traces, entry: &Entry, asked: Asked, now: Timestamp) {
    let Some(subject) = subject_of(entry).filter(|subject| traces.wants(TraceId::of(*subject))) else {
        return;
    };
    traces.record(of_input(entry, subject, asked, now));
    if let Some(whole) = of_whole(entry, subject) {
        traces.record(whole);
    }
}

/// The span of an entry's input. Nothing tells of a plain message's end, so that its beginning is its trace's root.
fn id_of(entry: &Entry, subject: SubjectId) -> SpanId {
    match entry.input {
        InputRecord::SendMessage => SpanId::root_of(subject),
        _ => SpanId::hashed(entry.id.as_bytes(), &[]),
    }
}

fn of_input(entry: &Entry, subject: SubjectId, asked: Asked, now: Timestamp) -> Span {
    let (id, root) = (id_of(entry, subject), SpanId::root_of(subject));
    let mut attributes = about(entry, subject);
    let (message, told) = match &entry.input {
        InputRecord::Outcome { message, said } => (Some(*message), Some(*said)),
        InputRecord::Receipt { message, status } => (Some(*message), Some(status.as_str())),
        InputRecord::Disowned { message } => (Some(*message), None),
        InputRecord::Begin
        | InputRecord::Resend { .. }
        | InputRecord::Check
        | InputRecord::Cancel
        | InputRecord::SendMessage
        | InputRecord::Tick
        | InputRecord::Unlock => (None, None),
    };
    let spoken_of = entry.decisions.iter().find_map(message_of);
    if let (Some(id), SubjectId::Verification(_)) = (message.or(spoken_of.map(|m| m.id)), subject) {
        attributes.push(("message.id", text(id)));
    }
    if let Some(told) = told {
        attributes.push(("message.told", text(told)));
    }
    if let Some(MessageRef { route, .. }) = spoken_of {
        attributes.push(("route.channel", text(route.channel.as_str())));
        attributes.push(("provider.id", text(&route.provider)));
        attributes.push(("sender.id", Attribute::Number(route.sender.into())));
    }
    Span {
        trace: TraceId::of(subject),
        id,
        parent: (id != root).then_some(root),
        name: name(&entry.input),
        is_call: false,
        began_at: asked.at,
        ended_at: now,
        cause: asked.cause,
        attributes,
        decisions: words::tell(entry).into_iter().map(|told| (told.title, told.why)).collect(),
        failure: entry.decisions.iter().find_map(failure_of),
    }
}

/// The span from a verification's beginning to its end, once that is known.
fn of_whole(entry: &Entry, subject: SubjectId) -> Option<Span> {
    let (status, after_ms, channel) = entry.decisions.iter().find_map(|decision| match decision {
        Decision::Ended {
            status,
            after_ms,
            channel,
            ..
        } => Some((*status, *after_ms, *channel)),
        _ => None,
    })?;
    let mut attributes = about(entry, subject);
    attributes.push(("verification.status", text(status.as_str())));
    attributes.extend(channel.map(|channel| ("route.channel", text(channel.as_str()))));
    Some(Span {
        trace: TraceId::of(subject),
        id: SpanId::root_of(subject),
        parent: None,
        name: "verification",
        is_call: false,
        began_at: entry.at.minus_millis(after_ms),
        ended_at: entry.at,
        cause: None,
        attributes,
        decisions: Vec::new(),
        failure: (status == Status::Failed).then(|| status.as_str().into()),
    })
}

/// The span that the call for a message is part of: the one of the entry that claimed it.
pub(crate) fn claim_of(entries: &[Entry], message: MessageId) -> Option<(SubjectId, SpanId)> {
    let claims = |decision: &Decision| matches!(decision, Decision::Claimed { message: claimed } if claimed.id == message);
    let entry = entries.iter().find(|entry| entry.decisions.iter().any(claims))?;
    subject_of(entry).map(|subject| (subject, id_of(entry, subject)))
}

/// The span of a call that has ended.
pub(crate) fn of_call(
    (subject, parent): (SubjectId, SpanId),
    message: MessageId,
    sender: &Sender,
    (began_at, ended_at): (Timestamp, Timestamp),
    outcome: &SendOutcome,
) -> Span {
    let (said, failure) = match outcome {
        SendOutcome::Accepted { .. } => ("accepted", None),
        SendOutcome::Failed { failure, .. } => ("failed", Some(failure.code.clone())),
        SendOutcome::Unclear { .. } => ("unclear", Some("unclear".into())),
    };
    Span {
        trace: TraceId::of(subject),
        id: SpanId::of_call(message, began_at),
        parent: Some(parent),
        name: "send",
        is_call: true,
        began_at,
        ended_at,
        cause: None,
        attributes: vec![
            ("message.id", text(message)),
            ("message.told", text(said)),
            ("route.channel", text(sender.channel.as_str())),
            ("provider.id", text(sender.provider.id())),
            ("sender.id", Attribute::Number(sender.id.into())),
        ],
        decisions: Vec::new(),
        failure,
    }
}

impl Span {
    /// This span, as what caused another one.
    pub(crate) const fn as_cause(&self) -> Cause {
        Cause {
            trace: self.trace,
            span: self.id,
        }
    }
}

/// What every span of an input says.
fn about(entry: &Entry, subject: SubjectId) -> Vec<(&'static str, Attribute)> {
    let id = match subject {
        SubjectId::Verification(id) => ("verification.id", text(id)),
        SubjectId::Message(id) => ("message.id", text(id)),
    };
    vec![
        id,
        ("tenant.name", text(entry.scope.service.as_str())),
        ("tenant.mode", text(entry.scope.mode.as_str())),
        ("recipient.country", text(entry.country.as_str())),
    ]
}

const fn name(input: &InputRecord) -> &'static str {
    match input {
        InputRecord::Begin => "begin",
        InputRecord::Resend { .. } => "resend",
        InputRecord::Check => "check",
        InputRecord::Cancel => "cancel",
        InputRecord::SendMessage => "send_message",
        InputRecord::Outcome { .. } => "outcome",
        InputRecord::Receipt { .. } => "receipt",
        InputRecord::Tick => "timer",
        InputRecord::Unlock => "unlock",
        InputRecord::Disowned { .. } => "disowned",
    }
}

/// The message that a decision speaks of.
const fn message_of(decision: &Decision) -> Option<&MessageRef> {
    match decision {
        Decision::Queued { message, .. }
        | Decision::Claimed { message }
        | Decision::RetryAt { message, .. }
        | Decision::Message { message, .. }
        | Decision::ReceiptRepeated { message, .. }
        | Decision::Withdrawn { message }
        | Decision::LanguageChosen { message, .. }
        | Decision::Priced { message, .. }
        | Decision::Disowned { message } => Some(message),
        Decision::Began { .. }
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
        | Decision::ReachLearned { .. } => None,
    }
}

/// What a message failed of. A refusal or a wrong code is an answer of a working system, and no failure.
fn failure_of(decision: &Decision) -> Option<Box<str>> {
    match decision {
        Decision::Message { failure, .. } => failure.as_ref().map(|failure| failure.code.clone()),
        _ => None,
    }
}

fn text(value: impl fmt::Display) -> Attribute {
    Attribute::Text(value.to_string().into())
}

/// As it is written in `traceparent`.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tapcode_core::id::VerificationId;

    use super::*;

    /// `printf %s vrf_… | sha256sum`
    #[test]
    fn whoever_has_the_id_finds_the_trace() {
        let id = VerificationId::parse("vrf_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0").unwrap();
        let subject = SubjectId::Verification(id);
        assert_eq!(TraceId::of(subject).to_string(), "5fd3970690ffbe4ecb4fd0efb6b31d31");
        assert_eq!(SpanId::root_of(subject).to_string(), "e3c1554324856a4d");
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_span_is_read() {
        let cause = Cause::parse(PARENT).unwrap();
        assert_eq!(cause.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(cause.span.to_string(), "00f067aa0ba902b7");
        let of_tomorrow = format!("01{}-and-more", &PARENT[2..]);
        assert_eq!(Cause::parse(&of_tomorrow), Some(cause));
    }

    #[test]
    fn what_is_no_span_is_left_alone() {
        for not in [
            String::new(),
            PARENT.to_uppercase(),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace("00-4", "ff-4"),
            PARENT.replace("-01", ""),
            PARENT.replace("-01", "-1"),
            PARENT.replace("-01", "-01-"),
            PARENT.replace("4bf92f", "4bf92"),
            format!(" {PARENT}"),
        ] {
            assert_eq!(Cause::parse(&not), None, "{not:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*", at in 0usize..60, put in "\\PC") {
            let _any = Cause::parse(&text);
            let mut broken: Vec<char> = PARENT.chars().collect();
            broken.splice(at.min(broken.len())..at.min(broken.len()), put.chars());
            prop_assert_eq!(Cause::parse(&broken.into_iter().collect::<String>()), None);
        }
    }
}
