//! What is the binary made of? Its rooms as modules, so that `main` and the tests use the same ones.

pub mod config;
