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
                let connection = Connection {
                    router: router.clone(),
                    answer_ms: bounds.answer_ms,
                    stop: stop.clone(),
                    cut: cut.clone(),
                };
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
        late.headers_mut()
            .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        return Ok(late);
    };
    let answered = answered.unwrap_or_else(|never| match never {});
    let streams = answered
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
    Ok(if streams {
        answered.map(|body| {
            Body::new(UntilStopped {
                body,
                stopped: Box::pin(stop.cancelled_owned()),
            })
        })
    } else {
        answered
    })
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::{get, post};
    use tapcode_engine::clock::SystemClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections_max: 100,
        answer_ms: 90_000,
    };

    struct Listening {
        address: SocketAddr,
        stop: CancellationToken,
        served: JoinHandle<usize>,
    }

    async fn listening(router: Router, bounds: Bounds) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let stopped = stop.clone();
        let served = tokio::spawn(async move { serve(listener, router, bounds, &SystemClock, stopped).await });
        Listening { address, stop, served }
    }

    fn echo() -> Router {
        Router::new()
            .route("/", get(async || "here"))
            .route("/echo", post(async |body: String| body))
    }

    async fn said(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Longer than every limit of a connection together, by the clock that may be paused.
    const ENDS: Duration = Duration::from_secs(300);

    async fn rest(stream: &mut TcpStream) -> String {
        let mut answer = String::new();
        // A reset is as much an end as a close.
        let _ended = tokio::time::timeout(ENDS, stream.read_to_string(&mut answer))
            .await
            .expect("the connection ends");
        answer
    }

    /// The clock is paused: it jumps ahead whenever nothing else is left to do, which is when the silence is all there is.
    async fn closed_after(text: &str) -> (String, u128) {
        let listening = listening(echo(), BOUNDS).await;
        let from = tokio::time::Instant::now();
        let answer = said(listening.address, text).await;
        (answer, from.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_no_whole_head_is_let_go() {
        for beginning in ["", "G", "PRI * HTTP/2", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
            let (answer, after_ms) = closed_after(beginning).await;
            let bounds = u128::from(HEAD_MS) - 1_000..=u128::from(HEAD_MS) + 1_000;
            assert!(bounds.contains(&after_ms), "{beginning:?} was let go after {after_ms} ms");
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_let_go_after_its_request_too() {
        let (answer, after_ms) = closed_after("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.ends_with("here"), "{answer}");
        assert!(after_ms <= u128::from(HEAD_MS) + 1_000, "{after_ms}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_answered() {
        let (answer, after_ms) = closed_after("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhal").await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(after_ms <= u128::from(BOUNDS.answer_ms) + 1_000, "{after_ms}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_beyond_the_bound_waits_for_a_place() {
        let listening = listening(
            echo(),
            Bounds {
                connections_max: 1,
                ..BOUNDS
            },
        )
        .await;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let first = TcpStream::connect(listening.address).await.unwrap();
        let mut second = TcpStream::connect(listening.address).await.unwrap();
        second.write_all(request).await.unwrap();
        // The clock only moves on once everybody else has nothing left to do.
        let soon = Duration::from_millis(HEAD_MS / 2);
        assert!(
            tokio::time::timeout(soon, second.readable()).await.is_err(),
            "it was served beside the first"
        );
        drop(first);
        assert!(rest(&mut second).await.ends_with("here"));
    }

    #[tokio::test]
    async fn stopping_answers_what_is_under_way_and_takes_nothing_new() {
        let listening = listening(echo(), BOUNDS).await;
        let mut idle = TcpStream::connect(listening.address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 12];
        idle.read_exact(&mut answer).await.unwrap();
        let mut under_way = TcpStream::connect(listening.address).await.unwrap();
        let head = b"POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        under_way.write_all(head).await.unwrap();
        // The server has asked for the body: the request is under way.
        let mut asked = vec![0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        under_way.read_exact(&mut asked).await.unwrap();
        let from = Instant::now();
        listening.stop.cancel();
        rest(&mut idle).await;
        assert!(
            from.elapsed() < Duration::from_millis(DRAIN_MS),
            "an idle connection was waited for"
        );
        let until = Instant::now() + Duration::from_secs(5);
        let connect = || tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(listening.address));
        while connect()
            .await
            .expect("a connection is refused, and not left in the queue")
            .is_ok()
        {
            assert!(Instant::now() < until, "new connections are still taken");
            tokio::task::yield_now().await;
        }
        under_way.write_all(b"done").await.unwrap();
        let answer = rest(&mut under_way).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        assert_eq!(listening.served.await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_stopping_may_is_cut() {
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        let never = get(move || {
            begins.notify_one();
            std::future::pending::<()>()
        });
        let listening = listening(Router::new().route("/", never), BOUNDS).await;
        let mut stuck = TcpStream::connect(listening.address).await.unwrap();
        stuck.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        begun.notified().await;
        let from = tokio::time::Instant::now();
        listening.stop.cancel();
        assert_eq!(listening.served.await.unwrap(), 1);
        assert!(from.elapsed() <= Duration::from_millis(DRAIN_MS + 1_000));
        assert_eq!(rest(&mut stuck).await, "");
    }

    #[tokio::test]
    async fn a_stream_of_events_ends_when_the_server_stops() {
        let events = get(async || {
            let first = once_and_then_nothing("data: 1\n\n");
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(first))
        });
        let listening = listening(Router::new().route("/", events), BOUNDS).await;
        let mut reader = TcpStream::connect(listening.address).await.unwrap();
        reader.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"data: 1\n\n\r\n") {
            let mut byte = [0; 1];
            reader.read_exact(&mut byte).await.unwrap();
            seen.push(byte[0]);
        }
        let from = Instant::now();
        listening.stop.cancel();
        assert_eq!(rest(&mut reader).await, "0\r\n\r\n");
        assert_eq!(listening.served.await.unwrap(), 0);
        assert!(
            from.elapsed() < Duration::from_millis(DRAIN_MS),
            "it was cut, and did not end by itself"
        );
    }

    /// A body that says one thing and then nothing, for ever.
    fn once_and_then_nothing(text: &'static str) -> impl HttpBody<Data = Bytes, Error = axum::Error> + Send + 'static {
        struct Once(Option<&'static str>);
        impl HttpBody for Once {
            type Data = Bytes;
            type Error = axum::Error;
            fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
                match self.0.take() {
                    Some(text) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))),
                    None => Poll::Pending,
                }
            }
        }
        Once(Some(text))
    }
}
