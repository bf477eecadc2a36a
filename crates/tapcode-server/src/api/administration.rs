//! What is configured, and how is a lock lifted?

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::account::{Breaker, BreakerScope, MessagingLimit, Quality};
use tapcode_core::plan::Channel;
use tapcode_engine::accounts::AccountView;
use tapcode_engine::contract::account::AccountApi;
use tapcode_engine::contract::store::Right;
use tapcode_engine::service::{SANDBOX_SENDER, Sender, Service, WorkflowStep};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::announce::ScopeAnswer;
use crate::api::call::{Answered, Call, answer, scope_of};
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
use crate::api::recipients::number_in_path;
use crate::api::refusal::of_verification;
use crate::api::templates::{self, nothing_in};
use crate::api::time::Moment;
use crate::api::verifications::{EmptyBody, SERVICE};
use crate::problem::{Code, Problem};

const TAG: &str = "Administration";

/// A list that is one page.
#[derive(Serialize)]
struct Whole<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// The configured WhatsApp accounts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of `Whole`")]
pub(crate) struct AccountList {
    data: Vec<AccountAnswer<'static>>,
    next_cursor: Option<String>,
}

/// The configured numbers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of `Whole`")]
pub(crate) struct NumberList {
    data: Vec<NumberAnswer<'static>>,
    next_cursor: Option<String>,
}

/// The configured services.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of `Whole`")]
pub(crate) struct ServiceList {
    data: Vec<ServiceAnswer>,
    next_cursor: Option<String>,
}

/// A WhatsApp account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountAnswer<'a> {
    /// Its number in the configuration: the `account_id` of messages.
    id: u32,
    /// Whose API carries its messages.
    provider: &'static str,
    /// Its phone number or name, where it is configured.
    number: Option<&'a str>,
    /// The template that its messages use.
    template: Option<&'a str>,
    /// The template's language where it has none for a locale, as the provider writes it.
    language: Option<&'a str>,
    /// Its health as its provider last told it; `null` where the provider has none, and for a key whose service does not
    /// use the account.
    health: Option<AccountHealthAnswer<'a>>,
    /// Why messages go over the next route for now. Empty when it is well, and for a key whose service does not use the
    /// account.
    breakers: Vec<BreakerAnswer<'a>>,
}

/// What a provider says of an account and its number.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountHealthAnswer<'a> {
    /// When it was last read; `null`: never yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Moment>,
    /// Why the last reading failed, if it did.
    unreadable: Option<&'a str>,
    /// The name that people see.
    verified_name: Option<&'a str>,
    /// The number's status in the provider's word.
    status: Option<&'a str>,
    /// `green`, `yellow`, `red` or `unknown`.
    quality: &'static str,
    /// Messages a second that the provider takes.
    messages_per_second: Option<u32>,
    /// How many people it may write to within 24 hours; `null`: not known.
    messaging_limit: Option<LimitAnswer>,
    /// How many it wrote to within 24 hours, by our own count. Not counted once the limit is `unlimited`.
    people_written_to: usize,
    /// How many templates it has, each language counted; `null`: never asked for.
    templates: Option<usize>,
    /// The languages in which the template may be sent; `null`: never asked for.
    template_languages: Option<Vec<&'a str>>,
}

/// A number, or the word `unlimited`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LimitAnswer {
    /// So many people.
    People(u32),
    /// Always `unlimited`.
    Word(&'static str),
}

impl From<MessagingLimit> for LimitAnswer {
    fn from(limit: MessagingLimit) -> Self {
        match limit {
            MessagingLimit::People(most) => Self::People(most),
            MessagingLimit::Unlimited => Self::Word("unlimited"),
        }
    }
}

/// An open breaker.
#[derive(Serialize, ToSchema)]
pub(crate) struct BreakerAnswer<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    scope: ScopeAnswer<'a>,
    /// The provider's code, or `blocked`, `restricted` or `burst`.
    code: &'a str,
    /// What the provider said, for people.
    detail: &'a str,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Moment,
    /// When one message, or a look at the account's health, finds out whether it can close.
    #[schema(value_type = String, format = DateTime)]
    probe_at: Moment,
}

impl<'a> From<&'a Breaker> for BreakerAnswer<'a> {
    fn from(breaker: &'a Breaker) -> Self {
        Self {
            scope: (&breaker.scope).into(),
            code: &breaker.code,
            detail: &breaker.detail,
            opened_at: Moment(breaker.opened_at),
            probe_at: Moment(breaker.probe_at),
        }
    }
}

/// A sender and, for whoever may see it, how its account stands.
struct Seen {
    sender: Arc<Sender>,
    view: Option<AccountView>,
}

impl Seen {
    fn of(call: &Call, sender: &Arc<Sender>) -> Self {
        Self {
            sender: Arc::clone(sender),
            view: call.sees_account_of(sender).then(|| call.engine().account(sender)),
        }
    }

    /// The breakers that the sender's messages may meet.
    fn breakers(&self) -> Vec<BreakerAnswer<'_>> {
        let others = |b: &&Breaker| !matches!(b.scope, BreakerScope::Sender(of) if of != self.sender.id);
        let all = self.view.iter().flat_map(|view| &view.account.breakers);
        all.filter(others).map(Into::into).collect()
    }

    fn account(&self) -> AccountAnswer<'_> {
        let sender = &self.sender;
        let api = sender.provider.account_api();
        AccountAnswer {
            id: sender.id,
            provider: sender.provider.id(),
            number: sender.number.as_deref(),
            template: sender.template.as_deref(),
            language: api.map(AccountApi::default_language),
            health: api.zip(self.view.as_ref()).map(|(api, view)| health(api, view, sender.id)),
            breakers: self.breakers(),
        }
    }

    fn number(&self) -> NumberAnswer<'_> {
        NumberAnswer {
            id: self.sender.id,
            provider: self.sender.provider.id(),
            number: self.sender.number.as_deref(),
            dedicated_to: self.sender.codes_only.then_some("otp"),
            breakers: self.breakers(),
        }
    }
}

fn health<'a>(api: &dyn AccountApi, view: &'a AccountView, sender: u32) -> AccountHealthAnswer<'a> {
    let account = &view.account;
    let facts = account.sender(sender);
    AccountHealthAnswer {
        read_at: account.read_at.map(Moment),
        unreadable: account.unreadable.as_deref(),
        verified_name: facts.and_then(|f| f.verified_name.as_deref()),
        status: facts.and_then(|f| f.status.as_deref()),
        quality: facts.map_or(Quality::Unknown, |f| f.quality).as_str(),
        messages_per_second: facts.and_then(|f| f.messages_per_second),
        messaging_limit: account.messaging_limit.map(Into::into),
        people_written_to: view.people_written_to,
        templates: account.templates.as_ref().map(Vec::len),
        template_languages: account.approved(api.template()),
    }
}

/// An SMS number.
#[derive(Serialize, ToSchema)]
pub(crate) struct NumberAnswer<'a> {
    /// Its number in the configuration: the `from_number_id` of messages.
    id: u32,
    provider: &'static str,
    number: Option<&'a str>,
    /// `otp` where it carries codes only.
    dedicated_to: Option<&'static str>,
    /// Why messages go over the next route for now. Empty when it is well, and for a key whose service does not use the
    /// number.
    breakers: Vec<BreakerAnswer<'a>>,
}

/// A service and its policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceAnswer {
    name: String,
    brand: String,
    default_locale: String,
    code_length: u8,
    code_ttl_s: u64,
    max_checks: u16,
    resend_cooldown_s: u32,
    max_sends_per_hour: u16,
    own_codes: bool,
    workflow: Vec<StepAnswer>,
    workflows: Vec<CountriesAnswer>,
}

/// One step of a workflow.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepAnswer {
    channel: &'static str,
    sender: Option<u32>,
    wait_ms: Option<u32>,
}

/// A workflow of some countries.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountriesAnswer {
    countries: Vec<String>,
    steps: Vec<StepAnswer>,
}

/// A lifted lock.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnlockAnswer {
    /// The number, masked.
    to: String,
    /// Always `true`: codes may be asked for and checked.
    unlocked: bool,
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const ACCOUNTS: &[Success] = &[Success {
        status: 200,
        means: "The accounts.",
        media: "application/json",
        schema: Some(schema::<AccountList>),
        example: r#"{"data":[{"id":1,"provider":"whatsapp_cloud","number":null,"template":"login_otp","language":"en","health":{"read_at":"2026-11-23T09:00:00.000Z","unreadable":null,"verified_name":"Acme","status":"CONNECTED","quality":"green","messages_per_second":80,"messaging_limit":2000,"people_written_to":17,"templates":2,"template_languages":["en","nl"]},"breakers":[{"scope":"country","country":"SA","code":"130497","detail":"Business account is restricted from messaging users in this country.","opened_at":"2026-11-23T09:00:00.000Z","probe_at":"2026-11-23T09:00:30.000Z"}]}],"next_cursor":null}"#,
    }];
    const REFRESHED: &[Success] = &[Success {
        status: 200,
        means: "The account as its provider tells it now.",
        media: "application/json",
        schema: Some(schema::<AccountAnswer<'static>>),
        example: r#"{"id":1,"provider":"whatsapp_cloud","number":null,"template":"login_otp","language":"en","health":{"read_at":"2026-11-23T09:00:00.000Z","unreadable":null,"verified_name":"Acme","status":"CONNECTED","quality":"green","messages_per_second":80,"messaging_limit":"unlimited","people_written_to":0,"templates":2,"template_languages":["en","nl"]},"breakers":[]}"#,
    }];
    const NUMBERS: &[Success] = &[Success {
        status: 200,
        means: "The numbers.",
        media: "application/json",
        schema: Some(schema::<NumberList>),
        example: r#"{"data":[{"id":42,"provider":"twilio","number":"+3197010253000","dedicated_to":"otp","breakers":[]}],"next_cursor":null}"#,
    }];
    const SERVICES: &[Success] = &[Success {
        status: 200,
        means: "The services that the key may see.",
        media: "application/json",
        schema: Some(schema::<ServiceList>),
        example: r#"{"data":[{"name":"acme","brand":"Acme","default_locale":"en","code_length":6,"code_ttl_s":300,"max_checks":5,"resend_cooldown_s":60,"max_sends_per_hour":5,"own_codes":false,"workflow":[{"channel":"whatsapp","sender":1,"wait_ms":10000},{"channel":"sms","sender":42,"wait_ms":null}],"workflows":[]}],"next_cursor":null}"#,
    }];
    const UNLOCKED: &[Success] = &[Success {
        status: 200,
        means: "The number is not locked any more, or never was.",
        media: "application/json",
        schema: Some(schema::<UnlockAnswer>),
        example: r#"{"to":"+31*****8058","unlocked":true}"#,
    }];
    let base = |id, path, summary, description, answers| Operation {
        id,
        method: Method::GET,
        path,
        tag: TAG,
        summary,
        description,
        needs: &[Right::Read, Right::Messages, Right::Verify],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers,
        problems: &[],
    };
    let unlock_is = "Needed after 100 failed checks in a row; ends a shorter lock early. The count of failures stays: only a right code ends it.";
    vec![
        keyed(
            base(
                "listWhatsappAccounts",
                "/api/v1/whatsapp/accounts",
                "List WhatsApp accounts",
                "As configured, and how each stands: its health as the provider last told it, and why messages go over the next route for now.",
                ACCOUNTS,
            ),
            shared,
            accounts,
        ),
        keyed(
            Operation {
                method: Method::POST,
                needs: &[Right::Admin],
                body: Some(Body {
                    schema: schema::<EmptyBody>,
                    required: false,
                    example: "{}",
                }),
                problems: &[
                    Code::UnknownSender,
                    Code::NoTemplates,
                    Code::ProviderRefused,
                    Code::ProviderSilent,
                ],
                ..base(
                    "refreshWhatsappAccount",
                    "/api/v1/whatsapp/accounts/{account_id}/refresh",
                    "Read an account's health now",
                    "Otherwise it is read every ten minutes, and when an open breaker is probed.",
                    REFRESHED,
                )
            },
            shared,
            refresh,
        ),
        keyed(
            base(
                "listNumbers",
                "/api/v1/numbers",
                "List SMS numbers",
                "As configured, and why messages go over the next route for now.",
                NUMBERS,
            ),
            shared,
            numbers,
        ),
        keyed(
            base(
                "listServices",
                "/api/v1/services",
                "List services",
                "A service's key sees its own, an admin key sees all.",
                SERVICES,
            ),
            shared,
            services,
        ),
        keyed(
            Operation {
                method: Method::POST,
                needs: &[Right::Admin],
                query: SERVICE.to_vec(),
                body: Some(Body {
                    schema: schema::<EmptyBody>,
                    required: false,
                    example: "{}",
                }),
                problems: &[Code::InvalidNumber, Code::RecipientNotFound, Code::ServiceNeeded],
                ..base(
                    "unlockRecipient",
                    "/api/v1/recipients/{number}/unlock",
                    "Lift the lock of a number",
                    unlock_is,
                    UNLOCKED,
                )
            },
            shared,
            unlock,
        ),
    ]
}

async fn accounts(call: Call) -> Answered {
    call.query().done()?;
    let seen = senders(&call, Channel::Whatsapp);
    Ok(list(seen.iter().map(Seen::account).collect()))
}

async fn refresh(call: Call) -> Answered {
    call.query().done()?;
    nothing_in(&call)?;
    let sender = templates::account_in_path(&call)?;
    let read = call.engine().read_account(&sender).await;
    read.map_err(|error| templates::problem(error.into()))?;
    Ok(answer(StatusCode::OK, &Seen::of(&call, &sender).account()))
}

async fn numbers(call: Call) -> Answered {
    call.query().done()?;
    let seen = senders(&call, Channel::Sms);
    Ok(list(seen.iter().map(Seen::number).collect()))
}

fn senders(call: &Call, channel: Channel) -> Vec<Seen> {
    let directory = call.engine().directory();
    let all = directory.senders().into_iter();
    let configured = all.filter(|s| s.channel == channel && s.id != SANDBOX_SENDER);
    configured.map(|s| Seen::of(call, s)).collect()
}

async fn services(call: Call) -> Answered {
    call.query().done()?;
    let directory = call.engine().directory();
    let own = |s: &&Arc<Service>| call.caller.service.as_ref().is_none_or(|own| *own == s.name);
    Ok(list(
        directory.services().into_iter().filter(own).map(|s| service(s)).collect(),
    ))
}

fn list<T: Serialize>(data: Vec<T>) -> axum::response::Response {
    answer(StatusCode::OK, &Whole { data, next_cursor: None })
}

fn service(s: &Service) -> ServiceAnswer {
    ServiceAnswer {
        name: s.name.as_str().to_owned(),
        brand: s.brand.to_string(),
        default_locale: s.default_locale.to_string(),
        code_length: s.code_length,
        code_ttl_s: s.code_ttl_ms / 1_000,
        max_checks: s.limits.max_checks,
        resend_cooldown_s: s.limits.resend_cooldown_ms / 1_000,
        max_sends_per_hour: s.limits.max_sends_per_hour,
        own_codes: s.own_codes,
        workflow: steps(&s.workflow),
        workflows: s
            .workflows
            .iter()
            .map(|(countries, of)| CountriesAnswer {
                countries: countries.iter().map(|c| c.as_str().to_owned()).collect(),
                steps: steps(of),
            })
            .collect(),
    }
}

fn steps(workflow: &[WorkflowStep]) -> Vec<StepAnswer> {
    workflow
        .iter()
        .map(|s| StepAnswer {
            channel: s.channel.as_str(),
            sender: s.sender,
            wait_ms: s.wait_ms,
        })
        .collect()
}

async fn unlock(call: Call) -> Answered {
    let query = call.query();
    let acting = call.acting(&query);
    query.done()?;
    nothing_in(&call)?;
    let number = number_in_path(&call)?;
    let scope = scope_of(&acting)?;
    let known = call
        .engine()
        .unlock(&scope, &number, &call.by())
        .await
        .map_err(|error| of_verification(error, call.engine().now()))?;
    if !known {
        return Err(Problem::new(Code::RecipientNotFound));
    }
    Ok(answer(
        StatusCode::OK,
        &UnlockAnswer {
            to: number.masked().as_str().to_owned(),
            unlocked: true,
        },
    ))
}
