//! One pass without I/O: computes the batch of changes from the zone and the annotations.
//!
//! Source: `ApplyChanges` of `registry/txt/registry.go` and of
//! `provider/aws/aws.go`, there also `newChange`, `requiresDeleteCreate`,
//! `changesByZone` and `sortChangesByActionNameType`.

use std::cmp::Reverse;
use std::fmt;

use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType};

use crate::names::unescaped;
use crate::planner::{Endpoint, Labeled, plan};
use crate::registry::{DEFAULT_TTL_SECONDS, Registry, is_alias_a};
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
    /// A record without a TTL is written with the default TTL.
    fn new(action: Action, record_set: &RecordSet, owned_name: &RecordName) -> Self {
        let mut record_set = record_set.clone();
        if let RecordData::Values { ttl_seconds, .. } = &mut record_set.data
            && *ttl_seconds == 0
        {
            *ttl_seconds = DEFAULT_TTL_SECONDS;
        }
        Self {
            action,
            record_set,
            owned_name: owned_name.clone(),
        }
    }

    /// The change of a record; up to v0.15, that of a dual-stack alias A and the same with
    /// AAAA.
    fn of(generation: Generation, action: Action, labeled: &Labeled) -> Vec<Self> {
        let Labeled { record_set, labels } = labeled;
        let mut changes = vec![Self::new(action, record_set, &record_set.name)];
        let is_old = generation == Generation::DualstackLabel;
        if is_old && is_alias_a(record_set) && labels.is_dualstack() {
            let aaaa = RecordSet {
                record_type: RecordType::Aaaa,
                ..record_set.clone()
            };
            changes.push(Self::new(action, &aaaa, &record_set.name));
        }
        changes
    }
}

/// The batch that changes the zone's `current` records to the `desired` ones, in the
/// order in which ExternalDNS sends it; empty if there is nothing to change.
///
/// The zone's name is that of its SOA record. Names outside the zone are left out, such
/// as the TXT `a-example.com` of an A record at the apex of `example.com`.
pub fn reconcile(settings: &Settings, desired: &[Endpoint], current: &[RecordSet]) -> Vec<Change> {
    reconcile_registry(settings, desired, &mut Registry::read(settings, current))
}

/// The batch as [`reconcile()`] has it. With a cache, the registry then is as the batch leaves it.
pub(crate) fn reconcile_registry(
    settings: &Settings,
    desired: &[Endpoint],
    registry: &mut Registry,
) -> Vec<Change> {
    let plan = plan(settings, desired, registry);

    let mut changes = Vec::new();
    for labeled in &plan.create {
        changes.extend(Change::of(settings.generation, Action::Create, labeled));
        changes.extend(texts(Action::Create, labeled, registry, |text| {
            settings.generation <= Generation::WithUntyped || !registry.has_text(text)
        }));
    }
    for labeled in &plan.delete {
        changes.extend(Change::of(settings.generation, Action::Delete, labeled));
        changes.extend(texts(Action::Delete, labeled, registry, |_| true));
    }
    for (old, new) in &plan.update {
        // If an A changes between alias and values, ExternalDNS sends DELETE and CREATE. Its TXT is still an UPSERT.
        if is_alias_a(&old.record_set) == is_alias_a(&new.record_set) {
            changes.extend(Change::of(settings.generation, Action::Upsert, new));
        } else {
            changes.extend(Change::of(settings.generation, Action::Delete, old));
            changes.extend(Change::of(settings.generation, Action::Create, new));
        }
        changes.extend(texts(Action::Upsert, new, registry, |_| true));
    }
    if settings.cached_passes > 0 {
        registry.apply(&plan);
    }

    if let Some(zone) = &registry.zone {
        changes.retain(|change| change.record_set.name.is_in(zone));
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

/// The changes of the TXT records of a record that are `wanted`.
fn texts(
    action: Action,
    labeled: &Labeled,
    registry: &Registry,
    wanted: impl Fn(&RecordSet) -> bool,
) -> Vec<Change> {
    let Labeled { record_set, labels } = labeled;
    registry
        .texts_of(record_set, labels)
        .iter()
        .filter(|text| wanted(text))
        .map(|text| Change::new(action, text, &record_set.name))
        .collect()
}
