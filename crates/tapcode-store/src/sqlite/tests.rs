//! Does the SQLite store keep the laws, and what it has said is durable?

use std::sync::Arc;

use tapcode_engine::contract::store::Store;
use tempfile::TempDir;

use crate::sqlite::SqliteStore;

async fn make() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(SqliteStore::open(folder.path().join("suite.db")).unwrap()), folder)
}

crate::store_suite!(make);
