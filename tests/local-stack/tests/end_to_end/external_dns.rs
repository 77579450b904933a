//! Migrations and releases while both clusters' ExternalDNS runs in the zone.

use std::time::Duration;

use local_stack::{ExternalDns, NAMES, Stack, blueprint, status_event};
use migration::dns::RecordType;
use serde_json::{Value, json};

use crate::{
    BLUE, BURNHAM, GREEN, assert_cause, assert_failed, assert_succeeded, input, long_bake, migrate,
    roll_back, stack_with, until, until_entered, until_notified, until_weight, weight_of,
};

/// With this scale, a release watches a name for 2.4 seconds: two intervals of ExternalDNS and more.
const WAIT_SCALE: f64 = 0.02;
/// The interval of ExternalDNS in real time.
const INTERVAL: Duration = Duration::from_secs(1);
/// The name that a release gives back first and alone: the first in the order of names.
const FIRST: &str = "\\052.apps.eks-blueprint.example.com";
const LEGACY: &str = "legacy.eks-blueprint.example.com";
const SHARED: &str = "shared.eks-blueprint.example.com";

/// A stack with both instances of ExternalDNS. Waits have the scale of the other tests; only a
/// release, or a migration that must last for some passes, needs the slower scale of this file.
async fn stack_with_external_dns() -> (Stack, ExternalDns) {
    let stack = stack_with(blueprint()).await;
    let external_dns = ExternalDns::start(&stack.zone, INTERVAL).await.unwrap();
    (stack, external_dns)
}

/// A stack with ExternalDNS and a completed migration `run` of the names of both clusters.
async fn stack_with_completed_migration() -> (Stack, ExternalDns) {
    let (stack, external_dns) = stack_with_external_dns().await;
    let input = input(&stack, json!({ "names": NAMES }));
    assert_succeeded(&migrate(&stack, "run", &input).await, "Completed");
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    (stack, external_dns)
}

/// Releases the names of the migration `run`.
async fn release(stack: &Stack, name: &str) -> local_stack::ExecutionResult {
    let input = json!({ "execution": "run", "externalDnsIntervalSeconds": 60 });
    let release = stack.start_release(name, &input).await.unwrap();
    release.wait().await.unwrap()
}

/// The zone without the journals. Their sequence numbers grow with every change.
async fn without_journals(stack: &Stack) -> Value {
    let mut zone: Value = serde_json::from_str(&stack.zone.to_cli_json().await.unwrap()).unwrap();
    let record_sets = zone["ResourceRecordSets"].as_array_mut().unwrap();
    record_sets.retain(|record_set| !record_set["Name"].as_str().unwrap().contains("_cutover."));
    zone
}

/// Checks that two further passes of both instances change nothing.
async fn assert_no_more_changes(stack: &Stack, external_dns: &ExternalDns) {
    let (zone, histories) = (without_journals(stack).await, external_dns.histories());
    external_dns.wait_for_passes(2).await;
    assert_eq!(external_dns.histories(), histories);
    assert_eq!(without_journals(stack).await, zone);
}

#[track_caller]
fn assert_never_found_changes(external_dns: &ExternalDns) {
    let histories = external_dns.histories();
    assert!(external_dns.never_found_changes(), "{histories:#?}");
}

#[tokio::test]
async fn external_dns_changes_nothing_during_a_migration_and_its_rollback_after_completion() {
    let (stack, external_dns) = stack_with_external_dns().await;
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut input = input(&stack, json!({}));
    input.as_object_mut().unwrap().remove("names");
    let passes = external_dns.blue.passes();
    assert_succeeded(&migrate(&stack, "all", &input).await, "Completed");
    assert!(external_dns.blue.passes() > passes + 1);
    assert_never_found_changes(&external_dns);
    for (name, reached) in NAMES
        .map(|name| (name, 100))
        .into_iter()
        .chain([(LEGACY, 255), (SHARED, 90)])
    {
        assert_eq!(weight_of(&stack.zone, name, BLUE).await, Some(0), "{name}");
        assert_eq!(
            weight_of(&stack.zone, name, GREEN).await,
            Some(reached),
            "{name}"
        );
    }
    let notification = until_notified(&stack, "Completed").await;
    let next_steps = notification.next_steps().join("\n");
    for part in [
        "leased",
        "annotation",
        "release state machine",
        "{\"execution\": \"all\"}",
        "ingress/team-burnham/burnham-ingress of eks-blueprint-blue: 0",
        "ingress/team-burnham/burnham-ingress of eks-blueprint-green: 100",
    ] {
        assert!(
            next_steps.contains(part),
            "{part:?} is not in {next_steps:?}"
        );
    }

    let changes = stack.status_changes().await.unwrap();
    assert_eq!(changes.last().unwrap()["detail"]["leased"], 5);

    stack.scale_waits(crate::WAIT_SCALE).await.unwrap();
    let ended = roll_back(&stack, "by-hand", &json!({ "execution": "all" })).await;
    assert_succeeded(&ended, "Rolled back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    external_dns.wait_for_passes(2).await;
    assert_never_found_changes(&external_dns);
}

#[tokio::test]
async fn rollback_at_50_percent_restores_the_zone_and_external_dns_changes_nothing() {
    let (stack, external_dns) = stack_with_external_dns().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut input = input(&stack, long_bake());
    input["names"] = json!(NAMES);
    let migration = stack.start_migration("run", &input).await.unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    external_dns.wait_for_passes(2).await;
    assert_never_found_changes(&external_dns);

    let ended = roll_back(&stack, "by-hand", &json!({ "execution": "run" })).await;
    assert_succeeded(&ended, "Rolled back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    external_dns.wait_for_passes(2).await;
    assert_never_found_changes(&external_dns);
}

#[tokio::test]
async fn released_names_are_updated_and_deleted_by_external_dns_again() {
    let (stack, external_dns) = stack_with_completed_migration().await;
    external_dns.annotate_reached_weights();
    assert_succeeded(&release(&stack, "release").await, "Released");
    assert_never_found_changes(&external_dns);
    assert!(!stack.zone.to_cli_json().await.unwrap().contains("cutover"));
    let notification = until_notified(&stack, "Released").await;
    assert_eq!(notification.subject, "Cutover released: run");
    for part in ["ExternalDNS owns 5 names", "0/100"] {
        assert!(
            notification.description().contains(part),
            "{part:?} is not in {notification:#?}"
        );
    }

    external_dns.blue.set_all_weights(1);
    external_dns.green.set_all_weights(2);
    until("updated weights", async || {
        let weights = [
            weight_of(&stack.zone, BURNHAM, BLUE).await,
            weight_of(&stack.zone, BURNHAM, GREEN).await,
        ];
        (weights == [Some(1), Some(2)]).then_some(())
    })
    .await;
    external_dns.blue.remove_all();
    external_dns.green.remove_all();
    external_dns.wait_for_passes(2).await;
    for (owner, history) in external_dns.histories() {
        assert_eq!(history.len(), 2, "{owner}: {history:#?}");
        let has_succeeded = history
            .iter()
            .all(|outcome| outcome.unread.is_none() && outcome.refused.is_empty());
        assert!(has_succeeded, "{owner}: {history:#?}");
    }
    let record_sets = stack.zone.record_sets().await.unwrap();
    let left: Vec<_> = record_sets
        .iter()
        .filter(|record_set| record_set.record_type == RecordType::Txt)
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(weight_of(&stack.zone, BURNHAM, BLUE).await, None);
}

#[tokio::test]
async fn release_with_old_annotations_leases_the_names_again() {
    let (stack, external_dns) = stack_with_completed_migration().await;
    let leased = without_journals(&stack).await;
    let ended = release(&stack, "too-early").await;
    assert_failed(&ended, "Not released", "SnappedBack");
    let cause = ended.cause.clone().unwrap_or_default();
    let snapped_back =
        [(BLUE, 0, 100), (GREEN, 100, 0)]
            .into_iter()
            .find(|(side, reached, old)| {
                let change =
                    format!("ExternalDNS changed the weight of {side} from {reached} to {old}");
                cause.contains(&format!("{FIRST} snapped back: {change}"))
            });
    let (side, reached, _) = snapped_back.unwrap_or_else(|| panic!("{cause}"));
    assert_cause(
        &ended,
        &[
            &format!("ExternalDNS {side}"),
            &format!("set it to \"{reached}\""),
            "the names that were given back are leased again",
        ],
    );
    let notification = until_notified(&stack, "ReleaseFailed").await;
    assert_eq!(notification.subject, "Cutover RELEASE FAILED: run");
    assert!(
        notification.description().contains("SnappedBack: "),
        "{notification:#?}"
    );
    assert_eq!(without_journals(&stack).await, leased);
    assert_no_more_changes(&stack, &external_dns).await;

    external_dns.annotate_reached_weights();
    let histories = external_dns.histories();
    assert_succeeded(&release(&stack, "in-time").await, "Released");
    assert_eq!(external_dns.histories(), histories);
    assert!(stack.zone.journals().await.unwrap().is_empty());
    assert_eq!(weight_of(&stack.zone, FIRST, GREEN).await, Some(100));
}

/// The migration does not write its weights again.
#[tokio::test]
async fn unleased_weights_that_external_dns_puts_back_are_kept_as_drift() {
    let (stack, external_dns) = stack_with_external_dns().await;
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    let before = without_journals(&stack).await;
    let input = input(&stack, json!({ "externalDns": { "mode": "ignore" } }));
    let ended = migrate(&stack, "unleased", &input).await;
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["Drift: ", "ExternalDNS", "owner ", BLUE, BURNHAM]);
    assert_no_more_changes(&stack, &external_dns).await;
    for (owner, history) in external_dns.histories() {
        assert_eq!(history.len(), 1, "{owner}: {history:#?}");
    }
    assert_eq!(without_journals(&stack).await, before);
    let notification = until_notified(&stack, "Held").await;
    assert!(
        notification.description().contains("ExternalDNS"),
        "{notification:#?}"
    );
}

/// A stopped release no longer watches the names that it gave back.
#[tokio::test]
async fn stopped_release_has_its_names_leased_again_by_its_status_event() {
    let (stack, external_dns) = stack_with_completed_migration().await;
    let leased = without_journals(&stack).await;
    external_dns.annotate_reached_weights();
    let input = json!({ "execution": "run", "externalDnsIntervalSeconds": 3600 });
    let stopped = stack.start_release("stopped", &input).await.unwrap();
    until_entered(&stopped, "Wait for ExternalDNS").await;
    assert_ne!(without_journals(&stack).await, leased);
    // The emulator sends the event by itself.
    stopped.stop().await.unwrap();
    let notification = until_notified(&stack, "ReleaseFailed").await;
    assert!(
        notification.description().contains("stopped or timed out"),
        "{notification:#?}"
    );
    assert_eq!(without_journals(&stack).await, leased);
    assert_never_found_changes(&external_dns);

    assert_succeeded(&release(&stack, "again").await, "Released");
    assert_never_found_changes(&external_dns);
    let machine = stack.release_state_machine_arn().unwrap();
    let failed = status_event(&stopped, machine, "FAILED").await.unwrap();
    assert!(stack.deliver(&failed).await.unwrap().is_empty());
    let timed_out = status_event(&stopped, machine, "TIMED_OUT").await.unwrap();
    let late = stack.deliver(&timed_out).await.unwrap();
    assert_eq!(late.len(), 1);
    for release in late {
        assert_succeeded(&release.wait().await.unwrap(), "Nothing to release");
    }
}
