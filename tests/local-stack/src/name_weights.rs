//! The weights of names at one time.

use std::collections::BTreeMap;

use migration::dns::Weights;
use migration::dns::{Percent, RecordName, SetIdentifier};
use migration::dns::{RecordSet, RecordType};
use serde::{Serialize, Serializer};

/// The weights of each side by name.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NameWeights(BTreeMap<RecordName, BTreeMap<SetIdentifier, SideWeight>>);

/// The weights of one side of one name by record type. Serialized as one number if all types have
/// the same weight, else by type.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct SideWeight(BTreeMap<RecordType, u8>);

impl NameWeights {
    /// The weights of `names` among `record_sets`.
    pub(crate) fn of(record_sets: &[RecordSet], names: &[RecordName]) -> Self {
        let mut weights = Self::default();
        for record_set in record_sets {
            if let Some((side, weight)) = record_set.weighted()
                && record_set.record_type.moves()
                && names.contains(&record_set.name)
            {
                let sides = weights.0.entry(record_set.name.clone()).or_default();
                let by_type = &mut sides.entry(side.clone()).or_default().0;
                by_type.insert(record_set.record_type.clone(), weight);
            }
        }
        weights
    }

    pub fn names(&self) -> impl Iterator<Item = &RecordName> {
        self.0.keys()
    }

    /// The weight of `side` at `name`. `None` if its types differ in weight or it has no records.
    pub fn weight(&self, name: &RecordName, side: &SetIdentifier) -> Option<u8> {
        self.0.get(name)?.get(side)?.uniform()
    }

    /// Whether all record types have the same weight, at every name and side.
    pub fn is_uniform(&self) -> bool {
        self.0
            .values()
            .flat_map(BTreeMap::values)
            .all(|weight| weight.uniform().is_some())
    }

    /// Whether all weights of a name are 0. Route 53 then answers with all records equally.
    pub fn has_all_zero(&self) -> bool {
        self.0.values().any(|sides| {
            sides
                .values()
                .flat_map(|weight| weight.0.values())
                .all(|weight| *weight == 0)
        })
    }

    /// The share of `to` in the sum of `from` and `to`: the lowest of all names.
    pub fn percent(&self, from: &SetIdentifier, to: &SetIdentifier) -> Percent {
        self.shares(from, to).min().unwrap_or_default()
    }

    /// Whether the share of `to` is `percent` at every name.
    pub fn is_at(&self, percent: Percent, from: &SetIdentifier, to: &SetIdentifier) -> bool {
        self.shares(from, to).all(|share| share == percent)
    }

    fn shares(&self, from: &SetIdentifier, to: &SetIdentifier) -> impl Iterator<Item = Percent> {
        self.0.values().flat_map(move |sides| {
            let of = |side| {
                sides
                    .get(side)
                    .map(|weight| weight.0.clone())
                    .unwrap_or_default()
            };
            let (from, to) = (of(from), of(to));
            to.into_iter().map(move |(record_type, to)| {
                let from = from.get(&record_type).copied().unwrap_or_default();
                Weights { from, to }.percent()
            })
        })
    }
}

impl SideWeight {
    fn uniform(&self) -> Option<u8> {
        let mut weights = self.0.values().copied();
        let first = weights.next()?;
        weights.all(|weight| weight == first).then_some(first)
    }
}

impl Serialize for SideWeight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.uniform() {
            Some(weight) => serializer.serialize_u8(weight),
            None => serializer.collect_map(
                self.0
                    .iter()
                    .map(|(record_type, weight)| (record_type.as_str(), weight)),
            ),
        }
    }
}
