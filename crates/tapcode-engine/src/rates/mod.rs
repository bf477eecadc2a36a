//! What does an authentication message over WhatsApp cost? Meta's rate cards as dated data, and the price of one message.
//!
//! Nothing here reads a file or a clock. The built-in cards are Meta's of 2026 in US dollars, as far as they are known; where
//! they come from and what is unconfirmed stands in `data/README.md`. Not in the cards, and so not in the prices: volume tiers,
//! taxes, and what a partner adds.

mod card_file;
mod market;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jiff::civil::{Date, date};
use tapcode_core::money::{Currency, Money};
use tapcode_core::number::Country;
use tapcode_core::time::Timestamp;

pub use card_file::{CARD_BYTES_MAX, CardProblem, Imported, import};
pub use market::{Market, market_of};

/// The first day with prices per message; before it Meta priced conversations
/// (<https://developers.facebook.com/docs/whatsapp/pricing>, read 2026-11-26).
const FIRST_DAY: Date = date(2025, 7, 1);
/// The last day that a card may begin: no card is announced years ahead, and a slip of the pen is.
const LAST_DAY: Date = date(2099, 12, 31);

/// The built-in cards: the first day of each, and Meta's file.
const BUILT_IN: [(Date, &str); 4] = [
    (date(2026, 1, 1), include_str!("../../data/whatsapp-rates-2026-01-01.csv")),
    (date(2026, 4, 1), include_str!("../../data/whatsapp-rates-2026-04-01.csv")),
    (date(2026, 7, 1), include_str!("../../data/whatsapp-rates-2026-07-01.csv")),
    (date(2026, 10, 1), include_str!("../../data/whatsapp-rates-2026-10-01.csv")),
];

/// As what a message is billed: the `pricing.category` of Meta's receipts, as far as codes can be in it
/// (<https://developers.facebook.com/docs/whatsapp/pricing#authentication-international-rates>, read 2026-11-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// A code.
    Authentication,
    /// A code into some markets from a large sender abroad.
    AuthenticationInternational,
}

impl Category {
    /// Both, in the order of the columns.
    pub const ALL: [Self; 2] = [Self::Authentication, Self::AuthenticationInternational];

    /// From the word in a receipt. Meta's documentation writes the second one with a hyphen and with an underscore.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "authentication" => Some(Self::Authentication),
            "authentication-international" | "authentication_international" => Some(Self::AuthenticationInternational),
            _ => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::AuthenticationInternational => "authentication_international",
        }
    }
}

/// What a card says of a market and a category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// Nothing: no such row, or an empty cell. The card before goes on being in force.
    #[default]
    NotSaid,
    /// `n/a`: there is no such rate.
    NotApplicable,
    /// This many millionths of the card's currency for a delivered message.
    Micros(i64),
}

/// One of Meta's rate cards: what a delivered message costs from a day on, in one currency.
#[derive(Clone, PartialEq, Eq)]
pub struct RateCard {
    /// The first day. Inclusive: a message delivered at its first moment, 00:00 UTC, has this card's price, and so has every
    /// later one until the next card begins. Meta begins the day in the account's time zone
    /// (<https://authkey.io/blogs/?p=1840>, read 2026-11-26), so on the day of a change up to 14 hours can be off.
    pub from: Date,
    /// The currency.
    pub currency: Currency,
    rows: BTreeMap<Market, Row>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    authentication: Rate,
    authentication_international: Rate,
}

impl RateCard {
    /// What it says.
    #[must_use]
    pub fn rate(&self, market: Market, category: Category) -> Rate {
        let row = self.rows.get(&market).copied().unwrap_or_default();
        match category {
            Category::Authentication => row.authentication,
            Category::AuthenticationInternational => row.authentication_international,
        }
    }

    /// How many markets have a row.
    #[must_use]
    pub fn markets(&self) -> usize {
        self.rows.len()
    }

    /// The moment at which it begins.
    #[must_use]
    pub fn begins_at(&self) -> Timestamp {
        begin_of(self.from)
    }
}

/// Without the rows: a configuration that is printed stays readable.
impl fmt::Debug for RateCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateCard({} {}, {} markets)", self.from, self.currency, self.rows.len())
    }
}

/// The first moment of a day, 00:00 UTC.
#[must_use]
pub fn begin_of(day: Date) -> Timestamp {
    let since = day.duration_since(date(1970, 1, 1));
    Timestamp::from_millis(since.as_secs().saturating_mul(1_000))
}

/// Reads the day on which a card begins: `YYYY-MM-DD`, and a day on which there can be a card.
///
/// # Errors
/// What is wrong with it, and what to write instead.
pub fn first_day(text: &str) -> Result<Date, (&'static str, &'static str)> {
    let dashes = text.len() == 10 && text.bytes().enumerate().all(|(at, c)| (c == b'-') == (at == 4 || at == 7));
    let day: Date = dashes
        .then(|| text.parse().ok())
        .flatten()
        .ok_or(("is no day", "write year, month and day, such as \"2027-01-01\""))?;
    if day < FIRST_DAY {
        return Err(("is before there were prices per message", "write 2025-07-01 or a later day"));
    }
    if day > LAST_DAY {
        return Err(("is later than any card", "write 2099-12-31 or an earlier day"));
    }
    Ok(day)
}

/// Whether Meta changes rates on that day: on the first of January, April, July and October
/// (<https://developers.facebook.com/docs/whatsapp/pricing>, read 2026-11-22).
#[must_use]
pub fn is_day_of_change(day: Date) -> bool {
    day.day() == 1 && matches!(day.month(), 1 | 4 | 7 | 10)
}

/// All cards, of all currencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateCards {
    /// By their first day; of each day and currency there is one.
    cards: Vec<RateCard>,
}

/// A rate and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateInForce {
    /// The row: the market that was asked for, or the one it was part of before it had a row of its own.
    pub market: Market,
    /// The first day of the card that says it.
    pub from: Date,
    /// What a message costs; `None` where the card says that there is no such rate.
    pub price: Option<Money>,
}

/// What a new card makes different for one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The market.
    pub market: Market,
    /// The category.
    pub category: Category,
    /// The price on the card's first day without it; `None` where there is none.
    pub old: Option<Money>,
    /// The price with it; `None` where there is none.
    pub new: Option<Money>,
}

/// A rate that a new card says nothing of, so that an older one goes on being in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The market.
    pub market: Market,
    /// The category.
    pub category: Category,
    /// Where the rate stands that goes on.
    pub stays: RateInForce,
}

impl RateCards {
    /// The cards that every copy of Tapcode knows.
    #[must_use]
    pub fn built_in() -> Self {
        static CARDS: LazyLock<RateCards> = LazyLock::new(|| {
            let mut cards = RateCards::default();
            for (from, file) in BUILT_IN {
                cards.put(import(file.as_bytes(), from).expect("a test reads the built-in cards").card);
            }
            cards
        });
        CARDS.clone()
    }

    /// Adds a card; one of the same day and currency gives way to it.
    pub fn put(&mut self, card: RateCard) {
        let key = |card: &RateCard| (card.from, card.currency);
        match self.cards.binary_search_by_key(&key(&card), key) {
            Ok(at) => self.cards[at] = card,
            Err(at) => self.cards.insert(at, card),
        }
    }

    /// Whether there is any card in a currency.
    #[must_use]
    pub fn has(&self, currency: Currency) -> bool {
        self.cards.iter().any(|card| card.currency == currency)
    }

    /// The currencies that there are cards in, each once.
    #[must_use]
    pub fn currencies(&self) -> Vec<Currency> {
        let mut currencies: Vec<Currency> = self.cards.iter().map(|card| card.currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        currencies
    }

    /// The card that was begun last.
    #[must_use]
    pub fn newest(&self, currency: Currency, at: Timestamp) -> Option<&RateCard> {
        self.begun(currency, at).next()
    }

    /// What a message to a number of that country costs when it is delivered at that moment: by the newest card that has
    /// begun and says something of it. `None` where no card does, or where there is no such rate.
    #[must_use]
    pub fn price(&self, country: Country, category: Category, currency: Currency, at: Timestamp) -> Option<Money> {
        self.rate(market_of(country), category, currency, at)?.price
    }

    /// The rate of a market at a moment. `None` where no card that has begun says anything of it.
    #[must_use]
    pub fn rate(&self, market: Market, category: Category, currency: Currency, at: Timestamp) -> Option<RateInForce> {
        let said = |market: Market| {
            self.begun(currency, at).find_map(|card| {
                let price = match card.rate(market, category) {
                    Rate::NotSaid => return None,
                    Rate::NotApplicable => None,
                    Rate::Micros(amount_micros) => Some(Money { amount_micros, currency }),
                };
                Some(RateInForce {
                    market,
                    from: card.from,
                    price,
                })
            })
        };
        said(market).or_else(|| said(market.before()?))
    }

    /// What a card would make different on its first day, by market.
    #[must_use]
    pub fn changes(&self, card: &RateCard) -> Vec<Change> {
        let with = self.with(card);
        let of = |cards: &Self, market, category| {
            cards
                .rate(market, category, card.currency, card.begins_at())
                .and_then(|rate| rate.price)
        };
        cells()
            .map(|(market, category)| Change {
                market,
                category,
                old: of(self, market, category),
                new: of(&with, market, category),
            })
            .filter(|change| change.old != change.new)
            .collect()
    }

    /// What a card says nothing of although an older one does, by market.
    #[must_use]
    pub fn left_out(&self, card: &RateCard) -> Vec<LeftOut> {
        let with = self.with(card);
        cells()
            .filter(|(market, category)| card.rate(*market, *category) == Rate::NotSaid)
            .filter_map(|(market, category)| {
                let stays = with.rate(market, category, card.currency, card.begins_at())?;
                // A market of its own that has never had a row is priced as its region, which is no gap.
                (stays.market == market && stays.price.is_some()).then_some(LeftOut { market, category, stays })
            })
            .collect()
    }

    fn with(&self, card: &RateCard) -> Self {
        let mut cards = self.clone();
        cards.put(card.clone());
        cards
    }

    /// The cards in a currency that have begun, the newest first.
    fn begun(&self, currency: Currency, at: Timestamp) -> impl Iterator<Item = &RateCard> {
        self.cards
            .iter()
            .rev()
            .filter(move |card| card.currency == currency && card.begins_at() <= at)
    }
}

/// Every market in every category.
fn cells() -> impl Iterator<Item = (Market, Category)> {
    Market::ALL
        .iter()
        .flat_map(|market| Category::ALL.map(|category| (*market, category)))
}
