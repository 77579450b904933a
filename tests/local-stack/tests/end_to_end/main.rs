//! Migrations from one end to the other on the local stack, each test on a stack of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helper that can't go on shall panic"
)]

mod contention;
mod footprint;
mod permissions;
mod records;
mod refusals;
mod rollbacks;
mod scenarios;

use std::time::Duration;

use local_stack::{
    BLUE, Ended, Execution, GREEN, RecordName, Stack, Zone, blueprint, without_registry,
};
use migration::record::RecordSet;
use serde_json::{Value, json};

/// A minute of waiting takes this many minutes: a quarter of a second.
const WAIT_SCALE: f64 = 0.004;
const BURNHAM: &str = "burnham.eks-blueprint.example.com";
const ALARM: &str = "eks-blueprint-green-5xx";

/// A stack with the blueprint's zone, without ExternalDNS's registry.
async fn stack() -> Stack {
    stack_with(without_registry(blueprint())).await
}

async fn stack_with(record_sets: Vec<RecordSet>) -> Stack {
    let stack = Stack::start(&record_sets).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    stack
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
