//! Does the sandbox behave as the vendors it stands in for, and as the switches of its phones say?

use std::pin::Pin;
use std::time::Duration;

use tapcode_core::code::Code;
use tapcode_core::id::MessageId;
use tapcode_core::recipient::RecipientKey;

use super::*;

const START: i64 = 1_790_000_000_000;

/// Tokio's paused time as the engine's clock.
#[derive(Debug)]
struct StoryClock {
    began: tokio::time::Instant,
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START).plus_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    // Written out because a test may not say the word that `async_trait` would need here.
    fn sleep<'a, 'b>(&'a self, millis: u64) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let _ = tokio::time::timeout(Duration::from_millis(millis), std::future::pending::<()>()).await;
        })
    }
}

/// A sandbox on tokio's paused time, its two senders running.
struct Story {
    sandbox: Arc<Sandbox>,
    whatsapp: Arc<SandboxSender>,
    sms: Arc<SandboxSender>,
    receipts: mpsc::Receiver<SessionReceipt>,
    stop: CancellationToken,
    running: tokio::task::JoinSet<()>,
    began: tokio::time::Instant,
    sent: u8,
}

impl Story {
    fn begin() -> Self {
        let began = tokio::time::Instant::now();
        let sandbox = Sandbox::new("Acme", &[number(0)], Arc::new(StoryClock { began }));
        let whatsapp = Arc::new(sandbox.sender(Channel::Whatsapp, "Acme"));
        let sms = Arc::new(sandbox.sender(Channel::Sms, "+3197010253000"));
        let (to, receipts) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let mut running = tokio::task::JoinSet::new();
        for sender in [&whatsapp, &sms] {
            let (sender, to, stop) = (Arc::clone(sender), to.clone(), stop.clone());
            running.spawn(async move { sender.run(to, stop).await });
        }
        Self {
            sandbox,
            whatsapp,
            sms,
            receipts,
            stop,
            running,
            began,
            sent: 0,
        }
    }

    fn network(&self, change: impl FnOnce(&mut Network)) {
        let mut network = Network::default();
        change(&mut network);
        self.sandbox.set_network(&number(0), network);
    }

    async fn send(&mut self, channel: Channel, content: Content) -> (String, SendOutcome) {
        self.sent += 1;
        let message = message(number(0), self.sent, content);
        let id = message.reference.message.to_string();
        let sender = if channel == Channel::Sms { &self.sms } else { &self.whatsapp };
        (id, sender.send(message).await)
    }

    async fn send_code(&mut self, channel: Channel) -> String {
        let (id, outcome) = self.send(channel, code("en")).await;
        assert_eq!(
            outcome,
            SendOutcome::Accepted {
                provider_message_id: format!("sandbox-{id}").into()
            }
        );
        id
    }

    /// The receipts until nothing more comes within a minute and a half, each with the milliseconds since the beginning.
    async fn told(&mut self) -> Vec<(&'static str, u128)> {
        let mut told = Vec::new();
        while let Ok(Some(heard)) = tokio::time::timeout(Duration::from_secs(90), self.receipts.recv()).await {
            let receipt = heard.receipt;
            assert_eq!(
                *receipt.provider_message_id,
                *format!("sandbox-{}", receipt.reference.unwrap().message)
            );
            let at = self.began.elapsed().as_millis();
            assert_eq!(receipt.at.unwrap().as_millis(), START + i64::try_from(at).unwrap());
            told.push((word(&receipt.kind), at));
        }
        told
    }

    fn shown(&self, id: &str) -> PhoneMessage {
        self.sandbox
            .all()
            .into_iter()
            .flat_map(|p| p.messages)
            .find(|m| m.id == id)
            .unwrap()
    }
}

fn number(n: usize) -> Number {
    Number::parse(&format!("+316113980{n:02}")).unwrap()
}

fn message(to: Number, n: u8, content: Content) -> Message {
    let reference = Reference {
        key: RecipientKey([7; 16]),
        message: MessageId::new(Timestamp::from_millis(START), [n; 16]),
    };
    Message {
        reference,
        to,
        content,
        useful_ms: 300_000,
        identity: None,
    }
}

fn code(locale: &str) -> Content {
    Content::Code {
        code: Code::own("482913").unwrap(),
        text: "482913 is your Acme code.".into(),
        locale: locale.into(),
        language: None,
        expires_minutes: 5,
        brand: "Acme".into(),
    }
}

fn word(kind: &ReceiptKind) -> &'static str {
    match kind {
        ReceiptKind::Sent => "sent",
        ReceiptKind::Delivered => "delivered",
        ReceiptKind::Read => "read",
        ReceiptKind::Failed(failure) if *failure == whatsapp_errors::reported(131_026, "") => "failed with 131026",
        ReceiptKind::Disowned => "disowned",
        ReceiptKind::Failed(_) => "failed",
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_after_the_delay_and_is_read_once_when_opened() {
    let mut story = Story::begin();
    story.network(|n| n.delay_ms = 2_500);
    let id = story.send_code(Channel::Whatsapp).await;
    assert!(story.sandbox.open(&id), "it is there, on its way");
    assert_eq!((story.shown(&id).arrival, story.shown(&id).read), (Arrival::Pending, false));
    assert_eq!(story.told().await, [("sent", 0), ("delivered", 2_500)]);
    assert_eq!(story.shown(&id).arrival, Arrival::Arrived);
    assert_eq!(story.shown(&id).at.as_millis(), START + 2_500);
    assert!(story.sandbox.open(&id) && story.sandbox.open(&id));
    let told = story.told().await;
    assert_eq!(told.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["read"]);
    assert!(story.shown(&id).read);
    assert!(!story.sandbox.open("msg_nobody_has_this"));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_not_on_whatsapp_is_accepted_first_and_fails_with_metas_code() {
    let mut story = Story::begin();
    story.network(|n| n.whatsapp = false);
    let id = story.send_code(Channel::Whatsapp).await;
    assert_eq!(story.told().await, [("failed with 131026", 400)]);
    assert_eq!(story.shown(&id).arrival, Arrival::Lost);
    let id = story.send_code(Channel::Sms).await;
    assert_eq!(story.told().await.len(), 2);
    assert_eq!(story.shown(&id).arrival, Arrival::Arrived);
}

#[tokio::test(start_paused = true)]
async fn the_network_loses_delays_and_repeats_as_it_is_told() {
    let mut story = Story::begin();
    story.network(|n| n.deliver = Deliver::Never);
    let id = story.send_code(Channel::Whatsapp).await;
    assert_eq!(story.told().await, []);
    assert_eq!(story.shown(&id).arrival, Arrival::Lost);

    let mut story = Story::begin();
    story.network(|n| n.deliver = Deliver::Late);
    story.send_code(Channel::Whatsapp).await;
    assert_eq!(story.told().await, [("sent", 0), ("delivered", u128::from(LATE_MS))]);

    let mut story = Story::begin();
    story.network(|n| n.deliver = Deliver::Duplicate);
    let id = story.send_code(Channel::Whatsapp).await;
    assert_eq!(
        story.told().await,
        [("sent", 0), ("sent", 0), ("delivered", 0), ("delivered", 0)]
    );
    assert_eq!(
        story.sandbox.all()[0].messages.len(),
        1,
        "receipts come twice, the message does not"
    );
    story.sandbox.open(&id);
    assert_eq!(story.told().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_sent_nothing_and_sms_goes_on() {
    let mut story = Story::begin();
    story.network(|n| n.deliver = Deliver::ProviderDown);
    let (_, outcome) = story.send(Channel::Whatsapp, code("en")).await;
    let SendOutcome::Failed {
        failure,
        provider_message_id: None,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(matches!(failure.class, FailureClass::RetryHere { .. }));
    assert_eq!(&*failure.code, "503");
    assert_eq!(story.told().await, []);
    assert!(story.sandbox.all()[0].messages.is_empty());
    let id = story.send_code(Channel::Sms).await;
    assert_eq!(story.told().await.len(), 2);
    assert_eq!(story.shown(&id).sender, "+3197010253000");
}

#[tokio::test(start_paused = true)]
async fn the_switches_of_whatsapp_leave_sms_alone_but_for_the_delay() {
    for deliver in [Deliver::Never, Deliver::Late, Deliver::Duplicate, Deliver::ProviderDown] {
        let mut story = Story::begin();
        story.network(|n| {
            *n = Network {
                whatsapp: false,
                delay_ms: 1_000,
                deliver,
            }
        });
        story.send_code(Channel::Sms).await;
        assert_eq!(story.told().await, [("sent", 0), ("delivered", 1_000)], "{deliver:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_bubble_is_metas_and_the_text_is_the_callers() {
    let mut story = Story::begin();
    let id = story.send_code(Channel::Whatsapp).await;
    let shown = story.shown(&id);
    assert_eq!(
        shown.body,
        "*482913* is your verification code. For your security, do not share this code."
    );
    assert_eq!(shown.footer.as_deref(), Some("This code expires in 5 minutes."));
    assert_eq!(shown.button.as_deref(), Some("Copy code"));
    assert_eq!((shown.code.as_deref(), shown.sender.as_str()), (Some("482913"), "Acme"));

    let (id, _) = story.send(Channel::Whatsapp, code("nl-NL")).await;
    assert_eq!(story.shown(&id).button.as_deref(), Some("Code kopiëren"));

    let id = story.send_code(Channel::Sms).await;
    let shown = story.shown(&id);
    assert_eq!(
        (shown.body.as_str(), shown.code.as_deref()),
        ("482913 is your Acme code.", Some("482913"))
    );
    assert_eq!((shown.footer, shown.button), (None, None));

    let (id, _) = story.send(Channel::Sms, Content::Text("Hello".into())).await;
    assert_eq!((story.shown(&id).body.as_str(), story.shown(&id).code), ("Hello", None));
}

#[tokio::test(start_paused = true)]
async fn a_callers_template_shows_its_parameters() {
    let mut story = Story::begin();
    let template = |components: &str| Content::Template {
        name: "login_otp".into(),
        language: "en_US".into(),
        components: components.into(),
    };
    let otp = r#"[{"type":"body","parameters":[{"type":"text","text":"J$Fp"}]},
                  {"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"J$Fp"}]}]"#;
    let (id, _) = story.send(Channel::Whatsapp, template(otp)).await;
    let shown = story.shown(&id);
    assert!(shown.body.starts_with("*J$Fp* is your verification code."), "{}", shown.body);
    assert_eq!((shown.code.as_deref(), shown.footer), (Some("J$Fp"), None));

    let other = r#"[{"type":"BODY","parameters":[{"type":"text","text":"Ada"},{"type":"text","text":"Friday"}]}]"#;
    let (id, _) = story.send(Channel::Whatsapp, template(other)).await;
    assert_eq!(story.shown(&id).body, "login_otp (en_US)\nAda\nFriday");
    for odd in ["", "{}", "[1]", r#"[{"type":"body","parameters":7}]"#] {
        let (id, outcome) = story.send(Channel::Whatsapp, template(odd)).await;
        assert!(matches!(outcome, SendOutcome::Accepted { .. }));
        assert_eq!(story.shown(&id).body, "login_otp (en_US)\n");
    }
    let (_, outcome) = story.send(Channel::Sms, template(otp)).await;
    assert!(matches!(outcome, SendOutcome::Failed { failure, .. } if failure.class == FailureClass::OurMistake));
}

#[tokio::test(start_paused = true)]
async fn phones_and_messages_are_bounded_and_receipts_outlive_them() {
    let mut story = Story::begin();
    story.network(|n| n.delay_ms = 10);
    for _ in 0..=PHONE_MESSAGES_MAX {
        story.send_code(Channel::Sms).await;
    }
    assert_eq!(story.sandbox.all()[0].messages.len(), PHONE_MESSAGES_MAX);
    assert_eq!(story.told().await.len(), 2 * (PHONE_MESSAGES_MAX + 1));

    story.send_code(Channel::Sms).await;
    for n in 1..PHONES_MAX {
        story.sandbox.add(&number(n));
    }
    assert_eq!(story.sandbox.all()[0].number, number(0));
    story.sandbox.add(&number(0));
    story.sandbox.add(&number(PHONES_MAX));
    let numbers: Vec<_> = story.sandbox.all().into_iter().map(|p| p.number).collect();
    assert_eq!(numbers.len(), PHONES_MAX);
    assert!(
        numbers.contains(&number(0)) && !numbers.contains(&number(1)),
        "the most silent one left"
    );
    for n in 50..50 + PHONES_MAX {
        story.sandbox.add(&number(n));
    }
    assert!(story.sandbox.all().iter().all(|p| p.number != number(0)));
    assert_eq!(story.told().await.len(), 2, "the receipts of a phone that is gone");
}

#[tokio::test(start_paused = true)]
async fn a_full_line_refuses_and_sends_nothing() {
    let sandbox = Sandbox::new(
        "Acme",
        &[],
        Arc::new(StoryClock {
            began: tokio::time::Instant::now(),
        }),
    );
    let sender = sandbox.sender(Channel::Sms, "Acme");
    let room = ON_THEIR_WAY_MAX / 2;
    for n in 0..=room {
        let outcome = sender.send(message(number(0), 1, Content::Text(String::new()))).await;
        assert_eq!(matches!(outcome, SendOutcome::Accepted { .. }), n < room, "{n}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_and_running_ends_when_it_is_stopped() {
    let mut story = Story::begin();
    let mut changes = story.sandbox.changes();
    let id = story.send_code(Channel::Whatsapp).await;
    let arrivals = async {
        let mut seen = Vec::new();
        while seen.last() != Some(&Arrival::Arrived) {
            seen.push(
                changes
                    .recv()
                    .await
                    .unwrap()
                    .messages
                    .iter()
                    .find(|m| m.id == id)
                    .unwrap()
                    .arrival,
            );
        }
        seen
    };
    let seen = tokio::time::timeout(Duration::from_secs(5), arrivals).await.unwrap();
    assert_eq!(seen, [Arrival::Pending, Arrival::Arrived]);
    story.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while story.running.join_next().await.is_some() {}
    });
    ended.await.unwrap();
}

#[test]
fn nothing_shows_a_number_or_a_code() {
    let sandbox = Sandbox::new("Acme", &[number(0)], Arc::new(tapcode_engine::clock::SystemClock));
    let sender = sandbox.sender(Channel::Whatsapp, "+3197010253000");
    let shown = format!(
        "{sandbox:?} {sender:?} {:?} {:?}",
        sandbox.all(),
        message(number(0), 1, code("en"))
    );
    for secret in ["482913", "611398", "97010253000"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
