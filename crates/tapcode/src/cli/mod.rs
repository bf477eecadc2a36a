//! What can be typed behind `tapcode`, and who does it?

mod audit;
mod check;
mod client;
mod compact;
mod config;
mod dev;
mod doctor;
mod explain;
mod inspect;
mod keys;
mod migrate;
mod prices;
mod recipients;
mod screen;
mod send;
mod serve;
mod simulate;
mod tail;
mod whatsapp;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tapcode::config::{Config, Purpose, environment, load};

pub use screen::Screen;

/// One-time passcodes over WhatsApp, with SMS as the fallback.
#[derive(Debug, Parser)]
#[command(
    name = "tapcode",
    version,
    propagate_version = false,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Tapcode {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Run a server to develop against: SQLite, simulated phones in the browser, a ready key
    Dev(dev::Dev),
    /// Print or check the configuration
    #[command(subcommand, arg_required_else_help = true)]
    Config(config::Config),
    /// Make, list and revoke API keys; make a master key
    #[command(subcommand, arg_required_else_help = true)]
    Keys(keys::Keys),
    /// Bring the store to this version's schema
    Migrate(migrate::Migrate),
    /// List what codes over WhatsApp cost; look at a new rate card of Meta's
    #[command(subcommand, arg_required_else_help = true)]
    Prices(prices::Prices),
    /// Tell what administrators did, newest first
    Audit(audit::Audit),
    /// Set up WhatsApp accounts at Meta
    #[command(subcommand, arg_required_else_help = true)]
    Whatsapp(whatsapp::Whatsapp),
    /// Look at server, store and WhatsApp accounts, and tell what is wrong
    Doctor(doctor::Doctor),
    /// Play Meta and Twilio, to try everything out without an account
    Simulate(simulate::Simulate),
    /// Begin a verification: send a code to a number
    Send(send::Send),
    /// Check a code against a verification
    Check(check::Check),
    /// Tell what happened to a verification, and why
    Explain(explain::Explain),
    /// Follow events as they happen
    Tail(tail::Tail),
    /// Erase a number, or see what is kept about it
    #[command(subcommand, arg_required_else_help = true)]
    Recipients(recipients::Recipients),
}

/// Which configuration is meant.
#[derive(Debug, Args)]
struct Configured {
    /// The configuration file; without one, the built-in configuration that `tapcode config default` prints
    #[arg(long, value_name = "FILE", env = "TAPCODE_CONFIG")]
    config: Option<PathBuf>,
}

impl Configured {
    /// What a command starts with, as [`serve::start`] has it.
    fn load(&self, purpose: Purpose) -> Option<Config> {
        serve::start(load(self.config.as_deref(), environment(), purpose))
    }
}

/// Does what was typed.
pub fn run(tapcode: Tapcode) -> ExitCode {
    let screen = Screen::of_process();
    let done = match tapcode.command {
        Command::Serve(serve) => serving(serve.run(&screen)),
        Command::Dev(dev) => serving(dev.run(&screen)),
        Command::Config(config) => config.run(&screen),
        Command::Keys(keys) => keys.run(&screen),
        Command::Audit(audit) => calling(audit.run(&screen)),
        Command::Migrate(migrate) => calling(migrate.run(&screen)),
        Command::Prices(prices) => prices.run(&screen),
        Command::Whatsapp(whatsapp) => whatsapp.run(&screen),
        Command::Doctor(doctor) => calling(doctor.run(&screen)),
        Command::Simulate(simulate) => serving(simulate.run(&screen)),
        Command::Send(send) => calling(send.run(&screen)),
        Command::Check(check) => calling(check.run(&screen)),
        Command::Explain(explain) => calling(explain.run(&screen)),
        Command::Tail(tail) => calling(tail.run(&screen)),
        Command::Recipients(recipients) => calling(recipients.run(&screen)),
    };
    match done {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tapcode: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what serves, on as many threads as there are cores.
fn serving<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Runs what makes a few calls.
fn calling<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
