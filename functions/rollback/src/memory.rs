//! What one environment of the function keeps in memory from one call to the next, so that a storm of alarms
//! does not describe the same executions for each of them. Another environment starts with nothing.
//!
//! Only what can't change is kept: the input of an execution, the way in which it ended at a given time, and that
//! nothing is left to do after that end.
//! What decides a rollback is always described anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::future::try_join_all;
use migration::Error;
use migration::executions::{Executions, Listed};
use migration::input::{self, Alarms, Reaction};

/// The most executions that are kept. Far more than run at once and are looked at after their end.
const MOST_KEPT: usize = 1_000;
/// How many executions are described at once. Step Functions permits 250 or more at once, then 10 or 15 a
/// second.
///
/// Source: Step Functions Developer Guide, "Service quotas".
const DESCRIBED_AT_ONCE: usize = 10;

/// The memory of one environment.
#[derive(Debug, Default)]
pub struct Memory {
    executions: Mutex<BTreeMap<Key, Kept>>,
    last_look_up: Mutex<Option<LastLookUp>>,
    /// The executions that the sweep has found in order, and when they had ended.
    in_order: Mutex<BTreeMap<Key, SystemTime>>,
}

/// A name belongs to another execution after 90 days, which has another start.
type Key = (String, SystemTime);

#[derive(Debug)]
struct Kept {
    /// None if the execution can't have shifted: its input can't be parsed, or it is a dry run.
    watched: Option<Watched>,
    /// For the end at this time, whether the execution holds. A redriven execution ends at another time.
    held: Option<(SystemTime, bool)>,
}

/// What an input says about alarms.
#[derive(Debug)]
struct Watched {
    alarms: Alarms,
    on_failure: Reaction,
}

/// The migrations for which an alarm may count.
#[derive(Debug, Default)]
pub(crate) struct LookUp {
    pub(crate) running: Vec<Listed>,
    /// Those that have ended without success, and may be holding.
    pub(crate) ended: Vec<Listed>,
}

/// The latest look-up.
#[derive(Clone, Debug)]
pub(crate) struct LastLookUp {
    pub(crate) began: SystemTime,
    /// None if it failed, or was not completed because nothing was left to look for.
    pub(crate) found: Option<Arc<LookUp>>,
}

impl Memory {
    /// Whether an execution watches an alarm; none if its input is not known. If `is_ended`, one does not
    /// that holds whatever its alarms say.
    pub(crate) fn watches(&self, listed: &Listed, alarm: &str, is_ended: bool) -> Option<bool> {
        let executions = lock(&self.executions);
        let kept = executions.get(&key(listed))?;
        Some(kept.watched.as_ref().is_some_and(|watched| {
            let counts = !is_ended || watched.on_failure == Reaction::Rollback;
            counts && watched.alarms.watch(alarm)
        }))
    }

    /// Describes the executions whose inputs are not known.
    pub(crate) async fn learn(
        &self,
        listed: &[Listed],
        executions: &impl Executions,
    ) -> Result<(), Error> {
        let is_known = |listed: &&Listed| lock(&self.executions).contains_key(&key(listed));
        let unknown: Vec<_> = listed.iter().filter(|it| !is_known(it)).collect();
        if lock(&self.executions).len() + unknown.len() > MOST_KEPT {
            lock(&self.executions).clear();
        }
        for part in unknown.chunks(DESCRIBED_AT_ONCE) {
            let described = part.iter().map(|it| executions.describe(&it.name));
            let described = try_join_all(described).await?;
            for (listed, execution) in part.iter().zip(described) {
                // The list may show an execution earlier than the description.
                let Some(execution) = execution else {
                    continue;
                };
                // An input that can't be parsed was refused by the plan.
                let input = input::parse(&execution.input).ok();
                let watched = input.filter(|input| !input.dry_run).map(|input| Watched {
                    alarms: input.alarms,
                    on_failure: input.on_failure,
                });
                let kept = Kept {
                    watched,
                    held: None,
                };
                lock(&self.executions).insert(key(listed), kept);
            }
        }
        Ok(())
    }

    /// Whether an execution that has ended holds; none if that is not known for this end.
    pub(crate) fn is_held(&self, listed: &Listed) -> Option<bool> {
        let executions = lock(&self.executions);
        let (at, is_held) = executions.get(&key(listed))?.held?;
        (Some(at) == listed.stopped_at).then_some(is_held)
    }

    pub(crate) fn keep_held(&self, listed: &Listed, is_held: bool) {
        if let Some(kept) = lock(&self.executions).get_mut(&key(listed)) {
            kept.held = listed.stopped_at.map(|at| (at, is_held));
        }
    }

    /// Whether the sweep has nothing to do for an execution since it ended.
    pub(crate) fn is_in_order(&self, listed: &Listed) -> bool {
        let in_order = lock(&self.in_order);
        in_order.get(&key(listed)).copied() == listed.stopped_at
    }

    pub(crate) fn keep_in_order(&self, listed: &Listed) {
        let mut in_order = lock(&self.in_order);
        if in_order.len() >= MOST_KEPT {
            in_order.clear();
        }
        if let Some(stopped_at) = listed.stopped_at {
            in_order.insert(key(listed), stopped_at);
        }
    }

    pub(crate) fn last_look_up(&self) -> Option<LastLookUp> {
        lock(&self.last_look_up).clone()
    }

    pub(crate) fn set_last_look_up(&self, look_up: LastLookUp) {
        *lock(&self.last_look_up) = Some(look_up);
    }
}

fn key(listed: &Listed) -> Key {
    (listed.name.clone(), listed.started_at)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
