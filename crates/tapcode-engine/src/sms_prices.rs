//! What does a segment of a text message cost, by provider and country? A table that the operator loads from CSV.
//!
//! Providers publish their prices as files of many shapes and change them without notice, so none is built in. The table
//! speaks where a provider's own answer or receipt names no amount. Nothing here reads a file or a clock.

use std::collections::BTreeMap;
use std::fmt;

use csv::{ReaderBuilder, StringRecord};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Country;

use crate::csv_file::{FileProblem, Lines, Problems, micros, quoted, text};
use crate::nearest::nearest;

/// Largest file, in bytes: fifty providers with eight hundred networks each.
pub const PRICES_BYTES_MAX: usize = 4 * 1024 * 1024;

const PROVIDER: &str = "provider";
const COUNTRY: &str = "country";
const NETWORK: &str = "network";
const PRICE: &str = "price";
const CURRENCY: &str = "currency";
const HEADER: &str = "begin the file with the header provider,country,network,price,currency (network may be left out)";
const FORM: &str = "write what one segment costs in digits with a point, without a sign or a comma, such as 0.0754";

/// The prices of one provider.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PriceList(BTreeMap<Country, OfCountry>);

/// What a segment to a country costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfCountry {
    /// Where no network is named.
    any: Option<Money>,
    /// By MCC and MNC.
    networks: BTreeMap<Box<str>, Money>,
}

impl PriceList {
    /// What a message of so many segments to a number of the country costs: by the row without a network. Which network a
    /// number is in is not known before it is sent to, and numbers are ported, so that a row of a network is no guess at it.
    #[must_use]
    pub fn price(&self, country: Country, segments: u8) -> Option<Money> {
        times(self.0.get(&country)?.any?, segments)
    }

    /// What it costs at most: by the dearest row of the country in the currency of the row without a network, or, where
    /// there is none, of the first network.
    #[must_use]
    pub fn price_at_most(&self, country: Country, segments: u8) -> Option<Money> {
        let of_country = self.0.get(&country)?;
        let all = || of_country.any.iter().chain(of_country.networks.values()).copied();
        let currency = all().next()?.currency;
        let dearest = all()
            .filter(|price| price.currency == currency)
            .max_by_key(|price| price.amount_micros)?;
        times(dearest, segments)
    }

    /// How many countries have a price.
    #[must_use]
    pub fn countries(&self) -> usize {
        self.0.len()
    }
}

/// Without the rows: a configuration that is printed stays readable.
impl fmt::Debug for PriceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PriceList({} countries)", self.0.len())
    }
}

fn times(price: Money, segments: u8) -> Option<Money> {
    let amount_micros = price.amount_micros.checked_mul(segments.into())?;
    Some(Money { amount_micros, ..price })
}

/// The prices of all providers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmsPrices(BTreeMap<Box<str>, PriceList>);

impl SmsPrices {
    /// Those of a provider, by its name in the configuration.
    #[must_use]
    pub fn of(&self, provider: &str) -> Option<&PriceList> {
        self.0.get(provider)
    }

    /// Which providers have prices.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Takes in another file's. A provider that is in both is returned, and stays as it was: two files that speak of one
    /// provider would leave it open which of them is newer.
    ///
    /// # Errors
    /// The first provider that is in both; then nothing was taken in.
    pub fn join(&mut self, other: Self) -> Result<(), Box<str>> {
        if let Some(both) = other.0.keys().find(|provider| self.0.contains_key(*provider)) {
            return Err(both.clone());
        }
        self.0.extend(other.0);
        Ok(())
    }
}

/// Reads a file. `known` are the names of the providers that there are.
///
/// # Errors
/// Everything that has to be changed, in the order of the file, never empty.
pub fn import(bytes: &[u8], known: &[&str]) -> Result<SmsPrices, Vec<FileProblem>> {
    const IS_TABLE: [&str; 2] = [
        "split it by provider and name each file in an entry of its own",
        "save it as CSV in UTF-8",
    ];
    let mut problems = Problems::new("mend these first, and check the file again");
    let read = text(bytes, PRICES_BYTES_MAX, &IS_TABLE, &mut problems).map(|text| table(text, known, &mut problems));
    match read {
        Some(prices) if problems.found.is_empty() => Ok(prices),
        _ => Err(problems.close()),
    }
}

fn table(text: &str, known: &[&str], problems: &mut Problems) -> SmsPrices {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let lines = Lines::of(text);
    let mut columns = None;
    let mut prices = SmsPrices::default();
    let mut is_empty = true;
    for record in reader.records() {
        let Ok(record) = record else {
            problems.add(None, "", "is no CSV", "save it as CSV with commas between the cells");
            return prices;
        };
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let Some(columns) = &columns else {
            columns = Columns::of(&record, lines.line(&record), problems);
            if columns.is_none() {
                return prices;
            }
            continue;
        };
        is_empty = false;
        row(&record, lines.line(&record), columns, known, &mut prices, problems);
    }
    if is_empty {
        problems.add(None, "", "has no prices in it", HEADER);
    }
    prices
}

/// Where the columns are.
struct Columns {
    provider: usize,
    country: usize,
    network: Option<usize>,
    price: usize,
    currency: usize,
    all: usize,
}

impl Columns {
    fn of(header: &StringRecord, line: Option<u64>, problems: &mut Problems) -> Option<Self> {
        let names = [PROVIDER, COUNTRY, NETWORK, PRICE, CURRENCY];
        let mut places = BTreeMap::new();
        for (at, cell) in header.iter().enumerate() {
            let name = cell.trim().to_ascii_lowercase();
            let Some(known) = names.iter().find(|known| **known == name) else {
                problems.add(line, quoted(cell), "is no column of a price table", HEADER);
                return None;
            };
            if places.insert(*known, at).is_some() {
                problems.add(line, *known, "is twice in the header", "remove one of the two columns");
                return None;
            }
        }
        let mut find = |name: &str| {
            let place = places.get(name).copied();
            if place.is_none() {
                problems.add(line, name, "is missing in the header", HEADER);
            }
            place
        };
        let (provider, country, price, currency) = (find(PROVIDER), find(COUNTRY), find(PRICE), find(CURRENCY));
        Some(Self {
            provider: provider?,
            country: country?,
            network: places.get(NETWORK).copied(),
            price: price?,
            currency: currency?,
            all: header.len(),
        })
    }
}

fn row(
    record: &StringRecord,
    line: Option<u64>,
    columns: &Columns,
    known: &[&str],
    prices: &mut SmsPrices,
    problems: &mut Problems,
) {
    // A longer row is not taken either: an unquoted `0,05` is two cells.
    if record.len() != columns.all {
        let wrong = format!("has {} cells, and the header has {}", record.len(), columns.all);
        let instead = "write one cell for each column, and amounts with a point";
        problems.add(line, "", wrong, instead);
        return;
    }
    let cell = |at: usize| record[at].trim();
    let given = cell(columns.provider);
    let provider = known.iter().find(|name| **name == given);
    if provider.is_none() {
        let meant = nearest(given, known.iter().copied());
        let instead = meant.map_or_else(
            || format!("write one of {}", known.join(", ")),
            |meant| format!("write {meant}"),
        );
        problems.add(line, PROVIDER, format!("is {}, which is no provider", quoted(given)), instead);
    }
    let given = cell(columns.country);
    let country = Country::parse(given);
    if country.is_none() {
        let instead = "write the two capitals of ISO 3166-1, such as NL";
        problems.add(line, COUNTRY, format!("is {}", quoted(given)), instead);
    }
    let network = columns.network.map(cell).filter(|given| !given.is_empty());
    let is_network = |given: &str| (5..=6).contains(&given.len()) && given.bytes().all(|c| c.is_ascii_digit());
    if let Some(given) = network.filter(|given| !is_network(given)) {
        let instead = "write the network's MCC and MNC in one, such as 20404, or leave the cell empty for all networks";
        problems.add(line, NETWORK, format!("is {}", quoted(given)), instead);
    }
    let given = cell(columns.currency);
    let currency = Currency::parse(given);
    if currency.is_none() {
        let instead = "write the three capitals of ISO 4217, such as EUR";
        problems.add(line, CURRENCY, format!("is {}", quoted(given)), instead);
    }
    let given = cell(columns.price);
    let amount = micros(given, FORM);
    if let Err(instead) = amount {
        problems.add(line, PRICE, format!("is {}", quoted(given)), instead);
    }
    let (Some(provider), Some(country), Some(currency), Ok(amount_micros)) = (provider, country, currency, amount) else {
        return;
    };
    let price = Money { amount_micros, currency };
    let list = prices.0.entry((*provider).into()).or_default();
    let of_country = list.0.entry(country).or_default();
    let before = match network {
        None => of_country.any.replace(price),
        Some(network) => of_country.networks.insert(network.into(), price),
    };
    if before.is_some() {
        let wrong = format!("prices {provider} to {} twice", country.as_str());
        problems.add(line, "", wrong, "remove one of the two rows");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 2] = ["telnyx", "twilio"];

    fn told(text: &str) -> Vec<String> {
        let problems = import(text.as_bytes(), &KNOWN).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    fn country(letters: &str) -> Country {
        Country::parse(letters).unwrap()
    }

    #[test]
    fn a_price_is_that_of_the_provider_and_the_country_times_the_segments() {
        let text = "\u{feff}Provider,Country,Network,Price,Currency\r\n\
            twilio,NL,,0.0754,USD\r\n\r\ntwilio,NL,20404,0.08,USD\r\ntelnyx,NL,,0.06,EUR\r\ntwilio,DE,26201,0.07,USD\r\n";
        let prices = import(text.as_bytes(), &KNOWN).unwrap();
        let shown = |price: Option<Money>| price.map(|price| price.to_string());
        let twilio = prices.of("twilio").unwrap();
        assert_eq!(shown(twilio.price(country("NL"), 1)).as_deref(), Some("0.0754 USD"));
        assert_eq!(shown(twilio.price(country("NL"), 3)).as_deref(), Some("0.2262 USD"));
        assert_eq!(shown(twilio.price_at_most(country("NL"), 2)).as_deref(), Some("0.1600 USD"));
        let telnyx = prices.of("telnyx").unwrap();
        assert_eq!(shown(telnyx.price(country("NL"), 1)).as_deref(), Some("0.0600 EUR"));
        // A network's price is none for numbers whose network is not known.
        assert_eq!(twilio.price(country("DE"), 1), None);
        assert_eq!(shown(twilio.price_at_most(country("DE"), 1)).as_deref(), Some("0.0700 USD"));
        assert_eq!(twilio.price(country("FR"), 1), None);
        assert!(prices.of("vonage").is_none());
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "provider,country,network,price,currency\ntwilo,NL,,0.07,USD\ntwilio,Netherlands,,0.07,USD\n\
            twilio,NL,204,0.07,USD\n\ntwilio,NL,,\"0,07\",USD\ntwilio,NL,,0.07,$\ntwilio,NL,,0,07,USD\n\
            twilio,BE,,0.07,USD\ntwilio,BE,,0.08,USD\n";
        let begins = [
            "line 2 (provider) is `twilo`, which is no provider; write twilio",
            "line 3 (country) is `Netherlands`; write the two capitals",
            "line 4 (network) is `204`; write the network's MCC and MNC",
            "line 6 (price) is `0,07`; write what one segment costs",
            "line 7 (currency) is `$`; write the three capitals",
            "line 8 has 6 cells, and the header has 5; write one cell",
            "line 10 prices twilio to BE twice; remove one",
        ];
        let told = told(text);
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (told, begins) in told.iter().zip(begins) {
            assert!(told.starts_with(begins), "{told:?} does not begin with {begins:?}");
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused_for_its_header() {
        for (text, wrong) in [
            ("", "the file has no prices in it"),
            ("provider,country,price,currency\n", "the file has no prices in it"),
            ("provider,country,price\ntwilio,NL,0.07\n", "line 1 (currency) is missing"),
            (
                "\nprovider;country;price;currency\n",
                "line 2 (`provider;country;price;currency`) is no column",
            ),
            ("provider,country,price,price,currency\n", "line 1 (price) is twice"),
        ] {
            let told = told(text);
            assert_eq!(told.len(), 1, "{told:#?}");
            assert!(told[0].starts_with(wrong), "{told:?} does not begin with {wrong:?}");
        }
        let large = vec![b'a'; PRICES_BYTES_MAX + 1];
        assert!(import(&large, &KNOWN).unwrap_err()[0].wrong.contains("bytes"));
        assert!(import(b"provider,\xff", &KNOWN).unwrap_err()[0].wrong.contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400), with_header in any::<bool>()) {
            let header = if with_header { "provider,country,network,price,currency\n" } else { "" };
            if let Err(problems) = import(&[header.as_bytes(), &bytes].concat(), &KNOWN) {
                prop_assert!(!problems.is_empty() && problems.len() <= 51);
                for problem in problems {
                    prop_assert!(!problem.to_string().chars().any(char::is_control));
                }
            }
        }
    }
}
