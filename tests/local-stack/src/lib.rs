//! Cutover on one machine, without an AWS account or Docker.
//!
//! [`Stack::start`] builds the functions and starts an AWS emulator on a free port of the loopback
//! address. It starts two HTTPS servers in place of the clusters' load balancers, loads a hosted
//! zone, and deploys `infra/template.yaml` through CloudFormation as `sam deploy` does, or `infra/terraform`
//! through Terraform. The
//! functions run with their own roles, and the emulator enforces the roles' policies. They reach Route 53
//! through a [`Route53Proxy`], and ask a [`NameServer`] of the stack to which name servers a zone is
//! delegated. [`Stack::iam_endpoint`] simulates the roles' policies with the condition keys of a request.
//! The stack ends with the process that started it, however that process ends.
//!
//! [`ExternalDns`] runs a model of each cluster's ExternalDNS in the zone, and
//! [`ExternalDnsProgram`] the real one, where there is Go to build it with.
//!
//! [`Scenario`] plays a migration on a stack, from a console input to a check of how it ended.
//! [`Follower`] reports what happens meanwhile, for display. The demo and the end-to-end tests play
//! the same scenarios.
//!
//! [`EmulatedRoute53`] is the emulator alone. The conformance tests use it to find where the
//! emulator differs from Route 53.
//!
//! Only this crate knows which emulator is used and works around its differences from AWS.

mod deployment;
mod emulated_route53;
mod emulator;
mod events;
mod execution;
mod external_dns;
mod external_dns_program;
mod follower;
mod functions;
mod http;
mod inventory;
mod load_balancer;
mod name_server;
mod name_weights;
mod notifications;
mod one_name;
mod policy;
mod policy_simulator;
mod proxy;
mod role;
mod route53_proxy;
mod scenario;
mod stack;
mod terraform;
mod virtual_environment;
mod zone;

pub use crate::external_dns::ExternalDns;
pub use crate::external_dns_program::{ExternalDnsProgram, Pass};
pub use deployment::Tool;
pub use emulated_route53::EmulatedRoute53;
pub use events::{alarm_event, cluster_created_event, status_event};
pub use execution::{Execution, ExecutionResult};
pub use follower::{Follower, Moment, Seen, WatchTarget};
pub use functions::Function;
pub use load_balancer::{Authority, LoadBalancer};
pub use migration::dns::{Percent, RecordName, SetIdentifier};
pub use name_server::NameServer;
pub use name_weights::NameWeights;
pub use notifications::Notification;
pub use one_name::{BURNHAM, WAIT_SCALE, input, long_bake};
pub use route53_proxy::{HeldCall, HoldPoint, PendingHold, Route53Proxy};
pub use scenario::{BLUE, CHECK_SECONDS, GREEN, NAMES, Report, SCENARIOS, Scenario};
pub use stack::{Settings, Stack};
pub use terraform::{Terraform, terraform_is_installed};
pub use virtual_environment::python;
pub use zone::{Zone, blueprint, without_registry};
