//! What does a caller read when something is refused? RFC 9457 problems, each with a code from one registered list.
//!
//! A [`Problem`] can only be built from a [`Code`], and its detail holds nothing that the caller did not send: causes
//! inside the server go to the log, under the same request id.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tapcode_core::time::Timestamp;

/// What is registered of a code.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// The word in JSON.
    pub word: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// The same for every problem with this code.
    pub title: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What the caller does next.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident $word:literal $status:literal $title:literal $means:literal $remedy:literal;)*) => {
        /// The registered codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $means] $name,)*
        }

        impl Code {
            /// All of them, by status.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What is registered of it.
            #[must_use]
            pub const fn registered(self) -> Registered {
                match self {
                    $(Self::$name => Registered { word: $word, status: $status, title: $title, means: $means, remedy: $remedy },)*
                }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 "The request is not valid"
        "Several things are wrong with the request, or one that has no code of its own." "Mend what `errors` names; every mistake is in it.";
    InvalidJson "invalid_json" 400 "The body is not JSON that is accepted here"
        "The body is not UTF-8, not JSON, names a member twice, or is nested or filled beyond the bounds." "Send one JSON object, each member once, at most 32 levels deep.";
    UnknownField "unknown_field" 400 "A field is not known"
        "The request has a field or a query parameter that this operation does not know, so a typo cannot pass silently." "Remove or correct the field that `errors` names.";
    MissingField "missing_field" 400 "A field is missing"
        "A required field is absent or null." "Send the field that `errors` names.";
    WrongType "wrong_type" 400 "A field has another type"
        "A field has another JSON type than the one it is documented with." "Send the type that `errors` names.";
    InvalidNumber "invalid_number" 400 "Not a phone number that can receive a code"
        "The number is not E.164, does not exist, or is of a kind that receives no messages." "Send `+`, calling code and number, digits only, such as `+31611398058`.";
    InvalidCode "invalid_code" 400 "Not a code"
        "The text could be no code of this verification. It is not counted as a check." "Send the code as a string of the verification's alphabet; spaces and hyphens are ignored.";
    InvalidId "invalid_id" 400 "Not an id of this kind"
        "The id has another kind's prefix or is malformed." "Send the id exactly as it was answered.";
    InvalidCursor "invalid_cursor" 400 "Not a cursor of this list"
        "The cursor was not made by this list." "Send a `next_cursor` exactly as it was answered, or leave it out to start anew.";
    InvalidEndpointUrl "invalid_endpoint_url" 400 "Not an address that events can be told to"
        "The address of the endpoint is malformed, not `https`, holds a password, or leads into a private network." "Send an `https` address of a machine on the internet.";
    InvalidIdempotencyKey "invalid_idempotency_key" 400 "Not an idempotency key"
        "The `Idempotency-Key` is empty, longer than 255 characters or not visible ASCII." "Send a random text such as a UUID.";
    UnknownChannel "unknown_channel" 400 "A channel is not known"
        "A channel is none of those that this server speaks on." "Send `whatsapp` or `sms`.";
    UnknownEventType "unknown_event_type" 400 "An event type is not known"
        "A type in `types` is none of the documented ones." "Send types from the list of events, separated by commas.";
    ChannelNotInPlan "channel_not_in_plan" 400 "The verification does not use this channel"
        "The verification was begun with a workflow that has no step on the channel." "Leave `channel` out, or begin with a workflow that has it.";
    OwnCodesOff "own_codes_off" 400 "Own codes are off"
        "The service makes its own codes and takes none from callers." "Leave `code` out, or set `own_codes` for the service.";
    NoRoute "no_route" 400 "No route to send on"
        "The workflow has a step for which no sender is configured, or none of its senders may send to the number's country." "Configure a sender for the channel, or one that may send there: `detail` says why the others may not.";
    UnknownSender "unknown_sender" 400 "A sender is not known"
        "No WhatsApp account or number with that id or number is configured." "Send an id that `GET /api/v1/whatsapp/accounts` or `GET /api/v1/numbers` lists.";
    TemplateUnknown "template_unknown" 400 "The account has no such template"
        "The account is configured with another template, or its provider does not let the template be sent in that language, so it would refuse this one." "Send the template that the account is configured with, in a language that `GET /api/v1/whatsapp/templates` lists as `approved`.";
    TemplateRejected "template_rejected" 400 "The provider would reject the template"
        "The template breaks rules of the provider's; nothing was asked of it." "Mend what `errors` names; `source` is where each rule was read.";
    NoTemplates "no_templates" 400 "The account has no templates to manage"
        "The account's provider is simulated, or has no templates." "Name an account of `whatsapp_cloud`.";
    NumberCarriesCodesOnly "number_carries_codes_only" 400 "The number carries codes only"
        "The number is dedicated to one-time codes and the text holds no group of 4 to 10 digits." "Send it from another number.";
    ServiceNeeded "service_needed" 400 "A service has to be named"
        "The key is an admin key, which belongs to no service, and the operation is about one." "Add `?service=` with the name of a service, or use a key of the service.";
    Unauthenticated "unauthenticated" 401 "No valid API key"
        "There is no `Authorization: Bearer` header, or its key is unknown, revoked or has expired." "Send a key that this server made: `Authorization: Bearer tc_live_…`.";
    InsufficientRights "insufficient_rights" 403 "The key may not do this"
        "The key lacks the right that the operation needs." "Use a key with the right that `detail` names.";
    ServiceNotConfigured "service_not_configured" 403 "The key's service is not configured"
        "The service that the key belongs to is not in this server's configuration." "Configure the service, or use a key of one that is configured.";
    InvalidSignature "invalid_signature" 401 "The hook is not signed by its provider"
        "The signature of the hook is missing or was not made with the configured secret over the bytes that arrived." "Compare the secret in the configuration, and `server.public_url` with the address that the provider calls.";
    MalformedHook "malformed_hook" 400 "Not what this provider sends"
        "The hook is signed, and its body is not what the provider's documentation says it sends." "Tell the operator; the provider may have changed its format.";
    ForeignHook "foreign_hook" 403 "The hook is about another account"
        "The hook is signed, and speaks of an account or number that is not the one configured under this id." "Give each account its own address.";
    HandshakeRefused "handshake_refused" 403 "The handshake is refused"
        "The verify token is wrong, or the provider has no handshake." "Enter the configured `verify_token` where the provider asks for it.";
    PageOnly "page_only" 403 "This belongs to the page of phones"
        "The address serves the page of simulated phones, and the request does not come from it." "Open `/phone`; programs use the API.";
    NotFound "not_found" 404 "Nothing is here"
        "The server has no such address." "Compare the path with the documentation.";
    VerificationNotFound "verification_not_found" 404 "No such verification"
        "The service has no verification with this id, or none for this number and purpose. Another service's verification is the same as none." "Begin a verification first; compare the key's service and mode.";
    MessageNotFound "message_not_found" 404 "No such message"
        "The service has no plain message with this id on this channel." "Compare the id, the channel and the key's service and mode.";
    TemplateNotFound "template_not_found" 404 "No such template"
        "The account has no template with this name, or none in this language." "Compare with `GET /api/v1/whatsapp/templates`; `POST …/sync` asks the provider anew.";
    KeyNotFound "api_key_not_found" 404 "No such API key"
        "There is no API key with this id, or none that the caller's key may administer." "Compare the id with `GET /api/v1/api-keys`.";
    EndpointNotFound "webhook_endpoint_not_found" 404 "No such webhook endpoint"
        "There is no webhook endpoint with this id." "Compare the id with `GET /api/v1/webhook-endpoints`.";
    RecipientNotFound "recipient_not_found" 404 "Nothing is known of the number"
        "The service has nothing on record about the number." "Compare the number, the service and the mode.";
    MethodNotAllowed "method_not_allowed" 405 "The address does not take this method"
        "The address exists and answers other methods." "Use a method that the `Allow` header lists.";
    RequestTimeout "request_timeout" 408 "The body did not come in time"
        "The body was not received whole within 10 seconds." "Send the request again.";
    VerificationNotPending "verification_not_pending" 409 "The verification has ended"
        "The verification has reached its end; nothing can be sent or canceled any more." "Begin a new verification.";
    PendingWithOtherCode "pending_with_other_code" 409 "Another code is pending"
        "A verification for this number and purpose is pending with another code of yours." "Cancel it first, or leave it to its user.";
    PendingWithOtherBinding "pending_with_other_binding" 409 "Another transaction is pending"
        "A verification for this number and purpose is pending with another `binding`." "Cancel it first, or use a `purpose` per transaction.";
    ErasureUnderWay "erasure_under_way" 409 "The number is being erased"
        "What was kept about the number is being erased at this moment, and nothing new is begun until that is done." "Send it again after as long as `Retry-After` says.";
    TooManyEndpoints "too_many_webhook_endpoints" 409 "Too many webhook endpoints"
        "There are as many webhook endpoints as one installation may have." "Delete one that is not needed.";
    TooManyKeys "too_many_api_keys" 409 "Too many API keys"
        "There are as many API keys as one installation may have." "Revoke one that is not needed.";
    LastAdminKey "last_admin_key" 409 "The last key that may administer"
        "Without this key nobody could administer over the API." "Make another admin key first, or revoke it on the server's machine with `tapcode keys revoke`; `tapcode keys create --rights admin` makes one where all are lost.";
    CursorExpired "cursor_expired" 410 "Events behind the cursor are gone"
        "Events that the reader has not seen were past keeping and are gone: the cursor is older than the service keeps its history." "Read on without `after`, from the oldest event that is kept; what is missing can be seen in the verifications themselves.";
    BodyTooLarge "body_too_large" 413 "The body is too large"
        "The body has more bytes than the address takes: 64 KiB for the API, 4 MiB for providers' hooks." "Send less.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body is not declared as JSON"
        "The request has a body and its `Content-Type` is not `application/json`." "Send `Content-Type: application/json`.";
    Misdirected "misdirected" 421 "Not served under this host name"
        "The page of simulated phones answers under an address, `localhost` and the public name only, so that no other name can be made to lead to it." "Open it under one of those.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key was used for another request"
        "A request with the same key and another body was answered before." "Use a new key for a new request.";
    TooManyRequests "too_many_requests" 429 "Too many requests with this key"
        "The key has made as many requests as its own limit lets it." "Wait as long as `Retry-After` says; `GET /api/v1/api-keys/{id}` shows the limit.";
    ResendTooSoon "resend_too_soon" 429 "The last message is too recent"
        "A message to the number was asked for a moment ago." "Wait as long as `Retry-After` says.";
    HourlySendLimit "hourly_send_limit" 429 "The number had its messages for this hour"
        "The service's hourly limit for one number is used up, all channels and purposes together." "Wait as long as `Retry-After` says.";
    RecipientLocked "recipient_locked" 429 "The number is locked"
        "There were too many failed checks in a row for the number." "Wait as long as `Retry-After` says, or have an operator lift the lock.";
    TooManyMessages "too_many_messages" 429 "Too many messages to this number"
        "The number had as many plain messages within the hour as one number may have." "Wait as long as `Retry-After` says.";
    TooManyPurposes "too_many_purposes" 429 "Failed checks for too many purposes"
        "The number has failed checks for as many purposes as are kept apart." "Use fewer purposes: they are kinds of use, not transactions.";
    TooManyPending "too_many_pending" 429 "Too many verifications are pending"
        "As many verifications of the number are pending as one number may have." "Wait until some have ended, or cancel them.";
    TooManyWaiting "too_many_waiting" 429 "Too many requests are waiting"
        "As many waiting requests or streams are open as the server holds." "Wait as long as `Retry-After` says, and close what is not needed.";
    InternalError "internal_error" 500 "The server made a mistake"
        "Something went wrong that should not; the server goes on." "Tell the operator the `request_id`; it is in the server's log.";
    ProviderRefused "provider_refused" 502 "The provider said no"
        "The provider refused what was asked about the account; its code and words are in `detail`." "Do what `detail` says, at the provider or in the configuration.";
    ProviderSilent "provider_silent" 504 "The provider did not answer"
        "The provider gave no answer, or one that its documentation does not know. Whether it did what was asked is not known." "Look at the list after `POST …/sync`, and try again.";
    Unavailable "unavailable" 503 "The store cannot be asked"
        "The server could not make the request durable, or cannot know whether it did. Nothing was approved." "Send it again a little later, with the same `Idempotency-Key`.";
}

/// Where a problem's code is documented on the server itself.
pub const DOCS_PATH: &str = "/docs/problems";

/// One mistake in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// JSON Pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// The code this mistake would have alone.
    #[serde(serialize_with = "word")]
    pub code: Code,
    /// What to send instead. It never repeats what was sent.
    pub detail: Cow<'static, str>,
    /// Where the rule was read, for a rule of a provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'static str>,
}

fn word<S: serde::Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.registered().word)
}

/// A refusal or failure on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of a registered kind; its detail is what the kind means.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self(Box::new(Inner {
            code,
            detail: Cow::Borrowed(code.registered().means),
            errors: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// A problem with one mistake in the request.
    #[must_use]
    pub fn at(code: Code, pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of_errors(vec![FieldProblem {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
            source: None,
        }])
    }

    /// A problem with every mistake of a request: with their code where they share one.
    #[must_use]
    pub fn of_errors(errors: Vec<FieldProblem>) -> Self {
        let first = errors.first().map_or(Code::InvalidRequest, |e| e.code);
        let code = if errors.iter().all(|e| e.code == first) {
            first
        } else {
            Code::InvalidRequest
        };
        let mut problem = Self::new(code);
        problem.0.detail = match &errors[..] {
            [only] => only.detail.clone(),
            _ => Cow::Owned(format!("{} mistakes in the request; all are listed", errors.len())),
        };
        problem.0.errors = errors;
        problem
    }

    /// With a detail of its own: a safe sentence for the caller.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// With the moment from which on it may be tried again: `Retry-After`, in whole seconds rounded up, at least 1.
    #[must_use]
    pub fn retry_at(self, at: Timestamp, now: Timestamp) -> Self {
        self.retry_after(at.millis_since(now).div_ceil(1_000).max(1))
    }

    /// With `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Its detail, as the caller reads it.
    #[must_use]
    pub fn says(&self) -> &str {
        &self.0.detail
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The answer, for the request with this id. Headers that `response` carries already are kept.
    pub(crate) fn render(self, request_id: &str, response: Response) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "<[FieldProblem]>::is_empty")]
            errors: &'a [FieldProblem],
        }
        let registered = self.0.code.registered();
        let body = Body {
            r#type: format!("{DOCS_PATH}#{}", registered.word),
            title: registered.title,
            status: registered.status,
            code: registered.word,
            detail: &self.0.detail,
            request_id,
            errors: &self.0.errors,
        };
        let (mut parts, _) = response.into_parts();
        parts.status = status_of(self.0.code);
        let json = serde_json::to_vec(&body).expect("a problem is plain data");
        parts
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(json.len()));
        for (name, value) in self.0.headers {
            parts.headers.insert(name, value);
        }
        Response::from_parts(parts, json.into())
    }
}

fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(code.registered().status).expect("registered statuses are HTTP statuses")
}

impl IntoResponse for Problem {
    /// Only marks the answer: the edge writes it, because only the edge knows the request's id.
    fn into_response(self) -> Response {
        let mut response = status_of(self.0.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The reference page of all codes, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Problems\n\n\
         Generated from the code; `UPDATE_DOCS=1 cargo test -p tapcode-server` writes it anew.\n\n\
         Every refusal is an `application/problem+json` document (RFC 9457) with `type`, `title`, `status`, `code`, `detail` and `request_id`.\n\
         `code` is one of the words below and never changes its meaning.\n\
         Where the request itself is at fault, `errors` names every mistake with a JSON Pointer into the body, or `?name` for a query parameter, and a code of its own.\n\
         Answers with status 429 carry `Retry-After` in seconds.\n",
    );
    for code in Code::ALL {
        let r = code.registered();
        write!(
            text,
            "\n## `{}`\n\nStatus {}: {}.\n\n{}\n\n**What to do:** {}\n",
            r.word, r.status, r.title, r.means, r.remedy
        )
        .expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_is_one_codes_own_and_every_status_an_errors() {
        let words: HashSet<_> = Code::ALL.iter().map(|c| c.registered().word).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            let r = code.registered();
            assert!((400..600).contains(&r.status), "{}", r.word);
            assert!(r.word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{}", r.word);
        }
    }

    #[test]
    fn a_retry_is_never_promised_too_early() {
        let at = |ms| Timestamp::from_millis(ms);
        for (left_ms, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let problem = Problem::new(Code::ResendTooSoon).retry_at(at(5_000 + left_ms), at(5_000));
            assert_eq!(
                problem.0.headers,
                [(header::RETRY_AFTER, HeaderValue::from_str(seconds).unwrap())],
                "{left_ms}"
            );
        }
    }
}
