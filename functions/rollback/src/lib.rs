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
//!
//! A request may give a `reason`. The migration state machine requests its own rollback with
//! `requestedBy`, and waits for it, so this function does not stop it; `adopted` lists the executions
//! whose journals it was about to adopt. A migration with `onFailure: "hold"` is stopped by its alarm
//! but not restored, and is not restored when it is aborted or while it is held. A migration that holds
//! for another reason (drift, a refusal, an incomplete completion, an operator) is rolled back by its
//! alarms as if it were running; `held.rs` has the limits.
//!
//! A rollback is made in passes, because stopping an execution does not stop a call of `shift-weight`
//! that is already running: until its timeout, that call may write after the rollback. The first pass
//! restores. Each later pass, after the `waitSeconds` of the pass before it, checks that the changes
//! are in sync and restores what was written late. Its event is `{"request": …, "earlier": …}`: the
//! same request, and the `executions` and `changeIds` of the pass before it. Every pass is idempotent.
//! Two rollbacks at the same time are safe: the batch of the second fails, and its retry finds the
//! names restored.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, whose executions are described, listed and stopped |
//! | `JOURNAL_KEY_ARN` | the KMS key from which the key is derived that signs the journals |
//! | `AWS_LAMBDA_FUNCTION_NAME` | set by Lambda; metrics are written only if it is set |
//! | `RUST_LOG` | log level, `info` by default |

mod held;
mod journals;
mod report;
mod request;
mod services;
mod targets;

use std::collections::BTreeSet;

use migration::Error;
use migration::change::{
    Applied, AppliedInPart, NameChange, Restoration, apply, apply_in_part, delete_journal, restore,
};
use migration::dns::{RecordName, Zone};
use migration::executions::Executions;
use migration::input::Reaction;
use migration::journal::{JournalEntry, Journals, SigningKeys};
use migration::json::to_json;
use migration::route53::{PROPAGATION_SECONDS, Route53, read_zone, still_pending};
use migration::text::shortened;
use serde::Serialize;
use serde_json::Value;

use crate::held::{held_targets, with_journals};
use crate::journals::{SelectedJournals, select_journals};
use crate::report::{Reports, emit_metrics, limit_findings, summary};
use crate::request::{AlarmRequest, EarlierPasses, PassRequest, Request};
use crate::services::Services;
use crate::targets::{RollbackTarget, RollbackTargets, Scope, find_targets, stopped_migrations};

pub use crate::report::{MigrationReport, Outcome};

/// For how long a call of `shift-weight` may still write after its execution was stopped. It is that
/// function's timeout in the template, and a test holds the two equal: with less, the last pass could
/// come before a late write, and nothing would restore that name; with more, every rollback would take
/// longer for nothing.
pub const LATE_WRITER_SECONDS: u32 = 120;

/// The longest wait between two passes. A TTL is up to 68 years, but the rollback state machine ends
/// after a day, or after 30 passes. The next pass also confirms the changes and restores late writes,
/// and neither depends on the TTL.
const LONGEST_WAIT_SECONDS: u32 = 3_600;

/// Characters of a pass's message, which has one sentence per target.
const LONGEST_MESSAGE: usize = 4_000;

/// What one pass did.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassReport {
    /// Whether no further pass is needed.
    pub done: bool,
    /// How many names were restored in this pass.
    pub restored: usize,
    /// One sentence per target, for people.
    pub message: String,
    /// The migrations to announce.
    pub migrations: Vec<MigrationReport>,
    /// What could not be restored, and what to do about it.
    pub problems: Vec<String>,
    /// The executions that are rolled back: the requested ones, or those with journals at the requested
    /// names.
    pub executions: BTreeSet<String>,
    /// The changes that are not yet in sync.
    pub change_ids: Vec<String>,
    /// How long to wait before the next pass.
    pub wait_seconds: u32,
}

/// Makes one pass of the rollback that `event` asks for; the answer is a [`PassReport`].
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
) -> Result<Value, Error> {
    let request = PassRequest::parse(event)?;
    let (found, key) = tokio::try_join!(find_targets(&request, executions), keys.signing_key())?;
    let services = Services {
        route53,
        executions,
        key: &key,
    };
    let earlier = request.earlier.as_ref();
    let mut pass = PassReport {
        wait_seconds: LATE_WRITER_SECONDS,
        ..PassReport::default()
    };
    let mut first_error = None;
    for target in &found.targets {
        // An error in one migration's rollback must not prevent another's.
        if let Err(error) = roll_back(target, earlier, services, &mut pass).await {
            tracing::error!(%error, zone = %target.hosted_zone_id, "a rollback target failed");
            first_error.get_or_insert(error);
        }
    }
    if let Request::Alarm(alarm) = &request.request
        && earlier.is_none()
        && !alarm.is_alarm_action
    {
        let held = roll_back_held(alarm, &found, services, &mut pass).await;
        first_error = first_error.or(held.err());
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    if pass.message.is_empty() {
        pass.message = found.message;
    }
    let earlier_changes = earlier.map(|earlier| earlier.change_ids.clone());
    let pending = still_pending(route53, earlier_changes.unwrap_or_default()).await?;
    pass.change_ids.extend(pending);
    // Only a later pass can find a late write.
    let may_be_written_late = earlier.is_none() && !pass.executions.is_empty();
    pass.done = pass.restored == 0 && pass.change_ids.is_empty() && !may_be_written_late;
    pass.wait_seconds = pass.wait_seconds.min(LONGEST_WAIT_SECONDS);
    pass.problems = limit_findings(pass.problems);
    tracing::info!(
        restored = pass.restored,
        executions = ?pass.executions,
        problems = ?pass.problems,
        "{}",
        pass.message
    );
    to_json(&pass)
}

/// Rolls back one target, and adds the result to `pass`.
async fn roll_back(
    target: &RollbackTarget,
    earlier: Option<&EarlierPasses>,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut PassReport,
) -> Result<(), Error> {
    let zone = read_zone(services.route53, &target.hosted_zone_id).await?;
    let mut journals = select_journals(target, &zone, services).await?;
    if let Scope::Names { patterns, .. } = &target.scope {
        if let Some(earlier) = earlier {
            // A migration that has taken the names since the first pass is not part of this rollback.
            journals.retain_executions(&earlier.executions);
        }
        let earlier = earlier.map(|earlier| &earlier.executions);
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
/// Only the answer of this call names the held migrations that it restores; another attempt finds no journal
/// of them. So an error after the first of them is a problem of this pass, and a later pass repeats it.
async fn roll_back_held(
    alarm: &AlarmRequest,
    found: &RollbackTargets,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut PassReport,
) -> Result<(), Error> {
    let held = held_targets(alarm, &found.running, &found.ended, services.executions).await?;
    let held = with_journals(held, services).await;
    let mut first_error = None;
    let mut failed = Vec::new();
    let restored_before = pass.restored;
    for target in &held {
        if let Err(error) = roll_back_migration(target, services, pass).await {
            tracing::error!(%error, zone = %target.hosted_zone_id, "a held migration is not rolled back");
            failed.extend(target.migration().map(|it| (&it.name, error.to_string())));
            first_error.get_or_insert(error);
        }
    }
    match first_error {
        Some(error) if pass.restored == restored_before => Err(error),
        _ => {
            for (name, problem) in failed {
                pass.problems
                    .push(format!("execution {name} is not restored: {problem}"));
                pass.executions.insert(name.clone());
            }
            Ok(())
        }
    }
}

/// Rolls back all names of one migration, which is not running any more.
async fn roll_back_migration(
    target: &RollbackTarget,
    services: Services<'_, impl Route53, impl Executions>,
    pass: &mut PassReport,
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
    pass: &mut PassReport,
) -> Result<(), Error> {
    let decision = decide(target, zone, journals);

    pass.problems.extend(journals.problems.iter().cloned());
    let restored = write(target, decision, services.route53, pass).await?;

    let mut reports = Reports::new(
        services.executions,
        target,
        Journals::new(zone, services.key),
    );
    for entry in &journals.completed {
        reports.add_name(&entry.journal, Outcome::Completed);
    }
    for RestoredName { entry, differences } in restored {
        pass.restored += 1;
        pass.wait_seconds = pass.wait_seconds.max(zone.ttl_seconds(&entry.name));
        reports.add_restored_name(entry, differences);
    }
    match target.reaction {
        Reaction::Hold => {
            for entry in &journals.entries {
                reports.add_name(&entry.journal, Outcome::Held);
            }
        }
        Reaction::Rollback => {
            reports.add_remaining_names(&journals.entries);
            pass.executions
                .extend(rolled_back_executions(target, journals));
        }
    }
    pass.add_message(&summary(target, zone, &reports));
    let reports = reports.finish();
    emit_metrics(&reports);
    pass.migrations.extend(reports);
    Ok(())
}

/// What a pass writes in one zone.
struct Decision<'j, 'z> {
    restorations: Vec<NameChange>,
    /// The names of `restorations`.
    restored: Vec<RestoredName<'j, 'z>>,
    /// Delete the journals of completed migrations, in this order.
    deletions: Vec<NameChange>,
    /// Names that can't be restored.
    problems: Vec<String>,
}

struct RestoredName<'j, 'z> {
    entry: &'j JournalEntry<'z>,
    /// What differed from the journal, for people.
    differences: Vec<String>,
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
        restored: Vec::new(),
        deletions: deletions.collect(),
        problems: Vec::new(),
    };
    if target.reaction == Reaction::Hold {
        return decision;
    }
    for entry in &journals.entries {
        match restore(zone, entry) {
            Ok(Restoration { change, found }) => {
                decision.restorations.push(change);
                decision.restored.push(RestoredName {
                    entry,
                    differences: found,
                });
            }
            Err(problem) => decision.problems.push(problem.to_string()),
        }
    }
    decision
}

/// Writes the restorations, then the deletions. Returns the names that are restored.
async fn write<'j, 'z>(
    target: &RollbackTarget,
    decision: Decision<'j, 'z>,
    route53: &impl Route53,
    pass: &mut PassReport,
) -> Result<Vec<RestoredName<'j, 'z>>, Error> {
    let Decision {
        restorations,
        mut restored,
        deletions,
        problems,
    } = decision;
    pass.problems.extend(problems);
    let refused = apply_restorations(route53, target, restorations, pass).await?;
    restored.retain(|name| !refused.contains(&name.entry.name));
    // Not name by name after a refusal: the marked journal must be deleted last, because it shows an
    // interrupted deletion that the migration has completed.
    let applied = apply(
        route53,
        &target.hosted_zone_id,
        &target.comment(),
        deletions,
    )
    .await?;
    pass.add_applied(applied);
    Ok(restored)
}

/// Writes all restorations that Route 53 accepts. Returns the names whose restoration it refuses.
async fn apply_restorations(
    route53: &impl Route53,
    target: &RollbackTarget,
    restorations: Vec<NameChange>,
    pass: &mut PassReport,
) -> Result<BTreeSet<RecordName>, Error> {
    let AppliedInPart { applied, refused } = apply_in_part(
        route53,
        &target.hosted_zone_id,
        &target.comment(),
        restorations,
    )
    .await?;
    pass.add_applied(applied);
    for (name, refusal) in &refused {
        pass.problems
            .push(format!("{name} is not restored: {refusal}"));
    }
    Ok(refused.into_iter().map(|(name, _)| name).collect())
}

/// The executions that later passes roll back too.
fn rolled_back_executions(
    target: &RollbackTarget,
    journals: &SelectedJournals<'_>,
) -> BTreeSet<String> {
    match &target.scope {
        Scope::Migration(migration) => BTreeSet::from([migration.name.clone()]),
        Scope::Names { .. } => journals.executions(),
    }
}

impl PassReport {
    /// Adds a sentence about one target.
    fn add_message(&mut self, message: &str) {
        if !self.message.is_empty() {
            self.message.push_str("; ");
        }
        self.message.push_str(message);
        self.message = shortened(&self.message, LONGEST_MESSAGE);
    }

    fn add_applied(&mut self, applied: Applied) {
        let Applied {
            change_ids,
            lost_an_answer,
        } = applied;
        self.change_ids.extend(change_ids);
        if lost_an_answer {
            // Without the id of the change, only waiting can ensure that it is in sync.
            self.wait_seconds += PROPAGATION_SECONDS;
        }
    }
}
