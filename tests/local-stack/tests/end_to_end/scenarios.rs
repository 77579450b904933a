//! The demo's scenarios end as they should.

use local_stack::{Report, Scenario, Stack};

use crate::stack;

async fn play(name: &str) -> (Stack, Report) {
    let stack = stack().await;
    let scenario = Scenario::find(name).unwrap();
    let report = scenario.play(&stack, &mut |_| {}).await.unwrap();
    assert!(
        report.unexpected.is_empty(),
        "{:#?}\n{}",
        report.unexpected,
        stack.log()
    );
    (stack, report)
}

async fn assert_notified(stack: &Stack, text: &str) {
    let notifications = stack.notifications().await.unwrap();
    let count = notifications
        .iter()
        .filter(|notification| notification.contains(text))
        .count();
    assert_eq!(count, 1, "{notifications:#?}");
}

#[tokio::test]
async fn a_canary_migration_completes() {
    let (stack, _) = play("canary").await;
    assert_notified(&stack, "All traffic of 5 names").await;
}

#[tokio::test]
async fn a_bad_green_never_gets_any_weight() {
    let (stack, report) = play("bad-green").await;
    assert!(stack.green.requests() > 0);
    let entered = |state: &str| {
        report
            .migration
            .states
            .iter()
            .any(|entered| entered == state)
    };
    assert!(!entered("Shift weight"), "{:?}", report.migration.states);
}

#[tokio::test]
async fn an_alarm_brings_the_original_weights_back() {
    let (stack, _) = play("alarm").await;
    assert_notified(
        &stack,
        "restored the original weights of 5 names. Reason: HealthCheckFailed",
    )
    .await;
}

#[tokio::test]
async fn drift_is_kept_until_a_rollback_is_asked_for() {
    let (stack, _) = play("drift").await;
    let notifications = stack.notifications().await.unwrap();
    let held = notifications
        .iter()
        .any(|notification| notification.starts_with("Drift: "));
    assert!(held, "{notifications:#?}");
}
