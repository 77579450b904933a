//! What the events of an execution's history mean to a person who follows it. Pure.

use std::collections::BTreeMap;

use aws_sdk_sfn::types::HistoryEvent;
use aws_smithy_types::DateTime;
use migration::dns::Percent;
use serde_json::Value;

use crate::execution::ExecutionResult;

/// An update about a followed execution.
#[derive(Clone, Debug)]
pub enum Update {
    /// The plan of a migration.
    Plan(Value),
    /// The execution entered a state.
    Entered { state: String, at: DateTime },
    /// The execution has changed weights.
    Changed(Weights),
    /// An observer's verdict.
    Verdict(Verdict),
    /// The execution has ended.
    Ended(ExecutionResult),
}

/// The weights that an execution has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The percent of `to`.
    pub percent: Percent,
    /// The weights `from/to`, and how many pairs of records have them.
    pub pairs: BTreeMap<String, u64>,
    pub at: DateTime,
}

/// What an observer of health found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `probe`, `alarms` or `weights`.
    pub observer: String,
    /// `pass`, `fail` or `inconclusive`.
    pub verdict: String,
    pub reason: String,
    pub at: DateTime,
}

/// The updates of one event, in order.
pub(crate) fn updates(event: &HistoryEvent) -> Vec<Update> {
    let at = *event.timestamp();
    if let Some(entered) = event.state_entered_event_details() {
        let state = entered.name().to_owned();
        return vec![Update::Entered { state, at }];
    }
    if let Some(succeeded) = event.task_succeeded_event_details() {
        let output = parse(succeeded.output());
        let payload = output.get("Payload").cloned().unwrap_or_default();
        return changed_weights(&payload, at)
            .map(Update::Changed)
            .into_iter()
            .collect();
    }
    let Some(exited) = event.state_exited_event_details() else {
        return Vec::new();
    };
    let output = parse(exited.output());
    if output.get("expectedDurationSeconds").is_some() {
        return vec![Update::Plan(output)];
    }
    verdicts(exited.name(), output, at)
        .into_iter()
        .map(Update::Verdict)
        .collect()
}

/// The weights after a call of the functions `shift-weight` and `rollback` that changed records.
fn changed_weights(payload: &Value, at: DateTime) -> Option<Weights> {
    let count = |key| payload.get(key).and_then(Value::as_u64).unwrap_or_default();
    if count("changed") + count("restored") == 0 {
        return None;
    }
    // A rollback reports each migration; those of one zone are rolled back to the same percent.
    let report = payload.pointer("/migrations/0").unwrap_or(payload);
    let percent = report.get("percent").and_then(Value::as_f64);
    let pairs = report.get("weights").cloned().unwrap_or_default();
    Some(Weights {
        percent: percent.and_then(Percent::from_number).unwrap_or_default(),
        pairs: serde_json::from_value(pairs).unwrap_or_default(),
        at,
    })
}

fn verdicts(state: &str, output: Value, at: DateTime) -> Vec<Verdict> {
    // A state that calls one observer alone; its output does not name the observer.
    let only_observer = match state {
        name if name.starts_with("Probe") => Some("probe"),
        name if name.starts_with("Check alarms") => Some("alarms"),
        _ => None,
    };
    let observations = match output.get("observers").and_then(Value::as_array) {
        Some(observations) => observations.clone(),
        None if only_observer.is_some() => vec![output],
        None => return Vec::new(),
    };
    let verdict = |observation: &Value| {
        let text = |key: &str| observation.get(key).and_then(Value::as_str);
        Some(Verdict {
            observer: text("observer").or(only_observer)?.to_owned(),
            verdict: text("verdict")?.to_owned(),
            reason: text("reason")?.to_owned(),
            at,
        })
    };
    observations.iter().filter_map(verdict).collect()
}

fn parse(output: Option<&str>) -> Value {
    output
        .and_then(|output| serde_json::from_str(output).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::types::builders::HistoryEventBuilder;
    use aws_sdk_sfn::types::{
        HistoryEventType, StateEnteredEventDetails, StateExitedEventDetails,
        TaskSucceededEventDetails,
    };
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn event(kind: HistoryEventType) -> HistoryEventBuilder {
        let event = HistoryEvent::builder().id(1).r#type(kind);
        event.timestamp(DateTime::from_secs(1_795_748_400))
    }

    fn exited(state: &str, output: &Value) -> HistoryEvent {
        let details = StateExitedEventDetails::builder().name(state);
        let details = details.output(output.to_string()).build().unwrap();
        let event = event(HistoryEventType::TaskStateExited);
        event.state_exited_event_details(details).build().unwrap()
    }

    fn succeeded(payload: &Value) -> HistoryEvent {
        let details = TaskSucceededEventDetails::builder()
            .resource_type("lambda")
            .resource("invoke");
        let output = json!({ "Payload": payload, "StatusCode": 200 });
        let details = details.output(output.to_string()).build().unwrap();
        let event = event(HistoryEventType::TaskSucceeded);
        event.task_succeeded_event_details(details).build().unwrap()
    }

    /// The updates without their time.
    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(event: &HistoryEvent, expect: Expect) {
        let seen = updates(event).into_iter().map(|update| match update {
            Update::Plan(plan) => format!("plan {plan}"),
            Update::Entered { state, .. } => format!("entered {state}"),
            Update::Changed(weights) => format!("{} percent {:?}", weights.percent, weights.pairs),
            Update::Verdict(verdict) => {
                format!(
                    "{}: {} ({})",
                    verdict.observer, verdict.verdict, verdict.reason
                )
            }
            Update::Ended(ended) => format!("ended {}", ended.outcome),
        });
        expect.assert_eq(&seen.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn entered_state_is_an_update() {
        let details = StateEnteredEventDetails::builder().name("Bake");
        let event = event(HistoryEventType::TaskStateEntered)
            .state_entered_event_details(details.build().unwrap());
        check(&event.build().unwrap(), expect!["entered Bake"]);
    }

    #[test]
    fn shift_that_changed_names_has_the_new_weights() {
        let shifted = |changed| {
            json!({ "percentBefore": 10, "percent": 50, "changed": changed, "changeIds": ["C1"],
                "waitSeconds": 60, "weights": { "50/50": 12 }, "remaining": 0, "pauseSeconds": 0 })
        };
        check(
            &succeeded(&shifted(12)),
            expect![[r#"50 percent {"50/50": 12}"#]],
        );
        check(&succeeded(&shifted(0)), expect![""]);
    }

    #[test]
    fn rollback_that_restored_names_has_the_original_weights() {
        let rolled_back = json!({ "restored": 12, "migrations": [
            { "status": "RolledBack", "execution": "upgrade", "percentBefore": 50, "percent": 0,
                "names": 12, "weights": { "100/0": 12 } }] });
        check(
            &succeeded(&rolled_back),
            expect![[r#"0 percent {"100/0": 12}"#]],
        );
    }

    #[test]
    fn check_of_health_has_the_verdict_of_each_observer() {
        let judged = json!({ "verdict": "fail", "observers": [
            { "observer": "alarms", "verdict": "pass", "reason": "1 alarm is OK" },
            { "observer": "probe", "verdict": "fail", "reason": "app.example.com answered 500" }] });
        check(
            &exited("Judge health", &judged),
            expect![[r#"
                alarms: pass (1 alarm is OK)
                probe: fail (app.example.com answered 500)"#]],
        );
    }

    #[test]
    fn check_before_the_start_is_that_of_its_observer() {
        let probed = json!({ "verdict": "inconclusive", "reason": "no answer in 5 s" });
        check(
            &exited("Probe the new side", &probed),
            expect!["probe: inconclusive (no answer in 5 s)"],
        );
        check(&exited("Bake", &probed), expect![""]);
    }

    #[test]
    fn plan_is_an_update() {
        let plan = json!({ "expectedDurationSeconds": 600, "names": 12 });
        check(
            &exited("Do the new side's records exist?", &plan),
            expect![[r#"plan {"expectedDurationSeconds":600,"names":12}"#]],
        );
    }
}
