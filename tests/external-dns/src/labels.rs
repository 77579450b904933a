//! The labels in the value of a registry TXT.
//!
//! Source: `endpoint/labels.go`.

use std::collections::BTreeMap;
use std::fmt;

use crate::settings::Generation;

const HERITAGE: &str = "external-dns";
const OWNER: &str = "owner";
const RESOURCE: &str = "resource";
const DUALSTACK: &str = "dualstack";

/// The labels of a record: its owner, and the Kubernetes object that it was created for.
///
/// Labels are written after the heritage, sorted by key. Other orders can be read, but
/// ExternalDNS can't delete such a TXT: its DELETE contains the sorted labels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The labels of a record for an annotated object.
    pub fn new(owner: &str, resource: &str) -> Self {
        let labels = [(OWNER, owner), (RESOURCE, resource)];
        Self(
            labels
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// Parses the value of a TXT; `None` if its heritage is missing or not ExternalDNS's.
    pub fn read(value: &str) -> Option<Self> {
        Self::read_by(Generation::OwnType, value)
    }

    /// Parses as a version does: up to v0.21, a label with two `=` is skipped.
    pub(crate) fn read_by(generation: Generation, value: &str) -> Option<Self> {
        let mut labels = BTreeMap::new();
        let mut has_heritage = false;
        for (key, value) in value
            .trim_matches('"')
            .split(',')
            .filter_map(|token| token.split_once('='))
            .filter(|(_, value)| generation >= Generation::OwnType || !value.contains('='))
        {
            if key == "heritage" {
                if value != HERITAGE {
                    return None;
                }
                has_heritage = true;
            } else if key.starts_with(HERITAGE) {
                let key = key.strip_prefix("external-dns/").unwrap_or(key);
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        has_heritage.then_some(Self(labels))
    }

    /// The owner id of the instance that owns the record.
    pub fn owner(&self) -> Option<&str> {
        self.0.get(OWNER).map(String::as_str)
    }

    /// Whether the record is an alias A with an AAAA beside it that has no TXT of its own.
    pub(crate) fn is_dualstack(&self) -> bool {
        self.0.get(DUALSTACK).is_some_and(|value| value == "true")
    }

    /// Says of an alias A that it has an AAAA beside it.
    #[must_use]
    pub(crate) fn with_dualstack(mut self) -> Self {
        self.0.insert(DUALSTACK.to_owned(), "true".to_owned());
        self
    }

    /// The object that the record was created for, as `ingress/NAMESPACE/NAME`; empty if
    /// unknown.
    pub fn resource(&self) -> &str {
        self.0.get(RESOURCE).map_or("", String::as_str)
    }
}

/// The value of a TXT, with quotes.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"heritage={HERITAGE}")?;
        for (key, value) in &self.0 {
            write!(f, ",{HERITAGE}/{key}={value}")?;
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expect: Option<&str>) {
        let written = Labels::read(value).map(|labels| labels.to_string());
        assert_eq!(written.as_deref(), expect);
    }

    #[test]
    fn labels_in_any_order_are_read_and_written_sorted() {
        let sorted =
            r#""heritage=external-dns,external-dns/owner=blue,external-dns/resource=ingress/a/b""#;
        for value in [
            sorted,
            sorted.trim_matches('"'),
            r#""external-dns/resource=ingress/a/b,external-dns/owner=blue,heritage=external-dns""#,
            r#""heritage=external-dns,external-dns/resource=ingress/a/b,note,cutover/x=1,external-dns/owner=blue""#,
        ] {
            check(value, Some(sorted));
        }
    }

    #[test]
    fn owner_may_contain_slash_and_equals_sign_but_no_comma() {
        for owner in ["cutover/some-execution", "a=b"] {
            let labels = Labels::new(owner, "ingress/a/b");
            assert_eq!(
                Labels::read(&labels.to_string()).unwrap().owner(),
                Some(owner)
            );
        }
        let labels = Labels::read(r#""heritage=external-dns,external-dns/owner=a,b""#).unwrap();
        assert_eq!(labels.owner(), Some("a"));
    }

    #[test]
    fn value_without_the_heritage_has_no_labels() {
        check(r#""heritage=other,external-dns/owner=blue""#, None);
        check(r#""external-dns/owner=blue""#, None);
        check(r#""v=spf1 -all""#, None);
        check(
            r#""heritage=external-dns""#,
            Some(r#""heritage=external-dns""#),
        );
    }
}
