//! The goals, and whether a table reaches them.

use std::fmt;

use anyhow::{Context, Result, ensure};

use crate::number::short;
use crate::rows;
use crate::table::Table;

/// What the figures in a row have to be for every function.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The label of the row.
    pub row: &'static str,
    pub limit: Limit,
}

/// The limit of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// The goals of the table that [`function_table`](crate::function_table) makes.
pub const GOALS: [Goal; 4] = [
    Goal {
        row: rows::TIMES_BARE,
        limit: Limit::AtMost(1.25),
    },
    Goal {
        row: rows::TIMES_OF_PYTHON,
        limit: Limit::AtLeast(20.0),
    },
    Goal {
        row: rows::MEMORY,
        limit: Limit::AtMost(12.0),
    },
    Goal {
        row: rows::PACKAGE,
        limit: Limit::AtMost(3.5),
    },
];

impl Limit {
    fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {}", short(*limit)),
            Self::AtLeast(limit) => write!(f, "≥ {}", short(*limit)),
        }
    }
}

/// A sentence for each figure that misses its goal.
///
/// # Errors
/// If a row of a goal is missing, or has a cell that is not a figure.
pub fn missed_goals(table: &Table) -> Result<Vec<String>> {
    let mut missed = Vec::new();
    for Goal { row, limit } in GOALS {
        let cells = table.row(row);
        let cells = cells.with_context(|| format!("the table has no row {row:?}"))?;
        let mut count = 0;
        for (function, cell) in cells.filter(|(column, _)| *column != rows::GOAL) {
            let figure = cell.split(' ').next().unwrap_or_default().parse();
            let figure: f64 = figure
                .with_context(|| format!("{row}, {function}: expected a number, found {cell:?}"))?;
            if !limit.is_reached(figure) {
                missed.push(format!(
                    "{row}, {function}: {cell}, but the goal is {limit}"
                ));
            }
            count += 1;
        }
        ensure!(count > 0, "the row {row:?} has no figures");
    }
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(times_bare: &str, times_of_python: &str, memory: &str, package: &str) -> Table {
        let mut table = Table::new(["", "probe", rows::GOAL]);
        for (Goal { row, limit }, figure) in
            GOALS
                .into_iter()
                .zip([times_bare, times_of_python, memory, package])
        {
            table.push(row, [figure.to_owned(), limit.to_string()]);
        }
        table
    }

    #[test]
    fn figures_at_their_limits_reach_the_goals() {
        let missed = missed_goals(&table("1.25", "20.0", "12.0 (of ten)", "3.50"));
        assert_eq!(missed.unwrap(), Vec::<String>::new());
    }

    #[test]
    fn missed_goals_are_named_with_function_figure_and_limit() {
        let missed = missed_goals(&table("1.26", "19.9", "12.1", "3.51"));
        assert_eq!(
            missed.unwrap(),
            [
                "cold start ÷ that of a bare SDK client, probe: 1.26, but the goal is ≤ 1.25",
                "cold start of Python ÷ cold start, probe: 19.9, but the goal is ≥ 20.0",
                "peak memory for 1 name, MB, probe: 12.1, but the goal is ≤ 12.0",
                "package, MB, probe: 3.51, but the goal is ≤ 3.50",
            ]
        );
    }

    #[test]
    fn missing_row_and_figure_are_errors() {
        let mut without_row = table("1", "30", "8", "3");
        without_row.rows.pop();
        let error = missed_goals(&without_row).unwrap_err();
        assert_eq!(error.to_string(), "the table has no row \"package, MB\"");
        let error = missed_goals(&table("1", "30", "small", "3")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "peak memory for 1 name, MB, probe: expected a number, found \"small\""
        );
    }
}
