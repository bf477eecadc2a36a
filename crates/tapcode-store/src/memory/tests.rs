//! Does the memory store keep the laws?

use std::sync::Arc;

use tapcode_engine::contract::store::Store;

use crate::memory::MemoryStore;

async fn make() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemoryStore::new()), ())
}

crate::store_suite!(make);
