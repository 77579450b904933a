//! Journals that another writer puts back after the rollback of their migration.

use expect_test::expect;
use fakes::{CHANGE, Fault};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::events::{aborted, at_50_percent, hold_at_50_percent, original};
use crate::invariants::{canary, of_one_name, replace_in_values, run};
use crate::world::status_event;
use crate::zones::{BLUE, BURNHAM, GREEN};
use crate::{Simulation, ZONE_ID, failed};

fn journals(simulation: &Simulation) -> Vec<RecordSet> {
    let mut record_sets = simulation.route53.record_sets();
    record_sets.retain(|it| it.name.journaled().is_some());
    record_sets
}

fn is_of_burnham(record_set: &RecordSet) -> bool {
    let name = record_set.name.journaled();
    name.is_some_and(|name| name.as_str() == BURNHAM)
}

fn put_back(simulation: &Simulation, journals: &[RecordSet]) {
    let journals = journals.to_vec();
    simulation.route53.edit(|zone| zone.extend(journals));
}

/// An input with which the owners of the registry TXT records stay as they are, so that only the weights tell
/// whether a journal is current.
fn unleased() -> Value {
    let mut input = canary();
    input["externalDns"] = json!({"mode": "ignore"});
    input
}

/// After these journals are put back, a rollback of the execution fails, and changes nothing.
#[track_caller]
fn expect_no_trust_in(simulation: &Simulation, seen: &[RecordSet], execution: &str) {
    let before = simulation.route53.to_cli_json();
    put_back(simulation, seen);
    simulation.roll_back_whole(execution).unwrap_err();
    assert_eq!(journals(simulation), seen);
    simulation
        .route53
        .edit(|zone| zone.retain(|it| it.name.journaled().is_none()));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// The execution `run`, after its rollback, and the journals that it had at 50 percent.
fn rolled_back() -> (Simulation, Vec<RecordSet>) {
    let simulation = aborted(&unleased());
    let seen = journals(&simulation);
    let event = status_event("run", "ABORTED");
    simulation.roll_back_all(&event).unwrap();
    assert_eq!(journals(&simulation), []);
    (simulation, seen)
}

#[test]
fn a_rollback_that_is_requested_again_restores_nothing_from_journals_that_were_put_back() {
    let requests = [json!({"execution": "run"}), status_event("run", "ABORTED")];
    for request in requests {
        let (simulation, seen) = rolled_back();
        // The names have moved on since then, with another migration.
        simulation.migrate("later", &unleased()).unwrap();
        put_back(&simulation, &seen);
        let before = simulation.route53.to_cli_json();
        let failure = simulation.roll_back_all(&request).unwrap_err();
        assert_eq!(failure.error, "NotRestored");
        let expected = format!(
            "{BURNHAM} is not restored: the execution run was rolled back already, and another writer has put its \
             journal back; if the weights of {BURNHAM} are right, delete the TXT record _cutover.{BURNHAM}; if not, \
             roll back with hostedZoneId and names"
        );
        assert!(failure.cause.contains(&expected), "{}", failure.cause);
        assert_eq!(simulation.route53.to_cli_json(), before);
    }
}

/// Also without a lease, which tells that the later migration has shifted the name.
#[test]
fn a_rollback_reports_a_name_whose_journal_was_replaced_by_that_of_an_undone_migration() {
    let causes = [canary(), unleased()].map(|input| {
        let simulation = aborted(&input);
        let mut of_burnham = journals(&simulation);
        of_burnham.retain(is_of_burnham);
        simulation.roll_back_whole("run").unwrap();
        at_50_percent(&simulation, "later", &input);
        simulation.executions.abort("later");
        simulation
            .route53
            .edit(|zone| zone.retain(|it| !is_of_burnham(it)));
        put_back(&simulation, &of_burnham);
        let failure = simulation.roll_back_whole("later").unwrap_err();
        assert_eq!(failure.error, "NotRestored");
        assert_eq!(journals(&simulation), of_burnham);
        failure.cause
    });
    assert_eq!(causes[0], causes[1]);
    expect![[r#"
        restored the original weights of 6 names; some could not be restored: burnham.eks-blueprint.example.com is not restored: its journal is of the execution run, which is earlier than later and was not adopted by it, so another writer has replaced the journal of later; write that journal again (infra/README.md, "A journal was deleted or edited")
    "#]].assert_eq(&format!("{}\n", causes[0]));
}

/// The live weights are those that the journals say were written, and their execution ended without success.
#[test]
fn journals_that_were_put_back_after_a_rollback_are_not_adopted() {
    let (simulation, seen) = rolled_back();
    at_50_percent(&simulation, "later", &unleased());
    let of_later = journals(&simulation);
    simulation
        .route53
        .edit(|zone| zone.retain(|it| !of_later.contains(it)));
    put_back(&simulation, &seen);
    let error = run(simulation.plan("another", &unleased())).unwrap_err();
    assert_eq!(error.name(), "Busy");
    let expected = "has a journal of the execution run, which was rolled back since then";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn journals_of_an_adopted_migration_count_no_more_after_the_rollback_of_its_successor() {
    let simulation = Simulation::blueprint();
    hold_at_50_percent(&simulation, "first", &unleased());
    let seen = journals(&simulation);
    let planned = run(simulation.plan("second", &unleased())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.roll_back_whole("second").unwrap();
    expect_no_trust_in(&simulation, &seen, "first");
}

/// The second execution has taken over one name only.
#[test]
fn a_migration_of_which_a_part_was_adopted_is_rolled_back_after_its_successor() {
    let simulation = Simulation::blueprint();
    hold_at_50_percent(&simulation, "first", &unleased());
    let mut one = of_one_name();
    one["externalDns"] = unleased()["externalDns"].clone();
    let planned = run(simulation.plan("second", &one)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.roll_back_whole("second").unwrap();
    simulation.roll_back_whole("first").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original());
}

/// It runs again, with the names that were not taken over.
#[test]
fn a_rollback_leaves_an_adopted_execution_that_was_redriven_since() {
    let simulation = failed::shifted();
    let input = json!({"hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [50, 100]});
    let planned = run(simulation.plan("second", &input)).unwrap();
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.redrive("run");
    simulation.executions.abort("second");
    let rolled_back = simulation.roll_back_whole("second").unwrap();
    let left = failed::journaled(&simulation).len();
    assert_ne!(left, 0);
    assert_eq!(rolled_back["restored"], failed::NAMES - left);
}

/// It plans again, and its new journals are trusted. The old ones are not.
#[test]
fn an_execution_that_is_redriven_after_its_rollback_can_be_rolled_back_again() {
    let (simulation, seen) = rolled_back();
    let before = simulation.route53.to_cli_json();
    simulation.executions.redrive("run");
    let event = json!({
        "operation": "plan", "execution": "run", "redrives": 1, "input": unleased(),
    });
    let planned = run(simulation.shift_weight(&event)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let of_redrive = journals(&simulation);
    assert_ne!(of_redrive, []);
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);

    for journals in [seen, of_redrive] {
        put_back(&simulation, &journals);
        simulation.roll_back_whole("run").unwrap_err();
        simulation
            .route53
            .edit(|zone| zone.retain(|it| !journals.contains(it)));
        assert_eq!(simulation.route53.to_cli_json(), before);
    }
}

/// Its old journals are not adopted by the redriven execution itself.
#[test]
fn an_execution_that_is_redriven_after_its_rollback_does_not_adopt_its_old_journals() {
    let (simulation, seen) = rolled_back();
    put_back(&simulation, &seen);
    simulation.executions.redrive("run");
    let event = json!({
        "operation": "plan", "execution": "run", "redrives": 1, "input": unleased(),
    });
    let error = run(simulation.shift_weight(&event)).unwrap_err();
    assert_eq!(error.name(), "Busy");
}

/// The rollback that found everything restored is the one that is recorded.
#[test]
fn a_rollback_after_one_that_was_not_recorded_counts_as_one() {
    let simulation = aborted(&unleased());
    let seen = journals(&simulation);
    // The answer of a call that restored everything was lost, or a rollback by names has done it.
    let by_name = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    run(simulation.roll_back(&by_name)).unwrap();
    simulation.roll_back_whole("run").unwrap();
    expect_no_trust_in(&simulation, &seen, "run");
}

/// As the runbook says.
#[test]
fn a_rollback_of_names_restores_from_a_journal_of_a_migration_that_was_stopped_for_its_rollback() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &unleased());
    let mut of_burnham = journals(&simulation);
    of_burnham.retain(is_of_burnham);
    simulation
        .route53
        .edit(|zone| zone.retain(|it| !is_of_burnham(it)));
    simulation.roll_back_whole("run").unwrap();
    assert_ne!(simulation.route53.to_cli_json(), original());
    put_back(&simulation, &of_burnham);
    let request = json!({"hostedZoneId": ZONE_ID, "names": [BURNHAM]});
    simulation.roll_back_all(&request).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original());
}

/// A person who names the names has looked at them.
#[test]
fn a_rollback_of_names_restores_from_a_journal_that_was_put_back() {
    let (simulation, seen) = rolled_back();
    let before = simulation.route53.to_cli_json();
    simulation.migrate("later", &unleased()).unwrap();
    put_back(&simulation, &seen);
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    simulation.roll_back_all(&request).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn a_rollback_that_left_a_name_can_be_repeated() {
    let simulation = aborted(&unleased());
    let edit = |from: &str, to: &str| {
        simulation
            .route53
            .edit(|zone| replace_in_values(zone, is_of_burnham, from, to));
    };
    edit("\"sequence=2\"", "\"sequence=3\"");
    let failure = simulation.roll_back_whole("run").unwrap_err();
    assert_eq!(failure.error, "NotRestored");
    edit("\"sequence=3\"", "\"sequence=2\"");
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original());
}

#[test]
fn a_rollback_is_recorded_by_another_attempt_if_the_first_one_fails() {
    for fault in [Fault::Throttled, Fault::Unavailable, Fault::AnswerLost] {
        let simulation = aborted(&unleased());
        let seen = journals(&simulation);
        let network = &simulation.world.network;
        network.inject_fault_into("StartExecution", 0, fault);
        simulation.roll_back_whole("run").unwrap();
        put_back(&simulation, &seen);
        simulation.roll_back_whole("run").unwrap_err();
    }
}

/// The permission is missing.
#[test]
fn a_rollback_that_can_t_be_recorded_succeeds() {
    let simulation = aborted(&unleased());
    let network = &simulation.world.network;
    network.inject_fault_into("StartExecution", 0, Fault::Refused);
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original());
}
