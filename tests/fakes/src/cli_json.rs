//! Record sets as `aws route53 list-resource-record-sets` prints them.

use migration::dns::{RecordData, RecordSet, Routing};
use serde_json::{Map, Value, json};

pub fn record_sets_from_cli_json(text: &str) -> Vec<RecordSet> {
    let listing: Value = serde_json::from_str(text).unwrap();
    let record_sets = listing
        .get("ResourceRecordSets")
        .and_then(Value::as_array)
        .unwrap();
    record_sets.iter().map(record_set_from_cli_json).collect()
}

/// The routing policy of a record set with a set identifier and without a weight, or a multivalue answer.
fn other_policy(value: &Value) -> &'static str {
    let policies = [
        ("Region", "latency"),
        ("Failover", "failover"),
        ("GeoLocation", "geolocation"),
        ("GeoProximityLocation", "geoproximity"),
        ("CidrRoutingConfig", "IP-based"),
        ("MultiValueAnswer", "multivalue answer"),
    ];
    let of_value = policies.iter().find(|(key, _)| value.get(key).is_some());
    of_value.map_or("an unknown", |(_, policy)| policy)
}

fn record_set_from_cli_json(value: &Value) -> RecordSet {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let routing = match (number("Weight"), text("SetIdentifier")) {
        (Some(weight), Some(identifier)) => Routing::Weighted {
            set_identifier: identifier.parse().unwrap(),
            weight: weight.try_into().unwrap(),
        },
        (None, None) => Routing::Simple,
        _ => Routing::Other(other_policy(value)),
    };
    let data = match value.get("AliasTarget") {
        Some(alias) => RecordData::Alias {
            hosted_zone_id: alias
                .get("HostedZoneId")
                .and_then(Value::as_str)
                .unwrap()
                .into(),
            dns_name: alias.get("DNSName").and_then(Value::as_str).unwrap().into(),
            evaluate_target_health: alias
                .get("EvaluateTargetHealth")
                .and_then(Value::as_bool)
                .unwrap(),
        },
        None => RecordData::Values {
            ttl_seconds: number("TTL").unwrap().try_into().unwrap(),
            values: value
                .get("ResourceRecords")
                .and_then(Value::as_array)
                .unwrap()
                .iter()
                .map(|record| {
                    record
                        .get("Value")
                        .and_then(Value::as_str)
                        .unwrap()
                        .to_owned()
                })
                .collect(),
        },
    };
    RecordSet {
        name: text("Name").unwrap().parse().unwrap(),
        record_type: text("Type").unwrap().into(),
        routing,
        data,
        health_check_id: text("HealthCheckId").map(str::to_owned),
        traffic_policy_instance_id: text("TrafficPolicyInstanceId").map(str::to_owned),
    }
}

pub fn record_set_to_cli_json(record_set: &RecordSet) -> Value {
    let mut fields = Map::new();
    fields.insert("Name".into(), record_set.name.fully_qualified().into());
    fields.insert("Type".into(), record_set.record_type.as_str().into());
    if let Some((identifier, weight)) = record_set.weighted() {
        fields.insert("SetIdentifier".into(), identifier.as_str().into());
        fields.insert("Weight".into(), weight.into());
    }
    match &record_set.data {
        RecordData::Values {
            ttl_seconds,
            values,
        } => {
            fields.insert("TTL".into(), (*ttl_seconds).into());
            let records: Vec<_> = values
                .iter()
                .map(|value| json!({ "Value": value }))
                .collect();
            fields.insert("ResourceRecords".into(), records.into());
        }
        RecordData::Alias {
            hosted_zone_id,
            dns_name,
            evaluate_target_health,
        } => {
            let alias = json!({
                "HostedZoneId": hosted_zone_id,
                "DNSName": dns_name,
                "EvaluateTargetHealth": evaluate_target_health,
            });
            fields.insert("AliasTarget".into(), alias);
        }
    }
    for (key, value) in [
        ("HealthCheckId", &record_set.health_check_id),
        (
            "TrafficPolicyInstanceId",
            &record_set.traffic_policy_instance_id,
        ),
    ] {
        if let Some(value) = value {
            fields.insert(key.into(), value.as_str().into());
        }
    }
    fields.into()
}
