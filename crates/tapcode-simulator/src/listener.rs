//! How does a stand-in listen, and how is a connection cut on purpose?
//!
//! It sits on hyper directly: a router that always answers cannot close a connection in the caller's face.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest request a stand-in reads, in bytes. A send is about 500.
const REQUEST_MAX_BYTES: usize = 64 * 1024;

/// The pause after a failed `accept` (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Where a benchmark in another process reads a stand-in's counts. No vendor has such an address.
pub(crate) const COUNTS_PATH: &str = "/stand-in/counts";

/// What a stand-in does with one request.
pub(crate) enum Reply {
    Answer(Response<AnswerBody>),
    /// Close the connection without an answer.
    Close,
    /// Reset the connection without an answer.
    Reset,
}

/// The part of a stand-in that reads requests.
pub(crate) trait Desk: Send + Sync + 'static {
    fn handle(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Reply> + Send;
}

/// A listening address with a desk behind it, which can go away and come back.
pub(crate) struct Listener<D> {
    address: SocketAddr,
    desk: Arc<D>,
    slamming: Arc<AtomicBool>,
    session: Mutex<Option<Session>>,
}

/// One period of listening.
struct Session {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl<D: Desk> Listener<D> {
    pub(crate) async fn open(address: SocketAddr, desk: Arc<D>) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let listener = Self {
            address: socket.local_addr()?,
            desk,
            slamming: Arc::default(),
            session: Mutex::new(None),
        };
        listener.begin(socket);
        Ok(listener)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// While on, connections are accepted and closed at once, and requests on open connections are cut unread.
    pub(crate) fn slam(&self, on: bool) {
        self.slamming.store(on, Ordering::Release);
    }

    /// Stops listening and ends every connection. When this returns, connecting is refused.
    pub(crate) async fn close(&self) {
        let session = self.session.lock().expect("no holder panics").take();
        if let Some(session) = session {
            session.stop.cancel();
            session.tasks.close();
            session.tasks.wait().await;
        }
    }

    /// Listens again on the same address.
    pub(crate) async fn reopen(&self) -> io::Result<()> {
        if self.session.lock().expect("no holder panics").is_none() {
            let socket = TcpListener::bind(self.address).await?;
            self.begin(socket);
        }
        Ok(())
    }

    fn begin(&self, socket: TcpListener) {
        let session = Session {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        session.tasks.spawn(accept(
            socket,
            Arc::clone(&self.desk),
            Arc::clone(&self.slamming),
            session.stop.clone(),
            session.tasks.clone(),
        ));
        *self.session.lock().expect("no holder panics") = Some(session);
    }
}

impl<D> Drop for Listener<D> {
    fn drop(&mut self) {
        if let Ok(Some(session)) = self.session.get_mut().map(Option::take) {
            session.stop.cancel();
        }
    }
}

async fn accept<D: Desk>(
    socket: TcpListener,
    desk: Arc<D>,
    slamming: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        match accepted {
            Ok((stream, _)) if slamming.load(Ordering::Acquire) => drop(stream),
            Ok((stream, _)) => {
                tasks.spawn(converse(stream, Arc::clone(&desk), Arc::clone(&slamming), stop.clone()));
            }
            Err(_) => crate::clock::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Ends a connection: hyper closes without answering when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub(crate) struct Cut;

type Answering = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Cut>> + Send>>;

async fn converse<D: Desk>(stream: TcpStream, desk: Arc<D>, slamming: Arc<AtomicBool>, stop: CancellationToken) {
    // Without it, Nagle's algorithm and delayed acknowledgements add 40 ms to small answers.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let resetting = Arc::clone(&reset);
    let service = service_fn(move |request: Request<Incoming>| -> Answering {
        let (desk, slamming, reset) = (Arc::clone(&desk), Arc::clone(&slamming), Arc::clone(&resetting));
        Box::pin(async move {
            if slamming.load(Ordering::Acquire) {
                return Err(Cut);
            }
            match desk.handle(request).await {
                Reply::Answer(response) => Ok(response),
                Reply::Close => Err(Cut),
                Reply::Reset => {
                    reset.store(true, Ordering::Release);
                    Err(Cut)
                }
            }
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Any error ends the connection, and that is all there is to do about it.
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => {}
        () = stop.cancelled() => {}
    }
    let stream = connection.into_parts().io.into_inner();
    if reset.load(Ordering::Acquire) {
        let _ = stream.set_zero_linger();
    }
}

/// The whole body, or `None` when it is too large or broke off.
pub(crate) async fn read_body(request: Request<Incoming>) -> Option<Bytes> {
    let mut body = Limited::new(request.into_body(), REQUEST_MAX_BYTES);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            // Nearly every request fits into its first frame, which need not be copied.
            if whole.is_empty() && body.is_end_stream() {
                return Some(data);
            }
            whole.extend_from_slice(&data);
        }
    }
    Some(whole.freeze())
}

/// An answer's body, which may break off half way.
pub(crate) struct AnswerBody {
    bytes: Option<Bytes>,
    declared_bytes: u64,
    cut: Cutting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cutting {
    Never,
    /// The half that is sent must reach the wire before the connection breaks, so the break waits for one more poll.
    AfterAPause,
    Now,
}

impl AnswerBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            declared_bytes: bytes.len() as u64,
            bytes: Some(bytes),
            cut: Cutting::Never,
        }
    }

    /// Announces all of `bytes`, sends half.
    pub(crate) fn half(bytes: Bytes) -> Self {
        Self {
            declared_bytes: bytes.len() as u64,
            bytes: Some(bytes.slice(..bytes.len() / 2)),
            cut: Cutting::AfterAPause,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.cut {
            Cutting::Never => Poll::Ready(None),
            Cutting::AfterAPause => {
                self.cut = Cutting::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Cutting::Now => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.cut == Cutting::Never
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.declared_bytes)
    }
}

/// The status of a number; of one that is none, 500.
pub(crate) fn status(http: u16) -> StatusCode {
    StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn answer(http: u16, content_type: &'static str, body: AnswerBody) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status(http);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Reply::Answer(response)
}

/// The counts that a benchmark reads from outside the process, at [`COUNTS_PATH`].
pub(crate) fn counts_answer(counts: &impl serde::Serialize) -> Reply {
    let body = serde_json::to_vec(counts).expect("counts are JSON");
    answer(200, "application/json", AnswerBody::whole(body.into()))
}

/// Whether a request's body is said to be of this type, whatever its parameters.
pub(crate) fn is_of_type(request: &Request<Incoming>, wanted: &str) -> bool {
    let told = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    told.and_then(|told| told.split(';').next())
        .is_some_and(|kind| kind.trim() == wanted)
}
