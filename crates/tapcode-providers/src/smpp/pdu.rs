//! Which bytes go over an SMPP session? The few PDUs that a sender needs, written and read.
//!
//! SMPP 3.4, issue 1.2: <https://smpp.org/SMPP_v3_4_Issue1_2.pdf> (read 2026-11-22 for the PDUs' layout).
//! Reading is total: any bytes are a PDU, not yet a whole one, or [`OutOfStep`]; nothing is copied but what is kept, and nothing
//! is kept that is larger than [`PDU_MAX`].

/// Bytes of a header.
pub(super) const HEADER: usize = 16;
/// Largest PDU that is read, in bytes: a `message_payload` of 65,535 and what may stand around it. Behind a larger one nobody
/// can say where the next begins.
pub(super) const PDU_MAX: usize = 70_000;
/// Longest `short_message`, in bytes.
pub(super) const SHORT_MESSAGE_MAX: usize = 254;
/// Longest message id with its NUL, by the specification; what is longer is cut by whoever keeps it.
const INTERFACE_VERSION: u8 = 0x34;

/// Kinds of PDUs; an answer has the highest bit set.
pub(super) mod command {
    pub(in super::super) const BIND_TRANSCEIVER: u32 = 0x09;
    pub(in super::super) const SUBMIT_SM: u32 = 0x04;
    pub(in super::super) const DELIVER_SM: u32 = 0x05;
    pub(in super::super) const UNBIND: u32 = 0x06;
    pub(in super::super) const ENQUIRE_LINK: u32 = 0x15;
    pub(in super::super) const DATA_SM: u32 = 0x103;
    pub(in super::super) const ALERT_NOTIFICATION: u32 = 0x102;
    pub(in super::super) const RESPONSE: u32 = 0x8000_0000;
    pub(in super::super) const GENERIC_NACK: u32 = 0x8000_0000;
}

/// Optional parameters.
pub(super) mod tag {
    pub(in super::super) const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    pub(in super::super) const SAR_MSG_REF_NUM: u16 = 0x020C;
    pub(in super::super) const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
    pub(in super::super) const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
    pub(in super::super) const NETWORK_ERROR_CODE: u16 = 0x0423;
    pub(in super::super) const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub(in super::super) const MESSAGE_STATE: u16 = 0x0427;
}

/// The stream is not SMPP, or no longer: the session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PDU of {0} bytes cannot be")]
pub(super) struct OutOfStep(pub(super) u32);

/// The head of a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) command: u32,
    pub(super) status: u32,
    pub(super) sequence: u32,
}

/// How long the PDU at the beginning of `bytes` is; `None` while that cannot be told, or it is not all there.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<usize>, OutOfStep> {
    let Some(length) = bytes.first_chunk().map(|length| u32::from_be_bytes(*length)) else {
        return Ok(None);
    };
    let size = usize::try_from(length).map_err(|_| OutOfStep(length))?;
    if !(HEADER..=PDU_MAX).contains(&size) {
        return Err(OutOfStep(length));
    }
    Ok((bytes.len() >= size).then_some(size))
}

/// Takes a whole PDU apart.
pub(super) fn split(pdu: &[u8]) -> Option<(Header, &[u8])> {
    let (head, body) = pdu.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let header = Header {
        command: word(4),
        status: word(8),
        sequence: word(12),
    };
    Some((header, body))
}

/// A PDU of these parts.
pub(super) fn pdu(command: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("what we write is far below four gigabytes");
    let mut pdu = Vec::with_capacity(HEADER + body.len());
    for word in [length, command, status, sequence] {
        pdu.extend_from_slice(&word.to_be_bytes());
    }
    pdu.extend_from_slice(body);
    pdu
}

/// Type of number and numbering plan of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Type of number.
    pub ton: u8,
    /// Numbering plan indicator.
    pub npi: u8,
}

/// What `bind_transceiver` says.
pub(super) struct Bind<'a> {
    pub(super) system_id: &'a str,
    pub(super) password: &'a str,
    pub(super) system_type: &'a str,
    pub(super) kind: Kind,
    pub(super) address_range: &'a str,
}

impl Bind<'_> {
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        c_string(&mut body, self.system_id);
        c_string(&mut body, self.password);
        c_string(&mut body, self.system_type);
        body.extend_from_slice(&[INTERFACE_VERSION, self.kind.ton, self.kind.npi]);
        c_string(&mut body, self.address_range);
        body
    }
}

/// What `submit_sm` says.
pub(super) struct Submit<'a> {
    pub(super) source: Kind,
    pub(super) from: &'a str,
    /// Digits of an international number.
    pub(super) to: &'a str,
    pub(super) esm_class: u8,
    /// How long it is of use, in milliseconds.
    pub(super) useful_ms: u64,
    /// Whether a delivery receipt is asked for.
    pub(super) receipt: bool,
    pub(super) data_coding: u8,
    /// At most [`SHORT_MESSAGE_MAX`] bytes.
    pub(super) short_message: &'a [u8],
    pub(super) tlvs: &'a [(u16, Vec<u8>)],
}

impl Submit<'_> {
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.short_message.len());
        c_string(&mut body, "");
        body.extend_from_slice(&[self.source.ton, self.source.npi]);
        c_string(&mut body, self.from);
        body.extend_from_slice(&[1, 1]);
        c_string(&mut body, self.to);
        body.extend_from_slice(&[self.esm_class, 0, 0]);
        c_string(&mut body, "");
        c_string(&mut body, &relative(self.useful_ms));
        body.extend_from_slice(&[u8::from(self.receipt), 0, self.data_coding, 0]);
        body.push(u8::try_from(self.short_message.len()).expect("a short message has at most 254 bytes"));
        body.extend_from_slice(self.short_message);
        for (tag, value) in self.tlvs {
            let Ok(length) = u16::try_from(value.len()) else { continue };
            body.extend_from_slice(&tag.to_be_bytes());
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(value);
        }
        body
    }
}

/// A span as the specification writes it (section 7.1.1.2), `YYMMDDhhmmss000R`: at least a second, at most 28 days.
fn relative(millis: u64) -> String {
    let seconds = (millis / 1_000).clamp(1, 28 * 86_400);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    format!("0000{days:02}{hours:02}{:02}{:02}000R", seconds / 60 % 60, seconds % 60)
}

fn c_string(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|byte| *byte != 0));
    body.push(0);
}

/// The message id in the body of an answer; empty where there is none.
pub(super) fn message_id(body: &[u8]) -> &[u8] {
    body.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What a `deliver_sm` or `data_sm` says that we look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deliver<'a> {
    pub(super) esm_class: u8,
    pub(super) data_coding: u8,
    /// From `short_message`, or from `message_payload` where that is empty.
    pub(super) text: &'a [u8],
    pub(super) receipted_message_id: Option<&'a [u8]>,
    pub(super) message_state: Option<u8>,
    pub(super) network_error: Option<u16>,
}

impl<'a> Deliver<'a> {
    /// The body of a `deliver_sm`; `None` when it is cut off before its text ends.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(body);
        rest.c_string()?;
        for _ in 0..2 {
            rest.take(2)?;
            rest.c_string()?;
        }
        let [esm_class, _, _] = *rest.take(3)? else { return None };
        rest.c_string()?;
        rest.c_string()?;
        let [_, _, data_coding, _, length] = *rest.take(5)? else {
            return None;
        };
        let text = rest.take(length.into())?;
        let mut read = Self {
            esm_class,
            data_coding,
            text,
            ..Self::default()
        };
        read.options(rest);
        Some(read)
    }

    /// The body of a `data_sm`, in the same way.
    pub(super) fn read_data(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(body);
        rest.c_string()?;
        for _ in 0..2 {
            rest.take(2)?;
            rest.c_string()?;
        }
        let [esm_class, _, data_coding] = *rest.take(3)? else {
            return None;
        };
        let mut read = Self {
            esm_class,
            data_coding,
            ..Self::default()
        };
        read.options(rest);
        Some(read)
    }

    /// Optional parameters, up to the first that is cut off.
    fn options(&mut self, mut rest: Rest<'a>) {
        while let Some((tag, value)) = rest.option() {
            match tag {
                tag::RECEIPTED_MESSAGE_ID => self.receipted_message_id = Some(message_id(value)),
                tag::MESSAGE_STATE => self.message_state = value.first().copied(),
                tag::MESSAGE_PAYLOAD if self.text.is_empty() => self.text = value,
                // The network's type, and its error.
                tag::NETWORK_ERROR_CODE => {
                    self.network_error = match value {
                        [_, high, low] => Some(u16::from_be_bytes([*high, *low])),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
    }
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn c_string(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    fn option(&mut self) -> Option<(u16, &'a [u8])> {
        let [a, b, c, d] = *self.take(4)? else { return None };
        let value = self.take(u16::from_be_bytes([c, d]).into())?;
        Some((u16::from_be_bytes([a, b]), value))
    }
}
