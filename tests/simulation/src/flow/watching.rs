//! The state machine `watch`: lost, replaced, continued as another execution, and no longer needed.

use std::time::Duration;

use expect_test::expect_file;
use interpreter::{End, MOST_EVENTS};
use serde_json::{Value, json};

use super::{CALLS, COMPLETED, DAY, Flow, MINUTE, RUN};
use crate::machines::WATCH;
use crate::world::{Approval, World};

/// The time after which a `watch` without heartbeats is lost.
const HEARTBEAT: Duration = Duration::from_mins(13);

/// The number of executions of `watch` that run.
fn running(world: &World) -> usize {
    let watches = world.watches(RUN);
    watches
        .iter()
        .filter(|(_, watch)| watch.end.is_none())
        .count()
}

#[test]
pub(super) fn a_watch_that_is_stopped_is_replaced() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.wait(MINUTE);
    flow.stop_watch();
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    assert_eq!(ended.watches.len(), 7, "executions of watch");
}

/// The other one finds what has happened meanwhile.
#[test]
pub(super) fn a_side_that_dies_while_nothing_watches_is_rolled_back() {
    let mut flow = Flow::start(&json!({"bakeSeconds": 7200}));
    flow.until_step(10, "Bake");
    flow.wait(MINUTE);
    flow.stop_watch();
    flow.world.become_unhealthy();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_within(HEARTBEAT + MINUTE);
}

/// `watch` is replaced once, and then `onFailure` acts.
#[test]
pub(super) fn on_failure_decides_after_two_lost_watches() {
    for (on_failure, others, end, percent) in [
        ("rollback", "hold", "StepFunctions.HeartbeatTimeout", 0),
        ("hold", "rollback", "Held", 10),
    ] {
        let mut flow = Flow::start(&json!({
            "onFailure": on_failure, "onDrift": others, "onRefusal": others, "bakeSeconds": 7200,
        }));
        flow.until_step(10, "Bake");
        for _ in 0..2 {
            flow.until("a watch", |world| running(world) == 1);
            flow.wait(Duration::from_secs(30));
            flow.stop_watch();
        }
        let ended = flow.end();
        ended
            .expect(end, percent)
            .expect_within(HEARTBEAT + 3 * MINUTE);
        ended.expect_cause("two of its executions sent no heartbeat");
    }
}

#[test]
pub(super) fn a_watch_that_can_not_be_started_is_started_later() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Shift weight");
    let error = "StepFunctions.ExecutionLimitExceeded";
    flow.world.fail_calls("StartExecution", error, 3 * MINUTE);
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn on_failure_decides_if_watch_can_not_be_started() {
    for (on_failure, others, end, percent) in [
        (
            "rollback",
            "hold",
            "StepFunctions.ExecutionLimitExceeded",
            0,
        ),
        ("hold", "rollback", "Held", 100),
    ] {
        let mut flow = Flow::start(&json!({
            "onFailure": on_failure, "onDrift": others, "onRefusal": others,
        }));
        flow.until_step(10, "Bake");
        flow.until_state("Shift weight");
        let error = "StepFunctions.ExecutionLimitExceeded";
        flow.world.fail_calls("StartExecution", error, 5 * MINUTE);
        let ended = flow.end();
        ended.expect(end, percent);
        ended.expect_cause("watch could not be started");
    }
}

/// Its call may be answered, but the execution may fail at once, for example at its first heartbeat.
#[test]
pub(super) fn a_watch_that_fails_at_once_is_replaced() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world
        .fail_calls("SendTaskHeartbeat", "Sfn.SdkClientException", 6 * MINUTE);
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    let failed = ended
        .watches
        .iter()
        .filter(|it| matches!(it.end, Some(End::Failed(_))));
    assert_eq!(failed.count(), 1);
}

/// A look sends a heartbeat, so a long phase needs only one execution.
#[test]
pub(super) fn a_watch_that_looks_is_not_replaced() {
    let flow = Flow::start(&json!({"bakeSeconds": 7200}));
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    assert_eq!(ended.watches.len(), 6, "executions of watch");
}

/// Step Functions does not stop it with its parent.
#[test]
pub(super) fn a_watch_ends_when_its_migration_is_aborted() {
    for state in [
        "Confirm the change",
        "Wait out the TTL",
        "Bake",
        "Ask for approval",
    ] {
        let steps = json!([{"percent": 10, "approval": true}, 100]);
        let mut flow = Flow::start(&json!({"steps": steps, "bakeSeconds": 3600}));
        *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::None));
        flow.until_step(10, state);
        flow.until("a watch", |world| running(world) == 1);
        flow.world.abort(RUN);
        let start = flow.world.clock.elapsed();
        flow.until("the end of watch", |world| running(world) == 0);
        let took = flow.world.clock.elapsed().checked_sub(start).unwrap();
        assert!(took <= MINUTE + CALLS, "{state}: {took:?}");
        let ended = flow.end();
        for watch in &ended.watches {
            let is_success = matches!(watch.end, Some(End::Succeeded(_)));
            assert!(is_success, "{state}: {:?}", watch.end);
        }
    }
}

/// Its answer would come too late, and must not be an error that an alarm of the stack counts.
#[test]
pub(super) fn a_watch_ends_when_an_operator_has_answered() {
    let mut flow = Flow::start(&json!({"bakeSeconds": 3600}));
    flow.until_step(10, "Bake");
    flow.wait(10 * MINUTE);
    flow.promote();
    let ended = flow.end();
    for watch in &ended.watches {
        assert!(
            matches!(watch.end, Some(End::Succeeded(_))),
            "{:?}",
            watch.end
        );
    }
}

/// The history of the migration does not grow with the checks, of which there are 4,320.
#[test]
pub(super) fn a_migration_that_bakes_for_three_days_has_a_short_history() {
    let bake = 86_400;
    let mut flow = Flow::start(&json!({
        "steps": [
            {"percent": 10, "bakeSeconds": bake},
            {"percent": 50, "bakeSeconds": bake},
            {"percent": 100, "bakeSeconds": bake},
        ],
        "maxBakeSeconds": 172_800,
    }));
    flow.longest = 4 * DAY;
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    // The time of the looks themselves is not counted.
    ended.expect_within(3 * DAY + 30 * MINUTE);
    assert!(ended.migration.events < 200, "{}", ended.migration.events);
    let most = ended.watches.iter().map(|watch| watch.events).max();
    assert!(most < Some(MOST_EVENTS), "{most:?}");
}

#[test]
pub(super) fn a_watch_goes_on_as_another_execution_before_its_history_is_full() {
    let bake = 30_000;
    let mut flow =
        Flow::start(&json!({"steps": [100], "bakeSeconds": bake, "maxBakeSeconds": 40_000}));
    flow.longest = Duration::from_hours(10);
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    ended.expect_within(Duration::from_secs(bake) + 5 * MINUTE);
    let most = ended.watches.iter().map(|watch| watch.events).max();
    assert!(most < Some(MOST_EVENTS), "{most:?}");
    assert_eq!(ended.watches.len(), 4, "executions of watch");
    let is_success = |end: &Option<End>| matches!(end, Some(End::Succeeded(_)));
    assert!(ended.watches.iter().all(|watch| is_success(&watch.end)));
}

/// What a `watch` knows goes on to the next one.
#[test]
pub(super) fn failures_are_counted_over_the_executions_of_a_watch() {
    let mut flow = Flow::start(&json!({
        "steps": [{"percent": 10, "approval": true}, 100], "failureThreshold": 2,
    }));
    *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::None));
    flow.until_step(10, "Ask for approval");
    flow.world.is_healthy.set(false);
    flow.wait(CALLS);
    flow.world.is_healthy.set(true);
    let first = flow.world.watches(RUN).len();
    flow.until("the next watch", |world| world.watches(RUN).len() > first);
    flow.wait(CALLS);
    flow.world.is_healthy.set(false);
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_within(MINUTE);
}

#[test]
pub(super) fn an_approval_that_is_pending_for_hours_is_asked_for_once() {
    let mut flow = Flow::start(&json!({
        "steps": [{"percent": 10, "approval": true}, 100], "approvalTimeoutSeconds": 86_400,
    }));
    *flow.world.approvals.borrow_mut() = Box::new(|| (13 * 60 * MINUTE, Approval::Given));
    flow.until_step(10, "Ask for approval");
    let ended = flow.end();
    ended.expect(COMPLETED, 100).expect_statuses(&[
        "Started",
        "StepReached",
        "ApprovalRequested",
        "StepReached",
        "Completed",
    ]);
    ended.expect_within(14 * 60 * MINUTE);
}

/// The token of a `watch` that was stopped is no longer accepted, so a person is asked again.
#[test]
pub(super) fn a_watch_that_is_lost_while_an_approval_is_pending_asks_again() {
    let mut flow = Flow::start(&json!({"steps": [{"percent": 10, "approval": true}, 100]}));
    let mut answers = vec![(MINUTE, Approval::Given), (MINUTE, Approval::None)];
    *flow.world.approvals.borrow_mut() = Box::new(move || answers.pop().unwrap());
    flow.until_step(10, "Ask for approval");
    flow.wait(2 * MINUTE);
    flow.stop_watch();
    flow.end().expect(COMPLETED, 100).expect_statuses(&[
        "Started",
        "StepReached",
        "ApprovalRequested",
        "ApprovalRequested",
        "StepReached",
        "Completed",
    ]);
}

/// A migration keeps its definition for up to 30 days, while `watch` is updated. The file has what
/// migrations of version 1 give to `watch`; it must not change. A later version gets another file.
#[test]
pub(super) fn watch_accepts_the_input_of_earlier_migrations() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.until("a watch", |world| running(world) == 1);
    let token = flow.world.token(RUN).unwrap();
    let mut watches = flow.world.watches(RUN).into_iter();
    let running = watches.find(|(_, watch)| watch.end.is_none());
    let mut today = running.unwrap().1.input;
    today["token"] = json!("token");
    expect_file!["watch-input-1.json"].assert_eq(&format!("{today:#}\n"));

    // The same bake, watched by the input in the file.
    flow.stop_watch();
    let mut earlier: Value = serde_json::from_str(include_str!("watch-input-1.json")).unwrap();
    earlier["token"] = json!(token);
    flow.world
        .step_functions
        .start(WATCH, None, &earlier)
        .unwrap();
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    assert_eq!(ended.watches.len(), 7, "executions of watch");
    ended.expect_within(Duration::from_secs(320));
}
