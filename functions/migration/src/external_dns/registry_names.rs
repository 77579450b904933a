//! The names of registry TXT records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dns::{LONGEST_NAME, RecordName, RecordType};
use crate::text::{deserialize_from_str, quoted};

/// The placeholder of an affix for the record's type.
pub(super) const RECORD_TYPE: &str = "%{record_type}";
/// The record types that ExternalDNS recognizes at the beginning of a registry TXT's name.
const TYPES_IN_NAMES: [&str; 10] = [
    "a", "aaaa", "cname", "ns", "mx", "ptr", "srv", "naptr", "txt", "dname",
];
/// The maximum length of an affix in bytes: that of a DNS name.
const LONGEST_AFFIX: usize = LONGEST_NAME;

/// The flags of an ExternalDNS that name its registry TXT records: `--txt-prefix`, `--txt-suffix` and
/// `--txt-wildcard-replacement`.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryNames {
    /// `--txt-prefix`. `%{record_type}` in it is the record's type.
    pub txt_prefix: Affix,
    /// `--txt-suffix`, which follows the first label. Not together with a prefix.
    pub txt_suffix: Affix,
    /// `--txt-wildcard-replacement`, the first label in place of a wildcard record's `*`.
    pub txt_wildcard_replacement: Affix,
}

/// A part of a registry TXT's name, in lower case as ExternalDNS converts it.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Affix(String);

impl Affix {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        let is_permitted =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if affix.with_type("").bytes().all(is_permitted) && text.len() <= LONGEST_AFFIX {
            Ok(affix)
        } else {
            Err(format!(
                "expected the value of the flag of ExternalDNS (at most {LONGEST_AFFIX} letters, digits, `-`, `_` and `.`, \
                 or {RECORD_TYPE}), found {}",
                quoted(text)
            ))
        }
    }
}

deserialize_from_str!(Affix);

/// What the name of a registry TXT says about the type of its record.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TxtNaming {
    /// `a-`: an A record, and from v0.22 an alias A.
    A,
    /// `aaaa-`: an AAAA record.
    Aaaa,
    /// `cname-`: a CNAME record, and up to v0.21 an alias A.
    Cname,
    /// No type: up to v0.16, any type but AAAA.
    Any,
}

impl TxtNaming {
    pub const ALL: [TxtNaming; 4] = [Self::A, Self::Aaaa, Self::Cname, Self::Any];

    /// The naming as a journal writes it.
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

    /// The possible types of the record of such a TXT; a name never has records of two of them.
    pub(crate) fn record_types(self) -> &'static [RecordType] {
        match self {
            Self::A => &[RecordType::A],
            Self::Aaaa => &[RecordType::Aaaa],
            Self::Cname | Self::Any => &[RecordType::A, RecordType::Cname],
        }
    }
}

impl FromStr for TxtNaming {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|naming| naming.as_str() == text)
            .ok_or_else(|| format!("expected A, AAAA, CNAME or ANY, found {}", quoted(text)))
    }
}

/// The flags as an input has them: an object with those that are not empty.
impl fmt::Display for RegistryNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            ("txtPrefix", &self.txt_prefix),
            ("txtSuffix", &self.txt_suffix),
            ("txtWildcardReplacement", &self.txt_wildcard_replacement),
        ];
        let mut shown: Vec<_> = flags
            .iter()
            .filter(|(_, affix)| !affix.is_empty())
            .map(|(field, affix)| format!("\"{field}\": \"{}\"", affix.0))
            .collect();
        if shown.is_empty() {
            shown.push("\"txtPrefix\": \"\"".to_owned());
        }
        write!(f, "{{{}}}", shown.join(", "))
    }
}

impl RegistryNames {
    /// The possible names of the registry TXT records of `name`, with the naming of each.
    pub fn record_names(&self, name: &RecordName) -> Vec<(TxtNaming, RecordName)> {
        let registered = self.registered(name);
        let (label, parent) = split_label(&registered);
        let mut record_names = Vec::new();
        let mut add = |naming: TxtNaming, type_in_affix: &str, type_in_label: &str| {
            let prefix = self.txt_prefix.with_type(type_in_affix);
            let suffix = self.txt_suffix.with_type(type_in_affix);
            let text = format!("{prefix}{type_in_label}{label}{suffix}{parent}");
            // ExternalDNS may parse the name as that of another record; the TXT is then not of `name`.
            let is_of_name = self.read(&text) == Some((naming, registered.clone()));
            if let (true, Ok(record_name)) = (is_of_name, text.parse::<RecordName>())
                && !record_names.contains(&(naming, record_name.clone()))
            {
                record_names.push((naming, record_name));
            }
        };
        for (naming, record_type) in [
            (TxtNaming::A, "a"),
            (TxtNaming::Aaaa, "aaaa"),
            (TxtNaming::Cname, "cname"),
        ] {
            if self.type_is_in_affix() {
                add(naming, record_type, "");
            }
            add(naming, "", &format!("{record_type}-"));
        }
        add(TxtNaming::Any, "", "");
        record_names
    }

    /// Whether ExternalDNS finds the type of a record in the name of a TXT.
    pub(crate) fn has_type(&self, txt: &RecordName) -> bool {
        matches!(self.parse(txt.as_str()), Some((Some(_), _)))
    }

    /// Whether a registry TXT with this name is for a record of a type that no migration moves.
    pub(crate) fn is_of_unmoved_type(&self, txt: &RecordName) -> bool {
        matches!(self.parse(txt.as_str()), Some((Some(record_type), _)) if TxtNaming::of_type(record_type).is_none())
    }

    /// The name as it is part of a registry TXT's name: the `*` of a wildcard record is replaced.
    pub(super) fn registered(&self, name: &RecordName) -> String {
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

    pub(super) fn type_is_in_affix(&self) -> bool {
        self.txt_prefix.has_type() || self.txt_suffix.has_type()
    }

    /// The naming of a registry TXT, and the name of its record, as ExternalDNS parses them.
    pub(super) fn read(&self, txt: &str) -> Option<(TxtNaming, String)> {
        let (record_type, name) = self.parse(txt)?;
        let naming = record_type.map_or(Some(TxtNaming::Any), TxtNaming::of_type)?;
        Some((naming, name))
    }

    /// The type in the name of a registry TXT, if it has one, and the name of its record. The same steps
    /// as in `registry/mapper/mapper.go`.
    fn parse(&self, txt: &str) -> Option<(Option<&'static str>, String)> {
        // A suffix may contain dots, and then spans as many labels after the first.
        let labels = 1 + self.txt_suffix.0.matches('.').count();
        let end = txt
            .match_indices('.')
            .nth(labels - 1)
            .map_or(txt.len(), |(position, _)| position);
        let (affixed, parent) = if self.txt_suffix.is_empty() {
            (txt, "")
        } else {
            txt.split_at(end)
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

/// The first label, and the rest with the dot.
pub(super) fn split_label(name: &str) -> (&str, &str) {
    name.split_at(name.find('.').unwrap_or(name.len()))
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
    fn check_record_names(names: &RegistryNames, name: &str, expect: &[&str]) {
        let found: Vec<_> = names
            .record_names(&name.parse().unwrap())
            .into_iter()
            .map(|(naming, record_name)| format!("{} {record_name}", naming.as_str()))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn txt_names_contain_the_affixes_and_the_type() {
        check_record_names(
            &names("", "", ""),
            "app.example.com",
            &[
                "A a-app.example.com",
                "AAAA aaaa-app.example.com",
                "CNAME cname-app.example.com",
                "ANY app.example.com",
            ],
        );
        check_record_names(
            &names("", "", "star"),
            "*.example.com",
            &[
                "A a-star.example.com",
                "AAAA aaaa-star.example.com",
                "CNAME cname-star.example.com",
                "ANY star.example.com",
            ],
        );
        check_record_names(
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
        check_record_names(
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

    /// ExternalDNS also parses an affix with the type as if the type were empty, for older records.
    #[test]
    fn an_affix_may_contain_the_type() {
        check_record_names(
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

    /// The TXT name of `a-team` without a type is parsed as that of an A record of `team`.
    #[test]
    fn a_txt_name_that_external_dns_parses_as_another_records_is_left_out() {
        check_record_names(
            &names("", "", ""),
            "a-team.example.com",
            &[
                "A a-a-team.example.com",
                "AAAA aaaa-a-team.example.com",
                "CNAME cname-a-team.example.com",
            ],
        );
    }

    #[test]
    fn an_affix_with_characters_that_no_name_has_is_refused() {
        assert_eq!(
            "ext dns".parse::<Affix>().unwrap_err(),
            "expected the value of the flag of ExternalDNS (at most 253 letters, digits, `-`, `_` and `.`, or \
             %{record_type}), found \"ext dns\""
        );
    }
}
