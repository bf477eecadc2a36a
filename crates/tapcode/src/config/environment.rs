//! How does the environment change a configuration? `TAPCODE__SECTION__KEY`, and `TAPCODE__LIST__0__KEY` within lists.

use std::collections::BTreeMap;

use super::finding::{Finding, Place, quoted};
use super::node::{self, Node, Value};

/// What the variables that configure the server start with. Two underscores: `TAPCODE_URL` and the like are the command line's.
pub const PREFIX: &str = "TAPCODE__";
/// Most names behind the prefix: `services`, `0`, `workflows`, `0`, `steps`, `0`, `sender` are seven.
const NAMES_MAX: usize = 8;
/// Most entries that a list can be given one by one.
const ENTRIES_MAX: usize = 1_000;

/// A name within a path, so that lists are filled in the order of their indexes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Index(usize),
    Key(String),
}

/// The variables of this process that configure the server. `std::env::vars` ends the process on a variable that is not
/// UTF-8, whoever it belongs to; here such a value is kept, with marks that make [`apply`] name the variable.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX).then(|| (name, value.to_string_lossy().into_owned()))
    })
}

/// Puts the variables that configure the server into the document. Values stay texts: whoever reads a setting knows its type.
pub(super) fn apply(document: &mut Node, variables: impl Iterator<Item = (String, String)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut settings: BTreeMap<Vec<Name>, (String, String)> = BTreeMap::new();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        match names(rest) {
            Some(path) if value.is_empty() => findings.push(finding(
                &path,
                &variable,
                "is set and empty".into(),
                "unset the variable, or give it a value",
            )),
            Some(path) if value.contains(char::REPLACEMENT_CHARACTER) => findings.push(finding(
                &path,
                &variable,
                "is not UTF-8".into(),
                "write the value in UTF-8",
            )),
            Some(path) => {
                settings.insert(path, (variable, value));
            }
            None => findings.push(Finding {
                path: String::new(),
                place: Place::Variable(quoted(&variable)),
                wrong: "cannot take this variable".into(),
                instead: format!(
                    "variables are named like {PREFIX}SERVER__LISTEN or {PREFIX}NUMBERS__0__AUTH_TOKEN, at most {NAMES_MAX} names deep"
                ),
            }),
        }
    }
    for (path, (variable, value)) in settings {
        let place = Place::Variable(variable.clone());
        let leaf = Node {
            value: Value::Text(value),
            place: place.clone(),
        };
        if let Err((wrong, instead)) = put(document, &path, &place, leaf) {
            findings.push(finding(&path, &variable, wrong, &instead));
        }
    }
    findings
}

fn finding(path: &[Name], variable: &str, wrong: String, instead: &str) -> Finding {
    Finding {
        path: path_text(path),
        place: Place::Variable(variable.into()),
        wrong,
        instead: instead.into(),
    }
}

fn names(rest: &str) -> Option<Vec<Name>> {
    let names: Vec<Name> = rest
        .split("__")
        .map(|name| {
            let fits = (1..=64).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            match name.parse() {
                _ if !fits => None,
                Ok(index) => Some(Name::Index(index)),
                Err(_) => Some(Name::Key(name.to_ascii_lowercase())),
            }
        })
        .collect::<Option<_>>()?;
    (names.len() <= NAMES_MAX && matches!(names.first(), Some(Name::Key(_)))).then_some(names)
}

fn path_text(path: &[Name]) -> String {
    let mut text = String::new();
    for name in path {
        match name {
            Name::Index(index) => text.push_str(&format!("[{index}]")),
            Name::Key(key) if text.is_empty() => text.push_str(key),
            Name::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}

/// Puts `leaf` at `path` below `node`, making the tables and lists on the way.
fn put(node: &mut Node, path: &[Name], place: &Place, leaf: Node) -> Result<(), (String, String)> {
    let Some((name, rest)) = path.split_first() else {
        *node = leaf;
        return Ok(());
    };
    // Another variable gave this table or list as a whole; read it, so that a part of it can be changed.
    if let (Value::Text(text), Place::Variable(_)) = (&node.value, &node.place)
        && let Some(read) = node::value(text, &node.place)
    {
        *node = read;
    }
    match (name, &mut node.value) {
        (Name::Key(key), Value::Table(entries)) => {
            let entry = entries.entry(key.clone()).or_insert_with(|| container(rest, place));
            put(entry, rest, place, leaf)
        }
        (Name::Index(index), Value::List(items)) => {
            if *index == items.len() && items.len() < ENTRIES_MAX {
                items.push(container(rest, place));
            }
            match items.get_mut(*index) {
                Some(item) => put(item, rest, place, leaf),
                None => Err((
                    format!("would be entry {index} of a list that has {}", items.len()),
                    format!("indexes start at 0 and leave no gap; the next one is {}", items.len()),
                )),
            }
        }
        (Name::Index(_), Value::Table(_)) => Err((
            "is looked for in a section that is no list".into(),
            "leave the index out of the variable's name".into(),
        )),
        (Name::Key(_), Value::List(_)) => Err((
            "is looked for in a list".into(),
            format!("say which entry, from 0, as in {PREFIX}NUMBERS__0__AUTH_TOKEN"),
        )),
        _ => Err((
            "is looked for inside a single value".into(),
            "shorten the variable's name to that of a setting".into(),
        )),
    }
}

/// An empty list or table, as the next name asks.
fn container(rest: &[Name], place: &Place) -> Node {
    let value = match rest.first() {
        Some(Name::Index(_)) => Value::List(Vec::new()),
        _ => Value::Table(BTreeMap::new()),
    };
    Node {
        value,
        place: place.clone(),
    }
}
