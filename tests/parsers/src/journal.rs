//! Properties of journals. Anyone who can write into the zone can write a TXT record at a journal's
//! name.

use std::collections::BTreeMap;

use fakes::FakeSigningKeys;
use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType, Routing, Zone};
use migration::journal::{Journal, Journals, SigningKeys};
use serde_json::{Value, json};

use crate::examples::{EXECUTION, OTHER_EXECUTION, ZONE_ID};
use crate::world::World;
use crate::{assert_documented, assert_short, ready, text};

/// The name that the journal belongs to.
const NAME: &str = "burnham.eks-blueprint.example.com";

/// Input: the value of a TXT record at a journal's name. It is refused with a short message, or the
/// journal is unchanged after it is written and parsed again, and its strings are valid in a TXT
/// record. Without a valid signature, a rollback of the name only reports it. Signed, a rollback restores
/// the name, or reports why it could not. A rollback does not delete a record that is not a valid journal.
pub fn journal_text(bytes: &[u8]) {
    let name: RecordName = NAME.parse().unwrap();
    let read = text_record(name.journal(), text(bytes));
    match Journal::parse_unverified(&read) {
        Err(problem) => assert_short(&problem),
        Ok(journal) => {
            let written = signed(&name, &journal);
            assert_strings(&written);
            assert_eq!(Journal::parse_unverified(&written), Ok(journal));
            roll_back(&name, &written);
            plan_with(&written);
        }
    }
    roll_back(&name, &read);
    plan_with(&read);
}

fn signed(name: &RecordName, journal: &Journal) -> RecordSet {
    let key = ready(FakeSigningKeys::default().signing_key()).unwrap();
    let zone = Zone {
        id: ZONE_ID.parse().unwrap(),
        name: "eks-blueprint.example.com".parse().unwrap(),
        record_sets: BTreeMap::new(),
    };
    Journals::new(&zone, &key).record_set(name, journal)
}

fn roll_back(name: &RecordName, journal: &RecordSet) {
    let world = World::blueprint();
    world.route53.edit(|live| live.push(journal.clone()));
    let request = json!({"hostedZoneId": ZONE_ID, "names": [name.as_str()]});
    let report = world.roll_back(&request).unwrap();
    world.assert_only_weights_changed(World::original());
    let still_exists = world.route53.record_sets().contains(journal);
    assert_eq!(
        report.get("restored") == Some(&json!(1)) || is_completed(&report),
        !still_exists
    );
    let problems = report.get("problems").and_then(Value::as_array).unwrap();
    assert_eq!(!problems.is_empty(), still_exists);
    assert!(report.to_string().len() <= 32_000);
}

/// A completed migration is not rolled back: only its journal is deleted.
fn is_completed(report: &Value) -> bool {
    report.pointer("/migrations/0/status") == Some(&json!("Completed"))
}

fn plan_with(journal: &RecordSet) {
    let world = World::blueprint();
    world.route53.edit(|live| live.push(journal.clone()));
    let input = json!({
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "names": [NAME],
        "steps": [100],
    });
    for event in [
        json!({"operation": "plan", "execution": OTHER_EXECUTION, "input": input}),
        json!({"operation": "plan", "execution": EXECUTION, "input": input}),
        json!({"operation": "planRelease", "input": {"execution": EXECUTION, "hostedZoneId": ZONE_ID}}),
    ] {
        if let Err(error) = world.shift_weight(&event) {
            assert_documented(&error);
        }
    }
}

/// Checks that each value is one or more quoted strings of at most 255 visible ASCII characters
/// (RFC 1035, 3.3).
fn assert_strings(written: &RecordSet) {
    for value in written.values() {
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        for string in quoted.unwrap().split("\" \"") {
            assert!((1..=255).contains(&string.len()));
            assert!(
                string
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
            );
        }
    }
}

/// A TXT record with one value.
pub(crate) fn text_record(name: RecordName, value: String) -> RecordSet {
    RecordSet {
        name,
        record_type: RecordType::Txt,
        routing: Routing::Simple,
        data: RecordData::Values {
            ttl_seconds: 60,
            values: vec![value],
        },
        health_check_id: None,
        traffic_policy_instance_id: None,
    }
}
