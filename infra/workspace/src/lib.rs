//! The folders of the workspace and its functions, for the tools and tests that build and deploy them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The functions' crates, which are the names of their archives and, after the name of the stack, of the deployed
/// functions, too.
pub const FUNCTIONS: [&str; 4] = ["probe", "shift-weight", "check-alarms", "rollback"];

/// The workspace's root folder.
pub fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("this crate is not two folders below the workspace's root")
}

/// A cargo command in the workspace's root folder: the cargo that runs this process, else the one in
/// `PATH`.
pub fn cargo() -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root()?).stdin(Stdio::null());
    Ok(command)
}

/// The target folder, as cargo's configuration sets it.
pub fn target() -> Result<PathBuf> {
    let metadata = output(cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata.get("target_directory");
    target
        .and_then(serde_json::Value::as_str)
        .map(PathBuf::from)
        .context("the output of cargo metadata has no target_directory")
}

/// What a command prints.
///
/// # Errors
/// If it can't be started or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed ({})",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}
