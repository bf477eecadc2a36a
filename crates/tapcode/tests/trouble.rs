//! What happens when the store is full, a provider is gone, or a stranger sends nonsense? A clear answer, nothing
//! approved, nothing sent, and everything goes on by itself once the trouble is over.

mod harness;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::outside::{Outside, number, wrong_for};
use harness::{Answer, Home, Server, WAIT_MAX, client, eventually, run};
use serde_json::{Value, json};
use tapcode_simulator::{CallbackAnswer, cloud_api};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERIFICATIONS: &str = "/api/v1/verifications";

async fn begin(server: &Server, key: &str, to: &str, wait_ms: u32) -> String {
    let workflow = json!([{"channel": "whatsapp", "wait_ms": wait_ms}, {"channel": "sms"}]);
    let begun = server
        .post(VERIFICATIONS, key, json!({"to": to, "workflow": workflow}))
        .await
        .expect(201);
    begun["id"].as_str().unwrap().to_owned()
}

/// A way to leave a running server's store no room, and to give it room again.
enum Squeeze {
    /// The process may write no file beyond its first byte. Works for everybody.
    FileSize,
    /// The file system is full: a small one of its own. Only where this user may mount one.
    FileSystem { folder: PathBuf },
}

impl Squeeze {
    const FILE_SYSTEM: &str = "size=4m,mode=0700";

    /// A file system of its own under the home; `None` where this user may mount none.
    fn file_system(home: &Home) -> Option<Self> {
        let folder = home.path("small");
        fs::create_dir(&folder).expect("a folder");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", Self::FILE_SYSTEM, "tapcode-test"])
            .arg(&folder));
        mounted.status.success().then_some(Self::FileSystem { folder })
    }

    /// Changes the command so that the squeeze can be applied to what it starts.
    fn prepare(&self, command: &mut Command) {
        match self {
            // A write beyond the limit is an error only for who ignores the signal that goes with it.
            Self::FileSize => {
                let mut through = Command::new("sh");
                through
                    .arg("-c")
                    .arg("trap '' XFSZ; exec \"$0\" \"$@\"")
                    .arg(command.get_program())
                    .args(command.get_args());
                for (name, value) in command.get_envs() {
                    match value {
                        Some(value) => through.env(name, value),
                        None => through.env_remove(name),
                    };
                }
                through.current_dir(command.get_current_dir().expect("the home"));
                *command = through;
            }
            Self::FileSystem { .. } => {
                command.env("TAPCODE__STORE__URL", "sqlite:small/tapcode.db");
            }
        }
    }

    fn apply(&self, server: &Server) {
        match self {
            Self::FileSize => limit(server, "1"),
            Self::FileSystem { folder } => {
                let mut filler = fs::File::create(folder.join("filler")).expect("a file");
                let full = (0..100_000)
                    .find_map(|_| filler.write_all(&[1; 512]).err())
                    .expect("it fills up");
                assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
            }
        }
    }

    fn release(&self, server: &Server) {
        match self {
            Self::FileSize => limit(server, "unlimited"),
            Self::FileSystem { folder } => fs::remove_file(folder.join("filler")).expect("the file goes"),
        }
    }
}

/// Sets the soft limit only: whoever lowered it may raise it again.
fn limit(server: &Server, bytes: &str) {
    let set = run(Command::new("prlimit").args(["--pid", &server.id().to_string(), &format!("--fsize={bytes}:")]));
    assert!(set.status.success(), "{set:?}");
}

impl Drop for Squeeze {
    fn drop(&mut self) {
        if let Self::FileSystem { folder } = self {
            // Lazily: a test that fails may leave the server running a moment longer.
            let unmounted = run(Command::new("umount").arg("--lazy").arg(folder));
            if !unmounted.status.success() {
                eprintln!("{unmounted:?}");
            }
        }
    }
}

/// More begins than the room that is left in the store's own files may have.
const BEGINS_MAX: usize = 2_000;

/// What must hold while the store has no room, and afterwards.
async fn without_room(outside: &Outside, home: &Home, squeeze: &Squeeze) {
    let mut server = outside.serve_with(home, |command| squeeze.prepare(command));
    let key = {
        let mut command = home.command(["keys", "create", "--service", "demo"]);
        squeeze.prepare(&mut command);
        let made = run(&mut command);
        assert!(made.status.success(), "{made:?}");
        harness::stdout(&made).trim().to_owned()
    };
    let right = begin(&server, &key, &number(1), 600_000).await;
    let wrong = begin(&server, &key, &number(2), 600_000).await;
    let sent = outside.meta.wait_for_messages(2, WAIT_MAX).await;
    let code_of = |to: &str| {
        sent.iter()
            .find(|s| s.to.as_deref() == Some(to))
            .unwrap()
            .code
            .clone()
            .unwrap()
    };
    let (code, other_code) = (code_of(&number(1)), code_of(&number(2)));
    let due = begin(&server, &key, &number(3), 1_500).await;
    let first_texts = outside.meta.wait_for_messages(3, WAIT_MAX).await;
    for id in [&right, &wrong, &due] {
        eventually("all three are accepted", async || {
            let found = server.get(&format!("{VERIFICATIONS}/{id}"), &key).await.expect(200);
            (found["attempts"][0]["status"] == "accepted").then_some(())
        })
        .await;
    }
    assert_eq!(
        outside.twilio.requests().len(),
        0,
        "the machine was too slow for this test: a fallback was due before the store was full"
    );

    squeeze.apply(&server);
    // What room is left in the files themselves is used up first.
    let mut answered: Vec<(String, Answer)> = Vec::new();
    let (unanswered, refusal) = loop {
        assert!(answered.len() < BEGINS_MAX, "{BEGINS_MAX} begins found room");
        let to = number(100 + u32::try_from(answered.len()).unwrap());
        let answer = server
            .post(VERIFICATIONS, &key, json!({"to": &to, "workflow": [{"channel": "whatsapp"}]}))
            .await;
        if answer.status != 201 {
            break (to, answer);
        }
        answered.push((to, answer));
    };
    assert_eq!(refusal.expect(503)["code"], "unavailable");
    let check = async |id: &str, code: &str| {
        server
            .post(&format!("{VERIFICATIONS}/{id}/check"), &key, json!({"code": code}))
            .await
    };
    for _ in 0..3 {
        let checked = check(&right, &code).await;
        assert_eq!(checked.status, 503, "{checked:?}");
        let checked = check(&wrong, wrong_for(&other_code)).await;
        assert_eq!(checked.status, 503, "{checked:?}");
    }
    let plain = json!({"from_number_id": 42, "to": number(4), "body": "Your code is 482913."});
    assert_eq!(server.post("/api/v1/sms/messages", &key, plain.clone()).await.status, 503);
    let of_right = first_texts.iter().find(|s| s.to.as_deref() == Some(&number(1))).unwrap();
    let receipt = outside
        .meta
        .send_receipt(of_right, &cloud_api::ReceiptStep::delivered())
        .await;
    assert_eq!(receipt, CallbackAnswer::Status(503), "the provider is asked to come again");
    // Reading still works, and tells that nothing was approved or counted.
    for (id, left) in [(&right, 5), (&wrong, 5)] {
        let found = server.get(&format!("{VERIFICATIONS}/{id}"), &key).await.expect(200);
        assert_eq!(
            (&found["status"], &found["checks_left"]),
            (&"pending".into(), &left.into()),
            "{found}"
        );
    }
    eventually("it says that it is not ready", async || {
        (server.get("/readyz", "").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(server.get("/healthz", "").await.status, 200);
    // The fallback of the third is due by now, and cannot be written down, so nothing is sent.
    server.wait_for_log("a timer could not be applied yet");
    assert_eq!(outside.twilio.requests().len(), 0, "sent before it was durable");
    assert_eq!(outside.meta.messages_to(&unanswered).len(), 0, "sent although it was refused");

    squeeze.release(&server);
    let texts = outside.twilio.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!(
        texts[0].to.as_deref(),
        Some(number(3).as_str()),
        "the fallback goes out once there is room"
    );
    eventually("it says that it is ready", async || {
        (server.get("/readyz", "").await.status == 200).then_some(())
    })
    .await;
    let checked = check(&right, &code).await.expect(200);
    assert_eq!(checked["valid"], true, "{checked}");
    let checked = check(&wrong, wrong_for(&other_code)).await.expect(200);
    assert_eq!(checked["checks_left"], 4, "{checked}");
    begin(&server, &key, &unanswered, 600_000).await;
    assert_eq!(server.post("/api/v1/sms/messages", &key, plain).await.status, 201);
    outside.twilio.wait_for_messages(2, WAIT_MAX).await;
    assert_eq!(server.terminate(), Some(0));
    let begun = 3 + answered.len() + 1;
    assert_eq!((outside.meta.requests().len(), outside.twilio.requests().len()), (begun, 2));
    assert_eq!(outside.meta.messages_to(&unanswered).len(), 1);
    assert!(!server.log().contains("panicked"), "something panicked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_may_not_grow_approves_and_sends_nothing_and_recovers() {
    let outside = Outside::start().await;
    let home = outside.home("max_checks = 5");
    without_room(&outside, &home, &Squeeze::FileSize).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_approves_and_sends_nothing_and_recovers() {
    let outside = Outside::start().await;
    let home = outside.home("max_checks = 5");
    let squeeze = Squeeze::file_system(&home).unwrap_or_else(|| {
        eprintln!("this user may mount no file system: the size of files is limited instead of the disk's");
        Squeeze::FileSize
    });
    without_room(&outside, &home, &squeeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_whatsapp_down_the_sms_goes_out_long_before_the_wait_is_over() {
    /// Some tries half a second apart, on a busy machine; the wait for a delivery is ten minutes.
    const AT_ONCE: Duration = Duration::from_secs(10);
    let outside = Outside::start().await;
    let home = outside.home("");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    outside.meta.go_down().await;
    let id = begin(&server, &key, &number(1), 600_000).await;
    let text = outside.twilio.wait_for_messages(1, AT_ONCE).await[0].body.clone().unwrap();
    let code: String = text
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let checked = server
        .post(&format!("{VERIFICATIONS}/{id}/check"), &key, json!({"code": code}))
        .await
        .expect(200);
    assert_eq!(checked["valid"], true, "{checked}");

    outside.meta.come_back().await.expect("the port is free");
    begin(&server, &key, &number(2), 600_000).await;
    outside.meta.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!(server.terminate(), Some(0));
    assert_eq!((outside.meta.requests().len(), outside.twilio.requests().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_every_provider_down_a_verification_fails_and_the_next_one_works() {
    let outside = Outside::start().await;
    let home = outside.home("resend_cooldown_s = 0");
    let server = outside.serve(&home);
    let key = home.key("demo");
    outside.meta.go_down().await;
    outside.twilio.go_down().await;
    let id = begin(&server, &key, &number(1), 600_000).await;
    let failed = eventually("it fails", async || {
        let found = server.get(&format!("{VERIFICATIONS}/{id}"), &key).await.expect(200);
        (found["status"] != "pending").then_some(found)
    })
    .await;
    assert_eq!(failed["status"], "failed", "{failed}");
    for attempt in failed["attempts"].as_array().unwrap() {
        assert_eq!(
            (&attempt["status"], &attempt["failure"]["code"]),
            (&"failed".into(), &"not_sent".into()),
            "{failed}"
        );
    }
    outside.meta.come_back().await.expect("the port is free");
    begin(&server, &key, &number(1), 600_000).await;
    outside.meta.wait_for_messages(1, WAIT_MAX).await;
}

/// Everything that a server says to these bytes until it closes or has said `enough`.
async fn say(server: &Server, bytes: &[u8], enough: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
    // It may close before it has read everything.
    let _cut = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
            if String::from_utf8_lossy(&answer).contains(enough) {
                break;
            }
        }
    };
    let done = tokio::time::timeout(WAIT_MAX, reading).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(done.is_ok(), "neither closed nor answered: {answer}");
    answer
}

fn post(key: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {VERIFICATIONS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         connection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn post_whole(key: &str, body: &[u8]) -> Vec<u8> {
    post(key, &format!("content-length: {}\r\n", body.len()), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nonsense_gets_a_4xx_and_harms_nobody() {
    let outside = Outside::start().await;
    let home = outside.home("");
    let mut server = outside.serve(&home);
    let key = home.key("demo");
    let good = format!(r#"{{"to":"{}"}}"#, number(1));
    let deep = |open: &str, close: &str| format!("{{\"to\":{}{}}}", open.repeat(20_000), close.repeat(20_000)).into_bytes();
    let chunked = |chunk: usize, count: usize| {
        let mut body = Vec::new();
        for _ in 0..count {
            body.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
            body.extend(std::iter::repeat_n(b' ', chunk));
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        post(&key, "transfer-encoding: chunked\r\n", &body)
    };
    let many_headers: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long_header = format!("x-long: {}\r\n", "a".repeat(200_000));
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        (
            "a body of 64 KiB and a byte",
            post_whole(&key, &vec![b' '; 64 * 1024 + 1]),
            &[413],
        ),
        (
            "a body that says it has 5 GB",
            post(&key, "content-length: 5000000000\r\n", b"{"),
            &[413],
        ),
        ("a chunked body that does not end in time", chunked(4096, 32), &[413]),
        ("JSON as deep as it fits, lists", post_whole(&key, &deep("[", "]")), &[400]),
        (
            "JSON as deep as it fits, objects",
            post_whole(&key, &deep("{\"a\":", "}")[..60_000]),
            &[400],
        ),
        ("invalid UTF-8", post_whole(&key, b"{\"to\":\"+3161200\xff\xfe001\"}"), &[400]),
        ("half a surrogate", post_whole(&key, b"{\"to\":\"\\ud800\"}"), &[400]),
        ("a zero byte", post_whole(&key, b"{\"to\":\"+31612000001\"}\0"), &[400]),
        (
            "a name twice",
            post_whole(&key, format!("{{\"to\":\"{0}\",\"to\":\"{0}\"}}", number(1)).as_bytes()),
            &[400],
        ),
        ("a list", post_whole(&key, b"[]"), &[400]),
        ("nothing", post_whole(&key, b""), &[400]),
        (
            "a number beyond all numbers",
            post_whole(&key, b"{\"to\":1e999999999}"),
            &[400],
        ),
        (
            "two lengths",
            post(&key, "content-length: 3\r\ncontent-length: 4\r\n", b"{}  "),
            &[400],
        ),
        (
            "a length and chunks",
            post(
                &key,
                "content-length: 2\r\ntransfer-encoding: chunked\r\n",
                b"2\r\n{}\r\n0\r\n\r\n",
            ),
            &[400],
        ),
        ("a negative length", post(&key, "content-length: -1\r\n", b"{}"), &[400]),
        (
            "chunks of no size",
            post(&key, "transfer-encoding: chunked\r\n", b"zz\r\n{}\r\n"),
            &[400],
        ),
        ("500 headers", post(&key, &many_headers, b""), &[400, 431]),
        ("a header of 200 kB", post(&key, &long_header, b""), &[400, 431]),
        (
            "no HTTP at all",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            &[400],
        ),
        (
            "a zero byte in the path",
            b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            &[400],
        ),
        (
            "an address of 100 kB",
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)).into_bytes(),
            &[400, 414, 431],
        ),
        (
            "HTTP 3 in letters",
            b"GET / HTTP/3.0\r\nhost: x\r\n\r\n".to_vec(),
            &[400, 505],
        ),
    ];
    for (name, bytes, expected) in cases {
        let answer = say(&server, &bytes, "\r\n\r\n").await;
        let status: Option<u16> = answer
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|s| s.parse().ok());
        assert!(
            status.is_some_and(|status| expected.contains(&status)),
            "{name}: {status:?} {answer:.300}"
        );
        assert!(!answer.contains(&number(1)), "{name}: the answer repeats the number");
        assert_eq!(server.get("/healthz", "").await.status, 200, "after {name}");
    }
    // Garbage behind a good request: that one is answered, the garbage is refused, the connection ends.
    let pipelined = [
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".as_slice(),
        b"\x00\xff garbage \r\n\r\n",
        &post_whole(&key, good.as_bytes()),
    ]
    .concat();
    let answers = say(&server, &pipelined, "never said").await;
    assert!(
        answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 400"),
        "{answers}"
    );
    assert_eq!(
        answers.matches("HTTP/1.").count(),
        2,
        "something behind the garbage was read: {answers}"
    );

    assert_eq!(outside.meta.requests().len(), 0, "nonsense was sent on");
    let nothing: Value = server.get(VERIFICATIONS, &key).await.expect(200);
    assert_eq!(nothing["data"], json!([]), "nonsense was stored");
    begin(&server, &key, &number(1), 600_000).await;
    outside.meta.wait_for_messages(1, WAIT_MAX).await;
    assert_eq!(server.terminate(), Some(0));
    assert!(!server.log().contains("panicked"), "something panicked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_sends_a_header_drop_by_drop_is_cut_off_and_keeps_nobody_waiting() {
    const SLOW: usize = 200;
    /// What a connection may take for its head, and a busy machine on top.
    const CUT_OFF_MAX: Duration = Duration::from_secs(30 + 15);
    let outside = Outside::start().await;
    let home = outside.home("");
    let server = outside.serve(&home);
    let key = home.key("demo");
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        slow.spawn(async move {
            stream
                .write_all(b"POST /api/v1/verifications HTTP/1.1\r\nhost: x\r\n")
                .await
                .expect("it reads");
            let (mut read, mut write) = stream.into_split();
            let dripping = async {
                // A drop a second is far below what a silent connection would be closed for.
                let mut drops = tokio::time::interval(Duration::from_secs(1));
                loop {
                    drops.tick().await;
                    if write.write_all(b"x-drop: 1\r\n").await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let mut said = Vec::new();
            tokio::select! {
                // An answer, an end or a reset: it is over.
                _over = read.read_to_end(&mut said) => {}
                () = dripping => {}
            }
            said
        });
    }
    // Everybody else is served meanwhile.
    begin(&server, &key, &number(1), 600_000).await;
    assert_eq!(
        client()
            .get(format!("{}/healthz", server.url))
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16(),
        200
    );
    let over = tokio::time::timeout(CUT_OFF_MAX, slow.join_all())
        .await
        .expect("slow connections are cut off");
    for said in over {
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    assert_eq!(server.get("/healthz", "").await.status, 200);
}
