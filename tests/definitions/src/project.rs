//! The files of this project.

use std::fs;
use std::path::{Path, PathBuf};

/// The absolute path of a file or folder, given relative to the root.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(relative)
}

/// The text of a file.
///
/// # Panics
///
/// If the file can't be read.
pub fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The files in a folder, at any depth, with names that end with `ending`; sorted, relative to the
/// root.
///
/// # Panics
///
/// If a folder can't be read.
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut files = Vec::new();
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    for entry in entries.flatten() {
        let name = format!("{folder}/{}", entry.file_name().display());
        if entry.path().is_dir() {
            files.extend(self::files(&name, ending));
        } else if name.ends_with(ending) {
            files.push(name);
        }
    }
    files.sort();
    files
}
