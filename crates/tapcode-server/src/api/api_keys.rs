//! Who may call? API keys: made, shown without their text, revoked.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::id::KeyId;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_engine::access::{Caller, KeyError, KeyWish};
use tapcode_engine::contract::store::{ApiKey, Rate, Right};
use tapcode_engine::engine::EngineError;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::Shown;
use crate::api::call::{Answered, Call, answer, gone};
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
use crate::api::reader::Reading;
use crate::api::refusal::unavailable;
use crate::api::time::{self, Moment};
use crate::limits::{KEY_LABEL_MAX, KEY_REQUESTS_MAX};
use crate::problem::{Code, Problem};

const TAG: &str = "Administration";

/// A key to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of what `create` reads")]
pub(crate) struct KeyBody {
    /// What it may do: `verify`, `messages`, `read`, `admin`.
    rights: Vec<String>,
    /// The service that it belongs to. Only a key with the right `admin` may belong to none; a service's key makes keys of
    /// its own service.
    service: Option<String>,
    /// `live` or `test`. Default `live`.
    mode: Option<String>,
    /// What people call it, at most 100 bytes.
    label: Option<String>,
    /// From when on it is good for nothing. Default: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<()>,
    /// How many requests it may make. Default: any number.
    rate_limit: Option<RateBody>,
}

/// How many requests a key may make, counted by each server for itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct RateBody {
    /// In every second, in the long run: 1 to 100000.
    requests_per_second: u32,
    /// At once, after a while without any: 1 to 100000. Default: what it may make in a second.
    burst: u32,
}

/// An API key.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<KeyId>,
    /// `null`: it belongs to no service.
    service: Option<&'a str>,
    /// `live` or `test`.
    mode: &'static str,
    rights: Vec<&'static str>,
    label: &'a str,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Moment>,
    /// When it was last used, to ten minutes; `null`: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Moment>,
    rate_limit: Option<RateBody>,
    /// The key itself. Shown once, when it is made: only its hash is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> KeyAnswer<'a> {
    fn of(call: &Call, key: &'a ApiKey) -> Self {
        let status = match key.revoked_at {
            Some(_) => "revoked",
            None if key.is_good(call.engine().now()) => "active",
            None => "expired",
        };
        Self {
            id: Shown(key.id),
            service: key.service.as_ref().map(ServiceName::as_str),
            mode: key.mode.as_str(),
            rights: key.rights.iter().map(|right| right.as_str()).collect(),
            label: &key.label,
            status,
            created_at: Moment(key.created_at),
            expires_at: key.expires_at.map(Moment),
            revoked_at: key.revoked_at.map(Moment),
            last_used_at: key.used_at.map(Moment),
            rate_limit: key.rate.map(|rate| RateBody {
                requests_per_second: rate.per_second,
                burst: rate.burst,
            }),
            key: None,
        }
    }
}

/// The API keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList<'a> {
    data: Vec<KeyAnswer<'a>>,
    /// Always `null`: the list is one page.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<()>,
}

const KEY: &str = r#"{"id":"key_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","service":"acme","mode":"live","rights":["verify","read"],"label":"the shop","status":"active","created_at":"2026-11-23T09:00:00.000Z","expires_at":null,"revoked_at":null,"last_used_at":"2026-11-23T09:10:00.000Z","rate_limit":{"requests_per_second":50,"burst":100}}"#;

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const MADE: &[Success] = &[Success {
        status: 201,
        means: "The key works from now on. Keep its `key`: it is not shown again.",
        media: "application/json",
        schema: Some(schema::<KeyAnswer<'static>>),
        example: r#"{"id":"key_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","service":"acme","mode":"live","rights":["verify","read"],"label":"the shop","status":"active","created_at":"2026-11-23T09:00:00.000Z","expires_at":null,"revoked_at":null,"last_used_at":null,"rate_limit":null,"key":"tc_live_…"}"#,
    }];
    const LISTED: &[Success] = &[Success {
        status: 200,
        means: "The keys, oldest first.",
        media: "application/json",
        schema: Some(schema::<KeyList<'static>>),
        example: r#"{"data":[],"next_cursor":null}"#,
    }];
    const FOUND: &[Success] = &[Success {
        status: 200,
        means: "The key, without its text.",
        media: "application/json",
        schema: Some(schema::<KeyAnswer<'static>>),
        example: KEY,
    }];
    const GONE: &[Success] = &[Success {
        status: 204,
        means: "The key is refused from the next request on.",
        media: "",
        schema: None,
        example: "",
    }];
    let base = |id, method, path, summary, description, answers| Operation {
        id,
        method,
        path,
        tag: TAG,
        summary,
        description,
        needs: &[Right::Admin],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers,
        problems: &[],
    };
    vec![
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<KeyBody>,
                    required: true,
                    example: r#"{"service":"acme","rights":["verify","read"],"label":"the shop"}"#,
                }),
                problems: &[Code::ServiceNeeded, Code::ServiceNotConfigured, Code::TooManyKeys],
                ..base(
                    "createApiKey",
                    Method::POST,
                    "/api/v1/api-keys",
                    "Make an API key",
                    "A service's key makes keys of its own service, and a test key makes test keys. The answer to a request that was lost is lost: no `Idempotency-Key` is taken, because nothing here keeps the key's text. Revoke the one that nobody knows, and make another.",
                    MADE,
                )
            },
            shared,
            create,
        ),
        keyed(
            base(
                "listApiKeys",
                Method::GET,
                "/api/v1/api-keys",
                "List API keys",
                "Those of its own service for a service's key, all for another. Keys that are good for nothing any more stay on the list for as long as acts are kept.",
                LISTED,
            ),
            shared,
            list,
        ),
        keyed(
            Operation {
                problems: &[Code::KeyNotFound],
                ..base(
                    "getApiKey",
                    Method::GET,
                    "/api/v1/api-keys/{id}",
                    "Get an API key",
                    "What it may do and when it was last used.",
                    FOUND,
                )
            },
            shared,
            get,
        ),
        keyed(
            Operation {
                problems: &[Code::KeyNotFound, Code::LastAdminKey],
                ..base(
                    "revokeApiKey",
                    Method::DELETE,
                    "/api/v1/api-keys/{id}",
                    "Revoke an API key",
                    "Every server on the same store refuses it from its next request on. The last live key of no service with the right `admin` is not revoked here.",
                    GONE,
                )
            },
            shared,
            revoke,
        ),
    ]
}

/// Whether somebody administers a key: the others are unknown to them.
fn is_of(caller: &Caller, key: &ApiKey) -> bool {
    let of_service = caller.service.is_none() || caller.service == key.service;
    of_service && may_make(caller, key.mode)
}

/// A test key sends nothing to anybody, and makes nothing that does.
fn may_make(caller: &Caller, mode: Mode) -> bool {
    caller.mode == Mode::Live || mode == Mode::Test
}

async fn create(call: Call) -> Answered {
    let wish = wanted(&call)?;
    let made = call.engine().create_key(&wish, &call.by()).await.map_err(problem)?;
    let shown = KeyAnswer {
        key: Some(&made.text),
        ..KeyAnswer::of(&call, &made.kept)
    };
    Ok(answer(StatusCode::CREATED, &shown))
}

fn wanted(call: &Call) -> Result<KeyWish, Problem> {
    call.query().done()?;
    let json = call.json()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let rights = fields.required("rights", |f| {
        let one = |f: crate::api::reader::Field<'_>| {
            Right::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, "verify, messages, read or admin belongs here"))
        };
        let all = f.list(1, Right::ALL.len())?;
        all.into_iter().map(one).collect::<Option<Vec<Right>>>()
    });
    let service = fields.optional("service", |f| {
        ServiceName::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, "the name of a configured service belongs here"))
    });
    let mode = fields.optional("mode", |f| {
        Mode::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, "live or test belongs here"))
    });
    let label = fields.optional("label", |f| f.line(KEY_LABEL_MAX).map(str::to_owned));
    let now = call.engine().now();
    let expires_at = fields.optional("expires_at", |f| {
        let wanted = "a moment to come in RFC 3339 belongs here, such as 2027-11-23T09:00:00Z";
        let moment = time::parse(f.text()?).filter(|at| *at > now);
        moment.or_else(|| f.fail(Code::InvalidRequest, wanted))
    });
    let rate = fields.optional("rate_limit", |f| {
        let requests = |f: crate::api::reader::Field<'_>| {
            let number = f.whole(KEY_REQUESTS_MAX)?;
            if number == 0 {
                return f.fail(
                    Code::InvalidRequest,
                    "1 or more belongs here; leave `rate_limit` out for no limit",
                );
            }
            Some(number)
        };
        let mut fields = f.fields()?;
        let per_second = fields.required("requests_per_second", requests);
        let burst = fields.optional("burst", requests);
        fields.end();
        let per_second = per_second?;
        Some(Rate {
            per_second,
            burst: burst.unwrap_or(per_second),
        })
    });
    fields.end();
    reading.done()?;
    let mut rights = rights.unwrap_or_default();
    rights.sort_unstable();
    rights.dedup();
    let mode = mode.unwrap_or(call.caller.mode);
    let service = service.or_else(|| call.caller.service.clone());
    if let Some(service) = &service {
        if call.engine().directory().service(service).is_none() {
            return Err(Problem::at(
                Code::ServiceNotConfigured,
                "/service",
                "name a service that is configured",
            ));
        }
    } else if !rights.contains(&Right::Admin) {
        return Err(Problem::at(
            Code::ServiceNeeded,
            "/service",
            "only a key with the right admin belongs to no service: name the key's service",
        ));
    }
    if call.caller.service.is_some() && call.caller.service != service {
        return Err(Problem::new(Code::InsufficientRights).detail("a service's key makes keys of its own service only"));
    }
    if !may_make(&call.caller, mode) {
        return Err(Problem::new(Code::InsufficientRights).detail("a test key makes test keys only"));
    }
    Ok(KeyWish {
        service,
        mode,
        rights,
        label: label.unwrap_or_default(),
        expires_at,
        rate,
    })
}

async fn list(call: Call) -> Answered {
    call.query().done()?;
    let all = call.engine().store().keys().await.map_err(|error| unavailable(&error))?;
    let own = all.iter().filter(|key| is_of(&call.caller, key));
    let data = own.map(|key| KeyAnswer::of(&call, key)).collect();
    Ok(answer(StatusCode::OK, &KeyList { data, next_cursor: None }))
}

/// The key in the path, if the caller may know of it.
async fn found(call: &Call) -> Result<ApiKey, Problem> {
    call.query().done()?;
    let id = call.id(KeyId::parse)?;
    let all = call.engine().store().keys().await.map_err(|error| unavailable(&error))?;
    let found = all.into_iter().find(|key| key.id == id && is_of(&call.caller, key));
    found.ok_or_else(|| Problem::new(Code::KeyNotFound))
}

async fn get(call: Call) -> Answered {
    let key = found(&call).await?;
    Ok(answer(StatusCode::OK, &KeyAnswer::of(&call, &key)))
}

async fn revoke(call: Call) -> Answered {
    let key = found(&call).await?;
    call.engine().revoke_key(key.id, &call.by()).await.map_err(problem)?;
    Ok(gone())
}

fn problem(error: KeyError) -> Problem {
    match error {
        KeyError::Unknown => Problem::new(Code::KeyNotFound),
        KeyError::TooMany => Problem::new(Code::TooManyKeys),
        KeyError::LastAdmin => Problem::new(Code::LastAdminKey),
        KeyError::Engine(error @ (EngineError::Unavailable(_) | EngineError::KeyReused)) => unavailable(&error),
    }
}
