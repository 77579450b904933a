//! Checks a state machine definition.
//!
//! `cfn-lint` does not read definitions, and Step Functions validates them only
//! in an account. Without these checks, a `Next` without its state would be
//! found in production.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The errors that every Task with a function has to retry: the transient ones of the functions, and
/// those that AWS recommends to retry.
///
/// Source: Step Functions Developer Guide, "Best practices", "Handle transient Lambda service
/// exceptions".
pub const TRANSIENT_ERRORS: [&str; 11] = [
    "Throttled",
    "Unavailable",
    "States.Timeout",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
];

/// The other errors of Step Functions and EventBridge that a definition may name.
///
/// Source: Step Functions Developer Guide, "Handling errors", "Add EventBridge events with Step
/// Functions".
const OTHER_SERVICE_ERRORS: [&str; 3] =
    ["EventBridge.FailedEntry", "States.ALL", "States.TaskFailed"];

/// Finds mistakes in a definition, one line each. `own_errors` are the names of the errors that the
/// functions raise.
///
/// A definition may not have:
///
/// - a target that does not exist, or a state that is never reached;
/// - a state without a comment;
/// - a Task without `TimeoutSeconds`, Catch or Retry, or a Task with a function that does not retry
///   the transient errors;
/// - a Retry without full jitter or a longest delay;
/// - an error name that no function or service raises;
/// - JSONata that Step Functions does not support;
/// - a variable that is read but never assigned, or that is read in the Assign that assigns it;
/// - the payload of another function than the one that is invoked.
pub fn check(definition: &Value, own_errors: &[&str]) -> Vec<String> {
    let mut findings = Findings::default();
    if definition.get("QueryLanguage") != Some(&Value::from("JSONata")) {
        findings.note("state machine", "the QueryLanguage is not JSONata");
    }
    if !definition.get("TimeoutSeconds").is_some_and(Value::is_u64) {
        findings.note("state machine", "has no TimeoutSeconds");
    }
    check_level(definition, own_errors, &mut findings);
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
    lines: Vec<String>,
    state_names: BTreeMap<String, usize>,
}

impl Findings {
    fn note(&mut self, place: &str, problem: &str) {
        self.lines.push(format!("{place}: {problem}"));
    }
}

/// Checks the states of the state machine, or of one branch of a Parallel state.
fn check_level(level: &Value, own_errors: &[&str], findings: &mut Findings) {
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
    for (name, state) in states {
        *findings.state_names.entry(name.clone()).or_default() += 1;
        if !reached.contains(name.as_str()) {
            findings.note(name, "is never reached");
        }
        check_state(name, state, own_errors, findings);
        for branch in list(state, "Branches") {
            check_level(branch, own_errors, findings);
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
            if !is_service_error(error) && !own_errors.contains(&error) {
                findings.note(
                    name,
                    &format!("names the error {error}, which no function or service raises"),
                );
            }
        }
    }
    check_assign(name, state, findings);
    for rule in list(state, "Choices").chain(list(state, "Catch")) {
        check_assign(name, rule, findings);
    }
    for expression in expressions(state) {
        for operator in ["??", "?:", "$eval("] {
            if expression.contains(operator) {
                findings.note(
                    name,
                    &format!("uses {operator}, which Step Functions does not support"),
                );
            }
        }
    }
}

/// Only the errors of services have a dot in their names.
fn is_service_error(error: &str) -> bool {
    OTHER_SERVICE_ERRORS.contains(&error)
        || (error.contains('.') && TRANSIENT_ERRORS.contains(&error))
}

fn check_task(name: &str, state: &Value, findings: &mut Findings) {
    let is_timeout = |timeout: &Value| timeout.is_u64() || !expressions(timeout).is_empty();
    if !state.get("TimeoutSeconds").is_some_and(is_timeout) {
        findings.note(name, "has no TimeoutSeconds");
    }
    if list(state, "Catch").next().is_none() {
        findings.note(name, "has no Catch");
    }
    let retried: BTreeSet<&str> = list(state, "Retry")
        .flat_map(|retry| list(retry, "ErrorEquals"))
        .filter_map(Value::as_str)
        .collect();
    if retried.is_empty() {
        findings.note(name, "has no Retry");
    }
    if retried.contains("States.ALL") {
        findings.note(name, "retries States.ALL, which includes permanent errors");
    }
    for retry in list(state, "Retry") {
        if text(retry, "JitterStrategy") != Some("FULL") || retry.get("MaxDelaySeconds").is_none() {
            findings.note(name, "has a Retry without full jitter or MaxDelaySeconds");
        }
    }
    if !text(state, "Resource").is_some_and(|resource| resource.ends_with(":lambda:invoke")) {
        return;
    }
    for error in TRANSIENT_ERRORS {
        if !retried.contains(error) {
            findings.note(name, &format!("does not retry {error}"));
        }
    }
    let payload = state
        .get("Arguments")
        .and_then(|arguments| arguments.get("Payload"));
    let function = state
        .get("Arguments")
        .and_then(|arguments| text(arguments, "FunctionName"))
        .unwrap_or_default();
    let has_operation = payload.is_some_and(|payload| payload.get("operation").is_some());
    if has_operation != function.contains("ShiftWeight") {
        findings.note(name, "has the payload of another function");
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

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
