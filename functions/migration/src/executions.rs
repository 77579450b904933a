//! Executions of the migration state machine, as far as a journal's lock and a
//! rollback need them.

use std::future::Future;

use serde_json::Value;

use crate::Error;

/// The calls of Step Functions' API that shift-weight and rollback need; an
/// execution is named by its name, its machine is the migration state machine.
pub trait Executions {
    /// `DescribeExecution`; none where Step Functions does not know the execution.
    fn describe(&self, name: &str)
    -> impl Future<Output = Result<Option<Execution>, Error>> + Send;

    /// `StopExecution`; one that has ended stays as it ended.
    fn stop(&self, name: &str, cause: &str) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What `DescribeExecution` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Whether it is still running, waiting to be redriven not included.
    pub is_running: bool,
    /// Its input; null where it can't be parsed.
    pub input: Value,
}

/// The execution's name in `text`, which is a name or an ARN.
pub fn execution_name(text: &str) -> &str {
    text.rsplit(':').next().unwrap_or(text)
}
