//! May a sender's text messages go to a country, as far as its carriers' rules are known?
//!
//! A table of what carriers take, read from the providers that publish it, and a pure function over it. Where rules are not
//! known to us it says nothing, and the provider decides. What a sender is registered for is the operator's word, in the
//! configuration; so is a provider that needs no registration where the table says that one is needed.

use std::fmt;

use crate::number::Country;

/// What the phone shows as the sender of a text message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderKind {
    /// Letters, perhaps among digits: nobody can answer.
    Letters,
    /// A whole number in E.164, with the country that it is of.
    Number(Country),
    /// 3 to 8 digits that one country's carriers know.
    ShortCode,
    /// The provider chooses.
    Chosen,
}

impl SenderKind {
    /// What a sender is, as it is configured; `None` for nothing: the provider chooses.
    #[must_use]
    pub fn of(sender: Option<&str>) -> Self {
        let Some(sender) = sender else { return Self::Chosen };
        if let Some(digits) = sender.strip_prefix('+') {
            let of_number = || crate::number::Number::parse(sender).ok().map(|number| number.country());
            // A number that is not in the numbering plan tells no country, and so nothing.
            return of_number().filter(|_| !digits.is_empty()).map_or(Self::Chosen, Self::Number);
        }
        if sender.bytes().all(|c| c.is_ascii_digit()) {
            Self::ShortCode
        } else {
            Self::Letters
        }
    }
}

/// What a country's carriers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountryRule {
    /// The country.
    pub country: Country,
    /// What becomes of senders of letters.
    pub letters: Letters,
    /// Whether the country's own long numbers have to be registered before they may send for a business.
    pub numbers_registered: bool,
    /// What is registered there, for people.
    pub registry: &'static str,
    /// Where that was read, and on which day.
    pub source: &'static str,
}

/// What becomes of senders of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letters {
    /// They may not send.
    Never,
    /// They may once they are registered.
    Registered,
}

/// The guides of Twilio, Telnyx and AWS to senders of letters say so alike.
const NO_LETTERS: &str = "https://support.twilio.com/hc/en-us/articles/223181348, Telnyx's and AWS's alike (read 2026-11-22)";
/// The registrations that AWS lists by country. *Unconfirmed*: that other providers ask for each of them.
const REGISTRATIONS: &str = "https://docs.aws.amazon.com/sms-voice/latest/userguide/registrations-country.md (read 2026-11-22)";
/// Unregistered traffic of long numbers is blocked by the carriers.
const TEN_DLC: &str = "https://developers.telnyx.com/docs/messaging/10dlc (read 2026-11-22)";

/// Countries whose carriers refuse or drop what is not as this says, by country. Of a country that is not here nothing is
/// known, and nothing is refused. The United Arab Emirates, Turkey, Vietnam, Nigeria and Pakistan are left out because their
/// rules are unconfirmed.
const RULES: [(&str, Letters, bool, &str, &str); 24] = [
    ("AU", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("AT", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("BY", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("CA", Letters::Never, false, "", NO_LETTERS),
    ("CN", Letters::Never, false, "", NO_LETTERS),
    ("EG", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("ES", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("FI", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("ID", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("IE", Letters::Registered, false, "a sender id", REGISTRATIONS),
    (
        "IN",
        Letters::Registered,
        false,
        "an entity and a template with a DLT operator",
        REGISTRATIONS,
    ),
    ("JO", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("KE", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("KW", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("KZ", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("LK", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("PH", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("PR", Letters::Never, false, "", NO_LETTERS),
    ("QA", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("RU", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("SA", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("SG", Letters::Registered, false, "a sender id", REGISTRATIONS),
    ("TH", Letters::Registered, false, "a sender id", REGISTRATIONS),
    (
        "US",
        Letters::Never,
        true,
        "a 10DLC campaign or a toll-free verification",
        TEN_DLC,
    ),
];

/// The table.
pub fn rules() -> impl Iterator<Item = CountryRule> {
    RULES
        .iter()
        .map(|(country, letters, numbers_registered, registry, source)| CountryRule {
            country: Country::parse(country).expect("a test reads every country of the table"),
            letters: *letters,
            numbers_registered: *numbers_registered,
            registry,
            source,
        })
}

/// What a country's carriers take, where that is known.
#[must_use]
pub fn rule(country: Country) -> Option<CountryRule> {
    rules().find(|rule| rule.country == country)
}

/// Why a sender's messages may not go to a country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// Carriers take no senders of letters there.
    Letters,
    /// Senders of this kind are registered there first, and this one is not. What is registered, for people.
    Unregistered(&'static str),
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letters => f.write_str("carriers there take no senders of letters"),
            Self::Unregistered(what) => write!(f, "{what} has to be registered there, and none is configured for it"),
        }
    }
}

/// Why a sender's messages may not go to a country; `None`: nothing is known to speak against it.
#[must_use]
pub fn not_allowed(kind: SenderKind, country: Country, is_registered: bool) -> Option<NotAllowed> {
    let rule = rule(country)?;
    match (kind, rule.letters) {
        (SenderKind::Letters, Letters::Never) => Some(NotAllowed::Letters),
        (SenderKind::Letters, Letters::Registered) if !is_registered => Some(NotAllowed::Unregistered(rule.registry)),
        (SenderKind::Number(of), _) if of == country && rule.numbers_registered && !is_registered => {
            Some(NotAllowed::Unregistered(rule.registry))
        }
        (SenderKind::Letters | SenderKind::Number(_) | SenderKind::ShortCode | SenderKind::Chosen, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(letters: &str) -> Country {
        Country::parse(letters).unwrap()
    }

    #[test]
    fn every_country_of_the_table_is_there_once_with_its_source_and_what_is_registered() {
        let all: Vec<CountryRule> = rules().collect();
        for (at, rule) in all.iter().enumerate() {
            assert!(
                !all[..at].iter().any(|before| before.country == rule.country),
                "{:?} twice",
                rule.country
            );
            assert!(rule.source.contains("https://") && rule.source.contains("read 2026-"));
            let registers = rule.letters == Letters::Registered || rule.numbers_registered;
            assert_eq!(registers, !rule.registry.is_empty(), "{:?}", rule.country);
        }
    }

    #[test]
    fn letters_go_where_they_may_and_registered_where_they_must_be() {
        let acme = SenderKind::of(Some("Acme"));
        assert_eq!(acme, SenderKind::Letters);
        for never in ["US", "CA", "PR", "CN"] {
            assert_eq!(not_allowed(acme, country(never), true), Some(NotAllowed::Letters), "{never}");
        }
        let india = "an entity and a template with a DLT operator";
        assert_eq!(not_allowed(acme, country("IN"), false), Some(NotAllowed::Unregistered(india)));
        assert_eq!(not_allowed(acme, country("IN"), true), None);
        assert_eq!(not_allowed(acme, country("NL"), false), None);
    }

    #[test]
    fn a_long_number_of_the_united_states_needs_its_campaign_at_home_only() {
        let american = SenderKind::of(Some("+14155550123"));
        assert_eq!(american, SenderKind::Number(country("US")));
        assert!(matches!(
            not_allowed(american, country("US"), false),
            Some(NotAllowed::Unregistered(_))
        ));
        assert_eq!(not_allowed(american, country("US"), true), None);
        assert_eq!(not_allowed(american, country("NL"), false), None);
        for other in [Some("+3197010253000"), Some("62453"), None] {
            assert_eq!(not_allowed(SenderKind::of(other), country("US"), false), None, "{other:?}");
        }
    }
}
