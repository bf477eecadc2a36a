//! Do the open pages answer, and does nothing that goes wrong take the process along?

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::world::World;

async fn open(world: &World, path: &str) -> crate::world::Answer {
    world.send(Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn health_readiness_and_metrics_need_no_key() {
    let world = World::begin().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            open(&world, path).await.expect(200),
            json!({ "status": "ok", "version": "0.0.0" })
        );
    }
    assert_eq!(open(&world, "/metrics").await.body, b"tapcode_up 1\n");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_problem_of_its_request_alone() {
    let world = World::begin().await;
    world.broken.store(true, Ordering::SeqCst);
    let broken = open(&world, "/metrics").await;
    assert!(!String::from_utf8_lossy(&broken.body).contains("planted"));
    broken.refuses(500, "internal_error");
    world.broken.store(false, Ordering::SeqCst);
    assert_eq!(open(&world, "/metrics").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_sane_request_id_is_kept_and_any_other_replaced() {
    let world = World::begin().await;
    for (given, kept) in [
        ("abc-123_x.y:z", true),
        ("a b", false),
        ("<script>", false),
        (&*"x".repeat(129), false),
    ] {
        let answer = world
            .ask(&world.live, Method::GET, "/api/v1/nothing", None, &[("x-request-id", given)])
            .await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given}");
        assert!(kept || answer.header("x-request-id").starts_with("req_"));
        answer.refuses(404, "not_found");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_safe_headers_and_none_lets_other_origins_in() {
    let world = World::begin().await;
    for path in [
        "/healthz",
        "/docs",
        "/docs/problems",
        "/docs/style.css",
        "/openapi.json",
        "/nothing",
        "/api/v1/verifications",
    ] {
        let request = Request::get(path)
            .header("origin", "https://evil.example")
            .body(Body::empty())
            .unwrap();
        let answer = world.send(request).await;
        for (name, wanted) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), wanted, "{path}");
        }
        assert!(
            answer.header("content-security-policy").starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}
