//! The table with a column for each function.

use crate::goals::GOALS;
use crate::number::short;
use crate::rows;
use crate::spread::Spread;
use crate::table::Table;

/// What was measured of one function and of what it is compared with.
#[derive(Clone, Debug)]
pub struct FunctionFigures {
    pub name: &'static str,
    pub cold_start: Spread,
    pub bare_cold_start: Spread,
    pub python_cold_start: Spread,
    /// The cold start divided by that of the bare client in the same round.
    pub times_bare: Spread,
    /// Peaks of the resident memory, in bytes.
    pub memory: u64,
    pub bare_memory: u64,
    pub python_memory: u64,
    /// None of a function whose event has no names.
    pub memory_for_many: Option<u64>,
    /// The size of the archive, in bytes.
    pub package: u64,
}

/// The table of the functions, with the goals in its last column.
pub fn function_table(functions: &[FunctionFigures]) -> Table {
    let names = functions
        .iter()
        .map(|function| format!("`{}`", function.name));
    let mut table = Table::new(
        [String::new()]
            .into_iter()
            .chain(names)
            .chain([rows::GOAL.to_owned()]),
    );
    let mut row = |label: &str, cell: &dyn Fn(&FunctionFigures) -> String| {
        let goal = GOALS.iter().find(|goal| goal.row == label);
        let goal = goal.map(|goal| goal.limit.to_string()).unwrap_or_default();
        table.push(label, functions.iter().map(cell).chain([goal]));
    };
    row(rows::COLD_START, &|it| it.cold_start.to_string());
    row(rows::BARE, &|it| it.bare_cold_start.to_string());
    row(rows::PYTHON, &|it| it.python_cold_start.to_string());
    row(rows::TIMES_BARE, &|it| it.times_bare.to_string());
    row(rows::TIMES_OF_PYTHON, &|it| {
        short(it.python_cold_start.median / it.cold_start.median)
    });
    row(rows::MEMORY, &|it| megabytes(it.memory));
    row(rows::MEMORY_FOR_MANY, &|it| {
        it.memory_for_many.map_or_else(|| "–".to_owned(), megabytes)
    });
    row(rows::MEMORY_OF_OTHERS, &|it| {
        format!(
            "{}, {}",
            megabytes(it.bare_memory),
            megabytes(it.python_memory)
        )
    });
    row(rows::PACKAGE, &|it| megabytes(it.package));
    table
}

/// Millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "three digits are written")]
fn megabytes(bytes: u64) -> String {
    short(bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn table_has_a_column_for_each_function_and_the_goals() {
        let spread = |median: f64| Spread::of(vec![median; 3]).unwrap();
        let function = |name, memory_for_many| FunctionFigures {
            name,
            cold_start: spread(5.0),
            bare_cold_start: spread(4.0),
            python_cold_start: spread(200.0),
            times_bare: spread(1.21),
            memory: 8_400_000,
            bare_memory: 7_100_000,
            python_memory: 48_000_000,
            memory_for_many,
            package: 2_659_242,
        };
        let table = function_table(&[
            function("check-alarms", None),
            function("probe", Some(18_000_000)),
        ]);
        expect![[r#"
            |  | `check-alarms` | `probe` | goal |
            | --- | --- | --- | --- |
            | cold start, ms | 5.00 (5.00–5.00) | 5.00 (5.00–5.00) |  |
            | cold start of a bare SDK client, ms | 4.00 (4.00–4.00) | 4.00 (4.00–4.00) |  |
            | cold start of Python with boto3, ms | 200 (200–200) | 200 (200–200) |  |
            | cold start ÷ that of a bare SDK client | 1.21 (1.21–1.21) | 1.21 (1.21–1.21) | ≤ 1.25 |
            | cold start of Python ÷ cold start | 40.0 | 40.0 | ≥ 20.0 |
            | peak memory for 1 name, MB | 8.40 | 8.40 | ≤ 12.0 |
            | peak memory for 2,000 names, MB | – | 18.0 |  |
            | peak memory of bare SDK client, of Python, MB | 7.10, 48.0 | 7.10, 48.0 |  |
            | package, MB | 2.66 | 2.66 | ≤ 3.50 |
        "#]].assert_eq(&table.to_string());
    }
}
