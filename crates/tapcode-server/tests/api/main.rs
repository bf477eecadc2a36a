//! Does the API do what its documentation says? The whole router on a real engine, the memory store and the sandbox.

mod access;
mod documentation;
mod events;
mod idempotency;
mod isolation;
mod malformed;
mod messages;
mod open;
mod privacy;
mod races;
mod recipients;
mod statistics;
mod store_gone;
#[path = "../shared/unplugged.rs"]
mod unplugged;
mod verifications;
mod world;
