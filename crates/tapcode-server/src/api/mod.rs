//! What can a caller with a key ask for? `/api/v1` and the open pages next to it.

mod administration;
mod announce;
pub(crate) mod answers;
mod api_keys;
mod audit;
mod call;
mod docs;
mod events;
mod inbound;
mod json;
mod messages;
mod openapi;
mod operation;
mod privacy;
mod query;
mod reader;
mod recipients;
pub(crate) mod refusal;
mod sms_preview;
mod statistics;
mod status;
mod templates;
pub(crate) mod time;
mod verifications;
pub mod webhook_endpoints;

use std::sync::Arc;

use axum::Router;
use tokio::sync::{Mutex, Semaphore};

use crate::App;
use crate::api::operation::Route;
use crate::api::status::LastLook;
use crate::limits::{STREAMS_MAX, WAITS_MAX};

/// What the requests of one server share.
pub(crate) struct Shared {
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Places for requests that wait for a message.
    pub(crate) waits: Semaphore,
    /// What `/readyz` saw last.
    pub(crate) ready: LastLook,
    /// One template is created at a time: providers take few such requests, and one that is repeated meets its answer.
    pub(crate) templates: Mutex<()>,
}

/// The routes of the API.
pub fn router(app: &App) -> Router<App> {
    let (style_path, style) = docs::style();
    let router = Router::new().route(style_path, style);
    routes(app)
        .into_iter()
        .fold(router, |router, route| router.route(route.operation.path, route.handler))
}

fn routes(app: &App) -> Vec<Route> {
    let shared = Arc::new(Shared {
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        waits: Semaphore::new(WAITS_MAX),
        ready: LastLook::default(),
        templates: Mutex::default(),
    });
    let mut routes = verifications::routes(&shared);
    routes.extend(messages::routes(&shared));
    routes.extend(sms_preview::routes(&shared));
    routes.extend(events::routes(&shared));
    routes.extend(webhook_endpoints::routes(&shared));
    routes.extend(templates::routes(&shared));
    routes.extend(administration::routes(&shared));
    routes.extend(statistics::routes(&shared));
    routes.extend(recipients::routes(&shared));
    routes.extend(privacy::routes(&shared));
    routes.extend(api_keys::routes(&shared));
    routes.extend(audit::routes(&shared));
    routes.extend(status::routes(&shared));
    let about = docs::routes(app, &routes);
    routes.extend(about);
    routes
}
