//! One request starts one migration, however often it is delivered.

use std::time::Duration;

use fakes::Fault;
use interpreter::Description;
use serde_json::{Value, json};

use super::{COMPLETED, Flow, MINUTE, RUN, input};
use crate::machines::{MIGRATION, START};
use crate::world::World;

/// An event that requests a migration, as EventBridge delivers it.
fn event(id: &str, key: Value) -> Value {
    let mut detail = input(&json!({}));
    if !key.is_null() {
        detail["request"] = key;
    }
    json!({
        "version": "0", "id": id, "source": "cutover",
        "detail-type": "Cutover Migration Requested", "detail": detail,
    })
}

/// The executions of a state machine, with their names, in the order of their starts.
fn executions(world: &World, machine: &str) -> Vec<(String, Description)> {
    let mut executions = world.step_functions.executions();
    executions.retain(|(id, _)| id.machine_arn() == machine);
    executions.sort_by_key(|(_, described)| described.started_at);
    let executions = executions.into_iter();
    executions
        .map(|(id, described)| (id.name().to_owned(), described))
        .collect()
}

fn names(world: &World) -> Vec<String> {
    let migrations = executions(world, MIGRATION).into_iter();
    migrations.map(|(name, _)| name).collect()
}

/// The last states of the executions of `start`.
fn served(world: &World) -> Vec<String> {
    let starts = executions(world, START).into_iter();
    starts
        .map(|(_, described)| described.state.unwrap())
        .collect()
}

#[test]
pub(super) fn a_request_starts_one_migration_however_often_it_is_delivered() {
    let mut flow = Flow::idle();
    flow.world.request(&event("1", json!(RUN)));
    flow.world.request(&event("1", json!(RUN)));
    flow.until_state("Bake");
    // The author repeats the request, which makes another event.
    flow.world.request(&event("2", json!(RUN)));
    let ended = flow.ended();
    ended.expect(COMPLETED, 100);
    flow.world.request(&event("1", json!(RUN)));
    flow.settle();
    assert_eq!(names(&flow.world), [RUN]);
    let served = served(&flow.world);
    assert_eq!(served, ["Started", "Started", "Started", "Served before"]);
    let (_, last) = executions(&flow.world, START).pop().unwrap();
    let output = format!("{:?}", last.end);
    assert!(output.contains("an execution run already"), "{output}");
    // It was not retried.
    assert!(last.events <= 12, "{}", last.events);
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn a_request_without_a_key_is_served_once_for_the_id_of_its_event() {
    let mut flow = Flow::idle();
    for _ in 0..2 {
        flow.world.request(&event(RUN, Value::Null));
    }
    flow.settle();
    flow.ended().expect(COMPLETED, 100);
    flow.world.request(&event(RUN, json!("")));
    flow.settle();
    assert_eq!(names(&flow.world), [RUN]);
    assert_eq!(served(&flow.world), ["Started", "Started", "Served before"]);
}

/// While a migration runs, the same request with another input starts nothing either.
#[test]
fn a_key_serves_one_request_whatever_its_input_is() {
    let mut flow = Flow::idle();
    flow.world.request(&event("1", json!(RUN)));
    flow.until_state("Bake");
    let mut another = event("2", json!(RUN));
    another["detail"]["steps"] = json!([100]);
    flow.world.request(&another);
    flow.end().expect(COMPLETED, 100);
}

/// A rule that sets the input passes on what its event says, of which only the key counts.
#[test]
fn a_rule_that_sets_the_input_takes_the_key_from_its_event() {
    let mut flow = Flow::idle();
    let mut event = event("1", Value::Null);
    event["given"] = json!({"request": RUN, "steps": [100], "bakeSeconds": 0});
    flow.world.request(&event);
    flow.settle();
    let ended = flow.ended();
    ended.expect(COMPLETED, 100);
    assert_eq!(ended.migration.input, input(&json!({})));
}

#[test]
fn every_key_becomes_the_name_of_an_execution() {
    let long = format!("{}/{}", "a".repeat(50), "0".repeat(49));
    let shortened = format!("{}-{}", "a".repeat(39), "0".repeat(40));
    for (key, name) in [
        (json!("2026-11-upgrade_1.34"), "2026-11-upgrade_1.34"),
        (json!("team/deploy: #12 \u{e9}"), "team-deploy---12--"),
        (json!(long), shortened.as_str()),
        (json!("x".repeat(80)), "x".repeat(80).as_str()),
        // Not a text: the migration is refused because of it.
        (json!(12), "1"),
    ] {
        let mut flow = Flow::idle();
        flow.world.request(&event("1", key.clone()));
        flow.settle();
        assert_eq!(names(&flow.world), [name], "{key}");
    }
}

#[test]
fn a_request_without_fields_is_refused_by_the_migration() {
    for detail in [json!({}), json!({"request": RUN})] {
        let mut flow = Flow::idle();
        flow.world.request(&json!({"id": RUN, "detail": detail}));
        flow.settle();
        let migrations = executions(&flow.world, MIGRATION);
        let [(name, migration)] = &migrations[..] else {
            panic!("{migrations:?}");
        };
        assert_eq!((name.as_str(), &migration.input), (RUN, &json!({})));
    }
}

/// The first start arrives, but its answer is lost.
#[test]
fn a_start_whose_answer_is_lost_is_the_start_of_one_migration() {
    let mut flow = Flow::idle();
    for (number, fault) in [(0, Fault::AnswerLost), (1, Fault::Throttled)] {
        let integrations = &flow.world.integrations;
        integrations.inject_fault_into("StartExecution", number, fault);
    }
    flow.world.request(&event("1", json!(RUN)));
    flow.settle();
    flow.ended().expect(COMPLETED, 100);
    assert_eq!(names(&flow.world), [RUN]);
    assert_eq!(served(&flow.world), ["Started"]);
}

#[test]
pub(super) fn a_request_outlasts_forty_minutes_of_any_error() {
    let mut flow = Flow::idle();
    let outage = 40 * MINUTE;
    flow.world
        .fail_calls("StartExecution", "StepFunctions.Unknown", outage);
    flow.world.request(&event("1", json!(RUN)));
    flow.settle();
    flow.ended().expect(COMPLETED, 100);

    let mut flow = Flow::idle();
    let outage = Duration::from_hours(3);
    flow.world
        .fail_calls("StartExecution", "States.Unknown", outage);
    flow.world.request(&event("1", json!(RUN)));
    flow.settle();
    assert!(names(&flow.world).is_empty());
    let (_, start) = executions(&flow.world, START).pop().unwrap();
    let failure = start.end.unwrap().failure().cloned().unwrap();
    assert_eq!(failure.error, "StepFunctions.Unknown");
}
