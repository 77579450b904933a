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

/// The beginning of `text`, which others wrote, where it is longer than `characters`:
/// what goes from state to state is limited to 256 KiB.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Characters of a text that a message repeats.
const LONGEST_QUOTE: usize = 300;

/// The beginning of `text`, which others wrote, in quotes, for the message that refuses it.
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, LONGEST_QUOTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_outweighs_doubt_and_doubt_a_pass() {
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

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grüner", 4), "grün…");
        assert_eq!(shortened("", 0), "");
        assert_eq!(quoted("gr\"ün"), "\"gr\\\"ün\"");
        assert_eq!(quoted(&"x".repeat(1_000)).chars().count(), 303);
    }
}
