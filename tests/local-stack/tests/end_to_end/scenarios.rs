//! The scenarios of the demo end as expected.

use local_stack::{ExternalDns, Report, Scenario, Stack, blueprint};

use crate::interpreted::{AFTER_A_LOOK, BEFORE_A_LOOK};
use crate::{WAIT_SCALE, interpreted, stack_with, until_notified};

async fn play(name: &str) -> (Stack, Report) {
    let stack = stack_with(blueprint()).await;
    let interval = ExternalDns::INTERVAL.mul_f64(WAIT_SCALE);
    let external_dns = ExternalDns::start(&stack.zone, interval).await.unwrap();
    let scenario = Scenario::find(name).unwrap();
    let report = scenario
        .play(&stack, &external_dns, &mut |_| {})
        .await
        .unwrap();
    assert!(
        report.unexpected.is_empty(),
        "{:#?}\n{}",
        report.unexpected,
        stack.log()
    );
    expect_same_as_interpreted(scenario, &stack, &report).await;
    (stack, report)
}

/// Expects that the interpreter takes the executions through the same states. The circumstance happens
/// before or after a look during the bake, except that ExternalDNS puts unleased weights back whenever
/// its interval is over.
async fn expect_same_as_interpreted(scenario: &'static Scenario, stack: &Stack, report: &Report) {
    let found = interpreted::of_stack(scenario, stack, report).await;
    let moments: &[(&str, &str)] = match scenario.name {
        "no-lease" => &[
            ("Confirm the change", BEFORE_A_LOOK),
            ("Confirm the change", AFTER_A_LOOK),
            ("Wait out the TTL", BEFORE_A_LOOK),
            ("Wait out the TTL", AFTER_A_LOOK),
            ("Bake", BEFORE_A_LOOK),
            ("Bake", AFTER_A_LOOK),
        ],
        _ => &[("Bake", BEFORE_A_LOOK), ("Bake", AFTER_A_LOOK)],
    };
    // The executor of the simulation can't run in a task of Tokio, which limits how often a task may
    // continue before it yields.
    let play = move || -> Vec<_> {
        let moments = moments.iter();
        moments
            .flat_map(|moment| interpreted::play(scenario, *moment))
            .collect()
    };
    let expected = tokio::task::spawn_blocking(play).await.unwrap();
    assert!(
        expected.contains(&found),
        "the emulator entered {found:#?}\nthe interpreter entered {expected:#?}"
    );
}

#[tokio::test]
async fn canary_migration_completes_and_is_released() {
    let (stack, report) = play("canary").await;
    assert!(report.release.is_some());
    let notification = until_notified(&stack, "Completed").await;
    assert_eq!(notification.subject, "Cutover completed: canary");
    assert!(
        notification
            .description()
            .starts_with("All traffic of 5 names"),
        "{notification:#?}"
    );
}

#[tokio::test]
async fn green_that_answers_500_never_gets_weight() {
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
async fn alarm_found_by_a_health_check_restores_the_original_weights() {
    let (stack, _) = play("alarm").await;
    let notification = until_notified(&stack, "RolledBack").await;
    let description = notification.description();
    assert!(description.contains("from 50 percent"), "{description}");
    assert!(description.contains("100/0"), "{description}");
    assert!(
        description.contains("Why: HealthCheckFailed"),
        "{description}"
    );
}

#[tokio::test]
async fn alarm_event_restores_the_original_weights_at_once() {
    let (_, report) = play("alarm-event").await;
    assert!(report.alarm_to_change.is_some());
}

#[tokio::test]
async fn aborted_migration_is_rolled_back() {
    play("abort").await;
}

#[tokio::test]
async fn approved_migration_completes() {
    play("approval").await;
}

#[tokio::test]
async fn drift_is_kept_until_an_operator_rolls_back() {
    let (stack, _) = play("drift").await;
    let notification = until_notified(&stack, "Held").await;
    assert!(
        notification.description().contains("Why: Drift: "),
        "{notification:#?}"
    );
}

#[tokio::test]
async fn unleased_weights_that_external_dns_puts_back_are_kept_until_an_operator_rolls_back() {
    let (_, report) = play("no-lease").await;
    let happenings = report.timeline.iter().flat_map(|moment| &moment.happenings);
    let happenings: Vec<_> = happenings.map(String::as_str).collect();
    for cluster in ["blue", "green"] {
        let put_back = format!("ExternalDNS of {cluster} puts 10 records back");
        assert!(happenings.contains(&put_back.as_str()), "{happenings:?}");
    }
}
