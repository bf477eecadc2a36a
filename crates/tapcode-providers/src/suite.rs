//! What must hold for every provider that is spoken to by HTTP? The contract's laws, as functions that panic when one is broken.
//!
//! A provider's tests make a [`Subject`] of it and name it to [`provider_suite!`](crate::provider_suite). The subject knows how
//! its vendor signs and which answers the vendor documents; the laws know everything else.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tapcode_core::code::Code;
use tapcode_core::delivery::{FailureClass, ReceiptKind, SendOutcome, TripScope};
use tapcode_core::id::MessageId;
use tapcode_core::number::Number;
use tapcode_core::recipient::RecipientKey;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::{
    Content, Heard, HookError, HttpProvider, HttpRequest, HttpResponse, InboundHook, Manifest, Message, Receipt, Reference,
};

/// The recipient of every message of the suite.
pub const NUMBER: &str = "+31611398058";
/// The code in every message of the suite.
pub const CODE: &str = "739154";
/// How a provider's secrets begin in the suite.
pub const SECRET: &str = "canary-secret";
/// Answers that each law about answers tries.
const ANSWERS_TRIED: u32 = 4_000;
/// Hooks that the law about any hook tries.
const HOOKS_TRIED: u32 = 500;
/// Longest run of arbitrary bytes in an answer or a hook.
const BYTES_MAX: usize = 200;

/// A provider and what the laws need to know of its vendor.
pub struct Subject {
    /// The provider. Its secrets contain [`SECRET`].
    pub provider: Box<dyn HttpProvider>,
    /// Answers as the vendor documents them.
    pub answers: Vec<Answer>,
    /// The id in a body of the shape that the vendor documents for an accepted message, written without the provider's code.
    pub documented_id: fn(&[u8]) -> Option<String>,
    /// Hooks as the vendor documents them, unsigned.
    pub hooks: Vec<Hook>,
    /// Hooks like them about somebody else's account.
    pub foreign: Vec<Hook>,
    /// The header of the signature.
    pub signature: &'static str,
    /// The right signature for an address and a body.
    pub sign: fn(url: &str, body: &[u8]) -> String,
    /// Whether the signature is over the body's bytes. Where it is over what they mean, a change that means the same passes.
    pub over_raw_bytes: bool,
}

/// A recorded answer to a send call.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// What it must mean, as [`meaning`] says it.
    pub means: String,
}

/// A recorded call to our hook. Without a body it is a `GET`, and what it tells is in the address.
pub struct Hook {
    /// The address that is called.
    pub url: String,
    /// The body.
    pub body: Vec<u8>,
    /// What its receipts must tell, as [`told`] says it.
    pub tells: Vec<String>,
}

impl Answer {
    /// Answers out of a file: `[{"status": …, "body": …, "means": …}]`. A body that is a text stands for its bytes, any other
    /// for itself.
    ///
    /// # Panics
    /// When the file is not so.
    #[must_use]
    pub fn recorded(file: &str) -> Vec<Self> {
        let recorded: Vec<Value> = serde_json::from_str(file).expect("a list");
        let answer = |recorded: Value| Self {
            status: serde_json::from_value(recorded["status"].clone()).expect("a status"),
            body: bytes_of(&recorded["body"]),
            means: recorded["means"].as_str().expect("a meaning").into(),
        };
        recorded.into_iter().map(answer).collect()
    }
}

impl Hook {
    /// Calls of an address out of a file: `[{"body": …, "tells": […]}]`, or for a `GET` `[{"query": "…", "tells": […]}]`, with
    /// parameters that stand behind those of the address. A body that is a text stands for its bytes, any other for itself;
    /// `@REFERENCE@` is the [`reference`].
    ///
    /// # Panics
    /// When the file is not so.
    #[must_use]
    pub fn recorded(file: &str, url: &str) -> Vec<Self> {
        let file = file.replace("@REFERENCE@", &reference().to_string());
        let recorded: Vec<Value> = serde_json::from_str(&file).expect("a list");
        let hook = |recorded: Value| Self {
            url: match recorded["query"].as_str() {
                Some(query) => with_query(url, query),
                None => url.into(),
            },
            body: match recorded.get("body") {
                Some(body) => bytes_of(body),
                None => Vec::new(),
            },
            tells: serde_json::from_value(recorded["tells"].clone()).expect("words"),
        };
        recorded.into_iter().map(hook).collect()
    }
}

fn bytes_of(body: &Value) -> Vec<u8> {
    match body {
        Value::String(text) => text.clone().into_bytes(),
        body => body.to_string().into_bytes(),
    }
}

/// An address with more parameters behind it.
fn with_query(url: &str, query: &str) -> String {
    let border = if url.contains('?') { '&' } else { '?' };
    format!("{url}{border}{query}")
}

/// An outcome in words: `accepted`, `unclear`, or a failure's class and code, such as `next_route 131026`.
#[must_use]
pub fn meaning(outcome: &SendOutcome) -> String {
    match outcome {
        SendOutcome::Accepted { .. } => "accepted".into(),
        SendOutcome::Unclear { .. } => "unclear".into(),
        SendOutcome::Failed { failure, .. } => format!("{} {}", class(failure.class), failure.code),
    }
}

/// A receipt in words: `sent`, `delivered`, `read`, or a failure as [`meaning`] says it.
#[must_use]
pub fn told(kind: &ReceiptKind) -> String {
    match kind {
        ReceiptKind::Sent => "sent".into(),
        ReceiptKind::Delivered => "delivered".into(),
        ReceiptKind::Read => "read".into(),
        ReceiptKind::Failed(failure) => format!("{} {}", class(failure.class), failure.code),
        ReceiptKind::Disowned => "disowned".into(),
    }
}

fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::RetryHere { .. } => "retry_here",
        FailureClass::NextRoute => "next_route",
        FailureClass::SlowDown { .. } => "slow_down",
        FailureClass::Unreachable => "unreachable",
        FailureClass::OtherLanguage => "other_language",
        FailureClass::TripBreaker(TripScope::Account) => "trip_account",
        FailureClass::TripBreaker(TripScope::Sender) => "trip_sender",
        FailureClass::TripBreaker(TripScope::Template) => "trip_template",
        FailureClass::TripBreaker(TripScope::Country) => "trip_country",
        FailureClass::OurMistake => "our_mistake",
        FailureClass::NoFallback => "no_fallback",
    }
}

/// Our id of the sender in every hook of the suite.
pub const SENDER: u32 = 1;

/// The reference of every message of the suite.
#[must_use]
pub fn reference() -> Reference {
    Reference {
        key: RecipientKey([0xa5; 16]),
        message: MessageId::new(Timestamp::from_millis(1_790_000_000_000), [0x5a; 16]),
    }
}

/// A message with this content to [`NUMBER`], of use for five minutes.
#[must_use]
pub fn message(content: Content) -> Message {
    Message {
        reference: reference(),
        to: Number::parse(NUMBER).expect("a number"),
        content,
        useful_ms: 300_000,
        identity: None,
    }
}

/// A message with [`CODE`] in it.
#[must_use]
pub fn code_message(locale: &str) -> Message {
    message(Content::Code {
        code: Code::own(CODE).expect("a code"),
        text: format!("{CODE} is your Acme code."),
        locale: locale.into(),
        language: None,
        expires_minutes: 5,
        brand: "Acme".into(),
    })
}

/// An answer as the one HTTP client hands it on.
///
/// # Panics
/// For a status that HTTP does not have.
#[must_use]
pub fn answer(status: u16, body: impl Into<Bytes>) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("100 to 999");
    HttpResponse {
        status,
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

/// A `POST` to our hook.
///
/// # Panics
/// For a header that HTTP does not have.
#[must_use]
pub fn call(url: &str, headers: &[(&'static str, &[u8])], body: impl Into<Bytes>) -> InboundHook {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).expect("a header"),
        )
    });
    InboundHook {
        method: Method::POST,
        url: url.into(),
        headers: headers.collect(),
        body: body.into(),
    }
}

/// As a vendor makes a call that is recorded so: by `GET` where there is no body.
fn vendor_call(url: &str, headers: &[(&'static str, &[u8])], body: impl Into<Bytes>) -> InboundHook {
    let mut hook = call(url, headers, body);
    if hook.body.is_empty() {
        hook.method = Method::GET;
    }
    hook
}

/// A provider whose hooks are not proven by one header alone. The laws know one header; `carry` makes of it what the vendor
/// sends: further headers beside it, or a secret in the address in its place.
pub struct Carried<P> {
    /// The provider.
    pub provider: P,
    /// From the laws' hook to the vendor's.
    pub carry: fn(InboundHook) -> InboundHook,
}

impl<P: HttpProvider> HttpProvider for Carried<P> {
    fn manifest(&self) -> &'static Manifest {
        self.provider.manifest()
    }

    fn request(&self, message: &Message) -> HttpRequest {
        self.provider.request(message)
    }

    fn outcome(&self, response: &HttpResponse) -> SendOutcome {
        self.provider.outcome(response)
    }

    fn heard(&self, hook: &InboundHook, sender: u32) -> Result<Heard, HookError> {
        let hook = InboundHook {
            method: hook.method.clone(),
            url: hook.url.clone(),
            headers: hook.headers.clone(),
            body: hook.body.clone(),
        };
        self.provider.heard(&(self.carry)(hook), sender)
    }

    fn handshake(&self, hook: &InboundHook) -> Result<String, HookError> {
        self.provider.handshake(hook)
    }
}

impl<P: fmt::Debug> fmt::Debug for Carried<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

/// Every value of a header of this name as a parameter `parameter` of the address in its place: for [`Carried`].
#[must_use]
pub fn header_to_query(mut hook: InboundHook, header: &'static str, parameter: &str) -> InboundHook {
    let values: Vec<HeaderValue> = hook.headers.get_all(header).iter().cloned().collect();
    for value in values {
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        hook.url = with_query(&hook.url, &format!("{parameter}={value}"));
    }
    hook.headers.remove(header);
    hook
}

impl Subject {
    fn signed(&self, url: &str, body: &[u8]) -> InboundHook {
        let signature = (self.sign)(url, body);
        vendor_call(url, &[(self.signature, signature.as_bytes())], body.to_vec())
    }

    fn receipts(&self, hook: &Hook) -> Result<Vec<Receipt>, HookError> {
        let heard = self.provider.heard(&self.signed(&hook.url, &hook.body), SENDER);
        heard.map(|heard| heard.receipts)
    }
}

/// A recorded answer means what the vendor's documentation and our tables say.
pub fn recorded_answers_mean_what_is_documented(subject: &Subject) {
    assert!(!subject.answers.is_empty());
    for recorded in &subject.answers {
        let outcome = subject.provider.outcome(&answer(recorded.status, recorded.body.clone()));
        assert_eq!(
            meaning(&outcome),
            recorded.means,
            "{}",
            String::from_utf8_lossy(&recorded.body)
        );
        let documented = (subject.documented_id)(&recorded.body);
        if let SendOutcome::Accepted { provider_message_id } = outcome {
            assert_eq!(documented.as_deref(), Some(&*provider_message_id));
        }
    }
}

/// Any bytes with any status give an outcome without a panic, and only a success that carries an id in the documented
/// shape is ever taken for an acceptance.
pub fn any_answer_is_an_outcome(subject: &Subject) {
    // Acceptances most of all: what is nearly one must not pass for one.
    let weight = |answer: &Answer| if answer.means == "accepted" { 8 } else { 1 };
    let recorded = subject
        .answers
        .iter()
        .flat_map(|a| std::iter::repeat_n(a.body.clone(), weight(a)))
        .collect();
    runner(ANSWERS_TRIED)
        .run(
            &(
                prop_oneof![2 => 100u16..=999, 4 => 200u16..=201, 1 => 400u16..=404],
                any_body(recorded),
            ),
            |(status, body)| {
                let outcome = subject.provider.outcome(&answer(status, body.clone()));
                if let SendOutcome::Accepted { provider_message_id } = outcome {
                    prop_assert!((200..300).contains(&status), "accepted with {status}");
                    prop_assert_eq!((subject.documented_id)(&body), Some(provider_message_id.into_string()));
                }
                Ok(())
            },
        )
        .unwrap_or_else(|broken| panic!("{broken}"));
}

/// Nobody is tried again when a provider holds the message, or may.
pub fn a_retry_is_only_for_what_was_not_sent(subject: &Subject) {
    for status in (200..300).chain(500..600) {
        for body in ["", "{}", "null", "<html>busy</html>", "[]", "7"] {
            let outcome = subject.provider.outcome(&answer(status, body));
            assert!(
                matches!(outcome, SendOutcome::Unclear { .. }),
                "HTTP {status} {body}: {outcome:?}"
            );
        }
    }
    for recorded in &subject.answers {
        let outcome = subject.provider.outcome(&answer(recorded.status, recorded.body.clone()));
        if let SendOutcome::Failed {
            failure,
            provider_message_id: Some(_),
        } = outcome
        {
            assert!(!matches!(failure.class, FailureClass::RetryHere { .. }), "{failure:?}");
        }
    }
}

/// A recorded hook that is rightly signed tells what the vendor's documentation says, and tells it again when repeated.
pub fn a_repeated_hook_is_the_same_fact(subject: &Subject) {
    assert!(!subject.hooks.is_empty());
    for hook in &subject.hooks {
        let receipts = subject
            .receipts(hook)
            .unwrap_or_else(|e| panic!("{e}: {} {}", hook.url, String::from_utf8_lossy(&hook.body)));
        assert_eq!(receipts.iter().map(|r| told(&r.kind)).collect::<Vec<_>>(), hook.tells);
        assert_eq!(subject.receipts(hook), Ok(receipts));
    }
}

/// A hook without a signature, with two, with one of another body, address or key, or with one byte changed anywhere in
/// body or signature, or in the parameters of the address where these tell it, tells nothing.
pub fn a_tampered_or_unsigned_hook_is_refused(subject: &Subject) {
    a_hook_without_its_secret_is_refused(subject);
    for Hook { url, body, .. } in &subject.hooks {
        let right = subject.signed(url, body);
        let facts = subject.provider.heard(&right, SENDER);
        let signature = (subject.sign)(url, body).into_bytes();
        let other = (subject.sign)(url, b"{}").into_bytes();
        refused(
            subject,
            &vendor_call(url, &[(subject.signature, &other)], body.clone()),
            "the signature of another body",
        );
        for at in 0..body.len() {
            for bit in [0x01, 0x04, 0x20, 0x80] {
                let mut flipped = body.clone();
                flipped[at] ^= bit;
                let hook = vendor_call(url, &[(subject.signature, &signature)], flipped);
                let receipts = subject.provider.heard(&hook, SENDER);
                let passes = !subject.over_raw_bytes && receipts == facts;
                assert!(
                    receipts == Err(HookError::Signature) || passes,
                    "bit {bit:#x} of byte {at}: {receipts:?}"
                );
            }
        }
        for extra in [&b"&"[..], b" ", b"\0"] {
            let longer = [body, extra].concat();
            let receipts = subject
                .provider
                .heard(&vendor_call(url, &[(subject.signature, &signature)], longer), SENDER);
            assert!(receipts == Err(HookError::Signature) || (!subject.over_raw_bytes && receipts == facts));
        }
        if body.is_empty() {
            a_tampered_address_is_refused(subject, url, &signature, &facts);
        }
    }
}

/// As for bodies, where the parameters of the address are what is told.
fn a_tampered_address_is_refused(subject: &Subject, url: &str, signature: &[u8], facts: &Result<Heard, HookError>) {
    let parameters = url.find('?').map_or(url.len(), |at| at + 1);
    let flipped = (parameters..url.len()).flat_map(|at| {
        [0x01, 0x04, 0x20].map(|bit| {
            let mut bytes = url.as_bytes().to_vec();
            bytes[at] ^= bit;
            String::from_utf8(bytes).expect("the flipped bits leave ASCII in ASCII")
        })
    });
    let longer = ["&", "&status=x", "&ref=", "%20"].map(|extra| format!("{url}{extra}"));
    for tampered in flipped.chain(longer) {
        let hook = vendor_call(&tampered, &[(subject.signature, signature)], "");
        let receipts = subject.provider.heard(&hook, SENDER);
        let passes = !subject.over_raw_bytes && receipts == *facts;
        assert!(receipts == Err(HookError::Signature) || passes, "{tampered}: {receipts:?}");
    }
}

/// A hook without its proof, with two, with half of one, or with one bit of it changed tells nothing. All that can be asked
/// where a vendor signs nothing and the proof says who calls, not what is told.
pub fn a_hook_without_its_secret_is_refused(subject: &Subject) {
    for Hook { url, body, .. } in &subject.hooks {
        let proof = (subject.sign)(url, body).into_bytes();
        refused(subject, &vendor_call(url, &[], body.clone()), "no signature");
        refused(
            subject,
            &vendor_call(url, &[(subject.signature, b"")], body.clone()),
            "an empty signature",
        );
        let twice: [(&str, &[u8]); 2] = [(subject.signature, &proof); 2];
        refused(subject, &vendor_call(url, &twice, body.clone()), "two signatures");
        refused(
            subject,
            &vendor_call(url, &[(subject.signature, &proof[..proof.len() - 1])], body.clone()),
            "a shortened signature",
        );
        for at in 0..proof.len() {
            for bit in [0x01, 0x20] {
                let mut flipped = proof.clone();
                flipped[at] ^= bit;
                // Some flips give bytes that no header can have, which never get here.
                if HeaderValue::from_bytes(&flipped).is_ok() {
                    refused(
                        subject,
                        &vendor_call(url, &[(subject.signature, &flipped)], body.clone()),
                        "a flipped bit in the signature",
                    );
                }
            }
        }
    }
}

fn refused(subject: &Subject, hook: &InboundHook, why: &str) {
    let receipts = subject.provider.heard(hook, SENDER);
    assert_eq!(receipts, Err(HookError::Signature), "{why}");
}

/// A hook about somebody else's account is refused though it is rightly signed.
pub fn a_foreign_hook_is_refused(subject: &Subject) {
    assert!(!subject.foreign.is_empty());
    for hook in &subject.foreign {
        assert_eq!(
            subject.receipts(hook),
            Err(HookError::Foreign),
            "{}",
            String::from_utf8_lossy(&hook.body)
        );
    }
}

/// Any bytes, signed or not, are read or refused without a panic; unsigned ones are refused for that.
pub fn any_hook_is_read_or_refused(subject: &Subject) {
    let by_get = subject.hooks[0].body.is_empty();
    let recorded: Vec<Vec<u8>> = subject
        .hooks
        .iter()
        .map(|hook| match hook.url.split_once('?') {
            Some((_, query)) if by_get => query.as_bytes().to_vec(),
            Some(_) | None => hook.body.clone(),
        })
        .collect();
    let recorded_url = &subject.hooks[0].url;
    runner(HOOKS_TRIED)
        .run(
            &(any_body(recorded), proptest::collection::vec(32u8..127, 0..80)),
            |(bytes, header)| {
                let (url, body) = if by_get {
                    let address = recorded_url.split_once('?').map_or(&**recorded_url, |(address, _)| address);
                    (with_query(address, &String::from_utf8_lossy(&bytes)), Vec::new())
                } else {
                    (recorded_url.clone(), bytes)
                };
                // Whatever is told by a rightly signed body is told again.
                let signed = subject.signed(&url, &body);
                prop_assert_eq!(
                    subject.provider.heard(&signed, SENDER),
                    subject.provider.heard(&signed, SENDER)
                );
                let unsigned = vendor_call(&url, &[(subject.signature, &header)], body);
                prop_assert_eq!(subject.provider.heard(&unsigned, SENDER), Err(HookError::Signature));
                let mut hook = signed;
                hook.method = Method::GET;
                prop_assert!(subject.provider.handshake(&hook).is_err());
                Ok(())
            },
        )
        .unwrap_or_else(|broken| panic!("{broken}"));
}

/// No `Debug` and no text for people shows a secret, a number or a code.
pub fn nothing_shows_a_secret_a_number_or_a_code(subject: &Subject) {
    let message = code_message("en");
    let request = subject.provider.request(&message);
    let said = String::from_utf8_lossy(&request.body).into_owned() + &request.url;
    assert!(
        said.contains(CODE) && said.contains(&NUMBER[1..]),
        "what is looked for is there to be shown: {said}"
    );
    // An address is shown more easily than a body: it holds them only where there is no body.
    assert!(
        request.body.is_empty()
            || [CODE, &NUMBER[1..], SECRET]
                .iter()
                .all(|canary| !request.url.contains(canary)),
        "the address tells what the body should"
    );
    // A credential in base 64 is no text that could be looked for: its header must know that it is one.
    let authorizations = request.headers.get_all(http::header::AUTHORIZATION);
    assert!(
        authorizations.iter().all(HeaderValue::is_sensitive),
        "the credentials' header is not marked as sensitive"
    );
    let mut shown = format!("{:?} {message:?} {request:?} {:?}", subject.provider, request.headers);
    for echo in [NUMBER, &NUMBER[1..], CODE] {
        for status in [200u16, 400, 401, 429, 500] {
            for recorded in &subject.answers {
                let body = String::from_utf8_lossy(&recorded.body).replace("ECHO", echo);
                let response = answer(status, body.into_bytes());
                shown += &format!("{response:?} {:?}", subject.provider.outcome(&response));
            }
        }
        for hook in &subject.hooks {
            let body = String::from_utf8_lossy(&hook.body).replace("ECHO", echo).into_bytes();
            let hook = subject.signed(&hook.url.replace("ECHO", echo), &body);
            shown += &format!("{hook:?} {:?}", subject.provider.heard(&hook, SENDER));
        }
    }
    let echoed = subject
        .answers
        .iter()
        .any(|a| String::from_utf8_lossy(&a.body).contains("ECHO"));
    assert!(
        echoed,
        "some recorded answer must have ECHO where the vendor repeats what was sent"
    );
    for canary in [CODE, &NUMBER[1..], &NUMBER[4..], SECRET] {
        assert!(!shown.contains(canary), "{canary} is shown");
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Arbitrary bytes, recorded bodies as they are, and recorded bodies with bytes replaced, removed, added or cut off.
fn any_body(recorded: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let body = prop::sample::select(recorded);
    let byte = prop_oneof![4 => 32u8..127, 1 => any::<u8>()];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), byte, 0u8..4), 0..4);
    let edited = (body.clone(), edits).prop_map(|(mut body, edits)| {
        for (at, byte, edit) in edits {
            let at = at.index(body.len().max(1));
            match edit {
                _ if body.is_empty() => body.push(byte),
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => body.truncate(at),
            }
        }
        body
    });
    let values = vec!["null", "7", "[]", "{}", "\"\"", "\"x\"", "true", "1e999", "\"\u{0}\""];
    let retyped = (body, any::<prop::sample::Index>(), prop::sample::select(values)).prop_map(|(body, at, value)| {
        // One value of the body, up to the next comma or bracket, replaced by one of another shape.
        let body = String::from_utf8_lossy(&body).into_owned();
        let colons: Vec<usize> = body.match_indices(':').map(|(at, _)| at + 1).collect();
        if colons.is_empty() {
            return body.into_bytes();
        }
        let start = *at.get(&colons);
        let end = body[start..].find([',', '}', ']']).map_or(body.len(), |end| start + end);
        [&body[..start], value, &body[end..]].concat().into_bytes()
    });
    prop_oneof![2 => prop::collection::vec(any::<u8>(), 0..BYTES_MAX), 4 => edited, 4 => retyped]
}

/// Makes a test of every law for the subject that an expression gives. With `secret:` in front of it the law about tampered
/// bodies is left out: that vendor's hooks are proven by a secret that says nothing about the body.
#[macro_export]
macro_rules! provider_suite {
    (secret: $subject:expr) => {
        $crate::provider_suite!(@laws $subject; a_hook_without_its_secret_is_refused);
        $crate::provider_suite!(@common $subject);
    };
    (@common $subject:expr) => {
        $crate::provider_suite!(
            @laws $subject;
            recorded_answers_mean_what_is_documented
            any_answer_is_an_outcome
            a_retry_is_only_for_what_was_not_sent
            a_repeated_hook_is_the_same_fact
            a_foreign_hook_is_refused
            any_hook_is_read_or_refused
            nothing_shows_a_secret_a_number_or_a_code
        );
    };
    (@laws $subject:expr; $($law:ident)+) => {
        $(
            #[test]
            fn $law() {
                $crate::suite::$law(&$subject);
            }
        )+
    };
    ($subject:expr) => {
        $crate::provider_suite!(@laws $subject; a_tampered_or_unsigned_hook_is_refused);
        $crate::provider_suite!(@common $subject);
    };
}
