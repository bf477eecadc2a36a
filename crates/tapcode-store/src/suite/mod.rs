//! What must every store do? The laws, as tests that a backend runs by naming how to make an empty store:
//!
//! ```text
//! async fn make() -> (Arc<dyn Store>, impl Sized) { … }   // the store, and whatever must live as long as it
//! tapcode_store::store_suite!(make);
//! ```
//!
//! Each law is one test with its own store. The last one plays random histories against the memory store and the store
//! under test, and wants the same answers. `src/planted.rs` shows that each law can fail.

pub mod laws;
pub mod model;
pub mod privacy;
pub mod samples;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tapcode_engine::contract::store::Store;

/// A law under way; it panics when it is broken.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A law and its name.
#[derive(Clone, Copy)]
pub struct Law {
    /// The name of its test.
    pub name: &'static str,
    /// Holds the law against an empty store.
    pub run: fn(Arc<dyn Store>) -> Running,
}

/// Hands the name of every law to a macro of the caller, behind what the caller hands to it.
#[macro_export]
macro_rules! for_each_store_law {
    ($callback:path, $($argument:tt)*) => {
        $callback! {
            ($($argument)*)
            unknown_things_are_none,
            a_commit_writes_every_part,
            a_version_is_used_once,
            a_deleted_document_starts_again_at_version_one,
            one_of_many_at_once_wins,
            a_conflict_writes_nothing,
            a_commit_without_a_document_keeps_its_other_parts,
            a_batch_is_decided_in_order_and_sees_itself,
            a_remembered_key_is_a_conflict,
            a_remembered_key_that_expired_is_replaced,
            due_documents_come_longest_due_first,
            the_due_index_follows_its_document,
            handles_belong_to_their_sender,
            parked_receipts_wait_in_order,
            parked_receipts_keep_what_they_tell,
            parked_receipts_of_one_message_are_bounded,
            parked_receipts_are_bounded,
            a_snapshot_is_replaced,
            browsing_filters,
            browsing_walks_every_row_once,
            browsing_looks_at_a_bounded_number_of_rows,
            the_log_keeps_the_order_of_commits,
            a_reader_of_the_log_misses_nothing,
            a_timeline_is_about_one_thing,
            api_keys_are_found_by_digest,
            keys_are_decided_over_together,
            the_use_of_a_key_only_grows,
            acts_are_written_with_what_they_did,
            old_acts_and_ended_keys_are_swept,
            a_version_of_an_account_is_used_once,
            a_version_of_an_endpoint_is_used_once,
            the_log_is_one,
            written_recipients_are_a_set_per_hour,
            a_line_is_counted_once,
            counts_are_read_by_time_and_service,
            a_sweep_removes_only_what_is_past,
            a_sweep_is_bounded,
            places_are_never_given_twice,
            a_service_may_keep_less,
            what_is_erased_is_gone_and_nothing_else,
            an_erasure_is_bounded,
            a_recipients_history_is_walked,
            a_large_document_is_kept_whole,
            a_dropped_commit_is_whole_or_nothing,
            a_healthy_store_can_be_written_to
        }
    };
}

/// One test per law, and the comparison with the memory store. `make` is an async function that gives an empty store
/// and whatever must live as long as it.
#[macro_export]
macro_rules! store_suite {
    ($make:path) => {
        $crate::for_each_store_law!($crate::store_suite_tests, $make);

        #[test]
        fn it_answers_as_the_memory_store_does() {
            $crate::suite::model::compare(|| async { $make().await });
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_suite_tests {
    (($make:path) $($law:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let (store, _kept) = $make().await;
                $crate::suite::laws::$law(store).await;
            }
        )+
    };
}

macro_rules! list {
    (() $($law:ident),+) => {
        /// Every law, in the order of the contract.
        pub const LAWS: &[Law] = &[$(Law { name: stringify!($law), run: |store| Box::pin(laws::$law(store)) }),+];
    };
}

for_each_store_law!(list,);
