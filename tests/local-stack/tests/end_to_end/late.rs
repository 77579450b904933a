//! Changes that arrive late: an aborted migration's function writes while the rollback runs.

use local_stack::{Execution, HeldCall, HoldPoint, Stack};
use serde_json::json;

use crate::kills::{NAME_COUNT, many_names_input, stack_with_many_names, weights};
use crate::{
    ALARM, LATE_WAIT_SCALE, WAIT_SCALE, assert_succeeded, long_bake, until, until_entered,
    until_rollback_by_status_event,
};

/// The pages of a zone are no snapshot: the change is applied between the reads of two pages.
#[tokio::test]
async fn change_between_two_pages_that_a_rollback_reads_is_restored() {
    let stack = stack_with_many_names().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, held) = start_with_first_change_held(&stack, "late").await;
    let page = stack.route53_proxy.hold_later_page();
    migration.stop().await.unwrap();
    let rollback = until_rollback_by_status_event(&stack, &migration).await;
    let page = page.held().await.unwrap();
    held.release();
    until("journal of each name", async || {
        let journals = stack.zone.journals().await.unwrap();
        (journals.len() == NAME_COUNT).then_some(())
    })
    .await;
    page.release();

    assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    assert!(stack.zone.journals().await.unwrap().is_empty());
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The second execution adopts the journals of the first, which is held. The first pass of its
/// rollback finds nothing, because nothing is written yet. Then one of its two changes arrives; the
/// other one is refused. The confirming pass restores the original weights of all names.
#[tokio::test]
async fn late_write_of_an_aborted_adopting_execution_is_rolled_back() {
    let stack = stack_with_many_names().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    let mut holding = many_names_input(&stack, long_bake());
    holding["onFailure"] = "hold".into();
    holding["alarms"] = json!({ "names": [ALARM] });
    let first = stack.start_migration("first", &holding).await.unwrap();
    until_entered(&first, "Bake").await;
    stack.fire_alarm(ALARM).await.unwrap();
    let by_event = until_rollback_by_status_event(&stack, &first).await;
    assert_succeeded(&by_event.wait().await.unwrap(), "Nothing to roll back");

    let (second, held) = start_with_first_change_held(&stack, "second").await;
    second.stop().await.unwrap();
    let rollback = until_rollback_by_status_event(&stack, &second).await;
    until_entered(&rollback, "Wait out the TTL").await;
    let next = stack.route53_proxy.hold(1, HoldPoint::Request);
    held.release();
    next.held().await.unwrap().refuse();
    until_entered(&rollback, "Confirm the rollback").await;
    stack.scale_waits(WAIT_SCALE).await.unwrap();

    assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    assert_eq!(weights(&stack).await, [(100, 0)]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// Starts a migration, waits until its first change is held, and slows down waits so that the change
/// can arrive during its rollback's wait.
async fn start_with_first_change_held(stack: &Stack, name: &str) -> (Execution, HeldCall) {
    let pending = stack.route53_proxy.hold(1, HoldPoint::Request);
    let input = many_names_input(stack, json!({}));
    let migration = stack.start_migration(name, &input).await.unwrap();
    let held = pending.held().await.unwrap();
    stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
    (migration, held)
}
