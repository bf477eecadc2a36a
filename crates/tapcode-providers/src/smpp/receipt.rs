//! What does a delivery receipt tell? By optional parameters where they are there, else by its text in the many ways that
//! SMSCs write it.
//!
//! Nothing but the session itself proves a receipt, so only what the SMSC marks as one is read: a text message that somebody
//! sends to our number may say anything. When it happened is not read: SMSCs write it in their own local time.

use tapcode_core::delivery::{Failure, FailureClass, ReceiptKind};
use tapcode_engine::contract::provider::Receipt;

use super::pdu::Deliver;
use crate::answer::is_message_id;

/// How the text of a receipt names a message, as against the answer to its submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// In the same way, leading zeros and the case of hexadecimal digits apart.
    #[default]
    Same,
    /// The answer in hexadecimal, the receipt in decimal.
    HexThenDecimal,
    /// The answer in decimal, the receipt in hexadecimal.
    DecimalThenHex,
}

impl Ids {
    /// The one spelling of a message id that stood in the answer to its submission; `None` for what can be no id.
    pub(super) fn of_answer(self, id: &[u8]) -> Option<Box<str>> {
        self.spelled(id, self == Self::HexThenDecimal)
    }

    /// The one spelling of an id that stood in a receipt's text.
    fn of_text(self, id: &[u8]) -> Option<Box<str>> {
        self.spelled(id, self == Self::DecimalThenHex)
    }

    fn spelled(self, id: &[u8], is_hex: bool) -> Option<Box<str>> {
        let id = std::str::from_utf8(id).ok()?.trim();
        if !is_message_id(id) {
            return None;
        }
        if is_hex {
            // What is no number is left as it is: better one spelling of two than none.
            if let Ok(number) = u128::from_str_radix(id, 16) {
                return Some(number.to_string().into());
            }
        }
        let spelled = if id.bytes().all(|c| c.is_ascii_hexdigit()) {
            id.to_ascii_lowercase()
        } else {
            id.to_owned()
        };
        if spelled.bytes().all(|c| c.is_ascii_digit()) {
            let significant = spelled.trim_start_matches('0');
            return Some(if significant.is_empty() { "0" } else { significant }.into());
        }
        Some(spelled.into())
    }
}

/// `esm_class`: what kind of message it is.
const KIND: u8 = 0x3C;
const SMSC_RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;

/// What a message that the SMSC delivers to us tells about one of ours; `None` for what tells nothing: another person's
/// message, a state that is no news, an id that is none.
pub(super) fn told(deliver: &Deliver<'_>, ids: Ids) -> Option<Receipt> {
    let by_option = deliver.receipted_message_id.filter(|id| !id.is_empty());
    let is_intermediate = match deliver.esm_class & KIND {
        SMSC_RECEIPT => false,
        INTERMEDIATE => true,
        // Some SMSCs mark a receipt by these alone; a person's message has neither.
        0 if by_option.is_some() && deliver.message_state.is_some() => false,
        _ => return None,
    };
    let text = deliver.text_to_read();
    let said = Said::read(&text);
    let state = deliver
        .message_state
        .and_then(State::of_number)
        .or_else(|| said.state.and_then(State::of_word))?;
    let id = match (by_option, said.id) {
        // An option names it as the answer did, unless this SMSC writes the same as in its text.
        (Some(option), Some(text)) if option == text.as_bytes() => ids.of_text(option),
        (Some(option), _) => ids.of_answer(option),
        (None, Some(text)) => ids.of_text(text.as_bytes()),
        (None, None) => None,
    }?;
    let network_error = deliver.network_error.map(|code| code.to_string());
    let kind = state.kind(is_intermediate, network_error.as_deref().or(said.error))?;
    Some(Receipt {
        reference: None,
        provider_message_id: id,
        kind,
        at: None,
        billing: None,
        identity: None,
    })
}

/// Longest receipt that is read, in bytes; what comes behind is the beginning of our own text.
const TEXT_MAX: usize = 512;

impl Deliver<'_> {
    /// The text, as far as it can be ASCII: receipts in UCS-2 are read too.
    fn text_to_read(&self) -> String {
        let is_wide = self.data_coding == 8;
        let bytes = &self.text[..self.text.len().min(if is_wide { 2 * TEXT_MAX } else { TEXT_MAX })];
        // A header before the text, as in a long message.
        let bytes = match (self.esm_class & 0x40 != 0, bytes.split_first()) {
            (true, Some((length, rest))) => rest.get(usize::from(*length)..).unwrap_or_default(),
            _ => bytes,
        };
        if is_wide {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        } else {
            // An underscore of the GSM alphabet is 0x11; everything else that a receipt is made of is where ASCII has it.
            bytes
                .iter()
                .map(|byte| if *byte == 0x11 { '_' } else { char::from(*byte) })
                .collect()
        }
    }
}

/// What stands in a receipt's text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said<'a> {
    id: Option<&'a str>,
    state: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// `id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…` with any case, order and separators; or the same
    /// values between commas without their names.
    fn read(text: &'a str) -> Self {
        // The text of the message itself comes last, and may say anything.
        let end = text.to_ascii_lowercase().find("text:").unwrap_or(text.len());
        let text = &text[..end];
        let mut said = Self::default();
        for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|')) {
            let Some((key, value)) = word.split_once([':', '=']) else {
                continue;
            };
            let place = match key.to_ascii_lowercase().as_str() {
                "id" => &mut said.id,
                "stat" | "status" => &mut said.state,
                "err" | "error" => &mut said.error,
                _ => continue,
            };
            if !value.is_empty() {
                place.get_or_insert(value);
            }
        }
        if said.id.is_none() && said.state.is_none() {
            let mut values = text.split(',').map(str::trim);
            said.id = values.next().filter(|id| !id.is_empty());
            said.state = values.by_ref().find(|value| State::of_word(value).is_some());
            said.error = values.next();
        }
        said
    }
}

/// States of a message, by their numbers in `message_state` (section 5.2.28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
}

impl State {
    const fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Enroute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 => Self::Undeliverable,
            6 => Self::Accepted,
            7 => Self::Unknown,
            8 => Self::Rejected,
            _ => return None,
        })
    }

    /// The abbreviations of the specification's appendix B, and the words that some SMSCs write instead.
    fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "ENROUTE" | "BUFFRED" | "BUFFERED" | "SENT" => Self::Enroute,
            "DELIVRD" | "DELIVERED" | "DELIVRED" => Self::Delivered,
            "EXPIRED" => Self::Expired,
            "DELETED" => Self::Deleted,
            "UNDELIV" | "UNDELIVERABLE" | "UNDELIVERED" | "FAILED" => Self::Undeliverable,
            "ACCEPTD" | "ACCEPTED" => Self::Accepted,
            "UNKNOWN" | "UNKNOWN_STATE" => Self::Unknown,
            "REJECTD" | "REJECTED" => Self::Rejected,
            _ => return None,
        })
    }

    /// What it is to us. What is only on its way has not failed yet, and has not arrived.
    fn kind(self, is_intermediate: bool, error: Option<&str>) -> Option<ReceiptKind> {
        let (word, meaning) = match self {
            Self::Enroute | Self::Accepted => return Some(ReceiptKind::Sent),
            // It was answered for, and nobody knows: the wait goes on.
            Self::Unknown => return None,
            _ if is_intermediate => return None,
            Self::Delivered => return Some(ReceiptKind::Delivered),
            Self::Expired => ("EXPIRED", "the phone was not reached in time"),
            Self::Deleted => ("DELETED", "the operator deleted it"),
            Self::Undeliverable => ("UNDELIV", "it could not be delivered"),
            Self::Rejected => ("REJECTD", "the operator rejected it"),
        };
        // What the errors mean is each operator's own.
        let error = error.filter(|error| error.len() <= 8 && error.bytes().all(|c| c.is_ascii_alphanumeric()));
        let code = error.map_or_else(|| word.to_owned(), |error| format!("{word} {error}"));
        Some(ReceiptKind::Failed(Failure::new(FailureClass::NextRoute, &code, meaning)))
    }
}

#[cfg(test)]
mod tests;
