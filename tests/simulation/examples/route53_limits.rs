//! Prints what rollbacks and shifts of many names take within Route 53's limits.

#![expect(clippy::print_stdout, reason = "the table is the output")]

use simulation::limited::{self, Measured, some_of};

fn main() {
    println!(
        "             names  refused  invocations  requests  batches  change tokens  throttled  seconds"
    );
    for names in [1, 50, 300, 2_000] {
        for refused in [0, 1, 20] {
            if refused <= names {
                let measured = limited::roll_back(names, &some_of(names, refused));
                row("rollback", names, refused, &measured);
            }
        }
    }
    for names in [1, 50, 300, 2_000] {
        row("shift", names, 0, &limited::shift(names));
    }
}

fn row(what: &str, names: usize, refused: usize, measured: &Measured) {
    let Measured {
        invocations,
        usage,
        took,
        ..
    } = measured;
    println!(
        "{what:<11} {names:>6} {refused:>8} {invocations:>12} {:>9} {:>8} {:>14} {:>10} {:>8}",
        usage.requests,
        usage.batches,
        usage.changes,
        usage.throttled,
        took.as_secs()
    );
}
