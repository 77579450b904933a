//! An attacker who may create, delete and overwrite every TXT record in the zone, as the solver of DNS-01
//! challenges may, and who has collected every journal that was ever in the public zone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fakes::Fault;
use interpreter::Failure;
use migration::dns::{RecordData, RecordName, RecordSet};
use serde_json::{Value, json};

use crate::invariants::replace_in_values;
use crate::oracle::lock;
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// The names of the migration, of which the attacker attacks the first, and a name outside it.
const ATTACKED: &str = "svc-0000.example.com";
const OTHER: &str = "svc-0001.example.com";
const OUTSIDE: &str = "svc-0002.example.com";

/// Every journal that was in the zone so far, the oldest first.
type Memory = Arc<Mutex<Vec<RecordSet>>>;

/// What the attacker does, once.
type Attack = fn(&mut Vec<RecordSet>, &[RecordSet]);

/// Each with whether it touches a TXT record of [`OTHER`].
const ATTACKS: [(&str, bool, Attack); 9] = [
    ("deletes the journal", false, |zone, _| {
        put(zone, ATTACKED, None);
    }),
    (
        "puts the journal of an undone migration back",
        false,
        |zone, memory| {
            let undone = memory.iter().find(|it| is_journal_of(it, ATTACKED));
            put(zone, ATTACKED, undone);
        },
    ),
    ("puts an older journal back", false, |zone, memory| {
        let seen = memory.iter().filter(|it| is_journal_of(it, ATTACKED));
        let seen: Vec<_> = seen.collect();
        put(zone, ATTACKED, seen.iter().rev().nth(1).copied());
    }),
    (
        "puts every journal that was ever seen back, the last one of each name",
        true,
        |zone, memory| {
            for journal in memory {
                let name = journal.name.journaled().unwrap();
                put(zone, name.as_str(), Some(journal));
            }
        },
    ),
    ("copies the journal to other names", true, |zone, memory| {
        let last = memory.iter().rev().find(|it| is_journal_of(it, ATTACKED));
        for name in [OTHER, OUTSIDE] {
            put(zone, name, last);
        }
    }),
    ("edits the original weights", false, |zone, _| {
        replace_in_values(zone, is_attacked, "original.A=100/0", "original.A=0/255");
    }),
    ("marks the migration as completed", false, |zone, _| {
        replace_in_values(
            zone,
            is_attacked,
            "\"signature=",
            "\"completed=yes\" \"signature=",
        );
    }),
    (
        "makes a name of nobody's migration part of this one",
        false,
        |zone, memory| {
            let last = memory.iter().rev().find(|it| is_journal_of(it, ATTACKED));
            put(zone, OUTSIDE, last);
            let is_outside = |it: &RecordSet| is_journal_of(it, OUTSIDE);
            replace_in_values(zone, is_outside, "original.A=100/0", "original.A=0/255");
        },
    ),
    ("takes the registry TXT records over", false, |zone, _| {
        for record_set in zone.iter_mut() {
            let is_registry = record_set.name.as_str().ends_with(&format!("-{ATTACKED}"));
            if let RecordData::Values { values, .. } = &mut record_set.data
                && is_registry
            {
                *values = vec!["\"heritage=external-dns,external-dns/owner=attacker\"".to_owned()];
            }
        }
    }),
];

fn is_journal_of(record_set: &RecordSet, name: &str) -> bool {
    let journaled = record_set.name.journaled();
    journaled.is_some_and(|journaled| journaled.as_str() == name)
}

fn is_attacked(record_set: &RecordSet) -> bool {
    is_journal_of(record_set, ATTACKED)
}

/// Puts a text at the name of a journal, or deletes what is there.
fn put(zone: &mut Vec<RecordSet>, name: &str, journal: Option<&RecordSet>) {
    zone.retain(|record_set| !is_journal_of(record_set, name));
    let name: RecordName = name.parse().unwrap();
    zone.extend(journal.map(|journal| RecordSet {
        name: name.journal(),
        ..journal.clone()
    }));
}

/// How a history goes on without the attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Course {
    /// The migration completes, and is released.
    Released,
    /// The new side becomes unhealthy at the last step, and the migration rolls itself back.
    RolledBack,
    /// A person rolls it back at the first step.
    RolledBackByAPerson,
}

/// A history, in which the attacker acts before the call with this number.
struct Played {
    simulation: Simulation,
    /// The calls of the whole history.
    calls: usize,
    /// The failures of the migration, its release and its rollbacks.
    failures: Vec<Failure>,
}

fn play(course: Course, attack: Option<(usize, Attack)>) -> Played {
    let simulation = Simulation::new(&zones::registered(3));
    let input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100],
        "names": [ATTACKED, OTHER], "bakeSeconds": 60, "onDrift": "hold",
    });
    let memory = Memory::default();
    let collect = |simulation: &Simulation| remember(&memory, &simulation.route53.record_sets());
    // Another migration, which was rolled back: its journals are known.
    let at_50 = || percent(&simulation) == 50;
    let mut earlier = input.clone();
    earlier["steps"] = json!([50, 100]);
    simulation
        .migrate_until("earlier", &earlier, || {
            collect(&simulation);
            at_50()
        })
        .unwrap_err();
    assert_eq!(percent(&simulation), 0);
    let first = simulation.world.network.calls();
    if let Some((at, act)) = attack {
        for call in 0..at {
            let memory = Arc::clone(&memory);
            let look = move |zone: &mut Vec<RecordSet>| remember(&memory, zone);
            inject(&simulation, first + call, look);
        }
        let memory = Arc::clone(&memory);
        inject(&simulation, first + at, move |zone| {
            remember(&memory, zone);
            act(zone, &memory.lock().unwrap());
        });
    }
    let between = || expect_planned_weights(&simulation, course, attack.is_some());
    let migrated = match course {
        Course::Released => simulation.migrate_watched("run", &input, between),
        Course::RolledBack => simulation.migrate_watched("run", &input, || {
            between();
            if percent(&simulation) == 100 {
                simulation.world.is_healthy.set(false);
            }
        }),
        Course::RolledBackByAPerson => {
            simulation.migrate_until("run", &input, || percent(&simulation) == 10)
        }
    };
    let mut failures = Vec::from_iter(migrated.err());
    if course == Course::Released {
        failures.extend(simulation.release("run", between).err());
    }
    between();
    let rollbacks = simulation.world.rollbacks.borrow();
    failures.extend(rollbacks.iter().filter_map(|it| it.failure.clone()));
    drop(rollbacks);
    simulation.world.is_healthy.set(true);
    let calls = simulation.world.network.calls() - first;
    Played {
        simulation,
        calls,
        failures,
    }
}

fn inject(
    simulation: &Simulation,
    call: usize,
    edit: impl FnOnce(&mut Vec<RecordSet>) + Send + 'static,
) {
    let fault = Fault::OtherWriter(Box::new(edit));
    simulation.world.network.inject_fault(call, fault);
}

fn remember(memory: &Memory, zone: &[RecordSet]) {
    let mut memory = memory.lock().unwrap();
    for journal in zone.iter().filter(|it| it.name.journaled().is_some()) {
        if !memory.contains(journal) {
            memory.push(journal.clone());
        }
    }
}

/// The weights of the first type at a name.
fn weights(simulation: &Simulation, name: &str) -> BTreeSet<(String, String, u8)> {
    let record_sets = simulation.route53.record_sets();
    let moved = record_sets.iter().filter(|it| it.record_type.moves());
    moved
        .filter(|it| it.name.as_str() == name)
        .filter_map(|it| {
            let (side, weight) = it.weighted()?;
            Some((it.record_type.to_string(), side.to_string(), weight))
        })
        .collect()
}

fn percent(simulation: &Simulation) -> u8 {
    let mut weights = weights(simulation, ATTACKED).into_iter();
    let green = weights.find(|(_, side, _)| side == GREEN);
    green.map_or(0, |(_, _, weight)| weight)
}

/// The weights that the plan gives: the original ones and those of the steps.
#[track_caller]
fn expect_planned_weights(simulation: &Simulation, course: Course, is_attacked: bool) {
    let expected = |green: u8| -> BTreeSet<_> {
        ["A", "AAAA"]
            .iter()
            .flat_map(|kind| [(kind, BLUE, 100 - green), (kind, GREEN, green)])
            .map(|(kind, side, weight)| ((*kind).to_owned(), side.to_owned(), weight))
            .collect()
    };
    for name in [ATTACKED, OTHER] {
        let weights = weights(simulation, name);
        assert!(
            [0, 10, 100].map(expected).contains(&weights),
            "{course:?}, attacked: {is_attacked}: {name} has {weights:?}"
        );
    }
    assert_eq!(weights(simulation, OUTSIDE), expected(0));
}

/// Everything at a name except its journal.
fn records_of(simulation: &Simulation, name: &str) -> Vec<RecordSet> {
    let mut record_sets = simulation.route53.record_sets();
    record_sets.retain(|it| it.name.as_str().ends_with(name) && it.name.journaled().is_none());
    record_sets
}

/// Whether a failure says that another writer was there, or that a name was not restored.
fn tells_of_the_attack(failure: &Failure) -> bool {
    let Failure { error, .. } = failure;
    ["Busy", "Drift", "Held", "NotRestored", "RollbackFailed"].contains(&error.as_str())
}

/// Plays each attack before each call. The attacker can stop a migration, and lock the attacked name. The other
/// name ends as without the attacker, or the migration holds, and a rollback restores it byte for byte.
fn expect_no_gain(course: Course) {
    let Played {
        simulation: undisturbed,
        calls,
        failures: _,
    } = play(course, None);
    let original = Simulation::new(&zones::registered(3));
    let mut stopped = 0;
    for at in 0..calls {
        for (kind, touches_other, attack) in ATTACKS {
            let about = format!("{course:?}: before call {at}, the attacker {kind}");
            let Played {
                simulation,
                failures,
                ..
            } = play(course, Some((at, attack)));
            expect_planned_weights(&simulation, course, true);
            let mut violations = lock(&simulation.world.oracle).violations.clone();
            // A registry TXT record that somebody else has taken over stays theirs.
            violations.retain(|it| !it.ends_with("does not get its original owner back"));
            assert!(violations.is_empty(), "{about}: {violations:#?}");
            let is_told = failures.iter().any(tells_of_the_attack);
            for name in [ATTACKED, OTHER] {
                assert!(
                    is_told || weights(&simulation, name) == weights(&undisturbed, name),
                    "{about}, {name}: {failures:#?}"
                );
            }
            if records_of(&simulation, OTHER) != records_of(&undisturbed, OTHER) {
                stopped += 1;
                let request: Value = json!({"execution": "run", "hostedZoneId": ZONE_ID});
                let _ = simulation.roll_back_all(&request);
                assert!(
                    touches_other || records_of(&simulation, OTHER) == records_of(&original, OTHER),
                    "{about}"
                );
            }
            // The weights at the attacked name are those of the plan or the original ones, and outside nothing
            // has changed.
            expect_planned_weights(&simulation, course, true);
            assert_eq!(
                records_of(&simulation, OUTSIDE),
                records_of(&original, OUTSIDE),
                "{about}"
            );
        }
    }
    assert!(calls > 10, "{calls}");
    assert!(stopped > 0, "no attack has an effect");
}

#[test]
fn an_attacker_gains_nothing_from_a_migration_and_its_release() {
    expect_no_gain(Course::Released);
}

#[test]
fn an_attacker_gains_nothing_from_a_rollback() {
    expect_no_gain(Course::RolledBack);
}

#[test]
fn an_attacker_gains_nothing_from_a_rollback_that_a_person_starts() {
    expect_no_gain(Course::RolledBackByAPerson);
}
