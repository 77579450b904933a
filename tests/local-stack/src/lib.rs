//! Cutover on one machine, without an AWS account or Docker.
//!
//! [`Stack::start`] builds the functions, starts an emulator of AWS on a free
//! port of the loopback address, two HTTPS servers that stand for the two
//! clusters' load balancers, loads a zone, and deploys `infra/template.yaml`
//! through CloudFormation as `sam deploy` does. The functions run under their
//! own roles, whose policies the emulator enforces. Whatever ends the process
//! that started a stack ends the stack.
//!
//! [`ExternalDns`] lets both clusters' ExternalDNS work in the zone meanwhile.
//!
//! [`Scenario`] plays a migration on a stack, from a console input to a judgement
//! whether it ended as it should; [`Follower`] tells meanwhile what a person
//! wants to see. The demo and the end-to-end tests play the same scenarios.
//!
//! [`EmulatedRoute53`] is the emulator without all that, for the suite that says where it differs
//! from Route 53.
//!
//! What the emulator is and does otherwise than AWS is nobody's business outside
//! of this crate.

mod deployment;
mod emulated_route53;
mod emulator;
mod events;
mod execution;
mod external_dns;
mod follower;
mod functions;
mod gate;
mod http;
mod load_balancer;
mod notifications;
mod scenario;
mod stack;
mod traffic;
mod virtual_environment;
mod workspace;
mod zone;

pub use crate::external_dns::ExternalDns;
pub use emulated_route53::EmulatedRoute53;
pub use events::{alarm_event, cluster_created_event, status_event};
pub use execution::{Ended, Execution};
pub use follower::{Follower, Moment, Seen, Watch};
pub use functions::{FUNCTIONS, Function};
pub use gate::{Gate, Held, Holding, Way};
pub use load_balancer::LoadBalancer;
pub use migration::{Percent, RecordName, SetIdentifier};
pub use notifications::Notification;
pub use scenario::{BLUE, CHECK_SECONDS, GREEN, NAMES, Report, SCENARIOS, Scenario};
pub use stack::{Settings, Stack};
pub use traffic::Traffic;
pub use zone::{Zone, blueprint, without_registry};
