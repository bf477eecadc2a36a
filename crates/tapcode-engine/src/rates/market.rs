//! Which of Meta's markets is a number in? By its country, with the territories that share a calling code.
//!
//! Meta prices by the recipient's calling code and, where several countries share one, by the network prefix behind it;
//! a country that no list names is "Other". The lists are those of "Country calling codes" in "Pricing on the WhatsApp
//! Business Platform" (<https://developers.facebook.com/docs/whatsapp/pricing#country-calling-codes>, as of late 2025, read
//! 2026-11-26 in a public copy and compared with two importers of its CSV file), with three changes since:
//! Zimbabwe left "Other" on 2025-10-01 (<https://support.wati.io/en/articles/11561662>, read 2026-11-26);
//! six markets became their own on 2026-07-01
//! (<https://www.unifyport.ai/blog/whatsapp-july-2026-rate-card-inbound-only-teams/>, read 2026-11-26) and nine on
//! 2026-10-01 (<https://huggingface.co/datasets/WhaTools/whatsapp-open-data>, read 2026-11-26).
//!
//! *Unconfirmed*: that territories which no list names go with the country whose calling code they share (Guernsey with the
//! United Kingdom, Western Sahara with Morocco), and that the other countries of +1 are "Other" as the lists have it.

use tapcode_core::number::Country;

macro_rules! markets {
    ($($market:ident $name:literal,)*) => {
        /// A row of Meta's rate cards, in their order: countries by name, regions, the rest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "a market is its name")]
        pub enum Market {
            $($market,)*
        }

        impl Market {
            /// Every market.
            pub const ALL: &'static [Self] = &[$(Self::$market,)*];

            /// The name in Meta's cards.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$market => $name,)*
                }
            }
        }
    };
}

markets! {
    Argentina "Argentina",
    Bangladesh "Bangladesh",
    Brazil "Brazil",
    Chile "Chile",
    Colombia "Colombia",
    Egypt "Egypt",
    France "France",
    Germany "Germany",
    HongKong "Hong Kong",
    Hungary "Hungary",
    India "India",
    Indonesia "Indonesia",
    Iraq "Iraq",
    Israel "Israel",
    Italy "Italy",
    Kazakhstan "Kazakhstan",
    Kuwait "Kuwait",
    Malaysia "Malaysia",
    Mexico "Mexico",
    Morocco "Morocco",
    Nepal "Nepal",
    Netherlands "Netherlands",
    Nigeria "Nigeria",
    Oman "Oman",
    Pakistan "Pakistan",
    Peru "Peru",
    Poland "Poland",
    Qatar "Qatar",
    Romania "Romania",
    Russia "Russia",
    SaudiArabia "Saudi Arabia",
    Singapore "Singapore",
    SouthAfrica "South Africa",
    Spain "Spain",
    SriLanka "Sri Lanka",
    Turkey "Turkey",
    Ukraine "Ukraine",
    UnitedArabEmirates "United Arab Emirates",
    UnitedKingdom "United Kingdom",
    NorthAmerica "North America",
    RestOfAfrica "Rest of Africa",
    RestOfAsiaPacific "Rest of Asia Pacific",
    RestOfCentralAndEasternEurope "Rest of Central & Eastern Europe",
    RestOfLatinAmerica "Rest of Latin America",
    RestOfMiddleEast "Rest of Middle East",
    RestOfWesternEurope "Rest of Western Europe",
    Other "Other",
}

impl Market {
    /// From its name in Meta's cards. Case, white space and `and` for `&` make no difference.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let wanted = plain(text);
        Self::ALL.iter().copied().find(|market| plain(market.as_str()) == wanted)
    }

    /// The market that the same numbers were in before this one was in the cards; `None` where it always was.
    #[must_use]
    pub const fn before(self) -> Option<Self> {
        match self {
            Self::Morocco => Some(Self::RestOfAfrica),
            Self::Bangladesh | Self::HongKong | Self::Nepal | Self::Singapore | Self::SriLanka => Some(Self::RestOfAsiaPacific),
            Self::Hungary | Self::Poland | Self::Romania | Self::Ukraine => Some(Self::RestOfCentralAndEasternEurope),
            Self::Iraq | Self::Kuwait | Self::Oman | Self::Qatar => Some(Self::RestOfMiddleEast),
            // Unconfirmed: it shares +7 with Russia and stood in no list; its rate for marketing stayed that of "Other".
            Self::Kazakhstan => Some(Self::Other),
            _ => None,
        }
    }
}

/// A name as it is compared.
pub(super) fn plain(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").replace(" and ", " & ")
}

/// The market of a number's country, as the newest cards divide the world. Every country has one.
#[must_use]
pub fn market_of(country: Country) -> Market {
    match country.as_str() {
        "AR" => Market::Argentina,
        "BD" => Market::Bangladesh,
        "BR" => Market::Brazil,
        "CL" => Market::Chile,
        "CO" => Market::Colombia,
        "EG" => Market::Egypt,
        "FR" => Market::France,
        "DE" => Market::Germany,
        "HK" => Market::HongKong,
        "HU" => Market::Hungary,
        "IN" => Market::India,
        "ID" => Market::Indonesia,
        "IQ" => Market::Iraq,
        "IL" => Market::Israel,
        // The Vatican's numbers are Rome's, +39 06 698.
        "IT" | "VA" => Market::Italy,
        "KZ" => Market::Kazakhstan,
        "KW" => Market::Kuwait,
        "MY" => Market::Malaysia,
        "MX" => Market::Mexico,
        "MA" | "EH" => Market::Morocco,
        "NP" => Market::Nepal,
        "NL" => Market::Netherlands,
        "NG" => Market::Nigeria,
        "OM" => Market::Oman,
        "PK" => Market::Pakistan,
        "PE" => Market::Peru,
        "PL" => Market::Poland,
        "QA" => Market::Qatar,
        "RO" => Market::Romania,
        "RU" => Market::Russia,
        "SA" => Market::SaudiArabia,
        "SG" => Market::Singapore,
        "ZA" => Market::SouthAfrica,
        "ES" => Market::Spain,
        "LK" => Market::SriLanka,
        "TR" => Market::Turkey,
        "UA" => Market::Ukraine,
        "AE" => Market::UnitedArabEmirates,
        "GB" | "GG" | "IM" | "JE" => Market::UnitedKingdom,
        "US" | "CA" => Market::NorthAmerica,
        "DZ" | "AO" | "BJ" | "BW" | "BF" | "BI" | "CM" | "TD" | "CG" | "ER" | "ET" | "GA" | "GM" | "GH" | "GW" | "CI" | "KE"
        | "LS" | "LR" | "LY" | "MG" | "MW" | "ML" | "MR" | "MZ" | "NA" | "NE" | "RW" | "SN" | "SL" | "SO" | "SS" | "SD"
        | "SZ" | "TZ" | "TG" | "TN" | "UG" | "ZM" | "ZW" => Market::RestOfAfrica,
        "AF" | "AU" | "CC" | "CX" | "KH" | "CN" | "JP" | "LA" | "MN" | "NZ" | "PG" | "PH" | "TW" | "TJ" | "TH" | "TM" | "UZ"
        | "VN" => Market::RestOfAsiaPacific,
        "AL" | "AM" | "AZ" | "BY" | "BG" | "HR" | "CZ" | "GE" | "GR" | "LV" | "LT" | "MD" | "MK" | "RS" | "SK" | "SI" => {
            Market::RestOfCentralAndEasternEurope
        }
        // Of the other countries of +1, Meta's list names these three, by their area codes.
        "DO" | "JM" | "PR" => Market::RestOfLatinAmerica,
        "BO" | "CR" | "EC" | "SV" | "GT" | "HT" | "HN" | "NI" | "PA" | "PY" | "UY" | "VE" => Market::RestOfLatinAmerica,
        "BH" | "JO" | "LB" | "YE" => Market::RestOfMiddleEast,
        "AT" | "BE" | "DK" | "FI" | "AX" | "IE" | "NO" | "SJ" | "PT" | "SE" | "CH" => Market::RestOfWesternEurope,
        _ => Market::Other,
    }
}
