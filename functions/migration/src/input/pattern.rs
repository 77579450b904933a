//! Patterns that select names.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatchPattern;

use crate::dns::{LONGEST_NAME, RecordName, canonical, length};
use crate::text::{deserialize_from_str, quoted};

/// A name, or a pattern in which `*` matches any characters. A wildcard record alone is selected by
/// `\052.apps.example.com`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether the pattern selects `name`. A `*` also matches the `*` of a wildcard record.
    pub fn matches(&self, name: &RecordName) -> bool {
        // The second parameter is the placeholder for one character. No name contains it.
        WildMatchPattern::<'*', '\0'>::new(&self.0).matches(name.as_str())
    }

    /// The name, if this is a name and not a pattern.
    pub fn literal(&self) -> Option<RecordName> {
        (!self.0.contains('*'))
            .then(|| self.0.parse().ok())
            .flatten()
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
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
            return Err(format!(
                "expected a DNS name, found the URL {}; write its host, {}",
                quoted(text),
                quoted(host)
            ));
        }
        if text == "@" {
            return Err(
                "expected a DNS name, found \"@\"; write the name of the zone in full, such as example.com"
                    .to_owned(),
            );
        }
        let canonical = canonical(text)?;
        if canonical.is_empty() {
            return Err("expected a DNS name or a pattern with `*`, found an empty string".into());
        }
        if !canonical.contains('*') {
            // Without a `*` it must be a complete name.
            text.parse::<RecordName>()?;
        }
        if canonical.split('.').any(str::is_empty) {
            return Err(format!(
                "expected a pattern that a DNS name can match, found an empty label in {}",
                quoted(text)
            ));
        }
        let stars = canonical.matches('*').count();
        // More stars than a name has characters match the same names as fewer stars.
        if length(&canonical) - stars > LONGEST_NAME || stars > LONGEST_NAME {
            return Err(format!(
                "expected a pattern that a DNS name of {LONGEST_NAME} characters can match, found {}",
                quoted(text)
            ));
        }
        Ok(Self(canonical))
    }
}

deserialize_from_str!(NamePattern);

#[cfg(test)]
mod tests {
    use super::*;

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
    fn text_that_means_a_name_but_is_none_is_refused_with_what_to_write() {
        check_pattern_refused(
            "https://App.example.com:443/health?full",
            "expected a DNS name, found the URL \"https://App.example.com:443/health?full\"; write its host, \
             \"App.example.com\"",
        );
        check_pattern_refused(
            "@",
            "expected a DNS name, found \"@\"; write the name of the zone in full, such as example.com",
        );
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
}
