//! A hosted zone as it was read, and the look-ups that a migration needs.

use std::collections::{BTreeMap, BTreeSet};

use super::identifiers::{HostedZoneId, SetIdentifier};
use super::name::RecordName;
use super::record_set::{RecordData, RecordSet, RecordType};
use super::template::SetIdentifierTemplate;

/// The TTL of an alias to an elastic load balancer, in seconds.
///
/// Source: Route 53 Developer Guide, "Values specific for alias records".
const LOAD_BALANCER_TTL_SECONDS: u32 = 60;
/// How many aliases are followed to find a TTL. Without a limit, records that are aliases of each other
/// would be followed forever: the pages of a zone are no snapshot, so such a cycle can be read even
/// where none exists. Longer chains are unusual; where one ends is then taken for a load balancer.
const LONGEST_ALIAS_CHAIN: u8 = 4;

/// The record sets of a zone, or those of the names that were asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    pub id: HostedZoneId,
    pub name: RecordName,
    /// The record sets by name, in Route 53's order within a name.
    pub record_sets: BTreeMap<RecordName, Vec<RecordSet>>,
}

impl Zone {
    pub fn at(&self, name: &RecordName) -> &[RecordSet] {
        self.record_sets.get(name).map_or(&[], Vec::as_slice)
    }

    /// The weighted record set of a type and side at `name`, and its weight.
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

    /// The set identifiers of the weighted records at `name` that a migration can move.
    pub fn set_identifiers(&self, name: &RecordName) -> BTreeSet<&SetIdentifier> {
        let record_sets = self.at(name).iter();
        record_sets
            .filter(|record_set| record_set.record_type.moves())
            .filter_map(|record_set| record_set.weighted().map(|(identifier, _)| identifier))
            .collect()
    }

    /// Whether `name` has a weighted record of a side of a migration.
    pub fn has_record_of(&self, name: &RecordName, side: &SetIdentifierTemplate) -> bool {
        let identifiers = self.set_identifiers(name);
        identifiers
            .iter()
            .any(|identifier| side.matches(identifier))
    }

    /// The names with a TXT record at the name of their journal.
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

    /// The longest time for which resolvers may cache an answer for `name`.
    pub fn ttl_seconds(&self, name: &RecordName) -> u32 {
        self.at(name)
            .iter()
            .filter(|record_set| record_set.record_type.moves())
            .map(|record_set| self.answer_ttl(record_set, LONGEST_ALIAS_CHAIN))
            .max()
            .unwrap_or_default()
    }

    fn answer_ttl(&self, record_set: &RecordSet, aliases_to_follow: u8) -> u32 {
        match &record_set.data {
            RecordData::Values { ttl_seconds, .. } => *ttl_seconds,
            RecordData::Alias { .. } => {
                let longest = (aliases_to_follow > 0)
                    .then(|| self.alias_target_in_zone(record_set))
                    .flatten()
                    .into_iter()
                    .flat_map(|target| self.record_sets.get(&target).into_iter().flatten())
                    .filter(|target| target.record_type == record_set.record_type)
                    .map(|target| self.answer_ttl(target, aliases_to_follow - 1))
                    .max();
                longest.unwrap_or(LOAD_BALANCER_TTL_SECONDS)
            }
        }
    }

    /// The target of an alias, if it is a name of this zone.
    pub fn alias_target_in_zone(&self, record_set: &RecordSet) -> Option<RecordName> {
        match &record_set.data {
            RecordData::Alias {
                hosted_zone_id,
                dns_name,
                ..
            } if hosted_zone_id == self.id.as_str() => dns_name.parse().ok(),
            _ => None,
        }
    }
}
