//! How many of the executions that have ended one call looks at more closely.

use std::cmp::Reverse;
use std::time::Duration;

use migration::executions::Listed;

/// The most executions that one call describes, the latest first. `DescribeExecution` is limited to 10 or 15
/// calls a second for the whole account.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub(crate) const MOST_CANDIDATES: usize = 100;
/// How long ago an execution may have ended, at most: 30 days, as long as a migration can run
/// (`TimeoutSeconds` of its state machine).
pub(crate) const LONGEST_AGO: Duration = Duration::from_hours(30 * 24);

/// Retains the latest `most` executions, the one that has ended last first.
pub(crate) fn retain_latest(executions: &mut Vec<Listed>, most: usize) {
    executions.sort_by_key(|it| Reverse(it.stopped_at));
    executions.truncate(most);
}
