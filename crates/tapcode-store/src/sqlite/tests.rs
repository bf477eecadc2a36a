//! Does the SQLite store keep the laws, and what it has said is durable?

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use tapcode_core::delivery::ReceiptKind;
use tapcode_core::id::VerificationId;
use tapcode_engine::contract::store::{Commit, Parked, Place, Store, StoreError, SubjectId, Sweep, ToldReceipt};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::record::Inconsistency;
use crate::sqlite::{OpenError, SqliteOptions, SqliteStore};
use crate::suite::samples::{
    BEGIN, api_key, at, begin, everything, first, key, message_id, next, recipient, remembered, scope, snapshot, verification,
    verification_id,
};

async fn make() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(SqliteStore::open(folder.path().join("suite.db")).unwrap()), folder)
}

crate::store_suite!(make);

/// Where a test that plays the other process finds its database.
const CHILD: &str = "TAPCODE_STORE_TEST_CHILD";
const EVERYTHING_PAST: Sweep = Sweep {
    now: at(1 << 45),
    history_before: at(1 << 45),
    services: Vec::new(),
    acts_before: at(1 << 45),
    written_before_hour: u32::MAX,
    limit: 1_000_000,
};

/// This test program again, as another process that runs one test, on one database.
fn child(test: &str, path: &Path) -> Command {
    // Beyond the limit a write fails, as on a full disk, instead of ending the process.
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        r#"trap '' XFSZ; ulimit -S -f "$FILE_BLOCKS"; exec "$0" --exact "$1" --nocapture"#,
    ]);
    shell
        .arg(std::env::current_exe().unwrap())
        .arg(format!("sqlite::tests::{test}"));
    shell.env(CHILD, path).env("FILE_BLOCKS", "unlimited").stdin(Stdio::null());
    shell
}

fn database_of_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Whether everything or nothing of [`begin`] is there.
async fn is_begun(store: &dyn Store, n: u64) -> bool {
    let written = store.load(&key(n)).await.unwrap().is_some();
    let id = SubjectId::Verification(verification_id(n, BEGIN));
    assert_eq!(store.snapshot(id).await.unwrap().is_some(), written, "{n}");
    assert_eq!(store.timeline(id, 10).await.unwrap().len(), usize::from(written), "{n}");
    assert_eq!(
        store.find("whatsapp:1", &format!("wamid.{n}")).await.unwrap().is_some(),
        written,
        "{n}"
    );
    assert_eq!(
        store.remembered(&remembered(n, BEGIN).key, BEGIN).await.unwrap().is_some(),
        written,
        "{n}"
    );
    written
}

async fn commit(store: &dyn Store, commit: Commit) -> Result<(), StoreError> {
    store.commit(vec![commit]).await.remove(0)
}

#[tokio::test]
async fn what_was_said_to_be_written_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.db");
    let mut writer = child("a_writer_that_is_killed", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    // The test harness prints lines of its own.
    let numbers = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
    for n in numbers.filter_map(|line| line.strip_prefix("written ")?.parse::<u64>().ok()) {
        said.push(n);
        if said.len() == 300 {
            writer.kill().unwrap();
        }
    }
    assert!(!writer.wait().unwrap().success(), "it was killed in the middle");
    assert!(said.len() >= 300, "{} commits were answered", said.len());

    let store = SqliteStore::open(&path).unwrap();
    for n in &said {
        assert!(is_begun(&store, *n).await, "{n} was answered and is gone");
    }
    let mut whole = 0;
    for n in 0..=said.iter().max().unwrap() + 64 {
        whole += usize::from(is_begun(&store, n).await);
    }
    let log = store.lines(None, usize::MAX).await.unwrap();
    assert_eq!(log.len(), whole, "the log tells of what is there");
    let newest = store.newest().await.unwrap();
    commit(&store, begin(1_000_000, BEGIN)).await.unwrap();
    assert!(store.newest().await.unwrap() > newest, "and it goes on");
}

/// The other process of [`what_was_said_to_be_written_survives_a_kill`]; by itself it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_killed() {
    let Some(path) = database_of_child() else { return };
    let store = Arc::new(SqliteStore::open(path).unwrap());
    let mut writing = JoinSet::new();
    for lane in 0..16u64 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            for n in (lane..).step_by(16).take(100_000) {
                commit(&*store, begin(n, BEGIN)).await.unwrap();
                println!("written {n}");
            }
        });
    }
    writing.join_all().await;
}

#[tokio::test]
async fn a_store_that_is_dropped_has_written_what_was_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.db");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..50 {
        commit(&store, begin(n, BEGIN)).await.unwrap();
    }
    store.commit_key(&api_key(1, at(1)).into()).await.unwrap();
    drop(store);
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["dropped.db"], "a store that was closed is one file");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..50 {
        assert!(is_begun(&store, n).await);
    }
    assert_eq!(store.key(&[1; 32]).await.unwrap(), Some(api_key(1, at(1))));
    assert_eq!(store.newest().await.unwrap(), Some(Place(50)));
}

#[tokio::test]
async fn a_full_database_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        pages_max: Some(200),
        ..SqliteOptions::default()
    };
    let path = folder.path().join("full.db");
    let store = SqliteStore::open_in(&path, &options).unwrap();
    let mut written = 0;
    let refused = loop {
        let batch = (written..written + 10).map(|n| begin(n, BEGIN)).collect();
        let results = store.commit(batch).await;
        let failed: Vec<StoreError> = results.into_iter().filter_map(Result::err).collect();
        if !failed.is_empty() {
            break failed;
        }
        written += 10;
        assert!(written < 10_000, "the limit is never met");
    };
    assert_eq!(refused.len(), 10, "nothing of the batch counts");
    assert!(
        refused.iter().all(|error| matches!(error, StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(written > 100, "{written} fitted");
    for n in 0..written + 10 {
        assert_eq!(is_begun(&store, n).await, n < written, "{n}");
    }
    let again = store.commit((written..written + 10).map(|n| begin(n, BEGIN)).collect()).await;
    assert!(
        again.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))),
        "it stays full: {again:?}"
    );
    assert!(store.sweep(&EVERYTHING_PAST).await.unwrap() > 100, "room can be made");
    commit(&store, begin(written, BEGIN)).await.expect("there is room again");
    store.ping().await.unwrap();
}

#[test]
fn a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = child("a_writer_on_a_full_disk", &folder.path().join("full.db"));
    // 512-byte blocks: 1 MiB for each file, of which the write-ahead log needs more first.
    let output = writer.env("FILE_BLOCKS", "2048").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("recovered"),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The other process of [`a_full_disk_says_so_and_goes_on_when_there_is_room`]; by itself it has nothing to do.
#[tokio::test]
async fn a_writer_on_a_full_disk() {
    let Some(path) = database_of_child() else { return };
    let store = SqliteStore::open(&path).unwrap();
    let mut written = 0;
    let error = loop {
        match commit(&store, begin(written, BEGIN)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000, "the limit is never met");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    for n in written + 1..written + 5 {
        let error = commit(&store, begin(n, BEGIN)).await;
        assert!(error.is_ok() || matches!(error, Err(StoreError::Unavailable(_))), "{error:?}");
    }
    for n in 0..written {
        assert!(is_begun(&store, n).await, "{n} was answered and can still be read");
    }
    let lifted = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--fsize=unlimited:"])
        .status()
        .unwrap();
    assert!(lifted.success());
    for n in 0..200 {
        commit(&store, begin(1_000_000 + n, BEGIN))
            .await
            .expect("the same store works again");
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    for n in (0..written).chain(1_000_000..1_000_200) {
        assert!(is_begun(&store, n).await, "{n} was answered and is gone");
    }
    println!("recovered");
}

#[tokio::test]
async fn two_processes_may_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    // A second store has connections and threads of its own; nothing but the file is shared.
    let server = Arc::new(SqliteStore::open(&path).unwrap());
    let mut writing = JoinSet::new();
    for lane in 0..4 {
        let server = Arc::clone(&server);
        writing.spawn(async move {
            for n in 0..50 {
                commit(&*server, begin(lane * 1_000 + n, BEGIN)).await.unwrap();
            }
        });
    }
    for n in 0..20 {
        let cli = SqliteStore::open(&path).unwrap();
        cli.commit_key(&api_key(n, at(n.into())).into()).await.unwrap();
        drop(cli);
        assert!(
            server.key(&[n; 32]).await.unwrap().is_some(),
            "the server sees key {n} at once"
        );
    }
    writing.join_all().await;
    assert_eq!(server.keys().await.unwrap().len(), 20);
    assert_eq!(server.lines(None, 1_000).await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_of_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.db");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..3 {
        commit(&store, begin(n, BEGIN)).await.unwrap();
    }
    let damage = Connection::open(&path).unwrap();
    damage
        .execute("UPDATE recipients SET document = x'0102ff' WHERE key = ?1", [key(1).0])
        .unwrap();
    damage
        .execute("UPDATE history SET snapshot = x'' WHERE recipient = ?1", [key(1).0])
        .unwrap();
    damage.execute("UPDATE log SET entry = x'09' WHERE place = 2", []).unwrap();

    let told = |error: StoreError| {
        let StoreError::Unavailable(source) = error else {
            panic!("{error:?}")
        };
        let row = source.downcast_ref::<Inconsistency>().expect("it names the row").clone();
        (row.table, row.column, row.id.into_string())
    };
    let document = told(store.load(&key(1)).await.unwrap_err());
    assert_eq!(document, ("recipients", "document", format!("{:?}", key(1))));
    let id: VerificationId = verification_id(1, BEGIN);
    let history = told(store.snapshot(SubjectId::Verification(id)).await.unwrap_err());
    assert_eq!((history.0, history.1), ("history", "snapshot"));
    assert!(history.2.contains(&id.to_string()), "{}", history.2);
    assert_eq!(
        told(store.browse(&everything(scope("acme"), 10)).await.unwrap_err()).2,
        id.to_string()
    );
    assert_eq!(
        told(store.lines(None, 10).await.unwrap_err()),
        ("log", "entry", "2".to_owned())
    );
    assert_eq!(store.lines(Some(Place(2)), 10).await.unwrap().len(), 1);
    assert!(is_begun(&store, 0).await && is_begun(&store, 2).await);
    commit(&store, next(0, 1)).await.unwrap();
}

#[tokio::test]
async fn a_sweep_gives_the_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swept.db");
    let size = || std::fs::metadata(&path).unwrap().len();
    for (from, to) in [(0, 4), (4, 8)] {
        let store = SqliteStore::open(&path).unwrap();
        for batch in from..to {
            let numbers = batch * 1_000..(batch + 1) * 1_000;
            let ended = |n| {
                let mut it = begin(n, BEGIN);
                it.snapshots = vec![snapshot(
                    key(n),
                    scope("acme"),
                    crate::suite::samples::approved(n, BEGIN, at(5)),
                )];
                it
            };
            assert!(
                store
                    .commit(numbers.clone().map(ended).collect())
                    .await
                    .iter()
                    .all(Result::is_ok)
            );
            let deleted = numbers
                .map(|n| Commit {
                    next: None,
                    ..next(n, 1)
                })
                .collect();
            assert!(store.commit(deleted).await.iter().all(Result::is_ok));
        }
        drop(store);
        let full = size();
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.sweep(&EVERYTHING_PAST).await.unwrap(), 4_000 * 4);
        drop(store);
        assert!(full > 4_000_000 && size() < 1_500_000, "{full} bytes, then {}", size());
    }
}

/// What a database of the first release holds is there after an upgrade, a receipt that waits for its message included.
#[tokio::test]
async fn a_database_of_the_first_release_is_brought_up_to_date_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let store = SqliteStore::open(&path).unwrap();
    commit(&store, begin(1, BEGIN)).await.unwrap();
    let waiting = Parked {
        sender: "whatsapp:1".into(),
        provider_message_id: "wamid.early".into(),
        told: ToldReceipt {
            kind: ReceiptKind::Delivered,
            billing: None,
            identity: None,
        },
    };
    store.park(&waiting, at(1 << 45)).await.unwrap();
    drop(store);
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE accounts; DROP TABLE written; DROP TABLE endpoints; DROP TABLE tallies; DROP TABLE acts; DROP INDEX keys_ends; ALTER TABLE keys DROP COLUMN used_at; ALTER TABLE keys DROP COLUMN ends_at; DELETE FROM counters WHERE name IN ('keys_version', 'acts_given'); ALTER TABLE parked DROP COLUMN told; DROP INDEX log_apart; DROP INDEX log_recipient; DROP INDEX remembered_recipient; ALTER TABLE log DROP COLUMN recipient; ALTER TABLE log DROP COLUMN scope; ALTER TABLE remembered DROP COLUMN recipient; PRAGMA user_version = 1;")
        .unwrap();
    let first = Connection::open_in_memory().unwrap();
    first.execute_batch(include_str!("migrations/0001_first.sql")).unwrap();
    let tables = |of: &Connection| -> Vec<(String, Vec<String>)> {
        let mut names = of.prepare("SELECT name FROM sqlite_schema ORDER BY name").unwrap();
        let names = names
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap);
        let columns = |name: &str| -> Vec<String> {
            let mut columns = of.prepare(&format!("PRAGMA table_info({name})")).unwrap();
            columns.query_map([], |row| row.get(1)).unwrap().map(Result::unwrap).collect()
        };
        names.map(|name| (name.clone(), columns(&name))).collect()
    };
    assert_eq!(tables(&old), tables(&first), "this is what the first release made");
    drop(old);

    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(crate::sqlite::schema_of(&path).unwrap(), Some(crate::sqlite::SCHEMA));
    assert!(is_begun(&store, 1).await);
    assert_eq!(
        store.parked("whatsapp:1", "wamid.early").await.unwrap(),
        std::slice::from_ref(&waiting.told)
    );
    let again = Parked {
        told: ToldReceipt {
            kind: ReceiptKind::Read,
            ..waiting.told.clone()
        },
        ..waiting.clone()
    };
    store.park(&again, at(1 << 45)).await.unwrap();
    assert_eq!(
        store.parked("whatsapp:1", "wamid.early").await.unwrap(),
        [waiting.told, again.told]
    );
}

#[test]
fn a_newer_schema_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    drop(SqliteStore::open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("start the release that migrated it"), "{error}");
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE shopping (item TEXT)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path).unwrap_err(), OpenError::Foreign));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to look at".repeat(20)).unwrap();
    assert!(matches!(SqliteStore::open(&text).unwrap_err(), OpenError::Sqlite(_)));
    let error = SqliteStore::open(folder.path().join("no/such/folder.db")).unwrap_err();
    assert!(error.source().is_some(), "{error:?}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_new_database() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private.db");
    let store = SqliteStore::open(&path).unwrap();
    for name in ["private.db", "private.db-wal", "private.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    drop(store);
}

/// The plans of the reads that every request makes: an index that a query no longer uses is a full scan in production.
#[test]
fn the_queries_use_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let plan = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = statement.parameter_count();
        let rows = statement
            .query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>(3))
            .unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    for (sql, expected) in [
        (
            "SELECT version, document FROM recipients WHERE key = ?1",
            "SEARCH recipients USING INDEX sqlite_autoindex_recipients_1",
        ),
        (
            "SELECT key FROM recipients INDEXED BY recipients_due WHERE due_at <= ?1 ORDER BY due_at, key LIMIT ?2",
            "SEARCH recipients USING COVERING INDEX recipients_due",
        ),
        (
            "SELECT id FROM history INDEXED BY history_scope WHERE scope = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4",
            "SEARCH history USING COVERING INDEX history_scope",
        ),
        (
            "SELECT id FROM history INDEXED BY history_recipient WHERE recipient = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC",
            "SEARCH history USING COVERING INDEX history_recipient",
        ),
        (
            "SELECT place, entry FROM log INDEXED BY log_subject WHERE subject = ?1 ORDER BY place",
            "SEARCH log USING INDEX log_subject",
        ),
        (
            "SELECT record FROM keys WHERE digest = ?1",
            "SEARCH keys USING INDEX keys_digest",
        ),
        (
            "SELECT id FROM history INDEXED BY history_recipient WHERE recipient = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            "SEARCH history USING COVERING INDEX history_recipient",
        ),
        (
            "SELECT id FROM history INDEXED BY history_scope WHERE scope = ?6 AND id >= ?1 AND id < ?2 AND (finished_at < ?3 OR id >= ?4) ORDER BY id LIMIT ?5",
            "SEARCH history USING INDEX history_scope",
        ),
        (
            "SELECT place FROM log INDEXED BY log_apart WHERE scope = ?1 AND at < ?2 ORDER BY at LIMIT ?3",
            "SEARCH log USING COVERING INDEX log_apart",
        ),
        (
            "SELECT place, entry FROM log INDEXED BY log_recipient WHERE recipient = ?1 ORDER BY place LIMIT ?2",
            "SEARCH log USING INDEX log_recipient",
        ),
        (
            "SELECT key FROM remembered INDEXED BY remembered_recipient WHERE recipient = ?1 LIMIT ?2",
            "SEARCH remembered USING COVERING INDEX remembered_recipient",
        ),
        (
            "SELECT sender FROM handles WHERE message < ?1 ORDER BY message LIMIT ?2",
            "SEARCH handles USING COVERING INDEX handles_message",
        ),
    ] {
        let plan = plan(sql);
        assert!(plan.contains(expected) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn a_folder_that_is_moved_away_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&here).unwrap();
    let store = SqliteStore::open(here.join("moved.db")).unwrap();
    commit(&store, begin(0, BEGIN)).await.unwrap();
    std::fs::rename(&here, &there).unwrap();
    let meanwhile = commit(&store, begin(1, BEGIN)).await.is_ok();
    std::fs::rename(&there, &here).unwrap();
    commit(&store, begin(2, BEGIN)).await.expect("the same store works again");
    drop(store);
    let store = SqliteStore::open(here.join("moved.db")).unwrap();
    assert!(is_begun(&store, 0).await && is_begun(&store, 2).await);
    assert!(is_begun(&store, 1).await || !meanwhile, "what was answered is there");
}

/// Long lives on few documents: nothing but the newest version of each is kept.
#[tokio::test]
async fn a_document_that_is_replaced_often_takes_no_more_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("often.db");
    let store = SqliteStore::open(&path).unwrap();
    commit(&store, first(1)).await.unwrap();
    for round in 0..20 {
        let batch = (0..250).map(|n| next(1, 1 + round * 250 + n)).collect();
        assert!(store.commit(batch).await.iter().all(Result::is_ok));
    }
    let found = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.version.0, found.value.verifications[0].id),
        (5_001, recipient(1, BEGIN).verifications[0].id)
    );
    assert_eq!(found.value.verifications[0].attempts[0].id, message_id(1, BEGIN));
    assert_eq!(found.value.verifications[0].purpose, verification(1, BEGIN).purpose);
    drop(store);
    assert!(std::fs::metadata(&path).unwrap().len() < 300_000);
}
