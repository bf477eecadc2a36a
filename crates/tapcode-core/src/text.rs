//! What does the text message say that carries a code, and how many segments does a text take?
//!
//! A message is made of sentences: the code and who sent it, the transaction it is bound to, how long it is good, a
//! warning, and a last line for the phone that fills codes in. The warning goes first and the lifetime next where a text
//! would take a further segment; a segment is what operators bill. Words are chosen so that the GSM alphabet holds them
//! where the language allows it.

use crate::verification::{ClientHints, Platform};

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
/// Its extension table: an escape and another septet.
const GSM7_EXTENSION: &str = "\u{c}^{}\\[~]|€";

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
    let Some(trailer) = Trailer::of(client) else { return plain };
    let fewest = segments(&plain).1;
    variants(locale, brand, code, minutes, details)
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
    let language = Language::of(locale);
    // A line break in somebody's name must not forge the line that the phone reads.
    let brand = one_line(brand);
    let mut text = language.code(&brand, code);
    if let Some(details) = details {
        language.add(&mut text, &language.only_for(&one_line(details)));
    }
    let shortest = text.clone();
    language.add(&mut text, &language.good_for(minutes.max(1)));
    let short = text.clone();
    language.add(&mut text, language.warning());
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

/// The languages there are texts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Arabic,
    ChineseSimplified,
    ChineseTraditional,
    Dutch,
    English,
    French,
    German,
    Hindi,
    Indonesian,
    Italian,
    Japanese,
    Portuguese,
    Spanish,
    Turkish,
}

impl Language {
    /// The language of a BCP 47 tag: its first subtag decides, for Chinese also script and region.
    fn of(locale: &str) -> Self {
        let locale = locale.to_ascii_lowercase();
        let mut subtags = locale.split(['-', '_']);
        match subtags.next().unwrap_or_default() {
            "ar" => Self::Arabic,
            "zh" => {
                let subtags: Vec<&str> = subtags.collect();
                // A script outranks a region: zh-Hans-HK is written in simplified characters.
                let traditional = !subtags.contains(&"hans") && subtags.iter().any(|s| matches!(*s, "hant" | "tw" | "hk" | "mo"));
                if traditional {
                    Self::ChineseTraditional
                } else {
                    Self::ChineseSimplified
                }
            }
            "nl" => Self::Dutch,
            "fr" => Self::French,
            "de" => Self::German,
            "hi" => Self::Hindi,
            // `in` was Indonesian until 1989 and still is in old Java.
            "id" | "in" => Self::Indonesian,
            "it" => Self::Italian,
            "ja" => Self::Japanese,
            "pt" => Self::Portuguese,
            "es" => Self::Spanish,
            "tr" => Self::Turkish,
            _ => Self::English,
        }
    }

    fn add(self, text: &mut String, sentence: &str) {
        if !matches!(self, Self::ChineseSimplified | Self::ChineseTraditional | Self::Japanese) {
            text.push(' ');
        }
        text.push_str(sentence);
    }

    fn code(self, brand: &str, code: &str) -> String {
        match self {
            // Starts with an Arabic word, so that the line runs from right to left as a whole.
            Self::Arabic => format!("رمز {brand}: {code}."),
            Self::ChineseSimplified => format!("【{brand}】验证码：{code}。"),
            Self::ChineseTraditional => format!("【{brand}】驗證碼：{code}。"),
            Self::Dutch => format!("{code} is de code voor {brand}."),
            Self::English => format!("{code} is your {brand} code."),
            Self::French => format!("{code} est votre code {brand}."),
            Self::German => format!("{code} ist der Code für {brand}."),
            Self::Hindi => format!("{code} आपका {brand} कोड है।"),
            Self::Indonesian => format!("{code} adalah kode {brand} Anda."),
            Self::Italian => format!("{code} è il tuo codice {brand}."),
            Self::Japanese => format!("{brand}の認証コード：{code}。"),
            // `código` would leave the GSM alphabet; PIN and clave are as common and stay in it.
            Self::Portuguese => format!("{code} é o seu PIN {brand}."),
            Self::Spanish => format!("{code} es tu clave de {brand}."),
            Self::Turkish => format!("{brand} kodunuz: {code}."),
        }
    }

    fn only_for(self, details: &str) -> String {
        match self {
            Self::Arabic => format!("فقط لتأكيد: {details}."),
            Self::ChineseSimplified => format!("仅用于确认：{details}。"),
            Self::ChineseTraditional => format!("僅用於確認：{details}。"),
            Self::Dutch => format!("Alleen ter bevestiging van: {details}."),
            Self::English => format!("Only to confirm: {details}."),
            Self::French => format!("Uniquement pour confirmer : {details}."),
            Self::German => format!("Nur zur Bestätigung von: {details}."),
            Self::Hindi => format!("केवल इसकी पुष्टि के लिए: {details}।"),
            Self::Indonesian => format!("Hanya untuk konfirmasi: {details}."),
            Self::Italian => format!("Solo per confermare: {details}."),
            Self::Japanese => format!("確認する取引：{details}。"),
            Self::Portuguese => format!("Apenas para confirmar: {details}."),
            Self::Spanish => format!("Solo para confirmar: {details}."),
            Self::Turkish => format!("Onaylanacak: {details}."),
        }
    }

    fn good_for(self, minutes: u32) -> String {
        let one = minutes == 1;
        match self {
            Self::Arabic => match minutes {
                1 => "صالح لمدة دقيقة واحدة.".into(),
                2 => "صالح لمدة دقيقتين.".into(),
                3..=10 => format!("صالح لمدة {minutes} دقائق."),
                _ => format!("صالح لمدة {minutes} دقيقة."),
            },
            Self::ChineseSimplified => format!("{minutes}分钟内有效。"),
            Self::ChineseTraditional => format!("{minutes}分鐘內有效。"),
            Self::Dutch => format!("Hij is {minutes} {} geldig.", if one { "minuut" } else { "minuten" }),
            Self::English => format!("It expires in {minutes} {}.", if one { "minute" } else { "minutes" }),
            Self::French => format!("Il expire dans {minutes} {}.", if one { "minute" } else { "minutes" }),
            Self::German => format!("Er gilt {minutes} {}.", if one { "Minute" } else { "Minuten" }),
            Self::Hindi => format!("{minutes} मिनट मान्य।"),
            Self::Indonesian => format!("Berlaku {minutes} menit."),
            Self::Italian => format!("Scade tra {minutes} {}.", if one { "minuto" } else { "minuti" }),
            Self::Japanese => format!("有効期限は{minutes}分です。"),
            Self::Portuguese => format!("Expira em {minutes} {}.", if one { "minuto" } else { "minutos" }),
            Self::Spanish => format!("Vence en {minutes} {}.", if one { "minuto" } else { "minutos" }),
            Self::Turkish => format!("{minutes} dakika sonra sona erer."),
        }
    }

    const fn warning(self) -> &'static str {
        match self {
            Self::Arabic => "لا تشاركه مع أحد.",
            Self::ChineseSimplified => "请勿告诉他人。",
            Self::ChineseTraditional => "請勿告訴他人。",
            Self::Dutch => "Deel hem met niemand.",
            Self::English => "Do not share it with anyone.",
            Self::French => "Ne le partagez avec personne.",
            Self::German => "Bitte niemandem weitergeben.",
            Self::Hindi => "किसी को न बताएं।",
            Self::Indonesian => "Jangan berikan kepada siapa pun.",
            Self::Italian => "Non condividerlo con nessuno.",
            Self::Japanese => "他人に教えないでください。",
            Self::Portuguese => "Nunca o partilhe com outras pessoas.",
            Self::Spanish => "No la compartas con nadie.",
            Self::Turkish => "Kimseye vermeyin.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALES: [(&str, Encoding); 14] = [
        ("ar-EG", Encoding::Ucs2),
        ("de-AT", Encoding::Gsm7),
        ("en", Encoding::Gsm7),
        ("es-419", Encoding::Gsm7),
        ("fr-CA", Encoding::Gsm7),
        ("hi", Encoding::Ucs2),
        ("id", Encoding::Gsm7),
        ("it", Encoding::Gsm7),
        ("ja-JP", Encoding::Ucs2),
        ("nl", Encoding::Gsm7),
        ("pt-BR", Encoding::Gsm7),
        ("tr", Encoding::Gsm7),
        ("zh-CN", Encoding::Ucs2),
        ("zh-TW", Encoding::Ucs2),
    ];

    #[test]
    fn one_segment_in_every_language() {
        for (locale, encoding) in LOCALES {
            for (code, minutes) in [("482913", 5), ("4829130576", 10), ("482913", 1), ("482913", 2)] {
                let text = sms(locale, "Acme Market", code, minutes, None);
                assert_eq!(segments(&text), (encoding, 1), "{locale}: {text}");
                assert!(text.contains(code) && text.contains("Acme Market"), "{locale}: {text}");
                assert!(
                    text.contains(Language::of(locale).warning()),
                    "{locale} has no room for its warning: {text}"
                );
            }
        }
    }

    #[test]
    fn the_words_of_each_language() {
        for (locale, text) in [
            (
                "en-GB",
                "482913 is your Acme code. It expires in 5 minutes. Do not share it with anyone.",
            ),
            (
                "nl",
                "482913 is de code voor Acme. Hij is 5 minuten geldig. Deel hem met niemand.",
            ),
            (
                "de_CH",
                "482913 ist der Code für Acme. Er gilt 5 Minuten. Bitte niemandem weitergeben.",
            ),
            (
                "fr",
                "482913 est votre code Acme. Il expire dans 5 minutes. Ne le partagez avec personne.",
            ),
            (
                "es",
                "482913 es tu clave de Acme. Vence en 5 minutos. No la compartas con nadie.",
            ),
            (
                "pt",
                "482913 é o seu PIN Acme. Expira em 5 minutos. Nunca o partilhe com outras pessoas.",
            ),
            (
                "it",
                "482913 è il tuo codice Acme. Scade tra 5 minuti. Non condividerlo con nessuno.",
            ),
            ("tr", "Acme kodunuz: 482913. 5 dakika sonra sona erer. Kimseye vermeyin."),
            (
                "id",
                "482913 adalah kode Acme Anda. Berlaku 5 menit. Jangan berikan kepada siapa pun.",
            ),
            ("ar", "رمز Acme: 482913. صالح لمدة 5 دقائق. لا تشاركه مع أحد."),
            ("hi", "482913 आपका Acme कोड है। 5 मिनट मान्य। किसी को न बताएं।"),
            (
                "ja",
                "Acmeの認証コード：482913。有効期限は5分です。他人に教えないでください。",
            ),
            ("zh-Hans-HK", "【Acme】验证码：482913。5分钟内有效。请勿告诉他人。"),
            ("zh-HK", "【Acme】驗證碼：482913。5分鐘內有效。請勿告訴他人。"),
            (
                "sv",
                "482913 is your Acme code. It expires in 5 minutes. Do not share it with anyone.",
            ),
            (
                "",
                "482913 is your Acme code. It expires in 5 minutes. Do not share it with anyone.",
            ),
        ] {
            assert_eq!(sms(locale, "Acme", "482913", 5, None), text);
        }
    }

    #[test]
    fn a_bound_code_tells_its_transaction() {
        assert_eq!(
            sms("en", "Acme", "482913", 5, Some("39.90 EUR to Acme")),
            "482913 is your Acme code. Only to confirm: 39.90 EUR to Acme. It expires in 5 minutes. Do not share it with anyone."
        );
        for (locale, _) in LOCALES {
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
        for (locale, encoding) in LOCALES {
            for hints in [
                client(None, Some("FA+9qCX9VSu"), None),
                client(None, None, Some("https://shop.example.com")),
            ] {
                let text = sms_with_autofill(locale, "Acme Market", "482913", 5, None, &hints);
                assert_eq!(segments(&text), (encoding, 1), "{locale}: {text}");
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
