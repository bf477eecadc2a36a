//! Which commands do the people who work on Tapcode type?

mod arrows;
mod bench;
mod child;
mod environment;
mod steps;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The commands for working on Tapcode"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, check the style, build, and run every test.
    ///
    /// With arguments (`cargo xtask test -- FILTER`, `… -- -p tapcode-core FILTER`) only `cargo test` runs, with those arguments.
    Test {
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Install what the tests need and print it as shell `export` lines.
    ///
    /// `eval "$(cargo xtask env)"` lets a plain `cargo test` find everything.
    Env,
    /// Check format and lints.
    Lint,
    /// Compare the dependencies between our crates with the table in ARCHITECTURE.md.
    Arrows,
    /// Measure speed and memory in a release build; arguments go to the load generator.
    Bench {
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match obey(Line::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Test { arguments } if arguments.is_empty() => steps::test_everything(),
        Command::Test { arguments } => steps::test_some(&arguments),
        Command::Env => steps::print_environment(),
        Command::Lint => steps::lint(),
        Command::Arrows => arrows::print(),
        Command::Bench { arguments } => bench::run(&arguments),
    }
}
