//! The problems of a plan, which are collected so that an operator sees all of them at once.

use std::collections::BTreeSet;

use crate::Error;
use crate::error::{Reason, Refusal};

/// The names of errors, from the one that a refusal names first to the one that it names last.
const PRECEDENCE: [&str; 6] = [
    "InvalidInput",
    "UnsupportedRouting",
    "AllZeroWeights",
    "Busy",
    "Drift",
    "NoSuchPair",
];

/// What stands in the way of a plan.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Each with its message without the name, so that equal ones are found.
    reasons: Vec<(String, Reason)>,
    /// The names with a problem.
    names: BTreeSet<String>,
}

impl Problems {
    pub(super) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Adds a problem that concerns no name in particular.
    pub(super) fn add(&mut self, error: impl Into<Error>) {
        self.add_reason(None, error.into());
    }

    /// Adds a problem of `name`, unless the name has one already.
    pub(super) fn add_of(&mut self, name: &impl ToString, error: impl Into<Error>) {
        let name = name.to_string();
        if self.names.insert(name.clone()) {
            self.add_reason(Some(name), error.into());
        }
    }

    /// The result, or none after its problem is added.
    pub(super) fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// The result for `name`, or none after its problem is added.
    pub(super) fn take_of<T>(
        &mut self,
        name: &impl ToString,
        result: Result<T, Error>,
    ) -> Option<T> {
        result.map_err(|error| self.add_of(name, error)).ok()
    }

    fn add_reason(&mut self, name: Option<String>, error: Error) {
        let message = error.to_string();
        let message = match &name {
            Some(name) => message.replace(name.as_str(), "*"),
            None => message,
        };
        let is_known = |(known, reason): &&mut (String, Reason)| {
            *known == message && reason.error.name() == error.name()
        };
        if let Some((_, reason)) = self.reasons.iter_mut().find(is_known) {
            reason.others.extend(name);
            return;
        }
        let others = Vec::new();
        let reason = Reason {
            error,
            name,
            others,
        };
        self.reasons.push((message, reason));
    }

    /// The refusal of the plan because of `error` and the problems so far.
    pub(super) fn refused_with(mut self, error: Error) -> Error {
        self.add(error.clone());
        self.refuse().err().unwrap_or(error)
    }

    /// Refuses the plan if there are problems.
    ///
    /// # Errors
    /// The problem, or [`Error::Refused`] with all of them.
    pub(super) fn refuse(self) -> Result<(), Error> {
        let mut reasons: Vec<_> = self.reasons.into_iter().map(|(_, reason)| reason).collect();
        reasons.sort_by_key(|reason| {
            let name = reason.error.name();
            PRECEDENCE.iter().position(|it| *it == name)
        });
        match reasons.as_slice() {
            [] => Ok(()),
            [reason] if reason.others.is_empty() => Err(reason.error.clone()),
            _ => Err(Error::Refused(Box::new(Refusal { reasons }))),
        }
    }
}
