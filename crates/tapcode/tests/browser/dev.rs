//! Which server does the page come from? A development server of its own per story, on a free port of loopback.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::verification::Limits;
use tapcode_engine::clock::SystemClock;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::service::{Directory, Provider, Sender, Service, WorkflowStep};
use tapcode_providers::sandbox::Sandbox;
use tapcode_server::App;
use tapcode_server::console::Console;
use tapcode_store::memory::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::chrome::PATIENCE;

/// How long the server waits for WhatsApp before it falls back. Milliseconds: long enough to see that nothing comes at once.
pub const WAIT_MS: u32 = 2_000;

pub struct Dev {
    pub origin: String,
    engine: Engine,
    closing: CancellationToken,
    serving: tokio::task::JoinSet<()>,
}

impl Dev {
    pub async fn start() -> Self {
        let clock = Arc::new(SystemClock);
        let now = { let clock = Arc::clone(&clock); move || tapcode_engine::clock::Clock::now(&*clock) };
        let sandbox = Sandbox::new("Acme", &[], Arc::new(now));
        let sender = |channel, from: &str| Sender::new(channel, 1, Provider::Session(Arc::new(sandbox.sender(channel, from))));
        let service = ServiceName::parse("dev").unwrap();
        let step = |channel, wait_ms| WorkflowStep { channel, sender: Some(1), wait_ms: Some(wait_ms) };
        let directory = Directory::new(
            vec![Service {
                name: service.clone(),
                brand: "Acme".into(),
                default_locale: "en".into(),
                code_length: 6,
                code_ttl_ms: 300_000,
                limits: Limits::default(),
                own_codes: false,
                workflow: vec![step(Channel::Whatsapp, WAIT_MS), step(Channel::Sms, WAIT_MS)],
                workflows: Vec::new(),
                test_numbers: Vec::new(),
            }],
            vec![sender(Channel::Whatsapp, "Acme"), sender(Channel::Sms, "Acme")],
        );
        let engine = Engine::new(Parts {
            store: Arc::new(MemoryStore::new()),
            clock,
            entropy: Arc::new(OsEntropy::new()),
            keyring: Keyring::new(&[7; 32]),
            egress: tapcode_engine::egress::Egress::new().unwrap(),
            directory,
            history_ms: 3_600_000,
        });
        engine.start();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let closing = CancellationToken::new();
        let console = Console { phones: sandbox, service, mode: Mode::Live, closing: closing.clone() };
        let app = App {
            engine: engine.clone(),
            public_url: origin.clone().into(),
            console: Some(console),
            metrics: Arc::new(String::new),
            dev: true,
            version: "test",
        };
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, tapcode_server::router(app)).await.unwrap() });
        Self { origin, engine, closing, serving }
    }

    /// The address of the page.
    pub fn page(&self) -> String {
        format!("{}/phone", self.origin)
    }

    /// Returns as soon as what the server says of a phone's network is so.
    pub async fn until_network(&self, number: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let asking = async {
            loop {
                let snapshot = self.snapshot().await?;
                let phones = snapshot["phones"].as_array().cloned().unwrap_or_default();
                if phones.iter().any(|phone| phone["number"] == number && is_so(&phone["network"])) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.context("the network never became as wanted")?
    }

    /// The first event of the page's stream.
    async fn snapshot(&self) -> Result<Value> {
        let mut answer = reqwest::get(format!("{}/phone/stream", self.origin)).await?.error_for_status()?;
        let mut text = String::new();
        while let Some(chunk) = answer.chunk().await? {
            text.push_str(std::str::from_utf8(&chunk)?);
            if let Some((first, _)) = text.split_once("\n\n") {
                let data = first.lines().find_map(|line| line.strip_prefix("data: ")).context("an event has data")?;
                return Ok(serde_json::from_str(data)?);
            }
        }
        bail!("the stream ended before its first event")
    }

    pub async fn stop(mut self) {
        self.closing.cancel();
        self.serving.abort_all();
        while self.serving.join_next().await.is_some() {}
        self.engine.stop().await;
    }
}
