//! How is what the core decides made durable and then done? Apply an input, commit, call, listen, tell.
#![warn(missing_docs)]

pub mod access;
pub mod accounts;
mod acts;
mod addresses;
pub mod announcing;
mod call;
pub mod clock;
pub mod committer;
pub mod contract;
pub mod csv_file;
pub mod egress;
pub mod engine;
pub mod entropy;
pub mod keyring;
pub mod locale;
pub mod nearest;
pub mod pace;
pub mod privacy;
pub mod rates;
pub mod receive;
pub mod requests;
pub mod service;
pub mod sms_prices;
pub mod statistics;
mod telemetry;
pub mod templates;
pub mod text;
pub mod timers;
pub mod trace;
pub mod waiters;
