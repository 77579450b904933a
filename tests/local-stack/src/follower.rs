//! What a person who watches an execution wants to see, as it happens.

use std::collections::VecDeque;
use std::time::SystemTime;

use anyhow::Result;
use aws_sdk_sfn::types::HistoryEvent;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use migration::{Percent, RecordName, SetIdentifier};
use serde::Serialize;
use serde_json::Value;

use crate::execution::{Ended, Execution, POLL};
use crate::traffic::Traffic;
use crate::zone::Zone;

/// Whose weights are watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The names.
    pub names: Vec<RecordName>,
    /// The side that serves at the beginning.
    pub from: SetIdentifier,
    /// The side that shall serve.
    pub to: SetIdentifier,
}

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The plan that the first state made.
    Plan(Value),
    /// Another state was entered, or the weights have changed.
    Moment(Moment),
    /// An observer's verdict.
    Verdict {
        /// Who observed: `probe`, `alarms` or `weights`.
        observer: String,
        /// `pass`, `fail` or `inconclusive`.
        verdict: String,
        /// What was seen.
        reason: String,
    },
    /// What the scenario or ExternalDNS did meanwhile.
    Happening(String),
    /// The execution has ended.
    Ended(Ended),
}

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// When, in RFC 3339.
    pub time: String,
    /// The execution's name.
    pub execution: String,
    /// The state it is in.
    pub state: String,
    /// The share of the side that shall serve: the lowest among the names.
    pub percent: Percent,
    /// The weights by name and side.
    pub weights: Traffic,
    /// What the scenario and ExternalDNS did since the line before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub happenings: Vec<String>,
}

/// Follows one execution to its end.
pub struct Follower<'a> {
    execution: &'a Execution,
    zone: &'a Zone,
    watch: &'a Watch,
    last_event: i64,
    state: String,
    traffic: Option<Traffic>,
    has_plan: bool,
    seen: VecDeque<Seen>,
    has_ended: bool,
}

impl<'a> Follower<'a> {
    /// Follows `execution` from its first state.
    pub fn new(execution: &'a Execution, zone: &'a Zone, watch: &'a Watch) -> Self {
        Self {
            execution,
            zone,
            watch,
            last_event: 0,
            state: String::new(),
            traffic: None,
            has_plan: false,
            seen: VecDeque::new(),
            has_ended: false,
        }
    }

    /// What is seen next; none after the end.
    pub async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                return Ok(Some(seen));
            }
            if self.has_ended {
                return Ok(None);
            }
            // Asked before the history is read, so that nothing of it is missed.
            let ended = self.execution.ended().await?;
            self.look().await?;
            match ended {
                Some(ended) => {
                    self.has_ended = true;
                    self.seen.push_back(Seen::Ended(ended));
                }
                None if self.seen.is_empty() => tokio::time::sleep(POLL).await,
                None => {}
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let events = self.execution.events_after(self.last_event).await?;
        let now = self.zone.traffic(&self.watch.names).await?;
        let mut shown = self.traffic.take().unwrap_or_else(|| now.clone());
        for event in &events {
            self.last_event = event.id();
            if let Some(details) = event.state_entered_event_details() {
                details.name().clone_into(&mut self.state);
                self.push_moment(&shown, *event.timestamp());
            }
            if has_written(event) {
                // What was entered before it still saw the old weights.
                shown = now.clone();
            }
            self.push_findings(event);
        }
        if shown != now {
            self.push_moment(&now, DateTime::from(SystemTime::now()));
        }
        self.traffic = Some(now);
        Ok(())
    }

    fn push_moment(&mut self, traffic: &Traffic, time: DateTime) {
        self.seen.push_back(Seen::Moment(Moment {
            time: time.fmt(Format::DateTime).unwrap_or_default(),
            execution: self.execution.name().to_owned(),
            state: self.state.clone(),
            percent: traffic.percent(&self.watch.from, &self.watch.to),
            weights: traffic.clone(),
            happenings: Vec::new(),
        }));
    }

    /// The plan and the verdicts are outputs of states.
    fn push_findings(&mut self, event: &HistoryEvent) {
        let Some(details) = event.state_exited_event_details() else {
            return;
        };
        let output = details
            .output()
            .and_then(|output| serde_json::from_str(output).ok());
        let output: Value = output.unwrap_or_default();
        if output.get("expectedDurationSeconds").is_some() {
            // Later states pass it on.
            if !self.has_plan {
                self.has_plan = true;
                self.seen.push_back(Seen::Plan(output));
            }
            return;
        }
        let by_itself = match details.name() {
            name if name.starts_with("Probe") => Some("probe"),
            name if name.starts_with("Check alarms") => Some("alarms"),
            _ => None,
        };
        let observations = match output.get("observers").and_then(Value::as_array) {
            Some(observations) => observations.clone(),
            None if by_itself.is_some() => vec![output],
            None => return,
        };
        for observation in observations {
            let text = |key: &str| observation.get(key).and_then(Value::as_str);
            let observer = text("observer").or(by_itself);
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

/// Whether an event says that a function has changed records.
fn has_written(event: &HistoryEvent) -> bool {
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
