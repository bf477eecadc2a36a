//! What do the stories about accounts run in? One server without sockets, Meta on a socket, SMS on simulated phones.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, IdentityChange};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::verification::Limits;
use tapcode_engine::accounts::AccountView;
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::account::App as Android;
use tapcode_engine::contract::store::{Right, Store};
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::service::{Directory, Provider, Sender, Service, WorkflowStep};
use tapcode_providers::sandbox::Sandbox;
use tapcode_providers::secret::Secret;
use tapcode_providers::whatsapp_cloud::{WhatsappCloud, WhatsappCloudConfig};
use tapcode_server::App;
use tapcode_store::memory::MemoryStore;
use tower::ServiceExt;

use crate::leaping::Leaping;
use crate::meta::{Meta, PHONE, SECRET, TOKEN, WABA, messages};

pub const NUMBER: &str = "+31611398058";
pub const TEMPLATES: &str = "/api/v1/whatsapp/templates";
pub const ACCOUNTS: &str = "/api/v1/whatsapp/accounts";
/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub meta: Meta,
    pub engine: Engine,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<Leaping>,
    router: Router,
    pub admin: String,
    /// Of the service that uses the account; may do everything but administer.
    pub live: String,
    /// Of a service that sends SMS only.
    pub other: String,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub replayed: bool,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Value {
        let json = self.expect(status);
        assert_eq!(json["code"], code, "{json}");
        json
    }
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(|_| {}).await
    }

    /// With Meta as it stands before the server starts.
    pub async fn with(before: impl FnOnce(&Meta)) -> Self {
        let meta = Meta::start().await;
        before(&meta);
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(Leaping::default());
        let engine = engine(&store, &meta, &clock).await;
        let router = router(&engine);
        let mut stage = Self {
            meta,
            engine,
            store,
            clock,
            router,
            admin: String::new(),
            live: String::new(),
            other: String::new(),
        };
        let all = [Right::Verify, Right::Messages, Right::Read];
        stage.admin = stage.key(None, &[Right::Admin]).await;
        stage.live = stage.key(Some("acme"), &all).await;
        stage.other = stage.key(Some("texts"), &all).await;
        // The server reads the account by itself when it starts; once this is answered, that has ended, and the next is far.
        let read = stage.meta.until_asked(&Method::GET, "/message_templates", 1);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the account is read when the server starts");
        stage.refreshed().await;
        stage
    }

    /// Ends the server and starts another one on the same store.
    pub async fn restart(&mut self) {
        self.engine.stop().await;
        self.engine = engine(&self.store, &self.meta, &self.clock).await;
        self.router = router(&self.engine);
    }

    pub async fn key(&self, service: Option<&str>, rights: &[Right]) -> String {
        let service = service.and_then(ServiceName::parse);
        let new = self.engine.new_key(service, Mode::Live, rights.to_vec(), "test");
        self.store.commit_key(&new.kept.clone().into()).await.unwrap();
        new.text
    }

    pub async fn ask(&self, key: &str, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let response = self.send(request.body(Body::from(body)).unwrap()).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
            replayed: parts.headers.contains_key("idempotency-replayed"),
        }
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.ask(key, Method::POST, path, Some(body), &[]).await
    }

    pub async fn delete(&self, key: &str, path: &str) -> Answer {
        self.ask(key, Method::DELETE, path, None, &[]).await
    }

    /// Meta calls; returns the status it is answered with.
    pub async fn hook(&self, body: Vec<u8>) -> u16 {
        let signature = self.meta.signed(&body);
        self.hook_signed(body, Some(&signature)).await
    }

    /// Somebody calls as Meta would.
    pub async fn hook_signed(&self, body: Vec<u8>, signature: Option<&str>) -> u16 {
        let mut request = Request::post("/hooks/whatsapp/1");
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        self.send(request.body(Body::from(body)).unwrap()).await.status().as_u16()
    }

    pub async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn refreshed(&self) -> Value {
        let path = format!("{ACCOUNTS}/1/refresh");
        self.post(&self.admin, &path, &json!({})).await.expect(200)
    }

    /// The account as a key sees it.
    pub async fn account(&self, key: &str) -> Value {
        let list = self.get(key, ACCOUNTS).await.expect(200);
        let all = list["data"].as_array().unwrap();
        all.iter().find(|a| a["id"] == 1).unwrap().clone()
    }

    /// Events of these types that a key sees, oldest first.
    pub async fn events(&self, key: &str, types: &str) -> Vec<Value> {
        let page = self
            .get(key, &format!("/api/v1/events?limit=100&types={types}"))
            .await
            .expect(200);
        page["data"].as_array().unwrap().clone()
    }

    /// Events of these types, as soon as there are so many.
    pub async fn until(&self, key: &str, types: &str, count: usize) -> Vec<Value> {
        let mut grew = self.engine.log_grew();
        let looking = async {
            loop {
                grew.borrow_and_update();
                let events = self.events(key, types).await;
                if events.len() >= count {
                    return events;
                }
                grew.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(events) => events,
            Err(_) => panic!("never {count} of {types}: {:#?}", self.events(key, types).await),
        }
    }

    /// The sender of the account.
    pub fn sender(&self) -> Arc<Sender> {
        Arc::clone(self.engine.directory().sender(Channel::Whatsapp, 1).unwrap())
    }

    /// What the server knows of the account, as soon as it is so.
    pub async fn known(&self, is_so: impl Fn(&AccountView) -> bool) -> AccountView {
        known(&self.engine, is_so).await
    }

    /// Meta tells what became of the message that it took so many messages after the first one.
    pub async fn told(&self, nth: usize, mut status: Value) {
        self.meta.until_sent(nth + 1).await;
        let (reference, wamid) = self.meta.sent().swap_remove(nth);
        status["id"] = json!(wamid);
        status["biz_opaque_callback_data"] = json!(reference);
        status["timestamp"] = json!((self.clock.now().as_millis() / 1_000).to_string());
        assert_eq!(self.hook(messages(&json!({ "statuses": [status] }))).await, 200);
    }

    /// Begins a verification; returns its id.
    pub async fn begun(&self, number: &str) -> String {
        let body = json!({ "to": number });
        let begun = self.post(&self.live, "/api/v1/verifications", &body).await.expect(201);
        begun["id"].as_str().unwrap().to_owned()
    }

    /// A plain message in the template.
    pub async fn plain(&self, language: &str) -> Answer {
        let text = json!([{ "type": "text", "text": "482913" }]);
        let body = json!({ "account_id": 1, "to": NUMBER, "type": "template",
            "template": { "name": "login_otp", "language": { "code": language }, "components": [
                { "type": "body", "parameters": text },
                { "type": "button", "sub_type": "url", "index": 0, "parameters": text } ] } });
        self.post(&self.live, "/api/v1/whatsapp/messages", &body).await
    }
}

pub async fn known(engine: &Engine, is_so: impl Fn(&AccountView) -> bool) -> AccountView {
    let sender = Arc::clone(engine.directory().sender(Channel::Whatsapp, 1).unwrap());
    let looking = async {
        loop {
            let view = engine.account(&sender);
            if is_so(&view) {
                return view;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(view) => view,
        Err(_) => panic!("never so: {:#?}", engine.account(&sender)),
    }
}

pub async fn engine(store: &Arc<MemoryStore>, meta: &Meta, clock: &Arc<Leaping>) -> Engine {
    let engine = Engine::new(Parts {
        store: Arc::clone(store) as Arc<dyn Store>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        entropy: Arc::new(OsEntropy::new()),
        keyring: Keyring::new(&[7; 32]),
        egress: Egress::new().unwrap(),
        directory: directory(meta),
        rates: RateCards::built_in(),
        history_ms: 86_400_000,
        acts_ms: 86_400_000,
        traces: None,
    });
    engine.load_accounts().await;
    engine.start();
    engine
}

fn router(engine: &Engine) -> Router {
    tapcode_server::router(App {
        engine: engine.clone(),
        public_url: "https://otp.example.com".into(),
        console: None,
        metrics: Arc::new(String::new),
        dev: false,
        version: "test",
    })
}

fn directory(meta: &Meta) -> Directory {
    let cloud = WhatsappCloud::new(WhatsappCloudConfig {
        base_url: meta.base_url(),
        api_version: "v25.0".to_owned(),
        waba_id: WABA.to_owned(),
        phone_number_id: PHONE.to_owned(),
        access_token: Secret::new(TOKEN.to_owned()),
        app_secret: Secret::new(SECRET.to_owned()),
        verify_token: Secret::new("a word".to_owned()),
        template: "login_otp".to_owned(),
        template_languages: Vec::new(),
        default_language: Some("en".to_owned()),
        appsecret_proof: false,
        identity_check: true,
    });
    let sandbox = Sandbox::new("Acme", &[Number::parse(NUMBER).unwrap()], Arc::new(SystemClock));
    let simulated = |channel, id| Sender::new(channel, id, Provider::Session(Arc::new(sandbox.sender(channel, "Acme"))));
    let senders = vec![
        Sender {
            template: Some("login_otp".into()),
            ..Sender::new(Channel::Whatsapp, 1, Provider::Http(Arc::new(cloud.unwrap())))
        },
        simulated(Channel::Whatsapp, 2),
        simulated(Channel::Sms, 42),
    ];
    let step = |channel, sender, wait_ms| WorkflowStep {
        channel,
        sender: Some(sender),
        wait_ms: Some(wait_ms),
    };
    let service = |name: &str, code_ttl_ms, workflow| Service {
        name: ServiceName::parse(name).unwrap(),
        brand: "Acme".into(),
        default_locale: "en".into(),
        code_length: 6,
        code_ttl_ms,
        limits: Limits::default(),
        own_codes: false,
        workflow,
        workflows: Vec::new(),
        test_numbers: Vec::new(),
        identity_change: IdentityChange::default(),
        apps: vec![Android {
            package_name: format!("com.example.{name}").into(),
            signature_hash: "K8a/AINcGX7".into(),
        }],
        texts: Vec::new(),
    };
    // The last step's wait is for nothing, and what does not go over the account has nothing to say about its templates.
    let services = vec![
        service(
            "acme",
            270_000,
            vec![step(Channel::Whatsapp, 1, 60_000), step(Channel::Sms, 42, 500_000)],
        ),
        service("texts", 60_000, vec![step(Channel::Sms, 42, 400_000)]),
    ];
    Directory::new(services, senders)
}
