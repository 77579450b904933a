//! `cargo bench`: measures what the README says about the functions, and writes its section.
//!
//! Everything runs on this machine. If a figure misses its goal, the README stays as it was, and the run fails.
//! With `functions`, `route53` or `alarm` as arguments, only that is measured and printed.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod alarm_to_change;
mod aws;
mod cold_start;
mod formats;
mod functions;
mod machine;
mod process;
mod runtime_api;
mod work;

use std::{env, fs};

use anyhow::{Result, ensure};
use benchmarks::{Section, Table, function_table, missed_goals, replace_section};
use packages::Linker;
use tokio::task::spawn_blocking;

const PARTS: [&str; 3] = ["route53", "functions", "alarm"];
const LINKED_HERE: &str = "The packages of this run were linked by the machine's own linker, because cargo-lambda \
     is not installed.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // cargo passes `--bench`.
    let chosen: Vec<_> = env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    for part in &chosen {
        ensure!(
            PARTS.contains(&part.as_str()),
            "expected one of {PARTS:?}, found {part:?}"
        );
    }
    let is_chosen = |part: &str| chosen.is_empty() || chosen.iter().any(|it| it == part);

    let mut section = Section::default();
    if is_chosen("route53") {
        // On a thread of its own: in a task of Tokio, the simulation would yield to Tokio.
        section.route53 = print_table(spawn_blocking(work::measure).await??);
    }
    if is_chosen("functions") {
        let linker = Linker::installed();
        section.functions = print_table(function_table(&cold_start::measure(linker).await?));
        if linker == Linker::OfThisMachine {
            section.remarks.push(LINKED_HERE.to_owned());
        }
    }
    if is_chosen("alarm") {
        section.remarks.push(alarm_to_change::measure().await?);
    }
    section.remarks.push(format!(
        "Measured on {}, with local servers in place of AWS. Not measured: what Lambda needs to start an \
         environment, and the network to AWS.",
        machine::description()
    ));
    println!("{}", section.remarks.join(" "));
    if is_chosen("functions") {
        let missed = missed_goals(&section.functions)?;
        ensure!(
            missed.is_empty(),
            "goals are missed:\n{}",
            missed.join("\n")
        );
    }
    if chosen.is_empty() {
        let readme = workspace::root()?.join("README.md");
        fs::write(
            &readme,
            replace_section(&fs::read_to_string(&readme)?, &section)?,
        )?;
    }
    Ok(())
}

fn print_table(table: Table) -> Table {
    println!("{table}");
    table
}
