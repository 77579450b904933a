//! One pass without I/O: computes the batch of changes from the zone and the annotations.
//!
//! Source: `ApplyChanges` of `registry/txt/registry.go` and of
//! `provider/aws/aws.go`, there also `newChange`, `requiresDeleteCreate`,
//! `changesByZone` and `sortChangesByActionNameType`.

use std::cmp::Reverse;
use std::fmt;

use migration::dns::RecordName;
use migration::dns::{RecordSet, RecordType};

use crate::names::unescaped;
use crate::planner::{Endpoint, Labeled, Plan, plan};
use crate::registry::{Registry, is_alias_a};
use crate::settings::{Generation, Settings};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Requires that the record set does not exist.
    Create,
    /// Requires that the record set exists and is equal in every field.
    Delete,
    /// Replaces the record set with the same name, type and set identifier, or creates it.
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
    pub action: Action,
    pub record_set: RecordSet,
    /// The record's name; for a TXT, the name of the record that it belongs to. Changes
    /// with the same owned name are sent in one batch.
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

/// The batch that changes the zone's `current` records to the `desired` ones, in the
/// order in which ExternalDNS sends it; empty if there is nothing to change.
///
/// The zone's name is that of its SOA record. Names outside the zone are left out, such
/// as the TXT `a-example.com` of an A record at the apex of `example.com`.
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
        // If an A changes between alias and values, ExternalDNS sends DELETE and CREATE. Its TXT is still an UPSERT.
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

/// Adds the change of a record, and of its TXT records that are `wanted`.
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
