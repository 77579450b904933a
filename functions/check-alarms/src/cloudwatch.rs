//! The narrow interface to CloudWatch: two calls, page by page. AWS implements
//! it in the module `aws`, the tests with a fake.

use std::future::Future;

use aws_sdk_cloudwatch::primitives::DateTime;
use migration::Error;

/// The most alarms that one call names or lists.
///
/// Source: CloudWatch API Reference, `DescribeAlarms`.
pub const LARGEST_PAGE: usize = 100;

/// The calls of CloudWatch's API that watching alarms needs.
pub trait CloudWatch {
    /// `DescribeAlarms`: metric, composite and log alarms. Names that no alarm
    /// has are left out of the answer without a word.
    fn describe_alarms(
        &self,
        selection: Selection<'_>,
        next_token: Option<String>,
    ) -> impl Future<Output = Result<Page<Alarm>, Error>> + Send;

    /// `DescribeAlarmHistory`: the `HistoryData` of the alarm's state updates at
    /// or after `since`, the latest first.
    fn describe_alarm_history(
        &self,
        name: &str,
        since: DateTime,
        next_token: Option<String>,
    ) -> impl Future<Output = Result<Page<String>, Error>> + Send;
}

/// Which alarms to describe.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// Those with these names, [`LARGEST_PAGE`] at most.
    Names(&'a [&'a str]),
    /// Those whose names begin with this.
    Prefix(&'a str),
}

/// A page of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What leads to the next page, if there is one.
    pub next_token: Option<String>,
}

/// An alarm of whichever type, as far as health is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`, as CloudWatch writes it.
    pub state: String,
    /// Why it is in that state, in CloudWatch's words.
    pub reason: String,
    /// Present where CloudWatch could not evaluate the alarm wholly, such as `PARTIAL_DATA`.
    pub evaluation_state: Option<String>,
    /// When it came to its state, or later: where CloudWatch gives no time of
    /// the transition this is the time of the last update.
    pub changed_at: Option<DateTime>,
}
