//! The `rollback` function.
