//! How is a CSV file of prices read so that every mistake in it is named with its line?

use std::fmt;

use csv::StringRecord;

/// Problems that are told at most; a file of another kind has one in each line.
const PROBLEMS_MAX: usize = 50;
/// Longest piece of the file that a problem repeats, in characters.
const QUOTED_MAX: usize = 40;
/// Digits behind the point: what money counts in.
const DIGITS_BEHIND: usize = 6;
/// Digits before the point: a message costs no million of anything.
const DIGITS_BEFORE_MAX: usize = 6;

/// Something in the file that has to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The line, from 1; `None` for the file as a whole.
    pub line: Option<u64>,
    /// The row's name and the column, or what of the two there is; empty for the line as a whole.
    pub cell: String,
    /// What is wrong, as the end of a sentence that begins with the place.
    pub wrong: String,
    /// What to write instead, or what to do.
    pub instead: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}")?,
            None => f.write_str("the file")?,
        }
        if !self.cell.is_empty() {
            write!(f, " ({})", self.cell)?;
        }
        write!(f, " {}; {}", self.wrong, self.instead)
    }
}

/// What was found in a file so far.
pub(crate) struct Problems {
    pub(crate) found: Vec<FileProblem>,
    more: usize,
    /// What to do about a file with more problems than are told.
    instead: &'static str,
}

impl Problems {
    pub(crate) const fn new(instead: &'static str) -> Self {
        Self {
            found: Vec::new(),
            more: 0,
            instead,
        }
    }

    pub(crate) fn add(
        &mut self,
        line: Option<u64>,
        cell: impl Into<String>,
        wrong: impl Into<String>,
        instead: impl Into<String>,
    ) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        self.found.push(FileProblem {
            line,
            cell: cell.into(),
            wrong: wrong.into(),
            instead: instead.into(),
        });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() == PROBLEMS_MAX
    }

    pub(crate) fn close(mut self) -> Vec<FileProblem> {
        assert!(!self.found.is_empty(), "a file is refused only with a reason");
        if self.more > 0 {
            self.found.push(FileProblem {
                line: None,
                cell: String::new(),
                wrong: format!("has {} more problems", self.more),
                instead: self.instead.into(),
            });
        }
        self.found
    }
}

/// The file's text, without a byte order mark. `instead`: what to do about one that is too large, and about one that is no text.
pub(crate) fn text<'b>(bytes: &'b [u8], bytes_max: usize, instead: &[&str; 2], problems: &mut Problems) -> Option<&'b str> {
    if bytes.len() > bytes_max {
        let wrong = format!("has more than {bytes_max} bytes");
        problems.add(None, "", wrong, instead[0]);
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let breaks = bytes.iter().take(error.valid_up_to()).filter(|c| **c == b'\n').count();
            let line = u64::try_from(breaks + 1).ok();
            problems.add(line, "", "is not UTF-8 text", instead[1]);
            None
        }
    }
}

/// Where lines begin. The reader's own count is that of the line end before, so blank lines and CRLF put it off.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, c)| *c == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The line of a row, from 1.
    pub(crate) fn line(&self, record: &StringRecord) -> Option<u64> {
        let from = usize::try_from(record.position()?.byte()).ok()?;
        let rest = self.text.as_bytes().get(from..)?;
        let blank = rest.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
        let line = self.starts.partition_point(|start| *start <= from + blank);
        u64::try_from(line).ok()
    }
}

/// Millionths from decimal text, exactly: digits with at most one point. Nothing is guessed: a comma may be the point of one
/// country and the thousands of another. `form` says how an amount is written.
pub(crate) fn micros(text: &str, form: &'static str) -> Result<i64, &'static str> {
    let (before, behind) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    if !is_digits(before) || !is_digits(behind) || before.len() + behind.len() == 0 {
        return Err(form);
    }
    let before = before.trim_start_matches('0');
    if before.len() > DIGITS_BEFORE_MAX {
        return Err("write what one message costs, which is less than a million");
    }
    let behind = behind.trim_end_matches('0');
    if behind.len() > DIGITS_BEHIND {
        return Err("write at most six digits behind the point");
    }
    let digits = format!("0{before}{behind:0<DIGITS_BEHIND$}");
    digits.parse().map_err(|_| form)
}

/// A piece of the file, as a problem repeats it.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > QUOTED_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}
