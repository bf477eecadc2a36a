//! Does the server side of the phone page show what went by the sandbox, and nothing and nobody else?

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tapcode_core::account::{AccountInput, News};
use tapcode_core::id::KeyId;
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, IdentityChange};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::verification::{Limits, Purpose};
use tapcode_engine::access::Caller;
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::phones::Phones;
use tapcode_engine::contract::store::{Right, Subject};
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::requests::{BeginRequest, Done};
use tapcode_engine::service::{Directory, Provider, SANDBOX_SENDER, Sender, Service, WorkflowStep};
use tapcode_providers::sandbox::Sandbox;
use tapcode_providers::secret::Secret;
use tapcode_providers::whatsapp_cloud::{WhatsappCloud, WhatsappCloudConfig};
use tapcode_server::App;
use tapcode_server::console::{Console, STREAMS_MAX};
use tapcode_store::memory::MemoryStore;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);
const FIRST: &str = "+14155550123";
/// Shown with the same mask as the first.
const ALIKE: &str = "+14155660123";
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

struct Stage {
    origin: String,
    engine: Engine,
    phones: Arc<Sandbox>,
    client: Client,
    _serving: JoinSet<()>,
}

impl Stage {
    async fn set() -> Self {
        Self::with_console(true).await
    }

    async fn with_console(enabled: bool) -> Self {
        let sandbox = Sandbox::new("Acme", &[Number::parse(FIRST).unwrap()], Arc::new(SystemClock));
        let simulated = |channel, id| Sender::new(channel, id, Provider::Session(Arc::new(sandbox.sender(channel, "Acme"))));
        // A real provider that nobody answers for: whoever is begun on it is none of the page's business.
        let real = WhatsappCloud::new(WhatsappCloudConfig {
            base_url: "http://127.0.0.1:1".to_owned(),
            api_version: "v25.0".to_owned(),
            waba_id: "1".to_owned(),
            phone_number_id: "2".to_owned(),
            access_token: Secret::new("token".to_owned()),
            app_secret: Secret::new("secret".to_owned()),
            verify_token: Secret::new("word".to_owned()),
            template: "login_otp".to_owned(),
            template_languages: Vec::new(),
            default_language: None,
            appsecret_proof: false,
            identity_check: false,
        });
        let senders = vec![
            simulated(Channel::Whatsapp, SANDBOX_SENDER),
            simulated(Channel::Sms, SANDBOX_SENDER),
            simulated(Channel::Whatsapp, 1),
            simulated(Channel::Sms, 1),
            Sender::new(Channel::Whatsapp, 9, Provider::Http(Arc::new(real.unwrap()))),
        ];
        let step = |channel, sender| WorkflowStep {
            channel,
            sender: Some(sender),
            wait_ms: Some(600_000),
        };
        let service = |name: &str, workflow| Service {
            name: ServiceName::parse(name).unwrap(),
            brand: "Acme & <b>Sons</b>".into(),
            default_locale: "en".into(),
            code_length: 6,
            code_ttl_ms: 300_000,
            limits: Limits::default(),
            own_codes: false,
            workflow,
            workflows: Vec::new(),
            test_numbers: Vec::new(),
            identity_change: IdentityChange::default(),
            apps: Vec::new(),
            texts: Vec::new(),
        };
        let services = vec![
            service("dev", vec![step(Channel::Whatsapp, 1), step(Channel::Sms, 1)]),
            service("real", vec![step(Channel::Whatsapp, 9)]),
        ];
        let engine = Engine::new(Parts {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy::new()),
            keyring: Keyring::new(&[7; 32]),
            egress: Egress::new().unwrap(),
            directory: Directory::new(services, senders),
            rates: RateCards::default(),
            history_ms: 3_600_000,
            acts_ms: 3_600_000,
            traces: None,
        });
        engine.start();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let phones = Arc::clone(&sandbox) as Arc<dyn Phones>;
        let app = App {
            engine: engine.clone(),
            public_url: "https://otp.example.com".into(),
            console: enabled.then(|| Console {
                phones,
                service: ServiceName::parse("dev").unwrap(),
                mode: Mode::Live,
            }),
            metrics: Arc::new(String::new),
            dev: true,
            version: "test",
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, tapcode_server::router(app)).await.unwrap() });
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            origin,
            engine,
            phones: sandbox,
            client,
            _serving: serving,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.origin))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// What the page's script asks for.
    async fn post(&self, what: &str, body: Value) -> (u16, Value) {
        let request = self.request(Method::POST, &format!("/phone/api/{what}"));
        let request = request
            .header("x-tapcode-console", "1")
            .header("origin", &self.origin)
            .header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
        )
    }

    async fn begin(&self, number: &str) -> String {
        let (status, answer) = self.post("begin", json!({ "number": number })).await;
        assert_eq!((status, &answer["status"]), (200, &json!(201)), "{answer}");
        answer["body"]["id"].as_str().unwrap().to_owned()
    }

    /// Begins for another service than the page's, as somebody with its key.
    async fn begin_as(&self, service: &str, number: &str) -> String {
        let service = Some(ServiceName::parse(service).unwrap());
        let caller = Caller {
            key: KeyId::new(SystemClock.now(), [1; 16]),
            service,
            mode: Mode::Live,
            rights: vec![Right::Verify],
        };
        let request = BeginRequest {
            to: Number::parse(number).unwrap(),
            purpose: Purpose::default_purpose(),
            locale: None,
            workflow: None,
            code: None,
            binding: None,
            client: None,
            metadata: Vec::new(),
        };
        let Done::Now((view, true)) = self.engine.begin(&caller, request, None).await.unwrap() else {
            panic!("not begun")
        };
        let Subject::Verification(v) = view.snapshot.subject else {
            panic!("no verification")
        };
        v.id.to_string()
    }

    async fn stream(&self) -> Events {
        let answer = self.get("/phone/stream").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events {
            answer,
            text: String::new(),
        }
    }
}

/// A page's stream, event by event.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
                let read = field("event: ").zip(field("data: "));
                self.text = rest.to_owned();
                match read {
                    Some((name, data)) => return Some((name, serde_json::from_str(&data).unwrap())),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk())
                .await
                .expect("something within the time")
                .unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Everything up to and with the first event that is wanted.
    async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Vec<(String, Value)> {
        let mut seen = Vec::new();
        let reading = async {
            loop {
                let (name, data) = self.next().await.expect("the stream goes on");
                let done = wanted(&name, &data);
                seen.push((name, data));
                if done {
                    return;
                }
            }
        };
        // Over the whole of it: a stream without news still pings.
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            panic!("never heard; heard instead: {seen:#?}");
        }
        seen
    }

    async fn until_decided(&mut self, title: &str) -> Vec<(String, Value)> {
        self.until(|name, data| name == "decision" && data["title"] == title).await
    }
}

fn titles(events: &[(String, Value)]) -> Vec<&str> {
    events
        .iter()
        .filter(|(name, _)| name == "decision")
        .map(|(_, data)| data["title"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_page_is_served_with_the_strictest_policy() {
    let stage = Stage::set().await;
    for (path, kind) in [
        ("/phone", "text/html"),
        ("/phone/phone.css", "text/css"),
        ("/phone/phone.js", "text/javascript"),
    ] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers().clone();
        assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert_eq!(headers["content-security-policy"], CSP);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        // What the policy forbids is not in the page either.
        let text = answer.text().await.unwrap();
        for forbidden in ["style=\"", "onclick=", "<script>", "innerHTML", "//cdn", "eval("] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
    }
    assert_eq!(stage.get("/favicon.ico").await.status(), 204);
}

#[tokio::test]
async fn without_the_sandbox_there_is_no_page() {
    let stage = Stage::with_console(false).await;
    for path in ["/phone", "/phone/phone.js", "/phone/stream"] {
        assert_eq!(stage.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(stage.post("begin", json!({ "number": FIRST })).await.0, 404);
}

#[tokio::test]
async fn no_other_name_and_no_other_page_gets_anything() {
    let stage = Stage::set().await;
    for host in ["rebound.example.net", "localhost.example.net:8080", "127.0.0.1.example.net"] {
        for path in ["/phone", "/phone/phone.js", "/phone/stream"] {
            let answer = stage.request(Method::GET, path).header("host", host).send().await.unwrap();
            assert_eq!(answer.status(), 421, "{path} under {host}");
            assert_eq!(answer.headers()["content-security-policy"], CSP);
        }
    }
    for host in ["localhost", "otp.example.com", "[::1]:8080"] {
        assert_eq!(
            stage
                .request(Method::GET, "/phone")
                .header("host", host)
                .send()
                .await
                .unwrap()
                .status(),
            200,
            "{host}"
        );
    }
    let blind = |headers: &[(&str, &str)]| {
        let request = stage
            .request(Method::POST, "/phone/api/begin")
            .header("content-type", "application/json");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(json!({ "number": FIRST }).to_string())
    };
    for headers in [
        &[][..],
        &[("x-tapcode-console", "1"), ("origin", "https://evil.example")],
        &[("x-tapcode-console", "1"), ("sec-fetch-site", "cross-site")],
        &[("x-tapcode-console", "1"), ("host", "evil.example")],
    ] {
        let status = blind(headers).send().await.unwrap().status().as_u16();
        assert!(status == 403 || status == 421, "{headers:?}: {status}");
    }
    let theirs = stage
        .request(Method::GET, "/phone/stream")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "cors");
    assert_eq!(theirs.send().await.unwrap().status(), 403);
    assert!(stage.phones.all()[0].messages.is_empty(), "nothing was begun");
}

#[tokio::test]
async fn what_is_about_an_account_is_about_no_phone_and_holds_nothing_up() {
    let stage = Stage::set().await;
    let sender = Arc::clone(stage.engine.directory().sender(Channel::Whatsapp, 9).unwrap());
    let remark = || {
        AccountInput::News(vec![News::Remark {
            about: "account_alert",
            detail: "OBA_APPROVED".into(),
        }])
    };
    stage.engine.apply_account(&sender, &remark()).await.unwrap();
    let mut events = stage.stream().await;
    events.next().await.unwrap();
    stage.engine.apply_account(&sender, &remark()).await.unwrap();
    stage.begin(FIRST).await;
    let seen = events.until_decided("Delivered on WhatsApp").await;
    assert_eq!(titles(&seen)[..2], ["Began", "Queued on WhatsApp"]);
}

#[tokio::test]
async fn the_stream_tells_a_whole_life_in_order() {
    let stage = Stage::set().await;
    let mut events = stage.stream().await;
    let (name, snapshot) = events.next().await.unwrap();
    assert_eq!(name, "snapshot");
    assert_eq!(snapshot["brand"], "Acme & <b>Sons</b>");
    let network = json!({ "whatsapp": true, "delay_ms": 0, "deliver": "normal" });
    assert_eq!(
        snapshot["phones"],
        json!([{ "number": FIRST, "network": network, "messages": [] }])
    );

    let id = stage.begin(FIRST).await;
    let seen = events.until_decided("Delivered on WhatsApp").await;
    assert_eq!(titles(&seen)[..3], ["Began", "Queued on WhatsApp", "Calling sandbox"]);
    for (_, decision) in seen.iter().filter(|(name, _)| name == "decision") {
        assert_eq!(
            (&decision["number"], &decision["verification_id"]),
            (&json!(FIRST), &json!(id))
        );
        assert!(decision["at"].as_str().unwrap().ends_with('Z'));
    }
    let arrived = |name: &str, data: &Value| name == "phone" && data["messages"][0]["status"] == "arrived";
    let phone = match seen.iter().find(|(name, data)| arrived(name, data)) {
        Some((_, data)) => data.clone(),
        None => events.until(arrived).await.pop().unwrap().1,
    };
    let message = &phone["messages"][0];
    assert_eq!(
        (&message["verification_id"], &message["channel"], &message["read"]),
        (&json!(id), &json!("whatsapp"), &json!(false))
    );
    assert_eq!(message["button"], json!({ "kind": "copy_code", "text": "Copy code" }));
    let code = message["code"].as_str().unwrap();

    let wrong = if code == "000000" { "000001" } else { "000000" };
    let (_, answer) = stage.post("check", json!({ "verification_id": id, "code": wrong })).await;
    assert_eq!(answer["body"]["reason"], "incorrect_code");
    assert_eq!(answer["body"]["checks_left"], 4);
    let (_, answer) = stage.post("check", json!({ "verification_id": id, "code": code })).await;
    assert_eq!(
        (&answer["status"], &answer["body"]["valid"], &answer["body"]["status"]),
        (&json!(200), &json!(true), &json!("approved"))
    );
    assert_eq!(stage.post("read", json!({ "message_id": message["id"] })).await.0, 200);
    events.until_decided("Read on WhatsApp").await;

    // Whoever comes later hears the same, oldest first, behind everything as it is.
    let mut late = stage.stream().await;
    let (name, snapshot) = late.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &snapshot["phones"][0]["messages"][0]["read"]),
        ("snapshot", &json!(true))
    );
    let again = late.until_decided("Read on WhatsApp").await;
    let told = titles(&again);
    assert_eq!(told.first(), Some(&"Began"));
    let place = |title: &str| {
        told.iter()
            .position(|t| *t == title)
            .unwrap_or_else(|| panic!("no {title} in {told:?}"))
    };
    assert!(place("Wrong code") < place("Approved") && place("Approved") < place("Read on WhatsApp"));
}

#[tokio::test]
async fn what_begins_over_the_api_is_shown_on_its_own_phone() {
    let stage = Stage::set().await;
    stage.phones.add(&Number::parse(ALIKE).unwrap());
    let mut events = stage.stream().await;
    events.next().await.unwrap();
    let id = stage.begin_as("dev", ALIKE).await;
    let seen = events.until_decided("Delivered on WhatsApp").await;
    for (_, decision) in seen.iter().filter(|(name, _)| name == "decision") {
        assert_eq!(
            (&decision["number"], &decision["verification_id"]),
            (&json!(ALIKE), &json!(id)),
            "not the phone that is masked alike"
        );
    }
    // A number that had no phone before gets one.
    let new = "+14155550177";
    stage.begin_as("dev", new).await;
    let seen = events
        .until(|name, data| name == "decision" && data["title"] == "Delivered on WhatsApp" && data["number"] == new)
        .await;
    assert!(
        titles(&seen).contains(&"Began"),
        "the beginning is told although the phone came after it"
    );
    assert!(seen.iter().any(|(name, data)| name == "phone" && data["number"] == new));
}

#[tokio::test]
async fn what_does_not_go_by_the_sandbox_is_none_of_the_pages_business() {
    let stage = Stage::set().await;
    let mut events = stage.stream().await;
    events.next().await.unwrap();
    let real = stage.begin_as("real", FIRST).await;
    let own = stage.begin(FIRST).await;
    let seen = events.until_decided("Delivered on WhatsApp").await;
    for (_, data) in &seen {
        assert!(!data.to_string().contains(&real), "{data}");
    }
    let (_, answer) = stage
        .post("check", json!({ "verification_id": real, "code": "123456" }))
        .await;
    assert_eq!(
        (&answer["status"], &answer["body"]["code"]),
        (&json!(404), &json!("verification_not_found"))
    );
    let (_, answer) = stage
        .post("check", json!({ "verification_id": own, "code": "no code" }))
        .await;
    assert_eq!(
        (&answer["status"], &answer["body"]["code"]),
        (&json!(400), &json!("invalid_code")),
        "the page's own is looked at"
    );
}

#[tokio::test]
async fn the_switches_reach_the_phone_and_refusals_are_said_as_the_api_says_them() {
    let stage = Stage::set().await;
    let network = json!({ "whatsapp": false, "delay_ms": 250, "deliver": "provider_down" });
    assert_eq!(
        stage.post("network", json!({ "number": FIRST, "network": network })).await.0,
        200
    );
    let (_, snapshot) = stage.stream().await.next().await.unwrap();
    assert_eq!(snapshot["phones"][0]["network"], network);
    assert_eq!(stage.post("phones", json!({ "number": "+1 (415) 555-0177" })).await.0, 200);
    assert_eq!(stage.phones.all().len(), 2);

    for (what, body, status, code) in [
        ("phones", json!({ "number": "0611398058" }), 400, "invalid_number"),
        ("phones", json!({}), 400, "invalid_request"),
        ("phones", json!({ "number": FIRST, "more": 1 }), 400, "invalid_request"),
        (
            "network",
            json!({ "number": FIRST, "network": { "whatsapp": true, "delay_ms": -1, "deliver": "normal" } }),
            400,
            "invalid_request",
        ),
        (
            "network",
            json!({ "number": FIRST, "network": { "whatsapp": true, "delay_ms": 0, "deliver": "sometimes" } }),
            400,
            "invalid_request",
        ),
        ("read", json!({ "message_id": "msg_none" }), 404, "message_not_found"),
        ("phones", json!({ "number": "1".repeat(5_000) }), 413, "body_too_large"),
    ] {
        let (answered, problem) = stage.post(what, body).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{what}: {problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
    let (status, answer) = stage.post("begin", json!({ "number": "not a number" })).await;
    assert_eq!(
        (status, &answer["status"], &answer["body"]["code"]),
        (200, &json!(400), &json!("invalid_number"))
    );
    stage.begin(FIRST).await;
    let (_, answer) = stage.post("begin", json!({ "number": FIRST })).await;
    assert_eq!(
        (&answer["status"], &answer["body"]["code"]),
        (&json!(429), &json!("resend_too_soon"))
    );
}

#[tokio::test]
async fn pages_that_follow_are_bounded_and_a_closed_one_makes_room() {
    let stage = Stage::set().await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        let mut events = stage.stream().await;
        events.next().await.unwrap();
        open.push(events);
    }
    let full = stage.get("/phone/stream").await;
    assert_eq!(full.status(), 429);
    assert!(full.headers().contains_key("retry-after"));
    open.clear();
    let again = async {
        while stage.get("/phone/stream").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place is free again");
}
