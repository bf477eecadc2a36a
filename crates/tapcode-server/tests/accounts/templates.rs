//! Can templates be made, looked at, told about and deleted without Meta's pages, and is what Meta would reject told first?

use http::Method;
use serde_json::{Value, json};
use tapcode_engine::contract::store::Right;
use tapcode_simulator::cloud_api::TemplateState;

use crate::stage::{Answer, Stage, TEMPLATES};

const CHANGES: &str = "template.status_changed";

fn draft() -> Value {
    json!({ "account_id": 1, "name": "login_otp", "languages": ["en", "nl"] })
}

/// Name, language and status of each.
fn told(list: &Value) -> Vec<(String, String, String)> {
    let text = |v: &Value, key: &str| v[key].as_str().unwrap().to_owned();
    let all = list["data"].as_array().unwrap().iter();
    all.map(|t| (text(t, "name"), text(t, "language"), text(t, "status")))
        .collect()
}

fn of(all: &[(String, String, String)]) -> Vec<(&str, &str)> {
    all.iter().map(|(_, language, status)| (&**language, &**status)).collect()
}

#[tokio::test]
async fn a_template_is_made_in_two_languages_approved_by_webhook_and_told_as_an_event() {
    let stage = Stage::set().await;
    let made = stage.post(&stage.admin, TEMPLATES, &draft()).await.expect(201);
    assert_eq!(of(&told(&made)), [("en", "pending"), ("nl", "pending")]);
    let first = &made["data"][0];
    assert_eq!(
        (&first["button"], &first["security_disclaimer"], &first["authentication"]),
        (&json!("copy_code"), &json!(true), &json!(true))
    );
    // What Meta was asked for fits the service: just above its wait of 60 s, and its codes' 270 s rounded up.
    let asked = stage.meta.asked(&Method::POST, "upsert_message_templates");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].json["message_send_ttl_seconds"], 65);
    assert_eq!(asked[0].json["components"][1]["code_expiration_minutes"], 5);
    assert_eq!(
        (&first["send_ttl_seconds"], &first["code_expiration_minutes"]),
        (&json!(65), &json!(5))
    );

    let refused = stage.plain("en").await.refuses(400, "template_unknown");
    assert!(
        refused["errors"][0]["detail"].as_str().unwrap().contains("no language"),
        "{refused}"
    );
    assert_eq!(
        stage
            .hook(stage.meta.decide("login_otp", "en", TemplateState::Approved).await)
            .await,
        200
    );
    assert_eq!(
        stage
            .hook(stage.meta.decide("login_otp", "nl", TemplateState::Rejected).await)
            .await,
        200
    );

    let events = stage.events(&stage.live, CHANGES).await;
    assert_eq!(
        events[0]["data"]["template"],
        json!({ "name": "login_otp", "language": "en", "status": "approved", "before": "pending", "reason": null })
    );
    assert_eq!(
        events[1]["data"]["template"],
        json!({ "name": "login_otp", "language": "nl", "status": "rejected", "before": "pending", "reason": "INVALID_FORMAT" })
    );
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["mode"], events[0].get("service")), (&json!("live"), None));
    for absent in ["to", "country", "metadata", "purpose"] {
        assert_eq!(events[0]["data"].get(absent), None, "{absent}");
    }
    assert_eq!(events[0]["data"]["senders"], json!([1]));
    assert_eq!(stage.events(&stage.other, CHANGES).await, Vec::<Value>::new());
    assert_eq!(stage.events(&stage.admin, CHANGES).await.len(), 2);
    let ids: std::collections::HashSet<_> = events.iter().map(|e| e["id"].to_string()).collect();
    assert_eq!(ids.len(), 2);

    let approved = stage
        .get(&stage.live, &format!("{TEMPLATES}?status=approved"))
        .await
        .expect(200);
    assert_eq!(of(&told(&approved)), [("en", "approved")]);
    let all = stage.get(&stage.live, &format!("{TEMPLATES}/1/login_otp")).await.expect(200);
    assert_eq!(of(&told(&all)), [("en", "approved"), ("nl", "rejected")]);
    let refused = stage.plain("nl").await.refuses(400, "template_unknown");
    assert!(refused["detail"].as_str().unwrap().contains("sent in en now"), "{refused}");
    stage.plain("en").await.expect(201);
    // What Meta lists afterwards is the same, and no news.
    stage
        .post(&stage.admin, &format!("{TEMPLATES}/sync"), &json!({}))
        .await
        .expect(200);
    assert_eq!(stage.events(&stage.admin, CHANGES).await.len(), 2);
}

#[tokio::test]
async fn a_list_that_has_not_caught_up_hides_nothing_that_was_made() {
    let stage = Stage::set().await;
    stage.meta.hide(true);
    let made = stage.post(&stage.admin, TEMPLATES, &draft()).await.expect(201);
    assert_eq!(of(&told(&made)), [("en", "pending"), ("nl", "pending")]);
    let listed = stage.get(&stage.admin, TEMPLATES).await.expect(200);
    assert_eq!(listed, made);
}

#[tokio::test]
async fn every_rule_that_a_draft_breaks_is_named_with_its_source_and_meta_is_not_asked() {
    let stage = Stage::set().await;
    let long = "A text of more than 25 signs";
    let wrong = json!({ "account_id": 1, "name": "Login OTP", "languages": ["en", "en", "pt-BR", "tlh"],
        "code_expiration_minutes": 91, "send_ttl_seconds": 29,
        "button": { "type": "zero_tap", "text": long, "autofill_text": "",
            "apps": [{ "package_name": "example", "signature_hash": "short" }, { "package_name": "com.1a", "signature_hash": "K8a/AINcGX_" }] } });
    let problem = stage
        .post(&stage.admin, TEMPLATES, &wrong)
        .await
        .refuses(400, "template_rejected");
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(
        pointers,
        [
            "/name",
            "/languages/1",
            "/languages/2",
            "/languages/3",
            "/code_expiration_minutes",
            "/send_ttl_seconds",
            "/button/text",
            "/button/autofill_text",
            "/button",
            "/button/apps/0/package_name",
            "/button/apps/0/signature_hash",
            "/button/apps/1/package_name",
            "/button/apps/1/signature_hash",
            "/button/zero_tap_terms_accepted",
        ]
    );
    for error in errors {
        assert_eq!(error["code"], "template_rejected");
        assert!(
            error["source"]
                .as_str()
                .unwrap()
                .starts_with("https://developers.facebook.com/"),
            "{error}"
        );
    }
    assert!(!problem.to_string().contains(long), "it repeats nothing of what was sent");
    // Each alone, where a draft is otherwise as it should be.
    for (field, value, pointer) in [
        ("name", json!(""), "/name"),
        ("name", json!("a".repeat(513)), "/name"),
        ("languages", json!([]), "/languages"),
        ("code_expiration_minutes", json!(0), "/code_expiration_minutes"),
        ("send_ttl_seconds", json!(901), "/send_ttl_seconds"),
        ("button", json!({ "type": "one_tap", "apps": [] }), "/button/apps"),
        (
            "button",
            json!({ "type": "copy_code", "autofill_text": "Fill in" }),
            "/button/autofill_text",
        ),
    ] {
        let mut draft = json!({ "account_id": 1, "name": "login_otp", "languages": ["en"] });
        draft[field] = value;
        let problem = stage
            .post(&stage.admin, TEMPLATES, &draft)
            .await
            .refuses(400, "template_rejected");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
        stage
            .post(&stage.admin, &format!("{TEMPLATES}/1/login_otp/preview"), &preview_of(&draft))
            .await;
    }
    assert_eq!(stage.meta.asked(&Method::POST, "template").len(), 0);
}

/// A draft without what the path names.
fn preview_of(draft: &Value) -> Value {
    let mut body = draft.clone();
    for named in ["account_id", "name"] {
        body.as_object_mut().unwrap().remove(named);
    }
    body
}

#[tokio::test]
async fn the_apps_of_whoever_uses_the_account_are_the_buttons_unless_others_are_named() {
    let stage = Stage::set().await;
    let zero = json!({ "account_id": 1, "name": "login_otp", "languages": ["en"],
        "button": { "type": "zero_tap", "text": "Copy it", "autofill_text": "Fill in", "zero_tap_terms_accepted": true } });
    let made = stage.post(&stage.admin, TEMPLATES, &zero).await.expect(201);
    assert_eq!(made["data"][0]["button"], "zero_tap");
    let asked = stage.meta.asked(&Method::POST, "/message_templates");
    let button = &asked[0].json["components"][2]["buttons"][0];
    assert_eq!(
        button,
        &json!({ "type": "OTP", "otp_type": "ZERO_TAP", "text": "Copy it", "autofill_text": "Fill in",
            "supported_apps": [{ "package_name": "com.example.acme", "signature_hash": "K8a/AINcGX7" }],
            "zero_tap_terms_accepted": true })
    );
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_answered_the_same_and_meta_is_asked_once() {
    let stage = Stage::set().await;
    let key = [("idempotency-key", "template-1")];
    let create = |body: Value| {
        let stage = &stage;
        async move { stage.ask(&stage.admin, Method::POST, TEMPLATES, Some(&body), &key).await }
    };
    let (first, second): (Answer, Answer) = tokio::join!(create(draft()), create(draft()));
    assert_eq!((first.status, second.status), (201, 201));
    assert_ne!(first.replayed, second.replayed, "one of them waited for the other");
    stage
        .hook(stage.meta.decide("login_otp", "en", TemplateState::Approved).await)
        .await;
    let third = create(draft()).await;
    assert!(third.replayed);
    assert_eq!(
        (&first.body, &first.body),
        (&second.body, &third.body),
        "byte for byte, as it was then"
    );
    assert_eq!(stage.meta.asked(&Method::POST, "template").len(), 1);
    let mut other = draft();
    other["name"] = json!("other_otp");
    create(other.clone()).await.refuses(422, "idempotency_key_reused");
    assert_eq!(stage.meta.asked(&Method::POST, "template").len(), 1);
    // A refusal is not remembered: mended, the same key may be used.
    let mended = [("idempotency-key", "template-2")];
    let wrong = json!({ "account_id": 1, "name": "Login" });
    let path = TEMPLATES;
    stage
        .ask(&stage.admin, Method::POST, path, Some(&wrong), &mended)
        .await
        .refuses(400, "template_rejected");
    stage
        .ask(&stage.admin, Method::POST, path, Some(&other), &mended)
        .await
        .expect(201);
}

#[tokio::test]
async fn what_meta_refuses_is_told_in_its_words_and_what_it_does_not_say_is_not_taken_for_done() {
    let stage = Stage::set().await;
    let limit = json!({ "error": { "message": "Application request limit reached", "code": 80007,
        "error_user_msg": "You have reached the limit of templates" } });
    stage.meta.answer_next(400, limit.to_string());
    let problem = stage
        .post(&stage.admin, TEMPLATES, &draft())
        .await
        .refuses(502, "provider_refused");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("80007: ") && detail.contains("limit of templates"),
        "{detail}"
    );
    for (status, body) in [(200, "<html>"), (200, "{}"), (503, "")] {
        stage.meta.answer_next(status, body);
        let problem = stage
            .post(&stage.admin, TEMPLATES, &draft())
            .await
            .refuses(504, "provider_silent");
        assert!(problem["detail"].as_str().unwrap().contains("not known"), "{problem}");
    }
    let list = stage.get(&stage.admin, TEMPLATES).await.expect(200);
    assert_eq!(told(&list), []);
}

#[tokio::test]
async fn a_deleted_template_is_not_sent_any_more() {
    let stage = Stage::with(|meta| {
        for (name, language) in [("login_otp", "en"), ("login_otp", "nl"), ("spare_otp", "en")] {
            meta.has(name, language, TemplateState::Approved);
        }
    })
    .await;
    stage.plain("nl").await.expect(201);
    let of_one = format!("{TEMPLATES}/1/login_otp");
    stage
        .delete(&stage.admin, &format!("{of_one}?language=de"))
        .await
        .refuses(404, "template_not_found");
    stage
        .delete(&stage.admin, &format!("{TEMPLATES}/1/nobody"))
        .await
        .refuses(404, "template_not_found");
    assert_eq!(
        stage.meta.asked(&Method::DELETE, "").len(),
        0,
        "Meta is not asked for what is not there"
    );

    let deleted = stage.delete(&stage.admin, &format!("{of_one}?language=nl")).await.expect(200);
    assert_eq!(deleted, json!({ "deleted": true }));
    let asked = stage.meta.asked(&Method::DELETE, "message_templates");
    assert!(asked[0].query.contains_key("hsm_id"), "one language is deleted by its id");
    let left = stage.get(&stage.admin, &of_one).await.expect(200);
    assert_eq!(of(&told(&left)), [("en", "approved")]);
    stage.plain("nl").await.refuses(400, "template_unknown");
    stage.plain("en").await.expect(201);

    stage.delete(&stage.admin, &of_one).await.expect(200);
    assert!(
        !stage.meta.asked(&Method::DELETE, "message_templates")[1]
            .query
            .contains_key("hsm_id")
    );
    stage.plain("en").await.refuses(400, "template_unknown");
    stage.get(&stage.admin, &of_one).await.refuses(404, "template_not_found");
    let list = stage.get(&stage.admin, TEMPLATES).await.expect(200);
    assert_eq!(
        told(&list),
        [("spare_otp".to_owned(), "en".to_owned(), "approved".to_owned())]
    );
    // A verification does not wait for WhatsApp then.
    let id = stage.begun("+31611398051").await;
    let begun = stage
        .get(&stage.live, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
    assert_eq!(begun["channel"], "sms");
}

#[tokio::test]
async fn people_can_be_shown_what_they_will_see() {
    let stage = Stage::set().await;
    let path = format!("{TEMPLATES}/1/login_otp/preview");
    let body = json!({ "languages": ["en", "nl"], "code_expiration_minutes": 7 });
    let shown = stage.post(&stage.admin, &path, &body).await.expect(200);
    assert_eq!(
        shown["data"][1],
        json!({ "language": "nl", "body": "*{{1}}* is je verificatiecode. Deel deze code voor je eigen veiligheid niet.",
            "footer": "Deze code verloopt over 7 minuten.", "buttons": ["Copy code", "Autofill"] })
    );
    let wrong = json!({ "languages": ["tlh"] });
    stage
        .post(&stage.admin, &path, &wrong)
        .await
        .refuses(400, "template_rejected");
    assert_eq!(stage.meta.asked(&Method::POST, "template").len(), 0, "nothing is made");
}

#[tokio::test]
async fn pages_of_templates_stay_where_they_are_while_templates_come_and_go() {
    let stage = Stage::with(|meta| {
        for name in ["a_otp", "b_otp", "c_otp", "d_otp"] {
            meta.has(name, "en", TemplateState::Approved);
        }
    })
    .await;
    let first = stage.get(&stage.admin, &format!("{TEMPLATES}?limit=2")).await.expect(200);
    let names = |page: &Value| told(page).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a_otp", "b_otp"]);
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    stage.delete(&stage.admin, &format!("{TEMPLATES}/1/a_otp")).await.expect(200);
    let second = stage
        .get(&stage.admin, &format!("{TEMPLATES}?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(
        (names(&second), &second["next_cursor"]),
        (vec!["c_otp".to_owned(), "d_otp".to_owned()], &Value::Null)
    );
    let by_name = stage
        .get(&stage.admin, &format!("{TEMPLATES}?name=c_otp&account_id=1"))
        .await
        .expect(200);
    assert_eq!(names(&by_name), ["c_otp"]);
    for (query, code) in [
        ("cursor=2", "invalid_cursor"),
        ("status=good", "invalid_request"),
        ("account_id=9", "unknown_sender"),
        ("nmae=c_otp", "unknown_field"),
    ] {
        stage
            .get(&stage.admin, &format!("{TEMPLATES}?{query}"))
            .await
            .refuses(400, code);
    }
}

#[tokio::test]
async fn templates_are_read_by_whoever_uses_the_account_and_changed_by_admins() {
    let stage = Stage::with(|meta| meta.has("login_otp", "en", TemplateState::Approved)).await;
    let of_one = format!("{TEMPLATES}/1/login_otp");
    for key in [&stage.admin, &stage.live] {
        assert_eq!(told(&stage.get(key, TEMPLATES).await.expect(200)).len(), 1);
        stage.get(key, &of_one).await.expect(200);
    }
    // The account of another service is the same as none.
    assert_eq!(told(&stage.get(&stage.other, TEMPLATES).await.expect(200)), []);
    stage
        .get(&stage.other, &format!("{TEMPLATES}?account_id=1"))
        .await
        .refuses(400, "unknown_sender");
    let elsewhere = stage.get(&stage.other, &of_one).await.refuses(400, "unknown_sender");
    let nowhere = stage
        .get(&stage.other, &format!("{TEMPLATES}/9/login_otp"))
        .await
        .refuses(400, "unknown_sender");
    assert_eq!(elsewhere["detail"], nowhere["detail"]);
    let verifier = stage.key(Some("acme"), &[Right::Verify, Right::Messages]).await;
    stage.get(&verifier, TEMPLATES).await.refuses(403, "insufficient_rights");
    stage
        .post(&stage.live, TEMPLATES, &draft())
        .await
        .refuses(403, "insufficient_rights");
    stage.delete(&stage.live, &of_one).await.refuses(403, "insufficient_rights");
    for path in ["sync", "1/login_otp/preview"] {
        stage
            .post(&stage.live, &format!("{TEMPLATES}/{path}"), &json!({}))
            .await
            .refuses(403, "insufficient_rights");
    }
    assert_eq!(stage.meta.asked(&Method::POST, "template").len(), 0);
    assert_eq!(stage.meta.asked(&Method::DELETE, "template").len(), 0);
}

#[tokio::test]
async fn a_simulated_account_says_that_it_has_no_templates() {
    let stage = Stage::set().await;
    let mut on_sandbox = draft();
    on_sandbox["account_id"] = json!(2);
    stage
        .post(&stage.admin, TEMPLATES, &on_sandbox)
        .await
        .refuses(400, "no_templates");
    stage
        .delete(&stage.admin, &format!("{TEMPLATES}/2/login_otp"))
        .await
        .refuses(400, "no_templates");
    stage
        .post(&stage.admin, &format!("{TEMPLATES}/2/login_otp/preview"), &json!({}))
        .await
        .refuses(400, "no_templates");
    let mut unknown = draft();
    unknown["account_id"] = json!(9);
    let problem = stage
        .post(&stage.admin, TEMPLATES, &unknown)
        .await
        .refuses(400, "unknown_sender");
    assert_eq!(problem["errors"][0]["pointer"], "/account_id");
}
