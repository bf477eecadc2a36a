//! When do pages move from the write-ahead log into the database file? On a thread of its own, so that no commit waits
//! for it unless the log grows past all measure, and down to nothing when the store is idle.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tracing::warn;

/// Pages in the write-ahead log from which on they are copied beside the writer: 32 MiB.
const COPY_FROM_PAGES: u32 = 8 * 1024;
/// How often the log is copied beside the writer before the writer is held for the rest, and the log starts again. While
/// the writer never pauses, copying beside it never reaches the log's end; each round leaves about a third of the one before.
const COPIES_BEFORE_HOLD: usize = 3;
/// How long nothing must have been written before the log is emptied.
const IDLE: Duration = Duration::from_millis(500);
/// How long to wait after the log could not be emptied because somebody was reading it.
const EMPTY_AGAIN: Duration = Duration::from_millis(50);
/// How long to wait after a checkpoint that could not be made.
const PAUSE: Duration = Duration::from_millis(500);

/// What the writer and the checkpointer tell each other.
#[derive(Default)]
pub(super) struct Turnstile {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Pages in the write-ahead log after the last commit.
    pages: u32,
    /// From how many pages on they are copied.
    copy_from: u32,
    /// Counts commits, to tell idleness.
    commits: u64,
    /// The writer is within a transaction.
    writing: bool,
    /// The writer is to wait.
    held: bool,
    /// The log is to be emptied although nobody is idle: what was erased still stands in it.
    empty: bool,
    stopped: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pages: 0,
            copy_from: COPY_FROM_PAGES,
            commits: 0,
            writing: false,
            held: false,
            empty: false,
            stopped: false,
        }
    }
}

impl Turnstile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer begins a transaction; it waits here while it is held.
    pub(super) fn enter(&self) {
        let state = self.state();
        let mut state = self
            .changed
            .wait_while(state, |s| s.held)
            .unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
    }

    /// The writer has ended its transaction.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.writing = false;
        if state.held || state.pages >= state.copy_from {
            self.changed.notify_all();
        }
    }

    /// The log has so many pages after a commit.
    pub(super) fn committed(&self, pages: u32) {
        let mut state = self.state();
        state.pages = pages;
        state.commits += 1;
    }

    fn hold(&self) -> Held<'_> {
        let mut state = self.state();
        state.held = true;
        drop(
            self.changed
                .wait_while(state, |s| s.writing && !s.stopped)
                .unwrap_or_else(PoisonError::into_inner),
        );
        Held(self)
    }
}

/// The writer waits for as long as this lives.
struct Held<'a>(&'a Turnstile);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().held = false;
        self.0.changed.notify_all();
    }
}

/// The thread. Dropping it ends it.
pub(super) struct Checkpointer {
    turnstile: Arc<Turnstile>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, turnstile: Arc<Turnstile>) -> std::io::Result<Self> {
        let shared = Arc::clone(&turnstile);
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoint".to_owned())
            .spawn(move || run(&connection, &shared))?;
        Ok(Self {
            turnstile,
            thread: Some(thread),
        })
    }
}

impl Checkpointer {
    /// Has the log emptied as soon as may be, however busy the writer is.
    pub(super) fn empty_soon(&self) {
        self.turnstile.state().empty = true;
        self.turnstile.changed.notify_all();
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.turnstile.state().stopped = true;
        self.turnstile.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A checkpointer that panicked has nothing left to tell.
            drop(thread.join());
        }
    }
}

fn run(connection: &Connection, turnstile: &Turnstile) {
    let mut seen = 0;
    loop {
        let state = turnstile.state();
        let quiet = |s: &mut State| s.pages < s.copy_from && !s.empty && !s.stopped;
        let waited = turnstile.changed.wait_timeout_while(state, IDLE, quiet);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return;
        }
        let idle = waited.timed_out() && state.commits == seen && state.pages > 0;
        seen = state.commits;
        let pages = state.pages;
        let empty = std::mem::take(&mut state.empty);
        if pages < state.copy_from && !idle && !empty {
            continue;
        }
        // Asked again only when the writer has told of more.
        state.pages = 0;
        drop(state);
        let done = if empty {
            empty_all(connection, turnstile)
        } else if idle {
            checkpoint(connection, "TRUNCATE")
        } else {
            copy_all(connection, turnstile)
        };
        if empty && !matches!(done, Ok(Reach::All)) {
            // Somebody was still reading it: once more, a little later.
            let state = turnstile.state();
            let paused = turnstile.changed.wait_timeout_while(state, EMPTY_AGAIN, |s| !s.stopped);
            paused.unwrap_or_else(PoisonError::into_inner).0.empty = true;
        }
        // A log that could not start again is left to grow by as much once more before the next try.
        let copied = matches!(done, Ok(Reach::All));
        turnstile.state().copy_from = if copied {
            COPY_FROM_PAGES
        } else {
            pages.saturating_add(COPY_FROM_PAGES)
        };
        if let Err(error) = done {
            let error: &dyn std::error::Error = &error;
            warn!(error, "the write-ahead log could not be copied into the database, and grows");
            let state = turnstile.state();
            let paused = turnstile.changed.wait_timeout_while(state, PAUSE, |s| !s.stopped);
            drop(paused.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

fn copy_all(connection: &Connection, turnstile: &Turnstile) -> Result<Reach, rusqlite::Error> {
    for _ in 0..COPIES_BEFORE_HOLD {
        checkpoint(connection, "PASSIVE")?;
    }
    let _held = turnstile.hold();
    checkpoint(connection, "RESTART")
}

fn empty_all(connection: &Connection, turnstile: &Turnstile) -> Result<Reach, rusqlite::Error> {
    for _ in 0..COPIES_BEFORE_HOLD {
        checkpoint(connection, "PASSIVE")?;
    }
    let _held = turnstile.hold();
    checkpoint(connection, "TRUNCATE")
}

/// How far a checkpoint came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    /// A reader or another process was in the way, which is no error.
    Some,
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<Reach, rusqlite::Error> {
    match connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, bool>(0)) {
        Ok(busy) => Ok(if busy { Reach::Some } else { Reach::All }),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(Reach::Some),
        Err(error) => Err(error),
    }
}
