//! What does the router do about an error of the Cloud API? One table for answers and for `failed` statuses alike.
//!
//! Meta says that an error may come either way, and to build on its `code`, not on the HTTP status, the title or the
//! type. The codes and meanings are Meta's ([`SOURCE`]); what to do about each is ours.

use std::ops::RangeInclusive;

use tapcode_core::delivery::{Failure, FailureClass};
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
const TRIP: FailureClass = FailureClass::TripBreaker;
const OURS: FailureClass = FailureClass::OurMistake;
/// Meta gives no waiting time for "temporary" and "unknown": one second, once, is within every wait for the fallback.
const SOON: FailureClass = FailureClass::RetryHere { after_ms: 1_000 };
/// The throughput limit is counted per second, so that half a second later some of it is free again.
const THROUGHPUT: FailureClass = FailureClass::RetryHere { after_ms: 500 };

/// The table, by code; of two rows for one code the one with a sub-code comes first.
pub const TABLE: &[ErrorRow] = &[
    row(0, TRIP, "the access token is not valid"),
    row(1, SOON, "invalid request, or an error at Meta"),
    row(2, SOON, "Meta is down or overloaded for the moment"),
    row(3, TRIP, "the app may not call this method"),
    row(4, SOON, "the app's rate limit is reached"),
    row(10, TRIP, "a permission is missing or was withdrawn"),
    row(33, TRIP, "the business phone number was deleted"),
    ErrorRow {
        codes: 100..=100,
        subcode: Some(33),
        meaning: "the phone number id does not exist, or the token may not use it",
        class: TRIP,
        source: &SOURCE,
    },
    row(100, OURS, "a parameter is unknown, missing or misspelt"),
    row(190, TRIP, "the access token has expired"),
    rows(200, 299, TRIP, "a permission is missing or was withdrawn"),
    row(368, TRIP, "the business account is restricted for a policy violation"),
    row(80_007, SOON, "the business account's rate limit is reached"),
    row(130_403, NEXT, "the business has blocked this user"),
    row(130_429, THROUGHPUT, "the number's throughput limit is reached"),
    row(130_472, NEXT, "the user takes part in an experiment of Meta's"),
    row(130_497, NEXT, "the business account may not message users in this country"),
    row(131_000, SOON, "unknown error at Meta"),
    row(131_005, TRIP, "a permission is missing or was withdrawn"),
    row(131_008, OURS, "a parameter is missing"),
    row(131_009, OURS, "a parameter has an invalid value"),
    row(131_016, SOON, "a service of Meta's is unavailable for the moment"),
    row(131_021, OURS, "sender and recipient are the same number"),
    row(
        UNDELIVERABLE,
        NEXT,
        "undeliverable: the number is not on WhatsApp, its app is too old, or its terms were not accepted",
    ),
    row(131_031, TRIP, "the business account is locked"),
    row(131_037, TRIP, "the number's display name is not approved"),
    row(131_042, TRIP, "the business account's payment method has a problem"),
    row(131_045, TRIP, "the number is not registered"),
    row(131_047, OURS, "free text outside the 24-hour window"),
    row(
        131_048,
        TRIP,
        "the number's messages were blocked or flagged as spam too often",
    ),
    row(
        131_049,
        TRIP,
        "not delivered to keep the ecosystem healthy: the template is no longer an authentication template",
    ),
    row(
        131_050,
        TRIP,
        "the user wants no marketing: the template is no longer an authentication template",
    ),
    row(131_051, OURS, "the message type is not supported"),
    row(131_052, OURS, "media could not be downloaded"),
    row(131_053, OURS, "media could not be uploaded"),
    row(131_056, NEXT, "too many messages to this user in a short time"),
    row(131_057, NEXT, "the number is in maintenance for about a minute"),
    row(
        131_062,
        OURS,
        "an authentication template needs the phone number, not a user id",
    ),
    row(131_063, TRIP, "the template is a marketing template, and marketing is off"),
    row(131_064, TRIP, "the messaging limit was lowered for a wrong template category"),
    row(132_000, OURS, "the number of parameters is not the template's"),
    row(
        132_001,
        TRIP,
        "the template does not exist, or is not approved in this language",
    ),
    row(132_005, TRIP, "the translated text is too long"),
    row(132_007, TRIP, "the template's content violates a policy"),
    row(132_012, OURS, "a parameter's format is not the template's"),
    row(
        132_015,
        TRIP,
        "the template is paused, or the message was held and then dropped for low quality",
    ),
    row(132_016, TRIP, "the template is disabled for good"),
    row(132_018, OURS, "the template's parameters are not valid"),
    rows(132_068, 132_069, OURS, "an error of a flow, which no code is sent with"),
    row(133_000, TRIP, "registration: an earlier deregistration failed"),
    row(133_004, TRIP, "registration: the server is unavailable for the moment"),
    row(133_005, TRIP, "registration: the two-step PIN is wrong"),
    row(133_006, TRIP, "registration: the number must be verified again"),
    row(133_008, TRIP, "registration: too many wrong two-step PINs"),
    row(133_009, TRIP, "registration: the two-step PIN was entered too fast"),
    row(133_010, TRIP, "the number is not registered"),
    row(133_015, TRIP, "registration: the number was deleted a short while ago"),
    row(133_016, TRIP, "registration: too many attempts"),
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
            class: FailureClass::RetryHere { .. },
            meaning,
            ..
        }) => (NEXT, *meaning),
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

    // Section by section what the reference says, so that a slip in the table above does not pass.
    #[test]
    fn the_router_does_what_the_reference_says() {
        let next = [130_403, 130_472, 130_497, 131_026, 131_056, 131_057, 134_011, 135_000];
        let trip = [
            0, 3, 10, 33, 190, 200, 250, 299, 368, 131_005, 131_031, 131_037, 131_042, 131_045, 131_048, 131_063, 131_064,
            132_001, 132_005, 132_007, 132_015, 132_016, 133_010, 133_016,
        ];
        let ours = [
            100, 131_008, 131_009, 131_021, 131_047, 131_051, 131_052, 131_053, 131_062, 132_000, 132_012, 132_018,
        ];
        let again = [1, 2, 4, 80_007, 130_429, 131_000, 131_016];
        let class = |code| find(code, None).map(|row| row.class);
        assert!(next.iter().all(|code| class(*code) == Some(FailureClass::NextRoute)));
        assert!(trip.iter().all(|code| class(*code) == Some(FailureClass::TripBreaker)));
        assert!(ours.iter().all(|code| class(*code) == Some(FailureClass::OurMistake)));
        assert!(
            again
                .iter()
                .all(|code| matches!(class(*code), Some(FailureClass::RetryHere { after_ms: 250..=1_000 })))
        );
        assert_eq!(class(137_000), Some(FailureClass::NoFallback));
        assert_eq!(find(100, Some(33)).map(|row| row.class), Some(FailureClass::TripBreaker));
        assert_eq!(find(100, Some(34)).map(|row| row.class), Some(FailureClass::OurMistake));
        assert_eq!((class(199), class(300), class(u32::MAX)), (None, None, None));
    }

    #[test]
    fn a_report_never_asks_for_another_try_on_the_same_route() {
        for code in TABLE
            .iter()
            .flat_map(|row| [*row.codes.start(), *row.codes.end()])
            .chain([7, 999_999])
        {
            assert!(!matches!(reported(code, "").class, FailureClass::RetryHere { .. }), "{code}");
        }
        assert_eq!(reported(137_000, "").class, FailureClass::NoFallback);
        assert_eq!(
            reported(999_999, "Odd").detail.as_ref(),
            "an error that is not in our table: Odd"
        );
    }
}
