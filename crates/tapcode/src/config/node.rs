//! What does a TOML text say, and on which line? Values with their places, before anybody judges them.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::finding::{Finding, Place};

/// Syntax errors that are reported at most; one missing quote can make a hundred.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A value and where it was read. No `Debug`: it may be a secret.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What a value is, as far as the reader asks.
pub(super) enum Value {
    Text(String),
    Integer(i64),
    /// An integer beyond 64 bits.
    Huge,
    Boolean(bool),
    /// A fraction, or a date or time: nothing of ours is one.
    Other(&'static str),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Value {
    /// What it is, for people.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Huge => "a number",
            Self::Boolean(_) => "true or false",
            Self::Other(kind) => kind,
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a document. `in_file`: places are its lines; otherwise it is the built-in configuration, which has no places.
///
/// What walks over the nodes is recursive: the TOML reader bounds the depth of tables, lists and dotted keys, which a test
/// holds it to. Its error is taken apart because its own `Display` repeats the line, which may hold a secret.
pub(super) fn document(text: &str, in_file: bool) -> Result<Node, Vec<Finding>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut findings: Vec<Finding> = Vec::new();
    for error in errors {
        let place = error
            .span()
            .map_or(Place::Absent, |span| Place::Line(line_of(text, span.start)));
        if findings.len() < SYNTAX_ERRORS_MAX && findings.iter().all(|earlier| earlier.place != place) {
            findings.push(not_toml(place, error.message()));
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let lines = Lines::of(text);
    let place = |at: usize| {
        if in_file { Place::Line(lines.line(at)) } else { Place::Absent }
    };
    let node = Node {
        value: table_value(table.into_inner(), &place),
        place: Place::Absent,
    };
    Ok(node)
}

/// Reads one value, as an environment variable holds it.
pub(super) fn value(text: &str, place: &Place) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(Node {
        value: any_value(value.into_inner(), &|_| place.clone()),
        place: place.clone(),
    })
}

fn not_toml(place: Place, message: &str) -> Finding {
    let wrong = format!("is not TOML here: {}", message.lines().collect::<Vec<_>>().join(", "));
    Finding {
        path: String::new(),
        place,
        wrong,
        instead:
            "texts stand in quotes, a section is [name] and an entry of a list of sections [[name]]; see `tapcode config default`"
                .into(),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// Where lines begin, so that a place is found without counting from the start each time.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }
}

fn table_value(table: DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    Value::Table(
        table
            .into_iter()
            .map(|(key, value)| (key.into_inner().into_owned(), node(value, place)))
            .collect(),
    )
}

fn node(value: Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Place) -> Node {
    let at = value.span().start;
    Node {
        value: any_value(value.into_inner(), place),
        place: place(at),
    }
}

fn any_value(value: DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => integer_value(&integer),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, place)).collect()),
        DeValue::Table(table) => table_value(table, place),
    }
}

fn integer_value(integer: &DeInteger<'_>) -> Value {
    i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Huge, Value::Integer)
}
