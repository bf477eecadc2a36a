//! What do Infobip's statuses and errors mean, and what follows?
//!
//! Names and meanings are from Infobip's page on response status and error codes
//! (<https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes>, read 2026-11-27); what to do about
//! each is ours. What is in no table says nothing about the next message. Nothing that one operator alone decides, such as a
//! short code that it does not carry, closes a way for everybody.

use tapcode_core::delivery::{FailureClass, TripScope};

const NEXT: FailureClass = FailureClass::NextRoute;
const SENDER: FailureClass = FailureClass::TripBreaker(TripScope::Sender);
const ACCOUNT: FailureClass = FailureClass::TripBreaker(TripScope::Account);
const COUNTRY: FailureClass = FailureClass::TripBreaker(TripScope::Country);
const UNREACHABLE: FailureClass = FailureClass::Unreachable;
const OURS: FailureClass = FailureClass::OurMistake;

type Row = (&'static str, FailureClass, &'static str);

/// What a name means, where it is in a table: an error's goes before a status's, being the more exact of the two.
pub(crate) fn of_error(name: &str) -> Option<&'static Row> {
    ERRORS.iter().find(|row| row.0 == name)
}

/// As [`of_error`], for the status of a message that failed.
pub(crate) fn of_status(name: &str) -> Option<&'static Row> {
    STATUSES.iter().find(|row| row.0 == name)
}

/// The statuses of messages that failed.
const STATUSES: &[Row] = &[
    ("UNDELIVERABLE_REJECTED_OPERATOR", NEXT, "the operator rejected it"),
    ("UNDELIVERABLE_NOT_DELIVERED", NEXT, "it was not delivered"),
    ("UNDELIVERABLE_NOT_SENT", NEXT, "it was not sent"),
    (
        "UNDELIVERABLE_REJECTED_PLATFORM",
        NEXT,
        "Infobip rejected it, or could not take it",
    ),
    ("EXPIRED_EXPIRED", NEXT, "it expired before it reached the phone"),
    ("EXPIRED_DLR_UNKNOWN", NEXT, "it expired, and nobody knows what became of it"),
    ("SIGNALS_BLOCKED", NEXT, "Infobip takes it for fraud"),
    ("REJECTED_NETWORK", NEXT, "the account does not reach this network"),
    ("REJECTED_PREFIX_MISSING", NEXT, "the number's prefix or length is wrong"),
    ("REJECTED_DND", NEXT, "the recipient wants no such messages"),
    ("REJECTED_SOURCE", SENDER, "the sender is not registered on the account"),
    ("REJECTED_NOT_ENOUGH_CREDITS", ACCOUNT, "the account is out of credit"),
    ("REJECTED_SENDER", SENDER, "the sender is on the account's blocklist"),
    ("REJECTED_DESTINATION_BLOCKLISTED", NEXT, "the recipient is on a blocklist"),
    (
        "REJECTED_PREPAID_PACKAGE_EXPIRED",
        ACCOUNT,
        "the account's credit has expired",
    ),
    (
        "REJECTED_DESTINATION_NOT_REGISTERED",
        OURS,
        "the account may send to its own test number only",
    ),
    ("REJECTED_ROUTE_NOT_AVAILABLE", ACCOUNT, "the account is not set up to send"),
    ("REJECTED_FLOODING_FILTER", NEXT, "too many messages to this number"),
    ("REJECTED_SYSTEM_ERROR", NEXT, "an error at Infobip"),
    ("REJECTED_DUPLICATE_MESSAGE_ID", OURS, "the message's id was used before"),
    ("REJECTED_INVALID_UDH", OURS, "the message's header is not valid"),
    ("REJECTED_MESSAGE_TOO_LONG", OURS, "the text is too long"),
    ("MISSING_TO", OURS, "there is no recipient"),
    ("REJECTED_DESTINATION", NEXT, "the number is not valid"),
];

/// The errors that say more than that this message did not arrive.
const ERRORS: &[Row] = &[
    (
        "EC_UNKNOWN_SUBSCRIBER",
        UNREACHABLE,
        "the network does not know the subscriber",
    ),
    ("EC_TELESERVICE_NOT_PROVISIONED", UNREACHABLE, "the subscription has no SMS"),
    (
        "EC_BEARER_SERVICE_NOT_PROVISIONED",
        UNREACHABLE,
        "the subscription has no such service",
    ),
    (
        "EC_DESTINATION_NOT_SMS_PROVISIONED",
        UNREACHABLE,
        "the number is not set up for SMS",
    ),
    (
        "EC_DEST_ADDRESS_UNABLE_TO_RECEIVE_SMS",
        UNREACHABLE,
        "the number cannot receive SMS",
    ),
    ("EC_DEACTIVATED_LIST", UNREACHABLE, "the number is no longer in use"),
    ("EC_INVALID_SOURCE_ADDRESS", SENDER, "the sender is not valid"),
    ("EC_BLACKLISTED_SENDERADDRESS", SENDER, "the sender is on a blocklist"),
    ("EC_TF_NUMBER_NOT_VERIFIED", SENDER, "the toll-free number is not verified"),
    (
        "EC_CAMPAIGNID_NOT_PROVISIONED",
        SENDER,
        "the campaign is not set up, or not active",
    ),
    ("EC_INVALID_GLOBAL_CAMPAIGN_ID", SENDER, "the campaign's id is not valid"),
    ("EC_ACCOUNT_ACCESS_DENIED", ACCOUNT, "the account is denied access"),
    (
        "EC_MONTHLY_LIMIT_REACHED",
        ACCOUNT,
        "the account's limit for the month is reached",
    ),
    ("EC_INVALID_REQUEST_TYPE", OURS, "the request is not valid"),
    ("EC_MSG_TEXT_TOO_LONG", OURS, "the text is too long"),
    ("EC_INVALID_PDU_FORMAT", OURS, "the message's format is not valid"),
    // India's DLT: what is wrong with entity, telemarketer, header or template is wrong with every message to India.
    ("EC_SENDER_BLOCKED_BY_DLT", COUNTRY, "DLT blocks the sender"),
    ("EC_TELEMARKETER_BLOCKED_BY_DLT", COUNTRY, "DLT blocks the telemarketer"),
    ("EC_ENTITY_BLOCKED_BY_DLT", COUNTRY, "DLT blocks the principal entity"),
    ("EC_TEMPLATE_BLOCKED_BY_DLT", COUNTRY, "DLT blocks the template"),
    ("EC_ENTITY_NOT_FOUND", COUNTRY, "DLT does not find the principal entity"),
    ("EC_ENTITY_NOT_REGISTERED", COUNTRY, "the principal entity is not registered"),
    ("EC_ENTITY_INACTIVE", COUNTRY, "the principal entity is not active"),
    ("EC_ENTITY_BLACKLISTED", COUNTRY, "the principal entity is on a blocklist"),
    ("EC_INVALID_ENTITY_ID", COUNTRY, "the principal entity's id is not valid"),
    (
        "EC_ENTITY_ID_NOT_ALLOWED_FOR_TM",
        COUNTRY,
        "the telemarketer may not send for this principal entity",
    ),
    (
        "EC_TELEMARKETER_NOT_REGISTERED",
        COUNTRY,
        "the telemarketer is not registered",
    ),
    ("EC_TELEMARKETER_INACTIVE", COUNTRY, "the telemarketer is not active"),
    ("EC_TELEMARKETER_BLACKLISTED", COUNTRY, "the telemarketer is on a blocklist"),
    ("EC_HEADER_NOT_FOUND", COUNTRY, "DLT does not find the header"),
    ("EC_HEADER_INACTIVE", COUNTRY, "the header is not active"),
    ("EC_HEADER_BLACKLISTED", COUNTRY, "the header is on a blocklist"),
    (
        "EC_PEID_NOT_MATCHED_WITH_HEADER",
        COUNTRY,
        "the header is not the principal entity's",
    ),
    ("EC_HEADER_IN_FREEPOOL", COUNTRY, "the header is nobody's"),
    ("EC_TEMPLATE_NOT_FOUND", COUNTRY, "DLT does not find the template"),
    ("EC_TEMPLATE_INACTIVE", COUNTRY, "the template is not active"),
    ("EC_TEMPLATE_BLACKLISTED", COUNTRY, "the template is on a blocklist"),
    (
        "EC_HEADER_NOT_REGISTERED_FOR_TEMPLATE",
        COUNTRY,
        "the header is not registered for the template",
    ),
    ("EC_INVALID_TEMPLATE_ID", COUNTRY, "the template's id is not valid"),
    (
        "EC_TEMPLATE_NOT_REGISTERED_TO_ENTITY",
        COUNTRY,
        "the template is not the principal entity's",
    ),
    (
        "EC_PROMOTIONAL_TEMPLATE_USED_ON_OTHERS_HEADER",
        COUNTRY,
        "the template is for advertising, and the header is not",
    ),
    ("EC_INVALID_TEMPLATE_TYPE", COUNTRY, "the template's type is not valid"),
    ("EC_SE_CATEGORY_BLOCK", COUNTRY, "the principal entity's category is blocked"),
    ("EC_TLV_PEID_NOT_FOUND", COUNTRY, "the principal entity's id is missing"),
    ("EC_TLV_TMPID_NOT_FOUND", COUNTRY, "the template's id is missing"),
    ("EC_HEADER_SUSPENDED_DUE_TO_VALIDITY", COUNTRY, "the header is suspended"),
    ("EC_HEADER_SUSPENDED_DUE_TO_USAGE", COUNTRY, "the header is suspended"),
    ("EC_HEADER_SUSPENDED_DUE_TO_CUSTOMER", COUNTRY, "the header is suspended"),
    ("EC_TEMPLATE_SUSPENDED_DUE_TO_VALIDITY", COUNTRY, "the template is suspended"),
    ("EC_TEMPLATE_SUSPENDED_DUE_TO_USAGE", COUNTRY, "the template is suspended"),
    ("EC_TEMPLATE_SUSPENDED_DUE_TO_CUSTOMER", COUNTRY, "the template is suspended"),
    ("EC_PE_TM_HASH_NOT_RECEIVED", COUNTRY, "the chain of telemarketers is missing"),
    (
        "EC_PE_TM_HASH_NOT_REGISTERED",
        COUNTRY,
        "the chain of telemarketers is not registered",
    ),
    ("EC_PE_TM_HASH_INACTIVE", COUNTRY, "a telemarketer of the chain is not active"),
    (
        "EC_PE_TM_HASH_BLACKLISTED",
        COUNTRY,
        "the chain of telemarketers is on a blocklist",
    ),
    ("EC_PE_TM_HASH_SUSPENDED", COUNTRY, "the chain of telemarketers is suspended"),
    // And what is wrong with one text, which may be right in another language.
    ("EC_TEMPLATE_NOT_MATCHED", OURS, "the text is not the registered template's"),
    (
        "EC_TEMPLATE_VARIABLE_EXCEEDED_MAX_LENGTH",
        OURS,
        "a variable of the template is longer than allowed",
    ),
    (
        "EC_ERROR_IDENTIFYING_TEMPLATE",
        OURS,
        "no registered template was found for the text",
    ),
    ("EC_CTA_NOT_WHITELISTED", OURS, "a link in the text is not registered"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_decided_once_and_explained() {
        let names: BTreeSet<&str> = ERRORS.iter().chain(STATUSES).map(|row| row.0).collect();
        assert_eq!(names.len(), ERRORS.len() + STATUSES.len());
        for (name, class, meaning) in ERRORS.iter().chain(STATUSES) {
            let is_name = |c: u8| c.is_ascii_uppercase() || c == b'_';
            assert!(name.bytes().all(is_name) && name.len() <= 64 && !meaning.is_empty(), "{name}");
            assert!(
                !matches!(class, FailureClass::RetryHere { .. }),
                "{name}: a receipt is of what was taken"
            );
        }
        assert!(
            ERRORS.iter().all(|row| row.1 != NEXT),
            "what is not in the table is the next route by itself"
        );
    }

    #[test]
    fn what_everybody_should_know_is_decided_so() {
        for (name, class) in [
            ("EC_UNKNOWN_SUBSCRIBER", UNREACHABLE),
            ("EC_ACCOUNT_ACCESS_DENIED", ACCOUNT),
            ("EC_INVALID_SOURCE_ADDRESS", SENDER),
            ("EC_HEADER_INACTIVE", COUNTRY),
            ("EC_TEMPLATE_NOT_MATCHED", OURS),
        ] {
            assert_eq!(of_error(name).unwrap().1, class, "{name}");
        }
        for (name, class) in [
            ("REJECTED_NOT_ENOUGH_CREDITS", ACCOUNT),
            ("REJECTED_SOURCE", SENDER),
            ("REJECTED_NETWORK", NEXT),
            ("EXPIRED_EXPIRED", NEXT),
            ("MISSING_TO", OURS),
        ] {
            assert_eq!(of_status(name).unwrap().1, class, "{name}");
        }
        // They may pass: the subscriber is absent, or one operator has its rules.
        for name in [
            "EC_ABSENT_SUBSCRIBER",
            "EC_UNIDENTIFIED_SUBSCRIBER",
            "EC_SC_NOT_PROVISIONED",
            "NO_ERROR",
            "",
        ] {
            assert!(of_error(name).is_none(), "{name}");
        }
    }
}
