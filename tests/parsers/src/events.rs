//! Properties of the events of `rollback` and `shift-weight`.

use std::collections::BTreeMap;

use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::world::World;
use crate::{assert_documented, json};

/// Input: an event of `rollback`, JSON, while a migration is running: an alarm event, the end of an
/// execution, a request of an operator, or a later pass. The function refuses it with a documented
/// error, or returns a short report. Each name is unchanged or has all its original weights. A later
/// pass accepts the report as its input.
pub fn rollback_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let world = World::shifted();
    let before = world.route53.record_sets();
    let report = match world.roll_back(&event) {
        Ok(report) => report,
        Err(error) => return assert_documented(&error),
    };
    assert_output_short(&report, bytes);
    assert_each_name_whole(&before, &world.route53.record_sets());
    if event.get("request").is_none() {
        let earlier =
            json!({"executions": report.get("executions"), "changeIds": report.get("changeIds")});
        let later = json!({"request": event, "earlier": earlier});
        assert_output_short(&world.roll_back(&later).unwrap(), bytes);
        assert_each_name_whole(&before, &world.route53.record_sets());
    }
}

/// Input: an event of `shift-weight`, JSON, while a migration is running. The function refuses it
/// with a documented error, or returns short output. It changes only weights of records, and no name
/// has all weights 0 afterwards.
pub fn shift_weight_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let world = World::shifted();
    let before = world.route53.record_sets();
    match world.shift_weight(&event) {
        Ok(output) => assert_output_short(&output, bytes),
        Err(error) => assert_documented(&error),
    }
    world.assert_only_weights_changed(&before);
}

/// Checks the length of a function's output: a multiple of the event's length for what it repeats,
/// plus a fixed length for what it reports about the zone.
#[track_caller]
fn assert_output_short(output: &Value, event: &[u8]) {
    let length = output.to_string().len();
    assert!(
        length <= 8 * event.len() + 32_000,
        "{length} bytes of output for an event of {} bytes",
        event.len()
    );
    for text in output.as_object().unwrap().values() {
        if let Some(text) = text.as_str() {
            crate::assert_short(text);
        }
    }
}

/// Checks that all record sets of a name are as before the rollback, or all as before the migration.
#[track_caller]
fn assert_each_name_whole(shifted: &[RecordSet], after: &[RecordSet]) {
    let [original, shifted, after] = [World::original(), shifted, after].map(by_name);
    assert!(after.keys().all(|name| shifted.contains_key(name)));
    for (name, shifted) in shifted {
        let after = after.get(name);
        assert!(
            after == Some(&shifted) || after == original.get(name),
            "{name}: {after:#?}"
        );
    }
}

fn by_name(record_sets: &[RecordSet]) -> BTreeMap<&str, Vec<&RecordSet>> {
    let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record_set in record_sets {
        by_name
            .entry(record_set.name.as_str())
            .or_default()
            .push(record_set);
    }
    by_name
}
