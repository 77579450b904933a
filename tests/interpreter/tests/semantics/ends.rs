//! Time-outs, `StopExecution` and redrive.

use interpreter::{End, Failure};
use serde_json::json;

use crate::account::{Account, Outcome, definition, error, machine};

#[test]
fn time_out_of_a_task_ends_the_attempt() {
    let mut account = Account::new(
        r#""A": {invoke(f), "TimeoutSeconds": 10, "Retry": [{"ErrorEquals": ["States.Timeout"]}], "End": true}"#,
    );
    account.world.answer_after(11, "f", Ok(json!("late")));
    account.world.answer_after(9, "f", Ok(json!("in time")));
    let expected = json!({"Payload": "in time"});
    assert_eq!(account.run(&json!({})), Outcome::Output(expected));
    assert_eq!(account.world.seconds_of_calls("f"), [0, 11]);
}

#[test]
fn time_out_may_be_an_expression() {
    let mut account = Account::new(
        r#""A": {invoke(f), "TimeoutSeconds": "{% $states.input.seconds %}", "End": true}"#,
    );
    account.world.answer_after(11, "f", Ok(json!("late")));
    let outcome = account.run(&json!({"seconds": 10}));
    assert_eq!(outcome, error("States.Timeout"));
}

#[test]
fn time_out_of_zero_and_a_wait_of_a_fraction_are_refused() {
    for (states, input) in [
        (
            r#""A": {invoke(f), "TimeoutSeconds": "{% $states.input %}", "End": true}"#,
            json!(0),
        ),
        (
            r#""A": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": true}"#,
            json!(1.5),
        ),
        (
            r#""A": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": true}"#,
            json!(-1),
        ),
        (
            r#""A": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": true}"#,
            json!("1"),
        ),
        (
            r#""A": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": true}"#,
            json!(100_000_000),
        ),
    ] {
        crate::account::check(states, &input, &error("States.QueryEvaluationError"));
    }
}

const WAITING: &str = r#""A": {"Type": "Wait", "Seconds": 100, "End": true}"#;

#[test]
fn time_out_of_the_machine_ends_the_execution() {
    let main = definition(r#""TimeoutSeconds": 60,"#, WAITING);
    let mut account = Account::of(main, machine(WAITING));
    let id = account.start("run", &json!({}));
    account.finish();
    assert_eq!(account.outcome(&id), Outcome::TimedOut);
    assert_eq!(account.world.ended.borrow()[&id], 60);
}

#[test]
fn time_out_of_the_machine_is_not_caught() {
    let main = definition(
        r#""TimeoutSeconds": 60,"#,
        r#""A": {invoke(f), "End": true, "Retry": [{"ErrorEquals": ["States.ALL"]}],
                 "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]},
           "B": {"Type": "Succeed"}"#,
    );
    let mut account = Account::of(main, machine(WAITING));
    account.world.answer_after(100, "f", Ok(json!(1)));
    assert_eq!(account.run(&json!({})), Outcome::TimedOut);
    assert_eq!(*account.world.entered.borrow(), ["A"]);
}

#[test]
fn stop_inside_a_task_ends_the_execution_without_retry_and_catch() {
    let mut account = Account::new(
        r#""A": {invoke(f), "Retry": [{"ErrorEquals": ["States.ALL"]}],
                 "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "Next": "B"},
           "B": {invoke(g), "End": true}"#,
    );
    account.world.answer_after(10, "f", Ok(json!(1)));
    let id = account.start("run", &json!({}));
    account.run_until(5);
    let failure = Failure::new("Stop", "by a person");
    account.step_functions.stop(&id, failure.clone());
    account.finish();
    let description = account.describe(&id);
    assert_eq!(description.end, Some(End::Aborted(failure)));
    assert_eq!(description.state.as_deref(), Some("A"));
    assert_eq!(account.world.ended.borrow()[&id], 5);
    assert_eq!(account.world.calls.borrow().len(), 1);
}

#[test]
fn stop_inside_a_parallel_state_ends_all_branches() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 10, "Next": "C"},
                                         "C": {invoke(f), "End": true}}},
             {"StartAt": "D", "States": {"D": {"Type": "Wait", "Seconds": 11, "Next": "E"},
                                         "E": {invoke(f), "End": true}}}]}"#,
    );
    let id = account.start("run", &json!({}));
    account.run_until(5);
    account.step_functions.stop(&id, Failure::new("", ""));
    account.finish();
    assert_eq!(account.outcome(&id), Outcome::Aborted);
    assert_eq!(account.world.seconds_of_calls("f"), [0; 0]);
}

#[test]
fn stop_of_an_ended_execution_changes_nothing() {
    let mut account = Account::new(r#""A": {"Type": "Succeed"}"#);
    let id = account.start("run", &json!({}));
    account.step_functions.stop(&id, Failure::new("", ""));
    assert_eq!(account.outcome(&id), Outcome::Output(json!({})));
}

const REDRIVEN: &str = r#""A": {"Type": "Pass", "Assign": {"x": 1, "redrives": "{% $states.context.Execution.RedriveCount %}"},
         "Output": "{% $states.input.n + 1 %}", "Next": "B"},
    "B": {invoke(f), "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Next": "C"},
    "C": {"Type": "Succeed", "Output":
          "{% [$x, $redrives, $states.context.Execution.RedriveCount, $states.context.Execution.StartTime,
              $states.context.Execution.RedriveTime] %}"}"#;

#[test]
fn redrive_continues_at_the_failed_state_with_the_old_variables() {
    let mut account = Account::new(REDRIVEN);
    account.world.answer("f", &[Err("E"), Err("E"), Err("E")]);
    let id = account.start("run", &json!({"n": 1}));
    account.run_until(50);
    assert_eq!(account.outcome(&id), error("E"));
    account.step_functions.redrive(&id).unwrap();
    account.finish();
    let expected = json!([1, 0, 1, "0 s", "50 s"]);
    assert_eq!(account.outcome(&id), Outcome::Output(expected));
    assert_eq!(*account.world.entered.borrow(), ["A", "B", "B", "C"]);
    // Its retries count from 0 again.
    assert_eq!(account.world.seconds_of_calls("f"), [0, 1, 50, 51]);
    let description = account.describe(&id);
    assert_eq!(
        (description.redrives, description.input),
        (1, json!({"n": 1}))
    );
}

#[test]
fn aborted_and_timed_out_executions_are_redriven() {
    let main = definition(r#""TimeoutSeconds": 60,"#, WAITING);
    let mut account = Account::of(main, machine(WAITING));
    let id = account.start("run", &json!({}));
    account.run_until(1);
    account.step_functions.stop(&id, Failure::new("", ""));
    account.run_until(2);
    account.step_functions.redrive(&id).unwrap();
    account.finish();
    // The time-out starts again with the redrive.
    assert_eq!(account.outcome(&id), Outcome::TimedOut);
    assert_eq!(account.world.ended.borrow()[&id], 62);
    account.step_functions.redrive(&id).unwrap();
    account.finish();
    assert_eq!(account.describe(&id).redrives, 2);
}

#[test]
fn redrive_of_a_running_or_successful_execution_is_refused() {
    let mut account = Account::new(WAITING);
    let id = account.start("run", &json!({}));
    let refused = |account: &Account| {
        let redriven = account.step_functions.redrive(&id);
        assert_eq!(redriven.unwrap_err().error, "ExecutionNotRedrivable");
    };
    refused(&account);
    account.finish();
    refused(&account);
}

#[test]
fn redrive_after_14_days_is_refused() {
    for (days, is_refused) in [(14, false), (15, true)] {
        let mut account = Account::new(r#""A": {"Type": "Fail", "Error": "E", "Cause": ""}"#);
        let id = account.start("run", &json!({}));
        account.run_until(days * 86_400);
        assert_eq!(account.step_functions.redrive(&id).is_err(), is_refused);
    }
}

#[test]
fn redrive_runs_only_the_branches_that_did_not_succeed() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "B", "States": {"B": {invoke(f), "End": true}}},
             {"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"y": 1}, "Next": "D"},
                                         "D": {invoke(g), "Output": "{% $y %}", "End": true}}}]}"#,
    );
    account.world.answer_after(2, "g", Err("E"));
    let id = account.start("run", &json!({}));
    account.finish();
    assert_eq!(account.outcome(&id), error("E"));
    account.step_functions.redrive(&id).unwrap();
    account.finish();
    let expected = json!([{"Payload": "f"}, 1]);
    assert_eq!(account.outcome(&id), Outcome::Output(expected));
    assert_eq!(account.world.seconds_of_calls("f"), [0]);
    assert_eq!(account.world.seconds_of_calls("g"), [0, 2]);
}
