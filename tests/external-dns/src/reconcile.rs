//! One pass without its I/O: from a zone and the annotations to a batch of changes.
//!
//! Source: `ApplyChanges` of `registry/txt/registry.go` and of
//! `provider/aws/aws.go`, there also `newChange`, `requiresDeleteCreate`,
//! `changesByZone` and `sortChangesByActionNameType`.

use std::cmp::Reverse;
use std::fmt;

use migration::RecordName;
use migration::record::{RecordSet, RecordType};

use crate::names::unescaped;
use crate::planner::{Endpoint, Labeled, Plan, plan};
use crate::registry::{Registry, is_alias_a};
use crate::settings::{Generation, Settings};

/// What is done to a record set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It must not exist.
    Create,
    /// It must exist, equal in every field.
    Delete,
    /// Whatever has its name, type and set identifier is replaced.
    Upsert,
}

impl Action {
    /// The action as Route 53 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Upsert => "UPSERT",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// To which record set.
    pub record_set: RecordSet,
    /// The record's name, for a TXT that of the record it claims: what has the
    /// same owned name goes into one batch.
    pub owned_name: RecordName,
}

impl Change {
    fn new(action: Action, record_set: &RecordSet, owned_name: &RecordName) -> Self {
        Self {
            action,
            record_set: record_set.clone(),
            owned_name: owned_name.clone(),
        }
    }
}

/// The batch by which an instance brings the zone's `current` records to the
/// `desired` ones, in the order in which it sends them; empty if nothing is to be done.
///
/// The name of the zone is that of its SOA record. What would stand outside is left
/// out, such as the TXT `a-example.com` of the record at the top of `example.com`.
pub fn reconcile(settings: &Settings, desired: &[Endpoint], current: &[RecordSet]) -> Vec<Change> {
    let registry = Registry::read(settings, current);
    let Plan {
        create,
        update,
        delete,
    } = plan(settings, desired, &registry);

    let mut changes = Vec::new();
    for labeled in &create {
        push(&mut changes, Action::Create, labeled, &registry, |text| {
            settings.generation == Generation::WithUntyped || !registry.has_text(text)
        });
    }
    for labeled in &delete {
        push(&mut changes, Action::Delete, labeled, &registry, |_| true);
    }
    for (old, new) in &update {
        let position = changes.len();
        push(&mut changes, Action::Upsert, new, &registry, |_| true);
        // An A can't become an alias, or cease to be one, by an UPSERT; its TXT can stay one.
        if is_alias_a(&old.record_set) != is_alias_a(&new.record_set) {
            let name = &new.record_set.name;
            changes.splice(
                position..=position,
                [
                    Change::new(Action::Delete, &old.record_set, name),
                    Change::new(Action::Create, &new.record_set, name),
                ],
            );
        }
    }

    if let Some(zone) = current
        .iter()
        .find(|record_set| record_set.record_type == RecordType::from("SOA"))
    {
        changes.retain(|change| change.record_set.name.is_in(&zone.name));
    }
    changes.sort_by_cached_key(|change| {
        (
            Reverse(change.action.as_str()),
            unescaped(&change.record_set.name),
            change.record_set.record_type.to_string(),
        )
    });
    changes
}

/// The change of a record, and with it of those of its TXT that are `wanted`.
fn push(
    changes: &mut Vec<Change>,
    action: Action,
    labeled: &Labeled,
    registry: &Registry<'_>,
    wanted: impl Fn(&RecordSet) -> bool,
) {
    let Labeled { record_set, labels } = labeled;
    changes.push(Change::new(action, record_set, &record_set.name));
    changes.extend(
        registry
            .texts_of(record_set, labels)
            .iter()
            .filter(|text| wanted(text))
            .map(|text| Change::new(action, text, &record_set.name)),
    );
}
