//! In which steps does the one test command go, and how did each end?

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{child, environment, workspace};

/// Formatting reads our own files only.
const FORMAT_BOUND: Duration = Duration::from_secs(2 * 60);
/// From nothing, with all dependencies to fetch and check on two cores.
const CLIPPY_BOUND: Duration = Duration::from_secs(30 * 60);
/// From nothing, with all dependencies to fetch and build on two cores, SQLite among them.
const BUILD_BOUND: Duration = Duration::from_secs(45 * 60);
/// Every test there is; each has a bound of its own that is far smaller.
const TESTS_BOUND: Duration = Duration::from_secs(60 * 60);

/// Everything, in order; a step that fails does not keep the others from telling what they know,
/// except where they could not: no tests without what they need, and none without a build.
pub(crate) fn test_everything() -> Result<()> {
    let mut report = Report::default();
    let mut variables = Vec::new();
    report.step("what the tests need", || {
        variables = environment::prepare()?;
        Ok(())
    });
    report.step("format", format);
    let built = report.step("build", build);
    report.step("lints, shipped code", lints_of_shipped_code);
    report.step("lints, all code", lints_of_all_code);
    if built && !variables.is_empty() {
        report.step("tests", || {
            child::run("cargo test", TESTS_BOUND, tests(&["--no-fail-fast"]).envs(variables))
        });
    } else {
        report.not_run("tests");
    }
    report.close()
}

/// `cargo test` with the given arguments and everything the tests need.
pub(crate) fn test_some(arguments: &[String]) -> Result<()> {
    let variables = environment::prepare()?;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    child::run("cargo test", TESTS_BOUND, tests(&arguments).envs(variables))
}

/// Format and lints, without tests.
pub(crate) fn lint() -> Result<()> {
    let mut report = Report::default();
    report.step("format", format);
    report.step("lints, shipped code", lints_of_shipped_code);
    report.step("lints, all code", lints_of_all_code);
    report.close()
}

/// Prepares what the tests need and prints it for a shell to `eval`.
pub(crate) fn print_environment() -> Result<()> {
    for (variable, path) in environment::prepare()? {
        println!("export {variable}='{}'", path.display().to_string().replace('\'', r"'\''"));
    }
    Ok(())
}

fn format() -> Result<()> {
    child::run("cargo fmt", FORMAT_BOUND, &mut workspace::cargo(&["fmt", "--all", "--check"]))
}

/// Everything the tests are made of, so that the test step only tests.
fn build() -> Result<()> {
    child::run(
        "cargo build",
        BUILD_BOUND,
        &mut workspace::cargo(&["build", "--workspace", "--all-targets"]),
    )
}

/// With the bans of `clippy.toml`: what we ship reads clocks, rolls dice and spawns in one room each.
fn lints_of_shipped_code() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--lib", "--bins", "--", "-D", "warnings"];
    child::run("cargo clippy", CLIPPY_BOUND, &mut workspace::cargo(&arguments))
}

/// Without those bans: a test may time what it drives and may build a client of its own.
fn lints_of_all_code() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
        "-A",
        "clippy::disallowed_methods",
    ];
    child::run("cargo clippy", CLIPPY_BOUND, &mut workspace::cargo(&arguments))
}

/// The workspace has no root package, so that `cargo test` alone means all of it and `-p` narrows it down.
fn tests(arguments: &[&str]) -> Command {
    let mut command = workspace::cargo(&["test"]);
    command.args(arguments);
    command
}

/// How the steps ended, printed as a table at the end.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    failed: Vec<&'static str>,
}

impl Report {
    /// Runs a step and notes how it ended; true if well.
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        eprintln!("\n== {name}");
        let began = Instant::now();
        let result = step();
        let took_s = began.elapsed().as_secs_f32();
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
            self.failed.push(name);
        }
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        self.lines.push(format!("{name:<22}{word:<8}{took_s:>8.1} s"));
        result.is_ok()
    }

    /// Notes a step that could not even begin; that is a failure too.
    fn not_run(&mut self, name: &'static str) {
        self.lines.push(format!("{name:<22}NOT RUN"));
        self.failed.push(name);
    }

    fn close(self) -> Result<()> {
        eprintln!("\n== summary\n{}", self.lines.join("\n"));
        if !self.failed.is_empty() {
            bail!("not well: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole_and_the_others_still_run() {
        let mut report = Report::default();
        let mut ran = false;
        assert!(!report.step("first", || bail!("broken")));
        assert!(report.step("second", || {
            ran = true;
            Ok(())
        }));
        let error = report.close().unwrap_err().to_string();
        assert!(ran && error.contains("first") && !error.contains("second"), "{error}");
    }

    #[test]
    fn a_step_that_was_not_run_is_a_failure() {
        let mut report = Report::default();
        report.not_run("tests");
        assert!(report.close().is_err());
    }
}
