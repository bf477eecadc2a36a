//! Which two letters are a country? ISO 3166-1, and the three more that phone numbers have.

use tapcode_core::number::Country;

/// The officially assigned alpha-2 codes of ISO 3166-1, 249 of them, compared with `iso3166.tab` of the IANA time zone
/// database, which follows ISO 3166/MA's newsletters (<https://www.iana.org/time-zones>, read 2026-11-23).
const ISO_3166_1: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ \
NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Ascension, Tristan da Cunha and Kosovo have calling codes and no officially assigned letters; these are the ones
/// that the numbers' country carries.
const OF_NUMBERS: &str = "AC TA XK";

/// Why a text is no country, with the letters that were probably meant.
#[derive(Debug, PartialEq, Eq)]
pub struct NoCountry {
    /// The letters.
    pub meant: Option<&'static str>,
}

/// Reads two capital letters.
///
/// # Errors
/// [`NoCountry`] for anything that is not in the list.
pub fn country(text: &str) -> Result<Country, NoCountry> {
    let known = |letters: &str| {
        ISO_3166_1
            .split(' ')
            .chain(OF_NUMBERS.split(' '))
            .find(|known| *known == letters)
    };
    if let Some(country) = known(text).and_then(Country::parse) {
        return Ok(country);
    }
    let meant = match text.trim().to_ascii_uppercase().as_str() {
        // Reserved for the United Kingdom, and the European Union's letters for Greece.
        "UK" => Some("GB"),
        "EL" => Some("GR"),
        other => known(other),
    };
    Err(NoCountry { meant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        let all: Vec<&str> = ISO_3166_1.split(' ').collect();
        assert_eq!(all.len(), 249);
        assert!(all.is_sorted_by(|one, next| one < next), "twice or out of order");
    }

    #[test]
    fn letters_are_read_or_the_right_ones_named() {
        assert_eq!(country("NL").map(|c| c.as_str().to_owned()), Ok("NL".to_owned()));
        assert!(country("XK").is_ok());
        assert_eq!(country("nl"), Err(NoCountry { meant: Some("NL") }));
        assert_eq!(country("UK"), Err(NoCountry { meant: Some("GB") }));
        assert_eq!(country("Netherlands"), Err(NoCountry { meant: None }));
        assert_eq!(country("QQ"), Err(NoCountry { meant: None }));
    }
}
