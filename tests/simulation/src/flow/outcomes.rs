//! How a migration ends: after drift, without EventBridge or SNS, after a redrive, and after a rollback
//! that fails.

use std::time::Duration;

use fakes::{FakeSigningKeys, Fault};
use futures_util::FutureExt;
use interpreter::End;
use migration::dns::{RecordData, RecordSet};
use migration::journal::SigningKeys;
use serde_json::json;

use super::{CALLS, COMPLETED, DAY, FOR_GOOD, Flow, MINUTE, RUN, events};
use crate::invariants::{replace_in_values, write_journals};
use crate::oracle::lock;
use crate::world::Approval;
use crate::{ZONE_ID, machines};

const OUTAGE: &str = "EventBridge.SdkClientException";

type Edit = fn(&mut Vec<RecordSet>);

fn is_journal(record_set: &RecordSet) -> bool {
    record_set.name.journaled().is_some()
}

/// What another writer does to the journal.
const EDITS: [(&str, Edit); 4] = [
    ("deleted", |it| {
        it.retain(|record_set| !is_journal(record_set));
    }),
    ("edited", |it| {
        replace_in_values(it, is_journal, "written.A=", "written.A=1");
    }),
    ("foreign", |it| {
        let keys = FakeSigningKeys::default();
        let key = keys.signing_key().now_or_never().unwrap().unwrap();
        write_journals(it, is_journal, &key, &|journal| {
            journal.execution = "0123456789abcdef/other".parse().unwrap();
        });
    }),
    ("unreadable", |it| {
        for record_set in it.iter_mut().filter(|it| is_journal(it)) {
            if let RecordData::Values { values, .. } = &mut record_set.data {
                *values = vec!["\"hello\"".to_owned()];
            }
        }
    }),
];

/// Plays a migration to `state` at this percent, where another writer edits the journal, and expects
/// that `onDrift` decides and `onFailure` does not.
#[track_caller]
fn check_drift(percent: u32, state: &str) {
    for (kind, edit) in EDITS {
        for on_drift in ["hold", "rollback"] {
            for on_failure in ["hold", "rollback"] {
                let mut flow = Flow::start(&json!({"onDrift": on_drift, "onFailure": on_failure}));
                flow.until_step(percent, state);
                flow.write(kind, edit);
                let ended = flow.ended();
                let about = format!("{kind}, onDrift {on_drift}, onFailure {on_failure}");
                if on_drift == "hold" {
                    assert_eq!(ended.end, "Held", "{about}: {}", ended.cause);
                    assert_eq!(ended.percent, percent, "{about}");
                    assert_eq!(ended.statuses.last().map(String::as_str), Some("Held"));
                } else {
                    // The journal that the rollback needs may be the one that is gone.
                    let is_rolled_back = ["Drift", "RollbackFailed"].contains(&ended.end.as_str());
                    assert!(is_rolled_back, "{about}: {}: {}", ended.end, ended.cause);
                }
                ended.expect_cause("svc-0000.example.com");
            }
        }
    }
}

#[test]
pub(super) fn a_bad_journal_during_a_bake_is_drift() {
    check_drift(10, "Bake");
}

#[test]
pub(super) fn a_bad_journal_during_a_shift_is_drift() {
    check_drift(10, "Shift weight");
}

#[test]
pub(super) fn a_bad_journal_during_a_completion_is_drift() {
    check_drift(100, "Complete the migration");
}

/// Another writer changes a weight, not the journal.
#[test]
pub(super) fn on_drift_decides_about_an_edited_weight() {
    for (on_drift, on_failure, end) in [("hold", "rollback", "Held"), ("rollback", "hold", "Drift")]
    {
        let mut flow = Flow::start(&json!({"onDrift": on_drift, "onFailure": on_failure}));
        flow.until_step(10, "Bake");
        flow.write("a weight is edited", |record_sets| {
            for record_set in record_sets.iter_mut().filter(|it| it.record_type.moves()) {
                if record_set
                    .weighted()
                    .is_some_and(|(_, weight)| weight == 10)
                {
                    *record_set = record_set.with_weight(20);
                }
            }
        });
        let ended = flow.end();
        assert_eq!(ended.end, end, "{}", ended.cause);
        ended.expect_within(2 * MINUTE);
    }
}

#[test]
pub(super) fn on_failure_decides_about_failed_health() {
    for (on_failure, others, end, percent) in [
        ("hold", "rollback", "Held", 10),
        ("rollback", "hold", "HealthCheckFailed", 0),
    ] {
        let mut flow = Flow::start(&json!({
            "onFailure": on_failure, "onDrift": others, "onRefusal": others,
        }));
        flow.until_step(10, "Bake");
        flow.world.become_unhealthy();
        flow.end().expect(end, percent);
    }
}

/// In every phase, within one interval of the checks.
#[test]
pub(super) fn a_side_that_dies_is_rolled_back_within_check_seconds() {
    for (state, seconds) in [
        ("Confirm the change", 0),
        // Before the look at which the change has propagated.
        ("Confirm the change", 2),
        ("Wait out the TTL", 0),
        ("Bake", 0),
    ] {
        let mut flow = Flow::start(&json!({"bakeSeconds": 3600}));
        flow.longest = Duration::from_hours(3);
        flow.until_step(10, state);
        flow.wait(Duration::from_secs(seconds));
        flow.world.become_unhealthy();
        let ended = flow.end();
        ended
            .expect("HealthCheckFailed", 0)
            .expect_within(2 * MINUTE + CALLS);
        ended.expect_statuses(match state {
            "Confirm the change" => &["Started", "RolledBack"],
            _ => &["Started", "StepReached", "RolledBack"],
        });
    }
}

#[test]
pub(super) fn eventbridge_changes_no_outcome_of_a_healthy_migration() {
    for time in [10 * MINUTE, FOR_GOOD] {
        for state in ["Plan the migration", "Bake", "Complete the migration"] {
            let mut flow = Flow::start(&json!({}));
            flow.until_state(state);
            flow.world.fail_calls("PutEvents", OUTAGE, time);
            flow.end().expect(COMPLETED, 100);
        }
    }
}

/// The functions that the definition invokes, so that their code can be looked up.
#[test]
pub(super) fn the_versions_of_the_functions_are_in_the_first_event_and_in_the_output() {
    let flow = Flow::start(&json!({}));
    let world = flow.world.clone();
    let ended = flow.end();
    let versions = json!({"probe": "3", "shiftWeight": "7", "checkAlarms": "4"});
    assert_eq!(events(&world, "Started")[0]["versions"], versions);
    assert_eq!(ended.output()["versions"], versions);
}

/// An announcement that EventBridge did not accept is made later, once.
#[test]
pub(super) fn a_step_is_announced_after_an_outage_of_eventbridge() {
    let mut flow = Flow::start(&json!({}));
    flow.until_state("Wait out the TTL");
    flow.world
        .fail_calls("PutEvents", OUTAGE, Duration::from_secs(30));
    let statuses = ["Started", "StepReached", "StepReached", "Completed"];
    flow.end().expect(COMPLETED, 100).expect_statuses(&statuses);
}

#[test]
pub(super) fn sns_changes_no_outcome() {
    for is_healthy in [true, false] {
        let mut flow = Flow::start(&json!({}));
        flow.world
            .fail_calls("Publish", "SNS.SdkClientException", FOR_GOOD);
        flow.until_step(10, "Bake");
        flow.world.is_healthy.set(is_healthy);
        let (end, percent) = if is_healthy {
            (COMPLETED, 100)
        } else {
            ("HealthCheckFailed", 0)
        };
        flow.end().expect(end, percent);
    }
}

/// Whoever started the migration, or looks for it, finds what happened.
#[test]
pub(super) fn the_outcome_of_a_rollback_is_in_the_execution_without_eventbridge() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.fail_calls("PutEvents", OUTAGE, FOR_GOOD);
    flow.world.become_unhealthy();
    let ended = flow.end();
    ended
        .expect("HealthCheckFailed", 0)
        .expect_cause("restored the original weights of 1 name");

    // The alarm starts the rollback.
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.fail_calls("PutEvents", OUTAGE, FOR_GOOD);
    // Until the next look.
    flow.wait(CALLS);
    flow.world.set_alarm("ALARM");
    flow.until("the end", |world| !world.executions.is_running(RUN));
    flow.settle();
    let output = flow
        .world
        .step_functions
        .executions()
        .into_iter()
        .find_map(|(id, it)| {
            let is_rollback = id.arn().contains("cutover-rollback");
            match it.end {
                Some(End::Succeeded(output)) if is_rollback && output["restored"] == 1 => {
                    Some(output)
                }
                _ => None,
            }
        });
    let message = output.expect("a rollback succeeds")["message"].to_string();
    assert!(
        message.contains("restored the original weights of 1 name"),
        "{message}"
    );
    flow.end().expect("StoppedForRollback", 0);
}

/// Whatever `onFailure` and `onRefusal` say.
#[test]
pub(super) fn an_approval_that_nobody_could_be_asked_for_holds() {
    let mut flow = Flow::start(&json!({"steps": [{"percent": 10, "approval": true}, 100]}));
    flow.until_step(10, "Bake");
    flow.world.fail_calls("PutEvents", OUTAGE, FOR_GOOD);
    flow.until_state("Ask for approval");
    let ended = flow.end();
    ended.expect("Held", 10).expect_within(10 * MINUTE);
    ended.expect_cause("ApprovalNotRequested");
}

/// The same if EventBridge has accepted the event, and SNS does not accept the message.
#[test]
pub(super) fn an_approval_whose_message_is_not_published_holds() {
    for on_refusal in ["rollback", "hold"] {
        let mut flow = Flow::start(&json!({
            "steps": [{"percent": 10, "approval": true}, 100], "onRefusal": on_refusal,
        }));
        *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::None));
        flow.until_step(10, "Bake");
        flow.world
            .fail_calls("Publish", "SNS.SdkClientException", FOR_GOOD);
        flow.until_state("Ask for approval");
        let ended = flow.end();
        ended.expect("Held", 10).expect_within(10 * MINUTE);
        ended.expect_cause("ApprovalNotRequested");
        ended.expect_cause("Only the alarms of the migration still watch the names");
    }
}

#[test]
pub(super) fn an_approval_is_asked_for_after_a_short_outage_of_eventbridge() {
    let mut flow = Flow::start(&json!({"steps": [{"percent": 10, "approval": true}, 100]}));
    flow.until_step(10, "Ask for approval");
    flow.world.fail_calls("PutEvents", OUTAGE, 4 * MINUTE);
    flow.end().expect(COMPLETED, 100).expect_statuses(&[
        "Started",
        "StepReached",
        "ApprovalRequested",
        "StepReached",
        "Completed",
    ]);
}

/// It continues with the plan, the probe and the check of the alarms of then.
#[test]
pub(super) fn an_execution_that_is_redriven_after_its_rollback_shifts_nothing() {
    for (percent, state) in [
        (0, "Check alarms before the start"),
        (0, "Shift weight"),
        (10, "Confirm the change"),
        (10, "Bake"),
        (10, "Shift weight"),
        (100, "Bake"),
    ] {
        for days in [0, 3] {
            let mut flow = Flow::start(&json!({}));
            flow.until_step(percent, state);
            flow.world.abort(RUN);
            flow.settle();
            assert_eq!(
                super::percent_of(&flow.world),
                0,
                "{state} at {percent} percent"
            );
            flow.wait(days * DAY + MINUTE);
            let batches = lock(&flow.world.oracle).batches;
            flow.world.redrive(RUN);
            let ended = flow.ended();
            let after = lock(&flow.world.oracle).batches;
            assert_eq!(batches, after, "{state} at {percent} percent: batches");
            assert_eq!(
                ended.percent, 0,
                "{state} at {percent} percent: {}",
                ended.cause
            );
            assert_ne!(ended.end, "SUCCEEDED", "{state} at {percent} percent");
        }
    }
}

/// It is planned after the redrive, so its plan is not older.
#[test]
pub(super) fn an_execution_that_is_redriven_before_its_plan_completes() {
    let mut flow = Flow::start(&json!({}));
    flow.until("the plan", |world| {
        world.executions.is_running_in(RUN, "Plan the migration")
    });
    flow.world.abort(RUN);
    flow.settle();
    flow.world.redrive(RUN);
    flow.end().expect(COMPLETED, 100);
}

#[test]
pub(super) fn a_redriven_migration_that_has_ended_by_itself_ends_again() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.become_unhealthy();
    flow.until("the end", |world| !world.executions.is_running(RUN));
    flow.settle();
    flow.world.is_healthy.set(true);
    flow.wait(3 * DAY);
    flow.world.redrive(RUN);
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_within(MINUTE);
}

/// The rollback can't be made: by the migration, by its status event, and by a person.
#[test]
pub(super) fn one_failed_rollback_is_one_status_event() {
    // The migration requests it; the status event of its end requests another one.
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.fail_calls("rollback", "NotPermitted", DAY);
    flow.world.become_unhealthy();
    let ended = flow.end();
    ended.expect("RollbackFailed", 10);
    ended.expect_statuses(&["Started", "StepReached", "RollbackFailed"]);

    // The status event of an execution that was aborted requests it.
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.fail_calls("rollback", "NotPermitted", DAY);
    flow.world.abort(RUN);
    let ended = flow.end();
    ended.expect_statuses(&["Started", "StepReached", "RollbackFailed"]);

    // A person requests it.
    let mut flow = Flow::start(&json!({"onFailure": "hold"}));
    flow.until_step(10, "Bake");
    flow.world.become_unhealthy();
    flow.until("the end", |world| !world.executions.is_running(RUN));
    flow.settle();
    flow.world.fail_calls("rollback", "NotPermitted", DAY);
    flow.world
        .roll_back(&json!({"hostedZoneId": ZONE_ID, "execution": machines::arn(RUN)}));
    let ended = flow.end();
    ended.expect_statuses(&["Started", "StepReached", "Held", "RollbackFailed"]);
}

/// The first attempt restores the weights and fails afterwards.
#[test]
pub(super) fn a_retried_rollback_says_what_an_earlier_attempt_restored() {
    let mut flow = Flow::start(&json!({}));
    flow.until_step(10, "Bake");
    flow.world.become_unhealthy();
    flow.until("the first pass", |world| super::percent_of(world) == 0);
    flow.wait(CALLS);
    flow.world
        .fail_calls("rollback", "NotPermitted", Duration::from_secs(210));
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("were restored by an earlier attempt");
}

/// An incomplete completion holds, because all traffic is on a healthy side.
#[test]
pub(super) fn a_completion_that_fails_holds() {
    let mut flow = Flow::start(&json!({}));
    flow.until_state("Complete the migration");
    // All attempts. Each asks for the zone, and lists its record sets without an answer.
    let first = flow.world.network.calls();
    for call in first..first + 16 {
        flow.world.network.inject_fault(call, Fault::Unavailable);
    }
    let ended = flow.end();
    ended.expect("Held", 100);
    ended.expect_cause("start a new execution with the same input");
}

#[test]
pub(super) fn a_migration_whose_approval_is_given_is_asked_for_it_once() {
    let flow = Flow::start(&json!({"steps": [{"percent": 10, "approval": true}, 100]}));
    *flow.world.approvals.borrow_mut() = Box::new(|| (60 * MINUTE, Approval::Given));
    flow.end().expect(COMPLETED, 100).expect_statuses(&[
        "Started",
        "StepReached",
        "ApprovalRequested",
        "StepReached",
        "Completed",
    ]);
}
