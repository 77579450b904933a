//! Rollbacks of names of which a load balancer is gone, so that Route 53 refuses to create their aliases again.

use std::collections::BTreeSet;

use fakes::{CHANGE, Fault};
use migration::dns::{RecordData, RecordSet, RecordType, SetIdentifier};
use serde_json::json;

use crate::Simulation;
use crate::failed::{
    FirstPass, NAMES, journaled, name, shift_and_fail, writes_of_a_clean_rollback, zone,
};
use crate::oracle::{lock, registered};
use crate::zones::{self, BLUE, GREEN, alias};

/// The load balancer of a single name.
const OWN: &str = "own-1234567890.eu-west-3.elb.amazonaws.com.";

fn shared(side: &str) -> String {
    alias(side)["DNSName"].as_str().unwrap().to_owned()
}

/// A migration that has shifted half of the traffic and failed. Of each of these names, the records of a side
/// are aliases of [`OWN`].
fn shifted(own: &[(usize, &str)]) -> Simulation {
    let simulation = zone();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let is_own = own.iter().any(|(number, side)| {
                let identifier = record_set.weighted().map(|(identifier, _)| identifier);
                record_set.name == name(*number)
                    && identifier.map(SetIdentifier::as_str) == Some(*side)
            });
            if let RecordData::Alias { dns_name, .. } = &mut record_set.data
                && is_own
            {
                OWN.clone_into(dns_name);
            }
        }
    });
    shift_and_fail(&simulation, &["*"]);
    simulation
}

/// Removes a load balancer. If `text` is none, the refusal has the text that was seen of Route 53.
fn remove(simulation: &Simulation, dns_name: &str, text: Option<&str>) {
    match text {
        None => simulation.route53.remove_load_balancer(dns_name),
        Some(text) => simulation.route53.remove_load_balancer_with(dns_name, text),
    }
    let mut oracle = lock(&simulation.world.oracle);
    oracle.gone_targets.insert(dns_name.to_owned());
}

/// Makes the first pass of a rollback.
fn roll_back(simulation: &Simulation) -> FirstPass {
    let pass = FirstPass::of(simulation);
    simulation.expect_invariants();
    pass
}

/// The record sets of a name, with its registry TXT records and its journal.
fn of_name(simulation: &Simulation, number: usize) -> Vec<RecordSet> {
    let mut record_sets = simulation.route53.record_sets();
    record_sets.retain(|it| {
        let covered = registered(it).or_else(|| it.name.journaled());
        covered.unwrap_or_else(|| it.name.clone()) == name(number)
    });
    record_sets
}

/// Checks that a name has records of the old side only, at their original weights, and no journal.
#[track_caller]
fn expect_old_side_only(simulation: &Simulation, number: usize) {
    let original = Simulation::new(&zones::registered(number + 1));
    let mut expected = of_name(&original, number);
    expected.retain(|it| it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE));
    assert_eq!(of_name(simulation, number), expected);
}

#[test]
fn all_traffic_goes_to_the_old_side_if_the_new_load_balancer_is_gone() {
    let (clean, bisection) = writes_of_a_clean_rollback();
    let simulation = shifted(&[]);
    remove(&simulation, &shared(GREEN), None);
    let pass = roll_back(&simulation);
    let (answer, writes) = (&pass.answer, pass.writes());
    assert_eq!(answer["restored"], NAMES);
    assert_eq!(answer["problems"], json!([]));
    for number in 0..NAMES {
        expect_old_side_only(&simulation, number);
    }
    // Each batch is refused, one of them is bisected, and each is written without the new side.
    assert!(
        writes <= 2 * clean + bisection + 1,
        "{writes}, {clean} without a refusal"
    );
    let report = &answer["migrations"][0];
    assert_eq!(report["weights"], json!({}));
    let found = report["found"].to_string();
    let deleted = format!("A alias {} weight 0", shared(GREEN));
    assert!(found.contains(&deleted), "{found}");
}

#[test]
fn one_name_without_its_new_load_balancer_costs_one_write_more_than_a_refused_one() {
    let (clean, bisection) = writes_of_a_clean_rollback();
    for number in [0, 1, 7, 50, NAMES - 1] {
        let simulation = shifted(&[(number, GREEN)]);
        remove(&simulation, OWN, None);
        let pass = roll_back(&simulation);
        let (answer, writes) = (&pass.answer, pass.writes());
        assert_eq!(answer["restored"], NAMES, "{number}");
        assert_eq!(answer["problems"], json!([]));
        assert_eq!(journaled(&simulation), BTreeSet::new());
        expect_old_side_only(&simulation, number);
        assert_eq!(
            answer["migrations"][0]["weights"],
            json!({"100/0": 2 * (NAMES - 1)})
        );
        assert!(
            writes <= clean + bisection + 1,
            "{number}: {writes}, {clean} without a refusal"
        );
    }
}

/// Once the first of them has shown that its target is gone, the second one is written without it at once, and the
/// others of its batch as usual.
#[test]
fn two_names_without_their_new_load_balancer_do_not_keep_the_others_from_being_restored() {
    let simulation = shifted(&[(7, GREEN), (12, GREEN)]);
    remove(&simulation, OWN, None);
    let FirstPass { answer, .. } = roll_back(&simulation);
    assert_eq!(answer["restored"], NAMES);
    assert_eq!(answer["problems"], json!([]));
    assert_eq!(journaled(&simulation), BTreeSet::new());
    for number in [7, 12] {
        expect_old_side_only(&simulation, number);
    }
}

/// Name 70 has two targets, and it is not known which of them is gone. Name 10 has the other one, in a batch that is
/// refused because of name 11.
#[test]
fn a_load_balancer_counts_as_gone_only_if_a_refused_name_has_no_other_one() {
    let other = "other-1234567890.eu-west-3.elb.amazonaws.com.";
    let simulation = zone();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let is_green = record_set
                .weighted()
                .is_some_and(|(side, _)| side.as_str() == GREEN);
            let target = match &record_set.record_type {
                RecordType::A if record_set.name == name(70) => OWN,
                RecordType::Aaaa if record_set.name == name(70) => other,
                _ if record_set.name == name(10) => other,
                _ => continue,
            };
            if let RecordData::Alias { dns_name, .. } = &mut record_set.data
                && is_green
            {
                target.clone_into(dns_name);
            }
        }
    });
    let before = of_name(&simulation, 10);
    shift_and_fail(&simulation, &["*"]);
    remove(&simulation, OWN, None);
    // The records of the new side at name 70 are deleted together.
    let mut oracle = lock(&simulation.world.oracle);
    oracle.gone_targets.insert(other.to_owned());
    drop(oracle);
    simulation.route53.protect(&name(11));
    let FirstPass { answer, .. } = roll_back(&simulation);
    assert_eq!(answer["restored"], NAMES - 1);
    assert_eq!(of_name(&simulation, 10), before);
    expect_old_side_only(&simulation, 70);
}

/// AWS does not document the text of the refusal.
#[test]
fn the_text_of_the_refusal_does_not_decide() {
    for text in ["InvalidChangeBatch", "the target of the alias is invalid"] {
        for (own, target) in [(vec![], shared(GREEN)), (vec![(7, GREEN)], OWN.to_owned())] {
            let simulation = shifted(&own);
            remove(&simulation, &target, Some(text));
            let FirstPass { answer, .. } = roll_back(&simulation);
            assert_eq!(answer["restored"], NAMES, "{text}");
            assert_eq!(journaled(&simulation), BTreeSet::new());
            expect_old_side_only(&simulation, 7);
        }
    }
}

/// Restoring would send its traffic to nothing.
#[test]
fn a_name_without_its_old_load_balancer_stays_and_is_reported_first() {
    for text in [None, Some("InvalidChangeBatch")] {
        let simulation = shifted(&[(50, BLUE)]);
        remove(&simulation, OWN, text);
        simulation.route53.protect(&name(3));
        let before = of_name(&simulation, 50);
        let FirstPass { answer, .. } = roll_back(&simulation);
        assert_eq!(of_name(&simulation, 50), before);
        assert_eq!(answer["restored"], NAMES - 2);
        assert_eq!(journaled(&simulation), BTreeSet::from([name(3), name(50)]));
        let problems = answer["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 2);
        if text.is_none() {
            let first = problems[0].as_str().unwrap();
            assert!(first.contains(name(50).as_str()), "{first}");
            assert!(first.contains("is gone") && first.contains(OWN), "{first}");
            let message = answer["message"].as_str().unwrap();
            assert!(
                message.starts_with("the load balancer of the old side is gone"),
                "{message}"
            );
        }
    }
}

#[test]
fn a_name_without_both_load_balancers_stays() {
    let simulation = shifted(&[(50, BLUE)]);
    remove(&simulation, OWN, None);
    remove(&simulation, &shared(GREEN), None);
    let before = of_name(&simulation, 50);
    let FirstPass { answer, .. } = roll_back(&simulation);
    assert_eq!(of_name(&simulation, 50), before);
    assert_eq!(answer["restored"], NAMES - 1);
    let problems = answer["problems"].to_string();
    assert!(
        problems.contains(name(50).as_str()) && problems.contains(OWN),
        "{problems}"
    );
}

/// A refusal that passes deletes no record, wherever it comes.
#[test]
fn a_refusal_that_passes_deletes_nothing() {
    let original = zone().route53.to_cli_json();
    for number in 0..20 {
        let simulation = shifted(&[]);
        let refused = Fault::Refused;
        simulation
            .route53
            .inject_fault_into(CHANGE, number, refused);
        roll_back(&simulation);
        assert_eq!(simulation.route53.to_cli_json(), original, "{number}");
    }
}

/// A protected name is no name without a load balancer.
#[test]
fn a_refusal_for_another_reason_deletes_nothing() {
    let simulation = shifted(&[]);
    for number in [0, 7] {
        simulation.route53.protect(&name(number));
    }
    let before = [0, 7].map(|number| of_name(&simulation, number));
    roll_back(&simulation);
    assert_eq!([0, 7].map(|number| of_name(&simulation, number)), before);
}

#[test]
fn a_fault_at_any_write_changes_nothing_in_the_end() {
    for text in [None, Some("InvalidChangeBatch")] {
        for number in 0..20 {
            for fault in [Fault::AnswerLost, Fault::Unavailable, Fault::Throttled] {
                let simulation = shifted(&[(7, GREEN)]);
                remove(&simulation, OWN, text);
                simulation.route53.inject_fault_into(CHANGE, number, fault);
                let rolled_back = simulation.roll_back_whole("run").unwrap();
                assert_eq!(rolled_back["restored"], NAMES, "{number}");
                simulation.expect_invariants();
                assert_eq!(journaled(&simulation), BTreeSet::new());
                expect_old_side_only(&simulation, 7);
            }
        }
    }
}

/// The answer to the first attempt of the last write was lost, and Route 53 refuses its repetition.
#[test]
fn a_refused_write_without_the_new_side_that_was_applied_is_reported_as_restored() {
    let new = || {
        let simulation = shifted(&[(7, GREEN)]);
        remove(&simulation, OWN, Some("InvalidChangeBatch"));
        simulation
    };
    let accepted = new();
    let expected = roll_back(&accepted);
    let restored = accepted.route53.record_sets();
    let simulation = new();
    simulation.route53.inject_fault_into(
        CHANGE,
        expected.writes() - 1,
        Fault::OtherWriter(Box::new(move |record_sets| *record_sets = restored)),
    );
    let FirstPass { answer, .. } = roll_back(&simulation);
    assert_eq!(answer["restored"], NAMES);
    assert_eq!(answer["problems"], json!([]));
    let found = answer["migrations"][0]["found"].to_string();
    assert!(
        found.contains(&format!("A alias {OWN} weight 0")),
        "{found}"
    );
}

/// Without the new side, the type whose traffic was there before the migration would have weights of 0 only.
#[test]
fn a_name_stays_that_would_have_no_traffic_in_one_of_its_types() {
    let simulation = Simulation::new(&zones::registered(1));
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let is_aaaa = record_set.record_type == RecordType::Aaaa
                || record_set.name.as_str().starts_with("aaaa-");
            if let Some((side, _)) = record_set.weighted()
                && is_aaaa
            {
                let weight = if side.as_str() == BLUE { 0 } else { 100 };
                *record_set = record_set.with_weight(weight);
            }
        }
    });
    shift_and_fail(&simulation, &["*"]);
    remove(&simulation, &shared(GREEN), None);
    let before = of_name(&simulation, 0);
    let FirstPass { answer, .. } = FirstPass::of(&simulation);
    assert_eq!(answer["restored"], 0);
    let problems = answer["problems"].to_string();
    assert!(problems.contains(name(0).as_str()), "{problems}");
    assert_eq!(of_name(&simulation, 0), before);
}

/// Only the new side's records, which are deleted, must be aliases. The report has their original weights.
#[test]
fn all_traffic_goes_to_an_old_side_with_values_if_the_new_load_balancer_is_gone() {
    let simulation = Simulation::new(&zones::registered(1));
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let Some((side, _)) = record_set.weighted() else {
                continue;
            };
            let is_blue = side.as_str() == BLUE;
            *record_set = record_set.with_weight(if is_blue { 80 } else { 20 });
            let address = match record_set.record_type {
                RecordType::A => "192.0.2.1",
                RecordType::Aaaa => "2001:db8::1",
                _ => continue,
            };
            if is_blue {
                record_set.data = RecordData::Values {
                    ttl_seconds: 60,
                    values: vec![address.to_owned()],
                };
            }
        }
    });
    let mut expected = of_name(&simulation, 0);
    expected.retain(|it| it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE));
    shift_and_fail(&simulation, &["*"]);
    remove(&simulation, &shared(GREEN), None);
    let FirstPass { answer, .. } = roll_back(&simulation);
    assert_eq!(answer["restored"], 1, "{answer}");
    assert_eq!(of_name(&simulation, 0), expected);
    let found = answer["migrations"][0]["found"].to_string();
    let deleted = format!("A alias {} weight 20", shared(GREEN));
    assert!(found.contains(&deleted), "{found}");
}

/// Nothing is known to be gone of a record with values.
#[test]
fn a_record_that_is_no_alias_is_not_deleted() {
    let simulation = Simulation::blueprint();
    shift_and_fail(&simulation, &["legacy.eks-blueprint.example.com"]);
    let before = simulation.route53.to_cli_json();
    for number in 0..2 {
        let refused = Fault::Refused;
        simulation
            .route53
            .inject_fault_into(CHANGE, number, refused);
    }
    let FirstPass { answer, .. } = FirstPass::of(&simulation);
    assert_eq!(answer["restored"], 0);
    assert_eq!(simulation.route53.to_cli_json(), before);
}
