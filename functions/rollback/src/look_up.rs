//! Decides for which alarms a rollback is started, with few calls: one look-up answers all alarms that fired
//! before it began.
//!
//! A migration that starts after an alarm fired is no reason to look again, because it checks its alarms
//! itself. So an answer is never stale, and an alarm waits at most [`SHORTEST_INTERVAL`].
//!
//! Step Functions permits 2 `ListExecutions` a second, in some Regions 5, and 100 or 200 at once. A look-up
//! takes four, one for each status.
//!
//! Source: Step Functions Developer Guide, "Service quotas".

use std::time::{Duration, SystemTime};

use migration::Error;
use migration::executions::Executions;

use crate::held::{has_started, holds};
use crate::memory::{LookUp, Memory};
use crate::request::AlarmRequest;

/// The shortest time from the beginning of a look-up to that of the next one.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(3);
/// By how much CloudWatch's clock, which gives the time of an alarm, may differ from that of the function.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(1);

/// How an alarm is answered.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    AnswerFromLast,
    LookUp,
    LookUpAfter(Duration),
}

/// How an alarm is answered that fired at `fired_at`. `last` is when the last look-up began, and whether it has
/// found out all.
pub(crate) fn next_step(
    fired_at: Option<SystemTime>,
    now: SystemTime,
    last: Option<(SystemTime, bool)>,
) -> Step {
    let Some((began, is_complete)) = last else {
        return Step::LookUp;
    };
    let age = fired_at.and_then(|fired_at| began.duration_since(fired_at).ok());
    if is_complete && age >= Some(CLOCK_DIFFERENCE) {
        return Step::AnswerFromLast;
    }
    // If the clock was set back, it is unknown how long ago that was.
    let elapsed = now.duration_since(began).unwrap_or(SHORTEST_INTERVAL);
    match SHORTEST_INTERVAL.checked_sub(elapsed) {
        None | Some(Duration::ZERO) => Step::LookUp,
        Some(rest) => Step::LookUpAfter(rest),
    }
}

impl LookUp {
    /// Whether a migration watches the alarm that was running when it fired.
    pub(crate) fn is_watched_by_running(&self, alarm: &AlarmRequest, memory: &Memory) -> bool {
        let mut running = self.running.iter();
        running.any(|it| {
            has_started(it, alarm) && memory.watches(it, &alarm.name, false) != Some(false)
        })
    }

    /// Whether a migration watches the alarm that holds, or that has ended since it fired.
    pub(crate) async fn is_watched_by_ended(
        &self,
        alarm: &AlarmRequest,
        executions: &impl Executions,
        memory: &Memory,
    ) -> Result<bool, Error> {
        for ended in self.ended.iter().filter(|it| has_started(it, alarm)) {
            let was_running = ended.stopped_at >= alarm.fired_at;
            if memory.watches(ended, &alarm.name, !was_running) == Some(false) {
                continue;
            }
            if was_running || holds(ended, executions, memory).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(1) + Duration::from_millis(millis)
    }

    fn step(fired_at: u64, now: u64, began: u64) -> Step {
        next_step(Some(at(fired_at)), at(now), Some((at(began), true)))
    }

    #[test]
    fn a_first_alarm_does_not_wait() {
        assert_eq!(next_step(Some(at(0)), at(100), None), Step::LookUp);
        assert_eq!(next_step(None, at(100), None), Step::LookUp);
    }

    #[test]
    fn an_alarm_that_fired_before_the_last_look_up_began_is_answered_from_it() {
        assert_eq!(step(0, 5_000, 1_000), Step::AnswerFromLast);
        assert_eq!(step(0, 1_500, 1_000), Step::AnswerFromLast);
        // The clocks may differ.
        assert_eq!(step(1, 5_000, 1_000), Step::LookUp);
    }

    #[test]
    fn a_later_alarm_waits_for_the_interval_between_two_look_ups() {
        assert_eq!(
            step(1_500, 1_600, 1_000),
            Step::LookUpAfter(Duration::from_millis(2_400))
        );
        assert_eq!(step(1_500, 4_000, 1_000), Step::LookUp);
        assert_eq!(step(1_500, 9_000, 1_000), Step::LookUp);
    }

    #[test]
    fn a_look_up_that_failed_answers_nothing_but_counts_for_the_interval() {
        let next = |now| next_step(Some(at(0)), at(now), Some((at(1_500), false)));
        assert_eq!(next(2_000), Step::LookUpAfter(Duration::from_millis(2_500)));
        assert_eq!(next(4_500), Step::LookUp);
    }

    #[test]
    fn an_alarm_without_a_time_is_looked_up() {
        assert_eq!(
            next_step(None, at(9_000), Some((at(1_000), true))),
            Step::LookUp
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_wait() {
        assert_eq!(step(1_500, 500, 1_000), Step::LookUp);
    }
}
