//! How fast is the server, how late are its timers and how much memory does it take — beside the limits of the same machine?
//!
//! Everything runs on this machine in one go: the release binary with SQLite on disk (durable), the stand-ins for the
//! providers, and the load. Next to each figure stands the limit measured in the same run: an HTTP server of the same
//! library answering a constant, and the store without HTTP.

mod load;
mod processes;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use load::{Measured, Until, request, run};
use processes::{Failure, Running, beside};
use serde_json::Value;
use tapcode_simulator::CloudApi;
use tapcode_simulator::cloud_api::{CloudApiConfig, SendRequest, Status, StatusUpdate};

/// The benchmark. `cargo xtask bench` builds everything first.
#[derive(Parser)]
struct Arguments {
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Pending fallbacks for the lateness of timers.
    #[arg(long, default_value_t = 100_000)]
    pending: u64,
    /// Live verifications for the memory measurement; 0 leaves it out.
    #[arg(long, default_value_t = 1_000_000)]
    live: u64,
    /// Messages whose receipts come one by one, and as many whose receipts come in batches.
    #[arg(long, default_value_t = 40_000)]
    messages: u64,
    /// Parts to run: limit, begin, check, receipts, webhooks, timers, memory. All, unless given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the databases go; a folder on a real disk.
    #[arg(long)]
    folder: Option<PathBuf>,
}

const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";
const AUTH_TOKEN: &str = "bench-twilio-token";

/// The server under test with its stand-ins.
struct Bench {
    server: Running,
    listen: SocketAddr,
    standins: Running,
    key: String,
    admin: String,
    _folder: tempfile::TempDir,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    // One thread of load: the server under test needs the machine more.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(all(arguments))
}

async fn all(arguments: Arguments) -> Result<(), Failure> {
    let wanted = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|p| p == part);
    println!(
        "# {} connections, {} s each, {} cores",
        arguments.connections,
        arguments.seconds,
        std::thread::available_parallelism()?
    );
    if wanted("limit") {
        limits(&arguments).await?;
    }
    if wanted("begin") || wanted("check") {
        let bench = Bench::start(&arguments)?;
        println!(
            "start-up      RSS {:.1} MiB, binary {:.1} MiB",
            bench.server.resident_mib()?,
            size_mib(&beside("tapcode")?)?
        );
        let begun = begin(&arguments, &bench, 0).await?;
        if wanted("check") {
            check(&arguments, &bench, begun).await?;
        }
    }
    if wanted("receipts") {
        receipts(&arguments).await?;
    }
    if wanted("webhooks") {
        webhooks::webhooks(&arguments).await?;
    }
    if wanted("timers") {
        timers(&arguments, &Bench::start(&arguments)?).await?;
    }
    if wanted("memory") && arguments.live > 0 {
        memory(&arguments, &Bench::start(&arguments)?).await?;
    }
    Ok(())
}

impl Bench {
    fn start(arguments: &Arguments) -> Result<Self, Failure> {
        Self::with_standins(Self::folder(arguments)?, Self::standins()?, None)
    }

    fn folder(arguments: &Arguments) -> Result<tempfile::TempDir, Failure> {
        let parent = arguments.folder.clone().unwrap_or_else(|| PathBuf::from("target"));
        Ok(tempfile::Builder::new().prefix("tapcode-bench-").tempdir_in(parent)?)
    }

    fn standins() -> Result<Running, Failure> {
        Running::start(
            &beside("tapcode-standin")?,
            &[
                "--account-sid",
                ACCOUNT_SID,
                "--auth-token",
                AUTH_TOKEN,
                "--access-token",
                "bench-token",
                "--phone-number-id",
                "1000",
                "--waba-id",
                "2000",
            ],
            &[],
        )
    }

    /// With another Cloud API than the stand-ins' own.
    fn with_standins(folder: tempfile::TempDir, standins: Running, cloud: Option<String>) -> Result<Self, Failure> {
        let cloud = match cloud {
            Some(cloud) => cloud,
            None => format!("http://{}", standins.address("cloud_api")?),
        };
        let config = folder.path().join("tapcode.toml");
        std::fs::write(&config, configuration(folder.path(), &cloud, standins.address("twilio")?))?;
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
        let config = config.to_str().ok_or("a folder whose name is text")?;
        let binary = beside("tapcode")?;
        let key = made_key(&binary, config, ["--service", "bench"])?;
        let admin = made_key(&binary, config, ["--rights", "admin"])?;
        let server = Running::start(&binary, &["serve", "--config", config, "--json"], &[])?;
        let listen = server.address("listen")?;
        Ok(Self {
            server,
            listen,
            standins,
            key,
            admin,
            _folder: folder,
        })
    }

    async fn calls_at_stand_ins(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut counts = BTreeMap::new();
        for name in ["cloud_api", "twilio"] {
            let address = self.standins.address(name)?;
            let answer: Value = reqwest::get(format!("http://{address}/stand-in/counts"))
                .await?
                .json()
                .await?;
            counts.insert(
                name.to_owned(),
                answer["messages"]
                    .as_u64()
                    .ok_or_else(|| format!("no messages in {answer}"))?,
            );
        }
        Ok(counts)
    }
}

fn made_key(binary: &Path, config: &str, whose: [&str; 2]) -> Result<String, Failure> {
    let mut made = Command::new(binary);
    made.args(["keys", "create", "--config", config, "--json"]).args(whose);
    let made = made.output()?;
    let json: Value = serde_json::from_slice(&made.stdout)
        .map_err(|e| format!("keys create: {e}: {}", String::from_utf8_lossy(&made.stderr)))?;
    Ok(json["key"].as_str().ok_or("keys create gave no key")?.to_owned())
}

fn configuration(folder: &Path, cloud: &str, twilio: SocketAddr) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8080"
[store]
url = "sqlite:{folder}/tapcode.db"
[secrets]
master_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
[log]
level = "warn"
[webhooks]
allow_private = true
[[services]]
name = "bench"
brand = "Bench"
own_codes = true
code_ttl_s = 600
workflow = [ {{channel = "whatsapp", sender = 1, wait_ms = 590_000}}, {{channel = "sms", sender = 42}} ]
[[whatsapp_accounts]]
id = 1
provider = "whatsapp_cloud"
base_url = "{cloud}"
messages_per_second = 1_000_000
api_version = "v25.0"
waba_id = "2000"
phone_number_id = "1000"
access_token = "bench-token"
app_secret = "bench-secret"
verify_token = "bench-verify"
template = "login_otp"
[[numbers]]
id = 42
number = "+3197010253000"
provider = "twilio"
base_url = "http://{twilio}"
account_sid = "{ACCOUNT_SID}"
auth_token = "{AUTH_TOKEN}"
"#,
        folder = folder.display(),
    )
}

fn number(n: u64) -> String {
    format!("+316{:08}", 10_000_000 + n)
}

fn begin_body(n: u64, wait_ms: Option<u64>) -> String {
    let to = number(n);
    match wait_ms {
        None => format!(r#"{{"to":"{to}","purpose":"login","code":"482913"}}"#),
        Some(wait_ms) => format!(
            r#"{{"to":"{to}","purpose":"login","code":"482913","workflow":[{{"channel":"whatsapp","wait_ms":{wait_ms}}},{{"channel":"sms"}}]}}"#
        ),
    }
}

/// The id in the answer to a begin. It is the first field; a JSON parser here would cost the server its cores.
fn id_in(status: u16, body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|_| status == 201)?;
    text.split('"').nth(3).map(ToOwned::to_owned)
}

fn print(name: &str, measured: &Measured) {
    let at = |q: f64| Duration::from_micros(measured.latency.value_at_quantile(q)).as_secs_f64() * 1e3;
    println!(
        "{name:<13} {:>8.0}/s  p50 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms  {:?}{}",
        measured.rate(),
        at(0.5),
        at(0.99),
        at(0.999),
        measured.statuses,
        if measured.broken > 0 {
            format!("  BROKEN connections {}", measured.broken)
        } else {
            String::new()
        }
    );
}

/// What the HTTP stack and the store can do on this machine without each other.
async fn limits(arguments: &Arguments) -> Result<(), Failure> {
    let constant = Running::start(&beside("tapcode-constant")?, &[], &[])?;
    let write = |_: u64, out: &mut Vec<u8>| request(out, "POST", "/", "none", &begin_body(0, None));
    let measured = run(
        constant.address("listen")?,
        arguments.connections,
        Until::Elapsed(Duration::from_secs(arguments.seconds)),
        0,
        Arc::new(write),
        Arc::new(|_, _, _| {}),
    )
    .await;
    print("limit: HTTP", &measured);
    drop(constant);
    let store = beside("examples/store_bench")?;
    let output = Command::new(&store)
        .output()
        .map_err(|e| format!("{}: {e}", store.display()))?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("limit: store  {line}");
    }
    Ok(())
}

/// Begins verifications of ever new numbers; returns the ids, in no order.
async fn begin(arguments: &Arguments, bench: &Bench, first: u64) -> Result<Vec<String>, Failure> {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let key = bench.key.clone();
    let write = move |n: u64, out: &mut Vec<u8>| request(out, "POST", "/api/v1/verifications", &key, &begin_body(n, None));
    let kept = Arc::clone(&ids);
    let read = move |_: u64, status: u16, body: &[u8]| {
        if let Some(id) = id_in(status, body) {
            kept.lock().expect("nobody panics").push(id);
        }
    };
    let until = Until::Elapsed(Duration::from_secs(arguments.seconds));
    let measured = run(
        bench.listen,
        arguments.connections,
        until,
        first,
        Arc::new(write),
        Arc::new(read),
    )
    .await;
    print("begin", &measured);
    let ended = Instant::now();
    let sent_by_then = bench.calls_at_stand_ins().await?["cloud_api"];
    let drained = until_calls(bench, measured.answers).await?;
    println!(
        "              provider calls: {sent_by_then} of {} when the load ended, all after {:.2} s more ({drained})",
        measured.answers,
        ended.elapsed().as_secs_f64()
    );
    let ids = std::mem::take(&mut *ids.lock().expect("nobody panics"));
    Ok(ids)
}

async fn until_calls(bench: &Bench, wanted: u64) -> Result<u64, Failure> {
    let bound = Instant::now() + Duration::from_secs(120);
    loop {
        let sent = bench.calls_at_stand_ins().await?["cloud_api"];
        if sent >= wanted || Instant::now() > bound {
            return Ok(sent);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks: per verification a wrong code, then the right one.
async fn check(arguments: &Arguments, bench: &Bench, ids: Vec<String>) -> Result<(), Failure> {
    let count = u64::try_from(ids.len())?;
    let ids = Arc::new(ids);
    let key = bench.key.clone();
    let half = count;
    let write = move |n: u64, out: &mut Vec<u8>| {
        let id = &ids[usize::try_from(n % half).expect("an index")];
        let code = if n < half { "000000" } else { "482913" };
        request(
            out,
            "POST",
            &format!("/api/v1/verifications/{id}/check"),
            &key,
            &format!(r#"{{"code":"{code}"}}"#),
        );
    };
    let valid = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&valid);
    let read = move |_: u64, _: u16, body: &[u8]| {
        if body.windows(12).any(|w| w == b"\"valid\":true") {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    };
    let measured = run(
        bench.listen,
        arguments.connections,
        Until::Requests(count * 2),
        0,
        Arc::new(write),
        Arc::new(read),
    )
    .await;
    print("check", &measured);
    println!(
        "              {} valid of {count} verifications, each with one wrong check first",
        valid.load(Ordering::Relaxed)
    );
    Ok(())
}

/// Most updates in one of Meta's webhooks.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (read 2026-11-22)
const UPDATES_MAX: usize = 1_000;
/// Connections that begin verifications while receipts come.
const BEGINNING: usize = 4;

/// Meta's webhooks: `sent`, `delivered` and `read` of many messages, one update in each webhook and then a thousand, while
/// verifications are begun. Every webhook is answered 200 once all of it is durable.
async fn receipts(arguments: &Arguments) -> Result<(), Failure> {
    // The Cloud API runs in here: what it was sent is what the webhooks are made of.
    let meta = CloudApi::start(CloudApiConfig {
        phone_number_id: "1000".to_owned(),
        waba_id: "2000".to_owned(),
        access_token: "bench-token".to_owned(),
        app_secret: "bench-secret".to_owned(),
        templates: vec![("login_otp".to_owned(), "en".to_owned())],
        ..CloudApiConfig::default()
    })
    .await?;
    let bench = Bench::with_standins(Bench::folder(arguments)?, Bench::standins()?, Some(meta.base_url()))?;
    let wanted = arguments.messages * 2;
    let key = bench.key.clone();
    let write = move |n: u64, out: &mut Vec<u8>| request(out, "POST", "/api/v1/verifications", &key, &begin_body(n, None));
    let ids = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&ids);
    let read = move |_: u64, status: u16, body: &[u8]| {
        kept.lock().expect("nobody panics").extend(id_in(status, body));
    };
    run(
        bench.listen,
        arguments.connections,
        Until::Requests(wanted),
        0,
        Arc::new(write),
        Arc::new(read),
    )
    .await;
    let messages = meta
        .wait_for_messages(usize::try_from(wanted)?, Duration::from_secs(300))
        .await;
    let hooks = |of: &[SendRequest], per_webhook: usize| -> Vec<Vec<u8>> {
        let statuses = [Status::Sent, Status::Delivered, Status::Read].into_iter();
        let updates: Vec<StatusUpdate> = statuses
            .flat_map(|status| of.iter().filter_map(move |message| message.update(status)))
            .collect();
        let webhook = |updates: &[StatusUpdate]| {
            let body = meta.statuses_body(updates);
            let mut whole = format!(
                "POST /hooks/whatsapp/1 HTTP/1.1\r\nhost: bench\r\nx-hub-signature-256: {}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n",
                meta.sign(&body),
                body.len()
            )
            .into_bytes();
            whole.extend_from_slice(&body);
            whole
        };
        updates.chunks(per_webhook).map(webhook).collect()
    };
    let (singly, batched) = messages.split_at(messages.len() / 2);
    let mut begun = wanted;
    for (name, of, per_webhook, connections) in [
        ("receipts 1", singly, 1, arguments.connections),
        ("receipts 1000", batched, UPDATES_MAX, BEGINNING),
    ] {
        let prepared = hooks(of, per_webhook);
        let updates = of.len() * 3;
        let count = u64::try_from(prepared.len())?;
        let write = move |n: u64, out: &mut Vec<u8>| out.extend_from_slice(&prepared[usize::try_from(n).expect("an index")]);
        let key = bench.key.clone();
        let begin = move |n: u64, out: &mut Vec<u8>| request(out, "POST", "/api/v1/verifications", &key, &begin_body(n, None));
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let (taken, beginning) = tokio::join!(
            async {
                let taken = run(
                    bench.listen,
                    connections,
                    Until::Requests(count),
                    0,
                    Arc::new(write),
                    Arc::new(|_, _, _| {}),
                )
                .await;
                ended.store(true, Ordering::Relaxed);
                taken
            },
            run(
                bench.listen,
                BEGINNING,
                Until::Told(over),
                begun,
                Arc::new(begin),
                Arc::new(|_, _, _| {}),
            )
        );
        begun += beginning.answers + u64::try_from(BEGINNING)?;
        print(name, &taken);
        print("  beside it", &beginning);
        println!("              {:.0} updates/s, durable", per_second(updates, taken.seconds));
        if taken.statuses.keys().any(|status| *status != 200) {
            return Err("a webhook was not taken".into());
        }
    }
    // Whether it is all there is asked of a hundred verifications, spread over both kinds.
    let ids = std::mem::take(&mut *ids.lock().expect("nobody panics"));
    let client = reqwest::Client::new();
    let mut read = 0;
    let asked: Vec<&String> = ids.iter().step_by((ids.len() / 100).max(1)).collect();
    for id in &asked {
        let address = format!("http://{}/api/v1/verifications/{id}", bench.listen);
        let answer: Value = client.get(address).bearer_auth(&bench.key).send().await?.json().await?;
        read += usize::from(answer["attempts"][0]["status"] == "read");
    }
    println!(
        "              {read} of {} verifications that were asked for say that their message was read",
        asked.len()
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Many pending fallbacks; some of them fire, and each says how late it was.
async fn timers(arguments: &Arguments, bench: &Bench) -> Result<(), Failure> {
    const FIRE_EVERY: u64 = 20;
    let firing = Arc::new(Mutex::new(Vec::new()));
    let key = bench.key.clone();
    // One in twenty fires once all are pending; the others wait for as long as a plan can.
    let load_ms = arguments.pending / 3 + 5_000;
    let write = move |n: u64, out: &mut Vec<u8>| {
        let wait = if n.is_multiple_of(FIRE_EVERY) {
            load_ms.min(120_000)
        } else {
            590_000
        };
        request(out, "POST", "/api/v1/verifications", &key, &begin_body(n, Some(wait)));
    };
    let kept = Arc::clone(&firing);
    let read = move |n: u64, status: u16, body: &[u8]| {
        if n.is_multiple_of(FIRE_EVERY)
            && let Some(id) = id_in(status, body)
        {
            kept.lock().expect("nobody panics").push(id);
        }
    };
    let measured = run(
        bench.listen,
        arguments.connections,
        Until::Requests(arguments.pending),
        0,
        Arc::new(write),
        Arc::new(read),
    )
    .await;
    print("pending", &measured);
    let ids = std::mem::take(&mut *firing.lock().expect("nobody panics"));
    let bound = Instant::now() + Duration::from_secs(180);
    let wanted = u64::try_from(ids.len())?;
    while bench.calls_at_stand_ins().await?["twilio"] < wanted {
        if Instant::now() > bound {
            return Err(format!("only {:?} of {wanted} fallbacks fired", bench.calls_at_stand_ins().await?).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let client = reqwest::Client::new();
    let mut late = Histogram::<u64>::new_with_bounds(1, 600_000, 3)?;
    for id in &ids {
        let answer: Value = client
            .get(format!("http://{}/api/v1/verifications/{id}", bench.listen))
            .bearer_auth(&bench.key)
            .send()
            .await?
            .json()
            .await?;
        let queued = |at: usize| -> Result<jiff::Timestamp, Failure> {
            Ok(answer["attempts"][at]["queued_at"]
                .as_str()
                .ok_or_else(|| format!("attempt {at} of {answer}"))?
                .parse()?)
        };
        let waited = queued(1)?.as_millisecond() - queued(0)?.as_millisecond();
        let over = waited - i64::try_from(load_ms.min(120_000))?;
        if over < 0 {
            return Err(format!("{id} fell back {} ms early", -over).into());
        }
        late.saturating_record(u64::try_from(over)?);
    }
    println!(
        "timers        {} of {} pending fallbacks fired: late p50 {} ms, p99 {} ms, max {} ms; SMS at the stand-in: {}",
        ids.len(),
        arguments.pending,
        late.value_at_quantile(0.5),
        late.value_at_quantile(0.99),
        late.max(),
        bench.calls_at_stand_ins().await?["twilio"]
    );
    Ok(())
}

/// Memory with many live verifications.
async fn memory(arguments: &Arguments, bench: &Bench) -> Result<(), Failure> {
    let before = bench.server.resident_mib()?;
    let key = bench.key.clone();
    let write = move |n: u64, out: &mut Vec<u8>| request(out, "POST", "/api/v1/verifications", &key, &begin_body(n, None));
    let measured = run(
        bench.listen,
        arguments.connections,
        Until::Requests(arguments.live),
        0,
        Arc::new(write),
        Arc::new(|_, _, _| {}),
    )
    .await;
    print("fill", &measured);
    let database: u64 = std::fs::read_dir(bench._folder.path())?
        .flatten()
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum();
    println!(
        "memory        RSS {before:.1} MiB at start, {:.1} MiB with {} verifications begun in {:.0} s; files {:.0} MiB, {} bytes per verification",
        bench.server.resident_mib()?,
        arguments.live,
        measured.seconds,
        mib(database),
        database / arguments.live
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn size_mib(file: &Path) -> Result<f64, Failure> {
    Ok(mib(std::fs::metadata(file)?.len()))
}
