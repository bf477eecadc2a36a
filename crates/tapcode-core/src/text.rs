//! What does the text message say that carries a code, and how many segments does a text take?
//!
//! A message is made of sentences: the code and who sent it, the transaction it is bound to, how long it is good, a
//! warning, and a last line for the phone that fills codes in. The warning goes first and the lifetime next where a text
//! would take a further segment; a segment is what operators bill. Words are chosen so that the GSM alphabet holds them
//! where the language allows it.

mod own;
mod words;

use crate::verification::{ClientHints, Platform};
pub use own::{OwnText, OwnTextError};

/// Septets of a single message in the GSM alphabet, 3GPP TS 23.038 and 23.040 as in the facts read 2026-11-22.
pub const GSM7_SINGLE: usize = 160;
/// Septets of each part of a longer one: six bytes of header are seven septets.
pub const GSM7_PART: usize = 153;
/// UTF-16 units of a single message in UCS-2.
pub const UCS2_SINGLE: usize = 70;
/// UTF-16 units of each part of a longer one.
pub const UCS2_PART: usize = 67;
/// Longest message that Android's SMS Retriever reads, in bytes
/// (<https://developers.google.com/identity/sms-retriever/verify>, read 2026-11-22).
pub const RETRIEVER_BYTES_MAX: usize = 140;
/// Characters of an app's hash, from the same page.
pub const APP_HASH_CHARS: usize = 11;
/// Longest host name, RFC 1035 section 2.3.4.
const HOST_MAX: usize = 253;

/// The basic table of GSM 03.38, one septet each.
const GSM7_BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The septet that stands between the two parts of the basic table: what follows it is of the extension table.
const GSM7_ESCAPE: u8 = 0x1b;
/// Its extension table: an escape and another septet.
const GSM7_EXTENSION: &str = "\u{c}^{}\\[~]|€";
/// The other septets, in this order.
const GSM7_EXTENSION_SEPTETS: [u8; 10] = [0x0a, 0x14, 0x28, 0x29, 0x2f, 0x3c, 0x3d, 0x3e, 0x40, 0x65];

/// The alphabet that a text is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Seven bits per character of the GSM alphabet.
    Gsm7,
    /// Sixteen bits per UTF-16 unit.
    Ucs2,
}

impl Encoding {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }
}

/// What a text costs: its alphabet and its segments, at least one. An escape pair or a surrogate pair is never split
/// between two parts, so a longer text may need one part more than its length says.
#[must_use]
pub fn segments(text: &str) -> (Encoding, u8) {
    let septets: Option<Vec<usize>> = text.chars().map(gsm7_septets).collect();
    let (encoding, units, single, part) = match septets {
        Some(septets) => (Encoding::Gsm7, septets, GSM7_SINGLE, GSM7_PART),
        None => (
            Encoding::Ucs2,
            text.chars().map(char::len_utf16).collect(),
            UCS2_SINGLE,
            UCS2_PART,
        ),
    };
    if units.iter().sum::<usize>() <= single {
        return (encoding, 1);
    }
    let mut parts: u8 = 1;
    let mut filled = 0;
    for unit in units {
        if filled + unit > part {
            parts = parts.saturating_add(1);
            filled = 0;
        }
        filled += unit;
    }
    (encoding, parts)
}

/// The same text with every letter that is outside the GSM alphabet written with letters of it; `None` where the text is
/// inside already, or where a letter has no such spelling. It is offered to people and never done by itself: it changes names.
#[must_use]
pub fn in_gsm7(text: &str) -> Option<String> {
    let mut spelled = String::with_capacity(text.len());
    let mut changed = false;
    for c in text.chars() {
        if gsm7_septets(c).is_some() {
            spelled.push(c);
            continue;
        }
        // A letter of another script would become another word altogether.
        let letters = deunicode::deunicode_char(c).filter(|_| is_latin_or_sign(c))?;
        if !letters.chars().all(|c| gsm7_septets(c).is_some()) {
            return None;
        }
        spelled.push_str(letters);
        changed = true;
    }
    changed.then_some(spelled)
}

/// Latin letters with marks, and the quotes, dashes and spaces of typography.
fn is_latin_or_sign(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2000}'..='\u{206f}' | '`' | '\t')
}

/// The septets of a character in the GSM alphabet; `None` for one that is not in it.
#[must_use]
pub fn gsm7(c: char) -> Option<Vec<u8>> {
    if let Some(at) = GSM7_BASIC.chars().position(|known| known == c) {
        let at = u8::try_from(at).ok()?;
        return Some(vec![at + u8::from(at >= GSM7_ESCAPE)]);
    }
    let at = GSM7_EXTENSION.chars().position(|known| known == c)?;
    Some(vec![GSM7_ESCAPE, GSM7_EXTENSION_SEPTETS[at]])
}

fn gsm7_septets(c: char) -> Option<usize> {
    if GSM7_BASIC.contains(c) {
        Some(1)
    } else if GSM7_EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// The text of a code, in the language that fits `locale` (BCP 47) best, else in English. `minutes` is how long the code
/// is good. `details` is the transaction that a bound code confirms, such as `39.90 EUR to Acme`: it is always told.
#[must_use]
pub fn sms(locale: &str, brand: &str, code: &str, minutes: u32, details: Option<&str>) -> String {
    let [long, short, shortest] = variants(locale, brand, code, minutes, details);
    let fewest = segments(&shortest).1;
    [long, short]
        .into_iter()
        .find(|text| segments(text).1 <= fewest)
        .unwrap_or(shortest)
}

/// The text of a code with the line that lets the user's device fill it in: the 11-character hash for SMS Retriever in
/// an Android app, else `@host #code` for a browser or an iOS app
/// (<https://wicg.github.io/sms-one-time-codes/>, read 2026-11-22). A hint that is malformed, or whose line would cost a
/// further segment or more bytes than the Retriever reads, is left out.
#[must_use]
pub fn sms_with_autofill(
    locale: &str,
    brand: &str,
    code: &str,
    minutes: u32,
    details: Option<&str>,
    client: &ClientHints,
) -> String {
    let plain = sms(locale, brand, code, minutes, details);
    with_trailer(plain, variants(locale, brand, code, minutes, details), code, client)
}

/// A service's own text, with the line for the user's device under the same conditions.
#[must_use]
pub fn own_with_autofill(
    own: &OwnText,
    brand: &str,
    code: &str,
    minutes: u32,
    details: Option<&str>,
    client: &ClientHints,
) -> String {
    let plain = own.render(brand, code, minutes.max(1), details);
    with_trailer(plain.clone(), [plain], code, client)
}

/// The first of the texts that the line for the phone can be attached to without a further segment, else `plain`.
fn with_trailer(plain: String, texts: impl IntoIterator<Item = String>, code: &str, client: &ClientHints) -> String {
    let Some(trailer) = Trailer::of(client) else { return plain };
    let fewest = segments(&plain).1;
    texts
        .into_iter()
        .map(|text| trailer.attached(&text, code))
        .find(|text| segments(text).1 <= fewest && trailer.can_be_read(text))
        .unwrap_or(plain)
}

enum Trailer<'a> {
    AppHash(&'a str),
    Host(&'a str),
}

impl<'a> Trailer<'a> {
    /// One format per message: which one the other accepts beside its own is nowhere written.
    fn of(client: &'a ClientHints) -> Option<Self> {
        let hash = client.app_hash.as_deref().filter(|h| is_app_hash(h)).map(Self::AppHash);
        let host = client.web_origin.as_deref().and_then(host_of).map(Self::Host);
        match client.platform {
            Some(Platform::Web | Platform::Ios) => host,
            // Only an Android app has a hash.
            Some(Platform::Android) | None => hash.or(host),
        }
    }

    fn attached(&self, text: &str, code: &str) -> String {
        match self {
            // Newer Play services do without the prefix, older ones do not.
            Self::AppHash(hash) => format!("<#> {text}\n{hash}"),
            Self::Host(host) => format!("{text}\n\n@{host} #{code}"),
        }
    }

    /// The page does not say in which encoding the bytes are counted: the dearer one counts.
    fn can_be_read(&self, text: &str) -> bool {
        match self {
            Self::AppHash(_) => {
                let sent = match segments(text).0 {
                    Encoding::Gsm7 => 0,
                    Encoding::Ucs2 => 2 * text.encode_utf16().count(),
                };
                text.len().max(sent) <= RETRIEVER_BYTES_MAX
            }
            Self::Host(_) => true,
        }
    }
}

fn is_app_hash(text: &str) -> bool {
    text.len() == APP_HASH_CHARS && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
}

/// The host of an `https` origin on its standard port; the format can name no other.
fn host_of(origin: &str) -> Option<&str> {
    let host = origin.strip_prefix("https://")?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let host = host.strip_suffix(":443").unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (host.len() <= HOST_MAX && host.contains('.') && host.split('.').all(label)).then_some(host)
}

/// The same message with all sentences, without the warning, and without warning and lifetime.
fn variants(locale: &str, brand: &str, code: &str, minutes: u32, details: Option<&str>) -> [String; 3] {
    let language = words::of(locale);
    let add = |text: &mut String, sentence: &str| {
        text.push_str(language.between);
        text.push_str(sentence);
    };
    // A line break in somebody's name must not forge the line that the phone reads.
    let brand = one_line(brand);
    let mut text = language.code(&brand, code);
    if let Some(details) = details {
        add(&mut text, &language.only_for(&one_line(details)));
    }
    let shortest = text.clone();
    add(&mut text, &language.good_for(minutes.max(1)));
    let short = text.clone();
    add(&mut text, language.warning);
    [text, short, shortest]
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_segment_in_every_language() {
        for words in words::ALL {
            for (code, minutes) in [("482913", 5), ("4829130576", 10), ("482913", 1), ("482913", 2)] {
                let text = sms(words.tag, "Acme Market", code, minutes, None);
                assert_eq!(segments(&text).1, 1, "{}: {text}", words.tag);
                assert!(text.contains(code) && text.contains("Acme Market"), "{}: {text}", words.tag);
                assert!(
                    text.contains(words.warning),
                    "{} has no room for its warning: {text}",
                    words.tag
                );
                assert!(!text.contains(['{', '}']), "{}: {text}", words.tag);
            }
        }
    }

    /// All texts on one page, to be read by people: each plural form that a language has, its alphabet and its bound code.
    #[test]
    fn the_words_of_each_language() {
        let mut page = String::new();
        for words in words::ALL {
            let text = sms(words.tag, "Acme", "482913", 5, None);
            let (encoding, _) = segments(&text);
            page.push_str(&format!("{} {}\n", words.tag, encoding.as_str()));
            for minutes in [1, 2, 3, 5, 10, 21] {
                page.push_str(&format!(
                    "  {minutes:>2}  {}\n",
                    sms(words.tag, "Acme", "482913", minutes, None)
                ));
            }
            page.push_str(&format!(
                "      {}\n",
                sms(words.tag, "Acme", "482913", 5, Some("39.90 EUR to Acme"))
            ));
        }
        insta::assert_snapshot!("all_languages", page);
    }

    #[test]
    fn the_language_is_found_whatever_else_the_tag_says() {
        assert!(words::ALL.len() >= 40 && words::ALL.is_sorted_by_key(|words| words.tag));
        for (locale, tag) in [
            ("en-GB", "en"),
            ("de_CH", "de"),
            ("PT-br", "pt"),
            ("es-419", "es"),
            ("zh-Hans-HK", "zh"),
            ("zh-HK", "zh-hant"),
            ("zh-Hant", "zh-hant"),
            ("in", "id"),
            ("iw-IL", "he"),
            ("no", "nb"),
            ("nn-NO", "nb"),
            ("bs", "hr"),
            ("tl", "fil"),
            ("tlh", "en"),
            ("", "en"),
        ] {
            assert_eq!(words::of(locale).tag, tag, "{locale}");
        }
    }

    #[test]
    fn a_brand_with_a_placeholder_in_it_stays_as_it_is() {
        let text = sms("en", "{code} {n}", "482913", 5, None);
        assert!(
            text.starts_with("482913 is your {code} {n} code. It expires in 5 minutes."),
            "{text}"
        );
    }

    #[test]
    fn a_bound_code_tells_its_transaction() {
        assert_eq!(
            sms("en", "Acme", "482913", 5, Some("39.90 EUR to Acme")),
            "482913 is your Acme code. Only to confirm: 39.90 EUR to Acme. It expires in 5 minutes. Do not share it with anyone."
        );
        for locale in words::ALL.iter().map(|words| words.tag) {
            let text = sms(locale, "Acme", "482913", 5, Some("39.90 EUR to Acme"));
            assert!(text.contains("39.90 EUR to Acme"), "{text}");
            assert_eq!(segments(&text).1, 1, "{locale}: {text}");
        }
    }

    #[test]
    fn what_is_too_long_loses_its_warning_then_its_lifetime() {
        // A brand outside the GSM alphabet leaves 70 characters.
        let text = sms("en", "Кофейня", "482913", 5, None);
        assert_eq!(text, "482913 is your Кофейня code. It expires in 5 minutes.");
        let text = sms("en", "Кофейня", "482913", 5, Some("39.90 EUR to Acme"));
        assert_eq!(text, "482913 is your Кофейня code. Only to confirm: 39.90 EUR to Acme.");
    }

    #[test]
    fn a_line_break_in_the_details_forges_no_line() {
        let text = sms("en", "Acme", "482913", 5, Some("1 EUR to X\n\n@evil.example #482913\u{2028}"));
        assert_eq!(text.lines().count(), 1);
    }

    fn client(platform: Option<Platform>, app_hash: Option<&str>, web_origin: Option<&str>) -> ClientHints {
        ClientHints {
            platform,
            app_hash: app_hash.map(Into::into),
            web_origin: web_origin.map(Into::into),
            ..ClientHints::default()
        }
    }

    #[test]
    fn the_last_line_is_for_the_phone() {
        let text = |client: &ClientHints| sms_with_autofill("en", "Acme", "482913", 5, None, client);
        let web = client(Some(Platform::Web), Some("FA+9qCX9VSu"), Some("https://shop.example.com/"));
        assert_eq!(
            text(&web),
            "482913 is your Acme code. It expires in 5 minutes. Do not share it with anyone.\n\n@shop.example.com #482913"
        );
        let android = client(Some(Platform::Android), Some("FA+9qCX9VSu"), Some("https://example.com"));
        assert_eq!(
            text(&android),
            "<#> 482913 is your Acme code. It expires in 5 minutes. Do not share it with anyone.\nFA+9qCX9VSu"
        );
        assert!(text(&client(None, Some("FA+9qCX9VSu"), None)).ends_with("\nFA+9qCX9VSu"));
        assert!(
            text(&client(Some(Platform::Android), None, Some("https://example.com:443"))).ends_with("\n@example.com #482913")
        );
        assert!(!text(&client(Some(Platform::Ios), Some("FA+9qCX9VSu"), None)).contains('\n'));
    }

    #[test]
    fn a_malformed_hint_adds_nothing() {
        let plain = sms("en", "Acme", "482913", 5, None);
        for origin in [
            "http://example.com",
            "https://example.com:8443",
            "https://example.com/path",
            "https://example.com #000000",
            "https://user@example.com",
            "https://-example.com",
            "https://localhost",
            "https://",
            "example.com",
        ] {
            assert_eq!(
                sms_with_autofill("en", "Acme", "482913", 5, None, &client(None, None, Some(origin))),
                plain,
                "{origin}"
            );
        }
        for hash in ["", "FA+9qCX9VS", "FA+9qCX9VSu1", "FA+9qCX9VS\n"] {
            assert_eq!(
                sms_with_autofill("en", "Acme", "482913", 5, None, &client(None, Some(hash), None)),
                plain,
                "{hash}"
            );
        }
    }

    #[test]
    fn a_line_for_the_phone_never_costs_a_segment() {
        for locale in words::ALL.iter().map(|words| words.tag) {
            for hints in [
                client(None, Some("FA+9qCX9VSu"), None),
                client(None, None, Some("https://shop.example.com")),
            ] {
                let text = sms_with_autofill(locale, "Acme Market", "482913", 5, None, &hints);
                assert_eq!(segments(&text).1, 1, "{locale}: {text}");
                assert!(
                    text.contains("FA+9qCX9VSu") || text.contains("@shop.example.com #482913"),
                    "{locale}: {text}"
                );
                if hints.app_hash.is_some() {
                    assert!(text.len() <= RETRIEVER_BYTES_MAX, "{locale}: {} bytes: {text}", text.len());
                }
            }
        }
        let long = format!("https://{}.example.com", vec!["a".repeat(50); 4].join("."));
        let text = sms_with_autofill("en", "Acme", "482913", 5, None, &client(None, None, Some(&long)));
        assert_eq!(text, sms("en", "Acme", "482913", 5, None));
    }

    #[test]
    fn boundaries_of_segments() {
        for (text, expected) in [
            (String::new(), (Encoding::Gsm7, 1)),
            ("a".repeat(160), (Encoding::Gsm7, 1)),
            ("a".repeat(161), (Encoding::Gsm7, 2)),
            ("a".repeat(306), (Encoding::Gsm7, 2)),
            ("a".repeat(307), (Encoding::Gsm7, 3)),
            ("€".repeat(80), (Encoding::Gsm7, 1)),
            ("€".repeat(81), (Encoding::Gsm7, 2)),
            // 153 is odd: the 77th pair of a part would be split, so it moves to the next one.
            ("€".repeat(152), (Encoding::Gsm7, 2)),
            ("€".repeat(153), (Encoding::Gsm7, 3)),
            ("ж".repeat(70), (Encoding::Ucs2, 1)),
            ("ж".repeat(71), (Encoding::Ucs2, 2)),
            ("ж".repeat(134), (Encoding::Ucs2, 2)),
            ("ж".repeat(135), (Encoding::Ucs2, 3)),
            ("😀".repeat(35), (Encoding::Ucs2, 1)),
            ("😀".repeat(36), (Encoding::Ucs2, 2)),
            // 67 is odd as well.
            ("😀".repeat(66), (Encoding::Ucs2, 2)),
            ("😀".repeat(67), (Encoding::Ucs2, 3)),
            ("ж".repeat(100_000), (Encoding::Ucs2, 255)),
        ] {
            assert_eq!(segments(&text), expected, "{} characters", text.chars().count());
        }
    }

    #[test]
    fn letters_with_marks_can_be_spelled_in_the_gsm_alphabet() {
        for (text, spelled) in [
            ("Kavárna U Žižky", Some("Kavarna U Zizky")),
            ("Łódź – “kod”", Some("Lodz - \"kod\"")),
            ("Façade à Zürich", Some("Facade à Zürich")),
            ("Zürich", None),
            ("Кофейня", None),
            ("Acme 😀", None),
        ] {
            assert_eq!(in_gsm7(text).as_deref(), spelled, "{text}");
            assert!(spelled.is_none_or(|spelled| segments(spelled).0 == Encoding::Gsm7));
        }
    }

    #[test]
    fn the_gsm_alphabet() {
        assert_eq!(GSM7_BASIC.chars().count(), 127, "128 septets less the escape");
        assert_eq!(GSM7_EXTENSION.chars().count(), 10);
        for c in "@#_<>Çàü\n".chars() {
            assert_eq!(gsm7_septets(c), Some(1), "{c}");
        }
        for c in "^{}\\[~]|€\u{c}".chars() {
            assert_eq!(gsm7_septets(c), Some(2), "{c}");
        }
        for c in "`çáíóúâê’“–\t".chars() {
            assert_eq!(gsm7_septets(c), None, "{c}");
        }
    }
}
