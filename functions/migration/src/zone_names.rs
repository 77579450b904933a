//! Names as they go from state to state: relative to their zone, so that thousands of them stay
//! within what Step Functions takes.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::RecordName;

/// The zone's own name among relative ones, as in zone files (RFC 1035, 5.1).
const APEX: &str = "@";

/// Names of one zone. In JSON `{"zone": "example.com", "relative": ["app", "api.team", "@"]}`; a
/// relative name with a dot at its end is a whole one.
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
    /// These names, in this order.
    pub fn new(zone: RecordName, names: Vec<RecordName>) -> Self {
        Self { zone, names }
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
        let whole = |relative: &String| match relative.as_str() {
            APEX => Ok(zone.clone()),
            absolute if absolute.ends_with('.') => absolute.parse(),
            within => format!("{within}.{zone}").parse(),
        };
        let names = relative.iter().map(whole).collect::<Result<_, _>>();
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
    fn names_are_written_relative_to_their_zone() {
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
    fn what_is_no_name_is_refused() {
        for relative in ["", "a..b", "."] {
            let written = json!({"zone": "example.com", "relative": [relative]});
            assert!(serde_json::from_value::<ZoneNames>(written).is_err());
        }
    }

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written(
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
