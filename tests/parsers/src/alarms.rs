//! What CloudWatch says of alarms, and what `check-alarms` is asked.

use aws_smithy_types::DateTime;
use check_alarms::cloudwatch::{Alarm, CloudWatch, Page, Selection};
use check_alarms::handle;
use migration::{Error, Verdict};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{assert_documented, assert_short, json, ready, text};

/// CloudWatch with whichever alarms are asked for, all in one state and with one history.
struct FakeCloudWatch {
    state: String,
    reason: String,
    history: String,
}

impl CloudWatch for FakeCloudWatch {
    async fn describe_alarms(
        &self,
        selection: Selection<'_>,
        _: Option<String>,
    ) -> Result<Page<Alarm>, Error> {
        let names = match selection {
            Selection::Names(names) => names.to_vec(),
            Selection::Prefix(prefix) => vec![prefix],
        };
        let is_there = |name: &&str| *name != "missing";
        let alarms = names.into_iter().filter(is_there).map(|name| Alarm {
            name: name.to_owned(),
            state: self.state.clone(),
            reason: self.reason.clone(),
            evaluation_state: None,
            changed_at: None,
        });
        Ok(Page {
            items: alarms.collect(),
            next_token: None,
        })
    }

    async fn describe_alarm_history(
        &self,
        _: &str,
        _: DateTime,
        _: Option<String>,
    ) -> Result<Page<String>, Error> {
        Ok(Page {
            items: vec![self.history.clone()],
            next_token: None,
        })
    }
}

/// An event of `check-alarms`, JSON: it is refused with a documented error, or answered; what the
/// answer lists is no more than what the event asks for.
pub fn check_alarms_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let cloudwatch = FakeCloudWatch {
        state: "INSUFFICIENT_DATA".to_owned(),
        reason: "no data".to_owned(),
        history: "{}".to_owned(),
    };
    match ready(handle(&event, &cloudwatch)) {
        Err(error) => assert_documented(&error),
        Ok(answer) => {
            assert_short(&answer.reason);
            assert!(answer.not_ok.len() <= 10);
            assert!(serde_json::to_string(&answer).unwrap().len() <= 2 * bytes.len() + 10_000);
        }
    }
}

/// What CloudWatch says of an alarm: its history data, the same text as its reason, and the beginning as
/// its state. A
/// firing is never overlooked, what can't be read never passes, and the answer is short.
pub fn alarm_history(bytes: &[u8]) {
    let text = text(bytes);
    let event = json!({"alarms": {"names": ["alarm"]}, "since": "2026-11-23T05:30:00Z"});
    let verdict = |state: &str| {
        let cloudwatch = FakeCloudWatch {
            state: state.to_owned(),
            reason: text.clone(),
            history: text.clone(),
        };
        let answer = ready(handle(&event, &cloudwatch)).unwrap();
        assert_short(&answer.reason);
        assert_short(&serde_json::to_string(&answer).unwrap());
        answer.verdict
    };
    // What is nested too deep for a `Value` may be read all the same, where it is of no interest.
    let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
    let history: Option<Value> = serde_json::from_str(&text).ok();
    let state = history
        .as_ref()
        .and_then(|history| history.pointer("/newState/stateValue"))
        .and_then(Value::as_str);
    // Two states in one object are no history.
    let expected: &[_] = match state {
        Some("ALARM") => &[Verdict::Fail, Verdict::Inconclusive],
        Some(_) => &[Verdict::Pass, Verdict::Inconclusive],
        None if is_json && history.is_none() => {
            &[Verdict::Pass, Verdict::Fail, Verdict::Inconclusive]
        }
        None => &[Verdict::Inconclusive],
    };
    assert!(expected.contains(&verdict("OK")));
    assert_eq!(verdict("ALARM"), Verdict::Fail);
    let unknown: String = text.chars().take(20).collect();
    if !["OK", "ALARM"].contains(&unknown.as_str()) {
        assert_ne!(verdict(&unknown), Verdict::Pass);
    }
}
