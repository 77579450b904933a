//! What starts a rollback, and what the state machines ask of `shift-weight`.

use std::collections::BTreeMap;

use migration::record::RecordSet;
use serde_json::{Value, json};

use crate::world::World;
use crate::{assert_documented, json};

/// An event that starts a rollback, JSON, while a migration is running: an alarm's, an execution's
/// end, a person's request, a later pass. It is refused with a documented error, or answered in a
/// few words. Each name stays as it is or gets its original weights back, whole, and a later pass
/// goes on from the answer.
pub fn rollback_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let world = World::shifted();
    let before = world.route53.record_sets();
    let answer = match world.roll_back(&event) {
        Ok(answer) => answer,
        Err(error) => return assert_documented(&error),
    };
    assert_brief(&answer, bytes);
    assert_each_name_as_a_whole(&before, &world.route53.record_sets());
    if event.get("request").is_none() {
        let earlier =
            json!({"executions": answer.get("executions"), "changeIds": answer.get("changeIds")});
        let later = json!({"request": event, "earlier": earlier});
        assert_brief(&world.roll_back(&later).unwrap(), bytes);
        assert_each_name_as_a_whole(&before, &world.route53.record_sets());
    }
}

/// An event of `shift-weight`, JSON, while a migration is running. It is refused with a documented
/// error, or answered; no name is left without an answer, and nothing but weights changes.
pub fn shift_weight_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let world = World::shifted();
    let before = world.route53.record_sets();
    match world.shift_weight(&event) {
        Ok(answer) => assert_brief(&answer, bytes),
        Err(error) => assert_documented(&error),
    }
    world.assert_only_weights_changed(&before);
}

/// What an answer repeats of the event, and what it says of the zone beside that.
#[track_caller]
fn assert_brief(answer: &Value, event: &[u8]) {
    let length = answer.to_string().len();
    assert!(
        length <= 8 * event.len() + 32_000,
        "{length} bytes of answer to an event of {}",
        event.len()
    );
    for text in answer.as_object().unwrap().values() {
        if let Some(text) = text.as_str() {
            crate::assert_short(text);
        }
    }
}

/// Every name is as it was before the rollback or as it was before the migration, in all of its record sets.
#[track_caller]
fn assert_each_name_as_a_whole(shifted: &[RecordSet], after: &[RecordSet]) {
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
