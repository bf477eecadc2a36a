//! How is everything kept in one file? SQLite in WAL mode: one thread that writes batches durably, readers beside it,
//! and a third thread that keeps the write-ahead log short.

mod checkpoint;
mod readers;
mod rows;
mod schema;
mod writer;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tapcode_core::account::{Account, AccountName};
use tapcode_core::audit::Act;
use tapcode_core::endpoint::Endpoint;
use tapcode_core::entry::Entry;
use tapcode_core::id::{EndpointId, KeyId, MessageId, VerificationId};
use tapcode_core::recipient::{Recipient, RecipientKey, ServiceName};
use tapcode_core::statistics::{Group, Span};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Sealed, Status};
use tapcode_engine::contract::store::{
    AccountCommit, ApiKey, BROWSE_ROWS_MAX, Beside, Browse, Commit, EndpointCommit, KeyCommit, Line, Page, Parked, Place,
    Remembered, Snapshot, Store, StoreError, SubjectId, Sweep, TallyCommit, TallyRow, ToldReceipt, Version, Versioned, Written,
    written_name,
};
use tokio::sync::Semaphore;

use crate::record::words::Word;
use crate::record::{Inconsistency, Stored, Unreadable};
use crate::sqlite::checkpoint::{Checkpointer, Turnstile};
use crate::sqlite::readers::Readers;
use crate::sqlite::rows::{Kind, SubjectKey, Write, scope_text, span_number, subject_key, swept_counter};
pub use crate::sqlite::schema::{OpenError, SCHEMA, compact, schema_of};
use crate::sqlite::writer::{Done, Work, Writer};

/// Rows of written-to recipients that one turn of the writer adds.
const WRITTEN_ROWS: usize = 500;
/// Rows that one transaction of a sweep removes, so that commits wait for it only shortly.
const SWEEP_ROWS: usize = 500;
/// Free pages that one transaction gives back to the file system.
const VACUUM_PAGES: u32 = 200;
/// Free pages that stay in the file for what comes next: 1 MiB.
const FREE_PAGES_KEPT: u32 = 256;

/// What may be set about a database file. The defaults hold a million live verifications in less than 100 MB of caches.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Connections for reads of a row or a few, which are done where they are asked for. More than the threads that ask.
    pub point_readers: usize,
    /// Connections for reads of many rows, each on a thread of its own.
    pub scan_readers: usize,
    /// Page cache of each reading connection, in KiB.
    pub reader_cache_kib: u32,
    /// Page cache of the writing connection, in KiB.
    pub writer_cache_kib: u32,
    /// Most pages of 4 KiB that the file may have; `None`: what the disk holds.
    pub pages_max: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            point_readers: 8,
            scan_readers: 2,
            reader_cache_kib: 2 * 1024,
            writer_cache_kib: 64 * 1024,
            pages_max: None,
        }
    }
}

/// A store in one file (and its two companions, `-wal` and `-shm`). Several processes may have it open.
pub struct SqliteStore {
    // Dropped in this order: the writer finishes what waits, then the log is left alone, then the readers close.
    writer: Writer,
    checkpointer: Checkpointer,
    points: Readers,
    scans: Arc<Readers>,
    scans_allowed: Arc<Semaphore>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens a database file, which is made if it does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_in(path, &SqliteOptions::default())
    }

    /// Like [`Self::open`], with other options.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way.
    pub fn open_in(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let connection = schema::open_writer(path, options)?;
        let turnstile = Arc::new(Turnstile::default());
        Ok(Self {
            checkpointer: Checkpointer::start(schema::open_checkpointer(path)?, Arc::clone(&turnstile))?,
            writer: Writer::start(connection, turnstile)?,
            points: Readers::open(path, options, options.point_readers)?,
            scans: Arc::new(Readers::open(path, options, options.scan_readers)?),
            scans_allowed: Arc::new(Semaphore::new(options.scan_readers.max(1))),
        })
    }

    /// Reads a row or a few, where it is asked for: that takes microseconds, less than handing it to a thread.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, StoreError> {
        read(&self.points.take()).map_err(StoreError::from)
    }

    /// Reads many rows on a thread of its own.
    async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.scans_allowed)
            .acquire_owned()
            .await
            .map_err(StoreError::unavailable)?;
        let readers = Arc::clone(&self.scans);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&readers.take())
        });
        task.await.map_err(StoreError::unavailable)?.map_err(StoreError::from)
    }
}

/// Why a read failed.
enum ReadError {
    Sqlite(rusqlite::Error),
    Row(Inconsistency),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => Self::unavailable(error),
            ReadError::Row(inconsistency) => {
                tracing::error!(
                    error = &inconsistency as &dyn std::error::Error,
                    "the store holds a row that cannot be read"
                );
                Self::unavailable(inconsistency)
            }
        }
    }
}

/// Reads a record, or says where it stands.
fn record<T: Stored>(bytes: &[u8], table: &'static str, column: &'static str, id: &dyn fmt::Debug) -> Result<T, ReadError> {
    T::from_bytes(bytes).map_err(|source| unreadable(source, table, column, id))
}

fn unreadable(source: Unreadable, table: &'static str, column: &'static str, id: &dyn fmt::Debug) -> ReadError {
    ReadError::Row(Inconsistency {
        table,
        column,
        id: format!("{id:?}").into(),
        source,
    })
}

/// A blob of a fixed length.
fn bytes<const N: usize>(row: &Row<'_>, at: usize) -> Result<[u8; N], rusqlite::Error> {
    row.get(at)
}

/// A limit as SQL takes it: a negative one would be none at all.
fn rows_max(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A key from its record and when it was last used.
fn key_of(row: &Row<'_>) -> Result<ApiKey, ReadError> {
    let key: ApiKey = record(
        row.get_ref(0)?.as_blob().unwrap_or_default(),
        "keys",
        "record",
        &"of a digest",
    )?;
    let used_at: Option<i64> = row.get(1)?;
    Ok(ApiKey {
        used_at: used_at.map(Timestamp::from_millis),
        ..key
    })
}

fn browse_rows(connection: &Connection, browse: &Browse) -> Result<Page, ReadError> {
    let from = Kind::Verification.from(browse.after.unwrap_or(Timestamp::from_millis(0)));
    let before = Kind::Verification.from(browse.before.unwrap_or(Timestamp::from_millis(i64::MAX)));
    let to = browse
        .cursor
        .map_or(before, |cursor| before.min(subject_key(SubjectId::Verification(cursor))));
    let scope = scope_text(&browse.scope);
    // One number's rows are few; otherwise the service's rows are walked. Status and purpose are looked at row by row:
    // the page may be short, the walk is bounded.
    let (sql, owner): (_, &dyn rusqlite::ToSql) = match &browse.key {
        Some(key) => (
            "SELECT id, scope, status, purpose, snapshot
             FROM history INDEXED BY history_recipient
             WHERE recipient = ?1
             AND id >= ?2
             AND id < ?3
             ORDER BY id DESC
             LIMIT ?4",
            &key.0,
        ),
        None => (
            "SELECT id, scope, status, purpose, snapshot
             FROM history INDEXED BY history_scope
             WHERE scope = ?1
             AND id >= ?2
             AND id < ?3
             ORDER BY id DESC
             LIMIT ?4",
            &scope,
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![owner, from, to, BROWSE_ROWS_MAX + 1])?;
    let mut page = Page {
        snapshots: Vec::new(),
        next: None,
    };
    let mut last: Option<SubjectKey> = None;
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        let full = looked == BROWSE_ROWS_MAX;
        let wanted = row.get_ref(1)?.as_str().is_ok_and(|s| s == scope)
            && browse
                .status
                .is_none_or(|status| row.get(2).is_ok_and(|number: u8| number == Status::number(status)))
            && browse
                .purpose
                .as_ref()
                .is_none_or(|purpose| row.get_ref(3).is_ok_and(|p| p.as_str() == Ok(purpose.as_str())));
        if full || (wanted && page.snapshots.len() == browse.limit.max(1)) {
            page.next = last.map(|key| VerificationId::from_bytes(id_of(&key)));
            break;
        }
        let key: SubjectKey = bytes(row, 0)?;
        if wanted {
            let id = VerificationId::from_bytes(id_of(&key));
            page.snapshots.push(record(
                row.get_ref(4)?.as_blob().unwrap_or_default(),
                "history",
                "snapshot",
                &id,
            )?);
        }
        last = Some(key);
        looked += 1;
    }
    Ok(page)
}

fn id_of(key: &SubjectKey) -> [u8; 22] {
    let mut id = [0; 22];
    id.copy_from_slice(&key[1..]);
    id
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, key: &RecipientKey) -> Result<Option<Versioned<Recipient>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT version, document FROM recipients WHERE key = ?1")?;
            let mut rows = statement.query([key.0])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let value = record(row.get_ref(1)?.as_blob().unwrap_or_default(), "recipients", "document", key)?;
            Ok(Some(Versioned {
                value,
                version: Version(row.get(0)?),
            }))
        })
    }

    async fn commit(&self, batch: Vec<Commit>) -> Vec<Result<(), StoreError>> {
        let count = batch.len();
        let work = Work::Commit(batch.into_iter().map(Write::from).collect());
        match self.writer.write(work).await {
            Ok(Done::Committed(written)) => written
                .into_iter()
                .map(|written| if written { Ok(()) } else { Err(StoreError::Conflict) })
                .collect(),
            Ok(_) => unreachable!("commits are answered as commits"),
            Err(error) => {
                let shared: Arc<dyn std::error::Error + Send + Sync> = Arc::from(match error {
                    StoreError::Unavailable(source) => source,
                    conflict @ StoreError::Conflict => conflict.into(),
                });
                (0..count)
                    .map(|_| Err(StoreError::unavailable(Shared(Arc::clone(&shared)))))
                    .collect()
            }
        }
    }

    async fn find(&self, sender: &str, provider_message_id: &str) -> Result<Option<(RecipientKey, MessageId)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT recipient, message FROM handles WHERE sender = ?1 AND provider_message_id = ?2")?;
            let found = statement.query_row([sender, provider_message_id], |row| {
                Ok((RecipientKey(bytes(row, 0)?), MessageId::from_bytes(bytes(row, 1)?)))
            });
            Ok(found.optional()?)
        })
    }

    async fn park(&self, parked: &Parked, until: Timestamp) -> Result<(), StoreError> {
        let bare = ToldReceipt {
            kind: parked.told.kind.clone(),
            billing: None,
            identity: None,
        };
        let work = Work::Park {
            sender: parked.sender.clone(),
            provider_message_id: parked.provider_message_id.clone(),
            kind: bare.to_bytes(),
            told: parked.told.to_bytes(),
            until: until.as_millis(),
        };
        match self.writer.write(work).await? {
            Done::Parked(parked) => parked.map_err(StoreError::unavailable),
            _ => unreachable!("a receipt is answered as a receipt"),
        }
    }

    async fn parked(&self, sender: &str, provider_message_id: &str) -> Result<Vec<ToldReceipt>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(told, kind), place
                 FROM parked
                 WHERE sender = ?1
                 AND provider_message_id = ?2
                 ORDER BY place",
            )?;
            let mut rows = statement.query([sender, provider_message_id])?;
            let mut kinds = Vec::new();
            while let Some(row) = rows.next()? {
                let place: i64 = row.get(1)?;
                kinds.push(record(
                    row.get_ref(0)?.as_blob().unwrap_or_default(),
                    "parked",
                    "kind",
                    &place,
                )?);
            }
            Ok(kinds)
        })
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<RecipientKey>, StoreError> {
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key
                 FROM recipients INDEXED BY recipients_due
                 WHERE due_at <= ?1
                 ORDER BY due_at, key
                 LIMIT ?2",
            )?;
            let rows = statement.query_map(params![now.as_millis(), rows_max(limit)], |row| {
                Ok(RecipientKey(bytes(row, 0)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn scheduled(&self) -> Result<u64, StoreError> {
        self.scan(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT count(*) FROM recipients INDEXED BY recipients_due WHERE due_at IS NOT NULL")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
        .await
    }

    async fn snapshot(&self, id: SubjectId) -> Result<Option<Snapshot>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT snapshot FROM history WHERE id = ?1")?;
            let mut rows = statement.query([subject_key(id)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(record(
                row.get_ref(0)?.as_blob().unwrap_or_default(),
                "history",
                "snapshot",
                &id,
            )?))
        })
    }

    async fn browse(&self, browse: &Browse) -> Result<Page, StoreError> {
        let browse = browse.clone();
        self.scan(move |connection| browse_rows(connection, &browse)).await
    }

    async fn lines(&self, after: Option<Place>, limit: usize) -> Result<Vec<(Place, Line)>, StoreError> {
        self.scan(move |connection| {
            let after = after.map_or(0, |place| i64::try_from(place.0).unwrap_or(i64::MAX));
            let mut statement = connection.prepare_cached(
                "SELECT place, entry
                 FROM log
                 WHERE place > ?1
                 ORDER BY place
                 LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, rows_max(limit)])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let place: u64 = row.get(0)?;
                entries.push((
                    Place(place),
                    record(row.get_ref(1)?.as_blob().unwrap_or_default(), "log", "entry", &place)?,
                ));
            }
            Ok(entries)
        })
        .await
    }

    async fn newest(&self) -> Result<Option<Place>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT max(place) FROM log")?;
            let place: Option<u64> = statement.query_row([], |row| row.get(0))?;
            Ok(place.map(Place))
        })
    }

    async fn timeline(&self, id: SubjectId, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT place, entry
                 FROM log INDEXED BY log_subject
                 WHERE subject = ?1
                 ORDER BY place
                 LIMIT ?2",
            )?;
            let mut rows = statement.query(params![subject_key(id), rows_max(limit)])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let place: i64 = row.get(0)?;
                entries.push(record(row.get_ref(1)?.as_blob().unwrap_or_default(), "log", "entry", &place)?);
            }
            Ok(entries)
        })
        .await
    }

    async fn remembered(&self, key: &[u8; 32], now: Timestamp) -> Result<Option<Remembered>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT fingerprint, answer, expires_at
                 FROM remembered
                 WHERE key = ?1
                 AND expires_at > ?2",
            )?;
            let found = statement.query_row(params![key, now.as_millis()], |row| {
                Ok(Remembered {
                    key: *key,
                    fingerprint: bytes(row, 0)?,
                    answer: Sealed(row.get::<_, Vec<u8>>(1)?.into()),
                    expires_at: Timestamp::from_millis(row.get(2)?),
                })
            });
            Ok(found.optional()?)
        })
    }

    async fn commit_key(&self, commit: &KeyCommit) -> Result<(), StoreError> {
        match self.writer.write(Work::Key(commit.into())).await? {
            Done::Committed(written) if written == [true] => Ok(()),
            Done::Committed(_) => Err(StoreError::Conflict),
            _ => unreachable!("a commit is answered as a commit"),
        }
    }

    async fn keys_version(&self) -> Result<Version, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM counters WHERE name = 'keys_version'")?;
            Ok(Version(statement.query_row([], |row| row.get(0))?))
        })
    }

    async fn note_key_used(&self, id: KeyId, at: Timestamp) -> Result<(), StoreError> {
        let at = at.as_millis();
        self.writer.write(Work::KeyUsed { id, at }).await.map(drop)
    }

    async fn key(&self, digest: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT record, used_at FROM keys WHERE digest = ?1")?;
            let mut rows = statement.query([digest])?;
            rows.next()?.map(key_of).transpose()
        })
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.scan(|connection| {
            let mut statement = connection.prepare_cached("SELECT record, used_at FROM keys ORDER BY created_at, id")?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(key_of(row)?);
            }
            Ok(keys)
        })
        .await
    }

    async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.writer.write(Work::Act(act.into())).await.map(drop)
    }

    async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        self.scan(move |connection| {
            let before = before.map_or(i64::MAX, |place| i64::try_from(place.0).unwrap_or(i64::MAX));
            let mut statement = connection.prepare_cached(
                "SELECT place, record
                 FROM acts
                 WHERE place < ?1
                 ORDER BY place DESC
                 LIMIT ?2",
            )?;
            let mut rows = statement.query(params![before, rows_max(limit)])?;
            let mut acts = Vec::new();
            while let Some(row) = rows.next()? {
                let place: u64 = row.get(0)?;
                acts.push((
                    Place(place),
                    record(row.get_ref(1)?.as_blob().unwrap_or_default(), "acts", "record", &place)?,
                ));
            }
            Ok(acts)
        })
        .await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Versioned<Account>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT version, record FROM accounts WHERE name = ?1")?;
            let mut rows = statement.query([name.as_str()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let value = record(
                row.get_ref(1)?.as_blob().unwrap_or_default(),
                "accounts",
                "record",
                &name.as_str(),
            )?;
            Ok(Some(Versioned {
                value,
                version: Version(row.get(0)?),
            }))
        })
    }

    async fn commit_account(&self, commit: &AccountCommit) -> Result<(), StoreError> {
        match self.writer.write(Work::Account(commit.into())).await? {
            Done::Committed(written) if written == [true] => Ok(()),
            Done::Committed(_) => Err(StoreError::Conflict),
            _ => unreachable!("a commit is answered as a commit"),
        }
    }

    async fn endpoints(&self) -> Result<Vec<(EndpointId, Version)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, version FROM endpoints ORDER BY id")?;
            let mut rows = statement.query([])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push((EndpointId::from_bytes(row.get(0)?), Version(row.get(1)?)));
            }
            Ok(all)
        })
    }

    async fn endpoint(&self, id: EndpointId) -> Result<Option<Versioned<Endpoint>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT version, record FROM endpoints WHERE id = ?1")?;
            let mut rows = statement.query([id.as_bytes()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let value = record(row.get_ref(1)?.as_blob().unwrap_or_default(), "endpoints", "record", &id)?;
            Ok(Some(Versioned {
                value,
                version: Version(row.get(0)?),
            }))
        })
    }

    async fn commit_endpoint(&self, commit: &EndpointCommit) -> Result<(), StoreError> {
        match self.writer.write(Work::Endpoint(commit.into())).await? {
            Done::Committed(written) if written == [true] => Ok(()),
            Done::Committed(_) => Err(StoreError::Conflict),
            _ => unreachable!("a commit is answered as a commit"),
        }
    }

    async fn add_written(&self, written: &Written) -> Result<(), StoreError> {
        for piece in written.recipients.chunks(WRITTEN_ROWS) {
            let work = Work::AddWritten {
                portfolio: written.portfolio.clone(),
                hour: written.hour,
                recipients: piece.iter().map(|recipient| recipient.cast_signed()).collect(),
            };
            self.writer.write(work).await?;
        }
        Ok(())
    }

    async fn written(&self, portfolio: &str, since_hour: u32, limit: usize) -> Result<Vec<Written>, StoreError> {
        let portfolio: Box<str> = portfolio.into();
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT hour, recipient
                 FROM written
                 WHERE hour >= ?1
                 AND portfolio = ?2
                 ORDER BY hour DESC
                 LIMIT ?3",
            )?;
            let mut rows = statement.query(params![since_hour, portfolio, rows_max(limit)])?;
            let mut hours: Vec<Written> = Vec::new();
            while let Some(row) = rows.next()? {
                let (hour, recipient): (u32, i64) = (row.get(0)?, row.get(1)?);
                if hours.last().is_none_or(|last| last.hour != hour) {
                    hours.push(Written {
                        portfolio: portfolio.clone(),
                        hour,
                        recipients: Vec::new(),
                    });
                }
                if let Some(last) = hours.last_mut() {
                    last.recipients.push(recipient.cast_unsigned());
                }
            }
            Ok(hours)
        })
        .await
    }

    async fn counted_through(&self) -> Result<Option<Place>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM counters WHERE name = 'counted_through'")?;
            let place: Option<u64> = statement.query_row([], |row| row.get(0)).optional()?;
            Ok(place.map(Place))
        })
    }

    async fn tallies(&self, span: Span, starts: Range<u32>, service: Option<&ServiceName>) -> Result<Vec<TallyRow>, StoreError> {
        let service = service.cloned();
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT start, counted, tally
                 FROM tallies
                 WHERE span = ?1
                 AND start >= ?2
                 AND start < ?3
                 ORDER BY start",
            )?;
            let mut rows = statement.query(params![span_number(span), starts.start, starts.end])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let start: u32 = row.get(0)?;
                let group: Group = record(row.get_ref(1)?.as_blob().unwrap_or_default(), "tallies", "counted", &start)?;
                if service.as_ref().is_some_and(|service| group.scope.service != *service) {
                    continue;
                }
                let tally = record(row.get_ref(2)?.as_blob().unwrap_or_default(), "tallies", "tally", &start)?;
                all.push(TallyRow {
                    span,
                    start,
                    group,
                    tally,
                });
            }
            Ok(all)
        })
        .await
    }

    async fn commit_tallies(&self, commit: TallyCommit) -> Result<(), StoreError> {
        match self.writer.write(Work::Tallies((&commit).into())).await? {
            Done::Committed(written) if written == [true] => Ok(()),
            Done::Committed(_) => Err(StoreError::Conflict),
            _ => unreachable!("a commit is answered as a commit"),
        }
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<usize, StoreError> {
        let mut gone = 0;
        while gone < sweep.limit {
            let limit = SWEEP_ROWS.min(sweep.limit - gone);
            let Done::Swept(rows) = self.writer.write(Work::Sweep(Sweep { limit, ..sweep.clone() })).await? else {
                unreachable!("a sweep is answered as a sweep")
            };
            gone += rows;
            // A page holds about ten rows, so this keeps up with what was removed here and by commits.
            let vacuum = Work::Vacuum {
                pages: VACUUM_PAGES,
                keep: FREE_PAGES_KEPT,
            };
            let Done::Vacuumed(pages) = self.writer.write(vacuum).await? else {
                unreachable!("a vacuum is answered as a vacuum")
            };
            if rows < limit && pages < VACUUM_PAGES {
                break;
            }
        }
        Ok(gone)
    }

    async fn erase(&self, key: &RecipientKey, limit: usize) -> Result<usize, StoreError> {
        let mut gone = 0;
        while gone < limit {
            let rows = SWEEP_ROWS.min(limit - gone);
            let Done::Swept(went) = self.writer.write(Work::Erase { key: *key, limit: rows }).await? else {
                unreachable!("an erasure is answered as a sweep")
            };
            gone += went;
            if went < rows {
                // What was overwritten still stands in the write-ahead log, until that is emptied.
                self.checkpointer.empty_soon();
                break;
            }
        }
        Ok(gone)
    }

    async fn history(&self, key: &RecipientKey, after: Option<SubjectId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        let (key, after) = (*key, after.map_or_else(Vec::new, |id| subject_key(id).to_vec()));
        self.scan(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, snapshot
                 FROM history INDEXED BY history_recipient
                 WHERE recipient = ?1
                 AND id > ?2
                 ORDER BY id
                 LIMIT ?3",
            )?;
            let mut rows = statement.query(params![key.0, after, rows_max(limit)])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let id: SubjectKey = bytes(row, 0)?;
                all.push(record(
                    row.get_ref(1)?.as_blob().unwrap_or_default(),
                    "history",
                    "snapshot",
                    &id,
                )?);
            }
            Ok(all)
        })
        .await
    }

    async fn beside(&self, key: &RecipientKey, limit: usize) -> Result<Beside, StoreError> {
        let key = *key;
        self.scan(move |connection| {
            let mut beside = Beside::default();
            let mut statement = connection.prepare_cached(
                "SELECT place, entry
                 FROM log INDEXED BY log_recipient
                 WHERE recipient = ?1
                 ORDER BY place
                 LIMIT ?2",
            )?;
            let mut rows = statement.query(params![key.0, rows_max(limit)])?;
            while let Some(row) = rows.next()? {
                let place: i64 = row.get(0)?;
                let entry = record(row.get_ref(1)?.as_blob().unwrap_or_default(), "log", "entry", &place)?;
                beside.entries.push(entry);
            }
            let mut statement = connection.prepare_cached(
                "SELECT expires_at FROM remembered INDEXED BY remembered_recipient WHERE recipient = ?1 LIMIT ?2",
            )?;
            let answers = statement.query_map(params![key.0, rows_max(limit)], |row| row.get(0).map(Timestamp::from_millis))?;
            beside.answers = answers.collect::<Result<_, _>>()?;
            // A walk over the people of one day: it is asked for rarely, and on a thread of its own.
            let mut statement = connection.prepare_cached("SELECT portfolio, hour FROM written WHERE recipient = ?1 LIMIT ?2")?;
            let written = params![written_name(key).cast_signed(), rows_max(limit)];
            let written = statement.query_map(written, |row| Ok((row.get::<_, Box<str>>(0)?, row.get(1)?)))?;
            beside.written = written.collect::<Result<_, _>>()?;
            Ok(beside)
        })
        .await
    }

    async fn swept(&self, service: Option<&ServiceName>) -> Result<Option<Place>, StoreError> {
        let (all, own) = (swept_counter(None), service.map(|service| swept_counter(Some(service))));
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT max(value) FROM counters WHERE name IN (?1, ?2)")?;
            let place: Option<u64> = statement.query_row(params![all, own], |row| row.get(0))?;
            Ok(place.map(Place))
        })
    }

    /// One server per file.
    fn is_shared(&self) -> bool {
        false
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.write(Work::Ping).await.map(drop)
    }
}

/// One reason for every commit of a batch.
#[derive(Clone, Debug)]
struct Shared(Arc<dyn std::error::Error + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests;
