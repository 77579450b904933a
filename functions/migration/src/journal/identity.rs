//! Which execution a journal belongs to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::executions::ExecutionName;

/// An execution, told apart from every other one with the same name: of another stack or Region, or one
/// that got the name when Step Functions had forgotten the first.
///
/// As text it is `ID/NAME`, which stands in states, in journals and in the owner of a leased registry TXT.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ExecutionIdentity {
    /// 16 hexadecimal digits, see [`SigningKey::identity`](super::SigningKey::identity).
    id: String,
    name: String,
}

impl ExecutionIdentity {
    pub(super) fn new(id: String, name: String) -> Self {
        Self { id, name }
    }

    /// The name of the execution.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name under which [`Executions`](crate::executions::Executions) record that everything was rolled
    /// back that this execution wrote while it had been redriven this often.
    pub fn rollback_record(&self, redrives: u32) -> String {
        format!("{}-{redrives}", self.id)
    }
}

impl fmt::Display for ExecutionIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.name)
    }
}

impl FromStr for ExecutionIdentity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name of an execution has no slash.
        let (id, name) = text
            .split_once('/')
            .filter(|(id, _)| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .ok_or_else(|| {
                format!("expected 16 hexadecimal digits, a slash and a name, found {text:?}")
            })?;
        let name: ExecutionName = name.parse()?;
        Ok(Self::new(id.to_owned(), name.into()))
    }
}

impl Serialize for ExecutionIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_16_hexadecimal_digits_a_slash_and_the_name_of_an_execution() {
        let id = "0123456789abcdef";
        for (text, is_identity) in [
            (format!("{id}/run"), true),
            (format!("{id}0/run"), false),
            (format!("{}/run", &id[1..]), false),
            (format!("{}g/run", &id[1..]), false),
            (format!("{id}/"), false),
            (id.to_owned(), false),
        ] {
            let parsed = text.parse().map(|it: ExecutionIdentity| it.to_string());
            assert_eq!(parsed.ok(), is_identity.then_some(text));
        }
    }
}
