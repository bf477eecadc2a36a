//! Where are events told? Webhook endpoints: made, tested, told again, given new secrets, and what came of each try.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::endpoint::{Endpoint, Told, Try, WhyDisabled};
use tapcode_core::id::{EndpointId, EventId};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_engine::announcing::{Announcement, Announcer, EndpointError, NewEndpoint, ROTATED_FOR_MS, SecretText, UrlProblem};
use tapcode_engine::contract::store::{Line, Right};
use tapcode_engine::engine::{Engine, EngineError};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::announce::{TYPES, events};
use crate::api::answers::Shown;
use crate::api::call::{Answered, Call, answer, gone, to_json};
use crate::api::events::Wanted;
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
use crate::api::reader::Reading;
use crate::api::refusal::unavailable;
use crate::api::templates::nothing_in;
use crate::api::time::{self, Moment};
use crate::api::verifications::EmptyBody;
use crate::problem::{Code, Problem};

const TAG: &str = "Webhooks";
/// Longest address, in bytes.
const URL_MAX: usize = 2_000;
/// Longest description, in bytes.
const DESCRIPTION_MAX: usize = 200;
/// The type of what `test` tells: it is no event.
const TEST_TYPE: &str = "test";

/// An endpoint to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of what `create` reads")]
pub(crate) struct EndpointBody {
    /// Its address: `https`, without user and password, not in a private network.
    url: String,
    /// The service whose events it is told. Needed where several are configured.
    service: Option<String>,
    /// `live` or `test`. Default `live`.
    mode: Option<String>,
    /// Only these types of events. Default: all.
    types: Option<Vec<String>>,
    /// What people call it, at most 200 bytes.
    description: Option<String>,
}

/// From when on to tell again.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of what `replay` reads")]
pub(crate) struct ReplayBody {
    #[schema(value_type = String, format = DateTime)]
    since: (),
}

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointAnswer<'a> {
    #[schema(value_type = String)]
    id: Shown<EndpointId>,
    url: &'a str,
    service: &'a str,
    /// `live` or `test`.
    mode: &'static str,
    /// Empty: all types.
    types: &'a [Box<str>],
    description: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    /// `active`, `failing`: it took nothing the last times and is asked less often, or `disabled`: it is told nothing.
    status: &'static str,
    /// Why it is disabled: `gone`: it answered 410, or `failing`: it took nothing for five days.
    disabled_because: Option<&'static str>,
    /// Since when it took nothing, where it fails.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Moment>,
    /// When it is told something again, where it fails.
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Moment>,
    /// Events that it refused and that wait for another try.
    waiting: usize,
    /// What signs: `whsec_` and base 64. Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    /// Until when the secret of before signs too, where it was just replaced.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_until: Option<Moment>,
}

impl<'a> EndpointAnswer<'a> {
    fn of(id: EndpointId, endpoint: &'a Endpoint) -> Self {
        let failing = endpoint.failing.as_ref();
        Self {
            id: Shown(id),
            url: &endpoint.url,
            service: endpoint.service.as_str(),
            mode: endpoint.mode.as_str(),
            types: &endpoint.types,
            description: &endpoint.description,
            created_at: Moment(endpoint.created_at),
            status: match (endpoint.disabled, failing) {
                (Some(_), _) => "disabled",
                (None, Some(_)) => "failing",
                (None, None) => "active",
            },
            disabled_because: endpoint.disabled.map(|(_, why)| WhyDisabled::as_str(why)),
            failing_since: failing.map(|f| Moment(f.since)),
            paused_until: failing.map(|f| Moment(f.paused_until)),
            waiting: endpoint.retries.len(),
            secret: None,
            old_secret_until: None,
        }
    }

    fn with_secret(mut self, secret: &'a SecretText) -> Self {
        self.secret = Some(&secret.0);
        self
    }
}

/// The webhook endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointList<'a> {
    data: Vec<EndpointAnswer<'a>>,
    /// Always `null`: the list is one page.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<()>,
}

/// One try to tell an endpoint an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryAnswer {
    #[schema(value_type = String)]
    event_id: Shown<EventId>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// Which try of this event it was, from 1.
    number: u8,
    /// As in a test's answer.
    result: &'static str,
    /// The status of the answer; `null`: there was none.
    status: Option<u16>,
    duration_ms: u32,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestAnswer {
    /// `taken`, `refused`, or why there was no answer: `no_connection`, `no_answer` or `forbidden_address`.
    result: &'static str,
    /// The status of the answer; `null`: there was none.
    status: Option<u16>,
    duration_ms: u32,
}

/// The word for what came of a try, and the status of the answer.
const fn result(told: Told) -> (&'static str, Option<u16>) {
    match told {
        Told::Taken { status } => ("taken", Some(status)),
        Told::Refused { status, .. } => ("refused", Some(status)),
        Told::Unanswered(why) => (why.as_str(), None),
    }
}

/// The last tries, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    data: Vec<DeliveryAnswer>,
    /// Always `null`: the list is one page of at most 100.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<()>,
}

const ENDPOINT: &str = r#"{"id":"whe_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","url":"https://example.com/hooks/otp","service":"acme","mode":"live","types":["verification.approved"],"description":"the shop","created_at":"2026-11-23T09:00:00.000Z","status":"active","disabled_because":null,"failing_since":null,"paused_until":null,"waiting":0}"#;

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const MADE: &[Success] = &[Success {
        status: 201,
        means: "It is told what happens from now on. Keep its `secret`: it is not shown again.",
        media: "application/json",
        schema: Some(schema::<EndpointAnswer<'static>>),
        example: r#"{"id":"whe_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","url":"https://example.com/hooks/otp","service":"acme","mode":"live","types":[],"description":"","created_at":"2026-11-23T09:00:00.000Z","status":"active","disabled_because":null,"failing_since":null,"paused_until":null,"waiting":0,"secret":"whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="}"#,
    }];
    const LISTED: &[Success] = &[Success {
        status: 200,
        means: "The endpoints, oldest first.",
        media: "application/json",
        schema: Some(schema::<EndpointList<'static>>),
        example: r#"{"data":[],"next_cursor":null}"#,
    }];
    const GONE: &[Success] = &[Success {
        status: 204,
        means: "It is told nothing more.",
        media: "",
        schema: None,
        example: "",
    }];
    const CHANGED: &[Success] = &[Success {
        status: 200,
        means: "The endpoint as it stands now.",
        media: "application/json",
        schema: Some(schema::<EndpointAnswer<'static>>),
        example: ENDPOINT,
    }];
    const TESTED: &[Success] = &[Success {
        status: 200,
        means: "What the endpoint answered.",
        media: "application/json",
        schema: Some(schema::<TestAnswer>),
        example: r#"{"result":"taken","status":204,"duration_ms":38}"#,
    }];
    const DELIVERIES: &[Success] = &[Success {
        status: 200,
        means: "The last 100 tries, newest first.",
        media: "application/json",
        schema: Some(schema::<DeliveryList>),
        example: r#"{"data":[{"event_id":"evt_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0F0","at":"2026-11-23T09:00:02.000Z","number":1,"result":"taken","status":204,"duration_ms":38}],"next_cursor":null}"#,
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
    let nothing = || {
        Some(Body {
            schema: schema::<EmptyBody>,
            required: false,
            example: "{}",
        })
    };
    const OF_ONE: &[Code] = &[Code::InvalidId, Code::EndpointNotFound];
    vec![
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<EndpointBody>,
                    required: true,
                    example: r#"{"url":"https://example.com/hooks/otp","service":"acme"}"#,
                }),
                problems: &[
                    Code::InvalidEndpointUrl,
                    Code::UnknownEventType,
                    Code::ServiceNeeded,
                    Code::ServiceNotConfigured,
                    Code::TooManyEndpoints,
                ],
                ..base(
                    "createWebhookEndpoint",
                    Method::POST,
                    "/api/v1/webhook-endpoints",
                    "Make a webhook endpoint",
                    "It is told every event of a service from now on, at least once, signed as Standard Webhooks has it.",
                    MADE,
                )
            },
            shared,
            create,
        ),
        keyed(
            base(
                "listWebhookEndpoints",
                Method::GET,
                "/api/v1/webhook-endpoints",
                "List webhook endpoints",
                "How each stands. Secrets are not shown.",
                LISTED,
            ),
            shared,
            list,
        ),
        keyed(
            Operation {
                problems: OF_ONE,
                ..base(
                    "deleteWebhookEndpoint",
                    Method::DELETE,
                    "/api/v1/webhook-endpoints/{id}",
                    "Delete a webhook endpoint",
                    "What waits for another try is forgotten.",
                    GONE,
                )
            },
            shared,
            delete,
        ),
        keyed(
            Operation {
                body: nothing(),
                problems: OF_ONE,
                ..base(
                    "rotateWebhookSecret",
                    Method::POST,
                    "/api/v1/webhook-endpoints/{id}/rotate-secret",
                    "Give a webhook endpoint a new secret",
                    "Both sign for a day, each with a signature of its own.",
                    CHANGED,
                )
            },
            shared,
            rotate,
        ),
        keyed(
            Operation {
                body: nothing(),
                problems: OF_ONE,
                ..base(
                    "testWebhookEndpoint",
                    Method::POST,
                    "/api/v1/webhook-endpoints/{id}/test",
                    "Tell a webhook endpoint something now",
                    "Posts an event of the type `test` and answers what came of it. It counts as no try.",
                    TESTED,
                )
            },
            shared,
            test,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<ReplayBody>,
                    required: true,
                    example: r#"{"since":"2026-11-23T09:00:00Z"}"#,
                }),
                problems: OF_ONE,
                ..base(
                    "replayWebhookEndpoint",
                    Method::POST,
                    "/api/v1/webhook-endpoints/{id}/replay",
                    "Tell a webhook endpoint again",
                    "Every event since a moment, under the ids that they had: whoever knows them already drops them.",
                    CHANGED,
                )
            },
            shared,
            replay,
        ),
        keyed(
            Operation {
                body: nothing(),
                problems: OF_ONE,
                ..base(
                    "enableWebhookEndpoint",
                    Method::POST,
                    "/api/v1/webhook-endpoints/{id}/enable",
                    "Enable a webhook endpoint",
                    "Ends a pause, and what disabled it. It goes on where it stopped.",
                    CHANGED,
                )
            },
            shared,
            enable,
        ),
        keyed(
            Operation {
                problems: OF_ONE,
                ..base(
                    "listWebhookDeliveries",
                    Method::GET,
                    "/api/v1/webhook-endpoints/{id}/deliveries",
                    "List the last tries",
                    "What the endpoint was told, and what it answered.",
                    DELIVERIES,
                )
            },
            shared,
            deliveries,
        ),
    ]
}

async fn create(call: Call) -> Answered {
    let new = wanted(&call)?;
    let (id, endpoint, secret) = call.engine().new_endpoint(new, &call.by()).await.map_err(problem)?;
    let made = EndpointAnswer::of(id, &endpoint).with_secret(&secret);
    Ok(answer(StatusCode::CREATED, &made))
}

fn wanted(call: &Call) -> Result<NewEndpoint, Problem> {
    call.query().done()?;
    let json = call.json()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let url = fields.required("url", |f| {
        let text = f.line(URL_MAX)?;
        call.engine()
            .endpoint_url(text)
            .map_or_else(|problem| f.fail(Code::InvalidEndpointUrl, instead(problem)), Some)
    });
    let service = fields.optional("service", |f| {
        ServiceName::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, "the name of a configured service belongs here"))
    });
    let mode = fields.optional("mode", |f| {
        Mode::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, "live or test belongs here"))
    });
    let types = fields.optional("types", |f| {
        let known = |text: &str| TYPES.iter().find(|known| **known == text).map(|known| (*known).to_owned());
        let one = |f: crate::api::reader::Field<'_>| {
            known(f.text()?).or_else(|| f.fail(Code::UnknownEventType, Code::UnknownEventType.registered().means))
        };
        f.list(0, TYPES.len())?.into_iter().map(one).collect::<Option<Vec<String>>>()
    });
    let description = fields.optional("description", |f| f.line(DESCRIPTION_MAX).map(str::to_owned));
    fields.end();
    reading.done()?;
    let directory = call.engine().directory();
    let only = || match &directory.services()[..] {
        [only] => Some(only.name.clone()),
        _ => None,
    };
    let service = service.or_else(only).ok_or_else(|| {
        Problem::at(
            Code::ServiceNeeded,
            "/service",
            "several services are configured: name one of them",
        )
    })?;
    if directory.service(&service).is_none() {
        return Err(Problem::at(
            Code::ServiceNotConfigured,
            "/service",
            "name a service that is configured",
        ));
    }
    Ok(NewEndpoint {
        service,
        mode: mode.unwrap_or(Mode::Live),
        url: url.unwrap_or_default(),
        types: types.unwrap_or_default(),
        description: description.unwrap_or_default(),
    })
}

/// What to send instead of an address.
const fn instead(problem: UrlProblem) -> &'static str {
    match problem {
        UrlProblem::NoUrl => "a whole address belongs here, such as https://example.com/hooks/otp",
        UrlProblem::Scheme => {
            "the address begins with https://; http:// is for networks of one's own, which `webhooks.allow_private` opens"
        }
        UrlProblem::Credentials => "an address without user and password belongs here: events are signed, which proves more",
        UrlProblem::Forbidden => {
            "the address leads to a private or reserved network: name a machine on the internet, or set `webhooks.allow_private`"
        }
    }
}

async fn list(call: Call) -> Answered {
    call.query().done()?;
    let all = call.engine().endpoints().await.map_err(problem)?;
    let data = all.iter().map(|(id, endpoint)| EndpointAnswer::of(*id, endpoint)).collect();
    Ok(answer(StatusCode::OK, &EndpointList { data, next_cursor: None }))
}

async fn delete(call: Call) -> Answered {
    call.query().done()?;
    let id = call.id(EndpointId::parse)?;
    call.engine().delete_endpoint(id, &call.by()).await.map_err(problem)?;
    Ok(gone())
}

async fn rotate(call: Call) -> Answered {
    let id = of_one(&call)?;
    let (endpoint, secret) = call.engine().rotate_endpoint(id, &call.by()).await.map_err(problem)?;
    let until = call.engine().now().plus_millis(ROTATED_FOR_MS);
    let mut rotated = EndpointAnswer::of(id, &endpoint).with_secret(&secret);
    rotated.old_secret_until = Some(Moment(until));
    Ok(answer(StatusCode::OK, &rotated))
}

async fn test(call: Call) -> Answered {
    /// As an event, with nothing in it.
    #[derive(Serialize)]
    struct TestEvent<'a> {
        id: Shown<EventId>,
        r#type: &'static str,
        timestamp: Moment,
        service: &'a str,
        mode: &'static str,
        data: serde_json::Map<String, serde_json::Value>,
    }
    let id = of_one(&call)?;
    let endpoint = call.engine().endpoint(id).await.map_err(problem)?;
    let event = call.engine().new_event_id();
    let body = to_json(&TestEvent {
        id: Shown(event),
        r#type: TEST_TYPE,
        timestamp: Moment(call.engine().now()),
        service: endpoint.service.as_str(),
        mode: endpoint.mode.as_str(),
        data: serde_json::Map::new(),
    });
    let announcement = Announcement { id: event, body };
    let (told, took_ms) = call.engine().test_endpoint(id, &announcement).await.map_err(problem)?;
    let (result, status) = result(told);
    let tested = TestAnswer {
        result,
        status,
        duration_ms: took_ms,
    };
    Ok(answer(StatusCode::OK, &tested))
}

async fn replay(call: Call) -> Answered {
    call.query().done()?;
    let since = since(&call)?;
    let id = call.id(EndpointId::parse)?;
    let endpoint = call.engine().replay_endpoint(id, since, &call.by()).await.map_err(problem)?;
    Ok(answer(StatusCode::OK, &EndpointAnswer::of(id, &endpoint)))
}

fn since(call: &Call) -> Result<Timestamp, Problem> {
    let json = call.json()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let since = fields.required("since", |f| {
        let wanted = "a moment in RFC 3339 belongs here, such as 2026-11-23T09:00:00Z";
        time::parse(f.text()?).or_else(|| f.fail(Code::InvalidRequest, wanted))
    });
    fields.end();
    reading.done()?;
    Ok(since.unwrap_or(Timestamp::from_millis(0)))
}

async fn enable(call: Call) -> Answered {
    let id = of_one(&call)?;
    let endpoint = call.engine().enable_endpoint(id, &call.by()).await.map_err(problem)?;
    Ok(answer(StatusCode::OK, &EndpointAnswer::of(id, &endpoint)))
}

async fn deliveries(call: Call) -> Answered {
    call.query().done()?;
    let id = call.id(EndpointId::parse)?;
    let endpoint = call.engine().endpoint(id).await.map_err(problem)?;
    let one = |one: &Try| {
        let (result, status) = result(one.told);
        DeliveryAnswer {
            event_id: Shown(one.event),
            at: Moment(one.at),
            number: one.number,
            result,
            status,
            duration_ms: one.took_ms,
        }
    };
    let data = endpoint.tries.iter().rev().map(one).collect();
    Ok(answer(StatusCode::OK, &DeliveryList { data, next_cursor: None }))
}

/// The endpoint of a request that says nothing but which.
fn of_one(call: &Call) -> Result<EndpointId, Problem> {
    call.query().done()?;
    nothing_in(call)?;
    call.id(EndpointId::parse)
}

fn problem(error: EndpointError) -> Problem {
    match error {
        EndpointError::Unknown => Problem::new(Code::EndpointNotFound),
        EndpointError::TooMany => Problem::new(Code::TooManyEndpoints),
        EndpointError::Engine(error @ (EngineError::Unavailable(_) | EngineError::KeyReused)) => unavailable(&error),
    }
}

/// Says what of the log an endpoint is told: the events of the feed, word for word.
#[derive(Debug)]
pub struct Feed(pub Engine);

impl Announcer for Feed {
    fn announcements(&self, endpoint: &Endpoint, line: &Line) -> Vec<Announcement> {
        let wanted = Wanted::of_endpoint(&self.0, endpoint);
        if !wanted.has_line(line) {
            return Vec::new();
        }
        let of_line = events(line).into_iter().filter(|event| wanted.has(event));
        of_line
            .map(|event| Announcement {
                id: event.id.0,
                body: to_json(&event),
            })
            .collect()
    }
}
