//! The flags and the version of one instance of ExternalDNS.

use crate::names::{Affix, NameMapper};

/// The changes that an instance may make (`--policy`; source: `plan/policy.go`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// Create, update and delete.
    Sync,
    /// Create and update.
    UpsertOnly,
    /// Create only: a weight that others change is not reverted.
    CreateOnly,
}

/// The registry TXT records that a version of ExternalDNS writes and reads, and its alias
/// records.
///
/// Source: `generateTXTRecord` and `Records` of `registry/txt.go` (tags v0.15.1 to
/// v0.18.0), `registry/txt/registry.go` (tag v0.21.0 and v0.22); `records`, `newChanges`
/// and `AdjustEndpoints` of `provider/aws/aws.go`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Generation {
    /// Up to v0.15: the TXT of [`Self::WithUntyped`]. An alias AAAA is written beside an
    /// alias A if the load balancer is dual-stack. It has no TXT of its own: the TXT of the
    /// A has the label `dualstack=true`. Every alias in the zone is read as an A.
    DualstackLabel,
    /// v0.16 and v0.17 without `--txt-new-format-only`: the TXT of [`Self::CnameForAlias`]
    /// and a second one with the old name without a type, except for AAAA and if the
    /// affix contains the type. It also creates a TXT that exists already, which
    /// Route 53 refuses.
    WithUntyped,
    /// v0.19 to v0.21: the TXT of an alias A has the name of a CNAME's TXT. (v0.18 does
    /// the same, but also creates a TXT that exists already.)
    CnameForAlias,
    /// From v0.22: the name of the TXT contains the record's own type. For an alias A
    /// without such a TXT, the TXT with CNAME is still read.
    OwnType,
}

/// The flags of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `--txt-owner-id`.
    pub owner: String,
    /// `--policy`.
    pub policy: Policy,
    /// From its version.
    pub generation: Generation,
    /// `--txt-prefix` or `--txt-suffix`.
    pub affix: Affix,
    /// `--txt-wildcard-replacement`: replaces `*` in the name of a TXT; if empty, the `*`
    /// is kept.
    pub wildcard_replacement: String,
    /// The number of passes after a read of the zone that use its records again:
    /// `--txt-cache-interval` divided by `--interval`. 0 without a cache.
    pub cached_passes: u32,
}

impl Settings {
    /// An instance with the policy `sync`, without affix, wildcard replacement and cache.
    pub fn new(owner: &str, generation: Generation) -> Self {
        Self {
            owner: owner.to_owned(),
            policy: Policy::Sync,
            generation,
            affix: Affix::None,
            wildcard_replacement: String::new(),
            cached_passes: 0,
        }
    }

    pub(crate) fn mapper(&self) -> NameMapper {
        NameMapper::new(&self.affix, &self.wildcard_replacement).of(self.generation)
    }
}
