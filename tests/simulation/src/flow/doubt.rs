//! An observer's own failure is doubt, whatever its name. Other Tasks outlast three minutes of it.

use std::time::Duration;

use serde_json::json;

use super::{COMPLETED, FOR_GOOD, Flow, MINUTE};

const OBSERVERS: [&str; 3] = ["check-alarms", "probe", "shift-weight"];

/// Errors of AWS Lambda for its own failures, and one that does not exist yet.
///
/// Source: Step Functions Developer Guide, "Best practices for Step Functions"; Lambda Developer Guide,
/// "Troubleshoot invocation issues in Lambda".
const ERRORS: [&str; 6] = [
    "Lambda.ResourceNotReadyException",
    "Lambda.EC2ThrottledException",
    "Runtime.OutOfMemory",
    "Sandbox.Timedout",
    "States.Timeout",
    "NotYetInvented",
];

/// Three minutes, the time that every Task has to outlast.
const THREE_MINUTES: Duration = Duration::from_mins(3);

#[test]
pub(super) fn an_observers_own_failure_during_a_bake_is_doubt() {
    for observer in OBSERVERS {
        for error in ERRORS {
            for time in [Duration::from_secs(1), 5 * MINUTE] {
                let mut flow = Flow::start(&json!({"maxBakeSeconds": 3600}));
                flow.until_step(10, "Bake");
                flow.world.fail_calls(observer, error, time);
                let ended = flow.end();
                ended.expect(COMPLETED, 100);
                assert_eq!(
                    ended.watches.len(),
                    6,
                    "{observer} {error}: executions of watch"
                );
            }
        }
    }
}

/// A pass is needed at the end of a bake. Without one, the migration does not wait for ever.
#[test]
pub(super) fn doubt_that_remains_ends_the_bake_after_max_bake_seconds() {
    for observer in OBSERVERS {
        let mut flow = Flow::start(&json!({"maxBakeSeconds": 900}));
        flow.until_step(10, "Bake");
        flow.world
            .fail_calls(observer, "Lambda.Unknown", 20 * MINUTE);
        let ended = flow.end();
        ended
            .expect("HealthCheckFailed", 0)
            .expect_within(17 * MINUTE);
        ended.expect_cause("still inconclusive after 900 seconds");
    }
}

/// A failure counts in every phase, also if another observer can't tell.
#[test]
pub(super) fn doubt_does_not_hide_a_failure() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world
        .fail_calls("check-alarms", "Lambda.Unknown", FOR_GOOD);
    flow.wait(Duration::from_secs(70));
    flow.world.become_unhealthy();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_within(2 * MINUTE);
}

#[test]
pub(super) fn a_final_error_of_an_observer_ends_the_bake() {
    for (observer, error) in [
        ("check-alarms", "AlarmNotFound"),
        ("probe", "NotPermitted"),
        ("shift-weight", "NotPermitted"),
    ] {
        let mut flow = Flow::start(&json!({}));
        flow.until_step(10, "Bake");
        flow.world.fail_calls(observer, error, 10 * MINUTE);
        let ended = flow.end();
        assert_eq!(ended.end, error, "{observer}: {}", ended.cause);
        assert_eq!(ended.percent, 0);
    }
}

/// Nothing is lost before the first shift, so the migration waits.
#[test]
pub(super) fn an_observers_own_failure_before_the_start_is_doubt() {
    for observer in ["check-alarms", "probe"] {
        for error in ERRORS {
            for time in [Duration::from_secs(1), 10 * MINUTE] {
                let mut flow = Flow::start(&json!({}));
                flow.until_state("Announce the start");
                flow.world.fail_calls(observer, error, time);
                flow.end().expect(COMPLETED, 100);
            }
        }
    }
}

#[test]
pub(super) fn every_task_outlasts_three_minutes_of_any_error() {
    for (function, state) in [
        ("shift-weight", "Plan the migration"),
        ("probe", "Probe the new side"),
        ("check-alarms", "Check alarms before the start"),
        ("shift-weight", "Shift weight"),
        ("shift-weight", "Complete the migration"),
    ] {
        for error in ERRORS {
            let mut flow = Flow::start(&json!({"readyTimeoutSeconds": 0}));
            flow.until_state(state);
            flow.fail_calls_now(function, error, THREE_MINUTES);
            let ended = flow.end();
            assert_eq!(ended.end, COMPLETED, "{state}, {error}: {}", ended.cause);
        }
    }
}

/// Nothing else restores the weights.
#[test]
pub(super) fn a_rollback_outlasts_forty_minutes_of_any_error() {
    for error in ERRORS {
        let mut flow = Flow::start(&json!({}));
        flow.until_step(10, "Bake");
        flow.world.fail_calls("rollback", error, 40 * MINUTE);
        flow.world.become_unhealthy();
        let ended = flow.end();
        ended.expect("HealthCheckFailed", 0);
        ended.expect_statuses(&["Started", "StepReached", "RolledBack"]);
    }
}
