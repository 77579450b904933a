//! Everything that stands in the way of a plan.

use std::fmt;

use super::Error;
use crate::text::first_of;

/// The most reasons that a message explains. Of the others it lists the names.
const MOST_REASONS: usize = 5;
/// The most names that a message lists of one reason.
const MOST_NAMES: usize = 10;

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
