//! What does a message cost? The built-in rate cards for WhatsApp, the ones that the operator has downloaded, and the
//! operator's tables for SMS.

use std::collections::BTreeSet;

use tapcode_core::money::Currency;
use tapcode_engine::csv_file::FileProblem;
use tapcode_engine::rates::{CARD_BYTES_MAX, RateCard, RateCards, first_day, import, is_day_of_change};
use tapcode_engine::sms_prices::{self, PRICES_BYTES_MAX, SmsPrices};

use super::reader::{At, Reading, Table};
use super::senders::SMS_PROVIDERS;

/// Most cards: ten years of changes in five currencies.
const CARDS_MAX: usize = 200;
/// Markets that a warning names at most.
const NAMED_MAX: usize = 5;

/// Most files with prices of text messages: one for each provider, and room for more.
const SMS_FILES_MAX: usize = 32;

/// Reads `[prices]`.
pub(super) fn read(reading: &Reading, mut table: Table<'_>) -> (RateCards, SmsPrices) {
    let whatsapp = (table.at("whatsapp"), table.sections("whatsapp"));
    let sms = (table.at("sms"), table.sections("sms"));
    table.finish();
    (cards(reading, whatsapp), texts(reading, sms))
}

/// The tables of `[[prices.sms]]`. Each provider is in one of them.
fn texts(reading: &Reading, (at, entries): (At, Vec<Table<'_>>)) -> SmsPrices {
    let mut prices = SmsPrices::default();
    if entries.len() > SMS_FILES_MAX {
        let wrong = format!("has {} files", entries.len());
        reading.problem(&at, wrong, format!("join them: at most {SMS_FILES_MAX} are read"));
        return prices;
    }
    for mut entry in entries {
        let file = entry.needed_file(
            "file",
            "name a CSV file with the columns provider, country, network, price and currency",
            PRICES_BYTES_MAX,
        );
        entry.finish();
        let Some((bytes, at)) = file else { continue };
        match sms_prices::import(&bytes, &SMS_PROVIDERS) {
            Ok(read) => {
                if let Err(provider) = prices.join(read) {
                    let wrong = format!("names a file that prices {provider}, as the file of another entry does");
                    reading.problem(&at, wrong, "keep the prices of a provider in one file");
                }
            }
            Err(problems) => named(reading, &at, "a price table", problems),
        }
    }
    prices
}

/// The problems of a file that an entry names.
fn named(reading: &Reading, at: &At, what: &str, problems: Vec<FileProblem>) {
    for problem in problems {
        let place = match (problem.line, problem.cell.as_str()) {
            (Some(line), "") => format!("names {what} of which line {line}"),
            (Some(line), cell) => format!("names {what} in which line {line} ({cell})"),
            (None, _) => format!("names {what} that"),
        };
        reading.problem(at, format!("{place} {}", problem.wrong), problem.instead);
    }
}

/// The cards. One in `[[prices.whatsapp]]` goes before a built-in one of the same day and currency.
fn cards(reading: &Reading, (at, entries): (At, Vec<Table<'_>>)) -> RateCards {
    let mut rates = RateCards::built_in();
    if entries.len() > CARDS_MAX {
        let wrong = format!("has {} cards", entries.len());
        reading.problem(&at, wrong, format!("keep at most {CARDS_MAX}, the newest ones"));
        return rates;
    }
    let mut cards: Vec<(RateCard, At)> = entries.into_iter().filter_map(|entry| card(reading, entry)).collect();
    // By day, so that what a card leaves out is told of the cards that are before it wherever they stand in the file.
    cards.sort_by_key(|(card, _)| card.from);
    let mut seen = BTreeSet::new();
    for (card, at) in cards {
        if !seen.insert((card.from, card.currency)) {
            let wrong = format!("is a card in {} from {} on, as another entry is", card.currency, card.from);
            reading.problem(&at, wrong, "remove one of the two");
            continue;
        }
        left_out(reading, &rates, &card, &at);
        rates.put(card);
    }
    rates
}

fn card(reading: &Reading, mut table: Table<'_>) -> Option<(RateCard, At)> {
    let from = table
        .needed_text("from", "write the first day of the card, such as \"2027-01-01\"")
        .and_then(|(text, at)| match first_day(&text) {
            Ok(day) => Some((day, at)),
            Err((wrong, instead)) => {
                reading.problem(&at, wrong, instead);
                None
            }
        });
    let file = table.needed_file("file", "name the CSV file of Meta's rate card", CARD_BYTES_MAX);
    table.finish();
    let (from, from_at) = from?;
    let (bytes, file_at) = file?;
    let imported = match import(&bytes, from) {
        Ok(imported) => imported,
        Err(problems) => {
            named(reading, &file_at, "a rate card", problems);
            return None;
        }
    };
    match imported.says_from {
        Some(says) if says != from => reading.warning(
            &from_at,
            format!("is {from}, and the rate card says that it is effective {says}"),
            format!("write \"{says}\", or name another file"),
        ),
        _ if !is_day_of_change(from) => reading.warning(
            &from_at,
            format!("is {from}: Meta changes rates on the first of January, April, July and October"),
            "write the day on which the card begins",
        ),
        _ => {}
    }
    Some((imported.card, file_at))
}

/// A warning where a card says less than the ones before it.
fn left_out(reading: &Reading, rates: &RateCards, card: &RateCard, at: &At) {
    let left_out = rates.left_out(card);
    if left_out.is_empty() {
        return;
    }
    let named: Vec<String> = left_out
        .iter()
        .take(NAMED_MAX)
        .map(|left| format!("{} {}", left.market.as_str(), left.category.as_str()))
        .collect();
    let more = match left_out.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    reading.warning(
        at,
        format!(
            "names a rate card without a rate for {}{more}: older cards stay in force there",
            named.join(", ")
        ),
        "name Meta's whole card, or leave it where that is meant",
    );
}

/// In which currency Meta bills an account. Default: US dollars.
pub(super) fn billing_currency(reading: &Reading, table: &mut Table<'_>, rates: &RateCards) -> Option<Currency> {
    let given = table.has("billing_currency");
    let Some((text, at)) = table.text("billing_currency") else {
        return (!given).then_some(Currency::USD);
    };
    let Some(currency) = Currency::parse(&text) else {
        let instead = "write the three capitals of ISO 4217, such as \"USD\"";
        reading.problem(&at, "is no currency", instead);
        return None;
    };
    if !rates.has(currency) {
        let known: Vec<String> = rates.currencies().iter().map(Currency::to_string).collect();
        reading.warning(
            &at,
            format!("is {currency}, in which there is no rate card: the prices of its messages will be null"),
            format!(
                "name Meta's card in {currency} in [[prices.whatsapp]]; there are cards in {}",
                known.join(", ")
            ),
        );
    }
    Some(currency)
}
