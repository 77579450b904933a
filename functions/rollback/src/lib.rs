//! The function `rollback`: restores the original weights, from the journals alone.
//!
//! The event is a request, or an event as AWS delivers it:
//!
//! | event | what is rolled back |
//! |---|---|
//! | `{"execution": …}`, a name or an ARN | the names of that execution; with `hostedZoneId` if Step Functions no longer knows the execution |
//! | `{"hostedZoneId": …, "names": […]}` | those names, for any execution; `*` matches any characters. An execution that is running there is stopped, and all of its names are restored, because nothing would watch the others. With `trustForeignJournals`, and the names in full, also from journals that another key has signed |
//! | `{"alarm": …}` | the names of every migration that watches this alarm and is running or held |
//! | EventBridge's `CloudWatch Alarm State Change` | the names of every migration that watches this alarm and was running or held when it fired |
//! | `alarmData` from an alarm that has this function as its action | the names of every migration that watches this alarm and was running when it fired; the event of the same alarm rolls back those that are held, because only the state machine that the event starts announces it |
//! | EventBridge's `Step Functions Execution Status Change` | the names of an execution that failed, was aborted or timed out |
//! | `{"swept": {"execution": …}}` | the same, as [`sweep()`] requests it: only names whose records are as their journals say |
//! | `{"reminder": {"at": …, "olderThanHours": …}}` | nothing: the answer lists the migrations that ended some time ago and still have journals |
//!
//! A batch of messages from the queue of the alarms is not a request: [`handle_messages`] starts the rollback
//! state machine for each alarm that a migration watches that is running or held, and that calls [`handle`] with
//! the event. An environment looks up the migrations at most once in three seconds, whatever the number of
//! alarms.
//!
//! Requests of the resource that guards the stack's deletion, which CloudFormation and Terraform make, are not a
//! request either: [`remains()`] finds what a deleted stack would leave behind, and the deletion is refused then.
//!
//! A request may give a `reason`. The migration state machine requests its own rollback with
//! `requestedBy`, and waits for it, so this function does not stop it; `adopted` lists the executions
//! whose journals it was about to adopt. A migration with `onFailure: "hold"` is stopped by its alarm
//! but not restored, and is not restored when it is aborted or while it is held. A migration that holds
//! for another reason (drift, a refusal, an incomplete completion, an operator) is rolled back by its
//! alarms as if it were running; `held.rs` has the limits.
//!
//! A rollback is made in passes, because stopping an execution does not stop a call of `shift-weight`
//! that is already running: until its timeout, that call may write after the rollback, and if it has only
//! begun, the start of its environment comes before that (`LATE_WRITER_SECONDS`). The first pass
//! restores. Each later pass, after the `waitSeconds` of the pass before it, checks that the changes
//! are in sync, and restores what was written late, and what was not restored because Route 53 has lost a
//! change (`NoSuchChange`). Its event is `{"request": …, "earlier": …}`: the
//! same request, and the `executions` and `changeIds` of the pass before it. Every pass is idempotent.
//!
//! A pass writes no more than Route 53 takes at once, see
//! [`Allowance`](migration::change::Allowance), and after an error it answers what it
//! has written so far. If names are left, the answer has `unfinished`, and the next pass follows as soon as
//! Route 53 takes as much again; its event has that `unfinished` among `earlier`. Names that Route 53 has
//! refused come last then.
//!
//! A rollback that has succeeded is recorded. Afterwards no journal of its execution is trusted any more, because
//! it was deleted by the rollback, and only another writer can have put it back; a rollback of names, which a
//! person requests, still restores from it.
//!
//! If Route 53 refuses to create the records of `to` again, because their load balancer is gone, the name is
//! restored without them: the same batch deletes them and their registry TXT records, see
//! [`Restoration::without_to`]. A name whose load balancer of `from` is gone stays as it is: its traffic would
//! go to nothing. The answer lists it first.
//!
//! Two rollbacks at the same time are safe: the batch of the second fails, and its retry finds the
//! names restored.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, whose executions are described, listed and stopped |
//! | `ROLLED_BACK_STATE_MACHINE_ARN` | the state machine whose executions record successful rollbacks |
//! | `ROLLBACK_STATE_MACHINE_ARN` | the rollback state machine, which is started for alarms |
//! | `JOURNAL_KEY_ARN` | the KMS key from which the key is derived that signs the journals |
//! | `AWS_LAMBDA_FUNCTION_NAME` | set by Lambda; metrics are written only if it is set |
//! | `RUST_LOG` | log level, `info` by default |

mod candidates;
mod clock;
mod held;
mod journals;
mod look_up;
mod memory;
mod messages;
mod missing_journals;
mod pass;
mod remains;
mod reminders;
mod report;
mod request;
mod services;
mod sweep;
mod targets;
mod zones;

use std::collections::{BTreeMap, BTreeSet};

use migration::Error;
use migration::change::{
    Applied, AppliedInPart, NameChange, Part, Restoration, apply, apply_in_part, delete_journal,
    restore,
};
use migration::dns::{RecordName, Side, Zone};
use migration::executions::Executions;
use migration::input::Reaction;
use migration::journal::{JournalEntry, Journals, SigningKeys};
use migration::json::to_json;
use migration::route53::{Route53, read_zone};
use serde_json::Value;

use crate::held::{held_targets, with_journals};
use crate::journals::{SelectedJournals, select_journals};
use crate::pass::Pass;
use crate::reminders::remind;
use crate::report::{Reports, emit_metrics, summary};
use crate::request::{AlarmRequest, EarlierPasses, PassRequest, Request};
use crate::services::Services;
use crate::targets::{RollbackTarget, RollbackTargets, Scope, find_targets, stopped_migrations};

pub use crate::clock::{Clock, SystemClock};
pub use crate::memory::Memory;
pub use crate::messages::{Queue, handle_messages, has_messages};
pub use crate::pass::{
    COLD_START_SECONDS, LATE_WRITER_MARGIN_SECONDS, LATE_WRITER_SECONDS, PassReport, Unfinished,
};
pub use crate::remains::remains;
pub use crate::report::{MigrationReport, Outcome};
pub use crate::sweep::{SweepReport, is_sweep, sweep};

/// Makes one pass of the rollback that `event` asks for; the answer is a [`PassReport`]. `memory` belongs to
/// the environment of the function.
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
    memory: &Memory,
) -> Result<Value, Error> {
    let mut request = PassRequest::parse(event)?;
    let (found, key) = tokio::try_join!(
        find_targets(&request, executions, memory),
        keys.signing_key()
    )?;
    let services = Services {
        route53,
        executions,
        key: &key,
    };
    if let Request::Reminder(reminder) = &request.request {
        return to_json(&remind(reminder, services).await?);
    }
    let mut pass = Pass::after(request.earlier.as_mut())?;
    pass.ask_for_changes(request.earlier.as_mut(), route53)
        .await;
    let earlier = request.earlier.as_ref();
    for target in &found.targets {
        // An error in one migration's rollback must not prevent another's.
        if let Err(error) = roll_back(target, earlier, services, &mut pass).await {
            pass.add_error(target, error);
        }
    }
    if let Request::Alarm(alarm) = &request.request
        && pass.held_is_open
        && !alarm.is_alarm_action
    {
        let held = roll_back_held(alarm, &found, memory, services, &mut pass).await;
        pass.held_is_open = held.is_err();
        if let Err(error) = held {
            pass.add_common_error(error);
        }
    } else {
        pass.held_is_open = false;
    }
    let report = pass.finish(found.message, earlier)?;
    if report.done && report.problems.is_empty() {
        record_rollback(&report, executions).await?;
    }
    tracing::info!(
        restored = report.restored,
        executions = ?report.executions,
        problems = ?report.problems,
        is_unfinished = report.unfinished.is_some(),
        "{}",
        report.message
    );
    to_json(&report)
}

/// Records that the executions of a rollback that has succeeded were rolled back, so that nobody can have them
/// rolled back again with journals that were put back.
///
/// # Errors
/// Those that may pass. With any other, the rollback has succeeded all the same.
async fn record_rollback(report: &PassReport, executions: &impl Executions) -> Result<(), Error> {
    for record in &report.rollback_records {
        match executions.record_rollback(record).await {
            Ok(()) => {}
            Err(error @ (Error::Throttled(_) | Error::Unavailable(_))) => return Err(error),
            Err(error) => tracing::warn!(
                %error,
                record,
                "the rollback is not recorded, so a journal would be trusted that another writer puts back"
            ),
        }
    }
    Ok(())
}

/// Rolls back one target, and adds the result to `pass`.
async fn roll_back(
    target: &RollbackTarget,
    earlier: Option<&EarlierPasses>,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut Pass,
) -> Result<(), Error> {
    let zone = read_zone(services.route53, &target.hosted_zone_id).await?;
    let mut journals = select_journals(target, &zone, services).await?;
    if let Scope::Names { patterns, .. } = &target.scope {
        if let Some(earlier) = earlier {
            // A migration that has taken the names since the first pass is not part of this rollback.
            journals.retain_executions(&earlier.executions);
        }
        // Also if one of them fails, because a later pass rolls back no others.
        pass.report.executions.extend(journals.executions());
        let found = journals.identities();
        let stopped = stopped_migrations(target, patterns, &found, earlier, services).await?;
        for migration in &stopped {
            roll_back_migration(migration, services, pass).await?;
        }
        for migration in stopped.iter().filter_map(RollbackTarget::migration) {
            journals.remove(|execution| migration.is(execution, services));
        }
        if journals.is_empty() && !stopped.is_empty() {
            return Ok(());
        }
    }
    roll_back_journals(target, &zone, &journals, services, pass).await
}

/// Rolls back the held migrations that watch an alarm, after those that were running: these still wait for
/// their rollback, and the others are harder to find.
///
/// # Errors
/// If they can't be found. That of a single rollback is added to `pass`, so that a later pass repeats it.
async fn roll_back_held(
    alarm: &AlarmRequest,
    found: &RollbackTargets,
    memory: &Memory,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut Pass,
) -> Result<(), Error> {
    let (running, ended) = (&found.running, &found.ended);
    let held = held_targets(alarm, running, ended, services.executions, memory).await?;
    for target in &with_journals(held, services).await {
        if let Err(error) = roll_back_migration(target, services, pass).await {
            pass.add_error(target, error);
        }
    }
    Ok(())
}

/// Rolls back all names of one migration, which is not running any more.
async fn roll_back_migration(
    target: &RollbackTarget,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut Pass,
) -> Result<(), Error> {
    let zone = read_zone(services.route53, &target.hosted_zone_id).await?;
    let journals = select_journals(target, &zone, services).await?;
    roll_back_journals(target, &zone, &journals, services, pass).await
}

async fn roll_back_journals(
    target: &RollbackTarget,
    zone: &Zone,
    journals: &SelectedJournals<'_>,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut Pass,
) -> Result<(), Error> {
    let decision = decide(target, zone, journals);

    let problems = journals.problems.iter().cloned();
    pass.report.problems.extend(problems);
    let written = write(target, decision, services.route53, pass).await?;

    let mut reports = Reports::new(
        services.executions,
        target,
        Journals::new(zone, services.key),
    );
    for entry in &journals.completed {
        if written.deleted.contains(&entry.name) {
            reports.add_name(&entry.journal, Outcome::Completed);
        }
    }
    let has_restored = !written.restored.is_empty();
    for RestoredName {
        entry,
        mut differences,
        ..
    } in written.restored
    {
        let report = &mut pass.report;
        report.restored += 1;
        report.wait_seconds = report.wait_seconds.max(zone.ttl_seconds(&entry.name));
        let refusal = written.without_to.get(&entry.name);
        if let Some(refusal) = refusal {
            differences.insert(0, describe_deleted(zone, entry, refusal));
        }
        reports.add_restored_name(entry, differences, refusal.is_some());
    }
    match target.reaction {
        Reaction::Hold => {
            for entry in &journals.entries {
                reports.add_name(&entry.journal, Outcome::Held);
            }
        }
        Reaction::Rollback => {
            reports.add_remaining_names(&journals.entries);
            let executions = executions_of_later_passes(target, journals);
            pass.report.executions.extend(executions);
            let records = target.migration().map(|it| it.rollback_records(services));
            let records = records.into_iter().flatten();
            let is_stopped = target.migration().is_some_and(|it| it.is_stopped);
            if has_restored {
                let records = records.chain(journals.adopted_records.iter().cloned());
                pass.report.rollback_records.extend(records);
            } else if journals.is_empty() && !is_stopped {
                pass.found_restored.extend(records);
            }
        }
    }
    pass.add_message(&summary(target, zone, &reports, !journals.is_empty()));
    let reports = reports.finish();
    emit_metrics(&reports);
    pass.report.migrations.extend(reports);
    Ok(())
}

/// What a pass writes in one zone.
struct Decision<'j, 'z> {
    restorations: Vec<NameChange>,
    /// What is written instead if the load balancer of `to` is gone.
    without_to: BTreeMap<RecordName, NameChange>,
    /// The names of `restorations`.
    restored: Vec<RestoredName<'j, 'z>>,
    /// Delete the journals of completed migrations, in this order.
    deletions: Vec<NameChange>,
    /// Names that can't be restored.
    problems: Vec<String>,
    /// The comment of each batch.
    comment: String,
}

struct RestoredName<'j, 'z> {
    entry: &'j JournalEntry<'z>,
    /// The targets of the aliases of `from`.
    from_targets: BTreeSet<String>,
    /// What differed from the journal, for people.
    differences: Vec<String>,
}

impl RestoredName<'_, '_> {
    /// The load balancer of `from`, if a refusal says that it is gone.
    fn gone_target(&self, refusal: &Error) -> Option<&str> {
        let Error::ChangeRefused(refusal) = refusal else {
            return None;
        };
        let mut targets = self.from_targets.iter();
        let gone = targets.find(|target| refusal.names_target(target));
        gone.map(String::as_str)
    }
}

fn decide<'j, 'z>(
    target: &RollbackTarget,
    zone: &Zone,
    journals: &'j SelectedJournals<'z>,
) -> Decision<'j, 'z> {
    let deletions = journals
        .completed
        .iter()
        .map(|entry| delete_journal(zone, entry));
    let mut decision = Decision {
        restorations: Vec::new(),
        without_to: BTreeMap::new(),
        restored: Vec::new(),
        deletions: deletions.collect(),
        problems: Vec::new(),
        comment: target.comment(&journals.executions()),
    };
    if target.reaction == Reaction::Hold {
        return decision;
    }
    for entry in &journals.entries {
        match restore(zone, entry) {
            Ok(Restoration {
                change,
                without_to,
                from_targets,
                found,
            }) => {
                let without_to = without_to.map(|change| (change.name.clone(), change));
                decision.without_to.extend(without_to);
                decision.restorations.push(change);
                decision.restored.push(RestoredName {
                    entry,
                    from_targets,
                    differences: found,
                });
            }
            Err(problem) => decision.problems.push(problem.to_string()),
        }
    }
    decision
}

/// What a pass has written in one zone.
struct Written<'j, 'z> {
    restored: Vec<RestoredName<'j, 'z>>,
    /// Those of them without the records of `to`, each with the refusal to create these again.
    without_to: BTreeMap<RecordName, Error>,
    /// The names whose journals are deleted.
    deleted: BTreeSet<RecordName>,
}

/// Writes the restorations, then the deletions, as many as the pass may still write.
///
/// # Errors
/// If nothing was written.
async fn write<'j, 'z>(
    target: &RollbackTarget,
    decision: Decision<'j, 'z>,
    route53: &impl Route53,
    pass: &mut Pass,
) -> Result<Written<'j, 'z>, Error> {
    let Decision {
        restorations,
        without_to,
        mut restored,
        mut deletions,
        problems,
        comment,
    } = decision;
    pass.report.problems.extend(problems);
    let in_part =
        apply_restorations(route53, target, &comment, restorations, &without_to, pass).await;
    let AppliedInPart {
        applied,
        by_alternative: without_to,
        refused,
        suspected,
        error,
    } = in_part;
    for (name, refusal) in refused {
        let name_is = |it: &&RestoredName<'_, '_>| it.entry.name == name;
        let found = restored.iter().find(name_is);
        match found.and_then(|it| Some((it, it.gone_target(&refusal)?))) {
            Some((it, target)) => {
                pass.add_gone(name, &it.entry.journal.from, target, &refusal);
            }
            None => pass.add_refusal(name, &refusal),
        }
    }
    pass.suspected.extend(suspected);
    let changed = applied.names.clone();
    pass.add_applied(applied);
    restored.retain(|name| changed.contains(&name.entry.name));
    if let Some(error) = error {
        if changed.is_empty() {
            return Err(error);
        }
        tracing::warn!(%error, "only a part of the names is restored");
        pass.is_unfinished = true;
        return Ok(Written {
            restored,
            without_to,
            deleted: BTreeSet::new(),
        });
    }
    // Not name by name after a refusal: the marked journal must be deleted last, because it shows an
    // interrupted deletion that the migration has completed.
    let all = deletions.len();
    let allowed = pass.allowance.take(&mut deletions);
    let applied = apply(route53, &target.hosted_zone_id, &comment, allowed).await;
    let applied = match applied.or_error() {
        Ok(applied) => applied,
        Err(error) if restored.is_empty() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "the journals of a completed migration are not deleted");
            Applied::default()
        }
    };
    let deleted = applied.names.clone();
    pass.is_unfinished |= deleted.len() < all;
    pass.add_applied(applied);
    Ok(Written {
        restored,
        without_to,
        deleted,
    })
}

/// Writes all restorations that the pass may still write and Route 53 accepts.
async fn apply_restorations(
    route53: &impl Route53,
    target: &RollbackTarget,
    comment: &str,
    mut restorations: Vec<NameChange>,
    without_to: &BTreeMap<RecordName, NameChange>,
    pass: &mut Pass,
) -> AppliedInPart {
    restorations.retain(|change| !pass.refused.contains_key(&change.name));
    let (mut suspected, mut restorations): (Vec<_>, Vec<_>) = restorations
        .into_iter()
        .partition(|change| pass.suspected.contains(&change.name));
    let allowed = pass.allowance.take(&mut restorations);
    let suspects = if restorations.is_empty() {
        pass.allowance.take(&mut suspected)
    } else {
        Vec::new()
    };
    let is_last = restorations.is_empty() && suspected.is_empty();
    pass.is_unfinished |= !is_last;
    for change in &suspects {
        pass.suspected.remove(&change.name);
    }
    apply_in_part(
        route53,
        &target.hosted_zone_id,
        comment,
        allowed,
        suspects,
        without_to,
        Part {
            is_first: !pass.goes_on,
            is_last,
        },
    )
    .await
}

/// A sentence about a name that was restored without the records of `to`: what was deleted.
fn describe_deleted(zone: &Zone, entry: &JournalEntry<'_>, refusal: &Error) -> String {
    let JournalEntry { name, journal, .. } = entry;
    let deleted = journal.record_types().filter_map(|record_type| {
        let (record_set, _) = zone.weighted(name, record_type, &journal.to)?;
        let target = record_set.alias_target()?;
        let weight = journal.original_weight(record_type, Side::To)?;
        Some(format!("{record_type} alias {target} weight {weight}"))
    });
    let deleted: Vec<_> = deleted.collect();
    format!(
        "{name}: the records of {} were deleted with their registry TXT records, and {} has their traffic, because Route 53 \
         does not create them again, as if their load balancer were gone; originally: {} ({refusal})",
        journal.to,
        journal.from,
        deleted.join(", ")
    )
}

/// The executions that later passes roll back too.
fn executions_of_later_passes(
    target: &RollbackTarget,
    journals: &SelectedJournals<'_>,
) -> BTreeSet<String> {
    match &target.scope {
        Scope::Migration(migration) => BTreeSet::from([migration.name.clone()]),
        Scope::Names { .. } => journals.executions(),
    }
}
