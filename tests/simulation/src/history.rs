//! One history: a migration, what happens to it, and what must hold at the end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use futures_executor::LocalPool;
use migration::Percent;
use migration::journal::Journal;
use migration::record::RecordSet;
use serde_json::json;

use crate::clock::{self, Latency};
use crate::machines::COMPLETION;
use crate::oracle::lock;
use crate::world::World;

/// What a history was, for the closing lines.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many histories.
    pub histories: usize,
    /// Calls of AWS's APIs.
    pub calls: usize,
    /// Faults that happened to them.
    pub faults: usize,
    /// Changes that others made.
    pub outside_writes: usize,
    /// Batches that Route 53 accepted.
    pub batches: usize,
    /// The largest payload, in bytes.
    pub largest_payload: usize,
    /// What must not have happened.
    pub violations: Vec<String>,
    /// What happened; of several histories, in the first one in which something must not have.
    pub timeline: Vec<String>,
    /// How the migrations ended: completed, rolled back, and so on, each with how often.
    pub ends: BTreeMap<String, usize>,
}

impl Report {
    /// Adds another history.
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.calls += other.calls;
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
    }
}

/// Runs a history in a zone with these record sets: `prepare` sets the scene, `between` sees every
/// moment. Then, once everything has ended and AWS works again, one rollback of each execution that
/// has left journals must get the zone back.
pub fn run(
    record_sets: Vec<RecordSet>,
    latency: Latency,
    prepare: impl FnOnce(&Rc<World>),
    mut between: impl FnMut(&Rc<World>),
) -> Report {
    let mut pool = LocalPool::new();
    let world = World::new(record_sets, latency, pool.spawner());
    let before = world.route53.record_sets();
    prepare(&world);
    clock::run(&mut pool, &world.clock, || between(&world));
    check_end(&world);
    let ends = ends(&world);

    world.line.heal();
    world.note("AWS works again, and whatever is left is rolled back");
    for execution in journals(&world).into_keys() {
        world.roll_back(json!({"hostedZoneId": crate::ZONE_ID, "execution": execution}));
        clock::run(&mut pool, &world.clock, || {});
    }
    check_rescued(&world, &before);

    let oracle = lock(&world.oracle);
    Report {
        histories: 1,
        calls: world.line.calls(),
        faults: world.line.injected(),
        outside_writes: world.outside_writes.load(Ordering::Relaxed),
        batches: oracle.batches,
        largest_payload: world.largest_payload.get(),
        violations: oracle.violations.clone(),
        timeline: world.timeline.take(),
        ends,
    }
}

/// The journals that stand in the zone, by execution.
fn journals(world: &World) -> BTreeMap<String, Vec<Journal>> {
    let mut journals: BTreeMap<String, Vec<Journal>> = BTreeMap::new();
    for record_set in world.route53.record_sets() {
        if record_set.name.journaled().is_some() {
            match Journal::parse(&record_set) {
                Ok(journal) => journals
                    .entry(journal.execution.clone())
                    .or_default()
                    .push(journal),
                Err(problem) => world.violation(&format!("{}: {problem}", record_set.name)),
            }
        }
    }
    journals
}

/// What of a migration stands in the zone once everything has ended: nothing, or what somebody was
/// told of.
fn check_end(world: &World) {
    for execution in world.inputs.borrow().keys() {
        if world.executions.is_running(execution) {
            world.violation(&format!("{execution} has not ended"));
        }
    }
    for (execution, journals) in journals(world) {
        let is_leased = world.executions.has_succeeded(&execution)
            && journals.iter().any(Journal::is_leased)
            && journals
                .iter()
                .all(|journal| journal.percent == Percent::ALL);
        let is_excused = may_hold(world, &execution) || has_failed_to_roll_back(world, &execution);
        if !is_leased && !is_excused {
            world.violation(&format!(
                "{execution} has left {} journals, and nobody was told",
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
            "a part of the names of {execution} is restored, the other part has completed"
        ));
    }
}

/// Whether an execution was held, and its input, or what happened to it, asks for that.
fn may_hold(world: &World, execution: &str) -> bool {
    let error = world.executions.error(execution);
    let told = (execution.to_owned(), "Held".to_owned());
    if error.as_deref() != Some("Held") && !world.told.borrow().contains(&told) {
        return false;
    }
    let inputs = world.inputs.borrow();
    let asks = |field: &str| inputs[execution][field] == "hold";
    let held = world.held.borrow();
    match held.get(execution).map(String::as_str) {
        Some("Drift") => inputs[execution]["onDrift"] != "rollback",
        Some("ApprovalRefused" | "ApprovalTimedOut") => asks("onRefusal"),
        Some(COMPLETION) => true,
        // Where it did not hold by itself, an event holds it.
        Some(_) | None => asks("onFailure"),
    }
}

/// Whether the last rollback that was for an execution has failed, of which people are told.
fn has_failed_to_roll_back(world: &World, execution: &str) -> bool {
    let rollbacks = world.rollbacks.borrow();
    let mut concerned = rollbacks.iter().rev().filter(|rollback| {
        let request = rollback.request.to_string();
        rollback.executions.iter().any(|it| it == execution) || request.contains(execution)
    });
    concerned
        .next()
        .is_some_and(|rollback| rollback.failure.is_some())
}

/// After one rollback of each execution no journal is left; and without other writers, nothing but
/// what has completed is other than before.
fn check_rescued(world: &World, before: &[RecordSet]) {
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
        let is_told = problems
            .iter()
            .any(|problem| problem.contains(name.as_str()));
        if is_undisturbed || !is_told {
            world.violation(&format!("one rollback does not get {name} back"));
        }
    }
    let has_completed = !lock(&world.oracle).completed.is_empty();
    if is_undisturbed && !has_completed && world.route53.record_sets() != before {
        world.violation("the zone is other than it was");
    }
}

/// How each migration ended, in a word.
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
