//! A name as it was read: its records of both sides, their registry TXT records, and its journal.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{JournalEntry, Journals};
use crate::Error;
use crate::dns::{
    Percent, RecordName, RecordSet, RecordType, Routing, SetIdentifier, Side, Sides, Weights, Zone,
};
use crate::error::{NoSuchPair, PresentSides, UnsupportedRouting, UntrustedJournal};
use crate::external_dns::{Owner, RegistryNames, RegistryText, registry_texts};

/// The two weighted record sets of one type between which a migration shifts weight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pair<'a> {
    pub from: &'a RecordSet,
    pub to: &'a RecordSet,
    pub weights: Weights,
    /// A record of this type with another set identifier that has a share of the answers: a weight above 0.
    pub other_with_share: Option<&'a RecordSet>,
}

/// A record that is the only one of its type at a name of which both sides have records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoneRecord<'a> {
    pub side: Side,
    pub record_set: &'a RecordSet,
    pub weight: u8,
}

/// A name with its pairs of all types, and its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedName<'a> {
    pub name: &'a RecordName,
    /// The set identifiers of its records.
    pub identifiers: Sides<SetIdentifier>,
    /// The pairs by type, at least one.
    pub pairs: BTreeMap<RecordType, Pair<'a>>,
    /// The records of the types that only one side has.
    pub lone: BTreeMap<RecordType, LoneRecord<'a>>,
    /// The registry TXT records of both sides.
    pub registry: Sides<Vec<RegistryText<'a>>>,
    /// Its journal, which may be untrusted; none if it has no journal.
    pub journal: Result<Option<JournalEntry<'a>>, UntrustedJournal>,
}

/// Pairs the records of `name`, with the registry TXT records that each side's flags name.
///
/// # Errors
/// [`Error::UnsupportedRouting`] or [`Error::NoSuchPair`] if not all of its A, AAAA and CNAME records can
/// move.
pub fn pair<'a>(
    journals: &Journals<'a>,
    name: &'a RecordName,
    from: &SetIdentifier,
    to: &SetIdentifier,
    registry_names: Sides<&RegistryNames>,
) -> Result<PairedName<'a>, Error> {
    let zone = journals.zone;
    let moved: Vec<_> = zone
        .at(name)
        .iter()
        .filter(|record_set| record_set.record_type.moves())
        .collect();
    for record_set in &moved {
        reject_unsupported(record_set)?;
    }
    let one_side = |record_type: &RecordType, side| {
        let (present, missing, missing_side) = match side {
            Side::From => (from, to, Side::To),
            Side::To => (to, from, Side::From),
        };
        Error::from(NoSuchPair::OneSide {
            name: name.clone(),
            record_type: record_type.clone(),
            present: present.clone(),
            missing: missing.clone(),
            missing_side,
            sides: present_sides(zone, name),
        })
    };
    let lone = lone_records(zone, name, from, to);
    let types: BTreeSet<_> = moved
        .iter()
        .map(|record_set| &record_set.record_type)
        .filter(|record_type| !lone.contains_key(record_type))
        .collect();
    let mut pairs = BTreeMap::new();
    for record_type in types {
        let sides = (
            zone.weighted(name, record_type, from),
            zone.weighted(name, record_type, to),
        );
        let ((of_from, from_weight), (of_to, to_weight)) = match sides {
            (Some(of_from), Some(of_to)) => (of_from, of_to),
            (Some(_), None) => return Err(one_side(record_type, Side::From)),
            (None, Some(_)) => return Err(one_side(record_type, Side::To)),
            // Only other set identifiers have records of this type, so there is nothing to move.
            (None, None) => continue,
        };
        let has_share = |other: &&&RecordSet| {
            let weighted = other
                .weighted()
                .filter(|_| other.record_type == *record_type);
            weighted.is_some_and(|(side, weight)| weight > 0 && ![from, to].contains(&side))
        };
        let pair = Pair {
            from: of_from,
            to: of_to,
            weights: Weights {
                from: from_weight,
                to: to_weight,
            },
            other_with_share: moved.iter().find(has_share).copied(),
        };
        pairs.insert(record_type.clone(), pair);
    }
    if pairs.is_empty() {
        return Err(match lone.first_key_value() {
            Some((record_type, record)) => one_side(record_type, record.side),
            None => Error::from(NoSuchPair::NoSide {
                name: name.clone(),
                from: from.clone(),
                to: to.clone(),
                sides: present_sides(zone, name),
            }),
        });
    }
    Ok(PairedName {
        name,
        identifiers: Sides {
            from: from.clone(),
            to: to.clone(),
        },
        pairs,
        lone,
        registry: Sides {
            from: registry_texts(zone, name, from, registry_names.from),
            to: registry_texts(zone, name, to, registry_names.to),
        },
        journal: journals.at(name),
    })
}

/// The records of either side that are the only ones of their type at a name, by type.
pub fn lone_records<'z>(
    zone: &'z Zone,
    name: &RecordName,
    from: &SetIdentifier,
    to: &SetIdentifier,
) -> BTreeMap<RecordType, LoneRecord<'z>> {
    let lone = |record_type: &RecordType| {
        let mut of_type = zone
            .at(name)
            .iter()
            .filter(|it| it.record_type == *record_type);
        let (record_set, None) = (of_type.next()?, of_type.next()) else {
            return None;
        };
        let (identifier, weight) = record_set.weighted()?;
        let side = [(from, Side::From), (to, Side::To)]
            .into_iter()
            .find_map(|(of, side)| (of == identifier).then_some(side))?;
        let record = LoneRecord {
            side,
            record_set,
            weight,
        };
        Some((record_type.clone(), record))
    };
    RecordType::MOVED.iter().filter_map(lone).collect()
}

fn present_sides(zone: &Zone, name: &RecordName) -> PresentSides {
    if zone.at(name).is_empty() {
        return PresentSides::NoRecord {
            zone_name: zone.name.clone(),
        };
    }
    let identifiers = zone.set_identifiers(name);
    if identifiers.is_empty() {
        PresentSides::NoWeightedRecord
    } else {
        PresentSides::Identifiers(identifiers.into_iter().cloned().collect())
    }
}

fn reject_unsupported(record_set: &RecordSet) -> Result<(), Error> {
    let name = record_set.name.clone();
    let record_type = record_set.record_type.clone();
    if record_set.traffic_policy_instance_id.is_some() {
        return Err(Error::from(UnsupportedRouting::TrafficPolicy {
            name,
            record_type,
        }));
    }
    let policy = match record_set.routing {
        Routing::Weighted { .. } => return Ok(()),
        Routing::Simple => "simple",
        Routing::Other(policy) => policy,
    };
    Err(Error::from(UnsupportedRouting::OtherPolicy {
        name,
        record_type,
        policy,
    }))
}

/// The lowest share of `to` among the names; zero if there are none.
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

    /// The owner ids of ExternalDNS in the registry TXT records of both sides.
    pub fn external_dns_owners(&self) -> BTreeSet<&str> {
        self.registry
            .iter()
            .flatten()
            .filter_map(RegistryText::external_dns)
            .collect()
    }

    /// Whether a migration is the owner in one of the registry TXT records.
    pub fn is_leased(&self) -> bool {
        let mut attached = self.registry.iter().flatten();
        attached.any(|text| text.record_type.is_some() && text.owner == Owner::Migration)
    }

    /// The weight of a side's record of this type.
    pub fn weight(&self, record_type: &RecordType, side: Side) -> Option<u8> {
        let of_pair = self.pairs.get(record_type);
        of_pair.map(|pair| pair.weights.of(side)).or_else(|| {
            let lone = self.lone.get(record_type);
            lone.filter(|it| it.side == side).map(|it| it.weight)
        })
    }

    /// The types of a side's records that move.
    pub fn types_of(&self, side: Side) -> impl Iterator<Item = &RecordType> {
        let lone = self.lone.iter().filter(move |(_, it)| it.side == side);
        self.pairs
            .keys()
            .chain(lone.map(|(record_type, _)| record_type))
    }

    pub fn weights(&self) -> BTreeMap<RecordType, Weights> {
        self.pairs
            .iter()
            .map(|(record_type, pair)| (record_type.clone(), pair.weights))
            .collect()
    }
}
