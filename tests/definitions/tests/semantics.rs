//! The promises in `SEMANTICS.md` name tests that there are.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_promise_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let semantics = fs::read_to_string(root.join("SEMANTICS.md")).unwrap();
    let sources = sources(&root.join("tests"));
    let named: Vec<_> = semantics
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(module, _)| !module.contains(' ') && *module != "module")
        .collect();
    assert!(named.len() > 40, "{named:?}");
    for (module, function) in named {
        let file = format!("{module}.rs");
        let is_there = sources
            .iter()
            .filter(|source| source.ends_with(&file))
            .any(|source| {
                let text = fs::read_to_string(source).unwrap();
                text.contains(&format!("fn {function}("))
            });
        assert!(is_there, "there is no {module}::{function} under tests");
    }
}

#[test]
fn every_row_of_promises_names_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let semantics = fs::read_to_string(root.join("SEMANTICS.md")).unwrap();
    let rows = semantics.lines().filter(|line| line.starts_with("| "));
    let promises: Vec<_> = rows.filter(|row| !row.ends_with("| held by |")).collect();
    assert!(promises.len() > 20);
    for row in promises {
        let held_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        assert!(held_by.contains("::"), "{row}");
    }
}

/// All Rust files below a folder.
#[expect(
    clippy::unwrap_used,
    reason = "a folder that can't be read shall fail the test"
)]
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
