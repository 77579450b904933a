//! Completing a migration: deleting all of its journals, or none.

use super::allowance::Allowance;
use super::apply::apply;
use super::name_change::NameChange;
use super::release::delete_journal;
use crate::Error;
use crate::dns::{HostedZoneId, Percent};
use crate::journal::{Journal, JournalEntry, Journals, PairedName, Writer};
use crate::route53::Route53;

/// The changes that delete the journals of a migration. They change no weights.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Closing {
    /// Marks the journal of the first name as completed. None if a journal is marked already, or none
    /// is left.
    pub mark: Option<NameChange>,
    /// Delete the journals, the marked one last. They are applied after the mark.
    pub deletions: Vec<NameChange>,
}

/// What one call has deleted of the journals of a migration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Closed {
    /// How many journals were deleted.
    pub deleted: usize,
    /// How many journals are left to the next call.
    pub remaining: usize,
}

impl Closing {
    /// Writes the mark, then as many of the deletions as are allowed.
    ///
    /// # Errors
    /// If the mark was not written, or none of the deletions.
    pub async fn apply(
        self,
        route53: &impl Route53,
        id: &HostedZoneId,
        comment: &str,
        allowance: &mut Allowance,
    ) -> Result<Closed, Error> {
        let journals = self.deletions.len();
        let mut deleted = 0;
        for mut changes in [self.mark.into_iter().collect(), self.deletions] {
            let allowed = allowance.take(&mut changes);
            let applied = apply(route53, id, comment, allowed).await.or_error()?;
            deleted = applied.names.len();
        }
        Ok(Closed {
            deleted,
            remaining: journals - deleted,
        })
    }
}

/// The journals of a migration of `names`, which have all reached its last step.
///
/// If no journal is left, an earlier attempt has deleted them, or another writer has: the two can't be
/// told apart, and nothing is left to do after either, unless a name is leased.
///
/// # Errors
/// [`Error::Drift`] if a journal is missing, unless the journals are being deleted already, or is from before
/// the last step; the errors of [`Writer::own_or_adopted`].
pub fn journals_to_delete<'n, 'z>(
    names: &'n [PairedName<'z>],
    writer: &Writer<'_>,
) -> Result<Vec<&'n JournalEntry<'z>>, Error> {
    let mut entries = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for paired in names {
        let Some(entry) = writer.own_or_adopted(paired)? else {
            missing.push(paired);
            continue;
        };
        writer.reject_older(entry, Percent::ALL)?;
        entries.push(entry);
    }
    let is_marked = entries.iter().any(|entry| entry.journal.completed);
    let is_unexpected =
        |paired: &&PairedName<'_>| paired.is_leased() || (!is_marked && !entries.is_empty());
    match missing.into_iter().find(is_unexpected) {
        Some(paired) => Err(writer.journal_is_gone(paired.name)),
        None => Ok(entries),
    }
}

/// The changes that delete the journals of a migration, given all of its existing journals.
///
/// The journals of many names don't fit into one batch, and an execution that stops between two batches
/// must not be rolled back for a part of its names. So the change of one journal, the mark, decides:
/// before it a rollback restores all names, after it a rollback deletes the other journals too. A
/// rollback at the same time begins with the same name, so Route 53 accepts only one of the two.
pub fn complete(journals: &Journals<'_>, mut entries: Vec<&JournalEntry<'_>>) -> Closing {
    let mut closing = Closing::default();
    let mut marked = None;
    if let Some(first) = entries.first()
        && !entries.iter().any(|entry| entry.journal.completed)
    {
        let journal = Journal {
            completed: true,
            ..first.journal.next()
        };
        let record_set = journals.record_set(&first.name, &journal);
        let mut mark = NameChange::new(&first.name);
        mark.replace_journal(Some(first.record_set), Some(record_set.clone()));
        closing.mark = Some(mark);
        let entry = JournalEntry {
            name: first.name.clone(),
            record_set: &record_set,
            journal,
        };
        marked = Some(delete_journal(journals.zone, &entry));
        entries.remove(0);
    }
    entries.sort_by_key(|entry| entry.journal.completed);
    closing.deletions = entries
        .into_iter()
        .map(|entry| delete_journal(journals.zone, entry))
        .chain(marked)
        .collect();
    closing
}
