//! What does Tapcode decide? The pure core: verifications, recipients, plans, limits, codes and the log of decisions.
//!
//! Nothing in this crate reads a clock, draws a random number, does IO or knows how anything is stored or sent.
#![warn(missing_docs)]

pub mod account;
pub mod audit;
pub mod code;
pub mod delivery;
pub mod endpoint;
pub mod entry;
pub mod id;
pub mod money;
pub mod number;
pub mod plan;
pub mod recipient;
pub mod sender;
pub mod statistics;
pub mod step;
pub mod text;
pub mod time;
pub mod verification;
pub mod words;
