//! How is the API described to machines? OpenAPI 3.1, made of the list that the router is made of.

use serde_json::{Map, Value, json};
use tapcode_engine::contract::store::Right;

use crate::api::operation::{Operation, Parameter, Success};
use crate::problem::Code;

/// The document. `public_url` is where callers reach the server.
pub(crate) fn document(operations: &[&Operation], version: &str, public_url: &str) -> Value {
    let mut schemas = Vec::new();
    let mut paths = Map::new();
    for operation in operations {
        let described = describe(operation, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut components: Map<String, Value> = Map::new();
    for (name, schema) in schemas {
        let schema = serde_json::to_value(schema).expect("a schema is plain data");
        if let Some(other) = components.insert(name.clone(), schema) {
            assert!(other == components[&name], "two schemas are called {name}");
        }
    }
    components.insert("Problem".into(), problem_schema());
    components.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tapcode",
            "version": version,
            "description": "One-time codes over WhatsApp, with SMS where that does not arrive. Errors are RFC 9457 problems; their codes are listed at /docs/problems.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": public_url }],
        "paths": paths,
        "components": {
            "schemas": components,
            "examples": Code::ALL.iter().map(|code| problem_example(*code)).collect::<Map<String, Value>>(),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key: `tc_live_…` or `tc_test_…`." },
            },
        },
    })
}

type Schemas = Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>;

fn describe(o: &Operation, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for success in o.answers {
        responses.insert(success.status.to_string(), succeed(success, o.idempotent, schemas));
    }
    let mut problems: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in o.all_problems() {
        let status = code.registered().status;
        match problems.iter_mut().find(|(s, _)| *s == status) {
            Some((_, codes)) => codes.push(code),
            None => problems.push((status, vec![code])),
        }
    }
    for (status, codes) in problems {
        responses.insert(status.to_string(), fail(status, &codes));
    }
    let mut described = json!({
        "operationId": o.id,
        "tags": [o.tag],
        "summary": o.summary,
        "description": with_rights(o),
        "responses": responses,
    });
    if !o.needs.is_empty() {
        // One of them is needed, or `admin`.
        described["x-tapcode-rights"] = o.needs.iter().map(|right| right.as_str()).collect();
    }
    let parameters = parameters(o);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    described["security"] = if o.needs.is_empty() {
        json!([])
    } else {
        json!([{ "key": [] }])
    };
    if let Some(body) = &o.body {
        let name = (body.schema)(schemas);
        described["requestBody"] = json!({
            "required": body.required,
            "content": { "application/json": { "schema": reference(&name), "example": example(body.example) } },
        });
    }
    described
}

fn with_rights(o: &Operation) -> String {
    if o.needs.is_empty() {
        return o.description.to_owned();
    }
    let words: Vec<String> = o.needs.iter().map(|r: &Right| format!("`{}`", r.as_str())).collect();
    format!("{}\n\nThe key needs the right {}.", o.description, words.join(" or "))
}

fn parameters(o: &Operation) -> Vec<Value> {
    let in_path = o.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let mut all: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    all.extend(o.query.iter().map(query));
    if o.idempotent {
        all.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Up to 255 visible ASCII characters. The same key with the same body gives the same answer for 24 hours.",
            "schema": { "type": "string", "maxLength": crate::limits::IDEMPOTENCY_KEY_MAX },
        }));
    }
    all
}

fn query(p: &Parameter) -> Value {
    let schema = match p.kind {
        "string" | "integer" => json!({ "type": p.kind }),
        words => json!({ "type": "string", "enum": words.split('|').collect::<Vec<_>>() }),
    };
    json!({ "name": p.name, "in": "query", "required": false, "description": p.means, "schema": schema })
}

fn succeed(s: &Success, idempotent: bool, schemas: &mut Schemas) -> Value {
    let mut content = json!({});
    if let Some(schema) = s.schema {
        content["schema"] = reference(&schema(schemas));
    } else {
        content["schema"] = json!({ "type": "string" });
    }
    if !s.example.is_empty() {
        content["example"] = example(s.example);
    }
    let mut headers = json!({ "X-Request-Id": { "description": "The request's id.", "schema": { "type": "string" } } });
    if idempotent {
        headers["Idempotency-Replayed"] =
            json!({ "description": "`true` on an answer that was given before.", "schema": { "type": "string" } });
    }
    let mut described = json!({ "description": s.means, "headers": headers });
    if s.status != 204 {
        described["content"] = json!({ s.media: content });
    }
    described
}

fn fail(status: u16, codes: &[Code]) -> Value {
    let words: Vec<&str> = codes.iter().map(|c| c.registered().word).collect();
    let meanings: Vec<String> = codes
        .iter()
        .map(|c| format!("`{}`: {}", c.registered().word, c.registered().means))
        .collect();
    let examples: Map<String, Value> = words
        .iter()
        .map(|word| ((*word).to_owned(), json!({ "$ref": format!("#/components/examples/{word}") })))
        .collect();
    let mut answer = json!({
        "description": meanings.join("\n\n"),
        "content": { "application/problem+json": {
            "schema": { "allOf": [reference("Problem"), { "type": "object", "properties": { "code": { "type": "string", "enum": words } } }] },
            "examples": examples,
        } },
    });
    if matches!(status, 429 | 503) {
        answer["headers"] = json!({ "Retry-After": { "description": "Seconds, rounded up.", "schema": { "type": "integer" } } });
    }
    answer
}

fn problem_example(code: Code) -> (String, Value) {
    let r = code.registered();
    let problem = json!({
        "type": format!("{}#{}", crate::problem::DOCS_PATH, r.word),
        "title": r.title,
        "status": r.status,
        "code": r.word,
        "detail": r.means,
        "request_id": "req_6f1c0a53b1d54d0c9a5f0a3f4e1b2c3d",
    });
    (r.word.to_owned(), json!({ "value": problem }))
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn example(text: &str) -> Value {
    serde_json::from_str(text).expect("examples are JSON")
}

fn problem_schema() -> Value {
    let words: Vec<&str> = Code::ALL.iter().map(|c| c.registered().word).collect();
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "description": "Where the code is explained." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": words },
            "detail": { "type": "string" },
            "request_id": { "type": "string" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": { "type": "string", "description": "JSON Pointer into the body, or `?name` for a query parameter." },
                        "code": { "type": "string", "enum": words },
                        "detail": { "type": "string" },
                        "source": { "type": "string", "format": "uri", "description": "Where the rule was read, for a rule of a provider's." },
                    },
                },
            },
        },
    })
}
