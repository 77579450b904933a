//! Aborts a migration in every state and during every change: its status event starts a rollback,
//! which leaves the expected zone.

use local_stack::{
    BLUE, Execution, ExecutionResult, GREEN, HoldPoint, RecordName, Stack, blueprint,
};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, LATE_WAIT_SCALE, PROMOTE, WAIT_SCALE, answer, assert_failed, assert_succeeded,
    input, long_bake, roll_back, stack_with, until_entered, until_rollback_by_status_event,
    until_weight, weight_of,
};

const DEFINITION: &str = include_str!("../../../../statemachine/migration.asl.json");
/// A state that the test inserts before the state to abort in.
const PAUSE: &str = "Pause";
/// The longest wait that Step Functions accepts.
const PAUSE_SECONDS: u32 = 99_999_999;
/// The number of tests among which the states are divided. Each has a stack of its own.
const PARTS: usize = 4;
/// A set identifier without records.
const MISSING_SIDE: &str = "eks-blueprint-teal";

/// How to make a migration reach a state.
#[derive(Clone, Copy, Debug)]
enum Setup {
    Undisturbed,
    HoldOnFailure,
    DryRun,
    /// The input can't be parsed.
    InvalidInput,
    NewSideHasNoRecords,
    /// The new side has no records, and the input makes the migration wait for them.
    NewSideGetsRecordsLater,
    NewSideAnswersLater,
    NewSideDoesNotAnswerInTime,
    /// All calls of `check-alarms` are throttled.
    AlarmsCannotBeRead,
    StepNeedsApproval,
    /// An operator ends the bake.
    BakeIsPromoted,
    AlarmFires,
    AlarmFiresWithHoldOnFailure,
    /// The old side's records are deleted at 50 percent. That ends the migration, and its rollback
    /// has no records to restore.
    OldSideIsDeleted,
    /// Route 53 refuses the change that marks one journal as completed.
    CompletionMarkIsRefused,
    /// Route 53 accepts the mark and refuses the change that deletes the journals.
    JournalDeletionIsRefused,
}

/// The expected zone after the abort and its rollback.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// As before the migration when it is aborted: nothing was written, or it was restored already.
    Untouched,
    /// As before the migration: the rollback restored it.
    Restored,
    /// Weights and journals as when it was aborted, because the input says hold.
    Held,
    /// All traffic on the new side, and no journal left.
    Completed,
    /// As when it was aborted, because restoring would leave only weights of 0. Once the old side's
    /// records are created again, a rollback restores.
    RestoredAfterFix,
}

#[rustfmt::skip]
const STATES: &[(&str, Setup, Expected)] = &[
    ("Take the input", Setup::Undisturbed, Expected::Untouched),
    ("Plan the migration", Setup::Undisturbed, Expected::Untouched),
    ("Do the new side's records exist?", Setup::Undisturbed, Expected::Untouched),
    ("Wait for the new side's records", Setup::NewSideGetsRecordsLater, Expected::Untouched),
    ("Dry run?", Setup::Undisturbed, Expected::Untouched),
    ("Dry run?", Setup::DryRun, Expected::Untouched),
    ("Ask the observers", Setup::DryRun, Expected::Untouched),
    ("Add the findings to the plan", Setup::DryRun, Expected::Untouched),
    ("Any warning to refuse?", Setup::Undisturbed, Expected::Untouched),
    ("Any warning to refuse?", Setup::DryRun, Expected::Untouched),
    ("Planned", Setup::DryRun, Expected::Untouched),
    ("Announce the start", Setup::Undisturbed, Expected::Untouched),
    ("Announce that it was refused", Setup::InvalidInput, Expected::Untouched),
    ("Announce that it was refused", Setup::NewSideHasNoRecords, Expected::Untouched),
    ("Refused", Setup::NewSideHasNoRecords, Expected::Untouched),
    ("Probe switched on?", Setup::Undisturbed, Expected::Untouched),
    ("Probe the new side", Setup::Undisturbed, Expected::Untouched),
    ("New side ready?", Setup::Undisturbed, Expected::Untouched),
    ("Wait before probing again", Setup::NewSideAnswersLater, Expected::Untouched),
    ("Check alarms before the start", Setup::Undisturbed, Expected::Untouched),
    ("Alarms quiet?", Setup::Undisturbed, Expected::Untouched),
    ("Wait before checking alarms again", Setup::AlarmsCannotBeRead, Expected::Untouched),
    ("Anything to undo?", Setup::NewSideDoesNotAnswerInTime, Expected::Untouched),
    ("Announce that it did not start", Setup::NewSideDoesNotAnswerInTime, Expected::Untouched),
    ("Not started", Setup::NewSideDoesNotAnswerInTime, Expected::Untouched),
    ("Shift weight", Setup::Undisturbed, Expected::Untouched),
    ("All names shifted?", Setup::Undisturbed, Expected::Restored),
    ("Confirm the change", Setup::Undisturbed, Expected::Restored),
    ("Wait out the TTL", Setup::Undisturbed, Expected::Restored),
    ("Bake", Setup::Undisturbed, Expected::Restored),
    ("Bake", Setup::HoldOnFailure, Expected::Held),
    ("Approval needed?", Setup::Undisturbed, Expected::Restored),
    ("Ask for approval", Setup::StepNeedsApproval, Expected::Restored),
    ("Check health once more", Setup::BakeIsPromoted, Expected::Restored),
    ("More steps?", Setup::Undisturbed, Expected::Restored),
    ("Complete the migration", Setup::Undisturbed, Expected::Restored),
    ("All journals deleted?", Setup::Undisturbed, Expected::Completed),
    ("Note that the completion failed", Setup::CompletionMarkIsRefused, Expected::Restored),
    ("Note that the completion failed", Setup::JournalDeletionIsRefused, Expected::Completed),
    ("Announce the completion", Setup::Undisturbed, Expected::Completed),
    ("Completed", Setup::Undisturbed, Expected::Completed),
    ("Note the failure", Setup::AlarmFires, Expected::Restored),
    ("Hold or roll back?", Setup::AlarmFires, Expected::Restored),
    ("Hold or roll back?", Setup::AlarmFiresWithHoldOnFailure, Expected::Held),
    ("Announce the hold", Setup::AlarmFiresWithHoldOnFailure, Expected::Held),
    ("Announce the hold", Setup::CompletionMarkIsRefused, Expected::Restored),
    ("Announce the hold", Setup::JournalDeletionIsRefused, Expected::Completed),
    ("Held", Setup::AlarmFiresWithHoldOnFailure, Expected::Held),
    ("Roll back", Setup::AlarmFires, Expected::Restored),
    ("Rolled back", Setup::AlarmFires, Expected::Untouched),
    ("Announce that the rollback failed", Setup::OldSideIsDeleted, Expected::RestoredAfterFix),
    ("Rollback failed", Setup::OldSideIsDeleted, Expected::RestoredAfterFix),
];

/// The states of a migration whose changes take more than one call. The zone of these tests has too few names;
/// `flow::parts` and the rare histories of the simulation play them.
const STATES_BETWEEN_CALLS: [&str; 3] = [
    "Check health during the shift",
    "Wait before deleting more",
    "Wait for Route 53's limits",
];

/// Changes of a migration with two steps, and of one that an alarm rolls back at its first step:
/// the state and number of the change, and the expected zone if the migration is aborted while the
/// change is held at its request and at its response.
#[rustfmt::skip]
const CHANGES: &[(&str, usize, Setup, [Expected; 2])] = &[
    ("Shift weight", 1, Setup::Undisturbed, [Expected::Restored, Expected::Restored]),
    ("Shift weight", 2, Setup::Undisturbed, [Expected::Restored, Expected::Restored]),
    ("Complete the migration", 3, Setup::Undisturbed, [Expected::Restored, Expected::Completed]),
    ("Complete the migration", 4, Setup::Undisturbed, [Expected::Completed, Expected::Completed]),
    ("Roll back", 2, Setup::AlarmFires, [Expected::Restored, Expected::Untouched]),
];

#[tokio::test]
async fn abort_in_each_state_of_part_1_leaves_the_expected_zone() {
    check_part(0).await;
}

#[tokio::test]
async fn abort_in_each_state_of_part_2_leaves_the_expected_zone() {
    check_part(1).await;
}

#[tokio::test]
async fn abort_in_each_state_of_part_3_leaves_the_expected_zone() {
    check_part(2).await;
}

#[tokio::test]
async fn abort_in_each_state_of_part_4_leaves_the_expected_zone() {
    check_part(3).await;
}

#[test]
fn table_has_every_state_of_the_definition_and_no_other() {
    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let states = definition["States"].as_object().unwrap();
    let mut listed: Vec<_> = STATES.iter().map(|(state, ..)| *state).collect();
    listed.extend(STATES_BETWEEN_CALLS);
    listed.sort_unstable();
    listed.dedup();
    let mut defined: Vec<_> = states.keys().map(String::as_str).collect();
    defined.sort_unstable();
    assert_eq!(listed, defined);
}

async fn check_part(part: usize) {
    let stack = stack_with_alarm().await;
    let definition = stack.migration_definition().await.unwrap();
    for (index, (state, setup, expected)) in STATES.iter().enumerate().skip(part).step_by(PARTS) {
        eprintln!("aborting before {state:?}: {setup:?}, expecting {expected:?}");
        let before = stack.zone.to_cli_json().await.unwrap();
        let paused = paused_before(&definition, state);
        stack.set_migration_definition(&paused).await.unwrap();

        let migration = setup.start(&stack, &format!("migration-{index}")).await;
        until_entered(&migration, PAUSE).await;
        let aborted = stack.zone.to_cli_json().await.unwrap();
        migration.stop().await.unwrap();
        let rollback = until_rollback_by_status_event(&stack, &migration).await;
        let rollback = rollback.wait().await.unwrap();
        let ended = migration.ended().await.unwrap().unwrap();
        assert_eq!(
            (ended.outcome.as_str(), ended.state.as_str()),
            ("ABORTED", PAUSE)
        );
        expected
            .check(&stack, &migration, &rollback, &before, &aborted)
            .await;
        setup.end(&stack).await;
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// Aborts migrations while a change is held. The function that makes the change runs on, because an
/// abort does not stop it.
async fn check_changes(point: HoldPoint) {
    let stack = stack_with_alarm().await;
    for (state, nth, setup, [at_request, at_response]) in CHANGES {
        let expected = match point {
            HoldPoint::Request => at_request,
            HoldPoint::Response => at_response,
        };
        eprintln!("aborting in {state:?}, at change {nth} {point:?}, expecting {expected:?}");
        let before = stack.zone.to_cli_json().await.unwrap();
        let pending = stack.route53_proxy.hold(*nth, point);
        let migration = setup
            .start(&stack, &format!("migration-{nth}-{setup:?}"))
            .await;
        let held = pending.held().await.unwrap();
        let states = migration.states().await.unwrap();
        assert_eq!(states.last().map(String::as_str), Some(*state));
        let aborted = stack.zone.to_cli_json().await.unwrap();

        stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
        migration.stop().await.unwrap();
        let rollback = until_rollback_by_status_event(&stack, &migration).await;
        // The rollback's first pass is done. The next one follows when the migration's functions can
        // no longer run, so the held change arrives between the two.
        until_entered(&rollback, "Wait out the TTL").await;
        held.release();
        until_entered(&rollback, "Confirm the rollback").await;
        stack.scale_waits(WAIT_SCALE).await.unwrap();
        let rollback = rollback.wait().await.unwrap();
        expected
            .check(&stack, &migration, &rollback, &before, &aborted)
            .await;
        setup.end(&stack).await;
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

#[tokio::test]
async fn abort_before_a_change_is_applied_leaves_the_expected_zone() {
    check_changes(HoldPoint::Request).await;
}

#[tokio::test]
async fn abort_before_the_response_to_a_change_leaves_the_expected_zone() {
    check_changes(HoldPoint::Response).await;
}

async fn stack_with_alarm() -> Stack {
    let stack = stack_with(local_stack::without_registry(blueprint())).await;
    stack.create_alarm(ALARM).await.unwrap();
    stack
}

/// The definition with a pause before `state`: every transition to `state` leads to the pause.
fn paused_before(definition: &Value, state: &str) -> Value {
    let mut definition = definition.clone();
    redirect(&mut definition["StartAt"], state);
    let states = definition["States"].as_object_mut().unwrap();
    assert!(states.contains_key(state), "there is no state {state:?}");
    assert!(!states.contains_key(PAUSE));
    for other in states.values_mut() {
        redirect(&mut other["Next"], state);
        redirect(&mut other["Default"], state);
        for list in ["Choices", "Catch"] {
            for transition in other[list].as_array_mut().into_iter().flatten() {
                redirect(&mut transition["Next"], state);
            }
        }
        // Indexing a missing field has inserted a null.
        let fields = other.as_object_mut().unwrap();
        fields.retain(|_, field| !field.is_null());
    }
    let pause = json!({ "Type": "Wait", "Seconds": PAUSE_SECONDS, "Next": state });
    states.insert(PAUSE.to_owned(), pause);
    definition
}

fn redirect(target: &mut Value, state: &str) {
    if target == state {
        *target = PAUSE.into();
    }
}

impl Setup {
    /// Starts a migration and makes it reach the state.
    async fn start(self, stack: &Stack, name: &str) -> Execution {
        let start = async |overrides: Value| {
            let input = input(stack, overrides);
            stack.start_migration(name, &input).await.unwrap()
        };
        match self {
            Setup::Undisturbed => start(json!({})).await,
            Setup::HoldOnFailure => start(json!({ "onFailure": "hold" })).await,
            Setup::DryRun => start(json!({ "dryRun": true })).await,
            Setup::InvalidInput => start(json!({ "steps": [] })).await,
            Setup::NewSideHasNoRecords => start(json!({ "to": MISSING_SIDE })).await,
            Setup::NewSideGetsRecordsLater => {
                start(json!({ "to": MISSING_SIDE, "recordsTimeoutSeconds": 3_600 })).await
            }
            Setup::NewSideAnswersLater => {
                stack.green.set_healthy(false);
                start(json!({ "readyTimeoutSeconds": 3_600 })).await
            }
            Setup::NewSideDoesNotAnswerInTime => {
                stack.green.set_healthy(false);
                start(json!({ "readyTimeoutSeconds": 0 })).await
            }
            Setup::AlarmsCannotBeRead => {
                stack.throttle("check-alarms", true).await.unwrap();
                // The emulator does not throttle versions.
                let mut definition = stack.migration_definition().await.unwrap();
                let check = &mut definition["States"]["Check alarms before the start"];
                check["Arguments"]["FunctionName"] = "cutover-check-alarms".into();
                stack.set_migration_definition(&definition).await.unwrap();
                start(json!({ "alarms": { "names": [ALARM] } })).await
            }
            Setup::StepNeedsApproval => {
                start(json!({ "steps": [{ "percent": 50, "approval": true }, 100] })).await
            }
            Setup::BakeIsPromoted => {
                let migration = start(long_bake()).await;
                answer(stack, &migration, "bake", PROMOTE).await;
                migration
            }
            Setup::AlarmFires | Setup::AlarmFiresWithHoldOnFailure => {
                let is_hold = matches!(self, Setup::AlarmFiresWithHoldOnFailure);
                let mut overrides = long_bake();
                overrides["alarms"] = json!({ "names": [ALARM] });
                overrides["onFailure"] = if is_hold { "hold" } else { "rollback" }.into();
                let migration = start(overrides).await;
                until_weight(stack, &migration, BURNHAM, GREEN, 50).await;
                stack.fire_alarm(ALARM).await.unwrap();
                migration
            }
            Setup::OldSideIsDeleted => {
                let migration = start(long_bake()).await;
                until_weight(stack, &migration, BURNHAM, GREEN, 50).await;
                let mut deleted = stack.zone.record_sets().await.unwrap();
                deleted.retain(is_of_old_side);
                stack.zone.delete(&deleted).await.unwrap();
                migration
            }
            Setup::CompletionMarkIsRefused | Setup::JournalDeletionIsRefused => {
                let nth = if matches!(self, Setup::CompletionMarkIsRefused) {
                    3
                } else {
                    4
                };
                let pending = stack.route53_proxy.hold(nth, HoldPoint::Request);
                let migration = start(json!({})).await;
                pending.held().await.unwrap().refuse();
                migration
            }
        }
    }

    /// Restores the conditions for the next migration.
    async fn end(self, stack: &Stack) {
        match self {
            Setup::NewSideAnswersLater | Setup::NewSideDoesNotAnswerInTime => {
                stack.green.set_healthy(true);
            }
            Setup::AlarmsCannotBeRead => stack.throttle("check-alarms", false).await.unwrap(),
            Setup::AlarmFires | Setup::AlarmFiresWithHoldOnFailure => {
                stack.clear_alarm(ALARM).await.unwrap();
            }
            Setup::Undisturbed
            | Setup::HoldOnFailure
            | Setup::DryRun
            | Setup::InvalidInput
            | Setup::NewSideHasNoRecords
            | Setup::NewSideGetsRecordsLater
            | Setup::StepNeedsApproval
            | Setup::BakeIsPromoted
            | Setup::OldSideIsDeleted
            | Setup::CompletionMarkIsRefused
            | Setup::JournalDeletionIsRefused => {}
        }
    }
}

impl Expected {
    /// Checks the rollback of an aborted migration and the zone after it, then restores the zone from
    /// before the migration.
    async fn check(
        self,
        stack: &Stack,
        migration: &Execution,
        rollback: &ExecutionResult,
        before: &str,
        aborted: &str,
    ) {
        let zone = stack.zone.to_cli_json().await.unwrap();
        match self {
            Expected::Untouched => {
                assert_eq!(aborted, before);
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(zone, before);
            }
            Expected::Restored => {
                assert_succeeded(rollback, "Rolled back");
                assert_eq!(zone, before);
            }
            Expected::Held => {
                assert_ne!(aborted, before);
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(zone, aborted);
                assert_eq!(stack.zone.journals().await.unwrap().len(), 1);
                roll_back_by_hand(stack, migration).await;
            }
            Expected::Completed => {
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(
                    stack.zone.journals().await.unwrap(),
                    Vec::<RecordName>::new()
                );
                let name = BURNHAM.parse().unwrap();
                // The caller compares the zone after this, which shows that only weights differed.
                for (side, weight, original) in [(GREEN, 100, 0), (BLUE, 0, 100)] {
                    assert_eq!(weight_of(&stack.zone, BURNHAM, side).await, Some(weight));
                    let side = side.parse().unwrap();
                    let zone = &stack.zone;
                    zone.overwrite_weight(&name, &side, original).await.unwrap();
                }
            }
            Expected::RestoredAfterFix => {
                assert_failed(rollback, "Rollback failed", "NotRestored");
                assert_eq!(zone, aborted);
                let mut recreated = blueprint();
                recreated.retain(is_of_old_side);
                stack.zone.create(&recreated).await.unwrap();
                roll_back_by_hand(stack, migration).await;
            }
        }
    }
}

async fn roll_back_by_hand(stack: &Stack, migration: &Execution) {
    let name = format!("{}-by-hand", migration.name());
    let ended = roll_back(stack, &name, &json!({ "execution": migration.name() })).await;
    assert_succeeded(&ended, "Rolled back");
}

fn is_of_old_side(record_set: &RecordSet) -> bool {
    let side = record_set.weighted().map(|(side, _)| side.as_str());
    record_set.record_type.moves() && record_set.name.as_str() == BURNHAM && side == Some(BLUE)
}
