//! What plan, step and rollback take of Route 53, in the simulation with Route 53's limits, which two ExternalDNS
//! and a storm of alarms use, too.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use benchmarks::{Table, Work, WorkOf, work_table};
use simulation::limited::{Measured, plan, roll_back, shift};

const NAMES: [usize; 3] = [1, 100, 2_000];

/// # Errors
/// If one of them ends with an error.
pub(crate) fn measure() -> Result<Table> {
    let work_of = |names: usize| {
        Ok(WorkOf {
            names: names.try_into()?,
            plan: work(&plan(names))?,
            first_step: work(&shift(names))?,
            rollback: work(&roll_back(names, &BTreeSet::new()))?,
        })
    };
    let all: Vec<_> = NAMES.into_iter().map(work_of).collect::<Result<_>>()?;
    Ok(work_table(&all))
}

fn work(measured: &Measured) -> Result<Work> {
    let Measured {
        usage, took, error, ..
    } = measured;
    ensure!(
        error.is_none(),
        "an execution of the simulation failed: {error:?}"
    );
    Ok(Work {
        calls: usage.requests.into(),
        changes: usage.changes.into(),
        time: *took,
    })
}
