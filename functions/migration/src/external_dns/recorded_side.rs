//! One side of a name, as its journal records it.

use std::collections::BTreeMap;

use super::saved_owners::SavedOwners;
use crate::dns::{LoneWeights, RecordType, SetIdentifier, Side, Weights};

/// Borrows from a journal what concerns one side, so that this module needs no journal.
#[derive(Clone, Copy)]
pub(crate) struct RecordedSide<'j> {
    pub(crate) side: Side,
    pub(crate) identifier: &'j SetIdentifier,
    pub(crate) saved_owners: &'j SavedOwners,
    pub(crate) original: &'j BTreeMap<RecordType, Weights>,
    pub(crate) written: &'j BTreeMap<RecordType, Weights>,
    pub(crate) lone: &'j BTreeMap<RecordType, LoneWeights>,
}

impl RecordedSide<'_> {
    /// The weight of its record of this type before the migration's first change; none if it had no such record.
    pub(crate) fn original(&self, record_type: &RecordType) -> Option<u8> {
        let of_pair = self.original.get(record_type);
        of_pair
            .map(|weights| weights.of(self.side))
            .or_else(|| self.lone(record_type).map(|lone| lone.original))
    }

    /// The weight that the migration last wrote to its record of this type; none if it has no such record.
    pub(crate) fn written(&self, record_type: &RecordType) -> Option<u8> {
        let of_pair = self.written.get(record_type);
        of_pair
            .map(|weights| weights.of(self.side))
            .or_else(|| self.lone(record_type).map(|lone| lone.written))
    }

    fn lone(&self, record_type: &RecordType) -> Option<&LoneWeights> {
        let lone = self.lone.get(record_type);
        lone.filter(|lone| lone.side == self.side)
    }
}
