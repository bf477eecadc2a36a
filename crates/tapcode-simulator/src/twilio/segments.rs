//! How many messages does a text cost?
//!
//! 160 septets of GSM 03.38, or 153 in each part of several; 70 UTF-16 units if one character is not in that alphabet, or 67.
//! The alphabet: 3GPP TS 23.038, section 6.2.1.
//! Cutting at part borders (an escape pair is not split) is left out, so a text may cost one more than this says in rare cases.

/// One septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Two septets each, with the escape.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

pub(super) fn count(text: &str) -> usize {
    let septets: Option<usize> = text
        .chars()
        .map(|character| {
            if BASIC.contains(character) {
                Some(1)
            } else if EXTENDED.contains(character) {
                Some(2)
            } else {
                None
            }
        })
        .sum();
    let (units, single, part) = match septets {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if units <= single { 1 } else { units.div_ceil(part) }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn a_text_costs_by_its_alphabet_and_length() {
        assert_eq!(count(""), 1);
        assert_eq!(count(&"a".repeat(160)), 1);
        assert_eq!(count(&"a".repeat(161)), 2);
        assert_eq!(count(&"a".repeat(306)), 2);
        assert_eq!(count(&"a".repeat(307)), 3);
        assert_eq!(count(&"€".repeat(80)), 1);
        assert_eq!(count(&"€".repeat(81)), 2);
        assert_eq!(count(&"ç".repeat(70)), 1);
        assert_eq!(count(&"ç".repeat(71)), 2);
        assert_eq!(count(&"🚲".repeat(35)), 1);
        assert_eq!(count(&"🚲".repeat(36)), 2);
    }
}
