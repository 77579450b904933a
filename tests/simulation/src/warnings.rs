//! Warnings of the plan about the records and registry of ExternalDNS.

use expect_test::{Expect, expect};
use fakes::Fault;
use migration::dns::{RecordData, RecordSet, Routing};
use serde_json::{Value, json};

use crate::Simulation;
use crate::invariants::{canary, replace_in_values, run};

const GREEN: &str = "eks-blueprint-green";

#[track_caller]
fn check_warnings(edit: impl Fn(&mut Vec<RecordSet>), more: &Value, expect: &Expect) {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(|record_sets| edit(record_sets));
    let mut input = canary();
    for (key, value) in more.as_object().unwrap() {
        input[key] = value.clone();
    }
    let planned = run(simulation.plan("run", &input)).unwrap();
    let warnings = Simulation::warnings(&planned);
    // Every leased migration of the blueprint zone has this warning, because its two ExternalDNS
    // have different versions.
    let is_leased = more["externalDns"]["mode"] != "ignore";
    let other_warnings = warnings
        .iter()
        .filter(|warning| !(is_leased && warning.contains("named differently")));
    let lines: Vec<_> = other_warnings
        .map(|warning| format!("{warning}\n"))
        .collect();
    expect.assert_eq(&lines.concat());
}

fn edit_records_of(record_sets: &mut [RecordSet], name: &str, edit: impl Fn(&mut RecordSet)) {
    for record_set in record_sets {
        if record_set.name.as_str() == format!("{name}.eks-blueprint.example.com") {
            edit(record_set);
        }
    }
}

#[test]
fn the_blueprint_zone_has_no_other_warning() {
    check_warnings(|_| {}, &json!({}), &expect![""]);
}

#[test]
fn a_watched_alarm_whose_event_starts_no_rollback_is_reported() {
    let simulation = Simulation::blueprint();
    simulation.world.settings.borrow_mut().alarm_name_prefix = "green-".to_owned();
    let mut input = canary();
    input["alarms"] = json!({"names": ["green-errors", "errors"], "prefixes": ["green"]});
    let planned = run(simulation.plan("run", &input)).unwrap();
    let warnings = Simulation::warnings(&planned);
    let warning = warnings.iter().find(|it| it.contains("AlarmNamePrefix"));
    expect![[r#"
        alarm-outside-prefix: the events of some watched alarms do not start a rollback, because their names need not begin with "green-", the parameter AlarmNamePrefix of the stack: "errors", "green"; only the health checks notice these alarms; watch alarms with that prefix, or change the parameter
    "#]]
    .assert_eq(&format!("{}\n", warning.unwrap()));
}

#[test]
fn a_long_ttl_is_reported_with_the_time_by_which_it_delays_a_rollback() {
    let give_a_ttl = |seconds| {
        move |record_sets: &mut Vec<RecordSet>| {
            edit_records_of(record_sets, "legacy", |record_set| {
                if let RecordData::Values { ttl_seconds, .. } = &mut record_set.data {
                    *ttl_seconds = seconds;
                }
            });
        }
    };
    let mut input = json!({"names": ["legacy.eks-blueprint.example.com"]});
    check_warnings(
        give_a_ttl(600),
        &input,
        &expect![[r#"
        no-registry: these names have no registry TXT of ExternalDNS; a registry in DynamoDB, or none (noop), can't be seen in the zone, and an ExternalDNS that owns the records and runs with policy sync or upsert-only puts weights back, which the migration reports as drift: run it with --policy=create-only until the migration has ended
    "#]],
    );
    input["ttlFactor"] = 2.into();
    check_warnings(
        give_a_ttl(7_200),
        &input,
        &expect![[r#"
        no-registry: these names have no registry TXT of ExternalDNS; a registry in DynamoDB, or none (noop), can't be seen in the zone, and an ExternalDNS that owns the records and runs with policy sync or upsert-only puts weights back, which the migration reports as drift: run it with --policy=create-only until the migration has ended
        long-ttl: names have long TTLs: legacy.eks-blueprint.example.com (7200 seconds) (1 in all); each step waits for 7200 seconds times ttlFactor, and for 7200 seconds after a rollback resolvers may still send clients to the new side; give the records a TTL of 60 seconds, and start 7200 seconds after that
    "#]],
    );
}

/// Without the permission, or if Route 53 does not answer.
#[test]
fn an_unknown_limit_of_the_zone_is_reported() {
    let simulation = Simulation::blueprint();
    simulation
        .route53
        .inject_fault_into("GetHostedZoneLimit", 0, Fault::Refused);
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let warnings = Simulation::warnings(&planned);
    expect![[r#"
        txt-names-differ: the registry TXT records of the two sides are named differently: \052.apps.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A and AAAA of eks-blueprint-green) (and 4 more); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations
        record-limit-unknown: it is unknown whether the zone has room for 7 journals, one more record set for each name (GetHostedZoneLimit is not permitted (AccessDenied); the stack's template grants this permission: deploy the stack again, and look for a service control policy that denies it); compare its number of record sets with its quota, 10000 by default, before the start
    "#]].assert_eq(&format!("{}\n", warnings.join("\n")));
}

#[test]
fn a_zone_without_room_for_the_journals_is_refused_and_one_with_room_is_planned() {
    let simulation = Simulation::blueprint();
    let count = simulation.route53.record_sets().len();
    simulation.route53.set_record_limit(count + 6);
    let error = run(simulation.plan("run", &canary())).unwrap_err();
    expect![[r#"
        InvalidInput: names: the zone has 49 of at most 55 record sets, and the migration would add 7 journals, one for each name; delete records that nobody needs, move fewer names in one migration, or ask AWS for a higher quota
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    simulation.route53.set_record_limit(count + 7);
    simulation.migrate("run", &canary()).unwrap();
}

#[test]
fn the_same_owner_id_on_both_sides_is_reported() {
    check_warnings(
        |record_sets| {
            replace_in_values(
                record_sets,
                |_| true,
                "owner=eks-blueprint-green",
                "owner=eks-blueprint-blue",
            );
        },
        &json!({}),
        &expect![[r#"
            same-owner: both sides have the same ExternalDNS owner id: eks-blueprint-blue; two instances with the same id delete each other's records under policy sync: give each of the clusters of eks-blueprint-blue and eks-blueprint-green its own --txt-owner-id
        "#]],
    );
}

#[test]
fn a_txt_weight_that_differs_from_its_record_is_reported() {
    check_warnings(
        |record_sets| {
            edit_records_of(record_sets, "cname-burnham", |text| {
                if let Routing::Weighted { weight, .. } = &mut text.routing {
                    *weight = 90;
                }
            });
        },
        &json!({}),
        &expect![[r#"
            txt-weight-differs: a registry TXT has another weight than its record: cname-burnham.eks-blueprint.example.com of eks-blueprint-blue has weight 90 instead of 100; ExternalDNS can't delete such a record and its TXT; the migration gives both the same weight
        "#]],
    );
}

#[test]
fn a_missing_registry_txt_of_one_side_is_reported() {
    check_warnings(
        |record_sets| {
            record_sets.retain(|record_set| {
                !(record_set.name.as_str().contains("-skiapp")
                    && record_set
                        .weighted()
                        .is_some_and(|(side, _)| side.as_str() == GREEN))
            });
        },
        &json!({}),
        &expect![[r#"
            txt-missing: a record has no registry TXT, although other records of its name have one: skiapp.eks-blueprint.example.com A of eks-blueprint-green (and 1 more); the ExternalDNS of its cluster does not own it, or has its registry elsewhere: check its logs and its --registry
        "#]],
    );
}

#[test]
fn a_registry_txt_of_a_deleted_object_is_reported() {
    check_warnings(
        |record_sets| {
            let mut text = text_of_argocd(record_sets);
            text.name = "a-gone.eks-blueprint.example.com".parse().unwrap();
            replace_in_values(
                std::slice::from_mut(&mut text),
                |_| true,
                "ingress/argocd/",
                "ingress/gone/",
            );
            record_sets.push(text);
        },
        &json!({}),
        &expect![[r#"
            txt-without-record: a registry TXT belongs to no record, and no record to its Kubernetes object: a-gone.eks-blueprint.example.com of eks-blueprint-green; if ExternalDNS runs with --txt-prefix, --txt-suffix or --txt-wildcard-replacement, write the same into externalDns.from and externalDns.to; if its object has been deleted, it can be deleted, too
        "#]],
    );
}

#[test]
fn a_registry_txt_without_a_record_is_left_to_external_dns_while_its_object_has_others() {
    check_warnings(
        |record_sets| {
            let mut text = text_of_argocd(record_sets);
            text.name = "a-gone.eks-blueprint.example.com".parse().unwrap();
            record_sets.push(text);
        },
        &json!({}),
        &expect![[r#"
            txt-without-record: a registry TXT belongs to no record: a-gone.eks-blueprint.example.com of eks-blueprint-green; leave it to ExternalDNS: its Kubernetes object has other records
        "#]],
    );
}

fn text_of_argocd(record_sets: &[RecordSet]) -> RecordSet {
    let is_it = |it: &&RecordSet| it.name.as_str() == "a-argocd.eks-blueprint.example.com";
    record_sets.iter().find(is_it).unwrap().clone()
}

#[test]
fn the_owner_id_default_is_reported() {
    check_warnings(
        |record_sets| {
            replace_in_values(
                record_sets,
                |_| true,
                "owner=eks-blueprint-green",
                "owner=default",
            );
        },
        &json!({}),
        &expect![[r#"
            default-owner: an ExternalDNS has the owner id that every one without --txt-owner-id has (default): 5 names of eks-blueprint-green; another one in any cluster that reaches this zone deletes these records under policy sync: give each cluster its own --txt-owner-id, before the migration or after its release
        "#]],
    );
}

/// A Kubernetes object has one set identifier, so the records of one instance are of different objects.
#[test]
fn one_owner_of_different_objects_is_told_apart_from_two_clusters_with_one_id() {
    check_warnings(
        |record_sets| {
            for (of, route) in [("ingress/", "httproute/"), ("service/", "tlsroute/")] {
                let of = format!("owner=eks-blueprint-green,external-dns/resource={of}");
                let by = format!("owner=eks-blueprint-blue,external-dns/resource={route}");
                replace_in_values(record_sets, |_| true, &of, &by);
            }
        },
        &json!({}),
        &expect![[r#"
            one-external-dns: both sides have the same ExternalDNS owner id, for different objects: eks-blueprint-blue (\052.apps.eks-blueprint.example.com by service/team-apps/gateway of eks-blueprint-blue and tlsroute/team-apps/gateway of eks-blueprint-green); if one ExternalDNS runs in one cluster with both, the migration leases and releases the records of both as it does for two: update the annotations of the objects of both sides before the release, and delete those of eks-blueprint-blue only after it; if these are two clusters, give each its own --txt-owner-id, because two instances with the same id delete each other's records under policy sync
        "#]],
    );
}

#[test]
fn a_pending_change_of_an_owner_id_is_reported() {
    check_warnings(
        |record_sets| {
            replace_in_values(
                record_sets,
                |it| it.name.as_str().contains("argocd"),
                "owner=eks-blueprint-green",
                "owner=green",
            );
        },
        &json!({}),
        &expect![[r#"
            several-owners: the registry TXT records of one side have several owners: eks-blueprint-green (4 names), green (1 name) of eks-blueprint-green; if the owner id of an ExternalDNS is being changed (--migrate-from-txt-owner), wait until all of its records have the new one, or keep that flag until the migration is released: each TXT gets back the id that it has now, and no ExternalDNS changes or deletes records with an id that none of them has
        "#]],
    );
}

#[test]
fn a_simple_record_of_external_dns_is_reported() {
    check_warnings(
        |record_sets| {
            let of_burnham = |record_set: &&RecordSet| {
                record_set.name.as_str() == "cname-burnham.eks-blueprint.example.com"
            };
            let mut text = record_sets.iter().find(of_burnham).unwrap().clone();
            text.name = "a-plain.eks-blueprint.example.com".parse().unwrap();
            text.routing = Routing::Simple;
            record_sets.push(text);
        },
        &json!({}),
        &expect![[r#"
            simple-record: an ExternalDNS of these clusters owns a simple record: plain.eks-blueprint.example.com of eks-blueprint-blue; it can't be migrated, and no other cluster can create a weighted record with its name and type: add the annotations set-identifier and aws-weight to its Ingress or Service
        "#]],
    );
}

#[test]
fn names_without_records_of_the_new_side_are_reported() {
    check_warnings(
        |record_sets| {
            record_sets.retain(|record_set| {
                !(record_set.name.as_str().contains("burnham")
                    && record_set
                        .weighted()
                        .is_some_and(|(side, _)| side.as_str() == GREEN))
            });
        },
        &json!({}),
        &expect![[r#"
            names-without-to: names with records of eks-blueprint-blue have none of eks-blueprint-green and are not moved: burnham.eks-blueprint.example.com (1 in all); if the cluster of the new side runs these workloads, check their annotations: from v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with external-dns.alpha.kubernetes.io/
        "#]],
    );
}

#[test]
fn names_without_any_registry_txt_are_reported() {
    check_warnings(
        |_| {},
        &json!({"names": ["legacy.eks-blueprint.example.com"]}),
        &expect![[r#"
            no-registry: these names have no registry TXT of ExternalDNS; a registry in DynamoDB, or none (noop), can't be seen in the zone, and an ExternalDNS that owns the records and runs with policy sync or upsert-only puts weights back, which the migration reports as drift: run it with --policy=create-only until the migration has ended
        "#]],
    );
}

#[test]
fn owned_records_without_a_lease_are_reported() {
    check_warnings(
        |_| {},
        &json!({"externalDns": {"mode": "ignore"}}),
        &expect![[r#"
            not-leased: ExternalDNS owns records of these names (owners eks-blueprint-blue, eks-blueprint-green) and they are not leased, because externalDns.mode is "ignore"; with policy sync or upsert-only it puts a changed weight back within its interval, which the migration reports as drift: run it with --policy=create-only until the migration has ended
        "#]],
    );
}
