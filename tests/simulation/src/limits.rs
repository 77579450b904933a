//! A zone of 10,000 record sets, and a migration of 2,000 names in it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use migration::fake::{Line, record_sets_from_cli_json};
use migration::record::RecordSet;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::exhaustive::{Kind, Then};
use crate::history::{self, Report};
use crate::world::World;
use crate::zones::{self, BLUE, GREEN};

/// Names that move.
pub const NAMES: usize = 2_000;
/// Record sets of the zone.
pub const RECORD_SETS: usize = 10_000;
/// The batch that fails.
pub const FAILING_BATCH: usize = 37;

const EXECUTION: &str = "run";
const CHANGE: &str = "ChangeResourceRecordSets";

fn input() -> Value {
    json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN,
        "steps": [10, 100], "bakeSeconds": 60,
    })
}

fn zone() -> Vec<RecordSet> {
    record_sets_from_cli_json(&zones::large(NAMES, RECORD_SETS))
}

/// The whole migration, and the numbers of the calls that change the zone.
pub fn whole_migration() -> (Report, Vec<usize>) {
    let line: RefCell<Option<Arc<Line>>> = RefCell::default();
    let report = play(
        |world| {
            line.replace(Some(world.line.clone()));
        },
        |_| {},
    );
    let line = line.take();
    let changes = line.map_or_else(Vec::new, |line| {
        let is_change = |number: &usize| line.action(*number) == Some(CHANGE);
        (0..line.calls()).filter(is_change).collect()
    });
    (report, changes)
}

/// The same, with a fault at this call, and the execution aborted there or not.
pub fn failing(call: usize, kind: Kind, then: Then) -> Report {
    let mut is_to_come = then == Then::Aborted;
    play(
        |world| world.line.on_call(call, kind.fault()),
        |world| {
            if is_to_come && world.line.calls() > call {
                is_to_come = false;
                world.abort(EXECUTION);
            }
        },
    )
}

fn play(scene: impl FnOnce(&Rc<World>), between: impl FnMut(&Rc<World>)) -> Report {
    history::run(
        zone(),
        Latency::Same(Duration::from_millis(200)),
        |world| {
            world.start(EXECUTION, &input());
            scene(world);
        },
        between,
    )
}
