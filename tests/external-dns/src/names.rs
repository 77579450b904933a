//! The names of registry TXT records.
//!
//! Source: `registry/mapper/mapper.go`; for names without a type, `toTXTName` of
//! `registry/txt.go` in v0.16.1.

use migration::dns::RecordName;
use migration::dns::RecordType;

use crate::settings::Generation;

/// The placeholder for the record's type in a prefix or suffix.
const TYPE_TEMPLATE: &str = "%{record_type}";

/// The types that are recognized in a TXT's name, in the order in which they are tried.
const TYPES: [&str; 10] = [
    "A", "AAAA", "CNAME", "NS", "MX", "PTR", "SRV", "NAPTR", "TXT", "DNAME",
];
/// The same up to v0.17 (`getSupportedTypes` of `registry/txt.go`).
const OLD_TYPES: [&str; 4] = ["A", "AAAA", "CNAME", "NS"];

/// The affix of TXT names. ExternalDNS allows a prefix or a suffix, not both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Affix {
    /// The TXT's name differs from its record's only by the type.
    None,
    /// `--txt-prefix`; `%{record_type}` is replaced by the type.
    Prefix(String),
    /// `--txt-suffix`, which comes after the first label.
    Suffix(String),
}

/// Maps names of records to names of their TXT, and back.
///
/// Names are in ExternalDNS's spelling: `*` without escape, no trailing dot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameMapper {
    prefix: String,
    suffix: String,
    wildcard_replacement: String,
    types: &'static [&'static str],
}

impl NameMapper {
    /// The mapping of an instance with these flags.
    pub fn new(affix: &Affix, wildcard_replacement: &str) -> Self {
        let (prefix, suffix) = match affix {
            Affix::None => ("", ""),
            Affix::Prefix(prefix) => (prefix.as_str(), ""),
            Affix::Suffix(suffix) => ("", suffix.as_str()),
        };
        Self {
            prefix: prefix.to_ascii_lowercase(),
            suffix: suffix.to_ascii_lowercase(),
            wildcard_replacement: wildcard_replacement.to_ascii_lowercase(),
            types: &TYPES,
        }
    }

    /// The mapping by a version with these flags.
    pub(crate) fn of(self, generation: Generation) -> Self {
        Self {
            types: if generation <= Generation::WithUntyped {
                &OLD_TYPES
            } else {
                &TYPES
            },
            ..self
        }
    }

    /// The name of the TXT for a record with this name and type.
    pub fn text_name(&self, name: &str, record_type: &RecordType) -> String {
        let record_type = record_type.as_str().to_ascii_lowercase();
        let marker = if self.has_type_in_affix() {
            String::new()
        } else {
            format!("{record_type}-")
        };
        self.affixed(name, &record_type, &marker)
    }

    /// The name of the TXT in the old format without a type; `None` if the affix contains
    /// the type.
    pub fn untyped_text_name(&self, name: &str) -> Option<String> {
        (!self.has_type_in_affix()).then(|| self.affixed(name, "", ""))
    }

    /// The name of the record that this TXT belongs to, and its type if the TXT's name
    /// contains one.
    pub fn record_of(&self, text_name: &str) -> Option<(String, Option<RecordType>)> {
        let text_name = text_name.to_ascii_lowercase();
        if self.suffix.is_empty() {
            return self.without_affix(&text_name);
        }
        let dots = self.suffix.matches('.').count();
        let labels: Vec<&str> = text_name.splitn(2 + dots, '.').collect();
        let first = labels.get(..=dots)?.join(".");
        let (name, record_type) = self.without_affix(&first)?;
        Some(match labels.get(1 + dots) {
            Some(parent) => (format!("{name}.{parent}"), record_type),
            None => (name, record_type),
        })
    }

    /// The name as it appears in the name of its TXT.
    pub fn with_wildcard_replaced(&self, name: &str) -> String {
        with_wildcard_replaced(name, &self.wildcard_replacement)
    }

    fn has_type_in_affix(&self) -> bool {
        self.prefix.contains(TYPE_TEMPLATE) || self.suffix.contains(TYPE_TEMPLATE)
    }

    fn affixed(&self, name: &str, record_type: &str, marker: &str) -> String {
        let name = self.with_wildcard_replaced(name);
        let (label, parent) = match name.split_once('.') {
            Some((label, parent)) => (label, format!(".{parent}")),
            None => (name.as_str(), String::new()),
        };
        let prefix = self.prefix.replace(TYPE_TEMPLATE, record_type);
        let suffix = self.suffix.replace(TYPE_TEMPLATE, record_type);
        format!("{prefix}{marker}{label}{suffix}{parent}")
    }

    fn without_affix(&self, name: &str) -> Option<(String, Option<RecordType>)> {
        let rest = |record_type: &str| {
            name.strip_prefix(&self.prefix.replace(TYPE_TEMPLATE, record_type))?
                .strip_suffix(&self.suffix.replace(TYPE_TEMPLATE, record_type))
        };
        if self.has_type_in_affix() {
            for record_type in self.types {
                if let Some(rest) = rest(&record_type.to_ascii_lowercase()) {
                    return Some((rest.to_owned(), Some((*record_type).into())));
                }
            }
        }
        // The affix without the type: the old format.
        Some(self.without_type(rest("")?))
    }

    /// Splits off the type in names without the placeholder: the part before the first hyphen.
    fn without_type(&self, name: &str) -> (String, Option<RecordType>) {
        let first = name.split('-').next().unwrap_or(name);
        match self
            .types
            .iter()
            .find(|record_type| record_type.to_ascii_lowercase() == first)
        {
            Some(record_type) => {
                let rest = name
                    .strip_prefix(first)
                    .map_or(name, |rest| rest.strip_prefix('-').unwrap_or(name));
                (rest.to_owned(), Some((*record_type).into()))
            }
            None => (name.to_owned(), None),
        }
    }
}

/// The name with the replacement of a `*` that is its whole first label.
pub(crate) fn with_wildcard_replaced(name: &str, replacement: &str) -> String {
    match name.strip_prefix('*') {
        Some(parent)
            if !replacement.is_empty() && (parent.is_empty() || parent.starts_with('.')) =>
        {
            format!("{replacement}{parent}")
        }
        _ => name.to_owned(),
    }
}

/// The name in ExternalDNS's spelling, without Route 53's escapes.
///
/// Source: `wildcardUnescape` and `convertOctalToAscii` of `provider/aws/aws.go`.
pub(crate) fn unescaped(name: &RecordName) -> String {
    let mut plain = String::new();
    let mut rest = name.as_str();
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let (digits, after) = escape.split_at_checked(3).unwrap_or((escape, ""));
        if let Ok(byte) = u8::from_str_radix(digits, 8) {
            plain.push(char::from(byte));
        } else {
            plain.push('\\');
            plain.push_str(digits);
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Affix {
        Affix::Prefix(text.to_owned())
    }

    fn suffix(text: &str) -> Affix {
        Affix::Suffix(text.to_owned())
    }

    /// `wildcard` replaces `*` in the TXT's name. The mapping back keeps the replacement.
    #[track_caller]
    fn check(affix: &Affix, wildcard: &str, name: &str, record_type: &str, expect: &str) {
        let mapper = NameMapper::new(affix, wildcard);
        let record_type = RecordType::from(record_type);
        let text_name = mapper.text_name(name, &record_type);
        assert_eq!(text_name, expect);
        let (back, type_back) = mapper.record_of(&text_name).unwrap();
        assert_eq!(back, mapper.with_wildcard_replaced(name));
        assert_eq!(type_back, Some(record_type));
    }

    #[test]
    fn record_names_map_to_txt_names_and_back() {
        let plain = Affix::None;
        check(&plain, "", "foo.example.com", "A", "a-foo.example.com");
        check(&plain, "", "*.example.com", "AAAA", "aaaa-*.example.com");
        check(
            &plain,
            "Any",
            "*.example.com",
            "AAAA",
            "aaaa-any.example.com",
        );
        check(&plain, "", "a-b.example.com", "A", "a-a-b.example.com");
        check(
            &prefix("txt."),
            "",
            "foo.example.com",
            "CNAME",
            "txt.cname-foo.example.com",
        );
        check(
            &prefix("%{record_type}-Own."),
            "any",
            "*.example.com",
            "CNAME",
            "cname-own.any.example.com",
        );
        check(
            &suffix("-own"),
            "",
            "foo.example.com",
            "A",
            "a-foo-own.example.com",
        );
        check(
            &suffix("-%{record_type}-own"),
            "any",
            "*.example.com",
            "AAAA",
            "any-aaaa-own.example.com",
        );
        check(
            &suffix(".foo.bar"),
            "",
            "example.com",
            "A",
            "a-example.foo.bar.com",
        );
    }

    #[track_caller]
    fn check_untyped(affix: &Affix, text_name: &str, expect: Option<&str>) {
        let record = NameMapper::new(affix, "").record_of(text_name);
        let shown = record.map(|(name, record_type)| (name, record_type.is_none()));
        assert_eq!(shown, expect.map(|name| (name.to_owned(), true)));
    }

    #[test]
    fn name_in_the_old_format_has_no_type() {
        let mapper = NameMapper::new(&prefix("txt."), "any");
        assert_eq!(
            mapper.untyped_text_name("*.example.com").unwrap(),
            "txt.any.example.com"
        );
        check_untyped(&Affix::None, "foo.example.com", Some("foo.example.com"));
        check_untyped(&prefix("txt."), "txt.foo.com", Some("foo.com"));
        check_untyped(
            &prefix("%{record_type}txt."),
            "txt.foo.com",
            Some("foo.com"),
        );
        check_untyped(&prefix("txt."), "other.foo.com", None);
        check_untyped(&suffix(".foo.bar"), "a-example.foo", None);
        let typed = NameMapper::new(&prefix("%{record_type}."), "");
        assert_eq!(typed.untyped_text_name("foo.example.com"), None);
    }

    #[test]
    fn escapes_are_replaced_by_their_characters() {
        for (name, expect) in [
            ("*.apps.example.com", "*.apps.example.com"),
            ("cname-\\052.apps.example.com", "cname-*.apps.example.com"),
            ("a!b.example.com", "a!b.example.com"),
        ] {
            assert_eq!(unescaped(&name.parse().unwrap()), expect);
        }
    }
}
