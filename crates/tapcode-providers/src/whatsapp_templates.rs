//! Which authentication templates does Meta take, and how are they written? Every rule that Meta would reject a draft for
//! is looked at here first, all at once.

use serde_json::{Map, Value, json};
use tapcode_core::account::ButtonKind;
use tapcode_engine::contract::account::{App, TemplateDraft, Violation};
use tapcode_engine::contract::provider::Source;

use crate::whatsapp_languages::may_be_one;

const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-22" }
}

const AUTHENTICATION: Source = page(
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/authentication-templates",
);
const COPY_CODE: Source = page(
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates",
);
const AUTOFILL: Source = page(
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/autofill-button-authentication-templates",
);
const ZERO_TAP: Source = page(
    "https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/zero-tap-authentication-templates",
);
const MANAGEMENT: Source =
    page("https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management");
const TTL: Source = page("https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/time-to-live");
const LANGUAGES: Source = Source {
    url: "https://developers.facebook.com/docs/whatsapp/api/messages/message-templates",
    read: "2026-11-26",
};

/// Longest name, in characters.
const NAME_MAX: usize = 512;
/// Longest text of a button, in characters.
const BUTTON_MAX: usize = 25;
/// Most apps of one template.
const APPS_MAX: usize = 5;
/// Longest package of an app, in characters.
const PACKAGE_MAX: usize = 224;
/// Characters of a signing key's hash.
const HASH_CHARS: usize = 11;
/// What the footer may name.
const MINUTES: std::ops::RangeInclusive<i64> = 1..=90;
/// How long Meta tries to deliver, in seconds; -1 stands for 30 days.
const TTL_S: std::ops::RangeInclusive<i64> = 30..=900;

/// The least time that Meta can be told to try to deliver. Seconds.
pub const TTL_S_MIN: u32 = 30;
/// The longest. Seconds.
pub const TTL_S_MAX: u32 = 900;

/// Every rule that a draft breaks.
#[must_use]
pub fn violations(draft: &TemplateDraft) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |pointer: &str, source: Source, detail: &str| {
        found.push(Violation {
            pointer: pointer.into(),
            detail: detail.into(),
            source,
        });
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if draft.name.is_empty() || draft.name.len() > NAME_MAX || !draft.name.chars().all(is_name) {
        let rule = "a name is 1 to 512 of a-z, 0-9 and _; write one such as login_otp";
        broken("/name", MANAGEMENT, rule);
    }
    if draft.languages.is_empty() {
        broken(
            "/languages",
            LANGUAGES,
            "a template has a language; write one such as [\"en\"]",
        );
    }
    for (at, language) in draft.languages.iter().enumerate() {
        let pointer = format!("/languages/{at}");
        let with_underscore = language.replace('-', "_");
        if draft.languages[..at].contains(language) {
            broken(&pointer, AUTHENTICATION, "the language is in the list before; name each once");
        } else if may_be_one(language) {
        } else if may_be_one(&with_underscore) {
            let rule = format!("Meta writes an underscore here; write \"{with_underscore}\"");
            broken(&pointer, LANGUAGES, &rule);
        } else {
            let rule = "Meta has no templates in this language; write one of its codes, such as en, nl or pt_BR";
            broken(&pointer, LANGUAGES, rule);
        }
    }
    if draft
        .code_expiration_minutes
        .is_some_and(|minutes| !MINUTES.contains(&minutes))
    {
        let rule = "the footer names 1 to 90 minutes; write such a number, or leave it out";
        broken("/code_expiration_minutes", AUTHENTICATION, rule);
    }
    if draft
        .send_ttl_seconds
        .is_some_and(|seconds| seconds != -1 && !TTL_S.contains(&seconds))
    {
        let rule = "Meta tries for 30 to 900 seconds, or for 30 days with -1; write one of these";
        broken("/send_ttl_seconds", TTL, rule);
    }
    button(draft, &mut broken);
    found
}

fn button(draft: &TemplateDraft, broken: &mut impl FnMut(&str, Source, &str)) {
    let too_long = "a button's text has 1 to 25 characters; shorten it, or leave it out for Meta's own in each language";
    let fits = |text: &Option<String>| text.as_ref().is_none_or(|t| (1..=BUTTON_MAX).contains(&t.chars().count()));
    if !fits(&draft.button_text) {
        broken("/button/text", COPY_CODE, too_long);
    }
    if !fits(&draft.autofill_text) {
        broken("/button/autofill_text", AUTOFILL, too_long);
    }
    let own_texts = draft.button_text.is_some() || draft.autofill_text.is_some();
    if own_texts && draft.languages.len() > 1 {
        let rule = "a text of your own is in one language; submit each language by itself, or leave the texts out";
        broken("/button", AUTHENTICATION, rule);
    }
    if draft.button == ButtonKind::CopyCode {
        if draft.autofill_text.is_some() {
            let rule = "a copy_code button fills nothing in; leave it out, or write type one_tap";
            broken("/button/autofill_text", COPY_CODE, rule);
        }
        if !draft.apps.is_empty() {
            let rule = "a copy_code button knows no apps; leave them out, or write type one_tap";
            broken("/button/apps", COPY_CODE, rule);
        }
        return;
    }
    if draft.apps.is_empty() || draft.apps.len() > APPS_MAX {
        let rule = "the code is handed to 1 to 5 apps; write them, or configure [[services.apps]]";
        broken("/button/apps", AUTOFILL, rule);
    }
    for (
        at,
        App {
            package_name,
            signature_hash,
        },
    ) in draft.apps.iter().enumerate()
    {
        if !is_package(package_name) {
            let rule = "a package has two segments or more of letters, digits and _, each beginning with a letter, and at most 224 characters; write it as in com.example.app";
            broken(&format!("/button/apps/{at}/package_name"), AUTOFILL, rule);
        }
        let is_hash = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        if signature_hash.len() != HASH_CHARS || !signature_hash.chars().all(is_hash) {
            let rule = "the hash of a signing key has exactly 11 characters of A-Z, a-z, 0-9, +, / and =; write what AppSignatureHelper prints";
            broken(&format!("/button/apps/{at}/signature_hash"), AUTOFILL, rule);
        }
    }
    if draft.button == ButtonKind::ZeroTap && !draft.zero_tap_terms_accepted {
        let rule = "a zero_tap template is taken only from who accepts Meta's terms for it; read them and write true";
        broken("/button/zero_tap_terms_accepted", ZERO_TAP, rule);
    }
}

fn is_package(text: &str) -> bool {
    let segment =
        |s: &str| s.starts_with(|c: char| c.is_ascii_alphabetic()) && s.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    text.len() <= PACKAGE_MAX && text.split('.').count() >= 2 && text.split('.').all(segment)
}

/// The body that creates or replaces a draft in all its languages.
pub(crate) fn upsert(draft: &TemplateDraft) -> Value {
    let mut body = common(draft);
    body.insert("languages".into(), json!(draft.languages));
    Value::Object(body)
}

/// The body that creates a draft in one language.
pub(crate) fn create(draft: &TemplateDraft, language: &str) -> Value {
    let mut body = common(draft);
    body.insert("language".into(), json!(language));
    Value::Object(body)
}

fn common(draft: &TemplateDraft) -> Map<String, Value> {
    let mut components = vec![json!({ "type": "BODY", "add_security_recommendation": draft.security_disclaimer })];
    if let Some(minutes) = draft.code_expiration_minutes {
        components.push(json!({ "type": "FOOTER", "code_expiration_minutes": minutes }));
    }
    let kind = match draft.button {
        ButtonKind::CopyCode => "COPY_CODE",
        ButtonKind::OneTap => "ONE_TAP",
        ButtonKind::ZeroTap => "ZERO_TAP",
    };
    let mut button = Map::new();
    button.insert("type".into(), json!("OTP"));
    button.insert("otp_type".into(), json!(kind));
    let texts = [("text", &draft.button_text), ("autofill_text", &draft.autofill_text)];
    for (key, text) in texts {
        if let Some(text) = text {
            button.insert(key.into(), json!(text));
        }
    }
    if draft.button != ButtonKind::CopyCode {
        let app = |app: &App| json!({ "package_name": app.package_name, "signature_hash": app.signature_hash });
        button.insert("supported_apps".into(), draft.apps.iter().map(app).collect());
    }
    if draft.button == ButtonKind::ZeroTap {
        button.insert("zero_tap_terms_accepted".into(), json!(draft.zero_tap_terms_accepted));
    }
    components.push(json!({ "type": "BUTTONS", "buttons": [button] }));
    let mut body = Map::new();
    body.insert("name".into(), json!(draft.name));
    body.insert("category".into(), json!("AUTHENTICATION"));
    if let Some(seconds) = draft.send_ttl_seconds {
        body.insert("message_send_ttl_seconds".into(), json!(seconds));
    }
    body.insert("components".into(), Value::Array(components));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn draft() -> TemplateDraft {
        TemplateDraft {
            name: "login_otp".into(),
            languages: vec!["en".into(), "pt_BR".into()],
            security_disclaimer: true,
            code_expiration_minutes: Some(5),
            button: ButtonKind::OneTap,
            button_text: None,
            autofill_text: None,
            apps: vec![App {
                package_name: "com.example.app".into(),
                signature_hash: "K8a/AINcGX7".into(),
            }],
            zero_tap_terms_accepted: false,
            send_ttl_seconds: Some(30),
        }
    }

    fn pointers(draft: &TemplateDraft) -> Vec<String> {
        violations(draft).into_iter().map(|v| v.pointer).collect()
    }

    #[test]
    fn a_draft_as_meta_wants_it_breaks_no_rule() {
        assert_eq!(violations(&draft()), []);
        let copy = TemplateDraft {
            button: ButtonKind::CopyCode,
            apps: Vec::new(),
            code_expiration_minutes: None,
            send_ttl_seconds: Some(-1),
            ..draft()
        };
        assert_eq!(violations(&copy), []);
    }

    #[test]
    fn every_broken_rule_is_told_at_once_with_where_and_what_instead() {
        let wrong = TemplateDraft {
            name: "Login OTP".into(),
            languages: vec!["en".into(), "en".into(), "pt-BR".into(), "tlh".into()],
            code_expiration_minutes: Some(91),
            button: ButtonKind::ZeroTap,
            button_text: Some("A text of more than 25 signs".into()),
            autofill_text: Some(String::new()),
            apps: vec![App {
                package_name: "example".into(),
                signature_hash: "short".into(),
            }],
            send_ttl_seconds: Some(29),
            ..draft()
        };
        let found = violations(&wrong);
        let pointers: Vec<_> = found.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/languages/1",
                "/languages/2",
                "/languages/3",
                "/code_expiration_minutes",
                "/send_ttl_seconds",
                "/button/text",
                "/button/autofill_text",
                "/button",
                "/button/apps/0/package_name",
                "/button/apps/0/signature_hash",
                "/button/zero_tap_terms_accepted",
            ]
        );
        assert!(found[2].detail.contains("\"pt_BR\""));
        for violation in found {
            assert!(violation.detail.contains("; "), "{violation:?} says what to do");
            assert!(violation.source.url.starts_with("https://developers.facebook.com/"));
            assert!(!violation.detail.contains("Login OTP") && !violation.detail.contains("tlh"));
        }
    }

    #[test]
    fn the_edges_of_every_range_are_taken_and_what_is_past_them_is_not() {
        for (minutes, ok) in [(0, false), (1, true), (90, true), (91, false), (-5, false)] {
            let draft = TemplateDraft {
                code_expiration_minutes: Some(minutes),
                ..draft()
            };
            assert_eq!(pointers(&draft).is_empty(), ok, "{minutes}");
        }
        for (seconds, ok) in [(29, false), (30, true), (900, true), (901, false), (-1, true), (0, false)] {
            let draft = TemplateDraft {
                send_ttl_seconds: Some(seconds),
                ..draft()
            };
            assert_eq!(pointers(&draft).is_empty(), ok, "{seconds}");
        }
        for (length, ok) in [(0, false), (1, true), (512, true), (513, false)] {
            let draft = TemplateDraft {
                name: "a".repeat(length),
                ..draft()
            };
            assert_eq!(pointers(&draft).is_empty(), ok, "{length}");
        }
        for (apps, ok) in [(0, false), (1, true), (5, true), (6, false)] {
            let draft = TemplateDraft {
                apps: vec![draft().apps[0].clone(); apps],
                ..draft()
            };
            assert_eq!(pointers(&draft).is_empty(), ok, "{apps}");
        }
        for (package, ok) in [
            ("a.b", true),
            ("com.example_1.App2", true),
            ("com", false),
            ("com.1a", false),
            ("com..a", false),
            ("com.a-b", false),
        ] {
            let mut draft = draft();
            draft.apps[0].package_name = package.into();
            assert_eq!(pointers(&draft).is_empty(), ok, "{package}");
        }
    }

    #[test]
    fn a_copy_code_button_takes_nothing_of_the_other_kinds() {
        let wrong = TemplateDraft {
            button: ButtonKind::CopyCode,
            languages: vec!["en".into()],
            autofill_text: Some("Fill in".into()),
            ..draft()
        };
        assert_eq!(pointers(&wrong), ["/button/autofill_text", "/button/apps"]);
    }

    // Meta's own example of bulk management, in the address of `AUTHENTICATION`.
    #[test]
    fn a_draft_is_written_as_metas_example_is() {
        assert_eq!(
            upsert(&draft()),
            json!({
                "name": "login_otp",
                "category": "AUTHENTICATION",
                "message_send_ttl_seconds": 30,
                "components": [
                    { "type": "BODY", "add_security_recommendation": true },
                    { "type": "FOOTER", "code_expiration_minutes": 5 },
                    { "type": "BUTTONS", "buttons": [{
                        "type": "OTP", "otp_type": "ONE_TAP",
                        "supported_apps": [{ "package_name": "com.example.app", "signature_hash": "K8a/AINcGX7" }],
                    }] },
                ],
                "languages": ["en", "pt_BR"],
            })
        );
        let own = TemplateDraft {
            languages: vec!["nl".into()],
            button: ButtonKind::ZeroTap,
            button_text: Some("Kopieer".into()),
            zero_tap_terms_accepted: true,
            code_expiration_minutes: None,
            ..draft()
        };
        let body = create(&own, "nl");
        assert_eq!((&body["language"], &body["languages"]), (&json!("nl"), &Value::Null));
        let button = &body["components"][1]["buttons"][0];
        assert_eq!(
            (&button["text"], &button["zero_tap_terms_accepted"]),
            (&json!("Kopieer"), &json!(true))
        );
    }
}
