//! Rollbacks that an event starts: of an alarm, or of the end of an execution.

use std::time::{Duration, SystemTime};

use expect_test::expect;
use fakes::{CHANGE, Fault, LIST, Time};
use migration::executions::{HOLDING, ROLLING_BACK};
use serde_json::{Value, json};

use crate::invariants::{canary, large_zone, run};
use crate::later_passes::next_pass;
use crate::world::{self, documented, status_event};
use crate::{Simulation, ZONE_ID};

const COMPOSITE_ALARM_EVENT: &str =
    include_str!("../../events/cloudwatch-composite-alarm-state-change.json");
pub(crate) const ALARM_ACTION: &str = include_str!("../../events/cloudwatch-alarm-action.json");

pub(crate) const ALARM: &str = "green-5xx-errors";
/// A time after every other one of a test, in the format of CloudWatch.
pub(crate) const FAR_FUTURE: &str = "9999-12-31T23:59:59.000+0000";

/// More names than a shift or a completion writes in one batch.
const NAMES: usize = 250;
/// The pages of that zone during a migration, with two record sets and a journal per name.
const PAGES: usize = 3;

pub(crate) fn alarm_event(alarm: &str) -> Value {
    let mut event = world::alarm_event(alarm, "ALARM", SystemTime::UNIX_EPOCH);
    event["detail"]["state"]["timestamp"] = json!(FAR_FUTURE);
    event
}

/// The event of an alarm that fires now.
pub(crate) fn alarm_event_now(simulation: &Simulation, alarm: &str) -> Value {
    world::alarm_event(alarm, "ALARM", simulation.world.clock.now())
}

pub(crate) fn watching(alarms: &Value) -> Value {
    let mut input = canary();
    input["alarms"] = alarms.clone();
    input
}

/// Plans a migration and shifts it to 50 percent.
pub(crate) fn at_50_percent(simulation: &Simulation, execution: &str, input: &Value) -> Value {
    let planned = run(simulation.plan(execution, input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    run(simulation.shift(&planned, 1)).unwrap();
    planned
}

/// Shifts a migration to 50 percent, where it holds because of drift.
pub(crate) fn hold_at_50_percent(simulation: &Simulation, execution: &str, input: &Value) {
    at_50_percent(simulation, execution, input);
    simulation.executions.fail(execution, "Held", "Drift");
}

/// The execution `run`, which was aborted at 50 percent.
pub(crate) fn aborted(input: &Value) -> Simulation {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", input);
    simulation.executions.abort("run");
    simulation
}

/// The zone of [`aborted`] as it was before the migration.
pub(crate) fn original() -> String {
    Simulation::blueprint().route53.to_cli_json()
}

/// A migration that watches `alarms` is stopped and rolled back by `event`.
#[track_caller]
fn check_rolled_back(alarms: &Value, event: &Value) {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    at_50_percent(&simulation, "run", &watching(alarms));
    let rolled_back = simulation.roll_back_all(event).unwrap();
    assert_eq!(rolled_back["restored"], 7);
    assert_eq!(rolled_back["migrations"][0]["status"], "RolledBack");
    assert_eq!(rolled_back["migrations"][0]["stopped"], true);
    assert_eq!(
        simulation.executions.error("run").as_deref(),
        Some("StoppedForRollback")
    );
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn an_alarm_rolls_back_the_migration_that_watches_it() {
    check_rolled_back(&json!({"names": [ALARM]}), &alarm_event(ALARM));
    check_rolled_back(&json!({"prefixes": ["green-"]}), &alarm_event(ALARM));
    check_rolled_back(&json!({"names": [ALARM]}), &json!({"alarm": ALARM}));
}

#[test]
fn a_composite_alarm_rolls_back_the_migration_that_watches_it() {
    let mut event = documented(COMPOSITE_ALARM_EVENT);
    event["detail"]["state"]["timestamp"] = json!(FAR_FUTURE);
    check_rolled_back(&json!({"names": ["ServiceAggregatedAlarm"]}), &event);
}

#[test]
fn an_alarm_with_the_function_as_its_action_rolls_back_the_migration() {
    let mut event = documented(ALARM_ACTION);
    event["alarmData"]["state"]["timestamp"] = json!(FAR_FUTURE);
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let alarms = json!({"names": ["lambda-demo-metric-alarm"]});
    at_50_percent(&simulation, "run", &watching(&alarms));
    let answer = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(simulation.route53.to_cli_json(), before);
    // CloudWatch ignores that answer, so the rollback that the status event starts has to report it.
    let rolled_back = simulation
        .roll_back_all(&status_event("run", "ABORTED"))
        .unwrap();
    let reports = rolled_back["migrations"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(reports[0]["status"], "RolledBack");
    assert_eq!(
        reports[0]["reason"],
        "the execution ended with status ABORTED: StoppedByAlarmAction: the alarm lambda-demo-metric-alarm fired: test"
    );
}

#[test]
fn a_rollback_report_has_status_weights_and_reason() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    let answer = run(simulation.roll_back(&alarm_event(ALARM))).unwrap();
    expect![[r#"
        [
          {
            "status": "RolledBack",
            "execution": "run",
            "executionArn": "arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:run",
            "hostedZoneId": "Z0BLUEPRINT",
            "zoneName": "eks-blueprint.example.com",
            "from": "eks-blueprint-blue",
            "to": "eks-blueprint-green",
            "reason": "the alarm green-5xx-errors fired: Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition).",
            "stopped": true,
            "percentBefore": 50,
            "percent": 0,
            "names": 7,
            "weights": {
              "100/0": 10,
              "255/0": 1,
              "90/0": 1
            },
            "found": []
          }
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["migrations"]));
}

/// Runs a rollback, and checks that it makes no second pass, before which it would wait.
#[track_caller]
fn roll_back_in_one_pass(simulation: &Simulation, event: &Value) -> Value {
    let before = simulation.world.clock.elapsed();
    let rolled_back = simulation.roll_back_all(event).unwrap();
    assert_eq!(simulation.world.clock.elapsed(), before);
    rolled_back
}

/// `event` stops nothing and writes nothing, and the rollback is done after its first pass.
#[track_caller]
fn check_nothing_is_done(input: &Value, event: &Value, expect: &expect_test::Expect) {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", input);
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(event)).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(answer["migrations"], json!([]));
    expect.assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    assert!(simulation.executions.is_running("run"));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

#[test]
fn a_migration_that_does_not_watch_the_alarm_keeps_running() {
    let watching = watching(&json!({"names": ["another"], "prefixes": ["blue-"]}));
    check_nothing_is_done(
        &watching,
        &alarm_event(ALARM),
        &expect![[r#"
            no migration that is running or held watches the alarm green-5xx-errors
        "#]],
    );
}

/// The migration started after the alarm had fired, and found it quiet.
#[test]
fn a_late_alarm_event_does_not_stop_a_migration_that_started_after_the_alarm() {
    let mut event = alarm_event(ALARM);
    event["detail"]["state"]["timestamp"] = json!("2019-10-02T17:04:40.989+0000");
    check_nothing_is_done(
        &watching(&json!({"names": [ALARM]})),
        &event,
        &expect![[r#"
            no migration that is running or held watches the alarm green-5xx-errors
        "#]],
    );
}

#[test]
fn an_alarm_that_clears_does_not_roll_back() {
    let mut event = alarm_event(ALARM);
    event["detail"]["state"]["value"] = json!("OK");
    check_nothing_is_done(
        &watching(&json!({"names": [ALARM]})),
        &event,
        &expect![[r#"
            the alarm green-5xx-errors is in state OK; only ALARM starts a rollback
        "#]],
    );
}

#[test]
fn a_status_event_of_a_running_or_succeeded_execution_does_not_roll_back() {
    for status in ["RUNNING", "SUCCEEDED"] {
        let simulation = Simulation::blueprint();
        let answer = run(simulation.roll_back(&status_event("run", status))).unwrap();
        assert_eq!(answer["done"], true);
        assert_eq!(simulation.world.network.calls(), 0);
    }
}

#[test]
fn an_event_of_another_type_is_refused() {
    let simulation = Simulation::blueprint();
    let event = json!({"detail-type": "EC2 Instance State-change Notification", "detail": {}});
    let error = run(simulation.roll_back(&event)).unwrap_err();
    expect![[r#"
        InvalidInput: detail-type: expected "CloudWatch Alarm State Change" or "Step Functions Execution Status Change", found "EC2 Instance State-change Notification"
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    let mut event = alarm_event(ALARM);
    event["detail"]["state"]["timestamp"] = json!("yesterday");
    let error = run(simulation.roll_back(&event)).unwrap_err();
    expect![[r#"
        InvalidInput: state.timestamp: expected a time such as 2019-10-02T17:04:40.989+0000, found "yesterday"
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
}

/// Rolls back a migration with this `onFailure`, by its alarm's event and by a request for the alarm, with each fault
/// at each call of the first pass. If the first attempt stops the migration and then fails, the next one finds it
/// among the aborted executions.
fn for_each_fault(on_failure: &str, check: impl Fn(&str, &Simulation, &Value)) {
    let mut input = watching(&json!({"names": [ALARM]}));
    input["onFailure"] = json!(on_failure);
    for is_event in [true, false] {
        let start = || {
            let simulation = Simulation::blueprint();
            at_50_percent(&simulation, "run", &input);
            let event = alarm_event_now(&simulation, ALARM);
            let request = if is_event {
                event
            } else {
                json!({"alarm": ALARM})
            };
            (simulation, request)
        };
        let calls = {
            let (simulation, request) = start();
            let before = simulation.world.network.calls();
            run(simulation.roll_back(&request)).unwrap();
            before..simulation.world.network.calls()
        };
        for call in calls {
            for (name, fault) in [
                ("throttled", Fault::Throttled),
                ("unavailable", Fault::Unavailable),
                ("answer lost", Fault::AnswerLost),
            ] {
                let (simulation, request) = start();
                simulation.world.network.inject_fault(call, fault);
                let rolled_back = simulation.roll_back_all(&request).unwrap();
                let about = format!("{name} at call {call}, event: {is_event}");
                check(&about, &simulation, &rolled_back);
            }
        }
    }
}

#[test]
fn a_rollback_for_an_alarm_with_a_fault_at_any_call_still_restores_the_zone() {
    for_each_fault("rollback", |about, simulation, rolled_back| {
        assert_eq!(simulation.route53.to_cli_json(), original(), "{about}");
        assert_eq!(rolled_back["restored"], 7, "{about}");
    });
}

#[test]
fn a_hold_for_an_alarm_with_a_fault_at_any_call_is_announced() {
    for_each_fault("hold", |about, simulation, rolled_back| {
        assert_eq!(simulation.executions.error("run").as_deref(), Some("Held"));
        let reports = rolled_back["migrations"].as_array().unwrap();
        let statuses: Vec<_> = reports.iter().map(|it| &it["status"]).collect();
        assert_eq!(statuses, ["Held"], "{about}");
    });
}

#[test]
fn every_migration_that_watches_the_alarm_is_rolled_back_and_no_other() {
    let simulation = Simulation::blueprint();
    let input = |name: &str, alarm: &str| {
        let mut input = watching(&json!({"names": [alarm]}));
        input["names"] = json!([format!("{name}.eks-blueprint.example.com")]);
        input
    };
    at_50_percent(&simulation, "one", &input("burnham", ALARM));
    at_50_percent(&simulation, "two", &input("skiapp", ALARM));
    at_50_percent(&simulation, "three", &input("argocd", "another"));
    let rolled_back = simulation.roll_back_all(&alarm_event(ALARM)).unwrap();
    let reports: Vec<_> = rolled_back["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| (&report["execution"], &report["names"]))
        .collect();
    assert_eq!(
        reports,
        [(&json!("one"), &json!(1)), (&json!("two"), &json!(1))]
    );
    assert!(simulation.executions.is_running("three"));
    assert_eq!(
        simulation.route53.to_cli_json().matches("_cutover").count(),
        1
    );
}

/// Neither the alarm nor the status event of the stopped execution restores the weights.
#[test]
fn an_alarm_stops_a_migration_with_on_failure_hold_and_keeps_its_weights() {
    let simulation = Simulation::blueprint();
    let mut input = watching(&json!({"names": [ALARM]}));
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    let at_50 = simulation.route53.to_cli_json();

    let held = roll_back_in_one_pass(&simulation, &alarm_event(ALARM));
    assert_eq!(
        held["message"],
        "held the migration: kept the weights and journals of 7 names (execution run)"
    );
    assert_eq!(held["migrations"][0]["status"], "Held");
    assert_eq!(held["migrations"][0]["stopped"], true);
    assert!(!simulation.executions.is_running("run"));
    assert_eq!(simulation.executions.error("run").as_deref(), Some("Held"));

    let rolled_back = simulation
        .roll_back_all(&status_event("run", "ABORTED"))
        .unwrap();
    assert_eq!(rolled_back["migrations"], json!([]));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

#[test]
fn an_unsuccessful_execution_is_rolled_back_by_an_event_without_its_input() {
    for status in ["FAILED", "ABORTED", "TIMED_OUT"] {
        let simulation = aborted(&canary());
        let mut event = status_event("run", status);
        event["detail"]["input"] = Value::Null;
        event["detail"]["inputDetails"] = json!({"included": false});
        let rolled_back = simulation.roll_back_all(&event).unwrap();
        assert_eq!(rolled_back["restored"], 7);
        assert_eq!(simulation.route53.to_cli_json(), original());
        // The event is delivered a second time.
        let again = simulation.roll_back_all(&event).unwrap();
        assert_eq!(again["restored"], 0);
        assert_eq!(simulation.route53.to_cli_json(), original());
    }
}

/// `DescribeExecution` is eventually consistent, and only an execution that has ended shows whether it
/// holds.
#[test]
fn a_status_event_is_retried_while_its_execution_is_described_as_running() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    let at_50 = simulation.route53.to_cli_json();
    let error = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap_err();
    assert_eq!(
        error.name(),
        "Unavailable",
        "which the state machine retries: {error}"
    );
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

#[test]
fn an_execution_redriven_after_its_status_event_is_not_rolled_back() {
    let simulation = aborted(&canary());
    simulation.executions.redrive("run");
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// It was rolled back and continues with the plan, the probe and the alarms of then.
#[test]
fn a_redriven_execution_shifts_nothing() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let shift = |planned: &Value, step: usize| run(simulation.shift(planned, step));
    shift(&planned, 0).unwrap();
    simulation.executions.abort("run");
    simulation
        .roll_back_all(&status_event("run", "ABORTED"))
        .unwrap();
    simulation.executions.redrive("run");
    let restored = simulation.route53.to_cli_json();
    for step in [0, 1] {
        let error = shift(&planned, step).unwrap_err();
        assert_eq!(error.name(), "Redriven", "{error}");
    }
    let error = shift(&planned, 0).unwrap_err();
    expect![[r#"
        Redriven: the execution run was redriven after its plan (redrives now: 1, when it was planned: 0), and may have been rolled back since; nothing more is shifted; start a new execution with the same input
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(simulation.route53.to_cli_json(), restored);
    // An execution that was redriven before its plan is planned anew.
    let event = json!({"operation": "plan", "execution": "run", "redrives": 1, "input": canary()});
    let planned = run(simulation.shift_weight(&event)).unwrap();
    for step in [0, 1] {
        shift(&planned, step).unwrap();
    }
}

/// It was not rolled back, because it was redriven before its status event arrived. Its plan takes its earlier
/// journals over, and a rollback undoes them all.
#[test]
fn a_redriven_execution_that_plans_again_adopts_its_own_journals() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    simulation.executions.redrive("run");
    let event = json!({"operation": "plan", "execution": "run", "redrives": 1, "input": canary()});
    let again = run(simulation.shift_weight(&event)).unwrap();
    assert_eq!(again["migration"]["startPercent"], 10);
    run(simulation.shift(&again, 0)).unwrap();
    run(simulation.confirm(&again, 50, &json!([]))).unwrap();
    // The journals from before the redrive do not pass as its own.
    let error = run(simulation.confirm(&planned, 10, &json!([]))).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// For example because of drift, whatever `onFailure` says.
#[test]
fn an_execution_that_failed_as_held_keeps_its_weights() {
    let simulation = Simulation::blueprint();
    hold_at_50_percent(&simulation, "run", &canary());
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    expect![[r#"
        the execution run ended with the error Held: its weights and journals are kept
    "#]]
    .assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// It had decided to hold because of another writer's change, and was notifying of that.
#[test]
fn an_execution_aborted_while_it_announces_a_hold_stays_held() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.enter("run", HOLDING);
    simulation.executions.abort("run");
    let at_50 = simulation.route53.to_cli_json();
    let held = simulation
        .roll_back_all(&status_event("run", "ABORTED"))
        .unwrap();
    assert_eq!(held["migrations"][0]["status"], "Held");
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// Found with seed 329: a migration whose `onFailure` is `hold` was rolling back because of drift, and
/// timed out.
#[test]
fn an_execution_that_ends_while_it_rolls_back_is_rolled_back_whatever_on_failure_is() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut input = canary();
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    simulation.executions.enter("run", ROLLING_BACK);
    simulation.executions.time_out("run");
    let rolled_back = simulation
        .roll_back_all(&status_event("run", "TIMED_OUT"))
        .unwrap();
    assert_eq!(rolled_back["migrations"][0]["status"], "RolledBack");
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn an_aborted_migration_with_on_failure_hold_is_reported_and_keeps_its_weights() {
    let mut input = canary();
    input["onFailure"] = json!("hold");
    let simulation = aborted(&input);
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "ABORTED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(answer["migrations"][0]["status"], "Held");
    assert_eq!(answer["migrations"][0]["names"], 7);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// The weights that an earlier execution holds remain.
#[test]
fn an_execution_that_wrote_nothing_rolls_nothing_back() {
    let simulation = Simulation::blueprint();
    hold_at_50_percent(&simulation, "held", &canary());
    let at_50 = simulation.route53.to_cli_json();
    run(simulation.plan("second", &canary())).unwrap();
    simulation.executions.abort("second");
    let rolled_back = simulation
        .roll_back_all(&status_event("second", "ABORTED"))
        .unwrap();
    assert_eq!(rolled_back["restored"], 0);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
    // The same for an execution with an invalid input.
    simulation
        .executions
        .start("third", json!({"hostedZoneId": ZONE_ID}));
    simulation.executions.abort("third");
    roll_back_in_one_pass(&simulation, &status_event("third", "FAILED"));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// The list of executions still shows it as running. What has completed is rolled back on request only.
#[test]
fn an_alarm_leaves_a_migration_that_has_just_completed() {
    let simulation = Simulation::blueprint();
    let input = watching(&json!({"names": [ALARM]}));
    let planned = at_50_percent(&simulation, "run", &input);
    run(simulation.shift(&planned, 2)).unwrap();
    run(simulation.complete(&planned)).unwrap();
    simulation.world.clock.pass(Duration::from_secs(10));
    simulation.executions.succeed("run");
    simulation.world.clock.pass(Duration::from_secs(1));
    let mut lags = vec![Duration::from_secs(5)];
    simulation
        .executions
        .lag(Box::new(move || lags.pop().unwrap_or_default()));
    let before = simulation.route53.to_cli_json();
    let event = alarm_event_now(&simulation, ALARM);
    let answer = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(answer["migrations"], json!([]));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// The migration state machine announces its own failure.
#[test]
fn the_event_of_a_failed_execution_that_has_rolled_itself_back_announces_nothing() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    let request = json!({"execution": "run", "requestedBy": "run", "adopted": []});
    simulation.roll_back_all(&request).unwrap();
    simulation
        .executions
        .fail("run", "HealthCheckFailed", "unhealthy");
    let event = status_event("run", "FAILED");
    let answer = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(answer["restored"], 0);
    assert_eq!(answer["migrations"], json!([]));
}

/// It ends between two batches of its first shift: some names have its journals, the others those of
/// the held execution. All are restored, even with a fault at any call of the rollback.
#[test]
fn an_execution_that_adopted_only_some_names_rolls_back_all_names_of_the_adopted_one() {
    let zone = large_zone(NAMES);
    let calls = {
        let simulation = adopts_only_some_names(&zone);
        let before = simulation.world.network.calls();
        run(simulation.roll_back(&status_event("second", "ABORTED"))).unwrap();
        before..simulation.world.network.calls()
    };
    let original = Simulation::new(&zone).route53.to_cli_json();
    for call in calls {
        let simulation = adopts_only_some_names(&zone);
        simulation
            .world
            .network
            .inject_fault(call, Fault::Throttled);
        simulation
            .roll_back_all(&status_event("second", "ABORTED"))
            .unwrap();
        assert_eq!(simulation.route53.to_cli_json(), original, "call {call}");
    }
}

/// An execution that adopted some names of a held one and was aborted.
fn adopts_only_some_names(zone: &str) -> Simulation {
    let simulation = Simulation::new(zone);
    hold_at_50_percent(&simulation, "held", &canary());
    let planned = run(simulation.plan("second", &canary())).unwrap();
    let batches = simulation.route53.batches().len();
    // Its first batch is accepted and its second one throttled.
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    let shifted = run(simulation.shift(&planned, 0)).unwrap();
    assert_ne!(shifted["remaining"], 0);
    assert_eq!(simulation.route53.batches().len(), batches + 1);
    simulation.executions.abort("second");
    simulation
}

/// Whichever call of `complete` is the last one: all names are restored, or all are completed.
#[test]
fn an_aborted_completion_is_rolled_back_or_finished_for_all_names() {
    let zone = large_zone(NAMES);
    let before = Simulation::new(&zone).route53.record_sets();
    let (completed, calls) = {
        let simulation = Simulation::new(&zone);
        let planned = at_100_percent(&simulation);
        let first = simulation.world.network.calls();
        run(simulation.complete(&planned)).unwrap();
        (
            simulation.route53.record_sets(),
            first..simulation.world.network.calls(),
        )
    };
    let mut outcomes = std::collections::BTreeSet::new();
    for call in calls {
        for is_applied in [false, true] {
            let simulation = Simulation::new(&zone);
            let planned = at_100_percent(&simulation);
            // The process ends at this call: no later call arrives.
            let fault = if is_applied {
                Fault::AnswerLost
            } else {
                Fault::Unavailable
            };
            let network = &simulation.world.network;
            network.inject_fault(call, fault);
            for later in 1..10 {
                network.inject_fault(call + later, Fault::Unavailable);
            }
            // After the first batch of deletions, it answers that journals are left.
            let interrupted = run(simulation.complete(&planned));
            assert!(interrupted.map_or(true, |it| it["remaining"] != 0));
            network.clear_faults();
            simulation.executions.abort("run");
            simulation
                .roll_back_all(&status_event("run", "ABORTED"))
                .unwrap();
            simulation.expect_invariants();
            let after = simulation.route53.record_sets();
            assert!(
                after == before || after == completed,
                "call {call}: half-shifted"
            );
            outcomes.insert(after == completed);
        }
    }
    assert_eq!(
        outcomes.len(),
        2,
        "some calls are before the mark, some after it"
    );
}

fn at_100_percent(simulation: &Simulation) -> Value {
    let planned = at_50_percent(simulation, "run", &canary());
    run(simulation.shift(&planned, 2)).unwrap();
    planned
}

/// The rollback has restored the first name, so a late completion finds no journal there.
#[test]
fn a_completion_is_refused_after_a_rollback_has_started() {
    let zone = large_zone(NAMES);
    let simulation = Simulation::new(&zone);
    let before = simulation.route53.record_sets();
    let planned = at_100_percent(&simulation);
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    let pass = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_ne!(pass["unfinished"], Value::Null);
    let error = run(simulation.complete(&planned)).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// A second alarm, or an alarm after a failed probe, must not stop the rollback that is running.
#[test]
fn an_alarm_does_not_stop_a_migration_that_is_rolling_back() {
    for reaction in ["rollback", "hold"] {
        let simulation = Simulation::blueprint();
        let before = simulation.route53.to_cli_json();
        let mut input = watching(&json!({"names": [ALARM]}));
        input["onFailure"] = json!(reaction);
        at_50_percent(&simulation, "run", &input);
        simulation.executions.enter("run", ROLLING_BACK);
        for request in [alarm_event(ALARM), json!({"execution": "run"})] {
            simulation.roll_back_all(&request).unwrap();
            assert!(simulation.executions.is_running("run"), "{reaction}");
            assert_eq!(simulation.route53.to_cli_json(), before);
        }
    }
}

/// The retry finds nothing left to restore, and reports the migration nevertheless.
#[test]
fn a_rollback_is_reported_even_if_the_answer_of_its_first_attempt_was_lost() {
    for reaction in ["rollback", "hold"] {
        let simulation = Simulation::blueprint();
        let mut input = watching(&json!({"names": [ALARM]}));
        input["onFailure"] = json!(reaction);
        at_50_percent(&simulation, "run", &input);
        let event = alarm_event_now(&simulation, ALARM);
        // The answer of the first attempt is lost.
        run(simulation.roll_back(&event)).unwrap();
        let answer = run(simulation.roll_back(&event)).unwrap();
        assert_eq!(answer["migrations"].as_array().unwrap().len(), 1);
        let expected = if reaction == "hold" {
            "Held"
        } else {
            "RolledBack"
        };
        assert_eq!(answer["migrations"][0]["status"], expected);
    }
}

/// The pages of a listing are no snapshot: a late change between two of them makes the rollback read
/// the records from before the change and the journals from after it.
#[test]
fn a_change_between_two_pages_of_a_rollbacks_listing_is_rolled_back() {
    let zone = large_zone(NAMES);
    let shifting = Simulation::new(&zone);
    let before = shifting.route53.record_sets();
    let planned = run(shifting.plan("run", &canary())).unwrap();
    run(shifting.shift(&planned, 0)).unwrap();
    let shifted = shifting.route53.record_sets();

    for page in 0..PAGES {
        let simulation = Simulation::new(&zone);
        run(simulation.plan("run", &canary())).unwrap();
        simulation.executions.abort("run");
        let late = shifted.clone();
        let change = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = late));
        simulation.route53.inject_fault_into(LIST, page, change);
        simulation
            .roll_back_all(&status_event("run", "ABORTED"))
            .unwrap();
        assert_eq!(simulation.route53.record_sets(), before, "page {page}");
    }
}

/// The first pass finds no journal of the adopting execution, and so restores nothing. Then a function
/// that was still running writes the first batch.
#[test]
fn late_write_of_an_adopting_execution_is_rolled_back() {
    let zone = large_zone(NAMES);
    let original = Simulation::new(&zone).route53.to_cli_json();
    let simulation = Simulation::new(&zone);
    hold_at_50_percent(&simulation, "held", &canary());
    let planned = run(simulation.plan("second", &canary())).unwrap();
    simulation.executions.abort("second");
    let event = status_event("second", "ABORTED");
    let first_pass = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(first_pass["restored"], 0);

    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    run(simulation.shift(&planned, 0)).unwrap();
    let later_pass = json!({"request": event, "earlier": {
        "executions": first_pass["executions"], "changeIds": [],
    }});
    run(simulation.roll_back(&later_pass)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original);
}

/// An alarm rolls back migrations in two zones, one of which cannot be read.
#[test]
fn an_unreadable_zone_does_not_block_the_rollback_of_another_zone() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut elsewhere = watching(&json!({"names": [ALARM]}));
    elsewhere["hostedZoneId"] = json!("Z0ELSEWHERE");
    simulation.executions.start("elsewhere", elsewhere);
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    let request = alarm_event(ALARM);
    let first = run(simulation.roll_back(&request)).unwrap();
    assert_ne!(first["restored"], 0);
    // No other pass has the report of what the first one restored.
    let second = run(simulation.roll_back(&next_pass(&request, &first))).unwrap();
    assert_eq!(second["migrations"][0]["execution"], "run");
    assert!(second["problems"].to_string().contains("Z0ELSEWHERE"));
    let error = run(simulation.roll_back(&next_pass(&request, &second))).unwrap_err();
    assert_eq!(error.name(), "NoSuchHostedZone", "{error}");
    assert!(!simulation.executions.is_running("elsewhere"));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn one_refused_record_does_not_block_the_rollback_of_the_others() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    at_50_percent(&simulation, "run", &canary());
    // Route 53 refuses the batch of seven names, its first four, its first two, and then the first name: also
    // when it is sent again after the three others, and without the new side.
    for change in [0, 1, 2, 3, 7, 8] {
        simulation
            .route53
            .inject_fault_into(CHANGE, change, Fault::Refused);
    }
    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_eq!(answer["restored"], 6);
    let problems = answer["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].as_str().unwrap().contains("apps.eks-blueprint"));
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// All traffic remains on the new side, and the completion is reported.
#[test]
fn an_alarm_after_the_completion_does_not_roll_back() {
    let zone = large_zone(NAMES);
    let simulation = Simulation::new(&zone);
    let mut input = watching(&json!({"names": [ALARM]}));
    input["steps"] = json!([100]);
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    run(simulation.complete(&planned)).unwrap_err();
    let rolled_back = simulation.roll_back_all(&alarm_event(ALARM)).unwrap();
    let reports = rolled_back["migrations"].as_array().unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["status"], "Completed");
    assert_eq!(reports[0]["percent"], 100);
    assert!(!simulation.route53.to_cli_json().contains("_cutover"));
}

/// The second execution was planned before the first one held, so its plan adopts nothing.
#[test]
fn a_rollback_leaves_a_held_migration_that_the_plan_did_not_adopt() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &canary())).unwrap();
    let second = run(simulation.plan("second", &canary())).unwrap();
    assert_eq!(second["migration"]["adopted"], json!([]));
    run(simulation.shift(&first, 0)).unwrap();
    simulation.executions.fail("first", "Held", "Drift");
    let held = simulation.route53.to_cli_json();
    let request = json!({"execution": "second", "requestedBy": "second", "adopted": []});
    simulation.roll_back_all(&request).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), held);
}

/// For example because it has no permission to read the zone: the rollback must not try to.
#[test]
fn an_execution_that_failed_before_its_first_write_is_not_rolled_back() {
    let simulation = Simulation::blueprint();
    simulation.executions.start("run", canary());
    let cause = "hostedZoneId: it may not be read -- No weight was changed.";
    simulation.executions.fail("run", "NotPermitted", cause);
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.world.network.calls_of("GetHostedZone"), 0);
}

/// The rollback of the execution itself failed. It is repeated even with `onFailure: "hold"`.
#[test]
fn a_failed_rollback_is_retried_by_the_status_event() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut input = canary();
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    simulation
        .executions
        .fail("run", "RollbackFailed", "ApprovalRefused");
    simulation
        .roll_back_all(&status_event("run", "FAILED"))
        .unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// The rollback starts between the read and the write of the completion, so the mark is refused.
#[test]
fn a_completion_is_refused_when_a_rollback_writes_first() {
    let zone = large_zone(NAMES);
    let rolling_back = Simulation::new(&zone);
    let before = rolling_back.route53.record_sets();
    at_100_percent(&rolling_back);
    rolling_back
        .route53
        .inject_fault_into(CHANGE, 1, Fault::Throttled);
    let pass = run(rolling_back.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_ne!(pass["unfinished"], Value::Null);
    let partly_restored = rolling_back.route53.record_sets();

    let simulation = Simulation::new(&zone);
    let planned = at_100_percent(&simulation);
    let rollback = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = partly_restored));
    simulation.route53.inject_fault_into(CHANGE, 0, rollback);
    let error = run(simulation.complete(&planned)).unwrap_err();
    assert_eq!(error.name(), "Conflict", "{error}");
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// An event that is delivered twice starts two executions. The second is refused at its first shift
/// and rolls itself back.
#[test]
fn a_rollback_of_a_refused_second_execution_does_not_touch_the_first() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &canary())).unwrap();
    let second = run(simulation.plan("second", &canary())).unwrap();
    run(simulation.shift(&first, 0)).unwrap();
    let at_10 = simulation.route53.to_cli_json();
    let error = run(simulation.shift(&second, 0)).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    let request = json!({"execution": "second", "requestedBy": "second", "reason": "Drift"});
    let rolled_back = simulation.roll_back_all(&request).unwrap();
    assert_eq!(rolled_back["restored"], 0);
    // The failed execution is reported once, although nothing was restored.
    assert_eq!(rolled_back["migrations"].as_array().unwrap().len(), 1);
    assert!(simulation.executions.is_running("first"));
    assert_eq!(simulation.route53.to_cli_json(), at_10);
}

fn journaled_names(simulation: &Simulation) -> usize {
    let record_sets = simulation.route53.record_sets();
    let journals = record_sets.iter().filter_map(|it| it.name.journaled());
    journals.count()
}

/// An execution with the same input deletes the remaining journals. An execution with more names is
/// refused, and names the rollback that deletes them.
#[test]
fn an_interrupted_completion_is_finished_by_the_same_input_or_by_a_rollback() {
    let zone = large_zone(NAMES);
    let half_completed = || {
        let simulation = Simulation::new(&zone);
        let planned = at_100_percent(&simulation);
        // After the mark and the first batch of removals.
        simulation
            .route53
            .inject_fault_into(CHANGE, 2, Fault::Throttled);
        let completed = run(simulation.complete(&planned)).unwrap();
        let remaining = journaled_names(&simulation);
        assert_ne!(remaining, 0);
        assert_eq!(completed["remaining"], remaining);
        simulation.executions.fail("run", "Held", "Drift");
        simulation
    };
    let simulation = half_completed();
    let planned = run(simulation.plan("again", &canary())).unwrap();
    assert_eq!(planned["migration"]["steps"], json!([]));
    let completed = run(simulation.complete(&planned)).unwrap();
    assert_eq!(completed["remaining"], 0);
    assert_eq!(journaled_names(&simulation), 0);

    let simulation = half_completed();
    simulation.route53.edit(|record_sets| {
        let mut more = Simulation::new(&large_zone(NAMES + 1))
            .route53
            .record_sets();
        more.retain(|record_set| record_set.name.as_str() == "svc-250.example.com");
        record_sets.append(&mut more);
    });
    let error = run(simulation.plan("more", &canary())).unwrap_err();
    expect![[r#"
        Busy: the execution run has completed, but not all of its journals were deleted; start the rollback state machine with {"execution": "run"}, which deletes them and changes no weight
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    let weights_before = simulation.route53.record_sets();
    let rolled_back = simulation
        .roll_back_all(&json!({"execution": "run"}))
        .unwrap();
    assert_eq!(rolled_back["migrations"][0]["status"], "Completed");
    let mut weights_after = simulation.route53.record_sets();
    weights_after.retain(|record_set| record_set.name.journaled().is_none());
    let mut expected = weights_before;
    expected.retain(|record_set| record_set.name.journaled().is_none());
    assert_eq!(weights_after, expected);
    run(simulation.plan("more", &canary())).unwrap();
}

/// A migration that starts while the new side is being created: the plan returns what is missing until
/// all records exist.
#[test]
fn missing_records_are_awaited_if_the_input_sets_a_timeout() {
    let simulation = Simulation::blueprint();
    let complete = simulation.route53.record_sets();
    let belongs_to = |record_set: &migration::dns::RecordSet, side: &str, name: &str| {
        record_set.name.as_str().contains(name)
            && record_set
                .weighted()
                .is_some_and(|(identifier, _)| identifier.as_str() == side)
    };
    let mut input = canary();
    input["recordsTimeoutSeconds"] = json!(1_800);
    for (missing, count) in [("", 7), ("burnham", 1)] {
        simulation.route53.edit(|record_sets| {
            *record_sets = complete.clone();
            record_sets
                .retain(|record_set| !belongs_to(record_set, "eks-blueprint-green", missing));
        });
        let planned = run(simulation.plan("waits", &input)).unwrap();
        assert_eq!(planned["migration"], Value::Null, "{count}");
        assert_eq!(planned["awaited"]["timeoutSeconds"], 1_800);
        assert_eq!(planned["awaited"]["checkSeconds"], 60);
        let reason = planned["awaited"]["reason"].as_str().unwrap();
        assert!(reason.contains("eks-blueprint-green"), "{reason}");
        // Without the timeout, the plan moves the names that have all records, or is refused.
        let at_once = run(simulation.plan("at-once", &canary()));
        assert_eq!(at_once.is_ok(), missing == "burnham");
    }
    simulation
        .route53
        .edit(|record_sets| record_sets.clone_from(&complete));
    let planned = run(simulation.plan("waits", &input)).unwrap();
    assert_eq!(planned["awaited"], Value::Null);
    assert_eq!(planned["plan"]["names"], 7);
}
