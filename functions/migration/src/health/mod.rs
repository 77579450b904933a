//! The verdicts of the observers, and the interface to CloudWatch.
//!
//! Observers only read; nothing in this module changes a record.

pub mod cloudwatch;
mod verdict;

pub use verdict::Verdict;
