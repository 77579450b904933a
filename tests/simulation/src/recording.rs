//! The expressions of the definitions, with the variables that histories evaluate them with and the
//! results, for a comparison with another implementation of JSONata.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::machines::{DEFINITIONS, substitute};
use crate::world::World;
use crate::{random, rare};

/// The number of random histories that are recorded.
const SEEDS: u64 = 400;
/// The number of cases of an expression that are kept in any case, and those with further results.
const FEW: usize = 3;
const MOST: usize = 8;

/// One evaluation of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub expression: String,
    /// By name, without `$`.
    pub variables: Value,
    /// What `$now()` and `$uuid()` gave last.
    pub now: String,
    pub uuid: String,
    /// None if the evaluation failed.
    pub result: Option<Value>,
}

/// Collects cases: of each expression a few, and more of those with other results.
#[derive(Default)]
pub struct Recorder(RefCell<BTreeMap<String, Vec<Case>>>);

impl Recorder {
    pub(crate) fn add(&self, case: Case) {
        let mut cases = self.0.borrow_mut();
        let of_expression = cases.entry(case.expression.clone()).or_default();
        let is_known = |field: fn(&Case) -> Value| {
            let new = field(&case);
            of_expression.iter().any(|other| field(other) == new)
        };
        let is_same = is_known(|case| case.variables.clone());
        let is_like_another = is_known(|case| json!([case.result]));
        let limit = if is_like_another { FEW } else { MOST };
        if !is_same && of_expression.len() < limit {
            of_expression.push(case);
        }
    }
}

/// Runs histories, and returns the cases of each expression: random ones, in which migrations complete,
/// roll back, hold and ask for approval and in which rollbacks and notifications run, and rare ones.
pub fn record() -> BTreeMap<String, Vec<Case>> {
    let recorder = Rc::new(Recorder::default());
    let record_in = |world: &Rc<World>| *world.recorder.borrow_mut() = Some(recorder.clone());
    for seed in 0..SEEDS {
        random::play_with(seed, record_in);
    }
    rare::play(&record_in);
    recorder.0.take()
}

/// All expressions of the definitions.
pub fn expressions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, definition) in DEFINITIONS {
        let definition = substitute(definition);
        let definition: Value = serde_json::from_str(&definition).unwrap_or_default();
        collect(&definition, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let expression = text
                .strip_prefix("{%")
                .and_then(|text| text.strip_suffix("%}"));
            found.extend(expression.map(|text| text.trim().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}
