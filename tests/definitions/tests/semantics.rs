//! The promises in `SEMANTICS.md`, and the invariants in `functions/README.md`, name existing tests.

use definitions::project;

#[track_caller]
fn check_named_tests(document: &str, least: usize) {
    let text = project::text(document);
    let sources = project::files("tests", ".rs");
    let named: Vec<_> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(module, _)| !module.contains(' ') && *module != "module")
        .collect();
    assert!(named.len() >= least, "{named:?}");
    for (module, function) in named {
        let file = format!("/{module}.rs");
        let exists = sources
            .iter()
            .filter(|source| source.ends_with(&file))
            .any(|source| project::text(source).contains(&format!("fn {function}(")));
        assert!(
            exists,
            "{document}: there is no {module}::{function} under tests"
        );
    }
}

#[test]
fn every_promise_names_existing_tests() {
    check_named_tests("SEMANTICS.md", 40);
}

#[test]
fn every_invariant_names_existing_tests() {
    check_named_tests("functions/README.md", 20);
}

#[test]
fn every_row_of_promises_names_a_test() {
    let semantics = project::text("SEMANTICS.md");
    let rows = semantics.lines().filter(|line| line.starts_with("| "));
    let promises: Vec<_> = rows.filter(|row| !row.ends_with("| held by |")).collect();
    assert!(promises.len() > 20);
    for row in promises {
        let held_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        assert!(held_by.contains("::"), "{row}");
    }
}
