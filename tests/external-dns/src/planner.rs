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
use crate::registry::{DEFAULT_TTL_SECONDS, Owned, Registry, set_identifier};
use crate::settings::{Policy, Settings};

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
    pub(crate) fn record_set(&self) -> RecordSet {
        let mut data = self.data.clone();
        if let RecordData::Values { ttl_seconds, .. } = &mut data
            && *ttl_seconds == 0
        {
            *ttl_seconds = DEFAULT_TTL_SECONDS;
        }
        RecordSet {
            name: self.name.clone(),
            record_type: self.record_type.clone(),
            routing: self.routing.clone(),
            data,
            health_check_id: self.health_check_id.clone(),
            traffic_policy_instance_id: None,
        }
    }

    fn labeled(&self, owner: &str) -> Labeled {
        Labeled {
            record_set: self.record_set(),
            labels: Labels::new(owner, &self.resource),
        }
    }
}

/// A record and the labels of its TXT.
pub(crate) struct Labeled {
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
    candidates: Vec<&'a Endpoint>,
}

pub(crate) fn plan(settings: &Settings, desired: &[Endpoint], registry: &Registry<'_>) -> Plan {
    let mut rows: BTreeMap<(&RecordName, Option<SetIdentifier>), Row<'_>> = BTreeMap::new();
    for owned in &registry.records {
        let key = (&owned.record_set.name, set_identifier(&owned.record_set));
        rows.entry(key).or_default().current.push(owned);
    }
    for endpoint in desired
        .iter()
        .filter(|endpoint| endpoint.record_type.moves())
    {
        let key = (&endpoint.name, set_identifier(&endpoint.record_set()));
        rows.entry(key).or_default().candidates.push(endpoint);
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
        let current = row
            .current
            .iter()
            .find(|owned| owned.record_set.record_type == record_type);
        let candidates: Vec<&Endpoint> = candidates
            .iter()
            .copied()
            .filter(|endpoint| endpoint.record_type == record_type)
            .collect();
        match (current, preferred(&candidates, current.copied())) {
            (None, Some(endpoint)) if may_create => {
                plan.create.push(endpoint.labeled(&settings.owner));
            }
            (Some(current), None) if is_own(current) => plan.delete.push((*current).into()),
            (Some(current), Some(endpoint)) if is_own(current) && differs(current, endpoint) => {
                plan.update
                    .push(((*current).into(), endpoint.labeled(&settings.owner)));
            }
            _ => {}
        }
    }
}

/// Drops a CNAME if the name has candidates of other types: DNS allows no other type
/// beside a CNAME.
fn without_conflict<'a>(candidates: &[&'a Endpoint]) -> Vec<&'a Endpoint> {
    let has_other = candidates
        .iter()
        .any(|endpoint| endpoint.record_type != RecordType::Cname);
    candidates
        .iter()
        .copied()
        .filter(|endpoint| !has_other || endpoint.record_type != RecordType::Cname)
        .collect()
}

/// If several objects want one record: the object that it was created for, otherwise the
/// one whose targets come first in order.
fn preferred<'a>(candidates: &[&'a Endpoint], current: Option<&Owned>) -> Option<&'a Endpoint> {
    let current_resource = current.map(|owned| owned.labels.resource());
    candidates.iter().copied().min_by(|a, b| {
        let is_other = |endpoint: &Endpoint| {
            current_resource.is_some_and(|resource| resource != endpoint.resource)
        };
        is_other(a)
            .cmp(&is_other(b))
            .then_with(|| order_of_targets(&a.data, &b.data))
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
enum Target {
    Address(IpAddr),
    Name(String),
}

fn targets(data: &RecordData) -> Vec<Target> {
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
