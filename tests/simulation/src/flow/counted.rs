//! The events that the plan and the definitions count for a poll, a step and a check, against those that
//! the executions have. Step Functions ends an execution at 25,000 events, and no Catch runs then.

use std::time::Duration;

use interpreter::MOST_EVENTS;
use migration::plan::{EVENTS_OF_A_POLL, EVENTS_OF_A_STEP};
use serde_json::{Value, json};

use super::{COMPLETED, FOR_GOOD, Flow};
use crate::world::World;

/// An error that no definition names.
const UNKNOWN: &str = "Lambda.Unknown";

/// The events for each repetition, from the events of an execution with 10 repetitions and with 30.
fn events_of_one(events: impl Fn(u64) -> usize) -> usize {
    (events(30) - events(10)).div_ceil(20)
}

/// The events of a poll while `field` seconds have not passed.
fn events_of_a_poll(field: &str, fields: &Value, prepare: fn(&World)) -> usize {
    events_of_one(|polls| {
        let mut fields = fields.clone();
        fields[field] = json!(60 * polls);
        let flow = Flow::start(&fields);
        prepare(&flow.world);
        flow.end().migration.events
    })
}

#[test]
pub(super) fn a_poll_has_as_many_events_as_the_plan_counts() {
    let absent = json!({"to": "eks-blueprint-absent"});
    let polls = [
        events_of_a_poll("recordsTimeoutSeconds", &absent, |_| {}),
        events_of_a_poll("readyTimeoutSeconds", &json!({}), World::become_unhealthy),
    ];
    for events in polls {
        // The rest is for one retry.
        assert_eq!(events + 3, EVENTS_OF_A_POLL);
    }
}

/// While the probe or the alarm check fails, each poll has retries. The migration counts them.
#[test]
pub(super) fn a_wait_in_which_an_observer_fails_ends_before_the_history_is_full() {
    let events_of_retries = blocks("events-of-retries");
    for (observer, polls) in [("probe", 1), ("check-alarms", 2)] {
        let fields = json!({"readyTimeoutSeconds": 86_400, "checkSeconds": 100});
        let mut flow = Flow::start(&fields);
        flow.longest = Duration::from_hours(100);
        flow.world.fail_calls(observer, UNKNOWN, FOR_GOOD);
        let ended = flow.end();
        ended.expect("HistoryFull", 0);
        assert!(ended.migration.events < MOST_EVENTS, "{observer}");

        let events = events_of_one(|number| {
            let flow = Flow::start(&json!({"readyTimeoutSeconds": 60 * number}));
            flow.world.fail_calls(observer, UNKNOWN, FOR_GOOD);
            flow.end().migration.events
        });
        assert!(
            events <= polls * EVENTS_OF_A_POLL + events_of_retries,
            "{observer}: {events}"
        );
        assert!(events > polls * EVENTS_OF_A_POLL, "{observer}: {events}");
    }
}

/// Also if each phase of a step loses its watch once.
#[test]
pub(super) fn a_step_has_at_most_as_many_events_as_the_plan_counts() {
    let events_of_a_step = |loses_watches: bool| {
        let events = |steps: &Value| {
            let mut flow = Flow::start(&json!({"steps": steps, "approvalTimeoutSeconds": 86_400}));
            for state in [
                "Confirm the change",
                "Wait out the TTL",
                "Bake",
                "Ask for approval",
            ] {
                let has_approval = steps[0]["approval"] == true;
                if loses_watches && (has_approval || state != "Ask for approval") {
                    flow.until_state(state);
                    flow.until("its watch", |world| world.token(super::RUN).is_some());
                    flow.stop_watch();
                }
            }
            let ended = flow.end();
            ended.expect(COMPLETED, 100);
            ended.migration.events
        };
        let last = json!([{"percent": 100}]);
        let both = json!([{"percent": 50, "approval": true}, {"percent": 100}]);
        events(&both) - events(&last)
    };
    assert!(events_of_a_step(false) <= EVENTS_OF_A_STEP);
    assert!(events_of_a_step(true) <= EVENTS_OF_A_STEP);
}

#[test]
pub(super) fn a_check_has_at_most_as_many_events_as_a_watch_counts() {
    let events_of_a_check = |failing: &[&'static str]| {
        events_of_one(|checks| {
            let bake = 60 * checks;
            let mut flow = Flow::start(&json!({
                "steps": [100], "bakeSeconds": bake, "maxBakeSeconds": bake,
            }));
            flow.until_state("Bake");
            for observer in failing {
                flow.world.fail_calls(observer, UNKNOWN, FOR_GOOD);
            }
            let ended = flow.end();
            let bake = ended.watches.iter().map(|watch| watch.events).max();
            bake.unwrap()
        })
    };
    let events_of_a_check_in_the_definition = blocks("events-of-a-check");
    for failing in [
        &[][..],
        &["probe"],
        &["probe", "check-alarms", "shift-weight"],
    ] {
        let events = events_of_a_check(failing);
        assert!(
            events <= events_of_a_check_in_the_definition,
            "{failing:?}: {events}"
        );
    }
}

/// The estimate of statemachine/README.md, "Cost".
#[test]
pub(super) fn an_undisturbed_migration_has_as_many_transitions_as_the_estimate() {
    for steps in [json!([100]), json!([10, 50, 100])] {
        let flow = Flow::start(&json!({"steps": steps}));
        let world = flow.world.clone();
        let ended = flow.end();
        ended.expect(COMPLETED, 100);
        let entered = world.entered.borrow();
        let looks = entered.iter().filter(|(_, state)| state == "Judge health");
        let executions = ended.watches.iter().chain([&ended.migration]);
        assert_eq!(
            executions.map(|it| it.transitions).sum::<usize>(),
            15 + 14 * steps.as_array().unwrap().len() + 11 * looks.count()
        );
    }
}

/// A number of the blocks of which the definitions consist.
fn blocks(name: &str) -> usize {
    const BLOCKS: &str = include_str!("../../../../statemachine/source/blocks.yaml");
    let line = BLOCKS
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap().parse().unwrap()
}
