//! How does a caller follow what happens? Pages of events, and a stream of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{Line, Place, Right, StoreError};
use tapcode_engine::engine::Engine;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::announce::{EventAnswer, TYPES, events};
use crate::api::call::{Answered, Call, answer, to_json};
use crate::api::operation::{Operation, Parameter, Route, Success, keyed, schema};
use crate::api::query::Query;
use crate::api::refusal::unavailable;
use crate::limits::{KEEP_ALIVE_MS, LOG_ROWS, LOG_ROWS_MAX, SLOW_READER_MS, STREAM_LOOK_MS, STREAM_PIECES_MAX};
use crate::problem::{Code, Problem};

const TAG: &str = "Events";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a browser waits before it connects again. Milliseconds.
const RECONNECT_MS: u32 = 2_000;

/// A page of events, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList<'a> {
    data: Vec<EventAnswer<'a>>,
    /// Where to go on, now or later: it is never `null`, because events never end.
    next_cursor: String,
}

const EVENT: &str = r#"{"id":"evt_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0F0","type":"message.delivered","timestamp":"2026-11-23T09:00:02.000Z","service":"acme","mode":"live","data":{"verification_id":"vrf_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0D0","message_id":"msg_069WPJXG00JF8MZPTG94S5DYK9QA1FJ0T0EG","to":"+31*****8058","country":"NL","purpose":"login","channel":"whatsapp","provider":"whatsapp_cloud","sender":1,"delivery_ms":2000,"metadata":{"user_id":"u_17"}}}"#;
const TYPES_IS: &str = "Only these types, separated by commas. Default: all.";

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    let [service, mode] = super::verifications::SERVICE;
    let after = Parameter {
        name: "after",
        kind: "string",
        means: "The `next_cursor` of the page before. Default: the oldest event.",
    };
    let limit = Parameter {
        name: "limit",
        kind: "integer",
        means: "1 to 100. Default 20.",
    };
    let types = Parameter {
        name: "types",
        kind: "string",
        means: TYPES_IS,
    };
    let page = vec![after, types, limit, service, mode];
    let stream = vec![
        Parameter {
            name: "after",
            kind: "string",
            means: "A cursor to start behind. Default: what happens from now on. `Last-Event-ID` goes before it.",
        },
        Parameter {
            name: "types",
            kind: "string",
            means: TYPES_IS,
        },
        service,
        mode,
    ];
    let base = |id, path, summary, description| Operation {
        id,
        method: Method::GET,
        path,
        tag: TAG,
        summary,
        description,
        needs: &[Right::Read],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers: &[Success {
            status: 200,
            means: "Events in the order in which they happened, without a gap.",
            media: "application/json",
            schema: Some(schema::<EventList<'static>>),
            example: r#"{"data":[],"next_cursor":"AAAAAAAAAAEAAA"}"#,
        }],
        problems: &[Code::InvalidCursor, Code::CursorExpired, Code::UnknownEventType],
    };
    vec![
        keyed(
            Operation {
                query: page,
                ..base(
                    "listEvents",
                    "/api/v1/events",
                    "List events",
                    "Oldest first. Keep `next_cursor` and ask again with it. A page may be short or empty although more follows at once.",
                )
            },
            shared,
            list,
        ),
        keyed(
            Operation {
                query: stream,
                answers: &[Success {
                    status: 200,
                    means: "Server-sent events; `id` is a cursor, `data` an event.",
                    media: "text/event-stream",
                    schema: Some(schema::<EventAnswer<'static>>),
                    example: EVENT,
                }],
                problems: &[
                    Code::InvalidCursor,
                    Code::CursorExpired,
                    Code::UnknownEventType,
                    Code::TooManyWaiting,
                ],
                ..base(
                    "streamEvents",
                    "/api/v1/events/stream",
                    "Follow events",
                    "Server-sent events. `Last-Event-ID` resumes without a gap. A reader that takes nothing for 10 seconds is disconnected.",
                )
            },
            shared,
            stream_events,
        ),
    ]
}

/// How far a reader has come: everything up to and including this place in the log, and so many decisions of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    after: Option<Place>,
    /// Events of the entry behind `after` that have been told.
    told: u16,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 10] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (place, told) = bytes.split_first_chunk::<8>()?;
        let place = u64::from_be_bytes(*place);
        let told = u16::from_be_bytes(told.try_into().ok()?);
        Some(Self {
            after: place.checked_sub(1).map(Place),
            told,
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.after.map_or(0, |p| p.0.saturating_add(1));
        let mut bytes = place.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.told.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Whose events, and which.
pub(crate) struct Wanted {
    service: Option<ServiceName>,
    /// `None`: both; only an admin key without a service sees both.
    mode: Option<Mode>,
    /// The senders of that service; `None`: all.
    senders: Option<BTreeSet<(Channel, u32)>>,
    types: Option<Vec<&'static str>>,
}

impl Wanted {
    fn read(call: &Call, query: &Query<'_>) -> Self {
        let own = call.caller.service.clone();
        let (service, mode) = match own {
            Some(service) => (Some(service), Some(call.caller.mode)),
            None => (query.service(), query.mode()),
        };
        let one = |text: &str| TYPES.iter().find(|t| **t == text).copied();
        let unknown = "types are separated by commas; the list is in the documentation of events";
        let types = query.read("types", (Code::UnknownEventType, unknown), |t| {
            t.split(',').map(one).collect()
        });
        let directory = call.engine().directory();
        let senders = service.as_ref().map(|service| directory.senders_for(service));
        Self {
            service,
            mode,
            senders,
            types,
        }
    }

    /// What an endpoint wants.
    pub(crate) fn of_endpoint(engine: &Engine, endpoint: &Endpoint) -> Self {
        let types = || {
            TYPES
                .iter()
                .copied()
                .filter(|known| endpoint.types.iter().any(|t| **t == **known))
        };
        Self {
            service: Some(endpoint.service.clone()),
            mode: Some(endpoint.mode),
            senders: Some(engine.directory().senders_for(&endpoint.service)),
            types: (!endpoint.types.is_empty()).then(|| types().collect()),
        }
    }

    pub(crate) fn has_line(&self, line: &Line) -> bool {
        match line {
            Line::Recipient(entry) => {
                self.service.as_ref().is_none_or(|s| *s == entry.scope.service) && self.mode.is_none_or(|m| m == entry.scope.mode)
            }
            Line::Endpoint(entry) => {
                self.service.as_ref().is_none_or(|s| *s == entry.service) && self.mode.is_none_or(|m| m == entry.mode)
            }
            // An account is everybody's whose messages go over it.
            Line::Account(entry) => {
                let used =
                    |senders: &BTreeSet<(Channel, u32)>| entry.senders.iter().any(|s| senders.contains(&(entry.channel, *s)));
                self.senders.as_ref().is_none_or(used) && self.mode.is_none_or(|m| m == Mode::Live)
            }
        }
    }

    /// Where a reader goes on who came to a cursor, or begins: with the oldest that is kept. A cursor behind which something is
    /// gone is refused, because its reader counts on no gap.
    async fn resume(&self, engine: &Engine, cursor: Option<Cursor>) -> Result<Cursor, Problem> {
        let swept = engine
            .store()
            .swept(self.service.as_ref())
            .await
            .map_err(|error| unavailable(&error))?;
        match cursor {
            Some(cursor) if cursor.after < swept => Err(Problem::new(Code::CursorExpired)),
            Some(cursor) => Ok(cursor),
            None => Ok(Cursor { after: swept, told: 0 }),
        }
    }

    pub(crate) fn has(&self, event: &EventAnswer<'_>) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&event.r#type))
    }
}

async fn list(call: Call) -> Answered {
    let query = call.query();
    let wanted = Wanted::read(&call, &query);
    let start = query.read(
        "after",
        (Code::InvalidCursor, Code::InvalidCursor.registered().means),
        Cursor::parse,
    );
    let limit = query.limit();
    query.done()?;
    let mut cursor = wanted.resume(call.engine(), start).await?;
    let mut kept: Vec<(Line, usize)> = Vec::new();
    let (mut found, mut looked) = (0, 0);
    // Entries are kept and events made from them at the end, because events borrow.
    'pages: while looked < LOG_ROWS_MAX {
        let rows = call
            .engine()
            .store()
            .lines(cursor.after, LOG_ROWS)
            .await
            .map_err(|error| unavailable(&error))?;
        let last = rows.len() < LOG_ROWS;
        looked += rows.len();
        for (place, entry) in rows {
            let skip = usize::from(cursor.told);
            let here = if wanted.has_line(&entry) {
                events(&entry).into_iter().skip(skip).filter(|e| wanted.has(e)).count()
            } else {
                0
            };
            if found + here > limit {
                // The page ends within this entry: the cursor counts all its events, told or passed over.
                let room = limit - found;
                let told = skip + up_to(&entry, &wanted, skip, room);
                kept.push((entry, skip));
                cursor.told = u16::try_from(told).unwrap_or(u16::MAX);
                break 'pages;
            }
            found += here;
            if here > 0 {
                kept.push((entry, skip));
            }
            cursor = Cursor {
                after: Some(place),
                told: 0,
            };
        }
        if last || found >= limit {
            break;
        }
    }
    let data = kept
        .iter()
        .flat_map(|(entry, skip)| events(entry).into_iter().skip(*skip))
        .filter(|e| wanted.has(e))
        .take(limit)
        .collect();
    Ok(answer(
        StatusCode::OK,
        &EventList {
            data,
            next_cursor: cursor.to_string(),
        },
    ))
}

/// How many events behind `skip` have to be passed to see `room` wanted ones.
fn up_to(entry: &Line, wanted: &Wanted, skip: usize, room: usize) -> usize {
    let (mut seen, mut passed) = (0, 0);
    for event in events(entry).into_iter().skip(skip) {
        if seen == room {
            break;
        }
        seen += usize::from(wanted.has(&event));
        passed += 1;
    }
    passed
}

async fn stream_events(call: Call) -> Answered {
    let query = call.query();
    let wanted = Wanted::read(&call, &query);
    let after = query.read(
        "after",
        (Code::InvalidCursor, Code::InvalidCursor.registered().means),
        Cursor::parse,
    );
    query.done()?;
    let resumed = match call.header(&LAST_EVENT_ID) {
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| Problem::new(Code::InvalidCursor))?),
        None => None,
    };
    let cursor = match resumed.or(after) {
        Some(cursor) => wanted.resume(call.engine(), Some(cursor)).await?,
        None => Cursor {
            after: call.engine().store().newest().await.map_err(|error| unavailable(&error))?,
            told: 0,
        },
    };
    let place = Arc::clone(&call.shared.streams).try_acquire_owned();
    let place = place.map_err(|_| Problem::new(Code::TooManyWaiting).retry_after(5))?;
    let (pieces, taken) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(STREAM_PIECES_MAX);
    let engine = call.engine().clone();
    call.engine().spawn(async move {
        let _place = place;
        let follower = Follower { engine, wanted, pieces };
        match follower.follow(cursor).await {
            Gone::Left => {}
            Gone::Slow => metrics::counter!("tapcode_streams_too_slow_total").increment(1),
            Gone::Store(error) => tracing::warn!(error = %error, "a stream of events ended because the log could not be read"),
        }
    });
    let mut response = Response::new(HttpBody::from_stream(ReceiverStream::new(taken)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that would collect an answer before passing it on are asked not to.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// Why a stream ends.
enum Gone {
    /// The reader has gone.
    Left,
    /// The reader takes nothing.
    Slow,
    /// The log cannot be read: the reader comes again with what it saw last.
    Store(StoreError),
}

struct Follower {
    engine: Engine,
    wanted: Wanted,
    pieces: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
}

impl Follower {
    /// Sends what the log has behind the cursor, and what it gets, until the reader is gone.
    async fn follow(self, mut cursor: Cursor) -> Gone {
        let mut grew = self.engine.log_grew();
        if let Err(gone) = self.send(format!("retry: {RECONNECT_MS}\n\n").into_bytes()).await {
            return gone;
        }
        let mut spoke = self.engine.now();
        loop {
            // Marked as seen before reading, so that what comes in between is news.
            grew.mark_unchanged();
            match self.read_on(&mut cursor).await {
                Ok(Read { sent, more }) => {
                    if sent {
                        spoke = self.engine.now();
                    }
                    if more {
                        continue;
                    }
                }
                Err(gone) => return gone,
            }
            if self.quiet_since(spoke) {
                // A comment with the cursor's progress would be no event: an empty one only shows that somebody is there.
                if let Err(gone) = self.send(b": still here\n\n".to_vec()).await {
                    return gone;
                }
                spoke = self.engine.now();
            }
            let look = Duration::from_millis(STREAM_LOOK_MS);
            tokio::select! {
                _ = tokio::time::timeout(look, grew.changed()) => {}
                () = self.pieces.closed() => return Gone::Left,
            }
        }
    }

    fn quiet_since(&self, spoke: Timestamp) -> bool {
        self.engine.now().millis_since(spoke) >= KEEP_ALIVE_MS
    }

    async fn read_on(&self, cursor: &mut Cursor) -> Result<Read, Gone> {
        let rows = self.engine.store().lines(cursor.after, LOG_ROWS).await.map_err(Gone::Store)?;
        let more = rows.len() == LOG_ROWS;
        let mut piece = Vec::new();
        for (place, entry) in rows {
            if self.wanted.has_line(&entry) {
                let all = events(&entry).len();
                for (at, event) in events(&entry).into_iter().enumerate().skip(usize::from(cursor.told)) {
                    if !self.wanted.has(&event) {
                        continue;
                    }
                    let here = if at + 1 == all {
                        Cursor {
                            after: Some(place),
                            told: 0,
                        }
                    } else {
                        Cursor {
                            after: cursor.after,
                            told: u16::try_from(at + 1).unwrap_or(u16::MAX),
                        }
                    };
                    piece.extend_from_slice(format!("id: {here}\nevent: {}\ndata: ", event.r#type).as_bytes());
                    piece.extend_from_slice(&to_json(&event));
                    piece.extend_from_slice(b"\n\n");
                }
            }
            *cursor = Cursor {
                after: Some(place),
                told: 0,
            };
        }
        let sent = !piece.is_empty();
        if sent {
            self.send(piece).await?;
        }
        Ok(Read { sent, more })
    }

    async fn send(&self, piece: Vec<u8>) -> Result<(), Gone> {
        match tokio::time::timeout(Duration::from_millis(SLOW_READER_MS), self.pieces.send(Ok(piece.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone::Left),
            Err(_) => Err(Gone::Slow),
        }
    }
}

struct Read {
    sent: bool,
    more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        for cursor in [
            Cursor { after: None, told: 0 },
            Cursor {
                after: Some(Place(0)),
                told: 0,
            },
            Cursor {
                after: Some(Place(u64::MAX - 1)),
                told: 3,
            },
        ] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        for text in ["", "AAAA", "!", "AAAAAAAAAAEAAAAA"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
