//! The settings of an operator about the ExternalDNS of each side.

use serde::{Deserialize, Serialize};

use super::registry_names::RegistryNames;
use crate::dns::{RecordName, Sides};

/// How the migration works together with ExternalDNS.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExternalDns {
    /// Whether the migration leases the registry TXT records.
    pub mode: Mode,
    /// The flags of the ExternalDNS of `from` that name its registry TXT records.
    pub from: RegistryNames,
    /// The flags of the ExternalDNS of `to` that name its registry TXT records.
    pub to: RegistryNames,
}

/// Whether the migration leases the registry TXT records.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The migration is the owner from the first change of a name until its release or rollback. For
    /// an ExternalDNS with `--policy=sync` or `upsert-only`.
    #[default]
    Lease,
    /// The owners stay. For an ExternalDNS with `--policy=create-only`, which changes no weights.
    Ignore,
}

impl ExternalDns {
    /// The names of each side's registry TXT records.
    pub fn names(&self) -> Sides<&RegistryNames> {
        Sides {
            from: &self.from,
            to: &self.to,
        }
    }

    /// Every name at which a migration of `name` reads or writes records: the name itself, its
    /// journal, and its registry TXT records.
    pub fn record_names(&self, name: &RecordName) -> Vec<RecordName> {
        let registry = self.names();
        let registry = registry.iter().flat_map(|names| names.record_names(name));
        let mut record_names: Vec<_> = [name.clone(), name.journal()]
            .into_iter()
            .chain(registry.map(|(_, record_name)| record_name))
            .collect();
        record_names.sort();
        record_names.dedup();
        record_names
    }
}
