//! What an aborted migration's function writes while its rollback is at work already.

use local_stack::{Execution, Held, Stack, Way};
use serde_json::json;

use crate::kills::{NAMES, crowded, crowded_stack, weights};
use crate::{
    ALARM, LATE_WAIT_SCALE, WAIT_SCALE, assert_succeeded, long_bake, until, until_entered,
    until_rolled_back_by_its_end,
};

/// A zone of several pages is not read at one moment: a change comes between two of them.
#[tokio::test]
async fn a_change_between_two_pages_that_a_rollback_reads_is_undone() {
    let stack = crowded_stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, held) = first_change_held(&stack, "late").await;
    let page = stack.gate().unwrap().hold_later_page();
    migration.stop().await.unwrap();
    let rollback = until_rolled_back_by_its_end(&stack, &migration).await;
    let page = page.held().await.unwrap();
    held.release();
    until("journal of each name", async || {
        let journals = stack.zone.journals().await.unwrap();
        (journals.len() == NAMES).then_some(())
    })
    .await;
    page.release();

    assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    assert!(stack.zone.journals().await.unwrap().is_empty());
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The first pass finds nothing of it, and so nothing of what it goes on from; then it writes one
/// of two changes, and no more.
#[tokio::test]
async fn what_goes_on_from_a_held_migration_late_and_dies_is_undone_with_it() {
    let stack = crowded_stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    let mut holding = crowded(&stack, long_bake());
    holding["onFailure"] = "hold".into();
    holding["alarms"] = json!({ "names": [ALARM] });
    let first = stack.start_migration("first", &holding).await.unwrap();
    until_entered(&first, "Check health").await;
    stack.fire_alarm(ALARM).await.unwrap();
    let other = until_rolled_back_by_its_end(&stack, &first).await;
    assert_succeeded(&other.wait().await.unwrap(), "Nothing to roll back");

    let (second, held) = first_change_held(&stack, "second").await;
    second.stop().await.unwrap();
    let rollback = until_rolled_back_by_its_end(&stack, &second).await;
    until_entered(&rollback, "Wait out the TTL").await;
    let next = stack.gate().unwrap().hold(1, Way::There);
    held.release();
    next.held().await.unwrap().refuse();
    until_entered(&rollback, "Confirm the rollback").await;
    stack.scale_waits(WAIT_SCALE).await.unwrap();

    assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    assert_eq!(weights(&stack).await, [(100, 0)]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// A migration whose first change is held, with the time that a rollback gives it.
async fn first_change_held(stack: &Stack, name: &str) -> (Execution, Held) {
    let holding = stack.gate().unwrap().hold(1, Way::There);
    let input = crowded(stack, json!({}));
    let migration = stack.start_migration(name, &input).await.unwrap();
    let held = holding.held().await.unwrap();
    stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
    (migration, held)
}
