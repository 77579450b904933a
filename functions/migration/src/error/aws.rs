//! Calls that AWS refused, failed or did not answer, and things that AWS does not have.

use crate::dns::HostedZoneId;
use crate::text::{quoted, shortened};

/// The maximum length of a list of alarms, in characters.
const LONGEST_LIST: usize = 2_000;

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "hostedZoneId: this account has no hosted zone {id}; use an id that `aws route53 list-hosted-zones` prints"
)]
pub struct NoSuchHostedZone {
    pub id: HostedZoneId,
}

/// `answer` is AWS's code and message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotPermitted {
    #[error(
        "{action} is not permitted ({answer}); the stack's template grants this permission: deploy the stack again, and \
         look for a service control policy that denies it"
    )]
    Action {
        /// The API call, in IAM's spelling.
        action: String,
        answer: String,
    },
    #[error(
        "hostedZoneId: {action} is not permitted for {id} ({answer}); correct the id, or deploy the stack again with \
         this zone among its HostedZoneArns"
    )]
    HostedZone {
        id: HostedZoneId,
        action: String,
        answer: String,
    },
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the execution {execution} was redriven after its plan (redrives now: {found}, when it was planned: {planned}), and \
     may have been rolled back since; nothing more is shifted; start a new execution with the same input"
)]
pub struct Redriven {
    pub execution: String,
    /// The number of redrives when the migration was planned.
    pub planned: u32,
    pub found: u32,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{action} was throttled ({answer}); all callers of this account share its quota")]
pub struct Throttled {
    /// The API call, in IAM's spelling.
    pub action: String,
    /// AWS's code and message.
    pub answer: String,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unavailable {
    #[error("{action} failed ({answer})")]
    Failed { action: String, answer: String },
    #[error("{action} got no answer: {problem}")]
    NoAnswer { action: String, problem: String },
    /// The answer lacks something that the API reference guarantees.
    #[error("the answer of {action} can't be used: {problem}")]
    Unusable { action: String, problem: String },
    #[error(
        "states:DescribeExecution still reports the execution {execution} as running, although it has ended as {status}"
    )]
    StatusLags { execution: String, status: String },
    #[error("the answer can't be written as JSON: {problem}")]
    Unwritable { problem: String },
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Route 53 refused the change: {reason}")]
pub struct ChangeRefused {
    pub reason: String,
}

impl ChangeRefused {
    /// Whether the reason names this target of an alias, as in "Tried to create an alias that targets
    /// blue-1.eu-west-3.elb.amazonaws.com., type A in zone Z3Q77PNBQS71R4, but that target was not found".
    /// AWS does not document the text, so nothing but the order of attempts and messages depends on it.
    ///
    /// Source: the issue harmony-one/harmony-ops#491.
    pub fn names_target(&self, target: &str) -> bool {
        let target = target.trim_end_matches('.').to_ascii_lowercase();
        !target.is_empty() && self.reason.to_ascii_lowercase().contains(&target)
    }
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "no alarm in this account and Region matches {}; create the missing alarms, or correct alarms.names and \
     alarms.prefixes",
    shortened(&missing.join(", "), LONGEST_LIST)
)]
pub struct AlarmNotFound {
    /// Names, and prefixes followed by a `*`.
    pub missing: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExecutionNotFound {
    #[error(
        "execution: the migration state machine has no execution {}; give the name as the console lists it, or add \
         `hostedZoneId` if it ended more than 90 days ago",
        quoted(name)
    )]
    Requested { name: String },
    #[error(
        "executionArn: the migration state machine has no execution {}",
        quoted(name)
    )]
    Ended { name: String },
}
