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
mod scratch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
use scratch::Scratch;

pub(crate) async fn run(
    arguments: &SelfTest,
    stack: &Stack,
    output: Output,
) -> Result<Exit, Failure> {
    let zone = arguments.zone.parse();
    let zone = zone.map_err(|problem| Failure::new(Exit::Usage, format!("--zone: {problem}")))?;
    let route53 = Route53Client::new(stack.sdk_config());
    let scratch = Scratch::new(route53, zone, run_id()).await?;
    let deployed = Deployed::find(stack).await?;
    let test = Test {
        arguments,
        stack,
        scratch: &scratch,
        deployed: &deployed,
        topic: deployed.topic().await,
        alarm_prefix: alarm_prefix(&deployed),
    };
    if arguments.clean_up {
        let removed = test.clean_up(false).run().await?;
        output.print(&removed, &serde_json::json!({ "removed": removed }));
        return Ok(Exit::Done);
    }
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
    tokio::select! {
        () = test.checks(&parts, &report) => {}
        interrupted = interrupted() => {
            interrupted?;
            eprintln!("interrupted; removes what was made. A second Ctrl-C leaves it behind.");
        }
    }
    let clean_up = test.clean_up(true);
    tokio::select! {
        () = report.note(Check::CleanUp, clean_up.run()) => {}
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

/// Tells this run from others: the time, in seconds.
fn run_id() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("r{}", since_epoch.unwrap_or_default().as_secs())
}

/// Only alarms with this prefix roll back by their events.
fn alarm_prefix(deployed: &Deployed<'_>) -> String {
    let prefix = deployed.variable("shift-weight", "ALARM_NAME_PREFIX");
    format!("{}cutover-self-test-", prefix.unwrap_or_default())
}

/// Waits for Ctrl-C, or for SIGTERM, with which a pipeline ends a command.
async fn interrupted() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminated.recv() => {}
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
    /// The topic of the notifications.
    topic: Result<String>,
    alarm_prefix: String,
}

impl Test<'_> {
    /// The parts side by side.
    async fn checks(&self, parts: &[Part], report: &Report) {
        let alarm = format!("{}{}", self.alarm_prefix, self.scratch.run);
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

    fn topic(&self) -> Result<&str> {
        match &self.topic {
            Ok(topic) => Ok(topic),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        }
    }

    async fn subscribe(&self) -> Result<Queue> {
        let name = format!("{}{}", self.queue_prefix(), self.scratch.run);
        Queue::subscribe(self.stack.sdk_config(), self.topic()?, &name)
            .await
            .context("the notifications can't be received")
    }

    fn queue_prefix(&self) -> String {
        self.stack.resource_name("self-test-")
    }

    fn clean_up(&self, only_this_run: bool) -> CleanUp<'_> {
        let run = if only_this_run {
            &*self.scratch.run
        } else {
            ""
        };
        CleanUp {
            stack: self.stack,
            scratch: self.scratch,
            executions: format!("self-test-{run}"),
            alarms: format!("{}{run}", self.alarm_prefix),
            queues: format!("{}{run}", self.queue_prefix()),
            topic: self.topic().ok().map(str::to_owned),
            only_this_run,
        }
    }
}
