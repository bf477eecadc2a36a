//! Does Kannel get what its user guide asks for, and is nobody believed who does not know the address?

use std::collections::BTreeMap;

use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{
    self, Answer, CODE, Carried, Hook, NUMBER, SECRET, Subject, answer, call, code_message, header_to_query, meaning, message,
    reference,
};

const HOOK: &str = "https://otp.example.com/hooks/sms/42";

fn config() -> KannelConfig {
    KannelConfig {
        send_url: "http://127.0.0.1:13013/cgi-bin/sendsms".into(),
        username: "tapcode".into(),
        password: Secret::new(format!("{SECRET}-pass & word")),
        from: Some("Acme & Söhne".into()),
        callback_url: HOOK.into(),
        callback_secret: Secret::new(format!("{SECRET}-address")),
    }
}

fn provider() -> Kannel {
    Kannel::new(config()).unwrap()
}

fn hook_url() -> String {
    format!("{HOOK}?ref={}", reference())
}

fn subject() -> Subject {
    Subject {
        provider: Box::new(Carried {
            provider: provider(),
            carry: |hook| header_to_query(hook, "x-key", "key"),
        }),
        answers: Answer::recorded(include_str!("../../fixtures/kannel/answers.json")),
        // There is none: what is said of acceptances here is which words are one.
        documented_id: |body| {
            let words = String::from_utf8_lossy(body);
            let words = words.trim();
            let whole = ["Sent."];
            let beginnings = [
                "0: Accepted for delivery",
                "3: Queued for later delivery",
                "Sent. Message splits: ",
            ];
            let is_one = whole.contains(&words) || beginnings.iter().any(|beginning| words.starts_with(beginning));
            is_one.then(|| "unnamed".to_owned())
        },
        hooks: Hook::recorded(include_str!("../../fixtures/kannel/hooks.json"), &hook_url()),
        foreign: Hook::recorded(include_str!("../../fixtures/kannel/foreign.json"), HOOK),
        signature: "x-key",
        sign: |_, _| format!("{SECRET}-address"),
        over_raw_bytes: true,
    }
}

crate::provider_suite!(secret: subject());

fn parameters(request: &HttpRequest) -> BTreeMap<String, String> {
    let (address, query) = request.url.split_once('?').unwrap();
    assert_eq!(address, "http://127.0.0.1:13013/cgi-bin/sendsms");
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let by_name: BTreeMap<String, String> = parameters.iter().cloned().collect();
    assert_eq!(by_name.len(), parameters.len(), "each once");
    by_name
}

#[test]
fn a_code_goes_out_as_the_user_guide_asks() {
    let request = provider().request(&code_message("en"));
    assert_eq!(
        (&request.method, request.body.len(), request.headers.len()),
        (&Method::GET, 0, 0)
    );
    let text = format!("{CODE} is your Acme code.");
    let password = format!("{SECRET}-pass & word");
    let dlr_url = format!("{}&key={SECRET}-address&status=%d", hook_url());
    let expected = [
        ("username", "tapcode"),
        ("password", &password),
        ("from", "Acme & Söhne"),
        ("to", NUMBER),
        ("text", &text),
        ("charset", "UTF-8"),
        ("coding", "0"),
        ("validity", "5"),
        ("dlr-mask", "27"),
        ("dlr-url", &dlr_url),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(parameters(&request), BTreeMap::from(expected));
    // A space is a border between numbers, so that the plus must not become one.
    assert!(request.url.contains("to=%2B316"), "{}", request.url);
}

#[test]
fn letters_outside_the_gsm_alphabet_are_sent_as_ucs_2() {
    for (text, coding) in [("Hallo & €5 é", "0"), ("Код: 1", "2"), ("ç", "2")] {
        let sent = parameters(&provider().request(&message(Content::Text(text.into()))));
        assert_eq!((&*sent["text"], &*sent["coding"], &*sent["charset"]), (text, coding, "UTF-8"));
    }
}

#[test]
fn what_is_of_use_for_less_than_a_minute_is_given_one() {
    let mut short = code_message("en");
    for (useful_ms, minutes) in [(0, "1"), (59_999, "1"), (119_999, "1"), (120_000, "2")] {
        short.useful_ms = useful_ms;
        assert_eq!(parameters(&provider().request(&short))["validity"], minutes);
    }
}

#[test]
fn without_a_sender_kannels_own_is_taken() {
    let config = KannelConfig { from: None, ..config() };
    let sent = parameters(&Kannel::new(config).unwrap().request(&code_message("en")));
    assert!(!sent.contains_key("from") && sent.contains_key("to"));
}

#[test]
fn a_template_makes_no_sms() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    let sent = parameters(&provider().request(&message(template)));
    assert!(!sent.contains_key("to"), "an empty SMS would go out");
}

#[test]
fn the_address_it_was_given_is_the_address_it_calls() {
    let sent = parameters(&provider().request(&code_message("en")));
    let called = sent["dlr-url"].replace("%d", "1");
    let heard = provider().heard(&call(&called, &[], ""), suite::SENDER).unwrap();
    assert_eq!(
        (heard.receipts[0].reference, &heard.receipts[0].kind),
        (Some(reference()), &ReceiptKind::Delivered)
    );
}

#[test]
fn what_was_not_filled_in_or_stands_there_twice_is_malformed() {
    for status in [
        "",
        "status=",
        "status=%25d",
        "status=1&status=2",
        "status=delivered",
        "status=-1",
        "STATUS=1",
    ] {
        let url = format!("{}&key={SECRET}-address&{status}", hook_url());
        let heard = provider().heard(&call(&url, &[], "status=1"), suite::SENDER);
        assert_eq!(heard, Err(HookError::Malformed), "{status}");
    }
}

#[test]
fn any_other_success_is_unclear() {
    for words in [
        "",
        "Sent",
        "1: Accepted for delivery",
        "OK",
        "accepted",
        "0:Accepted for delivery",
        "sent.",
    ] {
        assert_eq!(meaning(&provider().outcome(&answer(202, words))), "unclear", "{words}");
    }
    assert_eq!(meaning(&provider().outcome(&answer(200, " Sent. \r\n"))), "accepted");
    for status in [302, 406, 408, 499, 500, 502, 503, 504] {
        let outcome = provider().outcome(&answer(status, "0: Accepted for delivery"));
        assert_eq!(meaning(&outcome), "unclear", "{status}");
    }
}

#[test]
fn what_cannot_work_is_named_and_not_shown() {
    type Break = fn(&mut KannelConfig);
    let rows: [(&str, Break); 8] = [
        ("send_url", |c| c.send_url = "127.0.0.1:13013".into()),
        ("send_url", |c| c.send_url += "?username=x"),
        ("username", |c| c.username = String::new()),
        ("password", |c| c.password = Secret::from("")),
        ("callback_url", |c| c.callback_url += "?x=1"),
        ("callback_url", |c| c.callback_url += "/%d"),
        ("callback_secret", |c| c.callback_secret = Secret::from("short")),
        ("callback_secret", |c| c.callback_secret = Secret::from("sixteen%dsixteen")),
    ];
    for (key, break_it) in rows {
        let mut config = config();
        break_it(&mut config);
        assert_eq!(Kannel::new(config).unwrap_err().key, key);
    }
    assert!(!format!("{:?}", config()).contains(SECRET));
}
