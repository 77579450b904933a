//! A later version of the functions is deployed while a migration of this version runs, and writes the journal of
//! one of its names in a later format. To this version that journal is a lock, and nothing more.

use std::time::Duration;

use interpreter::Failure;
use migration::Error;
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::events::at_50_percent;
use crate::invariants::{canary, replace_in_values, run};
use crate::world::status_event;
use crate::writers::{is_of_later_format, write_later_format};
use crate::zones::registered;
use crate::{Simulation, ZONE_ID};

const LATER: &str = "svc-0001.example.com";
const OTHERS: [&str; 2] = ["svc-0000.example.com", "svc-0002.example.com"];
const FOUND: &str = "it has format version 3, expected 2";

/// A migration of three names at 50 percent, of which one has a journal in a later format; and its plan.
fn deployed() -> (Simulation, Value) {
    let simulation = Simulation::new(&registered(3));
    let planned = at_50_percent(&simulation, "run", &canary());
    let count = simulation.world.outside_writes.clone();
    let edit = write_later_format(LATER.parse().unwrap(), count);
    simulation.route53.edit(edit);
    (simulation, planned)
}

/// Everything at a name: its records, its registry TXT records, and its journal.
fn records_of(simulation: &Simulation, name: &str) -> Vec<RecordSet> {
    let mut record_sets = simulation.route53.record_sets();
    record_sets.retain(|it| it.name.as_str().ends_with(name));
    record_sets
}

/// The last rollback has restored the other names, and has reported this one.
#[track_caller]
fn expect_left_alone(simulation: &Simulation, before: &[RecordSet], failure: &Failure) {
    assert_eq!(records_of(simulation, LATER), before);
    let original = Simulation::new(&registered(3));
    for name in OTHERS {
        assert_eq!(records_of(simulation, name), records_of(&original, name));
    }
    assert_eq!(failure.error, "NotRestored");
    let cause = &failure.cause;
    assert!(cause.contains(LATER) && cause.contains(FOUND), "{failure}");
    simulation.expect_invariants();
}

#[test]
fn a_rollback_restores_all_other_names_and_reports_it() {
    for request in [
        json!({"execution": "run"}),
        status_event("run", "ABORTED"),
        json!({"hostedZoneId": ZONE_ID, "names": ["*"]}),
    ] {
        let (simulation, _) = deployed();
        let before = records_of(&simulation, LATER);
        if request["detail"].is_object() {
            simulation.executions.abort("run");
        }
        let failure = simulation.roll_back_all(&request).unwrap_err();
        expect_left_alone(&simulation, &before, &failure);

        // The later version reads the journals of this one, and rolls back what it has left.
        simulation.route53.edit(|record_sets| {
            replace_in_values(record_sets, is_of_later_format, "cutover=3", "cutover=2");
        });
        let by_name = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
        simulation.roll_back_all(&by_name).unwrap();
        let original = Simulation::new(&registered(3));
        assert_eq!(
            simulation.route53.to_cli_json(),
            original.route53.to_cli_json()
        );
    }
}

#[test]
fn a_sweep_restores_all_other_names_and_finds_nothing_more() {
    let (simulation, _) = deployed();
    let before = records_of(&simulation, LATER);
    simulation.executions.abort("run");
    for expected in [json!(["run"]), json!([])] {
        simulation.world.clock.pass(Duration::from_hours(1));
        let memory = rollback::Memory::default();
        assert_eq!(simulation.sweep(&memory).unwrap()["found"], expected);
        simulation.settle();
    }
    let rollbacks = simulation.world.rollbacks.borrow();
    let failure = rollbacks.last().unwrap().failure.clone().unwrap();
    expect_left_alone(&simulation, &before, &failure);
}

#[test]
fn a_migration_that_continues_finds_it_as_drift() {
    let (simulation, planned) = deployed();
    let before = simulation.route53.to_cli_json();
    let error = run(simulation.shift(&planned, 2)).unwrap_err();
    assert_eq!(error.name(), "Drift");
    assert!(error.to_string().contains(FOUND), "{error}");
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn another_migration_of_its_name_is_busy() {
    let (simulation, _) = deployed();
    simulation.executions.fail("run", "Held", "Drift");
    let before = simulation.route53.to_cli_json();
    let mut input = canary();
    let error = run(simulation.plan("second", &input)).unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error}");
    assert!(error.to_string().contains(FOUND), "{error}");
    assert_eq!(simulation.route53.to_cli_json(), before);

    // A migration of the other names is not affected.
    input["exclude"] = json!([LATER]);
    run(simulation.plan("third", &input)).unwrap();
}
