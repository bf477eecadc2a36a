//! Does one trace tell the whole of a verification, whichever requests, hooks and processes it went through? The real
//! binary, stand-ins for Meta and Twilio, and a collector that reads OTLP.

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use harness::collector::{Collector, hex, text, texts};
use harness::outside::{Outside, number};
use harness::{WAIT_MAX, client, eventually, run, stdout};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus};
use serde_json::{Value, json};
use tapcode_simulator::cloud_api::{self, ReceiptStep, Script};
use tapcode_simulator::twilio;

const VERIFICATIONS: &str = "/api/v1/verifications";
/// The span of the caller, as it says it.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What an operator types to find the trace of a verification.
fn trace_of(id: &str) -> String {
    let mut command = std::process::Command::new("sh");
    let found = run(command.args(["-c", "printf %s \"$1\" | sha256sum | cut -c-32", "sh", id]));
    stdout(&found).trim().to_owned()
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    texts(&span.attributes).remove(name)
}

/// Spans of one trace, once there is one named `last`.
async fn trace(collector: &Collector, id: &str, last: &str) -> Vec<Span> {
    let trace = trace_of(id);
    let of_it = |span: &Span| hex(&span.trace_id) == trace;
    collector
        .wait_for(&format!("{last} of {id}"), |span| of_it(span) && span.name == last)
        .await;
    collector.spans().into_iter().filter(of_it).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_trace_goes_through_begin_send_receipt_and_check_and_through_a_kill() {
    let outside = Outside::start().await;
    let collector = Collector::start().await;
    let home = outside.home("");
    home.configure(&(outside.services_and_senders("") + &collector.section("")));
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let to = number(41);
    let begin = client()
        .post(format!("{}{VERIFICATIONS}", server.url))
        .header("traceparent", CALLER)
        .json(&json!({"to": to}));
    let begun = server.send(begin.bearer_auth(&key)).await.expect(201);
    let id = begun["id"].as_str().expect("an id").to_owned();
    let sent = outside.meta.wait_for_messages(1, WAIT_MAX).await;
    trace(&collector, &id, "outcome").await;

    // Another process takes the receipt and the check.
    server.kill_9();
    let mut server = outside.serve(&home);
    outside.meta.send_receipt(&sent[0], &ReceiptStep::delivered()).await;
    let code = sent[0].code.clone().expect("a code");
    let check = client()
        .post(format!("{}{VERIFICATIONS}/{id}/check", server.url))
        .header("traceparent", CALLER.replace("00f067aa0ba902b7", "00f067aa0ba902b8"))
        .json(&json!({"code": code}));
    assert_eq!(server.send(check.bearer_auth(&key)).await.expect(200)["valid"], true);
    assert_eq!(server.terminate(), Some(0));

    let spans = trace(&collector, &id, "verification").await;
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["begin", "check", "outcome", "receipt", "send", "verification"])
    );
    assert_eq!(spans.len(), 6, "a span was told twice: {spans:#?}");
    let one = |name| named(&spans, name)[0];
    let root = one("verification");
    assert!(root.parent_span_id.is_empty());
    for name in ["begin", "outcome", "receipt", "check"] {
        assert_eq!(one(name).parent_span_id, root.span_id, "{name}");
        assert_eq!(attribute(one(name), "verification.id").as_deref(), Some(&*id), "{name}");
    }
    assert_eq!(one("send").parent_span_id, one("begin").span_id);
    assert_eq!(one("send").kind(), SpanKind::Client);
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| &*span.span_id).collect();
    assert_eq!(ids.len(), spans.len());

    // What caused what: the caller its requests, the call its outcome.
    let cause = |name| {
        let links = &one(name).links;
        assert!(links.len() <= 1, "{name}");
        links.first().map(|link| (hex(&link.trace_id), hex(&link.span_id)))
    };
    let of_caller = |span: &str| Some(("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), span.to_owned()));
    assert_eq!(cause("begin"), of_caller("00f067aa0ba902b7"));
    assert_eq!(cause("check"), of_caller("00f067aa0ba902b8"));
    assert_eq!(cause("outcome"), Some((trace_of(&id), hex(&one("send").span_id))));
    assert_eq!(cause("receipt"), None);

    // It begins and ends when the verification did, and everything is within.
    assert_eq!(root.start_time_unix_nano, moment(&begun["created_at"]));
    for span in &spans {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    assert!(one("begin").end_time_unix_nano <= one("receipt").start_time_unix_nano);
    assert!(one("receipt").end_time_unix_nano <= one("check").start_time_unix_nano);

    // What is told says what the timeline says.
    assert_eq!(attribute(root, "verification.status").as_deref(), Some("approved"));
    assert_eq!(attribute(root, "tenant.name").as_deref(), Some("demo"));
    assert_eq!(attribute(root, "recipient.country").as_deref(), Some("NL"));
    assert_eq!(attribute(one("send"), "provider.id").as_deref(), Some("whatsapp_cloud"));
    assert_eq!(attribute(one("send"), "message.told").as_deref(), Some("accepted"));
    assert_eq!(attribute(one("receipt"), "message.told").as_deref(), Some("delivered"));
    assert_eq!(
        attribute(one("receipt"), "message.id").as_deref(),
        begun["attempts"][0]["id"].as_str()
    );
    let server = outside.serve(&home);
    let timeline = server.get(&format!("{VERIFICATIONS}/{id}/timeline"), &key).await.expect(200);
    assert_eq!(told_by_timeline(&timeline), told_by(&spans));

    // And who tells it.
    for resource in collector.resources() {
        assert_eq!(resource["service.name"], "tapcode");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    }
    let processes: BTreeSet<String> = collector
        .resources()
        .into_iter()
        .map(|resource| resource["service.instance.id"].clone())
        .collect();
    assert_eq!(processes.len(), 2, "the trace was told by two processes");
}

fn moment(time: &Value) -> u64 {
    let time: jiff::Timestamp = time.as_str().expect("a time").parse().expect("RFC 3339");
    u64::try_from(time.as_nanosecond()).expect("after 1970")
}

/// What was decided at each input.
type Decided = BTreeMap<String, Vec<(String, String)>>;

fn told_by_timeline(timeline: &Value) -> Decided {
    let told = |decision: &Value| {
        let text = |name: &str| decision[name].as_str().expect("a text").to_owned();
        (text("title"), text("why"))
    };
    let entries = timeline["data"].as_array().expect("entries").iter();
    entries
        .map(|entry| {
            let decisions = entry["decisions"].as_array().expect("decisions").iter();
            (
                entry["input"]["type"].as_str().expect("an input").to_owned(),
                decisions.map(told).collect(),
            )
        })
        .collect()
}

fn told_by(spans: &[Span]) -> Decided {
    spans
        .iter()
        .filter(|span| !["send", "verification"].contains(&span.name.as_str()))
        .map(|span| {
            let why = |attributes: &[_]| texts(attributes).remove("decision.why").expect("why");
            let decisions = span.events.iter().map(|event| (event.name.clone(), why(&event.attributes)));
            (span.name.clone(), decisions.collect())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failures_fallbacks_and_plain_messages_are_told_as_what_they_are() {
    let outside = Outside::start().await;
    let collector = Collector::start().await;
    let home = outside.home("");
    home.configure(&(outside.services_and_senders("") + &collector.section("service_name = \"codes\"")));
    let server = outside.serve(&home);
    let key = home.key("demo");
    outside.meta.default_script(cloud_api::Script::not_on_whatsapp());
    outside.twilio.default_script(twilio::Script::delivered());
    let begun = server.post(VERIFICATIONS, &key, json!({"to": number(42)})).await.expect(201);
    let id = begun["id"].as_str().expect("an id");
    eventually("the SMS is delivered", async || {
        let seen = server.get(&format!("{VERIFICATIONS}/{id}"), &key).await.expect(200);
        (seen["attempts"][1]["status"] == "delivered").then_some(())
    })
    .await;
    server
        .post(&format!("{VERIFICATIONS}/{id}/cancel"), &key, json!({}))
        .await
        .expect(200);
    let spans = trace(&collector, id, "verification").await;

    // Two calls, each part of the input that asked for it.
    let sends = named(&spans, "send");
    let channels: Vec<_> = sends.iter().map(|send| attribute(send, "route.channel")).collect();
    assert_eq!(channels, [Some("whatsapp".into()), Some("sms".into())]);
    let parent = |child: &Span| {
        let parent = spans.iter().find(|span| span.span_id == child.parent_span_id);
        parent.expect("its parent is told").name.clone()
    };
    assert_eq!(parent(sends[0]), "begin");
    let failed: Vec<&Span> = spans
        .iter()
        .filter(|span| span.status.as_ref().is_some_and(|s| s.code() == SpanStatus::Error))
        .collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].status.as_ref().expect("a status").message, "131026");
    assert_eq!(parent(sends[1]), failed[0].name, "the failure asked for the SMS");
    assert!(
        collector
            .resources()
            .iter()
            .all(|resource| resource["service.name"] == "codes")
    );

    // A plain message is a trace of its own, whose root is its beginning.
    let message = json!({"from_number_id": 42, "to": number(43), "body": "Your parcel is here."});
    let plain = server.post("/api/v1/sms/messages", &key, message).await.expect(201);
    let id = plain["id"].as_str().expect("an id");
    let spans = trace(&collector, id, "receipt").await;
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(
        roots.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(),
        ["send_message"]
    );
    assert!(
        spans
            .iter()
            .all(|span| span.name == "send_message" || span.parent_span_id == roots[0].span_id)
    );
    assert!(spans.iter().all(|span| attribute(span, "message.id").as_deref() == Some(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verification_is_told_whole_or_not_at_all() {
    const BEGUN: usize = 60;
    let outside = Outside::start().await;
    let collector = Collector::start().await;
    let home = outside.home("resend_cooldown_s = 0");
    home.configure(&(outside.services_and_senders("") + &collector.section("traces_percent = 50\nlogs = false")));
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let mut traces = BTreeSet::new();
    for nth in 0..BEGUN {
        let to = number(u32::try_from(nth).expect("a few"));
        let begun = server.post(VERIFICATIONS, &key, json!({"to": to})).await.expect(201);
        let id = begun["id"].as_str().expect("an id");
        server
            .post(&format!("{VERIFICATIONS}/{id}/cancel"), &key, json!({}))
            .await
            .expect(200);
        traces.insert(trace_of(id));
    }
    assert_eq!(server.terminate(), Some(0));
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for span in collector.spans() {
        told.entry(hex(&span.trace_id)).or_default().insert(span.name);
    }
    // Of 60 tosses of a coin fewer than 9 or more than 51 come once in 10^8 runs.
    assert!((9..=51).contains(&told.len()), "{} of {BEGUN}", told.len());
    for (trace, names) in told {
        assert!(traces.contains(&trace));
        for name in ["begin", "cancel", "verification"] {
            assert!(names.contains(name), "{trace} has only {names:?}");
        }
    }
    assert!(collector.logs().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collector_that_is_gone_holds_nothing_up_and_is_told_of_once() {
    let outside = Outside::start().await;
    let collector = Collector::start().await;
    collector.refuse(Some(StatusCode::FORBIDDEN));
    let home = outside.home("");
    home.configure(&(outside.services_and_senders("") + &collector.section("")));
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    outside.meta.default_script(Script::delivered());
    let begun = server.post(VERIFICATIONS, &key, json!({"to": number(44)})).await.expect(201);
    let code = outside.meta.wait_for_messages(1, WAIT_MAX).await[0]
        .code
        .clone()
        .expect("a code");
    let id = begun["id"].as_str().expect("an id");
    for nth in 0..3 {
        let seen = ["logs", "traces"].map(|signal| collector.refused(signal));
        let other = server.post(VERIFICATIONS, &key, json!({"to": number(50 + nth)})).await;
        assert_eq!(other.status, 201, "the collector holds it up");
        eventually("it was refused once more", async || {
            let now = ["logs", "traces"].map(|signal| collector.refused(signal));
            now.iter().zip(seen).all(|(now, seen)| *now > seen).then_some(())
        })
        .await;
    }
    let check = format!("{VERIFICATIONS}/{id}/check");
    assert_eq!(
        server.post(&check, &key, json!({"code": code})).await.expect(200)["valid"],
        true
    );
    collector.refuse(None);
    collector
        .wait_for("what was told after it came back", |span| span.name == "check")
        .await;
    eventually("both are taken again", async || {
        let metrics = server.get("/metrics", &key).await.body;
        let exported = |signal| {
            metrics.contains(&format!(
                "tapcode_otlp_records_total{{signal=\"{signal}\",state=\"exported\"}}"
            ))
        };
        (exported("traces") && exported("logs")).then_some(metrics)
    })
    .await;
    let metrics = server.get("/metrics", &key).await.body;
    assert!(
        metrics.contains("tapcode_otlp_records_total{signal=\"logs\",state=\"lost\"}"),
        "{metrics}"
    );
    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    for signal in ["logs", "traces"] {
        let of_signal = |line: &&str| line.contains("the collector") && line.contains(signal);
        let lines: Vec<&str> = log.lines().filter(of_signal).collect();
        assert_eq!(lines.len(), 2, "{signal}: {lines:#?}");
        assert!(lines[0].contains("does not take") && lines[0].contains("WARN") && lines[1].contains("again"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_lines_of_the_log_are_told_with_the_request_they_are_of() {
    let outside = Outside::start().await;
    let collector = Collector::start().await;
    let home = outside.home("");
    home.configure(&(outside.services_and_senders("") + &collector.section("traces_percent = 0")));
    let mut server = outside.serve_with(&home, |command| {
        command.env("TAPCODE__LOG__LEVEL", "trace");
    });
    let key = home.key("demo");
    let request = client()
        .get(format!("{}{VERIFICATIONS}", server.url))
        .header("x-request-id", "req-of-mine");
    assert_eq!(server.send(request.bearer_auth(&key)).await.status, 200);
    assert_eq!(server.terminate(), Some(0));
    let logs = collector.logs();
    let body = |line: &opentelemetry_proto::tonic::logs::v1::LogRecord| line.body.as_ref().map(text).unwrap_or_default();
    let answered: Vec<_> = logs.iter().filter(|line| body(line) == "answered").collect();
    assert_eq!(answered.len(), 1);
    let said = texts(&answered[0].attributes);
    assert_eq!(said["request.id"], "req-of-mine");
    assert_eq!(said["http.status"], "200");
    assert_eq!(said["http.route"], VERIFICATIONS);
    assert_eq!(answered[0].severity_text, "INFO");
    // One request groups lines by who said them, in no order of its own.
    assert!(logs.iter().any(|line| body(line) == "stopped"), "the last word is told too");
    assert!(collector.spans().is_empty());
    // On the loudest level the HTTP client that exports says a lot; none of it is exported in turn.
    assert!(server.log().contains("hyper"), "the log is not at its loudest");
    assert!(!String::from_utf8_lossy(&collector.everything()).contains("hyper"));
}
