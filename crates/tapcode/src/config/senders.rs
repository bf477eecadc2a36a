//! Who sends? The WhatsApp accounts and SMS numbers, each with the settings of its provider.

use std::collections::BTreeSet;

use tapcode_core::plan::Channel;
use tapcode_engine::rates::RateCards;
use tapcode_providers::infobip::IndiaDlt;
use tapcode_providers::vonage::Api;
use tapcode_providers::webhook::{AnswerRules, Body, Format, Proof, ReceiptRules, Webhook, WebhookConfig};

use super::prices::billing_currency;
use super::reader::{At, Bounds, Given, Reading, Table};
use super::sections::address;
use super::{
    BasicCredentials, CallBounds, Infobip, Kannel, Messagebird, Registration, Secret, Sinch, SmsNumber, SmsProvider, Telnyx,
    Twilio, TwilioApiKey, Vonage, WhatsappAccount, WhatsappCloud, WhatsappProvider,
};

/// The simulated phones.
pub(super) const SANDBOX: &str = "sandbox";
/// Twilio's Messages API.
pub(super) const TWILIO: &str = "twilio";
/// Meta's WhatsApp Cloud API.
pub(super) const WHATSAPP_CLOUD: &str = "whatsapp_cloud";

/// Infobip's SMS API.
pub(super) const INFOBIP: &str = "infobip";
/// A Kannel, or a gateway that speaks as it does.
pub(super) const KANNEL: &str = "kannel";
/// MessageBird's SMS API.
pub(super) const MESSAGEBIRD: &str = "messagebird";
/// Sinch's SMS REST API.
pub(super) const SINCH: &str = "sinch";
/// Telnyx's Messaging API.
pub(super) const TELNYX: &str = "telnyx";
/// Vonage's Messages API or SMS API.
pub(super) const VONAGE: &str = "vonage";
/// Any HTTP gateway.
pub(super) const WEBHOOK: &str = "webhook";
/// Everybody who carries text messages for money, by the name in the configuration and in price tables.
pub(super) const SMS_PROVIDERS: [&str; 8] = [INFOBIP, KANNEL, MESSAGEBIRD, SINCH, TELNYX, TWILIO, VONAGE, WEBHOOK];
/// Providers of later versions, so that they are not taken for slips of the pen.
const NOT_YET: [&str; 1] = ["smpp"];
/// Longest name of a template: Meta takes 1 to 512 of `a-z 0-9 _`
/// (<https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates>, read 2026-11-22).
const TEMPLATE_NAME_MAX: usize = 512;
/// Most messages a second of one sender: more than one machine makes.
const PER_SECOND_MAX: u32 = 1_000_000;
/// Shortest and longest time that a call may take. Milliseconds: providers on other continents answer within a second, and
/// an answer has to come before the message counts as unclear without one, after 30 s.
const DEADLINE_MS_MIN: u32 = 1_000;
const DEADLINE_MS_MAX: u32 = 25_000;
/// The time where none is written. Milliseconds.
const DEADLINE_MS_DEFAULT: u32 = 10_000;
/// Most calls under way at once to one sender's provider.
const CALLS_AT_ONCE_MAX: u32 = 4_096;
/// So many where nothing is written.
const CALLS_AT_ONCE_DEFAULT: u32 = 256;
/// Longest sender of letters and digits: GSM 03.40 leaves eleven characters for it.
const ALPHANUMERIC_MAX: usize = 11;

const CLOUD_KEYS: [&str; 11] = [
    "base_url",
    "api_version",
    "waba_id",
    "phone_number_id",
    "access_token",
    "access_token_file",
    "app_secret",
    "app_secret_file",
    "verify_token",
    "verify_token_file",
    "identity_check",
];
const TWILIO_KEYS: [&str; 8] = [
    "base_url",
    "account_sid",
    "auth_token",
    "auth_token_file",
    "api_key_sid",
    "api_key_secret",
    "api_key_secret_file",
    "messaging_service_sid",
];

const INFOBIP_KEYS: [&str; 11] = [
    "base_url",
    "api_key",
    "api_key_file",
    "callback_secret",
    "callback_secret_file",
    "callback_username",
    "callback_password",
    "callback_password_file",
    "dlt_principal_entity_id",
    "dlt_content_template_id",
    "dlt_telemarketer_id",
];
const KANNEL_KEYS: [&str; 6] = [
    "send_url",
    "username",
    "password",
    "password_file",
    "callback_secret",
    "callback_secret_file",
];
const MESSAGEBIRD_KEYS: [&str; 7] = [
    "base_url",
    "access_key",
    "access_key_file",
    "signing_key",
    "signing_key_file",
    "callback_secret",
    "callback_secret_file",
];
const SINCH_KEYS: [&str; 8] = [
    "base_url",
    "service_plan_id",
    "api_token",
    "api_token_file",
    "signing_secret",
    "signing_secret_file",
    "callback_secret",
    "callback_secret_file",
];
const TELNYX_KEYS: [&str; 5] = ["base_url", "api_key", "api_key_file", "public_key", "messaging_profile_id"];
const VONAGE_KEYS: [&str; 9] = [
    "api",
    "base_url",
    "api_key",
    "api_secret",
    "api_secret_file",
    "signature_secret",
    "signature_secret_file",
    "callback_secret",
    "callback_secret_file",
];
const WEBHOOK_KEYS: [&str; 25] = [
    "method",
    "url",
    "headers",
    "authorization",
    "authorization_file",
    "json",
    "form",
    "answer_id",
    "answer_status",
    "answer_taken",
    "answer_refused",
    "receipt_format",
    "receipt_id",
    "receipt_status",
    "receipt_reason",
    "receipt_account",
    "receipt_sent",
    "receipt_delivered",
    "receipt_failed",
    "receipt_unreachable",
    "receipt_secret",
    "receipt_secret_file",
    "receipt_signature_header",
    "receipt_signature_prefix",
    "receipt_signature_base64",
];
const ALL_SMS_KEYS: [&[&str]; 8] = [
    &TWILIO_KEYS,
    &INFOBIP_KEYS,
    &KANNEL_KEYS,
    &MESSAGEBIRD_KEYS,
    &SINCH_KEYS,
    &TELNYX_KEYS,
    &VONAGE_KEYS,
    &WEBHOOK_KEYS,
];
/// What a gateway's receipts go to while the configuration is judged; the server knows where it is only when it listens.
const CALLBACK_TO_COME: &str = "https://callback.invalid";

/// A sender that a workflow may name, whether or not the rest of it could be read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) channel: Channel,
    pub(super) id: u32,
    pub(super) provider: &'static str,
}

/// All senders.
pub(super) struct Senders {
    pub(super) accounts: Vec<WhatsappAccount>,
    pub(super) numbers: Vec<SmsNumber>,
    pub(super) known: Vec<Known>,
    /// Channels of which some sender has no readable id or provider: who is missing there cannot be told.
    pub(super) unsure: BTreeSet<Channel>,
}

impl Senders {
    /// The senders on a channel.
    pub(super) fn on(&self, channel: Channel) -> Vec<&Known> {
        self.known.iter().filter(|known| known.channel == channel).collect()
    }

    /// Whether anybody's phone can be reached.
    pub(super) fn some_real(&self) -> bool {
        self.known.iter().any(|known| known.provider != SANDBOX)
    }
}

/// Reads both lists.
pub(super) fn read(reading: &Reading, root: &mut Table<'_>, rates: &RateCards) -> Senders {
    let mut senders = Senders {
        accounts: Vec::new(),
        numbers: Vec::new(),
        known: Vec::new(),
        unsure: BTreeSet::new(),
    };
    let mut seen = Seen::default();
    for table in root.sections("whatsapp_accounts") {
        let account = account(reading, table, &mut senders, &mut seen, rates);
        senders.accounts.extend(account);
    }
    let mut seen = Seen::default();
    for table in root.sections("numbers") {
        let number = number(reading, table, &mut senders, &mut seen);
        senders.numbers.extend(number);
    }
    senders
}

/// What must not be there twice.
#[derive(Default)]
struct Seen(BTreeSet<(&'static str, String)>);

impl Seen {
    fn once(&mut self, reading: &Reading, what: &'static str, value: &str, at: &At, instead: &str) -> bool {
        let new = self.0.insert((what, value.to_owned()));
        if !new {
            reading.problem(at, "is the same as of an entry before", instead);
        }
        new
    }
}

/// The id and provider of an entry.
fn head(
    reading: &Reading,
    table: &mut Table<'_>,
    channel: Channel,
    providers: &[(&'static str, &'static str)],
    senders: &mut Senders,
    seen: &mut Seen,
) -> (Option<u32>, Option<&'static str>) {
    let bounds = Bounds {
        range: 1..=u32::MAX,
        unit: "as its id",
        because: "",
    };
    let id = match table.take("id") {
        Some(item) => {
            let at = item.at.clone();
            item.number(&bounds).filter(|id| {
                seen.once(
                    reading,
                    "id",
                    &id.to_string(),
                    &at,
                    "give each entry of the list an id of its own",
                )
            })
        }
        None => {
            table.problem(
                &table.at("id"),
                "is missing",
                "give it a number, by which workflows and callers name it",
            );
            None
        }
    };
    let names: Vec<&str> = providers.iter().map(|(name, _)| *name).collect();
    let provider = table
        .needed_text("provider", &format!("write one of {}", names.join(", ")))
        .and_then(|(text, at)| {
            if NOT_YET.contains(&text.as_str()) {
                reading.problem(
                    &at,
                    format!("is `{text}`, which this build does not have"),
                    format!("write one of {}", names.join(", ")),
                );
                return None;
            }
            super::reader::word(reading, &text, &at, providers)
        });
    match (id, provider) {
        (Some(id), Some(provider)) => senders.known.push(Known { channel, id, provider }),
        _ => drop(senders.unsure.insert(channel)),
    }
    (id, provider)
}

fn account(
    reading: &Reading,
    mut table: Table<'_>,
    senders: &mut Senders,
    seen: &mut Seen,
    rates: &RateCards,
) -> Option<WhatsappAccount> {
    let providers = [(WHATSAPP_CLOUD, WHATSAPP_CLOUD), (SANDBOX, SANDBOX)];
    let (id, provider) = head(reading, &mut table, Channel::Whatsapp, &providers, senders, seen);
    let template = table
        .needed_text("template", "name the authentication template, such as \"login_otp\"")
        .and_then(|(text, at)| {
            let fits = text.len() <= TEMPLATE_NAME_MAX && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            checked(
                reading,
                text,
                &at,
                fits,
                "is no name of a template",
                "Meta takes a-z, 0-9 and _, such as \"login_otp\"",
            )
        });
    let languages = languages(reading, &mut table);
    let pace = call_bounds(&mut table);
    let billing_currency = billing_currency(reading, &mut table, rates);
    let provider = match provider {
        Some(WHATSAPP_CLOUD) => cloud(reading, &mut table, seen).map(WhatsappProvider::Cloud),
        Some(_) => {
            table.unused(&CLOUD_KEYS, "the provider is the sandbox");
            Some(WhatsappProvider::Sandbox)
        }
        None => {
            skip(&mut table, &CLOUD_KEYS);
            None
        }
    };
    table.finish();
    let (template_language, template_languages) = languages?;
    Some(WhatsappAccount {
        id: id?,
        provider: provider?,
        template: template?,
        template_language,
        template_languages,
        pace,
        billing_currency: billing_currency?,
    })
}

/// The language to fall back on, and all in which the template is approved: that one alone where no list is given.
fn languages(reading: &Reading, table: &mut Table<'_>) -> Option<(String, Vec<String>)> {
    let (at, given) = (table.at("template_language"), table.has("template_language"));
    let default = match table.text("template_language") {
        Some((text, at)) => template_language(reading, text, &at),
        None if given => None,
        None => Some("en".to_owned()),
    };
    let (list_at, list_given) = (table.at("template_languages"), table.has("template_languages"));
    let items = match table.list("template_languages") {
        Some(items) => items,
        None if list_given => return None,
        None => return default.map(|default| (default.clone(), vec![default])),
    };
    if items.is_empty() {
        let instead = "name the languages in which Meta has approved the template, or remove it";
        reading.problem(&list_at, "is empty", instead);
        return None;
    }
    let given = items.len();
    let mut approved: Vec<String> = Vec::with_capacity(given);
    for item in items {
        let Some((text, at)) = item.text() else {
            continue;
        };
        match template_language(reading, text, &at) {
            Some(code) if approved.contains(&code) => {
                reading.problem(&at, "is in the list before", "remove one of the two");
            }
            Some(code) => approved.push(code),
            None => {}
        }
    }
    let default = default?;
    if approved.len() < given {
        return None;
    }
    if !approved.contains(&default) {
        reading.problem(
            &at,
            format!("is `{default}`, which is not among template_languages"),
            format!("write one of {}, or add it there", approved.join(", ")),
        );
        return None;
    }
    Some((default, approved))
}

fn template_language(reading: &Reading, text: String, at: &At) -> Option<String> {
    let instead = if text.contains('-') && is_template_language(&text.replace('-', "_")) {
        format!("write \"{}\"", text.replace('-', "_"))
    } else {
        "write it as Meta does, such as \"en\", \"nl\" or \"pt_BR\"".into()
    };
    let fits = is_template_language(&text);
    checked(reading, text, at, fits, "is no language of a template", &instead)
}

fn cloud(reading: &Reading, table: &mut Table<'_>, seen: &mut Seen) -> Option<WhatsappCloud> {
    let base_url = base_url(reading, table, "https://graph.facebook.com");
    let api_version = match table.text("api_version") {
        None => Some("v25.0".to_owned()),
        Some((text, at)) => {
            let fits = text
                .strip_prefix('v')
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(major, minor)| is_digits(major, 3) && is_digits(minor, 3));
            checked(
                reading,
                text,
                &at,
                fits,
                "is no version of the Graph API",
                "write one such as \"v25.0\"",
            )
        }
    };
    let waba_id = meta_id(
        reading,
        table,
        "waba_id",
        "the WhatsApp Business Account's id from Meta's Business Manager",
    );
    let phone_number_id_at = table.at("phone_number_id");
    let phone_number_id = meta_id(reading, table, "phone_number_id", "the number's id from Meta's App Dashboard").filter(|id| {
        seen.once(
            reading,
            "phone_number_id",
            id,
            &phone_number_id_at,
            "write each number of Meta's once; receipts could not tell the entries apart",
        )
    });
    let access_token = table.needed_secret("access_token");
    let app_secret = table.needed_secret("app_secret");
    let verify_token = table.needed_secret("verify_token");
    let identity_check = table.boolean("identity_check", false);
    Some(WhatsappCloud {
        base_url: base_url?,
        api_version: api_version?,
        waba_id: waba_id?,
        phone_number_id: phone_number_id?,
        access_token: access_token?,
        app_secret: app_secret?,
        verify_token: verify_token?,
        identity_check,
    })
}

fn number(reading: &Reading, mut table: Table<'_>, senders: &mut Senders, seen: &mut Seen) -> Option<SmsNumber> {
    let providers = [
        (INFOBIP, INFOBIP),
        (KANNEL, KANNEL),
        (MESSAGEBIRD, MESSAGEBIRD),
        (SINCH, SINCH),
        (TELNYX, TELNYX),
        (TWILIO, TWILIO),
        (VONAGE, VONAGE),
        (WEBHOOK, WEBHOOK),
        (SANDBOX, SANDBOX),
    ];
    let (id, provider) = head(reading, &mut table, Channel::Sms, &providers, senders, seen);
    let (number_at, number_given) = (table.at("number"), table.has("number"));
    let number = match table.text("number") {
        None if number_given => Given::Wrong,
        None => Given::Not,
        Some((text, at)) => {
            let fits = is_sms_sender(&text);
            let instead = "write E.164 such as \"+3197010253000\", a short code of 3 to 8 digits, or up to 11 letters and digits";
            match checked(reading, text, &at, fits, "is no sender of text messages", instead) {
                Some(text) if seen.once(reading, "number", &text, &at, "write each number once") => Given::As(text, at),
                _ => Given::Wrong,
            }
        }
    };
    let is_gateway = matches!(provider, Some(KANNEL | WEBHOOK));
    let pace = call_bounds(&mut table);
    let countries = table
        .has("countries")
        .then(|| super::services::countries(reading, &mut table, &mut BTreeSet::new()));
    let registrations = registrations(reading, &mut table);
    let dedicated_to_otp = table.word("dedicated_to", &[("otp", true)]).unwrap_or(false);
    let provider = match provider {
        Some(TWILIO) => {
            unused_but(&mut table, &TWILIO_KEYS, "the provider is twilio");
            twilio(reading, &mut table).map(SmsProvider::Twilio)
        }
        Some(INFOBIP) => {
            unused_but(&mut table, &INFOBIP_KEYS, "the provider is infobip");
            infobip(reading, &mut table).map(SmsProvider::Infobip)
        }
        Some(KANNEL) => {
            unused_but(&mut table, &KANNEL_KEYS, "the provider is kannel");
            kannel(reading, &mut table).map(SmsProvider::Kannel)
        }
        Some(MESSAGEBIRD) => {
            unused_but(&mut table, &MESSAGEBIRD_KEYS, "the provider is messagebird");
            messagebird(reading, &mut table).map(SmsProvider::Messagebird)
        }
        Some(SINCH) => {
            unused_but(&mut table, &SINCH_KEYS, "the provider is sinch");
            sinch(reading, &mut table).map(SmsProvider::Sinch)
        }
        Some(TELNYX) => {
            unused_but(&mut table, &TELNYX_KEYS, "the provider is telnyx");
            telnyx(reading, &mut table).map(SmsProvider::Telnyx)
        }
        Some(VONAGE) => {
            unused_but(&mut table, &VONAGE_KEYS, "the provider is vonage");
            vonage(reading, &mut table).map(SmsProvider::Vonage)
        }
        Some(WEBHOOK) => {
            unused_but(&mut table, &WEBHOOK_KEYS, "the provider is webhook");
            let from = match &number {
                Given::As(number, _) => Some(number.as_str()),
                Given::Not | Given::Wrong => None,
            };
            webhook(reading, &mut table, from).map(|config| SmsProvider::Webhook(Box::new(config)))
        }
        Some(_) => {
            unused_but(&mut table, &[], "the provider is the sandbox");
            Some(SmsProvider::Sandbox)
        }
        None => {
            for keys in ALL_SMS_KEYS {
                skip(&mut table, keys);
            }
            None
        }
    };
    let number = match (number, &provider) {
        (Given::As(number, _), _) => Some(Some(number)),
        (Given::Wrong, _) => None,
        (Given::Not, Some(SmsProvider::Twilio(twilio))) if twilio.messaging_service_sid.is_some() => Some(None),
        (Given::Not, Some(SmsProvider::Telnyx(telnyx))) if telnyx.messaging_profile_id.is_some() => Some(None),
        // The gateway knows whom its messages are from, unless a template or `number` says it.
        (Given::Not, _) if is_gateway => Some(None),
        (Given::Not, _) => {
            table.problem(
                &number_at,
                "is missing",
                "write the number that messages come from, such as \"+3197010253000\"",
            );
            None
        }
    };
    table.finish();
    Some(SmsNumber {
        id: id?,
        number: number?,
        provider: provider?,
        dedicated_to_otp,
        pace,
        countries,
        registrations,
    })
}

/// Where a sender is registered.
fn registrations(reading: &Reading, table: &mut Table<'_>) -> Vec<Registration> {
    let mut all: Vec<Registration> = Vec::new();
    for mut entry in table.sections("registrations") {
        let here = entry.here().clone();
        let country = entry
            .needed_text("country", "write the country's two capitals, such as \"US\"")
            .and_then(|(text, at)| {
                let country = super::country(&text).ok();
                if country.is_none() {
                    reading.problem(&at, "is no country", "write two capitals of ISO 3166-1, such as \"US\"");
                }
                country
            });
        let id = entry.needed_text("id", "write the 10DLC campaign, the DLT entity or the sender's registration");
        let template_at = entry.at("template_id");
        let template_id = entry.text("template_id").map(|(text, _)| text);
        entry.finish();
        let Some((country, (id, _))) = country.zip(id) else {
            continue;
        };
        if country.as_str() == "IN" && template_id.is_none() {
            let instead = "write the id of the template that the text of codes is registered as";
            reading.problem(
                &template_at,
                "is missing, and carriers in India drop texts without one",
                instead,
            );
        } else if all.iter().any(|before| before.country == country) {
            reading.problem(&here, "is for a country of an entry before", "remove one of the two");
        } else {
            all.push(Registration {
                country,
                id,
                template_id,
            });
        }
    }
    all
}

/// How a sender's provider may be called.
fn call_bounds(table: &mut Table<'_>) -> CallBounds {
    let milliseconds = Bounds {
        range: DEADLINE_MS_MIN..=DEADLINE_MS_MAX,
        unit: "milliseconds",
        because: "",
    };
    let at_once = Bounds {
        range: 1..=CALLS_AT_ONCE_MAX,
        unit: "calls",
        because: "",
    };
    let per_second = Bounds {
        range: 1..=PER_SECOND_MAX,
        unit: "messages a second",
        because: "",
    };
    CallBounds {
        deadline_ms: table.number("deadline_ms", DEADLINE_MS_DEFAULT, &milliseconds),
        calls_at_once: table.number("calls_at_once", CALLS_AT_ONCE_DEFAULT, &at_once),
        messages_per_second: table.take("messages_per_second").and_then(|item| item.number(&per_second)),
    }
}

/// Warns of settings of other providers.
fn unused_but(table: &mut Table<'_>, own: &[&str], why: &str) {
    for keys in ALL_SMS_KEYS {
        let others: Vec<&str> = keys.iter().copied().filter(|key| !own.contains(key)).collect();
        table.unused(&others, why);
    }
}

fn infobip(reading: &Reading, table: &mut Table<'_>) -> Option<Infobip> {
    const EXAMPLE: &str = "https://xyz123.api.infobip.com";
    let base_url = table
        .needed_text(
            "base_url",
            &format!("write the account's own base URL, such as \"{EXAMPLE}\""),
        )
        .and_then(|(text, at)| address(reading, &text, &at, EXAMPLE));
    let api_key = table.needed_secret("api_key");
    let credentials = callback_credentials(reading, table);
    let is_basic = !matches!(credentials, Given::Not);
    let or = ", or callback_username and callback_password of a subscription at Infobip";
    let callback_secret = callback_secret(reading, table, is_basic, or);
    let mut text = |key: &str| table.text(key);
    let entity = text("dlt_principal_entity_id");
    let (template, telemarketer) = (text("dlt_content_template_id"), text("dlt_telemarketer_id"));
    if let (None, Some((_, at))) = (&entity, template.as_ref().or(telemarketer.as_ref())) {
        reading.problem(
            at,
            "is given, and dlt_principal_entity_id is not",
            "write the principal entity's id from the DLT registration",
        );
        return None;
    }
    let without_place = |given: Option<(String, At)>| given.map(|(text, _)| text);
    let india_dlt = entity.map(|(principal_entity_id, _)| IndiaDlt {
        principal_entity_id,
        content_template_id: without_place(template),
        telemarketer_id: without_place(telemarketer),
    });
    Some(Infobip {
        base_url: base_url?,
        api_key: api_key?,
        callback_secret: unless_wrong(callback_secret)?,
        callback_credentials: unless_wrong(credentials)?,
        india_dlt,
    })
}

/// The credentials of a subscription; its name and its password are there together, or neither is.
fn callback_credentials(reading: &Reading, table: &mut Table<'_>) -> Given<BasicCredentials> {
    let password_at = table.at("callback_password");
    let (name_given, username) = (table.has("callback_username"), table.text("callback_username"));
    match (username, table.secret("callback_password")) {
        (None, Given::Not) if !name_given => Given::Not,
        (Some((username, at)), Given::As(password, _)) => {
            if username.contains(':') {
                let wrong = "has a colon in it, which basic credentials cannot carry";
                reading.problem(&at, wrong, "write a name without one");
                return Given::Wrong;
            }
            Given::As(BasicCredentials { username, password }, at)
        }
        (Some(_), Given::Not) => {
            let instead = "write the password of that name, which the subscription at Infobip has";
            reading.problem(&password_at, "is missing, so that no report could be believed", instead);
            Given::Wrong
        }
        (None, Given::As(_, at)) if !name_given => {
            let instead = "write callback_username, which the subscription at Infobip has";
            reading.problem(&at, "is given, and its user's name is not", instead);
            Given::Wrong
        }
        // What is wrong with one of them has been told.
        (None, _) | (_, Given::Wrong) => Given::Wrong,
    }
}

fn kannel(reading: &Reading, table: &mut Table<'_>) -> Option<Kannel> {
    const EXAMPLE: &str = "http://127.0.0.1:13013/cgi-bin/sendsms";
    let send_url = table
        .needed_text(
            "send_url",
            &format!("write where the gateway takes messages, such as \"{EXAMPLE}\""),
        )
        .and_then(|(text, at)| address(reading, &text, &at, EXAMPLE));
    let username = table.needed_text("username", "write the name of a sendsms-user of the gateway's");
    let password = table.needed_secret("password");
    let callback_secret = callback_secret(reading, table, false, "");
    Some(Kannel {
        send_url: send_url?,
        username: username?.0,
        password: password?,
        callback_secret: optional(callback_secret)?,
    })
}

fn messagebird(reading: &Reading, table: &mut Table<'_>) -> Option<Messagebird> {
    let base_url = base_url(reading, table, "https://rest.messagebird.com");
    let access_key = table.needed_secret("access_key");
    let signing_key = table.secret("signing_key");
    let is_signed = !matches!(signing_key, Given::Not);
    let callback_secret = callback_secret(reading, table, is_signed, ", or signing_key where MessageBird signs");
    Some(Messagebird {
        base_url: base_url?,
        access_key: access_key?,
        signing_key: unless_wrong(signing_key)?,
        callback_secret: unless_wrong(callback_secret)?,
    })
}

fn sinch(reading: &Reading, table: &mut Table<'_>) -> Option<Sinch> {
    let base_url = base_url(reading, table, "https://eu.sms.api.sinch.com");
    let plan = "write the service plan's id from Sinch's dashboard";
    let service_plan_id = table.needed_text("service_plan_id", plan).and_then(|(text, at)| {
        let fits = text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        checked(reading, text, &at, fits, "is no id of a service plan", plan)
    });
    let api_token = table.needed_secret("api_token");
    let signing_secret = table.secret("signing_secret");
    let is_signed = !matches!(signing_secret, Given::Not);
    let callback_secret = callback_secret(reading, table, is_signed, ", or signing_secret where Sinch signs");
    Some(Sinch {
        base_url: base_url?,
        service_plan_id: service_plan_id?,
        api_token: api_token?,
        signing_secret: optional(signing_secret),
        callback_secret: unless_wrong(callback_secret)?,
    })
}

fn telnyx(reading: &Reading, table: &mut Table<'_>) -> Option<Telnyx> {
    let base_url = base_url(reading, table, "https://api.telnyx.com");
    let api_key = table.needed_secret("api_key");
    let key_is = "write the account's public key as Telnyx's portal shows it: 44 characters of base 64";
    let public_key = table.needed_text("public_key", key_is).and_then(|(text, at)| {
        let is_key = tapcode_providers::telnyx::public_key(&text).is_some();
        checked(reading, text, &at, is_key, "is no public key", key_is)
    });
    let profile_given = table.has("messaging_profile_id");
    let profile = table.text("messaging_profile_id").and_then(|(text, at)| {
        let fits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        let instead = "write the id of a messaging profile, such as \"4000eba1-a0c0-4563-9925-b25e842a7cb6\"";
        checked(reading, text, &at, fits, "is no id of a messaging profile", instead)
    });
    if profile_given && profile.is_none() {
        return None;
    }
    Some(Telnyx {
        base_url: base_url?,
        api_key: api_key?,
        public_key: public_key?,
        messaging_profile_id: profile,
    })
}

fn vonage(reading: &Reading, table: &mut Table<'_>) -> Option<Vonage> {
    let api_given = table.has("api");
    let api = match table.word("api", &[("messages", Api::Messages), ("sms", Api::Sms)]) {
        None if !api_given => Some(Api::Messages),
        api => api,
    };
    let default = match api {
        Some(Api::Sms) => "https://rest.nexmo.com",
        Some(Api::Messages) | None => "https://api.nexmo.com",
    };
    let base_url = base_url(reading, table, default);
    let key_is = "write the account's API key from Vonage's dashboard: letters and digits";
    let api_key = table.needed_text("api_key", key_is).and_then(|(text, at)| {
        let fits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
        checked(reading, text, &at, fits, "is no API key", key_is)
    });
    let api_secret = table.needed_secret("api_secret");
    let signature_secret = table.secret("signature_secret");
    let is_signed = !matches!(signature_secret, Given::Not);
    let callback_secret = callback_secret(reading, table, is_signed, ", or signature_secret where Vonage signs");
    Some(Vonage {
        api: api?,
        base_url: base_url?,
        api_key: api_key?,
        api_secret: api_secret?,
        signature_secret: unless_wrong(signature_secret)?,
        callback_secret: unless_wrong(callback_secret)?,
    })
}

/// A secret of ours in the address that a vendor is told to call. It is needed unless reports are proven otherwise; `or` says
/// how else they could be.
fn callback_secret(reading: &Reading, table: &mut Table<'_>, proven_otherwise: bool, or: &str) -> Given<Secret> {
    const PLAIN: &str = "write 16 to 128 letters, digits, hyphens or underscores";
    let missing_at = table.at("callback_secret");
    match table.secret("callback_secret") {
        Given::As(secret, at) => {
            let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
            if (16..=128).contains(&secret.expose().len()) && secret.expose().bytes().all(plain) {
                return Given::As(secret, at);
            }
            reading.problem(&at, "is no secret that an address carries as it is", PLAIN);
            Given::Wrong
        }
        Given::Not if !proven_otherwise => {
            let instead = format!("{PLAIN} of your own{or}");
            reading.problem(&missing_at, "is missing, so that no report could be believed", instead);
            Given::Wrong
        }
        given => given,
    }
}

fn twilio(reading: &Reading, table: &mut Table<'_>) -> Option<Twilio> {
    let base_url = base_url(reading, table, "https://api.twilio.com");
    let account_sid = table
        .needed_text(
            "account_sid",
            "write the account's SID from Twilio's console: AC and 32 hexadecimal digits",
        )
        .and_then(|(text, at)| sid(reading, text, &at, "AC"));
    let auth_token = table.needed_secret("auth_token");
    let (api_key_sid_at, api_key_sid_given) = (table.at("api_key_sid"), table.has("api_key_sid"));
    let key_sid = table.text("api_key_sid").and_then(|(text, at)| sid(reading, text, &at, "SK"));
    let key_secret = match (&key_sid, table.secret("api_key_secret")) {
        (Some(_), Given::Not) => {
            reading.problem(
                &api_key_sid_at,
                "is given, and its secret is not",
                "name a file that holds it in `api_key_secret_file`, or remove `api_key_sid`",
            );
            None
        }
        (None, Given::As(_, at)) if !api_key_sid_given => {
            reading.problem(
                &at,
                "is given, and `api_key_sid` is not",
                "write the key's SID: SK and 32 hexadecimal digits",
            );
            None
        }
        (_, Given::As(secret, _)) => Some(secret),
        (_, Given::Not | Given::Wrong) => None,
    };
    let messaging_service_sid = table
        .text("messaging_service_sid")
        .and_then(|(text, at)| sid(reading, text, &at, "MG"));
    Some(Twilio {
        base_url: base_url?,
        account_sid: account_sid?,
        auth_token: auth_token?,
        api_key: key_sid.zip(key_secret).map(|(sid, secret)| TwilioApiKey { sid, secret }),
        messaging_service_sid,
    })
}

/// A gateway by templates. Whatever is wrong with one is told here, by the provider's own judgement.
fn webhook(reading: &Reading, table: &mut Table<'_>, from: Option<&str>) -> Option<WebhookConfig> {
    let whole = table.here().clone();
    let at = |table: &mut Table<'_>, key: &str| if table.has(key) { table.at(key) } else { whole.clone() };
    let places: Vec<(&str, At)> = WEBHOOK_KEYS.iter().map(|key| (*key, at(table, key))).collect();
    let method = table.text("method").map_or_else(|| "POST".to_owned(), |(text, _)| text);
    let url = table.needed_text("url", "write the gateway's address, such as \"https://sms.example.com/send\"");
    let headers = texts_of(table, "headers");
    let authorization = optional(table.secret("authorization"));
    let json = table.text("json").map(|(text, _)| text);
    let form = table.text("form");
    let body = match (json, form) {
        (Some(_), Some((_, at))) => {
            reading.problem(&at, "is given, and so is json", "remove one of the two");
            skip(table, &WEBHOOK_KEYS);
            return None;
        }
        (Some(json), None) => Body::Json(json),
        (None, Some((form, _))) => Body::Form(form),
        (None, None) => Body::None,
    };
    let mut text = |key: &str| table.text(key).map(|(text, _)| text);
    let (answer_id, answer_status) = (text("answer_id"), text("answer_status"));
    let (receipt_id, receipt_status, receipt_reason) = (text("receipt_id"), text("receipt_status"), text("receipt_reason"));
    let (header, prefix) = (text("receipt_signature_header"), text("receipt_signature_prefix"));
    let format = table.word("receipt_format", &[("json", Format::Json), ("form", Format::Form)]);
    let is_base64 = table.boolean("receipt_signature_base64", false);
    let answers = AnswerRules {
        id: answer_id,
        // The empty JSON Pointer is the whole; an empty setting is none.
        status: answer_status.map(|place| if place == "body" { String::new() } else { place }),
        taken: texts_of(table, "answer_taken"),
        refused: texts_of(table, "answer_refused"),
    };
    let secret = optional(table.secret("receipt_secret"));
    let account = texts_of(table, "receipt_account");
    let rules = receipt_status.map(|status| ReceiptRules {
        format: format.unwrap_or(Format::Json),
        id: receipt_id,
        status,
        reason: receipt_reason,
        account: <[String; 2]>::try_from(account).ok().map(|[place, value]| (place, value)),
        sent: texts_of(table, "receipt_sent"),
        delivered: texts_of(table, "receipt_delivered"),
        failed: texts_of(table, "receipt_failed"),
        unreachable: texts_of(table, "receipt_unreachable"),
    });
    if rules.is_none() {
        table.unused(
            &["receipt_sent", "receipt_delivered", "receipt_failed", "receipt_unreachable"],
            "receipt_status does not say where the word stands",
        );
    }
    let provider_secret = |secret: Secret| tapcode_providers::secret::Secret::new(secret.expose().to_owned());
    let receipts = rules.map(|rules| {
        let secret = secret.map_or_else(|| "".into(), provider_secret);
        let proof = match header {
            Some(header) => Proof::Hmac {
                header: header.to_ascii_lowercase(),
                prefix: prefix.unwrap_or_default(),
                secret,
                is_base64,
            },
            None => Proof::Address(secret),
        };
        (CALLBACK_TO_COME.to_owned(), rules, proof)
    });
    let headers: Vec<(String, String)> = headers
        .into_iter()
        .map(|header| match header.split_once(':') {
            Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
            None => (String::new(), header),
        })
        .collect();
    let config = WebhookConfig {
        method,
        url: url?.0,
        headers,
        authorization: authorization.map(provider_secret),
        body,
        from: from.map(ToOwned::to_owned),
        answers,
        receipts,
    };
    match Webhook::new(config.clone()) {
        Ok(_) => Some(config),
        Err(error) => {
            let place = places.iter().find(|(key, _)| *key == error.key);
            let (wrong, at) = place.map_or(("does not work", &whole), |(_, at)| ("does not work", at));
            reading.problem(at, format!("{wrong} ({})", error.key), format!("write {}", error.remedy));
            None
        }
    }
}

fn texts_of(table: &mut Table<'_>, key: &str) -> Vec<String> {
    let items = table.list(key).unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| item.text().map(|(text, _)| text))
        .collect()
}

fn optional<T>(given: Given<T>) -> Option<T> {
    match given {
        Given::As(value, _) => Some(value),
        Given::Not | Given::Wrong => None,
    }
}

/// `None` for what is wrong, which has been told.
fn unless_wrong<T>(given: Given<T>) -> Option<Option<T>> {
    match given {
        Given::As(value, _) => Some(Some(value)),
        Given::Not => Some(None),
        Given::Wrong => None,
    }
}

fn base_url(reading: &Reading, table: &mut Table<'_>, default: &str) -> Option<String> {
    match table.text("base_url") {
        None => Some(default.to_owned()),
        Some((text, at)) => address(reading, &text, &at, default),
    }
}

/// Asks for settings without judging them: which provider they are for is not known.
fn skip(table: &mut Table<'_>, keys: &[&str]) {
    for key in keys {
        drop(table.take(key));
    }
}

/// The text if it fits; a problem that does not repeat it if not.
fn checked(reading: &Reading, text: String, at: &At, fits: bool, wrong: &str, instead: &str) -> Option<String> {
    if !fits {
        reading.problem(at, wrong, instead);
    }
    fits.then_some(text)
}

fn meta_id(reading: &Reading, table: &mut Table<'_>, key: &str, what: &str) -> Option<String> {
    let (text, at) = table.needed_text(key, &format!("write {what}, in quotes"))?;
    let fits = is_digits(&text, 32);
    checked(
        reading,
        text,
        &at,
        fits,
        "is no id of Meta's, which are all digits",
        &format!("write {what}, in quotes"),
    )
}

fn sid(reading: &Reading, text: String, at: &At, prefix: &str) -> Option<String> {
    let fits = text
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|c| c.is_ascii_hexdigit()));
    checked(
        reading,
        text,
        at,
        fits,
        "is no SID of this kind",
        &format!("write {prefix} and 32 hexadecimal digits"),
    )
}

fn is_digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
}

/// Two or three small letters, and `_` with two or three capitals or digits behind them where there is a region.
fn is_template_language(text: &str) -> bool {
    let (language, region) = text
        .split_once('_')
        .map_or((text, None), |(language, region)| (language, Some(region)));
    (2..=3).contains(&language.len())
        && language.bytes().all(|c| c.is_ascii_lowercase())
        && region.is_none_or(|region| {
            (2..=3).contains(&region.len()) && region.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        })
}

fn is_sms_sender(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix('+') {
        return (7..=15).contains(&digits.len()) && is_digits(digits, 15) && !digits.starts_with('0');
    }
    let short_code = (3..=8).contains(&text.len()) && is_digits(text, 8);
    let letters = text.len() <= ALPHANUMERIC_MAX
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b' ')
        && text.bytes().any(|c| c.is_ascii_alphabetic())
        && text.trim() == text;
    short_code || letters
}
