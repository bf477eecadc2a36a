//! Does the core keep its laws? Whole lives, planted bugs, named stories and the state table.
//!
//! `cargo test -p tapcode-core --test laws -- planted --nocapture` prints how many planted bugs are caught.

mod account;
mod endpoint;
mod known;
mod ledger;
mod life;
mod lives;
mod planted;
mod state_table;
mod stories;
mod world;
