//! The error of a state or of an execution.

/// An error as Retry and Catch see it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct Failure {
    /// The error name, such as `States.Timeout` or the `errorType` of a function. Empty if there is
    /// none, as when `SendTaskFailure` gives none.
    pub error: String,
    /// Empty if there is none.
    pub cause: String,
}

/// No Retry or Catch applies to it: the execution ends.
pub(crate) const RUNTIME: &str = "States.Runtime";
const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
pub(crate) const TIMEOUT: &str = "States.Timeout";
pub(crate) const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
/// An expression failed, or has no result.
pub(crate) const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";

/// The largest input, output or variable of a state, and the largest argument or result of a Task, in
/// bytes.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const LARGEST_PAYLOAD: usize = 262_144;

impl Failure {
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: cause.into(),
        }
    }

    /// A payload of this many bytes is too large.
    pub(crate) fn too_large(what: &str, bytes: usize) -> Self {
        Self::new(
            DATA_LIMIT_EXCEEDED,
            format!("{what} has {bytes} bytes, more than {LARGEST_PAYLOAD}"),
        )
    }

    /// Whether an entry of `ErrorEquals` matches this error.
    ///
    /// `States.ALL` matches neither `States.Runtime` nor `States.DataLimitExceeded`,
    /// `States.TaskFailed` matches every other error but a time-out, and `States.Timeout` matches a
    /// lost heartbeat too.
    ///
    /// Source: Step Functions Developer Guide, "Handling errors in Step Functions workflows".
    pub(crate) fn matches(&self, name: &str) -> bool {
        match name {
            _ if self.error == RUNTIME => false,
            "States.ALL" => self.error != DATA_LIMIT_EXCEEDED,
            "States.TaskFailed" => {
                ![DATA_LIMIT_EXCEEDED, TIMEOUT, HEARTBEAT_TIMEOUT].contains(&self.error.as_str())
            }
            TIMEOUT => [TIMEOUT, HEARTBEAT_TIMEOUT].contains(&self.error.as_str()),
            name => self.error == name,
        }
    }

    pub(crate) fn matches_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.matches(name))
    }
}
