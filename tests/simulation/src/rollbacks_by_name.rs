//! Rollbacks of names, whichever migrations have moved them.

use std::collections::BTreeSet;

use expect_test::expect;
use fakes::{FakeSigningKeys, Fault};
use migration::Error;
use migration::dns::RecordName;
use migration::error::NotPermitted;
use migration::executions::Executions as _;
use serde_json::json;

use crate::events::{at_50_percent, original};
use crate::invariants::{canary, of_one_name, run};
use crate::later_passes::next_pass;
use crate::world::status_event;
use crate::{Simulation, ZONE_ID};

/// A migration that has held after its first step.
fn held() -> Simulation {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("run", "Held", "Drift");
    simulation
}

#[test]
fn a_rollback_by_name_of_a_held_migration_reports_how_many_names_it_does_not_restore() {
    let simulation = held();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 1);
    expect![[r#"
        [
          "not requested and so not restored: 6 more names of the execution run; to restore all of its names, roll back with {\"execution\": \"run\"}"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["migrations"][0]["found"]));
}

#[test]
fn a_rollback_by_name_of_all_names_of_a_held_migration_reports_none_that_is_left() {
    let simulation = held();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(answer["migrations"][0]["found"], json!([]));
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
        run(simulation.shift(&planned, 0)).unwrap();
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

/// Route 53 refuses its only name.
#[test]
fn a_rollback_by_name_announces_that_it_has_stopped_a_migration_although_it_restores_nothing() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &of_one_name());
    let name: RecordName = "burnham.eks-blueprint.example.com".parse().unwrap();
    simulation.route53.protect(&name);
    let request = json!({"hostedZoneId": ZONE_ID, "names": [name.as_str()]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 0);
    assert_eq!(answer["migrations"][0]["execution"], "run", "{answer:#}");
    assert_eq!(answer["migrations"][0]["stopped"], true);
}

/// Another rollback of the migration has succeeded meanwhile.
#[test]
fn a_later_pass_by_name_restores_again_what_route_53_has_lost() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &of_one_name());
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let first = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(first["restored"], 1);
    for record in first["rollbackRecords"].as_array().unwrap() {
        run(simulation
            .executions
            .record_rollback(record.as_str().unwrap()))
        .unwrap();
    }
    let lost = Fault::LostChange { is_stranded: true };
    simulation.route53.inject_fault_into("GetChange", 0, lost);
    let second = run(simulation.roll_back(&next_pass(&request, &first))).unwrap();
    assert_eq!(second["restored"], 1, "{second:#}");
}

/// The execution `held` has held with two names, and `run` is running with two others.
fn held_and_running() -> Simulation {
    let simulation = Simulation::blueprint();
    for (execution, names) in [
        ("held", ["argocd", "skiapp"]),
        ("run", ["burnham", "ecsfrontend"]),
    ] {
        let mut input = canary();
        let names = names.map(|it| format!("{it}.eks-blueprint.example.com"));
        input["names"] = json!(names);
        let planned = run(simulation.plan(execution, &input)).unwrap();
        run(simulation.shift(&planned, 0)).unwrap();
    }
    simulation.executions.fail("held", "Held", "Drift");
    simulation
}

/// A later pass restores only names of the migrations that the first one has found.
#[test]
fn a_rollback_by_name_with_a_fault_at_any_call_restores_all_migrations_of_the_names() {
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let calls = {
        let simulation = held_and_running();
        let first = simulation.world.network.calls();
        simulation.roll_back_all(&request).unwrap();
        assert_eq!(simulation.route53.to_cli_json(), original());
        first..simulation.world.network.calls()
    };
    for call in calls {
        let simulation = held_and_running();
        let network = &simulation.world.network;
        network.inject_fault(call, Fault::Throttled);
        simulation.roll_back_all(&request).unwrap();
        assert_eq!(simulation.route53.to_cli_json(), original(), "call {call}");
    }
}

#[test]
fn a_rollback_by_name_has_one_report_of_each_migration() {
    let simulation = held_and_running();
    simulation.executions.fail("run", "Held", "Drift");
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["executions"], json!(["held", "run"]));
    let reports = answer["migrations"].as_array().unwrap();
    let found: Vec<_> = reports
        .iter()
        .map(|it| {
            (
                it["execution"].as_str().unwrap(),
                it["names"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("held", 2), ("run", 2)]);
}

/// A held migration is watched by its alarms, and stays at its step with the names that were not requested.
#[test]
fn a_rollback_by_name_restores_the_rest_only_of_migrations_that_it_stops() {
    let simulation = held_and_running();
    let before = Simulation::blueprint().route53.record_sets();
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
    run(simulation.shift(&planned, 0)).unwrap();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let first = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
    let mut late = planned.clone();
    late["migration"]["names"]["relative"] = json!(["skiapp"]);
    run(simulation.shift(&late, 0)).unwrap();
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
        run(simulation.shift(&planned, 0)).unwrap();
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

/// The key of the stack that wrote the journals is lost. Without a person's word, anybody could have written
/// them.
#[test]
fn a_rollback_trusts_foreign_journals_only_if_the_request_says_so_and_names_them() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    *simulation.world.signing_keys.borrow_mut() = FakeSigningKeys::of_stack(1);
    let shifted = simulation.route53.to_cli_json();

    let names = json!([
        "burnham.eks-blueprint.example.com",
        "legacy.eks-blueprint.example.com"
    ]);
    let mut request = json!({"hostedZoneId": ZONE_ID, "names": names});
    let answer = run(simulation.roll_back(&request)).unwrap();
    expect![[r#"
        [
          "burnham.eks-blueprint.example.com is not restored: the TXT record _cutover.burnham.eks-blueprint.example.com is not trusted as a journal: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; if no migration wrote it, delete it, otherwise restore the value that the migration wrote (infra/README.md, \"A journal was deleted or edited\"); it says that the original weights (eks-blueprint-blue/eks-blueprint-green) were 100/0: if they were, and the key of the stack that wrote it is lost, roll back with hostedZoneId, names and \"trustForeignJournals\": true, which writes them",
          "legacy.eks-blueprint.example.com is not restored: the TXT record _cutover.legacy.eks-blueprint.example.com is not trusted as a journal: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; if no migration wrote it, delete it, otherwise restore the value that the migration wrote (infra/README.md, \"A journal was deleted or edited\"); it says that the original weights (eks-blueprint-blue/eks-blueprint-green) were 255/0: if they were, and the key of the stack that wrote it is lost, roll back with hostedZoneId, names and \"trustForeignJournals\": true, which writes them"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["problems"]));
    assert_eq!(answer["restored"], 0);
    assert_eq!(simulation.route53.to_cli_json(), shifted);

    request["trustForeignJournals"] = json!(true);
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 2);
    assert_eq!(answer["problems"], json!([]));
    // It was not stopped: only this stack's own journals say which execution moved a name.
    assert!(simulation.executions.is_running("run"));

    for refused in [
        json!({"execution": "run", "trustForeignJournals": true}),
        json!({"hostedZoneId": ZONE_ID, "names": ["*"], "trustForeignJournals": true}),
        json!({"hostedZoneId": ZONE_ID, "names": [], "trustForeignJournals": true}),
    ] {
        let error = run(simulation.roll_back(&refused)).unwrap_err();
        assert_eq!(error.name(), "InvalidInput", "{error}");
        assert!(
            error.to_string().contains("trustForeignJournals"),
            "{error}"
        );
    }
    let rest = json!([
        "\\052.apps.eks-blueprint.example.com",
        "argocd.eks-blueprint.example.com",
        "ecsfrontend.eks-blueprint.example.com",
        "shared.eks-blueprint.example.com",
        "skiapp.eks-blueprint.example.com",
    ]);
    request["names"] = rest;
    assert_eq!(run(simulation.roll_back(&request)).unwrap()["restored"], 5);
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// A held migration can be older than what Step Functions remembers.
#[test]
fn a_migration_whose_execution_has_expired_is_rolled_back_by_the_name_of_its_execution() {
    let simulation = held();
    simulation.executions.expire("run");
    let mut request = json!({"execution": "run"});
    let error = run(simulation.roll_back(&request)).unwrap_err();
    assert_eq!(error.name(), "ExecutionNotFound", "{error}");
    request["hostedZoneId"] = json!(ZONE_ID);
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(answer["executions"], json!(["run"]));
    assert_eq!(simulation.route53.to_cli_json(), original());
}

/// KMS does not answer, or the permission is missing.
#[test]
fn nothing_is_written_without_the_key() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let shifted = simulation.route53.to_cli_json();
    let error = Error::from(NotPermitted::Action {
        action: "kms:GenerateMac".to_owned(),
        answer: "AccessDenied".to_owned(),
    });
    *simulation.world.signing_keys.borrow_mut() = FakeSigningKeys::failing(error.clone());
    let request = json!({"execution": "run"});
    let results = [
        run(simulation.plan("next", &canary())),
        run(simulation.shift(&planned, 1)),
        run(simulation.confirm(&planned, 10, &json!([]))),
        run(simulation.complete(&planned)),
        run(simulation.plan_release("run")),
        run(simulation.roll_back(&request)),
    ];
    for result in results {
        assert_eq!(result, Err(error.clone()));
    }
    assert_eq!(simulation.route53.to_cli_json(), shifted);
}
