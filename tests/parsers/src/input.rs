//! Properties of an execution's input, and of the plan that the state machine passes on.

use migration::input::{self};
use migration::json::{from_json, to_json};
use migration::plan::Migration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shift_weight::Release;

use crate::examples::{EXECUTION, ZONE_ID};
use crate::world::World;
use crate::{assert_documented, assert_invalid, json};

/// Input: the input of an execution, JSON. It is refused as `InvalidInput`, or planned for the
/// blueprint's zone without a write. The plan is not much longer than the input, is unchanged after it is
/// parsed and written again, and has set identifiers that the input's templates match.
pub fn execution_input(bytes: &[u8]) {
    let Some(mut input) = json(bytes) else { return };
    if let Err(error) = input::parse(&input) {
        return assert_invalid(&error);
    }
    if let Some(fields) = input.as_object_mut() {
        fields.insert("hostedZoneId".to_owned(), json!(ZONE_ID));
    }
    let world = World::blueprint();
    let event = json!({"operation": "plan", "execution": EXECUTION, "input": input});
    match world.shift_weight(&event) {
        Err(error) => assert_documented(&error),
        Ok(planned) => {
            assert!(planned.to_string().len() <= 8 * bytes.len() + 32_000);
            if let Some(migration) = planned.get("migration").filter(|it| !it.is_null()) {
                assert_unchanged_when_parsed::<Migration>(&migration.to_string());
                let migration: Migration = from_json(migration).unwrap();
                for sides in migration.identifiers().unwrap() {
                    assert!(migration.from.matches(&sides.from) && migration.to.matches(&sides.to));
                    assert_ne!(sides.from, sides.to);
                }
            }
        }
    }
    world.assert_same(World::original());
}

/// Input: a planned migration or release as the state machine passes it on, JSON. It is refused as
/// `InvalidInput`, or unchanged after it is parsed and written again. Its operations on the
/// blueprint's zone change only weights, and a rollback restores every byte of the zone.
pub fn resolved_plan(bytes: &[u8]) {
    let Some(plan) = json(bytes) else { return };
    match from_json::<Release>(&plan) {
        Err(error) => assert_invalid(&error),
        Ok(release) => {
            assert_unchanged_when_parsed::<Release>(&to_json(&release).unwrap().to_string());
            release_shifted(&plan);
        }
    }
    match from_json::<Migration>(&plan) {
        Err(error) => assert_invalid(&error),
        Ok(migration) => {
            assert_unchanged_when_parsed::<Migration>(&to_json(&migration).unwrap().to_string());
            migrate_and_roll_back(&plan);
        }
    }
}

fn migrate_and_roll_back(migration: &Value) {
    let world = World::blueprint();
    let migration = for_the_zone(migration);
    world.executions.start(EXECUTION, Value::Null);
    let shift = |step: usize| json!({"operation": "shift", "migration": migration, "step": step});
    for event in [
        shift(0),
        json!({"operation": "confirm", "migration": migration, "percent": 0, "changeIds": []}),
        shift(1),
        shift(usize::MAX),
        json!({"operation": "complete", "migration": migration}),
    ] {
        if let Err(error) = world.shift_weight(&event) {
            assert_documented(&error);
        }
        world.assert_only_weights_changed(World::original());
    }
    let journals = |world: &World| {
        let record_sets = world.route53.record_sets();
        record_sets
            .iter()
            .filter(|read| read.name.journaled().is_some())
            .count()
    };
    if journals(&world) > 0 {
        let request = json!({"execution": EXECUTION, "hostedZoneId": ZONE_ID});
        world.roll_back(&request).unwrap();
        world.assert_same(World::original());
    }
}

fn release_shifted(release: &Value) {
    let world = World::shifted();
    let before = world.route53.record_sets();
    let release = for_the_zone(release);
    for event in [
        json!({"operation": "giveBack", "release": release, "names": 1}),
        json!({"operation": "giveBack", "release": release, "names": usize::MAX}),
        json!({"operation": "reacquireLease", "release": release}),
        json!({"operation": "giveBack", "release": release, "names": usize::MAX}),
        json!({"operation": "endRelease", "release": release}),
    ] {
        if let Err(error) = world.shift_weight(&event) {
            assert_documented(&error);
        }
        world.assert_only_weights_changed(&before);
    }
}

/// The same plan for the blueprint's zone.
fn for_the_zone(plan: &Value) -> Value {
    let mut plan = plan.clone();
    if let Some(fields) = plan.as_object_mut() {
        fields.insert("hostedZoneId".to_owned(), json!(ZONE_ID));
    }
    plan
}

/// Checks that `text` is unchanged after it is parsed and written again.
fn assert_unchanged_when_parsed<T: DeserializeOwned + Serialize>(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    let read: T = from_json(&value).unwrap();
    assert_eq!(to_json(&read).unwrap().to_string(), text);
}
