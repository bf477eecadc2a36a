//! Stories of sessions, on tokio's paused time and pipes instead of sockets: the SMSC's side is played by hand.

use std::io;

use proptest::prelude::*;
use tapcode_core::delivery::{ReceiptKind, TripScope};
use tapcode_core::id::MessageId;
use tapcode_core::number::Number;
use tapcode_core::recipient::RecipientKey;
use tapcode_engine::contract::provider::Reference;
use tapcode_engine::entropy::OsEntropy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinSet;

use super::pdu::{Deliver, Header, command, tag};
use super::session::Stream;
use super::*;

#[derive(Debug)]
struct StoryClock(tokio::time::Instant);

#[async_trait]
impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Hands the other end of each connection to the story.
#[derive(Debug)]
struct Pipes(mpsc::Sender<DuplexStream>);

#[async_trait]
impl Dial for Pipes {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.0.send(theirs).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(ours))
    }
}

fn config() -> SmppConfig {
    SmppConfig {
        host: "smsc.example.com".to_owned(),
        port: 2775,
        tls: Tls::Off,
        system_id: "tapcode".to_owned(),
        password: Secret::from("canary08"),
        system_type: String::new(),
        bind_kind: Kind::default(),
        address_range: String::new(),
        from: "Acme".to_owned(),
        source_kind: None,
        coding: Coding::Gsm,
        long: Long::Udh,
        ids: Ids::Same,
        window: 2,
        binds: 1,
        enquire_link_s: 30,
        india_dlt: None,
        dlt_tags: DLT_TAGS,
    }
}

struct Story {
    smpp: Arc<Smpp>,
    connections: mpsc::Receiver<DuplexStream>,
    receipts: mpsc::Receiver<SessionReceipt>,
    stop: CancellationToken,
    running: JoinSet<()>,
    sending: JoinSet<SendOutcome>,
}

/// The SMSC's end of a session.
struct Peer(DuplexStream);

impl Story {
    fn begin(config: SmppConfig) -> Self {
        let (dialed, connections) = mpsc::channel(8);
        let clock = Arc::new(StoryClock(tokio::time::Instant::now()));
        let smpp = Arc::new(Smpp::over(Box::new(Pipes(dialed)), config, clock, Arc::new(OsEntropy::new())));
        let (told, receipts) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let (session, until) = (Arc::clone(&smpp), stop.clone());
        running.spawn(async move { session.run(told, until).await });
        Self {
            smpp,
            connections,
            receipts,
            stop,
            running,
            sending: JoinSet::new(),
        }
    }

    /// The next connection, bound.
    async fn bound(&mut self) -> Peer {
        let mut peer = Peer(self.connections.recv().await.unwrap());
        let (bind, _) = peer.read().await;
        assert_eq!(bind.command, command::BIND_TRANSCEIVER);
        peer.answer(bind, 0, b"smsc\0").await;
        // Until the answer has been read.
        while self.smpp.free_line().is_err() {
            tokio::task::yield_now().await;
        }
        peer
    }

    fn send(&mut self, to: &str, text: &str) {
        let smpp = Arc::clone(&self.smpp);
        let message = message(to, text);
        self.sending.spawn(async move { smpp.send(message).await });
    }

    async fn outcome(&mut self) -> SendOutcome {
        self.sending.join_next().await.unwrap().unwrap()
    }
}

fn message(to: &str, text: &str) -> Message {
    Message {
        reference: Reference {
            key: RecipientKey([7; 16]),
            message: MessageId::from_bytes([7; 22]),
        },
        to: Number::parse(to).unwrap(),
        content: Content::Text(text.to_owned()),
        useful_ms: 300_000,
        identity: None,
    }
}

impl Peer {
    async fn read(&mut self) -> (Header, Vec<u8>) {
        let length = self.0.read_u32().await.unwrap();
        let mut pdu = length.to_be_bytes().to_vec();
        pdu.resize(length.try_into().unwrap(), 0);
        self.0.read_exact(&mut pdu[4..]).await.unwrap();
        assert_eq!(pdu::whole(&pdu), Ok(Some(pdu.len())));
        let (header, body) = pdu::split(&pdu).unwrap();
        (header, body.to_vec())
    }

    /// The next submission.
    async fn submission(&mut self) -> Header {
        let (header, _) = self.read().await;
        assert_eq!(header.command, command::SUBMIT_SM);
        header
    }

    async fn answer(&mut self, to: Header, status: u32, body: &[u8]) {
        let answer = pdu::pdu(to.command | command::RESPONSE, status, to.sequence, body);
        self.0.write_all(&answer).await.unwrap();
    }

    async fn deliver(&mut self, text: &str) {
        let mut body = b"\0\x01\x011\0\x01\x012\0\x04\0\0\0\0\0\0\0\0".to_vec();
        body.push(text.len().try_into().unwrap());
        body.extend_from_slice(text.as_bytes());
        self.0.write_all(&pdu::pdu(command::DELIVER_SM, 0, 77, &body)).await.unwrap();
    }
}

const PHONE: &str = "+31611398058";

fn accepted(id: &str) -> SendOutcome {
    SendOutcome::Accepted {
        provider_message_id: id.into(),
    }
}

fn failed(outcome: SendOutcome) -> (FailureClass, String) {
    match outcome {
        SendOutcome::Failed { failure, .. } => (failure.class, failure.code.into()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_session_nothing_was_sent_and_the_account_is_tried_again() {
    let mut story = Story::begin(config());
    let outcome = story.smpp.send(message(PHONE, "1")).await;
    assert_eq!(failed(outcome).1, NOT_SENT);
    drop(story.connections.recv().await.unwrap());
    let mut peer = story.bound().await;
    story.send(PHONE, "1");
    let submission = peer.submission().await;
    peer.answer(submission, 0, b"0017\0").await;
    assert_eq!(story.outcome().await, accepted("17"));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_without_an_answer_than_the_window_holds() {
    let mut story = Story::begin(config());
    let mut peer = story.bound().await;
    for _ in 0..3 {
        story.send(PHONE, "1");
    }
    let (first, _second) = (peer.submission().await, peer.submission().await);
    // Time passes only when nobody has anything left to do.
    let third = tokio::time::timeout(Duration::from_millis(500), peer.read()).await;
    assert!(third.is_err(), "the window holds two");
    peer.answer(first, 0, b"1\0").await;
    assert_eq!(story.outcome().await, accepted("1"));
    peer.submission().await;
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_is_too_busy_is_asked_ever_less_often_and_not_for_ever() {
    let mut story = Story::begin(config());
    let mut peer = story.bound().await;
    story.send(PHONE, "1");
    let mut asked = Vec::new();
    for status in [status::THROTTLED, status::QUEUE_FULL, status::THROTTLED, status::QUEUE_FULL] {
        let submission = peer.submission().await;
        asked.push(story.smpp.clock.now());
        peer.answer(submission, status, &[]).await;
    }
    assert!(matches!(failed(story.outcome().await).0, FailureClass::SlowDown { .. }));
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1].millis_since(pair[0])).collect();
    assert!(
        (125..=251).contains(&waits[0]) && (250..=501).contains(&waits[1]) && (500..=1_001).contains(&waits[2]),
        "{waits:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_and_a_session_that_breaks_are_unclear() {
    let mut story = Story::begin(config());
    let mut peer = story.bound().await;
    story.send(PHONE, "1");
    let late = peer.submission().await;
    assert!(matches!(story.outcome().await, SendOutcome::Unclear { .. }));
    // An answer that comes too late is nobody's.
    peer.answer(late, 0, b"1\0").await;
    story.send(PHONE, "2");
    peer.submission().await;
    drop(peer);
    assert!(matches!(story.outcome().await, SendOutcome::Unclear { .. }));
    story.bound().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_found_by_asking_and_left() {
    let mut story = Story::begin(config());
    let mut dead = story.bound().await;
    let (asked, _) = dead.read().await;
    assert_eq!(asked.command, command::ENQUIRE_LINK);
    let mut alive = story.bound().await;
    let (asked, _) = alive.read().await;
    alive.answer(asked, 0, &[]).await;
    let (again, _) = alive.read().await;
    assert_eq!((again.command, again.sequence), (command::ENQUIRE_LINK, asked.sequence + 1));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_confirmed_once_it_is_taken_and_asked_for_again_when_it_was_given_up() {
    let mut story = Story::begin(config());
    let mut peer = story.bound().await;
    peer.deliver("id:17 stat:DELIVRD").await;
    let told = story.receipts.recv().await.unwrap();
    assert_eq!(
        (&*told.receipt.provider_message_id, &told.receipt.kind),
        ("17", &ReceiptKind::Delivered)
    );
    let early = tokio::time::timeout(Duration::from_secs(5), peer.read()).await;
    assert!(early.is_err(), "it is not durable yet");
    told.taken();
    let (confirmed, _) = peer.read().await;
    assert_eq!(
        (confirmed.command, confirmed.status, confirmed.sequence),
        (command::DELIVER_SM | command::RESPONSE, 0, 77)
    );
    peer.deliver("id:17 stat:DELIVRD").await;
    drop(story.receipts.recv().await.unwrap());
    assert_ne!(peer.read().await.0.status, 0);
    // What is no receipt is confirmed at once: nobody wants it.
    peer.deliver("hello").await;
    assert_eq!(peer.read().await.0.status, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_bind_opens_the_breaker_and_an_unknown_request_is_refused() {
    let mut story = Story::begin(config());
    let mut peer = Peer(story.connections.recv().await.unwrap());
    let (bind, body) = peer.read().await;
    assert!(body.starts_with(b"tapcode\0canary08\0\0\x34\0\0\0"));
    peer.answer(bind, 0x0E, &[]).await;
    let mut peer = loop {
        let outcome = story.smpp.send(message(PHONE, "1")).await;
        let (class, code) = failed(outcome);
        if code == "smpp_0x0E" {
            assert_eq!(class, FailureClass::TripBreaker(TripScope::Sender));
            break story.bound().await;
        }
        tokio::task::yield_now().await;
    };
    peer.0.write_all(&pdu::pdu(0x0103_0000, 0, 5, &[])).await.unwrap();
    let (refused, _) = peer.read().await;
    assert_eq!(
        (refused.command, refused.status, refused.sequence),
        (command::GENERIC_NACK, 3, 5)
    );
}

#[tokio::test(start_paused = true)]
async fn on_its_way_out_it_waits_for_answers_and_takes_its_leave() {
    let mut story = Story::begin(config());
    let mut peer = story.bound().await;
    story.send(PHONE, "1");
    let submission = peer.submission().await;
    story.stop.cancel();
    let early = tokio::time::timeout(Duration::from_secs(1), peer.read()).await;
    assert!(early.is_err(), "an answer is under way");
    assert_eq!(failed(story.smpp.send(message(PHONE, "2")).await).1, NOT_SENT);
    peer.answer(submission, 0, b"1\0").await;
    assert_eq!(story.outcome().await, accepted("1"));
    let (unbind, _) = peer.read().await;
    assert_eq!(unbind.command, command::UNBIND);
    peer.answer(unbind, 0, &[]).await;
    story.running.join_next().await.unwrap().unwrap();
    assert!(!format!("{:?} {:?}", story.smpp, story.smpp.config).contains("canary"));
}

#[test]
fn long_texts_go_in_all_three_ways_and_no_pair_is_divided() {
    let text = format!("{}€{}", "a".repeat(152), "b".repeat(40));
    let udh = text::parts(&text, Coding::Gsm, Long::Udh, 0x0102).unwrap();
    assert_eq!(udh.len(), 2);
    assert_eq!(udh[0].short_message[..6], [5, 0, 3, 2, 2, 1]);
    assert_eq!((udh[0].esm_class, udh[0].short_message.len()), (0x40, 6 + 152));
    assert_eq!(udh[1].short_message[6..8], [0x1B, 0x65]);
    let sar = text::parts(&text, Coding::Gsm, Long::Sar, 0x0102).unwrap();
    assert_eq!(sar[1].tlvs[0], (tag::SAR_MSG_REF_NUM, vec![1, 2]));
    assert_eq!(sar[1].tlvs[2], (tag::SAR_SEGMENT_SEQNUM, vec![2]));
    let whole = text::parts(&text, Coding::Gsm, Long::Payload, 1).unwrap();
    assert_eq!((whole.len(), whole[0].tlvs[0].1.len()), (1, 194));
    let wide = text::parts(&"😀".repeat(36), Coding::Gsm, Long::Udh, 1).unwrap();
    assert_eq!(
        (wide.len(), wide[0].data_coding, wide[0].short_message.len()),
        (2, 8, 6 + 132)
    );
    assert_eq!(
        text::parts("@é", Coding::Latin1, Long::Udh, 1).unwrap()[0].short_message,
        [0x40, 0xE9]
    );
    assert_eq!(
        text::parts("Ω", Coding::Latin1AsDefault, Long::Udh, 1).unwrap()[0].data_coding,
        8
    );
    assert_eq!(text::parts("@", Coding::Gsm, Long::Udh, 1).unwrap()[0].short_message, [0]);
    assert!(text::parts(&"a".repeat(153 * 10 + 1), Coding::Gsm, Long::Udh, 1).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_pdu_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(Some(size)) = pdu::whole(&bytes) {
            let (_, body) = pdu::split(&bytes[..size]).unwrap();
            let _id = pdu::message_id(body);
        }
        for deliver in [Deliver::read(&bytes), Deliver::read_data(&bytes)].into_iter().flatten() {
            let _told = receipt::told(&deliver, Ids::Same);
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_ends_the_session(length in prop_oneof![0u32..16, 70_001..=u32::MAX]) {
        prop_assert_eq!(pdu::whole(&length.to_be_bytes()), Err(pdu::OutOfStep(length)));
    }

    #[test]
    fn parts_are_as_many_as_are_counted_and_small_enough(text in "[ -~€^é😀Ж]{1,600}") {
        let (_, counted) = tapcode_core::text::segments(&text);
        if let Some(parts) = text::parts(&text, Coding::Gsm, Long::Udh, 9) {
            prop_assert_eq!(parts.len(), usize::from(counted));
            prop_assert!(parts.iter().all(|part| part.short_message.len() <= pdu::SHORT_MESSAGE_MAX));
        } else {
            prop_assert!(usize::from(counted) > text::PARTS_MAX);
        }
    }
}
