//! The steps of a migration, and presets with the names of AWS CodeDeploy.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::bounded_integer::BoundedInteger;
use crate::dns::Percent;
use crate::text::quoted;

/// One canary step with its defaults filled in: a share for `to`, then a bake time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Step {
    /// The share of the traffic that `to` gets.
    pub percent: Percent,
    /// How long health is checked before the next step.
    pub bake_seconds: u32,
    /// Whether the migration waits for an approval after this step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// A step as an operator writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct StepInput {
    pub percent: Percent,
    /// None for the default of the migration.
    pub bake_seconds: Option<u32>,
    pub approval: bool,
}

/// The longest bake time of one step in seconds: a week.
pub(super) const LONGEST_BAKE_SECONDS: u32 = 604_800;

impl<'de> Deserialize<'de> for StepInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = StepInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a percent, or an object with `percent`, `bakeSeconds` and `approval`")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<StepInput, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "such a number is out of range in any case"
        )]
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<StepInput, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "such a number is out of range in any case"
        )]
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<StepInput, E> {
        Ok(StepInput {
            percent: step_percent(number).map_err(E::custom)?,
            bake_seconds: None,
            approval: false,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepInput, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct StepObject {
            #[serde(deserialize_with = "deserialize_step_percent")]
            percent: Percent,
            bake_seconds: Option<BoundedInteger<0, LONGEST_BAKE_SECONDS>>,
            #[serde(default)]
            approval: bool,
        }
        let object = StepObject::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StepInput {
            percent: object.percent,
            bake_seconds: object.bake_seconds.map(BoundedInteger::get),
            approval: object.approval,
        })
    }
}

fn deserialize_step_percent<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Percent, D::Error> {
    step_percent(f64::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn step_percent(number: f64) -> Result<Percent, String> {
    match Percent::from_number(number) {
        Some(percent) if percent > Percent::ZERO => Ok(percent),
        _ => Err(format!(
            "expected a percent above 0 and up to 100 with two decimals at most, found {number}"
        )),
    }
}

/// The steps of a migration as an operator writes them: a list, or the name of a preset. The percents
/// are ascending, and the last one is 100.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Steps(Vec<StepInput>);

impl Steps {
    /// The steps, with `bake_seconds` for those without a bake time of their own.
    pub fn with_default_bake(&self, bake_seconds: u32) -> Vec<Step> {
        self.0
            .iter()
            .map(|step| Step {
                percent: step.percent,
                bake_seconds: step.bake_seconds.unwrap_or(bake_seconds),
                approval: step.approval,
            })
            .collect()
    }

    fn checked(steps: Vec<StepInput>) -> Result<Self, String> {
        if let Some(([before, after], index)) = steps
            .array_windows()
            .zip(1..)
            .find(|([before, after], _)| before.percent >= after.percent)
        {
            return Err(format!(
                "expected ascending percents, found {} after {} at index {index}; \
                 to move traffic back, swap `from` and `to`",
                after.percent, before.percent
            ));
        }
        match steps.last() {
            Some(last) if last.percent == Percent::ALL => Ok(Self(steps)),
            Some(last) => Err(format!(
                "expected 100 as the last percent, found {}; a migration ends with all traffic on `to`",
                last.percent
            )),
            None => Err("expected at least one step, found an empty list".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepsVisitor)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Steps {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Steps".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let percent = schemars::json_schema!({
            "description": "The share of the traffic that `to` gets.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 100
        });
        schemars::json_schema!({
            "anyOf": [
                {
                    "type": "string",
                    "pattern": "^(AllAtOnce|Canary[0-9]+Percent[0-9]+Minutes?|Linear[0-9]+PercentEvery[0-9]+Minutes?)$"
                },
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "anyOf": [
                            percent,
                            {
                                "type": "object",
                                "properties": {
                                    "percent": percent,
                                    "bakeSeconds": {
                                        "description": "The bake time of this step, in seconds. Default: `bakeSeconds` of the migration.",
                                        "type": "integer",
                                        "minimum": 0,
                                        "maximum": LONGEST_BAKE_SECONDS
                                    },
                                    "approval": {
                                        "description": "Whether the migration waits for an approval after this step.",
                                        "type": "boolean"
                                    }
                                },
                                "required": ["percent"],
                                "additionalProperties": false
                            }
                        ]
                    }
                }
            ]
        })
    }
}

struct StepsVisitor;

impl<'de> Visitor<'de> for StepsVisitor {
    type Value = Steps;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of steps such as [10, 50, 100], or a preset such as \"Canary10Percent15Minutes\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Steps, E> {
        preset(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Steps, A::Error> {
        let steps = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        Steps::checked(steps).map_err(de::Error::custom)
    }
}

/// The steps of a preset, with the names of CodeDeploy's deployment configurations: `AllAtOnce`,
/// `Canary<percent>Percent<minutes>Minutes`, `Linear<percent>PercentEvery<minutes>Minute(s)`. The
/// minutes are the bake time of all steps but the last. The last step, which CodeDeploy does not watch,
/// has the default bake time of the migration.
///
/// Source: CodeDeploy User Guide, "Working with deployment configurations".
fn preset(name: &str) -> Result<Steps, String> {
    let unknown = || {
        format!(
            "expected AllAtOnce, Canary<percent>Percent<minutes>Minutes \
             or Linear<percent>PercentEvery<minutes>Minutes, such as Canary10Percent15Minutes, found {}",
            quoted(name)
        )
    };
    let all = StepInput {
        percent: Percent::ALL,
        bake_seconds: None,
        approval: false,
    };
    if name == "AllAtOnce" {
        return Ok(Steps(vec![all]));
    }
    let (percent, minutes, linear) = if let Some(rest) = name.strip_prefix("Canary") {
        let (percent, minutes) = rest.split_once("Percent").ok_or_else(unknown)?;
        (percent, minutes, false)
    } else {
        let rest = name.strip_prefix("Linear").ok_or_else(unknown)?;
        let (percent, minutes) = rest.split_once("PercentEvery").ok_or_else(unknown)?;
        (percent, minutes, true)
    };
    let minutes = minutes
        .strip_suffix("Minutes")
        .or_else(|| minutes.strip_suffix("Minute"))
        .ok_or_else(unknown)?;
    let percent: u8 = percent.parse().map_err(|_| unknown())?;
    let minutes: u32 = minutes.parse().map_err(|_| unknown())?;
    if !(1..=99).contains(&percent) {
        return Err(format!(
            "expected 1 to 99 percent in the preset, found {percent} in {}",
            quoted(name)
        ));
    }
    let longest = LONGEST_BAKE_SECONDS / 60;
    if !(1..=longest).contains(&minutes) {
        return Err(format!(
            "expected 1 to {longest} minutes in the preset, found {minutes} in {}",
            quoted(name)
        ));
    }
    let bake_seconds = Some(minutes * 60);
    let count = if linear { usize::MAX } else { 1 };
    let mut steps: Vec<_> = (percent..100)
        .step_by(usize::from(percent))
        .take(count)
        .filter_map(Percent::whole)
        .map(|percent| StepInput {
            percent,
            bake_seconds,
            approval: false,
        })
        .collect();
    steps.push(all);
    Ok(Steps(steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(input: &Value, expect: &str) {
        let shown = match serde_json::from_value::<Steps>(input.clone()) {
            Ok(steps) => steps
                .with_default_bake(7)
                .iter()
                .map(|step| {
                    let approval = if step.approval { " approval" } else { "" };
                    format!("{}% {}s{approval}", step.percent, step.bake_seconds)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(problem) => format!("refused: {problem}"),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn steps_may_be_percents_objects_or_a_preset() {
        check(&json!([10, 50.5, 100]), "10% 7s, 50.5% 7s, 100% 7s");
        check(
            &json!([{"percent": 10, "bakeSeconds": 60, "approval": true}, {"percent": 100}]),
            "10% 60s approval, 100% 7s",
        );
        check(&json!("AllAtOnce"), "100% 7s");
        check(&json!("Canary10Percent15Minutes"), "10% 900s, 100% 7s");
        check(
            &json!("Linear30PercentEvery1Minute"),
            "30% 60s, 60% 60s, 90% 60s, 100% 7s",
        );
        check(&json!("Linear50PercentEvery2Minutes"), "50% 120s, 100% 7s");
    }

    #[test]
    fn steps_that_do_not_ascend_to_100_percent_are_refused() {
        check(
            &json!([]),
            "refused: expected at least one step, found an empty list",
        );
        check(
            &json!([50, 10, 100]),
            "refused: expected ascending percents, found 10 after 50 at index 1; to move traffic back, swap `from` and `to`",
        );
        check(
            &json!([10, 50]),
            "refused: expected 100 as the last percent, found 50; a migration ends with all traffic on `to`",
        );
        check(
            &json!([120]),
            "refused: expected a percent above 0 and up to 100 with two decimals at most, found 120",
        );
        check(
            &json!([0, 100]),
            "refused: expected a percent above 0 and up to 100 with two decimals at most, found 0",
        );
        check(
            &json!("Canary10Percent"),
            "refused: expected AllAtOnce, Canary<percent>Percent<minutes>Minutes or Linear<percent>PercentEvery<minutes>Minutes, such as Canary10Percent15Minutes, found \"Canary10Percent\"",
        );
        check(
            &json!("Linear0PercentEvery1Minutes"),
            "refused: expected 1 to 99 percent in the preset, found 0 in \"Linear0PercentEvery1Minutes\"",
        );
        check(
            &json!([{"percent": 10, "approvals": 2}, 100]),
            "refused: unknown field `approvals`, expected one of `percent`, `bakeSeconds`, `approval`",
        );
    }
}
