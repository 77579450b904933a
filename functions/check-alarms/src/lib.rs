//! The `check-alarms` function.
