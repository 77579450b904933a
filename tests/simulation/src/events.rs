//! Rollbacks that events ask for: alarms, and executions that ended.

use std::time::SystemTime;

use expect_test::expect;
use migration::executions::{HOLDING, ROLLING_BACK};
use migration::fake::Fault;
use serde_json::{Value, json};

use crate::invariants::{canary, large_zone, run};
use crate::world::{self, documented, status_event};
use crate::{Simulation, ZONE_ID};

const COMPOSITE_ALARM_EVENT: &str =
    include_str!("../../events/cloudwatch-composite-alarm-state-change.json");
const ALARM_ACTION: &str = include_str!("../../events/cloudwatch-alarm-action.json");

const ALARM: &str = "green-5xx-errors";
/// The end of time, as CloudWatch writes it: an alarm that fires once everything has happened.
const LATER: &str = "9999-12-31T23:59:59.000+0000";

/// So many that neither a shift nor a completion fits into one batch.
const NAMES: usize = 250;
/// Reading them under way: the zone, then three pages of two record sets and a journal each.
const CALLS_OF_A_READ: usize = 1 + 3;

fn alarm_event(alarm: &str) -> Value {
    let mut event = alarm_event_now(alarm);
    event["detail"]["state"]["timestamp"] = json!(LATER);
    event
}

fn alarm_event_now(alarm: &str) -> Value {
    world::alarm_event(alarm, "ALARM", SystemTime::now())
}

fn watching(alarms: &Value) -> Value {
    let mut input = canary();
    input["alarms"] = alarms.clone();
    input
}

/// A migration at 50 percent that watches `alarms`.
fn at_50_percent(simulation: &Simulation, execution: &str, input: &Value) -> Value {
    let planned = run(simulation.plan(execution, input)).unwrap();
    run(simulation.shift(execution, &planned, 0)).unwrap();
    run(simulation.shift(execution, &planned, 1)).unwrap();
    planned
}

/// Rolled back by `event`, with one answer that tells of one migration.
#[track_caller]
fn check_rolled_back(alarms: &Value, event: &Value) {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    at_50_percent(&simulation, "run", &watching(alarms));
    let answers = run(simulation.roll_back_all(event)).unwrap();
    assert_eq!(answers[0]["restored"], 7);
    assert_eq!(answers[0]["migrations"][0]["status"], "RolledBack");
    assert_eq!(answers[0]["migrations"][0]["stopped"], true);
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
fn a_composite_alarm_does_too() {
    let mut event = documented(COMPOSITE_ALARM_EVENT);
    event["detail"]["state"]["timestamp"] = json!(LATER);
    check_rolled_back(&json!({"names": ["ServiceAggregatedAlarm"]}), &event);
}

#[test]
fn an_alarm_whose_action_is_the_function_does_too() {
    let mut event = documented(ALARM_ACTION);
    event["alarmData"]["state"]["timestamp"] = json!(LATER);
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let alarms = json!({"names": ["lambda-demo-metric-alarm"]});
    at_50_percent(&simulation, "run", &watching(&alarms));
    let answer = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(answer["restored"], 7);
    assert_eq!(simulation.route53.to_cli_json(), before);
    // Nobody reads that answer: the rollback that the end of the execution starts tells people.
    let answers = run(simulation.roll_back_all(&status_event("run", "ABORTED"))).unwrap();
    let told: Vec<_> = answers
        .iter()
        .flat_map(|answer| answer["migrations"].as_array().unwrap().clone())
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["status"], "RolledBack");
    assert_eq!(
        told[0]["reason"],
        "the execution was ABORTED: StoppedByAlarmAction: the alarm lambda-demo-metric-alarm fired: test"
    );
}

#[test]
fn what_a_rollback_tells_is_what_people_ask_for() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    let answer = run(simulation.roll_back(&alarm_event(ALARM))).unwrap();
    expect![[r#"
        [
          {
            "execution": "run",
            "executionArn": "arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:run",
            "found": [],
            "from": "eks-blueprint-blue",
            "hostedZoneId": "Z0BLUEPRINT",
            "names": 7,
            "percent": 0,
            "percentBefore": 50,
            "reason": "the alarm green-5xx-errors fired: Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 16:59:00)] was greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition).",
            "status": "RolledBack",
            "stopped": true,
            "to": "eks-blueprint-green",
            "weights": {
              "100/0": 10,
              "255/0": 1,
              "90/0": 1
            },
            "zoneName": "eks-blueprint.example.com"
          }
        ]
    "#]].assert_eq(&format!("{:#}\n", answer["migrations"]));
}

/// Nothing is stopped, nothing is written, and the rollback is over at once.
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
fn a_migration_that_does_not_watch_the_alarm_is_left_alone() {
    let watching = watching(&json!({"names": ["another"], "prefixes": ["blue-"]}));
    check_nothing_is_done(
        &watching,
        &alarm_event(ALARM),
        &expect![[r#"
        no migration that was running watches the alarm green-5xx-errors
    "#]],
    );
}

/// It was delivered late: the migration began after the alarm, and found it quiet.
#[test]
fn a_late_alarm_event_does_not_stop_a_migration_that_began_since() {
    let mut event = alarm_event(ALARM);
    event["detail"]["state"]["timestamp"] = json!("2019-10-02T17:04:40.989+0000");
    check_nothing_is_done(
        &watching(&json!({"names": [ALARM]})),
        &event,
        &expect![[r#"
        no migration that was running watches the alarm green-5xx-errors
    "#]],
    );
}

#[test]
fn an_alarm_that_clears_is_no_reason() {
    let mut event = alarm_event(ALARM);
    event["detail"]["state"]["value"] = json!("OK");
    check_nothing_is_done(
        &watching(&json!({"names": [ALARM]})),
        &event,
        &expect![[r#"
        the alarm green-5xx-errors is OK, which is no reason to roll back
    "#]],
    );
}

#[test]
fn an_execution_that_succeeded_or_runs_is_no_reason() {
    for status in ["RUNNING", "SUCCEEDED"] {
        let simulation = Simulation::blueprint();
        let answer = run(simulation.roll_back(&status_event("run", status))).unwrap();
        assert_eq!(answer["done"], true);
        assert_eq!(simulation.route53.calls(), 0);
    }
}

#[test]
fn an_event_of_another_kind_is_refused() {
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

/// The first attempt stops the migration and then fails; the next one still knows what to restore.
#[test]
fn an_alarm_rollback_that_fails_after_the_stop_is_made_up_for() {
    let calls = {
        let simulation = Simulation::blueprint();
        at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
        let before = simulation.route53.calls();
        run(simulation.roll_back(&alarm_event(ALARM))).unwrap();
        before..simulation.route53.calls()
    };
    for call in calls {
        for fault in [Fault::Throttled, Fault::Unavailable, Fault::AnswerLost] {
            let simulation = Simulation::blueprint();
            let before = simulation.route53.to_cli_json();
            at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
            // The alarm fires now: after the start, and before the stop.
            let event = alarm_event_now(ALARM);
            simulation.route53.on_call(call, fault);
            run(simulation.roll_back_all(&event)).unwrap();
            assert_eq!(simulation.route53.to_cli_json(), before, "call {call}");
        }
    }
}

#[test]
fn every_migration_that_watches_the_alarm_is_rolled_back_and_no_other() {
    let simulation = Simulation::blueprint();
    let of = |name: &str, alarm: &str| {
        let mut input = watching(&json!({"names": [alarm]}));
        input["names"] = json!([format!("{name}.eks-blueprint.example.com")]);
        input
    };
    at_50_percent(&simulation, "one", &of("burnham", ALARM));
    at_50_percent(&simulation, "two", &of("skiapp", ALARM));
    at_50_percent(&simulation, "three", &of("argocd", "another"));
    let answers = run(simulation.roll_back_all(&alarm_event(ALARM))).unwrap();
    let told: Vec<_> = answers[0]["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| (&told["execution"], &told["names"]))
        .collect();
    assert_eq!(
        told,
        [(&json!("one"), &json!(1)), (&json!("two"), &json!(1))]
    );
    assert!(simulation.executions.is_running("three"));
    assert_eq!(
        simulation.route53.to_cli_json().matches("_cutover").count(),
        1
    );
}

/// `hold`: the alarm stops it, and neither that nor its end restores it.
#[test]
fn a_migration_that_is_to_hold_is_stopped_and_stays() {
    let simulation = Simulation::blueprint();
    let mut input = watching(&json!({"names": [ALARM]}));
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    let at_50 = simulation.route53.to_cli_json();

    let answers = run(simulation.roll_back_all(&alarm_event(ALARM))).unwrap();
    assert_eq!(answers.len(), 1, "there is nothing to wait for");
    assert_eq!(answers[0]["migrations"][0]["status"], "Held");
    assert_eq!(answers[0]["migrations"][0]["stopped"], true);
    assert!(!simulation.executions.is_running("run"));
    assert_eq!(simulation.executions.error("run").as_deref(), Some("Held"));

    let answers = run(simulation.roll_back_all(&status_event("run", "ABORTED"))).unwrap();
    assert_eq!(answers[0]["migrations"], json!([]));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

#[test]
fn an_execution_that_dies_is_rolled_back_whether_or_not_the_event_has_its_input() {
    for status in ["FAILED", "ABORTED", "TIMED_OUT"] {
        let simulation = Simulation::blueprint();
        let before = simulation.route53.to_cli_json();
        at_50_percent(&simulation, "run", &canary());
        simulation.executions.abort("run");
        let mut event = status_event("run", status);
        event["detail"]["input"] = Value::Null;
        event["detail"]["inputDetails"] = json!({"included": false});
        let answers = run(simulation.roll_back_all(&event)).unwrap();
        assert_eq!(answers[0]["restored"], 7);
        assert_eq!(simulation.route53.to_cli_json(), before);
        // Delivered twice.
        let answers = run(simulation.roll_back_all(&event)).unwrap();
        assert!(answers.iter().all(|answer| answer["restored"] == 0));
        assert_eq!(simulation.route53.to_cli_json(), before);
    }
}

/// `DescribeExecution` is eventually consistent: only what has ended tells whether it holds.
#[test]
fn an_execution_that_is_still_described_as_running_is_asked_for_again() {
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
fn an_execution_that_was_redriven_since_is_left_alone() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.abort("run");
    simulation.executions.redrive("run");
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// By drift, say, whatever `onFailure` is.
#[test]
fn an_execution_that_held_on_purpose_stays_held() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.fail("run", "Held", "Drift");
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    expect![[r#"
        the execution run held on purpose: its weights and journals stay
    "#]]
    .assert_eq(&format!("{}\n", answer["message"].as_str().unwrap()));
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// It had found another writer's change, and was about to say so.
#[test]
fn an_execution_aborted_while_it_says_that_it_holds_stays_held() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.enter("run", HOLDING);
    simulation.executions.abort("run");
    let at_50 = simulation.route53.to_cli_json();
    let answers = run(simulation.roll_back_all(&status_event("run", "ABORTED"))).unwrap();
    assert_eq!(answers[0]["migrations"][0]["status"], "Held");
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

#[test]
fn an_aborted_migration_that_is_to_hold_is_told_of_and_stays() {
    let simulation = Simulation::blueprint();
    let mut input = canary();
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    simulation.executions.abort("run");
    let at_50 = simulation.route53.to_cli_json();
    let answer = run(simulation.roll_back(&status_event("run", "ABORTED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(answer["migrations"][0]["status"], "Held");
    assert_eq!(answer["migrations"][0]["names"], 7);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// It was refused, so what an earlier execution holds is not its business.
#[test]
fn an_execution_that_wrote_nothing_undoes_nothing() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "held", &canary());
    simulation.executions.fail("held", "Held", "Drift");
    let at_50 = simulation.route53.to_cli_json();
    run(simulation.plan("second", &canary())).unwrap();
    simulation.executions.abort("second");
    let answers = run(simulation.roll_back_all(&status_event("second", "ABORTED"))).unwrap();
    assert!(answers.iter().all(|answer| answer["restored"] == 0));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
    // Nor is a broken input.
    simulation
        .executions
        .start("third", json!({"hostedZoneId": ZONE_ID}));
    simulation.executions.abort("third");
    let answers = run(simulation.roll_back_all(&status_event("third", "FAILED"))).unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// It dies between two batches of its first shift: some names are its own, the others still the
/// held one's. All are restored, wherever the rollback is interrupted.
#[test]
fn an_execution_that_took_over_only_a_part_undoes_all_that_it_went_on_from() {
    let zone = large_zone(NAMES);
    let calls = {
        let simulation = took_over_a_part(&zone);
        let before = simulation.route53.calls();
        run(simulation.roll_back(&status_event("second", "ABORTED"))).unwrap();
        before..simulation.route53.calls()
    };
    let original = Simulation::new(&zone).route53.to_cli_json();
    for call in calls {
        let simulation = took_over_a_part(&zone);
        simulation.route53.on_call(call, Fault::Throttled);
        run(simulation.roll_back_all(&status_event("second", "ABORTED"))).unwrap();
        assert_eq!(simulation.route53.to_cli_json(), original, "call {call}");
    }
}

fn took_over_a_part(zone: &str) -> Simulation {
    let simulation = Simulation::new(zone);
    at_50_percent(&simulation, "held", &canary());
    simulation.executions.fail("held", "Held", "Drift");
    let planned = run(simulation.plan("second", &canary())).unwrap();
    let batches = simulation.route53.batches().len();
    // It reads the zone, its first batch goes through, and the next one does not.
    let second_batch = simulation.route53.calls() + CALLS_OF_A_READ + 1;
    simulation.route53.on_call(second_batch, Fault::Throttled);
    run(simulation.shift("second", &planned, 0)).unwrap_err();
    assert_eq!(simulation.route53.batches().len(), batches + 1);
    simulation.executions.abort("second");
    simulation
}

/// Whichever call of `complete` is its last: all names are back, or all have moved.
#[test]
fn a_completion_that_is_aborted_is_undone_or_finished_as_a_whole() {
    let zone = large_zone(NAMES);
    let before = Simulation::new(&zone).route53.record_sets();
    let (completed, calls) = {
        let simulation = Simulation::new(&zone);
        let planned = at_100_percent(&simulation);
        let first = simulation.route53.calls();
        run(simulation.complete("run", &planned)).unwrap();
        (
            simulation.route53.record_sets(),
            first..simulation.route53.calls(),
        )
    };
    let mut outcomes = std::collections::BTreeSet::new();
    for call in calls {
        for is_applied in [false, true] {
            let simulation = Simulation::new(&zone);
            let planned = at_100_percent(&simulation);
            // Killed at this call: nothing comes after it.
            let fault = if is_applied {
                Fault::AnswerLost
            } else {
                Fault::Unavailable
            };
            simulation.route53.on_call(call, fault);
            for later in 1..10 {
                simulation.route53.on_call(call + later, Fault::Unavailable);
            }
            run(simulation.complete("run", &planned)).unwrap_err();
            while simulation.route53.calls() < call + 10 {
                let _ = run(simulation.roll_back(&json!({"execution": "run"})));
            }
            simulation.executions.abort("run");
            run(simulation.roll_back_all(&status_event("run", "ABORTED"))).unwrap();
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
        "some calls are before the mark, some behind it"
    );
}

fn at_100_percent(simulation: &Simulation) -> Value {
    let planned = at_50_percent(simulation, "run", &canary());
    run(simulation.shift("run", &planned, 2)).unwrap();
    planned
}

/// A rollback that has begun with the first name can't be overtaken by a late completion.
#[test]
fn a_completion_that_comes_after_a_rollback_began_is_refused() {
    let zone = large_zone(NAMES);
    let simulation = Simulation::new(&zone);
    let before = simulation.route53.record_sets();
    let planned = at_100_percent(&simulation);
    let second_batch = simulation.route53.calls() + CALLS_OF_A_READ + 1;
    simulation.route53.on_call(second_batch, Fault::Throttled);
    run(simulation.roll_back(&json!({"execution": "run"}))).unwrap_err();
    let error = run(simulation.complete("run", &planned)).unwrap_err();
    assert_eq!(error.name(), "Drift", "{error}");
    run(simulation.roll_back_whole("run")).unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// Two alarms, or one while the probe had failed: the rollback that is under way is not stopped.
#[test]
fn an_alarm_does_not_stop_a_migration_that_rolls_itself_back() {
    for reaction in ["rollback", "hold"] {
        let simulation = Simulation::blueprint();
        let before = simulation.route53.to_cli_json();
        let mut input = watching(&json!({"names": [ALARM]}));
        input["onFailure"] = json!(reaction);
        at_50_percent(&simulation, "run", &input);
        simulation.executions.enter("run", ROLLING_BACK);
        for request in [alarm_event(ALARM), json!({"execution": "run"})] {
            run(simulation.roll_back_all(&request)).unwrap();
            assert!(simulation.executions.is_running("run"), "{reaction}");
            assert_eq!(simulation.route53.to_cli_json(), before);
        }
    }
}

/// It was described as running, and had held on drift meanwhile.
#[test]
fn an_alarm_that_comes_just_after_a_hold_leaves_it() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    let at_50 = simulation.route53.to_cli_json();
    simulation.executions.fail_behind_the_scenes("run", "Held");
    let answer = run(simulation.roll_back(&alarm_event(ALARM))).unwrap();
    assert_eq!(answer["migrations"], json!([]));
    assert_eq!(simulation.route53.to_cli_json(), at_50);
}

/// People are told of it even if nobody knows any more what it had done.
#[test]
fn a_rollback_whose_first_attempt_died_is_told_all_the_same() {
    for reaction in ["rollback", "hold"] {
        let simulation = Simulation::blueprint();
        let mut input = watching(&json!({"names": [ALARM]}));
        input["onFailure"] = json!(reaction);
        at_50_percent(&simulation, "run", &input);
        let event = alarm_event_now(ALARM);
        // Its answer never arrived.
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

/// A zone of several pages is not read at one moment: a change that was still under way comes
/// between two of them, so that the journals are read as of after it and the records before.
#[test]
fn a_change_between_two_pages_that_a_rollback_reads_is_undone() {
    let zone = large_zone(NAMES);
    let shifting = Simulation::new(&zone);
    let before = shifting.route53.record_sets();
    let planned = run(shifting.plan("run", &canary())).unwrap();
    run(shifting.shift("run", &planned, 0)).unwrap();
    let shifted = shifting.route53.record_sets();

    for page in 1..CALLS_OF_A_READ {
        let simulation = Simulation::new(&zone);
        run(simulation.plan("run", &canary())).unwrap();
        simulation.executions.abort("run");
        let late = shifted.clone();
        let change = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = late));
        let call = simulation.route53.calls() + page;
        simulation.route53.on_call(call, change);
        run(simulation.roll_back_all(&status_event("run", "ABORTED"))).unwrap();
        assert_eq!(simulation.route53.record_sets(), before, "page {page}");
    }
}

/// The first pass finds nothing of it, and so nothing of what it goes on from; then it writes one
/// of its changes.
#[test]
fn what_goes_on_from_a_held_migration_late_is_undone_with_it() {
    let zone = large_zone(NAMES);
    let original = Simulation::new(&zone).route53.to_cli_json();
    let simulation = Simulation::new(&zone);
    at_50_percent(&simulation, "held", &canary());
    simulation.executions.fail("held", "Held", "Drift");
    let planned = run(simulation.plan("second", &canary())).unwrap();
    simulation.executions.abort("second");
    let event = status_event("second", "ABORTED");
    let first_pass = run(simulation.roll_back(&event)).unwrap();
    assert_eq!(first_pass["restored"], 0);

    let second_batch = simulation.route53.calls() + CALLS_OF_A_READ + 1;
    simulation.route53.on_call(second_batch, Fault::Throttled);
    run(simulation.shift("second", &planned, 0)).unwrap_err();
    let later_pass = json!({"request": event, "earlier": {
        "executions": first_pass["executions"], "changeIds": [],
    }});
    run(simulation.roll_back(&later_pass)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), original);
}

/// An alarm in two zones: what hinders one rollback does not hinder the other.
#[test]
fn one_zone_that_cannot_be_read_does_not_stand_in_the_way_of_the_others() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut elsewhere = watching(&json!({"names": [ALARM]}));
    elsewhere["hostedZoneId"] = json!("Z0ELSEWHERE");
    simulation.executions.start("elsewhere", elsewhere);
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    let error = run(simulation.roll_back(&alarm_event(ALARM))).unwrap_err();
    assert_eq!(error.name(), "NoSuchHostedZone", "{error}");
    assert!(!simulation.executions.is_running("elsewhere"));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

#[test]
fn one_refused_record_does_not_stand_in_the_way_of_the_others() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    at_50_percent(&simulation, "run", &canary());
    // The whole batch, then the first name by itself.
    let batch = simulation.route53.calls() + 2;
    simulation.route53.on_call(batch, Fault::Refused);
    simulation.route53.on_call(batch + 3, Fault::Refused);
    let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
    assert_eq!(answer["restored"], 6);
    let problems = answer["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].as_str().unwrap().contains("apps.eks-blueprint"));
    run(simulation.roll_back_whole("run")).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// The alarm came after the migration had completed: all traffic stays, and people are told so.
#[test]
fn an_alarm_after_the_completion_is_no_rollback() {
    let zone = large_zone(NAMES);
    let simulation = Simulation::new(&zone);
    let mut input = watching(&json!({"names": [ALARM]}));
    input["steps"] = json!([100]);
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift("run", &planned, 0)).unwrap();
    let first_removal = simulation.route53.calls() + CALLS_OF_A_READ + 1;
    simulation.route53.on_call(first_removal, Fault::Throttled);
    run(simulation.complete("run", &planned)).unwrap_err();
    let answers = run(simulation.roll_back_all(&alarm_event(ALARM))).unwrap();
    let told = answers[0]["migrations"].as_array().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["status"], "Completed");
    assert_eq!(told[0]["percent"], 100);
    assert!(!simulation.route53.to_cli_json().contains("_cutover"));
}

/// It was planned before the other one held, so it goes on from nothing.
#[test]
fn a_migration_does_not_undo_what_its_plan_did_not_adopt() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &canary())).unwrap();
    let second = run(simulation.plan("second", &canary())).unwrap();
    assert_eq!(second["migration"]["adopted"], json!([]));
    run(simulation.shift("first", &first, 0)).unwrap();
    simulation.executions.fail("first", "Held", "Drift");
    let held = simulation.route53.to_cli_json();
    let request = json!({"execution": "second", "requestedBy": "second", "adopted": []});
    run(simulation.roll_back_all(&request)).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), held);
}

/// A zone that it may not read, say: its end is no reason to look there.
#[test]
fn an_execution_that_did_not_start_needs_no_rollback() {
    let simulation = Simulation::blueprint();
    simulation.executions.start("run", canary());
    let cause = "hostedZoneId: it may not be read -- No weight was changed.";
    simulation.executions.fail("run", "NotPermitted", cause);
    let answer = run(simulation.roll_back(&status_event("run", "FAILED"))).unwrap();
    assert_eq!(answer["done"], true);
    assert_eq!(simulation.route53.calls(), 0);
}

/// Its own rollback failed: that is made up for, whatever is to happen on failure.
#[test]
fn a_failed_rollback_is_tried_again_from_outside() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let mut input = canary();
    input["onFailure"] = json!("hold");
    at_50_percent(&simulation, "run", &input);
    simulation
        .executions
        .fail("run", "RollbackFailed", "ApprovalRefused");
    run(simulation.roll_back_all(&status_event("run", "FAILED"))).unwrap();
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// Between a completion's reading and its writing: the rollback has begun, so the mark is refused.
#[test]
fn a_completion_that_a_rollback_overtakes_is_refused() {
    let zone = large_zone(NAMES);
    let rolling_back = Simulation::new(&zone);
    let before = rolling_back.route53.record_sets();
    at_100_percent(&rolling_back);
    let second_batch = rolling_back.route53.calls() + CALLS_OF_A_READ + 1;
    rolling_back.route53.on_call(second_batch, Fault::Throttled);
    run(rolling_back.roll_back(&json!({"execution": "run"}))).unwrap_err();
    let begun = rolling_back.route53.record_sets();

    let simulation = Simulation::new(&zone);
    let planned = at_100_percent(&simulation);
    let mark = simulation.route53.calls() + CALLS_OF_A_READ;
    let overtaken = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = begun));
    simulation.route53.on_call(mark, overtaken);
    let error = run(simulation.complete("run", &planned)).unwrap_err();
    assert_eq!(error.name(), "Conflict", "{error}");
    run(simulation.roll_back_whole("run")).unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// The same event twice: the second execution is refused at its first shift, and rolls itself back.
#[test]
fn a_rollback_of_who_came_too_late_leaves_who_runs_alone() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &canary())).unwrap();
    let second = run(simulation.plan("second", &canary())).unwrap();
    run(simulation.shift("first", &first, 0)).unwrap();
    let at_10 = simulation.route53.to_cli_json();
    let error = run(simulation.shift("second", &second, 0)).unwrap_err();
    assert_eq!(error.name(), "Busy", "{error}");
    let request = json!({"execution": "second", "requestedBy": "second", "reason": "Busy"});
    let answers = run(simulation.roll_back_all(&request)).unwrap();
    assert!(answers.iter().all(|answer| answer["restored"] == 0));
    // It has failed, so it is told all the same; once.
    let told: usize = answers
        .iter()
        .map(|answer| answer["migrations"].as_array().unwrap().len())
        .sum();
    assert_eq!(told, 1);
    assert!(simulation.executions.is_running("first"));
    assert_eq!(simulation.route53.to_cli_json(), at_10);
}

/// What a completion left behind is taken away by the same input, and stands in nobody else's way
/// without being named.
#[test]
fn the_rest_of_a_completion_is_made_up_for() {
    let zone = large_zone(NAMES);
    let half_completed = || {
        let simulation = Simulation::new(&zone);
        let planned = at_100_percent(&simulation);
        // Behind the mark and the first of the removals.
        let second_removal = simulation.route53.calls() + CALLS_OF_A_READ + 2;
        simulation.route53.on_call(second_removal, Fault::Throttled);
        run(simulation.complete("run", &planned)).unwrap_err();
        simulation.executions.fail("run", "Held", "Drift");
        simulation
    };
    let simulation = half_completed();
    let planned = run(simulation.plan("again", &canary())).unwrap();
    assert_eq!(planned["migration"]["steps"], json!([]));
    run(simulation.complete("again", &planned)).unwrap();
    assert!(!simulation.route53.to_cli_json().contains("_cutover"));

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
        Busy: the execution run has completed, and not all of its journals have been taken away; that is done by starting the rollback state machine with {"execution": "run"}, which changes no weight
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    let weights_before = simulation.route53.record_sets();
    let answers = run(simulation.roll_back_all(&json!({"execution": "run"}))).unwrap();
    assert_eq!(answers[0]["migrations"][0]["status"], "Completed");
    let mut weights_after = simulation.route53.record_sets();
    weights_after.retain(|record_set| record_set.name.journaled().is_none());
    let mut expected = weights_before;
    expected.retain(|record_set| record_set.name.journaled().is_none());
    assert_eq!(weights_after, expected);
    run(simulation.plan("more", &canary())).unwrap();
}

/// Started while green is being created: the plan says what is missing until all of it is there.
#[test]
fn records_that_do_not_exist_yet_are_waited_for_where_the_input_says_so() {
    let simulation = Simulation::blueprint();
    let complete = simulation.route53.record_sets();
    let is_of = |record_set: &migration::record::RecordSet, side: &str, name: &str| {
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
            record_sets.retain(|record_set| !is_of(record_set, "eks-blueprint-green", missing));
        });
        let planned = run(simulation.plan("waits", &input)).unwrap();
        assert_eq!(planned["migration"], Value::Null, "{count}");
        assert_eq!(planned["awaited"]["timeoutSeconds"], 1_800);
        assert_eq!(planned["awaited"]["checkSeconds"], 60);
        let reason = planned["awaited"]["reason"].as_str().unwrap();
        assert!(reason.contains("eks-blueprint-green"), "{reason}");
        // Without being asked to wait, it moves those that are there, or is refused.
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
