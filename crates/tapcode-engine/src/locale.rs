//! Which language does a country's number suggest, where nobody said?

use tapcode_core::number::Country;

/// The language of most of a country's people, for the languages that our texts exist in; `None` where several are
/// equally likely or none is ours: then the service decides. A convenience, not a fact about any one person.
#[must_use]
pub fn of_country(country: Country) -> Option<&'static str> {
    Some(match country.as_str() {
        "NL" => "nl",
        "DE" | "AT" => "de",
        "FR" | "MC" | "SN" | "CI" => "fr",
        "ES" | "MX" | "AR" | "CO" | "CL" | "PE" | "VE" | "EC" | "GT" | "CU" | "BO" | "DO" | "HN" | "PY" | "SV" | "NI" | "CR"
        | "PA" | "UY" => "es",
        "PT" | "BR" | "AO" | "MZ" => "pt",
        "IT" | "SM" | "VA" => "it",
        "SA" | "EG" | "AE" | "JO" | "KW" | "QA" | "BH" | "OM" | "IQ" | "LY" | "YE" | "SY" | "LB" | "SD" => "ar",
        "TR" => "tr",
        "ID" => "id",
        "JP" => "ja",
        "CN" => "zh",
        "GB" | "US" | "IE" | "AU" | "NZ" => "en",
        _ => return None,
    })
}
