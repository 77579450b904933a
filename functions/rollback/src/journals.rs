//! Selects the journals in a zone that a target covers.

use std::collections::BTreeSet;

use migration::Error;
use migration::dns::{Percent, RecordName, Zone};
use migration::executions::{Execution, Executions, Status};
use migration::input::Input;
use migration::journal::{Journal, JournalEntry, journal_at};

use crate::targets::{MigrationScope, RollbackTarget, Scope};

#[derive(Default)]
pub(crate) struct SelectedJournals<'a> {
    /// To be restored, in this order.
    pub(crate) entries: Vec<JournalEntry<'a>>,
    /// Of completed migrations, to be deleted in this order: the marked journal of each migration last.
    pub(crate) completed: Vec<JournalEntry<'a>>,
    /// Journals that can't be read. Their executions are unknown, so each is a problem of every target
    /// that covers its name.
    pub(crate) problems: Vec<String>,
}

/// The order of `entries` matters. An execution's first name comes before its other names, as
/// [`complete()`](migration::change::complete()) requires. The journals that an execution adopted come
/// before its own, because only its own show a later attempt that it had begun, and so had adopted
/// others.
pub(crate) async fn select_journals<'a>(
    target: &RollbackTarget,
    zone: &'a Zone,
    executions: &impl Executions,
) -> Result<SelectedJournals<'a>, Error> {
    let mut selected = SelectedJournals::default();
    let mut all = Vec::new();
    for name in zone.journaled_names() {
        match journal_at(zone, &name) {
            Ok(Some(entry)) => all.push(entry),
            Err(problem) if target.covers_name(&name) => {
                let line = format!("{name} is not restored: {problem}");
                selected.problems.push(line);
            }
            Ok(None) | Err(_) => {}
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let completed = completed_executions(&all);

    let executions_in_scope = executions_in_scope(target, &all, executions).await?;
    let (mut entries, own): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|entry| executions_in_scope.contains(&entry.journal.execution))
        // The journals of a completed migration are deleted together, whatever names are requested.
        .filter(|entry| {
            completed.contains(&entry.journal.execution) || target.covers_journal(entry)
        })
        .partition(|entry| !target.is_own(entry));
    entries.extend(own);
    (selected.completed, selected.entries) = entries
        .into_iter()
        .partition(|entry| completed.contains(&entry.journal.execution));
    selected
        .completed
        .sort_by_key(|entry| entry.journal.completed);
    Ok(selected)
}

/// The executions with a journal that is marked as completed. Such a mark is written when all names have
/// reached 100 percent; at a lower one another writer has added it, and the names are restored.
fn completed_executions(all: &[JournalEntry<'_>]) -> BTreeSet<String> {
    let mut completed: BTreeSet<_> = all
        .iter()
        .filter(|entry| entry.journal.completed)
        .map(|entry| entry.journal.execution.clone())
        .collect();
    for entry in all {
        if entry.journal.percent < Percent::ALL {
            completed.remove(&entry.journal.execution);
        }
    }
    completed
}

/// The executions whose journals a target covers.
async fn executions_in_scope(
    target: &RollbackTarget,
    all: &[JournalEntry<'_>],
    executions: &impl Executions,
) -> Result<BTreeSet<String>, Error> {
    let migration = match &target.scope {
        Scope::Migration(migration) => migration,
        Scope::Names(_) => {
            let covered = all.iter().filter(|entry| target.covers_journal(entry));
            return Ok(covered
                .map(|entry| entry.journal.execution.clone())
                .collect());
        }
    };
    let mut in_scope = BTreeSet::from([migration.name.clone()]);
    let has_begun = all
        .iter()
        .any(|entry| entry.journal.execution == migration.name);
    for entry in all.iter().filter(|entry| migration.may_adopt(entry)) {
        let other = &entry.journal.execution;
        // An execution adopts others with its first shift; before it, only its own request lists them.
        let is_adopted = has_begun || migration.adopted.contains(other);
        if !is_adopted || in_scope.contains(other) {
            continue;
        }
        // One that started later has adopted this migration's journals, and not the reverse.
        let may_be_adopted = |execution: Execution| {
            execution.status == Status::Unsuccessful
                && Some(execution.started_at) <= migration.started_at
        };
        if executions
            .describe(other)
            .await?
            .is_some_and(may_be_adopted)
        {
            in_scope.insert(other.clone());
        }
    }
    Ok(in_scope)
}

impl SelectedJournals<'_> {
    /// The executions of the journals.
    pub(crate) fn executions(&self) -> BTreeSet<String> {
        let entries = self.entries.iter().chain(&self.completed);
        entries
            .map(|entry| entry.journal.execution.clone())
            .collect()
    }

    /// Whether there is nothing to restore, to delete or to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.completed.is_empty() && self.problems.is_empty()
    }

    pub(crate) fn retain_executions(&mut self, executions: &BTreeSet<String>) {
        self.retain(|execution| executions.contains(execution));
    }

    pub(crate) fn remove_executions(&mut self, executions: &BTreeSet<&String>) {
        self.retain(|execution| !executions.contains(execution));
    }

    fn retain(&mut self, is_retained: impl Fn(&String) -> bool) {
        let is_retained = |entry: &JournalEntry<'_>| is_retained(&entry.journal.execution);
        self.entries.retain(is_retained);
        self.completed.retain(is_retained);
    }
}

impl RollbackTarget {
    /// Whether the target covers a name, regardless of the execution of its journal.
    fn covers_name(&self, name: &RecordName) -> bool {
        match &self.scope {
            Scope::Migration(migration) => migration
                .input
                .as_ref()
                .is_none_or(|input| input.selects(name)),
            Scope::Names(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }

    fn covers_journal(&self, entry: &JournalEntry<'_>) -> bool {
        match &self.scope {
            Scope::Migration(migration) => self.is_own(entry) || migration.may_adopt(entry),
            Scope::Names(_) => self.covers_name(&entry.name),
        }
    }

    fn is_own(&self, entry: &JournalEntry<'_>) -> bool {
        match &self.scope {
            Scope::Migration(migration) => entry.journal.execution == migration.name,
            Scope::Names(_) => true,
        }
    }
}

impl MigrationScope {
    /// Whether this is a journal that the migration adopts if the journal's execution has ended
    /// unsuccessfully.
    fn may_adopt(&self, entry: &JournalEntry<'_>) -> bool {
        let Journal { from, to, .. } = &entry.journal;
        let has_same_sides = |input: &Input| (&input.from, &input.to) == (from, to);
        self.input
            .as_ref()
            .is_some_and(|input| has_same_sides(input) && input.selects(&entry.name))
    }
}
