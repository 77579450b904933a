//! Failures that random histories found, each reduced to the shortest test that shows it, and a
//! procedure of the runbook.

use fakes::{CHANGE, Fault};
use migration::dns::RecordSet;
use serde_json::json;

use crate::invariants::{canary, of_one_name, reweigh, run};
use crate::zones::{BLUE, BURNHAM, GREEN};
use crate::{Simulation, ZONE_ID};

/// Found with seed 23792: ExternalDNS created the record again with the weight of its annotation,
/// while the rollback restored the registry TXT with the weight of the step.
#[test]
fn the_registry_txt_of_a_deleted_record_is_restored_with_the_original_weight() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            let side = record_set.weighted().map(|(side, _)| side.as_str());
            record_set.name.as_str() != BURNHAM || side != Some(GREEN)
        });
    });
    // It would fail if there were a problem.
    simulation
        .roll_back_all(&json!({"execution": "run"}))
        .unwrap();
    let texts: Vec<_> = simulation
        .route53
        .record_sets()
        .into_iter()
        .filter(|text| text.name.as_str().ends_with(&format!("-{BURNHAM}")))
        .filter_map(|text| {
            let (side, weight) = text.weighted()?;
            (side.as_str() == GREEN).then_some(weight)
        })
        .collect();
    assert_eq!(texts, [0, 0]);
}

/// Found with seed 65199: a step had not changed the weights of a name, and another writer edited one
/// of them between the read and the write of the rollback. The edit remained, beside a registry TXT
/// with the original weight, and was not reported.
#[test]
fn a_rollback_finds_an_edit_between_its_read_and_its_write_of_an_unchanged_weight() {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(|record_sets| {
        reweigh(record_sets, BURNHAM, BLUE, 70);
        reweigh(record_sets, BURNHAM, GREEN, 30);
    });
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();

    let edit = Fault::OtherWriter(Box::new(|record_sets| {
        for record_set in record_sets {
            let side = record_set.weighted().map(|(side, _)| side.as_str());
            if record_set.name.as_str() == BURNHAM && side == Some(BLUE) {
                *record_set = record_set.with_weight(7);
            }
        }
    }));
    simulation.route53.inject_fault_into(CHANGE, 0, edit);
    let request = json!({"hostedZoneId": ZONE_ID, "names": [BURNHAM]});
    let rolled_back = simulation.roll_back_all(&request).unwrap();
    let found = rolled_back["migrations"][0]["found"].to_string();
    assert!(found.contains("had weight 7 instead of 70"), "{found}");
    let of_burnham = |record_sets: Vec<RecordSet>| -> Vec<_> {
        let is_of_burnham = |it: &RecordSet| it.name.as_str().ends_with(BURNHAM);
        record_sets.into_iter().filter(is_of_burnham).collect()
    };
    assert_eq!(
        of_burnham(simulation.route53.record_sets()),
        of_burnham(before)
    );
}

/// The procedure of the runbook after a person has deleted a journal.
#[test]
fn a_journal_that_is_written_again_can_be_rolled_back() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let is_journal = |record_set: &RecordSet| record_set.name.journaled().is_some();
    let mut deleted = simulation.route53.record_sets();
    deleted.retain(is_journal);
    simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| !is_journal(record_set)));
    simulation.executions.fail("run", "Held", "Drift");
    let request = json!({"execution": "run"});
    let failure = simulation.roll_back_all(&request).unwrap_err();
    assert_eq!(failure.error, "NotRestored");

    simulation
        .route53
        .edit(|record_sets| record_sets.extend(deleted));
    let by_name = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    simulation.roll_back_all(&by_name).unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}
