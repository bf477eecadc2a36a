//! How does `tapcode config check` say what it found?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Config, Finding, Place, Problems, Warning};

/// The outcome of reading a configuration, to be shown.
#[derive(Clone, Debug)]
pub struct Report {
    file: Option<PathBuf>,
    /// What is configured, in one line; `None` where there are problems.
    summary: Option<String>,
    problems: Vec<Finding>,
    warnings: Vec<Warning>,
}

impl Report {
    /// From what [`super::load`] gave for the file, or for none.
    #[must_use]
    pub fn new(file: Option<&Path>, outcome: &Result<(Config, Vec<Warning>), Problems>) -> Self {
        let (summary, problems, warnings) = match outcome {
            Ok((config, warnings)) => (Some(summary(config)), Vec::new(), warnings.clone()),
            Err(found) => (None, found.problems.clone(), found.warnings.clone()),
        };
        Self {
            file: file.map(Path::to_owned),
            summary,
            problems,
            warnings,
        }
    }

    /// Whether the server would start.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.summary.is_some()
    }

    /// For people: what is wrong, what to write instead, and a last line that counts. Ends with a line end.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (kind, findings) in [("problem", &self.problems), ("warning", &self.warnings)] {
            for finding in findings {
                let subject = if finding.path.is_empty() {
                    "the configuration"
                } else {
                    &finding.path
                };
                let place = match &finding.place {
                    Place::Absent => String::new(),
                    Place::Line(line) => format!(" (line {line})"),
                    Place::Variable(variable) => format!(" ({variable})"),
                };
                write!(
                    text,
                    "{kind}: {subject}{place}\n  {}\n  → {}\n\n",
                    finding.wrong, finding.instead
                )
                .expect("a string takes everything");
            }
        }
        let name = self
            .file
            .as_ref()
            .map_or_else(|| "The built-in configuration".to_owned(), |file| file.display().to_string());
        let warnings = counted(self.warnings.len(), "warning");
        match &self.summary {
            Some(summary) => writeln!(text, "{name} is valid: {summary}; {warnings}."),
            None => writeln!(text, "{name} has {} and {warnings}.", counted(self.problems.len(), "problem")),
        }
        .expect("a string takes everything");
        text
    }

    /// For programs: `{valid, file, problems: [{path, line, variable, wrong, instead}], warnings: […]}`.
    #[must_use]
    pub fn json(&self) -> Value {
        let findings = |findings: &[Finding]| -> Vec<Value> { findings.iter().map(finding_json).collect() };
        json!({
            "valid": self.is_valid(),
            "file": self.file.as_ref().map(|file| file.display().to_string()),
            "problems": findings(&self.problems),
            "warnings": findings(&self.warnings),
        })
    }
}

fn finding_json(finding: &Finding) -> Value {
    let (line, variable) = match &finding.place {
        Place::Absent => (None, None),
        Place::Line(line) => (Some(*line), None),
        Place::Variable(variable) => (None, Some(variable)),
    };
    json!({"path": finding.path, "line": line, "variable": variable, "wrong": finding.wrong, "instead": finding.instead})
}

fn summary(config: &Config) -> String {
    format!(
        "{}, {}, {}",
        counted(config.services.len(), "service"),
        counted(config.whatsapp_accounts.len(), "WhatsApp account"),
        counted(config.numbers.len(), "SMS number")
    )
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
