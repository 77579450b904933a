//! Whether an execution may change a name: it may if the name has no journal, its own journal, or one
//! that it may adopt.

use std::collections::BTreeSet;

use super::entry::JournalEntry;
use super::paired_name::PairedName;
use super::record::Journal;
use crate::Error;
use crate::dns::{RecordName, SetIdentifier};
use crate::error::{Busy, Drift, FoundWeights};
use crate::external_dns::{ExternalDns, LostLease, lost_lease};

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
    /// The journal of the name, if it is the writer's own or may be adopted; none if the name has no
    /// journal.
    ///
    /// # Errors
    /// [`Error::Busy`] if the journal is another migration's; [`Error::Drift`] if the zone differs from
    /// what the journal says was written.
    pub fn own_or_adoptable<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let Some(entry) = &paired.journal else {
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
        reject_other_weights(paired, journal)?;
        // An adopting execution leases the name anew, so only a lease of its own can be lost.
        if is_own {
            reject_lost_lease(paired, journal)?;
        }
        Ok(Some(entry))
    }

    /// The journal of the name, which must exist after the first step.
    ///
    /// # Errors
    /// As [`own_or_adoptable`](Self::own_or_adoptable), and [`Error::Drift`] if there is no journal.
    pub fn own<'n, 'z>(&self, paired: &'n PairedName<'z>) -> Result<&'n JournalEntry<'z>, Error> {
        self.own_or_adoptable(paired)?
            .ok_or_else(|| self.journal_is_gone(paired.name))
    }

    pub(crate) fn journal_is_gone(&self, name: &RecordName) -> Error {
        Error::from(Drift::JournalGone {
            name: name.clone(),
            execution: self.execution.to_owned(),
        })
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

/// Refuses a leased name if one of its registry TXT records has an ExternalDNS as owner again.
fn reject_lost_lease(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Error> {
    for (side, texts) in journal.sides().iter().zip(paired.registry.iter()) {
        if let Some(LostLease { txt, found, owner }) = lost_lease(side, texts) {
            return Err(Error::from(Drift::LeaseLost {
                txt: txt.clone(),
                found: found.to_owned(),
                owner: owner.to_owned(),
                execution: journal.execution.clone(),
            }));
        }
    }
    Ok(())
}
