//! A model of ExternalDNS. ExternalDNS owns the records that a migration moves, and
//! reverts weights that others change.
//!
//! The model plans as ExternalDNS does with the TXT registry and the AWS provider: it
//! reads registry TXT records into labels ([`Labels`], [`NameMapper`]) and computes the
//! changes from current to desired records ([`reconcile()`]). A [`Controller`] repeats
//! this with any [`Provider`]. Only the controller does I/O.
//!
//! It follows kubernetes-sigs/external-dns at commit 2bf1bf8 (v0.22):
//!
//! | module       | source in ExternalDNS                                        |
//! |--------------|--------------------------------------------------------------|
//! | `labels`     | `endpoint/labels.go`                                         |
//! | `names`      | `registry/mapper/mapper.go`                                  |
//! | `registry`   | `registry/txt/registry.go`, `Records` and `generateTXTRecord` |
//! | `planner`    | `plan/plan.go`, `plan/conflict.go`, `plan/policy.go`         |
//! | `reconcile`  | `ApplyChanges` of both the registry and `provider/aws/aws.go` |
//! | `controller` | `controller/controller.go`, `submitChanges` of `aws.go`      |
//!
//! A [`Generation`] is the behaviour of older versions, from the source of the tags
//! v0.16.1 to v0.21.0.
//!
//! Not modelled: caches (`--txt-cache-interval`, `--provider-cache-time`),
//! encryption, registries other than TXT, `--migrate-from-txt-owner`, routing
//! other than simple and weighted, domain filters, more than one zone, and
//! splitting of large batches.

mod controller;
mod labels;
mod names;
mod planner;
mod reconcile;
mod registry;
mod settings;

#[cfg(test)]
mod tests;

pub use controller::{Controller, Outcome, Provider, Refusal};
pub use labels::Labels;
pub use names::{Affix, NameMapper};
pub use planner::Endpoint;
pub use reconcile::{Action, Change, reconcile};
pub use settings::{Generation, Policy, Settings};
