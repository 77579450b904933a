//! The zones of the histories.

use migration::dns::{RecordName, RecordSet, SetIdentifier};
use serde_json::{Value, json};

/// The old side: all traffic is on it before a migration.
pub const BLUE: &str = "eks-blueprint-blue";
/// The new side.
pub const GREEN: &str = "eks-blueprint-green";
/// A name of the blueprint's zone.
pub const BURNHAM: &str = "burnham.eks-blueprint.example.com";

/// Whether a set identifier is that of a side, or one that names the side at its end.
pub fn is_of(identifier: &SetIdentifier, side: &str) -> bool {
    identifier.as_str().ends_with(side)
}

/// A zone with so many names, each with A and AAAA aliases on both sides and the registry TXT that
/// ExternalDNS writes from v0.22 on: one per record, named after the record's type.
pub fn registered(names: usize) -> String {
    zone(names, true)
}

/// The same without a registry.
pub fn unregistered(names: usize) -> String {
    zone(names, false)
}

fn zone(names: usize, is_registered: bool) -> String {
    let mut record_sets = vec![soa()];
    for number in 0..names {
        let name = format!("svc-{number:04}.example.com.");
        for (side, weight) in [(BLUE, 100), (GREEN, 0)] {
            for kind in ["A", "AAAA"] {
                record_sets.push(json!({
                    "Name": name, "Type": kind, "SetIdentifier": side, "Weight": weight,
                    "AliasTarget": alias(side),
                }));
                let form = kind.to_lowercase();
                let text = || registry(&format!("{form}-{name}"), side, weight);
                record_sets.extend(is_registered.then(text));
            }
        }
    }
    json!({ "ResourceRecordSets": record_sets }).to_string()
}

/// A zone of `all` record sets: `names` names with an A record and its registry TXT on both sides,
/// and records that no migration changes.
pub fn large(names: usize, all: usize) -> String {
    let mut record_sets = vec![soa()];
    for number in 0..names {
        let name = format!("svc-{number:04}.team-{}.example.com.", number % 40);
        for (side, weight) in [(BLUE, 100), (GREEN, 0)] {
            record_sets.push(json!({
                "Name": name, "Type": "A", "SetIdentifier": side, "Weight": weight,
                "AliasTarget": alias(side),
            }));
            record_sets.push(registry(&format!("a-{name}"), side, weight));
        }
    }
    for number in record_sets.len()..all {
        record_sets.push(json!({
            "Name": format!("other-{number}.example.com."), "Type": "A", "TTL": 60,
            "ResourceRecords": [{"Value": "192.0.2.1"}],
        }));
    }
    json!({ "ResourceRecordSets": record_sets }).to_string()
}

/// Whether both have the same name, type and set identifier.
pub fn is_same(a: &RecordSet, b: &RecordSet) -> bool {
    let side = |record_set: &'_ RecordSet| record_set.weighted().map(|(side, _)| side.clone());
    a.name == b.name && a.record_type == b.record_type && side(a) == side(b)
}

/// The first name with weighted A, AAAA or CNAME records.
pub fn first_name(record_sets: &[RecordSet]) -> Option<RecordName> {
    let mut moved = record_sets.iter().filter(|it| it.weighted().is_some());
    moved.find_map(|it| it.record_type.moves().then(|| it.name.clone()))
}

pub fn soa() -> Value {
    json!({"Name": "example.com.", "Type": "SOA", "TTL": 900, "ResourceRecords": [
        {"Value": "ns-1.awsdns-01.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}
    ]})
}

/// The alias target of a side: its load balancer.
pub fn alias(side: &str) -> Value {
    json!({"HostedZoneId": "Z3Q77PNBQS71R4", "EvaluateTargetHealth": true,
        "DNSName": format!("{side}-1234567890.eu-west-3.elb.amazonaws.com.")})
}

/// The registry TXT record of a side, in the form of `list-resource-record-sets`.
pub fn registry(name: &str, side: &str, weight: u8) -> Value {
    let value = format!(
        "\"heritage=external-dns,external-dns/owner={side},external-dns/resource=ingress/default/app\""
    );
    json!({"Name": name, "Type": "TXT", "SetIdentifier": side, "Weight": weight, "TTL": 300,
        "ResourceRecords": [{"Value": value}]})
}
