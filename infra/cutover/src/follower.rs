//! Follows an execution while it runs: plan, states, weights and verdicts. The verdicts of a migration are
//! mostly those of the executions that watch it.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_sfn::types::{ExecutionListItem, HistoryEvent, HistoryEventType};
use aws_smithy_types::DateTime;
use serde_json::Value;

use crate::execution::Execution;
use crate::updates::{Update, updates};

/// The most executions that watch one migration and are read: a page of `ListExecutions`.
const MOST_WATCHES: i32 = 1_000;

/// Follows one execution to its end.
pub struct Follower {
    execution: Execution,
    watch_state_machine_arn: Option<String>,
    started_at: Option<DateTime>,
    last_event: i64,
    /// The executions of the state machine watch, by ARN.
    watches: BTreeMap<String, Watch>,
    has_looked_for_watches: bool,
    has_plan: bool,
    has_ended: bool,
    /// What was read since the last call of `poll` that succeeded.
    seen: Vec<Update>,
}

/// An execution of the state machine watch.
enum Watch {
    /// It watches the followed execution. Its events up to this one have been read.
    Followed { last_event: i64 },
    /// It watches another execution, or it has ended and all its events have been read.
    Done,
}

impl Follower {
    /// Follows `execution` from its first state, and those executions of this state machine that watch it.
    /// Only migrations are watched.
    pub fn new(execution: Execution, watch_state_machine_arn: Option<String>) -> Self {
        Self {
            execution,
            watch_state_machine_arn,
            started_at: None,
            last_event: 0,
            watches: BTreeMap::new(),
            has_looked_for_watches: false,
            has_plan: false,
            has_ended: false,
            seen: Vec::new(),
        }
    }

    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Whether [`Follower::poll`] has returned [`Update::Ended`].
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The updates since the last call. The last one of all is [`Update::Ended`]. After an error it may be
    /// called again.
    pub async fn poll(&mut self) -> Result<Vec<Update>> {
        if self.has_ended {
            return Ok(Vec::new());
        }
        // Asked before the history is read, so that no event before the end is missed.
        let ended = self.execution.ended().await?;
        for event in self.execution.events_after(self.last_event).await? {
            self.started_at.get_or_insert(*event.timestamp());
            self.last_event = event.id();
            self.add_updates(&event);
        }
        self.read_watches().await?;
        let is_followed = |watch: &Watch| matches!(watch, Watch::Followed { .. });
        // There is one at a time, and the functions share the account's limit of `ListExecutions`.
        if !self.watches.values().any(is_followed) {
            self.find_watches().await?;
            self.read_watches().await?;
        }
        if let Some(ended) = ended {
            self.has_ended = true;
            self.seen.push(Update::Ended(ended));
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// Looks for executions that watch the followed one.
    async fn find_watches(&mut self) -> Result<()> {
        let Some(state_machine_arn) = &self.watch_state_machine_arn else {
            return Ok(());
        };
        let client = self.execution.client();
        let listed = client
            .list_executions()
            .state_machine_arn(state_machine_arn)
            .max_results(MOST_WATCHES)
            .send()
            .await?;
        for item in listed.executions {
            if self.is_older(&item) || self.watches.contains_key(item.execution_arn()) {
                continue;
            }
            // What was found before anybody followed is of no interest, and there may be hundreds.
            if !self.has_looked_for_watches && item.stop_date.is_some() {
                self.watches.insert(item.execution_arn, Watch::Done);
                continue;
            }
            let watch = Execution::new(client.clone(), item.execution_arn);
            let input = watch.input().await?;
            let is_of_it = input.get("executionArn") == Some(&Value::from(self.execution.arn()));
            let watch_now = if is_of_it {
                Watch::Followed { last_event: 0 }
            } else {
                Watch::Done
            };
            self.watches.insert(watch.arn().to_owned(), watch_now);
        }
        self.has_looked_for_watches = true;
        Ok(())
    }

    /// Reads the new events of the known watches.
    async fn read_watches(&mut self) -> Result<()> {
        let client = self.execution.client().clone();
        let arns: Vec<_> = self.watches.keys().cloned().collect();
        let (mut all, mut result) = (Vec::new(), Ok(()));
        for arn in arns {
            let Some(Watch::Followed { last_event }) = self.watches.get_mut(&arn) else {
                continue;
            };
            let execution = Execution::new(client.clone(), arn.clone());
            let events = match execution.events_after(*last_event).await {
                Ok(events) => events,
                Err(error) => {
                    result = Err(error);
                    continue;
                }
            };
            let newest = events.last().map_or(*last_event, HistoryEvent::id);
            let watch_now = if events.iter().any(is_end) {
                Watch::Done
            } else {
                Watch::Followed { last_event: newest }
            };
            self.watches.insert(arn, watch_now);
            all.extend(events);
        }
        // Several may be new at the first look.
        all.sort_by_key(|event| event.timestamp().as_nanos());
        // The states of a watch are not those of the migration.
        let is_verdict = |update: &Update| matches!(update, Update::Verdict(_));
        self.seen
            .extend(all.iter().flat_map(updates).filter(is_verdict));
        result
    }

    /// Whether a watch was started before the followed execution, and so can't watch it.
    fn is_older(&self, watch: &ExecutionListItem) -> bool {
        self.started_at
            .is_none_or(|started_at| *watch.start_date() < started_at)
    }

    /// Only the first plan counts: later states have the plan in their output, too.
    fn add_updates(&mut self, event: &HistoryEvent) {
        for update in updates(event) {
            let is_plan = matches!(update, Update::Plan(_));
            if !(is_plan && self.has_plan) {
                self.has_plan |= is_plan;
                self.seen.push(update);
            }
        }
    }
}

/// Whether an event is the last one of a history.
fn is_end(event: &HistoryEvent) -> bool {
    use HistoryEventType::{
        ExecutionAborted, ExecutionFailed, ExecutionSucceeded, ExecutionTimedOut,
    };
    matches!(
        event.r#type(),
        ExecutionAborted | ExecutionFailed | ExecutionSucceeded | ExecutionTimedOut
    )
}
