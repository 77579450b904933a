//! Route 53, Step Functions and CloudWatch in memory, as strict as AWS, for tests.
//!
//! [`FakeRoute53`] refuses what Route 53 refuses: a DELETE that does not match the record set, a CREATE of
//! a record set that exists, mixed routing policies or TTLs in a weighted group, a CNAME beside other types
//! or at the apex, names outside the zone, aliases without a target, malformed values, batches that are
//! empty or over the limits, the deletion of the zone's own NS and SOA records. The type of a weight
//! excludes values over 255. The crate `conformance` compares the fake with Route 53's behaviour. A
//! [`FakeRoute53::limit`] and a [`FakeExecutions::limit`] switch on the limits of an account, within which
//! calls are throttled. A [`Network`] injects faults: a call fails, its answer is lost after the change was
//! applied, another writer changes the zone before the call arrives, Route 53 loses a change, or the process
//! dies.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a fixture that can't be parsed is a defect of the test; locks are never poisoned"
)]

mod cli_json;
mod cloudwatch;
mod executions;
mod limits;
mod network;
mod record_sets;
mod resolver;
mod route53;
mod signing_keys;
mod values;

pub use cli_json::{record_set_to_cli_json, record_sets_from_cli_json};
pub use cloudwatch::FakeCloudWatch;
pub use executions::{FakeExecutions, Lag, OnEnd, OnRollback};
pub use limits::{OtherLoad, Usage};
pub use network::{CHANGE, Edit, Fault, LIST, Network, Time};
pub use record_sets::RecordSets;
pub use resolver::{FakeResolver, NAME_SERVERS};
pub use route53::{BatchObserver, FakeRoute53, WrittenChange};
pub use signing_keys::FakeSigningKeys;
pub use values::is_txt_value;
