//! The Python environment of the emulator, installed once in the target folder.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The Python interpreter of an environment with the emulator. Installs the environment if it does
/// not exist.
///
/// The folder's name contains a hash of the requirements, and a marker file is written last, so
/// neither an outdated nor an incomplete installation is used.
pub fn python() -> Result<PathBuf> {
    let folder = workspace::target()?.join("local-stack");
    fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    // Test binaries may start at the same time: one installs, the others wait.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;

    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let environment = folder.join(format!("emulator-{:016x}", hasher.finish()));
    let python = environment.join("bin").join("python");
    let marker = environment.join("complete");
    if marker.exists() && python.exists() {
        return Ok(python);
    }
    eprintln!("Installing the AWS emulator into {}", environment.display());
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    install(&environment, &python)?;
    File::create(marker)?;
    Ok(python)
}

fn install(environment: &Path, python: &Path) -> Result<()> {
    let created = Command::new("python3")
        .args(["-m", "venv"])
        .arg(environment)
        .stdin(Stdio::null())
        .output();
    match created {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "python3 was not found; the local stack needs Python 3.10 or later: install it \
             (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python)"
        ),
        Err(error) => return Err(error).context("failed to run python3"),
        Ok(output) => ensure!(
            output.status.success(),
            "python3 -m venv failed (on Debian and Ubuntu it needs the package python3-venv):\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
    let requirements = environment.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let output = Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "--requirement",
        ])
        .arg(&requirements)
        .stdin(Stdio::null())
        .output()
        .context("failed to run pip")?;
    ensure!(
        output.status.success(),
        "pip failed to install the emulator (it needs Python 3.10 or later and access to a package index):\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
