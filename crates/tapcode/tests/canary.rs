//! Does a code, a number or a secret stay anywhere it should not? A whole story is lived through, with every kind of
//! mistake and a provider that repeats what it was sent; then everything that was written and answered is searched.

mod harness;

use std::fmt;
use std::fs;
use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use harness::collector::{AUTHORIZATION, Collector};
use harness::outside::{ACCESS_TOKEN, APP_SECRET, AUTH_TOKEN, Outside, VERIFY_TOKEN, number, wrong_for};
use harness::{Home, Process, Server, WAIT_MAX, client, eventually};
use serde_json::{Value, json};
use tapcode_simulator::{CallbackAnswer, Signing, cloud_api, twilio};

const VERIFICATIONS: &str = "/api/v1/verifications";
/// A caller's own code.
const OWN_CODE: &str = "KANARI42XY";
/// Codes in plain messages.
const PLAIN_CODES: [&str; 2] = ["7391846205", "5550123987"];

/// Something that must be found nowhere.
struct Secret {
    name: String,
    disguises: Vec<(&'static str, Vec<u8>)>,
}

impl Secret {
    /// A text, and all that a program might make of it without meaning harm.
    fn text(name: impl Into<String>, text: &str) -> Self {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let joined = |with: &str| text.chars().map(String::from).collect::<Vec<_>>().join(with).into_bytes();
        let mut disguises = vec![
            ("as it is", text.as_bytes().to_vec()),
            ("UTF-16, low byte first", utf16(u16::to_le_bytes)),
            ("UTF-16, high byte first", utf16(u16::to_be_bytes)),
            ("hexadecimal", hex.clone().into_bytes()),
            ("hexadecimal in capitals", hex.to_uppercase().into_bytes()),
            ("spaced", joined(" ")),
            ("hyphened", joined("-")),
            ("dotted", joined(".")),
        ];
        for (name, alphabet) in [("base64", STANDARD_NO_PAD), ("base64 for addresses", URL_SAFE_NO_PAD)] {
            for before in 0..3 {
                // What stands before and behind shares the first and the last character; those in between are the text's alone.
                let encoded = alphabet.encode([&vec![0; before], text.as_bytes()].concat());
                let first = (before * 8).div_ceil(6);
                let last = (before + text.len()) * 8 / 6;
                disguises.push((name, encoded.as_bytes()[first..last].to_vec()));
            }
        }
        if let (Ok(value), true) = (text.parse::<u64>(), text.len() >= 9) {
            let trimmed = |bytes: [u8; 8]| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
            let high_first = trimmed(value.to_be_bytes());
            disguises.push(("an integer, low byte first", high_first.iter().rev().copied().collect()));
            disguises.push(("an integer, high byte first", high_first));
        }
        Self {
            name: name.into(),
            disguises,
        }
    }

    /// Bytes, and their usual spellings.
    fn bytes(name: &str, bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut secret = Self::text(name, &hex);
        secret.disguises.push(("the bytes", bytes.to_vec()));
        secret
            .disguises
            .push(("the bytes in base64", STANDARD_NO_PAD.encode(bytes).into_bytes()));
        secret
    }

    /// A number: with and without its calling code, and as it was typed.
    fn number(e164: &str) -> Vec<Self> {
        let digits = e164.strip_prefix('+').expect("E.164");
        let national = digits.strip_prefix("31").expect("a Dutch number");
        vec![
            Self::text(format!("number …{}", &digits[7..]), digits),
            Self::text(format!("national number …{}", &digits[7..]), national),
            Self::text(format!("number …{} as it was typed", &digits[7..]), &typed(e164)),
        ]
    }
}

/// A number as people write it.
fn typed(e164: &str) -> String {
    format!("{} {} {}-{}", &e164[..3], &e164[3..4], &e164[4..8], &e164[8..])
}

/// A place, and what was found in it.
#[derive(PartialEq, Eq)]
struct Leak {
    place: String,
    secret: String,
    disguise: &'static str,
    around: String,
}

impl fmt::Debug for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has {} ({}): …{}…", self.place, self.secret, self.disguise, self.around)
    }
}

/// Everything that was written or answered.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// The database as it lies on the disk now.
    fn add_database(&mut self, home: &Home, when: &str) {
        for name in ["tapcode.db", "tapcode.db-wal", "tapcode.db-shm"] {
            if let Ok(bytes) = fs::read(home.path(name)) {
                self.add(format!("{name} ({when})"), bytes);
            }
        }
    }

    fn leaks(&self, secrets: &[Secret]) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for (place, bytes) in &self.0 {
            for secret in secrets {
                for (disguise, needle) in &secret.disguises {
                    if let Some(at) = find(bytes, needle) {
                        let around = &bytes[at.saturating_sub(60)..(at + needle.len() + 40).min(bytes.len())];
                        let around = String::from_utf8_lossy(around).escape_debug().to_string();
                        leaks.push(Leak {
                            place: place.clone(),
                            secret: secret.name.clone(),
                            disguise,
                            around,
                        });
                    }
                }
            }
        }
        leaks
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    assert!(needle.len() >= 4, "too short to search for");
    let (first, rest) = needle.split_first().expect("a needle");
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        let at = from + at;
        if bytes[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[test]
fn the_search_finds_each_disguise_wherever_it_stands() {
    let secrets = [
        vec![Secret::text("code", OWN_CODE), Secret::bytes("key", &[7; 32])],
        Secret::number(&number(77)),
    ]
    .concat_all();
    for secret in &secrets {
        for (disguise, needle) in &secret.disguises {
            let mut places = Places::default();
            places.add("here", [b"\0before ".as_slice(), needle, b" behind"].concat());
            let found = places.leaks(std::slice::from_ref(secret));
            assert!(
                found.iter().any(|leak| leak.disguise == *disguise),
                "{disguise} of {} is not found",
                secret.name
            );
        }
    }
    // As in Meta's message ids: base64 of bytes in which the number stands anywhere.
    for before in 0..7 {
        let wamid = STANDARD_NO_PAD.encode([&vec![0xf7; before], &number(77).as_bytes()[1..], &[0x15, 2, 0, 17]].concat());
        let mut places = Places::default();
        places.add("here", wamid);
        assert!(!places.leaks(&secrets).is_empty(), "{before} bytes before it");
    }
    let mut places = Places::default();
    places.add(
        "here",
        "nothing but a masked number, +31*****0077, and a code nobody sent, 123456",
    );
    assert_eq!(places.leaks(&secrets), []);
}

trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T> ConcatAll<T> for [Vec<T>; 2] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

/// A provider that refuses everything and repeats it: Meta and Twilio in one.
async fn parrot() -> SocketAddr {
    let answer = async |body: String| {
        let plain = body.replace("%2B", "+").replace('+', " +");
        let details = format!("cannot send {plain}");
        let twilio = json!({"code": 21_211, "message": details, "status": 400, "more_info": details});
        let meta = json!({"message": details, "type": "OAuthException", "code": 131_009, "fbtrace_id": "x",
                          "error_data": {"messaging_product": "whatsapp", "details": details}});
        let both = if body.starts_with('{') {
            json!({ "error": meta })
        } else {
            twilio
        };
        (StatusCode::BAD_REQUEST, Json(both))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

/// A caller whose key may not read full numbers; it keeps everything that it is told.
struct Caller<'a> {
    server: &'a Server,
    key: &'a str,
    told: Places,
}

impl Caller<'_> {
    async fn send(&mut self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = self.server.send(request.bearer_auth(self.key)).await;
        self.told.add(
            format!("answer {}", self.told.0.len()),
            format!("{:?}\n{}", answer.headers, answer.body),
        );
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.send(client().post(format!("{}{path}", self.server.url)).json(&body))
            .await
    }

    async fn get(&mut self, path: &str) -> (u16, Value) {
        self.send(client().get(format!("{}{path}", self.server.url))).await
    }

    async fn begin(&mut self, body: Value) -> String {
        let (status, begun) = self.post(VERIFICATIONS, body).await;
        assert_eq!(status, 201, "{begun}");
        begun["id"].as_str().unwrap().to_owned()
    }

    async fn check(&mut self, id: &str, body: Value) -> Value {
        let (status, checked) = self.post(&format!("{VERIFICATIONS}/{id}/check"), body).await;
        assert_eq!(status, 200, "{checked}");
        checked
    }
}

/// The digits of the code in a text message.
fn code_in(body: &str) -> String {
    let code = body.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 10);
    code.expect("ten digits").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::too_many_lines, reason = "one story, told from top to bottom")]
async fn after_a_whole_story_nothing_is_found_that_should_be_nowhere() {
    let outside = Outside::start().await;
    let parrot = parrot().await;
    let collector = Collector::start().await;
    // Ten digits: six occur in times and counts by chance.
    let mut configuration = outside.services_and_senders(
        "own_codes = true\ncode_length = 10\nresend_cooldown_s = 0\n\
         workflow = [ {channel = \"whatsapp\", sender = 1, wait_ms = 60_000}, {channel = \"sms\", sender = 42} ]",
    );
    let twilio_account = &outside.twilio.config().account_sid;
    configuration.push_str(&format!(
        "\n[[whatsapp_accounts]]\nid = 2\nprovider = \"whatsapp_cloud\"\ntemplate = \"login_otp\"\nbase_url = \"http://{parrot}\"\n\
         waba_id = \"102290129340399\"\nphone_number_id = \"106540352242923\"\naccess_token = \"{ACCESS_TOKEN}\"\n\
         app_secret = \"{APP_SECRET}\"\nverify_token = \"{VERIFY_TOKEN}\"\n\
         \n[[numbers]]\nid = 43\nprovider = \"twilio\"\nnumber = \"+3197010253001\"\nbase_url = \"http://{parrot}\"\n\
         account_sid = \"{twilio_account}\"\nauth_token = \"{AUTH_TOKEN}\"\n"
    ));
    configuration.push_str(&collector.section(""));
    let home = Home::with(&configuration);
    let mut server = outside.serve_with(&home, |command| {
        command.env("TAPCODE__LOG__LEVEL", "trace");
    });
    let (key, reader, admin) = (
        home.key_with(&["--service", "demo", "--rights", "verify,messages"]),
        home.key_with(&["--service", "demo", "--rights", "read"]),
        home.key_with(&["--rights", "admin"]),
    );
    let [own, fallen, refused, plain, stranger] = [1, 2, 3, 4, 5].map(|nth| number(810_150 + nth));
    let mut secrets: Vec<Secret> = [&own, &fallen, &refused, &plain, &stranger]
        .into_iter()
        .flat_map(|n| Secret::number(n))
        .collect();
    for (name, key) in [
        ("the caller's key", &key),
        ("the reader's key", &reader),
        ("the admin's key", &admin),
    ] {
        secrets.push(Secret::text(name, key.rsplit('_').next().expect("a key has parts")));
    }
    let master = fs::read_to_string(home.path("master.key"))
        .expect("the master key")
        .trim()
        .to_owned();
    let master_bytes: Vec<u8> = (0..32)
        .map(|n| u8::from_str_radix(&master[2 * n..2 * n + 2], 16).expect("hexadecimal"))
        .collect();
    secrets.push(Secret::bytes("the master key", &master_bytes));
    for (name, text) in [
        ("Meta's access token", ACCESS_TOKEN),
        ("Meta's app secret", APP_SECRET),
        ("Meta's verify token", VERIFY_TOKEN),
        ("Twilio's auth token", AUTH_TOKEN),
        ("what the collector asks for", AUTHORIZATION),
        ("the own code", OWN_CODE),
        ("a plain WhatsApp code", PLAIN_CODES[0]),
        ("a plain SMS code", PLAIN_CODES[1]),
    ] {
        secrets.push(Secret::text(name, text));
    }

    let mut tail = Process::start({
        let mut command = home.command(["tail", "--json"]);
        command.env("TAPCODE_URL", &server.url).env("TAPCODE_KEY", &reader);
        command
    });
    server.wait_for_log("/api/v1/events/stream");
    outside
        .meta
        .subscribe(&format!("{}/hooks/whatsapp/1", server.url), VERIFY_TOKEN)
        .await
        .expect("the handshake");
    let wrong_handshake = format!("/hooks/whatsapp/1?hub.mode=subscribe&hub.challenge=1&hub.verify_token={VERIFY_TOKEN}x");
    let mut caller = Caller {
        server: &server,
        key: &key,
        told: Places::default(),
    };

    // An own code, delivered and read, guessed wrong and then right.
    outside
        .meta
        .script(&own, cloud_api::Script::delivered().then(cloud_api::ReceiptStep::read()));
    let first = caller
        .begin(json!({"to": typed(&own), "purpose": "login", "code": OWN_CODE, "client": {"ip": "203.0.113.7"}}))
        .await;
    let sent = outside.meta.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!(sent[0].code.as_deref(), Some(OWN_CODE));
    let wamid = sent[0].wamid().expect("a message").to_owned();
    secrets.push(Secret::text(
        "Meta's message id",
        wamid.strip_prefix("wamid.").expect("wamid."),
    ));
    outside.meta.wait_for_webhooks(3, WAIT_MAX).await;
    assert_eq!(
        caller.check(&first, json!({"code": "KANARI42XZ"})).await["reason"],
        "incorrect_code"
    );
    for (body, expected) in [
        (json!({"code": 7_391_846_205_u64}), 400),
        (json!({"code": [OWN_CODE]}), 400),
        (json!({"code": format!("{OWN_CODE}{OWN_CODE}")}), 200),
        (json!({"code": null, "binding": [OWN_CODE]}), 400),
        (json!({"code": OWN_CODE, "binding": &own}), 400),
    ] {
        let (status, answer) = caller.post(&format!("{VERIFICATIONS}/{first}/check"), body).await;
        assert!(status == expected || status == 400, "{status} {answer}");
    }
    let (_, checked) = caller
        .post(
            &format!("{VERIFICATIONS}/check"),
            json!({"to": typed(&own), "purpose": "login", "code": OWN_CODE}),
        )
        .await;
    assert_eq!(checked["valid"], true, "{checked}");

    // Not on WhatsApp: a derived code falls back to SMS, whose receipts come back. Meta's failure speaks of the number.
    let second = caller.begin(json!({"to": &fallen, "binding": {"amount": "39.90 EUR"}})).await;
    let sent = outside.meta.wait_for_messages(2, WAIT_MAX).await;
    let code = sent[1].code.clone().expect("a code");
    secrets.push(Secret::text("a derived code", &code));
    outside.twilio.default_script(twilio::Script::delivered());
    let failed = sent[1]
        .update(cloud_api::Status::Failed { code: 131_026 })
        .expect("a message");
    let mut body: Value = serde_json::from_slice(&outside.meta.statuses_body(&[failed])).expect("JSON");
    let error = body
        .pointer_mut("/entry/0/changes/0/value/statuses/0/errors/0")
        .expect("an error");
    for place in ["title", "message"] {
        error[place] = format!("{fallen} ({}) could not be sent {code}", typed(&fallen)).into();
    }
    error["error_data"] = json!({"details": format!("{fallen} is not on WhatsApp; the code was {code}")});
    let body = serde_json::to_vec(&body).expect("JSON");
    for signing in [
        Signing::Forged,
        Signing::Missing,
        Signing::Header(format!("sha256={APP_SECRET}")),
    ] {
        let answer = outside.meta.send_body(body.clone(), &signing).await;
        assert_eq!(answer, CallbackAnswer::Status(401));
    }
    let cut_short = outside
        .meta
        .send_body(body[..body.len() - 9].to_vec(), &Signing::Proper)
        .await;
    assert_eq!(cut_short, CallbackAnswer::Status(400));
    assert!(outside.meta.send_body(body, &Signing::Proper).await.is_ok());
    let text = outside.twilio.wait_for_messages(1, WAIT_MAX).await[0]
        .body
        .clone()
        .expect("a text");
    assert_eq!(code_in(&text), code);
    outside.twilio.wait_for_callbacks(2, WAIT_MAX).await;
    let wrong = json!({"code": wrong_for(&code), "binding": {"amount": "39.90 EUR"}});
    assert_eq!(caller.check(&second, wrong).await["valid"], false);
    caller
        .post(&format!("{VERIFICATIONS}/{second}/resend"), json!({"channel": "sms"}))
        .await;
    let right = json!({"code": &code, "binding": {"amount": "39.90 EUR"}});
    assert_eq!(caller.check(&second, right).await["valid"], true);

    // Two providers that repeat the number and the code in their refusals.
    let workflow = json!([{"channel": "whatsapp", "sender": 2}, {"channel": "sms", "sender": 43}]);
    let third = caller
        .begin(json!({"to": &refused, "code": OWN_CODE, "workflow": workflow}))
        .await;
    let failed = eventually("both refuse", async || {
        let found = server.get(&format!("{VERIFICATIONS}/{third}"), &key).await.expect(200);
        (found["status"] == "failed").then_some(found)
    })
    .await;
    for attempt in failed["attempts"].as_array().unwrap() {
        assert!(
            attempt["failure"]["detail"].as_str().unwrap().contains("cannot send"),
            "the refusal is not told: {failed}"
        );
    }
    caller.get(&format!("{VERIFICATIONS}/{third}")).await;

    // Plain messages.
    outside.meta.script(&plain, cloud_api::Script::delivered());
    let parameters = json!([{"type": "text", "text": PLAIN_CODES[0]}]);
    let components = json!([{"type": "body", "parameters": parameters},
                            {"type": "button", "sub_type": "url", "index": 0, "parameters": parameters}]);
    let message = json!({"account_id": 1, "to": typed(&plain), "type": "template",
                         "template": {"name": "login_otp", "language": {"code": "en"}, "components": components}});
    let (status, sent) = caller.post("/api/v1/whatsapp/messages", message.clone()).await;
    assert_eq!(status, 201, "{sent}");
    let path = format!(
        "/api/v1/whatsapp/messages/{}?wait=delivered&timeout_ms=20000",
        sent["id"].as_str().unwrap()
    );
    assert_eq!(caller.get(&path).await.1["status"], "delivered");
    let body = format!("Your code is {}, {}.", PLAIN_CODES[1], typed(&plain));
    for sender in [42, 43] {
        let (status, sent) = caller
            .post(
                "/api/v1/sms/messages",
                json!({"from_number_id": sender, "to": &plain, "body": &body}),
            )
            .await;
        assert_eq!(status, 201, "{sent}");
        let path = format!(
            "/api/v1/sms/messages/{}?wait=delivered&timeout_ms=20000",
            sent["id"].as_str().unwrap()
        );
        let found = caller.get(&path).await.1;
        assert_eq!(found["status"], if sender == 42 { "delivered" } else { "failed" }, "{found}");
    }
    let mut mistaken = message;
    mistaken["template"]["name"] = OWN_CODE.into();
    assert_eq!(caller.post("/api/v1/whatsapp/messages", mistaken).await.0, 400);

    // Every place in which a caller can put a number or a code by mistake.
    let digits = &stranger[1..];
    for (body, expected) in [
        (json!({"to": digits.parse::<u64>().unwrap()}), 400),
        (json!({"to": format!("00{digits}")}), 400),
        (json!({"to": format!("{stranger};ext=1")}), 400),
        (json!({"to": [&stranger]}), 400),
        (json!({"to": &stranger, "purpose": &stranger}), 400),
        (json!({"to": &stranger, "code": format!("{OWN_CODE}{OWN_CODE}")}), 400),
        (
            json!({"to": &stranger, "locale": &stranger, "workflow": [{"channel": &stranger}]}),
            400,
        ),
        (
            json!({"to": &stranger, "client": {"ip": &stranger, "app_hash": OWN_CODE}}),
            400,
        ),
    ] {
        let (status, answer) = caller.post(VERIFICATIONS, body).await;
        assert_eq!(status, expected, "{answer}");
    }
    // A field that is not known is named to whoever sent it, as the API promises; but nowhere else.
    for body in [
        json!({ &stranger: OWN_CODE }),
        json!({"to": &stranger, OWN_CODE: &stranger, "client": {&stranger: 1}}),
    ] {
        assert!(
            server.post(VERIFICATIONS, &key, body).await.expect(400)["errors"]
                .to_string()
                .contains("unknown_field")
        );
    }
    let typed_in_address = typed(&stranger).replace('+', "%2B").replace(' ', "%20");
    for path in [
        format!("{VERIFICATIONS}/{stranger}"),
        format!("{VERIFICATIONS}/{OWN_CODE}"),
        format!("{VERIFICATIONS}?to=%2B{digits}"),
        format!("{VERIFICATIONS}?to={typed_in_address}&status={OWN_CODE}"),
        format!("{VERIFICATIONS}?{digits}={OWN_CODE}"),
        format!("/api/v1/recipients/%2B{digits}"),
        format!("/{stranger}/{OWN_CODE}"),
        format!("/hooks/sms/{digits}"),
        wrong_handshake,
    ] {
        let (status, answer) = caller.get(&path).await;
        assert!((400..500).contains(&status), "{status} {answer}");
    }
    let url = &server.url;
    let not_json = client()
        .post(format!("{url}{VERIFICATIONS}"))
        .header("content-type", "application/json");
    assert_eq!(
        caller
            .send(not_json.body(format!("{{\"to\":\"{stranger}\",\"code\":\"{OWN_CODE}\"")))
            .await
            .0,
        400
    );
    let no_type = client()
        .post(format!("{url}{VERIFICATIONS}"))
        .body(format!("to={stranger}&code={OWN_CODE}"));
    assert_eq!(caller.send(no_type).await.0, 415);
    for name in [
        "idempotency-key",
        "x-request-id",
        "user-agent",
        "referer",
        "x-forwarded-for",
        "traceparent",
    ] {
        let value = format!("{stranger}-{OWN_CODE}-{key}");
        let request = client()
            .post(format!("{url}{VERIFICATIONS}"))
            .header(name, &value)
            .json(&json!({"to": "+31"}));
        assert_eq!(caller.send(request).await.0, 400, "{name}");
    }
    for authorization in [
        format!("Bearer {key}x"),
        format!("Basic {key}"),
        key.clone(),
        format!("Bearer {stranger}"),
    ] {
        let request = client()
            .get(format!("{url}{VERIFICATIONS}"))
            .header("authorization", authorization);
        let answer = server.send(request).await;
        assert_eq!(answer.status, 401);
        caller.told.add("a refusal of a key", answer.body);
    }
    let unlock = client().post(format!("{url}/api/v1/recipients/%2B{}/unlock?service=demo", &own[1..]));
    let unlocked = server.send(unlock.bearer_auth(&admin)).await;
    assert!(unlocked.status < 500, "{unlocked:?}");

    // What can be read afterwards.
    for id in [&first, &second, &third] {
        caller.get(&format!("{VERIFICATIONS}/{id}")).await;
        let (status, timeline) = caller.get(&format!("{VERIFICATIONS}/{id}/timeline")).await;
        assert!(
            status == 200 && timeline["data"].as_array().is_some_and(|data| data.len() > 2),
            "{timeline}"
        );
    }
    let mut places = caller.told;
    let mut cursor = String::new();
    loop {
        let page = server
            .get(&format!("/api/v1/events?limit=100{cursor}"), &reader)
            .await
            .expect(200);
        places.add("events", page.to_string());
        match (
            page["next_cursor"].as_str(),
            page["data"].as_array().is_some_and(|data| !data.is_empty()),
        ) {
            (Some(next), true) => cursor = format!("&after={next}"),
            _ => break,
        }
    }
    for path in [
        "/metrics",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/api/v1/whatsapp/accounts",
        "/api/v1/numbers",
        "/api/v1/services",
    ] {
        let answer = server.get(path, &admin).await;
        assert!(answer.status < 500, "{path}: {answer:?}");
        places.add(path, answer.body);
    }
    for words in [
        vec!["explain", &first],
        vec!["explain", &second, "--json"],
        vec!["explain", &third],
        vec!["send", digits],
    ] {
        let mut command = home.command(words.iter().copied());
        let output = harness::run(command.env("TAPCODE_URL", &server.url).env("TAPCODE_KEY", &key));
        places.add(format!("tapcode {}", words[0]), [output.stdout, output.stderr].concat());
    }
    let listed = home.tapcode(["keys", "list", "--json"]);
    assert!(listed.status.success());
    places.add("tapcode keys list", [listed.stdout, listed.stderr].concat());
    // The last thing that happened to the third is the end of the story for who follows it.
    tail.wait_for_log("verification.failed");
    tail.kill_9();
    places.add("tapcode tail", tail.log());

    places.add_database(&home, "while it runs");
    assert!(
        places.0.iter().any(|(place, _)| place.starts_with("tapcode.db-wal")),
        "no write-ahead log was looked at"
    );
    assert_eq!(server.terminate(), Some(0));
    places.add_database(&home, "closed");
    let log = server.log();
    assert!(log.contains("TRACE"), "the log is not at its loudest");
    places.add("the log", log);
    let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    for name in ["begin", "send", "outcome", "receipt", "check", "send_message", "verification"] {
        assert!(
            names.iter().any(|told| told == name),
            "no span {name} was looked at: {names:?}"
        );
    }
    assert!(!collector.logs().is_empty(), "no line of the log was looked at");
    places.add("what the collector was told", collector.everything());
    let leaks = places.leaks(&secrets);
    assert!(leaks.is_empty(), "{} leaks:\n{leaks:#?}", leaks.len());
}
