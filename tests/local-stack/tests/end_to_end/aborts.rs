//! Whoever aborts a migration need not think of the zone: in whichever state it is, its end is
//! followed by a rollback from outside.

use local_stack::{BLUE, Ended, Execution, GREEN, RecordName, Stack, Way, blueprint};
use migration::record::RecordSet;
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, LATE_WAIT_SCALE, WAIT_SCALE, assert_failed, assert_succeeded, gated_stack,
    input, long_bake, roll_back, until_entered, until_rolled_back_by_its_end, until_weight,
    weight_of,
};

const DEFINITION: &str = include_str!("../../../../statemachine/migration.asl.json");
/// A state of the test's own, before the one in question.
const PAUSE: &str = "Pause";
/// The longest that Step Functions takes.
const PAUSE_SECONDS: u32 = 99_999_999;
/// How many tests share the states, each with a stack of its own.
const SHARES: usize = 4;
/// A side that has no records at all.
const NOWHERE: &str = "eks-blueprint-teal";

/// Under what circumstances a state is reached.
#[derive(Clone, Copy, Debug)]
enum When {
    AllIsWell,
    InputSaysHold,
    DryRun,
    /// The input can't even be parsed.
    InputIsMalformed,
    NewSideHasNoRecords,
    /// The same, and the input says that they are to come.
    NewSideIsYetToGetRecords,
    NewSideIsYetToAnswer,
    NewSideDoesNotAnswerInTime,
    /// CloudWatch can't be asked.
    AlarmsAreNotKnown,
    ApprovalIsWanted,
    AlarmFires,
    AlarmFiresAndInputSaysHold,
    /// At 50 percent the old side's records are deleted: that ends the migration, and there is
    /// nothing to roll back to.
    OldSideIsGone,
    /// Route 53 refuses the mark by which one journal says that all is done.
    MarkIsRefused,
    /// The same, once the mark is made: the journals can't be taken away.
    RemovalIsRefused,
}

/// What comes of the zone.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Nothing was written, or it was restored already.
    Untouched,
    Restored,
    /// The input says so: weights and journals are as they were when it was aborted.
    Held,
    /// All traffic is on the new side, and no journal is left.
    Completed,
    /// Nothing is written rather than a name left without any weight; once the old side's records
    /// are there again, a rollback restores.
    RestoredOnceMended,
}

#[rustfmt::skip]
const STATES: &[(&str, When, Then)] = &[
    ("Take the input", When::AllIsWell, Then::Untouched),
    ("Plan the migration", When::AllIsWell, Then::Untouched),
    ("Records of the new side there?", When::AllIsWell, Then::Untouched),
    ("Wait for the new side's records", When::NewSideIsYetToGetRecords, Then::Untouched),
    ("Dry run?", When::AllIsWell, Then::Untouched),
    ("Dry run?", When::DryRun, Then::Untouched),
    ("Planned", When::DryRun, Then::Untouched),
    ("Announce the start", When::AllIsWell, Then::Untouched),
    ("Announce that it was refused", When::InputIsMalformed, Then::Untouched),
    ("Announce that it was refused", When::NewSideHasNoRecords, Then::Untouched),
    ("Refused", When::NewSideHasNoRecords, Then::Untouched),
    ("Probe switched on?", When::AllIsWell, Then::Untouched),
    ("Probe the new side", When::AllIsWell, Then::Untouched),
    ("New side ready?", When::AllIsWell, Then::Untouched),
    ("Wait before probing again", When::NewSideIsYetToAnswer, Then::Untouched),
    ("Check alarms before the start", When::AllIsWell, Then::Untouched),
    ("Alarms quiet?", When::AllIsWell, Then::Untouched),
    ("Wait before checking alarms again", When::AlarmsAreNotKnown, Then::Untouched),
    ("Anything to undo?", When::NewSideDoesNotAnswerInTime, Then::Untouched),
    ("Announce that it did not start", When::NewSideDoesNotAnswerInTime, Then::Untouched),
    ("Not started", When::NewSideDoesNotAnswerInTime, Then::Untouched),
    ("Shift weight", When::AllIsWell, Then::Untouched),
    ("Wait for Route 53", When::AllIsWell, Then::Restored),
    ("Confirm the change", When::AllIsWell, Then::Restored),
    ("In sync?", When::AllIsWell, Then::Restored),
    ("Announce the step", When::AllIsWell, Then::Restored),
    ("Wait out the TTL", When::AllIsWell, Then::Restored),
    ("Check health", When::AllIsWell, Then::Restored),
    ("Check health", When::InputSaysHold, Then::Held),
    ("Judge health", When::AllIsWell, Then::Restored),
    ("Healthy?", When::AllIsWell, Then::Restored),
    ("Wait before the next check", When::AllIsWell, Then::Restored),
    ("Ask for approval", When::ApprovalIsWanted, Then::Restored),
    ("More steps?", When::AllIsWell, Then::Restored),
    ("Complete the migration", When::AllIsWell, Then::Restored),
    ("Note that the completion failed", When::MarkIsRefused, Then::Restored),
    ("Note that the completion failed", When::RemovalIsRefused, Then::Completed),
    ("Announce the completion", When::AllIsWell, Then::Completed),
    ("Completed", When::AllIsWell, Then::Completed),
    ("Note the failure", When::AlarmFires, Then::Restored),
    ("Hold or roll back?", When::AlarmFires, Then::Restored),
    ("Hold or roll back?", When::AlarmFiresAndInputSaysHold, Then::Held),
    ("Announce the hold", When::AlarmFiresAndInputSaysHold, Then::Held),
    ("Announce the hold", When::MarkIsRefused, Then::Restored),
    ("Announce the hold", When::RemovalIsRefused, Then::Completed),
    ("Held", When::AlarmFiresAndInputSaysHold, Then::Held),
    ("Roll back", When::AlarmFires, Then::Restored),
    ("Rolled back", When::AlarmFires, Then::Untouched),
    ("Announce that the rollback failed", When::OldSideIsGone, Then::RestoredOnceMended),
    ("Rollback failed", When::OldSideIsGone, Then::RestoredOnceMended),
];

/// The changes of a migration in two steps, and of one that an alarm rolls back at its first step:
/// the state that makes each, and what comes of an abort while it is under way there, and back.
#[rustfmt::skip]
const CHANGES: &[(&str, usize, When, [Then; 2])] = &[
    ("Shift weight", 1, When::AllIsWell, [Then::Restored, Then::Restored]),
    ("Shift weight", 2, When::AllIsWell, [Then::Restored, Then::Restored]),
    ("Complete the migration", 3, When::AllIsWell, [Then::Restored, Then::Completed]),
    ("Complete the migration", 4, When::AllIsWell, [Then::Completed, Then::Completed]),
    ("Roll back", 2, When::AlarmFires, [Then::Restored, Then::Untouched]),
];

#[tokio::test]
async fn an_abort_in_the_first_share_of_the_states_leaves_the_zone_as_it_should() {
    check_share(0).await;
}

#[tokio::test]
async fn an_abort_in_the_second_share_of_the_states_leaves_the_zone_as_it_should() {
    check_share(1).await;
}

#[tokio::test]
async fn an_abort_in_the_third_share_of_the_states_leaves_the_zone_as_it_should() {
    check_share(2).await;
}

#[tokio::test]
async fn an_abort_in_the_fourth_share_of_the_states_leaves_the_zone_as_it_should() {
    check_share(3).await;
}

/// Every state of the definition is somewhere in the table, and the table names no other.
#[test]
fn no_state_is_left_out() {
    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let states = definition["States"].as_object().unwrap();
    let mut listed: Vec<_> = STATES.iter().map(|(state, ..)| *state).collect();
    listed.sort_unstable();
    listed.dedup();
    let mut defined: Vec<_> = states.keys().map(String::as_str).collect();
    defined.sort_unstable();
    assert_eq!(listed, defined);
}

async fn check_share(share: usize) {
    let stack = aborting_stack().await;
    let definition = stack.migration_definition().await.unwrap();
    for (index, (state, when, then)) in STATES.iter().enumerate().skip(share).step_by(SHARES) {
        eprintln!("aborting before {state:?}: {when:?}, so {then:?}");
        let before = stack.zone.to_cli_json().await.unwrap();
        let paused = paused_before(&definition, state);
        stack.set_migration_definition(&paused).await.unwrap();

        let migration = when.start(&stack, &format!("migration-{index}")).await;
        until_entered(&migration, PAUSE).await;
        let aborted = stack.zone.to_cli_json().await.unwrap();
        migration.stop().await.unwrap();
        let rollback = until_rolled_back_by_its_end(&stack, &migration).await;
        let rollback = rollback.wait().await.unwrap();
        let ended = migration.ended().await.unwrap().unwrap();
        assert_eq!(
            (ended.outcome.as_str(), ended.state.as_str()),
            ("ABORTED", PAUSE)
        );
        then.check(&stack, &migration, &rollback, &before, &aborted)
            .await;
        when.end(&stack).await;
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// What a function does at the moment of the abort it goes on doing: nobody stops it.
async fn check_changes(way: Way) {
    let stack = aborting_stack().await;
    for (state, nth, when, [there, back]) in CHANGES {
        let then = match way {
            Way::There => there,
            Way::Back => back,
        };
        eprintln!("aborting in {state:?}, at change {nth} {way:?}, so {then:?}");
        let before = stack.zone.to_cli_json().await.unwrap();
        let holding = stack.gate().unwrap().hold(*nth, way);
        let migration = when
            .start(&stack, &format!("migration-{nth}-{when:?}"))
            .await;
        let held = holding.held().await.unwrap();
        let states = migration.states().await.unwrap();
        assert_eq!(states.last().map(String::as_str), Some(*state));
        let aborted = stack.zone.to_cli_json().await.unwrap();

        stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
        migration.stop().await.unwrap();
        let rollback = until_rolled_back_by_its_end(&stack, &migration).await;
        // The first pass is through; the next one comes when no function can be at work any more.
        until_entered(&rollback, "Wait out the TTL").await;
        held.release();
        until_entered(&rollback, "Confirm the rollback").await;
        stack.scale_waits(WAIT_SCALE).await.unwrap();
        let rollback = rollback.wait().await.unwrap();
        then.check(&stack, &migration, &rollback, &before, &aborted)
            .await;
        when.end(&stack).await;
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

#[tokio::test]
async fn an_abort_before_a_change_is_made_leaves_the_zone_as_it_should() {
    check_changes(Way::There).await;
}

#[tokio::test]
async fn an_abort_before_a_change_is_answered_leaves_the_zone_as_it_should() {
    check_changes(Way::Back).await;
}

async fn aborting_stack() -> Stack {
    let stack = gated_stack(local_stack::without_registry(blueprint())).await;
    stack.create_alarm(ALARM).await.unwrap();
    stack
}

/// The definition with a pause on every way that leads to `state`.
fn paused_before(definition: &Value, state: &str) -> Value {
    let mut definition = definition.clone();
    redirect(&mut definition["StartAt"], state);
    let states = definition["States"].as_object_mut().unwrap();
    assert!(states.contains_key(state), "there is no state {state:?}");
    assert!(!states.contains_key(PAUSE));
    for other in states.values_mut() {
        redirect(&mut other["Next"], state);
        redirect(&mut other["Default"], state);
        for ways in ["Choices", "Catch"] {
            for way in other[ways].as_array_mut().into_iter().flatten() {
                redirect(&mut way["Next"], state);
            }
        }
        // Looking for a field has left a null where there was none.
        let fields = other.as_object_mut().unwrap();
        fields.retain(|_, field| !field.is_null());
    }
    let pause = json!({ "Type": "Wait", "Seconds": PAUSE_SECONDS, "Next": state });
    states.insert(PAUSE.to_owned(), pause);
    definition
}

fn redirect(way: &mut Value, state: &str) {
    if way == state {
        *way = PAUSE.into();
    }
}

impl When {
    /// Starts a migration, and lets happen what happens.
    async fn start(self, stack: &Stack, name: &str) -> Execution {
        let started = async |otherwise: Value| {
            let input = input(stack, otherwise);
            stack.start_migration(name, &input).await.unwrap()
        };
        match self {
            When::AllIsWell => started(json!({})).await,
            When::InputSaysHold => started(json!({ "onFailure": "hold" })).await,
            When::DryRun => started(json!({ "dryRun": true })).await,
            When::InputIsMalformed => started(json!({ "steps": [] })).await,
            When::NewSideHasNoRecords => started(json!({ "to": NOWHERE })).await,
            When::NewSideIsYetToGetRecords => {
                started(json!({ "to": NOWHERE, "recordsTimeoutSeconds": 3_600 })).await
            }
            When::NewSideIsYetToAnswer => {
                stack.green.set_healthy(false);
                started(json!({ "readyTimeoutSeconds": 3_600 })).await
            }
            When::NewSideDoesNotAnswerInTime => {
                stack.green.set_healthy(false);
                started(json!({ "readyTimeoutSeconds": 0 })).await
            }
            When::AlarmsAreNotKnown => {
                stack.throttle("check-alarms", true).await.unwrap();
                started(json!({ "alarms": { "names": [ALARM] } })).await
            }
            When::ApprovalIsWanted => {
                started(json!({ "steps": [{ "percent": 50, "approval": true }, 100] })).await
            }
            When::AlarmFires | When::AlarmFiresAndInputSaysHold => {
                let is_hold = matches!(self, When::AlarmFiresAndInputSaysHold);
                let mut otherwise = long_bake();
                otherwise["alarms"] = json!({ "names": [ALARM] });
                otherwise["onFailure"] = if is_hold { "hold" } else { "rollback" }.into();
                let migration = started(otherwise).await;
                until_weight(stack, &migration, BURNHAM, GREEN, 50).await;
                stack.fire_alarm(ALARM).await.unwrap();
                migration
            }
            When::OldSideIsGone => {
                let migration = started(long_bake()).await;
                until_weight(stack, &migration, BURNHAM, GREEN, 50).await;
                let mut gone = stack.zone.record_sets().await.unwrap();
                gone.retain(is_of_the_old_side);
                stack.zone.delete(&gone).await.unwrap();
                migration
            }
            When::MarkIsRefused | When::RemovalIsRefused => {
                let nth = if matches!(self, When::MarkIsRefused) {
                    3
                } else {
                    4
                };
                let holding = stack.gate().unwrap().hold(nth, Way::There);
                let migration = started(json!({})).await;
                holding.held().await.unwrap().refuse();
                migration
            }
        }
    }

    /// Lets the next migration find everything in order.
    async fn end(self, stack: &Stack) {
        match self {
            When::NewSideIsYetToAnswer | When::NewSideDoesNotAnswerInTime => {
                stack.green.set_healthy(true);
            }
            When::AlarmsAreNotKnown => stack.throttle("check-alarms", false).await.unwrap(),
            When::AlarmFires | When::AlarmFiresAndInputSaysHold => {
                stack.quiet_alarm(ALARM).await.unwrap();
            }
            When::AllIsWell
            | When::InputSaysHold
            | When::DryRun
            | When::InputIsMalformed
            | When::NewSideHasNoRecords
            | When::NewSideIsYetToGetRecords
            | When::ApprovalIsWanted
            | When::OldSideIsGone
            | When::MarkIsRefused
            | When::RemovalIsRefused => {}
        }
    }
}

impl Then {
    /// Judges the rollback of an aborted migration and the zone behind it, then brings the zone
    /// back to what it was before.
    async fn check(
        self,
        stack: &Stack,
        migration: &Execution,
        rollback: &Ended,
        before: &str,
        aborted: &str,
    ) {
        let zone = stack.zone.to_cli_json().await.unwrap();
        match self {
            Then::Untouched => {
                assert_eq!(aborted, before);
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(zone, before);
            }
            Then::Restored => {
                assert_succeeded(rollback, "Rolled back");
                assert_eq!(zone, before);
            }
            Then::Held => {
                assert_ne!(aborted, before);
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(zone, aborted);
                assert_eq!(stack.zone.journals().await.unwrap().len(), 1);
                roll_back_by_hand(stack, migration).await;
            }
            Then::Completed => {
                assert_succeeded(rollback, "Nothing to roll back");
                assert_eq!(
                    stack.zone.journals().await.unwrap(),
                    Vec::<RecordName>::new()
                );
                let name = BURNHAM.parse().unwrap();
                // That only weights differ shows when they are put back.
                for (side, weight, original) in [(GREEN, 100, 0), (BLUE, 0, 100)] {
                    assert_eq!(weight_of(&stack.zone, BURNHAM, side).await, Some(weight));
                    let side = side.parse().unwrap();
                    let zone = &stack.zone;
                    zone.overwrite_weight(&name, &side, original).await.unwrap();
                }
            }
            Then::RestoredOnceMended => {
                assert_failed(rollback, "Rollback failed", "NotRestored");
                assert_eq!(zone, aborted);
                let mut again = blueprint();
                again.retain(is_of_the_old_side);
                stack.zone.create(&again).await.unwrap();
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

fn is_of_the_old_side(record_set: &RecordSet) -> bool {
    let side = record_set.weighted().map(|(side, _)| side.as_str());
    record_set.record_type.moves() && record_set.name.as_str() == BURNHAM && side == Some(BLUE)
}
