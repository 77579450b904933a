//! How a migration leases names from ExternalDNS, and gives them back: pure decisions, name by
//! name.
//!
//! A lease begins with a name's first change and goes with its last: a rollback gives the names
//! back at their original weights, a release at the reached ones. While the annotations in the
//! clusters still ask for the old weights, an ExternalDNS that is given a name back puts them
//! there within its interval: the name snaps back. So a release watches each name after it was
//! given back, and takes it again at the weights that the migration reached if it does. The
//! journal stays until all names are released, and tells these weights and the owners.

use std::collections::BTreeMap;

use crate::Error;
use crate::change::{Journaled, NameChange, Writer};
use crate::journal::{Journal, JournalSide};
use crate::name::{RecordName, SetIdentifier};
use crate::record::{RecordSet, RecordType};
use crate::registry::{Form, Mode, Owner, Registry, RegistryNames, RegistryText, Sides};
use crate::zone::{PairedName, Zone};

/// A record set as it was read, and what replaces it.
type Replacement<'z> = (&'z RecordSet, RecordSet);

/// What the new journal keeps of the registries: whom their TXT records named before the first
/// change, where they are leased.
pub(crate) fn registry_to_keep(
    named: &PairedName<'_>,
    journal: Option<&Journal>,
    writer: &Writer<'_>,
) -> Result<Sides<Registry>, Error> {
    let kept = journal.map(|journal| &journal.registry);
    let flags = writer.external_dns.names();
    let from = Keeper {
        field: "externalDns.from",
        side: writer.from,
        name: named.name,
        mode: writer.external_dns.mode,
    };
    let to = Keeper {
        field: "externalDns.to",
        side: writer.to,
        ..from
    };
    Ok(Sides {
        from: from.keep(
            &named.registry.from,
            kept.map(|kept| &kept.from),
            flags.from,
        )?,
        to: to.keep(&named.registry.to, kept.map(|kept| &kept.to), flags.to)?,
    })
}

/// Decides what is kept of one side's registry at a name.
#[derive(Clone, Copy)]
struct Keeper<'a> {
    field: &'static str,
    side: &'a SetIdentifier,
    name: &'a RecordName,
    mode: Mode,
}

impl Keeper<'_> {
    fn keep(
        &self,
        texts: &[RegistryText<'_>],
        kept: Option<&Registry>,
        names: &RegistryNames,
    ) -> Result<Registry, Error> {
        let Self { field, name, .. } = self;
        let mut owners = BTreeMap::new();
        if let Some(kept) = kept.filter(|kept| !kept.owners.is_empty()) {
            if kept.names != *names {
                return Err(Error::InvalidInput(format!(
                    "{field}: {name} was leased by an execution with another txtPrefix, txtSuffix or \
                     txtWildcardReplacement; give this execution the same ones"
                )));
            }
            owners.clone_from(&kept.owners);
        }
        let mut live = BTreeMap::new();
        for text in texts.iter().filter(|text| text.record_type.is_some()) {
            let is_known = owners.contains_key(&text.form);
            self.note_owner(text, is_known, &mut live)?;
        }
        owners.extend(live);
        Ok(Registry {
            names: names.clone(),
            owners,
        })
    }

    fn note_owner(
        &self,
        text: &RegistryText<'_>,
        is_known: bool,
        live: &mut BTreeMap<Form, String>,
    ) -> Result<(), Error> {
        let Self {
            field, side, name, ..
        } = self;
        let place = &text.read.name;
        let is_leased = self.mode == Mode::Lease;
        match &text.owner {
            Owner::Migration if !is_known => Err(Error::Busy(format!(
                "the registry TXT {place} is leased by a migration, but no journal says whom it named before; \
                 write the owner id of the ExternalDNS of {side} back into it"
            ))),
            Owner::Encrypted if is_leased => Err(Error::InvalidInput(format!(
                "externalDns.mode: the registry TXT {place} can't be read, as it is encrypted (--txt-encrypt-enabled), \
                 so it can't be leased; run the ExternalDNS of {side} with --policy=create-only during the migration \
                 and set externalDns.mode to \"ignore\", or exclude the name"
            ))),
            Owner::ExternalDns(_) if is_leased && !text.has_room_for_a_lease() => {
                Err(Error::InvalidInput(format!(
                    "externalDns.mode: the registry TXT {place} can't be leased, as its value would have more than 255 \
                     characters; shorten the name of the Ingress or Service, or exclude the name"
                )))
            }
            Owner::ExternalDns(owner) if is_leased => match live.insert(text.form, owner.clone()) {
                Some(other) if other != *owner => Err(Error::InvalidInput(format!(
                    "{field}: two registry TXT records for the same record of {name} and {side} name different \
                         owners, {other} and {owner} ({place}); delete the one that is not used any more, or exclude \
                         the name"
                ))),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Each side of a journal with its registry TXT records.
fn sides<'n, 'z>(
    named: &'n PairedName<'z>,
    journal: &'n Journal,
) -> impl Iterator<Item = (JournalSide<'n>, &'n Vec<RegistryText<'z>>)> {
    journal.sides().into_iter().zip(named.registry.iter())
}

/// A registry TXT with a weight: leased where its owner is kept, and otherwise as it is.
fn leased(
    text: &RegistryText<'_>,
    owners: &BTreeMap<Form, String>,
    execution: &str,
    weight: u8,
) -> RecordSet {
    if owners.contains_key(&text.form) {
        text.leased(execution, weight)
    } else {
        text.read.with_weight(weight)
    }
}

/// A leased registry TXT with its original owner and a weight; none if it is not leased, or its
/// owner is not known.
fn given_back(
    text: &RegistryText<'_>,
    owners: &BTreeMap<Form, String>,
    weight: u8,
) -> Option<RecordSet> {
    let owner = owners.get(&text.form)?;
    (text.owner == Owner::Migration).then(|| text.with_owner(owner, weight))
}

/// The registry TXT records with the weights that a journal is about to write to their records, and
/// leased where it keeps an owner.
pub(crate) fn texts<'z>(named: &PairedName<'z>, journal: &Journal) -> Vec<Replacement<'z>> {
    let mut replacements = Vec::new();
    for (side, texts) in sides(named, journal) {
        for text in texts {
            let record_type = text.record_type.as_ref();
            let Some(weight) = record_type.and_then(|record_type| side.written(record_type)) else {
                continue;
            };
            let owners = &side.registry.owners;
            let new = leased(text, owners, &journal.execution, weight);
            replacements.push((text.read, new));
        }
    }
    replacements
}

/// Refuses a leased name whose registry TXT names an ExternalDNS again.
pub(crate) fn reject_lost(named: &PairedName<'_>, journal: &Journal) -> Result<(), Error> {
    for (side, texts) in sides(named, journal) {
        let Some(owner) = side.registry.owners.values().next() else {
            continue;
        };
        let mut attached = texts.iter().filter(|text| text.record_type.is_some());
        let lost = attached.find_map(|text| Some((text, text.external_dns()?)));
        if let Some((text, found)) = lost {
            let execution = &journal.execution;
            return Err(Error::Drift(format!(
                "the registry TXT {} names the ExternalDNS {found} as owner, although execution {execution} leased it \
                 (from {owner}): its weights would be put back; find out who wrote, then start a new execution, or roll \
                 back: start the rollback state machine with {{\"execution\": \"{execution}\"}}",
                text.read.name
            )));
        }
    }
    Ok(())
}

/// The registry TXT records with their original owners and the original weights of their records.
pub(crate) fn original_texts<'z>(
    zone: &'z Zone,
    name: &RecordName,
    journal: &Journal,
    found: &mut Vec<String>,
) -> Vec<Replacement<'z>> {
    let mut replacements = Vec::new();
    for side in journal.sides() {
        let owners = &side.registry.owners;
        let texts = zone.registry_texts(name, side.identifier, &side.registry.names);
        for form in owners.keys() {
            if !texts.iter().any(|text| text.form == *form) {
                found.push(format!(
                    "the registry TXT ({}) of {} for {name} is gone",
                    form.as_str(),
                    side.identifier
                ));
            }
        }
        for text in texts {
            // Where its record is gone, ExternalDNS creates that again with its annotation's weight,
            // which was the original one.
            let record_types = match &text.record_type {
                Some(record_type) => std::slice::from_ref(record_type),
                None => text.form.record_types(),
            };
            let original = record_types.iter().find_map(|it| side.original(it));
            let original = original.unwrap_or_else(|| text.weight());
            let place = &text.read.name;
            match (&text.owner, owners.contains_key(&text.form)) {
                (Owner::ExternalDns(live), true) => found.push(format!(
                    "the registry TXT {place} named {live} as owner already"
                )),
                (Owner::Migration, false) => found.push(format!(
                    "the registry TXT {place} is leased, and the journal does not say whom it named before; write the \
                     owner id of the ExternalDNS of {} back into it",
                    side.identifier
                )),
                _ => {}
            }
            let new = given_back(&text, owners, original);
            let new = new.unwrap_or_else(|| text.read.with_weight(original));
            replacements.push((text.read, new));
        }
    }
    replacements
}

/// What there is of one side at a completed name: its records with the weights that were reached,
/// its registry TXT records likewise, and the types of which the record is gone that had a weight.
struct Completed<'z, 'j> {
    of: JournalSide<'j>,
    records: Vec<(&'z RecordSet, u8)>,
    texts: Vec<(RegistryText<'z>, u8)>,
    gone: Vec<&'j RecordType>,
}

fn completed<'z, 'j>(zone: &'z Zone, (name, _, journal): Journaled<'j>) -> [Completed<'z, 'j>; 2] {
    let sides = journal.sides();
    let is_gone = |side: &JournalSide<'_>, record_type: &RecordType| {
        side.written(record_type).is_some_and(|reached| reached > 0)
            && zone.weighted(name, record_type, side.identifier).is_none()
    };
    sides.map(|side| {
        // Beside a record that is gone no weight is known to be right but the one that is there.
        let reached = |record_type: &RecordType, live: u8| {
            let has_gone = sides.iter().any(|side| is_gone(side, record_type));
            side.written(record_type)
                .filter(|_| !has_gone)
                .unwrap_or(live)
        };
        let records = journal.written.keys().filter_map(|record_type| {
            let (read, live) = zone.weighted(name, record_type, side.identifier)?;
            Some((read, reached(record_type, live)))
        });
        let texts = zone.registry_texts(name, side.identifier, &side.registry.names);
        let texts = texts.into_iter().map(|text| {
            let record = text.record_type.as_ref().and_then(|record_type| {
                let (_, live) = zone.weighted(name, record_type, side.identifier)?;
                Some(reached(record_type, live))
            });
            let weight = record.unwrap_or_else(|| text.weight());
            (text, weight)
        });
        Completed {
            of: side,
            records: records.collect(),
            texts: texts.collect(),
            gone: journal
                .written
                .keys()
                .filter(|record_type| is_gone(&side, record_type))
                .collect(),
        }
    })
}

impl Completed<'_, '_> {
    /// Whether an ExternalDNS may write its records.
    fn is_given_back(&self) -> bool {
        self.texts
            .iter()
            .any(|(text, _)| text.record_type.is_some() && text.external_dns().is_some())
            && !self.of.registry.owners.is_empty()
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
    let sides = completed(zone, journaled);
    for side in &sides {
        if let [record_type, ..] = side.gone.as_slice() {
            return Err(describe_gone(zone, name, record_type, side.of.identifier));
        }
    }
    for side in &sides {
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
            let new = given_back(text, &side.of.registry.owners, *weight);
            is_leased |= new.is_some();
            let new = new.unwrap_or_else(|| text.read.with_weight(*weight));
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
    let sides = completed(zone, journaled);
    if !sides.iter().any(Completed::is_given_back) {
        return None;
    }
    let mut next = journal.next();
    let mut change = NameChange::new(name);
    let [from, to] = &sides;
    // What ExternalDNS does not own was not given back, and a change of it is another writer's.
    for (side, owners) in [
        (from, &mut next.registry.from.owners),
        (to, &mut next.registry.to.owners),
    ]
    .into_iter()
    .filter(|(side, _)| side.is_given_back())
    {
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
            let new = leased(text, owners, &journal.execution, *weight);
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(read_journal), Some(next.record_set(name)));
    Some(change)
}

/// The change that takes a journal away, and gives back whatever of the name is leased still, its
/// weights as they are.
pub fn end(zone: &Zone, (name, read_journal, journal): Journaled<'_>) -> NameChange {
    let mut change = NameChange::new(name);
    for side in journal
        .sides()
        .iter()
        .filter(|side| !side.registry.owners.is_empty())
    {
        for text in zone.registry_texts(name, side.identifier, &side.registry.names) {
            let record_type = text.record_type.as_ref();
            let record = record_type
                .and_then(|record_type| zone.weighted(name, record_type, side.identifier));
            let weight = record.map_or_else(|| text.weight(), |(_, weight)| weight);
            let new = given_back(&text, &side.registry.owners, weight);
            let new = new.unwrap_or_else(|| text.read.clone());
            change.replace_with(text.read, new, true);
        }
    }
    change.replace_journal(Some(read_journal), None);
    change
}

fn describe_gone(
    zone: &Zone,
    name: &RecordName,
    record_type: &RecordType,
    side: &SetIdentifier,
) -> Error {
    Error::Drift(format!(
        "the {record_type} record of {side} at {name} is gone, which the traffic of the name went to: if ExternalDNS \
         deleted it, the Ingress or Service in the cluster of {side} no longer asks for it; create it again and release \
         again, or roll this name back first: start the rollback state machine with {{\"hostedZoneId\": \"{}\", \
         \"names\": [\"{}\"]}}",
        zone.id,
        // As it is written in JSON.
        name.as_str().replace('\\', "\\\\")
    ))
}

fn describe(
    (name, _, journal): Journaled<'_>,
    side: &Completed<'_, '_>,
    live: u8,
    reached: u8,
) -> Error {
    let identifier = side.of.identifier;
    let execution = &journal.execution;
    if !side.is_given_back() {
        return Error::Drift(format!(
            "another writer changed {name}: {identifier} has weight {live} instead of {reached}, as execution {execution} \
             last wrote it; put the weight back and release again, or roll back: start the \
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
