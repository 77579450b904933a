//! Which set identifiers the two sides have at the names of a zone.
//!
//! At each name, `from` and `to` must match one set identifier each, the same one for all types. They are chosen once,
//! here, and passed on with the migration, so that a record that is created later changes nothing.

use std::collections::BTreeSet;

use crate::Error;
use crate::dns::{RecordName, SetIdentifier, SetIdentifierTemplate, Side, Sides, Zone};
use crate::error::InvalidInput;
use crate::input::Input;

/// The set identifiers of the sides of `input` in a zone.
#[derive(Clone, Copy)]
pub(super) struct IdentifiersInZone<'z> {
    zone: &'z Zone,
    templates: Sides<&'z SetIdentifierTemplate>,
    /// Whether a `*` stands only for itself, because a record of a selected name has this very set identifier.
    is_literal: Sides<bool>,
}

impl<'z> IdentifiersInZone<'z> {
    pub(super) fn new(input: &'z Input, zone: &'z Zone) -> Self {
        let is_literal = |template: &SetIdentifierTemplate| {
            let literal = template.literal();
            let mut names = zone.record_sets.keys();
            names.any(|name| zone.set_identifiers(name).contains(&literal) && input.selects(name))
        };
        Self {
            zone,
            templates: Sides {
                from: &input.from,
                to: &input.to,
            },
            is_literal: Sides {
                from: is_literal(&input.from),
                to: is_literal(&input.to),
            },
        }
    }

    /// Whether records with this set identifier belong to a side.
    pub(super) fn matches(&self, side: Side, identifier: &SetIdentifier) -> bool {
        let template = self.templates.of(side);
        if *self.is_literal.of(side) {
            template.as_str() == identifier.as_str()
        } else {
            template.matches(identifier)
        }
    }

    /// The set identifiers of a side at `name`.
    pub(super) fn at(&self, name: &RecordName, side: Side) -> BTreeSet<&'z SetIdentifier> {
        let mut identifiers = self.zone.set_identifiers(name);
        identifiers.retain(|identifier| self.matches(side, identifier));
        identifiers
    }

    /// The names with a weighted record of a side that a migration can move.
    pub(super) fn names_of(&self, side: Side) -> BTreeSet<&'z RecordName> {
        let names = self.zone.record_sets.keys();
        names
            .filter(|name| !self.at(name, side).is_empty())
            .collect()
    }

    /// The set identifiers of both sides at `name`. For a side of which it has no record, it is the text of the input.
    ///
    /// # Errors
    /// [`InvalidInput`] if more than one matches a side, or one matches both.
    pub(super) fn sides_at(&self, name: &RecordName) -> Result<Sides<SetIdentifier>, Error> {
        let only = |side: Side| {
            let template = *self.templates.of(side);
            let identifiers = self.at(name, side);
            if identifiers.len() > 1 {
                return Err(Error::from(InvalidInput::SeveralMatches {
                    name: name.clone(),
                    side,
                    template: template.clone(),
                    identifiers: identifiers.into_iter().cloned().collect(),
                }));
            }
            let only = identifiers.first().map(|only| SetIdentifier::clone(only));
            Ok(only.unwrap_or_else(|| template.literal()))
        };
        let sides = Sides {
            from: only(Side::From)?,
            to: only(Side::To)?,
        };
        if sides.from == sides.to {
            return Err(Error::from(InvalidInput::MatchesBoth {
                name: name.clone(),
                identifier: sides.from,
                from: self.templates.from.clone(),
                to: self.templates.to.clone(),
            }));
        }
        Ok(sides)
    }
}
