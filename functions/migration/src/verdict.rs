//! What an observer found out. That it could not find out is an [`Error`](crate::Error).

use serde::Serialize;

/// Health, as one observer sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Healthy.
    Pass,
    /// Unhealthy.
    Fail,
    /// Neither shown healthy nor shown unhealthy; never counted as a pass.
    Inconclusive,
}

impl Verdict {
    /// The verdict of two observations: a failure outweighs doubt, doubt outweighs a pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
            (Self::Pass, Self::Pass) => Self::Pass,
        }
    }
}

/// A verdict and the reason for it, as an observing function answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Observation {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence for people: what was seen, where.
    pub reason: String,
}
