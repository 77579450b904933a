//! What a migration knows about the ExternalDNS of each side.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::registry_names::RegistryNames;
use crate::dns::{RecordName, Sides};

/// How the migration works together with ExternalDNS.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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

    /// Every name at which a migration of `names` reads or writes records: the names themselves, their
    /// journals, and their registry TXT records.
    pub fn record_names(&self, names: &[RecordName]) -> BTreeSet<RecordName> {
        let mut record_names = BTreeSet::new();
        for name in names {
            record_names.extend([name.clone(), name.journal()]);
            for registry_names in self.names().iter() {
                let texts = registry_names.record_names(name);
                record_names.extend(texts.into_iter().map(|(_, text)| text));
            }
        }
        record_names
    }
}
