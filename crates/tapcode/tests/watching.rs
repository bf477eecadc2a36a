//! Does what watches a server look at what the server tells? Metrics in the code, in the documentation, in the alerts and on
//! the dashboard are the same; Prometheus itself reads every expression, and says when the alerts fire.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Home, run, stderr, stdout};
use serde_json::{Value, json};

/// Prometheus' own metric, and its own labels.
const OF_PROMETHEUS: &str = "up";
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// What a histogram's name is followed by where Prometheus shows it.
const OF_HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

/// The labels of a metric, by the metric's name.
type Metrics = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All that we ship.
fn sources() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(fs::read_to_string(path).expect("a source"));
            }
        }
    }
    let mut found = Vec::new();
    for room in fs::read_dir(root().join("crates")).expect("the crates") {
        walk(&room.expect("a crate").path().join("src"), &mut found);
    }
    found
}

/// The texts in quotes.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split('"').enumerate().filter_map(move |(nth, part)| {
        let begins = at;
        at += part.len() + 1;
        (nth % 2 == 1).then_some((begins, part))
    })
}

/// What the code counts and measures.
fn counted(sources: &[String]) -> Metrics {
    let mut counted = Metrics::new();
    for source in sources {
        for call in source.split("metrics::").skip(1) {
            let Some((kind, call)) = call.split_once("!(") else { continue };
            if !["counter", "gauge", "histogram"].contains(&kind) {
                continue;
            }
            let mut depth = 1;
            let end = call.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let call = &call[..end.expect("the call ends")];
            let mut texts = quoted(call);
            let (_, name) = texts.next().expect("a metric's name is written where it is counted");
            let labels = texts.filter(|(at, text)| call[at + text.len() + 1..].trim_start().starts_with("=>"));
            counted
                .entry(name.to_owned())
                .or_default()
                .extend(labels.map(|(_, label)| label.to_owned()));
        }
    }
    counted
}

/// What the documentation says is counted.
fn documented() -> Metrics {
    let page = read("docs/reference/events-and-metrics.md");
    let mut documented = Metrics::new();
    for row in page.lines().filter(|line| line.starts_with("| `tapcode_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(str::trim).filter(|label| !label.is_empty());
        let labels: BTreeSet<String> = labels.map(str::to_owned).collect();
        for name in cells[1].split(',') {
            let name = name.trim().trim_matches('`').to_owned();
            assert!(documented.insert(name, labels.clone()).is_none(), "twice: {row}");
        }
        assert!(!cells[3].is_empty(), "{row}");
    }
    documented
}

#[test]
fn the_documentation_tells_every_metric_and_its_labels() {
    let counted = counted(&sources());
    assert!(counted.len() > 20, "{counted:#?}");
    assert_eq!(documented(), counted);
}

/// An expression, and where it stands.
struct Expression {
    place: String,
    text: String,
}

/// The expressions of the dashboard, as Grafana sends them.
fn of_dashboard() -> Vec<Expression> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/tapcode.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(|target| (panel["title"].to_string(), target))
    });
    targets
        .map(|(place, target)| Expression {
            place,
            text: target["expr"]
                .as_str()
                .expect("an expression")
                .replace("$__rate_interval", "5m")
                .replace("$service", ".*"),
        })
        .collect()
}

/// The expressions of the alerts.
fn of_alerts() -> Vec<Expression> {
    let text = read("deploy/prometheus/alerts.yml");
    let mut expressions: Vec<Expression> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if let Some((_, name)) = line.split_once("- alert: ") {
            expressions.push(Expression {
                place: name.to_owned(),
                text: String::new(),
            });
        } else if let Some((_, begins)) = line.split_once(" expr: ") {
            within = begins == "|";
            expressions.last_mut().expect("an alert").text = begins.trim_matches('|').to_owned();
        } else if within && line.starts_with("          ") {
            expressions.last_mut().expect("an alert").text += line;
        } else {
            within = false;
        }
    }
    assert!(expressions.iter().all(|one| !one.text.is_empty()));
    expressions
}

/// The words of an expression that may name something, and what follows each.
fn words(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '"')) {
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix('"') {
            rest = behind.split_once('"').expect("a quote ends").1;
            continue;
        }
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        found.push((&rest[..end], &rest[end..]));
        rest = &rest[end..];
    }
    found
}

/// What an expression is wrong about.
fn wrong_in(text: &str, counted: &Metrics, sources: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<&str> = BTreeSet::from(LABELS_OF_PROMETHEUS);
    for (name, _) in words(text).iter().filter(|(word, _)| word.starts_with("tapcode_")) {
        let whole = OF_HISTOGRAM
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|name| name.ends_with("_ms"));
        match counted.get(whole.unwrap_or(name)) {
            Some(known) => labels.extend(known.iter().map(String::as_str)),
            None => wrong.push(format!("no metric {name}")),
        }
    }
    if !text.contains("tapcode_") && !text.contains(OF_PROMETHEUS) {
        wrong.push("it looks at nothing of ours".to_owned());
    }
    // Labels stand in `by (…)` and in front of a comparison within braces; their values are words of ours.
    for by in text.split("by (").skip(1) {
        let by = by.split_once(')').expect("it is closed").0;
        let unknown = by.split(',').map(str::trim).filter(|label| !labels.contains(label));
        wrong.extend(unknown.map(|label| format!("no label {label}")));
    }
    for braces in text.split('{').skip(1) {
        let braces = braces.split_once('}').expect("it is closed").0;
        for (label, behind) in words(braces) {
            if !labels.contains(label) {
                wrong.push(format!("no label {label}"));
            }
            let value = quoted(behind).next().map_or("", |(_, value)| value);
            let values = value.split('|').filter(|value| *value != ".*" && label != "job");
            let said = |value: &str| sources.iter().any(|source| source.contains(&format!("\"{value}\"")));
            wrong.extend(
                values
                    .filter(|value| !said(value))
                    .map(|value| format!("nothing says {value}")),
            );
        }
    }
    wrong
}

#[test]
fn alerts_and_dashboard_look_only_at_what_is_counted() {
    let sources = sources();
    let counted = counted(&sources);
    let (alerts, panels) = (of_alerts(), of_dashboard());
    assert!(alerts.len() >= 10 && panels.len() >= 20);
    for Expression { place, text } in alerts.iter().chain(&panels) {
        assert_eq!(wrong_in(text, &counted, &sources), Vec::<String>::new(), "{place}: {text}");
    }
    // And the dashboard shows everything.
    for name in counted.keys() {
        assert!(panels.iter().any(|panel| panel.text.contains(name)), "no panel shows {name}");
    }
    // It would be seen.
    for (text, wrong) in [
        ("rate(tapcode_panic_total[5m])", "no metric tapcode_panic_total"),
        ("sum by (servce) (tapcode_checks_failed_total)", "no label servce"),
        ("tapcode_messages_total{state=\"delivered\"}", "no label state"),
        ("tapcode_messages_total{status=\"delivred\"}", "nothing says delivred"),
        ("tapcode_panics_bucket", "no metric tapcode_panics_bucket"),
        ("1 + 1", "it looks at nothing of ours"),
    ] {
        assert_eq!(wrong_in(text, &counted, &sources), [wrong], "{text}");
    }
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/tapcode.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title} has another's id");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().expect("a place"));
        assert!(x + w <= 24, "{title} stands out");
        for at in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(at), "{title} lies on another");
        }
        if panel["type"] != "row" {
            assert!(!panel["description"].as_str().expect("words").is_empty(), "{title}");
            let targets = panel["targets"].as_array().expect("targets");
            assert!(!targets.is_empty(), "{title} is empty");
            for of in std::iter::once(panel).chain(targets) {
                assert_eq!(
                    of["datasource"],
                    json!({"type": "prometheus", "uid": "${datasource}"}),
                    "{title}"
                );
            }
        }
    }
}

fn promtool() -> Command {
    let place = std::env::var_os("TAPCODE_TEST_PROMTOOL");
    Command::new(place.expect("TAPCODE_TEST_PROMTOOL says where Prometheus' promtool is; `cargo xtask test` sets it"))
}

#[test]
fn prometheus_reads_every_alert_and_fires_it_when_it_should() {
    let folder = root().join("deploy/prometheus");
    for words in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let told = run(promtool().args(words).current_dir(&folder));
        assert!(told.status.success(), "{}{}", stdout(&told), stderr(&told));
    }
    let tests = read("deploy/prometheus/alerts.test.yml");
    for Expression { place, .. } in of_alerts() {
        // Once where it is silent, or is fired, and once where the alert it is to be is written out.
        let fires = tests
            .split(&format!("alertname: {place}\n"))
            .skip(1)
            .any(|behind| behind.trim_start().starts_with("exp_alerts:\n"));
        assert!(fires, "no test fires {place}");
    }
}

#[test]
fn prometheus_reads_every_expression_of_the_dashboard() {
    // Prometheus knows no dashboards, but rules that record what an expression gives.
    let rules: Vec<Value> = of_dashboard()
        .into_iter()
        .enumerate()
        .map(|(nth, one)| json!({"record": format!("panel:{nth}"), "expr": one.text}))
        .collect();
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), rules.to_string()).expect("the rules");
    let told = run(promtool().args(["check", "rules"]).arg(file.path()));
    assert!(told.status.success(), "{}{}", stdout(&told), stderr(&told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_watched_for_is_there_from_the_start() {
    let home = Home::new();
    let server = home.serve();
    let metrics = server.get("/metrics", "").await.body;
    for begins in [
        "tapcode_panics_total 0",
        "tapcode_alerts_total{channel=\"sms\"} 0",
        "tapcode_alerts_total{channel=\"whatsapp\"} 0",
        "tapcode_account_decisions_total{provider=\"sandbox\",decision=\"breaker_opened\"} 0",
        "tapcode_webhook_endpoints_disabled_total{reason=\"gone\"} 0",
        "tapcode_webhook_endpoints_disabled_total{reason=\"failing\"} 0",
    ] {
        assert!(metrics.lines().any(|line| line == begins), "no {begins} in\n{metrics}");
    }
    // Prometheus reads it.
    let mut reader = promtool()
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    std::io::Write::write_all(&mut reader.stdin.take().expect("its input"), metrics.as_bytes()).expect("it reads");
    let told = reader.wait_with_output().expect("it ends");
    let complaints = stderr(&told) + &stdout(&told);
    let complaints: Vec<&str> = complaints.lines().filter(|line| !line.contains("no help text")).collect();
    assert_eq!(complaints, Vec::<&str>::new());
}
