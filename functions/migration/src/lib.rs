//! What a migration is, shared by the four functions.
//!
//! Pure rooms, without input or output, clock or randomness: [`input`],
//! [`steps`], [`weights`], [`name`], [`record`], [`journal`], [`zone`],
//! [`registry`], [`plan`], [`lint`], [`change`], [`lease`]. Access to a zone by compare-and-swap, over a narrow
//! interface: [`route53`]; to executions: [`executions`]. AWS itself only in
//! [`aws`], what a `main.rs` needs in [`function`], and [`metrics`] for the dashboard.

pub mod aws;
pub mod change;
mod error;
pub mod executions;
#[cfg(feature = "fake")]
pub mod fake;
pub mod function;
pub mod input;
pub mod journal;
pub mod lease;
pub mod lint;
pub mod metrics;
pub mod name;
pub mod plan;
pub mod record;
pub mod registry;
pub mod route53;
pub mod steps;
mod verdict;
pub mod weights;
mod whole;
pub mod zone;
mod zone_names;

pub use error::Error;
pub use name::{HostedZoneId, NamePattern, RecordName, SetIdentifier};
pub use steps::Percent;
pub use verdict::{Verdict, quoted, shortened};
pub use whole::Whole;
pub use zone_names::ZoneNames;
