//! `cargo packages`: builds everything that a deployment needs, without an AWS account.
//!
//! It writes the folder `target/packages/<architecture>`: the four functions as ZIP archives, the
//! template and the state machine definitions that go with them, and `SHA256SUMS`. The folder is what a
//! release attaches, and what `sam deploy` and the Terraform module deploy.
//!
//! The same commit gives the same bytes with the same versions of Rust, cargo-lambda and Zig, wherever
//! the workspace and cargo's home are.

use anyhow::Result;
use clap::Parser;
use packages::{Architecture, Folder, Linker, compile, functions};

/// Builds the functions' deployment packages into target/packages.
#[derive(Parser)]
#[command(bin_name = "cargo packages")]
struct Arguments {
    /// Lambda's instruction set architecture [default: that of this machine]
    #[arg(long, value_enum)]
    architecture: Option<Architecture>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let architecture = match arguments.architecture {
        Some(architecture) => architecture,
        None => Architecture::of_this_machine()?,
    };
    let binaries = compile(architecture, Linker::CargoLambda, &functions())?;
    let folder = Folder::of(architecture, &binaries)?;
    let path = workspace::target()?
        .join("packages")
        .join(architecture.name());
    folder.write(&path)?;
    // Relative, as it is shorter and can be pasted without quotation marks.
    let path = path.strip_prefix(workspace::root()?).unwrap_or(&path);
    report(&folder, architecture, &path.display().to_string());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is the result of the command")]
fn report(folder: &Folder, architecture: Architecture, path: &str) {
    println!("{path}");
    for (name, size) in folder.archives() {
        println!("  {name:<16} {:>9}", megabytes(size));
    }
    println!(
        "\nDeploy them with the AWS SAM CLI:\n  \
         sam deploy --guided --template-file {path}/template.yaml\n\
         or with the Terraform module infra/terraform:\n  \
         architecture = \"{}\"\n  packages     = {{ directory = \"{path}\" }}",
        architecture.name()
    );
}

/// In millions of bytes, with two digits after the point.
fn megabytes(bytes: usize) -> String {
    format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}
