//! What the first shift needs, and which alarms count.

use std::time::Duration;

use serde_json::json;

use super::{COMPLETED, FOR_GOOD, Flow, MINUTE};
use crate::world::World;

const STEPS: [&str; 4] = ["Started", "StepReached", "StepReached", "Completed"];

#[test]
pub(super) fn a_healthy_migration_reaches_each_step_and_completes() {
    let ended = Flow::start(&json!({})).end();
    ended.expect(COMPLETED, 100).expect_statuses(&STEPS);
    // Two steps, each with a TTL of 60 seconds and a bake of 120 seconds.
    assert!(ended.took >= Duration::from_mins(6), "{:?}", ended.took);
    ended.expect_within(Duration::from_mins(7));
    assert!(ended.migration.events < 120, "{}", ended.migration.events);
}

/// Traffic is given only directly after a probe has passed.
#[test]
pub(super) fn a_side_that_dies_while_alarms_are_awaited_gets_no_traffic() {
    let mut flow = Flow::start(&json!({}));
    flow.until_state("Check alarms before the start");
    // Longer than the check is repeated.
    flow.fail_calls_now("check-alarms", "Lambda.Unknown", Duration::from_secs(200));
    flow.until_state("Wait before checking alarms again");
    flow.world.become_unhealthy();
    flow.end().expect("NotReady", 0);
}

#[test]
pub(super) fn the_first_shift_waits_no_longer_than_ready_timeout_seconds() {
    let mut flow = Flow::start(&json!({"readyTimeoutSeconds": 600}));
    flow.world.become_unhealthy();
    flow.until_state("Wait before probing again");
    flow.end().expect("NotReady", 0).expect_within(11 * MINUTE);
    for observer in ["probe", "check-alarms"] {
        let flow = Flow::start(&json!({"readyTimeoutSeconds": 600}));
        flow.world.fail_calls(observer, "Lambda.Unknown", FOR_GOOD);
        flow.end().expect("NotReady", 0).expect_within(50 * MINUTE);
    }
}

#[test]
pub(super) fn a_migration_does_not_start_while_an_alarm_is_firing() {
    let flow = Flow::start(&json!({}));
    *flow.world.deliveries.borrow_mut() = Box::new(Vec::new);
    flow.world.set_alarm("ALARM");
    flow.end()
        .expect("AlarmActive", 0)
        .expect_statuses(&["Started", "NotStarted"]);
}

/// The check itself sees that the alarm is quiet.
#[test]
pub(super) fn an_alarm_that_fires_and_clears_during_the_first_check_is_seen() {
    let mut flow = Flow::start(&json!({}));
    flow.until_state("Check alarms before the start");
    flow.delay_next_call();
    flow.flap();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("at 10 percent");
}

#[test]
pub(super) fn an_alarm_that_fires_and_clears_during_a_shift_is_seen() {
    let mut flow = Flow::start(&json!({}));
    flow.until_state("Shift weight");
    flow.delay_next_call();
    flow.flap();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("at 10 percent");

    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.until_state("Shift weight");
    flow.delay_next_call();
    flow.flap();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("at 100 percent");
}

/// The last look of a phase has asked for the alarms already.
#[test]
pub(super) fn an_alarm_that_fires_and_clears_between_two_phases_is_seen() {
    for state in ["Wait out the TTL", "Bake"] {
        let mut flow = Flow::start(&json!({}));
        flow.until_step(10, state);
        flow.flap();
        flow.end()
            .expect("HealthCheckFailed", 0)
            .expect_cause("at 10 percent");
    }
}

/// The probe makes the look long.
#[test]
pub(super) fn an_alarm_that_fires_and_clears_during_the_last_look_of_a_phase_is_seen() {
    let mut flow = Flow::start(&json!({}));
    let looks = |world: &World| {
        let timeline = world.timeline.borrow();
        let is_look = |line: &&String| line.contains("-ttl-") && line.ends_with("Check health");
        timeline.iter().filter(is_look).count()
    };
    flow.until("the first look", |world| looks(world) == 1);
    flow.wait(Duration::from_secs(59));
    flow.world
        .fail_calls("probe", "Lambda.Unknown", Duration::from_secs(3));
    flow.until("the last look", |world| looks(world) == 2);
    flow.wait(Duration::from_secs(1));
    flow.flap();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("at 10 percent");
}

#[test]
pub(super) fn an_alarm_that_fires_and_clears_while_alarms_cannot_be_read_is_seen_later() {
    let mut flow = Flow::start(&json!({}));
    // The last look of the phase before is made during the outage too.
    flow.until_step(10, "Wait out the TTL");
    flow.world
        .fail_calls("check-alarms", "Lambda.Unknown", 3 * MINUTE);
    flow.wait(Duration::from_secs(10));
    flow.flap();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("at 10 percent");
}

/// An alarm that fired before the check that let the migration start is not held against it.
#[test]
pub(super) fn an_alarm_that_cleared_before_the_start_does_not_count() {
    let mut flow = Flow::start(&json!({}));
    flow.world.is_healthy.set(false);
    flow.until_state("Wait before probing again");
    flow.flap();
    flow.world.is_healthy.set(true);
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn failures_below_the_threshold_do_not_end_a_step() {
    let flow = |threshold: u32| {
        let mut flow = Flow::start(&json!({"failureThreshold": threshold}));
        flow.until_step(10, "Bake");
        flow.world.is_healthy.set(false);
        flow.wait(90 * MINUTE / 60);
        flow.world.is_healthy.set(true);
        flow.end()
    };
    // The looks at the start of the bake and after 60 seconds fail.
    flow(3).expect(COMPLETED, 100);
    flow(2).expect("HealthCheckFailed", 0);
}

/// The failures of a step are counted over its phases.
#[test]
pub(super) fn failures_are_counted_over_the_phases_of_a_step() {
    let mut flow = Flow::start(&json!({"failureThreshold": 2}));
    for state in ["Wait out the TTL", "Bake"] {
        flow.until_step(10, state);
        flow.world.is_healthy.set(false);
        flow.wait(Duration::from_secs(5));
        flow.world.is_healthy.set(true);
    }
    flow.end().expect("HealthCheckFailed", 0);
}
