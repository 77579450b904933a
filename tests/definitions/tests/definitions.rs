//! The project's own definitions pass the check, and the check finds mistakes.

#![expect(
    clippy::unwrap_used,
    reason = "a definition that can't be read shall fail the test"
)]

use std::collections::BTreeSet;

use definitions::{FINAL_ERRORS, check, project};
use migration::Error;
use migration::executions::{HOLDING, NOT_STARTED, ROLLING_BACK};
use migration::plan::{EVENTS_OF_A_POLL, HISTORY_BUDGET};
use serde_json::{Value, json};

fn definition(name: &str) -> Value {
    serde_json::from_str(&project::text(&format!("statemachine/{name}.asl.json"))).unwrap()
}

/// The errors of the functions that another attempt may remove.
const PASSING_ERRORS: [&str; 3] = ["Conflict", "Throttled", "Unavailable"];

/// The names of the errors that the functions raise.
fn own_errors() -> Vec<&'static str> {
    [&FINAL_ERRORS[..], &PASSING_ERRORS].concat()
}

#[test]
fn every_error_of_the_functions_is_final_or_may_pass() {
    let names: BTreeSet<_> = Error::NAMES.iter().copied().collect();
    assert_eq!(own_errors().into_iter().collect::<BTreeSet<_>>(), names);

    let final_errors = blocks()["final-errors"].clone();
    let final_errors: Vec<String> = yaml_serde::from_value(final_errors).unwrap();
    assert_eq!(final_errors, FINAL_ERRORS);
}

#[test]
fn definitions_have_no_mistakes() {
    for name in [
        "migration",
        "notification",
        "release",
        "rollback",
        "rolled-back",
        "start",
        "watch",
    ] {
        let findings = check(name, &definition(name), &own_errors());
        assert_eq!(findings, [""; 0], "{name}");
    }
}

/// Expects the check to report that one value in the definition of a state machine is wrong.
#[track_caller]
fn check_broken(machine: &str, pointer: &str, value: Value, expect: &str) {
    let mut definition = definition(machine);
    *definition.pointer_mut(pointer).unwrap() = value;
    let findings = check(machine, &definition, &own_errors());
    assert!(
        findings.iter().any(|finding| finding == expect),
        "{findings:#?}"
    );
}

#[test]
fn mistakes_in_the_graph_are_found() {
    check_broken(
        "migration",
        "/States/Bake/Next",
        json!("Aproval needed?"),
        "Aproval needed?: is a target, but there is no such state",
    );
    check_broken(
        "migration",
        "/States/Any warning to refuse?/Choices/1/Next",
        json!("Refused"),
        "Planned: is never reached",
    );
    check_broken(
        "migration",
        "/States/Shift weight/Comment",
        json!(""),
        "Shift weight: has no comment",
    );
    check_broken(
        "migration",
        "/TimeoutSeconds",
        Value::Null,
        "state machine: has no TimeoutSeconds",
    );
}

#[test]
fn mistakes_in_a_task_are_found() {
    check_broken(
        "migration",
        "/States/Shift weight/Resource",
        json!("arn:aws:states:::lambda:invoke"),
        "Shift weight: has an integration whose ARN has a fixed partition",
    );
    check_broken(
        "migration",
        "/States/Shift weight/TimeoutSeconds",
        Value::Null,
        "Shift weight: has neither TimeoutSeconds nor HeartbeatSeconds",
    );
    check_broken(
        "migration",
        "/States/Bake/HeartbeatSeconds",
        Value::Null,
        "Bake: has neither TimeoutSeconds nor HeartbeatSeconds",
    );
    check_broken(
        "migration",
        "/States/Bake/Catch/0/ErrorEquals",
        json!(["States.Timeout"]),
        "Bake: does not catch every error",
    );
    check_broken(
        "migration",
        "/States/Announce the hold/Catch/0/Next",
        json!("Roll back"),
        "Announce the hold: ends differently if an announcement is lost",
    );
    check_broken(
        "watch",
        "/States/Check health/Branches/0/States/Check alarms/Arguments/Payload",
        json!({"operation": "plan"}),
        "Check alarms: has the payload of another function",
    );
}

#[test]
fn mistakes_in_a_retry_are_found() {
    check_broken(
        "migration",
        "/States/Shift weight/Retry",
        json!([]),
        "Shift weight: has no Retry",
    );
    check_broken(
        "migration",
        "/States/Shift weight/Retry/1/ErrorEquals",
        json!(["Conflikt"]),
        "Shift weight: names the error Conflikt, which no function or service raises",
    );
    check_broken(
        "migration",
        "/States/Shift weight/Retry/1/MaxDelaySeconds",
        json!(null),
        "Shift weight: has a Retry without MaxDelaySeconds",
    );
    for error in FINAL_ERRORS {
        let others: Vec<_> = FINAL_ERRORS
            .iter()
            .filter(|other| **other != error)
            .collect();
        check_broken(
            "migration",
            "/States/Shift weight/Retry/0/ErrorEquals",
            json!(others),
            &format!("Shift weight: retries {error}, which is final"),
        );
    }
    check_broken(
        "migration",
        "/States/Shift weight/Retry/2/ErrorEquals",
        json!(["Lambda.ServiceException"]),
        "Shift weight: does not retry every error of AWS",
    );
    check_broken(
        "migration",
        "/States/Shift weight/Retry/2/JitterStrategy",
        json!("FULL"),
        "Shift weight: retries an error of AWS with jitter",
    );
    check_broken(
        "migration",
        "/States/Shift weight/Retry/2/MaxDelaySeconds",
        json!(58),
        "Shift weight: retries an error of AWS for less than 180 seconds",
    );
    check_broken(
        "migration",
        "/States/Announce the hold/Retry/0/MaxAttempts",
        json!(6),
        "Announce the hold: retries an error of AWS for less than 180 seconds",
    );
    check_broken(
        "watch",
        "/States/Send a heartbeat/Retry/1/MaxAttempts",
        json!(6),
        "Send a heartbeat: retries an error of AWS for less than 180 seconds",
    );
    check_broken(
        "migration",
        "/States/Bake/Retry/1/MaxAttempts",
        json!(6),
        "Bake: retries an error of AWS for less than 180 seconds",
    );
    check_broken(
        "migration",
        "/States/Bake/Retry/1/ErrorEquals",
        json!(["States.ALL"]),
        "Bake: retries an answer",
    );
}

#[test]
fn mistakes_of_an_observer_are_found() {
    for (machine, pointer, state) in [
        (
            "migration",
            "/States/Probe the new side",
            "Probe the new side",
        ),
        (
            "migration",
            "/States/Check alarms before the start",
            "Check alarms before the start",
        ),
        (
            "watch",
            "/States/Check health/Branches/1/States/Probe again",
            "Probe again",
        ),
    ] {
        check_broken(
            machine,
            &format!("{pointer}/Catch/0/ErrorEquals"),
            json!(["AlarmNotFound"]),
            &format!("{state}: is inconclusive after NotPermitted, which is final"),
        );
        check_broken(
            machine,
            &format!("{pointer}/Catch/0/ErrorEquals"),
            json!(["States.ALL"]),
            &format!("{state}: is an observer whose own failure is not inconclusive"),
        );
    }
    check_broken(
        "watch",
        "/States/Check health/Branches/2/States/Confirm weights/Catch/2/Output/verdict",
        json!("fail"),
        "Confirm weights: is an observer whose own failure is not inconclusive",
    );
}

#[test]
fn names_of_errors_that_step_functions_reserves_are_found() {
    check_broken(
        "migration",
        "/States/Held/Error",
        json!("States.Held"),
        "Held: has an error whose name begins with States.",
    );
    for (pointer, state) in [
        ("/States/Refused/Error", "Refused"),
        (
            "/States/Note the failure/Assign/failure/Error",
            "Note the failure",
        ),
    ] {
        check_broken(
            "migration",
            pointer,
            json!("{% $states.input.Error %}"),
            &format!("{state}: passes on an error whose name may begin with States."),
        );
    }
}

#[test]
fn mistakes_in_expressions_are_found() {
    for (expression, expect) in [
        (
            "$percent ?? 60",
            "uses ??, which Step Functions does not support",
        ),
        (
            "$eval('60')",
            "uses $eval(, which Step Functions does not support",
        ),
        (
            "$.seconds",
            "uses $ or $$, which Step Functions does not support",
        ),
        (
            "$$.seconds",
            "uses $ or $$, which Step Functions does not support",
        ),
        (
            "$exists($percent) ? 60 : 1",
            "uses $exists, which is true for null",
        ),
    ] {
        check_broken(
            "migration",
            "/States/Wait before probing again/Seconds",
            json!(format!("{{% {expression} %}}")),
            &format!("Wait before probing again: {expect}"),
        );
    }
}

#[test]
fn mistakes_with_variables_are_found() {
    check_broken(
        "migration",
        "/States/Shift weight/Assign/percent",
        json!("{% $waitSeconds %}"),
        "Shift weight: assigns percent from waitSeconds, which the same Assign assigns",
    );
    check_broken(
        "migration",
        "/States/Wait before probing again/Seconds",
        json!("{% $seconds %}"),
        "{% $seconds %}: reads seconds, which is never assigned",
    );
    check_broken(
        "watch",
        "/States/Check health/Branches/0/States/Alarms not checked",
        json!({"Comment": "Why.", "Type": "Pass", "Assign": {"failures": 0}, "End": true}),
        "Alarms not checked: assigns failures of the level around it",
    );
}

#[test]
fn migration_ends_at_the_number_of_events_that_a_plan_may_need() {
    let machine = project::text("statemachine/migration.asl.json");
    let condition = format!("$historyEvents >= {HISTORY_BUDGET} ");
    assert_eq!(machine.matches(&condition).count(), 3);
    assert_eq!(machine.matches("$historyEvents >= ").count(), 3);
}

fn blocks() -> yaml_serde::Value {
    yaml_serde::from_str(&project::text("statemachine/source/blocks.yaml")).unwrap()
}

#[test]
fn migration_counts_the_events_that_a_plan_counts() {
    assert_eq!(
        blocks()["events-of-a-poll"].as_u64(),
        u64::try_from(EVENTS_OF_A_POLL).ok()
    );
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
