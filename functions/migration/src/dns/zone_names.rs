//! The names of a migration as the state machines pass them on: relative to their zone, so that a list
//! of thousands fits into the 256 KiB of a state's input.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::name::RecordName;

/// The relative name of the zone itself, as in zone files (RFC 1035, 5.1).
const APEX: &str = "@";

/// Names of one zone. In JSON `{"zone": "example.com", "relative": ["app", "api.team", "@"]}`; a name
/// with a trailing dot is fully qualified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneNames {
    zone: RecordName,
    names: Vec<RecordName>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    zone: RecordName,
    relative: Vec<String>,
}

impl ZoneNames {
    pub fn new(zone: RecordName, names: Vec<RecordName>) -> Self {
        Self { zone, names }
    }

    /// The name of their zone.
    pub fn zone(&self) -> &RecordName {
        &self.zone
    }

    fn relative(&self, name: &RecordName) -> String {
        let within = name.as_str().strip_suffix(self.zone.as_str());
        match within {
            Some("") => APEX.to_owned(),
            Some(within) if within.ends_with('.') => within.trim_end_matches('.').to_owned(),
            _ => name.fully_qualified(),
        }
    }
}

impl Deref for ZoneNames {
    type Target = [RecordName];

    fn deref(&self) -> &[RecordName] {
        &self.names
    }
}

impl Serialize for ZoneNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            zone: self.zone.clone(),
            relative: self.names.iter().map(|name| self.relative(name)).collect(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ZoneNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { zone, relative } = Written::deserialize(deserializer)?;
        let absolute = |relative: &String| match relative.as_str() {
            APEX => Ok(zone.clone()),
            name if name.ends_with('.') => name.parse(),
            within => format!("{within}.{zone}").parse(),
        };
        let names = relative.iter().map(absolute).collect::<Result<_, _>>();
        Ok(Self {
            names: names.map_err(de::Error::custom)?,
            zone,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn names(names: &[&str]) -> ZoneNames {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        ZoneNames::new("example.com".parse().unwrap(), names)
    }

    #[test]
    fn names_are_serialized_relative_to_their_zone() {
        let names = names(&[
            "app.example.com",
            "*.team.example.com",
            "example.com",
            "app.other-example.com",
        ]);
        let written = json!({
            "zone": "example.com",
            "relative": ["app", "\\052.team", "@", "app.other-example.com."],
        });
        assert_eq!(serde_json::to_value(&names).unwrap(), written);
        assert_eq!(serde_json::from_value::<ZoneNames>(written).unwrap(), names);
    }

    #[test]
    fn a_relative_name_that_gives_no_dns_name_does_not_parse() {
        for relative in ["", "a..b", "."] {
            let written = json!({"zone": "example.com", "relative": [relative]});
            assert!(serde_json::from_value::<ZoneNames>(written).is_err());
        }
    }

    proptest! {
        #[test]
        fn names_parse_to_what_was_serialized(
            zone in "[a-z]{1,5}\\.[a-z]{1,5}",
            labels in prop::collection::vec("[ -~]{1,10}", 0..5),
            is_within: bool,
        ) {
            let suffix = if is_within { zone.as_str() } else { "net" };
            let whole: Vec<_> = labels.iter().map(String::as_str).chain([suffix]).collect();
            let Ok(name) = whole.join(".").parse() else { return Ok(()) };
            let names = ZoneNames::new(zone.parse().unwrap(), vec![name]);
            let written = serde_json::to_value(&names).unwrap();
            prop_assert_eq!(serde_json::from_value::<ZoneNames>(written).unwrap(), names);
        }
    }
}
