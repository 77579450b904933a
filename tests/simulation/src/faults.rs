//! Faults at every call of a whole migration.

use migration::fake::Fault;
use serde_json::json;

use crate::Simulation;
use crate::invariants::{canary, check_history, run};

type MakeFault = fn() -> Fault;

fn faults() -> [(&'static str, MakeFault); 4] {
    [
        ("throttled", || Fault::Throttled),
        ("prior request not complete", || {
            Fault::PriorRequestNotComplete
        }),
        ("unavailable", || Fault::Unavailable),
        ("answer lost", || Fault::AnswerLost),
    ]
}

fn calls_of_a_whole_migration() -> usize {
    let simulation = Simulation::blueprint();
    run(simulation.migrate("run", &canary())).unwrap();
    simulation.route53.calls()
}

/// One fault is healed by a retry: the migration ends as it would have without.
#[test]
fn any_single_fault_is_survived() {
    let undisturbed = Simulation::blueprint();
    run(undisturbed.migrate("run", &canary())).unwrap();
    for number in 0..calls_of_a_whole_migration() {
        for (name, fault) in faults() {
            let simulation = Simulation::blueprint();
            let before = simulation.route53.record_sets();
            simulation.route53.on_call(number, fault());
            run(simulation.migrate("run", &canary()))
                .unwrap_or_else(|error| panic!("call {number} {name}: {error}"));
            assert_eq!(
                simulation.route53.record_sets(),
                undisturbed.route53.record_sets(),
                "call {number} {name}"
            );
            check_history(&simulation, &before);
        }
    }
}

/// Whatever call the execution dies at, its answer lost or never sent, a
/// rollback from outside gives the zone back; a completed one stays.
#[test]
fn whatever_call_it_dies_at_a_rollback_gives_the_zone_back() {
    let completed = Simulation::blueprint();
    run(completed.migrate("run", &canary())).unwrap();
    for number in 0..calls_of_a_whole_migration() {
        for (name, fault) in faults() {
            let simulation = Simulation::blueprint();
            let before = simulation.route53.record_sets();
            // Dead for good: this call and as many more as would be retried.
            for attempt in 0..20 {
                simulation.route53.on_call(number + attempt, fault());
            }
            let _ = run(simulation.migrate("run", &canary()));
            while simulation.route53.calls() < number + 20 {
                let _ = run(simulation.roll_back(&json!({"execution": "run"})));
            }
            run(simulation.roll_back_whole("run"))
                .unwrap_or_else(|error| panic!("call {number} {name}: {error}"));
            check_history(&simulation, &before);
            let after = simulation.route53.record_sets();
            assert!(
                after == before || after == completed.route53.record_sets(),
                "call {number} {name}: half-shifted"
            );
        }
    }
}

/// A lost answer leaves no change id, so propagation is waited for instead.
#[test]
fn a_lost_answer_is_recognised_and_waited_for() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let undisturbed = run(simulation.shift("run", &planned, 0)).unwrap();

    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    simulation
        .route53
        .on_call(simulation.route53.calls() + 2, Fault::AnswerLost);
    let shifted = run(simulation.shift("run", &planned, 0)).unwrap();
    assert_eq!(shifted["changeIds"], json!([]));
    let wait = |answer: &serde_json::Value| answer["waitSeconds"].as_u64().unwrap();
    assert_eq!(wait(&shifted), wait(&undisturbed) + 60);
    assert_eq!(simulation.route53.batches().len(), 1);
}
