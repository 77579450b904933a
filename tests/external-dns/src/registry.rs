//! The owners of a zone's records, from the registry TXT records, and the cache of both.
//!
//! Source: `registry/txt/registry.go`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use migration::dns::{RecordData, RecordSet, RecordType, Routing};
use migration::dns::{RecordName, SetIdentifier};

use crate::labels::Labels;
use crate::names::{NameMapper, unescaped, with_wildcard_replaced};
use crate::planner::{Labeled, Plan, targets};
use crate::settings::{Generation, Settings};

/// The TTL of registry TXT records, and of records without a TTL of their own
/// (`defaultTTL` of `provider/aws/aws.go`).
pub(crate) const DEFAULT_TTL_SECONDS: u32 = 300;

/// A record and its labels in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    /// The record as the version takes it. Up to v0.15, every alias is an A.
    pub(crate) record_set: RecordSet,
    /// Its type in the zone.
    pub(crate) listed_type: RecordType,
    pub(crate) labels: Labels,
    /// This instance owns the record, and the zone lacks a TXT that this version writes
    /// for it, under any set identifier. ExternalDNS then updates the record even if it
    /// has not changed.
    pub(crate) lacks_text: bool,
}

/// The records and registry TXT records of a zone.
#[derive(Debug)]
pub(crate) struct Registry {
    generation: Generation,
    mapper: NameMapper,
    texts: BTreeSet<(RecordName, Option<SetIdentifier>)>,
    /// The A, AAAA and CNAME records.
    pub(crate) records: Vec<Owned>,
    /// The zone's name, that of its SOA record.
    pub(crate) zone: Option<RecordName>,
    /// The number of passes that may still use these records.
    passes_left: u32,
}

impl Registry {
    pub(crate) fn read(settings: &Settings, current: &[RecordSet]) -> Self {
        let zone = current
            .iter()
            .find(|record_set| record_set.record_type == RecordType::from("SOA"));
        let mut registry = Self {
            generation: settings.generation,
            mapper: settings.mapper(),
            texts: BTreeSet::new(),
            records: Vec::new(),
            zone: zone.map(|soa| soa.name.clone()),
            passes_left: settings.cached_passes,
        };
        // The model has set identifiers for weighted records only, so other routing is left out.
        let current: Vec<_> = current
            .iter()
            .filter(|record_set| !matches!(record_set.routing, Routing::Other(_)))
            .map(|record_set| {
                (
                    as_read(settings.generation, record_set),
                    &record_set.record_type,
                )
            })
            .collect();
        let mut labels_by_key = BTreeMap::new();
        let mut text_names = BTreeSet::new();
        for (record_set, _) in &current {
            if record_set.record_type != RecordType::Txt {
                continue;
            }
            let Some(labels) = record_set
                .values()
                .first()
                .and_then(|value| Labels::read_by(settings.generation, value))
            else {
                continue;
            };
            let set_identifier = set_identifier(record_set);
            text_names.insert(record_set.name.clone());
            registry
                .texts
                .insert((record_set.name.clone(), set_identifier.clone()));
            if let Some((name, record_type)) =
                registry.mapper.record_of(&unescaped(&record_set.name))
            {
                labels_by_key.insert((name, record_type, set_identifier), labels);
            }
        }
        for (record_set, listed_type) in current {
            if !record_set.record_type.moves() {
                continue;
            }
            // The replacement as the flag has it, while the names of the TXT have it in lower case.
            let name = with_wildcard_replaced(
                &unescaped(&record_set.name),
                &settings.wildcard_replacement,
            );
            let labels = registry
                .types_to_read(&record_set)
                .into_iter()
                .find_map(|record_type| {
                    let key = (name.clone(), record_type, set_identifier(&record_set));
                    labels_by_key.get(&key)
                })
                .cloned()
                .unwrap_or_default();
            // This ignores the set identifier, unlike `has_text`.
            let lacks_text = labels.owner() == Some(settings.owner.as_str())
                && registry
                    .texts_of(&record_set, &labels)
                    .iter()
                    .any(|text| !text_names.contains(&text.name));
            registry.records.push(Owned {
                record_set: record_set.into_owned(),
                listed_type: listed_type.clone(),
                labels,
                lacks_text,
            });
        }
        registry
    }

    /// The records for one more pass without a read; `None` if the cache has expired. It
    /// has forgotten which TXT exist.
    pub(crate) fn cached(mut self) -> Option<Self> {
        self.passes_left = self.passes_left.checked_sub(1)?;
        self.texts.clear();
        Some(self)
    }

    /// Changes the records as a pass has planned it, for the next pass. The cache has these
    /// changes even if Route 53 refuses them.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let old = plan.update.iter().map(|(old, _)| old);
        let new = plan.update.iter().map(|(_, new)| new);
        self.add(&plan.create);
        for Labeled { record_set, .. } in plan.delete.iter().chain(old) {
            let same = |owned: &Owned| {
                let other = &owned.record_set;
                other.name == record_set.name
                    && other.record_type == record_set.record_type
                    && set_identifier(other) == set_identifier(record_set)
                    && targets(&other.data) == targets(&record_set.data)
            };
            if let Some(position) = self.records.iter().position(same) {
                self.records.remove(position);
            }
        }
        self.add(new);
    }

    fn add<'l>(&mut self, added: impl IntoIterator<Item = &'l Labeled>) {
        self.records.extend(added.into_iter().map(|labeled| Owned {
            record_set: labeled.record_set.clone(),
            listed_type: labeled.record_set.record_type.clone(),
            labels: labeled.labels.clone(),
            lacks_text: false,
        }));
    }

    /// Whether the zone has a TXT with this name and set identifier, of any owner.
    pub(crate) fn has_text(&self, text: &RecordSet) -> bool {
        self.texts
            .contains(&(text.name.clone(), set_identifier(text)))
    }

    /// The registry TXT records of a record. They have its routing and health check, and
    /// the default TTL. A TXT with too long a name is left out.
    pub(crate) fn texts_of(&self, record_set: &RecordSet, labels: &Labels) -> Vec<RecordSet> {
        let name = unescaped(&record_set.name);
        let typed = self.mapper.text_name(&name, self.type_to_write(record_set));
        let untyped = (self.generation <= Generation::WithUntyped
            && record_set.record_type != RecordType::Aaaa)
            .then(|| self.mapper.untyped_text_name(&name))
            .flatten();
        untyped
            .into_iter()
            .chain([typed])
            .filter_map(|name| name.parse().ok())
            .map(|name| RecordSet {
                name,
                record_type: RecordType::Txt,
                routing: record_set.routing.clone(),
                data: RecordData::Values {
                    ttl_seconds: DEFAULT_TTL_SECONDS,
                    values: vec![labels.to_string()],
                },
                health_check_id: record_set.health_check_id.clone(),
                traffic_policy_instance_id: None,
            })
            .collect()
    }

    fn type_to_write<'r>(&self, record_set: &'r RecordSet) -> &'r RecordType {
        if self.generation < Generation::OwnType && is_alias_a(record_set) {
            &RecordType::Cname
        } else {
            &record_set.record_type
        }
    }

    /// The types that the name of a record's TXT may contain, the preferred one first.
    fn types_to_read(&self, record_set: &RecordSet) -> Vec<Option<RecordType>> {
        let own = record_set.record_type.clone();
        let mut types = match self.generation {
            _ if !is_alias_a(record_set) => vec![Some(own)],
            Generation::OwnType => vec![Some(own), Some(RecordType::Cname)],
            _ => vec![Some(RecordType::Cname)],
        };
        if record_set.record_type != RecordType::Aaaa {
            types.push(None);
        }
        types
    }
}

/// The record as a version takes it (`records` of `provider/aws/aws.go`).
fn as_read(generation: Generation, record_set: &RecordSet) -> Cow<'_, RecordSet> {
    let is_alias = matches!(record_set.data, RecordData::Alias { .. });
    if generation == Generation::DualstackLabel && is_alias {
        Cow::Owned(RecordSet {
            record_type: RecordType::A,
            ..record_set.clone()
        })
    } else {
        Cow::Borrowed(record_set)
    }
}

/// The set identifier of a weighted record.
pub(crate) fn set_identifier(record_set: &RecordSet) -> Option<SetIdentifier> {
    record_set
        .weighted()
        .map(|(identifier, _)| identifier.clone())
}

pub(crate) fn is_alias_a(record_set: &RecordSet) -> bool {
    record_set.record_type == RecordType::A && matches!(record_set.data, RecordData::Alias { .. })
}
