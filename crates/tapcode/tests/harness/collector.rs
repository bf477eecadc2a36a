//! Who plays the OpenTelemetry collector? A server that takes OTLP over HTTP and reads it with the protocol's own types.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::eventually;

/// What the collector asks for.
pub const AUTHORIZATION: &str = "Bearer canaryOfTheCollector0815";

/// A collector, and all that it was told.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    address: String,
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    resources: Vec<BTreeMap<String, String>>,
    bodies: Vec<Vec<u8>>,
    refuses: Option<StatusCode>,
    refused: BTreeMap<&'static str, usize>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        collector.told().address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/logs", post(logs))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().expect("no handler panics")
    }

    /// The section that has a server tell this collector; `more` are further lines of it.
    pub fn section(&self, more: &str) -> String {
        format!(
            "\n[telemetry]\nendpoint = \"{}\"\nauthorization = \"{AUTHORIZATION}\"\n{more}\n",
            self.told().address
        )
    }

    /// Refuses everything from now on with this status, or takes it again.
    pub fn refuse(&self, with: Option<StatusCode>) {
        self.told().refuses = with;
    }

    /// How often it has refused `"logs"` or `"traces"`.
    pub fn refused(&self, signal: &str) -> usize {
        self.told().refused.get(signal).copied().unwrap_or(0)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.told().spans.clone()
    }

    /// All lines of the log so far.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.told().logs.clone()
    }

    /// Who told, once per request.
    pub fn resources(&self) -> Vec<BTreeMap<String, String>> {
        self.told().resources.clone()
    }

    /// Every byte of every body, and how they read.
    pub fn everything(&self) -> Vec<u8> {
        let told = self.told();
        let mut bytes = told.bodies.concat();
        bytes.extend(format!("{:?}{:?}", told.spans, told.logs).bytes());
        bytes
    }

    /// Waits for a span.
    pub async fn wait_for(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(&is_it)).await
    }
}

fn take<M: Message + Default>(
    collector: &Collector,
    signal: &'static str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<M, StatusCode> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if header("content-type") != Some("application/x-protobuf") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if header("authorization") != Some(AUTHORIZATION) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut told = collector.told();
    if let Some(status) = told.refuses {
        *told.refused.entry(signal).or_default() += 1;
        return Err(status);
    }
    told.bodies.push(body.to_vec());
    M::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)
}

async fn traces(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let request: ExportTraceServiceRequest = match take(&collector, "traces", &headers, &body) {
        Ok(request) => request,
        Err(status) => return status,
    };
    let mut told = collector.told();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        told.resources.push(texts(&resource.attributes));
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.spans.extend(spans);
    }
    StatusCode::OK
}

async fn logs(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let request: ExportLogsServiceRequest = match take(&collector, "logs", &headers, &body) {
        Ok(request) => request,
        Err(status) => return status,
    };
    let mut told = collector.told();
    let of_scopes = request.resource_logs.into_iter().flat_map(|of| of.scope_logs);
    told.logs.extend(of_scopes.flat_map(|scope| scope.log_records));
    StatusCode::OK
}

/// Attributes by their names.
pub fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|one| (one.key.clone(), one.value.as_ref().map(text).unwrap_or_default()))
        .collect()
}

/// A value as a text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

/// An id as `traceparent` writes it.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
