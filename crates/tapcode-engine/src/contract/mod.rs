//! What does the engine ask of the rooms it does not know? Stores, providers and the sandbox's phones, by contract only.

pub mod account;
pub mod phones;
pub mod provider;
pub mod store;
