//! Whose journals stand in a zone, and which of them an order is for.

use std::collections::BTreeSet;

use migration::executions::{Executions, Status};
use migration::input::Input;
use migration::journal::Journal;
use migration::record::RecordSet;
use migration::zone::Zone;
use migration::{Error, RecordName};

use crate::orders::{OfMigration, Order, Whose};

/// A journal to be undone.
pub(crate) struct Undo<'a> {
    pub(crate) name: RecordName,
    pub(crate) read: &'a RecordSet,
    pub(crate) journal: Journal,
}

/// The journals in a zone that an order is for.
#[derive(Default)]
pub(crate) struct Selected<'a> {
    /// In the order in which they are to be undone.
    pub(crate) undos: Vec<Undo<'a>>,
    /// Journals of migrations that have completed, the marked one of each last: only to be taken away.
    pub(crate) completed: Vec<Undo<'a>>,
    /// Journals that can't be read. Whose they are can't be told, so each is a problem of every
    /// order for its name.
    pub(crate) problems: Vec<String>,
}

/// Selects the journals that `order` is for.
///
/// The order among them is the one that [`migration::change::close`] relies on: an
/// execution's first name comes before its other names. What the execution went on from comes
/// before its own names, because only those tell a later attempt that it went on at all.
pub(crate) async fn select<'a>(
    order: &Order,
    zone: &'a Zone,
    executions: &impl Executions,
) -> Result<Selected<'a>, Error> {
    let mut selected = Selected::default();
    let mut all = Vec::new();
    for name in zone.journaled_names() {
        match zone.journal(&name) {
            Ok(Some((read, journal))) => all.push(Undo {
                name,
                read,
                journal,
            }),
            Err(problem) if order.is_for(&name) => {
                let line = format!("{name} is not restored: {problem}");
                selected.problems.push(line);
            }
            Ok(None) | Err(_) => {}
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let completed: BTreeSet<_> = all
        .iter()
        .filter(|undo| undo.journal.completed)
        .map(|undo| undo.journal.execution.clone())
        .collect();

    let executions_of = executions_of(order, &all, executions).await?;
    let (mut undos, own): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|undo| executions_of.contains(&undo.journal.execution))
        // All journals of a migration that has completed go together.
        .filter(|undo| completed.contains(&undo.journal.execution) || order.concerns(undo))
        .partition(|undo| !order.is_own(undo));
    undos.extend(own);
    (selected.completed, selected.undos) = undos
        .into_iter()
        .partition(|undo| completed.contains(&undo.journal.execution));
    selected
        .completed
        .sort_by_key(|undo| undo.journal.completed);
    Ok(selected)
}

/// The executions whose journals an order is for.
async fn executions_of(
    order: &Order,
    all: &[Undo<'_>],
    executions: &impl Executions,
) -> Result<BTreeSet<String>, Error> {
    let of = match &order.whose {
        Whose::Migration(of) => of,
        Whose::Names(_) => {
            let concerned = all.iter().filter(|undo| order.concerns(undo));
            return Ok(concerned
                .map(|undo| undo.journal.execution.clone())
                .collect());
        }
    };
    let mut of_it = BTreeSet::from([of.name.clone()]);
    let has_begun = all.iter().any(|undo| undo.journal.execution == of.name);
    for undo in all.iter().filter(|undo| of.may_go_on_from(undo)) {
        let other = &undo.journal.execution;
        // It takes others over with its first shift; before that only if it says so itself.
        let is_gone_on_from = has_begun || of.adopted.contains(other);
        if is_gone_on_from
            && !of_it.contains(other)
            && executions
                .describe(other)
                .await?
                .is_some_and(|execution| execution.status == Status::Unsuccessful)
        {
            of_it.insert(other.clone());
        }
    }
    Ok(of_it)
}

impl Order {
    /// Whether the order is for a name at all, whoever's journal stands there.
    fn is_for(&self, name: &RecordName) -> bool {
        match &self.whose {
            Whose::Migration(of) => of.input.as_ref().is_none_or(|input| input.selects(name)),
            Whose::Names(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }

    fn concerns(&self, undo: &Undo<'_>) -> bool {
        match &self.whose {
            Whose::Migration(of) => self.is_own(undo) || of.may_go_on_from(undo),
            Whose::Names(_) => self.is_for(&undo.name),
        }
    }

    fn is_own(&self, undo: &Undo<'_>) -> bool {
        match &self.whose {
            Whose::Migration(of) => undo.journal.execution == of.name,
            Whose::Names(_) => true,
        }
    }
}

impl OfMigration {
    /// Whether this is the journal of another execution that this one's plan lets it go on from,
    /// if that other has ended.
    fn may_go_on_from(&self, undo: &Undo<'_>) -> bool {
        let Journal { from, to, .. } = &undo.journal;
        let is_alike = |input: &Input| (&input.from, &input.to) == (from, to);
        self.input
            .as_ref()
            .is_some_and(|input| is_alike(input) && input.selects(&undo.name))
    }
}
