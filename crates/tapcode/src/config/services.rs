//! Whose verifications are made, under which limits and over which routes?

use std::collections::BTreeSet;

use tapcode_core::code::{CODE_MAX, Code, GENERATED_MIN};
use tapcode_core::number::{Country, Number};
use tapcode_core::plan::{Channel, IdentityChange, PLAN_STEPS_MAX, Plan, Route, Step, WAIT_MS_MAX};
use tapcode_core::recipient::ServiceName;
use tapcode_core::text::{OwnText, OwnTextError};
use tapcode_core::verification::{CODE_TTL_MS_MAX, Limits};

use tapcode_engine::contract::account::App;

use super::countries::{NoCountry, country};
use super::finding::quoted;
use super::reader::{At, Bounds, Item, Reading, Table};
use super::senders::{Known, SANDBOX, Senders};
use super::{CountryWorkflow, Sandbox, Service, TestNumber};

/// Longest brand, in characters: it stands in every text message, beside the code.
const BRAND_MAX: usize = 40;
/// How long a step waits that says nothing of it. Milliseconds.
const WAIT_MS: u32 = 10_000;
/// Shortest wait of a step, in milliseconds: a shorter one pays twice for every message.
const WAIT_MS_MIN: u32 = 100;
/// Most texts of one service.
const TEXTS_MAX: usize = 100;
/// Most apps that codes of one service are handed to: Meta takes five for one template
/// (<https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/autofill-button-authentication-templates>,
/// read 2026-11-22).
const APPS_MAX: usize = 5;
/// Longest package of an app, in characters: the same source.
const PACKAGE_MAX: usize = 224;
/// Characters of a signing key's hash: the same source.
const APP_HASH_CHARS: usize = 11;
/// Most failed checks in a row that a number may have.
const IN_A_ROW_MAX: u32 = 100;

const NIST_CODE: &str = "NIST SP 800-63B-4 section 3.1.3.2 asks for six decimal digits at least";
const NIST_TTL: &str = "NIST SP 800-63B-4 section 3.1.3.2 ends a code after ten minutes";
const NIST_IN_A_ROW: &str = "NIST SP 800-63B-4 section 3.2.2 allows no more than 100 failures in a row";

/// Reads the list. `None` only when a problem was noted.
pub(super) fn read(reading: &Reading, root: &mut Table<'_>, senders: &Senders, sandbox: &Sandbox) -> Option<Vec<Service>> {
    let at = root.at("services");
    let entries = match root.take("services") {
        None => {
            reading.problem(
                &at,
                "is missing: there is nobody to verify for",
                "add [[services]] with a name and a brand",
            );
            return None;
        }
        Some(item) => item.list()?,
    };
    if entries.is_empty() {
        reading.problem(
            &at,
            "is empty: there is nobody to verify for",
            "add [[services]] with a name and a brand",
        );
        return None;
    }
    let mut names = BTreeSet::new();
    let services: Vec<Option<Service>> = entries
        .into_iter()
        .map(|entry| {
            entry
                .table()
                .and_then(|table| service(reading, table, senders, sandbox, &mut names))
        })
        .collect();
    services.into_iter().collect()
}

fn service(
    reading: &Reading,
    mut table: Table<'_>,
    senders: &Senders,
    sandbox: &Sandbox,
    names: &mut BTreeSet<ServiceName>,
) -> Option<Service> {
    let name = table
        .needed_text("name", "name it, such as \"acme\"; API keys belong to the name")
        .and_then(|(text, at)| {
            let name = ServiceName::parse(&text);
            match &name {
                None => reading.problem(&at, "is no name of a service", "write 1 to 40 of a-z, 0-9, _ and -"),
                Some(name) if !names.insert(name.clone()) => {
                    reading.problem(
                        &at,
                        format!("is {}, as a service before is called", quoted(&text)),
                        "give each service a name of its own",
                    );
                }
                Some(_) => {}
            }
            name
        });
    let brand = table
        .needed_text("brand", "write the name that people know, such as \"Acme\"")
        .and_then(|(text, at)| {
            let fits = text.chars().count() <= BRAND_MAX && !text.chars().any(char::is_control);
            if !fits {
                reading.problem(
                    &at,
                    "is too long, or has a line break in it",
                    format!("write at most {BRAND_MAX} characters on one line"),
                );
            }
            fits.then_some(text)
        });
    let default_locale = table.text("default_locale").map_or_else(
        || "en".to_owned(),
        |(text, at)| {
            if !is_locale(&text) {
                let instead = if is_locale(&text.replace('_', "-")) {
                    format!("write \"{}\"", text.replace('_', "-"))
                } else {
                    "write a BCP 47 tag such as \"en\" or \"pt-BR\"".into()
                };
                reading.problem(&at, format!("is {}", quoted(&text)), instead);
            }
            text
        },
    );
    let most_digits = u32::try_from(CODE_MAX).expect("a code has at most ten characters");
    let code_length = table.number(
        "code_length",
        u32::from(GENERATED_MIN),
        &Bounds {
            range: u32::from(GENERATED_MIN)..=most_digits,
            unit: "digits",
            because: NIST_CODE,
        },
    );
    let code_length = u8::try_from(code_length).expect("bounded to ten");
    let ttl_s_max = u32::try_from(CODE_TTL_MS_MAX / 1_000).expect("ten minutes");
    let code_ttl_s = table.number(
        "code_ttl_s",
        300,
        &Bounds {
            range: 30..=ttl_s_max,
            unit: "seconds",
            because: NIST_TTL,
        },
    );
    let limits = limits(reading, &mut table, code_ttl_s);
    let own_codes = table.boolean("own_codes", false);
    let wait_bounds = Bounds {
        range: WAIT_MS_MIN..=WAIT_MS_MAX,
        unit: "milliseconds",
        because: "",
    };
    let wait_ms = table.number("wait_ms", WAIT_MS, &wait_bounds);
    let judge = Judge {
        reading,
        senders,
        sandbox,
        wait_ms,
        code_ttl_s,
        limits,
    };
    let (workflow, workflows) = workflows(&mut table, &judge);
    let test_numbers = test_numbers(reading, &mut table, code_length);
    let identity_change = table
        .word(
            "after_identity_change",
            &[("hold", IdentityChange::Hold), ("fall_back", IdentityChange::FallBack)],
        )
        .unwrap_or_default();
    let apps = apps(reading, &mut table);
    let for_texts = ForTexts {
        brand: brand.as_deref().unwrap_or_default(),
        code_digits: if own_codes {
            u8::try_from(CODE_MAX).unwrap_or(u8::MAX)
        } else {
            code_length
        },
        has_app: !apps.is_empty(),
    };
    let texts = texts(reading, &mut table, &for_texts);
    table.finish();
    let workflow = workflow?;
    Some(Service {
        name: name?,
        brand: brand?,
        default_locale,
        code_length,
        code_ttl_ms: u64::from(code_ttl_s) * 1_000,
        limits,
        own_codes,
        wait_ms,
        routes: routes(&workflow, senders),
        workflow,
        workflows: workflows?,
        test_numbers,
        identity_change,
        apps,
        texts,
    })
}

fn limits(reading: &Reading, table: &mut Table<'_>, code_ttl_s: u32) -> Limits {
    let defaults = Limits::default();
    let count = |most, unit, because| Bounds {
        range: 1..=most,
        unit,
        because,
    };
    let max_checks = table.number(
        "max_checks",
        defaults.max_checks.into(),
        &count(10, "guesses", "every further guess makes guessing right as much more likely"),
    );
    let cooldown_at = table.at("resend_cooldown_s");
    let cooldown_s = table.number(
        "resend_cooldown_s",
        defaults.resend_cooldown_ms / 1_000,
        &Bounds {
            range: 0..=3_600,
            unit: "seconds",
            because: "",
        },
    );
    if cooldown_s >= code_ttl_s {
        reading.warning(
            &cooldown_at,
            format!("is {cooldown_s}, and a code lives {code_ttl_s} seconds: nobody will be able to ask for it again"),
            format!("write less than {code_ttl_s}"),
        );
    }
    let max_sends_per_hour = table.number(
        "max_sends_per_hour",
        defaults.max_sends_per_hour.into(),
        &count(60, "messages", "each one is paid for, and annoys whoever did not ask for it"),
    );
    let lock_after_at = table.at("lock_after");
    let lock_after = table.number(
        "lock_after",
        defaults.lock_after.into(),
        &count(IN_A_ROW_MAX, "failed checks", NIST_IN_A_ROW),
    );
    let lock_s = table.number(
        "lock_s",
        defaults.lock_ms / 1_000,
        &Bounds {
            range: 60..=86_400,
            unit: "seconds",
            because: "",
        },
    );
    let lock_for_good_after = table.number(
        "lock_for_good_after",
        defaults.lock_for_good_after.into(),
        &count(IN_A_ROW_MAX, "failed checks", NIST_IN_A_ROW),
    );
    if lock_after > lock_for_good_after {
        reading.problem(
            &lock_after_at,
            format!("is {lock_after}, and the number is locked for good after {lock_for_good_after} already"),
            format!("write at most {lock_for_good_after}, or raise lock_for_good_after"),
        );
    }
    let small = |value: u32| u16::try_from(value).expect("bounded far below 65,536");
    Limits {
        max_checks: small(max_checks),
        resend_cooldown_ms: cooldown_s * 1_000,
        max_sends_per_hour: small(max_sends_per_hour),
        lock_after: small(lock_after),
        lock_ms: lock_s * 1_000,
        lock_for_good_after: small(lock_for_good_after),
    }
}

/// What steps are judged by.
struct Judge<'c> {
    reading: &'c Reading,
    senders: &'c Senders,
    sandbox: &'c Sandbox,
    wait_ms: u32,
    code_ttl_s: u32,
    limits: Limits,
}

fn workflows(table: &mut Table<'_>, judge: &Judge<'_>) -> (Option<Plan>, Option<Vec<CountryWorkflow>>) {
    let at = table.at("workflow");
    let workflow = match table.take("workflow") {
        Some(item) => plan(item, judge),
        None => default_plan(&at, judge),
    };
    let mut taken: BTreeSet<Country> = BTreeSet::new();
    let mut workflows = Some(Vec::new());
    for mut entry in table.sections("workflows") {
        let countries = countries(judge.reading, &mut entry, &mut taken);
        let steps_at = entry.at("steps");
        let steps = match entry.take("steps") {
            Some(item) => plan(item, judge),
            None => {
                let at = entry.at("steps");
                entry.problem(&at, "is missing", "write steps = [ {channel = \"sms\"}, … ]");
                None
            }
        };
        entry.finish();
        match (steps, &mut workflows) {
            (Some(steps), Some(all)) => {
                judge.may_send(&steps, &countries, &steps_at);
                all.push(CountryWorkflow { countries, steps });
            }
            _ => workflows = None,
        }
    }
    (workflow, workflows)
}

pub(super) fn countries(reading: &Reading, entry: &mut Table<'_>, taken: &mut BTreeSet<Country>) -> Vec<Country> {
    let (at, given) = (entry.at("countries"), entry.has("countries"));
    let Some(items) = entry.list("countries") else {
        if !given {
            reading.problem(
                &at,
                "is missing",
                "write the countries that these steps are for, such as [\"NL\", \"DE\"]",
            );
        }
        return Vec::new();
    };
    if items.is_empty() {
        reading.problem(
            &at,
            "is empty",
            "write the countries that these steps are for, such as [\"NL\", \"DE\"]",
        );
    }
    let mut countries = Vec::new();
    for item in items {
        let Some((text, at)) = item.text() else {
            continue;
        };
        match country(&text) {
            Ok(country) if taken.insert(country) => countries.push(country),
            Ok(_) => reading.problem(
                &at,
                format!("is {}, which was named before in this service", quoted(&text)),
                "name each country once: only one of its workflows can be taken",
            ),
            Err(NoCountry { meant: Some(meant) }) => {
                reading.problem(
                    &at,
                    format!("is {}, which is no ISO 3166-1 country", quoted(&text)),
                    format!("write \"{meant}\""),
                );
            }
            Err(NoCountry { meant: None }) => reading.problem(
                &at,
                format!("is {}, which is no ISO 3166-1 country", quoted(&text)),
                "write its two letters, such as \"NL\" (https://www.iso.org/obp/ui/#search/code/)",
            ),
        }
    }
    countries
}

fn plan(item: Item<'_>, judge: &Judge<'_>) -> Option<Plan> {
    let at = item.at.clone();
    let items = item.list()?;
    if items.is_empty() || items.len() > PLAN_STEPS_MAX {
        judge.reading.problem(
            &at,
            format!("has {} steps", items.len()),
            format!("write 1 to {PLAN_STEPS_MAX} steps"),
        );
        return None;
    }
    let steps: Vec<Option<Step>> = items.into_iter().map(|item| step(item, judge)).collect();
    let steps: Vec<Step> = steps.into_iter().collect::<Option<_>>()?;
    judge.warn(&steps, &at);
    Plan::new(steps)
}

fn step(item: Item<'_>, judge: &Judge<'_>) -> Option<Step> {
    let reading = item.reading();
    let mut table = item.table()?;
    let here = table.here().clone();
    let channel = match table.needed_text("channel", "write channel = \"whatsapp\" or \"sms\"") {
        None => None,
        Some((text, at)) => super::reader::word(reading, &text, &at, &[("whatsapp", Channel::Whatsapp), ("sms", Channel::Sms)]),
    };
    let sender_at = table.at("sender");
    let sender_given = table.take("sender");
    let sender = match (channel, sender_given) {
        (None, _) => None,
        (Some(channel), Some(item)) => item
            .number(&Bounds {
                range: 1..=u32::MAX,
                unit: "as the id of a sender",
                because: "",
            })
            .and_then(|id| judge.sender(channel, id, &sender_at)),
        (Some(channel), None) => judge.only_sender(channel, &here),
    };
    let bounds = Bounds {
        range: WAIT_MS_MIN..=WAIT_MS_MAX,
        unit: "milliseconds",
        because: "",
    };
    let wait_ms = table.number("wait_ms", judge.wait_ms, &bounds);
    table.finish();
    let sender = sender?;
    judge.allow(sender, &here);
    Some(Step {
        route: route(sender),
        wait_ms,
    })
}

fn route(sender: &Known) -> Route {
    Route {
        channel: sender.channel,
        sender: sender.id,
        provider: sender.provider.into(),
    }
}

/// WhatsApp first, SMS as the fallback, as far as there is exactly one of each.
fn default_plan(at: &At, judge: &Judge<'_>) -> Option<Plan> {
    let mut steps = Vec::new();
    for channel in [Channel::Whatsapp, Channel::Sms] {
        match judge.senders.on(channel)[..] {
            [] => {}
            [only] => {
                judge.allow(only, at);
                steps.push(Step {
                    route: route(only),
                    wait_ms: judge.wait_ms,
                });
            }
            _ => {
                judge.reading.problem(
                    at,
                    format!("is missing, and there are several senders for {channel}"),
                    "write workflow = [ {channel = …, sender = …}, … ]",
                );
                return None;
            }
        }
    }
    if steps.is_empty() {
        if judge.senders.unsure.is_empty() {
            judge.reading.problem(
                at,
                "is missing, and there is no sender to make one of",
                "add [[whatsapp_accounts]] or [[numbers]]",
            );
        }
        return None;
    }
    judge.warn(&steps, at);
    Plan::new(steps)
}

impl<'c> Judge<'c> {
    /// Says where the senders of a country's steps may never send to it: all of them is a problem, some a warning.
    fn may_send(&self, plan: &Plan, countries: &[Country], at: &At) {
        let number = |step: &Step| {
            let numbers = self.senders.numbers.iter();
            numbers
                .into_iter()
                .find(|n| step.route.channel == Channel::Sms && n.id == step.route.sender)
        };
        for country in countries {
            let never =
                |step: &Step| number(step).and_then(|n| n.never_in(*country).map(|why| format!("sms sender {}: {why}", n.id)));
            let whys: Vec<String> = plan.steps().iter().filter_map(never).collect();
            if whys.is_empty() {
                continue;
            }
            let wrong = format!("may not be taken in {}, where {}", country.as_str(), whys.join("; "));
            let instead = "name a sender that may send there, or write down its registration in [[numbers.registrations]]";
            if whys.len() == plan.steps().len() {
                self.reading.problem(at, wrong, instead);
            } else {
                self.reading
                    .warning(at, format!("in part {wrong}: it is passed over there"), instead);
            }
        }
    }

    fn sender(&self, channel: Channel, id: u32, at: &At) -> Option<&'c Known> {
        let on_channel = self.senders.on(channel);
        let found = on_channel.iter().copied().find(|known| known.id == id);
        if found.is_none() && !self.senders.unsure.contains(&channel) {
            let ids: Vec<String> = on_channel.iter().map(|known| known.id.to_string()).collect();
            let (what, list) = words(channel);
            let instead = match &ids[..] {
                [] => format!("add [[{list}]] with id = {id}"),
                _ => format!("write one of the ids under [[{list}]]: {}", ids.join(", ")),
            };
            self.reading
                .problem(at, format!("is {id}, and no {what} has that id"), instead);
        }
        found
    }

    fn only_sender(&self, channel: Channel, at: &At) -> Option<&'c Known> {
        let (what, list) = words(channel);
        match self.senders.on(channel)[..] {
            [only] if !self.senders.unsure.contains(&channel) => Some(only),
            _ if self.senders.unsure.contains(&channel) => None,
            [] => {
                self.reading.problem(
                    at,
                    format!("has no sender, and there is no {what}"),
                    format!("add [[{list}]]"),
                );
                None
            }
            [..] => {
                let ids: Vec<String> = self.senders.on(channel).iter().map(|known| known.id.to_string()).collect();
                self.reading.problem(
                    at,
                    format!("has no sender, and there is more than one {what}"),
                    format!("write sender = one of {}", ids.join(", ")),
                );
                None
            }
        }
    }

    /// The sandbox is a route only where it was switched on.
    fn allow(&self, sender: &Known, at: &At) {
        if sender.provider == SANDBOX && !self.sandbox.enabled {
            let (what, _) = words(sender.channel);
            self.reading.problem(
                at,
                format!(
                    "sends by {what} {}, whose provider is the sandbox: nobody's phone would ring",
                    sender.id
                ),
                "name a sender with a real provider, or write sandbox.enabled = true; `tapcode dev` needs neither",
            );
        }
    }

    fn warn(&self, steps: &[Step], at: &At) {
        let waits_ms: u64 = steps.iter().rev().skip(1).map(|step| u64::from(step.wait_ms)).sum();
        if waits_ms >= u64::from(self.code_ttl_s) * 1_000 {
            self.reading.warning(
                at,
                format!(
                    "waits {waits_ms} ms before its last step, and a code lives {} seconds: that step is never taken in silence",
                    self.code_ttl_s
                ),
                "shorten the waits, or lengthen code_ttl_s",
            );
        }
        if steps.len() > usize::from(self.limits.max_sends_per_hour) {
            self.reading.warning(
                at,
                format!(
                    "has {} steps, and max_sends_per_hour is {}: the last steps are never taken",
                    steps.len(),
                    self.limits.max_sends_per_hour
                ),
                "raise max_sends_per_hour, or remove steps",
            );
        }
    }
}

const fn words(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Sms => ("SMS number", "numbers"),
        Channel::Whatsapp => ("WhatsApp account", "whatsapp_accounts"),
    }
}

fn routes(workflow: &Plan, senders: &Senders) -> Vec<Route> {
    [Channel::Whatsapp, Channel::Sms]
        .into_iter()
        .filter_map(|channel| {
            let named = workflow
                .steps()
                .iter()
                .map(|step| &step.route)
                .find(|route| route.channel == channel)
                .cloned();
            named.or_else(|| match senders.on(channel)[..] {
                [only] => Some(route(only)),
                _ => None,
            })
        })
        .collect()
}

fn test_numbers(reading: &Reading, table: &mut Table<'_>, code_length: u8) -> Vec<TestNumber> {
    let mut tests: Vec<TestNumber> = Vec::new();
    for mut entry in table.sections("test_numbers") {
        let number = entry
            .needed_text("number", "write a number in E.164, such as \"+14155550123\"")
            .and_then(|(text, at)| match Number::parse(&text) {
                Ok(number) if tests.iter().any(|test| test.number == number) => {
                    reading.problem(&at, "is in the list before", "give each test number one code");
                    None
                }
                Ok(number) => Some(number),
                Err(error) => {
                    reading.problem(&at, "is no phone number", error.to_string());
                    None
                }
            });
        let instead = format!("write {code_length} digits in quotes, as code_length says");
        let code = entry.needed_text("code", &instead).and_then(|(text, at)| {
            let fits = text.len() == usize::from(code_length) && text.bytes().all(|c| c.is_ascii_digit());
            let code = Code::own(&text).ok().filter(|_| fits);
            if code.is_none() {
                reading.problem(&at, "is no code of this service", instead.as_str());
            }
            code
        });
        entry.finish();
        tests.extend(number.zip(code).map(|(number, code)| TestNumber { number, code }));
    }
    tests
}

/// What a service's own texts have to have room for.
struct ForTexts<'a> {
    brand: &'a str,
    code_digits: u8,
    has_app: bool,
}

/// The service's own texts for codes by SMS. Whatever is wrong with one stops the start, and never a message.
fn texts(reading: &Reading, table: &mut Table<'_>, of: &ForTexts<'_>) -> Vec<OwnText> {
    let (mut texts, mut locales) = (Vec::new(), BTreeSet::new());
    for mut entry in table.sections("texts") {
        let here = entry.here().clone();
        let locale = entry
            .needed_text("locale", "write the language of the text, a BCP 47 tag such as \"nl\"")
            .and_then(|(text, at)| {
                let fits = is_locale(&text);
                if !fits {
                    reading.problem(
                        &at,
                        format!("is {}", quoted(&text)),
                        "write a BCP 47 tag such as \"en\" or \"pt-BR\"",
                    );
                }
                fits.then_some(text)
            });
        let text = entry.needed_text("text", "write the text, such as \"{code} is your {brand} code.\"");
        entry.finish();
        let Some((locale, (text, at))) = locale.zip(text) else {
            continue;
        };
        if !locales.insert(locale.to_ascii_lowercase()) {
            reading.problem(&here, "is the second text for its locale", "remove one of the two");
            continue;
        }
        if locales.len() > TEXTS_MAX {
            reading.problem(&here, format!("is one more than {TEXTS_MAX}"), "remove one");
            continue;
        }
        let problem = |what: String, instead: &str| reading.problem(&at, what, instead);
        match OwnText::parse(&locale, &text, of.brand, of.code_digits, of.has_app) {
            Ok(text) => texts.push(text),
            Err(OwnTextError::Codes(0)) => problem("has no code in it".into(), "write {code} where the code goes"),
            Err(OwnTextError::Codes(count)) => problem(format!("has {{code}} {count} times"), "write it once"),
            Err(OwnTextError::Placeholder(name)) => problem(
                format!("has {} in braces", quoted(&name)),
                "{code}, {brand}, {minutes} and {details} are known",
            ),
            Err(OwnTextError::Control) => problem("has a line break or another control character".into(), "write it on one line"),
            Err(OwnTextError::TooLong(1)) => problem(
                "has more than the 140 bytes that SMS Retriever reads, its line for the app included".into(),
                "write a shorter one",
            ),
            Err(OwnTextError::TooLong(segments)) => problem(
                format!("takes {segments} segments with the brand and the longest code, and each is billed"),
                "write a shorter one, or without letters outside the GSM alphabet: `POST /api/v1/sms/preview` offers a spelling",
            ),
        }
    }
    texts
}

/// The apps that codes are handed to; Meta takes up to five for one template.
fn apps(reading: &Reading, table: &mut Table<'_>) -> Vec<App> {
    let mut apps: Vec<App> = Vec::new();
    for mut entry in table.sections("apps") {
        let here = entry.here().clone();
        let package_name = entry
            .needed_text("package_name", "write the app's package, such as \"com.example.app\"")
            .and_then(|(text, at)| {
                let fits = is_package(&text);
                if !fits {
                    reading.problem(
                        &at,
                        "is no Android package",
                        "write it as in the Play Store, such as \"com.example.app\"",
                    );
                }
                fits.then_some(text)
            });
        let signature_hash = entry
            .needed_text("signature_hash", "write the 11 characters of the app's signing key hash")
            .and_then(|(text, at)| {
                let fits =
                    text.len() == APP_HASH_CHARS && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'));
                if !fits {
                    let instead = "write the 11 characters that AppSignatureHelper prints, such as \"K8a/AINcGX7\"";
                    reading.problem(&at, "is no hash of a signing key", instead);
                }
                fits.then_some(text)
            });
        entry.finish();
        let Some((package_name, signature_hash)) = package_name.zip(signature_hash) else {
            continue;
        };
        let app = App {
            package_name: package_name.into(),
            signature_hash: signature_hash.into(),
        };
        if apps.contains(&app) {
            reading.problem(&here, "is in the list before", "remove one of the two");
        } else if apps.len() == APPS_MAX {
            reading.problem(
                &here,
                format!("is one more than {APPS_MAX}"),
                "remove one: a template takes no more",
            );
        } else {
            apps.push(app);
        }
    }
    apps
}

/// Two segments or more, each a letter and then letters, digits and underscores.
/// <https://developer.android.com/build/configure-app-module> (from memory)
fn is_package(text: &str) -> bool {
    let segment =
        |s: &str| s.starts_with(|c: char| c.is_ascii_alphabetic()) && s.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    text.len() <= PACKAGE_MAX && text.split('.').count() >= 2 && text.split('.').all(segment)
}

/// The shape of a BCP 47 tag: a language of two or three letters, then parts of two to eight letters and digits.
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    text.len() <= 35
        && parts
            .next()
            .is_some_and(|language| (2..=3).contains(&language.len()) && language.bytes().all(|c| c.is_ascii_lowercase()))
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric()))
}
