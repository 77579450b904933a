//! Whether an execution may change a name: it may if the name has no journal, its own journal, or one
//! that it may adopt. Any other journal is [`Busy`] before the execution writes, and [`Drift`] afterwards,
//! because then another writer has replaced, edited or deleted it.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{JournalEntry, Journals};
use super::identity::ExecutionIdentity;
use super::paired_name::PairedName;
use super::record::Journal;
use crate::Error;
use crate::dns::{
    Percent, RecordName, RecordSet, RecordType, SetIdentifierTemplate, Side, Weights,
};
use crate::error::{Busy, Drift, FoundWeights, UntrustedJournal};
use crate::external_dns::{ExternalDns, LostLease, leased_without_owner, lost_lease};

/// The execution that writes, and what decides which journals it may adopt.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub execution: &'a ExecutionIdentity,
    /// How often it had been redriven when it made its plan.
    pub redrives: u32,
    pub from: &'a SetIdentifierTemplate,
    pub to: &'a SetIdentifierTemplate,
    pub ended: &'a EndedExecutions,
    /// The executions whose journals it adopts according to its plan.
    pub adopted: &'a BTreeSet<ExecutionIdentity>,
    pub external_dns: &'a ExternalDns,
    pub journals: Journals<'a>,
}

/// The executions that have ended, of those with journals at the names of a migration. An execution in
/// neither set is running, or unknown to this stack.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EndedExecutions {
    /// Executions that failed, were aborted or timed out, and the writing execution itself if it was
    /// redriven. A migration in the same direction adopts their journals.
    pub unsuccessful: BTreeSet<ExecutionIdentity>,
    /// The records of their rollbacks, see [`Journal::rollback_record`]. Another writer has put the journals
    /// with these records back.
    pub rolled_back: BTreeSet<String>,
    /// Executions that have completed and still lease their names.
    pub unreleased: BTreeSet<ExecutionIdentity>,
}

impl EndedExecutions {
    /// Whether another writer has put a journal back.
    fn is_put_back(&self, journal: &Journal) -> bool {
        self.rolled_back.contains(&journal.rollback_record())
    }
}

impl Writer<'_> {
    /// Before the migration writes: the journal of the name, if it is the writer's own or may be adopted;
    /// none if the name has no journal.
    ///
    /// # Errors
    /// [`Error::Busy`] if the journal is another migration's, or is untrusted, or if the zone differs from
    /// what the journal says was written; [`Error::Drift`] if it differs from the writer's own journal.
    pub fn own_or_adoptable<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let Some(entry) = self.adoptable(paired.name, &paired.journal)? else {
            return Ok(None);
        };
        let journal = &entry.journal;
        if !journal.has_identifiers(&paired.identifiers) {
            return Err(Error::from(other_direction(paired.name, journal)));
        }
        reject_changes(paired, journal).map_err(|drift| {
            if self.is_own(journal) {
                Error::Drift(drift)
            } else {
                Error::from(Busy::Changed(drift))
            }
        })?;
        Ok(Some(entry))
    }

    /// The same as [`own_or_adoptable`](Self::own_or_adoptable), without comparing the journal with the zone, of which
    /// one side may have no record.
    ///
    /// # Errors
    /// [`Error::Busy`] if the journal is another migration's, or is untrusted.
    pub fn adoptable<'n, 'z>(
        &self,
        name: &RecordName,
        journal: &'n Result<Option<JournalEntry<'z>>, UntrustedJournal>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let entry = journal.as_ref();
        let Some(entry) = entry.map_err(|it| Busy::UntrustedJournal(it.clone()))? else {
            return Ok(None);
        };
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
                execution: execution.name().to_owned(),
                from: from.clone(),
                to: to.clone(),
                is_being_deleted: journal.completed,
            }));
        }
        let is_own = self.is_own(journal);
        if !is_own && !self.ended.unsuccessful.contains(execution) {
            return Err(Error::from(Busy::RunningOrUnknown {
                name: name.clone(),
                execution: execution.name().to_owned(),
                from: from.clone(),
                to: to.clone(),
                percent: *percent,
            }));
        }
        if !is_own && self.ended.is_put_back(journal) {
            return Err(Error::from(Busy::RolledBack {
                name: name.clone(),
                execution: execution.name().to_owned(),
            }));
        }
        if !(self.from.matches(from) && self.to.matches(to)) {
            return Err(Error::from(other_direction(name, journal)));
        }
        Ok(Some(entry))
    }

    /// While the migration runs: the journal of the name, if it is the writer's own or one that it adopts;
    /// none if the name has no journal.
    ///
    /// The migration was planned with the journals that existed, and has written its own since. So any
    /// other journal is the work of another writer.
    ///
    /// # Errors
    /// [`Error::Drift`] for every other journal, and if the zone differs from what the journal says was
    /// written.
    pub fn own_or_adopted<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
    ) -> Result<Option<&'n JournalEntry<'z>>, Error> {
        let name = paired.name;
        let entry = match &paired.journal {
            Ok(None) => return Ok(None),
            Ok(Some(entry)) => entry,
            Err(UntrustedJournal { problem, .. }) => {
                return Err(Error::from(Drift::JournalUntrusted {
                    name: name.clone(),
                    problem: problem.clone(),
                    execution: self.execution.name().to_owned(),
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
        let is_adopted =
            self.ended.unsuccessful.contains(execution) && !self.ended.is_put_back(journal);
        if !(self.is_own(journal) || is_adopted) || !journal.has_identifiers(&paired.identifiers) {
            return Err(Error::from(Drift::JournalOfOther {
                name: name.clone(),
                execution: self.execution.name().to_owned(),
                other: execution.name().to_owned(),
                from: from.clone(),
                to: to.clone(),
                percent: *percent,
            }));
        }
        reject_changes(paired, journal).map_err(Error::Drift)?;
        Ok(Some(entry))
    }

    /// Whether the execution has written the journal since it was planned. A redriven execution is planned
    /// again, so that its earlier journals are no longer its own; it adopts them.
    pub(crate) fn is_own(&self, journal: &Journal) -> bool {
        journal.execution == *self.execution && journal.redrives == self.redrives
    }

    /// The journal of the name, which must exist after the first step until the migration completes, and
    /// have reached at least `percent`.
    ///
    /// # Errors
    /// As [`own_or_adopted`](Self::own_or_adopted), and [`Error::Drift`] if there is no journal, or an older
    /// one of the execution was put back.
    pub fn own<'n, 'z>(
        &self,
        paired: &'n PairedName<'z>,
        percent: Percent,
    ) -> Result<&'n JournalEntry<'z>, Error> {
        let entry = self
            .own_or_adopted(paired)?
            .ok_or_else(|| self.journal_is_gone(paired.name))?;
        self.reject_older(entry, percent)?;
        Ok(entry)
    }

    /// Refuses a journal of this execution from before it reached `percent`. Its signature is valid, but
    /// another writer has put it back.
    pub(crate) fn reject_older(
        &self,
        entry: &JournalEntry<'_>,
        percent: Percent,
    ) -> Result<(), Error> {
        if entry.journal.percent >= percent {
            return Ok(());
        }
        Err(Error::from(Drift::JournalOlder {
            name: entry.name.clone(),
            execution: self.execution.name().to_owned(),
            found: entry.journal.percent,
            reached: percent,
        }))
    }

    pub(crate) fn journal_is_gone(&self, name: &RecordName) -> Error {
        Error::from(Drift::JournalGone {
            name: name.clone(),
            execution: self.execution.name().to_owned(),
        })
    }
}

fn other_direction(name: &RecordName, journal: &Journal) -> Busy {
    Busy::OtherDirection {
        name: name.clone(),
        execution: journal.execution.name().to_owned(),
        from: journal.from.clone(),
        to: journal.to.clone(),
        percent: journal.percent,
    }
}

/// The same as [`reject_changed_records`], and refuses a name at which another record has got a share although
/// the total of the pair's weights was chosen freely. At another total, the next step, the completion or the
/// rollback would change the share of that record.
fn reject_changes(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Box<Drift>> {
    reject_changed_records(paired, journal)?;
    for (record_type, pair) in &paired.pairs {
        let total = |weights: &BTreeMap<RecordType, Weights>| {
            weights.get(record_type).map(|weights| weights.total())
        };
        if let Some((other, weight)) = pair.other_with_share.and_then(RecordSet::weighted)
            && total(&journal.written) != total(&journal.original)
        {
            return Err(Box::new(Drift::ShareOfOther {
                name: paired.name.clone(),
                record_type: record_type.clone(),
                other: other.clone(),
                weight,
                execution: journal.execution.name().to_owned(),
            }));
        }
    }
    Ok(())
}

/// Refuses a name whose live weights or leased registry TXT records are not those that the journal says
/// were written.
///
/// # Errors
/// What differs.
pub fn reject_changed_records(
    paired: &PairedName<'_>,
    journal: &Journal,
) -> Result<(), Box<Drift>> {
    reject_other_weights(paired, journal)?;
    reject_lost_lease(paired, journal)
}

/// Refuses a leased name if one of its registry TXT records has another owner than the execution of the
/// journal, or if it is leased although the journal does not have its original owner.
fn reject_lost_lease(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Box<Drift>> {
    let execution = journal.execution.to_string();
    for (side, texts) in journal.sides().iter().zip(paired.registry.iter()) {
        if let Some(LostLease { txt, found, owner }) = lost_lease(side, texts, &execution) {
            return Err(Box::new(Drift::LeaseLost {
                txt: txt.clone(),
                found: found.to_owned(),
                owner: owner.to_owned(),
                execution: journal.execution.name().to_owned(),
            }));
        }
        if let Some(txt) = leased_without_owner(side, texts) {
            return Err(Box::new(Drift::LeasedWithoutOwner {
                name: paired.name.clone(),
                txt: txt.clone(),
                execution: journal.execution.name().to_owned(),
            }));
        }
    }
    Ok(())
}

/// Compares the records that are alone in their type with those that the journal records.
fn reject_other_lone_weights(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Box<Drift>> {
    let live = |record_type: &RecordType| {
        let lone = paired.lone.get(record_type);
        lone.map(|lone| (lone.side, lone.weight))
    };
    let recorded = |record_type: &RecordType| {
        let lone = journal.lone.get(record_type);
        lone.map(|lone| (lone.side, lone.written))
    };
    let is_paired = |record_type: &&RecordType| paired.pairs.contains_key(record_type);
    let mut types = paired.lone.keys().chain(journal.lone.keys());
    // A type that has become a pair, or was one, is a difference of the pairs.
    let is_other = |record_type: &&RecordType| {
        !is_paired(record_type)
            && !journal.written.contains_key(record_type)
            && live(record_type) != recorded(record_type)
    };
    let Some(record_type) = types.find(is_other) else {
        return Ok(());
    };
    let (found, written) = (live(record_type), recorded(record_type));
    let side = found.or(written).map_or(Side::To, |(side, _)| side);
    Err(Box::new(Drift::LoneWeight {
        name: paired.name.clone(),
        record_type: record_type.clone(),
        side: match side {
            Side::From => journal.from.clone(),
            Side::To => journal.to.clone(),
        },
        found: found.map(|(_, weight)| weight),
        written: written.map(|(_, weight)| weight),
        execution: journal.execution.name().to_owned(),
    }))
}

/// Compares the live weights with those that the journal says were last written.
fn reject_other_weights(paired: &PairedName<'_>, journal: &Journal) -> Result<(), Box<Drift>> {
    reject_other_lone_weights(paired, journal)?;
    let found = paired.weights();
    if found == journal.written {
        return Ok(());
    }
    Err(Box::new(Drift::Weights {
        name: paired.name.clone(),
        execution: journal.execution.name().to_owned(),
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
