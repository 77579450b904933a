//! The alarms that a migration watches, as an operator writes them.

use serde::{Deserialize, Serialize};

/// The CloudWatch alarms that the migration watches.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Alarms {
    /// The names of alarms: metric, composite and log alarms.
    pub names: Vec<String>,
    /// The beginnings of the names of alarms.
    pub prefixes: Vec<String>,
    /// How an alarm in the state `INSUFFICIENT_DATA` counts.
    pub missing_data: MissingData,
}

impl Alarms {
    /// Whether an alarm with this name is watched.
    pub fn watch(&self, alarm: &str) -> bool {
        self.names.iter().any(|name| name == alarm)
            || self.prefixes.iter().any(|prefix| alarm.starts_with(prefix))
    }

    pub fn are_none(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }
}

/// How an alarm in the state `INSUFFICIENT_DATA` counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum MissingData {
    /// As healthy.
    Pass,
    /// As unhealthy.
    Fail,
    /// As inconclusive: the bake is prolonged, up to `maxBakeSeconds`.
    #[default]
    Wait,
}
