//! How much is it, and in which currency? Whole millionths: nothing in this crate computes money with fractions.

use std::fmt;

/// Millionths of a currency's unit in one of it.
const MICROS: u64 = 1_000_000;

/// A currency: three capitals as in ISO 4217, such as `USD`. Whether ISO has assigned them is not asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The US dollar, in which most price lists are.
    pub const USD: Self = Self(*b"USD");

    /// From three capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII capitals")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of money. `Display` writes it to the last digit, with at least four of them behind the point, as price lists
/// of messages do: `0.0034 USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Millionths of the currency's unit; less than zero for money that comes back.
    pub amount_micros: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self {
            amount_micros: 0,
            currency,
        }
    }

    /// Both amounts together. `None` where the currencies differ or the sum is more than fits: a sum that is not exact is none.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let amount_micros = self.amount_micros.checked_add(other.amount_micros)?;
        Some(Self {
            amount_micros,
            currency: self.currency,
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount_micros < 0 { "-" } else { "" };
        let micros = self.amount_micros.unsigned_abs();
        let behind = format!("{:06}", micros % MICROS);
        let shown = behind.trim_end_matches('0').len().max(4);
        write!(f, "{sign}{}.{} {}", micros / MICROS, &behind[..shown], self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn usd(amount_micros: i64) -> Money {
        Money {
            amount_micros,
            currency: Currency::USD,
        }
    }

    #[test]
    fn a_currency_is_three_capitals() {
        assert_eq!(Currency::parse("USD"), Some(Currency::USD));
        assert_eq!(Currency::parse("INR").map(|c| c.as_str().to_owned()), Some("INR".to_owned()));
        for text in ["", "US", "usd", "$US", "USDT", "U D", "\u{20ac}", "ÜSD"] {
            assert_eq!(Currency::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_to_the_last_digit() {
        for (micros, written) in [
            (3_400, "0.0034 USD"),
            (0, "0.0000 USD"),
            (1, "0.000001 USD"),
            (2_280_123_450, "2280.12345 USD"),
            (-50_000, "-0.0500 USD"),
            (i64::MIN, "-9223372036854.775808 USD"),
        ] {
            assert_eq!(usd(micros).to_string(), written);
        }
    }

    proptest! {
        #[test]
        fn a_sum_is_exact_or_none(one in any::<i64>(), other in any::<i64>(), same in any::<bool>()) {
            let currency = if same { Currency::USD } else { Currency::parse("EUR").unwrap() };
            let sum = usd(one).checked_add(Money { amount_micros: other, currency });
            let exact = i128::from(one) + i128::from(other);
            match sum {
                Some(sum) => prop_assert!(same && i128::from(sum.amount_micros) == exact && sum.currency == currency),
                None => prop_assert!(!same || i64::try_from(exact).is_err()),
            }
            prop_assert_eq!(usd(one).checked_add(Money::zero(Currency::USD)), Some(usd(one)));
        }
    }
}
