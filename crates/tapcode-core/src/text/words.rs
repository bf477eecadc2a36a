//! Which words does each language have for a code by text message?
//!
//! Where a language allows it, the words stay in the GSM alphabet, because a letter outside it leaves 70 characters instead
//! of 160. A sentence about minutes stands once for each plural form that the language has by CLDR, through `icu_plurals`.

use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};

use PluralCategory::{Few, One, Other, Two, Zero};

/// The sentences of a language. `{code}`, `{brand}`, `{details}` and `{n}` stand for what is put in.
#[derive(Debug)]
pub(super) struct Words {
    /// Its BCP 47 tag, in lower case, as far as it matters.
    pub(super) tag: &'static str,
    /// The code, and whose it is.
    code: &'static str,
    /// What a bound code confirms.
    only_for: &'static str,
    /// How long it is good, for each plural form; the last is for all others.
    good_for: &'static [(PluralCategory, &'static str)],
    /// Not to pass it on.
    pub(super) warning: &'static str,
    /// What stands between two sentences.
    pub(super) between: &'static str,
}

impl Words {
    pub(super) fn code(&self, brand: &str, code: &str) -> String {
        // The code first: a brand may hold what looks like a placeholder.
        let (before, after) = self.code.split_once("{code}").unwrap_or((self.code, ""));
        let with_brand = |part: &str| part.replace("{brand}", brand);
        format!("{}{code}{}", with_brand(before), with_brand(after))
    }

    pub(super) fn only_for(&self, details: &str) -> String {
        self.only_for.replace("{details}", details)
    }

    pub(super) fn good_for(&self, minutes: u32) -> String {
        let rules = self.tag.parse::<Locale>().ok();
        let rules = rules.and_then(|locale| PluralRules::try_new_cardinal(locale.into()).ok());
        let category = rules.map_or(Other, |rules| rules.category_for(minutes));
        let form = self.good_for.iter().find(|(of, _)| *of == category);
        let (_, text) = form.or(self.good_for.last()).expect("every language has words for minutes");
        text.replace("{n}", &minutes.to_string())
    }
}

/// The language of a BCP 47 tag; English where there is none. The first subtag decides, for Chinese also script and region.
pub(super) fn of(locale: &str) -> &'static Words {
    let locale = locale.to_ascii_lowercase();
    let mut subtags = locale.split(['-', '_']);
    let tag = match subtags.next().unwrap_or_default() {
        "zh" => {
            let subtags: Vec<&str> = subtags.collect();
            // A script outranks a region: zh-Hans-HK is written in simplified characters.
            let traditional = !subtags.contains(&"hans") && subtags.iter().any(|s| matches!(*s, "hant" | "tw" | "hk" | "mo"));
            if traditional { "zh-hant" } else { "zh" }
        }
        // Old codes that Java still writes, and names of one language by another.
        "in" => "id",
        "iw" => "he",
        "no" | "nn" => "nb",
        "tl" => "fil",
        "sh" | "bs" => "hr",
        tag => tag,
    };
    let found = ALL.iter().find(|words| *words.tag == *tag);
    found.unwrap_or_else(|| ALL.iter().find(|words| words.tag == "en").expect("there is English"))
}

const SPACE: &str = " ";

/// All languages, by tag.
pub(super) static ALL: &[Words] = &[
    Words {
        tag: "af",
        code: "{code} is jou {brand}-kode.",
        only_for: "Slegs om te bevestig: {details}.",
        good_for: &[(One, "Dit verval oor {n} minuut."), (Other, "Dit verval oor {n} minute.")],
        warning: "Moet dit met niemand deel nie.",
        between: SPACE,
    },
    Words {
        tag: "ar",
        // Starts with an Arabic word, so that the line runs from right to left as a whole.
        code: "رمز {brand}: {code}.",
        only_for: "فقط لتأكيد: {details}.",
        good_for: &[
            (One, "صالح لمدة دقيقة واحدة."),
            (Two, "صالح لمدة دقيقتين."),
            (Few, "صالح لمدة {n} دقائق."),
            (Other, "صالح لمدة {n} دقيقة."),
        ],
        warning: "لا تشاركه مع أحد.",
        between: SPACE,
    },
    Words {
        tag: "az",
        code: "{brand} kodu: {code}.",
        only_for: "Yalnız təsdiq üçün: {details}.",
        good_for: &[(Other, "{n} dəqiqə keçərlidir.")],
        warning: "Heç kimə verməyin.",
        between: SPACE,
    },
    Words {
        tag: "bg",
        code: "{code} е код за {brand}.",
        only_for: "Само за потвърждение на: {details}.",
        good_for: &[(One, "Валиден {n} минута."), (Other, "Валиден {n} минути.")],
        warning: "Не го споделяйте.",
        between: SPACE,
    },
    Words {
        tag: "bn",
        code: "{brand} কোড: {code}।",
        only_for: "শুধু নিশ্চিত করতে: {details}।",
        good_for: &[(Other, "{n} মিনিট বৈধ।")],
        warning: "কাউকে জানাবেন না।",
        between: SPACE,
    },
    Words {
        tag: "ca",
        code: "{code} és el teu codi de {brand}.",
        only_for: "Només per confirmar: {details}.",
        good_for: &[(One, "Caduca en {n} minut."), (Other, "Caduca en {n} minuts.")],
        warning: "No el diguis a altres persones.",
        between: SPACE,
    },
    Words {
        tag: "cs",
        code: "{code} je kód {brand}.",
        only_for: "Pouze pro potvrzení: {details}.",
        good_for: &[
            (One, "Platí {n} minutu."),
            (Few, "Platí {n} minuty."),
            (Other, "Platí {n} minut."),
        ],
        warning: "Nikomu ho nesdělujte.",
        between: SPACE,
    },
    Words {
        tag: "da",
        code: "{code} er din kode til {brand}.",
        only_for: "Kun til at bekræfte: {details}.",
        good_for: &[(One, "Den gælder i {n} minut."), (Other, "Den gælder i {n} minutter.")],
        warning: "Del den ikke med nogen.",
        between: SPACE,
    },
    Words {
        tag: "de",
        code: "{code} ist der Code für {brand}.",
        only_for: "Nur zur Bestätigung von: {details}.",
        good_for: &[(One, "Er gilt {n} Minute."), (Other, "Er gilt {n} Minuten.")],
        warning: "Bitte niemandem weitergeben.",
        between: SPACE,
    },
    Words {
        tag: "el",
        code: "{code}: κωδικός {brand}.",
        only_for: "Μόνο για επιβεβαίωση: {details}.",
        good_for: &[(One, "Ισχύει {n} λεπτό."), (Other, "Ισχύει {n} λεπτά.")],
        warning: "Μην τον μοιραστείτε.",
        between: SPACE,
    },
    Words {
        tag: "en",
        code: "{code} is your {brand} code.",
        only_for: "Only to confirm: {details}.",
        good_for: &[(One, "It expires in {n} minute."), (Other, "It expires in {n} minutes.")],
        warning: "Do not share it with anyone.",
        between: SPACE,
    },
    Words {
        tag: "es",
        // `código` would leave the GSM alphabet; clave is as common and stays in it.
        code: "{code} es tu clave de {brand}.",
        only_for: "Solo para confirmar: {details}.",
        good_for: &[(One, "Vence en {n} minuto."), (Other, "Vence en {n} minutos.")],
        warning: "No la compartas con nadie.",
        between: SPACE,
    },
    Words {
        tag: "et",
        code: "{code} on teie {brand} kood.",
        only_for: "Ainult kinnitamiseks: {details}.",
        good_for: &[(One, "See kehtib {n} minuti."), (Other, "See kehtib {n} minutit.")],
        warning: "Ärge jagage seda kellegagi.",
        between: SPACE,
    },
    Words {
        tag: "eu",
        code: "{code} da zure {brand} kodea.",
        only_for: "Hau berresteko bakarrik: {details}.",
        good_for: &[(Other, "{n} minutuz balio du.")],
        warning: "Ez eman inori.",
        between: SPACE,
    },
    Words {
        tag: "fa",
        code: "کد {brand}: {code}.",
        only_for: "فقط برای تأیید: {details}.",
        good_for: &[(Other, "تا {n} دقیقه معتبر است.")],
        warning: "آن را به کسی ندهید.",
        between: SPACE,
    },
    Words {
        tag: "fi",
        code: "{brand}-koodisi on {code}.",
        only_for: "Vain vahvistamaan: {details}.",
        good_for: &[
            (One, "Se on voimassa {n} minuutin."),
            (Other, "Se on voimassa {n} minuuttia."),
        ],
        warning: "Älä kerro sitä kenellekään.",
        between: SPACE,
    },
    Words {
        tag: "fil",
        code: "{code} ang iyong {brand} code.",
        only_for: "Para lang kumpirmahin ang: {details}.",
        good_for: &[(Other, "Mag-e-expire sa loob ng {n} minuto.")],
        warning: "Huwag ibahagi kaninuman.",
        between: SPACE,
    },
    Words {
        tag: "fr",
        code: "{code} est votre code {brand}.",
        only_for: "Uniquement pour confirmer : {details}.",
        good_for: &[(One, "Il expire dans {n} minute."), (Other, "Il expire dans {n} minutes.")],
        warning: "Ne le partagez avec personne.",
        between: SPACE,
    },
    Words {
        tag: "he",
        code: "קוד {brand}: {code}.",
        only_for: "רק לאישור: {details}.",
        good_for: &[
            (One, "בתוקף לדקה אחת."),
            (Two, "בתוקף לשתי דקות."),
            (Other, "בתוקף ל-{n} דקות."),
        ],
        warning: "אל תשתפו עם איש.",
        between: SPACE,
    },
    Words {
        tag: "hi",
        code: "{code} आपका {brand} कोड है।",
        only_for: "केवल इसकी पुष्टि के लिए: {details}।",
        good_for: &[(Other, "{n} मिनट मान्य।")],
        warning: "किसी को न बताएं।",
        between: SPACE,
    },
    Words {
        tag: "hr",
        code: "{code} je kod za {brand}.",
        only_for: "Samo za potvrdu: {details}.",
        good_for: &[
            (One, "Traje {n} minutu."),
            (Few, "Traje {n} minute."),
            (Other, "Traje {n} minuta."),
        ],
        warning: "Nemojte ga dijeliti ni s kim.",
        between: SPACE,
    },
    Words {
        tag: "hu",
        code: "{brand} kód: {code}.",
        only_for: "Csak ennek megerősítésére: {details}.",
        good_for: &[(Other, "{n} percig érvényes.")],
        warning: "Ne adja meg senkinek.",
        between: SPACE,
    },
    Words {
        tag: "hy",
        code: "{brand} կոդ՝ {code}։",
        only_for: "Միայն հաստատելու համար՝ {details}։",
        good_for: &[(Other, "Գործում է {n} րոպե։")],
        warning: "Ոչ ոքի մի՛ ասեք։",
        between: SPACE,
    },
    Words {
        tag: "id",
        code: "{code} adalah kode {brand} Anda.",
        only_for: "Hanya untuk konfirmasi: {details}.",
        good_for: &[(Other, "Berlaku {n} menit.")],
        warning: "Jangan berikan kepada siapa pun.",
        between: SPACE,
    },
    Words {
        tag: "it",
        code: "{code} è il tuo codice {brand}.",
        only_for: "Solo per confermare: {details}.",
        good_for: &[(One, "Scade tra {n} minuto."), (Other, "Scade tra {n} minuti.")],
        warning: "Non condividerlo con nessuno.",
        between: SPACE,
    },
    Words {
        tag: "ja",
        code: "{brand}の認証コード：{code}。",
        only_for: "確認する取引：{details}。",
        good_for: &[(Other, "有効期限は{n}分です。")],
        warning: "他人に教えないでください。",
        between: "",
    },
    Words {
        tag: "ka",
        code: "{brand} კოდი: {code}.",
        only_for: "მხოლოდ დასადასტურებლად: {details}.",
        good_for: &[(Other, "მოქმედებს {n} წუთი.")],
        warning: "არავის უთხრათ.",
        between: SPACE,
    },
    Words {
        tag: "kk",
        code: "{brand} коды: {code}.",
        only_for: "Тек растау үшін: {details}.",
        good_for: &[(Other, "{n} минут жарамды.")],
        warning: "Ешкімге айтпаңыз.",
        between: SPACE,
    },
    Words {
        tag: "ko",
        code: "[{brand}] 인증번호 {code}.",
        only_for: "다음 확인용: {details}.",
        good_for: &[(Other, "{n}분 동안 유효합니다.")],
        warning: "타인에게 알려주지 마세요.",
        between: SPACE,
    },
    Words {
        tag: "lt",
        code: "{code} yra {brand} kodas.",
        only_for: "Tik patvirtinti: {details}.",
        good_for: &[
            (Few, "Galioja {n} minutes."),
            // The other forms have letters that are not in the GSM alphabet, and would leave 70 characters.
            (Other, "Galioja {n} min."),
        ],
        warning: "Niekam jo nesakykite.",
        between: SPACE,
    },
    Words {
        tag: "lv",
        code: "{code} ir {brand} kods.",
        only_for: "Tikai apstiprināšanai: {details}.",
        good_for: &[
            (Zero, "Derīgs {n} minūtes."),
            (One, "Derīgs {n} minūti."),
            (Other, "Derīgs {n} minūtes."),
        ],
        warning: "Neizpaudiet to.",
        between: SPACE,
    },
    Words {
        tag: "mk",
        code: "{code} е код за {brand}.",
        only_for: "Само за потврда на: {details}.",
        good_for: &[(One, "Важи {n} минута."), (Other, "Важи {n} минути.")],
        warning: "Не го споделувајте.",
        between: SPACE,
    },
    Words {
        tag: "ms",
        code: "{code} ialah kod {brand} anda.",
        only_for: "Hanya untuk mengesahkan: {details}.",
        good_for: &[(Other, "Sah selama {n} minit.")],
        warning: "Jangan kongsi dengan sesiapa.",
        between: SPACE,
    },
    Words {
        tag: "nb",
        code: "{code} er koden din for {brand}.",
        only_for: "Kun for å bekrefte: {details}.",
        good_for: &[(One, "Den gjelder i {n} minutt."), (Other, "Den gjelder i {n} minutter.")],
        warning: "Ikke del den med noen.",
        between: SPACE,
    },
    Words {
        tag: "nl",
        code: "{code} is de code voor {brand}.",
        only_for: "Alleen ter bevestiging van: {details}.",
        good_for: &[(One, "Hij is {n} minuut geldig."), (Other, "Hij is {n} minuten geldig.")],
        warning: "Deel hem met niemand.",
        between: SPACE,
    },
    Words {
        tag: "pl",
        code: "{code} to kod {brand}.",
        only_for: "Tylko do potwierdzenia: {details}.",
        good_for: &[(One, "Wygasa po {n} minucie."), (Other, "Wygasa po {n} minutach.")],
        warning: "Nie podawaj go nikomu.",
        between: SPACE,
    },
    Words {
        tag: "pt",
        // `código` would leave the GSM alphabet; PIN is as common and stays in it.
        code: "{code} é o seu PIN {brand}.",
        only_for: "Apenas para confirmar: {details}.",
        good_for: &[(One, "Expira em {n} minuto."), (Other, "Expira em {n} minutos.")],
        warning: "Nunca o partilhe com outras pessoas.",
        between: SPACE,
    },
    Words {
        tag: "ro",
        code: "{code} este codul {brand}.",
        only_for: "Doar pentru confirmare: {details}.",
        good_for: &[
            (One, "Valabil {n} minut."),
            (Few, "Valabil {n} minute."),
            (Other, "Valabil {n} de minute."),
        ],
        warning: "Nu divulga codul altor persoane.",
        between: SPACE,
    },
    Words {
        tag: "ru",
        code: "Код {brand}: {code}.",
        only_for: "Только для подтверждения: {details}.",
        good_for: &[
            (One, "Действует {n} минуту."),
            (Few, "Действует {n} минуты."),
            (Other, "Действует {n} минут."),
        ],
        warning: "Никому не говорите.",
        between: SPACE,
    },
    Words {
        tag: "sk",
        code: "{code} je kód {brand}.",
        only_for: "Iba na potvrdenie: {details}.",
        good_for: &[
            (One, "Platí {n} minútu."),
            (Few, "Platí {n} minúty."),
            (Other, "Platí {n} minút."),
        ],
        warning: "Nikomu ho nehovorte.",
        between: SPACE,
    },
    Words {
        tag: "sl",
        code: "{code} je koda za {brand}.",
        only_for: "Samo za potrditev: {details}.",
        good_for: &[
            (One, "Velja {n} minuto."),
            (Two, "Velja {n} minuti."),
            (Few, "Velja {n} minute."),
            (Other, "Velja {n} minut."),
        ],
        warning: "Ne delite je z nikomer.",
        between: SPACE,
    },
    Words {
        tag: "sq",
        code: "Kodi i {brand}: {code}.",
        only_for: "Vetëm për konfirmim: {details}.",
        good_for: &[(One, "Vlen {n} minutë."), (Other, "Vlen {n} minuta.")],
        warning: "Mos ia jepni askujt.",
        between: SPACE,
    },
    Words {
        tag: "sr",
        code: "{code} je kod za {brand}.",
        only_for: "Samo za potvrdu: {details}.",
        good_for: &[
            (One, "Traje {n} minut."),
            (Few, "Traje {n} minuta."),
            (Other, "Traje {n} minuta."),
        ],
        warning: "Nemojte ga deliti ni sa kim.",
        between: SPACE,
    },
    Words {
        tag: "sv",
        code: "{code} är din kod för {brand}.",
        only_for: "Endast för att bekräfta: {details}.",
        good_for: &[(One, "Den gäller i {n} minut."), (Other, "Den gäller i {n} minuter.")],
        warning: "Dela den inte med någon.",
        between: SPACE,
    },
    Words {
        tag: "sw",
        code: "{code} ni msimbo wako wa {brand}.",
        only_for: "Kwa kuthibitisha tu: {details}.",
        good_for: &[(Other, "Unatumika kwa dakika {n}.")],
        warning: "Usimpe mtu yeyote.",
        between: SPACE,
    },
    Words {
        tag: "th",
        code: "รหัส {brand}: {code}",
        only_for: "ใช้ยืนยันเท่านั้น: {details}",
        good_for: &[(Other, "หมดอายุใน {n} นาที")],
        warning: "อย่าบอกผู้อื่น",
        between: SPACE,
    },
    Words {
        tag: "tr",
        code: "{brand} kodunuz: {code}.",
        only_for: "Onaylanacak: {details}.",
        good_for: &[(Other, "{n} dakika sonra sona erer.")],
        warning: "Kimseye vermeyin.",
        between: SPACE,
    },
    Words {
        tag: "uk",
        code: "Код {brand}: {code}.",
        only_for: "Лише для підтвердження: {details}.",
        good_for: &[
            (One, "Діє {n} хвилину."),
            (Few, "Діє {n} хвилини."),
            (Other, "Діє {n} хвилин."),
        ],
        warning: "Нікому не кажіть.",
        between: SPACE,
    },
    Words {
        tag: "ur",
        code: "کوڈ {brand}: {code}۔",
        only_for: "صرف تصدیق کے لیے: {details}۔",
        good_for: &[(Other, "{n} منٹ کے لیے درست۔")],
        warning: "کسی کو نہ بتائیں۔",
        between: SPACE,
    },
    Words {
        tag: "uz",
        code: "{brand} kodi: {code}.",
        only_for: "Faqat tasdiqlash uchun: {details}.",
        good_for: &[(Other, "{n} daqiqa amal qiladi.")],
        warning: "Uni hech kimga bermang.",
        between: SPACE,
    },
    Words {
        tag: "vi",
        code: "Mã {brand}: {code}.",
        only_for: "Chỉ để xác nhận: {details}.",
        good_for: &[(Other, "Hết hạn sau {n} phút.")],
        warning: "Không chia sẻ với ai.",
        between: SPACE,
    },
    Words {
        tag: "zh",
        code: "【{brand}】验证码：{code}。",
        only_for: "仅用于确认：{details}。",
        good_for: &[(Other, "{n}分钟内有效。")],
        warning: "请勿告诉他人。",
        between: "",
    },
    Words {
        tag: "zh-hant",
        code: "【{brand}】驗證碼：{code}。",
        only_for: "僅用於確認：{details}。",
        good_for: &[(Other, "{n}分鐘內有效。")],
        warning: "請勿告訴他人。",
        between: "",
    },
];
