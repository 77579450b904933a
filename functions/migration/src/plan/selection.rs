//! The selection of the names that a migration moves.

use std::collections::BTreeSet;

use super::stays::listed;
use super::warning::Warning;
use crate::Error;
use crate::dns::{RecordName, RecordSet, Routing, Zone};
use crate::error::{InvalidInput, NO_RECORDS, NoSuchPair, PresentSides, UnsupportedRouting};
use crate::input::{Input, NamePattern, WarningCode};

/// The names in an input without patterns; none if only the whole zone shows which names it selects.
pub fn literal_names(input: &Input) -> Option<Vec<RecordName>> {
    input
        .names
        .as_ref()?
        .iter()
        .map(NamePattern::literal)
        .collect()
}

/// The names that `input` selects in `zone`, in order.
///
/// # Errors
/// [`Error::InvalidInput`] for a name of another zone; [`Error::UnsupportedRouting`] if simple records stand where
/// those of both sides are expected; [`Error::NoSuchPair`] if no name is selected, or the migration is to wait for
/// records of `to`.
pub(super) fn select_names(
    input: &Input,
    zone: &Zone,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<RecordName>, Error> {
    let of_from = zone.names_of(&input.from);
    let of_to = zone.names_of(&input.to);
    let of_both: BTreeSet<_> = of_from.intersection(&of_to).copied().collect();
    let is_excluded = |name: &RecordName| input.exclude.iter().any(|pattern| pattern.matches(name));

    let mut selected: BTreeSet<RecordName> = BTreeSet::new();
    for (index, pattern) in input.names.iter().flatten().enumerate() {
        if let Some(name) = pattern.literal() {
            if !name.is_in(&zone.name) {
                return Err(Error::from(InvalidInput::NotInZone {
                    index,
                    name,
                    zone_name: zone.name.clone(),
                    zone_id: zone.id.clone(),
                }));
            }
            selected.insert(name);
            continue;
        }
        let mut matching = of_both
            .iter()
            .filter(|name| pattern.matches(name))
            .peekable();
        if matching.peek().is_none() {
            reject_simple(input, zone, |name| pattern.matches(name))?;
            return Err(Error::from(NoSuchPair::NoMatch {
                index,
                pattern: pattern.to_string(),
                zone_name: zone.name.clone(),
                from: input.from.clone(),
                to: input.to.clone(),
                sides: present_sides(zone),
            }));
        }
        selected.extend(matching.map(|name| (*name).clone()));
    }
    if input.names.is_none() {
        selected.extend(of_both.iter().map(|name| (*name).clone()));
    }
    selected.retain(|name| !is_excluded(name));
    if selected.is_empty() {
        reject_simple(input, zone, |_| true)?;
        return Err(Error::from(NoSuchPair::NoName {
            zone_name: zone.name.clone(),
            from: input.from.clone(),
            to: input.to.clone(),
            has_exclusions: !input.exclude.is_empty(),
            sides: present_sides(zone),
            has_no_record_of_to: of_to.is_empty() && !of_from.is_empty(),
        }));
    }
    let without_to: Vec<_> = of_from
        .difference(&of_to)
        .copied()
        .filter(|name| input.selects(name))
        .collect();
    if let [first, ..] = without_to.as_slice() {
        if input.records_timeout_seconds.get() > 0 {
            return Err(Error::from(NoSuchPair::StillMissing {
                count: without_to.len(),
                first: RecordName::clone(first),
                from: input.from.clone(),
                to: input.to.clone(),
            }));
        }
        let message = format!(
            "{} of the names with records of {} have none of {} and are not moved, such as {first}; {NO_RECORDS}",
            without_to.len(),
            input.from,
            input.to
        );
        warnings.push(Warning::new(WarningCode::NamesWithoutTo, message));
    }
    for (index, pattern) in input.exclude.iter().enumerate() {
        let is_movable =
            |record_sets: &[RecordSet]| record_sets.iter().any(|it| it.record_type.moves());
        let mut names = zone.record_sets.iter();
        if !names.any(|(name, record_sets)| pattern.matches(name) && is_movable(record_sets)) {
            let message = format!("exclude[{index}]: {pattern} matches no name");
            warnings.push(Warning::new(WarningCode::ExcludeWithoutMatch, message));
        }
    }
    Ok(selected.into_iter().collect())
}

/// Refuses a zone of which no selected name has a weighted record, but some have simple ones. Waiting for records of
/// `to` would be in vain: Route 53 accepts none beside a simple record.
///
/// # Errors
/// [`Error::UnsupportedRouting`] with these names.
///
/// Source: Route 53 Developer Guide, "Weighted routing"; ExternalDNS's issue 1411.
fn reject_simple(
    input: &Input,
    zone: &Zone,
    matches: impl Fn(&RecordName) -> bool,
) -> Result<(), Error> {
    let mut simple = Vec::new();
    for (name, record_sets) in &zone.record_sets {
        let is_selected = matches(name) && input.selects(name);
        let mut moving = record_sets.iter().filter(|it| it.record_type.moves());
        if let (true, Some(first)) = (is_selected, moving.next()) {
            match first.routing {
                Routing::Weighted { .. } => return Ok(()),
                Routing::Simple => simple.push(name.to_string()),
                Routing::Other(_) => {}
            }
        }
    }
    match listed(&simple) {
        None => Ok(()),
        Some(names) => Err(Error::from(UnsupportedRouting::SimpleOnly {
            names,
            from: input.from.clone(),
            to: input.to.clone(),
        })),
    }
}

/// The maximum number of set identifiers that a message lists.
const LISTED_IDENTIFIERS: usize = 10;

fn present_sides(zone: &Zone) -> PresentSides {
    let identifiers: BTreeSet<_> = zone
        .record_sets
        .values()
        .flatten()
        .filter(|record_set| record_set.record_type.moves())
        .filter_map(|record_set| {
            record_set
                .weighted()
                .map(|(identifier, _)| identifier.clone())
        })
        .collect();
    if identifiers.is_empty() {
        return PresentSides::NoWeightedRecordInZone;
    }
    PresentSides::Identifiers(identifiers.into_iter().take(LISTED_IDENTIFIERS).collect())
}
