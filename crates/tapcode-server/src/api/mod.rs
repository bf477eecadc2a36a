//! What can a caller with a key ask for? `/api/v1` and the open pages next to it.

use axum::Router;

use crate::App;

/// The routes of the API.
pub fn router(_app: &App) -> Router<App> {
    Router::new()
}
