//! A warning about records, with the first place where the problem was found.

use super::warning::Warning;
use crate::input::WarningCode;
use crate::text::and_more;

/// One kind of problem, and where it was found.
pub(super) struct Finding {
    code: WarningCode,
    problem: &'static str,
    advice: String,
    pub(super) found_at: Vec<String>,
}

impl Finding {
    pub(super) fn new(code: WarningCode, problem: &'static str, advice: impl Into<String>) -> Self {
        Self {
            code,
            problem,
            advice: advice.into(),
            found_at: Vec::new(),
        }
    }

    /// The warning; none if the problem was not found.
    pub(super) fn warning(self) -> Option<Warning> {
        let Self {
            code,
            problem,
            advice,
            found_at,
        } = self;
        let first = found_at.first()?;
        let others = and_more(found_at.len() - 1);
        let message = format!("{problem}: {first}{others}; {advice}");
        Some(Warning::new(code, message))
    }
}
