//! In which of Meta's languages is a template asked for? From the BCP 47 language that a verification has.

/// Meta's codes of the languages that templates can have.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/supported-languages> (of 2026-05-21, read
/// 2026-11-27, from A to Lao) and, for the others, the older page
/// <https://developers.facebook.com/docs/whatsapp/api/messages/message-templates> (read 2026-11-26). The list grows; see
/// [`may_be_one`]. A language that Meta does not have is answered with 132001.
pub const SUPPORTED: &[&str] = &[
    "af", "sq", "ar", "ar_EG", "ar_AE", "ar_LB", "ar_MA", "ar_QA", "az", "be_BY", "bn", "bn_IN", "bg", "ca", "zh_CN", "zh_HK",
    "zh_TW", "hr", "cs", "da", "prs_AF", "nl", "nl_BE", "en", "en_GB", "en_US", "en_AE", "en_AU", "en_CA", "en_GH", "en_IE",
    "en_IN", "en_JM", "en_MY", "en_NZ", "en_QA", "en_SG", "en_UG", "en_ZA", "et", "fil", "fi", "fr", "fr_BE", "fr_CA", "fr_CH",
    "fr_CI", "fr_MA", "ka", "de", "de_AT", "de_CH", "el", "gu", "ha", "he", "hi", "hu", "id", "ga", "it", "ja", "kn", "kk",
    "rw_RW", "ko", "ky_KG", "lo", "lv", "lt", "mk", "ms", "ml", "mr", "nb", "fa", "pl", "pt_BR", "pt_PT", "pa", "ro", "ru", "sr",
    "sk", "sl", "es", "es_AR", "es_ES", "es_MX", "sw", "sv", "ta", "te", "th", "tr", "uk", "ur", "uz", "vi", "zu",
];

/// Whether Meta may have a language: it is on the list, or it is a language of the list with a region that is not on it. Meta
/// adds regions, and knows best.
#[must_use]
pub fn may_be_one(code: &str) -> bool {
    let is_region = |region: &str| region.len() == 2 && region.bytes().all(|c| c.is_ascii_uppercase());
    SUPPORTED.contains(&code)
        || code.split_once('_').is_some_and(|(language, region)| {
            is_region(region) && SUPPORTED.iter().any(|known| known.split('_').next() == Some(language))
        })
}

/// Most of a locale that is looked at, in subtags: language, script and region.
const SUBTAGS_MAX: usize = 3;

/// Meta's code for `locale` among the languages in which the template is `approved` (empty: any that Meta supports):
/// the same language and region, then the language alone, then the language of another region, then `fallback`.
#[must_use]
pub fn meta_code<'a>(locale: &str, approved: &'a [String], fallback: &'a str) -> &'a str {
    let approved: Vec<&str> = approved.iter().map(String::as_str).collect();
    best(locale, &approved).unwrap_or(fallback)
}

/// As [`meta_code`]; `None` where nothing fits.
#[must_use]
pub fn best<'a>(locale: &str, approved: &[&'a str]) -> Option<&'a str> {
    let wanted = wanted(locale);
    let language = wanted.last().map(String::as_str).unwrap_or_default();
    let offered = if approved.is_empty() { SUPPORTED } else { approved };
    let exact = wanted
        .iter()
        .find_map(|code| offered.iter().find(|o| o.eq_ignore_ascii_case(code)));
    exact
        .or_else(|| offered.iter().find(|o| o.split('_').next() == Some(language)))
        .copied()
}

/// The codes that would do, best first; the language alone is the last.
fn wanted(locale: &str) -> Vec<String> {
    let mut subtags = locale.split(['-', '_']).take(SUBTAGS_MAX);
    let language = subtags.next().unwrap_or_default().to_ascii_lowercase();
    // Names that BCP 47 replaced, and Norwegian, which Meta has in Bokmål only.
    let language = match language.as_str() {
        "iw" => "he",
        "in" => "id",
        "tl" => "fil",
        "no" | "nn" => "nb",
        other => other,
    };
    let rest: Vec<String> = subtags.map(str::to_ascii_uppercase).collect();
    let has = |subtag: &str| rest.iter().any(|r| r == subtag);
    let mut wanted: Vec<String> = rest
        .iter()
        .filter(|r| r.len() == 2)
        .map(|region| format!("{language}_{region}"))
        .collect();
    match language {
        // Written Chinese differs by script, which the region tells where the script is not said.
        "zh" if has("HK") || has("MO") => wanted.extend(["zh_HK".into(), "zh_TW".into()]),
        "zh" if has("TW") || has("HANT") => wanted.extend(["zh_TW".into(), "zh_HK".into()]),
        "zh" => wanted.push("zh_CN".into()),
        // Brazil has most of the speakers; outside it the European spelling is the norm.
        "pt" if rest.is_empty() => wanted.push("pt_BR".into()),
        "pt" => wanted.push("pt_PT".into()),
        _ => {}
    }
    wanted.push(language.to_owned());
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_finds_metas_language() {
        let rows = [
            ("nl", "nl"),
            ("nl-BE", "nl_BE"),
            ("nl-SR", "nl"),
            ("en-US", "en_US"),
            ("en", "en"),
            ("en-AU", "en_AU"),
            ("pt-BR", "pt_BR"),
            ("pt", "pt_BR"),
            ("pt-AO", "pt_PT"),
            ("zh", "zh_CN"),
            ("zh-Hans-CN", "zh_CN"),
            ("zh-Hant", "zh_TW"),
            ("zh-HK", "zh_HK"),
            ("zh-Hant-HK", "zh_HK"),
            ("es-419", "es"),
            ("es-MX", "es_MX"),
            ("no", "nb"),
            ("iw-IL", "he"),
            ("ky", "ky_KG"),
            ("EN_us", "en_US"),
        ];
        for (locale, code) in rows {
            assert_eq!(meta_code(locale, &[], "xx"), code, "{locale}");
        }
        for unknown in ["", "-", "tlh", "e", "en-US-"] {
            let code = meta_code(unknown, &[], "xx");
            assert_eq!(code, if unknown.starts_with("en") { "en_US" } else { "xx" }, "{unknown}");
        }
    }

    #[test]
    fn a_region_that_is_not_on_the_list_is_metas_to_refuse() {
        for code in ["fr", "fr_CA", "fr_LU", "es_CL", "pt_BR"] {
            assert!(may_be_one(code), "{code}");
        }
        for code in ["", "tlh", "fr-CA", "fr_ca", "fr_CAN", "tlh_NL", "_NL"] {
            assert!(!may_be_one(code), "{code}");
        }
    }

    #[test]
    fn only_an_approved_language_is_asked_for() {
        let approved: Vec<String> = ["en_GB", "nl", "pt_PT"].map(String::from).into();
        for (locale, code) in [
            ("en-US", "en_GB"),
            ("en", "en_GB"),
            ("nl-NL", "nl"),
            ("pt-BR", "pt_PT"),
            ("de", "nl"),
            ("", "nl"),
        ] {
            assert_eq!(meta_code(locale, &approved, "nl"), code, "{locale}");
        }
    }
}
