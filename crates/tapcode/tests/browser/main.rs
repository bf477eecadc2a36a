//! Does the page of simulated phones do in a browser what it says, for eye, keyboard and screen reader?
//!
//! Each story opens Debian's Chromium on a development server of its own.
//! With `UPDATE_DOCS=1` the picture of the README is taken again.

mod chrome;
mod dev;

use anyhow::{Result, ensure};
use chrome::{allow_clipboard, browse, clipboard, element, now, until};
use dev::Dev;
use serde_json::{Value, json};
use thirtyfour::prelude::*;

const FIRST: &str = "+31611398058";
const SECOND: &str = "+31611398059";

/// The card of a phone, as a selector.
fn card(number: &str) -> String {
    format!("[data-testid=\"phone-{number}\"]")
}

/// The text of the first element that a selector finds, once there is one.
async fn text(driver: &WebDriver, selector: &str) -> Result<String> {
    let found = until(driver, selector, &format!("document.querySelector({selector:?})?.textContent")).await?;
    Ok(found.as_str().unwrap_or_default().to_owned())
}

async fn count(driver: &WebDriver, selector: &str) -> Result<u64> {
    Ok(now(driver, &format!("document.querySelectorAll({selector:?}).length")).await?.as_u64().unwrap_or_default())
}

async fn open(driver: &WebDriver, dev: &Dev) -> Result<()> {
    driver.goto(dev.page()).await?;
    until(driver, "the live stream", "document.getElementById('live').dataset.state === 'live'").await?;
    Ok(())
}

/// Types a number and sends it a code.
async fn send_code(driver: &WebDriver, number: &str) -> Result<()> {
    let field = element(driver, "", "begin-number").await?;
    field.clear().await?;
    field.send_keys(number).await?;
    element(driver, "", "begin-send").await?.click().await?;
    until(driver, "the verification", "/^Verification vrf_\\w+ begun/.test(document.getElementById('begin-result').textContent)").await?;
    Ok(())
}

/// The code on a phone, where a channel has brought it.
async fn code_on(driver: &WebDriver, number: &str, channel: &str) -> Result<String> {
    let code = text(driver, &format!("{} [data-testid=\"bubble-{channel}\"] strong", card(number))).await?;
    ensure!(code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()), "a code of six digits in bold");
    Ok(code)
}

async fn check(driver: &WebDriver, number: &str, code: &str, says: &str) -> Result<()> {
    let field = element(driver, &card(number), "check-code").await?;
    field.clear().await?;
    field.send_keys(code).await?;
    element(driver, &card(number), "check-send").await?.click().await?;
    result(driver, number, says).await
}

async fn result(driver: &WebDriver, number: &str, says: &str) -> Result<()> {
    let selector = format!("{} [data-testid=\"check-result\"]", card(number));
    until(driver, says, &format!("document.querySelector({selector:?}).textContent === {says:?}")).await?;
    Ok(())
}

/// The decision with this title: why it was made, and when by the server's clock in milliseconds.
async fn decision(driver: &WebDriver, number: &str, title: &str) -> Result<(String, i64)> {
    let find = format!(
        "[...document.querySelectorAll('[data-testid=\"timeline-entry\"]')]\
         .filter((e) => e.dataset.number === {number:?} && e.querySelector('[data-part=\"title\"]').textContent === {title:?})\
         .map((e) => ({{ why: e.querySelector('[data-part=\"why\"]').textContent, at: Date.parse(e.querySelector('time').dateTime) }}))[0]"
    );
    let found = until(driver, title, &find).await?;
    Ok((found["why"].as_str().unwrap_or_default().to_owned(), found["at"].as_i64().unwrap_or_default()))
}

async fn has_decision(driver: &WebDriver, title_begins: &str) -> Result<bool> {
    let any = format!(
        "[...document.querySelectorAll('[data-testid=\"timeline-entry\"] [data-part=\"title\"]')].some((t) => t.textContent.startsWith({title_begins:?}))"
    );
    Ok(now(driver, &any).await? == Value::Bool(true))
}

const VALID: &str = "Valid. The verification is approved.";

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_copied_and_pasted_back() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        allow_clipboard(&driver, &dev.origin).await?;
        send_code(&driver, FIRST).await?;
        let code = code_on(&driver, FIRST, "whatsapp").await?;
        let bubble = text(&driver, &format!("{} [data-testid=\"bubble-whatsapp\"] [data-part=\"text\"]", card(FIRST))).await?;
        ensure!(bubble.starts_with(&code) && bubble.contains("do not share"), "the template's words, the security line with them: {bubble}");
        let footer = text(&driver, &format!("{} [data-testid=\"bubble-whatsapp\"] [data-part=\"footer\"]", card(FIRST))).await?;
        ensure!(footer.contains('5'), "the expiry in the footer: {footer}");

        element(&driver, &card(FIRST), "copy-code").await?.click().await?;
        until(&driver, "the button to say so", "document.querySelector('[data-testid=\"copy-code\"]').textContent.trim() === 'Copied'").await?;
        ensure!(clipboard(&driver).await? == code, "the code is on the clipboard");

        element(&driver, &card(FIRST), "check-code").await?.send_keys(Key::Control + "v").await?;
        element(&driver, &card(FIRST), "check-send").await?.click().await?;
        result(&driver, FIRST, VALID).await?;
        let (why, _) = decision(&driver, FIRST, "Approved").await?;
        ensure!(why.contains("WhatsApp"), "{why}");
        ensure!(!has_decision(&driver, "Fell back").await?, "there was nothing to fall back from");
        ensure!(count(&driver, "[data-testid=\"bubble-sms\"]").await? == 0, "no SMS");

        // A page that is opened afterwards shows the same, and still knows which verification the code belongs to.
        open(&driver, &dev).await?;
        decision(&driver, FIRST, "Approved").await?;
        check(&driver, FIRST, &code, "Not valid: the code was already used.").await
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_on_whatsapp_falls_back_to_sms_after_the_wait() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        element(&driver, "", "add-phone").await?.click().await?;
        let deliver = element(&driver, &card(FIRST), "network-deliver").await?;
        deliver.find(By::Css("option[value=never]")).await?.click().await?;
        dev.until_network(FIRST, |network| network["deliver"] == "never").await?;

        send_code(&driver, FIRST).await?;
        until(&driver, "what the phone does not show", "document.querySelector('.pane-whatsapp .hint')?.textContent === 'A message never arrived'").await?;
        let code = code_on(&driver, FIRST, "sms").await?;
        ensure!(count(&driver, "[data-testid=\"bubble-whatsapp\"]").await? == 0, "nothing on WhatsApp");
        let (why, fell_back) = decision(&driver, FIRST, "Fell back to SMS").await?;
        ensure!(why.starts_with("no delivered or read within 2 s of queueing"), "{why}");
        let (_, queued) = decision(&driver, FIRST, "Queued on WhatsApp").await?;
        let waited = fell_back - queued;
        ensure!((i64::from(dev::WAIT_MS)..i64::from(dev::WAIT_MS) + 1_500).contains(&waited), "waited {waited} ms");
        check(&driver, FIRST, &code, VALID).await?;
        if std::env::var_os("UPDATE_DOCS").is_some() {
            take_the_picture(&driver).await?;
        }
        Ok(())
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_whatsapp_gets_its_sms_at_once() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        element(&driver, "", "add-phone").await?.click().await?;
        element(&driver, &card(FIRST), "network-whatsapp").await?.click().await?;
        dev.until_network(FIRST, |network| network["whatsapp"] == false).await?;

        send_code(&driver, FIRST).await?;
        let code = code_on(&driver, FIRST, "sms").await?;
        let (why, fell_back) = decision(&driver, FIRST, "Fell back to SMS").await?;
        ensure!(why.contains("131026"), "{why}");
        let (_, queued) = decision(&driver, FIRST, "Queued on WhatsApp").await?;
        ensure!(fell_back - queued < i64::from(dev::WAIT_MS), "did not wait for what was known");
        check(&driver, FIRST, &code, VALID).await
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_phones_side_by_side_have_codes_of_their_own() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        send_code(&driver, FIRST).await?;
        send_code(&driver, SECOND).await?;
        let first = code_on(&driver, FIRST, "whatsapp").await?;
        let second = code_on(&driver, SECOND, "whatsapp").await?;
        ensure!(first != second, "two verifications, two codes (one run in a million may fail)");
        let place = |number: &str| format!("(({{ x, y, right }}) => [x, y, right])(document.querySelector({:?}).getBoundingClientRect())", card(number));
        let (left, right) = (now(&driver, &place(FIRST)).await?, now(&driver, &place(SECOND)).await?);
        ensure!(left[1] == right[1] && left[2].as_f64() <= right[0].as_f64(), "side by side: {left} and {right}");
        check(&driver, FIRST, &second, "Not valid: that is not the code. 4 checks left.").await?;
        check(&driver, SECOND, &second, VALID).await?;
        check(&driver, FIRST, &first, VALID).await?;
        Ok(())
    })
    .await;
    dev.stop().await;
}

/// The README's picture: beside the fallback a code on WhatsApp, and why each came the way it did.
async fn take_the_picture(driver: &WebDriver) -> Result<()> {
    send_code(driver, SECOND).await?;
    code_on(driver, SECOND, "whatsapp").await?;
    decision(driver, SECOND, "Delivered on WhatsApp").await?;
    driver.execute("scrollTo(0, 0); document.activeElement.blur()", vec![]).await?;
    until(driver, "the end of every movement", "document.getAnimations().every((a) => a.playState !== 'running')").await?;
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images");
    std::fs::create_dir_all(images)?;
    driver.screenshot(std::path::Path::new(&format!("{images}/phone.png"))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_screen_needs_no_sideways_scroll() {
    let dev = Dev::start().await;
    browse(async |driver| {
        let screen = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
        driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await?;
        open(&driver, &dev).await?;
        ensure!(now(&driver, "innerWidth").await? == 390, "the screen is narrow");
        send_code(&driver, FIRST).await?;
        send_code(&driver, SECOND).await?;
        code_on(&driver, FIRST, "whatsapp").await?;
        code_on(&driver, SECOND, "whatsapp").await?;
        decision(&driver, SECOND, "Delivered on WhatsApp").await?;
        let wide = now(&driver, "document.documentElement.scrollWidth").await?;
        ensure!(wide == 390, "{wide} pixels wide");
        let outside = "[...document.querySelectorAll('main button, main input, main select, .entry')]\
             .filter((e) => e.checkVisibility() && (e.getBoundingClientRect().right > 391 || e.getBoundingClientRect().left < -1))\
             .map((e) => e.outerHTML.slice(0, 80))";
        let outside = now(&driver, outside).await?;
        ensure!(outside == json!([]), "nothing to use is off the screen: {outside}");
        Ok(())
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_is_enough() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        allow_clipboard(&driver, &dev.origin).await?;
        tab_to(&driver, "begin-number").await?;
        press(&driver, Key::Enter).await?;
        let code = code_on(&driver, FIRST, "whatsapp").await?;
        tab_to(&driver, "mark-read").await?;
        press(&driver, Key::Enter).await?;
        decision(&driver, FIRST, "Read on WhatsApp").await?;
        tab_to(&driver, "copy-code").await?;
        press(&driver, Key::Space).await?;
        until(&driver, "the button to say so", "document.querySelector('[data-testid=\"copy-code\"]').textContent.trim() === 'Copied'").await?;
        ensure!(clipboard(&driver).await? == code, "the code is on the clipboard");
        ensure!(now(&driver, "document.activeElement.dataset.testid").await? == "copy-code", "focus stays where it was");
        tab_to(&driver, "check-code").await?;
        driver.action_chain().key_down(Key::Control).send_keys("v").key_up(Key::Control).perform().await?;
        press(&driver, Key::Enter).await?;
        result(&driver, FIRST, VALID).await?;
        // Everything else can be reached as well, and what has the focus shows it.
        for control in ["network-whatsapp", "network-deliver", "network-delay"] {
            tab_to(&driver, control).await?;
            let ring = now(&driver, "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).boxShadow").await?;
            ensure!(ring != "nonenone", "{control} shows that it has the focus");
        }
        Ok(())
    })
    .await;
    dev.stop().await;
}

/// Presses Tab until the control has the focus.
async fn tab_to(driver: &WebDriver, test_id: &str) -> Result<()> {
    for _ in 0..40 {
        if now(driver, "document.activeElement?.dataset.testid ?? ''").await? == test_id {
            return Ok(());
        }
        press(driver, Key::Tab).await?;
    }
    anyhow::bail!("Tab never reaches {test_id}")
}

async fn press(driver: &WebDriver, key: Key) -> Result<()> {
    Ok(driver.action_chain().send_keys(char::from(key).to_string()).perform().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_reader_is_told_what_everything_is() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        send_code(&driver, FIRST).await?;
        code_on(&driver, FIRST, "whatsapp").await?;
        let told = accessible(&driver).await?;
        for (role, name) in [
            ("heading", "Simulated phones"),
            ("textbox", "Phone number"),
            ("button", "Send code"),
            ("button", "Add a phone"),
            ("article", FIRST),
            ("button", "Send code to +31611398058"),
            ("button", "Mark as read"),
            ("button", "Copy code"),
            ("textbox", "Type the code"),
            ("button", "Check"),
            ("group", "What the network does"),
            ("switch", "On WhatsApp"),
            ("combobox", "Delivery"),
            ("spinbutton", "Delay ms"),
            ("combobox", "Show decisions about"),
            ("log", "New messages"),
        ] {
            ensure!(told.iter().any(|t| t.0 == role && t.1 == name), "no {role} named {name} among {told:?}");
        }
        for role in ["button", "textbox", "combobox", "switch", "spinbutton", "link"] {
            ensure!(!told.iter().any(|t| t.0 == role && t.1.is_empty()), "a {role} without a name");
        }
        let said = text(&driver, "#announcer").await?;
        ensure!(said.contains(FIRST) && said.contains("WhatsApp message"), "a new message is announced: {said}");
        Ok(())
    })
    .await;
    dev.stop().await;
}

/// Role and name of everything that assistive technology is told of.
async fn accessible(driver: &WebDriver) -> Result<Vec<(String, String)>> {
    driver.cdp().send_raw("Accessibility.enable", json!({})).await?;
    let tree = driver.cdp().send_raw("Accessibility.getFullAXTree", json!({})).await?;
    let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
    let shown = nodes.iter().filter(|node| node["ignored"] != true);
    let word = |value: &Value| value["value"].as_str().unwrap_or_default().trim().to_owned();
    Ok(shown.map(|node| (word(&node["role"]), word(&node["name"]))).collect())
}
