//! The content of a journal.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::ExecutionIdentity;
use crate::dns::{
    LoneWeights, Percent, RecordType, SetIdentifier, SetIdentifierTemplate, Side, Sides, Weights,
};
use crate::external_dns::{RecordedSide, SavedOwners};

/// What a migration has done to one name, and all that a rollback of it needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Journal {
    /// The execution that owns the name now.
    pub execution: ExecutionIdentity,
    /// How often the execution had been redriven when it made its plan.
    pub redrives: u32,
    /// The executions whose journals the execution adopts, at any of its names. A rollback of it undoes
    /// them too.
    pub adopted: BTreeSet<ExecutionIdentity>,
    /// The side that had the traffic when the migration began.
    pub from: SetIdentifier,
    /// The side that gets the traffic.
    pub to: SetIdentifier,
    /// What the migration's input has for them, which may be templates.
    pub templates: Sides<SetIdentifierTemplate>,
    /// Every change of the name raises it by one, so that no two journals of a name are equal.
    pub sequence: u32,
    /// The step that the name has reached.
    pub percent: Percent,
    /// The weights from before the first change, which a rollback restores.
    pub original: BTreeMap<RecordType, Weights>,
    /// The weights that were last written. Other live weights are drift.
    pub written: BTreeMap<RecordType, Weights>,
    /// The weights of records that are alone in their type, by type.
    pub lone: BTreeMap<RecordType, LoneWeights>,
    /// The names and original owners of the leased registry TXT records.
    pub saved_owners: Sides<SavedOwners>,
    /// Whether the migration has completed and its journals are being deleted. Only the journal of one
    /// name has this mark, see `change::complete`.
    pub completed: bool,
}

impl Journal {
    /// What the journal records of each side, `from` first.
    pub(crate) fn sides(&self) -> [RecordedSide<'_>; 2] {
        let from = RecordedSide {
            side: Side::From,
            identifier: &self.from,
            saved_owners: &self.saved_owners.from,
            original: &self.original,
            written: &self.written,
            lone: &self.lone,
        };
        let to = RecordedSide {
            side: Side::To,
            identifier: &self.to,
            saved_owners: &self.saved_owners.to,
            ..from
        };
        [from, to]
    }

    /// Whether it was written by a migration between the same sides of its name, in the same direction.
    pub(crate) fn has_identifiers(&self, identifiers: &Sides<SetIdentifier>) -> bool {
        (&self.from, &self.to) == (&identifiers.from, &identifiers.to)
    }

    /// The record of a rollback of the execution as it was when it wrote this journal, see
    /// [`ExecutionIdentity::rollback_record`]. That rollback has deleted the journal, so if it is recorded,
    /// another writer has put the journal back.
    pub fn rollback_record(&self) -> String {
        self.execution.rollback_record(self.redrives)
    }

    /// The types of its records: those that both sides have, and those that one side alone has.
    pub fn record_types(&self) -> impl Iterator<Item = &RecordType> {
        self.written.keys().chain(self.lone.keys())
    }

    /// The weight of a side's record of this type from before the first change; none if there was none.
    pub fn original_weight(&self, record_type: &RecordType, side: Side) -> Option<u8> {
        let mut sides = self.sides().into_iter();
        sides.find(|it| it.side == side)?.original(record_type)
    }

    /// Whether the name's records are leased from ExternalDNS.
    pub fn is_leased(&self) -> bool {
        self.saved_owners
            .iter()
            .any(|saved| !saved.owners.is_empty())
    }

    /// The same journal with the sequence of the next change.
    pub(crate) fn next(&self) -> Self {
        Self {
            sequence: self.sequence.saturating_add(1),
            ..self.clone()
        }
    }
}
