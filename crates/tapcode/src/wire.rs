//! How do the rooms become one running server, and how does it stop?
//!
//! Stopping is done in the order in which things depend on each other: no new connection, requests under way are
//! answered, the engine ends its calls and writes them down, the store is closed. What is left undone is in the store,
//! and the next process finds it there.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tapcode::config::{self, CallBounds, Config, SmsProvider, WhatsappProvider};
use tapcode_core::plan::{Channel, Plan};
use tapcode_core::recipient::Mode;
use tapcode_engine::clock::SystemClock;
use tapcode_engine::contract::phones::Phones;
use tapcode_engine::contract::provider::HttpProvider;
use tapcode_engine::contract::store::Store;
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::OsEntropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::service::{Directory, Provider, SANDBOX_SENDER, Sender, Service, WorkflowStep};
use tapcode_engine::trace::Traces;
use tapcode_providers::config_error::ConfigError;
use tapcode_providers::infobip::{BasicCredentials, IndiaDlt, Infobip, InfobipConfig};
use tapcode_providers::kannel::{Kannel, KannelConfig};
use tapcode_providers::messagebird::{Messagebird, MessagebirdConfig};
use tapcode_providers::sandbox::Sandbox;
use tapcode_providers::secret::Secret;
use tapcode_providers::sinch::{Sinch, SinchConfig};
use tapcode_providers::smpp::Smpp;
use tapcode_providers::telnyx::{Telnyx, TelnyxConfig};
use tapcode_providers::twilio::{ApiKey, From, Twilio, TwilioConfig};
use tapcode_providers::vonage::{Vonage, VonageConfig};
use tapcode_providers::webhook::Webhook;
use tapcode_providers::whatsapp_cloud::{WhatsappCloud, WhatsappCloudConfig};
use tapcode_server::App;
use tapcode_server::console::Console;
use tapcode_store::memory::MemoryStore;
use tapcode_store::sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::listen::{self, Bounds};
use crate::otlp::Otlp;
use crate::telemetry::Metrics;

/// The version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the engine's calls under way may take once no request is left. Milliseconds: more than a call's own deadline.
const SETTLE_MS: u64 = 12_000;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// A server that is about to answer its first request.
pub struct Ready<'a> {
    /// Decides.
    pub engine: &'a Engine,
    /// The simulated phones.
    pub phones: &'a Sandbox,
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// Where a client on this machine reaches it.
    pub url: &'a str,
}

/// Opens the configured store.
///
/// # Errors
/// A sentence that says which store, and what is in the way.
pub fn open_store(store: &config::Store) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match store {
        config::Store::Memory => Arc::new(MemoryStore::new()),
        config::Store::Sqlite(file) => Arc::new(SqliteStore::open(file).with_context(|| cannot_open(file))?),
    })
}

/// What to say, and what to look at, when a database file does not open.
pub fn cannot_open(file: &Path) -> String {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let remedy = match folder {
        Some(folder) if !folder.is_dir() => format!("make the folder {}", folder.display()),
        _ => "see that this user may write to it and to its folder, or name another file in store.url".to_owned(),
    };
    format!("the store {} cannot be opened ({remedy})", file.display())
}

/// How a store is named to people.
pub fn store_name(store: &config::Store) -> String {
    match store {
        config::Store::Memory => "memory:".to_owned(),
        config::Store::Sqlite(file) => format!("sqlite:{}", file.display()),
    }
}

/// An engine over a store, for a configuration; nothing starts by itself.
///
/// # Errors
/// When there is no master key, or the machine's certificates cannot be loaded.
pub fn engine(
    config: &Config,
    store: Arc<dyn Store>,
    directory: Directory,
    traces: Option<Arc<dyn Traces>>,
) -> anyhow::Result<Engine> {
    let master_key = config
        .master_key
        .as_ref()
        .context("there is no master key; `tapcode keys generate-master` makes one")?;
    Ok(Engine::new(Parts {
        store,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy::new()),
        keyring: Keyring::new(master_key.expose()),
        egress: Egress::with(config.outside).context("the HTTP client for providers")?,
        directory,
        rates: config.whatsapp_rates.clone(),
        history_ms: u64::from(config.history_days) * DAY_MS,
        acts_ms: u64::from(config.audit_days) * DAY_MS,
        traces,
    }))
}

/// An engine for commands that ask providers about their accounts: it knows every configured sender, remembers nothing, and
/// sends nothing.
///
/// # Errors
/// As [`engine`]; or a sender's configuration is none.
pub fn asking_engine(config: &Config) -> anyhow::Result<Engine> {
    let sandbox = Sandbox::new(&config.services[0].brand, &[], Arc::new(SystemClock));
    let directory = directory(config, &config.server.public_url, &sandbox)?;
    engine(config, Arc::new(MemoryStore::new()), directory, None)
}

/// Runs a server until it is told to stop. `ready` is called once it listens and before it answers; what is told until the
/// end goes to `otlp` as well.
///
/// # Errors
/// One sentence for what kept it from starting.
pub async fn serve<R>(config: Config, dev: bool, otlp: Option<Otlp>, ready: R) -> anyhow::Result<ExitCode>
where
    R: AsyncFnOnce(Ready<'_>) -> anyhow::Result<()>,
{
    let metrics = Metrics::start()?;
    let store = open_store(&config.store)?;
    let listener = bind(config.server.listen).await?;
    let address = listener.local_addr().context("the address that is listened on")?;
    // The port was the system's to choose, so only now is it known how this server is reached.
    let public_url = match config.server.public_url.strip_suffix(":0") {
        Some(host) => format!("{host}:{}", address.port()),
        None => config.server.public_url.clone(),
    };
    let numbers = &config.sandbox.numbers;
    let sandbox = Sandbox::new(&config.services[0].brand, numbers, Arc::new(SystemClock));
    let traces = otlp.as_ref().and_then(Otlp::traces);
    let engine = engine(&config, store, directory(&config, &public_url, &sandbox)?, traces)?;
    let stop = CancellationToken::new();
    let mut beside = JoinSet::new();
    beside.spawn(stop_on_signals(stop.clone())?);
    beside.spawn({
        let metrics = metrics.clone();
        async move { metrics.keep_up(&SystemClock).await }
    });
    let app = App {
        engine: engine.clone(),
        public_url: public_url.into(),
        console: config.sandbox.enabled.then(|| Console {
            phones: Arc::clone(&sandbox) as Arc<dyn Phones>,
            service: config.services[0].name.clone(),
            // Among real senders the page must not reach anybody: test mode goes to the sandbox alone.
            mode: if dev { Mode::Live } else { Mode::Test },
        }),
        metrics: metrics.render(),
        dev,
        version: VERSION,
    };
    let router = tapcode_server::router(app);
    engine.load_accounts().await;
    engine.start();
    engine.start_announcing(Arc::new(tapcode_server::api::webhook_endpoints::Feed(engine.clone())));
    let url = local_url(address);
    let services: Vec<&str> = config.services.iter().map(|s| s.name.as_str()).collect();
    tracing::info!(
        version = VERSION,
        store.url = store_name(&config.store),
        server.url = url,
        services = services.join(","),
        "listening"
    );
    ready(Ready {
        engine: &engine,
        phones: &sandbox,
        address,
        url: &url,
    })
    .await?;
    let bounds = Bounds {
        connections_max: config.server.connections_max.try_into().unwrap_or(usize::MAX),
        answer_ms: u64::from(config.server.request_timeout_ms) + tapcode_server::limits::WAIT_MS_MAX,
    };
    let cut = listen::serve(listener, router, bounds, &SystemClock, stop).await;
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "connections were cut: their requests took longer than stopping may"
        );
    }
    if tokio::time::timeout(Duration::from_millis(SETTLE_MS), engine.stop())
        .await
        .is_err()
    {
        tracing::warn!("calls to providers were still under way; the next start finds them in the store");
    }
    tracing::info!("stopped");
    if let Some(otlp) = otlp {
        otlp.end().await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another port (0 takes any that is free)",
            io::ErrorKind::AddrNotAvailable => "choose an address that this machine has",
            io::ErrorKind::PermissionDenied => {
                "choose a port from 1024 on, or let the service manager give the right to lower ones"
            }
            _ => "choose another address",
        };
        anyhow!(error).context(format!("{listen} cannot be listened on ({remedy})"))
    })
}

/// How a client on this machine reaches a listening address.
pub fn local_url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

/// Asks the server to stop at the first SIGTERM or SIGINT; whoever asks twice does not want to wait.
fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        tracing::info!("stopping: requests under way are finished; a second signal stops at once");
        stop.cancel();
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        tracing::warn!("stopped at once; what was under way is in the store");
        std::process::exit(1);
    })
}

/// What is configured, as the engine looks at it.
fn directory(config: &Config, public_url: &str, sandbox: &Arc<Sandbox>) -> anyhow::Result<Directory> {
    let simulated = |channel: Channel, id: u32, from: &str| {
        Sender::new(channel, id, Provider::Session(Arc::new(sandbox.sender(channel, from))))
    };
    let mut senders = vec![
        simulated(Channel::Whatsapp, SANDBOX_SENDER, "Test"),
        simulated(Channel::Sms, SANDBOX_SENDER, "Test"),
    ];
    for account in &config.whatsapp_accounts {
        let mut sender = match &account.provider {
            WhatsappProvider::Sandbox => simulated(Channel::Whatsapp, account.id, ""),
            WhatsappProvider::Cloud(cloud) => {
                let provider = WhatsappCloud::new(WhatsappCloudConfig {
                    base_url: cloud.base_url.clone(),
                    api_version: cloud.api_version.clone(),
                    waba_id: cloud.waba_id.clone(),
                    phone_number_id: cloud.phone_number_id.clone(),
                    access_token: secret(&cloud.access_token),
                    app_secret: secret(&cloud.app_secret),
                    verify_token: secret(&cloud.verify_token),
                    template: account.template.clone(),
                    template_languages: account.template_languages.clone(),
                    default_language: Some(account.template_language.clone()),
                    appsecret_proof: false,
                    identity_check: cloud.identity_check,
                });
                let provider = provider.with_context(|| format!("whatsapp_accounts, id {}", account.id))?;
                Sender::new(Channel::Whatsapp, account.id, Provider::Http(Arc::new(provider)))
            }
        };
        sender.template = Some(account.template.as_str().into());
        bounded(&mut sender, account.pace);
        sender.currency = account.billing_currency;
        senders.push(sender);
    }
    for number in &config.numbers {
        let mut sender = match &number.provider {
            SmsProvider::Sandbox => simulated(Channel::Sms, number.id, number.number.as_deref().unwrap_or("SMS")),
            SmsProvider::Twilio(twilio) => {
                let from = match (&twilio.messaging_service_sid, &number.number) {
                    (Some(sid), _) => From::MessagingService(sid.clone()),
                    (None, Some(number)) => From::Sender(number.clone()),
                    (None, None) => bail!(
                        "numbers, id {}: neither a number nor a messaging service is configured",
                        number.id
                    ),
                };
                let provider = Twilio::new(TwilioConfig {
                    base_url: twilio.base_url.clone(),
                    account_sid: twilio.account_sid.clone(),
                    auth_token: secret(&twilio.auth_token),
                    api_key: twilio.api_key.as_ref().map(|key| ApiKey {
                        sid: key.sid.clone(),
                        secret: secret(&key.secret),
                    }),
                    from,
                    callback_url: Some(format!("{public_url}/hooks/sms/{}", number.id)),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Infobip(infobip) => {
                let provider = Infobip::new(InfobipConfig {
                    base_url: infobip.base_url.clone(),
                    api_key: secret(&infobip.api_key),
                    from: number.number.clone().unwrap_or_default(),
                    callback_url: format!("{public_url}/hooks/sms/{}", number.id),
                    callback_secret: infobip.callback_secret.as_ref().map(secret),
                    callback_credentials: infobip.callback_credentials.as_ref().map(|given| BasicCredentials {
                        username: given.username.clone(),
                        password: secret(&given.password),
                    }),
                    india_dlt: infobip.india_dlt.clone().or_else(|| india_dlt(number)),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Kannel(kannel) => {
                let provider = Kannel::new(KannelConfig {
                    send_url: kannel.send_url.clone(),
                    username: kannel.username.clone(),
                    password: secret(&kannel.password),
                    from: number.number.clone(),
                    callback_url: format!("{public_url}/hooks/sms/{}", number.id),
                    callback_secret: secret(&kannel.callback_secret),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Messagebird(messagebird) => {
                let provider = Messagebird::new(MessagebirdConfig {
                    base_url: messagebird.base_url.clone(),
                    access_key: secret(&messagebird.access_key),
                    from: number.number.clone().unwrap_or_default(),
                    callback_url: format!("{public_url}/hooks/sms/{}", number.id),
                    signing_key: messagebird.signing_key.as_ref().map(secret),
                    callback_secret: messagebird.callback_secret.as_ref().map(secret),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Telnyx(telnyx) => {
                let provider = Telnyx::new(TelnyxConfig {
                    base_url: telnyx.base_url.clone(),
                    api_key: secret(&telnyx.api_key),
                    public_key: telnyx.public_key.clone(),
                    from: number.number.clone(),
                    messaging_profile_id: telnyx.messaging_profile_id.clone(),
                    callback_url: format!("{public_url}/hooks/sms/{}", number.id),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Vonage(vonage) => {
                let provider = Vonage::new(VonageConfig {
                    api: vonage.api,
                    base_url: vonage.base_url.clone(),
                    api_key: vonage.api_key.clone(),
                    api_secret: secret(&vonage.api_secret),
                    from: number.number.clone().unwrap_or_default(),
                    callback_url: format!("{public_url}/hooks/sms/{}", number.id),
                    signature_secret: vonage.signature_secret.as_ref().map(secret),
                    callback_secret: vonage.callback_secret.as_ref().map(secret),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Sinch(sinch) => {
                let provider = Sinch::new(SinchConfig {
                    base_url: sinch.base_url.clone(),
                    service_plan_id: sinch.service_plan_id.clone(),
                    api_token: secret(&sinch.api_token),
                    from: number.number.clone().unwrap_or_default(),
                    callback_url: Some(format!("{public_url}/hooks/sms/{}", number.id)),
                    signing_secret: sinch.signing_secret.as_ref().map(secret),
                    address_secret: sinch.callback_secret.as_ref().map(secret),
                });
                by_http(number.id, provider)?
            }
            SmsProvider::Smpp(smpp) => {
                let provider = Smpp::new((**smpp).clone(), Arc::new(SystemClock), Arc::new(OsEntropy::new()));
                let provider = provider.with_context(|| format!("numbers, id {}", number.id))?;
                Sender::new(Channel::Sms, number.id, Provider::Session(Arc::new(provider)))
            }
            SmsProvider::Webhook(webhook) => {
                let mut webhook = (**webhook).clone();
                if let Some((callback_url, ..)) = &mut webhook.receipts {
                    *callback_url = format!("{public_url}/hooks/sms/{}", number.id);
                }
                by_http(number.id, Webhook::new(webhook))?
            }
        };
        bounded(&mut sender, number.pace);
        sender.prices = config.sms_prices.of(number.provider_id()).cloned().map(Arc::new);
        sender.countries.clone_from(&number.countries);
        sender.registered_in = number.registered_in();
        sender.codes_only = number.dedicated_to_otp;
        sender.number = number.number.as_deref().map(Into::into);
        senders.push(sender);
    }
    let keeping = config.services.iter();
    let keeping = keeping.filter_map(|s| Some((s.name.clone(), u64::from(s.history_days?) * DAY_MS)));
    Ok(Directory::new(config.services.iter().map(service).collect(), senders).keeping(keeping))
}

/// The ids that carriers in India want, where the number's registration has them.
fn india_dlt(number: &config::SmsNumber) -> Option<IndiaDlt> {
    let india = number.registrations.iter().find(|r| r.country.as_str() == "IN")?;
    Some(IndiaDlt {
        principal_entity_id: india.id.clone(),
        content_template_id: india.template_id.clone(),
        telemarketer_id: None,
    })
}

/// How a sender's provider may be called, as configured.
fn bounded(sender: &mut Sender, bounds: CallBounds) {
    sender.deadline_ms = bounds.deadline_ms.into();
    sender.calls = Arc::new(Semaphore::new(bounds.calls_at_once.try_into().unwrap_or(usize::MAX)));
    sender.messages_per_second = bounds.messages_per_second;
}

/// A sender of text messages whose provider could be made.
fn by_http<P: HttpProvider>(id: u32, provider: Result<P, ConfigError>) -> anyhow::Result<Sender> {
    let provider = provider.with_context(|| format!("numbers, id {id}"))?;
    Ok(Sender::new(Channel::Sms, id, Provider::Http(Arc::new(provider))))
}

fn service(service: &config::Service) -> Service {
    Service {
        name: service.name.clone(),
        brand: service.brand.as_str().into(),
        default_locale: service.default_locale.as_str().into(),
        code_length: service.code_length,
        code_ttl_ms: service.code_ttl_ms,
        limits: service.limits,
        own_codes: service.own_codes,
        workflow: workflow(&service.workflow),
        workflows: service
            .workflows
            .iter()
            .map(|w| (w.countries.clone(), workflow(&w.steps)))
            .collect(),
        test_numbers: service
            .test_numbers
            .iter()
            .map(|t| (t.number.clone(), t.code.clone()))
            .collect(),
        identity_change: service.identity_change,
        apps: service.apps.clone(),
        texts: service.texts.clone(),
    }
}

fn workflow(plan: &Plan) -> Vec<WorkflowStep> {
    let step = |step: &tapcode_core::plan::Step| WorkflowStep {
        channel: step.route.channel,
        sender: Some(step.route.sender),
        wait_ms: Some(step.wait_ms),
    };
    plan.steps().iter().map(step).collect()
}

fn secret(secret: &config::Secret) -> Secret {
    Secret::new(secret.expose().to_owned())
}
