//! The migration that most end-to-end tests play: of one name, in less time.

use serde_json::{Value, json};

use crate::scenario::{BLUE, GREEN};
use crate::stack::Stack;

/// The scale of all waits: a minute takes a quarter of a second.
pub const WAIT_SCALE: f64 = 0.004;
/// The name.
pub const BURNHAM: &str = "burnham.eks-blueprint.example.com";

/// The input of a migration of the name in two steps, with the fields of `overrides` replaced.
pub fn input(stack: &Stack, overrides: Value) -> Value {
    let mut input = json!({
        "hostedZoneId": stack.zone.id(),
        "from": BLUE,
        "to": GREEN,
        "names": [BURNHAM],
        "steps": [50, 100],
        "bakeSeconds": 60,
        "checkSeconds": 30,
        "readyTimeoutSeconds": 60,
        "probe": { "expectedBody": format!("CLUSTER_NAME: {GREEN}") },
    });
    if let (Some(input), Value::Object(overrides)) = (input.as_object_mut(), overrides) {
        input.extend(overrides);
    }
    input
}

/// Fields of an input with a bake that lasts longer than a test needs.
pub fn long_bake() -> Value {
    json!({ "bakeSeconds": 15_000, "checkSeconds": 60 })
}
