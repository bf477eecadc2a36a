//! Can a number be forgotten, wholly and for good, and can its holder see what is kept until then?

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tapcode_core::number::Number;
use tapcode_core::recipient::{Mode, RecipientKey, Scope, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{Line, Subject, Sweep};
use tapcode_store::sqlite::SqliteStore;

use crate::world::{NUMBER, World, wrong};

const USER: &str = "u_4711_of_acme";
const IP: &str = "203.0.113.77";
const AGENT: &str = "Tracer/9.1";
const PAYEE: &str = "Grocer at the corner";

fn path(number: &str, tail: &str) -> String {
    format!("/api/v1/recipients/{number}{tail}?service=acme")
}

fn scope() -> Scope {
    Scope {
        service: ServiceName::parse("acme").unwrap(),
        mode: Mode::Live,
    }
}

fn key_of(world: &World, number: &str) -> RecipientKey {
    world
        .engine
        .keyring()
        .recipient_key(&scope(), &Number::parse(number).unwrap())
}

async fn erase(world: &World, number: &str) {
    let erased = world.ask(&world.admin, Method::DELETE, &path(number, ""), None, &[]).await;
    assert_eq!(erased.status, 204, "{}", erased.problem());
}

/// A verification with something of everything that a caller can tell; its id and code.
async fn a_story(world: &World, number: &str) -> (String, String) {
    let body = json!({ "to": number, "purpose": "payment", "metadata": { "user": format!("{USER}{}", &number[1..]) },
        "binding": { "payee": PAYEE }, "client": { "ip": IP, "user_agent": AGENT } });
    let key = format!("once-{number}");
    let headers = [("idempotency-key", &*key)];
    let begun = world
        .ask(
            &world.live,
            Method::POST,
            "/api/v1/verifications",
            Some(&body.to_string()),
            &headers,
        )
        .await
        .expect(201);
    let id = begun["id"].as_str().unwrap().to_owned();
    let code = world.code(&id).await;
    (id, code)
}

async fn guess(world: &World, id: &str, code: &str) -> Value {
    let guess = json!({ "code": wrong(code), "binding": { "payee": PAYEE } }).to_string();
    world
        .post(&world.live, &format!("/api/v1/verifications/{id}/check"), &guess)
        .await
        .expect(200)
}

async fn plain(world: &World, number: &str) -> String {
    let body = json!({ "from_number_id": 43, "to": number, "body": "see you at 10" }).to_string();
    let sent = world.post(&world.live, "/api/v1/sms/messages", &body).await.expect(201);
    sent["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_erased_number_is_unknown_to_everybody_and_a_running_verification_is_over() {
    let world = World::begin().await;
    let (id, code) = a_story(&world, NUMBER).await;
    let message = plain(&world, NUMBER).await;
    world.pass(3_000).await;
    guess(&world, &id, &code).await;
    let before = world.get(&world.live, "/api/v1/events").await.expect(200);
    assert!(before["data"].as_array().unwrap().len() > 3);

    erase(&world, NUMBER).await;
    let verification = format!("/api/v1/verifications/{id}");
    let right = json!({ "code": code, "binding": { "payee": PAYEE } }).to_string();
    world
        .post(&world.live, &format!("{verification}/check"), &right)
        .await
        .refuses(404, "verification_not_found");
    let by_number = json!({ "to": NUMBER, "purpose": "payment", "code": code, "binding": { "payee": PAYEE } });
    world
        .post(&world.live, "/api/v1/verifications/check", &by_number.to_string())
        .await
        .refuses(404, "verification_not_found");
    for tail in ["", "/timeline"] {
        world
            .get(&world.live, &format!("{verification}{tail}"))
            .await
            .refuses(404, "verification_not_found");
    }
    world
        .get(&world.live, &format!("/api/v1/sms/messages/{message}"))
        .await
        .refuses(404, "message_not_found");
    let listed = world
        .get(
            &world.live,
            &format!("/api/v1/verifications?to={}", NUMBER.replace('+', "%2B")),
        )
        .await
        .expect(200);
    assert_eq!(listed["data"], json!([]));
    let after = world.get(&world.live, "/api/v1/events").await.expect(200);
    assert_eq!(after["data"], json!([]), "nobody is told of it any more");
    // Whoever read that far reads on.
    let cursor = before["next_cursor"].as_str().unwrap();
    world
        .get(&world.live, &format!("/api/v1/events?after={cursor}"))
        .await
        .expect(200);
    let lines = world.store.lines(None, 1_000).await.unwrap();
    let erased = |line: &Line| matches!(line, Line::Recipient(entry) if entry.is_erased());
    assert!(lines.len() > 3 && lines.iter().all(|(_, line)| erased(line)), "counts stay");

    erase(&world, NUMBER).await;
    erase(&world, "+31611398050").await;
    // Nothing that was under way writes of it again.
    world.pass(600_000).await;
    assert_eq!(world.store.history(&key_of(&world, NUMBER), None, 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_erasure_gives_no_messages_back_and_no_guesses() {
    let world = World::begin().await;
    let mut failed = 0;
    for _ in 0..4 {
        let (id, code) = world.begun().await;
        for _ in 0..4 {
            failed += 1;
            guess_plainly(&world, &id, &code).await;
        }
        erase(&world, NUMBER).await;
        let again = world
            .post(&world.live, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string())
            .await;
        assert!(again.header("retry-after").parse::<u64>().unwrap() <= 60);
        again.refuses(429, "resend_too_soon");
        world.pass(61_000).await;
    }
    let known = world.get(&world.admin, &path(NUMBER, "")).await.expect(200);
    assert_eq!(
        (&known["failed_checks"]["default"], &known["sends_within_hour"]),
        (&json!(failed), &json!(4))
    );
    assert!(known["erased_until"].as_str() > Some("2026-12-23T09:0"), "{known}");
    // The twentieth failure locks the number, as if nothing had been erased; and so does the fifth message use up the hour.
    let (id, code) = world.begun().await;
    for _ in 0..4 {
        guess_plainly(&world, &id, &code).await;
    }
    erase(&world, NUMBER).await;
    world.pass(61_000).await;
    let to = json!({ "to": NUMBER }).to_string();
    world
        .post(&world.live, "/api/v1/verifications", &to)
        .await
        .refuses(429, "recipient_locked");
    world.post(&world.admin, &path(NUMBER, "/unlock"), "{}").await.expect(200);
    world
        .post(&world.live, "/api/v1/verifications", &to)
        .await
        .refuses(429, "hourly_send_limit");
}

async fn guess_plainly(world: &World, id: &str, code: &str) {
    let guess = json!({ "code": wrong(code) }).to_string();
    world
        .post(&world.live, &format!("/api/v1/verifications/{id}/check"), &guess)
        .await
        .expect(200);
}

#[tokio::test(start_paused = true)]
async fn only_an_admin_erases_and_exports_and_only_within_the_service() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    let export = format!("/api/v1/recipients/{NUMBER}/export");
    let recipient = format!("/api/v1/recipients/{NUMBER}");
    for key in [&world.live, &world.reader, &world.verifier] {
        world
            .ask(key, Method::DELETE, &recipient, None, &[])
            .await
            .refuses(403, "insufficient_rights");
        world.get(key, &export).await.refuses(403, "insufficient_rights");
    }
    world
        .ask(&world.admin, Method::DELETE, &recipient, None, &[])
        .await
        .refuses(400, "service_needed");
    world
        .ask(&world.admin, Method::DELETE, &path("0611398058", ""), None, &[])
        .await
        .refuses(400, "invalid_number");
    world
        .get(&world.admin, &format!("{export}?service=acme&cursor=evt_1"))
        .await
        .refuses(400, "invalid_cursor");
    for other in ["?service=own", "?service=acme&mode=test"] {
        let erased = world
            .ask(&world.admin, Method::DELETE, &format!("{recipient}{other}"), None, &[])
            .await;
        assert_eq!(erased.status, 204);
        let exported = world.get(&world.admin, &format!("{export}{other}")).await.expect(200);
        assert_eq!(exported["data"], json!([]));
    }
    world
        .get(&world.live, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_message_hears_at_once_that_it_is_gone() {
    let world = World::begin().await;
    let message = plain(&world, NUMBER).await;
    // Nobody reads text messages where somebody could see it.
    let waiting = format!("/api/v1/sms/messages/{message}?wait=read&timeout_ms=60000");
    let before = world.engine.now();
    let gone = async {
        world.pass(1_000).await;
        erase(&world, NUMBER).await;
    };
    let (answer, ()) = tokio::join!(world.get(&world.live, &waiting), gone);
    answer.refuses(404, "message_not_found");
    assert!(world.engine.now().millis_since(before) < 5_000);
}

/// A process that died after it began an erasure: whoever looks at what is due finishes it.
#[tokio::test(start_paused = true)]
async fn an_erasure_that_was_begun_is_finished_by_whoever_comes_next() {
    let world = World::begin().await;
    a_story(&world, NUMBER).await;
    world.pass(3_000).await;
    let key = key_of(&world, NUMBER);
    let begin = tapcode_core::step::Input::Erase {
        scope: scope(),
        country: Number::parse(NUMBER).unwrap().country(),
    };
    world
        .engine
        .apply(key, None, |_: Option<&_>, _: Timestamp| Ok(begin.clone()))
        .await
        .unwrap();
    let under_way = |document: Option<tapcode_core::recipient::Recipient>| document.unwrap().erased.unwrap().under_way;
    assert!(under_way(world.store.load(&key).await.unwrap().map(|found| found.value)));
    let refused = world
        .post(&world.live, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string())
        .await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.refuses(409, "erasure_under_way");
    world.pass(6_000).await;
    assert!(!under_way(world.store.load(&key).await.unwrap().map(|found| found.value)));
    assert_eq!(world.store.history(&key, None, 10).await.unwrap(), []);
    world.pass(60_000).await;
    world.begun().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_erased_number_is_forgotten_after_thirty_days() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    guess_plainly(&world, &id, &code).await;
    erase(&world, NUMBER).await;
    let key = key_of(&world, NUMBER);
    let left = world.store.load(&key).await.unwrap().unwrap().value;
    let until = left.erased.unwrap().until();
    assert_eq!(until.millis_since(left.erased.unwrap().at), 30 * 86_400_000);
    let tick = |at: Timestamp| {
        tapcode_core::step::step(
            Some(left.clone()),
            &tapcode_core::step::Input::Tick,
            &tapcode_core::step::Context {
                now: at,
                fresh: tapcode_core::id::Fresh([0; 16]),
                may_call: &|_| Ok(()),
                routes: &tapcode_core::step::AllOpen,
            },
        )
    };
    assert!(tick(until.minus_millis(1)).next.is_some());
    assert!(tick(until).next.is_none());
    assert_eq!(tapcode_core::step::due_at(&left), Some(until));
}

/// Every page of an export.
async fn exported(world: &World, limit: usize) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    loop {
        let cursor = pages.last().map(|page| page["next_cursor"].as_str().unwrap().to_owned());
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("{}&limit={limit}{cursor}", path(NUMBER, "/export"));
        let page = world.get(&world.admin, &path).await.expect(200);
        let last = page["next_cursor"].is_null();
        pages.push(page);
        if last {
            return pages;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_has_whatever_the_store_has_and_neither_code_nor_key() {
    let world = World::begin().await;
    let (first, code) = a_story(&world, NUMBER).await;
    world.pass(3_000).await;
    guess(&world, &first, &code).await;
    let second = plain(&world, NUMBER).await;
    let pending = &exported(&world, 100).await[0]["data"][0]["verification"];
    assert!(pending["binding"].as_str().unwrap().contains(PAYEE), "{pending}");
    world.pass(61_000).await;
    let cancel = format!("/api/v1/verifications/{first}/cancel");
    world.post(&world.live, &cancel, "{}").await.expect(200);
    let (third, other_code) = world.begun().await;
    world.pass(3_000).await;

    let key = key_of(&world, NUMBER);
    for limit in [1, 2, 100] {
        let pages = exported(&world, limit).await;
        assert_eq!(pages.len(), 3_usize.div_ceil(limit));
        let text = Value::from(pages.clone()).to_string();
        for told in [NUMBER, USER, IP, AGENT, &first, &second, &third] {
            assert!(text.contains(told), "{told}");
        }
        for secret in [&code, &other_code, "see you at 10"] {
            assert!(!text.contains(secret), "{secret}");
        }
        let data: Vec<&Value> = pages.iter().flat_map(|page| page["data"].as_array().unwrap()).collect();
        // Against the store itself: every thing, every message of it with its provider's name, and every line.
        let kept = world.store.history(&key, None, 100).await.unwrap();
        assert_eq!(data.len(), kept.len());
        let mut events = BTreeSet::new();
        for (shown, kept) in data.iter().zip(&kept) {
            let (id, attempts) = match &kept.subject {
                Subject::Verification(v) => (v.id.to_string(), v.attempts.len()),
                Subject::Message(m) => (m.id.to_string(), 0),
            };
            let about = if shown["message"].is_null() {
                &shown["verification"]
            } else {
                &shown["message"]
            };
            assert_eq!(about["id"], json!(id));
            let messages = about["attempts"].as_array().map_or(&[][..], |all| &all[..]);
            assert_eq!(messages.len(), attempts);
            for message in messages {
                let name = message["provider_message_id"].as_str().unwrap();
                let sender = format!("whatsapp:{}", message["sender"]);
                let handle = world.engine.keyring().provider_handle(&sender, name);
                let found = world.store.find(&sender, &handle).await.unwrap();
                assert_eq!(found.map(|(of, _)| of), Some(key), "the name that the provider knows it by");
            }
            let timeline = shown["timeline"].as_array().unwrap();
            events.extend(timeline.iter().map(|line| line["id"].as_str().unwrap().to_owned()));
        }
        let lines = world.store.lines(None, 1_000).await.unwrap();
        let of_number: BTreeSet<String> = lines
            .iter()
            .filter_map(|(_, line)| match line {
                Line::Recipient(entry) => Some(entry.id.to_string()),
                Line::Account(_) | Line::Endpoint(_) => None,
            })
            .collect();
        assert_eq!(events, of_number, "every line of the log");
        let beside = &pages[0]["beside"];
        assert_eq!(beside["answers_until"].as_array().unwrap().len(), 1);
        let record = &pages[0]["record"];
        assert_eq!(record["sends_at"].as_array().unwrap().len(), 2);
        assert_eq!(record["failed_checks"], json!({ "payment": 1 }));
        assert_eq!(record["holds"].as_array().unwrap().len(), 3);
        assert!(pages.iter().skip(1).all(|page| page.get("record").is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_behind_what_is_past_keeping_says_so_and_starting_anew_works() {
    let world = World::begin().await;
    a_story(&world, NUMBER).await;
    world.pass(3_000).await;
    let page = world.get(&world.live, "/api/v1/events?limit=1").await.expect(200);
    let old = page["next_cursor"].as_str().unwrap().to_owned();
    let all = world.get(&world.live, "/api/v1/events").await.expect(200);
    let new = all["next_cursor"].as_str().unwrap().to_owned();
    world.pass(600_000).await;
    let all = world.get(&world.live, "/api/v1/events").await.expect(200);
    let newest = all["next_cursor"].as_str().unwrap().to_owned();
    let service = scope().service;
    let sweep = Sweep {
        now: world.engine.now(),
        history_before: Timestamp::from_millis(0),
        services: vec![(service, world.engine.now())],
        acts_before: Timestamp::from_millis(0),
        written_before_hour: 0,
        limit: 1_000,
    };
    assert!(world.store.sweep(&sweep).await.unwrap() > 3);
    for (cursor, gone) in [(&old, true), (&new, true), (&newest, false)] {
        for list in ["/api/v1/events", "/api/v1/events/stream"] {
            let answer = world.get_head(&world.live, &format!("{list}?after={cursor}")).await;
            assert_eq!(answer.0, if gone { 410 } else { 200 }, "{list} behind {cursor}");
        }
    }
    world
        .get(&world.live, &format!("/api/v1/events?after={old}"))
        .await
        .refuses(410, "cursor_expired");
    let anew = world.get(&world.live, "/api/v1/events").await.expect(200);
    assert_eq!(anew["data"], json!([]));
    // Another service has lost nothing.
    world
        .get(&world.other, &format!("/api/v1/events?after={old}"))
        .await
        .expect(200);
    world.begun().await;
    let cursor = anew["next_cursor"].as_str().unwrap();
    let page = world
        .get(&world.live, &format!("/api/v1/events?after={cursor}"))
        .await
        .expect(200);
    assert_eq!(page["data"][0]["type"], "verification.created");
}

/// `acme` keeps history for a day as everybody does, `own` for two; and each an hour longer, because of late receipts.
#[tokio::test(start_paused = true)]
async fn a_service_sweeps_by_its_own_days() {
    let world = World::begin().await;
    let (of_acme, _) = world.begun().await;
    let to = json!({ "to": NUMBER }).to_string();
    let begun = world.post(&world.other, "/api/v1/verifications", &to).await.expect(201);
    let of_own = begun["id"].as_str().unwrap().to_owned();
    // By then both have expired.
    world.pass(400_000).await;
    let hour = Duration::from_secs(3_600);
    let mut passed = 0;
    for (hours, acme, own) in [(24, 200, 200), (26, 404, 200), (48, 404, 200), (50, 404, 404)] {
        tokio::time::advance(hour * (hours - passed)).await;
        passed = hours;
        // A sweep or two.
        world.pass(70_000).await;
        for (key, id, status) in [(&world.live, &of_acme, acme), (&world.other, &of_own, own)] {
            let found = world.get(key, &format!("/api/v1/verifications/{id}")).await;
            assert_eq!(found.status, status, "{id} after {hours} hours");
            let events = world.get(key, "/api/v1/events").await.expect(200);
            assert_eq!(events["data"].as_array().unwrap().is_empty(), status == 404);
        }
    }
}

/// How often each of some things, of eight bytes at least, stands in a dump: one walk, found by their first bytes.
fn count(dump: &[u8], things: &[Vec<u8>]) -> Vec<usize> {
    let first = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let mut by_first: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, thing) in things.iter().enumerate() {
        by_first.entry(first(thing)).or_default().push(at);
    }
    let mut counts = vec![0; things.len()];
    for at in 0..dump.len().saturating_sub(8) {
        for thing in by_first.get(&first(&dump[at..])).into_iter().flatten() {
            counts[*thing] += usize::from(dump[at..].starts_with(&things[*thing]));
        }
    }
    counts
}

fn dump(path: &Path) -> Vec<u8> {
    let mut all = std::fs::read(path).unwrap();
    let log = path.with_extension("db-wal");
    all.extend(std::fs::read(log).unwrap_or_default());
    all
}

/// What could tell of a number, as the database writes it.
async fn traces_of(world: &World, number: &str) -> Vec<Vec<u8>> {
    let key = key_of(world, number);
    let document = world.store.load(&key).await.unwrap().unwrap().value;
    let mut traces: Vec<Vec<u8>> = vec![
        document.masked.as_str().into(),
        document.number.clone().unwrap().0.to_vec(),
        format!("{USER}{}", &number[1..]).into_bytes(),
    ];
    for snapshot in world.store.history(&key, None, 10).await.unwrap() {
        let deliveries = match &snapshot.subject {
            Subject::Verification(v) => {
                traces.push(v.id.as_bytes().to_vec());
                traces.push(v.binding.as_ref().unwrap().sealed.0.to_vec());
                v.attempts.iter().map(|a| (a.id, a.delivery.clone())).collect()
            }
            Subject::Message(m) => vec![(m.id, m.delivery.clone())],
        };
        for (id, delivery) in deliveries {
            traces.push(id.as_bytes().to_vec());
            traces.extend(delivery.provider_message_id.map(|name| name.as_bytes().to_vec()));
        }
    }
    traces
}

/// The whole database, byte by byte, its free pages and its write-ahead log among them, with others at work in the same pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_an_erased_number_is_left_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tapcode.db");
    let store = Arc::new(SqliteStore::open(&file).unwrap());
    let world = World::begin_on(store).await;
    let numbers: Vec<String> = (0..120).map(|n| format!("+316202{n:05}")).collect();
    for number in &numbers {
        let (id, code) = a_story(&world, number).await;
        guess(&world, &id, &code).await;
    }
    let message = plain(&world, &numbers[0]).await;
    let waited = format!("/api/v1/sms/messages/{message}?wait=accepted&timeout_ms=20000");
    world.get(&world.live, &waited).await.expect(200);

    let erased: Vec<&String> = numbers.iter().step_by(3).collect();
    let mut traces = Vec::new();
    for number in &erased {
        traces.extend(traces_of(&world, number).await);
    }
    let before = dump(&file);
    for (times, trace) in count(&before, &traces).into_iter().zip(&traces) {
        assert!(times > 0, "{} was there", String::from_utf8_lossy(trace));
    }
    for number in &erased {
        erase(&world, number).await;
    }
    let emptied = async {
        while std::fs::metadata(file.with_extension("db-wal")).is_ok_and(|log| log.len() > 0) {
            tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>())
                .await
                .ok();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), emptied)
        .await
        .expect("the write-ahead log is emptied");
    let left = |dump: &[u8]| count(dump, &traces).into_iter().filter(|times| *times > 0).count();
    let after = dump(&file);
    // SQLite overwrites what it deletes. Where it once moved a row to another page it may have left a copy.
    let copies = left(&after);
    assert!(copies < erased.len(), "{copies} of {} traces are left", traces.len());
    println!("{copies} of {} traces are left before the file is written anew", traces.len());
    tapcode_store::sqlite::compact(&file).unwrap();
    let after = dump(&file);
    assert_eq!(left(&after), 0, "of {} traces", traces.len());
    // What limits whoever holds the number: in its row, in the index of rows, and where it is due.
    let keys: Vec<Vec<u8>> = erased.iter().map(|number| key_of(&world, number).0.to_vec()).collect();
    let keys = count(&after, &keys);
    assert!(keys.iter().all(|times| (1..=3).contains(times)), "{keys:?}");
    assert!(count(&after, &[USER.as_bytes().to_vec()])[0] > 0, "others are still there");
    // And the server goes on.
    world.pass(0).await;
    a_story(&world, NUMBER).await;
}
