//! Whole numbers with the bounds in their type.

use serde::{Deserialize, Deserializer, Serialize, de};

/// A whole number from `MIN` to `MAX`. Any other value does not parse.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct BoundedInteger<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> BoundedInteger<MIN, MAX> {
    /// # Panics
    /// If the number is out of bounds; in a constant, that is a compilation error.
    pub const fn new(number: u32) -> Self {
        assert!(
            MIN <= number && number <= MAX,
            "the default is out of bounds"
        );
        Self(number)
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for BoundedInteger<MIN, MAX> {
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
impl<const MIN: u32, const MAX: u32> schemars::JsonSchema for BoundedInteger<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Integer{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}
