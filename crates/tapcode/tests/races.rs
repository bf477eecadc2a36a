//! What do many callers at once get, that one after another would not? Nothing: one approval, five guesses, one message.

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use harness::outside::{Outside, number, wrong_for};
use harness::{Answer, Server, WAIT_MAX, client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const VERIFICATIONS: &str = "/api/v1/verifications";

/// Sends all of them at once; their answers in the order of the requests.
async fn at_once(requests: Vec<reqwest::RequestBuilder>) -> Vec<Answer> {
    let count = requests.len();
    let mut under_way = JoinSet::new();
    for (nth, request) in requests.into_iter().enumerate() {
        under_way.spawn(async move {
            let answer = request.send().await.expect("an answer");
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (nth, Answer { status, headers, body: answer.text().await.expect("a whole answer") })
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(done) = under_way.join_next().await {
        let (nth, answer) = done.expect("no request panics");
        answers.insert(nth, answer);
    }
    assert_eq!(answers.len(), count);
    answers.into_values().collect()
}

async fn begin(server: &Server, key: &str) -> String {
    let begun = server.post(VERIFICATIONS, key, json!({"to": number(1)})).await.expect(201);
    begun["id"].as_str().unwrap().to_owned()
}

fn checks(server: &Server, key: &str, id: &str, code: &str, count: usize) -> Vec<reqwest::RequestBuilder> {
    let http = client();
    let check = |_| http.post(format!("{}{VERIFICATIONS}/{id}/check", server.url)).bearer_auth(key).json(&json!({"code": code}));
    (0..count).map(check).collect()
}

/// How often each word was answered.
fn counted(answers: &[Answer], word: impl Fn(&Value) -> String) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        *counted.entry(word(&answer.expect(200))).or_default() += 1;
    }
    counted
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_300_wrong_checks_at_once_five_are_counted() {
    let outside = Outside::start().await;
    let home = outside.home("max_checks = 5");
    let server = outside.serve(&home);
    let key = home.key("demo");
    let id = begin(&server, &key).await;
    let code = outside.meta.wait_for_messages(1, WAIT_MAX).await[0].code.clone().unwrap();

    let answers = at_once(checks(&server, &key, &id, wrong_for(&code), 300)).await;
    let reasons = counted(&answers, |answer| text(&answer["reason"]));
    let expected = [("incorrect_code", 5), ("too_many_checks", 295)].map(|(word, count)| (word.to_owned(), count));
    assert_eq!(reasons, BTreeMap::from(expected));
    // Each of the five told the next lower number: none was counted under another one's name.
    let of_five = answers.iter().map(Answer::json).filter(|a| a["reason"] == "incorrect_code");
    let left: BTreeSet<u64> = of_five.map(|a| a["checks_left"].as_u64().unwrap()).collect();
    assert_eq!(left, BTreeSet::from([0, 1, 2, 3, 4]));
    let right = at_once(checks(&server, &key, &id, &code, 1)).await;
    assert_eq!(right[0].json()["reason"], "too_many_checks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_100_right_checks_at_once_one_is_approved() {
    let outside = Outside::start().await;
    let home = outside.home("");
    let server = outside.serve(&home);
    let key = home.key("demo");
    let id = begin(&server, &key).await;
    let code = outside.meta.wait_for_messages(1, WAIT_MAX).await[0].code.clone().unwrap();

    let answers = at_once(checks(&server, &key, &id, &code, 100)).await;
    let results = counted(&answers, |a| format!("{} {} {}", a["valid"], text(&a["status"]), text(&a["reason"])));
    let expected = [("true approved null", 1), ("false approved already_used", 99)].map(|(word, count)| (word.to_owned(), count));
    assert_eq!(results, BTreeMap::from(expected));
}

/// One number in 72 spellings, all of which the API takes.
fn spellings() -> Vec<String> {
    let between = ["", " ", "-", ".", "  ", " - "];
    let mut spellings = Vec::new();
    for first in between {
        for second in between {
            spellings.push(format!("+31{first}6{second}12000001"));
            spellings.push(format!("+31{first}(6){second}12 00 00-01"));
        }
    }
    assert_eq!(spellings.iter().collect::<BTreeSet<_>>().len(), 72);
    spellings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_72_begins_in_as_many_spellings_one_sends() {
    let outside = Outside::start().await;
    let home = outside.home("resend_cooldown_s = 60");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let http = client();
    // The limit is the number's: another purpose is no way around it.
    let begin = |(nth, to): (usize, String)| {
        let purpose = ["login", "payment", "default"][nth % 3];
        let body = json!({"to": to, "purpose": purpose});
        http.post(format!("{}{VERIFICATIONS}", server.url)).bearer_auth(&key).json(&body)
    };
    let answers = at_once(spellings().into_iter().enumerate().map(begin).collect()).await;
    let (begun, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(begun.len(), 1, "{answers:?}");
    for answer in refused {
        assert_eq!(answer.expect(429)["code"], "resend_too_soon", "{answer:?}");
        let after_s: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&after_s), "{after_s}");
    }
    outside.meta.wait_for_messages(1, WAIT_MAX).await;
    // Every call that was started is finished first.
    assert_eq!(server.terminate(), Some(0));
    assert_eq!((outside.meta.requests().len(), outside.twilio.requests().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_begins_with_one_idempotency_key_one_begins_and_all_are_told_the_same() {
    let outside = Outside::start().await;
    let home = outside.home("resend_cooldown_s = 0");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let http = client();
    let begin = |_| {
        let request = http.post(format!("{}{VERIFICATIONS}", server.url)).bearer_auth(&key);
        request.header("idempotency-key", "one-and-the-same").json(&json!({"to": number(1)}))
    };
    let answers = at_once((0..64).map(begin).collect()).await;
    let told: BTreeSet<(u16, &str)> = answers.iter().map(|answer| (answer.status, answer.body.as_str())).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(answers[0].status, 201);
    let all = server.get(&format!("{VERIFICATIONS}?limit=100"), &key).await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
    outside.meta.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!(server.terminate(), Some(0));
    assert_eq!((outside.meta.requests().len(), outside.twilio.requests().len()), (1, 0));
}
