//! Who plays the outside world while we, or our users, are testing?
//!
//! [`CloudApi`] stands in for Meta's WhatsApp Cloud API and [`Twilio`] for Twilio's Messages API.
//! Both are real HTTP servers on loopback: they judge what they are sent as the vendor would, answer as the vendor does,
//! remember every request they read, and call back with signed receipts.
//! What happens to a message is a [`cloud_api::Script`] or [`twilio::Script`], set for one number or for all.
//!
//! This crate shares no code with, and depends on no other crate of, this workspace.
//! A provider and its stand-in that were built from the same function would agree with each other and be wrong together.
//! It ships as `tapcode simulate`, so that our users test their own set-up against it; the server itself never calls it.
//!
//! Where a vendor's behaviour is not confirmed by a source that was read, the place says *unconfirmed*.
//! Where a stand-in refuses more than the vendor is known to refuse, it says *stricter*.
//!
//! Time here is real time: the stand-ins talk over sockets, so a test that uses them must not pause tokio's clock.

mod clock;
pub mod cloud_api;
mod fault;
mod listener;
mod log;
mod scripts;
mod sending;
mod tally;
pub mod twilio;
mod webhook_client;

pub use cloud_api::CloudApi;
pub use fault::Fault;
pub use twilio::Twilio;
pub use webhook_client::{CallbackAnswer, Signing};
