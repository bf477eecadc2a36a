//! How is what the core decides made durable and then done? Apply an input, commit, call, listen, tell.
#![warn(missing_docs)]

pub mod contract;
