//! How is Meta's rate card read? Its CSV file as it is downloaded, with every mistake named at once.
//!
//! The file, as Meta publishes it (<https://developers.facebook.com/docs/whatsapp/pricing#rate-cards>; seen 2026-11-26 through
//! four public importers of it, not itself): lines that say what it is, then a header with a line break in one of its
//! cells, then a row for each market; `$US` for the currency of one of the files; amounts such as `0.0340`, with a point and
//! without a sign; `n/a` where there is no such rate; CRLF at the ends of lines.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};
use jiff::civil::Date;
use tapcode_core::money::Currency;

use super::market::{Market, plain};
use super::{Rate, RateCard, Row};
use crate::csv_file::{Lines, Problems, micros, quoted, text};
use crate::nearest::nearest;

pub use crate::csv_file::FileProblem as CardProblem;

/// Largest file, in bytes: Meta's have about five thousand.
pub const CARD_BYTES_MAX: usize = 256 * 1024;
/// Markets that are offered for an unknown one at most.
const NEAR_MAX: usize = 3;

/// How an amount is written.
pub(super) const FORM: &str = "write the amount in digits with a point, without a sign or a comma, such as 0.0340, or n/a";
/// What to do about a file that is no text, or far too large.
const IS_CARD: [&str; 2] = [
    "name the CSV file of Meta's rate card, which is far smaller",
    "save it as CSV in UTF-8, or name Meta's file as it was downloaded",
];

/// The columns that are read. The others of Meta's (Marketing, Utility, Service) have no codes in them.
const MARKET: &str = "Market";
const CURRENCY: &str = "Currency";
const AUTHENTICATION: &str = "Authentication";
const INTERNATIONAL: &str = "Authentication-International";

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The card.
    pub card: RateCard,
    /// The first day that the file itself gives above its header, where it gives one.
    pub says_from: Option<Date>,
}

/// Reads one of Meta's files as the card that begins on `from`.
///
/// # Errors
/// Everything that has to be changed, in the order of the file, never empty.
pub fn import(bytes: &[u8], from: Date) -> Result<Imported, Vec<CardProblem>> {
    let mut problems = Problems::new("download Meta's file again, and name it as it is");
    let read = text(bytes, CARD_BYTES_MAX, &IS_CARD, &mut problems).and_then(|text| card(text, from, &mut problems));
    match read {
        Some(imported) if problems.found.is_empty() => Ok(imported),
        _ => Err(problems.close()),
    }
}

fn card(text: &str, from: Date, problems: &mut Problems) -> Option<Imported> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let lines = Lines::of(text);
    let mut says_from = None;
    let mut columns = None;
    let mut rows = BTreeMap::new();
    let mut currency = None;
    let mut has_header = false;
    for record in reader.records() {
        let Ok(record) = record else {
            // The text is UTF-8 and rows may be of any length, so the reader has nothing to refuse; should it, it says where.
            let instead = "save it as CSV with commas, or name Meta's file as it was downloaded";
            problems.add(None, "", "is no CSV", instead);
            return None;
        };
        if !has_header {
            has_header = record.get(0).is_some_and(|cell| is_column(cell, MARKET));
            if has_header {
                columns = Columns::of(&record, lines.line(&record), problems);
            } else {
                says_from = says_from.or_else(|| date_in(&record));
            }
        } else if let Some(columns) = &columns {
            row(&record, lines.line(&record), columns, &mut rows, &mut currency, problems);
        }
    }
    if !has_header {
        let instead = if text.contains("Market;") {
            "save it with commas between the cells, not with semicolons"
        } else {
            "name the CSV file of Meta's rate card; its header begins with Market,Currency"
        };
        problems.add(None, "", "has no header of a rate card", instead);
        return None;
    }
    if currency.is_none() && problems.found.is_empty() {
        problems.add(
            None,
            "",
            "has no rates below its header",
            "name the CSV file of Meta's rate card as it was downloaded",
        );
    }
    Some(Imported {
        card: RateCard {
            from,
            currency: currency?,
            rows,
        },
        says_from,
    })
}

/// Where the columns are.
struct Columns {
    currency: usize,
    authentication: usize,
    international: usize,
    all: usize,
}

impl Columns {
    fn of(header: &StringRecord, line: Option<u64>, problems: &mut Problems) -> Option<Self> {
        let mut find = |name: &str| {
            let places: Vec<usize> = (0..header.len()).filter(|at| is_column(&header[*at], name)).collect();
            match places[..] {
                [at] => Some(at),
                [] => {
                    let instead = "name the CSV file of Meta's rate card, which has the columns \
                                   Market, Currency, Authentication and Authentication-International";
                    problems.add(line, name, "is missing in the header", instead);
                    None
                }
                _ => {
                    problems.add(line, name, "is twice in the header", "remove one of the two columns");
                    None
                }
            }
        };
        let (market, currency) = (find(MARKET), find(CURRENCY));
        let (authentication, international) = (find(AUTHENTICATION), find(INTERNATIONAL));
        market?;
        Some(Self {
            currency: currency?,
            authentication: authentication?,
            international: international?,
            all: header.len(),
        })
    }
}

/// Whether a cell of the header is a column's name. Meta breaks one of them into two lines.
fn is_column(cell: &str, name: &str) -> bool {
    let letters = cell.chars().filter(|c| !c.is_whitespace());
    letters
        .flat_map(char::to_lowercase)
        .eq(name.chars().flat_map(char::to_lowercase))
}

fn row(
    record: &StringRecord,
    line: Option<u64>,
    columns: &Columns,
    rows: &mut BTreeMap<Market, Row>,
    currency: &mut Option<Currency>,
    problems: &mut Problems,
) {
    let name = record.get(0).unwrap_or_default();
    let is_alone = record.iter().skip(1).all(|cell| cell.trim().is_empty());
    let market = Market::parse(name);
    if is_alone {
        // An empty row, a note in words, or a market of which nothing is said.
        return;
    }
    if market.is_none() {
        let wrong = format!("is {}, which is no market that this version knows", quoted(name));
        // Looking for near names is the dearest part, and nobody reads more of them than are told.
        let instead = if problems.is_full() { String::new() } else { meant(name) };
        problems.add(line, MARKET, wrong, instead);
    }
    let shown = market.map_or_else(|| quoted(name), |market| market.as_str().to_owned());
    // A row that is longer is not taken either, even where its end is empty: an unquoted `0,05` is two cells.
    if record.len() != columns.all {
        let wrong = format!("has {} cells, and the header has {}", record.len(), columns.all);
        problems.add(line, shown, wrong, "write one cell for each column, and amounts with a point");
        return;
    }
    let cell = |column: &str| format!("{shown}, {column}");
    let given = &record[columns.currency];
    match (currency_of(given), *currency) {
        (Some(given), None) => *currency = Some(given),
        (Some(given), Some(before)) if given != before => {
            let instead = "give each currency a file of its own, as Meta does";
            problems.add(
                line,
                cell(CURRENCY),
                format!("is {given}, and the rows before are in {before}"),
                instead,
            );
        }
        (Some(_), Some(_)) => {}
        (None, _) => {
            let instead = "write the three letters of ISO 4217, such as USD";
            problems.add(line, cell(CURRENCY), format!("is {}", quoted(given)), instead);
        }
    }
    let mut rate = |column: &str, at: usize| {
        rate_of(&record[at]).unwrap_or_else(|(wrong, instead)| {
            problems.add(line, cell(column), wrong, instead);
            Rate::NotSaid
        })
    };
    let read = Row {
        authentication: rate(AUTHENTICATION, columns.authentication),
        authentication_international: rate(INTERNATIONAL, columns.international),
    };
    let Some(market) = market else { return };
    if rows.insert(market, read).is_some() {
        let instead = "remove one of the two rows; Meta's rates of volume tiers are another file, and no rate card";
        problems.add(line, shown, "has a row already", instead);
    }
}

/// A currency as Meta writes it: its letters, with or without a sign beside them, and `$US`.
fn currency_of(cell: &str) -> Option<Currency> {
    let cell = cell.trim();
    if cell == "$US" {
        return Some(Currency::USD);
    }
    Currency::parse(cell.trim_matches(|c: char| !c.is_alphanumeric()))
}

/// An amount, `n/a`, or nothing.
fn rate_of(cell: &str) -> Result<Rate, (String, &'static str)> {
    let text = cell.trim();
    if text.is_empty() {
        return Ok(Rate::NotSaid);
    }
    if text.eq_ignore_ascii_case("n/a") {
        return Ok(Rate::NotApplicable);
    }
    micros(text, FORM)
        .map(Rate::Micros)
        .map_err(|instead| (format!("is {}", quoted(text)), instead))
}

/// The markets that were probably meant: the one with the fewest slips, and those that share a word with it.
fn meant(name: &str) -> String {
    let known: Vec<(String, Market)> = Market::ALL.iter().map(|market| (plain(market.as_str()), *market)).collect();
    let name = plain(name);
    let slip = nearest(&name, known.iter().map(|(plain, _)| plain.as_str()));
    let shares_word = |plain: &str| {
        plain
            .split(' ')
            .any(|word| word.len() > 4 && name.split(' ').any(|other| other == word))
    };
    let near: Vec<&str> = known
        .iter()
        .filter(|(plain, _)| slip == Some(plain) || shares_word(plain))
        .map(|(_, market)| market.as_str())
        .take(NEAR_MAX)
        .collect();
    let instead = "remove the row where Meta has made a new market: its numbers are then priced as before";
    if near.is_empty() {
        format!("write a name that `tapcode prices list` shows, or {instead}")
    } else {
        format!("write {}, or {instead}", near.join(" or "))
    }
}

/// The day in `effective October 1, 2026`, which Meta writes above the header.
fn date_in(record: &StringRecord) -> Option<Date> {
    let words: Vec<&str> = record
        .iter()
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .collect();
    words
        .windows(4)
        .filter(|four| four[0].eq_ignore_ascii_case("effective"))
        .find_map(|four| Date::strptime("%B %d %Y", four[1..].join(" ")).ok())
}
