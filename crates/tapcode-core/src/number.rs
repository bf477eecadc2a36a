//! Which texts are phone numbers that can receive a code, and how is one shown?

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};

/// Longest text that is looked at as a number: 16 characters of E.164 and room for separators.
pub const NUMBER_TEXT_MAX: usize = 40;

/// ISO 3166-1 alpha-2 code of a number's country, in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// From two letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 2] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a country is two ASCII capitals")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A recipient's number in E.164. `Debug` and `Display` show it masked; [`Number::expose`] reads it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    e164: Box<str>,
    country: Country,
    calling_code_digits: u8,
}

/// Why a text is not the number of somebody who can receive a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Not `+` and 7 to 15 digits once ASCII spaces, hyphens, dots and brackets are removed.
    NotE164,
    /// No country has this calling code, or it is nobody's in particular.
    UnassignedCountry,
    /// No number of this length or range exists in that country.
    NotAssigned,
    /// It is a number, written in a national way behind the `+` (a trunk zero, an old mobile prefix).
    NationalSpelling,
    /// A number that receives no messages, or only dear ones.
    Type(&'static str),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotE164 => f.write_str(
                "send the number in E.164: a plus sign, the country's calling code and the number, digits only, such as +31611398058",
            ),
            Self::UnassignedCountry => f.write_str("no country has that calling code; send the number in E.164, such as +31611398058"),
            Self::NotAssigned => f.write_str("no such number is in use in that country: digits are missing, added or mistyped"),
            Self::NationalSpelling => f.write_str(
                "leave out what belongs to the national spelling (the zero in front of the area code, an old mobile prefix) behind the calling code",
            ),
            Self::Type(kind) => write!(f, "a {kind} number receives no codes; ask for a mobile number"),
        }
    }
}

impl Number {
    /// Reads a number as the API takes it: ASCII spaces, hyphens, dots and brackets are removed, what is left must
    /// be E.164 to the letter. Anything that would have to be guessed is refused: a default region makes
    /// `phonenumber` 0.3.10 turn some valid numbers into other people's (measured; `docs/adr/0004-numbers.md`).
    ///
    /// # Errors
    /// [`NumberError`] says what to send instead; it never repeats the text.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        if text.len() > NUMBER_TEXT_MAX {
            return Err(NumberError::NotE164);
        }
        let cleaned: String = text
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '[' | ']'))
            .collect();
        let digits = cleaned.strip_prefix('+').ok_or(NumberError::NotE164)?;
        if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|c| c.is_ascii_digit()) || digits.starts_with('0') {
            return Err(NumberError::NotE164);
        }
        let parsed = PHONE_NUMBER_UTIL
            .parse(&cleaned, None)
            .map_err(|_| NumberError::UnassignedCountry)?;
        if !PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
            return Err(NumberError::NotAssigned);
        }
        match PHONE_NUMBER_UTIL.get_number_type(&parsed) {
            PhoneNumberType::PremiumRate => return Err(NumberError::Type("premium-rate")),
            PhoneNumberType::TollFree => return Err(NumberError::Type("toll-free")),
            PhoneNumberType::SharedCost => return Err(NumberError::Type("shared-cost")),
            PhoneNumberType::Pager => return Err(NumberError::Type("pager")),
            PhoneNumberType::UAN => return Err(NumberError::Type("company access")),
            PhoneNumberType::VoiceMail => return Err(NumberError::Type("voicemail")),
            PhoneNumberType::FixedLine
            | PhoneNumberType::Mobile
            | PhoneNumberType::FixedLineOrMobile
            | PhoneNumberType::PersonalNumber
            | PhoneNumberType::VoIP
            | PhoneNumberType::Unknown => {}
        }
        let country = PHONE_NUMBER_UTIL
            .get_region_for_number(&parsed)
            .and_then(|region| Country::parse(&region.as_region_str()))
            .ok_or(NumberError::UnassignedCountry)?;
        if PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164) != cleaned {
            return Err(NumberError::NationalSpelling);
        }
        let calling_code = parsed.country_code;
        let calling_code_digits = match calling_code {
            0..=9 => 1,
            10..=99 => 2,
            _ => 3,
        };
        Ok(Self {
            e164: cleaned.into(),
            country,
            calling_code_digits,
        })
    }

    /// The number with what is known of it, for sealing: it need not be parsed again when it is opened.
    #[must_use]
    pub fn to_stored(&self) -> String {
        format!("{}{}{}", self.calling_code_digits, self.country.as_str(), self.e164)
    }

    /// From text that [`Self::to_stored`] made.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let calling_code_digits = text.get(..1)?.parse().ok().filter(|digits| (1..=3).contains(digits))?;
        let country = Country::parse(text.get(1..3)?)?;
        let e164 = text.get(3..)?;
        let digits = e164.strip_prefix('+')?;
        let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
        is_number.then(|| Self {
            e164: e164.into(),
            country,
            calling_code_digits,
        })
    }

    /// The number itself, in E.164. Only a provider's request, a seal or an answer to somebody with the right may hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.e164
    }

    /// The country that its calling code and area code say.
    #[must_use]
    pub const fn country(&self) -> Country {
        self.country
    }

    /// Whether it is certain that it is a landline: where mobile numbers have ranges of their own, and it is in none.
    /// In other countries, those of +1 among them, the numbering plan does not tell.
    #[must_use]
    pub fn is_landline(&self) -> bool {
        let parsed = PHONE_NUMBER_UTIL.parse(&self.e164, None);
        parsed.is_ok_and(|parsed| PHONE_NUMBER_UTIL.get_number_type(&parsed) == PhoneNumberType::FixedLine)
    }

    /// How it is shown: calling code, stars, the last four digits (two, where fewer than eight follow the calling code).
    #[must_use]
    pub fn masked(&self) -> Masked {
        let prefix = 1 + usize::from(self.calling_code_digits);
        let national = self.e164.len() - prefix;
        let shown = if national >= 8 { 4 } else { 2 };
        let stars = national - shown;
        Masked(
            format!(
                "{}{}{}",
                &self.e164[..prefix],
                "*".repeat(stars),
                &self.e164[prefix + stars..]
            )
            .into(),
        )
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.masked())
    }
}

/// A number as it is shown: `+31*****8058`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked(Box<str>);

impl Masked {
    /// From text that [`Number::masked`] made.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_spellings_are_one_number() {
        let plain = Number::parse("+31611398058").unwrap();
        for spelling in ["+31 6 1139 8058", "+31-611-398-058", "+31 (6) 11.39.80.58", "+[31]611398058"] {
            assert_eq!(Number::parse(spelling), Ok(plain.clone()), "{spelling}");
        }
        assert_eq!(plain.country().as_str(), "NL");
        assert_eq!(plain.masked().as_str(), "+31*****8058");
        assert_eq!(format!("{plain:?}"), "+31*****8058");
    }

    // The table of security.md, section 2: what must be refused rather than guessed.
    #[test]
    fn whatever_would_have_to_be_guessed_is_refused() {
        let refused = [
            "",
            "+",
            "31611398058",
            "0031611398058",
            "0611398058",
            "++31611398058",
            "+1415555O123",
            "+1 (415) KLM-0123",
            "+1415555012\u{ff13}",
            "+\u{0663}1611398058",
            "+14155550123 ext 5",
            "+14155550123#99",
            "+14155550123,,,1",
            "+14155550123\u{0}",
            "+14155550123\n",
            "+1\u{a0}4155550123",
            "+1\u{200b}4155550123",
            "\u{feff}+14155550123",
            "+4402079460018",
            "+2120612345678",
            "+5215512345678",
            "+999123456789",
            "+979123456789",
            "+80012345678",
            "+3161139",
            "+311234567890123",
            "+1900555012312",
            "+39612345678",
            "+883510000000000",
        ];
        for text in refused {
            assert!(Number::parse(text).is_err(), "{text:?} was accepted");
        }
        for text in [
            "+14155550123",
            "+525512345678",
            "+390612345678",
            "+4915123456789",
            "+8613800138000",
            "+5491123456789",
        ] {
            assert_eq!(Number::parse(text).map(|n| n.expose().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_landline_is_one_only_where_the_numbering_plan_tells() {
        for (text, is_landline) in [
            ("+31201234567", true),
            ("+390612345678", true),
            ("+442079460018", true),
            ("+31611398058", false),
            ("+4915123456789", false),
            ("+14155550123", false),
        ] {
            assert_eq!(Number::parse(text).unwrap().is_landline(), is_landline, "{text}");
        }
    }

    #[test]
    fn what_is_stored_is_the_same_number_again() {
        let number = Number::parse("+31611398058").unwrap();
        assert_eq!(Number::from_stored(&number.to_stored()), Some(number));
        for text in [
            "",
            "+31611398058",
            "2NL",
            "9NL+31611398058",
            "2nl+31611398058",
            "2NL+31",
            "2NL31611398058",
            "\u{20ac}NL+31611398058",
        ] {
            assert_eq!(Number::from_stored(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_says_what_to_send_and_not_what_came() {
        let error = Number::parse("06 1139 8058").unwrap_err().to_string();
        assert!(error.contains("+31611398058") && !error.contains("1139 8058"), "{error}");
        assert_eq!(Number::parse("+19005550123").unwrap_err(), NumberError::Type("premium-rate"));
    }
}
