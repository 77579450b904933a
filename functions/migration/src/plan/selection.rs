//! The selection of the names that a migration moves.

use std::collections::BTreeSet;

use super::identifiers::IdentifiersInZone;
use super::problems::Problems;
use super::stays::listed;
use super::warning::Warning;
use crate::Error;
use crate::dns::{RecordName, RecordSet, Routing, Side, Zone};
use crate::error::{InvalidInput, NO_RECORDS, NoSuchPair, PresentSides, UnsupportedRouting};
use crate::input::{Input, NamePattern, WarningCode};

/// The names that `input` selects in `zone`, in order.
///
/// Problems are [`Error::InvalidInput`] for a name of another zone; [`Error::UnsupportedRouting`] if simple records
/// stand where those of both sides are expected; [`Error::NoSuchPair`] if no name is selected, or the migration is to
/// wait for records of `to`, and [`Error::InvalidInput`] if it would wait in vain because several set identifiers of a
/// name match `from`.
pub(super) fn select_names(
    input: &Input,
    identifiers: &IdentifiersInZone<'_>,
    zone: &Zone,
    warnings: &mut Vec<Warning>,
    problems: &mut Problems,
) -> Vec<RecordName> {
    let of_from = identifiers.names_of(Side::From);
    let of_to = identifiers.names_of(Side::To);
    let of_both: BTreeSet<_> = of_from.intersection(&of_to).copied().collect();
    let is_excluded = |name: &RecordName| input.exclude.iter().any(|pattern| pattern.matches(name));

    let mut selected: BTreeSet<RecordName> = BTreeSet::new();
    for (index, pattern) in input.names.iter().flatten().enumerate() {
        if let Some(name) = pattern.literal() {
            if name.is_in(&zone.name) {
                selected.insert(name);
            } else {
                let problem = InvalidInput::NotInZone {
                    index,
                    name: name.clone(),
                    zone_name: zone.name.clone(),
                    zone_id: zone.id.clone(),
                };
                problems.add_of(&name, problem);
            }
            continue;
        }
        let matches = |name: &&&RecordName| pattern.matches(name);
        let mut matching = of_both.iter().filter(matches).peekable();
        if matching.peek().is_none() {
            let problem = simple_only(input, zone, |name| pattern.matches(name)).map_or_else(
                || {
                    Error::from(NoSuchPair::NoMatch {
                        index,
                        pattern: pattern.to_string(),
                        zone_name: zone.name.clone(),
                        from: input.from.clone(),
                        to: input.to.clone(),
                        sides: present_sides(zone),
                        has_from: of_from.iter().any(|name| pattern.matches(name)),
                    })
                },
                Error::from,
            );
            problems.add_of(pattern, problem);
        }
        selected.extend(matching.map(|name| (*name).clone()));
    }
    if input.names.is_none() {
        selected.extend(of_both.iter().map(|name| (*name).clone()));
    }
    selected.retain(|name| !is_excluded(name));
    if selected.is_empty() && problems.is_empty() {
        let problem = simple_only(input, zone, |_| true).map_or_else(
            || {
                Error::from(NoSuchPair::NoName {
                    zone_name: zone.name.clone(),
                    from: input.from.clone(),
                    to: input.to.clone(),
                    has_exclusions: !input.exclude.is_empty(),
                    sides: present_sides(zone),
                    has_from: of_from.iter().any(|name| input.selects(name)),
                })
            },
            Error::from,
        );
        problems.add(problem);
    }
    let without_to = of_from.difference(&of_to);
    let without_to: Vec<_> = without_to
        .filter(|name| input.selects(name) && !selected.contains(**name))
        .collect();
    let is_waiting = input.records_timeout_seconds.get() > 0;
    for name in without_to.iter().filter(|_| is_waiting) {
        problems.take_of(*name, identifiers.sides_at(name));
    }
    let without_to: Vec<_> = without_to.iter().map(ToString::to_string).collect();
    if let Some(names) = listed(&without_to).filter(|_| !selected.is_empty()) {
        if is_waiting {
            problems.add(NoSuchPair::StillMissing {
                names,
                from: input.from.clone(),
                to: input.to.clone(),
            });
        } else {
            let message = format!(
                "names with records of {} have none of {} and are not moved: {names}; {NO_RECORDS}",
                input.from, input.to
            );
            warnings.push(Warning::new(WarningCode::NamesWithoutTo, message));
        }
    }
    warnings.extend(exclusion_warning(input, zone));
    selected.into_iter().collect()
}

/// The items of `exclude` that match no name.
fn exclusion_warning(input: &Input, zone: &Zone) -> Option<Warning> {
    let is_movable =
        |record_sets: &[RecordSet]| record_sets.iter().any(|it| it.record_type.moves());
    let matches_none = |pattern: &NamePattern| {
        let mut names = zone.record_sets.iter();
        !names.any(|(name, record_sets)| pattern.matches(name) && is_movable(record_sets))
    };
    let unmatched: Vec<_> = input
        .exclude
        .iter()
        .enumerate()
        .filter(|(_, pattern)| matches_none(pattern))
        .map(|(index, pattern)| format!("exclude[{index}] ({pattern})"))
        .collect();
    let message = format!("no name matches {}", listed(&unmatched)?);
    Some(Warning::new(WarningCode::ExcludeWithoutMatch, message))
}

/// Of the selected names, those with simple records, if none has a weighted one. Waiting for records of `to` would be
/// in vain: Route 53 accepts none beside a simple record.
///
/// Source: Route 53 Developer Guide, "Weighted routing"; ExternalDNS's issue 1411.
fn simple_only(
    input: &Input,
    zone: &Zone,
    matches: impl Fn(&RecordName) -> bool,
) -> Option<UnsupportedRouting> {
    let mut simple = Vec::new();
    for (name, record_sets) in &zone.record_sets {
        let is_selected = matches(name) && input.selects(name);
        let mut moving = record_sets.iter().filter(|it| it.record_type.moves());
        if let (true, Some(first)) = (is_selected, moving.next()) {
            match first.routing {
                Routing::Weighted { .. } => return None,
                Routing::Simple => simple.push(name.to_string()),
                Routing::Other(_) => {}
            }
        }
    }
    Some(UnsupportedRouting::SimpleOnly {
        names: listed(&simple)?,
        from: input.from.clone(),
        to: input.to.clone(),
    })
}

/// The maximum number of set identifiers that a message lists.
const LISTED_IDENTIFIERS: usize = 10;

fn present_sides(zone: &Zone) -> PresentSides {
    let names = zone.record_sets.keys();
    let identifiers: BTreeSet<_> = names.flat_map(|name| zone.set_identifiers(name)).collect();
    if identifiers.is_empty() {
        return PresentSides::NoWeightedRecordInZone;
    }
    PresentSides::Identifiers(
        identifiers
            .into_iter()
            .take(LISTED_IDENTIFIERS)
            .cloned()
            .collect(),
    )
}
