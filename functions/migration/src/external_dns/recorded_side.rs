//! One side of a name, as its journal records it.

use std::collections::BTreeMap;

use super::saved_owners::SavedOwners;
use crate::dns::{RecordType, SetIdentifier, Weights};

/// Borrows from a journal what concerns one side, so that this module needs no journal.
#[derive(Clone, Copy)]
pub(crate) struct RecordedSide<'j> {
    pub(crate) identifier: &'j SetIdentifier,
    pub(crate) saved_owners: &'j SavedOwners,
    pub(crate) original: &'j BTreeMap<RecordType, Weights>,
    pub(crate) written: &'j BTreeMap<RecordType, Weights>,
    /// Selects this side's weight of a pair.
    pub(crate) weight: fn(&Weights) -> u8,
}

impl RecordedSide<'_> {
    /// The weight of its record of this type before the migration's first change.
    pub(crate) fn original(&self, record_type: &RecordType) -> Option<u8> {
        self.original.get(record_type).map(self.weight)
    }

    /// The weight that the migration last wrote to its record of this type.
    pub(crate) fn written(&self, record_type: &RecordType) -> Option<u8> {
        self.written.get(record_type).map(self.weight)
    }
}
