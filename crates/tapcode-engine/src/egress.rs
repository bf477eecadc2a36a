//! How does a request leave this process? The one HTTP client.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::addresses::is_global;
use crate::contract::provider::{ANSWER_MAX, HttpRequest, HttpResponse};

/// How long a connection may take to be made. Milliseconds.
pub const CONNECT_MS: u64 = 5_000;
/// Idle connections kept per host.
pub const IDLE_PER_HOST: usize = 64;

/// How much of the answer of a caller's own machine is read, in bytes: its status is all that counts.
const TOLD_ANSWER_MAX: usize = 4 * 1024;

/// Which machines announcements may be told to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// Those on the internet.
    #[default]
    Internet,
    /// Any, those of one's own network and this machine among them.
    Anywhere,
}

/// An address that leads to a machine that may not be called.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address does not lead to the internet")]
pub struct Forbidden;

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
    /// Certain: nothing left, because the address leads to a machine that may not be called.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

/// The one HTTP client: no redirects, no proxy from the environment, bounded in time and size.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
    /// For addresses that callers gave us.
    outward: reqwest::Client,
    outside: Outside,
}

/// Looks names up and leaves out what may not be called: the address that is connected to is the one that was looked at.
struct Guarded(Outside);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let outside = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|at| outside.allows(at.ip())).collect();
            if allowed.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl Outside {
    fn allows(self, address: std::net::IpAddr) -> bool {
        self == Self::Anywhere || is_global(address)
    }

    /// Whether an address may be called as far as it is written as numbers; names are looked up when they are called.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn allows_url(self, url: &Url) -> Result<(), Forbidden> {
        // However it is spelled, the address is read here as the client reads it.
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => address.into(),
            Some(url::Host::Ipv6(address)) => address.into(),
            Some(url::Host::Domain(_)) => return Ok(()),
            None => return Err(Forbidden),
        };
        if self.allows(address) { Ok(()) } else { Err(Forbidden) }
    }
}

impl Egress {
    /// A client.
    ///
    /// # Errors
    /// When the machine's certificates cannot be loaded.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::with(Outside::default())
    }

    /// A client that tells announcements to these machines.
    ///
    /// # Errors
    /// As [`Egress::new`].
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the HTTP client")]
    pub fn with(outside: Outside) -> Result<Self, reqwest::Error> {
        let bounded = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_millis(CONNECT_MS))
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(Duration::from_secs(20))
                .tcp_nodelay(true)
                // A request is sent at most once per claim: the client must never repeat one by itself.
                .retry(reqwest::retry::never())
                .user_agent(concat!("tapcode/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            client: bounded().build()?,
            outward: bounded().dns_resolver(Guarded(outside)).build()?,
            outside,
        })
    }

    /// Which machines announcements may be told to.
    #[must_use]
    pub const fn outside(&self) -> Outside {
        self.outside
    }

    /// Posts to an address that a caller gave us, and reads the head of the answer within `deadline_ms`.
    ///
    /// # Errors
    /// [`EgressError`], as [`Egress::send`].
    #[expect(clippy::disallowed_methods, reason = "this is the room that owns the HTTP client")]
    pub async fn tell(&self, request: HttpRequest, deadline_ms: u64) -> Result<HttpResponse, EgressError> {
        let url = Url::parse(&request.url).map_err(|_| Forbidden)?;
        self.outside.allows_url(&url)?;
        let told = self
            .outward
            .request(request.method, url)
            .headers(request.headers)
            .body(request.body)
            .timeout(Duration::from_millis(deadline_ms));
        let mut answer = told.send().await.map_err(unsent)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        // A short answer is read, so that its connection can be used again; of a long one nothing more is wanted.
        let mut read = 0;
        while read <= TOLD_ANSWER_MAX
            && let Ok(Some(chunk)) = answer.chunk().await
        {
            read += chunk.len();
        }
        Ok(HttpResponse {
            status,
            headers,
            body: Bytes::new(),
        })
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
            .map_err(unsent)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| EgressError::Unanswered(error.without_url()))?
        {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(EgressError::AnswerTooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse {
            status,
            headers,
            body: Bytes::from(body),
        })
    }
}

/// Whether a request left that got no answer.
fn unsent(error: reqwest::Error) -> EgressError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(forbidden) = one.downcast_ref::<Forbidden>() {
            return EgressError::Forbidden(*forbidden);
        }
        cause = one.source();
    }
    let error = error.without_url();
    // A builder error never reached the network, and a connect error never reached the request.
    if error.is_connect() || error.is_builder() {
        EgressError::NotSent(error)
    } else {
        EgressError::Unanswered(error)
    }
}
