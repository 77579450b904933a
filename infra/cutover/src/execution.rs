//! An execution of a state machine, as the console shows it.

use anyhow::{Context, Result};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use serde::Serialize;
use serde_json::Value;

/// The most events that `GetExecutionHistory` returns in one call.
///
/// Source: Step Functions API Reference, `GetExecutionHistory`.
const MOST_EVENTS_PER_PAGE: i32 = 1_000;

/// Far more than there are after the last state was entered.
const MOST_EVENTS_AFTER_A_STATE: i32 = 50;

/// An execution, by its ARN.
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
    /// The error's name, if it did not succeed.
    pub error: Option<String>,
    /// The error's cause, if it did not succeed.
    pub cause: Option<String>,
    /// Its output, if it succeeded.
    #[serde(skip)]
    pub output: Value,
    /// The states it entered, in order.
    #[serde(skip)]
    pub states: Vec<String>,
}

impl Execution {
    pub fn new(client: aws_sdk_sfn::Client, arn: String) -> Self {
        Self { client, arn }
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub fn name(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or_default()
    }

    pub fn client(&self) -> &aws_sdk_sfn::Client {
        &self.client
    }

    /// Its status, input and, after its end, output or error.
    pub async fn describe(&self) -> Result<DescribeExecutionOutput> {
        let described = self.client.describe_execution();
        Ok(described.execution_arn(&self.arn).send().await?)
    }

    /// How it ended, or `None` if it is still running.
    pub async fn ended(&self) -> Result<Option<ExecutionResult>> {
        let described = self.describe().await?;
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
        let described = self.describe().await?;
        serde_json::from_str(described.input().unwrap_or_default()).context("the input is not JSON")
    }

    /// The states that it has entered so far, in order.
    pub async fn states(&self) -> Result<Vec<String>> {
        let events = self.events_after(0).await?;
        let entered = events
            .iter()
            .filter_map(|event| Some(event.state_entered_event_details()?.name().to_owned()));
        Ok(entered.collect())
    }

    /// The state that it entered last, from the end of its history.
    pub async fn last_state(&self) -> Result<String> {
        let page = self
            .client
            .get_execution_history()
            .execution_arn(&self.arn)
            .reverse_order(true)
            .max_results(MOST_EVENTS_AFTER_A_STATE)
            .send()
            .await?;
        let mut entered = page
            .events
            .iter()
            .filter_map(|event| event.state_entered_event_details());
        let last = entered.next().map(|details| details.name().to_owned());
        Ok(last.unwrap_or_default())
    }

    /// The events of its history after the event with this id, in order.
    pub async fn events_after(&self, id: i64) -> Result<Vec<HistoryEvent>> {
        let mut events = Vec::new();
        let mut token = None;
        // Newest first, so that pages with known events are not read again.
        loop {
            let page = self
                .client
                .get_execution_history()
                .execution_arn(&self.arn)
                .reverse_order(true)
                .max_results(MOST_EVENTS_PER_PAGE)
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
