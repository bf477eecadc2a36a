//! Can an operator run an account's templates and see how it stands, and does nobody see more than is theirs?

mod alerts;
mod health;
mod hooks;
mod meta;
mod routing;
mod stage;
mod templates;
