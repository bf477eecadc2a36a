//! Does the documentation say what the server does, all of it, without asking another host?

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use tapcode_server::problem::{self, Code};

use crate::world::{NUMBER, World};

async fn openapi(world: &World) -> Value {
    world
        .send(Request::get("/openapi.json").body(Body::empty()).unwrap())
        .await
        .expect(200)
}

#[test]
fn the_reference_of_problems_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/problems.md");
    let wanted = problem::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == wanted,
        "docs/reference/problems.md is not what the code says; UPDATE_DOCS=1 writes it anew"
    );
    for code in Code::ALL {
        assert!(written.contains(&format!("\n## `{}`\n", code.registered().word)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_openapi_document_is_one_and_has_not_changed_unseen() {
    let world = World::begin().await;
    let json = openapi(&world).await;
    for (name, schema) in json["components"]["schemas"].as_object().unwrap() {
        let read: Result<utoipa::openapi::schema::Schema, _> = serde_json::from_value(schema.clone());
        assert!(read.is_ok(), "{name} is no schema");
    }
    for (method, path, operation) in operations(&json) {
        let read: Result<utoipa::openapi::path::Operation, _> = serde_json::from_value(operation);
        assert!(read.is_ok(), "{method} {path}: {read:?}", read = read.err());
    }
    let read: utoipa::openapi::OpenApi = serde_json::from_value(json.clone()).expect("it is OpenAPI");
    assert!(read.paths.paths.len() > 15);
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&json).unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_reference_in_the_openapi_document_leads_somewhere() {
    let world = World::begin().await;
    let json = openapi(&world).await;
    let mut open = vec![&json];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    references += 1;
                    assert!(json.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(references > 50);
}

#[tokio::test(start_paused = true)]
async fn every_code_is_documented_where_it_can_happen() {
    let world = World::begin().await;
    let json = openapi(&world).await;
    let paths = json["paths"].to_string();
    for code in Code::ALL {
        let word = code.registered().word;
        // These are about no operation in particular, or about the page of phones, which is for people.
        if !matches!(code, Code::MethodNotAllowed | Code::PageOnly | Code::Misdirected) {
            assert!(paths.contains(&format!("`{word}`")), "{word} is in no operation");
        }
        assert!(
            json["components"]["schemas"]["Problem"]
                .to_string()
                .contains(&format!("\"{word}\""))
        );
    }
}

/// Operations with all that is needed to try them.
fn operations(json: &Value) -> Vec<(Method, String, Value)> {
    let paths = json["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let of = move |(method, operation): (&String, &Value)| {
                (
                    method.to_uppercase().parse::<Method>().unwrap(),
                    path.clone(),
                    operation.clone(),
                )
            };
            item.as_object().unwrap().iter().map(of)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_documented_operation_is_served_and_asks_for_a_key_where_it_says() {
    let world = World::begin().await;
    for (method, path, operation) in operations(&openapi(&world).await) {
        let path = path
            .replace("{id}", "x")
            .replace("{number}", "x")
            .replace("{account_id}", "1")
            .replace("{name}", "login_otp")
            .replace("{number_id}", "42");
        let answer = world
            .send(
                Request::builder()
                    .method(method.clone())
                    .uri(&path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        let keyed = !operation["security"].as_array().unwrap().is_empty();
        assert_eq!(
            !answer.header("www-authenticate").is_empty(),
            keyed,
            "{method} {path}: {}",
            answer.status
        );
        // The sandbox calls no hooks, and an address without a hook says so.
        let missing: &[u16] = if path.starts_with("/hooks/") { &[405] } else { &[404, 405] };
        assert!(
            !missing.contains(&answer.status.as_u16()),
            "{method} {path}: {}",
            answer.status
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_body_is_read_with_the_fields_that_its_schema_has() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    let json = openapi(&world).await;
    let mut tried = 0;
    for (method, path, operation) in operations(&json) {
        let Some(reference) = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let schema = json.pointer(reference.trim_start_matches('#')).unwrap();
        let mut documented: Vec<&str> = schema["properties"]
            .as_object()
            .map(|p| p.keys().map(String::as_str).collect())
            .unwrap_or_default();
        documented.sort_unstable();
        let path = path
            .replace("{id}", &id)
            .replace("{number}", NUMBER)
            .replace("{account_id}", "1")
            .replace("{name}", "login_otp");
        let is_for_admins = [
            "recipients",
            "whatsapp/templates",
            "whatsapp/accounts",
            "webhook-endpoints",
            "api-keys",
        ];
        let key = if is_for_admins.iter().any(|part| path.contains(part)) {
            &world.admin
        } else {
            &world.live
        };
        let answer = world.ask(key, method, &path, Some(r#"{"no_such_field":1}"#), &[]).await;
        let json = answer.json();
        let unknown = json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["code"] == "unknown_field")
            .expect("it names the unknown field");
        let known = unknown["detail"]
            .as_str()
            .unwrap()
            .trim_start_matches("not known here; known are ")
            .to_owned();
        let mut known: Vec<&str> = known.split(", ").filter(|name| !name.is_empty()).collect();
        known.sort_unstable();
        assert_eq!(known, documented, "{path}");
        tried += 1;
    }
    assert!(tried >= 12);
}

#[tokio::test(start_paused = true)]
async fn every_example_of_a_body_is_taken() {
    let world = World::begin().await;
    let json = openapi(&world).await;
    for path in ["/api/v1/verifications", "/api/v1/whatsapp/messages", "/api/v1/sms/messages"] {
        let example = &json["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"];
        world.post(&world.live, path, &example.to_string()).await.expect(201);
    }
}

#[tokio::test(start_paused = true)]
async fn the_answers_have_the_fields_that_their_examples_show() {
    let world = World::begin().await;
    let json = openapi(&world).await;
    let example = |path: &str, method: &str, status: &str| {
        json["paths"][path][method]["responses"][status]["content"]["application/json"]["example"].clone()
    };
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<std::collections::BTreeSet<_>>()
    };
    let body = json!({ "to": NUMBER }).to_string();
    let begun = world.post(&world.live, "/api/v1/verifications", &body).await.expect(201);
    let shown = example("/api/v1/verifications", "post", "201");
    assert_eq!(names(&begun), names(&shown));
    assert_eq!(names(&begun["attempts"][0]), names(&shown["attempts"][0]));
    let sms = json!({ "from_number_id": 42, "to": NUMBER, "body": "123456" }).to_string();
    let sent = world.post(&world.live, "/api/v1/sms/messages", &sms).await.expect(201);
    assert_eq!(names(&sent), names(&example("/api/v1/sms/messages", "post", "201")));
}

#[tokio::test(start_paused = true)]
async fn pages_are_served_whole_and_ask_no_other_host() {
    let world = World::begin().await;
    for path in ["/docs", "/docs/problems", "/docs/style.css"] {
        let page = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, 200, "{path}");
        let text = String::from_utf8(page.body)
            .unwrap()
            .replace("https://otp.example.com", "")
            .replace("https://example.com", "");
        for foreign in ["http://", "https://", "src=\"//", "href=\"//", "<script", "@import"] {
            assert!(!text.contains(foreign), "{path} has {foreign}");
        }
    }
    let problems = world.send(Request::get("/docs/problems").body(Body::empty()).unwrap()).await;
    let text = String::from_utf8(problems.body).unwrap();
    assert!(
        Code::ALL
            .iter()
            .all(|c| text.contains(&format!("id=\"{}\"", c.registered().word)))
    );
}
