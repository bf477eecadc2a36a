//! How does an operator run the templates of an account without opening its provider's pages? What a draft needs is
//! filled in, what its provider would reject is told first, and what came of it is durable before it is answered.

use std::sync::Arc;

use tapcode_core::account::{ButtonKind, Quality, Template, TemplateStatus};
use tapcode_core::audit::{By, Deed, Object};
use tapcode_core::plan::Channel;

use crate::accounts::AccountReadError;
use crate::contract::account::{AccountError, App, Preview, Submitted, TemplateDraft, Violation};
use crate::engine::{Engine, EngineError};
use crate::service::{Directory, Sender, Service, WAIT_MS_DEFAULT, WorkflowStep};

/// The least time that Meta can be told to try to deliver a message. Seconds:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/time-to-live> (read 2026-11-22).
pub const SEND_TTL_S_MIN: u64 = 30;
/// The longest. Seconds; the same source.
pub const SEND_TTL_S_MAX: u64 = 900;
/// How much longer than the wait for the fallback a message is tried. Seconds: what arrives in the same moment is no harm.
const BEYOND_THE_WAIT_S: u64 = 5;

/// Why nothing came of a request about templates.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The sender's provider has no templates: it is simulated, or speaks on another channel.
    #[error("the account's provider has no templates to manage")]
    NoTemplates,
    /// The provider would reject the draft.
    #[error("the provider would reject the template")]
    Violations(Vec<Violation>),
    /// There is no such template, by what the provider lists.
    #[error("the account has no such template")]
    Unknown,
    /// The provider said no, or nothing.
    #[error(transparent)]
    Provider(#[from] AccountError),
    /// It could not be made durable here. What was asked of the provider was done.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<AccountReadError> for TemplateError {
    fn from(error: AccountReadError) -> Self {
        match error {
            AccountReadError::NoAccount => Self::NoTemplates,
            AccountReadError::Account(error) => Self::Provider(error),
            AccountReadError::Engine(error) => Self::Engine(error),
        }
    }
}

/// What a draft says where its author says nothing: what fits the services whose messages go over the sender's account.
#[must_use]
pub fn default_draft(directory: &Directory, sender: &Sender, name: &str, button: ButtonKind) -> TemplateDraft {
    let services = directory.services_of(&sender.account());
    let languages = sender.provider.account_api().map_or_else(Vec::new, |api| {
        let configured = api.configured_languages();
        if configured.is_empty() {
            vec![api.default_language().to_owned()]
        } else {
            configured.to_vec()
        }
    });
    let ttl_ms = services.iter().map(|service| service.code_ttl_ms).min();
    let apps = if button == ButtonKind::CopyCode {
        Vec::new()
    } else {
        apps_of(&services)
    };
    TemplateDraft {
        name: name.to_owned(),
        languages,
        security_disclaimer: true,
        code_expiration_minutes: ttl_ms.and_then(|ms| i64::try_from(ms.div_ceil(60_000)).ok()),
        button,
        button_text: None,
        autofill_text: None,
        apps,
        zero_tap_terms_accepted: false,
        send_ttl_seconds: i64::try_from(send_ttl_s(&services, &directory.senders_of(&sender.account()))).ok(),
    }
}

fn apps_of(services: &[&Arc<Service>]) -> Vec<App> {
    let mut apps: Vec<App> = Vec::new();
    for app in services.iter().flat_map(|service| &service.apps) {
        if !apps.contains(app) {
            apps.push(app.clone());
        }
    }
    apps
}

/// Just above the longest wait for a fallback from the senders that share the template: nothing arrives after the SMS that
/// replaced it. Where nothing ever follows them, as long as the codes are good.
fn send_ttl_s(services: &[&Arc<Service>], senders: &[u32]) -> u64 {
    let of_countries = services
        .iter()
        .flat_map(|s| s.workflows.iter().map(|(_, steps)| (s.code_ttl_ms, steps)));
    let workflows = services.iter().map(|s| (s.code_ttl_ms, &s.workflow)).chain(of_countries);
    let is_theirs = |step: &WorkflowStep| step.channel == Channel::Whatsapp && step.sender.is_none_or(|id| senders.contains(&id));
    let (mut longest_wait_s, mut longest_code_s) = (None, None);
    for (code_ttl_ms, steps) in workflows {
        let last = steps.len().saturating_sub(1);
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| is_theirs(step)) {
            if at == last {
                longest_code_s = longest_code_s.max(Some(code_ttl_ms.div_ceil(1_000)));
            } else {
                let wait_ms = u64::from(step.wait_ms.unwrap_or(WAIT_MS_DEFAULT));
                longest_wait_s = longest_wait_s.max(Some(wait_ms.div_ceil(1_000) + BEYOND_THE_WAIT_S));
            }
        }
    }
    let seconds = longest_wait_s.or(longest_code_s).unwrap_or(SEND_TTL_S_MIN);
    seconds.clamp(SEND_TTL_S_MIN, SEND_TTL_S_MAX)
}

impl Engine {
    /// Creates a template, or replaces it, in all languages of a draft; returns it as it stands in each.
    ///
    /// # Errors
    /// [`TemplateError`]; [`TemplateError::Violations`] before anything was asked of the provider.
    pub async fn submit_template(&self, sender: &Sender, draft: &TemplateDraft, by: &By) -> Result<Vec<Template>, TemplateError> {
        let api = sender.provider.account_api().ok_or(TemplateError::NoTemplates)?;
        let violations = api.violations(draft);
        if !violations.is_empty() {
            return Err(TemplateError::Violations(violations));
        }
        let act = self.act(by, Deed::TemplateSubmitted, &template_of(sender, &draft.name));
        self.record_act(&act.with(&draft.languages.join(", ")))
            .await
            .map_err(EngineError::from)?;
        let requests = api.submit(draft);
        let one_each = requests.len() == draft.languages.len() && requests.len() > 1 || draft.languages.len() == 1;
        let _listing = self.inner.accounts.listing(sender).await;
        let (mut submitted, mut failed) = (Vec::new(), None);
        for (at, request) in requests.into_iter().enumerate() {
            let language = draft.languages.get(at).filter(|_| one_each).map(String::as_str);
            match self.ask(api, request, |api, answer| api.submit_of(answer, language)).await {
                Ok(some) => submitted.extend(some),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // What was made before one language failed was made, and is remembered.
        if let Some(error) = failed {
            if !submitted.is_empty() {
                self.remember_submitted(sender, draft, &submitted).await?;
            }
            return Err(error.into());
        }
        let mut templates = self.remember_submitted(sender, draft, &submitted).await?;
        templates.retain(|t| *t.name == *draft.name && draft.languages.iter().any(|l| **l == *t.language));
        Ok(templates)
    }

    /// Lists the templates anew. What was submitted a moment ago and is not on the list yet is remembered with it.
    async fn remember_submitted(
        &self,
        sender: &Sender,
        draft: &TemplateDraft,
        submitted: &[Submitted],
    ) -> Result<Vec<Template>, TemplateError> {
        let with_submitted = |templates: &mut Vec<Template>| {
            for one in submitted {
                let is_this = |t: &Template| *t.name == *draft.name && t.language == one.language;
                if !templates.iter().any(is_this) {
                    templates.push(made(draft, one));
                }
            }
        };
        Ok(self.keep_list(sender, with_submitted).await?)
    }

    /// Deletes a template, in one language or in all.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub async fn delete_template(
        &self,
        sender: &Sender,
        name: &str,
        language: Option<&str>,
        by: &By,
    ) -> Result<(), TemplateError> {
        let api = sender.provider.account_api().ok_or(TemplateError::NoTemplates)?;
        let _listing = self.inner.accounts.listing(sender).await;
        let listed = self.list_templates(sender).await?;
        let mut of_name = listed.iter().filter(|t| *t.name == *name);
        let found = of_name
            .find(|t| language.is_none_or(|l| *t.language == *l))
            .ok_or(TemplateError::Unknown)?;
        let act = self.act(by, Deed::TemplateDeleted, &template_of(sender, name));
        self.record_act(&act.with(language.unwrap_or("every language")))
            .await
            .map_err(EngineError::from)?;
        let request = api.delete(name, language.map(|_| &*found.id));
        self.ask(api, request, |api, answer| api.done_of(answer)).await?;
        // A list that still has it must not let it be sent until the next one.
        let without_it = |left: &mut Vec<Template>| {
            for template in left {
                if *template.name == *name && language.is_none_or(|l| *template.language == *l) {
                    template.status = TemplateStatus::PendingDeletion;
                }
            }
        };
        self.keep_list(sender, without_it).await?;
        Ok(())
    }

    /// What people will see of a draft.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub async fn preview_template(&self, sender: &Sender, draft: &TemplateDraft) -> Result<Vec<Preview>, TemplateError> {
        let api = sender.provider.account_api().ok_or(TemplateError::NoTemplates)?;
        let violations = api.violations(draft);
        if !violations.is_empty() {
            return Err(TemplateError::Violations(violations));
        }
        Ok(self
            .ask(api, api.preview(draft), |api, answer| api.preview_of(answer))
            .await?)
    }

    /// Lists the templates of an account anew, and remembers what the provider says of them.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub async fn sync_templates(&self, sender: &Sender) -> Result<Vec<Template>, TemplateError> {
        let _listing = self.inner.accounts.listing(sender).await;
        Ok(self.keep_list(sender, |_| {}).await?)
    }
}

fn template_of(sender: &Sender, name: &str) -> Object {
    Object::Template {
        account: sender.id,
        name: name.into(),
    }
}

/// A template that was submitted a moment ago.
fn made(draft: &TemplateDraft, submitted: &Submitted) -> Template {
    Template {
        name: draft.name.as_str().into(),
        language: submitted.language.clone(),
        id: submitted.id.clone(),
        status: submitted.status,
        reason: None,
        quality: Quality::Unknown,
        is_authentication: true,
        send_ttl_s: draft.send_ttl_seconds.and_then(|s| s.try_into().ok()),
        code_expiration_minutes: draft.code_expiration_minutes.and_then(|m| m.try_into().ok()),
        security_disclaimer: draft.security_disclaimer,
        button: Some(draft.button),
    }
}

#[cfg(test)]
mod tests {
    use tapcode_core::plan::IdentityChange;
    use tapcode_core::recipient::ServiceName;
    use tapcode_core::verification::Limits;

    use super::*;

    fn service(workflow: &[(Channel, Option<u32>, Option<u32>)]) -> Arc<Service> {
        let step = |&(channel, sender, wait_ms): &(Channel, Option<u32>, Option<u32>)| WorkflowStep {
            channel,
            sender,
            wait_ms,
        };
        Arc::new(Service {
            name: ServiceName::parse("acme").unwrap(),
            brand: "Acme".into(),
            default_locale: "en".into(),
            code_length: 6,
            code_ttl_ms: 300_000,
            limits: Limits::default(),
            own_codes: false,
            workflow: workflow.iter().map(step).collect(),
            workflows: Vec::new(),
            test_numbers: Vec::new(),
            identity_change: IdentityChange::default(),
            apps: Vec::new(),
            texts: Vec::new(),
        })
    }

    #[test]
    fn meta_tries_just_longer_than_the_longest_wait_for_what_comes_after_the_account() {
        use Channel::{Sms, Whatsapp};
        let last = (Sms, Some(42), None);
        for (workflow, seconds) in [
            // The least that Meta takes.
            (vec![(Whatsapp, Some(1), Some(10_000)), last], 30),
            (vec![(Whatsapp, Some(1), Some(25_001)), last], 31),
            (vec![(Whatsapp, None, Some(60_000)), last], 65),
            // Another sender of the same account shares its templates, and one of another account does not.
            (vec![(Whatsapp, Some(2), Some(60_000)), last], 65),
            (vec![(Whatsapp, Some(3), Some(60_000)), last], 30),
            // Nothing comes after the last step: its message is of use for as long as its code is.
            (vec![(Sms, Some(42), Some(60_000)), (Whatsapp, Some(1), Some(60_000))], 300),
            (vec![(Whatsapp, Some(1), None)], 300),
            (
                vec![(Whatsapp, Some(1), Some(600_000)), (Whatsapp, Some(1), Some(1)), last],
                605,
            ),
        ] {
            assert_eq!(send_ttl_s(&[&service(&workflow)], &[1, 2]), seconds, "{workflow:?}");
        }
        let short = service(&[(Whatsapp, Some(1), Some(40_000)), last]);
        let long = service(&[(Whatsapp, Some(1), Some(50_000)), last]);
        assert_eq!(send_ttl_s(&[&short, &long], &[1]), 55);
        assert_eq!(send_ttl_s(&[], &[1]), 30);
    }
}
