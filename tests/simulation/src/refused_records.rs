//! Rollbacks in which Route 53 refuses the change of some names, or does not answer `GetHostedZone`.

use std::collections::BTreeSet;

use fakes::{CHANGE, Fault};
use serde_json::json;

use crate::failed::{FirstPass, NAMES, journaled, name, shifted, writes_of_a_clean_rollback};
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// The number of record sets of the zone, and its pages: a name and what belongs to it would take more.
const READS_OF_A_NAME: usize = 4;

/// The calls of a pass between its first write and its last one that are none.
fn reads_between_writes(pass: &FirstPass) -> usize {
    let is_write = |action: &&str| *action == CHANGE;
    let first = pass.actions.iter().position(is_write).unwrap();
    let last = pass.actions.iter().rposition(is_write).unwrap();
    last + 1 - first - pass.writes()
}

#[test]
fn one_refused_name_costs_only_the_writes_that_find_it() {
    let (clean, bisection) = writes_of_a_clean_rollback();
    assert!(clean > 2, "the rollback has only {clean} batches");
    for number in [1, 7, 50, NAMES - 1] {
        let simulation = shifted();
        simulation.route53.protect(&name(number));
        let pass = FirstPass::of(&simulation);
        assert_eq!(pass.answer["restored"], NAMES - 1);
        assert_eq!(journaled(&simulation), BTreeSet::from([name(number)]));
        let problems = pass.answer["problems"].to_string();
        assert!(problems.contains(name(number).as_str()), "{problems}");
        let writes = pass.writes();
        // When all others are restored, it is sent once more, and then without the new side, in case that its
        // load balancer is gone.
        assert!(
            writes <= clean + bisection + 2,
            "{number}: {writes}, {clean} without a refusal"
        );
        // All others are restored before it is read again. The first name of the first batch decides
        // about all, and is read at once.
        let reads = if number < 10 { READS_OF_A_NAME } else { 0 };
        assert_eq!(reads_between_writes(&pass), reads, "{number}");
    }
}

/// A completion that writes at the same time marks the first name, so it is read again at once.
#[test]
fn the_first_name_is_read_again_before_the_others_are_written() {
    let simulation = shifted();
    simulation.route53.protect(&name(0));
    let pass = FirstPass::of(&simulation);
    assert_eq!(pass.answer["restored"], NAMES - 1);
    assert_eq!(journaled(&simulation), BTreeSet::from([name(0)]));
    let writes: Vec<_> = pass
        .actions
        .iter()
        .rev()
        .skip_while(|it| **it != CHANGE)
        .collect();
    assert_ne!(reads_between_writes(&pass), 0, "{writes:?}");
}

#[test]
fn twenty_refused_names_do_not_keep_the_others_from_being_restored() {
    let (clean, bisection) = writes_of_a_clean_rollback();
    let simulation = shifted();
    let refused: BTreeSet<_> = (0..20).map(|number| name(4 * number + 3)).collect();
    for name in &refused {
        simulation.route53.protect(name);
    }
    let pass = FirstPass::of(&simulation);
    assert_eq!(pass.answer["restored"], NAMES - 20);
    assert_eq!(journaled(&simulation), refused);
    let writes = pass.writes();
    assert!(
        writes <= clean + 20 * bisection,
        "{writes}, {clean} without a refusal"
    );
}

/// The answer to the first attempt of a batch was lost, and Route 53 refuses its repetition.
#[test]
fn a_refused_batch_that_was_applied_is_not_bisected_to_its_end() {
    let (clean, _) = writes_of_a_clean_rollback();
    for batch in [0, 1] {
        let restored = shifted();
        FirstPass::of(&restored);
        let restored = restored.route53.record_sets();
        let simulation = shifted();
        simulation.route53.inject_fault_into(
            CHANGE,
            batch,
            Fault::OtherWriter(Box::new(move |record_sets| *record_sets = restored)),
        );
        let pass = FirstPass::of(&simulation);
        assert_eq!(pass.answer["restored"], NAMES);
        assert_eq!(pass.answer["problems"], json!([]));
        assert_eq!(journaled(&simulation), BTreeSet::new());
        // Each batch after that of the fault is refused too, with both halves of it.
        assert!(pass.writes() <= 3 * clean, "{}", pass.writes());
    }
}

/// It is not among the calls that work during the accelerated recovery of Route 53's control plane.
#[test]
fn nothing_needs_get_hosted_zone() {
    let simulation = Simulation::new(&zones::registered(2));
    let before = simulation.route53.to_cli_json();
    for number in 0..100 {
        let fault = Fault::Unavailable;
        simulation
            .route53
            .inject_fault_into("GetHostedZone", number, fault);
    }
    let input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100],
        "names": [name(0).as_str(), name(1).as_str()], "bakeSeconds": 60,
        "alarms": {"names": [crate::world::ALARM]},
    });
    simulation.migrate("run", &input).unwrap();
    assert_ne!(simulation.route53.to_cli_json(), before);
    let rolled_back = simulation.roll_back_whole("run").unwrap();
    assert_eq!(rolled_back["restored"], 2);
    assert_eq!(simulation.route53.to_cli_json(), before);
}
