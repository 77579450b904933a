//! The owners of a zone's records, from the registry TXT records.
//!
//! Source: `registry/txt/registry.go`.

use std::collections::{BTreeMap, BTreeSet};

use migration::dns::{RecordData, RecordSet, RecordType, Routing};
use migration::dns::{RecordName, SetIdentifier};

use crate::labels::Labels;
use crate::names::{NameMapper, unescaped};
use crate::settings::{Generation, Settings};

/// The TTL of registry TXT records, and of records without a TTL of their own
/// (`defaultTTL` of `provider/aws/aws.go`).
pub(crate) const DEFAULT_TTL_SECONDS: u32 = 300;

/// A record and its labels in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) record_set: RecordSet,
    pub(crate) labels: Labels,
    /// This instance owns the record, and the zone lacks a TXT that this version writes
    /// for it, under any set identifier. ExternalDNS then updates the record even if it
    /// has not changed.
    pub(crate) lacks_text: bool,
}

/// The records and registry TXT records of a zone.
pub(crate) struct Registry<'a> {
    settings: &'a Settings,
    mapper: NameMapper,
    texts: BTreeSet<(RecordName, Option<SetIdentifier>)>,
    /// The A, AAAA and CNAME records.
    pub(crate) records: Vec<Owned>,
}

impl<'a> Registry<'a> {
    pub(crate) fn read(settings: &'a Settings, current: &[RecordSet]) -> Self {
        let mut registry = Self {
            settings,
            mapper: settings.mapper(),
            texts: BTreeSet::new(),
            records: Vec::new(),
        };
        // The model has set identifiers for weighted records only, so other routing is left out.
        let current = current
            .iter()
            .filter(|record_set| !matches!(record_set.routing, Routing::Other(_)));
        let mut labels_by_key = BTreeMap::new();
        let mut text_names = BTreeSet::new();
        for record_set in current.clone() {
            if record_set.record_type != RecordType::Txt {
                continue;
            }
            let Some(labels) = record_set
                .values()
                .first()
                .and_then(|value| Labels::read(value))
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
        for record_set in current.filter(|record_set| record_set.record_type.moves()) {
            let name = registry
                .mapper
                .with_wildcard_replaced(&unescaped(&record_set.name));
            let labels = registry
                .types_to_read(record_set)
                .into_iter()
                .find_map(|record_type| {
                    let key = (name.clone(), record_type, set_identifier(record_set));
                    labels_by_key.get(&key)
                })
                .cloned()
                .unwrap_or_default();
            // This ignores the set identifier, unlike `has_text`.
            let lacks_text = labels.owner() == Some(settings.owner.as_str())
                && registry
                    .texts_of(record_set, &labels)
                    .iter()
                    .any(|text| !text_names.contains(&text.name));
            registry.records.push(Owned {
                record_set: record_set.clone(),
                labels,
                lacks_text,
            });
        }
        registry
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
        let untyped = (self.settings.generation == Generation::WithUntyped
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
        match self.settings.generation {
            Generation::WithUntyped | Generation::CnameForAlias if is_alias_a(record_set) => {
                &RecordType::Cname
            }
            _ => &record_set.record_type,
        }
    }

    /// The types that the name of a record's TXT may contain, the preferred one first.
    fn types_to_read(&self, record_set: &RecordSet) -> Vec<Option<RecordType>> {
        let own = record_set.record_type.clone();
        let mut types = match self.settings.generation {
            _ if !is_alias_a(record_set) => vec![Some(own)],
            Generation::WithUntyped | Generation::CnameForAlias => vec![Some(RecordType::Cname)],
            Generation::OwnType => vec![Some(own), Some(RecordType::Cname)],
        };
        if record_set.record_type != RecordType::Aaaa {
            types.push(None);
        }
        types
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
