//! What does a service's own text for codes have to be, so that it costs one segment and no code goes out without its code?

use super::{APP_HASH_CHARS, Trailer, one_line, segments, words};

/// Most minutes that a code is good for.
const MINUTES_MAX: u32 = 10;
/// What may stand in a text.
const PLACEHOLDERS: [&str; 4] = ["code", "brand", "minutes", "details"];

/// A service's own text for codes, in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnText {
    /// BCP 47, in lower case.
    locale: Box<str>,
    text: Box<str>,
}

/// Why a text cannot be a service's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnTextError {
    /// `{code}` does not stand in it once.
    Codes(usize),
    /// Something else stands in braces.
    Placeholder(Box<str>),
    /// A line break, or another control character.
    Control,
    /// With the service's brand, its longest code and the line for the phone it takes so many segments, or more bytes than
    /// SMS Retriever reads.
    TooLong(u8),
}

impl OwnText {
    /// A text for a locale. `code_digits` is how long the service's codes are, `has_app` whether texts may end with the hash
    /// of an Android app.
    ///
    /// # Errors
    /// [`OwnTextError`].
    pub fn parse(locale: &str, text: &str, brand: &str, code_digits: u8, has_app: bool) -> Result<Self, OwnTextError> {
        if text.chars().any(char::is_control) {
            return Err(OwnTextError::Control);
        }
        let mut codes = 0;
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let behind = &rest[open..];
            let end = behind.find('}').filter(|_| behind.starts_with('{'));
            let name = end.map_or(behind, |end| &behind[1..end]);
            if end.is_none() || !PLACEHOLDERS.contains(&name) {
                let shown: String = name.chars().take(20).collect();
                return Err(OwnTextError::Placeholder(shown.into()));
            }
            codes += usize::from(name == "code");
            rest = &behind[end.unwrap_or(0) + 1..];
        }
        if codes != 1 {
            return Err(OwnTextError::Codes(codes));
        }
        let own = Self {
            locale: locale.to_ascii_lowercase().into(),
            text: text.into(),
        };
        let code = "0".repeat(code_digits.into());
        let mut longest = own.render(brand, &code, MINUTES_MAX, None);
        if has_app {
            let hash = "x".repeat(APP_HASH_CHARS);
            let trailer = Trailer::AppHash(&hash);
            longest = trailer.attached(&longest, &code);
            if !trailer.can_be_read(&longest) {
                return Err(OwnTextError::TooLong(segments(&longest).1));
            }
        }
        match segments(&longest).1 {
            1 => Ok(own),
            more => Err(OwnTextError::TooLong(more)),
        }
    }

    /// The best of a service's texts for a locale: its own, else one of its language.
    #[must_use]
    pub fn best<'a>(texts: &'a [Self], locale: &str) -> Option<&'a Self> {
        let locale = locale.to_ascii_lowercase();
        let language = words::of(&locale).tag;
        let is_same = |text: &&Self| *text.locale == *locale;
        // A language that there are no words for is English to `words`, and to nobody else.
        let first = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_owned();
        let is_language = |text: &&Self| first(&text.locale) == first(&locale) && words::of(&text.locale).tag == language;
        texts.iter().find(is_same).or_else(|| texts.iter().find(is_language))
    }

    /// The text with everything put in. The transaction of a bound code is always told, whether or not the text has a place
    /// for it.
    pub(super) fn render(&self, brand: &str, code: &str, minutes: u32, details: Option<&str>) -> String {
        let mut rendered = String::new();
        let mut rest = &*self.text;
        // From the left, so that nothing that was put in is read again.
        while let Some((before, behind)) = rest.split_once('{') {
            rendered.push_str(before);
            let Some((name, after)) = behind.split_once('}') else { break };
            match name {
                "code" => rendered.push_str(code),
                "brand" => rendered.push_str(&one_line(brand)),
                "minutes" => rendered.push_str(&minutes.to_string()),
                "details" => rendered.push_str(&one_line(details.unwrap_or_default())),
                _ => {}
            }
            rest = after;
        }
        rendered.push_str(rest);
        if let Some(details) = details.filter(|_| !self.text.contains("{details}")) {
            let language = words::of(&self.locale);
            rendered.push_str(language.between);
            rendered.push_str(&language.only_for(&one_line(details)));
        }
        rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OwnText, OwnTextError> {
        OwnText::parse("en", text, "Acme", 6, false)
    }

    #[test]
    fn a_text_has_its_code_once_and_nothing_unknown() {
        for (text, error) in [
            ("Your code", OwnTextError::Codes(0)),
            ("{code} {code}", OwnTextError::Codes(2)),
            ("{code} {name}", OwnTextError::Placeholder("name".into())),
            ("{code} {", OwnTextError::Placeholder("{".into())),
            ("{code} }", OwnTextError::Placeholder("}".into())),
            ("{code}\nx", OwnTextError::Control),
            ("{{code}}", OwnTextError::Placeholder("{code".into())),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let own = parse("{brand}: {code} ({minutes} min)").unwrap();
        assert_eq!(own.render("Ac{code}me\n", "482913", 5, None), "Ac{code}me : 482913 (5 min)");
    }

    #[test]
    fn a_text_fits_into_one_segment_with_all_that_is_put_in() {
        let text = |len: usize| format!("{}{{code}}", "x".repeat(len));
        assert!(parse(&text(154)).is_ok());
        assert_eq!(parse(&text(155)), Err(OwnTextError::TooLong(2)));
        // SMS Retriever reads 140 bytes, its own line included: `<#> `, a line break and 11 characters.
        let with_app = |len| OwnText::parse("en", &text(len), "Acme", 6, true);
        assert!(with_app(118).is_ok());
        assert_eq!(with_app(119), Err(OwnTextError::TooLong(1)));
        assert_eq!(OwnText::parse("en", "{code} ж", "Acme", 10, false).map(|_| ()), Ok(()));
        assert_eq!(parse(&format!("{{code}}{}", "ж".repeat(65))), Err(OwnTextError::TooLong(2)));
    }

    #[test]
    fn the_transaction_is_told_also_where_the_text_forgot_it() {
        let details = Some("39.90 EUR to {code}");
        let own = parse("Code {code}.").unwrap();
        assert_eq!(
            own.render("Acme", "482913", 5, details),
            "Code 482913. Only to confirm: 39.90 EUR to {code}."
        );
        let own = parse("{details}: {code}").unwrap();
        assert_eq!(own.render("Acme", "482913", 5, details), "39.90 EUR to {code}: 482913");
    }

    #[test]
    fn a_locale_finds_its_own_text_then_its_languages() {
        let texts: Vec<OwnText> = ["pt", "pt-BR", "zh-Hant", "cy"]
            .map(|locale| OwnText::parse(locale, "{code}", "Acme", 6, false).unwrap())
            .into();
        for (locale, found) in [
            ("pt-BR", Some("pt-br")),
            ("pt-PT", Some("pt")),
            ("zh-TW", Some("zh-hant")),
            ("zh-CN", None),
            ("cy-GB", Some("cy")),
            ("ga", None),
            ("en", None),
        ] {
            let best = OwnText::best(&texts, locale).map(|text| &*text.locale);
            assert_eq!(best, found, "{locale}");
        }
    }
}
