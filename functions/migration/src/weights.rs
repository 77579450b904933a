//! From percents to weights.
//!
//! Route 53 answers with a record in proportion to its weight among all of its
//! name and type (0 to 255). What the pair's weights may add up to depends on
//! its neighbours: alone at its name the sum is free; beside further set
//! identifiers it stays as it was, so that their share does not change.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quoted;
use crate::record::RecordType;
use crate::steps::Percent;

/// The weights of a pair of records, written `from/to`, as in `90/10`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Weights {
    /// The weight of the side that serves now.
    pub from: u8,
    /// The weight of the side that shall serve.
    pub to: u8,
}

impl Weights {
    fn sum(self) -> u16 {
        u16::from(self.from) + u16::from(self.to)
    }

    /// Whether neither side gets anything.
    pub fn are_zero(self) -> bool {
        self.sum() == 0
    }

    /// The share of `to`, rounded down.
    pub fn percent(self) -> Percent {
        Percent::share(u16::from(self.to), self.sum())
    }

    /// Whether `to` has at least this share.
    pub fn reach(self, percent: Percent) -> bool {
        u32::from(self.to) * u32::from(Percent::ALL.hundredths())
            >= u32::from(percent.hundredths()) * u32::from(self.sum())
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

/// Adds the pairs of a name to `counts`: how many pairs have which weights, for people.
pub fn count_weights(
    counts: &mut BTreeMap<String, usize>,
    weights_by_type: &BTreeMap<RecordType, Weights>,
) {
    for weights in weights_by_type.values() {
        *counts.entry(weights.to_string()).or_default() += 1;
    }
}

/// What the weights of a pair without neighbours add up to between the first
/// step and the last: chosen once for a migration, so that all its names show
/// the same weights.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8")]
pub struct FreeSum(u8);

impl TryFrom<u8> for FreeSum {
    type Error = String;

    fn try_from(sum: u8) -> Result<Self, String> {
        Self::CHOICES
            .into_iter()
            .find(|choice| choice.0 == sum)
            .ok_or_else(|| format!("expected 100, 200 or 250, found {sum}"))
    }
}

impl Default for FreeSum {
    fn default() -> Self {
        Self(100)
    }
}

impl FreeSum {
    const CHOICES: [FreeSum; 3] = [FreeSum(100), FreeSum(200), FreeSum(250)];

    /// The smallest sum that makes each of `percents` exact. The error says
    /// which percent no sum makes exact.
    pub fn for_percents(percents: &[Percent]) -> Result<Self, String> {
        if let Some(sum) = Self::CHOICES
            .into_iter()
            .find(|sum| percents.iter().all(|percent| sum.is_exact_at(*percent)))
        {
            return Ok(sum);
        }
        let inexpressible = percents
            .iter()
            .find(|percent| !Self::CHOICES.iter().any(|sum| sum.is_exact_at(**percent)));
        Err(match inexpressible {
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

/// The weights that give `to` its `percent`, starting from the `original` ones.
///
/// `has_neighbours` says whether further set identifiers stand at the name. The
/// error says why the percent can't be expressed.
pub fn weights_at(
    percent: Percent,
    original: Weights,
    has_neighbours: bool,
    free_sum: FreeSum,
) -> Result<Weights, String> {
    let sum = if has_neighbours {
        original.sum()
    } else if percent == Percent::ALL {
        u16::from(original.from)
    } else {
        u16::from(free_sum.0)
    };
    let all = u32::from(Percent::ALL.hundredths());
    let scaled = u32::from(sum) * u32::from(percent.hundredths());
    let to = (scaled + all / 2) / all;
    // Off by |to * all - scaled| of `sum * all`; a tenth of the step is scaled / 10.
    if (to * all).abs_diff(scaled) * 10 > scaled {
        return Err(format!(
            "weights that add up to {sum}, as they must beside further set identifiers, \
             can't express {percent} percent; the nearest is {}",
            Percent::share(u16::try_from(to).unwrap_or(sum), sum)
        ));
    }
    let weight = |weight: u32| {
        u8::try_from(weight).map_err(|_| {
            format!(
                "{percent} percent of weights that add up to {sum}, as they must beside further \
                 set identifiers, would need the weight {weight}; Route 53 takes 255 at most"
            )
        })
    };
    Ok(Weights {
        from: weight(u32::from(sum) - to)?,
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
    fn check_sum(numbers: &[f64], expect: &str) {
        let shown = FreeSum::for_percents(&percents(numbers))
            .map_or_else(|problem| problem, |sum| sum.0.to_string());
        assert_eq!(shown, expect);
    }

    #[test]
    fn the_free_sum_is_the_smallest_that_is_exact() {
        check_sum(&[10.0, 50.0, 100.0], "100");
        check_sum(&[0.5, 100.0], "200");
        check_sum(&[0.4, 100.0], "250");
        check_sum(
            &[0.1, 100.0],
            "no weights express 0.1 percent exactly; use a multiple of 0.5 or of 0.4",
        );
        check_sum(
            &[0.4, 0.5, 100.0],
            "no weights express all these percents exactly; use multiples of 0.5, or multiples of 0.4, not both",
        );
    }

    /// A sum of 0 would write weights of 0 only.
    #[test]
    fn no_other_sum_is_read_from_a_plan() {
        let read = |text| serde_json::from_str::<FreeSum>(text).map_err(|error| error.to_string());
        assert_eq!(read("250"), Ok(FreeSum(250)));
        assert_eq!(
            read("0"),
            Err("expected 100, 200 or 250, found 0".to_owned())
        );
    }

    #[track_caller]
    fn check(percent: f64, original: &str, has_neighbours: bool, expect: &str) {
        let percent = Percent::from_number(percent).unwrap();
        let free_sum = FreeSum::for_percents(&[percent]).unwrap_or(FreeSum(100));
        let weights = weights_at(percent, original.parse().unwrap(), has_neighbours, free_sum);
        let shown = weights.map_or_else(|problem| problem, |weights| weights.to_string());
        assert_eq!(shown, expect);
    }

    #[test]
    fn a_pair_alone_is_exact_and_ends_with_what_from_had() {
        check(10.0, "100/0", false, "90/10");
        check(10.0, "255/0", false, "90/10");
        check(100.0, "255/0", false, "0/255");
        check(0.5, "100/0", false, "199/1");
    }

    #[test]
    fn beside_further_identifiers_the_sum_stays() {
        check(10.0, "90/0", true, "81/9");
        check(50.0, "45/45", true, "45/45");
        check(100.0, "60/30", true, "0/90");
        check(
            1.0,
            "10/0",
            true,
            "weights that add up to 10, as they must beside further set identifiers, can't express 1 percent; the nearest is 0",
        );
        check(
            100.0,
            "200/100",
            true,
            "100 percent of weights that add up to 300, as they must beside further set identifiers, would need the weight 300; Route 53 takes 255 at most",
        );
    }

    proptest! {
        #[test]
        fn weights_alone_are_exact_and_never_all_zero(
            whole in 1_u8..=99,
            original in 1_u8..=255,
        ) {
            let percent = Percent::whole(whole).unwrap();
            let free_sum = FreeSum::for_percents(&[percent]).unwrap();
            let weights =
                weights_at(percent, Weights { from: original, to: 0 }, false, free_sum).unwrap();
            prop_assert_eq!(weights.percent(), percent);
            prop_assert!(weights.from > 0 && weights.to > 0);
        }

        #[test]
        fn beside_others_the_sum_stays_and_the_share_is_near(
            hundredths in 1_u16..=10_000,
            from in 0_u8..=255,
            to in 0_u8..=255,
        ) {
            let percent = Percent::from_number(f64::from(hundredths) / 100.0).unwrap();
            let original = Weights { from, to };
            prop_assume!(!original.are_zero());
            if let Ok(weights) = weights_at(percent, original, true, FreeSum(100)) {
                prop_assert_eq!(weights.sum(), original.sum());
                let wanted = f64::from(hundredths) / 100.0;
                let share = f64::from(weights.to) * 100.0 / f64::from(weights.sum());
                prop_assert!((share - wanted).abs() <= wanted / 10.0 + 1e-9);
                prop_assert!(percent == Percent::ALL || weights.from > 0 || wanted > 90.0);
            }
        }

        #[test]
        fn a_higher_percent_never_gives_to_less(
            low in 1_u8..=100,
            high in 1_u8..=100,
            from in 1_u8..=255,
            has_neighbours: bool,
        ) {
            prop_assume!(low <= high);
            let original = Weights { from, to: 0 };
            let at = |whole| {
                weights_at(Percent::whole(whole).unwrap(), original, has_neighbours, FreeSum(100))
            };
            if let (Ok(low), Ok(high)) = (at(low), at(high)) {
                prop_assert!(high.reach(low.percent()));
            }
        }
    }
}
