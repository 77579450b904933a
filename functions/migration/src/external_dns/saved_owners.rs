//! The part of a journal that is about one side's registry.

use std::collections::BTreeMap;

use super::registry_names::{RegistryNames, TxtNaming};

/// The names and the original owners of one side's registry TXT records at a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SavedOwners {
    pub names: RegistryNames,
    /// The owners from before the lease, by the naming of the TXT record; empty if none is leased.
    pub owners: BTreeMap<TxtNaming, String>,
}
