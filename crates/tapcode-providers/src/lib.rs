//! Which providers can Tapcode speak to? One file per provider, each facts and pure functions, and the suite that holds for all.
#![warn(missing_docs)]

pub mod config_error;
pub mod infobip;
pub mod kannel;
pub mod messagebird;
pub mod registry;
pub mod sandbox;
pub mod secret;
pub mod sinch;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod telnyx;
pub mod twilio;
pub mod twilio_errors;
pub mod vonage;
pub mod webhook;
mod whatsapp_account;
pub mod whatsapp_cloud;
pub mod whatsapp_errors;
pub mod whatsapp_languages;
pub mod whatsapp_templates;
pub mod whatsapp_webhook;
pub mod whatsapp_wording;

mod address_secret;
mod answer;
mod infobip_errors;
mod jwt;
mod request;
mod signature;
mod vendor_text;
mod vonage_errors;
mod vonage_sms;
