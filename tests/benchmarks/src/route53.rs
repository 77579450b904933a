//! The table of what a migration takes of Route 53.

use std::time::Duration;

use crate::number::grouped;
use crate::table::Table;

/// What plan, first step and rollback of so many names take.
#[derive(Clone, Copy, Debug)]
pub struct WorkOf {
    pub names: u64,
    pub plan: Work,
    pub first_step: Work,
    pub rollback: Work,
}

/// What one of them takes.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Calls of Route 53.
    pub calls: u64,
    /// Changes of record sets in these calls, of which Route 53 permits a number each second.
    pub changes: u64,
    pub time: Duration,
}

/// The table with a row for each number of names.
pub fn work_table(all: &[WorkOf]) -> Table {
    let mut table = Table::new([
        "Route 53: calls / changes / seconds",
        "plan",
        "plan and first step",
        "rollback",
    ]);
    for WorkOf {
        names,
        plan,
        first_step,
        rollback,
    } in all
    {
        let label = if *names == 1 {
            "1 name".to_owned()
        } else {
            format!("{} names", grouped(*names))
        };
        table.push(&label, [plan, first_step, rollback].map(cell));
    }
    table
}

fn cell(work: &Work) -> String {
    let Work {
        calls,
        changes,
        time,
    } = work;
    format!(
        "{} / {} / {:.1}",
        grouped(*calls),
        grouped(*changes),
        time.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn table_has_calls_changes_and_seconds() {
        let work = |calls, changes, milliseconds| Work {
            calls,
            changes,
            time: Duration::from_millis(milliseconds),
        };
        let of = |names| WorkOf {
            names,
            plan: work(3, 0, 150),
            first_step: work(4, 17, 300),
            rollback: work(104, 34_000, 339_960),
        };
        expect![[r#"
            | Route 53: calls / changes / seconds | plan | plan and first step | rollback |
            | --- | --- | --- | --- |
            | 1 name | 3 / 0 / 0.1 | 4 / 17 / 0.3 | 104 / 34,000 / 340.0 |
            | 2,000 names | 3 / 0 / 0.1 | 4 / 17 / 0.3 | 104 / 34,000 / 340.0 |
        "#]]
        .assert_eq(&work_table(&[of(1), of(2_000)]).to_string());
    }
}
