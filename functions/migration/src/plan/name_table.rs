//! The table of a plan's names: which move, and which stay although a reader of the input may expect them to move.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::identifiers::IdentifiersInZone;
use super::stays::pointing_records;
use crate::dns::{
    RecordName, RecordSet, Routing, SetIdentifier, SetIdentifierTemplate, Side, Zone,
};
use crate::input::Input;
use crate::journal::PairedName;

/// The most rows of the table.
const MOST_ROWS: usize = 100;
/// How many of them are kept for names that stay, if there are as many.
const ROWS_OF_STAYING: usize = 50;

/// The names of a plan, those that move first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NameTable {
    pub rows: Vec<NameRow>,
    /// How many names have no row, by what happens to them.
    pub more: BTreeMap<String, usize>,
}

/// What happens to the records of some types at a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NameRow {
    pub name: RecordName,
    /// The set identifier of the side that has the traffic now, if `from` is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SetIdentifier>,
    /// The set identifier of the side that gets the traffic, if `to` is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SetIdentifier>,
    /// Their types, such as `A, AAAA`.
    pub types: String,
    /// The weights of its pairs now, such as `100/0`; empty if it stays.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub weights: String,
    pub outcome: Outcome,
}

/// What happens to a name, in the order of the table.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    Moves,
    /// It has records of `from` and none of `to`.
    NoRecordOfTo,
    /// It has records of `to` and none of `from`.
    NoRecordOfFrom,
    /// It has another routing policy than weighted.
    OtherRouting(&'static str),
    /// Its records point at a name that moves.
    Points,
    Simple,
    /// Its weighted records have other set identifiers than `from` and `to`.
    OtherSetIdentifiers,
    /// `names` or `exclude` leave it out.
    NotSelected,
}

impl Outcome {
    /// What the table says.
    pub fn text(&self) -> String {
        match self {
            Self::Moves => "moves".to_owned(),
            Self::NoRecordOfTo => "stays: no record of `to`".to_owned(),
            Self::NoRecordOfFrom => "stays: no record of `from`".to_owned(),
            Self::OtherRouting(policy) => format!("stays: {policy} routing"),
            Self::Points => "stays: has no weights, points at a name that moves".to_owned(),
            Self::Simple => "stays: simple routing".to_owned(),
            Self::OtherSetIdentifiers => "stays: other set identifiers".to_owned(),
            Self::NotSelected => "stays: not selected".to_owned(),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}

impl NameTable {
    pub(super) fn of(
        input: &Input,
        identifiers: &IdentifiersInZone<'_>,
        zone: &Zone,
        paired_names: &[PairedName<'_>],
    ) -> Self {
        let moving: BTreeSet<_> = paired_names.iter().map(|paired| paired.name).collect();
        let staying = staying(input, identifiers, zone, &moving);
        let moved = paired_names.iter().map(|paired| NameRow {
            name: paired.name.clone(),
            from: of_template(&input.from, &paired.identifiers.from),
            to: of_template(&input.to, &paired.identifiers.to),
            types: types_of(zone.at(paired.name)),
            weights: weights_of(paired),
            outcome: Outcome::Moves,
        });
        let rows_of_moving = MOST_ROWS - staying.len().min(ROWS_OF_STAYING);
        let mut table = Self::default();
        for (number, row) in moved.enumerate() {
            table.add(row, number < rows_of_moving);
        }
        for row in staying {
            let has_room = table.rows.len() < MOST_ROWS;
            table.add(row, has_room);
        }
        table
    }

    fn add(&mut self, row: NameRow, has_room: bool) {
        if has_room {
            self.rows.push(row);
        } else {
            *self.more.entry(row.outcome.text()).or_default() += 1;
        }
    }
}

/// The names that stay, by what keeps them.
fn staying(
    input: &Input,
    identifiers: &IdentifiersInZone<'_>,
    zone: &Zone,
    moving: &BTreeSet<&RecordName>,
) -> Vec<NameRow> {
    let of_from = identifiers.names_of(Side::From);
    let of_to = identifiers.names_of(Side::To);
    let outcome = |name: &RecordName, record_sets: &[RecordSet]| {
        let mut routings = record_sets
            .iter()
            .filter(|it| it.record_type.moves())
            .map(|it| &it.routing)
            .peekable();
        routings.peek()?;
        if moving.contains(name) {
            return None;
        }
        if !input.selects(name) {
            return Some(Outcome::NotSelected);
        }
        let unmovable = routings.find_map(|routing| match routing {
            Routing::Other(policy) => Some(Outcome::OtherRouting(policy)),
            Routing::Simple => Some(Outcome::Simple),
            Routing::Weighted { .. } => None,
        });
        Some(
            unmovable.unwrap_or_else(|| match (of_from.contains(name), of_to.contains(name)) {
                (true, false) => Outcome::NoRecordOfTo,
                (false, true) => Outcome::NoRecordOfFrom,
                (true, true) => Outcome::NotSelected,
                (false, false) => Outcome::OtherSetIdentifiers,
            }),
        )
    };
    let names = zone.record_sets.iter().filter_map(|(name, record_sets)| {
        Some(NameRow {
            name: name.clone(),
            from: None,
            to: None,
            types: types_of(record_sets),
            weights: String::new(),
            outcome: outcome(name, record_sets)?,
        })
    });
    let pointing = pointing_records(zone, moving).map(|record_set| NameRow {
        name: record_set.name.clone(),
        from: None,
        to: None,
        types: record_set.record_type.to_string(),
        weights: String::new(),
        outcome: Outcome::Points,
    });
    let mut rows: Vec<_> = names.chain(pointing).collect();
    rows.sort_by(|one, other| one.outcome.cmp(&other.outcome));
    rows
}

/// The set identifier, unless it is the text of the input.
fn of_template(
    template: &SetIdentifierTemplate,
    identifier: &SetIdentifier,
) -> Option<SetIdentifier> {
    (template.as_str() != identifier.as_str()).then(|| identifier.clone())
}

/// The types of the A, AAAA and CNAME records.
fn types_of(record_sets: &[RecordSet]) -> String {
    let moving = record_sets.iter().filter(|it| it.record_type.moves());
    let types: BTreeSet<_> = moving.map(|it| it.record_type.as_str()).collect();
    types.into_iter().collect::<Vec<_>>().join(", ")
}

/// The weights of the pairs: once if all have the same.
fn weights_of(paired: &PairedName<'_>) -> String {
    let different: BTreeSet<_> = paired.pairs.values().map(|pair| pair.weights).collect();
    let different: Vec<_> = different.iter().map(ToString::to_string).collect();
    different.join(", ")
}
