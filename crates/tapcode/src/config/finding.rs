//! What is wrong with a configuration, where, and what should be written instead?

use std::fmt;

/// Longest piece of somebody's text that a finding repeats, in characters.
const QUOTED_MAX: usize = 60;

/// Where a value was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: it is missing, or part of the built-in configuration.
    Absent,
    /// On this line of the file, from 1.
    Line(usize),
    /// In this environment variable.
    Variable(String),
}

/// One thing that a person should look at. It never repeats a secret, a code or a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting, such as `services[0].workflow[1].sender`; empty for the file as a whole.
    pub path: String,
    /// Where the value was read.
    pub place: Place,
    /// What is wrong with it, as the end of a sentence that begins with the path.
    pub wrong: String,
    /// What to write instead, or what to do.
    pub instead: String,
}

/// A finding with which the server still starts.
pub type Warning = Finding;

/// Everything that keeps the server from starting, and the warnings besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// What has to be changed, in the order of the file. Never empty.
    pub problems: Vec<Finding>,
    /// What should be looked at.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.path.is_empty() {
            "the configuration"
        } else {
            &self.path
        };
        match &self.place {
            Place::Absent => write!(f, "{subject} {}; {}", self.wrong, self.instead),
            Place::Line(line) => write!(f, "{subject} (line {line}) {}; {}", self.wrong, self.instead),
            Place::Variable(variable) => {
                write!(f, "{subject} ({variable}) {}; {}", self.wrong, self.instead)
            }
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A person's text in quotes, short and without anything a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > QUOTED_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The environment variable that sets the value at a path.
pub(super) fn variable(path: &str) -> String {
    let words: Vec<String> = path
        .split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(str::to_ascii_uppercase)
        .collect();
    format!("TAPCODE__{}", words.join("__"))
}
