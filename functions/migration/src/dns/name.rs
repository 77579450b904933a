//! DNS names in Route 53's spelling.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::Serialize;

use crate::text::{deserialize_from_str, quoted};

/// A DNS name as Route 53 lists it, without the trailing dot: in lower case, every byte except
/// `a-z 0-9 - _ .` as an octal escape. A wildcard record is `\052.apps.example.com`.
///
/// Source: Route 53 Developer Guide, "DNS domain name format".
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RecordName(String);

/// The first label of a wildcard record.
const WILDCARD_LABEL: &str = "\\052";
/// The first label of a journal's name.
const JOURNAL_LABEL: &str = "_cutover";
/// Replaces [`WILDCARD_LABEL`] in a journal's name, so that the name contains no `*`.
const JOURNAL_WILDCARD_LABEL: &str = "_wildcard";
/// The maximum length of a name in bytes, with the dots between labels (RFC 1035).
pub(crate) const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

impl RecordName {
    /// The name as Route 53's API takes and lists it, with the trailing dot.
    pub fn fully_qualified(&self) -> String {
        format!("{}.", self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `zone` itself or a name below it.
    pub fn is_in(&self, zone: &RecordName) -> bool {
        self.0
            .strip_suffix(&zone.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The name of this name's journal: `_cutover.<name>`.
    #[must_use]
    pub fn journal(&self) -> RecordName {
        let rest = match self.wildcard_parent() {
            Some(parent) => format!("{JOURNAL_WILDCARD_LABEL}{parent}"),
            None => self.0.clone(),
        };
        RecordName(format!("{JOURNAL_LABEL}.{rest}"))
    }

    /// The name that a journal with this name is for; none if this is no journal's name.
    pub fn journaled(&self) -> Option<RecordName> {
        let rest = self.0.strip_prefix(JOURNAL_LABEL)?.strip_prefix('.')?;
        Some(match rest.strip_prefix(JOURNAL_WILDCARD_LABEL) {
            Some(parent) if parent.starts_with('.') => {
                RecordName(format!("{WILDCARD_LABEL}{parent}"))
            }
            _ => RecordName(rest.to_owned()),
        })
    }

    /// Whether the name of the journal would exceed the maximum length.
    pub fn is_too_long_for_a_journal(&self) -> bool {
        length(&self.journal().0) > LONGEST_NAME
    }

    /// A host name that the record answers: the name itself, or for a wildcard record the name with
    /// `label` in place of the `*`.
    pub fn host(&self, label: &str) -> String {
        match self.wildcard_parent() {
            Some(parent) => format!("{label}{parent}"),
            None => self.0.clone(),
        }
    }

    /// What follows the `*` of a wildcard record, with the dot; none for other names. A `*` makes a
    /// wildcard record only if it is the whole first label.
    pub fn wildcard_parent(&self) -> Option<&str> {
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

/// Route 53's spelling of `text`, except that a `*` stays a `*`.
pub(crate) fn canonical(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut canonical = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\';
        let byte = if escaped {
            octal(&mut bytes).ok_or_else(|| {
                format!(
                    "expected three octal digits after `\\`, as in \\052, found {}",
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

/// The length in bytes of a name in Route 53's spelling: an escape is one byte.
pub(crate) fn length(canonical: &str) -> usize {
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

deserialize_from_str!(RecordName);

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
    fn names_are_parsed_to_the_spelling_of_route_53() {
        check("Burnham.Example.COM.", "burnham.example.com");
        check("*.apps.example.com", "\\052.apps.example.com");
        check("\\052.apps.example.com.", "\\052.apps.example.com");
        check("\\141b.example.com", "ab.example.com");
        check("a!b.example.com", "a\\041b.example.com");
        check("_9f2c.example.com", "_9f2c.example.com");
    }

    #[test]
    fn text_that_is_no_dns_name_is_refused() {
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
            "refused: expected three octal digits after `\\`, as in \\052, found \"\\\\05.example.com\"",
        );
        check(
            "bücher.example.com",
            "refused: expected a DNS name in ASCII (an international name in its xn-- form), found \"bücher.example.com\"",
        );
    }

    #[test]
    fn host_replaces_a_star_only_if_it_is_the_whole_label() {
        for (name, host) in [
            ("*.example.com", "any.example.com"),
            ("*a.example.com", "\\052a.example.com"),
            ("a.example.com", "a.example.com"),
        ] {
            assert_eq!(name.parse::<RecordName>().unwrap().host("any"), host);
        }
    }

    #[test]
    fn a_journal_is_named_after_its_name_and_has_no_star() {
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
    fn a_zone_contains_its_own_name_and_the_names_below_it() {
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
}
