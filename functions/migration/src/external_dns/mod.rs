//! ExternalDNS's TXT registry: the names of its records, their owners, and the lease of a migration.
//!
//! ExternalDNS updates and deletes a record only if the record's registry TXT has its own owner id. So
//! while a migration moves a name, it is the owner in the TXT records of that name (the lease), and
//! afterwards it gives the original owners back. Nothing else in the values changes.
//!
//! A TXT always gets the weight of its record. To delete a TXT, ExternalDNS sends Route 53 the weight of
//! the record; if the TXT had another one, Route 53 would refuse every later deletion of the pair.
//!
//! This module computes what replaces a TXT. It writes nothing and knows no journal; `change` puts the
//! replacements into batches.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`, `registry/mapper/mapper.go`,
//! `endpoint/labels.go`, `plan/plan.go`.

mod annotations;
mod explanation;
mod lease;
mod lookup;
mod recorded_side;
mod registry_names;
mod registry_txt;
mod saved_owners;
mod settings;

pub use annotations::{Annotation, Annotations, KubernetesObject, annotations};
pub(crate) use explanation::{Explained, Explanation, SideRegistry};
pub(crate) use lease::{
    LeaseTerms, LostLease, given_back, leased, leased_texts, leased_without_owner, lost_lease,
    restored_texts,
};
pub use lookup::registry_texts;
pub(crate) use recorded_side::RecordedSide;
pub use registry_names::{Affix, RegistryNames, TxtNaming};
pub(crate) use registry_txt::resource;
pub use registry_txt::{Owner, RegistryText, is_leased_by, owner};
pub use saved_owners::SavedOwners;
pub use settings::{ExternalDns, Mode};
