//! Records that a migration can't move or restore.

use std::fmt;

use crate::dns::{RecordName, RecordType, SetIdentifier, SetIdentifierTemplate, Side};

/// Advice for names with records of `from` and none of `to`.
pub(crate) const NO_RECORDS: &str = "if the cluster of the new side runs these workloads, check their annotations: from \
     v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with \
     external-dns.alpha.kubernetes.io/";

/// A reminder of what a `*` in the set identifiers of an input means, if one has it.
fn about_star(identifiers: &[&str]) -> &'static str {
    if identifiers.iter().any(|it| it.contains('*')) {
        "; `*` stands for any text"
    } else {
        ""
    }
}

/// The set identifiers that a name or a zone has, for an operator who misspelt one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PresentSides {
    NoRecord { zone_name: RecordName },
    NoWeightedRecord,
    NoWeightedRecordInZone,
    Identifiers(Vec<SetIdentifier>),
}

impl fmt::Display for PresentSides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord { zone_name } => {
                write!(f, "the zone {zone_name} has no record of that name")
            }
            Self::NoWeightedRecord => f.write_str("it has no weighted A, AAAA or CNAME records"),
            Self::NoWeightedRecordInZone => f.write_str("the zone has no weighted records"),
            Self::Identifiers(identifiers) => {
                let identifiers: Vec<_> = identifiers.iter().map(SetIdentifier::as_str).collect();
                write!(
                    f,
                    "the set identifiers of its weighted records are {}",
                    identifiers.join(", ")
                )
            }
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoSuchPair {
    #[error(
        "{name} has a weighted {record_type} record of {present} but none of {missing} ({sides}{}), so its \
         {record_type} traffic could not move; create the record of {missing}, or exclude the name",
        about_star(&[missing.as_str()])
    )]
    OneSide {
        name: RecordName,
        record_type: RecordType,
        present: SetIdentifier,
        missing: SetIdentifier,
        missing_side: Side,
        sides: PresentSides,
    },
    #[error(
        "only one side has records of a type: {names}; such a record answers whatever its weight is, and the probe, which \
         would find out whether its load balancer has addresses of that type, is switched off (probe.enabled); switch it \
         on, create the records of the other side, or accept it with acceptOneSidedTypes"
    )]
    OneSidedWithoutProbe {
        /// The first of them with type and side, and how many there are.
        names: String,
    },
    #[error(
        "{name} has no weighted records of {from} and {to}: {sides}{}; correct `names`, `from` or `to`, or create the records",
        about_star(&[from.as_str(), to.as_str()])
    )]
    NoSide {
        name: RecordName,
        from: SetIdentifier,
        to: SetIdentifier,
        sides: PresentSides,
    },
    #[error(
        "names[{index}]: {pattern} matches no name of the zone {zone_name} that has weighted records of both {from} and \
         {to}: {sides}{}; correct the pattern, `from` or `to`",
        about_star(&[from.as_str(), to.as_str()])
    )]
    NoMatch {
        index: usize,
        pattern: String,
        zone_name: RecordName,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
        sides: PresentSides,
        /// Whether it matches names with records of `from`.
        has_from: bool,
    },
    #[error(
        "the zone {zone_name} has no name with weighted records of both {from} and {to}{}; {sides}{}{}",
        if *has_exclusions { " that is not excluded" } else { "" },
        about_star(&[from.as_str(), to.as_str()]),
        if *has_from { format!("; {NO_RECORDS}") } else { String::new() }
    )]
    NoName {
        zone_name: RecordName,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
        has_exclusions: bool,
        sides: PresentSides,
        /// Whether selected names have records of `from`.
        has_from: bool,
    },
    #[error(
        "names with records of {from} have none of {to} yet: {names}{}; create the records, exclude the names, or leave \
         recordsTimeoutSeconds out to move the other names without waiting for these",
        about_star(&[from.as_str(), to.as_str()])
    )]
    StillMissing {
        /// The first of them, and how many there are.
        names: String,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
    },
}

impl NoSuchPair {
    /// Whether only records of `to` are missing.
    pub(super) fn is_missing_to(&self) -> bool {
        match self {
            Self::OneSide { missing_side, .. } => *missing_side == Side::To,
            Self::NoMatch { has_from, .. } | Self::NoName { has_from, .. } => *has_from,
            Self::StillMissing { .. } => true,
            Self::NoSide { .. } | Self::OneSidedWithoutProbe { .. } => false,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnsupportedRouting {
    #[error(
        "no name has weighted records yet, and these have simple ones: {names}; Route 53 accepts no weighted record of \
         {to} beside a simple one of the same name and type, so it is not waited for: first make the records of {from} \
         weighted, by the annotations set-identifier and aws-weight of their Ingresses and Services"
    )]
    SimpleOnly {
        /// The first of them, and how many there are.
        names: String,
        from: SetIdentifierTemplate,
        to: SetIdentifierTemplate,
    },
    #[error(
        "the {record_type} record of {name} belongs to a traffic policy and can't be changed alone; \
         delete the traffic policy record, or exclude the name"
    )]
    TrafficPolicy {
        name: RecordName,
        record_type: RecordType,
    },
    #[error(
        "the {record_type} record of {name} has {policy} routing, expected weighted; make it weighted with one record of \
         each side, or exclude the name"
    )]
    OtherPolicy {
        name: RecordName,
        record_type: RecordType,
        policy: &'static str,
    },
    #[error("the {record_type} record {name} can't be read: {problem}")]
    Unreadable {
        name: String,
        record_type: String,
        problem: String,
    },
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AllZeroWeights {
    #[error(
        "the {record_type} records of {name} have weight 0 on both {from} and {to}, {}; first give the side that serves \
         now a weight above 0, or exclude the name",
        if *others_serve {
            "so only other set identifiers get traffic and there is none to move"
        } else {
            "so Route 53 answers with all records equally"
        }
    )]
    Found {
        name: RecordName,
        record_type: RecordType,
        from: SetIdentifier,
        to: SetIdentifier,
        others_serve: bool,
    },
    #[error("both {record_type} records of {name} would have weight 0; nothing is written")]
    WouldBeWritten {
        name: RecordName,
        record_type: RecordType,
    },
    #[error(
        "the {record_type} records of {name} can't be restored: that of {gone} is gone, and the original weight of {left} \
         is 0, with which it would get all traffic; create the record of {gone} again, then roll back again"
    )]
    WouldBeRestored {
        name: RecordName,
        record_type: RecordType,
        gone: SetIdentifier,
        left: SetIdentifier,
    },
}
