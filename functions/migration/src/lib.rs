//! What a migration is and what it writes: the domain of the four functions.
//!
//! From the input of an execution to a batch of changes:
//!
//! 1. [`input`] parses what an operator wrote.
//! 2. [`route53`] reads the zone into the model of [`dns`].
//! 3. [`plan`] selects the names and computes the steps.
//! 4. [`journal`] pairs the records of each name and decides whether the execution may change them.
//! 5. [`change`] computes the record sets that replace them, with the registry TXT records of
//!    [`external_dns`], and writes them by compare-and-swap.
//!
//! [`executions`] has the calls of Step Functions that a journal's lock and a rollback need, [`health`]
//! the verdicts of the observers.
//!
//! This crate uses no AWS SDK, no clock, no environment and no randomness. It reaches AWS through three
//! interfaces only: [`route53::Route53`], [`executions::Executions`] and
//! [`health::cloudwatch::CloudWatch`]. The crates in `functions/aws` (`route53`, `step-functions` and
//! `cloudwatch`) implement them with the SDKs, the crate `fakes` in memory. It reaches the DNS through
//! [`delegation::Resolver`]. The dependencies between
//! modules have no cycles; `tests/architecture` checks that.

pub mod change;
pub mod delegation;
pub mod dns;
pub mod error;
pub mod executions;
pub mod external_dns;
pub mod health;
pub mod input;
pub mod journal;
pub mod json;
pub mod plan;
pub mod route53;
pub mod text;

pub use error::Error;
