//! What is configured, and how is a lock lifted?

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::account::{Breaker, BreakerScope, MessagingLimit, Quality};
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_engine::accounts::AccountView;
use tapcode_engine::contract::store::Right;
use tapcode_engine::service::{SANDBOX_SENDER, Sender, Service, WorkflowStep};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::call::{Answered, Call, answer, scope_of};
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
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
    data: Vec<AccountAnswer>,
    next_cursor: Option<String>,
}

/// The configured numbers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of `Whole`")]
pub(crate) struct NumberList {
    data: Vec<NumberAnswer>,
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
pub(crate) struct AccountAnswer {
    /// Its number in the configuration: the `account_id` of messages.
    id: u32,
    /// Whose API carries its messages.
    provider: &'static str,
    /// Its phone number or name, where it is configured.
    number: Option<String>,
    /// The template that its messages use.
    template: Option<String>,
    /// Its health as its provider last told it; `null` where the provider has none.
    health: Option<HealthAnswer>,
    /// Why messages go over the next route for now. Empty when it is well.
    breakers: Vec<BreakerAnswer>,
}

/// What a provider says of an account and its number.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthAnswer {
    /// When it was last read; `null`: never yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Moment>,
    /// Why the last reading failed, if it did.
    unreadable: Option<String>,
    /// The name that people see.
    verified_name: Option<String>,
    /// The number's status in the provider's word.
    status: Option<String>,
    /// `green`, `yellow`, `red` or `unknown`.
    quality: &'static str,
    /// Messages a second that the provider takes.
    messages_per_second: Option<u32>,
    /// How many people it may write to within 24 hours; `null`: as many as there are, or not known.
    messaging_limit: Option<u32>,
    /// Whether there is no such limit; `null`: not known.
    unlimited: Option<bool>,
    /// How many it wrote to within 24 hours, by our own count.
    people_written_to: usize,
    /// The languages in which the template may be sent; `null`: never asked for.
    template_languages: Option<Vec<String>>,
}

/// An open breaker.
#[derive(Serialize, ToSchema)]
pub(crate) struct BreakerAnswer {
    /// `account`, `number`, `template` or `country`.
    scope: &'static str,
    /// The template, the country or the sender that is meant.
    of: Option<String>,
    /// The provider's code, or `blocked`, `restricted` or `burst`.
    code: String,
    detail: String,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Moment,
    /// When one message, or a look at the account's health, finds out whether it can close.
    #[schema(value_type = String, format = DateTime)]
    probe_at: Moment,
}

impl From<&Breaker> for BreakerAnswer {
    fn from(breaker: &Breaker) -> Self {
        Self {
            scope: breaker.scope.as_str(),
            of: match &breaker.scope {
                BreakerScope::Account => None,
                BreakerScope::Sender(sender) => Some(sender.to_string()),
                BreakerScope::Template { name, language: None } => Some(name.to_string()),
                BreakerScope::Template {
                    name,
                    language: Some(language),
                } => Some(format!("{name} in {language}")),
                BreakerScope::Country(country) => Some(country.as_str().to_owned()),
            },
            code: breaker.code.to_string(),
            detail: breaker.detail.to_string(),
            opened_at: Moment(breaker.opened_at),
            probe_at: Moment(breaker.probe_at),
        }
    }
}

/// The breakers that a sender's messages may meet.
fn breakers(view: &AccountView, sender: &Sender) -> Vec<BreakerAnswer> {
    let others = |b: &&Breaker| !matches!(b.scope, BreakerScope::Sender(of) if of != sender.id);
    view.account.breakers.iter().filter(others).map(Into::into).collect()
}

fn account_answer(call: &Call, sender: &Sender) -> AccountAnswer {
    let view = call.engine().account(sender);
    let facts = view.account.sender(sender.id);
    let api = sender.provider.account_api();
    let approved = |template: &str| {
        view.account
            .approved(template)
            .map(|all| all.into_iter().map(str::to_owned).collect())
    };
    let health = api.map(|api| HealthAnswer {
        read_at: view.account.read_at.map(Moment),
        unreadable: view.account.unreadable.as_deref().map(str::to_owned),
        verified_name: facts.and_then(|f| f.verified_name.as_deref()).map(str::to_owned),
        status: facts.and_then(|f| f.status.as_deref()).map(str::to_owned),
        quality: facts.map_or(Quality::Unknown, |f| f.quality).as_str(),
        messages_per_second: facts.and_then(|f| f.messages_per_second),
        messaging_limit: match view.account.messaging_limit {
            Some(MessagingLimit::People(most)) => Some(most),
            Some(MessagingLimit::Unlimited) | None => None,
        },
        unlimited: view.account.messaging_limit.map(|limit| limit == MessagingLimit::Unlimited),
        people_written_to: view.people_written_to,
        template_languages: approved(api.template()),
    });
    AccountAnswer {
        id: sender.id,
        provider: sender.provider.id(),
        number: sender.number.as_deref().map(str::to_owned),
        template: sender.template.as_deref().map(str::to_owned),
        health,
        breakers: breakers(&view, sender),
    }
}

/// An SMS number.
#[derive(Serialize, ToSchema)]
pub(crate) struct NumberAnswer {
    /// Its number in the configuration: the `from_number_id` of messages.
    id: u32,
    provider: &'static str,
    number: Option<String>,
    /// `otp` where it carries codes only.
    dedicated_to: Option<&'static str>,
    /// Why messages go over the next route for now. Empty when it is well.
    breakers: Vec<BreakerAnswer>,
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
        example: r#"{"data":[{"id":1,"provider":"whatsapp_cloud","number":null,"template":"login_otp","health":{"read_at":"2026-11-23T09:00:00.000Z","unreadable":null,"verified_name":"Acme","status":"CONNECTED","quality":"green","messages_per_second":80,"messaging_limit":2000,"unlimited":false,"people_written_to":17,"template_languages":["en","nl"]},"breakers":[]}],"next_cursor":null}"#,
    }];
    const REFRESHED: &[Success] = &[Success {
        status: 200,
        means: "The account as its provider tells it now.",
        media: "application/json",
        schema: Some(schema::<AccountAnswer>),
        example: r#"{"id":1,"provider":"whatsapp_cloud","number":null,"template":"login_otp","health":null,"breakers":[]}"#,
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
                "As configured.",
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
                "As configured.",
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
    Ok(list(senders(&call, Channel::Whatsapp, |s| account_answer(&call, s))))
}

async fn refresh(call: Call) -> Answered {
    call.query().done()?;
    nothing_in(&call)?;
    let id = call.path("account_id").parse().ok();
    let directory = call.engine().directory();
    let found = id
        .and_then(|id| directory.sender(Channel::Whatsapp, id))
        .filter(|s| s.id != SANDBOX_SENDER);
    let sender =
        found.ok_or_else(|| Problem::new(Code::UnknownSender).detail("no WhatsApp account with this id is configured"))?;
    let read = call.engine().read_account(sender).await;
    read.map_err(|error| templates::problem(error.into()))?;
    Ok(answer(StatusCode::OK, &account_answer(&call, sender)))
}

async fn numbers(call: Call) -> Answered {
    call.query().done()?;
    Ok(list(senders(&call, Channel::Sms, |s| NumberAnswer {
        id: s.id,
        provider: s.provider.id(),
        number: s.number.as_deref().map(str::to_owned),
        dedicated_to: s.codes_only.then_some("otp"),
        breakers: breakers(&call.engine().account(s), s),
    })))
}

fn senders<T>(call: &Call, channel: Channel, shown: impl Fn(&Sender) -> T) -> Vec<T> {
    let directory = call.engine().directory();
    directory
        .senders()
        .into_iter()
        .filter(|s| s.channel == channel && s.id != SANDBOX_SENDER)
        .map(|s| shown(s))
        .collect()
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
    let number =
        Number::parse(call.path("number")).map_err(|error| Problem::new(Code::InvalidNumber).detail(error.to_string()))?;
    let scope = scope_of(&acting)?;
    let known = call
        .engine()
        .unlock(&scope, &number)
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
