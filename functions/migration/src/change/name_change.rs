//! The change of one name, and batches of changes within Route 53's limits.

use std::collections::BTreeSet;

use crate::dns::{RecordName, RecordSet, RecordType, Zone};

/// The maximum number of `ResourceRecord` elements in one batch.
///
/// Source: Route 53 Developer Guide, "Quotas", `ChangeResourceRecordSets`.
pub const LARGEST_BATCH_RECORDS: usize = 1_000;
/// The maximum number of characters in all `Value` elements of one batch. Source: as above.
pub const LARGEST_BATCH_CHARACTERS: usize = 32_000;

/// The compare-and-swap of one name: all types of both sides, the registry TXT records and the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameChange {
    pub name: RecordName,
    /// The record sets as they were read.
    pub deletes: Vec<RecordSet>,
    /// The record sets that replace them.
    pub creates: Vec<RecordSet>,
}

impl NameChange {
    pub(crate) fn new(name: &RecordName) -> Self {
        Self {
            name: name.clone(),
            deletes: Vec::new(),
            creates: Vec::new(),
        }
    }

    /// Whether `zone` shows that this change was applied: all that it creates exists, and nothing of what
    /// it deletes.
    pub fn is_applied_in(&self, zone: &Zone) -> bool {
        let exists = |record_set: &RecordSet| zone.at(&record_set.name).contains(record_set);
        self.creates.iter().all(exists)
            && !self
                .deletes
                .iter()
                .any(|record_set| exists(record_set) && !self.creates.contains(record_set))
    }

    /// Whether `zone` still has everything as it was when this change was computed.
    pub fn is_current_in(&self, zone: &Zone) -> bool {
        let new_journal_is_missing = self.creates.iter().all(|created| {
            created.record_type != RecordType::Txt
                || self
                    .deletes
                    .iter()
                    .any(|deleted| deleted.name == created.name)
                || zone.at(&created.name).is_empty()
        });
        new_journal_is_missing
            && self
                .deletes
                .iter()
                .all(|record_set| zone.at(&record_set.name).contains(record_set))
    }

    /// The names of all record sets in this change.
    pub fn record_names(&self) -> impl Iterator<Item = &RecordName> {
        self.record_sets().map(|record_set| &record_set.name)
    }

    /// The targets of the aliases that it creates.
    pub(crate) fn alias_targets(&self) -> BTreeSet<&str> {
        self.creates
            .iter()
            .filter_map(RecordSet::alias_target)
            .collect()
    }

    fn record_sets(&self) -> impl Iterator<Item = &RecordSet> {
        self.deletes.iter().chain(&self.creates)
    }

    /// The number of `ResourceRecord` elements. An alias counts as one, because Route 53 counts aliases
    /// towards the limit too.
    fn records(&self) -> usize {
        self.record_sets()
            .map(|set| set.values().len().max(1))
            .sum()
    }

    fn characters(&self) -> usize {
        self.record_sets()
            .flat_map(RecordSet::values)
            .map(|value| value.chars().count())
            .sum()
    }

    /// The number of its DELETEs and CREATEs.
    pub fn changes(&self) -> usize {
        self.record_sets().count()
    }

    /// Whether this change fits into one batch.
    pub fn fits_a_batch(&self) -> bool {
        self.records() <= LARGEST_BATCH_RECORDS && self.characters() <= LARGEST_BATCH_CHARACTERS
    }

    /// Replaces a record set if the new one differs, or `always`. The pages of a zone are no snapshot, so
    /// only a record set that is part of the change is known to be as it was read. Without it, a rollback
    /// could delete a journal without restoring weights that were written after its read.
    pub(crate) fn replace_with(&mut self, read: &RecordSet, new: RecordSet, always: bool) {
        if always || new != *read {
            self.deletes.push(read.clone());
            self.creates.push(new);
        }
    }

    pub(crate) fn replace_journal(&mut self, read: Option<&RecordSet>, new: Option<RecordSet>) {
        self.deletes.extend(read.cloned());
        self.creates.extend(new);
    }
}

/// The changes in batches within Route 53's limits. The change of a name is never split.
pub fn batches(changes: Vec<NameChange>) -> Vec<Vec<NameChange>> {
    let mut batches: Vec<Vec<NameChange>> = Vec::new();
    let (mut records, mut characters) = (0, 0);
    for change in changes {
        records += change.records();
        characters += change.characters();
        match batches.last_mut() {
            Some(batch)
                if records <= LARGEST_BATCH_RECORDS && characters <= LARGEST_BATCH_CHARACTERS =>
            {
                batch.push(change);
            }
            _ => {
                (records, characters) = (change.records(), change.characters());
                batches.push(vec![change]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dns::{RecordData, Routing};

    /// A change that deletes and creates a TXT record with so many values of so many characters.
    fn change(values: usize, characters: usize) -> NameChange {
        let name: RecordName = "app.example.com".parse().unwrap();
        let mut record_set = RecordSet::text(name.clone(), 60, String::new());
        record_set.data = RecordData::Values {
            ttl_seconds: 60,
            values: vec!["x".repeat(characters); values],
        };
        let mut change = NameChange::new(&name);
        change.replace_with(&record_set, record_set.clone(), true);
        change
    }

    #[test]
    fn a_change_fits_a_batch_within_both_limits() {
        for (values, characters, fits) in [
            (500, 32, true),
            (501, 1, false),
            (1, 16_000, true),
            (1, 16_001, false),
        ] {
            let change = change(values, characters);
            assert_eq!(change.fits_a_batch(), fits, "{values} of {characters}");
        }
    }

    /// 10 values in 20 records a name: 50 names have 1,000 records. 800 characters in 1,600 a name: 20 names
    /// have 32,000 characters.
    #[test]
    fn batches_are_as_large_as_both_limits_permit() {
        for (values, characters, sizes) in [
            (10, 1, vec![50, 50, 20]),
            (1, 800, vec![20, 20, 20, 20, 20, 20]),
        ] {
            let batches = batches(vec![change(values, characters); 120]);
            let found: Vec<_> = batches.iter().map(Vec::len).collect();
            assert_eq!(found, sizes, "{values} of {characters}");
        }
    }

    fn cname(weight: u8) -> RecordSet {
        RecordSet {
            record_type: RecordType::Cname,
            routing: Routing::Weighted {
                set_identifier: "blue".parse().unwrap(),
                weight,
            },
            ..RecordSet::text("app.example.com".parse().unwrap(), 60, String::new())
        }
    }

    fn journal(sequence: &str) -> RecordSet {
        let name = "_cutover.app.example.com".parse().unwrap();
        RecordSet::text(name, 60, sequence.to_owned())
    }

    fn zone(record_sets: &[RecordSet]) -> Zone {
        let mut zone = Zone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            record_sets: BTreeMap::new(),
        };
        for record_set in record_sets {
            let at_name = zone.record_sets.entry(record_set.name.clone());
            at_name.or_default().push(record_set.clone());
        }
        zone
    }

    /// Each row has a change, what the zone has, whether the change is current in it, and whether it is applied.
    #[test]
    fn a_zone_shows_whether_a_change_can_still_be_made_and_whether_it_was_made() {
        let registry =
            RecordSet::text("cname-app.example.com".parse().unwrap(), 300, String::new());
        let other = journal("of another migration");

        // The registry TXT stays, and is a part of the change.
        let mut shift = NameChange::new(&"app.example.com".parse().unwrap());
        shift.replace_with(&cname(100), cname(50), false);
        shift.replace_with(&registry, registry.clone(), true);
        let mut first_shift = shift.clone();
        first_shift.replace_journal(None, Some(journal("1")));
        let mut later_shift = shift.clone();
        later_shift.replace_journal(Some(&journal("1")), Some(journal("2")));
        let mut mark = NameChange::new(&shift.name);
        mark.replace_journal(Some(&journal("1")), Some(journal("completed")));

        let before = || vec![cname(100), registry.clone()];
        let after = || vec![cname(50), registry.clone()];
        let with = |mut record_sets: Vec<RecordSet>, another: &RecordSet| {
            record_sets.push(another.clone());
            record_sets
        };
        let table = [
            (&first_shift, before(), true, false),
            (&first_shift, with(before(), &other), false, false),
            (&first_shift, with(after(), &journal("1")), false, true),
            (&first_shift, with(before(), &journal("1")), false, false),
            (&first_shift, after(), false, false),
            (&first_shift, vec![cname(50), journal("1")], false, false),
            (
                &first_shift,
                with(with(after(), &cname(100)), &journal("1")),
                false,
                false,
            ),
            (&later_shift, with(before(), &journal("1")), true, false),
            (&later_shift, before(), false, false),
            (&later_shift, vec![cname(100), journal("1")], false, false),
            (&later_shift, with(before(), &other), false, false),
            (&later_shift, with(after(), &journal("2")), false, true),
            (&mark, with(after(), &journal("1")), true, false),
            (&mark, with(after(), &journal("completed")), false, true),
            (&mark, with(after(), &other), false, false),
            (&mark, after(), false, false),
        ];
        for (change, record_sets, is_current, is_applied) in table {
            let zone = zone(&record_sets);
            assert_eq!(
                change.is_current_in(&zone),
                is_current,
                "{change:#?} {zone:#?}"
            );
            assert_eq!(
                change.is_applied_in(&zone),
                is_applied,
                "{change:#?} {zone:#?}"
            );
        }
    }
}
