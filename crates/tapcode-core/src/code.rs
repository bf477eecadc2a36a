//! What is a code, how is one made without bias, and when are two the same?

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Fewest characters of a code. Generated codes have at least [`GENERATED_MIN`].
pub const CODE_MIN: usize = 4;
/// Most characters of a code.
pub const CODE_MAX: usize = 10;
/// Fewest digits of a generated code: 20 bits, NIST SP 800-63B-4 section 3.1.3.2
/// (<https://pages.nist.gov/800-63-4/sp800-63b.html>, read 2026-11-22).
pub const GENERATED_MIN: u8 = 6;
/// Longest text that is looked at as a typed code.
pub const TYPED_MAX: usize = 64;

/// The characters that a verification's code is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// `0` to `9`.
    Digits,
    /// ASCII letters and digits; upper and lower case differ.
    Alphanumeric,
}

/// A code. It prints nothing of itself, and its memory is wiped when it goes.
#[derive(Clone)]
pub struct Code(Zeroizing<String>);

/// Why a text is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// Nothing in it.
    Empty,
    /// A character that is in no code of this kind.
    Alphabet(Alphabet),
    /// Too short or too long to be one's own code.
    Length,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("send the code that the user typed, as a string"),
            Self::Alphabet(Alphabet::Digits) => f.write_str("this code is made of the digits 0 to 9"),
            Self::Alphabet(Alphabet::Alphanumeric) => f.write_str("a code is made of ASCII letters and digits"),
            Self::Length => write!(f, "a code has {CODE_MIN} to {CODE_MAX} characters"),
        }
    }
}

impl Code {
    /// A caller's own code: 4 to 10 ASCII letters and digits, nothing removed.
    ///
    /// # Errors
    /// [`CodeError`] says what a code is made of.
    pub fn own(text: &str) -> Result<Self, CodeError> {
        if text.is_empty() {
            return Err(CodeError::Empty);
        }
        if !(CODE_MIN..=CODE_MAX).contains(&text.len()) {
            return Err(CodeError::Length);
        }
        if !text.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return Err(CodeError::Alphabet(Alphabet::Alphanumeric));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// What a user typed: spaces and hyphens are ignored; the length is not judged here, a wrong length is a wrong code.
    ///
    /// # Errors
    /// [`CodeError`] where the text could be no code of this alphabet: such a text is no guess and is not counted.
    pub fn typed(text: &str, alphabet: Alphabet) -> Result<Self, CodeError> {
        if text.len() > TYPED_MAX {
            return Err(CodeError::Length);
        }
        let code: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !matches!(c, ' ' | '-')).collect());
        if code.is_empty() {
            return Err(CodeError::Empty);
        }
        let belongs = match alphabet {
            Alphabet::Digits => code.bytes().all(|c| c.is_ascii_digit()),
            Alphabet::Alphanumeric => code.bytes().all(|c| c.is_ascii_alphanumeric()),
        };
        if belongs {
            Ok(Self(code))
        } else {
            Err(CodeError::Alphabet(alphabet))
        }
    }

    /// A code of `length` decimal digits from pseudo-random blocks: every one of the 10^length codes is equally
    /// likely, because a 64-bit word beyond the last whole multiple of 10^length is passed over.
    ///
    /// `block` gives the n-th 32 bytes; it is asked again only when all four words of a block are passed over, which
    /// happens less than once in 10^38 codes.
    #[must_use]
    pub fn derived(length: u8, mut block: impl FnMut(u32) -> [u8; 32]) -> Self {
        let length = usize::from(length).clamp(CODE_MIN, CODE_MAX);
        let codes = 10u64.pow(u32::try_from(length).expect("at most ten digits"));
        let limit = u64::MAX - (u64::MAX % codes);
        let mut n = 0;
        loop {
            let bytes = Zeroizing::new(block(n));
            for word in bytes.chunks_exact(8) {
                let word = u64::from_be_bytes(word.try_into().expect("chunks of eight"));
                if word < limit {
                    return Self(Zeroizing::new(format!("{:0length$}", word % codes)));
                }
            }
            n += 1;
        }
    }

    /// Whether two codes are the same, in a time that depends on their lengths only.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// The alphabet that this code needs.
    #[must_use]
    pub fn alphabet(&self) -> Alphabet {
        if self.0.bytes().all(|c| c.is_ascii_digit()) {
            Alphabet::Digits
        } else {
            Alphabet::Alphanumeric
        }
    }

    /// The code itself. Only a provider's request, a seal or the sandbox's phone may hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_as_people_type_it() {
        let code = Code::own("482913").unwrap();
        assert!(Code::typed("482-913", Alphabet::Digits).unwrap().matches(&code));
        assert!(Code::typed(" 482 913 ", Alphabet::Digits).unwrap().matches(&code));
        assert!(!Code::typed("482914", Alphabet::Digits).unwrap().matches(&code));
        assert!(!Code::typed("4829130", Alphabet::Digits).unwrap().matches(&code));
        assert_eq!(Code::typed("- -", Alphabet::Digits).unwrap_err(), CodeError::Empty);
        assert_eq!(
            Code::typed("48291O", Alphabet::Digits).unwrap_err(),
            CodeError::Alphabet(Alphabet::Digits)
        );
        assert_eq!(
            Code::typed("48291\u{0663}", Alphabet::Digits).unwrap_err(),
            CodeError::Alphabet(Alphabet::Digits)
        );
        assert_eq!(
            Code::typed(&"1".repeat(TYPED_MAX + 1), Alphabet::Digits).unwrap_err(),
            CodeError::Length
        );
    }

    #[test]
    fn own_codes_have_four_to_ten_letters_and_digits() {
        assert_eq!(Code::own("").unwrap_err(), CodeError::Empty);
        assert_eq!(Code::own("123").unwrap_err(), CodeError::Length);
        assert_eq!(Code::own("12345678901").unwrap_err(), CodeError::Length);
        assert_eq!(Code::own("12 34").unwrap_err(), CodeError::Alphabet(Alphabet::Alphanumeric));
        assert_eq!(Code::own("aB3dE").unwrap().alphabet(), Alphabet::Alphanumeric);
    }

    #[test]
    fn a_word_beyond_the_last_whole_multiple_is_passed_over() {
        let mut asked = Vec::new();
        let code = Code::derived(6, |n| {
            asked.push(n);
            if n == 0 { [255; 32] } else { [0; 32] }
        });
        assert_eq!(code.expose(), "000000");
        assert_eq!(asked, [0, 1]);
    }

    #[test]
    fn nothing_of_a_code_is_printed() {
        assert_eq!(format!("{:?}", Code::own("482913").unwrap()), "Code(…)");
    }
}
