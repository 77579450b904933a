//! Compiles the functions with cargo-lambda, whose linker makes programs that run on Lambda wherever
//! they are built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::architecture::Architecture;
use workspace::FUNCTIONS;

/// The profile of the packages in the workspace's `Cargo.toml`.
const PROFILE: &str = "lambda";

/// A function's program.
pub(crate) struct Binary {
    /// The name of the function's crate.
    pub(crate) function: &'static str,
    pub(crate) program: Vec<u8>,
}

/// Compiles the functions, which takes minutes. cargo prints its progress to standard error.
///
/// # Errors
/// If cargo-lambda or the target of Rust is missing, with how to install it, or if a function does not
/// compile.
pub(crate) fn compile(architecture: Architecture) -> Result<Vec<Binary>> {
    require_cargo_lambda()?;
    require_target(architecture)?;
    let directory = workspace::target()?
        .join("lambda")
        .join(architecture.name());
    let mut cargo = workspace::cargo()?;
    cargo
        .args(["lambda", "build", "--locked", "--profile", PROFILE])
        // The profile says how they are optimised, so that nothing depends on the version of cargo-lambda.
        .arg("--disable-optimizations")
        .args(["--target", architecture.target(), "--lambda-dir"])
        .arg(&directory)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&remapped_paths()?));
    for function in FUNCTIONS {
        cargo.args(["--package", function]);
    }
    let status = cargo.status().context("failed to run cargo lambda")?;
    ensure!(
        status.success(),
        "cargo lambda failed to build the functions ({status})"
    );
    let binary = |function| {
        let path = directory.join(function).join("bootstrap");
        let program =
            fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Binary { function, program })
    };
    FUNCTIONS.into_iter().map(binary).collect()
}

fn require_cargo_lambda() -> Result<()> {
    let output = workspace::cargo()?.args(["lambda", "--version"]).output();
    ensure!(
        output.is_ok_and(|output| output.status.success()),
        "cargo-lambda is not installed. Install it with `pip install cargo-lambda`, or as its \
         documentation says: https://www.cargo-lambda.info/guide/installation.html"
    );
    Ok(())
}

/// The standard library for the target. cargo would fail later, with an error about the crate `core`.
fn require_target(architecture: Architecture) -> Result<()> {
    let target = architecture.target();
    let library = PathBuf::from(printed_by_rustc(&[
        "--print",
        "target-libdir",
        "--target",
        target,
    ])?);
    ensure!(
        library.is_dir(),
        "Rust's standard library for {target} is not installed. Install it with `rustup target add {target}`"
    );
    Ok(())
}

/// The folders that would be in a program, such as in the messages of a panic, with what stands for each.
fn remapped_paths() -> Result<Vec<(PathBuf, String)>> {
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(
        || env::home_dir().map(|home| home.join(".cargo")),
        |home| Some(home.into()),
    );
    let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set")?;
    let version = printed_by_rustc(&["--version", "--verbose"])?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "));
    let commit = commit.context("rustc --version --verbose prints no commit-hash")?;
    let sysroot = PathBuf::from(printed_by_rustc(&["--print", "sysroot"])?);
    Ok(vec![
        (workspace::root()?.to_owned(), "/cutover".to_owned()),
        (cargo_home, "/cargo".to_owned()),
        // As the standard library is compiled; with the component rust-src it is found in the sysroot.
        (
            sysroot.join("lib/rustlib/src/rust"),
            format!("/rustc/{commit}"),
        ),
    ])
}

/// In the format of `CARGO_ENCODED_RUSTFLAGS`, which permits spaces in paths.
fn flags(remapped_paths: &[(PathBuf, String)]) -> String {
    let flag = |(from, to): &(PathBuf, String)| {
        format!("--remap-path-prefix={}={to}", Path::display(from))
    };
    let flags: Vec<_> = remapped_paths.iter().map(flag).collect();
    flags.join("\u{1f}")
}

fn printed_by_rustc(arguments: &[&str]) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.current_dir(workspace::root()?).args(arguments);
    Ok(workspace::output(&mut command)?.trim_end().to_owned())
}
