//! Names: of records, of sides, of zones, and the patterns that select them.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::Serialize;
use wildmatch::WildMatchPattern;

use crate::quoted;

/// A DNS name in the one spelling that Route 53 lists: lower case, without the
/// trailing dot, every byte but `a-z 0-9 - _ .` as an octal escape, so that a
/// wildcard record is `\052.apps.example.com`.
///
/// Source: Route 53 Developer Guide, "DNS domain name format".
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RecordName(String);

/// The first label of a wildcard record.
const WILDCARD_LABEL: &str = "\\052";
/// The label under which a name's journal stands.
const JOURNAL_LABEL: &str = "_cutover";
/// What stands for [`WILDCARD_LABEL`] in a journal's name: a journal must not be a wildcard itself.
const JOURNAL_WILDCARD_LABEL: &str = "_wildcard";
/// Bytes in a name, the dots between labels included (RFC 1035).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

impl RecordName {
    /// The name as Route 53's API takes and lists it, with the trailing dot.
    pub fn fully_qualified(&self) -> String {
        format!("{}.", self.0)
    }

    /// The name without the trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `zone` itself or a name below it.
    pub fn is_in(&self, zone: &RecordName) -> bool {
        self.0
            .strip_suffix(&zone.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Where this name's journal stands: `_cutover.<name>`.
    #[must_use]
    pub fn journal(&self) -> RecordName {
        let rest = match self.wildcard_parent() {
            Some(parent) => format!("{JOURNAL_WILDCARD_LABEL}{parent}"),
            None => self.0.clone(),
        };
        RecordName(format!("{JOURNAL_LABEL}.{rest}"))
    }

    /// The name whose journal stands here, if this is a journal's name.
    pub fn journaled(&self) -> Option<RecordName> {
        let rest = self.0.strip_prefix(JOURNAL_LABEL)?.strip_prefix('.')?;
        Some(match rest.strip_prefix(JOURNAL_WILDCARD_LABEL) {
            Some(parent) if parent.starts_with('.') => {
                RecordName(format!("{WILDCARD_LABEL}{parent}"))
            }
            _ => RecordName(rest.to_owned()),
        })
    }

    /// Whether the name is too long to have a journal below it.
    pub fn is_too_long_for_a_journal(&self) -> bool {
        length(&self.journal().0) > LONGEST_NAME
    }

    /// A host name that the record answers for: the name itself, or `label` in
    /// place of a wildcard record's `*`.
    pub fn host(&self, label: &str) -> String {
        match self.wildcard_parent() {
            Some(parent) => format!("{label}{parent}"),
            None => self.0.clone(),
        }
    }

    /// What is behind a wildcard record's `*`, with its dot. A `*` that is not a whole label is one like
    /// any other character.
    pub(crate) fn wildcard_parent(&self) -> Option<&str> {
        let parent = self.0.strip_prefix(WILDCARD_LABEL)?;
        (parent.is_empty() || parent.starts_with('.')).then_some(parent)
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RecordName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let canonical = canonical(text)?;
        if canonical.is_empty() || length(&canonical) > LONGEST_NAME {
            return Err(format!(
                "expected a DNS name of 1 to {LONGEST_NAME} characters, found {}",
                quoted(text)
            ));
        }
        if let Some(label) = canonical
            .split('.')
            .find(|label| label.is_empty() || length(label) > LONGEST_LABEL)
        {
            return Err(format!(
                "expected a DNS name with labels of 1 to {LONGEST_LABEL} characters, found {} in {}",
                quoted(label),
                quoted(text)
            ));
        }
        Ok(Self(canonical.replace('*', WILDCARD_LABEL)))
    }
}

/// Which names a migration takes or leaves, as an operator writes it: a name,
/// or a pattern in which `*` matches any characters. The wildcard record alone
/// is written `\052.apps.example.com`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether `name` is selected; a `*` matches a wildcard record's own `*` too.
    pub fn matches(&self, name: &RecordName) -> bool {
        // The second parameter, "one character", is no character of a name.
        WildMatchPattern::<'*', '\0'>::new(&self.0).matches(&name.0)
    }

    /// The one name that this selects, unless it is a pattern.
    pub fn literal(&self) -> Option<RecordName> {
        (!self.0.contains('*')).then(|| RecordName(self.0.clone()))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let canonical = canonical(text)?;
        if canonical.is_empty() {
            return Err("expected a DNS name or a pattern with `*`, found an empty string".into());
        }
        if !canonical.contains('*') {
            // What selects one name has to be one.
            text.parse::<RecordName>()?;
        }
        if canonical.split('.').any(str::is_empty) {
            return Err(format!(
                "expected a pattern that a DNS name can match, found an empty label in {}",
                quoted(text)
            ));
        }
        let stars = canonical.matches('*').count();
        // More stars than characters match nothing that fewer don't match.
        if length(&canonical) - stars > LONGEST_NAME || stars > LONGEST_NAME {
            return Err(format!(
                "expected a pattern that a DNS name of {LONGEST_NAME} characters can match, found {}",
                quoted(text)
            ));
        }
        Ok(Self(canonical))
    }
}

/// Route 53's spelling of `text`, a `*` left as it is.
fn canonical(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut canonical = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\';
        let byte = if escaped {
            octal(&mut bytes).ok_or_else(|| {
                format!(
                    "expected three octal digits behind `\\`, as in \\052, found {}",
                    quoted(text)
                )
            })?
        } else {
            byte
        };
        match byte.to_ascii_lowercase() {
            byte @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => canonical.push(char::from(byte)),
            byte @ (b'.' | b'*') if !escaped => canonical.push(char::from(byte)),
            b' ' if !escaped => {
                return Err(format!(
                    "expected a DNS name, found a space in {}",
                    quoted(text)
                ));
            }
            byte if escaped || byte.is_ascii_graphic() => {
                // Writing to a String can't fail.
                let _ = write!(canonical, "\\{byte:03o}");
            }
            _ => {
                return Err(format!(
                    "expected a DNS name in ASCII (an international name in its xn-- form), found {}",
                    quoted(text)
                ));
            }
        }
    }
    Ok(canonical)
}

/// The bytes that canonical text stands for: an escape stands for one.
fn length(canonical: &str) -> usize {
    canonical.len() - 3 * canonical.matches('\\').count()
}

fn octal(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut value = 0_u32;
    for _ in 0..3 {
        let digit = char::from(bytes.next()?).to_digit(8)?;
        value = value * 8 + digit;
    }
    u8::try_from(value).ok()
}

/// The set identifier of one side's weighted records; ExternalDNS sets it to
/// the cluster's name. 1 to 128 characters (Route 53 API, `ResourceRecordSet`).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SetIdentifier(String);

impl SetIdentifier {
    /// The identifier as Route 53 lists it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SetIdentifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.chars().count() {
            1..=128 => Ok(Self(text.to_owned())),
            count => Err(format!(
                "expected a set identifier of 1 to 128 characters, found {count}"
            )),
        }
    }
}

/// The id of a hosted zone, with or without the `/hostedzone/` that Route 53 puts before it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostedZoneId(String);

impl HostedZoneId {
    /// The bare id, such as `Z3Q77PNBQS71R4`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostedZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostedZoneId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
        let looks_right = (2..=32).contains(&id.len())
            && id.starts_with('Z')
            && id
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if looks_right {
            Ok(Self(id.to_owned()))
        } else {
            Err(format!(
                "expected the id of a hosted zone (Z and then capital letters and digits, as `aws route53 list-hosted-zones` prints it), found {}",
                quoted(text)
            ))
        }
    }
}

/// Deserializes types by way of [`FromStr`], whose message says what was expected.
macro_rules! deserialize_from_str {
    ($($type:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use deserialize_from_str;

deserialize_from_str!(RecordName, NamePattern, SetIdentifier, HostedZoneId);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown = match text.parse::<RecordName>() {
            Ok(name) => name.to_string(),
            Err(problem) => format!("refused: {problem}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn names_have_one_spelling() {
        check("Burnham.Example.COM.", "burnham.example.com");
        check("*.apps.example.com", "\\052.apps.example.com");
        check("\\052.apps.example.com.", "\\052.apps.example.com");
        check("\\141b.example.com", "ab.example.com");
        check("a!b.example.com", "a\\041b.example.com");
        check("_9f2c.example.com", "_9f2c.example.com");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        check(
            "",
            "refused: expected a DNS name of 1 to 253 characters, found \"\"",
        );
        check(
            "a..example.com",
            "refused: expected a DNS name with labels of 1 to 63 characters, found \"\" in \"a..example.com\"",
        );
        check(
            "a b.example.com",
            "refused: expected a DNS name, found a space in \"a b.example.com\"",
        );
        check(
            "\\05.example.com",
            "refused: expected three octal digits behind `\\`, as in \\052, found \"\\\\05.example.com\"",
        );
        check(
            "bücher.example.com",
            "refused: expected a DNS name in ASCII (an international name in its xn-- form), found \"bücher.example.com\"",
        );
    }

    #[track_caller]
    fn check_pattern(pattern: &str, name: &str, expect: bool) {
        let pattern: NamePattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(&name.parse().unwrap()), expect);
    }

    #[test]
    fn a_star_in_a_pattern_matches_any_characters() {
        check_pattern("*.Example.com.", "burnham.example.com", true);
        check_pattern("*.example.com", "a.b.example.com", true);
        check_pattern("*.example.com", "\\052.apps.example.com", true);
        check_pattern("*.example.com", "example.com", false);
        check_pattern("team-*.example.com", "team-riker.example.com", true);
        check_pattern("\\052.apps.example.com", "\\052.apps.example.com", true);
        check_pattern("\\052.apps.example.com", "x.apps.example.com", false);
        check_pattern("*.apps.example.com", "x.apps.example.com", true);
    }

    #[track_caller]
    fn check_pattern_refused(pattern: &str, expect: &str) {
        assert_eq!(pattern.parse::<NamePattern>().unwrap_err(), expect);
    }

    #[test]
    fn a_pattern_that_no_name_can_match_is_refused() {
        check_pattern_refused(
            "*..example.com",
            "expected a pattern that a DNS name can match, found an empty label in \"*..example.com\"",
        );
        let long = format!("*{}", "a".repeat(254));
        let stars = "*a".repeat(254);
        for pattern in [long, stars] {
            check_pattern_refused(
                &pattern,
                &format!(
                    "expected a pattern that a DNS name of 253 characters can match, found {}",
                    quoted(&pattern)
                ),
            );
        }
    }

    #[test]
    fn a_star_is_replaced_where_it_is_the_whole_label() {
        for (name, host) in [
            ("*.example.com", "any.example.com"),
            ("*a.example.com", "\\052a.example.com"),
            ("a.example.com", "a.example.com"),
        ] {
            assert_eq!(name.parse::<RecordName>().unwrap().host("any"), host);
        }
    }

    #[test]
    fn a_journal_stands_below_its_name_and_is_no_wildcard() {
        for (name, journal) in [
            ("burnham.example.com", "_cutover.burnham.example.com"),
            (
                "\\052.apps.example.com",
                "_cutover._wildcard.apps.example.com",
            ),
        ] {
            let name: RecordName = name.parse().unwrap();
            assert_eq!(name.journal().as_str(), journal);
            assert_eq!(name.journal().journaled(), Some(name));
        }
        let other: RecordName = "burnham.example.com".parse().unwrap();
        assert_eq!(other.journaled(), None);
    }

    #[test]
    fn a_zone_holds_itself_and_what_is_below() {
        let zone: RecordName = "example.com".parse().unwrap();
        for (name, expect) in [
            ("example.com", true),
            ("a.example.com", true),
            ("badexample.com", false),
            ("example.org", false),
        ] {
            assert_eq!(name.parse::<RecordName>().unwrap().is_in(&zone), expect);
        }
    }

    #[test]
    fn a_zone_id_with_a_typo_is_refused() {
        assert!("/hostedzone/Z3Q77PNBQS71R4".parse::<HostedZoneId>().is_ok());
        for text in ["", "Z", "z3q77", "eks.example.com", "Z3Q77-PNB"] {
            assert!(text.parse::<HostedZoneId>().is_err());
        }
    }
}
