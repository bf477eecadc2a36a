//! What stands around the hooks? A real engine and server on loopback, between stand-ins for Meta and Twilio.

use std::sync::Arc;
use std::time::Duration;

use tapcode_core::delivery::MessageStatus;
use tapcode_core::entry::{Decision, Entry};
use tapcode_core::id::{KeyId, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, IdentityChange};
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::verification::{Attempt, Limits, Purpose, Verification};
use tapcode_engine::access::Caller;
use tapcode_engine::clock::{Clock, SystemClock};
use tapcode_engine::contract::store::{Right, Store, Subject, SubjectId};
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::requests::{BeginRequest, Done};
use tapcode_engine::service::{Directory, Provider, SANDBOX_SENDER, Sender, Service, WorkflowStep};
use tapcode_providers::sandbox::Sandbox;
use tapcode_providers::secret::Secret;
use tapcode_providers::twilio::{From, TwilioConfig};
use tapcode_providers::whatsapp_cloud::{WhatsappCloud, WhatsappCloudConfig};
use tapcode_server::App;
use tapcode_simulator::cloud_api::CloudApiConfig;
use tapcode_simulator::twilio::Reach;
use tapcode_simulator::{CloudApi, Twilio};
use tokio::task::JoinSet;

use crate::unplugged::Unplugged;

/// Longest wait for anything that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A wait for the fallback that is over within a test.
pub const SHORT_MS: u32 = 300;
/// A wait for the fallback that no test lives to see: what is sent before was sent for another reason.
pub const LONG_MS: u32 = 600_000;
/// The word of the handshake.
pub const VERIFY_TOKEN: &str = "a word of our own";
/// Where the world believes the server to be.
const PUBLIC_URL: &str = "https://otp.example.com";
const ANY: &str = "+14155550123";

pub struct Stage {
    pub origin: String,
    pub engine: Engine,
    pub cloud: CloudApi,
    pub twilio: Twilio,
    pub store: Arc<Unplugged>,
    _serving: JoinSet<()>,
}

impl Stage {
    /// Waits `wait_ms` for WhatsApp; a call to a provider may take `deadline_ms`.
    pub async fn set(wait_ms: u32, deadline_ms: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let cloud = CloudApi::start(CloudApiConfig {
            templates: vec![("login_otp".to_owned(), "en".to_owned())],
            ..CloudApiConfig::default()
        })
        .await
        .unwrap();
        let twilio = Twilio::start(tapcode_simulator::twilio::TwilioConfig {
            reach: Some(Reach {
                public: PUBLIC_URL.to_owned(),
                actual: origin.clone(),
            }),
            ..tapcode_simulator::twilio::TwilioConfig::default()
        })
        .await
        .unwrap();
        let store = Arc::new(Unplugged::default());
        let engine = Engine::new(Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy::new()),
            keyring: Keyring::new(&[7; 32]),
            egress: Egress::new().unwrap(),
            directory: directory(&cloud, &twilio, wait_ms, deadline_ms),
            rates: RateCards::default(),
            history_ms: 3_600_000,
            acts_ms: 3_600_000,
            traces: None,
        });
        engine.start();
        let app = App {
            engine: engine.clone(),
            public_url: PUBLIC_URL.into(),
            console: None,
            metrics: Arc::new(String::new),
            dev: false,
            version: "test",
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, tapcode_server::router(app)).await.unwrap() });
        cloud
            .subscribe(&format!("{origin}/hooks/whatsapp/1"), VERIFY_TOKEN)
            .await
            .unwrap();
        Self {
            origin,
            engine,
            cloud,
            twilio,
            store,
            _serving: serving,
        }
    }

    /// Begins a verification of the one number that most stories are about.
    pub async fn begin(&self) -> VerificationId {
        self.begin_for(ANY).await
    }

    pub async fn begin_for(&self, number: &str) -> VerificationId {
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
        match self.engine.begin(&caller(), request, None).await.unwrap() {
            Done::Now((view, true)) => match view.snapshot.subject {
                Subject::Verification(v) => v.id,
                Subject::Message(_) => unreachable!(),
            },
            other => panic!("not begun: {other:?}"),
        }
    }

    pub async fn verification(&self, id: VerificationId) -> Verification {
        match self
            .store
            .snapshot(SubjectId::Verification(id))
            .await
            .unwrap()
            .expect("it was begun")
            .subject
        {
            Subject::Verification(v) => v,
            Subject::Message(_) => unreachable!(),
        }
    }

    /// The attempt on a channel, as it is now.
    pub async fn attempt(&self, id: VerificationId, channel: Channel) -> Option<Attempt> {
        let verification = self.verification(id).await;
        let on = |a: &&Attempt| {
            verification
                .plan
                .step(a.step)
                .is_some_and(|step| step.route.channel == channel)
        };
        verification.attempts.iter().find(on).cloned()
    }

    /// Returns once the attempt on a channel has this status.
    pub async fn until(&self, id: VerificationId, channel: Channel, status: MessageStatus) -> Attempt {
        let mut grew = self.engine.log_grew();
        let looking = async {
            loop {
                grew.borrow_and_update();
                match self.attempt(id, channel).await {
                    Some(attempt) if attempt.delivery.status() == status => return attempt,
                    _ => grew.changed().await.unwrap(),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(attempt) => attempt,
            Err(_) => panic!("never {status:?} on {channel}: {:#?}", self.words(id).await),
        }
    }

    /// No fallback is due any more: what the document waits for is the verification's expiry.
    pub async fn only_the_end_is_due(&self, id: VerificationId) {
        let snapshot = self.store.snapshot(SubjectId::Verification(id)).await.unwrap().unwrap();
        let document = self.store.load(&snapshot.key).await.unwrap().unwrap().value;
        assert_eq!(
            tapcode_core::step::due_at(&document),
            Some(self.verification(id).await.expires_at)
        );
    }

    /// What was decided about a verification, in words.
    pub async fn words(&self, id: VerificationId) -> Vec<String> {
        let told = self
            .entries(id)
            .await
            .into_iter()
            .flat_map(|entry| tapcode_core::words::tell(&entry));
        told.map(|told| format!("{} – {}", told.title, told.why)).collect()
    }

    pub async fn entries(&self, id: VerificationId) -> Vec<Entry> {
        self.store.timeline(SubjectId::Verification(id), 400).await.unwrap()
    }

    /// How long after the verification began its fallback was decided. Milliseconds.
    pub async fn fell_back_after_ms(&self, id: VerificationId) -> u64 {
        let entries = self.entries(id).await;
        let is_second = |entry: &&Entry| {
            entry
                .decisions
                .iter()
                .any(|d| matches!(d, Decision::Queued { message, .. } if message.route.channel == Channel::Sms))
        };
        entries
            .iter()
            .find(is_second)
            .expect("it fell back")
            .at
            .millis_since(entries[0].at)
    }

    /// The code on both channels is one and the same; it is what the user types, and it is valid.
    pub async fn one_code_on_both(&self, id: VerificationId) {
        let whatsapp = self.cloud.messages_to(ANY);
        let sms = self.twilio.messages_to(ANY);
        assert_eq!((whatsapp.len(), sms.len()), (1, 1), "one message on each channel");
        let code = whatsapp[0].code.clone().expect("the template carries a code");
        let body = sms[0].body.clone().expect("an SMS has a body");
        assert!(body.contains(&code), "the SMS has another code");
        let checked = self.engine.check(&caller(), id, &code, None).await.unwrap();
        assert_eq!(checked.reason, None);
    }

    /// A request to a hook by hand.
    pub async fn call(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let method = method.parse().unwrap();
        let answer = client
            .request(method, format!("{}{path}", self.origin))
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn caller() -> Caller {
    let service = Some(ServiceName::parse("acme").unwrap());
    let key = KeyId::new(SystemClock.now(), [1; 16]);
    Caller {
        key,
        service,
        mode: Mode::Live,
        rights: vec![Right::Verify, Right::Read],
    }
}

fn directory(cloud: &CloudApi, twilio: &Twilio, wait_ms: u32, deadline_ms: u64) -> Directory {
    let meta = WhatsappCloud::new(WhatsappCloudConfig {
        base_url: cloud.base_url(),
        api_version: "v25.0".to_owned(),
        waba_id: cloud.config().waba_id.clone(),
        phone_number_id: cloud.config().phone_number_id.clone(),
        access_token: Secret::new(cloud.config().access_token.clone()),
        app_secret: Secret::new(cloud.config().app_secret.clone()),
        verify_token: Secret::new(VERIFY_TOKEN.to_owned()),
        template: "login_otp".to_owned(),
        template_languages: vec!["en".to_owned()],
        default_language: None,
        appsecret_proof: false,
        identity_check: false,
    });
    let sms = tapcode_providers::twilio::Twilio::new(TwilioConfig {
        base_url: twilio.base_url(),
        account_sid: twilio.config().account_sid.clone(),
        auth_token: Secret::new(twilio.config().auth_token.clone()),
        api_key: None,
        from: From::Sender("+3197010253000".to_owned()),
        callback_url: Some(format!("{PUBLIC_URL}/hooks/sms/42")),
    });
    let mut meta = Sender::new(Channel::Whatsapp, 1, Provider::Http(Arc::new(meta.unwrap())));
    let mut sms = Sender::new(Channel::Sms, 42, Provider::Http(Arc::new(sms.unwrap())));
    meta.deadline_ms = deadline_ms;
    sms.deadline_ms = deadline_ms;
    let sandbox = Sandbox::new("Test", &[], Arc::new(SystemClock));
    let sandboxed = Sender::new(
        Channel::Whatsapp,
        SANDBOX_SENDER,
        Provider::Session(Arc::new(sandbox.sender(Channel::Whatsapp, "Test"))),
    );
    let step = |channel, sender| WorkflowStep {
        channel,
        sender: Some(sender),
        wait_ms: Some(wait_ms),
    };
    let service = Service {
        name: ServiceName::parse("acme").unwrap(),
        brand: "Acme".into(),
        default_locale: "en".into(),
        code_length: 6,
        code_ttl_ms: 300_000,
        limits: Limits::default(),
        own_codes: false,
        workflow: vec![step(Channel::Whatsapp, 1), step(Channel::Sms, 42)],
        workflows: Vec::new(),
        test_numbers: Vec::new(),
        identity_change: IdentityChange::default(),
        apps: Vec::new(),
        texts: Vec::new(),
    };
    Directory::new(vec![service], vec![meta, sms, sandboxed])
}
