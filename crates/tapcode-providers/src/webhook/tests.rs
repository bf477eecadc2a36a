//! Does a gateway get what its operator wrote, and is nothing believed that it did not sign?

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tapcode_engine::contract::provider::Content;

use super::*;
use crate::suite::{
    Answer, CODE, Carried, Hook, NUMBER, SECRET, Subject, answer, call, code_message, header_to_query, meaning, message,
    reference,
};

const CALLBACK: &str = "https://otp.example.com/hooks/sms/42";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn rules(format: Format) -> ReceiptRules {
    let place = |name: &str| match format {
        Format::Json => format!("/{name}"),
        Format::Form => name.to_owned(),
    };
    ReceiptRules {
        format,
        id: Some(place("id")),
        status: place("status"),
        reason: Some(place("reason")),
        account: Some((place("account"), "acme".to_owned())),
        sent: words(&["sent"]),
        delivered: words(&["delivered", "ok*"]),
        failed: words(&["failed", "expired"]),
        unreachable: words(&["unknown_subscriber"]),
    }
}

fn config() -> WebhookConfig {
    WebhookConfig {
        method: "POST".into(),
        url: "https://gateway.example.com/v1/{from}/send?ttl={ttl_s}".into(),
        headers: vec![("x-tenant".into(), "acme".into())],
        authorization: Some(Secret::new(format!("Bearer {SECRET}-token"))),
        body: Body::Json(r#"{"to":"{to_digits}","text":"{text}","meta":{"ref":"{reference}","cb":"{callback_url}"}}"#.into()),
        from: Some("Acme & Söhne".into()),
        answers: AnswerRules {
            id: Some("/message/id".into()),
            status: Some("/message/state".into()),
            taken: words(&["queued", "ACCEPTED*"]),
            refused: words(&["rejected"]),
        },
        receipts: Some((
            CALLBACK.into(),
            rules(Format::Json),
            Proof::Hmac {
                header: "x-gateway-signature".into(),
                prefix: "sha256=".into(),
                secret: Secret::new(format!("{SECRET}-key")),
                is_base64: false,
            },
        )),
    }
}

fn sign(_url: &str, body: &[u8]) -> String {
    let mac = <Hmac<Sha256>>::new_from_slice(format!("{SECRET}-key").as_bytes()).unwrap();
    let hash = mac.chain_update(body).finalize().into_bytes();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn subject() -> Subject {
    let recorded = [
        (200, r#"{"message":{"id":"m-1","state":"queued"}}"#, "accepted"),
        (202, r#"{"message":{"id":17,"state":"accepted_by_ECHO"}}"#, "accepted"),
        (200, r#"{"message":{"id":"m-1","state":"rejected"}}"#, "next_route refused"),
        (200, r#"{"message":{"id":"m-1","state":"perhaps"}}"#, "unclear"),
        (200, r#"{"message":{"state":"queued"}}"#, "unclear"),
        (401, "{}", "trip_sender http_401"),
        (400, r#"{"error":"ECHO is no number"}"#, "our_mistake http_400"),
        (429, "{}", "retry_here http_429"),
        (503, "{}", "unclear"),
        (302, "{}", "unclear"),
    ];
    let answers = recorded.map(|(status, body, means)| Answer {
        status,
        body: body.as_bytes().to_vec(),
        means: means.into(),
    });
    let hook = |body: &str, tells: &[&str]| Hook {
        url: format!("{CALLBACK}?ref={}", reference()),
        body: body.as_bytes().to_vec(),
        tells: words(tells),
    };
    Subject {
        provider: Box::new(Webhook::new(config()).unwrap()),
        answers: answers.into(),
        documented_id: |body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            let id = match body.pointer("/message/id")? {
                Value::String(id) => id.clone(),
                Value::Number(id) => id.to_string(),
                Value::Bool(id) => id.to_string(),
                _ => return None,
            };
            (1..=PROVIDER_MESSAGE_ID_MAX).contains(&id.len()).then_some(id)
        },
        hooks: vec![
            hook(r#"{"id":"m-1","account":"acme","status":"SENT"}"#, &["sent"]),
            hook(r#"{"id":17,"account":"acme","status":"ok_delivered"}"#, &["delivered"]),
            hook(
                r#"{"id":"m-1","account":"acme","status":"expired","reason":"ECHO is off"}"#,
                &["next_route expired"],
            ),
            hook(
                r#"{"id":"m-1","account":"acme","status":"unknown_subscriber"}"#,
                &["unreachable unknown_subscriber"],
            ),
            hook(r#"{"id":"m-1","account":"acme","status":"thinking"}"#, &[]),
        ],
        foreign: vec![
            hook(r#"{"id":"m-1","account":"other","status":"sent"}"#, &[]),
            hook(r#"{"id":"m-1","status":"sent"}"#, &[]),
        ],
        signature: "x-gateway-signature",
        sign,
        over_raw_bytes: true,
    }
}

crate::provider_suite!(subject());

/// Receipts of whoever knows the address, told in its parameters.
mod by_get {
    use super::*;

    fn by_get() -> Subject {
        let config = WebhookConfig {
            receipts: Some((
                CALLBACK.into(),
                rules(Format::Form),
                Proof::Address(Secret::new(format!("{SECRET}-address"))),
            )),
            ..config()
        };
        let hook = |query: &str, tells: &[&str]| Hook {
            url: format!("{CALLBACK}?ref={}&{query}", reference()),
            body: Vec::new(),
            tells: words(tells),
        };
        Subject {
            provider: Box::new(Carried {
                provider: Webhook::new(config).unwrap(),
                carry: |hook| header_to_query(hook, "x-key", "key"),
            }),
            hooks: vec![
                hook("id=m-1&account=acme&status=sent", &["sent"]),
                hook("id=17&account=acme&status=ok+delivered", &["delivered"]),
                hook(
                    "id=m-1&account=acme&status=expired&reason=ECHO+is%20off",
                    &["next_route expired"],
                ),
                hook("id=m-1&account=acme&status=thinking", &[]),
            ],
            foreign: vec![hook("id=m-1&account=other&status=sent", &[]), hook("id=m-1&status=sent", &[])],
            signature: "x-key",
            sign: |_, _| format!("{SECRET}-address"),
            ..subject()
        }
    }

    crate::provider_suite!(secret: by_get());
}

#[test]
fn the_request_is_the_template_with_every_value_in_its_place() {
    let provider = Webhook::new(config()).unwrap();
    let text = "\"Hi\" \\ {to} & more";
    let request = provider.request(&message(Content::Text(text.into())));
    assert_eq!(request.method, Method::POST);
    assert_eq!(
        request.url,
        "https://gateway.example.com/v1/Acme%20%26%20S%C3%B6hne/send?ttl=300"
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let callback = format!("{CALLBACK}?ref={}", reference());
    assert_eq!(
        body,
        serde_json::json!({"to": &NUMBER[1..], "text": text, "meta": {"ref": reference().to_string(), "cb": callback}})
    );
    assert_eq!(request.headers["x-tenant"], "acme");
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");

    // A gateway in the manner of Kannel: everything in the address.
    let kannel = Webhook::new(WebhookConfig {
        method: "GET".into(),
        url: "http://sms.example.com:13013/cgi-bin/sendsms?to={to}&text={text}&charset=UTF-8&dlr-url={callback_url}".into(),
        body: Body::None,
        authorization: None,
        answers: AnswerRules {
            status: Some(String::new()),
            taken: words(&["0: Accepted*", "3: Queued*"]),
            ..AnswerRules::default()
        },
        receipts: Some((
            CALLBACK.into(),
            ReceiptRules {
                id: None,
                account: None,
                ..rules(Format::Form)
            },
            Proof::Address(Secret::from("a/secret of ours")),
        )),
        ..config()
    })
    .unwrap();
    let request = kannel.request(&code_message("en"));
    assert!(request.body.is_empty() && request.url.contains(&format!("to=%2B{}&text={CODE}%20is", &NUMBER[1..])));
    assert_eq!(meaning(&kannel.outcome(&answer(202, "0: Accepted for delivery"))), "accepted");
    assert_eq!(meaning(&kannel.outcome(&answer(202, "Temporal failure"))), "unclear");

    // The address that it was given is what it proves itself with.
    let dlr = request.url.split_once("dlr-url=").unwrap().1;
    let dlr = percent_encoding::percent_decode_str(dlr).decode_utf8().unwrap().into_owned();
    let heard = kannel.heard(&call(&format!("{dlr}&status=delivered"), &[], ""), 42).unwrap();
    assert_eq!(
        (heard.receipts[0].reference, &heard.receipts[0].kind),
        (Some(reference()), &ReceiptKind::Delivered)
    );
    for wrong in [
        dlr.replace("secret", "secrets"),
        dlr.replace("&key=", "&yek="),
        CALLBACK.to_owned(),
        format!("{CALLBACK}?key="),
    ] {
        let refused = kannel.heard(&call(&format!("{wrong}&status=delivered"), &[], ""), 42);
        assert_eq!(refused, Err(HookError::Signature), "{wrong}");
    }
}

#[test]
fn a_template_of_whatsapps_reaches_nobody() {
    let template = Content::Template {
        name: "login_otp".into(),
        language: "en".into(),
        components: "[]".into(),
    };
    let request = Webhook::new(config()).unwrap().request(&message(template));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["to"], &body["text"]), (&Value::from(""), &Value::from("")));
}

#[test]
fn what_is_wrong_with_a_template_is_found_when_the_provider_is_made() {
    type Change = fn(&mut WebhookConfig);
    let wrong: [(&str, Change); 15] = [
        ("method", |c| c.method = "DELETE".into()),
        ("url", |c| c.url = "https://{to}.example.com/x".into()),
        ("url", |c| c.url = "ftp://example.com/{text}".into()),
        ("url", |c| c.url = "https://example.com/{number}".into()),
        ("url", |c| c.body = Body::Json(r#"{"to":"{to}"}"#.into())),
        ("url", |c| c.body = Body::Json(r#"{"text":"{text}"}"#.into())),
        ("json", |c| c.body = Body::Json(r#"{"to":"{to}","text":{text}}"#.into())),
        ("json", |c| {
            c.body = Body::Json(r#"{"to":"{to}","text":"{text}","x":"{code}"}"#.into())
        }),
        ("form", |c| c.body = Body::Form("to={to}&text={text}&x={".into())),
        ("number", |c| c.from = None),
        ("answer_id", |c| c.answers.id = Some("message.id".into())),
        ("answer_taken", |c| c.answers.taken.clear()),
        ("headers", |c| c.headers = vec![("x y".into(), "z".into())]),
        ("receipt_delivered", |c| c.receipts.as_mut().unwrap().1.delivered.clear()),
        ("receipt_secret", |c| {
            c.receipts.as_mut().unwrap().2 = Proof::Address(Secret::from(""))
        }),
    ];
    for (at, (key, change)) in wrong.into_iter().enumerate() {
        let mut config = config();
        change(&mut config);
        assert_eq!(Webhook::new(config).unwrap_err().key, key, "{at}");
    }
}

#[test]
fn an_acceptance_that_no_rule_can_tell_is_unclear() {
    let mut config = config();
    config.answers = AnswerRules::default();
    let provider = Webhook::new(config).unwrap();
    assert_eq!(
        meaning(&provider.outcome(&answer(200, r#"{"message":{"id":"m-1"}}"#))),
        "unclear"
    );
}

#[test]
fn a_hash_in_base_64_is_believed_where_it_is_configured() {
    let mut config = config();
    let Some((_, _, Proof::Hmac { is_base64, prefix, .. })) = &mut config.receipts else {
        panic!("by HMAC")
    };
    (*is_base64, *prefix) = (true, String::new());
    let provider = Webhook::new(config).unwrap();
    let body = br#"{"id":"m-1","account":"acme","status":"sent"}"#;
    let mac = <Hmac<Sha256>>::new_from_slice(format!("{SECRET}-key").as_bytes()).unwrap();
    let hash = BASE64.encode(mac.chain_update(body).finalize().into_bytes());
    let heard = provider.heard(&call(CALLBACK, &[("x-gateway-signature", hash.as_bytes())], &body[..]), 42);
    assert_eq!(heard.unwrap().receipts.len(), 1);
    let hex = sign("", body);
    let refused = provider.heard(&call(CALLBACK, &[("x-gateway-signature", hex.as_bytes())], &body[..]), 42);
    assert_eq!(refused, Err(HookError::Signature));
}
