//! A zone and its executions as fakes, and checks of the zone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use fakes::{FakeExecutions, FakeResolver, FakeRoute53, FakeSigningKeys};
use migration::Error;
use migration::dns::{RecordSet, RecordType};
use migration::plan::StackSettings;
use serde_json::{Value, json};

use crate::examples::{
    BLUEPRINT, EXECUTION, FAILED_EXECUTION, OTHER_EXECUTION, SHIFTED_INPUT, ZONE_ID,
};
use crate::ready;

pub(crate) struct World {
    pub(crate) route53: FakeRoute53,
    pub(crate) executions: FakeExecutions,
}

/// The blueprint's zone before any migration, in Route 53's order.
static ORIGINAL: LazyLock<Vec<RecordSet>> =
    LazyLock::new(|| FakeRoute53::from_cli_json(ZONE_ID, BLUEPRINT).record_sets());

/// The blueprint's zone after the first step of [`EXECUTION`].
static SHIFTED: LazyLock<Vec<RecordSet>> = LazyLock::new(|| {
    let world = World::blueprint();
    world.shift_first_step();
    world.route53.record_sets()
});

impl World {
    /// The blueprint's zone before any migration. Two executions have started.
    pub(crate) fn blueprint() -> Self {
        let world = Self {
            route53: FakeRoute53::from_cli_json(ZONE_ID, SMALLEST_ZONE),
            executions: FakeExecutions::default(),
        };
        for execution in [EXECUTION, OTHER_EXECUTION] {
            world.executions.start(execution, Value::Null);
        }
        world.with(&ORIGINAL)
    }

    /// The blueprint's zone after the first step of [`EXECUTION`], which is still running.
    /// [`FAILED_EXECUTION`] has failed.
    pub(crate) fn shifted() -> Self {
        let world = Self::blueprint().with(&SHIFTED);
        for execution in [EXECUTION, FAILED_EXECUTION] {
            world.executions.start(execution, json_of(SHIFTED_INPUT));
        }
        world.executions.fail(
            FAILED_EXECUTION,
            "Drift",
            "the weights were changed by another writer",
        );
        world
    }

    fn with(self, record_sets: &[RecordSet]) -> Self {
        self.route53.edit(|live| *live = record_sets.to_vec());
        self
    }

    fn shift_first_step(&self) {
        let input = json_of(SHIFTED_INPUT);
        self.executions.start(EXECUTION, input.clone());
        let planned = self
            .shift_weight(&json!({"operation": "plan", "execution": EXECUTION, "input": input}))
            .unwrap();
        self.shift_weight(&json!({
            "operation": "shift",
            "migration": planned.get("migration"),
            "step": 0,
        }))
        .unwrap();
    }

    pub(crate) fn shift_weight(&self, event: &Value) -> Result<Value, Error> {
        let settings = StackSettings::default();
        ready(shift_weight::handle(
            event,
            &self.route53,
            &FakeResolver::default(),
            &self.executions,
            &FakeSigningKeys::default(),
            &settings,
        ))
    }

    pub(crate) fn roll_back(&self, event: &Value) -> Result<Value, Error> {
        ready(rollback::handle(
            event,
            &self.route53,
            &self.executions,
            &FakeSigningKeys::default(),
            &rollback::Memory::default(),
        ))
    }

    /// Checks that only weights of A, AAAA and CNAME records differ from `before`, and that no name
    /// and type has got a total weight of 0: Route 53 then answers with all its records equally.
    #[track_caller]
    pub(crate) fn assert_only_weights_changed(&self, before: &[RecordSet]) {
        let after = self.route53.record_sets();
        let moved = |record_sets: &[RecordSet]| -> BTreeSet<String> {
            let moved = record_sets.iter().filter(|set| set.record_type.moves());
            moved
                .map(|set| format!("{:?}", set.with_weight(0)))
                .collect()
        };
        assert_eq!(moved(&after), moved(before));
        let totals_before = total_weights(before);
        for (group, weight) in total_weights(&after) {
            assert!(
                weight > 0 || totals_before.get(&group) == Some(&0),
                "the total weight of {group:?} is 0"
            );
        }
    }

    /// Checks that every byte of the zone is as in `before`.
    #[track_caller]
    pub(crate) fn assert_same(&self, before: &[RecordSet]) {
        let after = self.route53.record_sets();
        let gone = before.iter().find(|read| !after.contains(read));
        let new = after.iter().find(|read| !before.contains(read));
        assert_eq!(gone, new);
        assert_eq!(after.len(), before.len());
    }

    /// The blueprint's record sets before any migration.
    pub(crate) fn original() -> &'static [RecordSet] {
        &ORIGINAL
    }
}

/// A listing with only the SOA record, from which the fake gets the zone's name.
const SMALLEST_ZONE: &str = r#"{"ResourceRecordSets": [{
    "Name": "eks-blueprint.example.com.", "Type": "SOA", "TTL": 900, "ResourceRecords": [{"Value": "ns."}]
}]}"#;

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn total_weights(record_sets: &[RecordSet]) -> BTreeMap<(String, RecordType), u32> {
    let mut totals = BTreeMap::new();
    for record_set in record_sets {
        if let (true, Some((_, weight))) = (record_set.record_type.moves(), record_set.weighted()) {
            let group = (record_set.name.to_string(), record_set.record_type.clone());
            *totals.entry(group).or_default() += u32::from(weight);
        }
    }
    totals
}
