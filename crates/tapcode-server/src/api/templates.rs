//! How does an operator run WhatsApp templates over the API?

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::account::{ButtonKind, Template, TemplateStatus};
use tapcode_core::plan::Channel;
use tapcode_engine::contract::account::{AccountError, App, TemplateDraft, Violation};
use tapcode_engine::contract::store::Right;
use tapcode_engine::engine::EngineError;
use tapcode_engine::service::{SANDBOX_SENDER, Sender};
use tapcode_engine::templates::{TemplateError, default_draft};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::call::{Answered, Call, IdempotencyKey, answer, replayed, to_json, written};
use crate::api::operation::{Body, Operation, Parameter, Route, Success, keyed, schema};
use crate::api::reader::{Field, Reading};
use crate::api::refusal::unavailable;
use crate::api::verifications::EmptyBody;
use crate::problem::{Code, FieldProblem, Problem};

const TAG: &str = "WhatsApp templates";
/// Most languages that are read: more than Meta has.
const LANGUAGES_MAX: usize = 128;
/// Most apps that are read: more than Meta takes.
const APPS_MAX: usize = 32;

/// An authentication template as an operator wants it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the documentation's form of what `draft` reads; a test holds the two together"
)]
pub(crate) struct TemplateDraftBody {
    /// The account's number in the configuration.
    account_id: u32,
    /// 1 to 512 of `a-z`, `0-9` and `_`.
    name: String,
    /// As Meta writes them. Default: the ones that are configured.
    languages: Option<Vec<String>>,
    /// Whether the body says not to share the code. Default `true`.
    security_disclaimer: Option<bool>,
    /// The minutes that the footer names, 1 to 90. Default: the shortest life of a code of the services that use the account.
    code_expiration_minutes: Option<i64>,
    /// Default: `copy_code`.
    button: Option<ButtonBody>,
    /// How long Meta tries to deliver: 30 to 900, or -1 for 30 days. Default: just above the wait for the fallback.
    send_ttl_seconds: Option<i64>,
}

/// A template as an operator wants to see it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form of what `looked_at` reads")]
pub(crate) struct PreviewBody {
    /// As Meta writes them. Default: the ones that are configured.
    languages: Option<Vec<String>>,
    /// Whether the body says not to share the code. Default `true`.
    security_disclaimer: Option<bool>,
    /// The minutes that the footer names, 1 to 90. Default: the shortest life of a code of the services that use the account.
    code_expiration_minutes: Option<i64>,
    /// Default: `copy_code`.
    button: Option<ButtonBody>,
    /// How long Meta tries to deliver. It shows nowhere.
    send_ttl_seconds: Option<i64>,
}

/// How the code gets into the app.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct ButtonBody {
    /// `copy_code`, `one_tap` or `zero_tap`.
    r#type: String,
    /// Up to 25 characters, with one language only. Default: Meta's, in each language.
    text: Option<String>,
    /// The same, of the button that fills in.
    autofill_text: Option<String>,
    /// Default: the apps of the services that use the account.
    apps: Option<Vec<AppBody>>,
    /// Needed for `zero_tap`: whether you accept Meta's terms for it.
    zero_tap_terms_accepted: Option<bool>,
}

/// An app.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the documentation's form")]
pub(crate) struct AppBody {
    package_name: String,
    /// 11 characters.
    signature_hash: String,
}

/// A template in one language.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateAnswer<'a> {
    account_id: u32,
    name: &'a str,
    language: &'a str,
    /// The provider's id of it.
    id: &'a str,
    /// `pending`, `approved`, `rejected`, `in_appeal`, `paused`, `disabled`, `pending_deletion`, `deleted`, `archived`, `unusable`.
    status: &'static str,
    /// Why, in the provider's words.
    reason: Option<&'a str>,
    /// `green`, `yellow`, `red` or `unknown`.
    quality: &'static str,
    /// Whether it is an authentication template.
    authentication: bool,
    send_ttl_seconds: Option<u32>,
    code_expiration_minutes: Option<u8>,
    security_disclaimer: bool,
    /// `copy_code`, `one_tap` or `zero_tap`.
    button: Option<&'static str>,
}

/// Templates, each language by itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateList<'a> {
    data: Vec<TemplateAnswer<'a>>,
    /// Where the next page starts; `null` on the last one.
    next_cursor: Option<String>,
}

/// What people will see.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewAnswer<'a> {
    language: &'a str,
    /// `*{{1}}*` stands for the code.
    body: &'a str,
    footer: Option<&'a str>,
    buttons: Vec<&'a str>,
}

/// What people will see, in each language.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewList<'a> {
    data: Vec<PreviewAnswer<'a>>,
    next_cursor: Option<String>,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletedAnswer {
    /// Always `true`. The name cannot be used again for 30 days.
    deleted: bool,
}

const LIST: &str = r#"{"data":[{"account_id":1,"name":"login_otp","language":"en","id":"594425479261596","status":"approved","reason":null,"quality":"green","authentication":true,"send_ttl_seconds":30,"code_expiration_minutes":5,"security_disclaimer":true,"button":"copy_code"}],"next_cursor":null}"#;
const DRAFT: &str = r#"{"account_id":1,"name":"login_otp","languages":["en","nl"],"security_disclaimer":true,"code_expiration_minutes":5,"button":{"type":"one_tap","apps":[{"package_name":"com.example.app","signature_hash":"K8a/AINcGX7"}]},"send_ttl_seconds":30}"#;
const LOOK: &str = r#"{"languages":["en"],"security_disclaimer":true,"code_expiration_minutes":5}"#;
const PREVIEW: &str = r#"{"data":[{"language":"en","body":"*{{1}}* is your verification code.","footer":"This code expires in 5 minutes.","buttons":["Copy code"]}],"next_cursor":null}"#;
const ACCOUNT: Parameter = Parameter {
    name: "account_id",
    kind: "integer",
    means: "Of this account only. Default: all; for a service's key all that its workflows use.",
};

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    const LISTED: &[Success] = &[Success {
        status: 200,
        means: "The templates, as the provider last listed them.",
        media: "application/json",
        schema: Some(schema::<TemplateList<'static>>),
        example: LIST,
    }];
    const CREATED: &[Success] = &[Success {
        status: 201,
        means: "The template as the provider lists it now, in each language.",
        media: "application/json",
        schema: Some(schema::<TemplateList<'static>>),
        example: LIST,
    }];
    const PREVIEWED: &[Success] = &[Success {
        status: 200,
        means: "What people will see.",
        media: "application/json",
        schema: Some(schema::<PreviewList<'static>>),
        example: PREVIEW,
    }];
    const DELETED: &[Success] = &[Success {
        status: 200,
        means: "It is deleted.",
        media: "application/json",
        schema: Some(schema::<DeletedAnswer>),
        example: r#"{"deleted":true}"#,
    }];
    const OF_PROVIDER: &[Code] = &[
        Code::UnknownSender,
        Code::NoTemplates,
        Code::TemplateRejected,
        Code::TemplateNotFound,
        Code::ProviderRefused,
        Code::ProviderSilent,
    ];
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
        problems: OF_PROVIDER,
    };
    let to_read = |op| Operation {
        needs: &[Right::Read, Right::Admin],
        ..op
    };
    let filters = vec![
        ACCOUNT,
        Parameter {
            name: "name",
            kind: "string",
            means: "Of this name only.",
        },
        Parameter {
            name: "status",
            kind: "string",
            means: "In this status only, such as `approved`.",
        },
        Parameter {
            name: "limit",
            kind: "integer",
            means: "1 to 100. Default 20.",
        },
        Parameter {
            name: "cursor",
            kind: "string",
            means: "The `next_cursor` of the page before.",
        },
    ];
    vec![
        keyed(
            Operation {
                query: filters,
                problems: &[Code::UnknownSender, Code::InvalidCursor],
                ..to_read(base(
                    "listTemplates",
                    Method::GET,
                    "/api/v1/whatsapp/templates",
                    "List templates",
                    "As the provider last listed them: every ten minutes, after every change made here, and by webhook.",
                    LISTED,
                ))
            },
            shared,
            list,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<TemplateDraftBody>,
                    required: true,
                    example: DRAFT,
                }),
                idempotent: true,
                ..base(
                    "createTemplate",
                    Method::POST,
                    "/api/v1/whatsapp/templates",
                    "Create or replace a template",
                    "In all its languages at once. Whatever Meta would reject is refused here first, every rule at once, and nothing is asked of Meta then. A language that is there already is replaced and reviewed anew; with texts of buttons of your own Meta takes new languages only.",
                    CREATED,
                )
            },
            shared,
            create,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<EmptyBody>,
                    required: false,
                    example: "{}",
                }),
                query: vec![ACCOUNT],
                ..base(
                    "syncTemplates",
                    Method::POST,
                    "/api/v1/whatsapp/templates/sync",
                    "Ask the provider for all templates",
                    "Changes nothing there.",
                    LISTED,
                )
            },
            shared,
            sync,
        ),
        keyed(
            to_read(base(
                "getTemplate",
                Method::GET,
                "/api/v1/whatsapp/templates/{account_id}/{name}",
                "Get a template",
                "In every language.",
                LISTED,
            )),
            shared,
            get,
        ),
        keyed(
            Operation {
                query: vec![Parameter {
                    name: "language",
                    kind: "string",
                    means: "In this language only. Default: in all.",
                }],
                ..base(
                    "deleteTemplate",
                    Method::DELETE,
                    "/api/v1/whatsapp/templates/{account_id}/{name}",
                    "Delete a template",
                    "Messages on their way may still arrive. Meta keeps the name for 30 days.",
                    DELETED,
                )
            },
            shared,
            delete,
        ),
        keyed(
            Operation {
                body: Some(Body {
                    schema: schema::<PreviewBody>,
                    required: false,
                    example: LOOK,
                }),
                ..base(
                    "previewTemplate",
                    Method::POST,
                    "/api/v1/whatsapp/templates/{account_id}/{name}/preview",
                    "Preview a template",
                    "What people will see, in Meta's own words. Takes the fields of a template but for `account_id` and `name`, and creates nothing.",
                    PREVIEWED,
                )
            },
            shared,
            preview,
        ),
    ]
}

const NO_ACCOUNT: &str = "no WhatsApp account with this id is configured, or none that the key's service uses";

/// The configured account with this id, if the caller may see how it stands: an account that a key's service does not use
/// is the same as none.
fn account(call: &Call, id: u32) -> Option<Arc<Sender>> {
    let directory = call.engine().directory();
    let named = directory.sender(Channel::Whatsapp, id).filter(|s| s.id != SANDBOX_SENDER);
    named.filter(|s| call.sees_account_of(s)).cloned()
}

/// The accounts that are meant: the one that is named, else all that have templates.
fn accounts(call: &Call, id: Option<u32>) -> Result<Vec<Arc<Sender>>, Problem> {
    if let Some(id) = id {
        let named = account(call, id).ok_or_else(|| Problem::at(Code::UnknownSender, "?account_id", NO_ACCOUNT))?;
        return Ok(vec![named]);
    }
    let directory = call.engine().directory();
    let all = directory.senders().into_iter().cloned();
    let has_templates = |s: &Arc<Sender>| s.channel == Channel::Whatsapp && s.provider.account_api().is_some();
    Ok(all.filter(|s| has_templates(s) && call.sees_account_of(s)).collect())
}

/// The account that the path names.
pub(crate) fn account_in_path(call: &Call) -> Result<Arc<Sender>, Problem> {
    let id = call.path("account_id").parse().ok();
    id.and_then(|id| account(call, id))
        .ok_or_else(|| Problem::new(Code::UnknownSender).detail(NO_ACCOUNT))
}

fn in_path(call: &Call) -> Result<(Arc<Sender>, String), Problem> {
    Ok((account_in_path(call)?, call.path("name").to_owned()))
}

fn shown(sender: &Sender, template: &Template) -> TemplateAnswerOwned {
    TemplateAnswerOwned {
        account_id: sender.id,
        template: template.clone(),
    }
}

struct TemplateAnswerOwned {
    account_id: u32,
    template: Template,
}

impl TemplateAnswerOwned {
    fn place(&self) -> Place {
        Place {
            account_id: self.account_id,
            name: self.template.name.clone(),
            language: self.template.language.clone(),
        }
    }

    fn answer(&self) -> TemplateAnswer<'_> {
        let t = &self.template;
        TemplateAnswer {
            account_id: self.account_id,
            name: &t.name,
            language: &t.language,
            id: &t.id,
            status: t.status.as_str(),
            reason: t.reason.as_deref(),
            quality: t.quality.as_str(),
            authentication: t.is_authentication,
            send_ttl_seconds: t.send_ttl_s,
            code_expiration_minutes: t.code_expiration_minutes,
            security_disclaimer: t.security_disclaimer,
            button: t.button.map(ButtonKind::as_str),
        }
    }
}

fn known(call: &Call, sender: &Sender) -> Vec<TemplateAnswerOwned> {
    let view = call.engine().account(sender);
    view.account.templates.iter().flatten().map(|t| shown(sender, t)).collect()
}

fn page(status: StatusCode, all: &[TemplateAnswerOwned], next_cursor: Option<String>) -> http::Response<axum::body::Body> {
    answer(status, &listed(all, next_cursor))
}

fn listed(all: &[TemplateAnswerOwned], next_cursor: Option<String>) -> TemplateList<'_> {
    let data = all.iter().map(TemplateAnswerOwned::answer).collect();
    TemplateList { data, next_cursor }
}

/// Where a template stands in the list, and as a cursor: what is created or deleted meanwhile moves nobody's page.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    account_id: u32,
    name: Box<str>,
    language: Box<str>,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        Some(Self {
            account_id: parts.next()?.parse().ok()?,
            language: parts.next()?.into(),
            name: parts.next()?.into(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} {} {}", self.account_id, self.language, self.name);
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

async fn list(call: Call) -> Answered {
    let query = call.query();
    let account = query.read(
        "account_id",
        (Code::InvalidRequest, "an account's number in the configuration belongs here"),
        |t| t.parse().ok(),
    );
    let name = query.text("name").map(ToOwned::to_owned);
    let status = query.read(
        "status",
        (Code::InvalidRequest, "a template's status belongs here, such as approved"),
        |t| TemplateStatus::ALL.into_iter().find(|s| s.as_str() == t),
    );
    let after = query.read(
        "cursor",
        (Code::InvalidCursor, Code::InvalidCursor.registered().means),
        Place::parse,
    );
    let limit = query.limit();
    query.done()?;
    let mut all = Vec::new();
    for sender in accounts(&call, account)? {
        all.extend(known(&call, &sender));
    }
    all.retain(|t| name.as_deref().is_none_or(|n| *t.template.name == *n) && status.is_none_or(|s| t.template.status == s));
    all.sort_by_cached_key(TemplateAnswerOwned::place);
    all.retain(|t| after.as_ref().is_none_or(|after| t.place() > *after));
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more).map(|last| last.place().to_string());
    Ok(page(StatusCode::OK, &all, next))
}

async fn create(call: Call) -> Answered {
    call.query().done()?;
    let (sender, draft) = wanted(&call)?;
    let key = call.idempotency_key_of_all("createTemplate")?;
    // Whoever repeats a request that is being answered waits for its answer.
    let _turn = call.shared.templates.lock().await;
    if let Some(IdempotencyKey { key, fingerprint }) = &key {
        let before = call.engine().answered_before(key, fingerprint).await.map_err(undecided)?;
        if let Some(before) = before {
            return Ok(replayed(before));
        }
    }
    let made = call
        .engine()
        .submit_template(&sender, &draft, &call.by())
        .await
        .map_err(problem)?;
    let made: Vec<_> = made.iter().map(|t| shown(&sender, t)).collect();
    let body = to_json(&listed(&made, None));
    if let Some(IdempotencyKey { key, fingerprint }) = key {
        let rendered = (StatusCode::CREATED.as_u16(), body.clone());
        let remembered = call.engine().remember_answer(key, fingerprint, &rendered).await;
        remembered.map_err(undecided)?;
    }
    Ok(written(StatusCode::CREATED, body))
}

fn undecided(error: EngineError) -> Problem {
    match error {
        EngineError::KeyReused => Problem::new(Code::IdempotencyKeyReused),
        error @ EngineError::Unavailable(_) => unavailable(&error),
    }
}

fn wanted(call: &Call) -> Result<(Arc<Sender>, TemplateDraft), Problem> {
    let json = call.json()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let account = fields.required("account_id", |f| f.whole(u32::MAX));
    let name = fields.required("name", |f| text(&f));
    let wish = Wish::read(&mut fields);
    fields.end();
    reading.done()?;
    let (Some(account), Some(name)) = (account, name) else {
        return Err(Problem::new(Code::InvalidRequest));
    };
    let sender = self::account(call, account).ok_or_else(|| Problem::at(Code::UnknownSender, "/account_id", NO_ACCOUNT))?;
    let draft = wish.draft(call, &sender, &name);
    Ok((sender, draft))
}

async fn sync(call: Call) -> Answered {
    let query = call.query();
    let account = query.read(
        "account_id",
        (Code::InvalidRequest, "an account's number in the configuration belongs here"),
        |t| t.parse().ok(),
    );
    query.done()?;
    nothing_in(&call)?;
    let mut all = Vec::new();
    for sender in accounts(&call, account)? {
        let listed = call.engine().sync_templates(&sender).await.map_err(problem)?;
        all.extend(listed.iter().map(|t| shown(&sender, t)));
    }
    Ok(page(StatusCode::OK, &all, None))
}

/// A body without a field, or none.
pub(crate) fn nothing_in(call: &Call) -> Result<(), Problem> {
    let json = call.json_if_any()?;
    let reading = Reading::default();
    reading.root(&json).end();
    reading.done()
}

async fn get(call: Call) -> Answered {
    call.query().done()?;
    let (sender, name) = in_path(&call)?;
    let mut found = known(&call, &sender);
    found.retain(|t| *t.template.name == *name);
    if found.is_empty() {
        return Err(Problem::new(Code::TemplateNotFound));
    }
    Ok(page(StatusCode::OK, &found, None))
}

async fn delete(call: Call) -> Answered {
    let query = call.query();
    let language = query.text("language").map(ToOwned::to_owned);
    query.done()?;
    let (sender, name) = in_path(&call)?;
    let deleted = call
        .engine()
        .delete_template(&sender, &name, language.as_deref(), &call.by())
        .await;
    deleted.map_err(problem)?;
    Ok(answer(StatusCode::OK, &DeletedAnswer { deleted: true }))
}

async fn preview(call: Call) -> Answered {
    call.query().done()?;
    let (sender, draft) = looked_at(&call)?;
    let previews = call.engine().preview_template(&sender, &draft).await.map_err(problem)?;
    let data = previews
        .iter()
        .map(|p| PreviewAnswer {
            language: &p.language,
            body: &p.body,
            footer: p.footer.as_deref(),
            buttons: p.buttons.iter().map(|b| &**b).collect(),
        })
        .collect();
    Ok(answer(StatusCode::OK, &PreviewList { data, next_cursor: None }))
}

fn looked_at(call: &Call) -> Result<(Arc<Sender>, TemplateDraft), Problem> {
    let (sender, name) = in_path(call)?;
    let json = call.json_if_any()?;
    let reading = Reading::default();
    let mut fields = reading.root(&json);
    let wish = Wish::read(&mut fields);
    fields.end();
    reading.done()?;
    let draft = wish.draft(call, &sender, &name);
    Ok((sender, draft))
}

/// What a caller says of a template; the rest is filled in.
struct Wish {
    languages: Option<Vec<String>>,
    security_disclaimer: Option<bool>,
    code_expiration_minutes: Option<i64>,
    send_ttl_seconds: Option<i64>,
    button: Option<Button>,
}

struct Button {
    kind: ButtonKind,
    text: Option<String>,
    autofill_text: Option<String>,
    apps: Option<Vec<App>>,
    zero_tap_terms_accepted: bool,
}

/// Any text: whoever knows the provider's rules says what is wrong with it. The body's bound is its bound.
fn text(field: &Field<'_>) -> Option<String> {
    field.text().map(ToOwned::to_owned)
}

impl Wish {
    fn read(fields: &mut crate::api::reader::Fields<'_>) -> Self {
        let languages = fields.optional("languages", |f| {
            let items: Vec<Option<String>> = f.list(0, LANGUAGES_MAX)?.iter().map(text).collect();
            items.into_iter().collect()
        });
        Self {
            languages,
            security_disclaimer: fields.optional("security_disclaimer", |f| f.boolean()),
            code_expiration_minutes: fields.optional("code_expiration_minutes", |f| f.any_whole()),
            send_ttl_seconds: fields.optional("send_ttl_seconds", |f| f.any_whole()),
            button: fields.optional("button", |f| button(&f)),
        }
    }

    fn draft(self, call: &Call, sender: &Sender, name: &str) -> TemplateDraft {
        let kind = self.button.as_ref().map_or(ButtonKind::CopyCode, |b| b.kind);
        let default = default_draft(&call.engine().directory(), sender, name, kind);
        let mut draft = TemplateDraft {
            languages: self.languages.unwrap_or(default.languages),
            security_disclaimer: self.security_disclaimer.unwrap_or(default.security_disclaimer),
            code_expiration_minutes: self.code_expiration_minutes.or(default.code_expiration_minutes),
            send_ttl_seconds: self.send_ttl_seconds.or(default.send_ttl_seconds),
            ..default
        };
        if let Some(button) = self.button {
            draft.button_text = button.text;
            draft.autofill_text = button.autofill_text;
            draft.apps = button.apps.unwrap_or(draft.apps);
            draft.zero_tap_terms_accepted = button.zero_tap_terms_accepted;
        }
        draft
    }
}

fn button(field: &Field<'_>) -> Option<Button> {
    let mut fields = field.fields()?;
    let kind = fields.required("type", |f| {
        let text = f.text()?;
        let wanted = "a button is copy_code, one_tap or zero_tap";
        ButtonKind::parse(text).or_else(|| f.fail(Code::InvalidRequest, wanted))
    });
    let own = fields.optional("text", |f| text(&f));
    let autofill = fields.optional("autofill_text", |f| text(&f));
    let apps = fields.optional("apps", |f| {
        let apps: Vec<Option<App>> = f.list(0, APPS_MAX)?.iter().map(app).collect();
        apps.into_iter().collect()
    });
    let terms = fields.optional("zero_tap_terms_accepted", |f| f.boolean());
    fields.end();
    Some(Button {
        kind: kind?,
        text: own,
        autofill_text: autofill,
        apps,
        zero_tap_terms_accepted: terms.unwrap_or(false),
    })
}

fn app(field: &Field<'_>) -> Option<App> {
    let mut fields = field.fields()?;
    let package_name = fields.required("package_name", |f| text(&f));
    let signature_hash = fields.required("signature_hash", |f| text(&f));
    fields.end();
    Some(App {
        package_name: package_name?.into(),
        signature_hash: signature_hash?.into(),
    })
}

/// The problem of a request about templates, or about an account.
pub(crate) fn problem(error: TemplateError) -> Problem {
    match error {
        TemplateError::NoTemplates => Problem::new(Code::NoTemplates),
        TemplateError::Violations(violations) => Problem::of_errors(violations.into_iter().map(field_problem).collect()),
        TemplateError::Unknown => Problem::new(Code::TemplateNotFound),
        TemplateError::Provider(AccountError::Refused(failure)) => {
            Problem::new(Code::ProviderRefused).detail(format!("{}: {}", failure.code, failure.detail))
        }
        TemplateError::Provider(error @ (AccountError::Undocumented | AccountError::Unanswered)) => {
            Problem::new(Code::ProviderSilent).detail(format!(
                "{error}; whether it did what was asked is not known, so list or sync before you ask again"
            ))
        }
        TemplateError::Engine(error) => undecided(error),
    }
}

fn field_problem(violation: Violation) -> FieldProblem {
    FieldProblem {
        pointer: violation.pointer,
        code: Code::TemplateRejected,
        detail: Cow::Owned(violation.detail),
        source: Some(violation.source.url),
    }
}
