//! The middle of several measurements.

use std::fmt;

use crate::number::short;

/// The median and the quartiles. Not the mean: other processes of the machine only ever
/// make a measurement longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub lower_quartile: f64,
    pub median: f64,
    pub upper_quartile: f64,
}

impl Spread {
    /// Of at least one measurement; `None` of none.
    pub fn of(mut measurements: Vec<f64>) -> Option<Self> {
        measurements.sort_by(f64::total_cmp);
        let last = measurements.len().checked_sub(1)?;
        let at = |quarter: usize| measurements.get(last * quarter / 4).copied();
        Some(Self {
            lower_quartile: at(1)?,
            median: at(2)?,
            upper_quartile: at(3)?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lower_quartile,
            median,
            upper_quartile,
        } = self;
        let [lower, median, upper] = [lower_quartile, median, upper_quartile].map(|it| short(*it));
        write!(f, "{median} ({lower}–{upper})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles_do_not_depend_on_the_order_and_ignore_an_outlier() {
        let spread = Spread::of(vec![900.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(spread.to_string(), "3.00 (2.00–4.00)");
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
