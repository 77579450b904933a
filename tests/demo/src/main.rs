//! `cargo demo`: plays a migration on the local stack, shows it as it happens,
//! then its timeline, and says how it ended.
//!
//! Exit code 0 only if it ended as the scenario should. With `--json` standard
//! output is JSON lines and nothing else: a line for each [`local_stack::Moment`],
//! then one with the outcome.

#![expect(clippy::print_stdout, reason = "printing is what a demo is for")]

mod live;
mod progress;
mod timeline;
mod wording;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};
use local_stack::{ExternalDns, Report, SCENARIOS, Scenario, Seen, Stack, blueprint};
use serde_json::{Map, Value, json};

use crate::live::{Display, Live};

/// How long a wait takes unless `--real-time` is given: a minute in little more than a second.
const WAIT_SCALE: f64 = 0.02;

/// Migrates the names of a zone from one cluster to another, on this machine.
#[derive(Parser)]
#[command(bin_name = "cargo demo")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Arguments {
    /// What happens to the migration.
    #[arg(long, value_name = "NAME", default_value = SCENARIOS[0].name, value_parser = scenario_names())]
    scenario: String,
    /// Leaves the names with ExternalDNS, which puts the weights back: the scenario no-lease.
    #[arg(long, conflicts_with = "scenario")]
    no_lease: bool,
    /// Waits for as long as the migration says, not for a fiftieth of it.
    #[arg(long)]
    real_time: bool,
    /// Prints the timeline as JSON lines; the last one tells the outcome.
    #[arg(long)]
    json: bool,
    /// Keeps the stack running afterwards, and says how to reach it with the AWS CLI.
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

/// Whether the scenario ended as it should.
async fn run(arguments: &Arguments) -> Result<bool> {
    let name = if arguments.no_lease {
        "no-lease"
    } else {
        &arguments.scenario
    };
    // The parser takes no other names.
    let Some(scenario) = Scenario::find(name) else {
        return Ok(false);
    };
    eprintln!("Starting the local stack: emulator, functions, load balancers, zone, ExternalDNS");
    let stack = Stack::start(&blueprint()).await?;
    let scale = if arguments.real_time { 1.0 } else { WAIT_SCALE };
    stack.scale_waits(scale).await?;
    let interval = ExternalDns::INTERVAL.mul_f64(scale);
    let external_dns = ExternalDns::start(&stack.zone, interval).await?;
    eprintln!("Scenario {}: {}", scenario.name, scenario.about);

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
            live.show(seen);
        })
        .await?;
    live.close();

    let ended_well = report.unexpected.is_empty();
    if arguments.json {
        println!("{}", outcome(scenario, &report));
    } else {
        timeline::print(&report.timeline);
        println!("\n{}", wording::conclusion(scenario, &report));
    }
    if arguments.keep {
        keep(&stack).await?;
    }
    Ok(ended_well)
}

/// The last JSON line: the migration's outcome, error and cause at the top.
fn outcome(scenario: &Scenario, report: &Report) -> Value {
    let mut line = match json!(report.migration) {
        Value::Object(line) => line,
        _ => Map::new(),
    };
    line.insert("scenario".into(), scenario.name.into());
    line.insert(
        "endedAsItShould".into(),
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

/// Leaves the stack to the AWS CLI until somebody has had enough.
async fn keep(stack: &Stack) -> Result<()> {
    eprintln!("\nThe stack keeps running. Reach it from another shell with the AWS CLI:\n");
    for (name, value) in stack.environment() {
        eprintln!("  export {name}={value}");
    }
    eprintln!(
        "  aws route53 list-resource-record-sets --hosted-zone-id {}",
        stack.zone.id()
    );
    for arn in [
        stack.migration_state_machine_arn()?,
        stack.rollback_state_machine_arn()?,
        stack.release_state_machine_arn()?,
    ] {
        eprintln!("  aws stepfunctions list-executions --state-machine-arn {arn}");
    }
    eprintln!("\nEnter or Ctrl-C stops it.");
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    if read.await?? == 0 {
        // Nobody can press Enter.
        std::future::pending::<()>().await;
    }
    Ok(())
}
