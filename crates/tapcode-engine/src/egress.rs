//! How does a request leave this process? The one HTTP client.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::contract::provider::{ANSWER_MAX, HttpRequest, HttpResponse};

/// How long a connection may take to be made. Milliseconds.
pub const CONNECT_MS: u64 = 5_000;
/// Idle connections kept per host.
pub const IDLE_PER_HOST: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Certain: nothing of the request left.
    #[error("the request could not be sent")]
    NotSent(#[source] reqwest::Error),
    /// The request left, or may have; what became of it is not known.
    #[error("no whole answer came")]
    Unanswered(#[source] reqwest::Error),
    /// The answer is larger than [`ANSWER_MAX`].
    #[error("the answer is larger than {ANSWER_MAX} bytes")]
    AnswerTooLarge,
}

/// The one HTTP client: no redirects, no proxy from the environment, bounded in time and size.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
}

impl Egress {
    /// A client.
    ///
    /// # Errors
    /// When the machine's certificates cannot be loaded.
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the HTTP client")]
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_millis(CONNECT_MS))
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            // A request is sent at most once per claim: the client must never repeat one by itself.
            .retry(reqwest::retry::never())
            .user_agent(concat!("tapcode/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Sends a request and reads the whole answer within `deadline_ms`.
    ///
    /// # Errors
    /// [`EgressError`] tells whether it is certain that nothing was sent. It carries no address: those hold secrets.
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the HTTP client")]
    pub async fn send(&self, request: HttpRequest, deadline_ms: u64) -> Result<HttpResponse, EgressError> {
        let mut answer = self
            .client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(Duration::from_millis(deadline_ms))
            .send()
            .await
            .map_err(|error| {
                let error = error.without_url();
                // A builder error never reached the network, and a connect error never reached the request.
                if error.is_connect() || error.is_builder() { EgressError::NotSent(error) } else { EgressError::Unanswered(error) }
            })?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| EgressError::Unanswered(error.without_url()))? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(EgressError::AnswerTooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body: Bytes::from(body) })
    }
}
