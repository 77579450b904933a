//! Steps that ask whether the migration may go on.

use local_stack::{Execution, GREEN, Notification, Settings, Stack, blueprint, without_registry};
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, assert_cause, assert_failed, assert_succeeded, input, stack, stack_set,
    until_told, until_zone, weight_of,
};

/// Started, and at the approval behind its first step.
async fn asking(stack: &Stack, otherwise: Value) -> (Execution, Notification) {
    let mut wanted = input(
        stack,
        json!({ "steps": [{ "percent": 50, "approval": true }, 100] }),
    );
    if let (Some(wanted), Value::Object(otherwise)) = (wanted.as_object_mut(), otherwise) {
        wanted.extend(otherwise);
    }
    let migration = stack.start_migration("asking", &wanted).await.unwrap();
    let asked = until_told(stack, "ApprovalWanted").await;
    (migration, asked)
}

fn command(asked: &Notification, answer: &str) -> String {
    let steps = asked.next_steps();
    let step = steps.iter().find(|step| step.starts_with(answer));
    (*step.unwrap()).to_owned()
}

#[tokio::test]
async fn an_approval_says_what_is_asked_and_how_to_answer_and_leads_on() {
    let stack = stack().await;
    let (migration, asked) = asking(&stack, json!({})).await;
    assert_eq!(asked.subject, "Cutover waits for approval: asking");
    for part in ["asking", "50 percent", "go on to 100 percent", "rolls back"] {
        assert!(asked.description().contains(part), "{part:?}: {asked:#?}");
    }
    for link in ["/states/home?", "/cloudwatch/home?"] {
        assert!(
            asked.next_steps().iter().any(|step| step.contains(link)),
            "{asked:#?}"
        );
    }
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));

    stack
        .run_command(&command(&asked, "Approve"))
        .await
        .unwrap();
    let ended = migration.wait().await.unwrap();
    assert_succeeded(&ended, "Completed");
    let asked_at = ended
        .states
        .iter()
        .position(|state| state == "Ask for approval");
    let next = ended.states.get(asked_at.unwrap() + 1).unwrap();
    assert_eq!(next, "Check health", "nobody has looked while it waited");
}

#[tokio::test]
async fn a_refused_approval_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, asked) = asking(&stack, json!({})).await;
    let refuse = command(&asked, "Refuse").replace("who and why", "the boss: not today");
    stack.run_command(&refuse).await.unwrap();
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "ApprovalRefused");
    assert_cause(&ended, &["50 percent", "Refused", "the boss: not today"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn an_approval_that_nobody_gives_holds_where_the_input_says_so() {
    let settings = Settings {
        approval_timeout_seconds: 1,
        ..Settings::default()
    };
    let stack = stack_set(without_registry(blueprint()), settings).await;
    let (migration, _) = asking(&stack, json!({ "onRefusal": "hold" })).await;
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["ApprovalTimedOut", "50 percent"]);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));
    assert_eq!(stack.zone.journals().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_alarm_while_an_approval_is_waited_for_rolls_back_at_once() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, _) = asking(&stack, json!({ "alarms": { "names": [ALARM] } })).await;
    stack.fire_alarm_with_event(ALARM).await.unwrap();
    until_zone(&stack, &before).await;
    let ended = migration.wait().await.unwrap();
    assert_eq!(ended.outcome, "ABORTED");
    until_told(&stack, "RolledBack").await;
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// Its event was lost, or does not begin with the prefix: it is found before anything is shifted.
#[tokio::test]
async fn an_alarm_that_fired_meanwhile_is_found_after_the_approval() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, asked) = asking(&stack, json!({ "alarms": { "names": [ALARM] } })).await;
    stack.fire_alarm(ALARM).await.unwrap();
    stack.quiet_alarm(ALARM).await.unwrap();
    stack
        .run_command(&command(&asked, "Approve"))
        .await
        .unwrap();
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "HealthCheckFailed");
    assert_cause(&ended, &["50 percent", ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
