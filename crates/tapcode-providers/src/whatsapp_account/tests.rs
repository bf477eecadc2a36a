//! Is Meta asked as it documents, and are its answers read as it documents?

use serde_json::json;
use tapcode_core::account::{MessagingLimit, Quality};
use tapcode_core::delivery::TripScope;
use tapcode_engine::contract::account::App;

use super::*;
use crate::secret::Secret;
use crate::suite::SECRET;
use crate::whatsapp_cloud::WhatsappCloudConfig;

fn provider() -> WhatsappCloud {
    WhatsappCloud::new(WhatsappCloudConfig {
        base_url: "https://graph.example.com".into(),
        api_version: "v25.0".into(),
        waba_id: "2000".into(),
        phone_number_id: "1000".into(),
        access_token: Secret::new(format!("{SECRET}-token")),
        app_secret: Secret::new(format!("{SECRET}-app")),
        verify_token: Secret::new(format!("{SECRET}-verify")),
        template: "login_otp".into(),
        template_languages: vec!["en".into(), "nl".into()],
        default_language: None,
        appsecret_proof: false,
        identity_check: true,
    })
    .unwrap()
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    crate::suite::answer(status, body.to_string())
}

fn draft() -> TemplateDraft {
    TemplateDraft {
        name: "login_otp".into(),
        languages: vec!["en".into(), "nl".into()],
        security_disclaimer: true,
        code_expiration_minutes: Some(5),
        button: ButtonKind::OneTap,
        button_text: None,
        autofill_text: None,
        apps: vec![App {
            package_name: "com.example.app".into(),
            signature_hash: "K8a/AINcGX7".into(),
        }],
        zero_tap_terms_accepted: false,
        send_ttl_seconds: Some(30),
    }
}

#[test]
fn every_request_goes_to_metas_address_with_the_token_in_its_header() {
    let provider = provider();
    let base = "https://graph.example.com/v25.0";
    let rows = [
        (provider.reading(), Method::GET, format!("{base}/1000?fields={NUMBER_FIELDS}")),
        (
            provider.templates(Some("login_otp"), Some("MTAw+/=")),
            Method::GET,
            format!("{base}/2000/message_templates?fields={TEMPLATE_FIELDS}&limit=100&name=login_otp&after=MTAw%2B%2F%3D"),
        ),
        (
            provider.delete("login_otp", Some("594425479261596")),
            Method::DELETE,
            format!("{base}/2000/message_templates?name=login_otp&hsm_id=594425479261596"),
        ),
        (
            provider.preview(&draft()),
            Method::GET,
            format!(
                "{base}/2000/message_template_previews?category=AUTHENTICATION&languages=en,nl&add_security_recommendation=true&button_types=OTP&code_expiration_minutes=5"
            ),
        ),
        (provider.subscriptions(), Method::GET, format!("{base}/2000/subscribed_apps")),
        (provider.subscribe(None), Method::POST, format!("{base}/2000/subscribed_apps")),
        (provider.check_identities(true), Method::POST, format!("{base}/1000/settings")),
    ];
    for (request, method, url) in rows {
        assert_eq!((request.method, request.url.as_str()), (method, url.as_str()));
        assert_eq!(
            request.headers[header::AUTHORIZATION],
            format!("Bearer {SECRET}-token"),
            "{url}"
        );
    }
    let subscribed = provider.subscribe(Some("https://otp.example.com/hooks/whatsapp/1"));
    let body: Value = serde_json::from_slice(&subscribed.body).unwrap();
    assert_eq!(body["override_callback_uri"], "https://otp.example.com/hooks/whatsapp/1");
    assert_eq!(body["verify_token"], format!("{SECRET}-verify"));
    let checked: Value = serde_json::from_slice(&provider.check_identities(true).body).unwrap();
    assert_eq!(
        checked,
        json!({ "user_identity_change": { "enable_identity_key_check": true } })
    );
}

#[test]
fn a_draft_goes_in_one_request_unless_it_has_texts_of_its_own() {
    let provider = provider();
    let [all] = &provider.submit(&draft())[..] else {
        panic!("one request")
    };
    assert_eq!(all.url, "https://graph.example.com/v25.0/2000/upsert_message_templates");
    let own = TemplateDraft {
        languages: vec!["nl".into()],
        button_text: Some("Kopieer".into()),
        ..draft()
    };
    let [one] = &provider.submit(&own)[..] else {
        panic!("one request")
    };
    assert_eq!(one.url, "https://graph.example.com/v25.0/2000/message_templates");
    // Meta's examples of both answers.
    let upserted = json!({ "data": [
        { "id": "954638012257287", "status": "APPROVED", "language": "en" },
        { "id": "969725527415202", "status": "PENDING", "language": "nl" },
    ] });
    let submitted = provider.submit_of(&answer(200, &upserted), None).unwrap();
    assert_eq!(
        submitted.iter().map(|s| (&*s.language, s.status)).collect::<Vec<_>>(),
        [("en", TemplateStatus::Approved), ("nl", TemplateStatus::Pending)]
    );
    let created = json!({ "id": "594425479261596", "status": "PENDING", "category": "AUTHENTICATION" });
    assert_eq!(
        provider.submit_of(&answer(200, &created), Some("nl")).unwrap()[0].id,
        "594425479261596".into()
    );
    assert_eq!(
        provider.submit_of(&answer(200, &json!({})), None),
        Err(AccountError::Undocumented)
    );
}

#[test]
fn a_listed_template_is_read_whole() {
    let listed = json!({
        "data": [{
            "id": "594425479261596", "name": "login_otp", "language": "pt_BR", "status": "APPROVED", "category": "AUTHENTICATION",
            "quality_score": { "score": "YELLOW", "date": 1_739_321_024 }, "rejected_reason": "NONE", "message_send_ttl_seconds": 30,
            "components": [
                { "type": "BODY", "text": "*{{1}}* …", "add_security_recommendation": true },
                { "type": "FOOTER", "text": "…", "code_expiration_minutes": 5 },
                { "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "Copiar", "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}" }] },
            ],
        }, { "id": 7, "name": "sale", "language": "en", "status": "REJECTED", "category": "MARKETING", "rejected_reason": "PROMOTIONAL" }, "odd"],
        "paging": { "cursors": { "before": "A", "after": "B" }, "next": "https://graph.example.com/next" },
    });
    let page = provider().templates_of(&answer(200, &listed)).unwrap();
    assert_eq!(page.next.as_deref(), Some("B"));
    let [login, sale] = &page.templates[..] else {
        panic!("two templates")
    };
    assert_eq!(
        *login,
        Template {
            name: "login_otp".into(),
            language: "pt_BR".into(),
            id: "594425479261596".into(),
            status: TemplateStatus::Approved,
            reason: None,
            quality: Quality::Yellow,
            is_authentication: true,
            send_ttl_s: Some(30),
            code_expiration_minutes: Some(5),
            security_disclaimer: true,
            button: Some(ButtonKind::CopyCode),
        }
    );
    assert_eq!((sale.is_authentication, sale.reason.as_deref()), (false, Some("PROMOTIONAL")));
    let last = json!({ "data": [], "paging": { "cursors": { "after": "B" } } });
    assert_eq!(provider().templates_of(&answer(200, &last)).unwrap().next, None);
}

#[test]
fn health_names_what_is_blocked_and_whose_business_it_is() {
    let health = json!({
        "verified_name": "Acme", "quality_rating": "GREEN", "throughput": { "level": "HIGH" }, "status": "CONNECTED",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
        "health_status": { "can_send_message": "BLOCKED", "entities": [
            { "entity_type": "PHONE_NUMBER", "id": "1000", "can_send_message": "AVAILABLE" },
            { "entity_type": "WABA", "id": "2000", "can_send_message": "BLOCKED", "errors": [
                { "error_code": 141_006, "error_description": "There is an error with the payment method.", "possible_solution": "Add one." }] },
            { "entity_type": "BUSINESS", "id": "3000", "can_send_message": "LIMITED" },
            { "entity_type": "MESSAGE_TEMPLATE", "id": "4000", "can_send_message": "BLOCKED" },
        ] },
    });
    let reading = provider().reading_of(&answer(200, &health), 1).unwrap();
    assert_eq!(reading.facts.messages_per_second, Some(1_000));
    assert_eq!(
        (reading.facts.quality, reading.facts.verified_name.as_deref()),
        (Quality::Green, Some("Acme"))
    );
    assert_eq!(reading.messaging_limit, Some(MessagingLimit::People(2_000)));
    assert_eq!(reading.business.as_deref(), Some("3000"));
    let [(BreakerScope::Account, why)] = &reading.blocked[..] else {
        panic!("{:?}", reading.blocked)
    };
    assert_eq!(&**why, "There is an error with the payment method. Add one.");
}

#[test]
fn a_token_names_its_rights_and_its_end() {
    let scopes = |scopes: Value, ends: i64| json!({ "data": { "type": "SYSTEM_USER", "is_valid": true, "expires_at": ends, "scopes": scopes } });
    let all = scopes(json!(["whatsapp_business_management", "whatsapp_business_messaging"]), 0);
    assert_eq!(provider().rights_of(&answer(200, &all)), Ok(Rights::default()));
    let some = scopes(json!(["whatsapp_business_messaging"]), 1_739_321_024);
    let rights = provider().rights_of(&answer(200, &some)).unwrap();
    assert_eq!(
        (rights.missing, rights.ends_at_s),
        (vec!["whatsapp_business_management"], Some(1_739_321_024))
    );
}

#[test]
fn a_refusal_says_whose_fault_it_is_and_repeats_no_number() {
    let expired =
        json!({ "error": { "message": "Error validating access token for +31611398058", "code": 190, "error_subcode": 463 } });
    let Err(AccountError::Refused(failure)) = provider().reading_of(&answer(401, &expired), 1) else {
        panic!("refused")
    };
    assert_eq!(failure.class, FailureClass::TripBreaker(TripScope::Account));
    assert!(!failure.detail.contains("31611398058"));
    let of_page = json!({ "error": { "code": 2_388_019, "error_user_msg": "Too many templates" } });
    let Err(AccountError::Refused(failure)) = provider().submit_of(&answer(400, &of_page), None) else {
        panic!("refused")
    };
    assert!(failure.detail.ends_with("Too many templates"), "{}", failure.detail);
    let html = crate::suite::answer(502, "<html>Bad gateway</html>");
    assert_eq!(provider().done_of(&html), Err(AccountError::Undocumented));
}

#[test]
fn any_bytes_with_any_status_are_read_without_a_panic() {
    use proptest::prelude::*;
    let provider = provider();
    proptest!(|(status in 100_u16..600, body in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        r#"\{"(data|error|success|paging|health_status)":(\[|\{|7|null|"x"|\[\{"buttons":\[7\]\}\])?[\]\}]{0,3}"#.prop_map(String::into_bytes),
    ])| {
        let answer = crate::suite::answer(status, body);
        let _read = (provider.reading_of(&answer, 1).is_ok(), provider.rights_of(&answer).is_ok(), provider.templates_of(&answer).is_ok());
        let _done = (provider.submit_of(&answer, Some("en")).is_ok(), provider.preview_of(&answer).is_ok(), provider.done_of(&answer).is_ok());
        let _hooks = provider.subscriptions_of(&answer).is_ok();
    });
    assert!(!format!("{provider:?}").contains(SECRET));
}
