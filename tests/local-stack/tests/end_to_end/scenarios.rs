//! The demo's scenarios end as they should.

use local_stack::{Report, Scenario, Stack};

use crate::{stack, until_told};

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

#[tokio::test]
async fn a_canary_migration_completes() {
    let (stack, _) = play("canary").await;
    let told = until_told(&stack, "Completed").await;
    assert_eq!(told.subject, "Cutover completed: canary");
    assert!(
        told.description().starts_with("All traffic of 5 names"),
        "{told:#?}"
    );
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
    let told = until_told(&stack, "RolledBack").await;
    let description = told.description();
    assert!(description.contains("from 50 percent"), "{description}");
    assert!(description.contains("100/0"), "{description}");
    assert!(
        description.contains("Why: HealthCheckFailed"),
        "{description}"
    );
}

#[tokio::test]
async fn an_alarms_event_brings_the_original_weights_back_at_once() {
    let (_, report) = play("alarm-event").await;
    assert!(report.alarm_to_change.is_some());
}

#[tokio::test]
async fn an_aborted_migration_is_undone() {
    play("abort").await;
}

#[tokio::test]
async fn a_migration_asks_and_is_answered() {
    play("approval").await;
}

#[tokio::test]
async fn drift_is_kept_until_a_rollback_is_asked_for() {
    let (stack, _) = play("drift").await;
    let told = until_told(&stack, "Held").await;
    assert!(told.description().contains("Why: Drift: "), "{told:#?}");
}
