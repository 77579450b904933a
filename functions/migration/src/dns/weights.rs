//! From percents to weights.
//!
//! Route 53 answers with a record in proportion to its weight (0 to 255) among the records of the same
//! name and type. If records with other set identifiers have a weight above 0, a pair keeps its total, so
//! that their share does not change. Otherwise its total can be chosen.
//!
//! Source: Route 53 Developer Guide, "Weighted routing".

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::percent::Percent;
use super::record_set::RecordType;
use super::sides::Side;
use crate::text::quoted;

/// The weights of a pair of records, written `from/to`, as in `90/10`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Weights {
    pub from: u8,
    pub to: u8,
}

impl Weights {
    pub(crate) fn of(self, side: Side) -> u8 {
        match side {
            Side::From => self.from,
            Side::To => self.to,
        }
    }

    pub(crate) fn total(self) -> u16 {
        u16::from(self.from) + u16::from(self.to)
    }

    /// Whether both weights are 0, with which Route 53 answers with all records equally.
    pub fn are_zero(self) -> bool {
        self.total() == 0
    }

    /// The share of `to`, rounded down.
    pub fn percent(self) -> Percent {
        Percent::share(u16::from(self.to), self.total())
    }

    /// Whether `to` has at least this share.
    pub fn reach(self, percent: Percent) -> bool {
        u32::from(self.to) * u32::from(Percent::ALL.hundredths())
            >= u32::from(percent.hundredths()) * u32::from(self.total())
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.from, self.to)
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(from, to)| {
                Some(Self {
                    from: from.parse().ok()?,
                    to: to.parse().ok()?,
                })
            })
            .ok_or_else(|| format!("expected two weights such as 90/10, found {}", quoted(text)))
    }
}

/// Adds the pairs of a name to `counts`, the number of pairs by their weights. It is shown to operators.
pub fn count_weights(
    counts: &mut BTreeMap<String, usize>,
    weights_by_type: &BTreeMap<RecordType, Weights>,
) {
    for weights in weights_by_type.values() {
        *counts.entry(weights.to_string()).or_default() += 1;
    }
}

/// The total of a pair's weights during the steps below 100 percent, if no other record of its name and type
/// has a share. A migration has one for all of its names, so that they all show the same weights.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8")]
pub struct WeightTotal(u8);

impl TryFrom<u8> for WeightTotal {
    type Error = String;

    fn try_from(total: u8) -> Result<Self, String> {
        Self::CHOICES
            .into_iter()
            .find(|choice| choice.0 == total)
            .ok_or_else(|| format!("expected 100, 200 or 250, found {total}"))
    }
}

impl Default for WeightTotal {
    fn default() -> Self {
        Self(100)
    }
}

impl WeightTotal {
    /// 100 is exact for whole percents, 200 for multiples of 0.5, 250 for multiples of 0.4.
    const CHOICES: [WeightTotal; 3] = [WeightTotal(100), WeightTotal(200), WeightTotal(250)];

    /// The smallest total with which the weights of each of `percents` are exact.
    ///
    /// # Errors
    /// A sentence that names the percent that has no exact weights, and what to use instead.
    pub fn for_percents(percents: &[Percent]) -> Result<Self, String> {
        if let Some(total) = Self::CHOICES
            .into_iter()
            .find(|total| percents.iter().all(|percent| total.is_exact_at(*percent)))
        {
            return Ok(total);
        }
        let inexact = percents.iter().find(|percent| {
            !Self::CHOICES
                .iter()
                .any(|total| total.is_exact_at(**percent))
        });
        Err(match inexact {
            Some(percent) => format!(
                "no weights express {percent} percent exactly; use a multiple of 0.5 or of 0.4"
            ),
            None => "no weights express all these percents exactly; \
                     use multiples of 0.5, or multiples of 0.4, not both"
                .to_owned(),
        })
    }

    fn is_exact_at(self, percent: Percent) -> bool {
        (u32::from(self.0) * u32::from(percent.hundredths()))
            .is_multiple_of(u32::from(Percent::ALL.hundredths()))
    }
}

/// The weights with which `to` has `percent` of the pair's traffic.
///
/// `original` are the weights from before the migration: at 100 percent `to` gets the weight that
/// `from` had. If `others_have_share`, the weights keep the total of `original`, and a step is
/// rounded to the nearest weight.
///
/// # Errors
/// A sentence that says why the percent can't be expressed: rounding would change the share of `to` by
/// more than a tenth, or a weight would exceed 255.
pub fn weights_at(
    percent: Percent,
    original: Weights,
    others_have_share: bool,
    weight_total: WeightTotal,
) -> Result<Weights, String> {
    let total = if others_have_share {
        original.total()
    } else if percent == Percent::ALL {
        u16::from(original.from)
    } else {
        u16::from(weight_total.0)
    };
    let all = u32::from(Percent::ALL.hundredths());
    let scaled = u32::from(total) * u32::from(percent.hundredths());
    let to = (scaled + all / 2) / all;
    // `to` differs from its exact weight by |to * all - scaled| / all; a tenth of that weight is
    // scaled / all / 10.
    if (to * all).abs_diff(scaled) * 10 > scaled {
        return Err(format!(
            "the weights of the pair must keep their total of {total}, because records with other set identifiers have a share, and \
             the nearest share is {} percent",
            Percent::share(u16::try_from(to).unwrap_or(total), total)
        ));
    }
    let weight = |weight: u32| {
        u8::try_from(weight).map_err(|_| {
            format!(
                "the weights of the pair must keep their total of {total}, because records with other set identifiers have a share, \
                 and one of them would be {weight}, above the maximum of 255"
            )
        })
    };
    Ok(Weights {
        from: weight(u32::from(total) - to)?,
        to: weight(to)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percents(numbers: &[f64]) -> Vec<Percent> {
        numbers
            .iter()
            .map(|number| Percent::from_number(*number).unwrap())
            .collect()
    }

    #[track_caller]
    fn check_total(numbers: &[f64], expect: &str) {
        let shown = WeightTotal::for_percents(&percents(numbers))
            .map_or_else(|problem| problem, |total| total.0.to_string());
        assert_eq!(shown, expect);
    }

    #[test]
    fn the_weight_total_is_the_smallest_that_is_exact() {
        check_total(&[10.0, 50.0, 100.0], "100");
        check_total(&[0.5, 100.0], "200");
        check_total(&[0.4, 100.0], "250");
        check_total(
            &[0.1, 100.0],
            "no weights express 0.1 percent exactly; use a multiple of 0.5 or of 0.4",
        );
        check_total(
            &[0.4, 0.5, 100.0],
            "no weights express all these percents exactly; use multiples of 0.5, or multiples of 0.4, not both",
        );
    }

    /// A total of 0 would make both weights 0.
    #[test]
    fn a_weight_total_that_is_no_choice_does_not_parse() {
        let read =
            |text| serde_json::from_str::<WeightTotal>(text).map_err(|error| error.to_string());
        assert_eq!(read("250"), Ok(WeightTotal(250)));
        assert_eq!(
            read("0"),
            Err("expected 100, 200 or 250, found 0".to_owned())
        );
    }

    #[track_caller]
    fn check(percent: f64, original: &str, others_have_share: bool, expect: &str) {
        let percent = Percent::from_number(percent).unwrap();
        let weight_total = WeightTotal::for_percents(&[percent]).unwrap_or(WeightTotal(100));
        let weights = weights_at(
            percent,
            original.parse().unwrap(),
            others_have_share,
            weight_total,
        );
        let shown = weights.map_or_else(|problem| problem, |weights| weights.to_string());
        assert_eq!(shown, expect);
    }

    #[test]
    fn without_other_identifiers_steps_are_exact_and_the_last_is_the_weight_of_from() {
        check(10.0, "100/0", false, "90/10");
        check(10.0, "255/0", false, "90/10");
        check(100.0, "255/0", false, "0/255");
        check(0.5, "100/0", false, "199/1");
    }

    #[test]
    fn beside_other_identifiers_the_total_is_kept() {
        check(10.0, "90/0", true, "81/9");
        check(50.0, "45/45", true, "45/45");
        check(100.0, "60/30", true, "0/90");
        check(
            1.0,
            "10/0",
            true,
            "the weights of the pair must keep their total of 10, because records with other set identifiers have a share, and the nearest share is 0 percent",
        );
        check(
            100.0,
            "200/100",
            true,
            "the weights of the pair must keep their total of 300, because records with other set identifiers have a share, and one of them would be 300, above the maximum of 255",
        );
    }

    proptest! {
        #[test]
        fn without_other_identifiers_weights_are_exact_and_never_all_zero(
            whole in 1_u8..=99,
            original in 1_u8..=255,
        ) {
            let percent = Percent::whole(whole).unwrap();
            let weight_total = WeightTotal::for_percents(&[percent]).unwrap();
            let weights =
                weights_at(percent, Weights { from: original, to: 0 }, false, weight_total).unwrap();
            prop_assert_eq!(weights.percent(), percent);
            prop_assert!(weights.from > 0 && weights.to > 0);
        }

        #[test]
        fn beside_other_identifiers_the_total_is_kept_and_the_share_is_near(
            hundredths in 1_u16..=10_000,
            from in 0_u8..=255,
            to in 0_u8..=255,
        ) {
            let percent = Percent::from_number(f64::from(hundredths) / 100.0).unwrap();
            let original = Weights { from, to };
            prop_assume!(!original.are_zero());
            if let Ok(weights) = weights_at(percent, original, true, WeightTotal(100)) {
                prop_assert_eq!(weights.total(), original.total());
                let wanted = f64::from(hundredths) / 100.0;
                let share = f64::from(weights.to) * 100.0 / f64::from(weights.total());
                prop_assert!((share - wanted).abs() <= wanted / 10.0 + 1e-9);
                prop_assert!(percent == Percent::ALL || weights.from > 0 || wanted > 90.0);
            }
        }

        #[test]
        fn a_higher_percent_never_lowers_the_share_of_to(
            low in 1_u8..=100,
            high in 1_u8..=100,
            from in 1_u8..=255,
            others_have_share: bool,
        ) {
            prop_assume!(low <= high);
            let original = Weights { from, to: 0 };
            let at = |whole| {
                weights_at(Percent::whole(whole).unwrap(), original, others_have_share, WeightTotal(100))
            };
            if let (Ok(low), Ok(high)) = (at(low), at(high)) {
                prop_assert!(high.reach(low.percent()));
            }
        }
    }
}
