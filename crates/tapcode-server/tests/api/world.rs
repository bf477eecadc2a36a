//! What do the stories run in? One server without sockets, on tokio's clock, with keys of every kind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tapcode_core::code::Code;
use tapcode_core::id::VerificationId;
use tapcode_core::number::{Country, Number};
use tapcode_core::plan::{Channel, IdentityChange};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::text::OwnText;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Limits;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::store::{Right, Store, Subject, SubjectId};
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::Entropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::service::{Directory, Provider, Sender, Service, WorkflowStep};
use tapcode_engine::sms_prices::{self, PriceList};
use tapcode_providers::sandbox::Sandbox;
use tapcode_server::App;
use tapcode_store::memory::MemoryStore;
use tower::ServiceExt;

/// 2026-11-23T09:00:00Z.
pub const START: i64 = 1_795_424_400_000;
pub const NUMBER: &str = "+31611398058";

/// Tokio's time as the engine's clock: it moves by hand, or when nobody has anything to do.
#[derive(Debug)]
struct StoryClock {
    began: tokio::time::Instant,
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START).plus_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    fn sleep<'a, 'b>(&'a self, millis: u64) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let _ = tokio::time::timeout(Duration::from_millis(millis), std::future::pending::<()>()).await;
        })
    }
}

/// The same bytes in every run: SplitMix64 over a counter.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..chunk.len()]);
        }
    }
}

pub struct World {
    pub engine: Engine,
    pub store: Arc<dyn Store>,
    pub sandbox: Arc<Sandbox>,
    pub router: Router,
    /// May do everything but administer.
    pub live: String,
    pub test: String,
    /// Of another service.
    pub other: String,
    pub admin: String,
    /// May verify and nothing else: sees masked numbers.
    pub verifier: String,
    pub reader: String,
    /// Makes `/metrics` panic.
    pub broken: Arc<AtomicBool>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The code of a problem, having checked that it is a whole one.
    pub fn problem(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json["status"], self.status.as_u16(), "{json}");
        assert_eq!(json["request_id"], self.header("x-request-id"), "{json}");
        let code = json["code"].as_str().unwrap().to_owned();
        assert_eq!(json["type"], format!("/docs/problems#{code}"));
        code
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), &*self.problem()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self.json()
    }
}

fn service(name: &str, own_codes: bool) -> Service {
    let step = |channel, sender, wait_ms| WorkflowStep {
        channel,
        sender: Some(sender),
        wait_ms,
    };
    Service {
        name: ServiceName::parse(name).unwrap(),
        brand: "Acme".into(),
        default_locale: "en".into(),
        code_length: 6,
        code_ttl_ms: 300_000,
        limits: Limits::default(),
        own_codes,
        workflow: vec![step(Channel::Whatsapp, 1, Some(10_000)), step(Channel::Sms, 42, None)],
        workflows: Vec::new(),
        test_numbers: vec![(Number::parse("+31611398059").unwrap(), Code::own("000000").unwrap())],
        identity_change: IdentityChange::default(),
        apps: Vec::new(),
        texts: vec![OwnText::parse("cy", "Cod {brand}: {code}", "Acme", 6, false).unwrap()],
    }
}

/// What text messages to Germany cost from number 42.
fn prices() -> PriceList {
    let table = "provider,country,network,price,currency\nsandbox,DE,,0.0605,EUR\nsandbox,DE,26203,0.0700,EUR\n";
    let prices = sms_prices::import(table.as_bytes(), &["sandbox"]).unwrap();
    prices.of("sandbox").unwrap().clone()
}

impl World {
    pub async fn begin() -> Self {
        Self::begin_on(Arc::new(MemoryStore::new())).await
    }

    pub async fn begin_on(store: Arc<dyn Store>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(StoryClock {
            began: tokio::time::Instant::now(),
        });
        let sandbox = Sandbox::new("Acme", &[Number::parse(NUMBER).unwrap()], Arc::clone(&clock));
        let sender = |channel, id| {
            let provider = sandbox.sender(channel, "+3197010253000");
            Sender::new(channel, id, Provider::Session(Arc::new(provider)))
        };
        let senders = vec![
            Sender {
                template: Some("login_otp".into()),
                ..sender(Channel::Whatsapp, 1)
            },
            Sender {
                number: Some("+3197010253000".into()),
                codes_only: true,
                prices: Some(Arc::new(prices())),
                ..sender(Channel::Sms, 42)
            },
            Sender {
                number: Some("+3197010253001".into()),
                ..sender(Channel::Sms, 43)
            },
            Sender {
                number: Some("Acme".into()),
                ..sender(Channel::Sms, 44)
            },
            Sender {
                number: Some("+14155550100".into()),
                countries: Some(vec![Country::parse("US").unwrap(), Country::parse("CA").unwrap()]),
                registered_in: vec![Country::parse("US").unwrap()],
                ..sender(Channel::Sms, 45)
            },
            sender(Channel::Whatsapp, 0),
            sender(Channel::Sms, 0),
        ];
        let engine = Engine::new(Parts {
            store: Arc::clone(&store),
            clock,
            entropy: Arc::new(Counted::default()),
            keyring: Keyring::new(&[7; 32]),
            egress: Egress::new().unwrap(),
            directory: Directory::new(vec![service("acme", false), service("own", true)], senders)
                .keeping([(ServiceName::parse("own").unwrap(), 2 * 86_400_000)]),
            rates: RateCards::default(),
            history_ms: 86_400_000,
            acts_ms: 86_400_000,
            traces: None,
        });
        engine.start();
        let broken = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&broken);
        let app = App {
            engine: engine.clone(),
            public_url: "https://otp.example.com".into(),
            console: None,
            metrics: Arc::new(move || {
                assert!(!breaks.load(Ordering::SeqCst), "a planted panic");
                "tapcode_up 1\n".into()
            }),
            dev: true,
            version: "0.0.0",
        };
        let mut world = Self {
            router: tapcode_server::router(app),
            engine,
            store,
            sandbox,
            live: String::new(),
            test: String::new(),
            other: String::new(),
            admin: String::new(),
            verifier: String::new(),
            reader: String::new(),
            broken,
        };
        let all = [Right::Verify, Right::Messages, Right::Read];
        world.live = world.key(Some("acme"), Mode::Live, &all).await;
        world.test = world.key(Some("acme"), Mode::Test, &all).await;
        world.other = world.key(Some("own"), Mode::Live, &all).await;
        world.admin = world.key(None, Mode::Live, &[Right::Admin]).await;
        world.verifier = world.key(Some("acme"), Mode::Live, &[Right::Verify]).await;
        world.reader = world.key(Some("acme"), Mode::Live, &[Right::Read]).await;
        world
    }

    pub async fn key(&self, service: Option<&str>, mode: Mode, rights: &[Right]) -> String {
        let new = self
            .engine
            .new_key(service.and_then(ServiceName::parse), mode, rights.to_vec(), "test");
        self.store.commit_key(&new.kept.clone().into()).await.unwrap();
        new.text
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub async fn ask(&self, key: &str, method: Method, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Answer {
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
        self.send(request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap())
            .await
    }

    pub async fn post(&self, key: &str, path: &str, body: &str) -> Answer {
        self.ask(key, Method::POST, path, Some(body), &[]).await
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, Method::GET, path, None, &[]).await
    }

    /// The status alone, of an answer that may not end.
    pub async fn get_head(&self, key: &str, path: &str) -> (u16, HeaderMap) {
        let request = Request::builder().uri(path).header("authorization", format!("Bearer {key}"));
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    /// Begins a verification for [`NUMBER`] with the live key; returns its id and code.
    pub async fn begun(&self) -> (String, String) {
        let begun = self
            .post(&self.live, "/api/v1/verifications", &format!(r#"{{"to":"{NUMBER}"}}"#))
            .await
            .expect(201);
        let id = begun["id"].as_str().unwrap().to_owned();
        let code = self.code(&id).await;
        (id, code)
    }

    pub async fn code(&self, id: &str) -> String {
        let id = SubjectId::Verification(VerificationId::parse(id).unwrap());
        let Subject::Verification(verification) = self.store.snapshot(id).await.unwrap().unwrap().subject else {
            panic!("no verification")
        };
        self.engine.keyring().code(&verification).unwrap().expose().to_owned()
    }

    /// Lets time pass.
    pub async fn pass(&self, millis: u64) {
        let _ = tokio::time::timeout(Duration::from_millis(millis), std::future::pending::<()>()).await;
    }

    /// Entries of the log so far: what was decided, whatever was answered.
    pub async fn log_length(&self) -> usize {
        self.store.lines(None, 10_000).await.unwrap().len()
    }
}

/// A wrong code.
pub fn wrong(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

/// JSON with each id named by kind and order of appearance, for snapshots.
pub fn named(json: &Value) -> String {
    let text = serde_json::to_string_pretty(json).unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = &*text;
    while let Some(at) = ["vrf_", "msg_", "evt_", "req_"].iter().filter_map(|p| rest.find(p)).min() {
        out.push_str(&rest[..at]);
        let id: String = rest[at..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let n = seen.iter().position(|s| *s == id).unwrap_or_else(|| {
            seen.push(id.clone());
            seen.len() - 1
        });
        out.push_str(&format!("{}{}", &id[..4], n + 1));
        rest = &rest[at + id.len()..];
    }
    out.push_str(rest);
    out
}
