//! What does the router do about an error of the Cloud API? One table for answers and for `failed` statuses alike.
//!
//! Meta says that an error may come either way, and to build on its `code`, not on the HTTP status, the title or the
//! type. The codes and meanings are Meta's ([`SOURCE`]); what to do about each is ours.

use std::ops::RangeInclusive;

use tapcode_core::delivery::{Failure, FailureClass, TripScope};
use tapcode_engine::contract::provider::Source;

use crate::vendor_text::meaning_and_words;

/// Where Meta's codes were read.
pub const SOURCE: Source = Source {
    url: "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes",
    read: "2026-11-22",
};

/// The code of a message that cannot be delivered: not on WhatsApp, an old app, or terms that were not accepted.
pub const UNDELIVERABLE: u32 = 131_026;

/// One code, or a run of codes with one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The codes.
    pub codes: RangeInclusive<u32>,
    /// The sub-code that must be there as well, where one code means several things.
    pub subcode: Option<u32>,
    /// What it means, for people.
    pub meaning: &'static str,
    /// What the router does.
    pub class: FailureClass,
    /// Where the code was read.
    pub source: &'static Source,
}

const fn row(code: u32, class: FailureClass, meaning: &'static str) -> ErrorRow {
    rows(code, code, class, meaning)
}

const fn rows(first: u32, last: u32, class: FailureClass, meaning: &'static str) -> ErrorRow {
    ErrorRow {
        codes: first..=last,
        subcode: None,
        meaning,
        class,
        source: &SOURCE,
    }
}

const NEXT: FailureClass = FailureClass::NextRoute;
const UNREACHABLE: FailureClass = FailureClass::Unreachable;
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const TEMPLATE: FailureClass = FailureClass::TripBreaker(TripScope::Template);
const COUNTRY: FailureClass = FailureClass::TripBreaker(TripScope::Country);
const OURS: FailureClass = FailureClass::OurMistake;
/// Meta gives no waiting time for "temporary" and "unknown": one second, once, is within every wait for the fallback.
const SOON: FailureClass = FailureClass::RetryHere { after_ms: 1_000 };
/// The throughput limit is counted per second, so that half a second later some of it is free again.
const THROUGHPUT: FailureClass = FailureClass::SlowDown { after_ms: 500 };

/// The table, by code; of two rows for one code the one with a sub-code comes first.
pub const TABLE: &[ErrorRow] = &[
    row(0, ACCOUNT, "the access token is not valid"),
    row(1, SOON, "invalid request, or an error at Meta"),
    row(2, SOON, "Meta is down or overloaded for the moment"),
    row(3, ACCOUNT, "the app may not call this method"),
    row(4, SOON, "the app's rate limit is reached"),
    row(10, ACCOUNT, "a permission is missing or was withdrawn"),
    row(33, SENDER, "the business phone number was deleted"),
    ErrorRow {
        codes: 100..=100,
        subcode: Some(33),
        meaning: "the phone number id does not exist, or the token may not use it",
        class: SENDER,
        source: &SOURCE,
    },
    row(100, OURS, "a parameter is unknown, missing or misspelt"),
    row(190, ACCOUNT, "the access token has expired"),
    rows(200, 299, ACCOUNT, "a permission is missing or was withdrawn"),
    row(368, ACCOUNT, "the business account is restricted for a policy violation"),
    row(80_007, SOON, "the business account's rate limit is reached"),
    row(130_403, NEXT, "the business has blocked this user"),
    row(130_429, THROUGHPUT, "the number's throughput limit is reached"),
    row(130_472, NEXT, "the user takes part in an experiment of Meta's"),
    row(130_497, COUNTRY, "the business account may not message users in this country"),
    row(131_000, SOON, "unknown error at Meta"),
    row(131_005, ACCOUNT, "a permission is missing or was withdrawn"),
    row(131_008, OURS, "a parameter is missing"),
    row(131_009, OURS, "a parameter has an invalid value"),
    row(131_016, SOON, "a service of Meta's is unavailable for the moment"),
    row(131_021, OURS, "sender and recipient are the same number"),
    row(
        UNDELIVERABLE,
        UNREACHABLE,
        "undeliverable: the number is not on WhatsApp, its app is too old, or its terms were not accepted",
    ),
    row(131_031, ACCOUNT, "the business account is locked"),
    row(131_037, SENDER, "the number's display name is not approved"),
    row(131_042, ACCOUNT, "the business account's payment method has a problem"),
    row(131_045, SENDER, "the number is not registered"),
    row(131_047, OURS, "free text outside the 24-hour window"),
    row(
        131_048,
        SENDER,
        "the number's messages were blocked or flagged as spam too often",
    ),
    row(
        131_049,
        TEMPLATE,
        "not delivered to keep the ecosystem healthy: the template is no longer an authentication template",
    ),
    row(
        131_050,
        TEMPLATE,
        "the user wants no marketing: the template is no longer an authentication template",
    ),
    row(131_051, OURS, "the message type is not supported"),
    row(131_052, OURS, "media could not be downloaded"),
    row(131_053, OURS, "media could not be uploaded"),
    row(131_056, NEXT, "too many messages to this user in a short time"),
    row(131_057, SENDER, "the number is in maintenance for about a minute"),
    row(
        131_062,
        OURS,
        "an authentication template needs the phone number, not a user id",
    ),
    row(
        131_063,
        TEMPLATE,
        "the template is a marketing template, and marketing is off",
    ),
    row(
        131_064,
        ACCOUNT,
        "the messaging limit was lowered for a wrong template category",
    ),
    row(132_000, OURS, "the number of parameters is not the template's"),
    row(
        132_001,
        FailureClass::OtherLanguage,
        "the template does not exist, or is not approved in this language",
    ),
    row(132_005, TEMPLATE, "the translated text is too long"),
    row(132_007, TEMPLATE, "the template's content violates a policy"),
    row(132_012, OURS, "a parameter's format is not the template's"),
    row(
        132_015,
        TEMPLATE,
        "the template is paused, or the message was held and then dropped for low quality",
    ),
    row(132_016, TEMPLATE, "the template is disabled for good"),
    row(132_018, OURS, "the template's parameters are not valid"),
    rows(132_068, 132_069, OURS, "an error of a flow, which no code is sent with"),
    row(133_000, SENDER, "registration: an earlier deregistration failed"),
    row(133_004, SENDER, "registration: the server is unavailable for the moment"),
    row(133_005, SENDER, "registration: the two-step PIN is wrong"),
    row(133_006, SENDER, "registration: the number must be verified again"),
    row(133_008, SENDER, "registration: too many wrong two-step PINs"),
    row(133_009, SENDER, "registration: the two-step PIN was entered too fast"),
    row(133_010, SENDER, "the number is not registered"),
    row(133_015, SENDER, "registration: the number was deleted a short while ago"),
    row(133_016, SENDER, "registration: too many attempts"),
    row(134_011, NEXT, "the terms for payments were not accepted"),
    row(135_000, NEXT, "generic error about this user"),
    row(
        137_000,
        FailureClass::NoFallback,
        "the user's WhatsApp identity has changed: somebody else may hold the number",
    ),
    rows(2_388_000, 2_388_999, OURS, "an error of the template's management"),
];

/// The row for a code, with its sub-code where the vendor gave one.
#[must_use]
pub fn find(code: u32, subcode: Option<u32>) -> Option<&'static ErrorRow> {
    TABLE
        .iter()
        .find(|row| row.codes.contains(&code) && (row.subcode.is_none() || row.subcode == subcode))
}

/// The failure that an answer to a send call tells; `None` for a code that is not in the table. `words` are Meta's own.
#[must_use]
pub fn answered(code: u32, subcode: Option<u32>, words: &str) -> Option<Failure> {
    find(code, subcode).map(|row| Failure::new(row.class, &code.to_string(), &meaning_and_words(row.meaning, words)))
}

/// The failure that a `failed` status tells. The message was accepted and this attempt is used up, so that what would be
/// tried again on the same route goes to the next one, and so does a code that is not in the table.
#[must_use]
pub fn reported(code: u32, words: &str) -> Failure {
    let (class, meaning) = match find(code, None) {
        Some(ErrorRow {
            class: FailureClass::RetryHere { .. } | FailureClass::SlowDown { .. },
            meaning,
            ..
        }) => (NEXT, *meaning),
        Some(ErrorRow {
            class: FailureClass::OtherLanguage,
            meaning,
            ..
        }) => (TEMPLATE, *meaning),
        Some(row) => (row.class, row.meaning),
        None => (NEXT, "an error that is not in our table"),
    };
    Failure::new(class, &code.to_string(), &meaning_and_words(meaning, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row() {
        for pair in TABLE.windows(2) {
            let same_code = pair[0].codes == pair[1].codes && pair[0].subcode.is_some() && pair[1].subcode.is_none();
            assert!(
                same_code || pair[0].codes.end() < pair[1].codes.start(),
                "{:?} and {:?}",
                pair[0].codes,
                pair[1].codes
            );
        }
    }

    // Every code of the table by itself, so that a slip in a range or a scope does not pass.
    #[test]
    fn every_code_is_decided_as_the_reference_says() {
        use FailureClass::{NextRoute, NoFallback, OtherLanguage, OurMistake, RetryHere, SlowDown, TripBreaker, Unreachable};
        use TripScope::{Account, Country, Sender, Template};
        let soon = RetryHere { after_ms: 1_000 };
        let decisions = [
            (0, TripBreaker(Account)),
            (1, soon),
            (2, soon),
            (3, TripBreaker(Account)),
            (4, soon),
            (10, TripBreaker(Account)),
            (33, TripBreaker(Sender)),
            (100, OurMistake),
            (190, TripBreaker(Account)),
            (200, TripBreaker(Account)),
            (250, TripBreaker(Account)),
            (299, TripBreaker(Account)),
            (368, TripBreaker(Account)),
            (80_007, soon),
            (130_403, NextRoute),
            (130_429, SlowDown { after_ms: 500 }),
            (130_472, NextRoute),
            (130_497, TripBreaker(Country)),
            (131_000, soon),
            (131_005, TripBreaker(Account)),
            (131_008, OurMistake),
            (131_009, OurMistake),
            (131_016, soon),
            (131_021, OurMistake),
            (131_026, Unreachable),
            (131_031, TripBreaker(Account)),
            (131_037, TripBreaker(Sender)),
            (131_042, TripBreaker(Account)),
            (131_045, TripBreaker(Sender)),
            (131_047, OurMistake),
            (131_048, TripBreaker(Sender)),
            (131_049, TripBreaker(Template)),
            (131_050, TripBreaker(Template)),
            (131_051, OurMistake),
            (131_052, OurMistake),
            (131_053, OurMistake),
            (131_056, NextRoute),
            (131_057, TripBreaker(Sender)),
            (131_062, OurMistake),
            (131_063, TripBreaker(Template)),
            (131_064, TripBreaker(Account)),
            (132_000, OurMistake),
            (132_001, OtherLanguage),
            (132_005, TripBreaker(Template)),
            (132_007, TripBreaker(Template)),
            (132_012, OurMistake),
            (132_015, TripBreaker(Template)),
            (132_016, TripBreaker(Template)),
            (132_018, OurMistake),
            (132_068, OurMistake),
            (132_069, OurMistake),
            (133_000, TripBreaker(Sender)),
            (133_004, TripBreaker(Sender)),
            (133_005, TripBreaker(Sender)),
            (133_006, TripBreaker(Sender)),
            (133_008, TripBreaker(Sender)),
            (133_009, TripBreaker(Sender)),
            (133_010, TripBreaker(Sender)),
            (133_015, TripBreaker(Sender)),
            (133_016, TripBreaker(Sender)),
            (134_011, NextRoute),
            (135_000, NextRoute),
            (137_000, NoFallback),
            (2_388_019, OurMistake),
            (2_388_039, OurMistake),
            (2_388_293, OurMistake),
        ];
        for (code, class) in decisions {
            assert_eq!(find(code, None).map(|row| row.class), Some(class), "{code}");
        }
        let written = |row: &&ErrorRow| decisions.iter().any(|(code, _)| row.codes.contains(code));
        assert_eq!(
            TABLE.iter().find(|row| !written(row)),
            None,
            "a row that no decision above is about"
        );
        let subcoded = |subcode| find(100, Some(subcode)).map(|row| row.class);
        assert_eq!((subcoded(33), subcoded(34)), (Some(TripBreaker(Sender)), Some(OurMistake)));
        let class = |code| find(code, None).map(|row| row.class);
        assert_eq!((class(199), class(300), class(u32::MAX)), (None, None, None));
    }

    #[test]
    fn a_report_never_asks_for_another_try_on_the_same_route() {
        for code in TABLE
            .iter()
            .flat_map(|row| [*row.codes.start(), *row.codes.end()])
            .chain([7, 999_999])
        {
            let again = matches!(
                reported(code, "").class,
                FailureClass::RetryHere { .. } | FailureClass::SlowDown { .. } | FailureClass::OtherLanguage
            );
            assert!(!again, "{code}");
        }
        assert_eq!(reported(137_000, "").class, FailureClass::NoFallback);
        assert_eq!(
            reported(999_999, "Odd").detail.as_ref(),
            "an error that is not in our table: Odd"
        );
    }
}
