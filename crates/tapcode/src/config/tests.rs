//! Is every mistake named, with its path, at once? And is `default.toml` the whole truth?

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::node::{Node, Value};
use super::*;

const KEY: &str = "1f8d2c3b4a5968778695a4b3c2d1e0ff00112233445566778899aabbccddeeff";
/// What no finding, report or `Debug` may ever show.
const CANARY: &str = "canary8d3f1c";

/// A complete configuration with real providers, in which each line is one setting, so that a test changes one line.
const REAL: &str = r#"
[server]
listen = "127.0.0.1:8080"
public_url = "https://otp.example.com"
request_timeout_ms = 30000
[store]
url = "sqlite:tapcode.db"
[secrets]
master_key = "1f8d2c3b4a5968778695a4b3c2d1e0ff00112233445566778899aabbccddeeff"
[sandbox]
enabled = false
numbers = ["+31611398058"]
[log]
format = "json"
level = "info"
[retention]
history_days = 30
audit_days = 365
[[services]]
name = "acme"
brand = "Acme"
default_locale = "nl"
code_length = 6
code_ttl_s = 300
max_checks = 5
resend_cooldown_s = 60
max_sends_per_hour = 5
lock_after = 20
lock_s = 3600
lock_for_good_after = 100
own_codes = false
wait_ms = 10000
workflow = [{channel = "whatsapp", sender = 1}, {channel = "sms", sender = 42}]
[[services.workflows]]
countries = ["NL", "DE"]
steps = [{channel = "sms", sender = 42, wait_ms = 20000}, {channel = "whatsapp"}]
[[services.test_numbers]]
number = "+14155550123"
code = "012345"
[[whatsapp_accounts]]
id = 1
provider = "whatsapp_cloud"
base_url = "https://graph.facebook.com"
api_version = "v25.0"
waba_id = "102290129340398"
phone_number_id = "106540352242922"
access_token = "EAAG"
app_secret = "0123456789abcdef0123456789abcdef"
verify_token = "a-long-word"
template = "login_otp"
template_language = "en"
[[numbers]]
id = 42
number = "+3197010253000"
provider = "twilio"
account_sid = "AC0123456789abcdef0123456789abcdef"
auth_token = "0123456789abcdef0123456789abcdef"
dedicated_to = "otp"
"#;

/// A rate card as Meta writes it, of one market.
const CARD: &str = "\"Cost per message in USD, effective January 1, 2027\",,,,,,\r\n\
    Market,Currency,Marketing,Utility,Authentication,\"Authentication-\nInternational\",Service\r\n\
    Netherlands,$US,,,0.0450,n/a,\r\n";

/// A table of SMS prices of one row.
const TABLE: &str = "provider,country,price,currency\ntwilio,NL,0.0754,USD\n";

/// Somebody's certificate; nobody has its key.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBgDCCASegAwIBAgIUfyTTI81Xxx/lW/SGRXfVEb8czoIwCgYIKoZIzj0EAwIw\n\
    FTETMBEGA1UEAwwKRXhhbXBsZSBDQTAgFw0yNjExMjcyMDQxNTlaGA8yMTI2MTEw\n\
    MzIwNDE1OVowFTETMBEGA1UEAwwKRXhhbXBsZSBDQTBZMBMGByqGSM49AgEGCCqG\n\
    SM49AwEHA0IABJkxLmv47+y3GuccQMHNdYw6Zs5V6D4wiP6OMHaKEIjNuV4dY81T\n\
    tnBvZ8SPsklSGIHfhc71si6TwWHopQtPS9KjUzBRMB0GA1UdDgQWBBTTACVkSNu7\n\
    5M3SEJFamkeAYklMXjAfBgNVHSMEGDAWgBTTACVkSNu75M3SEJFamkeAYklMXjAP\n\
    BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIHkCoGRhjGRepsgweoeW\n\
    jk7N9Qkyxmgx6iSPamA0BmB4AiBCgNTBJe55Ogn8nnvfPeHd+6lhdpzzo/DPeVgi\n\
    NcUdmg==\n\
    -----END CERTIFICATE-----\n";

type Outcome = Result<(Config, Vec<Warning>), Problems>;

fn read_text(text: &str, variables: &[(&str, &str)], purpose: Purpose) -> Outcome {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    read(
        &Source {
            text,
            in_file: true,
            folder: None,
            is_open: false,
        },
        variables,
        purpose,
    )
}

fn valid(text: &str, variables: &[(&str, &str)], purpose: Purpose) -> (Config, Vec<Warning>) {
    read_text(text, variables, purpose).unwrap_or_else(|problems| panic!("{problems}"))
}

/// [`REAL`] with one line replaced: the first one that starts with `key = ` behind the line `section`.
fn with(section: &str, key: &str, line: &str) -> String {
    let mut inside = false;
    let mut done = false;
    let changed: Vec<String> = REAL
        .lines()
        .map(|old| {
            if old.starts_with('[') {
                inside = old == section;
            }
            if inside && !done && old.starts_with(&format!("{key} = ")) {
                done = true;
                line.to_owned()
            } else {
                old.to_owned()
            }
        })
        .collect();
    assert!(done, "{section} has no line {key}");
    changed.join("\n")
}

/// Asserts that a text has exactly one problem, and what it says.
#[track_caller]
fn one_problem(text: &str, path: &str, wrong: &str, instead: &str) {
    let problems = read_text(text, &[], Purpose::Serve)
        .expect_err("the mistake was accepted")
        .problems;
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = &problems[0];
    assert_eq!(problem.path, path, "{problem}");
    assert!(problem.wrong.contains(wrong), "{wrong:?} is not in: {problem}");
    assert!(problem.instead.contains(instead), "{instead:?} is not in: {problem}");
    assert!(matches!(problem.place, Place::Line(_)), "{problem}");
}

#[track_caller]
fn one_warning(text: &str, path: &str, wrong: &str) {
    let (_, warnings) = valid(text, &[], Purpose::Serve);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0].path, path);
    assert!(warnings[0].wrong.contains(wrong), "{}", warnings[0]);
}

// ---- default.toml ----

#[test]
fn no_file_is_a_development_server_with_the_sandbox() {
    let (config, warnings) = load(None, std::iter::empty(), Purpose::Dev).unwrap();
    assert_eq!(warnings, []);
    assert!(config.sandbox.enabled);
    assert_eq!(config.store, Store::Sqlite("tapcode.db".into()));
    assert_eq!(config.server.public_url, "http://127.0.0.1:8080");
    let service = &config.services[0];
    assert_eq!(service.limits, Limits::default());
    assert_eq!((service.code_length, service.code_ttl_ms), (6, 300_000));
    let steps: Vec<(&str, u32, &str, u32)> = service
        .workflow
        .steps()
        .iter()
        .map(|s| (s.route.channel.as_str(), s.route.sender, &*s.route.provider, s.wait_ms))
        .collect();
    assert_eq!(steps, [("whatsapp", 1, "sandbox", 10_000), ("sms", 42, "sandbox", 10_000)]);
}

#[test]
fn the_default_file_is_no_server_for_people_until_it_is_changed() {
    let problems = read_text(DEFAULT, &[], Purpose::Serve).unwrap_err().problems;
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        ["secrets.master_key", "services[0].workflow[0]", "services[0].workflow[1]"]
    );
    assert!(problems[1].instead.contains("sandbox.enabled = true"));
    let on = [("TAPCODE__SANDBOX__ENABLED", "true"), ("TAPCODE__SECRETS__MASTER_KEY", KEY)];
    let (_, warnings) = valid(DEFAULT, &on, Purpose::Serve);
    assert_eq!(warnings.len(), 1, "the sandbox in `serve` deserves a warning: {warnings:?}");
    assert_eq!(read_text(DEFAULT, &[], Purpose::Check).unwrap_err().problems, problems);
}

#[test]
fn the_values_in_the_default_file_are_the_defaults() {
    let bare = r#"
        [sandbox]
        numbers = ["+31611398058", "+14155550123"]
        [[services]]
        name = "demo"
        brand = "Demo"
        [[whatsapp_accounts]]
        id = 1
        provider = "sandbox"
        template = "login_otp"
        [[numbers]]
        id = 42
        provider = "sandbox"
        number = "+3197010253000"
        dedicated_to = "otp"
    "#;
    let (bare, _) = valid(bare, &[], Purpose::Dev);
    let (default, _) = valid(DEFAULT, &[], Purpose::Dev);
    assert_eq!(format!("{bare:#?}"), format!("{default:#?}"));
}

/// A line of `default.toml` that is an example, without its mark.
fn example(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#')?;
    (!rest.is_empty() && !rest.starts_with([' ', '#']) && !rest.starts_with("or ")).then_some(rest)
}

/// `default.toml` with every example turned into a setting, and the secret files it names in `folder`.
fn uncommented(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let lines: Vec<String> = DEFAULT
        .lines()
        .map(|line| example(line).unwrap_or(line).replace("/etc/tapcode", folder))
        .collect();
    for line in &lines {
        if let Some((_, name)) = line.split_once("_file = ") {
            let secret = match line {
                _ if line.starts_with("master_key") => KEY,
                _ if line.starts_with("tls_ca_file") => CERTIFICATE,
                // SMPP has room for eight characters.
                _ if name.contains("smsc-password") => "01234567",
                _ => "0123456789abcdef",
            };
            let path = Path::new(name.trim_matches('"'));
            std::fs::write(path, format!("{secret}\n")).unwrap();
            owner_only(path);
        }
        if let Some(name) = line.strip_prefix("file = ") {
            let content = if name.contains("sms-prices") { TABLE } else { CARD };
            std::fs::write(name.trim_matches('"'), content).unwrap();
        }
    }
    lines
}

#[cfg(unix)]
fn owner_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const SANDBOX_ON: [(&str, &str); 1] = [("TAPCODE__SANDBOX__ENABLED", "true")];

#[test]
fn every_example_in_the_default_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let lines = uncommented(folder.path());
    let (config, _) = valid(&lines.join("\n"), &SANDBOX_ON, Purpose::Serve);
    assert_eq!((config.whatsapp_accounts.len(), config.numbers.len()), (2, 10));
    assert_eq!(config.services[0].workflows[0].countries.len(), 2);

    // And so is each other way to write the setting before it.
    let mut alternatives = 0;
    for (at, line) in DEFAULT.lines().enumerate() {
        let Some(other) = line.strip_prefix("#or ") else {
            continue;
        };
        let mut lines = lines.clone();
        // The example key is in everybody's hands, so it is no key.
        let published = "8f1d2c3b4a5968778695a4b3c2d1e0ff00112233445566778899aabbccddeeff";
        if other.contains(published) {
            one_problem(
                &with("[secrets]", "master_key", other),
                "secrets.master_key",
                "the example of the manual",
                "64 hexadecimal digits",
            );
        }
        lines[at] = other.replace(published, KEY);
        lines[at - 1].insert(0, '#');
        valid(&lines.join("\n"), &SANDBOX_ON, Purpose::Serve);
        alternatives += 1;
    }
    assert_eq!(alternatives, 26);
}

/// Every setting that a document has, with `[]` for indexes.
fn settings(node: &Node, path: &str, found: &mut BTreeSet<String>) {
    if !path.is_empty() && !path.ends_with("[]") {
        found.insert(path.to_owned());
    }
    match &node.value {
        Value::Table(entries) => {
            for (key, value) in entries {
                settings(
                    value,
                    &if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    },
                    found,
                );
            }
        }
        Value::List(items) => items.iter().for_each(|item| settings(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_default_file_has_every_setting_that_is_read_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = BTreeSet::new();
    let text = uncommented(folder.path()).join("\n");
    settings(&node::document(&text, true).map_err(|_| ()).unwrap(), "", &mut written);
    let with_alternatives: String = DEFAULT
        .lines()
        .map(|line| line.strip_prefix("#or ").or(example(line)).unwrap_or(line).to_owned() + "\n")
        .collect();
    settings(
        &node::document(&with_alternatives, true).map_err(|_| ()).unwrap(),
        "",
        &mut written,
    );

    let reading = reader::Reading::new(Purpose::Dev, None, false);
    let source = Source {
        text: &text,
        in_file: true,
        folder: None,
        is_open: false,
    };
    read_with(&reading, &source, std::iter::empty()).unwrap();
    assert_eq!(written, reading.asked());
}

#[test]
fn every_setting_in_the_default_file_is_explained() {
    let mut explained = false;
    for line in DEFAULT.lines() {
        explained = line.starts_with("# ") || (explained && !line.trim().is_empty());
        let setting = example(line).unwrap_or(line);
        if setting.contains(" = ") && !line.starts_with("# ") && !line.starts_with(' ') && !line.starts_with("#or ") {
            assert!(explained, "nothing is said of {line:?}");
        }
    }
}

// ---- reading ----

#[test]
fn a_real_configuration_is_resolved() {
    let (config, warnings) = valid(REAL, &[], Purpose::Serve);
    assert_eq!(warnings, []);
    let service = &config.services[0];
    let germany = Country::parse("DE").unwrap();
    assert_eq!(service.plan(germany).steps()[0].route.channel, Channel::Sms);
    assert_eq!(service.plan(germany).steps()[0].wait_ms, 20_000);
    assert_eq!(
        service.plan(Country::parse("BE").unwrap()).steps()[0].route.provider.as_ref(),
        "whatsapp_cloud"
    );
    assert_eq!(
        service.route(Channel::Sms).map(|r| (r.sender, r.provider.as_ref())),
        Some((42, "twilio"))
    );
    let test = Number::parse("+1 415 555-0123").unwrap();
    assert_eq!(service.test_code(&test).map(Code::expose), Some("012345"));
    assert_eq!(
        config.master_key.as_ref().map(MasterKey::to_text),
        Some(Secret::new(KEY.into()))
    );
    assert!(config.numbers[0].dedicated_to_otp);
    let WhatsappProvider::Cloud(cloud) = &config.whatsapp_accounts[0].provider else {
        panic!("{config:?}")
    };
    assert_eq!(
        (cloud.base_url.as_str(), cloud.access_token.expose()),
        ("https://graph.facebook.com", "EAAG")
    );
}

#[test]
fn without_a_workflow_whatsapp_comes_first_and_then_sms() {
    let (config, _) = valid(&with("[[services]]", "workflow", ""), &[], Purpose::Serve);
    let channels: Vec<Channel> = config.services[0].workflow.steps().iter().map(|s| s.route.channel).collect();
    assert_eq!(channels, [Channel::Whatsapp, Channel::Sms]);
    let two = with("[[services]]", "workflow", "") + "\n[[numbers]]\nid = 7\nnumber = \"Acme\"\nprovider = \"sandbox\"\n";
    one_problem(&two, "services[0].workflow", "several senders for sms", "write workflow");
}

#[test]
fn wrong_types_are_named_with_what_belongs_there() {
    one_problem(
        &with("[[services]]", "code_length", "code_length = \"6\""),
        "services[0].code_length",
        "is a text",
        "6 to 10 digits, without quotes",
    );
    one_problem(
        &with("[[services]]", "code_length", "code_length = 6.5"),
        "services[0].code_length",
        "a fraction",
        "6 to 10",
    );
    one_problem(
        &with("[[services]]", "brand", "brand = 7"),
        "services[0].brand",
        "is a number",
        "in quotes",
    );
    one_problem(
        &with("[[services]]", "own_codes", "own_codes = 1"),
        "services[0].own_codes",
        "is a number",
        "true or false",
    );
    one_problem(
        &with("[server]", "listen", "listen = 1979-05-27"),
        "server.listen",
        "a date or time",
        "in quotes",
    );
    one_problem(
        &with("[sandbox]", "numbers", "numbers = \"+31611398058\""),
        "sandbox.numbers",
        "is a text",
        "[ …, … ]",
    );
    one_problem(
        &with("[[services.test_numbers]]", "code", "code = 123456"),
        "services[0].test_numbers[0].code",
        "is a number",
        "in quotes",
    );
    one_problem(
        &REAL.replace("[log]", "[[log]]"),
        "log",
        "is a list",
        "[log] with one bracket",
    );
    let tables = REAL.replace("[[numbers]]", "[numbers]");
    let problems = read_text(&tables, &[], Purpose::Serve).unwrap_err().problems;
    assert!(
        problems
            .iter()
            .any(|p| p.path == "numbers" && p.instead == "write [[numbers]] with two brackets"),
        "{problems:#?}"
    );
}

#[test]
fn numbers_out_of_range_are_named_with_the_range_and_its_reason() {
    one_problem(
        &with("[[services]]", "code_length", "code_length = 5"),
        "services[0].code_length",
        "is 5",
        "6 to 10 digits: NIST SP 800-63B-4",
    );
    one_problem(
        &with("[[services]]", "code_length", "code_length = 11"),
        "services[0].code_length",
        "is 11",
        "6 to 10",
    );
    one_problem(
        &with("[[services]]", "code_ttl_s", "code_ttl_s = 601"),
        "services[0].code_ttl_s",
        "is 601",
        "30 to 600 seconds: NIST SP 800-63B-4 section 3.1.3.2",
    );
    one_problem(
        &with("[[services]]", "max_checks", "max_checks = 0"),
        "services[0].max_checks",
        "is 0",
        "1 to 10",
    );
    one_problem(
        &with("[[services]]", "lock_for_good_after", "lock_for_good_after = 101"),
        "services[0].lock_for_good_after",
        "is 101",
        "NIST SP 800-63B-4 section 3.2.2",
    );
    one_problem(
        &with("[[services]]", "lock_after", "lock_after = 50\nlock_for_good_after = 40").replacen(
            "lock_for_good_after = 100\n",
            "",
            1,
        ),
        "services[0].lock_after",
        "locked for good after 40",
        "at most 40",
    );
    one_problem(
        &with("[[services]]", "lock_s", "lock_s = -60"),
        "services[0].lock_s",
        "is -60",
        "60 to 86400",
    );
    one_problem(
        &with("[[services]]", "wait_ms", "wait_ms = 600001"),
        "services[0].wait_ms",
        "is 600001",
        "100 to 600000",
    );
    one_problem(
        &with("[[services]]", "max_sends_per_hour", "max_sends_per_hour = 61"),
        "services[0].max_sends_per_hour",
        "is 61",
        "1 to 60",
    );
    one_problem(
        &with(
            "[[services]]",
            "resend_cooldown_s",
            "resend_cooldown_s = 99999999999999999999",
        ),
        "services[0].resend_cooldown_s",
        "is out of range",
        "0 to 3600",
    );
    one_problem(
        &with("[server]", "request_timeout_ms", "request_timeout_ms = 999"),
        "server.request_timeout_ms",
        "is 999",
        "1000 to",
    );
    one_problem(
        &with("[retention]", "history_days", "history_days = 0"),
        "retention.history_days",
        "is 0",
        "1 to 3650",
    );
    one_problem(
        &with("[[services]]", "max_checks", "history_days = 3651"),
        "services[0].history_days",
        "is 3651",
        "1 to 3650",
    );
    for (key, value) in [
        ("code_length", 6),
        ("code_length", 10),
        ("code_ttl_s", 600),
        ("lock_for_good_after", 100),
    ] {
        let _ = read_text(
            &with("[[services]]", key, &format!("{key} = {value}"))
                .replace("\"012345\"", &format!("\"{:0w$}\"", 1, w = if value == 10 { 10 } else { 6 })),
            &[],
            Purpose::Serve,
        )
        .unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn a_report_of_sinchs_that_nothing_proves_is_not_configured() {
    let sinch = |more: &str| {
        format!(
            "{REAL}\n[[numbers]]\nid = 78\nprovider = \"sinch\"\nnumber = \"Acme\"\nservice_plan_id = \"plan-1\"\n\
             api_token = \"canary-of-sinch\"\n{more}"
        )
    };
    let (config, _) = valid(&sinch("callback_secret = \"0123456789abcdef\"\n"), &[], Purpose::Serve);
    assert!(matches!(config.numbers.last().unwrap().provider, SmsProvider::Sinch(_)));
    assert!(!format!("{config:?}").contains("canary-of-sinch"));
    one_problem(&sinch(""), "numbers[1].callback_secret", "is missing", "16 to 128");
    one_problem(
        &sinch("callback_secret = \"too short\"\n"),
        "numbers[1].callback_secret",
        "is no secret that an address carries",
        "16 to 128",
    );
    one_warning(
        &sinch("signing_secret = \"0123456789abcdef\"\naccount_sid = \"AC\"\n"),
        "numbers[1].account_sid",
        "the provider is sinch",
    );
}

#[test]
fn a_kannel_is_told_everything_that_is_missing_at_once() {
    let kannel = |more: &str| format!("{REAL}\n[[numbers]]\nid = 79\nprovider = \"kannel\"\n{more}");
    let whole = "send_url = \"http://127.0.0.1:13013/cgi-bin/sendsms\"\nusername = \"tapcode\"\npassword = \"canary-of-kannel\"\n\
                 callback_secret = \"0123456789abcdef\"\n";
    let (config, warnings) = valid(&kannel(whole), &[], Purpose::Serve);
    let last = config.numbers.last().unwrap();
    assert!(matches!(last.provider, SmsProvider::Kannel(_)) && last.number.is_none());
    assert!(!format!("{config:?}").contains("canary-of-kannel"));
    assert_eq!(warnings.len(), 0, "{warnings:?}");
    let problems = read_text(&kannel(""), &[], Purpose::Serve).unwrap_err().problems;
    let paths: Vec<&str> = problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(
        paths,
        [
            "numbers[1].send_url",
            "numbers[1].username",
            "numbers[1].password",
            "numbers[1].callback_secret"
        ]
    );
    one_problem(
        &kannel(&whole.replace("0123456789abcdef", "short")),
        "numbers[1].callback_secret",
        "is no secret that an address carries",
        "16 to 128",
    );
    one_problem(
        &kannel(&whole.replace("cgi-bin/sendsms", "cgi-bin/sendsms?user=x")),
        "numbers[1].send_url",
        "has a ? or # in it",
        "sendsms",
    );
    one_warning(
        &kannel(&whole.replace("http://127.0.0.1", "http://sms.example.com")),
        "numbers[1].send_url",
        "plain http",
    );
}

#[test]
fn a_report_of_messagebirds_that_nothing_proves_is_not_configured() {
    let messagebird = |more: &str| {
        format!(
            "{REAL}\n[[numbers]]\nid = 80\nprovider = \"messagebird\"\nnumber = \"Acme\"\naccess_key = \"canary-of-messagebird\"\n{more}"
        )
    };
    for proof in [
        "signing_key = \"canary-of-a-signature\"\n",
        "callback_secret = \"canary-0123456789abcdef\"\n",
    ] {
        let (config, warnings) = valid(&messagebird(proof), &[], Purpose::Serve);
        assert!(matches!(config.numbers.last().unwrap().provider, SmsProvider::Messagebird(_)));
        assert!(warnings.is_empty() && !format!("{config:?}").contains("canary-"));
    }
    one_problem(&messagebird(""), "numbers[1].callback_secret", "is missing", "or signing_key");
    one_problem(
        &messagebird("signing_key = \"key\"\ncallback_secret = \"too short\"\n"),
        "numbers[1].callback_secret",
        "is no secret that an address carries",
        "16 to 128",
    );
    one_problem(
        &messagebird("signing_key = \"key\"\n").replace("number = \"Acme\"\n", ""),
        "numbers[1].number",
        "is missing",
        "such as",
    );
}

#[test]
fn an_smsc_is_told_everything_that_is_missing_at_once() {
    let smpp = |more: &str| format!("{REAL}\n[[numbers]]\nid = 83\nprovider = \"smpp\"\nnumber = \"Acme\"\n{more}");
    let whole = "address = \"smpp.example.com:3550\"\nsystem_id = \"tapcode\"\npassword = \"canary-8\"\n";
    let (config, warnings) = valid(&smpp(whole), &[], Purpose::Serve);
    let SmsProvider::Smpp(read) = &config.numbers.last().unwrap().provider else {
        panic!("SMPP")
    };
    assert_eq!(
        (read.host.as_str(), read.port, read.window, read.from.as_str()),
        ("smpp.example.com", 3550, 10, "Acme")
    );
    assert!(warnings.is_empty() && !format!("{config:?}").contains("canary-"));

    let problems = read_text(&smpp(""), &[], Purpose::Serve).unwrap_err().problems;
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["numbers[1].address", "numbers[1].system_id", "numbers[1].password"]);
    let at = |key: &str| format!("numbers[1].{key}");
    for (from, to, key, instead) in [
        (":3550", "", "address", "host and a port"),
        ("canary-8", "canary-89", "password", "at most 8"),
        ("\"tapcode\"", "\"sixteen-letters-\"", "system_id", "1 to 15"),
    ] {
        let text = smpp(&whole.replace(from, to));
        let problems = read_text(&text, &[], Purpose::Serve).unwrap_err().problems;
        assert_eq!(
            (problems.len(), problems[0].path.as_str()),
            (1, at(key).as_str()),
            "{problems:?}"
        );
        assert!(problems[0].to_string().contains(instead), "{problems:?}");
    }
    for more in [
        "source_ton = 5",
        "window = 0",
        "dlt_tags = [5120]",
        "message_ids = \"octal\"",
        "tls = false\ntls_ca_file = \"x\"",
    ] {
        let text = smpp(&format!("{whole}{more}\n"));
        assert_eq!(read_text(&text, &[], Purpose::Serve).unwrap_err().problems.len(), 1, "{more}");
    }
    let (_, warnings) = valid(&smpp(&format!("{whole}tls = false\n")), &[], Purpose::Serve);
    assert!(warnings[0].to_string().contains("in clear"), "{warnings:?}");
}

#[test]
fn a_sender_at_telnyx_is_a_number_or_a_profile_and_its_reports_are_proven_by_the_accounts_key() {
    let telnyx =
        |more: &str| format!("{REAL}\n[[numbers]]\nid = 82\nprovider = \"telnyx\"\napi_key = \"canary-of-telnyx\"\n{more}");
    let key = "public_key = \"e5j4x8C2kz0xJQYqzSc1pQp2m5k0aXb4g0c1d2e3f4Q=\"\n";
    let (number, profile) = ("number = \"Acme\"\n", "messaging_profile_id = \"4000eba1-a0c0\"\n");
    for sender in [number, profile, &format!("{number}{profile}")] {
        let (config, warnings) = valid(&telnyx(&format!("{key}{sender}")), &[], Purpose::Serve);
        assert!(matches!(config.numbers.last().unwrap().provider, SmsProvider::Telnyx(_)));
        assert!(warnings.is_empty() && !format!("{config:?}").contains("canary-"));
    }
    one_problem(&telnyx(key), "numbers[1].number", "is missing", "such as");
    one_problem(&telnyx(number), "numbers[1].public_key", "is missing", "44 characters");
    let short = format!("public_key = \"e5j4\"\n{number}");
    one_problem(&telnyx(&short), "numbers[1].public_key", "is no public key", "44 characters");
    let odd = format!("{key}{number}messaging_profile_id = \"a b\"\n");
    one_problem(
        &telnyx(&odd),
        "numbers[1].messaging_profile_id",
        "is no id",
        "messaging profile",
    );
}

#[test]
fn a_sender_at_vonage_has_one_of_two_apis_and_its_reports_are_proven() {
    let vonage = |more: &str| {
        format!(
            "{REAL}\n[[numbers]]\nid = 83\nprovider = \"vonage\"\nnumber = \"Acme\"\napi_key = \"a1b2c3d4\"\napi_secret = \"canary-of-vonage\"\n{more}"
        )
    };
    let (signed, called) = (
        "signature_secret = \"canary-of-a-signature\"\n",
        "callback_secret = \"canary-0123456789abcdef\"\n",
    );
    for (api, proof, base_url) in [
        ("", signed, "https://api.nexmo.com"),
        ("api = \"messages\"\n", called, "https://api.nexmo.com"),
        ("api = \"sms\"\n", signed, "https://rest.nexmo.com"),
    ] {
        let (config, warnings) = valid(&vonage(&format!("{api}{proof}")), &[], Purpose::Serve);
        let SmsProvider::Vonage(sender) = &config.numbers.last().unwrap().provider else {
            panic!("no sender at Vonage");
        };
        assert_eq!(sender.base_url, base_url);
        assert!(warnings.is_empty() && !format!("{config:?}").contains("canary-"));
    }
    one_problem(&vonage(""), "numbers[1].callback_secret", "is missing", "or signature_secret");
    let odd = format!("api = \"voice\"\n{signed}");
    one_problem(&vonage(&odd), "numbers[1].api", "`voice`", "\"messages\" or \"sms\"");
    one_problem(
        &vonage(signed).replace("a1b2c3d4", "a:b"),
        "numbers[1].api_key",
        "is no API key",
        "letters and digits",
    );
}

#[test]
fn a_report_of_infobips_that_nothing_proves_is_not_configured() {
    let infobip = |more: &str| {
        format!(
            "{REAL}\n[[numbers]]\nid = 81\nprovider = \"infobip\"\nnumber = \"Acme\"\nbase_url = \"https://xyz.api.infobip.com\"\n\
             api_key = \"canary-of-infobip\"\n{more}"
        )
    };
    let secret = "callback_secret = \"canary-0123456789abcdef\"\n";
    let (name, password) = (
        "callback_username = \"infobip\"\n",
        "callback_password = \"canary-of-a-password\"\n",
    );
    let basic = format!("{name}{password}");
    for proof in [secret, &basic, &format!("{secret}{basic}")] {
        let (config, warnings) = valid(&infobip(proof), &[], Purpose::Serve);
        assert!(matches!(config.numbers.last().unwrap().provider, SmsProvider::Infobip(_)));
        assert!(warnings.is_empty() && !format!("{config:?}").contains("canary-"));
    }
    one_problem(&infobip(""), "numbers[1].callback_secret", "is missing", "callback_username");
    one_problem(&infobip(name), "numbers[1].callback_password", "is missing", "subscription");
    one_problem(
        &infobip(password),
        "numbers[1].callback_password",
        "user's name is not",
        "callback_username",
    );
    one_problem(
        &infobip(&basic.replace("\"infobip\"", "\"a:b\"")),
        "numbers[1].callback_username",
        "has a colon",
        "without one",
    );
    let template = "dlt_content_template_id = \"1107161\"\n";
    one_problem(
        &infobip(&format!("{secret}{template}")),
        "numbers[1].dlt_content_template_id",
        "dlt_principal_entity_id is not",
        "principal entity",
    );
    let bare = infobip(secret).replace("base_url = \"https://xyz.api.infobip.com\"\n", "");
    one_problem(&bare, "numbers[1].base_url", "is missing", "api.infobip.com");
}

#[test]
fn a_gateway_is_judged_before_a_code_waits_for_it() {
    let gateway = |more: &str| {
        format!(
            "{REAL}\n[[numbers]]\nid = 77\nprovider = \"webhook\"\nurl = \"https://sms.example.com/send\"\n\
             form = \"to={{to}}&text={{text}}&cb={{callback_url}}\"\nanswer_id = \"/id\"\n{more}"
        )
    };
    let receipts = "receipt_status = \"/status\"\nreceipt_delivered = [\"ok\"]\n";
    let (config, _) = valid(
        &gateway(&format!("{receipts}receipt_secret = \"canary-of-a-gateway\"\n")),
        &[],
        Purpose::Serve,
    );
    let SmsProvider::Webhook(webhook) = &config.numbers.last().unwrap().provider else {
        panic!("a gateway")
    };
    assert!(webhook.receipts.is_some());
    assert!(!format!("{config:?}").contains("canary-of-a-gateway"));
    one_problem(&gateway(receipts), "numbers[1]", "(receipt_secret)", "a secret");
    one_problem(
        &gateway("json = \'{}\'\n"),
        "numbers[1].form",
        "is given, and so is json",
        "remove one",
    );
    let nobody = gateway("").replace("to={to}&", "");
    one_problem(&nobody, "numbers[1].url", "(url)", "{to} or {to_digits}");
    let unknown = gateway("").replace("{text}", "{message}");
    one_problem(&unknown, "numbers[1].form", "(form)", "{reference}");
}

#[test]
fn a_services_own_texts_are_judged_before_a_message_meets_them() {
    let of = |locale: &str, text: &str| {
        let entry = format!("\n[[services.texts]]\nlocale = \"{locale}\"\ntext = \"{text}\"\n\n[[whatsapp_accounts]]");
        REAL.replacen("\n[[whatsapp_accounts]]", &entry, 1)
    };
    let (config, _) = valid(&of("nl", "Code {code} van {brand}"), &[], Purpose::Serve);
    assert_eq!(config.services[0].texts.len(), 1);
    for (text, says, instead) in [
        ("Your code", "has no code in it", "write {code} where the code goes"),
        ("{code} and {code}", "has {code} 2 times", "write it once"),
        (
            "{code} {name}",
            "has `name` in braces",
            "{code}, {brand}, {minutes} and {details} are known",
        ),
        ("{code}\\nfor you", "has a line break", "write it on one line"),
    ] {
        one_problem(&of("nl", text), "services[0].texts[0].text", says, instead);
    }
    let long = format!("{{code}} {}", "x".repeat(170));
    one_problem(
        &of("nl", &long),
        "services[0].texts[0].text",
        "takes 2 segments",
        "write a shorter one",
    );
    one_problem(
        &of("dutch!", "{code}"),
        "services[0].texts[0].locale",
        "is `dutch!`",
        "write a BCP 47 tag",
    );
    let twice = of("nl", "{code}").replacen(
        "\n[[whatsapp_accounts]]",
        "\n[[services.texts]]\nlocale = \"nl\"\ntext = \"{code}\"\n\n[[whatsapp_accounts]]",
        1,
    );
    one_problem(
        &twice,
        "services[0].texts[1]",
        "is the second text for its locale",
        "remove one of the two",
    );
}

#[test]
fn unknown_settings_are_named_with_the_nearest_known_one() {
    one_problem(
        &with("[server]", "request_timeout_ms", "request_timeout = 30000"),
        "server.request_timeout",
        "is no setting",
        "write `request_timeout_ms`",
    );
    one_problem(
        &with("[[services]]", "max_checks", "maxchecks = 5"),
        "services[0].maxchecks",
        "is no setting",
        "write `max_checks`",
    );
    one_problem(
        &with("[[services]]", "wait_ms", "colour = 1"),
        "services[0].colour",
        "is no setting",
        "`services[0]` has after_identity_change, apps, brand, code_length",
    );
    one_problem(
        &REAL.replace("wait_ms = 20000", "waitms = 20000"),
        "services[0].workflows[0].steps[0].waitms",
        "is no setting",
        "write `wait_ms`",
    );
    one_problem(
        &REAL.replace("[retention]", "[retentoin]"),
        "retentoin",
        "is no setting",
        "write `retention`",
    );
    one_problem(
        &with("[[numbers]]", "dedicated_to", "\"dedicated\\u001b[31m to\" = 1"),
        "numbers[0].`dedicated\\u{1b}[31m to`",
        "is no setting",
        "",
    );
}

#[test]
fn references_that_lead_nowhere_are_named_with_where_they_could_lead() {
    let text = REAL.replace("{channel = \"sms\", sender = 42}]", "{channel = \"sms\", sender = 7}]");
    one_problem(
        &text,
        "services[0].workflow[1].sender",
        "is 7, and no SMS number has that id",
        "[[numbers]]: 42",
    );
    let text = REAL.replace("{channel = \"whatsapp\"}]", "{channel = \"whatsapp\", sender = 42}]");
    one_problem(
        &text,
        "services[0].workflows[0].steps[1].sender",
        "no WhatsApp account",
        "[[whatsapp_accounts]]: 1",
    );
    let second = REAL.to_owned() + "\n[[whatsapp_accounts]]\nid = 2\nprovider = \"sandbox\"\ntemplate = \"login_otp\"\n";
    one_problem(
        &second,
        "services[0].workflows[0].steps[1]",
        "more than one WhatsApp account",
        "1, 2",
    );
    let none = REAL.split("[[numbers]]").next().unwrap();
    let problems = read_text(none, &[], Purpose::Serve).unwrap_err().problems;
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].instead.contains("add [[numbers]] with id = 42"), "{problems:#?}");
}

#[test]
fn a_sender_whose_own_entry_is_wrong_is_not_missed_as_well() {
    one_problem(&with("[[numbers]]", "id", "id = 0"), "numbers[0].id", "is 0", "1 to");
    one_problem(
        &with("[[numbers]]", "account_sid", "account_sid = \"AC1\""),
        "numbers[0].account_sid",
        "no SID",
        "AC and 32",
    );
}

#[test]
fn what_is_there_twice_is_named() {
    let again = "\n[[services]]\nname = \"acme\"\nbrand = \"Other\"\n";
    one_problem(&(REAL.to_owned() + again), "services[1].name", "`acme`", "a name of its own");
    let again = "\n[[numbers]]\nid = 42\nprovider = \"sandbox\"\nnumber = \"12345\"\n";
    one_problem(
        &(REAL.to_owned() + again),
        "numbers[1].id",
        "same as of an entry before",
        "an id of its own",
    );
    let again = "\n[[numbers]]\nid = 43\nprovider = \"sandbox\"\nnumber = \"+3197010253000\"\n";
    one_problem(
        &(REAL.to_owned() + again),
        "numbers[1].number",
        "same as of an entry before",
        "once",
    );
    let account =
        REAL[REAL.find("[[whatsapp_accounts]]").unwrap()..REAL.find("[[numbers]]").unwrap()].replace("id = 1\n", "id = 2\n");
    let text = (REAL.to_owned() + &account).replace("{channel = \"whatsapp\"}", "{channel = \"whatsapp\", sender = 1}");
    one_problem(
        &text,
        "whatsapp_accounts[1].phone_number_id",
        "same as of an entry before",
        "receipts",
    );
    one_problem(
        &with("[sandbox]", "numbers", "numbers = [\"+31611398058\", \"+31 6 1139 8058\"]"),
        "sandbox.numbers[1]",
        "in the list before",
        "remove",
    );
    let again = "\n[[services.test_numbers]]\nnumber = \"+1 415 555 0123\"\ncode = \"111111\"\n[[whatsapp_accounts]]";
    one_problem(
        &REAL.replace("\n[[whatsapp_accounts]]", again),
        "services[0].test_numbers[1].number",
        "in the list before",
        "one code",
    );
    one_problem(
        &with("[[services.workflows]]", "countries", "countries = [\"NL\", \"NL\"]"),
        "services[0].workflows[0].countries[1]",
        "`NL`, which was named before",
        "once",
    );
}

#[test]
fn addresses_that_are_none_are_named_and_never_repeated() {
    let example = "write an address such as \"https://otp.example.com\"";
    for (url, wrong) in [
        ("otp.example.com", "is no address"),
        ("https://", "is no address"),
        ("ftp://otp.example.com", "https://"),
        ("https://me:canary8d3f1c@otp.example.com", "user or password"),
        ("https://canary8d3f1c@otp.example.com", "user or password"),
        ("https://:canary8d3f1c@otp.example.com", "user or password"),
        ("https://otp.example.com/?a=canary8d3f1c", "? or #"),
    ] {
        one_problem(
            &with("[server]", "public_url", &format!("public_url = \"{url}\"")),
            "server.public_url",
            wrong,
            example,
        );
    }
    one_problem(
        &with("[[whatsapp_accounts]]", "base_url", "base_url = \"graph.facebook.com\""),
        "whatsapp_accounts[0].base_url",
        "is no address",
        "https://graph.facebook.com",
    );
    one_problem(
        &with("[server]", "listen", "listen = \"localhost:9000\""),
        "server.listen",
        "no address to listen on",
        "\"127.0.0.1:9000\"",
    );
    one_problem(
        &with("[server]", "listen", "listen = \":9000\""),
        "server.listen",
        "no address to listen on",
        "\"0.0.0.0:9000\" for everybody",
    );
    one_problem(
        &with("[server]", "listen", "listen = \"here\""),
        "server.listen",
        "no address to listen on",
        "127.0.0.1:8080",
    );
    let (config, _) = valid(
        &with("[server]", "public_url", "public_url = \"https://example.com/otp/\""),
        &[],
        Purpose::Serve,
    );
    assert_eq!(config.server.public_url, "https://example.com/otp");
    one_problem(
        &with("[server]", "public_url", ""),
        "server.public_url",
        "is missing",
        "reaches this server from outside",
    );
}

#[test]
fn plain_http_outside_this_machine_is_warned_of() {
    one_warning(
        &with("[[whatsapp_accounts]]", "base_url", "base_url = \"http://graph.example.com\""),
        "whatsapp_accounts[0].base_url",
        "plain http",
    );
    one_warning(
        &with("[server]", "public_url", "public_url = \"http://otp.example.com\""),
        "server.public_url",
        "plain http",
    );
    for here in [
        "http://127.0.0.1:9",
        "http://localhost:9",
        "http://[::1]:9",
        "http://127.8.8.8",
    ] {
        let (_, warnings) = valid(
            &with("[[whatsapp_accounts]]", "base_url", &format!("base_url = \"{here}\"")),
            &[],
            Purpose::Serve,
        );
        assert_eq!(warnings, [], "{here}");
    }
}

#[test]
fn the_store_is_one_that_exists() {
    for (url, instead) in [
        ("postgres://u:canary8d3f1c@db/tapcode", "sqlite:tapcode.db"),
        ("redis://db", "sqlite:tapcode.db"),
        ("tapcode.db", "write \"sqlite:\""),
        ("sqlite:", "such as \"sqlite:tapcode.db\""),
        ("sqlite::memory:", "write \"memory:\""),
        ("memory:", "is for `tapcode dev`"),
    ] {
        one_problem(&with("[store]", "url", &format!("url = \"{url}\"")), "store.url", "", instead);
    }
    let (config, _) = valid(&with("[store]", "url", "url = \"memory:\""), &[], Purpose::Dev);
    assert_eq!(config.store, Store::Memory);
    let (config, _) = valid(
        &with("[store]", "url", "url = \"sqlite:///var/lib/t.db\""),
        &[],
        Purpose::Serve,
    );
    assert_eq!(config.store, Store::Sqlite("/var/lib/t.db".into()));
}

#[test]
fn the_master_key_is_there_whole_and_no_placeholder() {
    let key = |value: &str| with("[secrets]", "master_key", value);
    one_problem(
        &key("").replace("[secrets]", "[secrets]\n"),
        "secrets.master_key",
        "is missing",
        "tapcode keys generate-master",
    );
    one_problem(
        &key("master_key = \"abcd\""),
        "secrets.master_key",
        "has 4 characters where 64 belong",
        "64 hexadecimal digits",
    );
    one_problem(
        &key(&format!("master_key = \"{}\"", "zz".repeat(32))),
        "secrets.master_key",
        "no hexadecimal digits",
        "64 hexadecimal digits",
    );
    one_problem(
        &key(&format!("master_key = \"{}\"", "00".repeat(32))),
        "secrets.master_key",
        "placeholder",
        "64 hexadecimal digits",
    );
    assert!(valid(&key(""), &[], Purpose::Dev).0.master_key.is_none());
    assert!(
        read_text(&key("master_key = \"abcd\""), &[], Purpose::Dev).is_err(),
        "a wrong key is wrong in dev too"
    );
}

#[test]
fn secrets_are_given_once_and_not_empty() {
    one_problem(
        &with("[[numbers]]", "auth_token", "auth_token = \"\""),
        "numbers[0].auth_token",
        "is empty",
        "give it a value",
    );
    one_problem(
        &with("[[numbers]]", "auth_token", "auth_token = \"  \""),
        "numbers[0].auth_token",
        "is empty",
        "give it a value",
    );
    one_problem(
        &with("[[numbers]]", "auth_token", ""),
        "numbers[0].auth_token",
        "is missing",
        "TAPCODE__NUMBERS__0__AUTH_TOKEN",
    );
    one_problem(
        &with("[[numbers]]", "auth_token", "auth_token = \"a\\nb\""),
        "numbers[0].auth_token",
        "line break",
        "on one line",
    );
    one_problem(
        &with("[[numbers]]", "auth_token", "auth_token = \"a\"\nauth_token_file = \"b\""),
        "numbers[0].auth_token",
        "`auth_token_file` as well",
        "one of the two",
    );
    one_problem(
        &with("[[whatsapp_accounts]]", "verify_token", "verify_token = []"),
        "whatsapp_accounts[0].verify_token",
        "is a list",
        "one text",
    );
}

#[test]
fn secret_files_are_read_from_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "from-the-file\r\n\n").unwrap();
    owner_only(&secret);
    let file = folder.path().join("tapcode.toml");
    std::fs::write(&file, with("[[numbers]]", "auth_token", "auth_token_file = \"token\"")).unwrap();
    owner_only(&file);
    let (config, warnings) = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap();
    assert_eq!(warnings, []);
    let SmsProvider::Twilio(twilio) = &config.numbers[0].provider else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "from-the-file");

    for (content, wrong) in [
        (Vec::new(), "is empty"),
        (vec![b'a'; 20_000], "more than 16384 bytes"),
        (vec![0xff], "not UTF-8"),
    ] {
        std::fs::write(&secret, content).unwrap();
        let problems = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap_err().problems;
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0].path, "numbers[0].auth_token_file");
        assert!(problems[0].wrong.contains(wrong), "{}", problems[0]);
    }
    std::fs::remove_file(&secret).unwrap();
    let problems = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap_err().problems;
    assert!(problems[0].wrong.contains("cannot be read: No such file"), "{}", problems[0]);
    std::fs::create_dir(&secret).unwrap();
    let problems = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap_err().problems;
    assert!(problems[0].wrong.contains("no regular file"), "{}", problems[0]);
}

#[cfg(unix)]
#[test]
fn secrets_that_everybody_can_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "from-the-file").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = folder.path().join("tapcode.toml");
    std::fs::write(&file, with("[[numbers]]", "auth_token", "auth_token_file = \"token\"")).unwrap();
    owner_only(&file);
    let (_, warnings) = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap();
    let paths: Vec<&str> = warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(paths, ["numbers[0].auth_token_file"]);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, warnings) = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap();
    assert_eq!(warnings.len(), 5, "four secrets inside and one beside: {warnings:#?}");
    assert!(warnings[0].instead.contains("chmod 600"));
}

#[test]
fn the_configuration_file_itself_can_be_the_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tapcode.toml");
    let wrong = |file: &Path| {
        load(Some(file), std::iter::empty(), Purpose::Check).unwrap_err().problems[0]
            .wrong
            .clone()
    };
    assert!(wrong(&file).contains("No such file"), "{}", wrong(&file));
    assert!(wrong(folder.path()).contains("cannot be read"), "{}", wrong(folder.path()));
    std::fs::write(&file, b"[server]\nlisten = \"\xff\"\n").unwrap();
    assert!(wrong(&file).contains("line 2 is not UTF-8"), "{}", wrong(&file));
    std::fs::write(&file, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    assert!(wrong(&file).contains("more than 1048576 bytes"), "{}", wrong(&file));
}

#[test]
fn the_sandbox_is_no_route_for_people_unless_it_was_switched_on() {
    let sandboxed = with("[[numbers]]", "provider", "provider = \"sandbox\"").replace(
        "account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"0123456789abcdef0123456789abcdef\"\n",
        "",
    );
    let problems = read_text(&sandboxed, &[], Purpose::Serve).unwrap_err().problems;
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["services[0].workflow[1]", "services[0].workflows[0].steps[0]"]);
    valid(&sandboxed, &[], Purpose::Dev);
    one_warning(
        &sandboxed.replace("enabled = false", "enabled = true"),
        "sandbox.enabled",
        "reads the codes",
    );
    // A sender that no workflow names harms nobody: plain test sending may use it.
    let unnamed = REAL.to_owned() + "\n[[numbers]]\nid = 43\nprovider = \"sandbox\"\nnumber = \"12345\"\n";
    valid(&unnamed, &[], Purpose::Serve);
}

#[test]
fn the_settings_of_another_provider_are_warned_of() {
    let sandboxed = with("[[numbers]]", "provider", "provider = \"sandbox\"").replace("enabled = false", "enabled = true");
    let (_, warnings) = valid(&sandboxed, &[], Purpose::Dev);
    let paths: Vec<&str> = warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(paths, ["numbers[0].account_sid", "numbers[0].auth_token"]);
}

#[test]
fn providers_channels_and_other_words_are_named_with_the_right_ones() {
    one_problem(
        &with("[[numbers]]", "provider", "provider = \"twillio\""),
        "numbers[0].provider",
        "`twillio`",
        "write \"twilio\"",
    );
    one_problem(
        &with("[[numbers]]", "provider", "provider = \"plivo\""),
        "numbers[0].provider",
        "this build does not have",
        "infobip, kannel, messagebird, sinch, smpp, telnyx, twilio, vonage, webhook, sandbox",
    );
    one_problem(
        &with("[[numbers]]", "provider", "provider = \"pigeon\""),
        "numbers[0].provider",
        "`pigeon`",
        "\"infobip\", \"kannel\", \"messagebird\", \"sinch\", \"smpp\", \"telnyx\", \"twilio\", \"vonage\", \"webhook\" or \"sandbox\"",
    );
    one_problem(
        &with("[[whatsapp_accounts]]", "provider", "provider = \"twilio\""),
        "whatsapp_accounts[0].provider",
        "`twilio`",
        "\"whatsapp_cloud\" or \"sandbox\"",
    );
    one_problem(
        &REAL.replace("{channel = \"sms\", sender = 42}]", "{channel = \"SMS\", sender = 42}]"),
        "services[0].workflow[1].channel",
        "`SMS`",
        "write \"sms\"",
    );
    one_problem(
        &with("[log]", "level", "level = \"warning\""),
        "log.level",
        "`warning`",
        "write \"error\", \"warn\", ",
    );
    one_problem(
        &with("[log]", "format", "format = \"jsno\""),
        "log.format",
        "`jsno`",
        "write \"json\"",
    );
    one_problem(
        &with("[[numbers]]", "dedicated_to", "dedicated_to = \"codes\""),
        "numbers[0].dedicated_to",
        "`codes`",
        "\"otp\"",
    );
}

#[test]
fn countries_are_iso_countries() {
    let countries = |list: &str| with("[[services.workflows]]", "countries", &format!("countries = [{list}]"));
    one_problem(
        &countries("\"NL\", \"UK\""),
        "services[0].workflows[0].countries[1]",
        "`UK`, which is no ISO 3166-1 country",
        "write \"GB\"",
    );
    one_problem(
        &countries("\"nl\""),
        "services[0].workflows[0].countries[0]",
        "`nl`",
        "write \"NL\"",
    );
    one_problem(
        &countries("\"Netherlands\""),
        "services[0].workflows[0].countries[0]",
        "`Netherlands`",
        "two letters",
    );
    one_problem(
        &countries(""),
        "services[0].workflows[0].countries",
        "is empty",
        "[\"NL\", \"DE\"]",
    );
    one_problem(
        &with("[[services.workflows]]", "countries", ""),
        "services[0].workflows[0].countries",
        "is missing",
        "[\"NL\", \"DE\"]",
    );
    one_problem(
        &with("[[services.workflows]]", "steps", ""),
        "services[0].workflows[0].steps",
        "is missing",
        "steps =",
    );
}

#[test]
fn test_numbers_have_codes_of_the_service() {
    let code = |code: &str| with("[[services.test_numbers]]", "code", &format!("code = \"{code}\""));
    for wrong in ["12345", "1234567", "12345a", "12 345", "１２３４５６"] {
        one_problem(
            &code(wrong),
            "services[0].test_numbers[0].code",
            "is no code of this service",
            "6 digits in quotes",
        );
    }
    one_problem(
        &with("[[services.test_numbers]]", "code", ""),
        "services[0].test_numbers[0].code",
        "is missing",
        "6 digits",
    );
    one_problem(
        &with("[[services.test_numbers]]", "number", "number = \"0611398058\""),
        "services[0].test_numbers[0].number",
        "is no phone number",
        "E.164",
    );
    one_problem(
        &with("[sandbox]", "numbers", "numbers = [\"+31 6\"]"),
        "sandbox.numbers[0]",
        "is no phone number",
        "E.164",
    );
}

#[test]
fn names_and_shapes_are_the_ones_that_providers_take() {
    one_problem(
        &with("[[services]]", "name", "name = \"Acme Inc\""),
        "services[0].name",
        "is no name of a service",
        "a-z",
    );
    one_problem(&with("[[services]]", "name", ""), "services[0].name", "is missing", "name it");
    one_problem(
        &with("[[services]]", "brand", &format!("brand = \"{}\"", "x".repeat(41))),
        "services[0].brand",
        "is too long",
        "40",
    );
    one_problem(
        &with("[[services]]", "default_locale", "default_locale = \"pt_BR\""),
        "services[0].default_locale",
        "`pt_BR`",
        "write \"pt-BR\"",
    );
    one_problem(
        &with("[[whatsapp_accounts]]", "template_language", "template_language = \"pt-BR\""),
        "whatsapp_accounts[0].template_language",
        "no language of a template",
        "write \"pt_BR\"",
    );
    let languages = |lines: &str| with("[[whatsapp_accounts]]", "template_language", lines);
    let read = |lines: &str| {
        let account = valid(&languages(lines), &[], Purpose::Serve).0.whatsapp_accounts.remove(0);
        (account.template_language, account.template_languages.join(" "))
    };
    // Where no list is given, a Dutch number is not written to in Dutch, which nobody said is approved.
    assert_eq!(read(""), ("en".into(), "en".into()));
    assert_eq!(read("template_language = \"nl\""), ("nl".into(), "nl".into()));
    assert_eq!(read("template_languages = [\"nl\", \"en\"]"), ("en".into(), "nl en".into()));
    let list = "template_language = \"nl\"\ntemplate_languages = [\"nl\", \"pt_BR\"]";
    assert_eq!(read(list), ("nl".into(), "nl pt_BR".into()));
    for (lines, path, wrong, instead) in [
        (
            "template_languages = [\"nl\", \"de\"]",
            "template_language",
            "is `en`, which is not among",
            "one of nl, de",
        ),
        (
            "template_language = \"fr\"\ntemplate_languages = [\"nl\", \"en\"]",
            "template_language",
            "is `fr`, which is not among",
            "one of nl, en",
        ),
        ("template_languages = []", "template_languages", "is empty", "remove it"),
        (
            "template_languages = [\"en\", \"pt-BR\"]",
            "template_languages[1]",
            "no language",
            "write \"pt_BR\"",
        ),
        (
            "template_languages = [\"en\", \"en\"]",
            "template_languages[1]",
            "in the list before",
            "remove",
        ),
        (
            "template_languages = [\"en\", 7]",
            "template_languages[1]",
            "a text",
            "quotes",
        ),
        ("template_languages = \"en\"", "template_languages", "list", ""),
    ] {
        one_problem(&languages(lines), &format!("whatsapp_accounts[0].{path}"), wrong, instead);
    }
    one_problem(
        &with("[[whatsapp_accounts]]", "template", "template = \"Login OTP\""),
        "whatsapp_accounts[0].template",
        "no name of a template",
        "a-z",
    );
    one_problem(
        &with("[[whatsapp_accounts]]", "api_version", "api_version = \"25\""),
        "whatsapp_accounts[0].api_version",
        "no version",
        "v25.0",
    );
    one_problem(
        &with("[[whatsapp_accounts]]", "waba_id", "waba_id = \"…\""),
        "whatsapp_accounts[0].waba_id",
        "all digits",
        "Business Account",
    );
    one_problem(
        &with("[[numbers]]", "number", "number = \"A name too long\""),
        "numbers[0].number",
        "no sender",
        "E.164",
    );
    one_problem(
        &with("[[numbers]]", "number", ""),
        "numbers[0].number",
        "is missing",
        "+3197010253000",
    );
    let service = "messaging_service_sid = \"MG0123456789abcdef0123456789abcdef\"";
    assert_eq!(
        valid(&with("[[numbers]]", "number", service), &[], Purpose::Serve).0.numbers[0].number,
        None
    );
    one_problem(
        &with(
            "[[numbers]]",
            "dedicated_to",
            "api_key_sid = \"SK0123456789abcdef0123456789abcdef\"",
        ),
        "numbers[0].api_key_sid",
        "its secret is not",
        "api_key_secret_file",
    );
    one_problem(
        &with("[[numbers]]", "dedicated_to", "api_key_secret = \"x\""),
        "numbers[0].api_key_secret",
        "`api_key_sid` is not",
        "SK and 32",
    );
}

#[test]
fn there_is_a_service() {
    let (before, rest) = REAL.split_once("[[services]]").unwrap();
    let after = &rest[rest.find("[[whatsapp_accounts]]").unwrap()..];
    let problems = |services: &str| {
        read_text(&format!("{services}{before}{after}"), &[], Purpose::Serve)
            .unwrap_err()
            .problems
    };
    for (services, wrong) in [
        ("", "is missing"),
        ("services = []\n", "is empty"),
        ("services = [1]\n", "is a number"),
    ] {
        let problems = problems(services);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(
            problems[0].path.starts_with("services") && problems[0].wrong.contains(wrong),
            "{}",
            problems[0]
        );
    }
}

#[test]
fn workflows_have_one_to_eight_steps_that_can_be_taken() {
    one_problem(
        &with("[[services]]", "workflow", "workflow = []"),
        "services[0].workflow",
        "has 0 steps",
        "1 to 8",
    );
    let nine = format!("workflow = [{}]", ["{channel = \"sms\"}"; 9].join(", "));
    one_problem(
        &with("[[services]]", "workflow", &nine),
        "services[0].workflow",
        "has 9 steps",
        "1 to 8",
    );
    one_problem(
        &with("[[services]]", "workflow", "workflow = [{sender = 1}]"),
        "services[0].workflow[0].channel",
        "is missing",
        "whatsapp",
    );
    one_problem(
        &with("[[services]]", "workflow", "workflow = [\"whatsapp\"]"),
        "services[0].workflow[0]",
        "is a text",
        "{ key = value",
    );
    one_warning(
        &with(
            "[[services]]",
            "workflow",
            "workflow = [{channel = \"whatsapp\", wait_ms = 300000}, {channel = \"sms\"}]",
        ),
        "services[0].workflow",
        "never taken in silence",
    );
    one_warning(
        &with("[[services]]", "max_sends_per_hour", "max_sends_per_hour = 1").replace(", {channel = \"whatsapp\"}]", "]"),
        "services[0].workflow",
        "max_sends_per_hour is 1",
    );
    one_warning(
        &with("[[services]]", "resend_cooldown_s", "resend_cooldown_s = 300"),
        "services[0].resend_cooldown_s",
        "nobody will be able",
    );
    one_warning(
        &with("[retention]", "history_days", "history_days = 7"),
        "retention.history_days",
        "is 7",
    );
    one_warning(
        &with("[[services]]", "max_checks", "history_days = 29"),
        "services[0].history_days",
        "is 29",
    );
}

/// [`REAL`] with a collector, and further lines of that section.
fn with_collector(lines: &str) -> String {
    format!("{REAL}\n[telemetry]\nendpoint = \"https://collector.example.com:4318/otlp/\"\n{lines}\n")
}

#[test]
fn a_collector_is_told_what_is_asked_for() {
    assert!(
        valid(REAL, &[], Purpose::Serve).0.telemetry.is_none(),
        "nobody is told unless somebody says so"
    );
    let all = valid(&with_collector(""), &[], Purpose::Serve).0.telemetry.unwrap();
    assert_eq!(all.endpoint, "https://collector.example.com:4318/otlp");
    assert_eq!(
        (&*all.service_name, all.traces_percent, all.logs),
        ("tapcode", Some(100), true)
    );
    assert!(all.authorization.is_none());
    let lines = "protocol = \"http/protobuf\"\nservice_name = \"codes\"\ntraces_percent = 0\nlogs = false";
    let less = [("TAPCODE__TELEMETRY__AUTHORIZATION", CANARY)];
    let less = valid(&with_collector(lines), &less, Purpose::Serve).0.telemetry.unwrap();
    assert_eq!((&*less.service_name, less.traces_percent, less.logs), ("codes", None, false));
    assert_eq!(less.authorization.as_ref().unwrap().expose(), CANARY);
    assert!(!format!("{less:?}").contains(CANARY));
    let by_variable = [("TAPCODE__TELEMETRY__ENDPOINT", "http://127.0.0.1:4318")];
    let by_variable = valid(REAL, &by_variable, Purpose::Serve).0.telemetry.unwrap();
    assert_eq!(by_variable.endpoint, "http://127.0.0.1:4318");
}

#[test]
fn a_collector_that_cannot_be_told_is_refused() {
    let endpoint = |text: &str| with_collector("").replace("https://collector.example.com:4318/otlp/", text);
    for (text, path, wrong, instead) in [
        (
            endpoint("127.0.0.1:4318"),
            "telemetry.endpoint",
            "no address",
            "http://127.0.0.1:4318",
        ),
        (
            endpoint("https://c.example.com/v1/traces"),
            "telemetry.endpoint",
            "of one signal",
            "before /v1",
        ),
        (
            endpoint("https://c.example.com/v1/logs/"),
            "telemetry.endpoint",
            "of one signal",
            "before /v1",
        ),
        (
            with_collector("protocol = \"grpc\""),
            "telemetry.protocol",
            "`grpc`",
            "\"http/protobuf\"",
        ),
        (
            with_collector("traces_percent = 101"),
            "telemetry.traces_percent",
            "is 101",
            "0 to 100",
        ),
        (
            with_collector("traces_percent = 0.5"),
            "telemetry.traces_percent",
            "whole number",
            "0 to 100",
        ),
        (
            with_collector("service_name = \" \""),
            "telemetry.service_name",
            "is empty",
            "give it a value",
        ),
        (
            with_collector("trace_percent = 5"),
            "telemetry.trace_percent",
            "is no setting",
            "`traces_percent`",
        ),
    ] {
        one_problem(&text, path, wrong, instead);
    }
    one_warning(
        &endpoint("http://collector.example.com:4318"),
        "telemetry.endpoint",
        "is plain http",
    );
    one_warning(
        &format!("{REAL}\n[telemetry]\nlogs = false\n"),
        "telemetry.logs",
        "there is no endpoint",
    );
}

#[test]
fn what_is_not_toml_is_named_with_its_lines_and_nothing_of_their_text() {
    let text = format!("[server\nlisten = \"127.0.0.1:1\"\n[secrets]\nmaster_key = {CANARY}\n[a]\n\n\n[a]\n");
    let problems = read_text(&text, &[], Purpose::Serve).unwrap_err();
    let lines: Vec<&Place> = problems.problems.iter().map(|p| &p.place).collect();
    assert_eq!(lines, [&Place::Line(1), &Place::Line(4), &Place::Line(8)], "{problems}");
    assert!(!format!("{problems}").contains(CANARY), "{problems}");
}

#[test]
fn depth_ends_the_reading_and_not_the_process() {
    for text in [
        format!("{} = 1", vec!["a"; 200_000].join(".")),
        format!("[{}]\n", vec!["a"; 200_000].join(".")),
        format!("a = {}{}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("a = {}1{}", "{b = ".repeat(100_000), "}".repeat(100_000)),
        format!("a = {}1{}", "{b.c.d.e.f.g = ".repeat(70), "}".repeat(70)),
        format!("\"\".'x\"'.{} = 1", vec!["\"a\"\t"; 200_000].join(".")),
        "[a]\n".to_owned() + &"[[a.b.c]]\n".repeat(10_000),
    ] {
        assert!(read_text(&text, &[], Purpose::Dev).is_err());
        assert!(read_text(DEFAULT, &[("TAPCODE__SANDBOX__NUMBERS", &text)], Purpose::Dev).is_err());
    }
}

// ---- environment ----

#[test]
fn the_environment_goes_before_the_file() {
    let (config, warnings) = valid(
        REAL,
        &[
            ("TAPCODE__SERVER__LISTEN", "0.0.0.0:9000"),
            ("TAPCODE__SERVICES__0__CODE_LENGTH", "8"),
            ("TAPCODE__SERVICES__0__OWN_CODES", "true"),
            ("TAPCODE__SERVICES__0__TEST_NUMBERS", "[]"),
            ("TAPCODE__SERVICES__0__WORKFLOW", "[{channel = \"sms\", sender = 42}]"),
            ("TAPCODE__SERVICES__0__WORKFLOW__0__WAIT_MS", "7_000"),
            ("TAPCODE__SERVICES__0__WORKFLOW__1__CHANNEL", "whatsapp"),
            ("TAPCODE__SANDBOX__NUMBERS", "['+14155550123', '+31611398058']"),
            ("TAPCODE__NUMBERS__0__AUTH_TOKEN", "from-the-environment"),
            ("TAPCODE__NUMBERS__1__ID", "43"),
            ("TAPCODE__NUMBERS__1__PROVIDER", "sandbox"),
            ("TAPCODE__NUMBERS__1__NUMBER", "12345"),
            ("TAPCODE_URL", "http://the-command-line's"),
            ("PATH", "/bin"),
        ],
        Purpose::Serve,
    );
    assert_eq!(warnings, []);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    let service = &config.services[0];
    assert_eq!((service.code_length, service.own_codes), (8, true));
    let steps: Vec<(Channel, u32)> = service
        .workflow
        .steps()
        .iter()
        .map(|s| (s.route.channel, s.wait_ms))
        .collect();
    assert_eq!(steps, [(Channel::Sms, 7_000), (Channel::Whatsapp, 10_000)]);
    assert_eq!(config.sandbox.numbers.len(), 2);
    assert_eq!(config.numbers[1].id, 43);
    let SmsProvider::Twilio(twilio) = &config.numbers[0].provider else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "from-the-environment");
}

#[test]
fn a_secret_in_the_environment_goes_before_its_file_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-the-file\n").unwrap();
    owner_only(&file);
    let token = |text: &str, variables: &[(&str, &str)]| {
        let (config, warnings) = valid(text, variables, Purpose::Serve);
        assert_eq!(warnings, []);
        let SmsProvider::Twilio(twilio) = &config.numbers[0].provider else {
            panic!()
        };
        twilio.auth_token.expose().to_owned()
    };
    let name = file.to_str().unwrap();
    assert_eq!(
        token(REAL, &[("TAPCODE__NUMBERS__0__AUTH_TOKEN_FILE", name)]),
        "from-the-file"
    );
    let in_file = with("[[numbers]]", "auth_token", "auth_token_file = \"/nowhere\"");
    assert_eq!(
        token(&in_file, &[("TAPCODE__NUMBERS__0__AUTH_TOKEN", "from-the-environment")]),
        "from-the-environment"
    );
    let both = [
        ("TAPCODE__NUMBERS__0__AUTH_TOKEN", CANARY),
        ("TAPCODE__NUMBERS__0__AUTH_TOKEN_FILE", name),
    ];
    let problems = read_text(REAL, &both, Purpose::Serve).unwrap_err();
    assert!(problems.problems[0].instead.contains("one of the two"), "{problems}");
    assert!(!problems.to_string().contains(CANARY), "{problems}");
}

#[test]
fn mistakes_in_the_environment_are_named_with_their_variable() {
    for (name, value, path, said) in [
        (
            "TAPCODE__SERVER__LISTN",
            CANARY,
            "server.listn",
            "set TAPCODE__SERVER__LISTEN",
        ),
        (
            "TAPCODE__SERVICES__0__CODE_LENGTH",
            "many",
            "services[0].code_length",
            "6 to 10 digits",
        ),
        ("TAPCODE__SERVICES__0__CODE_LENGTH", "5", "services[0].code_length", "is 5"),
        (
            "TAPCODE__SERVICES__0__OWN_CODES",
            "yes",
            "services[0].own_codes",
            "true or false",
        ),
        ("TAPCODE__SERVICES__3__NAME", "other", "services[3].name", "the next one is 1"),
        ("TAPCODE__SERVICES__NAME", "other", "services.name", "say which entry"),
        (
            "TAPCODE__SERVER__0__LISTEN",
            "other",
            "server[0].listen",
            "leave the index out",
        ),
        ("TAPCODE__SERVER__LISTEN__PORT", "80", "server.listen.port", "shorten"),
        ("TAPCODE__SERVER__LISTEN", "", "server.listen", "set and empty"),
        ("TAPCODE__SERVER__LISTEN", "\u{fffd}", "server.listen", "not UTF-8"),
        (
            "TAPCODE__SERVICES__0__WORKFLOW",
            "whatsapp,sms",
            "services[0].workflow",
            "a list belongs here",
        ),
        (
            "TAPCODE__SECRETS__MASTER_KEY",
            CANARY,
            "secrets.master_key",
            "where 64 belong",
        ),
    ] {
        let problems = read_text(REAL, &[(name, value)], Purpose::Serve).expect_err(name);
        assert_eq!(problems.problems.len(), 1, "{problems}");
        let problem = &problems.problems[0];
        assert_eq!(problem.path, path);
        assert_eq!(problem.place, Place::Variable(name.to_owned()));
        assert!(problem.to_string().contains(said), "{said:?} is not in {problem}");
        assert!(!problem.to_string().contains(CANARY), "{problem}");
    }
    for name in [
        "TAPCODE__",
        "TAPCODE____LISTEN",
        "TAPCODE__SERVER____LISTEN",
        "TAPCODE__0",
        "TAPCODE__A__B__C__D__E__F__G__H__I",
    ] {
        let problems = read_text(REAL, &[(name, "1")], Purpose::Serve).expect_err(name).problems;
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, ""), "{problems:#?}");
    }
}

// ---- prices ----

/// [`REAL`] with rate cards, the files of which are in a folder: each entry of the configuration's list is one text.
fn with_cards(entries: &[&str], files: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| format!("[[prices.whatsapp]]\n{entry}\n"))
        .collect();
    let file = folder.path().join("tapcode.toml");
    std::fs::write(&file, format!("{REAL}{}", entries.concat())).unwrap();
    owner_only(&file);
    load(Some(&file), std::iter::empty(), Purpose::Serve)
}

/// [`REAL`] with tables of SMS prices, each the content of a file.
fn with_tables(tables: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut text = REAL.to_owned();
    for (at, table) in tables.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at}.csv")), table).unwrap();
        text += &format!("[[prices.sms]]\nfile = \"{at}.csv\"\n");
    }
    let file = folder.path().join("tapcode.toml");
    std::fs::write(&file, text).unwrap();
    owner_only(&file);
    load(Some(&file), std::iter::empty(), Purpose::Serve)
}

#[test]
fn text_messages_are_priced_by_the_operators_tables() {
    let (config, warnings) = with_tables(&[
        "provider,country,price,currency\ntwilio,NL,0.0754,USD\nwebhook,NL,0.05,EUR\n",
        "provider,country,network,price,currency\ntelnyx,NL,,0.06,EUR\n",
    ])
    .unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
    assert_eq!(
        config.sms_prices.providers().collect::<Vec<_>>(),
        ["telnyx", "twilio", "webhook"]
    );
    let twilio = config.sms_prices.of("twilio").unwrap();
    let price = twilio.price(Country::parse("NL").unwrap(), 2).unwrap();
    assert_eq!(price.to_string(), "0.1508 USD");
}

#[test]
fn a_mistake_in_a_price_table_is_named_with_its_line() {
    let problems = with_tables(&[
        "provider,country,price,currency\ntwilio,NL,\"0,0754\",USD\ntwillio,NL,0.07,USD\n",
        TABLE,
        TABLE,
    ])
    .unwrap_err()
    .problems;
    let found: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.wrong.as_str())).collect();
    assert_eq!(
        found,
        [
            (
                "prices.sms[0].file",
                "names a price table in which line 2 (price) is `0,0754`"
            ),
            (
                "prices.sms[0].file",
                "names a price table in which line 3 (provider) is `twillio`, which is no provider"
            ),
            (
                "prices.sms[2].file",
                "names a file that prices twilio, as the file of another entry does"
            ),
        ]
    );
}

#[test]
fn a_workflow_that_can_never_work_in_a_country_is_named() {
    let letters = with("[[numbers]]", "number", "number = \"Acme\"");
    let in_country = |country: &str, steps: &str, more: &str| {
        format!("{letters}\n{more}\n[[services.workflows]]\ncountries = [\"{country}\"]\nsteps = [{steps}]\n")
    };
    let (only, both) = (
        "{channel = \"sms\", sender = 42}",
        "{channel = \"sms\", sender = 42}, {channel = \"whatsapp\", sender = 1}",
    );
    one_problem(
        &in_country("CA", only, ""),
        "services[0].workflows[1].steps",
        "may not be taken in CA, where sms sender 42: carriers there take no senders of letters",
        "name a sender that may send there",
    );
    one_warning(
        &in_country("SG", both, ""),
        "services[0].workflows[1].steps",
        "in part may not be taken in SG",
    );
    let registered = "[[numbers.registrations]]\ncountry = \"SG\"\nid = \"SGNIC-1\"";
    let (config, warnings) = valid(&in_country("SG", both, registered), &[], Purpose::Serve);
    assert!(warnings.is_empty(), "{warnings:#?}");
    assert_eq!(config.numbers[0].registered_in(), [Country::parse("SG").unwrap()]);
    let india = "[[numbers.registrations]]\ncountry = \"IN\"\nid = \"1101\"";
    one_problem(
        &format!("{letters}\n{india}"),
        "numbers[0].registrations[0].template_id",
        "is missing",
        "the template",
    );
}

#[test]
fn each_number_has_its_own_bounds_for_calls() {
    let (config, _) = valid(REAL, &[], Purpose::Serve);
    let default = CallBounds {
        deadline_ms: 10_000,
        calls_at_once: 256,
        messages_per_second: None,
    };
    assert_eq!((config.numbers[0].pace, config.whatsapp_accounts[0].pace), (default, default));
    let own = "dedicated_to = \"otp\"\ndeadline_ms = 4000\ncalls_at_once = 8\nmessages_per_second = 30";
    let (config, _) = valid(&with("[[numbers]]", "dedicated_to", own), &[], Purpose::Serve);
    let own = CallBounds {
        deadline_ms: 4_000,
        calls_at_once: 8,
        messages_per_second: Some(30),
    };
    assert_eq!((config.numbers[0].pace, config.whatsapp_accounts[0].pace), (own, default));
    for (line, key, wrong) in [
        ("deadline_ms = 25001", "deadline_ms", "25001"),
        ("calls_at_once = 0", "calls_at_once", "0"),
        ("messages_per_second = 0", "messages_per_second", "0"),
    ] {
        let text = with("[[numbers]]", "dedicated_to", line);
        one_problem(&text, &format!("numbers[0].{key}"), wrong, "");
    }
}

/// What is found in one rate card: the only problem, or the only warning.
fn found_in_card(entry: &str, card: &str) -> Finding {
    let mut found = match with_cards(&[entry], &[("card.csv", card)]) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems.problems,
    };
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn price(config: &Config, country: &str, currency: &str, moment: &str) -> Option<String> {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    config
        .whatsapp_rates
        .price(
            Country::parse(country).unwrap(),
            tapcode_engine::rates::Category::Authentication,
            Currency::parse(currency).unwrap(),
            tapcode_core::time::Timestamp::from_millis(moment.as_millisecond()),
        )
        .map(|price| price.to_string())
}

#[test]
fn a_rate_card_of_the_operators_goes_before_the_built_in_ones_from_its_day_on() {
    let (config, _) = valid(REAL, &[], Purpose::Serve);
    assert_eq!(
        price(&config, "NL", "USD", "2027-01-01T00:00:00Z").as_deref(),
        Some("0.0500 USD")
    );
    assert_eq!(config.whatsapp_accounts[0].billing_currency, Currency::USD);

    let euro = CARD.replace("$US", "EUR").replace("2027", "2026");
    let entries = [
        "from = \"2027-01-01\"\nfile = \"card.csv\"",
        "from = \"2026-01-01\"\nfile = \"euro.csv\"",
    ];
    let (config, warnings) = with_cards(&entries, &[("card.csv", CARD), ("euro.csv", &euro)]).unwrap();
    assert_eq!(
        price(&config, "NL", "USD", "2026-12-31T23:59:59Z").as_deref(),
        Some("0.0500 USD")
    );
    assert_eq!(
        price(&config, "NL", "USD", "2027-01-01T00:00:00Z").as_deref(),
        Some("0.0450 USD")
    );
    assert_eq!(
        price(&config, "DE", "USD", "2027-01-01T00:00:00Z").as_deref(),
        Some("0.0550 USD")
    );
    assert_eq!(
        price(&config, "NL", "EUR", "2026-01-01T00:00:00Z").as_deref(),
        Some("0.0450 EUR")
    );
    // The card in dollars has one market of 47, and the warning says so; the one in euros is the first of its currency.
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0].path, "prices.whatsapp[0].file");
    assert!(
        warnings[0].wrong.contains("without a rate for Argentina authentication, ")
            && warnings[0].wrong.contains("more: older cards stay"),
        "{}",
        warnings[0]
    );
}

#[test]
fn a_built_in_card_of_the_same_day_and_currency_gives_way() {
    let card = CARD.replace("2027", "2026").replace("January", "October");
    let (config, _) = with_cards(&["from = \"2026-10-01\"\nfile = \"card.csv\""], &[("card.csv", &card)]).unwrap();
    assert_eq!(
        price(&config, "NL", "USD", "2026-11-26T00:00:00Z").as_deref(),
        Some("0.0450 USD")
    );
}

#[test]
fn mistakes_in_rate_cards_are_named_with_their_setting_and_line() {
    let good = "from = \"2027-01-01\"\nfile = \"card.csv\"";
    for (entry, card, path, wrong, instead) in [
        (
            good,
            CARD.replace("0.0450", "\"0,0450\""),
            "file",
            "in which line 4 (Netherlands, Authentication) is `0,0450`",
            "0.0340",
        ),
        (
            good,
            CARD.replace("Netherlands", "Nethrlands"),
            "file",
            "in which line 4 (Market) is `Nethrlands`",
            "write Netherlands",
        ),
        (
            good,
            "id,name\n".to_owned(),
            "file",
            "names a rate card that has no header",
            "Market,Currency",
        ),
        (
            good,
            "x".repeat(300_000),
            "file",
            "cannot be read: it has more than 262144 bytes",
            "name a file",
        ),
        (
            "from = \"2027-01-01\"\nfile = \"nothing.csv\"",
            CARD.to_owned(),
            "file",
            "cannot be read: No such file",
            "name a file",
        ),
        (
            "from = \"2027-01-01\"",
            CARD.to_owned(),
            "file",
            "is missing",
            "CSV file of Meta's",
        ),
        ("file = \"card.csv\"", CARD.to_owned(), "from", "is missing", "2027-01-01"),
        (
            "from = \"1.1.2027\"\nfile = \"card.csv\"",
            CARD.to_owned(),
            "from",
            "is no day",
            "2027-01-01",
        ),
        (
            "from = 2027-01-01\nfile = \"card.csv\"",
            CARD.to_owned(),
            "from",
            "is a date or time",
            "in quotes",
        ),
        (
            "from = \"2024-01-01\"\nfile = \"card.csv\"",
            CARD.to_owned(),
            "from",
            "before there were prices",
            "2025-07-01",
        ),
    ] {
        let problem = found_in_card(entry, &card);
        assert_eq!(problem.path, format!("prices.whatsapp[0].{path}"), "{problem}");
        assert!(
            problem.wrong.contains(wrong) && problem.instead.contains(instead),
            "{problem}"
        );
        assert!(matches!(problem.place, Place::Line(_)), "{problem}");
    }
    let twice = with_cards(&[good, good], &[("card.csv", CARD)]).unwrap_err().problems;
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert!(
        twice[0].wrong.contains("in USD from 2027-01-01 on, as another entry is"),
        "{}",
        twice[0]
    );
    let unknown = found_in_card(&format!("{good}\nform = 1"), CARD);
    assert_eq!(
        (unknown.path.as_str(), unknown.instead.as_str()),
        ("prices.whatsapp[0].form", "write `from`")
    );
    let all = with_cards(&["from = \"2027\""; 201], &[]).unwrap_err().problems;
    assert!(all.len() == 1 && all[0].instead.contains("at most 200"), "{all:#?}");
}

#[test]
fn a_day_that_the_card_does_not_begin_on_is_warned_of() {
    let whole = |from: &str| {
        let words = "Cost per message in USD, effective October 1, 2026";
        let card = include_str!("../../../tapcode-engine/data/whatsapp-rates-2026-10-01.csv");
        assert!(card.contains(words));
        let entry = format!("from = \"{from}\"\nfile = \"card.csv\"");
        let (_, warnings) = with_cards(&[&entry], &[("card.csv", card)]).unwrap();
        warnings
            .into_iter()
            .find(|warning| warning.path.ends_with(".from"))
            .map(|warning| warning.wrong)
    };
    assert_eq!(whole("2026-10-01"), None);
    assert_eq!(
        whole("2026-11-01").as_deref(),
        Some("is 2026-11-01, and the rate card says that it is effective 2026-10-01")
    );
    let silent = CARD.replace("effective", "from");
    let (_, warnings) = with_cards(&["from = \"2027-01-02\"\nfile = \"card.csv\""], &[("card.csv", &silent)]).unwrap();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.wrong.contains("first of January, April, July and October")),
        "{warnings:#?}"
    );
}

#[test]
fn a_billing_currency_is_three_capitals_and_has_a_rate_card() {
    let euro = with(
        "[[whatsapp_accounts]]",
        "template",
        "template = \"login_otp\"\nbilling_currency = \"EUR\"",
    );
    one_warning(
        &euro,
        "whatsapp_accounts[0].billing_currency",
        "the prices of its messages will be null",
    );
    let (config, _) = valid(&euro, &[], Purpose::Serve);
    assert_eq!(config.whatsapp_accounts[0].billing_currency.as_str(), "EUR");
    for (value, wrong) in [
        ("\"eur\"", "is no currency"),
        ("\"euro\"", "is no currency"),
        ("978", "is a number"),
    ] {
        one_problem(
            &euro.replace("\"EUR\"", value),
            "whatsapp_accounts[0].billing_currency",
            wrong,
            if value == "978" { "in quotes" } else { "\"USD\"" },
        );
    }
    // With a card in that currency there is nothing to warn of.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("euro.csv"), CARD.replace("$US", "EUR")).unwrap();
    let file = folder.path().join("tapcode.toml");
    std::fs::write(
        &file,
        format!("{euro}\n[[prices.whatsapp]]\nfrom = \"2027-01-01\"\nfile = \"euro.csv\"\n"),
    )
    .unwrap();
    owner_only(&file);
    let (_, warnings) = load(Some(&file), std::iter::empty(), Purpose::Serve).unwrap();
    assert_eq!(warnings, []);
}

// ---- secrets, reports ----

#[test]
fn nothing_secret_is_shown_whatever_is_wrong() {
    let mut shown = String::new();
    let secrets = ["access_token", "app_secret", "verify_token", "auth_token", "master_key"];
    for line in REAL.lines() {
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        // As a value of the wrong shape, of the wrong type, unquoted, and under a key that nobody knows.
        for wrong in [
            format!("{key} = \"{CANARY}\""),
            format!("{key} = [\"{CANARY}\"]"),
            format!("{key} = {CANARY}"),
            format!("{key} = \"{CANARY}"),
            format!("{key}x = \"{CANARY}\""),
        ] {
            let secret = secrets.contains(&key);
            let outcome = read_text(&REAL.replacen(line, &wrong, 1), &[], Purpose::Serve);
            let report = Report::new(None, &outcome);
            let said = format!("{outcome:?} {} {}", report.text(), report.json());
            // A name, a word or a country is repeated, so that people find it; nothing secret ever is.
            let harmless = [
                "name",
                "brand",
                "provider",
                "default_locale",
                "format",
                "level",
                "dedicated_to",
                "countries",
                "number",
                "url",
                "template",
                "template_language",
            ]
            .contains(&key);
            assert!(!said.contains(CANARY) || (harmless && !secret), "{wrong}\n{said}");
            shown.push_str(if secret { &said } else { "" });
        }
    }
    assert!(shown.contains("auth_token"));
    let debug = format!("{:?}", valid(REAL, &[], Purpose::Serve));
    for secret in [
        KEY,
        "EAAG",
        "0123456789abcdef0123456789abcdef\")",
        "a-long-word",
        "012345\"",
        "+31611398058",
        "+14155550123",
    ] {
        assert!(!debug.contains(secret), "{secret} in {debug}");
    }
}

const TWENTY: &str = include_str!("twenty_mistakes.toml");

#[test]
fn twenty_mistakes_are_named_at_once() {
    let outcome = read_text(TWENTY, &[], Purpose::Check);
    assert_eq!(outcome.as_ref().unwrap_err().problems.len(), 20);
    let report = Report::new(Some(Path::new("tapcode.toml")), &outcome);
    assert!(!report.is_valid());
    insta::assert_snapshot!("twenty_mistakes", report.text());
    // The browser test's WebDriver client makes serde_json keep an order that the binary's own does not have.
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!("twenty_mistakes_json", report.json());
    });
}

#[test]
fn a_valid_file_is_summed_up() {
    let outcome = read_text(REAL, &[], Purpose::Check);
    let report = Report::new(Some(Path::new("tapcode.toml")), &outcome);
    assert!(report.is_valid());
    assert_eq!(
        report.text(),
        "tapcode.toml is valid: 1 service, 1 WhatsApp account, 1 SMS number; no warnings.\n"
    );
    assert_eq!(report.json()["valid"], true);
}

// ---- any input ----

/// A line of a real configuration with a bit of it replaced: reaches deeper than noise does.
fn damaged() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "#",
        "\n",
        "\"\"\"",
        "0",
        "-1",
        "1e9",
        "true",
        "nan",
        "1979-05-27",
        "\u{0}",
        "é",
        "[[",
        "[]",
        "{}",
        "services",
        "sender",
        "_file",
    ]);
    let text = prop::sample::select(vec![DEFAULT, REAL, TWENTY]);
    (
        text,
        prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, bits), 1..6),
    )
        .prop_map(|(text, changes)| {
            let mut chars: Vec<char> = text.chars().collect();
            for (at, gone, bit) in changes {
                let at = at.index(chars.len());
                let end = (at + gone).min(chars.len());
                chars.splice(at..end, bit.chars());
            }
            chars.into_iter().collect()
        })
}

fn purposes() -> impl Strategy<Value = Purpose> {
    prop::sample::select(vec![Purpose::Serve, Purpose::Dev, Purpose::Check])
}

/// A refusal has a reason, each finding says what to do, and both reports can be made.
fn is_sound(outcome: &Outcome) {
    let report = Report::new(None, outcome);
    assert!(!report.text().is_empty() && report.json().is_object());
    if let Err(problems) = outcome {
        assert!(!problems.problems.is_empty());
        assert!(
            problems
                .problems
                .iter()
                .chain(&problems.warnings)
                .all(|f| !f.wrong.is_empty() && !f.instead.is_empty())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_an_answer(text in any::<String>(), purpose in purposes()) {
        is_sound(&read_text(&text, &[], purpose));
    }

    #[test]
    fn any_damage_to_a_real_file_gives_an_answer(text in damaged(), purpose in purposes()) {
        is_sound(&read_text(&text, &[], purpose));
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        is_sound(&load(Some(file.path()), std::iter::empty(), Purpose::Check));
    }

    #[test]
    fn any_variables_give_an_answer(
        names in prop::collection::vec("(SERVICES|NUMBERS|SERVER|SANDBOX|A)(__(0|1|99999999999999999999|WORKFLOW|STEPS|NAME|ID|ENABLED|.)){0,5}", 0..6),
        value in prop_oneof![any::<String>(), Just("[]".to_owned()), Just("{}".to_owned()), Just("[{}]".to_owned()), Just("1".to_owned())],
    ) {
        let names: Vec<String> = names.into_iter().map(|name| format!("{PREFIX}{name}")).collect();
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        is_sound(&read_text(DEFAULT, &variables, Purpose::Dev));
    }
}
