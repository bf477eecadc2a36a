//! What do providers tell us? `/hooks`, where they call.

use axum::Router;

use crate::App;

/// The routes that providers call.
pub fn router(_app: &App) -> Router<App> {
    Router::new()
}
