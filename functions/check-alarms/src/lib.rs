//! The function `check-alarms`: checks the CloudWatch alarms that watch a migration.
//!
//! The event is `{"alarms": …, "since": …}`. `alarms` is the field of the
//! migration's input. `since` is optional: an alarm that fired at or after this time
//! fails. It is an RFC 3339 time, the format of JSONata's `$now()`. The function only
//! reads CloudWatch.
//!
//! | found | verdict |
//! |---|---|
//! | state `ALARM` now, or at any time since `since` | fail |
//! | state `OK` | pass |
//! | state `INSUFFICIENT_DATA` | from `missingData`: pass, fail, or inconclusive (`wait`) |
//! | an unknown state, an `EvaluationState`, or a history that can't be parsed | inconclusive, unless another row says fail |
//! | no alarm with a given name or prefix | error `AlarmNotFound` |
//!
//! The verdict of several alarms is, in order of precedence: fail, inconclusive, pass.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `AWS_LAMBDA_FUNCTION_NAME` | set by Lambda; a dimension of the metrics, which are written only if it is set |
//! | `RUST_LOG` | log level, `info` by default |

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use aws::metrics;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use migration::Error;
use migration::error::AlarmNotFound;
use migration::health::Verdict;
use migration::health::cloudwatch::{Alarm, CloudWatch, LARGEST_PAGE, Page, Selection};
use migration::input::{Alarms, MissingData};
use migration::json::from_json;
use migration::text::shortened;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

// These limits keep the report small: Step Functions limits the
// data between states to 256 KiB, and a migration may watch hundreds of alarms.

/// Maximum number of findings in a report.
const MAX_FINDINGS: usize = 10;
/// Maximum characters of a finding's reason, which contains text from CloudWatch.
const MAX_REASON_CHARACTERS: usize = 300;

#[derive(Deserialize)]
#[serde(expecting = "an object with alarms")]
struct Request {
    alarms: Alarms,
    #[serde(default, deserialize_with = "timestamp")]
    since: Option<DateTime>,
}

/// The function's result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmReport {
    /// The verdict of all alarms together.
    pub verdict: Verdict,
    /// One sentence for notifications and logs.
    pub reason: String,
    /// The number of alarms that were checked.
    pub alarms: usize,
    /// At most 10 alarms that did not pass: failed ones first, then inconclusive ones.
    pub not_ok: Vec<Finding>,
}

/// An alarm that did not pass.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    pub name: String,
    /// The current state, as CloudWatch writes it.
    pub state: String,
    /// Why it did not pass.
    pub reason: String,
}

/// Checks every alarm of the event.
pub async fn handle(event: &Value, cloudwatch: &impl CloudWatch) -> Result<AlarmReport, Error> {
    let Request { alarms, since } = from_json(event)?;
    // Rounded down to a whole second, so that no alarm of that second is missed.
    let since = since.map(|since| DateTime::from_secs(since.secs()));
    let described = describe(&alarms, cloudwatch).await?;
    emit_metrics(&described);
    let mut failed = Vec::new();
    let mut inconclusive = Vec::new();
    for alarm in described.values() {
        let (mut verdict, mut reason) = judge(alarm, alarms.missing_data);
        if let Some(since) = since
            && verdict != Verdict::Fail
            && alarm
                .changed_at
                .is_none_or(|changed| changed >= system_time(since))
            && let Some((earlier, earlier_reason)) = judge_history(alarm, since, cloudwatch).await?
        {
            verdict = verdict.and(earlier);
            reason = earlier_reason;
        }
        let finding = Finding {
            name: alarm.name.clone(),
            state: alarm.state.clone(),
            reason: shortened(&reason, MAX_REASON_CHARACTERS),
        };
        if verdict != Verdict::Pass {
            let Finding {
                name,
                state,
                reason,
            } = &finding;
            tracing::warn!(alarm = name, state, reason, "an alarm is not OK");
        }
        match verdict {
            Verdict::Pass => {}
            Verdict::Fail => failed.push(finding),
            Verdict::Inconclusive => inconclusive.push(finding),
        }
    }
    Ok(report(described.len(), failed, inconclusive))
}

fn emit_metrics(alarms: &BTreeMap<String, Alarm>) {
    let count = |state: &str| alarms.values().filter(|alarm| alarm.state == state).count();
    metrics::emit_alarms(count("OK"), count("INSUFFICIENT_DATA"), count("ALARM"));
}

fn report(alarms: usize, failed: Vec<Finding>, inconclusive: Vec<Finding>) -> AlarmReport {
    let (verdict, reason) = match (failed.as_slice(), inconclusive.as_slice()) {
        ([], []) if alarms == 0 => (
            Verdict::Pass,
            "no alarms to check: alarms.names and alarms.prefixes are empty".to_owned(),
        ),
        ([], []) => (Verdict::Pass, format!("{alarms} of {alarms} alarms passed")),
        ([first, ..], _) => (
            Verdict::Fail,
            format!(
                "{} of {alarms} alarms failed: {} is in state {}: {}",
                failed.len(),
                first.name,
                first.state,
                first.reason
            ),
        ),
        ([], [first, ..]) => (
            Verdict::Inconclusive,
            format!(
                "{} of {alarms} alarms are inconclusive: {} is in state {}: {}",
                inconclusive.len(),
                first.name,
                first.state,
                first.reason
            ),
        ),
    };
    let mut not_ok = failed;
    not_ok.extend(inconclusive);
    not_ok.truncate(MAX_FINDINGS);
    AlarmReport {
        verdict,
        reason,
        alarms,
        not_ok,
    }
}

/// The alarms by name. Fails if a name or prefix matches no alarm.
async fn describe(
    alarms: &Alarms,
    cloudwatch: &impl CloudWatch,
) -> Result<BTreeMap<String, Alarm>, Error> {
    let mut described = BTreeMap::new();
    let names: BTreeSet<&str> = alarms.names.iter().map(String::as_str).collect();
    let names: Vec<_> = names.into_iter().collect();
    for chunk in names.chunks(LARGEST_PAGE) {
        described.extend(describe_pages(Selection::Names(chunk), cloudwatch).await?);
    }
    let mut missing: Vec<_> = names
        .into_iter()
        .filter(|name| !described.contains_key(*name))
        .map(str::to_owned)
        .collect();
    for prefix in &alarms.prefixes {
        let found = describe_pages(Selection::Prefix(prefix), cloudwatch).await?;
        if found.is_empty() {
            missing.push(format!("{prefix}*"));
        }
        described.extend(found);
    }
    if missing.is_empty() {
        return Ok(described);
    }
    Err(Error::from(AlarmNotFound { missing }))
}

async fn describe_pages(
    selection: Selection<'_>,
    cloudwatch: &impl CloudWatch,
) -> Result<BTreeMap<String, Alarm>, Error> {
    let mut described = BTreeMap::new();
    let mut token = None;
    loop {
        let Page { items, next_token } = cloudwatch.describe_alarms(selection, token).await?;
        described.extend(items.into_iter().map(|alarm| (alarm.name.clone(), alarm)));
        if next_token.is_none() {
            return Ok(described);
        }
        token = next_token;
    }
}

/// The verdict of an alarm's current state, and the reason for it.
fn judge(alarm: &Alarm, missing_data: MissingData) -> (Verdict, String) {
    let (verdict, note) = match alarm.state.as_str() {
        "ALARM" => (Verdict::Fail, ""),
        "OK" => (Verdict::Pass, ""),
        "INSUFFICIENT_DATA" => match missing_data {
            MissingData::Pass => (Verdict::Pass, ""),
            MissingData::Fail => (Verdict::Fail, "alarms.missingData is \"fail\": "),
            MissingData::Wait => (Verdict::Inconclusive, "alarms.missingData is \"wait\": "),
        },
        _ => (
            Verdict::Inconclusive,
            "expected OK, ALARM or INSUFFICIENT_DATA: ",
        ),
    };
    let reason = format!("{note}{}", alarm.reason);
    match &alarm.evaluation_state {
        Some(state) => (
            verdict.and(Verdict::Inconclusive),
            format!("CloudWatch could not evaluate it completely ({state}): {reason}"),
        ),
        None => (verdict, reason),
    }
}

/// The verdict of an alarm's history since `since`; `None` if it did not fire. An
/// alarm may fire and clear between two checks.
async fn judge_history(
    alarm: &Alarm,
    since: DateTime,
    cloudwatch: &impl CloudWatch,
) -> Result<Option<(Verdict, String)>, Error> {
    let mut unreadable = false;
    let mut token = None;
    loop {
        let Page { items, next_token } = cloudwatch
            .describe_alarm_history(&alarm.name, system_time(since), token)
            .await?;
        for data in items {
            match new_state(&data).as_deref() {
                Some("ALARM") => {
                    return Ok(Some((
                        Verdict::Fail,
                        format!("it fired at or after {since} and cleared again"),
                    )));
                }
                Some(_) => {}
                None => unreadable = true,
            }
        }
        if next_token.is_none() {
            break;
        }
        token = next_token;
    }
    Ok(unreadable.then(|| {
        (
            Verdict::Inconclusive,
            format!("its history since {since} can't be parsed, so it may have fired and cleared"),
        )
    }))
}

/// The alarm's state after an update, from its `HistoryData`.
///
/// Source: CloudWatch API Reference, `AlarmHistoryItem`; an example is in the
/// AWS CLI's reference of `describe-alarm-history`.
fn new_state(history_data: &str) -> Option<String> {
    let update: Value = serde_json::from_str(history_data).ok()?;
    let state = update.pointer("/newState/stateValue")?.as_str()?;
    Some(state.to_owned())
}

/// A time that is out of range is before every change of an alarm.
fn system_time(time: DateTime) -> SystemTime {
    time.try_into().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| {
            DateTime::from_str(&text, Format::DateTimeWithOffset).map_err(|_| {
                de::Error::custom(format!(
                    "expected a time such as 2026-11-23T05:30:00Z, found {text:?}"
                ))
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests;
