//! Executions of the migration and of the rollback state machine through Step Functions' SDK.

use std::time::SystemTime;

use aws::classify;
use aws_config::SdkConfig;
use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::operation::start_execution::builders::StartExecutionFluentBuilder;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_types::DateTime;
use migration::Error;
use migration::executions::{EndedStatus, Execution, Executions, Listed, RollbackStarts, Status};
use migration::text::shortened;
use serde_json::Value;

const STATE_MACHINE_VARIABLE: &str = "MIGRATION_STATE_MACHINE_ARN";
const ROLLBACK_VARIABLE: &str = "ROLLBACK_STATE_MACHINE_ARN";
const ROLLED_BACK_VARIABLE: &str = "ROLLED_BACK_STATE_MACHINE_ARN";
/// How many of the latest events are searched for the one that entered the current state. The callers
/// look for `Roll back` and `Announce the hold`: Tasks, with at most 5 events and 3 for each of up to 3
/// retries. A state with more events, such as a Parallel, is neither of the two, so it does not matter
/// that it is not found.
///
/// Source: Step Functions API Reference, `HistoryEvent`.
const LATEST_EVENTS: i32 = 50;
/// The maximum number of executions in one page.
///
/// Source: Step Functions API Reference, `ListExecutions`.
const LARGEST_PAGE: i32 = 1_000;
/// The most executions of one status that are listed if they have ended: in most cases one page, of the 90
/// days for which Step Functions keeps them.
const MOST_ENDED: usize = 1_000;
/// Characters of the cause with which an execution is stopped.
///
/// Source: Step Functions API Reference, `StopExecution`.
const LONGEST_CAUSE: usize = 32_000;

/// Executions of the migration state machine, through Step Functions.
#[derive(Clone, Debug)]
pub struct StepFunctionsClient {
    client: aws_sdk_sfn::Client,
    state_machine_arn: String,
    rolled_back_arn: String,
}

impl StepFunctionsClient {
    /// The executions of the state machine in the environment variable `MIGRATION_STATE_MACHINE_ARN`, and
    /// the records of rollbacks in that of `ROLLED_BACK_STATE_MACHINE_ARN`.
    ///
    /// # Errors
    /// An environment variable is missing.
    pub fn from_env(config: &SdkConfig) -> Result<Self, String> {
        Ok(Self::new(
            config,
            &variable(STATE_MACHINE_VARIABLE)?,
            &variable(ROLLED_BACK_VARIABLE)?,
        ))
    }

    /// Starts of the state machine in the environment variable `ROLLBACK_STATE_MACHINE_ARN`, on the same
    /// connections.
    ///
    /// # Errors
    /// The environment variable is missing.
    pub fn rollbacks_from_env(&self) -> Result<RollbackStarter, String> {
        Ok(RollbackStarter {
            client: self.client.clone(),
            state_machine_arn: variable(ROLLBACK_VARIABLE)?,
        })
    }

    pub fn new(config: &SdkConfig, state_machine_arn: &str, rolled_back_arn: &str) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(config),
            state_machine_arn: state_machine_arn.to_owned(),
            rolled_back_arn: rolled_back_arn.to_owned(),
        }
    }

    /// The executions of one status, at most about `most`, the latest first. The API reference does not say
    /// whether the latest are those that started or those that stopped last.
    ///
    /// Source: Step Functions API Reference, `ListExecutions`.
    async fn list(
        &self,
        status: Option<ExecutionStatus>,
        most: usize,
    ) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .client
                .list_executions()
                .state_machine_arn(&self.state_machine_arn)
                .set_status_filter(status.clone())
                .max_results(LARGEST_PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| classify("states:ListExecutions", &error))?;
            listed.extend(page.executions.into_iter().map(|item| Listed {
                started_at: system_time(item.start_date).unwrap_or(SystemTime::UNIX_EPOCH),
                stopped_at: item.stop_date.and_then(system_time),
                status: status_of(&item.status),
                redrive_count: redrives(item.redrive_count),
                name: item.name,
            }));
            if page.next_token.is_none() || listed.len() >= most {
                return Ok(listed);
            }
            token = page.next_token;
        }
    }
}

impl Executions for StepFunctionsClient {
    fn arn(&self, name: &str) -> String {
        execution_arn(&self.state_machine_arn, name)
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let output = self
            .client
            .describe_execution()
            .execution_arn(self.arn(name))
            .send()
            .await;
        match output {
            Ok(output) => Ok(Some(Execution {
                status: status_of(output.status()),
                started_at: system_time(output.start_date).unwrap_or(SystemTime::UNIX_EPOCH),
                redrive_count: redrives(output.redrive_count()),
                redriven_at: output.redrive_date().copied().and_then(system_time),
                error: output.error().map(str::to_owned),
                cause: output.cause().map(str::to_owned),
                input: output
                    .input()
                    .and_then(|input| serde_json::from_str(input).ok())
                    .unwrap_or(Value::Null),
            })),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(classify("states:DescribeExecution", &error)),
        }
    }

    async fn list_running(&self) -> Result<Vec<Listed>, Error> {
        self.list(Some(ExecutionStatus::Running), usize::MAX).await
    }

    async fn list_latest(&self) -> Result<Vec<Listed>, Error> {
        self.list(None, 1).await
    }

    async fn list_ended(
        &self,
        status: EndedStatus,
        stopped_since: Option<SystemTime>,
    ) -> Result<Vec<Listed>, Error> {
        let status = match status {
            EndedStatus::Failed => ExecutionStatus::Failed,
            EndedStatus::Aborted => ExecutionStatus::Aborted,
            EndedStatus::TimedOut => ExecutionStatus::TimedOut,
        };
        let mut listed = self.list(Some(status), MOST_ENDED).await?;
        listed.retain(|it| stopped_since.is_none_or(|since| it.stopped_at >= Some(since)));
        Ok(listed)
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let page = self
            .client
            .get_execution_history()
            .execution_arn(self.arn(name))
            .reverse_order(true)
            .max_results(LATEST_EVENTS)
            .include_execution_data(false)
            .send()
            .await
            .map_err(|error| classify("states:GetExecutionHistory", &error))?;
        let entered = page
            .events
            .iter()
            .find_map(|event| event.state_entered_event_details());
        Ok(entered.map(|state| state.name().to_owned()))
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let stopped = self
            .client
            .stop_execution()
            .execution_arn(self.arn(name))
            .error(error)
            .cause(shortened(cause, LONGEST_CAUSE))
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            // It may have ended since it was described.
            Err(_)
                if self
                    .describe(name)
                    .await?
                    .is_some_and(|execution| !execution.is_running()) =>
            {
                Ok(())
            }
            Err(error) => Err(classify("states:StopExecution", &error)),
        }
    }

    async fn record_rollback(&self, record: &str) -> Result<(), Error> {
        let start = self.client.start_execution();
        start_once(start.state_machine_arn(&self.rolled_back_arn).name(record)).await
    }

    async fn is_rollback_recorded(&self, record: &str) -> Result<bool, Error> {
        let described = self
            .client
            .describe_execution()
            .execution_arn(execution_arn(&self.rolled_back_arn, record))
            .send()
            .await;
        match described {
            Ok(_) => Ok(true),
            Err(error) if is_unknown(&error) => Ok(false),
            Err(error) => Err(classify("states:DescribeExecution", &error)),
        }
    }
}

/// The ARN of an execution: `arn:aws:states:REGION:ACCOUNT:stateMachine:MACHINE` becomes
/// `arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME`.
fn execution_arn(state_machine_arn: &str, name: &str) -> String {
    let prefix = state_machine_arn.replacen(":stateMachine:", ":execution:", 1);
    format!("{prefix}:{name}")
}

/// A status that is added later is not known to be an end.
fn status_of(status: &ExecutionStatus) -> Status {
    match status {
        ExecutionStatus::Succeeded => Status::Succeeded,
        ExecutionStatus::Failed => Status::Unsuccessful(EndedStatus::Failed),
        ExecutionStatus::Aborted => Status::Unsuccessful(EndedStatus::Aborted),
        ExecutionStatus::TimedOut => Status::Unsuccessful(EndedStatus::TimedOut),
        _ => Status::Running,
    }
}

fn redrives(count: Option<i32>) -> u32 {
    count
        .and_then(|count| count.try_into().ok())
        .unwrap_or_default()
}

fn is_unknown(error: &impl ProvideErrorMetadata) -> bool {
    matches!(error.code(), Some("ExecutionDoesNotExist" | "InvalidArn"))
}

/// Starts executions of the rollback state machine.
#[derive(Clone, Debug)]
pub struct RollbackStarter {
    client: aws_sdk_sfn::Client,
    state_machine_arn: String,
}

impl RollbackStarts for RollbackStarter {
    async fn start_rollback(&self, name: &str, input: &Value) -> Result<(), Error> {
        let start = self.client.start_execution();
        let start = start.state_machine_arn(&self.state_machine_arn).name(name);
        start_once(start.input(input.to_string())).await
    }
}

/// Starts an execution, if none has had its name in the last 90 days.
async fn start_once(start: StartExecutionFluentBuilder) -> Result<(), Error> {
    match start.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("ExecutionAlreadyExists") => Ok(()),
        Err(error) => Err(classify("states:StartExecution", &error)),
    }
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name)
        .map_err(|_| format!("the environment variable {name} is not set; the template sets it"))
}

fn system_time(time: DateTime) -> Option<SystemTime> {
    time.try_into().ok()
}
