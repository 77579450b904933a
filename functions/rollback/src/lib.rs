//! The function `rollback`: restores the original weights, from the journals alone.
//!
//! The event is a request, or one of AWS's own events as it comes:
//!
//! | event | what is rolled back |
//! |---|---|
//! | `{"execution": …}`, a name or an ARN | that execution's names; `hostedZoneId` if Step Functions does not know it any more |
//! | `{"hostedZoneId": …, "names": […]}` | those names, whoever moved them; `*` matches any characters |
//! | `{"alarm": …}` | the names of every running migration that watches this alarm |
//! | EventBridge's `CloudWatch Alarm State Change`, or `alarmData` from an alarm whose action is this function | the names of every migration that watches this alarm and was running when it fired |
//! | EventBridge's `Step Functions Execution Status Change` | the names of an execution that failed, was aborted or timed out |
//!
//! A request may say in a `reason` why. The migration state machine says with
//! `requestedBy` that it asks for its own rollback and waits, so that it is not
//! stopped, and with `adopted` which executions it was about to go on from. A
//! migration with `onFailure: "hold"` is stopped by its alarm and not restored, and
//! stays as it is when it is aborted.
//!
//! A rollback is made in passes. The first restores; each later one, after the
//! wait that the one before asked for, confirms its changes and restores what a
//! function that was still at work when its execution was stopped has written
//! meanwhile. A later pass is asked for as `{"request": …, "earlier": …}`: the
//! same request, and the `executions` and `changeIds` of the pass before. Every
//! pass is idempotent, and two rollbacks at once do no harm: the batch of the
//! second fails, and it finds the first one's work done.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, whose executions are asked for and stopped |
//! | `RUST_LOG` | log level, `info` by default |

mod journals;
mod orders;
mod report;
mod request;

use std::collections::BTreeSet;

use migration::change::{NameChange, Restoration, restore};
use migration::executions::{Execution, Executions};
use migration::input::{Reaction, to_json};
use migration::lease;
use migration::route53::{Applied, PROPAGATION_SECONDS, Route53, apply, read_zone, still_pending};
use migration::weights::count_weights;
use migration::{Error, Percent, RecordName};
use serde::Serialize;
use serde_json::Value;

use crate::journals::{Selected, Undo, select};
use crate::orders::{Order, Orders, Whose, orders, stop_for_rollback};
use crate::report::{Reports, first_ones, message, tell_metrics};
use crate::request::{Call, Earlier};

pub use crate::report::{Outcome, Report};

/// For how long a `shift-weight` call may still be writing after its execution was
/// stopped: that function's timeout in the template.
pub const LATE_WRITER_SECONDS: u32 = 120;

/// A TTL that is longer than this is not waited out: the rollback has its own time to be done by.
const LONGEST_WAIT_SECONDS: u32 = 3_600;

/// What to look at where a migration is rolled back that may have been about to be released.
const GIVEN_BACK_EARLY: &str = "ExternalDNS has its records back: where annotations already ask for the weights that \
     were reached, it puts those into DNS again within its interval; put the annotations back";

/// What one pass did.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether nothing is left to do, to confirm or to look at again.
    pub done: bool,
    /// How many names were restored in this pass.
    pub restored: usize,
    /// One sentence for people.
    pub message: String,
    /// What there is to tell of each migration.
    pub migrations: Vec<Report>,
    /// What could not be restored, and what to do about it.
    pub problems: Vec<String>,
    /// The executions that are rolled back: those that were asked for, or whose journals were found
    /// at the names that were asked for.
    pub executions: BTreeSet<String>,
    /// The changes that are not yet confirmed.
    pub change_ids: Vec<String>,
    /// How long to wait before the next pass.
    pub wait_seconds: u32,
}

/// Makes one pass of the rollback that `event` asks for; the answer is an [`Answer`].
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Value, Error> {
    let call = Call::parse(event)?;
    let Orders { orders, message } = orders(&call, executions).await?;
    let earlier = call.earlier.as_ref();
    let mut answer = Answer {
        message,
        wait_seconds: LATE_WRITER_SECONDS,
        ..Answer::default()
    };
    let mut problem = None;
    for order in &orders {
        // What hinders one migration's rollback must not hinder another's.
        if let Err(error) = carry_out(order, earlier, route53, executions, &mut answer).await {
            tracing::error!(%error, zone = %order.hosted_zone_id, "a part is not rolled back");
            problem.get_or_insert(error);
        }
    }
    if let Some(problem) = problem {
        return Err(problem);
    }
    let earlier_changes = earlier.map(|earlier| earlier.change_ids.clone());
    let pending = still_pending(route53, earlier_changes.unwrap_or_default()).await?;
    answer.change_ids.extend(pending);
    // Only a later pass can tell that nobody has written late.
    let is_looked_at_again = earlier.is_none() && !answer.executions.is_empty();
    answer.done = answer.restored == 0 && answer.change_ids.is_empty() && !is_looked_at_again;
    answer.wait_seconds = answer.wait_seconds.min(LONGEST_WAIT_SECONDS);
    answer.problems = first_ones(answer.problems);
    tracing::info!(
        restored = answer.restored,
        executions = ?answer.executions,
        problems = ?answer.problems,
        "{}",
        answer.message
    );
    to_json(&answer)
}

/// Does in one zone what there is to do, and adds it to the answer.
async fn carry_out(
    order: &Order,
    earlier: Option<&Earlier>,
    route53: &impl Route53,
    executions: &impl Executions,
    answer: &mut Answer,
) -> Result<(), Error> {
    let zone = read_zone(route53, &order.hosted_zone_id).await?;
    let Selected {
        mut undos,
        mut completed,
        problems,
    } = select(order, &zone, executions).await?;
    if let (Some(earlier), Whose::Names(_)) = (earlier, &order.whose) {
        let is_the_same = |undo: &Undo<'_>| earlier.executions.contains(&undo.journal.execution);
        undos.retain(is_the_same);
        completed.retain(is_the_same);
    }
    answer.problems.extend(problems);
    let stopped = stop_at_work(order, &undos, executions).await?;

    let mut changes = Vec::new();
    let mut restored = Vec::new();
    if order.reaction == Reaction::Rollback {
        for undo in &undos {
            match restore(&zone, &undo.name, undo.read, &undo.journal) {
                Ok(Restoration { change, found }) => {
                    changes.push(change);
                    restored.push((undo, found));
                }
                Err(problem) => answer.problems.push(problem.to_string()),
            }
        }
    }
    let refused = apply_all(route53, order, changes, answer).await?;
    restored.retain(|(undo, _)| !refused.contains(&undo.name));
    // In this order or not at all: the marked journal is the last.
    let removals = completed
        .iter()
        .map(|undo| lease::end(&zone, (&undo.name, undo.read, &undo.journal)));
    answer.note(apply(route53, &order.hosted_zone_id, removals.collect()).await?);

    let mut reports = Reports::new(executions, order, &zone);
    for undo in &completed {
        reports.of(&undo.journal, Outcome::Completed);
    }
    for (undo, found) in restored {
        answer.restored += 1;
        let wait_seconds = zone.ttl_seconds(&undo.name);
        answer.wait_seconds = answer.wait_seconds.max(wait_seconds);
        let report = reports.of(&undo.journal, Outcome::RolledBack);
        report.found.extend(found);
        if undo.journal.is_leased() && undo.journal.percent == Percent::ALL {
            report.warn(GIVEN_BACK_EARLY);
        }
        count_weights(&mut report.weights, &undo.journal.original);
    }
    if order.reaction == Reaction::Hold {
        for undo in &undos {
            reports.of(&undo.journal, Outcome::Held);
        }
    } else {
        reports.tell_what_stays(&undos);
        match &order.whose {
            Whose::Migration(of) => {
                answer.executions.insert(of.name.clone());
            }
            Whose::Names(_) => {
                let found = undos.iter().chain(&completed);
                let found = found.map(|undo| undo.journal.execution.clone());
                answer.executions.extend(found);
            }
        }
    }
    answer.message = message(order, &zone, &reports.written);
    let reports = reports.finish(&stopped);
    tell_metrics(&reports);
    answer.migrations.extend(reports);
    Ok(())
}

/// Where names are asked for, stops the executions that are at work there. Returns the names of
/// those that were stopped.
async fn stop_at_work(
    order: &Order,
    undos: &[Undo<'_>],
    executions: &impl Executions,
) -> Result<BTreeSet<String>, Error> {
    let mut stopped = BTreeSet::new();
    if let Some(of) = order.migration() {
        stopped.extend(of.is_stopped.then(|| of.name.clone()));
        return Ok(stopped);
    }
    let concerned: BTreeSet<_> = undos.iter().map(|undo| &undo.journal.execution).collect();
    for name in concerned {
        let execution = executions.describe(name).await?;
        if execution.as_ref().is_some_and(Execution::is_running)
            && stop_for_rollback(name, &order.reason, executions).await?
        {
            stopped.insert(name.clone());
        }
    }
    Ok(stopped)
}

/// Writes all changes; if Route 53 refuses a batch, name by name, so that the name that it is
/// about does not stand in the way of the others. Returns the names that are refused.
async fn apply_all(
    route53: &impl Route53,
    order: &Order,
    changes: Vec<NameChange>,
    answer: &mut Answer,
) -> Result<BTreeSet<RecordName>, Error> {
    let mut refused = BTreeSet::new();
    let zone_id = &order.hosted_zone_id;
    match apply(route53, zone_id, changes.clone()).await {
        Ok(applied) => answer.note(applied),
        Err(Error::ChangeRefused(_)) => {
            for change in changes {
                let name = change.name.clone();
                match apply(route53, zone_id, vec![change]).await {
                    Ok(applied) => answer.note(applied),
                    Err(Error::ChangeRefused(problem)) => {
                        let line = format!("{name} is not restored: {problem}");
                        answer.problems.push(line);
                        refused.insert(name);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok(refused)
}

impl Answer {
    fn note(&mut self, applied: Applied) {
        let Applied {
            change_ids,
            lost_an_answer,
        } = applied;
        self.change_ids.extend(change_ids);
        if lost_an_answer {
            self.wait_seconds += PROPAGATION_SECONDS;
        }
    }
}
