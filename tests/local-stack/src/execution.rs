//! Executions of the state machines, as the console starts and shows them.

use std::ops::Deref;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
pub use cutover::ExecutionResult;
use serde_json::Value;

/// The time between two polls of something that changes.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Far longer than any test's execution takes, even on a loaded machine.
const MAX_EXECUTION_TIME: Duration = Duration::from_mins(10);
/// An execution that tests start, stop and wait for.
#[derive(Clone, Debug)]
pub struct Execution(cutover::Execution);

impl Deref for Execution {
    type Target = cutover::Execution;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
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
        Ok(Self::from_arn(client, started.execution_arn))
    }

    pub(crate) fn from_arn(client: aws_sdk_sfn::Client, arn: String) -> Self {
        Self(cutover::Execution::new(client, arn))
    }

    /// Stops it, as the console does.
    pub async fn stop(&self) -> Result<()> {
        let stop = self.client().stop_execution();
        stop.execution_arn(self.arn()).send().await?;
        Ok(())
    }

    /// The errors of all failed task attempts in order, those that were retried included.
    pub async fn failed_attempts(&self) -> Result<Vec<String>> {
        let events = self.events_after(0).await?;
        let failed = events
            .iter()
            .filter_map(|event| Some(event.task_failed_event_details()?.error()?.to_owned()));
        Ok(failed.collect())
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
            .with_context(|| format!("the execution {} is stuck", self.arn()))?
    }
}
