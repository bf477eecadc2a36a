//! Who calls, and what with? A request that has a valid key with the right it needs, and a body that was read whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use tapcode_core::audit::{Actor, By};
use tapcode_core::id::{IdError, KeyId};
use tapcode_core::recipient::{Mode, Scope, ServiceName};
use tapcode_engine::access::{Caller, NotLetIn};
use tapcode_engine::contract::store::Right;
use tapcode_engine::engine::{Engine, Rendered};
use tapcode_engine::keyring::Digest;
use tapcode_engine::service::Sender;

use crate::App;
use crate::api::Shared;
use crate::api::json::{self, Json};
use crate::api::query::Query;
use crate::api::refusal::unavailable;
use crate::edge::Facts;
use crate::limits::{BODY_BYTES_MAX, BODY_MS_MAX, IDEMPOTENCY_KEY_MAX};
use crate::problem::{Code, Problem};

/// What a handler answers.
pub(crate) type Answered = Result<Response, Problem>;

/// Says that an answer was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request of somebody with a valid key.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
    parts: Parts,
    path: RawPathParams,
    body: Bytes,
}

/// What an idempotent request is remembered under.
pub(crate) struct IdempotencyKey {
    pub(crate) key: [u8; 32],
    pub(crate) fingerprint: [u8; 32],
}

impl Call {
    /// Authenticates a request and reads it. The key comes first: a stranger's body is not read.
    pub(crate) async fn of(app: App, shared: Arc<Shared>, needs: &[Right], request: Request) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = authenticated(&app.engine, &parts).await?;
        known(&parts, caller.key);
        if !needs.iter().any(|right| has(&caller, *right)) {
            let words: Vec<_> = needs.iter().map(|right| right.as_str()).collect();
            return Err(Problem::new(Code::InsufficientRights).detail(format!("the key needs the right {}", words.join(" or "))));
        }
        let path = parts
            .extract::<RawPathParams>()
            .await
            .map_err(|_| Problem::new(Code::NotFound))?;
        let body = if parts.method == http::Method::POST {
            read(&parts, body).await?
        } else {
            Bytes::new()
        };
        Ok(Self {
            app,
            shared,
            caller,
            parts,
            path,
            body,
        })
    }

    /// Who acts, for the audit.
    pub(crate) fn by(&self) -> By {
        let peer = self.parts.extensions.get::<ConnectInfo<SocketAddr>>();
        By {
            actor: Actor::Key(self.caller.key),
            address: peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()),
        }
    }

    /// The engine.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// What stands behind the question mark.
    pub(crate) fn query(&self) -> Query<'_> {
        Query::new(self.parts.uri.query())
    }

    /// A part of the path.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.path
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, text)| text)
    }

    /// The id in the path.
    pub(crate) fn id<T>(&self, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Problem> {
        parse(self.path("id")).map_err(|error| Problem::new(Code::InvalidId).detail(error.to_string()))
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Json<'_>, Problem> {
        self.json_type()?;
        json::parse(&self.body)
    }

    /// The body as JSON, or an empty object where there is none.
    pub(crate) fn json_if_any(&self) -> Result<Json<'_>, Problem> {
        if self.body.is_empty() {
            Ok(Json::Object(Vec::new()))
        } else {
            self.json()
        }
    }

    fn json_type(&self) -> Result<(), Problem> {
        let given = self.header(&header::CONTENT_TYPE).unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        let is_json = essence.eq_ignore_ascii_case("application/json");
        if is_json {
            Ok(())
        } else {
            Err(Problem::new(Code::UnsupportedMediaType))
        }
    }

    /// The caller; an admin key, which has no service of its own, acts for the one that `?service=` (and `?mode=`) names.
    pub(crate) fn acting(&self, query: &Query<'_>) -> Caller {
        if self.caller.service.is_some() {
            return self.caller.clone();
        }
        let (service, mode) = (query.service(), query.mode());
        Caller {
            service,
            mode: mode.unwrap_or(self.caller.mode),
            ..self.caller.clone()
        }
    }

    /// Under what the answer to this request is remembered, if the caller asked for that.
    ///
    /// The key belongs to the caller's scope and the operation; the fingerprint covers the path and the raw body. A key
    /// that may not read numbers is kept apart from one that may: an answer shows what its asker may see.
    pub(crate) fn idempotency_key(&self, operation: &str) -> Result<Option<IdempotencyKey>, Problem> {
        let Scope { service, mode } = self.scope()?;
        self.idempotency_key_in(service.as_str(), mode, operation)
    }

    /// The same for an operation that is about no service's recipients.
    pub(crate) fn idempotency_key_of_all(&self, operation: &str) -> Result<Option<IdempotencyKey>, Problem> {
        // No service has a name without a letter.
        let service = self.caller.service.as_ref().map_or("", |service| service.as_str());
        self.idempotency_key_in(service, self.caller.mode, operation)
    }

    fn idempotency_key_in(&self, service: &str, mode: Mode, operation: &str) -> Result<Option<IdempotencyKey>, Problem> {
        let mut given = self.parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = given.next() else { return Ok(None) };
        let text = value.as_bytes();
        let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        if !fits || given.next().is_some() {
            return Err(Problem::new(Code::InvalidIdempotencyKey));
        }
        let may_read: &[u8] = if self.caller.may(Right::Read) { b"reads" } else { b"" };
        let keyring = self.engine().keyring();
        let scope = [
            service.as_bytes(),
            mode.as_str().as_bytes(),
            may_read,
            operation.as_bytes(),
            text,
        ];
        Ok(Some(IdempotencyKey {
            key: keyring.digest(Digest::IdempotencyKey, &scope),
            fingerprint: keyring.digest(Digest::RequestBody, &[self.parts.uri.path().as_bytes(), &self.body]),
        }))
    }

    /// Whether the caller may see how an account at a provider stands: whose key is of no service may, and who is of a
    /// service that sends over it.
    pub(crate) fn sees_account_of(&self, sender: &Sender) -> bool {
        let directory = self.engine().directory();
        let uses = |own: &ServiceName| directory.services_of(&sender.account()).iter().any(|s| s.name == *own);
        self.caller.service.as_ref().is_none_or(uses)
    }

    /// The scope of everything this call touches.
    pub(crate) fn scope(&self) -> Result<Scope, Problem> {
        scope_of(&self.caller)
    }
}

/// A caller's scope, or the problem that there is none.
pub(crate) fn scope_of(caller: &Caller) -> Result<Scope, Problem> {
    caller.scope().ok_or_else(|| Problem::new(Code::ServiceNeeded))
}

/// Whether a caller may do what needs this right: an admin may do everything.
fn has(caller: &Caller, right: Right) -> bool {
    caller.may(right) || caller.may(Right::Admin)
}

/// Tells the log whose request it is.
fn known(parts: &Parts, key: KeyId) {
    if let Some(facts) = parts.extensions.get::<Arc<Facts>>() {
        facts.key.get_or_init(|| key);
    }
}

async fn authenticated(engine: &Engine, parts: &Parts) -> Result<Caller, Problem> {
    let refused = || {
        Problem::new(Code::Unauthenticated).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tapcode\""))
    };
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = given
        .next()
        .filter(|_| given.next().is_none())
        .and_then(|v| v.to_str().ok())
        .ok_or_else(refused)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused());
    }
    engine.authenticate(key.trim()).await.map_err(|error| match error {
        NotLetIn::NoKey => refused(),
        NotLetIn::TooFast { key, retry_ms } => {
            known(parts, key);
            Problem::new(Code::TooManyRequests).retry_after(retry_ms.div_ceil(1_000).max(1))
        }
        NotLetIn::Unavailable(error) => unavailable(&error),
    })
}

async fn read(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(Problem::new(Code::BodyTooLarge));
    }
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(Duration::from_millis(BODY_MS_MAX), whole).await {
        Err(_) => Err(Problem::new(Code::RequestTimeout)),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(Code::BodyTooLarge)),
        Ok(Err(_)) => Err(Problem::new(Code::InvalidJson).detail("the body could not be received whole")),
    }
}

/// An answer of JSON that was written already.
pub(crate) fn written(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer of JSON.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    written(status, to_json(body))
}

/// The answer where something is gone: there is nothing to say of it.
pub(crate) fn gone() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Writes JSON.
pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("an answer is plain data")
}

/// The answer that was given before, byte for byte.
pub(crate) fn replayed((status, body): Rendered) -> Response {
    let mut response = written(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
