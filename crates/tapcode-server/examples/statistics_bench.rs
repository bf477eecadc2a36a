//! How long does `GET /api/v1/stats` take with a long log behind it, and how fast is a log counted? Prints one JSON object
//! per line.
//!
//! `statistics_bench [lines]`: so many lines of the log within 90 days, four for each verification (begun, accepted,
//! delivered, approved), over 60 countries of which few have most, two channels and two purposes; 10 million where nothing is
//! said. The database is made in the folder that `TMPDIR` names.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock of the machine it measures"
)]

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use tapcode_core::delivery::{Firsts, MessageStatus};
use tapcode_core::entry::{Decision, Entry, InputRecord, MessageRef, SendCause};
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, Route};
use tapcode_core::recipient::Mode;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Purpose, Status};
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::store::{Commit, Right, Store};
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::service::Directory;
use tapcode_server::App;
use tapcode_store::sqlite::SqliteStore;
use tapcode_store::suite::samples::{entry, first, message_id, verification_id};
use tower::ServiceExt as _;

const DAYS: u64 = 90;
const DAY_MS: u64 = 86_400_000;
const COUNTRIES: u64 = 60;
/// Lines of one commit, and commits of one batch, while the log is filled.
const LINES: u64 = 500;
const COMMITS: u64 = 16;
/// How often each question is asked.
const TIMES: usize = 41;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let lines = std::env::args()
        .nth(1)
        .map_or(10_000_000, |text| text.parse::<u64>().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("bench.db")).expect("the database opens"));
    let now = SystemClock.now();
    let began = now.minus_millis(DAYS * DAY_MS);
    let filled = Instant::now();
    let mut written = 0;
    let mut commits = 0;
    while written < lines {
        let mut batch = Vec::new();
        while written < lines && batch.len() < usize::try_from(COMMITS).expect("a few") {
            let end = lines.min(written + LINES);
            let entries = (written..end)
                .map(|n| line(n, began.plus_millis(n * (DAYS * DAY_MS - DAY_MS / 24) / lines)))
                .collect();
            // No document and no version: nothing but lines.
            batch.push(Commit {
                next: None,
                due_at: None,
                entries,
                ..first(commits)
            });
            commits += 1;
            written = end;
        }
        assert!(
            store.commit(batch).await.into_iter().all(|result| result.is_ok()),
            "the log is filled"
        );
    }
    println!(r#"{{"lines":{lines},"filled_per_s":{}}}"#, per_second(lines, filled));
    let engine = Engine::new(Parts {
        store: Arc::clone(&store),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy::new()),
        keyring: Keyring::new(&[7; 32]),
        egress: Egress::new().expect("the HTTP client"),
        directory: Directory::new(Vec::new(), Vec::new()),
        rates: RateCards::default(),
        history_ms: 365 * DAY_MS,
        acts_ms: 365 * DAY_MS,
        traces: None,
    });
    let counted = Instant::now();
    while engine.count_lines().await.expect("the log is counted") {}
    println!(r#"{{"counted_per_s":{}}}"#, per_second(lines, counted));
    let new = engine.new_key(None, Mode::Live, vec![Right::Admin], "bench");
    store.commit_key(&new.kept.into()).await.expect("the key is kept");
    let router = tapcode_server::router(App {
        engine,
        public_url: "https://otp.example.com".into(),
        console: None,
        metrics: Arc::new(String::new),
        dev: false,
        version: "0.0.0",
    });
    for group_by in ["", "&group_by=country,channel", "&group_by=channel,provider,day"] {
        let mut took_us = Vec::with_capacity(TIMES);
        let mut bytes = 0;
        for _ in 0..TIMES {
            let from = jiff::Timestamp::from_millisecond(began.as_millis()).expect("a moment");
            let request = Request::get(format!("/api/v1/stats?from={from}{group_by}"))
                .header("authorization", format!("Bearer {}", new.text))
                .body(Body::empty())
                .expect("a request");
            let asked = Instant::now();
            let response = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            bytes = response.into_body().collect().await.expect("a body").to_bytes().len();
            took_us.push(asked.elapsed().as_micros());
        }
        took_us.sort_unstable();
        println!(
            r#"{{"days":{DAYS},"group_by":"{}","bytes":{bytes},"p50_us":{},"max_us":{}}}"#,
            group_by.trim_start_matches("&group_by="),
            took_us[TIMES / 2],
            took_us[TIMES - 1]
        );
    }
}

fn per_second(lines: u64, since: Instant) -> u64 {
    lines * 1_000 / u64::try_from(since.elapsed().as_millis().max(1)).expect("no run takes so long")
}

/// The `n`-th line.
fn line(n: u64, at: Timestamp) -> Entry {
    let verification = n / 4;
    // Half of what is left goes to each next country, and the rest is spread.
    let country = match verification % 64 {
        0..32 => 0,
        32..48 => 1,
        48..56 => 2,
        _ => verification / 64 % COUNTRIES,
    };
    let letter = |n: u64| char::from(b'A' + u8::try_from(n % 26).expect("a letter"));
    let country: String = [letter(country / 26), letter(country)].into_iter().collect();
    let is_sms = verification.is_multiple_of(10);
    let (channel, provider) = if is_sms {
        (Channel::Sms, "twilio")
    } else {
        (Channel::Whatsapp, "whatsapp_cloud")
    };
    let message = || MessageRef {
        id: message_id(verification, at),
        route: Route {
            channel,
            sender: 1,
            provider: provider.into(),
        },
    };
    let after_ms = 400 + verification * 7_919 % 30_000;
    let told = |status, firsts| Decision::Message {
        message: message(),
        status,
        after_ms,
        failure: None,
        firsts,
    };
    let (input, decisions) = match n % 4 {
        0 => {
            let queued = Decision::Queued {
                message: message(),
                cause: SendCause::Begun,
            };
            (InputRecord::Begin, vec![Decision::Began { expires_at: at }, queued])
        }
        1 => {
            let firsts = Firsts {
                is_taken: true,
                has_arrived: false,
            };
            (InputRecord::Tick, vec![told(MessageStatus::Accepted, firsts)])
        }
        2 => {
            let firsts = Firsts {
                is_taken: false,
                has_arrived: true,
            };
            (InputRecord::Tick, vec![told(MessageStatus::Delivered, firsts)])
        }
        _ => {
            let ended = Decision::Ended {
                status: Status::Approved,
                after_ms,
                channel: Some(channel),
                provider: Some(provider.into()),
            };
            (InputRecord::Check, vec![ended])
        }
    };
    Entry {
        country: Country::parse(&country).expect("two letters"),
        purpose: Purpose::parse(if verification.is_multiple_of(3) { "payment" } else { "login" }),
        input,
        decisions,
        ..entry(n, at, Some(verification_id(verification, at)))
    }
}
