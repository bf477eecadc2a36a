//! Which templates does Meta take, which does it have, and how do they look when they are read back?
//!
//! Rules: <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/authentication-templates>
//! and the pages about copy-code, one-tap and zero-tap next to it; management:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management> (read 2026-11-22).
//! The codes and words of refusals are *unconfirmed* where no comment says otherwise.

use super::TemplateState;
use super::refusal::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long Meta tries to deliver an authentication template that says nothing, in seconds.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/time-to-live> (read 2026-11-27)
const TTL_DEFAULT_S: i64 = 600;
/// What `-1` stands for: 30 days, in seconds. Same source.
const TTL_LONGEST_S: i64 = 30 * 86_400;
/// Most templates of an account that is verified.
const TEMPLATES_MAX: usize = 6_000;
/// Most templates on one page of a list.
const PAGE_MAX: usize = 100;

/// A template in one language.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) id: u64,
    pub(super) state: TemplateState,
    rejected_reason: &'static str,
    ttl_s: Option<i64>,
    components: Value,
}

impl Template {
    /// One that was there from the start: only its name and language matter.
    fn bare(id: u64, state: TemplateState) -> Self {
        Self {
            id,
            state,
            rejected_reason: "NONE",
            ttl_s: None,
            components: json!([
                { "type": "BODY", "text": "*{{1}}* is your verification code." },
                { "type": "BUTTONS", "buttons": [button_read_back("COPY_CODE")] }
            ]),
        }
    }

    /// How long Meta tries to deliver, in seconds.
    pub(super) fn ttl_s(&self) -> u64 {
        let seconds = match self.ttl_s {
            None => TTL_DEFAULT_S,
            Some(-1) => TTL_LONGEST_S,
            Some(seconds) => seconds,
        };
        seconds.unsigned_abs()
    }
}

/// All templates of an account, by name and language.
#[derive(Default)]
pub(super) struct Templates {
    all: BTreeMap<String, BTreeMap<String, Template>>,
    made: u64,
}

/// The first template's id; ids are JSON numbers of 16 digits in webhooks and strings everywhere else.
const FIRST_ID: u64 = 594_425_479_261_596;

impl Templates {
    pub(super) fn get(&self, name: &str, language: &str) -> Option<&Template> {
        self.all.get(name)?.get(language)
    }

    fn next_id(&mut self) -> u64 {
        self.made += 1;
        FIRST_ID + self.made
    }

    /// Sets what Meta thinks of a template, which comes to exist if it did not; returns its id.
    pub(super) fn set(&mut self, name: &str, language: &str, state: TemplateState) -> u64 {
        let id = self.next_id();
        let of_name = self.all.entry(name.to_owned()).or_default();
        let template = of_name
            .entry(language.to_owned())
            .or_insert_with(|| Template::bare(id, state));
        template.state = state;
        template.rejected_reason = if state == TemplateState::Rejected {
            "INVALID_FORMAT"
        } else {
            "NONE"
        };
        template.id
    }

    /// Takes a draft in one language, or says what is wrong with it. One that is there is replaced if `upsert`.
    pub(super) fn put(&mut self, draft: &Draft<'_>, language: &str, upsert: bool) -> Result<u64, Refusal> {
        let there = self.get(draft.name, language).map(|template| template.id);
        let id = match there {
            // The code and subcode were seen in public reports; the words are *unconfirmed*.
            Some(_) if !upsert => {
                return Err(Refusal::new(400, 100).subcode(Some(2_388_024)).text(format!(
                    "There is already {language} content for this template. You can create a new template and try again."
                )));
            }
            Some(id) => id,
            None => self.next_id(),
        };
        let template = Template {
            id,
            state: TemplateState::Pending,
            rejected_reason: "NONE",
            ttl_s: draft.ttl_s,
            components: read_back(draft),
        };
        let of_name = self.all.entry(draft.name.to_owned()).or_default();
        of_name.insert(language.to_owned(), template);
        Ok(id)
    }

    /// Deletes a template in every language, or the one with this id; whether there was one.
    pub(super) fn delete(&mut self, name: &str, id: Option<&str>) -> bool {
        let Some(of_name) = self.all.get_mut(name) else {
            return false;
        };
        let before = of_name.len();
        of_name.retain(|_, template| id.is_some_and(|id| id != template.id.to_string()));
        let deleted = of_name.len() < before;
        if of_name.is_empty() {
            self.all.remove(name);
        }
        deleted
    }

    /// The template with an id, read back with its name and language.
    pub(super) fn by_id(&self, id: &str) -> Option<Value> {
        self.flat()
            .find(|(_, _, template)| template.id.to_string() == id)
            .map(|(name, language, template)| listed(name, language, template))
    }

    fn flat(&self) -> impl Iterator<Item = (&str, &str, &Template)> {
        self.all.iter().flat_map(|(name, of_name)| {
            of_name
                .iter()
                .map(move |(language, template)| (name.as_str(), language.as_str(), template))
        })
    }

    /// A page of them, with cursors as Meta gives them.
    pub(super) fn page(&self, query: &BTreeMap<String, String>, address: &str) -> Value {
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(25);
        let limit = usize::clamp(limit, 1, PAGE_MAX);
        let from: usize = query.get("after").and_then(|after| after.parse().ok()).unwrap_or(0);
        let is = |key: &str, value: &str| query.get(key).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value));
        let all: Vec<Value> = self
            .flat()
            .filter(|(name, language, template)| {
                is("name", name) && is("language", language) && is("status", word(template.state))
            })
            .map(|(name, language, template)| listed(name, language, template))
            .collect();
        let to = (from + limit).min(all.len());
        let mut paging = json!({ "cursors": { "before": from.to_string(), "after": to.to_string() } });
        if to < all.len() {
            paging["next"] = json!(format!("{address}?after={to}&limit={limit}"));
        }
        let mut page = json!({ "data": all.get(from..to).unwrap_or_default(), "paging": paging });
        // As PyWa 4.5 asks for it and reads it; *unconfirmed*.
        if query.contains_key("summary") {
            page["summary"] = json!({
                "total_count": all.len(),
                "message_template_count": all.len(),
                "message_template_limit": TEMPLATES_MAX,
                "are_translations_complete": true,
            });
        }
        page
    }
}

/// The word for a state.
pub(super) fn word(state: TemplateState) -> &'static str {
    match state {
        TemplateState::Pending => "PENDING",
        TemplateState::Approved => "APPROVED",
        TemplateState::Rejected => "REJECTED",
        TemplateState::Paused => "PAUSED",
        TemplateState::Disabled => "DISABLED",
    }
}

fn listed(name: &str, language: &str, template: &Template) -> Value {
    let mut listed = json!({
        "name": name,
        "language": language,
        "status": word(template.state),
        "category": "AUTHENTICATION",
        "parameter_format": "POSITIONAL",
        "quality_score": { "score": "UNKNOWN", "date": crate::clock::unix_seconds() },
        "rejected_reason": template.rejected_reason,
        "components": template.components,
        "id": template.id.to_string(),
    });
    if let Some(seconds) = template.ttl_s {
        listed["message_send_ttl_seconds"] = json!(seconds);
    }
    listed
}

/// The button of a code reads back as a URL button.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates>
/// (read 2026-11-22); the address's spelling is *unconfirmed*.
fn button_read_back(otp_type: &str) -> Value {
    let url = format!("https://www.whatsapp.com/otp/code/?otp_type={otp_type}&code=otp{{{{1}}}}");
    json!({ "type": "URL", "text": "Copy code", "url": url, "example": [url.replace("{{1}}", "123456")] })
}

fn read_back(draft: &Draft<'_>) -> Value {
    let mut components =
        vec![json!({ "type": "BODY", "text": body_text("en", draft.security), "add_security_recommendation": draft.security })];
    if let Some(minutes) = draft.minutes {
        components.push(json!({ "type": "FOOTER", "text": footer_text("en", minutes), "code_expiration_minutes": minutes }));
    }
    components.push(json!({ "type": "BUTTONS", "buttons": [button_read_back(&draft.otp_type)] }));
    Value::Array(components)
}

/// A template as it was submitted, in whichever languages.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    pub(super) languages: Vec<&'a str>,
    ttl_s: Option<i64>,
    security: bool,
    minutes: Option<i64>,
    otp_type: String,
}

/// Reads a submitted template, or says what Meta would say is wrong with it.
pub(super) fn read_draft(json: &Value, upsert: bool) -> Result<Draft<'_>, Refusal> {
    let refused = |why: &str| Err(Refusal::new(400, 100).text(format!("(#100) Invalid parameter: {why}")));
    let name = json["name"].as_str().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !(1..=512).contains(&name.len()) || !name.chars().all(is_name) {
        return refused("name must be 1 to 512 lower-case letters, digits and underscores");
    }
    if !is(&json["category"], "AUTHENTICATION") {
        return refused("this stand-in knows templates of category AUTHENTICATION only");
    }
    let languages: Vec<&str> = if upsert {
        strings(&json["languages"])
    } else {
        json["language"].as_str().into_iter().collect()
    };
    let is_language = |language: &&str| (2..=7).contains(&language.len()) && !language.contains('-');
    if languages.is_empty() || !languages.iter().all(is_language) {
        return refused("language must be a code such as en_US");
    }
    let ttl_s = json.get("message_send_ttl_seconds").map(Value::as_i64);
    if !ttl_s.is_none_or(|ttl| ttl.is_some_and(|s| s == -1 || (30..=900).contains(&s))) {
        return refused("message_send_ttl_seconds must be 30 to 900, or -1");
    }
    let (mut security, mut minutes, mut otp) = (false, None, None);
    for component in json["components"].as_array().map_or(&[][..], Vec::as_slice) {
        let kind = component["type"].as_str().unwrap_or_default().to_ascii_uppercase();
        match kind.as_str() {
            "BODY" if component.get("text").is_some() => return refused("the body of an authentication template has no text"),
            "BODY" => security = component["add_security_recommendation"].as_bool().unwrap_or(false),
            "FOOTER" => match component.get("code_expiration_minutes").map(Value::as_i64) {
                Some(Some(1..=90)) => minutes = component["code_expiration_minutes"].as_i64(),
                _ => return refused("code_expiration_minutes must be 1 to 90"),
            },
            "BUTTONS" => match component["buttons"].as_array().map(Vec::as_slice) {
                Some([button]) if is(&button["type"], "OTP") => otp = Some(button),
                _ => return refused("an authentication template has exactly one button of type OTP"),
            },
            _ => return refused("an authentication template has BODY, FOOTER and BUTTONS only"),
        }
    }
    let Some(button) = otp else {
        return refused("an authentication template has exactly one button of type OTP");
    };
    for text in ["text", "autofill_text"] {
        match button.get(text).map(Value::as_str) {
            Some(_) if upsert => return refused("texts of buttons cannot be set for several languages at once"),
            Some(Some(text)) if (1..=25).contains(&text.chars().count()) => {}
            None => {}
            Some(_) => return refused("the text of a button has 1 to 25 characters"),
        }
    }
    let otp_type = button["otp_type"].as_str().unwrap_or_default().to_ascii_uppercase();
    match otp_type.as_str() {
        "COPY_CODE" => {}
        "ZERO_TAP" if button["zero_tap_terms_accepted"] != json!(true) => return refused("zero_tap_terms_accepted must be true"),
        "ONE_TAP" | "ZERO_TAP" => {
            let apps = button["supported_apps"].as_array().map_or(&[][..], Vec::as_slice);
            if !(1..=5).contains(&apps.len()) || !apps.iter().all(is_app) {
                return refused("supported_apps must name 1 to 5 apps, each with package_name and signature_hash");
            }
        }
        _ => return refused("otp_type must be COPY_CODE, ONE_TAP or ZERO_TAP"),
    }
    Ok(Draft {
        name,
        languages,
        ttl_s: ttl_s.flatten(),
        security,
        minutes,
        otp_type,
    })
}

fn is_app(app: &Value) -> bool {
    let package = app["package_name"].as_str().unwrap_or_default();
    let segments: Vec<&str> = package.split('.').collect();
    let is_segment = |segment: &&str| {
        segment.starts_with(|c: char| c.is_ascii_alphabetic()) && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let hash = app["signature_hash"].as_str().unwrap_or_default();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    package.len() <= 224
        && segments.len() >= 2
        && segments.iter().all(is_segment)
        && hash.len() == 11
        && hash.chars().all(is_base64)
}

fn is(value: &Value, word: &str) -> bool {
    value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(word))
}

fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).collect()
}

/// What people see in some languages. The English texts are Meta's; the others only have their shape (*unconfirmed*).
pub(super) fn previews(query: &BTreeMap<String, String>) -> Value {
    let of = |key: &str| query.get(key).map(String::as_str);
    let languages = of("languages").unwrap_or("en,en_US,nl,de,es,pt_BR");
    let security = of("add_security_recommendation") == Some("true");
    let data: Vec<Value> = languages
        .split(',')
        .map(|language| {
            let mut preview = json!({
                "body": body_text(language, security),
                "buttons": [{ "autofill_text": "Autofill", "text": "Copy code" }],
                "language": language,
            });
            if let Some(minutes) = of("code_expiration_minutes").and_then(|minutes| minutes.parse().ok()) {
                preview["footer"] = json!(footer_text(language, minutes));
            }
            preview
        })
        .collect();
    json!({ "data": data })
}

fn body_text(language: &str, security: bool) -> String {
    let (code, advice) = match language.split('_').next() {
        Some("nl") => (
            "*{{1}}* is je verificatiecode.",
            " Deel deze code voor je eigen veiligheid niet.",
        ),
        Some("de") => (
            "*{{1}}* ist dein Verifizierungscode.",
            " Teile diesen Code zu deiner Sicherheit nicht.",
        ),
        _ => (
            "*{{1}}* is your verification code.",
            " For your security, do not share this code.",
        ),
    };
    format!("{code}{}", if security { advice } else { "" })
}

fn footer_text(language: &str, minutes: i64) -> String {
    match language.split('_').next() {
        Some("nl") => format!("Deze code verloopt over {minutes} minuten."),
        Some("de") => format!("Dieser Code läuft in {minutes} Minuten ab."),
        _ => format!("This code expires in {minutes} minutes."),
    }
}
