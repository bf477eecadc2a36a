//! What does a text message say, in how many segments is it sent, and how could it be shorter?

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::money::Money;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::text::{in_gsm7, segments};
use tapcode_core::verification::ClientHints;
use tapcode_engine::contract::store::Right;
use tapcode_engine::service::{SANDBOX_SENDER, Sender};
use tapcode_engine::text::preview as text_of_code;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::Price;
use crate::api::call::{Answered, Call, answer};
use crate::api::operation::{Body, Operation, Route, Success, keyed, schema};
use crate::api::reader::{Field, Reading};
use crate::api::verifications::{ClientBody, binding, client, locale};
use crate::limits::SMS_BODY_CHARS_MAX;
use crate::problem::{Code, Problem};

/// Minutes that a code can be good for.
const MINUTES_MAX: u32 = 10;

/// Which text. Without `body` it is the text of a code.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of what `preview` reads")]
pub(crate) struct SmsPreviewBody {
    /// A text of your own, at most 1,600 characters; nothing else may be given with it.
    body: Option<String>,
    /// The language, BCP 47. Default: the service's.
    locale: Option<String>,
    /// Minutes that the code is good for, 1 to 10. Default: what the service's codes are.
    expires_minutes: Option<u32>,
    /// What the code is bound to, as a verification's `binding`.
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    binding: Option<()>,
    client: Option<ClientBody>,
    /// To whom it would go, E.164: then the answer says what it would cost.
    to: Option<String>,
    /// The number it would come from, by its id. Default: the first SMS sender of the service's workflow for that country.
    from_number_id: Option<u32>,
}

/// A text message, as it would be sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct SmsPreviewAnswer<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    sent: SmsTextAnswer,
    /// The same with letters of the GSM alphabet only, where that is possible and not what is sent already. It is offered,
    /// and never done by itself.
    transliterated: Option<SmsTextAnswer>,
    /// The number it would come from, by its id. `null` without `to`.
    from_number_id: Option<u32>,
    /// What all of its segments cost by the operator's table. `null` without `to`, or where no table says.
    price: Option<Price<'a>>,
    /// What they cost at most, where networks of the country differ.
    price_at_most: Option<Price<'a>>,
}

/// A text, and what it takes to send it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SmsTextAnswer {
    /// The text. A code is shown as zeros.
    text: String,
    /// `gsm7` or `ucs2`.
    encoding: &'static str,
    /// Segments, which providers bill one by one.
    segments: u8,
}

impl SmsTextAnswer {
    fn of(text: String) -> Self {
        let (encoding, segments) = segments(&text);
        Self {
            text,
            encoding: encoding.as_str(),
            segments,
        }
    }
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const PREVIEW: &[Success] = &[Success {
        status: 200,
        means: "The text, and what it takes to send it. Nothing is sent.",
        media: "application/json",
        schema: Some(schema::<SmsPreviewAnswer>),
        example: r#"{"text":"000000 is de code voor Acme. Hij is 5 minuten geldig. Deel hem met niemand.","encoding":"gsm7","segments":1,"transliterated":null,"from_number_id":null,"price":null,"price_at_most":null}"#,
    }];
    vec![keyed(
        Operation {
            id: "previewSms",
            method: Method::POST,
            path: "/api/v1/sms/preview",
            tag: "Messages",
            summary: "See a text message before it is sent",
            description: "The text of a code in a language, for a device, or a text of your own; its alphabet, its segments and, with `to`, its price.",
            needs: &[Right::Verify, Right::Messages],
            query: Vec::new(),
            body: Some(Body {
                schema: schema::<SmsPreviewBody>,
                required: false,
                example: r#"{"locale":"nl","expires_minutes":5}"#,
            }),
            idempotent: false,
            answers: PREVIEW,
            problems: &[
                Code::InvalidNumber,
                Code::ServiceNeeded,
                Code::ServiceNotConfigured,
                Code::UnknownSender,
            ],
        },
        shared,
        preview,
    )]
}

async fn preview(call: Call) -> Answered {
    call.query().done()?;
    let json = call.json_if_any()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let body = fields.optional("body", own_text);
    let wanted_locale = fields.optional("locale", |f| locale(&f));
    let minutes = fields.optional("expires_minutes", |f| {
        let minutes = f.whole(MINUTES_MAX)?;
        if minutes == 0 {
            return f.fail(Code::InvalidRequest, "a code is good for 1 to 10 minutes");
        }
        Some(minutes)
    });
    let binding = fields.optional("binding", |f| binding(&f));
    let client = fields.optional("client", |f| client(&f));
    let to = fields.optional("to", Field::number);
    let from = fields.optional("from_number_id", |f| f.whole(u32::MAX));
    fields.end();
    let for_code = [
        wanted_locale.is_some(),
        minutes.is_some(),
        binding.is_some(),
        client.is_some(),
    ];
    if body.is_some() && for_code.contains(&true) {
        reading.fail(
            "/body",
            Code::InvalidRequest,
            "a text of your own is whole already: leave out what is for the text of a code",
        );
    }
    if from.is_some() && to.is_none() {
        reading.fail(
            "/to",
            Code::MissingField,
            "what it costs depends on whom it is for: send to, or leave out from_number_id",
        );
    }
    reading.done()?;
    let sender = to.as_ref().map(|to| sender(&call, to, from)).transpose()?;
    let text = match body {
        Some(body) => body,
        None => {
            let scope = call.scope()?;
            let directory = call.engine().directory();
            let service = directory
                .service(&scope.service)
                .ok_or_else(|| Problem::new(Code::ServiceNotConfigured))?;
            let of_service = u32::try_from(service.code_ttl_ms.div_ceil(60_000)).unwrap_or(MINUTES_MAX);
            let locale = wanted_locale.unwrap_or_else(|| service.default_locale.clone());
            let code = "0".repeat(usize::from(service.code_length));
            let client = client.unwrap_or_else(ClientHints::default);
            text_of_code(
                service,
                &locale,
                &code,
                minutes.unwrap_or(of_service),
                binding.as_deref(),
                &client,
            )
        }
    };
    let transliterated = in_gsm7(&text).map(SmsTextAnswer::of);
    let sent = SmsTextAnswer::of(text);
    let prices = sender.as_ref().and_then(|s| s.prices.as_ref()).zip(to.as_ref());
    let price: Option<Money> = prices.and_then(|(prices, to)| prices.price(to.country(), sent.segments));
    let at_most: Option<Money> = prices.and_then(|(prices, to)| prices.price_at_most(to.country(), sent.segments));
    Ok(answer(
        StatusCode::OK,
        &SmsPreviewAnswer {
            from_number_id: sender.as_ref().map(|s| s.id),
            price: price.as_ref().map(Into::into),
            price_at_most: at_most.as_ref().map(Into::into),
            sent,
            transliterated,
        },
    ))
}

/// The sender that a message to a number would have.
fn sender(call: &Call, to: &Number, from: Option<u32>) -> Result<Arc<Sender>, Problem> {
    let directory = call.engine().directory();
    if let Some(id) = from {
        let sender = directory.sender(Channel::Sms, id).filter(|s| s.id != SANDBOX_SENDER);
        let unknown = || Problem::at(Code::UnknownSender, "/from_number_id", "no number with this id is configured");
        return sender.cloned().ok_or_else(unknown);
    }
    let scope = call.scope()?;
    let service = directory
        .service(&scope.service)
        .ok_or_else(|| Problem::new(Code::ServiceNotConfigured))?;
    directory.text_sender(service, to).cloned().ok_or_else(|| {
        Problem::at(
            Code::UnknownSender,
            "/to",
            "no SMS step of the service's workflow may carry a message to this number",
        )
    })
}

fn own_text(field: Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.is_empty() || text.chars().count() > SMS_BODY_CHARS_MAX {
        return field.fail(Code::InvalidRequest, "a text of 1 to 1600 characters belongs here");
    }
    Some(text.to_owned())
}
