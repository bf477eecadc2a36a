//! What did the caller write? JSON as it stands, within bounds, each member once.
//!
//! serde_json's own `Value` lets the last of two equal members win, so that two readers of one body may see different
//! requests; here a repeated member is refused.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::{JSON_DEPTH_MAX, JSON_ITEMS_MAX};
use crate::problem::{Code, Problem};

/// A JSON value. Prints nothing: it may hold a code or a number.
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Members<'a>),
}

/// The members of an object, in the order in which they were written.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

impl Json<'_> {
    /// What it is, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a body.
pub(crate) fn parse(body: &[u8]) -> Result<Json<'_>, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| refused("the body is not UTF-8"))?;
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Seed { depth: 0, fault: &fault }
        .deserialize(&mut reader)
        .and_then(|json| reader.end().map(|()| json));
    read.map_err(|error| match fault.get() {
        Some(fault) => refused(fault),
        None if error.is_eof() => refused("the body ends before its JSON does"),
        None => Problem::at(
            Code::InvalidJson,
            "",
            format!("not JSON at line {}, column {}", error.line(), error.column()),
        ),
    })
}

fn refused(why: &'static str) -> Problem {
    Problem::at(Code::InvalidJson, "", why)
}

const TOO_DEEP: &str = "the body is nested deeper than 32 levels";
const TOO_MANY: &str = "an object or array has more than 256 members";
const TWICE: &str = "an object names the same member twice";

#[derive(Clone, Copy)]
struct Seed<'f> {
    depth: usize,
    fault: &'f Cell<Option<&'static str>>,
}

impl Seed<'_> {
    fn fail<E: Error>(&self, why: &'static str) -> E {
        self.fault.set(Some(why));
        E::custom(why)
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.fail(TOO_DEEP));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        serde_json::Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| self.fail("a number is too large"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            if items.len() >= JSON_ITEMS_MAX {
                return Err(self.fail(TOO_MANY));
            }
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut members: Members<'de> = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            if members.len() >= JSON_ITEMS_MAX {
                return Err(self.fail(TOO_MANY));
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.fail(TWICE));
            }
            members.push((name, access.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_levels_are_read_and_no_more() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert!(parse(nested(JSON_DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(parse(nested(60_000).as_bytes()).is_err());
    }

    #[test]
    fn a_member_that_is_named_twice_is_refused_however_it_is_spelled() {
        for body in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":{"a":1,"c":2,"a":3}}"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for body in [
            "",
            " ",
            "{",
            "{}{}",
            "{} x",
            "nul",
            "[1,]",
            "1e999",
            "\u{feff}{}",
            "{\"a\":01}",
            "'a'",
            "NaN",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }
}
