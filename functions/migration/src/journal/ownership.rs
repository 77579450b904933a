//! Whether an execution may change a name: it may if the name has no journal, its own journal, or one
//! that it may adopt. Any other journal is [`Busy`] before the execution writes, and [`Drift`] afterwards,
//! because then another writer has replaced, edited or deleted it.

use std::collections::BTreeSet;

use super::entry::JournalEntry;
use super::paired_name::PairedName;
use super::record::Journal;
use crate::Error;
use crate::dns::{RecordName, SetIdentifier};
use crate::error::{Busy, Drift, FoundWeights, JournalEdit, UnreadableJournal};
use crate::external_dns::{ExternalDns, LostLease, leased_without_owner, lost_lease};

/// The execution that writes, and what decides which journals it may adopt.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub execution: &'a str,
    pub from: &'a SetIdentifier,
    pub to: &'a SetIdentifier,
    pub ended: &'a EndedExecutions,
    pub external_dns: &'a ExternalDns,
}

/// The executions that have ended, of those with journals at the names of a migration. An execution in
/// neither set is running, or unknown to this stack.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndedExecutions {
    /// Executions that failed, were aborted or timed out. A migration in the same direction adopts their
    /// journals.
    pub unsuccessful: BTreeSet<String>,
    /// Executions that have completed and still lease their names.
    pub unreleased: BTreeSet<String>,
}

impl Writer<'_> {
    /// Before the migration writes: the journal of the name, if it is the writer's own or may be adopted;
    /// none if the name has no journal.
    ///
    /// # Errors
    /// [`Error::Busy`] if the journal is another migration's, or can't be read; [`Error::Drift`] if the
    /// zone differs from what the journal says was written.
    pub fn own_or_adoptable<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let entry = paired.journal.as_ref();
        let Some(entry) = entry.map_err(|it| Busy::UnreadableJournal(it.clone()))? else {
            return Ok(None);
        };
        let name = paired.name;
        let journal = &entry.journal;
        let Journal {
            execution,
            from,
            to,
            percent,
            ..
        } = journal;
        if self.ended.unreleased.contains(execution) {
            return Err(Error::from(Busy::Unreleased {
                name: name.clone(),
                execution: execution.clone(),
                from: from.clone(),
                to: to.clone(),
                is_being_deleted: journal.completed,
            }));
        }
        let is_own = execution == self.execution;
        if !is_own && !self.ended.unsuccessful.contains(execution) {
            return Err(Error::from(Busy::RunningOrUnknown {
                name: name.clone(),
                execution: execution.clone(),
                from: from.clone(),
                to: to.clone(),
                percent: *percent,
            }));
        }
        if (from, to) != (self.from, self.to) {
            return Err(Error::from(Busy::OtherDirection {
                name: name.clone(),
                execution: execution.clone(),
                from: from.clone(),
                to: to.clone(),
                percent: *percent,
            }));
        }
        self.reject_changed_records(paired, journal)?;
        Ok(Some(entry))
    }

    /// While the migration runs: the journal of the name, if it is the writer's own or one that it adopts;
    /// none if the name has no journal.
    ///
    /// The migration was planned with the journals that existed, and has written its own since. So any
    /// other journal is the work of another writer. An edit of the original weights, of the sequence or
    /// of the owner's id is not recognized.
    ///
    /// # Errors
    /// [`Error::Drift`] for every other journal, also one that is marked as completed, and if the zone
    /// differs from what the journal says was written.
    pub fn own_or_adopted<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let entry = self.own_or_adopted_to_delete(paired)?;
        if entry.is_some_and(|entry| entry.journal.completed) {
            return Err(self.journal_is_edited(paired.name, JournalEdit::Completed));
        }
        Ok(entry)
    }

    /// The same while the migration completes: its journals may be marked as completed.
    ///
    /// # Errors
    /// As [`own_or_adopted`](Self::own_or_adopted).
    pub fn own_or_adopted_to_delete<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let name = paired.name;
        let entry = match &paired.journal {
            Ok(None) => return Ok(None),
            Ok(Some(entry)) => entry,
            Err(UnreadableJournal { problem, .. }) => {
                return Err(Error::from(Drift::JournalUnreadable {
                    name: name.clone(),
                    problem: problem.clone(),
                    execution: self.execution.to_owned(),
                }));
            }
        };
        let journal = &entry.journal;
        let Journal {
            execution,
            from,
            to,
            percent,
            ..
        } = journal;
        let has_same_sides = (from, to) == (self.from, self.to);
        let is_own = execution == self.execution;
        if is_own && !has_same_sides {
            return Err(self.journal_is_edited(
                name,
                JournalEdit::Sides {
                    from: from.clone(),
                    to: to.clone(),
                    expected_from: self.from.clone(),
                    expected_to: self.to.clone(),
                },
            ));
        }
        let is_adopted = self.ended.unsuccessful.contains(execution) && has_same_sides;
        if !is_own && !is_adopted {
            return Err(Error::from(Drift::JournalOfOther {
                name: name.clone(),
                execution: self.execution.to_owned(),
                other: execution.clone(),
                from: from.clone(),
                to: to.clone(),
                percent: *percent,
            }));
        }
        self.reject_changed_records(paired, journal)?;
        Ok(Some(entry))
    }

    /// The journal of the name, which must exist after the first step until the migration completes.
    ///
    /// # Errors
    /// As [`own_or_adopted`](Self::own_or_adopted), and [`Error::Drift`] if there is no journal.
    pub fn own<'n, 'z>(&self, paired: &'n PairedName<'z>) -> Result<&'n JournalEntry<'z>, Error> {
        self.own_or_adopted(paired)?
            .ok_or_else(|| self.journal_is_gone(paired.name))
    }

    pub(crate) fn journal_is_gone(&self, name: &RecordName) -> Error {
        Error::from(Drift::JournalGone {
            name: name.clone(),
            execution: self.execution.to_owned(),
        })
    }

    pub(crate) fn journal_is_edited(&self, name: &RecordName, edit: JournalEdit) -> Error {
        Error::from(Drift::JournalEdited {
            name: name.clone(),
            execution: self.execution.to_owned(),
            edit,
        })
    }

    fn reject_changed_records(
        &self,
        paired: &PairedName<'_>,
        journal: &Journal,
    ) -> Result<(), Error> {
        reject_other_weights(paired, journal)?;
        // An adopting execution leases the name anew, so only a lease of its own can be lost.
        if journal.execution == self.execution {
            self.reject_lost_lease(paired, journal)?;
        }
        Ok(())
    }

    /// Refuses a leased name if one of its registry TXT records has an ExternalDNS as owner again, or if
    /// the journal no longer has its original owner.
    fn reject_lost_lease(&self, paired: &PairedName<'_>, journal: &Journal) -> Result<(), Error> {
        for (side, texts) in journal.sides().iter().zip(paired.registry.iter()) {
            if let Some(LostLease { txt, found, owner }) = lost_lease(side, texts) {
                return Err(Error::from(Drift::LeaseLost {
                    txt: txt.clone(),
                    found: found.to_owned(),
                    owner: owner.to_owned(),
                    execution: journal.execution.clone(),
                }));
            }
            if let Some(txt) = leased_without_owner(side, texts) {
                let edit = JournalEdit::Owner { txt: txt.clone() };
                return Err(self.journal_is_edited(paired.name, edit));
            }
        }
        Ok(())
    }
}

/// Compares the live weights with those that the journal says were last written.
fn reject_other_weights(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Error> {
    let found = paired.weights();
    if found == journal.written {
        return Ok(());
    }
    Err(Error::from(Drift::Weights {
        name: paired.name.clone(),
        execution: journal.execution.clone(),
        from: journal.from.clone(),
        to: journal.to.clone(),
        weights: FoundWeights {
            found,
            written: journal.written.clone(),
        },
        external_dns_owners: paired
            .external_dns_owners()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }))
}
