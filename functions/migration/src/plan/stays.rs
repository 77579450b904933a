//! What stays as it is although a reader of the input may expect it to move.

use std::collections::BTreeSet;

use super::warning::Warning;
use crate::dns::{RecordName, RecordSet, RecordType, Routing, Zone};
use crate::input::{Input, WarningCode};
use crate::text::first_of;

/// The most names that a warning lists.
const MOST_LISTED: usize = 10;
/// Types that tell a client where to connect, besides those that move. Their hints and targets have no weights
/// that a migration knows.
///
/// Source: RFC 9460, section 7.3 (`ipv4hint` and `ipv6hint`), and RFC 2782.
const POINTING: [&str; 3] = ["HTTPS", "SVCB", "SRV"];

/// The warnings about what stays, of a migration that moves `names`.
pub(super) fn stay_warnings(input: &Input, zone: &Zone, names: &[RecordName]) -> Vec<Warning> {
    [other_routing(input, zone), pointing(zone, names)]
        .into_iter()
        .flatten()
        .collect()
}

/// Names that `input` would select if their records were weighted.
fn other_routing(input: &Input, zone: &Zone) -> Option<Warning> {
    let routing_of = |record_sets: &[RecordSet]| {
        record_sets.iter().find_map(|it| match it.routing {
            Routing::Other(policy) if it.record_type.moves() => Some(policy),
            Routing::Other(_) | Routing::Simple | Routing::Weighted { .. } => None,
        })
    };
    let staying: Vec<_> = zone
        .record_sets
        .iter()
        .filter(|(name, _)| input.selects(name))
        .filter_map(|(name, record_sets)| Some(format!("{name} ({})", routing_of(record_sets)?)))
        .collect();
    let message = format!(
        "names with another routing policy than weighted are not moved: {}; their traffic stays where it is: make them \
         weighted, with one record of each side, or move them in another way",
        listed(&staying)?
    );
    Some(Warning::new(WarningCode::OtherRouting, message))
}

fn pointing(zone: &Zone, names: &[RecordName]) -> Option<Warning> {
    let names = names.iter().collect();
    let staying: Vec<_> = pointing_records(zone, &names)
        .map(|it| format!("{} {}", it.name, it.record_type))
        .collect();
    let message = format!(
        "records that point at moved names are not moved: {}; if their hints (ipv4hint, ipv6hint) or targets name servers \
         of one side, clients that follow them stay there, whatever the weights: remove the hints, or let the targets be \
         names that move",
        listed(&staying)?
    );
    Some(Warning::new(WarningCode::PointingRecords, message))
}

/// Records that point clients at the servers of the `names` that move: at such a name itself, or at a name below it
/// that begins with an underscore, such as `_8443._https.app.example.com`.
pub(super) fn pointing_records<'z>(
    zone: &'z Zone,
    names: &BTreeSet<&RecordName>,
) -> impl Iterator<Item = &'z RecordSet> {
    let points = |record_set: &RecordSet| match &record_set.record_type {
        RecordType::Other(record_type) => POINTING.contains(&record_type.as_str()),
        _ => false,
    };
    let is_of_moved_name = move |record_set: &RecordSet| {
        let parents = record_set.name.as_str().split_inclusive('.');
        let underscored = parents
            .take_while(|label| label.starts_with('_'))
            .map(str::len)
            .sum::<usize>();
        let of = record_set.name.as_str().get(underscored..);
        names.iter().any(|name| of == Some(name.as_str()))
    };
    let record_sets = zone.record_sets.values().flatten();
    record_sets.filter(move |it| points(it) && is_of_moved_name(it))
}

/// The first of the items and the number of all; none without items.
pub(super) fn listed(items: &[String]) -> Option<String> {
    let first = first_of(items, MOST_LISTED);
    (!items.is_empty()).then(|| format!("{first} ({} in all)", items.len()))
}
