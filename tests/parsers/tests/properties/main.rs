//! Tests of the properties: with mutated examples, with a limit of memory, and as fuzz targets.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test helpers may panic"
)]

mod allocation;
mod mutation;
mod targets;

use parsers::PROPERTIES;
use parsers::examples::examples;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::mutation::{any_mutations, mutated};

/// Number of mutated examples for each property: few enough for every test run. The fuzzer runs more.
const CASES: u32 = 192;

#[track_caller]
fn check(name: &str) {
    let (_, property) = PROPERTIES.iter().find(|(known, _)| *known == name).unwrap();
    let examples = examples(name);
    assert!(!examples.is_empty());
    for example in &examples {
        property(example);
    }
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (any::<prop::sample::Index>(), any_mutations());
    let result = runner.run(&strategy, |(chosen, mutations)| {
        property(&mutated(
            chosen.get::<Vec<u8>>(&examples),
            &mutations,
            &examples,
        ));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{name}: {failure}");
    }
}

macro_rules! check_each {
    ($($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )+

        #[test]
        fn every_property_has_a_test() {
            let checked = [$(stringify!($name)),+];
            assert_eq!(checked, PROPERTIES.map(|(name, _)| name));
        }
    };
}

check_each!(
    alarm_history,
    check_alarms_event,
    execution_input,
    journal_text,
    name_pattern,
    record_name,
    registry_names,
    registry_text,
    resolved_plan,
    rollback_event,
    shift_weight_event,
    short_words,
);
