//! The setting `PROBE_CONNECT_TO`: for runs without load balancers, somewhere
//! else to connect to.

use std::net::SocketAddr;

use wildmatch::WildMatchPattern;

use crate::address::refusal;

pub(crate) const VARIABLE: &str = "PROBE_CONNECT_TO";

/// Where to connect in place of a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectTo(Vec<(Pattern, SocketAddr)>);

/// A `*` matches any characters; the second parameter, "one character", is no character of a host.
type Pattern = WildMatchPattern<'*', '\0'>;

impl ConnectTo {
    /// From `HOST_PATTERN=ADDRESS:PORT` entries, separated by commas.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| parse_entry(entry).map_err(|problem| format!("{VARIABLE}: {problem}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Where to connect in place of `target`, a host's name or an address as the
    /// zone has it; the first entry that matches counts.
    pub(crate) fn instead_of(&self, target: &str) -> Option<SocketAddr> {
        self.0
            .iter()
            .find(|(pattern, _)| pattern.matches(target))
            .map(|(_, address)| *address)
    }
}

fn parse_entry(entry: &str) -> Result<(Pattern, SocketAddr), String> {
    let (host, address) = entry
        .split_once('=')
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| format!("expected HOST_PATTERN=ADDRESS:PORT, found {entry:?}"))?;
    let address: SocketAddr = address.parse().map_err(|_| {
        format!("expected an address and a port such as 127.0.0.1:8443 behind `=`, found {entry:?}")
    })?;
    match refusal(address.ip()) {
        Some(kind) if !address.ip().is_loopback() => Err(format!(
            "expected an address that may be connected to, found {kind} in {entry:?}"
        )),
        _ => Ok((Pattern::new(&host.to_ascii_lowercase()), address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let connect_to = ConnectTo::parse(
            " K8S-Burnham-*.elb.amazonaws.com=127.0.0.1:8443, *.amazonaws.com=10.0.0.1:443,2001:db8::1=[::1]:80, ",
        )
        .unwrap();
        for (target, expect) in [
            (
                "k8s-burnham-1.eu-west-3.elb.amazonaws.com",
                Some("127.0.0.1:8443"),
            ),
            (
                "k8s-riker-1.eu-west-3.elb.amazonaws.com",
                Some("10.0.0.1:443"),
            ),
            ("2001:db8::1", Some("[::1]:80")),
            ("example.com", None),
            ("192.0.2.1", None),
        ] {
            let found = connect_to.instead_of(target);
            assert_eq!(found, expect.map(|address| address.parse().unwrap()));
        }
        assert_eq!(
            ConnectTo::parse("").unwrap().instead_of("example.com"),
            None
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expect: &str) {
        assert_eq!(ConnectTo::parse(text).unwrap_err(), expect);
    }

    #[test]
    fn a_malformed_entry_is_named() {
        check_refused(
            "a=127.0.0.1:1,nonsense",
            "PROBE_CONNECT_TO: expected HOST_PATTERN=ADDRESS:PORT, found \"nonsense\"",
        );
        check_refused(
            "=127.0.0.1:1",
            "PROBE_CONNECT_TO: expected HOST_PATTERN=ADDRESS:PORT, found \"=127.0.0.1:1\"",
        );
        for entry in ["a=127.0.0.1", "a=localhost:80", "a=127.0.0.1:65536", "a="] {
            check_refused(
                entry,
                &format!(
                    "PROBE_CONNECT_TO: expected an address and a port such as 127.0.0.1:8443 behind `=`, \
                     found {entry:?}"
                ),
            );
        }
        check_refused(
            "a=169.254.169.254:80",
            "PROBE_CONNECT_TO: expected an address that may be connected to, found a link-local address in \
             \"a=169.254.169.254:80\"",
        );
        assert!(ConnectTo::parse("a=[::ffff:127.0.0.1]:80").is_err());
    }
}
