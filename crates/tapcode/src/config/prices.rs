//! What does a WhatsApp message cost? The built-in rate cards and the ones that the operator has downloaded.

use std::collections::BTreeSet;

use tapcode_core::money::Currency;
use tapcode_engine::rates::{CARD_BYTES_MAX, RateCard, RateCards, first_day, import, is_day_of_change};

use super::reader::{At, Reading, Table};

/// Most cards: ten years of changes in five currencies.
const CARDS_MAX: usize = 200;
/// Markets that a warning names at most.
const NAMED_MAX: usize = 5;

/// Reads `[prices]`. A card in `[[prices.whatsapp]]` goes before a built-in one of the same day and currency.
pub(super) fn read(reading: &Reading, mut table: Table<'_>) -> RateCards {
    let at = table.at("whatsapp");
    let entries = table.sections("whatsapp");
    table.finish();
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
            for problem in problems {
                let place = match (problem.line, problem.cell.as_str()) {
                    (Some(line), "") => format!("names a rate card of which line {line}"),
                    (Some(line), cell) => format!("names a rate card in which line {line} ({cell})"),
                    (None, _) => "names a rate card that".to_owned(),
                };
                reading.problem(&file_at, format!("{place} {}", problem.wrong), problem.instead);
            }
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
