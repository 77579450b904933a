//! Properties of `check-alarms`: its events, and CloudWatch's alarms and histories.

use check_alarms::handle;
use migration::Error;
use migration::health::Verdict;
use migration::health::cloudwatch::{Alarm, CloudWatch, Page, Selection};
use serde_json::{Value, json};

use crate::{assert_documented, assert_short, json, ready, text};

/// A CloudWatch in which every alarm except `missing` exists. All have the same state, reason and
/// history.
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
        let exists = |name: &&str| *name != "missing";
        let alarms = names.into_iter().filter(exists).map(|name| Alarm {
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
        _: std::time::SystemTime,
        _: Option<String>,
    ) -> Result<Page<String>, Error> {
        Ok(Page {
            items: vec![self.history.clone()],
            next_token: None,
        })
    }
}

/// Input: an event of `check-alarms`, JSON. The function refuses it with a documented error, or
/// returns a report. The report is short and lists at most 10 alarms.
pub fn check_alarms_event(bytes: &[u8]) {
    let Some(event) = json(bytes) else { return };
    let cloudwatch = FakeCloudWatch {
        state: "INSUFFICIENT_DATA".to_owned(),
        reason: "no data".to_owned(),
        history: "{}".to_owned(),
    };
    match ready(handle(&event, &cloudwatch)) {
        Err(error) => assert_documented(&error),
        Ok(report) => {
            assert_short(&report.reason);
            assert!(report.not_ok.len() <= 10);
            assert!(serde_json::to_string(&report).unwrap().len() <= 2 * bytes.len() + 10_000);
        }
    }
}

/// Input: the `HistoryData` of an alarm's state update. The same text is used as the alarm's reason,
/// and its beginning as the alarm's state. A firing alarm never passes, unreadable history and
/// unknown states never pass, and the report is short.
pub fn alarm_history(bytes: &[u8]) {
    let text = text(bytes);
    let event = json!({"alarms": {"names": ["alarm"]}, "since": "2026-11-23T05:30:00Z"});
    let verdict = |state: &str| {
        let cloudwatch = FakeCloudWatch {
            state: state.to_owned(),
            reason: text.clone(),
            history: text.clone(),
        };
        let report = ready(handle(&event, &cloudwatch)).unwrap();
        assert_short(&report.reason);
        assert_short(&serde_json::to_string(&report).unwrap());
        report.verdict
    };
    let history: Option<Value> = serde_json::from_str(&text).ok();
    let state = history
        .as_ref()
        .and_then(|history| history.pointer("/newState/stateValue"))
        .and_then(Value::as_str);
    let expected = match state {
        Some("ALARM") => Verdict::Fail,
        Some(_) => Verdict::Pass,
        None => Verdict::Inconclusive,
    };
    assert_eq!(verdict("OK"), expected);
    assert_eq!(verdict("ALARM"), Verdict::Fail);
    let unknown: String = text.chars().take(20).collect();
    if !["OK", "ALARM"].contains(&unknown.as_str()) {
        assert_ne!(verdict(&unknown), Verdict::Pass);
    }
}
