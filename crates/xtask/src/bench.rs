//! How is the load generator started, and what if it is not there?

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{child, workspace};

const CRATE: &str = "tapcode-testkit";
const BINARY: &str = "tapcode-bench";

/// A release build from nothing and the longest measurement together; two hours is a hang.
const BENCH_BOUND: Duration = Duration::from_secs(2 * 60 * 60);

/// Builds and runs the load generator in release mode.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let is_there = workspace::metadata()?
        .workspace_packages()
        .iter()
        .filter(|package| package.name.as_str() == CRATE)
        .flat_map(|package| &package.targets)
        .any(|target| target.is_bin() && target.name == BINARY);
    ensure!(
        is_there,
        "there is no benchmark in this tree yet: {CRATE} has no binary named {BINARY}"
    );
    let mut command = workspace::cargo(&["run", "--release", "--package", CRATE, "--bin", BINARY, "--"]);
    child::run("the benchmark", BENCH_BOUND, command.args(arguments))
}
