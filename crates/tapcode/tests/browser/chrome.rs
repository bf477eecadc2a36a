//! How does a test drive a browser? Debian's Chromium through its ChromeDriver, one of each per story.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longest wait for anything on the page: far beyond what a busy machine needs, so that only what never comes is missed.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition on the page is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// A browser with one window.
pub struct Chrome {
    pub driver: WebDriver,
    // Killed, with what it started, when the story is over.
    _service: Service,
}

struct Service {
    child: Child,
}

impl Drop for Service {
    fn drop(&mut self) {
        // A browser that its driver was not told to close is in the driver's process group.
        if let Some(id) = self.child.id() {
            let group = format!("-{id}");
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn program(variable: &str, default: &str) -> Result<String> {
    let path = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    ensure!(
        std::path::Path::new(&path).exists(),
        "{path} is not there: install Debian's chromium and chromium-driver, or say in {variable} where it is"
    );
    Ok(path)
}

/// Opens a browser, lets the story happen in it, and closes it however the story ends.
pub async fn browse<F, Fut>(story: F)
where
    F: FnOnce(WebDriver) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let chrome = Chrome::open().await.expect("a browser can be opened");
    let driver = chrome.driver.clone();
    if let Err(error) = chrome.driver.clone().run_and_quit(story).await {
        drop(driver);
        panic!("{error:?}");
    }
}

impl Chrome {
    async fn open() -> Result<Self> {
        let chromium = program("TAPCODE_TEST_CHROMIUM", "/usr/bin/chromium")?;
        let chromedriver = program("TAPCODE_TEST_CHROMEDRIVER", "/usr/bin/chromedriver")?;
        let mut child = Command::new(chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver cannot be started")?;
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let service = Service { child };
        let port = tokio::time::timeout(PATIENCE, port(lines))
            .await
            .context("chromedriver does not say its port")??;

        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(&chromium)?;
        for argument in [
            "--headless=new",
            // Tests run as root in a container, where Chromium's own sandbox cannot be set up; it sees our page only.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1280,1000",
            "--force-device-scale-factor=1",
            "--lang=en-GB",
        ] {
            capabilities.add_arg(argument)?;
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await?;
        Ok(Self {
            driver,
            _service: service,
        })
    }
}

async fn port(mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) -> Result<u16> {
    while let Some(line) = lines.next_line().await? {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
    bail!("chromedriver ended without saying its port")
}

/// Returns as soon as a JavaScript expression gives something true, with what it gives.
///
/// # Errors
/// After [`PATIENCE`], with what the page shows.
pub async fn until(driver: &WebDriver, what: &str, expression: &str) -> Result<Value> {
    let script = format!("return ({expression}) || null");
    let looking = async {
        loop {
            let seen = driver.execute(&script, vec![]).await?.json().clone();
            if !seen.is_null() {
                return Ok::<_, anyhow::Error>(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(seen) => seen.with_context(|| format!("waiting for {what}")),
        Err(_) => {
            let page = driver.execute("return document.body.innerText", vec![]).await?;
            bail!(
                "waited {PATIENCE:?} in vain for {what}; the page says:\n{}",
                page.json().as_str().unwrap_or_default()
            )
        }
    }
}

/// What an expression gives now.
pub async fn now(driver: &WebDriver, expression: &str) -> Result<Value> {
    Ok(driver.execute(format!("return {expression}"), vec![]).await?.json().clone())
}

/// The shown element with a test id.
pub async fn element(driver: &WebDriver, within: &str, test_id: &str) -> Result<WebElement> {
    let selector = format!("{within} [data-testid=\"{test_id}\"]");
    Ok(driver
        .query(By::Css(selector))
        .wait(PATIENCE, LOOK)
        .and_displayed()
        .first()
        .await?)
}

/// Lets the page read the clipboard, as somebody does who says yes to the browser's question.
pub async fn allow_clipboard(driver: &WebDriver, origin: &str) -> Result<()> {
    let permissions = json!({ "origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    driver.cdp().send_raw("Browser.grantPermissions", permissions).await?;
    Ok(())
}

/// What is on the clipboard.
pub async fn clipboard(driver: &WebDriver) -> Result<String> {
    let read = "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(`! ${error}`));";
    let text = driver.execute_async(read, vec![]).await?;
    Ok(text.json().as_str().unwrap_or_default().to_owned())
}
