//! How is a provider asked about our account with it? Health, templates, subscriptions: requests and what their answers
//! mean, as pure functions, like sending. The engine makes the calls.

use std::fmt;

use tapcode_core::account::{AccountName, ButtonKind, Reading, Template, TemplateStatus};
use tapcode_core::delivery::Failure;

use crate::contract::provider::{HttpRequest, HttpResponse, Source};

/// Most pages of templates that are read of one account: with 100 a page, ten times what Meta allows an account that is
/// not verified.
pub const TEMPLATE_PAGES_MAX: usize = 25;

/// What a remark is about that tells of a number without saying which of ours it is: all of the account's are read anew.
pub const NUMBER_NEWS: &str = "number";

/// An app that codes can be handed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its Android package.
    pub package_name: Box<str>,
    /// The hash of its signing key: 11 characters, the same as for SMS Retriever.
    pub signature_hash: Box<str>,
}

/// An authentication template as an operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateDraft {
    /// Its name.
    pub name: String,
    /// Its languages, as the provider writes them.
    pub languages: Vec<String>,
    /// Whether the body says not to share the code.
    pub security_disclaimer: bool,
    /// The minutes that the footer names; `None`: no footer. Any number, so that a wrong one can be told.
    pub code_expiration_minutes: Option<i64>,
    /// How the code gets into the app.
    pub button: ButtonKind,
    /// The button's text; `None`: the provider's, in each language.
    pub button_text: Option<String>,
    /// The text of the button that fills in; `None`: the provider's.
    pub autofill_text: Option<String>,
    /// The apps that it can be handed to.
    pub apps: Vec<App>,
    /// Whether the operator accepts the provider's terms for zero-tap.
    pub zero_tap_terms_accepted: bool,
    /// How long the provider tries to deliver. Seconds.
    pub send_ttl_seconds: Option<i64>,
}

/// A rule of the provider's that a draft breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, as a JSON Pointer into the body of `POST /api/v1/whatsapp/templates`, such as `/languages/1`.
    pub pointer: String,
    /// The rule, and what to write instead. It repeats nothing of what was sent.
    pub detail: String,
    /// Where the rule was read.
    pub source: Source,
}

/// What a person will see of a template in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The language.
    pub language: Box<str>,
    /// The body, `*{{1}}*` for the code.
    pub body: Box<str>,
    /// The footer.
    pub footer: Option<Box<str>>,
    /// The texts of its buttons: copying first, filling in second.
    pub buttons: Vec<Box<str>>,
}

/// What became of a draft in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The language.
    pub language: Box<str>,
    /// The provider's id of it.
    pub id: Box<str>,
    /// Where its review stands.
    pub status: TemplateStatus,
}

/// A page of templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplatePage {
    /// The templates, authentication or not.
    pub templates: Vec<Template>,
    /// What to ask the next page with; `None`: this was the last.
    pub next: Option<String>,
}

/// An app that the account's webhooks go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The app's id.
    pub app_id: Box<str>,
    /// The app's name.
    pub app_name: Box<str>,
    /// The address that webhooks of this account go to instead of the app's own.
    pub override_url: Option<Box<str>>,
}

/// What a token may do, as far as its provider says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Rights that sending and management need and that the token lacks.
    pub missing: Vec<&'static str>,
    /// When the token ends, in seconds since 1970; `None`: never, or not told.
    pub ends_at_s: Option<i64>,
    /// The app that the token is for, where it is told.
    pub app_id: Option<Box<str>>,
}

/// Where an app's own webhooks go: those that no account can send elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppWebhook {
    /// The address.
    pub url: Box<str>,
    /// What is needed and not subscribed.
    pub missing: Vec<&'static str>,
}

/// Why a request about an account came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The provider said no; the failure's class says whose fault it is, and its detail what the provider said.
    #[error("the provider refused: {} {}", .0.code, .0.detail)]
    Refused(Failure),
    /// The answer is not what the provider's documentation says.
    #[error("the provider answered in a way that is not documented")]
    Undocumented,
    /// There was no whole answer.
    #[error("the provider gave no answer")]
    Unanswered,
}

/// Management of an account by HTTP. Every function is pure; every `…_of` reads the answer to the request of its name.
pub trait AccountApi: Send + Sync + fmt::Debug {
    /// The account: senders that share it share its breakers, templates and limits.
    fn account(&self) -> AccountName;

    /// The name of the template that carries codes.
    fn template(&self) -> &str;

    /// The languages that the configuration says the template is approved in, where the provider was never asked; empty:
    /// any. The first is not the default.
    fn configured_languages(&self) -> &[String];

    /// The template's language where the best one for a locale is not there.
    fn default_language(&self) -> &str;

    /// The best of `approved` for a locale, if any fits.
    fn best_language<'a>(&self, locale: &str, approved: &[&'a str]) -> Option<&'a str>;

    /// Asks for the health of account and sender.
    fn reading(&self) -> HttpRequest;

    /// What the health is. `sender` is the sender's id in our configuration.
    ///
    /// # Errors
    /// [`AccountError`].
    fn reading_of(&self, answer: &HttpResponse, sender: u32) -> Result<Reading, AccountError>;

    /// Asks what the token may do.
    fn rights(&self) -> HttpRequest;

    /// What the token may do.
    ///
    /// # Errors
    /// [`AccountError`].
    fn rights_of(&self, answer: &HttpResponse) -> Result<Rights, AccountError>;

    /// Asks for a page of templates, of one name or all.
    fn templates(&self, name: Option<&str>, next: Option<&str>) -> HttpRequest;

    /// The page.
    ///
    /// # Errors
    /// [`AccountError`].
    fn templates_of(&self, answer: &HttpResponse) -> Result<TemplatePage, AccountError>;

    /// Every rule that a draft breaks; empty: it may be submitted. What the provider would reject is found here first.
    fn violations(&self, draft: &TemplateDraft) -> Vec<Violation>;

    /// Submits a draft in all its languages, creating what is not there and replacing what is. More than one request where
    /// the provider cannot take all at once (own texts of buttons); the answers are read one by one.
    fn submit(&self, draft: &TemplateDraft) -> Vec<HttpRequest>;

    /// What became of it. `languages` are those of the draft, in order: with one request per language the answer names none.
    ///
    /// # Errors
    /// [`AccountError`].
    fn submit_of(&self, answer: &HttpResponse, language: Option<&str>) -> Result<Vec<Submitted>, AccountError>;

    /// Deletes a template: in every language, or the one with this id.
    fn delete(&self, name: &str, id: Option<&str>) -> HttpRequest;

    /// Whether it was done.
    ///
    /// # Errors
    /// [`AccountError`].
    fn done_of(&self, answer: &HttpResponse) -> Result<(), AccountError>;

    /// Asks what people will see of a draft.
    fn preview(&self, draft: &TemplateDraft) -> HttpRequest;

    /// What people will see.
    ///
    /// # Errors
    /// [`AccountError`].
    fn preview_of(&self, answer: &HttpResponse) -> Result<Vec<Preview>, AccountError>;

    /// Asks where webhooks go.
    fn subscriptions(&self) -> HttpRequest;

    /// Where webhooks go.
    ///
    /// # Errors
    /// [`AccountError`].
    fn subscriptions_of(&self, answer: &HttpResponse) -> Result<Vec<Subscription>, AccountError>;

    /// Has webhooks go to `url`, or to the app's own address where there is none. Read with [`Self::done_of`].
    fn subscribe(&self, url: Option<&str>) -> HttpRequest;

    /// Asks where an app's own webhooks go.
    fn app_webhook(&self, app_id: &str) -> HttpRequest;

    /// Where they go; `None`: nowhere.
    ///
    /// # Errors
    /// [`AccountError`].
    fn app_webhook_of(&self, answer: &HttpResponse) -> Result<Option<AppWebhook>, AccountError>;

    /// Has an app's own webhooks go to `url`, with everything that is needed. Read with [`Self::done_of`].
    fn set_app_webhook(&self, app_id: &str, url: &str) -> HttpRequest;

    /// Switches the check of recipients' identities on or off. Read with [`Self::done_of`].
    fn check_identities(&self, on: bool) -> HttpRequest;
}
