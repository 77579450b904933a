//! A journal as it was read from the zone.

use super::record::Journal;
use crate::dns::{RecordName, RecordSet, RecordType, Routing, Zone};
use crate::error::UnreadableJournal;

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
/// [`UnreadableJournal`] if a TXT record exists at the journal's name and is no readable journal.
pub fn journal_at<'z>(
    zone: &'z Zone,
    name: &RecordName,
) -> Result<Option<JournalEntry<'z>>, UnreadableJournal> {
    let mut texts = zone
        .at(&name.journal())
        .iter()
        .filter(|record_set| record_set.record_type == RecordType::Txt);
    let Some(record_set) = texts.next() else {
        return Ok(None);
    };
    let journal = if texts.next().is_none() && record_set.routing == Routing::Simple {
        Journal::parse(record_set)
    } else {
        Err("expected one TXT record with simple routing, found another routing policy".to_owned())
    };
    let journal = journal.map_err(|problem| UnreadableJournal {
        record: record_set.name.clone(),
        problem,
    })?;
    Ok(Some(JournalEntry {
        name: name.clone(),
        record_set,
        journal,
    }))
}
