//! Choice states.

use serde_json::{Value, json};

use crate::account::{Outcome, error};

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "each case is written out")]
fn check(choice: &str, input: Value, expected: Value) {
    let states = format!(
        r#""A": {{"Type": "Pass", "Assign": {{"x": 0}}, "Next": "Choice"}},
           "Choice": {{"Type": "Choice", {choice}}},
           "One": {{"Type": "Pass", "Output": "{{% ['One', $states.input, $x] %}}", "End": true}},
           "Two": {{"Type": "Pass", "Output": "{{% ['Two', $states.input, $x] %}}", "End": true}},
           "Other": {{"Type": "Pass", "Output": "{{% ['Other', $states.input, $x] %}}", "End": true}}"#
    );
    crate::account::check(&states, &input, &Outcome::Output(expected));
}

const RULES: &str = r#""Choices": [
    {"Condition": "{% $states.input.n > 0 %}", "Next": "One"},
    {"Condition": "{% $states.input.n > 1 %}", "Next": "Two"},
    {"Condition": "{% $states.input.n < -1 %}", "Next": "Two"}], "Default": "Other""#;

#[test]
fn first_rule_that_applies_is_taken() {
    check(RULES, json!({"n": 2}), json!(["One", {"n": 2}, 0]));
    check(RULES, json!({"n": -2}), json!(["Two", {"n": -2}, 0]));
}

#[test]
fn default_is_taken_without_a_rule_that_applies() {
    check(RULES, json!({"n": 0}), json!(["Other", {"n": 0}, 0]));
}

const FIELDS: &str = r#""Choices": [
    {"Condition": "{% $states.input.n = 1 %}", "Next": "One",
     "Assign": {"x": "{% $x + 1 %}"}, "Output": "{% 'rule ' & $x %}"},
    {"Condition": "{% $states.input.n = 2 %}", "Next": "Two"}],
    "Assign": {"x": 9}, "Output": "default", "Default": "Other""#;

#[test]
fn rule_uses_its_own_assign_and_output() {
    check(FIELDS, json!({"n": 1}), json!(["One", "rule 0", 1]));
    check(FIELDS, json!({"n": 2}), json!(["Two", {"n": 2}, 0]));
}

#[test]
fn default_uses_the_assign_and_output_of_the_state() {
    check(FIELDS, json!({"n": 3}), json!(["Other", "default", 9]));
}

#[test]
fn condition_that_is_not_true_or_false_fails() {
    for condition in ["1", "'true'", "$states.input.absent", "null"] {
        let states = format!(
            r#""A": {{"Type": "Choice", "Default": "B",
                 "Choices": [{{"Condition": "{{% {condition} %}}", "Next": "B"}}]}},
               "B": {{"Type": "Succeed"}}"#
        );
        crate::account::check(&states, &json!({}), &error("States.QueryEvaluationError"));
    }
}
