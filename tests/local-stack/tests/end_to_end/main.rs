//! End-to-end tests of migrations on the local stack. Each test has a stack of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test panics when it fails"
)]

mod aborts;
mod answers;
mod approvals;
mod contention;
mod deletions;
mod deployed_by_terraform;
mod deployments;
mod events;
mod external_dns;
mod footprint;
mod interpreted;
mod kills;
mod late;
mod parity;
mod permissions;
mod real_external_dns;
mod records;
mod refusals;
mod rollbacks;
mod scenarios;
mod simulations;
mod watches;

use std::time::Duration;

use local_stack::{
    BLUE, BURNHAM, Execution, ExecutionResult, GREEN, Notification, RecordName, Settings, Stack,
    WAIT_SCALE, Zone, blueprint, input, long_bake, without_registry,
};
use migration::dns::RecordSet;
use serde_json::{Value, json};

/// The scale for tests in which a change arrives late. A rollback waits two minutes, until the
/// migration's functions can no longer run; with this scale the change can arrive before that.
const LATE_WAIT_SCALE: f64 = 0.02;
const ARGOCD: &str = "argocd.eks-blueprint.example.com";
const ALARM: &str = "eks-blueprint-green-5xx";

/// A stack with the blueprint's zone, without ExternalDNS's registry.
async fn stack() -> Stack {
    stack_with(without_registry(blueprint())).await
}

async fn stack_with(record_sets: Vec<RecordSet>) -> Stack {
    stack_with_settings(record_sets, Settings::default()).await
}

async fn stack_with_settings(record_sets: Vec<RecordSet>, settings: Settings) -> Stack {
    let stack = Stack::start_with(&record_sets, settings).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    stack
}

/// Runs a migration to its end.
async fn migrate(stack: &Stack, name: &str, input: &Value) -> ExecutionResult {
    let execution = stack.start_migration(name, input).await.unwrap();
    execution.wait().await.unwrap()
}

/// Runs a rollback to its end.
async fn roll_back(stack: &Stack, name: &str, input: &Value) -> ExecutionResult {
    let execution = stack.start_rollback(name, input).await.unwrap();
    execution.wait().await.unwrap()
}

/// Far longer than any awaited event takes, even on a loaded machine.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// Polls `find` until it returns a value. `what` names it in the panic message of a timeout.
async fn until<T>(what: &str, find: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = find().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(MAX_WAIT, found).await;
    found.unwrap_or_else(|_| panic!("no {what} within {MAX_WAIT:?}"))
}

/// Waits for the notification with this status, and drops all notifications before it.
async fn until_notified(stack: &Stack, status: &str) -> Notification {
    until(&format!("notification {status}"), async || {
        let notifications = stack.notifications().await.unwrap();
        notifications
            .into_iter()
            .find(|notification| notification.status() == status)
    })
    .await
}

/// Waits until an execution enters a state.
async fn until_entered(execution: &Execution, state: &str) {
    until(&format!("state {state:?}"), async || {
        let states = execution.states().await.unwrap();
        let is_entered = states.iter().any(|entered| entered == state);
        let ended = execution.ended().await.unwrap();
        assert!(
            is_entered || ended.is_none(),
            "the execution ended before: {ended:#?}"
        );
        is_entered.then_some(())
    })
    .await;
}

/// The commands of the runbook with which an operator answers a migration.
const PROMOTE: &str = "send-task-success";
const HOLD: &str = "--error Hold";
const ROLL_BACK: &str = "--error RollBack";

/// The command of the runbook that contains `part`, with a token filled in.
fn runbook_command(part: &str, token: &str) -> String {
    const DOCUMENT: &str = include_str!("../../../../infra/README.md");
    let section = DOCUMENT
        .split("\n### ")
        .find(|section| section.starts_with("Promote, hold or roll back"));
    let mut commands = section
        .unwrap()
        .split('`')
        .filter(|text| text.starts_with("aws stepfunctions send-task-") && text.contains(part));
    let command = commands.next().unwrap();
    assert_eq!(commands.next(), None, "{part} is in two commands");
    command.replace("\"$TOKEN\"", token)
}

/// Waits until an execution of the state machine watch watches a phase of a migration, and returns it.
async fn until_watched(stack: &Stack, migration: &Execution, phase: &str) -> Execution {
    until(&format!("watch of the phase {phase}"), async || {
        for watch in stack.watches().await.unwrap() {
            let input = watch.input().await.unwrap();
            if input["executionArn"] == migration.arn()
                && input["phase"] == phase
                && watch.ended().await.unwrap().is_none()
            {
                return Some(watch);
            }
        }
        let ended = migration.ended().await.unwrap();
        assert!(ended.is_none(), "the execution ended before: {ended:#?}");
        None
    })
    .await
}

/// Answers a migration in a phase with a command of the runbook.
async fn answer(stack: &Stack, migration: &Execution, phase: &str, command: &str) {
    until_watched(stack, migration, phase).await;
    let token = stack.task_token(migration).await.unwrap().unwrap();
    let command = runbook_command(command, &token);
    stack.run_command(&command).await.unwrap();
}

/// Waits for the rollback that a migration's status event starts, and returns it.
async fn until_rollback_by_status_event(stack: &Stack, migration: &Execution) -> Execution {
    until("rollback by the migration's status event", async || {
        for rollback in stack.rollbacks().await.unwrap() {
            let request = rollback.input().await.unwrap();
            if request.pointer("/detail/executionArn") == Some(&json!(migration.arn())) {
                return Some(rollback);
            }
        }
        None
    })
    .await
}

/// Waits until the zone is `before` again.
async fn until_zone(stack: &Stack, before: &str) {
    until("restored zone", async || {
        let zone = stack.zone.to_cli_json().await.unwrap();
        (zone == before).then_some(())
    })
    .await;
}

/// Waits until a side has a weight at a name while `execution` is running.
async fn until_weight(stack: &Stack, execution: &Execution, name: &str, side: &str, weight: u8) {
    while weight_of(&stack.zone, name, side).await != Some(weight) {
        let ended = execution.ended().await.unwrap();
        assert!(ended.is_none(), "the execution ended before: {ended:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The weight of a side at a name, the same for all its types.
async fn weight_of(zone: &Zone, name: &str, side: &str) -> Option<u8> {
    let name: RecordName = name.parse().unwrap();
    let weights = zone.weights(std::slice::from_ref(&name)).await.unwrap();
    weights.weight(&name, &side.parse().unwrap())
}

#[track_caller]
fn assert_succeeded(ended: &ExecutionResult, state: &str) {
    assert_eq!(
        (ended.outcome.as_str(), ended.state.as_str()),
        ("SUCCEEDED", state),
        "{ended:#?}"
    );
}

#[track_caller]
fn assert_failed(ended: &ExecutionResult, state: &str, error: &str) {
    assert_eq!(
        (
            ended.outcome.as_str(),
            ended.state.as_str(),
            ended.error.as_deref()
        ),
        ("FAILED", state, Some(error)),
        "{ended:#?}"
    );
}

/// Checks that the cause contains all `parts`, and neither a Rust path nor JSON.
#[track_caller]
fn assert_cause(ended: &ExecutionResult, parts: &[&str]) {
    let cause = ended.cause.as_deref().unwrap_or_default();
    for part in parts {
        assert!(cause.contains(part), "{part:?} is not in {cause:?}");
    }
    assert!(
        !cause.contains("::"),
        "the cause contains a Rust path: {cause:?}"
    );
    assert!(!cause.starts_with('{'), "the cause is JSON: {cause:?}");
}
