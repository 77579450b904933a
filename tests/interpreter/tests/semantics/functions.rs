//! The functions that Step Functions adds to JSONata, and those that depend on the time.

use serde_json::{Value, json};

use crate::account::{Outcome, error};

#[track_caller]
fn check(expression: &str, expected: Value) {
    let states = format!(r#""A": {{"Type": "Succeed", "Output": "{{% {expression} %}}"}}"#);
    crate::account::check(&states, &json!({}), &Outcome::Output(expected));
}

#[track_caller]
fn check_failure(expression: &str) {
    let states = format!(r#""A": {{"Type": "Succeed", "Output": "{{% {expression} %}}"}}"#);
    crate::account::check(&states, &json!({}), &error("States.QueryEvaluationError"));
}

#[test]
fn parse_reads_json() {
    check(r#"$parse('{\"a\": [1, null]}')"#, json!({"a": [1, null]}));
    check(r#"$parse('\"a\"')"#, json!("a"));
    check_failure("$parse('{')");
    check_failure("$parse(1)");
}

#[test]
fn range_includes_its_last_number() {
    check("$range(0, 10, 5)", json!([0, 5, 10]));
    check("$range(0, 9, 5)", json!([0, 5]));
    check("$range(3, 1, -1)", json!([3, 2, 1]));
    check("$range(1.9, 3.2, 1.5)", json!([1, 2, 3]));
    check_failure("$range(1, 2, 0)");
    check_failure("$range(1, 2)");
}

#[test]
fn range_has_at_most_1000_numbers() {
    check("$count($range(1, 1000, 1))", json!(1000));
    check_failure("$range(1, 1001, 1)");
}

#[test]
fn partition_cuts_a_list() {
    check(
        "$partition([1, 2, 3, 4, 5], 2)",
        json!([[1, 2], [3, 4], [5]]),
    );
    check("$partition([1, 2, 3], 2.9)", json!([[1, 2], [3]]));
    check_failure("$partition([1], 0)");
    check_failure("$partition([1], -1)");
}

#[test]
fn uuid_is_another_each_time() {
    check("$uuid() != $uuid()", json!(true));
}

#[test]
fn random_is_given_by_the_services() {
    check("$random()", json!(0));
}

#[test]
fn now_and_millis_are_the_virtual_time() {
    let states = r#""A": {"Type": "Wait", "Seconds": 5, "Next": "B"},
        "B": {"Type": "Succeed", "Output": "{% [$now(), $millis()] %}"}"#;
    let expected = Outcome::Output(json!(["5 s", 5000]));
    crate::account::check(states, &json!({}), &expected);
}
