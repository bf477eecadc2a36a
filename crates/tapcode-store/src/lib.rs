//! How is it kept? The stores behind [`tapcode_engine::contract::store::Store`], the records they write, and the one
//! conformance suite that says what a store is.
#![warn(missing_docs)]

mod limits;
pub mod memory;
#[cfg(test)]
mod planted;
pub mod record;
pub mod sqlite;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
