//! What must hold for everything that is known of an account, whatever reaches it in whatever order?

use std::collections::BTreeMap;

use proptest::prelude::*;
use tapcode_core::account::{
    Account, AccountDecision, AccountInput, BREAKERS_MAX, BreakerScope, CODE_BLOCKED, CODE_BURST, CODE_RESTRICTED,
    MessagingLimit, News, PROBE_FIRST_MS, PROBE_LAST_MS, Quality, Reading, SenderFacts, TEMPLATES_MAX, Template, TemplateStatus,
    Way, probe_after_ms, step,
};
use tapcode_core::delivery::{Failure, FailureClass, TripScope};
use tapcode_core::number::Country;
use tapcode_core::time::Timestamp;

use crate::life::START;

fn country(text: &str) -> Country {
    Country::parse(text).unwrap()
}

fn trip(scope: BreakerScope) -> AccountInput {
    tripped(scope, "190", false)
}

fn tripped(scope: BreakerScope, code: &str, late: bool) -> AccountInput {
    AccountInput::Tripped {
        late,
        scope,
        failure: Failure::new(FailureClass::TripBreaker(TripScope::Account), code, "the token has expired"),
    }
}

fn reading(blocked: Vec<(BreakerScope, Box<str>)>) -> AccountInput {
    AccountInput::Read(Box::new(Reading {
        facts: SenderFacts {
            sender: 1,
            quality: Quality::Green,
            messages_per_second: Some(80),
            verified_name: None,
            status: None,
        },
        messaging_limit: Some(MessagingLimit::People(250)),
        business: None,
        blocked,
    }))
}

/// The same, because an operator asked for it.
fn on_demand(blocked: Vec<(BreakerScope, Box<str>)>) -> AccountInput {
    match reading(blocked) {
        AccountInput::Read(reading) => AccountInput::ReadOnDemand(reading),
        other => other,
    }
}

fn template(name: &str, language: &str, status: TemplateStatus) -> Template {
    Template {
        name: name.into(),
        language: language.into(),
        id: "1".into(),
        status,
        reason: None,
        quality: Quality::Unknown,
        is_authentication: true,
        send_ttl_s: None,
        code_expiration_minutes: None,
        security_disclaimer: true,
        button: None,
    }
}

/// After everything that happens in a life.
fn much_later() -> Timestamp {
    START.plus_millis(1 << 40)
}

fn all_listed(templates: Vec<Template>) -> AccountInput {
    let asked_at = much_later();
    AccountInput::Listed { templates, asked_at }
}

fn scope() -> impl Strategy<Value = BreakerScope> {
    prop_oneof![
        3 => Just(BreakerScope::Account),
        3 => (1..3u32).prop_map(BreakerScope::Sender),
        2 => prop::option::of(Just("en".into())).prop_map(|language| BreakerScope::Template { name: "login_otp".into(), language }),
        2 => prop_oneof![Just("NL"), Just("IN")].prop_map(|c| BreakerScope::Country(country(c))),
    ]
}

fn input() -> impl Strategy<Value = AccountInput> {
    let status = prop::sample::select(TemplateStatus::ALL.to_vec());
    let listed = prop::collection::vec(
        (
            prop_oneof![Just("en"), Just("nl")],
            prop::sample::select(TemplateStatus::ALL.to_vec()),
        ),
        0..3,
    )
    .prop_map(|all| all.into_iter().map(|(l, s)| template("login_otp", l, s)).collect());
    let asked_at =
        prop_oneof![3 => Just(much_later()), 1 => Just(START), 1 => (0..2_000_000u64).prop_map(|ms| START.plus_millis(ms))];
    let listed = (listed, asked_at).prop_map(|(templates, asked_at)| AccountInput::Listed { templates, asked_at });
    let news = prop_oneof![
        3 => status.prop_map(|status| News::TemplateStatus { name: "login_otp".into(), language: "en".into(), id: "1".into(), status, reason: None }),
        1 => Just(News::Limit(MessagingLimit::People(2_000))),
        1 => Just(News::SenderQuality { sender: 1, quality: Quality::Red }),
        2 => scope().prop_map(|scope| News::Blocked { scope, code: CODE_BLOCKED, detail: "banned".into(), until: None }),
        1 => scope().prop_map(|scope| News::Blocked { scope, code: CODE_RESTRICTED, detail: "restricted".into(), until: Some(START.plus_millis(5_000_000)) }),
        2 => scope().prop_map(News::Unblocked),
    ];
    prop_oneof![
        6 => (scope(), prop_oneof![Just("190"), Just(CODE_BURST)], any::<bool>()).prop_map(|(scope, code, late)| tripped(scope, code, late)),
        3 => (prop::collection::vec(scope(), 0..3), 0..2_000_000u64).prop_map(|(scopes, ms)| AccountInput::Arrived { scopes, called_at: START.plus_millis(ms) }),
        5 => prop::collection::vec(scope(), 0..3).prop_map(AccountInput::Passed),
        3 => prop::collection::vec(news, 0..3).prop_map(AccountInput::News),
        3 => prop::collection::vec(scope().prop_map(|s| (s, "why".into())), 0..2).prop_map(reading),
        1 => prop::collection::vec(scope().prop_map(|s| (s, "why".into())), 0..2).prop_map(on_demand),
        1 => scope().prop_map(|scope| AccountInput::Unreadable { scope, failure: Failure::new(FailureClass::NextRoute, "200", "no right") }),
        2 => listed,
    ]
}

/// How an open breaker should stand, in books of the test's own.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    scope: BreakerScope,
    since: Timestamp,
    probe_at: Timestamp,
    failed_probes: u32,
    code: String,
    late: bool,
}

/// An account as it should be: what is open, and what is known of templates.
#[derive(Default)]
struct Books {
    open: Vec<Open>,
    templates: Option<BTreeMap<(String, String), TemplateStatus>>,
    /// Scopes that must be told as opened and as closed by the input.
    opened: Vec<BreakerScope>,
    closed: Vec<BreakerScope>,
    /// Templates that must be told: before and now.
    told: Vec<(String, Option<TemplateStatus>, TemplateStatus)>,
    /// When a template's status was last told.
    news_at: Option<Timestamp>,
}

impl Books {
    fn trip(&mut self, scope: &BreakerScope, code: &str, until: Option<Timestamp>, now: Timestamp) {
        let wait = |failed: u32| now.plus_millis((30_000 * 2u64.pow(failed.min(10))).min(900_000));
        if let Some(open) = self.open.iter_mut().find(|o| o.scope == *scope) {
            if now >= open.probe_at {
                open.failed_probes += 1;
                open.probe_at = until.unwrap_or_else(|| wait(open.failed_probes));
            } else if let Some(until) = until {
                open.probe_at = until;
            }
            open.code = code.into();
            return;
        }
        self.opened.push(scope.clone());
        self.open.push(Open {
            scope: scope.clone(),
            since: now,
            probe_at: until.unwrap_or_else(|| wait(0)),
            failed_probes: 0,
            code: code.into(),
            late: false,
        });
    }

    /// As [`Self::trip`], by a message: what was on its way when the breaker opened counts for nothing.
    fn fail(&mut self, scope: &BreakerScope, code: &str, late: bool, now: Timestamp) {
        if self.open.iter().any(|o| o.scope == *scope && now < o.probe_at) {
            return;
        }
        self.trip(scope, code, None, now);
        for open in self.open.iter_mut().filter(|o| o.scope == *scope) {
            open.late = late;
        }
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool) {
        self.closed.extend(self.open.extract_if(.., |o| which(o)).map(|o| o.scope));
    }

    /// A status of a template, and whether that is news.
    fn status(&mut self, name: &str, language: &str, before: Option<TemplateStatus>, now: TemplateStatus) {
        if before == Some(now) {
            return;
        }
        self.told.push((format!("{name} {language}"), before, now));
        if now == TemplateStatus::Approved {
            self.close(|o| {
                matches!(&o.scope, BreakerScope::Template { name: of, language: in_language }
                if **of == *name && in_language.as_deref().is_none_or(|l| l == language))
            });
        }
    }

    fn apply(&mut self, input: &AccountInput, now: Timestamp) {
        (self.opened, self.closed, self.told) = Default::default();
        match input {
            AccountInput::Tripped { scope, failure, late } => self.fail(scope, &failure.code, *late, now),
            AccountInput::Unreadable { scope, failure } => self.fail(scope, &failure.code, false, now),
            AccountInput::Passed(scopes) => self.close(|o| o.probe_at <= now && !o.late && scopes.contains(&o.scope)),
            AccountInput::Arrived { scopes, called_at } => {
                self.close(|o| o.probe_at <= now && o.since <= *called_at && scopes.contains(&o.scope));
            }
            AccountInput::Read(reading) | AccountInput::ReadOnDemand(reading) => {
                let on_demand = matches!(input, AccountInput::ReadOnDemand(_));
                for (scope, _) in &reading.blocked {
                    self.trip(scope, CODE_BLOCKED, None, now);
                }
                let asked = [BreakerScope::Account, BreakerScope::Sender(reading.facts.sender)];
                let blocked = |scope: &BreakerScope| reading.blocked.iter().any(|(b, _)| b == scope);
                self.close(|o| {
                    let can_tell = !o.late && o.code != CODE_BURST;
                    let is_right = on_demand || (can_tell && o.probe_at <= now) || o.code == CODE_BLOCKED;
                    asked.contains(&o.scope) && !blocked(&o.scope) && is_right
                });
            }
            AccountInput::Listed { asked_at, .. } if self.news_at.is_some_and(|told| told >= *asked_at) => {}
            AccountInput::Listed { templates: listed, .. } => {
                let before = self.templates.take().unwrap_or_default();
                let mut next = BTreeMap::new();
                for t in listed {
                    let key = (t.name.to_string(), t.language.to_string());
                    if next.contains_key(&key) {
                        continue;
                    }
                    if let Some(known) = before.get(&key) {
                        self.status(&t.name, &t.language, Some(*known), t.status);
                    }
                    next.insert(key, t.status);
                }
                self.templates = Some(next);
            }
            AccountInput::News(all) => {
                for news in all {
                    self.hear(news, now);
                }
            }
        }
    }

    fn hear(&mut self, news: &News, now: Timestamp) {
        match news {
            News::TemplateStatus {
                name, language, status, ..
            } => {
                self.news_at = Some(now);
                let key = (name.to_string(), language.to_string());
                let before = self.templates.as_mut().and_then(|t| t.insert(key, *status));
                self.status(name, language, before, *status);
            }
            News::Blocked { scope, code, until, .. } => self.trip(scope, code, *until, now),
            News::Unblocked(scope) => {
                self.close(|o| o.scope == *scope && [CODE_BLOCKED, CODE_RESTRICTED].contains(&o.code.as_str()));
            }
            News::TemplateQuality { .. }
            | News::TemplateCategory { .. }
            | News::SenderQuality { .. }
            | News::Throughput { .. }
            | News::Limit(_)
            | News::Remark { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// A breaker opens on a trip once, is not closed before it is probed by a message that passes, waits twice as long after
    /// each failed probe, and is closed by a good one; a reading closes what it asked about; a template is told exactly when
    /// its status changed. And whatever happened, good probes close everything in the end.
    #[test]
    fn an_account_does_what_its_books_say(life in prop::collection::vec((wait(), input()), 0..60)) {
        let (mut account, mut now, mut books) = (Account::default(), START, Books::default());
        for (wait, input) in life {
            now = match wait {
                Wait::Millis(ms) => now.plus_millis(ms),
                Wait::ToProbe(early_ms) => {
                    let next = books.open.iter().map(|o| o.probe_at.minus_millis(early_ms)).filter(|at| *at > now).min();
                    next.unwrap_or(now)
                }
            };
            let (next, decisions) = step(account.clone(), &input, now);
            prop_assert_eq!((&next, &decisions), (&step(account.clone(), &input, now).0, &step(account, &input, now).1));
            books.apply(&input, now);
            let (mut opened, mut closed, mut told) = (Vec::new(), Vec::new(), Vec::new());
            for decision in &decisions {
                match decision {
                    AccountDecision::BreakerOpened { scope, .. } => opened.push(scope.clone()),
                    AccountDecision::BreakerClosed { scope, .. } => closed.push(scope.clone()),
                    AccountDecision::TemplateStatus { name, language, before, now, .. } => {
                        told.push((format!("{name} {language}"), *before, *now));
                    }
                    AccountDecision::Told { .. } => {}
                }
            }
            prop_assert_eq!((&opened, &closed, &told), (&books.opened, &books.closed, &books.told), "on {:?}", input);
            let held: Vec<_> = next.breakers.iter().map(|b| (&b.scope, b.opened_at, b.probe_at, u32::from(b.failed_probes), &*b.code, b.late)).collect();
            let should: Vec<_> = books.open.iter().map(|o| (&o.scope, o.since, o.probe_at, o.failed_probes, &*o.code, o.late)).collect();
            prop_assert_eq!(held, should, "after {:?}", input);
            let known = next.templates.as_ref().map(|all| {
                let by_key = |t: &Template| ((t.name.to_string(), t.language.to_string()), t.status);
                all.iter().map(by_key).collect::<BTreeMap<_, _>>()
            });
            prop_assert_eq!(&known, &books.templates);
            account = next;
        }
        while let Some(probe_at) = account.breakers.iter().map(|b| b.probe_at).min() {
            let left = account.breakers.len();
            now = now.max(probe_at);
            let all = account.breakers.iter().map(|b| b.scope.clone()).collect();
            account = step(account, &AccountInput::Arrived { scopes: all, called_at: now }, now).0;
            prop_assert!(account.breakers.len() < left, "a good probe closes nothing");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    Millis(u64),
    /// To the moment of the next probe, or a little before.
    ToProbe(u64),
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        2 => (0..400_000u64).prop_map(Wait::Millis),
        2 => Just(Wait::Millis(0)),
        3 => Just(Wait::ToProbe(0)),
        1 => Just(Wait::ToProbe(1)),
    ]
}

#[test]
fn a_probe_that_fails_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
    let (mut account, mut now) = (Account::default(), START);
    let mut waits = Vec::new();
    for _ in 0..9 {
        account = step(account, &trip(BreakerScope::Account), now).0;
        waits.push(account.breakers[0].probe_at.millis_since(now));
        now = account.breakers[0].probe_at;
    }
    assert_eq!(
        waits[..4],
        [PROBE_FIRST_MS, 2 * PROBE_FIRST_MS, 4 * PROBE_FIRST_MS, 8 * PROBE_FIRST_MS]
    );
    assert!(waits.iter().all(|wait| *wait <= PROBE_LAST_MS) && waits[8] == PROBE_LAST_MS);
    assert_eq!(probe_after_ms(u8::MAX), PROBE_LAST_MS);
}

#[test]
fn messages_that_were_on_their_way_neither_close_a_breaker_nor_lengthen_it() {
    let (account, opened) = step(Account::default(), &trip(BreakerScope::Sender(1)), START);
    assert_eq!(opened.len(), 1);
    let at = START.plus_millis(PROBE_FIRST_MS - 1);
    let (account, decisions) = step(account, &trip(BreakerScope::Sender(1)), at);
    assert_eq!(
        (decisions.len(), account.breakers[0].probe_at),
        (0, START.plus_millis(PROBE_FIRST_MS))
    );
    let (account, decisions) = step(account, &AccountInput::Passed(vec![BreakerScope::Sender(1)]), at);
    assert_eq!((decisions.len(), account.breakers.len()), (0, 1));
}

#[test]
fn a_good_reading_closes_what_it_asked_about_and_nothing_else() {
    let scopes = [
        BreakerScope::Account,
        BreakerScope::Sender(1),
        BreakerScope::Sender(2),
        BreakerScope::Country(country("IN")),
    ];
    let mut account = Account::default();
    for scope in scopes.clone() {
        account = step(account, &trip(scope), START).0;
    }
    let early = step(account.clone(), &reading(Vec::new()), START.plus_millis(1)).0;
    assert_eq!(early.breakers.len(), 4, "not before they are probed");
    let asked_for = step(account.clone(), &on_demand(Vec::new()), START.plus_millis(1)).0;
    assert_eq!(asked_for.breakers.len(), 2, "but at once for somebody who asks");
    let (account, _) = step(account, &reading(Vec::new()), START.plus_millis(PROBE_FIRST_MS));
    let left: Vec<_> = account.breakers.iter().map(|b| b.scope.clone()).collect();
    assert_eq!(left, scopes[2..]);
    // What the provider itself had blocked is believed at once, and again when it says otherwise.
    let blocked = vec![(BreakerScope::Sender(1), "flagged".into())];
    let (account, _) = step(account, &reading(blocked), START.plus_millis(PROBE_FIRST_MS + 1));
    assert_eq!(account.breakers.len(), 3);
    let (account, _) = step(account, &reading(Vec::new()), START.plus_millis(PROBE_FIRST_MS + 2));
    assert_eq!(account.breakers.len(), 2);
}

#[test]
fn a_message_meets_the_breakers_of_its_own_way_only() {
    let scopes = [
        BreakerScope::Sender(2),
        BreakerScope::Country(country("IN")),
        BreakerScope::Template {
            name: "login_otp".into(),
            language: Some("nl".into()),
        },
    ];
    let account = scopes
        .iter()
        .fold(Account::default(), |a, s| step(a, &trip(s.clone()), START).0);
    let met = |sender, to, language| {
        let way = Way {
            sender,
            country: country(to),
            template: Some(("login_otp", Some(language))),
        };
        account.breakers_on(&way).count()
    };
    assert_eq!(met(1, "NL", "en"), 0);
    assert_eq!(
        (met(2, "NL", "en"), met(1, "IN", "en"), met(1, "NL", "nl"), met(2, "IN", "nl")),
        (1, 1, 1, 3)
    );
}

#[test]
fn only_an_approved_authentication_template_may_be_sent() {
    let mut marketing = template("login_otp", "de", TemplateStatus::Approved);
    marketing.is_authentication = false;
    let listed = vec![
        template("login_otp", "en", TemplateStatus::Approved),
        template("login_otp", "nl", TemplateStatus::Paused),
        marketing,
        template("other", "fr", TemplateStatus::Approved),
    ];
    assert_eq!(Account::default().approved("login_otp"), None, "never asked for");
    let (account, decisions) = step(Account::default(), &all_listed(listed), START);
    assert_eq!((account.approved("login_otp"), decisions), (Some(vec!["en"]), Vec::new()));
    let approved = News::TemplateStatus {
        name: "login_otp".into(),
        language: "nl".into(),
        id: "1".into(),
        status: TemplateStatus::Approved,
        reason: None,
    };
    let tripped = BreakerScope::Template {
        name: "login_otp".into(),
        language: Some("nl".into()),
    };
    let (account, _) = step(account, &trip(tripped), START);
    let (account, decisions) = step(account, &AccountInput::News(vec![approved.clone()]), START);
    assert_eq!(account.approved("login_otp"), Some(vec!["en", "nl"]));
    assert_eq!(decisions.len(), 2, "the status, and the breaker that closed with it");
    let (_, decisions) = step(account, &AccountInput::News(vec![approved]), START);
    assert_eq!(decisions, [], "told twice is told once");
}

#[test]
fn nothing_grows_without_end() {
    let mut account = Account::default();
    for a in b'A'..=b'Z' {
        for b in b'A'..=b'Z' {
            let text = String::from_utf8(vec![a, b]).unwrap();
            account = step(account, &trip(BreakerScope::Country(country(&text))), START).0;
        }
    }
    assert_eq!(account.breakers.len(), BREAKERS_MAX);
    let many = (0..TEMPLATES_MAX + 5)
        .map(|n| template(&format!("t{n}"), "en", TemplateStatus::Approved))
        .collect();
    let (mut account, _) = step(account, &all_listed(many), START);
    for n in 0..5 {
        let news = News::TemplateStatus {
            name: format!("new{n}").into(),
            language: "en".into(),
            id: "1".into(),
            status: TemplateStatus::Pending,
            reason: None,
        };
        account = step(account, &AccountInput::News(vec![news]), START).0;
    }
    assert_eq!(account.templates.unwrap().len(), TEMPLATES_MAX);
}

fn status_of(name: &str, status: TemplateStatus) -> AccountInput {
    AccountInput::News(vec![News::TemplateStatus {
        name: name.into(),
        language: "en".into(),
        id: "1".into(),
        status,
        reason: None,
    }])
}

#[test]
fn news_of_one_template_before_the_first_list_hides_no_other() {
    let (account, decisions) = step(Account::default(), &status_of("other", TemplateStatus::Paused), START);
    assert_eq!(decisions.len(), 1, "somebody should read it");
    assert_eq!(account.approved("login_otp"), None, "still never asked for");
}

#[test]
fn a_template_that_is_listed_twice_is_one() {
    let listed = vec![
        template("login_otp", "en", TemplateStatus::Approved),
        template("login_otp", "en", TemplateStatus::Paused),
    ];
    let (account, _) = step(Account::default(), &all_listed(listed.clone()), START);
    let (account, decisions) = step(account, &all_listed(listed), START);
    assert_eq!((decisions, account.templates.unwrap().len()), (Vec::new(), 1));
}

#[test]
fn a_list_in_which_a_template_is_approved_again_closes_its_breaker_as_news_would() {
    let scope = BreakerScope::Template {
        name: "login_otp".into(),
        language: Some("en".into()),
    };
    let listed = |status| all_listed(vec![template("login_otp", "en", status)]);
    let (account, _) = step(Account::default(), &listed(TemplateStatus::Paused), START);
    let (account, _) = step(account, &trip(scope.clone()), START);
    let (account, decisions) = step(account, &listed(TemplateStatus::Approved), START.plus_millis(5));
    assert_eq!(account.breakers, []);
    assert!(
        matches!(&decisions[..], [AccountDecision::TemplateStatus { .. }, AccountDecision::BreakerClosed { scope: s, after_ms: 5, .. }] if *s == scope)
    );
}

#[test]
fn the_breaker_that_leaves_for_want_of_room_is_a_countrys_and_is_told() {
    let mut account = step(Account::default(), &trip(BreakerScope::Account), START).0;
    let mut countries = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| String::from_utf8(vec![a, b]).unwrap()));
    for text in countries.by_ref().take(BREAKERS_MAX - 1) {
        account = step(account, &trip(BreakerScope::Country(country(&text))), START).0;
    }
    assert_eq!(account.breakers.len(), BREAKERS_MAX);
    let one_more = BreakerScope::Country(country(&countries.next().unwrap()));
    let (account, decisions) = step(account, &trip(one_more), START.plus_millis(7));
    assert_eq!(
        (account.breakers.len(), &account.breakers[0].scope),
        (BREAKERS_MAX, &BreakerScope::Account)
    );
    let left = BreakerScope::Country(country("AA"));
    assert!(matches!(&decisions[0], AccountDecision::BreakerClosed { scope, after_ms: 7, .. } if *scope == left));
    assert!(matches!(&decisions[1], AccountDecision::BreakerOpened { .. }) && decisions.len() == 2);
}

#[test]
fn a_webhook_that_comes_twice_tells_once() {
    let news = [
        News::TemplateStatus {
            name: "login_otp".into(),
            language: "en".into(),
            id: "1".into(),
            status: TemplateStatus::Paused,
            reason: None,
        },
        News::TemplateQuality {
            name: "login_otp".into(),
            language: "en".into(),
            quality: Quality::Red,
        },
        News::TemplateCategory {
            name: "login_otp".into(),
            language: "en".into(),
            is_authentication: false,
        },
        News::Throughput {
            sender: 1,
            messages_per_second: 1_000,
        },
        News::Limit(MessagingLimit::Unlimited),
    ];
    let listed = all_listed(vec![template("login_otp", "en", TemplateStatus::Approved)]);
    let account = [listed, reading(Vec::new())]
        .iter()
        .fold(Account::default(), |account, input| step(account, input, START).0);
    for one in news {
        let input = AccountInput::News(vec![one]);
        let (once, decisions) = step(account.clone(), &input, START);
        assert_eq!(decisions.len(), 1, "{input:?}");
        assert_eq!(step(once.clone(), &input, START), (once, Vec::new()), "{input:?}");
    }
}

#[test]
fn senders_of_whom_there_is_no_end_are_forgotten() {
    let of = |sender| {
        AccountInput::News(vec![News::SenderQuality {
            sender,
            quality: Quality::Red,
        }])
    };
    let account = (0..1_000).fold(Account::default(), |account, n| step(account, &of(n), START).0);
    assert!(account.senders.len() <= 200 && account.sender(999).is_some());
}

#[test]
fn where_failures_are_told_late_only_an_arrival_closes_the_breaker_and_it_waits_longer_each_time() {
    let scope = BreakerScope::Account;
    let passed = AccountInput::Passed(vec![scope.clone()]);
    let arrived = |called_at| AccountInput::Arrived {
        scopes: vec![scope.clone()],
        called_at,
    };
    let (mut account, _) = step(Account::default(), &tripped(scope.clone(), "131042", true), START);
    for failed in 1..=3 {
        let now = account.breakers[0].probe_at;
        account = step(account, &passed, now).0;
        account = step(account, &reading(Vec::new()), now).0;
        assert_eq!(
            account.breakers.len(),
            1,
            "that it was taken tells nothing, and neither does a good health"
        );
        account = step(account, &tripped(scope.clone(), "131042", true), now).0;
        assert_eq!(account.breakers[0].probe_at, now.plus_millis(probe_after_ms(failed)));
    }
    let now = account.breakers[0].probe_at;
    account = step(account, &arrived(START.minus_millis(1)), now).0;
    assert_eq!(account.breakers.len(), 1, "it was on its way when the breaker opened");
    assert!(step(account, &arrived(now), now).0.breakers.is_empty());
}

#[test]
fn what_cannot_be_read_does_not_take_the_place_of_a_restriction() {
    let restricted = News::Blocked {
        scope: BreakerScope::Account,
        code: CODE_RESTRICTED,
        detail: "spam".into(),
        until: Some(START.plus_millis(86_400_000)),
    };
    let (account, _) = step(Account::default(), &AccountInput::News(vec![restricted]), START);
    let failure = Failure::new(FailureClass::TripBreaker(TripScope::Account), "190", "the token has expired");
    let unreadable = AccountInput::Unreadable {
        scope: BreakerScope::Account,
        failure,
    };
    let (account, _) = step(account, &unreadable, START.plus_millis(1_000));
    assert_eq!(*account.breakers[0].code, *CODE_RESTRICTED);
    let lifted = AccountInput::News(vec![News::Unblocked(BreakerScope::Account)]);
    assert!(step(account, &lifted, START.plus_millis(2_000)).0.breakers.is_empty());
}

#[test]
fn a_list_that_was_asked_for_before_the_news_changes_nothing() {
    let listed = |status, asked_at| AccountInput::Listed {
        templates: vec![template("login_otp", "en", status)],
        asked_at,
    };
    let (account, _) = step(Account::default(), &listed(TemplateStatus::Approved, START), START);
    let (account, _) = step(
        account,
        &status_of("login_otp", TemplateStatus::Paused),
        START.plus_millis(10),
    );
    let (account, decisions) = step(
        account,
        &listed(TemplateStatus::Approved, START.plus_millis(5)),
        START.plus_millis(20),
    );
    assert_eq!((account.approved("login_otp"), decisions.len()), (Some(Vec::new()), 0));
    let (account, _) = step(
        account,
        &listed(TemplateStatus::Approved, START.plus_millis(30)),
        START.plus_millis(40),
    );
    assert_eq!(account.approved("login_otp"), Some(vec!["en"]));
}
