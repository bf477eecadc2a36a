//! Does a key work from the moment it is made until it is revoked, on a server that runs all the while?

mod harness;

use harness::{Home, stdout};
use serde_json::{Value, json};

const VERIFICATIONS: &str = "/api/v1/verifications";

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let home = Home::new();
    let server = home.serve();
    assert_eq!(server.get(VERIFICATIONS, "tc_live_madeup").await.status, 401);

    let made: Value = serde_json::from_str(&stdout(&home.tapcode(["keys", "create", "--service", "demo", "--json"]))).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    server.get(VERIFICATIONS, key).await.expect(200);

    assert!(home.tapcode(["keys", "revoke", id]).status.success());
    let refused = server.get(VERIFICATIONS, key).await;
    assert_eq!(
        refused.status, 401,
        "the next request is refused, on a server that used the key before"
    );
    assert_eq!(refused.json()["code"], "unauthenticated");
    assert!(
        !refused.body.contains(key) && !server.log().contains(key),
        "a key was written down"
    );
}

#[tokio::test]
async fn a_key_may_do_what_its_rights_say_and_nothing_else() {
    let home = Home::new();
    let server = home.serve();
    let reader = home.key_with(&["--service", "demo", "--rights", "read"]);
    server.get(VERIFICATIONS, &reader).await.expect(200);
    let refused = server.post(VERIFICATIONS, &reader, json!({"to": "+31611398058"})).await;
    assert_eq!(refused.status, 403, "{refused:?}");

    let verifier = home.key_with(&["--service", "demo", "--rights", "verify"]);
    let begun = server
        .post(VERIFICATIONS, &verifier, json!({"to": "+31611398058"}))
        .await
        .expect(201);
    let path = format!("{VERIFICATIONS}/{}", begun["id"].as_str().unwrap());
    let other = home.key("other");
    assert_eq!(
        server.get(&path, &other).await.status,
        404,
        "another service's verification is an unknown one"
    );
    let test = home.key_with(&["--service", "demo", "--test"]);
    assert_eq!(
        server.get(&path, &test).await.status,
        404,
        "test mode sees nothing of live mode"
    );
    assert_eq!(server.get(&path, &reader).await.expect(200)["to"], "+31611398058");
}

#[tokio::test]
async fn what_was_done_on_the_command_line_and_over_the_api_is_told_together() {
    let home = Home::new();
    let server = home.serve();
    let create = ["keys", "create", "--rights", "admin", "--expires-in-days", "1", "--json"];
    let made: Value = serde_json::from_str(&stdout(&home.tapcode(create))).unwrap();
    assert!(made["expires_at"].is_string());
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let told = server.get("/api/v1/audit", key).await.expect(200);
    let newest = &told["data"][0];
    assert_eq!((&newest["action"], &newest["object"]), (&json!("key.created"), &json!(id)));
    assert_eq!((&newest["key_id"], &newest["address"]), (&Value::Null, &Value::Null));
    assert!(
        home.tapcode(["keys", "revoke", id]).status.success(),
        "the command line may revoke the last one"
    );
    let told: Value = serde_json::from_str(&stdout(&home.tapcode(["audit", "--json"]))).unwrap();
    let actions: Vec<_> = told["data"]
        .as_array()
        .unwrap()
        .iter()
        .take(2)
        .map(|act| &act["action"])
        .collect();
    assert_eq!(actions, ["key.revoked", "key.created"]);
    assert!(!told.to_string().contains(key));
    assert!(stdout(&home.tapcode(["audit"])).contains("command line"));
}
