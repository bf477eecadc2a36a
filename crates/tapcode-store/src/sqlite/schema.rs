//! How is a database file opened, checked and brought up to date?

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::sqlite::SqliteOptions;

/// "TapC": what `file` and `PRAGMA application_id` say of a database of ours.
const APPLICATION_ID: i32 = 0x5461_7043;
/// Forward only; a migration is never changed once it has been released.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_accounts.sql"),
    include_str!("migrations/0003_endpoints.sql"),
    include_str!("migrations/0004_privacy.sql"),
    include_str!("migrations/0005_statistics.sql"),
    include_str!("migrations/0006_access.sql"),
];
/// How long a connection waits for another process, such as `tapcode keys create`, to finish writing.
const BUSY: Duration = Duration::from_secs(5);
/// How long the checkpointer waits for readers to leave the write-ahead log, the writer being held meanwhile. A point
/// read takes microseconds and a scan a few milliseconds.
const READERS_LEAVE: Duration = Duration::from_millis(20);
/// What the write-ahead log is cut to when it starts again, in bytes.
const WAL_KEPT: i64 = 128 * 1024 * 1024;
/// More than the statements that any connection uses.
const STATEMENTS_MAX: usize = 64;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer release has migrated it.
    #[error(
        "the database has schema {found} and this release knows schemas up to {known}: \
         start the release that migrated it, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The schema of the file.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// Another program's database.
    #[error("the file is a database of another program: name another file in store.url")]
    Foreign,
    /// Somebody else has it open and did not let go of it.
    #[error("another process was reading the database for too long: try again, or stop it first")]
    Busy,
    /// SQLite could not open, read or migrate it.
    #[error("the database could not be opened")]
    Sqlite(#[from] rusqlite::Error),
    /// The file or a thread could not be made.
    #[error("the system refused what the database needs")]
    System(#[from] std::io::Error),
}

/// The newest schema that this release knows; every database that it has opened has it.
#[expect(clippy::cast_possible_truncation, reason = "migrations are few")]
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// The schema of a database file as it stands, nothing being changed; `None`: there is no file, or an empty one.
///
/// # Errors
/// [`OpenError`] when it is no database of ours, or cannot be read.
pub fn schema_of(path: &Path) -> Result<Option<u32>, OpenError> {
    if !path.try_exists()? {
        return Ok(None);
    }
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    let ours = refuse_foreign(&connection)?;
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(ours.then_some(schema))
}

/// Writes a database file anew, so that nothing is left in it but what it holds: neither free pages nor copies of rows that
/// SQLite moved to another page before they were deleted. Returns its size before and after, in bytes. Whoever else has the
/// file open may read meanwhile, and waits to write for as long as it takes.
///
/// # Errors
/// [`OpenError`] when it is no database of ours, or somebody else writes all the time.
pub fn compact(path: &Path) -> Result<(u64, u64), OpenError> {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY)?;
    refuse_foreign(&connection)?;
    let before = std::fs::metadata(path)?.len();
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    connection.execute_batch("VACUUM")?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(OpenError::Busy);
    }
    Ok((before, std::fs::metadata(path)?.len()))
}

/// A connection that may write, its schema up to date.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    create_private(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let ours = refuse_foreign(&connection)?;
    if !ours {
        // Only settable while there is no table. Lets a sweep give space back without copying the whole file.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are made by a thread of their own (checkpoint.rs): within a commit they cost tens of milliseconds.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT, |_| Ok(()))?;
    // What is deleted is overwritten with zeros, rather than left in the file until its place is needed.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -i64::from(options.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    migrate(&mut connection, &MIGRATIONS)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(options.reader_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// A connection that only moves pages from the write-ahead log into the file.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(READERS_LEAVE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT, |_| Ok(()))?;
    Ok(connection)
}

/// Makes a file that does not exist yet readable for its owner only; SQLite gives its companions the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether the file is a database of ours; `false`: it is empty.
fn refuse_foreign(connection: &Connection) -> Result<bool, OpenError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, objects) {
        (APPLICATION_ID, _) => Ok(true),
        (0, 0) => Ok(false),
        _ => Err(OpenError::Foreign),
    }
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    // IMMEDIATE: of two processes that start at once, one migrates and the other finds it done.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let known = u32::try_from(migrations.len()).expect("migrations are few");
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for migration in migrations.iter().skip(usize::try_from(found).expect("a count of migrations")) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}
