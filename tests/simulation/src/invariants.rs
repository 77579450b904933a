//! The invariants of migrations and rollbacks, on a zone as the EKS Blueprints pattern sets it up.

use std::collections::BTreeMap;

use expect_test::expect;
use fakes::{CHANGE, Fault, LIST};
use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType, Routing, Zone};
use migration::journal::{Journal, Journals, SigningKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::later_passes::next_pass;
use crate::oracle::registered;
use crate::zones::{BLUE, GREEN, soa};
use crate::{Simulation, ZONE_ID, limited, zones};

pub(crate) fn canary() -> Value {
    json!({"hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 50, 100]})
}

pub(crate) fn of_one_name() -> Value {
    let mut input = canary();
    input["names"] = json!(["burnham.eks-blueprint.example.com"]);
    input
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_whole_migration_keeps_the_invariants_and_changes_only_weights() {
    let simulation = Simulation::blueprint();
    simulation.migrate("run", &canary()).unwrap();
    simulation.expect_invariants();
    let weights: Vec<_> = simulation
        .route53
        .record_sets()
        .iter()
        .filter(|record_set| record_set.record_type.moves())
        .filter_map(|record_set| {
            let (identifier, weight) = record_set.weighted()?;
            let (name, record_type) = (&record_set.name, &record_set.record_type);
            Some(format!("{name} {record_type} {identifier} {weight}\n"))
        })
        .collect();
    expect![[r#"
        \052.apps.eks-blueprint.example.com A eks-blueprint-blue 0
        \052.apps.eks-blueprint.example.com A eks-blueprint-green 100
        \052.apps.eks-blueprint.example.com AAAA eks-blueprint-blue 0
        \052.apps.eks-blueprint.example.com AAAA eks-blueprint-green 100
        argocd.eks-blueprint.example.com A eks-blueprint-blue 0
        argocd.eks-blueprint.example.com A eks-blueprint-green 100
        argocd.eks-blueprint.example.com AAAA eks-blueprint-blue 0
        argocd.eks-blueprint.example.com AAAA eks-blueprint-green 100
        burnham.eks-blueprint.example.com A eks-blueprint-blue 0
        burnham.eks-blueprint.example.com A eks-blueprint-green 100
        burnham.eks-blueprint.example.com AAAA eks-blueprint-blue 0
        burnham.eks-blueprint.example.com AAAA eks-blueprint-green 100
        ecsfrontend.eks-blueprint.example.com A eks-blueprint-blue 0
        ecsfrontend.eks-blueprint.example.com A eks-blueprint-green 100
        ecsfrontend.eks-blueprint.example.com AAAA eks-blueprint-blue 0
        ecsfrontend.eks-blueprint.example.com AAAA eks-blueprint-green 100
        legacy.eks-blueprint.example.com CNAME eks-blueprint-blue 0
        legacy.eks-blueprint.example.com CNAME eks-blueprint-green 255
        shared.eks-blueprint.example.com A eks-blueprint-blue 0
        shared.eks-blueprint.example.com A eks-blueprint-green 90
        shared.eks-blueprint.example.com A eks-dr 10
        skiapp.eks-blueprint.example.com A eks-blueprint-blue 0
        skiapp.eks-blueprint.example.com A eks-blueprint-green 100
        skiapp.eks-blueprint.example.com AAAA eks-blueprint-blue 0
        skiapp.eks-blueprint.example.com AAAA eks-blueprint-green 100
    "#]]
    .assert_eq(&weights.concat());
}

#[test]
fn a_step_adds_one_journal_with_original_and_written_weights() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let journals: Vec<_> = simulation
        .route53
        .record_sets()
        .iter()
        .filter(|record_set| record_set.name.journaled().is_some())
        .flat_map(|record_set| record_set.values().to_vec())
        .collect();
    expect![[r#"
        "cutover=2" "execution=2f51e9a9fba6f23a/run" "from=eks-blueprint-blue" "to=eks-blueprint-green" "sequence=1" "percent=10" "original.A=100/0" "original.AAAA=100/0" "written.A=90/10" "written.AAAA=90/10" "owner.from.AAAA+CNAME=eks-blueprint-blue" "owner.to.A+AAAA=eks-blueprint-green" "signature=9e43bfb5dbd715608abc19bf15340333"
    "#]].assert_eq(&format!("{}\n", journals.join("\n")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a whole plan as an expected text")]
fn the_plan_lists_steps_weights_duration_and_owners() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    expect![[r#"
        {
          "summary": [
            "7 names of eks-blueprint.example.com from eks-blueprint-blue to eks-blueprint-green",
            "24 record sets at 0 percent now; 3 steps, about 24 min if every check passes",
            "",
            "percent  weights                          write  wait   bake   approval",
            "10       81/9 x 1, 90/10 x 11             0 s    2 min  5 min  no",
            "50       45/45 x 1, 50/50 x 11            0 s    2 min  5 min  no",
            "100      0/100 x 10, 0/255 x 1, 0/90 x 1  0 s    2 min  5 min  no",
            "",
            "name                                   types    weights  outcome",
            "\\052.apps.eks-blueprint.example.com    A, AAAA  100/0    moves",
            "argocd.eks-blueprint.example.com       A, AAAA  100/0    moves",
            "burnham.eks-blueprint.example.com      A, AAAA  100/0    moves",
            "ecsfrontend.eks-blueprint.example.com  A, AAAA  100/0    moves",
            "legacy.eks-blueprint.example.com       CNAME    255/0    moves",
            "shared.eks-blueprint.example.com       A        90/0     moves",
            "skiapp.eks-blueprint.example.com       A, AAAA  100/0    moves",
            "_9f2c.eks-blueprint.example.com        CNAME             stays: simple routing",
            "plain.eks-blueprint.example.com        A                 stays: simple routing",
            "",
            "A rollback writes all original weights in one call; resolvers follow within 2 min",
            "5 names leased from ExternalDNS until the release",
            "Warning txt-names-differ: the registry TXT records of the two sides are named differently: \\052.apps.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A and AAAA of eks-blueprint-green) (and 4 more); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations"
          ],
          "currentPercent": 0,
          "steps": [
            {
              "percent": 10,
              "weights": {
                "81/9": 1,
                "90/10": 11
              },
              "writeSeconds": 0,
              "waitSeconds": 120,
              "bakeSeconds": 300
            },
            {
              "percent": 50,
              "weights": {
                "45/45": 1,
                "50/50": 11
              },
              "writeSeconds": 0,
              "waitSeconds": 120,
              "bakeSeconds": 300
            },
            {
              "percent": 100,
              "weights": {
                "0/100": 10,
                "0/255": 1,
                "0/90": 1
              },
              "writeSeconds": 0,
              "waitSeconds": 120,
              "bakeSeconds": 300
            }
          ],
          "names": 7,
          "nameTable": {
            "rows": [
              {
                "name": "\\052.apps.eks-blueprint.example.com",
                "types": "A, AAAA",
                "weights": "100/0",
                "outcome": "moves"
              },
              {
                "name": "argocd.eks-blueprint.example.com",
                "types": "A, AAAA",
                "weights": "100/0",
                "outcome": "moves"
              },
              {
                "name": "burnham.eks-blueprint.example.com",
                "types": "A, AAAA",
                "weights": "100/0",
                "outcome": "moves"
              },
              {
                "name": "ecsfrontend.eks-blueprint.example.com",
                "types": "A, AAAA",
                "weights": "100/0",
                "outcome": "moves"
              },
              {
                "name": "legacy.eks-blueprint.example.com",
                "types": "CNAME",
                "weights": "255/0",
                "outcome": "moves"
              },
              {
                "name": "shared.eks-blueprint.example.com",
                "types": "A",
                "weights": "90/0",
                "outcome": "moves"
              },
              {
                "name": "skiapp.eks-blueprint.example.com",
                "types": "A, AAAA",
                "weights": "100/0",
                "outcome": "moves"
              },
              {
                "name": "_9f2c.eks-blueprint.example.com",
                "types": "CNAME",
                "outcome": "stays: simple routing"
              },
              {
                "name": "plain.eks-blueprint.example.com",
                "types": "A",
                "outcome": "stays: simple routing"
              }
            ],
            "more": {}
          },
          "recordSets": 24,
          "ttlSeconds": 120,
          "expectedDurationSeconds": 1440,
          "rollbackSeconds": 0,
          "route53Calls": 209,
          "leased": 5,
          "externalDnsOwners": {
            "eks-blueprint-blue": {
              "A": {
                "eks-blueprint-blue": 5
              },
              "AAAA": {
                "eks-blueprint-blue": 5
              }
            },
            "eks-blueprint-green": {
              "A": {
                "eks-blueprint-green": 5
              },
              "AAAA": {
                "eks-blueprint-green": 5
              }
            }
          },
          "warnings": [
            {
              "code": "txt-names-differ",
              "message": "the registry TXT records of the two sides are named differently: \\052.apps.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A and AAAA of eks-blueprint-green) (and 4 more); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations"
            }
          ],
          "failOnWarnings": []
        }
    "#]].assert_eq(&format!("{:#}\n", planned["plan"]));
    assert!(simulation.route53.batches().is_empty());
}

#[test]
fn a_step_that_is_reached_is_not_written_again() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let after = simulation.route53.to_cli_json();
    let batches = simulation.route53.batches().len();
    let again = run(simulation.shift(&planned, 0)).unwrap();
    assert_eq!(again["changed"], 0);
    assert_eq!(again["changeIds"], json!([]));
    assert_eq!(simulation.route53.batches().len(), batches);
    assert_eq!(simulation.route53.to_cli_json(), after);
}

#[test]
fn an_earlier_step_does_not_lower_the_percent() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    let at_50 = simulation.route53.to_cli_json();
    run(simulation.shift(&planned, 0)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// A step does not lower the share of `to` where it is higher than the step.
#[test]
fn a_pair_above_the_step_keeps_its_weights_and_is_restored() {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(|record_sets| {
        reweigh(record_sets, "skiapp.eks-blueprint.example.com", BLUE, 70);
        reweigh(record_sets, "skiapp.eks-blueprint.example.com", GREEN, 30);
    });
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let shifted = run(simulation.shift(&planned, 0)).unwrap();
    expect![[r#"
        {"70/30":2,"81/9":1,"90/10":9}
    "#]]
    .assert_eq(&format!("{}\n", shifted["weights"]));
    simulation.expect_invariants();
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// Changes journals and signs them with `key`.
pub(crate) fn write_journals(
    record_sets: &mut [RecordSet],
    is_changed: impl Fn(&RecordSet) -> bool,
    key: &SigningKey,
    change: &impl Fn(&mut Journal),
) {
    let zone = Zone {
        id: crate::ZONE_ID.parse().unwrap(),
        name: "example.com".parse().unwrap(),
        record_sets: BTreeMap::new(),
    };
    let journals = Journals::new(&zone, key);
    for record_set in record_sets.iter_mut().filter(|it| is_changed(it)) {
        let name = record_set.name.journaled().unwrap();
        let mut journal = Journal::parse_unverified(record_set).unwrap();
        change(&mut journal);
        *record_set = journals.record_set(&name, &journal);
    }
}

/// Replaces text in the values of some record sets, as another writer.
pub(crate) fn replace_in_values(
    record_sets: &mut [RecordSet],
    is_edited: impl Fn(&RecordSet) -> bool,
    from: &str,
    to: &str,
) {
    for record_set in record_sets
        .iter_mut()
        .filter(|record_set| is_edited(record_set))
    {
        if let RecordData::Values { values, .. } = &mut record_set.data {
            for value in values {
                *value = value.replace(from, to);
            }
        }
    }
}

pub(crate) fn reweigh(record_sets: &mut [RecordSet], name: &str, side: &str, new_weight: u8) {
    for record_set in record_sets {
        let belongs_to_name = record_set.name.as_str() == name
            || registered(record_set).is_some_and(|registered| registered.as_str() == name);
        if belongs_to_name
            && let Routing::Weighted {
                set_identifier,
                weight,
            } = &mut record_set.routing
            && set_identifier.as_str() == side
        {
            *weight = new_weight;
        }
    }
}

#[test]
fn a_rollback_restores_the_original_weights_not_100_and_0() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut input = canary();
    input["names"] = json!([
        "legacy.eks-blueprint.example.com",
        "shared.eks-blueprint.example.com"
    ]);
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn a_rollback_keeps_a_load_balancer_that_was_replaced() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if let RecordData::Alias { dns_name, .. } = &mut record_set.data
                && dns_name.contains("burnham-green")
            {
                *dns_name = "dualstack.k8s-burnham-new-1.eu-west-3.elb.amazonaws.com.".into();
            }
        }
    });
    // Only weights are compared, so a new alias target is no drift.
    run(simulation.confirm(&planned, 0, &json!([]))).unwrap();
    simulation.roll_back_whole("run").unwrap();
    let zone = simulation.route53.to_cli_json();
    assert!(zone.contains("k8s-burnham-new-1"));
    assert!(!zone.contains("burnham-green0"));
    assert!(!zone.contains("_cutover"));
}

#[test]
fn a_rollback_never_leaves_all_traffic_on_a_side_with_weight_0() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            !(record_set.name.as_str() == "burnham.eks-blueprint.example.com"
                && record_set
                    .weighted()
                    .is_some_and(|(identifier, _)| identifier.as_str() == BLUE))
        });
    });
    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    expect![[r#"
        [
          "the A records of burnham.eks-blueprint.example.com can't be restored: that of eks-blueprint-blue is gone, and the original weight of eks-blueprint-green is 0, with which it would get all traffic; create the record of eks-blueprint-blue again, then roll back again"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["problems"]));
    assert_eq!(answer["restored"], 6);
    // All others are restored.
    assert_eq!(
        simulation.route53.to_cli_json().matches("_cutover").count(),
        1
    );
}

/// The migration had reached its last step, so the only record that is left has weight 0.
/// With weights of 0 only, Route 53 answers with all records. The other types of the name have traffic.
#[test]
fn a_rollback_leaves_a_name_of_which_the_only_record_with_traffic_was_deleted() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    let burnham = "burnham.eks-blueprint.example.com";
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|it| {
            let side = it.weighted().map(|(side, _)| side.as_str());
            (it.name.as_str(), &it.record_type, side) != (burnham, &RecordType::A, Some(BLUE))
        });
    });
    let of_burnham = |simulation: &Simulation| {
        let mut record_sets = simulation.route53.record_sets();
        record_sets.retain(|it| it.name.as_str() == burnham);
        record_sets
    };
    let before = of_burnham(&simulation);
    let failure = simulation.roll_back_whole("run").unwrap_err();
    assert_eq!(failure.error, "NotRestored");
    expect![[r#"
        restored the original weights of 6 names; some could not be restored: the A records of burnham.eks-blueprint.example.com can't be restored: that of eks-blueprint-blue is gone, and the original weight of eks-blueprint-green is 0, with which it would get all traffic; create the record of eks-blueprint-blue again, then roll back again
    "#]].assert_eq(&format!("{}\n", failure.cause));
    assert_eq!(of_burnham(&simulation), before);
}

#[test]
fn a_rollback_restores_the_record_of_the_old_side_although_that_of_the_new_side_is_gone() {
    let simulation = Simulation::new(&zones::unregistered(1));
    let planned = run(simulation.plan("run", &limited::input(1))).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    let is_on =
        |it: &RecordSet, side: &str| it.weighted().is_some_and(|(id, _)| id.as_str() == side);
    simulation
        .route53
        .edit(|record_sets| record_sets.retain(|it| !is_on(it, GREEN)));
    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_eq!(answer["problems"], json!([]));
    let record_sets = simulation.route53.record_sets();
    let left = record_sets.iter().filter(|it| is_on(it, BLUE));
    let weights: Vec<_> = left.filter_map(|it| Some(it.weighted()?.1)).collect();
    assert_eq!(weights, [100, 100]);
}

#[test]
fn a_rollback_restores_weights_with_which_both_sides_had_traffic() {
    let simulation = Simulation::new(&zones::registered(1));
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let side = record_set.weighted().map(|(side, _)| side.as_str());
            let weight = if side == Some(BLUE) { 70 } else { 30 };
            *record_set = record_set.with_weight(weight);
        }
    });
    let before = simulation.route53.to_cli_json();
    let mut input = limited::input(1);
    input["steps"] = json!([50, 100]);
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn a_rollback_without_a_journal_succeeds_and_says_so() {
    let simulation = Simulation::blueprint();
    let answer = run(simulation.roll_back(&json!({"hostedZoneId": ZONE_ID, "execution": "other"})));
    expect![[r#"
        {
          "done": false,
          "restored": 0,
          "message": "nothing to roll back: the zone eks-blueprint.example.com has no journal of execution other",
          "migrations": [],
          "problems": [],
          "executions": [
            "other"
          ],
          "rollbackRecords": [],
          "changeIds": [],
          "waitSeconds": 150,
          "unfinished": null
        }
    "#]].assert_eq(&format!("{:#}\n", answer.unwrap()));
}

#[test]
fn a_rollback_by_name_stops_the_execution_that_moves_it() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["burn*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["migrations"][0]["stopped"], true);
    assert!(!simulation.executions.is_running("run"));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn a_rollback_does_not_stop_the_execution_that_waits_for_it() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let arn = "arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:run";
    let request = json!({"execution": arn, "requestedBy": arn});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 1);
    assert!(simulation.executions.is_running("run"));
}

#[track_caller]
fn check_rollback_request(request: &Value, expect: &expect_test::Expect) {
    let simulation = Simulation::blueprint();
    let error = run(simulation.roll_back(request)).unwrap_err();
    expect.assert_eq(&format!("{}: {error}\n", error.name()));
}

#[test]
fn an_invalid_rollback_request_is_refused() {
    check_rollback_request(
        &json!({}),
        &expect![[r#"
            InvalidInput: input: expected `execution`, `alarm`, or `hostedZoneId` and `names`, found none of them
        "#]],
    );
    check_rollback_request(
        &json!({"Comment": "Insert your JSON here"}),
        &expect![[r#"
            InvalidInput: Comment: unknown field `Comment`, expected one of `execution`, `names`, `alarm`, `hostedZoneId`, `requestedBy`, `adopted`, `trustForeignJournals`, `requestedAt`, `reason`
        "#]],
    );
    check_rollback_request(
        &json!({"names": ["a.example.com"]}),
        &expect![[r#"
            InvalidInput: hostedZoneId: expected the id of the zone together with `names`, found none
        "#]],
    );
    check_rollback_request(
        &json!({"execution": "unknown"}),
        &expect![[r#"
        ExecutionNotFound: execution: the migration state machine has no execution "unknown"; give the name as the console lists it, or add `hostedZoneId` if it ended more than 90 days ago
    "#]],
    );
    check_rollback_request(
        &json!({"execution": "run", "names": ["a"], "hostedZoneId": ZONE_ID}),
        &expect![[r#"
            InvalidInput: input: expected one of `execution`, `alarm` and `names`, found more than one
        "#]],
    );
}

#[test]
fn a_second_migration_of_a_locked_name_is_busy() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &canary())).unwrap();
    // This one is planned before the name is locked, so only its shift can be refused. It runs already, so
    // that `onDrift` decides.
    let early = run(simulation.plan("early", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let after = simulation.route53.to_cli_json();
    let error = run(simulation.plan("second", &of_one_name())).unwrap_err();
    expect![[r#"
        Busy: burnham.eks-blueprint.example.com has the journal of the execution first (eks-blueprint-blue to eks-blueprint-green, at 10 percent), which is running, or is unknown to this stack; wait until it has ended, or roll it back: start the rollback state machine with {"execution": "first"}, and add "hostedZoneId" if it belongs to another stack; if it completed more than 90 days ago, release it with the same input
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(
        run(simulation.shift(&early, 0)).unwrap_err().name(),
        "Drift"
    );
    assert_eq!(simulation.route53.to_cli_json(), after);
}

#[test]
fn a_held_migration_is_adopted_and_continued() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("first", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    simulation.executions.abort("first");

    let planned = run(simulation.plan("second", &canary())).unwrap();
    assert_eq!(planned["plan"]["currentPercent"], 50);
    assert_eq!(planned["plan"]["steps"].as_array().unwrap().len(), 1);
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.expect_invariants();
    // The rollback restores the weights from before the first execution.
    simulation.roll_back_whole("second").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

#[test]
fn a_held_migration_in_the_other_direction_is_busy() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("first");
    let mut back = of_one_name();
    back["from"] = json!(GREEN);
    back["to"] = json!(BLUE);
    let error = run(simulation.plan("back", &back)).unwrap_err();
    expect![[r#"
        Busy: burnham.eks-blueprint.example.com has the journal of the execution first, which ended at 10 percent (eks-blueprint-blue to eks-blueprint-green); finish it with an execution from eks-blueprint-blue to eks-blueprint-green, or roll it back: start the rollback state machine with {"execution": "first"}
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
}

/// Its journal is in the way first, although the name has no record of the cluster either.
#[test]
fn a_held_migration_to_another_cluster_is_busy() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("first");
    for side in ["from", "to"] {
        let mut input = of_one_name();
        input[side] = json!("eks-other");
        let error = run(simulation.plan("second", &input)).unwrap_err();
        assert_eq!(error.name(), "Busy", "{side}: {error}");
    }
}

/// A migration that holds at 100 percent is completed only after health checks at that step.
#[test]
fn a_migration_held_at_the_last_step_repeats_that_step() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
    }
    simulation.executions.abort("first");
    let planned = run(simulation.plan("second", &of_one_name())).unwrap();
    assert_eq!(
        planned["migration"]["steps"],
        json!([{"percent": 100, "bakeSeconds": 300}])
    );
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.confirm(&planned, 0, &json!([]))).unwrap();
    let completed = run(simulation.complete(&planned)).unwrap();
    assert_eq!(
        (&completed["leased"], &completed["journals"]),
        (&json!(1), &json!(0))
    );
}

/// An execution that adopted a held migration and fails before its first step rolls the held one back.
#[test]
fn a_rollback_restores_the_names_of_the_adopted_migration() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("first", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("first");
    let planned = run(simulation.plan("second", &canary())).unwrap();
    let adopted = &planned["migration"]["adopted"];
    assert_eq!(*adopted, json!([simulation.identity("first").to_string()]));
    let request = json!({"execution": "second", "requestedBy": "second", "adopted": adopted});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// The names of the held migration that the plan of the new one does not have remain.
#[test]
fn a_rollback_leaves_names_that_its_migration_did_not_adopt() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("first");
    let planned = run(simulation.plan("second", &of_one_name())).unwrap();
    let adopted = &planned["migration"]["adopted"];
    assert_eq!(*adopted, json!([simulation.identity("first").to_string()]));
    let request = json!({"execution": "second", "requestedBy": "second", "adopted": adopted});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 1);
}

/// The second execution continued with one name, and holds it. Its journal is not the first one's.
#[test]
fn a_rollback_leaves_names_that_a_later_execution_has_adopted() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("first", "Held", "Drift");
    let planned = run(simulation.plan("second", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("second", "Held", "Drift");
    let answer = run(simulation.roll_back(&json!({"execution": "first"}))).unwrap();
    assert_eq!(answer["restored"], 6);
    let answer = run(simulation.roll_back(&json!({"execution": "second"}))).unwrap();
    assert_eq!(answer["restored"], 1);
}

/// The plan skipped the steps that were reached. A rollback since then must not make the first shift
/// jump over them.
#[test]
fn a_first_shift_below_the_planned_start_percent_is_drift() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    simulation.executions.abort("first");
    let planned = run(simulation.plan("second", &of_one_name())).unwrap();
    assert_eq!(planned["migration"]["startPercent"], 50);
    simulation.roll_back_whole("first").unwrap();
    let restored = simulation.route53.to_cli_json();
    let error = run(simulation.shift(&planned, 0)).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    assert_eq!(simulation.route53.to_cli_json(), restored);
}

/// A rollback by names is still confirming its changes when another migration of a name starts.
#[test]
fn a_later_pass_does_not_touch_migrations_that_started_since() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let mut request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["executions"], json!(["first"]));

    let planned = run(simulation.plan("second", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    request = next_pass(&request, &answer);
    let answer = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(answer["restored"], 0);
    assert!(simulation.executions.is_running("second"));
}

#[test]
fn a_journal_of_an_unknown_execution_is_not_adopted() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let other_stack = Simulation::blueprint();
    other_stack
        .route53
        .edit(|record_sets| *record_sets = simulation.route53.record_sets());
    let error = run(other_stack.plan("second", &of_one_name())).unwrap_err();
    assert_eq!(error.name(), "Busy");
}

#[test]
fn an_unreadable_journal_is_reported_by_the_rollback() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str() == "_cutover.burnham.eks-blueprint.example.com"
                && let RecordData::Values { values, .. } = &mut record_set.data
            {
                values.push("\"more\"".into());
            }
        }
    });
    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_eq!(answer["restored"], 6);
    expect![[r#"
        [
          "burnham.eks-blueprint.example.com is not restored: the TXT record _cutover.burnham.eks-blueprint.example.com is not trusted as a journal: expected one value, found 2; if no migration wrote it, delete it, otherwise restore the value that the migration wrote (infra/README.md, \"A journal was deleted or edited\")"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["problems"]));
}

#[test]
fn drift_is_found_and_not_overwritten() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation
        .route53
        .edit(|record_sets| reweigh(record_sets, "burnham.eks-blueprint.example.com", BLUE, 100));
    let edited = simulation.route53.to_cli_json();
    for error in [
        run(simulation.shift(&planned, 1)).unwrap_err(),
        run(simulation.confirm(&planned, 0, &json!([]))).unwrap_err(),
        run(simulation.complete(&planned)).unwrap_err(),
    ] {
        assert_eq!(error.name(), "Drift");
    }
    let error = run(simulation.shift(&planned, 1)).unwrap_err();
    expect![[r#"
        another writer changed burnham.eks-blueprint.example.com: its weights (eks-blueprint-blue/eks-blueprint-green) are A 100/10 instead of 90/10, AAAA 100/10 instead of 90/10, which execution run last wrote; find out who wrote them (ExternalDNS, Terraform, a person); then put the weights back and start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&format!("{error}\n"));
    assert_eq!(simulation.route53.to_cli_json(), edited);

    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    expect![[r#"
        [
          "burnham.eks-blueprint.example.com: the A record of eks-blueprint-blue had weight 100 instead of 90",
          "burnham.eks-blueprint.example.com: the AAAA record of eks-blueprint-blue had weight 100 instead of 90"
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["migrations"][0]["found"]));
}

#[test]
fn a_deleted_journal_is_drift() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| record_set.name.journaled().is_none()));
    for error in [
        run(simulation.shift(&planned, 1)).unwrap_err(),
        run(simulation.confirm(&planned, 0, &json!([]))).unwrap_err(),
    ] {
        assert_eq!(error.name(), "Drift");
    }
}

/// The other journals remain, so that a rollback can still restore their names.
#[test]
fn a_completion_with_one_deleted_journal_is_drift_and_keeps_the_others() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
    }
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| !record_set.name.as_str().starts_with("_cutover.skiapp"));
    });
    let error = run(simulation.complete(&planned)).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    assert_eq!(
        simulation.route53.to_cli_json().matches("_cutover").count(),
        6
    );
}

/// An edit between the read and the write of a shift makes its whole batch fail, and remains.
#[test]
fn every_write_is_a_compare_and_swap() {
    for step in 0..3 {
        let simulation = Simulation::blueprint();
        let planned = run(simulation.plan("run", &of_one_name())).unwrap();
        for earlier in 0..step {
            run(simulation.shift(&planned, earlier)).unwrap();
        }
        simulation.route53.inject_fault_into(
            CHANGE,
            0,
            Fault::OtherWriter(Box::new(|record_sets| {
                reweigh(record_sets, "burnham.eks-blueprint.example.com", BLUE, 77);
            })),
        );
        let batches = simulation.route53.batches().len();
        let error = run(simulation.shift(&planned, step)).unwrap_err();
        assert_eq!(error.name(), "Conflict", "{error}");
        assert_eq!(simulation.route53.batches().len(), batches);
        assert!(simulation.route53.to_cli_json().contains("\"Weight\": 77"));
    }
}

/// Another migration is rolled back between the read of a name and the read of its journal. The weights
/// that were read are those of that migration, and must not become the original weights.
#[test]
fn a_first_shift_conflicts_with_a_write_since_its_read() {
    // Route 53 lists this name before the name of its journal.
    let simulation = Simulation::new(&large_zone(1_000).replace("svc-", "0-svc-"));
    let before = simulation.route53.record_sets();
    let mut input = canary();
    input["names"] = json!(["0-svc-007.example.com"]);
    let early = run(simulation.plan("early", &input)).unwrap();
    let planned = run(simulation.plan("first", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();

    let rolled_back = before.clone();
    // The first call lists the name, the second one its journal.
    simulation.route53.inject_fault_into(
        LIST,
        1,
        Fault::OtherWriter(Box::new(move |record_sets| *record_sets = rolled_back)),
    );
    let error = run(simulation.shift(&early, 0)).unwrap_err();
    assert_eq!(error.name(), "Conflict", "{error}");
    assert_eq!(simulation.route53.record_sets(), before);
}

/// With the answer the change id is lost, so the shift adds the usual time of propagation to its wait.
#[test]
fn a_lost_answer_is_recognised_and_its_propagation_waited_out() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let undisturbed = run(simulation.shift(&planned, 0)).unwrap();

    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    simulation
        .route53
        .inject_fault_into(CHANGE, 0, Fault::AnswerLost);
    let shifted = run(simulation.shift(&planned, 0)).unwrap();
    assert_eq!(shifted["changeIds"], json!([]));
    let wait = |answer: &Value| answer["waitSeconds"].as_u64().unwrap();
    assert_eq!(wait(&shifted), wait(&undisturbed) + 60);
    assert_eq!(simulation.route53.batches().len(), 1);
}

#[test]
fn hundreds_of_names_are_written_in_batches_within_the_limits() {
    let simulation = Simulation::new(&large_zone(400));
    simulation.migrate("run", &canary()).unwrap();
    simulation.expect_invariants();
    assert!(simulation.route53.batches().len() > 9);
}

/// One name is read with its journal and the three possible names of its registry TXT records: five
/// calls instead of the seven pages of the zone.
#[test]
fn a_few_names_of_a_large_zone_are_read_one_by_one() {
    let simulation = Simulation::new(&large_zone(1_000));
    let mut input = canary();
    input["names"] = json!(["svc-007.example.com"]);
    simulation.migrate("run", &input).unwrap();
    simulation.expect_invariants();
    let planned = run(simulation.plan("other", &input)).unwrap();
    let pages = || simulation.world.network.calls_of(LIST);
    let before = pages();
    run(simulation.roll_back(&json!({"hostedZoneId": ZONE_ID, "execution": "other"}))).unwrap();
    assert_eq!(pages() - before, 7);
    let before = pages();
    run(simulation.complete(&planned)).unwrap();
    assert_eq!(pages() - before, 5);
}

#[test]
fn an_alias_within_the_zone_waits_out_the_ttl_of_its_target() {
    let mut record_sets = vec![
        soa(),
        json!({"Name": "target.example.com.", "Type": "A", "TTL": 900,
            "ResourceRecords": [{"Value": "192.0.2.1"}]}),
    ];
    for (side, weight) in [(BLUE, 100), (GREEN, 0)] {
        record_sets.push(json!({
            "Name": "app.example.com.", "Type": "A", "SetIdentifier": side, "Weight": weight,
            "AliasTarget": {"HostedZoneId": ZONE_ID, "DNSName": "target.example.com.",
                "EvaluateTargetHealth": false},
        }));
    }
    let simulation = Simulation::new(&json!({ "ResourceRecordSets": record_sets }).to_string());
    let mut input = canary();
    input["ttlFactor"] = json!(1.5);
    let planned = run(simulation.plan("run", &input)).unwrap();
    assert_eq!(planned["plan"]["ttlSeconds"], 900);
    let shifted = run(simulation.shift(&planned, 0)).unwrap();
    assert_eq!(shifted["waitSeconds"], 1_350);
}

/// A zone with so many names, each with one A record per side.
pub(crate) fn large_zone(names: usize) -> String {
    let mut record_sets = vec![soa()];
    for number in 0..names {
        for (side, weight) in [(BLUE, 100), (GREEN, 0)] {
            record_sets.push(json!({
                "Name": format!("svc-{number:03}.example.com."), "Type": "A",
                "SetIdentifier": side, "Weight": weight, "TTL": 60,
                "ResourceRecords": [{"Value": format!("192.0.2.{}", number % 250)}],
            }));
        }
    }
    json!({ "ResourceRecordSets": record_sets }).to_string()
}

/// A random zone: names with A, AAAA or CNAME pairs, with or without aliases and a third set identifier.
fn any_zone() -> impl Strategy<Value = String> {
    let weights = (1_u8..=255, prop_oneof![2 => Just(0_u8), 1 => 0_u8..=255]);
    let name = (
        0_usize..4,
        weights,
        any::<bool>(),
        prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => (0_u8..=255).prop_map(Some)],
    );
    proptest::collection::vec(name, 1..6).prop_map(|names| {
        let mut record_sets = vec![soa()];
        for (number, (kinds, (from, to), is_alias, third)) in names.into_iter().enumerate() {
            let kinds: &[&str] = [&["A"][..], &["AAAA"], &["A", "AAAA"], &["CNAME"]][kinds];
            let mut sides = vec![(BLUE, from), (GREEN, to)];
            sides.extend(third.map(|weight| ("dr", weight)));
            for kind in kinds {
                for (side, weight) in &sides {
                    let mut record_set = json!({
                        "Name": format!("name-{number}.example.com."), "Type": kind,
                        "SetIdentifier": side, "Weight": weight,
                    });
                    let value = match *kind {
                        "A" => "192.0.2.1",
                        "AAAA" => "2001:db8::1",
                        _ => "lb.example.net",
                    };
                    if is_alias && *kind != "CNAME" {
                        record_set["AliasTarget"] = json!({"HostedZoneId": "Z3Q77PNBQS71R4",
                            "DNSName": format!("{side}.elb.amazonaws.com."), "EvaluateTargetHealth": true});
                    } else {
                        record_set["TTL"] = json!(30);
                        record_set["ResourceRecords"] = json!([{"Value": value}]);
                    }
                    record_sets.push(record_set);
                }
            }
        }
        json!({ "ResourceRecordSets": record_sets }).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The oracle checks the invariants on random zones, and the share of `to` never falls.
    #[test]
    fn a_rollback_after_any_number_of_steps_restores_the_zone(
        zone in any_zone(),
        percents in proptest::collection::btree_set(1_u8..=99, 0..4),
        step_count in 1_usize..5,
    ) {
        let simulation = Simulation::new(&zone);
        let before = simulation.route53.record_sets();
        let mut input = canary();
        input["bakeSeconds"] = json!(60);
        input["steps"] = percents.into_iter().chain([100]).collect();
        let Ok(planned) = run(simulation.plan("dry", &input)) else {
            // Beside a third set identifier no weights may express a step: the plan is refused.
            prop_assert_eq!(simulation.route53.record_sets(), before);
            return Ok(());
        };
        let steps = planned["migration"]["steps"].as_array().unwrap().len();
        let mut shares = BTreeMap::new();
        let is_reached = || {
            for (pair, share) in shares_of_green(&simulation.route53.record_sets()) {
                let earlier = shares.insert(pair, share).unwrap_or(0.0);
                assert!(share >= earlier);
            }
            // Each step of so few names is one batch.
            simulation.route53.batches().len() >= steps.min(step_count)
        };
        let migrated = simulation.migrate_until("run", &input, is_reached);
        let is_started = steps > 0;
        prop_assert_eq!(migrated.is_err(), is_started);
        simulation.expect_invariants();
        prop_assert_eq!(simulation.route53.record_sets(), before);
    }
}

fn shares_of_green(record_sets: &[RecordSet]) -> BTreeMap<(RecordName, RecordType), f64> {
    let weight = |like: &RecordSet, side: &str| {
        record_sets
            .iter()
            .filter(|other| other.name == like.name && other.record_type == like.record_type)
            .find_map(|other| {
                other
                    .weighted()
                    .filter(|(identifier, _)| identifier.as_str() == side)
            })
            .map_or(0.0, |(_, weight)| f64::from(weight))
    };
    record_sets
        .iter()
        .filter(|record_set| record_set.weighted().is_some())
        .map(|record_set| {
            let (blue, green) = (weight(record_set, BLUE), weight(record_set, GREEN));
            let pair = (record_set.name.clone(), record_set.record_type.clone());
            (pair, green / (blue + green))
        })
        .collect()
}

/// `CloudTrail` shows the comment of each batch.
#[test]
fn the_comment_of_a_batch_names_the_execution_and_what_it_does() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
    }
    run(simulation.complete(&planned)).unwrap();
    simulation.executions.fail("run", "HealthCheckFailed", "");
    simulation.roll_back_whole("run").unwrap();
    let planned = run(simulation.plan("other", &of_one_name())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("other");
    let request = json!({"hostedZoneId": ZONE_ID, "names": ["*"]});
    simulation.roll_back_all(&request).unwrap();
    let mut comments = simulation.route53.comments();
    comments.dedup();
    expect![[r#"
        [
            "Cutover: execution run shifts to 10 percent",
            "Cutover: execution run shifts to 50 percent",
            "Cutover: execution run shifts to 100 percent",
            "Cutover: rollback of execution run",
            "Cutover: execution other shifts to 10 percent",
            "Cutover: rollback of names of other",
        ]
    "#]]
    .assert_debug_eq(&comments);
}
