//! The answers of operators, who find the token in the input of `watch`.

use std::time::Duration;

use fakes::Time;
use serde_json::{Value, json};

use super::{CALLS, COMPLETED, Flow, HOLD, MINUTE, ROLL_BACK, RUN, events};
use crate::world::{Approval, World};

/// The states of the migration in each of which `watch` runs, in the order in which they are reached.
const PHASES: [&str; 5] = [
    "Confirm the change",
    "Wait out the TTL",
    "Bake",
    "Ask for approval",
    "Check health once more",
];

/// A migration at 10 percent in this state. It has long phases, and asks for an approval that nobody
/// gives by itself.
fn in_phase(state: &str, reactions: &str) -> Flow {
    let mut flow = Flow::start(&json!({
        "steps": [{"percent": 10, "approval": true}, 100],
        "bakeSeconds": 1200, "ttlFactor": 10, "approvalTimeoutSeconds": 7200,
        "onFailure": reactions, "onRefusal": reactions, "onDrift": reactions,
    }));
    *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::None));
    if state == "Check health once more" {
        flow.until_step(10, "Ask for approval");
        flow.wait(CALLS);
        flow.promote();
    }
    flow.until_step(10, state);
    let started = |world: &World| {
        let watches = world.watches(RUN);
        watches.iter().map(|(_, watch)| watch.started_at).max()
    };
    let entered = flow.world.clock.now();
    flow.until("a watch", |world| started(world) >= Some(entered));
    if state == "Ask for approval" {
        flow.wait(CALLS);
    }
    flow
}

/// A step takes 600 seconds for its TTL and 1,200 for its bake. The rest of the first one is left out.
#[test]
pub(super) fn a_promoted_step_ends_at_once_in_every_phase() {
    for state in PHASES {
        let flow = in_phase(state, "rollback");
        flow.promote();
        let ended = flow.end();
        ended.expect(COMPLETED, 100);
        ended.expect_within(Duration::from_mins(30) + 3 * CALLS);
        // The second step is not promoted.
        assert!(
            ended.took >= Duration::from_mins(30),
            "{state}: {:?}",
            ended.took
        );
        let asked = ended
            .statuses
            .iter()
            .filter(|it| *it == "ApprovalRequested");
        let is_late = ["Ask for approval", "Check health once more"].contains(&state);
        assert_eq!(asked.count(), usize::from(is_late), "{state}");
    }
}

/// The word of an operator is no evidence of health.
#[test]
pub(super) fn a_promoted_step_needs_one_more_pass() {
    for state in PHASES {
        let flow = in_phase(state, "rollback");
        flow.world.become_unhealthy();
        flow.promote();
        let ended = flow.end();
        ended
            .expect("HealthCheckFailed", 0)
            .expect_within(MINUTE + CALLS);
        ended.expect_cause("unhealthy at 10 percent");
    }
}

/// Whatever the input says about failures.
#[test]
pub(super) fn an_operator_holds_in_every_phase() {
    for state in PHASES {
        let flow = in_phase(state, "rollback");
        flow.answer(HOLD);
        let ended = flow.end();
        ended.expect("Held", 10).expect_within(CALLS);
        ended.expect_cause("Hold: Ann: dashboards look wrong");
        assert_eq!(ended.statuses.last().map(String::as_str), Some("Held"));
    }
}

#[test]
pub(super) fn an_operator_rolls_back_in_every_phase() {
    for state in PHASES {
        let flow = in_phase(state, "hold");
        flow.answer(ROLL_BACK);
        let ended = flow.end();
        ended.expect("RollBack", 0);
        ended.expect_cause("Ann: dashboards look wrong");
        assert_eq!(
            ended.statuses.last().map(String::as_str),
            Some("RolledBack")
        );
    }
}

/// Any other answer refuses to continue, as the notification's command does.
#[test]
pub(super) fn any_other_answer_is_a_refusal() {
    for state in PHASES {
        for error in ["Refused", "No", ""] {
            let flow = in_phase(state, "rollback");
            flow.answer(error);
            let ended = flow.end();
            ended.expect("ApprovalRefused", 0);
            ended.expect_cause("Ann: dashboards look wrong");
        }
    }
}

#[test]
pub(super) fn on_refusal_decides_about_a_refusal() {
    for (on_refusal, on_failure, end, percent) in [
        ("hold", "rollback", "Held", 10),
        ("rollback", "hold", "ApprovalRefused", 0),
    ] {
        let mut flow = Flow::start(&json!({
            "steps": [{"percent": 10, "approval": true}, 100],
            "onRefusal": on_refusal, "onFailure": on_failure, "onDrift": on_failure,
        }));
        *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::Refused));
        flow.until_step(10, "Ask for approval");
        flow.end().expect(end, percent);
    }
}

#[test]
pub(super) fn on_refusal_decides_about_an_approval_that_nobody_gives() {
    for (on_refusal, on_failure, end, percent) in [
        ("hold", "rollback", "Held", 10),
        ("rollback", "hold", "ApprovalTimedOut", 0),
    ] {
        let mut flow = Flow::start(&json!({
            "steps": [{"percent": 10, "approval": true}, 100], "approvalTimeoutSeconds": 43_200,
            "onRefusal": on_refusal, "onFailure": on_failure, "onDrift": on_failure,
        }));
        *flow.world.approvals.borrow_mut() = Box::new(|| (MINUTE, Approval::None));
        flow.until_step(10, "Ask for approval");
        let ended = flow.end();
        ended.expect(end, percent);
        assert!(ended.took >= 720 * MINUTE, "{:?}", ended.took);
        ended.expect_within(730 * MINUTE);
    }
}

/// Nobody looked at health while an approval was pending, for up to a day.
#[test]
pub(super) fn a_side_that_dies_while_an_approval_is_pending_is_rolled_back() {
    let mut flow = in_phase("Ask for approval", "rollback");
    flow.wait(60 * MINUTE);
    flow.world.become_unhealthy();
    let ended = flow.end();
    ended
        .expect("HealthCheckFailed", 0)
        .expect_within(2 * MINUTE);
    ended.expect_cause("unhealthy at 10 percent");
}

#[test]
pub(super) fn an_approval_given_to_a_dead_side_gives_no_traffic() {
    let mut flow = in_phase("Ask for approval", "rollback");
    flow.wait(60 * MINUTE);
    flow.world.become_unhealthy();
    flow.promote();
    flow.end()
        .expect("HealthCheckFailed", 0)
        .expect_cause("unhealthy at 10 percent");
}

const ANN: &str = "Ann: the error rate is as before";

/// In each event that follows, and in the output.
#[test]
pub(super) fn whoever_promotes_or_approves_is_named_in_what_follows() {
    for state in PHASES {
        let flow = in_phase(state, "rollback");
        let world = flow.world.clone();
        flow.promote_with(&json!({"by": ANN, "ticket": 7}));
        let ended = flow.end();
        ended.expect(COMPLETED, 100);
        let approved = json!({"percent": 10, "answer": "approved", "by": ANN});
        let promoted = json!({"percent": 10, "answer": "promoted", "by": ANN});
        let nobody = json!({"percent": 10, "answer": "approved", "by": ""});
        let expected = match state {
            "Ask for approval" => json!([approved]),
            "Check health once more" => json!([nobody, promoted]),
            _ => json!([promoted]),
        };
        for reached in events(&world, "StepReached") {
            let is_before = reached["percent"] == 10 && state != "Confirm the change";
            let known = if is_before { &json!([]) } else { &expected };
            assert_eq!(reached["answers"], *known, "{state}: {reached}");
        }
        let completed = events(&world, "Completed");
        assert_eq!(completed[0]["answers"], expected, "{state}");
        assert_eq!(ended.output()["answers"], expected, "{state}");
    }
}

/// What was promoted before stands in the reason too.
#[test]
pub(super) fn whoever_holds_or_rolls_back_is_named_in_the_reason() {
    for (error, status) in [(HOLD, "Held"), (ROLL_BACK, "RolledBack")] {
        let flow = in_phase("Check health once more", "rollback");
        let world = flow.world.clone();
        flow.answer(error);
        let ended = flow.end();
        let reason = "Ann: dashboards look wrong -- Answers of operators: approved at 10 percent";
        ended.expect_cause(reason);
        let event = &events(&world, status)[0];
        let found = event["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{status}: {found}");
    }
}

/// The output of a Task can be any JSON.
#[test]
pub(super) fn an_answer_without_a_text_names_nobody() {
    for output in [
        json!({}),
        json!({"by": 5}),
        json!({"by": null}),
        json!({"by": ["Ann"]}),
        json!({"by": {"by": "Ann"}}),
        json!({"approved": true}),
        json!([]),
        json!([1, 2]),
        json!(5),
        json!("Ann"),
        json!(false),
        Value::Null,
    ] {
        let flow = in_phase("Ask for approval", "rollback");
        flow.promote_with(&output);
        let ended = flow.end();
        ended.expect(COMPLETED, 100);
        let nobody = json!([{"percent": 10, "answer": "approved", "by": ""}]);
        assert_eq!(ended.output()["answers"], nobody, "{output}");
    }
}

#[test]
pub(super) fn answers_never_become_too_many_or_too_long_for_an_event() {
    let mut flow = in_phase("Check health once more", "rollback");
    for _ in 0..52 {
        let watches = flow.world.watches(RUN).len();
        flow.promote_with(&json!({"by": "\u{e9}".repeat(1000)}));
        flow.until("the next watch", |world| world.watches(RUN).len() > watches);
    }
    let ended = flow.end();
    ended.expect(COMPLETED, 100);
    let answers = ended.output()["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 50);
    assert_eq!(answers[49]["by"], "\u{e9}".repeat(200));
}
