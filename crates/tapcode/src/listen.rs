//! How are connections taken, bounded and let go?
//!
//! Nothing a stranger does with a socket may cost more than one of [`Bounds::connections_max`] places for a bounded time:
//! a connection that sends no whole request head within [`HEAD_MS`] is closed, at its start and between requests, and a
//! request whose body does not come is answered by [`Bounds::answer_ms`].
//! When the server stops, requests under way are finished within [`DRAIN_MS`] and streams of events end by themselves.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tapcode_engine::clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long a connection may take to send the head of a request, idle time before it included. Milliseconds: longer than
/// what clients keep idle connections for by default (Node 5 s, reqwest's pool in this project 20 s).
pub const HEAD_MS: u64 = 30_000;
/// How long requests under way may take once the server is stopping. Milliseconds: with the engine's calls under way
/// behind it, below the 30 s that Kubernetes gives a pod by default
/// (`terminationGracePeriodSeconds`, <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>; from memory).
pub const DRAIN_MS: u64 = 10_000;
/// Headers that a request may have.
const HEADERS_MAX: usize = 100;
/// Largest head of a request, and largest piece of a body that is read at once, in bytes.
const BUFFER_MAX: usize = 64 * 1024;
/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 128;
/// How often an HTTP/2 connection is asked whether anybody is there, and how long it may take to say so. Milliseconds.
const PING_MS: u64 = 20_000;
/// How long to wait after a connection could not be accepted: the usual reason is that all file descriptors are in use. Milliseconds.
const ACCEPT_AGAIN_MS: u64 = 100;

/// What is configured of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once; the next one waits to be accepted.
    pub connections_max: usize,
    /// How long a request may take to be answered, its body's arrival and the longest `?wait=` included. Milliseconds.
    pub answer_ms: u64,
}

/// Serves until `stop`, then finishes what is under way; returns how many connections had to be cut.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, clock: &dyn Clock, stop: CancellationToken) -> usize {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let builder = Arc::new(builder());
    loop {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection =
                    Connection { router: router.clone(), answer_ms: bounds.answer_ms, stop: stop.clone(), cut: cut.clone() };
                let builder = Arc::clone(&builder);
                connections.spawn(async move {
                    connection.serve(&builder, stream, peer).await;
                    drop(place);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted; raise the limit of open files if this stays");
                clock.sleep(ACCEPT_AGAIN_MS).await;
            }
        }
    }
    // New connections are refused from here on instead of waiting in the queue of a server that will not take them.
    drop(listener);
    connections.close();
    let drained = tokio::time::timeout(Duration::from_millis(DRAIN_MS), connections.wait()).await;
    let left = if drained.is_ok() { 0 } else { connections.len() };
    cut.cancel();
    connections.wait().await;
    left
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_MS))
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(BUFFER_MAX).expect("64 KiB fits"))
        .keep_alive_interval(Duration::from_millis(PING_MS))
        .keep_alive_timeout(Duration::from_millis(PING_MS));
    builder
}

/// The peer was gone before it was accepted: nothing to do and nothing to wait for.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

struct Connection {
    router: Router,
    answer_ms: u64,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Connection {
    async fn serve(self, builder: &auto::Builder<TokioExecutor>, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole; waiting for more to send only makes them late.
        let _as_it_was = stream.set_nodelay(true);
        let spoke = Arc::new(Notify::new());
        let (router, answer_ms, stop) = (self.router, self.answer_ms, self.stop.clone());
        let heard = Arc::clone(&spoke);
        let service = service_fn(move |request: Request<Incoming>| {
            heard.notify_one();
            answer(router.clone(), request, peer, answer_ms, stop.clone())
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // hyper's own limit starts once it knows which version of HTTP is spoken: a peer that never says has none.
        let mut silence = pin!(tokio::time::timeout(Duration::from_millis(HEAD_MS), spoke.notified()));
        let (mut silent, mut stopping) = (true, false);
        loop {
            tokio::select! {
                // What goes wrong on a connection is the peer's affair: it went away, or does not speak HTTP.
                _ended = connection.as_mut() => return,
                spoken = silence.as_mut(), if silent => match spoken {
                    Ok(()) => silent = false,
                    Err(_) => return,
                },
                () = self.stop.cancelled(), if !stopping => {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                () = self.cut.cancelled() => return,
            }
        }
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    answer_ms: u64,
    stop: CancellationToken,
) -> Result<Response<Body>, std::convert::Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let Ok(answered) = tokio::time::timeout(Duration::from_millis(answer_ms), router.oneshot(request)).await else {
        metrics::counter!("tapcode_requests_timed_out_total").increment(1);
        let mut late = Response::new(Body::empty());
        *late.status_mut() = StatusCode::REQUEST_TIMEOUT;
        late.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        return Ok(late);
    };
    let answered = answered.unwrap_or_else(|never| match never {});
    let streams = answered.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
    Ok(if streams { answered.map(|body| Body::new(UntilStopped { body, stopped: Box::pin(stop.cancelled_owned()) })) } else { answered })
}

/// A body without an end of its own, which ends when the server stops: its reader comes back to the next one.
struct UntilStopped {
    body: Body,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl HttpBody for UntilStopped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
