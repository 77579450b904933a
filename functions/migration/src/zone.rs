//! A hosted zone as it was read, and what of it concerns a migration.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::Percent;
use crate::journal::Journal;
use crate::name::{HostedZoneId, RecordName, SetIdentifier};
use crate::record::{Answer, RecordSet, RecordType, Routing};
use crate::registry::{ExternalDns, RegistryText, Sides};
use crate::weights::Weights;

/// The TTL of an alias to an elastic load balancer.
///
/// Source: Route 53 Developer Guide, "Values specific for alias records".
const LOAD_BALANCER_TTL_SECONDS: u32 = 60;

/// The record sets of a zone, or those of the names that were asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    /// The zone's id.
    pub id: HostedZoneId,
    /// The zone's own name.
    pub name: RecordName,
    /// The record sets by name, in Route 53's order within a name.
    pub record_sets: BTreeMap<RecordName, Vec<RecordSet>>,
}

/// The two weighted record sets of one type that a migration shifts between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pair<'a> {
    /// The side that serves now.
    pub from: &'a RecordSet,
    /// The side that shall serve.
    pub to: &'a RecordSet,
    /// The live weights.
    pub weights: Weights,
    /// Whether further set identifiers stand at the name.
    pub has_neighbours: bool,
}

/// A name with its pairs of all types, and its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedName<'a> {
    /// The name.
    pub name: &'a RecordName,
    /// The pairs by type; never empty.
    pub pairs: BTreeMap<RecordType, Pair<'a>>,
    /// ExternalDNS's registry TXT records of both sides.
    pub registry: Sides<Vec<RegistryText<'a>>>,
    /// The journal that stands at the name, as it was read and what it says.
    pub journal: Option<(&'a RecordSet, Journal)>,
}

impl Zone {
    /// The record sets at `name`.
    pub fn at(&self, name: &RecordName) -> &[RecordSet] {
        self.record_sets.get(name).map_or(&[], Vec::as_slice)
    }

    /// The weighted record set of a type and side at `name`.
    pub fn weighted(
        &self,
        name: &RecordName,
        record_type: &RecordType,
        side: &SetIdentifier,
    ) -> Option<(&RecordSet, u8)> {
        self.at(name).iter().find_map(|record_set| {
            let (set_identifier, weight) = record_set.weighted()?;
            (record_set.record_type == *record_type && set_identifier == side)
                .then_some((record_set, weight))
        })
    }

    /// The names with a weighted record of `side`.
    pub fn names_of(&self, side: &SetIdentifier) -> BTreeSet<&RecordName> {
        self.record_sets
            .iter()
            .filter(|(_, record_sets)| {
                record_sets.iter().any(|record_set| {
                    record_set.record_type.moves()
                        && record_set
                            .weighted()
                            .is_some_and(|(set_identifier, _)| set_identifier == side)
                })
            })
            .map(|(name, _)| name)
            .collect()
    }

    /// The journal at `name`, as it was read and what it says.
    pub fn journal(&self, name: &RecordName) -> Result<Option<(&RecordSet, Journal)>, Error> {
        self.at(&name.journal())
            .iter()
            .find(|record_set| record_set.record_type == RecordType::Txt)
            .map(|record_set| {
                Journal::parse(record_set)
                    .map(|journal| (record_set, journal))
                    .map_err(|problem| {
                        Error::Busy(format!(
                            "the TXT record {} can't be read as a journal: {problem}; if no migration \
                             left it there, delete it, otherwise restore its value",
                            record_set.name
                        ))
                    })
            })
            .transpose()
    }

    /// The names that have a journal.
    pub fn journaled_names(&self) -> impl Iterator<Item = RecordName> {
        self.record_sets.iter().filter_map(|(name, record_sets)| {
            let is_text = |record_set: &RecordSet| record_set.record_type == RecordType::Txt;
            record_sets
                .iter()
                .any(is_text)
                .then(|| name.journaled())
                .flatten()
        })
    }

    /// The pairs of `name`, or why it can't be migrated as a whole.
    pub fn paired<'a>(
        &'a self,
        name: &'a RecordName,
        from: &SetIdentifier,
        to: &SetIdentifier,
        external_dns: &ExternalDns,
    ) -> Result<PairedName<'a>, Error> {
        let moved: Vec<_> = self
            .at(name)
            .iter()
            .filter(|record_set| record_set.record_type.moves())
            .collect();
        for record_set in &moved {
            reject_unsupported(record_set)?;
        }
        let types: BTreeSet<_> = moved
            .iter()
            .map(|record_set| &record_set.record_type)
            .collect();
        let mut pairs = BTreeMap::new();
        for record_type in types {
            let sides = (
                self.weighted(name, record_type, from),
                self.weighted(name, record_type, to),
            );
            let (present, missing) = match sides {
                (Some((from, from_weight)), Some((to, to_weight))) => {
                    let group = moved
                        .iter()
                        .filter(|other| other.record_type == *record_type);
                    let pair = Pair {
                        from,
                        to,
                        weights: Weights {
                            from: from_weight,
                            to: to_weight,
                        },
                        has_neighbours: group.count() > 2,
                    };
                    pairs.insert(record_type.clone(), pair);
                    continue;
                }
                (Some(_), None) => (from, to),
                (None, Some(_)) => (to, from),
                // Another set identifier's type: the pair has no part in it.
                (None, None) => continue,
            };
            return Err(Error::NoSuchPair(format!(
                "{name} has a weighted {record_type} record of {present} but none of {missing} ({}), \
                 so its {record_type} traffic could not move; create the record of {missing}, or exclude the name",
                self.describe_sides(name)
            )));
        }
        if pairs.is_empty() {
            return Err(self.no_pair(name, from, to));
        }
        Ok(PairedName {
            name,
            pairs,
            registry: Sides {
                from: self.registry_texts(name, from, &external_dns.from),
                to: self.registry_texts(name, to, &external_dns.to),
            },
            journal: self.journal(name)?,
        })
    }

    fn no_pair(&self, name: &RecordName, from: &SetIdentifier, to: &SetIdentifier) -> Error {
        Error::NoSuchPair(format!(
            "{name} has no weighted records of {from} and {to}: {}",
            self.describe_sides(name)
        ))
    }

    /// Whose records stand at a name, for whoever misspelt a side.
    fn describe_sides(&self, name: &RecordName) -> String {
        let sides: BTreeSet<_> = self
            .at(name)
            .iter()
            .filter(|record_set| record_set.record_type.moves())
            .filter_map(|record_set| record_set.weighted().map(|(side, _)| side.as_str()))
            .collect();
        if self.at(name).is_empty() {
            format!("zone {} has no record of that name", self.name)
        } else if sides.is_empty() {
            "it has no weighted A, AAAA or CNAME records".to_owned()
        } else {
            let sides: Vec<_> = sides.into_iter().collect();
            format!("its weighted records are of {}", sides.join(", "))
        }
    }

    /// The longest time for which resolvers may keep an answer for `name`.
    pub fn ttl_seconds(&self, name: &RecordName) -> u32 {
        self.at(name)
            .iter()
            .filter(|record_set| record_set.record_type.moves())
            .map(|record_set| self.answer_ttl(record_set, 0))
            .max()
            .unwrap_or_default()
    }

    fn answer_ttl(&self, record_set: &RecordSet, depth: u8) -> u32 {
        match &record_set.answer {
            Answer::Values { ttl_seconds, .. } => *ttl_seconds,
            Answer::Alias { .. } => {
                let longest = (depth < 4)
                    .then(|| self.alias_target_in_zone(record_set))
                    .flatten()
                    .into_iter()
                    .flat_map(|target| self.record_sets.get(&target).into_iter().flatten())
                    .filter(|target| target.record_type == record_set.record_type)
                    .map(|target| self.answer_ttl(target, depth + 1))
                    .max();
                longest.unwrap_or(LOAD_BALANCER_TTL_SECONDS)
            }
        }
    }

    /// The name of this zone that an alias points to, if it is one.
    pub fn alias_target_in_zone(&self, record_set: &RecordSet) -> Option<RecordName> {
        match &record_set.answer {
            Answer::Alias {
                hosted_zone_id,
                dns_name,
                ..
            } if hosted_zone_id == self.id.as_str() => dns_name.parse().ok(),
            _ => None,
        }
    }
}

fn reject_unsupported(record_set: &RecordSet) -> Result<(), Error> {
    let RecordSet {
        name,
        record_type,
        routing,
        ..
    } = record_set;
    if record_set.traffic_policy_instance_id.is_some() {
        return Err(Error::UnsupportedRouting(format!(
            "the {record_type} record of {name} belongs to a traffic policy, whose records can't be \
             changed one by one; delete the traffic policy record, or exclude the name"
        )));
    }
    let policy = match routing {
        Routing::Weighted { .. } => return Ok(()),
        Routing::Simple => "simple",
        Routing::Other(policy) => policy,
    };
    Err(Error::UnsupportedRouting(format!(
        "the {record_type} record of {name} has {policy} routing, expected weighted; \
         make it weighted with one record of each side, or exclude the name"
    )))
}

/// The lowest share of `to` among the names; zero of none.
pub fn lowest_percent(names: &[PairedName<'_>]) -> Percent {
    names
        .iter()
        .map(PairedName::percent)
        .min()
        .unwrap_or_default()
}

impl PairedName<'_> {
    /// Whether every pair has at least `percent` on `to`.
    pub fn reaches(&self, percent: Percent) -> bool {
        self.pairs.values().all(|pair| pair.weights.reach(percent))
    }

    /// The lowest share of `to` among the pairs.
    pub fn percent(&self) -> Percent {
        self.pairs
            .values()
            .map(|pair| pair.weights.percent())
            .min()
            .unwrap_or_default()
    }

    /// The owner ids of ExternalDNS that the registry names.
    pub fn owners(&self) -> BTreeSet<&str> {
        self.registry
            .iter()
            .flatten()
            .filter_map(RegistryText::external_dns)
            .collect()
    }

    /// The live weights by type.
    pub fn weights(&self) -> BTreeMap<RecordType, Weights> {
        self.pairs
            .iter()
            .map(|(record_type, pair)| (record_type.clone(), pair.weights))
            .collect()
    }
}
