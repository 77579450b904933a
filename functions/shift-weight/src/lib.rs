//! The `shift-weight` function.
