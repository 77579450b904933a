//! Checks a state machine definition.
//!
//! `cfn-lint` does not read definitions, and Step Functions validates them only
//! in an account. Without these checks, a `Next` without its state would be
//! found in production.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The errors of the functions after which another attempt would fail in the same way. Every other
/// error of a Task, whatever its name, may pass: it comes from AWS, or the function says so
/// (`Conflict`, `Throttled`, `Unavailable`).
pub const FINAL_ERRORS: [&str; 13] = [
    "InvalidInput",
    "NoSuchHostedZone",
    "NoSuchPair",
    "UnsupportedRouting",
    "AllZeroWeights",
    "Busy",
    "Drift",
    "Redriven",
    "SnappedBack",
    "ChangeRefused",
    "AlarmNotFound",
    "ExecutionNotFound",
    "NotPermitted",
];

/// The errors of Step Functions and of its integrations that a definition may name.
///
/// The name of an integration's error is a prefix for the service and the name of the API's error.
/// The documentation of `startExecution` names `StepFunctions.ExecutionLimitExceeded`, while
/// executions also show names that end in `Exception`, so the definitions name both.
///
/// Source: Step Functions Developer Guide, "Handling errors in Step Functions workflows", "Start
/// workflow executions from a task state", "Learning to use AWS service SDK integrations"; Step
/// Functions API Reference, `SendTaskSuccess` and "Common Errors".
const SERVICE_ERRORS: [&str; 19] = [
    "Sfn.InvalidToken",
    "Sfn.InvalidTokenException",
    "Sfn.TaskDoesNotExist",
    "Sfn.TaskDoesNotExistException",
    "Sfn.TaskTimedOut",
    "Sfn.TaskTimedOutException",
    "States.ALL",
    "States.HeartbeatTimeout",
    "States.Timeout",
    "StepFunctions.AWSStepFunctionsException",
    "StepFunctions.ExecutionAlreadyExists",
    "StepFunctions.ExecutionAlreadyExistsException",
    "StepFunctions.ExecutionLimitExceeded",
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.InternalFailure",
    "StepFunctions.SdkClientException",
    "StepFunctions.ServiceUnavailable",
    "StepFunctions.ServiceUnavailableException",
    "StepFunctions.ThrottlingException",
];

/// How long an outage of AWS may last without a Task failing, in seconds.
const LONGEST_OUTAGE: f64 = 180.0;

/// Finds mistakes in the definition of the state machine `machine`, one line each. `own_errors` are
/// the names of the errors that the functions raise.
///
/// A definition may not have:
///
/// - a target that does not exist, or a state that is never reached;
/// - a state without a comment;
/// - the ARN of an integration with a fixed partition;
/// - a Task without `TimeoutSeconds` or `HeartbeatSeconds`, a Retry, or a Catch of every error;
/// - a Task that retries a final error, or does not retry every other error for 180 seconds with
///   delays that jitter can't shorten. Exceptions: the observers and the announcement of `watch`,
///   which are repeated anyway; and a Task that waits for an answer, because every other error may be
///   an answer;
/// - an observer whose own failure is a verdict, or for which a final error is inconclusive;
/// - an announcement after whose failure another state follows than after its success;
/// - an error name that no function or service raises, or a Fail with a name that Step Functions
///   reserves;
/// - `JSONata` that Step Functions does not support, or that takes null for a value;
/// - a variable that is read but never assigned, that is read in the Assign that assigns it, or that
///   is assigned in a branch although it belongs to the state machine;
/// - the payload of another function than the one that is invoked.
pub fn check(machine: &str, definition: &Value, own_errors: &[&str]) -> Vec<String> {
    let mut findings = Findings {
        machine: machine.to_owned(),
        ..Findings::default()
    };
    if definition.get("QueryLanguage") != Some(&Value::from("JSONata")) {
        findings.note("state machine", "the QueryLanguage is not JSONata");
    }
    if !definition.get("TimeoutSeconds").is_some_and(Value::is_u64) {
        findings.note("state machine", "has no TimeoutSeconds");
    }
    check_level(definition, &BTreeSet::new(), own_errors, &mut findings);
    check_variables(definition, &mut findings);
    for (name, count) in findings.state_names.clone() {
        if count > 1 {
            findings.note(&name, "is the name of more than one state");
        }
    }
    findings.lines
}

#[derive(Default)]
struct Findings {
    machine: String,
    lines: Vec<String>,
    state_names: BTreeMap<String, usize>,
}

impl Findings {
    fn note(&mut self, place: &str, problem: &str) {
        self.lines.push(format!("{place}: {problem}"));
    }
}

/// Checks the states of the state machine, or of one branch of a Parallel state. `outer` are the
/// variables of the levels around it, which a branch can read but not assign.
///
/// Source: Step Functions Developer Guide, "Passing data between states with variables".
fn check_level(
    level: &Value,
    outer: &BTreeSet<String>,
    own_errors: &[&str],
    findings: &mut Findings,
) {
    let nothing = Map::new();
    let states = level
        .get("States")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut pending: Vec<&str> = text(level, "StartAt").into_iter().collect();
    while let Some(name) = pending.pop() {
        match states.get(name) {
            Some(state) if reached.insert(name) => pending.extend(targets(state)),
            Some(_) => {}
            None => findings.note(name, "is a target, but there is no such state"),
        }
    }
    let mut variables = outer.clone();
    for (name, state) in states {
        let assigned = assigned_by(state);
        for variable in assigned.intersection(outer) {
            findings.note(name, &format!("assigns {variable} of the level around it"));
        }
        variables.extend(assigned);
    }
    for (name, state) in states {
        *findings.state_names.entry(name.clone()).or_default() += 1;
        if !reached.contains(name.as_str()) {
            findings.note(name, "is never reached");
        }
        check_state(name, state, own_errors, findings);
        for branch in list(state, "Branches") {
            check_level(branch, &variables, own_errors, findings);
        }
    }
}

fn check_state(name: &str, state: &Value, own_errors: &[&str], findings: &mut Findings) {
    if text(state, "Comment").is_none_or(str::is_empty) {
        findings.note(name, "has no comment");
    }
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        findings.note(name, "does not begin with a capital letter");
    }
    let kind = text(state, "Type").unwrap_or_default();
    let is_end = matches!(kind, "Succeed" | "Fail")
        || state.get("End") == Some(&Value::Bool(true))
        || kind == "Choice";
    if !is_end && text(state, "Next").is_none() {
        findings.note(name, "has neither Next nor End");
    }
    if kind == "Choice" && text(state, "Default").is_none() {
        findings.note(name, "has no Default");
    }
    if kind == "Task" {
        check_task(name, state, findings);
    }
    for clause in list(state, "Retry").chain(list(state, "Catch")) {
        for error in list(clause, "ErrorEquals").filter_map(Value::as_str) {
            if !SERVICE_ERRORS.contains(&error) && !own_errors.contains(&error) {
                findings.note(
                    name,
                    &format!("names the error {error}, which no function or service raises"),
                );
            }
        }
    }
    check_error_name(name, state, kind, findings);
    check_assign(name, state, findings);
    for rule in list(state, "Choices").chain(list(state, "Catch")) {
        check_assign(name, rule, findings);
    }
    for expression in expressions(state) {
        check_expression(name, expression, findings);
    }
}

/// Step Functions reserves the names that begin with `States.`.
///
/// Source: Amazon States Language, "Errors".
fn check_error_name(name: &str, state: &Value, kind: &str, findings: &mut Findings) {
    let assigned = state.get("Assign").and_then(Value::as_object);
    let assigned = assigned.into_iter().flat_map(Map::values);
    let failing = (kind == "Fail")
        .then_some(state)
        .into_iter()
        .chain(assigned);
    for error in failing.filter_map(|value| text(value, "Error")) {
        if error.starts_with("States.") {
            findings.note(name, "has an error whose name begins with States.");
        }
        if error.trim_matches(['{', '%', '}', ' ']) == "$states.input.Error" {
            findings.note(name, "passes on an error whose name may begin with States.");
        }
    }
}

/// Step Functions refuses `$`, `$$` and `$eval`, and does not know the later operators of `JSONata`.
/// `$exists` is true for null, so a field that is absent or null needs `$type`.
///
/// Source: Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
fn check_expression(name: &str, expression: &str, findings: &mut Findings) {
    for operator in ["??", "?:", "$eval("] {
        if expression.contains(operator) {
            findings.note(
                name,
                &format!("uses {operator}, which Step Functions does not support"),
            );
        }
    }
    let has_bare_dollar = expression.match_indices('$').any(|(position, _)| {
        let next = expression.get(position + 1..).unwrap_or_default();
        // `${…}` is a substitution of the template.
        !next.starts_with(|first: char| first.is_ascii_alphabetic() || first == '{')
    });
    if has_bare_dollar {
        findings.note(name, "uses $ or $$, which Step Functions does not support");
    }
    if expression.contains("$exists(") {
        findings.note(name, "uses $exists, which is true for null");
    }
}

fn check_task(name: &str, state: &Value, findings: &mut Findings) {
    let resource = text(state, "Resource").unwrap_or_default();
    if !resource.starts_with("arn:${Partition}:states:::") {
        findings.note(name, "has an integration whose ARN has a fixed partition");
    }
    let is_limit = |limit: &Value| limit.is_u64() || !expressions(limit).is_empty();
    let limits = ["TimeoutSeconds", "HeartbeatSeconds"].map(|limit| state.get(limit));
    if !limits.into_iter().flatten().any(is_limit) {
        findings.note(name, "has neither TimeoutSeconds nor HeartbeatSeconds");
    }
    if handler(state, "Catch", UNKNOWN_ERROR).is_none() {
        findings.note(name, "does not catch every error");
    }
    check_retry(name, state, resource, findings);
    if resource.ends_with(":events:putEvents") {
        let targets: BTreeSet<_> = targets(state).into_iter().collect();
        if targets.len() != 1 {
            findings.note(name, "ends differently if an announcement is lost");
        }
    }
    if resource.ends_with(":lambda:invoke") {
        check_function(name, state, findings);
    }
}

/// An error of AWS that no list can have.
const UNKNOWN_ERROR: &str = "Lambda.Unknown";

/// The first clause of a Retry or Catch that matches the error.
fn handler<'a>(state: &'a Value, field: &str, error: &str) -> Option<&'a Value> {
    list(state, field).find(|clause| {
        let mut names = list(clause, "ErrorEquals").filter_map(Value::as_str);
        names.any(|name| name == error || name == "States.ALL")
    })
}

fn check_retry(name: &str, state: &Value, resource: &str, findings: &mut Findings) {
    if list(state, "Retry").next().is_none() {
        findings.note(name, "has no Retry");
        return;
    }
    for retry in list(state, "Retry") {
        let has_longest_delay = retry.get("MaxDelaySeconds").is_some_and(Value::is_u64);
        if is_retried(retry) && !has_longest_delay {
            findings.note(name, "has a Retry without MaxDelaySeconds");
        }
    }
    let is_answered = resource.ends_with(".waitForTaskToken");
    let is_function = resource.ends_with(":lambda:invoke");
    if is_answered || is_function {
        for error in FINAL_ERRORS {
            if handler(state, "Retry", error).is_some_and(is_retried) {
                findings.note(name, &format!("retries {error}, which is final"));
            }
        }
    }
    let is_announcement = resource.ends_with(":events:putEvents");
    let is_repeated = findings.machine == "watch" && (is_function || is_announcement);
    let outage = if is_answered {
        if handler(state, "Retry", "Refused").is_some() {
            findings.note(name, "retries an answer");
        }
        "StepFunctions.ExecutionLimitExceeded"
    } else {
        UNKNOWN_ERROR
    };
    match handler(state, "Retry", outage) {
        None => findings.note(name, "does not retry every error of AWS"),
        Some(retry) if text(retry, "JitterStrategy") != Some("NONE") => {
            findings.note(name, "retries an error of AWS with jitter");
        }
        Some(retry) if !is_repeated && total_delay(retry) < LONGEST_OUTAGE => {
            findings.note(name, "retries an error of AWS for less than 180 seconds");
        }
        Some(_) => {}
    }
}

fn is_retried(retry: &Value) -> bool {
    retry.get("MaxAttempts").and_then(Value::as_u64) != Some(0)
}

/// The sum of the delays of a Retry without jitter, in seconds. The default values are those of the
/// Amazon States Language.
fn total_delay(retry: &Value) -> f64 {
    let number = |field, default| retry.get(field).and_then(Value::as_f64).unwrap_or(default);
    let attempts = retry.get("MaxAttempts").and_then(Value::as_u64);
    let mut delay = number("IntervalSeconds", 1.0);
    let mut total = 0.0;
    for _ in 0..attempts.unwrap_or(3) {
        total += delay.min(number("MaxDelaySeconds", f64::INFINITY));
        delay *= number("BackoffRate", 2.0);
    }
    total
}

/// Checks a Task that invokes a function.
fn check_function(name: &str, state: &Value, findings: &mut Findings) {
    let arguments = state.get("Arguments").unwrap_or(&Value::Null);
    let function = text(arguments, "FunctionName")
        .unwrap_or_default()
        .to_lowercase();
    let operation = arguments
        .get("Payload")
        .and_then(|payload| payload.get("operation"));
    if operation.is_some() != function.contains("shiftweight") {
        findings.note(name, "has the payload of another function");
    }
    let is_inconclusive = |error| {
        let handler = handler(state, "Catch", error);
        let output = handler.and_then(|clause| clause.get("Output"));
        output.and_then(|output| text(output, "verdict")) == Some("inconclusive")
    };
    let is_observer = function.contains("probe")
        || function.contains("checkalarms")
        || operation == Some(&Value::from("confirm"));
    if is_observer && !is_inconclusive(UNKNOWN_ERROR) {
        findings.note(name, "is an observer whose own failure is not inconclusive");
    }
    for error in FINAL_ERRORS {
        if is_inconclusive(error) {
            findings.note(
                name,
                &format!("is inconclusive after {error}, which is final"),
            );
        }
    }
}

/// Step Functions evaluates all expressions of an Assign with the values from before it. An emulator
/// may not, so no expression may read a variable that another one of the same Assign assigns.
fn check_assign(name: &str, clause: &Value, findings: &mut Findings) {
    let Some(assigned) = clause.get("Assign").and_then(Value::as_object) else {
        return;
    };
    for (variable, value) in assigned {
        for expression in expressions(value) {
            let read = variables_read(expression);
            let other = read
                .iter()
                .find(|read| *read != variable && assigned.contains_key(*read));
            if let Some(other) = other {
                findings.note(
                    name,
                    &format!("assigns {variable} from {other}, which the same Assign assigns"),
                );
            }
        }
    }
}

fn check_variables(definition: &Value, findings: &mut Findings) {
    let mut assigned = BTreeSet::new();
    collect_assigned(definition, &mut assigned);
    for expression in expressions(definition) {
        for variable in variables_read(expression) {
            let is_parameter = |functions: &str| {
                let parameters = functions.split(')').next().unwrap_or_default();
                let mut parameters = parameters.split(',').map(str::trim);
                parameters.any(|parameter| parameter == format!("${variable}"))
            };
            let is_local = expression.contains(&format!("${variable} :="))
                || expression.split("function(").skip(1).any(is_parameter);
            if !is_local && !assigned.contains(&variable) {
                findings.note(
                    expression,
                    &format!("reads {variable}, which is never assigned"),
                );
            }
        }
    }
}

/// The variables that a state assigns, without those of its branches.
fn assigned_by(state: &Value) -> BTreeSet<String> {
    let clauses = list(state, "Choices").chain(list(state, "Catch"));
    let clauses = clauses.chain([state]);
    let assigned = clauses.filter_map(|clause| clause.get("Assign").and_then(Value::as_object));
    assigned.flat_map(Map::keys).cloned().collect()
}

fn collect_assigned(value: &Value, assigned: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(variables)) = fields.get("Assign") {
                assigned.extend(variables.keys().cloned());
            }
            fields
                .values()
                .for_each(|field| collect_assigned(field, assigned));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_assigned(item, assigned)),
        _ => {}
    }
}

/// The variables in an expression: `$name`, without functions and `$states`.
fn variables_read(expression: &str) -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    for (position, _) in expression.match_indices('$') {
        let rest = expression.get(position + 1..).unwrap_or_default();
        let end = rest
            .find(|character: char| !character.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (variable, after) = rest.split_at(end);
        if !variable.is_empty() && variable != "states" && !after.starts_with('(') {
            variables.insert(variable.to_owned());
        }
    }
    variables
}

/// All JSONata in a value: the strings `{% … %}`.
fn expressions(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) if text.starts_with("{%") => vec![text],
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Object(fields) => fields.values().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// The states that may follow a state.
fn targets(state: &Value) -> Vec<&str> {
    let clauses = list(state, "Choices").chain(list(state, "Catch"));
    let mut targets: Vec<_> = clauses.filter_map(|clause| text(clause, "Next")).collect();
    targets.extend(text(state, "Next"));
    targets.extend(text(state, "Default"));
    targets
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
