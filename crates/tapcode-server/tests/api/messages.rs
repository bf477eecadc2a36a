//! Do plain messages go as the seed's examples call them?

use serde_json::json;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_engine::contract::phones::{Deliver, Network, Phones};

use crate::world::{NUMBER, World, named};

const WHATSAPP: &str = "/api/v1/whatsapp/messages";
const SMS: &str = "/api/v1/sms/messages";

fn template(index: serde_json::Value) -> String {
    json!({
        "account_id": 1, "to": NUMBER, "type": "template",
        "template": { "name": "login_otp", "language": { "code": "en" }, "components": [
            { "type": "body", "parameters": [{ "type": "text", "text": "482913" }] },
            { "type": "button", "sub_type": "url", "index": index, "parameters": [{ "type": "text", "text": "482913" }] },
        ] },
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn the_seeds_whatsapp_example_is_accepted_and_waited_for() {
    let world = World::begin().await;
    for index in [json!(0), json!("0")] {
        let sent = world.post(&world.live, WHATSAPP, &template(index)).await.expect(201);
        assert_eq!(
            (&sent["status"], &sent["channel"], &sent["to"]),
            (&json!("accepted"), &json!("whatsapp"), &json!(NUMBER))
        );
        let path = format!("{WHATSAPP}/{}?wait=delivered&timeout_ms=10000", sent["id"].as_str().unwrap());
        let delivered = world.get(&world.live, &path).await.expect(200);
        assert_eq!(delivered["status"], "delivered");
        insta::assert_snapshot!("whatsapp_delivered", named(&without_times(&delivered)));
    }
    let shown = &world.sandbox.all()[0].messages;
    assert!(
        shown.iter().all(|m| m.code.as_deref() == Some("482913")),
        "the code reaches the phone"
    );
}

fn without_times(message: &serde_json::Value) -> serde_json::Value {
    let mut message = message.clone();
    for (name, value) in message.as_object_mut().unwrap() {
        if name.ends_with("_at") && value.is_string() {
            *value = json!("(a moment)");
        }
    }
    if message["provider_message_id"].is_string() {
        message["provider_message_id"] = json!("(the sandbox's)");
    }
    message
}

#[tokio::test(start_paused = true)]
async fn the_seeds_fallback_text_goes_out_on_the_dedicated_number() {
    let world = World::begin().await;
    let body = "Your code is 482913. Expires in 5 minutes.";
    let by_id = world
        .post(
            &world.live,
            SMS,
            &json!({ "from_number_id": 42, "to": NUMBER, "body": body }).to_string(),
        )
        .await
        .expect(201);
    assert_eq!(
        (&by_id["status"], &by_id["segments"], &by_id["encoding"]),
        (&json!("accepted"), &json!(1), &json!("gsm7"))
    );
    let from = json!({ "from": "+31 970 102 53001", "to": NUMBER, "body": "Füße 東京" }).to_string();
    let by_number = world.post(&world.live, SMS, &from).await.expect(201);
    assert_eq!((&by_number["sender"], &by_number["encoding"]), (&json!(43), &json!("ucs2")));
    let long = json!({ "from_number_id": 43, "to": NUMBER, "body": "a".repeat(161) }).to_string();
    assert_eq!(world.post(&world.live, SMS, &long).await.expect(201)["segments"], 2);
    let longest = |n: usize| json!({ "from_number_id": 43, "to": NUMBER, "body": "ä".repeat(n) }).to_string();
    world.post(&world.live, SMS, &longest(1_600)).await.expect(201);
    world
        .post(&world.live, SMS, &longest(1_601))
        .await
        .refuses(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_at_the_time_out_and_at_once_on_failure() {
    let world = World::begin().await;
    let number = Number::parse(NUMBER).unwrap();
    let network = Network {
        deliver: Deliver::Never,
        ..Network::default()
    };
    world.sandbox.set_network(&number, network);
    let sent = world.post(&world.live, WHATSAPP, &template(json!(0))).await.expect(201);
    let path = format!("{WHATSAPP}/{}", sent["id"].as_str().unwrap());
    let before = world.engine.now();
    let silent = world
        .get(&world.live, &format!("{path}?wait=delivered&timeout_ms=3000"))
        .await
        .expect(200);
    assert_ne!(silent["status"], "delivered");
    assert_eq!(world.engine.now().millis_since(before), 3_000);
    world.sandbox.set_network(
        &number,
        Network {
            whatsapp: false,
            ..Network::default()
        },
    );
    let sent = world.post(&world.live, WHATSAPP, &template(json!(0))).await.expect(201);
    let before = world.engine.now();
    let path = format!("{WHATSAPP}/{}?wait=delivered&timeout_ms=60000", sent["id"].as_str().unwrap());
    let failed = world.get(&world.live, &path).await.expect(200);
    assert_eq!(
        (&failed["status"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("131026"))
    );
    assert!(world.engine.now().millis_since(before) < 2_000);
    for query in ["wait=soon", "wait=delivered&timeout_ms=60001", "timeout_ms=-1"] {
        world
            .get(&world.live, &format!("{SMS}/{}?{query}", sent["id"].as_str().unwrap()))
            .await
            .refuses(400, "invalid_request");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_gets_a_bounded_count_of_plain_messages() {
    let world = World::begin().await;
    let body = json!({ "from_number_id": 43, "to": NUMBER, "body": "hello" }).to_string();
    for _ in 0..100 {
        world.post(&world.live, SMS, &body).await.expect(201);
    }
    let refused = world.post(&world.live, SMS, &body).await;
    assert_eq!(refused.header("retry-after"), "3600");
    refused.refuses(429, "too_many_messages");
}

#[tokio::test(start_paused = true)]
async fn senders_are_listed_without_the_sandboxs_own() {
    let world = World::begin().await;
    let accounts = world.get(&world.live, "/api/v1/whatsapp/accounts").await.expect(200);
    let numbers = world.get(&world.live, "/api/v1/numbers").await.expect(200);
    insta::assert_snapshot!("senders", serde_json::to_string_pretty(&json!([accounts, numbers])).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_text_is_seen_with_its_alphabet_and_segments_before_it_is_sent() {
    let world = World::begin().await;
    const PREVIEW: &str = "/api/v1/sms/preview";
    let seen = async |body: serde_json::Value| world.post(&world.live, PREVIEW, &body.to_string()).await.expect(200);
    assert_eq!(
        seen(json!({"locale": "nl-BE", "expires_minutes": 1})).await,
        json!({"text": "000000 is de code voor Acme. Hij is 1 minuut geldig. Deel hem met niemand.",
            "encoding": "gsm7", "segments": 1, "transliterated": null,
            "from_number_id": null, "price": null, "price_at_most": null})
    );
    let own = seen(json!({"locale": "cy-GB"})).await;
    assert_eq!(own["text"], "Cod Acme: 000000", "the service has a text of its own for Welsh");
    let web = json!({"client": {"platform": "web", "web_origin": "https://acme.example"}, "binding": {"amount": "39.90 EUR"}});
    let web = seen(web).await["text"].as_str().unwrap().to_owned();
    assert!(
        web.contains("Only to confirm: 39.90 EUR.") && web.ends_with("\n\n@acme.example #000000"),
        "{web}"
    );
    let own =
        seen(json!({"body": "Kavárna U Žižky: váš stůl je připraven, přijďte prosím do osmi hodin večer. Děkujeme!"})).await;
    assert_eq!((&own["encoding"], &own["segments"]), (&json!("ucs2"), &json!(2)));
    assert_eq!(
        own["transliterated"],
        json!({"text": "Kavarna U Zizky: vas stul je pripraven, prijdte prosim do osmi hodin vecer. Dekujeme!",
            "encoding": "gsm7", "segments": 1})
    );
    assert!(world.sandbox.all()[0].messages.is_empty(), "nothing is sent");
    for wrong in [
        json!({"body": ""}),
        json!({"body": "x".repeat(1_601)}),
        json!({"body": "text", "locale": "nl"}),
        json!({"expires_minutes": 0}),
        json!({"expires_minutes": 11}),
        json!({"locale": "no such language"}),
    ] {
        world.post(&world.live, PREVIEW, &wrong.to_string()).await.expect(400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_message_costs_what_the_table_has_for_each_segment_once_it_has_arrived() {
    let world = World::begin().await;
    const PREVIEW: &str = "/api/v1/sms/preview";
    let body = format!("Your code is 482913. {}", "It is good for 5 minutes. ".repeat(6));
    let seen = async |asked: serde_json::Value| {
        let seen = world.post(&world.live, PREVIEW, &asked.to_string()).await.expect(200);
        json!([seen["segments"], seen["from_number_id"], seen["price"], seen["price_at_most"]])
    };
    let euro = |micros: u32| json!({"amount_micros": micros, "currency": "EUR"});
    let german = "+4915123456789";
    assert_eq!(seen(json!({"to": german})).await, json!([1, 42, euro(60_500), euro(70_000)]));
    assert_eq!(
        seen(json!({"to": german, "body": body})).await,
        json!([2, 42, euro(121_000), euro(140_000)])
    );
    assert_eq!(
        seen(json!({"to": german, "from_number_id": 43})).await,
        json!([1, 43, null, null])
    );
    assert_eq!(seen(json!({"to": NUMBER})).await, json!([1, 42, null, null]));
    for wrong in [
        json!({"from_number_id": 42}),
        json!({"to": german, "from_number_id": 46}),
        json!({"to": "0151"}),
    ] {
        world.post(&world.live, PREVIEW, &wrong.to_string()).await.expect(400);
    }
    let begun = json!({"to": german, "workflow": [{"channel": "sms"}]}).to_string();
    let begun = world.post(&world.live, "/api/v1/verifications", &begun).await.expect(201);
    // Two segments of a caller's own text, and a code: each at its price, and none to where no row is.
    for (to, price) in [(german, euro(121_000)), (NUMBER, json!(null))] {
        let sent = json!({"from_number_id": 42, "to": to, "body": body}).to_string();
        let sent = world.post(&world.live, SMS, &sent).await.expect(201);
        let path = format!("{SMS}/{}?wait=delivered&timeout_ms=10000", sent["id"].as_str().unwrap());
        let delivered = world.get(&world.live, &path).await.expect(200);
        assert_eq!((&delivered["status"], &delivered["price"]), (&json!("delivered"), &price));
    }
    let path = format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap());
    let attempt = &world.get(&world.live, &path).await.expect(200)["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["price"]), (&json!("delivered"), &euro(60_500)));
}

/// The timeline's lines about routes, and which routes carried a message.
async fn routed(world: &World, to: &str, workflow: serde_json::Value) -> (Vec<String>, Vec<String>) {
    let begun = json!({"to": to, "workflow": workflow}).to_string();
    let begun = world.post(&world.live, "/api/v1/verifications", &begun).await.expect(201);
    let path = format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap());
    let timeline = world.get(&world.live, &format!("{path}/timeline")).await.expect(200);
    let told = timeline.to_string();
    let passed_over = told.matches("Passed over").count();
    let attempts = begun["attempts"].as_array().unwrap().iter();
    let taken = attempts
        .map(|a| format!("{} {}", a["channel"].as_str().unwrap(), a["sender"]))
        .collect();
    (vec![passed_over.to_string(), told], taken)
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_may_not_send_to_a_country_is_passed_over_and_the_timeline_says_why() {
    let world = World::begin().await;
    let all = json!([{"channel": "sms", "sender": 44}, {"channel": "sms", "sender": 45}, {"channel": "sms", "sender": 43}]);
    // No letters in the United States, the American number for America only, and what is left for everybody.
    let (told, taken) = routed(&world, "+14155550123", all.clone()).await;
    assert_eq!((told[0].as_str(), taken), ("1", vec!["sms 45".to_owned()]));
    assert!(told[1].contains("carriers there take no senders of letters"), "{}", told[1]);
    let (told, taken) = routed(&world, NUMBER, all.clone()).await;
    assert_eq!((told[0].as_str(), taken), ("1", vec!["sms 44".to_owned()]));
    assert!(told[1].contains("keeps its sender for other countries"), "{}", told[1]);
    let (told, taken) = routed(&world, "+919876543210", all).await;
    assert_eq!((told[0].as_str(), taken), ("2", vec!["sms 43".to_owned()]));
    assert!(
        told[1].contains("with a DLT operator has to be registered there"),
        "{}",
        told[1]
    );
    // Nobody is left: nothing begins, and the reason is told.
    let none = json!({"to": "+14165550123", "workflow": [{"channel": "sms", "sender": 44}]}).to_string();
    let refused = world.post(&world.live, "/api/v1/verifications", &none).await;
    let refused = refused.refuses(400, "no_route").to_string();
    assert!(
        refused.contains("sms sender 44, its sender may not send to the number's country"),
        "{refused}"
    );
    let plain = json!({"from_number_id": 44, "to": "+14155550123", "body": "Your code is 482913."}).to_string();
    world.post(&world.live, SMS, &plain).await.refuses(400, "no_route");
    world.post(&world.test, SMS, &plain).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn a_landline_gets_no_text_message_and_may_get_whatsapp() {
    let world = World::begin().await;
    let landline = "+31201234567";
    let (told, taken) = routed(&world, landline, json!([{"channel": "sms"}, {"channel": "whatsapp"}])).await;
    assert_eq!((told[0].as_str(), taken), ("1", vec!["whatsapp 1".to_owned()]));
    assert!(told[1].contains("the number is a landline"), "{}", told[1]);
    let only_sms = json!({"to": "+31201234568", "workflow": [{"channel": "sms"}]}).to_string();
    let refused = world.post(&world.live, "/api/v1/verifications", &only_sms).await;
    let refused = refused.refuses(400, "invalid_number").to_string();
    assert!(refused.contains("a landline number receives no text messages"), "{refused}");
    let plain = json!({"from_number_id": 43, "to": landline, "body": "Your code is 482913."}).to_string();
    world.post(&world.live, SMS, &plain).await.refuses(400, "invalid_number");
    for phone in world.sandbox.all() {
        assert!(
            phone.messages.iter().all(|m| m.channel == Channel::Whatsapp),
            "no text message was sent"
        );
    }
}
