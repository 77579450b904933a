//! The project's own definitions pass the check, and the check finds what it says it finds.

#![expect(
    clippy::unwrap_used,
    reason = "a definition that can't be read shall fail the test"
)]

use std::fs;
use std::path::PathBuf;

use definitions::check;
use migration::Error;
use migration::executions::{HOLDING, NOT_STARTED, ROLLING_BACK};
use migration::input;
use migration::plan::HISTORY_BUDGET;
use serde_json::{Value, json};

fn project_file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn definition(name: &str) -> Value {
    serde_json::from_str(&project_file(&format!("statemachine/{name}.asl.json"))).unwrap()
}

#[test]
fn the_definitions_are_sound() {
    for name in ["migration", "notification", "release", "rollback"] {
        assert_eq!(check(&definition(name), &Error::NAMES), [""; 0], "{name}");
    }
}

#[test]
fn every_error_name_is_an_error() {
    let error = |name: &str| {
        let all = [
            Error::InvalidInput(String::new()),
            Error::NoSuchHostedZone(String::new()),
            Error::NoSuchPair(String::new()),
            Error::UnsupportedRouting(String::new()),
            Error::AllZeroWeights(String::new()),
            Error::Busy(String::new()),
            Error::Drift(String::new()),
            Error::SnappedBack(String::new()),
            Error::Conflict(String::new()),
            Error::ChangeRefused(String::new()),
            Error::AlarmNotFound(String::new()),
            Error::ExecutionNotFound(String::new()),
            Error::NotPermitted(String::new()),
            Error::Throttled(String::new()),
            Error::Unavailable(String::new()),
        ];
        all.into_iter().any(|error| error.name() == name)
    };
    assert!(Error::NAMES.into_iter().all(error));
}

#[test]
fn every_example_can_be_pasted_into_the_console() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/examples");
    let mut migrations = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let example: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if path.ends_with("rollback.json") || path.ends_with("release.json") {
            assert!(example["execution"].is_string());
        } else {
            input::parse(&example).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            migrations += 1;
        }
    }
    assert!(migrations >= 6);
}

/// The definition of the migration with one thing changed, and what the check says of it.
#[track_caller]
fn check_broken(pointer: &str, value: Value, expect: &str) {
    let mut definition = definition("migration");
    *definition.pointer_mut(pointer).unwrap() = value;
    let findings = check(&definition, &Error::NAMES);
    assert!(
        findings.iter().any(|finding| finding == expect),
        "{findings:#?}"
    );
}

#[test]
fn what_is_broken_is_found() {
    check_broken(
        "/States/Wait out the TTL/Next",
        json!("Chek health"),
        "Chek health: is gone to, but there is no such state",
    );
    check_broken(
        "/States/Dry run?/Choices/0/Next",
        json!("Refused"),
        "Planned: is never reached",
    );
    check_broken(
        "/States/Shift weight/Comment",
        json!(""),
        "Shift weight: has no comment that says why",
    );
    check_broken(
        "/States/Shift weight/TimeoutSeconds",
        Value::Null,
        "Shift weight: has no TimeoutSeconds",
    );
    check_broken(
        "/States/Shift weight/Retry",
        json!([]),
        "Shift weight: retries nothing",
    );
    check_broken(
        "/States/Shift weight/Retry/0/ErrorEquals",
        json!(["Conflikt"]),
        "Shift weight: names the error Conflikt, which nobody raises",
    );
    check_broken(
        "/States/Shift weight/Assign/percent",
        json!("{% $waitSeconds %}"),
        "Shift weight: assigns percent from waitSeconds, which it assigns as well",
    );
    check_broken(
        "/States/Wait out the TTL/Seconds",
        json!("{% $seconds %}"),
        "{% $seconds %}: reads seconds, which nothing assigns",
    );
    check_broken(
        "/States/Wait out the TTL/Seconds",
        json!("{% $waitSeconds ?? 60 %}"),
        "Wait out the TTL: uses ??, which Step Functions' JSONata has not",
    );
    check_broken(
        "/TimeoutSeconds",
        Value::Null,
        "the machine: it has no TimeoutSeconds",
    );
    check_broken(
        "/States/Check health/Branches/0/States/Check alarms/Arguments/Payload",
        json!({"operation": "plan"}),
        "Check alarms: hands the function a payload that is another function's",
    );
}

/// A late writer is waited for as long as its function may run.
#[test]
fn the_rollback_waits_for_as_long_as_shift_weight_may_run() {
    let template = project_file("infra/template.yaml");
    let function = template.split("  ShiftWeightFunction:").nth(1).unwrap();
    let timeout = function
        .lines()
        .find_map(|line| line.trim().strip_prefix("Timeout: "))
        .unwrap();
    assert_eq!(timeout.parse(), Ok(rollback::LATE_WRITER_SECONDS));
}

/// What the plan accepts, the machine has room for.
#[test]
fn the_plan_and_the_machine_have_the_same_budget_of_events() {
    let machine = project_file("statemachine/migration.asl.json");
    let condition = format!("$historyEvents >= {HISTORY_BUDGET} ");
    assert_eq!(machine.matches(&condition).count(), 4);
    assert_eq!(machine.matches("$historyEvents >= ").count(), 4);
}

/// By these the function `rollback` knows what an execution is at, and that it wrote nothing.
#[test]
fn the_machine_says_what_the_rollback_goes_by() {
    let states = &definition("migration")["States"];
    let resource = states[ROLLING_BACK]["Resource"].as_str().unwrap();
    assert!(resource.ends_with("states:startExecution.sync:2"));
    assert_eq!(states[HOLDING]["Next"], "Held");
    for state in ["Refused", "Not started"] {
        let cause = states[state]["Cause"].as_str().unwrap();
        assert!(cause.ends_with(&format!("{NOT_STARTED}' %}}")), "{cause}");
    }
}

/// A look that had to give names back again has not watched them.
#[test]
fn a_release_watches_anew_what_a_look_gave_back() {
    let states = &definition("release")["States"];
    for (question, wait) in [
        ("First name stayed?", "Wait for ExternalDNS"),
        ("All names stayed?", "Wait for ExternalDNS again"),
    ] {
        let first = &states[question]["Choices"][0];
        assert_eq!(first["Condition"], "{% $states.input.givenBack > 0 %}");
        assert_eq!(first["Assign"]["watchedSeconds"], 0);
        assert_eq!(first["Next"], wait);
    }
}

#[test]
fn only_deletes_and_creates_are_permitted() {
    let template = project_file("infra/template.yaml");
    assert_eq!(
        template
            .matches("route53:ChangeResourceRecordSets\n")
            .count(),
        1
    );
    assert!(template.contains("route53:ChangeResourceRecordSetsActions: [CREATE, DELETE]"));
    assert!(
        template.contains("route53:ChangeResourceRecordSetsRecordTypes: [A, AAAA, CNAME, TXT]")
    );
    for observer in ["  ProbeRole:", "  CheckAlarmsRole:"] {
        let role = template.split(observer).nth(1).unwrap();
        let role = role.split("\n\n").next().unwrap();
        assert!(!role.contains("SwapRecordsPolicy"), "{observer}");
    }
}

/// What can't be delivered is not lost, and each rule may start one state machine and nothing else.
#[test]
fn every_rule_retries_keeps_what_it_cannot_deliver_and_has_a_role_of_its_own() {
    let template = project_file("infra/template.yaml");
    let resources: Vec<_> = template.split("\n\n").collect();
    let rules: Vec<_> = resources
        .iter()
        .filter(|resource| resource.contains("Type: AWS::Events::Rule"))
        .collect();
    assert_eq!(rules.len(), 6);
    let mut seen = Vec::new();
    for rule in rules {
        assert_eq!(rule.matches("- Id: ").count(), 1, "{rule}");
        assert!(rule.contains("RetryPolicy:"), "{rule}");
        assert!(
            rule.contains("Arn: !GetAtt EventsDeadLetterQueue.Arn"),
            "{rule}"
        );
        let role = rule.split("RoleArn: !GetAtt ").nth(1).unwrap();
        let role = role.split(".Arn").next().unwrap();
        assert!(!seen.contains(&role), "{role} is two rules'");
        seen.push(role);
        let role = resources
            .iter()
            .find(|resource| resource.trim_start().starts_with(&format!("{role}:")))
            .unwrap();
        assert_eq!(role.matches("Action: states:StartExecution").count(), 1);
        assert_eq!(role.matches("Action: ").count(), 2, "{role}");
    }
}

/// What an alarm, the end of an execution, a request and a status change look like to a rule is
/// what README.md says.
#[test]
fn the_readme_documents_every_status_that_is_told() {
    let readme = project_file("README.md");
    let machines = ["migration", "release", "rollback"].map(|name| definition(name).to_string());
    let notification = definition("notification").to_string();
    for status in [
        "Started",
        "StepReached",
        "ApprovalWanted",
        "Completed",
        "RolledBack",
        "Held",
        "NotStarted",
        "RollbackFailed",
        "Released",
        "ReleaseFailed",
    ] {
        assert!(readme.contains(&format!("| `{status}` |")), "{status}");
        assert!(notification.contains(&format!("'{status}'")), "{status}");
        let is_told = machines
            .iter()
            .any(|machine| machine.contains(&format!("'{status}'")));
        // What the function rollback reports, it names itself.
        assert!(is_told || status == "RolledBack", "{status}");
    }
    for detail_type in [
        "Cutover Migration Requested",
        "Cutover Migration Status Change",
    ] {
        assert!(readme.contains(detail_type));
        assert!(project_file("infra/template.yaml").contains(&format!("[{detail_type}]")));
    }
}

/// What stands indented below a line, or between two marks, is an input that a migration takes.
#[track_caller]
fn check_input(file: &str, begin: &str, end: &str) {
    let text = project_file(file);
    let (_, rest) = text.split_once(begin).unwrap();
    let (example, _) = rest.split_once(end).unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    input::parse(&example).unwrap_or_else(|error| panic!("{file}: {error}"));
}

#[test]
fn every_example_of_an_event_has_an_input_that_is_accepted() {
    check_input("infra/examples/put-events.sh", "input='", "'\n");
    check_input(
        "infra/examples/argocd-notifications.yaml",
        "message: |",
        "  # ",
    );
    let readme = project_file("README.md");
    let blocks = readme.split("```json\n").skip(1);
    let inputs: Vec<Value> = blocks
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .filter(|block: &Value| block.get("steps").is_some())
        .collect();
    assert_eq!(inputs.len(), 2);
    for example in inputs {
        input::parse(&example).unwrap();
    }
    let command = readme.split("\"Detail\": \"").nth(1).unwrap();
    let detail = command.split("\"}]'").next().unwrap().replace("\\\"", "\"");
    input::parse(&serde_json::from_str(&detail).unwrap()).unwrap();
}

/// CloudFormation takes any text for a dashboard, and the console shows an empty one.
#[test]
fn the_dashboard_is_json_and_shows_the_metrics_that_the_functions_write() {
    let template = project_file("infra/template.yaml");
    let (_, body) = template.split_once("DashboardBody: !Sub |\n").unwrap();
    let (body, _) = body.split_once("\n\n").unwrap();
    let dashboard: Value = serde_json::from_str(body).unwrap();
    assert!(dashboard["widgets"].as_array().unwrap().len() >= 7);
    let metrics = project_file("functions/migration/src/metrics.rs");
    for metric in [
        "Percent",
        "AlarmsOk",
        "AlarmsInsufficientData",
        "AlarmsInAlarm",
    ] {
        assert!(body.contains(metric), "{metric}");
        assert!(metrics.contains(&format!("(\"{metric}\"")), "{metric}");
    }
}
