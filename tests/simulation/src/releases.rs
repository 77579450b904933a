//! Releases of completed migrations, while the model of ExternalDNS of both clusters makes passes
//! in the waits.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use external_dns::{Controller, Generation, Provider, Settings};
use fakes::{CHANGE, Fault};
use interpreter::{ExecutionId, Failure};
use migration::dns::{RecordData, RecordSet, RecordType, Routing, Sides};
use migration::external_dns::{RegistryNames, annotations};
use migration::route53::read_zone;
use serde_json::{Value, json};

use crate::events::at_50_percent;
use crate::external_dns::{Clusters, Zone};
use crate::invariants::{canary, of_one_name, replace_in_values, reweigh, run};
use crate::world::World;
use crate::zones::{BLUE, BURNHAM, GREEN};
use crate::{Simulation, ZONE_ID};

/// The name that a release gives back first and alone: the first in the order of names.
const FIRST: &str = "\\052.apps.eks-blueprint.example.com";

#[test]
fn a_release_after_updated_annotations_gives_all_names_back() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    clusters.release("run").unwrap();
    clusters.expect_quiet();
    assert!(!clusters.zone().contains("cutover"));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 100);
    clusters.simulation.expect_invariants();
    let again = run(clusters.simulation.plan_release("run")).unwrap();
    assert_eq!(again["release"], Value::Null);
    clusters.expect_to_be_owned();
}

/// With the annotations that are told, ExternalDNS keeps every weight.
#[test]
fn a_release_after_the_annotations_that_are_told_gives_all_names_back() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    let route53 = &*clusters.simulation.world.route53;
    let zone = run(read_zone(route53, &ZONE_ID.parse().unwrap())).unwrap();
    let sides = Sides {
        from: BLUE.parse().unwrap(),
        to: GREEN.parse().unwrap(),
    };
    let names: Vec<_> = zone.journaled_names().collect();
    let flags = RegistryNames::default();
    let registry = Sides {
        from: &flags,
        to: &flags,
    };
    let told = annotations(&zone, names.iter().map(|name| (name, &sides)), registry);
    assert_eq!(told.without_object, []);
    // Terraform owns the records of these.
    let unregistered = ["legacy", "shared"].map(|host| format!("{host}.eks-blueprint.example.com"));
    let unregistered = unregistered.map(|name| name.parse().unwrap());
    assert_eq!(told.without_registry, unregistered.into());
    for (cluster, annotations) in [
        (&clusters.blue, &told.of.from),
        (&clusters.green, &told.of.to),
    ] {
        assert!(annotations.len() > 2, "{annotations:?}");
        for annotation in annotations {
            let [weight] = annotation.weights.iter().copied().collect::<Vec<_>>()[..] else {
                panic!("{annotation:?}");
            };
            for name in &annotation.names {
                cluster.set_weight(name, weight);
            }
        }
    }
    clusters.release("run").unwrap();
    clusters.expect_quiet();
    clusters.expect_to_be_owned();
}

/// They have to be set before the release.
#[test]
fn a_completion_lists_the_weights_of_the_annotations() {
    let clusters = Clusters::blueprint();
    let completed = clusters
        .simulation
        .migrate_watched("run", &canary(), || {})
        .unwrap();
    let texts = completed["annotations"].as_array().unwrap().iter();
    let texts: Vec<_> = texts.filter_map(Value::as_str).collect();
    expect![[r#"
        ingress/argocd/argo-cd-argocd-server of eks-blueprint-blue: 0
        ingress/ecsdemo-frontend/ecsdemo-frontend of eks-blueprint-blue: 0
        ingress/team-burnham/burnham-ingress of eks-blueprint-blue: 0
        ingress/team-riker/skiapp-ingress of eks-blueprint-blue: 0
        service/team-apps/gateway of eks-blueprint-blue: 0
        ingress/argocd/argo-cd-argocd-server of eks-blueprint-green: 100
        ingress/ecsdemo-frontend/ecsdemo-frontend of eks-blueprint-green: 100
        ingress/team-burnham/burnham-ingress of eks-blueprint-green: 100
        ingress/team-riker/skiapp-ingress of eks-blueprint-green: 100
        service/team-apps/gateway of eks-blueprint-green: 100"#]]
    .assert_eq(&texts.join("\n"));
}

#[track_caller]
fn check_release(clusters: &Clusters, expect: &Expect) {
    let failure = clusters.release("run").unwrap_err();
    expect.assert_eq(&format!("{failure}\n"));
    // The names are leased again, at the weights that the migration reached.
    assert!(clusters.is_leased(BURNHAM));
    for name in [BURNHAM, "argocd.eks-blueprint.example.com"] {
        assert_eq!(clusters.weight(name, BLUE), 0);
        assert_eq!(clusters.weight(name, GREEN), 100);
    }
    clusters.expect_quiet();
}

#[test]
fn a_name_that_snaps_back_is_leased_again_and_the_release_fails() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.green.set_all_weights(100);
    check_release(
        &clusters,
        &expect![[r#"
            SnappedBack: \052.apps.eks-blueprint.example.com snapped back: ExternalDNS changed the weight of eks-blueprint-blue from 0 to 100 (service/team-apps/gateway, ExternalDNS eks-blueprint-blue), because its annotation aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) is still 100; set it to "0", sync it, and release again -- the names that were given back are leased again, with the weights that the migration reached
        "#]],
    );
    // No other name was given back.
    assert!(clusters.is_leased("argocd.eks-blueprint.example.com"));
    clusters.update_annotations();
    clusters.release("run").unwrap();
    clusters.expect_to_be_owned();
}

#[test]
fn a_later_name_that_snaps_back_fails_the_release() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let argocd = "argocd.eks-blueprint.example.com".parse().unwrap();
    clusters.green.set_weight(&argocd, 0);
    check_release(
        &clusters,
        &expect![[r#"
            SnappedBack: argocd.eks-blueprint.example.com snapped back: ExternalDNS changed the weight of eks-blueprint-green from 100 to 0 (ingress/argocd/argo-cd-argocd-server, ExternalDNS eks-blueprint-green), because its annotation aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) is still 0; set it to "100", sync it, and release again -- the names that were given back are leased again, with the weights that the migration reached
        "#]],
    );
    assert!(clusters.is_leased("skiapp.eks-blueprint.example.com"));
}

#[test]
fn a_migration_that_has_not_completed_is_not_released() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    for expect in [
        expect![[r#"
            Busy: the execution run is still running, and its names are at 10 percent; only a completed migration can be released: finish it with an execution from eks-blueprint-blue to eks-blueprint-green, or roll it back
        "#]],
        expect![[r#"
            Busy: the execution run has not completed, and its names are at 10 percent; only a completed migration can be released: finish it with an execution from eks-blueprint-blue to eks-blueprint-green, or roll it back
        "#]],
    ] {
        let failure = clusters.release("run").unwrap_err();
        expect.assert_eq(&format!("{failure}\n"));
        clusters.simulation.executions.abort("run");
    }
    let error = run(clusters.simulation.plan_release("other")).unwrap();
    assert_eq!(error["release"], Value::Null);
}

/// Ends a release up to the mark that decides it: the batch that deletes the journals never arrives.
fn mark_only(simulation: &Simulation, planned: &Value) {
    // The mark is the first change, and that batch the second one. Then the zone is read a second time, to
    // check whether the batch was applied.
    for action in [CHANGE, "GetHostedZone"] {
        simulation
            .route53
            .inject_fault_into(action, 1, Fault::Unavailable);
    }
    run(simulation.end_release(planned)).unwrap_err();
}

fn is_green_of_burnham(record_set: &RecordSet) -> bool {
    record_set.name.as_str().contains("burnham")
        && record_set
            .weighted()
            .is_some_and(|(side, _)| side.as_str() == GREEN)
}

/// No annotation is wrong, because ExternalDNS does not change a leased name.
#[test]
fn a_weight_that_another_writer_changed_while_the_name_was_leased_fails_the_release_and_stays() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let route53 = &clusters.simulation.route53;
    route53.edit(|it| reweigh(it, BURNHAM, GREEN, 40));
    let failure = clusters.release("run").unwrap_err();
    expect![[r#"
        Drift: another writer changed burnham.eks-blueprint.example.com: the weight of eks-blueprint-green is 40 instead of 100, which execution run last wrote; put the weight back and release again, or roll back: start the rollback state machine with {"execution": "run"} -- the names that were given back are leased again, with the weights that the migration reached
    "#]].assert_eq(&format!("{failure}\n"));
    assert!(clusters.is_leased(BURNHAM));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 40);
}

/// The Ingress was deleted while its name was leased. Without its record, all traffic would go to the
/// old side, which has weight 0.
#[test]
fn a_record_deleted_after_it_was_given_back_fails_the_release() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    clusters.green.remove(&BURNHAM.parse().unwrap());
    let failure = clusters.release("run").unwrap_err();
    expect![[r#"
        Drift: the A record of eks-blueprint-green at burnham.eks-blueprint.example.com, which had traffic, is gone; if ExternalDNS deleted it, the Ingress or Service in the cluster of eks-blueprint-green no longer has this name; create the record again and release again, or roll this name back first: start the rollback state machine with {"hostedZoneId": "Z0BLUEPRINT", "names": ["burnham.eks-blueprint.example.com"]} -- the names that were given back are leased again, with the weights that the migration reached
    "#]]
    .assert_eq(&format!("{failure}\n"));
    assert!(clusters.is_leased("skiapp.eks-blueprint.example.com"));
}

#[test]
fn the_first_name_given_back_is_leased_and_alone() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            record_set.record_type != RecordType::Txt || !record_set.name.as_str().contains("apps")
        });
    });
    simulation.migrate("run", &canary()).unwrap();
    let planned = run(simulation.plan_release("run")).unwrap();
    assert_eq!(planned["release"]["leased"], 4);
    assert_eq!(
        planned["release"]["names"]["relative"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
    run(simulation.give_back_names(&planned, 1)).unwrap();
    assert!(!clusters.is_leased("argocd.eks-blueprint.example.com"));
    for name in ["burnham", "ecsfrontend", "skiapp"] {
        assert!(
            clusters.is_leased(&format!("{name}.eks-blueprint.example.com")),
            "{name}"
        );
    }
}

/// The state machine uses the count: if a later call gives a name back, it watches all names again.
#[test]
fn a_later_call_counts_the_names_that_it_gives_back() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    let planned = run(simulation.plan_release("run")).unwrap();
    let given_back =
        |names| run(simulation.give_back_names(&planned, names)).unwrap()["givenBack"].clone();
    assert_eq!(
        [given_back(1), given_back(1), given_back(7), given_back(7)],
        [1, 0, 4, 0]
    );
    run(simulation.reacquire_lease(&planned)).unwrap();
    assert_eq!(given_back(7), 5);
}

#[test]
fn a_release_does_not_end_with_leased_names_or_names_that_snapped_back() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    let planned = run(simulation.plan_release("run")).unwrap();
    assert_eq!(
        run(simulation.end_release(&planned)).unwrap_err().name(),
        "Conflict"
    );
    run(simulation.give_back_names(&planned, 7)).unwrap();
    clusters.passes();
    assert_eq!(
        run(simulation.end_release(&planned)).unwrap_err().name(),
        "SnappedBack"
    );
    assert_eq!(clusters.zone().matches("_cutover").count(), 7);
}

/// A rollback has restored its first batch, so the release must not complete the other names.
#[test]
fn a_release_does_not_end_during_a_rollback() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    let before = clusters.zone();
    clusters.migrate("run", &canary());
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    let first = json!({"hostedZoneId": ZONE_ID, "names": ["\\052.apps.eks-blueprint.example.com"]});
    run(simulation.roll_back(&first)).unwrap();
    assert_eq!(
        run(simulation.end_release(&planned)).unwrap_err().name(),
        "Drift"
    );
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
    // No journal is left, but the weights show a rollback rather than an earlier end of the release.
    assert_eq!(
        run(simulation.end_release(&planned)).unwrap_err().name(),
        "Drift"
    );
}

/// A late call leases a name again, because it read the journal before the release was decided.
#[test]
fn a_name_leased_again_after_the_decision_is_given_back_at_the_end() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    mark_only(simulation, &planned);
    let record_sets = simulation.route53.record_sets();
    let is_marked = |record_set: &&RecordSet| {
        record_set
            .values()
            .iter()
            .any(|value| value.contains("completed=yes"))
    };
    let marked: Vec<_> = record_sets
        .iter()
        .filter(is_marked)
        .map(|marked| marked.name.as_str())
        .collect();
    // A rollback starts with the same journal, so that only one of the two can be accepted.
    assert_eq!(
        marked,
        ["_cutover._wildcard.apps.eks-blueprint.example.com"]
    );
    let answer = run(simulation.reacquire_lease(&planned)).unwrap();
    assert_eq!(answer["reacquired"], 0, "{answer}");

    simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            is_green_of_burnham,
            "owner=eks-blueprint-green",
            "owner=cutover/0123456789abcdef/run",
        );
    });
    run(simulation.end_release(&planned)).unwrap();
    assert!(!clusters.zone().contains("cutover"));
    clusters.expect_to_be_owned();
}

/// An ExternalDNS that was upgraded during the lease creates TXT records with its new naming once its
/// names are given back.
#[test]
fn a_registry_txt_that_an_upgraded_external_dns_created_is_leased_again() {
    let mut clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        // Otherwise the ExternalDNS of blue finds the TXT of green at that name, and creates none.
        record_sets.retain(|record_set| !record_set.name.as_str().starts_with("a-burnham"));
    });
    clusters.migrate("run", &of_one_name());
    clusters.blue = Controller::new(
        Settings::new(BLUE, Generation::OwnType),
        clusters.blue.desired(),
    );
    let failure = clusters.release("run").unwrap_err();
    assert_eq!(failure.error, "SnappedBack");
    assert!(clusters.zone().contains("a-burnham"));
    assert!(
        !clusters
            .zone()
            .contains("owner=eks-blueprint-blue,external-dns/resource=ingress/team-burnham")
    );
    clusters.blue.set_all_weights(0);
    clusters.green.set_all_weights(100);
    clusters.release("run").unwrap();
}

/// For example when the old cluster is deleted before the release.
#[test]
fn the_owner_of_a_deleted_record_is_given_back() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    clusters.simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            !(record_set.record_type.moves()
                && record_set
                    .weighted()
                    .is_some_and(|(side, _)| side.as_str() == BLUE))
        });
    });
    clusters.simulation.release("run", || {}).unwrap();
    assert!(!clusters.zone().contains("cutover"));
}

/// No ExternalDNS owns the name, so a release does not check its weight.
#[test]
fn a_name_without_a_registry_does_not_block_a_release() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    clusters.simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if let Routing::Weighted { weight, .. } = &mut record_set.routing
                && *weight == 255
            {
                *weight = 100;
            }
        }
    });
    clusters.release("run").unwrap();
}

#[test]
fn a_release_is_drift_if_its_migration_is_rolled_back() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    clusters.migrate("run", &canary());
    let mut requests = vec![json!({"hostedZoneId": ZONE_ID, "execution": "run"})];
    let roll_back = || {
        requests
            .drain(..)
            .for_each(|it| clusters.simulation.world.roll_back(&it));
    };
    let failure = clusters.simulation.release("run", roll_back).unwrap_err();
    expect![[r#"
        Drift: the journal _cutover._wildcard.apps.eks-blueprint.example.com is gone: another writer deleted it, rolled \052.apps.eks-blueprint.example.com back, or released it with another execution -- it has no journal left, so none of its names is leased
    "#]]
    .assert_eq(&format!("{failure}\n"));
    assert_eq!(clusters.zone(), before);
}

/// The zone after a migration.
fn migrated_zone() -> String {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.zone()
}

/// That migration, after the update of the annotations.
fn completed(zone: &str) -> Clusters {
    let clusters = Clusters::of(Simulation::new(zone));
    clusters.simulation.world.register("run", &canary());
    clusters.simulation.executions.succeed("run");
    clusters.update_annotations();
    clusters
}

/// The state machine repeats a call after up to three faults. Twenty fail the release, and the next one
/// succeeds.
#[test]
fn a_fault_at_any_call_of_a_release_does_not_change_its_result() {
    let zone = migrated_zone();
    let undisturbed = completed(&zone);
    undisturbed.release("run").unwrap();
    let mut failed = 0;
    for number in 0..undisturbed.simulation.world.network.calls() {
        let faults: [(usize, fn() -> Fault); 4] = [
            (1, || Fault::Throttled),
            (1, || Fault::AnswerLost),
            (3, || Fault::Unavailable),
            (20, || Fault::Unavailable),
        ];
        for (count, fault) in faults {
            let clusters = completed(&zone);
            let network = &clusters.simulation.world.network;
            for call in number..number + count {
                network.inject_fault(call, fault());
            }
            if clusters.release("run").is_err() {
                assert_eq!(count, 20, "call {number}");
                failed += 1;
                clusters.release("run").unwrap();
            }
            assert_eq!(clusters.zone(), undisturbed.zone(), "call {number}");
        }
    }
    assert!(failed > 0);
}

/// Every call of the release in turn is the last one before it is stopped. The release that its status
/// event starts leases the names again, unless the first one was decided already, and the next one ends
/// it.
#[test]
fn an_interrupted_release_is_leased_again_or_finished() {
    let leased = migrated_zone();
    let undisturbed = completed(&leased);
    undisturbed.release("run").unwrap();
    let mut outcomes = BTreeSet::new();
    for number in 0..undisturbed.simulation.world.network.calls() {
        let clusters = completed(&leased);
        let world = &clusters.simulation.world;
        // The process of the function dies, so that the execution waits before the next attempt.
        world.network.inject_fault(number, Fault::KilledAfter);
        let mut is_stopped = false;
        let stop = || {
            if !is_stopped && world.network.calls() > number {
                is_stopped = true;
                stop_release(world);
            }
        };
        let failure = clusters.simulation.release("run", stop).unwrap_err();
        assert_eq!(failure.error, "Stopped", "call {number}");
        let without_sequence = |zone: &str| {
            let lines = zone.lines().filter(|line| !line.contains("sequence="));
            lines.collect::<Vec<_>>().join("\n")
        };
        let is_finished = clusters.zone() == undisturbed.zone();
        if !is_finished {
            assert_eq!(
                without_sequence(&clusters.zone()),
                without_sequence(&leased),
                "call {number}"
            );
            clusters.release("run").unwrap();
        }
        assert_eq!(clusters.zone(), undisturbed.zone(), "call {number}");
        outcomes.insert(is_finished);
    }
    assert_eq!(outcomes.len(), 2);
}

/// Stops the running release, as a person does in the console.
fn stop_release(world: &World) {
    let executions = world.step_functions.executions();
    let is_release = |id: &ExecutionId| id.machine_name() == "cutover-release";
    let running = executions
        .iter()
        .find(|(id, described)| is_release(id) && described.end.is_none());
    let (release, _) = running.unwrap();
    let stopped = Failure::new("Stopped", "by a person");
    world.step_functions.stop(release, stopped);
}

/// A pass of ExternalDNS that read the zone earlier and writes now.
struct StalePass<'a>(Vec<RecordSet>, Zone<'a>);

impl Provider for StalePass<'_> {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Ok(self.0.clone())
    }

    async fn change(&self, changes: &[external_dns::Change]) -> Result<(), String> {
        self.1.change(changes).await
    }
}

/// The pass read the zone while the name was given back. Its UPSERT overwrites the new lease, and sets
/// the weight of green to 0 as well.
#[test]
fn weights_of_a_stale_external_dns_pass_are_corrected_by_the_next_lease() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    let route53 = &clusters.simulation.route53;
    let mut read_by_green = None;
    let passes = || {
        if !clusters.is_leased(FIRST) {
            run(clusters.blue.reconcile_once(&Zone(route53)));
            read_by_green = Some(route53.record_sets());
        } else if let Some(read) = read_by_green.take() {
            let late = StalePass(read, Zone(route53));
            run(clusters.green.reconcile_once(&late));
            let weights = (clusters.weight(FIRST, BLUE), clusters.weight(FIRST, GREEN));
            assert_eq!(weights, (0, 0));
        }
    };
    let failure = clusters.simulation.release("run", passes).unwrap_err();
    assert_eq!(failure.error, "SnappedBack");
    assert!(clusters.is_leased(FIRST));
    assert_eq!(
        (clusters.weight(FIRST, BLUE), clusters.weight(FIRST, GREEN)),
        (0, 100)
    );
}

#[track_caller]
fn check_refused(input: &Value, expect: &Expect) {
    let simulation = Simulation::blueprint();
    let error = run(simulation.plan_release_of(input)).unwrap_err();
    expect.assert_eq(&format!("{}: {error}\n", error.name()));
}

#[test]
fn an_invalid_release_request_is_refused() {
    check_refused(
        &json!({}),
        &expect![[r#"
            InvalidInput: input: missing field `execution`
        "#]],
    );
    check_refused(
        &json!("run"),
        &expect![[r#"
            InvalidInput: input: invalid type: string "run", expected an object with the migration's execution, by name or ARN
        "#]],
    );
    check_refused(
        &json!({"execution": "unknown"}),
        &expect![[r#"
            ExecutionNotFound: execution: the migration state machine has no execution "unknown"; give the name as the console lists it, or add `hostedZoneId` if it ended more than 90 days ago
        "#]],
    );
    check_refused(
        &json!({"execution": "run", "names": ["a"]}),
        &expect![[r#"
            InvalidInput: names: unknown field `names`, expected one of `execution`, `hostedZoneId`, `externalDnsIntervalSeconds`
        "#]],
    );
    check_refused(
        &json!({"execution": "run", "hostedZoneId": ZONE_ID, "externalDnsIntervalSeconds": 0}),
        &expect![[r#"
            InvalidInput: externalDnsIntervalSeconds: expected a whole number from 1 to 3600, found 0
        "#]],
    );
    check_refused(
        &json!({"execution": "run", "hostedZoneId": "Z0OTHER"}),
        &expect![[r#"
            NoSuchHostedZone: hostedZoneId: this account has no hosted zone Z0OTHER; use an id that `aws route53 list-hosted-zones` prints
        "#]],
    );
}

/// The Ingress of green is deleted, and blue has its weight again. The release keeps that weight, and
/// its error names the rollback that finishes.
#[test]
fn the_only_remaining_record_keeps_its_weight() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &of_one_name());
    clusters.green.remove(&BURNHAM.parse().unwrap());
    let failure = clusters.release("run").unwrap_err();
    assert_eq!(failure.error, "Drift", "{failure}");
    assert!(failure.cause.contains("is gone"), "{failure}");
    assert_eq!(clusters.weight(BURNHAM, BLUE), 100);
    // The cause goes on after the request.
    let request = &failure.cause[failure.cause.find('{').unwrap()..];
    let mut requests = serde_json::Deserializer::from_str(request).into_iter::<Value>();
    let request = requests.next().unwrap().unwrap();
    clusters.simulation.roll_back_all(&request).unwrap();
    assert!(!clusters.zone().contains("cutover"));
}

/// After the decision ExternalDNS may change its records.
#[test]
fn a_decided_release_ends_with_any_weights() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    mark_only(simulation, &planned);
    clusters.green.set_all_weights(50);
    clusters.release("run").unwrap();
    assert_eq!(clusters.weight(BURNHAM, GREEN), 50);
    assert!(!clusters.zone().contains("cutover"));
}

/// The same when a rollback deletes the last journals.
#[test]
fn a_rollback_of_a_decided_release_gives_leased_names_back() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 6)).unwrap();
    let leased = simulation.route53.record_sets();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    mark_only(simulation, &planned);
    // As if another release had leased this name again.
    let belongs_to_argocd = |record_set: &RecordSet| record_set.name.as_str().contains("-argocd");
    simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            belongs_to_argocd,
            "owner=eks-blueprint-green",
            "owner=cutover/0123456789abcdef/run",
        );
    });
    assert!(leased.len() > 7 && clusters.is_leased("argocd.eks-blueprint.example.com"));
    simulation.roll_back_whole("run").unwrap();
    assert!(!clusters.zone().contains("cutover"));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 100);
    clusters.expect_to_be_owned();
}

/// The finding about all names comes first, and once.
#[test]
fn a_rollback_from_the_last_step_says_that_the_annotations_may_put_the_weights_back() {
    let simulation = Simulation::blueprint();
    let planned = at_50_percent(&simulation, "run", &canary());
    run(simulation.shift(&planned, 2)).unwrap();
    simulation
        .route53
        .edit(|record_sets| reweigh(record_sets, BURNHAM, BLUE, 7));
    simulation.executions.abort("run");
    let rolled_back = simulation.roll_back_whole("run").unwrap();
    expect![[r#"
        [
          "ExternalDNS owns the records again: if the annotations already have the weights that the migration reached, ExternalDNS writes these weights again within its interval; set the annotations back to the original weights",
          "burnham.eks-blueprint.example.com: the A record of eks-blueprint-blue had weight 7 instead of 0",
          "burnham.eks-blueprint.example.com: the AAAA record of eks-blueprint-blue had weight 7 instead of 0"
        ]
    "#]].assert_eq(&format!("{:#}\n", rolled_back["migrations"][0]["found"]));
}

#[test]
fn names_are_leased_again_beside_an_unreadable_journal() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str().starts_with("_cutover.argocd")
                && let RecordData::Values { values, .. } = &mut record_set.data
            {
                values.push("\"more\"".into());
            }
        }
    });
    let answer = run(simulation.reacquire_lease(&planned)).unwrap();
    expect![[r#"
        {
          "reacquired": 4,
          "remaining": 0,
          "pauseSeconds": 1,
          "message": "the names that were given back are leased again, with the weights that the migration reached; these names are unchanged, because their journals are not trusted: argocd.eks-blueprint.example.com"
        }
    "#]]
    .assert_eq(&format!("{answer:#}\n"));
    assert!(clusters.is_leased(BURNHAM));
}

/// Only one cluster runs ExternalDNS. The weights of the other side belong to another writer, and are not
/// overwritten.
#[test]
fn a_side_without_a_registry_is_not_leased_again() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            !(is_green_of_burnham(record_set) && record_set.record_type == RecordType::Txt)
        });
    });
    simulation.migrate("run", &of_one_name()).unwrap();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 1)).unwrap();
    simulation
        .route53
        .edit(|it| reweigh(it, BURNHAM, GREEN, 40));
    assert_eq!(
        run(simulation.give_back_names(&planned, 1))
            .unwrap_err()
            .name(),
        "Drift"
    );
    run(simulation.reacquire_lease(&planned)).unwrap();
    assert!(clusters.is_leased(BURNHAM));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 40);
}
