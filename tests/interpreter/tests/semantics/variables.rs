//! Assign, Output, and what expressions can read.

use serde_json::{Value, json};

use crate::account::{Account, Outcome, error};

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "each case is written out")]
fn check(states: &str, input: Value, expected: Value) {
    crate::account::check(states, &input, &Outcome::Output(expected));
}

#[test]
fn assign_and_output_read_the_values_of_before() {
    check(
        r#""A": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "B"},
           "B": {"Type": "Pass",
                 "Assign": {"x": "{% $y %}", "y": "{% $x %}"},
                 "Output": "{% {'x': $x, 'y': $y} %}", "Next": "C"},
           "C": {"Type": "Pass", "Output": "{% [$states.input, $x, $y] %}", "End": true}"#,
        json!({}),
        json!([{"x": 1, "y": 2}, 2, 1]),
    );
}

#[test]
fn input_is_passed_on_without_an_output() {
    check(
        r#""A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
           "B": {"Type": "Wait", "Seconds": 1, "Next": "C"},
           "C": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "A"}], "Default": "D"},
           "D": {"Type": "Succeed"}"#,
        json!({"a": 1}),
        json!({"a": 1}),
    );
}

#[test]
fn result_of_a_task_is_its_output_without_an_output() {
    check(
        r#""A": {invoke(f), "End": true}"#,
        json!({"a": 1}),
        json!({"Payload": "f"}),
    );
    check(
        r#""A": {invoke(f), "Output": "{% [$states.input.a, $states.result.Payload] %}", "End": true}"#,
        json!({"a": 1}),
        json!([1, "f"]),
    );
}

#[test]
fn variables_keep_their_values_across_states() {
    check(
        r#""A": {"Type": "Pass", "Assign": {"x": "{% $states.input.a %}"}, "Output": {}, "Next": "B"},
           "B": {invoke(f), "Next": "C"},
           "C": {"Type": "Succeed", "Output": "{% $x %}"}"#,
        json!({"a": [1]}),
        json!([1]),
    );
}

#[test]
fn context_object_describes_the_execution_and_the_state() {
    check(
        r#""A": {"Type": "Wait", "Seconds": 5, "Next": "B"},
           "B": {"Type": "Pass", "End": true, "Output":
                 "{% ($c := $states.context; [$c.Execution.Name, $c.Execution.Id, $c.Execution.Input.a,
                     $c.Execution.StartTime, $c.Execution.RedriveCount, $c.State.Name,
                     $c.State.EnteredTime, $c.StateMachine.Name]) %}"}"#,
        json!({"a": 7}),
        json!([
            "run",
            "arn:aws:states:eu-west-3:111122223333:execution:main:run",
            7,
            "0 s",
            0,
            "B",
            "5 s",
            "main"
        ]),
    );
}

#[test]
fn retry_count_is_read_by_the_arguments_and_the_output() {
    let mut account = Account::new(
        r#""A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
                 "Arguments": {"FunctionName": "f", "Payload": "{% $states.context.State.RetryCount %}"},
                 "Retry": [{"ErrorEquals": ["E"]}],
                 "Output": "{% $states.context.State.RetryCount %}", "End": true}"#,
    );
    account.world.answer("f", &[Err("E"), Err("E")]);
    assert_eq!(account.run(&json!({})), Outcome::Output(json!(2)));
    let calls = account.world.calls.borrow();
    let payloads: Vec<_> = calls.iter().map(|(.., payload)| payload.clone()).collect();
    assert_eq!(payloads, [json!(0), json!(1), json!(2)]);
}

#[test]
fn retry_count_is_read_by_a_catch() {
    let mut account = Account::new(
        r#""A": {invoke(f), "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}],
                 "Catch": [{"ErrorEquals": ["E"], "Next": "B",
                            "Output": "{% $states.context.State.RetryCount %}"}], "End": true},
           "B": {"Type": "Succeed"}"#,
    );
    account.world.answer("f", &[Err("E"), Err("E")]);
    assert_eq!(account.run(&json!({})), Outcome::Output(json!(1)));
}

#[test]
fn undefined_result_fails_a_pass_state() {
    for field in [
        r#""Output": "{% $states.input.absent %}""#,
        r#""Assign": {"x": "{% $absent %}"}"#,
        r#""Output": {"a": ["{% $states.input.absent %}"]}"#,
        r#""Output": "{% $states.result %}""#,
    ] {
        let states = format!(r#""A": {{"Type": "Pass", {field}, "End": true}}"#);
        crate::account::check(&states, &json!({}), &error("States.QueryEvaluationError"));
    }
}

#[test]
fn null_is_a_result() {
    check(
        r#""A": {"Type": "Pass", "Assign": {"x": "{% $states.input.a %}"}, "Next": "B"},
           "B": {"Type": "Succeed", "Output": "{% [$type($x), $x] %}"}"#,
        json!({"a": null}),
        json!(["null", null]),
    );
}

#[test]
fn function_is_no_result() {
    crate::account::check(
        r#""A": {"Type": "Succeed", "Output": "{% $sum %}"}"#,
        &json!({}),
        &error("States.QueryEvaluationError"),
    );
}
