//! A model of ExternalDNS: the writer that owns the records which a migration
//! moves, and puts a foreign change of a weight back.
//!
//! It plans as ExternalDNS does with the TXT registry and the AWS provider:
//! registry TXT are read into labels ([`Labels`], [`NameMapper`]), current and
//! desired records become changes ([`reconcile()`]), and a [`Controller`] repeats
//! that over any [`Provider`]. Only the controller does I/O.
//!
//! It follows kubernetes-sigs/external-dns at commit 2bf1bf8 (v0.22):
//!
//! | here         | there                                                        |
//! |--------------|--------------------------------------------------------------|
//! | `labels`     | `endpoint/labels.go`                                         |
//! | `names`      | `registry/mapper/mapper.go`                                  |
//! | `registry`   | `registry/txt/registry.go`, `Records` and `generateTXTRecord` |
//! | `planner`    | `plan/plan.go`, `plan/conflict.go`, `plan/policy.go`         |
//! | `reconcile`  | `ApplyChanges` of both the registry and `provider/aws/aws.go` |
//! | `controller` | `controller/controller.go`, `submitChanges` of `aws.go`      |
//!
//! What older versions do otherwise is a [`Generation`], read in the tags
//! v0.16.1 to v0.21.0.
//!
//! Not modelled: caches (`--txt-cache-interval`, `--provider-cache-time`),
//! encryption, registries other than TXT, `--migrate-from-txt-owner`, routing
//! other than simple and weighted, domain filters, more than one zone, and
//! batches split for their size.

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
