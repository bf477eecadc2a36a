//! How does a command speak to a running server?

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use super::screen::plain;

/// How long a connection to the server may take to be made. Milliseconds.
const CONNECT_MS: u64 = 5_000;
/// How long the server may take to answer. Milliseconds.
const ANSWER_MS: u64 = 30_000;
/// Largest answer that is read, in bytes.
const ANSWER_MAX: usize = 8 * 1024 * 1024;

/// Which server, and with which key.
#[derive(Args)]
pub struct Server {
    /// Where the server is
    #[arg(long, value_name = "URL", env = "TAPCODE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key; better given in the environment, where a list of processes does not show it
    #[arg(long, value_name = "KEY", env = "TAPCODE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Print the server's answer as JSON
    #[arg(long)]
    pub json: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("json", &self.json).finish_non_exhaustive()
    }
}

/// What the server said.
pub enum Said {
    /// Yes, with this.
    Yes(Value),
    /// No, and why.
    No(Problem),
}

/// Why the server said no.
pub struct Problem {
    /// The problem document, as it came.
    document: Value,
    /// When it may be tried again, in whole seconds.
    retry_after_s: Option<u64>,
}

impl Problem {
    /// What is wrong, then every mistake that is named with it.
    pub fn lines(&self) -> Vec<String> {
        fn of(value: &Value, field: &str) -> Option<String> {
            value.get(field).and_then(Value::as_str).map(plain)
        }
        let detail = of(&self.document, "detail").or_else(|| of(&self.document, "title"));
        let detail = detail.unwrap_or_else(|| "the server said no".into());
        let errors = self.document.get("errors").and_then(Value::as_array).into_iter().flatten();
        let mistake = |error: &Value| {
            let told = of(error, "detail").unwrap_or_default();
            // A single mistake is the detail itself.
            (told != detail).then(|| format!("{} {told}", of(error, "pointer").unwrap_or_default()))
        };
        let mistakes: Vec<String> = errors.filter_map(mistake).collect();
        [detail].into_iter().chain(mistakes).collect()
    }
}

/// A server that can be asked.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Empty: it is asked without one.
    key: String,
}

impl Server {
    /// Gets ready to ask.
    ///
    /// # Errors
    /// When the address or the key is missing or could be none.
    pub fn client(&self) -> anyhow::Result<Client> {
        let Some(key) = self.key.clone().filter(|key| !key.is_empty()) else {
            bail!("an API key is missing; set TAPCODE_KEY (`tapcode dev` prints a key, `tapcode keys create` makes one)");
        };
        if !key.bytes().all(|c| c.is_ascii_graphic()) {
            bail!("--key has characters that no key has; copy it whole, from tc_ on");
        }
        Client::new(&self.url, key)
    }
}

impl Client {
    /// A server at an address, asked with a key.
    ///
    /// # Errors
    /// When the address could be none.
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line calls the server like any caller; the engine's client is for what the server calls"
    )]
    pub fn new(url: &str, key: String) -> anyhow::Result<Self> {
        let text = format!("{}/", url.trim_end_matches('/'));
        let base = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(base) = base else {
            bail!("--url is no address of a server; write one such as http://127.0.0.1:8080");
        };
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(CONNECT_MS))
            // A key is for the server that was named, and for no other.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tapcode-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client")?;
        Ok(Self { http, base, key })
    }

    /// What a path answers that is no part of the API: its status and its body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let fetched = tokio::time::timeout(Duration::from_millis(ANSWER_MS), async {
            let answer = self.send(Method::GET, path, None, &[]).await?;
            Ok((answer.status(), whole(answer).await?))
        });
        let Ok(fetched) = fetched.await else {
            bail!("{} gave no answer within {} s", self.base, ANSWER_MS / 1_000)
        };
        fetched
    }

    /// Asks for a path, such as `api/v1/verifications`.
    ///
    /// # Errors
    /// When there is no answer, or one that is not this API's.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Said> {
        let answer = tokio::time::timeout(Duration::from_millis(ANSWER_MS), async {
            let answer = self.send(method, path, body, &[]).await?;
            self.said(answer).await
        });
        let Ok(answer) = answer.await else {
            bail!("{} gave no answer within {} s", self.base, ANSWER_MS / 1_000)
        };
        answer
    }

    /// Opens a stream of events; `Err` of the inner result is the server's no.
    ///
    /// # Errors
    /// When there is no answer, or one that is not this API's.
    pub async fn open(&self, path: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<Result<Response, Problem>> {
        let opened = tokio::time::timeout(Duration::from_millis(ANSWER_MS), self.send(Method::GET, path, None, headers));
        let Ok(opened) = opened.await else {
            bail!("{} gave no answer within {} s", self.base, ANSWER_MS / 1_000)
        };
        let answer = opened?;
        if answer.status() == StatusCode::OK {
            return Ok(Ok(answer));
        }
        match self.said(answer).await? {
            Said::No(problem) => Ok(Err(problem)),
            Said::Yes(_) => bail!("{} answered something else than a stream of events", self.base),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the command line calls the server like any caller; the engine's client is for what the server calls"
    )]
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Response> {
        let address = self.base.join(path).context("the path of the request")?;
        let mut request = self.http.request(method, address);
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| {
            let hint = if error.is_connect() {
                "; is the server running, and is --url right?"
            } else {
                ""
            };
            anyhow::Error::new(error.without_url()).context(format!("no answer from {}{hint}", self.base))
        })
    }

    async fn said(&self, answer: Response) -> anyhow::Result<Said> {
        let status = answer.status();
        let retry_after_s = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if status == StatusCode::NO_CONTENT {
            return Ok(Said::Yes(Value::Null));
        }
        match serde_json::from_slice(&whole(answer).await?) {
            Ok(value) if status.is_success() => Ok(Said::Yes(value)),
            Ok(document) if is_problem(&document) => Ok(Said::No(Problem { document, retry_after_s })),
            _ => bail!(
                "{} answered {status} and not as Tapcode does; is --url the address of a Tapcode server?",
                self.base
            ),
        }
    }
}

fn is_problem(value: &Value) -> bool {
    value.get("code").is_some_and(Value::is_string) && value.get("title").is_some_and(Value::is_string)
}

async fn whole(mut answer: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
        if body.len() + chunk.len() > ANSWER_MAX {
            bail!("the answer is larger than {ANSWER_MAX} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Tells why the server said no, on stderr; the exit code says that it did.
pub fn tell_problem(problem: &Problem, json: bool) -> ExitCode {
    let document = &problem.document;
    if json {
        eprintln!("{document}");
        return ExitCode::FAILURE;
    }
    let mut lines = problem.lines().into_iter();
    eprintln!("tapcode: {}", lines.next().unwrap_or_default());
    for mistake in lines {
        eprintln!("  {mistake}");
    }
    if let Some(seconds) = problem.retry_after_s {
        eprintln!("  try again in {seconds} s");
    }
    ExitCode::FAILURE
}

/// A text within an answer; `-` where there is none.
pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or("-")
}
