//! Histories in which one disturbance happens, at each call of a migration in turn.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fakes::{Fault, record_sets_from_cli_json};
use migration::dns::RecordSet;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::history::{self, Report};
use crate::world::{ALARM, World};
use crate::writers::{Writer, write_later_format};
use crate::zones::{self, BLUE, GREEN};

/// A fault at one call to AWS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// AWS throttles the call.
    Throttled,
    /// AWS refuses the call.
    Refused,
    /// The call does not arrive.
    Unavailable,
    /// The call is carried out and its answer lost.
    AnswerLost,
    /// The process of the function dies before the call.
    KilledBefore,
    /// The process of the function dies after the call, before it reads the answer.
    KilledAfter,
}

impl FaultKind {
    pub const ALL: [Self; 6] = [
        Self::Throttled,
        Self::Refused,
        Self::Unavailable,
        Self::AnswerLost,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    pub fn fault(self) -> Fault {
        match self {
            Self::Throttled => Fault::Throttled,
            Self::Refused => Fault::Refused,
            Self::Unavailable => Fault::Unavailable,
            Self::AnswerLost => Fault::AnswerLost,
            Self::KilledBefore => Fault::KilledBefore,
            Self::KilledAfter => Fault::KilledAfter,
        }
    }
}

/// A disturbance of a migration, which happens once, at one of its calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disturbance {
    Fault(FaultKind),
    /// A fault at a call that Step Functions makes for a Task, other than of a function.
    Integration(FaultKind),
    /// From this call on no call arrives, for longer than all retries take.
    Outage,
    /// Step Functions loses the connection to the function and invokes it again, while the first
    /// invocation continues.
    InvocationLost,
    /// The call arrives late, shortly before its function times out.
    Late,
    /// A call that asks for a change gets the answer that Route 53 does not know it any more. If it
    /// `is_stranded`, its records are as before it.
    LostChange {
        is_stranded: bool,
    },
    /// Another writer changes the zone just before the call arrives.
    Writer(Writer),
    /// A later version of the functions, which was deployed meanwhile, writes the journal of the first name in
    /// its format.
    LaterFormat,
    /// The same migration is started a second time, as by an event that is delivered twice.
    SecondMigration,
    /// The load balancer of a side is deleted: Route 53 refuses to create an alias of it.
    LoadBalancerGone {
        is_new_side: bool,
    },
    /// The alarm of the migration fires, and its event is delivered three times.
    Alarm,
}

/// What happens to the execution after the disturbance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Afterwards {
    /// The state machine continues.
    Continues,
    /// A person aborts the execution, and its status event starts a rollback.
    Aborted,
}

impl Afterwards {
    pub const ALL: [Self; 2] = [Self::Continues, Self::Aborted];
}

/// A migration and its zone. The migration has two steps, each with a bake of two health checks. With
/// many names it has one step. Of one name every call is disturbed, of several every second or eighth,
/// to save time: most calls are the same.
pub(crate) struct Scenario {
    names: usize,
    /// Every so many calls are disturbed.
    stride: usize,
    record_sets: Vec<RecordSet>,
    pub(crate) input: Value,
    /// The end of the migration without a disturbance: `Completed` or the error of the execution.
    end: &'static str,
    /// A time in the bake of the last step, since the start of the history.
    last_bake: Duration,
}

impl Scenario {
    pub(crate) fn new(names: usize, zone: fn(usize) -> String) -> Self {
        let (steps, last_bake): (&[u8], _) = if names > 2 {
            (&[100], 110)
        } else {
            (&[10, 100], 250)
        };
        Self {
            names,
            stride: match names {
                0..=1 => 1,
                2 => 2,
                _ => 8,
            },
            record_sets: record_sets_from_cli_json(&zone(names)),
            input: json!({
                "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN,
                "steps": steps, "bakeSeconds": 60, "alarms": {"names": [ALARM]},
            }),
            end: "Completed",
            last_bake: Duration::from_secs(last_bake),
        }
    }
}

/// Plays a migration of names that are leased from ExternalDNS, with every fault at every call, and
/// with and without an abort of the execution there.
pub fn a_fault_at_any_call_leaves_nothing_half_shifted(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::registered);
    disturb_every_call(&scenario, &faults(), &Afterwards::ALL, |_| {})
}

/// Plays a migration of names that no ExternalDNS owns, with the same faults. Here the completion
/// deletes the journals, while those of leased names wait for a release.
pub fn a_fault_at_any_call_completes_all_names_or_none(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::unregistered);
    disturb_every_call(&scenario, &faults(), &Afterwards::ALL, |_| {})
}

/// Plays a migration of leased names, with every other writer, a second migration or an alarm at every
/// call.
pub fn another_writer_at_any_call_is_not_overwritten(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::registered);
    disturb_every_call(&scenario, &interference(), &Afterwards::ALL, |_| {})
}

/// The same, with names that ExternalDNS owns and the migration does not lease.
pub fn another_writer_at_any_call_is_not_overwritten_without_a_lease(names: usize) -> Report {
    let mut scenario = Scenario::new(names, zones::registered);
    scenario.input["externalDns"] = json!({"mode": "ignore"});
    disturb_every_call(&scenario, &interference(), &Afterwards::ALL, |_| {})
}

/// Plays a migration of leased names in which the journal of the first name gets a later format, at every call. That
/// name is left alone from then on, and reported, and all others are restored.
pub fn a_journal_of_a_later_format_at_any_call_is_left_alone(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::registered);
    let disturbances = [Disturbance::LaterFormat];
    let mut all = disturb_every_call(&scenario, &disturbances, &Afterwards::ALL, |_| {});
    let mut scenario = Scenario::new(names, zones::registered);
    scenario.input["onDrift"] = json!("rollback");
    let continues = [Afterwards::Continues];
    let reports = disturb_every_call(&scenario, &disturbances, &continues, |_| {});
    all.add(reports);
    all
}

/// Plays a migration of leased names in which the load balancer of a side is deleted at each call in turn.
pub fn a_load_balancer_that_is_gone_keeps_no_other_name_shifted(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::registered);
    let gone = [true, false].map(|is_new_side| Disturbance::LoadBalancerGone { is_new_side });
    disturb_every_call(&scenario, &gone, &Afterwards::ALL, |_| {})
}

/// Plays an outage of AWS that starts at each call in turn, and lasts longer than the retries of the
/// migration and of the rollbacks that its status event starts.
pub fn an_outage_from_any_call_loses_no_journal(names: usize) -> Report {
    let scenario = Scenario::new(names, zones::registered);
    disturb_every_call(&scenario, &[Disturbance::Outage], &Afterwards::ALL, |_| {})
}

/// Plays a migration, and one that its alarm rolls back in the bake of its last step, in which Route 53 has
/// lost a change, at each call that asks for one in turn.
pub fn a_lost_change_is_made_again(names: usize) -> Report {
    let mut all = Report::default();
    for end in ["Completed", "StoppedForRollback"] {
        let scenario = Scenario {
            end,
            ..Scenario::new(names, zones::registered)
        };
        let last_bake = scenario.last_bake;
        let set_up = |world: &Rc<World>| {
            if end == "StoppedForRollback" {
                fire_alarm_after(world, last_bake);
            }
        };
        let mut asking = Vec::new();
        let undisturbed = play_observed(&scenario, None, Afterwards::Continues, set_up, |world| {
            let network = &world.network;
            let is_asking = |number: &usize| network.action(*number) == Some(ASKING);
            asking = (0..network.calls()).filter(is_asking).collect();
        });
        all.add(undisturbed);
        for number in asking {
            for is_stranded in [false, true] {
                let lost = Disturbance::LostChange { is_stranded };
                for afterwards in Afterwards::ALL {
                    let mut report = play(&scenario, Some((number, lost)), afterwards, set_up);
                    let is_same = report.ends.contains_key(end);
                    if afterwards == Afterwards::Continues && !is_same {
                        let end = format!("it ends as {:?}", report.ends);
                        report.violations.push(end);
                    }
                    let disturbed =
                        format!("{names} names, {lost:?} at call {number}, {afterwards:?}");
                    label(&mut report, &disturbed);
                    all.add(report);
                }
            }
        }
    }
    all
}

/// The action that asks for a change.
const ASKING: &str = "GetChange";

const LATENCY: Duration = Duration::from_millis(100);
/// A late call takes as long as this many calls: 128 seconds of the 130 after which its function has ended,
/// with the start of its environment.
const LATE_CALLS: usize = 1_280;

/// More calls than all retries of a migration and of the rollbacks that its status event starts.
const OUTAGE_CALLS: usize = 300;

/// Plays a migration that its alarm rolls back in the bake of the last step, with every fault at every
/// call, those of the rollback included.
pub fn a_fault_at_any_call_of_a_rollback_is_repaired_by_the_next_rollback(names: usize) -> Report {
    let scenario = Scenario {
        end: "StoppedForRollback",
        ..Scenario::new(names, zones::registered)
    };
    let last_bake = scenario.last_bake;
    disturb_every_call(&scenario, &faults(), &[Afterwards::Continues], |world| {
        fire_alarm_after(world, last_bake);
    })
}

fn fire_alarm_after(world: &Rc<World>, time: Duration) {
    let world = world.clone();
    world.clone().spawn(async move {
        world.clock.sleep(time).await;
        world.set_alarm("ALARM");
    });
}

/// Plays a migration with a fault at each call that Step Functions makes for it to another service or
/// to itself: its end is always the same.
pub fn a_fault_at_any_call_of_step_functions_does_not_change_the_end(names: usize) -> Report {
    let mut scenario = Scenario::new(names, zones::registered);
    scenario.input["steps"] = json!([{"percent": 10, "approval": true}, 100]);
    let undisturbed = play(&scenario, None, Afterwards::Continues, |_| {});
    let calls = undisturbed.integration_calls;
    let mut all = undisturbed;
    for number in 0..calls {
        for kind in FaultKind::ALL {
            let fault = Disturbance::Integration(kind);
            let mut report = play(
                &scenario,
                Some((number, fault)),
                Afterwards::Continues,
                |_| {},
            );
            // Without the permission to start a watch, nothing could watch the names.
            let is_refused = kind == FaultKind::Refused
                && report
                    .ends
                    .contains_key("StepFunctions.AccessDeniedException");
            if !is_refused && !report.ends.contains_key(scenario.end) {
                let end = format!("it ends as {:?}", report.ends);
                report.violations.push(end);
            }
            label(
                &mut report,
                &format!("{names} names, {fault:?} at call {number}"),
            );
            all.add(report);
        }
    }
    all
}

/// Puts what was disturbed before each violation.
fn label(report: &mut Report, disturbed: &str) {
    for violation in &mut report.violations {
        *violation = format!("{disturbed}: {violation}");
    }
}

fn faults() -> Vec<Disturbance> {
    let faults = FaultKind::ALL.map(Disturbance::Fault);
    let others = [Disturbance::InvocationLost, Disturbance::Late];
    faults.into_iter().chain(others).collect()
}

fn interference() -> Vec<Disturbance> {
    let writers = Writer::ALL.map(Disturbance::Writer);
    let others = [Disturbance::SecondMigration, Disturbance::Alarm];
    writers.into_iter().chain(others).collect()
}

/// Plays the scenario without a disturbance, and then once for each call, disturbance and
/// continuation. `set_up` is called at the start of each history.
fn disturb_every_call(
    scenario: &Scenario,
    disturbances: &[Disturbance],
    continuations: &[Afterwards],
    set_up: impl Fn(&Rc<World>),
) -> Report {
    let undisturbed = play(scenario, None, Afterwards::Continues, &set_up);
    let (names, calls) = (scenario.names, undisturbed.calls);
    let mut all = undisturbed;
    if !all.ends.contains_key(scenario.end) {
        let violation = format!(
            "{names} names, without a disturbance: ends as {:?} instead of {}",
            all.ends, scenario.end
        );
        all.violations.push(violation);
    }
    for number in (0..calls).step_by(scenario.stride) {
        for disturbance in disturbances {
            for afterwards in continuations {
                let mut report = play(scenario, Some((number, *disturbance)), *afterwards, &set_up);
                let disturbed =
                    format!("{names} names, {disturbance:?} at call {number}, {afterwards:?}");
                label(&mut report, &disturbed);
                all.add(report);
            }
        }
    }
    all
}

/// Plays one history, with a disturbance at the call of that number. `set_up` is called at its start.
pub(crate) fn play(
    scenario: &Scenario,
    disturbed: Option<(usize, Disturbance)>,
    afterwards: Afterwards,
    set_up: impl FnOnce(&Rc<World>),
) -> Report {
    play_observed(scenario, disturbed, afterwards, set_up, |_| {})
}

/// The same. `between` is called before each advance of the clock.
fn play_observed(
    scenario: &Scenario,
    disturbed: Option<(usize, Disturbance)>,
    afterwards: Afterwards,
    set_up: impl FnOnce(&Rc<World>),
    mut between: impl FnMut(&Rc<World>),
) -> Report {
    let mut is_pending = disturbed.is_some();
    let Scenario {
        record_sets, input, ..
    } = scenario;
    history::run(
        record_sets.clone(),
        Latency::Same(LATENCY),
        |world| {
            match disturbed {
                Some((number, Disturbance::Fault(kind))) => {
                    world.network.inject_fault(number, kind.fault());
                }
                Some((number, Disturbance::Integration(kind))) => {
                    world.integrations.inject_fault(number, kind.fault());
                }
                Some((number, Disturbance::Outage)) => {
                    for call in number..number + OUTAGE_CALLS {
                        world.network.inject_fault(call, Fault::Unavailable);
                    }
                }
                Some((number, Disturbance::Late)) => {
                    world.network.inject_fault(number, Fault::Late(LATE_CALLS));
                }
                Some((number, Disturbance::LostChange { is_stranded })) => {
                    world.lose_change(number, is_stranded);
                }
                Some((number, Disturbance::Writer(writer))) => {
                    let (all, count) = (Arc::new(record_sets.clone()), &world.outside_writes);
                    let edit = zones::first_name(record_sets)
                        .map(|name| writer.edit(name, 77, all, count.clone()));
                    if let Some(edit) = edit {
                        world.network.inject_fault(number, Fault::OtherWriter(edit));
                    }
                }
                Some((number, Disturbance::LaterFormat)) => {
                    let count = world.outside_writes.clone();
                    let edit =
                        zones::first_name(record_sets).map(|name| write_later_format(name, count));
                    if let Some(edit) = edit {
                        world.network.inject_fault(number, Fault::OtherWriter(edit));
                    }
                }
                Some((_, Disturbance::Alarm)) => {
                    let three = || [1, 30, 200].map(Duration::from_secs).to_vec();
                    *world.deliveries.borrow_mut() = Box::new(three);
                }
                Some((
                    _,
                    Disturbance::SecondMigration
                    | Disturbance::InvocationLost
                    | Disturbance::LoadBalancerGone { .. },
                ))
                | None => {}
            }
            world.is_notifying.set(disturbed.is_none());
            world.start("run", input);
            set_up(world);
        },
        |world| {
            between(world);
            let is_reached = disturbed.is_some_and(|(number, _)| world.network.calls() > number);
            if !(is_pending && is_reached) {
                return;
            }
            is_pending = false;
            match disturbed {
                Some((_, Disturbance::SecondMigration)) => world.start("second", input),
                Some((_, Disturbance::Alarm)) => world.set_alarm("ALARM"),
                Some((_, Disturbance::InvocationLost)) => world.lose_invocations(),
                Some((_, Disturbance::LoadBalancerGone { is_new_side })) => {
                    world.remove_load_balancer(if is_new_side { GREEN } else { BLUE });
                }
                _ => {}
            }
            if afterwards == Afterwards::Aborted {
                world.abort("run");
            }
        },
    )
}
