//! The result of an observation. If an observer can't observe, that is an [`Error`](crate::Error).

use serde::Serialize;

/// Whether an observer found the workload healthy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    /// Neither shown to be healthy nor shown to be unhealthy; never counted as a pass.
    Inconclusive,
}

impl Verdict {
    /// The verdict of two observations. In order of precedence: fail, inconclusive, pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
            (Self::Pass, Self::Pass) => Self::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fail_takes_precedence_over_inconclusive_and_both_over_pass() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (one, other, both) in [
            (Pass, Pass, Pass),
            (Pass, Inconclusive, Inconclusive),
            (Pass, Fail, Fail),
            (Inconclusive, Inconclusive, Inconclusive),
            (Inconclusive, Fail, Fail),
            (Fail, Fail, Fail),
        ] {
            assert_eq!(one.and(other), both);
            assert_eq!(other.and(one), both);
        }
    }
}
