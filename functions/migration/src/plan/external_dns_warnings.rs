//! Warnings about the state of ExternalDNS's records in a zone: what was found, where, and what to do.
//!
//! A warning never stops a migration; what must stop it is an error.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`, `plan/plan.go`, `source/annotations`; its
//! issues 1411 and 4696.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::finding::Finding;
use super::owner_warnings::owner_findings;
use super::registry_flags::Registries;
use super::warning::Warning;
use crate::dns::{RecordSet, RecordType, Routing, SetIdentifierTemplate, Side, Zone};
use crate::external_dns::{ExternalDns, Mode, Owner, RegistryText, TxtNaming, owner, resource};
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
        from: &SetIdentifierTemplate,
        to: &SetIdentifierTemplate,
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

/// The warnings about ExternalDNS's records in `zone` that concern the migration of `paired_names`.
pub(super) fn external_dns_warnings(
    input: &Input,
    zone: &Zone,
    registries: &Registries<'_>,
    paired_names: &[PairedName<'_>],
) -> Vec<Warning> {
    let mut warnings: Vec<_> = without_lease(input, paired_names).into_iter().collect();
    let findings = owner_findings(input, paired_names)
        .chain([
            different_namings(input, paired_names),
            other_weights(paired_names),
            missing_texts(paired_names),
        ])
        .chain(orphaned_texts(registries))
        .chain([simple_records(&registries.external_dns, zone, paired_names)]);
    warnings.extend(findings.filter_map(Finding::warning));
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
                paired.identifiers.from,
                shown(&to),
                paired.identifiers.to
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
fn missing_texts(paired_names: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        WarningCode::TxtMissing,
        "a record has no registry TXT, although other records of its name have one",
        "the ExternalDNS of its cluster does not own it, or has its registry elsewhere: check its logs and its \
         --registry",
    );
    for paired in paired_names {
        if paired.registry.iter().all(Vec::is_empty) {
            continue;
        }
        for side in [Side::From, Side::To] {
            let identifier = paired.identifiers.of(side);
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

/// Registry TXT records of one of the sides that belong to no record under its flags. One whose Kubernetes object has
/// records may be needed, whatever its name is, so nobody is told to delete it.
fn orphaned_texts(registries: &Registries<'_>) -> [Finding; 3] {
    let mut of_other_flags = Finding::new(
        WarningCode::TxtOfOtherFlags,
        "a registry TXT belongs to no record under the flags of its side's ExternalDNS",
        "it is most likely left over from former flags, because ExternalDNS never deletes such records; leave it, it does \
         no harm; if ExternalDNS does run with these flags, write them into externalDns.from or externalDns.to, or it \
         puts the weights back",
    );
    let mut of_live_object = Finding::new(
        WarningCode::TxtWithoutRecord,
        "a registry TXT belongs to no record",
        "leave it to ExternalDNS: its Kubernetes object has other records",
    );
    let mut of_no_object = Finding::new(
        WarningCode::TxtWithoutRecord,
        "a registry TXT belongs to no record, and no record to its Kubernetes object",
        "if ExternalDNS runs with --txt-prefix, --txt-suffix or --txt-wildcard-replacement, write the same into \
         externalDns.from and externalDns.to; if its object has been deleted, it can be deleted, too",
    );
    for registry in registries.sides.iter() {
        let live = registry.live_resources();
        for text in registry.orphans() {
            let place = describe(text);
            let is_live = resource(text).is_none_or(|resource| live.contains(resource));
            match registry.former_flags(&text.name) {
                Some(flags) if is_live => {
                    of_other_flags.found_at.push(format!("{place} ({flags})"));
                }
                None if is_live => of_live_object.found_at.push(place),
                _ => of_no_object.found_at.push(place),
            }
        }
    }
    [of_other_flags, of_live_object, of_no_object]
}

/// A simple and a weighted record can't share name and type (issue 1411).
fn simple_records(
    external_dns: &ExternalDns,
    zone: &Zone,
    paired_names: &[PairedName<'_>],
) -> Finding {
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
        let of_either = external_dns.names();
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
