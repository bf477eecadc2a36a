//! What is wrong with a provider's configuration? A key and what belongs there, never the value.

/// A value that the provider cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {remedy}")]
pub struct ConfigError {
    /// The key in the configuration.
    pub key: &'static str,
    /// What belongs there.
    pub remedy: &'static str,
}

/// A base address without the slash at its end.
pub(crate) fn base_url(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let base = text.trim_end_matches('/');
    let host = base
        .strip_prefix("https://")
        .or_else(|| base.strip_prefix("http://"))
        .unwrap_or_default();
    let fits = !host.is_empty() && base.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'?' | b'#' | b'@'));
    if fits {
        Ok(base.to_owned())
    } else {
        Err(ConfigError {
            key,
            remedy: "an address that starts with https:// and has no query",
        })
    }
}

/// `Ok` when `holds`.
pub(crate) fn ensure(holds: bool, key: &'static str, remedy: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key, remedy }) }
}
