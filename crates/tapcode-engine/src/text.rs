//! What does the text message of a verification say?

use std::borrow::Cow;

use tapcode_core::code::Code;
use tapcode_core::text::{OwnText, own_with_autofill, sms_with_autofill};
use tapcode_core::verification::{ClientHints, Platform, Verification};

use crate::service::Service;

/// Longest value of a binding that a message shows, in characters.
const SHOWN_MAX: usize = 35;

/// The text that a service's code would have.
#[must_use]
pub fn preview(service: &Service, locale: &str, code: &str, minutes: u32, binding: Option<&str>, client: &ClientHints) -> String {
    let details = binding.and_then(details);
    let client = with_app(client, service);
    let (brand, details) = (&*service.brand, details.as_deref());
    match OwnText::best(&service.texts, locale) {
        Some(own) => own_with_autofill(own, brand, code, minutes, details, &client),
        None => sms_with_autofill(locale, brand, code, minutes, details, &client),
    }
}

/// The whole text, code included; with the transaction that the code is bound to.
pub(crate) fn of_code(
    verification: &Verification,
    service: &Service,
    code: &Code,
    minutes: u32,
    binding: Option<&str>,
) -> String {
    let none = ClientHints::default();
    let client = verification.client.as_deref().unwrap_or(&none);
    preview(service, &verification.locale, code.expose(), minutes, binding, client)
}

/// An Android app that did not say which one it is is the service's own: its first, since a text takes one hash.
fn with_app<'a>(client: &'a ClientHints, service: &Service) -> Cow<'a, ClientHints> {
    let own = service.apps.first().filter(|_| client.platform == Some(Platform::Android));
    match own {
        Some(app) if client.app_hash.is_none() => Cow::Owned(ClientHints {
            app_hash: Some(app.signature_hash.clone()),
            ..client.clone()
        }),
        Some(_) | None => Cow::Borrowed(client),
    }
}

/// The values of a binding, the amount first: `39.90 EUR, Acme`. What a caller's own customers may have chosen (a
/// payee's name) cannot bring a link, a line break or a second segment's alphabet into the message.
fn details(binding: &str) -> Option<String> {
    let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(binding).ok()?;
    let amount = values.iter().filter(|(name, _)| *name == "amount");
    let others = values.iter().filter(|(name, _)| *name != "amount");
    let shown: Vec<String> = amount
        .chain(others)
        .map(|(_, value)| shown(value))
        .filter(|text| !text.is_empty())
        .collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

fn shown(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    // A full stop stays between digits only: in front of letters it could make a link.
    let characters: Vec<char> = text.chars().collect();
    let kept = characters.iter().enumerate().filter(|(at, c)| {
        let followed_by_digit = characters.get(at + 1).is_some_and(char::is_ascii_digit);
        c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '&' | '\'' | ',') || (**c == '.' && followed_by_digit)
    });
    kept.map(|(_, c)| *c).take(SHOWN_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::details;

    #[test]
    fn a_binding_is_shown_amount_first_and_brings_no_link() {
        assert_eq!(
            details(r#"{"payee":"Acme","amount":"39.90 EUR"}"#).as_deref(),
            Some("39.90 EUR, Acme")
        );
        assert_eq!(
            details(r#"{"payee":"evil.example/\n{code} \u202e"}"#).as_deref(),
            Some("evilexamplecode")
        );
        assert_eq!(details(r#"{"amount":3990}"#).as_deref(), Some("3990"));
        assert_eq!(details("{}"), None);
    }
}
