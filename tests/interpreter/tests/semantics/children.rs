//! Executions that start others.

use interpreter::Failure;
use serde_json::{Value, json};

use crate::account::{Account, CHILD, Outcome, error};

/// A Task that starts the child `c`.
fn start(pattern: &str, more: &str) -> String {
    format!(
        r#""A": {{"Type": "Task", "Resource": "arn:aws:states:::states:startExecution{pattern}",
             "Arguments": {{"StateMachineArn": "${{Child}}", "Name": "c",
                "Input": {{"n": 1, "token": {token}}}}} {more}, "End": true}}"#,
        token = if pattern == ".waitForTaskToken" {
            r#""{% $states.context.Task.Token %}""#
        } else {
            "null"
        }
    )
}

const SLOW: &str = r#""A": {"Type": "Wait", "Seconds": 5, "Next": "B"},
    "B": {"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "End": true}"#;
const FAILING: &str = r#""A": {"Type": "Fail", "Error": "Broken", "Cause": "why"}"#;

#[test]
fn start_without_a_pattern_does_not_wait() {
    let mut account = Account::with_child(&start("", ""), SLOW);
    let id = account.start("run", &json!({}));
    let expected = json!({
        "ExecutionArn": "arn:aws:states:eu-west-3:111122223333:execution:child:c",
        "StartDate": "0 s",
    });
    assert_eq!(account.outcome(&id), Outcome::Output(expected));
}

#[test]
fn sync_gives_the_description_of_the_child_with_its_output() {
    let mut account = Account::with_child(&start(".sync:2", ""), SLOW);
    let expected = json!({
        "ExecutionArn": "arn:aws:states:eu-west-3:111122223333:execution:child:c",
        "Input": {"n": 1, "token": null},
        "Name": "c",
        "Output": 2,
        "RedriveCount": 0,
        "StartDate": 0,
        "StateMachineArn": CHILD,
        "Status": "SUCCEEDED",
        "StopDate": 5000,
    });
    assert_eq!(account.run(&json!({})), Outcome::Output(expected));
}

#[test]
fn failure_of_a_child_has_its_description_as_the_cause() {
    let mut account = Account::with_child(&start(".sync:2", ""), FAILING);
    let id = account.start("run", &json!({}));
    account.finish();
    let end = account.describe(&id).end.unwrap();
    let failure = end.failure().unwrap();
    assert_eq!(failure.error, "States.TaskFailed");
    let cause: Value = serde_json::from_str(&failure.cause).unwrap();
    assert_eq!(cause["Status"], "FAILED");
    assert_eq!(cause["Error"], "Broken");
    assert_eq!(cause["Cause"], "why");
    assert_eq!(cause["Input"], r#"{"n":1,"token":null}"#);
}

#[test]
fn stopped_child_is_a_failed_task() {
    let mut account = Account::with_child(&start(".sync:2", ""), SLOW);
    let id = account.start("run", &json!({}));
    let child = account.children()[0].0.clone();
    account.step_functions.stop(&child, Failure::new("E", ""));
    account.finish();
    assert_eq!(account.outcome(&id), error("States.TaskFailed"));
}

#[test]
fn name_of_an_ended_execution_or_one_with_another_input_is_refused() {
    let exists = error("StepFunctions.ExecutionAlreadyExistsException");
    for (input, until) in [(json!({"n": 1, "token": null}), 5), (json!({"n": 2}), 0)] {
        let mut account = Account::with_child(&start(".sync:2", ""), SLOW);
        let started = account.step_functions.start(CHILD, Some("c"), &input);
        started.unwrap();
        account.run_until(until);
        assert_eq!(account.run(&json!({})), exists);
    }
}

#[test]
fn second_start_with_the_same_name_and_input_gives_the_running_execution() {
    let mut account = Account::with_child(&start("", ""), SLOW);
    let input = json!({"n": 1, "token": null});
    let first = account.step_functions.start(CHILD, Some("c"), &input);
    let output = account.run(&json!({}));
    let expected = json!({"ExecutionArn": first.unwrap().arn(), "StartDate": "0 s"});
    assert_eq!(output, Outcome::Output(expected));
}

#[test]
fn machine_that_does_not_exist_and_invalid_names_are_refused() {
    let account = Account::new(r#""A": {"Type": "Succeed"}"#);
    let start = |machine: &str, name: &str| {
        let started = account
            .step_functions
            .start(machine, Some(name), &json!({}));
        started.unwrap_err().error
    };
    let no_machine = start("arn:aws:states:eu-west-3:111122223333:stateMachine:x", "c");
    assert_eq!(
        no_machine,
        "StepFunctions.StateMachineDoesNotExistException"
    );
    for name in ["", "a b", "a:b", "a/b", &"a".repeat(81)] {
        assert_eq!(start(CHILD, name), "StepFunctions.InvalidNameException");
    }
}

/// The status of the child after its parent is stopped in second 2.
#[track_caller]
fn check_stop(pattern: &str, expected: &str) {
    let mut account = Account::with_child(&start(pattern, ""), SLOW);
    let id = account.start("run", &json!({}));
    account.run_until(2);
    account.step_functions.stop(&id, Failure::new("", ""));
    account.finish();
    let has_waited = !pattern.is_empty();
    assert_eq!(account.outcome(&id) == Outcome::Aborted, has_waited);
    let (child, description) = account.children().remove(0);
    assert_eq!(description.end.unwrap().status(), expected);
    let second = if expected == "ABORTED" { 2 } else { 5 };
    assert_eq!(account.world.ended.borrow()[&child], second);
}

#[test]
fn stop_of_a_parent_stops_a_sync_child() {
    check_stop(".sync:2", "ABORTED");
}

#[test]
fn stop_of_a_parent_does_not_stop_a_child_with_a_token_or_without_a_pattern() {
    check_stop(".waitForTaskToken", "SUCCEEDED");
    check_stop("", "SUCCEEDED");
}

#[test]
fn another_branch_that_fails_stops_a_sync_child() {
    let main = format!(
        r#""A": {{"Type": "Parallel", "End": true, "Branches": [
             {{"StartAt": "C", "States": {{{}}}}},
             {{"StartAt": "B", "States": {{"B": {{"Type": "Wait", "Seconds": 1, "Next": "F"}},
                                          "F": {{"Type": "Fail", "Error": "E", "Cause": ""}}}}}}]}}"#,
        start(".sync:2", "").replacen("\"A\"", "\"C\"", 1)
    );
    let mut account = Account::with_child(&main, SLOW);
    assert_eq!(account.run(&json!({})), error("E"));
    let (child, description) = account.children().remove(0);
    assert_eq!(description.end.unwrap().status(), "ABORTED");
    assert_eq!(account.world.ended.borrow()[&child], 1);
}

#[test]
fn time_out_of_a_task_does_not_stop_a_sync_child() {
    let mut account = Account::with_child(&start(".sync:2", r#", "TimeoutSeconds": 1"#), SLOW);
    assert_eq!(account.run(&json!({})), error("States.Timeout"));
    let (_, description) = account.children().remove(0);
    assert_eq!(description.end.unwrap().status(), "SUCCEEDED");
}

#[test]
fn child_answers_the_token_of_its_parent() {
    let child = r#""A": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
         "Arguments": {"TaskToken": "{% $states.input.token %}", "Output": "{% $string({'n': $states.input.n}) %}"},
         "Next": "B"},
        "B": {"Type": "Wait", "Seconds": 5, "End": true}"#;
    let mut account = Account::with_child(&start(".waitForTaskToken", ""), child);
    let id = account.start("run", &json!({}));
    assert_eq!(account.outcome(&id), Outcome::Output(json!({"n": 1})));
    account.finish();
}

#[test]
fn child_fails_the_token_of_its_parent() {
    for (arguments, expected) in [
        (
            r#", "Error": "E", "Cause": "why""#,
            Failure::new("E", "why"),
        ),
        (r#", "Error": "E""#, Failure::new("E", "")),
        ("", Failure::new("", "")),
    ] {
        let child = format!(
            r#""A": {{"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskFailure",
                 "Arguments": {{"TaskToken": "{{% $states.input.token %}}" {arguments}}}, "End": true}}"#
        );
        let mut account = Account::with_child(&start(".waitForTaskToken", ""), &child);
        let id = account.start("run", &json!({}));
        account.finish();
        let end = account.describe(&id).end.unwrap();
        assert_eq!(end.failure(), Some(&expected));
    }
}

#[test]
fn output_that_is_not_json_is_refused() {
    let child = r#""A": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
         "Arguments": {"TaskToken": "{% $states.input.token %}", "Output": "{"}, "End": true}"#;
    let mut account = Account::with_child(&start(".waitForTaskToken", ""), child);
    account.start("run", &json!({}));
    let (id, _) = account.children().remove(0);
    assert_eq!(account.outcome(&id), error("Sfn.InvalidOutputException"));
}
