//! Parses the event: a request of a person or of the migration state machine, an alarm's event, or
//! the status event of an execution.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use migration::Error;
use migration::dns::HostedZoneId;
use migration::error::InvalidInput;
use migration::executions::ExecutionName;
use migration::input::NamePattern;
use migration::journal::ExecutionIdentity;
use migration::json::from_json;
use migration::text::shortened;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The state of an alarm that rolls back.
const ALARM: &str = "ALARM";
/// Characters of a name or a status that a message repeats: the longest name of an alarm.
///
/// Source: CloudWatch API Reference, `PutMetricAlarm`.
pub(crate) const LONGEST_NAME: usize = 255;

#[derive(Debug)]
pub(crate) struct PassRequest {
    pub(crate) request: Request,
    /// None in the first pass.
    pub(crate) earlier: Option<EarlierPasses>,
}

/// What the earlier passes of the same rollback have done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct EarlierPasses {
    /// The executions that they have rolled back; a later pass rolls back no others.
    pub(crate) executions: BTreeSet<String>,
    /// Their changes that were not yet in sync.
    pub(crate) change_ids: Vec<String>,
    /// What is to be recorded when the rollback has succeeded, see
    /// [`Executions::record_rollback`](migration::executions::Executions::record_rollback).
    #[serde(default)]
    pub(crate) rollback_records: BTreeSet<String>,
    /// What the pass before this one has left to it, if it has followed at once.
    #[serde(default)]
    pub(crate) unfinished: Option<Value>,
}

#[derive(Debug)]
pub(crate) enum Request {
    Execution(ExecutionRequest),
    Names(NamesRequest),
    Alarm(AlarmRequest),
    Ended(EndedExecution),
    Reminder(ReminderRequest),
    /// An event that starts no rollback, and why.
    Ignored(String),
}

#[derive(Debug)]
pub(crate) struct ExecutionRequest {
    pub(crate) name: String,
    pub(crate) hosted_zone_id: Option<HostedZoneId>,
    /// Whether the execution itself requests the rollback, and waits for it.
    pub(crate) is_own_request: bool,
    /// With its own request: the executions that its plan allows it to adopt.
    pub(crate) adopted: BTreeSet<ExecutionIdentity>,
    pub(crate) reason: String,
}

/// Restore names, regardless of the executions that shifted them.
#[derive(Debug)]
pub(crate) struct NamesRequest {
    pub(crate) hosted_zone_id: HostedZoneId,
    pub(crate) patterns: Vec<NamePattern>,
    /// Restore also from journals that another key has signed, because a person says so.
    pub(crate) trusts_foreign_journals: bool,
    pub(crate) reason: String,
}

/// Roll back the migrations that watch an alarm.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct AlarmRequest {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// When it fired, or when a person requested the rollback. None if a person has invoked the function itself, which
    /// covers the migrations that are running now.
    pub(crate) fired_at: Option<SystemTime>,
    /// Whether CloudWatch invoked this function as the alarm's action. Then no state machine reads
    /// the answer, makes further passes or announces the rollback.
    pub(crate) is_alarm_action: bool,
}

/// An execution that ended without success.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct EndedExecution {
    pub(crate) name: String,
    /// In Step Functions' spelling: `FAILED`, `ABORTED` or `TIMED_OUT`. None if the sweep has found it.
    pub(crate) status: Option<String>,
    pub(crate) stopped_at: Option<SystemTime>,
}

/// Remind of the migrations that have ended, and still have journals.
#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReminderRequest {
    /// The time of the reminder, as EventBridge Scheduler gives it.
    #[serde(deserialize_with = "deserialize_time")]
    pub(crate) at: SystemTime,
    pub(crate) older_than_hours: u32,
}

/// The input of a rollback that [`sweep()`](crate::sweep()) starts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweptExecution {
    execution: ExecutionName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterPass {
    request: Value,
    earlier: EarlierPasses,
}

/// A request of a person or of the migration state machine.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with `execution`, with `alarm`, or with `hostedZoneId` and `names`"
)]
struct DirectRequest {
    execution: Option<ExecutionName>,
    names: Option<Vec<NamePattern>>,
    alarm: Option<String>,
    hosted_zone_id: Option<HostedZoneId>,
    requested_by: Option<ExecutionName>,
    #[serde(default)]
    adopted: BTreeSet<ExecutionIdentity>,
    #[serde(default)]
    trust_foreign_journals: bool,
    /// The start of the rollback state machine, which adds it to a request for an alarm.
    #[serde(default, deserialize_with = "deserialize_optional_time")]
    requested_at: Option<SystemTime>,
    reason: Option<String>,
}

/// The fields that are needed of `CloudWatch Alarm State Change`, and of the event with which
/// CloudWatch invokes a function that is an alarm's action.
///
/// Source: CloudWatch User Guide, "Alarm events and EventBridge" and "Invoke a Lambda function
/// from an alarm".
#[derive(Deserialize)]
struct AlarmEvent {
    #[serde(alias = "alarmData")]
    detail: AlarmDetail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmDetail {
    alarm_name: String,
    state: AlarmState,
}

#[derive(Deserialize)]
struct AlarmState {
    value: String,
    #[serde(default)]
    reason: String,
    timestamp: String,
}

/// The fields that are needed of `Step Functions Execution Status Change`. The input is not read,
/// because the event omits a long one (`inputDetails`); `DescribeExecution` has it.
///
/// Source: Step Functions Developer Guide, "Automating Step Functions event delivery with
/// EventBridge".
#[derive(Deserialize)]
struct StatusEvent {
    detail: StatusDetail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusDetail {
    execution_arn: ExecutionName,
    status: String,
    /// Milliseconds since 1970.
    stop_date: Option<u64>,
}

impl PassRequest {
    pub(crate) fn parse(event: &Value) -> Result<Self, Error> {
        if event.get("request").is_none() {
            return Ok(Self {
                request: parse_request(event)?,
                earlier: None,
            });
        }
        let LaterPass { request, earlier } = from_json(event)?;
        Ok(Self {
            request: parse_request(&request)?,
            earlier: Some(earlier),
        })
    }
}

fn parse_request(value: &Value) -> Result<Request, Error> {
    match value.get("detail-type").and_then(Value::as_str) {
        Some("CloudWatch Alarm State Change") => alarm_event(value),
        Some("Step Functions Execution Status Change") => status_event(value),
        Some(other) => Err(Error::from(InvalidInput::OtherEvent {
            found: other.to_owned(),
        })),
        None if value.get("alarmData").is_some() => alarm_event(value),
        None if value.get("swept").is_some() => {
            let SweptExecution { execution } = field(value, "swept")?;
            Ok(Request::Ended(EndedExecution {
                name: execution.into(),
                status: None,
                stopped_at: None,
            }))
        }
        None if value.get("reminder").is_some() => Ok(Request::Reminder(field(value, "reminder")?)),
        None => direct_request(from_json(value)?),
    }
}

/// Parses the only field of a request.
fn field<T: DeserializeOwned>(value: &Value, name: &str) -> Result<T, Error> {
    from_json(value.get(name).unwrap_or(&Value::Null))
}

/// A time such as `2022-03-22T18:59:43Z`.
///
/// Source: EventBridge Scheduler User Guide, "Adding context attributes in EventBridge Scheduler"; Step Functions
/// Developer Guide, "Accessing execution data from the Context object in Step Functions".
pub(crate) fn deserialize_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    DateTime::from_str(&text, Format::DateTimeWithOffset)
        .ok()
        .and_then(|time| time.try_into().ok())
        .ok_or_else(|| {
            serde::de::Error::custom(format!(
                "expected a time such as 2022-03-22T18:59:43Z, found {text:?}"
            ))
        })
}

fn deserialize_optional_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SystemTime>, D::Error> {
    deserialize_time(deserializer).map(Some)
}

fn alarm_event(value: &Value) -> Result<Request, Error> {
    let AlarmDetail { alarm_name, state } = from_json::<AlarmEvent>(value)?.detail;
    if state.value != ALARM {
        return Ok(Request::Ignored(format!(
            "the alarm {} is in state {}; only {ALARM} starts a rollback",
            shortened(&alarm_name, LONGEST_NAME),
            shortened(&state.value, LONGEST_NAME)
        )));
    }
    Ok(Request::Alarm(AlarmRequest {
        fired_at: Some(timestamp(&state.timestamp)?),
        is_alarm_action: value.get("alarmData").is_some(),
        reason: format!("the alarm {alarm_name} fired: {}", state.reason),
        name: alarm_name,
    }))
}

/// CloudWatch writes `2019-10-02T17:04:40.989+0000`; RFC 3339 requires the offset `+00:00`.
fn timestamp(text: &str) -> Result<SystemTime, Error> {
    let with_colon = text.replacen("+0000", "+00:00", 1);
    DateTime::from_str(&with_colon, Format::DateTimeWithOffset)
        .ok()
        .and_then(|time| time.try_into().ok())
        .ok_or_else(|| {
            Error::from(InvalidInput::Timestamp {
                found: text.to_owned(),
            })
        })
}

fn status_event(value: &Value) -> Result<Request, Error> {
    let StatusDetail {
        execution_arn: name,
        status,
        stop_date,
    } = from_json::<StatusEvent>(value)?.detail;
    if !["FAILED", "ABORTED", "TIMED_OUT"].contains(&status.as_str()) {
        return Ok(Request::Ignored(format!(
            "the execution {} has status {}; only FAILED, ABORTED and TIMED_OUT start a rollback",
            name,
            shortened(&status, LONGEST_NAME)
        )));
    }
    Ok(Request::Ended(EndedExecution {
        name: name.into(),
        status: Some(status),
        stopped_at: stop_date
            .and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))),
    }))
}

fn direct_request(request: DirectRequest) -> Result<Request, Error> {
    let DirectRequest {
        execution,
        names,
        alarm,
        hosted_zone_id,
        requested_by,
        adopted,
        trust_foreign_journals,
        requested_at,
        reason,
    } = request;
    let reason = reason.unwrap_or_else(|| "the request gives no reason".to_owned());
    if trust_foreign_journals {
        let is_literal = |pattern: &NamePattern| pattern.literal().is_some();
        let names = names.as_deref().unwrap_or_default();
        if names.is_empty() || !names.iter().all(is_literal) {
            return Err(Error::from(InvalidInput::ForeignJournalsWithoutNames));
        }
    }
    match (execution, names, alarm) {
        (Some(name), None, None) => {
            let is_own_request = requested_by.is_some_and(|by| by == name);
            Ok(Request::Execution(ExecutionRequest {
                name: name.into(),
                hosted_zone_id,
                is_own_request,
                adopted,
                reason,
            }))
        }
        (None, Some(patterns), None) => match hosted_zone_id {
            Some(hosted_zone_id) => Ok(Request::Names(NamesRequest {
                hosted_zone_id,
                patterns,
                trusts_foreign_journals: trust_foreign_journals,
                reason,
            })),
            None => Err(Error::from(InvalidInput::NamesWithoutZone)),
        },
        (None, None, Some(name)) => Ok(Request::Alarm(AlarmRequest {
            name,
            reason,
            fired_at: requested_at,
            is_alarm_action: false,
        })),
        (None, None, None) => Err(Error::from(InvalidInput::NothingToRollBack)),
        _ => Err(Error::from(InvalidInput::SeveralToRollBack)),
    }
}
