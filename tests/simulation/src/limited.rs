//! Shifts and rollbacks within Route 53's limits, which two `ExternalDNS` and a storm of alarms use too.

use std::collections::BTreeSet;
use std::time::Duration;

use fakes::{FakeRoute53, OtherLoad, Usage};
use interpreter::{ExecutionId, Failure};
use migration::dns::RecordName;
use serde_json::{Value, json};

use crate::machines::{MIGRATION, ROLLBACK};
use crate::oracle::lock;
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// The changes of a leased name with A and AAAA records in its first step and in its rollback: each of its
/// four records and their four registry TXT records is deleted and created, and the journal is created or
/// deleted.
pub const CHANGES_OF_A_NAME: usize = 17;
/// How long a call to AWS takes.
const LATENCY: Duration = Duration::from_millis(50);
/// The name of every execution.
pub const EXECUTION: &str = "run";

/// What a rollback or a shift has taken.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The calls of the function that write.
    pub invocations: usize,
    pub usage: Usage,
    /// The virtual time until all names were written that Route 53 does not refuse.
    pub took: Duration,
    /// How often a single name was read until then.
    pub single_reads: usize,
    /// The names in the order in which they were written.
    pub order: Vec<RecordName>,
    /// The names that are not restored, or not shifted.
    pub left: BTreeSet<RecordName>,
    /// The error of the execution.
    pub error: Option<String>,
}

/// The name with this number.
///
/// # Panics
/// Never.
#[expect(clippy::unwrap_used, reason = "it is a valid name")]
pub fn name(number: usize) -> RecordName {
    format!("svc-{number:04}.example.com").parse().unwrap()
}

/// `count` of `names` names, evenly distributed, but not the first one.
pub fn some_of(names: usize, count: usize) -> BTreeSet<RecordName> {
    let numbers = (0..count).map(|number| (2 * number + 1) * names / (2 * count));
    numbers.map(name).collect()
}

/// The input of a migration of so many names.
pub fn input(names: usize) -> Value {
    let all: Vec<_> = (0..names).map(name).collect();
    json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100], "names": all,
        "bakeSeconds": 0,
    })
}

/// Two `ExternalDNS` that list the zone each minute, and rollback functions that alarms invoke.
fn others(route53: &FakeRoute53) -> [OtherLoad; 3] {
    let pages = route53.record_sets().len().div_ceil(300);
    let external_dns = OtherLoad::external_dns(u32::try_from(pages).unwrap_or(u32::MAX));
    let alarms = OtherLoad {
        period: Duration::from_secs(1),
        requests: 2,
        changes: 0,
    };
    [external_dns, external_dns, alarms]
}

/// A zone with so many names. 2,000 names have more record sets than Route 53 allows by default.
fn simulation(names: usize) -> Simulation {
    let simulation = Simulation::new(&zones::registered(names));
    simulation.route53.set_record_limit(100_000);
    simulation
}

/// A planned migration of so many names, and the answer of its plan.
///
/// # Panics
/// If it can't be planned.
#[expect(clippy::unwrap_used, reason = "nothing disturbs it")]
pub fn planned(names: usize) -> (Simulation, Value) {
    let simulation = simulation(names);
    let planned = simulation.block_on(simulation.plan(EXECUTION, &input(names)));
    (simulation, planned.unwrap())
}

/// A migration of so many names that has shifted once and failed.
///
/// # Panics
/// If it can't be shifted.
#[expect(clippy::unwrap_used, reason = "nothing disturbs it")]
pub fn shifted(names: usize) -> Simulation {
    let (simulation, planned) = planned(names);
    simulation.shift_all(&planned, 0).unwrap();
    simulation
        .executions
        .fail(EXECUTION, "HealthCheckFailed", "");
    simulation
}

/// Rolls a migration of so many names back, of which Route 53 refuses some.
pub fn roll_back(names: usize, refused: &BTreeSet<RecordName>) -> Measured {
    roll_back_shifted(&shifted(names), refused)
}

/// The same for a migration that has shifted.
pub fn roll_back_shifted(simulation: &Simulation, refused: &BTreeSet<RecordName>) -> Measured {
    for name in refused {
        simulation.route53.protect(name);
    }
    simulation.limit(&others(&simulation.route53));
    measure(simulation, |is_done| {
        let request = json!({"hostedZoneId": ZONE_ID, "execution": EXECUTION});
        let id = simulation
            .world
            .step_functions
            .start(ROLLBACK, None, &request)?;
        simulation.run_to_end(&id, || is_done(&|journaled| journaled == refused))
    })
}

/// The plan of a migration of so many names: a dry run.
pub fn plan(names: usize) -> Measured {
    let simulation = simulation(names);
    simulation.limit(&others(&simulation.route53));
    let mut input = input(names);
    input["dryRun"] = json!(true);
    measure(&simulation, |_| {
        simulation.world.start(EXECUTION, &input);
        let id = ExecutionId::new(MIGRATION, EXECUTION);
        simulation.run_to_end(&id, || {})
    })
}

/// The first step of a migration of so many names.
pub fn shift(names: usize) -> Measured {
    let simulation = simulation(names);
    simulation.limit(&others(&simulation.route53));
    let mut input = input(names);
    input["steps"] = json!([100]);
    input["externalDns"] = json!({"mode": "lease"});
    let all: BTreeSet<_> = (0..names).map(name).collect();
    measure(&simulation, |is_done| {
        simulation.world.start(EXECUTION, &input);
        let id = ExecutionId::new(MIGRATION, EXECUTION);
        simulation.run_to_end(&id, || is_done(&|journaled| *journaled == all))
    })
}

/// The names with a journal.
pub fn journaled(simulation: &Simulation) -> BTreeSet<RecordName> {
    let record_sets = simulation.route53.record_sets();
    record_sets
        .iter()
        .filter_map(|it| it.name.journaled())
        .collect()
}

/// Asks whether the journals are those of the end, and notes when they are.
type IsDone<'a> = dyn FnMut(&dyn Fn(&BTreeSet<RecordName>) -> bool) + 'a;

fn measure(
    simulation: &Simulation,
    run: impl FnOnce(&mut IsDone<'_>) -> Result<Value, Failure>,
) -> Measured {
    const WRITING: [&str; 4] = [
        "Roll back",
        "Restore the next names",
        "Confirm the rollback",
        "Shift weight",
    ];
    let world = &simulation.world;
    let invocations = || {
        let entered = world.entered.borrow();
        let is_writing = |state: &str| WRITING.contains(&state);
        entered
            .iter()
            .filter(|(_, state)| is_writing(state))
            .count()
    };
    // Before a name is read alone, Route 53 is asked how many record sets the zone has.
    let single_reads = || world.network.calls_of("GetHostedZone");
    let (start, reads_before, batches_before) = (
        world.clock.elapsed(),
        single_reads(),
        simulation.route53.batches().len(),
    );
    let mut batches = 0;
    let mut done = None;
    let mut is_done = |is_end: &dyn Fn(&BTreeSet<RecordName>) -> bool| {
        let accepted = lock(&world.oracle).batches;
        if done.is_none() && accepted != batches {
            batches = accepted;
            if is_end(&journaled(simulation)) {
                let took = world.clock.elapsed().saturating_sub(start);
                let usage = simulation.route53.usage();
                done = Some((took, invocations(), usage, single_reads() - reads_before));
            }
        }
    };
    let ended = run(&mut is_done);
    let (took, invocations, usage, single_reads) = done.unwrap_or((
        world.clock.elapsed().saturating_sub(start),
        invocations(),
        simulation.route53.usage(),
        single_reads() - reads_before,
    ));
    let batches = simulation.route53.batches();
    let written = batches.iter().skip(batches_before).flatten();
    let order = written.filter_map(|(_, record_set)| record_set.name.journaled());
    Measured {
        invocations,
        usage,
        took,
        single_reads,
        order: order.collect(),
        left: journaled(simulation),
        error: ended.err().map(|failure| failure.error),
    }
}

impl Simulation {
    /// Switches the limits of Route 53 on. From now on calls take time, so that only state machines can call
    /// functions.
    fn limit(&self, others: &[OtherLoad]) {
        self.world
            .clock
            .set_latency(crate::clock::Latency::Same(LATENCY));
        self.route53.limit(others);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use fakes::{CHANGE, Fault};
    use migration::change::CHANGES_AT_ONCE;
    use migration::dns::RecordSet;

    use super::*;
    use crate::later_passes::next_pass;

    fn needed(names: usize) -> usize {
        (names * CHANGES_OF_A_NAME).div_ceil(CHANGES_AT_ONCE)
    }

    /// The writes that bisecting a batch takes.
    fn bisection(names: usize, batches: u32) -> u32 {
        let batch = names.div_ceil(usize::try_from(batches).unwrap());
        2 * batch.next_power_of_two().ilog2()
    }

    #[test]
    fn a_rollback_takes_as_many_invocations_as_route_53_needs() {
        for names in [1, 50, 88, 300, 2_000] {
            let measured = roll_back(names, &BTreeSet::new());
            let Measured {
                invocations,
                took,
                usage,
                ..
            } = &measured;
            let needed = needed(names);
            assert!(
                *invocations * 10 <= needed * 11,
                "{names}: {invocations} of {needed}"
            );
            assert_eq!(usage.failed, 0, "{names}");
            let seconds = names * CHANGES_OF_A_NAME / 100;
            assert!(
                took.as_secs() <= u64::try_from(seconds).unwrap() + 15,
                "{names}: {took:?}"
            );
            assert_eq!(measured.left, BTreeSet::new());
            assert_eq!(measured.error, None);
        }
    }

    #[test]
    fn a_refused_name_costs_a_large_rollback_only_the_writes_that_find_it() {
        for (names, counts) in [(50, &[1][..]), (300, &[1, 20]), (2_000, &[1])] {
            let clean = roll_back(names, &BTreeSet::new()).usage.batches;
            for count in counts {
                let refused = some_of(names, *count);
                let measured = roll_back(names, &refused);
                let bound = u32::try_from(*count).unwrap() * bisection(names, clean);
                let writes = measured.usage.batches;
                assert!(
                    writes <= clean + bound,
                    "{names}: {writes} writes, {clean} without a refusal"
                );
                let invocations = measured.invocations;
                assert!(
                    invocations * 10 <= needed(names) * 11,
                    "{names}: {invocations} invocations"
                );
                // If the batch of the first name is refused, that one is read. Of several refused names, the
                // first of a half is read when both halves are refused.
                if *count == 1 {
                    assert!(
                        measured.single_reads <= 1,
                        "{names}: {}",
                        measured.single_reads
                    );
                }
                assert_eq!(measured.left, refused);
                assert_eq!(measured.error.as_deref(), Some("NotRestored"));
            }
        }
    }

    /// The names that start at 5 percent are not as far from their original weights at 10 percent. The first
    /// name comes first, because it decides between a rollback and a completion.
    #[test]
    fn names_furthest_from_their_original_weights_are_restored_first() {
        const NAMES: usize = 120;
        let simulation = Simulation::new(&zones::registered(NAMES));
        simulation.route53.edit(|record_sets| {
            for record_set in record_sets {
                let of = |number: usize| record_set.name.as_str().ends_with(name(number).as_str());
                if let Some((side, _)) = record_set.weighted()
                    && (0..NAMES / 2).any(of)
                {
                    let weight = if side.as_str() == BLUE { 95 } else { 5 };
                    *record_set = record_set.with_weight(weight);
                }
            }
        });
        let planned = simulation.block_on(simulation.plan(EXECUTION, &input(NAMES)));
        simulation.shift_all(&planned.unwrap(), 0).unwrap();
        simulation
            .executions
            .fail(EXECUTION, "HealthCheckFailed", "");
        let measured = roll_back_shifted(&simulation, &BTreeSet::new());
        let far = NAMES / 2..NAMES;
        let expected: Vec<_> = [0]
            .into_iter()
            .chain(far)
            .chain(1..NAMES / 2)
            .map(name)
            .collect();
        assert_eq!(measured.order, expected);
    }

    /// Another writer changes a name between the read of a rollback and its second batch.
    #[test]
    fn a_conflict_between_two_batches_loses_no_restored_name() {
        const NAMES: usize = 50;
        for (fault, single_reads) in [
            (
                Fault::OtherWriter(Box::new(|record_sets| edit_weight(record_sets, 49))),
                1,
            ),
            (Fault::Throttled, 0),
        ] {
            let simulation = shifted(NAMES);
            let before = simulation.world.network.calls_of("GetHostedZone");
            simulation.route53.inject_fault_into(CHANGE, 1, fault);
            let request = json!({"hostedZoneId": ZONE_ID, "execution": EXECUTION});
            let first = simulation.block_on(simulation.roll_back(&request)).unwrap();
            let left = journaled(&simulation).len();
            assert_ne!(left, 0);
            assert_eq!(first["restored"], NAMES - left);
            assert_eq!(first["migrations"], json!([]));
            let reads = simulation.world.network.calls_of("GetHostedZone") - before;
            assert_eq!(reads, single_reads);

            let later = next_pass(&request, &first);
            let second = simulation.block_on(simulation.roll_back(&later)).unwrap();
            assert_eq!(second["restored"], left);
            assert_eq!(second["unfinished"], Value::Null);
            assert_eq!(second["done"], false, "a late write may follow");
            let migrations = second["migrations"].as_array().unwrap();
            let names: Vec<_> = migrations.iter().map(|it| &it["names"]).collect();
            assert_eq!(names, [NAMES], "one report of all names");
        }
    }

    fn edit_weight(record_sets: &mut [RecordSet], number: usize) {
        let edited = record_sets
            .iter_mut()
            .find(|it| it.name == name(number) && it.weighted().is_some());
        let edited = edited.unwrap();
        *edited = edited.with_weight(33);
    }

    /// A shift that is disturbed between two batches answers what it has written, and goes on.
    #[test]
    fn a_shift_goes_on_after_the_names_that_it_has_written() {
        let simulation = Simulation::new(&zones::registered(50));
        let planned = simulation.block_on(simulation.plan(EXECUTION, &input(50)));
        let planned = planned.unwrap();
        simulation
            .route53
            .inject_fault_into(CHANGE, 1, Fault::Throttled);
        let first = simulation.block_on(simulation.shift(&planned, 0)).unwrap();
        let remaining = usize::try_from(first["remaining"].as_u64().unwrap()).unwrap();
        assert_eq!(journaled(&simulation).len(), 50 - remaining);
        assert_ne!(remaining, 0);
        assert_eq!(first["changeIds"].as_array().unwrap().len(), 1);

        // A name that the first call has shifted is not shifted anew, as if its weights were the original.
        let journal = name(0).journal();
        let delete = |record_sets: &mut Vec<RecordSet>| record_sets.retain(|it| it.name != journal);
        let mut event = json!({"operation": "shift", "step": 0,
            "migration": planned["migration"], "remaining": remaining});
        let whole = simulation.route53.record_sets();
        simulation.route53.edit(delete);
        let error = simulation
            .block_on(simulation.shift_weight(&event))
            .unwrap_err();
        assert_eq!(error.name(), "Drift", "{error}");

        simulation.route53.edit(|record_sets| *record_sets = whole);
        let second = simulation
            .block_on(simulation.shift_weight(&event))
            .unwrap();
        assert_eq!(
            (&second["remaining"], &second["changed"]),
            (&json!(0), &json!(remaining))
        );
        // All changes can be confirmed, so that nothing has to be waited out.
        assert_eq!(second["waitSeconds"], first["waitSeconds"]);

        // The answer of a call was lost: what it wrote can't be confirmed.
        event["remaining"] = json!(remaining);
        let again = simulation
            .block_on(simulation.shift_weight(&event))
            .unwrap();
        assert_eq!(again["changed"], 0);
        assert!(again["waitSeconds"].as_u64() > second["waitSeconds"].as_u64());
    }

    /// A completion deletes one journal a name, and marks the first of them before.
    #[test]
    fn a_completion_takes_as_many_invocations_as_route_53_needs() {
        const NAMES: usize = 1_600;
        let simulation = Simulation::new(&zones::unregistered(NAMES));
        simulation.limit(&others(&simulation.route53));
        let mut input = input(NAMES);
        input["steps"] = json!([100]);
        simulation.migrate(EXECUTION, &input).unwrap();
        assert_eq!(journaled(&simulation), BTreeSet::new());
        let entered = simulation.world.entered.borrow();
        let completions = entered
            .iter()
            .filter(|(_, state)| state == "Complete the migration");
        assert_eq!(completions.count(), (NAMES + 2).div_ceil(CHANGES_AT_ONCE));
        assert_eq!(simulation.route53.usage().failed, 0);
    }

    #[test]
    fn a_release_paces_itself_within_the_limits_of_route_53() {
        let simulation = simulation(300);
        simulation.limit(&others(&simulation.route53));
        let mut input = input(300);
        input["steps"] = json!([100]);
        simulation.migrate(EXECUTION, &input).unwrap();
        assert_eq!(journaled(&simulation).len(), 300);
        simulation.release(EXECUTION, || {}).unwrap();
        assert_eq!(journaled(&simulation), BTreeSet::new());
        assert_eq!(simulation.route53.usage().failed, 0);
    }

    #[test]
    fn a_plan_says_how_long_the_writes_of_many_names_take() {
        let (_, planned) = planned(2_000);
        let plan = &planned["plan"];
        let warnings = plan["warnings"].as_array().unwrap();
        let slow = warnings.iter().find(|it| it["code"] == "slow-writes");
        let steps = plan["steps"].as_array().unwrap();
        let seconds: Vec<_> = steps.iter().map(|step| &step["writeSeconds"]).collect();
        expect![[r#"
            Route 53 permits 100 changes a second in an account, so writing one step takes about 360 seconds, in which names stand at different percents, and a rollback of all names about 330 seconds; for shorter times, move fewer names in one migration
            [Number(330), Number(360)] to write, 330 to roll back
        "#]].assert_eq(&format!(
            "{}\n{seconds:?} to write, {} to roll back\n",
            slow.unwrap()["message"].as_str().unwrap(),
            plan["rollbackSeconds"]
        ));
    }

    #[test]
    fn a_shift_takes_as_many_invocations_as_route_53_needs() {
        for names in [50, 300, 2_000] {
            let measured = shift(names);
            assert!(
                measured.invocations * 10 <= needed(names) * 11,
                "{measured:?}"
            );
            assert_eq!(measured.usage.failed, 0);
            assert_eq!(measured.error, None);
        }
    }
}
