//! What of a vendor's words may people see? Everything but what could be a number, a code or a token.

/// Longest text of a vendor that is looked at, in bytes; the rest is left out.
const TEXT_MAX: usize = 2_048;
/// Shortest run without a space that is hidden when a digit is in it: `To` and `0` stay readable, `+31` does not.
const HIDDEN_FROM_CHARS: usize = 3;

/// A vendor's words with every word that contains a digit replaced by `…`, control characters and repeated spaces removed.
///
/// Vendors repeat the recipient's number or a rejected parameter in their messages (Twilio's 21211 does); error codes are
/// kept apart from the text, so that nothing is lost by hiding them here.
#[must_use]
pub(crate) fn for_people(text: &str) -> String {
    let text = tapcode_core::delivery::cut(text, TEXT_MAX);
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let mut shown = String::new();
    for word in words {
        if !shown.is_empty() {
            shown.push(' ');
        }
        let hidden = word.chars().any(char::is_numeric) && word.chars().count() >= HIDDEN_FROM_CHARS;
        shown.push_str(if hidden { "…" } else { word });
    }
    shown
}

/// What a failure says to people: the meaning from our table, then the vendor's own words.
#[must_use]
pub(crate) fn meaning_and_words(meaning: &str, words: &str) -> String {
    let words = for_people(words);
    if words.is_empty() {
        meaning.to_owned()
    } else {
        format!("{meaning}: {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_codes_and_tokens_are_hidden_and_the_rest_stays() {
        let shown = for_people("The 'To' number +31611398058 is not valid,\n code 482913 at index 0, token EAAJB9x.");
        assert_eq!(shown, "The 'To' number … is not valid, code … at index 0, token …");
        assert_eq!(for_people("numéro +31 6 1139 8058"), "numéro … 6 … …");
        assert_eq!(for_people("\u{663}\u{661}\u{666}"), "…");
    }

    #[test]
    fn a_meaning_stands_alone_when_the_vendor_says_nothing() {
        assert_eq!(meaning_and_words("token expired", " \u{0} "), "token expired");
        assert_eq!(meaning_and_words("token expired", "try again"), "token expired: try again");
    }
}
