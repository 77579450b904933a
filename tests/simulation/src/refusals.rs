//! Refusals and warnings of the plan, each with its message. A plan writes nothing.

use expect_test::{Expect, expect};
use fakes::record_sets_from_cli_json;
use migration::dns::{Percent, RecordName, RecordSet, Routing};
use migration::plan::StackSettings;
use serde_json::{Value, json};

use crate::invariants::{canary, run};
use crate::{Simulation, ZONE_ID};

fn input(more: &Value) -> Value {
    let mut input = json!({
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "steps": [10, 50, 100],
    });
    for (key, value) in more.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

/// Plans in the blueprint zone after `edit`. Compares the error or the warnings with `expect`, and
/// checks that nothing is written.
#[track_caller]
fn check(edit: impl FnOnce(&mut Vec<RecordSet>), more: &Value, expect: &Expect) {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(edit);
    let before = simulation.route53.to_cli_json();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let shown = match runtime.block_on(simulation.plan("run", &input(more))) {
        Ok(planned) => {
            let warnings = Simulation::warnings(&planned);
            format!("planned, with warnings: {}", warnings.join("\n"))
        }
        Err(error) => format!("{}: {error}", error.name()),
    };
    expect.assert_eq(&format!("{shown}\n"));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

fn unchanged(_: &mut Vec<RecordSet>) {}

fn is_green_aaaa_of_burnham(record_set: &RecordSet) -> bool {
    record_set.name.as_str() == "burnham.eks-blueprint.example.com"
        && record_set.record_type.as_str() == "AAAA"
        && record_set
            .weighted()
            .is_some_and(|(identifier, _)| identifier.as_str() == "eks-blueprint-green")
}

#[test]
fn a_zone_that_does_not_exist_is_refused() {
    check(
        unchanged,
        &json!({"hostedZoneId": "Z0OTHER"}),
        &expect![[r#"
            NoSuchHostedZone: hostedZoneId: this account has no hosted zone Z0OTHER; use an id that `aws route53 list-hosted-zones` prints
        "#]],
    );
}

/// Neither a dry run nor a migration that was written by hand undercuts what the stack demands.
#[test]
fn what_the_stack_demands_is_demanded_of_every_plan_and_every_shift() {
    let floors = StackSettings {
        max_first_step: Percent::whole(5).unwrap(),
        ..StackSettings::default()
    };
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    *simulation.world.settings.borrow_mut() = floors;
    let mut dry = canary();
    dry["dryRun"] = true.into();
    for refused in [
        run(simulation.plan("again", &canary())),
        run(simulation.plan("dry", &dry)),
        run(simulation.shift(&planned, 0)),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(
            (error.name(), error.to_string().as_str()),
            (
                "InvalidInput",
                "steps: expected at most 5 percent in the first step (parameter MaxFirstStepPercent of the stack), \
                 found 10"
            )
        );
    }
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// A self-test has short bakes and no probe, but only under its own label.
#[test]
fn what_the_stack_demands_is_not_demanded_of_the_names_of_a_self_test() {
    let rename = |label: &str| {
        let simulation = Simulation::blueprint();
        let name: RecordName = format!("burnham.{label}.eks-blueprint.example.com")
            .parse()
            .unwrap();
        simulation.route53.edit(|live| {
            let burnham = live
                .iter_mut()
                .filter(|it| it.name.as_str() == "burnham.eks-blueprint.example.com");
            burnham.for_each(|record_set| record_set.name = name.clone());
        });
        *simulation.world.settings.borrow_mut() = StackSettings {
            require_probe: true,
            require_alarms: true,
            max_first_step: Percent::whole(5).unwrap(),
            min_bake_seconds: 60,
            alarm_name_prefix: String::new(),
        };
        let mut input = canary();
        input["names"] = json!([format!("*.{label}.eks-blueprint.example.com")]);
        input["bakeSeconds"] = json!(0);
        input["probe"] = json!({"enabled": false});
        let planned = run(simulation.plan("run", &input))?;
        run(simulation.shift(&planned, 0))
    };
    rename("_cutover-self-test").unwrap();
    assert_eq!(rename("self-test").unwrap_err().name(), "InvalidInput");
}

/// The steps that were reached before are left out of the plan.
#[test]
fn a_held_migration_is_continued_under_what_the_stack_demands() {
    let simulation = Simulation::blueprint();
    simulation.world.settings.borrow_mut().max_first_step = Percent::whole(10).unwrap();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("run", "Held", "Drift");
    let planned = run(simulation.plan("again", &canary())).unwrap();
    let first = &planned["migration"]["steps"][0]["percent"];
    assert_ne!(*first, 10);
    run(simulation.shift(&planned, 0)).unwrap();
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    check(
        unchanged,
        &json!({"names": ["burnam.eks-blueprint.example.com"]}),
        &expect![[r#"
            NoSuchPair: burnam.eks-blueprint.example.com has no weighted records of eks-blueprint-blue and eks-blueprint-green: the zone eks-blueprint.example.com has no record of that name; correct `names`, `from` or `to`, or create the records
        "#]],
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_refused() {
    check(
        unchanged,
        &json!({"names": ["*.team.eks-blueprint.example.com"]}),
        &expect![[r#"
            NoSuchPair: names[0]: *.team.eks-blueprint.example.com matches no name of the zone eks-blueprint.example.com that has weighted records of both eks-blueprint-blue and eks-blueprint-green: the set identifiers of its weighted records are eks-blueprint-blue, eks-blueprint-green, eks-dr; correct the pattern, `from` or `to`
        "#]],
    );
}

#[test]
fn a_name_outside_the_zone_is_refused() {
    check(
        unchanged,
        &json!({"names": ["burnham.example.org"]}),
        &expect![[r#"
            InvalidInput: names[0]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found burnham.example.org
        "#]],
    );
}

#[test]
fn a_set_identifier_with_a_typo_is_refused() {
    check(
        unchanged,
        &json!({"to": "eks-blueprint-gren"}),
        &expect![[r#"
            NoSuchPair: the zone eks-blueprint.example.com has no name with weighted records of both eks-blueprint-blue and eks-blueprint-gren; the set identifiers of its weighted records are eks-blueprint-blue, eks-blueprint-green, eks-dr; if the cluster of the new side runs these workloads, check their annotations: from v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with external-dns.alpha.kubernetes.io/
        "#]],
    );
}

#[test]
fn a_name_without_any_green_record_is_refused() {
    check(
        |record_sets| {
            record_sets.retain(|record_set| {
                record_set.name.as_str() != "skiapp.eks-blueprint.example.com"
                    || record_set.weighted().unwrap().0.as_str() != "eks-blueprint-green"
            });
        },
        &json!({"names": ["skiapp.eks-blueprint.example.com"]}),
        &expect![[r#"
            NoSuchPair: skiapp.eks-blueprint.example.com has a weighted A record of eks-blueprint-blue but none of eks-blueprint-green (the set identifiers of its weighted records are eks-blueprint-blue), so its A traffic could not move; create the record of eks-blueprint-green, or exclude the name
        "#]],
    );
}

#[test]
fn a_type_that_only_one_side_has_is_a_warning() {
    check(
        |record_sets| record_sets.retain(|record_set| !is_green_aaaa_of_burnham(record_set)),
        &json!({"names": ["burnham.eks-blueprint.example.com"]}),
        &expect![[r#"
            planned, with warnings: one-sided-type: records of one type that only one side has get the weights of that side: burnham.eks-blueprint.example.com (AAAA of eks-blueprint-blue) (1 in all); before the start, the probe finds out whether their load balancers have addresses of that type: with an address, the migration does not start, because clients of that type would be on that side, whatever the weights are; to have the same types on both sides, run the ExternalDNS of that side with --exclude-record-types, or let that of the other side write the type, too
            txt-names-differ: the registry TXT records of the two sides are named differently: burnham.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A of eks-blueprint-green); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations
            txt-without-record: a registry TXT belongs to no record: aaaa-burnham.eks-blueprint.example.com of eks-blueprint-green; leave it to ExternalDNS: its Kubernetes object has other records
        "#]],
    );
}

#[test]
fn weights_of_0_on_both_sides_are_refused() {
    check(
        |record_sets| reweigh(record_sets, "argocd.eks-blueprint.example.com", 0),
        &json!({}),
        &expect![[r#"
            AllZeroWeights: the A records of argocd.eks-blueprint.example.com have weight 0 on both eks-blueprint-blue and eks-blueprint-green, so Route 53 answers with all records equally; first give the side that serves now a weight above 0, or exclude the name
        "#]],
    );
}

#[test]
fn weights_of_0_on_both_sides_beside_another_identifier_are_refused() {
    check(
        |record_sets| {
            for record_set in record_sets {
                if let Routing::Weighted {
                    set_identifier,
                    weight,
                } = &mut record_set.routing
                    && set_identifier.as_str() == "eks-blueprint-blue"
                    && record_set.name.as_str() == "shared.eks-blueprint.example.com"
                {
                    *weight = 0;
                }
            }
        },
        &json!({"names": ["shared.eks-blueprint.example.com"]}),
        &expect![[r#"
            AllZeroWeights: the A records of shared.eks-blueprint.example.com have weight 0 on both eks-blueprint-blue and eks-blueprint-green, so only other set identifiers get traffic and there is none to move; first give the side that serves now a weight above 0, or exclude the name
        "#]],
    );
}

#[test]
fn simple_routing_is_refused() {
    check(
        unchanged,
        &json!({"names": ["plain.eks-blueprint.example.com"]}),
        &expect![[r#"
            UnsupportedRouting: the A record of plain.eks-blueprint.example.com has simple routing, expected weighted; make it weighted with one record of each side, or exclude the name
        "#]],
    );
}

#[test]
fn latency_routing_of_one_type_is_refused() {
    check(
        |record_sets| {
            for record_set in record_sets {
                if record_set.name.as_str() == "burnham.eks-blueprint.example.com"
                    && record_set.record_type.as_str() == "AAAA"
                {
                    record_set.routing = Routing::Other("latency");
                }
            }
        },
        &json!({}),
        &expect![[r#"
            UnsupportedRouting: the AAAA record of burnham.eks-blueprint.example.com has latency routing, expected weighted; make it weighted with one record of each side, or exclude the name
        "#]],
    );
}

#[test]
fn records_of_a_traffic_policy_are_refused() {
    check(
        |record_sets| {
            for record_set in record_sets {
                if record_set.name.as_str() == "burnham.eks-blueprint.example.com" {
                    record_set.traffic_policy_instance_id = Some("tp-1".into());
                }
            }
        },
        &json!({}),
        &expect![[r#"
            UnsupportedRouting: the A record of burnham.eks-blueprint.example.com belongs to a traffic policy and can't be changed alone; delete the traffic policy record, or exclude the name
        "#]],
    );
}

#[test]
fn a_step_that_no_weights_express_exactly_is_refused() {
    check(
        unchanged,
        &json!({"steps": [0.3, 100]}),
        &expect![[r#"
            InvalidInput: steps: no weights express 0.3 percent exactly; use a multiple of 0.5 or of 0.4
        "#]],
    );
}

#[test]
fn a_step_too_small_for_the_weights_beside_another_identifier_is_refused() {
    check(
        unchanged,
        &json!({"steps": [0.5, 100], "names": ["shared.eks-blueprint.example.com"]}),
        &expect![[r#"
            InvalidInput: steps: 0.5 percent can't be expressed at shared.eks-blueprint.example.com A: the weights of the pair must keep their total of 90, because records with other set identifiers have a share, and the nearest share is 0 percent; give the records of the name weights with the same shares: eks-blueprint-blue 189, eks-blueprint-green 0, eks-dr 21 (in the tool that writes them, such as Terraform), or exclude the name
        "#]],
    );
}

#[test]
fn more_checks_before_the_start_than_fit_into_the_execution_history_are_refused() {
    check(
        unchanged,
        &json!({"readyTimeoutSeconds": 86400, "checkSeconds": 30}),
        &expect![[r#"
            InvalidInput: readyTimeoutSeconds: 5760 checks before the first shift, one every 30 seconds, and 3 calls that shift the names would need about 69330 events, and an execution may use 22000 of its 25000; increase checkSeconds, lower readyTimeoutSeconds, or make fewer steps
        "#]],
    );
}

/// The health checks of a bake are events of the state machine `watch`.
#[test]
fn a_bake_of_days_is_planned() {
    let simulation = Simulation::blueprint();
    let mut input = canary();
    input["steps"] = json!([{"percent": 50, "bakeSeconds": 604_800}, 100]);
    input["checkSeconds"] = json!(10);
    input["maxBakeSeconds"] = json!(691_200);
    run(simulation.plan("run", &input)).unwrap();
}

/// Each step may bake for `maxBakeSeconds`, also where its bake time is short.
#[test]
fn a_migration_that_could_outlast_its_state_machine_is_refused() {
    check(
        unchanged,
        &json!({"steps": [10, 50, 100], "bakeSeconds": 60, "maxBakeSeconds": 1_209_600}),
        &expect![[r#"
            InvalidInput: maxBakeSeconds: the migration could take 3633660 seconds, more than the 2332800 that its state machine leaves for waits: 3 steps of up to 1209600 seconds (maxBakeSeconds) each, and 0 approvals of up to 86400 seconds (approvalTimeoutSeconds) with one more check of up to maxBakeSeconds each; lower maxBakeSeconds or approvalTimeoutSeconds, or make fewer steps
        "#]],
    );
}

#[test]
fn a_txt_record_that_is_no_journal_is_busy() {
    check(
        |record_sets| {
            let text = r#"{"ResourceRecordSets": [{"Name": "_cutover.burnham.eks-blueprint.example.com.",
                "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": "\"hello\""}]}]}"#;
            record_sets.extend(record_sets_from_cli_json(text));
        },
        &json!({}),
        &expect![[r#"
            Busy: the TXT record _cutover.burnham.eks-blueprint.example.com is not trusted as a journal: it does not begin with the format version `cutover=2`; if no migration wrote it, delete it, otherwise restore the value that the migration wrote (infra/README.md, "A journal was deleted or edited")
        "#]],
    );
}

/// The plan is passed from state to state, and Step Functions limits the size of that.
#[test]
fn more_names_than_fit_into_a_state_input_are_refused() {
    let label = "a".repeat(56);
    check(
        |record_sets| {
            let pair: Vec<_> = record_sets
                .iter()
                .filter(|it| it.name.as_str().starts_with("legacy."))
                .cloned()
                .collect();
            for number in 0..1_000 {
                let name = format!("{label}{number:04}.eks-blueprint.example.com");
                record_sets.extend(pair.iter().cloned().map(|record_set| RecordSet {
                    name: name.parse().unwrap(),
                    ..record_set
                }));
            }
        },
        &json!({}),
        &expect![[r#"
            InvalidInput: names: 1007 names are too many for one migration, which would have 64103 bytes as JSON, and at most 56000 can be passed from state to state; split them into several migrations with `names` or `exclude`
        "#]],
    );
}

#[test]
fn a_migration_without_alarms_and_probe_is_a_warning() {
    check(
        unchanged,
        &json!({"names": ["legacy.eks-blueprint.example.com"], "probe": {"enabled": false}}),
        &expect![[r#"
            planned, with warnings: no-registry: these names have no registry TXT of ExternalDNS; a registry in DynamoDB, or none (noop), can't be seen in the zone, and an ExternalDNS that owns the records and runs with policy sync or upsert-only puts weights back, which the migration reports as drift: run it with --policy=create-only until the migration has ended
            nothing-observed: no failure can be noticed, because the migration has no alarms and its probe is disabled; add alarms to `alarms.names`
        "#]],
    );
}

#[test]
fn registry_flags_that_external_dns_itself_refuses_are_refused() {
    check(
        unchanged,
        &json!({"externalDns": {"to": {"txtPrefix": "own-", "txtSuffix": "-own"}}}),
        &expect![[r#"
            InvalidInput: externalDns.to: expected txtPrefix or txtSuffix, found both, which ExternalDNS itself refuses
        "#]],
    );
    check(
        unchanged,
        &json!({"externalDns": {"from": {"txtPrefix": "own records"}}}),
        &expect![[r#"
            InvalidInput: externalDns.from.txtPrefix: expected the value of the flag of ExternalDNS (at most 253 letters, digits, `-`, `_` and `.`, or %{record_type}), found "own records"
        "#]],
    );
    check(
        unchanged,
        &json!({"externalDns": {"mode": "off"}}),
        &expect![[r#"
            InvalidInput: externalDns.mode: unknown variant `off`, expected `lease` or `ignore`
        "#]],
    );
    check(
        unchanged,
        &json!({"externalDns": {"txtPrefix": "own-"}}),
        &expect![[r#"
            InvalidInput: externalDns.txtPrefix: unknown field `txtPrefix`, expected one of `mode`, `from`, `to`
        "#]],
    );
}

#[test]
fn different_registry_namings_of_the_two_sides_are_a_warning() {
    check(
        unchanged,
        &json!({"names": ["burnham.eks-blueprint.example.com"]}),
        &expect![[r#"
            planned, with warnings: txt-names-differ: the registry TXT records of the two sides are named differently: burnham.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A and AAAA of eks-blueprint-green); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations
        "#]],
    );
}

#[test]
fn skipped_names_and_an_exclusion_without_a_match_are_warnings() {
    check(
        |record_sets| {
            record_sets.retain(|record_set| {
                record_set.name.as_str() != "legacy.eks-blueprint.example.com"
                    || record_set.weighted().unwrap().0.as_str() != "eks-blueprint-green"
            });
        },
        &json!({"exclude": ["burnam.eks-blueprint.example.com"]}),
        &expect![[r#"
            planned, with warnings: names-without-to: names with records of eks-blueprint-blue have none of eks-blueprint-green and are not moved: legacy.eks-blueprint.example.com (1 in all); if the cluster of the new side runs these workloads, check their annotations: from v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with external-dns.alpha.kubernetes.io/
            exclude-without-match: no name matches exclude[0] (burnam.eks-blueprint.example.com) (1 in all)
            txt-names-differ: the registry TXT records of the two sides are named differently: \052.apps.eks-blueprint.example.com (AAAA and CNAME of eks-blueprint-blue, A and AAAA of eks-blueprint-green) (and 4 more); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations
        "#]],
    );
}

fn reweigh(record_sets: &mut [RecordSet], name: &str, new_weight: u8) {
    for record_set in record_sets {
        if record_set.name.as_str() == name
            && let Routing::Weighted { weight, .. } = &mut record_set.routing
        {
            *weight = new_weight;
        }
    }
}
