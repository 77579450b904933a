//! The project's own definitions pass the check, and the check finds mistakes.

#![expect(
    clippy::unwrap_used,
    reason = "a definition that can't be read shall fail the test"
)]

use definitions::{TRANSIENT_ERRORS, check, project};
use migration::Error;
use migration::executions::{HOLDING, NOT_STARTED, ROLLING_BACK};
use migration::plan::{EVENTS_OF_A_CHECK, EVENTS_OF_A_POLL, HISTORY_BUDGET};
use serde_json::{Value, json};

fn definition(name: &str) -> Value {
    serde_json::from_str(&project::text(&format!("statemachine/{name}.asl.json"))).unwrap()
}

#[test]
fn definitions_have_no_mistakes() {
    for name in ["migration", "notification", "release", "rollback"] {
        assert_eq!(check(&definition(name), Error::NAMES), [""; 0], "{name}");
    }
}

/// Expects the check to report that one value in the definition of the migration is wrong.
#[track_caller]
fn check_broken(pointer: &str, value: Value, expect: &str) {
    let mut definition = definition("migration");
    *definition.pointer_mut(pointer).unwrap() = value;
    let findings = check(&definition, Error::NAMES);
    assert!(
        findings.iter().any(|finding| finding == expect),
        "{findings:#?}"
    );
}

#[test]
fn mistakes_in_a_definition_are_found() {
    check_broken(
        "/States/Wait out the TTL/Next",
        json!("Chek health"),
        "Chek health: is a target, but there is no such state",
    );
    check_broken(
        "/States/Dry run?/Choices/0/Next",
        json!("Refused"),
        "Planned: is never reached",
    );
    check_broken(
        "/States/Shift weight/Comment",
        json!(""),
        "Shift weight: has no comment",
    );
    check_broken(
        "/States/Shift weight/TimeoutSeconds",
        Value::Null,
        "Shift weight: has no TimeoutSeconds",
    );
    check_broken(
        "/States/Shift weight/Retry",
        json!([]),
        "Shift weight: has no Retry",
    );
    check_broken(
        "/States/Shift weight/Retry/0/ErrorEquals",
        json!(["Conflikt"]),
        "Shift weight: names the error Conflikt, which no function or service raises",
    );
    for error in TRANSIENT_ERRORS {
        let others: Vec<_> = TRANSIENT_ERRORS
            .iter()
            .filter(|other| **other != error)
            .collect();
        check_broken(
            "/States/Shift weight/Retry/1/ErrorEquals",
            json!(others),
            &format!("Shift weight: does not retry {error}"),
        );
    }
    check_broken(
        "/States/Shift weight/Assign/percent",
        json!("{% $waitSeconds %}"),
        "Shift weight: assigns percent from waitSeconds, which the same Assign assigns",
    );
    check_broken(
        "/States/Wait out the TTL/Seconds",
        json!("{% $seconds %}"),
        "{% $seconds %}: reads seconds, which is never assigned",
    );
    check_broken(
        "/States/Wait out the TTL/Seconds",
        json!("{% $waitSeconds ?? 60 %}"),
        "Wait out the TTL: uses ??, which Step Functions does not support",
    );
    check_broken(
        "/TimeoutSeconds",
        Value::Null,
        "state machine: has no TimeoutSeconds",
    );
    check_broken(
        "/States/Check health/Branches/0/States/Check alarms/Arguments/Payload",
        json!({"operation": "plan"}),
        "Check alarms: has the payload of another function",
    );
}

#[test]
fn migration_ends_at_the_number_of_events_that_a_plan_may_need() {
    let machine = project::text("statemachine/migration.asl.json");
    let condition = format!("$historyEvents >= {HISTORY_BUDGET} ");
    assert_eq!(machine.matches(&condition).count(), 4);
    assert_eq!(machine.matches("$historyEvents >= ").count(), 4);
}

fn blocks() -> yaml_serde::Value {
    yaml_serde::from_str(&project::text("statemachine/source/blocks.yaml")).unwrap()
}

#[test]
fn definitions_count_the_events_that_a_plan_counts() {
    let blocks = blocks();
    for (block, events) in [
        ("events-of-a-poll", EVENTS_OF_A_POLL),
        ("events-of-a-check", EVENTS_OF_A_CHECK),
    ] {
        assert_eq!(
            blocks[block].as_u64(),
            u64::try_from(events).ok(),
            "{block}"
        );
    }
}

#[test]
fn definitions_retry_the_errors_that_the_check_requires() {
    let blocks = blocks();
    let retried = blocks["transient-errors"].as_sequence().unwrap().iter();
    let retried: Vec<_> = retried.map(|error| error.as_str().unwrap()).collect();
    assert_eq!(retried, TRANSIENT_ERRORS);
}

/// The function `rollback` reads the state of an execution from its history, and from its cause that
/// it has written nothing.
#[test]
fn states_and_causes_that_the_rollback_recognises_exist() {
    let states = &definition("migration")["States"];
    let resource = states[ROLLING_BACK]["Resource"].as_str().unwrap();
    assert!(resource.ends_with("states:startExecution.sync:2"));
    assert_eq!(states[HOLDING]["Next"], "Held");
    for state in ["Refused", "Not started"] {
        let cause = states[state]["Cause"].as_str().unwrap();
        assert!(cause.ends_with(&format!("{NOT_STARTED}' %}}")), "{cause}");
    }
}

/// Nothing watched the names while they were leased.
#[test]
fn release_waits_for_two_intervals_again_after_giving_names_back_again() {
    let states = &definition("release")["States"];
    for (question, wait) in [
        ("First name stayed?", "Wait for ExternalDNS"),
        ("All names stayed?", "Wait for ExternalDNS again"),
    ] {
        let first = &states[question]["Choices"][0];
        assert_eq!(first["Condition"], "{% $states.input.givenBack > 0 %}");
        assert_eq!(first["Assign"]["watchedSeconds"], 0);
        assert_eq!(first["Next"], wait);
    }
}
