//! Completions that were interrupted or are repeated, without a lease, so that they delete the journals.

use fakes::{CHANGE, Fault};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::failed::name;
use crate::invariants::{of_one_name, reweigh, run};
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

fn input(names: &[usize]) -> Value {
    let names: Vec<_> = names
        .iter()
        .map(|number| name(*number).to_string())
        .collect();
    json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [50, 100], "names": names,
    })
}

/// Three names. A migration of these ones has marked itself as completed, and deleted no journal.
fn marked(names: &[usize]) -> Simulation {
    marked_with(names, |_| {})
}

/// The same. After its first step, `look` is called.
fn marked_with(names: &[usize], look: impl FnOnce(&Simulation)) -> Simulation {
    let simulation = Simulation::new(&zones::unregistered(3));
    let planned = run(simulation.plan("run", &input(names))).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    look(&simulation);
    run(simulation.shift(&planned, 1)).unwrap();
    // The mark is the first change, and the deletion the second one. Then the zone is read a second time, to check
    // whether it was applied.
    for action in [CHANGE, "GetHostedZone"] {
        simulation
            .route53
            .inject_fault_into(action, 1, Fault::Unavailable);
    }
    run(simulation.complete(&planned)).unwrap_err();
    simulation.executions.abort("run");
    simulation
}

#[test]
fn a_rollback_of_a_completed_migration_changes_no_weight() {
    let simulation = marked(&[0, 1, 2]);
    let rolled_back = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_eq!(rolled_back["restored"], 0);
    assert_eq!(
        rolled_back["message"],
        "deleted the remaining journals of a completed migration (execution run); no weight was changed"
    );
    assert_eq!(rolled_back["migrations"][0]["status"], "Completed");
    let weights = simulation.route53.record_sets();
    let mut green = weights.iter().filter_map(|it| it.weighted());
    assert!(green.all(|(side, weight)| weight == if side.as_str() == GREEN { 100 } else { 0 }));
}

/// Another writer has changed a name since the mark, so the names have not all reached the last step.
#[test]
fn a_rollback_restores_a_migration_that_completed_if_a_name_has_other_weights() {
    for number in 0..3 {
        let simulation = marked(&[0, 1, 2]);
        simulation
            .route53
            .edit(|record_sets| reweigh(record_sets, name(number).as_str(), BLUE, 7));
        simulation.roll_back_whole("run").unwrap();
        let original = Simulation::new(&zones::unregistered(3));
        assert_eq!(
            simulation.route53.to_cli_json(),
            original.route53.to_cli_json(),
            "{number}"
        );
    }
}

/// Another writer has put the records and the journal of a name back that it had after the first step.
#[test]
fn a_rollback_restores_a_migration_that_completed_if_a_name_is_at_an_earlier_step() {
    let mut at_50 = Vec::new();
    let is_of_it = |it: &RecordSet| it.name.as_str().ends_with(name(1).as_str());
    let simulation = marked_with(&[0, 1, 2], |simulation| {
        at_50 = simulation.route53.record_sets();
        at_50.retain(is_of_it);
    });
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|it| !is_of_it(it));
        record_sets.extend(at_50);
    });
    simulation.roll_back_whole("run").unwrap();
    let original = Simulation::new(&zones::unregistered(3));
    assert_eq!(
        simulation.route53.to_cli_json(),
        original.route53.to_cli_json()
    );
}

/// The deletion of the journals follows in the next pass.
#[test]
fn a_rollback_by_names_reports_what_it_restored_although_it_can_t_delete_the_journals_of_another() {
    let simulation = marked(&[0, 1]);
    let planned = run(simulation.plan("held", &input(&[2]))).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("held", "Held", "Drift");
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 1, "{answer:#}");
    simulation.roll_back_all(&request).unwrap();
    let record_sets = simulation.route53.record_sets();
    assert!(record_sets.iter().all(|it| it.name.journaled().is_none()));
}

#[test]
fn a_rollback_that_can_t_delete_the_journals_of_a_completed_migration_fails() {
    let simulation = marked(&[0, 1, 2]);
    simulation
        .route53
        .inject_fault_into(CHANGE, 0, Fault::Refused);
    let error = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap_err();
    assert_eq!(error.name(), "ChangeRefused", "{error}");
}

/// Its name has registry TXT records, and they are not leased.
#[test]
fn a_completion_without_a_lease_can_be_repeated() {
    let simulation = Simulation::blueprint();
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    let planned = run(simulation.plan("run", &input)).unwrap();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
    }
    for deleted in [1, 0] {
        let completed = run(simulation.complete(&planned)).unwrap();
        assert_eq!(completed["leased"], 0);
        assert_eq!(completed["journals"], deleted);
    }
}
