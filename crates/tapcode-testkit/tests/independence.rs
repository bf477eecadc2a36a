//! Does the judge know the judged?

#[test]
fn no_crate_of_ours_is_a_dependency() {
    let manifest = include_str!("../Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    let ours: Vec<_> = dependencies.lines().filter(|line| line.starts_with("tapcode")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
