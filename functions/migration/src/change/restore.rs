//! The change that restores the original weights of a name.

use super::name_change::NameChange;
use crate::Error;
use crate::dns::{RecordName, RecordType, Zone};
use crate::error::AllZeroWeights;
use crate::external_dns::restored_texts;
use crate::journal::{Journal, JournalEntry};

/// The rollback of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restoration {
    pub change: NameChange,
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
    for record_type in journal.original.keys() {
        for side in journal.sides() {
            let (identifier, original) = (side.identifier, side.original(record_type));
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
            let original = original.unwrap_or(weight);
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
    for record_type in journal.original.keys() {
        reject_all_zero(zone, name, record_type, &change, journal)?;
    }
    change.replace_journal(Some(read_journal), None);
    Ok(Restoration { change, found })
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
        return Err(Error::from(AllZeroWeights::WouldBeRestored {
            name: name.clone(),
            record_type: record_type.clone(),
            from: journal.from.clone(),
            to: journal.to.clone(),
        }));
    }
    Ok(())
}
