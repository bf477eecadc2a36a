//! What happens around the answer to a send whose message exists: which receipts are out before it, and what does the caller see?

use crate::listener::{AnswerBody, Reply, answer};
use crate::{Fault, clock};
use bytes::Bytes;
use std::future::Future;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Holds back the receipts that come after the answer until it is dropped: with the answer, the break, or when the caller
/// goes away.
pub(crate) struct Unanswered {
    _answered: oneshot::Sender<()>,
}

/// The moment of the answer, as the receipts see it.
pub(crate) struct AnswerTime {
    early_done: oneshot::Sender<()>,
    answered: oneshot::Receiver<()>,
}

impl AnswerTime {
    /// Says that the early receipts are out, and waits for the answer or the break.
    pub(crate) async fn pass(self) {
        // An error says that the caller went away while early receipts were sent.
        let _ = self.early_done.send(());
        // Always an error: the answer or the break drops the other end.
        let _ = self.answered.await;
    }
}

/// Starts a message's receipts, which go on whatever becomes of the caller; returns once the early ones are out.
pub(crate) async fn start<F>(tasks: &TaskTracker, stop: &CancellationToken, receipts: impl FnOnce(AnswerTime) -> F) -> Unanswered
where
    F: Future<Output = ()> + Send + 'static,
{
    let (early_done, early_rx) = oneshot::channel();
    let (answered_tx, answered) = oneshot::channel();
    let receipts = receipts(AnswerTime { early_done, answered });
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(receipts).await;
    });
    // An error says that the stand-in is stopping.
    let _ = early_rx.await;
    Unanswered { _answered: answered_tx }
}

/// The answer, or what a fault makes of it.
pub(crate) async fn reply(
    fault: Option<Fault>,
    http: u16,
    content_type: &'static str,
    body: Bytes,
    unanswered: Option<Unanswered>,
) -> Reply {
    match fault {
        None => answer(http, content_type, AnswerBody::whole(body)),
        Some(Fault::CutShort) => answer(http, content_type, AnswerBody::half(body)),
        Some(Fault::Html(http)) => html_page(http),
        Some(Fault::Garbage) => {
            let garbage = Bytes::from_static(b"\xff\xfe{\"messages\":[{\"id\":");
            answer(http, "application/json", AnswerBody::whole(garbage))
        }
        Some(Fault::ReadThenReset) => Reply::Reset,
        Some(Fault::ReadThenHang(duration)) => {
            drop(unanswered);
            clock::sleep(duration).await;
            Reply::Close
        }
        Some(Fault::ReadThenClose | Fault::CloseBeforeRead) => Reply::Close,
    }
}

/// An HTML page where JSON was expected.
fn html_page(http: u16) -> Reply {
    let status = crate::listener::status(http);
    let page = format!("<!DOCTYPE html><html><head><title>Error</title></head><body><h1>{status}</h1></body></html>");
    answer(http, "text/html; charset=utf-8", AnswerBody::whole(page.into()))
}
