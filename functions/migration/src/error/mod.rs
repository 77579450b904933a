//! Why a function could not do what it was asked for.
//!
//! An error carries data: where something was found, what it was, and what was expected. This module
//! turns errors into text. Some fields are texts already, and the message quotes them: a `problem` that
//! a parser (`FromStr`), the arithmetic of weights or an SDK describes, as in [`InvalidInput::Field`],
//! [`InvalidInput::InexactStep`] and [`UntrustedJournal`], and the `answer` of AWS.
//!
//! [`Error::name`] is the stable name that Retry and Catch in the state machines match, and the payload
//! of each variant formats the message for a person: it names the field or record, what was found, what
//! was expected, and what to do.
//!
//! A variant exists only if the state machines or a caller branch on it. An unhealthy target or an
//! alarm in ALARM is not an error but a [`Verdict`](crate::health::Verdict).

mod aws;
mod input;
mod journal;
mod records;

pub use aws::{
    AlarmNotFound, ChangeRefused, ExecutionNotFound, NoSuchHostedZone, NotPermitted, Redriven,
    Throttled, Unavailable,
};
pub use input::{InvalidInput, LiveText, NamedText};
pub use journal::{Busy, Conflict, Drift, FoundWeights, SnappedBack, UntrustedJournal};
pub(crate) use records::NO_RECORDS;
pub use records::{AllZeroWeights, NoSuchPair, PresentSides, UnsupportedRouting};

use std::fmt;

use crate::text::{first_of, shortened};

/// The maximum length of a message, in characters. The state machines parse it from the error's cause,
/// which Step Functions cuts at 32,768 characters.
const LONGEST_MESSAGE: usize = 4_000;

/// The most reasons that a message explains. Of the others it lists the names.
const MOST_REASONS: usize = 5;
/// The most names that a message lists of one reason.
const MOST_NAMES: usize = 10;

/// Declares [`Error`] with one variant per payload type, so that each name is written once.
macro_rules! errors {
    ($($(#[$attribute:meta])* $kind:ident,)+) => {
        /// Why a function could not do what it was asked for, with one variant per name that the state
        /// machines match.
        #[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
        pub enum Error {
            $(
                $(#[$attribute])*
                #[error(transparent)]
                $kind(Box<$kind>),
            )+
            /// Several of these, in a plan. Its name is that of its first reason.
            #[error(transparent)]
            Refused(Box<Refusal>),
        }

        impl Error {
            /// Every name that [`Error::name`] returns.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($kind)),+];

            /// The stable name that Retry and Catch match: Lambda's `errorType`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($kind),)+
                    Self::Refused(refusal) => {
                        refusal.reasons.first().map_or("InvalidInput", |reason| reason.error.name())
                    }
                }
            }
        }

        $(
            impl From<$kind> for Error {
                fn from(payload: $kind) -> Self {
                    Self::$kind(Box::new(payload))
                }
            }
        )+
    };
}

errors! {
    /// The input, or the request of a function, can't be carried out; the message names the field.
    InvalidInput,
    /// The hosted zone does not exist in this account.
    NoSuchHostedZone,
    /// A name, or one record type of it, has no weighted record of one side.
    NoSuchPair,
    /// A record of the name has another routing policy than weighted.
    UnsupportedRouting,
    /// All weights of a name are 0, so Route 53 answers with all records equally.
    AllZeroWeights,
    /// Before a migration or a release writes: another migration has its journal at the name.
    Busy,
    /// The zone differs from what the journal says was last written, or the journal from what the running
    /// migration wrote.
    Drift,
    /// ExternalDNS overwrote the weight of a name that was given back to it.
    SnappedBack,
    /// Another writer changed the records between reading and writing; nothing was written.
    Conflict,
    /// Route 53 refused a change although no record had changed since it was read.
    ChangeRefused,
    /// An alarm that the migration watches does not exist.
    AlarmNotFound,
    /// The execution to be rolled back or released does not exist.
    ExecutionNotFound,
    /// The execution was redriven after its migration was planned.
    Redriven,
    /// The function's role lacks a permission.
    NotPermitted,
    /// AWS throttled the call, also after the SDK's own retries.
    Throttled,
    /// AWS did not answer, or failed.
    Unavailable,
}

impl Error {
    /// Whether nothing but records of `to` is missing, so that they may be waited for.
    pub fn is_missing_to(&self) -> bool {
        match self {
            Self::NoSuchPair(problem) => problem.is_missing_to(),
            Self::Refused(refusal) => refusal
                .reasons
                .iter()
                .all(|reason| reason.error.is_missing_to()),
            _ => false,
        }
    }

    /// The message for a person, of at most 4,000 characters.
    pub fn message(&self) -> String {
        shortened(&self.to_string(), LONGEST_MESSAGE)
    }
}

/// Why a plan is refused, for more than one reason or name. Its first reason decides about its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// At least one, those of the error that applies first before the others.
    pub reasons: Vec<Reason>,
}

/// A reason, and the other names that have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// The problem of the first name.
    pub error: Error,
    /// The name that the error is about; none if it is about none in particular.
    pub name: Option<String>,
    /// The names of which the same is true.
    pub others: Vec<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        if self.others.is_empty() {
            return Ok(());
        }
        let others = first_of(&self.others, MOST_NAMES);
        write!(f, " (the same is true of {others})")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [reason] = self.reasons.as_slice() {
            return write!(f, "{reason}");
        }
        write!(f, "{} problems: ", self.reasons.len())?;
        let (explained, rest) = self.reasons.split_at(self.reasons.len().min(MOST_REASONS));
        for (number, reason) in (1..).zip(explained) {
            let separator = if number == 1 { "" } else { "; " };
            write!(f, "{separator}({number}) {reason}")?;
        }
        let names: Vec<_> = rest
            .iter()
            .flat_map(|reason| reason.name.iter().chain(&reason.others))
            .cloned()
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        write!(
            f,
            "; and other problems of {}",
            first_of(&names, MOST_NAMES)
        )
    }
}

impl std::error::Error for Refusal {}
