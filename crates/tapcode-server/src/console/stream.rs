//! What does the page hear? First everything as it is, then each phone as it changes and each decision as it is made.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tapcode_engine::contract::store::StoreError;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::decisions::Decisions;
use super::{Page, STREAMS_MAX};
use crate::problem::{Code, Problem};

/// How often a quiet stream shows that it is alive. Seconds.
const PING_S: u64 = 15;
/// After how many seconds a place among the pages may be free again.
const PLACE_S: u64 = 5;
/// Events that wait for a slow page; beyond them the page's follower waits, and what it misses of the phones it asks for anew.
const EVENTS_MAX: usize = 64;

pub(super) async fn stream(State(page): State<Page>) -> Response {
    let Ok(place) = std::sync::Arc::clone(&page.streams).try_acquire_owned() else {
        let detail = format!("{STREAMS_MAX} pages follow the phones already; close one");
        return Problem::new(Code::TooManyWaiting)
            .detail(detail)
            .retry_after(PLACE_S)
            .into_response();
    };
    let (tell, events) = mpsc::channel(EVENTS_MAX);
    let mut follower = JoinSet::new();
    follower.spawn(async move {
        tokio::select! {
            _ = follow(page, &tell) => {}
            () = tell.closed() => {}
        }
    });
    let events = Events {
        events: ReceiverStream::new(events),
        _follower: follower,
        _place: place,
    };
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(PING_S)).text("ping"))
        .into_response()
}

/// The page has gone.
struct Gone;

async fn follow(page: Page, tell: &mpsc::Sender<Event>) -> Result<(), Gone> {
    // Listen first, then look: what happens in between is heard twice rather than not at all.
    let mut changes = page.console.phones.changes();
    let mut grew = page.engine.log_grew();
    say(tell, "snapshot", &page.snapshot().await).await?;
    let mut decisions = Decisions::new(page.clone());
    for decision in readable(decisions.recent().await).unwrap_or_default() {
        say(tell, "decision", &decision).await?;
    }
    loop {
        tokio::select! {
            changed = changes.recv() => match changed {
                Ok(phone) => say(tell, "phone", &page.phone(phone).await).await?,
                Err(RecvError::Lagged(_)) => say(tell, "snapshot", &page.snapshot().await).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
            grown = grew.changed() => {
                if grown.is_err() {
                    return Ok(());
                }
                loop {
                    let (new, all) = readable(decisions.next().await).unwrap_or((Vec::new(), true));
                    for decision in new {
                        say(tell, "decision", &decision).await?;
                    }
                    if all {
                        break;
                    }
                }
            }
        }
    }
}

/// A store that cannot be asked is asked again when the log has grown.
fn readable<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the log could not be read for the phone page"
        )
    })
    .ok()
}

async fn say(tell: &mpsc::Sender<Event>, name: &str, what: &(impl Serialize + Sync)) -> Result<(), Gone> {
    let event = Event::default()
        .event(name)
        .json_data(what)
        .expect("texts, numbers and truths are JSON");
    tell.send(event).await.map_err(|_| Gone)
}

/// The events of one page, and the follower that makes them: gone when the page is.
struct Events {
    events: ReceiverStream<Event>,
    _follower: JoinSet<()>,
    _place: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.events).poll_next(context).map(|event| event.map(Ok))
    }
}
