//! Which providers are there? The one list: a new provider is one file and one line here.

use tapcode_engine::contract::provider::Manifest;

use crate::{infobip, kannel, messagebird, sandbox, sinch, telnyx, twilio, vonage, webhook, whatsapp_cloud};

/// All of them, by id.
static ALL: &[&Manifest] = &[
    &infobip::MANIFEST,
    &kannel::MANIFEST,
    &messagebird::MANIFEST,
    &sandbox::MANIFEST,
    &sinch::MANIFEST,
    &telnyx::MANIFEST,
    &twilio::MANIFEST,
    &vonage::MANIFEST,
    &webhook::MANIFEST,
    &whatsapp_cloud::MANIFEST,
];

/// What a provider is, by its name in the configuration.
#[must_use]
pub fn manifest(id: &str) -> Option<&'static Manifest> {
    ALL.iter().copied().find(|manifest| manifest.id == id)
}

/// The names that the configuration may use, in alphabetical order.
pub fn ids() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|manifest| manifest.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found_and_says_where_its_facts_were_read() {
        assert!(ids().is_sorted());
        for id in ids() {
            let manifest = manifest(id).unwrap();
            assert!(!manifest.channels.is_empty() && !manifest.sources.is_empty(), "{id}");
            for source in manifest.sources {
                assert!(
                    source.url.starts_with("https://") && source.read.len() == "2026-11-22".len(),
                    "{id}: {source:?}"
                );
            }
        }
        assert!(manifest("Twilio").is_none() && manifest("").is_none());
    }
}
