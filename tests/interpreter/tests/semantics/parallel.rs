//! Parallel states.

use serde_json::json;

use crate::account::{Account, Outcome, error};

#[test]
fn branches_run_at_the_same_time_and_give_a_list() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 5, "Next": "C"},
                                         "C": {"Type": "Pass", "Output": "slow", "End": true}}},
             {"StartAt": "D", "States": {"D": {"Type": "Pass", "End": true}}}]}"#,
    );
    let id = account.start("run", &json!({"a": 1}));
    account.finish();
    assert_eq!(
        account.outcome(&id),
        Outcome::Output(json!(["slow", {"a": 1}]))
    );
    assert_eq!(account.world.ended.borrow()[&id], 5);
}

#[test]
fn failing_branch_ends_the_others() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "Next": "Late", "Branches": [
             {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 1, "Next": "C"},
                                         "C": {"Type": "Fail", "Error": "E", "Cause": ""}}},
             {"StartAt": "D", "States": {"D": {"Type": "Wait", "Seconds": 5, "Next": "F"},
                                         "F": {invoke(f), "End": true}}}],
             "Catch": [{"ErrorEquals": ["E"], "Next": "Late"}]},
           "Late": {"Type": "Wait", "Seconds": 100, "End": true}"#,
    );
    let id = account.start("run", &json!({}));
    account.run_until(1);
    assert_eq!(account.describe(&id).state.as_deref(), Some("Late"));
    account.finish();
    assert_eq!(account.world.seconds_of_calls("f"), [0; 0]);
}

#[test]
fn error_of_a_branch_is_that_of_the_state() {
    let states = r#""A": {"Type": "Parallel", "End": true, "Branches": [
        {"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "E", "Cause": ""}}}]}"#;
    crate::account::check(states, &json!({}), &error("E"));
}

#[test]
fn error_that_is_caught_in_a_branch_leaves_the_others_alone() {
    let mut account = Account::new(
        r#""A": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "B", "States": {
                "B": {invoke(f), "End": true, "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]},
                "C": {"Type": "Pass", "Output": "caught", "End": true}}},
             {"StartAt": "D", "States": {"D": {"Type": "Wait", "Seconds": 5, "Output": "waited", "End": true}}}]}"#,
    );
    account.world.answer("f", &[Err("E")]);
    assert_eq!(
        account.run(&json!({})),
        Outcome::Output(json!(["caught", "waited"]))
    );
}

#[test]
fn branch_reads_the_variables_and_its_own_are_not_seen_outside() {
    let states = r#""A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        "B": {"Type": "Parallel", "Next": "F", "Branches": [
          {"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"y": "{% $x + 1 %}"}, "Next": "D"},
                                      "D": {"Type": "Pass", "Output": "{% [$x, $y] %}", "End": true}}},
          {"StartAt": "E", "States": {"E": {"Type": "Pass", "Output": "{% $exists($y) %}", "End": true}}}]},
        "F": {"Type": "Pass", "Output": "{% [$states.input, $exists($y)] %}", "End": true}"#;
    let expected = json!([[1, 2], false, false]);
    crate::account::check(states, &json!({}), &Outcome::Output(expected));
}

#[test]
fn variables_of_a_failed_branch_are_not_seen_outside() {
    let states = r#""A": {"Type": "Parallel", "Next": "F",
          "Catch": [{"ErrorEquals": ["E"], "Next": "F", "Assign": {"seen": "{% $exists($y) %}"}}], "Branches": [
          {"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"y": 1}, "Next": "D"},
                                      "D": {"Type": "Fail", "Error": "E", "Cause": ""}}}]},
        "F": {"Type": "Pass", "Output": "{% [$seen, $exists($y)] %}", "End": true}"#;
    let expected = json!([false, false]);
    crate::account::check(states, &json!({}), &Outcome::Output(expected));
}
