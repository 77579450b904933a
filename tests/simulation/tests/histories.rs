//! Runs all histories and prints their totals.
//!
//! | command | what it runs |
//! |---|---|
//! | `cargo test --package simulation --test histories` | all histories: each disturbance at each call, a migration of 2,000 names, and 5,000 random histories |
//! | the same with `HISTORIES=100000` | that many random histories |
//! | the same with `SEED=42` | the random history of that seed, with its timeline |
//!
//! It fails if the histories together do not use every way between two states of the definitions, except
//! those of [`coverage::NOT_COVERED`].
//!
//! Each of these mutations was made in the code by hand, and caught by the violation in the last
//! column. `tests/mutations` has those that a mutation tool cannot make, as patches with a command that
//! applies them.
//!
//! | mutation | function | violation |
//! |---|---|---|
//! | the sequence is not raised | `shift` of `migration` | the sequence is 1 after 1 |
//! | a name that is already at its step is written again | the same | is at 10 percent already and is written again |
//! | drift is not checked | `reject_other_weights` of `migration` | another writer's … are overwritten |
//! | the share of `to` falls if it was above the step | `weights_to_write` of `migration` | a step lowers the share of … |
//! | every step writes 100 percent | the same | the weights … are not 10 percent |
//! | a rollback writes 100/0 instead of the original weights | `restore` of `migration` | is left at weight … instead of its original … |
//! | a rollback writes registry TXT records in a batch before the weights | `write` of `rollback` | … has a different weight than its record |
//! | registry TXT records are restored with the weights of the step | `restored_texts` of `migration` | the same |
//! | a rollback does not stop the execution | `stop` of `rollback` | is reported as RolledBack while it runs |
//! | the status event of an execution holds it, whatever its input says | `ended_execution_targets` of `rollback` | has left … journals without a notification |
//! | a completion does not mark the first journal | `complete` of `migration` | the same |
//! | a rollback makes one pass only | `handle` of `rollback` | writes after its rollback |
//! | the second pass comes while a function of the stopped execution may still write | `LATE_WRITER_SECONDS` of `rollback` | the same |
//! | a lost change counts as in sync | `open_changes` of `migration` | it ends as … |
//! | a name that is refused once is restored without the new side | `write_alternatives` of `migration` | a record is deleted although its load balancer exists |
//! | an execution adopts the journals of any other execution | `own_or_adoptable` of `migration` | adopts the journal of …, which is running or has other sides |

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use simulation::exhaustive::{Afterwards, FaultKind};
use simulation::history::Report;
use simulation::{coverage, exhaustive, limits, random, rare};

/// The number of random histories without `HISTORIES`. Their seeds count from 0.
const HISTORIES: u64 = 5_000;

/// The random histories are divided so that several threads run them.
const PARTS: u64 = 4;

static LIMITS_LINE: Mutex<String> = Mutex::new(String::new());
static TOTAL: Mutex<Option<Report>> = Mutex::new(None);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(seed) = number("SEED") {
        return replay(seed);
    }
    let mut trials = Vec::new();
    for names in [1, 2, 50] {
        let mut add = |name: &str, play: fn(usize) -> Report| {
            let name = format!("exhaustive::{name}::names_{names}");
            trials.push(Trial::test(name, move || check(play(names))));
        };
        add(
            "a_fault_at_any_call_leaves_nothing_half_shifted",
            exhaustive::a_fault_at_any_call_leaves_nothing_half_shifted,
        );
        add(
            "a_fault_at_any_call_completes_all_names_or_none",
            exhaustive::a_fault_at_any_call_completes_all_names_or_none,
        );
        add(
            "a_fault_at_any_call_of_a_rollback_is_repaired_by_the_next_rollback",
            exhaustive::a_fault_at_any_call_of_a_rollback_is_repaired_by_the_next_rollback,
        );
        add(
            "another_writer_at_any_call_is_not_overwritten",
            exhaustive::another_writer_at_any_call_is_not_overwritten,
        );
        add(
            "a_lost_change_is_made_again",
            exhaustive::a_lost_change_is_made_again,
        );
        add(
            "a_load_balancer_that_is_gone_keeps_no_other_name_shifted",
            exhaustive::a_load_balancer_that_is_gone_keeps_no_other_name_shifted,
        );
        add(
            "a_journal_of_a_later_format_at_any_call_is_left_alone",
            exhaustive::a_journal_of_a_later_format_at_any_call_is_left_alone,
        );
        if names == 1 {
            add(
                "a_fault_at_any_call_of_step_functions_does_not_change_the_end",
                exhaustive::a_fault_at_any_call_of_step_functions_does_not_change_the_end,
            );
        }
        if names < 50 {
            add(
                "another_writer_at_any_call_is_not_overwritten_without_a_lease",
                exhaustive::another_writer_at_any_call_is_not_overwritten_without_a_lease,
            );
            add(
                "an_outage_from_any_call_loses_no_journal",
                exhaustive::an_outage_from_any_call_loses_no_journal,
            );
        }
    }
    trials.push(Trial::test(
        "limits::two_thousand_names_stay_within_the_limits",
        two_thousand_names_stay_within_the_limits,
    ));
    trials.push(Trial::test("rare::rare_events_break_no_invariant", || {
        check(rare::play(&|_| {}))
    }));
    let histories = number("HISTORIES").unwrap_or(HISTORIES);
    for part in 0..PARTS {
        let seeds = histories * part / PARTS..histories * (part + 1) / PARTS;
        let (first, last) = (seeds.start, seeds.end.saturating_sub(1));
        let name = format!("random::random_events_break_no_invariant::seeds_{first}_to_{last}");
        trials.push(Trial::test(name, move || {
            let mut all = Report::default();
            seeds.for_each(|seed| all.add(random::play(seed)));
            check(all)
        }));
    }
    let start = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let Some(total) = TOTAL.lock().ok().and_then(|mut total| total.take()) else {
        return conclusion.exit_code();
    };
    print_totals(&total, start);
    let are_all = conclusion.num_filtered_out == 0 && histories >= HISTORIES;
    if are_all && !coverage::problems(&total).is_empty() {
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// A migration of 2,000 names among 10,000 record sets: without a disturbance, and with each fault in
/// one of its batches.
fn two_thousand_names_stay_within_the_limits() -> Result<(), Failed> {
    let (undisturbed, changes) = limits::undisturbed_migration();
    let batches = changes.len();
    let calls = undisturbed.calls;
    let ends = undisturbed.ends.clone();
    check(undisturbed)?;
    if ends.keys().ne(["Completed"]) {
        return Err(format!("without a disturbance it ends as {ends:?}").into());
    }
    if let Ok(mut line) = LIMITS_LINE.lock() {
        *line = format!(
            "{} names among {} record sets: {calls} calls, {batches} of which change the zone",
            limits::NAMES,
            limits::RECORD_SETS
        );
    }
    let failing = changes.get(limits::FAILING_BATCH - 1);
    let failing = failing.ok_or_else(|| format!("there are only {batches} batches"))?;
    for kind in FaultKind::ALL {
        let failed = limits::migration_with_fault(*failing, kind, Afterwards::Continues);
        // A refusal is rolled back; every other fault is retried.
        let end = match kind {
            FaultKind::Refused => "ChangeRefused",
            _ => "Completed",
        };
        if failed.ends.keys().ne([end]) {
            return Err(format!("{kind:?}: it ends as {:?}", failed.ends).into());
        }
        check(failed)?;
    }
    check(limits::migration_with_fault(
        *failing,
        FaultKind::KilledAfter,
        Afterwards::Aborted,
    ))
}

/// Adds a report to the totals, and fails if it has a violation.
fn check(report: Report) -> Result<(), Failed> {
    let failed = report.violations.first().map(|first| {
        format!(
            "{} violations, the first one: {first}\n{}",
            report.violations.len(),
            report.timeline.join("\n")
        )
    });
    if let Ok(mut total) = TOTAL.lock() {
        total.get_or_insert_default().add(report);
    }
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

#[expect(
    clippy::print_stdout,
    reason = "the totals are the output of this test"
)]
fn print_totals(total: &Report, start: Instant) {
    println!("histories        {:>9}", total.histories);
    println!(
        "calls            {:>9}",
        total.calls + total.integration_calls
    );
    println!("faults injected  {:>9}", total.faults);
    println!("outside writes   {:>9}", total.outside_writes);
    println!("batches accepted {:>9}", total.batches);
    println!("largest payload  {:>9} bytes", total.largest_payload);
    println!("violations       {:>9}", total.violations.len());
    print_covered(total);
    println!("migrations by their end:");
    for (end, count) in &total.ends {
        println!("  {end:<20}  {count:>9}");
    }
    if let Ok(line) = LIMITS_LINE.lock() {
        println!("{line}");
    }
    println!("finished in {:.0} seconds\n", start.elapsed().as_secs_f64());
}

/// Prints how many of the ways between states were used, and what is wrong with that if all histories
/// were played.
#[expect(
    clippy::print_stdout,
    reason = "the totals are the output of this test"
)]
fn print_covered(total: &Report) {
    let ways = coverage::ways(total);
    let covered = ways.iter().filter(|way| way.is_covered).count();
    println!("transitions      {covered:>9} of {}", ways.len());
    for (way, reason) in coverage::NOT_COVERED {
        println!("  not covered: {way}, because {reason}");
    }
    for problem in coverage::problems(total) {
        println!("  {problem}");
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the timeline is the output of this run"
)]
fn replay(seed: u64) -> ExitCode {
    let report = random::play(seed);
    println!("{}", report.timeline.join("\n"));
    println!("\nseed {seed}: {} violations", report.violations.len());
    for violation in &report.violations {
        println!("  {violation}");
    }
    ExitCode::from(u8::from(!report.violations.is_empty()))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| {
        panic!("{variable}: expected a number, found {text:?}");
    }))
}
