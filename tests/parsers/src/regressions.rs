//! What was found once, each by its name.

use migration::record::{Answer, Routing};
use serde_json::{Value, json};

use crate::examples::{EXECUTION, SHIFTED_INPUT, ZONE_ID};
use crate::world::World;

fn plan_of(input: &Value) -> Value {
    json!({"operation": "plan", "execution": EXECUTION, "input": input})
}

/// Its journal would stand where the wildcard record's does, and a rollback would restore that one.
#[test]
fn a_name_whose_journal_is_anothers_is_not_planned() {
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
        "names: the journal _cutover._wildcard.eks-blueprint.example.com of _wildcard.eks-blueprint.example.com would \
         be taken for that of \\052.eks-blueprint.example.com; exclude the name"
    );
}

/// Behind the plan, which refuses what takes so long, somebody sets the longest TTL there is.
#[test]
fn the_longest_ttl_is_waited_out() {
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
            if let Answer::Values { ttl_seconds, .. } = &mut read.answer {
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

/// JSON is not exact to the last digit, so that each state would have handed on another factor.
#[test]
fn a_factor_of_many_digits_is_read_as_written() {
    crate::short_words(b"4.9128784574246125");
    for hundredths in 0..=10_000_u16 {
        let percent = f64::from(hundredths) / 100.0;
        crate::short_words(percent.to_string().as_bytes());
    }
}
