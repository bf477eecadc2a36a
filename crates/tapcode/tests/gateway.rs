//! Does a code reach a phone over a gateway that only its configuration knows, and is its receipt believed? And where both
//! are told by `GET`, with everything in addresses, is none of it in what the process tells about itself?

mod harness;

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use harness::{Home, Server, WAIT_MAX};
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Sent = (HeaderMap, Value);

/// A gateway of nobody's: it keeps what it is sent and takes everything.
async fn gateway() -> (String, mpsc::Receiver<Sent>) {
    let (sent, received) = mpsc::channel::<Sent>(100);
    let take = async |State(sent): State<mpsc::Sender<Sent>>, headers: HeaderMap, body: Bytes| {
        sent.send((headers, serde_json::from_slice(&body).unwrap())).await.unwrap();
        axum::Json(json!({ "result": { "state": "QUEUED", "number": 17 } }))
    };
    (
        listen(Router::new().route("/send", post(take)).with_state(sent)).await,
        received,
    )
}

type Parameters = HashMap<String, String>;

/// The same for one that is told everything in its address, and answers in plain words.
async fn gateway_by_get() -> (String, mpsc::Receiver<Parameters>) {
    let (sent, received) = mpsc::channel::<Parameters>(100);
    let take = async |State(sent): State<mpsc::Sender<Parameters>>, Query(told): Query<Parameters>| {
        sent.send(told).await.unwrap();
        (StatusCode::ACCEPTED, "0: Accepted for delivery")
    };
    (
        listen(Router::new().route("/send", get(take)).with_state(sent)).await,
        received,
    )
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/send", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Begins a verification; its path.
async fn begin(server: &Server, key: &str) -> String {
    let begun = server
        .post("/api/v1/verifications", key, json!({"to": "+31611398058", "locale": "nl"}))
        .await
        .expect(201);
    format!("/api/v1/verifications/{}", begun["id"].as_str().unwrap())
}

async fn next<T>(received: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(WAIT_MAX, received.recv()).await.unwrap().unwrap()
}

async fn is_delivered(server: &Server, key: &str, path: &str) {
    harness::eventually("it is delivered", async || {
        let now = server.get(path, key).await.expect(200);
        (now["attempts"][0]["status"] == "delivered").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_goes_over_a_gateway_and_its_receipt_is_believed_with_the_secret_alone() {
    let (url, mut received) = gateway().await;
    let home = Home::with(&format!(
        r#"
[[services]]
name = "demo"
brand = "Demo"
workflow = [ {{channel = "sms", sender = 44}} ]

[[numbers]]
id = 44
provider = "webhook"
number = "Demo"
url = "{url}"
authorization = "Bearer a-token-of-the-gateway"
json = '{{"recipient":"{{to_digits}}","sender":"{{from}}","message":"{{text}}","notify":"{{callback_url}}"}}'
answer_id = "/result/number"
answer_status = "/result/state"
answer_taken = ["queued"]
receipt_format = "form"
receipt_status = "state"
receipt_delivered = ["arrived"]
receipt_failed = ["lost"]
receipt_secret = "a secret & more"
"#
    ));
    let server = home.serve();
    let key = home.key("demo");
    let path = begin(&server, &key).await;
    let (headers, sent) = next(&mut received).await;
    assert_eq!(headers["authorization"], "Bearer a-token-of-the-gateway");
    assert_eq!((&sent["recipient"], &sent["sender"]), (&json!("31611398058"), &json!("Demo")));
    let text = sent["message"].as_str().unwrap();
    let (code, rest) = text.split_at(6);
    assert_eq!(rest, " is de code voor Demo. Hij is 5 minuten geldig. Deel hem met niemand.");

    let notify = sent["notify"].as_str().unwrap();
    let client = harness::client();
    let told = async |url: &str, state: &str| {
        let answer = client.post(url).form(&[("state", state)]).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(told(&notify.replace("secret", "secrets"), "arrived").await, 401);
    assert_eq!(told(notify, "a word of next year").await, 204);
    assert_eq!(told(notify, "arrived").await, 204);
    is_delivered(&server, &key, &path).await;
    let checked = server
        .post(&format!("{path}/check"), &key, json!({"code": code}))
        .await
        .expect(200);
    assert_eq!(checked["valid"], true);
    for hidden in ["a-token-of-the-gateway", "a secret & more", "a+secret", code, "31611398058"] {
        assert!(!server.log().contains(hidden), "{hidden} is in the log");
    }
}

/// What a gateway tells by calling an address: that the message arrived. Nothing that looks at the address, and nobody who
/// does not know its secret, tells the same; and nothing of all this can be read anywhere.
async fn a_receipt_by_get_is_believed(server: &Server, key: &str, path: &str, told: &str, secret: &str, hidden: &[&str]) {
    let client = harness::client();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(client.head(told)).await, 403, "a look is no receipt");
    assert_eq!(status(client.get(told.replace(secret, &format!("{secret}s")))).await, 401);
    let before = server.get(path, key).await.expect(200);
    assert_ne!(before["attempts"][0]["status"], "delivered");
    assert_eq!(status(client.get(told)).await, 200);
    is_delivered(server, key, path).await;
    let metrics = server.get("/metrics", key).await;
    assert!(metrics.body.contains("tapcode_hooks_total"), "{metrics:?}");
    let told = server.log() + &metrics.body;
    assert!(told.contains("/hooks/sms/{number_id}") && told.contains("a hook was not taken"));
    for hidden in hidden {
        assert!(!told.contains(hidden), "{hidden} can be read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_told_and_tells_by_get_leaves_nothing_in_the_log() {
    let (url, mut received) = gateway_by_get().await;
    let home = Home::with(&format!(
        r#"
[[services]]
name = "demo"
brand = "Demo"
workflow = [ {{channel = "sms", sender = 44}} ]

[[numbers]]
id = 44
provider = "webhook"
method = "GET"
url = "{url}?password=pass-of-the-gateway&to={{to}}&text={{text}}&notify={{callback_url}}"
answer_status = "body"
answer_taken = ["0: Accepted*"]
receipt_format = "form"
receipt_status = "state"
receipt_delivered = ["arrived"]
receipt_secret = "secret-in-the-address"
"#
    ));
    let server = home.serve_with(|command| {
        command.env("TAPCODE__LOG__LEVEL", "trace");
    });
    let key = home.key("demo");
    let path = begin(&server, &key).await;
    let sent = next(&mut received).await;
    assert_eq!((&*sent["to"], &*sent["password"]), ("+31611398058", "pass-of-the-gateway"));
    let told = format!("{}&state=arrived", sent["notify"]);
    let hidden = [
        "pass-of-the-gateway",
        "secret-in-the-address",
        &sent["text"][..6],
        "31611398058",
    ];
    a_receipt_by_get_is_believed(&server, &key, &path, &told, "secret-in-the-address", &hidden).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kannel_is_told_everything_in_its_address_and_believed_for_knowing_ours() {
    let (url, mut received) = gateway_by_get().await;
    let home = Home::with(&format!(
        r#"
[[services]]
name = "demo"
brand = "Demo"
workflow = [ {{channel = "sms", sender = 46}} ]

[[numbers]]
id = 46
provider = "kannel"
number = "Demo"
send_url = "{url}"
username = "user-of-kannel"
password = "pass-of-kannel"
callback_secret = "secret-in-the-address"
"#
    ));
    let server = home.serve_with(|command| {
        command.env("TAPCODE__LOG__LEVEL", "trace");
    });
    let key = home.key("demo");
    let path = begin(&server, &key).await;
    let sent = next(&mut received).await;
    let told = |name: &str| sent[name].as_str();
    assert_eq!((told("to"), told("from"), told("coding")), ("+31611398058", "Demo", "0"));
    assert_eq!((told("username"), told("password")), ("user-of-kannel", "pass-of-kannel"));
    let delivered = told("dlr-url").replace("%d", "1");
    let hidden = ["pass-of-kannel", "secret-in-the-address", &told("text")[..6], "31611398058"];
    a_receipt_by_get_is_believed(&server, &key, &path, &delivered, "secret-in-the-address", &hidden).await;
}
