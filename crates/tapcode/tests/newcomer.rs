//! Does a newcomer get from nothing to a delivered code, and is told what is in the way?

mod harness;

use std::fs;
use std::process::{Command, Output};

use harness::outside::Outside;
use harness::{Home, Process, Server, run, stderr, stdout};
use serde_json::Value;
use tapcode_simulator::cloud_api::{ReceiptStep, Script, TemplateState};

/// The findings of a command that was run with `--json`: what, verdict, detail.
fn findings(output: &Output) -> Vec<(String, String, String)> {
    let report: Value = serde_json::from_str(stdout(output).trim()).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["ok"] == true, output.status.success(), "{output:?}");
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let all = report["findings"].as_array().unwrap().iter();
    all.map(|f| (text(f, "what"), text(f, "verdict"), text(f, "detail")))
        .collect()
}

/// What is wrong, by what it is about.
fn bad(output: &Output) -> Vec<(String, String)> {
    let all = findings(output).into_iter();
    all.filter(|(_, verdict, _)| verdict == "bad")
        .map(|(what, _, detail)| (what, detail))
        .collect()
}

/// A command about a server that was started on a port of the system's choice.
fn about(home: &Home, server: &Server, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments.iter().copied());
    command
        .env("TAPCODE__SERVER__LISTEN", server.address())
        .env("TAPCODE__SERVER__PUBLIC_URL", &server.url);
    command
}

#[test]
fn from_nothing_to_a_code_on_a_phone() {
    let home = Home::new();
    let mut simulator = home.command(["simulate", "--json", "--listen", "127.0.0.1:0", "--sms-listen", "127.0.0.1:0"]);
    simulator.args(["--server", "127.0.0.1:0"]);
    let mut simulator = Process::start(simulator);
    let ready = simulator.lines_until(|line| line.contains("\"ready\"")).pop().unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let config = home.path(ready["config"].as_str().unwrap());
    let secret = |name: &str| {
        let file = config.parent().unwrap().join(name);
        fs::read_to_string(file).unwrap().trim().to_owned()
    };
    let (token, app_secret) = (secret("access-token"), secret("app-secret"));
    let ours = |mut command: Command| {
        command.env("TAPCODE_CONFIG", &config);
        command
    };

    let without_server = run(&mut ours(home.command(["whatsapp", "setup", "--json"])));
    let (what, detail) = bad(&without_server).pop().unwrap();
    assert!(what == "server" && detail.contains("start `tapcode serve`"), "{detail}");

    let server = home.serve_with(|command| {
        command.env("TAPCODE_CONFIG", &config);
    });
    let asked = |arguments: &[&str]| run(&mut ours(about(&home, &server, arguments)));
    let wrong = bad(&asked(&["doctor", "--json"]));
    let about_what: Vec<&str> = wrong.iter().map(|(what, _)| &**what).collect();
    assert_eq!(about_what, ["webhook", "app's webhook", "template"]);
    assert!(
        wrong.iter().all(|(_, detail)| detail.contains("`tapcode whatsapp setup`")),
        "{wrong:?}"
    );

    let setup = asked(&["whatsapp", "setup", "--json", "--to", "+31611398058"]);
    let told = findings(&setup);
    assert!(told.iter().all(|(_, verdict, _)| verdict == "good"), "{told:?}");
    let last = told.last().unwrap();
    assert!(last.0 == "first code" && last.2.contains("+31*****8058"), "{last:?}");
    let line = simulator.lines_until(|line| line.contains("whatsapp")).pop().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let code = line["shows"].as_str().unwrap();
    assert!(code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()), "{line}");
    assert_eq!(bad(&asked(&["doctor", "--json"])), []);

    // Once more: nothing is created twice, and the keys that were made are worth nothing any more.
    let again = asked(&["whatsapp", "setup"]);
    assert!(
        again.status.success() && !stdout(&again).contains("was submitted"),
        "{again:?}"
    );
    let keys: Value = serde_json::from_str(&stdout(&asked(&["keys", "list", "--json"]))).unwrap();
    let keys = keys["data"].as_array().unwrap();
    assert!(
        keys.len() >= 3 && keys.iter().all(|key| key["revoked_at"].is_string()),
        "{keys:?}"
    );
    for said in [&setup, &again] {
        let said = format!("{}{}{}", stdout(said), stderr(said), server.log());
        for hidden in [&token, &app_secret, "+31611398058", code] {
            assert!(!said.contains(hidden), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_number_does_what_its_last_digits_say() {
    let home = Home::new();
    let mut simulator = home.command(["simulate", "--json", "--listen", "127.0.0.1:0", "--sms-listen", "127.0.0.1:0"]);
    simulator.args(["--server", "127.0.0.1:0"]);
    let mut simulator = Process::start(simulator);
    let ready = simulator.lines_until(|line| line.contains("\"ready\"")).pop().unwrap();
    let config = home.path(serde_json::from_str::<Value>(&ready).unwrap()["config"].as_str().unwrap());
    let server = home.serve_with(|command| {
        command.env("TAPCODE_CONFIG", &config);
    });
    let ours = |arguments: &[&str]| {
        let mut command = about(&home, &server, arguments);
        run(command.env("TAPCODE_CONFIG", &config))
    };
    assert!(ours(&["whatsapp", "setup"]).status.success());
    let key = stdout(&ours(&["keys", "create", "--service", "demo"])).trim().to_owned();
    let expected = [
        ("+31611398001", "pending", vec!["whatsapp failed 131026", "sms delivered"]),
        ("+31611398003", "pending", vec!["whatsapp read"]),
        ("+31611398005", "pending", vec!["whatsapp failed 131056", "sms delivered"]),
        (
            "+31611398006",
            "pending",
            vec!["whatsapp failed held_for_quality_assessment", "sms delivered"],
        ),
        ("+31611398008", "canceled", vec!["whatsapp delivered"]),
        ("+31611398058", "pending", vec!["whatsapp delivered"]),
    ];
    for (number, status, attempts) in expected {
        let body = serde_json::json!({"to": number, "workflow": [{"channel": "whatsapp"}, {"channel": "sms"}]});
        let begun = server.post("/api/v1/verifications", &key, body).await.expect(201);
        let path = format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap());
        harness::eventually(number, async || {
            let now = server.get(&path, &key).await.expect(200);
            let told = |attempt: &Value| {
                let code = attempt["failure"]["code"]
                    .as_str()
                    .map_or_else(String::new, |code| format!(" {code}"));
                format!(
                    "{} {}{code}",
                    attempt["channel"].as_str().unwrap(),
                    attempt["status"].as_str().unwrap()
                )
            };
            let told: Vec<String> = now["attempts"].as_array().unwrap().iter().map(told).collect();
            (now["status"] == status && told == attempts).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_is_wrong_and_ends_with_1() {
    let outside = Outside::start().await;
    let home = outside.home("");
    let server = outside.serve(&home);
    let hook = format!("{}/hooks/whatsapp/1", server.url);
    let doctor = || run(&mut about(&home, &server, &["doctor", "--json"]));
    let only = |what: &str, says: &str| {
        let wrong = bad(&doctor());
        let [(about, detail)] = &wrong[..] else {
            panic!("{says}: {wrong:?}")
        };
        assert!(about == what && detail.contains(says), "{wrong:?}");
    };

    // The app's own address may be ours: it cannot be read, which is worth a look and no more.
    let healthy = doctor();
    assert!(healthy.status.success(), "{healthy:?}");
    let looks: Vec<String> = findings(&healthy)
        .into_iter()
        .filter(|(_, verdict, _)| verdict == "warning")
        .map(|(what, ..)| what)
        .collect();
    assert_eq!(looks, ["webhook", "template's time"]);

    outside.meta.set_rights(&["whatsapp_business_messaging"]);
    only("token's rights", "the token lacks whatsapp_business_management");
    outside
        .meta
        .set_rights(&["whatsapp_business_messaging", "whatsapp_business_management"]);

    outside
        .meta
        .change_number(|number| number.blocked = Some("BUSINESS".to_owned()));
    only("can send", "Add a payment method");
    outside.meta.change_number(|number| number.blocked = None);

    outside.meta.template("login_otp", "nl", TemplateState::Rejected);
    outside.meta.template("login_otp", "en_US", TemplateState::Pending);
    outside.meta.template("login_otp", "en", TemplateState::Paused);
    only("template", "may be sent in no language yet");
    outside.meta.template("login_otp", "en", TemplateState::Approved);

    outside.meta.set_access_token("another");
    let wrong = bad(&doctor());
    assert!(
        wrong
            .iter()
            .all(|(_, detail)| detail.contains("190") && detail.contains("make a new one for the system user"))
            && wrong.len() == 4,
        "{wrong:?}"
    );
    outside.meta.set_access_token(harness::outside::ACCESS_TOKEN);

    let mut elsewhere = about(&home, &server, &["doctor", "--json"]);
    elsewhere.env("TAPCODE__WHATSAPP_ACCOUNTS__0__VERIFY_TOKEN", "not-the-word-of-the-server");
    let wrong = bad(&run(&mut elsewhere));
    assert!(
        matches!(&wrong[..], [(what, detail)] if what == "public address" && detail.contains(&hook)),
        "{wrong:?}"
    );

    drop(server);
    let mut gone = home.command(["doctor", "--json"]);
    gone.env("TAPCODE__SERVER__LISTEN", "127.0.0.1:9");
    gone.env("TAPCODE__SERVER__PUBLIC_URL", "http://127.0.0.1:9");
    let about_what: Vec<String> = bad(&run(&mut gone)).into_iter().map(|(what, _)| what).collect();
    assert_eq!(about_what, ["server", "public address"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_stops_where_something_is_in_the_way() {
    let outside = Outside::start().await;
    let home = outside.home("");
    let server = outside.serve(&home);
    let setup = |more: &[&str]| {
        let arguments: Vec<&str> = ["whatsapp", "setup", "--json", "--wait", "0"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        bad(&run(&mut about(&home, &server, &arguments)))
    };

    outside.meta.set_rights(&[]);
    let wrong = setup(&[]);
    assert!(matches!(&wrong[..], [(what, _)] if what == "token's rights"), "{wrong:?}");
    let orders = || outside.meta.questions().into_iter().filter(|q| q.method == "POST").count();
    assert_eq!(orders(), 0, "nothing was changed at Meta");
    outside
        .meta
        .set_rights(&["whatsapp_business_messaging", "whatsapp_business_management"]);

    // What Meta would refuse is refused here, with its place.
    let wrong = setup(&["--languages", "en,tlh"]);
    assert!(
        matches!(&wrong[..], [(what, detail)] if what == "template" && detail.contains("language")),
        "{wrong:?}"
    );
    let wrong = setup(&["--languages", "de", "--button", "zero_tap"]);
    assert!(
        matches!(&wrong[..], [(what, detail)] if what == "template" && detail.contains("apps") && detail.contains("terms")),
        "{wrong:?}"
    );

    outside
        .meta
        .default_script(Script::silent().then(ReceiptStep::failed(131_026)));
    let wrong = setup(&["--to", "+31611398058"]);
    assert!(
        matches!(&wrong[..], [(what, detail)] if what == "first code" && detail.contains("131026") && detail.contains("+31*****8058")),
        "{wrong:?}"
    );
    let wrong = setup(&["--to", "31611398058"]);
    assert!(matches!(&wrong[..], [(what, _)] if what == "first code"), "{wrong:?}");
    assert_eq!(outside.meta.messages().len(), 1);
}
