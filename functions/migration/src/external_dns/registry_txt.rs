//! A registry TXT record: its owner, and the change of the owner.

use std::ops::Range;

use super::registry_names::TxtNaming;
use crate::dns::{LONGEST_TXT_STRING, RecordSet, RecordType};
use crate::text::percent_encode;

/// The beginning of the owner in a leased TXT; the identity of the execution follows.
const LEASED: &str = "cutover/";

/// A registry TXT record of one side at a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryText<'a> {
    pub read: &'a RecordSet,
    pub naming: TxtNaming,
    /// The type of its record; none if the record does not exist.
    pub record_type: Option<RecordType>,
    pub owner: Owner,
}

/// The owner in a registry TXT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// An ExternalDNS, by its `--txt-owner-id`.
    ExternalDns(String),
    /// A migration: the TXT is leased.
    Migration,
    /// None, so that no ExternalDNS changes the record.
    Nobody,
    /// Unknown, because the value is encrypted (`--txt-encrypt-enabled`).
    Encrypted,
}

impl RegistryText<'_> {
    /// The same record set with another weight, and leased by `execution`, its identity as text. It is
    /// percent-encoded, and shortened if the value would have more than 255 bytes.
    pub fn leased(&self, execution: &str, weight: u8) -> RecordSet {
        let length = |owner: &str| {
            self.with_owner(owner, weight)
                .values()
                .first()
                .map_or(0, |value| value.trim_matches('"').len())
        };
        let mut owner = format!("{LEASED}{}", percent_encode(execution));
        let excess = length(&owner).saturating_sub(LONGEST_TXT_STRING);
        owner.truncate(owner.len().saturating_sub(excess).max(LEASED.len()));
        self.with_owner(&owner, weight)
    }

    /// Whether a lease fits into the value, at least without the identity of the execution.
    pub(crate) fn has_room_for_a_lease(&self) -> bool {
        let leased = self.with_owner(LEASED, self.weight());
        let length = |record_set: &RecordSet| record_set.values().first().map_or(0, String::len);
        // The values contain two quotes.
        length(&leased) <= (LONGEST_TXT_STRING + 2).max(length(self.read))
    }

    /// The same record set with another weight and owner. All other bytes of the value stay the same.
    pub fn with_owner(&self, owner: &str, weight: u8) -> RecordSet {
        let mut changed = self.read.with_weight(weight);
        if let Some(value) = changed.first_value_mut()
            && let Some(Labels {
                owner: Some(range), ..
            }) = Labels::read(value)
        {
            value.replace_range(range, owner);
        }
        changed
    }

    /// The weight of the TXT itself.
    pub(crate) fn weight(&self) -> u8 {
        self.read.weighted().map_or(0, |(_, weight)| weight)
    }

    /// The owner, if it is an ExternalDNS.
    pub fn external_dns(&self) -> Option<&str> {
        match &self.owner {
            Owner::ExternalDns(owner) => Some(owner),
            Owner::Migration | Owner::Nobody | Owner::Encrypted => None,
        }
    }

    /// The owner, if it is an ExternalDNS, or another execution than `execution`.
    pub(crate) fn other_owner(&self, execution: &str) -> Option<&str> {
        let value = self.read.values().first()?;
        match &self.owner {
            Owner::ExternalDns(owner) => Some(owner),
            Owner::Migration if self.leased(execution, self.weight()) != *self.read => {
                value.get(Labels::read(value)?.owner?)
            }
            Owner::Migration | Owner::Nobody | Owner::Encrypted => None,
        }
    }

    /// The Kubernetes object of the record, such as `ingress/team/app`.
    pub fn resource(&self) -> Option<&str> {
        resource(self.read)
    }
}

/// The positions of the labels in a registry TXT's value.
struct Labels {
    owner: Option<Range<usize>>,
    resource: Option<Range<usize>>,
}

impl Labels {
    /// None if the value is not a registry TXT's. The keys have any order; of equal keys the last counts.
    fn read(value: &str) -> Option<Self> {
        let text = value.trim_matches('"');
        let mut start = value.find(text)?;
        let mut labels = Self {
            owner: None,
            resource: None,
        };
        let mut has_heritage = false;
        for token in text.split(',') {
            if let Some((key, content)) = token.split_once('=') {
                let range = start + key.len() + 1..start + token.len();
                match key {
                    "heritage" if content != "external-dns" => return None,
                    "heritage" => has_heritage = true,
                    "external-dns/owner" => labels.owner = Some(range),
                    "external-dns/resource" => labels.resource = Some(range),
                    _ => {}
                }
            }
            start += token.len() + 1;
        }
        has_heritage.then_some(labels)
    }
}

/// The owner in `record_set`; none if it is not a registry TXT.
pub fn owner(record_set: &RecordSet) -> Option<Owner> {
    if record_set.record_type != RecordType::Txt {
        return None;
    }
    let value = record_set.values().first()?;
    let Some(labels) = Labels::read(value) else {
        return looks_encrypted(value).then_some(Owner::Encrypted);
    };
    let owner = labels.owner.and_then(|range| value.get(range));
    Some(match owner.unwrap_or_default() {
        "" => Owner::Nobody,
        owner if owner.starts_with(LEASED) => Owner::Migration,
        owner => Owner::ExternalDns(owner.to_owned()),
    })
}

/// Whether `record_set` is a registry TXT that `execution` has leased, its identity as text. If the identity was
/// shortened so far that it could be another one's, it is not.
pub fn is_leased_by(record_set: &RecordSet, execution: &str) -> bool {
    let id = execution.split('/').next().unwrap_or_default();
    let leased_by = || {
        let value = record_set.values().first()?;
        value.get(Labels::read(value)?.owner?)?.strip_prefix(LEASED)
    };
    record_set.record_type == RecordType::Txt
        && leased_by()
            .is_some_and(|by| by.starts_with(id) && percent_encode(execution).starts_with(by))
}

/// The Kubernetes object in `record_set`; none if it is not a registry TXT, or has none.
pub(crate) fn resource(record_set: &RecordSet) -> Option<&str> {
    let value = record_set.values().first()?;
    value.get(Labels::read(value)?.resource?)
}

/// Whether the value is Base64, long enough for a nonce, a ciphertext and its tag.
///
/// Source: ExternalDNS v0.22, `endpoint/crypto.go`.
fn looks_encrypted(value: &str) -> bool {
    let text = value.trim_matches('"');
    let digits = text.trim_end_matches('=');
    text.len() >= 40
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordName;

    #[track_caller]
    fn check_owner(value: &str, expect: Option<&Owner>) {
        let name = "a-app.example.com".parse().unwrap();
        let record_set = RecordSet::text(name, 300, value.to_owned());
        assert_eq!(owner(&record_set).as_ref(), expect);
    }

    #[test]
    fn owners_are_parsed_as_external_dns_parses_them() {
        let blue = Owner::ExternalDns("blue".to_owned());
        check_owner(
            "\"heritage=external-dns,external-dns/owner=blue,external-dns/resource=ingress/a/b\"",
            Some(&blue),
        );
        check_owner(
            "\"external-dns/owner=blue,more,heritage=external-dns\"",
            Some(&blue),
        );
        check_owner(
            "\"heritage=external-dns,external-dns/owner=cutover/run\"",
            Some(&Owner::Migration),
        );
        check_owner("\"heritage=external-dns\"", Some(&Owner::Nobody));
        check_owner(
            "\"heritage=external-dns,external-dns/owner=\"",
            Some(&Owner::Nobody),
        );
        check_owner("\"heritage=other,external-dns/owner=blue\"", None);
        check_owner("\"external-dns/owner=blue\"", None);
        check_owner("\"v=spf1 -all\"", None);
        check_owner(
            "\"h8UQ6jelUFUsEIn7SbFktc2MYXPx/q8lySqI4VwNfVp6Lg8m\"",
            Some(&Owner::Encrypted),
        );
    }

    proptest::proptest! {
        #[test]
        fn a_lease_changes_only_the_owner_and_giving_back_restores_the_value(
            owner in "[!#-+\\--~]{1,40}",
            before in "[a-z=/,]{0,30}",
            after in "[a-z=/,]{0,150}",
            execution in ".{1,80}",
        ) {
            let name: RecordName = "a-app.example.com".parse().unwrap();
            let value = format!("\"{before},heritage=external-dns,external-dns/owner={owner},x={after}\"");
            let read = RecordSet::text(name, 300, value.clone());
            let text = RegistryText { read: &read, naming: TxtNaming::A, record_type: None, owner: Owner::Nobody };
            proptest::prop_assume!(super::owner(&read) == Some(Owner::ExternalDns(owner.clone())));
            let leased = text.leased(&execution, 0);
            proptest::prop_assert_eq!(super::owner(&leased), Some(Owner::Migration));
            let length = leased.values()[0].len() - 2;
            proptest::prop_assert!(length <= LONGEST_TXT_STRING.max(value.len() - 2), "{}", length);
            let leased = RegistryText { read: &leased, ..text };
            let given_back = leased.with_owner(&owner, 0);
            proptest::prop_assert_eq!(given_back.values(), [value]);
        }
    }
}
