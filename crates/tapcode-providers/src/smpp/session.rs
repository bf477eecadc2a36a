//! What happens on one SMPP session, from its bind to its end?
//!
//! One task reads, answers and watches the peer; one writes. Submissions wait for their answers in a map that goes with the
//! session: whoever waits when it ends knows that nobody will say what became of the message.

use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::provider::{Receipt, SessionReceipt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pdu::{self, Deliver, Header, OutOfStep, command};
use super::status::QUEUE_FULL;

/// How long an answer to a submission is waited for; then nobody knows. Milliseconds.
pub(super) const RESPONSE_MS: u64 = 5_000;
/// How long a peer may take to show that it is alive, once it was asked. Milliseconds.
const ALIVE_MS: u64 = 10_000;
/// How long the answers and confirmations that are under way may take once the session is to end. Milliseconds.
const DRAIN_MS: u64 = RESPONSE_MS + 1_000;
/// How long the peer may take to let us go. Milliseconds.
const UNBIND_MS: u64 = 2_000;
/// PDUs that wait to be written; a peer that reads so little is given up.
const OUTGOING_MAX: usize = 4_096;
/// Receipts that are being written down; one more is asked to come again.
const CONFIRMING_MAX: usize = 2_048;
/// What is written at once, in bytes.
const WRITE_MAX: usize = 64 * 1024;
/// Longest message id that is taken, in bytes: the specification's 64, and then some.
const ID_MAX: usize = 256;
/// Our own trouble: come again.
const COME_AGAIN: u32 = 0x64;
/// It will never be understood: do not come again.
const NEVER: u32 = 0x65;
const UNKNOWN_COMMAND: u32 = 0x03;

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How a connection is made.
#[async_trait]
pub(super) trait Dial: Send + Sync + fmt::Debug + 'static {
    /// A new connection.
    async fn dial(&self) -> io::Result<Box<dyn Stream>>;
}

/// Why there is no session, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the connection could not be made, or broke")]
    Io(#[from] io::Error),
    #[error("the peer did not answer in time")]
    Silent,
    #[error("the peer ended it")]
    ByPeer,
    #[error("the peer does not read what it is sent")]
    NotRead,
    #[error(transparent)]
    OutOfStep(#[from] OutOfStep),
    #[error("the bind was refused with status {0:#010x}")]
    Refused(u32),
    #[error("the bind was answered with something else")]
    NoBind,
    /// As we wanted.
    #[error("it was ended")]
    ByUs,
}

/// What a submission was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u32,
    pub(super) id: Box<[u8]>,
}

/// Why a submission has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// Certain: nothing of it left.
    NotSent,
    /// It left, or may have.
    Unanswered,
}

/// A session that is bound, as whoever submits sees it.
#[derive(Debug)]
pub(super) struct Open {
    outgoing: mpsc::Sender<Vec<u8>>,
    /// Submissions that may be without an answer at once; closed when no more are taken.
    pub(super) window: Semaphore,
    /// `None` once the session is over.
    waiting: Mutex<Option<HashMap<u32, oneshot::Sender<Answer>>>>,
    sequence: AtomicU32,
}

impl Open {
    pub(super) fn new(window: usize) -> (Arc<Self>, mpsc::Receiver<Vec<u8>>) {
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let open = Self {
            outgoing,
            window: Semaphore::new(window),
            waiting: Mutex::new(Some(HashMap::new())),
            // The bind was the first.
            sequence: AtomicU32::new(1),
        };
        (Arc::new(open), queue)
    }

    /// Submits a message within the window that the caller has a place in.
    pub(super) async fn submit(&self, body: &[u8]) -> Result<Answer, Missed> {
        let sequence = self.next();
        let (tell, told) = oneshot::channel();
        self.waiting().as_mut().ok_or(Missed::NotSent)?.insert(sequence, tell);
        let _forgotten = Forgotten(self, sequence);
        let submission = pdu::pdu(command::SUBMIT_SM, 0, sequence, body);
        self.outgoing.try_send(submission).map_err(|_| Missed::NotSent)?;
        match tokio::time::timeout(Duration::from_millis(RESPONSE_MS), told).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Missed::Unanswered),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u32, oneshot::Sender<Answer>>>> {
        // Nothing in here panics half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 1 to 0x7FFFFFFF, and again.
    fn next(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed) % 0x7FFF_FFFF + 1
    }

    fn answered(&self, sequence: u32, answer: Answer) {
        let waiting = self.waiting().as_mut().and_then(|waiting| waiting.remove(&sequence));
        if let Some(waiting) = waiting {
            // Whoever asked may have given up in this moment.
            let _gone = waiting.send(answer);
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting().as_ref().is_none_or(HashMap::is_empty)
    }

    fn write(&self, pdu: Vec<u8>) -> Result<(), Ended> {
        self.outgoing.try_send(pdu).map_err(|_| Ended::NotRead)
    }

    fn over(&self) {
        self.window.close();
        self.waiting().take();
    }
}

/// Takes a submission off the list, however its wait ends.
struct Forgotten<'a>(&'a Open, u32);

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.waiting().as_mut() {
            waiting.remove(&self.1);
        }
    }
}

/// Binds on a new connection; what came behind the answer is returned.
pub(super) async fn bind(stream: &mut dyn Stream, body: &[u8]) -> Result<BytesMut, Ended> {
    const FIRST: u32 = 1;
    stream.write_all(&pdu::pdu(command::BIND_TRANSCEIVER, 0, FIRST, body)).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::new();
    loop {
        if let Some(size) = pdu::whole(&buffer)? {
            let answer = buffer.split_to(size);
            let (header, _) = pdu::split(&answer).ok_or(Ended::NoBind)?;
            let is_answer = header.command == command::BIND_TRANSCEIVER | command::RESPONSE;
            return match header.status {
                0 if is_answer => Ok(buffer),
                0 => Err(Ended::NoBind),
                status if is_answer || header.command == command::GENERIC_NACK => Err(Ended::Refused(status)),
                _ => Err(Ended::NoBind),
            };
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Ended::ByPeer);
        }
    }
}

/// What a session needs beside its connection.
pub(super) struct Around<'a> {
    pub(super) clock: &'a dyn Clock,
    /// After how long a silence the peer is asked whether it is alive. Milliseconds.
    pub(super) enquire_ms: u64,
    /// What a message delivered to us tells.
    pub(super) told: &'a (dyn Fn(&Deliver<'_>) -> Option<Receipt> + Sync),
    /// Where receipts go.
    pub(super) receipts: &'a mpsc::Sender<SessionReceipt>,
    /// Nobody submits from here on.
    pub(super) closed: &'a (dyn Fn() + Sync),
    pub(super) stop: &'a CancellationToken,
}

/// Keeps a bound session until it ends; `buffer` is what was read already.
pub(super) async fn keep(
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    open: Arc<Open>,
    queue: mpsc::Receiver<Vec<u8>>,
    around: &Around<'_>,
) -> Ended {
    let ended = kept(stream, buffer, &open, queue, around).await;
    (around.closed)();
    open.over();
    match ended {
        Ok(()) => Ended::ByUs,
        Err(ended) => ended,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Unbinding,
    /// The peer is leaving.
    Left,
}

impl Phase {
    /// What the end of the connection means.
    const fn end(self) -> Result<(), Ended> {
        match self {
            Self::Unbinding => Ok(()),
            Self::Open | Self::Draining | Self::Left => Err(Ended::ByPeer),
        }
    }
}

type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

async fn kept(
    stream: Box<dyn Stream>,
    mut buffer: BytesMut,
    open: &Open,
    queue: mpsc::Receiver<Vec<u8>>,
    around: &Around<'_>,
) -> Result<(), Ended> {
    let (mut reader, writer) = tokio::io::split(stream);
    let mut writing = JoinSet::new();
    writing.spawn(write_all(writer, queue));
    let mut confirming: JoinSet<Vec<u8>> = JoinSet::new();
    let (mut phase, mut asked, mut heard) = (Phase::Open, false, true);
    // Half the span: at the second look nothing has been heard for the whole of it.
    let mut look = around.clock.sleep(around.enquire_ms / 2);
    let mut limit: Waiting<'_> = Box::pin(pending());
    loop {
        while let Some(size) = pdu::whole(&buffer)? {
            let read = buffer.split_to(size);
            let Some((header, body)) = pdu::split(&read) else { continue };
            match header.command {
                command::UNBIND => {
                    (around.closed)();
                    open.write(pdu::pdu(command::UNBIND | command::RESPONSE, 0, header.sequence, &[]))?;
                    // The peer closes the connection once it has read that.
                    phase = Phase::Left;
                    limit = around.clock.sleep(UNBIND_MS);
                }
                command if command == command::UNBIND | command::RESPONSE => return Ok(()),
                _ => take(header, body, open, around, &mut confirming)?,
            }
        }
        if phase == Phase::Draining && open.is_idle() && confirming.is_empty() {
            phase = Phase::Unbinding;
            open.write(pdu::pdu(command::UNBIND, 0, open.next(), &[]))?;
            limit = around.clock.sleep(UNBIND_MS);
        }
        tokio::select! {
            read = reader.read_buf(&mut buffer) => {
                if read? == 0 {
                    return phase.end();
                }
                (heard, asked) = (true, false);
            }
            Some(confirmed) = confirming.join_next(), if !confirming.is_empty() => {
                if let Ok(confirmation) = confirmed {
                    open.write(confirmation)?;
                }
            }
            Some(written) = writing.join_next() => {
                return Err(match written {
                    Ok(Err(error)) => error.into(),
                    Ok(Ok(())) | Err(_) => Ended::NotRead,
                });
            }
            () = &mut look => {
                if asked {
                    return Err(Ended::Silent);
                }
                if heard {
                    heard = false;
                    look = around.clock.sleep(around.enquire_ms / 2);
                } else {
                    asked = true;
                    open.write(pdu::pdu(command::ENQUIRE_LINK, 0, open.next(), &[]))?;
                    look = around.clock.sleep(ALIVE_MS);
                }
            }
            () = around.stop.cancelled(), if phase == Phase::Open => {
                phase = Phase::Draining;
                (around.closed)();
                open.window.close();
                limit = around.clock.sleep(DRAIN_MS);
            }
            () = &mut limit => {
                if phase != Phase::Draining {
                    return phase.end();
                }
                phase = Phase::Unbinding;
                open.write(pdu::pdu(command::UNBIND, 0, open.next(), &[]))?;
                limit = around.clock.sleep(UNBIND_MS);
            }
        }
    }
}

/// Takes one PDU that does not end the session.
fn take(header: Header, body: &[u8], open: &Open, around: &Around<'_>, confirming: &mut JoinSet<Vec<u8>>) -> Result<(), Ended> {
    let answer = |status, body: &[u8]| open.write(pdu::pdu(header.command | command::RESPONSE, status, header.sequence, body));
    let read = match header.command {
        command::DELIVER_SM => Deliver::read(body),
        command::DATA_SM => Deliver::read_data(body),
        command::ENQUIRE_LINK => return answer(0, &[]),
        command::ALERT_NOTIFICATION => return Ok(()),
        // A refusal of whatever it was: no other of our requests is waited for by its number.
        command if command == command::SUBMIT_SM | command::RESPONSE || command == command::GENERIC_NACK => {
            let id = pdu::message_id(body);
            open.answered(
                header.sequence,
                Answer {
                    status: if command == command::GENERIC_NACK && header.status == 0 {
                        u32::MAX
                    } else {
                        header.status
                    },
                    id: id[..id.len().min(ID_MAX)].into(),
                },
            );
            return Ok(());
        }
        command if command & command::RESPONSE != 0 => return Ok(()),
        _ => return open.write(pdu::pdu(command::GENERIC_NACK, UNKNOWN_COMMAND, header.sequence, &[])),
    };
    let Some(deliver) = read else {
        tracing::warn!("an SMSC delivered what cannot be read");
        return answer(NEVER, &[0]);
    };
    let Some(receipt) = (around.told)(&deliver) else {
        return answer(0, &[0]);
    };
    if confirming.len() >= CONFIRMING_MAX {
        return answer(QUEUE_FULL, &[0]);
    }
    let (told, taken) = SessionReceipt::confirmed(receipt);
    match around.receipts.try_send(told) {
        Ok(()) => {
            // It is durable before it is confirmed: until then it is the SMSC's to tell again.
            confirming.spawn(async move {
                let status = if taken.await.is_ok() { 0 } else { COME_AGAIN };
                pdu::pdu(header.command | command::RESPONSE, status, header.sequence, &[0])
            });
            Ok(())
        }
        Err(mpsc::error::TrySendError::Full(_)) => answer(QUEUE_FULL, &[0]),
        Err(mpsc::error::TrySendError::Closed(_)) => answer(COME_AGAIN, &[0]),
    }
}

/// Writes what comes, as much of it at once as is there.
async fn write_all(mut writer: WriteHalf<Box<dyn Stream>>, mut queue: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut together = Vec::with_capacity(WRITE_MAX);
    while let Some(pdu) = queue.recv().await {
        together.clear();
        together.extend_from_slice(&pdu);
        while together.len() < WRITE_MAX
            && let Ok(more) = queue.try_recv()
        {
            together.extend_from_slice(&more);
        }
        writer.write_all(&together).await?;
        writer.flush().await?;
    }
    Ok(())
}
