//! Operators who answer a migration during a step with the commands of the runbook.

use serde_json::json;

use crate::{
    ALARM, BURNHAM, GREEN, HOLD, PROMOTE, ROLL_BACK, answer, assert_cause, assert_failed,
    assert_succeeded, input, long_bake, stack, until, until_weight, weight_of,
};

/// The bakes would last longer than the test, and nobody approves the step by itself.
#[tokio::test]
async fn promoted_bake_ends_after_one_more_check_without_an_approval() {
    let stack = stack().await;
    let mut request = input(&stack, long_bake());
    request["steps"] = json!([{ "percent": 50, "approval": true }, 100]);
    let migration = stack.start_migration("promoted", &request).await.unwrap();
    answer(&stack, &migration, "bake", PROMOTE).await;
    until_weight(&stack, &migration, BURNHAM, GREEN, 100).await;
    let requests = stack.green.requests();
    answer(&stack, &migration, "bake", PROMOTE).await;

    let ended = migration.wait().await.unwrap();
    assert_succeeded(&ended, "Completed");
    let entered = |state: &str| {
        ended
            .states
            .iter()
            .filter(|entered| *entered == state)
            .count()
    };
    assert_eq!(entered("Bake"), 2);
    assert_eq!(entered("Check health once more"), 2);
    assert_eq!(entered("Ask for approval"), 0);
    assert!(stack.green.requests() > requests);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(100));
}

#[tokio::test]
async fn held_bake_keeps_weights_and_journals_until_an_alarm_fires() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut request = input(&stack, long_bake());
    request["alarms"] = json!({ "names": [ALARM] });
    let migration = stack.start_migration("held", &request).await.unwrap();
    answer(&stack, &migration, "bake", HOLD).await;

    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["Hold: ", "who and why"]);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));
    assert_eq!(stack.zone.journals().await.unwrap().len(), 1);
    until("end of its watch", async || {
        let token = stack.task_token(&migration).await.unwrap();
        token.is_none().then_some(())
    })
    .await;

    for rollback in stack.fire_alarm_with_event(ALARM).await.unwrap() {
        assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    }
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The operator's answer overrides `onFailure`.
#[tokio::test]
async fn operator_rolls_back_during_a_bake() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut request = input(&stack, long_bake());
    request["onFailure"] = "hold".into();
    let migration = stack.start_migration("answered", &request).await.unwrap();
    answer(&stack, &migration, "bake", ROLL_BACK).await;

    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "RollBack");
    assert_cause(&ended, &["who and why"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
