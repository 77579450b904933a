//! Who asks for a rollback, and in what words: a person or the migration itself, an alarm, an
//! execution that ended.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use migration::executions::execution_name;
use migration::input::from_json;
use migration::{Error, HostedZoneId, NamePattern, quoted, shortened};
use serde::Deserialize;
use serde_json::Value;

/// The state of an alarm that rolls back.
const ALARM: &str = "ALARM";
/// Characters of a name or a state that a message repeats: the longest name of an alarm.
///
/// Source: CloudWatch API Reference, `PutMetricAlarm`.
pub(crate) const LONGEST_WORD: usize = 255;

/// What one call asks for: a pass of a rollback.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    /// What earlier passes have done; none in the first.
    pub(crate) earlier: Option<Earlier>,
}

/// What earlier passes of the same rollback have done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Earlier {
    /// The executions that they have rolled back: a later pass leaves all others alone.
    pub(crate) executions: BTreeSet<String>,
    /// Their changes, to be confirmed.
    pub(crate) change_ids: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Request {
    Execution(OfExecution),
    Names(OfNames),
    Alarm(Alarm),
    Ended(Ended),
    /// An event that reports what no rollback is for.
    Nothing(String),
}

/// Undo an execution.
#[derive(Debug)]
pub(crate) struct OfExecution {
    pub(crate) name: String,
    pub(crate) hosted_zone_id: Option<HostedZoneId>,
    /// Whether the execution itself asks, and waits.
    pub(crate) asks_itself: bool,
    /// If it asks itself: what its plan lets it go on from.
    pub(crate) adopted: BTreeSet<String>,
    pub(crate) reason: String,
}

/// Restore names, whoever moved them.
#[derive(Debug)]
pub(crate) struct OfNames {
    pub(crate) hosted_zone_id: HostedZoneId,
    pub(crate) patterns: Vec<NamePattern>,
    pub(crate) reason: String,
}

/// An alarm fired: undo what it watches.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// None if a person asks; then those that are running now are meant.
    pub(crate) fired_at: Option<SystemTime>,
    /// Whether this function is the alarm's action, so that no state machine waits for the answer
    /// and tells people of it.
    pub(crate) is_action: bool,
}

/// An execution ended without having completed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    pub(crate) name: String,
    /// As Step Functions writes it: `FAILED`, `ABORTED` or `TIMED_OUT`.
    pub(crate) status: String,
    pub(crate) stopped_at: Option<SystemTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterPass {
    request: Value,
    earlier: Earlier,
}

/// What a person writes, or the migration state machine.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with `execution`, with `alarm`, or with `hostedZoneId` and `names`"
)]
struct Written {
    execution: Option<String>,
    names: Option<Vec<NamePattern>>,
    alarm: Option<String>,
    hosted_zone_id: Option<HostedZoneId>,
    requested_by: Option<String>,
    #[serde(default)]
    adopted: BTreeSet<String>,
    reason: Option<String>,
}

/// `CloudWatch Alarm State Change`, and what CloudWatch hands to a function that is an alarm's
/// action; of both only what is needed.
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

/// `Step Functions Execution Status Change`, of it only what is needed. Whether it contains the
/// input (`inputDetails`) does not matter: Step Functions is asked for the execution.
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
    execution_arn: String,
    status: String,
    /// Milliseconds since 1970.
    stop_date: Option<u64>,
}

impl Call {
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
        Some(other) => Err(Error::InvalidInput(format!(
            "detail-type: expected \"CloudWatch Alarm State Change\" or \"Step Functions Execution Status Change\", \
             found {}",
            quoted(other)
        ))),
        None if value.get("alarmData").is_some() => alarm_event(value),
        None => written(from_json(value)?),
    }
}

fn alarm_event(value: &Value) -> Result<Request, Error> {
    let AlarmDetail { alarm_name, state } = from_json::<AlarmEvent>(value)?.detail;
    if state.value != ALARM {
        return Ok(Request::Nothing(format!(
            "the alarm {} is {}, which is no reason to roll back",
            shortened(&alarm_name, LONGEST_WORD),
            shortened(&state.value, LONGEST_WORD)
        )));
    }
    Ok(Request::Alarm(Alarm {
        fired_at: Some(timestamp(&state.timestamp)?),
        is_action: value.get("alarmData").is_some(),
        reason: format!("the alarm {alarm_name} fired: {}", state.reason),
        name: alarm_name,
    }))
}

/// CloudWatch writes `2019-10-02T17:04:40.989+0000`, whose offset is not RFC 3339's.
fn timestamp(text: &str) -> Result<SystemTime, Error> {
    let with_colon = text.replacen("+0000", "+00:00", 1);
    DateTime::from_str(&with_colon, Format::DateTimeWithOffset)
        .ok()
        .and_then(|time| time.try_into().ok())
        .ok_or_else(|| {
            Error::InvalidInput(format!(
                "state.timestamp: expected a time such as 2019-10-02T17:04:40.989+0000, found {}",
                quoted(text)
            ))
        })
}

fn status_event(value: &Value) -> Result<Request, Error> {
    let StatusDetail {
        execution_arn,
        status,
        stop_date,
    } = from_json::<StatusEvent>(value)?.detail;
    let name = execution_name(&execution_arn).to_owned();
    if !["FAILED", "ABORTED", "TIMED_OUT"].contains(&status.as_str()) {
        return Ok(Request::Nothing(format!(
            "the execution {} is {}, which is no reason to roll back",
            shortened(&name, LONGEST_WORD),
            shortened(&status, LONGEST_WORD)
        )));
    }
    Ok(Request::Ended(Ended {
        name,
        status,
        stopped_at: stop_date
            .and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))),
    }))
}

fn written(written: Written) -> Result<Request, Error> {
    let Written {
        execution,
        names,
        alarm,
        hosted_zone_id,
        requested_by,
        adopted,
        reason,
    } = written;
    let reason = reason.unwrap_or_else(|| "somebody asked for it".to_owned());
    match (execution, names, alarm) {
        (Some(execution), None, None) => {
            let name = execution_name(&execution).to_owned();
            let asks_itself = requested_by.is_some_and(|by| execution_name(&by) == name);
            Ok(Request::Execution(OfExecution {
                name,
                hosted_zone_id,
                asks_itself,
                adopted,
                reason,
            }))
        }
        (None, Some(patterns), None) => match hosted_zone_id {
            Some(hosted_zone_id) => Ok(Request::Names(OfNames {
                hosted_zone_id,
                patterns,
                reason,
            })),
            None => Err(Error::InvalidInput(
                "hostedZoneId: expected the id of the zone beside `names`, found none".into(),
            )),
        },
        (None, None, Some(name)) => Ok(Request::Alarm(Alarm {
            name,
            reason,
            fired_at: None,
            is_action: false,
        })),
        (None, None, None) => Err(Error::InvalidInput(
            "input: expected `execution`, `alarm`, or `hostedZoneId` and `names`, found none of them".into(),
        )),
        _ => Err(Error::InvalidInput(
            "input: expected one of `execution`, `alarm` and `names`, found more than one".into(),
        )),
    }
}
