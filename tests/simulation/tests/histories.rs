//! Thousands of whole migrations with everything that may happen to them, each held to the design's
//! invariants on every state of the zone; and the closing lines.
//!
//! `cargo test --package simulation --test histories` runs them; with `SEED=42` the one random
//! history of that seed with what happened in it, with `HISTORIES=100000` so many random ones.
//!
//! Applied to the code by hand, each of these was caught here:
//!
//! | mutation | where | caught as |
//! |---|---|---|
//! | UPSERT in place of DELETE and CREATE | `elements` of `migration::route53` | what another writer wrote is overwritten; the journal says of original weights what they were not |
//! | CREATE before DELETE | the same | Route 53 refuses it: not even an undisturbed migration completes |
//! | the journal missing in a batch | `shift` of `migration::change` | changed without its journal |
//! | the sequence not raised | the same | sequence 1 behind 1 |
//! | no look whether a name is at its step already | the same | is at 10 percent, and written again |
//! | no look for drift | the same | another writer's weights are overwritten |
//! | the share of `to` falls where it was beyond the step | the same | the share falls in a step |
//! | 100 percent in every step | the same | is not 10 percent |
//! | a rollback to 100/0 in place of the original weights | `restore` of `migration::change` | is left at another weight than its original one |
//! | registry TXT given back in a batch before the weights | `carry_out` of `rollback` | a TXT has another weight than its record |
//! | registry TXT given back with the weights of the step | `migration::lease` | the same |
//! | a rollback that does not stop the execution | `stop` of `rollback` | is told to be rolled back, and runs |
//! | the end of an execution holds, whatever its input says | `of_ended` of `rollback` | has left journals, and nobody was told |
//! | completion without the mark in the first journal | `close` of `migration::change` | the same |
//! | a rollback in one pass, without a second look | `handle` of `rollback` | was rolled back, and goes on |
//! | a second look before the last writer can be done | `LATE_WRITER_SECONDS` of `rollback` | the same |
//! | any execution takes journals over | `own_or_adoptable` of `migration::change` | takes the journal of one that runs |

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use simulation::exhaustive::{Kind, Then};
use simulation::history::Report;
use simulation::{exhaustive, limits, random};

/// Random histories of an ordinary run: the seeds from 0 on.
const HISTORIES: u64 = 4_000;

/// So that both cores have work to the end.
const PARTS: u64 = 4;

static LIMITS: Mutex<String> = Mutex::new(String::new());
static TOTAL: Mutex<Option<Report>> = Mutex::new(None);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(seed) = number("SEED") {
        return replay(seed);
    }
    let mut trials = Vec::new();
    for names in [1, 2, 50] {
        let mut add = |what: &str, play: fn(usize) -> Report| {
            let name = format!("exhaustive::{what}_{names}");
            trials.push(Trial::test(name, move || judge(play(names))));
        };
        add("faults", exhaustive::faults);
        add("completion", exhaustive::completion);
        add("rollback", exhaustive::rollback);
        add("interference", exhaustive::interference);
        if names < 50 {
            add("unleased", exhaustive::unleased);
            add("outage", exhaustive::outage);
        }
    }
    trials.push(Trial::test("limits::two_thousand_names", the_limits));
    let histories = number("HISTORIES").unwrap_or(HISTORIES);
    for part in 0..PARTS {
        let seeds = histories * part / PARTS..histories * (part + 1) / PARTS;
        let name = format!("random::seeds_{}_to_{}", seeds.start, seeds.end);
        trials.push(Trial::test(name, move || {
            let mut all = Report::default();
            seeds.for_each(|seed| all.add(random::play(seed)));
            judge(all)
        }));
    }
    let began = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(total) = TOTAL.lock().ok().and_then(|mut total| total.take()) {
        close(&total, began);
    }
    conclusion.exit_code()
}

/// A migration of 2,000 names among 10,000 record sets, whole, and with faults in the 37th batch.
fn the_limits() -> Result<(), Failed> {
    let (whole, changes) = limits::whole_migration();
    let batches = changes.len();
    let calls = whole.calls;
    let ends = whole.ends.clone();
    judge(whole)?;
    if ends.keys().ne(["Completed"]) {
        return Err(format!("undisturbed it ends as {ends:?}").into());
    }
    if let Ok(mut lines) = LIMITS.lock() {
        *lines = format!(
            "{} names among {} record sets: {calls} calls, {batches} of them batches of changes",
            limits::NAMES,
            limits::RECORD_SETS
        );
    }
    let failing = changes.get(limits::FAILING_BATCH - 1);
    let failing = failing.ok_or_else(|| format!("there are only {batches} batches"))?;
    for kind in Kind::ALL {
        let failed = limits::failing(*failing, kind, Then::GoesOn);
        // What AWS refuses is rolled back; everything else is tried again.
        let end = match kind {
            Kind::Refused => "ChangeRefused",
            _ => "Completed",
        };
        if failed.ends.keys().ne([end]) {
            return Err(format!("{kind:?}: it ends as {:?}", failed.ends).into());
        }
        judge(failed)?;
    }
    judge(limits::failing(*failing, Kind::KilledAfter, Then::Aborted))
}

/// Adds to the closing lines what was played, and fails if something must not have happened.
fn judge(report: Report) -> Result<(), Failed> {
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

#[expect(clippy::print_stdout, reason = "the closing lines are what it is for")]
fn close(total: &Report, began: Instant) {
    println!("histories        {:>9}", total.histories);
    println!("calls            {:>9}", total.calls);
    println!("faults injected  {:>9}", total.faults);
    println!("outside writes   {:>9}", total.outside_writes);
    println!("batches accepted {:>9}", total.batches);
    println!("largest payload  {:>9} bytes", total.largest_payload);
    println!("violations       {:>9}", total.violations.len());
    for (end, count) in &total.ends {
        println!("  {end:<20}  {count:>9}");
    }
    if let Ok(lines) = LIMITS.lock() {
        println!("{lines}");
    }
    println!("in {:.0} seconds\n", began.elapsed().as_secs_f64());
}

#[expect(clippy::print_stdout, reason = "somebody wants to see a history")]
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
