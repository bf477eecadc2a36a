//! What does a code over WhatsApp cost, and what would a new rate card of Meta's change?

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::{Value, json};
use tapcode::config::{NoCountry, Purpose};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Country;
use tapcode_core::time::Timestamp;
use tapcode_engine::clock::{Clock as _, SystemClock};
use tapcode_engine::rates::{
    CARD_BYTES_MAX, CardProblem, Category, Change, Imported, LeftOut, Market, RateInForce, begin_of, first_day, import, market_of,
};

use super::screen::{plain, table};
use super::{Configured, Screen};

/// `tapcode prices …`
#[derive(Debug, Subcommand)]
pub enum Prices {
    /// Tell what a rate card of Meta's changes, before it is named in the configuration
    Check(Check),
    /// Print the rates in force
    List(List),
}

/// `tapcode prices check`
#[derive(Debug, Args)]
#[command(after_help = "Ends with 0 when the file can be read, with 1 and every problem of it when it cannot.")]
pub struct Check {
    /// Meta's rate card, as the CSV file that was downloaded
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The first day of the card, such as 2027-01-01
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Date,
    #[command(flatten)]
    configured: Configured,
    /// Print the changes or the problems as JSON
    #[arg(long)]
    json: bool,
}

/// `tapcode prices list`
#[derive(Debug, Args)]
#[command(
    after_help = "The built-in rates are copies of Meta's cards in US dollars that were not compared with Meta's own files.\nTaxes and volume tiers are not in them."
)]
pub struct List {
    /// Only the market of numbers of this country, two capital letters
    #[arg(long, value_name = "COUNTRY", value_parser = country)]
    country: Option<Country>,
    /// The rates of this day; without it, those of today
    #[arg(long, value_name = "DATE", value_parser = day)]
    at: Option<Date>,
    /// The currency of the cards
    #[arg(long, value_name = "CURRENCY", value_parser = currency, default_value = "USD")]
    currency: Currency,
    #[command(flatten)]
    configured: Configured,
    /// Print the rates as JSON
    #[arg(long)]
    json: bool,
}

fn day(text: &str) -> Result<Date, String> {
    first_day(text).map_err(|(wrong, instead)| format!("it {wrong}; {}", instead.replace('"', "")))
}

fn country(text: &str) -> Result<Country, String> {
    tapcode::config::country(text).map_err(|NoCountry { meant }| match meant {
        Some(meant) => format!("it is no country; write {meant}"),
        None => "it is no country; write two capital letters of ISO 3166-1, such as NL".to_owned(),
    })
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::parse(text).ok_or_else(|| "it is no currency; write three capitals of ISO 4217, such as USD".to_owned())
}

impl Prices {
    pub fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(check) => check.run(screen),
            Self::List(list) => list.run(screen),
        }
    }
}

/// Prices need none of the things without which only a server cannot start.
const PURPOSE: Purpose = Purpose::Dev;

impl Check {
    fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let bytes = read(&self.file)?;
        // The file first: a configuration that names it already has the same problems, and less room to tell them.
        let imported = match import(&bytes, self.from) {
            Ok(imported) => imported,
            Err(problems) => {
                self.tell(screen, &problems)?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let Some(config) = self.configured.load(PURPOSE) else {
            return Ok(ExitCode::FAILURE);
        };
        let changes = config.whatsapp_rates.changes(&imported.card);
        let left_out = config.whatsapp_rates.left_out(&imported.card);
        if self.json {
            screen.line(&report(&imported, &changes, &left_out).to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(says) = imported.says_from.filter(|says| *says != self.from) {
            eprintln!(
                "tapcode: warning: the card says that it is effective {says}, and --from is {}",
                self.from
            );
        }
        let (card, name) = (&imported.card, plain(&self.file.display().to_string()));
        let what = format!(
            "{name} is a card in {} of {} from {} on",
            card.currency,
            counted(card.markets(), "market"),
            card.from
        );
        if changes.is_empty() {
            screen.line(&format!("{what}. It changes nothing."))?;
        } else {
            screen.line(&format!("{what}. It changes {}:", counted(changes.len(), "rate")))?;
            screen.write(&changed(&changes))?;
        }
        if !left_out.is_empty() {
            screen.line(&format!(
                "\nIt leaves out {}, where an older card stays in force:",
                counted(left_out.len(), "rate")
            ))?;
            screen.write(&staying(&left_out))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, screen: &Screen, problems: &[CardProblem]) -> anyhow::Result<()> {
        if self.json {
            let problems: Vec<Value> = problems
                .iter()
                .map(|p| json!({"line": p.line, "cell": p.cell, "wrong": p.wrong, "instead": p.instead}))
                .collect();
            screen.line(&json!({"valid": false, "problems": problems}).to_string())?;
            return Ok(());
        }
        eprintln!(
            "tapcode: {} is no rate card as it stands:",
            plain(&self.file.display().to_string())
        );
        for problem in problems {
            eprintln!("  {problem}");
        }
        Ok(())
    }
}

/// A file's bytes, up to one more than a card may have.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("{} cannot be read; name the CSV file of Meta's rate card", file.display());
    // Opening a pipe waits for whoever writes into it, so what it is is asked first.
    if !std::fs::metadata(file).with_context(cannot)?.is_file() {
        bail!("{} is no regular file; name the CSV file of Meta's rate card", file.display());
    }
    let mut bytes = Vec::new();
    File::open(file)
        .with_context(cannot)?
        .take(CARD_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    Ok(bytes)
}

fn report(imported: &Imported, changes: &[Change], left_out: &[LeftOut]) -> Value {
    let card = &imported.card;
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            json!({
                "market": change.market.as_str(),
                "category": change.category.as_str(),
                "old": money(change.old),
                "new": money(change.new),
            })
        })
        .collect();
    let left_out: Vec<Value> = left_out
        .iter()
        .map(|left| {
            json!({
                "market": left.market.as_str(),
                "category": left.category.as_str(),
                "stays": money(left.stays.price),
                "from": left.stays.from.to_string(),
            })
        })
        .collect();
    json!({
        "valid": true,
        "from": card.from.to_string(),
        "says_from": imported.says_from.map(|day| day.to_string()),
        "currency": card.currency.as_str(),
        "markets": card.markets(),
        "changes": changes,
        "left_out": left_out,
    })
}

/// Money as the API writes it.
fn money(money: Option<Money>) -> Value {
    money.map_or(
        Value::Null,
        |money| json!({"amount_micros": money.amount_micros, "currency": money.currency.as_str()}),
    )
}

fn changed(changes: &[Change]) -> String {
    let mut rows = vec![["MARKET", "CATEGORY", "OLD", "NEW"].map(str::to_owned).to_vec()];
    rows.extend(changes.iter().map(|change| {
        vec![
            change.market.as_str().to_owned(),
            change.category.as_str().to_owned(),
            shown(change.old),
            shown(change.new),
        ]
    }));
    table(&rows)
}

fn staying(left_out: &[LeftOut]) -> String {
    let mut rows = vec![["MARKET", "CATEGORY", "STAYS", "SINCE"].map(str::to_owned).to_vec()];
    rows.extend(left_out.iter().map(|left| {
        vec![
            left.market.as_str().to_owned(),
            left.category.as_str().to_owned(),
            shown(left.stays.price),
            left.stays.from.to_string(),
        ]
    }));
    table(&rows)
}

/// An amount, or the sign that there is none.
fn shown(money: Option<Money>) -> String {
    money.map_or_else(|| "-".to_owned(), |money| money.to_string())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// One line of the list: a market's rates in both categories.
struct Line {
    market: Market,
    rates: [Option<RateInForce>; 2],
}

impl List {
    fn run(self, screen: &Screen) -> anyhow::Result<ExitCode> {
        let Some(config) = self.configured.load(PURPOSE) else {
            return Ok(ExitCode::FAILURE);
        };
        let day = match self.at {
            Some(day) => day,
            None => today(SystemClock.now())?,
        };
        let moment = begin_of(day);
        let rates = |market| Category::ALL.map(|category| config.whatsapp_rates.rate(market, category, self.currency, moment));
        let lines: Vec<Line> = match self.country {
            Some(country) => {
                let rates = rates(market_of(country));
                // On an early day a market can still be part of its region.
                let market = rates[0].map_or(market_of(country), |rate| rate.market);
                vec![Line { market, rates }]
            }
            None => Market::ALL
                .iter()
                .map(|market| Line {
                    market: *market,
                    rates: rates(*market),
                })
                .filter(|line| line.rates.iter().flatten().any(|rate| rate.market == line.market))
                .collect(),
        };
        if lines.iter().all(|line| line.rates.iter().all(Option::is_none)) {
            bail!(
                "there are no rates in {} on {day}; name Meta's rate card in [[prices.whatsapp]] of the configuration",
                self.currency
            );
        }
        if self.json {
            let data: Vec<Value> = lines.iter().map(Line::json).collect();
            let list = json!({
                "at": day.to_string(),
                "currency": self.currency.as_str(),
                "country": self.country.as_ref().map(Country::as_str),
                "data": data,
            });
            screen.line(&list.to_string())?;
        } else {
            screen.line(&screen.bold(&format!("A delivered code over WhatsApp on {day}, in {}", self.currency)))?;
            screen.write(&listed(&lines))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Line {
    fn json(&self) -> Value {
        let mut line = json!({"market": self.market.as_str()});
        for (category, rate) in Category::ALL.iter().zip(&self.rates) {
            let name = category.as_str();
            line[name] = money(rate.and_then(|rate| rate.price));
            line[format!("{name}_from")] = rate.map_or(Value::Null, |rate| rate.from.to_string().into());
        }
        line
    }
}

fn listed(lines: &[Line]) -> String {
    let mut rows = vec![
        ["MARKET", "AUTHENTICATION", "SINCE", "INTERNATIONAL", "SINCE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(lines.iter().map(|line| {
        let mut row = vec![line.market.as_str().to_owned()];
        for rate in line.rates {
            let price = rate.and_then(|rate| rate.price);
            row.push(shown(price));
            row.push(
                rate.filter(|_| price.is_some())
                    .map_or_else(String::new, |rate| rate.from.to_string()),
            );
        }
        row
    }));
    table(&rows)
}

/// The day in UTC.
fn today(now: Timestamp) -> anyhow::Result<Date> {
    let now = jiff::Timestamp::from_millisecond(now.as_millis()).context("the machine's clock")?;
    Ok(jiff::tz::TimeZone::UTC.to_datetime(now).date())
}
