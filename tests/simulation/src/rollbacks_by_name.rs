//! Rollbacks of names, whichever migrations have moved them.

use std::collections::BTreeSet;

use expect_test::expect;
use fakes::Fault;
use serde_json::json;

use crate::invariants::{canary, run};
use crate::world::status_event;
use crate::{Simulation, ZONE_ID};

#[test]
fn a_rollback_by_name_of_a_held_migration_reports_how_many_names_it_does_not_restore() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift("run", &planned, 0)).unwrap();
    simulation.executions.fail("run", "Held", "Drift");
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 1);
    expect![[r#"
        [
          "not requested and so not restored: 6 more names of the execution run; to restore all of its names, roll back with {\"execution\": \"run\"}"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["migrations"][0]["found"]));
}

/// Its other names would keep their traffic on the new side, and nothing would watch them.
#[test]
fn a_rollback_by_name_of_a_running_migration_restores_all_of_its_names_and_says_so() {
    let [with_rollback, with_hold] = ["rollback", "hold"].map(|reaction| {
        let simulation = Simulation::blueprint();
        let before = simulation.route53.to_cli_json();
        let mut input = canary();
        input["onFailure"] = json!(reaction);
        let planned = run(simulation.plan("run", &input)).unwrap();
        run(simulation.shift("run", &planned, 0)).unwrap();
        let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"], "reason": "errors"});
        let answer = run(simulation.roll_back(&request)).unwrap();
        assert_eq!(simulation.route53.to_cli_json(), before);
        let reports = answer["migrations"].as_array().unwrap();
        assert_eq!(reports.len(), 1, "{reports:#?}");
        assert_eq!(reports[0]["stopped"], true);
        assert_eq!(reports[0]["names"], 7);
        assert_eq!(reports[0]["reason"], "errors");
        let message = answer["message"].as_str().unwrap();
        format!("{message}\n{:#}\n", reports[0]["found"])
    });
    assert_eq!(with_rollback, with_hold);
    expect![[r#"
        restored the original weights of 7 names (execution run), 6 of them not requested: the execution was running and was stopped for this rollback, so nothing would watch them
        [
          "restored although not requested: 6 names; the execution was running and was stopped for this rollback, so nothing would watch them"
        ]
    "#]].assert_eq(&with_hold);
}

/// A held migration is watched by its alarms, and stays at its step with the names that were not requested.
#[test]
fn a_rollback_by_name_restores_the_rest_only_of_migrations_that_it_stops() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.record_sets();
    let input = |names: &[&str]| {
        let mut input = canary();
        let names = names
            .iter()
            .map(|it| format!("{it}.eks-blueprint.example.com"));
        input["names"] = names.collect();
        input
    };
    for (execution, names) in [
        ("held", ["argocd", "skiapp"]),
        ("run", ["burnham", "ecsfrontend"]),
    ] {
        let planned = run(simulation.plan(execution, &input(&names))).unwrap();
        run(simulation.shift(execution, &planned, 0)).unwrap();
    }
    simulation.executions.fail("held", "Held", "Drift");
    let names = ["argocd.*", "burnham.*"];
    let request = json!({"hostedZoneId": ZONE_ID, "names": names});
    let answer = run(simulation.roll_back(&request)).unwrap();
    expect![[r#"
        restored the original weights of 2 names (execution run), 1 of them not requested: the execution was running and was stopped for this rollback, so nothing would watch them; restored the original weights of 1 name (argocd.*, burnham.*)
    "#]].assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    let shifted: BTreeSet<_> = simulation
        .route53
        .record_sets()
        .iter()
        .filter(|it| !before.contains(it))
        .map(|it| it.name.to_string())
        .collect();
    assert!(
        shifted.iter().all(|name| name.contains("skiapp")),
        "{shifted:?}"
    );
    assert!(!shifted.is_empty());
}

/// The stopped execution has a function that is still writing.
#[test]
fn a_late_write_to_a_name_that_was_not_requested_is_rolled_back_by_the_next_pass() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift("run", &planned, 0)).unwrap();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let first = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
    let mut late = planned.clone();
    late["migration"]["names"]["relative"] = json!(["skiapp"]);
    run(simulation.shift("run", &late, 0)).unwrap();
    let later = json!({"request": request, "earlier": {
        "executions": first["executions"], "changeIds": [],
    }});
    let answer = run(simulation.roll_back(&later)).unwrap();
    assert_eq!(answer["restored"], 1);
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// An attempt stops the migration and then fails at any call. The status event of the stopped execution
/// and the next attempt restore all names, also with `onFailure: "hold"`.
#[test]
fn a_rollback_by_name_with_a_fault_at_any_call_restores_all_names_of_a_stopped_migration() {
    let at_10_percent = || {
        let simulation = Simulation::blueprint();
        let mut input = canary();
        input["onFailure"] = json!("hold");
        let planned = run(simulation.plan("run", &input)).unwrap();
        run(simulation.shift("run", &planned, 0)).unwrap();
        simulation
    };
    let before = Simulation::blueprint().route53.to_cli_json();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let calls = {
        let simulation = at_10_percent();
        let first = simulation.world.network.calls();
        run(simulation.roll_back(&request)).unwrap();
        first..simulation.world.network.calls()
    };
    for call in calls {
        for is_retried in [true, false] {
            for fault in [Fault::Throttled, Fault::Unavailable, Fault::AnswerLost] {
                let simulation = at_10_percent();
                simulation.world.network.inject_fault(call, fault);
                let failed = run(simulation.roll_back(&request)).is_err();
                if is_retried {
                    simulation.roll_back_all(&request).unwrap();
                }
                if failed && !simulation.executions.is_running("run") {
                    let event = status_event("run", "ABORTED");
                    simulation.roll_back_all(&event).unwrap();
                }
                if !simulation.executions.is_running("run") {
                    assert_eq!(simulation.route53.to_cli_json(), before, "call {call}");
                }
            }
        }
    }
}
