//! The weights of a record that is the only one of its type at its name.

use std::fmt;
use std::str::FromStr;

use super::sides::Side;
use super::weights::Weights;
use crate::text::quoted;

/// The weights of a lone record: the only one of its type at a name, of one side. Route 53 answers with it whatever
/// its weight is, so its weight moves no traffic. It moves with its side's all the same, because `ExternalDNS` expects
/// a record, its registry TXT and the annotation to have one weight.
///
/// Written as side, original and last weight, as in `to:0/10`.
///
/// Source: Route 53 Developer Guide, "Weighted routing".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoneWeights {
    pub side: Side,
    /// From before the first change.
    pub original: u8,
    /// What was last written.
    pub written: u8,
}

impl fmt::Display for LoneWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            side,
            original,
            written,
        } = self;
        write!(f, "{side}:{original}/{written}")
    }
}

impl FromStr for LoneWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (side, weights) = text.split_once(':')?;
            let weights: Weights = weights.parse().ok()?;
            Some(Self {
                side: side.parse().ok()?,
                original: weights.from,
                written: weights.to,
            })
        };
        parse().ok_or_else(|| {
            format!(
                "expected a side with two weights such as to:0/10, found {}",
                quoted(text)
            )
        })
    }
}
