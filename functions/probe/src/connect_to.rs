//! The setting `PROBE_CONNECT_TO`: addresses to connect to instead of load balancers,
//! for local runs.

use std::net::SocketAddr;

use wildmatch::WildMatchPattern;

use crate::address::forbidden_kind;

pub(crate) const VARIABLE: &str = "PROBE_CONNECT_TO";

/// Overrides of targets, in the order of the setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectTo(Vec<(Pattern, SocketAddr)>);

/// A `*` matches any characters. The second parameter is the wildcard for one character, which is
/// switched off: no host contains `\0`.
type Pattern = WildMatchPattern<'*', '\0'>;

impl ConnectTo {
    /// Parses `HOST_PATTERN=ADDRESS:PORT` entries, separated by commas.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| parse_entry(entry).map_err(|problem| format!("{VARIABLE}: {problem}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The address to connect to instead of `target`, a host name or an address from the
    /// zone. The first entry that matches counts.
    pub(crate) fn override_for(&self, target: &str) -> Option<SocketAddr> {
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
        format!("expected an address and a port such as 127.0.0.1:8443 after `=`, found {entry:?}")
    })?;
    match forbidden_kind(address.ip()) {
        Some(kind) if !address.ip().is_loopback() => Err(format!(
            "expected an address that the probe may connect to, found {kind} in {entry:?}"
        )),
        _ => Ok((Pattern::new(&host.to_ascii_lowercase()), address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_matching_pattern_wins() {
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
            let found = connect_to.override_for(target);
            assert_eq!(found, expect.map(|address| address.parse().unwrap()));
        }
        assert_eq!(
            ConnectTo::parse("").unwrap().override_for("example.com"),
            None
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expect: &str) {
        assert_eq!(ConnectTo::parse(text).unwrap_err(), expect);
    }

    #[test]
    fn malformed_entry_is_quoted_in_the_error() {
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
                    "PROBE_CONNECT_TO: expected an address and a port such as 127.0.0.1:8443 after `=`, \
                     found {entry:?}"
                ),
            );
        }
        check_refused(
            "a=169.254.169.254:80",
            "PROBE_CONNECT_TO: expected an address that the probe may connect to, found a link-local address in \
             \"a=169.254.169.254:80\"",
        );
        assert!(ConnectTo::parse("a=[::ffff:127.0.0.1]:80").is_err());
    }
}
