//! The change that sets a name to the percent of a step.

use std::collections::BTreeMap;

use super::name_change::NameChange;
use crate::Error;
use crate::dns::{LoneWeights, Percent, RecordType, Sides, WeightTotal, Weights, weights_at};
use crate::error::{AllZeroWeights, Drift, InvalidInput};
use crate::external_dns::{LeaseTerms, SavedOwners, leased_texts};
use crate::journal::{Journal, LoneRecord, PairedName, Writer};

/// The change of one name in a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shift {
    pub change: NameChange,
    /// The weights of its pairs after the change.
    pub written: BTreeMap<RecordType, Weights>,
}

/// When a shift is computed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// For the plan, as if the step were the first one. Records that can't be leased are a problem of the
    /// input.
    Plan,
    /// The first step of the execution, the only one that may create journals.
    FirstStep,
    /// In a later step a journal that is missing, or is from before the step that was reached, is drift.
    LaterStep { reached: Percent },
}

/// The change that sets a name to `percent`; none if this execution has done that already, unless it is to be
/// done `again` because Route 53 has lost that change. Then it writes the same weights, with the next sequence.
///
/// # Errors
/// Those of [`Writer::own_or_adopted`] and [`Writer::own`]; [`Error::InvalidInput`] if the weights can't express the percent;
/// [`Error::AllZeroWeights`] if both weights of a pair would be 0. If the registry TXT records can't be
/// leased, [`Error::InvalidInput`] or [`Error::Busy`] in a plan, and [`Error::Drift`] afterwards.
pub fn shift(
    paired: &PairedName<'_>,
    writer: &Writer<'_>,
    percent: Percent,
    moment: Moment,
    weight_total: WeightTotal,
    again: bool,
) -> Result<Option<Shift>, Error> {
    let name = paired.name;
    let entry = match moment {
        Moment::Plan | Moment::FirstStep => writer.own_or_adopted(paired)?,
        Moment::LaterStep { reached } => Some(writer.own(paired, reached)?),
    };
    let journal = entry.map(|entry| &entry.journal);
    let original = journal.map_or_else(|| paired.weights(), |journal| journal.original.clone());
    if let Some(journal) = journal
        && journal.percent >= percent
        && writer.is_own(journal)
        && !again
    {
        return Ok(None);
    }
    let written = weights_to_write(paired, &original, percent, weight_total)?;
    let saved_owners = saved_owners(paired, journal, writer).map_err(|problem| match moment {
        Moment::Plan => problem,
        Moment::FirstStep | Moment::LaterStep { .. } => Error::from(Drift::Registry {
            name: name.clone(),
            execution: writer.execution.name().to_owned(),
            problem: problem.to_string(),
        }),
    })?;
    let lone = lone_weights(paired, journal, &written);
    let new_journal = Journal {
        execution: writer.execution.clone(),
        redrives: writer.redrives,
        adopted: writer.adopted.clone(),
        from: paired.identifiers.from.clone(),
        to: paired.identifiers.to.clone(),
        templates: Sides {
            from: writer.from.clone(),
            to: writer.to.clone(),
        },
        sequence: journal.map_or(1, |journal| journal.sequence.saturating_add(1)),
        percent: journal.map_or(percent, |journal| journal.percent.max(percent)),
        original,
        written: written.clone(),
        lone,
        saved_owners,
        completed: false,
    };
    let mut change = NameChange::new(name);
    for (record_type, pair) in &paired.pairs {
        let Some(weights) = written.get(record_type) else {
            continue;
        };
        for (record_set, weight) in [(pair.from, weights.from), (pair.to, weights.to)] {
            // An existing journal was compared with the live weights and is part of the batch. Without
            // one, the change includes also the records that it leaves unchanged, so that it fails if
            // another writer changed them. So does a change that is made again, because servers may not
            // have them.
            change.replace_with(
                record_set,
                record_set.with_weight(weight),
                journal.is_none() || again,
            );
        }
    }
    for (record_type, lone) in &paired.lone {
        if let Some(weights) = new_journal.lone.get(record_type) {
            let record_set = lone.record_set;
            let new = record_set.with_weight(weights.written);
            change.replace_with(record_set, new, journal.is_none() || again);
        }
    }
    let owner = writer.execution.to_string();
    for (side, texts) in new_journal.sides().iter().zip(paired.registry.iter()) {
        for (read, new) in leased_texts(side, texts, &owner) {
            change.replace_with(read, new, true);
        }
    }
    change.replace_journal(
        entry.map(|entry| entry.record_set),
        Some(writer.journals.record_set(name, &new_journal)),
    );
    Ok(Some(Shift { change, written }))
}

/// The weights of each pair at `percent`. A pair that has a higher share already keeps it, because only
/// a rollback lowers the share of `to`.
fn weights_to_write(
    paired: &PairedName<'_>,
    original: &BTreeMap<RecordType, Weights>,
    percent: Percent,
    weight_total: WeightTotal,
) -> Result<BTreeMap<RecordType, Weights>, Error> {
    let name = paired.name;
    paired
        .pairs
        .iter()
        .map(|(record_type, pair)| {
            let original = original.get(record_type).copied().unwrap_or(pair.weights);
            let weights = if pair.weights.reach(percent) {
                pair.weights
            } else {
                weights_at(
                    percent,
                    original,
                    pair.other_with_share.is_some(),
                    weight_total,
                )
                .map_err(|problem| InvalidInput::InexactStep {
                    percent,
                    name: name.clone(),
                    record_type: record_type.clone(),
                    problem,
                    remedy: None,
                })?
            };
            if weights.are_zero() {
                return Err(Error::from(AllZeroWeights::WouldBeWritten {
                    name: name.clone(),
                    record_type: record_type.clone(),
                }));
            }
            Ok((record_type.clone(), weights))
        })
        .collect()
}

/// The weights of the lone records: each gets what its side's records get, so that one annotation holds for all.
fn lone_weights(
    paired: &PairedName<'_>,
    journal: Option<&Journal>,
    written: &BTreeMap<RecordType, Weights>,
) -> BTreeMap<RecordType, LoneWeights> {
    let of_pair = written.values().next();
    let weights = |(record_type, lone): (&RecordType, &LoneRecord<'_>)| {
        let earlier = journal.and_then(|journal| journal.lone.get(record_type));
        let weights = LoneWeights {
            side: lone.side,
            original: earlier.map_or(lone.weight, |earlier| earlier.original),
            written: of_pair.map_or(lone.weight, |weights| weights.of(lone.side)),
        };
        (record_type.clone(), weights)
    };
    paired.lone.iter().map(weights).collect()
}

/// The owners of both sides that the new journal saves.
fn saved_owners(
    paired: &PairedName<'_>,
    journal: Option<&Journal>,
    writer: &Writer<'_>,
) -> Result<Sides<SavedOwners>, Error> {
    let saved = journal.map(|journal| &journal.saved_owners);
    let registry_names = writer.external_dns.names();
    let from = LeaseTerms {
        field: "externalDns.from",
        side: &paired.identifiers.from,
        name: paired.name,
        mode: writer.external_dns.mode,
    };
    let to = LeaseTerms {
        field: "externalDns.to",
        side: &paired.identifiers.to,
        ..from
    };
    Ok(Sides {
        from: from.owners_to_save(
            &paired.registry.from,
            saved.map(|owners| &owners.from),
            registry_names.from,
        )?,
        to: to.owners_to_save(
            &paired.registry.to,
            saved.map(|owners| &owners.to),
            registry_names.to,
        )?,
    })
}
