//! `cutover self-test`: proves the deployed stack in the account that it is deployed in, on scratch records.
//!
//! The migrations of the checks are as any other: the state machines, the functions and their roles, the rules and
//! queues are the real ones. Only the records are the self-test's own, and the bakes are as short as each check permits.

mod alarm;
mod clean_up;
mod deployed;
mod migrations;
mod notifications;
mod permissions;
mod probe;
mod report;
mod run;
mod scratch;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use futures_util::future::join_all;
use route53_adapter::Route53Client;

pub(crate) use self::report::Part;

use super::arguments::SelfTest;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::stack::Stack;
use alarm::TestAlarm;
use clean_up::CleanUp;
use deployed::Deployed;
use migrations::Migrations;
use notifications::Queue;
use report::{Check, Report};
use run::new_run;
use scratch::Scratch;

/// After this time, AWS has carried out every call that an interrupt came into.
const LATE_CALLS: Duration = Duration::from_secs(5);

pub(crate) async fn run(
    arguments: &SelfTest,
    stack: &Stack,
    output: Output,
) -> Result<Exit, Failure> {
    if arguments.only.contains(&Part::Probe) && arguments.probe.is_none() {
        let message = "--only probe needs the name to be probed: --probe NAME";
        return Err(Failure::new(Exit::Usage, message));
    }
    let zone = arguments.zone.parse();
    let zone = zone.map_err(|problem| Failure::new(Exit::Usage, format!("--zone: {problem}")))?;
    let route53 = Route53Client::new(stack.sdk_config());
    let scratch = Scratch::new(route53, zone, new_run()).await?;
    let deployed = Deployed::find(stack).await;
    if arguments.clean_up {
        let clean_up = clean_up(stack, &scratch, deployed.as_ref(), None).await;
        let removed = clean_up.run().await?;
        output.print(&removed, &serde_json::json!({ "removed": removed }));
        return Ok(Exit::Done);
    }
    let deployed = deployed?;
    let parts = parts(arguments);
    let private = vec![
        (stack.account_id().to_owned(), "<account>"),
        (scratch.zone.to_string(), "<zone id>"),
        (scratch.zone_name.to_string(), "<zone>"),
    ];
    let report = Report::new(parts.clone(), private);
    eprintln!(
        "{}; scratch records under {}; Ctrl-C removes them, too",
        stack.title(),
        scratch.root()?
    );
    let clean_up = clean_up(stack, &scratch, Ok(&deployed), Some(&scratch.run)).await;
    let test = Test {
        arguments,
        stack,
        scratch: &scratch,
        deployed: &deployed,
        clean_up: &clean_up,
    };
    let is_interrupted = tokio::select! {
        () = test.checks(&parts, &report) => false,
        interrupted = interrupted() => {
            interrupted?;
            eprintln!("interrupted; removes what was made. A second Ctrl-C leaves it behind.");
            true
        }
    };
    let removed = async {
        let removed = clean_up.run().await?;
        if !is_interrupted {
            return Ok(removed);
        }
        // AWS may still have carried out the calls that were interrupted.
        tokio::time::sleep(LATE_CALLS).await;
        let again = clean_up.run().await?;
        Ok(format!("{removed}; then {again}"))
    };
    tokio::select! {
        () = report.note(Check::CleanUp, Box::pin(removed)) => {}
        interrupted = interrupted() => {
            interrupted?;
            let again = stack.command(&format!("self-test --zone {} --clean-up", scratch.zone));
            let message = format!("interrupted before everything was removed; run `{again}`");
            return Err(Failure::new(Exit::SelfTestFailed, message));
        }
    }
    output.print(&report.markdown(), &report.json());
    if report.has_passed() {
        Ok(Exit::Done)
    } else {
        Ok(Exit::SelfTestFailed)
    }
}

/// What one run has made, or all runs.
async fn clean_up<'a>(
    stack: &'a Stack,
    scratch: &'a Scratch,
    deployed: Result<&Deployed<'_>, &anyhow::Error>,
    run: Option<&'a str>,
) -> CleanUp<'a> {
    let unknown = |error: &anyhow::Error| format!("{error:#}");
    let prefix = stack.resource_name("self-test-");
    let topic = match deployed {
        Ok(deployed) => deployed.topic().await.map_err(|error| unknown(&error)),
        Err(error) => Err(unknown(error)),
    };
    let alarms = deployed.map(|deployed| {
        // Only alarms with this prefix roll back by their events.
        let permitted = deployed.variable("shift-weight", "ALARM_NAME_PREFIX");
        format!("{}{prefix}", permitted.unwrap_or_default())
    });
    CleanUp {
        stack,
        scratch,
        run,
        alarms: alarms.map_err(unknown),
        queues: prefix,
        topic,
    }
}

/// The parts that are asked for: by default all that can be carried out.
fn parts(arguments: &SelfTest) -> Vec<Part> {
    let asked = if arguments.only.is_empty() {
        Part::value_variants()
    } else {
        &arguments.only
    };
    let asked = asked.iter().copied();
    let can_run = |part: &Part| *part != Part::Probe || arguments.probe.is_some();
    asked.filter(can_run).collect()
}

/// Waits for Ctrl-C, for SIGTERM, with which a pipeline ends a command, or for SIGHUP of a terminal that is closed.
async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// A self-test of a stack.
struct Test<'a> {
    arguments: &'a SelfTest,
    stack: &'a Stack,
    scratch: &'a Scratch,
    deployed: &'a Deployed<'a>,
    /// It knows the names of what is made.
    clean_up: &'a CleanUp<'a>,
}

impl Test<'_> {
    /// The parts side by side.
    async fn checks(&self, parts: &[Part], report: &Report) {
        let prefix = self.clean_up.alarms.as_deref().unwrap_or_default();
        let alarm = format!("{prefix}{}", self.scratch.run);
        let alarm = TestAlarm::new(self.stack.sdk_config(), alarm);
        let migrations = Migrations {
            stack: self.stack,
            scratch: self.scratch,
            report,
            alarm: &alarm,
            timeout: Duration::from_secs(self.arguments.timeout),
        };
        let parts = parts.iter();
        join_all(parts.map(|part| self.part(*part, &migrations))).await;
    }

    async fn part(&self, part: Part, migrations: &Migrations<'_>) {
        match part {
            Part::Versions => self.versions(migrations.report).await,
            Part::Permissions => Box::pin(self.permissions(migrations.report)).await,
            Part::Migration => {
                let queue = self.subscribe().await;
                Box::pin(migrations.complete(queue)).await;
            }
            Part::Rollback => Box::pin(migrations.roll_back()).await,
            Part::OutsideWrite => Box::pin(migrations.outside_write()).await,
            Part::Alarm => Box::pin(migrations.alarm()).await,
            Part::Abort => Box::pin(migrations.abort()).await,
            Part::Probe => Box::pin(self.probe(migrations.report)).await,
        }
    }

    async fn versions(&self, report: &Report) {
        let versions = self.deployed.check_versions();
        report.note(Check::Versions, Box::pin(versions)).await;
    }

    async fn permissions(&self, report: &Report) {
        let (stack, deployed, scratch) = (self.stack, self.deployed, self.scratch);
        let writers = permissions::check_writers(stack, deployed, scratch);
        report.note(Check::Writers, Box::pin(writers)).await;
        let observers = permissions::check_observers(stack, deployed, scratch);
        report.note(Check::Observers, Box::pin(observers)).await;
    }

    async fn probe(&self, report: &Report) {
        if let Some(name) = &self.arguments.probe {
            let found = probe::check(self.deployed, self.scratch, name);
            report.note(Check::Probe, Box::pin(found)).await;
        }
    }

    async fn subscribe(&self) -> Result<Queue> {
        let topic = self.clean_up.topic.as_deref();
        let topic = topic.map_err(|problem| anyhow::anyhow!("{problem}"))?;
        let name = format!("{}{}", self.clean_up.queues, self.scratch.run);
        Queue::subscribe(self.stack.sdk_config(), topic, &name)
            .await
            .context("the notifications can't be received")
    }
}
