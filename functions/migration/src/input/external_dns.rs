//! What an operator writes about the ExternalDNS of each side.

use serde::Deserialize;

use crate::external_dns::{Affix, Mode, RegistryNames};
use crate::json::object;

/// How the migration works together with ExternalDNS.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExternalDnsInput {
    /// Whether the migration leases the registry TXT records.
    pub mode: Mode,
    /// The flags of the ExternalDNS of `from` that name its registry TXT records. Those that are left out are
    /// inferred from the zone.
    #[serde(deserialize_with = "object")]
    pub from: ToldFlags,
    /// The flags of the ExternalDNS of `to` that name its registry TXT records. Those that are left out are
    /// inferred from the zone.
    #[serde(deserialize_with = "object")]
    pub to: ToldFlags,
}

/// The flags of an ExternalDNS that name its registry TXT records, as far as the operator has told them. An empty
/// text says that ExternalDNS runs without the flag.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ToldFlags {
    /// `--txt-prefix`. `%{record_type}` in it is the record's type.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub txt_prefix: Option<Affix>,
    /// `--txt-suffix`, which follows the first label. Not together with a prefix.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub txt_suffix: Option<Affix>,
    /// `--txt-wildcard-replacement`, the first label in place of a wildcard record's `*`.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub txt_wildcard_replacement: Option<Affix>,
}

impl ToldFlags {
    /// Whether both a prefix and a suffix are told, which ExternalDNS refuses.
    pub(super) fn are_contradictory(&self) -> bool {
        let is_set = |affix: &Option<Affix>| affix.as_ref().is_some_and(|it| !it.is_empty());
        is_set(&self.txt_prefix) && is_set(&self.txt_suffix)
    }

    /// Whether a flag is told that decides about the names of all records.
    pub fn tell_the_affix(&self) -> bool {
        self.txt_prefix.is_some() || self.txt_suffix.is_some()
    }

    /// The flags, with none in place of those that are not told.
    pub fn names(&self) -> RegistryNames {
        let told = |affix: &Option<Affix>| affix.clone().unwrap_or_default();
        RegistryNames {
            txt_prefix: told(&self.txt_prefix),
            txt_suffix: told(&self.txt_suffix),
            txt_wildcard_replacement: told(&self.txt_wildcard_replacement),
        }
    }

    /// Whether `names` has the flags that are told.
    pub fn agree_with(&self, names: &RegistryNames) -> bool {
        [
            (&self.txt_prefix, &names.txt_prefix),
            (&self.txt_suffix, &names.txt_suffix),
            (
                &self.txt_wildcard_replacement,
                &names.txt_wildcard_replacement,
            ),
        ]
        .into_iter()
        .all(|(told, found)| told.as_ref().is_none_or(|told| told == found))
    }
}
