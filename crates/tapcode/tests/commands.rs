//! Do the commands that need no server do what they say, and fail in a sentence with the right exit code?

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::{Home, stderr, stdout};
use serde_json::Value;

#[test]
fn the_help_reads_as_reviewed() {
    let home = Home::new();
    let mut pages = String::new();
    for words in [
        "",
        "serve",
        "dev",
        "config check",
        "keys",
        "keys create",
        "keys revoke",
        "keys generate-master",
        "migrate",
        "prices",
        "prices check",
        "prices list",
        "whatsapp",
        "whatsapp setup",
        "doctor",
        "simulate",
        "send",
        "check",
        "explain",
        "tail",
        "recipients",
        "recipients erase",
        "recipients export",
        "recipients compact",
    ] {
        let mut command = home.command(words.split_whitespace().chain(["--help"]));
        command.env_remove("TAPCODE_CONFIG");
        let shown = harness::run(&mut command);
        assert_eq!(shown.status.code(), Some(0));
        pages.push_str(&format!("$ tapcode {words} --help\n{}\n", stdout(&shown)));
    }
    insta::assert_snapshot!("help", pages);
}

#[test]
fn what_is_not_understood_ends_with_2() {
    let home = Home::new();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["keys"],
        &["check", "msg_1", "1"],
        &["keys", "revoke", "tc_live_secret"],
        &["whatsapp"],
    ] {
        let output = home.tapcode(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!stderr(&output).is_empty());
    }
    let revoked = home.tapcode(["keys", "revoke", "tc_live_secret"]);
    assert!(stderr(&revoked).contains("that is a key itself"), "{}", stderr(&revoked));
}

#[test]
fn every_mistake_of_a_configuration_is_told_and_nothing_is_started() {
    let home = Home::new();
    home.configure("[server]\nlisten = \"nowhere\"\n");
    let output = home.tapcode(["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("tapcode config check"), "{}", stderr(&output));
    home.configure("[[services]]\nname = \"Not A Name\"\nbrand = \"B\"\nworkflow = [{channel = \"sms\", sender = 7}]\n");
    let output = home.tapcode(["serve"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("services[0].name") && told.contains("services[0].workflow[0]"),
        "{told}"
    );
    assert!(!home.path("tapcode.db").exists(), "a store was made");
    let report = home.tapcode(["config", "check", "--json"]);
    assert_eq!(report.status.code(), Some(1));
    let report: Value = serde_json::from_str(&stdout(&report)).unwrap();
    assert_eq!(report["valid"], false);
    assert!(report["problems"].as_array().unwrap().len() >= 2);
}

#[test]
fn the_default_configuration_is_printed_whole_and_a_good_one_is_called_valid() {
    let home = Home::new();
    let printed = home.tapcode(["config", "default"]);
    assert_eq!(stdout(&printed), tapcode::config::DEFAULT);
    let as_json: Value = serde_json::from_str(&stdout(&home.tapcode(["config", "default", "--json"]))).unwrap();
    assert_eq!(as_json["toml"], tapcode::config::DEFAULT);
    let good = home.tapcode(["config", "check"]);
    assert_eq!(good.status.code(), Some(0), "{}", stdout(&good));
    assert!(stdout(&good).contains("is valid"), "{}", stdout(&good));
}

#[test]
fn a_port_that_is_taken_is_one_sentence_with_its_remedy() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in [&["serve"][..], &["dev", "--listen", &address, "--data", "data"]] {
        let mut command = home.command(command.iter().copied());
        command.env("TAPCODE__SERVER__LISTEN", &address);
        let output = harness::run(&mut command);
        assert_eq!(output.status.code(), Some(1));
        let told = stderr(&output);
        assert!(
            told.contains(&format!("{address} cannot be listened on (stop what listens there")),
            "{told}"
        );
        assert_eq!(
            told.lines().count(),
            told.lines().filter(|line| line.contains("warning")).count() + 1,
            "{told}"
        );
        assert_eq!(stdout(&output), "", "nothing is printed that is not so");
    }
}

#[test]
fn a_store_that_does_not_open_is_one_sentence_with_its_remedy() {
    let home = Home::new();
    let told_with = |url: &str| {
        let mut command = home.command(["serve"]);
        command.env("TAPCODE__STORE__URL", url);
        let output = harness::run(&mut command);
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let told = told_with("sqlite:nowhere/tapcode.db");
    assert!(
        told.contains("the store nowhere/tapcode.db cannot be opened (make the folder nowhere)"),
        "{told}"
    );
    fs::write(
        home.path("text.db"),
        "no database, and long enough to be looked at as one: ".repeat(40),
    )
    .unwrap();
    let told = told_with("sqlite:text.db");
    assert!(
        told.contains("the store text.db cannot be opened") && told.contains("not a database"),
        "{told}"
    );
}

#[test]
fn a_master_key_is_written_once_for_its_owner_alone() {
    let home = Home::new();
    let file = home.path("second.key");
    assert!(
        home.tapcode(["keys", "generate-master", "--out", "second.key"])
            .status
            .success()
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&file).unwrap();
    assert_eq!(first.trim().len(), 64);
    let again = home.tapcode(["keys", "generate-master", "--out", "second.key"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), first, "a key was overwritten");
    let printed = stdout(&home.tapcode(["keys", "generate-master"]));
    assert!(printed.trim().len() == 64 && printed != first);
}

#[test]
fn migrate_says_which_schema_there_was_and_is() {
    let home = Home::new();
    assert_eq!(
        stdout(&home.tapcode(["migrate"])),
        "sqlite:tapcode.db was made, with schema 6\n"
    );
    let again: Value = serde_json::from_str(&stdout(&home.tapcode(["migrate", "--json"]))).unwrap();
    assert_eq!(
        again,
        serde_json::json!({"store": "sqlite:tapcode.db", "schema_before": 6, "schema": 6})
    );
    assert_eq!(
        stdout(&home.tapcode(["migrate"])),
        "sqlite:tapcode.db has schema 6, the newest that this release knows\n"
    );
}

#[test]
fn keys_are_made_listed_and_revoked_without_a_server() {
    let home = Home::new();
    let made = home.tapcode([
        "keys",
        "create",
        "--service",
        "demo",
        "--test",
        "--rights",
        "read,verify",
        "--label",
        "Ci",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&stdout(&made)).unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("tc_test_"));
    assert_eq!(
        (&made["service"], &made["mode"], &made["label"]),
        (&"demo".into(), &"test".into(), &"Ci".into())
    );
    assert_eq!(made["rights"], serde_json::json!(["verify", "read"]));
    let id = made["id"].as_str().unwrap();
    let admin = home.key_with(&["--rights", "admin"]);
    assert!(admin.starts_with("tc_live_"), "{admin}");

    let listed: Value = serde_json::from_str(&stdout(&home.tapcode(["keys", "list", "--json"]))).unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("tc_"), "a key is shown once");
    assert_eq!(listed["data"][0]["id"], id);
    assert_eq!(listed["data"][1]["service"], Value::Null);

    let revoked = home.tapcode(["keys", "revoke", id]);
    assert!(stdout(&revoked).starts_with(&format!("{id} is revoked")), "{revoked:?}");
    let again = home.tapcode(["keys", "revoke", id]);
    assert!(
        again.status.success() && stdout(&again).contains("was revoked already"),
        "{again:?}"
    );
    let table = stdout(&home.tapcode(["keys", "list"]));
    assert!(
        table.starts_with("ID ")
            && table
                .lines()
                .nth(1)
                .is_some_and(|line| line.starts_with(id) && line.ends_with("Ci")),
        "{table}"
    );
}

#[test]
fn a_key_for_nobody_is_not_made() {
    let home = Home::new();
    for (arguments, told) in [
        (&["--service", "nobody"][..], "the configuration has demo, other"),
        (&["--rights", "verify"], "write --service NAME"),
        (&["--service", "demo", "--label", "two\nlines"], "--label is one line"),
    ] {
        let output = home.tapcode(["keys", "create"].iter().chain(arguments).copied());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let unknown = home.tapcode(["keys", "revoke", "key_000000000000000000000000000000000000"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("there is no key"), "{unknown:?}");
    assert!(stderr(&home.tapcode(["keys", "list"])).contains("There are no keys"));
}

/// A rate card as Meta writes it, of one market.
const CARD: &str = "\"Cost per message in USD, effective January 1, 2027\",,,,,,\r\n\
    Market,Currency,Marketing,Utility,Authentication,\"Authentication-\nInternational\",Service\r\n\
    Netherlands,$US,,,0.0450,n/a,\r\n";

#[test]
fn the_rates_in_force_are_listed_for_a_country_and_a_day() {
    let home = Home::new();
    let listed = home.tapcode(["prices", "list", "--country", "NL", "--at", "2026-11-26"]);
    assert_eq!(
        stdout(&listed),
        "A delivered code over WhatsApp on 2026-11-26, in USD\n\
         MARKET       AUTHENTICATION  SINCE       INTERNATIONAL  SINCE\n\
         Netherlands  0.0500 USD      2026-10-01  -\n"
    );
    let poland = |day: &str| {
        let listed = home.tapcode(["prices", "list", "--country", "PL", "--at", day, "--json"]);
        serde_json::from_str::<Value>(&stdout(&listed)).unwrap()
    };
    let early = poland("2026-06-30");
    assert_eq!(
        (&early["at"], &early["country"], &early["currency"]),
        (&"2026-06-30".into(), &"PL".into(), &"USD".into())
    );
    assert_eq!(early["data"][0]["market"], "Rest of Central & Eastern Europe");
    assert_eq!(
        poland("2026-07-01")["data"][0]["authentication"],
        serde_json::json!({"amount_micros": 12_200, "currency": "USD"})
    );
    let all: Value = serde_json::from_str(&stdout(&home.tapcode(["prices", "list", "--at", "2026-11-26", "--json"]))).unwrap();
    assert_eq!(all["data"].as_array().unwrap().len(), 47);
    let before: Value = serde_json::from_str(&stdout(&home.tapcode(["prices", "list", "--at", "2026-01-01", "--json"]))).unwrap();
    assert_eq!(before["data"].as_array().unwrap().len(), 32);
    assert!(home.tapcode(["prices", "list"]).status.success(), "today has rates");

    let none = home.tapcode(["prices", "list", "--currency", "EUR", "--at", "2026-11-26"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        stderr(&none).contains("there are no rates in EUR on 2026-11-26; name Meta's"),
        "{none:?}"
    );
    for (arguments, told) in [
        (["--country", "UK"], "write GB"),
        (["--country", "QQ"], "two capital letters"),
        (["--at", "26-11-2026"], "such as 2027-01-01"),
        (["--currency", "euro"], "such as USD"),
    ] {
        let wrong = home.tapcode(["prices", "list"].into_iter().chain(arguments));
        assert!(wrong.status.code() == Some(2) && stderr(&wrong).contains(told), "{wrong:?}");
    }
}

#[test]
fn a_rate_card_is_looked_at_before_it_is_named_and_counts_once_it_is() {
    let home = Home::new();
    fs::write(home.path("card.csv"), CARD).unwrap();
    let check = ["prices", "check", "card.csv", "--from", "2027-01-01"];
    let checked = home.tapcode(check);
    assert!(checked.status.success(), "{checked:?}");
    let told = stdout(&checked);
    assert!(
        told.starts_with(
            "card.csv is a card in USD of 1 market from 2027-01-01 on. It changes 1 rate:\n\
             MARKET       CATEGORY        OLD         NEW\n\
             Netherlands  authentication  0.0500 USD  0.0450 USD\n\
             \nIt leaves out "
        ) && told.contains("\nGermany                           authentication                0.0550 USD  2026-10-01\n"),
        "{told}"
    );
    assert_eq!(stderr(&checked), "");
    let late = home.tapcode(["prices", "check", "card.csv", "--from", "2027-04-01"]);
    assert!(
        stderr(&late).contains("effective 2027-01-01, and --from is 2027-04-01"),
        "{late:?}"
    );

    let services = fs::read_to_string(home.path("tapcode.toml")).unwrap();
    let named = format!("{services}\n[[prices.whatsapp]]\nfrom = \"2027-01-01\"\nfile = \"card.csv\"\n");
    fs::write(home.path("tapcode.toml"), &named).unwrap();
    let listed = stdout(&home.tapcode(["prices", "list", "--country", "NL", "--at", "2027-01-01"]));
    assert!(listed.contains("Netherlands  0.0450 USD      2027-01-01"), "{listed}");
    assert!(stdout(&home.tapcode(check)).contains("It changes nothing."));

    fs::write(home.path("card.csv"), CARD.replace("0.0450", "x").replace("n/a", "y")).unwrap();
    let broken = home.tapcode(check);
    assert_eq!((broken.status.code(), stdout(&broken).as_str()), (Some(1), ""));
    let told = stderr(&broken);
    assert!(
        told.contains("card.csv is no rate card as it stands:\n  line 4 (Netherlands, Authentication) is `x`;"),
        "{told}"
    );
    assert!(
        told.contains("  line 4 (Netherlands, Authentication-International) is `y`;"),
        "{told}"
    );
    let report: Value = serde_json::from_str(&stdout(&home.tapcode(check.into_iter().chain(["--json"])))).unwrap();
    assert_eq!((&report["valid"], &report["problems"][1]["line"]), (&false.into(), &4.into()));
    let missing = home.tapcode(["prices", "check", "nothing.csv", "--from", "2027-01-01"]);
    assert!(
        missing.status.code() == Some(1) && stderr(&missing).contains("nothing.csv cannot be read; name"),
        "{missing:?}"
    );
}

#[test]
fn commands_for_a_server_say_what_is_missing() {
    let home = Home::new();
    let nobody = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let url = format!("http://{nobody}");
    for (arguments, told) in [
        (&["send", "+31611398058"][..], "an API key is missing; set TAPCODE_KEY"),
        (
            &["send", "+31611398058", "--key", "tc_live_x", "--url", "ftp://a"],
            "--url is no address of a server",
        ),
        (
            &["send", "+31611398058", "--key", "tc_live_x", "--url", &url],
            "is the server running, and is --url right?",
        ),
        (
            &["tail", "--key", "tc_live_x", "--url", &url],
            "is the server running, and is --url right?",
        ),
        (
            &["send", "+31611398058", "--key", "tc_live_\u{e9}"],
            "has characters that no key has",
        ),
    ] {
        let output = home.tapcode(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
        assert!(!stderr(&output).contains("tc_live_"), "{}", stderr(&output));
    }
}
