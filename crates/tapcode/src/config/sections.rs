//! How are the single sections read: server, store, secrets, sandbox, log, telemetry, retention, webhooks?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use reqwest::Url;
use tapcode_core::number::Number;
use tapcode_engine::contract::phones::PHONES_MAX;
use tapcode_engine::egress::Outside;

use super::finding::variable;
use super::reader::{At, Bounds, Given, Reading, Table};
use super::secret::{MASTER_KEY_FORM, MasterKey};
use super::{Config, DEFAULT, Log, LogFormat, LogLevel, Sandbox, Server, Store, Telemetry, prices, senders, services};

/// Where a collector on this machine takes OTLP over HTTP
/// (<https://www.opentelemetry.io/docs/languages/sdk-configuration/otlp-exporter/>, read 2026-11-27).
const OTLP_EXAMPLE: &str = "http://127.0.0.1:4318";
/// Settings of `[telemetry]` that mean something only where there is an endpoint.
const TELEMETRY: [&str; 6] = [
    "authorization",
    "authorization_file",
    "protocol",
    "service_name",
    "traces_percent",
    "logs",
];

/// Days that `GET /api/v1/events` is promised to reach back.
const EVENTS_DAYS: u32 = 30;
/// For how long acts of administrators are kept where nothing else is written. Days.
const AUDIT_DAYS: u32 = 365;

/// Reads everything. `None` only when a problem was noted.
pub(super) fn config(reading: &Reading, mut root: Table<'_>) -> Option<Config> {
    let server_table = root.section("server");
    let store = store(reading, root.section("store"));
    let master_key = master_key(reading, root.section("secrets"));
    let sandbox = sandbox(reading, root.section("sandbox"));
    let log = log(root.section("log"));
    let (history_days, audit_days) = retention(reading, root.section("retention"));
    let telemetry = telemetry(reading, root.section("telemetry"));
    let outside = webhooks(reading, root.section("webhooks"));
    let (whatsapp_rates, sms_prices) = prices::read(reading, root.section("prices"));
    let senders = senders::read(reading, &mut root, &whatsapp_rates);
    let services = services::read(reading, &mut root, &senders, &sandbox);
    let server = server(reading, server_table, senders.some_real());
    root.finish();
    Some(Config {
        server: server?,
        store: store?,
        master_key,
        sandbox,
        log,
        telemetry,
        services: services?,
        whatsapp_accounts: senders.accounts,
        numbers: senders.numbers,
        whatsapp_rates,
        sms_prices,
        history_days,
        audit_days,
        outside,
    })
}

fn server(reading: &Reading, mut table: Table<'_>, some_real_sender: bool) -> Option<Server> {
    let listen = match table.text("listen") {
        Some((text, at)) => listen(reading, &text, &at),
        None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
    };
    let (public_at, public_given) = (table.at("public_url"), table.has("public_url"));
    let public_url = match table.text("public_url") {
        Some((text, at)) => address(reading, &text, &at, "https://otp.example.com"),
        None if !public_given && some_real_sender && !reading.purpose.is_dev() => {
            reading.problem(
                &public_at,
                "is missing, and providers are to call this server: the signatures of their calls are made over it",
                "write the address that reaches this server from outside, such as \"https://otp.example.com\"",
            );
            None
        }
        None => listen.map(own_address),
    };
    let server = Server {
        listen: listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
        public_url: public_url.unwrap_or_default(),
        request_timeout_ms: table.number(
            "request_timeout_ms",
            30_000,
            &Bounds {
                range: 1_000..=300_000,
                unit: "milliseconds",
                because: "",
            },
        ),
        connections_max: table.number(
            "connections_max",
            10_000,
            &Bounds {
                range: 1..=1_000_000,
                unit: "connections",
                because: "",
            },
        ),
    };
    table.finish();
    Some(server)
}

fn listen(reading: &Reading, text: &str, at: &At) -> Option<SocketAddr> {
    if let Ok(listen) = text.parse() {
        return Some(listen);
    }
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let host = text.rsplit_once(':').map_or("", |(host, _)| host);
    let instead = match (host, port) {
        ("localhost", Some(port)) => format!("write \"127.0.0.1:{port}\""),
        ("" | "*", Some(port)) => format!("write \"127.0.0.1:{port}\" for this machine alone, \"0.0.0.0:{port}\" for everybody"),
        _ => "write an IP address and a port, such as \"127.0.0.1:8080\"".into(),
    };
    reading.problem(at, "is no address to listen on", instead);
    None
}

fn own_address(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Reads the address of a server: `http` or `https`, a host, at most a path. Returned without a `/` at the end.
/// It is never repeated: it may have a password in it.
pub(super) fn address(reading: &Reading, text: &str, at: &At, example: &str) -> Option<String> {
    let wrong = match Url::parse(text) {
        _ if !text.contains("://") => "is no address: it does not begin with https://".to_owned(),
        Err(error) => format!("is no address: {error}"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "does not begin with https://".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "has a user or password in it".to_owned(),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "has a ? or # in it".to_owned(),
        Ok(url) => {
            if url.scheme() == "http" && !is_loopback(&url) {
                reading.warning(
                    at,
                    "is plain http: codes and credentials can be read on the way",
                    "write https://",
                );
            }
            return Some(url.as_str().trim_end_matches('/').to_owned());
        }
    };
    reading.problem(at, wrong, format!("write an address such as \"{example}\""));
    None
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    ip.map_or_else(|| host == "localhost" || host.ends_with(".localhost"), |ip| ip.is_loopback())
}

fn store(reading: &Reading, mut table: Table<'_>) -> Option<Store> {
    let store = match table.text("url") {
        None => Some(Store::Sqlite(PathBuf::from("tapcode.db"))),
        Some((text, at)) => store_url(reading, &text, &at),
    };
    table.finish();
    store
}

fn store_url(reading: &Reading, text: &str, at: &At) -> Option<Store> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let (wrong, instead) = match (scheme, rest) {
        ("sqlite", ":memory:") => ("is a database that SQLite forgets", "write \"memory:\""),
        ("sqlite", "") | ("sqlite", "//") => ("names no file", "write \"sqlite:\" and a file, such as \"sqlite:tapcode.db\""),
        // `sqlite://tapcode.db` would be a host in a URL; people mean the file, and `sqlite:///var/…` the absolute one.
        ("sqlite", file) => {
            return Some(Store::Sqlite(PathBuf::from(file.strip_prefix("//").unwrap_or(file))));
        }
        ("memory", "") if reading.purpose.is_dev() => return Some(Store::Memory),
        ("memory", "") => (
            "forgets everything when the process ends, and would promise what it cannot keep",
            "write \"sqlite:tapcode.db\"; \"memory:\" is for `tapcode dev`",
        ),
        ("postgres" | "postgresql" | "redis" | "rediss", _) => {
            ("names a store that this build does not have", "write \"sqlite:tapcode.db\"")
        }
        _ => ("is no store", "write \"sqlite:\" and a file, such as \"sqlite:tapcode.db\""),
    };
    reading.problem(at, wrong, instead);
    None
}

fn master_key(reading: &Reading, mut table: Table<'_>) -> Option<MasterKey> {
    let at = table.at("master_key");
    let key = match table.secret("master_key") {
        Given::As(secret, at) => match MasterKey::parse(secret.expose()) {
            // Somebody who removes the `#` in front of the example would share the key with every reader of the manual.
            Ok(_) if DEFAULT.contains(&secret.expose().to_ascii_lowercase()) => {
                let instead = format!("write {MASTER_KEY_FORM}");
                reading.problem(&at, "is the example of the manual", instead);
                None
            }
            Ok(key) => Some(key),
            Err(error) => {
                reading.problem(&at, error.to_string(), format!("write {MASTER_KEY_FORM}"));
                None
            }
        },
        Given::Not if !reading.purpose.is_dev() => {
            let instead = format!(
                "run `tapcode keys generate-master`, keep what it prints in a file, and name that in `secrets.master_key_file` or set {}",
                variable(&at.path)
            );
            reading.problem(&at, "is missing, and every key of the server is derived from it", instead);
            None
        }
        Given::Not | Given::Wrong => None,
    };
    table.finish();
    key
}

fn sandbox(reading: &Reading, mut table: Table<'_>) -> Sandbox {
    let enabled_at = table.at("enabled");
    let enabled = table.boolean("enabled", false);
    if enabled && !reading.purpose.is_dev() {
        reading.warning(
            &enabled_at,
            "is true: whoever opens the page of simulated phones reads the codes sent to them",
            "write false where this server is for people",
        );
    }
    let numbers_at = table.at("numbers");
    let mut numbers: Vec<Number> = Vec::new();
    for item in table.list("numbers").unwrap_or_default() {
        let Some((text, at)) = item.text() else {
            continue;
        };
        match Number::parse(&text) {
            Ok(number) if numbers.contains(&number) => reading.problem(&at, "is in the list before", "remove one of the two"),
            Ok(number) => numbers.push(number),
            Err(error) => reading.problem(&at, "is no phone number", error.to_string()),
        }
    }
    if numbers.len() > PHONES_MAX {
        reading.problem(
            &numbers_at,
            format!("has {} phones", numbers.len()),
            format!("the page shows at most {PHONES_MAX}"),
        );
    }
    table.finish();
    Sandbox {
        enabled: enabled || reading.purpose.is_dev(),
        numbers,
    }
}

fn log(mut table: Table<'_>) -> Log {
    let format = table.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let levels = [
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];
    let level = table.word("level", &levels.map(|level| (level.as_str(), level)));
    table.finish();
    Log {
        format: format.unwrap_or(LogFormat::Text),
        level: level.unwrap_or(LogLevel::Info),
    }
}

/// `None` where there is no collector, or something is wrong with it, which was noted.
fn telemetry(reading: &Reading, mut table: Table<'_>) -> Option<Telemetry> {
    if !table.has("endpoint") {
        // Asked for, so that it is known.
        let _absent = table.text("endpoint");
        table.unused(&TELEMETRY, "there is no endpoint to tell it to");
        table.finish();
        return None;
    }
    let endpoint = table.text("endpoint").and_then(|(text, at)| {
        let endpoint = address(reading, &text, &at, OTLP_EXAMPLE)?;
        if ["/v1", "/v1/traces", "/v1/logs"].iter().any(|path| endpoint.ends_with(path)) {
            reading.problem(
                &at,
                "is the address of one signal",
                format!("write the part before /v1, such as \"{OTLP_EXAMPLE}\""),
            );
            return None;
        }
        Some(endpoint)
    });
    let authorization = match table.secret("authorization") {
        Given::As(secret, _) => Some(secret),
        Given::Not | Given::Wrong => None,
    };
    // There is one; the word is there for who looks for it.
    let _known = table.word("protocol", &[("http/protobuf", ())]);
    let service_name = table
        .text("service_name")
        .map_or_else(|| "tapcode".to_owned(), |(text, _)| text);
    let percent = table.number(
        "traces_percent",
        100,
        &Bounds {
            range: 0..=100,
            unit: "percent",
            because: "",
        },
    );
    let logs = table.boolean("logs", true);
    table.finish();
    Some(Telemetry {
        endpoint: endpoint?,
        authorization,
        service_name,
        traces_percent: (percent > 0).then_some(percent),
        logs,
    })
}

/// How long history is kept, and how long what administrators did. Days.
fn retention(reading: &Reading, mut table: Table<'_>) -> (u32, u32) {
    let days = history_days(reading, &mut table);
    let audit_days = table.number(
        "audit_days",
        AUDIT_DAYS,
        &Bounds {
            range: 1..=3_650,
            unit: "days",
            because: "",
        },
    );
    table.finish();
    (days, audit_days)
}

/// How long history is kept: everybody's, or a service's own.
pub(super) fn history_days(reading: &Reading, table: &mut Table<'_>) -> u32 {
    let at = table.at("history_days");
    let days = table.number(
        "history_days",
        EVENTS_DAYS,
        &Bounds {
            range: 1..=3_650,
            unit: "days",
            because: "",
        },
    );
    if days < EVENTS_DAYS {
        reading.warning(
            &at,
            format!("is {days}: callers who read the events may rely on {EVENTS_DAYS} days"),
            format!("write {EVENTS_DAYS} or more, unless the law or your callers say otherwise"),
        );
    }
    days
}

/// A development server tells its events to whatever runs beside it.
fn webhooks(reading: &Reading, mut table: Table<'_>) -> Outside {
    let at = table.at("allow_private");
    let given = table.has("allow_private");
    let allowed = table.boolean("allow_private", false);
    if allowed && !reading.purpose.is_dev() {
        reading.warning(
            &at,
            "is true: whoever may make webhook endpoints can have this server call machines of its own network",
            "write false, unless endpoints are in your own network",
        );
    }
    table.finish();
    if allowed || (reading.purpose.is_dev() && !given) {
        Outside::Anywhere
    } else {
        Outside::Internet
    }
}
