//! What must no tracked file contain?
//!
//! The forbidden words are put together from halves here, so that this file may itself be tracked.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A word that must not occur where `applies` says, unless [`ALLOWED`] names the file and why.
struct Ban {
    word: String,
    applies: fn(path: &str) -> Span,
    because: &'static str,
}

/// How much of a file a ban covers.
#[derive(Clone, Copy, PartialEq)]
enum Span {
    Nothing,
    /// From the first test module on, which by house style is the end of the file.
    FromTestModule,
    Everything,
}

struct Allowed {
    path: &'static str,
    word: String,
    reason: &'static str,
}

/// The exceptions, each with its reason; one that is no longer needed fails the test.
///
/// For example: `Allowed { path: "crates/…/tests/….rs", word: ["sle", "ep("].concat(), reason: "…" }`.
fn allowed() -> Vec<Allowed> {
    let pause = |path, reason| Allowed {
        path,
        word: ["sle", "ep("].concat(),
        reason,
    };
    vec![
        pause(
            "crates/tapcode-engine/tests/old_receipts.rs",
            "a clock that is moved by hand has to have this method; it never returns",
        ),
        pause(
            "crates/tapcode-engine/tests/simulation/world.rs",
            "this is the simulated clock: under a paused runtime, time moves by it",
        ),
        pause(
            "crates/tapcode-providers/src/smpp/tests.rs",
            "a story's clock has to have this method: under a paused runtime, time moves by it",
        ),
        pause(
            "crates/tapcode-server/tests/shared/leaping.rs",
            "a clock that leaps ahead has to have this method; the engine's own waits are real",
        ),
        pause(
            "crates/tapcode/tests/browser/chrome.rs",
            "WebDriver has no call that waits: the page is asked again until it shows the fact, with a bound",
        ),
        pause(
            "crates/tapcode/tests/browser/dev.rs",
            "the server is asked again until it says the fact, with a bound",
        ),
        pause(
            "crates/tapcode/tests/crash.rs",
            "a wait ends while nobody is there to see it, and the server is asked again until it says the fact, with a bound",
        ),
        pause(
            "crates/tapcode/tests/seed.rs",
            "a real Redis is asked again until it answers, with a bound; it wakes nobody",
        ),
        pause(
            "crates/tapcode/tests/harness/mod.rs",
            "another process is asked again until it shows the fact, with a bound; it wakes nobody",
        ),
    ]
}

fn bans() -> Vec<Ban> {
    let ban = |halves: [&str; 2], applies, because| Ban {
        word: halves.concat(),
        applies,
        because,
    };
    let path = "a path of somebody's machine; say it relative to the workspace, or with a variable";
    vec![
        ban(["/ho", "me/"], |_| Span::Everything, path),
        ban(["/ro", "ot/"], |_| Span::Everything, path),
        ban(["/Us", "ers/"], |_| Span::Everything, path),
        ban(["/wo", "rk/"], |_| Span::Everything, path),
        ban(["to", "do!("], rust, "unfinished; a task that is left belongs in an issue"),
        ban(
            ["unimple", "mented!("],
            rust,
            "unfinished; a task that is left belongs in an issue",
        ),
        ban(["#[ig", "nore"], rust, "a test that does not run shows nothing"),
        ban(
            ["sle", "ep("],
            tests,
            "a test that hopes; wait for the fact itself, with a bound",
        ),
    ]
}

fn rust(path: &str) -> Span {
    if path.ends_with(".rs") {
        Span::Everything
    } else {
        Span::Nothing
    }
}

/// Test code in any language; in the sources of a crate, its test modules.
fn tests(path: &str) -> Span {
    let is_code = [".rs", ".py", ".js", ".mjs", ".cjs", ".ts", ".sh"]
        .iter()
        .any(|end| path.ends_with(end));
    let is_test = path.split('/').any(|part| part == "tests") || path.ends_with("/tests.rs");
    match (is_code, is_test) {
        (true, true) => Span::Everything,
        (true, false) if path.ends_with(".rs") => Span::FromTestModule,
        _ => Span::Nothing,
    }
}

/// Each place where a ban is broken: `path:line: word (because …)`, without regard to the exceptions.
fn broken<'a>(bans: &'a [Ban], path: &str, text: &str) -> Vec<(&'a Ban, String)> {
    let mut found = Vec::new();
    for ban in bans {
        let span = (ban.applies)(path);
        let mut covered = span == Span::Everything;
        for (index, line) in text.lines().enumerate() {
            covered |= span == Span::FromTestModule && line.trim().starts_with("#[cfg(test)]");
            if covered && contains_word(line, &ban.word) {
                let place = format!("{path}:{}: {} ({})", index + 1, ban.word, ban.because);
                found.push((ban, place));
            }
        }
    }
    found
}

/// True if the word begins in `line` where a word or path can begin: not in the middle of an address or a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "_.-~}".contains(before))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every tracked file that is text, by its path from the root.
fn tracked_texts() -> Vec<(String, String)> {
    let listing = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z"])
        .output()
        .expect("git runs");
    assert!(
        listing.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listing.stderr)
    );
    let names = String::from_utf8(listing.stdout).expect("our file names are UTF-8");
    let paths = names.split_terminator('\0');
    // A file that was just deleted, but not yet from the index, has nothing to say; a picture neither.
    paths
        .filter_map(|path| Some((path.to_owned(), std::fs::read_to_string(root().join(path)).ok()?)))
        .collect()
}

#[test]
fn no_tracked_file_contains_what_is_forbidden() {
    let (bans, allowed) = (bans(), allowed());
    let mut used = vec![false; allowed.len()];
    let mut complaints = Vec::new();
    let texts = tracked_texts();
    assert!(
        texts.iter().any(|(path, _)| path == "Cargo.toml"),
        "git lists the files of this workspace"
    );
    for (path, text) in texts {
        for (ban, place) in broken(&bans, &path, &text) {
            match allowed
                .iter()
                .position(|allowed| allowed.path == path && allowed.word == ban.word)
            {
                Some(exception) => used[exception] = true,
                None => complaints.push(place),
            }
        }
    }
    for (allowed, _) in allowed.iter().zip(used).filter(|(_, used)| !used) {
        complaints.push(format!(
            "{}: no longer needs its exception for {} ({})",
            allowed.path, allowed.word, allowed.reason
        ));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_ban_bites() {
    let bans = bans();
    let words = |path: &str, text: &str| -> Vec<String> {
        broken(&bans, path, text)
            .into_iter()
            .map(|(ban, _)| ban.word.clone())
            .collect()
    };
    for ban in &bans {
        let line = format!("    {}x", ban.word);
        assert_eq!(words("crates/a/tests/story.rs", &line), [ban.word.as_str()]);
    }
    let pause = ["    tokio::time::sle", "ep(second).await;\n"].concat();
    let pause_word = [["sle", "ep("].concat()];
    assert_eq!(words("crates/a/src/clock.rs", &pause), [""; 0]);
    assert_eq!(words("crates/a/src/clock/tests.rs", &pause), pause_word);
    assert_eq!(
        words("crates/a/src/clock.rs", &format!("#[cfg(test)]\nmod tests {{\n{pause}}}")),
        pause_word
    );
    assert_eq!(words("tests/story.py", &pause), pause_word);
}

#[test]
fn a_path_within_an_address_or_a_longer_path_is_not_a_machine_path() {
    for text in [
        "https://example.com/work/ethics",
        "~/work/",
        "${HOME}/work/",
        "target/work/",
        "../work/",
    ] {
        assert_eq!(broken(&bans(), "README.md", text).len(), 0, "{text}");
    }
    let place = ["see `/wo", "rk/main`"].concat();
    assert_eq!(broken(&bans(), "README.md", &place).len(), 1);
}

#[test]
fn lock_files_name_the_public_registries_only() {
    for (path, text) in tracked_texts() {
        if path.ends_with("Cargo.lock") {
            let sources = text.lines().filter_map(|line| line.strip_prefix("source = "));
            for source in sources {
                assert_eq!(source, "\"registry+https://github.com/rust-lang/crates.io-index\"", "{path}");
            }
        } else if path.ends_with("package-lock.json") {
            let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
            for (name, package) in lock["packages"].as_object().expect("lock files of version 3 list packages") {
                let place = package["resolved"].as_str().unwrap_or("https://registry.npmjs.org/");
                assert!(
                    place.starts_with("https://registry.npmjs.org/"),
                    "{path}: {name} from {place}"
                );
                assert!(
                    name.is_empty() || package["integrity"].is_string(),
                    "{path}: {name} without a checksum"
                );
            }
        }
    }
}
