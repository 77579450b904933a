//! The record sets of the checks.

use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType, Routing};

pub(crate) const ZONE_NAME: &str = "example.com";
/// The hosted zone of the application load balancers in one Region.
const LOAD_BALANCER_ZONE_ID: &str = "Z3Q77PNBQS71R4";
/// The health check of the weighted values. Fake and emulator accept any id.
const HEALTH_CHECK: &str = "6c9c7e2f-8a3d-4b0a-9a53-2f3c1f0a7a11";

/// The record sets in the zone of each check: NS and SOA, a weighted pair of aliases, a weighted
/// pair of values, and simple A, TXT and CNAME records.
pub fn known_record_sets() -> Vec<RecordSet> {
    vec![
        own_ns(),
        own_soa(),
        shop("blue", 70),
        shop("green", 30),
        api("blue", 70),
        api("green", 30),
        addresses(),
        text(),
        cname(),
    ]
}

pub(crate) fn own_ns() -> RecordSet {
    let servers = ["ns-1.awsdns-01.org.", "ns-2.awsdns-02.net."];
    values(ZONE_NAME, "NS", 172_800, servers)
}

pub(crate) fn own_soa() -> RecordSet {
    let value = "ns-1.awsdns-01.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
    values(ZONE_NAME, "SOA", 900, [value])
}

/// A record set of the weighted pair of aliases.
pub(crate) fn shop(side: &str, weight: u8) -> RecordSet {
    let target = format!("dualstack.{side}-1.eu-west-3.elb.amazonaws.com.");
    weighted(
        load_balancer("shop.example.com", "A", &target),
        side,
        weight,
    )
}

/// A record set of the weighted pair of values.
pub(crate) fn api(side: &str, weight: u8) -> RecordSet {
    let address = match side {
        "blue" => "192.0.2.18",
        _ => "192.0.2.19",
    };
    let mut api = a("api.example.com", address);
    if side == "blue" {
        api.health_check_id = Some(HEALTH_CHECK.to_owned());
    }
    weighted(api, side, weight)
}

/// A simple A record set with two values.
pub(crate) fn addresses() -> RecordSet {
    let addresses = ["192.0.2.1", "192.0.2.2"];
    values("addresses.example.com", "A", 300, addresses)
}

pub(crate) fn text() -> RecordSet {
    txt("text.example.com", "\"Ab cd\"")
}

pub(crate) fn cname() -> RecordSet {
    values("name.example.com", "CNAME", 300, ["www.example.org."])
}

pub(crate) fn a(name: &str, address: &str) -> RecordSet {
    values(name, "A", 60, [address])
}

pub(crate) fn txt(name: &str, value: &str) -> RecordSet {
    values(name, "TXT", 300, [value])
}

pub(crate) fn values<V: Into<String>>(
    name: &str,
    record_type: &str,
    ttl_seconds: u32,
    values: impl IntoIterator<Item = V>,
) -> RecordSet {
    let values = values.into_iter().map(Into::into).collect();
    let data = RecordData::Values {
        ttl_seconds,
        values,
    };
    simple(name, record_type, data)
}

pub(crate) fn load_balancer(name: &str, record_type: &str, target: &str) -> RecordSet {
    alias(name, record_type, LOAD_BALANCER_ZONE_ID, target)
}

pub(crate) fn alias(name: &str, record_type: &str, zone: &str, target: &str) -> RecordSet {
    let data = RecordData::Alias {
        hosted_zone_id: zone.to_owned(),
        dns_name: target.to_owned(),
        evaluate_target_health: true,
    };
    simple(name, record_type, data)
}

fn simple(name: &str, record_type: &str, data: RecordData) -> RecordSet {
    RecordSet {
        name: self::name(name),
        record_type: RecordType::from(record_type),
        routing: Routing::Simple,
        data,
        health_check_id: None,
        traffic_policy_instance_id: None,
    }
}

pub(crate) fn weighted(mut record_set: RecordSet, set_identifier: &str, weight: u8) -> RecordSet {
    #[expect(
        clippy::expect_used,
        reason = "all arguments are literals in this crate"
    )]
    let set_identifier = set_identifier.parse().expect("a set identifier");
    record_set.routing = Routing::Weighted {
        set_identifier,
        weight,
    };
    record_set
}

pub(crate) fn name(text: &str) -> RecordName {
    #[expect(
        clippy::expect_used,
        reason = "all arguments are literals in this crate"
    )]
    text.parse().expect("a record name")
}
