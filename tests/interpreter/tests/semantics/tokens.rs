//! Tasks that wait for an answer with a token.

use interpreter::{Failure, Services as _};
use serde_json::{Value, json};

use crate::account::{Account, Outcome, error};

/// A Task that waits, of `main`. A child sends a heartbeat with each token that it is given.
fn waiting(more: &str) -> Account {
    let main = format!(
        r#""A": {{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
             "Arguments": {{"FunctionName": "f", "Payload": "{{% $states.context.Task.Token %}}"}} {more},
             "End": true}}"#
    );
    let child = r#""A": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskHeartbeat",
         "Arguments": {"TaskToken": "{% $states.input %}"}, "Output": "{% $states.result %}", "End": true}"#;
    Account::with_child(&main, child)
}

/// The tokens that the function was given.
fn tokens(account: &Account) -> Vec<String> {
    let calls = account.world.calls.borrow();
    let token = |payload: &Value| payload.as_str().unwrap().to_owned();
    calls.iter().map(|(.., payload)| token(payload)).collect()
}

/// The error of a heartbeat with a token.
fn heartbeat(account: &mut Account, token: &str) -> Outcome {
    let started = account
        .step_functions
        .start(crate::account::CHILD, None, &json!(token));
    let second = account.world.now();
    let second = second.duration_since(std::time::UNIX_EPOCH).unwrap();
    account.run_until(second.as_secs());
    account.outcome(&started.unwrap())
}

#[test]
fn success_is_the_result() {
    let mut account = waiting("");
    let id = account.start("run", &json!({}));
    account.run_until(1000);
    let token = &tokens(&account)[0];
    let sent = account
        .step_functions
        .send_task_success(token, &json!({"a": 1}));
    sent.unwrap();
    account.finish();
    assert_eq!(account.outcome(&id), Outcome::Output(json!({"a": 1})));
}

#[test]
fn failure_is_the_error_and_can_be_caught() {
    let mut account = waiting(r#", "Catch": [{"ErrorEquals": ["E"], "Next": "A"}]"#);
    let id = account.start("run", &json!({}));
    let refuse = |account: &Account, token: &str, error: &str| {
        let failure = Failure::new(error, "");
        account
            .step_functions
            .send_task_failure(token, failure)
            .unwrap();
    };
    refuse(&account, &tokens(&account)[0], "E");
    account.finish();
    assert_eq!(tokens(&account).len(), 2);
    refuse(&account, &tokens(&account)[1], "F");
    account.finish();
    assert_eq!(account.outcome(&id), error("F"));
}

#[test]
fn answer_without_an_error_has_no_error_to_read() {
    let mut account = waiting(
        r#", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "A",
             "Assign": {"x": "{% $states.errorOutput.Error %}"}}]"#,
    );
    let id = account.start("run", &json!({}));
    let unnamed = Failure::new("", "");
    let sent = account
        .step_functions
        .send_task_failure(&tokens(&account)[0], unnamed);
    sent.unwrap();
    account.finish();
    assert_eq!(account.outcome(&id), error("States.QueryEvaluationError"));
}

#[test]
fn heartbeats_keep_the_task_alive() {
    let mut account = waiting(r#", "HeartbeatSeconds": 10"#);
    let id = account.start("run", &json!({}));
    for second in [9, 18, 27] {
        account.run_until(second);
        let token = tokens(&account)[0].clone();
        assert_eq!(heartbeat(&mut account, &token), Outcome::Output(json!({})));
    }
    account.run_until(36);
    assert_eq!(account.describe(&id).end, None);
    account.finish();
    assert_eq!(account.outcome(&id), error("States.HeartbeatTimeout"));
    assert_eq!(account.world.ended.borrow()[&id], 37);
}

#[test]
fn heartbeats_do_not_prolong_the_time_out() {
    let mut account = waiting(r#", "HeartbeatSeconds": 10, "TimeoutSeconds": 15"#);
    let id = account.start("run", &json!({}));
    account.run_until(9);
    let token = tokens(&account)[0].clone();
    heartbeat(&mut account, &token);
    account.finish();
    assert_eq!(account.outcome(&id), error("States.Timeout"));
    assert_eq!(account.world.ended.borrow()[&id], 15);
}

#[test]
fn late_answer_is_refused() {
    let mut account = waiting(r#", "TimeoutSeconds": 15"#);
    account.start("run", &json!({}));
    account.finish();
    let token = tokens(&account)[0].clone();
    let late = "Sfn.TaskTimedOutException";
    let sent = account.step_functions.send_task_success(&token, &json!({}));
    assert_eq!(sent.unwrap_err().error, late);
    assert_eq!(heartbeat(&mut account, &token), error(late));
}

#[test]
fn second_answer_is_refused() {
    let mut account = waiting("");
    account.start("run", &json!({}));
    let token = tokens(&account)[0].clone();
    let send = || account.step_functions.send_task_success(&token, &json!({}));
    send().unwrap();
    assert_eq!(send().unwrap_err().error, "Sfn.TaskTimedOutException");
}

#[test]
fn answer_to_a_stopped_execution_is_refused_at_once() {
    let mut account = waiting("");
    let id = account.start("run", &json!({}));
    let token = tokens(&account)[0].clone();
    account.step_functions.stop(&id, Failure::new("", ""));
    let sent = account.step_functions.send_task_success(&token, &json!({}));
    assert_eq!(sent.unwrap_err().error, "Sfn.TaskTimedOutException");
}

#[test]
fn token_that_was_never_given_is_refused() {
    let account = waiting("");
    let sent = account.step_functions.send_task_success("x", &json!({}));
    assert_eq!(sent.unwrap_err().error, "Sfn.InvalidTokenException");
}

#[test]
fn retry_has_a_new_token_and_the_old_one_is_refused() {
    let mut account = waiting(
        r#", "HeartbeatSeconds": 10, "Retry": [{"ErrorEquals": ["States.HeartbeatTimeout"]}]"#,
    );
    let id = account.start("run", &json!({}));
    account.run_until(12);
    let given = tokens(&account);
    assert_eq!(given.len(), 2);
    assert_ne!(given[0], given[1]);
    let send = |token: &str| {
        account
            .step_functions
            .send_task_success(token, &json!(token))
    };
    assert_eq!(
        send(&given[0]).unwrap_err().error,
        "Sfn.TaskTimedOutException"
    );
    send(&given[1]).unwrap();
    account.finish();
    assert_eq!(account.outcome(&id), Outcome::Output(json!(given[1])));
}

#[test]
fn task_without_a_token_pattern_has_no_token() {
    let states = r#""A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
         "Arguments": {"FunctionName": "f", "Payload": "{% $states.context.Task.Token %}"}, "End": true}"#;
    crate::account::check(states, &json!({}), &error("States.QueryEvaluationError"));
}
