//! The change that restores the original weights of a name.

use std::collections::BTreeSet;

use super::name_change::NameChange;
use crate::Error;
use crate::dns::{RecordName, RecordSet, RecordType, SetIdentifier, Zone};
use crate::error::AllZeroWeights;
use crate::external_dns::restored_texts;
use crate::journal::{Journal, JournalEntry};

/// The rollback of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restoration {
    pub change: NameChange,
    /// What is written if Route 53 refuses to create the records of `to` again, because their load balancer is
    /// gone: the same change, but it deletes these records and their registry TXT records. None if that would
    /// leave the name without traffic.
    ///
    /// If the records of `to` stayed, a part of the traffic would go to nothing as long as they exist. Deleted,
    /// all of it goes to `from`; and an `ExternalDNS` that still wants them creates them anew, as its own.
    pub without_to: Option<NameChange>,
    /// The targets of the aliases of `from`. If one of them is gone, Route 53 refuses both changes.
    pub from_targets: BTreeSet<String>,
    /// One sentence for each difference between the zone and the journal, for an operator.
    pub found: Vec<String>,
}

/// The change that restores the original weights in a journal and deletes the journal. Everything else
/// that is live stays.
///
/// # Errors
/// [`Error::AllZeroWeights`] if the change would leave a type with weights of 0 only.
pub fn restore(zone: &Zone, entry: &JournalEntry<'_>) -> Result<Restoration, Error> {
    let JournalEntry {
        name,
        record_set: read_journal,
        journal,
    } = entry;
    let mut found = Vec::new();
    let mut restored = Vec::new();
    for record_type in journal.record_types() {
        for side in journal.sides() {
            let identifier = side.identifier;
            let Some(original) = side.original(record_type) else {
                continue;
            };
            let Some((record_set, weight)) = zone.weighted(name, record_type, identifier) else {
                found.push(format!(
                    "{name}: the {record_type} record of {identifier} is gone"
                ));
                continue;
            };
            let written = side.written(record_type);
            if Some(weight) != written {
                found.push(format!(
                    "{name}: the {record_type} record of {identifier} had weight {weight} instead of {}",
                    written.map_or_else(|| "none".to_owned(), |weight| weight.to_string())
                ));
            }
            restored.push((record_set, record_set.with_weight(original)));
        }
    }
    for side in journal.sides() {
        restored.extend(restored_texts(zone, name, &side, &mut found));
    }
    let mut change = NameChange::new(name);
    // A record that has its original weight already is part of the change too, so that the batch fails
    // if another writer changed it since it was read.
    for (read, new) in restored {
        change.replace_with(read, new, true);
    }
    // A lone record answers whatever its weight is.
    for record_type in journal.original.keys() {
        reject_all_zero(zone, name, record_type, &change, journal)?;
    }
    change.replace_journal(Some(read_journal), None);
    let without_to = without_to(zone, journal, &change);
    let of_from = created_on(&change, &journal.from);
    let from_targets = of_from
        .filter_map(RecordSet::alias_target)
        .map(str::to_owned);
    Ok(Restoration {
        without_to,
        from_targets: from_targets.collect(),
        change,
        found,
    })
}

/// The restoration without the records of `to`; see [`Restoration::without_to`]. Only if all of them are
/// aliases, and `from` has traffic in each type.
fn without_to(zone: &Zone, journal: &Journal, change: &NameChange) -> Option<NameChange> {
    let is_of_to = |record_set: &RecordSet| is_on(record_set, &journal.to);
    let mut live = zone
        .at(&change.name)
        .iter()
        .filter(|record_set| record_set.record_type.moves() && is_of_to(record_set))
        .peekable();
    live.peek()?;
    if !live.all(|read| read.alias_target().is_some() && change.deletes.contains(read)) {
        return None;
    }
    let has_traffic = |record_type: &RecordType| {
        created_on(change, &journal.from).any(|created| {
            let weight = created.weighted().map_or(0, |(_, weight)| weight);
            created.record_type == *record_type && weight > 0
        })
    };
    let kept = change.creates.iter().filter(|created| !is_of_to(created));
    journal
        .original
        .keys()
        .all(has_traffic)
        .then(|| NameChange {
            name: change.name.clone(),
            deletes: change.deletes.clone(),
            creates: kept.cloned().collect(),
        })
}

/// The record sets of a side that a change creates.
fn created_on<'c>(
    change: &'c NameChange,
    side: &SetIdentifier,
) -> impl Iterator<Item = &'c RecordSet> {
    let created = change.creates.iter();
    created.filter(move |record_set| is_on(record_set, side))
}

fn is_on(record_set: &RecordSet, side: &SetIdentifier) -> bool {
    let identifier = record_set.weighted().map(|(identifier, _)| identifier);
    identifier == Some(side)
}

/// Refuses a change that would leave a type with weights of 0 only, with which Route 53 answers with all
/// records equally.
fn reject_all_zero(
    zone: &Zone,
    name: &RecordName,
    record_type: &RecordType,
    change: &NameChange,
    journal: &Journal,
) -> Result<(), Error> {
    let mut weights = zone
        .at(name)
        .iter()
        .filter(|record_set| record_set.record_type == *record_type)
        .map(|read| {
            let position = change.deletes.iter().position(|deleted| deleted == read);
            let written = position
                .and_then(|position| change.creates.get(position))
                .unwrap_or(read);
            written.weighted().map_or(0, |(_, weight)| weight)
        })
        .peekable();
    if weights.peek().is_some() && weights.all(|weight| weight == 0) {
        let (from, to) = (journal.from.clone(), journal.to.clone());
        let (gone, left) = match zone.weighted(name, record_type, &from) {
            None => (from, to),
            Some(_) => (to, from),
        };
        return Err(Error::from(AllZeroWeights::WouldBeRestored {
            name: name.clone(),
            record_type: record_type.clone(),
            gone,
            left,
        }));
    }
    Ok(())
}
