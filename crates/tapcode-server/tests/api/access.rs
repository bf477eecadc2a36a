//! Who may call, how often and until when, and what is written down of those who administer?

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Method, Request};
use serde_json::{Value, json};
use tapcode_core::recipient::Mode;
use tapcode_engine::access::USE_NOTED_EVERY_MS;
use tapcode_engine::contract::store::{KeyCommit, Right, Store};
use tapcode_store::memory::MemoryStore;

use crate::world::{NUMBER, World};

const KEYS: &str = "/api/v1/api-keys";
const AUDIT: &str = "/api/v1/audit";
const ENDPOINTS: &str = "/api/v1/webhook-endpoints";

/// An operation that needs a key: method, a path of its kind, and the rights of which one is needed.
struct Keyed {
    method: Method,
    path: String,
    rights: Vec<Right>,
}

async fn keyed(world: &World) -> Vec<Keyed> {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let document = world.send(request).await.expect(200);
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"] == json!([]) {
                assert!(!path.starts_with("/api/"), "{path} is for everybody");
                continue;
            }
            let word = |right: &Value| Right::parse(right.as_str().unwrap()).unwrap();
            let rights = operation["x-tapcode-rights"]
                .as_array()
                .unwrap_or_else(|| panic!("{path} says no right"));
            all.push(Keyed {
                method: method.to_uppercase().parse().unwrap(),
                path: path
                    .replace("{number}", "+31611398058")
                    .replace("{account_id}", "1")
                    .replace(['{', '}'], ""),
                rights: rights.iter().map(word).collect(),
            });
        }
    }
    assert!(all.len() > 30, "{}", all.len());
    all
}

async fn status(world: &World, key: &str, one: &Keyed) -> u16 {
    let request = Request::builder()
        .method(one.method.clone())
        .uri(&one.path)
        .header("authorization", format!("Bearer {key}"));
    use tower::ServiceExt;
    // The body is left alone: a stream has no end.
    let answer = world
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    answer.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_refused_to_a_key_without_its_right() {
    let world = World::begin().await;
    let operations = keyed(&world).await;
    for right in Right::ALL {
        let key = world.key(Some("acme"), Mode::Live, &[*right]).await;
        for one in &operations {
            let found = status(&world, &key, one).await;
            if one.rights.contains(right) {
                assert_ne!(found, 401, "{} {} with {right:?}", one.method, one.path);
            } else if *right != Right::Admin {
                assert_eq!(found, 403, "{} {} with {right:?}", one.method, one.path);
            }
        }
    }
    let powerless = world.key(Some("acme"), Mode::Live, &[]).await;
    for one in &operations {
        assert_eq!(status(&world, &powerless, one).await, 403, "{} {}", one.method, one.path);
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_refused_to_a_key_that_has_ended() {
    let world = World::begin().await;
    let now = world.engine.now();
    let mut ended = Vec::new();
    for (expires, revoked) in [(Some(now), None), (None, Some(now)), (Some(now.plus_millis(9)), Some(now))] {
        let mut new = world.engine.new_key(None, Mode::Live, Right::ALL.to_vec(), "ended");
        new.kept.expires_at = expires;
        new.kept.revoked_at = revoked;
        world.store.commit_key(&KeyCommit::from(new.kept)).await.unwrap();
        ended.push(new.text);
    }
    for one in keyed(&world).await {
        for key in &ended {
            assert_eq!(status(&world, key, &one).await, 401, "{} {}", one.method, one.path);
        }
    }
}

async fn made(world: &World, body: &Value) -> (String, String) {
    let made = world.post(&world.admin, KEYS, &body.to_string()).await.expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[tokio::test(start_paused = true)]
async fn a_key_is_shown_once_and_refused_on_every_node_at_the_request_after_its_revocation() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (here, there) = (
        World::begin_on(Arc::clone(&store)).await,
        World::begin_on(Arc::clone(&store)).await,
    );
    let (id, key) = made(&here, &json!({"service":"acme", "rights":["read"], "label":"the shop"})).await;
    assert!(key.starts_with("tc_live_"));
    for node in [&here, &there] {
        node.get(&key, "/api/v1/numbers").await.expect(200);
    }
    let path = format!("{KEYS}/{id}");
    let shown = here.get(&here.admin, &path).await.expect(200);
    assert_eq!((&shown["label"], &shown["status"]), (&json!("the shop"), &json!("active")));
    let list = here.get(&here.admin, KEYS).await.expect(200).to_string();
    assert!(list.contains(&id));
    assert!(!format!("{list}{shown}{:?}", store.keys().await.unwrap()).contains(&key));
    let gone = here.ask(&here.admin, Method::DELETE, &path, None, &[]).await;
    assert_eq!(gone.status, 204);
    for node in [&there, &here] {
        node.get(&key, "/api/v1/numbers").await.refuses(401, "unauthenticated");
    }
    assert_eq!(here.get(&here.admin, &path).await.expect(200)["status"], "revoked");
    let again = here.ask(&here.admin, Method::DELETE, &path, None, &[]).await;
    assert_eq!(again.status, 204, "twice is once");
}

#[tokio::test(start_paused = true)]
async fn a_key_expires_at_its_moment() {
    let world = World::begin().await;
    let at = world.engine.now().plus_millis(60_000).as_millis();
    let at = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
    let (_, key) = made(&world, &json!({"service":"acme", "rights":["read"], "expires_at":at})).await;
    world.pass(59_000).await;
    world.get(&key, "/api/v1/numbers").await.expect(200);
    world.pass(1_000).await;
    world.get(&key, "/api/v1/numbers").await.refuses(401, "unauthenticated");
    let late = json!({"service":"acme", "rights":["read"], "expires_at":at}).to_string();
    let refused = world.post(&world.admin, KEYS, &late).await.refuses(400, "invalid_request");
    assert_eq!(refused["errors"][0]["pointer"], "/expires_at");
}

#[tokio::test(start_paused = true)]
async fn a_key_makes_as_many_requests_as_it_may_and_others_are_not_held_up() {
    let world = World::begin().await;
    let limit = json!({"requests_per_second":2, "burst":3});
    let (_, key) = made(&world, &json!({"service":"acme", "rights":["read"], "rate_limit":limit})).await;
    for _ in 0..3 {
        world.get(&key, "/api/v1/numbers").await.expect(200);
    }
    let refused = world.get(&key, "/api/v1/numbers").await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.refuses(429, "too_many_requests");
    world.get(&world.reader, "/api/v1/numbers").await.expect(200);
    world.pass(500).await;
    world.get(&key, "/api/v1/numbers").await.expect(200);
    world.get(&key, "/api/v1/numbers").await.refuses(429, "too_many_requests");
    world.pass(60_000).await;
    for _ in 0..3 {
        world.get(&key, "/api/v1/numbers").await.expect(200);
    }
    world.get(&key, "/api/v1/numbers").await.refuses(429, "too_many_requests");
}

#[tokio::test(start_paused = true)]
async fn the_last_admin_key_is_not_revoked_over_the_api() {
    let world = World::begin().await;
    let (first, other) = made(&world, &json!({"rights":["admin"]})).await;
    // An admin key of a service, or one that has expired, administers nobody else.
    made(&world, &json!({"service":"acme", "rights":["admin"]})).await;
    let keys = world.get(&world.admin, KEYS).await.expect(200);
    let own = keys["data"].as_array().unwrap();
    let own = own
        .iter()
        .find(|key| key["rights"] == json!(["admin"]) && key["label"] == "test")
        .unwrap();
    let own = format!("{KEYS}/{}", own["id"].as_str().unwrap());
    let first = format!("{KEYS}/{first}");
    let (one, two) = tokio::join!(
        world.ask(&world.admin, Method::DELETE, &first, None, &[]),
        world.ask(&other, Method::DELETE, &own, None, &[]),
    );
    let mut gone = 0;
    for answer in [one, two] {
        match answer.status.as_u16() {
            204 => gone += 1,
            // Too late: its own key was revoked meanwhile, or it was the last.
            401 => {}
            _ => drop(answer.refuses(409, "last_admin_key")),
        }
    }
    assert_eq!(gone, 1);
    let (left, path) = if world.get(&world.admin, KEYS).await.status == 200 {
        (world.admin.clone(), own)
    } else {
        (other, first)
    };
    let refused = world.ask(&left, Method::DELETE, &path, None, &[]).await;
    refused.refuses(409, "last_admin_key");
    world.get(&left, KEYS).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_key_administers_no_further_than_it_reaches() {
    let world = World::begin().await;
    let of_acme = world.key(Some("acme"), Mode::Live, &[Right::Admin]).await;
    let of_test = world.key(None, Mode::Test, &[Right::Admin]).await;
    for (key, body) in [
        (&of_acme, json!({"service":"own", "rights":["read"]})),
        (&of_test, json!({"service":"acme", "rights":["read"], "mode":"live"})),
    ] {
        let refused = world.post(key, KEYS, &body.to_string()).await;
        refused.refuses(403, "insufficient_rights");
    }
    let own = world.post(&of_acme, KEYS, r#"{"rights":["verify"]}"#).await.expect(201);
    assert_eq!(own["service"], "acme");
    let seen = world.get(&of_acme, KEYS).await.expect(200);
    assert!(
        seen["data"].as_array().unwrap().iter().all(|key| key["service"] == "acme"),
        "{seen}"
    );
    let (foreign, _) = made(&world, &json!({"service":"own", "rights":["read"]})).await;
    let path = format!("{KEYS}/{foreign}");
    world.get(&of_acme, &path).await.refuses(404, "api_key_not_found");
    let refused = world.ask(&of_acme, Method::DELETE, &path, None, &[]).await;
    refused.refuses(404, "api_key_not_found");
    world.get(&of_acme, AUDIT).await.refuses(403, "insufficient_rights");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_makes_no_sense_is_told_everything_that_is_wrong() {
    let world = World::begin().await;
    let body = json!({"rights":["everything"], "service":"UPPER", "mode":"prod", "expires_at":"soon", "rate_limit":{"requests_per_second":0}});
    let refused = world
        .post(&world.admin, KEYS, &body.to_string())
        .await
        .refuses(400, "invalid_request");
    assert_eq!(refused["errors"].as_array().unwrap().len(), 5, "{refused}");
    world
        .post(&world.admin, KEYS, r#"{"rights":["read"]}"#)
        .await
        .refuses(400, "service_needed");
    let unknown = r#"{"rights":["read"],"service":"nobody"}"#;
    world
        .post(&world.admin, KEYS, unknown)
        .await
        .refuses(403, "service_not_configured");
}

#[tokio::test(start_paused = true)]
async fn the_last_use_of_a_key_is_known_to_ten_minutes_and_written_no_oftener() {
    let world = World::begin().await;
    let (id, key) = made(&world, &json!({"service":"acme", "rights":["read"]})).await;
    let used = async || {
        world.get(&key, "/api/v1/numbers").await.expect(200);
        // The request does not wait for what is written of it.
        world.pass(1).await;
        world.get(&world.admin, &format!("{KEYS}/{id}")).await.expect(200)["last_used_at"].clone()
    };
    let first = used().await;
    assert!(first.is_string());
    world.pass(USE_NOTED_EVERY_MS - 1_000).await;
    assert_eq!(used().await, first);
    world.pass(1_000).await;
    assert_ne!(used().await, first);
}

/// As [`World::ask`], over a connection from an address.
async fn from(world: &World, method: Method, path: &str, body: &str) -> crate::world::Answer {
    let peer: SocketAddr = "203.0.113.7:4711".parse().unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", world.admin))
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    world.send(request).await
}

#[tokio::test(start_paused = true)]
async fn who_did_what_to_which_and_from_where_is_written_down_without_a_secret() {
    let world = World::begin().await;
    world.begun().await;
    let key = from(&world, Method::POST, KEYS, r#"{"service":"acme","rights":["read"]}"#)
        .await
        .expect(201);
    let key_path = format!("{KEYS}/{}", key["id"].as_str().unwrap());
    assert_eq!(from(&world, Method::DELETE, &key_path, "").await.status, 204);
    let url = "https://example.com/hooks/secret-in-the-path";
    let endpoint = format!(r#"{{"url":"{url}","service":"acme"}}"#);
    let endpoint = from(&world, Method::POST, ENDPOINTS, &endpoint).await.expect(201);
    let path = format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap());
    let rotated = from(&world, Method::POST, &format!("{path}/rotate-secret"), "{}")
        .await
        .expect(200);
    let since = r#"{"since":"2020-01-01T00:00:00Z"}"#;
    from(&world, Method::POST, &format!("{path}/replay"), since).await.expect(200);
    assert_eq!(from(&world, Method::DELETE, &path, "").await.status, 204);
    let unlock = format!("/api/v1/recipients/{NUMBER}/unlock?service=acme");
    from(&world, Method::POST, &unlock, "{}").await.expect(200);

    let mut told = Vec::new();
    let mut path = format!("{AUDIT}?limit=3");
    loop {
        let page = world.get(&world.admin, &path).await.expect(200);
        told.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{AUDIT}?limit=3&cursor={cursor}");
        assert!(told.len() < 20, "the pages have an end");
    }
    let actions: Vec<_> = told.iter().rev().map(|act| act["action"].as_str().unwrap()).collect();
    let done = [
        "key.created",
        "key.revoked",
        "webhook_endpoint.created",
        "webhook_endpoint.secret_rotated",
        "webhook_endpoint.replayed",
        "webhook_endpoint.deleted",
    ];
    assert_eq!(actions[..6], done);
    for act in &told {
        assert_eq!(act["address"], "203.0.113.7");
        assert!(act["key_id"].as_str().unwrap().starts_with("key_"));
        assert_eq!(act["service"], "acme");
    }
    let all = serde_json::to_string(&told).unwrap();
    for object in [&key["id"], &endpoint["id"]] {
        assert!(all.contains(object.as_str().unwrap()));
    }
    let kept = format!("{all}{:?}", world.store.acts(None, 100).await.unwrap());
    for secret in [&key["key"], &endpoint["secret"], &rotated["secret"]] {
        assert!(!kept.contains(secret.as_str().unwrap()));
    }
    assert!(!kept.contains(&NUMBER[1..]) && !kept.contains("secret-in-the-path"));
    let refused = world.get(&world.admin, &format!("{AUDIT}?cursor=x")).await;
    refused.refuses(400, "invalid_cursor");
}

#[tokio::test(start_paused = true)]
async fn what_changed_nothing_is_no_act() {
    let world = World::begin().await;
    let unknown = format!("{ENDPOINTS}/whe_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0");
    assert_eq!(world.ask(&world.admin, Method::DELETE, &unknown, None, &[]).await.status, 404);
    world
        .post(&world.reader, KEYS, "{}")
        .await
        .refuses(403, "insufficient_rights");
    assert_eq!(world.store.acts(None, 10).await.unwrap(), []);
}
