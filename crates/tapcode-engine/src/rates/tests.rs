//! Has every number a market and every cell a reading, and do the newest words go before the older ones?

use std::collections::BTreeSet;

use proptest::prelude::*;
use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::card_file::FORM;
use super::*;
use crate::csv_file;

const HEADER: &str = "Market,Currency,Marketing,Utility,Authentication,\"Authentication-\nInternational\",Service\n";

/// The countries of numbers in no list of Meta's: a country that the number library learns of has to be put somewhere on purpose.
const OTHER: &str = "AC AD AG AI AS AW BA BB BL BM BN BQ BS BT BZ CD CF CK CU CV CW CY DJ DM EE FJ FK FM FO GD GF GI GL GN GP GQ GU GY \
    IO IR IS KG KI KM KN KP KR KY LC LI LU MC ME MF MH MM MO MP MQ MS MT MU MV NC NF NR NU PF PM PS PW RE SB SC SH SM SR ST SX SY TA TC \
    TK TL TO TT TV VC VG VI VU WF WS XK YT";

fn micros(text: &str) -> Result<i64, &'static str> {
    csv_file::micros(text, FORM)
}

fn country(letters: &str) -> Country {
    Country::parse(letters).unwrap()
}

fn currency(letters: &str) -> Currency {
    Currency::parse(letters).unwrap()
}

fn day(text: &str) -> Date {
    first_day(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(moment.as_millisecond())
}

fn micros_of(cards: &RateCards, letters: &str, category: Category, moment: &str) -> Option<i64> {
    let price = cards.price(country(letters), category, Currency::USD, at(moment))?;
    assert_eq!(price.currency, Currency::USD);
    Some(price.amount_micros)
}

fn read(rows: &str, from: &str) -> Result<Imported, Vec<String>> {
    read_bytes(format!("{HEADER}{rows}").as_bytes(), from)
}

fn read_bytes(bytes: &[u8], from: &str) -> Result<Imported, Vec<String>> {
    import(bytes, day(from)).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn one_problem(rows: &str, wanted: &str) {
    assert_eq!(read(rows, "2027-01-01").unwrap_err(), [wanted]);
}

// ---- markets ----

#[test]
fn every_country_that_a_number_can_have_is_in_a_market_on_purpose() {
    let known: BTreeSet<String> = PHONE_NUMBER_UTIL
        .get_supported_regions()
        .map(|region| region.as_region_str().to_string())
        .collect();
    assert!(known.len() > 240, "{}", known.len());
    let other: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|letters| market_of(country(letters)) == Market::Other)
        .collect();
    assert_eq!(other, OTHER.split_whitespace().collect::<Vec<_>>());

    let used: BTreeSet<Market> = known.iter().map(|letters| market_of(country(letters))).collect();
    assert_eq!(
        used.into_iter().collect::<Vec<_>>(),
        Market::ALL,
        "a market without a country"
    );
}

#[test]
fn of_the_countries_of_plus_one_two_are_north_america_and_three_latin_america() {
    for letters in ["US", "CA"] {
        assert_eq!(market_of(country(letters)), Market::NorthAmerica);
    }
    for letters in ["DO", "JM", "PR"] {
        assert_eq!(market_of(country(letters)), Market::RestOfLatinAmerica);
    }
    let bahamas = tapcode_core::number::Number::parse("+12423595555").unwrap();
    assert_eq!(
        (bahamas.country().as_str(), market_of(bahamas.country())),
        ("BS", Market::Other)
    );
}

#[test]
fn a_market_is_its_name_in_any_spelling() {
    for market in Market::ALL {
        assert_eq!(Market::parse(market.as_str()), Some(*market));
        assert_eq!(market.before().and_then(Market::before), None);
    }
    assert_eq!(
        Market::parse(" rest of  central and Eastern Europe\n"),
        Some(Market::RestOfCentralAndEasternEurope)
    );
    assert_eq!(Market::parse("Atlantis"), None);
}

// ---- built-in cards ----

#[test]
fn the_built_in_cards_are_read_by_the_importer_and_say_their_own_day() {
    for (from, file) in BUILT_IN {
        let imported = import(file.as_bytes(), from).unwrap();
        assert_eq!((imported.says_from, imported.card.currency), (Some(from), Currency::USD));
        assert!(is_day_of_change(from));
    }
    let cards = RateCards::built_in();
    let markets: Vec<usize> = cards.cards.iter().map(RateCard::markets).collect();
    assert_eq!(markets, [32, 1, 8, 47]);
    assert_eq!(cards.currencies(), [Currency::USD]);
}

#[test]
fn the_built_in_prices_are_those_of_their_sources() {
    let cards = RateCards::built_in();
    let code = Category::Authentication;
    let abroad = Category::AuthenticationInternational;
    for (letters, category, moment, micros) in [
        ("NL", code, "2026-01-01T00:00:00Z", Some(50_000)),
        ("US", code, "2026-11-26T12:00:00Z", Some(3_400)),
        ("CA", code, "2026-11-26T12:00:00Z", Some(3_400)),
        ("CO", code, "2026-11-26T12:00:00Z", Some(800)),
        ("KR", code, "2026-11-26T12:00:00Z", Some(7_700)),
        ("IN", code, "2026-11-26T12:00:00Z", Some(1_400)),
        ("IN", abroad, "2026-03-31T23:59:59.999Z", Some(28_000)),
        ("IN", abroad, "2026-04-01T00:00:00Z", Some(30_400)),
        ("IN", abroad, "2026-11-26T12:00:00Z", Some(30_400)),
        ("PK", code, "2026-06-30T00:00:00Z", Some(5_400)),
        ("PK", code, "2026-07-01T00:00:00Z", Some(10_000)),
        ("PK", code, "2026-10-01T00:00:00Z", Some(15_000)),
        ("TR", code, "2026-10-01T00:00:00Z", Some(900)),
        ("BD", abroad, "2026-10-01T00:00:00Z", Some(96_000)),
        ("NL", abroad, "2026-10-01T00:00:00Z", None),
        ("IQ", abroad, "2026-10-01T00:00:00Z", None),
        ("NL", code, "2025-12-31T23:59:59.999Z", None),
    ] {
        assert_eq!(micros_of(&cards, letters, category, moment), micros, "{letters} {moment}");
    }
    assert_eq!(
        cards.price(country("NL"), code, currency("EUR"), at("2026-11-26T12:00:00Z")),
        None
    );
}

#[test]
fn every_country_has_a_price_for_codes_from_the_first_card_on() {
    let cards = RateCards::built_in();
    for moment in [
        "2026-01-01T00:00:00Z",
        "2026-05-01T00:00:00Z",
        "2026-08-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
    ] {
        for market in Market::ALL {
            let rate = cards.rate(*market, Category::Authentication, Currency::USD, at(moment));
            assert!(rate.and_then(|rate| rate.price).is_some(), "{market:?} {moment}");
        }
    }
}

#[test]
fn a_market_is_priced_as_its_region_until_it_has_a_row_of_its_own() {
    let cards = RateCards::built_in();
    for (letters, before, after) in [("PL", 21_200, 12_200), ("SG", 11_300, 16_000)] {
        assert_eq!(
            micros_of(&cards, letters, Category::Authentication, "2026-06-30T23:59:59.999Z"),
            Some(before)
        );
        assert_eq!(
            micros_of(&cards, letters, Category::Authentication, "2026-07-01T00:00:00Z"),
            Some(after)
        );
    }
    assert_eq!(
        micros_of(&cards, "KZ", Category::Authentication, "2026-09-30T00:00:00Z"),
        Some(7_700)
    );
    assert_eq!(
        micros_of(&cards, "KZ", Category::Authentication, "2026-10-01T00:00:00Z"),
        Some(18_000)
    );
}

// ---- several cards ----

#[test]
fn a_card_of_the_same_day_and_currency_gives_way_and_others_stay() {
    let mut cards = RateCards::built_in();
    cards.put(read("Netherlands,USD,,,0.0600,n/a,\n", "2026-10-01").unwrap().card);
    cards.put(read("Netherlands,EUR,,,0.0414,n/a,\n", "2026-10-01").unwrap().card);
    let now = at("2026-11-26T12:00:00Z");
    assert_eq!(
        cards
            .price(country("NL"), Category::Authentication, Currency::USD, now)
            .unwrap()
            .to_string(),
        "0.0600 USD"
    );
    assert_eq!(
        cards
            .price(country("NL"), Category::Authentication, currency("EUR"), now)
            .unwrap()
            .to_string(),
        "0.0414 EUR"
    );
    assert_eq!(
        cards.price(country("DE"), Category::Authentication, currency("EUR"), now),
        None
    );
    // What the new card does not say is said by the newest one before it, which is not the one that gave way.
    assert_eq!(
        micros_of(&cards, "PK", Category::Authentication, "2026-11-26T12:00:00Z"),
        Some(10_000)
    );
    assert_eq!(cards.cards.len(), 5);
    assert_eq!(
        cards.newest(Currency::USD, now).map(|card| card.from),
        Some(day("2026-10-01"))
    );
}

#[test]
fn not_applicable_ends_a_rate_and_an_empty_cell_does_not() {
    let mut cards = RateCards::built_in();
    let card = read("India,USD,,,,n/a,\nEgypt,USD,,,n/a,,\n", "2027-01-01").unwrap().card;
    assert_eq!(
        (
            card.rate(Market::India, Category::Authentication),
            card.rate(Market::Egypt, Category::Authentication)
        ),
        (Rate::NotSaid, Rate::NotApplicable)
    );
    cards.put(card);
    let then = "2027-01-01T00:00:00Z";
    assert_eq!(micros_of(&cards, "IN", Category::Authentication, then), Some(1_400));
    assert_eq!(micros_of(&cards, "IN", Category::AuthenticationInternational, then), None);
    assert_eq!(micros_of(&cards, "EG", Category::Authentication, then), None);
    assert_eq!(
        micros_of(&cards, "EG", Category::AuthenticationInternational, then),
        Some(65_000)
    );
}

#[test]
fn what_a_card_changes_and_what_it_leaves_out_is_told() {
    let cards = RateCards::built_in();
    let card = read(
        "Netherlands,USD,,,0.0450,n/a,\nGermany,USD,,,0.0550,n/a,\nIndia,USD,,,0.0014,,\n",
        "2027-01-01",
    )
    .unwrap()
    .card;
    let changes: Vec<String> = cards
        .changes(&card)
        .iter()
        .map(|change| {
            format!(
                "{} {}: {:?} {:?}",
                change.market.as_str(),
                change.category.as_str(),
                change.old,
                change.new
            )
        })
        .collect();
    assert_eq!(changes, ["Netherlands authentication: Some(0.0500 USD) Some(0.0450 USD)"]);
    let left_out = cards.left_out(&card);
    let of = |market| left_out.iter().filter(|left| left.market == market).count();
    assert_eq!(
        (
            of(Market::Netherlands),
            of(Market::India),
            of(Market::France),
            of(Market::Indonesia)
        ),
        (0, 1, 1, 2)
    );
    let india = left_out.iter().find(|left| left.market == Market::India).unwrap();
    assert_eq!(india.stays.from, day("2026-04-01"));
    // In a currency of which there is no card yet everything is new and nothing is left out.
    let first = read("Netherlands,EUR,,,0.0414,n/a,\n", "2027-01-01").unwrap().card;
    assert_eq!((cards.changes(&first).len(), cards.left_out(&first).len()), (1, 0));
}

proptest! {
    /// The price is that of the newest card that has begun and says something, whatever order the cards came in.
    #[test]
    fn the_newest_card_that_has_begun_decides(
        given in prop::collection::vec((0u8..24, 0u8..3, prop::option::of(1i64..1_000_000)), 0..12),
        month in 0u8..26,
    ) {
        let month_of = |month: u8| date(2026 + i16::from(month / 12), i8::try_from(month % 12).unwrap() + 1, 1);
        let codes = [Currency::USD, currency("EUR"), currency("INR")];
        let mut cards = RateCards::default();
        for (month, which, micros) in &given {
            let rate = micros.map_or(Rate::NotSaid, Rate::Micros);
            let row = Row { authentication: rate, authentication_international: Rate::NotApplicable };
            cards.put(RateCard { from: month_of(*month), currency: codes[usize::from(*which)], rows: [(Market::Peru, row)].into() });
        }
        let moment = begin_of(month_of(month));
        for (which, code) in codes.iter().enumerate() {
            // Of one day the last given stays.
            let mut last = std::collections::BTreeMap::new();
            for (from, of, micros) in &given {
                if usize::from(*of) == which && *from <= month {
                    last.insert(*from, *micros);
                }
            }
            let expected = last.values().rev().find_map(|micros| *micros);
            let price = cards.price(country("PE"), Category::Authentication, *code, moment);
            prop_assert_eq!(price.map(|price| price.amount_micros), expected);
            let before = cards.price(country("PE"), Category::Authentication, *code, at("2025-12-31T23:59:59.999Z"));
            prop_assert_eq!(before, None);
        }
    }
}

// ---- days and words ----

#[test]
fn a_card_begins_on_a_day_written_in_full() {
    assert_eq!(first_day("2027-01-01"), Ok(date(2027, 1, 1)));
    for text in [
        "",
        "2027-1-1",
        "01-01-2027",
        "20270101",
        "2027-02-30",
        "2027-01-01T00",
        "+027-01-01",
        "2027-01-0a",
        "2025-06-30",
        "2100-01-01",
        "9999-12-31",
    ] {
        assert!(first_day(text).is_err(), "{text}");
    }
    assert!(is_day_of_change(date(2027, 4, 1)) && !is_day_of_change(date(2027, 4, 2)) && !is_day_of_change(date(2027, 2, 1)));
}

#[test]
fn the_categories_of_receipts_are_known_in_both_spellings() {
    for category in Category::ALL {
        assert_eq!(Category::parse(category.as_str()), Some(category));
        assert_eq!(Category::parse(&category.as_str().replace('_', "-")), Some(category));
    }
    for other in ["", "utility", "marketing", "service", "AUTHENTICATION"] {
        assert_eq!(Category::parse(other), None);
    }
}

// ---- the file ----

#[test]
fn a_file_as_it_is_downloaded_is_read() {
    let file = "\u{feff}\"Cost per message in USD on the WhatsApp Business Platform, effective January 1, 2027\",,,,,,\r\n\
        Note: rates are the same for all.,,,,,,\r\n\
        Market,Currency,Marketing,Utility,Authentication,\"Authentication-\nInternational\",Service\r\n\
        Egypt,$US,0.0644,0.0036,0.0036,0.0650,n/a\r\n\
        \"Netherlands\",$US,0.1597,0.0500, 0.0510 ,N/A,n/a\r\n\
        ,,,,,,\r\n\
        * with tax where the law says so,,,,,,\r\n";
    let imported = read_bytes(file.as_bytes(), "2027-01-01").unwrap();
    assert_eq!(imported.says_from, Some(date(2027, 1, 1)));
    assert_eq!((imported.card.currency, imported.card.markets()), (Currency::USD, 2));
    assert_eq!(
        imported.card.rate(Market::Netherlands, Category::Authentication),
        Rate::Micros(51_000)
    );
    assert_eq!(
        imported.card.rate(Market::Netherlands, Category::AuthenticationInternational),
        Rate::NotApplicable
    );
    assert_eq!(
        imported.card.rate(Market::Egypt, Category::AuthenticationInternational),
        Rate::Micros(65_000)
    );
    assert_eq!(imported.card.rate(Market::Peru, Category::Authentication), Rate::NotSaid);
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let file = "market,AUTHENTICATION-INTERNATIONAL,Authentication,Currency\nPeru,n/a,0.02,EUR\n";
    let imported = read_bytes(file.as_bytes(), "2027-01-01").unwrap();
    assert_eq!(imported.card.currency, currency("EUR"));
    assert_eq!(
        imported.card.rate(Market::Peru, Category::Authentication),
        Rate::Micros(20_000)
    );
}

#[test]
fn every_wrong_cell_is_named_by_line_row_and_column() {
    one_problem(
        "Netherlands,USD,,,\"0,0500\",n/a,\n",
        "line 3 (Netherlands, Authentication) is `0,0500`; write the amount in digits with a point, without a sign or a comma, such as 0.0340, or n/a",
    );
    one_problem(
        "Netherlands,USD,,,$0.05,n/a,\n",
        "line 3 (Netherlands, Authentication) is `$0.05`; write the amount in digits with a point, without a sign or a comma, such as 0.0340, or n/a",
    );
    one_problem(
        "Egypt,USD,,,0.0036,0.12345678,\n",
        "line 3 (Egypt, Authentication-International) is `0.12345678`; write at most six digits behind the point",
    );
    one_problem(
        "Egypt,USD,,,1000000,n/a,\n",
        "line 3 (Egypt, Authentication) is `1000000`; write what one message costs, which is less than a million",
    );
    one_problem(
        "Egypt,dollars,,,0.0036,n/a,\n",
        "line 3 (Egypt, Currency) is `dollars`; write the three letters of ISO 4217, such as USD",
    );
    one_problem(
        "Egypt,USD,,,0.0036,n/a,\n\nPeru,EUR,,,0.02,n/a,\n",
        "line 5 (Peru, Currency) is EUR, and the rows before are in USD; give each currency a file of its own, as Meta does",
    );
    one_problem(
        "Egypt,USD,,,0.0036,n/a,\r\n\r\nPeru,USD,,,0.02,n/a,\r\nChile,USD,,,-1,n/a,\r\n",
        "line 6 (Chile, Authentication) is `-1`; write the amount in digits with a point, without a sign or a comma, such as 0.0340, or n/a",
    );
    one_problem(
        "Egypt,USD,,,0,0036,n/a,\n",
        "line 3 (Egypt) has 8 cells, and the header has 7; write one cell for each column, and amounts with a point",
    );
    one_problem(
        "Egypt,USD,0.1\n",
        "line 3 (Egypt) has 3 cells, and the header has 7; write one cell for each column, and amounts with a point",
    );
    one_problem(
        "Egypt,USD,,,0.0036,n/a,\nEgypt,USD,,,0.0035,n/a,\n",
        "line 4 (Egypt) has a row already; remove one of the two rows; Meta's rates of volume tiers are another file, and no rate card",
    );
}

#[test]
fn an_unknown_market_is_named_with_the_near_ones() {
    let remove = "remove the row where Meta has made a new market: its numbers are then priced as before";
    for (name, meant) in [
        ("Nethrlands", "Netherlands"),
        (
            "Rest of Eastern Europe",
            "Rest of Central & Eastern Europe or Rest of Western Europe",
        ),
        ("South Korea", "South Africa"),
        ("Atlantis", "a name that `tapcode prices list` shows"),
    ] {
        one_problem(
            &format!("{name},USD,,,0.01,n/a,\n"),
            &format!("line 3 (Market) is `{name}`, which is no market that this version knows; write {meant}, or {remove}"),
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_bounded() {
    let problems = read("Egypt,?,,,x,y,\nNowhere,USD,,,z,n/a,\n", "2027-01-01").unwrap_err();
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert!(
        problems[4].starts_with("line 4 (`Nowhere`, Authentication) is `z`"),
        "{problems:#?}"
    );
    let many = read(&"Egypt,USD,,,x,n/a,\n".repeat(500), "2027-01-01").unwrap_err();
    assert_eq!(many.len(), 51);
    assert!(many[50].contains("has 949 more problems"), "{}", many[50]);
}

#[test]
fn a_file_that_is_no_rate_card_is_told_what_it_should_be() {
    for (bytes, wrong) in [
        (&b""[..], "the file has no header of a rate card; name the CSV file"),
        (b"a,b\n1,2\n", "the file has no header of a rate card"),
        (b"Market;Currency;Marketing\nPeru;USD;1\n", "with commas between the cells"),
        (
            b"Market,Currency,Authentication\nPeru,USD,1\n",
            "line 1 (Authentication-International) is missing in the header",
        ),
        (
            b"Market,Currency,Authentication,Authentication,Authentication-International\n",
            "line 1 (Authentication) is twice",
        ),
        (HEADER.as_bytes(), "the file has no rates below its header"),
        (
            &[HEADER.as_bytes(), b"India\nPeru,,\n"].concat(),
            "the file has no rates below its header",
        ),
        (b"\xff\xfeM\0a\0r\0", "line 1 is not UTF-8 text"),
        (b"x\ny\n\xff", "line 3 is not UTF-8 text"),
    ] {
        let problems = read_bytes(bytes, "2027-01-01").unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(wrong), "{problems:?}");
    }
    let large = vec![b'a'; CARD_BYTES_MAX + 1];
    assert!(read_bytes(&large, "2027-01-01").unwrap_err()[0].contains("more than 262144 bytes"));
}

/// A built-in file with bits of it replaced: reaches deeper than noise does.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let bits = prop::sample::select(vec![
        ",",
        "\"",
        "\n",
        "\r\n",
        "\r",
        ";",
        ".",
        "-1",
        "n/a",
        "$",
        "\u{feff}",
        "é",
        "\0",
        "Market",
        "USD",
        "1e9",
        "effective",
    ]);
    (
        0..BUILT_IN.len(),
        prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, bits), 1..8),
    )
        .prop_map(|(which, changes)| {
            let mut bytes = BUILT_IN[which].1.as_bytes().to_vec();
            for (at, gone, bit) in changes {
                let at = at.index(bytes.len());
                let end = (at + gone).min(bytes.len());
                bytes.splice(at..end, bit.bytes());
            }
            bytes
        })
}

fn is_sound(bytes: &[u8]) {
    match import(bytes, date(2027, 1, 1)) {
        Ok(imported) => assert!(imported.card.markets() > 0),
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 51);
            for problem in problems {
                let told = problem.to_string();
                assert!(!problem.wrong.is_empty() && !problem.instead.is_empty());
                assert!(!told.chars().any(char::is_control), "{told:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_amount_that_fits_reads_back_exactly(whole in 0i64..1_000_000, behind in 0i64..1_000_000, zeros in 0usize..4) {
        let expected = whole * 1_000_000 + behind;
        prop_assert_eq!(micros(&format!("{whole}.{behind:06}{}", "0".repeat(zeros))), Ok(expected));
        let shortest = format!("{whole}.{behind:06}");
        prop_assert_eq!(micros(shortest.trim_end_matches('0')), Ok(expected));
        prop_assert_eq!(micros(&format!("{}{whole}", "0".repeat(zeros))), Ok(whole * 1_000_000));
        if whole == 0 {
            prop_assert_eq!(micros(&format!(".{behind:06}")), Ok(behind));
        }
    }

    #[test]
    fn an_amount_is_digits_with_at_most_one_point(text in "[0-9.,$+ eE-]{0,12}|\\PC{0,12}") {
        let is_amount = text.chars().all(|c| c.is_ascii_digit() || c == '.')
            && text.chars().any(|c| c.is_ascii_digit())
            && text.matches('.').count() <= 1;
        prop_assert!(is_amount || micros(&text).is_err());
        if let Ok(read) = micros(&text) {
            prop_assert!((0..1_000_000_000_000).contains(&read));
        }
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        is_sound(&bytes);
        is_sound(&[HEADER.as_bytes(), &bytes].concat());
    }

    #[test]
    fn any_damage_to_a_real_file_gives_an_answer(bytes in damaged()) {
        is_sound(&bytes);
    }
}
