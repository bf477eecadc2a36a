//! Does every record ever released still read, and does nothing else?

use std::fmt::Debug;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use tapcode_core::account::Account;
use tapcode_core::audit::{Act, By, Deed};
use tapcode_core::code::Alphabet;
use tapcode_core::delivery::{Failure, FailureClass, Firsts, MessageStatus, ReceiptKind, TripScope};
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::{CheckReason, Decision, Entry, InputRecord, MessageRef, NoFallback, Refusal, SendCause};
use tapcode_core::money::{Currency, Money};
use tapcode_core::plan::{Channel, Skip, SkipReason};
use tapcode_core::recipient::{Erased, Failures, Lock, Recipient};
use tapcode_core::statistics::{Group, Span, Tally};
use tapcode_core::verification::{Binding, ClientHints, CodeSource, Limits, Platform, Sealed, Status, Verification};
use tapcode_engine::contract::provider::Billing;
use tapcode_engine::contract::store::{ApiKey, Line, Rate, Right, Snapshot, ToldReceipt};
use tapcode_engine::rates::Category;

use crate::record::{Stored, Unreadable};
use crate::suite::samples::{
    BEGIN, account, account_entry, act, api_key, approved, at, endpoint, endpoint_entry, entry, key, knowledge, message_id,
    message_snapshot, plain_message, plan, purpose, recipient, scope, snapshot, tally_row, verification,
};

/// Set to `write`, missing golden files are made. One that exists is never written again: delete it by hand if a record
/// that was never released was wrong.
const GOLDEN: &str = "TAPCODE_GOLDEN";

fn golden<T: Stored + PartialEq + Debug>(name: &str, expected: &[T]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var(GOLDEN).is_ok_and(|word| word == "write") && !path.exists() {
        let mut file = fs::File::create_new(&path).unwrap();
        for thing in expected {
            let line: String = thing.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(file, "{line}").unwrap();
        }
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}; {GOLDEN}=write makes it"));
    let read: Vec<T> = text.lines().map(|line| T::from_bytes(&bytes(line)).unwrap()).collect();
    assert_eq!(read.len(), expected.len(), "{name} holds every sample");
    for (number, (read, expected)) in read.iter().zip(expected).enumerate() {
        assert_eq!(read, expected, "line {} of {name}", number + 1);
        assert_eq!(
            T::from_bytes(&expected.to_bytes()).as_ref(),
            Ok(expected),
            "and the newest version reads back"
        );
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn failures() -> Vec<Failure> {
    [
        FailureClass::RetryHere { after_ms: 1_500 },
        FailureClass::NextRoute,
        FailureClass::TripBreaker(TripScope::Sender),
        FailureClass::OurMistake,
        FailureClass::NoFallback,
    ]
    .into_iter()
    .map(|class| Failure::new(class, "131026", "message undeliverable"))
    .collect()
}

fn hints() -> Vec<ClientHints> {
    let full = ClientHints {
        ip: Some("203.0.113.7".into()),
        user_agent: Some("Mozilla/5.0".into()),
        platform: Some(Platform::Android),
        app_hash: Some("FA+9qCX9VSu".into()),
        web_origin: Some("https://example.com".into()),
        whatsapp_installed: Some(true),
    };
    let of = |platform| ClientHints {
        platform,
        whatsapp_installed: Some(false),
        ..ClientHints::default()
    };
    vec![full, of(Some(Platform::Ios)), of(Some(Platform::Web)), ClientHints::default()]
}

fn verifications() -> Vec<Verification> {
    let mut all = Vec::new();
    for (n, status) in (0..).zip(Status::ALL) {
        let mut it = verification(n, at(n));
        it.status = status;
        it.finished_at = status.is_final().then_some(at(400_000));
        it.limits = Limits {
            max_checks: 3,
            resend_cooldown_ms: 1,
            max_sends_per_hour: 9,
            lock_after: 8,
            lock_ms: 7,
            lock_for_good_after: 6,
        };
        it.client = hints().into_iter().nth(usize::try_from(n).unwrap()).map(Box::new);
        it.checks_used = 300;
        it.entries = 65_535;
        all.push(it);
    }
    let own = |alphabet| CodeSource::Own {
        sealed: Sealed([1, 2, 3].into()),
        alphabet,
        digest: [4; 16],
    };
    all[0].code = own(Alphabet::Digits);
    all[1].code = own(Alphabet::Alphanumeric);
    all[2].binding = Some(Binding {
        digest: [5; 32],
        sealed: Sealed([6, 7].into()),
    });
    all[2].metadata = vec![];
    let delivery = &mut all[3].attempts[0].delivery;
    // A clock may have gone back meanwhile.
    delivery.not_before = BEGIN.minus_millis(5);
    delivery.unclear_at = Some(at(1));
    delivery.sent_at = Some(at(2));
    delivery.delivered_at = Some(at(3));
    delivery.read_at = Some(at(4));
    delivery.failed_at = Some(at(5));
    delivery.retries = 1;
    let sample = all[4].attempts[0].clone();
    all[4].attempts = failures()
        .into_iter()
        .zip(0..)
        .map(|(failure, n)| {
            let mut attempt = sample.clone();
            attempt.step = n % 2;
            attempt.fallback_at = (n != 4).then_some(at(9));
            attempt.delivery.provider_message_id = None;
            attempt.delivery.failure = Some(failure);
            attempt
        })
        .collect();
    all
}

fn recipients() -> Vec<Recipient> {
    let plain = recipient(1, BEGIN);
    let mut full = recipient(2, at(5));
    full.lock = Lock::Until(at(3_600_000));
    full.failures = vec![
        Failures {
            purpose: purpose("login"),
            in_a_row: 19,
        },
        Failures {
            purpose: purpose("a.b:c"),
            in_a_row: 1,
        },
    ];
    full.verifications = verifications();
    full.messages = vec![plain_message(7, at(7))];
    full.messages[0].payload = Some(Sealed([9; 5].into()));
    full.messages[0].ucs2 = true;
    let mut bare = recipient(3, BEGIN);
    bare.number = None;
    bare.lock = Lock::UntilOperator;
    bare.sends = vec![];
    bare.requested_at = None;
    bare.verifications = vec![];
    bare.scope.mode = tapcode_core::recipient::Mode::Test;
    vec![plain, full, bare]
}

fn snapshots() -> Vec<Snapshot> {
    let verifications = verifications().into_iter().map(|v| snapshot(key(1), scope("acme"), v));
    verifications
        .chain([message_snapshot(key(2), scope("shop-2"), plain_message(1, at(1)))])
        .collect()
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::UnknownVerification,
        Refusal::ResendTooSoon { retry_at: at(1) },
        Refusal::HourlyLimit { retry_at: at(2) },
        Refusal::Locked { until: Some(at(3)) },
        Refusal::Locked { until: None },
        Refusal::NotPending {
            status: Status::Approved,
        },
        Refusal::PendingWithOtherCode,
        Refusal::PendingWithOtherBinding,
        Refusal::ChannelNotInPlan,
        Refusal::TooManyPurposes,
        Refusal::TooManyPending,
        Refusal::TooManyMessages { retry_at: at(4) },
    ]
}

fn decisions() -> Vec<Decision> {
    let message = || MessageRef {
        id: message_id(1, at(1)),
        route: plan().steps()[0].route.clone(),
    };
    let failure = || failures()[0].clone();
    let mut all = vec![Decision::Began { expires_at: at(1) }];
    for cause in [
        SendCause::Begun,
        SendCause::Requested,
        SendCause::FellBackOnFailure,
        SendCause::FellBackOnSilence { waited_ms: 10_000 },
        SendCause::Plain,
    ] {
        all.push(Decision::Queued {
            message: message(),
            cause,
        });
    }
    all.push(Decision::Claimed { message: message() });
    all.push(Decision::RetryAt {
        message: message(),
        at: at(9),
        failure: failure(),
    });
    for status in [
        MessageStatus::Queued,
        MessageStatus::Unclear,
        MessageStatus::Accepted,
        MessageStatus::Sent,
        MessageStatus::Failed,
        MessageStatus::Delivered,
        MessageStatus::Read,
    ] {
        all.push(Decision::Message {
            message: message(),
            status,
            after_ms: 900,
            failure: Some(failure()),
            firsts: Firsts {
                is_taken: status == MessageStatus::Accepted,
                has_arrived: status == MessageStatus::Delivered,
            },
        });
        all.push(Decision::ReceiptRepeated {
            message: message(),
            status,
        });
    }
    all.push(Decision::Message {
        message: message(),
        status: MessageStatus::Sent,
        after_ms: u64::MAX,
        failure: None,
        firsts: Firsts::default(),
    });
    all.push(Decision::Withdrawn { message: message() });
    all.push(Decision::NoFallback(NoFallback::HourlyLimit));
    all.push(Decision::NoFallback(NoFallback::FailureForbids));
    all.extend(failures().into_iter().map(|failure| Decision::Alert {
        route: message().route,
        failure,
    }));
    for reason in [
        CheckReason::IncorrectCode,
        CheckReason::Expired,
        CheckReason::TooManyChecks,
        CheckReason::AlreadyUsed,
        CheckReason::Canceled,
        CheckReason::BindingMismatch,
    ] {
        all.push(Decision::CheckFailed { reason, checks_left: 4 });
        all.push(Decision::CheckNotEvaluated { reason });
    }
    for status in Status::ALL {
        all.push(Decision::Ended {
            status,
            after_ms: 1,
            channel: Some(Channel::Sms),
            provider: None,
        });
    }
    all.push(Decision::Ended {
        status: Status::Failed,
        after_ms: 1,
        channel: None,
        provider: None,
    });
    all.push(Decision::Locked { until: Some(at(1)) });
    all.push(Decision::Locked { until: None });
    all.push(Decision::Unlocked);
    all.extend(refusals().into_iter().map(Decision::Refused));
    all
}

fn entries() -> Vec<Entry> {
    let message = message_id(3, at(3));
    let mut inputs = vec![
        InputRecord::Begin,
        InputRecord::Resend { channel: None },
        InputRecord::Resend {
            channel: Some(Channel::Whatsapp),
        },
        InputRecord::Check,
        InputRecord::Cancel,
        InputRecord::SendMessage,
        InputRecord::Tick,
        InputRecord::Unlock,
        InputRecord::Receipt {
            message,
            status: MessageStatus::Read,
        },
    ];
    inputs.extend(["accepted", "failed", "unclear"].map(|said| InputRecord::Outcome { message, said }));
    let mut all: Vec<Entry> = (0..)
        .zip(inputs)
        .map(|(n, input)| Entry {
            input,
            ..entry(n, at(n), (n % 2 == 0).then(|| verification(n, at(n)).id))
        })
        .collect();
    all[0].decisions = decisions();
    all[1].client = Some(Box::new(hints().remove(0)));
    all[3].message = Some(message);
    all[3].purpose = None;
    all
}

/// What a line tells first, and over whose API the code came, was not written down at first.
fn entry_with_firsts() -> Entry {
    let message = || MessageRef {
        id: message_id(1, at(1)),
        route: plan().steps()[0].route.clone(),
    };
    let told = |is_taken, has_arrived| Decision::Message {
        message: message(),
        status: MessageStatus::Read,
        after_ms: 900,
        failure: Some(failures()[0].clone()),
        firsts: Firsts { is_taken, has_arrived },
    };
    let ended = Decision::Ended {
        status: Status::Approved,
        after_ms: 1,
        channel: Some(Channel::Sms),
        provider: Some("twilio".into()),
    };
    Entry {
        decisions: vec![told(true, true), told(false, true), told(false, false), ended],
        ..entry(1, at(1), None)
    }
}

/// Version 1 knew of nothing but the kind.
fn receipts_v1() -> Vec<ToldReceipt> {
    let plain = [ReceiptKind::Sent, ReceiptKind::Delivered, ReceiptKind::Read];
    let kinds = plain.into_iter().chain(failures().into_iter().map(ReceiptKind::Failed));
    let bare = |kind| ToldReceipt {
        kind,
        billing: None,
        identity: None,
    };
    kinds.map(bare).collect()
}

/// Classes of failures that came with version 2.
fn failures_v2() -> Vec<Failure> {
    [
        FailureClass::SlowDown { after_ms: 500 },
        FailureClass::Unreachable,
        FailureClass::OtherLanguage,
        FailureClass::TripBreaker(TripScope::Account),
        FailureClass::TripBreaker(TripScope::Template),
        FailureClass::TripBreaker(TripScope::Country),
    ]
    .into_iter()
    .map(|class| Failure::new(class, "130429", "too fast"))
    .collect()
}

fn receipts() -> Vec<ToldReceipt> {
    let price = Money {
        amount_micros: -5,
        currency: Currency::USD,
    };
    let billings = [
        Billing::Free,
        Billing::Category(Category::Authentication),
        Billing::Category(Category::AuthenticationInternational),
        Billing::Amount(price),
    ];
    let kinds = failures_v2()
        .into_iter()
        .map(ReceiptKind::Failed)
        .chain([ReceiptKind::Disowned]);
    let all = kinds.zip(billings.into_iter().map(Some).chain([None]).cycle());
    all.map(|(kind, billing)| ToldReceipt {
        kind,
        billing,
        identity: Some(Sealed([3; 4].into())),
    })
    .collect()
}

fn recipients_v2() -> Vec<Recipient> {
    let mut known = recipient(1, BEGIN);
    known.knowledge = knowledge();
    known.verifications = vec![approved(1, BEGIN, at(9))];
    let mut priced = recipient(2, BEGIN);
    priced.messages = vec![plain_message(7, at(7))];
    priced.messages[0].delivery.price = Some(Money {
        amount_micros: 7_000,
        currency: Currency::parse("EUR").unwrap(),
    });
    let failed = priced.verifications[0].attempts[0].clone();
    priced.verifications[0].attempts = failures_v2()
        .into_iter()
        .map(|failure| {
            let mut attempt = failed.clone();
            attempt.delivery.failure = Some(failure);
            attempt
        })
        .collect();
    vec![known, priced]
}

fn recipients_v3() -> Vec<Recipient> {
    let mut erased = Recipient::unknown(scope("acme"), recipient(1, BEGIN).country);
    erased.sends = vec![at(1)];
    erased.failures = vec![Failures {
        purpose: purpose("login"),
        in_a_row: 20,
    }];
    erased.lock = Lock::Until(at(9));
    erased.erased_messages = vec![at(2), at(3)];
    erased.erased = Some(Erased {
        at: at(4),
        under_way: true,
    });
    let mut done = erased.clone();
    done.erased = Some(Erased {
        at: at(5),
        under_way: false,
    });
    vec![erased, done, recipient(1, BEGIN)]
}

/// What is left of a line when its number is erased, and what was refused while that was under way.
fn erased_lines() -> Vec<Entry> {
    let mut refused = entry(1, at(1), None);
    refused.decisions = vec![Decision::Refused(Refusal::ErasureUnderWay)];
    let erased = entries().into_iter().map(Entry::erased);
    erased.chain([refused]).collect()
}

fn lines() -> Vec<Line> {
    let message = || MessageRef {
        id: message_id(1, at(1)),
        route: plan().steps()[0].route.clone(),
    };
    let reasons = [
        SkipReason::NotOnChannel,
        SkipReason::Breaker,
        SkipReason::Template,
        SkipReason::MessagingLimit,
        SkipReason::TooSoon,
        SkipReason::Country,
    ];
    let skip = |reason| Skip {
        reason,
        detail: "account 190".into(),
    };
    let mut decisions: Vec<Decision> = reasons
        .into_iter()
        .map(|reason| Decision::Skipped {
            route: message().route,
            skip: skip(reason),
        })
        .collect();
    decisions.extend([
        Decision::NoneOpen {
            route: message().route,
            skip: skip(SkipReason::Breaker),
        },
        Decision::ReachLearned {
            channel: Channel::Whatsapp,
            is_on: false,
        },
        Decision::LanguageChosen {
            message: message(),
            language: "pt_BR".into(),
        },
        Decision::Priced {
            message: message(),
            price: Money {
                amount_micros: 50_000,
                currency: Currency::USD,
            },
        },
        Decision::Disowned { message: message() },
    ]);
    let disowned = InputRecord::Disowned { message: message().id };
    let of_recipient = Entry {
        input: disowned,
        decisions,
        ..entry(1, at(1), None)
    };
    vec![Line::Recipient(of_recipient), Line::Account(account_entry(5))]
}

/// Routes that were passed over because of what their sender is, and whom it would send to.
fn lines_of_senders() -> [Line; 1] {
    let reasons = [SkipReason::Sender, SkipReason::SenderCountries, SkipReason::Landline];
    let skipped = reasons.map(|reason| Decision::Skipped {
        route: plan().steps()[0].route.clone(),
        skip: Skip {
            reason,
            detail: "carriers there take no senders of letters".into(),
        },
    });
    [Line::Recipient(Entry {
        decisions: skipped.into(),
        ..entry(1, at(1), None)
    })]
}

fn endpoint_lines() -> [Line; 2] {
    [1, 2].map(|n| Line::Endpoint(endpoint_entry(n)))
}

/// An account as version 1 kept it.
fn account_v1(n: u32) -> Account {
    let mut account = account(n);
    account.template_news_at = None;
    for breaker in &mut account.breakers {
        breaker.late = false;
    }
    account
}

fn api_keys() -> Vec<ApiKey> {
    let all = vec![Right::Verify, Right::Messages, Right::Read, Right::Admin];
    vec![
        api_key(1, at(1)),
        ApiKey {
            service: None,
            rights: all,
            revoked_at: Some(at(9)),
            ..api_key(2, at(2))
        },
    ]
}

fn api_keys_v2() -> Vec<ApiKey> {
    vec![
        api_key(1, at(1)),
        ApiKey {
            expires_at: Some(at(5)),
            rate: Some(Rate {
                per_second: 50,
                burst: 100,
            }),
            ..api_key(2, at(2))
        },
    ]
}

/// Every deed, by each kind of actor, from each kind of address.
fn acts() -> Vec<Act> {
    let v6 = By {
        address: Some("2001:db8::7".parse().expect("an address")),
        ..act(1, at(1)).by
    };
    let one = |(deed, n): (&Deed, u8)| Act {
        deed: *deed,
        ..act(n, at(n.into()))
    };
    let mut all: Vec<Act> = Deed::ALL.iter().zip(1..).map(one).collect();
    all.push(Act {
        by: v6,
        service: None,
        ..act(99, at(99))
    });
    all
}

#[test]
fn every_record_of_version_1_still_reads() {
    golden("recipient_v1.hex", &recipients());
    golden("snapshot_v1.hex", &snapshots());
    golden("entry_v1.hex", &entries());
    golden("receipt_v1.hex", &receipts_v1());
    golden("api_key_v1.hex", &api_keys());
    golden("account_v1.hex", &[account_v1(1), account_v1(5), Account::default()]);
}

#[test]
fn every_record_of_version_2_still_reads() {
    golden("recipient_v2.hex", &recipients_v2());
    let verification = approved(1, BEGIN, at(9));
    golden("snapshot_v2.hex", &[snapshot(key(1), scope("acme"), verification)]);
    golden("receipt_v2.hex", &receipts());
    golden("line_v1.hex", &lines());
    golden("line_v1_senders.hex", &lines_of_senders());
    golden("account_v2.hex", &[account(1), account(5), Account::default()]);
    golden("endpoint_v1.hex", &[endpoint(0), endpoint(3), endpoint(4)]);
    golden("endpoint_line_v1.hex", &endpoint_lines());
    golden("entry_v1_firsts.hex", &[entry_with_firsts()]);
    let counted = tally_row(Span::Hour, 1, "acme", 2);
    let bare = Group {
        purpose: None,
        channel: None,
        provider: None,
        ..counted.group.clone()
    };
    golden("group_v1.hex", &[counted.group, bare]);
    golden("tally_v1.hex", &[counted.tally, Tally::default()]);
    golden("api_key_v2.hex", &api_keys_v2());
    golden("act_v1.hex", &acts());
}

#[test]
fn every_record_of_version_3_still_reads() {
    golden("recipient_v3.hex", &recipients_v3());
    golden("entry_v1_erased.hex", &erased_lines());
}

#[test]
fn a_document_takes_a_few_hundred_bytes() {
    let sizes = [
        recipient(1, BEGIN).to_bytes().len(),
        snapshots()[6].to_bytes().len(),
        entry(1, BEGIN, None).to_bytes().len(),
    ];
    println!("bytes of a document, a snapshot and an entry: {sizes:?}");
    assert!(sizes.iter().all(|size| *size < 400), "{sizes:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(Recipient::from_bytes(&[]), Err(Unreadable::Empty));
    assert_eq!(Recipient::from_bytes(&[0]), Err(Unreadable::Version(0)));
    assert_eq!(Recipient::from_bytes(&[4, 1, 2, 3]), Err(Unreadable::Version(4)));
    let mut longer = recipient(1, BEGIN).to_bytes();
    longer.push(0);
    assert_eq!(Recipient::from_bytes(&longer), Err(Unreadable::Malformed));
    let without_attempts = |mut it: Recipient| {
        it.verifications[0].attempts.clear();
        it
    };
    let refused = Recipient::from_bytes(&without_attempts(recipient(1, BEGIN)).to_bytes());
    assert_eq!(refused, Err(Unreadable::Content("row of attempts")));
    let mut beyond_its_plan = recipient(1, BEGIN);
    beyond_its_plan.verifications[0].attempts[0].step = 2;
    assert_eq!(
        Recipient::from_bytes(&beyond_its_plan.to_bytes()),
        Err(Unreadable::Content("row of attempts"))
    );
}

/// Whatever is read can be written and read again.
fn total<T: Stored + PartialEq + Debug>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(thing) = T::from_bytes(bytes) {
        prop_assert_eq!(T::from_bytes(&thing.to_bytes()), Ok(thing));
    }
    Ok(())
}

fn all_total(bytes: &[u8]) -> Result<(), TestCaseError> {
    total::<Recipient>(bytes)?;
    total::<Snapshot>(bytes)?;
    total::<Entry>(bytes)?;
    total::<Line>(bytes)?;
    total::<Account>(bytes)?;
    total::<Endpoint>(bytes)?;
    total::<ToldReceipt>(bytes)?;
    total::<Act>(bytes)?;
    total::<ApiKey>(bytes)
}

fn written() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = recipients().iter().map(Stored::to_bytes).collect();
    all.extend(snapshots().iter().map(Stored::to_bytes));
    all.extend(entries().iter().map(Stored::to_bytes));
    all.extend(receipts().iter().map(Stored::to_bytes));
    all.extend(api_keys_v2().iter().map(Stored::to_bytes));
    all.extend(acts().iter().map(Stored::to_bytes));
    all.extend(recipients_v2().iter().map(Stored::to_bytes));
    all.extend(recipients_v3().iter().map(Stored::to_bytes));
    all.extend(erased_lines().iter().map(Stored::to_bytes));
    all.extend(lines().iter().map(Stored::to_bytes));
    all.push(account(5).to_bytes());
    all.push(endpoint(4).to_bytes());
    all.extend(endpoint_lines().iter().map(Stored::to_bytes));
    all
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        claims in prop_oneof![Just(Some(1)), Just(Some(2)), Just(Some(3)), Just(Some(128)), Just(Some(192)), Just(None)],
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = claims.unwrap_or(*first);
        }
        all_total(&bytes)?;
    }

    #[test]
    fn any_damage_is_read_or_refused(
        record in prop::sample::select(written()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = record;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        all_total(&bytes)?;
    }
}
