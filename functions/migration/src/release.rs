//! How a completed migration gives its names back to ExternalDNS: pure decisions, name by name.
//!
//! While the annotations in the clusters still ask for the old weights, an ExternalDNS
//! that is given a name back puts them there within its interval: the name snaps
//! back. So each name is watched after it was given back, and taken again at the
//! weights that the migration reached if it does. The journal stays until all names
//! are released, and tells these weights and the owners.

use std::collections::BTreeMap;

use crate::change::{Journaled, NameChange};
use crate::name::RecordName;
use crate::record::{RecordSet, RecordType};
use crate::registry::{Owner, Registry, RegistryText};
use crate::weights::Weights;
use crate::zone::Zone;
use crate::{Error, SetIdentifier};

/// What there is of one side at a name: its records with the weights they are to have, its registry
/// TXT records likewise, and the types of which the record is gone that is to have a weight.
struct Side<'z, 'j> {
    identifier: &'j SetIdentifier,
    registry: &'j Registry,
    records: Vec<(&'z RecordSet, u8)>,
    texts: Vec<(RegistryText<'z>, u8)>,
    gone: Vec<&'j RecordType>,
}

fn sides<'z, 'j>(zone: &'z Zone, (name, _, journal): Journaled<'j>) -> [Side<'z, 'j>; 2] {
    type Pick = fn(&Weights) -> u8;
    let from: (_, _, Pick) = (&journal.from, &journal.registry.from, |weights| {
        weights.from
    });
    let to: (_, _, Pick) = (&journal.to, &journal.registry.to, |weights| weights.to);
    [from, to].map(|(identifier, registry, pick)| {
        let written = |record_type: &RecordType| journal.written.get(record_type).map(pick);
        let records = journal.written.keys().filter_map(|record_type| {
            let (read, _) = zone.weighted(name, record_type, identifier)?;
            Some((read, written(record_type)?))
        });
        let is_gone = |record_type: &&RecordType| {
            written(record_type).is_some_and(|weight| weight > 0)
                && zone.weighted(name, record_type, identifier).is_none()
        };
        let texts = zone.registry_texts(name, identifier, &registry.names);
        let texts = texts.into_iter().map(|text| {
            let weight = text.record_type.as_ref().and_then(written);
            let own = text.read.weighted().map_or(0, |(_, weight)| weight);
            (text, weight.unwrap_or(own))
        });
        Side {
            identifier,
            registry,
            records: records.collect(),
            texts: texts.collect(),
            gone: journal.written.keys().filter(is_gone).collect(),
        }
    })
}

impl Side<'_, '_> {
    /// Whether an ExternalDNS may write its records.
    fn is_given_back(&self) -> bool {
        self.texts
            .iter()
            .any(|(text, _)| text.record_type.is_some() && text.external_dns().is_some())
            && !self.registry.owners.is_empty()
    }

    /// The records that have another weight than the migration reached, as that weight.
    fn other_weight(&self) -> Option<(u8, u8)> {
        self.records.iter().find_map(|(read, reached)| {
            let (_, live) = read.weighted()?;
            (live != *reached).then_some((live, *reached))
        })
    }
}

/// The change that gives a name's owners back at the reached weights, or none where that is done,
/// or the name is not leased at all.
///
/// # Errors
/// [`Error::SnappedBack`] if ExternalDNS has put a weight back; [`Error::Drift`] if another writer
/// changed a weight while the name was leased, or a record is gone that serves.
pub fn give_back(zone: &Zone, journaled: Journaled<'_>) -> Result<Option<NameChange>, Error> {
    let (name, read_journal, journal) = journaled;
    if !journal.is_leased() {
        return Ok(None);
    }
    let sides = sides(zone, journaled);
    for side in &sides {
        if let [record_type, ..] = side.gone.as_slice() {
            return Err(describe_gone(name, record_type, side.identifier));
        }
        if let Some((live, reached)) = side.other_weight() {
            return Err(describe(journaled, side, live, reached));
        }
    }
    let mut change = NameChange::new(name);
    let mut is_leased = false;
    for side in &sides {
        for (read, weight) in &side.records {
            change.replace_with(read, read.with_weight(*weight), true);
        }
        for (text, weight) in &side.texts {
            let new = match (&text.owner, side.registry.owners.get(&text.form)) {
                (Owner::Migration, Some(owner)) => {
                    is_leased = true;
                    text.with_owner(owner, *weight)
                }
                _ => text.read.with_weight(*weight),
            };
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(read_journal), Some(journal.next().record_set(name)));
    Ok(is_leased.then_some(change))
}

/// The change that leases a name again at the reached weights, whatever ExternalDNS has made of
/// it since it was given back; none where it is leased.
pub fn take_again(zone: &Zone, journaled: Journaled<'_>) -> Option<NameChange> {
    let (name, read_journal, journal) = journaled;
    let sides = sides(zone, journaled);
    if !sides.iter().any(Side::is_given_back) {
        return None;
    }
    let mut next = journal.next();
    let mut change = NameChange::new(name);
    let [from, to] = &sides;
    for (side, owners) in [
        (from, &mut next.registry.from.owners),
        (to, &mut next.registry.to.owners),
    ] {
        for (read, weight) in &side.records {
            change.replace_with(read, read.with_weight(*weight), true);
        }
        for (text, weight) in &side.texts {
            if text.record_type.is_none() {
                continue;
            }
            if let Owner::ExternalDns(owner) = &text.owner {
                // An upgraded ExternalDNS has created TXT records of its new form.
                owners.insert(text.form, owner.clone());
            }
            let new = if owners.contains_key(&text.form) {
                text.leased(&journal.execution, *weight)
            } else {
                text.read.with_weight(*weight)
            };
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(read_journal), Some(next.record_set(name)));
    Some(change)
}

fn describe_gone(name: &RecordName, record_type: &RecordType, side: &SetIdentifier) -> Error {
    Error::Drift(format!(
        "the {record_type} record of {side} at {name} is gone, which all traffic of the name went to: if ExternalDNS \
         deleted it, the Ingress or Service in the cluster of {side} no longer asks for it; create it again, or give the \
         other side its weight back"
    ))
}

fn describe(
    (name, _, journal): Journaled<'_>,
    side: &Side<'_, '_>,
    live: u8,
    reached: u8,
) -> Error {
    let identifier = side.identifier;
    let execution = &journal.execution;
    if !side.is_given_back() {
        return Error::Drift(format!(
            "another writer changed {name}: {identifier} has weight {live} instead of {reached}, as execution {execution} \
             last wrote it, and is not given back yet; put the weight back and release again, or roll back: start the \
             rollback state machine with {{\"execution\": \"{execution}\"}}"
        ));
    }
    let mut owners: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (text, _) in &side.texts {
        if let Owner::ExternalDns(owner) = &text.owner {
            owners.insert(owner, text.resource());
        }
    }
    let whose: Vec<_> = owners
        .into_iter()
        .map(|(owner, resource)| match resource {
            Some(resource) => format!("{resource}, ExternalDNS {owner}"),
            None => format!("ExternalDNS {owner}"),
        })
        .collect();
    Error::SnappedBack(format!(
        "{name} snapped back: the weight of {identifier} was {reached} in DNS, and {live} came back ({}): its annotation \
         aws-weight (external-dns.kubernetes.io/, up to v0.21 external-dns.alpha.kubernetes.io/) still says {live}; set it \
         to \"{reached}\", let it be synced, and release again",
        whose.join("; ")
    ))
}
