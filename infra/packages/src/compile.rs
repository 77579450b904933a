//! Compiles the functions, for the packages with cargo-lambda, whose linker makes programs that run on Lambda
//! wherever they are built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::architecture::Architecture;

/// The profile of the packages in the workspace's `Cargo.toml`.
const PROFILE: &str = "lambda";

/// A program of a Lambda function, and the crate that has it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub package: &'static str,
    pub name: &'static str,
}

/// The functions, whose programs, crates and archives have the same name.
pub fn functions() -> [Program; 4] {
    workspace::FUNCTIONS.map(|name| Program {
        package: name,
        name,
    })
}

/// A compiled program.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The program's name.
    pub name: &'static str,
    /// Where it was compiled to.
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// What links the programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Linker {
    /// cargo-lambda, for programs that run on Lambda.
    CargoLambda,
    /// That of this machine. Its programs run on this machine, and only by chance on Lambda, whose system
    /// libraries may be older.
    OfThisMachine,
}

impl Linker {
    /// cargo-lambda, if it is installed.
    pub fn installed() -> Self {
        if has_cargo_lambda() {
            Self::CargoLambda
        } else {
            Self::OfThisMachine
        }
    }
}

/// Compiles programs with the profile of the packages, which takes minutes. cargo prints its progress to
/// standard error.
///
/// # Errors
/// If cargo-lambda or the target of Rust is missing, with how to install it, or if a program does not
/// compile.
pub fn compile(
    architecture: Architecture,
    linker: Linker,
    programs: &[Program],
) -> Result<Vec<Binary>> {
    require_target(architecture)?;
    let target = workspace::target()?;
    let mut cargo = workspace::cargo()?;
    let directory = match linker {
        Linker::CargoLambda => {
            require_cargo_lambda()?;
            let directory = target.join("lambda").join(architecture.name());
            // The profile says how they are optimised, so that nothing depends on the version of cargo-lambda.
            cargo.args(["lambda", "build", "--disable-optimizations", "--lambda-dir"]);
            cargo.arg(&directory);
            directory
        }
        Linker::OfThisMachine => {
            cargo.arg("build");
            target.join(architecture.target()).join(PROFILE)
        }
    };
    cargo
        .args(["--locked", "--profile", PROFILE])
        .args(["--target", architecture.target()])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&remapped_paths()?));
    for program in programs {
        cargo.args(["--package", program.package]);
    }
    let status = cargo.status().context("failed to run cargo")?;
    ensure!(
        status.success(),
        "cargo failed to build the functions ({status})"
    );
    let binary = |program: &Program| {
        let path = match linker {
            Linker::CargoLambda => directory.join(program.name).join("bootstrap"),
            Linker::OfThisMachine => directory.join(program.name),
        };
        let content =
            fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Binary {
            name: program.name,
            path,
            content,
        })
    };
    programs.iter().map(binary).collect()
}

fn has_cargo_lambda() -> bool {
    let version = |mut cargo: Command| cargo.args(["lambda", "--version"]).output();
    workspace::cargo().is_ok_and(|cargo| version(cargo).is_ok_and(|it| it.status.success()))
}

fn require_cargo_lambda() -> Result<()> {
    ensure!(
        has_cargo_lambda(),
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
