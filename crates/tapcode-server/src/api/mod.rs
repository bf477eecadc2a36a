//! What can a caller with a key ask for? `/api/v1` and the open pages next to it.

pub(crate) mod answers;
mod call;
mod json;
mod operation;
mod query;
mod reader;
pub(crate) mod refusal;
pub(crate) mod time;
mod verifications;

use std::sync::Arc;

use axum::Router;
use tokio::sync::Semaphore;

use crate::App;
use crate::api::operation::Route;
use crate::limits::{STREAMS_MAX, WAITS_MAX};

/// What the requests of one server share.
pub(crate) struct Shared {
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Places for requests that wait for a message.
    pub(crate) waits: Semaphore,
}

/// The routes of the API.
pub fn router(_app: &App) -> Router<App> {
    let shared = Arc::new(Shared { streams: Arc::new(Semaphore::new(STREAMS_MAX)), waits: Semaphore::new(WAITS_MAX) });
    routes(&shared).into_iter().fold(Router::new(), |router, route| router.route(route.operation.path, route.handler))
}

fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    verifications::routes(shared)
}
