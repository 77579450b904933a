//! The limits of an execution: the events of its history, its duration, and the size of the migration
//! that is passed from state to state.

use serde::Serialize;

use super::migration::Migration;
use crate::Error;
use crate::change::Calls;
use crate::error::InvalidInput;
use crate::input::Input;
use crate::json::to_json;
use crate::route53::PROPAGATION_SECONDS;

/// The number of counted events at which the migration state machine stops by itself, so that it can
/// still roll back or hold.
///
/// Step Functions ends an execution at 25,000 events, and no Catch runs then. The 3,000 between are for
/// what the state machine does not count, since its counter has the polls before the first shift only:
/// the steps, retries (3 events each), and the states that end the execution, such as those of a rollback
/// (about 20 events). Health is checked by executions of the state machine `watch`, whose events are their
/// own.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const HISTORY_BUDGET: usize = 22_000;
/// The events of one poll: of the zone for records, of the probe, or of the alarms before the start.
///
/// A Task has 5 events; a Choice, Wait or Pass has 2. So a poll has 5 (Task) + 2 (Choice) + 2 (Wait) = 9,
/// rounded up to leave room for a retry. A poll that fails after all of its retries has more events. The
/// definition counts those too, and ends the wait before its history is full.
pub const EVENTS_OF_A_POLL: usize = 12;
/// The events of one step, rounded up:
///
/// | state | events |
/// |---|---|
/// | Shift weight, All names shifted? | 5 + 2 |
/// | Confirm the change, Wait out the TTL, Bake, Ask for approval, Check health once more | 5 × 6 |
/// | a second watch for each of these five | 5 × 4 |
/// | Approval needed? (twice), More steps? | 3 × 2 |
/// | sum | 63 |
pub const EVENTS_OF_A_STEP: usize = 70;
/// The events of each further call that a shift of many names takes, rounded up: 5 + 2 of the two states
/// above, 6 of Check health during the shift, 4 of a second watch, and 2 of Wait for Route 53's limits.
pub const EVENTS_OF_A_FURTHER_CALL: usize = 25;
/// The longest migration: nine tenths of the 30 days (2,592,000 seconds) after which the migration state
/// machine times out. The waits of a migration are counted here and not the calls between them, which take
/// the rest.
const LONGEST_MIGRATION_SECONDS: u64 = 2_332_800;
/// How long the state machine `watch` waits until Route 53 has propagated a change.
const LONGEST_PROPAGATION_SECONDS: u64 = 900;
/// The time between two looks until Route 53 has propagated a change, at most.
const PROPAGATION_CHECK_SECONDS: u32 = 10;
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

/// What to wait for after a plan failed with `problem`; none if anything but records of `to` stands in its way, or
/// if `input` does not ask to wait.
///
/// # Errors
/// [`InvalidInput::TooManyReads`] if the reads would exceed the events of an execution.
pub fn awaited(input: &Input, problem: &Error) -> Result<Option<Awaited>, Error> {
    let timeout_seconds = input.records_timeout_seconds.get();
    let check_seconds = input.check_seconds.get();
    if timeout_seconds == 0 || input.dry_run || !problem.is_missing_to() {
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
        reason: problem.message(),
        check_seconds,
        timeout_seconds,
    }))
}

/// The duration of the migration in seconds if every check passes, and the number of its health checks.
///
/// # Errors
/// [`InvalidInput::TooManyPolls`] or [`InvalidInput::TooLong`] if the migration could exceed the limits of
/// an execution.
pub(super) fn duration_and_checks(
    migration: &Migration,
    wait_seconds: u32,
    records_timeout_seconds: u32,
    calls_of_steps: &[Calls],
) -> Result<(u64, usize), Error> {
    let check_seconds = migration.check_seconds;
    // While the alarms are not quiet, the probe is repeated with each of their checks.
    let polls = 2 * polls(migration.ready_timeout_seconds, check_seconds);
    let calls: usize = calls_of_steps.iter().map(|calls| calls.count).sum();
    let further_calls: usize = further_calls(calls_of_steps);
    let events = migration.steps.len() * EVENTS_OF_A_STEP
        + further_calls * EVENTS_OF_A_FURTHER_CALL
        + polls * EVENTS_OF_A_POLL;
    if events > HISTORY_BUDGET {
        return Err(Error::from(InvalidInput::TooManyPolls {
            polls,
            check_seconds,
            calls,
            events,
            budget: HISTORY_BUDGET,
        }));
    }
    let writing: u64 = calls_of_steps
        .iter()
        .map(|calls| u64::from(calls.seconds))
        .sum();
    let longest = writing + longest_seconds(migration, wait_seconds, records_timeout_seconds);
    if longest > LONGEST_MIGRATION_SECONDS {
        return Err(Error::from(InvalidInput::TooLong {
            seconds: longest,
            longest: LONGEST_MIGRATION_SECONDS,
            steps: migration.steps.len(),
            max_bake_seconds: migration.max_bake_seconds,
            approvals: migration.steps.iter().filter(|step| step.approval).count(),
            approval_timeout_seconds: migration.approval_timeout_seconds,
        }));
    }
    let phases = migration.steps.iter().flat_map(|step| {
        [
            (
                PROPAGATION_SECONDS,
                check_seconds.min(PROPAGATION_CHECK_SECONDS),
            ),
            (wait_seconds, check_seconds),
            (step.bake_seconds, check_seconds),
        ]
    });
    let (mut seconds, mut checks) = (writing, further_calls);
    for (phase_seconds, check_seconds) in phases {
        seconds += u64::from(phase_seconds);
        checks += 1 + self::polls(phase_seconds, check_seconds);
    }
    Ok((seconds, checks))
}

/// How many calls the steps take more than one each.
pub(super) fn further_calls(calls_of_steps: &[Calls]) -> usize {
    let further = calls_of_steps
        .iter()
        .map(|calls| calls.count.saturating_sub(1));
    further.sum()
}

/// The time that a migration takes if everything waits for as long as the input permits, in seconds. After
/// an approval, health is checked once more, which may take as long as a bake.
fn longest_seconds(migration: &Migration, wait_seconds: u32, records_timeout_seconds: u32) -> u64 {
    let max_bake_seconds = u64::from(migration.max_bake_seconds);
    let step = LONGEST_PROPAGATION_SECONDS + u64::from(wait_seconds) + max_bake_seconds;
    let approval = u64::from(migration.approval_timeout_seconds) + max_bake_seconds;
    let steps = migration
        .steps
        .iter()
        .map(|it| step + if it.approval { approval } else { 0 });
    u64::from(records_timeout_seconds)
        + u64::from(migration.ready_timeout_seconds)
        + steps.sum::<u64>()
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
