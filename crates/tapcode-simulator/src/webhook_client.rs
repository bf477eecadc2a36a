//! How does a stand-in call back, and how does it sign?

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use std::time::Duration;

/// How long a stand-in waits for the answer to a callback.
/// Neither vendor's value was found in the sources read; *unconfirmed*.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// How a callback is signed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Signing {
    /// As the vendor does.
    #[default]
    Proper,
    /// Well-formed, and made with a key that is not ours: what an attacker can do.
    Forged,
    /// The header is absent.
    Missing,
    /// This header value, whatever it is.
    Header(String),
}

/// What the called back side answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackAnswer {
    /// An HTTP status.
    Status(u16),
    /// No answer: refused, reset, or too slow. The text is for people.
    Silence(String),
    /// There was no address to call.
    NoAddress,
}

impl CallbackAnswer {
    /// Whether the receiver took the callback.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Silence(_) | Self::NoAddress => None,
        }
    }
}

/// The HTTP client for callbacks.
pub(crate) struct WebhookClient {
    client: reqwest::Client,
}

impl WebhookClient {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .timeout(CALLBACK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy of the machine must not see, or break, what goes to loopback.
            .no_proxy()
            .build()
            .expect("a client without certificates of its own can be built");
        Self { client }
    }

    pub(crate) async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        signature: Option<(&'static str, &str)>,
        body: Bytes,
    ) -> CallbackAnswer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some((name, value)) = signature {
            match HeaderValue::from_str(value) {
                Ok(value) => headers.insert(name, value),
                Err(error) => return CallbackAnswer::Silence(error.to_string()),
            };
        }
        let sent = self.client.post(url).headers(headers).body(body).send().await;
        match sent {
            Ok(response) => CallbackAnswer::Status(response.status().as_u16()),
            Err(error) => CallbackAnswer::Silence(error.without_url().to_string()),
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Result<(u16, Bytes), CallbackAnswer> {
        let silence = |error: reqwest::Error| CallbackAnswer::Silence(error.without_url().to_string());
        let response = self.client.get(url).send().await.map_err(silence)?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await.map_err(silence)?))
    }
}
