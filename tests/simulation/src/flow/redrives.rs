//! Redrives of a migration that has ended without success, in every state in which that can happen, before, during
//! and after its rollback, and while another migration moves the same names.
//!
//! Source: Step Functions Developer Guide, "Restarting state machine executions with redrive".

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use expect_test::expect;
use fakes::record_sets_from_cli_json;
use interpreter::End;
use serde_json::{Value, json};

use super::{FOR_GOOD, Flow, LATENCY, MINUTE, RUN, describe, input, percent_of};
use crate::clock::Latency;
use crate::history::History;
use crate::machines::{self, DEFINITIONS, MIGRATION, Machines, ROLLBACK};
use crate::world::{Answer, World};
use crate::zones;

/// A state of one second that is inserted before another one.
const PAUSE: &str = "Pause";
/// The migration that comes after the one that is redriven.
const SECOND: &str = "second";
const UNKNOWN: &str = "Lambda.Unknown";

/// How the migration reaches a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Course {
    Completes,
    AsksForApproval,
    IsPromoted,
    IsDryRun,
    WaitsForRecords,
    IsRefused,
    IsNotReady,
    CannotReadAlarms,
    IsUnhealthy,
    IsUnhealthyAndHolds,
    FailsToRollBack,
    FailsToComplete,
    HasManyNames,
    /// So many that a call does not delete all journals.
    HasManyJournals,
}

#[rustfmt::skip]
const STATES: &[(&str, Course)] = &[
    ("Take the input", Course::Completes),
    ("Plan the migration", Course::Completes),
    ("Do the new side's records exist?", Course::Completes),
    ("Wait for the new side's records", Course::WaitsForRecords),
    ("Dry run?", Course::Completes),
    ("Dry run?", Course::IsDryRun),
    ("Ask the observers", Course::IsDryRun),
    ("Add the findings to the plan", Course::IsDryRun),
    ("Any warning to refuse?", Course::Completes),
    ("Any warning to refuse?", Course::IsDryRun),
    ("Planned", Course::IsDryRun),
    ("Announce the start", Course::Completes),
    ("Announce that it was refused", Course::IsRefused),
    ("Announce that it was refused", Course::WaitsForRecords),
    ("Refused", Course::IsRefused),
    ("Probe switched on?", Course::Completes),
    ("Probe the new side", Course::Completes),
    ("New side ready?", Course::Completes),
    ("Wait before probing again", Course::IsNotReady),
    ("Check alarms before the start", Course::Completes),
    ("Alarms quiet?", Course::Completes),
    ("Wait before checking alarms again", Course::CannotReadAlarms),
    ("Anything to undo?", Course::IsNotReady),
    ("Announce that it did not start", Course::IsNotReady),
    ("Not started", Course::IsNotReady),
    ("Shift weight", Course::Completes),
    ("All names shifted?", Course::Completes),
    ("Check health during the shift", Course::HasManyNames),
    ("Wait for Route 53's limits", Course::HasManyNames),
    ("Confirm the change", Course::Completes),
    ("Wait out the TTL", Course::Completes),
    ("Bake", Course::Completes),
    ("Approval needed?", Course::Completes),
    ("Ask for approval", Course::AsksForApproval),
    ("Check health once more", Course::IsPromoted),
    ("More steps?", Course::Completes),
    ("Complete the migration", Course::Completes),
    ("All journals deleted?", Course::Completes),
    ("Wait before deleting more", Course::HasManyJournals),
    ("Note that the completion failed", Course::FailsToComplete),
    ("Announce the completion", Course::Completes),
    ("Completed", Course::Completes),
    ("Note the failure", Course::IsUnhealthy),
    ("Hold or roll back?", Course::IsUnhealthy),
    ("Hold or roll back?", Course::IsUnhealthyAndHolds),
    ("Announce the hold", Course::IsUnhealthyAndHolds),
    ("Announce the hold", Course::FailsToComplete),
    ("Held", Course::IsUnhealthyAndHolds),
    ("Roll back", Course::IsUnhealthy),
    ("Rolled back", Course::IsUnhealthy),
    ("Announce that the rollback failed", Course::FailsToRollBack),
    ("Rollback failed", Course::FailsToRollBack),
];

/// Where an execution ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Before it enters the state.
    Before,
    /// In a call or a wait of the state.
    Within,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Aborted,
    TimedOut,
    /// The state is a Fail state.
    Failed,
}

/// When the execution is redriven.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    /// Before its status event arrives.
    BeforeItsRollback,
    /// When the rollback of its status event has started.
    AtItsRollback,
    /// When this rollback has restored the names and waits, or has ended.
    DuringItsRollback,
    AfterItsRollback,
    /// While another migration of the same names has traffic on the new side.
    DuringAnotherMigration,
}

const MOMENTS: [Moment; 5] = [
    Moment::BeforeItsRollback,
    Moment::AtItsRollback,
    Moment::DuringItsRollback,
    Moment::AfterItsRollback,
    Moment::DuringAnotherMigration,
];

const MOMENTS_OF_MANY_NAMES: [Moment; 2] =
    [Moment::DuringItsRollback, Moment::DuringAnotherMigration];

impl Course {
    fn fields(self) -> Value {
        match self {
            Self::Completes
            | Self::IsPromoted
            | Self::IsUnhealthy
            | Self::FailsToRollBack
            | Self::FailsToComplete => json!({}),
            Self::AsksForApproval => json!({"steps": [{"percent": 10, "approval": true}, 100]}),
            Self::IsDryRun => json!({"dryRun": true}),
            Self::WaitsForRecords => {
                json!({"to": "eks-blueprint-absent", "recordsTimeoutSeconds": 600})
            }
            Self::IsRefused => json!({"from": 1}),
            Self::IsNotReady => json!({"readyTimeoutSeconds": 180}),
            Self::CannotReadAlarms => json!({"readyTimeoutSeconds": 900}),
            Self::IsUnhealthyAndHolds => json!({"onFailure": "hold"}),
            Self::HasManyNames | Self::HasManyJournals => json!({"steps": [100]}),
        }
    }

    fn zone(self) -> String {
        match self {
            Self::HasManyNames => zones::registered(200),
            Self::HasManyJournals => zones::unregistered(1_600),
            Self::Completes | Self::FailsToComplete => zones::unregistered(2),
            _ => zones::registered(2),
        }
    }

    /// Lets happen what leads a migration to the state.
    fn prepare(self, world: &Rc<World>) {
        match self {
            Self::IsNotReady => world.become_unhealthy(),
            Self::CannotReadAlarms => world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD),
            Self::IsPromoted => world.on_next(MIGRATION, "Bake", |world| {
                let later = world.clone();
                world.spawn(async move {
                    later.clock.sleep(Duration::from_secs(30)).await;
                    later.answer(RUN, Answer::Promote);
                });
            }),
            Self::IsUnhealthy | Self::IsUnhealthyAndHolds => {
                world.on_next(MIGRATION, "Bake", |world| world.become_unhealthy());
            }
            Self::FailsToRollBack => world.on_next(MIGRATION, "Bake", |world| {
                world.become_unhealthy();
                world.fail_calls("rollback", "NotPermitted", FOR_GOOD);
            }),
            Self::FailsToComplete => world.on_next(MIGRATION, "Complete the migration", |world| {
                world.fail_calls("shift-weight", "NotPermitted", FOR_GOOD);
            }),
            _ => {}
        }
    }

    /// Many names take seconds of each history, so only some are played.
    fn is_large(self) -> bool {
        matches!(self, Self::HasManyNames | Self::HasManyJournals)
    }
}

/// The definition of the migration, parsed.
fn definition() -> Value {
    let found = DEFINITIONS.iter().find(|(arn, _)| *arn == MIGRATION);
    serde_json::from_str(found.unwrap().1).unwrap()
}

/// The state machines with a pause before a state of the migration.
fn paused_before(state: &str) -> Machines {
    fn redirect(value: &mut Value, state: &str) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if ["Next", "Default", "StartAt"].contains(&key.as_str()) && value == state {
                        *value = json!(PAUSE);
                    }
                    redirect(value, state);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| redirect(value, state)),
            _ => {}
        }
    }
    let mut migration = definition();
    redirect(&mut migration, state);
    migration["States"][PAUSE] = json!({"Type": "Wait", "Seconds": 1, "Next": state});
    let migration = migration.to_string();
    let definitions = DEFINITIONS.map(|(arn, text)| {
        let is_migration = arn == MIGRATION;
        (
            arn,
            if is_migration {
                migration.as_str()
            } else {
                text
            },
        )
    });
    machines::parse(&definitions).unwrap()
}

/// Ends the migration there, redrives it then, and plays to the end of everything.
#[track_caller]
fn play((state, course): (&str, Course), place: Place, ending: Ending, moment: Moment) -> Played {
    let about = format!("{state}, {course:?}: {place:?}, {ending:?}, {moment:?}");
    let zone = record_sets_from_cli_json(&course.zone());
    let machines = match place {
        Place::Before => paused_before(state),
        Place::Within => machines::all(),
    };
    let history = History::new(zone, Latency::Same(LATENCY), machines);
    let world = history.world.clone();
    let before = world.route53.record_sets();
    let mut flow = Flow {
        history,
        world: world.clone(),
        longest: Duration::from_hours(30),
    };
    let event_after = match moment {
        Moment::BeforeItsRollback => MINUTE,
        _ => Duration::from_secs(1),
    };
    *world.deliveries.borrow_mut() = Box::new(move || vec![event_after]);
    course.prepare(&world);
    world.start(RUN, &input(&course.fields()));
    match (place, ending) {
        (_, Ending::Failed) => flow.until("its end", |world| !world.executions.is_running(RUN)),
        (Place::Before, _) => flow.until_state(PAUSE),
        (Place::Within, _) => flow.until_state(state),
    }
    match ending {
        Ending::Aborted => world.abort(RUN),
        Ending::TimedOut => world.time_out(RUN),
        Ending::Failed => {}
    }
    wait_for(moment, &mut flow);
    world.is_healthy.set(true);
    world.end_outages();
    if moment == Moment::DuringAnotherMigration {
        world.start(SECOND, &input(&json!({"bakeSeconds": 600})));
        flow.until("the bake of the second migration", |world| {
            let bakes = world.executions.is_running_in(SECOND, "Bake");
            bakes || !world.executions.is_running(SECOND)
        });
    }
    assert!(!world.executions.is_running(RUN), "{about}");
    world.redrive(RUN);
    flow.settle();
    assert_eq!(world.executions.redrives(RUN), 1, "{about}");
    let percent = percent_of(&world);
    let ended = match describe(&world).end {
        Some(End::Succeeded(_)) => "Completed".to_owned(),
        Some(end) => end.failure().map_or("TimedOut", |it| &it.error).to_owned(),
        None => "has not ended".to_owned(),
    };
    let mut problems = Vec::new();
    if world.executions.has_succeeded(SECOND) && percent != 100 {
        problems.push("the second migration has completed".to_owned());
    }
    if ended != "Held" && ![0, 100].contains(&percent) {
        problems.push("is half-shifted".to_owned());
    }
    if percent == 0 && world.route53.record_sets() != before {
        problems.push("the zone is not as before".to_owned());
    }
    let report = flow.history.finish();
    problems.extend(report.violations);
    let problems = problems
        .into_iter()
        .map(|it| format!("{about}: {ended} at {percent} percent: {it}"));
    Played {
        ended: format!("{ended} at {percent}"),
        problems: problems.collect(),
    }
}

/// How the migration has ended, and at which percent, and what is wrong with that.
struct Played {
    ended: String,
    problems: Vec<String>,
}

#[track_caller]
fn wait_for(moment: Moment, flow: &mut Flow) {
    let rollback = |world: &World, state: Option<&str>| {
        let entered = world.entered.borrow();
        let mut entered = entered.iter().filter(|(id, _)| {
            let machine = ROLLBACK.rsplit(':').next();
            machine == Some(id.machine_name()) && id.name() != RUN
        });
        entered.any(|(_, it)| state.is_none_or(|state| state == it))
    };
    match moment {
        Moment::BeforeItsRollback => flow.wait(Duration::from_secs(10)),
        Moment::AtItsRollback => flow.until("a rollback", |world| rollback(world, None)),
        Moment::DuringItsRollback => {
            flow.until("a wait of a rollback", |world| {
                let executions = world.step_functions.executions();
                let all_have_ended = executions.iter().all(|(_, it)| it.end.is_some());
                let waits = rollback(world, Some("Wait out the TTL"));
                waits || (rollback(world, None) && all_have_ended)
            });
        }
        Moment::AfterItsRollback | Moment::DuringAnotherMigration => flow.settle(),
    }
}

#[test]
fn the_table_has_every_state_of_the_definition_and_no_other() {
    let definition = definition();
    let defined: BTreeSet<_> = definition["States"].as_object().unwrap().keys().collect();
    let listed: BTreeSet<_> = STATES.iter().map(|(state, _)| *state).collect();
    let defined: BTreeSet<_> = defined.into_iter().map(String::as_str).collect();
    assert_eq!(listed, defined);
}

#[test]
fn a_redrive_in_any_state_leaves_nothing_half_shifted() {
    let definition = definition();
    let mut outcomes = String::new();
    let mut problems = Vec::new();
    for (state, course) in STATES.iter().copied() {
        let kind = definition["States"][state]["Type"].as_str().unwrap();
        let mut ends = vec![
            (Place::Before, Ending::Aborted),
            (Place::Before, Ending::TimedOut),
        ];
        match kind {
            "Task" | "Wait" => ends.push((Place::Within, Ending::Aborted)),
            "Fail" => ends.push((Place::Within, Ending::Failed)),
            _ => {}
        }
        if course.is_large() {
            ends = vec![(Place::Within, Ending::Aborted)];
        }
        let mut alone = BTreeSet::new();
        let mut with_another = BTreeSet::new();
        for (place, ending) in ends {
            for moment in MOMENTS {
                if course.is_large() && !MOMENTS_OF_MANY_NAMES.contains(&moment) {
                    continue;
                }
                let played = play((state, course), place, ending, moment);
                problems.extend(played.problems);
                let outcomes = match moment {
                    Moment::DuringAnotherMigration => &mut with_another,
                    _ => &mut alone,
                };
                outcomes.insert(played.ended);
            }
        }
        let join = |outcomes: BTreeSet<String>| outcomes.into_iter().collect::<Vec<_>>().join(", ");
        let (alone, with_another) = (join(alone), join(with_another));
        writeln!(
            outcomes,
            "{state} ({course:?}): {alone}; with another migration: {with_another}"
        )
        .unwrap();
    }
    expect![[r#"
        Take the input (Completes): Completed at 100; with another migration: Busy at 100
        Plan the migration (Completes): Completed at 100; with another migration: Busy at 100
        Do the new side's records exist? (Completes): Redriven at 0; with another migration: Redriven at 100
        Wait for the new side's records (WaitsForRecords): NoSuchPair at 0; with another migration: NoSuchPair at 100
        Dry run? (Completes): Redriven at 0; with another migration: Redriven at 100
        Dry run? (IsDryRun): Completed at 0; with another migration: Completed at 100
        Ask the observers (IsDryRun): Completed at 0; with another migration: Completed at 100
        Add the findings to the plan (IsDryRun): Completed at 0; with another migration: Completed at 100
        Any warning to refuse? (Completes): Redriven at 0; with another migration: Redriven at 100
        Any warning to refuse? (IsDryRun): Completed at 0; with another migration: Completed at 100
        Planned (IsDryRun): Completed at 0; with another migration: Completed at 100
        Announce the start (Completes): Redriven at 0; with another migration: Redriven at 100
        Announce that it was refused (IsRefused): InvalidInput at 0; with another migration: InvalidInput at 100
        Announce that it was refused (WaitsForRecords): NoSuchPair at 0; with another migration: NoSuchPair at 100
        Refused (IsRefused): InvalidInput at 0; with another migration: InvalidInput at 100
        Probe switched on? (Completes): Redriven at 0; with another migration: Redriven at 100
        Probe the new side (Completes): Redriven at 0; with another migration: Redriven at 100
        New side ready? (Completes): Redriven at 0; with another migration: Redriven at 100
        Wait before probing again (IsNotReady): Redriven at 0; with another migration: Redriven at 100
        Check alarms before the start (Completes): Redriven at 0; with another migration: Redriven at 100
        Alarms quiet? (Completes): Redriven at 0; with another migration: Redriven at 100
        Wait before checking alarms again (CannotReadAlarms): Redriven at 0; with another migration: Redriven at 100
        Anything to undo? (IsNotReady): NotReady at 0; with another migration: NotReady at 100
        Announce that it did not start (IsNotReady): NotReady at 0; with another migration: NotReady at 100
        Not started (IsNotReady): NotReady at 0; with another migration: NotReady at 100
        Shift weight (Completes): Redriven at 0; with another migration: Redriven at 100
        All names shifted? (Completes): Held at 0, Redriven at 0; with another migration: Held at 100
        Check health during the shift (HasManyNames): Redriven at 0; with another migration: Redriven at 100
        Wait for Route 53's limits (HasManyNames): Redriven at 0; with another migration: Redriven at 100
        Confirm the change (Completes): Held at 0, Redriven at 0; with another migration: Held at 100
        Wait out the TTL (Completes): Held at 0, Redriven at 0; with another migration: Held at 100
        Bake (Completes): Held at 0, Redriven at 0; with another migration: Held at 100
        Approval needed? (Completes): Redriven at 0; with another migration: Redriven at 100
        Ask for approval (AsksForApproval): Held at 0, Redriven at 0; with another migration: Held at 100
        Check health once more (IsPromoted): Held at 0, Redriven at 0; with another migration: Held at 100
        More steps? (Completes): Redriven at 0; with another migration: Redriven at 100
        Complete the migration (Completes): Completed at 100, Held at 0; with another migration: Completed at 100, Held at 100
        All journals deleted? (Completes): Completed at 100; with another migration: Completed at 100
        Wait before deleting more (HasManyJournals): Completed at 100; with another migration: Completed at 100
        Note that the completion failed (FailsToComplete): Held at 0, Held at 100; with another migration: Held at 100
        Announce the completion (Completes): Completed at 100; with another migration: Completed at 100
        Completed (Completes): Completed at 100; with another migration: Completed at 100
        Note the failure (IsUnhealthy): HealthCheckFailed at 0; with another migration: HealthCheckFailed at 100
        Hold or roll back? (IsUnhealthy): HealthCheckFailed at 0; with another migration: HealthCheckFailed at 100
        Hold or roll back? (IsUnhealthyAndHolds): Held at 10; with another migration: Held at 100
        Announce the hold (IsUnhealthyAndHolds): Held at 10; with another migration: Held at 100
        Announce the hold (FailsToComplete): Held at 0, Held at 100; with another migration: Held at 100
        Held (IsUnhealthyAndHolds): Held at 10; with another migration: Held at 100
        Roll back (IsUnhealthy): HealthCheckFailed at 0; with another migration: HealthCheckFailed at 100
        Rolled back (IsUnhealthy): HealthCheckFailed at 0; with another migration: HealthCheckFailed at 100
        Announce that the rollback failed (FailsToRollBack): RollbackFailed at 0; with another migration: RollbackFailed at 100
        Rollback failed (FailsToRollBack): RollbackFailed at 0; with another migration: RollbackFailed at 100
    "#]].assert_eq(&outcomes);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
