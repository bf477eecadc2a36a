//! Where is the workspace, and what does cargo know about it?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::child;

/// `cargo metadata --no-deps` reads a dozen manifests; a minute covers waiting for another cargo.
const METADATA_BOUND: Duration = Duration::from_secs(60);

/// The folder with the workspace's `Cargo.toml`: two above this crate's manifest.
///
/// Known when the tool is compiled, so that `cargo xtask` works from any folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/xtask lies two folders below the workspace")
}

/// The cargo that started us, or the first on the path, run at the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// Our own crates with their dependencies and targets; asks nothing of the network.
pub(crate) fn metadata() -> Result<Metadata> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let answer = child::read("cargo metadata", METADATA_BOUND, &mut command)?;
    MetadataCommand::parse(answer).context("the answer of cargo metadata")
}

/// The folder for what is built; `CARGO_TARGET_DIR` and cargo's configuration are heeded.
pub(crate) fn target_folder() -> Result<PathBuf> {
    Ok(metadata()?.target_directory.into_std_path_buf())
}
