//! How does somebody see all that is kept about a number, and have it gone?

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::audit::{Deed, Object};
use tapcode_core::id::{MessageId, VerificationId};
use tapcode_core::number::{Masked, Number};
use tapcode_core::recipient::Recipient;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Sealed, Verification};
use tapcode_engine::contract::store::{Beside, Right, Snapshot, Subject, SubjectId};
use tapcode_engine::engine::Engine;
use tapcode_engine::keyring::Use;
use tapcode_engine::privacy::Kept;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::announce::ClientAnswer;
use crate::api::answers::{AttemptAnswer, MessageAnswer, Pairs, Shown, TimelineEntry, attempts};
use crate::api::call::{Answered, Call, answer, gone, scope_of};
use crate::api::operation::{Operation, Parameter, Route, Success, keyed, schema};
use crate::api::recipients::{RecipientAnswer, number_in_path};
use crate::api::refusal::unavailable;
use crate::api::time::Moment;
use crate::api::verifications::SERVICE;
use crate::problem::{Code, Problem};

/// A part of what is kept about a number. Codes, keys and texts of messages are in none.
#[derive(Serialize, ToSchema)]
struct ExportAnswer<'a> {
    /// The number, in full.
    to: &'a str,
    service: &'a str,
    /// `live` or `test`.
    mode: &'static str,
    /// What is on record about the number itself; on the first page only, and `null` where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Option<RecordAnswer<'a>>>,
    /// What is kept about nothing that `data` has; on the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    beside: Option<BesideAnswer<'a>>,
    /// Verifications and then plain messages, each the oldest first.
    data: Vec<KeptAnswer<'a>>,
    /// Where the next page starts; `null` on the last one.
    next_cursor: Option<String>,
}

/// What is on record about a number itself.
#[derive(Serialize, ToSchema)]
struct RecordAnswer<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    recipient: RecipientAnswer,
    /// Whether the number itself is kept, encrypted: as long as something can be sent.
    number_is_kept: bool,
    /// When messages of verifications were queued within the last hour.
    #[schema(value_type = Vec<String>)]
    sends_at: Vec<Moment>,
    /// When something was last asked to be sent.
    #[schema(value_type = Option<String>, format = DateTime)]
    requested_at: Option<Moment>,
    /// Who answered last on a channel, in the provider's words.
    known_as: BTreeMap<&'static str, String>,
    /// When its holder said that they asked for no code.
    #[schema(value_type = Vec<String>)]
    disowned_at: Vec<Moment>,
    /// The ids of what the record holds; all of it is in `data`.
    holds: Vec<String>,
    /// Plain messages whose text still waits to be sent; it is not shown, because it may hold a code.
    #[schema(value_type = Vec<String>)]
    texts_waiting: Vec<Shown<&'a MessageId>>,
}

/// What is kept about nothing in particular.
#[derive(Serialize, ToSchema)]
struct BesideAnswer<'a> {
    /// Lines of the log about no verification and no message, such as a lock that was lifted.
    timeline: Vec<TimelineEntry<'a>>,
    /// Until when answers to requests with an `Idempotency-Key` are remembered, encrypted.
    #[schema(value_type = Vec<String>)]
    answers_until: Vec<Moment>,
    /// Within which hours an account wrote to it, for the provider's limit of people a day.
    written_to: Vec<WrittenAnswer<'a>>,
}

/// That an account wrote to the number.
#[derive(Serialize, ToSchema)]
struct WrittenAnswer<'a> {
    /// The account, or the business that it belongs to.
    account: &'a str,
    /// The hour in which it did.
    #[schema(value_type = String, format = DateTime)]
    hour: Moment,
}

/// A verification or plain message as it is kept.
#[derive(Serialize, ToSchema)]
struct KeptAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<KeptVerification<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageAnswer<'a>>,
    /// Every line of the log about it.
    timeline: Vec<TimelineEntry<'a>>,
}

/// A verification as it is kept, without its code.
#[derive(Serialize, ToSchema)]
struct KeptVerification<'a> {
    #[schema(value_type = String)]
    id: Shown<VerificationId>,
    status: &'static str,
    purpose: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Moment>,
    /// Guesses that were looked at.
    checks_used: u16,
    /// The language of its messages.
    locale: &'a str,
    /// What its code was bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<String>,
    /// Whether the caller brought the code.
    own_code: bool,
    /// Its messages, oldest first.
    attempts: Vec<KeptAttempt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<KeptClient<'a>>,
    /// The caller's own pairs.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: Pairs<'a>,
}

/// A message of a verification.
#[derive(Serialize, ToSchema)]
struct KeptAttempt<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    attempt: AttemptAnswer<'a>,
    /// Who answered, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_as: Option<String>,
    /// When its reader said that they asked for no code.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    disowned_at: Option<Moment>,
}

/// All hints about the user's device.
#[derive(Serialize, ToSchema)]
struct KeptClient<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    told: ClientAnswer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_origin: Option<&'a str>,
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const EXPORTED: &[Success] = &[Success {
        status: 200,
        means: "A part of what is kept; all of it over all pages.",
        media: "application/json",
        schema: Some(schema::<ExportAnswer<'static>>),
        example: r#"{"to":"+31611398058","service":"acme","mode":"live","record":null,"beside":{"timeline":[],"answers_until":[],"written_to":[]},"data":[],"next_cursor":null}"#,
    }];
    const ERASED: &[Success] = &[Success {
        status: 204,
        means: "Nothing that tells of the number is left.",
        media: "",
        schema: None,
        example: "",
    }];
    let cursor = Parameter {
        name: "cursor",
        kind: "string",
        means: "The `next_cursor` of the page before.",
    };
    let limit = Parameter {
        name: "limit",
        kind: "integer",
        means: "1 to 100. Default 20.",
    };
    let base = |id, method, path, summary, description, answers| Operation {
        id,
        method,
        path,
        tag: "Administration",
        summary,
        description,
        needs: &[Right::Admin],
        query: SERVICE.to_vec(),
        body: None,
        idempotent: false,
        answers,
        problems: &[Code::InvalidNumber, Code::ServiceNeeded],
    };
    vec![
        keyed(
            base(
                "eraseRecipient",
                Method::DELETE,
                "/api/v1/recipients/{number}",
                "Erase a number",
                "Everything that is kept about it goes, within one service and mode; counts stay. A pending verification ends: whoever checks it gets `verification_not_found`, and nobody is told. Doing it again changes nothing. What limits whoever holds the number stays, without telling who that is, for 30 days at most: failed checks, a lock, and the messages of the last hour.",
                ERASED,
            ),
            shared,
            erase,
        ),
        keyed(
            Operation {
                query: [cursor, limit].into_iter().chain(SERVICE).collect(),
                problems: &[Code::InvalidNumber, Code::InvalidCursor, Code::ServiceNeeded],
                ..base(
                    "exportRecipient",
                    Method::GET,
                    "/api/v1/recipients/{number}/export",
                    "Export what is kept about a number",
                    "All of it, within one service and mode, page by page. Codes, keys and texts of messages are not in it. A number of which nothing is kept has an empty page.",
                    EXPORTED,
                )
            },
            shared,
            export,
        ),
    ]
}

async fn erase(call: Call) -> Answered {
    let query = call.query();
    let acting = call.acting(&query);
    query.done()?;
    let number = number_in_path(&call)?;
    let scope = scope_of(&acting)?;
    // Whose number it was is what must not be kept.
    record(&call, Deed::RecipientErased, Masked::erased()).await?;
    let erased = call.engine().erase(&scope, &number).await;
    erased.map_err(|error| unavailable(&error))?;
    Ok(gone())
}

async fn export(call: Call) -> Answered {
    let query = call.query();
    let acting = call.acting(&query);
    let after = query.read("cursor", (Code::InvalidCursor, Code::InvalidCursor.registered().means), thing);
    let limit = query.limit();
    query.done()?;
    let number = number_in_path(&call)?;
    let scope = scope_of(&acting)?;
    if after.is_none() {
        record(&call, Deed::RecipientExported, number.masked()).await?;
    }
    let kept = call.engine().kept(&scope, &number, after, limit).await;
    let kept = kept.map_err(|error| unavailable(&error))?;
    let first = kept.beside.as_ref().map(BesideAnswer::of);
    let exported = ExportAnswer {
        to: number.expose(),
        service: scope.service.as_str(),
        mode: scope.mode.as_str(),
        record: first.is_some().then(|| {
            let document = kept.document.as_ref()?;
            Some(RecordAnswer::of(call.engine(), document, &number))
        }),
        beside: first,
        data: data(call.engine(), &kept, &number),
        next_cursor: kept.next.map(|id| id.to_string()),
    };
    Ok(answer(StatusCode::OK, &exported))
}

/// Writes down who does this, before it is done.
async fn record(call: &Call, deed: Deed, masked: Masked) -> Result<(), Problem> {
    let act = call.engine().act(&call.by(), deed, &Object::Recipient(masked));
    call.engine().record_act(&act).await.map_err(|error| unavailable(&error))
}

fn thing(text: &str) -> Option<SubjectId> {
    let verification = VerificationId::parse(text).map(SubjectId::Verification);
    verification.or_else(|_| MessageId::parse(text).map(SubjectId::Message)).ok()
}

fn data<'a>(engine: &Engine, kept: &'a Kept, number: &'a Number) -> Vec<KeptAnswer<'a>> {
    let one = |(snapshot, lines): &'a (Snapshot, Vec<tapcode_core::entry::Entry>)| {
        let (verification, message) = match &snapshot.subject {
            Subject::Verification(verification) => (Some(KeptVerification::of(engine, verification)), None),
            Subject::Message(message) => (None, Some(MessageAnswer::of(message, number.expose()))),
        };
        KeptAnswer {
            verification,
            message,
            timeline: lines.iter().map(Into::into).collect(),
        }
    };
    kept.things.iter().map(one).collect()
}

/// What was sealed, where the key that sealed it is still there.
fn opened(engine: &Engine, r#use: Use, sealed: &Sealed) -> Option<String> {
    engine.keyring().open_text(r#use, sealed).map(|text| text.to_string())
}

impl<'a> RecordAnswer<'a> {
    fn of(engine: &Engine, document: &'a Recipient, number: &Number) -> Self {
        let verifications = document.verifications.iter().map(|v| v.id.to_string());
        let messages = document.messages.iter().map(|m| m.id.to_string());
        let identities = &document.knowledge.identities;
        Self {
            recipient: RecipientAnswer::of(document, number, engine.now()),
            number_is_kept: document.number.is_some(),
            sends_at: document.sends.iter().copied().map(Moment).collect(),
            requested_at: document.requested_at.map(Moment),
            known_as: identities
                .iter()
                .filter_map(|i| Some((i.channel.as_str(), opened(engine, Use::Identity, &i.sealed)?)))
                .collect(),
            disowned_at: document.knowledge.disowned.iter().copied().map(Moment).collect(),
            holds: verifications.chain(messages).collect(),
            texts_waiting: document
                .messages
                .iter()
                .filter(|m| m.payload.is_some())
                .map(|m| Shown(&m.id))
                .collect(),
        }
    }
}

impl<'a> BesideAnswer<'a> {
    fn of(beside: &'a Beside) -> Self {
        Self {
            timeline: beside.entries.iter().map(Into::into).collect(),
            answers_until: beside.answers.iter().copied().map(Moment).collect(),
            written_to: beside
                .written
                .iter()
                .map(|(account, hour)| WrittenAnswer {
                    account,
                    hour: Moment(Timestamp::from_hour(*hour)),
                })
                .collect(),
        }
    }
}

impl<'a> KeptVerification<'a> {
    fn of(engine: &Engine, verification: &'a Verification) -> Self {
        let v = verification;
        let known = attempts(v).into_iter().zip(&v.attempts);
        Self {
            id: Shown(v.id),
            status: v.status.as_str(),
            purpose: v.purpose.as_str(),
            created_at: Moment(v.created_at),
            expires_at: Moment(v.expires_at),
            finished_at: v.finished_at.map(Moment),
            checks_used: v.checks_used,
            locale: &v.locale,
            binding: v.binding.as_ref().and_then(|b| opened(engine, Use::Binding, &b.sealed)),
            own_code: matches!(v.code, tapcode_core::verification::CodeSource::Own { .. }),
            attempts: known
                .map(|(attempt, kept)| KeptAttempt {
                    attempt,
                    known_as: kept.identity.as_ref().and_then(|i| opened(engine, Use::Identity, i)),
                    disowned_at: kept.delivery.disowned_at.map(Moment),
                })
                .collect(),
            client: v.client.as_deref().map(|hints| KeptClient {
                told: hints.into(),
                app_hash: hints.app_hash.as_deref(),
                web_origin: hints.web_origin.as_deref(),
            }),
            metadata: Pairs(&v.metadata),
        }
    }
}
