//! What runs beside the load? The server under test and the stand-ins, each a process of its own, ended when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A failure of the benchmark itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A child process that says where it is in one line of JSON.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// What it said.
    pub said: Value,
}

impl Running {
    /// Starts it and reads its first line.
    pub fn start(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| {
                format!(
                    "{}: {e}; build it first with cargo build --release --workspace",
                    program.display()
                )
            })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let said = serde_json::from_str(&line).map_err(|e| format!("{} said {line:?}: {e}", program.display()))?;
        Ok(Self { child, said })
    }

    /// An address that it said.
    pub fn address(&self, name: &str) -> Result<SocketAddr, Failure> {
        let text = self.said[name]
            .as_str()
            .ok_or_else(|| format!("no {name} in {}", self.said))?;
        let text = text.trim_start_matches("http://").trim_end_matches('/');
        text.parse().map_err(|e| format!("{text}: {e}").into())
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that has ended already is as good.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A program that was built beside this one.
pub fn beside(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("no folder")?.join(name))
}
