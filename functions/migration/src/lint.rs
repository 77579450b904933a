//! What a zone shows of ExternalDNS that will make trouble: found by the plan, each with one
//! sentence of advice.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`, `plan/plan.go`,
//! `source/annotations`; its issues 1411, 1698 and 4696.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::input::Input;
use crate::name::{RecordName, SetIdentifier};
use crate::record::{RecordSet, RecordType, Routing};
use crate::registry::{Form, Mode, Owner, RegistryText, owner};
use crate::zone::{PairedName, Zone};

/// What to think of where `from` has records of a name and `to` has none.
pub(crate) const NO_RECORDS: &str = "if its cluster runs them, look at the annotations there: from v0.22 on \
     ExternalDNS reads those with the prefix external-dns.kubernetes.io/ only, and none with external-dns.alpha.kubernetes.io/";

/// How many names have which owners, by side and type of record; `encrypted` where it can't be read.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Registries(BTreeMap<String, BTreeMap<String, BTreeMap<String, usize>>>);

impl Registries {
    pub(crate) fn of(paired: &[PairedName<'_>], from: &SetIdentifier, to: &SetIdentifier) -> Self {
        let mut registries = Self::default();
        for named in paired {
            for (side, texts) in [(from, &named.registry.from), (to, &named.registry.to)] {
                let owners: BTreeSet<_> = texts.iter().filter_map(shown_owner).collect();
                for (record_type, owner) in owners {
                    let by_type = registries.0.entry(side.to_string()).or_default();
                    let by_owner = by_type.entry(record_type.to_string()).or_default();
                    *by_owner.entry(owner).or_default() += 1;
                }
            }
        }
        registries
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

/// One kind of trouble, and where it was found.
struct Finding {
    what: &'static str,
    advice: String,
    places: Vec<String>,
}

impl Finding {
    fn new(what: &'static str, advice: impl Into<String>) -> Self {
        Self {
            what,
            advice: advice.into(),
            places: Vec::new(),
        }
    }

    fn told(self) -> Option<String> {
        let Self {
            what,
            advice,
            places,
        } = self;
        let first = places.first()?;
        let others = match places.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        Some(format!("{what}: {first}{others}; {advice}"))
    }
}

/// The warnings about what ExternalDNS has left in `zone`, as far as it concerns the migration of
/// `paired`.
pub(crate) fn lint(input: &Input, zone: &Zone, paired: &[PairedName<'_>]) -> Vec<String> {
    let mut warnings: Vec<_> = of_the_mode(input, paired).into_iter().collect();
    let findings = [
        same_owner(input, paired),
        different_forms(input, paired),
        other_weights(paired),
        missing_side(input, paired),
        orphans(input, zone),
        simple_records(input, zone, paired),
    ];
    warnings.extend(findings.into_iter().filter_map(Finding::told));
    warnings
}

fn of_the_mode(input: &Input, paired: &[PairedName<'_>]) -> Option<String> {
    let owners: BTreeSet<_> = paired.iter().flat_map(PairedName::owners).collect();
    let has_texts = paired
        .iter()
        .any(|named| named.registry.iter().any(|texts| !texts.is_empty()));
    if !has_texts {
        return Some(
            "no registry TXT of ExternalDNS stands beside these names; a registry in DynamoDB, or none (noop), can't be \
             seen here, and if an ExternalDNS with policy sync or upsert-only owns the records it puts weights back, \
             which is caught as drift: run it with --policy=create-only until the migration has ended"
                .to_owned(),
        );
    }
    (input.external_dns.mode == Mode::Ignore && !owners.is_empty()).then(|| {
        let owners: Vec<_> = owners.into_iter().collect();
        format!(
            "ExternalDNS owns records of these names (owners {}) and they are not leased, because externalDns.mode is \
             \"ignore\"; with policy sync or upsert-only it puts a changed weight back within its interval, which is \
             caught as drift: run it with --policy=create-only until the migration has ended",
            owners.join(", ")
        )
    })
}

/// Two instances with one owner id delete each other's records (issue 1698).
fn same_owner(input: &Input, paired: &[PairedName<'_>]) -> Finding {
    let of_from = paired.iter().flat_map(|named| &named.registry.from);
    let of_to = paired.iter().flat_map(|named| &named.registry.to);
    let from: BTreeSet<_> = of_from.filter_map(RegistryText::external_dns).collect();
    let to: BTreeSet<_> = of_to.filter_map(RegistryText::external_dns).collect();
    let mut finding = Finding::new(
        "both sides have the same ExternalDNS owner id",
        format!(
            "two instances with one id delete each other's records under policy sync: give the clusters of {} and {} \
             a --txt-owner-id of their own",
            input.from, input.to
        ),
    );
    finding.places = from.intersection(&to).map(ToString::to_string).collect();
    finding
}

/// An alias A is `cname-` up to v0.21 and `a-` from v0.22 on.
fn different_forms(input: &Input, paired: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        "the registry TXT records of the two sides have different forms",
        "both are leased and given back; where the versions of ExternalDNS differ, upgrade before the migration or after \
         its release, because an upgraded ExternalDNS writes its records and their annotations' weights anew",
    );
    let is_leased = input.external_dns.mode == Mode::Lease;
    for named in paired.iter().filter(|_| is_leased) {
        let forms = |texts: &[RegistryText<'_>]| -> BTreeSet<Form> {
            let attached = texts.iter().filter(|text| text.record_type.is_some());
            attached.map(|text| text.form).collect()
        };
        let (from, to) = (forms(&named.registry.from), forms(&named.registry.to));
        if !from.is_empty() && !to.is_empty() && from != to {
            let shown = |forms: &BTreeSet<Form>| {
                let forms: Vec<_> = forms.iter().map(|form| form.as_str()).collect();
                forms.join(" and ")
            };
            finding.places.push(format!(
                "{} ({} of {}, {} of {})",
                named.name,
                shown(&from),
                input.from,
                shown(&to),
                input.to
            ));
        }
    }
    finding
}

/// ExternalDNS rebuilds the TXT that it deletes from the record's weight.
fn other_weights(paired: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        "a registry TXT has another weight than its record",
        "ExternalDNS can't delete such a record together with its TXT; the migration gives both the same weight",
    );
    for named in paired {
        for (is_from, texts) in [(true, &named.registry.from), (false, &named.registry.to)] {
            for text in texts {
                let pair = text.record_type.as_ref().and_then(|of| named.pairs.get(of));
                let weight = pair.map(|pair| {
                    if is_from {
                        pair.weights.from
                    } else {
                        pair.weights.to
                    }
                });
                let found = text.read.weighted().map(|(_, weight)| weight);
                if let (Some(weight), Some(found)) = (weight, found)
                    && weight != found
                {
                    finding.places.push(format!(
                        "{} has weight {found} instead of {weight}",
                        describe(text.read)
                    ));
                }
            }
        }
    }
    finding
}

fn missing_side(input: &Input, paired: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        "a record has no registry TXT although others of its name have",
        "the ExternalDNS of its cluster does not own it, or keeps its registry elsewhere: look at its --registry, \
         --txt-prefix (externalDns.from and externalDns.to) and logs",
    );
    for named in paired {
        if named.registry.iter().all(Vec::is_empty) {
            continue;
        }
        for (side, texts) in [
            (&input.from, &named.registry.from),
            (&input.to, &named.registry.to),
        ] {
            for record_type in named.pairs.keys() {
                let is_of_it =
                    |text: &RegistryText<'_>| text.record_type.as_ref() == Some(record_type);
                if !texts.iter().any(is_of_it) {
                    let place = format!("{} {record_type} of {side}", named.name);
                    finding.places.push(place);
                }
            }
        }
    }
    finding
}

/// Registry TXT records of one of the sides that belong to no record, under the names that are known.
fn orphans(input: &Input, zone: &Zone) -> Finding {
    let mut finding = Finding::new(
        "a registry TXT belongs to no record",
        "delete it, or, if ExternalDNS runs with --txt-prefix, --txt-suffix or --txt-wildcard-replacement, set the same in \
         externalDns.from and externalDns.to",
    );
    let sides = [
        (&input.from, &input.external_dns.from),
        (&input.to, &input.external_dns.to),
    ];
    for (side, names) in sides {
        let known: BTreeSet<RecordName> = zone
            .names_of(side)
            .into_iter()
            .flat_map(|name| zone.registry_texts(name, side, names))
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
        finding.places.extend(
            of_the_side
                .filter(|record_set| !known.contains(&record_set.name))
                .filter(|record_set| !names.are_of_another_type(&record_set.name))
                .map(describe),
        );
    }
    finding
}

/// A simple and a weighted record can't share name and type (issue 1411).
fn simple_records(input: &Input, zone: &Zone, paired: &[PairedName<'_>]) -> Finding {
    let mut finding = Finding::new(
        "an ExternalDNS of these clusters has a simple record",
        "its Ingress or Service lacks the annotations set-identifier and aws-weight, so it can't be migrated, and stands \
         in the way of a weighted record of the other cluster",
    );
    let owners: BTreeSet<_> = paired.iter().flat_map(PairedName::owners).collect();
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
            .flat_map(|names| names.places(name))
            .flat_map(|(_, place)| zone.at(&place))
            .filter(|text| text.routing == Routing::Simple);
        let owner = texts.filter_map(owner).find_map(|owner| match owner {
            Owner::ExternalDns(owner) if owners.contains(owner.as_str()) => Some(owner),
            _ => None,
        });
        if let Some(owner) = owner {
            finding.places.push(format!("{name} of {owner}"));
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
