//! Follows an execution while it runs, for display: plan, states, weights and verdicts. The verdicts of
//! a migration are those of the executions that watch it.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use anyhow::Result;
use aws_sdk_sfn::types::HistoryEvent;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
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
    Verdict {
        /// `probe`, `alarms` or `weights`.
        observer: String,
        /// `pass`, `fail` or `inconclusive`.
        verdict: String,
        reason: String,
    },
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
    execution: &'a Execution,
    target: &'a WatchTarget,
    last_event: i64,
    /// The executions of the state machine watch, by ARN.
    watches: BTreeMap<String, Watch>,
    state: String,
    /// The weights at the last poll.
    weights: Option<NameWeights>,
    has_plan: bool,
    /// Updates that `next` has not returned yet.
    seen: VecDeque<Seen>,
    has_ended: bool,
}

/// An execution of the state machine watch.
enum Watch {
    /// It watches the followed execution. Its events up to this one have been read.
    Followed { last_event: i64 },
    /// It watches another execution, or it has ended and all its events have been read.
    Done,
}

impl<'a> Follower<'a> {
    /// Follows `execution` from its first state.
    pub fn new(stack: &'a Stack, execution: &'a Execution, target: &'a WatchTarget) -> Self {
        Self {
            stack,
            execution,
            target,
            last_event: 0,
            watches: BTreeMap::new(),
            state: String::new(),
            weights: None,
            has_plan: false,
            seen: VecDeque::new(),
            has_ended: false,
        }
    }

    /// Waits for the next update. `None` after [`Seen::Ended`].
    pub async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            if self.has_ended {
                return Ok(None);
            }
            // Asked before the history is read, so that no event before the end is missed.
            let ended = self.execution.ended().await?;
            self.read_updates().await?;
            match ended {
                Some(ended) => {
                    self.has_ended = true;
                    self.seen.push_back(Seen::Ended(ended));
                }
                None if self.seen.is_empty() => tokio::time::sleep(POLL_INTERVAL).await,
                None => {}
            }
        }
    }

    async fn read_updates(&mut self) -> Result<()> {
        let events = self.execution.events_after(self.last_event).await?;
        let now = self.stack.zone.weights(&self.target.names).await?;
        let mut shown = self.weights.take().unwrap_or_else(|| now.clone());
        for event in &events {
            self.last_event = event.id();
            if let Some(details) = event.state_entered_event_details() {
                details.name().clone_into(&mut self.state);
                self.push_moment(&shown, *event.timestamp());
            }
            if has_changed_records(event) {
                // States entered before this event ran with the old weights.
                shown = now.clone();
            }
            self.push_plan_and_verdicts(event);
        }
        if shown != now {
            self.push_moment(&now, DateTime::from(SystemTime::now()));
        }
        self.weights = Some(now);
        self.read_verdicts().await
    }

    /// Reads the verdicts of the executions that watch the followed one.
    async fn read_verdicts(&mut self) -> Result<()> {
        // The list is newest first.
        for watch in self.stack.watches().await?.into_iter().rev() {
            let last_event = match self.watches.get(watch.arn()) {
                Some(Watch::Done) => continue,
                Some(Watch::Followed { last_event }) => *last_event,
                None => 0,
            };
            let watched = watch.input().await?;
            if watched.get("executionArn") != Some(&Value::from(self.execution.arn())) {
                self.watches.insert(watch.arn().to_owned(), Watch::Done);
                continue;
            }
            // Asked before the history is read, so that no event before the end is missed.
            let has_ended = watch.ended().await?.is_some();
            let events = watch.events_after(last_event).await?;
            for event in &events {
                self.push_plan_and_verdicts(event);
            }
            let watch_now = if has_ended {
                Watch::Done
            } else {
                let last_event = events.last().map_or(last_event, HistoryEvent::id);
                Watch::Followed { last_event }
            };
            self.watches.insert(watch.arn().to_owned(), watch_now);
        }
        Ok(())
    }

    fn push_moment(&mut self, weights: &NameWeights, time: DateTime) {
        self.seen.push_back(Seen::Moment(Moment {
            time: time.fmt(Format::DateTime).unwrap_or_default(),
            execution: self.execution.name().to_owned(),
            state: self.state.clone(),
            percent: weights.percent(&self.target.from, &self.target.to),
            weights: weights.clone(),
            happenings: Vec::new(),
        }));
    }

    /// Reads the plan and the verdicts from the outputs of states.
    fn push_plan_and_verdicts(&mut self, event: &HistoryEvent) {
        let Some(details) = event.state_exited_event_details() else {
            return;
        };
        let output = details
            .output()
            .and_then(|output| serde_json::from_str(output).ok());
        let output: Value = output.unwrap_or_default();
        if output.get("expectedDurationSeconds").is_some() {
            // Later states have the plan in their output, too.
            if !self.has_plan {
                self.has_plan = true;
                self.seen.push_back(Seen::Plan(output));
            }
            return;
        }
        // A state that calls one observer alone; its output does not name the observer.
        let only_observer = match details.name() {
            name if name.starts_with("Probe") => Some("probe"),
            name if name.starts_with("Check alarms") => Some("alarms"),
            _ => None,
        };
        let observations = match output.get("observers").and_then(Value::as_array) {
            Some(observations) => observations.clone(),
            None if only_observer.is_some() => vec![output],
            None => return,
        };
        for observation in observations {
            let text = |key: &str| observation.get(key).and_then(Value::as_str);
            let observer = text("observer").or(only_observer);
            if let (Some(observer), Some(verdict), Some(reason)) =
                (observer, text("verdict"), text("reason"))
            {
                self.seen.push_back(Seen::Verdict {
                    observer: observer.to_owned(),
                    verdict: verdict.to_owned(),
                    reason: reason.to_owned(),
                });
            }
        }
    }
}

/// Whether an event is the success of a function that has changed records.
fn has_changed_records(event: &HistoryEvent) -> bool {
    let Some(output) = event
        .task_succeeded_event_details()
        .and_then(|details| details.output())
    else {
        return false;
    };
    let output: Value = serde_json::from_str(output).unwrap_or_default();
    let count = |pointer| {
        output
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    count("/Payload/changed") + count("/Payload/restored") > 0
}
