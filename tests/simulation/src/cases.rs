//! Zones of the kinds that users have, reduced from public reports, with invented names: the plan's
//! answer to each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect};
use external_dns::{Affix, Controller, Generation, Settings};
use fakes::{CHANGE, Fault, Time, record_sets_from_cli_json};
use migration::dns::{RecordSet, RecordType, Routing};
use serde_json::{Value, json};

use crate::events::at_50_percent;
use crate::external_dns::Clusters;
use crate::invariants::replace_in_values;
use crate::{Simulation, ZONE_ID};

/// The zone and the input of a case, in `tests/cases`.
pub(crate) fn case(name: &str) -> (Simulation, Value) {
    let read = |file: String| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../cases")
            .join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut input: Value = serde_json::from_str(&read(format!("{name}.input.json"))).unwrap();
    input["hostedZoneId"] = ZONE_ID.into();
    (Simulation::new(&read(format!("{name}.zone.json"))), input)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    futures_executor::block_on(future)
}

#[track_caller]
fn check_plan(simulation: &Simulation, input: &Value, expect: &Expect) {
    let mut shown = String::new();
    match run(simulation.plan("plan", input)) {
        Ok(planned) => {
            for line in planned["plan"]["summary"].as_array().unwrap() {
                let _ = writeln!(shown, "{}", line.as_str().unwrap());
            }
        }
        Err(error) => {
            let _ = writeln!(shown, "{}: {error}", error.name());
        }
    }
    expect.assert_eq(&shown);
}

#[test]
fn a_url_an_at_sign_and_a_bare_label_are_refused_with_what_to_write() {
    let (simulation, input) = case("12-pasted-url-and-at-sign");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        InvalidInput: names[0]: expected a DNS name, found the URL "https://app.example.com/"; write its host, "app.example.com"
    "#]],
    );
    for (name, expect) in [
        (
            "@",
            &expect![[r#"
        InvalidInput: names[0]: expected a DNS name, found "@"; write the name of the zone in full, such as example.com
    "#]],
        ),
        (
            "app",
            &expect![[r#"
        InvalidInput: names[0]: expected a name in the zone example.com (Z0BLUEPRINT), found app; did you mean app.example.com?
    "#]],
        ),
    ] {
        let mut input = input.clone();
        input["names"] = [name].as_slice().into();
        check_plan(&simulation, &input, expect);
    }
}

/// The TXT records of former flags are told from those that ExternalDNS keeps up.
#[test]
fn registry_txt_of_former_flags_in_the_input_are_refused() {
    let (simulation, input) = case("06-two-txt-prefixes-dead-one-told");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            InvalidInput: externalDns.from: two registry TXT records of dns-blue are for the A record of alertmanager.apps.example.com and for ingress/monitoring/alertmanager: _external_dns.alertmanager.apps.example.com (by {"txtPrefix": "_external_dns."}), and _external_dns.cname.alertmanager.apps.example.com (by {"txtPrefix": "_external_dns.%{record_type}."}) (and 1 more); ExternalDNS keeps up only those that its flags name, probably {"txtPrefix": "_external_dns.%{record_type}."}, whose names have the type of the record, as in all versions since v0.12; write the --txt-prefix, --txt-suffix and --txt-wildcard-replacement that the ExternalDNS of dns-blue runs with into externalDns.from, and leave both TXT records as they are
        "#]],
    );
    let mut untold = input.clone();
    untold.as_object_mut().unwrap().remove("externalDns");
    check_plan(
        &simulation,
        &untold,
        &expect![[r#"
            InvalidInput: externalDns.from: two registry TXT records of dns-blue are for the A record of alertmanager.apps.example.com and for ingress/monitoring/alertmanager: _external_dns.cname.alertmanager.apps.example.com (by {"txtPrefix": "_external_dns.%{record_type}."}), and _external_dns.alertmanager.apps.example.com (by {"txtPrefix": "_external_dns."}) (and 1 more); ExternalDNS keeps up only those that its flags name, probably {"txtPrefix": "_external_dns.%{record_type}."}, whose names have the type of the record, as in all versions since v0.12; write the --txt-prefix, --txt-suffix and --txt-wildcard-replacement that the ExternalDNS of dns-blue runs with into externalDns.from, and leave both TXT records as they are
        "#]],
    );
    // As the error says.
    let mut input = input;
    input["externalDns"]["from"] = input["externalDns"]["to"].clone();
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            2 names of example.com from dns-blue to dns-green
            4 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 2  0 s    1 min  5 min  no
            50       50/50 x 2  0 s    1 min  5 min  no
            100      0/100 x 2  0 s    1 min  5 min  no

            name                           types  weights  outcome
            alertmanager.apps.example.com  A      100/0    moves
            prometheus.apps.example.com    A      100/0    moves
            \052.apps.example.com          A               stays: simple routing

            A rollback writes all original weights in one call; resolvers follow within 1 min
            2 names leased from ExternalDNS until the release
            Warning txt-of-other-flags: a registry TXT belongs to no record under the flags of its side's ExternalDNS: _external_dns.alertmanager.apps.example.com of dns-blue ({"txtPrefix": "_external_dns."}) (and 1 more); it is most likely left over from former flags, because ExternalDNS never deletes such records; leave it, it does no harm; if ExternalDNS does run with these flags, write them into externalDns.from or externalDns.to, or it puts the weights back
        "#]],
    );
}

#[test]
fn registry_txt_of_flags_that_are_not_told_are_leased() {
    let (simulation, input) = case("07-txt-prefix-not-told");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from eks-blue to eks-green
            4 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 2  0 s    1 min  5 min  no
            50       50/50 x 2  0 s    1 min  5 min  no
            100      0/100 x 2  0 s    1 min  5 min  no

            name             types    weights  outcome
            app.example.com  A, AAAA  100/0    moves

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
            Warning txt-prefix-inferred: externalDns.from does not say how the ExternalDNS of eks-blue names its registry TXT records; those of 1 name show that it is {"txtPrefix": "extdns."}, such as extdns.aaaa-app.example.com; the migration works as if this were in the input: compare it with the --txt-prefix, --txt-suffix and --txt-wildcard-replacement of that ExternalDNS, and write it into externalDns.from
            Warning txt-prefix-inferred: externalDns.to does not say how the ExternalDNS of eks-green names its registry TXT records; those of 1 name show that it is {"txtPrefix": "extdns."}, such as extdns.aaaa-app.example.com; the migration works as if this were in the input: compare it with the --txt-prefix, --txt-suffix and --txt-wildcard-replacement of that ExternalDNS, and write it into externalDns.to
        "#]],
    );
}

/// A leased TXT shows the flags as well.
#[test]
fn a_lease_of_inferred_flags_is_adopted_with_the_same_ones_only() {
    let (simulation, mut input) = case("07-txt-prefix-not-told");
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    let next = run(simulation.plan("next", &input)).unwrap();
    assert_eq!(
        next["migration"]["externalDns"],
        planned["migration"]["externalDns"]
    );
    input["externalDns"] = json!({"from": {"txtPrefix": "extdns.%{record_type}-"}});
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        InvalidInput: externalDns.from: app.example.com was leased by an execution for which the registry TXT records were named by {"txtPrefix": "extdns."}, and this one has {"txtPrefix": "extdns.%{record_type}-"}; write the same into externalDns.from
    "#]],
    );
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// Its journals have the flags, and the input does not.
#[test]
fn a_lost_lease_of_inferred_flags_is_not_swept() {
    for is_lost in [false, true] {
        let (simulation, input) = case("07-txt-prefix-not-told");
        let before = simulation.route53.record_sets();
        at_50_percent(&simulation, "run", &input);
        simulation.executions.abort("run");
        if is_lost {
            let owner = format!("owner=cutover/{}", simulation.identity("run"));
            simulation.route53.edit(|record_sets| {
                replace_in_values(record_sets, |_| true, &owner, "owner=eks-blue");
            });
        }
        let left = simulation.route53.record_sets();
        simulation.world.clock.pass(Duration::from_hours(1));
        simulation.sweep(&rollback::Memory::default()).unwrap();
        simulation.settle();
        let expected = if is_lost { left } else { before };
        assert_eq!(simulation.route53.record_sets(), expected);
    }
}

/// The names and annotations of case 07's clusters, with the prefix that the input does not have.
#[test]
fn names_of_an_inferred_prefix_are_moved_rolled_back_and_released_beside_external_dns() {
    let settings = |owner: &str| Settings {
        affix: Affix::Prefix("extdns.".to_owned()),
        ..Settings::new(owner, Generation::CnameForAlias)
    };
    let (simulation, mut input) = case("07-txt-prefix-not-told");
    input["bakeSeconds"] = 0.into();
    input.as_object_mut().unwrap().remove("alarms");
    let zone = simulation.route53.record_sets();
    let clusters = Clusters {
        blue: Controller::of(settings("eks-blue"), &zone),
        green: Controller::of(settings("eks-green"), &zone),
        simulation,
    };
    clusters.expect_quiet();
    clusters.migrate("run", &input);
    assert_eq!(clusters.zone().matches("owner=cutover/").count(), 4);
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.simulation.route53.record_sets(), zone);
    clusters.expect_quiet();

    clusters.migrate("again", &input);
    clusters.update_annotations();
    clusters.release("again").unwrap();
    clusters.expect_quiet();
    assert!(!clusters.zone().contains("cutover"));
    clusters.expect_to_be_owned();
}

/// One migration moves names of which each has a pair of set identifiers of its own. The module `templates` has more.
#[test]
fn a_set_identifier_per_ingress_is_matched_by_templates() {
    let (simulation, input) = case("01-per-ingress-set-identifiers");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        3 names of example.com from *-blue to *-green
        6 record sets at 0 percent now; 3 steps, about 21 min if every check passes

        percent  weights    write  wait   bake   approval
        10       90/10 x 3  0 s    1 min  5 min  no
        50       50/50 x 3  0 s    1 min  5 min  no
        100      0/100 x 3  0 s    1 min  5 min  no

        name                     from                        to                           types  weights  outcome
        filter.apps.example.com  filter-ingress-filter-blue  filter-ingress-filter-green  A      100/0    moves
        hello.apps.example.com   hello-team-a-blue           hello-team-a-green           A      100/0    moves
        orders.apps.example.com  orders-external-shop-blue   orders-external-shop-green   A      100/0    moves

        A rollback writes all original weights in one call; resolvers follow within 1 min
        3 names leased from ExternalDNS until the release
    "#]],
    );
    // A TXT is found by its content, and belongs to the records with its own set identifier.
    let mut untold = input;
    untold.as_object_mut().unwrap().remove("externalDns");
    let planned = run(simulation.plan("untold", &untold)).unwrap();
    assert_eq!(planned["plan"]["leased"], 3);
    assert_eq!(Simulation::warnings(&planned).len(), 2);
}

/// A neighbour at weight 0 has no share that could change.
#[test]
fn a_third_record_at_weight_0_leaves_the_total_free_and_keeps_its_weight() {
    let (simulation, input) = case("03-drained-third-record");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from cluster1 to cluster2
            2 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 1  0 s    1 min  5 min  no
            50       50/50 x 1  0 s    1 min  5 min  no
            100      0/1 x 1    0 s    1 min  5 min  no

            name             types  weights  outcome
            app.example.com  A      1/0      moves

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
        "#]],
    );
    let mut input = input;
    input["bakeSeconds"] = 0.into();
    let before = weights(&simulation, "maintenance");
    simulation.migrate("run", &input).unwrap();
    assert_eq!(
        weights(&simulation, "cluster1"),
        [("app.example.com".to_owned(), 0)]
    );
    assert_eq!(
        weights(&simulation, "cluster2"),
        [("app.example.com".to_owned(), 1)]
    );
    assert_eq!(weights(&simulation, "maintenance"), before);
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(
        weights(&simulation, "cluster1"),
        [("app.example.com".to_owned(), 1)]
    );
}

/// The weights of the pair have another total than the original ones, so that the next step would change the share
/// of the third record.
#[test]
fn a_third_record_that_gets_a_weight_during_a_migration_is_drift() {
    let (simulation, input) = case("03-drained-third-record");
    let before = simulation.route53.record_sets();
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    set_maintenance(&simulation, 5);
    for answer in [
        run(simulation.shift(&planned, 1)),
        run(simulation.confirm(&planned, 10, &json!([]))),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.name(), "Drift");
        for part in [
            "A record maintenance of app.example.com",
            "the weight 5",
            "set that record to 0 again",
        ] {
            assert!(error.message().contains(part), "{}", error.message());
        }
    }
    set_maintenance(&simulation, 0);
    run(simulation.shift(&planned, 1)).unwrap();
    set_maintenance(&simulation, 5);
    simulation.executions.abort("run");
    simulation.roll_back_whole("run").unwrap();
    set_maintenance(&simulation, 0);
    assert_eq!(simulation.route53.record_sets(), before);
}

fn set_maintenance(simulation: &Simulation, weight: u8) {
    simulation.route53.edit(|zone| {
        for record_set in zone {
            if record_set
                .weighted()
                .is_some_and(|(side, _)| side.as_str() == "maintenance")
            {
                *record_set = record_set.with_weight(weight);
            }
        }
    });
}

/// ExternalDNS writes AAAA for every load balancer from v0.16 on. The probe finds out what such a record answers.
#[test]
fn a_type_that_only_one_side_has_moves_with_its_side() {
    let (simulation, mut input) = case("02-aaaa-on-green-only");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            3 names of example.com from eks-blue to eks-green
            8 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 3  0 s    1 min  5 min  no
            50       50/50 x 3  0 s    1 min  5 min  no
            100      0/100 x 3  0 s    1 min  5 min  no

            name              types    weights  outcome
            api.example.com   A, AAAA  100/0    moves
            app.example.com   A, AAAA  100/0    moves
            docs.example.com  A        100/0    moves

            A rollback writes all original weights in one call; resolvers follow within 1 min
            2 names leased from ExternalDNS until the release
            Warning one-sided-type: records of one type that only one side has get the weights of that side: api.example.com (AAAA of eks-green), app.example.com (AAAA of eks-green) (2 in all); before the start, the probe finds out whether their load balancers have addresses of that type: with an address, the migration does not start, because clients of that type would be on that side, whatever the weights are; to have the same types on both sides, run the ExternalDNS of that side with --exclude-record-types, or let that of the other side write the type, too
            Warning txt-names-differ: the registry TXT records of the two sides are named differently: api.example.com (CNAME and ANY of eks-blue, A and AAAA of eks-green) (and 1 more); both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its release, because an upgraded ExternalDNS writes its records again with the weights of the annotations
        "#]],
    );
    input["bakeSeconds"] = 0.into();
    let before = simulation.route53.record_sets();
    let of_green = weights(&simulation, "eks-green");
    simulation.migrate("run", &input).unwrap();
    let moved = weights(&simulation, "eks-green");
    assert_eq!(moved.len(), of_green.len());
    assert!(moved.iter().all(|(_, weight)| *weight == 100), "{moved:?}");
    assert_texts_follow(&simulation);
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);

    // Back again, when it is the side without traffic that lacks the type.
    simulation.migrate("there", &input).unwrap();
    run(release_all(&simulation, "there"));
    let mut back = input;
    (back["from"], back["to"]) = (back["to"].clone(), back["from"].clone());
    simulation.migrate("back", &back).unwrap();
    let back = weights(&simulation, "eks-green");
    assert_eq!(back.len(), of_green.len());
    assert!(back.iter().all(|(_, weight)| *weight == 0), "{back:?}");
    assert_texts_follow(&simulation);
}

async fn release_all(simulation: &Simulation, execution: &str) {
    let planned = simulation.plan_release(execution).await.unwrap();
    let names = planned["release"]["leased"].as_u64().unwrap();
    simulation
        .give_back_names(&planned, usize::try_from(names).unwrap())
        .await
        .unwrap();
    simulation.end_release(&planned).await.unwrap();
}

/// A registry TXT has the weight of its record, or ExternalDNS could never delete the two.
#[track_caller]
fn assert_texts_follow(simulation: &Simulation) {
    let record_sets = simulation.route53.record_sets();
    for text in record_sets.iter().filter(|it| !it.record_type.moves()) {
        let Some((side, weight)) = text.weighted() else {
            continue;
        };
        let of_side = weights(simulation, side.as_str());
        assert!(of_side.iter().all(|(_, it)| *it == weight), "{}", text.name);
    }
}

#[test]
fn a_type_that_only_one_side_has_needs_a_probe_or_consent() {
    let (simulation, input) = case("02-aaaa-on-green-only");
    let mut unprobed = input;
    unprobed["probe"] = json!({"enabled": false});
    check_plan(
        &simulation,
        &unprobed,
        &expect![[r#"
        NoSuchPair: only one side has records of a type: api.example.com (AAAA of eks-green), app.example.com (AAAA of eks-green) (2 in all); such a record answers whatever its weight is, and the probe, which would find out whether its load balancer has addresses of that type, is switched off (probe.enabled); switch it on, create the records of the other side, or accept it with acceptOneSidedTypes
    "#]],
    );
    unprobed["acceptOneSidedTypes"] = true.into();
    run(simulation.plan("accepted", &unprobed)).unwrap();
}

#[test]
fn a_registry_txt_with_another_weight_than_its_lone_record_is_a_warning() {
    let (simulation, input) = case("02-aaaa-on-green-only");
    simulation.route53.edit(|zone| {
        let mut texts = zone.iter_mut();
        let text = texts
            .find(|it| it.name.as_str() == "aaaa-api.example.com")
            .unwrap();
        *text = text.with_weight(5);
    });
    let planned = run(simulation.plan("plan", &input)).unwrap();
    let summary = planned["plan"]["summary"].to_string();
    let expected = "aaaa-api.example.com of eks-green has weight 5 instead of 0";
    assert!(summary.contains(expected), "{summary}");
}

/// It would give a third record another share, or there is nothing that moves with it.
#[test]
fn a_type_of_one_side_that_is_not_alone_is_refused() {
    let (simulation, input) = case("02-aaaa-on-green-only");
    let third = "third".parse().unwrap();
    simulation.route53.edit(|zone| {
        let aaaa = zone.iter().find(|it| it.record_type == RecordType::Aaaa);
        let mut other = aaaa.unwrap().clone();
        if let Routing::Weighted { set_identifier, .. } = &mut other.routing {
            *set_identifier = third;
        }
        zone.push(other);
    });
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        NoSuchPair: api.example.com has a weighted AAAA record of eks-green but none of eks-blue (the set identifiers of its weighted records are eks-blue, eks-green, third), so its AAAA traffic could not move; create the record of eks-blue, or exclude the name
    "#]],
    );

    let (simulation, mut input) = case("02-aaaa-on-green-only");
    simulation
        .route53
        .edit(|zone| zone.retain(|it| it.record_type != RecordType::A));
    input["names"] = ["app.example.com"].as_slice().into();
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        NoSuchPair: app.example.com has a weighted AAAA record of eks-green but none of eks-blue (the set identifiers of its weighted records are eks-green), so its AAAA traffic could not move; create the record of eks-blue, or exclude the name
    "#]],
    );
}

#[test]
fn another_writers_change_of_a_lone_record_is_drift() {
    type Edit = fn(&mut Vec<RecordSet>);
    let is_lone = |it: &RecordSet| it.record_type == RecordType::Aaaa;
    let reweigh: Edit = |zone| {
        let mut lone = zone
            .iter_mut()
            .filter(|it| it.record_type == RecordType::Aaaa);
        let first = lone.next().unwrap();
        *first = first.with_weight(7);
    };
    let delete: Edit = |zone| {
        let first = zone
            .iter()
            .position(|it| it.record_type == RecordType::Aaaa);
        zone.remove(first.unwrap());
    };
    for edit in [reweigh, delete] {
        let (simulation, input) = case("02-aaaa-on-green-only");
        let before = simulation.route53.record_sets();
        let planned = run(simulation.plan("run", &input)).unwrap();
        run(simulation.shift(&planned, 0)).unwrap();
        simulation.route53.edit(edit);
        for answer in [
            run(simulation.shift(&planned, 1)),
            run(simulation.confirm(&planned, 10, &json!([]))),
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.name(), "Drift", "{}", error.message());
            let part = "its AAAA record of eks-green, the only one of this type, has";
            assert!(error.message().contains(part), "{}", error.message());
        }
        simulation.executions.abort("run");
        simulation.roll_back_whole("run").unwrap();
        // It creates no record that another writer has deleted.
        let count = |zone: &[RecordSet]| zone.iter().filter(|it| is_lone(it)).count();
        let restored = simulation.route53.record_sets();
        let missing = before.iter().filter(|it| !restored.contains(it)).count();
        assert_eq!(missing, count(&before) - count(&restored));
    }
}

/// The step gives it the weight that it has. The first write contains it all the same.
#[test]
fn another_writers_change_of_a_lone_record_during_the_first_write_is_found() {
    let (simulation, input) = case("02-aaaa-on-green-only");
    let reweigh = |zone: &mut Vec<RecordSet>, weight| {
        let mut lone = zone
            .iter_mut()
            .filter(|it| it.record_type == RecordType::Aaaa);
        let first = lone.next().unwrap();
        *first = first.with_weight(weight);
    };
    simulation.route53.edit(|zone| reweigh(zone, 10));
    let planned = run(simulation.plan("run", &input)).unwrap();
    let other_writer = Fault::OtherWriter(Box::new(move |zone| reweigh(zone, 7)));
    simulation
        .route53
        .inject_fault_into(CHANGE, 0, other_writer);
    let error = run(simulation.shift(&planned, 0)).unwrap_err();
    assert_eq!(error.name(), "Conflict", "{error}");
}

#[test]
fn names_with_another_routing_policy_are_said_to_stay() {
    let (simulation, input) = case("10-latency-and-failover-names-stay-silently");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from eks-blue to eks-green
            2 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 1  0 s    1 min  5 min  no
            50       50/50 x 1  0 s    1 min  5 min  no
            100      0/100 x 1  0 s    1 min  5 min  no

            name                  types  weights  outcome
            app.example.com       A      100/0    moves
            grafana.example.com   A               stays: failover routing
            kubecost.example.com  A               stays: latency routing

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
            Warning other-routing: names with another routing policy than weighted are not moved: grafana.example.com (failover), kubecost.example.com (latency) (2 in all); their traffic stays where it is: make them weighted, with one record of each side, or move them in another way
        "#]],
    );
    // They were left out on purpose.
    let mut input = input;
    input["exclude"] = ["kubecost.example.com", "grafana.example.com"]
        .as_slice()
        .into();
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from eks-blue to eks-green
            2 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 1  0 s    1 min  5 min  no
            50       50/50 x 1  0 s    1 min  5 min  no
            100      0/100 x 1  0 s    1 min  5 min  no

            name                  types  weights  outcome
            app.example.com       A      100/0    moves
            grafana.example.com   A               stays: not selected
            kubecost.example.com  A               stays: not selected

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
        "#]],
    );
    input.as_object_mut().unwrap().remove("exclude");
    input["names"] = ["app.example.com"].as_slice().into();
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from eks-blue to eks-green
            2 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 1  0 s    1 min  5 min  no
            50       50/50 x 1  0 s    1 min  5 min  no
            100      0/100 x 1  0 s    1 min  5 min  no

            name                  types  weights  outcome
            app.example.com       A      100/0    moves
            grafana.example.com   A               stays: not selected
            kubecost.example.com  A               stays: not selected

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
        "#]],
    );
}

/// RFC 9460 has hints in HTTPS and SVCB records.
#[test]
fn records_that_point_at_a_moved_name_are_said_to_stay() {
    let (simulation, input) = case("10-latency-and-failover-names-stay-silently");
    for (name, record_type, value) in [
        (
            "app.example.com.",
            "HTTPS",
            "1 . alpn=h2 ipv4hint=192.0.2.1",
        ),
        (
            "_8443._https.app.example.com.",
            "SVCB",
            "1 app.example.com. port=8443",
        ),
        (
            "_web._tcp.app.example.com.",
            "SRV",
            "1 1 443 blue.example.com.",
        ),
        (
            "_web._tcp.other.example.com.",
            "SRV",
            "1 1 443 blue.example.com.",
        ),
        ("app.example.com.", "MX", "10 mail.example.com."),
    ] {
        let record_set = json!({"ResourceRecordSets": [{"Name": name, "Type": record_type, "TTL": 60,
            "ResourceRecords": [{"Value": value}]}]});
        let record_sets = record_sets_from_cli_json(&record_set.to_string());
        simulation.route53.edit(|zone| zone.extend(record_sets));
    }
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
            1 name of example.com from eks-blue to eks-green
            2 record sets at 0 percent now; 3 steps, about 21 min if every check passes

            percent  weights    write  wait   bake   approval
            10       90/10 x 1  0 s    1 min  5 min  no
            50       50/50 x 1  0 s    1 min  5 min  no
            100      0/100 x 1  0 s    1 min  5 min  no

            name                          types  weights  outcome
            app.example.com               A      100/0    moves
            grafana.example.com           A               stays: failover routing
            kubecost.example.com          A               stays: latency routing
            _8443._https.app.example.com  SVCB            stays: has no weights, points at a name that moves
            _web._tcp.app.example.com     SRV             stays: has no weights, points at a name that moves
            app.example.com               HTTPS           stays: has no weights, points at a name that moves

            A rollback writes all original weights in one call; resolvers follow within 1 min
            1 name leased from ExternalDNS until the release
            Warning other-routing: names with another routing policy than weighted are not moved: grafana.example.com (failover), kubecost.example.com (latency) (2 in all); their traffic stays where it is: make them weighted, with one record of each side, or move them in another way
            Warning pointing-records: records that point at moved names are not moved: _8443._https.app.example.com SVCB, _web._tcp.app.example.com SRV, app.example.com HTTPS (3 in all); if their hints (ipv4hint, ipv6hint) or targets name servers of one side, clients that follow them stay there, whatever the weights: remove the hints, or let the targets be names that move
        "#]],
    );
}

/// Records of `to` can't be created beside them, so the plan waits for nothing.
#[test]
fn simple_records_are_refused_at_once_although_records_are_awaited() {
    let (simulation, input) = case("11-simple-records-are-waited-for-in-vain");
    check_plan(
        &simulation,
        &input,
        &expect![[r#"
        UnsupportedRouting: no name has weighted records yet, and these have simple ones: api.example.com, app.example.com (2 in all); Route 53 accepts no weighted record of eks-green beside a simple one of the same name and type, so it is not waited for: first make the records of eks-blue weighted, by the annotations set-identifier and aws-weight of their Ingresses and Services
    "#]],
    );
    let started = simulation.world.clock.now();
    let failure = simulation.migrate("run", &input).unwrap_err();
    assert_eq!(failure.error, "UnsupportedRouting");
    let waited = simulation
        .world
        .clock
        .now()
        .duration_since(started)
        .unwrap();
    assert!(waited < Duration::from_mins(1), "{waited:?}");
    let mut of_pattern = input;
    of_pattern["names"] = ["app*"].as_slice().into();
    check_plan(
        &simulation,
        &of_pattern,
        &expect![[r#"
        UnsupportedRouting: no name has weighted records yet, and these have simple ones: app.example.com (1 in all); Route 53 accepts no weighted record of eks-green beside a simple one of the same name and type, so it is not waited for: first make the records of eks-blue weighted, by the annotations set-identifier and aws-weight of their Ingresses and Services
    "#]],
    );
}

/// The names with a weighted record of a side, and its weight.
fn weights(simulation: &Simulation, side: &str) -> Vec<(String, u8)> {
    let record_sets = simulation.route53.record_sets();
    let of_side = record_sets.iter().filter(|it| it.record_type.moves());
    of_side
        .filter_map(|it| {
            let (identifier, weight) = it.weighted()?;
            (identifier.as_str() == side).then(|| (it.name.to_string(), weight))
        })
        .collect()
}
