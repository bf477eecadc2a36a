//! Do our crates depend on each other as ARCHITECTURE.md says, and on nothing more?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{DependencyKind, Metadata};

use crate::workspace;

const TABLE_HEADER: &str = "| crate | may depend on | its tests may also use |";

/// Prints whether code and table agree; an error that lists each difference if they do not.
pub(crate) fn print() -> Result<()> {
    let differences = differences(&table(&document()?)?, &arrows(&workspace::metadata()?));
    ensure!(
        differences.is_empty(),
        "the arrows between the crates and the table in ARCHITECTURE.md differ:\n  {}",
        differences.join("\n  ")
    );
    println!("The crates depend on each other as ARCHITECTURE.md says.");
    Ok(())
}

/// Which of our crates a crate uses: itself (also to build), and its tests on top.
#[derive(Debug, Default, Clone, PartialEq)]
struct Arrows {
    code: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn document() -> Result<String> {
    let path = workspace::root().join("ARCHITECTURE.md");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the table says: per crate the names in backticks of its second and third cell.
fn table(document: &str) -> Result<BTreeMap<String, Arrows>> {
    let rows = document.lines().skip_while(|line| line.trim() != TABLE_HEADER).skip(2);
    let mut table = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.trim().trim_matches('|').split('|').map(names).collect();
        let [name, code, tests] = cells.as_slice() else {
            bail!("ARCHITECTURE.md: three cells expected in {row}")
        };
        let [name] = name.as_slice() else {
            bail!("ARCHITECTURE.md: one crate in backticks expected in {row}")
        };
        let arrows = Arrows {
            code: code.iter().cloned().collect(),
            tests: tests.iter().cloned().collect(),
        };
        ensure!(
            table.insert(name.clone(), arrows).is_none(),
            "ARCHITECTURE.md: two rows for {name}"
        );
    }
    ensure!(!table.is_empty(), "ARCHITECTURE.md: no table under {TABLE_HEADER}");
    Ok(table)
}

fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What the code says: dependencies with a path, which only our own crates have.
fn arrows(metadata: &Metadata) -> BTreeMap<String, Arrows> {
    let mut all = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let arrows: &mut Arrows = all.entry(package.name.to_string()).or_default();
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let side = match dependency.kind {
                DependencyKind::Development => &mut arrows.tests,
                _ => &mut arrows.code,
            };
            side.insert(dependency.name.clone());
        }
    }
    all
}

/// One sentence per difference; none when the code keeps to the table and the table promises nothing else.
fn differences(table: &BTreeMap<String, Arrows>, code: &BTreeMap<String, Arrows>) -> Vec<String> {
    let mut found = Vec::new();
    let nothing = Arrows::default();
    for name in table.keys().chain(code.keys()).collect::<BTreeSet<_>>() {
        match (table.contains_key(name), code.contains_key(name)) {
            (true, false) => found.push(format!("{name} has a row in the table, but there is no such crate")),
            (false, true) => found.push(format!("{name} is a crate without a row in the table")),
            _ => {}
        }
        let said = table.get(name).unwrap_or(&nothing);
        let done = code.get(name).unwrap_or(&nothing);
        for extra in done.code.difference(&said.code) {
            found.push(format!("{name} depends on {extra}, which the table does not allow"));
        }
        for missing in said.code.difference(&done.code) {
            found.push(format!("{name} does not depend on {missing}, though the table says so"));
        }
        for extra in done
            .tests
            .iter()
            .filter(|name| !said.code.contains(*name) && !said.tests.contains(*name))
        {
            found.push(format!("the tests of {name} use {extra}, which the table does not allow"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_depend_on_each_other_as_the_architecture_says() {
        let differences = differences(
            &table(&document().unwrap()).unwrap(),
            &arrows(&workspace::metadata().unwrap()),
        );
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    #[test]
    fn an_arrow_too_many_or_too_few_is_a_difference() {
        let said = table(&format!(
            "Intro.\n\n{TABLE_HEADER}\n|-|-|-|\n| `a` | `b` | `c` |\n| `b` | nothing | nothing |\n\nOutro."
        ))
        .unwrap();
        let with = |code: &[&str], tests: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            BTreeMap::from([
                (
                    "a".to_owned(),
                    Arrows {
                        code: names(code),
                        tests: names(tests),
                    },
                ),
                ("b".to_owned(), Arrows::default()),
            ])
        };
        assert_eq!(differences(&said, &with(&["b"], &[])), [""; 0]);
        assert_eq!(differences(&said, &with(&["b"], &["b", "c"])), [""; 0]);
        assert_eq!(
            differences(&said, &with(&["b", "c"], &[])),
            ["a depends on c, which the table does not allow"]
        );
        assert_eq!(
            differences(&said, &with(&[], &[])),
            ["a does not depend on b, though the table says so"]
        );
        assert_eq!(
            differences(&said, &with(&["b"], &["d"])),
            ["the tests of a use d, which the table does not allow"]
        );

        let mut unknown = with(&["b"], &[]);
        unknown.insert("z".to_owned(), Arrows::default());
        unknown.remove("b");
        assert_eq!(
            differences(&said, &unknown),
            [
                "b has a row in the table, but there is no such crate",
                "z is a crate without a row in the table"
            ]
        );
    }

    #[test]
    fn a_document_without_the_table_is_refused() {
        assert!(table("| crate | something else |").is_err());
    }
}
