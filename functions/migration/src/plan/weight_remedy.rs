//! Weights with which a name can reach every step, where those that it has are too coarse or too large.
//!
//! Beside records with other set identifiers that have a share, a pair keeps the total of its weights. A total of 10
//! has no weights for 5 percent, and one above 255 none for 100 percent. If all weights of the name are multiplied by
//! the same number, every share stays the same.

use std::collections::BTreeSet;

use crate::Error;
use crate::dns::{SetIdentifier, WeightTotal, Weights, Zone, weights_at};
use crate::error::InvalidInput;
use crate::external_dns::RegistryText;
use crate::input::Step;
use crate::journal::PairedName;

/// The largest weight of a record. Source: Route 53 API Reference, `ResourceRecordSet`, `Weight`.
const LARGEST_WEIGHT: u32 = 255;

/// Adds to an error about a step that can't be expressed which weights would express all of the steps.
pub(super) fn with_remedy(
    error: Error,
    zone: &Zone,
    paired: &PairedName<'_>,
    steps: &[Step],
) -> Error {
    let Error::InvalidInput(mut problem) = error else {
        return error;
    };
    if let InvalidInput::InexactStep {
        record_type,
        remedy,
        ..
    } = &mut *problem
        // Other weights than those in its journal would be drift.
        && matches!(paired.journal, Ok(None))
    {
        let of_type = zone.at(paired.name).iter();
        let weights: Vec<_> = of_type
            .filter(|record_set| record_set.record_type == *record_type)
            .filter_map(|record_set| record_set.weighted())
            .map(|(identifier, weight)| (identifier, u32::from(weight)))
            .collect();
        *remedy = describe(&weights, paired, steps);
    }
    Error::InvalidInput(problem)
}

/// What to do about the `weights` of a name; none if no other weights would help.
fn describe(
    weights: &[(&SetIdentifier, u32)],
    paired: &PairedName<'_>,
    steps: &[Step],
) -> Option<String> {
    let numbers: Vec<_> = weights.iter().map(|(_, weight)| *weight).collect();
    let index_of = |side: &SetIdentifier| weights.iter().position(|(it, _)| *it == side);
    let pair = paired.pairs.values().next()?;
    let (from, _) = pair.from.weighted()?;
    let (to, _) = pair.to.weighted()?;
    let sides = (index_of(from)?, index_of(to)?);
    let (new, how) = better_weights(&numbers, sides, steps)?;
    let new: Vec<_> = weights
        .iter()
        .zip(new)
        .map(|((identifier, _), weight)| format!("{identifier} {weight}"))
        .collect();
    let resources: BTreeSet<_> = paired
        .registry
        .iter()
        .flatten()
        .filter_map(RegistryText::resource)
        .collect();
    let tool = if resources.is_empty() {
        "in the tool that writes them, such as Terraform".to_owned()
    } else {
        let resources: Vec<_> = resources.into_iter().collect();
        format!(
            "in the annotation aws-weight of {}, and in the tool that writes the other records",
            resources.join(" and ")
        )
    };
    Some(format!("{how}: {} ({tool})", new.join(", ")))
}

/// Other weights with the same shares, or almost the same, that express every step, and how they come about. `sides`
/// are the positions of `from` and `to`.
fn better_weights(
    weights: &[u32],
    sides: (usize, usize),
    steps: &[Step],
) -> Option<(Vec<u32>, String)> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    let express_all = |weights: &Vec<u32>| {
        let weight = |index: usize| {
            weights
                .get(index)
                .and_then(|weight| u8::try_from(*weight).ok())
        };
        let (Some(from), Some(to)) = (weight(sides.0), weight(sides.1)) else {
            return false;
        };
        let is_expressed = |step: &Step| {
            weights_at(
                step.percent,
                Weights { from, to },
                true,
                WeightTotal::default(),
            )
            .is_ok()
        };
        weights.iter().all(|weight| *weight <= LARGEST_WEIGHT) && steps.iter().all(is_expressed)
    };
    let scaled = |numerator: u32, denominator: u32| -> Vec<u32> {
        let scale = |weight: &u32| weight * numerator / denominator;
        weights.iter().map(scale).collect()
    };
    for factor in 2..=LARGEST_WEIGHT {
        let new = scaled(factor, 1);
        if express_all(&new) {
            return Some((new, format!("multiply all weights of the name by {factor}")));
        }
    }
    for factor in 1..=LARGEST_WEIGHT {
        let new = scaled(factor, divisor.max(1));
        if express_all(&new) {
            let how = "give the records of the name weights with the same shares".to_owned();
            return Some((new, how));
        }
    }
    let total: u32 = [sides.0, sides.1]
        .iter()
        .filter_map(|index| weights.get(*index))
        .sum();
    // A weight of 0 would take the share of a record away.
    let rounded =
        |weight: &u32| (weight * LARGEST_WEIGHT / total.max(1)).max(u32::from(*weight > 0));
    let new: Vec<_> = weights.iter().map(rounded).collect();
    express_all(&new).then(|| {
        let how = "give the records of the name weights with almost the same shares".to_owned();
        (new, how)
    })
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Percent;

    /// Checks the new weights of `from`, `to` and a third record for steps at these percents.
    #[track_caller]
    fn check(weights: [u32; 3], percents: &[f64], expect: Option<([u32; 3], &str)>) {
        let steps: Vec<_> = percents
            .iter()
            .map(|percent| Step {
                percent: Percent::from_number(*percent).unwrap(),
                bake_seconds: 0,
                approval: false,
            })
            .collect();
        let found = better_weights(&weights, (0, 1), &steps);
        let expect = expect.map(|(weights, how)| (weights.to_vec(), how.to_owned()));
        assert_eq!(found, expect);
    }

    #[test]
    fn weights_are_multiplied_by_the_smallest_number_that_expresses_every_step() {
        let by = |factor| format!("multiply all weights of the name by {factor}");
        check(
            [1, 0, 1],
            &[10.0, 50.0, 100.0],
            Some(([10, 0, 10], &by(10))),
        );
        check([10, 0, 90], &[5.0, 100.0], Some(([20, 0, 180], &by(2))));
        check([9, 1, 0], &[25.0, 100.0], Some(([18, 2, 0], &by(2))));
    }

    #[test]
    fn weights_that_cannot_be_multiplied_get_other_ones_with_the_same_shares() {
        let how = "give the records of the name weights with the same shares";
        // The factor is 1.25.
        check([4, 0, 200], &[20.0, 100.0], Some(([5, 0, 250], how)));
        // The total of the pair is above 255.
        check([200, 100, 100], &[50.0, 100.0], Some(([4, 2, 2], how)));
    }

    #[test]
    fn weights_without_a_common_divisor_get_almost_the_same_shares() {
        let how = "give the records of the name weights with almost the same shares";
        check([254, 3, 127], &[10.0, 100.0], Some(([252, 2, 126], how)));
        // A record that has a share keeps one.
        check([254, 254, 1], &[10.0, 100.0], Some(([127, 127, 1], how)));
    }

    #[test]
    fn nothing_is_proposed_where_no_weights_help() {
        check([1, 0, 255], &[10.0, 100.0], None);
    }

    proptest::proptest! {
        /// Every share of a name stays within a hundredth, and the proposal expresses every step.
        #[test]
        fn proposed_weights_express_every_step(
            from in 0_u32..=255, to in 0_u32..=255, other in 1_u32..=255, percent in 1_u32..=100,
        ) {
            let percent = Percent::from_number(f64::from(percent)).unwrap();
            let steps = [percent, Percent::ALL]
                .map(|percent| Step { percent, bake_seconds: 0, approval: false });
            if let Some((new, _)) = better_weights(&[from, to, other], (0, 1), &steps) {
                let pair = Weights {
                    from: u8::try_from(new[0]).unwrap(),
                    to: u8::try_from(new[1]).unwrap(),
                };
                for step in steps {
                    proptest::prop_assert!(
                        weights_at(step.percent, pair, true, WeightTotal::default()).is_ok()
                    );
                }
                let share = |weights: [u32; 3]| {
                    let total: u32 = weights.iter().sum();
                    f64::from(weights[2]) / f64::from(total.max(1))
                };
                let (before, after) = (share([from, to, other]), share([new[0], new[1], new[2]]));
                proptest::prop_assert!((before - after).abs() < 0.01, "{before} {after}");
            }
        }
    }
}
