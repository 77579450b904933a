//! Functions that die in the middle of a shift, a completion or a rollback, as by `kill -9`.

use local_stack::{
    BLUE, Execution, GREEN, Held, RecordName, Stack, Traffic, Way, blueprint, without_registry,
};
use migration::record::RecordSet;
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, LATE_WAIT_SCALE, WAIT_SCALE, assert_succeeded, gated_stack, input, long_bake,
    migrate, until_entered, until_rolled_back_by_its_end,
};

/// So many that a step takes two changes, between which the zone is half-shifted.
pub(crate) const NAMES: usize = 150;
/// Both changes of the first step and the last one of the second, each with the weights that the
/// names have before it and after it.
const CHANGES: [(usize, &[Pair], &[Pair]); 3] = [
    (1, &[(100, 0)], &[(50, 50), (100, 0)]),
    (2, &[(50, 50), (100, 0)], &[(50, 50)]),
    (4, &[(0, 100), (50, 50)], &[(0, 100)]),
];

/// The weights of the old and of the new side.
pub(crate) type Pair = (u8, u8);

/// What becomes of the change that a function was making when it died.
#[derive(Clone, Copy, Debug)]
enum Change {
    NeverMade,
    /// It was on its way already.
    MadeLate,
    /// It was made, and nobody has heard the answer.
    Made,
}

#[tokio::test]
async fn a_killed_shift_whose_change_was_never_made_is_taken_up_where_it_stopped() {
    check_taken_up(Change::NeverMade).await;
}

#[tokio::test]
async fn a_killed_shift_whose_change_is_made_late_is_taken_up_where_it_stopped() {
    check_taken_up(Change::MadeLate).await;
}

#[tokio::test]
async fn a_killed_shift_whose_change_was_made_is_taken_up_where_it_stopped() {
    check_taken_up(Change::Made).await;
}

#[tokio::test]
async fn a_killed_shift_of_an_aborted_migration_leaves_nothing_half_shifted() {
    let stack = crowded_stack().await;
    // Step Functions repeats nothing of an execution that is aborted; the emulator would.
    let mut definition = stack.migration_definition().await.unwrap();
    let shift = definition["States"]["Shift weight"].as_object_mut();
    shift.unwrap().remove("Retry");
    stack.set_migration_definition(&definition).await.unwrap();
    for change in [Change::NeverMade, Change::MadeLate, Change::Made] {
        check_restored(&stack, change).await;
    }
}

/// First a journal is marked, then all are taken away.
#[tokio::test]
async fn a_killed_completion_is_taken_up_where_it_stopped() {
    let stack = gated_stack(without_registry(blueprint())).await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (step, nth) in [("mark", 2), ("removal", 3)] {
        for change in [Change::NeverMade, Change::MadeLate, Change::Made] {
            eprintln!("killing at the {step}, which is {change:?}");
            let name = format!("{step}-{change:?}");
            let holding = stack.gate().unwrap().hold(nth, change.way());
            let input_there = input(&stack, json!({ "steps": [100], "bakeSeconds": 0 }));
            let migration = stack.start_migration(&name, &input_there).await.unwrap();
            let held = holding.held().await.unwrap();
            kill(&stack, "shift-weight").await;
            change.come_about(held);

            let ended = migration.wait().await.unwrap();
            assert_succeeded(&ended, "Completed");
            let attempts = migration.failed_attempts().await.unwrap();
            assert_eq!(attempts, ["Runtime.ExitError"]);
            assert!(stack.zone.journals().await.unwrap().is_empty());

            let input_back = json!({
                "from": GREEN, "to": BLUE, "steps": [100], "bakeSeconds": 0,
                "probe": { "enabled": false },
            });
            let back = migrate(&stack, &format!("{name}-back"), &input(&stack, input_back)).await;
            assert_succeeded(&back, "Completed");
            assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
        }
    }
}

/// Its own machine makes it again. What was late then is refused: it replaces what is not there
/// any more.
#[tokio::test]
async fn a_killed_rollback_is_taken_up_where_it_stopped() {
    let stack = crowded_stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, change) in [
        (1, Change::MadeLate),
        (1, Change::Made),
        (2, Change::NeverMade),
    ] {
        eprintln!("killing a rollback at change {nth}, which is {change:?}");
        let name = format!("undone-{nth}-{change:?}");
        // Held, and so left alone by any other rollback.
        stack.create_alarm(ALARM).await.unwrap();
        let mut input = crowded(&stack, long_bake());
        input["onFailure"] = "hold".into();
        input["alarms"] = json!({ "names": [ALARM] });
        let migration = stack.start_migration(&name, &input).await.unwrap();
        until_entered(&migration, "Check health").await;
        stack.fire_alarm(ALARM).await.unwrap();
        let other = until_rolled_back_by_its_end(&stack, &migration).await;
        assert_succeeded(&other.wait().await.unwrap(), "Nothing to roll back");

        let holding = stack.gate().unwrap().hold(nth, change.way());
        let request = json!({ "execution": name });
        let rollback = stack.start_rollback(&name, &request).await.unwrap();
        let held = holding.held().await.unwrap();
        let half: &[_] = match (nth, change) {
            (1, Change::NeverMade | Change::MadeLate) => &[(50, 50)],
            _ => &[(50, 50), (100, 0)],
        };
        assert_eq!(weights(&stack).await, half);
        kill(&stack, "rollback").await;
        change.come_about(held);

        assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
        let attempts = rollback.failed_attempts().await.unwrap();
        assert_eq!(
            attempts.first().map(String::as_str),
            Some("Runtime.ExitError")
        );
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// The machine makes the shift again, and the migration ends as if nothing had been.
async fn check_taken_up(change: Change) {
    let stack = crowded_stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, before_it, after_it) in CHANGES {
        eprintln!("killing at change {nth}, which is {change:?}");
        let name = format!("killed-{nth}");
        let (migration, held) = shift_held(&stack, &name, nth, change.way()).await;
        assert_weights(&stack, before_it, after_it, change).await;
        kill(&stack, "shift-weight").await;
        change.come_about(held);

        let ended = migration.wait().await.unwrap();
        assert_succeeded(&ended, "Completed");
        let attempts = migration.failed_attempts().await.unwrap();
        assert_eq!(attempts, ["Runtime.ExitError"]);
        let shifts = ended.states.iter().filter(|state| *state == "Shift weight");
        assert_eq!(shifts.count(), 2, "{:?}", ended.states);
        assert_eq!(weights(&stack).await, [(0, 100)]);
        assert!(stack.zone.journals().await.unwrap().is_empty());

        let back = json!({ "from": GREEN, "to": BLUE, "steps": [100], "bakeSeconds": 0 });
        let back = migrate(&stack, &format!("back-{nth}"), &crowded(&stack, back)).await;
        assert_succeeded(&back, "Completed");
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// Its status event starts a rollback, which makes the zone what it was before.
async fn check_restored(stack: &Stack, change: Change) {
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, before_it, after_it) in CHANGES {
        eprintln!("killing and aborting at change {nth}, which is {change:?}");
        let name = format!("aborted-{nth}-{change:?}");
        let (migration, held) = shift_held(stack, &name, nth, change.way()).await;
        assert_weights(stack, before_it, after_it, change).await;
        stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
        migration.stop().await.unwrap();
        kill(stack, "shift-weight").await;
        let rollback = until_rolled_back_by_its_end(stack, &migration).await;
        until_entered(&rollback, "Wait out the TTL").await;
        change.come_about(held);
        until_entered(&rollback, "Confirm the rollback").await;
        stack.scale_waits(WAIT_SCALE).await.unwrap();
        let end = match (nth, change) {
            (1, Change::NeverMade) => "Nothing to roll back",
            _ => "Rolled back",
        };
        assert_succeeded(&rollback.wait().await.unwrap(), end);
        let attempts = migration.failed_attempts().await.unwrap();
        assert_eq!(attempts, ["Runtime.ExitError"]);
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// A migration whose `nth` change is held.
async fn shift_held(stack: &Stack, name: &str, nth: usize, way: Way) -> (Execution, Held) {
    let holding = stack.gate().unwrap().hold(nth, way);
    let input = crowded(stack, json!({ "bakeSeconds": 0 }));
    let migration = stack.start_migration(name, &input).await.unwrap();
    let held = holding.held().await.unwrap();
    let states = migration.states().await.unwrap();
    assert_eq!(states.last().map(String::as_str), Some("Shift weight"));
    (migration, held)
}

async fn kill(stack: &Stack, function: &str) {
    let killed = stack.kill(function).await.unwrap();
    assert!(killed > 0, "no process was killed");
}

/// In the middle of a step some names have been shifted, and others not.
async fn assert_weights(stack: &Stack, before: &[Pair], after: &[Pair], change: Change) {
    let expected = match change {
        Change::NeverMade | Change::MadeLate => before,
        Change::Made => after,
    };
    assert_eq!(weights(stack).await, expected);
}

impl Change {
    fn way(self) -> Way {
        match self {
            Change::NeverMade | Change::MadeLate => Way::There,
            Change::Made => Way::Back,
        }
    }

    fn come_about(self, held: Held) {
        match self {
            Change::NeverMade | Change::Made => held.lose(),
            Change::MadeLate => held.release(),
        }
    }
}

/// The weights that the names have, each once.
pub(crate) async fn weights(stack: &Stack) -> Vec<Pair> {
    let names: Vec<RecordName> = (0..NAMES)
        .map(|index| name(index).parse().unwrap())
        .collect();
    let traffic: Traffic = stack.zone.traffic(&names).await.unwrap();
    let (blue, green) = (BLUE.parse().unwrap(), GREEN.parse().unwrap());
    let mut weights: Vec<_> = names
        .iter()
        .map(|name| {
            let weight = |side| traffic.weight(name, side).unwrap();
            (weight(&blue), weight(&green))
        })
        .collect();
    weights.sort_unstable();
    weights.dedup();
    weights
}

pub(crate) fn crowded(stack: &Stack, otherwise: Value) -> Value {
    let mut input = input(stack, otherwise);
    input["names"] = json!(["crowded-*"]);
    // That all of them answer is another test's concern.
    input["probe"] = json!({ "enabled": false });
    input
}

fn name(index: usize) -> String {
    format!("crowded-{index}.eks-blueprint.example.com")
}

/// A stack whose zone has many names with records like those of the first one.
pub(crate) async fn crowded_stack() -> Stack {
    let mut record_sets = without_registry(blueprint());
    let like: Vec<_> = record_sets
        .iter()
        .filter(|record_set| record_set.name.as_str() == BURNHAM)
        .cloned()
        .collect();
    for index in 0..NAMES {
        record_sets.extend(like.iter().map(|record_set| RecordSet {
            name: name(index).parse().unwrap(),
            ..record_set.clone()
        }));
    }
    gated_stack(record_sets).await
}
