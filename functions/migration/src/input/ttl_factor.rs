//! How long resolvers get after a shift.

use serde::{Deserialize, Deserializer, Serialize, de};

/// The factor of the longest TTL that is waited out after a shift: 1 to 10. It is rounded to thousandths,
/// because a number with 17 digits can change when it passes through a state machine as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TtlFactor(f64);

impl TtlFactor {
    /// `seconds` times the factor, rounded up.
    pub fn times(self, seconds: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a TTL of at most 2^31 times at most 10; `as` saturates"
        )]
        let product = (f64::from(seconds) * self.0).ceil() as u32;
        product
    }
}

impl Default for TtlFactor {
    fn default() -> Self {
        Self(1.0)
    }
}

impl<'de> Deserialize<'de> for TtlFactor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let factor = f64::deserialize(deserializer)?;
        if (1.0..=10.0).contains(&factor) {
            Ok(Self((factor * 1_000.0).round() / 1_000.0))
        } else {
            Err(de::Error::custom(format!(
                "expected a number from 1 to 10, found {factor}"
            )))
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for TtlFactor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TtlFactor".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 1, "maximum": 10})
    }
}
