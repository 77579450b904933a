//! Rollbacks in which Route 53 refuses the change of some names, or does not answer `GetHostedZone`.

use std::collections::BTreeSet;

use fakes::{CHANGE, Fault};
use migration::dns::RecordSet;
use migration::journal::SigningKeys;
use serde_json::json;

use crate::failed::{
    FirstPass, NAMES, at_100_percent, journaled, name, shifted, writes_of_a_clean_rollback,
};
use crate::invariants::{run, write_journals};
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

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
        // All others are restored before it is read again.
        assert_eq!(reads_between_writes(&pass), 0, "{number}");
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

/// A completion marks the first name just before one of the writes of a rollback, unless that name is restored, or its
/// journal is gone. Route 53 refuses another name of the same batch.
#[test]
fn a_completion_at_the_same_time_completes_all_names_or_none_beside_a_refused_name() {
    let writes = FirstPass::of(&at_100_percent()).writes();
    for number in [1, 3, 7] {
        for write in 0..writes {
            let simulation = at_100_percent();
            simulation.route53.protect(&name(number));
            let key = run(simulation.world.signing_keys.borrow().signing_key()).unwrap();
            let mark = move |record_sets: &mut Vec<RecordSet>| {
                let is_first = |it: &RecordSet| it.name.journaled() == Some(name(0));
                write_journals(record_sets, is_first, &key, &|it| it.completed = true);
            };
            let fault = Fault::OtherWriter(Box::new(mark));
            simulation.route53.inject_fault_into(CHANGE, write, fault);
            let request = json!({"hostedZoneId": ZONE_ID, "execution": "run"});
            let rolled_back = run(simulation.roll_back(&request));
            let about = format!("name {number}, write {write}: {rolled_back:?}");
            let expected = match rolled_back {
                Ok(_) => BTreeSet::from([name(number)]),
                Err(_) => (0..NAMES).map(name).collect(),
            };
            assert_eq!(journaled(&simulation), expected, "{about}");
        }
    }
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
    let (clean, bisection) = writes_of_a_clean_rollback();
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
        // Each batch after that of the fault is refused too, with both halves of it; of the first batch, one half of a
        // half after the other until the first name is alone.
        let writes = pass.writes();
        assert!(writes <= 3 * clean + bisection / 2, "{writes}");
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
