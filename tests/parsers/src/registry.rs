//! Properties of ExternalDNS's registry TXT records, and of the flags that determine their names.

use external_dns::Labels;
use fakes::is_txt_value;
use migration::Error;
use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType};
use migration::external_dns::{Owner, RegistryNames, RegistryText, TxtNaming, owner};
use migration::json::from_json;
use serde_json::{Value, json};

use crate::examples::{EXECUTION, SHIFTED_INPUT, ZONE_ID};
use crate::journal::text_record;
use crate::world::World;
use crate::{assert_documented, assert_invalid, json, text};

/// The prefix of the owner in a leased TXT.
const LEASE_PREFIX: &str = "cutover/";

/// Input: the value of a registry TXT. Its owner is the one that the model of ExternalDNS reads. A
/// lease replaces only the owner, and the new value fits into a TXT string if the old one did. After
/// the owner is given back, every byte is as before. The same is true after a migration in the
/// blueprint's zone is rolled back.
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
        Some(Owner::Migration) => assert!(expected.starts_with(LEASE_PREFIX)),
        Some(Owner::ExternalDns(found)) => assert_eq!(found, expected),
    }
    if let Some(Owner::ExternalDns(before)) = &found {
        lease_and_give_back(&read, before);
    }
    // A zone can only have values that Route 53 accepts.
    if is_txt_value(&value) {
        migrate_and_roll_back(&value);
    }
}

fn lease_and_give_back(read: &RecordSet, before: &str) {
    let text = RegistryText {
        read,
        naming: TxtNaming::A,
        record_type: Some(RecordType::A),
        owner: Owner::ExternalDns(before.to_owned()),
    };
    let leased = text.leased(EXECUTION, 0);
    assert_eq!(owner(&leased), Some(Owner::Migration));
    let (value, leased_value) = (only_value(read), only_value(&leased));
    // If the value has no room for a lease, the functions do not request one.
    let has_room = value.len() - before.len() + LEASE_PREFIX.len() <= 255;
    assert!(!has_room || leased_value.len() <= value.len().max(257));
    let only_owner_changed = value.match_indices(before).any(|(start, _)| {
        let (head, tail) = (&value[..start], &value[start + before.len()..]);
        leased_value
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(tail))
            .is_some_and(|lease| lease.starts_with(LEASE_PREFIX))
    });
    assert!(only_owner_changed, "the lease changed more than the owner");
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
    // Route 53 lists all other characters as escapes, so this value can't occur in a listing.
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return;
    }
    let world = World::blueprint();
    world.route53.edit(|live| {
        let is_owned = |read: &&mut RecordSet| owner(read).is_some();
        for read in live.iter_mut().filter(is_owned).take(2) {
            if let RecordData::Values { values, .. } = &mut read.data {
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
        // The message is Route 53's text, so its length is not checked.
        Err(Error::ChangeRefused(_)) => return,
        Err(error) => return assert_documented(&error),
        Ok(_) => {}
    }
    let request = json!({"execution": EXECUTION, "hostedZoneId": ZONE_ID});
    world.roll_back(&request).unwrap();
    world.assert_same(&before);
}

/// Input: the flags that determine the names of registry TXT records, and a `name`, JSON. The flags
/// are refused as `InvalidInput`, or unchanged after they are written and parsed again. Each TXT name
/// for `name` is valid and occurs once.
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
    let record_names = names.record_names(&name);
    for (index, (form, place)) in record_names.iter().enumerate() {
        assert_eq!(place.as_str().parse(), Ok(place.clone()));
        assert!(!record_names[..index].contains(&(*form, place.clone())));
    }
}
