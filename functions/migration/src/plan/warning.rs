//! What an operator should look at before the start.

use serde::Serialize;

use crate::input::WarningCode;

/// A problem that does not stop the migration, unless its input refuses the code (`failOnWarnings`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Warning {
    pub code: WarningCode,
    /// What was found, where, and what to do, for an operator.
    pub message: String,
}

impl Warning {
    pub(super) fn new(code: WarningCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}
