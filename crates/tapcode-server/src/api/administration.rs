//! What is configured, and how is a lock lifted?

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_engine::contract::store::Right;
use tapcode_engine::service::{SANDBOX_SENDER, Sender, Service, WorkflowStep};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::call::{Answered, Call, answer, scope_of};
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
use crate::api::reader::Reading;
use crate::api::refusal::of_verification;
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
        example: r#"{"data":[{"id":1,"provider":"whatsapp_cloud","number":null,"template":"login_otp"}],"next_cursor":null}"#,
    }];
    const NUMBERS: &[Success] = &[Success {
        status: 200,
        means: "The numbers.",
        media: "application/json",
        schema: Some(schema::<NumberList>),
        example: r#"{"data":[{"id":42,"provider":"twilio","number":"+3197010253000","dedicated_to":"otp"}],"next_cursor":null}"#,
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
    Ok(list(senders(&call, Channel::Whatsapp, |s| AccountAnswer {
        id: s.id,
        provider: s.provider.id(),
        number: s.number.as_deref().map(str::to_owned),
        template: s.template.as_deref().map(str::to_owned),
    })))
}

async fn numbers(call: Call) -> Answered {
    call.query().done()?;
    Ok(list(senders(&call, Channel::Sms, |s| NumberAnswer {
        id: s.id,
        provider: s.provider.id(),
        number: s.number.as_deref().map(str::to_owned),
        dedicated_to: s.codes_only.then_some("otp"),
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
    let json = call.json_if_any()?;
    let reading = Reading::default();
    reading.root(&json).end();
    reading.done()?;
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
