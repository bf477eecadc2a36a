//! What do webhook endpoints cost those who begin verifications, and how soon are they told, with one that hangs and one that
//! is dead among ten?

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::processes::Failure;
use crate::{Arguments, Bench, begin, begin_body};

/// Endpoints in all.
const ENDPOINTS: usize = 10;
/// Verifications a second while it is measured how soon events are told: some 500 events.
const BEGUN_A_SECOND: u32 = 170;

/// What an endpoint that answers was told: how late each event was, in milliseconds.
type Late = Arc<Mutex<Histogram<u64>>>;

/// Ten endpoints; where they are not `all_well`, one of them never answers and one is not there.
async fn endpoints(bench: &Bench, all_well: bool) -> Result<(Late, JoinSet<()>), Failure> {
    let late: Late = Arc::new(Mutex::new(Histogram::new_with_bounds(1, 600_000, 3)?));
    let mut serving = JoinSet::new();
    for nth in 0..ENDPOINTS {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let app = match (all_well, nth) {
            (false, 0) => Router::new().fallback(std::future::pending::<StatusCode>),
            _ => Router::new().fallback(take).with_state(Arc::clone(&late)),
        };
        if all_well || nth != 1 {
            serving.spawn(async move { axum::serve(listener, app).await.expect("it accepts") });
        }
        let made = reqwest::Client::new()
            .post(format!("http://{}/api/v1/webhook-endpoints", bench.listen))
            .bearer_auth(&bench.admin)
            .json(&json!({ "url": url }))
            .send()
            .await?;
        if made.status() != 201 {
            return Err(format!("an endpoint was not made: {}", made.text().await?).into());
        }
    }
    Ok((late, serving))
}

async fn take(State(late): State<Late>, body: Bytes) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).expect("an event");
    let happened = event["timestamp"]
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let happened = happened.expect("a moment");
    let waited = SystemTime::now().duration_since(happened.into()).unwrap_or_default();
    let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    late.lock().expect("nobody panics").saturating_record(millis);
    StatusCode::NO_CONTENT
}

/// Begins as fast as it goes, without endpoints and with ten of two kinds; then at a measured pace, to see how late they are told.
pub(crate) async fn webhooks(arguments: &Arguments) -> Result<(), Failure> {
    for (name, all_well) in [
        ("none", None),
        ("ten that answer", Some(true)),
        ("one hangs, one is dead", Some(false)),
    ] {
        let bench = Bench::start(arguments)?;
        println!("webhooks: {name}");
        let serving = match all_well {
            Some(all_well) => Some(endpoints(&bench, all_well).await?),
            None => None,
        };
        begin(arguments, &bench, 0).await?;
        drop(serving);
    }
    for (name, all_well) in [("ten that answer", true), ("one hangs, one is dead", false)] {
        let bench = Bench::start(arguments)?;
        let (late, _serving) = endpoints(&bench, all_well).await?;
        let client = reqwest::Client::new();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / BEGUN_A_SECOND);
        let mut beginning = JoinSet::new();
        for n in 0..u64::from(BEGUN_A_SECOND) * arguments.seconds {
            pace.tick().await;
            let request = client
                .post(format!("http://{}/api/v1/verifications", bench.listen))
                .bearer_auth(&bench.key)
                .header("content-type", "application/json")
                .body(begin_body(n, None));
            beginning.spawn(request.send());
        }
        beginning.join_all().await;
        // Whatever is on its way is given the second that it may take.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let late = late.lock().map_err(|_| "somebody panicked")?;
        println!(
            "webhooks: {name}: {} events told at {} a second: late p50 {} ms, p99 {} ms, max {} ms",
            late.len(),
            late.len() / arguments.seconds,
            late.value_at_quantile(0.5),
            late.value_at_quantile(0.99),
            late.max()
        );
    }
    Ok(())
}
