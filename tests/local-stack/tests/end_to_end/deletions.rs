//! Deletions of the stack.

use serde_json::json;

use crate::{BURNHAM, assert_failed, assert_succeeded, input, migrate, stack};

/// The journals are the only record of the original weights, and only this stack's key verifies them.
#[tokio::test]
async fn stack_is_not_deleted_while_a_migration_holds() {
    let stack = stack().await;
    let holding = json!({ "steps": [{ "percent": 50, "approval": true }, 100],
        "approvalTimeoutSeconds": 60, "onRefusal": "hold" });
    let held = migrate(&stack, "holding", &input(&stack, holding)).await;
    assert_failed(&held, "Held", "Held");
    let at_50 = stack.zone.to_cli_json().await.unwrap();

    let refusal = stack.delete().await.unwrap().unwrap_err();
    for part in [
        "DeletionGuard: ",
        &format!("{BURNHAM} (execution holding, 50 percent)"),
        "release them or roll them back, then delete the stack again",
    ] {
        assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
    }
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), at_50);
}

/// Without registry TXT records nothing is leased, so the completion has deleted the journals.
#[tokio::test]
async fn stack_is_deleted_after_its_migrations_have_ended() {
    let stack = stack().await;
    let completed = migrate(&stack, "unleased", &input(&stack, json!({}))).await;
    assert_succeeded(&completed, "Completed");
    stack.delete().await.unwrap().unwrap();
}
