//! Does only Meta change what is known of an account, and is everybody else counted?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};
use tapcode_simulator::cloud_api::TemplateState;

use crate::meta::WABA;
use crate::stage::{Stage, TEMPLATES};

/// Counts hooks by their result.
#[derive(Clone, Default)]
struct Counted(Arc<Mutex<BTreeMap<String, u64>>>);

struct One(Counted, String);

impl CounterFn for One {
    fn increment(&self, by: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let result = key.labels().find(|l| l.key() == "result");
        match result.filter(|_| key.name() == "tapcode_hooks_total") {
            Some(label) => Counter::from_arc(Arc::new(One(self.clone(), label.value().to_owned()))),
            None => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn of_another(body: &[u8]) -> Vec<u8> {
    String::from_utf8(body.to_vec()).unwrap().replace(WABA, "200").into_bytes()
}

#[tokio::test]
async fn nobody_but_meta_approves_a_template_and_whoever_tries_is_counted() {
    let stage = Stage::with(|meta| meta.has("login_otp", "en", TemplateState::Pending)).await;
    let counted = Counted::default();
    let _guard = metrics::set_default_local_recorder(&counted);
    let approved = stage.meta.decide("login_otp", "en", TemplateState::Approved).await;
    let elsewhere = of_another(&approved);
    let of_elsewhere = stage.meta.signed(&elsewhere);
    let right = stage.meta.signed(&approved);
    let forged = right.replace(|c: char| c.is_ascii_digit(), "0");
    for (body, signature, status) in [
        (approved.clone(), None, 401),
        (approved.clone(), Some(&*forged), 401),
        (approved.clone(), Some(&right["sha256=".len()..]), 401),
        (elsewhere, Some(&*of_elsewhere), 403),
        (b"not JSON".to_vec(), Some(&*right), 401),
        (b"not JSON".to_vec(), Some(&*stage.meta.signed(b"not JSON")), 400),
    ] {
        assert_eq!(stage.hook_signed(body, signature).await, status);
    }
    let status = async |key: &str| stage.get(key, TEMPLATES).await.expect(200)["data"][0]["status"].clone();
    assert_eq!(status(&stage.live).await, "pending");
    assert_eq!(
        stage.events(&stage.admin, "template.status_changed").await,
        Vec::<Value>::new()
    );
    assert_eq!(stage.hook(approved).await, 200);
    assert_eq!(status(&stage.live).await, "approved");
    let counts: Vec<(String, u64)> = counted.0.lock().unwrap().clone().into_iter().collect();
    let count = |word: &str, n| (word.to_owned(), n);
    assert_eq!(
        counts,
        [
            count("foreign", 1),
            count("malformed", 1),
            count("signature", 4),
            count("taken", 1)
        ]
    );
}

#[tokio::test]
async fn a_hook_of_three_megabytes_is_taken() {
    let stage = Stage::with(|meta| meta.has("login_otp", "en", TemplateState::Pending)).await;
    let mut body: Value = serde_json::from_slice(&stage.meta.decide("login_otp", "en", TemplateState::Approved).await).unwrap();
    body["entry"][0]["something_of_tomorrow"] = json!("x".repeat(3 * 1024 * 1024));
    assert_eq!(stage.hook(body.to_string().into_bytes()).await, 200);
    assert_eq!(stage.events(&stage.live, "template.status_changed").await.len(), 1);
}
