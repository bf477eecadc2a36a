//! What did administrators do? Read newest first; nothing here can be changed.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::audit::{Act, Actor};
use tapcode_core::id::{ActId, KeyId};
use tapcode_core::recipient::ServiceName;
use tapcode_engine::contract::store::{Place, Right};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::Shown;
use crate::api::call::{Answered, Call, answer};
use crate::api::operation::{Operation, Parameter, Route, Success, keyed, schema};
use crate::api::refusal::unavailable;
use crate::api::time::Moment;
use crate::problem::{Code, Problem};

/// Something that an administrator did.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<ActId>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// The key that it was done with; `null`: it was done on the command line.
    #[schema(value_type = Option<String>)]
    key_id: Option<Shown<KeyId>>,
    /// The address at the other end of the connection, a proxy's where there is one; `null`: the command line.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// What was done, such as `key.created`, `webhook_endpoint.deleted` or `recipient.unlocked`.
    action: &'static str,
    /// What it was done to: an id, an account and a template's name, a masked number.
    object: &'a str,
    /// The service that it concerns.
    service: Option<&'a str>,
    /// What else there is to know, for people.
    detail: &'a str,
}

impl<'a> From<&'a Act> for ActAnswer<'a> {
    fn from(act: &'a Act) -> Self {
        Self {
            id: Shown(act.id),
            at: Moment(act.at),
            key_id: match act.by.actor {
                Actor::Key(id) => Some(Shown(id)),
                Actor::CommandLine => None,
            },
            address: act.by.address,
            action: act.deed.as_str(),
            object: &act.object,
            service: act.service.as_ref().map(ServiceName::as_str),
            detail: &act.detail,
        }
    }
}

/// A page of acts.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActList<'a> {
    data: Vec<ActAnswer<'a>>,
    /// `null`: this was the last page.
    next_cursor: Option<String>,
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const LISTED: &[Success] = &[Success {
        status: 200,
        means: "The acts, newest first.",
        media: "application/json",
        schema: Some(schema::<ActList<'static>>),
        example: r#"{"data":[{"id":"act_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","at":"2026-11-23T09:00:00.000Z","key_id":"key_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","address":"203.0.113.7","action":"recipient.unlocked","object":"+31*****8058","service":"acme","detail":"live"}],"next_cursor":null}"#,
    }];
    let operation = Operation {
        id: "listActs",
        method: Method::GET,
        path: "/api/v1/audit",
        tag: "Administration",
        summary: "List what administrators did",
        description: "Newest first; each act was written in the same commit as what it did. For admin keys that belong to no service.",
        needs: &[Right::Admin],
        query: vec![
            Parameter {
                name: "limit",
                kind: "integer",
                means: "How many to return, 1 to 100. Default 20.",
            },
            Parameter {
                name: "cursor",
                kind: "string",
                means: "The `next_cursor` of the page before. Default: the newest act.",
            },
        ],
        body: None,
        idempotent: false,
        answers: LISTED,
        problems: &[Code::InvalidCursor],
    };
    vec![keyed(operation, shared, list)]
}

async fn list(call: Call) -> Answered {
    let query = call.query();
    let limit = query.limit();
    let read = |text: &str| text.parse::<u64>().ok().map(Place);
    let wanted = "a `next_cursor` of this list belongs here";
    let before = query.read("cursor", (Code::InvalidCursor, wanted), read);
    query.done()?;
    if call.caller.service.is_some() {
        return Err(Problem::new(Code::InsufficientRights).detail("the acts of all are for admin keys that belong to no service"));
    }
    // One more than is shown says whether there is another page.
    let mut acts = call
        .engine()
        .acts(before, limit.saturating_add(1))
        .await
        .map_err(|error| unavailable(&error))?;
    let is_last = acts.len() <= limit;
    acts.truncate(limit);
    let next_cursor = acts.last().filter(|_| !is_last).map(|(place, _)| place.0.to_string());
    let data = acts.iter().map(|(_, act)| act.into()).collect();
    Ok(answer(StatusCode::OK, &ActList { data, next_cursor }))
}
