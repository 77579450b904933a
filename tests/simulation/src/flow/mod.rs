//! The rules of the flow, each shown by a short history of the state machines, and mutations of the
//! definitions that break them.
//!
//! | module | content |
//! |---|---|
//! | `counted` | the events of executions, against those that are counted |
//! | `losses` | changes that Route 53 has lost |
//! | `doubt` | failures of observers and of other Tasks |
//! | `requests` | one migration for each request |
//! | `start` | what the first shift needs, and which alarms count |
//! | `watching` | the state machine `watch`: lost, replaced, continued, no longer needed |
//! | `operators` | the answers of operators |
//! | `parts` | shifts and rollbacks of so many names that they take several calls |
//! | `outcomes` | drift, announcements, redrives and failed rollbacks |
//! | `redrives` | a redrive in every state |
//! | `mutations` | the definitions with one change each, and the test that finds it |

mod counted;
mod doubt;
mod losses;
mod mutations;

mod operators;
mod outcomes;
mod parts;
mod plans;
mod redrives;
mod requests;
mod start;
mod watching;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fakes::{Fault, record_sets_from_cli_json};
use interpreter::{Description, End, ExecutionId, Failure};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::history::History;
use crate::machines::{self, MIGRATION, Machines, NOTIFICATION};
use crate::oracle::lock;
use crate::world::{ALARM, World};
use crate::zones::{self, BLUE, GREEN};

/// The migration of every history.
const RUN: &str = "run";
const LATENCY: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// Longer than any history.
const FOR_GOOD: Duration = Duration::from_hours(24 * 365);
/// The calls of a look and of the states around it.
const CALLS: Duration = Duration::from_secs(10);

/// How a migration ends that has completed.
const COMPLETED: &str = "SUCCEEDED";

/// The answers of `promote`, `hold` and `roll back` in the runbook: the error of the latter two.
const HOLD: &str = "Hold";
const ROLL_BACK: &str = "RollBack";

thread_local! {
    /// What the histories play in place of the definitions.
    static MUTATED: RefCell<Option<Machines>> = const { RefCell::new(None) };
}

fn machines() -> Machines {
    MUTATED.with_borrow(|mutated| mutated.clone().unwrap_or_else(machines::all))
}

/// A history of one migration, of one name in most of them, without other migrations.
struct Flow {
    history: History,
    world: Rc<World>,
    /// The longest time until something that the history waits for.
    longest: Duration,
}

/// The migration after its end, and after the rollbacks that followed.
struct Ended {
    /// The error, or the status.
    end: String,
    cause: String,
    /// From the last thing that the history did to the end of the migration, without its rollback.
    took: Duration,
    /// The status events of the migration, in their order.
    statuses: Vec<String>,
    /// The percent of the traffic on the new side.
    percent: u32,
    migration: Description,
    watches: Vec<Description>,
}

impl Flow {
    /// Starts a migration with these fields in its input, besides those of every history: steps of 10
    /// and 100 percent, and a bake of 120 seconds.
    fn start(fields: &Value) -> Self {
        Self::start_with(1, fields)
    }

    /// The same with so many names.
    fn start_with(names: usize, fields: &Value) -> Self {
        let flow = Self::of_zone(names);
        flow.world.start(RUN, &input(fields));
        flow
    }

    /// Starts nothing.
    fn idle() -> Self {
        Self::of_zone(1)
    }

    fn of_zone(names: usize) -> Self {
        let zone = record_sets_from_cli_json(&zones::registered(names));
        let history = History::new(zone, Latency::Same(LATENCY), machines());
        let world = history.world.clone();
        Self {
            history,
            world,
            longest: Duration::from_hours(30),
        }
    }

    /// Plays until this holds.
    #[track_caller]
    fn until(&mut self, what: &str, is_reached: impl Fn(&World) -> bool) {
        let latest = self.world.clock.elapsed() + self.longest;
        self.history
            .run_until(|world| is_reached(world) || world.clock.elapsed() > latest);
        let state = describe(&self.world).state.unwrap_or_default();
        assert!(
            is_reached(&self.world),
            "is in {state}, expected {what}\n{}",
            self.timeline()
        );
    }

    /// Plays until the migration enters this state. Its first call, or its wait, has not ended.
    #[track_caller]
    fn until_state(&mut self, state: &str) {
        self.until(state, |world| is_in(world, state));
    }

    #[track_caller]
    fn until_step(&mut self, percent: u32, state: &str) {
        self.until(state, |world| {
            is_in(world, state) && percent_of(world) == percent
        });
    }

    /// Plays for this time.
    #[track_caller]
    fn wait(&mut self, time: Duration) {
        let end = self.world.clock.elapsed() + time;
        let world = self.world.clone();
        self.world
            .spawn(async move { world.clock.sleep(time).await });
        self.until("a wait", |world| world.clock.elapsed() >= end);
    }

    /// The next call of a function to AWS takes five seconds. CloudWatch's times are compared in seconds.
    fn delay_next_call(&self) {
        let network = &self.world.network;
        network.inject_fault(network.calls(), Fault::Late(50));
    }

    /// Makes the calls of a function fail for a time, also those that are being made.
    fn fail_calls_now(&self, function: &'static str, error: &str, time: Duration) {
        self.world.fail_calls(function, error, time);
        self.world.lose_invocations();
    }

    #[track_caller]
    fn stop_watch(&self) {
        assert!(self.world.token(RUN).is_some(), "no watch runs");
        self.world.stop_watch(RUN);
    }

    /// Promotes or approves, without a name.
    #[track_caller]
    fn promote(&self) {
        self.promote_with(&json!({}));
    }

    /// Promotes or approves with this output, which is the operator's to choose.
    #[track_caller]
    fn promote_with(&self, output: &Value) {
        let token = self.world.token(RUN).unwrap();
        self.world
            .note(format!("an operator promotes with {output}"));
        let sent = self.world.step_functions.send_task_success(&token, output);
        sent.unwrap();
    }

    /// Holds, rolls back or refuses, as the runbook says.
    #[track_caller]
    fn answer(&self, error: &str) {
        let token = self.world.token(RUN).unwrap();
        self.world.note(format!("an operator answers {error}"));
        let failure = Failure::new(error, "Ann: dashboards look wrong");
        let sent = self.world.step_functions.send_task_failure(&token, failure);
        sent.unwrap();
    }

    /// An alarm fires and clears at once, and its event is lost.
    fn flap(&self) {
        self.world.note("the alarm fires and clears");
        self.world.cloudwatch.set(ALARM, "ALARM");
        self.world.cloudwatch.set(ALARM, "OK");
    }

    /// Changes the zone as another writer.
    fn write(&self, what: &str, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        let writes = &self.world.outside_writes;
        writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.world.write(what, edit);
    }

    fn timeline(&self) -> String {
        self.world.timeline.borrow().join("\n")
    }

    /// Plays to the end of the migration, and then until nothing is left to run. Then a rollback of the
    /// journals that are left must restore the zone.
    ///
    /// # Panics
    /// If the migration does not end, or an invariant is broken.
    #[track_caller]
    fn end(mut self) -> Ended {
        let ended = self.ended();
        let report = self.history.finish();
        let violations = report.violations.join("\n");
        assert!(
            violations.is_empty(),
            "{violations}\n{}",
            report.timeline.join("\n")
        );
        ended
    }

    /// The same without the last rollback, for histories after which it can restore nothing.
    #[track_caller]
    fn ended(&mut self) -> Ended {
        let start = self.world.clock.elapsed();
        self.until("its last state", |world| {
            is_in(world, "Roll back")
                || is_in(world, "Announce the hold")
                || !world.executions.is_running(RUN)
        });
        let took = self.world.clock.elapsed().checked_sub(start).unwrap();
        self.until("the end", |world| !world.executions.is_running(RUN));
        self.settle();
        let world = &self.world;
        let violations = lock(&world.oracle).violations.join("\n");
        assert!(violations.is_empty(), "{violations}\n{}", self.timeline());
        let migration = describe(world);
        let end = migration.end.as_ref().unwrap();
        let failure = end.failure().cloned();
        let failure = failure.unwrap_or_else(|| Failure::new(end.status(), ""));
        let notifications = world.notifications.borrow();
        let statuses = notifications.iter().filter(|(of, _)| of == RUN);
        Ended {
            end: failure.error,
            cause: failure.cause,
            took,
            statuses: statuses.map(|(_, status)| status.clone()).collect(),
            percent: percent_of(world),
            watches: world.watches(RUN).into_iter().map(|(_, it)| it).collect(),
            migration,
        }
    }

    /// Plays until nothing is left to run.
    fn settle(&mut self) {
        self.history.run_until(|_| false);
    }
}

impl Ended {
    /// Expects this end and this percent of the traffic on the new side.
    #[track_caller]
    fn expect(&self, end: &str, percent: u32) -> &Self {
        let (found, cause) = (&self.end, &self.cause);
        assert_eq!(
            (found.as_str(), self.percent),
            (end, percent),
            "end and percent: {cause}"
        );
        self
    }

    #[track_caller]
    fn expect_statuses(&self, statuses: &[&str]) -> &Self {
        assert_eq!(self.statuses, statuses, "status events");
        self
    }

    /// The output of a migration that has completed.
    #[track_caller]
    fn output(&self) -> &Value {
        match self.migration.end.as_ref() {
            Some(End::Succeeded(output)) => output,
            other => panic!("expected an output, found {other:?}"),
        }
    }

    #[track_caller]
    fn expect_within(&self, time: Duration) -> &Self {
        let took = self.took;
        assert!(took <= time, "took {took:?}, expected at most {time:?}");
        self
    }

    #[track_caller]
    fn expect_cause(&self, part: &str) -> &Self {
        assert!(self.cause.contains(part), "the cause is {}", self.cause);
        self
    }
}

/// The input of a migration.
fn input(fields: &Value) -> Value {
    let mut input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN,
        "steps": [10, 100], "bakeSeconds": 120, "checkSeconds": 60,
        "alarms": {"names": [ALARM]},
    });
    for (name, value) in fields.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}

/// The details of the events of the migration with this status, in their order.
fn events(world: &World, status: &str) -> Vec<Value> {
    let executions = world.step_functions.executions();
    let mut notified: Vec<_> = executions
        .into_iter()
        .filter(|(id, _)| {
            id.arn()
                .starts_with(&NOTIFICATION.replace("stateMachine", "execution"))
        })
        .map(|(_, it)| (it.started_at, it.input["detail"].clone()))
        .filter(|(_, detail)| detail["execution"] == RUN && detail["status"] == status)
        .collect();
    notified.sort_by_key(|(started_at, _)| *started_at);
    notified.into_iter().map(|(_, detail)| detail).collect()
}

fn describe(world: &World) -> Description {
    let id = ExecutionId::new(MIGRATION, RUN);
    world.step_functions.describe(&id).unwrap()
}

fn is_in(world: &World, state: &str) -> bool {
    world.executions.is_running_in(RUN, state)
}

/// The percent of the traffic that the weights give to the new side.
fn percent_of(world: &World) -> u32 {
    let mut weights = [0, 0];
    for record_set in world.route53.record_sets() {
        if !record_set.record_type.moves() {
            continue;
        }
        if let Some((side, weight)) = record_set.weighted() {
            weights[usize::from(side.as_str() == GREEN)] += u32::from(weight);
        }
    }
    weights[1] * 100 / (weights[0] + weights[1])
}
