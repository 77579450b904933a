//! Shifts and rollbacks of so many names that they take several calls.

use std::time::Duration;

use migration::plan::EVENTS_OF_A_FURTHER_CALL;
use serde_json::json;

use super::{COMPLETED, Flow, is_in};
use crate::world::World;

const WATCHED: &str = "Check health during the shift";
/// So many names are shifted in three calls.
const NAMES: usize = 200;

/// How often executions have entered a state.
fn entries(world: &World, state: &str) -> usize {
    let entered = world.entered.borrow();
    entered.iter().filter(|(_, it)| it == state).count()
}

#[test]
pub(super) fn a_side_that_dies_between_two_calls_of_a_shift_is_rolled_back() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100]}));
    let world = flow.world.clone();
    flow.until_state(WATCHED);
    flow.world.become_unhealthy();
    let ended = flow.end();
    ended.expect("HealthCheckFailed", 0);
    assert_eq!(entries(&world, "Shift weight"), 1);
}

/// The next call waits until health is no longer failing.
#[test]
pub(super) fn no_further_name_is_shifted_directly_after_a_failure() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100], "failureThreshold": 3}));
    flow.until_state(WATCHED);
    flow.world.become_unhealthy();
    flow.wait(Duration::from_secs(70));
    assert_eq!(
        entries(&flow.world, "Shift weight"),
        1,
        "{}",
        flow.timeline()
    );
    flow.world.is_healthy.set(true);
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn failures_between_the_calls_of_a_shift_count_together() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100], "failureThreshold": 2}));
    let world = flow.world.clone();
    flow.until_state(WATCHED);
    flow.world.become_unhealthy();
    flow.until("a failed look", |world| {
        entries(world, "Wait before the next check") == 1
    });
    flow.world.is_healthy.set(true);
    flow.until("the second call", |world| {
        entries(world, "Shift weight") == 2
    });
    flow.until_state(WATCHED);
    flow.world.become_unhealthy();
    flow.until("the next failed look", |world| {
        entries(world, "Report the failure") == 1
            || entries(world, "Wait before the next check") == 2
    });
    flow.world.is_healthy.set(true);
    flow.end().expect("HealthCheckFailed", 0);
    assert_eq!(entries(&world, "Shift weight"), 2);
}

/// An alarm that fires and clears between two calls is found.
#[test]
pub(super) fn an_alarm_that_clears_between_two_calls_of_a_shift_is_seen() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100]}));
    flow.until_state("Wait for Route 53's limits");
    flow.flap();
    flow.end().expect("HealthCheckFailed", 0);
}

#[test]
pub(super) fn health_is_looked_at_every_check_seconds_between_two_calls() {
    let flow = Flow::start_with(100, &json!({"steps": [100], "checkSeconds": 2}));
    let world = flow.world.clone();
    flow.end().expect(COMPLETED, 100);
    assert_eq!(entries(&world, "Shift weight"), 2);
}

/// The names of the second and third call are restored without a wait for the TTL, and one message says so.
#[test]
pub(super) fn a_rollback_of_many_names_is_one_message_and_does_not_wait_between_its_calls() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100]}));
    let world = flow.world.clone();
    flow.until_state("Bake");
    flow.world.become_unhealthy();
    flow.until_state("Roll back");
    let start = flow.world.clock.elapsed();
    flow.until("the original weights", |world| {
        super::percent_of(world) == 0
    });
    let took = flow.world.clock.elapsed().checked_sub(start).unwrap();
    assert!(took < Duration::from_secs(45), "{took:?}");
    let ended = flow.end();
    ended.expect("HealthCheckFailed", 0);
    ended.expect_statuses(&["Started", "StepReached", "RolledBack"]);
    assert_eq!(entries(&world, "Restore the next names"), 2);
}

#[test]
pub(super) fn the_call_of_a_shift_that_got_no_answer_is_repeated() {
    let mut flow = Flow::start_with(NAMES, &json!({"steps": [100]}));
    flow.until("the second call", |world| {
        is_in(world, "Shift weight") && entries(world, "Shift weight") == 2
    });
    flow.world.lose_invocations();
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn a_further_call_has_at_most_as_many_events_as_the_plan_counts() {
    let events = |names: usize, loses_watch: bool| {
        let mut flow = Flow::start_with(names, &json!({"steps": [100]}));
        if loses_watch {
            flow.until_state(WATCHED);
            flow.until("its watch", |world| world.token(super::RUN).is_some());
            flow.stop_watch();
        }
        flow.end().expect(COMPLETED, 100).migration.events
    };
    let of_one_call = events(80, false);
    for loses_watch in [false, true] {
        assert!(events(100, loses_watch) - of_one_call <= EVENTS_OF_A_FURTHER_CALL);
    }
}
