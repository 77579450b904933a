//! The folder that is deployed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use sha2::{Digest, Sha256};

use crate::architecture::Architecture;
use crate::archive::archive;
use crate::compile::Binary;
use workspace::FUNCTIONS;

const CHECKSUMS: &str = "SHA256SUMS";
/// How the template names the definition of a state machine.
const DEFINITIONS: &str = "DefinitionUri: ../statemachine/";

/// The files of a folder of packages, by their paths in it.
pub struct Folder(BTreeMap<String, Vec<u8>>);

impl Folder {
    /// The archives of the functions, the template, the definitions that it names, and the license.
    pub fn of(architecture: Architecture, binaries: &[Binary]) -> Result<Self> {
        let root = workspace::root()?;
        let mut files = BTreeMap::new();
        for (Binary { name, .. }, archive) in binaries.iter().zip(archives(binaries)) {
            files.insert(format!("{name}.zip"), archive?);
        }
        let template = read(&root.join("infra/template.yaml"))?;
        let (template, definitions) = deployable(&template, architecture)?;
        files.insert("template.yaml".to_owned(), template.into_bytes());
        for definition in definitions {
            let text = read(&root.join("statemachine").join(&definition))?;
            files.insert(definition, text.into_bytes());
        }
        files.insert(
            "LICENSE".to_owned(),
            read(&root.join("LICENSE"))?.into_bytes(),
        );
        let checksums = checksums(&files);
        files.insert(CHECKSUMS.to_owned(), checksums.into_bytes());
        Ok(Self(files))
    }

    /// The names and sizes (in bytes) of the archives.
    pub fn archives(&self) -> impl Iterator<Item = (&str, usize)> {
        let is_archive = |name: &str| Path::new(name).extension() == Some("zip".as_ref());
        let files = self.0.iter().filter(move |(name, _)| is_archive(name));
        files.map(|(name, content)| (name.as_str(), content.len()))
    }

    /// Replaces the folder `path`. If this fails, the earlier folder is as it was, or is gone: there is
    /// never a mixture of two builds.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |path: &Path| format!("failed to write {}", path.display());
        let unfinished = path.with_extension("unfinished");
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished).with_context(|| failed(&unfinished))?;
        for (name, content) in &self.0 {
            let file = unfinished.join(name);
            fs::write(&file, content).with_context(|| failed(&file))?;
        }
        remove(path)?;
        fs::rename(&unfinished, path).with_context(|| failed(path))
    }
}

/// The archives of the programs, made at the same time because each takes a quarter of a minute.
fn archives(binaries: &[Binary]) -> Vec<Result<Vec<u8>>> {
    thread::scope(|scope| {
        let threads: Vec<_> = binaries
            .iter()
            .map(|binary| scope.spawn(|| archive(&binary.content)))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Vec<u8>>>| {
            let panicked = |_| Err(anyhow!("the compression of a function panicked"));
            thread.join().unwrap_or_else(panicked)
        };
        threads.into_iter().map(join).collect()
    })
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    Ok(())
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// The template with the archives in place of the functions' sources, for functions of this architecture,
/// and the names of the definitions that it needs beside it.
fn deployable(template: &str, architecture: Architecture) -> Result<(String, Vec<String>)> {
    let mut template = replaced(template, "[arm64]", &format!("[{}]", architecture.name()))?;
    for name in FUNCTIONS {
        let source = format!("CodeUri: ../functions/{name}\n");
        template = replaced(&template, &source, &format!("CodeUri: {name}.zip\n"))?;
    }
    let definitions = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix(DEFINITIONS))
        .map(str::to_owned)
        .collect();
    let template = template.replace(DEFINITIONS, "DefinitionUri: ");
    let outside = template.lines().find(|line| line.contains("Uri: ../"));
    ensure!(
        outside.is_none(),
        "infra/template.yaml names a file that is in no package: {}",
        outside.unwrap_or_default().trim()
    );
    Ok((template, definitions))
}

/// Replaces the one occurrence of `from`.
fn replaced(template: &str, from: &str, to: &str) -> Result<String> {
    let count = template.matches(from).count();
    ensure!(
        count == 1,
        "infra/template.yaml has {from:?} {count} times, expected 1"
    );
    Ok(template.replacen(from, to, 1))
}

/// In the format of `sha256sum`.
fn checksums(files: &BTreeMap<String, Vec<u8>>) -> String {
    let line = |(name, content): (&String, &Vec<u8>)| {
        format!("{}  {name}\n", hex::encode(Sha256::digest(content)))
    };
    files.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::*;

    fn folder(architecture: Architecture) -> Folder {
        let binaries = FUNCTIONS.map(|name| Binary {
            name,
            path: PathBuf::new(),
            content: format!("program of {name}").into_bytes(),
        });
        Folder::of(architecture, &binaries).unwrap()
    }

    fn names(path: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(path).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn template_finds_all_its_files_in_the_folder() {
        for architecture in [Architecture::Arm64, Architecture::X86_64] {
            let Folder(files) = folder(architecture);
            let template = String::from_utf8(files["template.yaml"].clone()).unwrap();
            let named: BTreeSet<_> = template
                .lines()
                .filter_map(|line| line.trim().split_once("Uri: "))
                .map(|(_, file)| file)
                .collect();
            // Four functions and seven state machines.
            assert_eq!(named.len(), 11, "{named:?}");
            for file in named {
                assert!(files.contains_key(file), "{file}");
            }
            let line = format!("Architectures: [{}]", architecture.name());
            assert!(template.contains(&line), "{line}");
        }
    }

    #[test]
    fn template_with_a_file_that_is_not_packaged_is_refused() {
        let template = fs::read_to_string(workspace::root().unwrap().join("infra/template.yaml"));
        let template = template.unwrap() + "\n      ContentUri: ../layer\n";
        let error = deployable(&template, Architecture::Arm64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "infra/template.yaml names a file that is in no package: ContentUri: ../layer"
        );
    }

    #[test]
    fn checksums_are_those_of_all_files() {
        let Folder(files) = folder(Architecture::Arm64);
        let sums = String::from_utf8(files[CHECKSUMS].clone()).unwrap();
        let sums: BTreeMap<_, _> = sums
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(sum, name)| (name, sum))
            .collect();
        assert_eq!(sums.len(), files.len() - 1);
        for (name, sum) in sums {
            assert_eq!(hex::encode(Sha256::digest(&files[name])), sum, "{name}");
        }
    }

    #[test]
    fn writing_replaces_what_an_earlier_build_left() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("packages").join("arm64");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("removed-function.zip"), "old").unwrap();
        let folder = folder(Architecture::Arm64);
        folder.write(&path).unwrap();
        assert_eq!(names(&path), folder.0.keys().cloned().collect());
        assert_eq!(names(path.parent().unwrap()), ["arm64".to_owned()].into());
    }
}
