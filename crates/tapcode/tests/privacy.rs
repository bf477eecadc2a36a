//! Is a number that was erased from the command line gone for good, whatever happens to the server?

mod harness;

use harness::{Home, run, stderr, stdout};
use serde_json::{Value, json};

const NUMBER: &str = "+31611398058";

#[tokio::test]
async fn an_erasure_outlives_kill_9_and_gives_nothing_back() {
    let home = Home::new();
    let mut server = home.serve();
    let key = home.key("demo");
    let admin = home.key_with(&["--rights", "admin"]);
    let typed = |url: &str, key: &str, words: &str| {
        let mut command = home.command(words.split_whitespace());
        command.env("TAPCODE_URL", url).env("TAPCODE_KEY", key);
        run(&mut command)
    };
    let begun = server
        .post("/api/v1/verifications", &key, json!({ "to": NUMBER }))
        .await
        .expect(201);
    let id = begun["id"].as_str().unwrap().to_owned();
    server.code_on_phone(NUMBER).await;

    let words = format!("recipients export {NUMBER} --service demo");
    let exported = typed(&server.url, &admin, &words);
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    let page: Value = serde_json::from_str(&stdout(&exported)).unwrap();
    assert_eq!(
        (&page["to"], &page["data"][0]["verification"]["id"]),
        (&json!(NUMBER), &json!(id))
    );
    let refused = typed(&server.url, &key, &format!("recipients erase {NUMBER}"));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(stderr(&refused).contains("admin"), "{refused:?}");

    let erased = typed(&server.url, &admin, &format!("recipients erase {NUMBER} --service demo"));
    assert_eq!(erased.status.code(), Some(0), "{erased:?}");
    assert_eq!(
        stdout(&erased),
        "+31*****8058 is erased; what limits its holder stays for 30 days at most\n"
    );
    server.kill_9();
    let server = home.serve();
    let gone = server.get(&format!("/api/v1/verifications/{id}"), &key).await.expect(404);
    assert_eq!(gone["code"], "verification_not_found");
    let page: Value = serde_json::from_str(&stdout(&typed(&server.url, &admin, &words))).unwrap();
    assert_eq!((&page["data"], &page["next_cursor"]), (&json!([]), &json!(null)));
    let again = server
        .post("/api/v1/verifications", &key, json!({ "to": NUMBER }))
        .await
        .expect(429);
    assert_eq!(again["code"], "resend_too_soon");
    // With the server at work, too.
    let compacted = home.tapcode(["recipients", "compact", "--json"]);
    assert_eq!(compacted.status.code(), Some(0), "{compacted:?}");
    let sizes: Value = serde_json::from_str(&stdout(&compacted)).unwrap();
    assert!(sizes["bytes"].as_u64() > Some(4_096), "{sizes}");
    server.get("/readyz", &key).await.expect(200);
}
