//! Which providers can Tapcode speak to? One file per provider, each facts and pure functions, and the suite that holds for all.
#![warn(missing_docs)]

pub mod sandbox;
pub mod secret;
pub mod whatsapp_errors;
pub mod whatsapp_wording;

mod vendor_text;
