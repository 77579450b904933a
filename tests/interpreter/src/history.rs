//! The events in the history of an execution.
//!
//! | what | events |
//! |---|---|
//! | the execution | started or redriven, and ended |
//! | Pass, Choice, Wait, Succeed | entered, exited |
//! | Fail | entered |
//! | Task | entered, exited, and for each attempt scheduled, started, and succeeded, failed or timed out |
//! | Task with `.sync` or `.waitForTaskToken` | also submitted, for each attempt |
//! | Parallel | entered, started, succeeded or failed, exited, and the events of its branches |
//!
//! Source: Step Functions API Reference, `HistoryEvent`; Developer Guide, "Viewing execution details".

use std::cell::Cell;

use crate::failure::{Failure, RUNTIME};

/// The number of events at which Step Functions ends an execution. No Catch applies.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const MOST_EVENTS: usize = 25_000;

#[derive(Default)]
pub(crate) struct History {
    events: Cell<usize>,
    /// The states that were entered, and the retries: what Step Functions charges for.
    transitions: Cell<usize>,
}

impl History {
    pub(crate) fn add(&self, events: usize) -> Result<(), Failure> {
        let count = self.events.get() + events;
        self.events.set(count);
        if count < MOST_EVENTS {
            return Ok(());
        }
        Err(Failure::new(
            RUNTIME,
            format!("the execution has reached {MOST_EVENTS} events"),
        ))
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
