//! The limits of an execution: the events of its history, its duration, and the size of the migration
//! that is passed from state to state.

use serde::Serialize;

use super::migration::Migration;
use crate::Error;
use crate::error::{InvalidInput, NoSuchPair};
use crate::input::Input;
use crate::json::to_json;
use crate::route53::PROPAGATION_SECONDS;

/// The number of counted events at which the migration state machine stops by itself, so that it can
/// still roll back or hold.
///
/// Step Functions ends an execution at 25,000 events, and no Catch runs then. The 3,000 between are for
/// what the state machine does not count, since its counter has the health checks and polls only: the
/// other states of the steps, retries (3 events each), and the states that end the execution, such as
/// those of a rollback (about 20 events).
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const HISTORY_BUDGET: usize = 22_000;
/// The events of one poll: of the zone for records, of the probe, or of the alarms before the start.
///
/// A Task has 5 events; a Choice, Wait or Pass has 2. So a poll has 5 (Task) + 2 (Choice) + 2 (Wait) = 9,
/// rounded up to leave room for a retry.
pub const EVENTS_OF_A_POLL: usize = 12;
/// The events of one health check, rounded up in the same way:
///
/// | state | events |
/// |---|---|
/// | Check health (Parallel) | 4 |
/// | Check alarms | 5 |
/// | Probe needed?, Probe again | 2 + 5 |
/// | Confirm weights | 5 |
/// | Judge health, Healthy?, Wait before the next check | 2 + 2 + 2 |
/// | sum | 27 |
pub const EVENTS_OF_A_CHECK: usize = 40;
/// The events of one step without its health checks, rounded up in the same way:
///
/// | state | events |
/// |---|---|
/// | Shift weight | 5 |
/// | Wait for Route 53, Confirm the change, In sync? | 2 + 5 + 2 |
/// | Announce the step, Wait out the TTL | 5 + 2 |
/// | More steps? | 2 |
/// | Ask for approval, and the health check after it | 5 + 27 |
/// | sum | 55 |
///
/// Without an approval there is room for more polls of Route 53 (9 events each).
pub const EVENTS_OF_A_STEP: usize = 60;
/// The `TimeoutSeconds` of the migration state machine: a week.
const LONGEST_MIGRATION_SECONDS: u64 = 604_800;
/// The maximum size of a migration as JSON, in bytes.
///
/// Step Functions limits the input and the output of a state to 256 KiB. A function's input and output
/// have at most a quarter of that (65,536 bytes), which leaves the rest to what the definitions add. The
/// input of a function is the migration and 9,536 bytes at most for the rest, such as the ids of changes.
///
/// Source: Step Functions Developer Guide, "Service quotas".
const LARGEST_MIGRATION: usize = 56_000;

/// What a migration waits for before it can be planned.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// What is missing.
    pub reason: String,
    /// The time until the zone is read again, in seconds.
    pub check_seconds: u32,
    /// The total time for which the zone is read again, in seconds.
    pub timeout_seconds: u32,
}

/// What to wait for after a plan failed because records of `to` are `missing`; none if `input` does not
/// ask to wait.
///
/// # Errors
/// [`InvalidInput::TooManyReads`] if the reads would exceed the events of an execution.
pub fn awaited(input: &Input, missing: &NoSuchPair) -> Result<Option<Awaited>, Error> {
    let timeout_seconds = input.records_timeout_seconds.get();
    let check_seconds = input.check_seconds.get();
    if timeout_seconds == 0 || input.dry_run {
        return Ok(None);
    }
    let polls = polls(timeout_seconds, check_seconds);
    let events = polls * EVENTS_OF_A_POLL;
    if events > HISTORY_BUDGET {
        return Err(Error::from(InvalidInput::TooManyReads {
            polls,
            check_seconds,
            events,
            budget: HISTORY_BUDGET,
        }));
    }
    Ok(Some(Awaited {
        reason: missing.to_string(),
        check_seconds,
        timeout_seconds,
    }))
}

/// The duration of the migration in seconds if every check passes, and the number of its health checks.
///
/// # Errors
/// [`InvalidInput::TooManyChecks`] or [`InvalidInput::TooLong`] if the migration exceeds the limits of an
/// execution.
pub(super) fn duration_and_checks(
    migration: &Migration,
    wait_seconds: u32,
    records_timeout_seconds: u32,
) -> Result<(u64, usize), Error> {
    let bakes = || migration.steps.iter().map(|step| step.bake_seconds);
    let checks: usize = bakes()
        .map(|bake| {
            1 + usize::try_from(bake.div_ceil(migration.check_seconds)).unwrap_or(usize::MAX)
        })
        .sum();
    let polls = 2 * polls(migration.ready_timeout_seconds, migration.check_seconds);
    let events = checks * EVENTS_OF_A_CHECK
        + migration.steps.len() * EVENTS_OF_A_STEP
        + polls * EVENTS_OF_A_POLL;
    if events > HISTORY_BUDGET {
        return Err(Error::from(InvalidInput::TooManyChecks {
            checks,
            check_seconds: migration.check_seconds,
            events,
            budget: HISTORY_BUDGET,
        }));
    }
    let seconds = bakes()
        .map(|bake| u64::from(PROPAGATION_SECONDS) + u64::from(wait_seconds) + u64::from(bake))
        .sum();
    let approvals = migration.steps.iter().filter(|step| step.approval);
    let longest = seconds
        + u64::from(records_timeout_seconds)
        // Once for the probe, and once for the alarms.
        + 2 * u64::from(migration.ready_timeout_seconds)
        + approvals
            .map(|_| u64::from(migration.approval_timeout_seconds))
            .sum::<u64>();
    if longest > LONGEST_MIGRATION_SECONDS {
        return Err(Error::from(InvalidInput::TooLong {
            seconds: longest,
            longest: LONGEST_MIGRATION_SECONDS,
        }));
    }
    Ok((seconds, checks))
}

/// Refuses a migration that is too large to be passed from state to state.
pub(super) fn reject_too_large(migration: &Migration) -> Result<(), Error> {
    let size = to_json(migration)?.to_string().len();
    if size > LARGEST_MIGRATION {
        return Err(Error::from(InvalidInput::TooManyNames {
            names: migration.names.len(),
            size,
            largest: LARGEST_MIGRATION,
        }));
    }
    Ok(())
}

/// The number of polls in `seconds`.
fn polls(seconds: u32, check_seconds: u32) -> usize {
    usize::try_from(seconds.div_ceil(check_seconds)).unwrap_or(usize::MAX)
}
