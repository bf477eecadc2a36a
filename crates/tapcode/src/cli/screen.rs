//! How does a command speak to its reader? In colour on a terminal, plainly into a pipe, and never to nobody.

use std::io::{self, IsTerminal, Write};

use tapcode_core::time::Timestamp;

/// Standard output and what it can show.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// The one of this process. `NO_COLOR` (<https://no-color.org>; from memory) and `TERM=dumb` turn colour off.
    #[must_use]
    pub fn of_process() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            colour: io::stdout().is_terminal() && !unwanted,
        }
    }

    /// Writes a text as it is and lets it be seen at once.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// What matters most.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    /// What matters least.
    #[must_use]
    pub fn dim(&self, text: &str) -> String {
        self.painted("2", text)
    }

    /// What went well.
    #[must_use]
    pub fn good(&self, text: &str) -> String {
        self.painted("32", text)
    }

    /// What went wrong.
    #[must_use]
    pub fn bad(&self, text: &str) -> String {
        self.painted("31", text)
    }

    fn painted(&self, how: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{how}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A number's first digits and its last four; nothing of a text that is too short to be one.
#[must_use]
pub fn masked(number: &str) -> String {
    let digits = number.len();
    if digits < 8 || !number.is_ascii() {
        return String::new();
    }
    format!("{}*****{}", &number[..3], &number[digits - 4..])
}

/// A moment as the API writes it: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| "?".to_owned(), |at| format!("{at:.3}"))
}

/// Somebody else's text, without anything that a terminal would act on.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Rows of cells, each column as wide as its widest cell; without blanks at the ends of lines.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_ends() {
        let rows = [
            vec!["a".into(), "long".into(), "x".into()],
            vec!["bbb".into(), "é".into(), String::new()],
        ];
        assert_eq!(table(&rows), "a    long  x\nbbb  é\n");
    }

    #[test]
    fn a_moment_is_written_as_the_api_writes_it() {
        assert_eq!(time(Timestamp::from_millis(1_795_424_461_005)), "2026-11-23T09:01:01.005Z");
    }

    #[test]
    fn nothing_from_a_server_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    }

    #[test]
    fn there_is_no_colour_in_a_pipe() {
        assert_eq!(Screen { colour: false }.bad("no"), "no");
        assert_eq!(Screen { colour: true }.bad("no"), "\x1b[31mno\x1b[0m");
    }
}
