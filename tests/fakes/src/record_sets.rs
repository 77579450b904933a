//! The record sets of a zone, in the order in which Route 53 lists them.

use std::collections::BTreeMap;

use migration::dns::{RecordData, RecordName, RecordSet, RecordType};
use migration::route53::ListStart;

/// Route 53 lists by the name with its labels reversed, then by type and set identifier. Source:
/// Route 53 API Reference, `ListResourceRecordSets`, "Sort order".
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordSets(BTreeMap<Reversed, Vec<RecordSet>>);

impl RecordSets {
    pub fn at(&self, name: &RecordName) -> &[RecordSet] {
        self.0.get(&reversed(name)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has(&self, name: &RecordName, record_type: &RecordType) -> bool {
        let mut group = self.at(name).iter();
        group.any(|record_set| record_set.record_type == *record_type)
    }

    pub fn iter(&self) -> impl Iterator<Item = &RecordSet> {
        self.0.values().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub(crate) fn insert(&mut self, record_set: RecordSet) {
        let group = self.0.entry(reversed(&record_set.name)).or_default();
        let position = group.partition_point(|other| sort_key(other) <= sort_key(&record_set));
        group.insert(position, record_set);
    }

    /// Removes exactly this record set. Returns it with its values in the stored order.
    pub(crate) fn remove(&mut self, record_set: &RecordSet) -> Option<RecordSet> {
        let reversed = reversed(&record_set.name);
        let group = self.0.get_mut(&reversed)?;
        let wanted = with_sorted_values(record_set);
        let position = group
            .iter()
            .position(|live| with_sorted_values(live) == wanted)?;
        let removed = group.remove(position);
        if group.is_empty() {
            self.0.remove(&reversed);
        }
        Some(removed)
    }

    /// The record sets from `start` on.
    pub(crate) fn from(&self, start: &ListStart) -> impl Iterator<Item = &RecordSet> {
        let first = reversed(&start.name);
        let begin = (
            start.record_type.clone().unwrap_or_default(),
            start.set_identifier.clone().unwrap_or_default(),
        );
        self.0
            .range(first.clone()..)
            .flat_map(move |(reversed, group)| {
                let skipped = if *reversed == first {
                    group.partition_point(|record_set| {
                        let (record_type, set_identifier) = sort_key(record_set);
                        (record_type, set_identifier) < (begin.0.as_str(), begin.1.as_str())
                    })
                } else {
                    0
                };
                group.iter().skip(skipped)
            })
    }
}

impl FromIterator<RecordSet> for RecordSets {
    fn from_iter<T: IntoIterator<Item = RecordSet>>(record_sets: T) -> Self {
        let mut collected = Self::default();
        for record_set in record_sets {
            collected.insert(record_set);
        }
        collected
    }
}

/// What the record sets of one name are sorted by.
fn sort_key(record_set: &RecordSet) -> (&str, &str) {
    let set_identifier = record_set
        .weighted()
        .map_or("", |(identifier, _)| identifier.as_str());
    (record_set.record_type.as_str(), set_identifier)
}

/// What names are sorted by. It includes the name itself, because an escaped dot becomes equal to a
/// dot between labels.
type Reversed = (Vec<u8>, RecordName);

/// `www.example.com` becomes `com.example.www.`. The dots take part in the comparison, and each escape
/// becomes the character that it represents: a `*` sorts before a dot, and before letters.
fn reversed(name: &RecordName) -> Reversed {
    let mut reversed = Vec::new();
    for label in name.as_str().rsplit('.') {
        let mut parts = label.split('\\');
        reversed.extend(parts.next().unwrap_or_default().bytes());
        for part in parts {
            let (code, text) = part.split_at(3);
            reversed.push(u8::from_str_radix(code, 8).unwrap());
            reversed.extend(text.bytes());
        }
        reversed.push(b'.');
    }
    (reversed, name.clone())
}

/// The record set with its values sorted, for comparison: they are a set (RFC 2181, section 5), so a
/// DELETE may have them in any order.
fn with_sorted_values(record_set: &RecordSet) -> RecordSet {
    let mut sorted = record_set.clone();
    if let RecordData::Values { values, .. } = &mut sorted.data {
        values.sort();
    }
    sorted
}
