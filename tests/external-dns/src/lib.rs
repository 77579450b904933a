//! A model of ExternalDNS. ExternalDNS owns the records that a migration moves, and
//! reverts weights that others change.
//!
//! The model plans as ExternalDNS does with the TXT registry and the AWS provider: it
//! reads registry TXT records into labels ([`Labels`], [`NameMapper`]) and computes the
//! changes from current to desired records ([`reconcile()`]). A [`Controller`] repeats
//! this with any [`Provider`]. Only the controller does I/O.
//!
//! [`Version`] is the real ExternalDNS, with which `tests/program.rs` compares the model.
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
//! v0.15.1 to v0.21.0.
//!
//! Not modelled: `--provider-cache-time`, encryption, registries other than TXT,
//! `--migrate-from-txt-owner`, routing other than simple and weighted, domain filters,
//! more than one zone, and splitting of large batches. Nor the ends of ExternalDNS by its
//! own mistakes: up to v0.21, where a suffix has a dot and the name of a TXT has fewer
//! labels than that; from v0.16 to v0.20, where an alias A and AAAA have different owners
//! and both are updated.

mod controller;
mod labels;
mod names;
mod planner;
mod program;
mod reconcile;
mod registry;
mod settings;

#[cfg(test)]
mod tests;

pub use controller::{Controller, Outcome, Provider, Refusal};
pub use labels::Labels;
pub use names::{Affix, NameMapper};
pub use planner::Endpoint;
pub use program::{Version, source_endpoints};
pub use reconcile::{Action, Change, reconcile};
pub use settings::{Generation, Policy, Settings};
