//! Rollbacks that an operator starts in the console.

use serde_json::{Value, json};

use crate::{
    ALARM, BLUE, BURNHAM, GREEN, assert_succeeded, input, long_bake, migrate, roll_back, stack,
    until_weight,
};

/// Checks that a rollback stops a migration at 50 percent and restores the zone. `rollback` makes
/// the rollback's input from the zone's id.
async fn check_rolled_back_while_running(rollback: impl FnOnce(&str) -> Value) {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut watching = long_bake();
    watching["alarms"] = json!({ "names": [ALARM] });
    let migration = stack
        .start_migration("running", &input(&stack, watching))
        .await
        .unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;

    let ended = roll_back(&stack, "by-hand", &rollback(stack.zone.id())).await;
    assert_succeeded(&ended, "Rolled back");
    let stopped = migration.wait().await.unwrap();
    // The emulator runs the current state of a stopped execution to its end, where it may fail.
    assert_ne!(stopped.outcome, "SUCCEEDED", "{stopped:#?}");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn rollback_by_execution_stops_and_restores_a_running_migration() {
    check_rolled_back_while_running(|_| json!({ "execution": "running" })).await;
}

#[tokio::test]
async fn rollback_by_names_stops_and_restores_a_running_migration() {
    check_rolled_back_while_running(|zone| json!({ "hostedZoneId": zone, "names": ["*"] })).await;
}

#[tokio::test]
async fn rollback_by_alarm_stops_and_restores_a_running_migration() {
    check_rolled_back_while_running(|_| json!({ "alarm": ALARM })).await;
}

#[tokio::test]
async fn completed_unleased_migration_cannot_be_rolled_back_but_can_be_reversed() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    assert_succeeded(
        &migrate(&stack, "there", &input(&stack, json!({}))).await,
        "Completed",
    );
    let completed = stack.zone.to_cli_json().await.unwrap();

    let ended = roll_back(&stack, "too-late", &json!({ "execution": "there" })).await;
    assert_succeeded(&ended, "Nothing to roll back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), completed);

    let back = json!({
        "from": GREEN,
        "to": BLUE,
        "probe": { "expectedBody": format!("CLUSTER_NAME: {BLUE}") },
    });
    assert_succeeded(
        &migrate(&stack, "back", &input(&stack, back)).await,
        "Completed",
    );
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
