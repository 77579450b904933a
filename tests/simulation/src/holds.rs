//! Alarms that fire while a migration is held.

use std::time::Duration;

use expect_test::expect;
use fakes::{Fault, LIST};
use migration::executions::{Executions as _, HOLDING};
use serde_json::{Value, json};

use crate::Simulation;
use crate::events::{
    ALARM, ALARM_ACTION, FAR_FUTURE, alarm_event, alarm_event_now, at_50_percent,
    hold_at_50_percent, watching,
};
use crate::invariants::{of_one_name, reweigh, run};
use crate::world::{documented, status_event};
use crate::zones::BLUE;

fn watching_alarm() -> Value {
    watching(&json!({"names": [ALARM]}))
}

/// A migration of one name that watches the alarm.
fn of(name: &str) -> Value {
    let mut input = watching_alarm();
    input["names"] = json!([format!("{name}.eks-blueprint.example.com")]);
    input
}

/// A migration at 50 percent that ends by `end`.
fn held(input: &Value, end: impl Fn(&Simulation)) -> Simulation {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", input);
    end(&simulation);
    simulation
}

fn hold(simulation: &Simulation) {
    let cause = "Drift: another writer changed a weight";
    simulation.executions.fail("run", "Held", cause);
}

/// The alarm rolls the migration back, and one report announces it.
#[track_caller]
fn check_rolled_back(simulation: &Simulation, event: &Value) {
    let rolled_back = simulation.roll_back_all(event).unwrap();
    let reports = rolled_back["migrations"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(reports[0]["status"], "RolledBack");
    assert_eq!(reports[0]["stopped"], false);
    let original = Simulation::blueprint().route53.to_cli_json();
    assert_eq!(simulation.route53.to_cli_json(), original);
    // The event is delivered a second time.
    let again = simulation.roll_back_all(event).unwrap();
    assert_eq!(again["migrations"], json!([]));
}

/// The alarm restores and reports nothing, and the rollback ends after its first pass.
#[track_caller]
fn check_kept(simulation: &Simulation, event: &Value) {
    let before = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(event)).unwrap();
    assert_eq!(answer["migrations"], json!([]));
    assert_eq!(answer["problems"], json!([]));
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn an_alarm_rolls_a_held_migration_back() {
    for event in [
        alarm_event_now,
        |_: &Simulation, alarm: &str| json!({"alarm": alarm}),
    ] {
        let simulation = held(&watching_alarm(), hold);
        // The status event of the hold has kept the weights.
        check_kept(&simulation, &status_event("run", "FAILED"));
        check_rolled_back(&simulation, &event(&simulation, ALARM));
    }
}

/// At the last step, because its journals could not be deleted.
#[test]
fn an_alarm_rolls_a_migration_back_that_could_not_complete() {
    let simulation = Simulation::blueprint();
    let planned = at_50_percent(&simulation, "run", &watching_alarm());
    run(simulation.shift(&planned, 2)).unwrap();
    simulation.executions.fail("run", "Held", "ChangeRefused");
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

#[test]
fn an_alarm_rolls_a_migration_back_that_was_stopped_while_it_announced_its_hold() {
    for stop in [
        |simulation: &Simulation| simulation.executions.abort("run"),
        |simulation: &Simulation| simulation.executions.time_out("run"),
    ] {
        let simulation = held(&watching_alarm(), |simulation| {
            simulation.executions.enter("run", HOLDING);
            stop(simulation);
        });
        simulation
            .roll_back_all(&status_event("run", "ABORTED"))
            .unwrap();
        // Not at the time of the stop, as if the alarm had caused it.
        simulation.world.clock.pass(Duration::from_secs(1));
        check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
    }
}

/// Its names are being restored, and are announced by that rollback.
#[test]
fn an_alarm_leaves_a_migration_to_the_rollback_that_stopped_it_while_it_announced_its_hold() {
    for error in ["StoppedForRollback", "StoppedByAlarmAction"] {
        let simulation = held(&watching_alarm(), |simulation| {
            simulation.executions.enter("run", HOLDING);
            run(simulation.executions.stop("run", error, "")).unwrap();
        });
        simulation.world.clock.pass(Duration::from_secs(1));
        check_kept(&simulation, &alarm_event_now(&simulation, ALARM));
    }
}

/// The event of its end rolls it back.
#[test]
fn an_alarm_leaves_a_migration_that_was_stopped_at_a_step_to_the_event_of_its_end() {
    let simulation = held(&watching_alarm(), |simulation| {
        simulation.executions.abort("run");
    });
    simulation.world.clock.pass(Duration::from_secs(1));
    check_kept(&simulation, &alarm_event_now(&simulation, ALARM));
}

#[test]
fn an_alarm_repeats_the_failed_rollback_of_a_migration() {
    let simulation = held(&watching_alarm(), |simulation| {
        simulation
            .executions
            .fail("run", "RollbackFailed", "HealthCheckFailed");
    });
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

/// It is described as running, and ends as held before it can be stopped.
#[test]
fn an_alarm_rolls_a_migration_back_that_has_just_held() {
    let simulation = held(&watching_alarm(), |simulation| {
        simulation
            .executions
            .fail_while_described_as_running("run", "Held");
    });
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

/// Whatever it holds because of.
#[test]
fn an_alarm_keeps_a_held_migration_with_on_failure_hold() {
    let mut input = watching_alarm();
    input["onFailure"] = json!("hold");
    let simulation = held(&input, hold);
    for event in [alarm_event_now(&simulation, ALARM), json!({"alarm": ALARM})] {
        check_kept(&simulation, &event);
    }
    // It ends before the alarm can stop it.
    for error in ["Held", "RollbackFailed"] {
        let just_ended = held(&input, |simulation| {
            simulation
                .executions
                .fail_while_described_as_running("run", error);
        });
        let at_50 = just_ended.route53.to_cli_json();
        let event = alarm_event_now(&just_ended, ALARM);
        let rolled_back = just_ended.roll_back_all(&event).unwrap();
        assert_eq!(rolled_back["restored"], 0, "{error}");
        assert_eq!(just_ended.route53.to_cli_json(), at_50, "{error}");
    }
}

#[test]
fn another_alarm_keeps_a_held_migration() {
    let simulation = held(&watching_alarm(), hold);
    check_kept(&simulation, &alarm_event_now(&simulation, "another"));
    let simulation = held(&watching(&json!({"prefixes": ["blue-"]})), hold);
    check_kept(&simulation, &alarm_event_now(&simulation, ALARM));
}

/// It has checked the alarm at its start.
#[test]
fn an_alarm_from_before_the_start_keeps_a_held_migration() {
    let event = alarm_event_now(&Simulation::blueprint(), ALARM);
    check_kept(&held(&watching_alarm(), hold), &event);
}

#[test]
fn an_alarm_rolls_a_migration_back_that_has_held_for_almost_30_days() {
    let simulation = held(&watching_alarm(), hold);
    simulation.world.clock.pass(Duration::from_hours(29 * 24));
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

/// The lookup of held executions is limited.
#[test]
fn an_alarm_keeps_a_migration_that_has_held_for_longer_than_30_days() {
    let simulation = held(&watching_alarm(), hold);
    assert!(alarm_event(ALARM).to_string().contains(FAR_FUTURE));
    check_kept(&simulation, &alarm_event(ALARM));
}

#[test]
fn an_alarm_looks_up_the_latest_hundred_executions_that_have_ended() {
    let held_before = |count: usize| {
        let simulation = held(&watching_alarm(), hold);
        for number in 1..count {
            let name = format!("refused-{number}");
            simulation.executions.start(&name, watching_alarm());
            let cause = "the name is locked -- No weight was changed.";
            simulation.executions.fail(&name, "Busy", cause);
        }
        simulation
    };
    let hundred = held_before(100);
    check_rolled_back(&hundred, &alarm_event_now(&hundred, ALARM));
    let more = held_before(101);
    check_kept(&more, &alarm_event_now(&more, ALARM));
}

/// Its journals belong to the newer execution, which does not watch the alarm, or holds as well.
#[test]
fn an_alarm_keeps_names_that_a_newer_execution_has_adopted() {
    for newer_holds in [false, true] {
        let simulation = held(&watching_alarm(), hold);
        let planned = run(simulation.plan("newer", &of_one_name())).unwrap();
        run(simulation.shift(&planned, 0)).unwrap();
        if newer_holds {
            simulation
                .executions
                .fail("newer", "Held", "ApprovalRefused");
        }
        let rolled_back = simulation
            .roll_back_all(&alarm_event_now(&simulation, ALARM))
            .unwrap();
        assert_eq!(rolled_back["restored"], 6);
        assert_eq!(simulation.executions.is_running("newer"), !newer_holds);
        let journals = simulation
            .route53
            .to_cli_json()
            .matches("/newer\\\" \\\"from=")
            .count();
        assert_eq!(journals, 1);
        check_kept(&simulation, &alarm_event_now(&simulation, ALARM));
    }
}

/// The operator had rolled it back already.
#[test]
fn an_alarm_after_the_rollback_of_a_held_migration_finds_nothing_to_do() {
    let simulation = held(&watching_alarm(), hold);
    simulation.roll_back_whole("run").unwrap();
    let answer = run(simulation.roll_back(&alarm_event_now(&simulation, ALARM))).unwrap();
    expect![[r#"
        no migration that is running or held watches the alarm green-5xx-errors
    "#]]
    .assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    check_kept(&simulation, &alarm_event_now(&simulation, ALARM));
}

/// The weights that made it hold are overwritten, and reported.
#[test]
fn an_alarm_restores_the_original_weights_of_a_migration_that_holds_because_of_drift() {
    let simulation = held(&of("burnham"), |simulation| {
        simulation
            .route53
            .edit(|it| reweigh(it, "burnham.eks-blueprint.example.com", BLUE, 77));
        hold(simulation);
    });
    let answer = run(simulation.roll_back(&alarm_event_now(&simulation, ALARM))).unwrap();
    let report = &answer["migrations"][0];
    expect![[r#"
        the alarm green-5xx-errors fired: Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition). (the migration was held)
        [
          "burnham.eks-blueprint.example.com: the A record of eks-blueprint-blue had weight 77 instead of 50",
          "burnham.eks-blueprint.example.com: the AAAA record of eks-blueprint-blue had weight 77 instead of 50"
        ]
    "#]].assert_eq(&format!(
        "{}\n{:#}\n",
        report["reason"].as_str().unwrap(),
        report["found"]
    ));
    let original = Simulation::blueprint().route53.to_cli_json();
    assert_eq!(simulation.route53.to_cli_json(), original);
}

/// The state machine that the event of the same alarm starts announces it, and makes further passes.
#[test]
fn the_action_of_an_alarm_leaves_held_migrations_to_its_event() {
    let simulation = held(&watching_alarm(), hold);
    let mut event = documented(ALARM_ACTION);
    event["alarmData"]["alarmName"] = json!(ALARM);
    event["alarmData"]["state"]["timestamp"] =
        alarm_event_now(&simulation, ALARM)["detail"]["state"]["timestamp"].clone();
    check_kept(&simulation, &event);
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

#[test]
fn an_alarm_rolls_running_and_held_migrations_back() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    hold_at_50_percent(&simulation, "held", &of("burnham"));
    at_50_percent(&simulation, "running", &of("skiapp"));
    let answer = run(simulation.roll_back(&alarm_event_now(&simulation, ALARM))).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
    expect![[r#"
        restored the original weights of 1 name (execution running); restored the original weights of 1 name (execution held)
    "#]].assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    assert_eq!(answer["executions"], json!(["held", "running"]));
}

/// The zone of an old execution was deleted since.
#[test]
fn a_held_migration_of_a_deleted_zone_does_not_fail_the_rollback_of_another() {
    let simulation = held(&watching_alarm(), hold);
    let mut elsewhere = watching_alarm();
    elsewhere["hostedZoneId"] = json!("Z0ELSEWHERE");
    simulation.executions.start("elsewhere", elsewhere);
    simulation.executions.fail("elsewhere", "Held", "Drift");
    check_rolled_back(&simulation, &alarm_event_now(&simulation, ALARM));
}

pub(crate) fn two_held() -> Simulation {
    let simulation = Simulation::blueprint();
    for (execution, name) in [("first", "burnham"), ("second", "skiapp")] {
        hold_at_50_percent(&simulation, execution, &of(name));
    }
    simulation
}

#[test]
fn a_zone_is_read_once_to_find_its_held_migrations_and_once_to_restore_each() {
    let simulation = two_held();
    let network = &simulation.world.network;
    let before = network.calls_of(LIST);
    run(simulation.roll_back(&alarm_event_now(&simulation, ALARM))).unwrap();
    assert_eq!(network.calls_of(LIST) - before, 3);
}

/// Nothing but the answer of the pass names the first of them, so a fault at the second must not lose it.
#[test]
fn two_held_migrations_are_rolled_back_and_announced_although_one_call_fails() {
    let before = Simulation::blueprint().route53.to_cli_json();
    let calls = {
        let simulation = two_held();
        let first = simulation.world.network.calls();
        run(simulation.roll_back(&alarm_event_now(&simulation, ALARM))).unwrap();
        first..simulation.world.network.calls()
    };
    for call in calls {
        let simulation = two_held();
        let event = alarm_event_now(&simulation, ALARM);
        simulation
            .world
            .network
            .inject_fault(call, Fault::Throttled);
        let rolled_back = simulation.roll_back_all(&event).unwrap();
        assert_eq!(simulation.route53.to_cli_json(), before, "call {call}");
        let mut announced: Vec<_> = rolled_back["migrations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|report| report["execution"].as_str().unwrap().to_owned())
            .collect();
        announced.sort();
        announced.dedup();
        assert_eq!(announced, ["first", "second"], "call {call}");
    }
}
