//! `cutover self-test`.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use local_stack::{Settings, Stack, blueprint};
use serde_json::{Value, json};

use crate::{Ran, documented_policy, run_in};

/// The scale of all waits: a bake of a day takes six minutes, and the waits of a rollback a second.
const WAIT_SCALE: f64 = 0.004;
/// It matches the status events of migrations that end.
const ENDED_RULE: &str = "cutover-execution-ended";
const FUNCTIONS: [&str; 4] = ["probe", "shift-weight", "check-alarms", "rollback"];

pub(crate) async fn stack_with(settings: Settings) -> Stack {
    let stack = Stack::start_with(&blueprint(), settings).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    stack
}

async fn stack() -> Stack {
    stack_with(Settings::default()).await
}

/// Demands of every migration that no self-test could meet.
fn demands() -> Settings {
    let parameters = [
        ("RequireProbe", "true"),
        ("RequireAlarms", "true"),
        ("MaxFirstStepPercent", "5"),
        ("MinBakeSeconds", "600"),
        ("AlarmNamePrefix", "production-"),
    ];
    Settings {
        parameters: parameters.map(|(name, value)| (name, value.into())).into(),
        ..Settings::default()
    }
}

fn arguments<'a>(zone: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["self-test", "--zone", zone, "--output", "json"], more].concat()
}

/// Runs the self-test while the events of its alarm are delivered, as AWS does.
async fn self_test_in(stack: &Stack, environment: &[(&str, String)], more: &[&str]) -> Ran {
    let arguments = arguments(stack.zone.id(), more);
    tokio::select! {
        ran = run_in(environment, &arguments, "") => ran,
        failed = stack.deliver_events_of_alarms() => panic!("{:?}", failed.unwrap_err()),
    }
}

pub(crate) async fn self_test(stack: &Stack, more: &[&str]) -> Ran {
    self_test_in(stack, &stack.environment(), more).await
}

/// The checks that did not pass, each with what was seen.
#[track_caller]
fn not_passed(ran: &Ran) -> Vec<(String, String)> {
    let json = ran.json();
    let checks = json.get("checks").and_then(Value::as_array).unwrap();
    let text = |check: &Value, key: &str| check.get(key).unwrap().as_str().unwrap().to_owned();
    let checks = checks.iter();
    checks
        .filter(|check| text(check, "result") != "pass")
        .map(|check| (text(check, "check"), text(check, "detail")))
        .collect()
}

/// What a self-test could leave behind in the zone and in CloudWatch.
async fn traces(stack: &Stack) -> (String, Vec<String>) {
    let zone = stack.zone.to_cli_json().await.unwrap();
    (zone, stack.alarm_names().await.unwrap())
}

#[tokio::test]
async fn self_test_passes_whatever_the_stack_demands_and_leaves_nothing_behind() {
    let stack = stack_with(demands()).await;
    let before = traces(&stack).await;
    let probed = "burnham.eks-blueprint.example.com";
    let ran = self_test(&stack, &["--probe", probed]).await;
    ran.assert(0, &[]);
    assert_eq!(not_passed(&ran), []);
    assert_eq!(ran.json()["checks"].as_array().unwrap().len(), 15);
    assert!(!ran.output.contains("000000000000"), "{ran:#?}");
    assert_eq!(traces(&stack).await, before);
}

/// The second policy in the README.
#[tokio::test]
async fn documented_policy_permits_a_self_test() {
    let stack = stack().await;
    let mut policy = documented_policy(&stack, 1);
    let own = documented_policy(&stack, 2);
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.extend(own["Statement"].as_array().unwrap().clone());
    let environment = stack.environment_with_policy("self-test", &policy).await;
    let ran = self_test_in(&stack, &environment.unwrap(), &[]).await;
    ran.assert(0, &[]);
}

#[tokio::test]
async fn each_permission_that_a_function_lacks_is_named() {
    let stack = stack().await;
    let shift_weight = stack.role_of("shift-weight").unwrap();
    let action = "route53:GetChange";
    stack.revoke(shift_weight, action).await.unwrap();
    let ran = self_test(&stack, &["--only", "permissions"]).await;
    ran.assert(11, &[]);
    let [(check, detail)] = &not_passed(&ran)[..] else {
        panic!("{ran:#?}");
    };
    assert!(check.starts_with("shift-weight and rollback"), "{check}");
    let resource = "arn:aws:route53:::change/C0SELFTEST";
    let expected = format!(
        "shift-weight may not call {action} on {resource}, but needs it (IAM: implicitDeny)"
    );
    assert_eq!(*detail, expected);

    let mut revoked = BTreeSet::from([("shift-weight", action.to_owned())]);
    for function in FUNCTIONS {
        let role = stack.role_of(function).unwrap();
        for action in stack.allowed_actions(role).await.unwrap() {
            stack.revoke(role, &action).await.unwrap();
            revoked.insert((function, action));
        }
    }
    let ran = self_test(&stack, &["--only", "permissions"]).await;
    let details: Vec<_> = not_passed(&ran).into_iter().map(|(_, it)| it).collect();
    let details = details.join("; ");
    for (function, action) in revoked {
        let named = format!("{function} may not call {action} ");
        assert!(details.contains(&named), "{named:?} is not in {details}");
    }
}

#[tokio::test]
async fn a_write_that_no_function_may_make_is_named() {
    let stack = stack().await;
    let anything = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "route53:ChangeResourceRecordSets", "Resource": "*" }] });
    // With this operator, one permitted change is enough for a batch.
    let any_of_a_batch = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "route53:ChangeResourceRecordSets", "Resource": "*",
          "Condition": { "ForAnyValue:StringEquals": {
            "route53:ChangeResourceRecordSetsActions": "CREATE",
            "route53:ChangeResourceRecordSetsRecordTypes": "A" } } }] });
    for (function, policy) in [
        ("rollback", &anything),
        ("probe", &anything),
        ("shift-weight", &any_of_a_batch),
    ] {
        let role = stack.role_of(function).unwrap();
        stack.permit(role, "too-much", policy).await.unwrap();
    }
    let ran = self_test(&stack, &["--only", "permissions"]).await;
    ran.assert(11, &[]);
    let details: Vec<_> = not_passed(&ran).into_iter().map(|(_, it)| it).collect();
    let details = details.join("; ");
    for named in [
        "rollback may call route53:ChangeResourceRecordSets with UPSERT A on",
        "rollback may call route53:ChangeResourceRecordSets with CREATE NS on",
        "rollback may call route53:ChangeResourceRecordSets with CREATE A on arn:aws:route53:::hostedzone/Z0, but must not",
        "probe may call route53:ChangeResourceRecordSets with CREATE A on",
        "shift-weight may call route53:ChangeResourceRecordSets with CREATE UPSERT A on",
        "shift-weight may call route53:ChangeResourceRecordSets with CREATE DELETE A NS on",
    ] {
        assert!(details.contains(named), "{named:?} is not in {details}");
    }
    assert!(!details.contains("check-alarms may"), "{details}");
}

#[tokio::test]
async fn settings_that_no_version_has_are_named() {
    let stack = stack().await;
    let settings = json!({ "Timeout": 17 });
    stack.change_function("probe", &settings).await.unwrap();
    let ran = self_test(&stack, &["--only", "versions"]).await;
    ran.assert(11, &["version 1 of cutover-probe, whose timeout"]);
}

/// Without events, nobody rolls back the migration. The self-test removes it all the same.
#[tokio::test]
async fn events_that_do_not_arrive_fail_the_self_test() {
    let stack = stack().await;
    let before = traces(&stack).await;
    stack.disable_rule(ENDED_RULE).await.unwrap();
    let more = ["--only", "abort", "--timeout", "20"];
    let arguments = arguments(stack.zone.id(), &more);
    let ran = run_in(&stack.environment(), &arguments, "").await;
    ran.assert(11, &["waited 20 s for the original weights"]);
    assert_eq!(traces(&stack).await, before);
}

#[tokio::test]
async fn a_zone_that_is_not_there_and_a_stack_that_is_not_there_are_named() {
    let stack = stack().await;
    let environment = stack.environment();
    let ran = run_in(&environment, &arguments("Z0OTHER", &[]), "").await;
    ran.assert(1, &["Z0OTHER"]);
    let zone = stack.zone.id();
    let ran = run_in(&environment, &arguments(zone, &["--name", "edge"]), "").await;
    ran.assert(1, &["lambda:GetFunctionConfiguration of edge-shift-weight"]);
    let ran = run_in(&environment, &arguments("www", &[]), "").await;
    ran.assert(2, &["--zone: ", "www"]);
    let ran = run_in(&environment, &arguments(zone, &["--only", "probe"]), "").await;
    ran.assert(2, &["--only probe needs"]);
}

/// A running self-test that has created its records.
async fn begun(stack: &Stack, before: &str) -> Child {
    let arguments = arguments(stack.zone.id(), &["--only", "alarm", "abort", "migration"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let command = command
        .args(&arguments)
        .env_clear()
        .envs(stack.environment());
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped());
    let child = child.spawn().unwrap();
    while stack.watches().await.unwrap().is_empty()
        || stack.zone.to_cli_json().await.unwrap() == *before
    {
        tokio::task::yield_now().await;
    }
    child
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn interrupted_self_test_removes_what_it_has_made() {
    for name in ["INT", "TERM"] {
        let stack = stack().await;
        let before = traces(&stack).await;
        let child = begun(&stack, &before.0).await;
        signal(&child, name);
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = ended.await.unwrap();
        assert_eq!(output.status.code(), Some(11), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("interrupted"), "{error}");
        assert_eq!(traces(&stack).await, before);
    }
}

#[tokio::test]
async fn killed_self_test_is_cleaned_up_by_a_later_one() {
    let stack = stack().await;
    // Another stack could have this name, and so this alarm.
    let of_another_stack = "cutover-self-test-rollback-failed";
    stack.create_alarm(of_another_stack).await.unwrap();
    let before = traces(&stack).await;
    let mut child = begun(&stack, &before.0).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let leftovers = traces(&stack).await;
    assert_ne!(leftovers, before);
    let ran = self_test(&stack, &["--clean-up"]).await;
    ran.assert(0, &["removed"]);
    assert_eq!(traces(&stack).await, before);
}
