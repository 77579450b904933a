//! What is no definition.

use interpreter::Machine;

use crate::account::{definition, machine};

#[track_caller]
fn check(states: &str, expected: &str) {
    let refused = machine(states).err();
    let problem = refused.unwrap_or_else(|| panic!("it is accepted: {states}"));
    assert!(problem.contains(expected), "{problem}");
}

#[track_caller]
fn check_expression(expression: &str, expected: &str) {
    let states =
        format!(r#""A": {{"Type": "Pass", "Output": "{{% {expression} %}}", "End": true}}"#);
    check(&states, expected);
}

#[track_caller]
fn check_accepted(expression: &str) {
    let states =
        format!(r#""A": {{"Type": "Pass", "Output": "{{% {expression} %}}", "End": true}}"#);
    assert_eq!(machine(&states).err(), None);
}

#[test]
fn expressions_that_step_functions_does_not_accept() {
    check_expression("$", "it uses $,");
    check_expression("$.a", "it uses $,");
    check_expression("$states.input[$ = 1]", "it uses $,");
    check_expression("$map($states.input, function($v) { $ })", "it uses $,");
    check_expression("$$", "it uses $$");
    check_expression("$$.a", "it uses $$");
    check_expression("$eval('1')", "$eval");
    check_expression("$map(['1'], $eval)", "$eval");
    check_expression("'1' ~> $eval", "$eval");
    check_expression("a", "the name a has no $");
    check_expression("a.b", "the name a has no $");
    check_expression("$x + a", "the name a has no $");
    check_expression("$f(a)", "the name a has no $");
    check_expression("$x[0] & b.c[d = 1]", "the name b has no $");
    check_expression("$x +", "is not valid");
    check_expression("$map($x, function($v) { a })", "the name a has no $");
}

#[test]
fn names_in_paths_and_predicates_are_accepted() {
    for expression in [
        "$x.a.b",
        "$x[a = 1].b",
        "$x.(a + b)",
        "$x.{'c': a}",
        "$x.a[b = $y.c]",
        "$x^(a)",
        "$x{a: b}",
        "{'a': $x}.a",
        "$map($x, function($v) { $v.a })",
    ] {
        check_accepted(expression);
    }
}

#[test]
fn text_with_only_one_mark_of_an_expression_is_refused() {
    for text in ["{% 1", "1 %}", " {% 1 %}", "{% 1 %} "] {
        let states = format!(r#""A": {{"Type": "Pass", "Output": ["{text}"], "End": true}}"#);
        check(&states, "only one of");
    }
}

#[test]
fn fields_state_types_and_languages_that_are_not_known_are_refused() {
    check(
        r#""A": {"Type": "Map", "End": true}"#,
        "unknown variant `Map`",
    );
    check(
        r#""A": {"Type": "Pass", "Result": 1, "End": true}"#,
        "unknown field `Result`",
    );
    check(
        r#""A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Arguments": {}, "End": true}"#,
        "the resource arn:aws:states:::sqs:sendMessage is not known",
    );
    check(
        r#""A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.sync:2", "Arguments": {}, "End": true}"#,
        "is not known",
    );
    let fields = r#""Version": "1.0","#;
    assert!(definition(fields, r#""A": {"Type": "Succeed"}"#).is_err());
    let jsonpath =
        r#"{"QueryLanguage": "JSONPath", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}"#;
    assert!(Machine::parse(jsonpath, &[]).is_err());
    let without = r#"{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}"#;
    assert!(Machine::parse(without, &[]).is_err());
}

#[test]
fn field_of_another_state_type_is_refused() {
    for state in [
        r#""Type": "Pass", "Seconds": 1, "End": true"#,
        r#""Type": "Pass", "Retry": [{"ErrorEquals": ["E"]}], "End": true"#,
        r#""Type": "Wait", "Seconds": 1, "Catch": [{"ErrorEquals": ["E"], "Next": "A"}], "End": true"#,
        r#""Type": "Succeed", "Assign": {"x": 1}"#,
        r#""Type": "Succeed", "Next": "A""#,
        r#""Type": "Succeed", "End": true"#,
        r#""Type": "Fail", "Error": "E", "Cause": "", "Output": 1"#,
        r#""Type": "Parallel", "TimeoutSeconds": 1, "End": true, "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Succeed"}}}]"#,
        r#""Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "A"}], "Default": "A", "End": true"#,
    ] {
        check(&format!(r#""A": {{{state}}}"#), "state has no");
    }
}

#[test]
fn value_that_is_missing_is_refused() {
    check(r#""A": {"Type": "Pass"}"#, "it has no Next or End");
    check(r#""A": {"Type": "Wait", "End": true}"#, "it has no Seconds");
    check(
        r#""A": {"Type": "Choice", "Default": "A"}"#,
        "it has no Choices",
    );
    check(
        r#""A": {"Type": "Parallel", "End": true}"#,
        "it has no Branches",
    );
    check(
        r#""A": {"Type": "Pass", "Next": "B"}"#,
        "there is no such state",
    );
    check(
        r#""A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}], "Default": "A"}"#,
        "there is no such state",
    );
    check(
        r#""A": {"Type": "Pass", "Output": "${Absent}", "End": true}"#,
        "${Absent}",
    );
    let refused = definition(r#""Comment": "${Absent}","#, r#""A": {"Type": "Succeed"}"#);
    assert!(
        refused
            .err()
            .is_some_and(|problem| problem.contains("${Absent}"))
    );
}

#[test]
fn retry_and_catch_that_aws_does_not_accept_are_refused() {
    for (retry, expected) in [
        (r#"[{"ErrorEquals": []}]"#, "ErrorEquals has no names"),
        (
            r#"[{"ErrorEquals": ["States.ALL", "E"]}]"#,
            "States.ALL is not alone",
        ),
        (
            r#"[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]"#,
            "States.ALL is not in the last",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 0}]"#,
            "IntervalSeconds",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "IntervalSeconds": 0.5}]"#,
            "invalid type",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "BackoffRate": 0.5}]"#,
            "BackoffRate",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "MaxDelaySeconds": 0}]"#,
            "MaxDelaySeconds",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "MaxDelaySeconds": 31622400}]"#,
            "MaxDelaySeconds",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "JitterStrategy": "SOME"}]"#,
            "unknown variant",
        ),
    ] {
        check(
            &format!(r#""A": {{invoke(f), "Retry": {retry}, "End": true}}"#),
            expected,
        );
    }
    for (catch, expected) in [
        (
            r#"[{"ErrorEquals": ["States.ALL", "E"], "Next": "A"}]"#,
            "States.ALL is not alone",
        ),
        (
            r#"[{"ErrorEquals": ["States.ALL"], "Next": "A"}, {"ErrorEquals": ["E"], "Next": "A"}]"#,
            "States.ALL is not in the last",
        ),
        (
            r#"[{"ErrorEquals": ["E"], "Condition": "{% true %}", "Next": "A"}]"#,
            "a Catch has no Condition",
        ),
    ] {
        check(
            &format!(r#""A": {{invoke(f), "Catch": {catch}, "End": true}}"#),
            expected,
        );
    }
    check(
        r#""A": {"Type": "Choice", "Choices": [{"ErrorEquals": ["E"], "Next": "A"}], "Default": "A"}"#,
        "a rule has a Condition",
    );
}

#[test]
fn variables_that_cannot_be_assigned_are_refused() {
    for name in ["states", "a-b", "1a", "", "a.b", &"a".repeat(81)] {
        let states = format!(r#""A": {{"Type": "Pass", "Assign": {{"{name}": 1}}, "End": true}}"#);
        check(&states, "can't be assigned");
    }
    check(
        r#""A": {"Type": "Pass", "Assign": "{% {'a': 1} %}", "End": true}"#,
        "Assign is not an object",
    );
    check(
        r#""A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
           "B": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"x": 2}, "End": true}}}]}"#,
        "it assigns x, a variable outside of its branch",
    );
}

#[test]
fn two_states_with_one_name_and_reserved_errors_are_refused() {
    check(
        r#""A": {"Type": "Parallel", "End": true, "Branches": [
             {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}]}"#,
        "another state has this name",
    );
    check(
        r#""A": {"Type": "Fail", "Error": "States.Timeout", "Cause": ""}"#,
        "are reserved",
    );
}
