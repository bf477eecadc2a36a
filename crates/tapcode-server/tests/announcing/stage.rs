//! What do the stories about webhooks run in? One server on simulated phones, and callers' machines that it posts to.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tapcode_core::plan::{Channel, IdentityChange};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::verification::Limits;
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::store::{Right, Store};
use tapcode_engine::egress::{Egress, Outside};
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::service::{Directory, Provider, Sender, Service, WorkflowStep};
use tapcode_providers::sandbox::Sandbox;
use tapcode_server::App;
use tapcode_server::api::webhook_endpoints::Feed;
use tapcode_store::memory::MemoryStore;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::leaping::Leaping;

pub const ENDPOINTS: &str = "/api/v1/webhook-endpoints";
/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub engine: Engine,
    pub clock: Arc<Leaping>,
    store: Arc<MemoryStore>,
    router: Router,
    pub live: String,
    pub admin: String,
    outside: Outside,
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(Outside::Anywhere).await
    }

    pub async fn with(outside: Outside) -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(Leaping::default()));
        let engine = engine(&store, &clock, outside);
        let mut stage = Self {
            router: router(&engine),
            engine,
            clock,
            store,
            live: String::new(),
            admin: String::new(),
            outside,
        };
        stage.live = stage.key(Some("acme"), &[Right::Verify, Right::Read]).await;
        stage.admin = stage.key(None, &[Right::Admin]).await;
        stage
    }

    /// Another process on the same store.
    pub fn another(&self) -> Self {
        let engine = engine(&self.store, &self.clock, self.outside);
        Self {
            router: router(&engine),
            engine,
            clock: Arc::clone(&self.clock),
            store: Arc::clone(&self.store),
            live: self.live.clone(),
            admin: self.admin.clone(),
            outside: self.outside,
        }
    }

    pub async fn key(&self, service: Option<&str>, rights: &[Right]) -> String {
        let service = service.and_then(ServiceName::parse);
        let new = self.engine.new_key(service, Mode::Live, rights.to_vec(), "test");
        self.store.commit_key(&new.kept.clone().into()).await.unwrap();
        new.text
    }

    pub async fn ask(&self, key: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {key}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(&self.admin, Method::POST, path, Some(body)).await;
        assert!((200..300).contains(&status), "{status} {answer}");
        answer
    }

    pub async fn get(&self, key: &str, path: &str) -> Value {
        let (status, answer) = self.ask(key, Method::GET, path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// An endpoint of a service, as it was answered.
    pub async fn endpoint(&self, at: &Reader) -> Value {
        self.post(ENDPOINTS, &json!({ "url": at.url(), "service": "acme" })).await
    }

    /// Begins a verification and checks it wrongly; its id.
    pub async fn something_happens(&self, n: u32) -> String {
        let body = json!({ "to": format!("+3161139{n:04}"), "metadata": { "n": n.to_string() } });
        let (status, begun) = self.ask(&self.live, Method::POST, "/api/v1/verifications", Some(&body)).await;
        assert_eq!(status, 201, "{begun}");
        begun["id"].as_str().unwrap().to_owned()
    }

    /// What the feed has, oldest first.
    pub async fn feed(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&self.live, &format!("/api/v1/events?limit=100{after}")).await;
            let events = page["data"].as_array().unwrap().clone();
            if events.is_empty() {
                return all;
            }
            all.extend(events);
            after = format!("&after={}", page["next_cursor"].as_str().unwrap());
        }
    }

    /// The ids of the feed behind so many events, once so many messages have arrived there.
    pub async fn settled(&self, behind: usize, arrived: usize) -> BTreeSet<String> {
        let settled = async {
            loop {
                let feed = self.feed().await.split_off(behind);
                if feed.iter().filter(|event| event["type"] == "message.delivered").count() >= arrived {
                    return feed.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("never arrived")
    }

    /// What a reader heard, once it was told all of that.
    pub async fn told(&self, reader: &Reader, behind: usize, arrived: usize) -> Vec<Heard> {
        let ids = self.settled(behind, arrived).await;
        reader.until(|heard| Reader::ids(heard).is_superset(&ids)).await
    }

    /// An endpoint as soon as it is so.
    pub async fn known(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let all = self.get(&self.admin, ENDPOINTS).await;
                let found = all["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|e| e["id"] == id)
                    .unwrap()
                    .clone();
                if is_so(&found) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("never so")
    }
}

fn engine(store: &Arc<MemoryStore>, clock: &Arc<Leaping>, outside: Outside) -> Engine {
    let sandbox = Sandbox::new("Acme", &[], Arc::new(SystemClock));
    let sender = |channel, id| Sender::new(channel, id, Provider::Session(Arc::new(sandbox.sender(channel, "Acme"))));
    let step = WorkflowStep {
        channel: Channel::Sms,
        sender: Some(42),
        wait_ms: None,
    };
    let service = |name: &str| Service {
        name: ServiceName::parse(name).unwrap(),
        brand: "Acme".into(),
        default_locale: "en".into(),
        code_length: 6,
        code_ttl_ms: 300_000,
        limits: Limits::default(),
        own_codes: false,
        workflow: vec![step.clone()],
        workflows: Vec::new(),
        test_numbers: Vec::new(),
        identity_change: IdentityChange::default(),
        apps: Vec::new(),
        texts: Vec::new(),
    };
    let engine = Engine::new(Parts {
        store: Arc::clone(store) as Arc<dyn Store>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        entropy: Arc::new(OsEntropy::new()),
        keyring: Keyring::new(&[7; 32]),
        egress: Egress::with(outside).unwrap(),
        directory: Directory::new(vec![service("acme"), service("other")], vec![sender(Channel::Sms, 42)]),
        rates: RateCards::default(),
        history_ms: 86_400_000,
        acts_ms: 86_400_000,
        traces: None,
    });
    engine.start();
    engine.start_announcing(Arc::new(Feed(engine.clone())));
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

/// What a caller's machine was told.
#[derive(Clone)]
pub struct Heard {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A caller's machine, which answers as it is told to.
pub struct Reader {
    address: SocketAddr,
    state: Arc<ReaderState>,
    task: JoinHandle<()>,
}

/// A status, and headers.
type Scripted = (u16, Vec<(&'static str, String)>);

struct ReaderState {
    heard: watch::Sender<Vec<Heard>>,
    /// The next answers.
    answers: Mutex<VecDeque<Scripted>>,
    /// The answer behind them; `None`: 204.
    always: Mutex<Option<u16>>,
    /// Whether there is no answer at all.
    hangs: Mutex<bool>,
}

impl Reader {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(ReaderState {
            heard: watch::Sender::new(Vec::new()),
            answers: Mutex::default(),
            always: Mutex::default(),
            hangs: Mutex::default(),
        });
        let app = Router::new().fallback(hear).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, state, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Answers the next ones like this.
    pub fn answers(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.state.answers.lock().unwrap().push_back((status, headers));
    }

    /// Answers all from now on like this.
    pub fn always(&self, status: Option<u16>) {
        *self.state.always.lock().unwrap() = status;
    }

    /// Answers nothing from now on.
    pub fn hangs(&self) {
        *self.state.hangs.lock().unwrap() = true;
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.state.heard.borrow().clone()
    }

    /// What it heard, as soon as it is so.
    pub async fn until(&self, is_so: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let mut heard = self.state.heard.subscribe();
        let seen = heard.wait_for(|heard| is_so(heard));
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.expect("never heard so").unwrap().clone()
    }

    /// The ids that it took.
    pub fn ids(heard: &[Heard]) -> BTreeSet<String> {
        heard.iter().map(|one| one.header("webhook-id").to_owned()).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hear(State(state): State<Arc<ReaderState>>, request: Request<Body>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    state.heard.send_modify(|heard| {
        heard.push(Heard {
            headers: parts.headers,
            body,
        });
    });
    if *state.hangs.lock().unwrap() {
        std::future::pending::<()>().await;
    }
    let next = state.answers.lock().unwrap().pop_front();
    let always = *state.always.lock().unwrap();
    let (status, headers) = next.unwrap_or((always.unwrap_or(204), Vec::new()));
    let mut answer = http::Response::new(Body::empty());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
