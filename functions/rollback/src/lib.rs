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
//! A request may say in a `reason` why; the migration state machine says with
//! `requestedBy` that it asks for its own rollback and waits, so that it is not
//! stopped. A migration with `onFailure: "hold"` is stopped by its alarm and not
//! restored, and stays as it is when it is aborted.
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
mod request;

use std::collections::{BTreeMap, BTreeSet};

use migration::change::{NameChange, Restoration, remove_journal, restore};
use migration::executions::{Execution, Executions};
use migration::input::{Reaction, to_json};
use migration::journal::Journal;
use migration::route53::{Applied, PROPAGATION_SECONDS, Route53, apply, read_zone, still_pending};
use migration::weights::count_weights;
use migration::zone::Zone;
use migration::{Error, HostedZoneId, Percent, RecordName, SetIdentifier, metrics};
use serde::Serialize;
use serde_json::Value;

use crate::journals::{Selected, Undo, select};
use crate::orders::{Order, Orders, Whose, orders, stop_for_rollback};
use crate::request::{Call, Earlier};

/// For how long a `shift-weight` call may still be writing after its execution was
/// stopped: that function's timeout in the template.
pub const LATE_WRITER_SECONDS: u32 = 120;

/// A TTL that is longer than this is not waited out: the rollback has its own time to be done by.
const LONGEST_WAIT_SECONDS: u32 = 3_600;

/// How many findings an answer lists; the rest is counted.
const LISTED: usize = 20;

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

/// What came of one migration.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What came of it.
    pub status: Outcome,
    /// The name of its execution.
    pub execution: String,
    /// That execution's ARN.
    pub execution_arn: String,
    /// The zone's id.
    pub hosted_zone_id: HostedZoneId,
    /// The zone's name.
    pub zone_name: RecordName,
    /// The side that served when it began; none where no journal was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SetIdentifier>,
    /// The side that was to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SetIdentifier>,
    /// Why.
    pub reason: String,
    /// Whether it was running and was stopped.
    pub stopped: bool,
    /// The highest percent of `to` that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_before: Option<Percent>,
    /// The highest percent of `to` that it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// How many names were restored, held or completed.
    pub names: usize,
    /// The weights `from/to` that were restored, and how many pairs of records have them again.
    pub weights: BTreeMap<String, usize>,
    /// What was found other than the journals said, the first ones.
    pub found: Vec<String>,
}

/// What came of a migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// The original weights are restored.
    RolledBack,
    /// It is stopped, or was aborted, and is to hold: weights and journals stay.
    Held,
    /// It had completed, and its last journals have been taken away.
    Completed,
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

    let mut changes: Vec<_> = completed
        .iter()
        .map(|undo| remove_journal(&undo.name, undo.read))
        .collect();
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

    let mut reports = Reports::new(executions, order, &zone);
    for undo in completed
        .iter()
        .filter(|undo| !refused.contains(&undo.name))
    {
        reports.of(&undo.journal, Outcome::Completed);
    }
    for (undo, found) in restored {
        answer.restored += 1;
        let wait_seconds = zone.ttl_seconds(&undo.name);
        answer.wait_seconds = answer.wait_seconds.max(wait_seconds);
        let report = reports.of(&undo.journal, Outcome::RolledBack);
        report.found.extend(found);
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

/// What there is to tell of each migration that an order is for.
struct Reports<'a, E> {
    executions: &'a E,
    order: &'a Order,
    zone: &'a Zone,
    written: Vec<Report>,
}

impl<'a, E: Executions> Reports<'a, E> {
    fn new(executions: &'a E, order: &'a Order, zone: &'a Zone) -> Self {
        Self {
            executions,
            order,
            zone,
            written: Vec::new(),
        }
    }

    /// The report that `journal` belongs to, with its name counted.
    fn of(&mut self, journal: &Journal, outcome: Outcome) -> &mut Report {
        // What a migration went on from is told of as its own.
        let execution = match (self.order.migration(), outcome) {
            (Some(of), Outcome::RolledBack | Outcome::Held) => &of.name,
            _ => &journal.execution,
        };
        let report = self.find(execution, outcome);
        let percent = match outcome {
            Outcome::RolledBack => journal
                .original
                .values()
                .map(|weights| weights.percent())
                .max(),
            Outcome::Held | Outcome::Completed => Some(journal.percent),
        };
        report.names += 1;
        report.percent_before = report.percent_before.max(Some(journal.percent));
        report.percent = report.percent.max(percent);
        report.from.get_or_insert_with(|| journal.from.clone());
        report.to.get_or_insert_with(|| journal.to.clone());
        report
    }

    fn find(&mut self, execution: &str, status: Outcome) -> &mut Report {
        let is_it = |report: &Report| report.execution == execution && report.status == status;
        let position = self.written.iter().position(is_it).unwrap_or_else(|| {
            self.written.push(Report {
                status,
                execution: execution.to_owned(),
                execution_arn: self.executions.arn(execution),
                hosted_zone_id: self.zone.id.clone(),
                zone_name: self.zone.name.clone(),
                from: None,
                to: None,
                reason: self.order.reason.clone(),
                stopped: false,
                percent_before: None,
                percent: None,
                names: 0,
                weights: BTreeMap::new(),
                found: Vec::new(),
            });
            self.written.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position of one that is there")]
        &mut self.written[position]
    }

    /// Where names are asked for, says how many others of the same executions stay.
    fn tell_what_stays(&mut self, undos: &[Undo<'_>]) {
        if self.order.migration().is_some() {
            return;
        }
        let undone: BTreeSet<_> = undos.iter().map(|undo| &undo.name).collect();
        for report in &mut self.written {
            let execution = &report.execution;
            let is_theirs = |name: &RecordName| {
                let journal = self.zone.journal(name);
                matches!(journal, Ok(Some((_, journal))) if journal.execution == *execution)
            };
            let staying = self
                .zone
                .journaled_names()
                .filter(|name| !undone.contains(name) && is_theirs(name))
                .count();
            if staying > 0 {
                report.found.push(format!(
                    "{staying} further {} of the execution {execution} not asked for stay where they are; \
                     to restore them too, roll back with {{\"execution\": \"{execution}\"}}",
                    names(staying)
                ));
            }
        }
    }

    /// All reports: also of a migration that is to be told of, and of what was stopped, although
    /// no journal of it is left.
    fn finish(mut self, stopped: &BTreeSet<String>) -> Vec<Report> {
        let told = self.order.migration().filter(|of| of.is_told);
        let told: BTreeSet<_> = told.map(|of| &of.name).into_iter().chain(stopped).collect();
        for name in told {
            let outcome = match self.order.reaction {
                Reaction::Rollback => Outcome::RolledBack,
                Reaction::Hold => Outcome::Held,
            };
            if !self.written.iter().any(|report| report.execution == *name) {
                self.find(name, outcome);
            }
        }
        for report in &mut self.written {
            report.stopped = stopped.contains(&report.execution);
            report.found = first_ones(std::mem::take(&mut report.found));
        }
        self.written
    }
}

fn tell_metrics(reports: &[Report]) {
    for report in reports {
        if let (Some(from), Some(to), Some(percent)) = (&report.from, &report.to, report.percent) {
            metrics::percent(&report.zone_name, from, to, percent);
        }
    }
}

fn message(order: &Order, zone: &Zone, reports: &[Report]) -> String {
    let of_what = match &order.whose {
        Whose::Migration(of) => format!("execution {}", of.name),
        Whose::Names(patterns) => {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            patterns.join(", ")
        }
    };
    let count = |outcome: Outcome| -> usize {
        let told = reports.iter().filter(|report| report.status == outcome);
        told.map(|report| report.names).sum()
    };
    let [restored, held, completed] =
        [Outcome::RolledBack, Outcome::Held, Outcome::Completed].map(count);
    if restored > 0 {
        format!(
            "restored the original weights of {restored} {} ({of_what})",
            names(restored)
        )
    } else if held > 0 {
        format!(
            "{held} {} held at the step, as onFailure asks ({of_what})",
            names(held)
        )
    } else if completed > 0 {
        format!(
            "the last journals of what has completed are taken away ({of_what}); no weight was changed"
        )
    } else {
        format!(
            "nothing to roll back: the zone {} has no journal of {of_what}",
            zone.name
        )
    }
}

fn names(count: usize) -> &'static str {
    if count == 1 { "name" } else { "names" }
}

fn first_ones(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LISTED {
        let more = lines.len() - LISTED;
        lines.truncate(LISTED);
        lines.push(format!("and {more} more"));
    }
    lines
}
