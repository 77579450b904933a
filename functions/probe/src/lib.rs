//! The `probe` function.
