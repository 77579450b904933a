//! The interface to Step Functions: the executions of the migration state machine, for a journal's
//! lock and for a rollback.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Error;
use crate::dns::HostedZoneId;
use crate::error::{ExecutionNotFound, InvalidInput};
use crate::json::from_json;
use crate::text::LONGEST_EXECUTION_NAME;

/// The state in which the migration state machine waits for the rollback that it started. Stopping
/// the execution in this state would stop the rollback too.
pub const ROLLING_BACK: &str = "Roll back";
/// The state in which the migration state machine has decided to hold.
pub const HOLDING: &str = "Announce the hold";
/// The end of an execution's cause if it ended before its first write.
pub const NOT_STARTED: &str = "No weight was changed.";

/// The calls of Step Functions' API that `shift-weight` and `rollback` need. An execution is given by
/// its name; its state machine is always the migration state machine.
pub trait Executions {
    /// The ARN of an execution.
    fn arn(&self, name: &str) -> String;

    /// `DescribeExecution`; none if Step Functions does not know the execution.
    fn describe(&self, name: &str)
    -> impl Future<Output = Result<Option<Execution>, Error>> + Send;

    /// `ListExecutions` without a filter: one page, the thousand executions that started last.
    ///
    /// Source: Step Functions API Reference, `ListExecutions`.
    fn list_latest(&self) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send;

    /// `ListExecutions` of all running executions.
    fn list_running(&self) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send;

    /// `ListExecutions` of executions that have ended: of the latest thousand with this status, those
    /// that ended at `stopped_since` or later. It may not show the end of the last seconds yet.
    fn list_ended(
        &self,
        status: EndedStatus,
        stopped_since: Option<SystemTime>,
    ) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send;

    /// `GetExecutionHistory`: the current state, or the last one of an execution that has ended; none
    /// if the last events do not show it.
    fn state(&self, name: &str) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// `StopExecution` with an error and its cause. It does not change an execution that has ended.
    fn stop(
        &self,
        name: &str,
        error: &str,
        cause: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Records that an execution was rolled back, see
    /// [`ExecutionIdentity::rollback_record`](crate::journal::ExecutionIdentity::rollback_record). A journal
    /// of it that is found later was put back by another writer. Recording it again changes nothing.
    ///
    /// The record is an execution of the state machine `rolled-back` with that name: no other service is
    /// needed, and Step Functions keeps it for as long as it knows the execution itself.
    fn record_rollback(&self, record: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether this was recorded. The answer is eventually consistent.
    fn is_rollback_recorded(
        &self,
        record: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// Those of these rollbacks that were recorded, see [`Executions::record_rollback`].
///
/// # Errors
/// The first one of [`Executions::is_rollback_recorded`].
pub async fn recorded_rollbacks(
    records: BTreeSet<String>,
    executions: &impl Executions,
) -> Result<BTreeSet<String>, Error> {
    let mut recorded = BTreeSet::new();
    for record in records {
        if executions.is_rollback_recorded(&record).await? {
            recorded.insert(record);
        }
    }
    Ok(recorded)
}

/// The call of Step Functions' API that starts the rollback state machine.
pub trait RollbackStarts {
    /// `StartExecution` with a name. It changes nothing, and succeeds, if an execution has had this name in
    /// the last 90 days.
    ///
    /// Source: Step Functions API Reference, `StartExecution`.
    fn start_rollback(
        &self,
        name: &str,
        input: &Value,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    Running,
    Succeeded,
    Unsuccessful(EndedStatus),
}

impl Status {
    pub fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Unsuccessful(_))
    }
}

/// A status by which executions are listed that ended without success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndedStatus {
    Failed,
    Aborted,
    TimedOut,
}

/// In Step Functions' spelling.
impl fmt::Display for EndedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::TimedOut => "TIMED_OUT",
        })
    }
}

/// The answer of `DescribeExecution`.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    pub status: Status,
    pub started_at: SystemTime,
    /// The time of the last redrive.
    pub redriven_at: Option<SystemTime>,
    /// How often it was redriven.
    pub redrive_count: u32,
    pub error: Option<String>,
    pub cause: Option<String>,
    /// The input; null if it can't be parsed.
    pub input: Value,
}

impl Execution {
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }
}

/// An execution in the answer of `ListExecutions`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    pub name: String,
    pub status: Status,
    /// How often it was redriven.
    pub redrive_count: u32,
    pub started_at: SystemTime,
    /// None while it is running.
    pub stopped_at: Option<SystemTime>,
}

/// The zone of the execution `name`: `given`, or else the zone in its input.
pub fn zone_of(
    name: &str,
    given: Option<HostedZoneId>,
    execution: Option<&Execution>,
) -> Result<HostedZoneId, Error> {
    match (given, execution) {
        (Some(id), _) => Ok(id),
        (None, Some(execution)) => {
            let id = execution.input.get("hostedZoneId").unwrap_or(&Value::Null);
            from_json(id).map_err(|_| {
                Error::from(InvalidInput::NoZoneInExecution {
                    execution: name.to_owned(),
                })
            })
        }
        (None, None) => Err(Error::from(ExecutionNotFound::Requested {
            name: name.to_owned(),
        })),
    }
}

/// The name of an execution. An event has either the name or the ARN.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ExecutionName(String);

impl FromStr for ExecutionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.chars().count() {
            1..=LONGEST_EXECUTION_NAME => Ok(Self(text.to_owned())),
            count => Err(format!(
                "expected a name of 1 to {LONGEST_EXECUTION_NAME} characters, found {count}"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for ExecutionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.rsplit(':').next().unwrap_or(&text);
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl Deref for ExecutionName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecutionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ExecutionName> for String {
    fn from(name: ExecutionName) -> Self {
        name.0
    }
}
