//! Migrations from one end to the other on the local stack, each test on a stack of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helper that can't go on shall panic"
)]

mod aborts;
mod approvals;
mod contention;
mod events;
mod external_dns;
mod footprint;
mod kills;
mod late;
mod permissions;
mod records;
mod refusals;
mod rollbacks;
mod scenarios;

use std::time::Duration;

use local_stack::{
    BLUE, Ended, Execution, GREEN, Notification, RecordName, Settings, Stack, Zone, blueprint,
    without_registry,
};
use migration::record::RecordSet;
use serde_json::{Value, json};

/// A minute of waiting takes this many minutes: a quarter of a second.
const WAIT_SCALE: f64 = 0.004;
/// The same where something comes late: two minutes, after which no function can be at work any
/// more, are time enough for that.
const LATE_WAIT_SCALE: f64 = 0.02;
const BURNHAM: &str = "burnham.eks-blueprint.example.com";
const ALARM: &str = "eks-blueprint-green-5xx";

/// A stack with the blueprint's zone, without ExternalDNS's registry.
async fn stack() -> Stack {
    stack_with(without_registry(blueprint())).await
}

async fn stack_with(record_sets: Vec<RecordSet>) -> Stack {
    stack_set(record_sets, Settings::default()).await
}

async fn stack_set(record_sets: Vec<RecordSet>, settings: Settings) -> Stack {
    let stack = Stack::start_with(&record_sets, settings).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    stack
}

/// A stack at whose gate changes of records can be held.
async fn gated_stack(record_sets: Vec<RecordSet>) -> Stack {
    let settings = Settings {
        gates_route53: true,
        ..Settings::default()
    };
    stack_set(record_sets, settings).await
}

/// A migration of one name in two steps, with some fields otherwise.
fn input(stack: &Stack, otherwise: Value) -> Value {
    let mut input = json!({
        "hostedZoneId": stack.zone.id(),
        "from": BLUE,
        "to": GREEN,
        "names": [BURNHAM],
        "steps": [50, 100],
        "bakeSeconds": 60,
        "checkSeconds": 30,
        "readyTimeoutSeconds": 60,
        "probe": { "expectedBody": format!("CLUSTER_NAME: {GREEN}") },
    });
    if let (Some(input), Value::Object(otherwise)) = (input.as_object_mut(), otherwise) {
        input.extend(otherwise);
    }
    input
}

/// A bake that lasts until something else happens.
fn long_bake() -> Value {
    json!({ "bakeSeconds": 15_000, "checkSeconds": 60 })
}

/// Runs a migration to its end.
async fn migrate(stack: &Stack, name: &str, input: &Value) -> Ended {
    let execution = stack.start_migration(name, input).await.unwrap();
    execution.wait().await.unwrap()
}

/// Runs a rollback to its end.
async fn roll_back(stack: &Stack, name: &str, input: &Value) -> Ended {
    let execution = stack.start_rollback(name, input).await.unwrap();
    execution.wait().await.unwrap()
}

/// Far longer than anything that is waited for takes, also on a loaded machine.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Waits until `look` finds something.
async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(LONGEST_WAIT, found).await;
    found.unwrap_or_else(|_| panic!("there was no {what} within {LONGEST_WAIT:?}"))
}

/// Waits until people are told of `status`; what they were told before is dropped.
async fn until_told(stack: &Stack, status: &str) -> Notification {
    until(&format!("notification {status}"), async || {
        let told = stack.notifications().await.unwrap();
        told.into_iter().find(|told| told.status() == status)
    })
    .await
}

/// Waits until an execution enters a state.
async fn until_entered(execution: &Execution, state: &str) {
    until(&format!("state {state:?}"), async || {
        let states = execution.states().await.unwrap();
        let is_entered = states.iter().any(|entered| entered == state);
        let ended = execution.ended().await.unwrap();
        assert!(is_entered || ended.is_none(), "it has ended: {ended:#?}");
        is_entered.then_some(())
    })
    .await;
}

/// Waits for the rollback that the end of a migration starts from outside, by its event.
async fn until_rolled_back_by_its_end(stack: &Stack, migration: &Execution) -> Execution {
    until("rollback by the migration's end", async || {
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

/// Waits until the zone is as it was.
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
        assert!(ended.is_none(), "it has ended: {ended:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The weight of a side at a name, the same for all its types.
async fn weight_of(zone: &Zone, name: &str, side: &str) -> Option<u8> {
    let name: RecordName = name.parse().unwrap();
    let traffic = zone.traffic(std::slice::from_ref(&name)).await.unwrap();
    traffic.weight(&name, &side.parse().unwrap())
}

#[track_caller]
fn assert_succeeded(ended: &Ended, state: &str) {
    assert_eq!(
        (ended.outcome.as_str(), ended.state.as_str()),
        ("SUCCEEDED", state),
        "{ended:#?}"
    );
}

#[track_caller]
fn assert_failed(ended: &Ended, state: &str, error: &str) {
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

/// The cause says all of `parts`, and nothing of how the functions are written.
#[track_caller]
fn assert_cause(ended: &Ended, parts: &[&str]) {
    let cause = ended.cause.as_deref().unwrap_or_default();
    for part in parts {
        assert!(cause.contains(part), "{part:?} is not in {cause:?}");
    }
    assert!(!cause.contains("::"), "a Rust path in {cause:?}");
    assert!(!cause.starts_with('{'), "JSON in place of words: {cause:?}");
}
