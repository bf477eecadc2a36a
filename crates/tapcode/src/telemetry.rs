//! What does the process tell about itself? Log lines to stderr, and metrics for `/metrics`.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tapcode::config::{Log, LogFormat};
use tapcode_engine::clock::Clock;
use tapcode_server::RenderMetrics;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::otlp::Otlp;

/// Delivery times, in milliseconds: from a good WhatsApp delivery to the longest life of a code.
const DELIVERY_MS: &[f64] = &[
    250.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 5_000.0, 8_000.0, 10_000.0, 15_000.0, 20_000.0, 30_000.0, 60_000.0, 120_000.0,
    300_000.0, 600_000.0,
];
/// Everything else that is measured in milliseconds: calls, requests, commits.
const WORK_MS: &[f64] = &[
    0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];
/// How often the recorder tidies up after itself. Milliseconds.
const UPKEEP_MS: u64 = 5_000;

/// Sends the log to stderr from now on, as configured, and what of it is ours to the collector as well.
///
/// # Errors
/// When logging was started before.
pub fn start_logging(log: Log, otlp: Option<&Otlp>) -> anyhow::Result<()> {
    // Other people's crates log for their own developers; they are heard from warnings up unless all is asked for.
    let level = log.level.as_str();
    let others = if matches!(log.level, tapcode::config::LogLevel::Trace) {
        "trace"
    } else if level == "error" {
        "error"
    } else {
        "warn"
    };
    let rooms = [
        "tapcode",
        "tapcode_core",
        "tapcode_engine",
        "tapcode_providers",
        "tapcode_server",
        "tapcode_store",
    ];
    let directives: Vec<String> = std::iter::once(others.to_owned())
        .chain(rooms.iter().map(|room| format!("{room}={level}")))
        // It writes the numbers that it reads, and has nothing else to say.
        .chain(std::iter::once("rlibphonenumber=off".to_owned()))
        .collect();
    let filter = EnvFilter::try_new(directives.join(",")).context("the log's filter")?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colour).boxed()
        }
    };
    // What the HTTP client says of an export would be exported, and so on for ever.
    let ours = filter_fn(|line| line.target().starts_with("tapcode"));
    let exported = otlp.and_then(Otlp::log_layer).map(|layer| layer.with_filter(ours));
    let started = tracing_subscriber::registry()
        .with(exported)
        .with(lines)
        .with(filter)
        .try_init();
    started.map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))
}

/// What was measured, kept within bounds: histograms count into fixed buckets.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Records what the process counts from now on.
    ///
    /// # Errors
    /// When something else records already.
    pub fn start() -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(WORK_MS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full("tapcode_delivery_ms".into()), DELIVERY_MS))
            .context("the histograms' buckets")?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("the metrics' recorder")?;
        Ok(Self(handle))
    }

    /// What renders `/metrics`.
    #[must_use]
    pub fn render(&self) -> RenderMetrics {
        let handle = self.0.clone();
        Arc::new(move || handle.render())
    }

    /// Tidies up now and then; never ends by itself.
    pub async fn keep_up(&self, clock: &dyn Clock) {
        loop {
            clock.sleep(UPKEEP_MS).await;
            self.0.run_upkeep();
        }
    }
}
