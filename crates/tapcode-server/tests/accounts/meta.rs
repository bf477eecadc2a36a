//! Meta as the stories about accounts speak of it: the stand-in, whose reviewers wait and whose webhooks the stories carry.

use http::Method;
use serde_json::{Value, json};
use tapcode_simulator::CloudApi;
use tapcode_simulator::cloud_api::{CloudApiConfig, HeldAnswers, Question, Review, Script, TemplateState};

use crate::stage::PATIENCE;

pub const WABA: &str = "102290129340398";
pub const PHONE: &str = "106540352242922";
pub const SECRET: &str = "stand-in-app-secret";
pub const TOKEN: &str = "EAAJB-stand-in-token";

pub struct Meta(CloudApi);

impl Meta {
    pub async fn start() -> Self {
        let config = CloudApiConfig {
            phone_number_id: PHONE.to_owned(),
            waba_id: WABA.to_owned(),
            access_token: TOKEN.to_owned(),
            app_secret: SECRET.to_owned(),
            templates: Vec::new(),
            review: Review::Waits,
            redelivery: Vec::new(),
            ..CloudApiConfig::default()
        };
        let meta = Self(CloudApi::start(config).await.unwrap());
        meta.limit("TIER_2K");
        meta
    }

    pub fn base_url(&self) -> String {
        self.0.base_url()
    }

    /// The token that was good is not any more.
    pub fn expire_token(&self) {
        self.0.set_access_token("another");
    }

    /// What happens to every message from now on.
    pub fn script(&self, script: Script) {
        self.0.default_script(script);
    }

    /// Answers the next request about templates like this.
    pub fn answer_next(&self, status: u16, body: impl AsRef<str>) {
        self.0.answer_once("template", status, body.as_ref());
    }

    /// Holds back the answers to questions whose path contains a text, until what this returns is dropped.
    pub fn hold(&self, path_part: &str) -> HeldAnswers {
        self.0.hold_answers(path_part)
    }

    /// Lists nothing that it has.
    pub fn hide(&self, hidden: bool) {
        self.0.hide_templates(hidden);
    }

    pub fn limit(&self, tier: &str) {
        self.0.change_number(|number| number.messaging_limit = tier.to_owned());
    }

    /// Has a template, as if it had been made on Meta's own pages.
    pub fn has(&self, name: &str, language: &str, status: TemplateState) {
        self.0.template(name, language, status);
    }

    /// Its reviewers decide: returns the webhook that tells it.
    pub async fn decide(&self, name: &str, language: &str, status: TemplateState) -> Vec<u8> {
        self.0.decide(name, language, status).await;
        let told = self.0.webhooks().pop().expect("a decision is told");
        told.body.to_vec()
    }

    pub fn asked(&self, method: &Method, part: &str) -> Vec<Question> {
        let mut asked = self.0.questions();
        asked.retain(|q| q.method == method.as_str() && q.path.contains(part));
        asked
    }

    /// Returns once it was asked so, and then so often in all.
    pub async fn until_asked(&self, method: &Method, part: &str, count: usize) {
        self.0.wait_for_questions(method.as_str(), part, count, PATIENCE).await;
    }

    /// The sends that were taken: the reference and the id of each.
    pub fn sent(&self) -> Vec<(String, String)> {
        let sent = self.0.messages().into_iter();
        sent.map(|m| {
            let wamid = m.wamid().unwrap().to_owned();
            (m.biz_opaque_callback_data.unwrap_or_default(), wamid)
        })
        .collect()
    }

    /// Returns once it took so many sends.
    pub async fn until_sent(&self, count: usize) {
        self.0.wait_for_messages(count, PATIENCE).await;
    }

    /// The value of the signature's header.
    pub fn signed(&self, body: &[u8]) -> String {
        self.0.sign(body)
    }
}

/// A webhook about messages.
pub fn messages(about: &Value) -> Vec<u8> {
    let mut value = json!({ "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": PHONE } });
    for (key, items) in about.as_object().unwrap() {
        value[key] = items.clone();
    }
    json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": WABA, "time": 1_739_321_024, "changes": [{ "field": "messages", "value": value }] }] })
    .to_string()
    .into_bytes()
}
