//! What does WhatsApp write around a code? Meta's fixed text of authentication templates, by language.
//!
//! Nobody can change this text; it is needed where nothing of Meta's renders it: on the sandbox's phone.

use tapcode_engine::contract::provider::Source;

/// Where the confirmed wordings were read: a copy of Meta's page "Template previews" as of 2025-11-04, with its example
/// in English and Spanish.
pub const SOURCE: Source = Source {
    url: "https://support.chatarchitect.com/books/meta-whatsapp/page/template-previews-developer-documentation",
    read: "2026-11-23",
};

/// The fixed text in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wording {
    /// Meta's code of the language.
    pub language: &'static str,
    /// Whether the wording is the one of [`SOURCE`]. If not it is an approximation, from what others recorded of Meta's
    /// previews or from our own translation.
    pub confirmed: bool,
    /// What stands before the code in bold.
    before: &'static str,
    /// What stands behind it.
    after: &'static str,
    /// The security recommendation.
    security: &'static str,
    /// The footer, `#` for the minutes.
    footer: &'static str,
    /// The copy-code button.
    pub button: &'static str,
}

impl Wording {
    /// The wording for a BCP 47 or Meta language code, by its language; English where there is none.
    #[must_use]
    pub fn of(locale: &str) -> &'static Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        let found = WORDINGS.iter().find(|w| {
            let own = w.language.split('_').next().unwrap_or_default();
            own.eq_ignore_ascii_case(language)
        });
        found.unwrap_or(&WORDINGS[0])
    }

    /// The body: the code in bold as WhatsApp marks it, and the security recommendation.
    #[must_use]
    pub fn body(&self, code: &str) -> String {
        let gap = if self.after.ends_with('。') { "" } else { " " };
        format!("{}*{code}*{}{gap}{}", self.before, self.after, self.security)
    }

    /// The footer that says in how many minutes the code expires. Meta's text has one form for every number.
    #[must_use]
    pub fn footer(&self, minutes: u32) -> String {
        self.footer.replace('#', &minutes.to_string())
    }
}

/// English first: what is said where nothing better is known.
pub const WORDINGS: &[Wording] = &[
    Wording {
        language: "en",
        confirmed: true,
        before: "",
        after: " is your verification code.",
        security: "For your security, do not share this code.",
        footer: "This code expires in # minutes.",
        button: "Copy code",
    },
    Wording {
        language: "ar",
        confirmed: false,
        before: "",
        after: " هو رمز التحقق الخاص بك.",
        security: "للحفاظ على أمانك، تجنب مشاركة هذا الرمز.",
        footer: "تنتهي صلاحية هذا الرمز خلال # دقائق.",
        button: "نسخ الرمز",
    },
    Wording {
        language: "de",
        confirmed: false,
        before: "Dein Verifizierungscode lautet ",
        after: ".",
        security: "Aus Sicherheitsgründen solltest du den Code nicht teilen.",
        footer: "Dieser Code verfällt in # Minuten.",
        button: "Code kopieren",
    },
    Wording {
        language: "es",
        confirmed: true,
        before: "Tu código de verificación es ",
        after: ".",
        security: "Por tu seguridad, no lo compartas.",
        footer: "Este código caduca en # minutos.",
        button: "Copiar código",
    },
    Wording {
        language: "fr",
        confirmed: false,
        before: "Votre code de vérification est ",
        after: ".",
        security: "Pour votre sécurité, ne le partagez pas.",
        footer: "Ce code expire dans # minutes.",
        button: "Copier le code",
    },
    Wording {
        language: "hi",
        confirmed: false,
        before: "",
        after: " आपका वेरिफ़िकेशन कोड है.",
        security: "अपनी सुरक्षा के लिए, इस कोड को किसी के साथ शेयर न करें.",
        footer: "यह कोड # मिनट में समाप्त हो जाएगा.",
        button: "कोड कॉपी करें",
    },
    Wording {
        language: "ja",
        confirmed: false,
        before: "",
        after: "があなたの認証コードです。",
        security: "セキュリティのため、このコードは他の人に共有しないでください。",
        footer: "このコードは#分後に期限切れとなります。",
        button: "コードをコピー",
    },
    Wording {
        language: "nl",
        confirmed: false,
        before: "",
        after: " is je verificatiecode.",
        security: "Deel deze code om veiligheidsredenen niet.",
        footer: "Deze code verloopt over # minuten.",
        button: "Code kopiëren",
    },
    Wording {
        language: "pt_BR",
        confirmed: false,
        before: "Seu código de verificação é ",
        after: ".",
        security: "Para sua segurança, não o compartilhe.",
        footer: "Este código expira em # minutos.",
        button: "Copiar código",
    },
    Wording {
        language: "zh_CN",
        confirmed: false,
        before: "",
        after: " 是你的验证码。",
        security: "为安全起见，请不要分享这组验证码。",
        footer: "这组验证码将在 # 分钟后过期。",
        button: "复制验证码",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_reads_as_meta_writes_it() {
        let wording = Wording::of("en-GB");
        assert_eq!(
            wording.body("482913"),
            "*482913* is your verification code. For your security, do not share this code."
        );
        assert_eq!(wording.footer(5), "This code expires in 5 minutes.");
        assert_eq!(wording.button, "Copy code");
    }

    #[test]
    fn every_language_names_the_code_once_in_bold_and_the_minutes_once() {
        for wording in WORDINGS {
            assert_eq!(wording.body("482913").matches("*482913*").count(), 1, "{wording:?}");
            assert_eq!(wording.footer(7).matches('7').count(), 1, "{wording:?}");
            assert!(
                !wording.body("").contains("  ") && !wording.footer(7).contains('#'),
                "{wording:?}"
            );
            assert_eq!(Wording::of(wording.language), wording);
        }
        assert_eq!(Wording::of("pt-PT").language, "pt_BR");
        assert_eq!(Wording::of("zh-Hant-TW").language, "zh_CN");
        for unknown in ["tlh", "", "-", "e", "english"] {
            assert_eq!(Wording::of(unknown).language, "en", "{unknown}");
        }
    }
}
