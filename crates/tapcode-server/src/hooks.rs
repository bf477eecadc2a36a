//! What do providers tell us? `/hooks`, where they call.
//!
//! A hook is answered 2xx once every receipt in it is durable, and with 503 when it could not be written, so that the
//! provider comes again: a receipt twice is one fact. Nothing of a body is logged or repeated.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::provider::{HookError, InboundHook, Manifest};
use tapcode_engine::receive::ReceiveError;
use tapcode_engine::service::{Provider, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::App;
use crate::problem::{Code, Problem};

/// Largest body of a hook, in bytes. Meta sends up to 3 MB:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (read 2026-11-22).
pub const HOOK_BODY_MAX: usize = 4 * 1024 * 1024;
/// How long a body may take to come. Milliseconds.
pub const HOOK_BODY_MS: u64 = 10_000;
/// Bodies up to this size, in bytes, are read without waiting for a place among the large ones.
const SMALL_BODY: u64 = 64 * 1024;
/// Large bodies held at once, since a stranger can send them too: 64 MiB in all. One more is asked to come again.
const LARGE_AT_ONCE: usize = 16;

/// After how many seconds a hook that could not be taken may come again.
const AGAIN_S: u64 = 1;

/// Places for large bodies.
#[derive(Clone)]
struct Large(Arc<Semaphore>);

/// The routes that providers call.
pub fn router(_app: &App) -> Router<App> {
    let whatsapp = |app, id, large, request| called(app, Channel::Whatsapp, id, large, request);
    let sms = |app, id, large, request| called(app, Channel::Sms, id, large, request);
    Router::new()
        .route("/hooks/whatsapp/{account_id}", get(whatsapp).post(whatsapp))
        .route("/hooks/sms/{number_id}", get(sms).post(sms))
        .layer(Extension(Large(Arc::new(Semaphore::new(LARGE_AT_ONCE)))))
}

/// Why a hook is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// No such sender, or its provider calls no hooks.
    Unknown,
    /// The provider's own word.
    Hook(HookError),
    /// The body is too large.
    TooLarge,
    /// The body did not come whole in time.
    Cut,
    /// Too many large bodies at once.
    Busy,
    /// It could not be written.
    Unavailable,
}

async fn called(
    State(app): State<App>,
    channel: Channel,
    Path(id): Path<String>,
    Extension(large): Extension<Large>,
    request: Request,
) -> Response {
    let directory = app.engine.directory();
    let sender = id.parse().ok().and_then(|id| directory.sender(channel, id));
    let answered = match sender {
        Some(sender) => answer(&app, sender, &large, request).await,
        None => Err(Refused::Unknown),
    };
    let provider = sender.map_or("none", |s| s.provider.id());
    let result = answered.as_ref().map_or_else(|refused| refused.word(), |_| "taken");
    metrics::counter!("tapcode_hooks_total", "channel" => channel.as_str(), "provider" => provider, "result" => result)
        .increment(1);
    answered.unwrap_or_else(|refused| {
        tracing::warn!(
            sender.channel = channel.as_str(),
            provider.id = provider,
            hook.refused = result,
            "a hook was not taken"
        );
        refused.into_response()
    })
}

async fn answer(app: &App, sender: &Sender, large: &Large, request: Request) -> Result<Response, Refused> {
    let Provider::Http(provider) = &sender.provider else {
        return Err(Refused::Unknown);
    };
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", app.public_url);
    // The place is kept until the body has been used.
    let _place = large.place(&body)?;
    let body = read(body).await?;
    let hook = InboundHook {
        method: head.method,
        url,
        headers: head.headers,
        body,
    };
    if !tells(provider.manifest(), &hook.method) {
        let challenge = provider.handshake(&hook).map_err(Refused::Hook)?;
        let plain = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        return Ok((plain, challenge).into_response());
    }
    match app.engine.hook(sender, &hook).await {
        // Meta wants 200 and reads no body; Twilio reads a body as instructions, so there is none. Kannel takes 200 and 202
        // for an answer and comes again after any other (`url_result_thread` in <https://github.com/pruiz/kannel>,
        // `gw/smsbox.c`, read 2026-11-27, and so did 1.4.5 when it was answered 204).
        Ok(_) => Ok(match (sender.channel, &hook.method) {
            (Channel::Sms, &Method::POST) => StatusCode::NO_CONTENT.into_response(),
            (Channel::Sms | Channel::Whatsapp, _) => StatusCode::OK.into_response(),
        }),
        Err(ReceiveError::Refused(error)) => Err(Refused::Hook(error)),
        Err(ReceiveError::NoHooks) => Err(Refused::Unknown),
        Err(error @ ReceiveError::Unavailable(_)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a hook could not be written; its provider is asked to come again"
            );
            Err(Refused::Unavailable)
        }
    }
}

/// Whether a call tells something. Any other is a handshake, and be it by `HEAD`: what follows addresses to look at them
/// tells nothing.
fn tells(manifest: &Manifest, method: &Method) -> bool {
    *method == Method::POST || (*method == Method::GET && manifest.receipts_by_get)
}

impl Large {
    /// A place for a body that is, or may be, large; `None` for a small one, which needs none.
    fn place(&self, body: &Body) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        match body.size_hint().upper() {
            Some(length) if length > HOOK_BODY_MAX as u64 => Err(Refused::TooLarge),
            Some(length) if length <= SMALL_BODY => Ok(None),
            Some(_) | None => Arc::clone(&self.0).try_acquire_owned().map(Some).map_err(|_| Refused::Busy),
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Refused> {
    let reading = Limited::new(body, HOOK_BODY_MAX).collect();
    match tokio::time::timeout(Duration::from_millis(HOOK_BODY_MS), reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refused::Cut),
    }
}

impl Refused {
    /// The word for it in metrics.
    const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Hook(HookError::Signature) => "signature",
            Self::Hook(HookError::Foreign) => "foreign",
            Self::Hook(HookError::Malformed) => "malformed",
            Self::Hook(HookError::Handshake) => "handshake",
            Self::TooLarge => "too_large",
            Self::Cut => "cut",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = match self {
            Self::Unknown => Problem::new(Code::NotFound).detail("no sender with this id takes hooks"),
            Self::Hook(HookError::Signature) => Problem::new(Code::InvalidSignature),
            Self::Hook(HookError::Foreign) => Problem::new(Code::ForeignHook),
            Self::Hook(HookError::Malformed) => Problem::new(Code::MalformedHook),
            Self::Hook(HookError::Handshake) => Problem::new(Code::HandshakeRefused),
            Self::TooLarge => Problem::new(Code::BodyTooLarge),
            Self::Cut => Problem::new(Code::RequestTimeout),
            Self::Busy => Problem::new(Code::Unavailable)
                .detail("too many large hooks at once")
                .retry_after(AGAIN_S),
            Self::Unavailable => Problem::new(Code::Unavailable).retry_after(AGAIN_S),
        };
        problem.into_response()
    }
}
