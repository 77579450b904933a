//! Executions of the state machine watch that are lost, or whose migration has ended.

use local_stack::{Execution, Stack};
use serde_json::{Value, json};

use crate::{
    BURNHAM, GREEN, PROMOTE, answer, assert_cause, assert_succeeded, input, long_bake, stack,
    until, until_entered, until_watched, weight_of,
};

/// Stops the execution that watches the bake, and fails its token as Step Functions does when no
/// heartbeat has arrived in time. The emulator does not count heartbeats.
async fn lose_watch(stack: &Stack, migration: &Execution) -> Execution {
    let watch = until_watched(stack, migration, "bake").await;
    watch.stop().await.unwrap();
    let input = watch.input().await.unwrap();
    let token = input["token"].as_str().unwrap();
    let timed_out = format!(
        "aws stepfunctions send-task-failure --error States.HeartbeatTimeout --cause '' \
         --task-token {token}"
    );
    stack.run_command(&timed_out).await.unwrap();
    watch
}

/// The executions that watch the bake of a migration.
async fn watches_of_bake(stack: &Stack, migration: &Execution) -> Vec<(String, Value)> {
    let mut watches = Vec::new();
    for watch in stack.watches().await.unwrap() {
        let input = watch.input().await.unwrap();
        if input["executionArn"] == migration.arn() && input["phase"] == "bake" {
            watches.push((watch.name().to_owned(), input));
        }
    }
    watches
}

#[tokio::test]
async fn lost_watch_is_replaced_by_another() {
    let stack = stack().await;
    let mut request = input(&stack, long_bake());
    request["steps"] = json!([100]);
    let migration = stack.start_migration("watched", &request).await.unwrap();
    let lost = lose_watch(&stack, &migration).await;
    answer(&stack, &migration, "bake", PROMOTE).await;

    assert_succeeded(&migration.wait().await.unwrap(), "Completed");
    assert_eq!(
        migration.failed_attempts().await.unwrap(),
        ["States.HeartbeatTimeout"]
    );
    let watches = watches_of_bake(&stack, &migration).await;
    // The third one is the check after the answer.
    assert_eq!(watches.len(), 3, "{watches:#?}");
    for (name, _) in &watches {
        assert!(name.starts_with("watched-bake-"), "{name}");
    }
    assert!(watches.iter().any(|(name, _)| name == lost.name()));
}

#[tokio::test]
async fn migration_whose_watch_is_lost_twice_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let request = input(&stack, long_bake());
    let migration = stack.start_migration("unwatched", &request).await.unwrap();
    let first = lose_watch(&stack, &migration).await;
    let second = lose_watch(&stack, &migration).await;
    assert_ne!(first.name(), second.name());

    let ended = migration.wait().await.unwrap();
    assert_eq!(
        (ended.outcome.as_str(), ended.state.as_str()),
        ("FAILED", "Rolled back")
    );
    assert_cause(&ended, &["50 percent", "watch"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// Step Functions does not stop a watch together with its migration.
#[tokio::test]
async fn watch_ends_by_itself_after_an_operator_has_answered() {
    let stack = stack().await;
    let mut request = input(&stack, long_bake());
    request["steps"] = json!([100]);
    let migration = stack.start_migration("answered", &request).await.unwrap();
    let watch = until_watched(&stack, &migration, "bake").await;
    answer(&stack, &migration, "bake", PROMOTE).await;
    assert_succeeded(&migration.wait().await.unwrap(), "Completed");
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(100));
    until_entered(&watch, "Not needed any more").await;
    let ended = until("end of the watch", async || watch.ended().await.unwrap()).await;
    assert_succeeded(&ended, "Not needed any more");
}
