//! The weights of names, as the zone shows them at one moment.

use std::collections::BTreeMap;

use migration::record::{RecordSet, RecordType};
use migration::weights::Weights;
use migration::{Percent, RecordName, SetIdentifier};
use serde::{Serialize, Serializer};

/// Weights by name and side.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Traffic(BTreeMap<RecordName, BTreeMap<SetIdentifier, SideWeight>>);

/// The weight of one side at one name, by type. It is written as one number,
/// and by type only where types differ.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct SideWeight(BTreeMap<RecordType, u8>);

impl Traffic {
    /// The weights of `names` among `record_sets`.
    pub(crate) fn of(record_sets: &[RecordSet], names: &[RecordName]) -> Self {
        let mut traffic = Self::default();
        for record_set in record_sets {
            if let Some((side, weight)) = record_set.weighted()
                && record_set.record_type.moves()
                && names.contains(&record_set.name)
            {
                let sides = traffic.0.entry(record_set.name.clone()).or_default();
                let by_type = &mut sides.entry(side.clone()).or_default().0;
                by_type.insert(record_set.record_type.clone(), weight);
            }
        }
        traffic
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &RecordName> {
        self.0.keys()
    }

    /// The weight of `side` at `name`; none where its types differ or it has no records.
    pub fn weight(&self, name: &RecordName, side: &SetIdentifier) -> Option<u8> {
        self.0.get(name)?.get(side)?.uniform()
    }

    /// Whether A, AAAA and CNAME of every name and side have the same weight.
    pub fn is_uniform(&self) -> bool {
        self.0
            .values()
            .flat_map(BTreeMap::values)
            .all(|weight| weight.uniform().is_some())
    }

    /// Whether a name has weight 0 on all sides, which Route 53 takes for "all equally".
    pub fn has_all_zero(&self) -> bool {
        self.0.values().any(|sides| {
            sides
                .values()
                .flat_map(|weight| weight.0.values())
                .all(|weight| *weight == 0)
        })
    }

    /// The share that `to` has of what `from` and `to` have together: the lowest among the names.
    pub fn percent(&self, from: &SetIdentifier, to: &SetIdentifier) -> Percent {
        self.shares(from, to).min().unwrap_or_default()
    }

    /// Whether `to` has the share `percent` at every name.
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
