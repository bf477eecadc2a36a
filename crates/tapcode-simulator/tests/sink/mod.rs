//! What did a stand-in send to the address it calls back? A receiver of the tests' own, on axum, which keeps raw bytes.

#![allow(clippy::allow_attributes, dead_code, reason = "each test binary uses its own part of this")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub struct Sink {
    pub base_url: String,
    received: mpsc::Receiver<Received>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Keep {
    received: mpsc::Sender<Received>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Sink {
    /// Answers with these statuses, then 200 for ever. A `GET` is answered with its `hub.challenge`, except at `/deaf`.
    pub async fn answering(answers: &[u16]) -> Self {
        let (sender, received) = mpsc::channel(1_000);
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let keep = Keep {
            received: sender,
            answers: Arc::clone(&answers),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(keep);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            base_url,
            received,
            answers,
            server,
        }
    }

    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(super::LIMIT, self.received.recv())
            .await
            .expect("a callback arrives in time")
            .expect("the sink is running")
    }

    /// What has arrived and was not looked at.
    pub fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.received.try_recv().ok()).count()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
        assert!(
            std::thread::panicking() || self.answers.lock().unwrap().is_empty(),
            "the story had more answers than callbacks"
        );
    }
}

async fn take(
    State(keep): State<Keep>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let challenge = query
        .as_deref()
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("hub.challenge=")))
        .filter(|_| uri.path() != "/deaf")
        .unwrap_or_default()
        .to_owned();
    keep.received
        .send(Received {
            method,
            uri,
            headers,
            body,
        })
        .await
        .unwrap();
    let status = keep.answers.lock().unwrap().pop_front().unwrap_or(200);
    (StatusCode::from_u16(status).unwrap(), challenge)
}
