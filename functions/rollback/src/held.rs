//! Finds the held migrations that an alarm rolls back.
//!
//! Nothing runs for a held migration, so that only its journals, its execution's error and its input tell
//! that it holds and which alarms it watches. `ListExecutions` gives neither error nor input, so each
//! candidate costs one `DescribeExecution`. So the candidates are limited: [`MOST_CANDIDATES`], the latest
//! first, of the last [`LONGEST_AGO`]. An alarm does not roll back a migration that has held for longer.
//!
//! Calls for one alarm: `ListExecutions` once for each of three statuses; `DescribeExecution` for each
//! candidate whose input is not in [`Memory`], and for each that watches the alarm; `GetExecutionHistory` for
//! each that was aborted or timed out and watches the alarm; and one read of each zone in which a migration
//! that watches the alarm has held.

use std::collections::BTreeSet;
use std::time::SystemTime;

use migration::Error;
use migration::dns::Zone;
use migration::executions::{
    EndedStatus, Execution, Executions, HOLDING, Listed, NOT_STARTED, Status,
};
use migration::input::Reaction;
use migration::journal::Journals;
use migration::route53::Route53;
use migration::text::shortened;

use crate::candidates::{LONGEST_AGO, MOST_CANDIDATES, retain_latest};
use crate::memory::Memory;
use crate::request::AlarmRequest;
use crate::services::Services;
use crate::targets::{
    HELD, LONGEST_REASON, MigrationScope, ROLLBACK_FAILED, RollbackTarget, STOPPED,
    STOPPED_BY_ACTION, Scope,
};
use crate::zones::Zones;

/// The migrations that hold and watch the alarm, unless they hold whatever their alarms say
/// (`onFailure: "hold"`). `running` are the executions that were running when the alarm fired, and `ended`
/// those among them that had ended by themselves. Some targets may have no journal left.
pub(crate) async fn held_targets(
    alarm: &AlarmRequest,
    running: &BTreeSet<String>,
    ended: &BTreeSet<String>,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<Vec<RollbackTarget>, Error> {
    let mut targets = Vec::new();
    for name in candidates(alarm, running, ended, executions, memory).await? {
        let Some(execution) = executions.describe(&name).await? else {
            continue;
        };
        let migration = MigrationScope::described(name, &execution);
        let watching = migration.input.as_ref().filter(|input| {
            input.alarms.watch(&alarm.name) && input.on_failure == Reaction::Rollback
        });
        let Some(input) = watching else { continue };
        if !is_held(&migration.name, &execution, executions).await? {
            continue;
        }
        targets.push(RollbackTarget {
            hosted_zone_id: input.hosted_zone_id.clone(),
            reaction: Reaction::Rollback,
            reason: format!(
                "{} (the migration was held)",
                shortened(&alarm.reason, LONGEST_REASON)
            ),
            scope: Scope::Migration(Box::new(migration)),
        });
    }
    Ok(targets)
}

/// The names of the executions that may hold and watch the alarm.
async fn candidates(
    alarm: &AlarmRequest,
    running: &BTreeSet<String>,
    ended: &BTreeSet<String>,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<Vec<String>, Error> {
    let mut latest = ended_executions(alarm.fired_at, executions).await?;
    latest.retain(|it| has_started(it, alarm) && !running.contains(&it.name));
    retain_latest(&mut latest, MOST_CANDIDATES.saturating_sub(ended.len()));
    memory.learn(&latest, executions).await?;
    latest.retain(|it| memory.watches(it, &alarm.name, true) != Some(false));
    // The lists may not show yet that those in `ended` have ended.
    let ended = ended.iter().cloned();
    Ok(ended.chain(latest.into_iter().map(|it| it.name)).collect())
}

/// Whether an execution had started when the alarm fired.
pub(crate) fn has_started(listed: &Listed, alarm: &AlarmRequest) -> bool {
    alarm
        .fired_at
        .is_none_or(|fired_at| listed.started_at <= fired_at)
}

/// The executions that may hold now, the latest first.
pub(crate) async fn latest_ended(
    now: SystemTime,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<Vec<Listed>, Error> {
    let mut latest = ended_executions(Some(now), executions).await?;
    retain_latest(&mut latest, MOST_CANDIDATES);
    memory.learn(&latest, executions).await?;
    Ok(latest)
}

/// The executions that have ended without success not too long before `until`.
async fn ended_executions(
    until: Option<SystemTime>,
    executions: &impl Executions,
) -> Result<Vec<Listed>, Error> {
    let since = until.and_then(|until| until.checked_sub(LONGEST_AGO));
    let mut ended = Vec::new();
    for status in [
        EndedStatus::Failed,
        EndedStatus::Aborted,
        EndedStatus::TimedOut,
    ] {
        ended.extend(executions.list_ended(status, since).await?);
    }
    Ok(ended)
}

/// Whether an execution that has ended counts for its alarms: it holds, or it runs again.
pub(crate) async fn holds(
    ended: &Listed,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<bool, Error> {
    if let Some(is_held) = memory.is_held(ended) {
        return Ok(is_held);
    }
    let Some(execution) = executions.describe(&ended.name).await? else {
        return Ok(false);
    };
    if execution.is_running() {
        return Ok(true);
    }
    let is_held = is_held(&ended.name, &execution, executions).await?;
    memory.keep_held(ended, is_held);
    Ok(is_held)
}

/// Whether an execution has left its names at a step because it held, or because its rollback failed.
async fn is_held(
    name: &str,
    execution: &Execution,
    executions: &impl Executions,
) -> Result<bool, Error> {
    let Status::Unsuccessful(ended_as) = execution.status else {
        return Ok(false);
    };
    let cause = execution.cause.as_deref().unwrap_or_default();
    if cause.ends_with(NOT_STARTED) {
        return Ok(false);
    }
    Ok(match execution.error.as_deref() {
        Some(HELD | ROLLBACK_FAILED) => true,
        // Its names are being restored, or were.
        Some(STOPPED | STOPPED_BY_ACTION) => false,
        // An execution that failed has ended in a state of its own choice. Another one may have been announcing
        // its hold.
        _ => {
            ended_as != EndedStatus::Failed
                && executions.state(name).await?.as_deref() == Some(HOLDING)
        }
    })
}

/// Those of the targets that have journals left, or whose zone can't be read now. The others were rolled
/// back or continued since, or wrote nothing.
pub(crate) async fn with_journals(
    targets: Vec<RollbackTarget>,
    services: Services<'_, impl Route53, impl Executions>,
) -> Vec<RollbackTarget> {
    let mut zones = Zones::new(services.route53);
    let mut retained = Vec::new();
    for target in targets {
        let is_retained = match zones.get(&target.hosted_zone_id).await {
            Ok(zone) => has_journals(&target, zone, services),
            // Without the zone there is nothing to restore.
            Err(Error::NoSuchHostedZone(_)) => false,
            Err(_) => true,
        };
        if is_retained {
            retained.push(target);
        }
    }
    retained
}

fn has_journals(
    target: &RollbackTarget,
    zone: &Zone,
    services: Services<'_, impl Route53, impl Executions>,
) -> bool {
    let journals = Journals::new(zone, services.key);
    let mut entries = zone
        .journaled_names()
        .filter_map(|name| journals.at(&name).ok()?);
    target
        .migration()
        .is_some_and(|migration| entries.any(|it| migration.is(&it.journal.execution, services)))
}
