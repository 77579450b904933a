//! Finds migrations that ended without success and whose names are still at a step, although no rollback of
//! them has succeeded: because their status event was lost, or because their rollback failed, for example in an
//! outage of Route 53 that outlasted all of its retries.
//!
//! A schedule calls this. It costs one `ListExecutions` if nothing is wrong. Each execution that ended without
//! success costs further calls until it is known to be in order; an environment of the function remembers that.
//! The rollback itself is an execution of the rollback state machine, which is started only for a finding.

use std::time::{Duration, SystemTime};

use migration::Error;
use migration::executions::{Executions, Listed, RollbackStarts};
use migration::input::Reaction;
use migration::journal::SigningKeys;
use migration::json::{from_json, to_json};
use migration::route53::Route53;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::candidates::{LONGEST_AGO, MOST_CANDIDATES, retain_latest};
use crate::journals::select_journals;
use crate::memory::Memory;
use crate::request::{EndedExecution, deserialize_time};
use crate::services::Services;
use crate::targets::ended_execution_targets;
use crate::zones::Zones;

/// The time that the rollback by the status event gets first.
const GRACE: Duration = Duration::from_mins(15);
/// A rollback that fails has retried for almost an hour. After that the next one may be started.
const HOUR: u64 = 3_600;

/// The input of the schedule.
#[derive(Deserialize)]
struct SweepEvent {
    sweep: SweepRequest,
}

#[derive(Deserialize)]
struct SweepRequest {
    /// The time of the sweep, as EventBridge Scheduler gives it.
    #[serde(deserialize_with = "deserialize_time")]
    at: SystemTime,
}

/// What one sweep found.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct SweepReport {
    /// How many executions it has looked at more closely.
    pub candidates: usize,
    /// The migrations for which it has started the rollback state machine, or had done so already.
    pub found: Vec<String>,
}

/// Whether an event asks for a sweep.
pub fn is_sweep(event: &Value) -> bool {
    event.get("sweep").is_some()
}

/// Makes a sweep; the answer is a [`SweepReport`]. `memory` belongs to the environment of the function.
///
/// # Errors
/// [`Error::InvalidInput`] if the event can't be parsed; the first error of a call, after all executions were
/// looked at.
pub async fn sweep(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
    rollbacks: &impl RollbackStarts,
    keys: &impl SigningKeys,
    memory: &Memory,
) -> Result<Value, Error> {
    let SweepEvent {
        sweep: SweepRequest { at },
    } = from_json(event)?;
    let mut candidates = executions.list_latest().await?;
    candidates.retain(|it| is_candidate(it, at) && !memory.is_in_order(it));
    retain_latest(&mut candidates, MOST_CANDIDATES);
    let mut report = SweepReport {
        candidates: candidates.len(),
        found: Vec::new(),
    };
    if candidates.is_empty() {
        return to_json(&report);
    }
    let key = keys.signing_key().await?;
    let mut look = Look {
        services: Services {
            route53,
            executions,
            key: &key,
        },
        zones: Zones::new(route53),
    };
    let mut first_error = None;
    for candidate in &candidates {
        let found = async {
            match look.at(candidate).await? {
                Finding::InOrder => memory.keep_in_order(candidate),
                Finding::Unclear => {}
                Finding::AtAStep(reaction) => {
                    let name = rollback_name(&look.record(candidate), reaction, at);
                    let input = json!({"swept": {"execution": candidate.name}});
                    rollbacks.start_rollback(&name, &input).await?;
                    tracing::warn!(
                        execution = candidate.name,
                        rollback = name,
                        "names of an execution that has ended are still at a step"
                    );
                    report.found.push(candidate.name.clone());
                }
            }
            Ok(())
        };
        if let Err(error) = found.await {
            tracing::error!(%error, execution = candidate.name, "the sweep could not look at an execution");
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or_else(|| to_json(&report), Err)
}

fn is_candidate(listed: &Listed, at: SystemTime) -> bool {
    let age = listed.stopped_at.and_then(|it| at.duration_since(it).ok());
    listed.status.is_unsuccessful() && age.is_some_and(|age| (GRACE..=LONGEST_AGO).contains(&age))
}

/// What a sweep finds out about one execution.
enum Finding {
    /// Nothing is to be done for it any more, unless it is redriven.
    InOrder,
    /// It has journals, but the records are not as these say, or the journals are not trusted. A person decides.
    Unclear,
    /// Names are as its journals say. What the rollback does with them.
    AtAStep(Reaction),
}

struct Look<'a, R, E> {
    services: Services<'a, R, E>,
    zones: Zones<'a, R>,
}

impl<R: Route53, E: Executions> Look<'_, R, E> {
    async fn at(&mut self, candidate: &Listed) -> Result<Finding, Error> {
        let executions = self.services.executions;
        // First, because for most executions it is the only call.
        let record = self.record(candidate);
        if executions.is_rollback_recorded(&record).await? {
            return Ok(Finding::InOrder);
        }
        let ended = EndedExecution {
            name: candidate.name.clone(),
            status: None,
            stopped_at: None,
        };
        let found = ended_execution_targets(&ended, executions).await?;
        let Some(target) = found.targets.first() else {
            return Ok(Finding::InOrder);
        };
        let services = self.services;
        let zone = self.zones.get(&target.hosted_zone_id).await?;
        let journals = select_journals(target, zone, services).await?;
        Ok(if journals.is_empty() {
            Finding::InOrder
        } else if journals.entries.is_empty() && journals.completed.is_empty() {
            let problems = &journals.problems;
            tracing::warn!(execution = candidate.name, ?problems, "left to a person");
            Finding::Unclear
        } else {
            Finding::AtAStep(target.reaction)
        })
    }

    fn record(&self, listed: &Listed) -> String {
        let identity = self.services.identity(&listed.name, listed.started_at);
        identity.rollback_record(listed.redrive_count)
    }
}

/// The name of the rollback: one an hour, or one at all if it only announces that the migration holds. It can be
/// used once.
fn rollback_name(record: &str, reaction: Reaction, at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH);
    let hour = seconds.unwrap_or_default().as_secs() / HOUR;
    match reaction {
        Reaction::Rollback => format!("sweep-{record}-{hour}"),
        Reaction::Hold => format!("sweep-{record}-held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_rolled_back_once_an_hour_and_its_hold_announced_once() {
        let at = |minutes: u64| SystemTime::UNIX_EPOCH + Duration::from_mins(minutes);
        let name = |minutes, reaction| rollback_name("record", reaction, at(minutes));
        let first = name(60, Reaction::Rollback);
        assert_eq!(name(119, Reaction::Rollback), first);
        let others = [0, 59, 120, 180, 25 * 60].map(|minutes| name(minutes, Reaction::Rollback));
        assert!(!others.contains(&first), "{others:?}");
        assert_ne!(others[2], others[3]);
        assert_eq!(name(60, Reaction::Hold), name(6_000, Reaction::Hold));
        assert_ne!(name(60, Reaction::Hold), first);
    }
}
