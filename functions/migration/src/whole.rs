//! Whole numbers with bounds that belong to their type.

use serde::{Deserialize, Deserializer, Serialize, de};

/// A whole number from `MIN` to `MAX`; anything else does not parse.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Whole<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// A default in a constant, which does not compile if it is out of bounds.
    ///
    /// # Panics
    /// Out of bounds, where it is not a constant.
    pub const fn new(number: u32) -> Self {
        assert!(
            MIN <= number && number <= MAX,
            "a default out of its bounds"
        );
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "expected a whole number from {MIN} to {MAX}, found {number}"
                ))
            })
    }
}

#[cfg(test)]
impl<const MIN: u32, const MAX: u32> schemars::JsonSchema for Whole<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Whole{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}
