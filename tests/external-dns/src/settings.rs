//! How one instance of ExternalDNS is started.

use crate::names::{Affix, NameMapper};

/// What an instance may do to records (`--policy`; source: `plan/policy.go`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// Everything.
    Sync,
    /// Everything but deleting.
    UpsertOnly,
    /// Creating only: a foreign change of a weight stays.
    CreateOnly,
}

/// Which registry TXT a version of ExternalDNS writes and reads.
///
/// Source: `generateTXTRecord` and `Records` of `registry/txt.go` (tags v0.16.1 to
/// v0.18.0), `registry/txt/registry.go` (tag v0.21.0 and v0.22).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Generation {
    /// Up to v0.17 without `--txt-new-format-only`: as [`Self::CnameForAlias`],
    /// and beside it the old form without a type, except for AAAA and where the
    /// affix has the type. A TXT that is there already is created again, which
    /// Route 53 refuses.
    WithUntyped,
    /// v0.19 to v0.21: the TXT of an alias A is named as a CNAME's. (v0.18 too,
    /// but it creates again what is there.)
    CnameForAlias,
    /// From v0.22: the TXT is named by the record's own type; that of an alias
    /// A is still read under CNAME where there is none under A.
    OwnType,
}

/// The flags of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `--txt-owner-id`.
    pub owner: String,
    /// `--policy`.
    pub policy: Policy,
    /// Its version, as far as that matters to the registry.
    pub generation: Generation,
    /// `--txt-prefix` or `--txt-suffix`.
    pub affix: Affix,
    /// `--txt-wildcard-replacement`: what stands for `*` in the name of a TXT;
    /// empty, the `*` stays.
    pub wildcard_replacement: String,
}

impl Settings {
    /// An instance with the policy `sync` and plain names of registry TXT.
    pub fn new(owner: &str, generation: Generation) -> Self {
        Self {
            owner: owner.to_owned(),
            policy: Policy::Sync,
            generation,
            affix: Affix::None,
            wildcard_replacement: String::new(),
        }
    }

    pub(crate) fn mapper(&self) -> NameMapper {
        NameMapper::new(&self.affix, &self.wildcard_replacement)
    }
}
