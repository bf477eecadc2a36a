//! How is Meta asked about a WhatsApp account? Health, templates, the token's rights and where webhooks go.

use http::{Method, header};
use serde_json::{Value, json};
use tapcode_core::account::{AccountName, BreakerScope, ButtonKind, Reading, SenderFacts, Template, TemplateStatus};
use tapcode_core::delivery::{Failure, FailureClass};
use tapcode_engine::contract::account::{
    AccountApi, AccountError, AppWebhook, Preview, Rights, Submitted, Subscription, TemplateDraft, TemplatePage, Violation,
};
use tapcode_engine::contract::provider::{HttpRequest, HttpResponse};

use crate::answer::{number, text};
use crate::vendor_text::for_people;
use crate::whatsapp_cloud::{MANIFEST, WhatsappCloud};
use crate::whatsapp_languages::best;
use crate::whatsapp_webhook::{HIGH_PER_SECOND, STANDARD_PER_SECOND, messaging_limit, quality, template_status_of};
use crate::{whatsapp_errors, whatsapp_templates};

/// Templates on one page.
const PAGE: u32 = 100;
/// What is asked of a template.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management> (read 2026-11-22)
const TEMPLATE_FIELDS: &str =
    "id,name,language,status,category,quality_score,rejected_reason,message_send_ttl_seconds,components";
/// What is asked of a number.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/phone-numbers> (read 2026-11-22)
const NUMBER_FIELDS: &str =
    "verified_name,quality_rating,throughput,whatsapp_business_manager_messaging_limit,status,name_status,health_status";
/// What sending and management need:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/permissions> (read 2026-11-26).
const RIGHTS: [&str; 2] = ["whatsapp_business_messaging", "whatsapp_business_management"];

/// What an app's webhooks are about.
const OBJECT: &str = "whatsapp_business_account";
/// What an app has to be subscribed to: receipts, and everything that tells of templates, numbers and accounts.
/// <https://developers.facebook.com/docs/graph-api/reference/app/subscriptions> (the edge, as PyWa 4.5 uses it, read 2026-11-27)
/// and <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (the fields, read 2026-11-22)
const FIELDS: [&str; 10] = [
    "messages",
    "message_template_status_update",
    "message_template_quality_update",
    "message_template_components_update",
    "template_category_update",
    "phone_number_quality_update",
    "business_capability_update",
    "account_update",
    "account_alerts",
    "account_review_update",
];

impl AccountApi for WhatsappCloud {
    fn account(&self) -> AccountName {
        let name = format!("{}:{}", MANIFEST.id, self.config.waba_id);
        AccountName::parse(&name).expect("an account's id is short and made of letters and digits")
    }

    fn template(&self) -> &str {
        &self.config.template
    }

    fn configured_languages(&self) -> &[String] {
        &self.config.template_languages
    }

    fn default_language(&self) -> &str {
        &self.default_language
    }

    fn best_language<'a>(&self, locale: &str, approved: &[&'a str]) -> Option<&'a str> {
        best(locale, approved)
    }

    fn reading(&self) -> HttpRequest {
        let path = format!("{}?fields={NUMBER_FIELDS}", self.config.phone_number_id);
        self.asked(Method::GET, &path, None)
    }

    fn reading_of(&self, answer: &HttpResponse, sender: u32) -> Result<Reading, AccountError> {
        let body = read(answer)?;
        let throughput = match body["throughput"]["level"].as_str().unwrap_or_default() {
            "HIGH" => Some(HIGH_PER_SECOND),
            "STANDARD" => Some(STANDARD_PER_SECOND),
            _ => None,
        };
        let entities = list(&body["health_status"]["entities"]);
        let is = |entity: &Value, kind: &str| entity["entity_type"].as_str() == Some(kind);
        let blocked = entities.iter().filter(|e| e["can_send_message"].as_str() == Some("BLOCKED"));
        let scope = |entity: &Value| match entity["entity_type"].as_str()? {
            "PHONE_NUMBER" => Some(BreakerScope::Sender(sender)),
            "WABA" | "BUSINESS" | "APP" => Some(BreakerScope::Account),
            // A template's state is in the list of templates.
            _ => None,
        };
        let why = |entity: &Value| {
            let error = &entity["errors"][0];
            let told = ["error_description", "possible_solution"].map(|key| error[key].as_str().unwrap_or_default());
            for_people(&told.join(" "))
        };
        let business = entities.iter().find(|e| is(e, "BUSINESS")).and_then(|e| text(&e["id"]));
        Ok(Reading {
            facts: SenderFacts {
                sender,
                quality: quality(&body["quality_rating"]),
                messages_per_second: throughput,
                verified_name: body["verified_name"].as_str().map(Into::into),
                status: body["status"].as_str().map(Into::into),
            },
            messaging_limit: messaging_limit(&body["whatsapp_business_manager_messaging_limit"]),
            business: business.map(Into::into),
            blocked: blocked.filter_map(|e| Some((scope(e)?, why(e).into()))).collect(),
        })
    }

    fn rights(&self) -> HttpRequest {
        // The token stands in the address because Meta takes it nowhere else; addresses are never logged.
        let token: String = form_urlencoded::byte_serialize(self.config.access_token.expose().as_bytes()).collect();
        self.asked(Method::GET, &format!("debug_token?input_token={token}"), None)
    }

    fn rights_of(&self, answer: &HttpResponse) -> Result<Rights, AccountError> {
        let body = read(answer)?;
        let scopes = body["data"]["scopes"].as_array().ok_or(AccountError::Undocumented)?;
        let has = |right: &str| scopes.iter().any(|s| s.as_str() == Some(right));
        let ends_at_s = body["data"]["expires_at"].as_i64().filter(|at| *at > 0);
        Ok(Rights {
            missing: RIGHTS.into_iter().filter(|right| !has(right)).collect(),
            ends_at_s,
            app_id: text(&body["data"]["app_id"]).map(Into::into),
        })
    }

    fn templates(&self, name: Option<&str>, next: Option<&str>) -> HttpRequest {
        let mut path = format!(
            "{}/message_templates?fields={TEMPLATE_FIELDS}&limit={PAGE}",
            self.config.waba_id
        );
        for (key, value) in [("name", name), ("after", next)] {
            if let Some(value) = value {
                let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                path.push_str(&format!("&{key}={value}"));
            }
        }
        self.asked(Method::GET, &path, None)
    }

    fn templates_of(&self, answer: &HttpResponse) -> Result<TemplatePage, AccountError> {
        let body = read(answer)?;
        let data = body["data"].as_array().ok_or(AccountError::Undocumented)?;
        let paging = &body["paging"];
        // A page that names no next one is the last, whatever its cursors say.
        let next = paging["next"].as_str().and(paging["cursors"]["after"].as_str());
        Ok(TemplatePage {
            templates: data.iter().filter_map(template).collect(),
            next: next.filter(|after| !after.is_empty()).map(ToOwned::to_owned),
        })
    }

    fn violations(&self, draft: &TemplateDraft) -> Vec<Violation> {
        whatsapp_templates::violations(draft)
    }

    fn submit(&self, draft: &TemplateDraft) -> Vec<HttpRequest> {
        // All languages at once take no texts of one's own.
        if draft.button_text.is_none() && draft.autofill_text.is_none() {
            let path = format!("{}/upsert_message_templates", self.config.waba_id);
            return vec![self.asked(Method::POST, &path, Some(&whatsapp_templates::upsert(draft)))];
        }
        let path = format!("{}/message_templates", self.config.waba_id);
        let one = |language: &String| self.asked(Method::POST, &path, Some(&whatsapp_templates::create(draft, language)));
        draft.languages.iter().map(one).collect()
    }

    fn submit_of(&self, answer: &HttpResponse, language: Option<&str>) -> Result<Vec<Submitted>, AccountError> {
        let body = read(answer)?;
        let one = |item: &Value| {
            Some(Submitted {
                language: item["language"].as_str().or(language)?.into(),
                id: text(&item["id"])?.into(),
                status: item["status"].as_str().map_or(TemplateStatus::Pending, template_status_of),
            })
        };
        let submitted: Option<Vec<_>> = match body["data"].as_array() {
            Some(items) => items.iter().map(one).collect(),
            None => one(&body).map(|submitted| vec![submitted]),
        };
        submitted.ok_or(AccountError::Undocumented)
    }

    fn delete(&self, name: &str, id: Option<&str>) -> HttpRequest {
        let mut path = format!("{}/message_templates?name={name}", self.config.waba_id);
        if let Some(id) = id {
            path.push_str(&format!("&hsm_id={id}"));
        }
        self.asked(Method::DELETE, &path, None)
    }

    fn done_of(&self, answer: &HttpResponse) -> Result<(), AccountError> {
        match read(answer)?["success"].as_bool() {
            Some(true) => Ok(()),
            Some(false) | None => Err(AccountError::Undocumented),
        }
    }

    fn preview(&self, draft: &TemplateDraft) -> HttpRequest {
        let mut path = format!(
            "{}/message_template_previews?category=AUTHENTICATION&languages={}&add_security_recommendation={}&button_types=OTP",
            self.config.waba_id,
            draft.languages.join(","),
            draft.security_disclaimer
        );
        if let Some(minutes) = draft.code_expiration_minutes {
            path.push_str(&format!("&code_expiration_minutes={minutes}"));
        }
        self.asked(Method::GET, &path, None)
    }

    fn preview_of(&self, answer: &HttpResponse) -> Result<Vec<Preview>, AccountError> {
        let body = read(answer)?;
        let one = |item: &Value| {
            let button = &item["buttons"][0];
            let texts = [&button["text"], &button["autofill_text"]];
            Some(Preview {
                language: item["language"].as_str()?.into(),
                body: item["body"].as_str()?.into(),
                footer: item["footer"].as_str().map(Into::into),
                buttons: texts.into_iter().filter_map(|t| t.as_str().map(Into::into)).collect(),
            })
        };
        let data = body["data"].as_array().ok_or(AccountError::Undocumented)?;
        data.iter().map(one).collect::<Option<_>>().ok_or(AccountError::Undocumented)
    }

    fn subscriptions(&self) -> HttpRequest {
        self.asked(Method::GET, &format!("{}/subscribed_apps", self.config.waba_id), None)
    }

    fn subscriptions_of(&self, answer: &HttpResponse) -> Result<Vec<Subscription>, AccountError> {
        let body = read(answer)?;
        let data = body["data"].as_array().ok_or(AccountError::Undocumented)?;
        let one = |item: &Value| {
            let app = &item["whatsapp_business_api_data"];
            Subscription {
                app_id: text(&app["id"]).unwrap_or_default().into(),
                app_name: app["name"].as_str().unwrap_or_default().into(),
                override_url: item["override_callback_uri"].as_str().map(Into::into),
            }
        };
        Ok(data.iter().map(one).collect())
    }

    fn subscribe(&self, url: Option<&str>) -> HttpRequest {
        let body = url.map(|url| json!({ "override_callback_uri": url, "verify_token": self.config.verify_token.expose() }));
        self.asked(
            Method::POST,
            &format!("{}/subscribed_apps", self.config.waba_id),
            body.as_ref(),
        )
    }

    fn app_webhook(&self, app_id: &str) -> HttpRequest {
        self.of_app(Method::GET, app_id, None)
    }

    fn app_webhook_of(&self, answer: &HttpResponse) -> Result<Option<AppWebhook>, AccountError> {
        let body = read(answer)?;
        let data = body["data"].as_array().ok_or(AccountError::Undocumented)?;
        let ours = data.iter().find(|item| item["object"] == OBJECT && item["active"] != false);
        let one = |item: &Value| {
            let fields = list(&item["fields"]);
            // Newer answers have an object for each field, older ones its name.
            let has = |field: &str| fields.iter().any(|f| f == field || f["name"] == field);
            AppWebhook {
                url: item["callback_url"].as_str().unwrap_or_default().into(),
                missing: FIELDS.into_iter().filter(|field| !has(field)).collect(),
            }
        };
        Ok(ours.map(one))
    }

    fn set_app_webhook(&self, app_id: &str, url: &str) -> HttpRequest {
        let body = json!({
            "object": OBJECT,
            "callback_url": url,
            "verify_token": self.config.verify_token.expose(),
            "fields": FIELDS.join(","),
        });
        self.of_app(Method::POST, app_id, Some(&body))
    }

    fn check_identities(&self, on: bool) -> HttpRequest {
        let body = json!({ "user_identity_change": { "enable_identity_key_check": on } });
        self.asked(
            Method::POST,
            &format!("{}/settings", self.config.phone_number_id),
            Some(&body),
        )
    }
}

impl WhatsappCloud {
    /// About the app: with the app's own token, which is its id and its secret.
    /// <https://developers.facebook.com/docs/facebook-login/guides/access-tokens#apptokens> (from memory)
    fn of_app(&self, method: Method, app_id: &str, body: Option<&Value>) -> HttpRequest {
        let mut request = self.asked(method, &format!("{app_id}/subscriptions"), body);
        let token = format!("Bearer {app_id}|{}", self.config.app_secret.expose());
        if let Ok(mut token) = http::HeaderValue::from_str(&token) {
            token.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, token);
        }
        request
    }

    fn asked(&self, method: Method, path: &str, body: Option<&Value>) -> HttpRequest {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        }
        HttpRequest {
            method,
            url: self.address(path),
            headers,
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        }
    }
}

/// The answer's body, or why there is none.
fn read(answer: &HttpResponse) -> Result<Value, AccountError> {
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| AccountError::Undocumented)?;
    if answer.status.is_success() {
        return Ok(body);
    }
    let error = &body["error"];
    let code = number(&error["code"]).ok_or(AccountError::Undocumented)?;
    let told = [&error["error_user_msg"], &error["error_data"]["details"], &error["message"]];
    let words = told.into_iter().find_map(Value::as_str).unwrap_or_default();
    let failure = whatsapp_errors::answered(code, number(&error["error_subcode"]), words)
        .unwrap_or_else(|| Failure::new(FailureClass::NextRoute, &code.to_string(), &for_people(words)));
    Err(AccountError::Refused(failure))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn template(item: &Value) -> Option<Template> {
    let components = list(&item["components"]);
    let of = |kind: &'static str| {
        components
            .iter()
            .find(move |c| c["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind)))
    };
    let buttons = of("BUTTONS").map(|c| list(&c["buttons"])).unwrap_or_default();
    // Read back, the button of a code is an OTP button or, most often, a URL button whose address names the kind.
    let kind = buttons.iter().find_map(|b| {
        let url = b["url"].as_str().unwrap_or_default();
        let named = b["otp_type"].as_str().map(str::to_ascii_uppercase);
        let of_url = ["COPY_CODE", "ONE_TAP", "ZERO_TAP"]
            .into_iter()
            .find(|k| url.contains(&format!("otp_type={k}")));
        match named.as_deref().or(of_url)? {
            "COPY_CODE" => Some(ButtonKind::CopyCode),
            "ONE_TAP" => Some(ButtonKind::OneTap),
            "ZERO_TAP" => Some(ButtonKind::ZeroTap),
            _ => None,
        }
    });
    let reason = item["rejected_reason"].as_str().filter(|r| *r != "NONE").map(for_people);
    let minutes = of("FOOTER").and_then(|c| number(&c["code_expiration_minutes"]));
    Some(Template {
        name: item["name"].as_str()?.into(),
        language: item["language"].as_str()?.into(),
        id: text(&item["id"])?.into(),
        status: template_status_of(item["status"].as_str().unwrap_or_default()),
        reason: reason.map(Into::into),
        quality: quality(&item["quality_score"]["score"]),
        is_authentication: item["category"]
            .as_str()
            .is_some_and(|c| c.eq_ignore_ascii_case("authentication")),
        send_ttl_s: number(&item["message_send_ttl_seconds"]),
        code_expiration_minutes: minutes.and_then(|m| u8::try_from(m).ok()),
        security_disclaimer: of("BODY").is_some_and(|c| c["add_security_recommendation"].as_bool() == Some(true)),
        button: kind,
    })
}

#[cfg(test)]
mod tests;
