//! What is wrong with a body? Everything is named, not the first thing only: each field is read, mistakes are collected.

use std::borrow::Cow;
use std::cell::RefCell;

use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::verification::Purpose;

use crate::api::json::Json;
use crate::limits::ERRORS_MAX;
use crate::problem::{Code, FieldProblem, Problem};

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Reading {
    errors: RefCell<Vec<FieldProblem>>,
}

impl Reading {
    /// Notes a mistake.
    pub(crate) fn fail(&self, pointer: impl Into<String>, code: Code, detail: impl Into<Cow<'static, str>>) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < ERRORS_MAX {
            errors.push(FieldProblem {
                pointer: pointer.into(),
                code,
                detail: detail.into(),
                source: None,
            });
        }
    }

    /// All mistakes as one problem, if there are any.
    pub(crate) fn done(&self) -> Result<(), Problem> {
        let errors = self.errors.take();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::of_errors(errors))
        }
    }

    /// The members of a body that must be an object.
    pub(crate) fn root<'j>(&'j self, json: &'j Json<'j>) -> Fields<'j> {
        let root = Field {
            json,
            pointer: String::new(),
            reading: self,
        };
        root.fields().unwrap_or_else(|| Fields {
            members: &[],
            pointer: String::new(),
            asked: Vec::new(),
            whole: false,
            reading: self,
        })
    }
}

/// The members of an object.
pub(crate) struct Fields<'j> {
    members: &'j [(Cow<'j, str>, Json<'j>)],
    pointer: String,
    asked: Vec<&'static str>,
    /// `false` when there was no object: what is missing then was never asked for.
    whole: bool,
    reading: &'j Reading,
}

impl<'j> Fields<'j> {
    /// A field that may be absent or null.
    pub(crate) fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(Field<'j>) -> Option<T>) -> Option<T> {
        self.asked.push(name);
        let (_, json) = self.members.iter().find(|(known, _)| known == name)?;
        if matches!(json, Json::Null) {
            return None;
        }
        read(Field {
            json,
            pointer: format!("{}/{name}", self.pointer),
            reading: self.reading,
        })
    }

    /// A field that must be there.
    pub(crate) fn required<T>(&mut self, name: &'static str, read: impl FnOnce(Field<'j>) -> Option<T>) -> Option<T> {
        let there = self
            .members
            .iter()
            .any(|(known, json)| known == name && !matches!(json, Json::Null));
        if !there && self.whole {
            self.reading.fail(
                format!("{}/{name}", self.pointer),
                Code::MissingField,
                format!("{name} is required"),
            );
        }
        self.optional(name, read)
    }

    /// Names every member that was not asked for.
    pub(crate) fn end(self) {
        for (name, _) in self.members {
            if !self.asked.iter().any(|known| known == name) {
                let pointer = format!("{}/{}", self.pointer, escaped(name));
                self.reading.fail(
                    pointer,
                    Code::UnknownField,
                    format!("not known here; known are {}", self.asked.join(", ")),
                );
            }
        }
    }
}

/// A member's name as RFC 6901 writes it, cut to a length that can be answered.
fn escaped(name: &str) -> String {
    tapcode_core::delivery::cut(name, 64).replace('~', "~0").replace('/', "~1")
}

/// One value and where it stands.
pub(crate) struct Field<'j> {
    json: &'j Json<'j>,
    pointer: String,
    reading: &'j Reading,
}

impl<'j> Field<'j> {
    /// Notes what is wrong with it.
    pub(crate) fn fail<T>(&self, code: Code, detail: impl Into<Cow<'static, str>>) -> Option<T> {
        self.reading.fail(self.pointer.clone(), code, detail);
        None
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.fail(Code::WrongType, format!("{wanted} belongs here, not {}", self.json.kind()))
    }

    /// The value itself.
    pub(crate) const fn json(&self) -> &'j Json<'j> {
        self.json
    }

    /// A string.
    pub(crate) fn text(&self) -> Option<&'j str> {
        match self.json {
            Json::Text(text) => Some(text),
            _ => self.wrong_type("a string"),
        }
    }

    /// A string of at most so many bytes without control characters.
    pub(crate) fn line(&self, bytes_max: usize) -> Option<&'j str> {
        let text = self.text()?;
        if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
            return self.fail(
                Code::InvalidRequest,
                format!("1 to {bytes_max} bytes without control characters belong here"),
            );
        }
        Some(text)
    }

    /// A boolean.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.json {
            Json::Bool(value) => Some(*value),
            _ => self.wrong_type("a boolean"),
        }
    }

    /// A whole number from 0 to `max`.
    pub(crate) fn whole(&self, max: u32) -> Option<u32> {
        let Json::Number(number) = self.json else {
            return self.wrong_type("a whole number");
        };
        let fits = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= max);
        fits.or_else(|| self.fail(Code::InvalidRequest, format!("a whole number from 0 to {max} belongs here")))
    }

    /// A whole number of any size, so that what is wrong with it can be said by whoever knows its bounds.
    pub(crate) fn any_whole(&self) -> Option<i64> {
        let Json::Number(number) = self.json else {
            return self.wrong_type("a whole number");
        };
        number
            .as_i64()
            .or_else(|| self.fail(Code::InvalidRequest, "a whole number belongs here"))
    }

    /// An object.
    pub(crate) fn fields(&self) -> Option<Fields<'j>> {
        match self.json {
            Json::Object(members) => Some(Fields {
                members,
                pointer: self.pointer.clone(),
                asked: Vec::new(),
                whole: true,
                reading: self.reading,
            }),
            _ => self.wrong_type("an object"),
        }
    }

    /// The members of an object whose names are the caller's own.
    pub(crate) fn pairs(&self, max: usize) -> Option<Vec<(&'j str, Field<'j>)>> {
        let Json::Object(members) = self.json else {
            return self.wrong_type("an object");
        };
        if members.len() > max {
            return self.fail(Code::InvalidRequest, format!("at most {max} pairs belong here"));
        }
        let field = |(name, json): &'j (Cow<'j, str>, Json<'j>)| {
            (
                &**name,
                Field {
                    json,
                    pointer: format!("{}/{}", self.pointer, escaped(name)),
                    reading: self.reading,
                },
            )
        };
        Some(members.iter().map(field).collect())
    }

    /// An array of at least `min` and at most `max` items.
    pub(crate) fn list(&self, min: usize, max: usize) -> Option<Vec<Field<'j>>> {
        let Json::List(items) = self.json else {
            return self.wrong_type("an array");
        };
        if !(min..=max).contains(&items.len()) {
            return self.fail(Code::InvalidRequest, format!("{min} to {max} items belong here"));
        }
        let field = |(at, json): (usize, &'j Json<'j>)| Field {
            json,
            pointer: format!("{}/{at}", self.pointer),
            reading: self.reading,
        };
        Some(items.iter().enumerate().map(field).collect())
    }

    /// A phone number.
    pub(crate) fn number(self) -> Option<Number> {
        let text = self.text()?;
        Number::parse(text).map_or_else(|error| self.fail(Code::InvalidNumber, error.to_string()), Some)
    }

    /// A purpose.
    pub(crate) fn purpose(self) -> Option<Purpose> {
        let text = self.text()?;
        Purpose::parse(text).or_else(|| self.fail(Code::InvalidRequest, PURPOSE_IS))
    }

    /// A channel.
    pub(crate) fn channel(self) -> Option<Channel> {
        let text = self.text()?;
        Channel::parse(text).or_else(|| self.fail(Code::UnknownChannel, CHANNEL_IS))
    }
}

/// What a purpose is made of.
pub(crate) const PURPOSE_IS: &str = "a purpose is 1 to 64 of a-z, 0-9, _, -, . and :";
/// Which channels there are.
pub(crate) const CHANNEL_IS: &str = "a channel is whatsapp or sms";
