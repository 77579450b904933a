//! The sweep, which finds what a lost event or a failed rollback has left behind, and the daily reminders.

use std::time::Duration;

use fakes::{CHANGE, Fault};
use migration::Error;
use serde_json::{Value, json};

use crate::events::at_50_percent;
use crate::holds::two_held;
use crate::invariants::{canary, run};
use crate::world::{rfc3339, status_event};
use crate::{Simulation, ZONE_ID};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A migration at 50 percent.
fn shifted(input: &Value) -> Simulation {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", input);
    simulation
}

/// Time passes, and then the schedule calls the function.
fn sweep_after(simulation: &Simulation, time: Duration, memory: &rollback::Memory) -> Value {
    simulation.world.clock.pass(time);
    simulation.sweep(memory).unwrap()
}

/// What a new environment of the function finds.
fn found_after(simulation: &Simulation, time: Duration) -> Value {
    sweep_after(simulation, time, &rollback::Memory::default())["found"].clone()
}

/// Ends the migration in every way in which its names stay at their step, without its status event.
const ENDS: [fn(&Simulation); 4] = [
    |it| it.executions.fail("run", "HealthCheckFailed", "unhealthy"),
    |it| it.executions.fail("run", "RollbackFailed", "Unavailable"),
    |it| it.executions.abort("run"),
    |it| it.executions.time_out("run"),
];

#[test]
fn a_migration_whose_status_event_is_lost_is_rolled_back_by_the_sweep() {
    for end in ENDS {
        let simulation = shifted(&canary());
        let before = Simulation::blueprint().route53.to_cli_json();
        end(&simulation);
        assert_eq!(found_after(&simulation, HOUR), json!(["run"]));
        simulation.settle();
        assert_eq!(simulation.route53.to_cli_json(), before);
        let notifications = simulation.world.notifications.borrow();
        let rolled_back = ("run".to_owned(), "RolledBack".to_owned());
        assert_eq!(*notifications, [rolled_back]);
        // The next sweep knows that the rollback has succeeded.
        assert_eq!(found_after(&simulation, HOUR), json!([]));
    }
}

#[test]
fn a_sweep_with_nothing_wrong_makes_one_call() {
    let simulation = shifted(&canary());
    let network = &simulation.world.network;
    let calls = |simulation: &Simulation, memory| {
        let before = network.calls();
        sweep_after(simulation, HOUR, memory);
        network.calls() - before
    };
    let memory = rollback::Memory::default();
    // It runs.
    assert_eq!(calls(&simulation, &memory), 1);
    simulation.executions.abort("run");
    let event = status_event("run", "ABORTED");
    simulation.roll_back_all(&event).unwrap();
    // One more call for an execution that ended without success, once for each environment.
    assert_eq!(calls(&simulation, &memory), 2);
    assert_eq!(calls(&simulation, &memory), 1);
    assert_eq!(network.action(network.calls() - 1), Some("ListExecutions"));
    // After a redrive it is looked at again.
    simulation.executions.redrive("run");
    simulation.executions.abort("run");
    assert!(calls(&simulation, &memory) > 1);
}

/// Its own rollback, or that of its status event, gets the time first.
#[test]
fn a_migration_that_has_just_ended_is_left_to_its_status_event() {
    let simulation = shifted(&canary());
    simulation.executions.abort("run");
    let after = Duration::from_mins(14);
    assert_eq!(found_after(&simulation, after), json!([]));
    let after = Duration::from_mins(2);
    assert_eq!(found_after(&simulation, after), json!(["run"]));
}

#[test]
fn a_migration_that_holds_is_left_as_it_is() {
    let simulation = shifted(&canary());
    let at_50 = simulation.route53.to_cli_json();
    simulation.executions.fail("run", "Held", "Drift");
    assert_eq!(found_after(&simulation, HOUR), json!([]));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// Its hold was never announced, because it was aborted and the status event was lost.
#[test]
fn a_hold_that_was_never_announced_is_announced_once() {
    let mut input = canary();
    input["onFailure"] = json!("hold");
    let simulation = shifted(&input);
    let at_50 = simulation.route53.to_cli_json();
    simulation.executions.abort("run");
    for _ in 0..3 {
        found_after(&simulation, HOUR);
        simulation.settle();
    }
    let notifications = simulation.world.notifications.borrow();
    assert_eq!(*notifications, [("run".to_owned(), "Held".to_owned())]);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// The rollback of the sweep fails as well, and that of a later sweep restores the zone.
#[test]
fn a_sweep_after_an_outage_that_outlasted_all_retries_rolls_back() {
    let simulation = shifted(&canary());
    let before = Simulation::blueprint().route53.to_cli_json();
    simulation
        .executions
        .fail("run", "RollbackFailed", "Unavailable");
    let outage = HOUR * 3;
    simulation
        .world
        .fail_calls("rollback", "Unavailable", outage);
    let mut sweeps = 0;
    while simulation.route53.to_cli_json() != before {
        sweeps += 1;
        assert!(sweeps < 10, "{sweeps}");
        found_after(&simulation, Duration::from_mins(15));
        simulation.settle();
    }
    assert!(sweeps > 1);
    assert!(simulation.world.clock.elapsed() < outage + HOUR * 2);
}

/// Another writer has changed one name since, and has put an older journal of another one back.
#[test]
fn a_sweep_restores_only_names_that_are_as_their_journals_say() {
    let simulation = shifted(&canary());
    let at_50 = simulation.route53.record_sets();
    simulation.executions.abort("run");
    let changed = "burnham.eks-blueprint.example.com";
    simulation.route53.edit(|zone| {
        for record_set in zone.iter_mut().filter(|it| it.name.as_str() == changed) {
            *record_set = record_set.with_weight(7);
        }
    });
    let of_changed = |simulation: &Simulation| {
        let mut record_sets = simulation.route53.record_sets();
        record_sets.retain(|it| it.name.as_str() == changed);
        record_sets
    };
    let edited = of_changed(&simulation);
    assert_eq!(found_after(&simulation, HOUR), json!(["run"]));
    simulation.settle();
    assert_eq!(of_changed(&simulation), edited);
    let journals = simulation.route53.record_sets();
    let journals = journals.iter().filter(|it| it.name.journaled().is_some());
    assert_eq!(journals.count(), 1);
    let rollbacks = simulation.world.rollbacks.borrow();
    let failure = rollbacks.last().unwrap().failure.clone().unwrap();
    assert_eq!(failure.error, "NotRestored");
    assert!(failure.cause.contains(changed), "{failure}");
    drop(rollbacks);
    // Nothing is left that a sweep may restore.
    assert_eq!(found_after(&simulation, HOUR), json!([]));
    assert_ne!(simulation.route53.record_sets(), at_50);
}

/// A person sees its errors in the metrics of the function, and the next sweep finds the same.
#[test]
fn a_sweep_with_a_fault_at_any_call_is_repaired_by_the_next_one() {
    let calls = {
        let simulation = shifted(&canary());
        simulation.executions.abort("run");
        let before = simulation.world.network.calls();
        found_after(&simulation, HOUR);
        before..simulation.world.network.calls()
    };
    assert!(calls.len() > 3);
    for call in calls {
        for fault in [Fault::Throttled, Fault::Unavailable, Fault::AnswerLost] {
            let simulation = shifted(&canary());
            let before = Simulation::blueprint().route53.to_cli_json();
            simulation.executions.abort("run");
            simulation.world.network.inject_fault(call, fault);
            simulation.world.clock.pass(HOUR);
            let memory = rollback::Memory::default();
            let _: Result<Value, Error> = simulation.sweep(&memory);
            simulation.settle();
            sweep_after(&simulation, HOUR, &memory);
            simulation.settle();
            assert_eq!(simulation.route53.to_cli_json(), before, "call {call}");
        }
    }
}

/// The answer to a reminder, and the messages that it causes.
fn remind(simulation: &Simulation) -> (Value, Vec<(String, String)>) {
    simulation.world.notifications.borrow_mut().clear();
    let at = rfc3339(simulation.world.network.now());
    let request = json!({"reminder": {"at": at, "olderThanHours": 24}});
    let before = simulation.route53.to_cli_json();
    let changes = simulation.world.network.calls_of(CHANGE);
    let output = simulation.roll_back_all(&request).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
    assert_eq!(simulation.world.network.calls_of(CHANGE), changes);
    let notifications = simulation.world.notifications.borrow().clone();
    (output, notifications)
}

#[test]
fn a_held_migration_is_reminded_of_after_a_day() {
    let simulation = shifted(&canary());
    simulation.executions.fail("run", "Held", "Drift: why");
    simulation.world.clock.pass(HOUR * 23);
    assert_eq!(remind(&simulation).1, []);
    simulation.world.clock.pass(HOUR);
    let (output, notifications) = remind(&simulation);
    assert_eq!(notifications, [("run".to_owned(), "StillHeld".to_owned())]);
    let report = &output["migrations"][0];
    assert_eq!(report["percent"], 50);
    assert_eq!(report["names"], 7);
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.ends_with(": Held: Drift: why"), "{reason}");
    assert_eq!(output["message"], "1 migration waits for an operator");

    simulation.roll_back_whole("run").unwrap();
    let (output, notifications) = remind(&simulation);
    assert_eq!(notifications, []);
    assert_eq!(output["message"], "no migration waits for an operator");
}

#[test]
fn a_migration_that_is_not_released_is_reminded_of_until_it_is() {
    let simulation = Simulation::new(&crate::zones::registered(2));
    let input = json!({
        "hostedZoneId": ZONE_ID, "from": crate::zones::BLUE, "to": crate::zones::GREEN,
        "steps": [50, 100], "bakeSeconds": 60,
    });
    simulation.migrate("run", &input).unwrap();
    simulation.world.clock.pass(DAY);
    let not_released = ("run".to_owned(), "NotReleased".to_owned());
    assert_eq!(remind(&simulation).1, [not_released]);
    simulation.release("run", || {}).unwrap();
    assert_eq!(remind(&simulation).1, []);
}

#[test]
fn each_held_migration_is_reminded_of() {
    let simulation = two_held();
    simulation.world.clock.pass(DAY);
    let (output, notifications) = remind(&simulation);
    let expected = ["second", "first"].map(|it| (it.to_owned(), "StillHeld".to_owned()));
    assert_eq!(notifications, expected);
    assert_eq!(output["message"], "2 migrations wait for an operator");
}

/// A migration of which an earlier one was the beginning is reminded of, and the earlier one is not.
#[test]
fn a_migration_that_was_continued_is_not_reminded_of() {
    let simulation = shifted(&canary());
    simulation.executions.fail("run", "Held", "Drift");
    let planned = run(simulation.plan("second", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("second", "Held", "Drift");
    simulation.world.clock.pass(DAY);
    let expected = ("second".to_owned(), "StillHeld".to_owned());
    assert_eq!(remind(&simulation).1, [expected]);
}

#[test]
fn times_of_the_schedules_are_checked() {
    assert!(rollback::is_sweep(
        &json!({"sweep": {"at": "2022-03-22T18:59:43Z"}})
    ));
    assert!(!rollback::is_sweep(&json!({"swept": {"execution": "run"}})));
    let simulation = Simulation::blueprint();
    let request = json!({"reminder": {"at": "tomorrow", "olderThanHours": 24}});
    let error = run(simulation.roll_back(&request)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at: expected a time such as 2022-03-22T18:59:43Z, found \"tomorrow\""
    );
}
