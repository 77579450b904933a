//! Warnings about the state of ExternalDNS's records in a zone: what was found, where, and what to do.
//!
//! A warning never stops a migration; what must stop it is an error.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`, `plan/plan.go`, `source/annotations`; its
//! issues 1411, 1698 and 4696.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::warning::Warning;
use crate::dns::{RecordName, RecordSet, RecordType, Routing, SetIdentifier, Side, Zone};
use crate::external_dns::{Mode, Owner, RegistryText, TxtNaming, owner, registry_texts};
use crate::input::{Input, WarningCode};
use crate::journal::PairedName;

/// The number of names by side, type of record and owner. Besides owner ids there are `leased`, `nobody`
/// and `encrypted`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OwnerCounts(BTreeMap<String, BTreeMap<String, BTreeMap<String, usize>>>);

impl OwnerCounts {
    pub(super) fn of(
        paired_names: &[PairedName<'_>],
        from: &SetIdentifier,
        to: &SetIdentifier,
    ) -> Self {
        let mut counts = Self::default();
        for paired in paired_names {
            for (side, texts) in [(from, &paired.registry.from), (to, &paired.registry.to)] {
                let owners: BTreeSet<_> = texts.iter().filter_map(shown_owner).collect();
                for (record_type, owner) in owners {
                    let by_type = counts.0.entry(side.to_string()).or_default();
                    let by_owner = by_type.entry(record_type.to_string()).or_default();
                    *by_owner.entry(owner).or_default() += 1;
                }
            }
        }
        counts
    }
}

fn shown_owner<'t>(text: &'t RegistryText<'_>) -> Option<(&'t RecordType, String)> {
    let owner = match &text.owner {
        Owner::ExternalDns(owner) => owner.clone(),
        Owner::Migration => "leased".to_owned(),
        Owner::Nobody => "nobody".to_owned(),
        Owner::Encrypted => "encrypted".to_owned(),
    };
    Some((text.record_type.as_ref()?, owner))
}

/// One kind of problem, and where it was found.
struct Finding {
    code: WarningCode,
    problem: &'static str,
    advice: String,
    found_at: Vec<String>,
}

impl Finding {
    fn new(code: WarningCode, problem: &'static str, advice: impl Into<String>) -> Self {
        Self {
            code,
            problem,
            advice: advice.into(),
            found_at: Vec::new(),
        }
    }

    fn warning(self) -> Option<Warning> {
        let Self {
            code,
            problem,
            advice,
            found_at,
        } = self;
        let first = found_at.first()?;
        let others = match found_at.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let message = format!("{problem}: {first}{others}; {advice}");
        Some(Warning::new(code, message))
    }
}

/// The warnings about ExternalDNS's records in `zone` that concern the migration of `paired_names`.
pub(super) fn external_dns_warnings(
    input: &Input,
    zone: &Zone,
    paired_names: &[PairedName<'_>],
) -> Vec<Warning> {
    let mut warnings: Vec<_> = without_lease(input, paired_names).into_iter().collect();
    let findings = [
        same_owner(input, paired_names),
        different_namings(input, paired_names),
        other_weights(paired_names),
        missing_texts(input, paired_names),
        orphaned_texts(input, zone),
        simple_records(input, zone, paired_names),
    ];
    warnings.extend(findings.into_iter().filter_map(Finding::warning));
    warnings
}

/// ExternalDNS may put weights back, because the names are not leased.
fn without_lease(input: &Input, paired_names: &[PairedName<'_>]) -> Option<Warning> {
    let owners: BTreeSet<_> = paired_names
        .iter()
        .flat_map(PairedName::external_dns_owners)
        .collect();
    let has_texts = paired_names
        .iter()
        .any(|paired| paired.registry.iter().any(|texts| !texts.is_empty()));
    if !has_texts {
        return Some(Warning::new(
            WarningCode::NoRegistry,
            "these names have no registry TXT of ExternalDNS; a registry in DynamoDB, or none (noop), can't be seen in \
             the zone, and an ExternalDNS that owns the records and runs with policy sync or upsert-only puts weights \
             back, which the migration reports as drift: run it with --policy=create-only until the migration has ended",
        ));
    }
    (input.external_dns.mode == Mode::Ignore && !owners.is_empty()).then(|| {
        let owners: Vec<_> = owners.into_iter().collect();
        let message = format!(
            "ExternalDNS owns records of these names (owners {}) and they are not leased, because externalDns.mode is \
             \"ignore\"; with policy sync or upsert-only it puts a changed weight back within its interval, which the \
             migration reports as drift: run it with --policy=create-only until the migration has ended",
            owners.join(", ")
        );
        Warning::new(WarningCode::NotLeased, message)
    })
}

/// Two instances with the same owner id delete each other's records (issue 1698).
fn same_owner(input: &Input, paired_names: &[PairedName<'_>]) -> Finding {
    let of_from = paired_names.iter().flat_map(|paired| &paired.registry.from);
    let of_to = paired_names.iter().flat_map(|paired| &paired.registry.to);
    let from: BTreeSet<_> = of_from.filter_map(RegistryText::external_dns).collect();
    let to: BTreeSet<_> = of_to.filter_map(RegistryText::external_dns).collect();
    let mut finding = Finding::new(
        WarningCode::SameOwner,
        "both sides have the same ExternalDNS owner id",
        format!(
            "two instances with the same id delete each other's records under policy sync: give each of the clusters \
             of {} and {} its own --txt-owner-id",
            input.from, input.to
        ),
    );
    finding.found_at = from.intersection(&to).map(ToString::to_string).collect();
    finding
}

/// The TXT of an alias A record begins with `cname-` up to v0.21, and with `a-` from v0.22.
fn different_namings(input: &Input, paired_names: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        WarningCode::TxtNamesDiffer,
        "the registry TXT records of the two sides are named differently",
        "both are leased and given back; if the versions of ExternalDNS differ, upgrade before the migration or after its \
         release, because an upgraded ExternalDNS writes its records again with the weights of the annotations",
    );
    let is_leased = input.external_dns.mode == Mode::Lease;
    for paired in paired_names.iter().filter(|_| is_leased) {
        let namings = |texts: &[RegistryText<'_>]| -> BTreeSet<TxtNaming> {
            let attached = texts.iter().filter(|text| text.record_type.is_some());
            attached.map(|text| text.naming).collect()
        };
        let (from, to) = (namings(&paired.registry.from), namings(&paired.registry.to));
        if !from.is_empty() && !to.is_empty() && from != to {
            let shown = |namings: &BTreeSet<TxtNaming>| {
                let namings: Vec<_> = namings.iter().map(|naming| naming.as_str()).collect();
                namings.join(" and ")
            };
            finding.found_at.push(format!(
                "{} ({} of {}, {} of {})",
                paired.name,
                shown(&from),
                input.from,
                shown(&to),
                input.to
            ));
        }
    }
    finding
}

/// To delete a TXT, ExternalDNS sends Route 53 the weight of its record.
fn other_weights(paired_names: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        WarningCode::TxtWeightDiffers,
        "a registry TXT has another weight than its record",
        "ExternalDNS can't delete such a record and its TXT; the migration gives both the same weight",
    );
    for paired in paired_names {
        for side in [Side::From, Side::To] {
            for text in paired.registry.of(side) {
                let record_type = text.record_type.as_ref();
                let weight = record_type.and_then(|of| paired.weight(of, side));
                let found = text.read.weighted().map(|(_, weight)| weight);
                if let (Some(weight), Some(found)) = (weight, found)
                    && weight != found
                {
                    finding.found_at.push(format!(
                        "{} has weight {found} instead of {weight}",
                        describe(text.read)
                    ));
                }
            }
        }
    }
    finding
}

/// A record without a registry TXT is not leased, and its ExternalDNS may be misconfigured.
fn missing_texts(input: &Input, paired_names: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        WarningCode::TxtMissing,
        "a record has no registry TXT, although other records of its name have one",
        "the ExternalDNS of its cluster does not own it, or has its registry elsewhere: check its logs, its --registry and \
         its --txt-prefix (which externalDns.from and externalDns.to must have too)",
    );
    for paired in paired_names {
        if paired.registry.iter().all(Vec::is_empty) {
            continue;
        }
        for (side, identifier) in [(Side::From, &input.from), (Side::To, &input.to)] {
            let texts = paired.registry.of(side);
            for record_type in paired.types_of(side) {
                let is_of_it =
                    |text: &RegistryText<'_>| text.record_type.as_ref() == Some(record_type);
                if !texts.iter().any(is_of_it) {
                    let place = format!("{} {record_type} of {identifier}", paired.name);
                    finding.found_at.push(place);
                }
            }
        }
    }
    finding
}

/// Registry TXT records of one of the sides that belong to no record under the flags in the input.
fn orphaned_texts(input: &Input, zone: &Zone) -> Finding {
    let mut finding = Finding::new(
        WarningCode::TxtWithoutRecord,
        "a registry TXT belongs to no record",
        "if ExternalDNS runs with --txt-prefix, --txt-suffix or --txt-wildcard-replacement, set the same in \
         externalDns.from and externalDns.to; otherwise delete it",
    );
    let sides = [
        (&input.from, &input.external_dns.from),
        (&input.to, &input.external_dns.to),
    ];
    for (side, names) in sides {
        let known: BTreeSet<RecordName> = zone
            .names_of(side)
            .into_iter()
            .flat_map(|name| registry_texts(zone, name, side, names))
            .filter(|text| text.record_type.is_some())
            .map(|text| text.read.name.clone())
            .collect();
        let of_the_side = zone.record_sets.values().flatten().filter(|record_set| {
            record_set.weighted().is_some_and(|(of, _)| of == side)
                && matches!(
                    owner(record_set),
                    Some(Owner::ExternalDns(_) | Owner::Migration | Owner::Nobody)
                )
        });
        finding.found_at.extend(
            of_the_side
                .filter(|record_set| !known.contains(&record_set.name))
                .filter(|record_set| !names.is_of_unmoved_type(&record_set.name))
                .map(describe),
        );
    }
    finding
}

/// A simple and a weighted record can't share name and type (issue 1411).
fn simple_records(input: &Input, zone: &Zone, paired_names: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        WarningCode::SimpleRecord,
        "an ExternalDNS of these clusters owns a simple record",
        "it can't be migrated, and no other cluster can create a weighted record with its name and type: add the \
         annotations set-identifier and aws-weight to its Ingress or Service",
    );
    let owners: BTreeSet<_> = paired_names
        .iter()
        .flat_map(PairedName::external_dns_owners)
        .collect();
    for (name, record_sets) in &zone.record_sets {
        let is_simple = record_sets.iter().any(|record_set| {
            record_set.record_type.moves() && record_set.routing == Routing::Simple
        });
        if !is_simple {
            continue;
        }
        let of_either = [&input.external_dns.from, &input.external_dns.to];
        let texts = of_either
            .iter()
            .flat_map(|names| names.record_names(name))
            .flat_map(|(_, txt)| zone.at(&txt))
            .filter(|text| text.routing == Routing::Simple);
        let owner = texts.filter_map(owner).find_map(|owner| match owner {
            Owner::ExternalDns(owner) if owners.contains(owner.as_str()) => Some(owner),
            _ => None,
        });
        if let Some(owner) = owner {
            finding.found_at.push(format!("{name} of {owner}"));
        }
    }
    finding
}

fn describe(record_set: &RecordSet) -> String {
    match record_set.weighted() {
        Some((side, _)) => format!("{} of {side}", record_set.name),
        None => record_set.name.to_string(),
    }
}
