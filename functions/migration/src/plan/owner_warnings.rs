//! Warnings about the owner ids of `ExternalDNS`.
//!
//! `ExternalDNS` changes and deletes the records whose registry TXT has its own owner id. So two instances with one id
//! delete each other's records under the policy `sync` (issue 1698), and records with an id that no instance has
//! are never changed again.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`, `plan/plan.go`, `docs/registry/txt.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use crate::dns::{RecordName, SetIdentifierTemplate, Side};
use crate::external_dns::RegistryText;
use crate::input::{Input, WarningCode};
use crate::journal::PairedName;
use crate::text::counted;

/// The owner id of an `ExternalDNS` without `--txt-owner-id`.
///
/// Source: ExternalDNS v0.22, `pkg/apis/externaldns/types.go`.
const DEFAULT_OWNER: &str = "default";

/// The names with an owner's TXT records on one side, and the Kubernetes objects in these.
type Owned<'p> = BTreeMap<&'p RecordName, BTreeSet<&'p str>>;

pub(super) fn owner_findings(
    input: &Input,
    paired_names: &[PairedName<'_>],
) -> impl Iterator<Item = Finding> {
    let from = owners(paired_names, Side::From);
    let to = owners(paired_names, Side::To);
    [
        default_owner(input, &from, &to),
        one_external_dns(input, &from, &to),
        same_owner(input, &from, &to),
        several_owners(&input.from, &from),
        several_owners(&input.to, &to),
    ]
    .into_iter()
}

fn owners<'p>(paired_names: &'p [PairedName<'_>], side: Side) -> BTreeMap<&'p str, Owned<'p>> {
    let mut owners: BTreeMap<_, Owned<'_>> = BTreeMap::new();
    for paired in paired_names {
        for text in paired.registry.of(side) {
            if let Some(owner) = text.external_dns() {
                let owned = owners.entry(owner).or_default();
                let objects = owned.entry(paired.name).or_default();
                objects.extend(RegistryText::resource(text));
            }
        }
    }
    owners
}

/// Whoever runs another `ExternalDNS` without `--txt-owner-id` has this owner id as well.
fn default_owner(
    input: &Input,
    from: &BTreeMap<&str, Owned<'_>>,
    to: &BTreeMap<&str, Owned<'_>>,
) -> Finding {
    let mut finding = Finding::new(
        WarningCode::DefaultOwner,
        "an ExternalDNS has the owner id that every one without --txt-owner-id has (default)",
        "another one in any cluster that reaches this zone deletes these records under policy sync: give each cluster its \
         own --txt-owner-id, before the migration or after its release",
    );
    for (side, owners) in [(&input.from, from), (&input.to, to)] {
        if let Some(owned) = owners.get(DEFAULT_OWNER) {
            let names = counted(owned.len(), "name");
            finding.found_at.push(format!("{names} of {side}"));
        }
    }
    finding
}

/// A Kubernetes object has one set identifier for each of its names. So where the records of both sides are of
/// different objects, one `ExternalDNS` may own both: the migration is one within a cluster, such as from an Ingress to
/// a Gateway.
fn is_one_instance(from: &Owned<'_>, to: &Owned<'_>) -> bool {
    let mut of_both = from
        .iter()
        .filter_map(|(name, objects)| Some((objects, to.get(name)?)))
        .peekable();
    of_both.peek().is_some() && of_both.all(|(one, other)| one.is_disjoint(other))
}

/// The owners of both sides, for which `is_one` says whether they are one instance.
fn common_owners<'o>(
    from: &'o BTreeMap<&str, Owned<'_>>,
    to: &'o BTreeMap<&str, Owned<'_>>,
    is_one: bool,
) -> impl Iterator<Item = (&'o str, &'o Owned<'o>, &'o Owned<'o>)> {
    from.iter()
        .filter_map(|(owner, of_from)| Some((*owner, of_from, to.get(owner)?)))
        .filter(move |(_, of_from, of_to)| is_one_instance(of_from, of_to) == is_one)
}

fn one_external_dns(
    input: &Input,
    from: &BTreeMap<&str, Owned<'_>>,
    to: &BTreeMap<&str, Owned<'_>>,
) -> Finding {
    let mut finding = Finding::new(
        WarningCode::OneExternalDns,
        "both sides have the same ExternalDNS owner id, for different objects",
        format!(
            "if one ExternalDNS runs in one cluster with both, the migration leases and releases the records of both as it \
             does for two: update the annotations of the objects of both sides before the release, and delete those of \
             {} only after it; if these are two clusters, give each its own --txt-owner-id, because two instances with \
             the same id delete each other's records under policy sync",
            input.from
        ),
    );
    finding.found_at = common_owners(from, to, true)
        .filter_map(|(owner, of_from, of_to)| {
            let (name, objects) = of_from.iter().find(|(name, _)| of_to.contains_key(*name))?;
            let shown = |objects: &BTreeSet<&str>| match objects.first() {
                Some(object) => (*object).to_owned(),
                None => "an unknown object".to_owned(),
            };
            let other = of_to.get(name).map(shown).unwrap_or_default();
            Some(format!(
                "{owner} ({name} by {} of {} and {other} of {})",
                shown(objects),
                input.from,
                input.to
            ))
        })
        .collect();
    finding
}

fn same_owner(
    input: &Input,
    from: &BTreeMap<&str, Owned<'_>>,
    to: &BTreeMap<&str, Owned<'_>>,
) -> Finding {
    let mut finding = Finding::new(
        WarningCode::SameOwner,
        "both sides have the same ExternalDNS owner id",
        format!(
            "two instances with the same id delete each other's records under policy sync: give each of the clusters \
             of {} and {} its own --txt-owner-id",
            input.from, input.to
        ),
    );
    finding.found_at = common_owners(from, to, false)
        .map(|(owner, ..)| owner.to_owned())
        .collect();
    finding
}

/// With `--migrate-from-txt-owner`, which v0.20 introduced, `ExternalDNS` takes the records of its old owner id for its
/// own, and writes them with the new id and the weights of the annotations. A leased record has neither id, so its
/// owner does not change until it is given back, with the id that it had.
fn several_owners(side: &SetIdentifierTemplate, owners: &BTreeMap<&str, Owned<'_>>) -> Finding {
    let mut finding = Finding::new(
        WarningCode::SeveralOwners,
        "the registry TXT records of one side have several owners",
        "if the owner id of an ExternalDNS is being changed (--migrate-from-txt-owner), wait until all of its records have \
         the new one, or keep that flag until the migration is released: each TXT gets back the id that it has now, and \
         no ExternalDNS changes or deletes records with an id that none of them has",
    );
    if owners.len() > 1 {
        let shown: Vec<_> = owners
            .iter()
            .map(|(owner, owned)| format!("{owner} ({})", counted(owned.len(), "name")))
            .collect();
        finding
            .found_at
            .push(format!("{} of {side}", shown.join(", ")));
    }
    finding
}
