//! The targets of a name on the `to` side. They come from the zone only.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use migration::dns::{RecordData, RecordName, RecordSet, RecordType, SetIdentifier, Zone};

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Target {
    /// In lower case, without the trailing dot.
    Host(String),
    Address(IpAddr),
}

impl Target {
    fn host(text: &str) -> Self {
        Self::Host(text.trim_end_matches('.').to_ascii_lowercase())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.write_str(host),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The targets of the name's records of side `to`; never empty. An A and an AAAA alias
/// of one load balancer have one target. The error says what is wrong with the records.
pub(crate) fn targets(
    zone: &Zone,
    name: &RecordName,
    to: &SetIdentifier,
) -> Result<BTreeSet<Target>, String> {
    let mut targets = BTreeSet::new();
    for record_type in &RecordType::MOVED {
        if let Some((record_set, _)) = zone.weighted(name, record_type, to) {
            add_targets(record_set, &mut targets)?;
        }
    }
    if targets.is_empty() {
        return Err(format!(
            "expected a weighted A, AAAA or CNAME record of {to} in the zone, found none"
        ));
    }
    Ok(targets)
}

/// The targets of one record set. The error says what is wrong with it.
pub(crate) fn targets_of(record_set: &RecordSet) -> Result<BTreeSet<Target>, String> {
    let mut targets = BTreeSet::new();
    add_targets(record_set, &mut targets)?;
    Ok(targets)
}

fn add_targets(record_set: &RecordSet, targets: &mut BTreeSet<Target>) -> Result<(), String> {
    match &record_set.data {
        RecordData::Alias { dns_name, .. } => {
            targets.insert(Target::host(dns_name));
        }
        RecordData::Values { values, .. } => {
            for value in values {
                targets.insert(if record_set.record_type == RecordType::Cname {
                    Target::host(value)
                } else {
                    Target::Address(value.parse().map_err(|_| {
                        format!(
                            "expected an IP address in its {} record, found {value:?}",
                            record_set.record_type
                        )
                    })?)
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fakes::FakeRoute53;
    use migration::route53::read_zone;
    use serde_json::{Value, json};

    use super::*;

    const ZONE: &str = include_str!("../../../tests/zone-blueprint.json");

    fn record(record_type: &str, side: &str, answer: &Value) -> Value {
        let mut record = json!({
            "Name": "new.eks-blueprint.example.com.", "Type": record_type, "SetIdentifier": side, "Weight": 0,
        });
        for (key, value) in answer.as_object().unwrap() {
            record[key] = value.clone();
        }
        record
    }

    fn alias(host: &str) -> Value {
        json!({"AliasTarget": {"HostedZoneId": "Z3Q77PNBQS71R4", "DNSName": host, "EvaluateTargetHealth": true}})
    }

    fn values(values: &[&str]) -> Value {
        let values: Vec<_> = values.iter().map(|value| json!({"Value": value})).collect();
        json!({"TTL": 60, "ResourceRecords": values})
    }

    async fn check(records: &[Value], expect: Result<&[&str], &str>) {
        let mut zone: Value = serde_json::from_str(ZONE).unwrap();
        let listing = zone["ResourceRecordSets"].as_array_mut().unwrap();
        listing.extend(records.iter().cloned());
        let route53 = FakeRoute53::from_cli_json("Z01", &zone.to_string());
        let zone = read_zone(&route53, route53.id()).await.unwrap();
        let name = "new.eks-blueprint.example.com".parse().unwrap();
        let found = targets(&zone, &name, &"green".parse().unwrap());
        let found = found.map(|targets| targets.iter().map(Target::to_string).collect::<Vec<_>>());
        let expect = match expect {
            Ok(targets) => Ok(targets.iter().map(|target| (*target).to_owned()).collect()),
            Err(problem) => Err(problem.to_owned()),
        };
        assert_eq!(found, expect);
    }

    #[tokio::test]
    async fn targets_come_from_the_records_of_to() {
        check(
            &[
                record("A", "blue", &alias("blue.elb.amazonaws.com.")),
                record("A", "green", &alias("Green.elb.amazonaws.com.")),
                record("AAAA", "green", &alias("green.elb.amazonaws.com.")),
            ],
            Ok(&["green.elb.amazonaws.com"]),
        )
        .await;
        check(
            &[record("CNAME", "green", &values(&["green.example.net"]))],
            Ok(&["green.example.net"]),
        )
        .await;
        check(
            &[
                record("A", "green", &values(&["192.0.2.2", "192.0.2.1"])),
                record("AAAA", "green", &values(&["2001:db8::1"])),
            ],
            Ok(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        )
        .await;
    }

    #[tokio::test]
    async fn missing_or_invalid_record_is_an_error() {
        check(
            &[record("A", "blue", &alias("blue.elb.amazonaws.com."))],
            Err("expected a weighted A, AAAA or CNAME record of green in the zone, found none"),
        )
        .await;
        check(
            &[record("A", "green", &values(&["nonsense"]))],
            Err("expected an IP address in its A record, found \"nonsense\""),
        )
        .await;
    }
}
