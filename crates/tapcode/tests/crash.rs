//! What does `kill -9` cost? Nothing that was answered, nothing twice, and no wait longer than the restart.

mod harness;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use harness::outside::{Outside, number, wrong_for};
use harness::{Server, WAIT_MAX, client, eventually};
use serde_json::{Value, json};
use tapcode_simulator::{cloud_api, twilio};
use tokio::task::JoinSet;

const VERIFICATIONS: &str = "/api/v1/verifications";
/// How late a fallback may be on a machine that builds and tests other things meanwhile.
const LATE_MAX: Duration = Duration::from_secs(5);

/// A verification that was answered 201.
struct Begun {
    id: String,
    to: String,
    /// When the next step is due if nothing is heard.
    due: SystemTime,
}

fn moment(text: &Value) -> SystemTime {
    text.as_str()
        .expect("a moment")
        .parse::<jiff::Timestamp>()
        .expect("RFC 3339")
        .into()
}

async fn begin(server: &Server, key: &str, to: &str, wait_ms: u64) -> Begun {
    let workflow = json!([{"channel": "whatsapp", "wait_ms": wait_ms}, {"channel": "sms"}]);
    let begun = server
        .post(VERIFICATIONS, key, json!({"to": to, "workflow": workflow}))
        .await
        .expect(201);
    let queued = moment(&begun["attempts"][0]["queued_at"]);
    Begun {
        id: begun["id"].as_str().unwrap().to_owned(),
        to: to.to_owned(),
        due: queued + Duration::from_millis(wait_ms),
    }
}

async fn get(server: &Server, key: &str, id: &str) -> Value {
    server.get(&format!("{VERIFICATIONS}/{id}"), key).await.expect(200)
}

async fn check(server: &Server, key: &str, id: &str, code: &str) -> Value {
    server
        .post(&format!("{VERIFICATIONS}/{id}/check"), key, json!({"code": code}))
        .await
        .expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_between_acceptance_and_fallback_delays_no_sms_and_doubles_none() {
    const EACH: u32 = 20;
    let outside = Outside::start().await;
    let home = outside.home("");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let mut begun = Vec::new();
    // Half of them are overdue when the server is back, half are not.
    for (nth, wait_ms) in (0..EACH).map(|n| (n, 12_000)).chain((EACH..2 * EACH).map(|n| (n, 4_000))) {
        begun.push(begin(&server, &key, &number(nth), wait_ms).await);
    }
    for one in &begun {
        eventually("WhatsApp has accepted", async || {
            (get(&server, &key, &one.id).await["attempts"][0]["status"] == "accepted").then_some(())
        })
        .await;
    }
    server.kill_9();
    let killed = SystemTime::now();
    assert_eq!(outside.meta.messages().len(), begun.len());
    assert_eq!(
        outside.twilio.requests().len(),
        0,
        "the machine was too slow for this test: an SMS was due before the kill"
    );

    let overdue = begun
        .iter()
        .map(|one| one.due)
        .filter(|due| *due < killed + Duration::from_secs(6))
        .max()
        .unwrap();
    // Not a hope: the moment that the last of the short waits ends, while nobody is there to see it.
    tokio::time::sleep(overdue.duration_since(SystemTime::now()).unwrap_or_default()).await;
    let server = outside.serve(&home);
    let back = SystemTime::now();
    let late = begun.iter().filter(|one| one.due < back).count();
    assert!(late >= EACH as usize, "{late} are overdue");

    outside.twilio.wait_for_messages(begun.len(), WAIT_MAX).await;
    for one in &begun {
        let code = outside.meta.messages_to(&one.to)[0].code.clone().expect("a code");
        let texts = outside.twilio.messages_to(&one.to);
        assert!(
            texts[0].body.as_deref().is_some_and(|body| body.contains(&code)),
            "another code by SMS"
        );
        assert!(
            texts[0].at >= one.due,
            "an SMS went out {:?} early",
            one.due.duration_since(texts[0].at)
        );
        let lateness = texts[0].at.duration_since(one.due.max(back)).unwrap_or_default();
        assert!(lateness < LATE_MAX, "an SMS went out {lateness:?} late");
        let checked = check(&server, &key, &one.id, &code).await;
        assert_eq!((&checked["valid"], &checked["status"]), (&true.into(), &"approved".into()));
    }
    // Whatever is still under way is finished before the last count.
    let mut server = server;
    assert_eq!(server.terminate(), Some(0));
    for one in &begun {
        assert_eq!(outside.meta.messages_to(&one.to).len(), 1, "a second WhatsApp message");
        assert_eq!(outside.twilio.messages_to(&one.to).len(), 1, "a second SMS");
    }
    assert_eq!(
        (outside.meta.requests().len(), outside.twilio.requests().len()),
        (begun.len(), begun.len())
    );
}

/// What one caller knows of one of its verifications.
#[derive(Clone, Debug)]
struct History {
    id: String,
    code: String,
    to: String,
    /// Wrong checks that were answered with `incorrect_code`.
    wrong_answered: u32,
    /// Wrong checks that were sent, answered or not.
    wrong_sent: u32,
}

/// One caller in one life of the server: begins, and guesses wrong twice, until the server is gone.
async fn caller(url: String, key: String, numbers: Arc<AtomicU32>, answered: Arc<AtomicU32>) -> Vec<History> {
    const GUESSES: u32 = 2;
    let http = client();
    let mut histories = Vec::new();
    loop {
        let nth = numbers.fetch_add(1, Ordering::Relaxed);
        let (to, code) = (number(nth), format!("9{nth:05}"));
        let begin = http
            .post(format!("{url}{VERIFICATIONS}"))
            .bearer_auth(&key)
            .json(&json!({"to": to, "code": code}));
        let Some(begun) = answer(begin, 201).await else {
            return histories;
        };
        answered.fetch_add(1, Ordering::Relaxed);
        let id = begun["id"].as_str().unwrap().to_owned();
        histories.push(History {
            id: id.clone(),
            code,
            to,
            wrong_answered: 0,
            wrong_sent: 0,
        });
        let history = histories.last_mut().unwrap();
        for _ in 0..GUESSES {
            history.wrong_sent += 1;
            let guess = http
                .post(format!("{url}{VERIFICATIONS}/{id}/check"))
                .bearer_auth(&key)
                .json(&json!({"code": "000000"}));
            let Some(checked) = answer(guess, 200).await else {
                return histories;
            };
            assert_eq!(checked["reason"], "incorrect_code");
            history.wrong_answered += 1;
        }
    }
}

/// A whole answer with this status; `None` when the server was killed first.
async fn answer(request: reqwest::RequestBuilder, status: u16) -> Option<Value> {
    let answer = request.send().await.ok()?;
    let got = answer.status().as_u16();
    let body = answer.text().await.ok()?;
    assert_eq!(got, status, "{body}");
    Some(serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repeated_kills_under_load_lose_nothing_that_was_answered_and_call_no_provider_twice() {
    const KILLS: u32 = 8;
    const CALLERS: u32 = 8;
    const CHECKS: u32 = 5;
    /// The shortest life of a code, the minute that law 4 gives, and the start of a server.
    const ENDED_MAX: Duration = Duration::from_secs(30 + 60 + 30);
    let outside = Outside::start().await;
    // Answers are held back, so that kills fall between a call and its outcome.
    outside
        .meta
        .default_script(cloud_api::Script::silent().answered_after(Duration::from_millis(40)));
    outside
        .twilio
        .default_script(twilio::Script::silent().answered_after(Duration::from_millis(40)));
    let home = outside.home(
        "own_codes = true\ncode_ttl_s = 30\nresend_cooldown_s = 0\nmax_checks = 5\n\
         workflow = [ {channel = \"whatsapp\", sender = 1, wait_ms = 400}, {channel = \"sms\", sender = 42} ]",
    );
    let key = home.key("demo");
    let numbers = Arc::new(AtomicU32::new(0));
    let mut histories: Vec<History> = Vec::new();
    for kill in 0..KILLS {
        let mut server = outside.serve_with(&home, |command| {
            command.env("TAPCODE__LOG__LEVEL", "warn");
        });
        let answered = Arc::new(AtomicU32::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(caller(
                server.url.clone(),
                key.clone(),
                Arc::clone(&numbers),
                Arc::clone(&answered),
            ));
        }
        // A life is over after so many begins; the fallbacks of the one before run meanwhile.
        let enough = 4 + 6 * kill;
        eventually("enough begins in this life", async || {
            (answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
        server.kill_9();
        while let Some(caller) = callers.join_next().await {
            histories.extend(caller.expect("no caller panics"));
        }
    }

    let mut server = outside.serve_with(&home, |command| {
        command.env("TAPCODE__LOG__LEVEL", "warn");
    });
    let mut ends: HashMap<&str, u32> = HashMap::new();
    for (nth, history) in histories.iter().enumerate() {
        let found = get(&server, &key, &history.id).await;
        if found["status"] == "pending" {
            let left = found["checks_left"].as_u64().unwrap() as u32;
            assert!(
                left <= CHECKS - history.wrong_answered,
                "a counted check is forgotten: {history:?}, {found}"
            );
            assert!(
                left >= CHECKS - history.wrong_sent,
                "a check is counted twice: {history:?}, {found}"
            );
            let mut evaluated = CHECKS - left;
            if nth % 3 == 0 {
                for _ in 0..=CHECKS {
                    let reason = check(&server, &key, &history.id, "000000").await["reason"].clone();
                    assert!(
                        reason == "incorrect_code" || reason == "too_many_checks" || reason == "expired",
                        "{reason}"
                    );
                    evaluated += u32::from(reason == "incorrect_code");
                }
                assert!(evaluated <= CHECKS, "{evaluated} guesses were evaluated: {history:?}");
            } else if nth % 3 == 1 {
                let checked = check(&server, &key, &history.id, &history.code).await;
                assert!(checked["valid"] == true || checked["reason"] == "expired", "{checked}");
            }
        }
    }
    let until = tokio::time::Instant::now() + ENDED_MAX;
    for history in &histories {
        let status = loop {
            let found = get(&server, &key, &history.id).await;
            if found["status"] != "pending" {
                break found["status"].as_str().unwrap().to_owned();
            }
            assert!(tokio::time::Instant::now() < until, "not over within {ENDED_MAX:?}: {found}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let word = ["approved", "expired", "max_checks_reached"]
            .into_iter()
            .find(|known| *known == status);
        *ends
            .entry(word.unwrap_or_else(|| panic!("{status}: {history:?}")))
            .or_default() += 1;
    }
    assert!(ends.len() == 3, "not every end was reached: {ends:?}");
    assert_eq!(server.terminate(), Some(0));

    // Also for those whose begin was never answered: one call per attempt, one attempt per step.
    let (mut twice, mut whatsapp, mut sms) = (Vec::new(), 0, 0);
    for nth in 0..numbers.load(Ordering::Relaxed) {
        let to = number(nth);
        let calls = outside
            .meta
            .requests()
            .iter()
            .filter(|r| r.to.as_deref() == Some(&to))
            .count();
        let texts = outside
            .twilio
            .requests()
            .iter()
            .filter(|r| r.to.as_deref() == Some(&to))
            .count();
        whatsapp += calls;
        sms += texts;
        if calls > 1 || texts > 1 {
            twice.push((to, calls, texts));
        }
    }
    assert!(twice.is_empty(), "more than one call for a step: {twice:?}");
    assert!(
        whatsapp > histories.len() / 2 && sms > 0,
        "{whatsapp} WhatsApp and {sms} SMS for {}",
        histories.len()
    );
    for history in &histories {
        let texts = outside.twilio.messages_to(&history.to);
        assert!(
            texts
                .iter()
                .all(|text| text.body.as_deref().is_some_and(|body| body.contains(&history.code)))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_check_is_counted_before_its_answer_leaves() {
    let outside = Outside::start().await;
    let home = outside.home("max_checks = 5");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let begun = begin(&server, &key, &number(1), 600_000).await;
    let code = outside.meta.wait_for_messages(1, WAIT_MAX).await[0].code.clone().unwrap();
    for left in [4, 3, 2, 1, 0] {
        let checked = check(&server, &key, &begun.id, wrong_for(&code)).await;
        server.kill_9();
        assert_eq!(
            (&checked["reason"], &checked["checks_left"]),
            (&"incorrect_code".into(), &left.into()),
            "{checked}"
        );
        server = outside.serve(&home);
        assert_eq!(get(&server, &key, &begun.id).await["checks_left"], left);
    }
    let checked = check(&server, &key, &begun.id, &code).await;
    assert_eq!(
        (&checked["valid"], &checked["reason"]),
        (&false.into(), &"too_many_checks".into()),
        "{checked}"
    );
    assert_eq!(get(&server, &key, &begun.id).await["status"], "max_checks_reached");
}
