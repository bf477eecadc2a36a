//! How do the stand-ins run on their own, for benchmarks and for trying things out by hand?
//!
//! Prints one line of JSON with its addresses when both are listening, and runs until it is killed.
//! `GET /stand-in/counts` on either address tells what it has seen.

use clap::Parser;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tapcode_simulator::cloud_api::{self, CloudApi, CloudApiConfig};
use tapcode_simulator::twilio::{self, Reach, Twilio, TwilioConfig};

/// Stand-ins for Meta's WhatsApp Cloud API and Twilio's Messages API, which accept everything that is in order.
#[derive(Parser)]
struct Arguments {
    /// Where the Cloud API listens. Port 0 is any free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    cloud_listen: SocketAddr,
    /// Where Twilio listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    twilio_listen: SocketAddr,
    /// Where the Cloud API's status webhooks go. Without it there are none.
    #[arg(long)]
    callback_url: Option<String>,
    /// The WhatsApp number's id.
    #[arg(long, default_value_t = CloudApiConfig::default().phone_number_id)]
    phone_number_id: String,
    /// The WhatsApp Business account's id.
    #[arg(long, default_value_t = CloudApiConfig::default().waba_id)]
    waba_id: String,
    /// The Cloud API's access token.
    #[arg(long, default_value_t = CloudApiConfig::default().access_token)]
    access_token: String,
    /// The key of the webhooks' signatures.
    #[arg(long, default_value_t = CloudApiConfig::default().app_secret)]
    app_secret: String,
    /// An approved template, as name:language. May be given several times.
    #[arg(long = "template", value_parser = name_and_language, default_values = ["login_otp:en_US", "login_otp:en", "login_otp:nl"])]
    templates: Vec<(String, String)>,
    /// Twilio's account.
    #[arg(long, default_value_t = TwilioConfig::default().account_sid)]
    account_sid: String,
    /// Twilio's token.
    #[arg(long, default_value_t = TwilioConfig::default().auth_token)]
    auth_token: String,
    /// A public address, and where it really leads, as PUBLIC=ACTUAL: for Twilio's callbacks.
    #[arg(long, value_parser = public_and_actual)]
    reach: Option<Reach>,
    /// Milliseconds from the answer to the receipt `sent`. Without it there is none.
    #[arg(long)]
    sent_after_ms: Option<u64>,
    /// Milliseconds from the answer to the receipt `delivered`. Without it there is none.
    #[arg(long)]
    delivered_after_ms: Option<u64>,
    /// Milliseconds from the answer to the receipt `read` (Cloud API only). Without it there is none.
    #[arg(long)]
    read_after_ms: Option<u64>,
    /// Milliseconds by which every answer is held back.
    #[arg(long, default_value_t = 0)]
    answer_after_ms: u64,
    /// How many threads serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn name_and_language(text: &str) -> Result<(String, String), String> {
    let (name, language) = text.split_once(':').ok_or("a template is given as name:language")?;
    Ok((name.to_owned(), language.to_owned()))
}

fn public_and_actual(text: &str) -> Result<Reach, String> {
    let (public, actual) = text.split_once('=').ok_or("the reach is given as PUBLIC=ACTUAL")?;
    Ok(Reach {
        public: public.to_owned(),
        actual: actual.to_owned(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads.max(1))
        .enable_all()
        .build()?
        .block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let (cloud_script, twilio_script) = scripts(&arguments);
    let meta = CloudApi::start(CloudApiConfig {
        listen: arguments.cloud_listen,
        phone_number_id: arguments.phone_number_id,
        waba_id: arguments.waba_id,
        access_token: arguments.access_token,
        app_secret: arguments.app_secret,
        callback_url: arguments.callback_url,
        templates: arguments.templates,
        log: false,
        ..CloudApiConfig::default()
    })
    .await?;
    meta.default_script(cloud_script);
    let sms = Twilio::start(TwilioConfig {
        listen: arguments.twilio_listen,
        account_sid: arguments.account_sid,
        auth_token: arguments.auth_token,
        reach: arguments.reach,
        log: false,
        ..TwilioConfig::default()
    })
    .await?;
    sms.default_script(twilio_script);

    let addresses = serde_json::json!({ "cloud_api": meta.base_url(), "twilio": sms.base_url() });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{addresses}")?;
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn scripts(arguments: &Arguments) -> (cloud_api::Script, twilio::Script) {
    let delay = Duration::from_millis(arguments.answer_after_ms);
    let mut cloud = cloud_api::Script::silent().answered_after(delay);
    let mut sms = twilio::Script::silent().answered_after(delay);
    if let Some(after_ms) = arguments.sent_after_ms {
        let after = Duration::from_millis(after_ms);
        cloud = cloud.then(cloud_api::ReceiptStep::sent().after(after));
        sms = sms.then(twilio::ReceiptStep::sent().after(after));
    }
    if let Some(after_ms) = arguments.delivered_after_ms {
        let after = Duration::from_millis(after_ms);
        cloud = cloud.then(cloud_api::ReceiptStep::delivered().after(after));
        sms = sms.then(twilio::ReceiptStep::delivered().after(after));
    }
    if let Some(after_ms) = arguments.read_after_ms {
        cloud = cloud.then(cloud_api::ReceiptStep::read().after(Duration::from_millis(after_ms)));
    }
    if arguments.callback_url.is_none() {
        cloud.receipts.clear();
    }
    (cloud, sms)
}
