//! What can stop a function, in the state machine's words.
//!
//! A variant exists only where somebody branches on it: Retry and Catch in the
//! state machines match [`Error::name`], a person reads the message. What an
//! observer finds out (an unhealthy answer, a firing alarm) is not an error but
//! a [`Verdict`](crate::Verdict). AWS's own errors become variants at one place
//! each, in [`crate::aws`]; the conversion to Lambda's error response is here.

use lambda_runtime::Diagnostic;

use crate::shortened;

/// Characters of a message. The state machines parse it out of the error's cause, which Step
/// Functions cuts at 32,768 characters.
const LONGEST_MESSAGE: usize = 4_000;

/// Why a function could not do what it was asked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// What the operator wrote can't be carried out; the message names the field.
    #[error("{0}")]
    InvalidInput(String),
    /// The hosted zone does not exist, or not in this account.
    #[error("{0}")]
    NoSuchHostedZone(String),
    /// A name, or one type of it, lacks the weighted record of one side.
    #[error("{0}")]
    NoSuchPair(String),
    /// Records of the name are not plain weighted records.
    #[error("{0}")]
    UnsupportedRouting(String),
    /// All weights of a name are 0, which makes Route 53 answer with all records equally.
    #[error("{0}")]
    AllZeroWeights(String),
    /// Another migration has its journal at the name.
    #[error("{0}")]
    Busy(String),
    /// Live weights differ from what the journal says was last written.
    #[error("{0}")]
    Drift(String),
    /// ExternalDNS put back the weight of a name that was given back to it.
    #[error("{0}")]
    SnappedBack(String),
    /// Another writer changed the records between reading and writing; nothing was written.
    #[error("{0}")]
    Conflict(String),
    /// Route 53 refused a change although nothing had changed under it.
    #[error("{0}")]
    ChangeRefused(String),
    /// An alarm to be watched does not exist.
    #[error("{0}")]
    AlarmNotFound(String),
    /// An execution to be rolled back does not exist.
    #[error("{0}")]
    ExecutionNotFound(String),
    /// The function's role lacks a permission.
    #[error("{0}")]
    NotPermitted(String),
    /// AWS asked to slow down, also after the SDK's own retries.
    #[error("{0}")]
    Throttled(String),
    /// AWS did not answer, or with a fault of its own.
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// Every name that [`Error::name`] gives; the definitions' check holds them
    /// against the names in Retry and Catch.
    pub const NAMES: [&str; 15] = [
        "InvalidInput",
        "NoSuchHostedZone",
        "NoSuchPair",
        "UnsupportedRouting",
        "AllZeroWeights",
        "Busy",
        "Drift",
        "SnappedBack",
        "Conflict",
        "ChangeRefused",
        "AlarmNotFound",
        "ExecutionNotFound",
        "NotPermitted",
        "Throttled",
        "Unavailable",
    ];

    /// The stable name that Retry and Catch match: Lambda's `errorType`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "InvalidInput",
            Self::NoSuchHostedZone(_) => "NoSuchHostedZone",
            Self::NoSuchPair(_) => "NoSuchPair",
            Self::UnsupportedRouting(_) => "UnsupportedRouting",
            Self::AllZeroWeights(_) => "AllZeroWeights",
            Self::Busy(_) => "Busy",
            Self::Drift(_) => "Drift",
            Self::SnappedBack(_) => "SnappedBack",
            Self::Conflict(_) => "Conflict",
            Self::ChangeRefused(_) => "ChangeRefused",
            Self::AlarmNotFound(_) => "AlarmNotFound",
            Self::ExecutionNotFound(_) => "ExecutionNotFound",
            Self::NotPermitted(_) => "NotPermitted",
            Self::Throttled(_) => "Throttled",
            Self::Unavailable(_) => "Unavailable",
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic {
            error_type: error.name().to_owned(),
            error_message: shortened(&error.to_string(), LONGEST_MESSAGE),
        }
    }
}
