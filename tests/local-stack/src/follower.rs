//! Follows an execution while it runs, for display: what `cutover` follows, with the weights of the zone.

use std::collections::VecDeque;
use std::time::SystemTime;

use anyhow::Result;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use cutover::{Update, Verdict};
use migration::dns::{Percent, RecordName, SetIdentifier};
use serde::Serialize;
use serde_json::Value;

use crate::execution::{Execution, ExecutionResult, POLL_INTERVAL};
use crate::name_weights::NameWeights;
use crate::stack::Stack;

/// The names and sides to follow the weights of.
#[derive(Clone, Debug)]
pub struct WatchTarget {
    pub names: Vec<RecordName>,
    pub from: SetIdentifier,
    pub to: SetIdentifier,
}

/// An update about a followed execution.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The output of the state that plans the migration.
    Plan(Value),
    /// The execution entered a state, or the weights changed.
    Moment(Moment),
    /// An observer's verdict.
    Verdict(Verdict),
    /// What the scenario or ExternalDNS did from outside of the execution.
    Happening(String),
    Ended(ExecutionResult),
}

/// An entry of the timeline: a state of the execution with the weights at that time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// In RFC 3339, UTC.
    pub time: String,
    /// The execution's name.
    pub execution: String,
    /// The state it is in.
    pub state: String,
    /// The share of `to`: the lowest of all names.
    pub percent: Percent,
    pub weights: NameWeights,
    /// What the scenario and ExternalDNS did since the previous entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub happenings: Vec<String>,
}

/// Follows one execution to its end.
pub struct Follower<'a> {
    stack: &'a Stack,
    execution: cutover::Follower,
    target: &'a WatchTarget,
    state: String,
    /// The weights at the last poll.
    weights: Option<NameWeights>,
    /// Updates that `next` has not returned yet.
    seen: VecDeque<Seen>,
}

impl<'a> Follower<'a> {
    /// Follows `execution` from its first state.
    pub fn new(stack: &'a Stack, execution: &Execution, target: &'a WatchTarget) -> Result<Self> {
        let watch = stack.watch_state_machine_arn()?.to_owned();
        Ok(Self {
            stack,
            execution: cutover::Follower::new((**execution).clone(), Some(watch)),
            target,
            state: String::new(),
            weights: None,
            seen: VecDeque::new(),
        })
    }

    /// Waits for the next update. `None` after [`Seen::Ended`].
    pub async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            if self.execution.has_ended() {
                return Ok(None);
            }
            self.read_updates().await?;
            if self.seen.is_empty() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    async fn read_updates(&mut self) -> Result<()> {
        let updates = self.execution.poll().await?;
        let now = self.stack.zone.weights(&self.target.names).await?;
        let mut shown = self.weights.take().unwrap_or_else(|| now.clone());
        let mut ended = None;
        for update in updates {
            match update {
                Update::Plan(plan) => self.seen.push_back(Seen::Plan(plan)),
                Update::Entered { state, at } => {
                    self.state = state;
                    self.push_moment(&shown, at);
                }
                // States entered before this update ran with the old weights.
                Update::Changed(_) => shown = now.clone(),
                Update::Verdict(verdict) => self.seen.push_back(Seen::Verdict(verdict)),
                Update::Ended(result) => ended = Some(Seen::Ended(result)),
            }
        }
        if shown != now {
            self.push_moment(&now, DateTime::from(SystemTime::now()));
        }
        self.weights = Some(now);
        self.seen.extend(ended);
        Ok(())
    }

    fn push_moment(&mut self, weights: &NameWeights, time: DateTime) {
        self.seen.push_back(Seen::Moment(Moment {
            time: time.fmt(Format::DateTime).unwrap_or_default(),
            execution: self.execution.execution().name().to_owned(),
            state: self.state.clone(),
            percent: weights.percent(&self.target.from, &self.target.to),
            weights: weights.clone(),
            happenings: Vec::new(),
        }));
    }
}
