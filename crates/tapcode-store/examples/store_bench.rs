//! How many steps per second does a store take, and how long does one wait? Prints one JSON object per line.
//!
//! `store_bench [steps] [rows]` commits as the engine does: each step goes to one task that gathers what arrives while
//! the batch before it is written; with two committers, a second batch is made ready meanwhile. A verification is three steps: begin, a receipt, and the end. With `rows`, so many
//! live verifications are there before the clock starts. The database is made in the folder that `TMPDIR` names.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock of the machine it measures"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapcode_core::entry::Entry;
use tapcode_core::recipient::Recipient;
use tapcode_engine::contract::store::{BATCH_MAX, Commit, Store, StoreError, SubjectId, Sweep, Version};
use tapcode_store::memory::MemoryStore;
use tapcode_store::sqlite::SqliteStore;
use tapcode_store::suite::samples::{approved, at, entry, handle, key, message_id, recipient, scope, snapshot, verification_id};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

type Step = (Commit, oneshot::Sender<Result<(), StoreError>>);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let steps = arguments.next().unwrap_or(150_000);
    let rows = arguments.next().unwrap_or(0);
    // What the memory store leaves to the allocator would spoil the memory figures with many rows.
    for in_flight in [64, 256].into_iter().filter(|_| rows == 0) {
        println!(
            "{}",
            run("memory", Arc::new(MemoryStore::new()), steps, 0, in_flight, 1).await
        );
    }
    for (in_flight, committers) in [(64, 1), (64, 2), (256, 1), (256, 2)] {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("bench.db");
        let opened = Instant::now();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).expect("the database opens"));
        println!(
            r#"{{"store":"sqlite","open_ms":{},"rss_mb":{}}}"#,
            opened.elapsed().as_millis(),
            rss_mb()
        );
        println!(
            "{}",
            run("sqlite", Arc::clone(&store), steps, rows, in_flight, committers).await
        );
        reads(&store, steps / 3).await;
        drop(store);
        let size = || std::fs::metadata(&path).expect("the file is there").len();
        let verifications = rows + steps / 3;
        println!(
            r#"{{"store":"sqlite","bytes":{},"bytes_per_verification":{}}}"#,
            size(),
            size() / verifications
        );
        let opened = Instant::now();
        let store = SqliteStore::open(&path).expect("the database opens");
        println!(
            r#"{{"store":"sqlite","reopen_ms":{},"rows":{verifications}}}"#,
            opened.elapsed().as_millis()
        );
        let swept = Instant::now();
        let sweep = Sweep {
            written_before_hour: 0,
            now: at(1 << 45),
            history_before: at(1 << 45),
            services: Vec::new(),
            acts_before: at(1 << 45),
            limit: 10_000_000,
        };
        let gone = store.sweep(&sweep).await.expect("the sweep works");
        let seconds = swept.elapsed().as_secs_f64();
        drop(store);
        println!(
            r#"{{"store":"sqlite","swept_rows":{gone},"sweep_s":{seconds:.2},"bytes_after":{}}}"#,
            size()
        );
    }
}

async fn run(name: &str, store: Arc<dyn Store>, steps: u64, rows: u64, in_flight: u64, committers: u32) -> String {
    let (send, waiting) = mpsc::channel(4 * BATCH_MAX);
    let waiting = Arc::new(Mutex::new(waiting));
    let mut committing = JoinSet::new();
    for _ in 0..committers {
        committing.spawn(gather(Arc::clone(&store), Arc::clone(&waiting)));
    }
    let filled = Instant::now();
    lives(&send, steps..steps + rows, 512, 1).await;
    let filled = filled.elapsed();
    let clock = Instant::now();
    let mut latencies = lives(&send, 0..steps / 3, in_flight, 3).await;
    let seconds = clock.elapsed().as_secs_f64();
    drop(send);
    let batches: u32 = committing.join_all().await.into_iter().sum();
    latencies.sort_unstable();
    let at = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000].as_micros();
    format!(
        r#"{{"store":"{name}","in_flight":{in_flight},"committers":{committers},"rows":{rows},"fill_s":{:.1},"steps":{},"steps_per_s":{:.0},"p50_us":{},"p99_us":{},"p999_us":{},"max_us":{},"batches":{batches},"rss_mb":{}}}"#,
        filled.as_secs_f64(),
        latencies.len(),
        steps_per_s(latencies.len(), seconds),
        at(500),
        at(990),
        at(999),
        at(1000),
        rss_mb(),
    )
}

fn steps_per_s(steps: usize, seconds: f64) -> f64 {
    f64::from(u32::try_from(steps).expect("fewer steps than that")) / seconds
}

/// A committer: one batch at a time, each of what came meanwhile.
async fn gather(store: Arc<dyn Store>, waiting: Arc<Mutex<mpsc::Receiver<Step>>>) -> u32 {
    let mut batches = 0;
    let mut steps = Vec::new();
    while waiting.lock().await.recv_many(&mut steps, BATCH_MAX).await > 0 {
        let (commits, replies): (Vec<_>, Vec<_>) = steps.drain(..).unzip();
        batches += 1;
        for (reply, result) in replies.into_iter().zip(store.commit(commits).await) {
            reply.send(result).expect("the step waits");
        }
    }
    batches
}

/// Lives of verifications, so many at once, each of up to three steps; how long each step took.
async fn lives(send: &mpsc::Sender<Step>, numbers: std::ops::Range<u64>, in_flight: u64, steps: u64) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for lane in 0..in_flight {
        let (send, numbers) = (send.clone(), numbers.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for n in numbers.filter(|n| n % in_flight == lane) {
                for step in 0..steps {
                    let commit = commit(n, step);
                    let clock = Instant::now();
                    let (reply, answer) = oneshot::channel();
                    send.send((commit, reply)).await.expect("the committer runs");
                    answer
                        .await
                        .expect("an answer comes")
                        .expect("every step is the first to expect its version");
                    latencies.push(clock.elapsed());
                }
            }
            latencies
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Begin and claim; the provider's answer; the right code.
fn commit(n: u64, step: u64) -> Commit {
    let began = at(n / 3);
    let mut document: Recipient = recipient(n, began);
    if step == 2 {
        document.verifications[0] = approved(n, began, began.plus_millis(9_000));
    }
    let verification = document.verifications[0].clone();
    let entries: Vec<Entry> = vec![entry(n * 3 + step, began.plus_millis(step), Some(verification.id))];
    Commit {
        key: key(n),
        expected: (step > 0).then_some(Version(step)),
        next: Some(document),
        due_at: Some(began.plus_millis([10_000, 300_000, 3_600_000][usize::try_from(step).expect("0 to 2")])),
        handles: if step == 1 {
            vec![handle(
                "whatsapp:1",
                &format!("wamid.{:032x}", u128::from_be_bytes(key(n).0)),
                message_id(n, began),
            )]
        } else {
            vec![]
        },
        snapshots: vec![snapshot(key(n), scope("acme"), verification)],
        entries,
        remembered: None,
        act: None,
    }
}

/// Point reads, one after the other, where they are asked for.
async fn reads(store: &Arc<dyn Store>, verifications: u64) {
    let count = 20_000;
    let clock = Instant::now();
    for n in 0..count {
        let n = n * 7_919 % verifications;
        assert!(store.load(&key(n)).await.expect("it can be read").is_some());
    }
    let load = clock.elapsed() / u32::try_from(count).expect("few");
    let clock = Instant::now();
    for n in 0..count {
        let n = n * 7_919 % verifications;
        let id = SubjectId::Verification(verification_id(n, at(n / 3)));
        assert!(store.snapshot(id).await.expect("it can be read").is_some());
    }
    let snapshot = clock.elapsed() / u32::try_from(count).expect("few");
    let clock = Instant::now();
    for _ in 0..count {
        tokio::task::spawn_blocking(|| ()).await.expect("it ends");
    }
    let thread = clock.elapsed() / u32::try_from(count).expect("few");
    let clock = Instant::now();
    let scheduled = store.scheduled().await.expect("it can be counted");
    println!(
        r#"{{"read":"inline","load_ns":{},"snapshot_ns":{},"empty_spawn_blocking_ns":{},"scheduled":{scheduled},"scheduled_us":{}}}"#,
        load.as_nanos(),
        snapshot.as_nanos(),
        thread.as_nanos(),
        clock.elapsed().as_micros(),
    );
}

/// Resident memory of this process, in MiB.
fn rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}
