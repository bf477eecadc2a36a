//! Does every test that the guarantees name exist?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of ours can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

/// Names in back-ticks that look like a test's: words joined by underscores, at least three of them.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|n| n.matches('_').count() >= 2 && n.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'))).collect()
}

#[test]
fn every_test_that_a_guarantee_names_exists() {
    let guarantees = fs::read_to_string(root().join("docs/explanation/guarantees.md")).expect("the guarantees are there");
    let mut all = Vec::new();
    sources(&root().join("crates"), &mut all);
    let names = named(&guarantees);
    assert!(names.len() > 30, "only {} tests are named", names.len());
    let missing: Vec<_> = names.iter().filter(|name| !all.iter().any(|source| source.contains(&format!("fn {name}(")))).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
    for law in 1..=13 {
        assert!(guarantees.contains(&format!("\n## {law}. ")), "law {law} has no heading");
    }
}
