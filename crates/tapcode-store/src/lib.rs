//! How is it kept? The stores behind [`tapcode_engine::contract::store::Store`], the records they write, and the one
//! conformance suite that says what a store is.
#![warn(missing_docs)]

mod limits;
pub mod memory;
pub mod record;
pub mod sqlite;
