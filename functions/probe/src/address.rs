//! The addresses that the probe never connects to. Without this list, anyone who can
//! write records in the zone could point the probe at its own host or at AWS's
//! link-local services. Private ranges are allowed, for internal load balancers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of a forbidden address, as in "a loopback address"; `None` if the probe may connect.
///
/// Sources: RFC 6890 and the IANA special-purpose address registries; RFC 6052
/// and 8215 for NAT64, RFC 3056 for 6to4; EC2 User Guide, "Access instance
/// metadata" for `169.254.169.254` and `fd00:ec2::254`.
pub(crate) fn forbidden_kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_kind_v4(address),
        IpAddr::V6(address) => forbidden_kind_v6(address),
    }
}

fn forbidden_kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    // The whole block 0.0.0.0/8 is "this host on this network" (RFC 6890).
    if address.octets().first() == Some(&0) {
        Some("an unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_link_local() {
        Some("a link-local address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_broadcast() {
        Some("a broadcast address")
    } else {
        None
    }
}

fn forbidden_kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("an unspecified address");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if address.is_unicast_link_local() {
        return Some("a link-local address");
    }
    if address.is_multicast() {
        return Some("a multicast address");
    }
    match address.segments() {
        // AWS services that are local to an instance, such as instance metadata.
        [0xfd00, 0xec2, ..] => Some("an address of AWS's local services"),
        // The position of the IPv4 address within a local-use NAT64 address is not known.
        [0x64, 0xff9b, 1, ..] => Some("a local-use NAT64 address"),
        // An embedded IPv4 address: IPv4-compatible, IPv4-mapped, NAT64 or 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => {
            forbidden_kind_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expect: Option<&str>) {
        for address in addresses {
            assert_eq!(
                forbidden_kind(address.parse().unwrap()),
                expect,
                "{address}"
            );
        }
    }

    #[test]
    fn public_and_private_addresses_are_allowed() {
        check(
            &[
                "10.0.0.1",
                "172.16.0.1",
                "192.168.0.1",
                "100.64.0.1",
                "52.47.0.1",
                "169.253.0.1",
                "128.0.0.1",
                "2a05:d012::1",
                "fd12:3456::1",
                "::ffff:10.0.0.1",
                "64:ff9b::52.47.0.1",
                "2002:342f:1::1",
            ],
            None,
        );
    }

    #[test]
    fn addresses_that_no_load_balancer_has_are_forbidden() {
        check(
            &["0.0.0.0", "0.1.2.3", "::"],
            Some("an unspecified address"),
        );
        check(
            &["127.0.0.1", "127.255.0.1", "::1"],
            Some("a loopback address"),
        );
        check(
            &["169.254.169.254", "169.254.0.1", "fe80::1", "febf::1"],
            Some("a link-local address"),
        );
        check(
            &["224.0.0.1", "239.255.255.255", "ff02::1"],
            Some("a multicast address"),
        );
        check(&["255.255.255.255"], Some("a broadcast address"));
        check(
            &["fd00:ec2::254", "fd00:ec2::23"],
            Some("an address of AWS's local services"),
        );
    }

    #[test]
    fn ipv6_address_with_a_forbidden_ipv4_address_in_it_is_forbidden() {
        check(
            &[
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::1",
            ],
            Some("a loopback address"),
        );
        check(
            &[
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "2002:a9fe:a9fe::",
            ],
            Some("a link-local address"),
        );
        check(
            &["::ffff:0.0.0.0", "64:ff9b::", "2002::", "::2"],
            Some("an unspecified address"),
        );
        check(
            &["::ffff:255.255.255.255", "2002:ffff:ffff::1"],
            Some("a broadcast address"),
        );
        check(
            &["::ffff:224.0.0.1", "64:ff9b::e000:1"],
            Some("a multicast address"),
        );
        check(
            &["64:ff9b:1::10.0.0.1", "64:ff9b:1:a9fe:a9:fe00::"],
            Some("a local-use NAT64 address"),
        );
    }
}
