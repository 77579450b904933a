//! CloudWatch as a fake: alarms and histories as data, pages of two.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;

use super::*;

const SINCE: &str = "2026-11-23T05:30:00.500Z";
/// `SINCE`, without its part of a second.
const SINCE_SECONDS: i64 = 1_795_411_800;

#[derive(Default)]
struct Fake {
    alarms: Vec<Alarm>,
    /// `HistoryData` by alarm, with the second at which it happened.
    history: BTreeMap<String, Vec<(i64, String)>>,
    calls: Mutex<Vec<String>>,
    fails: Option<Error>,
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
        if let Some(error) = &self.fails {
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
        since: DateTime,
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
            .filter(|(second, _)| DateTime::from_secs(*second) >= since)
            .map(|(_, data)| data.clone())
            .collect();
        self.page(&found, next_token)
    }
}

/// An alarm that came to its state long before `SINCE`.
fn alarm(name: &str, state: &str) -> Alarm {
    Alarm {
        name: name.to_owned(),
        state: state.to_owned(),
        reason: format!("{name} has its reasons"),
        evaluation_state: None,
        changed_at: Some(DateTime::from_secs(SINCE_SECONDS - 3_600)),
    }
}

fn changed(name: &str, state: &str, seconds_after_since: i64) -> Alarm {
    Alarm {
        changed_at: Some(DateTime::from_secs(SINCE_SECONDS + seconds_after_since)),
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

async fn ask(fake: &Fake, alarms: Value, since: Option<&str>) -> Result<Answer, Error> {
    handle(&json!({"alarms": alarms, "since": since}), fake).await
}

#[track_caller]
fn check(answer: &Result<Answer, Error>, verdict: Verdict, reason: &str) {
    let answer = answer.as_ref().unwrap();
    assert_eq!((answer.verdict, answer.reason.as_str()), (verdict, reason));
}

#[tokio::test]
async fn an_alarm_that_fires_fails() {
    let fake = Fake::new([alarm("a", "OK"), alarm("b", "ALARM"), alarm("c", "OK")]);
    let answer = ask(&fake, json!({"names": ["a", "b", "c"]}), None).await;
    check(
        &answer,
        Verdict::Fail,
        "1 of 3 alarms say that something is wrong: b (ALARM): b has its reasons",
    );
    assert_eq!(
        serde_json::to_value(answer.unwrap()).unwrap(),
        json!({
            "verdict": "fail",
            "reason": "1 of 3 alarms say that something is wrong: b (ALARM): b has its reasons",
            "alarms": 3,
            "notOk": [{"name": "b", "state": "ALARM", "reason": "b has its reasons"}],
        })
    );
}

#[tokio::test]
async fn quiet_alarms_pass() {
    let fake = Fake::new([alarm("a", "OK"), alarm("b", "OK")]);
    let answer = ask(&fake, json!({"names": ["a", "b"]}), Some(SINCE)).await;
    check(
        &answer,
        Verdict::Pass,
        "no alarm fired, of 2 that are watched",
    );
    assert_eq!(answer.unwrap().not_ok, []);
    // Neither changed since: no history is asked for.
    assert_eq!(fake.calls(), ["2 names"]);
}

#[tokio::test]
async fn without_alarms_nothing_is_watched() {
    let fake = Fake::default();
    for alarms in [json!({}), json!({"names": [], "prefixes": []})] {
        let answer = ask(&fake, alarms, Some(SINCE)).await;
        check(&answer, Verdict::Pass, "no alarms are watched");
    }
    assert_eq!(fake.calls(), [""; 0]);
}

#[tokio::test]
async fn missing_data_says_what_the_operator_decided() {
    let fake = Fake::new([alarm("a", "INSUFFICIENT_DATA")]);
    for (missing_data, verdict) in [
        (json!({"missingData": "pass"}), Verdict::Pass),
        (json!({"missingData": "fail"}), Verdict::Fail),
        (json!({"missingData": "wait"}), Verdict::Inconclusive),
        (json!({}), Verdict::Inconclusive),
    ] {
        let mut alarms = missing_data;
        alarms["names"] = json!(["a"]);
        let answer = ask(&fake, alarms, None).await.unwrap();
        assert_eq!(answer.verdict, verdict);
        assert_eq!(answer.not_ok.is_empty(), verdict == Verdict::Pass);
    }
}

#[tokio::test]
async fn an_alarm_that_was_not_wholly_evaluated_is_no_pass() {
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
            let answer = ask(&fake, alarms, None).await.unwrap();
            assert_eq!(answer.verdict, verdict);
            assert_eq!(
                answer.not_ok[0].reason,
                format!("its evaluation is {evaluation_state}: a has its reasons")
            );
        }
    }
}

#[tokio::test]
async fn a_state_from_the_future_is_inconclusive() {
    let fake = Fake::new([alarm("a", "SNOOZED")]);
    let answer = ask(&fake, json!({"names": ["a"]}), None).await;
    check(
        &answer,
        Verdict::Inconclusive,
        "1 of 1 alarms can't tell yet: a (SNOOZED): a has its reasons",
    );
}

#[tokio::test]
async fn every_missing_alarm_is_named() {
    let names: Vec<_> = (0..250)
        .map(|number| format!("alarm-{number:03}"))
        .collect();
    let there = names
        .iter()
        .filter(|name| !["alarm-007", "alarm-249"].contains(&name.as_str()));
    let fake = Fake::new(there.map(|name| alarm(name, "ALARM")));
    let answer = ask(
        &fake,
        json!({"names": names, "prefixes": ["alarm-0", "gone-"]}),
        None,
    )
    .await;
    assert_eq!(
        answer,
        Err(Error::AlarmNotFound(
            "CloudWatch has no alarm alarm-007, alarm-249, gone-* in this account and region, so health can't be \
             watched; create what is missing, or correct alarms.names and alarms.prefixes"
                .into()
        ))
    );
    for chunk in ["100 names", "50 names"] {
        assert!(fake.calls().iter().any(|call| call == chunk));
    }
    assert!(!fake.calls().iter().any(|call| call == "250 names"));
}

#[tokio::test]
async fn all_pages_of_a_prefix_count_and_an_alarm_counts_once() {
    let fake = Fake::new([
        alarm("green-1", "OK"),
        alarm("green-2", "OK"),
        alarm("green-3", "OK"),
        alarm("green-4", "OK"),
        alarm("green-5", "ALARM"),
        alarm("blue-1", "ALARM"),
    ]);
    let alarms = json!({"names": ["green-5", "green-5"], "prefixes": ["green-", "green-5"]});
    let answer = ask(&fake, alarms, None).await.unwrap();
    assert_eq!((answer.alarms, answer.not_ok.len()), (5, 1));
    assert_eq!(
        fake.calls(),
        ["1 names", "green-*", "green-*", "green-*", "green-5*"]
    );
}

#[tokio::test]
async fn an_alarm_that_fired_and_cleared_fails() {
    // The latest first, on two pages; the alarm fired in the second of `since` itself.
    let fake = Fake::new([changed("a", "OK", 90)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 90, &update("INSUFFICIENT_DATA", "OK")),
            (SINCE_SECONDS + 60, &update("ALARM", "INSUFFICIENT_DATA")),
            (SINCE_SECONDS, &update("OK", "ALARM")),
        ],
    );
    let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    check(
        &answer,
        Verdict::Fail,
        "1 of 1 alarms say that something is wrong: a (OK): it fired and cleared since 2026-11-23T05:30:00Z",
    );
    // Without `since` only the present counts.
    let answer = ask(&fake, json!({"names": ["a"]}), None).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Pass);
}

#[tokio::test]
async fn missing_data_hides_no_alarm_that_fired() {
    let fake = Fake::new([changed("a", "INSUFFICIENT_DATA", 90)])
        .with_history("a", &[(SINCE_SECONDS + 60, &update("OK", "ALARM"))]);
    let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(answer.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn an_alarm_that_fired_before_is_forgiven() {
    let fake = Fake::new([changed("a", "OK", 60)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 60, &update("ALARM", "OK")),
            (SINCE_SECONDS - 60, &update("OK", "ALARM")),
        ],
    );
    let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(answer.unwrap().verdict, Verdict::Pass);
    assert_eq!(fake.calls(), ["1 names", "history of a"]);
}

#[tokio::test]
async fn an_alarm_without_a_time_is_looked_up() {
    let unknown = Alarm {
        changed_at: None,
        ..alarm("a", "OK")
    };
    let fake =
        Fake::new([unknown]).with_history("a", &[(SINCE_SECONDS + 1, &update("OK", "ALARM"))]);
    let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(answer.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn a_history_that_can_t_be_read_is_inconclusive() {
    for data in ["", "no JSON", r#"{"newState": {}}"#, "[]"] {
        let fake =
            Fake::new([changed("a", "OK", 60)]).with_history("a", &[(SINCE_SECONDS + 60, data)]);
        let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
        check(
            &answer,
            Verdict::Inconclusive,
            "1 of 1 alarms can't tell yet: a (OK): its history since 2026-11-23T05:30:00Z can't be read, so it may \
             have fired and cleared",
        );
    }
    let fake = Fake::new([changed("a", "OK", 60)]).with_history(
        "a",
        &[
            (SINCE_SECONDS + 60, "no JSON"),
            (SINCE_SECONDS + 30, &update("OK", "ALARM")),
        ],
    );
    let answer = ask(&fake, json!({"names": ["a"]}), Some(SINCE)).await;
    assert_eq!(answer.unwrap().verdict, Verdict::Fail);
}

#[tokio::test]
async fn the_answer_stays_small_and_failures_come_first() {
    let doubtful = (0..20).map(|number| alarm(&format!("a{number:02}"), "INSUFFICIENT_DATA"));
    let wordy = Alarm {
        reason: "ß".repeat(10_000),
        ..alarm("z", "ALARM")
    };
    let fake = Fake::new(doubtful.chain([wordy]));
    let answer = ask(&fake, json!({"prefixes": ["a", "z"]}), None)
        .await
        .unwrap();
    assert_eq!((answer.alarms, answer.not_ok.len()), (21, 10));
    assert_eq!(answer.not_ok[0].name, "z");
    assert_eq!(answer.not_ok[0].reason.chars().count(), 301);
}

#[tokio::test]
async fn what_cloudwatch_can_t_answer_is_an_error() {
    let error = Error::Throttled("slow down".into());
    let fake = Fake {
        fails: Some(error.clone()),
        ..Fake::default()
    };
    let answer = ask(&fake, json!({"names": ["a"]}), None).await;
    assert_eq!(answer, Err(error));
}

#[tokio::test]
async fn a_time_may_be_written_with_an_offset() {
    let fake = Fake::new([changed("a", "OK", 60)])
        .with_history("a", &[(SINCE_SECONDS + 60, &update("OK", "ALARM"))]);
    for (since, verdict) in [
        ("2026-11-23T07:31:00+02:00", Verdict::Fail),
        ("2026-11-23T05:31:01Z", Verdict::Pass),
    ] {
        let answer = ask(&fake, json!({"names": ["a"]}), Some(since)).await;
        assert_eq!(answer.unwrap().verdict, verdict);
    }
}

#[tokio::test]
async fn bad_input_is_named_by_its_path() {
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
        let Err(Error::InvalidInput(message)) = handle(&event, &Fake::default()).await else {
            panic!("{event} was taken");
        };
        assert!(message.starts_with(problem), "{message}");
        assert!(!message.contains("struct"), "{message}");
    }
}
