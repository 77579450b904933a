//! Changes that Route 53 has accepted and does not know any more.

use std::time::Duration;

use serde_json::json;

use super::{COMPLETED, Flow, MINUTE};
use crate::world::World;

/// More than a history asks for.
const ALL: usize = 50;

/// How often executions have entered a state.
fn entries(world: &World, state: &str) -> usize {
    let entered = world.entered.borrow();
    entered.iter().filter(|(_, it)| it == state).count()
}

/// Each change is asked for twice: it is pending, and then in sync.
#[test]
pub(super) fn a_lost_change_is_made_again() {
    for is_stranded in [false, true] {
        for number in 0..4 {
            let flow = Flow::start(&json!({}));
            let world = flow.world.clone();
            world.lose_change_asked_for(number, is_stranded);
            let mut flow = flow;
            let ended = flow.ended();
            ended.expect(COMPLETED, 100);
            assert_eq!(entries(&world, "Shift weight"), 3, "{}", flow.timeline());
            assert_eq!(world.route53.batches().len(), 3, "{}", flow.timeline());
            flow.end();
        }
    }
}

#[test]
pub(super) fn a_change_that_is_lost_each_time_is_made_four_times() {
    for (on_failure, end, percent) in [("rollback", "ChangeLost", 0), ("hold", "Held", 10)] {
        let mut flow = Flow::start(&json!({"onFailure": on_failure}));
        let world = flow.world.clone();
        for number in 0..ALL {
            world.lose_change_asked_for(number, false);
        }
        let ended = flow.ended();
        ended.expect(end, percent);
        ended.expect_cause("NoSuchChange");
        assert_eq!(entries(&world, "Shift weight"), 4);
    }
}

#[test]
pub(super) fn lost_changes_of_another_step_do_not_count() {
    let flow = Flow::start(&json!({}));
    let world = flow.world.clone();
    // Three of the first step, which is then asked for twice, and three of the second.
    for number in [0, 1, 2, 5, 6, 7] {
        world.lose_change_asked_for(number, true);
    }
    flow.end().expect(COMPLETED, 100);
    assert_eq!(entries(&world, "Shift weight"), 8);
}

/// Making it again gives the new side traffic.
#[test]
pub(super) fn a_lost_change_is_not_made_again_directly_after_a_failure() {
    let mut flow = Flow::start(&json!({"failureThreshold": 3}));
    let world = flow.world.clone();
    world.lose_change_asked_for(0, true);
    flow.until_state("Confirm the change");
    world.become_unhealthy();
    flow.until("a failed look", |world| {
        entries(world, "Wait before the next check") == 1
    });
    assert_eq!(entries(&world, "Shift weight"), 1);
    world.is_healthy.set(true);
    flow.end().expect(COMPLETED, 100);
    assert_eq!(entries(&world, "Shift weight"), 3);
}

#[test]
pub(super) fn a_lost_change_is_not_made_again_while_an_observer_fails() {
    for observer in ["check-alarms", "probe"] {
        let mut flow = Flow::start(&json!({}));
        let world = flow.world.clone();
        world.lose_change_asked_for(0, true);
        flow.until_state("Confirm the change");
        world.fail_calls(observer, "Lambda.Unknown", 2 * MINUTE);
        flow.wait(MINUTE);
        assert_eq!(entries(&world, "Shift weight"), 1, "{observer}");
        flow.end().expect(COMPLETED, 100);
        assert_eq!(entries(&world, "Shift weight"), 3, "{observer}");
    }
}

/// The operator ends the wait for the change, so that a later phase asks for it.
#[test]
pub(super) fn a_lost_change_of_a_promoted_step_is_made_again() {
    let mut flow = Flow::start(&json!({}));
    let world = flow.world.clone();
    flow.until_state("Confirm the change");
    flow.wait(Duration::from_secs(5));
    flow.promote();
    world.lose_change_asked_for(0, true);
    flow.end().expect(COMPLETED, 100);
    assert_eq!(entries(&world, "Shift weight"), 3);
}

#[test]
pub(super) fn a_lost_change_of_a_rollback_is_made_again() {
    for is_stranded in [false, true] {
        for number in 0..2 {
            let mut flow = Flow::start(&json!({}));
            let world = flow.world.clone();
            flow.until_step(10, "Bake");
            world.lose_change_asked_for(number, is_stranded);
            world.become_unhealthy();
            let ended = flow.end();
            ended.expect("HealthCheckFailed", 0);
            let batches = world.route53.batches().len();
            let statuses: &[&str] = if is_stranded {
                // As after a late write, each restoration is announced.
                assert_eq!(batches, 3);
                &["Started", "StepReached", "RolledBack", "RolledBack"]
            } else {
                assert_eq!(batches, 2);
                &["Started", "StepReached", "RolledBack"]
            };
            ended.expect_statuses(statuses);
        }
    }
}
