//! The size of payloads and the number of events.

use interpreter::{Failure, LARGEST_PAYLOAD, MOST_EVENTS};
use serde_json::json;

use crate::account::{Account, Outcome, error};

/// Runs a definition with a text for which the value that is limited has `LARGEST_PAYLOAD` bytes, and
/// with one that is one byte longer.
#[track_caller]
fn check_size(states: &str, around: usize) {
    // A text has two quotes, and this letter two bytes.
    let length = LARGEST_PAYLOAD - around - 2;
    let text = "é".repeat(length / 2) + &"e".repeat(length % 2);
    let run = |text: String| {
        let mut account = Account::new(states);
        account.world.answer("f", &[Ok(json!(text))]);
        account.run(&json!({}))
    };
    let fits = run(text.clone());
    assert!(matches!(fits, Outcome::Output(_)), "{fits:?}");
    assert_eq!(run(text + "e"), error("States.DataLimitExceeded"));
}

#[test]
fn result_of_a_task_is_limited() {
    let around = r#"{"Payload":}"#.len();
    check_size(
        r#""A": {invoke(f), "Output": "{% 1 %}", "End": true}"#,
        around,
    );
}

#[test]
fn output_is_limited() {
    let around = r#"{"o":}"#.len();
    check_size(
        r#""A": {invoke(f), "Output": {"o": "{% $substring($states.result.Payload, 0) %}"}, "End": true}"#,
        r#"{"Payload":}"#.len(),
    );
    let states = r#""A": {invoke(f), "Output": "{% $states.result.Payload %}", "Next": "B"},
        "B": {"Type": "Pass", "Output": {"o": "{% $states.input & 'xxxxxx' %}"}, "End": true}"#;
    check_size(states, around + 6);
}

#[test]
fn assigned_variables_are_limited_together() {
    let states = r#""A": {invoke(f), "Output": {}, "Assign": {"x": "{% $states.result.Payload %}", "y": "1234567890123"}, "End": true}"#;
    check_size(states, r#""1234567890123""#.len());
}

#[test]
fn arguments_are_limited() {
    let states = r#""A": {invoke(f), "Assign": {"x": "{% $states.result.Payload %}"}, "Output": {}, "Next": "B"},
        "B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Output": {}, "End": true,
              "Arguments": {"FunctionName": "g", "Payload": "{% $length($x) > 0 ? $x %}"},
              "Catch": [{"ErrorEquals": ["States.ALL"], "Output": {}, "Next": "C"}]},
        "C": {"Type": "Succeed"}"#;
    check_size(states, r#"{"FunctionName":"g","Payload":}"#.len());
}

#[test]
fn input_of_an_execution_is_limited() {
    let account = Account::new(r#""A": {"Type": "Succeed"}"#);
    let start = |length: usize| {
        let input = json!("e".repeat(length - 2));
        account
            .step_functions
            .start(crate::account::MAIN, None, &input)
    };
    start(LARGEST_PAYLOAD).unwrap();
    let refused = start(LARGEST_PAYLOAD + 1).unwrap_err();
    assert_eq!(
        refused.error,
        "StepFunctions.InvalidExecutionInputException"
    );
}

/// Compares the number of events of an execution with those of a state and the start and end.
#[track_caller]
fn check_events(states: &str, answers: &[Result<serde_json::Value, &str>], expected: &[&str]) {
    let mut account = Account::with_child(states, r#""A": {"Type": "Succeed"}"#);
    account.world.answer("f", answers);
    let id = account.start("run", &json!({}));
    account.finish();
    assert!(account.describe(&id).end.is_some());
    assert_eq!(
        account.describe(&id).events,
        expected.len() + 2,
        "{expected:?}"
    );
}

const TASK: [&str; 5] = [
    "TaskStateEntered",
    "TaskScheduled",
    "TaskStarted",
    "TaskSucceeded",
    "TaskStateExited",
];

#[test]
fn pass_wait_choice_and_succeed_have_two_events_and_fail_has_one() {
    for (states, expected) in [
        (r#""A": {"Type": "Pass", "End": true}"#, 2),
        (r#""A": {"Type": "Wait", "Seconds": 1, "End": true}"#, 2),
        (r#""A": {"Type": "Succeed"}"#, 2),
        (r#""A": {"Type": "Fail", "Error": "E", "Cause": ""}"#, 1),
        (
            r#""A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}], "Default": "B"},
               "B": {"Type": "Succeed"}"#,
            4,
        ),
    ] {
        check_events(states, &[], &vec!["Entered or Exited"; expected]);
    }
}

#[test]
fn task_has_five_events() {
    check_events(r#""A": {invoke(f), "End": true}"#, &[], &TASK);
}

#[test]
fn failed_attempt_of_a_task_has_three_events() {
    let failing = r#""A": {invoke(f), "End": true}"#;
    check_events(failing, &[Err("E")], &TASK[..4]);
    let retried = r#""A": {invoke(f), "Retry": [{"ErrorEquals": ["E"]}], "End": true}"#;
    let attempt = ["TaskScheduled", "TaskStarted", "TaskFailed"];
    check_events(retried, &[Err("E")], &[&TASK[..], &attempt].concat());
    let caught = r#""A": {invoke(f), "Catch": [{"ErrorEquals": ["E"], "Next": "B"}], "End": true},
        "B": {"Type": "Fail", "Error": "E", "Cause": ""}"#;
    check_events(
        caught,
        &[Err("E")],
        &[&TASK[..], &["FailStateEntered"]].concat(),
    );
}

#[test]
fn task_that_waits_also_has_the_event_of_its_submission() {
    let states = r#""A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": "${Child}", "Input": {}}, "End": true}"#;
    check_events(states, &[], &[&TASK[..], &["TaskSubmitted"]].concat());
    let refused = states.replace("${Child}", "another");
    let expected = [
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitFailed",
    ];
    check_events(&refused, &[], &expected);
}

#[test]
fn parallel_state_has_four_events_and_those_of_its_branches() {
    let states = r#""A": {"Type": "Parallel", "End": true, "Branches": [
        {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}},
        {"StartAt": "C", "States": {"C": {invoke(f), "End": true}}}]}"#;
    let expected = [
        &["ParallelStateEntered", "ParallelStateStarted"],
        &["ParallelStateSucceeded", "ParallelStateExited"],
        &["PassStateEntered", "PassStateExited"],
        &TASK[..],
    ];
    check_events(states, &[], &expected.concat());
}

#[test]
fn branch_that_is_ended_by_another_has_an_event_of_its_own() {
    let states = r#""A": {"Type": "Parallel", "End": true, "Branches": [
        {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 5, "End": true}}},
        {"StartAt": "C", "States": {"C": {"Type": "Wait", "Seconds": 1, "Next": "D"},
                                    "D": {"Type": "Fail", "Error": "E", "Cause": ""}}}]}"#;
    let expected = [
        "ParallelStateEntered",
        "ParallelStateStarted",
        "WaitStateEntered",
        "WaitStateAborted",
        "WaitStateEntered",
        "WaitStateExited",
        "FailStateEntered",
        "ParallelStateFailed",
    ];
    check_events(states, &[], &expected);
}

#[test]
fn stop_inside_a_task_has_an_event_of_its_own() {
    let mut account = Account::new(r#""A": {invoke(f), "End": true}"#);
    account.world.answer_after(9, "f", Ok(json!(1)));
    let id = account.start("run", &json!({}));
    account.step_functions.stop(&id, Failure::new("", ""));
    account.finish();
    // ExecutionStarted, the first three of the Task, TaskStateAborted, ExecutionAborted.
    assert_eq!(account.describe(&id).events, 6);
}

#[test]
fn failed_expression_has_an_event_of_its_own() {
    let states = r#""A": {"Type": "Pass", "Output": "{% $absent %}", "End": true}"#;
    check_events(states, &[], &["PassStateEntered", "EvaluationFailed"]);
}

#[test]
fn redrive_adds_to_the_history() {
    let mut account = Account::new(r#""A": {"Type": "Fail", "Error": "E", "Cause": ""}"#);
    let id = account.start("run", &json!({}));
    assert_eq!(account.describe(&id).events, 3);
    account.step_functions.redrive(&id).unwrap();
    account.finish();
    assert_eq!(account.describe(&id).events, 6);
}

#[test]
fn execution_fails_with_its_25000th_event_whatever_it_catches() {
    let mut account = Account::new(
        r#""A": {invoke(f), "Retry": [{"ErrorEquals": ["States.ALL"]}],
                 "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "Next": "A"},
           "B": {"Type": "Succeed"}"#,
    );
    let id = account.start("run", &json!({}));
    account.finish();
    assert_eq!(account.outcome(&id), error("States.Runtime"));
    assert_eq!(account.describe(&id).events, MOST_EVENTS);
    let redriven = account.step_functions.redrive(&id);
    assert_eq!(redriven.unwrap_err().error, "ExecutionNotRedrivable");
}

#[test]
fn execution_with_24999_events_and_its_end_succeeds() {
    // The start, a Pass and a Wait for each round, the Choice and the Succeed state.
    let states = |rounds: usize| {
        format!(
            r#""A": {{"Type": "Pass", "Assign": {{"n": 0}}, "Next": "B"}},
               "B": {{"Type": "Pass", "Assign": {{"n": "{{% $n + 1 %}}"}}, "Next": "C"}},
               "C": {{"Type": "Choice", "Choices": [{{"Condition": "{{% $n = {rounds} %}}", "Next": "D"}}], "Default": "B"}},
               "D": {{"Type": "Succeed"}}"#
        )
    };
    let run = |rounds: usize| {
        let mut account = Account::new(&states(rounds));
        let id = account.start("run", &json!({}));
        account.finish();
        (account.outcome(&id), account.describe(&id).events)
    };
    // 1 + 2 + 4 n + 2, and the end.
    assert_eq!(run(6248), (Outcome::Output(json!({})), 24_998));
    assert_eq!(run(6249), (error("States.Runtime"), MOST_EVENTS));
}
