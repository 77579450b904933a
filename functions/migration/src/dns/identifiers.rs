//! Set identifiers of weighted records, and ids of hosted zones.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::text::{deserialize_from_str, quoted};

/// The set identifier of one side's weighted records, usually the name of its cluster: 1 to 128
/// characters.
///
/// Source: Route 53 API Reference, `ResourceRecordSet`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SetIdentifier(pub(super) String);

impl SetIdentifier {
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
                "expected a set identifier of 1 to 128 characters, found {count} characters"
            )),
        }
    }
}

/// The id of a hosted zone. It is parsed with or without the prefix `/hostedzone/` of Route 53's answers.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct HostedZoneId(String);

impl HostedZoneId {
    /// The id without the prefix, such as `Z3Q77PNBQS71R4`.
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

deserialize_from_str!(SetIdentifier, HostedZoneId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_id_with_a_typo_is_refused() {
        assert!("/hostedzone/Z3Q77PNBQS71R4".parse::<HostedZoneId>().is_ok());
        for text in ["", "Z", "z3q77", "eks.example.com", "Z3Q77-PNB"] {
            assert!(text.parse::<HostedZoneId>().is_err());
        }
    }
}
