//! What does Meta do with templates and questions about an account? As little of it as the stories need, on a socket.
//!
//! It shares no code with the provider. Addresses, fields and answers are those of
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management> and of the pages about
//! authentication templates, phone numbers and status webhooks next to it (read 2026-11-22).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub const WABA: &str = "102290129340398";
pub const PHONE: &str = "106540352242922";
pub const SECRET: &str = "stand-in-app-secret";
pub const TOKEN: &str = "EAAJB-stand-in-token";

/// A template in one language.
#[derive(Clone)]
struct Kept {
    name: String,
    language: String,
    id: u64,
    status: &'static str,
    of: Value,
}

/// A request that was read.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// Behind the version.
    pub path: String,
    pub query: HashMap<String, String>,
    pub body: Value,
}

#[derive(Default)]
struct Desk {
    grew: watch::Sender<()>,
    token: String,
    templates: Vec<Kept>,
    asked: Vec<Asked>,
    /// What the next request about templates is answered instead.
    instead: Option<(u16, String)>,
    /// A list that leaves these out, because Meta's has not caught up.
    hidden: bool,
    limit: String,
    next: u64,
}

#[derive(Clone)]
pub struct Meta {
    desk: Arc<Mutex<Desk>>,
    pub base_url: String,
    _serving: Arc<JoinSet<()>>,
}

impl Meta {
    pub async fn start() -> Self {
        let desk = Arc::new(Mutex::new(Desk {
            token: TOKEN.to_owned(),
            limit: "TIER_2K".to_owned(),
            next: 594_425_479_261_596,
            ..Desk::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(asked).with_state(Arc::clone(&desk));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            desk,
            base_url,
            _serving: Arc::new(serving),
        }
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// The token that was good is not any more.
    pub fn expire_token(&self) {
        self.desk().token = "another".to_owned();
    }

    /// Answers the next request about templates like this.
    pub fn answer_next(&self, status: u16, body: impl Into<String>) {
        self.desk().instead = Some((status, body.into()));
    }

    /// Lists nothing that it has.
    pub fn hide(&self, hidden: bool) {
        self.desk().hidden = hidden;
    }

    pub fn limit(&self, tier: &str) {
        self.desk().limit = tier.to_owned();
    }

    /// Has a template, as if it had been made on Meta's own pages.
    pub fn has(&self, name: &str, language: &str, status: &'static str) {
        let of = json!({ "components": [] });
        self.desk().put(name, language, status, &of);
    }

    /// Its reviewers decide: returns the webhook that tells it.
    pub fn decide(&self, name: &str, language: &str, status: &'static str) -> Vec<u8> {
        let mut desk = self.desk();
        let kept = desk.templates.iter_mut().find(|t| t.name == name && t.language == language);
        let kept = kept.expect("it was submitted");
        kept.status = status;
        let value = json!({
            "event": status,
            "message_template_id": kept.id,
            "message_template_name": name,
            "message_template_language": language.replace('_', "-"),
            "reason": if status == "REJECTED" { "INVALID_FORMAT" } else { "NONE" },
            "message_template_category": "AUTHENTICATION",
        });
        change("message_template_status_update", &value)
    }

    pub fn asked(&self, method: &Method, part: &str) -> Vec<Asked> {
        let all = self.desk().asked.clone();
        all.into_iter()
            .filter(|a| a.method == *method && a.path.contains(part))
            .collect()
    }

    /// Returns once it was asked so.
    pub async fn until_asked(&self, method: &Method, part: &str) {
        let mut grew = self.desk().grew.subscribe();
        while self.asked(method, part).is_empty() {
            grew.changed().await.unwrap();
        }
    }

    /// The sends that were taken: the reference and the id of each.
    pub fn sent(&self) -> Vec<(String, String)> {
        let taken = self.asked(&Method::POST, "/messages").into_iter();
        taken
            .map(|a| {
                let reference = a.body["biz_opaque_callback_data"].as_str().unwrap_or_default().to_owned();
                let id = wamid(&reference);
                (reference, id)
            })
            .collect()
    }
}

fn wamid(reference: &str) -> String {
    format!("wamid.{reference}")
}

impl Desk {
    fn put(&mut self, name: &str, language: &str, status: &'static str, of: &Value) -> u64 {
        self.templates.retain(|t| t.name != name || t.language != language);
        self.next += 1;
        self.templates.push(Kept {
            name: name.to_owned(),
            language: language.to_owned(),
            id: self.next,
            status,
            of: of.clone(),
        });
        self.next
    }
}

fn error(status: u16, code: u32, message: &str, details: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "OAuthException", "code": code,
        "error_data": { "messaging_product": "whatsapp", "details": details }, "fbtrace_id": "A" } });
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

async fn asked(
    State(desk): State<Arc<Mutex<Desk>>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut desk = desk.lock().unwrap();
    let path = uri.path().strip_prefix("/v25.0").unwrap_or("").to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or("");
    if shown != format!("Bearer {}", desk.token) {
        return error(401, 190, "Invalid OAuth access token.", "The access token has expired");
    }
    desk.grew.send_replace(());
    desk.asked.push(Asked {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        body: body.clone(),
    });
    if path.contains("template")
        && let Some((status, body)) = desk.instead.take()
    {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let ok = |value: Value| axum::Json(value).into_response();
    let templates = format!("/{WABA}/message_templates");
    let upsert = format!("/{WABA}/upsert_message_templates");
    let previews = format!("/{WABA}/message_template_previews");
    match (&method, &*path) {
        (&Method::GET, p) if p == format!("/{PHONE}") => ok(json!({
            "verified_name": "Acme", "quality_rating": "GREEN", "throughput": { "level": "STANDARD" },
            "whatsapp_business_manager_messaging_limit": desk.limit, "status": "CONNECTED", "id": PHONE,
            "health_status": { "can_send_message": "AVAILABLE", "entities": [
                { "entity_type": "PHONE_NUMBER", "id": PHONE, "can_send_message": "AVAILABLE" },
                { "entity_type": "BUSINESS", "id": "1", "can_send_message": "AVAILABLE" } ] } })),
        (&Method::POST, p) if p == format!("/{PHONE}/messages") => {
            let reference = body["biz_opaque_callback_data"].as_str().unwrap_or_default();
            ok(
                json!({ "messaging_product": "whatsapp", "contacts": [{ "input": body["to"], "wa_id": "31611398058" }],
                "messages": [{ "id": wamid(reference), "message_status": "accepted" }] }),
            )
        }
        (&Method::GET, p) if p == templates => {
            let data: Vec<Value> = desk.templates.iter().filter(|_| !desk.hidden).map(listed).collect();
            ok(json!({ "data": data, "paging": { "cursors": { "before": "a", "after": "b" } } }))
        }
        (&Method::POST, p) if p == upsert => {
            let name = body["name"].as_str().unwrap();
            let languages = body["languages"].as_array().unwrap();
            let made = languages.iter().map(|language| {
                let id = desk.put(name, language.as_str().unwrap(), "PENDING", &body);
                json!({ "id": id.to_string(), "status": "PENDING", "language": language })
            });
            let made: Vec<Value> = made.collect();
            ok(json!({ "data": made }))
        }
        (&Method::POST, p) if p == templates => {
            let id = desk.put(
                body["name"].as_str().unwrap(),
                body["language"].as_str().unwrap(),
                "PENDING",
                &body,
            );
            ok(json!({ "id": id.to_string(), "status": "PENDING", "category": "AUTHENTICATION" }))
        }
        (&Method::DELETE, p) if p == templates => {
            let (name, id) = (&query["name"], query.get("hsm_id"));
            let before = desk.templates.len();
            desk.templates
                .retain(|t| t.name != *name || id.is_some_and(|id| *id != t.id.to_string()));
            if desk.templates.len() == before {
                return error(400, 100, "Invalid parameter", "there is no such template");
            }
            ok(json!({ "success": true }))
        }
        (&Method::GET, p) if p == previews => {
            let minutes = &query["code_expiration_minutes"];
            let one = |language: &str| {
                json!({ "body": "*{{1}}* is your verification code.", "language": language,
                    "footer": format!("This code expires in {minutes} minutes."),
                    "buttons": [{ "text": "Copy code", "autofill_text": "Autofill" }] })
            };
            let data: Vec<Value> = query["languages"].split(',').map(one).collect();
            ok(json!({ "data": data }))
        }
        _ => error(404, 100, "Unsupported request", "the stand-in does not know it"),
    }
}

fn listed(kept: &Kept) -> Value {
    let components = kept.of["components"].as_array().cloned().unwrap_or_default();
    // Read back, the button of a code is a URL button.
    let read_back = |component: Value| {
        if component["type"] != "BUTTONS" {
            return component;
        }
        let kind = component["buttons"][0]["otp_type"].as_str().unwrap_or_default();
        let url = format!("https://www.whatsapp.com/otp/code/?otp_type={kind}&code=otp{{{{1}}}}");
        json!({ "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "Copy code", "url": url }] })
    };
    json!({ "name": kept.name, "language": kept.language, "id": kept.id.to_string(), "status": kept.status,
        "category": "AUTHENTICATION", "quality_score": { "score": "UNKNOWN" }, "rejected_reason": "NONE",
        "message_send_ttl_seconds": kept.of["message_send_ttl_seconds"],
        "components": components.into_iter().map(read_back).collect::<Vec<_>>() })
}

fn change(field: &str, value: &Value) -> Vec<u8> {
    json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": WABA, "time": 1_739_321_024, "changes": [{ "field": field, "value": value }] }] })
    .to_string()
    .into_bytes()
}

/// A webhook about messages.
pub fn messages(about: &Value) -> Vec<u8> {
    let mut value = json!({ "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": PHONE } });
    for (key, items) in about.as_object().unwrap() {
        value[key] = items.clone();
    }
    change("messages", &value)
}

/// The value of the signature's header.
pub fn signed(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256={hex}")
}
