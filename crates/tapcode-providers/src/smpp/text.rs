//! How does a text become the bytes of one or several messages?
//!
//! The alphabets and lengths are those of GSM 03.38 and 03.40 as in the facts read 2026-11-22; over SMPP a septet takes a byte
//! of its own, and whoever brings the message to the phone packs them.

use tapcode_core::text::{Encoding, GSM7_PART, GSM7_SINGLE, UCS2_PART, UCS2_SINGLE, gsm7, segments};

use super::pdu::{SHORT_MESSAGE_MAX, tag};

/// Most parts of one message.
pub(super) const PARTS_MAX: usize = 10;
/// Most bytes of a text that goes as a whole.
const PAYLOAD_MAX: usize = PARTS_MAX * SHORT_MESSAGE_MAX;
/// `esm_class`: the text begins with a header of its own.
const UDHI: u8 = 0x40;
const UCS2: u8 = 8;

/// In which alphabet a session writes what the GSM alphabet holds; everything else goes as UCS-2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// GSM 03.38, a byte for each septet, as `data_coding` 0.
    #[default]
    Gsm,
    /// Latin 1, as `data_coding` 3.
    Latin1,
    /// Latin 1, as `data_coding` 0: for SMSCs whose default alphabet it is.
    Latin1AsDefault,
    /// UCS-2 always, as `data_coding` 8.
    Ucs2,
}

/// How a text goes that is longer than one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Long {
    /// In parts, each with a header that phones read.
    #[default]
    Udh,
    /// In parts, counted in the optional parameters `sar_*`: the SMSC makes the headers.
    Sar,
    /// As a whole, in the optional parameter `message_payload`: the SMSC makes the parts.
    Payload,
}

/// One message to submit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) esm_class: u8,
    pub(super) data_coding: u8,
    pub(super) short_message: Vec<u8>,
    pub(super) tlvs: Vec<(u16, Vec<u8>)>,
}

/// A text as messages; `None` when it takes more than [`PARTS_MAX`]. `reference` tells the parts of one text from others'.
pub(super) fn parts(text: &str, coding: Coding, long: Long, reference: u16) -> Option<Vec<Part>> {
    let (data_coding, units) = written(text, coding);
    let (single, part) = match data_coding {
        UCS2 => (2 * UCS2_SINGLE, 2 * UCS2_PART),
        _ => (GSM7_SINGLE, GSM7_PART),
    };
    let bytes = |units: &[Unit]| -> Vec<u8> { units.iter().flat_map(|unit| unit.bytes.iter().copied()).collect() };
    let one = |short_message, tlvs| Part {
        esm_class: 0,
        data_coding,
        short_message,
        tlvs,
    };
    if units.iter().map(|unit| unit.weight).sum::<usize>() <= single {
        return Some(vec![one(bytes(&units), Vec::new())]);
    }
    if long == Long::Payload {
        let whole = bytes(&units);
        return (whole.len() <= PAYLOAD_MAX).then(|| vec![one(Vec::new(), vec![(tag::MESSAGE_PAYLOAD, whole)])]);
    }
    let mut cut: Vec<(usize, Vec<u8>)> = vec![(0, Vec::new())];
    for unit in units {
        if cut.last().is_none_or(|(filled, _)| filled + unit.weight > part) {
            cut.push((0, Vec::new()));
        }
        let (filled, bytes) = cut.last_mut()?;
        *filled += unit.weight;
        bytes.extend_from_slice(&unit.bytes);
    }
    if cut.len() > PARTS_MAX {
        return None;
    }
    let total = u8::try_from(cut.len()).ok()?;
    let numbered = (1..=total).zip(cut);
    let [_, low] = reference.to_be_bytes();
    Some(
        numbered
            .map(|(number, (_, text))| match long {
                Long::Udh => Part {
                    esm_class: UDHI,
                    ..one([&[5, 0, 3, low, total, number], &text[..]].concat(), Vec::new())
                },
                Long::Sar | Long::Payload => {
                    let tlvs = vec![
                        (tag::SAR_MSG_REF_NUM, reference.to_be_bytes().to_vec()),
                        (tag::SAR_TOTAL_SEGMENTS, vec![total]),
                        (tag::SAR_SEGMENT_SEQNUM, vec![number]),
                    ];
                    one(text, tlvs)
                }
            })
            .collect(),
    )
}

/// What must not be divided between two parts, and how much room it takes there: septets, or bytes of UCS-2.
struct Unit {
    bytes: Vec<u8>,
    weight: usize,
}

fn written(text: &str, coding: Coding) -> (u8, Vec<Unit>) {
    let is_gsm = segments(text).0 == Encoding::Gsm7;
    let latin = |c: char| {
        let bytes = vec![u8::try_from(u32::from(c)).ok()?];
        // The phone gets it in the GSM alphabet all the same.
        let weight = gsm7(c)?.len();
        Some(Unit { bytes, weight })
    };
    let septets = |c: char| {
        let bytes = gsm7(c)?;
        let weight = bytes.len();
        Some(Unit { bytes, weight })
    };
    let shorter: Option<(u8, Vec<Unit>)> = match coding {
        _ if !is_gsm => None,
        Coding::Gsm => text.chars().map(septets).collect::<Option<_>>().map(|units| (0, units)),
        Coding::Latin1 => text.chars().map(latin).collect::<Option<_>>().map(|units| (3, units)),
        Coding::Latin1AsDefault => text.chars().map(latin).collect::<Option<_>>().map(|units| (0, units)),
        Coding::Ucs2 => None,
    };
    shorter.unwrap_or_else(|| {
        let wide = |c: char| {
            let mut units = [0; 2];
            let bytes: Vec<u8> = c
                .encode_utf16(&mut units)
                .iter()
                .flat_map(|unit| unit.to_be_bytes())
                .collect();
            let weight = bytes.len();
            Unit { bytes, weight }
        };
        (UCS2, text.chars().map(wide).collect())
    })
}
