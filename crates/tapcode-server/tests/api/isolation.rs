//! Is another service's, or the other mode's, the same as nothing at all?

use serde_json::json;

use crate::world::{NUMBER, World};

#[tokio::test(start_paused = true)]
async fn another_services_verification_and_message_are_unknown() {
    let world = World::begin().await;
    let (id, code) = world.begun().await;
    let sms = r#"{"from_number_id":42,"to":"+31611398058","body":"Your code is 123456."}"#;
    let message = world.post(&world.live, "/api/v1/sms/messages", sms).await.expect(201);
    let message = message["id"].as_str().unwrap();
    let path = format!("/api/v1/verifications/{id}");
    let check = json!({ "code": code }).to_string();
    for stranger in [&world.other, &world.test] {
        for what in ["", "/timeline"] {
            world
                .get(stranger, &format!("{path}{what}"))
                .await
                .refuses(404, "verification_not_found");
        }
        for (what, body) in [("/check", &*check), ("/resend", "{}"), ("/cancel", "{}")] {
            world
                .post(stranger, &format!("{path}{what}"), body)
                .await
                .refuses(404, "verification_not_found");
        }
        let by_number = json!({ "to": NUMBER, "code": code }).to_string();
        world
            .post(stranger, "/api/v1/verifications/check", &by_number)
            .await
            .refuses(404, "verification_not_found");
        world
            .get(stranger, &format!("/api/v1/sms/messages/{message}"))
            .await
            .refuses(404, "message_not_found");
        assert_eq!(
            world.get(stranger, "/api/v1/verifications").await.expect(200)["data"],
            json!([])
        );
        assert_eq!(world.get(stranger, "/api/v1/events").await.expect(200)["data"], json!([]));
    }
    // On its own channel only.
    world
        .get(&world.live, &format!("/api/v1/whatsapp/messages/{message}"))
        .await
        .refuses(404, "message_not_found");
    // The other mode has its own limits, too.
    world
        .post(&world.test, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string())
        .await
        .expect(201);
    world
        .post(&world.other, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string())
        .await
        .expect(201);
    assert_eq!(
        world.post(&world.live, &format!("{path}/check"), &check).await.expect(200)["valid"],
        true
    );
}

#[tokio::test(start_paused = true)]
async fn an_admin_key_sees_all_and_names_the_service_where_one_is_needed() {
    let world = World::begin().await;
    let (id, _) = world.begun().await;
    let seen = world
        .get(&world.admin, &format!("/api/v1/verifications/{id}"))
        .await
        .expect(200);
    // It may administer; reading numbers is a right of its own.
    assert_eq!(seen["to"], "+31*****8058");
    world
        .get(&world.admin, "/api/v1/verifications")
        .await
        .refuses(400, "service_needed");
    let list = |query: &str| format!("/api/v1/verifications?{query}");
    assert_eq!(
        world.get(&world.admin, &list("service=acme")).await.expect(200)["data"][0]["id"],
        id
    );
    assert_eq!(
        world.get(&world.admin, &list("service=acme&mode=test")).await.expect(200)["data"],
        json!([])
    );
    assert_eq!(
        world.get(&world.admin, &list("service=own")).await.expect(200)["data"],
        json!([])
    );
    world
        .post(&world.admin, "/api/v1/verifications", &json!({ "to": NUMBER }).to_string())
        .await
        .refuses(400, "service_needed");
    assert_eq!(
        world.get(&world.admin, "/api/v1/services").await.expect(200)["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let own = world.get(&world.live, "/api/v1/services").await.expect(200);
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
    insta::assert_snapshot!("services", serde_json::to_string_pretty(&own).unwrap());
    let events = world
        .get(&world.admin, "/api/v1/events?types=verification.created")
        .await
        .expect(200);
    assert_eq!(events["data"][0]["service"], "acme");
    assert_eq!(
        world.get(&world.admin, "/api/v1/events?service=own").await.expect(200)["data"],
        json!([])
    );
}
