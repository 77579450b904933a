//! A zone of 10,000 record sets, and a migration of 2,000 names in it.

use std::cell::RefCell;
use std::sync::Arc;

use migration::fake::{CHANGE, Line};
use serde_json::json;

use crate::exhaustive::{Disturbance, Kind, Then, Undisturbed, play};
use crate::history::Report;
use crate::zones;

/// Names that move.
pub const NAMES: usize = 2_000;
/// Record sets of the zone.
pub const RECORD_SETS: usize = 10_000;
/// The batch that fails.
pub const FAILING_BATCH: usize = 37;

fn migration() -> Undisturbed {
    let mut migration = Undisturbed::of(NAMES, |names| zones::large(names, RECORD_SETS));
    migration.input["steps"] = json!([10, 100]);
    migration.input["alarms"] = json!({});
    migration
}

/// The whole migration, and the numbers of the calls that change the zone.
pub fn whole_migration() -> (Report, Vec<usize>) {
    let line: RefCell<Option<Arc<Line>>> = RefCell::default();
    let report = play(&migration(), None, Then::GoesOn, |world| {
        line.replace(Some(world.line.clone()));
    });
    let line = line.take();
    let changes = line.map_or_else(Vec::new, |line| {
        let is_change = |number: &usize| line.action(*number) == Some(CHANGE);
        (0..line.calls()).filter(is_change).collect()
    });
    (report, changes)
}

/// The same, with a fault at this call, and the execution aborted there or not.
pub fn failing(call: usize, kind: Kind, then: Then) -> Report {
    let fault = Disturbance::Fault(kind);
    play(&migration(), Some((call, fault)), then, |_| {})
}
