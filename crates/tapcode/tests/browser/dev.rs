//! Which server does the page come from? From `tapcode dev`, one per story.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::chrome::PATIENCE;

/// How long the server waits for WhatsApp before it falls back. Milliseconds: long enough to see that nothing comes at once.
pub const WAIT_MS: u32 = 2_000;

/// `tapcode dev`, as a developer starts it but for the port, the folder and a shorter wait.
pub struct Dev {
    pub origin: String,
    server: Child,
    _folder: TempDir,
}

impl Dev {
    pub async fn start() -> Self {
        Self::with_phones(&[]).await
    }

    /// One with these phones only.
    pub async fn with_phones(numbers: &[&str]) -> Self {
        Self::try_start(numbers).await.expect("the development server starts")
    }

    async fn try_start(numbers: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = Command::new(env!("CARGO_BIN_EXE_tapcode"))
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .env("TAPCODE__SERVICES__0__NAME", "acme")
            .env("TAPCODE__SERVICES__0__BRAND", "Acme")
            .env("TAPCODE__SERVICES__0__WORKFLOW__0__WAIT_MS", WAIT_MS.to_string())
            .envs(
                numbers
                    .iter()
                    .enumerate()
                    .map(|(at, number)| (format!("TAPCODE__SANDBOX__NUMBERS__{at}"), number)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(server.stdout.take().expect("its output is piped")).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .context("the server is never ready")??;
        let ready: Value = serde_json::from_str(&line.context("the server ended at once")?)?;
        let origin = ready["url"].as_str().context("an address")?.to_owned();
        Ok(Self {
            origin,
            server,
            _folder: folder,
        })
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
                if phones
                    .iter()
                    .any(|phone| phone["number"] == number && is_so(&phone["network"]))
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .context("the network never became as wanted")?
    }

    /// The first event of the page's stream.
    async fn snapshot(&self) -> Result<Value> {
        let mut answer = reqwest::get(format!("{}/phone/stream", self.origin))
            .await?
            .error_for_status()?;
        let mut text = String::new();
        while let Some(chunk) = answer.chunk().await? {
            text.push_str(std::str::from_utf8(&chunk)?);
            if let Some((first, _)) = text.split_once("\n\n") {
                let data = first
                    .lines()
                    .find_map(|line| line.strip_prefix("data: "))
                    .context("an event has data")?;
                return Ok(serde_json::from_str(data)?);
            }
        }
        bail!("the stream ended before its first event")
    }

    /// Asks the server to stop, as a service manager does; a page that is still open must not keep it.
    pub async fn stop(mut self) {
        let id = self.server.id().expect("it runs").to_string();
        let told = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .expect("kill is there");
        assert!(told.success());
        let ended = tokio::time::timeout(PATIENCE, self.server.wait())
            .await
            .expect("it stops")
            .expect("it was ours");
        assert!(ended.success(), "{ended}");
    }
}
