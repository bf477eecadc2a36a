//! How is load made? Keep-alive connections that each send the next request when the last was answered, with as little
//! of the machine's time as can be: what the client burns on two cores is missing to the server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Largest answer the client reads.
const ANSWER_MAX: usize = 256 * 1024;
/// Longest latency that is told apart, in microseconds.
const MICROS_MAX: u64 = 60_000_000;
/// How long one answer may take before the connection is given up.
const ANSWER_BOUND: Duration = Duration::from_secs(30);

/// When a run ends.
#[derive(Clone, Debug)]
pub enum Until {
    /// After this long.
    Elapsed(Duration),
    /// After this many requests.
    Requests(u64),
    /// Once somebody says so.
    Told(Arc<AtomicBool>),
}

/// What a run measured.
#[derive(Debug)]
pub struct Measured {
    /// Answers.
    pub answers: u64,
    /// Wall time.
    pub seconds: f64,
    /// Microseconds from sending to the whole answer.
    pub latency: Histogram<u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that broke.
    pub broken: u64,
}

impl Measured {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }
}

/// Writes the n-th request whole: head and body.
pub type Write = dyn Fn(u64, &mut Vec<u8>) + Send + Sync;
/// Reads the n-th answer: status and body.
pub type Read = dyn Fn(u64, u16, &[u8]) + Send + Sync;

/// Appends a request with a JSON body.
pub fn request(out: &mut Vec<u8>, method: &str, path: &str, key: &str, body: &str) {
    out.extend_from_slice(
        format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}

/// Loads a server.
pub async fn run(
    server: SocketAddr,
    connections: usize,
    until: Until,
    first: u64,
    write: Arc<Write>,
    read: Arc<Read>,
) -> Measured {
    let next = Arc::new(AtomicU64::new(first));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (next, write, read) = (Arc::clone(&next), Arc::clone(&write), Arc::clone(&read));
        let until = until.clone();
        workers.spawn(async move { connection(server, started, until, first, &next, &*write, &*read).await });
    }
    let mut total = Measured {
        answers: 0,
        seconds: 0.0,
        latency: Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("a minute in three digits"),
        statuses: BTreeMap::new(),
        broken: 0,
    };
    while let Some(part) = workers.join_next().await {
        let (latency, statuses, broken) = part.expect("a worker does not panic");
        total.answers += latency.len();
        total.latency.add(latency).expect("histograms of one kind add up");
        for (status, count) in statuses {
            *total.statuses.entry(status).or_default() += count;
        }
        total.broken += u64::from(broken);
    }
    total.seconds = started.elapsed().as_secs_f64();
    total
}

async fn connection(
    server: SocketAddr,
    started: Instant,
    until: Until,
    first: u64,
    next: &AtomicU64,
    write: &Write,
    read: &Read,
) -> (Histogram<u64>, BTreeMap<u16, u64>, bool) {
    let mut latency = Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("a minute in three digits");
    let mut statuses = BTreeMap::new();
    let Ok(mut stream) = TcpStream::connect(server).await else {
        return (latency, statuses, true);
    };
    if stream.set_nodelay(true).is_err() {
        return (latency, statuses, true);
    }
    let (mut out, mut buffer) = (Vec::with_capacity(1024), Vec::with_capacity(8192));
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let over = match &until {
            Until::Elapsed(bound) => started.elapsed() >= *bound,
            Until::Requests(count) => n - first >= *count,
            Until::Told(over) => over.load(Ordering::Relaxed),
        };
        if over {
            return (latency, statuses, false);
        }
        out.clear();
        write(n, &mut out);
        let sent = Instant::now();
        if stream.write_all(&out).await.is_err() {
            return (latency, statuses, true);
        }
        match tokio::time::timeout(ANSWER_BOUND, answer(&mut stream, &mut buffer)).await {
            Ok(Some((status, body))) => {
                let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                latency.saturating_record(micros);
                *statuses.entry(status).or_default() += 1;
                read(n, status, &buffer[body]);
            }
            Ok(None) | Err(_) => return (latency, statuses, true),
        }
    }
}

/// Reads one answer with a `content-length`; where its body is in the buffer.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(u16, std::ops::Range<usize>)> {
    buffer.clear();
    loop {
        if let Some(head) = find(buffer, b"\r\n\r\n") {
            let text = std::str::from_utf8(&buffer[..head]).ok()?;
            let status = text.get(9..12)?.parse().ok()?;
            let length: usize = text
                .split("\r\n")
                .find_map(|line| {
                    line.split_once(':')
                        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                })
                .and_then(|(_, value)| value.trim().parse().ok())?;
            let body = head + 4..head + 4 + length;
            if body.end > ANSWER_MAX {
                return None;
            }
            while buffer.len() < body.end {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            return Some((status, body));
        }
        if buffer.len() > ANSWER_MAX || stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
