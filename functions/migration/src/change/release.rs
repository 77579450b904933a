//! The changes of a release: names are given back to ExternalDNS with the weights that the migration
//! reached, are leased again if one of them snaps back, and their journals are deleted at the end.
//!
//! A name snaps back if it is given back while its annotation still has the old weight: ExternalDNS
//! writes that weight within its interval. The journals exist until all names are released, because
//! they have the reached weights and the original owners.

use std::collections::BTreeMap;

use super::name_change::NameChange;
use crate::Error;
use crate::dns::{RecordSet, RecordType, Zone};
use crate::error::{Drift, SnappedBack};
use crate::external_dns::{Owner, RecordedSide, RegistryText, given_back, leased, registry_texts};
use crate::journal::{JournalEntry, Journals};

/// One side of a completed name.
struct CompletedSide<'z, 'j> {
    recorded: RecordedSide<'j>,
    /// Its records, with the weights that the migration reached.
    records: Vec<(&'z RecordSet, u8)>,
    /// Its registry TXT records, with the weights of their records.
    texts: Vec<(RegistryText<'z>, u8)>,
    /// The types with a weight above 0 whose record is gone.
    gone: Vec<&'j RecordType>,
}

fn completed_sides<'z, 'j>(
    zone: &'z Zone,
    entry: &'j JournalEntry<'_>,
) -> [CompletedSide<'z, 'j>; 2] {
    let JournalEntry { name, journal, .. } = entry;
    let sides = journal.sides();
    let is_gone = |side: &RecordedSide<'_>, record_type: &RecordType| {
        side.written(record_type).is_some_and(|reached| reached > 0)
            && zone.weighted(name, record_type, side.identifier).is_none()
    };
    sides.map(|side| {
        // If the record of either side is gone, the reached weights no longer hold for the type, and
        // the live weight stays.
        let reached = |record_type: &RecordType, live: u8| {
            let has_gone = sides.iter().any(|side| is_gone(side, record_type));
            side.written(record_type)
                .filter(|_| !has_gone)
                .unwrap_or(live)
        };
        let records = journal.record_types().filter_map(|record_type| {
            let (read, live) = zone.weighted(name, record_type, side.identifier)?;
            Some((read, reached(record_type, live)))
        });
        let texts = registry_texts(zone, name, side.identifier, &side.saved_owners.names);
        let texts = texts.into_iter().map(|text| {
            let record = text.record_type.as_ref().and_then(|record_type| {
                let (_, live) = zone.weighted(name, record_type, side.identifier)?;
                Some(reached(record_type, live))
            });
            let weight = record.unwrap_or_else(|| text.weight());
            (text, weight)
        });
        CompletedSide {
            recorded: side,
            records: records.collect(),
            texts: texts.collect(),
            gone: journal
                .record_types()
                .filter(|record_type| is_gone(&side, record_type))
                .collect(),
        }
    })
}

impl CompletedSide<'_, '_> {
    /// Whether an ExternalDNS owns its records again.
    fn is_given_back(&self) -> bool {
        self.texts
            .iter()
            .any(|(text, _)| text.record_type.is_some() && text.external_dns().is_some())
            && !self.recorded.saved_owners.owners.is_empty()
    }

    /// The live and the reached weight of the first record in which they differ.
    fn other_weight(&self) -> Option<(u8, u8)> {
        self.records.iter().find_map(|(read, reached)| {
            let (_, live) = read.weighted()?;
            (live != *reached).then_some((live, *reached))
        })
    }

    fn reject_other_weight(&self, entry: &JournalEntry<'_>) -> Result<(), Error> {
        let Some((found, reached)) = self.other_weight() else {
            return Ok(());
        };
        let name = entry.name.clone();
        let side = self.recorded.identifier.clone();
        Err(if self.is_given_back() {
            Error::from(SnappedBack {
                name,
                side,
                reached,
                found,
                owners: self.describe_owners(),
            })
        } else {
            Error::from(Drift::LeasedWeight {
                name,
                side,
                found,
                written: reached,
                execution: entry.journal.execution.name().to_owned(),
            })
        })
    }

    fn describe_owners(&self) -> Vec<String> {
        let mut owners: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for (text, _) in &self.texts {
            if let Owner::ExternalDns(owner) = &text.owner {
                owners.insert(owner, text.resource());
            }
        }
        owners
            .into_iter()
            .map(|(owner, resource)| match resource {
                Some(resource) => format!("{resource}, ExternalDNS {owner}"),
                None => format!("ExternalDNS {owner}"),
            })
            .collect()
    }
}

/// The change that gives a name back to its original owners with the reached weights; none if that is
/// done, or the name was not leased.
///
/// # Errors
/// [`Error::SnappedBack`] if ExternalDNS changed a weight after the name was given back;
/// [`Error::Drift`] if another writer changed a weight while the name was leased, or a record with
/// traffic is gone.
pub fn give_back(
    journals: &Journals<'_>,
    entry: &JournalEntry<'_>,
) -> Result<Option<NameChange>, Error> {
    let zone = journals.zone;
    let JournalEntry {
        name,
        record_set,
        journal,
    } = entry;
    if !journal.is_leased() {
        return Ok(None);
    }
    let sides = completed_sides(zone, entry);
    for side in &sides {
        if let [record_type, ..] = side.gone.as_slice() {
            return Err(Error::from(Drift::RecordGone {
                name: name.clone(),
                record_type: (*record_type).clone(),
                side: side.recorded.identifier.clone(),
                zone_id: zone.id.clone(),
            }));
        }
    }
    for side in &sides {
        side.reject_other_weight(entry)?;
    }
    let mut change = NameChange::new(name);
    let mut is_leased = false;
    for side in &sides {
        for (read, weight) in &side.records {
            change.replace_with(read, read.with_weight(*weight), true);
        }
        for (text, weight) in &side.texts {
            let new = given_back(text, &side.recorded.saved_owners.owners, *weight);
            is_leased |= new.is_some();
            let new = new.unwrap_or_else(|| text.read.with_weight(*weight));
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(
        Some(record_set),
        Some(journals.record_set(name, &journal.next())),
    );
    Ok(is_leased.then_some(change))
}

/// The change that leases a name again with the reached weights, whatever ExternalDNS has written since
/// the name was given back; none if the name is still leased.
pub fn reacquire_lease(journals: &Journals<'_>, entry: &JournalEntry<'_>) -> Option<NameChange> {
    let zone = journals.zone;
    let JournalEntry {
        name,
        record_set,
        journal,
    } = entry;
    let sides = completed_sides(zone, entry);
    if !sides.iter().any(CompletedSide::is_given_back) {
        return None;
    }
    let mut next = journal.next();
    let mut change = NameChange::new(name);
    let [from, to] = &sides;
    // A side that no ExternalDNS owns was not given back; other weights there are another writer's and
    // stay.
    for (side, owners) in [
        (from, &mut next.saved_owners.from.owners),
        (to, &mut next.saved_owners.to.owners),
    ]
    .into_iter()
    .filter(|(side, _)| side.is_given_back())
    {
        for (read, weight) in &side.records {
            change.replace_with(read, read.with_weight(*weight), true);
        }
        for (text, weight) in &side.texts {
            if text.record_type.is_none() {
                continue;
            }
            if let Owner::ExternalDns(owner) = &text.owner {
                // An ExternalDNS that was upgraded in the meantime has created TXT records with a new naming.
                owners.insert(text.naming, owner.clone());
            }
            let new = leased(text, owners, &journal.execution.to_string(), *weight);
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(record_set), Some(journals.record_set(name, &next)));
    Some(change)
}

/// The change that deletes a journal, and gives leased TXT records back to their original owners. It
/// changes no weights.
pub fn delete_journal(zone: &Zone, entry: &JournalEntry<'_>) -> NameChange {
    let JournalEntry {
        name,
        record_set,
        journal,
    } = entry;
    let mut change = NameChange::new(name);
    for side in journal
        .sides()
        .iter()
        .filter(|side| !side.saved_owners.owners.is_empty())
    {
        for text in registry_texts(zone, name, side.identifier, &side.saved_owners.names) {
            let record_type = text.record_type.as_ref();
            let record = record_type
                .and_then(|record_type| zone.weighted(name, record_type, side.identifier));
            let weight = record.map_or_else(|| text.weight(), |(_, weight)| weight);
            let new = given_back(&text, &side.saved_owners.owners, weight);
            let new = new.unwrap_or_else(|| text.read.clone());
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(record_set), None);
    change
}
