//! Functions killed with SIGKILL during a shift, a completion or a rollback.

use local_stack::{
    BLUE, Execution, GREEN, HeldCall, HoldPoint, NameWeights, RecordName, Stack, blueprint,
    without_registry,
};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, LATE_WAIT_SCALE, WAIT_SCALE, assert_succeeded, input, long_bake, migrate,
    stack_with, until_entered, until_rollback_by_status_event,
};

/// So many names that a step takes two changes; between them the zone is half-shifted.
pub(crate) const NAME_COUNT: usize = 150;
/// Both changes of the first step and the last change of the second step: the number of the change,
/// and the weights that names have before it and after it.
const CHANGES: [(usize, &[SideWeights], &[SideWeights]); 3] = [
    (1, &[(100, 0)], &[(50, 50), (100, 0)]),
    (2, &[(50, 50), (100, 0)], &[(50, 50)]),
    (5, &[(0, 100), (50, 50)], &[(0, 100)]),
];

/// The weights of the old and of the new side of a name.
pub(crate) type SideWeights = (u8, u8);

/// What happens to the change that a function was making when it was killed.
#[derive(Clone, Copy, Debug)]
enum PendingChange {
    NeverApplied,
    /// Route 53 receives the request after the function was killed.
    AppliedLate,
    /// Route 53 has applied it, and the function has not received the response.
    Applied,
}

#[tokio::test]
async fn killed_shift_whose_change_was_never_applied_is_retried_and_completes() {
    check_retried(PendingChange::NeverApplied).await;
}

#[tokio::test]
async fn killed_shift_whose_change_is_applied_late_is_retried_and_completes() {
    check_retried(PendingChange::AppliedLate).await;
}

#[tokio::test]
async fn killed_shift_whose_change_was_applied_is_retried_and_completes() {
    check_retried(PendingChange::Applied).await;
}

#[tokio::test]
async fn killed_shift_of_an_aborted_migration_is_rolled_back() {
    let stack = stack_with_many_names().await;
    // Step Functions makes no retries in an aborted execution; the emulator does.
    let mut definition = stack.migration_definition().await.unwrap();
    let shift = definition["States"]["Shift weight"].as_object_mut();
    shift.unwrap().remove("Retry");
    stack.set_migration_definition(&definition).await.unwrap();
    for change in [
        PendingChange::NeverApplied,
        PendingChange::AppliedLate,
        PendingChange::Applied,
    ] {
        check_restored(&stack, change).await;
    }
}

/// A completion makes two changes: it marks one journal as completed, then deletes all journals.
#[tokio::test]
async fn killed_completion_is_retried_and_completes() {
    let stack = stack_with(without_registry(blueprint())).await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (step, nth) in [("mark", 2), ("deletion", 3)] {
        for change in [
            PendingChange::NeverApplied,
            PendingChange::AppliedLate,
            PendingChange::Applied,
        ] {
            eprintln!("killing the completion at its {step}: {change:?}");
            let name = format!("{step}-{change:?}");
            let pending = stack.route53_proxy.hold(nth, change.hold_point());
            let input_there = input(&stack, json!({ "steps": [100], "bakeSeconds": 0 }));
            let migration = stack.start_migration(&name, &input_there).await.unwrap();
            let held = pending.held().await.unwrap();
            kill(&stack, "shift-weight").await;
            change.resolve(held);

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

/// The rollback state machine retries the function. A change that arrives late is refused, because
/// the records that it replaces no longer exist.
#[tokio::test]
async fn killed_rollback_is_retried_and_restores_the_zone() {
    let stack = stack_with_many_names().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, change) in [
        (1, PendingChange::AppliedLate),
        (1, PendingChange::Applied),
        (2, PendingChange::NeverApplied),
    ] {
        eprintln!("killing the rollback at change {nth}: {change:?}");
        let name = format!("rolled-back-{nth}-{change:?}");
        // The migration is held, so that the rollback by its status event restores nothing.
        stack.create_alarm(ALARM).await.unwrap();
        let mut input = many_names_input(&stack, long_bake());
        input["onFailure"] = "hold".into();
        input["alarms"] = json!({ "names": [ALARM] });
        let migration = stack.start_migration(&name, &input).await.unwrap();
        until_entered(&migration, "Bake").await;
        stack.fire_alarm(ALARM).await.unwrap();
        let by_event = until_rollback_by_status_event(&stack, &migration).await;
        assert_succeeded(&by_event.wait().await.unwrap(), "Nothing to roll back");

        let pending = stack.route53_proxy.hold(nth, change.hold_point());
        let request = json!({ "execution": name });
        let rollback = stack.start_rollback(&name, &request).await.unwrap();
        let held = pending.held().await.unwrap();
        let expected: &[_] = match (nth, change) {
            (1, PendingChange::NeverApplied | PendingChange::AppliedLate) => &[(50, 50)],
            _ => &[(50, 50), (100, 0)],
        };
        assert_eq!(weights(&stack).await, expected);
        kill(&stack, "rollback").await;
        change.resolve(held);

        assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
        let attempts = rollback.failed_attempts().await.unwrap();
        assert_eq!(
            attempts.first().map(String::as_str),
            Some("Runtime.ExitError")
        );
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// The state machine retries the shift, and the migration completes.
async fn check_retried(change: PendingChange) {
    let stack = stack_with_many_names().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, weights_before, weights_after) in CHANGES {
        eprintln!("killing the shift at change {nth}: {change:?}");
        let name = format!("killed-{nth}");
        let (migration, held) =
            start_with_held_change(&stack, &name, nth, change.hold_point()).await;
        assert_weights(&stack, weights_before, weights_after, change).await;
        kill(&stack, "shift-weight").await;
        change.resolve(held);

        let ended = migration.wait().await.unwrap();
        assert_succeeded(&ended, "Completed");
        let attempts = migration.failed_attempts().await.unwrap();
        assert_eq!(attempts, ["Runtime.ExitError"]);
        let shifts = ended.states.iter().filter(|state| *state == "Shift weight");
        assert_eq!(shifts.count(), 2, "{:?}", ended.states);
        assert_eq!(weights(&stack).await, [(0, 100)]);
        assert!(stack.zone.journals().await.unwrap().is_empty());

        let back = json!({ "from": GREEN, "to": BLUE, "steps": [100], "bakeSeconds": 0 });
        let back = migrate(
            &stack,
            &format!("back-{nth}"),
            &many_names_input(&stack, back),
        )
        .await;
        assert_succeeded(&back, "Completed");
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// The migration is aborted and its shift killed. The status event starts a rollback, which restores
/// the zone.
async fn check_restored(stack: &Stack, change: PendingChange) {
    let before = stack.zone.to_cli_json().await.unwrap();
    for (nth, weights_before, weights_after) in CHANGES {
        eprintln!("aborting, and killing the shift, at change {nth}: {change:?}");
        let name = format!("aborted-{nth}-{change:?}");
        let (migration, held) =
            start_with_held_change(stack, &name, nth, change.hold_point()).await;
        assert_weights(stack, weights_before, weights_after, change).await;
        stack.scale_waits(LATE_WAIT_SCALE).await.unwrap();
        migration.stop().await.unwrap();
        kill(stack, "shift-weight").await;
        let rollback = until_rollback_by_status_event(stack, &migration).await;
        until_entered(&rollback, "Wait out the TTL").await;
        change.resolve(held);
        until_entered(&rollback, "Confirm the rollback").await;
        stack.scale_waits(WAIT_SCALE).await.unwrap();
        let end = match (nth, change) {
            (1, PendingChange::NeverApplied) => "Nothing to roll back",
            _ => "Rolled back",
        };
        assert_succeeded(&rollback.wait().await.unwrap(), end);
        let attempts = migration.failed_attempts().await.unwrap();
        assert_eq!(attempts, ["Runtime.ExitError"]);
        assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    }
}

/// Starts a migration of many names, and waits until its `nth` change is held.
async fn start_with_held_change(
    stack: &Stack,
    name: &str,
    nth: usize,
    point: HoldPoint,
) -> (Execution, HeldCall) {
    let pending = stack.route53_proxy.hold(nth, point);
    let input = many_names_input(stack, json!({ "bakeSeconds": 0 }));
    let migration = stack.start_migration(name, &input).await.unwrap();
    let held = pending.held().await.unwrap();
    let states = migration.states().await.unwrap();
    assert_eq!(states.last().map(String::as_str), Some("Shift weight"));
    (migration, held)
}

async fn kill(stack: &Stack, function: &str) {
    let killed = stack.kill(function).await.unwrap();
    assert!(killed > 0, "no process was killed");
}

/// Checks the weights while a change is held: those before it, or those after it if it was applied.
async fn assert_weights(
    stack: &Stack,
    before: &[SideWeights],
    after: &[SideWeights],
    change: PendingChange,
) {
    let expected = match change {
        PendingChange::NeverApplied | PendingChange::AppliedLate => before,
        PendingChange::Applied => after,
    };
    assert_eq!(weights(stack).await, expected);
}

impl PendingChange {
    fn hold_point(self) -> HoldPoint {
        match self {
            PendingChange::NeverApplied | PendingChange::AppliedLate => HoldPoint::Request,
            PendingChange::Applied => HoldPoint::Response,
        }
    }

    fn resolve(self, held: HeldCall) {
        match self {
            PendingChange::NeverApplied | PendingChange::Applied => held.lose(),
            PendingChange::AppliedLate => held.release(),
        }
    }
}

/// The distinct weights of the many names, sorted.
pub(crate) async fn weights(stack: &Stack) -> Vec<SideWeights> {
    let names: Vec<RecordName> = (0..NAME_COUNT)
        .map(|index| name(index).parse().unwrap())
        .collect();
    let name_weights: NameWeights = stack.zone.weights(&names).await.unwrap();
    let (blue, green) = (BLUE.parse().unwrap(), GREEN.parse().unwrap());
    let mut weights: Vec<_> = names
        .iter()
        .map(|name| {
            let weight = |side| name_weights.weight(name, side).unwrap();
            (weight(&blue), weight(&green))
        })
        .collect();
    weights.sort_unstable();
    weights.dedup();
    weights
}

/// The input of a migration of the many names.
pub(crate) fn many_names_input(stack: &Stack, overrides: Value) -> Value {
    let mut input = input(stack, overrides);
    input["names"] = json!(["crowded-*"]);
    // These tests do not need the probe.
    input["probe"] = json!({ "enabled": false });
    input
}

fn name(index: usize) -> String {
    format!("crowded-{index}.eks-blueprint.example.com")
}

/// A stack whose zone has 150 additional names with records like those of [`BURNHAM`].
pub(crate) async fn stack_with_many_names() -> Stack {
    let mut record_sets = without_registry(blueprint());
    let templates: Vec<_> = record_sets
        .iter()
        .filter(|record_set| record_set.name.as_str() == BURNHAM)
        .cloned()
        .collect();
    for index in 0..NAME_COUNT {
        record_sets.extend(templates.iter().map(|record_set| RecordSet {
            name: name(index).parse().unwrap(),
            ..record_set.clone()
        }));
    }
    stack_with(record_sets).await
}
