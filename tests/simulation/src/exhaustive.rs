//! Every call of a migration, and everything that may happen at it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use migration::fake::{Fault, record_sets_from_cli_json};
use migration::record::RecordSet;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::history::{self, Report};
use crate::world::{ALARM, World};
use crate::writers::Writer;
use crate::zones::{self, BLUE, GREEN};

/// What happens to one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// AWS asks to slow down.
    Throttled,
    /// AWS refuses the call.
    Refused,
    /// It never arrives.
    Unavailable,
    /// It is carried out, and its answer lost.
    AnswerLost,
    /// The process dies before it.
    KilledBefore,
    /// The process dies behind it.
    KilledAfter,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Throttled,
        Self::Refused,
        Self::Unavailable,
        Self::AnswerLost,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// The fault.
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

/// What disturbs a migration, once, at one of its calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disturbance {
    /// The call meets a fault.
    Fault(Kind),
    /// From here on no call arrives, for so long that no retry outlasts it.
    Outage,
    /// Step Functions gives its function's call up, and makes it again while the function goes on.
    GivenUp,
    /// The call arrives late: its function is nearly out of time.
    Late,
    /// Another writer is there just before it.
    Writer(Writer),
    /// The same migration is started once more, as by an event that is delivered twice.
    SecondMigration,
    /// Its alarm fires, and the event is delivered three times.
    Alarm,
}

/// What becomes of the execution at that call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// It goes on as its definition says.
    GoesOn,
    /// Somebody aborts it, and its end starts a rollback.
    Aborted,
}

impl Then {
    /// Both.
    pub const ALL: [Self; 2] = [Self::GoesOn, Self::Aborted];
}

/// A migration that nothing has disturbed yet: two steps, each with a bake of two health checks. With
/// many names, whose steps differ in their batches alone, it is one.
pub(crate) struct Undisturbed {
    names: usize,
    record_sets: Vec<RecordSet>,
    pub(crate) input: Value,
    /// How it ends if nothing disturbs it.
    end: &'static str,
    /// When the last step bakes.
    last_bake: Duration,
}

impl Undisturbed {
    /// Of so many names in such a zone.
    pub(crate) fn of(names: usize, zone: fn(usize) -> String) -> Self {
        let (steps, last_bake): (&[u8], _) = if names > 2 {
            (&[100], 110)
        } else {
            (&[10, 100], 250)
        };
        Self {
            names,
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

/// All histories of a migration of so many names, leased from ExternalDNS: every fault at every
/// call, and the execution goes on or is aborted there.
pub fn faults(names: usize) -> Report {
    let migration = Undisturbed::of(names, zones::registered);
    every_call(&migration, &faulty(), &Then::ALL, |_| {})
}

/// The same of names that nobody owns, whose journals go with the completion.
pub fn completion(names: usize) -> Report {
    let migration = Undisturbed::of(names, zones::unregistered);
    every_call(&migration, &faulty(), &Then::ALL, |_| {})
}

/// In place of faults every other writer, a second migration, and an alarm.
pub fn interference(names: usize) -> Report {
    let migration = Undisturbed::of(names, zones::registered);
    every_call(&migration, &interfering(), &Then::ALL, |_| {})
}

/// The same, where nothing is leased from ExternalDNS.
pub fn unleased(names: usize) -> Report {
    let mut migration = Undisturbed::of(names, zones::registered);
    migration.input["externalDns"] = json!({"mode": "ignore"});
    every_call(&migration, &interfering(), &Then::ALL, |_| {})
}

/// An outage of AWS that begins at any call, and that neither the migration nor the rollbacks which
/// its end starts outlast.
pub fn outage(names: usize) -> Report {
    let migration = Undisturbed::of(names, zones::registered);
    every_call(&migration, &[Disturbance::Outage], &Then::ALL, |_| {})
}

const LATENCY: Duration = Duration::from_millis(100);
/// A call that takes as long as so many arrives after 100 of its function's 120 seconds.
const LATE_CALLS: usize = 1_000;

/// Longer than all retries of a migration and of the rollbacks that its end starts.
const OUTAGE_CALLS: usize = 300;

/// All histories of a migration that its alarm rolls back in the bake of its last step: every
/// fault at every call of the rollback as well.
pub fn rollback(names: usize) -> Report {
    let migration = Undisturbed {
        end: "StoppedForRollback",
        ..Undisturbed::of(names, zones::registered)
    };
    let last_bake = migration.last_bake;
    every_call(&migration, &faulty(), &[Then::GoesOn], |world| {
        let world = world.clone();
        world.clone().spawn(async move {
            world.clock.sleep(last_bake).await;
            world.set_alarm("ALARM");
        });
    })
}

fn faulty() -> Vec<Disturbance> {
    let faults = Kind::ALL.map(Disturbance::Fault);
    let others = [Disturbance::GivenUp, Disturbance::Late];
    faults.into_iter().chain(others).collect()
}

fn interfering() -> Vec<Disturbance> {
    let writers = Writer::ALL.map(Disturbance::Writer);
    let others = [Disturbance::SecondMigration, Disturbance::Alarm];
    writers.into_iter().chain(others).collect()
}

fn every_call(
    migration: &Undisturbed,
    disturbances: &[Disturbance],
    thens: &[Then],
    scene: impl Fn(&Rc<World>),
) -> Report {
    let undisturbed = play(migration, None, Then::GoesOn, &scene);
    let (names, calls) = (migration.names, undisturbed.calls);
    let mut all = undisturbed;
    if !all.ends.contains_key(migration.end) {
        let ends = format!("{names} names, undisturbed: {:?}", all.ends);
        all.violations.push(ends);
    }
    for number in 0..calls {
        for disturbance in disturbances {
            for then in thens {
                let mut report = play(migration, Some((number, *disturbance)), *then, &scene);
                for violation in &mut report.violations {
                    *violation = format!(
                        "{names} names, {disturbance:?} at call {number}, {then:?}: {violation}"
                    );
                }
                all.add(report);
            }
        }
    }
    all
}

/// One history of a migration, with `scene` set before it begins.
pub(crate) fn play(
    migration: &Undisturbed,
    disturbed: Option<(usize, Disturbance)>,
    then: Then,
    scene: impl FnOnce(&Rc<World>),
) -> Report {
    let mut is_to_come = disturbed.is_some();
    let Undisturbed {
        record_sets, input, ..
    } = migration;
    history::run(
        record_sets.clone(),
        Latency::Same(LATENCY),
        |world| {
            match disturbed {
                Some((number, Disturbance::Fault(kind))) => {
                    world.line.on_call(number, kind.fault());
                }
                Some((number, Disturbance::Outage)) => {
                    for call in number..number + OUTAGE_CALLS {
                        world.line.on_call(call, Fault::Unavailable);
                    }
                }
                Some((number, Disturbance::Late)) => {
                    world.line.on_call(number, Fault::Late(LATE_CALLS));
                }
                Some((number, Disturbance::Writer(writer))) => {
                    let (all, count) = (Arc::new(record_sets.clone()), &world.outside_writes);
                    let edit = zones::first_name(record_sets)
                        .map(|name| writer.edit(name, 77, all, count.clone()));
                    if let Some(edit) = edit {
                        world.line.on_call(number, Fault::OtherWriter(edit));
                    }
                }
                Some((_, Disturbance::Alarm)) => {
                    let three = || [1, 30, 200].map(Duration::from_secs).to_vec();
                    *world.deliveries.borrow_mut() = Box::new(three);
                }
                Some((_, Disturbance::SecondMigration | Disturbance::GivenUp)) | None => {}
            }
            world.start("run", input);
            scene(world);
        },
        |world| {
            let has_come = disturbed.is_some_and(|(number, _)| world.line.calls() > number);
            if !(is_to_come && has_come) {
                return;
            }
            is_to_come = false;
            match disturbed {
                Some((_, Disturbance::SecondMigration)) => world.start("second", input),
                Some((_, Disturbance::Alarm)) => world.set_alarm("ALARM"),
                Some((_, Disturbance::GivenUp)) => world.give_up_calls(),
                _ => {}
            }
            if then == Then::Aborted {
                world.abort("run");
            }
        },
    )
}
