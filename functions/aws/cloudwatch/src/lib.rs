//! CloudWatch through its SDK.
//!
//! Every call sets `AlarmTypes`: without it, CloudWatch returns metric alarms only.
//!
//! Source: CloudWatch API Reference, `DescribeAlarms` and `DescribeAlarmHistory`.

use std::time::SystemTime;

use aws::classify;
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, CompositeAlarm, EvaluationState, HistoryItemType, LogAlarm, MetricAlarm, ScanBy,
    StateValue,
};
use migration::Error;
use migration::health::cloudwatch::{Alarm, CloudWatch, LARGEST_PAGE, Page, Selection};

#[derive(Clone, Debug)]
pub struct CloudWatchClient(aws_sdk_cloudwatch::Client);

impl CloudWatchClient {
    pub fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_cloudwatch::Client::new(config))
    }
}

impl CloudWatch for CloudWatchClient {
    async fn describe_alarms(
        &self,
        selection: Selection<'_>,
        next_token: Option<String>,
    ) -> Result<Page<Alarm>, Error> {
        let request = self.0.describe_alarms();
        let request = match selection {
            Selection::Names(names) => {
                let names = names.iter().map(|name| (*name).to_owned()).collect();
                request.set_alarm_names(Some(names))
            }
            Selection::Prefix(prefix) => request.alarm_name_prefix(prefix),
        };
        let output = request
            .set_alarm_types(Some(all_types()))
            .max_records(i32::try_from(LARGEST_PAGE).unwrap_or(i32::MAX))
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| classify("cloudwatch:DescribeAlarms", &error))?;
        let metric = output.metric_alarms().iter().filter_map(from_metric);
        let composite = output.composite_alarms().iter().filter_map(from_composite);
        let log = output.log_alarms().iter().filter_map(from_log);
        Ok(Page {
            items: metric.chain(composite).chain(log).collect(),
            next_token: output.next_token,
        })
    }

    async fn describe_alarm_history(
        &self,
        name: &str,
        since: SystemTime,
        next_token: Option<String>,
    ) -> Result<Page<String>, Error> {
        let output = self
            .0
            .describe_alarm_history()
            .alarm_name(name)
            .set_alarm_types(Some(all_types()))
            .history_item_type(HistoryItemType::StateUpdate)
            .start_date(DateTime::from(since))
            .scan_by(ScanBy::TimestampDescending)
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| classify("cloudwatch:DescribeAlarmHistory", &error))?;
        Ok(Page {
            items: output
                .alarm_history_items()
                .iter()
                .map(|item| item.history_data().unwrap_or_default().to_owned())
                .collect(),
            next_token: output.next_token,
        })
    }
}

fn all_types() -> Vec<AlarmType> {
    vec![
        AlarmType::MetricAlarm,
        AlarmType::CompositeAlarm,
        AlarmType::LogAlarm,
    ]
}

fn from_metric(alarm: &MetricAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: alarm.alarm_name()?.to_owned(),
        state: state(alarm.state_value()),
        reason: alarm.state_reason().unwrap_or_default().to_owned(),
        evaluation_state: evaluation_state(alarm.evaluation_state()),
        changed_at: changed_at(
            alarm.state_transitioned_timestamp(),
            alarm.state_updated_timestamp(),
        ),
    })
}

/// `CompositeAlarm` has no `EvaluationState`.
fn from_composite(alarm: &CompositeAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: alarm.alarm_name()?.to_owned(),
        state: state(alarm.state_value()),
        reason: alarm.state_reason().unwrap_or_default().to_owned(),
        evaluation_state: None,
        changed_at: changed_at(
            alarm.state_transitioned_timestamp(),
            alarm.state_updated_timestamp(),
        ),
    })
}

fn from_log(alarm: &LogAlarm) -> Option<Alarm> {
    Some(Alarm {
        name: alarm.alarm_name()?.to_owned(),
        state: state(alarm.state_value()),
        reason: alarm.state_reason().unwrap_or_default().to_owned(),
        evaluation_state: evaluation_state(alarm.evaluation_state()),
        changed_at: changed_at(
            alarm.state_transitioned_timestamp(),
            alarm.state_updated_timestamp(),
        ),
    })
}

fn changed_at(transitioned: Option<&DateTime>, updated: Option<&DateTime>) -> Option<SystemTime> {
    transitioned.or(updated)?.to_owned().try_into().ok()
}

fn state(value: Option<&StateValue>) -> String {
    value.map_or("UNKNOWN", StateValue::as_str).to_owned()
}

fn evaluation_state(value: Option<&EvaluationState>) -> Option<String> {
    value.map(|value| value.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Option<SystemTime> {
        DateTime::from_secs(seconds).try_into().ok()
    }

    const TRANSITIONED: i64 = 1_790_000_000;
    const UPDATED: i64 = TRANSITIONED + 60;

    #[test]
    fn alarms_of_each_type_are_converted() {
        let metric = MetricAlarm::builder()
            .alarm_name("metric")
            .state_value(StateValue::Ok)
            .state_reason("below the threshold")
            .evaluation_state(EvaluationState::PartialData)
            .state_transitioned_timestamp(DateTime::from_secs(TRANSITIONED))
            .state_updated_timestamp(DateTime::from_secs(UPDATED))
            .build();
        assert_eq!(
            from_metric(&metric),
            Some(Alarm {
                name: "metric".into(),
                state: "OK".into(),
                reason: "below the threshold".into(),
                evaluation_state: Some("PARTIAL_DATA".into()),
                changed_at: time(TRANSITIONED),
            })
        );
        let composite = CompositeAlarm::builder()
            .alarm_name("composite")
            .state_value(StateValue::Alarm)
            .state_transitioned_timestamp(DateTime::from_secs(TRANSITIONED))
            .build();
        let composite = from_composite(&composite).unwrap();
        assert_eq!(composite.state, "ALARM");
        assert_eq!(composite.changed_at, time(TRANSITIONED));
        let log = LogAlarm::builder()
            .alarm_name("log")
            .state_value(StateValue::InsufficientData)
            .evaluation_state("EVALUATION_FROM_THE_FUTURE".into())
            .build();
        let log = from_log(&log).unwrap();
        assert_eq!(log.state, "INSUFFICIENT_DATA");
        assert_eq!(
            log.evaluation_state.as_deref(),
            Some("EVALUATION_FROM_THE_FUTURE")
        );
        assert_eq!(log.changed_at, None);
    }

    #[test]
    fn update_time_is_used_when_transition_time_is_missing() {
        let alarm = MetricAlarm::builder()
            .alarm_name("metric")
            .state_updated_timestamp(DateTime::from_secs(UPDATED))
            .build();
        let alarm = from_metric(&alarm).unwrap();
        assert_eq!(alarm.changed_at, time(UPDATED));
        assert_eq!(alarm.state, "UNKNOWN");
    }
}
