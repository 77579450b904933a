//! A journal as it was read from the zone.

use super::record::Journal;
use crate::Error;
use crate::dns::{RecordName, RecordSet, RecordType, Zone};
use crate::error::Busy;

/// The journal of one name, with the record set as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalEntry<'z> {
    /// The name that the journal belongs to.
    pub name: RecordName,
    pub record_set: &'z RecordSet,
    pub journal: Journal,
}

/// The journal of `name`, if there is one.
///
/// # Errors
/// [`Busy`] if a TXT record exists at the journal's name and is no readable journal.
pub fn journal_at<'z>(
    zone: &'z Zone,
    name: &RecordName,
) -> Result<Option<JournalEntry<'z>>, Error> {
    let mut record_sets = zone.at(&name.journal()).iter();
    let Some(record_set) = record_sets.find(|record_set| record_set.record_type == RecordType::Txt)
    else {
        return Ok(None);
    };
    let journal = Journal::parse(record_set).map_err(|problem| Busy::UnreadableJournal {
        record: record_set.name.clone(),
        problem,
    })?;
    Ok(Some(JournalEntry {
        name: name.clone(),
        record_set,
        journal,
    }))
}
