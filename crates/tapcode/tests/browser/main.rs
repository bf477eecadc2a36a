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

/// The number that the page has in its field, on a phone that the development server begins with. Its messages are in Dutch.
const FIRST: &str = "+31611398058";
/// Numbers that are new to the server, with messages in English. They are in the range that is kept for fiction
/// (555-01XX, <https://en.wikipedia.org/wiki/555_(telephone_number)>; from memory).
const SECOND: &str = "+14155550123";
const THIRD: &str = "+14155550124";
/// Never receives WhatsApp messages on a development server, until somebody changes that.
const NEVER: &str = "+14155550142";

/// The card of a phone, as a selector.
fn card(number: &str) -> String {
    format!("[data-testid=\"phone-{number}\"]")
}

/// The text of the first element that a selector finds, once there is one.
async fn text(driver: &WebDriver, selector: &str) -> Result<String> {
    let found = until(
        driver,
        selector,
        &format!("document.querySelector({selector:?})?.textContent"),
    )
    .await?;
    Ok(found.as_str().unwrap_or_default().to_owned())
}

async fn count(driver: &WebDriver, selector: &str) -> Result<u64> {
    Ok(now(driver, &format!("document.querySelectorAll({selector:?}).length"))
        .await?
        .as_u64()
        .unwrap_or_default())
}

async fn open(driver: &WebDriver, dev: &Dev) -> Result<()> {
    driver.goto(dev.page()).await?;
    until(
        driver,
        "the live stream",
        "document.getElementById('live').dataset.state === 'live'",
    )
    .await?;
    Ok(())
}

/// Types a number and sends it a code.
async fn send_code(driver: &WebDriver, number: &str) -> Result<()> {
    let field = element(driver, "", "begin-number").await?;
    field.clear().await?;
    field.send_keys(number).await?;
    element(driver, "", "begin-send").await?.click().await?;
    until(
        driver,
        "the verification",
        "/^Verification vrf_\\w+ begun/.test(document.getElementById('begin-result').textContent)",
    )
    .await?;
    Ok(())
}

/// Adds a phone that nothing was sent to yet.
async fn add_phone(driver: &WebDriver, number: &str) -> Result<()> {
    let field = element(driver, "", "begin-number").await?;
    field.clear().await?;
    field.send_keys(number).await?;
    element(driver, "", "add-phone").await?.click().await?;
    until(driver, "the phone", &format!("document.querySelector({:?})", card(number))).await?;
    Ok(())
}

/// The code on a phone, where a channel has brought it.
async fn code_on(driver: &WebDriver, number: &str, channel: &str) -> Result<String> {
    let code = text(driver, &format!("{} [data-testid=\"bubble-{channel}\"] strong", card(number))).await?;
    ensure!(
        code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()),
        "a code of six digits in bold"
    );
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
    until(
        driver,
        says,
        &format!("document.querySelector({selector:?}).textContent === {says:?}"),
    )
    .await?;
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
    Ok((
        found["why"].as_str().unwrap_or_default().to_owned(),
        found["at"].as_i64().unwrap_or_default(),
    ))
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
        send_code(&driver, SECOND).await?;
        let code = code_on(&driver, SECOND, "whatsapp").await?;
        let bubble = text(
            &driver,
            &format!("{} [data-testid=\"bubble-whatsapp\"] [data-part=\"text\"]", card(SECOND)),
        )
        .await?;
        ensure!(
            bubble.starts_with(&code) && bubble.contains("do not share"),
            "the template's words, the security line with them: {bubble}"
        );
        let footer = text(
            &driver,
            &format!("{} [data-testid=\"bubble-whatsapp\"] [data-part=\"footer\"]", card(SECOND)),
        )
        .await?;
        ensure!(footer.contains('5'), "the expiry in the footer: {footer}");

        element(&driver, &card(SECOND), "copy-code").await?.click().await?;
        until(
            &driver,
            "the button to say so",
            "document.querySelector('[data-testid=\"copy-code\"]').textContent.trim() === 'Copied'",
        )
        .await?;
        ensure!(clipboard(&driver).await? == code, "the code is on the clipboard");

        element(&driver, &card(SECOND), "check-code")
            .await?
            .send_keys(Key::Control + "v")
            .await?;
        element(&driver, &card(SECOND), "check-send").await?.click().await?;
        result(&driver, SECOND, VALID).await?;
        let (why, _) = decision(&driver, SECOND, "Approved").await?;
        ensure!(why.contains("WhatsApp"), "{why}");
        ensure!(
            !has_decision(&driver, "Fell back").await?,
            "there was nothing to fall back from"
        );
        ensure!(count(&driver, "[data-testid=\"bubble-sms\"]").await? == 0, "no SMS");

        // A page that is opened afterwards shows the same, and still knows which verification the code belongs to.
        open(&driver, &dev).await?;
        decision(&driver, SECOND, "Approved").await?;
        check(&driver, SECOND, &code, "Not valid: the code was already used.").await
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_on_whatsapp_falls_back_to_sms_after_the_wait() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        add_phone(&driver, SECOND).await?;
        let deliver = element(&driver, &card(SECOND), "network-deliver").await?;
        deliver.find(By::Css("option[value=never]")).await?.click().await?;
        dev.until_network(SECOND, |network| network["deliver"] == "never").await?;

        send_code(&driver, SECOND).await?;
        until(
            &driver,
            "what the phone does not show",
            "document.querySelector('.pane-whatsapp .hint')?.textContent === 'A message never arrived'",
        )
        .await?;
        let code = code_on(&driver, SECOND, "sms").await?;
        ensure!(
            count(&driver, "[data-testid=\"bubble-whatsapp\"]").await? == 0,
            "nothing on WhatsApp"
        );
        let (why, fell_back) = decision(&driver, SECOND, "Fell back to SMS").await?;
        ensure!(why.starts_with("no delivered or read within 2 s of queueing"), "{why}");
        let (_, queued) = decision(&driver, SECOND, "Queued on WhatsApp").await?;
        let waited = fell_back - queued;
        ensure!(
            (i64::from(dev::WAIT_MS)..i64::from(dev::WAIT_MS) + 1_500).contains(&waited),
            "waited {waited} ms"
        );
        check(&driver, SECOND, &code, VALID).await
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_whatsapp_gets_its_sms_at_once() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        add_phone(&driver, SECOND).await?;
        element(&driver, &card(SECOND), "network-whatsapp").await?.click().await?;
        dev.until_network(SECOND, |network| network["whatsapp"] == false).await?;

        send_code(&driver, SECOND).await?;
        let code = code_on(&driver, SECOND, "sms").await?;
        let (why, fell_back) = decision(&driver, SECOND, "Fell back to SMS").await?;
        ensure!(why.contains("131026"), "{why}");
        let (_, queued) = decision(&driver, SECOND, "Queued on WhatsApp").await?;
        ensure!(
            fell_back - queued < i64::from(dev::WAIT_MS),
            "did not wait for what was known"
        );
        check(&driver, SECOND, &code, VALID).await
    })
    .await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_phones_side_by_side_have_codes_of_their_own() {
    let dev = Dev::start().await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        send_code(&driver, SECOND).await?;
        send_code(&driver, THIRD).await?;
        let first = code_on(&driver, SECOND, "whatsapp").await?;
        let second = code_on(&driver, THIRD, "whatsapp").await?;
        ensure!(
            first != second,
            "two verifications, two codes (one run in a million may fail)"
        );
        let place = |number: &str| {
            format!(
                "(({{ x, y, right }}) => [x, y, right])(document.querySelector({:?}).getBoundingClientRect())",
                card(number)
            )
        };
        let (left, right) = (now(&driver, &place(SECOND)).await?, now(&driver, &place(THIRD)).await?);
        ensure!(
            left[1] == right[1] && left[2].as_f64() <= right[0].as_f64(),
            "side by side: {left} and {right}"
        );
        check(&driver, SECOND, &second, "Not valid: that is not the code. 4 checks left.").await?;
        check(&driver, THIRD, &second, VALID).await?;
        check(&driver, SECOND, &first, VALID).await?;
        Ok(())
    })
    .await;
    dev.stop().await;
}

/// The README's picture: beside a code on WhatsApp a fallback, and why each came the way it did.
#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_story_can_be_told() {
    let dev = Dev::with_phones(&[SECOND, NEVER]).await;
    browse(async |driver| {
        open(&driver, &dev).await?;
        send_code(&driver, SECOND).await?;
        code_on(&driver, SECOND, "whatsapp").await?;
        decision(&driver, SECOND, "Delivered on WhatsApp").await?;
        send_code(&driver, NEVER).await?;
        let code = code_on(&driver, NEVER, "sms").await?;
        decision(&driver, NEVER, "Delivered on SMS").await?;
        check(&driver, NEVER, &code, VALID).await?;
        decision(&driver, NEVER, "Approved").await?;
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let screen = json!({ "width": 1280, "height": 960, "deviceScaleFactor": 1, "mobile": false });
            driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", screen).await?;
            driver
                .execute("document.activeElement.blur(); scrollTo(0, 0)", vec![])
                .await?;
            until(
                &driver,
                "the end of every movement",
                "document.getAnimations().every((a) => a.playState !== 'running')",
            )
            .await?;
            let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images");
            std::fs::create_dir_all(images)?;
            driver
                .screenshot(std::path::Path::new(&format!("{images}/phone.png")))
                .await?;
        }
        Ok(())
    })
    .await;
    dev.stop().await;
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
        // Phones stand in a row of their own that is swiped, so one is looked at after the other.
        for part in [".try", ".timeline", &card(FIRST), &card(SECOND)] {
            let outside = format!(
                "document.querySelector({part:?}).scrollIntoView({{ behavior: 'instant', inline: 'center' }}),\
                 [...document.querySelectorAll({part:?} + ' :is(button, input, select, .entry, .bubble)')]\
                 .filter((e) => e.checkVisibility() && (e.getBoundingClientRect().right > 391 || e.getBoundingClientRect().left < -1))\
                 .map((e) => e.outerHTML.slice(0, 80))"
            );
            let outside = now(&driver, &outside).await?;
            ensure!(outside == json!([]), "off the screen within {part}: {outside}");
            ensure!(now(&driver, "scrollX").await? == 0, "the page itself stays where it is");
        }
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
        until(
            &driver,
            "the button to say so",
            "document.querySelector('[data-testid=\"copy-code\"]').textContent.trim() === 'Copied'",
        )
        .await?;
        ensure!(clipboard(&driver).await? == code, "the code is on the clipboard");
        ensure!(
            now(&driver, "document.activeElement.dataset.testid").await? == "copy-code",
            "focus stays where it was"
        );
        tab_to(&driver, "check-code").await?;
        driver
            .action_chain()
            .key_down(Key::Control)
            .send_keys("v")
            .key_up(Key::Control)
            .perform()
            .await?;
        press(&driver, Key::Enter).await?;
        result(&driver, FIRST, VALID).await?;
        // Everything else can be reached as well, and what has the focus shows it.
        for control in ["network-whatsapp", "network-deliver", "network-delay"] {
            tab_to(&driver, control).await?;
            let ring = now(
                &driver,
                "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).boxShadow",
            )
            .await?;
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
        send_code(&driver, SECOND).await?;
        code_on(&driver, SECOND, "whatsapp").await?;
        let told = accessible(&driver).await?;
        for (role, name) in [
            ("heading", "Tapcode"),
            ("textbox", "Phone number"),
            ("button", "Send code"),
            ("button", "Add a phone"),
            ("article", SECOND),
            ("button", "Send code to +14155550123"),
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
            ensure!(
                told.iter().any(|t| t.0 == role && t.1 == name),
                "no {role} named {name} among {told:?}"
            );
        }
        for role in ["button", "textbox", "combobox", "switch", "spinbutton", "link"] {
            ensure!(!told.iter().any(|t| t.0 == role && t.1.is_empty()), "a {role} without a name");
        }
        let said = text(&driver, "#announcer").await?;
        ensure!(
            said.contains(SECOND) && said.contains("WhatsApp message"),
            "a new message is announced: {said}"
        );
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
