//! Names that a migration has shifted, and whose journals another writer has deleted or replaced. Only their journals
//! had the original weights, so a rollback can't restore these names, and reports them.

use std::collections::BTreeSet;

use migration::Error;
use migration::dns::{RecordName, RecordSet, SetIdentifier, Sides, Zone};
use migration::executions::Executions;
use migration::external_dns::{RegistryNames, is_leased_by, registry_texts};
use migration::journal::{ExecutionIdentity, Journal, JournalEntry};
use migration::text::first_of;

use crate::services::Services;
use crate::targets::MigrationScope;

/// The most registry TXT records that a problem lists.
const MOST_LISTED: usize = 10;
const RUNBOOK: &str = "infra/README.md, \"A journal was deleted or edited\"";

/// The problems of a migration. `trusted` are the journals in the zone that this stack has signed, and `untrusted` the
/// names of the others, which are problems already.
///
/// A journal is missing where a registry TXT record is leased by the migration, or where the journal of an earlier
/// execution is that the migration did not adopt: its plan would have been refused. Of a name without a registry whose
/// journal was deleted, nothing in the zone tells that the migration has shifted it.
pub(crate) async fn missing_journals<R, E: Executions>(
    migration: &MigrationScope,
    zone: &Zone,
    trusted: &[JournalEntry<'_>],
    untrusted: &[RecordName],
    services: Services<'_, R, E>,
) -> Result<Vec<String>, Error> {
    // When Step Functions has forgotten the execution, its journals can't be told from those of an earlier one with the
    // same name.
    let Some(identity) = migration.identity(services) else {
        return Ok(Vec::new());
    };
    let (own, others): (Vec<_>, Vec<_>) = trusted
        .iter()
        .partition(|entry| entry.journal.execution == identity);
    let replaced = replaced_journals(migration, zone, &own, others, services).await?;
    let lost = leased_texts_of_other_names(zone, &own, &replaced, untrusted, &identity);

    let mut problems: Vec<_> = replaced
        .iter()
        .map(|entry| describe_replaced(entry, migration))
        .collect();
    if !lost.is_empty() {
        problems.push(format!(
            "the execution {} has leased registry TXT records of names that are not restored, because another writer has \
             deleted or replaced their journals: {}; write these journals again ({RUNBOOK})",
            migration.name,
            first_of(&lost, MOST_LISTED)
        ));
    }
    Ok(problems)
}

/// Journals of earlier executions at names of a migration that has shifted some of its names.
async fn replaced_journals<'t, 'z, R, E: Executions>(
    migration: &MigrationScope,
    zone: &Zone,
    own: &[&JournalEntry<'_>],
    others: Vec<&'t JournalEntry<'z>>,
    services: Services<'_, R, E>,
) -> Result<Vec<&'t JournalEntry<'z>>, Error> {
    let Some(input) = &migration.input else {
        return Ok(Vec::new());
    };
    if own.is_empty() && migration.restored.is_empty() {
        return Ok(Vec::new());
    }
    let mut adopted: BTreeSet<_> = migration.adopted.iter().collect();
    adopted.extend(own.iter().flat_map(|entry| &entry.journal.adopted));
    let others: Vec<_> = others
        .into_iter()
        .filter(|entry| !adopted.contains(&entry.journal.execution))
        .filter(|entry| {
            let has_record_of = |side| zone.has_record_of(&entry.name, side);
            // Otherwise the migration can't have shifted it.
            input.selects(&entry.name) && has_record_of(&input.from) && has_record_of(&input.to)
        })
        .collect();
    let executions: BTreeSet<_> = others.iter().map(|it| &it.journal.execution).collect();
    let mut earlier = BTreeSet::new();
    for execution in executions {
        let described = services.describe(execution).await?;
        // One that runs was adopted, and redriven since: it has kept the names that were not taken over.
        let is_at_work = described.is_some_and(|described| {
            described.is_running() || Some(described.started_at) > migration.started_at
        });
        if !is_at_work {
            earlier.insert(execution);
        }
    }
    Ok(others
        .iter()
        .filter(|entry| earlier.contains(&entry.journal.execution))
        .copied()
        .collect())
}

/// The registry TXT records that the execution has leased, without those of the names that are known: of its `own`
/// journals, and those that are problems already.
fn leased_texts_of_other_names(
    zone: &Zone,
    own: &[&JournalEntry<'_>],
    replaced: &[&JournalEntry<'_>],
    untrusted: &[RecordName],
    execution: &ExecutionIdentity,
) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut add = |name: &RecordName, side: &SetIdentifier, names: &RegistryNames| {
        let texts = registry_texts(zone, name, side, names);
        known.extend(texts.into_iter().map(|text| key(text.read)));
    };
    for JournalEntry { name, journal, .. } in own {
        let Journal {
            from,
            to,
            saved_owners,
            ..
        } = journal;
        add(name, from, &saved_owners.from.names);
        add(name, to, &saved_owners.to.names);
    }
    // All names of a migration have the same flags, and two migrations mostly have.
    let flags = own.first().or(replaced.first());
    let flags = flags.map(|entry| &entry.journal.saved_owners);
    let names = replaced.iter().map(|entry| &entry.name).chain(untrusted);
    for name in names {
        for side in zone.set_identifiers(name) {
            for saved in flags.into_iter().flat_map(Sides::iter) {
                add(name, side, &saved.names);
            }
        }
    }
    let execution = execution.to_string();
    let leased = zone
        .record_sets
        .values()
        .flatten()
        .filter(|record_set| is_leased_by(record_set, &execution));
    let lost = leased.filter(|record_set| !known.contains(&key(record_set)));
    lost.map(|record_set| record_set.name.to_string()).collect()
}

/// What tells a registry TXT record from the others.
fn key(text: &RecordSet) -> (&RecordName, Option<&SetIdentifier>) {
    (&text.name, text.weighted().map(|(side, _)| side))
}

fn describe_replaced(entry: &JournalEntry<'_>, migration: &MigrationScope) -> String {
    let JournalEntry { name, journal, .. } = entry;
    format!(
        "{name} is not restored: its journal is of the execution {}, which is earlier than {migration} and was not adopted \
         by it, so another writer has replaced the journal of {migration}; write that journal again ({RUNBOOK})",
        journal.execution.name(),
        migration = migration.name,
    )
}
