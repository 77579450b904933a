//! The function `check-alarms`: says whether the alarms that watch a migration are quiet.
//!
//! The event is `{"alarms": …, "since": …}`: the alarms as in the migration's
//! input, and optionally the time from which on an alarm must not have fired,
//! in RFC 3339 as JSONata's `$now()` gives it. It reads CloudWatch and changes
//! nothing.
//!
//! | found | verdict |
//! |---|---|
//! | `ALARM`, now or at any time since `since` | fail |
//! | `OK` | pass |
//! | `INSUFFICIENT_DATA` | by `missingData`: pass, fail, or inconclusive (`wait`) |
//! | an `EvaluationState`, a state or a history that can't be read | inconclusive at best |
//! | no alarm of that name, or with that prefix | the error `AlarmNotFound` |
//!
//! The worst verdict of all alarms counts.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `AWS_LAMBDA_FUNCTION_NAME` | set by Lambda; the dimension of the metrics |
//! | `RUST_LOG` | log level, `info` by default |

mod aws;
pub mod cloudwatch;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::primitives::{DateTime, DateTimeFormat};
use migration::input::{Alarms, MissingData, from_json};
use migration::{Error, Verdict, metrics, shortened};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::cloudwatch::{Alarm, CloudWatch, LARGEST_PAGE, Page, Selection};

/// How many alarms an answer lists.
const LISTED: usize = 10;
/// Characters of a reason that CloudWatch gave.
const LONGEST_REASON: usize = 300;
/// Characters of an error's list of alarms.
const LONGEST_LIST: usize = 2_000;

#[derive(Deserialize)]
#[serde(expecting = "an object with alarms")]
struct Request {
    alarms: Alarms,
    #[serde(default, deserialize_with = "timestamp")]
    since: Option<DateTime>,
}

/// What the function answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The worst of all alarms.
    pub verdict: Verdict,
    /// One sentence for people.
    pub reason: String,
    /// How many alarms are watched.
    pub alarms: usize,
    /// The alarms that did not pass, those that failed first; at most 10.
    pub not_ok: Vec<Finding>,
}

/// An alarm that did not pass.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// Its state now, as CloudWatch writes it.
    pub state: String,
    /// Why it did not pass.
    pub reason: String,
}

/// Looks at every alarm of the event.
pub async fn handle(event: &Value, cloudwatch: &impl CloudWatch) -> Result<Answer, Error> {
    let Request { alarms, since } = from_json(event)?;
    // CloudWatch keeps history by the second or finer; a part of a second is not worth missing an alarm for.
    let since = since.map(|since| DateTime::from_secs(since.secs()));
    let described = describe(&alarms, cloudwatch).await?;
    tell_metrics(&described);
    let mut failed = Vec::new();
    let mut inconclusive = Vec::new();
    for alarm in described.values() {
        let (mut verdict, mut reason) = judge(alarm, alarms.missing_data);
        if let Some(since) = since
            && verdict != Verdict::Fail
            && alarm.changed_at.is_none_or(|changed| changed >= since)
            && let Some((then, reason_then)) = look_back(alarm, since, cloudwatch).await?
        {
            verdict = verdict.and(then);
            reason = reason_then;
        }
        let finding = Finding {
            name: alarm.name.clone(),
            state: alarm.state.clone(),
            reason: shortened(&reason, LONGEST_REASON),
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
    Ok(answer(described.len(), failed, inconclusive))
}

fn tell_metrics(alarms: &BTreeMap<String, Alarm>) {
    let count = |state: &str| alarms.values().filter(|alarm| alarm.state == state).count();
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    metrics::alarms(
        &function,
        count("OK"),
        count("INSUFFICIENT_DATA"),
        count("ALARM"),
    );
}

fn answer(alarms: usize, failed: Vec<Finding>, inconclusive: Vec<Finding>) -> Answer {
    let (verdict, reason) = match (failed.as_slice(), inconclusive.as_slice()) {
        ([], []) if alarms == 0 => (Verdict::Pass, "no alarms are watched".to_owned()),
        ([], []) => (
            Verdict::Pass,
            format!("no alarm fired, of {alarms} that are watched"),
        ),
        ([first, ..], _) => (
            Verdict::Fail,
            format!(
                "{} of {alarms} alarms say that something is wrong: {} ({}): {}",
                failed.len(),
                first.name,
                first.state,
                first.reason
            ),
        ),
        ([], [first, ..]) => (
            Verdict::Inconclusive,
            format!(
                "{} of {alarms} alarms can't tell yet: {} ({}): {}",
                inconclusive.len(),
                first.name,
                first.state,
                first.reason
            ),
        ),
    };
    let mut not_ok = failed;
    not_ok.extend(inconclusive);
    not_ok.truncate(LISTED);
    Answer {
        verdict,
        reason,
        alarms,
        not_ok,
    }
}

/// The alarms by name, each once; every name and prefix must be somebody's.
async fn describe(
    alarms: &Alarms,
    cloudwatch: &impl CloudWatch,
) -> Result<BTreeMap<String, Alarm>, Error> {
    let mut described = BTreeMap::new();
    let names: BTreeSet<&str> = alarms.names.iter().map(String::as_str).collect();
    let names: Vec<_> = names.into_iter().collect();
    for chunk in names.chunks(LARGEST_PAGE) {
        described.extend(describe_all(Selection::Names(chunk), cloudwatch).await?);
    }
    let mut missing: Vec<_> = names
        .into_iter()
        .filter(|name| !described.contains_key(*name))
        .map(str::to_owned)
        .collect();
    for prefix in &alarms.prefixes {
        let found = describe_all(Selection::Prefix(prefix), cloudwatch).await?;
        if found.is_empty() {
            missing.push(format!("{prefix}*"));
        }
        described.extend(found);
    }
    if missing.is_empty() {
        return Ok(described);
    }
    Err(Error::AlarmNotFound(format!(
        "CloudWatch has no alarm {} in this account and region, so health can't be watched; \
         create what is missing, or correct alarms.names and alarms.prefixes",
        shortened(&missing.join(", "), LONGEST_LIST)
    )))
}

async fn describe_all(
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

/// What an alarm's present state says about health, and why.
fn judge(alarm: &Alarm, missing_data: MissingData) -> (Verdict, String) {
    let verdict = match alarm.state.as_str() {
        "ALARM" => Verdict::Fail,
        "OK" => Verdict::Pass,
        "INSUFFICIENT_DATA" => match missing_data {
            MissingData::Pass => Verdict::Pass,
            MissingData::Fail => Verdict::Fail,
            MissingData::Wait => Verdict::Inconclusive,
        },
        _ => Verdict::Inconclusive,
    };
    match &alarm.evaluation_state {
        Some(state) => (
            verdict.and(Verdict::Inconclusive),
            format!("its evaluation is {state}: {}", alarm.reason),
        ),
        None => (verdict, alarm.reason.clone()),
    }
}

/// What an alarm's history since `since` adds, if anything: it may have fired
/// and cleared between two checks.
async fn look_back(
    alarm: &Alarm,
    since: DateTime,
    cloudwatch: &impl CloudWatch,
) -> Result<Option<(Verdict, String)>, Error> {
    let mut unreadable = false;
    let mut token = None;
    loop {
        let Page { items, next_token } = cloudwatch
            .describe_alarm_history(&alarm.name, since, token)
            .await?;
        for data in items {
            match serde_json::from_str::<StateUpdate>(&data) {
                Ok(update) if update.new_state.state_value == "ALARM" => {
                    return Ok(Some((
                        Verdict::Fail,
                        format!("it fired and cleared since {since}"),
                    )));
                }
                Ok(_) => {}
                Err(_) => unreadable = true,
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
            format!("its history since {since} can't be read, so it may have fired and cleared"),
        )
    }))
}

/// The `HistoryData` of a state update, as far as it is read here.
///
/// Source: CloudWatch API Reference, `AlarmHistoryItem`; an example is in the
/// AWS CLI's reference of `describe-alarm-history`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateUpdate {
    new_state: NewState,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewState {
    state_value: String,
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| {
            DateTime::from_str(&text, DateTimeFormat::DateTimeWithOffset).map_err(|_| {
                de::Error::custom(format!(
                    "expected a time such as 2026-11-23T05:30:00Z, found {text:?}"
                ))
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests;
