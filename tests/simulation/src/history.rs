//! Runs one history and checks its end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_executor::LocalPool;
use interpreter::Failure;
use migration::dns::{Percent, RecordName, RecordSet};
use migration::journal::Journal;
use serde_json::json;

use crate::clock::{self, Latency};
use crate::machines::{self, Machines};
use crate::oracle::{is_as_written, lock};
use crate::world::{COMPLETION, World};
use crate::writers::is_of_later_format;

/// The result of one history, or of several.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of histories.
    pub histories: usize,
    /// The number of calls of the functions to AWS.
    pub calls: usize,
    /// The number of calls of Step Functions for Tasks, except those of functions.
    pub integration_calls: usize,
    /// The number of injected faults. An edit of another writer at a call counts as one.
    pub faults: usize,
    /// The number of writes of other writers that changed the zone.
    pub outside_writes: usize,
    /// The number of batches that Route 53 accepted from a migration or a rollback.
    pub batches: usize,
    /// The largest input or output of a function, in bytes.
    pub largest_payload: usize,
    pub violations: Vec<String>,
    /// The events with their times; of several histories, those of the first with a violation.
    pub timeline: Vec<String>,
    /// The number of migrations for each end: `Completed`, `aborted` or the error of the execution.
    pub ends: BTreeMap<String, usize>,
    /// The ways between states that executions have used, by the ARN of the state machine, in the order
    /// of [`Machine::edges`](interpreter::Machine::edges).
    pub covered: BTreeMap<String, Vec<bool>>,
}

impl Report {
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.calls += other.calls;
        self.integration_calls += other.integration_calls;
        self.faults += other.faults;
        self.outside_writes += other.outside_writes;
        self.batches += other.batches;
        self.largest_payload = self.largest_payload.max(other.largest_payload);
        if self.violations.is_empty() && !other.violations.is_empty() {
            self.timeline = other.timeline;
        }
        self.violations.extend(other.violations);
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        for (machine, edges) in other.covered {
            let covered = self.covered.entry(machine).or_default();
            covered.resize(edges.len(), false);
            for (covered, edge) in covered.iter_mut().zip(edges) {
                *covered |= edge;
            }
        }
    }
}

/// A history that is being played.
pub struct History {
    pub world: Rc<World>,
    pool: LocalPool,
    before: Vec<RecordSet>,
}

impl History {
    pub fn new(record_sets: Vec<RecordSet>, latency: Latency, machines: Machines) -> Self {
        let pool = LocalPool::new();
        let world = World::new(record_sets, latency, pool.spawner(), machines);
        let before = world.route53.record_sets();
        Self {
            world,
            pool,
            before,
        }
    }

    /// Plays until `is_reached`, which is asked before each advance of the clock, or until nothing is
    /// left to run. Returns whether it was reached.
    pub fn run_until(&mut self, mut is_reached: impl FnMut(&Rc<World>) -> bool) -> bool {
        clock::run_until(&mut self.pool, &self.world.clock, || {
            is_reached(&self.world)
        })
    }

    /// Plays to the end, and checks the zone twice: first when nothing is left to run, and then, without
    /// further faults, after one rollback of each execution that has left journals, which must restore
    /// the zone.
    pub fn finish(mut self) -> Report {
        self.run_until(|_| false);
        let Self {
            world,
            mut pool,
            before,
        } = self;
        check_end(&world);
        let ends = ends(&world);

        world.network.clear_faults();
        world.integrations.clear_faults();
        world.end_outages();
        if world.is_swept.get() {
            world.clock.pass(Duration::from_hours(25));
            world.remind();
            clock::run(&mut pool, &world.clock, || {});
            check_reminders(&world);
        }
        world.note("no more faults; executions that have left journals are rolled back");
        let mut left: BTreeSet<_> = journals(&world).into_keys().collect();
        if has_later_formats(&world) {
            left.extend(world.inputs.borrow().keys().cloned());
        }
        for execution in left {
            world.roll_back(&json!({"hostedZoneId": crate::ZONE_ID, "execution": execution}));
            clock::run(&mut pool, &world.clock, || {});
        }
        check_final_rollbacks(&world, &before);

        let oracle = lock(&world.oracle);
        Report {
            histories: 1,
            calls: world.network.calls(),
            integration_calls: world.integrations.calls(),
            faults: world.network.injected() + world.integrations.injected(),
            outside_writes: world.outside_writes.load(Ordering::Relaxed),
            batches: oracle.batches,
            largest_payload: world.largest_payload.get(),
            violations: oracle.violations.clone(),
            timeline: world.timeline.take(),
            ends,
            covered: world.step_functions.covered(),
        }
    }
}

/// Plays a history of the project's state machines. `prepare` is called at its start, `between` before
/// each advance of the clock.
pub fn run(
    record_sets: Vec<RecordSet>,
    latency: Latency,
    prepare: impl FnOnce(&Rc<World>),
    mut between: impl FnMut(&Rc<World>),
) -> Report {
    let mut history = History::new(record_sets, latency, machines::all());
    prepare(&history.world);
    history.run_until(|world| {
        between(world);
        false
    });
    history.finish()
}

/// The journals in the zone with their names, by execution. Only another writer can have left one that can't be
/// read.
fn journals(world: &World) -> BTreeMap<String, BTreeMap<RecordName, Journal>> {
    let is_disturbed = world.outside_writes.load(Ordering::Relaxed) > 0;
    let mut journals: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    for record_set in world.route53.record_sets() {
        if let Some(name) = record_set.name.journaled() {
            match Journal::parse_unverified(&record_set) {
                Ok(journal) => {
                    let execution = journal.execution.name().to_owned();
                    let of_execution = journals.entry(execution).or_default();
                    of_execution.insert(name, journal);
                }
                Err(_) if is_disturbed => {}
                Err(problem) => world.violation(&format!("{}: {problem}", record_set.name)),
            }
        }
    }
    journals
}

/// Whether there are journals of a later version of the functions. Their executions can't be read.
fn has_later_formats(world: &World) -> bool {
    let record_sets = world.route53.record_sets();
    record_sets.iter().any(is_of_later_format)
}

/// Checks that every execution has ended, and that one that has left journals either completed with
/// leased names, or was reported as held or as failed to roll back. If the sweep runs, it has restored those whose
/// rollback failed, except those that are to hold: of these it tries once to announce it.
fn check_end(world: &World) {
    for execution in world.inputs.borrow().keys() {
        if world.executions.is_running(execution) {
            world.violation(&format!("{execution} has not ended"));
        }
    }
    for (execution, journals) in journals(world) {
        let waits_for_release = world.executions.has_succeeded(&execution)
            && journals.values().any(Journal::is_leased)
            && journals
                .values()
                .all(|journal| journal.percent == Percent::ALL);
        if waits_for_release || may_hold(world, &execution) {
            continue;
        }
        let has_failed = rollback_has_failed(world, &execution);
        let holds = world.inputs.borrow()[&execution]["onFailure"] == "hold";
        if world.is_swept.get() && !(holds && has_failed) {
            for name in names_for_the_sweep(world, &execution, &journals) {
                world.violation(&format!("no sweep has restored {name} of {execution}"));
            }
        } else if !has_failed {
            world.violation(&format!(
                "{execution} has left {} journals without a notification",
                journals.len()
            ));
        }
    }
    let oracle = lock(&world.oracle);
    let both = oracle
        .restored
        .keys()
        .find(|execution| oracle.completed.contains_key(*execution));
    let both = both.cloned();
    drop(oracle);
    if let Some(execution) = both {
        world.violation(&format!(
            "some names of {execution} are restored and others are completed"
        ));
    }
}

/// Whether an execution ended as held or was reported as held, and its input or the reason of the
/// hold permits that.
fn may_hold(world: &World, execution: &str) -> bool {
    let error = world.executions.error(execution);
    let held = (execution.to_owned(), "Held".to_owned());
    if error.as_deref() != Some("Held") && !world.notifications.borrow().contains(&held) {
        return false;
    }
    let inputs = world.inputs.borrow();
    let is_hold = |field: &str| inputs[execution][field] == "hold";
    let reasons = world.hold_reasons.borrow();
    match reasons.get(execution).map(String::as_str) {
        Some("Drift") => inputs[execution]["onDrift"] != "rollback",
        Some("ApprovalRefused" | "ApprovalTimedOut") => is_hold("onRefusal"),
        // An operator's answer, or none because nobody could be asked.
        Some(COMPLETION | "Hold" | "ApprovalNotRequested") => true,
        Some("RollBack") => false,
        // No reason: the rollback function held it after an alarm or a status event.
        Some(_) | None => is_hold("onFailure"),
    }
}

/// The names of an execution that the sweep should have restored: those that are as their journals say, unless
/// the last rollback has reported that Route 53 refuses them.
fn names_for_the_sweep(
    world: &World,
    execution: &str,
    journals: &BTreeMap<RecordName, Journal>,
) -> Vec<RecordName> {
    let zone = world.route53.record_sets();
    let is_undisturbed = world.outside_writes.load(Ordering::Relaxed) == 0;
    let failure = last_rollback_failure(world, execution);
    let not_restored = failure.filter(|it| !is_undisturbed && it.error == "NotRestored");
    let cause = not_restored.map(|it| it.cause).unwrap_or_default();
    let is_reported = |name: &RecordName| cause.contains(name.as_str()) || cause.ends_with(" more");
    let restorable = journals
        .iter()
        .filter(|(name, journal)| is_as_written(name, journal, &zone) && !is_reported(name));
    restorable.map(|(name, _)| name.clone()).collect()
}

/// Whether the last rollback of an execution has failed. The rollback state machine notifies of that.
fn rollback_has_failed(world: &World, execution: &str) -> bool {
    last_rollback_failure(world, execution).is_some()
}

/// The failure of the last rollback of an execution, if that has failed.
fn last_rollback_failure(world: &World, execution: &str) -> Option<Failure> {
    let rollbacks = world.rollbacks.borrow();
    let mut matching = rollbacks.iter().rev().filter(|rollback| {
        let request = rollback.request.to_string();
        rollback.executions.iter().any(|it| it == execution) || request.contains(execution)
    });
    matching
        .next()
        .and_then(|rollback| rollback.failure.clone())
}

/// Checks that somebody was reminded of each execution that has left journals.
fn check_reminders(world: &World) {
    let notifications = world.notifications.borrow().clone();
    for execution in journals(world).into_keys() {
        let is_reminder = |(of, status): &(String, String)| {
            *of == execution && ["StillHeld", "NotReleased"].contains(&status.as_str())
        };
        if !notifications.iter().any(is_reminder) {
            world.violation(&format!(
                "{execution} has left journals, and nobody is reminded of it"
            ));
        }
    }
}

/// Checks that no journal is left, except those of names that the rollback reported as not restored
/// because of another writer. Without other writers and completed migrations, the zone must equal
/// `before`.
fn check_final_rollbacks(world: &World, before: &[RecordSet]) {
    let problems: Vec<String> = world
        .rollbacks
        .borrow()
        .iter()
        .filter_map(|rollback| rollback.failure.as_ref())
        .filter(|failure| failure.error == "NotRestored")
        .map(|failure| failure.cause.clone())
        .collect();
    let is_undisturbed = world.outside_writes.load(Ordering::Relaxed) == 0;
    for record_set in world.route53.record_sets() {
        let Some(name) = record_set.name.journaled() else {
            continue;
        };
        // Of many problems only the first ones are listed.
        let is_reported = problems
            .iter()
            .any(|problem| problem.contains(name.as_str()) || problem.ends_with(" more"));
        if is_undisturbed || !is_reported {
            world.violation(&format!("one rollback does not restore {name}"));
        }
    }
    let has_completed = !lock(&world.oracle).completed.is_empty();
    if is_undisturbed && !has_completed && world.route53.record_sets() != before {
        world.violation("the zone differs from its original state");
    }
}

/// The number of migrations for each end, as in [`Report::ends`].
fn ends(world: &World) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for execution in world.inputs.borrow().keys() {
        let end = if world.executions.has_succeeded(execution) {
            "Completed".to_owned()
        } else {
            let error = world.executions.error(execution);
            error.unwrap_or_else(|| "aborted".to_owned())
        };
        *ends.entry(end).or_default() += 1;
    }
    ends
}
