//! ExternalDNS's TXT registry: where its records stand, whom they name as owner,
//! and how a migration leases them.
//!
//! ExternalDNS updates and deletes a record only if a registry TXT record with
//! the same set identifier names its own owner id. So while a migration moves a
//! name, the owner in these TXT records is the migration, and nothing else in
//! their values changes; afterwards the owner is given back. ExternalDNS rebuilds
//! a TXT that it deletes from the weight of the record, so a TXT always has its
//! record's weight: with another one, every later teardown would be refused.
//!
//! Sources: ExternalDNS v0.22, `registry/txt/registry.go`,
//! `registry/mapper/mapper.go`, `endpoint/labels.go`, `plan/plan.go`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::journal::percent_encode;
use crate::name::{RecordName, SetIdentifier, deserialize_from_str};
use crate::quoted;
use crate::record::{RecordSet, RecordType};
use crate::zone::Zone;

/// What stands in an affix for the record's type.
const RECORD_TYPE: &str = "%{record_type}";
/// The types that ExternalDNS takes for one where they begin a registry TXT's name.
const TYPES_IN_NAMES: [&str; 10] = [
    "a", "aaaa", "cname", "ns", "mx", "ptr", "srv", "naptr", "txt", "dname",
];
/// No name has room for more.
const LONGEST_AFFIX: usize = 253;
/// What the owner of a leased TXT begins with; the execution follows.
const LEASED: &str = "cutover/";
/// A TXT record's strings hold at most this many bytes each (RFC 1035, 3.3).
const LONGEST_STRING: usize = 255;

/// Something for each of the two sides of a migration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sides<T> {
    /// Of the side that serves now.
    pub from: T,
    /// Of the side that shall serve.
    pub to: T,
}

impl<T> Sides<T> {
    /// Both, `from` first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.from, &self.to].into_iter()
    }
}

/// What a migration does about ExternalDNS.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExternalDns {
    /// Whether the owners in registry TXT records are leased.
    pub mode: Mode,
    /// How the ExternalDNS of `from` names its registry TXT records.
    pub from: RegistryNames,
    /// How the ExternalDNS of `to` names them.
    pub to: RegistryNames,
}

/// Whether the owners in registry TXT records are leased.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The migration becomes the owner with a name's first change, until it is released or rolled
    /// back: for an ExternalDNS with `--policy=sync` or `upsert-only`.
    #[default]
    Lease,
    /// The owners stay: for an ExternalDNS with `--policy=create-only`, which leaves weights alone.
    Ignore,
}

impl ExternalDns {
    /// How each side's ExternalDNS names its registry TXT records.
    pub fn names(&self) -> Sides<&RegistryNames> {
        Sides {
            from: &self.from,
            to: &self.to,
        }
    }

    /// Every name at which something of a migration of `name` may stand: the name itself, its
    /// journal, and its registry TXT records.
    pub fn places(&self, name: &RecordName) -> Vec<RecordName> {
        let registry = self.names();
        let registry = registry.iter().flat_map(|names| names.places(name));
        let mut places: Vec<_> = [name.clone(), name.journal()]
            .into_iter()
            .chain(registry.map(|(_, place)| place))
            .collect();
        places.sort();
        places.dedup();
        places
    }
}

/// How an ExternalDNS names its registry TXT records: by its flags `--txt-prefix`, `--txt-suffix`
/// and `--txt-wildcard-replacement`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryNames {
    /// `--txt-prefix`; `%{record_type}` stands for the record's type.
    #[cfg_attr(test, schemars(with = "String"))]
    pub txt_prefix: Affix,
    /// `--txt-suffix`, behind the first label; not together with a prefix.
    #[cfg_attr(test, schemars(with = "String"))]
    pub txt_suffix: Affix,
    /// `--txt-wildcard-replacement`: the first label for a wildcard record's `*`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub txt_wildcard_replacement: Affix,
}

/// A part of a registry TXT's name, in lower case as ExternalDNS takes it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Affix(String);

impl Affix {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn with_type(&self, record_type: &str) -> String {
        self.0.replace(RECORD_TYPE, record_type)
    }

    fn has_type(&self) -> bool {
        self.0.contains(RECORD_TYPE)
    }
}

impl FromStr for Affix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let affix = Self(text.to_ascii_lowercase());
        let is_of_names =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if affix.with_type("").bytes().all(is_of_names) && text.len() <= LONGEST_AFFIX {
            Ok(affix)
        } else {
            Err(format!(
                "expected at most {LONGEST_AFFIX} letters, digits, `-`, `_` and `.` as they stand in the flag of \
                 ExternalDNS, or {RECORD_TYPE}, found {}",
                quoted(text)
            ))
        }
    }
}

deserialize_from_str!(Affix);

/// What the name of a registry TXT says of the type of its record.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Form {
    /// `a-`: an A record; from v0.22 on also an alias A.
    A,
    /// `aaaa-`: an AAAA record.
    Aaaa,
    /// `cname-`: a CNAME record, and up to v0.21 an alias A.
    Cname,
    /// Nothing: up to v0.16, for any type but AAAA.
    Any,
}

impl Form {
    /// All of them.
    pub const ALL: [Form; 4] = [Self::A, Self::Aaaa, Self::Cname, Self::Any];

    /// The form in the words of a journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Any => "ANY",
        }
    }

    fn of_type(record_type: &str) -> Option<Self> {
        match record_type {
            "a" => Some(Self::A),
            "aaaa" => Some(Self::Aaaa),
            "cname" => Some(Self::Cname),
            _ => None,
        }
    }

    /// The types of which the record of such a TXT may be; no two of them stand at one name.
    pub(crate) fn record_types(self) -> &'static [RecordType] {
        match self {
            Self::A => &[RecordType::A],
            Self::Aaaa => &[RecordType::Aaaa],
            Self::Cname | Self::Any => &[RecordType::A, RecordType::Cname],
        }
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |form: &Self| form.as_str() == text;
        Self::ALL
            .into_iter()
            .find(is_it)
            .ok_or_else(|| format!("expected A, AAAA, CNAME or ANY, found {}", quoted(text)))
    }
}

impl RegistryNames {
    /// Whether both a prefix and a suffix are given, which ExternalDNS refuses.
    pub fn are_contradictory(&self) -> bool {
        !self.txt_prefix.0.is_empty() && !self.txt_suffix.0.is_empty()
    }

    /// Where registry TXT records of `name` may stand, and in which form.
    pub fn places(&self, name: &RecordName) -> Vec<(Form, RecordName)> {
        let registered = self.registered(name);
        let (label, parent) = split_label(&registered);
        let mut places = Vec::new();
        let mut spell = |form: Form, type_in_affix: &str, type_in_label: &str| {
            let prefix = self.txt_prefix.with_type(type_in_affix);
            let suffix = self.txt_suffix.with_type(type_in_affix);
            let text = format!("{prefix}{type_in_label}{label}{suffix}{parent}");
            let is_read_so = self.read(&text) == Some((form, registered.clone()));
            if let (true, Ok(place)) = (is_read_so, text.parse::<RecordName>())
                && !places.contains(&(form, place.clone()))
            {
                places.push((form, place));
            }
        };
        for (form, record_type) in [(Form::A, "a"), (Form::Aaaa, "aaaa"), (Form::Cname, "cname")] {
            if self.type_is_in_affix() {
                spell(form, record_type, "");
            }
            spell(form, "", &format!("{record_type}-"));
        }
        spell(Form::Any, "", "");
        places
    }

    /// Whether a registry TXT there is for a record of a type that no migration moves.
    pub(crate) fn are_of_another_type(&self, place: &RecordName) -> bool {
        matches!(self.parse(place.as_str()), Some((Some(record_type), _)) if Form::of_type(record_type).is_none())
    }

    /// The name as the registry knows it: a wildcard record's with the replacement for its `*`.
    fn registered(&self, name: &RecordName) -> String {
        match (
            name.wildcard_parent(),
            self.txt_wildcard_replacement.as_str(),
        ) {
            (Some(parent), replacement) if !replacement.is_empty() => {
                format!("{replacement}{parent}")
            }
            _ => name.as_str().to_owned(),
        }
    }

    fn type_is_in_affix(&self) -> bool {
        self.txt_prefix.has_type() || self.txt_suffix.has_type()
    }

    /// Which name a registry TXT is for, and in which form, as ExternalDNS reads it.
    fn read(&self, place: &str) -> Option<(Form, String)> {
        let (record_type, name) = self.parse(place)?;
        let form = record_type.map_or(Some(Form::Any), Form::of_type)?;
        Some((form, name))
    }

    fn parse(&self, place: &str) -> Option<(Option<&'static str>, String)> {
        // A suffix may hold dots; it ends as many labels behind the first.
        let labels = 1 + self.txt_suffix.0.matches('.').count();
        let end = place
            .match_indices('.')
            .nth(labels - 1)
            .map_or(place.len(), |(position, _)| position);
        let (affixed, parent) = if self.txt_suffix.0.is_empty() {
            (place, "")
        } else {
            place.split_at(end)
        };
        let without = |record_type: &str| {
            affixed
                .strip_prefix(self.txt_prefix.with_type(record_type).as_str())?
                .strip_suffix(self.txt_suffix.with_type(record_type).as_str())
        };
        if self.type_is_in_affix() {
            let typed = TYPES_IN_NAMES
                .into_iter()
                .find_map(|record_type| Some((record_type, without(record_type)?)));
            if let Some((record_type, label)) = typed {
                return Some((Some(record_type), format!("{label}{parent}")));
            }
        }
        let label = without("")?;
        let (first, rest) = label.split_once('-').unwrap_or((label, ""));
        let record_type = TYPES_IN_NAMES.into_iter().find(|known| *known == first);
        let name = if record_type.is_some() { rest } else { label };
        Some((record_type, format!("{name}{parent}")))
    }
}

/// The first label, and the rest with its dot.
fn split_label(name: &str) -> (&str, &str) {
    name.split_at(name.find('.').unwrap_or(name.len()))
}

/// A registry TXT record of one side at a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryText<'a> {
    /// The record set as it was read.
    pub read: &'a RecordSet,
    /// Its form.
    pub form: Form,
    /// The type of its record; none if that is not there.
    pub record_type: Option<RecordType>,
    /// Whom it names.
    pub owner: Owner,
}

/// Whom a registry TXT names as owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// An ExternalDNS, by its `--txt-owner-id`.
    ExternalDns(String),
    /// A migration.
    Migration,
    /// Nobody, so that no ExternalDNS changes the record.
    Nobody,
    /// It can't be read: `--txt-encrypt-enabled`.
    Encrypted,
}

impl RegistryText<'_> {
    /// The same record set with another weight, and leased by `execution`, whose name is
    /// percent-encoded. The value has no more than 255 bytes; where the name does not fit, its end
    /// is missing.
    pub fn leased(&self, execution: &str, weight: u8) -> RecordSet {
        let length = |owner: &str| {
            self.with_owner(owner, weight)
                .values()
                .first()
                .map_or(0, |value| value.trim_matches('"').len())
        };
        let mut owner = format!("{LEASED}{}", percent_encode(execution));
        let excess = length(&owner).saturating_sub(LONGEST_STRING);
        owner.truncate(owner.len().saturating_sub(excess).max(LEASED.len()));
        self.with_owner(&owner, weight)
    }

    /// Whether the value has room for a lease, be it without the execution's name.
    pub(crate) fn has_room_for_a_lease(&self) -> bool {
        let leased = self.with_owner(LEASED, self.weight());
        let length = |record_set: &RecordSet| record_set.values().first().map_or(0, String::len);
        // With its quotes.
        length(&leased) <= (LONGEST_STRING + 2).max(length(self.read))
    }

    /// The same record set with another weight and owner; everything else in its value stays byte
    /// for byte.
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

    /// Its own weight.
    pub(crate) fn weight(&self) -> u8 {
        self.read.weighted().map_or(0, |(_, weight)| weight)
    }

    /// The owner id of ExternalDNS that it names.
    pub fn external_dns(&self) -> Option<&str> {
        match &self.owner {
            Owner::ExternalDns(owner) => Some(owner),
            Owner::Migration | Owner::Nobody | Owner::Encrypted => None,
        }
    }

    /// The Kubernetes object that the record was made for, such as `ingress/team/app`.
    pub fn resource(&self) -> Option<&str> {
        let value = self.read.values().first()?;
        value.get(Labels::read(value)?.resource?)
    }
}

/// Where in a registry TXT's value what stands.
struct Labels {
    owner: Option<Range<usize>>,
    resource: Option<Range<usize>>,
}

impl Labels {
    /// None if it is no registry TXT. The keys are in any order; of two alike the last counts.
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

/// Whom `record_set` names as owner; none if it is not of the registry.
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

/// Base64 of a nonce, a ciphertext and its tag (ExternalDNS, `endpoint/crypto.go`).
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

impl Zone {
    /// The registry TXT records of `side` for `name`, whichever forms their names have.
    pub fn registry_texts<'a>(
        &'a self,
        name: &RecordName,
        side: &SetIdentifier,
        names: &RegistryNames,
    ) -> Vec<RegistryText<'a>> {
        let mut texts = Vec::new();
        for (form, place) in names.places(name) {
            let Some((read, _)) = self.weighted(&place, &RecordType::Txt, side) else {
                continue;
            };
            let Some(owner) = owner(read) else {
                continue;
            };
            let stands =
                |record_type: &&RecordType| self.weighted(name, record_type, side).is_some();
            texts.push(RegistryText {
                read,
                form,
                record_type: form.record_types().iter().find(stands).cloned(),
                owner,
            });
        }
        texts
    }
}

/// What a journal keeps of one side's registry: where its TXT records stand, and whom they named.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Registry {
    /// How the TXT records are named.
    pub names: RegistryNames,
    /// Whom they named as owner before they were leased, by form; empty if none is leased.
    pub owners: BTreeMap<Form, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(txt_prefix: &str, txt_suffix: &str, txt_wildcard_replacement: &str) -> RegistryNames {
        RegistryNames {
            txt_prefix: txt_prefix.parse().unwrap(),
            txt_suffix: txt_suffix.parse().unwrap(),
            txt_wildcard_replacement: txt_wildcard_replacement.parse().unwrap(),
        }
    }

    #[track_caller]
    fn check_places(names: &RegistryNames, name: &str, expect: &[&str]) {
        let places: Vec<_> = names
            .places(&name.parse().unwrap())
            .into_iter()
            .map(|(form, place)| format!("{} {place}", form.as_str()))
            .collect();
        assert_eq!(places, expect);
    }

    #[test]
    fn registry_txt_stands_beside_its_name() {
        check_places(
            &names("", "", ""),
            "app.example.com",
            &[
                "A a-app.example.com",
                "AAAA aaaa-app.example.com",
                "CNAME cname-app.example.com",
                "ANY app.example.com",
            ],
        );
        check_places(
            &names("", "", "star"),
            "*.example.com",
            &[
                "A a-star.example.com",
                "AAAA aaaa-star.example.com",
                "CNAME cname-star.example.com",
                "ANY star.example.com",
            ],
        );
        check_places(
            &names("Reg.", "", ""),
            "app.example.com",
            &[
                "A reg.a-app.example.com",
                "AAAA reg.aaaa-app.example.com",
                "CNAME reg.cname-app.example.com",
                "ANY reg.app.example.com",
            ],
        );
    }

    /// ExternalDNS replaces a `*` only where it is the whole first label.
    #[test]
    fn a_star_within_a_label_is_not_replaced() {
        check_places(
            &names("", "", "star"),
            "*a.example.com",
            &[
                "A a-\\052a.example.com",
                "AAAA aaaa-\\052a.example.com",
                "CNAME cname-\\052a.example.com",
                "ANY \\052a.example.com",
            ],
        );
    }

    /// An affix with the type is read without it as well, as ExternalDNS does for older records.
    #[test]
    fn a_type_may_stand_in_an_affix() {
        check_places(
            &names("", "-%{record_type}.reg", ""),
            "app.example.com",
            &[
                "A app-a.reg.example.com",
                "A a-app-.reg.example.com",
                "AAAA app-aaaa.reg.example.com",
                "AAAA aaaa-app-.reg.example.com",
                "CNAME app-cname.reg.example.com",
                "CNAME cname-app-.reg.example.com",
                "ANY app-.reg.example.com",
            ],
        );
    }

    /// Without a type in its name, the TXT of `a-team` is taken for that of an A record of `team`.
    #[test]
    fn what_external_dns_reads_as_another_names_is_no_place() {
        check_places(
            &names("", "", ""),
            "a-team.example.com",
            &[
                "A a-a-team.example.com",
                "AAAA aaaa-a-team.example.com",
                "CNAME cname-a-team.example.com",
            ],
        );
    }

    #[track_caller]
    fn check_owner(value: &str, expect: Option<&Owner>) {
        let name = "a-app.example.com".parse().unwrap();
        let record_set = RecordSet::text(name, 300, value.to_owned());
        assert_eq!(owner(&record_set).as_ref(), expect);
    }

    #[test]
    fn owners_are_read_as_external_dns_reads_them() {
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

    #[test]
    fn an_affix_that_no_name_can_have_is_refused() {
        assert_eq!(
            "ext dns".parse::<Affix>().unwrap_err(),
            "expected at most 253 letters, digits, `-`, `_` and `.` as they stand in the flag of ExternalDNS, or \
             %{record_type}, found \"ext dns\""
        );
    }

    proptest::proptest! {
        #[test]
        fn a_lease_changes_the_owner_alone_and_can_be_given_back(
            owner in "[!#-+\\--~]{1,40}",
            before in "[a-z=/,]{0,30}",
            after in "[a-z=/,]{0,150}",
            execution in ".{1,80}",
        ) {
            let name: RecordName = "a-app.example.com".parse().unwrap();
            let value = format!("\"{before},heritage=external-dns,external-dns/owner={owner},x={after}\"");
            let read = RecordSet::text(name, 300, value.clone());
            let text = RegistryText { read: &read, form: Form::A, record_type: None, owner: Owner::Nobody };
            proptest::prop_assume!(super::owner(&read) == Some(Owner::ExternalDns(owner.clone())));
            let leased = text.leased(&execution, 0);
            proptest::prop_assert_eq!(super::owner(&leased), Some(Owner::Migration));
            let length = leased.values()[0].len() - 2;
            proptest::prop_assert!(length <= LONGEST_STRING.max(value.len() - 2), "{}", length);
            let leased = RegistryText { read: &leased, ..text };
            let given_back = leased.with_owner(&owner, 0);
            proptest::prop_assert_eq!(given_back.values(), [value]);
        }
    }
}
