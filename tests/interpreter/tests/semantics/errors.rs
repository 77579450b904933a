//! Retry and Catch.

use interpreter::Failure;
use serde_json::{Value, json};

use crate::account::{Account, Outcome, error};

/// Runs a Task whose function always fails with these errors, one after the other, and compares the
/// seconds in which it was called.
#[track_caller]
fn check_retry(retry: &str, errors: &[&str], random: f64, expected: &[u64]) {
    let mut account = Account::new(&format!(
        r#""A": {{invoke(f), "Retry": {retry}, "End": true}}"#
    ));
    let errors: Vec<Result<Value, &str>> = errors.iter().map(|error| Err(*error)).collect();
    account.world.answer("f", &errors);
    account.world.random.set(random);
    let _ = account.run(&json!({}));
    assert_eq!(account.world.seconds_of_calls("f"), expected);
}

#[test]
fn delays_grow_with_the_back_off_rate() {
    let retry =
        r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 3}]"#;
    check_retry(retry, &["E"; 9], 0.5, &[0, 2, 8, 26]);
}

#[test]
fn retrier_without_fields_has_the_documented_defaults() {
    check_retry(r#"[{"ErrorEquals": ["E"]}]"#, &["E"; 9], 0.5, &[0, 1, 3, 7]);
}

#[test]
fn delays_are_limited() {
    let retry = r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 4, "MaxDelaySeconds": 10, "MaxAttempts": 4}]"#;
    check_retry(retry, &["E"; 9], 0.5, &[0, 4, 12, 22, 32]);
}

#[test]
fn full_jitter_takes_a_part_of_the_limited_delay() {
    let retry = r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 4, "MaxDelaySeconds": 10,
        "MaxAttempts": 3, "JitterStrategy": "FULL"}]"#;
    check_retry(retry, &["E"; 9], 0.5, &[0, 2, 6, 11]);
    check_retry(retry, &["E"; 9], 0.0, &[0, 0, 0, 0]);
}

#[test]
fn without_jitter_the_delay_is_not_random() {
    let retry = r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 4, "JitterStrategy": "NONE"}]"#;
    check_retry(retry, &["E"; 9], 0.1, &[0, 4, 12, 28]);
}

#[test]
fn first_retrier_that_matches_is_used_and_each_counts_for_itself() {
    let retry = r#"[
        {"ErrorEquals": ["E"], "IntervalSeconds": 1, "BackoffRate": 10, "MaxAttempts": 2},
        {"ErrorEquals": ["F", "E"], "IntervalSeconds": 100, "BackoffRate": 1, "MaxAttempts": 2}]"#;
    check_retry(
        retry,
        &["E", "F", "E", "F", "E"],
        0.5,
        &[0, 1, 101, 111, 211],
    );
}

#[test]
fn exhausted_retrier_does_not_give_way_to_the_next() {
    let retry = r#"[{"ErrorEquals": ["E"], "MaxAttempts": 1}, {"ErrorEquals": ["States.ALL"]}]"#;
    check_retry(retry, &["E"; 9], 0.5, &[0, 1]);
}

#[test]
fn retrier_with_no_attempts_forbids_a_retry() {
    let retry = r#"[{"ErrorEquals": ["E"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]"#;
    check_retry(retry, &["E"; 9], 0.5, &[0]);
    check_retry(retry, &["F", "F"], 0.5, &[0, 1, 3]);
}

#[test]
fn arguments_are_evaluated_for_each_attempt() {
    let mut account = Account::new(
        r#""A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
                 "Arguments": {"FunctionName": "f", "Payload": "{% $now() %}"},
                 "Retry": [{"ErrorEquals": ["E"]}], "End": true}"#,
    );
    account.world.answer("f", &[Err("E")]);
    assert_eq!(
        account.run(&json!({})),
        Outcome::Output(json!({"Payload": "1 s"}))
    );
}

#[test]
fn failed_output_is_retried_with_the_task() {
    let mut account = Account::new(
        r#""A": {invoke(f), "Output": "{% $states.result.Payload.x %}", "End": true,
                 "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"]}]}"#,
    );
    account
        .world
        .answer("f", &[Ok(json!({})), Ok(json!({"x": 1}))]);
    assert_eq!(account.run(&json!({})), Outcome::Output(json!(1)));
}

/// The error of the state `A` and whether a catcher for `name` catches it.
#[track_caller]
fn check_catch(failing: &str, answer: Result<Value, &str>, name: &str, is_caught: bool) {
    let mut account = Account::new(&format!(
        r#""A": {{{failing}, "Catch": [{{"ErrorEquals": ["{name}"], "Next": "Caught"}}], "End": true}},
           "Caught": {{"Type": "Pass", "Output": "caught", "End": true}}"#
    ));
    account.world.answer_after(2, "f", answer);
    let outcome = account.run(&json!({}));
    let caught = Outcome::Output(json!("caught"));
    assert_eq!(outcome == caught, is_caught, "{name}: {outcome:?}");
}

const WAITING: &str = r#""Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Arguments": {"FunctionName": "g", "Payload": "{% $states.context.Task.Token %}"}"#;

#[test]
fn names_match_the_errors_that_are_documented() {
    let large = || Ok(json!("x".repeat(262_144)));
    let invoke = "invoke(f)";
    let timed_out = r#"invoke(f), "TimeoutSeconds": 1"#;
    let heartbeat = format!(r#"{WAITING}, "HeartbeatSeconds": 1"#);
    let undefined = r#"invoke(f), "Output": "{% $absent %}""#;
    let runtime =
        r#""Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Arguments": {}"#;
    for (failing, answer, own, all, task_failed, timeout) in [
        (invoke, Err("E"), "E", true, true, false),
        (
            invoke,
            Err("Lambda.Unknown"),
            "Lambda.Unknown",
            true,
            true,
            false,
        ),
        (timed_out, Err("E"), "States.Timeout", true, false, true),
        (
            &heartbeat,
            Err("E"),
            "States.HeartbeatTimeout",
            true,
            false,
            true,
        ),
        (
            undefined,
            Ok(json!(1)),
            "States.QueryEvaluationError",
            true,
            true,
            false,
        ),
        (
            invoke,
            large(),
            "States.DataLimitExceeded",
            false,
            false,
            false,
        ),
    ] {
        check_catch(failing, answer.clone(), own, true);
        check_catch(failing, answer.clone(), "States.ALL", all);
        check_catch(failing, answer.clone(), "States.TaskFailed", task_failed);
        check_catch(failing, answer.clone(), "States.Timeout", timeout);
        check_catch(failing, answer, "Another", false);
    }
    for name in ["States.ALL", "States.TaskFailed", "States.Runtime"] {
        check_catch(runtime, Ok(json!(1)), name, false);
    }
}

#[test]
fn lost_heartbeat_is_not_caught_as_another_time_out_name() {
    check_catch(
        r#"invoke(f), "TimeoutSeconds": 1"#,
        Err("E"),
        "States.HeartbeatTimeout",
        false,
    );
}

#[test]
fn first_catcher_that_matches_is_used_with_its_assign_and_output() {
    let mut account = Account::new(
        r#""A": {invoke(f), "End": true, "Assign": {"x": "not"}, "Catch": [
                 {"ErrorEquals": ["F"], "Next": "Wrong"},
                 {"ErrorEquals": ["E"], "Next": "B", "Assign": {"x": "{% $states.errorOutput.Error %}"},
                  "Output": "{% $states.errorOutput %}"},
                 {"ErrorEquals": ["States.ALL"], "Next": "Wrong"}]},
           "B": {"Type": "Succeed", "Output": "{% [$x, $states.input] %}"},
           "Wrong": {"Type": "Fail", "Error": "Wrong", "Cause": ""}"#,
    );
    account.world.answer("f", &[Err("E")]);
    let expected = json!(["E", {"Error": "E", "Cause": "the cause"}]);
    assert_eq!(account.run(&json!({})), Outcome::Output(expected));
}

#[test]
fn catch_without_an_output_passes_the_error_on() {
    let mut account = Account::new(
        r#""A": {invoke(f), "End": true, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]},
           "B": {"Type": "Succeed"}"#,
    );
    account.world.answer("f", &[Err("E")]);
    let expected = json!({"Error": "E", "Cause": "the cause"});
    assert_eq!(account.run(&json!({})), Outcome::Output(expected));
}

#[test]
fn catch_comes_after_the_retries() {
    let mut account = Account::new(
        r#""A": {invoke(f), "End": true, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}],
                 "Catch": [{"ErrorEquals": ["E"], "Next": "B"}]},
           "B": {"Type": "Pass", "Output": "{% $now() %}", "End": true}"#,
    );
    account.world.answer("f", &[Err("E"), Err("E")]);
    assert_eq!(account.run(&json!({})), Outcome::Output(json!("1 s")));
}

#[test]
fn failed_expression_of_a_catch_ends_the_execution() {
    let mut account = Account::new(
        r#""A": {invoke(f), "End": true, "Catch": [
                 {"ErrorEquals": ["E"], "Output": "{% $absent %}", "Next": "B"},
                 {"ErrorEquals": ["States.ALL"], "Next": "B"}]},
           "B": {"Type": "Succeed"}"#,
    );
    account.world.answer("f", &[Err("E")]);
    assert_eq!(
        account.run(&json!({})),
        error("States.QueryEvaluationError")
    );
}

#[test]
fn error_without_a_catch_is_the_end_with_its_cause() {
    let mut account = Account::new(r#""A": {invoke(f), "End": true}"#);
    account.world.answer("f", &[Err("E")]);
    let id = account.start("run", &json!({}));
    account.finish();
    let end = account.describe(&id).end.unwrap();
    assert_eq!(end.failure(), Some(&Failure::new("E", "the cause")));
}

#[test]
fn fail_state_ends_with_its_error_and_cause() {
    let mut account = Account::new(
        r#""A": {"Type": "Fail", "Error": "{% $states.input.e %}", "Cause": "{% 'why ' & 1 %}"}"#,
    );
    let id = account.start("run", &json!({"e": "Broken"}));
    account.finish();
    let end = account.describe(&id).end.unwrap();
    assert_eq!(end.failure(), Some(&Failure::new("Broken", "why 1")));
    assert_eq!(end.status(), "FAILED");
}

#[test]
fn retry_of_a_parallel_state_runs_all_branches_again() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "Retry": [{"ErrorEquals": ["E"]}], "End": true, "Branches": [
                 {"StartAt": "B", "States": {"B": {invoke(f), "End": true}}},
                 {"StartAt": "C", "States": {"C": {invoke(g), "End": true}}}]}"#,
    );
    account.world.answer("g", &[Err("E")]);
    let expected = json!([{"Payload": "f"}, {"Payload": "g"}]);
    assert_eq!(account.run(&json!({})), Outcome::Output(expected));
    assert_eq!(account.world.seconds_of_calls("f"), [0, 1]);
    assert_eq!(account.world.seconds_of_calls("g"), [0, 1]);
}
