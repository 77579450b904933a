//! A migration of 2,000 names in a zone of 10,000 record sets.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use fakes::{CHANGE, Network};
use serde_json::json;

use crate::exhaustive::{Afterwards, Disturbance, FaultKind, Scenario, play};
use crate::history::Report;
use crate::world::World;
use crate::zones;

pub const NAMES: usize = 2_000;
/// The default quota of record sets of a hosted zone.
///
/// Source: Route 53 Developer Guide, "Quotas".
pub const RECORD_SETS: usize = 10_000;
/// The number of the batch that meets a fault, counted from 1: one in the middle of a step.
pub const FAILING_BATCH: usize = 37;

fn scenario() -> Scenario {
    let mut scenario = Scenario::new(NAMES, |names| zones::large(names, RECORD_SETS));
    scenario.input["steps"] = json!([10, 100]);
    scenario.input["alarms"] = json!({});
    scenario
}

/// The journals need a higher quota.
fn raise_quota(world: &Rc<World>) {
    world.route53.set_record_limit(RECORD_SETS + NAMES);
}

/// The migration without a disturbance, and the numbers of its calls that change the zone.
pub fn undisturbed_migration() -> (Report, Vec<usize>) {
    let network: RefCell<Option<Arc<Network>>> = RefCell::default();
    let report = play(&scenario(), None, Afterwards::Continues, |world| {
        raise_quota(world);
        network.replace(Some(world.network.clone()));
    });
    let network = network.take();
    let changes = network.map_or_else(Vec::new, |network| {
        let is_change = |number: &usize| network.action(*number) == Some(CHANGE);
        (0..network.calls()).filter(is_change).collect()
    });
    (report, changes)
}

/// The migration with a fault at one call, and what happens to its execution there.
pub fn migration_with_fault(call: usize, kind: FaultKind, afterwards: Afterwards) -> Report {
    let fault = Disturbance::Fault(kind);
    play(&scenario(), Some((call, fault)), afterwards, raise_quota)
}
