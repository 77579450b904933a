//! A plan for a zone that the world does not ask.

use expect_test::{Expect, expect};

use crate::Simulation;
use crate::invariants::{canary, run};

const OTHER_SERVERS: [&str; 2] = ["ns-9.awsdns-09.com", "ns-10.awsdns-10.net"];

#[track_caller]
fn check(prepare: impl FnOnce(&Simulation), expect: &Expect) {
    let simulation = Simulation::blueprint();
    prepare(&simulation);
    let shown = match run(simulation.plan("run", &canary())) {
        Ok(planned) => {
            let warnings = Simulation::warnings(&planned).into_iter();
            let of_delegation = warnings.filter(|it| it.starts_with("delegation"));
            format!("planned: {}", of_delegation.collect::<String>())
        }
        Err(error) => format!("{}: {error}", error.name()),
    };
    expect.assert_eq(&format!("{shown}\n"));
}

/// Gives the zone's servers and other ones an address of both types.
fn add_addresses(simulation: &Simulation, others: [&str; 2]) {
    let resolver = &simulation.world.resolver;
    for (host, number) in fakes::NAME_SERVERS.into_iter().chain(others).zip(1..) {
        resolver.add_address(host, &format!("192.0.2.{number}"));
        resolver.add_address(host, &format!("2001:db8::{number}"));
    }
}

#[test]
fn a_zone_without_a_delegation_is_refused() {
    check(
        |simulation| simulation.world.resolver.delegate(&[]),
        &expect![[r#"
            InvalidInput: hostedZoneId: nobody asks the zone eks-blueprint.example.com (Z0BLUEPRINT): eks-blueprint.example.com has no NS records, so its weights have no effect; delegate it to this zone's name servers (NS records in the parent zone, or at the registrar)
        "#]],
    );
}

#[test]
fn a_zone_of_a_name_that_is_delegated_elsewhere_is_refused() {
    check(
        |simulation| {
            add_addresses(simulation, OTHER_SERVERS);
            simulation.world.resolver.delegate(&OTHER_SERVERS);
        },
        &expect![[r#"
            InvalidInput: hostedZoneId: nobody asks the zone eks-blueprint.example.com (Z0BLUEPRINT): eks-blueprint.example.com is delegated to other name servers (ns-10.awsdns-10.net, ns-9.awsdns-09.com), so its weights have no effect; find out which zone they serve, or delegate the name to this zone's name servers
        "#]],
    );
}

/// Usually somebody created the zone twice.
#[test]
fn the_delegated_zone_is_named_if_it_is_in_the_same_account() {
    check(
        |simulation| {
            add_addresses(simulation, OTHER_SERVERS);
            simulation.world.resolver.delegate(&OTHER_SERVERS);
            let unrelated = ["ns-20.awsdns-20.com"];
            simulation
                .route53
                .add_zone_of_same_name("Z1UNRELATED", &unrelated);
            simulation
                .world
                .resolver
                .add_address(unrelated[0], "192.0.2.20");
            simulation
                .route53
                .add_zone_of_same_name("Z2DELEGATED", &OTHER_SERVERS);
        },
        &expect![[r#"
            InvalidInput: hostedZoneId: nobody asks the zone eks-blueprint.example.com (Z0BLUEPRINT): eks-blueprint.example.com is delegated to other name servers (ns-10.awsdns-10.net, ns-9.awsdns-09.com), so its weights have no effect; these are of the zone Z2DELEGATED of the same name: move its records
        "#]],
    );
}

#[test]
fn white_label_name_servers_are_recognized_by_their_addresses() {
    for address in ["192.0.2.2", "2001:db8::2"] {
        check(
            |simulation| {
                let resolver = &simulation.world.resolver;
                add_addresses(simulation, OTHER_SERVERS);
                resolver.delegate(&["ns1.example.com"]);
                resolver.add_address("ns1.example.com", address);
            },
            &expect![[r#"
                planned: 
            "#]],
        );
    }
}

/// The resolvers of its VPCs ask it, whatever is delegated.
#[test]
fn a_private_zone_needs_no_delegation() {
    check(
        |simulation| {
            simulation.route53.make_private();
            simulation.world.resolver.delegate(&[]);
        },
        &expect![[r#"
            planned: 
        "#]],
    );
}

#[test]
fn a_resolver_that_does_not_answer_is_a_warning() {
    check(
        |simulation| simulation.world.resolver.go_down(),
        &expect![[r#"
            planned: delegation-unknown: it is unknown whether the world asks the zone eks-blueprint.example.com (the look-up got no answer: no connections available); compare the answer of `dig NS eks-blueprint.example.com` with the name servers of the zone Z0BLUEPRINT before the start
        "#]],
    );
    // The servers are known, but not their addresses.
    check(
        |simulation| simulation.world.resolver.delegate(&OTHER_SERVERS),
        &expect![[r#"
            planned: delegation-unknown: it is unknown whether the world asks the zone eks-blueprint.example.com (the answer of the look-up of the zone's name servers can't be used: they have no addresses); compare the answer of `dig NS eks-blueprint.example.com` with the name servers of the zone Z0BLUEPRINT before the start
        "#]],
    );
}
