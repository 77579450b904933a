//! Other writers, a second execution of the same names, and continuing a held migration.

use local_stack::{Execution, RecordName, Stack};
use migration::change::{NameChange, apply};
use migration::dns::{RecordData, RecordSet, Routing};
use migration::route53::read_names;
use route53_adapter::Route53Client;
use serde_json::json;

use crate::{
    ALARM, ARGOCD, BLUE, BURNHAM, GREEN, assert_cause, assert_failed, assert_succeeded, input,
    long_bake, migrate, roll_back, stack, until_rollback_by_status_event, until_watched,
    until_weight, weight_of,
};

#[tokio::test]
async fn second_migration_of_the_same_name_is_refused_while_the_first_runs() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let first = stack
        .start_migration("first", &input(&stack, long_bake()))
        .await
        .unwrap();
    until_weight(&stack, &first, BURNHAM, GREEN, 50).await;
    let at_50 = stack.zone.to_cli_json().await.unwrap();

    let second = migrate(&stack, "second", &input(&stack, json!({}))).await;
    assert_failed(&second, "Refused", "Busy");
    assert_cause(&second, &[BURNHAM, "first"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), at_50);
    assert!(first.ended().await.unwrap().is_none());

    roll_back(&stack, "clear", &json!({ "execution": "first" })).await;
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn next_execution_continues_a_held_migration_from_its_step() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let holding =
        json!({ "onFailure": "hold", "alarms": { "names": [ALARM] }, "bakeSeconds": 600 });
    let holding = input(&stack, holding);
    let first = stack.start_migration("first", &holding).await.unwrap();
    until_weight(&stack, &first, BURNHAM, GREEN, 50).await;
    stack.fire_alarm(ALARM).await.unwrap();

    let ended = first.wait().await.unwrap();
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["HealthCheckFailed", ALARM]);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(50));
    assert_eq!(weight_of(&stack.zone, BURNHAM, BLUE).await, Some(50));
    assert_eq!(stack.zone.journals().await.unwrap().len(), 1);

    // The alarm's cause is fixed: the next execution does not watch it.
    let second = migrate(&stack, "second", &input(&stack, json!({}))).await;
    assert_succeeded(&second, "Completed");
    let shifts = second
        .states
        .iter()
        .filter(|state| *state == "Shift weight")
        .count();
    assert_eq!(
        shifts, 1,
        "only the step to 100 percent was left: {:?}",
        second.states
    );
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(100));
    assert!(stack.zone.journals().await.unwrap().is_empty());
}

#[tokio::test]
async fn migration_held_for_drift_continues_only_after_the_drift_is_reverted() {
    let stack = stack().await;
    let first = stack
        .start_migration("first", &input(&stack, long_bake()))
        .await
        .unwrap();
    until_weight(&stack, &first, BURNHAM, GREEN, 50).await;
    let (burnham, green) = (BURNHAM.parse().unwrap(), GREEN.parse().unwrap());
    stack
        .zone
        .overwrite_weight(&burnham, &green, 7)
        .await
        .unwrap();
    assert_failed(&first.wait().await.unwrap(), "Held", "Held");

    let refused = migrate(&stack, "too-early", &input(&stack, json!({}))).await;
    assert_eq!(refused.error.as_deref(), Some("Busy"), "{refused:#?}");
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(7));

    stack
        .zone
        .overwrite_weight(&burnham, &green, 50)
        .await
        .unwrap();
    assert_succeeded(
        &migrate(&stack, "in-time", &input(&stack, json!({}))).await,
        "Completed",
    );
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(100));
    assert!(stack.zone.journals().await.unwrap().is_empty());
}

#[tokio::test]
async fn drift_with_on_drift_rollback_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut input = input(&stack, long_bake());
    input["onDrift"] = "rollback".into();
    let migration = stack.start_migration("first", &input).await.unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    let (burnham, green) = (BURNHAM.parse().unwrap(), GREEN.parse().unwrap());
    stack
        .zone
        .overwrite_weight(&burnham, &green, 7)
        .await
        .unwrap();

    assert_failed(&migration.wait().await.unwrap(), "Rolled back", "Drift");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// With the production code's client and the role of shift-weight: a weight that another writer set
/// between the read and the write is kept.
#[tokio::test]
async fn stale_change_is_refused_as_a_whole() {
    let stack = stack().await;
    let route53 = stack.route53_with_role_of("shift-weight").await.unwrap();
    let route53 = Route53Client::from(route53);
    let zone_id = stack.zone.id().parse().unwrap();
    let burnham: RecordName = BURNHAM.parse().unwrap();
    let read = read_names(&route53, &zone_id, [burnham.clone()].into())
        .await
        .unwrap();
    let deletes = read.at(&burnham).to_vec();
    let change = NameChange {
        name: burnham.clone(),
        creates: deletes.iter().map(with_weight_50).collect(),
        deletes,
    };

    stack
        .zone
        .overwrite_weight(&burnham, &GREEN.parse().unwrap(), 7)
        .await
        .unwrap();
    let edited = stack.zone.to_cli_json().await.unwrap();
    let error = apply(&route53, &zone_id, "a late change", vec![change])
        .await
        .or_error()
        .unwrap_err();
    assert_eq!(error.name(), "Conflict", "{error}");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), edited);
}

fn with_weight_50(record_set: &RecordSet) -> RecordSet {
    let mut changed = record_set.clone();
    if let Routing::Weighted { weight, .. } = &mut changed.routing {
        *weight = 50;
    }
    changed
}

#[tokio::test]
async fn adopting_execution_that_fails_restores_the_weights_from_before_the_held_one() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    let mut holding = input(&stack, long_bake());
    holding["onFailure"] = "hold".into();
    holding["alarms"] = json!({ "names": [ALARM] });
    let first = stack.start_migration("first", &holding).await.unwrap();
    until_weight(&stack, &first, BURNHAM, GREEN, 50).await;
    stack.fire_alarm(ALARM).await.unwrap();
    assert_failed(&first.wait().await.unwrap(), "Held", "Held");

    // The alarm still fires, so the second execution can't start.
    let second = input(&stack, json!({ "alarms": { "names": [ALARM] } }));
    let ended = migrate(&stack, "second", &second).await;
    assert_failed(&ended, "Rolled back", "AlarmActive");
    assert_cause(&ended, &[ALARM, "restored the original weights of 1 name"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// Replaces the journal of a name with a TXT record of another writer, and returns the journal.
async fn edit_journal(stack: &Stack, name: &str) -> RecordSet {
    let name: RecordName = name.parse().unwrap();
    let record_sets = stack.zone.record_sets().await.unwrap();
    let is_journal = |set: &RecordSet| set.name.journaled().as_ref() == Some(&name);
    let journal = record_sets.into_iter().find(is_journal).unwrap();
    let mut edited = journal.clone();
    if let RecordData::Values { values, .. } = &mut edited.data {
        *values = vec!["\"edited\"".to_owned()];
    }
    stack
        .zone
        .delete(std::slice::from_ref(&journal))
        .await
        .unwrap();
    stack.zone.create(&[edited]).await.unwrap();
    journal
}

/// Starts a migration of two names, and edits the journal of one of them at 50 percent. Returns the
/// migration and the original journal.
async fn start_and_edit_journal(stack: &Stack, on_drift: &str) -> (Execution, RecordSet) {
    let mut request = input(stack, long_bake());
    request["names"] = json!([BURNHAM, ARGOCD]);
    request["onDrift"] = on_drift.into();
    let migration = stack.start_migration("edited", &request).await.unwrap();
    until_watched(stack, &migration, "bake").await;
    let journal = edit_journal(stack, ARGOCD).await;
    (migration, journal)
}

#[tokio::test]
async fn journal_that_is_edited_during_a_bake_holds_with_on_drift_hold() {
    let stack = stack().await;
    let (migration, _) = start_and_edit_journal(&stack, "hold").await;
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Held", "Held");
    assert_cause(&ended, &["Drift: ", ARGOCD]);
    for name in [BURNHAM, ARGOCD] {
        assert_eq!(
            weight_of(&stack.zone, name, GREEN).await,
            Some(50),
            "{name}"
        );
    }
    assert_eq!(stack.zone.journals().await.unwrap().len(), 2);
}

/// The other name is restored. The name without its journal is restored when an operator has written
/// the journal again.
#[tokio::test]
async fn journal_that_is_edited_during_a_bake_rolls_the_others_back_with_on_drift_rollback() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let (migration, journal) = start_and_edit_journal(&stack, "rollback").await;
    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rollback failed", "RollbackFailed");
    assert_cause(&ended, &["Drift: ", ARGOCD]);
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(0));
    assert_eq!(weight_of(&stack.zone, ARGOCD, GREEN).await, Some(50));
    // The status event starts another rollback, which fails for the same reason.
    let by_event = until_rollback_by_status_event(&stack, &migration).await;
    let by_event = by_event.wait().await.unwrap();
    assert_failed(&by_event, "Rollback failed", "NotRestored");

    let record_sets = stack.zone.record_sets().await.unwrap();
    let mut edited = record_sets
        .into_iter()
        .filter(|set| set.name == journal.name);
    stack.zone.delete(&[edited.next().unwrap()]).await.unwrap();
    stack.zone.create(&[journal]).await.unwrap();
    let ended = roll_back(&stack, "by-hand", &json!({ "execution": "edited" })).await;
    assert_succeeded(&ended, "Rolled back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
