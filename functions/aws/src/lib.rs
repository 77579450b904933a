//! What the functions share of AWS.
//!
//! [`classify`] turns an SDK's error that an adapter does not handle itself into a [`migration::Error`],
//! and [`diagnostic`] turns that into Lambda's error response. Every `main.rs` starts with
//! [`init_logging`] and [`sdk_config`]. [`metrics`] writes the dashboard's metrics.
//!
//! The folders `route53`, `step-functions`, `cloudwatch` and `kms` implement the domain's interfaces with the
//! SDKs. Each is a crate, so that a function links only the SDKs that it calls: features of one crate
//! would be turned on for all functions that are built together.

mod errors;
pub mod metrics;
mod startup;

pub use errors::{classify, diagnostic};
pub use startup::{init_logging, sdk_config, timeouts};
