//! Which SMSC, how is it bound to, and what are its ways? The settings of `provider = "smpp"`.

use std::net::IpAddr;

use tapcode_providers::secret::Secret;
use tapcode_providers::smpp::{BINDS_MAX, Coding, DLT_TAGS, Ids, Kind, Long, SmppConfig, Tls, WINDOW_MAX};

use super::reader::{At, Bounds, Reading, Table};
use super::senders::india_dlt;

/// Largest file of certificates, in bytes.
const CA_FILE_MAX: usize = 1024 * 1024;
/// Submissions without an answer at once: what Sinch's SMSC takes, and a usual bound (as in the facts read 2026-11-22).
const WINDOW: u32 = 10;
/// Seconds; 30 to 60 are usual.
const ENQUIRE_LINK_S: u32 = 30;
const EXAMPLE: &str = "write a host and a port, such as \"smpp.example.com:3550\"";

/// Reads the settings; `from` is the entry's number.
pub(super) fn read(reading: &Reading, table: &mut Table<'_>, from: &str) -> Option<SmppConfig> {
    let whole = table.here().clone();
    let address = table.needed_text("address", EXAMPLE).and_then(|(text, at)| {
        let parted = parted(&text);
        if parted.is_none() {
            reading.problem(&at, "is no host with a port", EXAMPLE);
        }
        parted.map(|(host, port)| (host, port, at))
    });
    let tls = tls(reading, table, address.as_ref());
    let system_id = table.needed_text("system_id", "write the name of the account at the SMSC");
    let (password_at, password) = (table.at("password"), table.needed_secret("password"));
    let system_type = table.text("system_type");
    let bind_kind = Kind {
        ton: octet(table, "addr_ton"),
        npi: octet(table, "addr_npi"),
    };
    let address_range = table.text("address_range");
    let source_at = table.at("source_ton");
    let source_kind = match (table.has("source_ton"), table.has("source_npi")) {
        (false, false) => None,
        (true, true) => Some(Kind {
            ton: octet(table, "source_ton"),
            npi: octet(table, "source_npi"),
        }),
        _ => {
            let _other = (table.take("source_ton"), table.take("source_npi"));
            reading.problem(&source_at, "and source_npi go together", "write both, or neither");
            None
        }
    };
    let alphabets = [
        ("gsm", Coding::Gsm),
        ("latin1", Coding::Latin1),
        ("latin1_as_default", Coding::Latin1AsDefault),
        ("ucs2", Coding::Ucs2),
    ];
    let longs = [("udh", Long::Udh), ("sar", Long::Sar), ("payload", Long::Payload)];
    let ids = [
        ("same", Ids::Same),
        ("hex_then_decimal", Ids::HexThenDecimal),
        ("decimal_then_hex", Ids::DecimalThenHex),
    ];
    let coding = table.word("alphabet", &alphabets).unwrap_or_default();
    let long = table.word("long_messages", &longs).unwrap_or_default();
    let ids = table.word("message_ids", &ids).unwrap_or_default();
    let window = number(table, "window", WINDOW, u32::from(WINDOW_MAX), "messages");
    let binds = number(table, "binds", 1, u32::from(BINDS_MAX), "sessions");
    let enquire_link_s = number(table, "enquire_link_s", ENQUIRE_LINK_S, 3_600, "seconds");
    let dlt = india_dlt(reading, table);
    let dlt_tags = dlt_tags(reading, table);
    let (host, port, address_at) = address?;
    let text = |given: &Option<(String, At)>| given.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
    let config = SmppConfig {
        host,
        port,
        tls: tls?,
        system_id: text(&system_id),
        password: Secret::new(password?.expose().to_owned()),
        system_type: text(&system_type),
        bind_kind,
        address_range: text(&address_range),
        from: from.to_owned(),
        source_kind,
        coding,
        long,
        ids,
        window: u16::try_from(window).ok()?,
        binds: u8::try_from(binds).ok()?,
        enquire_link_s: u16::try_from(enquire_link_s).ok()?,
        india_dlt: dlt?,
        dlt_tags: dlt_tags?,
    };
    let (_, system_id_at) = system_id?;
    if let Err(error) = config.check() {
        let at = match error.key {
            "address" => &address_at,
            "system_id" => &system_id_at,
            "password" => &password_at,
            "system_type" => system_type.as_ref().map_or(&whole, |(_, at)| at),
            "address_range" => address_range.as_ref().map_or(&whole, |(_, at)| at),
            _ => &whole,
        };
        reading.problem(
            at,
            format!("does not work ({})", error.key),
            format!("write {}", error.remedy),
        );
        return None;
    }
    Some(config)
}

/// How the connection is secured: as the machine trusts, unless it is said otherwise.
fn tls(reading: &Reading, table: &mut Table<'_>, address: Option<&(String, u16, At)>) -> Option<Tls> {
    let wanted = table.boolean("tls", true);
    let ca_file_at = table.at("tls_ca_file");
    if !wanted {
        if table.take("tls_ca_file").is_some() {
            reading.problem(&ca_file_at, "is given, and tls is false", "remove one of the two");
            return None;
        }
        if let Some((_, _, at)) = address.filter(|(host, ..)| !is_loopback(host)) {
            let wrong = "is reached in clear: codes and the password can be read on the way";
            reading.warning(at, wrong, "leave tls out, or see that the way there is a tunnel");
        }
        return Some(Tls::Off);
    }
    if !table.has("tls_ca_file") {
        return Some(Tls::Machine);
    }
    let instead = "name a file with the certificate of whoever signs the SMSC's, in PEM";
    let (pem, _) = table.needed_file("tls_ca_file", instead, CA_FILE_MAX)?;
    Some(Tls::Authority(pem))
}

fn parted(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-')),
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    fits.then(|| (bare.unwrap_or(host).to_owned(), port))
}

fn is_loopback(host: &str) -> bool {
    let ip: Option<IpAddr> = host.parse().ok();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

fn octet(table: &mut Table<'_>, key: &str) -> u8 {
    let bounds = Bounds {
        range: 0..=255,
        unit: "as SMPP numbers them",
        because: "",
    };
    u8::try_from(table.number(key, 0, &bounds)).unwrap_or_default()
}

fn number(table: &mut Table<'_>, key: &str, default: u32, most: u32, unit: &'static str) -> u32 {
    let bounds = Bounds {
        range: 1..=most,
        unit,
        because: "",
    };
    table.number(key, default, &bounds)
}

/// Which optional parameters carry entity, template and telemarketer.
fn dlt_tags(reading: &Reading, table: &mut Table<'_>) -> Option<[u16; 3]> {
    let at = table.at("dlt_tags");
    if !table.has("dlt_tags") {
        return Some(DLT_TAGS);
    }
    let bounds = Bounds {
        range: 0x1400..=0x3FFF,
        unit: "(0x1400 to 0x3FFF are the vendors')",
        because: "",
    };
    let items = table.list("dlt_tags")?;
    let tags: Vec<u16> = items
        .into_iter()
        .filter_map(|item| item.number(&bounds).and_then(|tag| u16::try_from(tag).ok()))
        .collect();
    let tags = <[u16; 3]>::try_from(tags).ok();
    if tags.is_none() {
        let instead = "write three tags: of the entity, the template and the telemarketer, such as [0x1400, 0x1401, 0x1402]";
        reading.problem(&at, "is no list of three tags", instead);
    }
    tags
}
