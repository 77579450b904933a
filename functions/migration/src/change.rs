//! What to write: pure decisions from what was read to what replaces it.
//!
//! A change of a name is DELETE of exactly what was read and CREATE of the new,
//! never UPSERT, so that it fails as a whole if another writer was there
//! meanwhile. The journal is part of every change, and so are the registry TXT
//! records of ExternalDNS: each has the weight of its record at any time.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::journal::Journal;
use crate::lease;
use crate::name::{RecordName, SetIdentifier};
use crate::record::{RecordSet, RecordType};
use crate::registry::ExternalDns;
use crate::steps::Percent;
use crate::weights::{FreeSum, Weights, weights_at};
use crate::zone::{PairedName, Zone};

/// The most `ResourceRecord` elements in one batch.
///
/// Source: Route 53 Developer Guide, "Quotas", `ChangeResourceRecordSets`.
pub const LARGEST_BATCH_RECORDS: usize = 1_000;
/// The most characters in all `Value` elements of one batch. Source: as above.
pub const LARGEST_BATCH_CHARACTERS: usize = 32_000;

/// The compare-and-swap of one name: both sides, all types, the registry TXT records and the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameChange {
    /// The name.
    pub name: RecordName,
    /// Exactly what was read.
    pub deletes: Vec<RecordSet>,
    /// What replaces it.
    pub creates: Vec<RecordSet>,
}

impl NameChange {
    pub(crate) fn new(name: &RecordName) -> Self {
        Self {
            name: name.clone(),
            deletes: Vec::new(),
            creates: Vec::new(),
        }
    }

    /// Whether `zone` shows that this change was applied: what a lost answer is recognised by.
    pub fn is_applied_in(&self, zone: &Zone) -> bool {
        let stands = |record_set: &RecordSet| zone.at(&record_set.name).contains(record_set);
        self.creates.iter().all(stands)
            && !self
                .deletes
                .iter()
                .any(|record_set| stands(record_set) && !self.creates.contains(record_set))
    }

    /// Whether `zone` still shows everything that this change replaces.
    pub fn is_current_in(&self, zone: &Zone) -> bool {
        let created_journal_is_free = self.creates.iter().all(|created| {
            created.record_type != RecordType::Txt
                || self
                    .deletes
                    .iter()
                    .any(|deleted| deleted.name == created.name)
                || zone.at(&created.name).is_empty()
        });
        created_journal_is_free
            && self
                .deletes
                .iter()
                .all(|record_set| zone.at(&record_set.name).contains(record_set))
    }

    /// The names of all record sets that this changes.
    pub fn places(&self) -> impl Iterator<Item = &RecordName> {
        self.record_sets().map(|record_set| &record_set.name)
    }

    fn record_sets(&self) -> impl Iterator<Item = &RecordSet> {
        self.deletes.iter().chain(&self.creates)
    }

    /// `ResourceRecord` elements; an alias, which has none, is counted as one to be safe.
    fn records(&self) -> usize {
        self.record_sets()
            .map(|set| set.values().len().max(1))
            .sum()
    }

    fn characters(&self) -> usize {
        self.record_sets()
            .flat_map(RecordSet::values)
            .map(|value| value.chars().count())
            .sum()
    }

    /// Whether the change of this one name fits into a batch.
    pub fn fits_a_batch(&self) -> bool {
        self.records() <= LARGEST_BATCH_RECORDS && self.characters() <= LARGEST_BATCH_CHARACTERS
    }
}

/// The changes in batches within Route 53's limits; a name is never split.
pub fn batches(changes: Vec<NameChange>) -> Vec<Vec<NameChange>> {
    let mut batches: Vec<Vec<NameChange>> = Vec::new();
    let (mut records, mut characters) = (0, 0);
    for change in changes {
        records += change.records();
        characters += change.characters();
        match batches.last_mut() {
            Some(batch)
                if records <= LARGEST_BATCH_RECORDS && characters <= LARGEST_BATCH_CHARACTERS =>
            {
                batch.push(change);
            }
            _ => {
                (records, characters) = (change.records(), change.characters());
                batches.push(vec![change]);
            }
        }
    }
    batches
}

/// Who writes, from which side to which, and whose journals it may take over.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The name of the execution that writes.
    pub execution: &'a str,
    /// The side that serves now.
    pub from: &'a SetIdentifier,
    /// The side that shall serve.
    pub to: &'a SetIdentifier,
    /// What becomes of the journals of other executions.
    pub others: &'a Others,
    /// What is done about ExternalDNS.
    pub external_dns: &'a ExternalDns,
}

/// The other executions whose journals stand at the names of a migration, as far as they have
/// ended. One that is in neither set is running, or not known to this stack.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Others {
    /// Those that failed, were aborted or timed out: a journal of theirs between the same sides is
    /// adopted.
    pub unsuccessful: BTreeSet<String>,
    /// Those that have completed, and whose names are leased until they are released.
    pub unreleased: BTreeSet<String>,
}

impl Writer<'_> {
    /// The journal at the name, if this writer may go on from it.
    pub fn own_or_adoptable<'n>(
        &self,
        named: &'n PairedName<'_>,
    ) -> Result<Option<&'n Journal>, Error> {
        let Some((_, journal)) = &named.journal else {
            return Ok(None);
        };
        let PairedName { name, .. } = named;
        let Journal {
            execution,
            from,
            to,
            percent,
            ..
        } = journal;
        if self.others.unreleased.contains(execution) {
            let or_roll_back = if journal.completed {
                ""
            } else {
                "; or roll it back: start the rollback state machine with the same"
            };
            return Err(Error::Busy(format!(
                "{name} waits for the release of the execution {execution}, which has completed ({from} to {to}); release \
                 it: start the release state machine with {{\"execution\": \"{execution}\"}}{or_roll_back}"
            )));
        }
        let ours = execution == self.execution;
        if !ours && !self.others.unsuccessful.contains(execution) {
            return Err(Error::Busy(format!(
                "{name} is being migrated by the execution {execution} ({from} to {to}, at {percent} percent), which is \
                 running, or not known to this stack; wait for it, or roll it back: start the rollback state machine \
                 with {{\"execution\": \"{execution}\"}}, and \"hostedZoneId\" if it is another stack's; or release it in \
                 the same way, if it completed more than 90 days ago"
            )));
        }
        if (from, to) != (self.from, self.to) {
            return Err(Error::Busy(format!(
                "{name} has the journal of the execution {execution}, which has ended at {percent} percent on the way \
                 from {from} to {to}; finish it with an execution from {from} to {to}, or roll it back: \
                 start the rollback state machine with {{\"execution\": \"{execution}\"}}"
            )));
        }
        reject_drift(named, journal)?;
        // What is adopted is leased anew.
        if ours {
            lease::reject_lost(named, journal)?;
        }
        Ok(Some(journal))
    }

    /// The journal at the name, which must be there once the first step is done.
    pub fn own<'n>(&self, named: &'n PairedName<'_>) -> Result<&'n Journal, Error> {
        self.own_or_adoptable(named)?
            .ok_or_else(|| self.journal_is_gone(named.name))
    }

    fn journal_is_gone(&self, name: &RecordName) -> Error {
        Error::Drift(format!(
            "the journal {} is gone: somebody deleted it, or rolled {name} back, while execution {} was running; \
             nothing more is written",
            name.journal(),
            self.execution
        ))
    }
}

/// Compares the live weights with what the journal says was last written.
fn reject_drift(named: &PairedName<'_>, journal: &Journal) -> Result<(), Error> {
    let found = named.weights();
    if found != journal.written {
        return Err(Error::Drift(describe_drift(named, journal, &found)));
    }
    Ok(())
}

fn describe_drift(
    named: &PairedName<'_>,
    journal: &Journal,
    found: &BTreeMap<RecordType, Weights>,
) -> String {
    let name = named.name;
    let Journal {
        execution,
        from,
        to,
        written,
        ..
    } = journal;
    let types: BTreeSet<_> = written.keys().chain(found.keys()).collect();
    let differences: Vec<_> = types
        .into_iter()
        .filter(|record_type| written.get(record_type) != found.get(record_type))
        .map(|record_type| {
            let shown = |weights: Option<&Weights>| {
                weights.map_or_else(|| "no pair".to_owned(), ToString::to_string)
            };
            format!(
                "{record_type} {} instead of {}",
                shown(found.get(record_type)),
                shown(written.get(record_type))
            )
        })
        .collect();
    let owners: Vec<_> = named.owners().into_iter().collect();
    let culprit = if owners.is_empty() {
        "find out who wrote (ExternalDNS, Terraform, a person)".to_owned()
    } else {
        format!(
            "most likely ExternalDNS, which owns its records (owner {}) and puts weights back unless it runs with \
             --policy=create-only or its names are leased (externalDns.mode)",
            owners.join(", ")
        )
    };
    format!(
        "another writer changed {name}: found the weights ({from}/{to}) {}, as execution {execution} last wrote them; \
         {culprit}; then put the weights back and start a new execution, \
         or roll back: start the rollback state machine with {{\"execution\": \"{execution}\"}}",
        differences.join(", ")
    )
}

/// A name's step to the next percent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shift {
    /// The change.
    pub change: NameChange,
    /// The weights that it writes.
    pub written: BTreeMap<RecordType, Weights>,
}

/// The change that brings a name to `percent`, or none where it is there already.
///
/// `is_first` says that this is the execution's first step, the only one that
/// may create journals; in a later one a journal that is missing is drift.
pub fn shift(
    named: &PairedName<'_>,
    writer: &Writer<'_>,
    percent: Percent,
    is_first: bool,
    free_sum: FreeSum,
) -> Result<Option<Shift>, Error> {
    let name = named.name;
    let journal = if is_first {
        writer.own_or_adoptable(named)?
    } else {
        Some(writer.own(named)?)
    };
    if journal
        .is_some_and(|journal| journal.percent >= percent && journal.execution == writer.execution)
    {
        return Ok(None);
    }
    let original = journal.map_or_else(|| named.weights(), |journal| journal.original.clone());
    let written = weights_to_write(named, &original, percent, free_sum)?;
    let registry = lease::registry_to_keep(named, journal, writer)?;
    let new_journal = Journal {
        execution: writer.execution.to_owned(),
        from: writer.from.clone(),
        to: writer.to.clone(),
        sequence: journal.map_or(1, |journal| journal.sequence.saturating_add(1)),
        percent: journal.map_or(percent, |journal| journal.percent.max(percent)),
        original,
        written: written.clone(),
        registry,
        completed: false,
    };
    let mut change = NameChange::new(name);
    for (record_type, pair) in &named.pairs {
        let Some(weights) = written.get(record_type) else {
            continue;
        };
        for (record_set, weight) in [(pair.from, weights.from), (pair.to, weights.to)] {
            // A journal of its own says that the weights are as they were last written.
            change.replace_with(
                record_set,
                record_set.with_weight(weight),
                journal.is_none(),
            );
        }
    }
    for (read, new) in lease::texts(named, &new_journal) {
        change.replace_with(read, new, true);
    }
    change.replace_journal(
        named.journal.as_ref().map(|(read, _)| *read),
        Some(new_journal.record_set(name)),
    );
    Ok(Some(Shift { change, written }))
}

/// The weights of each pair at `percent`; a pair that is beyond it stays, because the
/// share of `to` never falls but in a rollback.
fn weights_to_write(
    named: &PairedName<'_>,
    original: &BTreeMap<RecordType, Weights>,
    percent: Percent,
    free_sum: FreeSum,
) -> Result<BTreeMap<RecordType, Weights>, Error> {
    let name = named.name;
    named
        .pairs
        .iter()
        .map(|(record_type, pair)| {
            let original = original.get(record_type).copied().unwrap_or(pair.weights);
            let weights = if pair.weights.reach(percent) {
                pair.weights
            } else {
                weights_at(percent, original, pair.has_neighbours, free_sum).map_err(|problem| {
                    Error::InvalidInput(format!(
                        "steps: {percent} percent can't be expressed at {name} {record_type}: {problem}"
                    ))
                })?
            };
            if weights.are_zero() {
                return Err(Error::AllZeroWeights(format!(
                    "both sides of {name} {record_type} would have weight 0; nothing is written"
                )));
            }
            Ok((record_type.clone(), weights))
        })
        .collect()
}

/// How the journals of a migration go; the weights stay.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Closing {
    /// Marks the first name's journal as completed; none where that was done, or no journal is left.
    pub mark: Option<NameChange>,
    /// Take the journals away, the marked one last; to be applied once the mark is.
    pub removals: Vec<NameChange>,
}

/// A name, its journal as it was read, and what it says.
pub type Journaled<'a> = (&'a RecordName, &'a RecordSet, &'a Journal);

/// The journals of a migration of `names`, all of which have reached its last step. None may be
/// gone, unless they are being taken away already.
pub fn journals_to_close<'n>(
    names: &'n [PairedName<'_>],
    writer: &Writer<'_>,
) -> Result<Vec<Journaled<'n>>, Error> {
    let mut journaled = Vec::with_capacity(names.len());
    for named in names {
        if let (Some(journal), Some((read, _))) = (writer.own_or_adoptable(named)?, &named.journal)
        {
            journaled.push((named.name, *read, journal));
        }
    }
    let is_marked = journaled.iter().any(|(_, _, journal)| journal.completed);
    match names.iter().find(|paired| paired.journal.is_none()) {
        Some(unjournaled) if !is_marked && !journaled.is_empty() => {
            Err(writer.journal_is_gone(unjournaled.name))
        }
        _ => Ok(journaled),
    }
}

/// The changes that take the journals of a migration away, all that there are.
///
/// The journals of many names don't fit into one batch, and a migration that dies
/// between two batches must not be undone for a part of its names. So one change of
/// one journal decides: before it a rollback restores all names, after it a rollback
/// takes the other journals away as well. A rollback that comes at the same time
/// begins with the same name, so Route 53 accepts only one of the two.
pub fn close(zone: &Zone, mut journaled: Vec<Journaled<'_>>) -> Closing {
    let mut closing = Closing::default();
    let mut marked = None;
    if let Some((lead, read, journal)) = journaled.first()
        && !journaled.iter().any(|(_, _, journal)| journal.completed)
    {
        let completed = Journal {
            completed: true,
            ..journal.next()
        };
        let read_completed = completed.record_set(lead);
        let mut mark = NameChange::new(lead);
        mark.replace_journal(Some(read), Some(read_completed.clone()));
        closing.mark = Some(mark);
        marked = Some(lease::end(zone, (lead, &read_completed, &completed)));
        journaled.remove(0);
    }
    journaled.sort_by_key(|(_, _, journal)| journal.completed);
    closing.removals = journaled
        .into_iter()
        .map(|journaled| lease::end(zone, journaled))
        .chain(marked)
        .collect();
    closing
}

/// What a rollback does to one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restoration {
    /// The change.
    pub change: NameChange,
    /// What was found other than the journal said, for people to know.
    pub found: Vec<String>,
}

/// The change that restores the original weights of a journal, whatever else is
/// live, and takes the journal away.
pub fn restore(
    zone: &Zone,
    name: &RecordName,
    read_journal: &RecordSet,
    journal: &Journal,
) -> Result<Restoration, Error> {
    let mut found = Vec::new();
    let mut restored = Vec::new();
    for record_type in journal.original.keys() {
        for side in journal.sides() {
            let (identifier, original) = (side.identifier, side.original(record_type));
            let Some((record_set, weight)) = zone.weighted(name, record_type, identifier) else {
                found.push(format!("{name} {record_type} of {identifier} is gone"));
                continue;
            };
            let written = side.written(record_type);
            if Some(weight) != written {
                found.push(format!(
                    "{name} {record_type} of {identifier} had weight {weight} instead of {}",
                    written.map_or_else(|| "none".to_owned(), |weight| weight.to_string())
                ));
            }
            let original = original.unwrap_or(weight);
            restored.push((record_set, record_set.with_weight(original)));
        }
    }
    let given_back = lease::original_texts(zone, name, journal, &mut found);
    let mut change = NameChange::new(name);
    // What has its original weight is part of the change too: nobody else may have written since.
    for (read, new) in restored.into_iter().chain(given_back) {
        change.replace_with(read, new, true);
    }
    for record_type in journal.original.keys() {
        reject_all_zero(zone, name, record_type, &change, journal)?;
    }
    change.replace_journal(Some(read_journal), None);
    Ok(Restoration { change, found })
}

/// Refuses to leave a name's type with weights of 0 only, which Route 53 takes for "all equally".
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
        return Err(Error::AllZeroWeights(format!(
            "{name} {record_type} can't be restored: its record of {} is gone, and the original weight of {} is 0, \
             which alone would get all traffic; create the record of {} again, then roll back again",
            journal.from, journal.to, journal.from
        )));
    }
    Ok(())
}

impl NameChange {
    /// Replaces a record set, if it differs or is to be part of the change anyhow. A zone of several
    /// pages is not read at one moment, so only what is part of the change is sure to be as it
    /// was read: a journal of later weights would otherwise go, and leave them behind.
    pub(crate) fn replace_with(&mut self, read: &RecordSet, new: RecordSet, always: bool) {
        if always || new != *read {
            self.deletes.push(read.clone());
            self.creates.push(new);
        }
    }

    pub(crate) fn replace_journal(&mut self, read: Option<&RecordSet>, new: Option<RecordSet>) {
        self.deletes.extend(read.cloned());
        self.creates.extend(new);
    }
}
