//! What did the caller ask for behind the question mark? Each parameter known, once, and of its kind.

use std::borrow::Cow;
use std::cell::RefCell;

use tapcode_core::number::Number;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Purpose;

use crate::api::reader::{PURPOSE_IS, Reading};
use crate::limits::{JSON_ITEMS_MAX, PAGE_DEFAULT, PAGE_MAX};
use crate::problem::{Code, Problem};

/// The parameters of a request.
pub(crate) struct Query<'q> {
    pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    asked: RefCell<Vec<&'static str>>,
    reading: Reading,
}

impl<'q> Query<'q> {
    /// From what stands behind the question mark.
    pub(crate) fn new(raw: Option<&'q str>) -> Self {
        let pairs = form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
            .take(JSON_ITEMS_MAX)
            .collect();
        Self {
            pairs,
            asked: RefCell::default(),
            reading: Reading::default(),
        }
    }

    /// A parameter read by `read`; `wanted` says what belongs there.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        (code, wanted): (Code, &'static str),
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = read(text);
        if value.is_none() {
            self.reading.fail(format!("?{name}"), code, wanted);
        }
        value
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &'static str) -> Option<&str> {
        self.asked.borrow_mut().push(name);
        let mut named = self.pairs.iter().filter(|(known, _)| known == name);
        let (_, text) = named.next()?;
        if named.next().is_some() {
            self.reading
                .fail(format!("?{name}"), Code::InvalidRequest, "send the parameter once");
        }
        Some(text)
    }

    /// How many to return.
    pub(crate) fn limit(&self) -> usize {
        let read = |text: &str| text.parse::<u64>().ok().filter(|n| (1..=PAGE_MAX).contains(n));
        let limit = self.read(
            "limit",
            (Code::InvalidRequest, "a whole number from 1 to 100 belongs here"),
            read,
        );
        usize::try_from(limit.unwrap_or(PAGE_DEFAULT)).unwrap_or(1)
    }

    /// A moment.
    pub(crate) fn moment(&self, name: &'static str) -> Option<Timestamp> {
        let wanted = "a moment in RFC 3339 belongs here, such as 2026-11-23T09:00:00Z";
        self.read(name, (Code::InvalidRequest, wanted), super::time::parse)
    }

    /// A number. A plus sign that was not escaped arrives as a space, and is meant all the same.
    pub(crate) fn number(&self, name: &'static str) -> Option<Number> {
        let text = self.text(name)?;
        let text = text
            .strip_prefix(' ')
            .map_or(Cow::Borrowed(text), |rest| Cow::Owned(format!("+{rest}")));
        match Number::parse(&text) {
            Ok(number) => Some(number),
            Err(error) => {
                self.reading.fail(format!("?{name}"), Code::InvalidNumber, error.to_string());
                None
            }
        }
    }

    /// A purpose.
    pub(crate) fn purpose(&self) -> Option<Purpose> {
        self.read("purpose", (Code::InvalidRequest, PURPOSE_IS), Purpose::parse)
    }

    /// A service's name, for admin keys.
    pub(crate) fn service(&self) -> Option<ServiceName> {
        self.read(
            "service",
            (Code::InvalidRequest, "a service's name is 1 to 40 of a-z, 0-9, _ and -"),
            ServiceName::parse,
        )
    }

    /// Live or test, for admin keys.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.read("mode", (Code::InvalidRequest, "live or test belongs here"), Mode::parse)
    }

    /// Every mistake, unknown parameters among them.
    pub(crate) fn done(self) -> Result<(), Problem> {
        let asked = self.asked.into_inner();
        for (name, _) in &self.pairs {
            if !asked.iter().any(|known| known == name) {
                let known = if asked.is_empty() {
                    "none is".to_owned()
                } else {
                    format!("known are {}", asked.join(", "))
                };
                let name = tapcode_core::delivery::cut(name, 64);
                self.reading
                    .fail(format!("?{name}"), Code::UnknownField, format!("not known here; {known}"));
            }
        }
        self.reading.done()
    }
}
