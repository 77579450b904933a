//! Failures that the properties have found.

use migration::dns::{RecordData, Routing};
use serde_json::{Value, json};

use crate::examples::{EXECUTION, SHIFTED_INPUT, ZONE_ID};
use crate::world::World;

fn plan_of(input: &Value) -> Value {
    json!({"operation": "plan", "execution": EXECUTION, "input": input})
}

/// Its journal would have the same name as the wildcard record's journal, and a rollback would
/// restore the wildcard record.
#[test]
fn name_with_the_journal_name_of_a_wildcard_is_refused() {
    let world = World::blueprint();
    world.route53.edit(|live| {
        let mut copies: Vec<_> = live
            .iter()
            .filter(|read| read.name.as_str() == "burnham.eks-blueprint.example.com")
            .cloned()
            .collect();
        for copy in &mut copies {
            copy.name = "_wildcard.eks-blueprint.example.com".parse().unwrap();
        }
        live.extend(copies);
    });
    let input = json!({
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "names": ["_wildcard.eks-blueprint.example.com"],
        "steps": "AllAtOnce",
    });
    let refused = world.shift_weight(&plan_of(&input)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "names: _wildcard.eks-blueprint.example.com would have the same journal as \\052.eks-blueprint.example.com, \
         _cutover._wildcard.eks-blueprint.example.com; exclude the name"
    );
}

/// The plan refuses such a long wait, but another writer may set the maximum TTL after the plan.
#[test]
fn wait_for_the_maximum_ttl_does_not_overflow() {
    let world = World::blueprint();
    let mut input: Value = serde_json::from_str(SHIFTED_INPUT).unwrap();
    input
        .as_object_mut()
        .unwrap()
        .insert("ttlFactor".to_owned(), json!(10));
    let planned = world.shift_weight(&plan_of(&input)).unwrap();
    world.route53.edit(|live| {
        let weighted = live.iter_mut().filter(|read| {
            read.record_type.moves() && matches!(read.routing, Routing::Weighted { .. })
        });
        for read in weighted {
            if let RecordData::Values { ttl_seconds, .. } = &mut read.data {
                *ttl_seconds = 2_147_483_647;
            }
        }
    });
    let event = json!({
        "operation": "shift",
        "execution": EXECUTION,
        "migration": planned.get("migration"),
        "step": 0,
    });
    for _ in 0..2 {
        let shifted = world.shift_weight(&event).unwrap();
        assert_eq!(shifted.get("waitSeconds"), Some(&json!(u32::MAX)));
    }
}

/// A number with many digits was not exact after it was written and parsed, so each state would have
/// passed on a different factor.
#[test]
fn factor_with_many_digits_is_unchanged_when_written_and_parsed() {
    crate::short_words(b"4.9128784574246125");
    for hundredths in 0..=10_000_u16 {
        let percent = f64::from(hundredths) / 100.0;
        crate::short_words(percent.to_string().as_bytes());
    }
}
