//! The checks that move the scratch records: each is a migration of a name of its own, so they run side by side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cutover::{Execution, ExecutionResult, Follower, Update, Verdict};
use migration::dns::{RecordData, RecordName, RecordSet};
use serde_json::{Value, json};

use super::super::outcome;
use super::super::stack::{Machine, Stack};
use super::alarm::TestAlarm;
use super::notifications::Queue;
use super::report::{Check, Report};
use super::run::EXECUTIONS;
use super::scratch::{FROM, Scratch, TO};

/// The time between two looks. The functions share the account's limits of Route 53 and Step Functions.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The same for a migration that is followed, which takes several calls each time.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(3);
/// How long calls of AWS may fail: an account has limits of calls, and Step Functions shows a new execution with a delay.
const LONGEST_OUTAGE: Duration = Duration::from_mins(1);
/// The error of a migration that a rollback has stopped, and that of a rollback which has left a name as it is.
const STOPPED: &str = "StoppedForRollback";
const NOT_RESTORED: &str = "NotRestored";
/// The weights before a migration and after it.
const ORIGINAL: (u8, u8) = (100, 0);
const MOVED: (u8, u8) = (0, 100);
/// Weights that neither a migration nor a rollback would write.
const FOREIGN: (u8, u8) = (60, 40);
const BY: &str = "cutover self-test";

/// What the checks need.
pub(crate) struct Migrations<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) scratch: &'a Scratch,
    pub(crate) report: &'a Report,
    pub(crate) alarm: &'a TestAlarm,
    /// The longest time that one check waits.
    pub(crate) timeout: Duration,
}

/// A migration that has reached 50 percent and stays there.
struct Halfway {
    name: RecordName,
    execution: Execution,
    /// What its observers have said so far.
    verdicts: Vec<Verdict>,
}

/// How long a migration stays at 50 percent, and how often its health is checked.
struct Bake {
    seconds: u32,
    check_seconds: u32,
}

/// Far longer than the check lasts. After its first health check there is none for an hour, so that only an event can
/// roll back.
const LONG_BAKE: Bake = Bake {
    seconds: 86_400,
    check_seconds: 3_600,
};
/// A health check finds what somebody else has written.
const CHECKED_BAKE: Bake = Bake {
    seconds: 7_200,
    check_seconds: 15,
};

impl Migrations<'_> {
    /// A whole migration, its notification in this queue, and its release.
    pub(crate) async fn complete(&self, queue: Result<Queue>) {
        let migration = async {
            let name = self.scratch.create("migration").await?;
            let more = json!({ "bakeSeconds": 5, "checkSeconds": 5 });
            let execution = self.start("migration", &name, &more).await?;
            let ended = self.end_of(&execution).await?;
            ensure_succeeded(&execution, &ended)?;
            self.ensure_weights(&name, MOVED).await?;
            let seen = format!(
                "{} ended as {}, weights 0/100",
                execution.name(),
                ended.state
            );
            Ok(((name, execution), seen))
        };
        let Some((name, execution)) = self
            .report
            .check(Check::Migration, Box::pin(migration))
            .await
        else {
            return;
        };
        let notification = async {
            let queue = queue?;
            let looked = self.until("its notification", async || {
                queue.receive(execution.name(), "Completed").await
            });
            let notification = looked.await?;
            let title = notification.pointer("/content/title");
            Ok(title.and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        let release = async {
            let input = json!({ "execution": execution.name(), "externalDnsIntervalSeconds": 1 });
            let release = self
                .start_other(Machine::Release, "release", &input)
                .await?;
            let ended = self.end_of(&release).await?;
            ensure_succeeded(&release, &ended)?;
            self.ensure_weights(&name, MOVED).await?;
            self.ensure_no_journal(&name).await?;
            Ok(format!("{} ended as {}", release.name(), ended.state))
        };
        let notification = self
            .report
            .note(Check::Notification, Box::pin(notification));
        let release = self.report.note(Check::Release, Box::pin(release));
        tokio::join!(notification, release);
    }

    /// A rollback from 50 percent, and the journals of that migration afterwards.
    pub(crate) async fn roll_back(&self) {
        let rollback = async {
            let halfway = self.halfway("rollback", &LONG_BAKE, json!({})).await?;
            let Halfway {
                name, execution, ..
            } = halfway;
            let journal = self.scratch.journal(&name).await?;
            let journal = journal.context("the name has no journal at 50 percent")?;
            let since = Instant::now();
            let input = json!({ "execution": execution.name(), "reason": BY });
            let rollback = self
                .start_other(Machine::Rollback, "rollback", &input)
                .await?;
            self.restored(&name).await?;
            let seconds = since.elapsed().as_secs_f64();
            // It ends later, when no function that was running can still write.
            let ended = self.end_of(&rollback).await?;
            ensure_succeeded(&rollback, &ended)?;
            self.ensure_weights(&name, ORIGINAL).await?;
            let seen = format!("weights 100/0 again {seconds:.1} s after the rollback was started");
            Ok(((name, execution, journal), seen))
        };
        let Some((name, execution, journal)) =
            self.report.check(Check::Rollback, Box::pin(rollback)).await
        else {
            return;
        };
        let replayed = async {
            let input = json!({ "execution": execution.name(), "reason": BY });
            self.changes_nothing("replayed", &name, &journal, &input)
                .await
        };
        let forged = async {
            let name = self.scratch.create("forged").await?;
            let forged = forged(&journal, &name)?;
            let zone = self.scratch.zone.as_str();
            let input = json!({ "hostedZoneId": zone, "names": [name.to_string()], "reason": BY });
            self.changes_nothing("forged", &name, &forged, &input).await
        };
        let replayed = self.report.note(Check::ReplayedJournal, Box::pin(replayed));
        let forged = self.report.note(Check::ForgedJournal, Box::pin(forged));
        tokio::join!(replayed, forged);
    }

    /// Puts this journal at the name, whose weights somebody else has changed since. Neither a plan nor the rollback
    /// may take it for one of its own.
    async fn changes_nothing(
        &self,
        label: &str,
        name: &RecordName,
        journal: &RecordSet,
        rollback: &Value,
    ) -> Result<String> {
        let (from, to) = FOREIGN;
        self.scratch.set_weights(name, from, to).await?;
        self.scratch.put(journal).await?;
        let dry_run = json!({ "dryRun": true });
        let planned = self.start(label, name, &dry_run).await?;
        let planned = self.end_of(&planned).await?;
        ensure!(
            planned.error.as_deref() == Some("Busy"),
            "a plan did not refuse the journal as Busy: {}",
            outcome::sentence(label, &planned)
        );
        let rollback = self.start_other(Machine::Rollback, label, rollback).await?;
        let ended = self.end_of(&rollback).await?;
        let cause = ended.cause.as_deref().unwrap_or_default();
        ensure!(
            ended.error.as_deref() == Some(NOT_RESTORED) && cause.contains(name.as_str()),
            "expected the error {NOT_RESTORED} for {name}, found: {}",
            outcome::sentence(rollback.name(), &ended)
        );
        self.ensure_weights(name, FOREIGN).await?;
        ensure!(
            self.scratch.journal(name).await?.as_ref() == Some(journal),
            "the journal was changed by {}",
            outcome::sentence(rollback.name(), &ended)
        );
        Ok(format!(
            "a plan was refused as Busy, a rollback ended as {}, weights and journal stayed",
            ended.state
        ))
    }

    /// A write of somebody else during the migration.
    pub(crate) async fn outside_write(&self) {
        let check = async {
            let halfway = self.halfway("outside-write", &CHECKED_BAKE, json!({}));
            let Halfway {
                name, execution, ..
            } = halfway.await?;
            let (from, to) = FOREIGN;
            self.scratch.set_weights(&name, from, to).await?;
            let ended = self.end_of(&execution).await?;
            ensure!(
                ended.state == "Held" && ended.error.as_deref() == Some("Held"),
                "{}",
                outcome::sentence(execution.name(), &ended)
            );
            self.ensure_weights(&name, FOREIGN).await?;
            let cause = ended.cause.unwrap_or_default();
            Ok(format!("it holds, and the weights stayed: {cause}"))
        };
        self.report.note(Check::OutsideWrite, Box::pin(check)).await;
    }

    /// An alarm that fires during the migration.
    pub(crate) async fn alarm(&self) {
        let alarm = self.alarm;
        let rolled_back = async {
            alarm.create().await?;
            let more = json!({ "alarms": { "names": [alarm.name()] } });
            let halfway = self.halfway("alarm", &LONG_BAKE, more).await?;
            let since = Instant::now();
            alarm.fire().await?;
            self.restored(&halfway.name).await?;
            let seconds = since.elapsed().as_secs_f64();
            let ended = self.end_of(&halfway.execution).await?;
            ensure!(
                ended.error.as_deref() == Some(STOPPED),
                "expected the error {STOPPED}, with which the alarm's event stops a migration, found: {}",
                outcome::sentence(halfway.execution.name(), &ended)
            );
            let cause = ended.cause.unwrap_or_default();
            let seen = format!("weights 100/0 again {seconds:.1} s after SetAlarmState: {cause}");
            Ok((halfway.verdicts, seen))
        };
        let rolled_back = self.report.check(Check::Alarm, Box::pin(rolled_back));
        let Some(verdicts) = rolled_back.await else {
            return;
        };
        let asked = async {
            let mut of_alarms = verdicts.iter().filter(|it| it.observer == "alarms");
            let verdict = of_alarms.next();
            let verdict = verdict.context("check-alarms gave no verdict")?;
            ensure!(verdict.verdict == "pass", "{}", verdict.reason);
            Ok(verdict.reason.clone())
        };
        self.report.note(Check::AlarmsAsked, Box::pin(asked)).await;
    }

    /// An execution that is aborted in Step Functions. Its status event rolls it back.
    pub(crate) async fn abort(&self) {
        let check = async {
            let halfway = self.halfway("abort", &LONG_BAKE, json!({})).await?;
            let since = Instant::now();
            let stop = self.stack.step_functions().stop_execution();
            let stop = stop.execution_arn(halfway.execution.arn()).cause(BY);
            stop.send().await.context("states:StopExecution")?;
            self.restored(&halfway.name).await?;
            let seconds = since.elapsed().as_secs_f64();
            let seen = format!("weights 100/0 again {seconds:.1} s after StopExecution");
            Ok(seen)
        };
        self.report.note(Check::Abort, Box::pin(check)).await;
    }

    /// Starts a migration that watches nothing but its records, with the fields of `more`.
    async fn start(&self, label: &str, name: &RecordName, more: &Value) -> Result<Execution> {
        let mut input = json!({
            "hostedZoneId": self.scratch.zone.as_str(),
            "from": FROM,
            "to": TO,
            "names": [name.to_string()],
            "steps": [50, 100],
            "probe": { "enabled": false },
        });
        if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
            input.extend(more.clone());
        }
        self.start_other(Machine::Migration, label, &input).await
    }

    async fn start_other(&self, machine: Machine, label: &str, input: &Value) -> Result<Execution> {
        let name = format!("{EXECUTIONS}{}-{label}", self.scratch.run);
        let started = self.stack.start(machine, Some(&name), input.to_string());
        started
            .await
            .map_err(|failure| anyhow::Error::msg(failure.message))
    }

    /// Starts a migration, and waits until it bakes at 50 percent and has made its first health check there.
    async fn halfway(&self, label: &str, bake: &Bake, mut more: Value) -> Result<Halfway> {
        let name = self.scratch.create(label).await?;
        if let Some(more) = more.as_object_mut() {
            more.insert("bakeSeconds".to_owned(), bake.seconds.into());
            more.insert("checkSeconds".to_owned(), bake.check_seconds.into());
        }
        let execution = self.start(label, &name, &more).await?;
        let watches = self.stack.state_machine_arn(Machine::Watch);
        let mut follower = Follower::new(execution.clone(), Some(watches));
        let mut verdicts = Vec::new();
        let mut bakes_since = None;
        let what = "a health check at 50 percent";
        let ended = self.until_every(FOLLOW_INTERVAL, what, async || {
            let mut is_checked = false;
            for update in follower.poll().await? {
                match update {
                    Update::Entered { state, at } if state == "Bake" => bakes_since = Some(at),
                    Update::Verdict(verdict) => {
                        is_checked |= bakes_since.is_some_and(|since| verdict.at >= since);
                        verdicts.push(verdict);
                    }
                    Update::Ended(ended) => return Ok(Some(Some(ended))),
                    Update::Entered { .. } | Update::Plan(_) | Update::Changed(_) => {}
                }
            }
            Ok(is_checked.then_some(None))
        });
        if let Some(ended) = ended.await? {
            bail!("{}", outcome::sentence(execution.name(), &ended));
        }
        self.ensure_weights(&name, (50, 50)).await?;
        Ok(Halfway {
            name,
            execution,
            verdicts,
        })
    }

    /// Waits until a name has its original weights and no journal.
    async fn restored(&self, name: &RecordName) -> Result<()> {
        self.until("the original weights", async || {
            let is_restored = self.scratch.has(name, ORIGINAL).await?;
            Ok(is_restored.then_some(()))
        })
        .await
    }

    async fn end_of(&self, execution: &Execution) -> Result<ExecutionResult> {
        let what = format!("the end of {}", execution.name());
        self.until(&what, async || execution.ended().await).await
    }

    /// Looks until there is something to see.
    async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        self.until_every(POLL_INTERVAL, what, look).await
    }

    async fn until_every<T>(
        &self,
        interval: Duration,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let since = Instant::now();
        let mut failing_since = None;
        loop {
            match look().await {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) => failing_since = None,
                Err(error) => {
                    let failing_since = *failing_since.get_or_insert_with(Instant::now);
                    if failing_since.elapsed() > LONGEST_OUTAGE {
                        return Err(error.context(format!("waited for {what}")));
                    }
                }
            }
            ensure!(
                since.elapsed() < self.timeout,
                "waited {} s for {what}, and it did not come",
                self.timeout.as_secs()
            );
            tokio::time::sleep(interval).await;
        }
    }

    async fn ensure_weights(&self, name: &RecordName, expected: (u8, u8)) -> Result<()> {
        let (from, to) = self.scratch.weights(name).await?;
        let (expected_from, expected_to) = expected;
        ensure!(
            (from, to) == expected,
            "expected the weights {expected_from}/{expected_to}, found {from}/{to}"
        );
        Ok(())
    }

    async fn ensure_no_journal(&self, name: &RecordName) -> Result<()> {
        let journal = self.scratch.journal(name).await?;
        ensure!(journal.is_none(), "its journal is still there");
        Ok(())
    }
}

fn ensure_succeeded(execution: &Execution, ended: &ExecutionResult) -> Result<()> {
    ensure!(
        ended.outcome == "SUCCEEDED",
        "{}",
        outcome::sentence(execution.name(), ended)
    );
    Ok(())
}

/// This journal copied to another name and with other original weights, as somebody would write it who may write TXT
/// records.
fn forged(journal: &RecordSet, name: &RecordName) -> Result<RecordSet> {
    const ORIGINAL_A: &str = "original.A=";
    let mut forged = journal.clone();
    forged.name = name.journal();
    let RecordData::Values { values, .. } = &mut forged.data else {
        bail!("the journal has no values");
    };
    let value = values.first_mut().context("the journal is empty")?;
    ensure!(
        value.contains(ORIGINAL_A),
        "expected {ORIGINAL_A} in the journal, found {value}"
    );
    // 100 becomes 200.
    let before = value.clone();
    *value = value.replacen(&format!("{ORIGINAL_A}1"), &format!("{ORIGINAL_A}2"), 1);
    ensure!(
        *value != before,
        "the journal could not be edited: it has other weights"
    );
    Ok(forged)
}
