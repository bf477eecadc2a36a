//! How is a value put into a template so that it stays a value?

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What placeholders stand for.
pub(super) struct Values<'a> {
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    pub(super) text: &'a str,
    pub(super) reference: &'a str,
    pub(super) ttl_s: u64,
    pub(super) callback_url: &'a str,
}

impl Values<'static> {
    /// With what breaks JSON where a placeholder stands outside a string.
    pub(super) fn probing() -> Self {
        Self {
            to: "+1 \"\\",
            from: "\"\\\n",
            text: "\"\\\u{7}\n",
            reference: "\"",
            ttl_s: 1,
            callback_url: "\"",
        }
    }
}

/// Where a template's values end up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In an address or a form.
    Address,
    /// Within strings of JSON; `{ttl_s}` outside them too.
    Json,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Value(&'static str),
}

/// A text with placeholders.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    place: Place,
}

/// The placeholders.
const NAMES: [&str; 7] = ["to", "to_digits", "from", "text", "reference", "ttl_s", "callback_url"];

impl Template {
    /// `None` when something that looks like a placeholder is none. In JSON, braces are JSON's own unless a name of lower-case
    /// letters stands between them.
    pub(super) fn parse(text: &str, place: Place) -> Option<Self> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let behind = &rest[open + 1..];
            let name = behind.split_once('}').map_or("", |(name, _)| name);
            let is_name = !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
            if !is_name {
                if place == Place::Address {
                    return None;
                }
                plain.push_str(&rest[..=open]);
                rest = behind;
                continue;
            }
            let known = NAMES.iter().find(|known| ***known == *name)?;
            plain.push_str(&rest[..open]);
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Value(known));
            rest = &behind[name.len() + 1..];
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Some(Self { parts, place })
    }

    /// Whether a placeholder stands in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Value(known) if *known == name))
    }

    pub(super) fn render(&self, values: &Values<'_>) -> String {
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Value(name) => {
                    let number;
                    let value = match *name {
                        "to" => values.to,
                        "to_digits" => values.to.trim_start_matches('+'),
                        "from" => values.from,
                        "text" => values.text,
                        "reference" => values.reference,
                        "callback_url" => values.callback_url,
                        _ => {
                            number = values.ttl_s.to_string();
                            &number
                        }
                    };
                    match self.place {
                        Place::Address => rendered.extend(utf8_percent_encode(value, VALUE)),
                        Place::Json => {
                            let quoted = serde_json::Value::from(value).to_string();
                            rendered.push_str(&quoted[1..quoted.len() - 1]);
                        }
                    }
                }
            }
        }
        rendered
    }
}
