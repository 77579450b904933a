//! A migration of many names that has shifted and failed, and the first pass of its rollback.

use std::collections::BTreeSet;

use fakes::CHANGE;
use migration::dns::RecordName;
use serde_json::{Value, json};

use crate::invariants::run;
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// As many as one call restores, or less.
pub(crate) const NAMES: usize = 80;

pub(crate) fn name(number: usize) -> RecordName {
    format!("svc-{number:04}.example.com").parse().unwrap()
}

/// The zone with all names, before the migration.
pub(crate) fn zone() -> Simulation {
    Simulation::new(&zones::registered(NAMES))
}

/// Shifts half of the traffic of all names, or of those that `names` selects, and fails.
pub(crate) fn shift_and_fail(simulation: &Simulation, names: &[&str]) {
    let input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [50, 100], "names": names,
    });
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.fail("run", "HealthCheckFailed", "");
}

/// The zone with all names, after the failure.
pub(crate) fn shifted() -> Simulation {
    let simulation = zone();
    shift_and_fail(&simulation, &["*"]);
    simulation
}

/// The zone with all names, at the last step of a migration that runs.
pub(crate) fn at_100_percent() -> Simulation {
    let simulation = zone();
    let input = json!({"hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [100]});
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation
}

pub(crate) struct FirstPass {
    pub(crate) answer: Value,
    /// The actions of its calls, in their order.
    pub(crate) actions: Vec<&'static str>,
}

impl FirstPass {
    pub(crate) fn of(simulation: &Simulation) -> Self {
        let network = &simulation.world.network;
        let before = network.calls();
        let request = json!({"hostedZoneId": ZONE_ID, "execution": "run"});
        let answer = run(simulation.roll_back(&request)).unwrap();
        let actions = (before..network.calls()).map(|number| network.action(number).unwrap());
        Self {
            answer,
            actions: actions.collect(),
        }
    }

    pub(crate) fn writes(&self) -> usize {
        let is_write = |action: &&&str| **action == CHANGE;
        self.actions.iter().filter(is_write).count()
    }
}

/// The names that are not restored.
pub(crate) fn journaled(simulation: &Simulation) -> BTreeSet<RecordName> {
    let record_sets = simulation.route53.record_sets();
    record_sets
        .iter()
        .filter_map(|it| it.name.journaled())
        .collect()
}

/// The writes of a rollback without a refusal, and those that bisecting one of its batches takes.
pub(crate) fn writes_of_a_clean_rollback() -> (usize, usize) {
    let writes = FirstPass::of(&shifted()).writes();
    let batch = NAMES.div_ceil(writes - 1).next_power_of_two();
    (writes, 2 * usize::try_from(batch.ilog2()).unwrap())
}
