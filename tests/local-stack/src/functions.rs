//! The four functions: building and packaging them for Lambda.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use workspace::FUNCTIONS;

use crate::virtual_environment;

/// A program that runs a function and translates its migrations.
const ANOTHER_FORMAT: &str = include_str!("../another_format.py");

/// A function's release binary.
#[derive(Clone, Debug)]
pub struct Function {
    /// The name of the crate.
    pub name: &'static str,
    pub binary: PathBuf,
}

impl Function {
    /// The deployment package: a ZIP archive with the binary as `bootstrap`.
    pub(crate) fn package(&self) -> Result<Vec<u8>> {
        let binary = fs::read(&self.binary)
            .with_context(|| format!("failed to read {}", self.binary.display()))?;
        zip("bootstrap", &binary)
    }

    /// A newer version of the function, in which a migration has another format: see
    /// `another_format.py`, which `python` runs. The program is written into `directory`.
    pub(crate) fn with_another_format(&self, python: &Path, directory: &Path) -> Result<Self> {
        let program = format!(
            "#!{}\nFUNCTION = {:?}\n{ANOTHER_FORMAT}",
            python.display(),
            self.binary.display().to_string()
        );
        let binary = directory.join(format!("{}-with-another-format", self.name));
        fs::write(&binary, program)
            .with_context(|| format!("failed to write {}", binary.display()))?;
        Ok(Self {
            name: self.name,
            binary,
        })
    }
}

/// A ZIP archive of one file. It is not compressed, because it is unpacked on the same machine.
///
/// Source: PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
fn zip(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    const VERSION: u16 = 20;
    const MADE_ON_UNIX: u16 = 3 << 8 | VERSION;
    const MIDNIGHT: u16 = 0;
    const FIRST_DAY_OF_1980: u16 = 1 << 5 | 1;
    const EXECUTABLE: u32 = 0o100_755 << 16;
    let name_length = u16::try_from(name.len())?;
    let size = u32::try_from(content.len())?;

    // The fields that the local header and the central directory entry have in common.
    let mut common = Vec::new();
    for field in [VERSION, 0, 0, MIDNIGHT, FIRST_DAY_OF_1980] {
        common.extend(field.to_le_bytes());
    }
    for field in [crc32fast::hash(content), size, size] {
        common.extend(field.to_le_bytes());
    }
    common.extend(name_length.to_le_bytes());
    common.extend(0_u16.to_le_bytes());

    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&common);
    archive.extend(name.bytes());
    archive.extend(content);

    let directory_offset = u32::try_from(archive.len())?;
    archive.extend(b"PK\x01\x02");
    archive.extend(MADE_ON_UNIX.to_le_bytes());
    archive.extend(&common);
    archive.extend([0; 6]);
    archive.extend(EXECUTABLE.to_le_bytes());
    archive.extend(0_u32.to_le_bytes());
    archive.extend(name.bytes());

    let directory_size = u32::try_from(archive.len())? - directory_offset;
    archive.extend(b"PK\x05\x06");
    for field in [0_u16, 0, 1, 1] {
        archive.extend(field.to_le_bytes());
    }
    archive.extend(directory_size.to_le_bytes());
    archive.extend(directory_offset.to_le_bytes());
    archive.extend(0_u16.to_le_bytes());
    Ok(archive)
}

/// The folder of packages that `cargo packages` has built, relative to the workspace's root. With this environment
/// variable they are deployed in place of functions that are built here.
const PACKAGES: &str = "CUTOVER_PACKAGES";

/// The functions, built by cargo or from [`PACKAGES`]. Later calls in the same process return the result of the first.
pub(crate) fn build() -> Result<Vec<Function>> {
    static BUILT: Mutex<Option<Vec<Function>>> = Mutex::new(None);
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(functions) = built.as_ref() {
        return Ok(functions.clone());
    }
    let functions = match std::env::var_os(PACKAGES) {
        Some(folder) => unpack(&workspace::root()?.join(folder))?,
        None => compile()?,
    };
    *built = Some(functions.clone());
    Ok(functions)
}

/// Unpacks the functions' packages.
fn unpack(packages: &Path) -> Result<Vec<Function>> {
    let folder = workspace::target()?.join("local-stack/packages");
    let unpack = |name: &'static str| {
        let package = packages.join(format!("{name}.zip"));
        let to = folder.join(name);
        let unpacked = Command::new(virtual_environment::python()?)
            .args(["-m", "zipfile", "--extract"])
            .args([&package, &to])
            .status()?;
        ensure!(unpacked.success(), "failed to unpack {}", package.display());
        let binary = to.join("bootstrap");
        // Python's zipfile drops the permissions.
        fs::set_permissions(&binary, Permissions::from_mode(0o755))?;
        Ok(Function { name, binary })
    };
    FUNCTIONS.into_iter().map(unpack).collect()
}

/// Builds the functions with cargo, which prints its progress to standard error.
fn compile() -> Result<Vec<Function>> {
    let mut cargo = workspace::cargo()?;
    cargo.args([
        "build",
        "--release",
        "--message-format",
        "json-render-diagnostics",
    ]);
    for name in FUNCTIONS {
        cargo.args(["--package", name]);
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("failed to run cargo")?;
    ensure!(
        output.status.success(),
        "cargo failed to build the functions ({})",
        output.status
    );
    let messages: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    FUNCTIONS
        .into_iter()
        .map(|name| {
            let binary = messages
                .iter()
                .filter(|message| {
                    message
                        .pointer("/target/name")
                        .is_some_and(|found| found == name)
                })
                .find_map(|message| message.get("executable")?.as_str())
                .with_context(|| format!("the crate {name} has no binary {name}"))?;
            Ok(Function {
                name,
                binary: binary.into(),
            })
        })
        .collect()
}
