//! What does a store keep in the tests? Realistic documents, snapshots and entries, made from small numbers.

use std::net::IpAddr;

use tapcode_core::account::{
    Account, AccountDecision, AccountEntry, AccountName, Breaker, BreakerScope, ButtonKind, MessagingLimit, Quality, SenderFacts,
    Template, TemplateStatus,
};
use tapcode_core::audit::{Act, Actor, By, Deed, Object};
use tapcode_core::delivery::{Delivery, Failure, FailureClass, Firsts, MessageStatus, ReceiptKind};
use tapcode_core::endpoint::{Endpoint, EndpointEntry, EndpointSecret, Failing, Retry, Told, Try, Unanswered, WhyDisabled};
use tapcode_core::entry::{Decision, Entry, InputRecord, MessageRef, SendCause};
use tapcode_core::id::{EndpointId, EventId, KeyId, MessageId, VerificationId};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::{Country, Masked};
use tapcode_core::plan::{Channel, IdentityChange, Plan, Route, Step};
use tapcode_core::recipient::{Identity, Knowledge, Mode, PlainMessage, Reach, Recipient, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::{DeliveryTimes, Group, Span, Tally};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Attempt, CodeSource, Limits, Purpose, Sealed, Status, Verification};
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, Browse, Commit, EndpointCommit, ProviderHandle, REMEMBERED_MS, Remembered, Right, Snapshot, Subject,
    TallyRow, Version,
};

/// When the tests begin.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// So many milliseconds after [`BEGIN`].
#[must_use]
pub const fn at(millis: u64) -> Timestamp {
    BEGIN.plus_millis(millis)
}

/// The `n`-th recipient's key; like a hash, it lands anywhere.
#[must_use]
pub fn key(n: u64) -> RecipientKey {
    let high = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    RecipientKey(((u128::from(high) << 64) | u128::from(n)).to_be_bytes())
}

/// The `n`-th verification's id, made at a moment.
#[must_use]
pub fn verification_id(n: u64, made_at: Timestamp) -> VerificationId {
    VerificationId::new(made_at, u128::from(n).to_be_bytes())
}

/// The `n`-th message's id, made at a moment.
#[must_use]
pub fn message_id(n: u64, made_at: Timestamp) -> MessageId {
    MessageId::new(made_at, (u128::from(n) << 8).to_be_bytes())
}

/// A service in live mode.
#[must_use]
pub fn scope(service: &str) -> Scope {
    Scope {
        service: ServiceName::parse(service).expect("the tests name services well"),
        mode: Mode::Live,
    }
}

/// A purpose.
#[must_use]
pub fn purpose(text: &str) -> Purpose {
    Purpose::parse(text).expect("the tests name purposes well")
}

/// WhatsApp first, SMS ten seconds later.
#[must_use]
pub fn plan() -> Plan {
    let whatsapp = Route {
        channel: Channel::Whatsapp,
        sender: 1,
        provider: "whatsapp_cloud".into(),
    };
    let sms = Route {
        channel: Channel::Sms,
        sender: 42,
        provider: "twilio".into(),
    };
    Plan::new(vec![
        Step {
            route: whatsapp,
            wait_ms: 10_000,
        },
        Step {
            route: sms,
            wait_ms: 20_000,
        },
    ])
    .expect("two steps are a plan")
}

/// A verification that began at a moment and waits for its first message to arrive.
#[must_use]
pub fn verification(n: u64, began: Timestamp) -> Verification {
    let mut delivery = Delivery::queued(began);
    delivery.claimed_at = Some(began);
    delivery.accepted_at = Some(began.plus_millis(180));
    delivery.provider_message_id = Some(format!("wamid.HBgLMzE2MTEzOTgwNTgVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3{n:08}").into());
    Verification {
        id: verification_id(n, began),
        purpose: purpose("login"),
        status: Status::Pending,
        created_at: began,
        expires_at: began.plus_millis(300_000),
        finished_at: None,
        checks_used: 0,
        limits: Limits::default(),
        code: CodeSource::Derived { length: 6 },
        binding: None,
        locale: "nl".into(),
        plan: plan(),
        attempts: vec![Attempt {
            id: message_id(n, began),
            step: 0,
            fallback_at: Some(began.plus_millis(10_000)),
            language: None,
            delivery,
            identity: None,
        }],
        client: None,
        metadata: vec![("user_id".into(), format!("u_{n}").into())],
        entries: 3,
    }
}

/// The same verification once it was approved, with all that became known of its message.
#[must_use]
pub fn approved(n: u64, began: Timestamp, finished: Timestamp) -> Verification {
    let mut attempts = verification(n, began).attempts;
    attempts[0].language = Some("pt_BR".into());
    attempts[0].identity = Some(Sealed([8; 7].into()));
    attempts[0].delivery.price = Some(Money {
        amount_micros: 50_000,
        currency: Currency::USD,
    });
    attempts[0].delivery.disowned_at = Some(finished.plus_millis(1));
    Verification {
        attempts,
        plan: plan().on_identity_change(IdentityChange::FallBack),
        status: Status::Approved,
        finished_at: Some(finished),
        checks_used: 1,
        ..verification(n, began)
    }
}

/// A plain message that was queued at a moment.
#[must_use]
pub fn plain_message(n: u64, queued_at: Timestamp) -> PlainMessage {
    PlainMessage {
        id: message_id(n, queued_at),
        route: Route {
            channel: Channel::Sms,
            sender: 42,
            provider: "twilio".into(),
        },
        payload: None,
        segments: 1,
        ucs2: false,
        delivery: Delivery::queued(queued_at),
        entries: 1,
    }
}

/// What is known of a number, all of it.
#[must_use]
pub fn knowledge() -> Knowledge {
    let reach = |channel, is_on| Reach {
        channel,
        is_on,
        at: at(7),
    };
    Knowledge {
        reach: vec![reach(Channel::Whatsapp, true), reach(Channel::Sms, false)],
        identities: vec![Identity {
            channel: Channel::Whatsapp,
            sealed: Sealed([9; 40].into()),
            at: at(8),
        }],
        disowned: vec![at(9), at(10)],
    }
}

/// An account with something of everything; `n` is its number of senders.
#[must_use]
pub fn account(n: u32) -> Account {
    let breaker = |scope, failed_probes| Breaker {
        scope,
        code: "131042".into(),
        detail: "the payment method has a problem".into(),
        opened_at: at(1),
        probe_at: at(30_001),
        failed_probes,
        late: failed_probes % 2 == 1,
    };
    let template = |status, button| Template {
        name: "login_otp".into(),
        language: "pt_BR".into(),
        id: "594425479261596".into(),
        status,
        reason: Some("INVALID_FORMAT".into()),
        quality: Quality::Yellow,
        is_authentication: true,
        send_ttl_s: Some(30),
        code_expiration_minutes: Some(5),
        security_disclaimer: true,
        button,
    };
    let buttons = [
        None,
        Some(ButtonKind::CopyCode),
        Some(ButtonKind::OneTap),
        Some(ButtonKind::ZeroTap),
    ];
    let qualities = [Quality::Unknown, Quality::Green, Quality::Yellow, Quality::Red];
    Account {
        breakers: scopes()
            .into_iter()
            .zip(0..)
            .map(|(scope, probes)| breaker(scope, probes))
            .collect(),
        templates: Some(
            TemplateStatus::ALL
                .into_iter()
                .zip(buttons.into_iter().cycle())
                .map(|(status, button)| template(status, button))
                .collect(),
        ),
        senders: (1..=n)
            .zip(qualities.into_iter().cycle())
            .map(|(sender, quality)| SenderFacts {
                sender,
                quality,
                messages_per_second: Some(80),
                verified_name: Some("Acme".into()),
                status: Some("CONNECTED".into()),
            })
            .collect(),
        messaging_limit: Some(if n == 1 {
            MessagingLimit::Unlimited
        } else {
            MessagingLimit::People(2_000)
        }),
        business: Some("3000".into()),
        read_at: Some(at(2)),
        unreadable: (n > 1).then(|| "the token has expired".into()),
        template_news_at: (n > 1).then(|| at(3)),
    }
}

/// A webhook endpoint with something of everything; `n` is how often each retry was tried.
#[must_use]
pub fn endpoint(n: u8) -> Endpoint {
    let event = |n| EventId::new(at(3), [n; 16]);
    let told = [
        Told::Taken { status: 204 },
        Told::Refused {
            status: 429,
            retry_after_ms: Some(30_000),
        },
        Told::Refused {
            status: 500,
            retry_after_ms: None,
        },
    ];
    let unanswered = Unanswered::ALL.map(Told::Unanswered);
    Endpoint {
        service: ServiceName::parse("acme").expect("a name"),
        mode: Mode::Live,
        url: "https://acme.example/hooks".into(),
        types: vec!["verification.approved".into(), "message.delivered".into()],
        description: "the shop".into(),
        created_at: at(1),
        secrets: vec![
            EndpointSecret {
                sealed: Sealed(Box::from([7; 60])),
                until: None,
            },
            EndpointSecret {
                sealed: Sealed(Box::from([6; 60])),
                until: Some(at(9)),
            },
        ],
        after: 1_000,
        retries: (1..=n)
            .map(|tries| Retry {
                event: event(tries),
                place: u64::from(tries),
                tries,
                first_at: at(4),
                next_at: at(5),
            })
            .collect(),
        tries: told
            .into_iter()
            .chain(unanswered)
            .zip(1..)
            .map(|(told, number)| Try {
                event: event(number),
                at: at(5),
                number,
                told,
                took_ms: 12,
            })
            .collect(),
        failing: (n > 1).then(|| Failing {
            since: at(4),
            in_a_row: 6,
            probes: 1,
            paused_until: at(6),
        }),
        disabled: (n > 2).then(|| (at(7), if n == 3 { WhyDisabled::Gone } else { WhyDisabled::Failing })),
        lease: (n > 1).then_some((42, at(8))),
    }
}

/// A line of the log about an endpoint.
#[must_use]
pub fn endpoint_entry(n: u8) -> EndpointEntry {
    EndpointEntry {
        id: EventId::new(at(n.into()), [n; 16]),
        at: at(n.into()),
        endpoint: EndpointId::new(at(1), [1; 16]),
        service: ServiceName::parse("acme").expect("a name"),
        mode: Mode::Live,
        why: if n == 1 { WhyDisabled::Gone } else { WhyDisabled::Failing },
    }
}

/// The `n`-th commit of one endpoint, with a line.
#[must_use]
pub fn endpoint_commit(n: u8, expected: Option<u64>) -> EndpointCommit {
    EndpointCommit {
        id: EndpointId::new(at(1), [1; 16]),
        expected: expected.map(Version),
        next: Some(endpoint(n)),
        entry: Some(endpoint_entry(n)),
        act: None,
    }
}

/// Everything that a breaker can keep messages away from.
#[must_use]
pub fn scopes() -> Vec<BreakerScope> {
    vec![
        BreakerScope::Account,
        BreakerScope::Sender(7),
        BreakerScope::Template {
            name: "login_otp".into(),
            language: None,
        },
        BreakerScope::Template {
            name: "login_otp".into(),
            language: Some("nl".into()),
        },
        BreakerScope::Country(Country::parse("IN").expect("IN is a country")),
    ]
}

/// The `n`-th line about an account, with every decision there is.
#[must_use]
pub fn account_entry(n: u64) -> AccountEntry {
    let (code, detail): (Box<str>, Box<str>) = ("190".into(), "the token has expired".into());
    let mut decisions = vec![
        AccountDecision::TemplateStatus {
            name: "login_otp".into(),
            language: "nl".into(),
            before: None,
            now: TemplateStatus::Approved,
            reason: None,
        },
        AccountDecision::TemplateStatus {
            name: "login_otp".into(),
            language: "nl".into(),
            before: Some(TemplateStatus::Approved),
            now: TemplateStatus::Paused,
            reason: Some("FIRST_PAUSE".into()),
        },
        AccountDecision::Told {
            about: "quality".into(),
            detail: "green became red".into(),
        },
    ];
    for scope in scopes() {
        decisions.push(AccountDecision::BreakerOpened {
            scope: scope.clone(),
            code: code.clone(),
            detail: detail.clone(),
            probe_at: at(30_000),
        });
        decisions.push(AccountDecision::BreakerClosed {
            scope,
            code: code.clone(),
            after_ms: 31_000,
        });
    }
    AccountEntry {
        id: EventId::new(at(n), u128::from(n).to_be_bytes()),
        at: at(n),
        account: AccountName::parse("whatsapp_cloud:102290129340398").expect("a name"),
        channel: Channel::Whatsapp,
        provider: "whatsapp_cloud".into(),
        senders: vec![1, 2],
        decisions,
    }
}

/// The `n`-th state of an account, for who read this version.
#[must_use]
pub fn account_commit(n: u32, expected: Option<u64>) -> AccountCommit {
    AccountCommit {
        name: AccountName::parse("whatsapp_cloud:102290129340398").expect("a name"),
        expected: expected.map(Version),
        next: account(n),
        entry: Some(account_entry(n.into())),
    }
}

/// A number with one verification that began at a moment.
#[must_use]
pub fn recipient(n: u64, began: Timestamp) -> Recipient {
    let mut recipient = Recipient::new(
        scope("acme"),
        Sealed(vec![0x5e; 41].into()),
        Masked::from_stored(&format!("+31*****{:04}", n % 10_000)),
        Country::parse("NL").expect("NL is a country"),
    );
    recipient.sends = vec![began];
    recipient.requested_at = Some(began);
    recipient.verifications = vec![verification(n, began)];
    recipient
}

/// What history keeps of a verification.
#[must_use]
pub fn snapshot(key: RecipientKey, scope: Scope, verification: Verification) -> Snapshot {
    snapshot_of(key, scope, Subject::Verification(verification))
}

/// What history keeps of a plain message.
#[must_use]
pub fn message_snapshot(key: RecipientKey, scope: Scope, message: PlainMessage) -> Snapshot {
    snapshot_of(key, scope, Subject::Message(message))
}

fn snapshot_of(key: RecipientKey, scope: Scope, subject: Subject) -> Snapshot {
    Snapshot {
        key,
        scope,
        masked: Masked::from_stored("+31*****8058"),
        country: Country::parse("NL").expect("NL is a country"),
        subject,
    }
}

/// The `n`-th entry, about a verification.
#[must_use]
pub fn entry(n: u64, at: Timestamp, about: Option<VerificationId>) -> Entry {
    let message = MessageRef {
        id: message_id(n, at),
        route: plan().steps()[0].route.clone(),
    };
    Entry {
        id: EventId::new(at, u128::from(n).to_be_bytes()),
        at,
        scope: scope("acme"),
        masked: Masked::from_stored("+31*****8058"),
        country: Country::parse("NL").expect("NL is a country"),
        verification: about,
        message: None,
        purpose: Some(purpose("login")),
        metadata: vec![("user_id".into(), format!("u_{n}").into())],
        client: None,
        input: InputRecord::Begin,
        decisions: vec![
            Decision::Began {
                expires_at: at.plus_millis(300_000),
            },
            Decision::Queued {
                message: message.clone(),
                cause: SendCause::Begun,
            },
            Decision::Claimed { message },
        ],
    }
}

/// The `n`-th entry, about a plain message.
#[must_use]
pub fn message_entry(n: u64, at: Timestamp, about: MessageId) -> Entry {
    let message = MessageRef {
        id: about,
        route: plan().steps()[1].route.clone(),
    };
    Entry {
        verification: None,
        message: Some(about),
        purpose: None,
        input: InputRecord::Receipt {
            message: about,
            status: MessageStatus::Delivered,
        },
        decisions: vec![Decision::Message {
            message,
            status: MessageStatus::Delivered,
            after_ms: 900,
            failure: None,
            firsts: Firsts {
                is_taken: true,
                has_arrived: true,
            },
        }],
        ..entry(n, at, None)
    }
}

/// What was counted, with something in every field.
#[must_use]
pub fn tally_row(span: Span, start: u32, service: &str, begun: u64) -> TallyRow {
    let mut delivery_times = DeliveryTimes::default();
    delivery_times.add(900, 2);
    delivery_times.add(61_000, begun.max(1));
    TallyRow {
        span,
        start,
        group: Group {
            scope: scope(service),
            purpose: Some(purpose("login")),
            country: Country::parse("NL").expect("a country"),
            channel: Some(Channel::Whatsapp),
            provider: Some("whatsapp_cloud".into()),
        },
        tally: Tally {
            begun,
            converted: 3,
            sent: 4,
            delivered: 5,
            read: 6,
            failed: [("131026".into(), 7)].into(),
            fallbacks: 8,
            delivery_times,
            cost: [(Currency::USD, -9)].into(),
            priced: 10,
        },
    }
}

/// A commit of nothing but the `n`-th document's first version.
#[must_use]
pub fn first(n: u64) -> Commit {
    Commit {
        key: key(n),
        expected: None,
        next: Some(recipient(n, BEGIN)),
        due_at: None,
        handles: Vec::new(),
        snapshots: Vec::new(),
        entries: Vec::new(),
        remembered: None,
        act: None,
    }
}

/// A commit of nothing but the `n`-th document's next version, which it can be told by.
#[must_use]
pub fn next(n: u64, version: u64) -> Commit {
    let mut document = recipient(n, BEGIN);
    document.requested_at = Some(at(version));
    Commit {
        expected: Some(Version(version)),
        next: Some(document),
        ..first(n)
    }
}

/// A commit of everything that a verification begins with.
#[must_use]
pub fn begin(n: u64, began: Timestamp) -> Commit {
    let document = recipient(n, began);
    let verification = document.verifications[0].clone();
    let id = verification.id;
    Commit {
        next: Some(document),
        due_at: Some(began.plus_millis(10_000)),
        handles: vec![handle("whatsapp:1", &format!("wamid.{n}"), message_id(n, began))],
        snapshots: vec![snapshot(key(n), scope("acme"), verification)],
        entries: vec![entry(n, began, Some(id))],
        remembered: Some(remembered(n, began)),
        ..first(n)
    }
}

/// A provider's name for a message.
#[must_use]
pub fn handle(sender: &str, provider_message_id: &str, message: MessageId) -> ProviderHandle {
    ProviderHandle {
        sender: sender.into(),
        provider_message_id: provider_message_id.into(),
        message,
    }
}

/// The answer under the `n`-th idempotency key, given at a moment.
#[must_use]
pub fn remembered(n: u64, made_at: Timestamp) -> Remembered {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Remembered {
        key,
        fingerprint: [9; 32],
        answer: Sealed(vec![1, 2, 3].into()),
        expires_at: made_at.plus_millis(REMEMBERED_MS),
    }
}

/// A receipt of a failure; each `n` is another one.
#[must_use]
pub fn failed(n: usize) -> ReceiptKind {
    ReceiptKind::Failed(Failure::new(FailureClass::NextRoute, &n.to_string(), "message undeliverable"))
}

/// The `n`-th API key, made at a moment.
#[must_use]
pub fn api_key(n: u8, created_at: Timestamp) -> ApiKey {
    ApiKey {
        id: KeyId::new(created_at, [n; 16]),
        digest: [n; 32],
        service: ServiceName::parse("acme"),
        mode: Mode::Test,
        rights: vec![Right::Verify, Right::Read],
        label: "the shop".into(),
        created_at,
        expires_at: None,
        revoked_at: None,
        rate: None,
        used_at: None,
    }
}

/// The `n`-th act of an administrator, at a moment.
#[must_use]
pub fn act(n: u8, done_at: Timestamp) -> Act {
    let by = if n.is_multiple_of(2) {
        By::COMMAND_LINE
    } else {
        By {
            actor: Actor::Key(KeyId::new(at(1), [n; 16])),
            address: Some(IpAddr::from([203, 0, 113, n])),
        }
    };
    let object = Object::Endpoint(EndpointId::new(at(1), [n; 16]));
    Act::new(done_at, [n; 16], by, Deed::EndpointDeleted, &object)
        .of(ServiceName::parse("acme"))
        .with("example.com")
}

/// Everything of a service, `limit` to a page.
#[must_use]
pub fn everything(scope: Scope, limit: usize) -> Browse {
    Browse {
        scope,
        key: None,
        status: None,
        purpose: None,
        after: None,
        before: None,
        cursor: None,
        limit,
    }
}
