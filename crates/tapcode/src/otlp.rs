//! How does what the process tells reach a collector? Spans and lines of the log, in batches, by OTLP over HTTP.
//!
//! Telling must never hold up what is told of: queues are bounded, and what does not fit is dropped and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::http::{HeaderValue, Response, header};
use opentelemetry::logs::Severity;
use opentelemetry::trace::{self as otel, Event, Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    self, BatchLogProcessor, LogBatch, LogExporter as ExportsLogs, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::trace::{
    self, BatchSpanProcessor, Sampler, SamplingDecision, ShouldSample, SpanData, SpanExporter as ExportsSpans, SpanProcessor,
};
use tapcode::config::{Secret, Telemetry};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::provider::HttpRequest;
use tapcode_engine::egress::Egress;
use tapcode_engine::entropy::{OsEntropy, sixteen};
use tapcode_engine::trace::{Attribute, Cause, Span, SpanId, TraceId, Traces};
use tokio::runtime::Handle;

use crate::wire::VERSION;

/// Spans, and lines of the log, that may wait to be exported; what comes on top is dropped. A few megabytes of each.
const WAITING_MAX: usize = 8_192;
/// How many of them travel in one request.
const BATCH_MAX: usize = 512;
/// How long a batch that is not full waits for more. Milliseconds.
const BATCH_WAIT_MS: u64 = 2_000;
/// How long the collector may take to answer one request. Milliseconds.
const ANSWER_MS: u64 = 5_000;
/// How long the last batches may take when the process stops. Milliseconds.
const LAST_MS: u64 = 5_000;

/// What is exported. It ends with [`Otlp::end`]; dropped before that, what still waits is lost.
pub struct Otlp {
    spans: Option<Arc<Spans>>,
    logs: Option<SdkLoggerProvider>,
}

/// A layer that takes the lines of the log.
pub type LogLayer = OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>;

impl Otlp {
    /// Starts exporting. Must be called within the runtime that requests are to be made in.
    ///
    /// # Errors
    /// When the machine's certificates cannot be loaded, or the exporters cannot be made.
    pub fn start(telemetry: &Telemetry) -> anyhow::Result<Self> {
        let sending = Sending {
            egress: Egress::new().context("the HTTP client for the collector")?,
            runtime: Handle::current(),
            authorization: telemetry.authorization.as_ref().map(credentials).transpose()?,
        };
        let resource = resource(telemetry);
        let spans = telemetry
            .traces_percent
            .map(|percent| Spans::start(telemetry, percent, &resource, sending.clone()));
        let logs = telemetry.logs.then(|| start_logs(telemetry, resource, sending));
        Ok(Self {
            spans: spans.transpose()?.map(Arc::new),
            logs: logs.transpose()?,
        })
    }

    /// Where the engine tells its spans.
    pub fn traces(&self) -> Option<Arc<dyn Traces>> {
        self.spans.clone().map(|spans| spans as Arc<dyn Traces>)
    }

    /// What takes the lines of the log, and of the spans around them the request's.
    pub fn log_layer(&self) -> Option<LogLayer> {
        let layer = |logs| {
            OpenTelemetryTracingBridge::builder(logs)
                .with_tracing_span_attributes(TracingSpanAttributes::all())
                .build()
        };
        self.logs.as_ref().map(layer)
    }

    /// Exports what still waits, and ends.
    pub async fn end(self) {
        // Both wait for a thread of their own that waits for this runtime.
        let ended = tokio::task::spawn_blocking(move || {
            let last = Duration::from_millis(LAST_MS);
            if let Some(spans) = &self.spans {
                let _lost = spans.processor.shutdown_with_timeout(last);
            }
            if let Some(logs) = &self.logs {
                let _lost = logs.shutdown_with_timeout(last);
            }
        });
        let _panicked = ended.await;
    }
}

fn credentials(secret: &Secret) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).context("telemetry.authorization is no value of a header")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Who tells (<https://opentelemetry.io/docs/specs/semconv/resource/service/>, from memory).
fn resource(telemetry: &Telemetry) -> Resource {
    Resource::builder_empty()
        .with_service_name(telemetry.service_name.clone())
        .with_attribute(KeyValue::new("service.version", VERSION))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            TraceId(sixteen(&OsEntropy::new())).to_string(),
        ))
        .build()
}

/// Calls the collector through the one HTTP client, whichever thread asks.
#[derive(Clone)]
struct Sending {
    egress: Egress,
    runtime: Handle,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sending")
    }
}

#[async_trait::async_trait]
impl HttpClient for Sending {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        if let Some(authorization) = &self.authorization {
            head.headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let request = HttpRequest {
            method: head.method,
            url: head.uri.to_string(),
            headers: head.headers,
            body: body.into(),
        };
        let egress = self.egress.clone();
        let answer = self
            .runtime
            .spawn(async move { egress.send(request, ANSWER_MS).await })
            .await??;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// An exporter whose successes are counted and whose failures are told once, until it succeeds again.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    signal: &'static str,
    is_failing: AtomicBool,
}

impl<E> Watched<E> {
    fn new(exporter: E, signal: &'static str) -> Self {
        // A count that is first seen above zero has not risen for who watches it.
        count(signal, "lost", 0);
        Self {
            exporter,
            signal,
            is_failing: AtomicBool::new(false),
        }
    }

    fn count(&self, records: usize, result: &OTelSdkResult) {
        count(self.signal, if result.is_ok() { "exported" } else { "lost" }, records);
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => tracing::warn!(
                otlp.signal = self.signal,
                error = %error,
                "the collector does not take what is exported; until it does, no more is said of it"
            ),
            Ok(()) if was_failing => tracing::info!(otlp.signal = self.signal, "the collector takes what is exported again"),
            Ok(()) | Err(_) => {}
        }
    }
}

fn count(signal: &'static str, state: &'static str, records: usize) {
    let records = u64::try_from(records).unwrap_or(u64::MAX);
    metrics::counter!("tapcode_otlp_records_total", "signal" => signal, "state" => state).increment(records);
}

impl ExportsSpans for Watched<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let records = batch.len();
        let result = self.exporter.export(batch).await;
        self.count(records, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl ExportsLogs for Watched<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        let result = self.exporter.export(batch).await;
        self.count(records, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Counts what is given to be exported: what is neither exported nor lost afterwards found the queue full.
#[derive(Debug)]
struct Given<P>(P);

impl<P: LogProcessor> LogProcessor for Given<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        count("logs", "given", 1);
        self.0.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.0.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn start_logs(telemetry: &Telemetry, resource: Resource, sending: Sending) -> anyhow::Result<SdkLoggerProvider> {
    let exporter = LogExporter::builder()
        .with_http()
        .with_http_client(sending)
        .with_endpoint(format!("{}/v1/logs", telemetry.endpoint))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(Duration::from_millis(ANSWER_MS))
        .build()
        .context("what exports the log")?;
    let batches = logs::BatchConfigBuilder::default()
        .with_max_queue_size(WAITING_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(Duration::from_millis(BATCH_WAIT_MS))
        .build();
    let processor = BatchLogProcessor::builder(Watched::new(exporter, "logs"))
        .with_batch_config(batches)
        .build();
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(Given(processor))
        .build())
}

/// The engine's spans on their way out.
struct Spans {
    processor: BatchSpanProcessor,
    sampler: Sampler,
    scope: InstrumentationScope,
}

impl Spans {
    fn start(telemetry: &Telemetry, percent: u32, resource: &Resource, sending: Sending) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sending)
            .with_endpoint(format!("{}/v1/traces", telemetry.endpoint))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(Duration::from_millis(ANSWER_MS))
            .build()
            .context("what exports the spans")?;
        let batches = trace::BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(Duration::from_millis(BATCH_WAIT_MS))
            .build();
        let mut processor = BatchSpanProcessor::new(Watched::new(exporter, "traces"), batches);
        processor.set_resource(resource);
        Ok(Self {
            processor,
            sampler: Sampler::TraceIdRatioBased(f64::from(percent) / 100.0),
            scope: InstrumentationScope::builder("tapcode").with_version(VERSION).build(),
        })
    }
}

impl Traces for Spans {
    /// By the trace's id alone, so that every process that works on a verification decides alike.
    fn wants(&self, trace: TraceId) -> bool {
        let id = otel::TraceId::from_bytes(trace.0);
        let decided = self.sampler.should_sample(None, id, "", &SpanKind::Internal, &[], &[]);
        matches!(decided.decision, SamplingDecision::RecordAndSample)
    }

    fn record(&self, span: Span) {
        count("traces", "given", 1);
        self.processor.on_end(data(span, &self.scope));
    }
}

fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let ended_at = moment(span.ended_at);
    let decided = |(title, why): (String, String)| {
        let why = vec![KeyValue::new("decision.why", why)];
        Event::new(title, ended_at, why, 0)
    };
    let mut events = trace::SpanEvents::default();
    events.events = span.decisions.into_iter().map(decided).collect();
    let mut links = trace::SpanLinks::default();
    links.links = span.cause.into_iter().map(link).collect();
    SpanData {
        span_context: context(span.trace, span.id, false),
        parent_span_id: span.parent.map_or(otel::SpanId::INVALID, |id| otel::SpanId::from_bytes(id.0)),
        parent_span_is_remote: false,
        span_kind: if span.is_call { SpanKind::Client } else { SpanKind::Internal },
        name: span.name.into(),
        start_time: moment(span.began_at),
        end_time: ended_at,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events,
        links,
        status: span
            .failure
            .map_or(Status::Unset, |failure| Status::error(failure.into_string())),
        instrumentation_scope: scope.clone(),
    }
}

fn context(trace: TraceId, span: SpanId, is_remote: bool) -> SpanContext {
    SpanContext::new(
        otel::TraceId::from_bytes(trace.0),
        otel::SpanId::from_bytes(span.0),
        TraceFlags::SAMPLED,
        is_remote,
        TraceState::NONE,
    )
}

fn link(cause: Cause) -> Link {
    Link::new(context(cause.trace, cause.span, true), Vec::new(), 0)
}

fn attribute((name, value): (&'static str, Attribute)) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => Value::from(text.into_string()),
        Attribute::Number(number) => Value::from(number),
    };
    KeyValue::new(name, value)
}

fn moment(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0))
}
