//! Properties of record names and of name patterns.

use std::fmt::Debug;
use std::str::FromStr;

use migration::dns::RecordName;
use migration::external_dns::ExternalDns;
use migration::input::NamePattern;
use route53_adapter::{from_sdk, to_sdk};

use crate::journal::text_record;
use crate::{assert_short, text};

/// Input: a name. It is refused with a short message, or normalized: the result has the same bytes,
/// and is the same for all spellings (again, with the trailing dot, in capitals) and after a
/// conversion to the SDK's types and back. `host` replaces only the first label of a wildcard.
pub fn record_name(bytes: &[u8]) {
    let text = text(bytes);
    let Some(name) = accepted::<RecordName>(&text) else {
        return;
    };
    assert_eq!(meaning(name.as_str()), meaning(&text));
    assert!(
        name.as_str()
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\'))
    );
    for spelling in [
        name.to_string(),
        name.fully_qualified(),
        name.as_str().to_ascii_uppercase(),
    ] {
        assert_eq!(spelling.parse().as_ref(), Ok(&name));
    }
    let record_set = text_record(name.clone(), "\"text\"".to_owned());
    assert_eq!(
        from_sdk(&to_sdk(&record_set).unwrap()),
        Ok(record_set.clone())
    );
    assert!(name.is_in(&name));
    if !name.is_too_long_for_a_journal() {
        assert_eq!(name.journal().to_string().parse(), Ok(name.journal()));
    }
    for place in ExternalDns::default().record_names(std::slice::from_ref(&name)) {
        assert!(place == name.journal() || place.to_string().parse().as_ref() == Ok(&place));
    }
    let is_wildcard = name.as_str() == r"\052" || name.as_str().starts_with(r"\052.");
    assert_eq!(name.host("label") != name.as_str(), is_wildcard);
}

/// Input: a pattern, and after a newline a name. The pattern is refused with a short message, or
/// unchanged after it is written and parsed again. It matches the same names as a simple model of
/// `*`. A pattern without `*` matches exactly one name.
pub fn name_pattern(bytes: &[u8]) {
    let text = text(bytes);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, "a.example.com"));
    let Some(pattern) = accepted::<NamePattern>(pattern) else {
        return;
    };
    assert_eq!(pattern.to_string().parse().as_ref(), Ok(&pattern));
    if let Some(literal) = pattern.literal() {
        assert!(pattern.matches(&literal));
        assert_eq!(literal.to_string().parse().as_ref(), Ok(&literal));
    }
    if let Ok(name) = name.parse::<RecordName>() {
        let expected = matches(pattern.to_string().as_bytes(), name.as_str().as_bytes());
        assert_eq!(pattern.matches(&name), expected);
        let is_literal = pattern.literal().is_some_and(|literal| literal == name);
        assert!(pattern.literal().is_none() || expected == is_literal);
    }
}

/// The parsed text; `None` if it is refused. Checks that the message is short.
fn accepted<T: FromStr<Err = String> + Debug>(text: &str) -> Option<T> {
    text.parse()
        .map_err(|problem: String| assert_short(&problem))
        .ok()
}

/// The bytes of a name in lower case, without escapes; `true` marks a dot between labels.
fn meaning(name: &str) -> Vec<(u8, bool)> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut bytes = name.bytes();
    let mut meaning = Vec::new();
    while let Some(byte) = bytes.next() {
        meaning.push(if byte == b'\\' {
            let digits: String = bytes.by_ref().take(3).map(char::from).collect();
            let byte = u8::from_str_radix(&digits, 8).unwrap();
            (byte.to_ascii_lowercase(), false)
        } else {
            (byte.to_ascii_lowercase(), byte == b'.')
        });
    }
    meaning
}

/// A simple model of patterns: `*` matches any characters. `matched[n]` says whether the pattern so
/// far matches the first n bytes of the name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut matched = vec![false; name.len() + 1];
    matched[0] = true;
    for wanted in pattern {
        if *wanted == b'*' {
            let first = matched.iter().position(|matched| *matched);
            for matched in matched.iter_mut().skip(first.unwrap_or(usize::MAX)) {
                *matched = true;
            }
        } else {
            for end in (1..matched.len()).rev() {
                matched[end] = matched[end - 1] && name[end - 1] == *wanted;
            }
            matched[0] = false;
        }
    }
    matched[name.len()]
}
