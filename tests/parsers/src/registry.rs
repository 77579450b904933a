//! The registry TXT records of ExternalDNS, and the flags that name them.

use external_dns::Labels;
use migration::input::from_json;
use migration::record::{Answer, RecordSet, RecordType};
use migration::registry::{Form, Owner, RegistryNames, RegistryText, owner};
use migration::{Error, RecordName};
use serde_json::{Value, json};

use crate::examples::{EXECUTION, SHIFTED_INPUT, ZONE_ID};
use crate::journal::text_record;
use crate::world::World;
use crate::{assert_documented, assert_invalid, json, text};

/// What the owner of a leased TXT begins with.
const LEASED: &str = "cutover/";

/// The value of a registry TXT. Its owner is whom the model of ExternalDNS reads. A lease replaces the
/// owner and nothing else, and makes no value longer than a TXT record's string unless it was; the
/// owner given back, the value is the same byte for byte. So it is in the blueprint's zone, when a
/// migration is rolled back.
pub fn registry_text(bytes: &[u8]) {
    let value = text(bytes);
    let read = text_record(
        "a-burnham.eks-blueprint.example.com".parse().unwrap(),
        value.clone(),
    );
    let found = owner(&read);
    let labels = Labels::read(&value);
    let expected = labels.as_ref().and_then(Labels::owner).unwrap_or_default();
    match &found {
        None | Some(Owner::Encrypted) => assert!(labels.is_none()),
        Some(Owner::Nobody) => assert!(expected.is_empty()),
        Some(Owner::Migration) => assert!(expected.starts_with(LEASED)),
        Some(Owner::ExternalDns(found)) => assert_eq!(found, expected),
    }
    if let Some(Owner::ExternalDns(before)) = &found {
        lease_and_give_back(&read, before);
    }
    if is_held_by_route53(&value) {
        migrate_and_roll_back(&value);
    }
}

/// Whether a zone can hold the value: quoted strings of at most 255 characters.
fn is_held_by_route53(value: &str) -> bool {
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    quoted.is_some_and(|strings| {
        strings
            .split("\" \"")
            .all(|string| string.len() <= 255 && !string.contains('"'))
    })
}

fn lease_and_give_back(read: &RecordSet, before: &str) {
    let text = RegistryText {
        read,
        form: Form::A,
        record_type: Some(RecordType::A),
        owner: Owner::ExternalDns(before.to_owned()),
    };
    let leased = text.leased(EXECUTION, 0);
    assert_eq!(owner(&leased), Some(Owner::Migration));
    let (value, leased_value) = (only_value(read), only_value(&leased));
    // Where there is no room for a lease, none is asked for.
    let has_room = value.len() - before.len() + LEASED.len() <= 255;
    assert!(!has_room || leased_value.len() <= value.len().max(257));
    let is_kept = value.match_indices(before).any(|(start, _)| {
        let (head, tail) = (&value[..start], &value[start + before.len()..]);
        leased_value
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(tail))
            .is_some_and(|lease| lease.starts_with(LEASED))
    });
    assert!(is_kept, "more than the owner is replaced");
    let leased = RegistryText {
        read: &leased,
        owner: Owner::Migration,
        ..text
    };
    assert_eq!(leased.with_owner(before, 0), *read);
}

fn only_value(record_set: &RecordSet) -> &str {
    record_set.values().first().unwrap()
}

fn migrate_and_roll_back(value: &str) {
    // Route 53 lists every other character as an escape.
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return;
    }
    let world = World::blueprint();
    world.route53.edit(|live| {
        let is_owned = |read: &&mut RecordSet| owner(read).is_some();
        for read in live.iter_mut().filter(is_owned).take(2) {
            if let Answer::Values { values, .. } = &mut read.answer {
                *values = vec![value.to_owned()];
            }
        }
    });
    let before = world.route53.record_sets();
    let input: Value = serde_json::from_str(SHIFTED_INPUT).unwrap();
    world.executions.start(EXECUTION, input.clone());
    let event = json!({"operation": "plan", "execution": EXECUTION, "input": input});
    let planned = match world.shift_weight(&event) {
        Ok(planned) => planned,
        Err(error) => return assert_documented(&error),
    };
    let event = json!({
        "operation": "shift",
        "execution": EXECUTION,
        "migration": planned.get("migration"),
        "step": 0,
    });
    match world.shift_weight(&event) {
        // In Route 53's own words.
        Err(Error::ChangeRefused(_)) => return,
        Err(error) => return assert_documented(&error),
        Ok(_) => {}
    }
    let request = json!({"execution": EXECUTION, "hostedZoneId": ZONE_ID});
    world.roll_back(&request).unwrap();
    world.assert_same(&before);
}

/// The flags by which ExternalDNS names registry TXT records, with a `name`, JSON: they are refused as
/// `InvalidInput`, or written as they are read; and every place that is told for the name is a name,
/// told once.
pub fn registry_names(bytes: &[u8]) {
    let Some(Value::Object(mut flags)) = json(bytes) else {
        return;
    };
    let name = flags.remove("name");
    let flags = Value::Object(flags);
    let names: RegistryNames = match from_json(&flags) {
        Ok(names) => names,
        Err(error) => return assert_invalid(&error),
    };
    let written = serde_json::to_value(&names).unwrap();
    assert_eq!(from_json(&written), Ok(names.clone()));
    let Some(Ok(name)) = name.as_ref().and_then(Value::as_str).map(str::parse) else {
        return;
    };
    let name: RecordName = name;
    let places = names.places(&name);
    for (index, (form, place)) in places.iter().enumerate() {
        assert_eq!(place.as_str().parse(), Ok(place.clone()));
        assert!(!places[..index].contains(&(*form, place.clone())));
    }
}
