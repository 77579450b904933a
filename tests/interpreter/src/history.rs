//! The events in the history of an execution.
//!
//! | what | events |
//! |---|---|
//! | the execution | started or redriven, and ended |
//! | Pass, Choice, Wait, Succeed | entered, exited |
//! | Fail | entered |
//! | Task | entered, exited, and for each attempt scheduled, started, and succeeded, failed or timed out |
//! | Task with `.sync` or `.waitForTaskToken` | for each attempt also submitted, or instead of failed: failed to submit |
//! | Parallel | entered, started, succeeded or failed, exited, and the events of its branches |
//! | a state that fails without a Catch | no exited |
//! | a Task, Wait or Parallel that is ended from outside | aborted instead of what would follow |
//! | an expression that fails | evaluation failed |
//!
//! Source: Step Functions API Reference, `HistoryEvent`; Developer Guide, "Viewing execution details".

use std::cell::Cell;

use crate::failure::{Failure, RUNTIME};

/// The number of events at which Step Functions ends an execution: the last of them says that it has
/// failed. No Catch applies.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const MOST_EVENTS: usize = 25_000;

#[derive(Default)]
pub(crate) struct History {
    events: Cell<usize>,
    /// The states that were entered, and the retries: what Step Functions charges for.
    transitions: Cell<usize>,
}

/// Adds the event of a state that is ended from outside, unless it was disarmed.
pub(crate) struct Aborted<'a>(Option<&'a History>);

impl History {
    /// Adds events before the end of the execution.
    ///
    /// # Errors
    /// If only the event of the end has a place left.
    pub(crate) fn add(&self, events: usize) -> Result<(), Failure> {
        let count = self.events.get() + events;
        self.events.set(count.min(MOST_EVENTS - 1));
        if count < MOST_EVENTS {
            return Ok(());
        }
        Err(Failure::new(
            RUNTIME,
            format!("the execution has reached {MOST_EVENTS} events"),
        ))
    }

    /// Adds the event of the end.
    pub(crate) fn end(&self) {
        self.events.set((self.events.get() + 1).min(MOST_EVENTS));
    }

    /// A state begins that has an event of its own if it is ended from outside.
    pub(crate) fn abortable(&self) -> Aborted<'_> {
        Aborted(Some(self))
    }

    pub(crate) fn transition(&self) {
        self.transitions.set(self.transitions.get() + 1);
    }

    pub(crate) fn events(&self) -> usize {
        self.events.get()
    }

    pub(crate) fn transitions(&self) -> usize {
        self.transitions.get()
    }
}

impl Aborted<'_> {
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Aborted<'_> {
    fn drop(&mut self) {
        if let Some(history) = self.0 {
            history.end();
        }
    }
}
