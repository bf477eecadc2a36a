//! Which command was typed, and how did it end? 0: done; 1: not done, said in a sentence; 2: not understood.

mod cli;
mod listen;
mod otlp;
mod telemetry;
mod wire;

use std::process::ExitCode;

use clap::Parser;

/// The server allocates and frees small buffers from every thread; the bench compares this allocator with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Tapcode::parse())
}
