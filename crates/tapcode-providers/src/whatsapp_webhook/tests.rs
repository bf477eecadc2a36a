use proptest::prelude::*;
use serde_json::json;

use super::*;

const OURS: Ours<'static> = Ours {
    waba_id: "104857600",
    phone_number_id: "206158430",
};

fn told(value: &Value, field: &str) -> Vec<News> {
    let body =
        json!({ "entry": [{ "id": "104857600", "time": 1_739_321_024, "changes": [{ "field": field, "value": value }] }] });
    heard(body.to_string().as_bytes(), &OURS).unwrap().news
}

fn messages(value: &str) -> Result<Heard, HookError> {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"104857600","changes":[{{"field":"messages","value":
            {{"metadata":{{"phone_number_id":"206158430"}},{value}}}}}]}}]}}"#
    );
    heard(body.as_bytes(), &OURS)
}

// The example of https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/message_template_status_update
// (read 2026-11-22): the id is a JSON number beyond what a double holds, the language has a hyphen.
#[test]
fn a_template_tells_its_status_by_name_and_metas_own_spelling_of_the_language() {
    let value = json!({
        "event": "REJECTED", "message_template_id": 1_689_556_908_129_832_003_u64,
        "message_template_name": "login_otp", "message_template_language": "en-US", "reason": "INVALID_FORMAT",
    });
    assert_eq!(
        told(&value, "message_template_status_update"),
        [News::TemplateStatus {
            name: "login_otp".into(),
            language: "en_US".into(),
            id: "1689556908129832003".into(),
            status: TemplateStatus::Rejected,
            reason: Some("INVALID_FORMAT".into()),
        }]
    );
    let words = [
        ("APPROVED", TemplateStatus::Approved),
        ("REINSTATED", TemplateStatus::Approved),
        ("UNARCHIVED", TemplateStatus::Approved),
        ("PENDING", TemplateStatus::Pending),
        ("IN_APPEAL", TemplateStatus::InAppeal),
        ("PAUSED", TemplateStatus::Paused),
        ("DISABLED", TemplateStatus::Disabled),
        ("PENDING_DELETION", TemplateStatus::PendingDeletion),
        ("DELETED", TemplateStatus::Deleted),
        ("ARCHIVED", TemplateStatus::Archived),
        ("LIMIT_EXCEEDED", TemplateStatus::Unusable),
        ("LOCKED", TemplateStatus::Unusable),
        ("A word of next year", TemplateStatus::Unusable),
    ];
    for (word, status) in words {
        assert_eq!(template_status_of(word), status, "{word}");
    }
    // A warning says nothing of whether the template may be sent.
    for event in ["FLAGGED", "LOCKED", "LIMIT_EXCEEDED"] {
        let value = json!({ "event": event, "message_template_name": "login_otp", "message_template_language": "nl" });
        let told = told(&value, "message_template_status_update");
        assert!(
            matches!(&told[..], [News::Remark { about: "template", .. }]),
            "{event}: {told:?}"
        );
    }
}

#[test]
fn quality_category_and_components_of_a_template_are_news() {
    let named = |more: Value| {
        let mut value = json!({ "message_template_name": "login_otp", "message_template_language": "nl" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    assert_eq!(
        told(
            &named(json!({ "previous_quality_score": "GREEN", "new_quality_score": "RED" })),
            "message_template_quality_update"
        ),
        [News::TemplateQuality {
            name: "login_otp".into(),
            language: "nl".into(),
            quality: Quality::Red
        }]
    );
    assert_eq!(
        told(
            &named(json!({ "previous_category": "AUTHENTICATION", "new_category": "MARKETING" })),
            "template_category_update"
        ),
        [News::TemplateCategory {
            name: "login_otp".into(),
            language: "nl".into(),
            is_authentication: false
        }]
    );
    assert!(matches!(
        &told(&named(json!({})), "message_template_components_update")[..],
        [News::Remark {
            about: "template_components",
            ..
        }]
    ));
}

#[test]
fn limits_and_throughput_are_read_in_every_spelling() {
    let people = |most| Some(MessagingLimit::People(most));
    let spellings = [
        (json!("TIER_50"), people(50)),
        (json!("TIER_250"), people(250)),
        (json!("TIER_2K"), people(2_000)),
        (json!("TIER_10K"), people(10_000)),
        (json!("TIER_100K"), people(100_000)),
        (json!("TIER_UNLIMITED"), Some(MessagingLimit::Unlimited)),
        (json!(2000), people(2_000)),
        (json!(-1), Some(MessagingLimit::Unlimited)),
        (json!("TIER_NOT_SET"), None),
        (json!(null), None),
        (json!("TIER_9999999999K"), None),
    ];
    for (value, limit) in spellings {
        assert_eq!(messaging_limit(&value), limit, "{value}");
    }
    let told_limit = told(
        &json!({ "max_daily_conversations_per_business": 2000 }),
        "business_capability_update",
    );
    assert_eq!(told_limit, [News::Limit(MessagingLimit::People(2_000))]);
    let old = told(
        &json!({ "max_daily_conversation_per_phone": 250 }),
        "business_capability_update",
    );
    assert_eq!(old, [News::Limit(MessagingLimit::People(250))]);
    let upgraded = json!({ "event": "THROUGHPUT_UPGRADE", "max_daily_conversations_per_business": "TIER_UNLIMITED" });
    assert_eq!(
        told(&upgraded, "phone_number_quality_update"),
        [
            News::Limit(MessagingLimit::Unlimited),
            remark(NUMBER_NEWS, "a number of the account may send more messages a second"),
        ]
    );
    let flagged = told(&json!({ "event": "FLAGGED" }), "phone_number_quality_update");
    assert_eq!(
        flagged,
        [remark(NUMBER_NEWS, "a number of the account was flagged for its quality")]
    );
}

#[test]
fn what_blocks_an_account_and_what_frees_it() {
    let account = BreakerScope::Account;
    let blocked = |value: Value| match &told(&value, "account_update")[..] {
        [News::Blocked { scope, code, until, .. }] if *scope == BreakerScope::Account => Some((*code, *until)),
        _ => None,
    };
    assert_eq!(blocked(json!({ "event": "ACCOUNT_DELETED" })), Some((CODE_BLOCKED, None)));
    let ban =
        |state: &str| json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": state, "waba_ban_date": "May 1" } });
    assert_eq!(blocked(ban("DISABLE")), Some((CODE_BLOCKED, None)));
    assert_eq!(told(&ban("REINSTATE"), "account_update"), [News::Unblocked(account)]);
    assert_eq!(blocked(ban("SCHEDULE_FOR_DISABLE")), None);
    let restricted = |kind: &str| {
        let info = json!([{ "restriction_type": kind, "expiration": 1_739_321_024 }]);
        json!({ "event": "ACCOUNT_RESTRICTION", "restriction_info": info })
    };
    let until = Timestamp::from_millis(1_739_321_024_000);
    assert_eq!(
        blocked(restricted("RESTRICTED_BIZ_INITIATED_MESSAGING")),
        Some((CODE_RESTRICTED, Some(until)))
    );
    assert_eq!(blocked(restricted("RESTRICTED_ADD_PHONE_NUMBER_ACTION")), None);
    let remarks = [
        json!({ "event": "ACCOUNT_VIOLATION", "violation_info": { "violation_type": "SCAM" } }),
        json!({ "event": "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE" }),
        json!({ "event": "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", "country": "NL" }),
        json!({ "event": "VOLUME_BASED_PRICING_TIER_UPDATE" }),
        json!({ "event": "VERIFIED_ACCOUNT" }),
        json!({ "event": "PARTNER_ADDED" }),
    ];
    for value in remarks {
        assert!(
            matches!(&told(&value, "account_update")[..], [News::Remark { .. }]),
            "{value}"
        );
    }
    assert_eq!(told(&json!({ "no": "event" }), "account_update"), []);
    assert!(matches!(
        &told(&json!({ "alert_type": "OBA_APPROVED" }), "account_alerts")[..],
        [News::Remark {
            about: "account_alert",
            ..
        }]
    ));
    assert_eq!(told(&json!({ "anything": [1] }), "a_field_of_next_year"), []);
}

#[test]
fn a_status_tells_what_is_billed_and_whose_the_number_is() {
    let status = |pricing: &str| {
        let heard = messages(&format!(
            r#""contacts":[{{"user_id":"US.13491208655302741918"}}],"statuses":[{{"id":"wamid.A","status":"delivered",
                "timestamp":"1739321024","recipient_user_id":"US.1","recipient_identity_key_hash":"DF2lS5v2W6x=","unknown":{{"a":[1]}},
                "pricing":{pricing}}}]"#
        ));
        let [receipt] = &heard.unwrap().receipts[..] else {
            panic!("one receipt")
        };
        assert_eq!(receipt.identity.as_deref(), Some("DF2lS5v2W6x="));
        receipt.billing
    };
    let category = |c| Some(Billing::Category(c));
    let rows = [
        (
            r#"{"billable":true,"pricing_model":"PMP","type":"regular","category":"authentication"}"#,
            category(Category::Authentication),
        ),
        (
            r#"{"category":"authentication-international","type":"regular"}"#,
            category(Category::AuthenticationInternational),
        ),
        (
            r#"{"category":"authentication_international"}"#,
            category(Category::AuthenticationInternational),
        ),
        (
            r#"{"category":"authentication","type":"free_entry_point"}"#,
            Some(Billing::Free),
        ),
        (r#"{"category":"authentication","billable":false}"#, Some(Billing::Free)),
        (r#"{"category":"marketing","type":"regular"}"#, Some(Billing::Unknown)),
        (r#"{"type":"regular"}"#, None),
        ("null", None),
    ];
    for (pricing, billing) in rows {
        assert_eq!(status(pricing), billing, "{pricing}");
    }
}

#[test]
fn who_asked_for_no_code_needs_no_number_to_say_so() {
    let pressed = |from: &str| {
        messages(&format!(
            r#""messages":[{{{from}"context":{{"from":"15550783881","id":"wamid.A"}},"id":"wamid.B","timestamp":"1739321024",
                "type":"button","button":{{"payload":"DID_NOT_REQUEST_CODE","text":"I didn't request a code"}}}}]"#
        ))
    };
    for from in [r#""from":"16505551234","#, r#""from_user_id":"US.1","#, ""] {
        let heard = pressed(from).unwrap();
        assert_eq!(heard.receipts.len(), 1, "{from}");
        assert_eq!(
            (&heard.receipts[0].kind, &*heard.receipts[0].provider_message_id),
            (&ReceiptKind::Disowned, "wamid.A")
        );
    }
    let others = messages(
        r#""messages":[{"type":"text","text":{"body":"hello"}},{"type":"button","button":{"payload":"OTHER"},"context":{"id":"wamid.A"}},
            {"type":"button","button":{"payload":"DID_NOT_REQUEST_CODE"}},7,null]"#,
    );
    assert_eq!(others, Ok(Heard::default()));
}

#[test]
fn an_error_of_the_account_is_a_remark_without_numbers_in_it() {
    let heard = messages(r#""errors":[{"code":131042,"title":"Payment of 31611398058 failed"}]"#).unwrap();
    let [News::Remark { about: "error", detail }] = &heard.news[..] else {
        panic!("{heard:?}")
    };
    assert!(detail.starts_with("131042: ") && !detail.contains("31611398058"), "{detail}");
}

#[test]
fn one_unreadable_update_takes_none_of_the_others_with_it() {
    let heard = messages(
        r#""statuses":[{"id":{"not":"text"},"status":"read"},"no object",{"id":"wamid.A","status":"read","errors":"no list"},
            {"id":"wamid.B","status":"read"},{"id":12,"status":"sent","timestamp":1739321024}]"#,
    );
    let receipts = heard.unwrap().receipts;
    let ids: Vec<_> = receipts.iter().map(|r| &*r.provider_message_id).collect();
    assert_eq!(ids, ["wamid.B"]);
}

#[test]
fn a_thousand_escaped_updates_are_read_from_one_call() {
    let status = r#"{"id":"wamid.\u0041\u00e9","status":"delivered","timestamp":"1739321024"}"#;
    let body = vec![status; 1_000].join(",");
    let heard = messages(&format!(r#""statuses":[{body}]"#)).unwrap();
    assert_eq!(heard.receipts.len(), 1_000);
    assert_eq!(&*heard.receipts[999].provider_message_id, "wamid.A\u{e9}");
    let over = vec![status; UPDATES_MAX + 1].join(",");
    assert_eq!(messages(&format!(r#""statuses":[{over}]"#)), Err(HookError::Malformed));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(messages|account_update|event|DISABLED_UPDATE|delivered|failed|206158430|104857600|TIER_2K|.{0,6})"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let key = "(id|field|value|metadata|phone_number_id|statuses|status|errors|code|messages|button|payload|context|event|pricing|restriction_info|ban_info)";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_under_any_field_is_read_without_a_panic(value in any_json(), field in "(messages|account_update|business_capability_update|phone_number_quality_update|message_template_status_update|account_alerts|x)") {
        let body = json!({ "entry": [{ "id": "104857600", "changes": [{ "field": field, "value": value }] }] }).to_string();
        let first = heard(body.as_bytes(), &OURS);
        prop_assert_eq!(&first, &heard(body.as_bytes(), &OURS));
    }
}
