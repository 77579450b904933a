//! The interface to CloudWatch: the two API calls that the function `check-alarms` uses.

use std::future::Future;
use std::time::SystemTime;

use crate::Error;

/// The maximum of `AlarmNames` and of `MaxRecords` in one call.
///
/// Source: CloudWatch API Reference, `DescribeAlarms`.
pub const LARGEST_PAGE: usize = 100;

pub trait CloudWatch {
    /// `DescribeAlarms`: metric, composite and log alarms. A name without an alarm
    /// is missing from the result and causes no error.
    fn describe_alarms(
        &self,
        selection: Selection<'_>,
        next_token: Option<String>,
    ) -> impl Future<Output = Result<Page<Alarm>, Error>> + Send;

    /// `DescribeAlarmHistory`: the `HistoryData` of the alarm's state updates at
    /// or after `since`, newest first.
    fn describe_alarm_history(
        &self,
        name: &str,
        since: SystemTime,
        next_token: Option<String>,
    ) -> impl Future<Output = Result<Page<String>, Error>> + Send;
}

#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// Alarms with one of these names; at most [`LARGEST_PAGE`] names.
    Names(&'a [&'a str]),
    /// Alarms with this name prefix.
    Prefix(&'a str),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The token for the next page; `None` on the last page.
    pub next_token: Option<String>,
}

/// The fields of an alarm, of any type, that a verdict depends on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alarm {
    pub name: String,
    /// CloudWatch's `StateValue`: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// CloudWatch's `StateReason`.
    pub reason: String,
    /// Set if CloudWatch could not evaluate the alarm completely, for example `PARTIAL_DATA`.
    pub evaluation_state: Option<String>,
    /// When the alarm entered its state. If CloudWatch gives no transition time, the
    /// time of the last update, which is the same or later.
    pub changed_at: Option<SystemTime>,
}
