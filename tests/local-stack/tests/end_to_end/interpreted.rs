//! The interpreter of the definitions, with which the simulation plays its histories, takes an execution
//! through the same states as the emulator.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use interpreter::ExecutionId;
use local_stack::{GREEN, Report, Scenario, Stack, blueprint};
use migration::dns::{RecordName, RecordSet, SetIdentifier};
use serde_json::{Value, json};
use simulation::ZONE_ID;
use simulation::clock::Latency;
use simulation::history::History;
use simulation::machines::{self, DEFINITIONS, MIGRATION, RELEASE, ROLLBACK, WATCH};
use simulation::world::{ALARM, Approval, World};
use simulation::writers::Writer;

/// The states of a watch in which a circumstance happens.
pub(crate) const BEFORE_A_LOOK: &str = "Send a heartbeat";
pub(crate) const AFTER_A_LOOK: &str = "Wait before the next check";
/// The name of the migration.
const RUN: &str = "run";

/// The states that the executions of a scenario entered, as [`collapsed`] returns them.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Entered {
    pub(crate) migration: Vec<String>,
    /// Those of the executions of `watch`, in the order in which they started.
    pub(crate) watches: Vec<Vec<String>>,
    /// Those of the rollback or the release that followed.
    pub(crate) afterwards: Vec<String>,
}

impl Entered {
    /// In the emulator a stopped execution ends only when its current Task ends, and until then its token
    /// is valid. So of a migration that is stopped, what follows the bake is left out, and its last watch.
    fn without_what_the_emulator_does_not_stop(mut self, scenario: &Scenario) -> Self {
        if ["alarm-event", "abort"].contains(&scenario.name) {
            let bake = self.migration.iter().rposition(|state| state == "Bake");
            self.migration.truncate(bake.unwrap() + 1);
            self.watches.pop();
        }
        self
    }
}

/// Plays a scenario of the demo in the interpreter, and returns what can happen: two rollbacks that
/// events start may restore the names in either order. The scenario's circumstance happens at the
/// eventful step, while the migration and its watch are in the two states of `moment`.
pub(crate) fn play(scenario: &Scenario, moment: (&str, &str)) -> Vec<Entered> {
    let latency = Latency::Same(Duration::from_millis(100));
    let mut history = History::new(blueprint(), latency, machines::all());
    let world = history.world.clone();
    // Before or after the second look of the watch that asks for the approval.
    let until_approved = Duration::from_secs(if moment.1 == BEFORE_A_LOOK { 1 } else { 45 });
    *world.approvals.borrow_mut() = Box::new(move || (until_approved, Approval::Given));
    let mut input = scenario.input(ZONE_ID);
    input["alarms"]["names"] = json!([ALARM]);
    if scenario.name == "bad-green" {
        world.become_unhealthy();
    }
    world.start(RUN, &input);
    // ExternalDNS puts unleased weights back at the first step.
    let shifts = if scenario.name == "no-lease" { 1 } else { 2 };
    history.run_until(|world| is_at(world, shifts, moment));
    disturb(&world, scenario.name);
    history.run_until(|_| false);
    let by_events = executions_of(&world, ROLLBACK);
    let request = json!({"hostedZoneId": ZONE_ID, "execution": RUN});
    let afterwards = match scenario.name {
        "canary" => {
            world.update_annotations();
            world.release(&request);
            history.run_until(|_| false);
            executions_of(&world, RELEASE)
        }
        "drift" | "no-lease" => {
            world.roll_back(&request);
            history.run_until(|_| false);
            executions_of(&world, ROLLBACK).split_off(by_events.len())
        }
        "alarm-event" | "abort" => by_events,
        _ => Vec::new(),
    };
    let mut afterwards: Vec<_> = afterwards.iter().map(|id| states(&world, id)).collect();
    if afterwards.is_empty() {
        afterwards.push(Vec::new());
    }
    let migration = states(&world, &ExecutionId::new(MIGRATION, RUN));
    let watches = executions_of(&world, WATCH);
    let watches: Vec<_> = watches.iter().map(|watch| states(&world, watch)).collect();
    let entered = |afterwards| {
        let entered = Entered {
            migration: migration.clone(),
            watches: watches.clone(),
            afterwards,
        };
        entered.without_what_the_emulator_does_not_stop(scenario)
    };
    afterwards.into_iter().map(entered).collect()
}

/// Whether a migration and its watch are in these states, after so many shifts.
fn is_at(world: &World, shifts: usize, (state, state_of_watch): (&str, &str)) -> bool {
    let entered = world.entered.borrow();
    let of = |machine: &'static str| {
        let own = entered
            .iter()
            .filter(move |(id, _)| id.machine_arn() == machine);
        own.map(|(_, state)| state.as_str())
    };
    of(MIGRATION)
        .filter(|state| *state == "Shift weight")
        .count()
        == shifts
        && of(MIGRATION).next_back() == Some(state)
        && of(WATCH).next_back() == Some(state_of_watch)
}

/// What happens in a scenario.
fn disturb(world: &Rc<World>, scenario: &str) {
    let name: RecordName = "skiapp.eks-blueprint.example.com".parse().unwrap();
    match scenario {
        "alarm" => world.cloudwatch.set(ALARM, "ALARM"),
        "alarm-event" => world.set_alarm("ALARM"),
        "abort" => world.abort(RUN),
        "drift" => world.write("another writer", |record_sets| {
            let green: SetIdentifier = GREEN.parse().unwrap();
            let is_edited = |live: &&mut RecordSet| live.name == name && live.record_type.moves();
            for live in record_sets.iter_mut().filter(is_edited) {
                if live.weighted().is_some_and(|(side, _)| *side == green) {
                    *live = live.with_weight(20);
                }
            }
        }),
        "no-lease" => world.write_as(Writer::ExternalDns, &name, 0),
        "canary" | "approval" | "bad-green" => {}
        other => panic!("the scenario {other} is not known here"),
    }
}

/// The states that the executions of a scenario entered in the emulator.
pub(crate) async fn of_stack(scenario: &Scenario, stack: &Stack, report: &Report) -> Entered {
    let mut watches = Vec::new();
    for watch in stack.watches().await.unwrap().into_iter().rev() {
        let ended = watch.wait().await.unwrap();
        watches.push(collapsed(WATCH, ended.states));
    }
    let (afterwards, machine) = match (&report.release, &report.rollback) {
        (Some(release), _) => (Some(release), RELEASE),
        (None, rollback) => (rollback.as_ref(), ROLLBACK),
    };
    let afterwards = afterwards.map(|ended| collapsed(machine, ended.states.clone()));
    let entered = Entered {
        migration: collapsed(MIGRATION, report.migration.states.clone()),
        watches,
        afterwards: afterwards.unwrap_or_default(),
    };
    entered.without_what_the_emulator_does_not_stop(scenario)
}

/// The states of an execution in the interpreter.
fn states(world: &World, id: &ExecutionId) -> Vec<String> {
    let entered = world.entered.borrow();
    let own = entered.iter().filter(|(execution, _)| execution == id);
    collapsed(
        &id.machine_arn(),
        own.map(|(_, state)| state.clone()).collect(),
    )
}

/// The executions of a state machine, in the order in which they started.
fn executions_of(world: &World, machine: &str) -> Vec<ExecutionId> {
    let mut executions: Vec<ExecutionId> = Vec::new();
    for (id, _) in world.entered.borrow().iter() {
        if id.machine_arn() == machine && !executions.contains(id) {
            executions.push(id.clone());
        }
    }
    executions
}

/// The states of a state machine in their order, without those in branches, which run at the same time.
/// Of states that repeat each other, one run is left, so that it does not matter how often a loop ran.
fn collapsed(machine: &str, mut states: Vec<String>) -> Vec<String> {
    let (_, definition) = DEFINITIONS.iter().find(|(arn, _)| *arn == machine).unwrap();
    let definition: Value = serde_json::from_str(definition).unwrap();
    let outer = definition["States"].as_object().unwrap();
    states.retain(|state| outer.contains_key(state));
    while let Some(repeated) = repetition(&states) {
        states.drain(repeated);
    }
    states
}

/// The shortest run of states that is followed by the same states.
fn repetition(states: &[String]) -> Option<Range<usize>> {
    (1..=states.len() / 2).find_map(|length| {
        let is_repeated = |start: &usize| {
            let (once, again) = (*start, start + length);
            states[once..again] == states[again..again + length]
        };
        let start = (0..=states.len() - 2 * length).find(is_repeated)?;
        Some(start..start + length)
    })
}

#[test]
fn repeats_of_a_loop_are_collapsed() {
    let states = "Bake Bake Ask Bake Ask Done".split(' ').map(str::to_owned);
    let mut states: Vec<_> = states.collect();
    while let Some(repeated) = repetition(&states) {
        states.drain(repeated);
    }
    assert_eq!(states, ["Bake", "Ask", "Done"]);
}
