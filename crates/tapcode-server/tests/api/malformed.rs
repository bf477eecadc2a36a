//! Is everything malformed answered with a clear problem, and nothing of it stored?

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::world::{NUMBER, World};

const PATH: &str = "/api/v1/verifications";
const SMS: &str = "/api/v1/sms/messages";
const WHATSAPP: &str = "/api/v1/whatsapp/messages";

/// Bodies of POSTs, the code of the problem, and each mistake that must be named.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const CASES: &[Case] = &[
    (PATH, "", "invalid_json", &[("", "invalid_json")]),
    (PATH, "{", "invalid_json", &[("", "invalid_json")]),
    (PATH, r#"{"to":"+31611398058"} x"#, "invalid_json", &[("", "invalid_json")]),
    (
        PATH,
        r#"{"to":"+31611398058","to":"+31611398059"}"#,
        "invalid_json",
        &[("", "invalid_json")],
    ),
    (PATH, "[]", "wrong_type", &[("", "wrong_type")]),
    (PATH, "null", "wrong_type", &[("", "wrong_type")]),
    (PATH, "\"+31611398058\"", "wrong_type", &[("", "wrong_type")]),
    (PATH, "{}", "missing_field", &[("/to", "missing_field")]),
    (PATH, r#"{"to":null}"#, "missing_field", &[("/to", "missing_field")]),
    (PATH, r#"{"to":31611398058}"#, "wrong_type", &[("/to", "wrong_type")]),
    (PATH, r#"{"to":"0611398058"}"#, "invalid_number", &[("/to", "invalid_number")]),
    (
        PATH,
        r#"{"to":"+1900555012312"}"#,
        "invalid_number",
        &[("/to", "invalid_number")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","purpos":"login"}"#,
        "unknown_field",
        &[("/purpos", "unknown_field")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","a/b~c":1}"#,
        "unknown_field",
        &[("/a~1b~0c", "unknown_field")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","purpose":"Log In"}"#,
        "invalid_request",
        &[("/purpose", "invalid_request")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","locale":"dutch language"}"#,
        "invalid_request",
        &[("/locale", "invalid_request")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","workflow":[]}"#,
        "invalid_request",
        &[("/workflow", "invalid_request")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","workflow":{}}"#,
        "wrong_type",
        &[("/workflow", "wrong_type")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","workflow":[{"channel":"fax"},{"wait_ms":-1},{"channel":"sms","wait_ms":600001,"x":1}]}"#,
        "invalid_request",
        &[
            ("/workflow/0/channel", "unknown_channel"),
            ("/workflow/1/channel", "missing_field"),
            ("/workflow/1/wait_ms", "invalid_request"),
            ("/workflow/2/wait_ms", "invalid_request"),
            ("/workflow/2/x", "unknown_field"),
        ],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","workflow":[{"channel":"sms","sender":7}]}"#,
        "unknown_sender",
        &[("/workflow", "unknown_sender")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","code":123456}"#,
        "wrong_type",
        &[("/code", "wrong_type")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","code":"12 34"}"#,
        "invalid_code",
        &[("/code", "invalid_code")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","binding":"39.90"}"#,
        "wrong_type",
        &[("/binding", "wrong_type")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","binding":{}}"#,
        "invalid_request",
        &[("/binding", "invalid_request")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","binding":{"a":[1],"b":null}}"#,
        "wrong_type",
        &[("/binding/a", "wrong_type"), ("/binding/b", "wrong_type")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","client":{"ip":"999.1.1.1","platform":"tv","app_hash":"short","web_origin":"http://x","whatsapp_installed":"yes","user_agent":""}}"#,
        "invalid_request",
        &[
            ("/client/ip", "invalid_request"),
            ("/client/user_agent", "invalid_request"),
            ("/client/platform", "invalid_request"),
            ("/client/app_hash", "invalid_request"),
            ("/client/web_origin", "invalid_request"),
            ("/client/whatsapp_installed", "wrong_type"),
        ],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","metadata":{"a":1,"":"x"}}"#,
        "invalid_request",
        &[("/metadata/a", "wrong_type"), ("/metadata/", "invalid_request")],
    ),
    (
        PATH,
        r#"{"to":"+31611398058","metadata":{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":""}}"#,
        "invalid_request",
        &[("/metadata", "invalid_request")],
    ),
    (
        "/api/v1/verifications/check",
        r#"{"code":"123456","id":"x"}"#,
        "invalid_request",
        &[("/to", "missing_field"), ("/id", "unknown_field")],
    ),
    (
        SMS,
        r#"{"to":"+31611398058","body":"Your code is 123456"}"#,
        "missing_field",
        &[("/from_number_id", "missing_field")],
    ),
    (
        SMS,
        r#"{"from_number_id":42,"from":"x","to":"+31611398058","body":"1234"}"#,
        "invalid_request",
        &[("/from", "invalid_request")],
    ),
    (
        SMS,
        r#"{"from_number_id":7,"to":"+31611398058","body":"1234"}"#,
        "unknown_sender",
        &[("/from_number_id", "unknown_sender")],
    ),
    (
        SMS,
        r#"{"from_number_id":0,"to":"+31611398058","body":"1234"}"#,
        "unknown_sender",
        &[("/from_number_id", "unknown_sender")],
    ),
    (
        SMS,
        r#"{"from":"+3197010259999","to":"+31611398058","body":"1234"}"#,
        "unknown_sender",
        &[("/from", "unknown_sender")],
    ),
    (
        SMS,
        r#"{"from_number_id":42,"to":"+31611398058","body":"Sale! 50% off"}"#,
        "number_carries_codes_only",
        &[("/body", "number_carries_codes_only")],
    ),
    (
        SMS,
        r#"{"from_number_id":42,"to":"+31611398058","body":""}"#,
        "invalid_request",
        &[("/body", "invalid_request")],
    ),
    (
        WHATSAPP,
        r#"{"account_id":"1","to":"x","type":"text","text":{}}"#,
        "invalid_request",
        &[
            ("/account_id", "wrong_type"),
            ("/to", "invalid_number"),
            ("/type", "invalid_request"),
            ("/template", "missing_field"),
            ("/text", "unknown_field"),
        ],
    ),
    (
        WHATSAPP,
        r#"{"account_id":1,"to":"+31611398058","type":"template","template":{"name":"login_otp","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"1234567890123456"}]},{"type":"button","index":true,"parameters":[{"type":"image"}]}]}}"#,
        "invalid_request",
        &[
            ("/template/components/0/parameters/0/text", "invalid_code"),
            ("/template/components/1/sub_type", "missing_field"),
            ("/template/components/1/index", "invalid_request"),
            ("/template/components/1/parameters/0/type", "invalid_request"),
            ("/template/components/1/parameters/0/text", "missing_field"),
        ],
    ),
    (
        WHATSAPP,
        r#"{"account_id":1,"to":"+31611398058","type":"template","template":{"name":"other","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"123456"}]}]}}"#,
        "template_unknown",
        &[("/template/name", "template_unknown")],
    ),
    (
        WHATSAPP,
        r#"{"account_id":9,"to":"+31611398058","type":"template","template":{"name":"login_otp","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"123456"}]}]}}"#,
        "unknown_sender",
        &[("/account_id", "unknown_sender")],
    ),
];

#[tokio::test(start_paused = true)]
async fn every_mistake_of_a_body_is_named_and_nothing_is_stored() {
    let world = World::begin().await;
    for (path, body, code, errors) in CASES {
        let json = world.post(&world.live, path, body).await.refuses(400, code);
        let named: Vec<(&str, &str)> = json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
            .collect();
        assert_eq!(named, *errors, "{body}");
        let text = json.to_string();
        assert!(
            !text.contains("0611398058") && !text.contains("900555"),
            "a problem repeats a number: {text}"
        );
    }
    assert_eq!(world.log_length().await, 0);
    assert_eq!(world.store.scheduled().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_could_be_no_code_is_refused_and_not_counted() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    let check = format!("{PATH}/{id}/check");
    for (code, problem) in [
        ("\"\"", "invalid_code"),
        ("\" - \"", "invalid_code"),
        ("null", "missing_field"),
        ("true", "wrong_type"),
        ("482913", "wrong_type"),
        ("[\"482913\"]", "wrong_type"),
        ("{}", "wrong_type"),
        ("\"48291O\"", "invalid_code"),
        ("\"\u{0664}82913\"", "invalid_code"),
        ("\"'; DROP TABLE\"", "invalid_code"),
    ] {
        world
            .post(&world.live, &check, &format!(r#"{{"code":{code}}}"#))
            .await
            .refuses(400, problem);
        let by_number = format!(r#"{{"to":"{NUMBER}","code":{code}}}"#);
        world
            .post(&world.live, &format!("{PATH}/check"), &by_number)
            .await
            .refuses(400, problem);
    }
    world.post(&world.live, &check, "{}").await.refuses(400, "missing_field");
    let seen = world.get(&world.live, &format!("{PATH}/{id}")).await.expect(200);
    assert_eq!(seen["checks_left"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_bounded_and_declared_as_what_it_is() {
    let world = World::begin().await;
    let large = format!(r#"{{"to":"{NUMBER}","locale":"{}"}}"#, "x".repeat(64 * 1024));
    world.post(&world.live, PATH, &large).await.refuses(413, "body_too_large");
    // Without a declared length too.
    let pieces = (0..80).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1024])));
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", world.live))
        .header("content-type", "application/json")
        .body(Body::from_stream(tokio_stream::iter(pieces)))
        .unwrap();
    world.send(request).await.refuses(413, "body_too_large");
    let body = json!({ "to": NUMBER }).to_string();
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {}", world.live))
            .header("content-type", media);
        world
            .send(request.body(Body::from(body.clone())).unwrap())
            .await
            .refuses(415, "unsupported_media_type");
    }
    let invalid_utf8 = [br#"{"to":""#.as_slice(), &[0xff], br#""}"#].concat();
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", world.live))
        .header("content-type", "application/json");
    world
        .send(request.body(Body::from(invalid_utf8)).unwrap())
        .await
        .refuses(400, "invalid_json");
    let deep = format!(r#"{{"to":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    world.post(&world.live, PATH, &deep).await.refuses(400, "invalid_json");
    // A caller that stops in the middle of a body is let go.
    let stuck = Body::from_stream(tokio_stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", world.live))
        .header("content-type", "application/json");
    world.send(request.body(stuck).unwrap()).await.refuses(408, "request_timeout");
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", world.live))
        .header("content-type", "Application/JSON; charset=utf-8");
    world.send(request.body(Body::from(body)).unwrap()).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn addresses_ids_and_parameters_that_do_not_exist_are_said_to() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    world.get(&world.live, "/api/v1/nothing").await.refuses(404, "not_found");
    world.get(&world.live, "/").await;
    let wrong_method = world.ask(&world.live, Method::DELETE, PATH, None, &[]).await;
    assert!(wrong_method.header("allow").contains("POST"), "{:?}", wrong_method.headers);
    wrong_method.refuses(405, "method_not_allowed");
    for not_id in ["msg_x", "vrf_x", "1", "vrf_%00", "%2e%2e", &id.to_lowercase()] {
        for what in ["", "/timeline"] {
            world
                .get(&world.live, &format!("{PATH}/{not_id}{what}"))
                .await
                .refuses(400, "invalid_id");
        }
        world
            .post(&world.live, &format!("{PATH}/{not_id}/check"), r#"{"code":"123456"}"#)
            .await
            .refuses(400, "invalid_id");
    }
    let mut unknown = id.clone();
    unknown.replace_range(20..24, "0000");
    world
        .get(&world.live, &format!("{PATH}/{unknown}"))
        .await
        .refuses(404, "verification_not_found");
    world
        .get(&world.live, "/api/v1/sms/messages/vrf_x")
        .await
        .refuses(400, "invalid_id");
    for (query, code, pointer) in [
        ("limit=0", "invalid_request", "?limit"),
        ("limit=101", "invalid_request", "?limit"),
        ("limit=ten", "invalid_request", "?limit"),
        ("limit=1&limit=2", "invalid_request", "?limit"),
        ("cursor=AAAA", "invalid_cursor", "?cursor"),
        ("status=done", "invalid_request", "?status"),
        ("after=yesterday", "invalid_request", "?after"),
        ("to=0611398058", "invalid_number", "?to"),
        ("form=x", "unknown_field", "?form"),
        ("service=own", "unknown_field", "?service"),
    ] {
        let json = world.get(&world.live, &format!("{PATH}?{query}")).await.refuses(400, code);
        assert_eq!(json["errors"][0]["pointer"], pointer, "{query}");
    }
    world
        .post(
            &world.live,
            &format!("{PATH}?dry_run=1"),
            &json!({ "to": NUMBER }).to_string(),
        )
        .await
        .refuses(400, "unknown_field");
    world
        .get(&world.live, "/api/v1/events?types=verification.approved,nonsense")
        .await
        .refuses(400, "unknown_event_type");
    world
        .get(&world.live, "/api/v1/events?after=nonsense")
        .await
        .refuses(400, "invalid_cursor");
    let resumed = [("last-event-id", "nonsense")];
    world
        .ask(&world.live, Method::GET, "/api/v1/events/stream", None, &resumed)
        .await
        .refuses(400, "invalid_cursor");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_valid_key_is_asked_for_one() {
    let world = World::begin().await;
    let long = format!("Bearer tc_live_{}", "x".repeat(5_000));
    let none = format!("Bearer {}x", world.live);
    let basic = format!("Basic {}", world.live);
    for header in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some(&*long),
        Some(&*none),
        Some(&*basic),
        Some(&*world.live),
    ] {
        let mut request = Request::post(PATH).header("content-type", "application/json");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        // The body is broken as well: a stranger does not hear about that.
        let refused = world.send(request.body(Body::from("{")).unwrap()).await;
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        refused.refuses(401, "unauthenticated");
    }
    let revoked = world.engine.new_key(
        tapcode_core::recipient::ServiceName::parse("acme"),
        tapcode_core::recipient::Mode::Live,
        vec![],
        "gone",
    );
    let mut kept = revoked.kept.clone();
    kept.revoked_at = Some(world.engine.now());
    world.store.commit_key(&kept.into()).await.unwrap();
    world.get(&revoked.text, PATH).await.refuses(401, "unauthenticated");
    let forbidden = world
        .post(&world.reader, PATH, "{}")
        .await
        .refuses(403, "insufficient_rights");
    assert_eq!(forbidden["detail"], "the key needs the right verify");
    assert_eq!(world.log_length().await, 0);
}
