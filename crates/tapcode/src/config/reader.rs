//! How is a setting read so that no mistake hides another? Each one is noted, and reading goes on.
//!
//! A [`Table`] gives out its settings by name and remembers which names were asked for; what is left when it is
//! finished is unknown. So the names that are known are exactly the names that are read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Purpose;
use super::finding::{Finding, Place, quoted, variable};
use super::nearest::nearest;
use super::node::{self, Node, Value};
use super::secret::Secret;

/// Most entries of one list.
const LIST_MAX: usize = 1_000;
/// Largest file that holds a secret, in bytes: a long-lived token has a few hundred.
const SECRET_FILE_MAX_BYTES: usize = 16 * 1024;

/// One reading of one configuration: what it is for, and what was found.
pub(super) struct Reading {
    /// What the configuration is wanted for.
    pub(super) purpose: Purpose,
    /// Where relative `…_file` settings of the file count from.
    pub(super) folder: Option<PathBuf>,
    /// Whether everybody on this machine may read the file itself.
    pub(super) file_is_open: bool,
    problems: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    asked: RefCell<BTreeSet<String>>,
}

/// A setting's name and place: what a finding is hung on.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) path: String,
    pub(super) place: Place,
}

/// A section, or an entry of a list of sections, being read.
pub(super) struct Table<'r> {
    at: At,
    entries: BTreeMap<String, Node>,
    asked: BTreeSet<String>,
    reading: &'r Reading,
}

/// A value being read.
pub(super) struct Item<'r> {
    pub(super) at: At,
    node: Node,
    reading: &'r Reading,
}

/// What a number may be.
pub(super) struct Bounds {
    /// The least and the most.
    pub(super) range: RangeInclusive<u32>,
    /// What it counts: `seconds`, `digits` …
    pub(super) unit: &'static str,
    /// Why not more or less, where that is not plain; with its source.
    pub(super) because: &'static str,
}

impl Reading {
    pub(super) fn new(purpose: Purpose, folder: Option<PathBuf>, file_is_open: bool) -> Self {
        Self {
            purpose,
            folder,
            file_is_open,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    pub(super) fn problem(&self, at: &At, wrong: impl Into<String>, instead: impl Into<String>) {
        self.problems.borrow_mut().push(found(at, wrong.into(), instead.into()));
    }

    pub(super) fn warning(&self, at: &At, wrong: impl Into<String>, instead: impl Into<String>) {
        self.warnings.borrow_mut().push(found(at, wrong.into(), instead.into()));
    }

    /// The file that a setting names: relative ones count from the folder of the configuration that names them.
    fn path(&self, name: &str, at: &At) -> PathBuf {
        match (&at.place, &self.folder) {
            (Place::Line(_), Some(folder)) => folder.join(name),
            _ => PathBuf::from(name),
        }
    }

    /// Begins at the document's root.
    pub(super) fn root(&self, document: Node) -> Table<'_> {
        let at = At {
            path: String::new(),
            place: Place::Absent,
        };
        Item {
            at,
            node: document,
            reading: self,
        }
        .table()
        .expect("a document is a table")
    }

    /// What was found, problems and warnings, each in the order of the file.
    pub(super) fn findings(&self) -> (Vec<Finding>, Vec<Finding>) {
        let sorted = |findings: &RefCell<Vec<Finding>>| {
            let mut findings = findings.take();
            findings.sort_by(|one, other| one.place.cmp(&other.place));
            findings
        };
        (sorted(&self.problems), sorted(&self.warnings))
    }

    /// Every setting that was asked for, with `[]` for indexes.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
}

fn found(at: &At, wrong: String, instead: String) -> Finding {
    Finding {
        path: at.path.clone(),
        place: at.place.clone(),
        wrong,
        instead,
    }
}

impl<'r> Table<'r> {
    /// Where a setting is, or would be.
    pub(super) fn at(&self, key: &str) -> At {
        let place = self.entries.get(key).map_or(&self.at.place, |node| &node.place).clone();
        let path = if self.at.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.at.path)
        };
        At { path, place }
    }

    /// Where the section itself is.
    pub(super) const fn here(&self) -> &At {
        &self.at
    }

    /// Whether a setting is there and has not been taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn problem(&self, at: &At, wrong: impl Into<String>, instead: impl Into<String>) {
        self.reading.problem(at, wrong, instead);
    }

    fn ask(&mut self, key: &str) {
        self.asked.insert(key.to_owned());
        let path = self.at(key).path;
        let general: String = path
            .split('[')
            .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
            .collect::<Vec<_>>()
            .join("[]");
        self.reading.asked.borrow_mut().insert(general);
    }

    /// The value of a setting, if it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<Item<'r>> {
        self.ask(key);
        let at = self.at(key);
        let node = self.entries.remove(key)?;
        Some(Item {
            at,
            node,
            reading: self.reading,
        })
    }

    /// A section below this one; an empty one where it is missing.
    pub(super) fn section(&mut self, key: &str) -> Table<'r> {
        let at = self.at(key);
        self.take(key).and_then(Item::table).unwrap_or_else(|| Table {
            at,
            entries: BTreeMap::new(),
            asked: BTreeSet::new(),
            reading: self.reading,
        })
    }

    /// The sections of a list of sections; none where it is missing.
    pub(super) fn sections(&mut self, key: &str) -> Vec<Table<'r>> {
        self.list(key)
            .unwrap_or_default()
            .into_iter()
            .filter_map(Item::table)
            .collect()
    }

    /// The entries of a list.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<Item<'r>>> {
        self.take(key)?.list()
    }

    /// A text that is not empty, and where it is.
    pub(super) fn text(&mut self, key: &str) -> Option<(String, At)> {
        self.take(key)?.text()
    }

    /// A text that must be there.
    pub(super) fn needed_text(&mut self, key: &str, instead: &str) -> Option<(String, At)> {
        if !self.has(key) {
            self.ask(key);
            self.problem(&self.at(key), "is missing", instead);
            return None;
        }
        self.text(key)
    }

    /// A number within bounds; the default where it is missing or wrong.
    pub(super) fn number(&mut self, key: &str, default: u32, bounds: &Bounds) -> u32 {
        self.take(key)
            .map_or(Some(default), |item| item.number(bounds))
            .unwrap_or(default)
    }

    /// True or false; the default where it is missing or wrong.
    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.take(key).map_or(Some(default), Item::boolean).unwrap_or(default)
    }

    /// One of a few words, as what it stands for.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&'static str, T)]) -> Option<T> {
        let (text, at) = self.text(key)?;
        word(self.reading, &text, &at, words)
    }

    /// A secret from the setting itself or from the file that `<key>_file` names. Given in the environment, either one
    /// goes before what the file says of the other.
    pub(super) fn secret(&mut self, key: &str) -> Given<Secret> {
        let file_key = format!("{key}_file");
        let (inline, file) = (self.take(key), self.take(&file_key));
        let from_environment = |item: &Item<'_>| matches!(item.at.place, Place::Variable(_));
        let (inline, file) = match (inline, file) {
            (Some(inline), Some(file)) => match (from_environment(&inline), from_environment(&file)) {
                (true, false) => (Some(inline), None),
                (false, true) => (None, Some(file)),
                _ => {
                    let instead = format!("give one of the two; `{file_key}` keeps the secret out of the configuration");
                    self.problem(&inline.at, format!("is given, and `{file_key}` as well"), instead);
                    return Given::Wrong;
                }
            },
            one_or_none => one_or_none,
        };
        let secret = match (inline, file) {
            (Some(inline), _) => {
                if self.reading.file_is_open && matches!(inline.at.place, Place::Line(_)) {
                    let instead = format!(
                        "run `chmod 600` on the file, or move the secret into one of its own and name that in `{file_key}`"
                    );
                    self.reading.warning(
                        &inline.at,
                        "is a secret in a file that everybody on this machine can read",
                        instead,
                    );
                }
                inline.text()
            }
            (None, Some(file)) => file.secret_file(),
            (None, None) => return Given::Not,
        };
        match secret {
            Some((text, at)) if text.chars().any(char::is_control) => {
                self.problem(
                    &at,
                    "has a line break or another control character in it",
                    "write the secret alone, on one line",
                );
                Given::Wrong
            }
            Some((text, at)) => Given::As(Secret::new(text), at),
            None => Given::Wrong,
        }
    }

    /// A secret that must be there.
    pub(super) fn needed_secret(&mut self, key: &str) -> Option<Secret> {
        match self.secret(key) {
            Given::As(secret, _) => Some(secret),
            Given::Wrong => None,
            Given::Not => {
                let at = self.at(key);
                let instead = format!("name a file that holds it in `{key}_file`, or set {}", variable(&at.path));
                self.problem(&at, "is missing", instead);
                None
            }
        }
    }

    /// The bytes of the file that a setting names, which must be there; where the setting is.
    pub(super) fn needed_file(&mut self, key: &str, instead: &str, bytes_max: usize) -> Option<(Vec<u8>, At)> {
        if !self.has(key) {
            self.ask(key);
            self.problem(&self.at(key), "is missing", instead);
            return None;
        }
        self.take(key)?.file(bytes_max)
    }

    /// Settings that are known, and mean nothing here: a warning for each that is there.
    pub(super) fn unused(&mut self, keys: &[&str], why: &str) {
        for key in keys {
            if let Some(item) = self.take(key) {
                self.reading
                    .warning(&item.at, format!("is not used: {why}"), "remove it, or comment it out");
            }
        }
    }

    /// Whatever is left was asked for by nobody.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            let shown = if key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') && key.len() <= 40 {
                key.clone()
            } else {
                quoted(key)
            };
            let path = if self.at.path.is_empty() {
                shown
            } else {
                format!("{}.{shown}", self.at.path)
            };
            let at = At {
                path,
                place: node.place.clone(),
            };
            let section = if self.at.path.is_empty() {
                "the configuration".to_owned()
            } else {
                format!("`{}`", self.at.path)
            };
            let instead = match (nearest(key, self.asked.iter().map(String::as_str)), &node.place) {
                (Some(meant), Place::Variable(_)) => {
                    format!("set {}", variable(&self.at(meant).path))
                }
                (Some(meant), _) => format!("write `{meant}`"),
                (None, _) => {
                    let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
                    format!("{section} has {}", known.join(", "))
                }
            };
            self.problem(&at, "is no setting", instead);
        }
    }
}

/// What came of a setting that may be missing.
pub(super) enum Given<T> {
    /// It is not there.
    Not,
    /// It is there and wrong, which has been noted.
    Wrong,
    /// It is this, read there.
    As(T, At),
}

/// Finds a text among words.
pub(super) fn word<T: Copy>(reading: &Reading, text: &str, at: &At, words: &[(&'static str, T)]) -> Option<T> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*meaning);
    }
    let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let all = match &all[..] {
        [but_last @ .., last] if !but_last.is_empty() => {
            format!("{} or {last}", but_last.join(", "))
        }
        _ => all.concat(),
    };
    let instead = match nearest(text, words.iter().map(|(word, _)| *word)) {
        Some(meant) => format!("write \"{meant}\""),
        None => format!("write {all}"),
    };
    reading.problem(at, format!("is {}", quoted(text)), instead);
    None
}

impl<'r> Item<'r> {
    pub(super) fn problem(&self, wrong: impl Into<String>, instead: impl Into<String>) {
        self.reading.problem(&self.at, wrong, instead);
    }

    pub(super) const fn reading(&self) -> &'r Reading {
        self.reading
    }

    fn is_from_environment(&self) -> bool {
        matches!(self.node.place, Place::Variable(_))
    }

    /// A text that is not empty. It is never repeated: it may be a secret.
    pub(super) fn text(self) -> Option<(String, At)> {
        match self.node.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.reading.problem(&self.at, "is empty", "give it a value, or remove it");
                None
            }
            Value::Text(text) => Some((text, self.at)),
            other => {
                let instead = if matches!(other, Value::List(_) | Value::Table(_)) {
                    "write one text in quotes"
                } else {
                    "write it in quotes"
                };
                self.reading
                    .problem(&self.at, format!("is {}, and a text belongs here", other.kind()), instead);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(self, bounds: &Bounds) -> Option<u32> {
        let (least, most) = (*bounds.range.start(), *bounds.range.end());
        let value = match &self.node.value {
            Value::Integer(value) => Some(*value),
            Value::Text(text) if self.is_from_environment() => match text.trim().replace('_', "").parse() {
                Ok(value) => Some(value),
                Err(_) => {
                    self.problem("is no whole number", format!("write {least} to {most} {}", bounds.unit));
                    return None;
                }
            },
            Value::Huge => None,
            other => {
                self.problem(
                    format!("is {}, and a whole number belongs here", other.kind()),
                    format!("write {least} to {most} {}, without quotes", bounds.unit),
                );
                return None;
            }
        };
        if let Some(value) = value
            .and_then(|value| u32::try_from(value).ok())
            .filter(|value| bounds.range.contains(value))
        {
            return Some(value);
        }
        let because = if bounds.because.is_empty() {
            String::new()
        } else {
            format!(": {}", bounds.because)
        };
        let wrong = value.map_or_else(|| "is out of range".to_owned(), |value| format!("is {value}"));
        self.problem(wrong, format!("write {least} to {most} {}{because}", bounds.unit));
        None
    }

    fn boolean(self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if self.is_from_environment() && text == "true" => Some(true),
            Value::Text(text) if self.is_from_environment() && text == "false" => Some(false),
            other => {
                self.problem(
                    format!("is {}, and true or false belongs here", other.kind()),
                    "write true or false, without quotes",
                );
                None
            }
        }
    }

    /// A variable may hold a list or a section as TOML.
    fn structured(mut self) -> Self {
        if let (Value::Text(text), true) = (&self.node.value, self.is_from_environment())
            && let Some(read) = node::value(text, &self.node.place)
        {
            self.node = read;
        }
        self
    }

    /// The entries of a list.
    pub(super) fn list(self) -> Option<Vec<Item<'r>>> {
        let Item { at, node, reading } = self.structured();
        match node.value {
            Value::List(items) if items.len() > LIST_MAX => {
                reading.problem(&at, format!("has {} entries", items.len()), format!("at most {LIST_MAX} fit"));
                None
            }
            Value::List(items) => Some(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, node)| {
                        let at = At {
                            path: format!("{}[{index}]", at.path),
                            place: node.place.clone(),
                        };
                        Item { at, node, reading }
                    })
                    .collect(),
            ),
            Value::Table(_) => {
                reading.problem(
                    &at,
                    "is one section, and a list of sections belongs here",
                    format!("write [[{}]] with two brackets", at.path),
                );
                None
            }
            other => {
                reading.problem(
                    &at,
                    format!("is {}, and a list belongs here", other.kind()),
                    "write it as [ …, … ]",
                );
                None
            }
        }
    }

    /// The section that it is.
    pub(super) fn table(self) -> Option<Table<'r>> {
        let Item { at, node, reading } = self.structured();
        match node.value {
            Value::Table(entries) => Some(Table {
                at,
                entries,
                asked: BTreeSet::new(),
                reading,
            }),
            Value::List(_) => {
                reading.problem(
                    &at,
                    "is a list, and one section belongs here",
                    format!("write [{}] with one bracket, once", at.path),
                );
                None
            }
            other => {
                reading.problem(
                    &at,
                    format!("is {}, and a section belongs here", other.kind()),
                    "write its settings as { key = value, … }",
                );
                None
            }
        }
    }

    /// The bytes of the file that this names.
    fn file(self, bytes_max: usize) -> Option<(Vec<u8>, At)> {
        let reading = self.reading;
        let (name, at) = self.text()?;
        match read_bounded(&reading.path(&name, &at), bytes_max) {
            Ok(mut bytes) => Some((std::mem::take(&mut *bytes), at)),
            Err(why) => {
                let instead = "name a file that this user may read";
                reading.problem(&at, format!("names a file that cannot be read: {why}"), instead);
                None
            }
        }
    }

    /// The secret in the file that this names. What is at its end of spaces and line ends is no part of it.
    fn secret_file(self) -> Option<(String, At)> {
        let reading = self.reading;
        let (name, at) = self.text()?;
        let path = reading.path(&name, &at);
        match read_text(&path) {
            Ok(text) if text.trim().is_empty() => {
                reading.problem(&at, "names a file that is empty", "write the secret into that file");
                None
            }
            Ok(text) => {
                if is_open(&path) {
                    reading.warning(
                        &at,
                        "names a file that everybody on this machine can read",
                        "run `chmod 600` on that file",
                    );
                }
                Some((text.trim_end().to_owned(), at))
            }
            Err(why) => {
                reading.problem(
                    &at,
                    format!("names a file that cannot be read: {why}"),
                    "name a file that this user may read",
                );
                None
            }
        }
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_bounded(path, SECRET_FILE_MAX_BYTES)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_bounded(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    // Opening a pipe waits for whoever writes into it, so what it is is asked first.
    let facts = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !facts.is_file() {
        return Err("it is no regular file".into());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() > bytes_max {
        return Err(format!("it has more than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// Whether everybody on this machine may read a file.
pub(super) fn is_open(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o004 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
