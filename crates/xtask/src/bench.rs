//! How is the benchmark built and started?

use std::time::Duration;

use anyhow::Result;

use crate::{child, workspace};

/// A release build from nothing; an hour is a hang.
const BUILD_BOUND: Duration = Duration::from_secs(60 * 60);
/// The longest measurement; an hour is a hang.
const BENCH_BOUND: Duration = Duration::from_secs(60 * 60);

/// Builds the server, the stand-ins and the limits to compare with, all in release mode, and runs the load generator.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut binaries = workspace::cargo(&[
        "build",
        "--release",
        "--bins",
        "--package",
        "tapcode",
        "--package",
        "tapcode-testkit",
    ]);
    child::run("building the server and the stand-ins", BUILD_BOUND, &mut binaries)?;
    let mut store = workspace::cargo(&[
        "build",
        "--release",
        "--package",
        "tapcode-store",
        "--features",
        "suite",
        "--example",
        "store_bench",
    ]);
    child::run("building the store's own benchmark", BUILD_BOUND, &mut store)?;
    let mut bench = workspace::cargo(&[
        "run",
        "--release",
        "--package",
        "tapcode-testkit",
        "--bin",
        "tapcode-bench",
        "--",
    ]);
    child::run("the benchmark", BENCH_BOUND, bench.args(arguments))
}
