//! Executions of the state machines, as the console starts and shows them.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use serde::Serialize;
use serde_json::Value;

/// The time between two polls of something that changes.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Far longer than any test's execution takes, even on a loaded machine.
const MAX_EXECUTION_TIME: Duration = Duration::from_mins(10);
/// The most events that `GetExecutionHistory` returns in one call.
const MAX_EVENTS_PER_PAGE: i32 = 1_000;

#[derive(Clone, Debug)]
pub struct Execution {
    client: aws_sdk_sfn::Client,
    arn: String,
}

/// How an execution ended.
#[derive(Clone, Debug, Serialize)]
pub struct ExecutionResult {
    /// `SUCCEEDED`, `FAILED`, `ABORTED` or `TIMED_OUT`.
    pub outcome: String,
    /// The state it ended in.
    pub state: String,
    /// The error's name, if it failed.
    pub error: Option<String>,
    /// The error's cause, if it failed.
    pub cause: Option<String>,
    /// Its output, if it succeeded.
    #[serde(skip)]
    pub output: Value,
    /// The states it entered, in order.
    #[serde(skip)]
    pub states: Vec<String>,
}

impl Execution {
    pub(crate) async fn start(
        client: aws_sdk_sfn::Client,
        state_machine_arn: &str,
        name: &str,
        input: &Value,
    ) -> Result<Self> {
        let started = client
            .start_execution()
            .state_machine_arn(state_machine_arn)
            .name(name)
            .input(input.to_string())
            .send()
            .await?;
        Ok(Self {
            arn: started.execution_arn,
            client,
        })
    }

    pub(crate) fn from_arn(client: aws_sdk_sfn::Client, arn: String) -> Self {
        Self { client, arn }
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub fn name(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or_default()
    }

    /// Stops it, as the console does.
    pub async fn stop(&self) -> Result<()> {
        self.client
            .stop_execution()
            .execution_arn(&self.arn)
            .send()
            .await?;
        Ok(())
    }

    /// How it ended, or `None` if it is still running.
    pub async fn ended(&self) -> Result<Option<ExecutionResult>> {
        let described = self
            .client
            .describe_execution()
            .execution_arn(&self.arn)
            .send()
            .await?;
        if *described.status() == ExecutionStatus::Running {
            return Ok(None);
        }
        let states = self.states().await?;
        let output = match described.output() {
            Some(output) => serde_json::from_str(output).context("the output is not JSON")?,
            None => Value::Null,
        };
        Ok(Some(ExecutionResult {
            outcome: described.status().as_str().to_owned(),
            state: states.last().cloned().unwrap_or_default(),
            error: described.error().map(str::to_owned),
            cause: described.cause().map(str::to_owned),
            output,
            states,
        }))
    }

    pub async fn input(&self) -> Result<Value> {
        let described = self
            .client
            .describe_execution()
            .execution_arn(&self.arn)
            .send()
            .await?;
        serde_json::from_str(described.input().unwrap_or_default()).context("the input is not JSON")
    }

    /// The errors of all failed task attempts in order, those that were retried included.
    pub async fn failed_attempts(&self) -> Result<Vec<String>> {
        let events = self.events_after(0).await?;
        let failed = events
            .iter()
            .filter_map(|event| Some(event.task_failed_event_details()?.error()?.to_owned()));
        Ok(failed.collect())
    }

    /// The states that it has entered so far, in order.
    pub async fn states(&self) -> Result<Vec<String>> {
        let events = self.events_after(0).await?;
        let entered = events
            .iter()
            .filter_map(|event| Some(event.state_entered_event_details()?.name().to_owned()));
        Ok(entered.collect())
    }

    /// When the task of this state first succeeded.
    pub(crate) async fn succeeded_at(&self, state: &str) -> Result<SystemTime> {
        let events = self.events_after(0).await?;
        let is_entry = |event: &&HistoryEvent| {
            let entered = event.state_entered_event_details();
            entered.is_some_and(|details| details.name() == state)
        };
        let success = events
            .iter()
            .skip_while(|event| !is_entry(event))
            .find(|event| *event.r#type() == HistoryEventType::TaskSucceeded);
        let success = success.with_context(|| format!("{state} has not succeeded"))?;
        Ok(SystemTime::try_from(*success.timestamp())?)
    }

    /// Waits until it ends. Fails after ten minutes of real time: the waits are scaled, so an
    /// execution that takes longer is stuck.
    pub async fn wait(&self) -> Result<ExecutionResult> {
        let end = async {
            loop {
                if let Some(ended) = self.ended().await? {
                    return Ok(ended);
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(MAX_EXECUTION_TIME, end)
            .await
            .with_context(|| format!("the execution {} is stuck", self.arn))?
    }

    /// The events of its history after the event with this id, in order.
    pub(crate) async fn events_after(&self, id: i64) -> Result<Vec<HistoryEvent>> {
        let mut events = Vec::new();
        let mut token = None;
        // Newest first, so that pages with known events are not read again.
        loop {
            let page = self
                .client
                .get_execution_history()
                .execution_arn(&self.arn)
                .reverse_order(true)
                .max_results(MAX_EVENTS_PER_PAGE)
                .set_next_token(token)
                .send()
                .await?;
            let before = events.len();
            let page_len = page.events.len();
            events.extend(page.events.into_iter().filter(|event| event.id() > id));
            token = page.next_token;
            if token.is_none() || events.len() - before < page_len {
                events.reverse();
                return Ok(events);
            }
        }
    }
}
