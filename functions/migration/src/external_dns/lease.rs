//! The lease of one side's registry TXT records: the owners to save, and what replaces each TXT.
//!
//! A lease begins with the first change of a name and ends with the last. A rollback gives the TXT
//! records back with the original weights, a release with those that the migration reached.

use std::collections::BTreeMap;

use super::lookup::registry_texts;
use super::recorded_side::RecordedSide;
use super::registry_names::{RegistryNames, TxtNaming};
use super::registry_txt::{Owner, RegistryText};
use super::saved_owners::SavedOwners;
use super::settings::Mode;
use crate::Error;
use crate::dns::{RecordName, RecordSet, SetIdentifier, Zone};
use crate::error::{Busy, InvalidInput};

/// A record set as it was read, and what replaces it.
pub(crate) type Replacement<'z> = (&'z RecordSet, RecordSet);

/// What decides whether one side's TXT records at a name are leased.
#[derive(Clone, Copy)]
pub(crate) struct LeaseTerms<'a> {
    /// The field of the input with the names of the side's TXT records, for messages.
    pub(crate) field: &'static str,
    pub(crate) side: &'a SetIdentifier,
    pub(crate) name: &'a RecordName,
    pub(crate) mode: Mode,
}

impl LeaseTerms<'_> {
    /// The owners that the new journal saves: those that the previous journal saved, and those of the
    /// TXT records that are leased now.
    pub(crate) fn owners_to_save(
        &self,
        texts: &[RegistryText<'_>],
        saved: Option<&SavedOwners>,
        names: &RegistryNames,
    ) -> Result<SavedOwners, Error> {
        let mut owners = BTreeMap::new();
        if let Some(saved) = saved.filter(|saved| !saved.owners.is_empty()) {
            if saved.names != *names {
                return Err(Error::from(InvalidInput::OtherRegistryNames {
                    field: self.field,
                    name: self.name.clone(),
                    saved: saved.names.to_string(),
                    found: names.to_string(),
                }));
            }
            owners.clone_from(&saved.owners);
        }
        let mut live = BTreeMap::new();
        for text in texts.iter().filter(|text| text.record_type.is_some()) {
            let is_saved = owners.contains_key(&text.naming);
            self.add_owner(text, is_saved, &mut live)?;
        }
        owners.extend(live);
        Ok(SavedOwners {
            names: names.clone(),
            owners,
        })
    }

    fn add_owner(
        &self,
        text: &RegistryText<'_>,
        is_saved: bool,
        live: &mut BTreeMap<TxtNaming, String>,
    ) -> Result<(), Error> {
        let txt_name = || text.read.name.clone();
        let is_leased = self.mode == Mode::Lease;
        match &text.owner {
            Owner::Migration if !is_saved => Err(Error::from(Busy::UnknownOwner {
                txt: txt_name(),
                side: self.side.clone(),
            })),
            Owner::Encrypted if is_leased => Err(Error::from(InvalidInput::EncryptedRegistry {
                txt: txt_name(),
                side: self.side.clone(),
            })),
            Owner::ExternalDns(_) if is_leased && !text.has_room_for_a_lease() => {
                Err(Error::from(InvalidInput::NoRoomForLease {
                    txt: txt_name(),
                }))
            }
            Owner::ExternalDns(owner) if is_leased => {
                match live.insert(text.naming, owner.clone()) {
                    Some(other) if other != *owner => Err(Error::from(InvalidInput::TwoOwners {
                        field: self.field,
                        name: self.name.clone(),
                        side: self.side.clone(),
                        one: other,
                        other: owner.clone(),
                        txt: txt_name(),
                    })),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// A registry TXT with another weight, and leased if its owner is saved.
pub(crate) fn leased(
    text: &RegistryText<'_>,
    owners: &BTreeMap<TxtNaming, String>,
    execution: &str,
    weight: u8,
) -> RecordSet {
    if owners.contains_key(&text.naming) {
        text.leased(execution, weight)
    } else {
        text.read.with_weight(weight)
    }
}

/// A leased registry TXT with its original owner and another weight; none if it is not leased, or no
/// owner of it is saved.
pub(crate) fn given_back(
    text: &RegistryText<'_>,
    owners: &BTreeMap<TxtNaming, String>,
    weight: u8,
) -> Option<RecordSet> {
    let owner = owners.get(&text.naming)?;
    (text.owner == Owner::Migration).then(|| text.with_owner(owner, weight))
}

/// What replaces the side's registry TXT records in a shift: each with the new weight of its record,
/// and leased if its owner is saved.
pub(crate) fn leased_texts<'z>(
    side: &RecordedSide<'_>,
    texts: &[RegistryText<'z>],
    execution: &str,
) -> Vec<Replacement<'z>> {
    let mut replacements = Vec::new();
    for text in texts {
        let record_type = text.record_type.as_ref();
        let Some(weight) = record_type.and_then(|record_type| side.written(record_type)) else {
            continue;
        };
        let new = leased(text, &side.saved_owners.owners, execution, weight);
        replacements.push((text.read, new));
    }
    replacements
}

/// A registry TXT of a leased name that the migration does not own.
pub(crate) struct LostLease<'a> {
    pub(crate) txt: &'a RecordName,
    /// The owner that it has now.
    pub(crate) found: &'a str,
    /// An owner that the lease saved.
    pub(crate) owner: &'a str,
}

/// The first registry TXT of a leased side that has another owner than `execution`: an ExternalDNS, or another
/// execution.
pub(crate) fn lost_lease<'a>(
    side: &RecordedSide<'a>,
    texts: &'a [RegistryText<'_>],
    execution: &str,
) -> Option<LostLease<'a>> {
    let owner = side.saved_owners.owners.values().next()?;
    let mut attached = texts.iter().filter(|text| text.record_type.is_some());
    attached.find_map(|text| {
        Some(LostLease {
            txt: &text.read.name,
            found: text.other_owner(execution)?,
            owner,
        })
    })
}

/// The first registry TXT of a side that is leased although the journal has no original owner of it.
pub(crate) fn leased_without_owner<'a>(
    side: &RecordedSide<'_>,
    texts: &'a [RegistryText<'_>],
) -> Option<&'a RecordName> {
    let mut attached = texts.iter().filter(|text| text.record_type.is_some());
    let is_unknown = |text: &&RegistryText<'_>| {
        text.owner == Owner::Migration && !side.saved_owners.owners.contains_key(&text.naming)
    };
    attached.find(is_unknown).map(|text| &text.read.name)
}

/// What replaces the side's registry TXT records in a rollback: each with its original owner and the
/// original weight of its record. Adds a sentence to `found` for each difference from the journal.
pub(crate) fn restored_texts<'z>(
    zone: &'z Zone,
    name: &RecordName,
    side: &RecordedSide<'_>,
    found: &mut Vec<String>,
) -> Vec<Replacement<'z>> {
    let mut replacements = Vec::new();
    let owners = &side.saved_owners.owners;
    let texts = registry_texts(zone, name, side.identifier, &side.saved_owners.names);
    for naming in owners.keys() {
        if !texts.iter().any(|text| text.naming == *naming) {
            found.push(format!(
                "{name}: the registry TXT ({}) of {} is gone",
                naming.as_str(),
                side.identifier
            ));
        }
    }
    for text in texts {
        // If its record is gone, ExternalDNS creates the record again with the weight of the annotation,
        // which is the original one.
        let record_types = match &text.record_type {
            Some(record_type) => std::slice::from_ref(record_type),
            None => text.naming.record_types(),
        };
        let original = record_types
            .iter()
            .find_map(|record_type| side.original(record_type));
        let original = original.unwrap_or_else(|| text.weight());
        let txt_name = &text.read.name;
        match (&text.owner, owners.contains_key(&text.naming)) {
            (Owner::ExternalDns(live), true) => found.push(format!(
                "{name}: the registry TXT {txt_name} was leased and had the owner {live} again"
            )),
            (Owner::Migration, false) => found.push(format!(
                "{name}: the registry TXT {txt_name} is leased, and the journal does not have its original owner; write the \
                 owner id of the ExternalDNS of {} back into it",
                side.identifier
            )),
            _ => {}
        }
        let new = given_back(&text, owners, original);
        let new = new.unwrap_or_else(|| text.read.with_weight(original));
        replacements.push((text.read, new));
    }
    replacements
}
