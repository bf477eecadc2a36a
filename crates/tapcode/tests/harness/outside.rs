//! Who plays Meta and Twilio for the real binary? The test kit's stand-ins, configured as WhatsApp account 1 and number 42.
//!
//! They live in the test's process and outlive every server that is started over them: what they counted before a
//! `kill -9` still counts afterwards. A test that uses them needs `#[tokio::test(flavor = "multi_thread")]`, because
//! starting and ending a process blocks the thread that does it.

use std::process::Command;

use tapcode_simulator::cloud_api::{CloudApi, CloudApiConfig};
use tapcode_simulator::twilio::{Twilio, TwilioConfig};

use super::{Home, Server};

/// What Meta would have been shown and would sign with. Easy to find in a file that must not have them.
pub const ACCESS_TOKEN: &str = "EAAGcanaryAccessTokenOfTheStandIn4711";
/// The key of Meta's signatures.
pub const APP_SECRET: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";
/// What Meta repeats in its handshake.
pub const VERIFY_TOKEN: &str = "canary-verify-token-of-the-stand-in";
/// Twilio's password and the key of its signatures.
pub const AUTH_TOKEN: &str = "deadbeefcafe0123deadbeefcafe0123";

/// Meta and Twilio.
pub struct Outside {
    /// Carries WhatsApp account 1.
    pub meta: CloudApi,
    /// Carries number 42.
    pub twilio: Twilio,
}

impl Outside {
    /// Both listen; both accept everything and are silent afterwards until a script says otherwise.
    pub async fn start() -> Self {
        let templates = ["en", "en_US", "nl"]
            .map(|language| ("login_otp".to_owned(), language.to_owned()))
            .to_vec();
        let meta = CloudApiConfig {
            access_token: ACCESS_TOKEN.to_owned(),
            app_secret: APP_SECRET.to_owned(),
            templates,
            ..CloudApiConfig::default()
        };
        let twilio = TwilioConfig {
            auth_token: AUTH_TOKEN.to_owned(),
            ..TwilioConfig::default()
        };
        Self {
            meta: CloudApi::start(meta).await.expect("a free port"),
            twilio: Twilio::start(twilio).await.expect("a free port"),
        }
    }

    /// A folder whose one service, `demo`, has these settings besides (`max_checks = 5`, one per line).
    pub fn home(&self, settings: &str) -> Home {
        Home::with(&self.services_and_senders(settings))
    }

    /// The service and the senders of [`Self::home`].
    pub fn services_and_senders(&self, settings: &str) -> String {
        let (meta, twilio) = (self.meta.config(), self.twilio.config());
        format!(
            r#"
[[services]]
name = "demo"
brand = "Demo"
{settings}

[[whatsapp_accounts]]
id = 1
provider = "whatsapp_cloud"
template = "login_otp"
base_url = "{meta_url}"
waba_id = "{waba_id}"
phone_number_id = "{phone_number_id}"
access_token = "{ACCESS_TOKEN}"
app_secret = "{APP_SECRET}"
verify_token = "{VERIFY_TOKEN}"

[[numbers]]
id = 42
provider = "twilio"
number = "+3197010253000"
base_url = "{twilio_url}"
account_sid = "{account_sid}"
auth_token = "{AUTH_TOKEN}"
"#,
            meta_url = self.meta.base_url(),
            waba_id = meta.waba_id,
            phone_number_id = meta.phone_number_id,
            twilio_url = self.twilio.base_url(),
            account_sid = twilio.account_sid,
        )
    }

    /// Starts a server that both can call back.
    pub fn serve(&self, home: &Home) -> Server {
        self.serve_with(home, |_| {})
    }

    /// Like [`Self::serve`], the command changed by `change`.
    pub fn serve_with(&self, home: &Home, change: impl FnOnce(&mut Command)) -> Server {
        let server = home.serve_with(change);
        self.meta.set_callback_url(format!("{}/hooks/whatsapp/1", server.url));
        server
    }
}

/// A Dutch mobile number, another one for every `nth` below a million.
pub fn number(nth: u32) -> String {
    assert!(nth < 1_000_000, "there are no more");
    format!("+31612{nth:06}")
}

/// Six digits that are not the code.
pub fn wrong_for(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}
