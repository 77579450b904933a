//! The figures in the README are those of a run of `cargo bench` that has reached the goals.

#![expect(
    clippy::unwrap_used,
    reason = "a README that can't be read shall fail the test"
)]

use std::fs;

use benchmarks::{GOALS, Table, missed_goals, rows, section_of};

fn table() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = fs::read_to_string(path).unwrap();
    Table::first_in(section_of(&readme).unwrap()).unwrap()
}

#[test]
fn table_has_all_functions_and_rows() {
    let table = table();
    let head = [
        "",
        "`check-alarms`",
        "`probe`",
        "`shift-weight`",
        "`rollback`",
        rows::GOAL,
    ];
    assert_eq!(table.head, head);
    let labels: Vec<_> = table.rows.iter().filter_map(|row| row.first()).collect();
    assert_eq!(labels, rows::ALL.each_ref());
}

#[test]
fn figures_reach_the_goals() {
    assert_eq!(missed_goals(&table()).unwrap(), Vec::<String>::new());
}

#[test]
fn goals_are_those_that_are_checked() {
    let table = table();
    for row in rows::ALL {
        let goal = GOALS.iter().find(|goal| goal.row == row);
        let (_, written) = table.row(row).unwrap().last().unwrap();
        assert_eq!(
            written,
            goal.map(|goal| goal.limit.to_string()).unwrap_or_default(),
            "{row}"
        );
    }
}
