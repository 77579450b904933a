//! Selects the journals in a zone that a target covers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use migration::Error;
use migration::dns::{Percent, RecordName, Sides, Weights, Zone, count_weights};
use migration::error::UntrustedJournal;
use migration::executions::{Execution, Executions, recorded_rollbacks};
use migration::input::Input;
use migration::journal::{
    ExecutionIdentity, Journal, JournalEntry, Journals, pair, reject_changed_records,
};
use migration::route53::Route53;

use crate::missing_journals::missing_journals;
use crate::services::Services;
use crate::targets::{MigrationScope, RollbackTarget, Scope, rollback_records};

#[derive(Default)]
pub(crate) struct SelectedJournals<'a> {
    /// To be restored, in this order.
    pub(crate) entries: Vec<JournalEntry<'a>>,
    /// Of completed migrations, to be deleted in this order: the marked journal of each migration last.
    pub(crate) completed: Vec<JournalEntry<'a>>,
    /// Journals that are not trusted. Their executions are unknown, so each is a problem of every target
    /// that covers its name.
    pub(crate) problems: Vec<String>,
    /// The records that the adopted executions of a rolled back migration are rolled back with it.
    pub(crate) adopted_records: BTreeSet<String>,
    /// The names of `entries` whose journals another key has signed. Nothing else that they say is used.
    foreign: BTreeSet<RecordName>,
}

/// The order of `entries` matters. An execution's first name comes before its other names, as
/// [`complete()`](migration::change::complete()) requires. The journals that an execution adopted come
/// before its own, because only its own show a later attempt which ones it had adopted. Among the rest, those
/// names come first whose weights are the furthest from the original ones: the names of a large migration take
/// minutes, and of a step that was not finished some have more traffic on the new side than others.
pub(crate) async fn select_journals<'a, R: Route53, E: Executions>(
    target: &RollbackTarget,
    zone: &'a Zone,
    services: Services<'a, R, E>,
) -> Result<SelectedJournals<'a>, Error> {
    let journals = Journals::new(zone, services.key);
    let mut selected = SelectedJournals::default();
    let mut all = Vec::new();
    let mut untrusted = Vec::new();
    for name in zone.journaled_names() {
        match journals.at(&name) {
            Ok(Some(entry)) => all.push(entry),
            Err(problem) if target.covers_name(zone, &name) => {
                selected.add_untrusted(target, &journals, &name, &problem);
                untrusted.push(name);
            }
            Ok(None) | Err(_) => {}
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(migration) = target.migration() {
        let missing = missing_journals(migration, zone, &all, &untrusted, services).await?;
        selected.problems.extend(missing);
    }
    let completed = completed_executions(zone, &all);

    let in_scope = executions_in_scope(target, &all, services).await?;
    let (covered, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|entry| in_scope.contains_key(&entry.journal.execution))
        // The journals of a completed migration are deleted together, whatever names are requested.
        .partition(|entry| {
            completed.contains(&entry.journal.execution) || target.covers_journal(entry, services)
        });
    for (execution, redrives) in in_scope {
        let is_left = |entry: &JournalEntry<'_>| entry.journal.execution == execution;
        // It may have moved other names, too, which were not adopted and remain.
        if let Some(redrives) = redrives
            && !others.iter().any(is_left)
        {
            let records = rollback_records(&execution, redrives);
            selected.adopted_records.extend(records);
        }
    }
    let (mut entries, mut own): (Vec<_>, Vec<_>) = covered
        .into_iter()
        .partition(|entry| !target.is_own(entry, services));
    for group in [&mut entries, &mut own] {
        let mut executions = BTreeSet::new();
        let first: BTreeSet<_> = group
            .iter()
            .filter(|entry| executions.insert(entry.journal.execution.clone()))
            .map(|entry| entry.name.clone())
            .collect();
        group.sort_by_key(|entry| {
            (
                !first.contains(&entry.name),
                Reverse(distance(&entry.journal)),
            )
        });
    }
    entries.extend(own);
    if let Some(migration) = target.migration() {
        let records = records_of_put_back(migration, &entries, services).await?;
        let put_back = entries.extract_if(.., |entry| {
            records.contains(&entry.journal.rollback_record())
        });
        let problems = put_back.map(|entry| describe_put_back(&entry));
        selected.problems.extend(problems);
    }
    if target.migration().is_some_and(|it| it.is_swept) {
        let mut problems = Vec::new();
        entries.retain(|entry| match changed(&journals, entry) {
            None => true,
            Some(problem) => {
                problems.push(format!("{} is not restored: {problem}", entry.name));
                false
            }
        });
        selected.problems.extend(problems);
    }
    let (of_completed, entries): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| completed.contains(&entry.journal.execution));
    selected.completed = of_completed;
    selected
        .completed
        .sort_by_key(|entry| entry.journal.completed);
    selected.entries.extend(entries);
    Ok(selected)
}

/// What differs between the records of a name and its journal.
fn changed(journals: &Journals<'_>, entry: &JournalEntry<'_>) -> Option<String> {
    let Journal {
        from,
        to,
        saved_owners,
        ..
    } = &entry.journal;
    let registry_names = Sides {
        from: &saved_owners.from.names,
        to: &saved_owners.to.names,
    };
    match pair(journals, &entry.name, from, to, registry_names) {
        Ok(paired) => reject_changed_records(&paired, &entry.journal)
            .err()
            .map(|drift| drift.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// How far the weights that a journal says were written are from the original ones: the difference of the
/// shares of `to`, in hundredths of a percent.
fn distance(journal: &Journal) -> u16 {
    let Journal {
        original, written, ..
    } = journal;
    let share = |weights: &Weights| weights.percent().hundredths();
    let distances = written.iter().filter_map(|(record_type, weights)| {
        let original = original.get(record_type)?;
        Some(share(weights).abs_diff(share(original)))
    });
    distances.max().unwrap_or_default()
}

/// The executions with a journal that is marked as completed. Such a mark is written when all names have
/// reached 100 percent. If a name has other weights or a lower percent, an older journal was put back, or
/// another writer has changed the name, and the names are restored.
fn completed_executions(zone: &Zone, all: &[JournalEntry<'_>]) -> BTreeSet<ExecutionIdentity> {
    let mut completed: BTreeSet<_> = all
        .iter()
        .filter(|entry| entry.journal.completed)
        .map(|entry| entry.journal.execution.clone())
        .collect();
    for entry in all {
        if entry.journal.percent < Percent::ALL || !entry.has_written_weights(zone) {
            completed.remove(&entry.journal.execution);
        }
    }
    completed
}

/// The records of the rollbacks after which another writer has put back some of these journals. For a person
/// who requests a rollback of names, such journals count: the person sees the names.
async fn records_of_put_back<R, E: Executions>(
    migration: &MigrationScope,
    entries: &[JournalEntry<'_>],
    services: Services<'_, R, E>,
) -> Result<BTreeSet<String>, Error> {
    let records = entries.iter().map(|entry| entry.journal.rollback_record());
    let records = records.filter(|record| !migration.restored.contains(record));
    recorded_rollbacks(records.collect(), services.executions).await
}

/// The executions whose journals a target covers. Of those that a migration has adopted, also how often they were
/// redriven.
async fn executions_in_scope<R: Route53, E: Executions>(
    target: &RollbackTarget,
    all: &[JournalEntry<'_>],
    services: Services<'_, R, E>,
) -> Result<BTreeMap<ExecutionIdentity, Option<u32>>, Error> {
    let migration = match &target.scope {
        Scope::Migration(migration) => migration,
        Scope::Names { .. } => {
            let covered = all
                .iter()
                .filter(|entry| target.covers_journal(entry, services));
            return Ok(covered
                .map(|entry| (entry.journal.execution.clone(), None))
                .collect());
        }
    };
    let own: Vec<_> = all
        .iter()
        .map(|entry| &entry.journal)
        .filter(|journal| migration.is(&journal.execution, services))
        .collect();
    let mut in_scope: BTreeMap<_, _> = own
        .iter()
        .map(|journal| (journal.execution.clone(), None))
        .collect();
    // Before the first shift only the request of the migration itself lists what it adopts.
    let mut adopted = migration.adopted.clone();
    adopted.extend(
        own.iter()
            .flat_map(|journal| journal.adopted.iter().cloned()),
    );
    for other in adopted {
        // An execution that was redriven since it was adopted runs again, with the names that were not taken
        // over.
        let described = services.describe(&other).await?;
        if described.as_ref().is_some_and(Execution::is_running) {
            continue;
        }
        let redrives = described.map_or(0, |described| described.redrive_count);
        in_scope.entry(other).or_insert(Some(redrives));
    }
    Ok(in_scope)
}

impl<'a> SelectedJournals<'a> {
    /// Adds the journal of a name if the target trusts whoever has signed it. Otherwise it is a problem.
    fn add_untrusted(
        &mut self,
        target: &RollbackTarget,
        journals: &Journals<'a>,
        name: &RecordName,
        problem: &UntrustedJournal,
    ) {
        let unverified = journals.unverified_at(name);
        let (foreign, advice) = match (unverified, &target.scope) {
            (
                Ok(Some(entry)),
                Scope::Names {
                    trusts_foreign_journals: true,
                    ..
                },
            ) => (Some(entry), String::new()),
            (Ok(Some(entry)), Scope::Names { .. }) => (None, describe_unverified(&entry.journal)),
            _ => (None, String::new()),
        };
        match foreign {
            Some(entry) => {
                self.foreign.insert(name.clone());
                self.entries.push(entry);
            }
            None => self
                .problems
                .push(format!("{name} is not restored: {problem}{advice}")),
        }
    }

    /// The executions of the trusted journals.
    pub(crate) fn identities(&self) -> BTreeSet<ExecutionIdentity> {
        let entries = self.entries.iter().chain(&self.completed);
        entries
            .filter(|entry| !self.foreign.contains(&entry.name))
            .map(|entry| entry.journal.execution.clone())
            .collect()
    }

    /// The names of these executions.
    pub(crate) fn executions(&self) -> BTreeSet<String> {
        let identities = self.identities();
        identities
            .iter()
            .map(|identity| identity.name().to_owned())
            .collect()
    }

    /// Whether there is nothing to restore, to delete or to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.completed.is_empty() && self.problems.is_empty()
    }

    pub(crate) fn retain_executions(&mut self, executions: &BTreeSet<String>) {
        self.remove(|execution| !executions.contains(execution.name()));
    }

    /// Removes the trusted journals of executions.
    pub(crate) fn remove(&mut self, is_removed: impl Fn(&ExecutionIdentity) -> bool) {
        let is_retained = |entry: &JournalEntry<'_>| {
            self.foreign.contains(&entry.name) || !is_removed(&entry.journal.execution)
        };
        self.entries.retain(is_retained);
        self.completed.retain(is_retained);
    }
}

impl RollbackTarget {
    /// Whether the target covers a name, regardless of the execution of its journal. A migration does not cover a name
    /// without a record of its sides: it may be a name of another migration, in the same zone.
    fn covers_name(&self, zone: &Zone, name: &RecordName) -> bool {
        match &self.scope {
            Scope::Migration(migration) => migration.input.as_ref().is_none_or(|input| {
                let has_record_of = |side| zone.has_record_of(name, side);
                input.selects(name) && (has_record_of(&input.from) || has_record_of(&input.to))
            }),
            Scope::Names { patterns, .. } => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }

    fn covers_journal<R, E: Executions>(
        &self,
        entry: &JournalEntry<'_>,
        services: Services<'_, R, E>,
    ) -> bool {
        match &self.scope {
            Scope::Migration(migration) => {
                self.is_own(entry, services) || migration.may_adopt(entry)
            }
            Scope::Names { patterns, .. } => {
                patterns.iter().any(|pattern| pattern.matches(&entry.name))
            }
        }
    }

    fn is_own<R, E: Executions>(
        &self,
        entry: &JournalEntry<'_>,
        services: Services<'_, R, E>,
    ) -> bool {
        match &self.scope {
            Scope::Migration(migration) => migration.is(&entry.journal.execution, services),
            Scope::Names { .. } => true,
        }
    }
}

impl MigrationScope {
    /// Whether this is a journal at one of the migration's names that it adopts if its plan lists the
    /// journal's execution.
    fn may_adopt(&self, entry: &JournalEntry<'_>) -> bool {
        let Journal { from, to, .. } = &entry.journal;
        let has_same_sides = |input: &Input| input.from.matches(from) && input.to.matches(to);
        self.input
            .as_ref()
            .is_some_and(|input| has_same_sides(input) && input.selects(&entry.name))
    }
}

fn describe_put_back(entry: &JournalEntry<'_>) -> String {
    let JournalEntry { name, journal, .. } = entry;
    format!(
        "{name} is not restored: the execution {} was rolled back already, and another writer has put its journal back; \
         if the weights of {name} are right, delete the TXT record {}; if not, roll back with hostedZoneId and names",
        journal.execution.name(),
        name.journal()
    )
}

/// The weights that a rollback would write that trusts a journal.
fn describe_unverified(journal: &Journal) -> String {
    let mut weights = BTreeMap::new();
    count_weights(&mut weights, &journal.original);
    let weights: Vec<_> = weights.into_keys().collect();
    format!(
        "; it says that the original weights ({}/{}) were {}: if they were, and the key of the stack that wrote it is \
         lost, roll back with hostedZoneId, names and \"trustForeignJournals\": true, which writes them",
        journal.from,
        journal.to,
        weights.join(", ")
    )
}
