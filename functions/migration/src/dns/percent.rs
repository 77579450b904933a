//! Shares of a name's traffic.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::text::quoted;

/// A share of the traffic, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Percent(u16);

impl Percent {
    pub const ZERO: Percent = Percent(0);
    pub const ALL: Percent = Percent(10_000);

    /// A whole number of percent; none above 100.
    pub fn whole(percent: u8) -> Option<Self> {
        (percent <= 100).then(|| Self(u16::from(percent) * 100))
    }

    /// The share in hundredths of a percent: 0 to 10,000.
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// The percent of a number from 0 to 100 with two decimals at most; none for any other number.
    pub fn from_number(number: f64) -> Option<Self> {
        let hundredths = (number * 100.0).round();
        let exact = (number * 100.0 - hundredths).abs() < 1e-6;
        if exact && (0.0..=10_000.0).contains(&hundredths) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number from 0 to 10,000, checked above"
            )]
            let hundredths = hundredths as u16;
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// `part` as a share of `whole`, rounded down; zero if `whole` is zero.
    pub fn share(part: u16, whole: u16) -> Self {
        let hundredths = u32::from(part) * 10_000 / u32::from(whole.max(1));
        Self(u16::try_from(hundredths.min(10_000)).unwrap_or(10_000))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 100.0)
    }
}

impl std::str::FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Self::from_number)
            .ok_or_else(|| format!("expected a percent from 0 to 100, found {}", quoted(text)))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(100) {
            serializer.serialize_u16(self.0 / 100)
        } else {
            serializer.serialize_f64(f64::from(self.0) / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| {
            de::Error::custom(format!(
                "expected a percent from 0 to 100 with two decimals at most, found {number}"
            ))
        })
    }
}
