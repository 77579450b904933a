//! Whole checks, from the event to the report, with a fake CloudWatch that returns pages of two items.

use std::collections::BTreeMap;
use std::sync::Mutex;

use migration::error::Throttled;
use serde_json::json;

use super::*;

const SINCE: &str = "2026-11-23T05:30:00.500Z";
/// `SINCE` in seconds since 1970, rounded down.
const SINCE_SECONDS: i64 = 1_795_411_800;

#[derive(Default)]
struct Fake {
    alarms: Vec<Alarm>,
    /// By alarm: the time in seconds since 1970, and the `HistoryData`.
    history: BTreeMap<String, Vec<(i64, String)>>,
    calls: Mutex<Vec<String>>,
    /// The error of every call.
    error: Option<Error>,
}

impl Fake {
    fn new(alarms: impl IntoIterator<Item = Alarm>) -> Self {
        Self {
            alarms: alarms.into_iter().collect(),
            ..Self::default()
        }
    }

    fn with_history(mut self, name: &str, updates: &[(i64, &str)]) -> Self {
        let updates = updates
            .iter()
            .map(|(second, data)| (*second, (*data).to_owned()))
            .collect();
        self.history.insert(name.to_owned(), updates);
        self
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn page<T: Clone>(&self, items: &[T], token: Option<String>) -> Result<Page<T>, Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let start = token.map_or(0, |token| token.parse().unwrap());
        let end = (start + 2).min(items.len());
        Ok(Page {
            items: items[start..end].to_vec(),
            next_token: (end < items.len()).then(|| end.to_string()),
        })
    }
}

impl CloudWatch for Fake {
    async fn describe_alarms(
        &self,
        selection: Selection<'_>,
        next_token: Option<String>,
    ) -> Result<Page<Alarm>, Error> {
        let call = match selection {
            Selection::Names(names) => format!("{} names", names.len()),
            Selection::Prefix(prefix) => format!("{prefix}*"),
        };
        self.calls.lock().unwrap().push(call);
        let found: Vec<_> = self
            .alarms
            .iter()
            .filter(|alarm| match selection {
                Selection::Names(names) => names.contains(&alarm.name.as_str()),
                Selection::Prefix(prefix) => alarm.name.starts_with(prefix),
            })
            .cloned()
            .collect();
        self.page(&found, next_token)
    }

    async fn describe_alarm_history(
        &self,
        name: &str,
        since: SystemTime,
        next_token: Option<String>,
    ) -> Result<Page<String>, Error> {
        self.calls
            .lock()
            .unwrap()
            .push(format!("history of {name}"));
        let found: Vec<_> = self
            .history
            .get(name)
            .into_iter()
            .flatten()
            .filter(|(second, _)| at(*second) >= since)
            .map(|(_, data)| data.clone())
            .collect();
        self.page(&found, next_token)
    }
}

fn at(second: i64) -> SystemTime {
    system_time(DateTime::from_secs(second))
}

/// An alarm that entered its state long before `SINCE`.
fn alarm(name: &str, state: &str) -> Alarm {
    Alarm {
        name: name.to_owned(),
        state: state.to_owned(),
        reason: format!("reason of {name}"),
        evaluation_state: None,
        changed_at: Some(at(SINCE_SECONDS - 3_600)),
    }
}

fn changed(name: &str, state: &str, seconds_after_since: i64) -> Alarm {
    Alarm {
        changed_at: Some(at(SINCE_SECONDS + seconds_after_since)),
        ..alarm(name, state)
    }
}

/// `HistoryData` as CloudWatch writes it.
fn update(from: &str, to: &str) -> String {
    json!({
        "version": "1.0",
        "oldState": {"stateValue": from, "stateReason": "before"},
        "newState": {"stateValue": to, "stateReason": "after"},
    })
    .to_string()
}

async fn run_check(fake: &Fake, alarms: Value, since: Option<&str>) -> Result<AlarmReport, Error> {
    handle(&json!({"alarms": alarms, "since": since}), fake).await
}

#[track_caller]
fn check(report: &Result<AlarmReport, Error>, verdict: Verdict, reason: &str) {
    let report = report.as_ref().unwrap();
    assert_eq!((report.verdict, report.reason.as_str()), (verdict, reason));
}

#[tokio::test]
async fn alarm_in_state_alarm_fails() {
    let fake = Fake::new([alarm("a", "OK"), alarm("b", "ALARM"), alarm("c", "OK")]);
    let report = run_check(&fake, json!({"names": ["a", "b", "c"]}), None).await;
    check(
        &report,
        Verdict::Fail,
        "1 of 3 alarms failed: b is in state ALARM: reason of b",
    );
    assert_eq!(
        serde_json::to_value(report.unwrap()).unwrap(),
        json!({
            "verdict": "fail",
            "reason": "1 of 3 alarms failed: b is in state ALARM: reason of b",
            "alarms": 3,
            "notOk": [{"name": "b", "state": "ALARM", "reason": "reason of b"}],
        })
    );
}

#[tokio::test]
async fn alarms_in_state_ok_pass() {
    let fake = Fake::new([alarm("a", "OK"), alarm("b", "OK")]);
    let report = run_check(&fake, json!({"names": ["a", "b"]}), Some(SINCE)).await;
    check(&report, Verdict::Pass, "2 of 2 alarms passed");
    assert_eq!(report.unwrap().not_ok, []);
    // Neither alarm changed since `SINCE`, so no history is read.
    assert_eq!(fake.calls(), ["2 names"]);
}

#[tokio::test]
async fn empty_alarm_lists_pass_without_a_call() {
    let fake = Fake::default();
    for alarms in [json!({}), json!({"names": [], "prefixes": []})] {
        let report = run_check(&fake, alarms, Some(SINCE)).await;
        check(
            &report,
            Verdict::Pass,
            "no alarms to check: alarms.names and alarms.prefixes are empty",
        );
    }
    assert_eq!(fake.calls(), [""; 0]);
}

#[tokio::test]
async fn missing_data_setting_decides_about_insufficient_data() {
    let fake = Fake::new([alarm("a", "INSUFFICIENT_DATA")]);
    let failed = "1 of 1 alarms failed: a is in state INSUFFICIENT_DATA: alarms.missingData is \"fail\": reason of a";
    let inconclusive = "1 of 1 alarms are inconclusive: a is in state INSUFFICIENT_DATA: alarms.missingData is \"wait\": \
                        reason of a";
    for (missing_data, verdict, reason) in [
        (
            json!({"missingData": "pass"}),
            Verdict::Pass,
            "1 of 1 alarms passed",
        ),
        (json!({"missingData": "fail"}), Verdict::Fail, failed),
        (
            json!({"missingData": "wait"}),
            Verdict::Inconclusive,
            inconclusive,
        ),
        (json!({}), Verdict::Inconclusive, inconclusive),
    ] {
        let mut alarms = missing_data;
        alarms["names"] = json!(["a"]);
        let report = run_check(&fake, alarms, None).await;
        check(&report, verdict, reason);
        assert_eq!(report.unwrap().not_ok.is_empty(), verdict == Verdict::Pass);
    }
}

#[tokio::test]
async fn alarm_with_an_evaluation_state_never_passes() {
    for evaluation_state in ["PARTIAL_DATA", "EVALUATION_ERROR", "FROM_THE_FUTURE"] {
        for (state, verdict) in [
            ("OK", Verdict::Inconclusive),
            ("INSUFFICIENT_DATA", Verdict::Inconclusive),
            ("ALARM", Verdict::Fail),
        ] {
            let fake = Fake::new([Alarm {
                evaluation_state: Some(evaluation_state.to_owned()),
                ..alarm("a", state)
            }]);
            let alarms = json!({"names": ["a"], "missingData": "pass"});
            let report = run_check(&fake, alarms, None).await.unwrap();
            assert_eq!(report.verdict, verdict);
            assert_eq!(
                report.not_ok[0].reason,
                format!(
                    "CloudWatch could not evaluate it completely ({evaluation_state}): reason of a"
                )
            );
        }
    }
}

#[tokio::test]
async fn unknown_state_is_inconclusive() {
    let fake = Fake::new([alarm("a", "SNOOZED")]);
    let report = run_check(&fake, json!({"names": ["a"]}), None).await;
    check(
        &report,
        Verdict::Inconclusive,
        "1 of 1 alarms are inconclusive: a is in state SNOOZED: expected OK, ALARM or INSUFFICIENT_DATA: reason of a",
    );
}

#[tokio::test]
async fn error_lists_every_missing_alarm() {
    let names: Vec<_> = (0..250)
        .map(|number| format!("alarm-{number:03}"))
        .collect();
    let existing = names
        .iter()
        .filter(|name| !["alarm-007", "alarm-249"].contains(&name.as_str()));
    let fake = Fake::new(existing.map(|name| alarm(name, "ALARM")));
    let report = run_check(
        &fake,
        json!({"names": names, "prefixes": ["alarm-0", "gone-"]}),
        None,
    )
    .await;
    assert_eq!(
        report,
        Err(Error::from(AlarmNotFound {
            missing: ["alarm-007", "alarm-249", "gone-*"]
                .map(str::to_owned)
                .into()
        }))
    );
    for chunk in ["100 names", "50 names"] {
        assert!(fake.calls().iter().any(|call| call == chunk));
    }
    assert!(!fake.calls().iter().any(|call| call == "250 names"));
}

#[tokio::test]
async fn all_pages_of_a_prefix_are_read_and_each_alarm_counted_once() {
    let fake = Fake::new([
        alarm("green-1", "OK"),
        alarm("green-2", "OK"),
        alarm("green-3", "OK"),
        alarm("green-4", "OK"),
        alarm("green-5", "ALARM"),
        alarm("blue-1", "ALARM"),
    ]);
    let alarms = json!({"names": ["green-5", "green-5"], "prefixes": ["green-", "green-5"]});
    let report = run_check(&fake, alarms, None).await.unwrap();
    assert_eq!((report.alarms, report.not_ok.len()), (5, 1));
    assert_eq!(
        fake.calls(),
        ["1 names", "green-*", "green-*", "green-*", "green-5*"]
    );
}

#[tokio::test]
async fn alarm_that_fired_and_cleared_since_the_given_time_fails() {
    // Newest first, on two pages. The alarm fired in the same second as `since`.
    let fake = Fake::new([changed("a", "OK", 90)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 90, &update("INSUFFICIENT_DATA", "OK")),
            (SINCE_SECONDS + 60, &update("ALARM", "INSUFFICIENT_DATA")),
            (SINCE_SECONDS, &update("OK", "ALARM")),
        ],
    );
    let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    check(
        &report,
        Verdict::Fail,
        "1 of 1 alarms failed: a is in state OK: it fired at or after 2026-11-23T05:30:00Z and cleared again",
    );
    // Without `since`, only the current state counts.
    let report = run_check(&fake, json!({"names": ["a"]}), None)
        .await
        .unwrap();
    assert_eq!(report.verdict, Verdict::Pass);
}

#[tokio::test]
async fn alarm_that_fired_fails_even_if_its_data_is_missing_now() {
    let fake = Fake::new([changed("a", "INSUFFICIENT_DATA", 90)])
        .with_history("a", &[(SINCE_SECONDS + 60, &update("OK", "ALARM"))]);
    let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(report.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn alarm_that_fired_only_before_the_given_time_passes() {
    let fake = Fake::new([changed("a", "OK", 60)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 60, &update("ALARM", "OK")),
            (SINCE_SECONDS - 60, &update("OK", "ALARM")),
        ],
    );
    let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(report.unwrap().verdict, Verdict::Pass);
    assert_eq!(fake.calls(), ["1 names", "history of a"]);
}

#[tokio::test]
async fn history_is_read_for_an_alarm_without_transition_time() {
    let unknown = Alarm {
        changed_at: None,
        ..alarm("a", "OK")
    };
    let fake =
        Fake::new([unknown]).with_history("a", &[(SINCE_SECONDS + 1, &update("OK", "ALARM"))]);
    let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(report.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn unreadable_history_is_inconclusive_unless_another_entry_fails() {
    for data in ["", "no JSON", r#"{"newState": {}}"#, "[]", r#"[["OK"]]"#] {
        let fake =
            Fake::new([changed("a", "OK", 60)]).with_history("a", &[(SINCE_SECONDS + 60, data)]);
        let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
        check(
            &report,
            Verdict::Inconclusive,
            "1 of 1 alarms are inconclusive: a is in state OK: its history since 2026-11-23T05:30:00Z can't be \
             parsed, so it may have fired and cleared",
        );
    }
    let fake = Fake::new([changed("a", "OK", 60)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 60, "no JSON"),
            (SINCE_SECONDS + 30, &update("OK", "ALARM")),
        ],
    );
    let report = run_check(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(report.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn report_lists_ten_findings_with_failures_first() {
    let without_data = (0..20).map(|number| alarm(&format!("a{number:02}"), "INSUFFICIENT_DATA"));
    let failed = Alarm {
        reason: "ß".repeat(10_000),
        ..alarm("z", "ALARM")
    };
    let fake = Fake::new(without_data.chain([failed]));
    let report = run_check(&fake, json!({"prefixes": ["a", "z"]}), None)
        .await
        .unwrap();
    assert_eq!((report.alarms, report.not_ok.len()), (21, 10));
    assert_eq!(report.not_ok[0].name, "z");
    assert_eq!(report.not_ok[0].reason.chars().count(), 301);
}

#[tokio::test]
async fn error_of_cloudwatch_is_returned() {
    let error = Error::from(Throttled {
        action: "cloudwatch:DescribeAlarms".to_owned(),
        answer: "slow down".to_owned(),
    });
    let fake = Fake {
        error: Some(error.clone()),
        ..Fake::default()
    };
    let report = run_check(&fake, json!({"names": ["a"]}), None).await;
    assert_eq!(report, Err(error));
}

#[tokio::test]
async fn since_may_have_a_utc_offset() {
    let fake = Fake::new([changed("a", "OK", 60)])
        .with_history("a", &[(SINCE_SECONDS + 60, &update("OK", "ALARM"))]);
    for (since, verdict) in [
        ("2026-11-23T07:31:00+02:00", Verdict::Fail),
        ("2026-11-23T05:31:01Z", Verdict::Pass),
    ] {
        let report = run_check(&fake, json!({"names": ["a"]}), Some(since)).await;
        assert_eq!(report.unwrap().verdict, verdict);
    }
}

#[tokio::test]
async fn invalid_input_is_reported_with_its_path() {
    for (event, problem) in [
        (json!([]), "input: "),
        (json!({}), "input: missing field `alarms`"),
        (
            json!({"alarms": {"name": ["a"]}}),
            "alarms.name: unknown field `name`",
        ),
        (
            json!({"alarms": {"names": ["a", 1]}}),
            "alarms.names[1]: invalid type",
        ),
        (
            json!({"alarms": {}, "since": "yesterday"}),
            "since: expected a time such as 2026-11-23T05:30:00Z, found \"yesterday\"",
        ),
    ] {
        let error = handle(&event, &Fake::default()).await.unwrap_err();
        assert_eq!(error.name(), "InvalidInput");
        let message = error.message();
        assert!(message.starts_with(problem), "{message}");
        assert!(!message.contains("struct"), "{message}");
    }
}
