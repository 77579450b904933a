//! Executions of the migration state machine, as far as a journal's lock and a
//! rollback need them.

use std::future::Future;
use std::time::SystemTime;

use serde_json::Value;

use crate::input::from_json;
use crate::{Error, HostedZoneId, quoted, shortened};

/// The state in which the migration state machine waits for a rollback that it asked for. To stop
/// it then would stop the rollback as well.
pub const ROLLING_BACK: &str = "Roll back";
/// The state in which it has made up its mind to hold.
pub const HOLDING: &str = "Announce the hold";
/// What the cause of an execution ends with that ended before its first write.
pub const NOT_STARTED: &str = "No weight was changed.";

/// Characters of an execution's name.
///
/// Source: Step Functions API Reference, `StartExecution`.
pub const LONGEST_NAME: usize = 80;

/// The calls of Step Functions' API that shift-weight and rollback need; an
/// execution is named by its name, its machine is the migration state machine.
pub trait Executions {
    /// The ARN of the execution of this name.
    fn arn(&self, name: &str) -> String;

    /// `DescribeExecution`; none where Step Functions does not know the execution.
    fn describe(&self, name: &str)
    -> impl Future<Output = Result<Option<Execution>, Error>> + Send;

    /// `ListExecutions`: those that are running, and those that were aborted at `aborted_since`
    /// or later.
    fn list(
        &self,
        aborted_since: Option<SystemTime>,
    ) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send;

    /// `GetExecutionHistory`: the state that it is in, or was in when it ended; none where that
    /// can't be told from the last events.
    fn state(&self, name: &str) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// `StopExecution` with an error and its cause; one that has ended stays as it ended.
    fn stop(
        &self,
        name: &str,
        error: &str,
        cause: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// `RUNNING`.
    Running,
    /// `SUCCEEDED`.
    Succeeded,
    /// `FAILED`, `TIMED_OUT` or `ABORTED`.
    Unsuccessful,
}

/// What `DescribeExecution` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Where it stands.
    pub status: Status,
    /// When it was last redriven.
    pub redriven_at: Option<SystemTime>,
    /// The error with which it ended.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
    /// Its input; null where it can't be parsed.
    pub input: Value,
}

impl Execution {
    /// Whether it is still running.
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }
}

/// What `ListExecutions` says of an execution.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it was started.
    pub started_at: SystemTime,
}

/// The zone of the execution `name`: the one that is `given`, or else its input's.
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
                Error::InvalidInput(format!(
                    "hostedZoneId: expected the id of the zone, as the input of execution {} names none",
                    shortened(name, LONGEST_NAME)
                ))
            })
        }
        (None, None) => Err(Error::ExecutionNotFound(format!(
            "execution: the migration state machine has no execution {}; give the name as the console lists it, \
             or add `hostedZoneId` if it ended more than 90 days ago",
            quoted(name)
        ))),
    }
}

/// The execution's name in `text`, which is a name or an ARN.
pub fn execution_name(text: &str) -> &str {
    text.rsplit(':').next().unwrap_or(text)
}
