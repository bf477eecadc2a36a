//! Do the limits hold when everything comes at once?

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::world::{NUMBER, World, wrong};

const PATH: &str = "/api/v1/verifications";

async fn all_at_once(world: &Arc<World>, count: usize, path: &str, body: &str) -> Vec<serde_json::Value> {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (world, path, body) = (Arc::clone(world), path.to_owned(), body.to_owned());
        asking.spawn(async move { world.post(&world.live, &path, &body).await.json() });
    }
    asking.join_all().await
}

fn counted(answers: &[serde_json::Value], field: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer[field].to_string()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_three_hundred_wrong_checks_at_once_five_are_counted() {
    let world = Arc::new(World::begin().await);
    let (id, code) = world.begun().await;
    let body = json!({ "code": wrong(&code) }).to_string();
    let answers = all_at_once(&world, 300, &format!("{PATH}/{id}/check"), &body).await;
    let counts = counted(&answers, "reason");
    assert_eq!(
        counts,
        BTreeMap::from([("\"incorrect_code\"".into(), 5), ("\"too_many_checks\"".into(), 295)])
    );
    assert_eq!(
        world.get(&world.live, &format!("{PATH}/{id}")).await.expect(200)["status"],
        "max_checks_reached"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_right_checks_at_once_one_is_approved() {
    let world = Arc::new(World::begin().await);
    let (id, code) = world.begun().await;
    let answers = all_at_once(
        &world,
        100,
        &format!("{PATH}/{id}/check"),
        &json!({ "code": code }).to_string(),
    )
    .await;
    assert_eq!(
        counted(&answers, "valid"),
        BTreeMap::from([("true".into(), 1), ("false".into(), 99)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_seventy_two_differently_spelled_begins_at_once_one_sends() {
    let world = Arc::new(World::begin().await);
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..72 {
        let spaced: String = NUMBER
            .chars()
            .enumerate()
            .map(|(at, c)| {
                if at > 0 && at % (2 + n % 7) == 0 {
                    format!("{c}{}", [" ", "-", "."][n % 3])
                } else {
                    c.into()
                }
            })
            .collect();
        let (world, body) = (
            Arc::clone(&world),
            json!({ "to": spaced, "purpose": format!("p{}", n % 5) }).to_string(),
        );
        asking.spawn(async move { world.post(&world.live, PATH, &body).await.status.as_u16() });
    }
    let statuses = asking.join_all().await;
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|s| [201, 429].contains(s)), "{statuses:?}");
}
