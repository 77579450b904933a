//! The expressions of the definitions give the same in two implementations of JSONata: that of the
//! interpreter, and the one in the environment of the emulator.

#![expect(
    clippy::unwrap_used,
    reason = "what the test did not expect shall fail it"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use serde_json::{Value, json};
use simulation::recording::{self, Case};

/// Expressions that no recorded history evaluates, each with the reason.
const NOT_RECORDED: [(&str, &str); 2] = [
    (
        "'after ' & $passes & ' passes Route 53 has still not propagated the rollback, or another \
         writer still changes records'",
        "Route 53 propagates every change, and other writers stop before the thirtieth pass",
    ),
    (
        "'the execution comes close to 25000 events, at which Step Functions fails it; set a longer \
         checkSeconds: ' & $states.input.awaited.reason",
        "the plan refuses an input with which this wait could have as many events",
    ),
];

static RECORDED: LazyLock<BTreeMap<String, Vec<Case>>> = LazyLock::new(recording::record);

const EVALUATE: &str = include_str!("evaluate.py");

#[test]
fn every_expression_gives_the_same_in_another_implementation_of_jsonata() {
    let recorded = &*RECORDED;
    let cases: Vec<&Case> = recorded.values().flatten().collect();
    let results = evaluate(&cases);
    assert_eq!(results.len(), cases.len());
    let differences: Vec<String> = cases
        .iter()
        .zip(&results)
        .filter(|(case, other)| !is_same(case.result.as_ref(), other.get("result")))
        .map(|(case, other)| {
            format!(
                "{}\n  with {}\n  gives {:?}\n  in the other {other}",
                case.expression, case.variables, case.result
            )
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}

#[test]
fn every_expression_of_the_definitions_is_recorded() {
    let recorded = &*RECORDED;
    let reasons = BTreeMap::from(NOT_RECORDED);
    let expressions = recording::expressions();
    let is_known = |expression: &&String| {
        recorded.contains_key(*expression) == reasons.contains_key(expression.as_str())
    };
    let wrong: Vec<&String> = expressions.iter().filter(is_known).collect();
    assert!(
        wrong.is_empty(),
        "of {} expressions, {} are not recorded and have no reason, or have one and are recorded:\n{}",
        expressions.len(),
        wrong.len(),
        wrong
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
            .join("\n\n")
    );
}

#[test]
fn a_difference_between_the_implementations_is_seen() {
    let case = |expression: &str, result: Option<Value>| Case {
        expression: expression.to_owned(),
        variables: json!({"x": {"a": null, "b": 1}}),
        now: "now".to_owned(),
        uuid: "uuid".to_owned(),
        result,
    };
    let cases = [
        case("$x.b + 1", Some(json!(2))),
        case("$x.b + 1", Some(json!(3))),
        case("$x.a", Some(Value::Null)),
        case("$x.a", None),
        case("$x.c", None),
        case("$x.c", Some(Value::Null)),
        case("$x.b + 'a'", None),
        case("$now() & $uuid()", Some(json!("nowuuid"))),
        case("$parse('[null]')", Some(json!([null]))),
    ];
    let results = evaluate(&cases.iter().collect::<Vec<_>>());
    let same: Vec<bool> = cases
        .iter()
        .zip(&results)
        .map(|(case, other)| is_same(case.result.as_ref(), other.get("result")))
        .collect();
    let expected = [true, false, true, false, true, false, true, true, true];
    assert_eq!(same, expected, "{results:?}");
}

/// Evaluates the cases with the other implementation.
fn evaluate(cases: &[&Case]) -> Vec<Value> {
    let mut python = Command::new(local_stack::python().unwrap())
        .args(["-c", EVALUATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> = cases
        .iter()
        .map(|case| {
            let case = json!({
                "expression": case.expression, "variables": case.variables,
                "now": case.now, "uuid": case.uuid,
            });
            case.to_string()
        })
        .collect();
    let mut input = python.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all(lines.join("\n").as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let output = String::from_utf8(output.stdout).unwrap();
    let results = output.lines().map(serde_json::from_str);
    results.collect::<Result<_, _>>().unwrap()
}

/// Whether two results are the same. A number may be written with or without a fraction.
fn is_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(other)
                        .all(|(one, other)| is_same(Some(one), Some(other)))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(name, field)| is_same(Some(field), other.get(name)))
            }
            (one, other) => one == other,
        },
        (None, Some(_)) | (Some(_), None) => false,
    }
}
