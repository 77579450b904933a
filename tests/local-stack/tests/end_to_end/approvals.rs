//! Steps that need an approval.

use local_stack::{Execution, GREEN, Notification, Settings, Stack, blueprint, without_registry};
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, assert_cause, assert_failed, assert_succeeded, input, stack,
    stack_with_settings, until_notified, until_zone, weight_of,
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
        next, "Check health",
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
    let settings = Settings {
        approval_timeout_seconds: 1,
        ..Settings::default()
    };
    let stack = stack_with_settings(without_registry(blueprint()), settings).await;
    let (migration, _) = start_with_approval(&stack, json!({ "onRefusal": "hold" })).await;
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
    let (migration, _) =
        start_with_approval(&stack, json!({ "alarms": { "names": [ALARM] } })).await;
    stack.fire_alarm_with_event(ALARM).await.unwrap();
    until_zone(&stack, &before).await;
    let ended = migration.wait().await.unwrap();
    assert_eq!(ended.outcome, "ABORTED");
    until_notified(&stack, "RolledBack").await;
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The alarm's event was lost, or its name does not begin with the prefix. The health check before
/// the next shift finds it.
#[tokio::test]
async fn alarm_that_fired_during_a_pending_approval_rolls_back_after_the_approval() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, notification) =
        start_with_approval(&stack, json!({ "alarms": { "names": [ALARM] } })).await;
    stack.fire_alarm(ALARM).await.unwrap();
    stack.clear_alarm(ALARM).await.unwrap();
    stack
        .run_command(&command(&notification, "Approve"))
        .await
        .unwrap();
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "HealthCheckFailed");
    assert_cause(&ended, &["50 percent", ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
