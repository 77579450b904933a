//! Steps that need an approval.

use local_stack::{Execution, ExecutionResult, GREEN, Notification, Stack};
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, assert_cause, assert_failed, assert_succeeded, input, stack, until_notified,
    until_zone, weight_of,
};

/// Starts a migration whose first step needs an approval, and waits for the approval's notification.
async fn start_with_approval(stack: &Stack, overrides: Value) -> (Execution, Notification) {
    let mut request = input(
        stack,
        json!({ "steps": [{ "percent": 50, "approval": true }, 100] }),
    );
    if let (Some(request), Value::Object(overrides)) = (request.as_object_mut(), overrides) {
        request.extend(overrides);
    }
    let migration = stack.start_migration("asking", &request).await.unwrap();
    let notification = until_notified(stack, "ApprovalRequested").await;
    (migration, notification)
}

/// The next step of the notification that begins with `answer`: `Approve` or `Refuse`.
fn command(notification: &Notification, answer: &str) -> String {
    let steps = notification.next_steps();
    let step = steps.iter().find(|step| step.starts_with(answer));
    (*step.unwrap()).to_owned()
}

#[tokio::test]
async fn approval_request_contains_the_commands_and_approval_continues_the_migration() {
    let stack = stack().await;
    let (migration, notification) = start_with_approval(&stack, json!({})).await;
    assert_eq!(notification.subject, "Cutover waits for approval: asking");
    for part in [
        "asking",
        "50 percent",
        "continue to 100 percent",
        "rolls back",
    ] {
        assert!(
            notification.description().contains(part),
            "{part:?} is not in {notification:#?}"
        );
    }
    for link in ["/states/home?", "/cloudwatch/home?"] {
        assert!(
            notification
                .next_steps()
                .iter()
                .any(|step| step.contains(link)),
            "{link:?} is not in {notification:#?}"
        );
    }
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));

    stack
        .run_command(&command(&notification, "Approve"))
        .await
        .unwrap();
    let ended = migration.wait().await.unwrap();
    assert_succeeded(&ended, "Completed");
    let approval = ended
        .states
        .iter()
        .position(|state| state == "Ask for approval");
    let next = ended.states.get(approval.unwrap() + 1).unwrap();
    assert_eq!(
        next, "Check health once more",
        "health must be checked again after the wait"
    );
}

#[tokio::test]
async fn refused_approval_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, notification) = start_with_approval(&stack, json!({})).await;
    let refuse = command(&notification, "Refuse").replace("who and why", "the boss: not today");
    stack.run_command(&refuse).await.unwrap();
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "ApprovalRefused");
    assert_cause(&ended, &["50 percent", "Refused", "the boss: not today"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn approval_timeout_with_on_refusal_hold_holds() {
    let stack = stack().await;
    let timing_out = json!({ "onRefusal": "hold", "approvalTimeoutSeconds": 60 });
    let (migration, _) = start_with_approval(&stack, timing_out).await;
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["ApprovalTimedOut", "50 percent"]);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));
    assert_eq!(stack.zone.journals().await.unwrap().len(), 1);
}

#[tokio::test]
async fn alarm_event_during_a_pending_approval_rolls_back_at_once() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let watching = json!({ "alarms": { "names": [ALARM] } });
    let (migration, _) = start_with_approval(&stack, watching).await;
    // The alarm stays in OK, so that no check of the migration can find it first.
    stack.deliver_alarm_event(ALARM).await.unwrap();
    until_zone(&stack, &before).await;
    let ended = migration.wait().await.unwrap();
    assert_eq!(ended.outcome, "ABORTED");
    until_notified(&stack, "RolledBack").await;
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The alarm's event was lost, or its name does not begin with the prefix. The next check finds it.
#[tokio::test]
async fn alarm_that_fires_and_clears_while_an_approval_is_pending_rolls_back() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, _) =
        start_with_approval(&stack, json!({ "alarms": { "names": [ALARM] } })).await;
    stack.fire_alarm(ALARM).await.unwrap();
    stack.clear_alarm(ALARM).await.unwrap();
    let ended = migration.wait().await.unwrap();
    assert_rolled_back_while_pending(&ended);
    assert_cause(&ended, &["50 percent", ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn new_side_that_fails_while_an_approval_is_pending_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, notification) = start_with_approval(&stack, json!({})).await;
    stack.green.set_healthy(false);
    let ended = migration.wait().await.unwrap();
    assert_rolled_back_while_pending(&ended);
    assert_cause(&ended, &["50 percent", BURNHAM, "500"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    // An approval comes late: its token is no longer valid.
    let approve = command(&notification, "Approve");
    let error = stack.run_command(&approve).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("TaskDoesNotExist"),
        "{error:?}"
    );
}

#[track_caller]
fn assert_rolled_back_while_pending(ended: &ExecutionResult) {
    assert_failed(ended, "Rolled back", "HealthCheckFailed");
    let last_states = ended
        .states
        .rsplit(|state| state == "Ask for approval")
        .next();
    let expected = [
        "Note the failure",
        "Hold or roll back?",
        "Roll back",
        "Rolled back",
    ];
    assert_eq!(last_states.unwrap(), expected);
}
