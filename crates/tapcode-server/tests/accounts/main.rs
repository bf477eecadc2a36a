//! Can an operator run an account's templates and see how it stands, and does nobody see more than is theirs?

mod alerts;
mod health;
mod hooks;
#[path = "../shared/leaping.rs"]
mod leaping;
mod meta;
mod routing;
mod stage;
mod templates;
