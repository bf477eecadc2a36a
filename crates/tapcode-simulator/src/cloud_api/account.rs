//! What does Meta answer to questions about an account, and to orders about its templates and webhooks?
//!
//! Addresses and fields:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/phone-numbers>,
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management>,
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/override> and
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/health-status> (read 2026-11-22).

use super::desk::{CloudDesk, json_answer, unknown_path};
use super::receipts::About;
use super::refusal::Refusal;
use super::templates::{self, Templates, previews, read_draft};
use super::{Number, Question, Review, SubscribeError, TemplateState, webhook};
use crate::listener::{Reply, read_body};
use crate::{CallbackAnswer, Signing, clock};
use hyper::body::Incoming;
use hyper::{Method, Request};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// What Meta allows a system user's token that is meant for messages.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/permissions> (read 2026-11-26)
const SCOPES: [&str; 2] = ["whatsapp_business_management", "whatsapp_business_messaging"];
/// What an app can be told of, as far as this stand-in tells it.
const ALL_FIELDS: [&str; 10] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "phone_number_quality_update",
    "template_category_update",
];
/// The app that the token belongs to.
const APP_ID: &str = "670843887433847";
/// The business that the account belongs to.
const BUSINESS_ID: &str = "2729063490586005";
/// Fields of a number that exist and have no value here: the Graph API leaves such out.
/// <https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account-to-number-current-status/>, as PyWa 4.5
/// asks for them (read 2026-11-27).
const FIELDS_WITHOUT_VALUE: [&str; 17] = [
    "account_mode",
    "certificate",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "eligibility_for_api_business_global_search",
    "is_official_business_account",
    "is_on_biz_app",
    "is_pin_enabled",
    "is_preverified_number",
    "last_onboarded_time",
    "new_certificate",
    "new_name_status",
    "quality_score",
    "search_visibility",
    "username",
    "webhook_configuration",
];
/// The longest address that webhooks can be sent to instead of the app's own, in characters.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/override> (read 2026-11-22)
const OVERRIDE_MAX_CHARS: usize = 200;

/// What can change about the account while the stand-in runs.
pub(super) struct Account {
    state: Mutex<State>,
}

struct State {
    templates: Templates,
    review: Review,
    /// Lists leave out what was submitted, as Meta's do for a moment.
    hides_templates: bool,
    number: Number,
    scopes: Vec<String>,
    is_subscribed: bool,
    override_url: Option<String>,
    /// What the app is subscribed to; `None`: to everything, as it was from the start.
    app_fields: Option<Vec<String>>,
    checks_identities: bool,
    /// How often the identity behind a number changed.
    identities: HashMap<String, u32>,
    /// Answers that are given once to the next question whose path contains the text.
    once: Vec<(String, u16, String)>,
    /// Questions whose path contains the text get their answers when the sender is gone.
    held: Vec<(String, watch::Receiver<()>)>,
}

impl Account {
    pub(super) fn new(templates: &[(String, String)], review: Review, is_subscribed: bool) -> Self {
        let mut known = Templates::default();
        for (name, language) in templates {
            known.set(name, language, TemplateState::Approved);
        }
        Self {
            state: Mutex::new(State {
                templates: known,
                review,
                hides_templates: false,
                number: Number::default(),
                scopes: SCOPES.map(str::to_owned).to_vec(),
                is_subscribed,
                override_url: None,
                app_fields: None,
                checks_identities: false,
                identities: HashMap::new(),
                once: Vec::new(),
                held: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    pub(super) fn template(&self, name: &str, language: &str) -> Option<TemplateState> {
        Some(self.state().templates.get(name, language)?.state)
    }

    /// How long Meta tries to deliver a message with a template.
    pub(super) fn ttl(&self, name: &str, language: &str) -> Duration {
        let state = self.state();
        let template = state.templates.get(name, language);
        Duration::from_secs(template.map_or(0, super::templates::Template::ttl_s))
    }

    pub(super) fn set_template(&self, name: &str, language: &str, to: TemplateState) -> u64 {
        self.state().templates.set(name, language, to)
    }

    pub(super) fn hide_templates(&self, hide: bool) {
        self.state().hides_templates = hide;
    }

    pub(super) fn change_number(&self, change: impl FnOnce(&mut Number)) {
        change(&mut self.state().number);
    }

    pub(super) fn set_scopes(&self, scopes: &[&str]) {
        self.state().scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    }

    pub(super) fn answer_once(&self, path_part: &str, http: u16, body: &str) {
        self.state().once.push((path_part.to_owned(), http, body.to_owned()));
    }

    pub(super) fn hold(&self, path_part: &str) -> watch::Sender<()> {
        let (held, until) = watch::channel(());
        self.state().held.push((path_part.to_owned(), until));
        held
    }

    /// Returns once nobody holds the answer to a question any more.
    async fn until_released(&self, path: &str) {
        let held = {
            let mut state = self.state();
            state.held.retain(|(_, until)| until.has_changed().is_ok());
            let of_path = state.held.iter().find(|(part, _)| path.contains(part));
            of_path.map(|(_, until)| until.clone())
        };
        if let Some(mut until) = held {
            // Nothing is ever sent: it only ends.
            let _ended = until.changed().await;
        }
    }

    fn take_once(&self, path: &str) -> Option<(u16, String)> {
        let mut state = self.state();
        let at = state.once.iter().position(|(part, _, _)| path.contains(part))?;
        let (_, http, body) = state.once.remove(at);
        Some((http, body))
    }

    /// Whether webhooks are sent at all: an account sends them to the apps that are subscribed to it.
    pub(super) fn is_subscribed(&self) -> bool {
        self.state().is_subscribed
    }

    /// Where webhooks about messages go instead of the app's own address.
    pub(super) fn override_url(&self) -> Option<String> {
        self.state().override_url.clone()
    }

    /// Whether the app wants to be told of a field.
    pub(super) fn is_wanted(&self, field: &str) -> bool {
        self.state()
            .app_fields
            .as_ref()
            .is_none_or(|fields| fields.iter().any(|f| f == field))
    }

    /// The identity behind a number, if the number that sends has the check switched on.
    pub(super) fn identity(&self, number: &str) -> Option<String> {
        let state = self.state();
        state
            .checks_identities
            .then(|| identity(number, state.identities.get(number).copied().unwrap_or(0)))
    }

    pub(super) fn change_identity(&self, number: &str) {
        *self.state().identities.entry(number.to_owned()).or_default() += 1;
    }
}

/// Something of the shape of Meta's hash: 44 characters of base64.
fn identity(number: &str, generation: u32) -> String {
    use base64::Engine;
    use sha2::Digest;
    let digest = sha2::Sha256::digest(format!("{number} {generation}"));
    base64::engine::general_purpose::STANDARD.encode(digest)
}

impl CloudDesk {
    /// Answers a question or an order: everything but the send.
    pub(super) async fn take_question(self: Arc<Self>, rest: &str, request: Request<Incoming>) -> Reply {
        let method = request.method().clone();
        let query: BTreeMap<String, String> = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        // What is about the app is asked with the app's own token.
        let caller = if rest.starts_with(APP_ID) {
            self.refuse_other_token(&request, &format!("{APP_ID}|{}", self.config.app_secret))
        } else {
            self.refuse_caller(&request)
        };
        let address = format!("{}{}", self.address(), request.uri().path());
        let path = rest.to_owned();
        let json = if method == Method::GET || method == Method::DELETE {
            Value::Null
        } else {
            let Some(body) = read_body(request).await else {
                return Reply::Close;
            };
            serde_json::from_slice(&body).unwrap_or(Value::Null)
        };
        if let Err(refusal) = caller {
            return self.refuse(&refusal);
        }
        if self.config.log {
            self.questions.push(|_| Question {
                at: clock::wall(),
                method: method.to_string(),
                path: path.clone(),
                query: query.clone(),
                json: json.clone(),
            });
        }
        if let Some((http, body)) = self.account.take_once(&path) {
            return json_answer(http, body.into());
        }
        let answer = self.answer(&method, &path, &query, &json, &address).await;
        self.account.until_released(&path).await;
        match answer {
            Ok(value) => json_answer(200, value.to_string().into()),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    async fn answer(
        self: &Arc<Self>,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        json: &Value,
        address: &str,
    ) -> Result<Value, Refusal> {
        let success = || Ok(json!({ "success": true }));
        let (id, edge) = path.trim_end_matches('/').split_once('/').unwrap_or((path, ""));
        let (waba, number) = (id == self.config.waba_id, id == self.config.phone_number_id);
        if id == APP_ID && edge == "subscriptions" {
            return match method.as_str() {
                "POST" => self.subscribe_to_fields(json).await,
                _ => Ok(self.app_subscriptions()),
            };
        }
        match (method.as_str(), edge) {
            ("GET", "") if id == "debug_token" => Ok(self.token(query)),
            ("GET", "") if waba || number => self.object(id, number, query),
            ("GET", "") if self.account.state().templates.by_id(id).is_some() => {
                Ok(self.account.state().templates.by_id(id).unwrap_or_default())
            }
            _ if !waba && !number => Err(no_such_object(method, id)),
            ("GET", "phone_numbers") if waba => Ok(json!({ "data": [self.object(&self.config.phone_number_id, true, query)?] })),
            ("GET", "message_templates") if waba => {
                let state = self.account.state();
                if state.hides_templates {
                    return Ok(Templates::default().page(query, address));
                }
                Ok(state.templates.page(query, address))
            }
            ("POST", "message_templates") if waba => {
                let draft = read_draft(json, false)?;
                let language = draft.languages[0];
                let id = self.account.state().templates.put(&draft, language, false)?;
                let status = self.review(draft.name, language);
                Ok(json!({ "id": id.to_string(), "status": status, "category": "AUTHENTICATION" }))
            }
            ("POST", "upsert_message_templates") if waba => {
                let draft = read_draft(json, true)?;
                let mut made = Vec::new();
                for language in &draft.languages {
                    let id = self.account.state().templates.put(&draft, language, true)?;
                    let status = self.review(draft.name, language);
                    made.push(json!({ "id": id.to_string(), "status": status, "language": language }));
                }
                Ok(json!({ "data": made }))
            }
            ("DELETE", "message_templates") if waba => {
                let name = query.get("name").ok_or_else(|| missing("name"))?;
                let id = query.get("hsm_id").map(String::as_str);
                if !self.account.state().templates.delete(name, id) {
                    // The words are *unconfirmed*.
                    return Err(Refusal::new(404, 100).text("(#100) Message Template Not Found"));
                }
                success()
            }
            ("GET", "message_template_previews") if waba => Ok(previews(query)),
            ("GET", "subscribed_apps") if waba => Ok(self.subscriptions()),
            ("POST", "subscribed_apps") if waba => self.subscribe_app(json).await,
            ("DELETE", "subscribed_apps") if waba => {
                let mut state = self.account.state();
                (state.is_subscribed, state.override_url) = (false, None);
                success()
            }
            ("GET", "settings") if number => {
                let on = self.account.state().checks_identities;
                Ok(json!({ "user_identity_change": { "enable_identity_key_check": on }, "id": id }))
            }
            ("POST", "settings") if number => {
                let on = json.pointer("/user_identity_change/enable_identity_key_check");
                let on = on.and_then(Value::as_bool).ok_or_else(|| missing("user_identity_change"))?;
                self.account.state().checks_identities = on;
                success()
            }
            _ => Err(unknown_path(&format!("/{path}"))),
        }
    }

    /// What becomes of what was submitted, and the word for it in the answer.
    fn review(self: &Arc<Self>, name: &str, language: &str) -> &'static str {
        let review = self.account.state().review;
        let mut state = TemplateState::Pending;
        if let Review::Approves(after) = review {
            if after.is_zero() {
                state = TemplateState::Approved;
                self.account.set_template(name, language, state);
            }
            let (desk, name, language) = (Arc::clone(self), name.to_owned(), language.to_owned());
            self.receipts.spawn(async move {
                let stop = desk.stop.clone();
                let approving = async {
                    clock::sleep(after).await;
                    desk.decide(&name, &language, TemplateState::Approved).await
                };
                stop.run_until_cancelled(approving).await;
            });
        }
        templates::word(state)
    }

    /// Sets what Meta thinks of a template and tells it by webhook.
    pub(super) async fn decide(self: &Arc<Self>, name: &str, language: &str, to: TemplateState) -> CallbackAnswer {
        let id = self.account.set_template(name, language, to);
        let reason = if to == TemplateState::Rejected {
            "INVALID_FORMAT"
        } else {
            "NONE"
        };
        let value = json!({
            "event": templates::word(to),
            "message_template_id": id,
            "message_template_name": name,
            // Meta's examples write a hyphen here and an underscore everywhere else.
            "message_template_language": language.replace('_', "-"),
            "reason": reason,
            "message_template_category": "AUTHENTICATION",
        });
        self.send_change("message_template_status_update", value).await
    }

    /// Sends a webhook with one change of the account, again and again until it is taken.
    pub(super) async fn send_change(self: &Arc<Self>, field: &str, value: Value) -> CallbackAnswer {
        let body = webhook::change_body(&self.config.waba_id, field, value);
        // An account can have its messages told elsewhere, and nothing else.
        // <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/override> (read 2026-11-22)
        let about = if field == "messages" {
            About::Messages
        } else {
            About::Account
        };
        if !self.account.is_wanted(field) {
            return CallbackAnswer::NoAddress;
        }
        self.send_until_taken(body.into(), &Signing::Proper, about).await
    }

    /// A token that is good has the rights that it was given.
    fn token(&self, query: &BTreeMap<String, String>) -> Value {
        let shown = query.get("input_token").map(String::as_str).unwrap_or_default();
        if shown != self.access_token() {
            // The words are *unconfirmed*.
            let error = json!({ "code": 190, "message": "The access token could not be decrypted" });
            return json!({ "data": { "error": error, "is_valid": false, "scopes": [] } });
        }
        json!({ "data": {
            "app_id": APP_ID,
            "type": "SYSTEM_USER",
            "application": "Stand-in",
            "expires_at": 0,
            "is_valid": true,
            "scopes": self.account.state().scopes,
        } })
    }

    fn subscriptions(&self) -> Value {
        let state = self.account.state();
        let mut app =
            json!({ "whatsapp_business_api_data": { "id": APP_ID, "name": "Stand-in", "link": "https://www.facebook.com" } });
        if let Some(url) = &state.override_url {
            app["override_callback_uri"] = json!(url);
        }
        let apps: Vec<Value> = state.is_subscribed.then_some(app).into_iter().collect();
        json!({ "data": apps })
    }

    async fn subscribe_app(self: &Arc<Self>, json: &Value) -> Result<Value, Refusal> {
        let url = json.get("override_callback_uri").and_then(Value::as_str);
        if let Some(url) = url {
            let token = json.get("verify_token").and_then(Value::as_str);
            let token = token.ok_or_else(|| missing("verify_token"))?;
            if url.chars().count() > OVERRIDE_MAX_CHARS {
                return Err(Refusal::new(400, 100).text("(#100) override_callback_uri has at most 200 characters"));
            }
            self.must_shake_hands(url, token).await?;
        }
        let mut state = self.account.state();
        state.is_subscribed = true;
        state.override_url = url.map(str::to_owned);
        Ok(json!({ "success": true }))
    }

    /// What the app is subscribed to, and where it is told.
    /// <https://developers.facebook.com/docs/graph-api/reference/app/subscriptions> (as PyWa 4.5 uses the edge, read 2026-11-27;
    /// the shape of the list is *unconfirmed*)
    fn app_subscriptions(&self) -> Value {
        let Some(url) = self.callback_url() else {
            return json!({ "data": [] });
        };
        let fields = self.account.state().app_fields.clone();
        let fields = fields.unwrap_or_else(|| ALL_FIELDS.map(str::to_owned).to_vec());
        let fields: Vec<Value> = fields
            .iter()
            .map(|field| json!({ "name": field, "version": "v25.0" }))
            .collect();
        json!({ "data": [{
            "object": "whatsapp_business_account",
            "callback_url": url,
            "active": true,
            "fields": fields,
        }] })
    }

    async fn subscribe_to_fields(self: &Arc<Self>, json: &Value) -> Result<Value, Refusal> {
        let given = |key: &str| json.get(key).and_then(Value::as_str).ok_or_else(|| missing(key));
        let (url, token, fields) = (given("callback_url")?, given("verify_token")?, given("fields")?);
        self.must_shake_hands(url, token).await?;
        self.account.state().app_fields = Some(fields.split(',').map(|field| field.trim().to_owned()).collect());
        self.set_callback_url(url.to_owned());
        Ok(json!({ "success": true }))
    }

    /// The handshake, without which Meta promises nothing.
    async fn must_shake_hands(&self, url: &str, token: &str) -> Result<(), Refusal> {
        let shaken = self.shake_hands(url, token).await;
        // The code and subcode are as seen in public reports of a failed handshake; *unconfirmed*.
        shaken.map_err(|error: SubscribeError| {
            Refusal::new(400, 100)
                .subcode(Some(2_200_036))
                .text(format!("(#2200) Callback verification failed: {error}"))
        })
    }

    /// Fields of the number or the account.
    fn object(&self, id: &str, is_number: bool, query: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        let facts = self.account.state().number.clone();
        let fields = query.get("fields").map(String::as_str);
        // What Meta answers when nothing is asked for; *unconfirmed*.
        let default = if is_number {
            "verified_name,display_phone_number,quality_rating,platform_type,throughput"
        } else {
            "name"
        };
        let mut object = Map::new();
        let fields = fields.unwrap_or(default).split(',');
        for field in fields.map(str::trim).filter(|field| !field.is_empty() && *field != "id") {
            let value = match field {
                "health_status" => health(&facts, id, is_number),
                "name" if !is_number => json!("Stand-in"),
                "display_phone_number" if is_number => json!(self.config.display_phone_number),
                "verified_name" if is_number => json!("Stand-in"),
                "quality_rating" if is_number => json!(facts.quality),
                "throughput" if is_number => json!({ "level": facts.throughput }),
                "whatsapp_business_manager_messaging_limit" if is_number => json!(facts.messaging_limit),
                "status" if is_number => json!(facts.status),
                "name_status" if is_number => json!("APPROVED"),
                "platform_type" if is_number => json!("CLOUD_API"),
                "code_verification_status" if is_number => json!("VERIFIED"),
                known if is_number && FIELDS_WITHOUT_VALUE.contains(&known) => continue,
                unknown => {
                    // The words are *unconfirmed*.
                    return Err(Refusal::new(400, 100).text(format!("(#100) Tried accessing nonexisting field ({unknown})")));
                }
            };
            object.insert(field.to_owned(), value);
        }
        object.insert("id".to_owned(), json!(id));
        Ok(Value::Object(object))
    }
}

fn health(facts: &Number, id: &str, is_number: bool) -> Value {
    let entity = |kind: &str, id: &str| {
        let blocked = facts.blocked.as_deref() == Some(kind);
        let mut entity = json!({
            "entity_type": kind,
            "id": id,
            "can_send_message": if blocked { "BLOCKED" } else { "AVAILABLE" },
        });
        if blocked {
            // An example of Meta's own: a business without a means of payment.
            entity["errors"] = json!([{
                "error_code": 141_006,
                "error_description": "There is an error with the payment method.",
                "possible_solution": "Add a payment method to the account.",
            }]);
        }
        entity
    };
    let mut entities = vec![entity(if is_number { "PHONE_NUMBER" } else { "WABA" }, id)];
    if is_number {
        entities.push(entity("WABA", "of the number"));
    }
    entities.extend([entity("BUSINESS", BUSINESS_ID), entity("APP", APP_ID)]);
    let can = if facts.blocked.is_some() { "BLOCKED" } else { "AVAILABLE" };
    json!({ "can_send_message": can, "entities": entities })
}

fn missing(parameter: &str) -> Refusal {
    Refusal::new(400, 100).text(format!("(#100) The parameter {parameter} is required."))
}

pub(super) fn no_such_object(method: &Method, id: &str) -> Refusal {
    Refusal::new(400, 100).subcode(Some(33)).text(format!(
        "Unsupported {} request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not \
         support this operation",
        method.as_str().to_ascii_lowercase()
    ))
}
