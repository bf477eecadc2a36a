//! What does a person see in a browser? The simulated phones and the timeline of each verification.

use axum::Router;

use crate::App;

/// The routes of the console.
pub fn router(_app: &App) -> Router<App> {
    Router::new()
}
