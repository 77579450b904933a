//! `cargo demo`: plays a scenario on the local stack, shows it while it runs, then prints its
//! timeline and how it ended.
//!
//! The exit code is 0 only if the scenario ended as expected. With `--json`, standard output
//! contains JSON lines only: one for each [`local_stack::Moment`], then one with the outcome.

#![expect(clippy::print_stdout, reason = "printing is what a demo is for")]

mod svg;
mod timeline;
mod view;
mod wording;

use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};
use cutover::{Display, Live};
use local_stack::{ExternalDns, Report, SCENARIOS, Scenario, Seen, Stack, blueprint};
use serde_json::{Map, Value, json};

/// The scale of all waits without `--real-time`: a minute takes 1.2 seconds.
const WAIT_SCALE: f64 = 0.02;

/// Runs a migration from the cluster blue to the cluster green on this machine, without an AWS account.
#[derive(Parser)]
#[command(bin_name = "cargo demo")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Arguments {
    /// The scenario to play.
    #[arg(long, value_name = "NAME", default_value = SCENARIOS[0].name, value_parser = scenario_names())]
    scenario: String,
    /// Plays the scenario no-lease.
    #[arg(long, conflicts_with = "scenario")]
    no_lease: bool,
    /// Waits in real time; by default, waits take a fiftieth of it.
    #[arg(long)]
    real_time: bool,
    /// Prints the timeline as JSON lines, and the outcome as the last line.
    #[arg(long)]
    json: bool,
    /// Also writes what is printed at the end into this file, as a picture of a terminal.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
    /// Keeps the stack running at the end, and prints how to reach it with the AWS CLI.
    #[arg(long)]
    keep: bool,
}

fn scenario_names() -> PossibleValuesParser {
    PossibleValuesParser::new(
        SCENARIOS.map(|scenario| PossibleValue::new(scenario.name).help(scenario.about)),
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the scenario ended as expected.
async fn run(arguments: &Arguments) -> Result<bool> {
    let name = if arguments.no_lease {
        "no-lease"
    } else {
        &arguments.scenario
    };
    // Not reached: the parser accepts only names of scenarios.
    let Some(scenario) = Scenario::find(name) else {
        return Ok(false);
    };
    eprintln!(
        "Starting the local stack: AWS emulator, functions, load balancers, hosted zone, ExternalDNS"
    );
    let stack = Stack::start(&blueprint()).await?;
    let scale = if arguments.real_time { 1.0 } else { WAIT_SCALE };
    stack.scale_waits(scale).await?;
    let interval = ExternalDns::INTERVAL.mul_f64(scale);
    let external_dns = ExternalDns::start(&stack.zone, interval).await?;
    eprintln!("Scenario {}: {}", scenario.name, scenario.about);
    if !arguments.real_time {
        eprintln!(
            "A minute of waiting takes {:.1} s here; the times left are not scaled.",
            60.0 * WAIT_SCALE
        );
    }

    let display = match (std::io::stderr().is_terminal(), arguments.json) {
        (true, _) => Display::Terminal,
        (false, true) => Display::LinesOnError,
        (false, false) => Display::LinesOnOutput,
    };
    let mut live = Live::new(display, scale);
    let report = scenario
        .play(&stack, &external_dns, &mut |seen| {
            if let (Seen::Moment(moment), true) = (seen, arguments.json) {
                println!("{}", json!(moment));
            }
            view::show(&mut live, seen);
        })
        .await?;
    live.close();

    let ended_as_expected = report.unexpected.is_empty();
    if arguments.json {
        println!("{}", outcome(scenario, &report));
    } else {
        let text = format!(
            "{}\n{}",
            timeline::text(&report.timeline),
            wording::conclusion(scenario, &report)
        );
        println!("{text}");
        if let Some(path) = &arguments.svg {
            let command = match scenario.name {
                name if name == SCENARIOS[0].name => "cargo demo".to_owned(),
                name => format!("cargo demo --scenario {name}"),
            };
            fs::write(path, svg::terminal(&command, &text))?;
        }
    }
    if arguments.keep {
        keep(&stack).await?;
    }
    Ok(ended_as_expected)
}

/// The last JSON line: the result of the migration with further fields.
fn outcome(scenario: &Scenario, report: &Report) -> Value {
    let mut line = match json!(report.migration) {
        Value::Object(line) => line,
        _ => Map::new(),
    };
    line.insert("scenario".into(), scenario.name.into());
    line.insert(
        "endedAsExpected".into(),
        report.unexpected.is_empty().into(),
    );
    line.insert("unexpected".into(), json!(report.unexpected));
    if let Some(time) = report.alarm_to_change {
        line.insert("alarmToChangeSeconds".into(), time.as_secs_f64().into());
    }
    if let Some(rollback) = &report.rollback {
        line.insert("rollback".into(), json!(rollback));
    }
    if let Some(release) = &report.release {
        line.insert("release".into(), json!(release));
    }
    line.into()
}

/// Prints how to reach the stack with the AWS CLI, and waits until the user presses Enter.
async fn keep(stack: &Stack) -> Result<()> {
    eprintln!(
        "\nThe stack is still running. To reach it with the AWS CLI, run these commands in another shell:\n"
    );
    for (name, value) in stack.environment() {
        eprintln!("  export {name}={value}");
    }
    eprintln!(
        "  aws route53 list-resource-record-sets --hosted-zone-id {}",
        stack.zone.id()
    );
    for arn in [
        stack.migration_state_machine_arn()?,
        stack.watch_state_machine_arn()?,
        stack.rollback_state_machine_arn()?,
        stack.release_state_machine_arn()?,
    ] {
        eprintln!("  aws stepfunctions list-executions --state-machine-arn {arn}");
    }
    eprintln!("\nPress Enter or Ctrl-C to stop it.");
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    if read.await?? == 0 {
        // Standard input is closed, so only Ctrl-C can stop the stack.
        std::future::pending::<()>().await;
    }
    Ok(())
}
