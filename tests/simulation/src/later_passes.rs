//! Passes of a rollback after the first one, which confirm its changes and restore what was written late.

use fakes::{CHANGE, Fault};
use serde_json::{Value, json};

use crate::events::original;
use crate::invariants::{canary, run};
use crate::{Simulation, failed, limited, zones};

const GET_CHANGE: &str = "GetChange";

/// A rollback after its first pass.
struct AfterFirstPass {
    simulation: Simulation,
    planned: Value,
    first: Value,
}

impl AfterFirstPass {
    fn new() -> Self {
        let simulation = Simulation::blueprint();
        let planned = run(simulation.plan("run", &canary())).unwrap();
        run(simulation.shift(&planned, 0)).unwrap();
        let first = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
        assert_eq!(first["restored"], 7);
        assert_ne!(first["changeIds"], json!([]));
        Self {
            simulation,
            planned,
            first,
        }
    }

    fn next(&self) -> Value {
        next_pass(&json!({"execution": "run"}), &self.first)
    }
}

#[test]
fn a_pass_that_restores_nothing_and_cannot_ask_for_a_change_fails_and_is_repeated() {
    let after = AfterFirstPass::new();
    let simulation = &after.simulation;
    let network = &simulation.world.network;
    network.inject_fault_into(GET_CHANGE, 0, Fault::Throttled);
    let error = run(simulation.roll_back(&after.next())).unwrap_err();
    assert_eq!(error.name(), "Throttled", "{error}");
    let repeated = run(simulation.roll_back(&after.next())).unwrap();
    assert_eq!(repeated["changeIds"], after.first["changeIds"]);
    assert_eq!(simulation.route53.to_cli_json(), original());
}

/// With an error, its answer would not say what it has restored.
#[test]
fn a_pass_that_restores_a_late_write_answers_although_it_cannot_ask_for_a_change() {
    let after = AfterFirstPass::new();
    let simulation = &after.simulation;
    run(simulation.shift(&after.planned, 0)).unwrap();
    let network = &simulation.world.network;
    network.inject_fault_into(GET_CHANGE, 0, Fault::Throttled);
    let answer = run(simulation.roll_back(&after.next())).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(answer["done"], false);
    let open = answer["changeIds"].as_array().unwrap();
    let unasked = after.first["changeIds"].as_array().unwrap();
    assert!(unasked.iter().all(|it| open.contains(it)), "{answer:#}");
    assert_eq!(simulation.route53.to_cli_json(), original());
}

#[test]
fn a_migration_that_a_pass_has_stopped_is_announced_as_stopped_by_the_pass_that_goes_on() {
    const NAMES: usize = 50;
    let simulation = Simulation::new(&zones::registered(NAMES));
    let planned = run(simulation.plan("run", &limited::input(NAMES))).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    let request = json!({"execution": "run"});
    let first = run(simulation.roll_back(&request)).unwrap();
    assert_ne!(first["unfinished"], Value::Null);
    let second = run(simulation.roll_back(&next_pass(&request, &first))).unwrap();
    assert_eq!(second["unfinished"], Value::Null);
    assert_eq!(second["migrations"][0]["stopped"], true, "{second:#}");
    assert_eq!(second["migrations"][0]["names"], NAMES);
}

/// The pass was throttled before it could send the halves of the batch.
#[test]
fn the_names_of_a_refused_batch_are_restored_by_the_next_pass() {
    let simulation = failed::shifted();
    for (number, fault) in [(1, Fault::Refused), (2, Fault::Throttled)] {
        simulation.route53.inject_fault_into(CHANGE, number, fault);
    }
    let request = json!({"execution": "run"});
    let first = run(simulation.roll_back(&request)).unwrap();
    let suspected = &first["unfinished"]["suspected"];
    assert!(suspected.as_array().unwrap().len() > 1, "{first:#}");
    let left = failed::journaled(&simulation).len();
    let second = run(simulation.roll_back(&next_pass(&request, &first))).unwrap();
    assert_eq!(second["restored"], left, "{second:#}");
}

/// Lost answers are waited for together, and with the TTL.
#[test]
fn the_waits_for_lost_answers_do_not_add_up() {
    let request = json!({"execution": "run"});
    let wait = |lost: &[usize]| {
        let simulation = failed::shifted();
        for number in lost {
            let fault = Fault::AnswerLost;
            simulation.route53.inject_fault_into(CHANGE, *number, fault);
        }
        let answer = run(simulation.roll_back(&request)).unwrap();
        assert_eq!(answer["restored"], failed::NAMES);
        answer["waitSeconds"].as_u64().unwrap()
    };
    assert_eq!(wait(&[0]), wait(&[]) + 60);
    assert_eq!(wait(&[0, 1, 2]), wait(&[0]));
}

/// The request of the pass after the one that has answered `answer`, as the rollback state machine makes it.
pub(crate) fn next_pass(request: &Value, answer: &Value) -> Value {
    json!({"request": request, "earlier": {
        "executions": answer["executions"],
        "changeIds": answer["changeIds"],
        "rollbackRecords": answer["rollbackRecords"],
        "unfinished": answer["unfinished"],
    }})
}
