//! Reading the journals of a zone, and signing those that are written to it.

use super::format;
use super::record::Journal;
use super::signature::SigningKey;
use crate::dns::{RecordName, RecordSet, RecordType, Routing, Zone};
use crate::error::UntrustedJournal;

/// The journals of a zone as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Journals<'z> {
    pub zone: &'z Zone,
    key: &'z SigningKey,
}

/// The journal of one name, with the record set as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalEntry<'z> {
    /// The name that the journal belongs to.
    pub name: RecordName,
    pub record_set: &'z RecordSet,
    pub journal: Journal,
}

impl<'z> Journals<'z> {
    /// The journals that `key` signs.
    pub fn new(zone: &'z Zone, key: &'z SigningKey) -> Self {
        Self { zone, key }
    }

    /// The journal of `name`, if there is one.
    ///
    /// # Errors
    /// [`UntrustedJournal`] if a TXT record exists at the journal's name and is no journal, or is not signed
    /// with the key for this name of this zone.
    pub fn at(&self, name: &RecordName) -> Result<Option<JournalEntry<'z>>, UntrustedJournal> {
        self.read(name, |record_set| {
            format::parse(record_set, &self.zone.id, self.key)
        })
    }

    /// The journal of `name` whoever has signed it, for a rollback that trusts it because a person says so.
    ///
    /// # Errors
    /// [`UntrustedJournal`] if the TXT record at the journal's name is no journal.
    pub fn unverified_at(
        &self,
        name: &RecordName,
    ) -> Result<Option<JournalEntry<'z>>, UntrustedJournal> {
        self.read(name, Journal::parse_unverified)
    }

    /// The signed record set with the journal of `name`.
    pub fn record_set(&self, name: &RecordName, journal: &Journal) -> RecordSet {
        format::record_set(journal, name, &self.zone.id, self.key)
    }

    fn read(
        &self,
        name: &RecordName,
        parse: impl FnOnce(&RecordSet) -> Result<Journal, String>,
    ) -> Result<Option<JournalEntry<'z>>, UntrustedJournal> {
        let mut texts = self
            .zone
            .at(&name.journal())
            .iter()
            .filter(|record_set| record_set.record_type == RecordType::Txt);
        let Some(record_set) = texts.next() else {
            return Ok(None);
        };
        let journal = if texts.next().is_none() && record_set.routing == Routing::Simple {
            parse(record_set)
        } else {
            Err(
                "expected one TXT record with simple routing, found another routing policy"
                    .to_owned(),
            )
        };
        let journal = journal.map_err(|problem| UntrustedJournal {
            record: record_set.name.clone(),
            problem,
        })?;
        Ok(Some(JournalEntry {
            name: name.clone(),
            record_set,
            journal,
        }))
    }
}

impl JournalEntry<'_> {
    /// Whether the live weights are those that were last written. A record that is gone had no traffic if its
    /// weight was 0.
    pub fn has_written_weights(&self, zone: &Zone) -> bool {
        self.journal.sides().iter().all(|side| {
            self.journal.record_types().all(|record_type| {
                let live = zone.weighted(&self.name, record_type, side.identifier);
                let live = live.map_or(0, |(_, weight)| weight);
                side.written(record_type)
                    .is_none_or(|written| written == live)
            })
        })
    }
}
