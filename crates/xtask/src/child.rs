//! How does a child process run, so that it always ends within a named bound?

use std::collections::HashMap;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a child that overran its bound may take to clean up after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a child that talks to the terminal itself; an error unless it ends well within `bound`.
///
/// The child reads nothing: a question asked by an installer gets an end of file, not a person.
pub(crate) fn run(what: &str, bound: Duration, command: &mut Command) -> Result<()> {
    finish(what, bound, command).map(drop)
}

/// As [`run`], with what the child wrote to its standard output.
pub(crate) fn read(what: &str, bound: Duration, command: &mut Command) -> Result<String> {
    let output = finish(what, bound, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    String::from_utf8(output.stdout).with_context(|| format!("{what}: output that is not UTF-8"))
}

fn finish(what: &str, bound: Duration, command: &mut Command) -> Result<Output> {
    let child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("{what}: cannot start {}", command.get_program().to_string_lossy()))?;
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    // The thread ends when the child does, and the child is ended below at the latest.
    thread::spawn(move || drop(sender.send(child.wait_with_output())));

    let Ok(output) = ended.recv_timeout(bound) else {
        let family = family_of(id);
        signal("TERM", &family);
        if ended.recv_timeout(GRACE).is_err() {
            signal("KILL", &family);
        }
        bail!("{what}: stopped after its bound of {} s", bound.as_secs());
    };
    let output = output.with_context(|| what.to_owned())?;
    if !output.status.success() {
        // Some tools complain on standard output; what went to the terminal is not here to be repeated.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!("{}", format!("{what}: {}\n{said}", output.status).trim_end());
    }
    Ok(output)
}

/// The process and all that descend from it, as `/proc` tells; on other systems the process alone.
///
/// A process group of its own would be simpler, but Ctrl-C in the terminal would then miss the child.
fn family_of(id: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `pid (name) state ppid …`, where the name may contain anything, also brackets.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(process);
    }
    let mut family = vec![id];
    let mut next = 0;
    while let Some(member) = family.get(next) {
        family.extend(children.remove(member).unwrap_or_default());
        next += 1;
    }
    family
}

/// Through the shell's own `kill`, which is there even where the package with the program is not.
///
/// A process that is gone already is no failure, so the answer is not read.
fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let _ = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$@" 2>/dev/null"#, name])
        .args(processes)
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_the_child_writes_is_read() {
        assert_eq!(read("echo", GRACE, &mut shell("echo yes")).unwrap(), "yes\n");
    }

    #[test]
    fn a_child_that_fails_is_an_error_that_says_what_and_why() {
        let error = read("the probe", GRACE, &mut shell("echo because >&2; echo therefore; exit 3"))
            .unwrap_err()
            .to_string();
        for part in ["the probe", "exit status: 3", "because", "therefore"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }

    #[test]
    fn a_child_that_cannot_start_is_named() {
        let error = read("the probe", GRACE, &mut Command::new("tapcode-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("tapcode-no-such-program"), "{error}");
    }

    #[test]
    fn a_child_over_its_bound_is_ended() {
        let bound = Duration::from_millis(100);
        let error = read("the sleeper", bound, &mut shell("exec tail -f /dev/null")).unwrap_err();
        assert!(error.to_string().contains("the sleeper: stopped after its bound"), "{error}");
    }

    #[test]
    fn the_family_of_a_child_ends_with_it() {
        let mut child = shell("tail -f /dev/null & echo started; wait")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();

        let family = family_of(child.id());
        assert_eq!(family.len(), 2, "the shell and its tail: {family:?}");
        signal("KILL", &family);
        child.wait().unwrap();
        // The output ends when the last who could write to it is gone.
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(output.read_line(&mut String::new())));
        assert_eq!(ended.recv_timeout(GRACE).expect("the tail is gone").unwrap(), 0);
    }
}
