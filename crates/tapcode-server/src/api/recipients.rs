//! What is on record about one number in one service? For operators and support.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Lock, Recipient};
use tapcode_engine::contract::store::Right;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::call::{Answered, Call, answer, scope_of};
use crate::api::operation::{Operation, Route, Success, keyed, schema};
use crate::api::refusal::unavailable;
use crate::api::time::Moment;
use crate::api::verifications::SERVICE;
use crate::problem::{Code, Problem};

/// A number within a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecipientAnswer {
    /// The number, masked.
    to: String,
    /// ISO 3166-1 alpha-2.
    country: String,
    /// Whether codes may be asked for and checked.
    locked: bool,
    /// When the lock ends by itself; `null` where it does not, and where there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    locked_until: Option<Moment>,
    /// Messages of verifications within the last hour.
    sends_within_hour: usize,
    /// Failed checks in a row, by purpose.
    failed_checks: std::collections::BTreeMap<String, u16>,
    /// What messages told of the channels the number is on.
    channels: Vec<ReachAnswer>,
    /// Channels on which it is known whose the number was when it was last verified.
    identities: Vec<&'static str>,
    /// How often its holder said within a day that they asked for no code.
    disowned: usize,
    /// Where the number was erased: when what is left is forgotten at the latest.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_until: Option<Moment>,
}

/// Whether a number is on a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReachAnswer {
    channel: &'static str,
    on: bool,
    #[schema(value_type = String, format = DateTime)]
    since: Moment,
    /// When that is forgotten.
    #[schema(value_type = String, format = DateTime)]
    until: Moment,
}

impl RecipientAnswer {
    pub(crate) fn of(document: &Recipient, number: &Number, now: tapcode_core::time::Timestamp) -> Self {
        Self {
            // Of a number that was erased not even that is kept.
            to: number.masked().as_str().to_owned(),
            country: document.country.as_str().to_owned(),
            locked: document.lock.holds(now),
            locked_until: match document.lock {
                Lock::Until(until) if document.lock.holds(now) => Some(Moment(until)),
                Lock::Until(_) | Lock::Open | Lock::UntilOperator => None,
            },
            sends_within_hour: document.sends_within_hour(now),
            failed_checks: document
                .failures
                .iter()
                .map(|f| (f.purpose.as_str().to_owned(), f.in_a_row))
                .collect(),
            channels: document
                .knowledge
                .reach
                .iter()
                .map(|r| ReachAnswer {
                    channel: r.channel.as_str(),
                    on: r.is_on,
                    since: Moment(r.at),
                    until: Moment(r.forgotten_at()),
                })
                .collect(),
            identities: [Channel::Whatsapp, Channel::Sms]
                .into_iter()
                .filter(|c| document.knowledge.identity(*c).is_some())
                .map(Channel::as_str)
                .collect(),
            disowned: document.knowledge.disowned.len(),
            erased_until: document.erased.map(|erased| Moment(erased.until())),
        }
    }
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const RECIPIENT: &[Success] = &[Success {
        status: 200,
        means: "What is on record.",
        media: "application/json",
        schema: Some(schema::<RecipientAnswer>),
        example: r#"{"to":"+31*****8058","country":"NL","locked":false,"locked_until":null,"sends_within_hour":1,"failed_checks":{"login":2},"channels":[{"channel":"whatsapp","on":true,"since":"2026-11-23T09:00:02.000Z","until":"2027-02-21T09:00:02.000Z"}],"identities":[],"disowned":0}"#,
    }];
    let operation = Operation {
        id: "getRecipient",
        method: Method::GET,
        path: "/api/v1/recipients/{number}",
        tag: "Administration",
        summary: "Get what is on record about a number",
        description: "Its lock, its sends within the hour, and what messages told of it.",
        needs: &[Right::Admin],
        query: SERVICE.to_vec(),
        body: None,
        idempotent: false,
        answers: RECIPIENT,
        problems: &[Code::InvalidNumber, Code::RecipientNotFound, Code::ServiceNeeded],
    };
    vec![keyed(operation, shared, get)]
}

/// The number that the path names.
pub(crate) fn number_in_path(call: &Call) -> Result<Number, Problem> {
    Number::parse(call.path("number")).map_err(|error| Problem::new(Code::InvalidNumber).detail(error.to_string()))
}

async fn get(call: Call) -> Answered {
    let query = call.query();
    let acting = call.acting(&query);
    query.done()?;
    let number = number_in_path(&call)?;
    let key = call.engine().keyring().recipient_key(&scope_of(&acting)?, &number);
    let loaded = call.engine().store().load(&key).await.map_err(|error| unavailable(&error))?;
    let document = loaded.ok_or_else(|| Problem::new(Code::RecipientNotFound))?.value;
    Ok(answer(
        StatusCode::OK,
        &RecipientAnswer::of(&document, &number, call.engine().now()),
    ))
}
