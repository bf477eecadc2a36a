//! What do requests to vendors have in common?

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use tapcode_engine::contract::provider::{Content, HttpRequest};

use crate::config_error::ConfigError;

/// A header's value that is a credential, and knows it.
pub(crate) fn credential(text: &str, key: &'static str, remedy: &'static str) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ConfigError { key, remedy })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A `POST` of JSON with credentials.
pub(crate) fn post_json(url: &str, authorization: &HeaderValue, body: &Value) -> HttpRequest {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    HttpRequest {
        method: Method::POST,
        url: url.to_owned(),
        headers,
        body: body.to_string().into_bytes(),
    }
}

/// What an SMS says; `None` for a template, of which no SMS can be made. Then the request leaves out what no vendor does
/// without, so that it is refused and nothing odd is sent.
pub(crate) fn sms_text(content: &Content) -> Option<&str> {
    match content {
        Content::Code { text, .. } | Content::Text(text) => Some(text),
        Content::Template { .. } => None,
    }
}
