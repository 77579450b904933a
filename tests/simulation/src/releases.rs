//! Releases of completed migrations, with the model's instances of ExternalDNS at work between any
//! two calls.

use std::cell::RefCell;

use expect_test::{Expect, expect};
use external_dns::{Controller, Generation, Provider, Settings};
use migration::fake::Fault;
use migration::record::{Answer, RecordSet, RecordType, Routing};
use serde_json::{Value, json};

use crate::external_dns::{BURNHAM, Clusters, Zone};
use crate::invariants::{canary, of_one_name, replace_in_values, run};
use crate::zones::{BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// The one that is given back alone: the first in the order of names.
const FIRST: &str = "\\052.apps.eks-blueprint.example.com";

#[test]
fn a_release_after_the_annotations_were_updated_gives_everything_back() {
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

#[track_caller]
fn check_release(clusters: &Clusters, expect: &Expect) {
    let error = clusters.release("run").unwrap_err();
    expect.assert_eq(&format!("{}: {error}\n", error.name()));
    // Taken again, at the weights that were reached.
    assert!(clusters.is_leased(BURNHAM));
    for name in [BURNHAM, "argocd.eks-blueprint.example.com"] {
        assert_eq!(clusters.weight(name, BLUE), 0);
        assert_eq!(clusters.weight(name, GREEN), 100);
    }
    clusters.expect_quiet();
}

#[test]
fn a_name_that_snaps_back_is_taken_again_and_the_release_fails() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.green.set_all_weights(100);
    check_release(
        &clusters,
        &expect![[r#"
            SnappedBack: \052.apps.eks-blueprint.example.com snapped back: the weight of eks-blueprint-blue was 0 in DNS, and 100 came back (service/team-apps/gateway, ExternalDNS eks-blueprint-blue): its annotation aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) still says 100; set it to "0", let it be synced, and release again
        "#]],
    );
    // One name only was ever given back.
    assert!(clusters.is_leased("argocd.eks-blueprint.example.com"));
    clusters.update_annotations();
    clusters.release("run").unwrap();
    clusters.expect_to_be_owned();
}

#[test]
fn a_later_name_that_snaps_back_fails_the_release_as_well() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let argocd = "argocd.eks-blueprint.example.com".parse().unwrap();
    clusters.green.set_weight(&argocd, 0);
    check_release(
        &clusters,
        &expect![[r#"
            SnappedBack: argocd.eks-blueprint.example.com snapped back: the weight of eks-blueprint-green was 100 in DNS, and 0 came back (ingress/argocd/argo-cd-argocd-server, ExternalDNS eks-blueprint-green): its annotation aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) still says 0; set it to "100", let it be synced, and release again
        "#]],
    );
    assert!(clusters.is_leased("skiapp.eks-blueprint.example.com"));
}

#[test]
fn only_what_has_completed_is_released() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    for expect in [
        expect![[r#"
            Busy: the execution run is still running, and its names are at 10 percent; only a completed migration is released: finish it with an execution from eks-blueprint-blue to eks-blueprint-green, or roll it back
        "#]],
        expect![[r#"
            Busy: the execution run has not completed, and its names are at 10 percent; only a completed migration is released: finish it with an execution from eks-blueprint-blue to eks-blueprint-green, or roll it back
        "#]],
    ] {
        let error = clusters.release("run").unwrap_err();
        expect.assert_eq(&format!("{}: {error}\n", error.name()));
        clusters.simulation.executions.abort("run");
    }
    let error = run(clusters.simulation.plan_release("other")).unwrap();
    assert_eq!(error["release"], Value::Null);
}

/// Ends a release up to its mark: the batch that takes the journals away never arrives.
fn decide_only(simulation: &Simulation, planned: &Value) {
    // The zone, its page, the mark; then that batch, and the look whether it was applied.
    for number in 3..5 {
        let call = simulation.route53.calls() + number;
        simulation.route53.on_call(call, Fault::Unavailable);
    }
    run(simulation.end_release(planned)).unwrap_err();
}

fn is_green_of_burnham(record_set: &RecordSet) -> bool {
    record_set.name.as_str().contains("burnham")
        && record_set
            .weighted()
            .is_some_and(|(side, _)| side.as_str() == GREEN)
}

/// The Ingress was deleted while its name was leased: nothing would serve but a weight of 0.
#[test]
fn a_record_that_is_deleted_once_it_is_given_back_fails_the_release() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    clusters.green.remove(&BURNHAM.parse().unwrap());
    let error = clusters.release("run").unwrap_err();
    expect![[r#"
        Drift: the A record of eks-blueprint-green at burnham.eks-blueprint.example.com is gone, which the traffic of the name went to: if ExternalDNS deleted it, the Ingress or Service in the cluster of eks-blueprint-green no longer asks for it; create it again and release again, or roll this name back first: start the rollback state machine with {"hostedZoneId": "Z0BLUEPRINT", "names": ["burnham.eks-blueprint.example.com"]}
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    assert!(clusters.is_leased("skiapp.eks-blueprint.example.com"));
}

#[test]
fn the_first_name_to_be_given_back_is_a_leased_one_and_alone() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            record_set.record_type != RecordType::Txt || !record_set.name.as_str().contains("apps")
        });
    });
    run(simulation.migrate("run", &canary())).unwrap();
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

/// The state machine begins to watch anew for what a look gives back.
#[test]
fn a_look_tells_of_what_it_gave_back_again() {
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
    run(simulation.take_again(&planned)).unwrap();
    assert_eq!(given_back(7), 5);
}

#[test]
fn a_release_ends_only_with_names_that_are_given_back_and_stayed() {
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

/// A rollback has restored its first batch, and the release must not keep the rest.
#[test]
fn a_release_does_not_end_in_the_middle_of_a_rollback() {
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
    run(simulation.roll_back_whole("run")).unwrap();
    assert_eq!(clusters.zone(), before);
    // Nothing is left, but not because it was released.
    assert_eq!(
        run(simulation.end_release(&planned)).unwrap_err().name(),
        "Drift"
    );
}

/// What leased a name again had read its journal before the end was decided.
#[test]
fn a_name_that_is_leased_again_late_is_given_back_all_the_same() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    decide_only(simulation, &planned);
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
    // The one with which a rollback begins as well.
    assert_eq!(
        marked,
        ["_cutover._wildcard.apps.eks-blueprint.example.com"]
    );
    let taken = run(simulation.take_again(&planned)).unwrap();
    assert_eq!(taken["takenAgain"], 0, "{taken}");

    simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            is_green_of_burnham,
            "owner=eks-blueprint-green",
            "owner=cutover/run",
        );
    });
    run(simulation.end_release(&planned)).unwrap();
    assert!(!clusters.zone().contains("cutover"));
    clusters.expect_to_be_owned();
}

/// An ExternalDNS that was upgraded while its names were leased writes TXT records of its new form
/// once it has them back.
#[test]
fn registry_txt_of_a_new_form_are_leased_again_as_well() {
    let mut clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        // With green's own TXT of that name, blue's ExternalDNS would not miss its own.
        record_sets.retain(|record_set| !record_set.name.as_str().starts_with("a-burnham"));
    });
    clusters.migrate("run", &of_one_name());
    clusters.blue = Controller::new(
        Settings::new(BLUE, Generation::OwnType),
        clusters.blue.desired(),
    );
    let error = clusters.release("run").unwrap_err();
    assert_eq!(error.name(), "SnappedBack");
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

/// A cluster that is taken down after the migration leaves TXT records that only the release frees.
#[test]
fn the_owner_is_given_back_of_a_record_that_is_gone() {
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
    let nothing = async || {};
    run(clusters.simulation.release("run", nothing)).unwrap();
    assert!(!clusters.zone().contains("cutover"));
}

/// Nobody but the migration ever owned it, so its weight is nothing to a release.
#[test]
fn a_name_without_a_registry_is_in_no_releases_way() {
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

/// What is rolled back while it is released is not told to be released.
#[test]
fn a_release_ends_where_its_migration_is_rolled_back() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    clusters.migrate("run", &canary());
    let rolls_back = async || {
        clusters.simulation.roll_back_whole("run").await.unwrap();
    };
    let error = run(clusters.simulation.release("run", rolls_back)).unwrap_err();
    expect![[r#"
        Drift: the journal _cutover._wildcard.apps.eks-blueprint.example.com is gone: somebody deleted it, rolled \052.apps.eks-blueprint.example.com back, or released it with another execution
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(clusters.zone(), before);
}

/// One fault at any call of a release is healed by a retry, or by the next release.
#[test]
fn a_release_survives_a_fault_at_any_call() {
    let completed = || {
        let clusters = Clusters::blueprint();
        clusters.migrate("run", &canary());
        clusters.update_annotations();
        clusters
    };
    let undisturbed = completed();
    let first = undisturbed.simulation.route53.calls();
    undisturbed.release("run").unwrap();
    for number in first..undisturbed.simulation.route53.calls() {
        for attempts in [1, 3] {
            for fault in [
                || Fault::Throttled,
                || Fault::Unavailable,
                || Fault::AnswerLost,
            ] {
                let clusters = completed();
                for attempt in 0..attempts {
                    clusters
                        .simulation
                        .route53
                        .on_call(number + attempt, fault());
                }
                if clusters.release("run").is_err() {
                    assert!(attempts > 1, "call {number}");
                    clusters.release("run").unwrap();
                }
                assert_eq!(clusters.zone(), undisturbed.zone(), "call {number}");
            }
        }
    }
}

/// Whatever call a release dies at, what it gave back is leased again, or all journals are on their
/// way; a later release ends it.
#[test]
fn a_release_that_dies_leaves_nothing_unwatched() {
    let completed = || {
        let clusters = Clusters::blueprint();
        clusters.migrate("run", &canary());
        clusters.update_annotations();
        clusters
    };
    let undisturbed = completed();
    let leased = undisturbed.zone();
    let first = undisturbed.simulation.route53.calls();
    undisturbed.release("run").unwrap();
    for number in first..undisturbed.simulation.route53.calls() {
        let clusters = completed();
        for attempt in 0..30 {
            let fault = if attempt == 0 {
                Fault::AnswerLost
            } else {
                Fault::Unavailable
            };
            clusters.simulation.route53.on_call(number + attempt, fault);
        }
        let _ = clusters.release("run");
        while clusters.simulation.route53.calls() < number + 30 {
            let _ = run(clusters.simulation.plan_release("run"));
        }
        // What the event of its interruption leads to.
        let planned = run(clusters.simulation.plan_release("run")).unwrap();
        if planned["release"].is_object() {
            run(clusters.simulation.take_again(&planned)).unwrap();
            let is_closing = clusters.zone().contains("completed=yes");
            let without_sequence = |zone: &str| {
                let lines = zone.lines().filter(|line| !line.contains("sequence="));
                lines.collect::<Vec<_>>().join("\n")
            };
            if !is_closing {
                assert_eq!(
                    without_sequence(&clusters.zone()),
                    without_sequence(&leased),
                    "call {number}"
                );
            }
            clusters.release("run").unwrap();
        }
        assert_eq!(clusters.zone(), undisturbed.zone(), "call {number}");
    }
}

/// A zone as a pass that is still under way has read it.
struct AsRead<'a>(Vec<RecordSet>, Zone<'a>);

impl Provider for AsRead<'_> {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Ok(self.0.clone())
    }

    async fn change(&self, changes: &[external_dns::Change]) -> Result<(), String> {
        self.1.change(changes).await
    }
}

/// Its UPSERT overwrites the lease, and would leave a weight of 0 on both sides.
#[test]
fn a_pass_under_way_while_names_are_leased_again_is_undone() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    let route53 = &clusters.simulation.route53;
    let read_by_green = RefCell::new(None);
    let passes = async || {
        if !clusters.is_leased(FIRST) {
            clusters.blue.reconcile_once(&Zone(route53)).await;
            read_by_green.replace(Some(route53.record_sets()));
        } else if let Some(read) = read_by_green.take() {
            let late = AsRead(read, Zone(route53));
            clusters.green.reconcile_once(&late).await;
            let weights = (clusters.weight(FIRST, BLUE), clusters.weight(FIRST, GREEN));
            assert_eq!(weights, (0, 0));
        }
    };
    let error = run(clusters.simulation.release("run", passes)).unwrap_err();
    assert_eq!(error.name(), "SnappedBack");
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
fn a_release_that_is_asked_for_wrongly_is_refused() {
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
            NoSuchHostedZone: no hosted zone Z0OTHER
        "#]],
    );
}

/// Blue has its weight back, as green's Ingress is gone: that is not undone, and the way out is told.
#[test]
fn the_only_record_that_is_left_keeps_its_weight() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &of_one_name());
    clusters.green.remove(&BURNHAM.parse().unwrap());
    let error = clusters.release("run").unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    assert!(error.to_string().contains("is gone"), "{error}");
    assert_eq!(clusters.weight(BURNHAM, BLUE), 100);
    let request = error.to_string();
    let request = &request[request.find('{').unwrap()..];
    let request: Value = serde_json::from_str(request).unwrap();
    run(clusters.simulation.roll_back_all(&request)).unwrap();
    assert!(!clusters.zone().contains("cutover"));
}

/// What ExternalDNS does with its own records is nothing to a release that was decided.
#[test]
fn a_release_that_was_decided_ends_whatever_the_weights_are_now() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    decide_only(simulation, &planned);
    clusters.green.set_all_weights(50);
    clusters.release("run").unwrap();
    assert_eq!(clusters.weight(BURNHAM, GREEN), 50);
    assert!(!clusters.zone().contains("cutover"));
}

/// The same where a rollback takes the last journals away.
#[test]
fn a_rollback_of_what_was_decided_gives_back_what_is_leased() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    clusters.migrate("run", &canary());
    clusters.update_annotations();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 6)).unwrap();
    let leased = simulation.route53.record_sets();
    run(simulation.give_back_names(&planned, 7)).unwrap();
    decide_only(simulation, &planned);
    // A name that another release had leased again.
    let is_of_argocd = |record_set: &RecordSet| record_set.name.as_str().contains("-argocd");
    simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            is_of_argocd,
            "owner=eks-blueprint-green",
            "owner=cutover/run",
        );
    });
    assert!(leased.len() > 7 && clusters.is_leased("argocd.eks-blueprint.example.com"));
    run(simulation.roll_back_whole("run")).unwrap();
    assert!(!clusters.zone().contains("cutover"));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 100);
    clusters.expect_to_be_owned();
}

/// The journal of one name can't be read: the others are leased again all the same.
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
                && let Answer::Values { values, .. } = &mut record_set.answer
            {
                values.push("\"more\"".into());
            }
        }
    });
    let taken = run(simulation.take_again(&planned)).unwrap();
    expect![[r#"
        {
          "message": "what was given back is leased again, at the weights that the migration reached; the journals of these names can't be read, and whoever's they are, they stay as they are: argocd.eks-blueprint.example.com",
          "takenAgain": 4
        }
    "#]]
    .assert_eq(&format!("{taken:#}\n"));
    assert!(clusters.is_leased(BURNHAM));
}

/// Only one cluster runs ExternalDNS: whoever writes the other's weights is not overwritten.
#[test]
fn a_side_without_a_registry_is_not_taken_again() {
    let clusters = Clusters::blueprint();
    let simulation = &clusters.simulation;
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            !(is_green_of_burnham(record_set) && record_set.record_type == RecordType::Txt)
        });
    });
    run(simulation.migrate("run", &of_one_name())).unwrap();
    let planned = run(simulation.plan_release("run")).unwrap();
    run(simulation.give_back_names(&planned, 1)).unwrap();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets
            .iter_mut()
            .filter(|record_set| is_green_of_burnham(record_set))
        {
            if let Routing::Weighted { weight, .. } = &mut record_set.routing {
                *weight = 40;
            }
        }
    });
    assert_eq!(
        run(simulation.give_back_names(&planned, 1))
            .unwrap_err()
            .name(),
        "Drift"
    );
    run(simulation.take_again(&planned)).unwrap();
    assert!(clusters.is_leased(BURNHAM));
    assert_eq!(clusters.weight(BURNHAM, GREEN), 40);
}
