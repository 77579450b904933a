//! The records to create, update and delete, without their registry TXT.
//!
//! Source: `plan/plan.go`, `plan/conflict.go`, `plan/policy.go`, and `Targets` of
//! `endpoint/endpoint.go`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use migration::dns::{RecordData, RecordSet, RecordType, Routing};
use migration::dns::{RecordName, SetIdentifier};

use crate::labels::Labels;
use crate::registry::{Owned, Registry, set_identifier};
use crate::settings::{Generation, Policy, Settings};

/// A desired record, from the annotations of an Ingress or Service. A name with A and
/// AAAA has two endpoints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    pub name: RecordName,
    /// A, AAAA or CNAME.
    pub record_type: RecordType,
    /// From the annotations `set-identifier` and `aws-weight`; simple without them.
    pub routing: Routing,
    /// An alias of the load balancer, or values. A TTL of 0 seconds means that none is given.
    pub data: RecordData,
    /// From the annotation `aws-health-check-id`.
    pub health_check_id: Option<String>,
    /// The annotated object, as `ingress/NAMESPACE/NAME`; empty if unknown.
    pub resource: String,
}

impl Endpoint {
    fn record_set(&self) -> RecordSet {
        RecordSet {
            name: self.name.clone(),
            record_type: self.record_type.clone(),
            routing: self.routing.clone(),
            data: self.data.clone(),
            health_check_id: self.health_check_id.clone(),
            traffic_policy_instance_id: None,
        }
    }

    pub(crate) fn set_identifier(&self) -> Option<&SetIdentifier> {
        match &self.routing {
            Routing::Weighted { set_identifier, .. } => Some(set_identifier),
            Routing::Simple | Routing::Other(_) => None,
        }
    }

    pub(crate) fn is_alias(&self) -> bool {
        matches!(self.data, RecordData::Alias { .. })
    }

    /// Whether `other` is the alias AAAA beside this alias A.
    pub(crate) fn is_beside(&self, other: &Endpoint) -> bool {
        other.is_alias()
            && other.record_type == RecordType::Aaaa
            && other.resource == self.resource
            && other.name == self.name
            && other.set_identifier() == self.set_identifier()
    }
}

/// A desired record as a version plans it.
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    /// Whether it has the label of an alias A with an AAAA beside it.
    is_dualstack: bool,
}

impl<'a> Candidate<'a> {
    /// Up to v0.15, an alias AAAA is no record of its own.
    fn of(generation: Generation, endpoint: &'a Endpoint, desired: &[Endpoint]) -> Option<Self> {
        let is_old_alias = generation == Generation::DualstackLabel && endpoint.is_alias();
        match endpoint.record_type {
            RecordType::Aaaa if is_old_alias => None,
            _ if endpoint.record_type.moves() => Some(Self {
                endpoint,
                is_dualstack: is_old_alias && desired.iter().any(|other| endpoint.is_beside(other)),
            }),
            _ => None,
        }
    }

    fn labeled(&self, owner: &str) -> Labeled {
        let labels = Labels::new(owner, &self.endpoint.resource);
        Labeled {
            record_set: self.endpoint.record_set(),
            labels: if self.is_dualstack {
                labels.with_dualstack()
            } else {
                labels
            },
        }
    }
}

/// A record and the labels of its TXT.
pub(crate) struct Labeled {
    /// A TTL of 0 seconds means that none is given.
    pub(crate) record_set: RecordSet,
    pub(crate) labels: Labels,
}

impl From<&Owned> for Labeled {
    fn from(owned: &Owned) -> Self {
        Self {
            record_set: RecordSet {
                traffic_policy_instance_id: None,
                ..owned.record_set.clone()
            },
            labels: owned.labels.clone(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) create: Vec<Labeled>,
    /// The current and the desired record.
    pub(crate) update: Vec<(Labeled, Labeled)>,
    pub(crate) delete: Vec<Labeled>,
}

/// The records of one name and set identifier, of all types.
#[derive(Default)]
struct Row<'a> {
    current: Vec<&'a Owned>,
    candidates: Vec<Candidate<'a>>,
}

pub(crate) fn plan(settings: &Settings, desired: &[Endpoint], registry: &Registry) -> Plan {
    let mut rows: BTreeMap<(&RecordName, Option<SetIdentifier>), Row<'_>> = BTreeMap::new();
    for owned in &registry.records {
        let key = (&owned.record_set.name, set_identifier(&owned.record_set));
        rows.entry(key).or_default().current.push(owned);
    }
    for endpoint in desired {
        let is_in_zone = registry
            .zone
            .as_ref()
            .is_none_or(|zone| endpoint.name.is_in(zone));
        if is_in_zone && let Some(candidate) = Candidate::of(settings.generation, endpoint, desired)
        {
            let key = (&endpoint.name, endpoint.set_identifier().cloned());
            rows.entry(key).or_default().candidates.push(candidate);
        }
    }

    let mut plan = Plan::default();
    for row in rows.values() {
        plan_row(settings, row, &mut plan);
    }
    match settings.policy {
        Policy::Sync => {}
        Policy::UpsertOnly => plan.delete.clear(),
        Policy::CreateOnly => {
            plan.delete.clear();
            plan.update.clear();
        }
    }
    plan
}

fn plan_row(settings: &Settings, row: &Row<'_>, plan: &mut Plan) {
    let is_own = |owned: &Owned| owned.labels.owner() == Some(settings.owner.as_str());
    let may_create = row.current.iter().all(|owned| is_own(owned));
    let candidates = without_conflict(&row.candidates);
    for record_type in RecordType::MOVED {
        let mut current = row
            .current
            .iter()
            .copied()
            .filter(|owned| owned.record_set.record_type == record_type);
        // Up to v0.15, an alias A and an alias AAAA are two of one type. The later one is
        // compared; if nothing is desired, the first is deleted.
        let current = if row.candidates.is_empty() {
            current.find(|owned| is_own(owned))
        } else {
            current.next_back()
        };
        let candidates: Vec<_> = candidates
            .iter()
            .copied()
            .filter(|candidate| candidate.endpoint.record_type == record_type)
            .collect();
        match (current, preferred(&candidates, current)) {
            (None, Some(candidate)) if may_create => {
                plan.create.push(candidate.labeled(&settings.owner));
            }
            (Some(current), None) if is_own(current) => plan.delete.push(current.into()),
            (Some(current), Some(candidate))
                if is_own(current) && differs(current, candidate.endpoint) =>
            {
                plan.update
                    .push((current.into(), candidate.labeled(&settings.owner)));
            }
            _ => {}
        }
    }
}

/// Drops a CNAME if the name has candidates of other types: DNS allows no other type
/// beside a CNAME.
fn without_conflict<'r, 'a>(candidates: &'r [Candidate<'a>]) -> Vec<&'r Candidate<'a>> {
    let is_cname = |candidate: &Candidate<'_>| candidate.endpoint.record_type == RecordType::Cname;
    let has_other = !candidates.iter().all(is_cname);
    candidates
        .iter()
        .filter(|candidate| !has_other || !is_cname(candidate))
        .collect()
}

/// If several objects want one record: the object that it was created for, otherwise the
/// one whose targets come first in order.
fn preferred<'r, 'a>(
    candidates: &[&'r Candidate<'a>],
    current: Option<&Owned>,
) -> Option<&'r Candidate<'a>> {
    let current_resource = current.map(|owned| owned.labels.resource());
    candidates.iter().copied().min_by(|a, b| {
        let is_other = |candidate: &Candidate<'_>| {
            current_resource.is_some_and(|resource| resource != candidate.endpoint.resource)
        };
        is_other(a)
            .cmp(&is_other(b))
            .then_with(|| order_of_targets(&a.endpoint.data, &b.endpoint.data))
    })
}

/// Whether the record needs an update.
fn differs(current: &Owned, endpoint: &Endpoint) -> bool {
    current.lacks_text
        || has_other_ttl(&current.record_set.data, &endpoint.data)
        || targets(&current.record_set.data) != targets(&endpoint.data)
        || current.record_set.weighted() != endpoint.record_set().weighted()
        || evaluates_target_health(&current.record_set.data)
            != evaluates_target_health(&endpoint.data)
        || current.record_set.health_check_id != endpoint.health_check_id
}

/// A TTL is compared only if the endpoint has one.
fn has_other_ttl(current: &RecordData, desired: &RecordData) -> bool {
    match (current, desired) {
        (
            RecordData::Values {
                ttl_seconds: current,
                ..
            },
            RecordData::Values {
                ttl_seconds: desired,
                ..
            },
        ) => *desired != 0 && current != desired,
        _ => false,
    }
}

/// `None` for values, so that an alias and values differ.
fn evaluates_target_health(data: &RecordData) -> Option<bool> {
    match data {
        RecordData::Alias {
            evaluate_target_health,
            ..
        } => Some(*evaluate_target_health),
        RecordData::Values { .. } => None,
    }
}

/// A normalized target. Addresses sort before names.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Target {
    Address(IpAddr),
    Name(String),
}

pub(crate) fn targets(data: &RecordData) -> Vec<Target> {
    let texts = match data {
        RecordData::Values { values, .. } => values.as_slice(),
        RecordData::Alias { dns_name, .. } => std::slice::from_ref(dns_name),
    };
    let mut targets: Vec<Target> = texts
        .iter()
        .map(|text| {
            let text = text.strip_suffix('.').unwrap_or(text);
            text.parse()
                .map_or_else(|_| Target::Name(text.to_ascii_lowercase()), Target::Address)
        })
        .collect();
    targets.sort();
    targets
}

fn order_of_targets(a: &RecordData, b: &RecordData) -> Ordering {
    let (a, b) = (targets(a), targets(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}
