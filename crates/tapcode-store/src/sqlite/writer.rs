//! How does everything get written? By one thread, many commits to a transaction, answered when it is durable.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tapcode_core::entry::Entry;
use tapcode_core::id::{ID_BYTES, KeyId, MessageId};
use tapcode_core::recipient::{Mode, RecipientKey, Scope, ServiceName};
use tapcode_core::statistics::Span;
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::store::{
    BATCH_MAX, PARKED_MAX, PARKED_PER_MESSAGE_MAX, REMEMBERED_MS, Snapshot, StoreError, Subject, Sweep,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::limits::Full;
use crate::record::Stored;
use crate::sqlite::checkpoint::Turnstile;
use crate::sqlite::rows::{
    AccountWrite, ActRow, EndpointWrite, HistoryRow, KeyWrite, Kind, LogRow, SubjectKey, TallyWrite, Write, scope_text,
    span_number, swept_counter,
};

/// Most pieces of work that wait for the writer. A piece is up to [`BATCH_MAX`] commits; whoever comes next waits for room.
const WAITING_MAX: usize = 256;
/// Entries at the log's front that a sweep looks past when they are too young: clocks of several tasks differ by little.
const LOG_DISORDER_MAX: usize = 1_000;

/// The database did not do what it was asked to; whoever was in the same transaction is told the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error("sqlite could not write")]
pub(super) struct Broken(#[source] Arc<rusqlite::Error>);

/// The writer is gone, because the store is being closed or because a bug of ours ended it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the thread that writes to sqlite has ended")]
struct Gone;

/// Something to be written.
pub(super) enum Work {
    Commit(Vec<Write>),
    Park {
        sender: Box<str>,
        provider_message_id: Box<str>,
        /// What makes it one fact.
        kind: Vec<u8>,
        /// The whole of it.
        told: Vec<u8>,
        until: i64,
    },
    Account(AccountWrite),
    Endpoint(EndpointWrite),
    Tallies(TallyWrite),
    /// To whom a portfolio wrote within an hour.
    AddWritten {
        portfolio: Box<str>,
        hour: u32,
        recipients: Vec<i64>,
    },
    Key(KeyWrite),
    KeyUsed {
        id: KeyId,
        at: i64,
    },
    Act(ActRow),
    /// Rows, all within one transaction: the caller keeps the limit small.
    Sweep(Sweep),
    /// Rows, as for a sweep.
    Erase {
        key: RecipientKey,
        limit: usize,
    },
    /// Gives back at most so many free pages beyond `keep`.
    Vacuum {
        pages: u32,
        keep: u32,
    },
    Ping,
}

/// What came of it, once it is durable.
pub(super) enum Done {
    /// For each commit, whether it was written; if not, it is a conflict.
    Committed(Vec<bool>),
    Parked(Result<(), Full>),
    /// Rows that were removed, or erased.
    Swept(usize),
    /// Pages that were given back.
    Vacuumed(u32),
    Written,
}

struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Done, Broken>>,
}

/// The thread's handle. Dropping it lets the thread finish what waits, and ends it.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(mut connection: Connection, turnstile: Arc<Turnstile>) -> Result<Self, crate::sqlite::OpenError> {
        let told = Arc::clone(&turnstile);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            told.committed(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }))?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || {
            Loop {
                connection,
                turnstile,
                parked: None,
                broken: false,
            }
            .run(waiting)
        })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Hands work to the thread and waits until it is durable. A caller that stops waiting changes nothing.
    pub(super) async fn write(&self, work: Work) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().expect("the channel is there until the store is dropped");
        jobs.send(Job { work, reply })
            .await
            .map_err(|_| StoreError::unavailable(Gone))?;
        answer
            .await
            .map_err(|_| StoreError::unavailable(Gone))?
            .map_err(StoreError::unavailable)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to tell.
            drop(thread.join());
        }
    }
}

struct Loop {
    connection: Connection,
    turnstile: Arc<Turnstile>,
    /// How many receipts are parked; `None` when it must be counted.
    parked: Option<usize>,
    /// The last turn could not be written.
    broken: bool,
}

impl Loop {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut turn = Vec::new();
        while let Some(first) = waiting.blocking_recv() {
            let mut commits = first.work.commits();
            turn.push(first);
            // Whatever came while the last turn was written goes into this one: one sync for all of it.
            while commits < BATCH_MAX {
                let Ok(job) = waiting.try_recv() else { break };
                commits += job.work.commits().max(1);
                turn.push(job);
            }
            self.turn(&mut turn);
        }
    }

    fn turn(&mut self, jobs: &mut Vec<Job>) {
        self.turnstile.enter();
        let result = self.write(jobs);
        if result.is_err() {
            self.parked = None;
            if !self.connection.is_autocommit() {
                // If this fails too, so does the next BEGIN, and with it every commit until a ROLLBACK succeeds.
                drop(self.connection.execute_batch("ROLLBACK"));
            }
        }
        self.turnstile.leave();
        match result {
            Ok(done) => {
                if std::mem::replace(&mut self.broken, false) {
                    info!("sqlite can write again");
                }
                for (job, done) in jobs.drain(..).zip(done) {
                    // Nobody listens any more: what was written stays written.
                    drop(job.reply.send(Ok(done)));
                }
            }
            Err(source) => {
                // Said once: a full disk fails every turn until somebody makes room.
                if !std::mem::replace(&mut self.broken, true) {
                    let error: &dyn std::error::Error = &source;
                    error!(
                        error,
                        "sqlite cannot write; everything is answered as unavailable until it can"
                    );
                }
                let broken = Broken(Arc::new(source));
                for job in jobs.drain(..) {
                    drop(job.reply.send(Err(broken.clone())));
                }
            }
        }
    }

    fn write(&mut self, jobs: &[Job]) -> Result<Vec<Done>, rusqlite::Error> {
        // IMMEDIATE: another process's write is waited for here, and never met half-way.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut turn = Turn {
            transaction: &transaction,
            last_place: None,
            parked: &mut self.parked,
        };
        let done = jobs.iter().map(|job| turn.work(&job.work)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(done)
    }
}

impl Work {
    fn commits(&self) -> usize {
        if let Self::Commit(writes) = self { writes.len() } else { 0 }
    }
}

/// One transaction. An error ends all of it; what a commit is refused for is found before its first row is written, so
/// that no savepoint is needed.
struct Turn<'a> {
    transaction: &'a Transaction<'a>,
    /// The highest place of the log, once it was looked up.
    last_place: Option<i64>,
    parked: &'a mut Option<usize>,
}

impl Turn<'_> {
    fn work(&mut self, work: &Work) -> Result<Done, rusqlite::Error> {
        match work {
            Work::Commit(writes) => Ok(Done::Committed(
                writes.iter().map(|write| self.commit(write)).collect::<Result<_, _>>()?,
            )),
            Work::Park {
                sender,
                provider_message_id,
                kind,
                told,
                until,
            } => Ok(Done::Parked(self.park(sender, provider_message_id, kind, told, *until)?)),
            Work::Account(write) => Ok(Done::Committed(vec![self.account(write)?])),
            Work::Endpoint(write) => Ok(Done::Committed(vec![self.endpoint(write)?])),
            Work::Tallies(write) => Ok(Done::Committed(vec![self.tallies(write)?])),
            Work::AddWritten {
                portfolio,
                hour,
                recipients,
            } => {
                for recipient in recipients {
                    self.execute(
                        "INSERT INTO written (hour, portfolio, recipient)
                         VALUES (?1, ?2, ?3)
                         ON CONFLICT (hour, portfolio, recipient) DO NOTHING",
                        params![hour, portfolio, recipient],
                    )?;
                }
                Ok(Done::Written)
            }
            Work::Key(write) => Ok(Done::Committed(vec![self.key(write)?])),
            Work::KeyUsed { id, at } => {
                self.execute(
                    "UPDATE keys
                     SET used_at = max(coalesce(used_at, ?2), ?2)
                     WHERE id = ?1",
                    params![id.as_bytes(), at],
                )?;
                Ok(Done::Written)
            }
            Work::Act(act) => {
                self.act(Some(act))?;
                Ok(Done::Written)
            }
            Work::Sweep(sweep) => Ok(Done::Swept(self.sweep(sweep)?)),
            Work::Erase { key, limit } => Ok(Done::Swept(self.erase(*key, *limit)?)),
            Work::Vacuum { pages, keep } => Ok(Done::Vacuumed(self.vacuum(*pages, *keep)?)),
            Work::Ping => {
                // A changed value: SQLite writes no page whose content stays the same.
                self.execute("UPDATE counters SET value = value + 1 WHERE name = 'pings'", [])?;
                Ok(Done::Written)
            }
        }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, rusqlite::Error> {
        self.transaction.prepare_cached(sql)?.execute(params)
    }

    /// `false`: a conflict, and nothing was written.
    fn commit(&mut self, write: &Write) -> Result<bool, rusqlite::Error> {
        if let Some(new) = &write.remembered {
            let made_at = new.expires_at.minus_millis(REMEMBERED_MS);
            let mut known = self
                .transaction
                .prepare_cached("SELECT expires_at FROM remembered WHERE key = ?1")?;
            let expires_at = known
                .query_row([new.key], |row| row.get(0))
                .optional()?
                .map(Timestamp::from_millis);
            if expires_at.is_some_and(|at| at > made_at) {
                return Ok(false);
            }
        }
        if !self.replace(write)? {
            return Ok(false);
        }
        for handle in &write.handles {
            self.execute(
                "INSERT INTO handles (sender, provider_message_id, recipient, message)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (sender, provider_message_id) DO UPDATE
                 SET recipient = excluded.recipient, message = excluded.message",
                params![
                    handle.sender,
                    handle.provider_message_id,
                    write.key,
                    handle.message.as_bytes()
                ],
            )?;
        }
        for row in &write.history {
            self.keep(row)?;
        }
        for row in &write.log {
            self.append(row)?;
        }
        self.act(write.act.as_ref())?;
        if let Some(new) = &write.remembered {
            self.execute(
                "INSERT OR REPLACE INTO remembered (key, fingerprint, answer, expires_at, recipient)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![new.key, new.fingerprint, new.answer.0, new.expires_at.as_millis(), write.key],
            )?;
        }
        Ok(true)
    }

    /// Compare and swap of the document; `false`: it is not at the expected version.
    fn replace(&self, write: &Write) -> Result<bool, rusqlite::Error> {
        let rows = match (write.expected, &write.document) {
            (None, Some(document)) => self.execute(
                "INSERT INTO recipients (key, version, due_at, document)
                 VALUES (?1, 1, ?2, ?3)
                 ON CONFLICT (key) DO NOTHING",
                params![write.key, write.due_at, document],
            )?,
            (Some(version), Some(document)) => self.execute(
                "UPDATE recipients
                 SET version = version + 1, due_at = ?3, document = ?4
                 WHERE key = ?1
                 AND version = ?2",
                params![write.key, version, write.due_at, document],
            )?,
            (Some(version), None) => self.execute(
                "DELETE FROM recipients WHERE key = ?1 AND version = ?2",
                params![write.key, version],
            )?,
            (None, None) => {
                let mut found = self.transaction.prepare_cached("SELECT 1 FROM recipients WHERE key = ?1")?;
                usize::from(!found.exists([write.key])?)
            }
        };
        Ok(rows == 1)
    }

    /// Whose a row is never changes, so its indexes are left alone.
    fn keep(&self, row: &HistoryRow) -> Result<(), rusqlite::Error> {
        self.execute(
            "INSERT INTO history (id, recipient, scope, status, purpose, finished_at, snapshot)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE
             SET status = excluded.status, purpose = excluded.purpose, finished_at = excluded.finished_at, snapshot = excluded.snapshot",
            params![row.id, row.recipient, row.scope, row.status, row.purpose, row.finished_at, row.snapshot],
        )?;
        Ok(())
    }

    /// Compare and swap of an account, with its line of the log; `false`: a conflict, and nothing was written.
    fn account(&mut self, write: &AccountWrite) -> Result<bool, rusqlite::Error> {
        let rows = match write.expected {
            None => self.execute(
                "INSERT INTO accounts (name, version, record)
                 VALUES (?1, 1, ?2)
                 ON CONFLICT (name) DO NOTHING",
                params![write.name, write.record],
            )?,
            Some(version) => self.execute(
                "UPDATE accounts
                 SET version = version + 1, record = ?3
                 WHERE name = ?1
                 AND version = ?2",
                params![write.name, version, write.record],
            )?,
        };
        if rows == 1
            && let Some(row) = &write.log
        {
            self.append(row)?;
        }
        Ok(rows == 1)
    }

    /// Compare and swap of how much is counted, with the counts; `false`: a conflict, and nothing was written.
    fn tallies(&self, write: &TallyWrite) -> Result<bool, rusqlite::Error> {
        let rows = match write.expected {
            None => self.execute(
                "INSERT INTO counters (name, value)
                 VALUES ('counted_through', ?1)
                 ON CONFLICT (name) DO NOTHING",
                [write.through],
            )?,
            Some(expected) => self.execute(
                "UPDATE counters
                 SET value = ?2
                 WHERE name = 'counted_through'
                 AND value = ?1",
                [expected, write.through],
            )?,
        };
        if rows != 1 {
            return Ok(false);
        }
        for row in &write.rows {
            self.execute(
                "INSERT INTO tallies (span, start, counted, tally)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (span, start, counted) DO UPDATE
                 SET tally = excluded.tally",
                params![row.span, row.start, row.group, row.tally],
            )?;
        }
        for (span, before) in [(Span::Hour, write.hours_before), (Span::Day, write.days_before)] {
            self.execute(
                "DELETE FROM tallies WHERE span = ?1 AND start < ?2",
                params![span_number(span), before],
            )?;
        }
        Ok(true)
    }

    /// Compare and swap of a webhook endpoint, with its line of the log; `false`: a conflict, and nothing was written.
    fn endpoint(&mut self, write: &EndpointWrite) -> Result<bool, rusqlite::Error> {
        let rows = match (write.expected, &write.record) {
            (None, Some(record)) => self.execute(
                "INSERT INTO endpoints (id, version, record)
                 VALUES (?1, 1, ?2)
                 ON CONFLICT (id) DO NOTHING",
                params![write.id, record],
            )?,
            (Some(version), Some(record)) => self.execute(
                "UPDATE endpoints
                 SET version = version + 1, record = ?3
                 WHERE id = ?1
                 AND version = ?2",
                params![write.id, version, record],
            )?,
            (Some(version), None) => self.execute(
                "DELETE FROM endpoints
                 WHERE id = ?1
                 AND version = ?2",
                params![write.id, version],
            )?,
            // There is none, and there is to be none.
            (None, None) => return Ok(true),
        };
        if rows == 1 {
            if let Some(row) = &write.log {
                self.append(row)?;
            }
            self.act(write.act.as_ref())?;
        }
        Ok(rows == 1)
    }

    /// A key with its act; `false`: the keys are not at the expected version, and nothing was written.
    fn key(&self, write: &KeyWrite) -> Result<bool, rusqlite::Error> {
        let rows = self.execute(
            "UPDATE counters
             SET value = value + 1
             WHERE name = 'keys_version'
             AND value = coalesce(?1, value)",
            [write.expected],
        )?;
        if rows == 0 {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO keys (id, digest, created_at, ends_at, record)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE
             SET digest = excluded.digest, created_at = excluded.created_at, ends_at = excluded.ends_at, record = excluded.record",
            params![write.id, write.digest, write.created_at, write.ends_at, write.record],
        )?;
        self.act(write.act.as_ref())?;
        Ok(true)
    }

    fn act(&self, act: Option<&ActRow>) -> Result<(), rusqlite::Error> {
        if let Some(act) = act {
            self.execute("UPDATE counters SET value = value + 1 WHERE name = 'acts_given'", [])?;
            self.execute(
                "INSERT INTO acts (place, at, record)
                 SELECT value, ?1, ?2
                 FROM counters
                 WHERE name = 'acts_given'",
                params![act.at, act.record],
            )?;
        }
        Ok(())
    }

    fn append(&mut self, row: &LogRow) -> Result<(), rusqlite::Error> {
        let place = 1 + match self.last_place {
            Some(place) => place,
            None => self.last_place()?,
        };
        self.execute(
            "INSERT INTO log (place, at, subject, recipient, scope, entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![place, row.at, row.subject, row.recipient, row.scope, row.entry],
        )?;
        self.last_place = Some(place);
        Ok(())
    }

    /// The highest place that was ever given.
    fn last_place(&self) -> Result<i64, rusqlite::Error> {
        let mut highest = self.transaction.prepare_cached(
            "SELECT max(value, coalesce((SELECT max(place) FROM log), 0))
             FROM counters
             WHERE name = 'places_given'",
        )?;
        highest.query_row([], |row| row.get(0))
    }

    fn park(
        &mut self,
        sender: &str,
        provider_message_id: &str,
        kind: &[u8],
        told: &[u8],
        until: i64,
    ) -> Result<Result<(), Full>, rusqlite::Error> {
        let known = self.execute(
            "UPDATE parked
             SET until = max(until, ?4)
             WHERE sender = ?1
             AND provider_message_id = ?2
             AND kind = ?3",
            params![sender, provider_message_id, kind, until],
        )?;
        if known > 0 {
            return Ok(Ok(()));
        }
        let all = match *self.parked {
            Some(all) => all,
            None => self
                .transaction
                .query_row("SELECT count(*) FROM parked", [], |row| row.get(0))?,
        };
        *self.parked = Some(all);
        if all >= PARKED_MAX {
            return Ok(Err(Full::Parked));
        }
        let mut of_message = self
            .transaction
            .prepare_cached("SELECT count(*) FROM parked WHERE sender = ?1 AND provider_message_id = ?2")?;
        let of_message: usize = of_message.query_row(params![sender, provider_message_id], |row| row.get(0))?;
        if of_message >= PARKED_PER_MESSAGE_MAX {
            return Ok(Err(Full::ParkedForOneMessage));
        }
        self.execute(
            "INSERT INTO parked (sender, provider_message_id, kind, told, until)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![sender, provider_message_id, kind, told, until],
        )?;
        *self.parked = Some(all + 1);
        Ok(Ok(()))
    }

    fn sweep(&mut self, sweep: &Sweep) -> Result<usize, rusqlite::Error> {
        let now = sweep.now.as_millis();
        let before = sweep.history_before;
        let mut left = sweep.limit;
        left -= self.execute(
            "DELETE FROM remembered
             WHERE key IN (SELECT key FROM remembered WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            params![now, left],
        )?;
        let receipts = self.execute(
            "DELETE FROM parked
             WHERE place IN (SELECT place FROM parked WHERE until <= ?1 ORDER BY until LIMIT ?2)",
            params![now, left],
        )?;
        *self.parked = self.parked.map(|all| all.saturating_sub(receipts));
        left -= receipts;
        // A handle serves as long as its document knows the message, which no service's keeping ends.
        let shortest = sweep.services.iter().map(|(_, before)| *before).fold(before, Timestamp::max);
        let mut id_before = [0; ID_BYTES];
        id_before.copy_from_slice(&Kind::Message.from(shortest)[1..]);
        left -= self.execute(
            "DELETE FROM handles
             WHERE (sender, provider_message_id) IN (
                 SELECT sender, provider_message_id FROM handles WHERE message < ?1 ORDER BY message LIMIT ?2
             )",
            params![id_before, left],
        )?;
        let last_place = self.last_place()?;
        let before_lines = left;
        for (service, before) in &sweep.services {
            for mode in [Mode::Live, Mode::Test] {
                let scope = scope_text(&Scope {
                    service: service.clone(),
                    mode,
                });
                left -= self.sweep_scope(service, &scope, *before, left)?;
            }
        }
        left -= self.sweep_history(None, before, left)?;
        let lines = self.take_lines(
            None,
            "DELETE FROM log
             WHERE place IN (
                 SELECT place
                 FROM (SELECT place, at FROM log ORDER BY place LIMIT ?2 + ?3)
                 WHERE at < ?1
                 ORDER BY place
                 LIMIT ?2
             )
             RETURNING place",
            params![before.as_millis(), left, LOG_DISORDER_MAX],
        )?;
        left -= lines;
        if left < before_lines {
            self.execute("UPDATE counters SET value = ?1 WHERE name = 'places_given'", [last_place])?;
        }
        let acts_before = sweep.acts_before.as_millis();
        left -= self.execute(
            "DELETE FROM acts
             WHERE place IN (
                 SELECT place
                 FROM (SELECT place, at FROM acts ORDER BY place LIMIT ?2 + ?3)
                 WHERE at < ?1
                 ORDER BY place
                 LIMIT ?2
             )",
            params![acts_before, left, LOG_DISORDER_MAX],
        )?;
        left -= self.execute(
            "DELETE FROM keys
             WHERE id IN (SELECT id FROM keys WHERE ends_at < ?1 ORDER BY ends_at LIMIT ?2)",
            params![acts_before, left],
        )?;
        left -= self.execute(
            "DELETE FROM written
             WHERE (hour, portfolio, recipient) IN (
                 SELECT hour, portfolio, recipient FROM written WHERE hour < ?1 ORDER BY hour LIMIT ?2
             )",
            params![sweep.written_before_hour, left],
        )?;
        Ok(sweep.limit - left)
    }

    /// Everything about a recipient but its document. A thing's row goes last: by it the rest is found.
    fn erase(&mut self, key: RecipientKey, limit: usize) -> Result<usize, rusqlite::Error> {
        let mut left = limit;
        for (id, messages) in self.things_of(key, limit)? {
            left -= self.erase_lines(
                "SELECT place, entry FROM log INDEXED BY log_subject WHERE subject = ?1 ORDER BY place LIMIT ?2",
                &id,
                left,
            )?;
            for message in messages {
                let receipts = self.execute(
                    "DELETE FROM parked
                     WHERE place IN (
                         SELECT parked.place
                         FROM handles
                         JOIN parked USING (sender, provider_message_id)
                         WHERE handles.message = ?1
                         LIMIT ?2
                     )",
                    params![message.as_bytes(), left],
                )?;
                *self.parked = self.parked.map(|all| all.saturating_sub(receipts));
                left -= receipts;
                left -= self.execute(
                    "DELETE FROM handles
                     WHERE (sender, provider_message_id) IN (
                         SELECT sender, provider_message_id FROM handles WHERE message = ?1 LIMIT ?2
                     )",
                    params![message.as_bytes(), left],
                )?;
            }
            if left == 0 {
                return Ok(limit);
            }
            left -= self.execute("DELETE FROM history WHERE id = ?1", params![id])?;
        }
        left -= self.erase_lines(
            "SELECT place, entry FROM log INDEXED BY log_recipient WHERE recipient = ?1 ORDER BY place LIMIT ?2",
            &key.0,
            left,
        )?;
        left -= self.execute(
            "DELETE FROM remembered
             WHERE key IN (SELECT key FROM remembered INDEXED BY remembered_recipient WHERE recipient = ?1 LIMIT ?2)",
            params![key.0, left],
        )?;
        Ok(limit - left)
    }

    /// What history has of a recipient, with the messages of each thing.
    fn things_of(&self, key: RecipientKey, limit: usize) -> Result<Vec<(SubjectKey, Vec<MessageId>)>, rusqlite::Error> {
        let mut things = self.transaction.prepare_cached(
            "SELECT id, snapshot
             FROM history INDEXED BY history_recipient
             WHERE recipient = ?1
             ORDER BY id
             LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let things = things.query_map(params![key.0, limit], |row| {
            let snapshot = Snapshot::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default());
            let messages = match snapshot.map(|snapshot| snapshot.subject) {
                Ok(Subject::Verification(v)) => v.attempts.iter().map(|attempt| attempt.id).collect(),
                Ok(Subject::Message(message)) => vec![message.id],
                // It goes all the same, and its handles when they are past keeping.
                Err(_) => Vec::new(),
            };
            Ok((row.get(0)?, messages))
        })?;
        things.collect()
    }

    fn erase_lines(&self, sql: &str, of: &dyn rusqlite::ToSql, limit: usize) -> Result<usize, rusqlite::Error> {
        let mut lines = self.transaction.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lines = lines.query_map(params![of, limit], |row| {
            let entry = Entry::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default());
            Ok((row.get::<_, i64>(0)?, entry.ok()))
        })?;
        let lines: Vec<(i64, Option<Entry>)> = lines.collect::<Result<_, _>>()?;
        for (place, entry) in &lines {
            match entry {
                Some(entry) => self.execute(
                    "UPDATE log
                     SET subject = NULL, recipient = NULL, scope = NULL, entry = ?2
                     WHERE place = ?1",
                    params![place, entry.clone().erased().to_bytes()],
                )?,
                // What cannot be read cannot be kept for counts.
                None => self.execute("DELETE FROM log WHERE place = ?1", [place])?,
            };
        }
        Ok(lines.len())
    }

    /// What a service keeps less long than everybody: its history, and lines about nothing in it.
    fn sweep_scope(&self, service: &ServiceName, scope: &str, before: Timestamp, limit: usize) -> Result<usize, rusqlite::Error> {
        let gone = self.sweep_history(Some((service, scope)), before, limit)?;
        let lines = self.take_lines(
            Some(service),
            "DELETE FROM log
             WHERE place IN (
                 SELECT place
                 FROM log INDEXED BY log_apart
                 WHERE scope = ?1
                 AND at < ?2
                 ORDER BY at
                 LIMIT ?3
             )
             RETURNING place",
            params![scope, before.as_millis(), limit - gone],
        )?;
        Ok(gone + lines)
    }

    /// Things that ended before a moment, each with every line about it, and never without: by a thing's row its lines are found.
    fn sweep_history(&self, of: Option<(&ServiceName, &str)>, before: Timestamp, limit: usize) -> Result<usize, rusqlite::Error> {
        let mut left = limit;
        for kind in [Kind::Verification, Kind::Message] {
            // A plain message has no end: it is past by its age alone.
            let sql = match of {
                None => {
                    "SELECT id
                     FROM history
                     WHERE id >= ?1
                     AND id < ?2
                     AND (finished_at < ?3 OR id >= ?4)
                     ORDER BY id
                     LIMIT ?5"
                }
                Some(_) => {
                    "SELECT id
                     FROM history INDEXED BY history_scope
                     WHERE scope = ?6
                     AND id >= ?1
                     AND id < ?2
                     AND (finished_at < ?3 OR id >= ?4)
                     ORDER BY id
                     LIMIT ?5"
                }
            };
            let from = kind.from(Timestamp::from_millis(0));
            let to = kind.from(before);
            let message = Kind::Message.from(Timestamp::from_millis(0));
            let mut past = self.transaction.prepare_cached(sql)?;
            let (millis, rows) = (before.as_millis(), i64::try_from(left).unwrap_or(i64::MAX));
            let id = |row: &rusqlite::Row<'_>| row.get::<_, SubjectKey>(0);
            let past: Vec<SubjectKey> = match of {
                None => past
                    .query_map(params![from, to, millis, message, rows], id)?
                    .collect::<Result<_, _>>()?,
                Some((_, scope)) => past
                    .query_map(params![from, to, millis, message, rows, scope], id)?
                    .collect::<Result<_, _>>()?,
            };
            for id in past {
                left -= self.take_lines(
                    of.map(|(service, _)| service),
                    "DELETE FROM log
                     WHERE place IN (SELECT place FROM log INDEXED BY log_subject WHERE subject = ?1 ORDER BY place LIMIT ?2)
                     RETURNING place",
                    params![id, left],
                )?;
                if left == 0 {
                    return Ok(limit);
                }
                left -= self.execute("DELETE FROM history WHERE id = ?1", params![id])?;
            }
        }
        Ok(limit - left)
    }

    /// Deletes lines, and writes down how far; the statement returns their places.
    fn take_lines(&self, of: Option<&ServiceName>, sql: &str, params: impl rusqlite::Params) -> Result<usize, rusqlite::Error> {
        let mut delete = self.transaction.prepare_cached(sql)?;
        let mut rows = delete.query(params)?;
        let (mut gone, mut highest) = (0, 0);
        while let Some(row) = rows.next()? {
            gone += 1;
            highest = row.get::<_, i64>(0)?.max(highest);
        }
        if gone > 0 {
            self.execute(
                "INSERT INTO counters (name, value)
                 VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE
                 SET value = max(value, excluded.value)",
                params![swept_counter(of), highest],
            )?;
        }
        Ok(gone)
    }

    fn vacuum(&self, pages: u32, keep: u32) -> Result<u32, rusqlite::Error> {
        let free = || {
            self.transaction
                .pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0))
        };
        let before = free()?;
        let goes = before.saturating_sub(keep).min(pages);
        if goes > 0 {
            // A row per page: the pragma goes on only while its rows are asked for.
            let mut vacuum = self.transaction.prepare(&format!("PRAGMA incremental_vacuum({goes})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(before.saturating_sub(free()?))
    }
}
