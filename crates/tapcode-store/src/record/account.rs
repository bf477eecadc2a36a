//! How is an account at a provider written down, and a line of the log about one?
//!
//! Lines about accounts and endpoints stand in the log beside entries about recipients. They are told apart by their first
//! byte: records of entries count up from 1, of lines about accounts from [`ACCOUNT_LINES_FROM`], of lines about webhook
//! endpoints from [`ENDPOINT_LINES_FROM`].

use serde::{Deserialize, Serialize};
use tapcode_core::account::{
    Account, AccountDecision, AccountEntry, AccountName, Breaker, BreakerScope, MessagingLimit, SenderFacts, Template,
};
use tapcode_core::endpoint::EndpointEntry;
use tapcode_core::entry::Entry;
use tapcode_core::id::EventId;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::Line;

use crate::record::recipient::{IdV1, TimeV1, country};
use crate::record::words::Word;
use crate::record::{Stored, Unreadable, stored};

/// The first byte of version 1 of a line about an account.
const ACCOUNT_LINES_FROM: u8 = 128;
/// The first byte of version 1 of a line about a webhook endpoint.
const ENDPOINT_LINES_FROM: u8 = 192;

stored!(Account, 2 = AccountV2, 1 = AccountV1);
stored!(AccountEntry, 128 = AccountEntryV1);

impl Stored for Line {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Recipient(entry) => entry.to_bytes(),
            Self::Account(entry) => entry.to_bytes(),
            Self::Endpoint(entry) => entry.to_bytes(),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.first() {
            Some(version) if *version >= ENDPOINT_LINES_FROM => EndpointEntry::from_bytes(bytes).map(Self::Endpoint),
            Some(version) if *version >= ACCOUNT_LINES_FROM => AccountEntry::from_bytes(bytes).map(Self::Account),
            Some(_) | None => Entry::from_bytes(bytes).map(Self::Recipient),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AccountV1 {
    breakers: Vec<BreakerV1>,
    templates: Option<Vec<TemplateV1>>,
    senders: Vec<SenderFactsV1>,
    messaging_limit: Option<LimitV1>,
    business: Option<Box<str>>,
    read_at: Option<TimeV1>,
    unreadable: Option<Box<str>>,
}

#[derive(Serialize, Deserialize)]
struct AccountV2 {
    account: AccountV1,
    /// For each breaker, whether it is late.
    late: Vec<bool>,
    template_news_at: Option<TimeV1>,
}

impl From<&Account> for AccountV2 {
    fn from(account: &Account) -> Self {
        Self {
            account: account.into(),
            late: account.breakers.iter().map(|b| b.late).collect(),
            template_news_at: account.template_news_at.map(Timestamp::as_millis),
        }
    }
}

impl TryFrom<AccountV2> for Account {
    type Error = Unreadable;

    fn try_from(record: AccountV2) -> Result<Self, Unreadable> {
        let mut account = Self::try_from(record.account)?;
        if record.late.len() != account.breakers.len() {
            return Err(Unreadable::Content("account's breakers"));
        }
        for (breaker, late) in account.breakers.iter_mut().zip(record.late) {
            breaker.late = late;
        }
        account.template_news_at = record.template_news_at.map(Timestamp::from_millis);
        Ok(account)
    }
}

#[derive(Serialize, Deserialize)]
enum LimitV1 {
    People(u32),
    Unlimited,
}

#[derive(Serialize, Deserialize)]
enum ScopeOfBreakerV1 {
    Account,
    Sender(u32),
    Template { name: Box<str>, language: Option<Box<str>> },
    Country(Box<str>),
}

#[derive(Serialize, Deserialize)]
struct BreakerV1 {
    scope: ScopeOfBreakerV1,
    code: Box<str>,
    detail: Box<str>,
    opened_at: TimeV1,
    probe_at: TimeV1,
    failed_probes: u8,
}

#[derive(Serialize, Deserialize)]
struct TemplateV1 {
    name: Box<str>,
    language: Box<str>,
    id: Box<str>,
    status: u8,
    reason: Option<Box<str>>,
    quality: u8,
    is_authentication: bool,
    send_ttl_s: Option<u32>,
    code_expiration_minutes: Option<u8>,
    security_disclaimer: bool,
    button: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct SenderFactsV1 {
    sender: u32,
    quality: u8,
    messages_per_second: Option<u32>,
    verified_name: Option<Box<str>>,
    status: Option<Box<str>>,
}

impl From<&BreakerScope> for ScopeOfBreakerV1 {
    fn from(scope: &BreakerScope) -> Self {
        match scope {
            BreakerScope::Account => Self::Account,
            BreakerScope::Sender(sender) => Self::Sender(*sender),
            BreakerScope::Template { name, language } => Self::Template {
                name: name.clone(),
                language: language.clone(),
            },
            BreakerScope::Country(country) => Self::Country(country.as_str().into()),
        }
    }
}

impl TryFrom<ScopeOfBreakerV1> for BreakerScope {
    type Error = Unreadable;

    fn try_from(record: ScopeOfBreakerV1) -> Result<Self, Unreadable> {
        Ok(match record {
            ScopeOfBreakerV1::Account => Self::Account,
            ScopeOfBreakerV1::Sender(sender) => Self::Sender(sender),
            ScopeOfBreakerV1::Template { name, language } => Self::Template { name, language },
            ScopeOfBreakerV1::Country(text) => Self::Country(country(&text)?),
        })
    }
}

impl From<&Account> for AccountV1 {
    fn from(account: &Account) -> Self {
        let breaker = |b: &Breaker| BreakerV1 {
            scope: (&b.scope).into(),
            code: b.code.clone(),
            detail: b.detail.clone(),
            opened_at: b.opened_at.as_millis(),
            probe_at: b.probe_at.as_millis(),
            failed_probes: b.failed_probes,
        };
        let template = |t: &Template| TemplateV1 {
            name: t.name.clone(),
            language: t.language.clone(),
            id: t.id.clone(),
            status: t.status.number(),
            reason: t.reason.clone(),
            quality: t.quality.number(),
            is_authentication: t.is_authentication,
            send_ttl_s: t.send_ttl_s,
            code_expiration_minutes: t.code_expiration_minutes,
            security_disclaimer: t.security_disclaimer,
            button: t.button.map(Word::number),
        };
        let facts = |s: &SenderFacts| SenderFactsV1 {
            sender: s.sender,
            quality: s.quality.number(),
            messages_per_second: s.messages_per_second,
            verified_name: s.verified_name.clone(),
            status: s.status.clone(),
        };
        Self {
            breakers: account.breakers.iter().map(breaker).collect(),
            templates: account.templates.as_ref().map(|all| all.iter().map(template).collect()),
            senders: account.senders.iter().map(facts).collect(),
            messaging_limit: account.messaging_limit.map(|limit| match limit {
                MessagingLimit::People(most) => LimitV1::People(most),
                MessagingLimit::Unlimited => LimitV1::Unlimited,
            }),
            business: account.business.clone(),
            read_at: account.read_at.map(Timestamp::as_millis),
            unreadable: account.unreadable.clone(),
        }
    }
}

impl TryFrom<AccountV1> for Account {
    type Error = Unreadable;

    fn try_from(record: AccountV1) -> Result<Self, Unreadable> {
        let breaker = |b: BreakerV1| {
            Ok(Breaker {
                scope: b.scope.try_into()?,
                code: b.code,
                detail: b.detail,
                opened_at: Timestamp::from_millis(b.opened_at),
                probe_at: Timestamp::from_millis(b.probe_at),
                failed_probes: b.failed_probes,
                late: false,
            })
        };
        let template = |t: TemplateV1| {
            Ok(Template {
                name: t.name,
                language: t.language,
                id: t.id,
                status: Word::from_number(t.status)?,
                reason: t.reason,
                quality: Word::from_number(t.quality)?,
                is_authentication: t.is_authentication,
                send_ttl_s: t.send_ttl_s,
                code_expiration_minutes: t.code_expiration_minutes,
                security_disclaimer: t.security_disclaimer,
                button: t.button.map(Word::from_number).transpose()?,
            })
        };
        let facts = |s: SenderFactsV1| {
            Ok(SenderFacts {
                sender: s.sender,
                quality: Word::from_number(s.quality)?,
                messages_per_second: s.messages_per_second,
                verified_name: s.verified_name,
                status: s.status,
            })
        };
        let templates = record
            .templates
            .map(|all| all.into_iter().map(template).collect::<Result<_, Unreadable>>());
        Ok(Self {
            breakers: record.breakers.into_iter().map(breaker).collect::<Result<_, Unreadable>>()?,
            templates: templates.transpose()?,
            senders: record.senders.into_iter().map(facts).collect::<Result<_, Unreadable>>()?,
            messaging_limit: record.messaging_limit.map(|limit| match limit {
                LimitV1::People(most) => MessagingLimit::People(most),
                LimitV1::Unlimited => MessagingLimit::Unlimited,
            }),
            business: record.business,
            read_at: record.read_at.map(Timestamp::from_millis),
            unreadable: record.unreadable,
            template_news_at: None,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct AccountEntryV1 {
    id: IdV1,
    at: TimeV1,
    account: Box<str>,
    channel: u8,
    provider: Box<str>,
    senders: Vec<u32>,
    decisions: Vec<AccountDecisionV1>,
}

#[derive(Serialize, Deserialize)]
enum AccountDecisionV1 {
    BreakerOpened {
        scope: ScopeOfBreakerV1,
        code: Box<str>,
        detail: Box<str>,
        probe_at: TimeV1,
    },
    BreakerClosed {
        scope: ScopeOfBreakerV1,
        code: Box<str>,
        after_ms: u64,
    },
    TemplateStatus {
        name: Box<str>,
        language: Box<str>,
        before: Option<u8>,
        now: u8,
        reason: Option<Box<str>>,
    },
    Told {
        about: Box<str>,
        detail: Box<str>,
    },
}

impl From<&AccountEntry> for AccountEntryV1 {
    fn from(entry: &AccountEntry) -> Self {
        let decision = |decision: &AccountDecision| match decision {
            AccountDecision::BreakerOpened {
                scope,
                code,
                detail,
                probe_at,
            } => AccountDecisionV1::BreakerOpened {
                scope: scope.into(),
                code: code.clone(),
                detail: detail.clone(),
                probe_at: probe_at.as_millis(),
            },
            AccountDecision::BreakerClosed { scope, code, after_ms } => AccountDecisionV1::BreakerClosed {
                scope: scope.into(),
                code: code.clone(),
                after_ms: *after_ms,
            },
            AccountDecision::TemplateStatus {
                name,
                language,
                before,
                now,
                reason,
            } => AccountDecisionV1::TemplateStatus {
                name: name.clone(),
                language: language.clone(),
                before: before.map(Word::number),
                now: now.number(),
                reason: reason.clone(),
            },
            AccountDecision::Told { about, detail } => AccountDecisionV1::Told {
                about: about.clone(),
                detail: detail.clone(),
            },
        };
        Self {
            id: *entry.id.as_bytes(),
            at: entry.at.as_millis(),
            account: entry.account.as_str().into(),
            channel: entry.channel.number(),
            provider: entry.provider.clone(),
            senders: entry.senders.clone(),
            decisions: entry.decisions.iter().map(decision).collect(),
        }
    }
}

impl TryFrom<AccountEntryV1> for AccountEntry {
    type Error = Unreadable;

    fn try_from(record: AccountEntryV1) -> Result<Self, Unreadable> {
        let decision = |decision: AccountDecisionV1| {
            Ok(match decision {
                AccountDecisionV1::BreakerOpened {
                    scope,
                    code,
                    detail,
                    probe_at,
                } => AccountDecision::BreakerOpened {
                    scope: scope.try_into()?,
                    code,
                    detail,
                    probe_at: Timestamp::from_millis(probe_at),
                },
                AccountDecisionV1::BreakerClosed { scope, code, after_ms } => AccountDecision::BreakerClosed {
                    scope: scope.try_into()?,
                    code,
                    after_ms,
                },
                AccountDecisionV1::TemplateStatus {
                    name,
                    language,
                    before,
                    now,
                    reason,
                } => AccountDecision::TemplateStatus {
                    name,
                    language,
                    before: before.map(Word::from_number).transpose()?,
                    now: Word::from_number(now)?,
                    reason,
                },
                AccountDecisionV1::Told { about, detail } => AccountDecision::Told { about, detail },
            })
        };
        Ok(Self {
            id: EventId::from_bytes(record.id),
            at: Timestamp::from_millis(record.at),
            account: AccountName::parse(&record.account).ok_or(Unreadable::Content("name of an account"))?,
            channel: Word::from_number(record.channel)?,
            provider: record.provider,
            senders: record.senders,
            decisions: record
                .decisions
                .into_iter()
                .map(decision)
                .collect::<Result<_, Unreadable>>()?,
        })
    }
}
